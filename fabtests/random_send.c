/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_send.c - messages: written down, then posted
 *
 * A tag has a colour, by which receives choose, and more often than not a name
 * in its upper bits, as data that travels along is one.
 */
#include "random.h"

#include <string.h>

#define OPS_MAX 96u
#define SILENT_MAX 64u
#define COLOURS 6u

enum how { PLAIN, VECTOR, MESSAGE, DATA, INJECT, INJECT_DATA, HOWS };

struct send {
	struct rnd_op *op;
	struct rnd_msg *msg;
	enum how how;
};

static ssize_t post_message(struct send *s)
{
	struct rnd_op *op = s->op;
	struct rnd_mem *m = &op->mem;
	struct rnd_ep *e = op->ep;
	struct fi_msg msg = { .msg_iov = m->iov,
			      .desc = m->desc,
			      .iov_count = m->n,
			      .addr = e->addr[op->peer],
			      .context = op,
			      .data = s->msg->data };
	struct fi_msg_tagged tagged = { .msg_iov = m->iov,
					.desc = m->desc,
					.iov_count = m->n,
					.addr = e->addr[op->peer],
					.tag = s->msg->tag,
					.context = op,
					.data = s->msg->data };

	return op->family == RND_TAGGED ?
		       fi_tsendmsg(e->fid, &tagged, op->flags) :
		       fi_sendmsg(e->fid, &msg, op->flags);
}

static ssize_t post_tagged(struct send *s)
{
	struct rnd_op *op = s->op;
	struct rnd_mem *m = &op->mem;
	struct fid_ep *ep = op->ep->fid;
	fi_addr_t to = op->ep->addr[op->peer];
	uint64_t tag = s->msg->tag, data = s->msg->data;

	switch (s->how) {
	case PLAIN:
		return fi_tsend(ep, m->p, m->len, m->desc[0], to, tag, op);
	case VECTOR:
		return fi_tsendv(ep, m->iov, m->desc, m->n, to, tag, op);
	case DATA:
		return fi_tsenddata(ep, m->p, m->len, m->desc[0], data, to, tag,
				    op);
	case INJECT:
		return fi_tinject(ep, m->p, m->len, to, tag);
	case INJECT_DATA:
		return fi_tinjectdata(ep, m->p, m->len, data, to, tag);
	case MESSAGE:
	case HOWS:
		break;
	}
	return post_message(s);
}

static ssize_t post_plain(struct send *s)
{
	struct rnd_op *op = s->op;
	struct rnd_mem *m = &op->mem;
	struct fid_ep *ep = op->ep->fid;
	fi_addr_t to = op->ep->addr[op->peer];
	uint64_t data = s->msg->data;

	switch (s->how) {
	case PLAIN:
		return fi_send(ep, m->p, m->len, m->desc[0], to, op);
	case VECTOR:
		return fi_sendv(ep, m->iov, m->desc, m->n, to, op);
	case DATA:
		return fi_senddata(ep, m->p, m->len, m->desc[0], data, to, op);
	case INJECT:
		return fi_inject(ep, m->p, m->len, to);
	case INJECT_DATA:
		return fi_injectdata(ep, m->p, m->len, data, to);
	case MESSAGE:
	case HOWS:
		break;
	}
	return post_message(s);
}

/* ---- what is drawn ---------------------------------------------------------------- */

static void draw_flags(struct rnd *w, struct rnd_op *op, size_t len)
{
	op->flags = 0;
	if (op->ep->selective_tx &&
	    (rnd_chance(w, 50) || op->ep->nsilent >= SILENT_MAX))
		op->flags |= FI_COMPLETION;
	if (rnd_chance(w, 30))
		op->flags |= FI_DELIVERY_COMPLETE;
	else if (rnd_chance(w, 20))
		op->flags |= FI_TRANSMIT_COMPLETE;
	if (len <= w->ft.inject_size && rnd_chance(w, 15))
		op->flags |= FI_INJECT;
	if (rnd_chance(w, 30))
		op->flags |= FI_REMOTE_CQ_DATA;
	if (rnd_chance(w, 10))
		op->flags |= FI_MORE;
	op->flags |= rnd_fence(w);
}

static void draw_how(struct rnd *w, struct send *s)
{
	struct rnd_op *op = s->op;
	struct rnd_ep *e = op->ep;
	size_t len = s->msg->len;
	bool silent = e->selective_tx && e->nsilent >= SILENT_MAX;

	s->how = silent ? MESSAGE :
			  (enum how)rnd_below(
				  w, len <= w->ft.inject_size ? HOWS : INJECT);
	if (s->how == MESSAGE)
		draw_flags(w, op, len);
	op->entry = s->how != INJECT && s->how != INJECT_DATA &&
		    (!e->selective_tx || (op->flags & FI_COMPLETION));
}

