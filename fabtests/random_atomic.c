/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_atomic.c - atomics on slots of numbers, and on cells that all add to
 *
 * While an endpoint has a slot, it may have several operations on it under way:
 * they have to take effect in the order of the posts, in which their outcome is
 * computed. It gives the slot away after one that was answered: of another its
 * entry does not say that it has been carried out, nor does the memory, which
 * may be as it was. Nobody has the cells; what was added is summed up.
 */
#include "random.h"

#include <stdlib.h>
#include <string.h>

#define FLYING_MAX 8
#define OPS_MAX 64u
#define WRONG 4u /* in a hundred */
#define SMALL 11 /* up to here products fit in seven bits and a sign */

enum kind { BASE, FETCH, COMPARE, KINDS };

struct atomic {
	struct rnd_op *op;
	struct rnd_slot *slot;
	enum kind kind;
	enum fi_op code;
	uint64_t addr, key;
	bool message;
};

static size_t valid_count(struct rnd_ep *e, const struct atomic *a)
{
	enum fi_datatype type = a->slot->type;
	size_t count = 0;
	int ret = 0;

	switch (a->kind) {
	case BASE:
		ret = fi_atomicvalid(e->fid, type, a->code, &count);
		break;
	case FETCH:
		ret = fi_fetch_atomicvalid(e->fid, type, a->code, &count);
		break;
	case COMPARE:
	case KINDS:
		ret = fi_compare_atomicvalid(e->fid, type, a->code, &count);
		break;
	}
	return ret ? 0 : count;
}

/* ---- the call ---------------------------------------------------------------- */

/* Pieces of bytes become pieces of numbers: they are cut at elements. */
static size_t to_ioc(const struct rnd_mem *mem, size_t size, struct fi_ioc *ioc)
{
	for (size_t i = 0; i < mem->n; i++)
		ioc[i] = (struct fi_ioc){ mem->iov[i].iov_base,
					  mem->iov[i].iov_len / size };
	return mem->n;
}

static ssize_t post_message(struct atomic *a)
{
	struct rnd_op *op = a->op;
	struct rnd_ep *e = op->ep;
	size_t size = number_size(a->slot->type), results, compares;
	struct fi_ioc operand[RND_PIECES], result[RND_PIECES],
		compare[RND_PIECES];
	struct fi_rma_ioc there = { a->addr, op->n, a->key };
	struct fi_msg_atomic msg = {
		.msg_iov = operand,
		.desc = op->mem.desc,
		.iov_count = to_ioc(&op->mem, size, operand),
		.addr = e->addr[op->peer],
		.rma_iov = &there,
		.rma_iov_count = 1,
		.datatype = a->slot->type,
		.op = a->code,
		.context = op,
	};

	results = to_ioc(&op->result, size, result);
	compares = to_ioc(&op->compare, size, compare);
	if (a->kind == FETCH)
		return fi_fetch_atomicmsg(e->fid, &msg, result, op->result.desc,
					  results, op->flags);
	if (a->kind == COMPARE)
		return fi_compare_atomicmsg(e->fid, &msg, compare,
					    op->compare.desc, compares, result,
					    op->result.desc, results,
					    op->flags);
	return fi_atomicmsg(e->fid, &msg, op->flags);
}

static ssize_t post(struct atomic *a)
{
	struct rnd_op *op = a->op;
	struct fid_ep *ep = op->ep->fid;
	fi_addr_t to = op->ep->addr[op->peer];
	enum fi_datatype type = a->slot->type;

	if (a->message)
		return post_message(a);
	if (a->kind == FETCH)
		return fi_fetch_atomic(ep, op->mem.p, op->n, op->mem.desc[0],
				       op->result.p, op->result.desc[0], to,
				       a->addr, a->key, type, a->code, op);
	if (a->kind == COMPARE)
		return fi_compare_atomic(ep, op->mem.p, op->n, op->mem.desc[0],
					 op->compare.p, op->compare.desc[0],
					 op->result.p, op->result.desc[0], to,
					 a->addr, a->key, type, a->code, op);
	return fi_atomic(ep, op->mem.p, op->n, op->mem.desc[0], to, a->addr,
			 a->key, type, a->code, op);
}

/* ---- what is drawn ------------------------------------------------------------- */

static bool grows(enum fi_op code)
{
	return code == FI_SUM || code == FI_PROD;
}

static bool all_small(const struct atomic *a)
{
	const char *p =
		rnd_shadow(a->op->ep->w, a->op->peer, a->op->slot) + a->op->at;

	for (size_t i = 0; i < a->op->n; i++) {
		struct number n = number_get(a->slot->type, p, i);

		if (abs(n.re) > SMALL || abs(n.im) > SMALL)
			return false;
	}
	return true;
}

static bool draw_code(struct rnd *w, struct atomic *a, size_t *max)
{
	for (int i = 0; i < 10; i++) {
		a->kind = (enum kind)rnd_below(w, KINDS);
		a->code = (enum fi_op)rnd_below(w, FI_ATOMIC_OP_LAST);
		*max = valid_count(a->op->ep, a);
		if (*max)
			return true;
	}
	return false;
}

