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

/* One piece: as much as lies in one local element and one device operation. */
static int rma_post(struct rdm_ep *ep, struct rdm_tx *tx)
{
	uint64_t left = tx->len - tx->sent;
	struct iovec local[RDM_IOV_MAX] = { { .iov_len = 0 } };
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_TX, u_pool_id(tx)),
		.ah = tx->peer->ah,
		.op = tx->kind == RDM_TX_READ ? DEV_READ : DEV_WRITE,
		.iov = local,
		.iovcnt = 1,
		.rkey = tx->key,
		.remote = tx->remote + tx->sent,
		.mr = tx->copy ? NULL : tx->local_mr,
	};
	bool last;
	int ret;

	rdm_iov_slice(tx->iov, tx->iovcnt, tx->sent,
		      u_min(left, ep->config.dev->info.max_rdma), local);
	wr.len = local[0].iov_len;
	last = wr.len == left;
	if (last && (tx->flags & RDM_DATA)) {
		wr.op = DEV_WRITE_IMM;
		wr.imm = (uint32_t)tx->data;
	}
	ret = dev_post(ep->qp, &wr, 1);
	if (ret != 1)
		return ret ? ret : -EAGAIN;
	tx->sent += wr.len;
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

/* An injected buffer is the caller's again: take the bytes. */
static int tx_copy(struct rdm_tx *tx)
{
	uint8_t *to = malloc(tx->len);

	if (!to)
		return -ENOMEM;
	tx->copy = to;
	for (uint32_t i = 0; i < tx->iovcnt; i++) {
		memcpy(to, tx->iov[i].iov_base, tx->iov[i].iov_len);
		to += tx->iov[i].iov_len;
	}
	tx->iov[0] = (struct iovec){ tx->copy, tx->len };
	tx->iovcnt = 1;
	return 0;
}

static int tx_fill(struct rdm_tx *tx, struct rdm_peer *peer,
		   const struct rdm_rma *op)
{
	struct rdm_send send = {
		.iov = op->iov,
		.iovcnt = op->iovcnt,
		.flags = op->flags,
		.data = op->data,
		.context = op->context,
	};

	rdm_tx_init(tx, peer, &send, rdm_iov_len(op->iov, op->iovcnt));
	tx->kind = op->read ? RDM_TX_READ : RDM_TX_WRITE;
	tx->remote = op->remote;
	tx->key = op->key;
	tx->local_mr = op->mr;
	return (op->flags & RDM_INJECT) && tx->len ? tx_copy(tx) : 0;
}

int rdm_rma(struct rdm_ep *ep, const struct rdm_rma *op)
{
	struct rdm_peer *peer = rdm_peer_at(ep, op->to);
	struct rdm_tx *tx;
	int ret;

	if (!peer)
		return -EINVAL;
	if (peer->shaken && !peer_can(ep, peer, op->read))
		return -EOPNOTSUPP;
	tx = u_pool_get(&ep->txs);
	if (!tx)
		return -EAGAIN;
	if (tx_fill(tx, peer, op)) {
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
