/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_pull.c - the bytes of a message that we read from the sender's memory
 *
 * All of a long-read message, and what is behind the copied head of a runting
 * one. A device that cannot read into the receive's buffer ends that: once
 * what is under way is done the sender is told (READ_NACK) and sends the rest
 * in packets, or the message fails when it is one that does not know how.
 */
#include "rdm/rdm_move.h"

#include <errno.h>

uint64_t rdm_iov_at(const struct rdm_pkt_iov *iov, uint32_t n, uint64_t offset,
		    uint64_t *addr, uint64_t *key)
{
	for (uint32_t i = 0; i < n; i++) {
		if (offset < iov[i].len) {
			*addr = iov[i].addr + offset;
			*key = iov[i].key;
			return iov[i].len - offset;
		}
		offset -= iov[i].len;
	}
	return 0;
}

/* What the user has room for, of what is not copied. */
static uint64_t wanted(const struct rdm_msg *msg)
{
	return u_max(msg->runt, u_min(msg->total, msg->rx->capacity));
}

/* 0, -EAGAIN no room, -ENOMEM the device cannot read into that buffer. */
static int read_post(struct rdm_ep *ep, struct rdm_msg *msg, uint64_t want)
{
	struct iovec local[RDM_IOV_MAX];
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_MSG, u_pool_id(msg)),
		.ah = msg->peer->ah,
		.op = DEV_READ,
		.iov = local,
		.iovcnt = 1,
	};
	int ret;

	wr.len = rdm_iov_at(msg->read_iov, msg->iovcnt, msg->asked, &wr.remote,
			    &wr.rkey);
	wr.len = u_min(wr.len, want - msg->asked);
	wr.len = u_min(wr.len, ep->config.dev->info.max_rdma);
	rdm_iov_slice(msg->rx->iov, msg->rx->iovcnt, msg->asked, wr.len, local);
	wr.len = local[0].iov_len;
	wr.mr = msg->rx->mr[rdm_iov_index(msg->rx->iov, msg->rx->iovcnt,
					  msg->asked)];
	ret = dev_post(ep->qp, &wr, 1);
	if (ret != 1)
		return ret == -ENOMEM || ret == -EINVAL ? -ENOMEM : -EAGAIN;
	msg->asked += wr.len;
	if (!wr.done)
		msg->reads++;
	return 0;
}

/* False: no room at the device. */
static bool read_all(struct rdm_ep *ep, struct rdm_msg *msg)
{
	uint64_t want = wanted(msg);
	int ret = 0;

	while (!msg->err && !msg->refused && msg->asked < want) {
		ret = ep->features & RDM_FEATURE_READ ?
			      read_post(ep, msg, want) :
			      -ENOMEM;
		if (ret == -EAGAIN)
			return false;
		msg->refused = ret != 0;
	}
	return true;
}

/* The sender is to send what we cannot read. */
static U_COLD void refuse(struct rdm_ep *ep, struct rdm_msg *msg)
{
	struct rdm_pkt nack = {
		.type = RDM_PKT_READ_NACK,
		.send_id = msg->send_id,
		.recv_id = u_pool_id(msg),
	};

	if (!(msg->peer->features & RDM_FEATURE_READ_NACK)) {
		rdm_msg_fail(ep, msg, RDM_ERR_NOMEM);
		return;
	}
	msg->state = RDM_MSG_NACKED;
	rdm_ctl_send(ep, msg->peer, &nack);
}

/* All reads are posted: is the message whole? */
static void settle(struct rdm_ep *ep, struct rdm_msg *msg)
{
	if (msg->reads)
		return;
	if (msg->err)
		rdm_msg_finish(ep, msg);
	else if (msg->in.got < msg->in.total)
		return; /* of a runting message more is to come */
	else if (msg->refused)
		refuse(ep, msg);
	else
		rdm_msg_finish(ep, msg);
}

void rdm_pull(struct rdm_ep *ep, struct rdm_msg *msg)
{
	if (!read_all(ep, msg)) {
		if (!msg->queued)
			TAILQ_INSERT_TAIL(&ep->reading, msg, queue);
		msg->queued = true;
		ep->busy = true;
	} else if (!msg->queued) {
		settle(ep, msg);
	}
}

void rdm_pull_wc(struct rdm_ep *ep, struct rdm_msg *msg,
		 const struct dev_wc *wc)
{
	assert(msg->reads);
	msg->reads--;
	if (wc->status == DEV_BAD_LKEY && !msg->err) {
		msg->refused = true;
	} else if (wc->status && !msg->err) {
		msg->err = rdm_peer_err(msg->peer, wc->status);
	}
	if (!msg->reads && !msg->queued)
		settle(ep, msg);
}

void rdm_pull_resume(struct rdm_ep *ep)
{
	struct rdm_msg *msg = TAILQ_FIRST(&ep->reading);

	while (msg) {
		struct rdm_msg *next = TAILQ_NEXT(msg, queue);

		if (read_all(ep, msg)) {
			TAILQ_REMOVE(&ep->reading, msg, queue);
			msg->queued = false;
			settle(ep, msg);
		}
		msg = next;
	}
}
