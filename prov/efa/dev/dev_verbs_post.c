/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_post.c - from a work request to the hardware
 *
 * fill() turns a request into a verbs_tx, which owns all that the hardware
 * needs until the completion; verbs_tx_issue() hands several to the hardware
 * with one doorbell. A verbs_tx can be issued again, when the peer had no
 * receive. Bytes travel
 *
 *   inline                 when they fit the work request
 *   header, user's memory  when that is registered and worth not copying
 *   in a packet            otherwise
 *
 * RDMA needs one registered local range: small ones go through a packet.
 */
#include "dev_verbs_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Requests of one doorbell at most. */
#define POST_BATCH 16
/* Copying fewer bytes is cheaper than one more element to fetch. */
#define ZERO_COPY_MIN 1024

int verbs_tx_init(struct verbs_qp *qp)
{
	struct verbs_dev *vd =
		u_container_of(qp->qp.dev, struct verbs_dev, dev);
	int rc;

	TAILQ_INIT(&qp->free);
	TAILQ_INIT(&qp->failed);
	TAILQ_INIT(&qp->waiting);
	TAILQ_INIT(&qp->gone);
	qp->tx = calloc(qp->tx_depth, sizeof(*qp->tx));
	if (!qp->tx)
		return -ENOMEM;
	for (uint32_t i = qp->tx_depth; i--;)
		TAILQ_INSERT_HEAD(&qp->free, &qp->tx[i], link);
	rc = verbs_pool_init(&qp->tx_pool, vd, vd->dev.info.mtu, qp->tx_depth);
	if (!rc)
		rc = verbs_pool_grow(&qp->tx_pool);
	if (rc) {
		verbs_pool_fini(&qp->tx_pool);
		free(qp->tx);
	}
	return rc;
}

void verbs_tx_fini(struct verbs_qp *qp)
{
	verbs_pool_fini(&qp->tx_pool);
	free(qp->tx);
}

/* ---- filling ------------------------------------------------------------- */

/* Room is kept for what peers wait for: answers, and the rest of messages. */
static bool may_take(const struct verbs_qp *qp, const struct dev_wr *wr)
{
	const struct verbs_ah *ah = u_container_of(wr->ah, struct verbs_ah, ah);

	if (!(wr->flags & DEV_WR_REQUEST))
		return true;
	return !ah->wait && qp->tx_depth - qp->tx_out > qp->tx_depth / 8;
}

static int packet_get(struct verbs_qp *qp, struct verbs_tx *tx)
{
	tx->pkt = verbs_pool_get(&qp->tx_pool);
	if (u_unlikely(tx->pkt == VERBS_NONE)) {
		if (verbs_pool_grow(&qp->tx_pool))
			return -EAGAIN;
		tx->pkt = verbs_pool_get(&qp->tx_pool);
	}
	tx->sge[0].addr = (uintptr_t)verbs_pool_at(&qp->tx_pool, tx->pkt);
	tx->sge[0].lkey = verbs_pool_lkey(&qp->tx_pool, tx->pkt);
	tx->nsge = 1;
	return 0;
}

static void gather(char *to, const struct dev_wr *wr)
{
	if (wr->hdr_len)
		memcpy(to, wr->hdr, wr->hdr_len);
	to += wr->hdr_len;
	for (uint32_t i = 0; i < wr->iovcnt; i++) {
		if (!wr->iov[i].iov_len)
			continue;
		memcpy(to, wr->iov[i].iov_base, wr->iov[i].iov_len);
		to += wr->iov[i].iov_len;
	}
}

/* The user's memory where it lies, the header before it in a packet. */
static int fill_zero_copy(struct verbs_qp *qp, const struct dev_wr *wr,
			  uint32_t lkey, struct verbs_tx *tx)
{
	struct ibv_sge *sge = tx->sge;
	int rc;

	if (wr->hdr_len) {
		rc = packet_get(qp, tx);
		if (rc)
			return rc;
		memcpy((void *)(uintptr_t)sge->addr, wr->hdr, wr->hdr_len);
		sge++->length = wr->hdr_len;
	}
	*sge = (struct ibv_sge){
		.addr = (uintptr_t)wr->iov[0].iov_base,
		.length = (uint32_t)wr->len,
		.lkey = lkey,
	};
	tx->nsge = (uint8_t)(sge - tx->sge + 1);
	return 0;
}

static bool is_zero_copy(const struct verbs_qp *qp, const struct dev_wr *wr,
			 uint32_t *lkey)
{
	const struct verbs_dev *vd =
		u_container_of(qp->qp.dev, struct verbs_dev, dev);

	return wr->mr && wr->iovcnt == 1 && wr->len >= ZERO_COPY_MIN &&
	       (!wr->hdr_len || vd->tx_sge >= 2) &&
	       verbs_mr_lkey(wr->mr, wr->iov[0].iov_base, wr->len, lkey);
}

