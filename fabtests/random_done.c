/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_done.c - the end of sends, RMA and atomics: as it had to be?
 */
#include "random.h"

#include <string.h>

#define GAVE_UP 4127 /* the peer's user canceled its receive */
#define LOOKED_AT 65536u /* bytes of what was sent, to see whether they stay */

static void check_flags(const struct rnd_op *op, const struct rnd_entry *entry,
			uint64_t want)
{
	if (entry->has_flags && entry->flags != want)
		rnd_fail(op->ep->w, "flags %llx of an entry, not %llx",
			 (unsigned long long)entry->flags,
			 (unsigned long long)want);
}

/* The text of a failure has to say with whom. */
static void check_text(const struct rnd_op *op, const struct rnd_entry *entry)
{
	struct rnd_ep *e = op->ep;
	const struct rnd_public *peer = &e->w->world->ep[op->peer];
	char address[RND_TEXT];
	size_t len = sizeof(address);

	fi_av_straddr(e->av, peer->address, address, &len);
	if (!entry->text || !strstr(entry->text, address))
		rnd_fail(e->w, "an error does not name %s: %s", address,
			 entry->text ? entry->text : "nothing");
}

static void failed(const struct rnd_op *op, const struct rnd_entry *entry)
{
	check_text(op, entry);
	if (rnd_is_dead(op->ep->w, op->peer) || op->wrong)
		return;
	rnd_fail(op->ep->w, "%s of %zu bytes, peer %d, flags %llx: %s: %s",
		 rnd_kinds[op->kind], op->mem.len, op->peer,
		 (unsigned long long)op->flags, fi_strerror(entry->err),
		 entry->text);
}

/* ---- sends -------------------------------------------------------------------------- */

static void check_unchanged(struct rnd_op *op)
{
	const char *wrong = rnd_mem_gather(&op->mem);

	if (wrong)
		rnd_fail(op->ep->w, "send: %s", wrong);
	if (op->mem.len <= LOOKED_AT && !(op->flags & FI_INJECT) &&
	    pattern_check(op->mem.p, op->mem.len, op->seed) != op->mem.len)
		rnd_fail(op->ep->w, "what is sent was changed");
}

static void sent(struct rnd_op *op, const struct rnd_entry *entry)
{
	struct rnd *w = op->ep->w;
	struct rnd_msg *m = op->msg;

	if (entry->err) {
		if (entry->prov_errno == GAVE_UP && m->fate != RND_RECEIVED)
			check_text(op, entry);
		else
			failed(op, entry);
		atomic_store(&m->sent, RND_FAILED);
		return;
	}
	check_flags(op, entry,
		    FI_SEND | (op->family == RND_TAGGED ? FI_TAGGED : FI_MSG));
	check_unchanged(op);
	atomic_store(&m->sent, RND_SENT);
	if ((op->flags & (FI_DELIVERY_COMPLETE | FI_INJECT)) ==
	    FI_DELIVERY_COMPLETE) {
		atomic_store(&m->delivered, true);
		atomic_fetch_add(&w->world->ep[op->peer].deliveries, 1);
	}
}

/* ---- RMA ---------------------------------------------------------------------------- */

static void check_read(struct rnd_op *op)
{
	struct rnd *w = op->ep->w;
	const char *must = rnd_shadow(w, op->peer, op->slot) + op->at;
	const char *wrong = rnd_mem_gather(&op->mem);
	size_t i = 0;

	if (wrong)
		rnd_fail(w, "read: %s", wrong);
	if (!memcmp(op->mem.p, must, op->mem.len))
		return;
	while (op->mem.p[i] == must[i])
		i++;
	rnd_fail(w,
		 "byte %zu of %zu that were read of %d, slot %d, from %zu: "
		 "%02x, not %02x",
		 i, op->mem.len, op->peer, op->slot, op->at,
		 (unsigned char)op->mem.p[i], (unsigned char)must[i]);
}

static void check_refused(struct rnd_op *op, const struct rnd_entry *entry)
{
	struct rnd *w = op->ep->w;

	if (!entry->err)
		rnd_fail(w,
			 "an access that may not be has succeeded: %s of %zu "
			 "bytes at %zu of slot %d of %d",
			 op->kind == RND_READ ? "read" : "change", op->mem.len,
			 op->at, op->slot, op->peer);
	failed(op, entry);
}

static void accessed(struct rnd_op *op, const struct rnd_entry *entry)
{
	struct rnd *w = op->ep->w;
	bool read = op->kind == RND_READ;
	bool delivered = (op->flags & (FI_DELIVERY_COMPLETE | FI_INJECT)) ==
			 FI_DELIVERY_COMPLETE;

	if (op->wrong && !rnd_is_dead(w, op->peer)) {
		check_refused(op, entry);
		rnd_slot_give(w, op->peer, op->slot, true, op->at, op->mem.len,
			      true);
		return;
	}
	if (entry->err) {
		failed(op, entry);
		return;
	}
	check_flags(op, entry, FI_RMA | (read ? FI_READ : FI_WRITE));
	/* What is left of the dead may be anything. */
	if (read && !rnd_is_dead(w, op->peer))
		check_read(op);
	rnd_count_access(op);
	rnd_slot_give(w, op->peer, op->slot, !read, op->at, op->mem.len,
		      delivered);
}

