/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_done.c - how requests end: well, badly, or later
 *
 * A packet that finds no receive at the peer is not lost: the hardware gives
 * up after a few tries, and then it waits here. The first such packet of a
 * peer goes out again at once; when that fails too the peer is probed with one
 * packet at a time, less and less often, and requests to it are held back. As
 * soon as a probe gets through the others follow.
 *
 * A peer whose end a status tells is dead for this handle: requests to it fail
 * without going out, and when the last of them has ended GONE is told, once.
 */
#include "dev_verbs_priv.h"

#include <errno.h>
#include <string.h>

#include "util/u_hash.h"
#include "util/u_log.h"
#include "util/u_time.h"

#define WAIT_MIN (40 * U_USEC) /* plus up to twice that, at random */
#define WAIT_MAX (50 * U_MSEC)
#define ISSUE_BATCH 16

static const uint8_t wc_ops[] = {
	[DEV_SEND] = DEV_WC_SEND,
	[DEV_READ] = DEV_WC_READ,
	[DEV_WRITE] = DEV_WC_WRITE,
	[DEV_WRITE_IMM] = DEV_WC_WRITE,
};

static bool says_dead(uint8_t status)
{
	return status == DEV_PEER_RESET || status == DEV_NO_QP ||
	       status == DEV_UNRESPONSIVE;
}

/* The last request to a dead peer has ended: GONE is next. */
static U_COLD void tell_gone(struct verbs_qp *qp, struct verbs_ah *ah)
{
	if (ah->told || ah->posted || ah->closed)
		return;
	ah->told = ah->queued = true;
	TAILQ_INSERT_TAIL(&qp->gone, ah, link);
	qp->cq->chores = true;
}

/* The caller learns of tx by wc, unless it has closed the handle. */
static int finish(struct verbs_qp *qp, struct verbs_tx *tx, uint8_t status,
		  struct dev_wc *wc)
{
	struct verbs_ah *ah = tx->ah;
	bool closed = ah->closed;

	*wc = (struct dev_wc){
		.id = tx->id,
		.op = wc_ops[tx->op],
		.status = status,
		.source = DEV_SOURCE_UNKNOWN,
	};
	if (u_unlikely(tx->to != NULL) && !status && !closed)
		memcpy(tx->to, verbs_pool_at(&qp->tx_pool, tx->pkt),
		       tx->sge[0].length);
	verbs_tx_release(qp, tx);
	if (u_unlikely(closed))
		return 0;
	if (u_unlikely(ah->dead))
		tell_gone(qp, ah);
	return 1;
}

/* ---- peers without receives ---------------------------------------------- */

static U_COLD void wait_longer(struct verbs_ah *ah)
{
	uint64_t random = u_random64() % (2 * WAIT_MIN);

	ah->wait = ah->wait ? u_min(2 * ah->wait, WAIT_MAX) : WAIT_MIN + random;
	ah->hold = u_now() + ah->wait;
}

static U_COLD void park(struct verbs_qp *qp, struct verbs_tx *tx)
{
	if (tx->again && (tx->probe || !tx->ah->wait))
		wait_longer(tx->ah);
	if (tx->probe)
		tx->ah->probing = false;
	tx->probe = false;
	tx->again = true;
	TAILQ_INSERT_TAIL(&qp->waiting, tx, link);
	qp->look = 0;
	qp->cq->chores = true;
}

/*
 * A request that waited got an answer, whatever it is. The others may go, and
 * so may new ones, or a peer could be held back with nobody to ask for it.
 */
static U_COLD void waited(struct verbs_qp *qp, struct verbs_tx *tx)
{
	if (tx->probe)
		tx->ah->probing = false;
	tx->ah->wait = tx->ah->hold = 0;
	qp->look = 0;
}

/* Whether tx may go out now; if not, when it may, at the earliest. */
static bool is_due(const struct verbs_tx *tx, uint64_t now, uint64_t *when)
{
	const struct verbs_ah *ah = tx->ah;

	if (!ah->wait)
		return true;
	if (ah->probing)
		return false;
	if (now >= ah->hold)
		return true;
	*when = u_min(*when, ah->hold);
	return false;
}

/* It will not go out any more. */
static U_COLD void give_up(struct verbs_qp *qp, struct verbs_tx *tx,
			   uint8_t status)
{
	TAILQ_REMOVE(&qp->waiting, tx, link);
	tx->status = status;
	TAILQ_INSERT_TAIL(&qp->failed, tx, link);
}

/* What was taken before is refused now: the queue pair takes nothing more. */
static U_COLD void refused(struct verbs_qp *qp, struct verbs_tx *tx)
{
	give_up(qp, tx, DEV_QP_ERROR);
	waited(qp, tx);
}

