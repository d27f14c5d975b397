/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_match.c - the oracle of matching
 *
 * Entries come in any order, so what has been matched is judged when it is
 * known. Let message m of a sender have come to receive r. Then
 *
 *   (R1) an earlier message of that sender that r would have taken has come, or
 *        will, to a receive that was posted before r;
 *   (R2) a receive that was posted before r and would have taken m has got, or
 *        will get, nothing of that sender that is later than m.
 *
 * Either is noted with what is still open, (R1) in msg.before and (R2) in
 * op.below, and looked at when its turn comes. A multi-receive buffer may take
 * several, so for it "before r" includes r. A receive that was canceled is
 * exempt, and so is a message that nothing tells from others.
 */
#include "random.h"

#include <inttypes.h>
#include <stdlib.h>

bool rnd_accepts(const struct rnd_op *r, int from, const struct rnd_msg *m)
{
	if (r->peer != RND_ANY && r->peer != from)
		return false;
	return r->family == RND_PLAIN || !((r->tag ^ m->tag) & ~r->ignore);
}

static struct rnd_stream *stream_to(const struct rnd_ep *e, int from,
				    enum rnd_family family)
{
	return &e->w->world->stream[from][e->id][family];
}

static void check(struct rnd_op *r, int from, const struct rnd_msg *m)
{
	struct rnd *w = r->ep->w;

	if (r->serial >= m->before)
		rnd_fail(w,
			 "message %" PRIu64 " from %d to %d, tag %" PRIx64
			 ", %zu bytes, came to receive %" PRIu64
			 ", but one posted before %" PRIu64
			 " has got a later message",
			 m->seq, from, r->ep->id, m->tag, m->len, r->serial,
			 m->before);
	if (m->seq >= r->below[from])
		rnd_fail(w,
			 "receive %" PRIu64 " of %d, tag %" PRIx64
			 ", ignore %" PRIx64 ", got message %" PRIu64
			 " from %d, but message %" PRIu64
			 " went to a later receive",
			 r->serial, r->ep->id, r->tag, r->ignore, m->seq, from,
			 r->below[from]);
}

static void note_messages(struct rnd_op *r, int from, const struct rnd_msg *m)
{
	struct rnd_stream *s = stream_to(r->ep, from, r->family);
	uint64_t bound = r->serial + r->multi;

	for (uint64_t seq = atomic_load(&s->retired); seq < m->seq; seq++) {
		struct rnd_msg *earlier = &s->msg[seq % RND_OPEN];

		if (earlier->fate == RND_WAITING &&
		    rnd_accepts(r, from, earlier) && bound < earlier->before)
			earlier->before = bound;
	}
}

static void note_receives(struct rnd_op *r, int from, const struct rnd_msg *m)
{
	struct rnd_op *other;

	TAILQ_FOREACH(other, &r->ep->recvs, link) {
		if (other->serial >= r->serial)
			return;
		if (other->family == r->family && rnd_accepts(other, from, m) &&
		    m->seq < other->below[from])
			other->below[from] = m->seq;
	}
}

void rnd_match_fate(struct rnd_ep *e, int from, enum rnd_family family,
		    struct rnd_msg *m, enum rnd_fate fate)
{
	struct rnd_stream *s = stream_to(e, from, family);
	uint64_t seq = atomic_load(&s->retired);

	m->fate = (uint8_t)fate;
	if (fate == RND_RECEIVED && m->flush)
		e->flushed[from][family] = true;
	while (seq < atomic_load(&s->posted) &&
	       s->msg[seq % RND_OPEN].fate >= RND_RECEIVED)
		seq++;
	atomic_store(&s->retired, seq);
}

void rnd_match_take(struct rnd_op *r, int from, struct rnd_msg *m, bool vague)
{
	if (vague)
		return;
	check(r, from, m);
	note_messages(r, from, m);
	note_receives(r, from, m);
}

/* ---- all that have not come --------------------------------------------------------- */

size_t rnd_match_open(const struct rnd_ep *e, enum rnd_family family)
{
	size_t n = 0;

	for (unsigned int from = 0; from < e->w->opt.endpoints; from++) {
		struct rnd_stream *s = stream_to(e, (int)from, family);
		uint64_t end = atomic_load(&s->posted);

		if (rnd_is_dead(e->w, (int)from))
			continue;
		for (uint64_t seq = atomic_load(&s->retired); seq < end; seq++)
			n += s->msg[seq % RND_OPEN].fate == RND_WAITING;
	}
	return n;
}

/* ---- what was delivered, as its sender was told ---------------------------------------- */

typedef void each_fn(struct rnd_ep *e, int from, enum rnd_family family,
		     struct rnd_msg *m);

static void each_waiting(struct rnd_ep *e, each_fn *fn)
{
	for (unsigned int i = 0; i < e->w->opt.endpoints * RND_FAMILIES; i++) {
		int from = (int)i / RND_FAMILIES;
		enum rnd_family family = (enum rnd_family)(i % RND_FAMILIES);
		struct rnd_stream *s = stream_to(e, from, family);
		uint64_t end = atomic_load(&s->posted);

		for (uint64_t seq = atomic_load(&s->retired); seq < end; seq++)
			if (s->msg[seq % RND_OPEN].fate == RND_WAITING)
				fn(e, from, family, &s->msg[seq % RND_OPEN]);
	}
}