/* ---- atomics -------------------------------------------------------------------------- */

static void check_result(struct rnd_op *op)
{
	struct rnd_public *p = &op->ep->w->world->ep[op->peer];
	const char *wrong;
	uint64_t found;

	/* Pieces of results have nothing between them. */
	op->result.n = 1;
	wrong = rnd_mem_gather(&op->result);
	if (wrong)
		rnd_fail(op->ep->w, "atomic: %s", wrong);
	if (op->slot < 0) {
		memcpy(&found, op->result.p, sizeof(found));
		if (found > atomic_load(&p->cell[op->at]))
			rnd_fail(op->ep->w, "a cell that was never that high");
		return;
	}
	if (!rnd_same_bytes(&p->slot[op->slot], true, op->result.p, op->was,
			    op->mem.len))
		rnd_fail(op->ep->w,
			 "an atomic on slot %d of %d has found what "
			 "was not there",
			 op->slot, op->peer);
}

static void changed(struct rnd_op *op, const struct rnd_entry *entry)
{
	struct rnd_ep *e = op->ep;
	bool dead = rnd_is_dead(e->w, op->peer);

	if (op->wrong && !dead)
		check_refused(op, entry);
	else if (entry->err)
		failed(op, entry);
	else
		check_flags(op, entry,
			    FI_ATOMIC | (op->fetches ? FI_READ : FI_WRITE));
	if (!op->wrong && !entry->err)
		rnd_count_access(op);
	rnd_probe_ended(e->w, op->probe);
	if (op->fetches && !entry->err && !dead)
		check_result(op);
	if (op->slot >= 0)
		rnd_atomic_landed(e, op->peer, op->slot);
}

/* ---- peers that wrote here, with data ---------------------------------------------------- */

static bool is_noted(const struct rnd_note *note, const struct rnd_entry *entry)
{
	return note->data && (!entry->has_data || entry->data == note->data) &&
	       (!entry->has_len || entry->len == note->len);
}

/*
 * Where entries have no data, one may be taken for another: of the dead last,
 * as theirs need not come.
 */
static bool take_note(struct rnd *w, const struct rnd_entry *entry, int to,
		      bool dead)
{
	for (unsigned int from = 0; from < w->opt.endpoints; from++)
		for (int i = 0; i < RND_OPEN; i++) {
			struct rnd_note *note = &w->world->note[from][to][i];

			if (rnd_is_dead(w, (int)from) != dead ||
			    !is_noted(note, entry))
				continue;
			note->data = 0;
			return true;
		}
	return false;
}

static void written(struct rnd *w, const struct rnd_entry *entry)
{
	const uint64_t flags = FI_RMA | FI_REMOTE_WRITE | FI_REMOTE_CQ_DATA;

	if (entry->has_flags && entry->flags != flags)
		rnd_fail(w, "an entry of nothing, flags %llx",
			 (unsigned long long)entry->flags);
	for (unsigned int i = 0; i < w->opt.endpoints; i++)
		if (w->ep[i].rx == entry->cq &&
		    (take_note(w, entry, (int)i, false) ||
		     take_note(w, entry, (int)i, true)))
			return;
	if (!rnd_any_dead(w))
		rnd_fail(w,
			 "a write with data that was not made: %zu bytes, "
			 "data %llx",
			 entry->len, (unsigned long long)entry->data);
}

/* ---- all of them --------------------------------------------------------------------------- */

static const struct {
	void (*check)(struct rnd_op *op, const struct rnd_entry *entry);
	int cntr;
} kinds[] = {
	[RND_SEND] = { sent, RND_CNTR_SEND },
	[RND_READ] = { accessed, RND_CNTR_READ },
	[RND_WRITE] = { accessed, RND_CNTR_WRITE },
	[RND_ATOMIC] = { changed, RND_CNTR_WRITE },
};

void rnd_done(struct rnd *w, const struct rnd_entry *entry)
{
	struct rnd_op *op = entry->op;
	int cntr;

	if (!op && entry->err && !rnd_any_dead(w))
		rnd_fail(w, "an error of no operation: %s: %s",
			 fi_strerror(entry->err), entry->text);
	if (!op && !entry->err)
		written(w, entry);
	/* Of an endpoint that was closed since. */
	if (!op || !op->ep->open)
		return;
	while (op->posting)
		rnd_yield(w);
	if (op->kind == RND_RECV) {
		rnd_arrived(op, entry);
		return;
	}
	if (op->kind == RND_PEEK) {
		rnd_peeked(op, entry);
		return;
	}
	if (!op->entry && !entry->err)
		rnd_fail(w, "an entry that nobody asked for");
	cntr = op->kind == RND_ATOMIC && op->fetches ? RND_CNTR_READ :
						       kinds[op->kind].cntr;
	kinds[op->kind].check(op, entry);
	if (!op->entry) {
		/* It was taken for a success. */
		op->ep->cntr[cntr].ok--;
		rnd_counted(op->ep, cntr, false);
		return;
	}
	rnd_counted(op->ep, cntr, !entry->err);
	rnd_op_end(op);
}
