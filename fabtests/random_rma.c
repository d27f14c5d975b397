/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_rma.c - reads and writes, right ones and wrong ones
 *
 * A wrong one asks for an answer, so that it has to fail and may not change
 * anything: a key that is no more or never was, a range that is not the
 * region's, a right that it lacks.
 */
#include "random.h"

#include <string.h>

#define WRONG 7u /* in a hundred */
#define OPS_MAX 64u

enum how { PLAIN, VECTOR, MESSAGE, DATA, INJECT, INJECT_DATA, HOWS };

struct access {
	struct rnd_op *op;
	struct rnd_slot *slot;
	enum how how;
	uint64_t addr, key, data;
	size_t remote_len; /* what a message says */
};

static ssize_t post_message(struct access *a)
{
	struct rnd_op *op = a->op;
	struct rnd_ep *e = op->ep;
	struct fi_rma_iov there = { a->addr, op->mem.len, a->key };
	struct fi_msg_rma msg = {
		.msg_iov = op->mem.iov,
		.desc = op->mem.desc,
		.iov_count = op->mem.n,
		.addr = e->addr[op->peer],
		.rma_iov = &there,
		.rma_iov_count = 1,
		.context = op,
		.data = a->data,
	};

	return op->kind == RND_READ ? fi_readmsg(e->fid, &msg, op->flags) :
				      fi_writemsg(e->fid, &msg, op->flags);
}

static ssize_t post_write(struct access *a)
{
	struct rnd_op *op = a->op;
	struct rnd_ep *e = op->ep;
	struct rnd_mem *m = &op->mem;
	fi_addr_t to = e->addr[op->peer];

	switch (a->how) {
	case PLAIN:
		return fi_write(e->fid, m->p, m->len, m->desc[0], to, a->addr,
				a->key, op);
	case VECTOR:
		return fi_writev(e->fid, m->iov, m->desc, m->n, to, a->addr,
				 a->key, op);
	case DATA:
		return fi_writedata(e->fid, m->p, m->len, m->desc[0], a->data,
				    to, a->addr, a->key, op);
	case INJECT:
		return fi_inject_write(e->fid, m->p, m->len, to, a->addr,
				       a->key);
	case INJECT_DATA:
		return fi_inject_writedata(e->fid, m->p, m->len, a->data, to,
					   a->addr, a->key);
	case MESSAGE:
	case HOWS:
		break;
	}
	return post_message(a);
}

static ssize_t post_read(struct access *a)
{
	struct rnd_op *op = a->op;
	struct rnd_ep *e = op->ep;
	struct rnd_mem *m = &op->mem;
	fi_addr_t to = e->addr[op->peer];

	if (a->how == PLAIN)
		return fi_read(e->fid, m->p, m->len, m->desc[0], to, a->addr,
			       a->key, op);
	if (a->how == VECTOR)
		return fi_readv(e->fid, m->iov, m->desc, m->n, to, a->addr,
				a->key, op);
	return post_message(a);
}

/* ---- what is wrong with it ------------------------------------------------------- */

static bool lacks_right(const struct access *a)
{
	return !(a->slot->access &
		 (a->op->kind == RND_READ ? FI_REMOTE_READ : FI_REMOTE_WRITE));
}

static void make_wrong(struct rnd *w, struct access *a)
{
	const struct rnd_slot *slot = a->slot;
	bool is_renewed = slot->old_key && slot->old_key != slot->key;
	uint64_t how = rnd_below(w, 4);

	if (how == 0)
		a->key = rnd_wrong_key(a->key);
	else if (how == 1 && is_renewed)
		a->key = slot->old_key;
	else if (how <= 2)
		a->addr = slot->addr + slot->size - a->op->mem.len + 1 +
			  rnd_below(w, 200);
	else
		a->addr = slot->addr - 1 - rnd_below(w, a->op->mem.len);
	a->op->wrong = true;
}

/* ---- what is drawn ---------------------------------------------------------------- */

static void draw_how(struct rnd *w, struct access *a)
{
	struct rnd_op *op = a->op;

	a->how = (enum how)rnd_below(w, op->kind == RND_READ ? DATA : HOWS);
	if (lacks_right(a) || op->wrong)
		a->how = MESSAGE;
	op->flags = 0;
	if (a->how != MESSAGE)
		return;
	op->flags = rnd_completion(op->ep, true) | rnd_fence(w);
	if (op->kind != RND_WRITE)
		return;
	if (rnd_chance(w, 40) || op->wrong || lacks_right(a))
		op->flags |= FI_DELIVERY_COMPLETE;
	else if (rnd_chance(w, 20))
		op->flags |= FI_INJECT;
	if (rnd_chance(w, 20))
		op->flags |= FI_REMOTE_CQ_DATA;
}

/* The entry that the target will get: it must know before we post. */
static bool note(struct access *a)
{
	struct rnd_op *op = a->op;
	struct rnd_ep *e = op->ep;
	bool has = a->how == DATA || a->how == INJECT_DATA ||
		   (a->how == MESSAGE && (op->flags & FI_REMOTE_CQ_DATA));
	struct rnd_note *note =
		&e->w->world->note[e->id][op->peer][e->notes % RND_OPEN];

	a->data = 0;
	if (!has)
		return true;
	if (note->data)
		return false;
	a->data = (uint64_t)(e->id + 1) << 28 | (e->notes & 0xfffffff);
	e->notes++;
	if (op->wrong)
		return true;
	note->len = op->mem.len;
	note->data = a->data;
	return true;
}

