/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_thin.c - endpoints that are a queue pair of the device, and little more
 *
 * Of datagrams (UD), where the first 40 bytes of every buffer are the
 * provider's (FI_MSG_PREFIX): they are skipped on send and filled by the device
 * on receive. And of the fabric efa-direct (SRD), where all bytes are the
 * user's, peers' memory can be read and written, and what has no receive at the
 * peer waits there or is told.
 *
 * An operation holds its place in the completion ring from post to completion,
 * and the end of a write that uses up no receive is looked for only while there
 * is a place for it, so the ring is never overrun (efa_ring.c).
 */
#include "fi/efa_thin_priv.h"

#include <stdlib.h>
#include <string.h>

#include "util/u_hash.h"
#include "util/u_lines.h"
#include "util/u_time.h"

#define BATCH 16

/* ---- operations ---------------------------------------------------------- */

static const uint8_t cntr_of[] = {
	[RDM_COMP_SEND] = RDM_CNTR_SEND,
	[RDM_COMP_RECV] = RDM_CNTR_RECV,
	[RDM_COMP_READ] = RDM_CNTR_READ,
	[RDM_COMP_WRITE] = RDM_CNTR_WRITE,
	[RDM_COMP_REMOTE_WRITE] = RDM_CNTR_REMOTE_WRITE,
};

static struct efa_ring *ring_of(const struct efa_thin *thin,
				enum rdm_comp_kind kind)
{
	return kind == RDM_COMP_RECV ? thin->ep->rx_cq->ring :
				       thin->ep->tx_cq->ring;
}

/* Neither side takes the places of the other. */
static bool has_place(const struct efa_thin *thin, enum rdm_comp_kind kind)
{
	if (kind == RDM_COMP_RECV)
		return thin->nrecvs < thin->ep->rx_size;
	return thin->ops.taken - thin->nrecvs < thin->ep->tx_size;
}

struct efa_thin_op *efa_thin_op_new(struct efa_thin *thin,
				    enum rdm_comp_kind kind, uint32_t flags,
				    void *context)
{
	struct efa_thin_op *op;

	if (!has_place(thin, kind) || !efa_ring_reserve(ring_of(thin, kind)))
		return NULL;
	op = u_pool_get(&thin->ops);
	if (!op) {
		efa_ring_cancel(ring_of(thin, kind));
		return NULL;
	}
	op->context = context;
	op->buf = NULL;
	op->mr = NULL;
	op->kind = (uint8_t)kind;
	op->completion = flags & RDM_COMPLETION;
	thin->nrecvs += kind == RDM_COMP_RECV;
	thin->nsilent += !op->completion && kind != RDM_COMP_RECV;
	return op;
}

static void op_put(struct efa_thin *thin, struct efa_thin_op *op)
{
	thin->nrecvs -= op->kind == RDM_COMP_RECV;
	thin->nsilent -= !op->completion && op->kind != RDM_COMP_RECV;
	u_pool_put(&thin->ops, op);
}

void efa_thin_op_free(struct efa_thin *thin, struct efa_thin_op *op)
{
	efa_ring_cancel(ring_of(thin, op->kind));
	op_put(thin, op);
}

static void count(const struct efa_thin *thin, const struct rdm_comp *comp)
{
	struct efa_cntr *cntr = thin->ep->cntr[cntr_of[comp->kind]];

	if (cntr)
		rdm_cntr_add(&cntr->count,
			     !comp->err || comp->err == RDM_ERR_STRANGER);
}

static U_COLD void add_error(const struct efa_thin *thin,
			     const struct efa_thin_op *op,
			     struct rdm_comp *comp)
{
	if (!comp->error)
		comp->error = calloc(1, sizeof(*comp->error));
	if (!comp->error)
		return;
	comp->error->self = thin->qp->addr;
	if (op->kind != RDM_COMP_RECV)
		comp->error->peer = op->ah->addr;
}

/* The operation is over: tells the user if that is wanted, and forgets it. */
static void finish(struct efa_thin *thin, struct efa_thin_op *op,
		   struct rdm_comp *comp)
{
	struct efa_ring *ring = ring_of(thin, op->kind);

	comp->context = op->context;
	count(thin, comp);
	if (u_unlikely(comp->err))
		add_error(thin, op, comp);
	/* Data of a peer is told always. */
	if (comp->err || op->completion || comp->kind != op->kind)
		efa_ring_push(ring, comp);
	else
		efa_ring_cancel(ring);
	op_put(thin, op);
}

void efa_thin_op_end(struct efa_thin *thin, struct efa_thin_op *op,
		     uint32_t err)
{
	struct rdm_comp comp = {
		.source = FI_ADDR_NOTAVAIL,
		.kind = op->kind,
		.err = err,
	};

	finish(thin, op, &comp);
}

/* ---- what the device is done with ---------------------------------------- */

static void received(struct efa_thin *thin, struct efa_thin_op *op,
		     const struct dev_wc *wc)
{
	struct rdm_comp comp = {
		.source = FI_ADDR_NOTAVAIL,
		.kind = RDM_COMP_RECV,
		.buf = op->buf,
		.err = wc->status,
	};

	if (u_likely(!wc->status)) {
		comp.len = wc->len;
		comp.data = wc->imm;
		comp.flags = wc->has_imm ? RDM_COMP_DATA : 0;
		if (thin->ep->caps & FI_SOURCE)
			efa_thin_source(thin, wc->source, op->completion,
					&comp);
	}
	finish(thin, op, &comp);
}

