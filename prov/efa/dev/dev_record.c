/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_record.c - the recording device: what is posted lies in a list
 *
 * Nothing leaves the list and no completion appears unless a test says so
 * (dev_record_drive.c). Simplicity before speed: every packet is an
 * allocation, every search a walk. Running out of memory aborts.
 */
#include "dev_record_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct record_qp_list record_qps = TAILQ_HEAD_INITIALIZER(record_qps);
void (*record_see)(const struct dev_record_wr *wr);

static uint32_t next_dev;
static uint32_t next_qpn;
static uint64_t next_serial;

static void *record_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		abort();
	return p;
}

static void record_close(struct dev *d)
{
	struct record_dev *rd = u_container_of(d, struct record_dev, dev);

	assert(TAILQ_EMPTY(&rd->mrs));
	free(rd);
}

static int record_cq_open(struct dev *d, struct dev_cq **out)
{
	struct record_cq *cq = record_alloc(sizeof(*cq));

	cq->cq.ops = d->ops;
	cq->cq.dev = d;
	TAILQ_INIT(&cq->ready);
	TAILQ_INIT(&cq->lent);
	*out = &cq->cq;
	return 0;
}

/* Frees the entries of one queue pair, or all when qp is NULL. */
static void record_wc_purge(struct record_wc_list *list,
			    const struct dev_qp *qp)
{
	struct record_wc *w = TAILQ_FIRST(list);
	struct record_wc *next;

	for (; w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (qp && w->qp != qp)
			continue;
		TAILQ_REMOVE(list, w, link);
		free(w);
	}
}

static void record_cq_close(struct dev_cq *c)
{
	struct record_cq *cq = u_container_of(c, struct record_cq, cq);

	record_wc_purge(&cq->ready, NULL);
	record_wc_purge(&cq->lent, NULL);
	free(cq);
}

static int record_cq_fd(struct dev_cq *cq)
{
	(void)cq;
	return -ENOSYS;
}

static int record_cq_arm(struct dev_cq *c)
{
	struct record_cq *cq = u_container_of(c, struct record_cq, cq);

	return !TAILQ_EMPTY(&cq->ready);
}

static int record_qp_open(struct dev *d, enum dev_qp_type type,
			  struct dev_cq *cq, const struct dev_qp_attr *attr,
			  struct dev_qp **out)
{
	struct record_qp *qp = record_alloc(sizeof(*qp));

	qp->qp.ops = d->ops;
	qp->qp.dev = d;
	qp->qp.cq = cq;
	qp->qp.type = type;
	memcpy(qp->qp.addr.gid, d->info.gid, sizeof(qp->qp.addr.gid));
	qp->qp.addr.qpn = ++next_qpn & 0xffff;
	qp->qp.addr.qkey = attr->qkey;
	qp->attr = *attr;
	qp->tail = &qp->head;
	TAILQ_INIT(&qp->ahs);
	TAILQ_INIT(&qp->rxs);
	TAILQ_INSERT_TAIL(&record_qps, qp, link);
	*out = &qp->qp;
	return 0;
}

static void record_qp_close(struct dev_qp *q)
{
	struct record_qp *qp = u_container_of(q, struct record_qp, qp);
	struct record_cq *cq = u_container_of(q->cq, struct record_cq, cq);
	struct dev_record_wr *wr;
	struct record_rx *rx;

	assert(TAILQ_EMPTY(&qp->ahs));
	while ((wr = dev_record_take(q)))
		dev_record_free(wr);
	while ((rx = TAILQ_FIRST(&qp->rxs))) {
		TAILQ_REMOVE(&qp->rxs, rx, link);
		free(rx);
	}
	record_wc_purge(&cq->ready, q);
	record_wc_purge(&cq->lent, q);
	TAILQ_REMOVE(&record_qps, qp, link);
	free(qp->source);
	free(qp);
}

static int record_ah_open(struct dev_qp *q, const struct dev_addr *addr,
			  uint64_t cookie, struct dev_ah **out)
{
	static const uint8_t zero[16];
	struct record_qp *qp = u_container_of(q, struct record_qp, qp);
	struct record_ah *ah;

	if (!addr->qpn || !memcmp(addr->gid, zero, sizeof(zero)))
		return -EINVAL;
	ah = record_alloc(sizeof(*ah));
	ah->ah.qp = q;
	ah->ah.addr = *addr;
	ah->cookie = cookie;
	ah->serial = ++next_serial;
	TAILQ_INSERT_TAIL(&qp->ahs, ah, link);
	*out = &ah->ah;
	return 0;
}

