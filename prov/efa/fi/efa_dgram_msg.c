/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_dgram_msg.c - the message calls of datagram endpoints
 */
#include "fi/efa.h"

static ssize_t dgram_recv(struct fid_ep *ep, void *buf, size_t len, void *desc,
			  fi_addr_t src, void *context)
{
	const struct iovec iov = { buf, len };

	return efa_dgram_recv(efa_ep_of(ep), &iov, &desc, 1,
			      efa_handle_of(ep)->recv_flags, context);
}

static ssize_t dgram_recvv(struct fid_ep *ep, const struct iovec *iov,
			   void **desc, size_t iovcnt, fi_addr_t src,
			   void *context)
{
	return efa_dgram_recv(efa_ep_of(ep), iov, desc, iovcnt,
			      efa_handle_of(ep)->recv_flags, context);
}

static ssize_t dgram_recvmsg(struct fid_ep *fid, const struct fi_msg *msg,
			     uint64_t flags)
{
	struct efa_ep *ep = efa_ep_of(fid);

	if (flags & ~(FI_COMPLETION | FI_MORE))
		return -FI_EOPNOTSUPP;
	return efa_dgram_recv(ep, msg->msg_iov, msg->desc, msg->iov_count,
			      efa_rx_flags(ep, flags), msg->context);
}

static ssize_t dgram_send(struct fid_ep *ep, const void *buf, size_t len,
			  void *desc, fi_addr_t dest, void *context)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, len };

	return efa_dgram_send(efa_ep_of(ep), &iov, &desc, 1, dest,
			      efa_handle_of(ep)->send_flags, 0, context);
}

static ssize_t dgram_sendv(struct fid_ep *ep, const struct iovec *iov,
			   void **desc, size_t iovcnt, fi_addr_t dest,
			   void *context)
{
	return efa_dgram_send(efa_ep_of(ep), iov, desc, iovcnt, dest,
			      efa_handle_of(ep)->send_flags, 0, context);
}

static ssize_t dgram_sendmsg(struct fid_ep *fid, const struct fi_msg *msg,
			     uint64_t flags)
{
	struct efa_ep *ep = efa_ep_of(fid);

	if (flags & (EFA_TX_REFUSED | FI_DELIVERY_COMPLETE))
		return -FI_EOPNOTSUPP;
	return efa_dgram_send(ep, msg->msg_iov, msg->desc, msg->iov_count,
			      msg->addr, efa_tx_flags(ep, flags), msg->data,
			      msg->context);
}

static ssize_t dgram_inject(struct fid_ep *ep, const void *buf, size_t len,
			    fi_addr_t dest)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, len };

	return efa_dgram_send(efa_ep_of(ep), &iov, NULL, 1, dest, RDM_INJECT, 0,
			      NULL);
}

static ssize_t dgram_senddata(struct fid_ep *ep, const void *buf, size_t len,
			      void *desc, uint64_t data, fi_addr_t dest,
			      void *context)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, len };

	return efa_dgram_send(efa_ep_of(ep), &iov, &desc, 1, dest,
			      efa_handle_of(ep)->send_flags | RDM_DATA, data,
			      context);
}

static ssize_t dgram_injectdata(struct fid_ep *ep, const void *buf, size_t len,
				uint64_t data, fi_addr_t dest)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, len };

	return efa_dgram_send(efa_ep_of(ep), &iov, NULL, 1, dest,
			      RDM_INJECT | RDM_DATA, data, NULL);
}

struct fi_ops_msg efa_dgram_msg_ops = {
	.size = sizeof(struct fi_ops_msg),
	.recv = dgram_recv,
	.recvv = dgram_recvv,
	.recvmsg = dgram_recvmsg,
	.send = dgram_send,
	.sendv = dgram_sendv,
	.sendmsg = dgram_sendmsg,
	.inject = dgram_inject,
	.senddata = dgram_senddata,
	.injectdata = dgram_injectdata,
};
