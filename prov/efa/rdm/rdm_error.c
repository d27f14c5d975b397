/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_error.c - one side gives an operation up and tells the other
 *
 * PEER_ERROR names an operation by an id of its receiver or, when the sender of
 * a message gives up before it was told one, by the message's number. rdm_in.c
 * keeps those whose number is not due yet: then the number of a message of
 * which nothing came is skipped, and one that has begun fails once its first
 * packet is here. What the peer has begun under an id that we never heard of is
 * given up when that id comes. A PEER_ERROR is never answered.
 */
#include "rdm/rdm_move.h"

/* ---- telling --------------------------------------------------------------- */

bool rdm_error_is_death(uint32_t err)
{
	switch (err) {
	case DEV_PEER_RESET:
	case DEV_NO_QP:
	case DEV_UNRESPONSIVE:
	case DEV_NO_AH:
	case DEV_UNREACHABLE:
	case RDM_ERR_PEER_GONE:
	case RDM_ERR_PEER_SILENT:
		return true;
	default:
		return false;
	}
}

bool rdm_error_can_tell(const struct rdm_peer *peer)
{
	return (peer->features & RDM_FEATURE_PEER_ERROR) && !peer->gone;
}

bool rdm_error_may_tell(const struct rdm_peer *peer)
{
	return !peer->gone && (!peer->shaken || rdm_error_can_tell(peer));
}

U_COLD void rdm_error_tell(struct rdm_ep *ep, struct rdm_peer *peer,
			   enum rdm_ref ref, uint32_t id, uint32_t err)
{
	struct rdm_pkt pkt = {
		.type = RDM_PKT_PEER_ERROR,
		.send_id = id,
		.aux = ref,
		.aux2 = err,
	};
	bool out_of_reach = err == DEV_UNREACHABLE;

	if (!rdm_error_may_tell(peer) ||
	    (rdm_error_is_death(err) && !out_of_reach))
		return;
	if (peer->shaken && !out_of_reach)
		rdm_ctl_send(ep, peer, &pkt);
	else
		rdm_ctl_owe(ep, peer, &pkt, false);
}

/* A read or write has no number; once the peer gives an id it is told. */
U_COLD void rdm_error_tell_tx(struct rdm_ep *ep, struct rdm_tx *tx)
{
	if (tx->granted)
		rdm_error_tell(ep, tx->peer, RDM_REF_ID, tx->recv_id, tx->err);
	else if (tx->kind != RDM_TX_READ && tx->kind != RDM_TX_WRITE)
		rdm_error_tell(ep, tx->peer,
			       tx->acked ? RDM_REF_MSG : RDM_REF_SKIP,
			       tx->msg_id, tx->err);
}

struct rdm_tx *rdm_error_named(struct rdm_ep *ep, struct rdm_peer *peer,
			       uint32_t ours, uint32_t its)
{
	struct rdm_tx *tx = rdm_tx_named(ep, peer, ours);

	if (!tx) {
		rdm_error_tell(ep, peer, RDM_REF_ID, its, RDM_ERR_CANCELED);
		return NULL;
	}
	if (!tx->err)
		return tx;
	/* The device still has packets of it; then the peer is told. */
	tx->granted = true;
	tx->recv_id = its;
	return NULL;
}

/* ---- being told ------------------------------------------------------------ */

void rdm_error_message(struct rdm_ep *ep, struct rdm_peer *peer,
		       uint32_t msg_id)
{
	struct rdm_msg *msg = rdm_msg_find(peer, msg_id);

	assert(u_seq_before(msg_id, peer->rx_msg_id));
	if (msg)
		rdm_msg_fail(ep, msg, RDM_ERR_PEER_ABORT);
}

void rdm_error_id(struct rdm_ep *ep, struct rdm_peer *peer, uint32_t id)
{
	struct rdm_msg *msg;
	struct rdm_tx *tx;

	switch ((enum rdm_space)u_pool_space(id)) {
	case RDM_SPACE_TX:
		tx = u_pool_at(&ep->txs, id);
		if (tx && tx->peer == peer)
			rdm_tx_fail(ep, tx, RDM_ERR_PEER_ABORT);
		break;
	case RDM_SPACE_MSG:
		msg = u_pool_at(&ep->msgs, id);
		if (msg && msg->peer == peer)
			rdm_msg_fail(ep, msg, RDM_ERR_PEER_ABORT);
		break;
	case RDM_SPACE_SERVE:
		rdm_serve_given_up(ep, peer, id);
		break;
	}
}
