/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_arrive.c - what has come to a receive: which message, and all of it?
 *
 * The message is looked for among those that are under way to the endpoint: the
 * first that agrees with what the entry says, and whose bytes these are.
 */
#include "random.h"

#include <inttypes.h>
#include <stdlib.h>

#define GAVE_UP 4127 /* the sender did */
#define KNOWN 8u /* so many bytes tell a message from all others */

struct arrival {
	struct rnd_op *op;
	const struct rnd_entry *entry;
	const char *p;
	size_t room; /* of the receive, or of the part of it */
	int from;
	struct rnd_msg *msg;
};

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t whole_len(const struct arrival *a, const struct rnd_msg *m)
{
	return a->entry->has_len ? a->entry->len : m->len;
}

static bool agrees(const struct arrival *a, const struct rnd_msg *m)
{
	const struct rnd_entry *entry = a->entry;

	if (m->len != whole_len(a, m) ||
	    (entry->err == FI_ETRUNC) != (m->len > a->room))
		return false;
	/* An error entry need not say that there are data. */
	if (entry->has_flags && !entry->err &&
	    !!(entry->flags & FI_REMOTE_CQ_DATA) != m->has_data)
		return false;
	if (entry->has_data && m->has_data && entry->data != m->data)
		return false;
	return a->op->family == RND_PLAIN || !entry->has_tag ||
	       entry->tag == m->tag;
}

static bool has_bytes_of(const struct arrival *a, const struct rnd_msg *m)
{
	size_t n = smaller(m->len, a->room);

	return pattern_check(a->p, n, m->seed) == n;
}

static struct rnd_stream *stream_of(const struct arrival *a, int from)
{
	struct rnd_ep *e = a->op->ep;

	return &e->w->world->stream[from][e->id][a->op->family];
}

static bool find_from(struct arrival *a, int from)
{
	struct rnd_stream *s = stream_of(a, from);
	uint64_t end = atomic_load(&s->posted);

	for (uint64_t seq = atomic_load(&s->retired); seq < end; seq++) {
		struct rnd_msg *m = &s->msg[seq % RND_OPEN];

		if (m->fate != RND_WAITING || !agrees(a, m) ||
		    !rnd_accepts(a->op, from, m) || !has_bytes_of(a, m))
			continue;
		a->msg = m;
		a->from = from;
		return true;
	}
	return false;
}

static bool find(struct arrival *a)
{
	unsigned int n = a->op->ep->w->opt.endpoints;

	if (a->op->msg) {
		a->msg = a->op->msg;
		return agrees(a, a->msg) && has_bytes_of(a, a->msg);
	}
	if (a->entry->from != RND_ANY)
		return find_from(a, a->entry->from);
	/* An error says no source, an entry has to. */
	for (unsigned int i = 0; i < n && a->entry->err; i++)
		if (find_from(a, (int)i))
			return true;
	return false;
}

/* ---- when it is none ------------------------------------------------------------- */

static void print_close(const struct arrival *a, int from)
{
	struct rnd_stream *s = stream_of(a, from);
	uint64_t end = atomic_load(&s->posted);

	for (uint64_t seq = atomic_load(&s->retired); seq < end; seq++) {
		const struct rnd_msg *m = &s->msg[seq % RND_OPEN];
		size_t n = smaller(m->len, a->room);

		fprintf(stderr,
			"  message %" PRIu64 " from %d: %zu bytes, tag %" PRIx64
			", data %" PRIx64
			", fate %d: %s, bytes are right up to %zu\n",
			seq, from, m->len, m->tag, m->data, m->fate,
			agrees(a, m) ? "agrees" : "does not agree",
			pattern_check(a->p, n, m->seed));
	}
}

static _Noreturn void none(const struct arrival *a)
{
	const struct rnd_entry *entry = a->entry;
	const struct rnd_op *op = a->op;

	for (unsigned int i = 0; i < op->ep->w->opt.endpoints; i++)
		if (entry->from == RND_ANY || entry->from == (int)i)
			print_close(a, (int)i);
	rnd_fail(op->ep->w,
		 "receive %" PRIu64 " of %d from %d, %s, tag %" PRIx64
		 " ignore %" PRIx64
		 ", %zu bytes, got what was not sent, or twice: %zu bytes, tag "
		 "%" PRIx64 ", data %" PRIx64 ", flags %" PRIx64
		 ", from %d, err %d",
		 op->serial, op->ep->id, op->peer,
		 op->family ? "tagged" : "plain", op->tag, op->ignore, a->room,
		 entry->len, entry->tag, entry->data, entry->flags, entry->from,
		 entry->err);
}

/* ---- buffers of many messages -------------------------------------------------------- */

static void add_part(struct arrival *a)
{
	struct rnd_op *op = a->op;
	size_t at = (size_t)(a->p - op->mem.p);
	struct rnd *w = op->ep->w;

	if (a->p < op->mem.p || at > op->mem.len || a->room > op->mem.len - at)
		rnd_fail(w, "%zu bytes at %zu of a buffer of %zu", a->room, at,
			 op->mem.len);
	for (size_t i = 0; i < op->nparts; i++)
		if (at < op->part[i].at + op->part[i].len &&
		    op->part[i].at < at + a->room)
			rnd_fail(w,
				 "%zu bytes at %zu, where there are %zu at "
				 "%zu",
				 a->room, at, op->part[i].len, op->part[i].at);
	op->part = realloc(op->part, (op->nparts + 1) * sizeof(*op->part));
	if (!op->part)
		ft_fail("out of memory");
	op->part[op->nparts++] = (struct rnd_range){ at, a->room };
}

