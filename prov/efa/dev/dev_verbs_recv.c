/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_recv.c - receives: those the device owns, and those of the user
 *
 * A queue pair for reliable datagrams starts with a few packets in the
 * hardware's queue. A run is what came in since the queue was seen empty; when
 * one is longer than half of what is posted, the queue is made twice as long,
 * up to its depth. When runs stay short for a while it is halved again: then
 * packets that come back from the hardware are not posted any more and their
 * memory is given back. That needs receives that end: while nothing comes and
 * none fails, the hardware keeps all that it has.
 *
 * A receive that fails is nobody's loan: its packet is free at once, and the
 * next poll posts another, as there may be no give back before the queue is
 * empty. One that was flushed tells that the queue pair has failed.
 */
#include "dev_verbs_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "util/u_log.h"

#define TARGET_MIN VERBS_CHUNK
#define CHAIN 32 /* receives of one doorbell */
#define REFILL_MIN 8 /* fewer wait for the next time */
#define LOOK 16 /* times the target: packets between two looks at the peak */

/* ---- packets of the device ----------------------------------------------- */

/* Posts n packets; those that the hardware does not take stay free. */
static void chain_post(struct verbs_qp *qp, const uint32_t *pkt, uint32_t n)
{
	struct verbs_rx *rx = &qp->rx;
	struct ibv_recv_wr wr[CHAIN], *bad = NULL;
	struct ibv_sge sge[CHAIN];
	uint32_t done = n;

	for (uint32_t i = 0; i < n; i++) {
		sge[i] = (struct ibv_sge){
			.addr = (uintptr_t)verbs_pool_at(&rx->pool, pkt[i]),
			.length = qp->qp.dev->info.mtu,
			.lkey = verbs_pool_lkey(&rx->pool, pkt[i]),
		};
		wr[i] = (struct ibv_recv_wr){
			.wr_id = qp->tag | VERBS_WR_RECV | pkt[i],
			.next = i + 1 < n ? &wr[i + 1] : NULL,
			.sg_list = &sge[i],
			.num_sge = 1,
		};
	}
	if (u_unlikely(ibv_post_recv(qp->ibv, wr, &bad) != 0))
		done = bad ? (uint32_t)(bad - wr) : 0;
	rx->posted += done;
	for (uint32_t i = done; i < n; i++)
		verbs_pool_put(&rx->pool, pkt[i]);
}

/* From free packets, or new ones, up to the target. */
static U_COLD void top_up(struct verbs_qp *qp)
{
	struct verbs_rx *rx = &qp->rx;
	uint32_t pkt[CHAIN];

	while (rx->posted < rx->target) {
		uint32_t want = (uint32_t)u_min(rx->target - rx->posted, CHAIN);
		uint32_t before = rx->posted, n = 0;

		while (n < want) {
			pkt[n] = verbs_pool_get(&rx->pool);
			if (pkt[n] != VERBS_NONE)
				n++;
			else if (verbs_pool_grow(&rx->pool))
				break;
		}
		if (n)
			chain_post(qp, pkt, n);
		/* No memory, or the hardware does not want them. */
		if (rx->posted < before + want) {
			rx->target = (uint32_t)u_max(rx->posted, TARGET_MIN);
			return;
		}
	}
}

/* Longer after a long run, shorter after many short ones. */
static U_COLD void resize(struct verbs_rx *rx)
{
	if (rx->run > rx->target / 2) {
		rx->target = (uint32_t)u_min(2 * rx->target, rx->depth);
		rx->run = rx->peak = rx->since = 0;
		return;
	}
	if (rx->peak < rx->target / 8 && rx->target / 2 >= TARGET_MIN)
		rx->target /= 2;
	rx->since = rx->peak = 0;
}

/*
 * Whether this packet leaves the queue, of which posted are there: because
 * they are enough, or because its chunk is one that shall go.
 */
static bool retires(const struct verbs_rx *rx, uint32_t posted, uint32_t pkt)
{
	return posted >= rx->target || pkt >= u_align(rx->target, VERBS_CHUNK);
}

static void post_back(struct verbs_qp *qp)
{
	struct verbs_rx *rx = &qp->rx;
	uint32_t at = 0;

	while (at < rx->nback) {
		uint32_t pkt[CHAIN], n = 0;
		bool retired = false;

		for (; at < rx->nback && n < CHAIN; at++) {
			if (u_unlikely(retires(rx, rx->posted + n,
					       rx->back[at]))) {
				verbs_pool_put(&rx->pool, rx->back[at]);
				retired = true;
			} else {
				pkt[n++] = rx->back[at];
			}
		}
		if (n)
			chain_post(qp, pkt, n);
		if (u_unlikely(retired))
			verbs_pool_trim(&rx->pool, (rx->target + VERBS_CHUNK -
						    1) / VERBS_CHUNK);
	}
	rx->nback = 0;
}

void verbs_rx_refill(struct verbs_qp *qp)
{
	struct verbs_rx *rx = &qp->rx;

	if (rx->nback < REFILL_MIN && rx->posted >= rx->target / 2)
		return;
	if (u_unlikely((rx->run > rx->target / 2 && rx->target < rx->depth) ||
		       rx->since > LOOK * rx->target))
		resize(rx);
	post_back(qp);
	if (u_unlikely(rx->posted < rx->target))
		top_up(qp);
}

U_COLD void verbs_rx_lost(struct verbs_qp *qp, uint32_t pkt, uint8_t status)
{
	qp->rx.posted--;
	verbs_pool_put(&qp->rx.pool, pkt);
	qp->rx.lost = true;
	qp->cq->chores = true;
	if (status == DEV_FLUSHED && !atomic_exchange(&qp->fatal, true))
		u_warn("%s: queue pair %u has failed: its receives came back "
		       "unused",
		       qp->qp.dev->info.name, qp->qp.addr.qpn);
}

