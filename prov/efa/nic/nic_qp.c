/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_qp.c - queue pairs: a number, a segment, and what hangs on them
 *
 * How they come by their number is nic_claim.c.
 */
#include "nic_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "nic_claim.h"

#include "util/u_lines.h"

static int qp_alloc_queues(struct nic_qp *qp)
{
	qp->done = u_lines_raw(NIC_DONE_MAX * sizeof(*qp->done));
	if (!qp->done)
		return -ENOMEM;
	if (qp->type == NIC_QP_RDM)
		return 0;
	qp->recv = calloc(NIC_RECVS, sizeof(*qp->recv));
	if (!qp->recv)
		return -ENOMEM;
	return qp->type == NIC_QP_SRD ? nic_srd_init(qp) : 0;
}

static void qp_free(struct nic_qp *qp)
{
	u_pool_fini(&qp->ops);
	free(qp->source);
	free(qp->done);
	free(qp->recv);
	if (qp->held)
		free(qp->held[0].buf);
	free(qp->held);
	free(qp);
}

static struct nic_qp *qp_alloc(struct nic *nic, enum nic_qp_type type)
{
	struct nic_qp *qp = u_lines_new(sizeof(*qp));

	if (!qp)
		return NULL;
	qp->nic = nic;
	qp->type = type;
	memcpy(qp->self.gid, nic->info.gid, sizeof(qp->self.gid));
	TAILQ_INIT(&qp->paths);
	TAILQ_INIT(&qp->active);
	TAILQ_INIT(&qp->ending);
	TAILQ_INIT(&qp->gone);
	u_pool_init(&qp->ops, sizeof(struct nic_op), 64, NIC_OPS_MAX);
	qp->polls_left = 1;
	qp->attention = type == NIC_QP_RDM ? 0 : NIC_ATT_RECVS;
	qp->rnr_retries = NIC_RNR_FOREVER;
	if (!qp_alloc_queues(qp))
		return qp;
	qp_free(qp);
	return NULL;
}

static void qp_count(struct nic *nic, int delta)
{
	u_lock(&nic->lock);
	nic->nqps += (unsigned int)delta;
	u_unlock(&nic->lock);
}

static int qp_open(struct nic *nic, enum nic_qp_type type,
		   const struct nic_addr *addr, struct nic_qp **out)
{
	struct nic_qp *qp = qp_alloc(nic, type);
	int rc;

	if (!qp)
		return -ENOMEM;
	qp->self.connid = addr->qkey;
	rc = addr->qpn ? nic_claim_as(qp, addr) : nic_claim(qp);
	if (rc)
		goto free_qp;
	rc = nic_far_init(qp);
	if (rc)
		goto unclaim;
	qp->shm_stats = wire_shm_stats(qp->shm);
	qp->dry = type == NIC_QP_SRD;
	wire_shm_set_pressure(qp->shm, qp->dry);
	if (nic->config.no_shm && !nic->config.shm_only)
		nic_qp_forbid_shm(qp);
	qp->ticked = u_now();
	qp_count(nic, 1);
	*out = qp;
	return 0;
unclaim:
	nic_unclaim(qp);
free_qp:
	qp_free(qp);
	return rc;
}

int nic_qp_open(struct nic *nic, enum nic_qp_type type, uint32_t qkey,
		struct nic_qp **out)
{
	return qp_open(nic, type, &(struct nic_addr){ .qkey = qkey }, out);
}

int nic_qp_open_as(struct nic *nic, enum nic_qp_type type,
		   const struct nic_addr *addr, struct nic_qp **out)
{
	if (!nic->config.shm_only || !addr->qpn || addr->qpn > NIC_QPN_MAX)
		return -EINVAL;
	return qp_open(nic, type, addr, out);
}

int nic_qp_set_qkey(struct nic_qp *qp, uint32_t qkey)
{
	if (!qkey)
		return -EINVAL;
	if (qkey == qp->self.connid)
		return 0;
	if (!TAILQ_EMPTY(&qp->paths) || qp->nsources || qp->shm_stats->records)
		return -EBUSY;
	qp->self.connid = qkey;
	wire_shm_set_connid(qp->shm, qkey);
	nic_far_restart(qp);
	return 0;
}

void nic_qp_forbid_shm(struct nic_qp *qp)
{
	assert(!qp->nic->config.shm_only && TAILQ_EMPTY(&qp->paths));
	qp->no_shm = true;
	wire_shm_shut(qp->shm);
}

void nic_qp_set_rnr_retries(struct nic_qp *qp, uint32_t retries)
{
	assert(retries <= NIC_RNR_FOREVER);
	nic_far_set_rnr_retries(qp, retries);
}

void nic_qp_set_unsolicited(struct nic_qp *qp, bool on)
{
	assert(qp->type == NIC_QP_SRD);
	qp->unsolicited = on;
}

void nic_qp_close(struct nic_qp *qp)
{
	struct nic_path *p;

	nic_give_back(qp);
	while ((p = TAILQ_FIRST(&qp->paths))) {
		assert(TAILQ_EMPTY(&p->ahs));
		nic_path_free(p);
	}
	nic_far_fini(qp);
	nic_unclaim(qp);
	qp_count(qp->nic, -1);
	qp_free(qp);
}

void nic_qp_addr(const struct nic_qp *qp, struct nic_addr *addr)
{
	memcpy(addr->gid, qp->self.gid, sizeof(addr->gid));
	addr->qpn = qp->self.qpn;
	addr->qkey = qp->self.connid;
}

void nic_set_pressure(struct nic_qp *qp, bool on)
{
	if (qp->pressure == on)
		return;
	wire_shm_set_pressure(qp->shm, on);
	nic_far_set_pressure(qp, on);
}

int nic_qp_fd(const struct nic_qp *qp)
{
	return qp->wait;
}

/* Packets are counted where the hot paths have their hands anyway. */
const struct nic_stats *nic_qp_stats(struct nic_qp *qp)
{
	struct nic_path *p;
	struct nic_ah *ah;

	qp->stats.rx_packets = qp->shm_stats->records;
	qp->stats.tx_packets = qp->tx_closed;
	TAILQ_FOREACH(p, &qp->paths, link_all)
		TAILQ_FOREACH(ah, &p->ahs, path_link)
			qp->stats.tx_packets += ah->tx_packets;
	return &qp->stats;
}
