/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_thin_msg.c - the message calls of thin endpoints
 */
#include "fi/efa_thin.h"

static ssize_t thin_recv(struct fid_ep *ep, void *buf, size_t len, void *desc,
			 fi_addr_t src, void *context)
{
	const struct iovec iov = { buf, len };

	return efa_thin_recv(efa_ep_of(ep), &iov, &desc, 1,
			     efa_handle_of(ep)->recv_flags, context);
}

static ssize_t thin_recvv(struct fid_ep *ep, const struct iovec *iov,
			  void **desc, size_t iovcnt, fi_addr_t src,
			  void *context)
{
	return efa_thin_recv(efa_ep_of(ep), iov, desc, iovcnt,
			     efa_handle_of(ep)->recv_flags, context);
}

static ssize_t thin_recvmsg(struct fid_ep *fid, const struct fi_msg *msg,
			    uint64_t flags)
{
	struct efa_ep *ep = efa_ep_of(fid);

	if (flags & ~(FI_COMPLETION | FI_MORE))
		return efa_refusal(flags);
	return efa_thin_recv(ep, msg->msg_iov, msg->desc, msg->iov_count,
			     efa_rx_flags(ep, flags), msg->context);
}

static ssize_t thin_send(struct fid_ep *ep, const void *buf, size_t len,
			 void *desc, fi_addr_t dest, void *context)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, len };

	return efa_thin_send(efa_ep_of(ep), &iov, &desc, 1, dest,
			     efa_handle_of(ep)->send_flags, 0, context);
}

static ssize_t thin_sendv(struct fid_ep *ep, const struct iovec *iov,
			  void **desc, size_t iovcnt, fi_addr_t dest,
			  void *context)
{
	return efa_thin_send(efa_ep_of(ep), iov, desc, iovcnt, dest,
			     efa_handle_of(ep)->send_flags, 0, context);
}

static ssize_t thin_sendmsg(struct fid_ep *fid, const struct fi_msg *msg,
			    uint64_t flags)
{
	struct efa_ep *ep = efa_ep_of(fid);
	uint64_t refused = EFA_TX_REFUSED | FI_FENCE;

	if (ep->domain->kind == EFA_DGRAM)
		refused |= EFA_TX_ANSWERED;
	if (flags & refused)
		return efa_refusal(flags);
	return efa_thin_send(ep, msg->msg_iov, msg->desc, msg->iov_count,
			     msg->addr, efa_tx_flags(ep, flags), msg->data,
			     msg->context);
}

static ssize_t thin_inject(struct fid_ep *ep, const void *buf, size_t len,
			   fi_addr_t dest)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, len };

	return efa_thin_send(efa_ep_of(ep), &iov, NULL, 1, dest, RDM_INJECT, 0,
			     NULL);
}

static ssize_t thin_senddata(struct fid_ep *ep, const void *buf, size_t len,
			     void *desc, uint64_t data, fi_addr_t dest,
			     void *context)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, len };

	return efa_thin_send(efa_ep_of(ep), &iov, &desc, 1, dest,
			     efa_handle_of(ep)->send_flags | RDM_DATA, data,
			     context);
}

static ssize_t thin_injectdata(struct fid_ep *ep, const void *buf, size_t len,
			       uint64_t data, fi_addr_t dest)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, len };

	return efa_thin_send(efa_ep_of(ep), &iov, NULL, 1, dest,
			     RDM_INJECT | RDM_DATA, data, NULL);
}

struct fi_ops_msg efa_thin_msg_ops = {
	.size = sizeof(struct fi_ops_msg),
	.recv = thin_recv,
	.recvv = thin_recvv,
	.recvmsg = thin_recvmsg,
	.send = thin_send,
	.sendv = thin_sendv,
	.sendmsg = thin_sendmsg,
	.inject = thin_inject,
	.senddata = thin_senddata,
	.injectdata = thin_injectdata,
};
