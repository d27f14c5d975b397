/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_poll.c - completions: what came in, what is done
 *
 * The hot path reads top-down in verbs_poll(), take_one(), received().
 *
 * libibverbs 44 has a fault: when an entry of a queue pair that has gone is met
 * by ibv_next_poll(), ibv_end_poll() frees a wrong slot of the entry before.
 * Such entries exist only in a queue that a queue pair has left, so there each
 * entry is taken between a start and an end of its own, where the same error is
 * harmless.
 */
#include "dev_verbs_priv.h"

#include <errno.h>

/* Polls between two looks at what events said, and at events. */
#define LOOK_POLLS 1024
#define EVENT_POLLS (1u << 20)
/* Entries looked at in one poll at most, those of nobody included. */
#define STALE_MAX 1024

/* ---- statuses ------------------------------------------------------------ */

/*
 * The device's own number says more than that of libibverbs, which differs by
 * version. Software that answers in the place of a device may not have one.
 */
static U_COLD uint8_t status_of(struct ibv_cq_ex *ibv)
{
	uint32_t device = ibv_wc_read_vendor_err(ibv);

	if (device && device <= UINT8_MAX)
		return (uint8_t)device;
	switch (ibv->status) {
	case IBV_WC_WR_FLUSH_ERR:
		return DEV_FLUSHED;
	case IBV_WC_LOC_PROT_ERR:
		return DEV_BAD_LKEY;
	case IBV_WC_LOC_LEN_ERR:
		return DEV_TOO_LONG;
	case IBV_WC_REM_ACCESS_ERR:
		return DEV_BAD_RKEY;
	case IBV_WC_REM_ABORT_ERR:
		return DEV_PEER_RESET;
	case IBV_WC_REM_INV_RD_REQ_ERR:
		return DEV_NO_QP;
	case IBV_WC_RNR_RETRY_EXC_ERR:
		return DEV_RNR;
	case IBV_WC_REM_INV_REQ_ERR:
		return DEV_SHORT_RECV;
	case IBV_WC_BAD_RESP_ERR:
		return DEV_BAD_RESPONSE;
	case IBV_WC_RESP_TIMEOUT_ERR:
		return DEV_UNRESPONSIVE;
	case IBV_WC_REM_OP_ERR:
		return DEV_NO_AH;
	default:
		return DEV_QP_ERROR;
	}
}

/* ---- who sent it ----------------------------------------------------------- */

/* A sender seen for the first time, or again after numbers were reused. */
static U_COLD uint32_t source_slow(struct verbs_qp *qp, uint32_t ahn,
				   uint32_t qpn)
{
	struct verbs_dev *vd =
		u_container_of(qp->qp.dev, struct verbs_dev, dev);
	struct verbs_cq *cq = qp->cq;
	union ibv_gid gid;
	uint32_t number;

	if (ahn < VERBS_AHN_NONE &&
	    verbs_gid_of_ahn(vd, (uint16_t)ahn, gid.raw)) {
		number = verbs_source_number(&qp->sources, gid.raw, qpn);
		if (number != VERBS_NONE)
			verbs_source_learn(&qp->sources, ahn, qpn, number);
		return number;
	}
	if (!cq->sgid || efadv_wc_read_sgid(cq->efa, &gid))
		return DEV_SOURCE_UNKNOWN;
	return verbs_source_number(&qp->sources, gid.raw, qpn);
}
_Static_assert(VERBS_NONE == DEV_SOURCE_UNKNOWN, "no number");

static uint32_t source_of(struct verbs_qp *qp, struct ibv_cq_ex *ibv)
{
	uint32_t qpn = ibv_wc_read_src_qp(ibv);
	uint32_t ahn = ibv_wc_read_slid(ibv);
	uint32_t number = verbs_source_find(&qp->sources, ahn, qpn);

	if (u_likely(number != VERBS_NONE))
		return number;
	return source_slow(qp, ahn, qpn);
}

/* ---- one entry --------------------------------------------------------------- */

/* What the hardware wrote for a peer, with a number for us. */
static U_COLD void written(struct verbs_qp *qp, struct ibv_cq_ex *ibv,
			   struct dev_wc *wc)
{
	*wc = (struct dev_wc){
		.op = DEV_WC_WRITTEN,
		.len = ibv_wc_read_byte_len(ibv),
		.imm = ibv_wc_read_imm_data(ibv),
		.has_imm = true,
		.source = source_of(qp, ibv),
	};
}