static bool has_data(const struct send *s)
{
	return s->how == DATA || s->how == INJECT_DATA ||
	       (s->how == MESSAGE && (s->op->flags & FI_REMOTE_CQ_DATA));
}

static uint64_t name_of(const struct send *s)
{
	return (uint64_t)(s->op->ep->id + 1) << 28 | (s->msg->seq & 0xfffffff);
}

static void write_down(struct rnd *w, struct send *s, bool flush)
{
	struct rnd_msg *msg = s->msg;

	draw_how(w, s);
	msg->seed = rnd_draw(w);
	msg->tag = rnd_below(w, COLOURS);
	msg->has_data = has_data(s);
	msg->data = msg->has_data ? name_of(s) : 0;
	msg->named = msg->has_data;
	msg->flush = flush;
	if (s->op->family == RND_TAGGED && (flush || rnd_chance(w, 60))) {
		msg->tag |= name_of(s) << 8;
		msg->named = true;
	}
	atomic_store(&msg->sent, RND_UNSENT);
	atomic_store(&msg->delivered, false);
	msg->fate = RND_WAITING;
	msg->due = false;
	msg->before = UINT64_MAX;
}

/* NULL: too many are under way. */
static struct rnd_msg *place_in(struct rnd_stream *stream, bool flush)
{
	uint64_t seq = atomic_load(&stream->posted);
	struct rnd_msg *msg = &stream->msg[seq % RND_OPEN];

	/* The last one of an epoch always gets a place. */
	if (seq - atomic_load(&stream->retired) >=
	    (flush ? RND_OPEN : RND_OPEN - 1u))
		return NULL;
	/* Whose place it was may have come, and its send not ended. */
	if (seq >= RND_OPEN && atomic_load(&msg->sent) == RND_UNSENT)
		return NULL;
	msg->seq = seq;
	return msg;
}

static void posted(struct send *s)
{
	struct rnd_op *op = s->op;
	struct rnd_ep *e = op->ep;
	bool inject = s->how == INJECT || s->how == INJECT_DATA;

	e->w->count[inject ? RND_N_INJECT : RND_N_SEND]++;
	e->w->count[RND_N_BYTES] += op->mem.len;
	if (inject || (s->how == MESSAGE && (op->flags & FI_INJECT)))
		for (size_t i = 0; i < op->mem.n; i++)
			memset(op->mem.iov[i].iov_base, 0x5a,
			       op->mem.iov[i].iov_len);
	/* An error makes an entry in any case. */
	if (!op->entry) {
		rnd_counted(e, RND_CNTR_SEND, true);
		atomic_store(&s->msg->sent, RND_SENT);
	}
	if (inject) {
		rnd_op_free(op);
		return;
	}
	rnd_op_posted(op, &e->ops);
}

/* False: there is no place for it. */
static bool send_one(struct rnd_ep *e, int peer, enum rnd_family family,
		     bool flush)
{
	struct rnd *w = e->w;
	struct rnd_stream *stream = &w->world->stream[e->id][peer][family];
	struct send s = { .msg = place_in(stream, flush) };
	uint64_t number, flags;
	ssize_t ret;

	if (!s.msg || e->sending[peer][family])
		return false;
	e->sending[peer][family] = true;
	s.op = rnd_op_new(e, RND_SEND, peer);
	s.op->family = family;
	s.op->msg = s.msg;
	s.msg->len = flush ? 16 : rnd_size(w, w->opt.max);
	write_down(w, &s, flush);
	s.op->seed = s.msg->seed;
	s.op->tag = s.msg->tag;
	rnd_mem_new(e, &s.op->mem, s.msg->len,
		    s.how == VECTOR || s.how == MESSAGE);
	rnd_mem_fill(&s.op->mem, s.msg->seed);
	/* The receiver may see it before the call has returned. */
	atomic_fetch_add(&stream->posted, 1);
	do {
		number = e->posted;
		rnd_unlock(w);
		ret = family == RND_TAGGED ? post_tagged(&s) : post_plain(&s);
		rnd_lock(w);
	} while (rnd_again(w, "send", ret, peer));
	e->sending[peer][family] = false;
	if (ret) {
		atomic_store(&s.msg->sent, RND_FAILED);
		rnd_op_free(s.op);
		return true;
	}
	flags = s.op->flags;
	posted(&s);
	if (flags & FI_FENCE)
		rnd_check_fence(e, peer, number);
	return true;
}

void rnd_send_step(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	int peer = rnd_any_ep(w);
	enum rnd_family family = rnd_chance(w, 60) ? RND_TAGGED : RND_PLAIN;

	w->doing = "send";
	if (e->nops > OPS_MAX || (rnd_is_dead(w, peer) && !rnd_chance(w, 10)))
		return;
	send_one(e, peer, family, false);
}

void rnd_send_flush(struct rnd_ep *e, int peer, enum rnd_family family)
{
	e->w->doing = "flush";
	while (!send_one(e, peer, family, true))
		rnd_drive(e->w);
}
