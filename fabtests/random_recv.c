/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_recv.c - receives: aimed at a message that is under way, or at chance
 */
#include "random.h"

#include <stdlib.h>

#define RECVS_MAX 48u
#define COLOURS 6u
#define COLOUR_BITS UINT64_C(7)
#define NAME_BITS (~COLOUR_BITS)
#define AIMED 65u /* in a hundred */
#define SHORT 12u /* that may be too short, in a hundred */
#define SHORTEST 8u /* so that what was cut is still known by its bytes */
#define PARTS_MAX 512u
#define POSTS_MAX 64u

/* No other thread does, and none is between two looks at a message. */
bool rnd_may_receive(const struct rnd_ep *e, enum rnd_family family)
{
	return !e->peeking[family] && !e->receiving[family];
}

/* ---- the call ------------------------------------------------------------------- */

static fi_addr_t source_of(const struct rnd_op *op)
{
	return op->peer == RND_ANY ? FI_ADDR_UNSPEC : op->ep->addr[op->peer];
}

static ssize_t post_tagged(struct rnd_op *op, uint64_t way)
{
	struct rnd_mem *m = &op->mem;
	struct fid_ep *ep = op->ep->fid;
	struct fi_msg_tagged msg = { .msg_iov = m->iov,
				     .desc = m->desc,
				     .iov_count = m->n,
				     .addr = source_of(op),
				     .tag = op->tag,
				     .ignore = op->ignore,
				     .context = op };

	if (op->flags || way == 0)
		return fi_trecvmsg(ep, &msg, op->flags);
	if (way == 1 || m->n > 1)
		return fi_trecvv(ep, m->iov, m->desc, m->n, msg.addr, op->tag,
				 op->ignore, op);
	return fi_trecv(ep, m->p, m->len, m->desc[0], msg.addr, op->tag,
			op->ignore, op);
}

static ssize_t post_plain(struct rnd_op *op, uint64_t way)
{
	struct rnd_mem *m = &op->mem;
	struct fid_ep *ep = op->ep->fid;
	struct fi_msg msg = { .msg_iov = m->iov,
			      .desc = m->desc,
			      .iov_count = m->n,
			      .addr = source_of(op),
			      .context = op };

	if (op->flags || way == 0)
		return fi_recvmsg(ep, &msg, op->flags);
	if (way == 1 || m->n > 1)
		return fi_recvv(ep, m->iov, m->desc, m->n, msg.addr, op);
	return fi_recv(ep, m->p, m->len, m->desc[0], msg.addr, op);
}

/*
 * Listed before the call, as a message may be there already. No receive waits
 * long for room, so nothing is driven here: a relief may be what posts.
 */
static void post(struct rnd_op *op, uint64_t way)
{
	struct rnd_ep *e = op->ep;
	ssize_t ret = -FI_EAGAIN;

	/* Each receive has an entry, or the oracle would not know of it. */
	op->flags |= e->selective_rx ? FI_COMPLETION : 0;
	op->serial = ++e->serial;
	rnd_op_posted(op, &e->recvs);
	op->posting = e->receiving[op->family] = true;
	for (unsigned int i = 0; i < POSTS_MAX && ret == -FI_EAGAIN; i++) {
		rnd_unlock(e->w);
		ret = op->family == RND_TAGGED ? post_tagged(op, way) :
						 post_plain(op, way);
		rnd_lock(e->w);
	}
	op->posting = e->receiving[op->family] = false;
	if (ret && ret != -FI_EAGAIN)
		rnd_fail(e->w, "receive: %s", fi_strerror((int)-ret));
	if (ret)
		rnd_op_end(op);
}

/* ---- what is drawn ---------------------------------------------------------------- */

static struct rnd_msg *some_message(struct rnd_ep *e, int from,
				    enum rnd_family family)
{
	struct rnd_stream *s = &e->w->world->stream[from][e->id][family];
	uint64_t first = atomic_load(&s->retired);
	uint64_t n = atomic_load(&s->posted) - first;
	struct rnd_msg *m;

	if (!n)
		return NULL;
	m = &s->msg[(first + rnd_below(e->w, n)) % RND_OPEN];
	return m->fate == RND_WAITING ? m : NULL;
}

static void draw_ignore(struct rnd *w, struct rnd_op *op)
{
	uint64_t kind = rnd_below(w, 100);

	if (op->family != RND_TAGGED)
		return;
	if (kind < 35)
		op->ignore = 0;
	else if (kind < 75)
		op->ignore = NAME_BITS;
	else if (kind < 90)
		op->ignore = NAME_BITS | rnd_below(w, COLOUR_BITS + 1);
	else
		op->ignore = UINT64_MAX;
}

