/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_drain.c - the end of an epoch: all that is under way comes to an end
 *
 * Each sender sends a last message of either family to everybody. As messages
 * are matched in order, no earlier one is missing when that has come, but those
 * that went to a receive that was canceled. Then receives that are left are
 * canceled, counters have to say what there was, and memory is compared.
 */
#include "random.h"

#include <string.h>

#define QUIET_TURNS 400u
#define EXPLAIN_NS 300000000u /* after which one may be missing for good */

typedef bool ep_test(struct rnd_ep *e);

static bool all(struct rnd *w, ep_test *holds)
{
	bool result = true;

	for (unsigned int i = 0; i < w->opt.endpoints; i++)
		if (w->ep[i].open)
			result &= holds(&w->ep[i]);
	return result;
}

static void until(struct rnd *w, ep_test *holds, const char *doing)
{
	w->doing = doing;
	while (!all(w, holds))
		rnd_drive(w);
}

/* ---- what is under way -------------------------------------------------------------- */

static bool claims_taken(struct rnd_ep *e)
{
	while (!TAILQ_EMPTY(&e->claims))
		rnd_claim_take(TAILQ_FIRST(&e->claims), false);
	return !e->peeking[RND_PLAIN] && !e->peeking[RND_TAGGED];
}

static void send_last(struct rnd *w)
{
	for (unsigned int i = 0; i < w->opt.endpoints; i++)
		for (unsigned int peer = 0; peer < w->opt.endpoints; peer++)
			for (int family = 0; family < RND_FAMILIES; family++)
				if (w->ep[i].open && !rnd_is_dead(w, (int)peer))
					rnd_send_flush(&w->ep[i], (int)peer,
						       (enum rnd_family)family);
}

static bool last_came(const struct rnd_ep *e)
{
	for (unsigned int from = 0; from < e->w->opt.endpoints; from++)
		for (int family = 0; family < RND_FAMILIES; family++)
			if (!rnd_is_dead(e->w, (int)from) &&
			    !e->flushed[from][family])
				return false;
	return true;
}

static bool all_came(struct rnd_ep *e)
{
	bool none = true;

	for (int family = 0; family < RND_FAMILIES; family++)
		none &= !rnd_recv_catch(e, (enum rnd_family)family);
	if (none || !last_came(e))
		return none && last_came(e);
	/* What is long may still be coming: look for a while. */
	if (!e->w->ft.idle_since || ft_now() - e->w->ft.idle_since < EXPLAIN_NS)
		return false;
	return rnd_match_explained(e, false);
}

static bool finish_atomics(struct rnd_ep *e)
{
	rnd_atomic_finish(e);
	return true;
}

static bool ops_ended(struct rnd_ep *e)
{
	return !e->nops;
}

static bool recvs_ended(struct rnd_ep *e)
{
	return !e->nrecvs;
}

static bool cancel_recvs(struct rnd_ep *e)
{
	struct rnd_op *op, *next;

	for (op = TAILQ_FIRST(&e->recvs); op; op = next) {
		next = TAILQ_NEXT(op, link);
		if (!op->canceled)
			rnd_cancel(op);
	}
	return true;
}

/* ---- what is left --------------------------------------------------------------------- */

static void check_notes(struct rnd_ep *e)
{
	for (unsigned int from = 0; from < e->w->opt.endpoints; from++)
		for (int i = 0; i < RND_OPEN; i++) {
			struct rnd_note *note =
				&e->w->world->note[from][e->id][i];

			if (note->data && !rnd_is_dead(e->w, (int)from))
				rnd_fail(
					e->w,
					"no entry of a write of %zu bytes with "
					"data %llx by %u to %d",
					note->len,
					(unsigned long long)note->data, from,
					e->id);
		}
}

static void forget_notes(struct rnd_ep *e)
{
	for (unsigned int from = 0; from < e->w->opt.endpoints; from++)
		for (int i = 0; i < RND_OPEN; i++)
			e->w->world->note[from][e->id][i].data = 0;
}

static bool notes_came(struct rnd_ep *e)
{
	for (unsigned int from = 0; from < e->w->opt.endpoints; from++)
		for (int i = 0; i < RND_OPEN; i++)
			if (e->w->world->note[from][e->id][i].data &&
			    !rnd_is_dead(e->w, (int)from))
				return false;
	return true;
}

static bool is_settled(struct rnd_ep *e)
{
	return rnd_settled(e);
}

static bool check_rest(struct rnd_ep *e)
{
	rnd_cntrs_check(e);
	check_notes(e);
	rnd_arena_check(e);
	forget_notes(e);
	memset(e->unsure, 0, sizeof(e->unsure));
	rnd_match_forget(e);
	rnd_ops_free(&e->silent);
	rnd_ops_free(&e->zombies);
	e->nsilent = 0;
	return true;
}

void rnd_drain(struct rnd *w)
{
	w->doing = "end of steps";
	rnd_threads_are(w, RND_PARKED);
	rnd_threads_are(w, RND_DRIVING);
	w->draining = w->opt.extra;
	rnd_barrier(w);
	w->draining = false;
	until(w, claims_taken, "claims");
	send_last(w);
	until(w, all_came, "messages to come");
	all(w, finish_atomics);
	until(w, ops_ended, "operations to end");
	w->doing = "others to end";
	rnd_barrier(w);
	all(w, cancel_recvs);
	until(w, recvs_ended, "canceled receives");
	until(w, rnd_cntrs_came, "counters");
	until(w, notes_came, "writes with data");
	until(w, is_settled, "writes to settle");
	for (unsigned int i = 0; i < QUIET_TURNS; i++)
		rnd_drive(w);
	rnd_threads_are(w, RND_PARKED);
	w->doing = "what is left";
	rnd_barrier(w);
	all(w, check_rest);
	for (unsigned int i = 0; i < w->opt.endpoints; i++)
		if (!w->ep[i].open && w->world->ep[i].worker == w->id) {
			forget_notes(&w->ep[i]);
			rnd_match_forget(&w->ep[i]);
			rnd_ops_free(&w->ep[i].zombies);
		}
	rnd_barrier(w);
}