static void fill_recv(struct verbs_qp *qp, struct ibv_cq_ex *ibv,
		      struct dev_wc *wc)
{
	wc->op = DEV_WC_RECV;
	wc->status = 0;
	wc->len = ibv_wc_read_byte_len(ibv);
	wc->source = source_of(qp, ibv);
	wc->has_imm = ibv_wc_read_wc_flags(ibv) & IBV_WC_WITH_IMM;
	wc->imm = u_unlikely(wc->has_imm) ? ibv_wc_read_imm_data(ibv) : 0;
}

/* A packet of ours was filled: lent until it is given back. */
static int received(struct verbs_qp *qp, uint32_t pkt, struct dev_wc *wc)
{
	struct ibv_cq_ex *ibv = qp->cq->ibv;

	if (u_unlikely(pkt / VERBS_CHUNK >= qp->rx.pool.max_chunks ||
		       !qp->rx.posted))
		return 0;
	if (u_unlikely(ibv->status != IBV_WC_SUCCESS)) {
		verbs_rx_lost(qp, pkt, status_of(ibv));
		return 0;
	}
	if (u_unlikely(ibv_wc_read_opcode(ibv) == IBV_WC_RECV_RDMA_WITH_IMM)) {
		verbs_rx_back(&qp->rx, pkt);
		written(qp, ibv, wc);
		return 1;
	}
	wc->id = 0;
	wc->data = verbs_pool_at(&qp->rx.pool, pkt);
	fill_recv(qp, ibv, wc);
	if (u_unlikely(wc->len > qp->qp.dev->info.mtu)) {
		verbs_rx_lost(qp, pkt, DEV_TOO_LONG);
		return 0;
	}
	verbs_rx_back(&qp->rx, pkt);
	return 1;
}

/* A receive of the user. */
static int received_user(struct verbs_qp *qp, uint32_t i, struct dev_wc *wc)
{
	struct ibv_cq_ex *ibv = qp->cq->ibv;

	if (u_unlikely(i >= qp->rx.depth || !qp->rx.recv[i].posted))
		return 0;
	if (u_unlikely(ibv->status != IBV_WC_SUCCESS)) {
		verbs_recv_fail(qp, i, status_of(ibv), wc);
		return 1;
	}
	wc->id = qp->rx.recv[i].id;
	wc->data = NULL;
	fill_recv(qp, ibv, wc);
	if (u_unlikely(ibv_wc_read_opcode(ibv) == IBV_WC_RECV_RDMA_WITH_IMM))
		wc->op = DEV_WC_WRITTEN;
	verbs_recv_free(qp, i);
	return 1;
}

/* wr_id says nothing of an entry that used no receive. */
static U_COLD int unsolicited(struct verbs_cq *cq, struct dev_wc *wc)
{
	uint32_t qpn = ibv_wc_read_qp_num(cq->ibv);

	for (uint32_t i = 0; i < cq->nslots; i++) {
		if (!cq->qps[i] || cq->qps[i]->qp.addr.qpn != qpn)
			continue;
		written(cq->qps[i], cq->ibv, wc);
		return 1;
	}
	return 0;
}

static bool is_unsolicited(struct verbs_cq *cq)
{
	return cq->unsolicited && cq->ibv->status == IBV_WC_SUCCESS &&
	       ibv_wc_read_opcode(cq->ibv) == IBV_WC_RECV_RDMA_WITH_IMM &&
	       verbs_lib_is_unsolicited(cq->efa);
}

/* The queue pair that posted it; NULL: it has gone. */
static struct verbs_qp *qp_of(const struct verbs_cq *cq, uint64_t wr_id)
{
	struct verbs_qp *qp = cq->one;

	if (u_unlikely(!qp))
		qp = wr_id >> 48 < cq->nslots ? cq->qps[wr_id >> 48] : NULL;
	if (u_unlikely(!qp || qp->tag != (wr_id & VERBS_WR_TAG)))
		return NULL;
	return qp;
}

/* The entry at hand; returns 1 when wc tells of it. */
static int take_one(struct verbs_cq *cq, struct dev_wc *wc)
{
	struct ibv_cq_ex *ibv = cq->ibv;
	uint32_t index = (uint32_t)(ibv->wr_id & VERBS_WR_INDEX);
	struct verbs_qp *qp;
	uint8_t status;

	if (u_unlikely(is_unsolicited(cq)))
		return unsolicited(cq, wc);
	qp = qp_of(cq, ibv->wr_id);
	if (u_unlikely(!qp))
		return 0;
	if (ibv->wr_id & VERBS_WR_RECV)
		return u_likely(qp->qp.type == DEV_QP_RDM) ?
			       received(qp, index, wc) :
			       received_user(qp, index, wc);
	if (u_unlikely(index >= qp->tx_depth || !qp->tx[index].in_hw))
		return 0;
	status = u_likely(ibv->status == IBV_WC_SUCCESS) ? 0 : status_of(ibv);
	return verbs_tx_done(qp, &qp->tx[index], status, wc);
}

