/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_peek.c - looking at a message, then claiming it or throwing it away
 *
 *   peek --- one that nothing else looks like ---> claim ---> receive | discard
 *     |                                       \--> discard
 *     no such message, or several: that was it
 *
 * No receive of that family is posted between the first look and the second, so
 * they see the same message.
 */
#include "random.h"

#define COLOURS 6u
#define NAME_BITS (~UINT64_C(7))
#define CLAIMS_MAX 8u

static ssize_t post(struct rnd_op *op, uint64_t flags)
{
	struct rnd_ep *e = op->ep;
	fi_addr_t from = op->peer == RND_ANY ? FI_ADDR_UNSPEC :
					       e->addr[op->peer];
	struct fi_msg msg = { .msg_iov = op->mem.iov,
			      .desc = op->mem.desc,
			      .iov_count = op->mem.n,
			      .addr = from,
			      .context = op };
	struct fi_msg_tagged tagged = { .msg_iov = op->mem.iov,
					.desc = op->mem.desc,
					.iov_count = op->mem.n,
					.addr = from,
					.tag = op->tag,
					.ignore = op->ignore,
					.context = op };

	flags |= e->selective_rx ? FI_COMPLETION : 0;
	return op->family == RND_TAGGED ? fi_trecvmsg(e->fid, &tagged, flags) :
					  fi_recvmsg(e->fid, &msg, flags);
}

static ssize_t call(struct rnd_op *op, uint64_t flags)
{
	struct rnd *w = op->ep->w;
	ssize_t ret;

	op->posting = true;
	do {
		rnd_unlock(w);
		ret = post(op, flags);
		rnd_lock(w);
	} while (ret == -FI_EAGAIN);
	op->posting = false;
	return ret;
}

static void look(struct rnd_op *op, uint64_t flags)
{
	struct rnd_ep *e = op->ep;
	ssize_t ret;

	op->flags = flags;
	op->serial = ++e->serial;
	ret = call(op, flags | FI_PEEK);
	if (ret)
		rnd_fail(e->w, "peek: %s", fi_strerror((int)-ret));
}

void rnd_peek_step(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	enum rnd_family family = rnd_chance(w, 60) ? RND_TAGGED : RND_PLAIN;
	struct rnd_op *op;

	w->doing = "peek";
	/* What was seen is known by length, data and tag. */
	if (!rnd_may_receive(e, family) || e->rx->format < FI_CQ_FORMAT_DATA ||
	    (family == RND_TAGGED && e->rx->format < FI_CQ_FORMAT_TAGGED))
		return;
	op = rnd_op_new(e, RND_PEEK,
			rnd_chance(w, 40) ? rnd_any_ep(w) : RND_ANY);
	if (rnd_is_dead(w, op->peer))
		op->peer = RND_ANY;
	op->family = family;
	if (family == RND_TAGGED) {
		op->tag = rnd_below(w, COLOURS);
		op->ignore = rnd_chance(w, 30) ? UINT64_MAX : NAME_BITS;
	}
	e->peeking[family] = true;
	w->count[RND_N_PEEK]++;
	rnd_op_posted(op, &e->ops);
	look(op, 0);
}

static void unlist(struct rnd_op *op)
{
	TAILQ_REMOVE(&op->ep->ops, op, link);
	op->ep->nops--;
}

static void done(struct rnd_op *op)
{
	op->ep->peeking[op->family] = false;
	unlist(op);
	rnd_op_free(op);
}

/* ---- what was seen ------------------------------------------------------------------- */

static bool looks_like(const struct rnd_op *op, const struct rnd_msg *m,
		       const struct rnd_entry *entry)
{
	return m->fate == RND_WAITING && m->len == entry->len &&
	       m->data == entry->data &&
	       m->has_data == !!(entry->flags & FI_REMOTE_CQ_DATA) &&
	       (op->family == RND_PLAIN || m->tag == entry->tag) &&
	       rnd_accepts(op, entry->from, m);
}

/* How many there are; the first of them in found. */
static unsigned int find(struct rnd_op *op, const struct rnd_entry *entry,
			 struct rnd_msg **found)
{
	struct rnd_ep *e = op->ep;
	struct rnd_stream *s;
	unsigned int n = 0;

