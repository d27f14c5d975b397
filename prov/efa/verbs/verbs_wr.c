/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_wr.c - the extended way to post: start, build, complete
 *
 * The lock of the queue pair is held from start to complete or abort. The first
 * thing that is wrong is remembered and all of the session is dropped.
 */
#include "verbs_priv.h"

static U_COLD void wr_fail(struct verbs_qp *qp, int error)
{
	if (!qp->stage_error)
		qp->stage_error = error;
	qp->building = NULL;
}

/* The request before this point must have data and an address. */
static void wr_close(struct verbs_qp *qp)
{
	const struct verbs_wr *wr = qp->building;

	if (wr && (!wr->ah || !wr->has_data))
		wr_fail(qp, EINVAL);
	qp->building = NULL;
}

static void wr_start(struct ibv_qp_ex *q)
{
	struct verbs_qp *qp = verbs_qp_of_ex(q);

	u_lock(&qp->lock);
	qp->stage_error = verbs_can_send(qp) ? 0 : EINVAL;
	qp->building = NULL;
	assert(!qp->nstaged);
}

static int wr_complete(struct ibv_qp_ex *q)
{
	struct verbs_qp *qp = verbs_qp_of_ex(q);
	int rc;

	wr_close(qp);
	rc = qp->stage_error;
	if (u_unlikely(rc))
		verbs_unstage(qp);
	else
		verbs_stage_submit(qp);
	u_unlock(&qp->lock);
	return rc;
}

static void wr_abort(struct ibv_qp_ex *q)
{
	struct verbs_qp *qp = verbs_qp_of_ex(q);

	qp->building = NULL;
	verbs_unstage(qp);
	u_unlock(&qp->lock);
}

/* --- builders --- */

static struct verbs_wr *wr_begin(struct ibv_qp_ex *q, enum verbs_op op)
{
	const unsigned int known = IBV_SEND_SIGNALED | IBV_SEND_INLINE;
	struct verbs_qp *qp = verbs_qp_of_ex(q);

	wr_close(qp);
	if (u_unlikely(qp->stage_error))
		return NULL;
	if (u_unlikely(q->wr_flags & ~known ||
		       (!qp->sig_all && !(q->wr_flags & IBV_SEND_SIGNALED)))) {
		wr_fail(qp, EINVAL);
		return NULL;
	}
	qp->building = verbs_stage(qp, op);
	if (u_unlikely(!qp->building))
		wr_fail(qp, ENOMEM);
	else
		qp->building->wr_id = q->wr_id;
	return qp->building;
}

static void wr_send(struct ibv_qp_ex *q)
{
	wr_begin(q, VERBS_SEND);
}

static void wr_send_imm(struct ibv_qp_ex *q, __be32 imm)
{
	struct verbs_wr *wr = wr_begin(q, VERBS_SEND_IMM);

	if (u_likely(wr != NULL))
		wr->imm = imm;
}

static struct verbs_wr *wr_rdma(struct ibv_qp_ex *q, enum verbs_op op,
				uint32_t rkey, uint64_t remote)
{
	struct verbs_wr *wr = wr_begin(q, op);

	if (u_unlikely(!wr))
		return NULL;
	wr->rkey = rkey;
	wr->remote = remote;
	return wr;
}

static void wr_rdma_read(struct ibv_qp_ex *q, uint32_t rkey, uint64_t remote)
{
	wr_rdma(q, VERBS_READ, rkey, remote);
}

static void wr_rdma_write(struct ibv_qp_ex *q, uint32_t rkey, uint64_t remote)
{
	wr_rdma(q, VERBS_WRITE, rkey, remote);
}

static void wr_rdma_write_imm(struct ibv_qp_ex *q, uint32_t rkey,
			      uint64_t remote, __be32 imm)
{
	struct verbs_wr *wr = wr_rdma(q, VERBS_WRITE_IMM, rkey, remote);

	if (u_likely(wr != NULL))
		wr->imm = imm;
}

/* --- setters --- */

static void wr_set_sge_list(struct ibv_qp_ex *q, size_t n,
			    const struct ibv_sge *sge)
{
	struct verbs_qp *qp = verbs_qp_of_ex(q);
	int rc;

	if (u_unlikely(!qp->building))
		return;
	rc = verbs_stage_sges(qp, qp->building, n, sge);
	if (u_unlikely(rc))
		wr_fail(qp, rc);
}

static void wr_set_sge(struct ibv_qp_ex *q, uint32_t lkey, uint64_t addr,
		       uint32_t len)
{
	struct ibv_sge sge = { .addr = addr, .length = len, .lkey = lkey };

	wr_set_sge_list(q, 1, &sge);
}

static void wr_set_inline_data_list(struct ibv_qp_ex *q, size_t n,
				    const struct ibv_data_buf *buf)
{
	struct verbs_qp *qp = verbs_qp_of_ex(q);
	int rc;

	if (u_unlikely(!qp->building))
		return;
	rc = verbs_stage_inline(qp, qp->building, n, buf);
	if (u_unlikely(rc))
		wr_fail(qp, rc);
}

static void wr_set_inline_data(struct ibv_qp_ex *q, void *addr, size_t len)
{
	struct ibv_data_buf buf = { .addr = addr, .length = len };

	wr_set_inline_data_list(q, 1, &buf);
}

static void wr_set_ud_addr(struct ibv_qp_ex *q, struct ibv_ah *ah, uint32_t qpn,
			   uint32_t qkey)
{
	struct verbs_wr *wr = verbs_qp_of_ex(q)->building;

	if (u_unlikely(!wr))
		return;
	wr->ah = ah;
	wr->qpn = qpn;
	wr->qkey = qkey;
}

/* A builder is there when the program asked for its operation. */
void verbs_wr_fill(struct verbs_qp *qp)
{
	struct ibv_qp_ex *q = &qp->ex;

	q->wr_start = wr_start;
	q->wr_complete = wr_complete;
	q->wr_abort = wr_abort;
	q->wr_set_ud_addr = wr_set_ud_addr;
	q->wr_set_sge = wr_set_sge;
	q->wr_set_sge_list = wr_set_sge_list;
	q->wr_set_inline_data = wr_set_inline_data;
	q->wr_set_inline_data_list = wr_set_inline_data_list;
	if (qp->send_ops & IBV_QP_EX_WITH_SEND)
		q->wr_send = wr_send;
	if (qp->send_ops & IBV_QP_EX_WITH_SEND_WITH_IMM)
		q->wr_send_imm = wr_send_imm;
	if (qp->send_ops & IBV_QP_EX_WITH_RDMA_READ)
		q->wr_rdma_read = wr_rdma_read;
	if (qp->send_ops & IBV_QP_EX_WITH_RDMA_WRITE)
		q->wr_rdma_write = wr_rdma_write;
	if (qp->send_ops & IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM)
		q->wr_rdma_write_imm = wr_rdma_write_imm;
}
