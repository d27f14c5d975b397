/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_post.c - lists of requests, and receives
 *
 * Requests are staged in slots of the send queue first: a session of ibv_wr_*
 * is posted as a whole or not at all.
 */
#include "verbs_priv.h"

/* --- staging; under qp->lock --- */

struct verbs_wr *verbs_stage(struct verbs_qp *qp, enum verbs_op op)
{
	uint32_t used =
		atomic_load_explicit(&qp->sq_used, memory_order_relaxed);
	struct verbs_wr *wr;

	if (used + qp->nstaged >= qp->cap.max_send_wr)
		return NULL;
	assert(qp->nfree);
	wr = &qp->slot[qp->free_slot[--qp->nfree]];
	wr->dest = NULL;
	wr->ah = NULL;
	wr->op = (uint8_t)op;
	wr->is_inline = wr->has_data = false;
	wr->nsge = 0;
	wr->inline_len = 0;
	qp->staged[qp->nstaged++] = wr;
	return wr;
}

void verbs_unstage(struct verbs_qp *qp)
{
	while (qp->nstaged)
		verbs_slot_free(qp, qp->staged[--qp->nstaged]);
}

void verbs_stage_submit(struct verbs_qp *qp)
{
	for (uint32_t i = 0; i < qp->nstaged; i++)
		verbs_send_submit(qp, qp->staged[i]);
	qp->nstaged = 0;
	/* Whoever sleeps has to arm the nic for what is under way now. */
	if (u_unlikely(verbs_qp_is_armed(qp)))
		verbs_channel_call(qp);
}

int verbs_stage_inline(struct verbs_qp *qp, struct verbs_wr *wr, size_t n,
		       const struct ibv_data_buf *buf)
{
	size_t len = 0;

	if (wr->op != VERBS_SEND && wr->op != VERBS_SEND_IMM)
		return EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (buf[i].length > qp->cap.max_inline_data - len)
			return EINVAL;
		memcpy(wr->data + len, buf[i].addr, buf[i].length);
		len += buf[i].length;
	}
	wr->inline_len = (uint32_t)len;
	wr->is_inline = wr->has_data = true;
	return 0;
}

int verbs_stage_sges(struct verbs_qp *qp, struct verbs_wr *wr, size_t n,
		     const struct ibv_sge *sge)
{
	bool send = wr->op == VERBS_SEND || wr->op == VERBS_SEND_IMM;

	if (send ? n > qp->cap.max_send_sge : n != 1)
		return EINVAL;
	for (size_t i = 0; i < n; i++)
		wr->sge[i] = sge[i];
	wr->nsge = (uint8_t)n;
	wr->has_data = true;
	return 0;
}

/* --- ibv_post_send --- */

static int post_inline(struct verbs_qp *qp, struct verbs_wr *wr,
		       const struct ibv_send_wr *from)
{
	struct ibv_data_buf buf[VERBS_MAX_SQ_SGE];

	if (from->num_sge > VERBS_MAX_SQ_SGE)
		return EINVAL;
	for (int i = 0; i < from->num_sge; i++)
		buf[i] = (struct ibv_data_buf){
			(void *)(uintptr_t)from->sg_list[i].addr,
			from->sg_list[i].length,
		};
	return verbs_stage_inline(qp, wr, (size_t)from->num_sge, buf);
}

static int post_check(const struct verbs_qp *qp, const struct ibv_send_wr *from)
{
	const unsigned int known = IBV_SEND_SIGNALED | IBV_SEND_INLINE;

	if (from->opcode != IBV_WR_SEND && from->opcode != IBV_WR_SEND_WITH_IMM)
		return EINVAL;
	if (from->send_flags & ~known || from->num_sge < 0)
		return EINVAL;
	if (!qp->sig_all && !(from->send_flags & IBV_SEND_SIGNALED))
		return EINVAL;
	return from->wr.ud.ah ? 0 : EINVAL;
}

static int post_stage(struct verbs_qp *qp, const struct ibv_send_wr *from)
{
	int rc = post_check(qp, from);
	struct verbs_wr *wr;

	if (rc)
		return rc;
	wr = verbs_stage(qp, from->opcode == IBV_WR_SEND ? VERBS_SEND :
							   VERBS_SEND_IMM);
	if (!wr)
		return ENOMEM;
	wr->wr_id = from->wr_id;
	wr->imm = from->imm_data;
	wr->ah = from->wr.ud.ah;
	wr->qpn = from->wr.ud.remote_qpn;
	wr->qkey = from->wr.ud.remote_qkey;
	if (from->send_flags & IBV_SEND_INLINE)
		rc = post_inline(qp, wr, from);
	else
		rc = verbs_stage_sges(qp, wr, (size_t)from->num_sge,
				      from->sg_list);
	if (rc)
		verbs_slot_free(qp, qp->staged[--qp->nstaged]);
	return rc;
}

