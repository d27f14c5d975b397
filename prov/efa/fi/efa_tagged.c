/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_tagged.c - messages with tags
 */
#include "fi/efa.h"

/* ---- receiving ----------------------------------------------------------- */

static ssize_t tagged_recv(struct fid_ep *fid, void *buf, size_t len,
			   void *desc, fi_addr_t src, uint64_t tag,
			   uint64_t ignore, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct iovec iov = { buf, len };

	return efa_post_recv(handle->ep, &iov, 1, efa_one(&desc),
			     handle->trecv_flags, src, tag, ignore, context);
}

static ssize_t tagged_recvv(struct fid_ep *fid, const struct iovec *iov,
			    void **desc, size_t count, fi_addr_t src,
			    uint64_t tag, uint64_t ignore, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);

	if (count > RDM_IOV_MAX)
		return -FI_EINVAL;
	return efa_post_recv(handle->ep, iov, count, desc, handle->trecv_flags,
			     src, tag, ignore, context);
}

static ssize_t tagged_recvmsg(struct fid_ep *ep,
			      const struct fi_msg_tagged *msg, uint64_t flags)
{
	struct rdm_recv op = {
		.iov = msg->msg_iov,
		.iovcnt = (uint32_t)u_min(msg->iov_count, UINT32_MAX),
		.mr = msg->desc,
		.flags = RDM_TAGGED,
		.from = msg->addr,
		.tag = msg->tag,
		.ignore = msg->ignore,
		.context = msg->context,
	};

	if (flags & FI_MULTI_RECV)
		return -FI_EOPNOTSUPP;
	return efa_recv_op(efa_ep_of(ep), &op, flags);
}

/* ---- sending ------------------------------------------------------------- */

static ssize_t tagged_send(struct fid_ep *fid, const void *buf, size_t len,
			   void *desc, fi_addr_t dest, uint64_t tag,
			   void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct iovec iov = efa_iov(buf, len);

	return efa_post_send(handle->ep, &iov, 1, efa_one(&desc),
			     handle->tsend_flags, 0, dest, tag, context);
}

static ssize_t tagged_sendv(struct fid_ep *fid, const struct iovec *iov,
			    void **desc, size_t count, fi_addr_t dest,
			    uint64_t tag, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);

	if (count > RDM_IOV_MAX)
		return -FI_EINVAL;
	return efa_post_send(handle->ep, iov, count, desc, handle->tsend_flags,
			     0, dest, tag, context);
}

static ssize_t tagged_sendmsg(struct fid_ep *fid,
			      const struct fi_msg_tagged *msg, uint64_t flags)
{
	struct efa_ep *ep = efa_ep_of(fid);
	int ret = efa_tx_check(ep, flags, msg->addr);

	if (msg->iov_count > RDM_IOV_MAX)
		return -FI_EINVAL;
	if (u_unlikely(ret))
		return ret;
	return efa_post_send(ep, msg->msg_iov, msg->iov_count, msg->desc,
			     efa_tx_flags(ep, flags) | RDM_TAGGED, msg->data,
			     msg->addr, msg->tag, msg->context);
}

static ssize_t tagged_inject(struct fid_ep *fid, const void *buf, size_t len,
			     fi_addr_t dest, uint64_t tag)
{
	const struct iovec iov = efa_iov(buf, len);

	return efa_post_send(efa_ep_of(fid), &iov, 1, NULL,
			     RDM_INJECT | RDM_TAGGED, 0, dest, tag, NULL);
}

static ssize_t tagged_senddata(struct fid_ep *fid, const void *buf, size_t len,
			       void *desc, uint64_t data, fi_addr_t dest,
			       uint64_t tag, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct iovec iov = efa_iov(buf, len);

	return efa_post_send(handle->ep, &iov, 1, efa_one(&desc),
			     handle->tsend_flags | RDM_DATA, data, dest, tag,
			     context);
}

static ssize_t tagged_injectdata(struct fid_ep *fid, const void *buf,
				 size_t len, uint64_t data, fi_addr_t dest,
				 uint64_t tag)
{
	const struct iovec iov = efa_iov(buf, len);

	return efa_post_send(efa_ep_of(fid), &iov, 1, NULL,
			     RDM_INJECT | RDM_TAGGED | RDM_DATA, data, dest,
			     tag, NULL);
}

struct fi_ops_tagged efa_tagged_ops = {
	.size = sizeof(struct fi_ops_tagged),
	.recv = tagged_recv,
	.recvv = tagged_recvv,
	.recvmsg = tagged_recvmsg,
	.send = tagged_send,
	.sendv = tagged_sendv,
	.sendmsg = tagged_sendmsg,
	.inject = tagged_inject,
	.senddata = tagged_senddata,
	.injectdata = tagged_injectdata,
};
