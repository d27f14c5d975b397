/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_qp.c - queue pairs: made, ended
 *
 * The nic's queue pair exists from creation on, as its number is asked for
 * then; the key that it lacks comes with the change to INIT.
 */
#include <stdlib.h>

#include "util/u_hash.h"
#include "verbs_priv.h"
#include "verbs_real.h"

#define OPS_SEND (IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM)
#define OPS_RDMA                                                \
	(IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_RDMA_WRITE | \
	 IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM)
#define MASK_KNOWN (IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS)

/* The parameters of libefa, with the fields of later versions. */
struct qp_efa_attr {
	uint64_t comp_mask;
	uint32_t driver_qp_type;
	uint16_t flags;
	uint8_t sl;
	uint8_t reserved;
};

#define SL_LOW_LATENCY 8

/* --- checks --- */

static int qp_check_cap(const struct ibv_qp_cap *cap)
{
	if (cap->max_send_wr > VERBS_MAX_SQ_WR ||
	    cap->max_recv_wr > VERBS_MAX_RQ_WR ||
	    cap->max_send_sge > VERBS_MAX_SQ_SGE ||
	    cap->max_recv_sge > VERBS_MAX_RQ_SGE ||
	    cap->max_inline_data > VERBS_INLINE)
		return EINVAL;
	return 0;
}

static int qp_check(const struct ibv_context *c,
		    const struct ibv_qp_init_attr_ex *attr, bool srd)
{
	uint64_t ops = srd ? OPS_SEND | OPS_RDMA : OPS_SEND;

	if (attr->comp_mask & ~(uint32_t)MASK_KNOWN)
		return EOPNOTSUPP;
	if (!(attr->comp_mask & IBV_QP_INIT_ATTR_PD) || !attr->pd ||
	    attr->pd->context != c)
		return EINVAL;
	if (!attr->send_cq || !attr->recv_cq || attr->srq)
		return EINVAL;
	if ((attr->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS) &&
	    (attr->send_ops_flags & ~ops))
		return EOPNOTSUPP;
	return qp_check_cap(&attr->cap);
}

/* What is asked for is given: a power of two, and one of everything. */
static void qp_round_cap(struct ibv_qp_cap *cap)
{
	uint32_t send = 1, recv = 1;

	while (send < cap->max_send_wr)
		send *= 2;
	while (recv < cap->max_recv_wr)
		recv *= 2;
	cap->max_send_wr = send;
	cap->max_recv_wr = recv;
	cap->max_send_sge = (uint32_t)u_max(cap->max_send_sge, 1);
	cap->max_recv_sge = (uint32_t)u_max(cap->max_recv_sge, 1);
}

/* --- making --- */

static int qp_alloc_slots(struct verbs_qp *qp)
{
	uint32_t n = qp->cap.max_send_wr;

	qp->slot = calloc(n, sizeof(*qp->slot));
	qp->free_slot = calloc(n, sizeof(*qp->free_slot));
	qp->staged = calloc(n, sizeof(*qp->staged));
	qp->recv_lkey = calloc(qp->cap.max_recv_wr, sizeof(*qp->recv_lkey));
	if (!qp->slot || !qp->free_slot || !qp->staged || !qp->recv_lkey)
		return ENOMEM;
	while (n)
		qp->free_slot[qp->nfree++] = --n;
	return 0;
}

static void qp_free(struct verbs_qp *qp)
{
	free(qp->slot);
	free(qp->free_slot);
	free(qp->staged);
	free(qp->recv_lkey);
	free(qp->source);
	free(qp);
}

