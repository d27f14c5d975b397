/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pair.c - the engines, the clock and what users do
 */
#include "srd_pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "srd/srd_priv.h"
#include "srd_pair_priv.h"
#include "util/u_hash.h"

void pair_fail(const struct pair *w, const char *what, uint64_t detail)
{
	fprintf(stderr, "seed %llu, time %llu: not so: %s (%llu)\n",
		(unsigned long long)w->seed, (unsigned long long)w->now, what,
		(unsigned long long)detail);
	abort();
}

uint64_t pair_random(struct pair *w)
{
	w->random += UINT64_C(0x9e3779b97f4a7c15);
	return u_mix64(w->random);
}

uint32_t pair_dice(struct pair *w, uint32_t n)
{
	return (uint32_t)((pair_random(w) >> 32) * n >> 32);
}

bool pair_chance(struct pair *w, uint32_t of_65536)
{
	return of_65536 && pair_dice(w, 65536) < of_65536;
}

/* --- open and close ------------------------------------------------------- */

static bool may(void *ctx, uint32_t key, uint32_t access, uint64_t addr,
		uint64_t len)
{
	const struct pair_node *node = ctx;
	uint64_t base = (uintptr_t)node->mem;

	(void)access;
	return !node->key_gone && key == PAIR_RKEY && addr >= base &&
	       len <= PAIR_MEM && addr - base <= PAIR_MEM - len;
}

void pair_init(struct pair *w, int n, uint64_t seed)
{
	*w = (struct pair){
		.n = n,
		.seed = seed,
		.random = u_mix64(seed + 1),
		.now = 1000000,
		.wire = { .delay = 10000 },
		.cfg = { .max_peers = 16,
			 .max_active = 8,
			 .max_ops = 64,
			 .max_replies = 16,
			 .tx_slots = 32,
			 .rx_slots = 8,
			 .window_pkts = 64,
			 .rnr_retries = SRD_RNR_FOREVER },
	};
}

static void open_node(struct pair *w, int i)
{
	struct pair_node *node = &w->node[i];
	struct srd_config c = w->cfg;

	memset(node->addr.gid, 0, sizeof(node->addr.gid));
	node->addr.gid[0] = 0xfd;
	node->addr.gid[15] = (uint8_t)(i + 1);
	node->addr.qpn = PAIR_QPN + (uint32_t)i;
	node->addr.connid = (uint32_t)pair_random(w) | 1;
	c.self = node->addr;
	c.may = may;
	c.ctx = node;
	c.seed = pair_random(w);
	if (srd_open(&c, w->now, &node->srd))
		pair_fail(w, "srd_open", (uint64_t)i);
}

/* Who speaks to whom: each to each, and to itself. */
static void meet(struct pair *w, int i, int j)
{
	struct pair_node *node = &w->node[i];

	if (srd_peer_get(node->srd, &w->node[j].addr, &node->peer[j]))
		pair_fail(w, "srd_peer_get", (uint64_t)j);
}

void pair_open(struct pair *w)
{
	w->op = calloc(PAIR_OPS_MAX, sizeof(*w->op));
	for (int i = 0; i < w->n; i++) {
		w->node[i].mem = malloc(PAIR_MEM);
		memset(w->node[i].mem, PAIR_UNTOUCHED, PAIR_MEM);
		open_node(w, i);
	}
	for (int i = 0; i < w->n; i++)
		for (int j = 0; j < w->n; j++)
			meet(w, i, j);
}

void pair_number(struct pair *w, uint32_t psn)
{
	struct srd_peer *p;

	for (int i = 0; i < w->n; i++)
		for (int j = 0; j < w->n; j++) {
			p = w->node[i].peer[j];
			p->tx_una = p->tx_next = psn;
			p->rx_cum = p->rx_end = psn;
		}
}

void pair_restart(struct pair *w, int i)
{
	srd_close(w->node[i].srd);
	for (uint32_t k = 0; k < w->nops; k++)
		if (w->op[k].from == i && !w->op[k].completed)
			w->op[k].aborted = true;
	open_node(w, i);
	for (int j = 0; j < w->n; j++) {
		meet(w, i, j);
		if (j != i)
			meet(w, j, i);
	}
}

void pair_close(struct pair *w)
{
	while (w->nheap)
		pair_drop(w, w->nheap - 1);
	free(w->heap);
	for (uint32_t i = 0; i < w->nops; i++)
		free(w->op[i].local);
	free(w->op);
	for (int i = 0; i < w->n; i++) {
		srd_close(w->node[i].srd);
		free(w->node[i].mem);
	}
}

/* --- operations ----------------------------------------------------------- */

static struct pair_op *new_op(struct pair *w, enum pair_kind kind, int from,
			      int to, uint32_t len)
{
	struct pair_op *op = &w->op[w->nops];

	if (w->nops == PAIR_OPS_MAX)
		pair_fail(w, "PAIR_OPS_MAX", w->nops);
	*op = (struct pair_op){
		.kind = kind, .from = from, .to = to, .len = len
	};
	return op;
}

