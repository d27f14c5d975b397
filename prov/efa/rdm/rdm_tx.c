/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_tx.c - the life of a send operation, and the small packets beside it
 *
 * An operation ends (rdm_tx_settle) when all its packets are posted, each of
 * them is done, and the peer said so where the protocol has it say so.
 */
#include "rdm/rdm_move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_log.h"
#include "util/u_time.h"

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
	if (u_unlikely(tx->ended)) {
		rdm_tx_free(ep, tx);
		return;
	}
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
	tx->ended = u_unlikely(tx->broke) && rdm_error_owes(tx);
	if (u_likely(!tx->ended))
		rdm_tx_free(ep, tx);
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

static inline void reached(struct rdm_ep *ep, struct rdm_peer *peer)
{
	if (u_unlikely(peer->nuntold && peer->shaken))
		rdm_error_pay(ep, peer);
}

void rdm_tx_wc(struct rdm_ep *ep, struct rdm_tx *tx, const struct dev_wc *wc)
{
	assert(tx->wrs);
	tx->wrs--;
	if (u_unlikely(wc->status)) {
		tx->broke |= !tx->err;
		rdm_tx_fail(ep, tx, rdm_peer_err(tx->peer, wc->status));
	} else {
		tx->acked = true;
		reached(ep, tx->peer);
		rdm_tx_settle(ep, tx);
	}
}

/* ---- control packets ------------------------------------------------------ */

void rdm_pkt_identity(const struct rdm_ep *ep, const struct rdm_peer *peer,
		      struct rdm_pkt *pkt)
{
	if (pkt->type < RDM_PKT_REQ || peer->by_connid) {
		pkt->flags |= RDM_PKT_CONNID;
		pkt->connid = ep->qp->addr.qkey;
	} else if (!peer->shaken || peer->keep_raw) {
		pkt->flags |= RDM_PKT_RAW_ADDR;
		pkt->raw = ep->qp->addr;
	}
}

static void ctl_move(struct rdm_ep *ep, struct rdm_ctl *ctl, bool posted)
{
	TAILQ_REMOVE(ctl->posted ? &ep->ctls_posted : &ep->ctls, ctl, link);
	ctl->posted = posted;
	TAILQ_INSERT_TAIL(posted ? &ep->ctls_posted : &ep->ctls, ctl, link);
	ep->busy = true;
}

static void ctl_free(struct rdm_ep *ep, struct rdm_ctl *ctl)
{
	TAILQ_REMOVE(ctl->posted ? &ep->ctls_posted : &ep->ctls, ctl, link);
	if (u_unlikely(ctl->probe))
		ctl->peer->probed = false;
	free(ctl->large);
	u_pool_put(&ep->ctl_pool, ctl);
}

/* Posts a packet of ep->ctls. False: no room. */
static bool ctl_post(struct rdm_ep *ep, struct rdm_ctl *ctl)
{
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_CTL, u_pool_id(ctl)),
		.ah = ctl->peer->ah,
		.op = DEV_SEND,
		.hdr = ctl->large ? ctl->large : ctl->bytes,
		.hdr_len = ctl->len,
	};

	if (dev_post(ep->qp, &wr, 1) != 1)
		return false;
	if (u_likely(wr.done))
		ctl_free(ep, ctl);
	else
		ctl_move(ep, ctl, true);
	return true;
}

/* Makes a packet with its payload; NULL without memory. */
static struct rdm_ctl *ctl_new(struct rdm_ep *ep, const struct rdm_pkt *pkt,
			       const void *data, uint32_t len)
{
	struct rdm_ctl *ctl = u_pool_get(&ep->ctl_pool);
	uint32_t hdr_len = rdm_pkt_hdr_len(pkt);
	uint8_t *bytes;

	if (!ctl)
		return NULL;
	assert(hdr_len <= RDM_CTL_MAX);
	ctl->large = NULL;
	if (u_unlikely(hdr_len + len > RDM_CTL_MAX)) {
		ctl->large = malloc(hdr_len + len);
		if (!ctl->large) {
			u_pool_put(&ep->ctl_pool, ctl);
			return NULL;
		}
	}
	bytes = ctl->large ? ctl->large : ctl->bytes;
	rdm_pkt_build(bytes, pkt);
	if (len)
		memcpy(bytes + hdr_len, data, len);
	ctl->len = hdr_len + len;
	return ctl;
}

void rdm_ctl_send_data(struct rdm_ep *ep, struct rdm_peer *peer,
		       struct rdm_pkt *pkt, const void *data, uint32_t len)
{
	struct rdm_ctl *ctl;

	if (peer->gone)
		return;
	rdm_pkt_identity(ep, peer, pkt);
	ctl = ctl_new(ep, pkt, data, len);
	if (!ctl) {
		u_warn("no memory for a %s packet; an operation of a peer "
		       "will not complete",
		       rdm_pkt_row(pkt->type)->name);
		return;
	}
	ctl->peer = peer;
	ctl->posted = false;
	ctl->probe = pkt->type == RDM_PKT_EAGER_RTW;
	ctl->since = 0;
	TAILQ_INSERT_TAIL(&ep->ctls, ctl, link);
	if (!ctl_post(ep, ctl))
		ep->busy = true;
}

void rdm_ctl_send(struct rdm_ep *ep, struct rdm_peer *peer, struct rdm_pkt *pkt)
{
	rdm_ctl_send_data(ep, peer, pkt, NULL, 0);
}

void rdm_ctl_resume(struct rdm_ep *ep)
{
	struct rdm_ctl *ctl = TAILQ_FIRST(&ep->ctls);

	while (ctl) {
		struct rdm_ctl *next = TAILQ_NEXT(ctl, link);

		ctl_post(ep, ctl);
		ctl = next;
	}
}

/*
 * The peer may well be there, and trying again may help: for a while, as its
 * operation and ours would wait for ever otherwise.
 */
static U_COLD bool worth_retry(const struct rdm_ep *ep, struct rdm_ctl *ctl,
			       uint8_t status)
{
	uint64_t now = u_now();

	if (status == DEV_RNR)
		return true;
	if (!ctl->since)
		ctl->since = now;
	return status == DEV_UNREACHABLE &&
	       now - ctl->since < ep->config.answer_timeout;
}

void rdm_ctl_wc(struct rdm_ep *ep, struct rdm_ctl *ctl, const struct dev_wc *wc)
{
	struct rdm_peer *peer = ctl->peer;

	if (u_likely(!wc->status)) {
		ctl_free(ep, ctl);
		reached(ep, peer);
	} else if (worth_retry(ep, ctl, wc->status)) {
		ctl_move(ep, ctl, false);
	} else {
		ctl_free(ep, ctl);
		rdm_peer_leaves(ep, peer, wc->status);
	}
}

static void list_drop(struct rdm_ep *ep, struct rdm_ctl_list *list,
		      const struct rdm_peer *peer)
{
	struct rdm_ctl *ctl = TAILQ_FIRST(list);

	while (ctl) {
		struct rdm_ctl *next = TAILQ_NEXT(ctl, link);

		if (!peer || ctl->peer == peer)
			ctl_free(ep, ctl);
		ctl = next;
	}
}

void rdm_ctl_drop(struct rdm_ep *ep, const struct rdm_peer *peer)
{
	list_drop(ep, &ep->ctls, peer);
	list_drop(ep, &ep->ctls_posted, peer);
}