static size_t length(struct rnd *w, const struct access *a)
{
	size_t inject = w->ft.inject_size;
	bool injected = a->how == INJECT || a->how == INJECT_DATA;
	size_t max = injected && inject < a->slot->size ? inject :
							  a->slot->size;

	return rnd_size(w, max);
}

/* Each byte changes what is there: when all are as they should be, all came. */
static void fill(struct rnd *w, struct rnd_op *op)
{
	const char *was = rnd_shadow(w, op->peer, op->slot) + op->at;
	char *p = op->mem.p;

	pattern_fill(p, op->mem.len, rnd_draw(w));
	for (size_t i = 0; i < op->mem.len; i++)
		p[i] = (char)(p[i] == was[i] ? ~p[i] : p[i]);
	rnd_mem_scatter(&op->mem);
}

static void draw(struct rnd *w, struct access *a, bool wrong)
{
	struct rnd_op *op = a->op;
	size_t len;

	op->wrong = wrong;
	draw_how(w, a);
	op->entry = a->how != INJECT && a->how != INJECT_DATA;
	len = length(w, a);
	op->wrong = wrong || lacks_right(a);
	len += op->wrong && !len;
	/* Pieces are written one by one: of a wrong range some would be. */
	rnd_mem_new(op->ep, &op->mem, len,
		    (a->how == VECTOR || a->how == MESSAGE) && !op->wrong);
	op->at = rnd_below(w, a->slot->size - len + 1);
	a->addr = a->slot->addr + op->at;
	a->key = a->slot->key;
	if (wrong && !lacks_right(a))
		make_wrong(w, a);
	if (op->kind == RND_WRITE)
		fill(w, op);
}

static void posted(struct access *a)
{
	struct rnd_op *op = a->op;
	struct rnd *w = op->ep->w;
	char *shadow = rnd_shadow(w, op->peer, op->slot) + op->at;
	bool write = op->kind == RND_WRITE && !op->wrong;

	w->count[op->kind == RND_READ ? RND_N_READ : RND_N_WRITE]++;
	w->count[RND_N_BYTES] += op->mem.len;
	for (size_t i = 0; write && i < op->mem.n; i++) {
		memcpy(shadow, op->mem.iov[i].iov_base, op->mem.iov[i].iov_len);
		shadow += op->mem.iov[i].iov_len;
	}
	if (!op->entry || (a->how == MESSAGE && (op->flags & FI_INJECT)))
		for (size_t i = 0; i < op->mem.n; i++)
			memset(op->mem.iov[i].iov_base, 0x5a,
			       op->mem.iov[i].iov_len);
	if (op->entry) {
		rnd_op_posted(op, &op->ep->ops);
		return;
	}
	rnd_counted(op->ep, RND_CNTR_WRITE, true);
	rnd_count_access(op);
	atomic_store(&a->slot->silent, op->ep->id);
	rnd_slot_give(w, op->peer, op->slot, true, op->at, op->mem.len, false);
	rnd_op_free(op);
}

static void refused(struct access *a)
{
	rnd_slot_give(a->op->ep->w, a->op->peer, a->op->slot, false, 0, 0,
		      false);
	rnd_op_free(a->op);
}

void rnd_rma_step(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	int peer = rnd_any_ep(w), slot = (int)rnd_below(w, RND_RMA_SLOTS);
	struct access a = { .slot = &w->world->ep[peer].slot[slot] };
	bool wrong = rnd_chance(w, WRONG) && w->opt.wrong;
	uint64_t number, flags;
	ssize_t ret;

	w->doing = "RMA";
	if (e->nops > OPS_MAX || rnd_is_dead(w, peer) ||
	    !rnd_slot_take(e, peer, slot))
		return;
	a.op = rnd_op_new(
		e, rnd_chance(w, 50) && !w->opt.no_reads ? RND_READ : RND_WRITE,
		peer);
	a.op->slot = slot;
	a.op->changes = a.op->kind == RND_WRITE;
	draw(w, &a, wrong);
	if (!note(&a)) {
		refused(&a);
		return;
	}
	/* Entries are asked for of everything else, to know when it ended. */
	if (a.how != MESSAGE && a.op->entry && e->selective_tx) {
		a.how = MESSAGE;
		a.op->flags = FI_COMPLETION | (a.data ? FI_REMOTE_CQ_DATA : 0);
	}
	do {
		number = e->posted;
		rnd_unlock(w);
		ret = a.op->kind == RND_READ ? post_read(&a) : post_write(&a);
		rnd_lock(w);
	} while (rnd_again(w, "RMA", ret, peer));
	if (ret) {
		refused(&a);
		return;
	}
	flags = a.op->flags;
	posted(&a);
	if (flags & FI_FENCE)
		rnd_check_fence(e, peer, number);
}
