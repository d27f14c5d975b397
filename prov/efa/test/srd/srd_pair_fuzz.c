/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pair_fuzz.c - two engines, and an input that decides what becomes of
 * each packet between them
 *
 * The oracle of srd_pair.h watches. At the end the wire is a good one, and all
 * has to complete.
 */
#include "srd/srd.h"

#include "fuzz.h"
#include "srd_pair.h"
#include "util/u_time.h"

static struct pair w;
static const uint8_t *at;
static size_t left;

static uint8_t u8(void)
{
	if (!left)
		return 0;
	left--;
	return *at++;
}

static void post(void)
{
	uint8_t what = u8();
	uint32_t len = u8() * (what & 0x80 ? 36u : 3u);
	int from = what >> 2 & 1, to = what >> 3 & 1;
	enum pair_kind kind = (enum pair_kind)(what & 3);

	if (w.nops >= 200)
		return;
	if (kind != PAIR_SEND)
		pair_rdma(&w, kind, from, to, len);
	else if (what & 16)
		pair_send_request(&w, from, to, len);
	else
		pair_send(&w, from, to, len, what & 32);
}

static void abort_one(void)
{
	uint32_t id = u8();
	struct pair_op *op = &w.op[id];

	if (id >= w.nops || op->kind == PAIR_SEND)
		return;
	pair_drive(&w, op->from);
	if (op->completed || op->aborted)
		return;
	srd_abort(w.node[op->from].srd, op->op, w.now);
	op->aborted = true;
}

static void meddle(void)
{
	uint8_t what = u8();
	int node = what >> 7;

	switch (what % 5) {
	case 0:
		srd_set_ready(w.node[node].srd, what & 32);
		break;
	case 1:
		srd_set_pressure(w.node[node].srd, what & 32, w.now);
		break;
	case 2:
		srd_set_mtu(w.node[node].srd, w.node[!node].addr.gid,
			    u8() * 16u, w.now);
		break;
	case 3:
		w.wire.full = what & 32 ? 20000 : 0;
		break;
	default:
		abort_one();
	}
}

static void begin(void)
{
	uint8_t shape = u8();

	pair_init(&w, 2, 1);
	w.cfg.window_pkts = 4u << (shape & 3);
	w.cfg.rx_slots = 1 + (shape >> 2 & 3);
	w.cfg.max_replies = 1 + (shape >> 4 & 1);
	w.cfg.paths = 1 + (shape >> 5);
	w.cfg.mtu = 600;
	pair_open(&w);
	if (u8() & 1)
		pair_number(&w, 0u - 5);
}

static void finish(void)
{
	w.wire.full = 0;
	for (int i = 0; i < 2; i++) {
		srd_set_ready(w.node[i].srd, true);
		srd_set_pressure(w.node[i].srd, false, w.now);
		pair_drive(&w, i);
	}
	FUZZ_MUST(pair_run(&w, w.now + 5 * U_SEC));
	pair_check_done(&w);
	pair_close(&w);
}

static void one(uint8_t what)
{
	uint32_t place = w.nheap ? u8() % w.nheap : 0;

	switch (what % 8) {
	case 0:
	case 1:
	case 2:
		if (w.nheap)
			pair_deliver(&w, place, false);
		break;
	case 3:
		if (w.nheap)
			pair_drop(&w, place);
		break;
	case 4:
		if (w.nheap)
			pair_deliver(&w, place, true);
		break;
	case 5:
		post();
		break;
	case 6:
		w.now += (uint64_t)u8() << (u8() % 14);
		pair_drive(&w, 0);
		pair_drive(&w, 1);
		break;
	default:
		meddle();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	at = data;
	left = size < 4096 ? size : 4096;
	begin();
	while (left) {
		one(u8());
		if (left & 1) {
			pair_drive(&w, 0);
			pair_drive(&w, 1);
		}
	}
	finish();
	return 0;
}