static int fill_send(struct verbs_qp *qp, const struct dev_wr *wr,
		     struct verbs_tx *tx)
{
	uint64_t len = wr->hdr_len + wr->len;
	uint32_t lkey;
	int rc;

	if (u_unlikely(wr->len > UINT32_MAX || len > qp->qp.dev->info.mtu))
		return -EMSGSIZE;
	if (len <= qp->inline_max) {
		gather((char *)tx->small, wr);
		tx->small_len = (uint32_t)len;
		tx->nsge = 0;
		return 0;
	}
	if (is_zero_copy(qp, wr, &lkey))
		return fill_zero_copy(qp, wr, lkey, tx);
	rc = packet_get(qp, tx);
	if (rc)
		return rc;
	gather((char *)(uintptr_t)tx->sge[0].addr, wr);
	tx->sge[0].length = (uint32_t)len;
	return 0;
}

/* Small local ranges of RDMA are copied, as registering costs far more. */
static int fill_rdma_copy(struct verbs_qp *qp, const struct dev_wr *wr,
			  struct verbs_tx *tx)
{
	int rc = packet_get(qp, tx);

	if (rc)
		return rc;
	if (wr->op == DEV_READ)
		tx->to = wr->iov[0].iov_base;
	else if (wr->len)
		memcpy((void *)(uintptr_t)tx->sge[0].addr, wr->iov[0].iov_base,
		       wr->len);
	return 0;
}

static int fill_rdma_local(struct verbs_qp *qp, const struct dev_wr *wr,
			   struct verbs_tx *tx)
{
	struct verbs_dev *vd =
		u_container_of(qp->qp.dev, struct verbs_dev, dev);
	uint32_t lkey;
	int rc;

	if (!verbs_mr_lkey(wr->mr, wr->iov[0].iov_base, wr->len, &lkey)) {
		if (wr->len <= vd->dev.info.mtu)
			return fill_rdma_copy(qp, wr, tx);
		rc = verbs_reg_get(vd, wr->iov[0].iov_base, wr->len,
				   wr->op == DEV_READ ? IBV_ACCESS_LOCAL_WRITE :
							0,
				   &tx->reg);
		/* It would fail again and again: say so where the caller waits
		   for the end of the operation. */
		if (rc) {
			tx->status = DEV_BAD_LKEY;
			return 0;
		}
		lkey = tx->reg.mr->lkey;
	}
	tx->sge[0].addr = (uintptr_t)wr->iov[0].iov_base;
	tx->sge[0].lkey = lkey;
	tx->nsge = 1;
	return 0;
}

static int fill_rdma(struct verbs_qp *qp, const struct dev_wr *wr,
		     struct verbs_tx *tx)
{
	uint32_t cap = wr->op == DEV_READ ? DEV_CAP_READ : DEV_CAP_WRITE;
	const struct dev_info *info = &qp->qp.dev->info;
	int rc;

	if (wr->op > DEV_WRITE_IMM || wr->iovcnt != 1 ||
	    wr->iov[0].iov_len < wr->len || qp->qp.type == DEV_QP_UD ||
	    !(info->caps & cap))
		return -EINVAL;
	if (wr->len > info->max_rdma || wr->len > UINT32_MAX)
		return -EMSGSIZE;
	rc = fill_rdma_local(qp, wr, tx);
	tx->sge[0].length = (uint32_t)wr->len;
	/* A key of a peer with a rail has another above: dev_rail.h. */
	tx->rkey = (uint32_t)wr->rkey;
	tx->remote = wr->remote;
	return rc;
}

/* Takes a verbs_tx for wr; with a status set it must not go out. */
static int fill(struct verbs_qp *qp, const struct dev_wr *wr,
		struct verbs_tx **out)
{
	struct verbs_tx *tx = TAILQ_FIRST(&qp->free);
	int rc;

	if (u_unlikely(!tx || !may_take(qp, wr)))
		return -EAGAIN;
	tx->ah = u_container_of(wr->ah, struct verbs_ah, ah);
	tx->id = wr->id;
	tx->op = wr->op;
	tx->imm = wr->imm;
	tx->has_imm = wr->flags & DEV_WR_IMM || wr->op == DEV_WRITE_IMM;
	tx->pkt = VERBS_NONE;
	tx->reg = (struct verbs_reg){ .mr = NULL };
	tx->to = NULL;
	tx->again = tx->probe = false;
	tx->status = qp->dead ? qp->dead : tx->ah->dead;
	rc = wr->op == DEV_SEND ? fill_send(qp, wr, tx) : fill_rdma(qp, wr, tx);
	if (u_unlikely(rc)) {
		if (tx->pkt != VERBS_NONE)
			verbs_pool_put(&qp->tx_pool, tx->pkt);
		tx->ah = NULL;
		return rc;
	}
	TAILQ_REMOVE(&qp->free, tx, link);
	qp->tx_out++;
	tx->ah->posted++;
	*out = tx;
	return 0;
}

