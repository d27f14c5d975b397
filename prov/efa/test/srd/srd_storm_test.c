/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_storm_test.c - everything bad at once, by seeds
 *
 * usage: srd_storm_test [SEED [COUNT]]
 *
 * Without arguments some hundred seeds of each kind. A seed that fails prints
 * itself; give it as the argument to see it again.
 */
#include "srd/srd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "srd_pair.h"
#include "srd_pair_priv.h"
#include "test/sanitized.h"
#include "util/u_time.h"

#define OPS 60 /* of a run */

static uint64_t first_seed = 1, nseeds = SANITIZED_THREAD ? 60 : 300;

/* Nothing, or below n. One draw a statement: seeds mean the same everywhere. */
static uint32_t maybe(struct pair *w, uint32_t n)
{
	return pair_dice(w, 2) ? pair_dice(w, n) : 0;
}

static void choose_config(struct pair *w)
{
	struct srd_config *c = &w->cfg;

	c->mtu = 512 + maybe(w, 12000);
	c->window_pkts = 4u << pair_dice(w, 5);
	c->max_active = 2 + pair_dice(w, 8);
	c->max_ops = 4 + pair_dice(w, 60);
	c->max_replies = 1 + pair_dice(w, 8);
	c->tx_slots = 2 + pair_dice(w, 30);
	c->rx_slots = 1 + pair_dice(w, 6);
	c->paths = 1 + pair_dice(w, 16);
	c->burst = pair_dice(w, 2) * 4 * c->mtu;
	c->check_all = pair_dice(w, 2);
	c->ack_every = 1 + pair_dice(w, 16);
	c->rx_budget = 2000 + pair_dice(w, 1 << 18);
	c->init_window = 2000 + pair_dice(w, 1 << 17);
	c->rtt_guess = 5 * U_USEC + pair_dice(w, 200000);
}

static void choose_wire(struct pair *w)
{
	struct pair_wire *wire = &w->wire;

	wire->delay = 1000 + pair_dice(w, 50000);
	wire->jitter = maybe(w, 100000);
	wire->loss = maybe(w, 12000);
	wire->dup = maybe(w, 6000);
	wire->corrupt = maybe(w, 3000);
	wire->late = maybe(w, 3000);
	wire->late_by = 1 + pair_dice(w, 3000000);
	wire->full = maybe(w, 20000);
	wire->slow_paths = pair_dice(w, 2) ? pair_random(w) : 0;
	wire->slow_by = pair_dice(w, 300000);
	/* One path at least is left, where there are several. */
	if (w->cfg.paths > 1 && pair_dice(w, 3) == 0)
		wire->black_paths = pair_random(w) & ~UINT64_C(1);
}

static void do_one_thing(struct pair *w)
{
	int from = (int)pair_dice(w, (uint32_t)w->n);
	int to = (int)pair_dice(w, (uint32_t)w->n);
	uint32_t len = pair_dice(w, 4) ? pair_dice(w, 2000) :
					 pair_dice(w, SRD_MSG_MAX + 1);
	enum pair_kind kind = (enum pair_kind)pair_dice(w, 4);

	if (kind == PAIR_SEND && pair_dice(w, 4) == 0)
		pair_send_request(w, from, to, len);
	else if (kind == PAIR_SEND)
		pair_send(w, from, to, len, pair_dice(w, 2));
	else
		pair_rdma(w, kind, from, to, len);
}

static void disturb(struct pair *w)
{
	struct pair_node *node = &w->node[pair_dice(w, (uint32_t)w->n)];
	struct pair_node *other = &w->node[pair_dice(w, (uint32_t)w->n)];
	struct pair_op *op;

	switch (pair_dice(w, 12)) {
	case 0:
		srd_set_ready(node->srd, false);
		break;
	case 1:
		srd_set_ready(node->srd, true);
		break;
	case 2:
		srd_set_pressure(node->srd, pair_dice(w, 2), w->now);
		break;
	case 3:
		srd_set_mtu(node->srd, other->addr.gid, pair_dice(w, 9000),
			    w->now);
		break;
	case 4:
		node->asleep = !node->asleep;
		break;
	case 5:
		if (!w->nops)
			break;
		op = &w->op[pair_dice(w, w->nops)];
		if (op->kind == PAIR_SEND || op->completed || op->aborted)
			break;
		/* It may have completed and not been fetched. */
		pair_drive(w, op->from);
		if (op->completed)
			break;
		srd_abort(w->node[op->from].srd, op->op, w->now);
		op->aborted = true;
		break;
	default:
		break;
	}
}