/* Short ones may be taken for one another. */
static void mark_due(struct rnd_ep *e, int from, enum rnd_family family,
		     struct rnd_msg *m)
{
	(void)e, (void)from, (void)family;
	m->due = atomic_load(&m->delivered) && m->len >= sizeof(uint64_t);
}

static bool lost_accepts(const struct rnd_lost *lost, int from,
			 enum rnd_family family, const struct rnd_msg *m)
{
	const struct rnd_op like = { .peer = lost->peer,
				     .family = lost->family,
				     .tag = lost->tag,
				     .ignore = lost->ignore };

	return lost->family == family && rnd_accepts(&like, from, m);
}

/*
 * A receive that is canceled may have had all of it, or its sender does not
 * understand that it was given up.
 */
static void must_not_be_due(struct rnd_ep *e, int from, enum rnd_family family,
			    struct rnd_msg *m)
{
	struct rnd_lost *lost;

	if (!m->due)
		return;
	SLIST_FOREACH(lost, &e->lost, link)
		if (lost_accepts(lost, from, family, m))
			return;
	rnd_fail(e->w,
		 "message %" PRIu64 " from %d to %d, %zu bytes, tag %" PRIx64
		 ", was delivered, says the sender, but there is no entry",
		 m->seq, from, e->id, m->len, m->tag);
}

bool rnd_match_due(struct rnd_ep *e)
{
	uint32_t told = atomic_load(&e->w->world->ep[e->id].deliveries);

	if (e->deliveries == told)
		return false;
	e->deliveries = told;
	each_waiting(e, mark_due);
	return true;
}

void rnd_match_not_due(struct rnd_ep *e)
{
	each_waiting(e, must_not_be_due);
}

/* ---- what has not come ------------------------------------------------------------------- */

/*
 * Finds a receive of its own for each message, by letting those go elsewhere
 * that have found one (augmenting paths).
 */
static bool blame(struct rnd_ep *e, int from, enum rnd_family family,
		  const struct rnd_msg *m)
{
	struct rnd_lost *lost;

	SLIST_FOREACH(lost, &e->lost, link) {
		if (lost->tried || !lost_accepts(lost, from, family, m))
			continue;
		lost->tried = true;
		if (lost->msg && !blame(e, lost->from, family, lost->msg))
			continue;
		lost->from = from;
		lost->msg = m;
		return true;
	}
	return false;
}

static bool swallowed(struct rnd_ep *e, int from, enum rnd_family family,
		      const struct rnd_msg *m)
{
	struct rnd_lost *lost;

	SLIST_FOREACH(lost, &e->lost, link)
		lost->tried = false;
	return blame(e, from, family, m);
}

static bool explained(struct rnd_ep *e, int from, enum rnd_family family,
		      bool print)
{
	struct rnd_stream *s = stream_to(e, from, family);
	uint64_t end = atomic_load(&s->posted);
	bool result = true, may;

	for (uint64_t seq = atomic_load(&s->retired); seq < end; seq++) {
		const struct rnd_msg *m = &s->msg[seq % RND_OPEN];

		if (m->fate >= RND_RECEIVED)
			continue;
		may = m->fate == RND_WAITING && m->sent != RND_UNSENT &&
		      swallowed(e, from, family, m);
		if (print)
			fprintf(stderr,
				"  %d: message %" PRIu64
				" from %d has not come%s: %zu bytes, tag "
				"%" PRIx64 "%s, sent %d, fate %d\n",
				e->id, seq, from,
				may ? ", a canceled receive may have it" : "",
				m->len, m->tag, family ? ", tagged" : "",
				m->sent, m->fate);
		result &= may;
	}
	return result;
}

bool rnd_match_explained(struct rnd_ep *e, bool print)
{
	struct rnd_lost *lost;
	bool result = true;

	SLIST_FOREACH(lost, &e->lost, link) {
		lost->msg = NULL;
		if (print)
			fprintf(stderr,
				"  %d: canceled: receive from %d, tag %" PRIx64
				" ignore %" PRIx64 "%s\n",
				e->id, lost->peer, lost->tag, lost->ignore,
				lost->family ? ", tagged" : "");
	}
	for (unsigned int from = 0; from < e->w->opt.endpoints; from++)
		for (int family = 0; family < RND_FAMILIES; family++)
			if (!rnd_is_dead(e->w, (int)from))
				result &= explained(e, (int)from,
						    (enum rnd_family)family,
						    print);
	return result;
}

void rnd_match_forget(struct rnd_ep *e)
{
	struct rnd_lost *lost;

	for (unsigned int from = 0; from < e->w->opt.endpoints; from++)
		for (int family = 0; family < RND_FAMILIES; family++) {
			struct rnd_stream *s = stream_to(
				e, (int)from, (enum rnd_family)family);

			atomic_store(&s->retired, atomic_load(&s->posted));
			for (int i = 0; i < RND_OPEN; i++)
				atomic_store(&s->msg[i].sent, RND_SENT);
			e->flushed[from][family] = false;
		}
	while ((lost = SLIST_FIRST(&e->lost))) {
		SLIST_REMOVE_HEAD(&e->lost, link);
		free(lost);
	}
}
