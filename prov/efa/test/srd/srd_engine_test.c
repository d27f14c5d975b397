/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_engine_test.c - what an engine is opened with, its memory, its peers
 */
#include "srd/srd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "srd/srd_priv.h"
#include "srd_pair.h"
#include "util/u_log.h"

static struct pair w;
static int warnings;

static void count_warnings(enum u_log_level level, const char *line)
{
	(void)line;
	warnings += level == U_LOG_WARN;
}

static int setup(void **state)
{
	(void)state;
	pair_init(&w, 4, 1);
	w.cfg.max_active = 4;
	pair_open(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pair_close(&w);
	return 0;
}

static void run(void)
{
	assert_true(pair_run(&w, w.now + U_SEC));
	pair_check_done(&w);
}

static void srd_open__defaults(void **state)
{
	struct srd_config c = { .self = { .qpn = 1, .connid = 1 } };
	struct srd *s;

	(void)state;
	assert_int_equal(srd_open(&c, 0, &s), 0);
	assert_int_equal(s->cfg.mtu, 1472);
	assert_int_equal(s->cfg.rto_min, 500 * U_USEC);
	assert_int_equal(s->cfg.rnr_retries, 0);
	assert_true(srd_idle(s));
	assert_true(srd_deadline(s) == UINT64_MAX);
	srd_close(s);
}

static void srd_open__says_what_is_wrong(void **state)
{
	static const struct srd_config bad[] = {
		{ .mtu = 1 },
		{ .mtu = 1472 },
		{ .self.connid = 1, .mtu = SRD_PACKET_MIN - 1 },
		{ .self.connid = 1, .mtu = SRD_PACKET_MAX + 1 },
		{ .self.connid = 1, .window_pkts = 48 },
		{ .self.connid = 1, .window_pkts = 2 * SRD_WINDOW_MAX },
		{ .self.connid = 1, .paths = SRD_PATHS_MAX + 1 },
		{ .self.connid = 1, .rnr_retries = 8 },
		{ .self.connid = 1, .max_active = 1 },
		{ .self.connid = 1, .rto_min = U_SEC },
	};
	struct srd *s = NULL;

	(void)state;
	u_log_set_sink(count_warnings);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		warnings = 0;
		assert_int_equal(srd_open(&bad[i], 0, &s), -EINVAL);
		assert_int_equal(warnings, 1);
		assert_null(s);
	}
	u_log_set_sink(NULL);
}

static void srd_peer_get__same_address_same_peer(void **state)
{
	struct srd *s = w.node[0].srd;
	struct srd_addr addr = w.node[1].addr;
	struct srd_peer *p;

	(void)state;
	assert_int_equal(srd_peer_get(s, &addr, &p), 0);
	assert_ptr_equal(p, w.node[0].peer[1]);
	assert_int_equal(srd_peer_index(p), 1);
	assert_memory_equal(srd_peer_addr(p)->gid, addr.gid, 16);
	assert_null(srd_peer_user(p));
	srd_peer_set_user(p, &w);
	assert_ptr_equal(srd_peer_user(p), &w);
	addr.gid[3]++;
	assert_int_equal(srd_peer_get(s, &addr, &p), 0);
	assert_int_equal(srd_peer_index(p), 4);
	addr.connid = 0;
	assert_int_equal(srd_peer_get(s, &addr, &p), -EINVAL);
	for (uint32_t i = 1; i < 12; i++) {
		addr.connid = i;
		assert_int_equal(srd_peer_get(s, &addr, &p), 0);
	}
	addr.connid = 100;
	assert_int_equal(srd_peer_get(s, &addr, &p), -ENOSPC);
	addr.connid = 5;
	assert_int_equal(srd_peer_get(s, &addr, &p), 0);
}

/* Three conversations of ours at a time; one block is for answers. */
static void srd_active__goes_from_peer_to_peer(void **state)
{
	(void)state;
	w.wire.cut = UINT64_MAX;
	for (int to = 1; to < 4; to++)
		assert_int_equal(pair_send(&w, 0, to, 10, true), 0);
	assert_int_equal(pair_send(&w, 0, 0, 10, true), -EAGAIN);
	w.wire.cut = 0;
	run();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(pair_send(&w, 0, i % 4, 10, true), 0);
		run();
	}
	/* What is known of a peer stays when its block has gone. */
	assert_true(w.node[0].peer[1]->srtt > 0);
}

/* Each reads from the next, and has no block for the one before. */
static void srd_active__rings_of_readers_end(void **state)
{
	(void)state;
	pair_close(&w);
	pair_init(&w, 4, 1);
	w.cfg.max_active = 2;
	w.cfg.max_replies = 1;
	pair_open(&w);
	for (int i = 0; i < 40; i++)
		assert_int_equal(
			pair_rdma(&w, PAIR_READ, i % 4, (i + 1) % 4, 8000), 0);
	run();
}

static void srd_set_mtu__cuts_by_it(void **state)
{
	struct srd *s = w.node[0].srd;

	(void)state;
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 14000), 0);
	run();
	assert_int_equal(srd_stats(s)->tx_data, 10);
	srd_set_mtu(s, w.node[1].addr.gid, 9000, w.now);
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 14000), 0);
	run();
	assert_int_equal(srd_stats(s)->tx_data, 12);
	/* Below what is possible. */
	srd_set_mtu(s, w.node[1].addr.gid, 1, w.now);
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 456 * 3), 0);
	run();
	assert_int_equal(srd_stats(s)->tx_data, 15);
}

