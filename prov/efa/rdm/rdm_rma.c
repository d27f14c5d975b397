/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_rma.c - remote memory access by the device's RDMA read and write
 *
 * The peer's features must be known first: an operation that is early asks for
 * its HANDSHAKE (a write request of nothing) and waits on peer->parked.
 */
#include "rdm/rdm_ep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool peer_can(const struct rdm_ep *ep, const struct rdm_peer *peer,
		     bool read)
{
	return peer->features & ep->features &
	       (read ? RDM_FEATURE_READ : RDM_FEATURE_WRITE);
}

static int rma_post(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct iovec local = tx->iov[0];
	uint64_t part = u_min(tx->len - tx->sent,
			      ep->config.dev->info.max_rdma);
	bool last = part == tx->len - tx->sent;
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_TX, u_pool_id(tx)),
		.ah = tx->peer->ah,
		.op = tx->kind == RDM_TX_READ ? DEV_READ : DEV_WRITE,
		.iov = &local,
		.iovcnt = 1,
		.len = part,
		.rkey = tx->key,
		.remote = tx->remote + tx->sent,
		.mr = tx->copy ? NULL : tx->local_mr,
	};
	int ret;

	local.iov_base = (char *)local.iov_base + tx->sent;
	local.iov_len = part;
	if (last && (tx->flags & RDM_DATA)) {
		wr.op = DEV_WRITE_IMM;
		wr.imm = (uint32_t)tx->data;
	}
	ret = dev_post(ep->qp, &wr, 1);
	if (ret != 1)
		return ret ? ret : -EAGAIN;
	tx->sent += part;
	if (!wr.done)
		tx->wrs++;
	if (last)
		tx->state = RDM_TX_SENT;
	return 0;
}

bool rdm_rma_resume(struct rdm_ep *ep, struct rdm_tx *tx)
{
	if (!peer_can(ep, tx->peer, tx->kind == RDM_TX_READ)) {
		tx->err = DEV_FEATURE;
		tx->state = RDM_TX_SENT;
		return true;
	}
	while (tx->state == RDM_TX_SENDING) {
		int ret = rma_post(ep, tx);

		if (ret == -EAGAIN)
			return false;
		if (ret) {
			tx->err = DEV_BAD_OP;
			tx->state = RDM_TX_SENT;
		}
	}
	return true;
}

/*
 * Asks for the HANDSHAKE as a packet of the operation itself, so that it fails
 * with the packet when the peer cannot be reached.
 */
static int park(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_pkt pkt = { .type = RDM_PKT_EAGER_RTW };
	uint8_t hdr[RDM_PKT_HDR_MAX];
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_TX, u_pool_id(tx)),
		.ah = tx->peer->ah,
		.op = DEV_SEND,
		.hdr = hdr,
	};
	int ret;

	rdm_pkt_identity(ep, tx->peer, &pkt);
	wr.hdr_len = rdm_pkt_build(hdr, &pkt);
	ret = dev_post(ep->qp, &wr, 1);
	if (ret != 1)
		return ret ? ret : -EAGAIN;
	if (!wr.done)
		tx->wrs++;
	tx->state = RDM_TX_PARKED;
	TAILQ_INSERT_TAIL(&tx->peer->parked, tx, queue);
	return 0;
}

static int tx_fill(struct rdm_tx *tx, struct rdm_peer *peer,
		   const struct rdm_rma *op, uint64_t len)
{
	struct rdm_send send = {
		.iov = op->iov,
		.iovcnt = 1,
		.flags = op->flags,
		.data = op->data,
		.context = op->context,
	};

	rdm_tx_init(tx, peer, &send, len);
	tx->kind = op->read ? RDM_TX_READ : RDM_TX_WRITE;
	tx->remote = op->remote;
	tx->key = op->key;
	tx->local_mr = op->mr;
	if ((op->flags & RDM_INJECT) && len) {
		tx->copy = malloc(len);
		if (!tx->copy)
			return -ENOMEM;
		memcpy(tx->copy, op->iov[0].iov_base, len);
		tx->iov[0].iov_base = tx->copy;
	}
	return 0;
}

int rdm_rma(struct rdm_ep *ep, const struct rdm_rma *op)
{
	struct rdm_peer *peer = rdm_peer_at(ep, op->to);
	uint64_t len = op->iov[0].iov_len;
	struct rdm_tx *tx;
	int ret;

	if (!peer)
		return -EINVAL;
	if (peer->shaken && !peer_can(ep, peer, op->read))
		return -EOPNOTSUPP;
	tx = u_pool_get(&ep->txs);
	if (!tx)
		return -EAGAIN;
	if (tx_fill(tx, peer, op, len)) {
		rdm_tx_free(ep, tx);
		return -ENOMEM;
	}
	tx->state = RDM_TX_SENDING;
	ret = peer->shaken ? rma_post(ep, tx) : park(ep, tx);
	if (ret) {
		rdm_tx_free(ep, tx);
		return ret;
	}
	if (tx->state == RDM_TX_PARKED)
		return 0;
	if (rdm_rma_resume(ep, tx))
		rdm_tx_settle(ep, tx);
	else
		rdm_tx_queue(ep, tx);
	return 0;
}

void rdm_rma_written(struct rdm_ep *ep, const struct dev_wc *wc)
{
	struct rdm_peer *peer = rdm_peer_identify(ep, wc->source, NULL);
	struct rdm_comp comp = {
		.len = wc->len,
		.data = wc->imm,
		.source = peer ? rdm_peer_index(ep, peer) : RDM_ADDR_NONE,
		.kind = RDM_COMP_REMOTE_WRITE,
		.flags = RDM_COMP_DATA,
	};

	rdm_count(ep, RDM_CNTR_REMOTE_WRITE, true);
	rdm_cq_push(ep->config.rx_cq, &comp);
}