/* What was posted stays recorded, without its handle. */
static void record_ah_close(struct dev_ah *a)
{
	struct record_ah *ah = u_container_of(a, struct record_ah, ah);
	struct record_qp *qp = u_container_of(a->qp, struct record_qp, qp);
	struct dev_record_wr *wr;

	for (wr = qp->head; wr; wr = wr->next)
		if (wr->ah == a)
			wr->ah = NULL;
	TAILQ_REMOVE(&qp->ahs, ah, link);
	free(ah);
}

static int record_mr_open(struct dev *d, void *addr, size_t len,
			  uint32_t access, struct dev_mr **out)
{
	struct record_dev *rd = u_container_of(d, struct record_dev, dev);
	struct record_mr *mr;

	assert(!rd->held);
	if (len > UINT64_MAX - (uintptr_t)addr)
		return -EINVAL;
	mr = record_alloc(sizeof(*mr));
	mr->mr.dev = d;
	mr->mr.addr = (uintptr_t)addr;
	mr->mr.len = len;
	mr->mr.key = ++rd->next_key;
	mr->access = access;
	TAILQ_INSERT_TAIL(&rd->mrs, mr, link);
	*out = &mr->mr;
	return 0;
}

static int record_mr_close(struct dev_mr *m)
{
	struct record_mr *mr = u_container_of(m, struct record_mr, mr);
	struct record_dev *rd = u_container_of(m->dev, struct record_dev, dev);

	assert(!rd->held);
	TAILQ_REMOVE(&rd->mrs, mr, link);
	free(mr);
	return 0;
}

static bool record_mr_hold(struct dev *d, const struct dev_range *range, int n,
			   uint32_t access)
{
	struct record_dev *rd = u_container_of(d, struct record_dev, dev);

	assert(!rd->held);
	for (int i = 0; i < n; i++)
		if (!record_allows(rd, &range[i], access))
			return false;
	rd->held = true;
	return true;
}

static void record_mr_release(struct dev *d)
{
	struct record_dev *rd = u_container_of(d, struct record_dev, dev);

	assert(rd->held);
	rd->held = false;
}

static int record_source(struct dev_qp *q, uint32_t source,
			 struct dev_addr *addr)
{
	struct record_qp *qp = u_container_of(q, struct record_qp, qp);

	if (source >= qp->nsources)
		return -ENOENT;
	*addr = qp->source[source];
	return 0;
}

static void record_set_pressure(struct dev_qp *q, bool on)
{
	u_container_of(q, struct record_qp, qp)->pressure = on;
}

static int record_wr_check(const struct dev *d, const struct dev_wr *wr)
{
	uint64_t max = wr->op == DEV_SEND ? d->info.mtu : d->info.max_rdma;
	uint32_t need = wr->op == DEV_READ ? DEV_CAP_READ : DEV_CAP_WRITE;
	uint64_t sum = 0;

	if (!wr->ah || wr->op > DEV_WRITE_IMM)
		return -EINVAL;
	if (wr->op != DEV_SEND &&
	    (!(d->info.caps & need) || wr->hdr_len || wr->iovcnt != 1))
		return -EINVAL;
	if (wr->iovcnt > 4)
		return -EINVAL;
	for (int i = 0; i < wr->iovcnt; i++)
		sum += wr->iov[i].iov_len;
	if (sum < wr->len)
		return -EINVAL;
	return wr->hdr_len + wr->len > max ? -EMSGSIZE : 0;
}

/* Gathers header and payload; iov may hold more than len bytes. */
static void record_gather(struct dev_record_wr *r, const struct dev_wr *wr)
{
	uint64_t left = wr->len;
	uint8_t *at = r->data;

	if (wr->hdr_len)
		memcpy(at, wr->hdr, wr->hdr_len);
	at += wr->hdr_len;
	for (int i = 0; left; i++) {
		size_t n = u_min(wr->iov[i].iov_len, left);

		if (n)
			memcpy(at, wr->iov[i].iov_base, n);
		at += n;
		left -= n;
	}
}

static struct dev_record_wr *record_wr_new(struct dev_qp *q,
					   const struct dev_wr *wr)
{
	struct record_ah *ah = u_container_of(wr->ah, struct record_ah, ah);
	size_t bytes = wr->op == DEV_SEND ? wr->hdr_len + wr->len : 0;
	struct dev_record_wr *r = record_alloc(sizeof(*r) + bytes);

	r->from = q;
	r->to = wr->ah->addr;
	r->ah = wr->ah;
	r->ah_serial = ah->serial;
	r->cookie = ah->cookie;
	r->id = wr->id;
	r->op = wr->op;
	r->flags = wr->flags;
	r->imm = wr->imm;
	r->rkey = wr->rkey;
	r->remote = wr->remote;
	r->len = wr->hdr_len + wr->len;
	if (wr->op == DEV_SEND)
		record_gather(r, wr);
	else
		r->local = wr->iov[0].iov_base;
	return r;
}

