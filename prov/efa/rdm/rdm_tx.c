/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_tx.c - the life of an operation that sends or does RMA
 *
 * An operation ends (rdm_tx_settle) when all its packets are posted, each of
 * them is done, and the peer said so where the protocol has it say so.
 */
#include "rdm/rdm_move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint32_t rdm_iov_slice(const struct iovec *iov, uint32_t n, uint64_t offset,
		       uint64_t len, struct iovec *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n && len; i++) {
		uint64_t part;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		part = u_min(iov[i].iov_len - offset, len);
		out[count].iov_base = (char *)iov[i].iov_base + offset;
		out[count++].iov_len = part;
		len -= part;
		offset = 0;
	}
	return count;
}

void rdm_tx_init(struct rdm_tx *tx, struct rdm_peer *peer,
		 const struct rdm_send *op, uint64_t len)
{
	*tx = (struct rdm_tx){
		.peer = peer,
		.context = op->context,
		.state = RDM_TX_SENT,
		.kind = RDM_TX_MSG,
		.flags = op->flags,
		.msg_id = peer->tx_msg_id,
		.iovcnt = op->iovcnt,
		.len = len,
		.tag = op->tag,
		.data = op->data,
	};
	for (uint32_t i = 0; i < op->iovcnt; i++) {
		tx->iov[i] = op->iov[i];
		tx->local[i] = op->mr ? op->mr[i] : NULL;
	}
	TAILQ_INSERT_TAIL(&peer->txs, tx, link);
}

int rdm_tx_copy(struct rdm_tx *tx)
{
	uint8_t *to;

	if (!tx->len)
		return 0;
	to = malloc(tx->len);
	if (!to)
		return -ENOMEM;
	tx->copy = to;
	for (uint32_t i = 0; i < tx->iovcnt; i++) {
		memcpy(to, tx->iov[i].iov_base, tx->iov[i].iov_len);
		to += tx->iov[i].iov_len;
	}
	tx->iov[0] = (struct iovec){ tx->copy, tx->len };
	tx->local[0] = NULL;
	tx->iovcnt = 1;
	return 0;
}

void rdm_tx_free(struct rdm_ep *ep, struct rdm_tx *tx)
{
	/* A peer that had to read and is done has said so. */
	rdm_conceal(ep, tx, !tx->err);
	tx->peer->runting -= tx->runt;
	rdm_inflow_fini(&tx->in);
	free(tx->copy);
	TAILQ_REMOVE(&tx->peer->txs, tx, link);
	u_pool_put(&ep->txs, tx);
}

void rdm_count(struct rdm_ep *ep, enum rdm_cntr_use use, bool ok)
{
	struct rdm_cntr *cntr = ep->config.cntr[use];

	if (u_unlikely(cntr != NULL))
		rdm_cntr_add(cntr, ok);
}

U_COLD void rdm_complete_error(struct rdm_ep *ep, struct rdm_cq *cq,
			       struct rdm_comp *comp, uint64_t olen,
			       const struct rdm_peer *peer)
{
	struct rdm_comp_error *error = calloc(1, sizeof(*error));

	if (error) {
		error->olen = olen;
		rdm_ep_addr(ep, &error->self);
		if (peer)
			error->peer = peer->addr;
	}
	comp->error = error;
	rdm_cq_push(cq, comp);
}

void rdm_complete_from(struct rdm_ep *ep, struct rdm_comp *comp,
		       const struct rdm_peer *peer)
{
	if (comp->source != RDM_ADDR_NONE || !ep->config.strangers || !peer ||
	    comp->err) {
		rdm_cq_push(ep->config.rx_cq, comp);
		return;
	}
	comp->err = RDM_ERR_STRANGER;
	rdm_complete_error(ep, ep->config.rx_cq, comp, 0, peer);
}

