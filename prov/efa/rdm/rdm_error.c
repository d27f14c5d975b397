/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_error.c - one side gives an operation up and tells the other
 *
 * PEER_ERROR names an operation by an id of its receiver or, when the sender of
 * a message gives up before it was told one, by the message's number. rdm_in.c
 * keeps those whose number is not due yet: then the number of a message of
 * which nothing came is skipped, and one that has begun fails once its first
 * packet is here. A PEER_ERROR is never answered.
 */
#include "rdm/rdm_move.h"

#include <stdlib.h>

#include "util/u_log.h"

/* What is kept for one peer; numbers in a row that are skipped count once. */
#define UNTOLD_MAX 1024

struct rdm_untold {
	TAILQ_ENTRY(rdm_untold) link; /* peer->untold */
	enum rdm_ref ref;
	uint32_t id, n; /* id .. id + n - 1 */
	uint32_t err;
};

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

static void tell(struct rdm_ep *ep, struct rdm_peer *peer, enum rdm_ref ref,
		 uint32_t id, uint32_t err)
{
	struct rdm_pkt pkt = {
		.type = RDM_PKT_PEER_ERROR,
		.send_id = id,
		.aux = ref,
		.aux2 = err,
	};

	rdm_ctl_send(ep, peer, &pkt);
}

U_COLD bool rdm_error_tell(struct rdm_ep *ep, struct rdm_peer *peer,
			   enum rdm_ref ref, uint32_t id, uint32_t err)
{
	if (!rdm_error_can_tell(peer) || rdm_error_is_death(err))
		return false;
	tell(ep, peer, ref, id, err);
	return true;
}

/* False: no memory, or too much. */
static bool keep(struct rdm_peer *peer, enum rdm_ref ref, uint32_t id,
		 uint32_t err)
{
	struct rdm_untold *last = TAILQ_LAST(&peer->untold, rdm_untold_list);
	struct rdm_untold *untold;

	if (ref == RDM_REF_SKIP && last && last->ref == ref &&
	    last->id + last->n == id && last->err == err) {
		last->n++;
		return true;
	}
	if (peer->nuntold >= UNTOLD_MAX)
		return false;
	untold = malloc(sizeof(*untold));
	if (!untold)
		return false;
	*untold = (struct rdm_untold){
		.ref = ref,
		.id = id,
		.n = 1,
		.err = err,
	};
	TAILQ_INSERT_TAIL(&peer->untold, untold, link);
	peer->nuntold++;
	return true;
}

U_COLD void rdm_error_owe(struct rdm_ep *ep, struct rdm_peer *peer,
			  enum rdm_ref ref, uint32_t id, uint32_t err)
{
	bool unreachable = err == DEV_UNREACHABLE;

	if (peer->gone || (rdm_error_is_death(err) && !unreachable))
		return;
	if (peer->shaken && !unreachable)
		rdm_error_tell(ep, peer, ref, id, err);
	else if (!keep(peer, ref, id, err))
		u_info("no memory to tell a peer of an operation that failed; "
		       "it will wait for it");
}

U_COLD void rdm_error_pay(struct rdm_ep *ep, struct rdm_peer *peer)
{
	struct rdm_untold *untold;

	TAILQ_FOREACH(untold, &peer->untold, link)
		for (uint32_t i = 0; i < untold->n && rdm_error_can_tell(peer);
		     i++)
			tell(ep, peer, untold->ref, untold->id + i,
			     untold->err);
	rdm_error_forget(peer);
}

U_COLD void rdm_error_forget(struct rdm_peer *peer)
{
	struct rdm_untold *untold;

	while ((untold = TAILQ_FIRST(&peer->untold))) {
		TAILQ_REMOVE(&peer->untold, untold, link);
		free(untold);
	}
	peer->nuntold = 0;
}

U_COLD void rdm_error_tell_tx(struct rdm_ep *ep, struct rdm_tx *tx)
{
	if (tx->granted)
		rdm_error_owe(ep, tx->peer, RDM_REF_ID, tx->recv_id, tx->err);
	else if (tx->kind != RDM_TX_READ && tx->kind != RDM_TX_WRITE)
		rdm_error_owe(ep, tx->peer,
			      tx->acked ? RDM_REF_MSG : RDM_REF_SKIP,
			      tx->msg_id, tx->err);
}

/* It knows, or may turn out to know, what a PEER_ERROR is. */
static bool may_understand(const struct rdm_peer *peer)
{
	return !peer->shaken || rdm_error_can_tell(peer);
}

U_COLD bool rdm_error_owes(const struct rdm_tx *tx)
{
	if (!tx->broke || tx->granted || tx->peer->gone ||
	    !may_understand(tx->peer) || rdm_error_is_death(tx->err))
		return false;
	switch (tx->type) {
	case RDM_PKT_LONGCTS_RTW:
	case RDM_PKT_DC_LONGCTS_RTW:
	case RDM_PKT_LONGCTS_RTR:
		return true;
	default:
		return false;
	}
}

U_COLD void rdm_error_named(struct rdm_ep *ep, struct rdm_tx *tx, uint32_t id)
{
	/* Until its packets are done it has not ended: then it is told. */
	tx->granted = true;
	tx->recv_id = id;
	if (!tx->ended)
		return;
	rdm_error_tell_tx(ep, tx);
	rdm_tx_free(ep, tx);
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
