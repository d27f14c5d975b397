/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_qp.c - queue pairs: opening and closing
 *
 * On closing, what is under way gets a moment to end. Then the queue pair goes
 * before the memory that it uses, and what it left in the completion queue is
 * taken out.
 */
#include "dev_verbs_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_hash.h"
#include "util/u_lines.h"
#include "util/u_log.h"
#include "util/u_time.h"

#define DRAIN_TIMEOUT (100 * U_MSEC)

/* ---- open ---------------------------------------------------------------- */

static struct ibv_qp *create(struct verbs_qp *qp,
			     const struct verbs_extra *extra)
{
	struct verbs_dev *vd =
		u_container_of(qp->qp.dev, struct verbs_dev, dev);
	struct ibv_qp_init_attr_ex attr = {
		.qp_context = qp,
		.send_cq = ibv_cq_ex_to_cq(qp->cq->ibv),
		.recv_cq = ibv_cq_ex_to_cq(qp->cq->ibv),
		.cap.max_send_wr = qp->tx_depth,
		.cap.max_recv_wr = qp->rx.depth,
		.cap.max_send_sge = (uint32_t)u_min(vd->tx_sge, 2),
		.cap.max_recv_sge = 1,
		.qp_type = IBV_QPT_UD,
		.sq_sig_all = 1,
		.comp_mask = IBV_QP_INIT_ATTR_PD |
			     IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = vd->pd,
		.send_ops_flags = IBV_QP_EX_WITH_SEND |
				  IBV_QP_EX_WITH_SEND_WITH_IMM,
	};

	if (qp->qp.type == DEV_QP_UD) {
		attr.cap.max_inline_data = extra->inline_max;
		return ibv_create_qp_ex(vd->ctx, &attr);
	}
	if (vd->caps & VERBS_CAP_READ)
		attr.send_ops_flags |= IBV_QP_EX_WITH_RDMA_READ;
	if (vd->caps & VERBS_CAP_WRITE)
		attr.send_ops_flags |= IBV_QP_EX_WITH_RDMA_WRITE |
				       IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM;
	return verbs_lib_srd_qp(vd->ctx, &attr, extra);
}

/* Wide requests take two places. */
static bool try(struct verbs_qp *qp, const struct verbs_extra *extra)
{
	const struct verbs_dev *vd =
		u_container_of(qp->qp.dev, struct verbs_dev, dev);
	bool wide = extra->inline_max > vd->inline_plain;

	qp->tx_depth = vd->dev.info.tx_depth / (wide ? 2 : 1);
	qp->inline_max = (uint32_t)u_min(extra->inline_max, VERBS_INLINE_MAX);
	qp->ibv = create(qp, extra);
	return qp->ibv;
}

/* A service level is a wish. */
static bool try_level(struct verbs_qp *qp, const struct verbs_extra *extra)
{
	struct verbs_extra less = *extra;

	if (try(qp, extra))
		return true;
	if (!extra->sl)
		return false;
	less.sl = 0;
	return try(qp, &less);
}

/* What was asked for is refused, or there is no room for anything. */
static int create_error(bool unsolicited)
{
	if (unsolicited && (errno == EINVAL || errno == EOPNOTSUPP))
		return -EOPNOTSUPP;
	return errno ? -errno : -ENOMEM;
}

/*
 * With all that the device has, else the plain kind: kernel, library and
 * device may disagree about what they know. Where the user posts the receives
 * it is his choice whether writes use them. Entries of those that use none have
 * to tell so, which a queue may not.
 */
