/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_bulk.c - bytes that we send in packets: the first one and all that follow
 *
 *   eager     one packet
 *   medium    slices that each say where they belong; no answer is waited for
 *   long-CTS  head and announcement; the rest when the receiver grants it
 *
 * The DC variants end with a RECEIPT. An operation that is under way and finds
 * no room waits on ep->sending. Writes in packets (rdm_emul.c) go on here.
 */
#include "rdm/rdm_move.h"

#include <errno.h>
#include <string.h>

void rdm_bulk_pkt(const struct rdm_ep *ep, const struct rdm_tx *tx,
		  struct rdm_pkt *pkt)
{
	memset(pkt, 0, offsetof(struct rdm_pkt, rma_iov));
	pkt->type = tx->type;
	pkt->msg_id = tx->msg_id;
	pkt->send_id = u_pool_id(tx);
	pkt->recv_id = pkt->send_id;
	pkt->tag = tx->tag;
	pkt->total = tx->len;
	if (tx->flags & RDM_DATA) {
		pkt->flags |= RDM_PKT_CQ_DATA;
		pkt->cq_data = tx->data;
	}
	pkt->rma_iovcnt = tx->rma_iovcnt;
	for (uint32_t i = 0; i < tx->rma_iovcnt; i++)
		pkt->rma_iov[i] = tx->rma_iov[i];
	rdm_pkt_identity(ep, tx->peer, pkt);
}

/*
 * A peer short of memory may hold back what begins a message, but not the rest
 * of one: it may be what its user waits for.
 */
static bool may_wait(const struct rdm_tx *tx, const struct rdm_pkt *pkt,
		     uint64_t offset)
{
	return tx->kind == RDM_TX_MSG && pkt->type >= RDM_PKT_REQ && !offset &&
	       !(pkt->flags & RDM_PKT_AFTER_NACK);
}

int rdm_bulk_post(struct rdm_ep *ep, struct rdm_tx *tx,
		  const struct rdm_pkt *pkt, uint64_t offset, uint64_t len)
{
	uint8_t hdr[RDM_PKT_HDR_MAX];
	struct iovec iov[RDM_IOV_MAX];
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_TX, u_pool_id(tx)),
		.ah = tx->peer->ah,
		.op = DEV_SEND,
		.flags = may_wait(tx, pkt, offset) ? DEV_WR_REQUEST : 0,
		.hdr = hdr,
		.hdr_len = rdm_pkt_build(hdr, pkt),
		.iov = iov,
		.len = len,
	};
	int ret;

	wr.iovcnt =
		(uint16_t)rdm_iov_slice(tx->iov, tx->iovcnt, offset, len, iov);
	ret = dev_post(ep->qp, &wr, 1);
	if (ret != 1)
		return ret ? ret : -EAGAIN;
	if (wr.done)
		tx->acked = true;
	else
		tx->wrs++;
	return 0;
}

uint8_t rdm_bulk_type(const struct rdm_tx *tx, const uint8_t types[4])
{
	return types[(tx->flags & RDM_TAGGED ? 1 : 0) +
		     (tx->flags & RDM_DELIVERY ? 2 : 0)];
}

int rdm_eager_post(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_pkt pkt;
	int ret;

	rdm_bulk_pkt(ep, tx, &pkt);
	if (tx->len > ep->mtu - rdm_pkt_hdr_len(&pkt))
		return -EMSGSIZE;
	ret = rdm_bulk_post(ep, tx, &pkt, 0, tx->len);
	if (ret)
		return ret;
	tx->sent = tx->len;
	tx->wait_done = tx->flags & RDM_DELIVERY;
	tx->state = RDM_TX_SENT;
	return 0;
}

int rdm_eager_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	static const uint8_t types[4] = { RDM_PKT_EAGER_MSGRTM,
					  RDM_PKT_EAGER_TAGRTM,
					  RDM_PKT_DC_EAGER_MSGRTM,
					  RDM_PKT_DC_EAGER_TAGRTM };

	tx->type = rdm_bulk_type(tx, types);
	return rdm_eager_post(ep, tx);
}

/* ---- slices ------------------------------------------------------------- */

#define SLICE_ALIGN UINT64_C(8)

void rdm_slices_plan(const struct rdm_ep *ep, struct rdm_tx *tx,
		     const struct rdm_pkt *pkt, uint64_t len)
{
	uint64_t cap = ep->mtu - rdm_pkt_hdr_len(pkt);
	uint64_t count = (len + cap - 1) / cap;

	tx->slice = (len + count - 1) / count & ~(SLICE_ALIGN - 1);
}

bool rdm_slices_post(struct rdm_ep *ep, struct rdm_tx *tx, struct rdm_pkt *pkt,
		     uint64_t len)
{
	uint64_t cap = ep->mtu - rdm_pkt_hdr_len(pkt);

	while (tx->sent < len) {
		uint64_t left = len - tx->sent;
		uint64_t part = left <= cap ? left : tx->slice;

		pkt->offset = tx->sent;
		if (rdm_bulk_post(ep, tx, pkt, tx->sent, part))
			return false;
		tx->sent += part;
	}
	return true;
}

static bool medium_resume(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_pkt pkt;

	rdm_bulk_pkt(ep, tx, &pkt);
	if (!tx->slice)
		rdm_slices_plan(ep, tx, &pkt, tx->len);
	if (!rdm_slices_post(ep, tx, &pkt, tx->len))
		return false;
	tx->state = RDM_TX_SENT;
	return true;
}