static bool count_fragments(struct pair *pair, int from, int to,
			    const struct srd_out *out)
{
	(void)from;
	(void)to;
	if (out->fragment) {
		PAIR_MUST(pair, out->hdr_len + out->data_len > 600);
		++*(int *)pair->tap_ctx;
		return false;
	}
	/* Longer ones are lost in the network without a word. */
	return out->hdr_len + out->data_len > 600;
}

/* A packet keeps its bounds, and is marked when it is too long by now. */
static void srd_set_mtu__smaller_with_packets_open(void **state)
{
	int fragments = 0;

	(void)state;
	w.tap = count_fragments;
	w.tap_ctx = &fragments;
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 5000), 0);
	assert_int_equal(pair_send(&w, 0, 1, 5000, true), 0);
	pair_drive(&w, 0);
	assert_int_equal(w.nheap, 0);
	srd_set_mtu(w.node[0].srd, w.node[1].addr.gid, 600, w.now);
	run();
	assert_true(fragments >= 6);
}

/* It was begun since all its packets can have a number: it keeps to them. */
static void srd_set_mtu__send_that_has_begun(void **state)
{
	(void)state;
	pair_close(&w);
	pair_init(&w, 2, 1);
	w.cfg.init_window = 3000;
	pair_open(&w);
	assert_int_equal(pair_send(&w, 0, 1, 9000, true), 0);
	pair_drive(&w, 0);
	assert_int_equal(srd_stats(w.node[0].srd)->tx_data, 2);
	srd_set_mtu(w.node[0].srd, w.node[1].addr.gid, 600, w.now);
	run();
	assert_int_equal(srd_stats(w.node[0].srd)->tx_data, 7);
	assert_int_equal(pair_send(&w, 0, 1, 9000, true), 0);
	run();
	assert_int_equal(srd_stats(w.node[0].srd)->tx_data, 7 + 17);
}

static void srd_peer_size__small(void **state)
{
	struct srd_config small = { .self.connid = 1,
				    .max_ops = 16,
				    .window_pkts = 64 };

	(void)state;
	assert_in_range(srd_peer_size(), 256, 768);
	assert_in_range(srd_active_size(&small), 4096, 12 << 10);
	small.mtu = 1;
	u_log_set_sink(count_warnings);
	assert_int_equal(srd_active_size(&small), 0);
	u_log_set_sink(NULL);
}

static void srd_tx__peers_take_turns(void **state)
{
	struct srd_out out[32];
	int per_peer[4] = { 0 }, n;

	(void)state;
	for (int i = 0; i < 10; i++)
		for (int to = 1; to < 4; to++)
			assert_int_equal(pair_send(&w, 0, to, 10, true), 0);
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 60000), 0);
	n = srd_tx(w.node[0].srd, w.now, out, 32);
	assert_int_equal(n, 32);
	for (int i = 0; i < n; i++)
		per_peer[out[i].to->qpn - PAIR_QPN]++;
	assert_int_equal(per_peer[1], 16);
	assert_int_equal(per_peer[2], 10);
	assert_int_equal(per_peer[3], 6);
	srd_unsent(w.node[0].srd, out, n, w.now);
	run();
}

/* Many timers, armed in no order: each comes at its own time. */
static void srd_deadline__of_many_peers(void **state)
{
	enum { N = 300 };
	static uint64_t posted[N];
	struct srd_config c = { .self = { .qpn = 1, .connid = 1 },
				.max_peers = N,
				.max_active = 2 * N,
				.peer_timeout = 50 * U_MSEC,
				.rto_max = 5 * U_MSEC };
	struct srd_addr addr = { .qpn = 2 };
	uint64_t now = 1000, at;
	struct srd_out out[SRD_TX_MAX];
	struct srd_send send = { 0 };
	struct srd_done done;
	struct srd_peer *p;
	struct srd *s;
	int left = N;

	(void)state;
	assert_int_equal(srd_open(&c, now, &s), 0);
	for (int i = 0; i < N; i++) {
		now += pair_dice(&w, 200000);
		addr.connid = (uint32_t)i + 1;
		assert_int_equal(srd_peer_get(s, &addr, &p), 0);
		send.id = (uint64_t)i;
		posted[i] = now;
		assert_int_equal(srd_send(s, p, &send, now), 0);
		while (srd_tx(s, now, out, SRD_TX_MAX) == SRD_TX_MAX)
			;
	}
	while (left) {
		at = srd_deadline(s);
		assert_true(at != UINT64_MAX && at < now + 50 * U_MSEC);
		now = at > now ? at : now;
		srd_tx(s, now, out, SRD_TX_MAX);
		for (; srd_done(s, &done, 1); left--) {
			assert_int_equal(done.status, SRD_UNREACHABLE);
			assert_in_range(now - posted[done.id], 50 * U_MSEC,
					50 * U_MSEC + 1000);
		}
	}
	assert_true(srd_idle(s));
	assert_true(srd_deadline(s) == UINT64_MAX);
	srd_close(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(srd_open__defaults),
		cmocka_unit_test(srd_open__says_what_is_wrong),
		TEST(srd_peer_get__same_address_same_peer),
		TEST(srd_active__goes_from_peer_to_peer),
		TEST(srd_active__rings_of_readers_end),
		TEST(srd_set_mtu__cuts_by_it),
		TEST(srd_set_mtu__smaller_with_packets_open),
		TEST(srd_set_mtu__send_that_has_begun),
		cmocka_unit_test(srd_peer_size__small),
		TEST(srd_tx__peers_take_turns),
		cmocka_unit_test(srd_deadline__of_many_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
