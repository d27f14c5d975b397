/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_expose.c - bytes that the peer reads out of our memory
 *
 *   long-read message, write   announcement; the peer reads and says EOR
 *   runting message            its head in packets, each an announcement too
 *
 * A peer that cannot read says READ_NACK. A message then goes on as long-CTS
 * under the same number, from behind the head; a write is announced anew.
 */
#include "rdm/rdm_move.h"

#include <errno.h>

/* Lists what is exposed, which is done at the first call. */
static int expose(struct rdm_ep *ep, struct rdm_tx *tx)
{
	for (uint32_t i = 0; i < tx->iovcnt; i++) {
		struct iovec *iov = &tx->iov[i];

		if (!iov->iov_len)
			continue;
		if (dev_mr_open(ep->config.dev, iov->iov_base, iov->iov_len,
				DEV_REMOTE_READ | DEV_MR_BRIEF,
				&tx->mr[tx->mrcnt])) {
			rdm_conceal(ep, tx, true);
			return -ENOMEM;
		}
		if (!tx->mrcnt++)
			ep->nexposed++;
	}
	return 0;
}

void rdm_conceal(struct rdm_ep *ep, struct rdm_tx *tx, bool over)
{
	if (!tx->mrcnt)
		return;
	while (tx->mrcnt) {
		struct dev_mr *mr = tx->mr[--tx->mrcnt];

		mr->over = over;
		dev_mr_close(mr);
	}
	ep->nexposed--;
}

static void announce(const struct rdm_ep *ep, const struct rdm_tx *tx,
		     struct rdm_pkt *pkt)
{
	rdm_bulk_pkt(ep, tx, pkt);
	pkt->seg_len = tx->runt;
	pkt->read_iovcnt = 0;
	for (uint32_t i = 0; i < tx->iovcnt; i++) {
		const struct iovec *iov = &tx->iov[i];
		uint32_t k = pkt->read_iovcnt;

		if (!iov->iov_len)
			continue;
		pkt->read_iov[k] = (struct rdm_pkt_iov){
			.addr = (uintptr_t)iov->iov_base,
			.len = iov->iov_len,
			.key = tx->mr[k]->key,
		};
		pkt->read_iovcnt++;
	}
	assert(pkt->read_iovcnt == tx->mrcnt);
}

/* ---- runting ---------------------------------------------------------------- */

/* Bytes to send as the head of a message: none while the peer pulls others. */
static uint64_t head_len(const struct rdm_ep *ep, const struct rdm_tx *tx)
{
	uint64_t budget = ep->config.runt_size;
	uint64_t used = tx->peer->runting;

	if ((tx->flags & RDM_DELIVERY) || ep->nexposed || used >= budget ||
	    !(tx->peer->features & ep->features & RDM_FEATURE_RUNT))
		return 0;
	return u_min(budget - used, tx->len) & ~UINT64_C(7);
}

bool rdm_runt_resume(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_pkt pkt;

	announce(ep, tx, &pkt);
	if (!tx->slice)
		rdm_slices_plan(ep, tx, &pkt, tx->runt);
	if (!rdm_slices_post(ep, tx, &pkt, tx->runt))
		return false;
	tx->state = RDM_TX_SENT;
	return true;
}

static int runt_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	tx->type = tx->flags & RDM_TAGGED ? RDM_PKT_RUNTREAD_TAGRTM :
					    RDM_PKT_RUNTREAD_MSGRTM;
	tx->state = RDM_TX_SENDING;
	tx->wait_done = tx->runt < tx->len;
	return rdm_runt_resume(ep, tx) || tx->sent ? 0 : -EAGAIN;
}

/* ---- all of it is read ------------------------------------------------------- */

static int longread_post(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_pkt pkt;
	int ret;

	announce(ep, tx, &pkt);
	ret = rdm_bulk_post(ep, tx, &pkt, 0, 0);
	if (ret)
		return ret;
	tx->wait_done = true;
	tx->state = RDM_TX_SENT;
	return 0;
}

int rdm_longread_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	uint64_t head = head_len(ep, tx);
	int ret = expose(ep, tx);

	if (ret)
		return ret;
	if (head) {
		tx->runt = head;
		tx->peer->runting += head;
		ret = runt_start(ep, tx);
	} else {
		tx->type = tx->flags & RDM_TAGGED ? RDM_PKT_LONGREAD_TAGRTM :
						    RDM_PKT_LONGREAD_MSGRTM;
		ret = longread_post(ep, tx);
	}
	if (ret) {
		/* It may begin anew, in another way. */
		rdm_conceal(ep, tx, true);
		tx->peer->runting -= tx->runt;
		tx->runt = 0;
		tx->slice = 0;
	}
	return ret;
}

int rdm_longread_write(struct rdm_ep *ep, struct rdm_tx *tx)
{
	int ret = expose(ep, tx);

	if (ret)
		return ret;
	tx->type = RDM_PKT_LONGREAD_RTW;
	ret = longread_post(ep, tx);
	if (ret)
		rdm_conceal(ep, tx, true);
	return ret;
}

/* ---- the peer cannot read ----------------------------------------------------- */

/* A write is announced anew, with its first bytes. */
static int write_again(struct rdm_ep *ep, struct rdm_tx *tx)
{
	tx->type = tx->flags & RDM_DELIVERY ? RDM_PKT_DC_LONGCTS_RTW :
					      RDM_PKT_LONGCTS_RTW;
	return rdm_longcts_start(ep, tx);
}

static int message_again(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_pkt pkt;
	int ret;

	tx->type = rdm_bulk_type(tx, rdm_longcts_types);
	rdm_bulk_pkt(ep, tx, &pkt);
	pkt.flags |= RDM_PKT_AFTER_NACK;
	pkt.credit = RDM_CTS_PKTS;
	ret = rdm_bulk_post(ep, tx, &pkt, 0, 0);
	if (ret)
		return ret;
	tx->sent = tx->runt;
	tx->wait_done = tx->flags & RDM_DELIVERY;
	tx->state = RDM_TX_WAIT_CTS;
	return 0;
}

bool rdm_nacked_resume(struct rdm_ep *ep, struct rdm_tx *tx)
{
	if (tx->kind == RDM_TX_MSG ? message_again(ep, tx) :
				     write_again(ep, tx))
		return false;
	tx->nacked = false;
	return true;
}

static bool is_read_by_peer(const struct rdm_tx *tx)
{
	switch (tx->type) {
	case RDM_PKT_LONGREAD_MSGRTM:
	case RDM_PKT_LONGREAD_TAGRTM:
	case RDM_PKT_LONGREAD_RTW:
	case RDM_PKT_RUNTREAD_MSGRTM:
	case RDM_PKT_RUNTREAD_TAGRTM:
		return true;
	default:
		return false;
	}
}

U_COLD void rdm_expose_nack(struct rdm_ep *ep, struct rdm_peer *peer,
			    const struct rdm_pkt *pkt)
{
	struct rdm_tx *tx = rdm_tx_named(ep, peer, pkt->send_id);

	if (!tx)
		return;
	/* It is said after all of the head has come. */
	if (!is_read_by_peer(tx) || tx->state != RDM_TX_SENT ||
	    !tx->wait_done) {
		ep->stats.bad_packets++;
		return;
	}
	rdm_conceal(ep, tx, true);
	tx->nacked = true;
	tx->state = RDM_TX_SENDING;
	if (!rdm_nacked_resume(ep, tx))
		rdm_tx_queue(ep, tx);
}