static struct number draw_number(struct rnd *w, enum fi_datatype type)
{
	uint64_t r = rnd_draw(w);

	return (struct number){ (int)(r % SMALL), number_is_complex(type) ?
							  (int)(r >> 8) % 4 :
							  0 };
}

/* Numbers at aligned places, in one piece. */
static void numbers_new(struct atomic *a, struct rnd_mem *mem, bool fill)
{
	struct rnd *w = a->op->ep->w;
	enum fi_datatype type = a->slot->type;

	rnd_mem_new(a->op->ep, mem, a->op->n * number_size(type), false);
	mem->p = mem->base + RND_GUARD;
	mem->iov[0].iov_base = mem->p;
	for (size_t i = 0; fill && i < a->op->n; i++)
		number_put(type, mem->p, i, draw_number(w, type));
}

/* A list of two pieces, with nothing between. */
static void split(struct rnd *w, struct rnd_mem *mem, size_t size, size_t n)
{
	size_t first = (1 + rnd_below(w, n)) * size;

	if (n < 2 || first == mem->len || rnd_chance(w, 50))
		return;
	mem->n = 2;
	mem->iov[0].iov_len = first;
	mem->iov[1] = (struct iovec){ mem->p + first, mem->len - first };
}

static void draw_way(struct rnd *w, struct atomic *a)
{
	struct rnd_op *op = a->op;
	size_t size = number_size(a->slot->type);

	a->message = op->ep->selective_tx || op->wrong || rnd_chance(w, 50);
	op->flags = 0;
	if (!a->message)
		return;
	op->flags = rnd_completion(op->ep, true);
	if (op->wrong || rnd_chance(w, 40))
		op->flags |= FI_DELIVERY_COMPLETE;
	split(w, &op->mem, size, op->n);
	split(w, &op->result, size, op->n);
	split(w, &op->compare, size, op->n);
}

static bool draw(struct rnd *w, struct atomic *a, bool wrong)
{
	struct rnd_op *op = a->op;
	size_t size = number_size(a->slot->type), max, room;

	if (!draw_code(w, a, &max))
		return false;
	room = a->slot->size / size;
	op->n = 1 + rnd_below(w, rnd_chance(w, 80) && max > 16 ? 16 : max);
	if (op->n > room)
		op->n = room;
	op->at = rnd_below(w, room - op->n + 1) * size;
	op->wrong = wrong;
	if (grows(a->code) && !all_small(a)) {
		a->kind = rnd_chance(w, 50) ? BASE : FETCH;
		a->code = FI_ATOMIC_WRITE;
	}
	a->addr = a->slot->addr + op->at;
	a->key = a->slot->key;
	if (wrong && rnd_chance(w, 50))
		a->addr = a->slot->addr + a->slot->size - op->n * size + size;
	else if (wrong)
		a->key = rnd_wrong_key(a->key);
	numbers_new(a, &op->mem, true);
	if (a->kind != BASE)
		numbers_new(a, &op->result, false);
	if (a->kind == COMPARE)
		numbers_new(a, &op->compare, true);
	draw_way(w, a);
	op->fetches = a->kind != BASE;
	op->changes = a->code != FI_ATOMIC_READ;
	return true;
}

/* ---- what comes of it ------------------------------------------------------------ */

static struct number operand(const struct rnd_mem *mem, enum fi_datatype type,
			     size_t i)
{
	if (!mem->p)
		return (struct number){ 0, 0 };
	return number_get(type, mem->p, i);
}

static void change_shadow(struct atomic *a)
{
	struct rnd_op *op = a->op;
	enum fi_datatype type = a->slot->type;
	char *p = rnd_shadow(op->ep->w, op->peer, op->slot) + op->at;

	op->was = ft_alloc(op->mem.len);
	memcpy(op->was, p, op->mem.len);
	for (size_t i = 0; i < op->n && !op->wrong; i++)
		number_put(type, p, i,
			   number_outcome(a->code, number_get(type, p, i),
					  operand(&op->mem, type, i),
					  operand(&op->compare, type, i)));
}

/* Operands are ours again when the call has returned. */
static void scribble(struct rnd_mem *mem)
{
	if (mem->p)
		memset(mem->p, 0x5a, mem->len);
}

static bool take(struct rnd_ep *e, int peer, int slot)
{
	uint16_t flying = e->flying[peer][slot];

	if (e->changing[peer][slot])
		return false;
	if (flying || e->unsure[peer][slot])
		return flying < FLYING_MAX;
	return rnd_slot_take(e, peer, slot);
}

void rnd_atomic_landed(struct rnd_ep *e, int peer, int slot)
{
	if (!--e->flying[peer][slot] && !e->unsure[peer][slot])
		rnd_slot_give(e->w, peer, slot, true, 0,
			      e->w->world->ep[peer].slot[slot].size, false);
}

