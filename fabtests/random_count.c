/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_count.c - counters: of what an endpoint did, and of what peers did to it
 *
 * Counters of our own operations have to say what the entries say. With -R the
 * endpoint counts accesses of peers as well, and half of its slots have a
 * counter that is bound to their region. Each initiator adds to the world what
 * he has done to whom; when nothing is under way the counters have to say just
 * that.
 */
#include "random.h"

#include <string.h>

enum { OWN = 4 }; /* counters of our operations come first */

static const struct {
	const char *name;
	uint64_t what;
} kinds[RND_CNTRS] = {
	[RND_CNTR_SEND] = { "sends", FI_SEND },
	[RND_CNTR_RECV] = { "receives", FI_RECV },
	[RND_CNTR_READ] = { "reads", FI_READ },
	[RND_CNTR_WRITE] = { "writes", FI_WRITE },
	[RND_CNTR_REMOTE_READ] = { "reads of peers", FI_REMOTE_READ },
	[RND_CNTR_REMOTE_WRITE] = { "writes of peers", FI_REMOTE_WRITE },
};

static void open_one(struct rnd *w, struct rnd_cntr *cntr)
{
	struct fi_cntr_attr attr = { .events = FI_CNTR_EVENTS_COMP };

	if (w->opt.sleep)
		attr.wait_obj = FI_WAIT_FD;
	*cntr = (struct rnd_cntr){ 0 };
	ft_check("fi_cntr_open",
		 fi_cntr_open(w->ft.domain, &attr, &cntr->fid, NULL));
}

static void close_one(struct rnd_cntr *cntr)
{
	if (cntr->fid)
		ft_check("close cntr", fi_close(&cntr->fid->fid));
	cntr->fid = NULL;
}

unsigned int rnd_cntrs(const struct rnd *w)
{
	return w->opt.remote ? RND_CNTRS : OWN;
}

void rnd_cntrs_open(struct rnd_ep *e)
{
	struct rnd_public *p = &e->w->world->ep[e->id];

	for (unsigned int i = 0; i < rnd_cntrs(e->w); i++) {
		open_one(e->w, &e->cntr[i]);
		ft_check("fi_ep_bind cntr",
			 fi_ep_bind(e->fid, &e->cntr[i].fid->fid,
				    kinds[i].what));
	}
	for (int i = 0; i < RND_SLOTS; i++) {
		e->slot_cntr[i] = (struct rnd_cntr){ 0 };
		atomic_store(&p->changed[i], 0);
		if (e->w->opt.remote && i % 2)
			open_one(e->w, &e->slot_cntr[i]);
	}
	atomic_store(&p->was_read, 0);
	atomic_store(&p->was_written, 0);
}

void rnd_cntrs_close(struct rnd_ep *e)
{
	for (unsigned int i = 0; i < rnd_cntrs(e->w); i++)
		close_one(&e->cntr[i]);
}

/* After their regions. */
void rnd_slot_cntrs_close(struct rnd_ep *e)
{
	for (int i = 0; i < RND_SLOTS; i++)
		close_one(&e->slot_cntr[i]);
}

void rnd_slot_cntr_bind(struct rnd_ep *e, int slot)
{
	if (e->slot_cntr[slot].fid)
		ft_check("fi_mr_bind",
			 fi_mr_bind(e->mr[slot], &e->slot_cntr[slot].fid->fid,
				    FI_REMOTE_WRITE));
}

/* ---- what there was ------------------------------------------------------------ */

void rnd_counted(struct rnd_ep *e, int cntr, bool ok)
{
	if (ok)
		e->cntr[cntr].ok++;
	else
		e->cntr[cntr].failed++;
}

void rnd_count_access(const struct rnd_op *op)
{
	struct rnd_public *p = &op->ep->w->world->ep[op->peer];
	bool reads = op->kind == RND_READ || op->fetches;

	atomic_fetch_add(reads ? &p->was_read : &p->was_written, 1);
	if (op->changes && op->slot >= 0)
		atomic_fetch_add(&p->changed[op->slot], 1);
}

/* ---- whether they say so -------------------------------------------------------- */

static void note_remote(struct rnd_ep *e)
{
	struct rnd_public *p = &e->w->world->ep[e->id];

	e->cntr[RND_CNTR_REMOTE_READ].ok = atomic_load(&p->was_read);
	e->cntr[RND_CNTR_REMOTE_WRITE].ok = atomic_load(&p->was_written);
	for (int i = 0; i < RND_SLOTS; i++)
		e->slot_cntr[i].ok = atomic_load(&p->changed[i]);
}

static bool reached(const struct rnd_cntr *cntr)
{
	return !cntr->fid ||
	       fi_cntr_read(cntr->fid) + fi_cntr_readerr(cntr->fid) >=
		       cntr->ok + cntr->failed;
}

bool rnd_slot_counted(struct rnd_ep *e, int slot)
{
	const struct rnd_cntr *cntr = &e->slot_cntr[slot];

	return !cntr->fid ||
	       fi_cntr_read(cntr->fid) >=
		       atomic_load(&e->w->world->ep[e->id].changed[slot]);
}

/* What the dead had under way was counted, or was not. */
bool rnd_cntrs_came(struct rnd_ep *e)
{
	bool dead = rnd_any_dead(e->w);
	bool all = true;

	note_remote(e);
	for (unsigned int i = 0; i < rnd_cntrs(e->w); i++)
		all &= (i >= OWN && dead) || reached(&e->cntr[i]);
	for (int i = 0; i < RND_SLOTS; i++)
		all &= dead || reached(&e->slot_cntr[i]);
	return all;
}

/* What was silent and failed with the dead may have no entry that says whose. */
static void check_one(struct rnd_ep *e, struct rnd_cntr *cntr, const char *name,
		      int slot)
{
	uint64_t ok = fi_cntr_read(cntr->fid);
	uint64_t failed = fi_cntr_readerr(cntr->fid);
	bool dead = rnd_any_dead(e->w);
	bool remote = slot >= 0 || cntr >= &e->cntr[OWN];

	if (remote && dead)
		return;
	if (ok + failed != cntr->ok + cntr->failed || (ok != cntr->ok && !dead))
		rnd_fail(e->w,
			 "counter of %s of %d, slot %d: %llu and %llu failed, "
			 "not %llu and %llu",
			 name, e->id, slot, (unsigned long long)ok,
			 (unsigned long long)failed,
			 (unsigned long long)cntr->ok,
			 (unsigned long long)cntr->failed);
	cntr->ok = ok;
	cntr->failed = failed;
}

void rnd_cntrs_check(struct rnd_ep *e)
{
	note_remote(e);
	for (unsigned int i = 0; i < rnd_cntrs(e->w); i++)
		check_one(e, &e->cntr[i], kinds[i].name, -1);
	for (int i = 0; i < RND_SLOTS; i++)
		if (e->slot_cntr[i].fid)
			check_one(e, &e->slot_cntr[i], "changes", i);
}