void rdm_tx_settle(struct rdm_ep *ep, struct rdm_tx *tx)
{
	static const struct {
		enum rdm_comp_kind comp;
		enum rdm_cntr_use use;
	} kinds[] = {
		[RDM_TX_MSG] = { RDM_COMP_SEND, RDM_CNTR_SEND },
		[RDM_TX_READ] = { RDM_COMP_READ, RDM_CNTR_READ },
		[RDM_TX_WRITE] = { RDM_COMP_WRITE, RDM_CNTR_WRITE },
		[RDM_TX_ATOMIC] = { RDM_COMP_ATOMIC, RDM_CNTR_WRITE },
		[RDM_TX_FETCH] = { RDM_COMP_FETCH, RDM_CNTR_READ },
	};
	struct rdm_comp comp;

	if (tx->state != RDM_TX_SENT || tx->wrs || tx->wait_done)
		return;
	comp = (struct rdm_comp){
		.context = tx->context,
		.len = tx->len,
		.tag = tx->tag,
		.source = RDM_ADDR_NONE,
		.kind = (uint16_t)kinds[tx->kind].comp,
		.flags = tx->flags & RDM_TAGGED ? RDM_COMP_TAGGED : 0,
		.err = tx->err,
	};
	rdm_count(ep, kinds[tx->kind].use, !tx->err);
	if (u_unlikely(tx->broke))
		rdm_error_tell_tx(ep, tx);
	if (u_unlikely(tx->err))
		rdm_complete_error(ep, ep->config.tx_cq, &comp, 0, tx->peer);
	else if (tx->flags & RDM_COMPLETION)
		rdm_cq_push(ep->config.tx_cq, &comp);
	rdm_tx_free(ep, tx);
}

static uint32_t err_of(int ret)
{
	switch (ret) {
	case -EOPNOTSUPP:
		return DEV_FEATURE;
	case -ENOMEM:
		return RDM_ERR_NOMEM;
	case -EMSGSIZE:
		return DEV_TOO_LONG;
	default:
		return DEV_BAD_OP;
	}
}

bool rdm_tx_resume(struct rdm_ep *ep, struct rdm_tx *tx)
{
	int ret;

	if (tx->type)
		return rdm_bulk_resume(ep, tx);
	ret = tx->kind == RDM_TX_MSG ? rdm_send_start(ep, tx) :
				       rdm_rma_start(ep, tx);
	if (ret == -EAGAIN) {
		tx->type = 0;
		tx->state = RDM_TX_SENDING;
		return false;
	}
	if (ret) {
		tx->err = err_of(ret);
		tx->state = RDM_TX_SENT;
		/* A message has used its number up. */
		tx->broke = tx->kind == RDM_TX_MSG;
	}
	return tx->state != RDM_TX_SENDING;
}

void rdm_tx_queue(struct rdm_ep *ep, struct rdm_tx *tx)
{
	assert(tx->state == RDM_TX_SENDING);
	TAILQ_INSERT_TAIL(&ep->sending, tx, queue);
	ep->busy = true;
}

U_COLD void rdm_tx_fail(struct rdm_ep *ep, struct rdm_tx *tx, uint32_t err)
{
	if (!tx->err)
		tx->err = err;
	if (tx->state == RDM_TX_SENDING)
		TAILQ_REMOVE(&ep->sending, tx, queue);
	else if (tx->state == RDM_TX_PARKED)
		TAILQ_REMOVE(&tx->peer->parked, tx, queue);
	tx->state = RDM_TX_SENT;
	tx->wait_done = false;
	rdm_tx_settle(ep, tx);
}

void rdm_tx_wc(struct rdm_ep *ep, struct rdm_tx *tx, const struct dev_wc *wc)
{
	struct rdm_peer *peer = tx->peer;

	assert(tx->wrs);
	tx->wrs--;
	if (u_unlikely(wc->status)) {
		tx->broke |= !tx->err;
		rdm_tx_fail(ep, tx, rdm_peer_err(peer, wc->status));
	} else {
		/* What it ends with may be owed, and goes at once then. */
		rdm_tx_settle(ep, tx);
		rdm_peer_reached(ep, peer);
	}
}