	if (entry->from == RND_ANY)
		rnd_fail(e->w, "a peek saw a message of nobody");
	s = &e->w->world->stream[entry->from][e->id][op->family];
	for (uint64_t seq = atomic_load(&s->retired),
		      end = atomic_load(&s->posted);
	     seq < end; seq++) {
		struct rnd_msg *m = &s->msg[seq % RND_OPEN];

		if (looks_like(op, m, entry) && !n++)
			*found = m;
	}
	if (!n)
		rnd_fail(e->w,
			 "a peek saw what was not sent: %zu bytes, tag %llx, "
			 "data %llx, from %d",
			 entry->len, (unsigned long long)entry->tag,
			 (unsigned long long)entry->data, entry->from);
	return n;
}

static void look_again(struct rnd_op *op, const struct rnd_entry *entry)
{
	struct rnd *w = op->ep->w;
	bool claim = pattern_mix(op->msg->seed) & 1;

	op->peer = entry->from;
	op->tag = op->msg->tag;
	op->ignore = 0;
	w->count[claim ? RND_N_CLAIM : RND_N_DISCARD]++;
	look(op, claim ? FI_CLAIM : FI_DISCARD);
}

/* The second look: the message is ours, or nobody's. */
static void got(struct rnd_op *op, struct rnd_msg *m, int from)
{
	struct rnd_ep *e = op->ep;
	bool claimed = op->flags & FI_CLAIM;

	if (m != op->msg)
		rnd_fail(e->w,
			 "a second peek of %d saw message %llu of %d, not %llu",
			 e->id, (unsigned long long)m->seq, from,
			 (unsigned long long)op->msg->seq);
	rnd_match_take(op, from, m, false);
	rnd_match_fate(e, from, op->family, m,
		       claimed ? RND_CLAIMED : RND_RECEIVED);
	e->peeking[op->family] = false;
	unlist(op);
	if (claimed)
		TAILQ_INSERT_TAIL(&e->claims, op, link);
	else
		rnd_op_free(op);
}

void rnd_peeked(struct rnd_op *op, const struct rnd_entry *entry)
{
	struct rnd_msg *m = NULL;
	unsigned int n;

	if (entry->err == FI_ENOMSG && !op->msg) {
		done(op);
		return;
	}
	/* Of the dead there may be half a message. */
	if (entry->err && rnd_any_dead(op->ep->w)) {
		done(op);
		return;
	}
	if (entry->err)
		rnd_fail(op->ep->w, "peek: %s: %s", fi_strerror(entry->err),
			 entry->text);
	n = find(op, entry, &m);
	if (op->msg) {
		got(op, m, entry->from);
		return;
	}
	if (n > 1 || rnd_is_dead(op->ep->w, entry->from) || m->flush) {
		done(op);
		return;
	}
	if (op->serial >= m->before)
		rnd_fail(op->ep->w,
			 "message %llu of %d waits, but an earlier receive has "
			 "got a later one",
			 (unsigned long long)m->seq, entry->from);
	op->msg = m;
	look_again(op, entry);
}

/* ---- the claimed one ------------------------------------------------------------------- */

void rnd_claim_take(struct rnd_op *op, bool discard)
{
	struct rnd_ep *e = op->ep;
	size_t len = discard ? 0 : op->msg->len;
	ssize_t ret;

	TAILQ_REMOVE(&e->claims, op, link);
	op->kind = RND_RECV;
	op->flags = FI_CLAIM | (discard ? FI_DISCARD : 0);
	rnd_mem_new(e, &op->mem, len, false);
	TAILQ_INSERT_TAIL(&e->recvs, op, link);
	e->nrecvs++;
	ret = call(op, op->flags);
	if (ret)
		rnd_fail(e->w, "claim: %s", fi_strerror((int)-ret));
}

void rnd_claim_step(struct rnd_ep *e)
{
	struct rnd_op *op = TAILQ_FIRST(&e->claims);

	e->w->doing = "claim";
	if (op)
		rnd_claim_take(op, rnd_chance(e->w, 30));
}
