/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_bulk.c - messages as packets: the first one and all that follow
 *
 *   eager     one packet
 *   medium    slices that each say where they belong; no answer is waited for
 *   long-CTS  head and announcement; the rest when the receiver grants it
 *   long-read announcement; the receiver reads the bytes and says EOR
 *
 * The DC variants of the first three end with a RECEIPT. A message that is
 * under way and finds no room waits on ep->sending.
 */
#include "rdm/rdm_ep.h"

#include <errno.h>
#include <string.h>

#define CTSDATA_HDR 32

static void pkt_of(const struct rdm_ep *ep, const struct rdm_tx *tx,
		   struct rdm_pkt *pkt)
{
	memset(pkt, 0, offsetof(struct rdm_pkt, rma_iov));
	pkt->type = tx->type;
	pkt->msg_id = tx->msg_id;
	pkt->send_id = u_pool_id(tx);
	pkt->tag = tx->tag;
	pkt->total = tx->len;
	if (tx->flags & RDM_DATA) {
		pkt->flags |= RDM_PKT_CQ_DATA;
		pkt->cq_data = tx->data;
	}
	rdm_pkt_identity(ep, tx->peer, pkt);
}

/*
 * A peer short of memory may hold back what begins a message, but not the rest
 * of one: it may be what its user waits for.
 */
static bool may_wait(const struct rdm_pkt *pkt, uint64_t offset)
{
	return pkt->type >= RDM_PKT_REQ && !offset;
}

/* Posts pkt with [offset, offset + len) of the message behind it. */
static int post(struct rdm_ep *ep, struct rdm_tx *tx, const struct rdm_pkt *pkt,
		uint64_t offset, uint64_t len)
{
	uint8_t hdr[RDM_PKT_HDR_MAX];
	struct iovec iov[RDM_IOV_MAX];
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_TX, u_pool_id(tx)),
		.ah = tx->peer->ah,
		.op = DEV_SEND,
		.flags = may_wait(pkt, offset) ? DEV_WR_REQUEST : 0,
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
	if (!wr.done)
		tx->wrs++;
	return 0;
}

/* The packet type of a message by family: plain, tagged, DC, DC tagged. */
static uint8_t type_of(const struct rdm_tx *tx, const uint8_t types[4])
{
	return types[(tx->flags & RDM_TAGGED ? 1 : 0) +
		     (tx->flags & RDM_DELIVERY ? 2 : 0)];
}

int rdm_eager_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	static const uint8_t types[4] = { RDM_PKT_EAGER_MSGRTM,
					  RDM_PKT_EAGER_TAGRTM,
					  RDM_PKT_DC_EAGER_MSGRTM,
					  RDM_PKT_DC_EAGER_TAGRTM };
	struct rdm_pkt pkt;
	int ret;

	tx->type = type_of(tx, types);
	pkt_of(ep, tx, &pkt);
	if (tx->len > ep->mtu - rdm_pkt_hdr_len(&pkt))
		return -EMSGSIZE;
	ret = post(ep, tx, &pkt, 0, tx->len);
	if (ret)
		return ret;
	tx->sent = tx->len;
	tx->wait_done = tx->flags & RDM_DELIVERY;
	return 0;
}

/* ---- medium ------------------------------------------------------------- */

static int medium_post(struct rdm_ep *ep, struct rdm_tx *tx)
{
	uint64_t left = tx->len - tx->sent;
	struct rdm_pkt pkt;
	uint64_t part, cap;
	int ret;

	pkt_of(ep, tx, &pkt);
	pkt.offset = tx->sent;
	cap = u_min(ep->mtu - rdm_pkt_hdr_len(&pkt), ep->slice_max);
	part = left <= cap ? left : cap & ~UINT64_C(7);
	ret = post(ep, tx, &pkt, tx->sent, part);
	if (!ret)
		tx->sent += part;
	return ret;
}

static bool medium_resume(struct rdm_ep *ep, struct rdm_tx *tx)
{
	while (tx->sent < tx->len) {
		if (medium_post(ep, tx))
			return false;
	}
	tx->state = RDM_TX_SENT;
	return true;
}

int rdm_medium_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	static const uint8_t types[4] = { RDM_PKT_MEDIUM_MSGRTM,
					  RDM_PKT_MEDIUM_TAGRTM,
					  RDM_PKT_DC_MEDIUM_MSGRTM,
					  RDM_PKT_DC_MEDIUM_TAGRTM };
	int ret;

	tx->type = type_of(tx, types);
	ret = medium_post(ep, tx);
	if (ret)
		return ret;
	tx->wait_done = tx->flags & RDM_DELIVERY;
	tx->state = RDM_TX_SENDING;
	return 0;
}

