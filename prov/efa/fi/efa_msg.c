/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_msg.c - messages without tags
 *
 * Descriptors of local buffers are not needed; they tell which operations end
 * with a region.
 */
#include "fi/efa.h"

/* ---- receiving ----------------------------------------------------------- */

ssize_t efa_recv_op(struct efa_ep *ep, struct rdm_recv *op, uint64_t flags)
{
	int ret;

	if (op->iovcnt > RDM_IOV_MAX)
		return -FI_EINVAL;
	if (u_unlikely(flags & FI_TRIGGER))
		return efa_refusal(flags);
	op->flags |= efa_rx_flags(ep, flags);
	op->from |= ep->any_source;
	u_lock(&ep->lock);
	if (flags & FI_PEEK)
		ret = rdm_peek(ep->rdm, op);
	else
		ret = rdm_recv(ep->rdm, op);
	efa_ep_unlock(ep);
	return ret;
}

static ssize_t msg_recv(struct fid_ep *fid, void *buf, size_t len, void *desc,
			fi_addr_t src, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct iovec iov = { buf, len };

	return efa_post_recv(handle->ep, &iov, 1, efa_one(&desc),
			     handle->recv_flags, src, 0, 0, context);
}

static ssize_t msg_recvv(struct fid_ep *fid, const struct iovec *iov,
			 void **desc, size_t count, fi_addr_t src,
			 void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);

	if (count > RDM_IOV_MAX)
		return -FI_EINVAL;
	return efa_post_recv(handle->ep, iov, count, desc, handle->recv_flags,
			     src, 0, 0, context);
}

static ssize_t msg_recvmsg(struct fid_ep *ep, const struct fi_msg *msg,
			   uint64_t flags)
{
	struct rdm_recv op = {
		.iov = msg->msg_iov,
		.iovcnt = (uint32_t)u_min(msg->iov_count, UINT32_MAX),
		.mr = msg->desc,
		.from = msg->addr,
		.context = msg->context,
	};

	return efa_recv_op(efa_ep_of(ep), &op, flags);
}

/* ---- sending ------------------------------------------------------------- */

/* Triggered operations are not there at all, others not in this call. */
U_COLD int efa_refusal(uint64_t flags)
{
	return flags & FI_TRIGGER ? -FI_ENOSYS : -FI_EOPNOTSUPP;
}

U_COLD int efa_tx_hold(struct efa_ep *ep, uint64_t flags, fi_addr_t to)
{
	bool settled;

	if ((flags & EFA_TX_REFUSED) || !ep->rdm)
		return efa_refusal(flags);
	u_lock(&ep->lock);
	settled = rdm_is_settled(ep->rdm, to);
	u_unlock(&ep->lock);
	return settled ? 0 : -FI_EAGAIN;
}

static ssize_t msg_send(struct fid_ep *fid, const void *buf, size_t len,
			void *desc, fi_addr_t dest, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct iovec iov = efa_iov(buf, len);

	return efa_post_send(handle->ep, &iov, 1, efa_one(&desc),
			     handle->send_flags, 0, dest, 0, context);
}

static ssize_t msg_sendv(struct fid_ep *fid, const struct iovec *iov,
			 void **desc, size_t count, fi_addr_t dest,
			 void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);

	if (count > RDM_IOV_MAX)
		return -FI_EINVAL;
	return efa_post_send(handle->ep, iov, count, desc, handle->send_flags,
			     0, dest, 0, context);
}

static ssize_t msg_sendmsg(struct fid_ep *fid, const struct fi_msg *msg,
			   uint64_t flags)
{
	struct efa_ep *ep = efa_ep_of(fid);
	int ret = efa_tx_check(ep, flags, msg->addr);

	if (msg->iov_count > RDM_IOV_MAX)
		return -FI_EINVAL;
	if (u_unlikely(ret))
		return ret;
	return efa_post_send(ep, msg->msg_iov, msg->iov_count, msg->desc,
			     efa_tx_flags(ep, flags), msg->data, msg->addr, 0,
			     msg->context);
}

static ssize_t msg_inject(struct fid_ep *fid, const void *buf, size_t len,
			  fi_addr_t dest)
{
	const struct iovec iov = efa_iov(buf, len);

	return efa_post_send(efa_ep_of(fid), &iov, 1, NULL, RDM_INJECT, 0, dest,
			     0, NULL);
}

static ssize_t msg_senddata(struct fid_ep *fid, const void *buf, size_t len,
			    void *desc, uint64_t data, fi_addr_t dest,
			    void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct iovec iov = efa_iov(buf, len);

	return efa_post_send(handle->ep, &iov, 1, efa_one(&desc),
			     handle->send_flags | RDM_DATA, data, dest, 0,
			     context);
}

static ssize_t msg_injectdata(struct fid_ep *fid, const void *buf, size_t len,
			      uint64_t data, fi_addr_t dest)
{
	const struct iovec iov = efa_iov(buf, len);

	return efa_post_send(efa_ep_of(fid), &iov, 1, NULL,
			     RDM_INJECT | RDM_DATA, data, dest, 0, NULL);
}

struct fi_ops_msg efa_msg_ops = {
	.size = sizeof(struct fi_ops_msg),
	.recv = msg_recv,
	.recvv = msg_recvv,
	.recvmsg = msg_recvmsg,
	.send = msg_send,
	.sendv = msg_sendv,
	.sendmsg = msg_sendmsg,
	.inject = msg_inject,
	.senddata = msg_senddata,
	.injectdata = msg_injectdata,
};
