/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_record_drive.c - what a test does to recording devices: take, deliver,
 * complete, inject
 */
#include "dev_record_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct record_dev *record_dev_of(struct dev *d)
{
	assert(d->info.kind == DEV_KIND_RECORD);
	return u_container_of(d, struct record_dev, dev);
}

static struct record_qp *record_qp_of(struct dev_qp *q)
{
	assert(q->dev->info.kind == DEV_KIND_RECORD);
	return u_container_of(q, struct record_qp, qp);
}

void dev_record_set_inline(struct dev *d, bool done_at_post)
{
	record_dev_of(d)->inline_done = done_at_post;
}

void dev_record_set_room(struct dev *d, int posts)
{
	record_dev_of(d)->room = posts;
}

void dev_record_set_reads(struct dev *d, bool can)
{
	record_dev_of(d)->no_reads = !can;
}

void dev_record_watch(void (*see)(const struct dev_record_wr *wr))
{
	record_see = see;
}

struct dev_record_wr *dev_record_peek(struct dev_qp *q)
{
	return record_qp_of(q)->head;
}

struct dev_record_wr *dev_record_take(struct dev_qp *q)
{
	struct record_qp *qp = record_qp_of(q);
	struct dev_record_wr *wr = qp->head;

	if (!wr)
		return NULL;
	qp->head = wr->next;
	if (!qp->head)
		qp->tail = &qp->head;
	wr->next = NULL;
	return wr;
}

void dev_record_free(struct dev_record_wr *wr)
{
	free(wr);
}

static bool same_addr(const struct dev_addr *a, const struct dev_addr *b)
{
	return !memcmp(a->gid, b->gid, sizeof(a->gid)) && a->qpn == b->qpn &&
	       a->qkey == b->qkey;
}

struct record_qp *record_qp_find(const struct dev_addr *addr)
{
	struct record_qp *qp;

	TAILQ_FOREACH(qp, &record_qps, link)
		if (same_addr(&qp->qp.addr, addr))
			return qp;
	return NULL;
}

bool record_ah_alive(const struct dev_record_wr *wr)
{
	struct record_qp *qp;
	struct record_ah *ah;

	TAILQ_FOREACH(qp, &record_qps, link)
		TAILQ_FOREACH(ah, &qp->ahs, link)
			if (ah->serial == wr->ah_serial)
				return true;
	return false;
}

void record_push(struct dev_qp *q, const struct dev_wc *wc, const void *data,
		 uint32_t len)
{
	struct record_cq *cq = u_container_of(q->cq, struct record_cq, cq);
	struct record_wc *w = calloc(1, sizeof(*w) + len);

	if (!w)
		abort();
	w->wc = *wc;
	w->qp = q;
	if (len)
		memcpy(w->data, data, len);
	if (data)
		w->wc.data = w->data;
	TAILQ_INSERT_TAIL(&cq->ready, w, link);
}

/* The dense number of an address, given at its first packet. */
static uint32_t record_source_of(struct record_qp *qp,
				 const struct dev_addr *addr)
{
	uint32_t i;

	for (i = 0; i < qp->nsources; i++)
		if (same_addr(&qp->source[i], addr))
			return i;
	qp->source = realloc(qp->source, (i + 1) * sizeof(*addr));
	if (!qp->source)
		abort();
	qp->source[i] = *addr;
	qp->nsources++;
	return i;
}

static bool record_covers(const struct record_mr *mr, uint32_t need,
			  uint64_t addr, uint64_t len)
{
	return (mr->access & need) == need && addr >= mr->mr.addr &&
	       len <= mr->mr.len && addr - mr->mr.addr <= mr->mr.len - len;
}

bool record_allows(const struct record_dev *rd, const struct dev_range *range,
		   uint32_t access)
{
	struct record_mr *mr;

	TAILQ_FOREACH(mr, &rd->mrs, link)
		if (mr->mr.key == range->key)
			return record_covers(mr, access, range->addr,
					     range->len);
	return !range->len;
}

int record_rdma(const struct dev_record_wr *wr)
{
	uint32_t need = wr->op == DEV_READ ? DEV_REMOTE_READ : DEV_REMOTE_WRITE;
	const struct dev_range range = { wr->remote, wr->len, wr->rkey };
	struct record_qp *qp = record_qp_find(&wr->to);
	void *remote = (void *)(uintptr_t)wr->remote;

	if (!qp)
		return -ENOENT;
	if (!record_allows(record_dev_of(qp->qp.dev), &range, need))
		return -EACCES;
	if (!wr->len)
		return 0;
	if (wr->op == DEV_READ)
		memmove(wr->local, remote, wr->len);
	else
		memmove(remote, wr->local, wr->len);
	return 0;
}