static int record_post(struct dev_qp *q, struct dev_wr *wr, int n)
{
	struct record_qp *qp = u_container_of(q, struct record_qp, qp);
	struct record_dev *rd = u_container_of(q->dev, struct record_dev, dev);
	int rc = 0;
	int i;

	assert(!rd->held);
	for (i = 0; i < n; i++) {
		struct dev_record_wr *r;

		rc = rd->room ? record_wr_check(q->dev, &wr[i]) : -EAGAIN;
		if (!rc && wr[i].op == DEV_READ && rd->no_reads)
			rc = -ENOMEM;
		if (rc)
			break;
		if (rd->room > 0)
			rd->room--;
		r = record_wr_new(q, &wr[i]);
		if (rd->inline_done)
			r->done = r->op == DEV_SEND || record_rdma(r) == 0;
		wr[i].done = r->done;
		*qp->tail = r;
		qp->tail = &r->next;
		if (record_see)
			record_see(r);
	}
	return i ? i : rc;
}

static int record_post_recv(struct dev_qp *q, uint64_t id, void *buf,
			    size_t len, struct dev_mr *mr)
{
	struct record_qp *qp = u_container_of(q, struct record_qp, qp);
	struct record_rx *rx;

	if (q->type != DEV_QP_UD)
		return -EINVAL;
	rx = record_alloc(sizeof(*rx));
	rx->id = id;
	rx->buf = buf;
	rx->len = len;
	TAILQ_INSERT_TAIL(&qp->rxs, rx, link);
	return 0;
}

static int record_poll(struct dev_cq *c, struct dev_wc *wc, int n)
{
	struct record_cq *cq = u_container_of(c, struct record_cq, cq);
	struct record_wc *w;
	int i;

	assert(TAILQ_EMPTY(&cq->lent));
	for (i = 0; i < n && (w = TAILQ_FIRST(&cq->ready)); i++) {
		TAILQ_REMOVE(&cq->ready, w, link);
		TAILQ_INSERT_TAIL(&cq->lent, w, link);
		wc[i] = w->wc;
	}
	return i;
}

static void record_give_back(struct dev_cq *c)
{
	struct record_cq *cq = u_container_of(c, struct record_cq, cq);

	record_wc_purge(&cq->lent, NULL);
}

/* What was not taken yet: it is as if the device had not begun it. */
static bool record_revoke(struct dev_qp *q, uint64_t id)
{
	struct record_qp *qp = u_container_of(q, struct record_qp, qp);
	struct dev_record_wr **at = &qp->head, *wr;
	bool found = false;

	while ((wr = *at)) {
		if (wr->id != id || wr->op == DEV_SEND || wr->done) {
			at = &wr->next;
			continue;
		}
		*at = wr->next;
		dev_record_complete(wr, DEV_FLUSHED);
		free(wr);
		found = true;
	}
	qp->tail = at;
	return found;
}

static const struct dev_ops record_ops = {
	.close = record_close,
	.cq_open = record_cq_open,
	.cq_close = record_cq_close,
	.cq_fd = record_cq_fd,
	.cq_arm = record_cq_arm,
	.qp_open = record_qp_open,
	.qp_close = record_qp_close,
	.ah_open = record_ah_open,
	.ah_close = record_ah_close,
	.mr_open = record_mr_open,
	.mr_close = record_mr_close,
	.mr_hold = record_mr_hold,
	.mr_release = record_mr_release,
	.source = record_source,
	.set_pressure = record_set_pressure,
	.post = record_post,
	.post_recv = record_post_recv,
	.poll = record_poll,
	.give_back = record_give_back,
	.revoke = record_revoke,
};

int dev_record_open(uint32_t mtu, uint32_t caps, struct dev **out)
{
	struct record_dev *rd = record_alloc(sizeof(*rd));
	uint32_t number = next_dev++;

	rd->dev.ops = &record_ops;
	rd->dev.info = (struct dev_info){
		.kind = DEV_KIND_RECORD,
		.gid = { 0xfd, 0xef,
			 0xa0, [12] = number >> 24, [13] = number >> 16 & 0xff,
			 [14] = number >> 8 & 0xff, [15] = number & 0xff },
		.caps = caps,
		.mtu = mtu,
		.ud_mtu = mtu,
		.max_rdma = UINT64_C(1) << 30,
		.read_min = 65536,
		.tx_depth = 4096,
		.rx_depth = 8192,
		.max_qp = 1024,
		.max_cq = 1024,
		.max_mr = 65536,
		.max_ah = 65536,
		.key_bytes = 4,
		.version = 0xefa0,
		.link_mtu = 9001,
		.link_addr = "record",
		.up = true,
	};
	snprintf(rd->dev.info.name, sizeof(rd->dev.info.name), "record_%u",
		 number);
	rd->room = -1;
	TAILQ_INIT(&rd->mrs);
	*out = &rd->dev;
	return 0;
}
