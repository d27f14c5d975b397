/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pair_oracle.c - what has to be true of each event and completion
 */
#include "srd_pair.h"

#include <string.h>

#include "srd_pair_priv.h"

static uint8_t pattern_at(uint32_t id, uint32_t i)
{
	return (uint8_t)((id * 37 + i * 11 + (i >> 8) * 3) | 1);
}

void pair_pattern(uint8_t *bytes, uint32_t len, uint32_t id)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = pattern_at(id, i);
}

bool pair_is_pattern(const uint8_t *bytes, uint32_t len, uint32_t id,
		     uint32_t from)
{
	for (uint32_t i = from; i < len; i++)
		if (bytes[i] != pattern_at(id, i))
			return false;
	return true;
}

static void take_recv(struct pair *w, int node, const struct srd_event *event)
{
	const uint8_t *bytes = event->data;
	struct pair_op *op;
	uint32_t id = event->imm;

	if (!event->has_imm) {
		PAIR_MUST(w, event->len >= 4);
		memcpy(&id, bytes, 4);
	}
	PAIR_MUST(w, id < w->nops);
	op = &w->op[id];
	PAIR_MUST(w, op->kind == PAIR_SEND && op->to == node);
	PAIR_MUST(w, srd_peer_addr(event->peer)->qpn ==
			     w->node[op->from].addr.qpn);
	PAIR_MUST(w, op->len == event->len);
	PAIR_MUST(w, op->has_imm == event->has_imm);
	PAIR_MUST(w, pair_is_pattern(bytes, op->len, id, op->len < 4 ? 0 : 4));
	PAIR_MUST(w, ++op->arrived == 1);
}

static void take_written(struct pair *w, int node,
			 const struct srd_event *event)
{
	struct pair_op *op;

	PAIR_MUST(w, event->has_imm && event->imm < w->nops);
	op = &w->op[event->imm];
	PAIR_MUST(w, op->kind == PAIR_WRITE_IMM && op->to == node);
	PAIR_MUST(w, op->len == event->len);
	PAIR_MUST(w, pair_is_pattern(w->node[node].mem + op->remote, op->len,
				     event->imm, 0));
	PAIR_MUST(w, ++op->arrived == 1);
}

void pair_take_event(struct pair *w, int node, const struct srd_event *event)
{
	switch (event->kind) {
	case SRD_EV_RECV:
		take_recv(w, node, event);
		break;
	case SRD_EV_WRITTEN:
		take_written(w, node, event);
		break;
	case SRD_EV_DATAGRAM:
		w->node[node].datagrams++;
		break;
	}
}

/* It completed well: everything it stands for has happened. */
static void check_ok(struct pair *w, const struct pair_op *op, uint32_t id)
{
	const uint8_t *there = w->node[op->to].mem + op->remote;

	switch (op->kind) {
	case PAIR_SEND:
		PAIR_MUST(w, op->arrived == 1);
		break;
	case PAIR_WRITE_IMM:
		PAIR_MUST(w, op->arrived == 1);
		PAIR_MUST(w, pair_is_pattern(there, op->len, id, 0));
		break;
	case PAIR_WRITE:
		PAIR_MUST(w, pair_is_pattern(there, op->len, id, 0));
		break;
	case PAIR_READ:
		PAIR_MUST(w, pair_is_pattern(op->local, op->len, id, 0));
		PAIR_MUST(w, op->local[op->len] == PAIR_UNTOUCHED);
		break;
	}
}

void pair_take_done(struct pair *w, int node, const struct srd_done *done)
{
	static const uint8_t kinds[] = {
		[PAIR_SEND] = SRD_DONE_SEND,
		[PAIR_WRITE] = SRD_DONE_WRITE,
		[PAIR_WRITE_IMM] = SRD_DONE_WRITE,
		[PAIR_READ] = SRD_DONE_READ,
	};
	struct pair_op *op;

	if (done->kind == SRD_DONE_GONE) {
		for (int j = 0; j < w->n; j++)
			if (w->node[node].peer[j] == done->peer) {
				w->node[node].gone[j]++;
				w->node[node].gone_status[j] = done->status;
			}
		return;
	}
	PAIR_MUST(w, done->id < w->nops);
	op = &w->op[done->id];
	PAIR_MUST(w, op->from == node && done->kind == kinds[op->kind]);
	PAIR_MUST(w, !op->aborted);
	PAIR_MUST(w, ++op->completed == 1);
	op->status = done->status;
	w->ncompleted++;
	if (done->status == SRD_OK)
		check_ok(w, op, (uint32_t)done->id);
	else if (!w->may_fail)
		pair_fail(w, "status OK", done->status);
}

void pair_check_memory(struct pair *w)
{
	const uint8_t *rest;
	uint32_t len;

	for (int i = 0; i < w->n; i++) {
		rest = w->node[i].mem + w->node[i].mem_used;
		len = PAIR_MEM - w->node[i].mem_used;
		/* Each byte is as the one before. */
		PAIR_MUST(w, !len || (*rest == PAIR_UNTOUCHED &&
				      !memcmp(rest, rest + 1, len - 1)));
	}
}

void pair_check_done(struct pair *w)
{
	for (uint32_t i = 0; i < w->nops; i++)
		if (w->op[i].completed != !w->op[i].aborted)
			pair_fail(w, "completed once", i);
	pair_check_memory(w);
}