static int record_deliver_ud(struct record_qp *qp, const struct dev_wc *wc,
			     const void *data, uint32_t len)
{
	struct record_rx *rx = TAILQ_FIRST(&qp->rxs);
	struct dev_wc done = *wc;

	if (!rx)
		return -EAGAIN;
	if (rx->len < DEV_UD_PREFIX || len > rx->len - DEV_UD_PREFIX)
		return -EMSGSIZE;
	memset(rx->buf, 0, DEV_UD_PREFIX);
	if (len)
		memcpy(rx->buf + DEV_UD_PREFIX, data, len);
	done.id = rx->id;
	done.len = len + DEV_UD_PREFIX;
	record_push(&qp->qp, &done, NULL, 0);
	TAILQ_REMOVE(&qp->rxs, rx, link);
	free(rx);
	return 0;
}

static int record_deliver_send(struct record_qp *qp,
			       const struct dev_record_wr *wr)
{
	struct dev_wc wc = {
		.op = DEV_WC_RECV,
		.len = (uint32_t)wr->len,
		.source = record_source_of(qp, &wr->from->addr),
		.imm = wr->imm,
		.has_imm = wr->flags & DEV_WR_IMM,
	};

	if (qp->qp.type == DEV_QP_UD)
		return record_deliver_ud(qp, &wc, wr->data, wc.len);
	record_push(&qp->qp, &wc, wr->data, wc.len);
	return 0;
}

/* WRITTEN follows the bytes, wherever they were moved. */
static int record_deliver_rdma(struct record_qp *qp,
			       const struct dev_record_wr *wr)
{
	int rc = wr->done ? 0 : record_rdma(wr);

	if (rc == 0 && wr->op == DEV_WRITE_IMM)
		record_push(
			&qp->qp,
			&(struct dev_wc){
				.op = DEV_WC_WRITTEN,
				.len = (uint32_t)wr->len,
				.source = record_source_of(qp, &wr->from->addr),
				.imm = wr->imm,
				.has_imm = true,
			},
			NULL, 0);
	return rc;
}

int dev_record_deliver(const struct dev_record_wr *wr, bool complete)
{
	struct record_qp *qp = record_qp_find(&wr->to);
	int rc;

	if (!qp)
		return -ENOENT;
	if (wr->op == DEV_SEND)
		rc = record_deliver_send(qp, wr);
	else
		rc = record_deliver_rdma(qp, wr);
	if (rc == -EACCES)
		dev_record_complete(wr, DEV_BAD_RKEY);
	else if (rc != -EAGAIN && complete && !wr->done)
		dev_record_complete(wr, DEV_OK);
	return rc;
}

void dev_record_complete(const struct dev_record_wr *wr, uint8_t status)
{
	static const uint8_t op_of[] = {
		[DEV_SEND] = DEV_WC_SEND,
		[DEV_READ] = DEV_WC_READ,
		[DEV_WRITE] = DEV_WC_WRITE,
		[DEV_WRITE_IMM] = DEV_WC_WRITE,
	};

	if (record_ah_alive(wr))
		record_push(wr->from,
			    &(struct dev_wc){
				    .op = op_of[wr->op],
				    .id = wr->id,
				    .status = status,
				    .source = DEV_SOURCE_UNKNOWN,
			    },
			    NULL, 0);
}

void dev_record_inject(struct dev_qp *q, const struct dev_addr *from,
		       const void *data, uint32_t len)
{
	struct record_qp *qp = record_qp_of(q);
	struct dev_wc wc = {
		.op = DEV_WC_RECV,
		.len = len,
		.source = from ? record_source_of(qp, from) :
				 DEV_SOURCE_UNKNOWN,
	};

	if (q->type == DEV_QP_UD)
		record_deliver_ud(qp, &wc, data, len);
	else
		record_push(q, &wc, data, len);
}

void dev_record_gone(struct dev_qp *q, uint64_t cookie)
{
	record_push(q,
		    &(struct dev_wc){
			    .op = DEV_WC_GONE,
			    .id = cookie,
			    .source = DEV_SOURCE_UNKNOWN,
		    },
		    NULL, 0);
}

/* Takes the oldest work request of qp to its end; false: it cannot go. */
static bool record_step(struct dev_qp *q)
{
	struct dev_record_wr *wr = dev_record_peek(q);
	int rc;

	if (!wr)
		return false;
	rc = dev_record_deliver(wr, true);
	if (rc == -EAGAIN)
		return false;
	if (rc == -ENOENT && !wr->done)
		dev_record_complete(wr,
				    q->type == DEV_QP_UD ? DEV_OK : DEV_NO_QP);
	dev_record_free(dev_record_take(q));
	return true;
}

int dev_record_run(void)
{
	struct record_qp *qp;
	int moved = 0;
	int before;

	do {
		before = moved;
		TAILQ_FOREACH(qp, &record_qps, link)
			while (record_step(&qp->qp))
				moved++;
	} while (moved != before);
	return moved;
}

struct dev_qp_attr dev_record_attr(struct dev_qp *q)
{
	return u_container_of(q, struct record_qp, qp)->attr;
}

bool dev_record_pressure(struct dev_qp *q)
{
	return record_qp_of(q)->pressure;
}
