/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_emul.c - our user's reads and writes where a device cannot do them
 *
 *   write  EAGER_RTW     one packet             LONGREAD_RTW  the peer reads it
 *          LONGCTS_RTW   head, rest by CTS      DC_*          and a RECEIPT
 *   read   SHORT_RTR     one READRSP comes      LONGCTS_RTR   CTSDATA follows
 *
 * What the peer does with them is in rdm_serve_*.c. A write completes as a send
 * does; a read when its last byte is here. None of them has a turn.
 */
#include "rdm/rdm_move.h"

#include <errno.h>

/* ---- writes ----------------------------------------------------------------- */

static int write_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	int ret;

	if (tx->len >= ep->config.write_read_min && !(tx->flags & RDM_INJECT) &&
	    rdm_can_read(ep, tx->peer)) {
		ret = rdm_longread_write(ep, tx);
		if (ret != -ENOMEM)
			return ret;
	}
	if ((tx->flags & RDM_DELIVERY) && !rdm_can_deliver(ep, tx->peer))
		return -EOPNOTSUPP;
	tx->type = tx->flags & RDM_DELIVERY ? RDM_PKT_DC_EAGER_RTW :
					      RDM_PKT_EAGER_RTW;
	ret = rdm_eager_post(ep, tx);
	if (ret != -EMSGSIZE)
		return ret;
	tx->type = tx->flags & RDM_DELIVERY ? RDM_PKT_DC_LONGCTS_RTW :
					      RDM_PKT_LONGCTS_RTW;
	return rdm_longcts_start(ep, tx);
}

/* ---- reads ------------------------------------------------------------------ */

static int read_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	bool is_short = tx->len < ep->mtu - RDM_READRSP_HDR;
	struct rdm_pkt pkt;
	int ret;

	tx->type = is_short ? RDM_PKT_SHORT_RTR : RDM_PKT_LONGCTS_RTR;
	rdm_inflow_init(&tx->in, tx->len);
	tx->in.granted = is_short ? tx->len : rdm_inflow_window(ep, tx->len);
	rdm_bulk_pkt(ep, tx, &pkt);
	pkt.credit = (uint32_t)tx->in.granted;
	ret = rdm_bulk_post(ep, tx, &pkt, 0, 0);
	if (ret)
		return ret;
	tx->wait_done = true;
	tx->state = RDM_TX_SENT;
	return 0;
}

/* The peer's id came with READRSP, which holds the first bytes of all. */
static void read_on(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_pkt cts = {
		.flags = RDM_PKT_OF_READ,
		.send_id = tx->recv_id,
		.recv_id = u_pool_id(tx),
	};

	if (tx->granted && tx->in.got == tx->in.total) {
		tx->wait_done = false;
		rdm_tx_settle(ep, tx);
	} else if (!tx->in.granted) {
		rdm_inflow_grant(ep, tx->peer, &tx->in, &cts);
	}
}

/* Whether it waits for bytes. */
static bool is_read(struct rdm_ep *ep, const struct rdm_tx *tx)
{
	bool is = tx->type == RDM_PKT_SHORT_RTR ||
		  tx->type == RDM_PKT_LONGCTS_RTR;

	ep->stats.bad_packets += !is;
	return is;
}

static bool take(struct rdm_ep *ep, struct rdm_tx *tx, uint64_t offset,
		 const struct rdm_pkt *pkt)
{
	int ret = rdm_inflow_granted(&tx->in, offset, pkt->payload_len);

	if (ret == -EALREADY)
		ep->stats.duplicates++;
	else if (ret)
		ep->stats.bad_packets++;
	else
		rdm_iov_put(tx->iov, offset, pkt->payload, pkt->payload_len);
	return !ret;
}

void rdm_emul_readrsp(struct rdm_ep *ep, struct rdm_peer *peer,
		      const struct rdm_pkt *pkt)
{
	struct rdm_tx *tx =
		rdm_error_named(ep, peer, pkt->recv_id, pkt->send_id);

	if (!tx || !is_read(ep, tx))
		return;
	if (tx->granted) {
		ep->stats.duplicates++;
		return;
	}
	if ((tx->len || pkt->payload_len) && !take(ep, tx, 0, pkt))
		return;
	tx->granted = true;
	tx->recv_id = pkt->send_id;
	read_on(ep, tx);
}

void rdm_emul_ctsdata(struct rdm_ep *ep, struct rdm_peer *peer,
		      const struct rdm_pkt *pkt)
{
	struct rdm_tx *tx = rdm_tx_named(ep, peer, pkt->recv_id);

	/* The memory of one with an error may be somebody else's. */
	if (tx && is_read(ep, tx) && !tx->err && take(ep, tx, pkt->offset, pkt))
		read_on(ep, tx);
}

int rdm_emul_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	if (tx->kind == RDM_TX_READ)
		return read_start(ep, tx);
	return write_start(ep, tx);
}