static int send_it(struct pair *w, int from, int to, uint32_t len, bool has_imm,
		   bool request)
{
	struct pair_op *op = new_op(w, PAIR_SEND, from, to, len);
	uint32_t hdr_len = len / 3, half = (len - hdr_len) / 2;
	uint8_t *bytes = malloc(len + 1);
	struct iovec iov[2] = {
		{ bytes + hdr_len, half },
		{ bytes + hdr_len + half, len - hdr_len - half },
	};
	int err;

	op->has_imm = has_imm || len < 4;
	pair_pattern(bytes, len, w->nops);
	if (len >= 4)
		memcpy(bytes, &w->nops, 4);
	err = srd_send(w->node[from].srd, w->node[from].peer[to],
		       &(struct srd_send){ .id = w->nops,
					   .hdr = bytes,
					   .hdr_len = hdr_len,
					   .iov = iov,
					   .iovcnt = 2,
					   .len = len - hdr_len,
					   .has_imm = op->has_imm,
					   .request = request,
					   .imm = w->nops },
		       w->now);
	free(bytes);
	if (!err)
		w->nops++;
	return err;
}

int pair_send(struct pair *w, int from, int to, uint32_t len, bool has_imm)
{
	return send_it(w, from, to, len, has_imm, false);
}

int pair_send_request(struct pair *w, int from, int to, uint32_t len)
{
	return send_it(w, from, to, len, true, true);
}

int pair_rdma(struct pair *w, enum pair_kind kind, int from, int to,
	      uint32_t len)
{
	static const enum srd_rdma_type types[] = {
		[PAIR_WRITE] = SRD_WRITE,
		[PAIR_WRITE_IMM] = SRD_WRITE_IMM,
		[PAIR_READ] = SRD_READ,
	};
	struct pair_node *target = &w->node[to];
	struct pair_op *op = new_op(w, kind, from, to, len);
	int err;

	if (len > PAIR_MEM - target->mem_used)
		return -1;
	op->remote = target->mem_used;
	op->local = malloc(len + 1);
	memset(op->local, PAIR_UNTOUCHED, len + 1);
	pair_pattern(kind == PAIR_READ ? target->mem + op->remote : op->local,
		     len, w->nops);
	err = srd_rdma(w->node[from].srd, w->node[from].peer[to],
		       &(struct srd_rdma){ .type = types[kind],
					   .id = w->nops,
					   .local = op->local,
					   .remote = (uintptr_t)target->mem +
						     op->remote,
					   .len = len,
					   .rkey = PAIR_RKEY,
					   .imm = w->nops },
		       w->now, &op->op);
	if (err) {
		if (kind == PAIR_READ)
			memset(target->mem + op->remote, PAIR_UNTOUCHED, len);
		free(op->local);
		op->local = NULL;
		return err;
	}
	target->mem_used += len;
	w->nops++;
	return 0;
}

/* --- time ----------------------------------------------------------------- */

bool pair_idle(const struct pair *w)
{
	if (w->nheap)
		return false;
	for (int i = 0; i < w->n; i++)
		if (!srd_idle(w->node[i].srd))
			return false;
	return true;
}

static uint64_t next_deadline(const struct pair *w)
{
	uint64_t at = UINT64_MAX, one;

	for (int i = 0; i < w->n; i++) {
		one = srd_deadline(w->node[i].srd);
		if (!w->node[i].asleep && one < at)
			at = one;
	}
	return at;
}

static void drive_due(struct pair *w)
{
	for (int i = 0; i < w->n; i++)
		if (!w->node[i].asleep &&
		    srd_deadline(w->node[i].srd) <= w->now)
			pair_drive(w, i);
}

bool pair_step(struct pair *w, uint64_t until)
{
	uint64_t at = next_deadline(w);
	uint64_t packet = w->nheap ? w->heap[0].at : UINT64_MAX;
	bool first = packet <= at;
	int to;

	if (first)
		at = packet;
	if (at > until) {
		if (until > w->now)
			w->now = until;
		return false;
	}
	/* A wire that was full is tried again a little later. */
	if (at <= w->now)
		at = first ? w->now : w->now + 100;
	w->now = at;
	if (first) {
		to = w->heap[0].to;
		pair_deliver(w, 0, false);
		if (!w->node[to].asleep)
			pair_drive(w, to);
	}
	drive_due(w);
	return true;
}

bool pair_run(struct pair *w, uint64_t until)
{
	drive_due(w);
	while (!pair_idle(w))
		if (!pair_step(w, until))
			return pair_idle(w);
	return true;
}

void pair_sleep(struct pair *w, uint64_t ns)
{
	uint64_t until = w->now + ns;

	drive_due(w);
	while (pair_step(w, until))
		;
}