/* A peer wrote here with data; op: the receive that it used up, or NULL. */
static void written(struct efa_thin *thin, struct efa_thin_op *op,
		    const struct dev_wc *wc)
{
	struct rdm_comp comp = {
		.len = wc->len,
		.data = wc->imm,
		.source = FI_ADDR_NOTAVAIL,
		.kind = RDM_COMP_REMOTE_WRITE,
		.flags = RDM_COMP_DATA,
	};

	if (thin->ep->caps & FI_SOURCE)
		efa_thin_source(thin, wc->source, true, &comp);
	if (op) {
		finish(thin, op, &comp);
		return;
	}
	count(thin, &comp);
	efa_ring_push(ring_of(thin, RDM_COMP_RECV), &comp);
}

/* Returns how many of the places for unsolicited ends it used. */
static int complete(struct efa_thin *thin, const struct dev_wc *wc)
{
	struct efa_thin_op *op;

	if (wc->op == DEV_WC_WRITTEN && thin->unsolicited) {
		written(thin, NULL, wc);
		return 1;
	}
	/* What a device says of a peer's end is nothing here. */
	op = wc->op == DEV_WC_GONE ? NULL :
				     u_pool_at(&thin->ops, (uint32_t)wc->id);
	if (u_unlikely(!op))
		return 0;
	if (wc->op == DEV_WC_WRITTEN)
		written(thin, op, wc);
	else if (wc->op == DEV_WC_RECV)
		received(thin, op, wc);
	else
		efa_thin_op_end(thin, op, wc->status);
	return 0;
}

void efa_thin_progress(struct efa_thin *thin)
{
	struct efa_ring *ring = ring_of(thin, RDM_COMP_RECV);
	struct dev_wc wc[BATCH];
	int places = BATCH, used = 0;
	int n = 0;

	if (thin->unsolicited)
		places = efa_ring_reserve_some(ring, BATCH);
	if (u_likely(places))
		n = dev_poll(thin->cq, wc, places);
	for (int i = 0; i < n; i++)
		used += complete(thin, &wc[i]);
	if (n > 0)
		dev_give_back(thin->cq);
	if (thin->unsolicited)
		efa_ring_cancel_some(ring, places - used);
}

bool efa_thin_drain(struct efa_thin *thin, uint64_t timeout)
{
	uint64_t end = u_now() + timeout;

	while (thin->nsilent) {
		if (u_now() > end)
			return false;
		efa_thin_progress(thin);
	}
	return true;
}

int efa_thin_fd(struct efa_thin *thin)
{
	return dev_cq_fd(thin->cq);
}

int efa_thin_arm(struct efa_thin *thin)
{
	return dev_cq_arm(thin->cq);
}

/* ---- opening and closing ------------------------------------------------- */

static int open_queue_pair(struct efa_thin *thin)
{
	struct efa_ep *ep = thin->ep;
	struct dev *dev = ep->domain->dev;
	struct dev_qp_attr attr = {
		.qkey = (uint32_t)(u_random64() >> 33) | 1,
		.rnr_retries = (uint8_t)ep->opt.rnr_retry,
		.unsolicited = ep->opt.unsolicited,
		.low_latency = ep->low_latency,
	};

	if (ep->domain->kind == EFA_DGRAM) {
		thin->prefix = DEV_UD_PREFIX;
		return dev_qp_open(dev, DEV_QP_UD, thin->cq, &attr, &thin->qp);
	}
	thin->send_flags = DEV_WR_REQUEST;
	thin->unsolicited = attr.unsolicited;
	return dev_srd_open(dev, &attr, thin->cq, &thin->qp);
}

int efa_thin_open(struct efa_ep *ep, struct efa_thin **out)
{
	struct efa_thin *thin = u_lines_new(sizeof(*thin));
	int ret;

	if (!thin)
		return -FI_ENOMEM;
	thin->ep = ep;
	ret = dev_cq_open(ep->domain->dev, &thin->cq);
	if (ret)
		goto free_thin;
	ret = open_queue_pair(thin);
	if (ret)
		goto close_cq;
	if (ep->opt.no_shm)
		dev_qp_forbid_shm(thin->qp);
	u_pool_init(&thin->ops, sizeof(struct efa_thin_op), 64,
		    (uint32_t)u_min(ep->tx_size + ep->rx_size, U_POOL_MAX));
	rdm_removed_init(&thin->removed, &thin->reach);
	*out = thin;
	return 0;

close_cq:
	dev_cq_close(thin->cq);
free_thin:
	free(thin);
	return ret;
}

/* Places of operations that never complete go back to their rings. */
static void give_up_places(struct efa_thin *thin)
{
	uint32_t cursor = 0;
	struct efa_thin_op *op;

	while ((op = u_pool_next(&thin->ops, &cursor)))
		efa_thin_op_free(thin, op);
}

void efa_thin_close(struct efa_thin *thin)
{
	efa_thin_ahs_close(thin);
	dev_qp_close(thin->qp);
	dev_cq_close(thin->cq);
	give_up_places(thin);
	u_pool_fini(&thin->ops);
	rdm_removed_fini(&thin->removed);
	free(thin->senders);
	free(thin);
}

void efa_thin_addr(const struct efa_thin *thin, struct dev_addr *addr)
{
	*addr = thin->qp->addr;
}