static void check_rest(struct rnd_op *op)
{
	const char *wrong = rnd_mem_gather(&op->mem);
	size_t end = 0;

	for (size_t i = 0; i < op->nparts; i++)
		if (op->part[i].at + op->part[i].len > end)
			end = op->part[i].at + op->part[i].len;
	if (!wrong && !rnd_mem_is_clean(&op->mem, end))
		wrong = "bytes behind the last message were written";
	if (wrong)
		rnd_fail(op->ep->w, "multi-receive: %s", wrong);
}

/* ---- the ends of a receive ------------------------------------------------------------ */

static void check_flags(const struct arrival *a)
{
	const struct rnd_op *op = a->op;
	uint64_t want = FI_RECV |
			(op->family == RND_TAGGED ? FI_TAGGED : FI_MSG);

	if (a->msg->has_data)
		want |= FI_REMOTE_CQ_DATA;
	if (a->entry->has_flags && !a->entry->err &&
	    (a->entry->flags & ~FI_MULTI_RECV) != want)
		rnd_fail(op->ep->w, "flags %llx of a receive, not %llx",
			 (unsigned long long)a->entry->flags,
			 (unsigned long long)want);
	if (a->entry->has_buf && a->entry->buf != a->p)
		rnd_fail(op->ep->w, "an entry with another buffer");
	if (a->entry->err && a->entry->olen != a->msg->len - a->room)
		rnd_fail(op->ep->w, "%zu bytes too many, not %zu",
			 a->entry->olen, a->msg->len - a->room);
	if (a->msg->sent == RND_FAILED && !rnd_is_dead(op->ep->w, a->from))
		rnd_fail(op->ep->w,
			 "message %llu from %d to %d has come, and "
			 "its sender was told that it has failed",
			 (unsigned long long)a->msg->seq, a->from, op->ep->id);
}

static bool is_vague(const struct arrival *a)
{
	const struct rnd_msg *m = a->msg;
	const struct rnd_entry *entry = a->entry;

	if (smaller(m->len, a->room) >= KNOWN)
		return false;
	if (m->has_data && entry->has_data)
		return false;
	return !(m->named && a->op->family == RND_TAGGED && entry->has_tag &&
		 m->tag >> 8);
}

/* Where the bytes are, and that none are elsewhere. */
static void look(struct arrival *a)
{
	struct rnd_op *op = a->op;
	const char *wrong;

	if (op->multi) {
		a->p = a->entry->buf;
		a->room = a->entry->len - a->entry->olen;
		add_part(a);
		return;
	}
	wrong = rnd_mem_gather(&op->mem);
	if (wrong)
		rnd_fail(op->ep->w, "receive: %s", wrong);
	a->p = op->mem.p;
	a->room = op->mem.len;
}

static void came(struct rnd_op *op, const struct rnd_entry *entry)
{
	struct arrival a = { .op = op, .entry = entry, .from = op->peer };
	bool vague;

	look(&a);
	if (!find(&a))
		none(&a);
	check_flags(&a);
	if (!op->multi && a.msg->len < a.room &&
	    !rnd_mem_is_clean(&op->mem, a.msg->len))
		rnd_fail(op->ep->w,
			 "bytes behind a message of %zu were written",
			 a.msg->len);
	vague = is_vague(&a);
	if (!op->msg)
		rnd_match_take(op, a.from, a.msg, vague);
	rnd_match_fate(op->ep, a.from, op->family, a.msg, RND_RECEIVED);
	rnd_counted(op->ep, RND_CNTR_RECV, !entry->err);
}

/* It has ended without a message, which it may have had in part. */
static void lost(struct rnd_op *op, const struct rnd_entry *entry)
{
	struct rnd *w = op->ep->w;
	struct rnd_lost *l;

	if (!(op->canceled && entry->err == FI_ECANCELED) && !rnd_any_dead(w))
		rnd_fail(w, "receive of %zu bytes: %s: %s", op->mem.len,
			 fi_strerror(entry->err), entry->text);
	rnd_counted(op->ep, RND_CNTR_RECV, false);
	l = ft_alloc(sizeof(*l));
	*l = (struct rnd_lost){ .peer = op->peer,
				.family = op->family,
				.tag = op->tag,
				.ignore = op->ignore };
	if (op->msg)
		rnd_match_fate(op->ep, op->peer, op->family, op->msg,
			       RND_CANCELED);
	SLIST_INSERT_HEAD(&op->ep->lost, l, link);
	/* One message of a buffer of many, or the buffer, which goes last. */
	if (op->multi && !(entry->flags & FI_MULTI_RECV) &&
	    (entry->err != FI_ECANCELED || entry->prov_errno == GAVE_UP))
		return;
	if (rnd_mem_gather(&op->mem))
		rnd_fail(w, "a canceled receive was written around");
	rnd_op_end(op);
}

static void discarded(struct rnd_op *op, const struct rnd_entry *entry)
{
	if ((entry->err && !rnd_is_dead(op->ep->w, op->peer)) ||
	    entry->len != op->msg->len)
		rnd_fail(op->ep->w,
			 "a claimed message that was discarded: %s, "
			 "%zu bytes, not %zu",
			 fi_strerror(entry->err), entry->len, op->msg->len);
	rnd_match_fate(op->ep, op->peer, op->family, op->msg, RND_RECEIVED);
	rnd_op_end(op);
}

void rnd_arrived(struct rnd_op *op, const struct rnd_entry *entry)
{
	bool last = !op->multi || (entry->flags & FI_MULTI_RECV);

	if (op->flags & FI_DISCARD) {
		discarded(op, entry);
		return;
	}
	if (entry->err && entry->err != FI_ETRUNC) {
		lost(op, entry);
		return;
	}
	if (!op->multi || entry->err || (entry->flags & FI_RECV))
		came(op, entry);
	if (!last)
		return;
	if (op->multi)
		check_rest(op);
	rnd_op_end(op);
}