U_COLD void verbs_rx_again(struct verbs_qp *qp)
{
	qp->rx.lost = false;
	if (atomic_load(&qp->fatal))
		qp->rx.target = 0;
	verbs_rx_refill(qp);
}

static void back_all(struct verbs_qp *qp)
{
	if (qp && qp->rx.nback)
		verbs_rx_refill(qp);
}

void verbs_give_back(struct dev_cq *c)
{
	struct verbs_cq *cq = u_container_of(c, struct verbs_cq, cq);

	if (u_likely(cq->one != NULL)) {
		back_all(cq->one);
		return;
	}
	for (uint32_t i = 0; i < cq->nslots; i++)
		back_all(cq->qps[i]);
}

/* ---- receives of the user ------------------------------------------------------ */

static int recv_issue(struct verbs_qp *qp, uint32_t i, void *buf, size_t len,
		      const struct dev_mr *mr)
{
	struct verbs_dev *vd =
		u_container_of(qp->qp.dev, struct verbs_dev, dev);
	struct ibv_sge sge = { .addr = (uintptr_t)buf };
	struct ibv_recv_wr wr = { .sg_list = &sge, .num_sge = len != 0 }, *bad;
	struct verbs_recv *r = &qp->rx.recv[i];
	int rc;

	if (len && !verbs_mr_lkey(mr, buf, len, &sge.lkey)) {
		rc = verbs_reg_get(vd, buf, len, IBV_ACCESS_LOCAL_WRITE,
				   &r->reg);
		if (rc)
			return rc;
		sge.lkey = r->reg.mr->lkey;
	}
	/* The hardware counts in 16 bits; no message is longer. */
	sge.length = (uint32_t)u_min(len, UINT16_MAX);
	wr.wr_id = qp->tag | VERBS_WR_RECV | i;
	rc = ibv_post_recv(qp->ibv, &wr, &bad);
	if (rc) {
		if (r->reg.mr)
			verbs_reg_put(vd, &r->reg);
		return rc == ENOMEM || rc == -ENOMEM ? -EAGAIN : -EINVAL;
	}
	return 0;
}

int verbs_post_recv(struct dev_qp *q, uint64_t id, void *buf, size_t len,
		    struct dev_mr *mr)
{
	struct verbs_qp *qp = u_container_of(q, struct verbs_qp, qp);
	uint32_t i = qp->rx.free;
	struct verbs_recv *r;
	int rc = 0;

	if (q->type == DEV_QP_RDM)
		return -EINVAL;
	if (i == VERBS_NONE)
		return -EAGAIN;
	r = &qp->rx.recv[i];
	r->id = id;
	r->reg.mr = NULL;
	if (u_likely(!qp->dead))
		rc = recv_issue(qp, i, buf, len, mr);
	else
		qp->cq->chores = true; /* it ends with the others */
	if (rc)
		return rc;
	qp->rx.free = r->next;
	qp->rx.posted++;
	r->posted = true;
	r->next = VERBS_NONE;
	return 0;
}

U_COLD void verbs_recv_fail(struct verbs_qp *qp, uint32_t i, uint8_t status,
			    struct dev_wc *wc)
{
	*wc = (struct dev_wc){
		.id = qp->rx.recv[i].id,
		.op = DEV_WC_RECV,
		.status = status,
		.source = DEV_SOURCE_UNKNOWN,
	};
	verbs_recv_free(qp, i);
}

U_COLD int verbs_recv_fail_all(struct verbs_qp *qp, struct dev_wc *wc, int n)
{
	struct verbs_rx *rx = &qp->rx;
	int k = 0;

	for (uint32_t i = 0; i < rx->depth && k < n && rx->posted; i++)
		if (rx->recv[i].posted)
			verbs_recv_fail(qp, i, qp->dead, &wc[k++]);
	return k;
}

/* ---- open and close --------------------------------------------------------------- */

static int recvs_init(struct verbs_rx *rx)
{
	rx->recv = calloc(rx->depth, sizeof(*rx->recv));
	if (!rx->recv)
		return -ENOMEM;
	for (uint32_t i = 0; i < rx->depth; i++)
		rx->recv[i].next = i + 1 < rx->depth ? i + 1 : VERBS_NONE;
	return 0;
}

int verbs_rx_init(struct verbs_qp *qp)
{
	struct verbs_rx *rx = &qp->rx;
	struct verbs_dev *vd =
		u_container_of(qp->qp.dev, struct verbs_dev, dev);
	int rc;

	if (qp->qp.type != DEV_QP_RDM)
		return recvs_init(rx);
	rx->target = (uint32_t)u_min(TARGET_MIN, rx->depth);
	rc = verbs_pool_init(&rx->pool, vd, vd->dev.info.mtu, rx->depth);
	if (!rc)
		rc = verbs_pool_grow(&rx->pool);
	if (rc)
		verbs_pool_fini(&rx->pool);
	return rc;
}

void verbs_rx_fini(struct verbs_qp *qp)
{
	struct verbs_rx *rx = &qp->rx;

	for (uint32_t i = 0; rx->recv && i < rx->depth; i++)
		if (rx->recv[i].reg.mr)
			verbs_reg_put(u_container_of(qp->qp.dev,
						     struct verbs_dev, dev),
				      &rx->recv[i].reg);
	free(rx->recv);
	verbs_pool_fini(&rx->pool);
}

int verbs_rx_start(struct verbs_qp *qp)
{
	if (qp->qp.type != DEV_QP_RDM)
		return 0;
	top_up(qp);
	return qp->rx.posted ? 0 : -ENOMEM;
}