static int create_any(struct verbs_qp *qp, const struct dev_qp_attr *attr)
{
	struct verbs_dev *vd =
		u_container_of(qp->qp.dev, struct verbs_dev, dev);
	struct verbs_extra plain = { .inline_max = vd->inline_plain };
	bool unsolicited = attr->unsolicited && qp->qp.type == DEV_QP_SRD;
	struct verbs_extra extra;

	if (unsolicited && !qp->cq->unsolicited)
		return -EOPNOTSUPP;
	if (attr->low_latency && qp->qp.type != DEV_QP_UD)
		plain.sl = vd->extra.sl;
	extra = plain;
	extra.unsolicited = unsolicited;
	if (qp->qp.type == DEV_QP_RDM) {
		extra.inline_max = vd->extra.inline_max;
		extra.unsolicited = qp->cq->unsolicited;
	}
	if (!try_level(qp, &extra) && unsolicited)
		return create_error(true);
	if (!qp->ibv &&
	    (extra.unsolicited || extra.inline_max != plain.inline_max))
		try_level(qp, &plain);
	if (!qp->ibv)
		return create_error(false);
	qp->ex = ibv_qp_to_qp_ex(qp->ibv);
	return 0;
}

static int modify(struct verbs_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	int rc = ibv_modify_qp(qp->ibv, attr, mask | IBV_QP_STATE);

	return rc > 0 ? -rc : rc;
}

static int to_rts(struct verbs_qp *qp)
{
	const struct verbs_dev *vd =
		u_container_of(qp->qp.dev, struct verbs_dev, dev);
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = (uint32_t)(u_random64() & 0xffffff),
		.rnr_retry = qp->rnr_tries,
	};
	bool settable = qp->qp.type != DEV_QP_UD &&
			(vd->caps & VERBS_CAP_RNR_RETRY);
	int rc = modify(qp, &attr,
			IBV_QP_SQ_PSN | (settable ? IBV_QP_RNR_RETRY : 0));

	if (rc && settable && qp->parks)
		rc = modify(qp, &attr, IBV_QP_SQ_PSN);
	return rc;
}

static int to_ready(struct verbs_qp *qp, uint32_t qkey)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = VERBS_PORT,
		.qkey = qkey,
	};
	int rc = modify(qp, &attr,
			IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY);

	if (rc)
		return rc;
	attr.qp_state = IBV_QPS_RTR;
	rc = modify(qp, &attr, 0);
	return rc ? rc : to_rts(qp);
}

static U_COLD void explain(const struct dev *d, int rc)
{
	u_warn("%s: no queue pair: %s", d->info.name,
	       rc == -ENOMEM ? "the device has no room for more of them, or "
			       "memory cannot be locked; fewer processes or "
			       "endpoints would fit" :
			       strerror(-rc));
}

static void fill_addr(struct verbs_qp *qp, uint32_t qkey)
{
	const struct dev_info *info = &qp->qp.dev->info;

	memcpy(qp->qp.addr.gid, info->gid, sizeof(info->gid));
	qp->qp.addr.qpn = qp->ibv->qp_num;
	qp->qp.addr.qkey = qkey;
}

static struct verbs_qp *qp_new(struct dev *d, enum dev_qp_type type,
			       struct dev_cq *c, uint8_t rnr_tries)
{
	struct verbs_qp *qp = u_lines_new(sizeof(*qp));

	if (!qp)
		return NULL;
	qp->qp.ops = d->ops;
	qp->qp.dev = d;
	qp->qp.cq = c;
	qp->qp.type = type;
	qp->cq = u_container_of(c, struct verbs_cq, cq);
	qp->rx.depth = d->info.rx_depth;
	qp->rnr_tries = rnr_tries;
	qp->parks = type != DEV_QP_UD;
	return qp;
}

/* Frees qp when it fails. */
static int qp_open(struct verbs_qp *qp, const struct dev_qp_attr *attr,
		   struct dev_qp **out)
{
	const struct dev *d = qp->qp.dev;
	int rc;