static void qp_fill(struct verbs_qp *qp, struct ibv_context *c,
		    const struct ibv_qp_init_attr_ex *attr, bool srd)
{
	struct nic_addr addr;

	nic_qp_addr(qp->nic, &addr);
	qp->qp = (struct ibv_qp){
		.context = c,
		.qp_context = attr->qp_context,
		.pd = attr->pd,
		.send_cq = attr->send_cq,
		.recv_cq = attr->recv_cq,
		.qp_num = addr.qpn,
		.state = IBV_QPS_RESET,
		.qp_type = srd ? IBV_QPT_DRIVER : IBV_QPT_UD,
	};
	pthread_mutex_init(&qp->qp.mutex, NULL);
	pthread_cond_init(&qp->qp.cond, NULL);
	qp->ctx = verbs_ctx_of(c);
	qp->is_srd = srd;
	qp->sig_all = attr->sq_sig_all;
	qp->has_ex = attr->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
	qp->send_ops = qp->has_ex ? attr->send_ops_flags : OPS_SEND;
	qp->rnr_retry = NIC_RNR_FOREVER;
	u_lock_init(&qp->lock, true);
	TAILQ_INIT(&qp->waiting);
	qp->send_use.qp = qp->recv_use.qp = qp;
	if (qp->has_ex)
		verbs_wr_fill(qp);
}

/* From here on others find it. */
static void qp_join(struct verbs_qp *qp)
{
	verbs_pd_hold(qp->qp.pd);
	u_lock(&qp->ctx->lock);
	LIST_INSERT_HEAD(&qp->ctx->qps, qp, link);
	u_unlock(&qp->ctx->lock);
	verbs_cq_attach(verbs_cq_of(qp->qp.send_cq), &qp->send_use);
	if (qp->qp.recv_cq != qp->qp.send_cq)
		verbs_cq_attach(verbs_cq_of(qp->qp.recv_cq), &qp->recv_use);
	/* One of the two may be armed. */
	verbs_qp_drive(qp);
}

static struct verbs_qp *qp_make(struct ibv_context *c,
				struct ibv_qp_init_attr_ex *attr, bool srd)
{
	int rc = qp_check(c, attr, srd);
	struct verbs_qp *qp;

	if (rc)
		return verbs_null(rc);
	qp = calloc(1, sizeof(*qp));
	if (!qp)
		return NULL;
	qp->cap = attr->cap;
	qp_round_cap(&qp->cap);
	rc = qp_alloc_slots(qp);
	if (!rc)
		rc = -nic_qp_open(verbs_ctx_of(c)->nic,
				  srd ? NIC_QP_SRD : NIC_QP_UD,
				  (uint32_t)u_random64() | 1, &qp->nic);
	if (rc) {
		qp_free(qp);
		return verbs_null(rc == ENOSPC || rc == EADDRINUSE ? ENOMEM :
								     rc);
	}
	qp_fill(qp, c, attr, srd);
	qp_join(qp);
	attr->cap = qp->cap;
	return qp;
}

struct ibv_qp *verbs_create_qp_ex(struct ibv_context *c,
				  struct ibv_qp_init_attr_ex *attr)
{
	struct verbs_qp *qp;

	if (attr->qp_type != IBV_QPT_UD)
		return verbs_null(EOPNOTSUPP);
	qp = qp_make(c, attr, false);
	return qp ? &qp->qp : NULL;
}

/* The form of before send_ops. */
static struct ibv_qp *qp_make_plain(struct ibv_pd *pd,
				    struct ibv_qp_init_attr *attr, bool srd)
{
	struct ibv_qp_init_attr_ex ex = {
		.qp_context = attr->qp_context,
		.send_cq = attr->send_cq,
		.recv_cq = attr->recv_cq,
		.srq = attr->srq,
		.cap = attr->cap,
		.qp_type = attr->qp_type,
		.sq_sig_all = attr->sq_sig_all,
		.comp_mask = IBV_QP_INIT_ATTR_PD,
		.pd = pd,
	};
	struct verbs_qp *qp = qp_make(pd->context, &ex, srd);

	if (!qp)
		return NULL;
	attr->cap = ex.cap;
	return &qp->qp;
}