static void refused(struct rnd_op *op)
{
	struct rnd_ep *e = op->ep;

	rnd_atomic_landed(e, op->peer, op->slot);
	rnd_op_free(op);
}

void rnd_atomic_step(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	int peer = rnd_any_ep(w);
	int slot = RND_RMA_SLOTS + (int)rnd_below(w, RND_ATOMIC_SLOTS);
	struct atomic a = { .slot = &w->world->ep[peer].slot[slot] };
	bool wrong = rnd_chance(w, WRONG) && w->opt.wrong;
	ssize_t ret;

	w->doing = "atomic";
	if (e->nops > OPS_MAX || rnd_is_dead(w, peer) || !take(e, peer, slot))
		return;
	a.op = rnd_op_new(e, RND_ATOMIC, peer);
	a.op->slot = slot;
	/* Entries that come meanwhile must not give the slot away. */
	e->flying[peer][slot]++;
	if (!draw(w, &a, wrong)) {
		refused(a.op);
		return;
	}
	e->changing[peer][slot] = true;
	do {
		rnd_unlock(w);
		ret = post(&a);
		rnd_lock(w);
	} while (rnd_again(w, "atomic", ret, peer));
	e->changing[peer][slot] = false;
	if (ret) {
		refused(a.op);
		return;
	}
	e->unsure[peer][slot] = !a.op->fetches &&
				!(a.op->flags & FI_DELIVERY_COMPLETE);
	change_shadow(&a);
	scribble(&a.op->mem);
	scribble(&a.op->compare);
	w->count[a.kind == BASE ? RND_N_ATOMIC : RND_N_FETCH]++;
	w->count[RND_N_BYTES] += a.op->mem.len;
	rnd_op_posted(a.op, &e->ops);
}

/* A fetch of a number, which is answered when all before it are done. */
static void make_sure(struct rnd_ep *e, int peer, int slot)
{
	struct rnd *w = e->w;
	struct atomic a = { .slot = &w->world->ep[peer].slot[slot],
			    .kind = FETCH,
			    .code = FI_ATOMIC_READ };
	ssize_t ret;

	a.op = rnd_op_new(e, RND_ATOMIC, peer);
	a.op->slot = slot;
	a.op->n = 1;
	a.op->fetches = true;
	a.addr = a.slot->addr;
	a.key = a.slot->key;
	a.message = e->selective_tx;
	a.op->flags = rnd_completion(e, true);
	numbers_new(&a, &a.op->mem, true);
	numbers_new(&a, &a.op->result, false);
	e->flying[peer][slot]++;
	e->unsure[peer][slot] = false;
	do {
		rnd_unlock(w);
		ret = post(&a);
		rnd_lock(w);
	} while (rnd_again(w, "atomic", ret, peer));
	if (ret) {
		refused(a.op);
		return;
	}
	change_shadow(&a);
	rnd_op_posted(a.op, &e->ops);
}

void rnd_atomic_finish(struct rnd_ep *e)
{
	for (int peer = 0; peer < RND_EPS; peer++)
		for (int slot = 0; slot < RND_SLOTS; slot++)
			if (e->unsure[peer][slot] && !rnd_is_dead(e->w, peer))
				make_sure(e, peer, slot);
}

/* One of many who add to a number. */
void rnd_cell_add(struct rnd_ep *e, int peer, int cell, bool fetch,
		  uint32_t probe)
{
	struct rnd *w = e->w;
	struct rnd_public *p = &w->world->ep[peer];
	struct rnd_slot counts = { .type = FI_UINT64 };
	struct atomic a = { .slot = &counts, .code = FI_SUM };
	struct rnd_op *op = a.op = rnd_op_new(e, RND_ATOMIC, peer);
	ssize_t ret;

	a.kind = fetch ? FETCH : BASE;
	op->slot = -1;
	op->n = 1;
	op->at = (size_t)cell;
	op->fetches = fetch;
	op->probe = probe;
	a.addr = p->cell_addr + (size_t)cell * sizeof(uint64_t);
	a.key = p->cell_key;
	numbers_new(&a, &op->mem, true);
	numbers_new(&a, &op->result, false);
	a.message = e->selective_tx;
	op->flags = rnd_completion(e, true);
	/* Others may find it there before the call has returned. */
	atomic_fetch_add(&p->cell[cell],
			 (uint64_t)number_get(FI_UINT64, op->mem.p, 0).re);
	do {
		rnd_unlock(w);
		ret = post(&a);
		rnd_lock(w);
	} while (rnd_again(w, "atomic", ret, peer));
	if (ret) {
		rnd_op_free(op);
		return;
	}
	w->count[fetch ? RND_N_FETCH : RND_N_ATOMIC]++;
	rnd_op_posted(op, &e->ops);
}

void rnd_cell_step(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	int peer = rnd_any_ep(w), cell = (int)rnd_below(w, RND_CELLS);

	w->doing = "cell";
	if (e->nops <= OPS_MAX && !rnd_is_dead(w, peer))
		rnd_cell_add(e, peer, cell, rnd_chance(w, 50), 0);
}
