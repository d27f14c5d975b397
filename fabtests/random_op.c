/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_op.c - an operation from post to end
 */
#include "random.h"

#include <stdlib.h>

struct rnd_op *rnd_op_new(struct rnd_ep *e, enum rnd_kind kind, int peer)
{
	struct rnd_op *op = ft_alloc(sizeof(*op));

	op->ep = e;
	op->kind = kind;
	op->peer = peer;
	op->entry = true;
	op->posting = true;
	for (int i = 0; i < RND_EPS; i++)
		op->below[i] = UINT64_MAX;
	return op;
}

void rnd_op_free(struct rnd_op *op)
{
	rnd_mem_free(&op->mem);
	rnd_mem_free(&op->result);
	rnd_mem_free(&op->compare);
	free(op->was);
	free(op->part);
	free(op);
}

void rnd_ops_free(struct rnd_ops *ops)
{
	struct rnd_op *op;

	while ((op = TAILQ_FIRST(ops))) {
		TAILQ_REMOVE(ops, op, link);
		rnd_op_free(op);
	}
}

static uint64_t *number_of(struct rnd_op *op)
{
	struct rnd_ep *e = op->ep;

	return op->kind == RND_RECV ? &e->nrecvs : &e->nops;
}

void rnd_op_posted(struct rnd_op *op, struct rnd_ops *list)
{
	struct rnd_ep *e = op->ep;

	op->posting = false;
	op->number = ++e->posted;
	if (!op->entry) {
		TAILQ_INSERT_TAIL(&e->silent, op, link);
		e->nsilent++;
		return;
	}
	TAILQ_INSERT_TAIL(list, op, link);
	(*number_of(op))++;
}

/* Not of those that are silent. */
void rnd_op_end(struct rnd_op *op)
{
	struct rnd_ep *e = op->ep;
	struct rnd_ops *list = op->kind == RND_RECV ? &e->recvs : &e->ops;

	TAILQ_REMOVE(list, op, link);
	(*number_of(op))--;
	rnd_op_free(op);
}

bool rnd_is_dead(const struct rnd *w, int ep)
{
	return ep != RND_ANY && atomic_load(&w->world->ep[ep].dead);
}

bool rnd_any_dead(const struct rnd *w)
{
	for (unsigned int i = 0; i < w->opt.endpoints; i++)
		if (rnd_is_dead(w, (int)i))
			return true;
	return false;
}

/*
 * No room: everybody is driven, and receives are posted, since a peer that is
 * held back may be one of ours.
 */
bool rnd_again(struct rnd *w, const char *what, ssize_t ret, int peer)
{
	if (!ret)
		return false;
	if (ret != -FI_EAGAIN) {
		if (rnd_is_dead(w, peer))
			return false;
		rnd_fail(w, "%s: %s", what, fi_strerror((int)-ret));
	}
	w->count[RND_N_AGAIN]++;
	rnd_relieve(w);
	rnd_drive(w);
	return !rnd_is_dead(w, peer) || w->turns % 256;
}

/* The flag for calls that have flags. */
uint64_t rnd_completion(struct rnd_ep *e, bool want)
{
	return e->selective_tx && want ? FI_COMPLETION : 0;
}

uint64_t rnd_fence(struct rnd *w)
{
	return w->opt.extra && rnd_chance(w, 8) ? FI_FENCE : 0;
}

/* Their entries are in the queue: whoever has it reads them now. */
void rnd_check_fence(struct rnd_ep *e, int peer, uint64_t number)
{
	const struct rnd_op *op;

	if (e->tx->reading)
		return;
	e->tx->reading = true;
	while (rnd_read(e->w, e->tx, 0))
		;
	e->tx->reading = false;
	if (rnd_is_dead(e->w, peer))
		return;
	TAILQ_FOREACH(op, &e->ops, link)
		if (op->peer == peer && op->number <= number &&
		    op->kind != RND_PEEK)
			rnd_fail(e->w,
				 "a fence of %d to %d: %s of %zu bytes, flags "
				 "%llx, has not ended",
				 e->id, peer, rnd_kinds[op->kind], op->mem.len,
				 (unsigned long long)op->flags);
}