static void aim(struct rnd *w, struct rnd_op *op)
{
	int from = rnd_any_ep(w);
	bool directed = rnd_chance(w, 50);
	struct rnd_msg *m = NULL;

	op->tag = rnd_below(w, COLOURS);
	for (int tries = 0; tries < 4 && !m && rnd_chance(w, AIMED); tries++) {
		m = some_message(op->ep, from, op->family);
		if (!m)
			from = rnd_any_ep(w);
	}
	if (m)
		op->tag = m->tag;
	op->peer = directed && !rnd_is_dead(w, from) ? from : RND_ANY;
	draw_ignore(w, op);
	if (op->family == RND_PLAIN)
		op->tag = 0;
}

void rnd_recv_step(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	enum rnd_family family = rnd_chance(w, 60) ? RND_TAGGED : RND_PLAIN;
	struct rnd_op *op;
	size_t len = w->opt.max;

	w->doing = "receive";
	if (e->nrecvs > RECVS_MAX || !rnd_may_receive(e, family))
		return;
	op = rnd_op_new(e, RND_RECV, RND_ANY);
	op->family = family;
	aim(w, op);
	if (rnd_chance(w, SHORT))
		len = SHORTEST + rnd_size(w, w->opt.max - SHORTEST);
	rnd_mem_new(e, &op->mem, len, rnd_chance(w, 25));
	w->count[RND_N_RECV]++;
	post(op, rnd_below(w, 3));
}

void rnd_multi_step(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	struct rnd_op *op;

	w->doing = "multi-receive";
	/* Without the place of a message nobody can look at it. */
	if (e->nrecvs > RECVS_MAX || !rnd_may_receive(e, RND_PLAIN) ||
	    e->rx->format < FI_CQ_FORMAT_DATA)
		return;
	op = rnd_op_new(e, RND_RECV, RND_ANY);
	op->family = RND_PLAIN;
	op->multi = true;
	op->flags = FI_MULTI_RECV;
	op->peer = rnd_chance(w, 30) ? rnd_any_ep(w) : RND_ANY;
	if (rnd_is_dead(w, op->peer))
		op->peer = RND_ANY;
	op->part = ft_alloc(PARTS_MAX * sizeof(*op->part));
	rnd_mem_new(e, &op->mem, 4096 + rnd_size(w, w->opt.max), false);
	w->count[RND_N_MULTI]++;
	post(op, 0);
}

/* ---- receives for whatever is there ------------------------------------------------ */

static size_t catch_alls(const struct rnd_ep *e, enum rnd_family family)
{
	const struct rnd_op *op;
	size_t n = 0;

	TAILQ_FOREACH(op, &e->recvs, link) {
		n += op->family == family && op->peer == RND_ANY &&
		     !op->canceled && !op->multi &&
		     (family == RND_PLAIN || op->ignore == UINT64_MAX);
	}
	return n;
}

/* No draw of the step's, as this is no step. */
static void post_catch_all(struct rnd_ep *e, enum rnd_family family)
{
	struct rnd_op *op = rnd_op_new(e, RND_RECV, RND_ANY);
	uint64_t drawn = rnd_drawn;

	op->family = family;
	op->ignore = UINT64_MAX;
	rnd_mem_new(e, &op->mem, e->w->opt.max, false);
	rnd_drawn = drawn;
	e->w->count[RND_N_RECV]++;
	post(op, 2);
}

size_t rnd_recv_catch(struct rnd_ep *e, enum rnd_family family)
{
	size_t open = rnd_match_open(e, family);

	for (size_t n = catch_alls(e, family);
	     n < open && rnd_may_receive(e, family); n++)
		post_catch_all(e, family);
	return open;
}

/* Who waits at a fence waits for messages that were claimed, too. */
static void take_claims(struct rnd_ep *e)
{
	while (e->w->opt.extra && !TAILQ_EMPTY(&e->claims))
		rnd_claim_take(TAILQ_FIRST(&e->claims), false);
}

void rnd_relieve(struct rnd *w)
{
	for (unsigned int i = 0; i < w->opt.endpoints; i++) {
		if (w->ep[i].open)
			take_claims(&w->ep[i]);
		for (int family = 0; family < RND_FAMILIES; family++)
			if (w->ep[i].open)
				rnd_recv_catch(&w->ep[i],
					       (enum rnd_family)family);
	}
}

/* ---- canceling ------------------------------------------------------------------- */

void rnd_cancel(struct rnd_op *op)
{
	struct rnd_ep *e = op->ep;

	op->canceled = true;
	e->w->count[RND_N_CANCEL]++;
	/* It may have ended: its entry is in the queue then. */
	(void)fi_cancel(&e->fid->fid, op);
}

void rnd_cancel_step(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	struct rnd_op *op;
	uint64_t n;

	w->doing = "cancel";
	if (!e->nrecvs)
		return;
	n = rnd_below(w, e->nrecvs);
	op = TAILQ_FIRST(&e->recvs);
	while (n--)
		op = TAILQ_NEXT(op, link);
	if (!op->canceled && !op->posting)
		rnd_cancel(op);
}
