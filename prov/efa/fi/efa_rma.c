/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_rma.c - reads and writes of a peer's memory
 *
 * Local buffers are gathered or scattered, and so may remote ones be, except on
 * thin endpoints.
 */
#include "fi/efa.h"
#include "fi/efa_thin.h"

/* The parts of a call that differ. */
struct rma_call {
	const struct iovec *iov;
	size_t count;
	void *const *desc; /* [count]; NULL: none */
	uint64_t remote, key; /* of a call that has one range */
	uint64_t data;
	fi_addr_t peer;
	void *context;
};

static size_t iov_len(const struct iovec *iov, size_t count)
{
	size_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += iov[i].iov_len;
	return len;
}

static inline ssize_t post_at(struct efa_ep *ep, const struct rma_call *call,
			      const struct dev_range *at, size_t n, bool read,
			      uint32_t flags)
{
	const struct rdm_rma op = {
		.read = read,
		.iov = call->iov,
		.iovcnt = (uint32_t)call->count,
		.rma_iov = at,
		.rma_iovcnt = (uint32_t)n,
		.mr = call->desc,
		.flags = flags,
		.to = call->peer,
		.data = call->data,
		.context = call->context,
	};
	int ret;

	u_lock(&ep->lock);
	ret = u_likely(ep->rdm) ? rdm_rma(ep->rdm, &op) :
				  efa_thin_rma(ep->thin, &op);
	efa_ep_unlock(ep);
	return ret;
}

static inline ssize_t post(struct efa_ep *ep, const struct rma_call *call,
			   bool read, uint32_t flags)
{
	struct dev_range at = { .addr = call->remote, .key = call->key };

	if (!call->count || call->count > RDM_IOV_MAX ||
	    !efa_domain_has_key(ep->domain, call->key))
		return -FI_EINVAL;
	at.len = iov_len(call->iov, call->count);
	return post_at(ep, call, &at, 1, read, flags);
}

/* ---- read ---------------------------------------------------------------- */

static ssize_t rma_read(struct fid_ep *fid, void *buf, size_t len, void *desc,
			fi_addr_t peer, uint64_t addr, uint64_t key,
			void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct iovec iov = { buf, len };
	const struct rma_call call = { &iov, 1, efa_one(&desc), addr,
				       key,  0, peer,		context };

	return post(handle->ep, &call, true, handle->send_flags & ~RDM_INJECT);
}

static ssize_t rma_readv(struct fid_ep *fid, const struct iovec *iov,
			 void **desc, size_t count, fi_addr_t peer,
			 uint64_t addr, uint64_t key, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct rma_call call = { iov, count, desc, addr,
				       key, 0,	   peer, context };

	return post(handle->ep, &call, true, handle->send_flags & ~RDM_INJECT);
}

/* Ranges of the peer that are as long as ours, or the call is a mistake. */
static bool take_ranges(const struct efa_domain *domain,
			const struct fi_msg_rma *msg,
			struct dev_range at[RDM_IOV_MAX])
{
	size_t left;

	if (!msg->iov_count || msg->iov_count > RDM_IOV_MAX ||
	    !msg->rma_iov_count || msg->rma_iov_count > RDM_IOV_MAX)
		return false;
	left = iov_len(msg->msg_iov, msg->iov_count);
	for (size_t i = 0; i < msg->rma_iov_count; i++) {
		const struct fi_rma_iov *iov = &msg->rma_iov[i];

		if (iov->len > left || !efa_domain_has_key(domain, iov->key))
			return false;
		at[i] = (struct dev_range){ iov->addr, iov->len, iov->key };
		left -= iov->len;
	}
	return !left;
}

static ssize_t post_msg(struct fid_ep *fid, const struct fi_msg_rma *msg,
			bool read, uint64_t flags)
{
	struct efa_ep *ep = efa_ep_of(fid);
	struct dev_range at[RDM_IOV_MAX];
	struct rma_call call;
	int ret = efa_tx_check(ep, flags, msg->addr);

	if (u_unlikely(ret))
		return ret;
	if (!take_ranges(ep->domain, msg, at))
		return -FI_EINVAL;
	call = (struct rma_call){
		.iov = msg->msg_iov,
		.count = msg->iov_count,
		.desc = msg->desc,
		.data = msg->data,
		.peer = msg->addr,
		.context = msg->context,
	};
	if (read)
		flags &= ~(FI_INJECT | FI_REMOTE_CQ_DATA);
	return post_at(ep, &call, at, msg->rma_iov_count, read,
		       efa_tx_flags(ep, flags));
}

static ssize_t rma_readmsg(struct fid_ep *ep, const struct fi_msg_rma *msg,
			   uint64_t flags)
{
	return post_msg(ep, msg, true, flags);
}

/* ---- write --------------------------------------------------------------- */

static ssize_t rma_write(struct fid_ep *fid, const void *buf, size_t len,
			 void *desc, fi_addr_t peer, uint64_t addr,
			 uint64_t key, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct iovec iov = efa_iov(buf, len);
	const struct rma_call call = { &iov, 1, efa_one(&desc), addr,
				       key,  0, peer,		context };

	return post(handle->ep, &call, false, handle->send_flags);
}

static ssize_t rma_writev(struct fid_ep *fid, const struct iovec *iov,
			  void **desc, size_t count, fi_addr_t peer,
			  uint64_t addr, uint64_t key, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct rma_call call = { iov, count, desc, addr,
				       key, 0,	   peer, context };

	return post(handle->ep, &call, false, handle->send_flags);
}

static ssize_t rma_writemsg(struct fid_ep *ep, const struct fi_msg_rma *msg,
			    uint64_t flags)
{
	return post_msg(ep, msg, false, flags);
}

static ssize_t rma_inject(struct fid_ep *ep, const void *buf, size_t len,
			  fi_addr_t peer, uint64_t addr, uint64_t key)
{
	const struct iovec iov = efa_iov(buf, len);
	const struct rma_call call = { &iov, 1, NULL, addr, key, 0, peer, NULL };

	return post(efa_ep_of(ep), &call, false, RDM_INJECT);
}

static ssize_t rma_writedata(struct fid_ep *fid, const void *buf, size_t len,
			     void *desc, uint64_t data, fi_addr_t peer,
			     uint64_t addr, uint64_t key, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct iovec iov = efa_iov(buf, len);
	const struct rma_call call = { &iov, 1,	   efa_one(&desc), addr,
				       key,  data, peer,	   context };

	return post(handle->ep, &call, false, handle->send_flags | RDM_DATA);
}

static ssize_t rma_injectdata(struct fid_ep *ep, const void *buf, size_t len,
			      uint64_t data, fi_addr_t peer, uint64_t addr,
			      uint64_t key)
{
	const struct iovec iov = efa_iov(buf, len);
	const struct rma_call call = { &iov, 1,	   NULL, addr,
				       key,  data, peer, NULL };

	return post(efa_ep_of(ep), &call, false, RDM_INJECT | RDM_DATA);
}

struct fi_ops_rma efa_rma_ops = {
	.size = sizeof(struct fi_ops_rma),
	.read = rma_read,
	.readv = rma_readv,
	.readmsg = rma_readmsg,
	.write = rma_write,
	.writev = rma_writev,
	.writemsg = rma_writemsg,
	.inject = rma_inject,
	.writedata = rma_writedata,
	.injectdata = rma_injectdata,
};
