/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_qp_attr.c - states of a queue pair, and what it says of itself
 */
#include "verbs_priv.h"
#include "verbs_real.h"

#define MASK_KNOWN                                                       \
	(IBV_QP_STATE | IBV_QP_CUR_STATE | IBV_QP_EN_SQD_ASYNC_NOTIFY |  \
	 IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY | IBV_QP_SQ_PSN | \
	 IBV_QP_RNR_RETRY)
#define MASK_INIT (IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY)

/* What a change of state needs, and what may come with it. */
struct qp_step {
	uint8_t from, to; /* enum ibv_qp_state */
	int needs, takes;
};

static const struct qp_step steps[] = {
	{ IBV_QPS_RESET, IBV_QPS_INIT, MASK_INIT, 0 },
	{ IBV_QPS_INIT, IBV_QPS_INIT, 0, MASK_INIT },
	{ IBV_QPS_INIT, IBV_QPS_RTR, 0, IBV_QP_PKEY_INDEX | IBV_QP_QKEY },
	{ IBV_QPS_RTR, IBV_QPS_RTS, IBV_QP_SQ_PSN,
	  IBV_QP_CUR_STATE | IBV_QP_QKEY | IBV_QP_RNR_RETRY },
	{ IBV_QPS_RTS, IBV_QPS_RTS, 0, IBV_QP_CUR_STATE | IBV_QP_QKEY },
	{ IBV_QPS_RTS, IBV_QPS_SQD, 0, IBV_QP_EN_SQD_ASYNC_NOTIFY },
	{ IBV_QPS_SQD, IBV_QPS_RTS, 0, IBV_QP_CUR_STATE | IBV_QP_QKEY },
	{ IBV_QPS_SQD, IBV_QPS_SQD, 0, IBV_QP_PKEY_INDEX | IBV_QP_QKEY },
};

static const struct qp_step *step_find(enum ibv_qp_state from,
				       enum ibv_qp_state to)
{
	for (size_t i = 0; i < u_array_size(steps); i++)
		if (steps[i].from == from && steps[i].to == to)
			return &steps[i];
	return NULL;
}

static int step_check(const struct verbs_qp *qp, enum ibv_qp_state from,
		      enum ibv_qp_state to, int mask)
{
	const struct qp_step *step = step_find(from, to);
	int rest = mask & ~(IBV_QP_STATE | IBV_QP_CUR_STATE);

	/* From wherever it is. */
	if (to == IBV_QPS_RESET || to == IBV_QPS_ERR)
		return rest ? EINVAL : 0;
	if (!step || (step->needs & ~mask) ||
	    (rest & ~(step->needs | step->takes)))
		return EINVAL;
	return mask & IBV_QP_RNR_RETRY && !qp->is_srd ? EOPNOTSUPP : 0;
}

static int attr_check(const struct ibv_qp_attr *attr, int mask)
{
	if ((mask & IBV_QP_PORT && attr->port_num != 1) ||
	    (mask & IBV_QP_PKEY_INDEX && attr->pkey_index) ||
	    (mask & IBV_QP_RNR_RETRY && attr->rnr_retry > NIC_RNR_FOREVER))
		return EINVAL;
	return 0;
}

static int set_qkey(struct verbs_qp *qp, uint32_t qkey)
{
	int rc = nic_qp_set_qkey(qp->nic, verbs_connid(qkey));

	if (!rc)
		qp->qkey = qkey;
	return -rc;
}

static void enter(struct verbs_qp *qp, enum ibv_qp_state to)
{
	if (to == IBV_QPS_RESET || (to == IBV_QPS_ERR && to != qp->qp.state))
		verbs_qp_flush(qp, to == IBV_QPS_ERR);
	qp->qp.state = to;
	if (to == IBV_QPS_RTR)
		verbs_pump_wake(qp->ctx);
}

static int modify(struct verbs_qp *qp, const struct ibv_qp_attr *attr, int mask)
{
	enum ibv_qp_state from = qp->qp.state;
	enum ibv_qp_state to = mask & IBV_QP_STATE ? attr->qp_state : from;
	int rc = attr_check(attr, mask);

	if (mask & IBV_QP_CUR_STATE && attr->cur_qp_state != from)
		return EINVAL;
	if (!rc)
		rc = step_check(qp, from, to, mask);
	if (!rc && mask & IBV_QP_QKEY)
		rc = set_qkey(qp, attr->qkey);
	if (rc)
		return rc;
	if (mask & IBV_QP_SQ_PSN)
		qp->sq_psn = attr->sq_psn;
	if (mask & IBV_QP_RNR_RETRY) {
		qp->rnr_retry = attr->rnr_retry;
		nic_qp_set_rnr_retries(qp->nic, attr->rnr_retry);
	}
	enter(qp, to);
	return 0;
}

VERBS_EXPORT int ibv_modify_qp(struct ibv_qp *q, struct ibv_qp_attr *attr,
			       int mask)
{
	struct verbs_qp *qp = verbs_qp_of(q);
	int rc;

	if (!verbs_is_ours(q->context))
		return verbs_real(ibv_modify_qp)(q, attr, mask);
	if (mask & ~MASK_KNOWN)
		return EOPNOTSUPP;
	u_lock(&qp->lock);
	rc = modify(qp, attr, mask);
	u_unlock(&qp->lock);
	return rc;
}

VERBS_EXPORT int ibv_query_qp(struct ibv_qp *q, struct ibv_qp_attr *attr,
			      int mask, struct ibv_qp_init_attr *init)
{
	struct verbs_qp *qp = verbs_qp_of(q);

	if (!verbs_is_ours(q->context))
		return verbs_real(ibv_query_qp)(q, attr, mask, init);
	if (mask & ~(MASK_KNOWN | IBV_QP_CAP))
		return EOPNOTSUPP;
	u_lock(&qp->lock);
	*attr = (struct ibv_qp_attr){
		.qp_state = q->state,
		.cur_qp_state = q->state,
		.qkey = qp->qkey,
		.sq_psn = qp->sq_psn,
		.port_num = 1,
		.cap = qp->cap,
		.rnr_retry = qp->rnr_retry,
	};
	u_unlock(&qp->lock);
	*init = (struct ibv_qp_init_attr){
		.qp_context = q->qp_context,
		.send_cq = q->send_cq,
		.recv_cq = q->recv_cq,
		.cap = qp->cap,
		.qp_type = q->qp_type,
		.sq_sig_all = qp->sig_all,
	};
	return 0;
}

/* Copies here write in no order that a program may rely on. */
VERBS_EXPORT int ibv_query_qp_data_in_order(struct ibv_qp *q,
					    enum ibv_wr_opcode op,
					    uint32_t flags)
{
	if (!verbs_is_ours(q->context))
		return verbs_real(ibv_query_qp_data_in_order)(q, op, flags);
	return 0;
}