static U_COLD void reissue(struct verbs_qp *qp)
{
	struct verbs_tx *tx = TAILQ_FIRST(&qp->waiting), *next;
	uint64_t now = u_now(), when = UINT64_MAX;
	int budget = ISSUE_BATCH, rc;

	if (now < qp->look)
		return;
	for (; tx && budget; tx = next) {
		struct verbs_ah *ah = tx->ah;

		next = TAILQ_NEXT(tx, link);
		if (ah->closed || ah->dead || qp->dead) {
			give_up(qp, tx, qp->dead ? qp->dead : ah->dead);
			continue;
		}
		if (!is_due(tx, now, &when))
			continue;
		budget--;
		rc = verbs_tx_issue(qp, &tx, 1);
		if (rc == -EAGAIN)
			break;
		if (rc) {
			refused(qp, tx);
			continue;
		}
		TAILQ_REMOVE(&qp->waiting, tx, link);
		tx->probe = ah->probing = ah->wait != 0;
	}
	qp->look = tx ? 0 : when;
}

/* ---- completions ------------------------------------------------------------ */

int verbs_tx_done(struct verbs_qp *qp, struct verbs_tx *tx, uint8_t status,
		  struct dev_wc *wc)
{
	struct verbs_ah *ah = tx->ah;

	tx->in_hw = false;
	qp->tx_hw--;
	if (u_unlikely(status == DEV_RNR && qp->parks && !ah->closed &&
		       !ah->dead)) {
		park(qp, tx);
		return 0;
	}
	if (u_unlikely(tx->again))
		waited(qp, tx);
	if (u_unlikely(status && says_dead(status) && !ah->dead &&
		       qp->qp.type == DEV_QP_RDM)) {
		ah->dead = status;
		qp->look = 0;
	}
	return finish(qp, tx, status, wc);
}

static int take_failed(struct verbs_qp *qp, struct dev_wc *wc, int n)
{
	struct verbs_tx *tx;
	int k = 0;

	while (k < n && (tx = TAILQ_FIRST(&qp->failed))) {
		TAILQ_REMOVE(&qp->failed, tx, link);
		k += finish(qp, tx, tx->status, &wc[k]);
	}
	return k;
}

static int take_gone(struct verbs_qp *qp, struct dev_wc *wc, int n)
{
	struct verbs_ah *ah;
	int k = 0;

	while (k < n && (ah = TAILQ_FIRST(&qp->gone))) {
		TAILQ_REMOVE(&qp->gone, ah, link);
		ah->queued = false;
		wc[k++] = (struct dev_wc){
			.id = ah->cookie,
			.op = DEV_WC_GONE,
			.source = DEV_SOURCE_UNKNOWN,
		};
	}
	return k;
}

/* A dead queue pair ends none of them. */
static bool has_dead_recvs(const struct verbs_qp *qp)
{
	return qp->dead && qp->qp.type != DEV_QP_RDM && qp->rx.posted;
}

static bool has_chores(const struct verbs_qp *qp)
{
	return has_dead_recvs(qp) || !TAILQ_EMPTY(&qp->failed) ||
	       !TAILQ_EMPTY(&qp->gone) || !TAILQ_EMPTY(&qp->waiting);
}

U_COLD int verbs_chores(struct verbs_cq *cq, struct dev_wc *wc, int n)
{
	bool left = false;
	int k = 0;

	for (uint32_t i = 0; i < cq->nslots; i++) {
		struct verbs_qp *qp = cq->qps[i];

		if (!qp)
			continue;
		if (qp->rx.lost)
			verbs_rx_again(qp);
		if (!TAILQ_EMPTY(&qp->waiting))
			reissue(qp);
		k += take_failed(qp, wc + k, n - k);
		if (has_dead_recvs(qp))
			k += verbs_recv_fail_all(qp, wc + k, n - k);
		k += take_gone(qp, wc + k, n - k);
		left |= has_chores(qp);
	}
	cq->chores = left;
	return k;
}

/*
 * The hardware may be well, as when only a completion queue failed, and still
 * take packets into receives and what was read into memory that our user gets
 * back. Where it is not, this fails and nothing moves any more.
 */
static void stop_hardware(struct verbs_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
	int rc = ibv_modify_qp(qp->ibv, &attr, IBV_QP_STATE);

	if (rc)
		u_info("%s: queue pair %u cannot be stopped: %s",
		       qp->qp.dev->info.name, qp->qp.addr.qpn, strerror(rc));
}

U_COLD void verbs_qp_kill(struct verbs_qp *qp, uint8_t status)
{
	struct verbs_tx *tx;

	if (qp->dead)
		return;
	stop_hardware(qp);
	qp->dead = status;
	qp->rx.target = 0;
	for (uint32_t i = 0; i < qp->tx_depth; i++) {
		tx = &qp->tx[i];
		if (!tx->in_hw)
			continue;
		tx->in_hw = false;
		tx->status = status;
		TAILQ_INSERT_TAIL(&qp->failed, tx, link);
	}
	qp->tx_hw = 0;
	qp->look = 0;
	qp->cq->chores = true;
}