int rdm_medium_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	static const uint8_t types[4] = { RDM_PKT_MEDIUM_MSGRTM,
					  RDM_PKT_MEDIUM_TAGRTM,
					  RDM_PKT_DC_MEDIUM_MSGRTM,
					  RDM_PKT_DC_MEDIUM_TAGRTM };

	tx->type = rdm_bulk_type(tx, types);
	tx->state = RDM_TX_SENDING;
	if (!medium_resume(ep, tx) && !tx->sent)
		return -EAGAIN;
	tx->wait_done = tx->flags & RDM_DELIVERY;
	return 0;
}

/* ---- long-CTS ------------------------------------------------------------- */

const uint8_t rdm_longcts_types[4] = { RDM_PKT_LONGCTS_MSGRTM,
				       RDM_PKT_LONGCTS_TAGRTM,
				       RDM_PKT_DC_LONGCTS_MSGRTM,
				       RDM_PKT_DC_LONGCTS_TAGRTM };

int rdm_longcts_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_pkt pkt;
	uint64_t head;
	int ret;

	rdm_bulk_pkt(ep, tx, &pkt);
	pkt.credit = RDM_CTS_PKTS;
	head = u_min(tx->len, ep->mtu - rdm_pkt_hdr_len(&pkt));
	ret = rdm_bulk_post(ep, tx, &pkt, 0, head);
	if (ret)
		return ret;
	tx->sent = head;
	tx->wait_done = tx->flags & RDM_DELIVERY;
	tx->state = RDM_TX_WAIT_CTS;
	return 0;
}

static bool ctsdata_resume(struct rdm_ep *ep, struct rdm_tx *tx)
{
	while (tx->window) {
		struct rdm_pkt pkt = {
			.type = RDM_PKT_CTSDATA,
			.recv_id = tx->recv_id,
			.offset = tx->sent,
			.seg_len = u_min(tx->window, ep->mtu - RDM_CTSDATA_HDR),
		};

		rdm_pkt_identity(ep, tx->peer, &pkt);
		if (rdm_bulk_post(ep, tx, &pkt, tx->sent, pkt.seg_len))
			return false;
		tx->sent += pkt.seg_len;
		tx->window -= pkt.seg_len;
	}
	tx->state = tx->sent < tx->len ? RDM_TX_WAIT_CTS : RDM_TX_SENT;
	return true;
}

/* ---- answers ----------------------------------------------------------------- */

struct rdm_tx *rdm_tx_named(struct rdm_ep *ep, struct rdm_peer *peer,
			    uint32_t id)
{
	struct rdm_tx *tx = u_pool_at(&ep->txs, id);

	if (tx && tx->peer == peer)
		return tx;
	ep->stats.bad_packets++;
	return NULL;
}

void rdm_bulk_cts(struct rdm_ep *ep, struct rdm_peer *peer,
		  const struct rdm_pkt *pkt)
{
	struct rdm_tx *tx =
		rdm_error_named(ep, peer, pkt->send_id, pkt->recv_id);

	if (!tx)
		return;
	if (tx->state != RDM_TX_WAIT_CTS || !pkt->seg_len) {
		ep->stats.bad_packets++;
		return;
	}
	tx->granted = true;
	tx->recv_id = pkt->recv_id;
	tx->window = u_min(pkt->seg_len, tx->len - tx->sent);
	if (!peer->shaken) {
		tx->state = RDM_TX_PARKED;
		TAILQ_INSERT_TAIL(&peer->parked, tx, queue);
		return;
	}
	tx->state = RDM_TX_SENDING;
	if (ctsdata_resume(ep, tx))
		rdm_tx_settle(ep, tx);
	else
		rdm_tx_queue(ep, tx);
}

static bool is_runt(const struct rdm_tx *tx)
{
	return tx->type == RDM_PKT_RUNTREAD_MSGRTM ||
	       tx->type == RDM_PKT_RUNTREAD_TAGRTM;
}

/* A peer may have read the rest before all of the head is out. */
void rdm_bulk_done(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt)
{
	struct rdm_tx *tx = rdm_tx_named(ep, peer, pkt->send_id);

	if (!tx)
		return;
	if (!tx->wait_done || tx->kind == RDM_TX_READ ||
	    tx->kind == RDM_TX_FETCH ||
	    (tx->state != RDM_TX_SENT && !is_runt(tx))) {
		ep->stats.bad_packets++;
		return;
	}
	tx->wait_done = false;
	rdm_tx_settle(ep, tx);
}

bool rdm_bulk_resume(struct rdm_ep *ep, struct rdm_tx *tx)
{
	if (u_unlikely(tx->nacked))
		return rdm_nacked_resume(ep, tx);
	if (u_unlikely(is_runt(tx)))
		return rdm_runt_resume(ep, tx);
	switch (tx->type) {
	case RDM_PKT_MEDIUM_MSGRTM:
	case RDM_PKT_MEDIUM_TAGRTM:
	case RDM_PKT_DC_MEDIUM_MSGRTM:
	case RDM_PKT_DC_MEDIUM_TAGRTM:
		return medium_resume(ep, tx);
	default:
		return ctsdata_resume(ep, tx);
	}
}
