/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_rail_queue.c - posting to and polling a device with two rails
 *
 * A request is copied, with the handle, region and key of its rail put in.
 * Both rails are polled each time, in turn first, so that neither can starve
 * the other; one where nothing comes costs its look.
 */
#include "dev_rail_priv.h"

/* Requests that are handed on together. */
#define BATCH 16

/* --- post --- */

static U_COLD enum rail far_rail(struct rail_ah *ah)
{
	/* Nobody has a key 0, so an operation that cannot go ends as such. */
	return rail_ah_main(ah) ? RAIL_MAIN : RAIL_LOCAL;
}

static inline enum rail rail_for(const struct dev_wr *wr)
{
	struct rail_ah *ah = u_container_of(wr->ah, struct rail_ah, ah);

	if (!ah->rail[RAIL_LOCAL])
		return RAIL_MAIN;
	if (u_likely(wr->op == DEV_SEND || wr->rkey > UINT32_MAX || !wr->len))
		return RAIL_LOCAL;
	return far_rail(ah);
}

static inline void translate_wr(struct dev_wr *wr, enum rail rail)
{
	struct rail_mr *mr;

	wr->ah = u_container_of(wr->ah, struct rail_ah, ah)->rail[rail];
	wr->rkey = rail == RAIL_LOCAL ? wr->rkey >> 32 : (uint32_t)wr->rkey;
	if (!wr->mr)
		return;
	mr = u_container_of(wr->mr, struct rail_mr, mr);
	wr->mr = mr->rail[rail];
}

/* Requests from the first on that go by its rail: how many of n it took. */
static int post_run(struct rail_qp *qp, struct dev_wr *wr, int n)
{
	enum rail rail = rail_for(&wr[0]);
	struct dev_wr run[BATCH];
	int k = 0;

	do {
		run[k] = wr[k];
		translate_wr(&run[k], rail);
		k++;
	} while (k < n && k < BATCH && rail_for(&wr[k]) == rail);
	n = dev_post(qp->rail[rail], run, k);
	for (int i = 0; i < n; i++)
		wr[i].done = run[i].done;
	return n;
}

int rail_post(struct dev_qp *q, struct dev_wr *wr, int n)
{
	struct rail_qp *qp = u_container_of(q, struct rail_qp, qp);
	int done = 0, k;

	do {
		k = post_run(qp, wr + done, n - done);
		if (u_unlikely(k <= 0))
			return done ? done : k;
		done += k;
	} while (u_unlikely(done < n));
	return done;
}

/* --- poll --- */

/* The cookie is ours; false: the user closed the handle, or was told (I2). */
static U_COLD bool translate_gone(struct rail_cq *cq, struct dev_wc *wc)
{
	struct rail_ah *ah = u_pool_at(&cq->ahs, (uint32_t)wc->id);

	if (!ah || ah->gone)
		return false;
	ah->gone = true;
	wc->id = ah->cookie;
	return true;
}

static int poll_rail(struct rail_cq *cq, enum rail rail, struct dev_wc *wc,
		     int n)
{
	int got, kept = 0;

	got = dev_poll(cq->rail[rail], wc, n);
	if (u_likely(!got))
		return 0;
	cq->lent[rail] = true;
	for (int i = 0; i < got; i++) {
		if (wc[i].source != DEV_SOURCE_UNKNOWN)
			wc[i].source = RAILS * wc[i].source + rail;
		if (u_unlikely(wc[i].op == DEV_WC_GONE) &&
		    !translate_gone(cq, &wc[i]))
			continue;
		if (u_unlikely(kept != i))
			wc[kept] = wc[i];
		kept++;
	}
	return kept;
}

int rail_poll(struct dev_cq *c, struct dev_wc *wc, int n)
{
	struct rail_cq *cq = u_container_of(c, struct rail_cq, cq);
	enum rail first = cq->turn;
	int k;

	if (!cq->nlocal)
		return poll_rail(cq, RAIL_MAIN, wc, n);
	cq->turn = !first;
	k = poll_rail(cq, first, wc, n);
	if (k < n)
		k += poll_rail(cq, !first, wc + k, n - k);
	return k;
}

void rail_give_back(struct dev_cq *c)
{
	struct rail_cq *cq = u_container_of(c, struct rail_cq, cq);

	for (int rail = 0; rail < RAILS; rail++) {
		if (cq->lent[rail])
			dev_give_back(cq->rail[rail]);
		cq->lent[rail] = false;
	}
}