int verbs_post_send(struct ibv_qp *q, struct ibv_send_wr *wr,
		    struct ibv_send_wr **bad)
{
	struct verbs_qp *qp = verbs_qp_of(q);
	int rc = 0;

	u_lock(&qp->lock);
	for (; wr; wr = wr->next) {
		rc = verbs_can_send(qp) ? post_stage(qp, wr) : EINVAL;
		if (u_unlikely(rc)) {
			*bad = wr;
			break;
		}
	}
	verbs_stage_submit(qp);
	u_unlock(&qp->lock);
	return rc;
}

/* --- ibv_post_recv --- */

/* The receive would meet a bad key: it ends at once. */
static void recv_bad_key(struct verbs_qp *qp, uint64_t wr_id)
{
	struct verbs_cqe e = {
		.wr_id = wr_id,
		.qp = qp,
		.qp_num = qp->qp.qp_num,
		.slid = VERBS_NO_AH,
		.vendor_err = NIC_BAD_LKEY,
		.opcode = IBV_WC_RECV,
		.is_recv = true,
	};

	verbs_cq_push(verbs_cq_of(qp->qp.recv_cq), &e);
}

static bool recv_elements(struct verbs_qp *qp, const struct ibv_recv_wr *wr,
			  struct iovec *iov)
{
	for (int i = 0; i < wr->num_sge; i++) {
		if (!wr->sg_list[i].length)
			iov[i] = (struct iovec){ NULL, 0 };
		else if (!verbs_sge_check(qp, &wr->sg_list[i],
					  IBV_ACCESS_LOCAL_WRITE, &iov[i]))
			return false;
	}
	return true;
}

/* Where verbs_recv_revoke looks. */
static void recv_posted(struct verbs_qp *qp, const struct ibv_recv_wr *wr)
{
	uint32_t *lkey =
		qp->recv_lkey[qp->recv_tail++ & (qp->cap.max_recv_wr - 1)];

	for (int i = 0; i < VERBS_MAX_RQ_SGE; i++)
		lkey[i] = i < wr->num_sge && wr->sg_list[i].length ?
				  wr->sg_list[i].lkey :
				  0;
	qp->posted++;
}

static bool recv_names(const struct verbs_qp *qp, uint32_t at, uint32_t lkey)
{
	const uint32_t *of = qp->recv_lkey[at & (qp->cap.max_recv_wr - 1)];

	for (int i = 0; i < VERBS_MAX_RQ_SGE; i++)
		if (of[i] == lkey)
			return true;
	return false;
}

void verbs_recv_revoke(struct verbs_qp *qp, uint32_t lkey)
{
	uint32_t oldest = qp->recv_tail - qp->posted;

	for (uint32_t i = 0; i < qp->posted; i++)
		if (recv_names(qp, oldest + i, lkey))
			nic_recv_revoke(qp->nic, i);
}

static int recv_one(struct verbs_qp *qp, const struct ibv_recv_wr *wr)
{
	enum ibv_qp_state state = qp->qp.state;
	struct iovec iov[VERBS_MAX_RQ_SGE];

	if (state == IBV_QPS_RESET || state == IBV_QPS_ERR || wr->num_sge < 0 ||
	    (uint32_t)wr->num_sge > qp->cap.max_recv_sge)
		return EINVAL;
	if (atomic_load_explicit(&qp->rq_used, memory_order_relaxed) ==
	    qp->cap.max_recv_wr)
		return ENOMEM;
	atomic_fetch_add_explicit(&qp->rq_used, 1, memory_order_relaxed);
	if (u_unlikely(!recv_elements(qp, wr, iov)))
		recv_bad_key(qp, wr->wr_id);
	else if (!nic_post_recvv(qp->nic, wr->wr_id, iov, wr->num_sge))
		recv_posted(qp, wr);
	return 0;
}

int verbs_post_recv(struct ibv_qp *q, struct ibv_recv_wr *wr,
		    struct ibv_recv_wr **bad)
{
	struct verbs_qp *qp = verbs_qp_of(q);
	bool dry;
	int rc = 0;

	u_lock(&qp->lock);
	dry = !qp->posted;
	for (; wr; wr = wr->next) {
		rc = recv_one(qp, wr);
		if (u_unlikely(rc)) {
			*bad = wr;
			break;
		}
	}
	/* The nic was not armed for packets that it could not take. */
	if (u_unlikely(dry && verbs_qp_is_armed(qp)))
		verbs_channel_call(qp);
	u_unlock(&qp->lock);
	return rc;
}