VERBS_EXPORT struct ibv_qp *ibv_create_qp(struct ibv_pd *pd,
					  struct ibv_qp_init_attr *attr)
{
	if (!verbs_is_ours(pd->context))
		return verbs_real(ibv_create_qp)(pd, attr);
	if (attr->qp_type != IBV_QPT_UD)
		return verbs_null(EOPNOTSUPP);
	return qp_make_plain(pd, attr, false);
}

VERBS_EXPORT struct ibv_qp *
efadv_create_driver_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr,
		       uint32_t driver_type)
{
	if (!verbs_is_ours(pd->context))
		return verbs_real(efadv_create_driver_qp)(pd, attr,
							  driver_type);
	if (attr->qp_type != IBV_QPT_DRIVER ||
	    driver_type != EFADV_QP_DRIVER_TYPE_SRD)
		return verbs_null(EINVAL);
	return qp_make_plain(pd, attr, true);
}

static int efa_attr_read(const struct efadv_qp_init_attr *efa, uint32_t inlen,
			 struct qp_efa_attr *out)
{
	memset(out, 0, sizeof(*out));
	if (inlen < offsetof(struct qp_efa_attr, flags))
		return EINVAL;
	memcpy(out, efa, u_min(inlen, sizeof(*out)));
	if (out->comp_mask || out->reserved ||
	    verbs_has_tail(efa, sizeof(*out), inlen) ||
	    (out->sl && out->sl != SL_LOW_LATENCY))
		return EINVAL;
	return out->flags ? EOPNOTSUPP : 0;
}

VERBS_EXPORT struct ibv_qp *efadv_create_qp_ex(struct ibv_context *c,
					       struct ibv_qp_init_attr_ex *attr,
					       struct efadv_qp_init_attr *efa,
					       uint32_t inlen)
{
	struct qp_efa_attr a;
	struct verbs_qp *qp;
	int rc;

	if (!verbs_is_ours(c))
		return verbs_real(efadv_create_qp_ex)(c, attr, efa, inlen);
	rc = efa_attr_read(efa, inlen, &a);
	if (rc)
		return verbs_null(rc);
	if (attr->qp_type != IBV_QPT_DRIVER ||
	    a.driver_qp_type != EFADV_QP_DRIVER_TYPE_SRD)
		return verbs_null(EINVAL);
	qp = qp_make(c, attr, true);
	return qp ? &qp->qp : NULL;
}

VERBS_EXPORT struct ibv_qp_ex *ibv_qp_to_qp_ex(struct ibv_qp *q)
{
	if (!verbs_is_ours(q->context))
		return verbs_real(ibv_qp_to_qp_ex)(q);
	return verbs_qp_of(q)->has_ex ? &verbs_qp_of(q)->ex : NULL;
}

/* --- ending --- */

/* Entries that were not polled by now are lost, as on the device. */
void verbs_qp_close(struct verbs_qp *qp)
{
	struct verbs_cq *send = verbs_cq_of(qp->qp.send_cq);
	struct verbs_cq *recv = verbs_cq_of(qp->qp.recv_cq);

	verbs_cq_detach(send, &qp->send_use);
	if (recv != send)
		verbs_cq_detach(recv, &qp->recv_use);
	u_lock(&qp->ctx->lock);
	LIST_REMOVE(qp, link);
	u_unlock(&qp->ctx->lock);
	verbs_cq_purge(send, qp);
	verbs_cq_purge(recv, qp);
	verbs_dest_close_all(qp);
	nic_qp_close(qp->nic);
	u_lock_fini(&qp->lock);
	pthread_cond_destroy(&qp->qp.cond);
	pthread_mutex_destroy(&qp->qp.mutex);
	verbs_pd_drop(qp->qp.pd);
	qp_free(qp);
}

VERBS_EXPORT int ibv_destroy_qp(struct ibv_qp *q)
{
	if (!verbs_is_ours(q->context))
		return verbs_real(ibv_destroy_qp)(q);
	verbs_qp_close(verbs_qp_of(q));
	return 0;
}