/* ---- long-CTS ------------------------------------------------------------- */

int rdm_longcts_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	static const uint8_t types[4] = { RDM_PKT_LONGCTS_MSGRTM,
					  RDM_PKT_LONGCTS_TAGRTM,
					  RDM_PKT_DC_LONGCTS_MSGRTM,
					  RDM_PKT_DC_LONGCTS_TAGRTM };
	struct rdm_pkt pkt;
	uint64_t head;
	int ret;

	tx->type = type_of(tx, types);
	pkt_of(ep, tx, &pkt);
	pkt.credit = RDM_CTS_PKTS;
	head = u_min(tx->len, ep->mtu - rdm_pkt_hdr_len(&pkt));
	ret = post(ep, tx, &pkt, 0, head);
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
			.seg_len = u_min(tx->window, ep->mtu - CTSDATA_HDR),
		};

		rdm_pkt_identity(ep, tx->peer, &pkt);
		if (post(ep, tx, &pkt, tx->sent, pkt.seg_len))
			return false;
		tx->sent += pkt.seg_len;
		tx->window -= pkt.seg_len;
	}
	tx->state = tx->sent < tx->len ? RDM_TX_WAIT_CTS : RDM_TX_SENT;
	return true;
}

/* The operation that an id from this peer names; NULL: none of its. */
static struct rdm_tx *tx_named(struct rdm_ep *ep, struct rdm_peer *peer,
			       uint32_t id)
{
	struct rdm_tx *tx = u_pool_at(&ep->txs, id);

	if (tx && tx->peer == peer &&
	    (tx->kind == RDM_TX_MSG || tx->kind == RDM_TX_ATOMIC))
		return tx;
	ep->stats.bad_packets++;
	return NULL;
}

void rdm_bulk_cts(struct rdm_ep *ep, struct rdm_peer *peer,
		  const struct rdm_pkt *pkt)
{
	struct rdm_tx *tx = tx_named(ep, peer, pkt->send_id);

	if (!tx)
		return;
	if (tx->state != RDM_TX_WAIT_CTS || !pkt->seg_len) {
		ep->stats.bad_packets++;
		return;
	}
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

/* ---- long-read ------------------------------------------------------------- */

static int expose(struct rdm_ep *ep, struct rdm_tx *tx, struct rdm_pkt *pkt)
{
	for (uint32_t i = 0; i < tx->iovcnt; i++) {
		struct iovec *iov = &tx->iov[i];
		struct dev_mr *mr;

		if (!iov->iov_len)
			continue;
		if (dev_mr_open(ep->config.dev, iov->iov_base, iov->iov_len,
				DEV_REMOTE_READ | DEV_MR_BRIEF, &mr))
			return -ENOMEM;
		pkt->read_iov[tx->mrcnt] = (struct rdm_pkt_iov){
			.addr = (uintptr_t)iov->iov_base,
			.len = iov->iov_len,
			.key = mr->key,
		};
		tx->mr[tx->mrcnt++] = mr;
	}
	pkt->read_iovcnt = tx->mrcnt;
	return 0;
}

static void conceal(struct rdm_tx *tx)
{
	while (tx->mrcnt)
		dev_mr_close(tx->mr[--tx->mrcnt]);
}

int rdm_longread_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_pkt pkt;
	int ret;

	tx->type = tx->flags & RDM_TAGGED ? RDM_PKT_LONGREAD_TAGRTM :
					    RDM_PKT_LONGREAD_MSGRTM;
	pkt_of(ep, tx, &pkt);
	ret = expose(ep, tx, &pkt);
	if (!ret)
		ret = post(ep, tx, &pkt, 0, 0);
	if (ret) {
		conceal(tx);
		return ret;
	}
	tx->sent = tx->len;
	tx->wait_done = true;
	return 0;
}

/* ---- answers ----------------------------------------------------------------- */

void rdm_bulk_done(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt)
{
	struct rdm_tx *tx = tx_named(ep, peer, pkt->send_id);

	if (!tx)
		return;
	if (!tx->wait_done || tx->state != RDM_TX_SENT) {
		ep->stats.bad_packets++;
		return;
	}
	tx->wait_done = false;
	rdm_tx_settle(ep, tx);
}

bool rdm_bulk_resume(struct rdm_ep *ep, struct rdm_tx *tx)
{
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