static void wake_all(struct pair *w)
{
	for (int i = 0; i < w->n; i++) {
		w->node[i].asleep = false;
		srd_set_ready(w->node[i].srd, true);
		srd_set_pressure(w->node[i].srd, false, w->now);
		pair_drive(w, i);
	}
}

/* Some operations while time goes by and things happen. */
static void traffic(struct pair *w, void (*mischief)(struct pair *w))
{
	uint32_t spin;

	for (int tries = 0; tries < 2000 && w->nops < OPS; tries++) {
		do_one_thing(w);
		if (pair_dice(w, 4) == 0)
			disturb(w);
		if (mischief)
			mischief(w);
		for (spin = pair_dice(w, 20); spin--;)
			pair_step(w, w->now + 100000);
	}
}

static void storm(uint64_t seed)
{
	static struct pair w;

	pair_init(&w, 2 + (int)(seed % 3), seed);
	choose_config(&w);
	choose_wire(&w);
	pair_open(&w);
	if (pair_dice(&w, 2))
		pair_number(&w, 0u - pair_dice(&w, 50));
	traffic(&w, NULL);
	wake_all(&w);
	PAIR_MUST(&w, pair_run(&w, w.now + 20 * U_SEC));
	pair_check_done(&w);
	pair_close(&w);
}

/* --- peers that die ------------------------------------------------------- */

static void say_farewell(struct pair *w, int node)
{
	struct srd_out out[3];
	uint32_t cursor = 0;
	int n;

	while ((n = srd_farewell(w->node[node].srd, w->now, out, 3, &cursor)))
		for (int i = 0; i < n; i++)
			pair_put(w, node, &out[i]);
}

static void destroy(struct pair *w)
{
	int node = (int)pair_dice(w, (uint32_t)w->n);

	switch (pair_dice(w, 60)) {
	case 0:
		w->wire.cut ^= UINT64_C(1) << pair_dice(w, 64);
		break;
	case 1:
		w->wire.cut = 0;
		break;
	case 2:
		w->node[node].key_gone = !w->node[node].key_gone;
		break;
	case 3:
		srd_refused(w->node[node].srd, w->node[0].addr.gid,
			    w->node[0].addr.qpn, w->now);
		break;
	case 4:
		srd_no_route(w->node[node].srd, w->node[0].addr.gid, w->now);
		break;
	case 5:
		pair_sleep(w, pair_dice(w, 300) * U_MSEC);
		break;
	case 6:
		pair_restart(w, node);
		break;
	case 7:
		say_farewell(w, node);
		pair_restart(w, node);
		break;
	default:
		break;
	}
}

/* Whatever happens: all completes in bounded time, nothing comes twice. */
static void doom(uint64_t seed)
{
	static struct pair w;

	pair_init(&w, 2 + (int)(seed % 3), seed);
	choose_config(&w);
	choose_wire(&w);
	w.may_fail = true;
	w.cfg.peer_timeout = 50 * U_MSEC;
	w.cfg.keepalive = 20 * U_MSEC;
	w.cfg.rnr_retries = pair_dice(&w, 8);
	w.cfg.max_peers = 256; /* each restart makes another one */
	pair_open(&w);
	traffic(&w, destroy);
	wake_all(&w);
	if (pair_dice(&w, 2))
		w.wire.cut = 0;
	PAIR_MUST(&w, pair_run(&w, w.now + 20 * U_SEC));
	pair_check_done(&w);
	pair_close(&w);
}

static void srd__storm(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < nseeds; i++)
		storm(first_seed + i);
}

/*
 * Each of these ends in a deadlock when one thing is left out: what is resent at
 * a timeout and whom it blames, who takes turns, what is numbered, paced and
 * begun when.
 */
static void srd__storms_of_note(void **state)
{
	static const uint64_t seeds[] = { 1001, 1006, 1016, 1182,   1851,
					  2673, 2809, 8021, 221608, 730119 };

	(void)state;
	for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
		storm(seeds[i]);
}

static void srd__doom(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < nseeds; i++)
		doom(first_seed + i);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(srd__storm),
		cmocka_unit_test(srd__storms_of_note),
		cmocka_unit_test(srd__doom),
	};

	if (argc > 1) {
		first_seed = strtoull(argv[1], NULL, 0);
		nseeds = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
