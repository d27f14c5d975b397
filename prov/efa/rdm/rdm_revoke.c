/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_revoke.c - our user closes a region that operations name as local memory
 *
 * What still needs the memory is cancelled, as if the user had said so, and the
 * device lets go of it. What has left already, or is with its receiver, goes
 * on: its bytes were copied.
 */
#include "rdm/rdm_move.h"

static bool is_named(void *const *named, uint32_t n, const struct dev_mr *mr)
{
	for (uint32_t i = 0; i < n; i++)
		if (named[i] == mr)
			return true;
	return false;
}

/* ---- receives -------------------------------------------------------------- */

static bool rx_names(const struct rdm_rx *rx, const struct dev_mr *mr)
{
	return is_named(rx->mr, rx->iovcnt, mr);
}

/* Buffers before their parts, so that the last part does not tell of them. */
static bool revoke_posted(struct rdm_ep *ep, const struct dev_mr *mr)
{
	struct rdm_rx *rx = TAILQ_FIRST(&ep->posted);
	bool found = false;

	while (rx) {
		struct rdm_rx *next = TAILQ_NEXT(rx, all);

		if (rx_names(rx, mr)) {
			rdm_rx_cancel(ep, rx);
			found = true;
		}
		rx = next;
	}
	return found;
}

static bool revoke_matched(struct rdm_ep *ep, const struct dev_mr *mr)
{
	struct rdm_msg *msg;
	uint32_t cursor = 0;
	bool found = false;

	while ((msg = u_pool_next(&ep->msgs, &cursor))) {
		if (!msg->rx || !rx_names(msg->rx, mr))
			continue;
		found = true;
		if (msg->reads)
			dev_revoke(ep->qp,
				   rdm_wr_id(RDM_WR_MSG, u_pool_id(msg)));
		if (!msg->err)
			rdm_msg_cancel(ep, msg);
	}
	return found;
}

/* ---- operations ------------------------------------------------------------ */

/* The device, and not our packets, moves the bytes. */
static bool is_by_device(const struct rdm_tx *tx)
{
	return (tx->kind == RDM_TX_READ || tx->kind == RDM_TX_WRITE) &&
	       !tx->type && tx->wrs;
}

static bool needs_memory(const struct rdm_tx *tx)
{
	switch ((enum rdm_tx_kind)tx->kind) {
	case RDM_TX_READ:
	case RDM_TX_FETCH:
		return true;
	case RDM_TX_ATOMIC:
		return false;
	case RDM_TX_MSG:
	case RDM_TX_WRITE:
		break;
	}
	return tx->state != RDM_TX_SENT || tx->mrcnt || is_by_device(tx);
}

static bool revoke_txs(struct rdm_ep *ep, const struct dev_mr *mr)
{
	struct rdm_tx *tx;
	uint32_t cursor = 0;
	bool found = false;

	while ((tx = u_pool_next(&ep->txs, &cursor))) {
		if (!is_named(tx->local, tx->iovcnt, mr) || !needs_memory(tx))
			continue;
		found = true;
		if (is_by_device(tx))
			dev_revoke(ep->qp, rdm_wr_id(RDM_WR_TX, u_pool_id(tx)));
		/* It may wait for acknowledgements; its memory does not. */
		rdm_conceal(ep, tx, false);
		if (tx->err)
			continue;
		tx->broke = true;
		rdm_tx_fail(ep, tx, RDM_ERR_CANCELED);
	}
	return found;
}

U_COLD bool rdm_revoke(struct rdm_ep *ep, const struct dev_mr *mr)
{
	bool found;

	if (!ep->names)
		return false;
	found = revoke_posted(ep, mr);
	found |= revoke_matched(ep, mr);
	found |= revoke_txs(ep, mr);
	return found;
}