	rc = create_any(qp, attr);
	if (rc) {
		explain(d, rc);
		goto free_qp;
	}
	fill_addr(qp, attr->qkey);
	rc = verbs_cq_add(qp->cq, qp);
	if (rc)
		goto destroy;
	rc = verbs_tx_init(qp);
	if (rc)
		goto leave_cq;
	rc = verbs_rx_init(qp);
	if (rc)
		goto fini_tx;
	rc = to_ready(qp, attr->qkey);
	if (!rc)
		rc = verbs_rx_start(qp);
	if (rc)
		goto fini_rx;
	*out = &qp->qp;
	return 0;
fini_rx:
	explain(d, rc);
	ibv_destroy_qp(qp->ibv);
	qp->ibv = NULL;
	verbs_rx_fini(qp);
fini_tx:
	verbs_tx_fini(qp);
leave_cq:
	verbs_cq_remove(qp->cq, qp);
destroy:
	if (qp->ibv)
		ibv_destroy_qp(qp->ibv);
free_qp:
	free(qp);
	return rc;
}

int verbs_qp_open(struct dev *d, enum dev_qp_type type, struct dev_cq *c,
		  const struct dev_qp_attr *attr, struct dev_qp **out)
{
	struct verbs_qp *qp = qp_new(d, type, c, attr->rnr_retries);

	return qp ? qp_open(qp, attr, out) : -ENOMEM;
}

/*
 * Tries without end are the hardware's where it can be told so. Where not, it
 * gives up after a few, and what found no receive waits here as on RDM.
 */
int verbs_srd_open(struct dev *d, const struct dev_qp_attr *attr,
		   struct dev_cq *c, struct dev_qp **out)
{
	bool forever = attr->rnr_retries == DEV_RNR_FOREVER;
	struct verbs_qp *qp;

	if (!forever && !(d->info.caps & DEV_CAP_RNR_RETRY))
		return -ENOSYS;
	if (attr->unsolicited && !(d->info.caps & DEV_CAP_UNSOLICITED))
		return -EOPNOTSUPP;
	qp = qp_new(d, DEV_QP_SRD, c, attr->rnr_retries);
	if (!qp)
		return -ENOMEM;
	qp->parks = forever;
	return qp_open(qp, attr, out);
}

/* ---- close ------------------------------------------------------------------- */

/* Nobody wants to hear of these any more. */
static int take_silently(struct verbs_qp *qp)
{
	struct dev_wc wc[VERBS_BATCH];
	int n = verbs_cq_take(qp->cq, wc, VERBS_BATCH);

	qp->rx.nback = 0;
	return n;
}

/*
 * Only where the queue is its own: entries of others are theirs to take. Those
 * of this queue pair that stay are skipped later (verbs_poll()).
 */
static void settle(struct verbs_qp *qp)
{
	uint64_t end = u_now() + DRAIN_TIMEOUT;

	while (qp->cq->one == qp && qp->tx_hw && !qp->dead && u_now() < end)
		take_silently(qp);
}

static void destroy(struct verbs_qp *qp)
{
	int rc;

	/* What is flushed now tells nothing. */
	atomic_store(&qp->fatal, true);
	rc = ibv_destroy_qp(qp->ibv);
	if (rc)
		u_warn("%s: queue pair %u could not be destroyed: %s",
		       qp->qp.dev->info.name, qp->qp.addr.qpn,
		       strerror(rc > 0 ? rc : errno));
	qp->cq->careful = true;
	while (qp->cq->one == qp && take_silently(qp))
		;
}

void verbs_qp_close(struct dev_qp *q)
{
	struct verbs_qp *qp = u_container_of(q, struct verbs_qp, qp);

	settle(qp);
	destroy(qp);
	/* Handles that were closed early wait for their requests. */
	for (uint32_t i = 0; i < qp->tx_depth; i++)
		if (qp->tx[i].ah)
			verbs_tx_release(qp, &qp->tx[i]);
	verbs_cq_remove(qp->cq, qp);
	verbs_rx_fini(qp);
	verbs_tx_fini(qp);
	verbs_sources_fini(&qp->sources);
	free(qp);
}