/* ---- the queue ------------------------------------------------------------------ */

static void seen_empty(struct verbs_cq *cq)
{
	cq->empty = true;
	if (u_likely(cq->one != NULL)) {
		cq->one->rx.run = 0;
		return;
	}
	for (uint32_t i = 0; i < cq->nslots; i++)
		if (cq->qps[i])
			cq->qps[i]->rx.run = 0;
}

static int take_all(struct verbs_cq *cq, struct dev_wc *wc, int n)
{
	struct ibv_poll_cq_attr attr = { .comp_mask = 0 };
	int k = 0, rc;

	if (n <= 0)
		return 0;
	rc = ibv_start_poll(cq->ibv, &attr);
	if (rc) {
		if (u_likely(rc == ENOENT))
			seen_empty(cq);
		return 0;
	}
	do {
		k += take_one(cq, &wc[k]);
	} while (k < n && !(rc = ibv_next_poll(cq->ibv)));
	ibv_end_poll(cq->ibv);
	if (rc == ENOENT)
		seen_empty(cq);
	return k;
}

/* As take_all(), see the top of the file. EINVAL: an entry of one that left. */
static U_COLD int take_singly(struct verbs_cq *cq, struct dev_wc *wc, int n)
{
	struct ibv_poll_cq_attr attr = { .comp_mask = 0 };
	int k = 0, rc = 0;

	for (int i = 0; i < STALE_MAX && k < n; i++) {
		rc = ibv_start_poll(cq->ibv, &attr);
		if (rc == EINVAL)
			continue;
		if (rc)
			break;
		k += take_one(cq, &wc[k]);
		ibv_end_poll(cq->ibv);
	}
	if (rc == ENOENT)
		seen_empty(cq);
	return k;
}

int verbs_cq_take(struct verbs_cq *cq, struct dev_wc *wc, int n)
{
	return u_unlikely(cq->careful) ? take_singly(cq, wc, n) :
					 take_all(cq, wc, n);
}

U_COLD void verbs_cq_judge(struct verbs_cq *cq)
{
	struct verbs_dev *vd =
		u_container_of(cq->cq.dev, struct verbs_dev, dev);
	bool all = atomic_load(&vd->fatal) || atomic_load(&cq->fatal);

	for (uint32_t i = 0; i < cq->nslots; i++)
		if (cq->qps[i] && (all || atomic_load(&cq->qps[i]->fatal)))
			verbs_qp_kill(cq->qps[i], DEV_QP_ERROR);
}

static U_COLD void look(struct verbs_cq *cq)
{
	struct verbs_dev *vd =
		u_container_of(cq->cq.dev, struct verbs_dev, dev);

	dev_cache_reap(vd->cache);
	if (cq->polls % EVENT_POLLS == 0)
		verbs_events(vd);
	verbs_cq_judge(cq);
}

/* Handle numbers may mean others than they did: see dev_verbs_ah.c. */
static void check_epoch(struct verbs_cq *cq)
{
	struct verbs_dev *vd =
		u_container_of(cq->cq.dev, struct verbs_dev, dev);
	uint32_t epoch =
		atomic_load_explicit(&vd->ahn_epoch, memory_order_acquire);

	if (u_likely(epoch == cq->ahn_epoch))
		return;
	cq->ahn_epoch = epoch;
	for (uint32_t i = 0; i < cq->nslots; i++)
		if (cq->qps[i])
			verbs_source_unlearn(&cq->qps[i]->sources);
}

int verbs_poll(struct dev_cq *c, struct dev_wc *wc, int n)
{
	struct verbs_cq *cq = u_container_of(c, struct verbs_cq, cq);
	int k = 0;

	if (n > VERBS_BATCH)
		n = VERBS_BATCH;
	check_epoch(cq);
	if (u_unlikely(++cq->polls % LOOK_POLLS == 0))
		look(cq);
	if (u_unlikely(cq->chores))
		k = verbs_chores(cq, wc, n);
	return k + verbs_cq_take(cq, wc + k, n - k);
}