/* Those that name a region end with it; here is what goes through a packet. */
U_COLD bool verbs_revoke(struct dev_qp *q, uint64_t id)
{
	struct verbs_qp *qp = u_container_of(q, struct verbs_qp, qp);

	for (uint32_t i = 0; i < qp->tx_depth; i++)
		if (qp->tx[i].ah && qp->tx[i].id == id)
			qp->tx[i].to = NULL;
	return false;
}

void verbs_tx_release(struct verbs_qp *qp, struct verbs_tx *tx)
{
	struct verbs_ah *ah = tx->ah;

	if (tx->pkt != VERBS_NONE)
		verbs_pool_put(&qp->tx_pool, tx->pkt);
	if (u_unlikely(tx->reg.mr != NULL))
		verbs_reg_put(qp->tx_pool.vd, &tx->reg);
	tx->ah = NULL;
	TAILQ_INSERT_HEAD(&qp->free, tx, link);
	qp->tx_out--;
	if (--ah->posted == 0 && u_unlikely(ah->closed))
		verbs_ah_free(ah);
}

/* ---- to the hardware ------------------------------------------------------- */

static void build(struct verbs_qp *qp, struct verbs_tx *tx)
{
	struct ibv_qp_ex *ex = qp->ex;

	ex->wr_id = qp->tag | (uint64_t)(tx - qp->tx);
	ex->wr_flags = IBV_SEND_SIGNALED | (tx->nsge ? 0 : IBV_SEND_INLINE);
	switch ((enum dev_op)tx->op) {
	case DEV_SEND:
		if (u_unlikely(tx->has_imm))
			ibv_wr_send_imm(ex, tx->imm);
		else
			ibv_wr_send(ex);
		break;
	case DEV_READ:
		ibv_wr_rdma_read(ex, tx->rkey, tx->remote);
		break;
	case DEV_WRITE:
		ibv_wr_rdma_write(ex, tx->rkey, tx->remote);
		break;
	case DEV_WRITE_IMM:
		ibv_wr_rdma_write_imm(ex, tx->rkey, tx->remote, tx->imm);
		break;
	}
	if (tx->nsge)
		ibv_wr_set_sge_list(ex, tx->nsge, tx->sge);
	else
		ibv_wr_set_inline_data(ex, tx->small, tx->small_len);
	ibv_wr_set_ud_addr(ex, tx->ah->gid->ah, tx->ah->ah.addr.qpn,
			   tx->ah->ah.addr.qkey);
}

int verbs_tx_issue(struct verbs_qp *qp, struct verbs_tx *const *tx, int n)
{
	int rc;

	ibv_wr_start(qp->ex);
	for (int i = 0; i < n; i++)
		build(qp, tx[i]);
	rc = ibv_wr_complete(qp->ex);
	if (u_likely(!rc)) {
		for (int i = 0; i < n; i++)
			tx[i]->in_hw = true;
		qp->tx_hw += (uint32_t)n;
		return 0;
	}
	return rc == ENOMEM || rc == -ENOMEM ? -EAGAIN : -EINVAL;
}

/*
 * One bad request takes all of its doorbell back, so after a failure each gets
 * one of its own. Returns how many went out; those after are released.
 */
static U_COLD int issue_singly(struct verbs_qp *qp, struct verbs_tx *const *tx,
			       int n, int *rc)
{
	int done = 0;

	*rc = 0;
	while (done < n && !(*rc = verbs_tx_issue(qp, &tx[done], 1)))
		done++;
	for (int i = done; i < n; i++)
		verbs_tx_release(qp, tx[i]);
	return done;
}

static U_COLD void fail_here(struct verbs_qp *qp, struct verbs_tx *tx)
{
	TAILQ_INSERT_TAIL(&qp->failed, tx, link);
	qp->cq->chores = true;
}

int verbs_post(struct dev_qp *q, struct dev_wr *wr, int n)
{
	struct verbs_qp *qp = u_container_of(q, struct verbs_qp, qp);
	struct verbs_tx *tx[POST_BATCH];
	int i, rc = 0;

	for (i = 0; i < n && i < POST_BATCH; i++) {
		rc = fill(qp, &wr[i], &tx[i]);
		if (u_unlikely(rc || tx[i]->status))
			break;
		wr[i].done = false;
	}
	if (i && u_unlikely(verbs_tx_issue(qp, tx, i) != 0)) {
		/* What was filled behind them goes out with the next call. */
		if (!rc && i < n && i < POST_BATCH)
			verbs_tx_release(qp, tx[i]);
		n = issue_singly(qp, tx, i, &rc);
		return n ? n : rc;
	}
	if (!rc && i < n && i < POST_BATCH) {
		fail_here(qp, tx[i]);
		wr[i++].done = false;
	}
	return i ? i : rc;
}
