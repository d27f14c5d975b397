/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_ack_test.c - bitmaps, numbers that wrap, and how often one acknowledges
 */
#include "srd/srd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "srd/srd_bits.h"
#include "srd/srd_priv.h"
#include "srd_pair.h"

static struct pair w;

static int setup(void **state)
{
	(void)state;
	pair_init(&w, 3, 1);
	pair_open(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pair_close(&w);
	return 0;
}

static const struct srd_stats *stats(int node)
{
	return srd_stats(w.node[node].srd);
}

static void run(void)
{
	assert_true(pair_run(&w, w.now + U_SEC));
	pair_check_done(&w);
}

static void srd_bits_get32__across_words_and_the_end(void **state)
{
	static const uint32_t psns[] = { 0,    31,   32,	 33,
					 2047, 2048, UINT32_MAX, 0x7fffffff };
	struct srd_bits bits;
	uint32_t first, got;

	(void)state;
	srd_bits_zero(&bits);
	for (size_t i = 0; i < sizeof(psns) / sizeof(*psns); i++) {
		assert_false(srd_bits_test(&bits, psns[i]));
		srd_bits_set(&bits, psns[i]);
		assert_true(srd_bits_test(&bits, psns[i]));
		for (uint32_t at = 0; at < 32; at++) {
			first = psns[i] - at;
			got = srd_bits_get32(&bits, first);
			assert_int_equal(got, 1u << at);
		}
		assert_int_equal(srd_bits_get32(&bits, psns[i] + 1), 0);
		assert_int_equal(srd_bits_get32(&bits, psns[i] - 32), 0);
		srd_bits_clear(&bits, psns[i]);
	}
}

/* Numbers wrap in the middle of gaps of all sorts. */
static void srd_acked__numbers_wrap(void **state)
{
	(void)state;
	for (uint32_t before = 0; before < 40; before++) {
		pair_close(&w);
		pair_init(&w, 2, before);
		w.wire.loss = 10000;
		w.wire.jitter = 30000;
		w.wire.dup = 5000;
		pair_open(&w);
		pair_number(&w, 0u - before);
		for (int i = 0; i < 25; i++) {
			assert_int_equal(pair_send(&w, 0, 1, 3000, true), 0);
			pair_step(&w, w.now + U_MSEC);
		}
		run();
		assert_true(w.node[0].peer[1]->tx_una < 1000);
	}
}

static void srd_ack__one_for_ack_every_packets(void **state)
{
	(void)state;
	for (int i = 0; i < 32; i++)
		assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	run();
	assert_int_equal(stats(0)->tx_data, 32);
	assert_int_equal(stats(1)->tx_acks, 4);
}

static void srd_ack__waits_for_ack_delay(void **state)
{
	uint64_t began = w.now;

	(void)state;
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	pair_drive(&w, 0);
	while (!w.op[0].completed)
		assert_true(pair_step(&w, w.now + U_SEC));
	assert_int_equal(w.now - began, 2 * 10000 + 50000);
}

static void srd_ack__last_packet_of_a_write_asks_at_once(void **state)
{
	uint64_t began = w.now;

	(void)state;
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 3000), 0);
	while (!w.op[0].completed)
		assert_true(pair_step(&w, w.now + U_SEC));
	assert_true(w.now - began < 2 * 10000 + 50000);
}

static void srd_ack__permanent_reordering_costs_no_flood(void **state)
{
	(void)state;
	w.wire.jitter = 40000;
	for (int k = 0; k < 20; k++) {
		for (int i = 0; i < 32; i++)
			assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
		run();
	}
	assert_int_equal(stats(1)->rx_data - stats(1)->duplicates, 640);
	assert_true(stats(1)->tx_acks <= 640 / 3);
}

static void srd_ack__duplicates_are_acknowledged_and_not_delivered(void **state)
{
	(void)state;
	w.wire.dup = 65536;
	for (int i = 0; i < 10; i++)
		assert_int_equal(pair_send(&w, 0, 1, 4000, true), 0);
	run();
	assert_int_equal(stats(1)->duplicates, stats(1)->rx_data / 2);
}

/* The wire had no room for it: it goes out later, and nothing is resent. */
static void srd_unsent__acknowledgement_is_owed_again(void **state)
{
	struct srd *s = w.node[1].srd;
	struct srd_out out[4];

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	w.node[1].asleep = true;
	pair_drive(&w, 0);
	w.node[1].asleep = false;
	while (w.nheap)
		pair_deliver(&w, 0, false);
	assert_int_equal(srd_tx(s, w.now, out, 4), 1);
	assert_true(w.node[1].peer[0]->owes == false);
	srd_unsent(s, out, 1, w.now);
	assert_int_equal(stats(1)->tx_acks, 0);
	assert_false(srd_idle(s));
	run();
	assert_int_equal(stats(1)->tx_acks, 1);
	assert_int_equal(stats(0)->resent, 0);
}

static void srd_ack__credit_is_split_among_senders(void **state)
{
	struct srd_peer_stats ps;

	(void)state;
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	run();
	srd_peer_stats(w.node[0].srd, w.node[0].peer[1], &ps);
	assert_int_equal(ps.credit, 1 << 20);
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	assert_int_equal(pair_send(&w, 2, 1, 100, true), 0);
	run();
	srd_peer_stats(w.node[2].srd, w.node[2].peer[1], &ps);
	assert_int_equal(ps.credit, 1 << 19);
	/* Who has not sent for some time does not count. */
	pair_sleep(&w, 20 * U_MSEC);
	assert_int_equal(pair_send(&w, 2, 1, 100, true), 0);
	run();
	srd_peer_stats(w.node[2].srd, w.node[2].peer[1], &ps);
	assert_int_equal(ps.credit, 1 << 20);
}

static void srd_ack__credit_bounds_what_is_open(void **state)
{
	struct srd_peer_stats ps;
	uint32_t most = 0;

	(void)state;
	pair_close(&w);
	pair_init(&w, 2, 1);
	w.cfg.rx_budget = 8000;
	w.cfg.init_window = 4000;
	pair_open(&w);
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 200000), 0);
	while (pair_step(&w, w.now + U_MSEC)) {
		srd_peer_stats(w.node[0].srd, w.node[0].peer[1], &ps);
		if (ps.in_flight > most)
			most = ps.in_flight;
	}
	pair_check_done(&w);
	assert_true(most > 4000 && most <= 8000);
}

static void srd_peer_stats__round_trip(void **state)
{
	struct srd_peer_stats ps;

	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
		run();
	}
	srd_peer_stats(w.node[0].srd, w.node[0].peer[1], &ps);
	/* Held time is told in units of 64 ns. */
	assert_in_range(ps.srtt, 20000, 20064);
	assert_in_range(ps.base_rtt, 20000, 20064);
	assert_in_range(ps.last_rtt, 20000, 20064);
	assert_int_equal(ps.ended, SRD_OK);
	assert_true(ps.last_heard > 0);
}

static void srd_set_pressure__holds_back_requests_only(void **state)
{
	(void)state;
	srd_set_pressure(w.node[1].srd, true, w.now);
	assert_int_equal(pair_send_request(&w, 0, 1, 100), 0);
	run();
	assert_int_not_equal(pair_send_request(&w, 0, 1, 100), 0);
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	run();
	srd_set_pressure(w.node[1].srd, false, w.now);
	pair_sleep(&w, 100 * U_USEC);
	assert_int_equal(pair_send_request(&w, 0, 1, 100), 0);
	run();
}

/* The word that it is over may get lost. */
static void srd_set_pressure__end_is_asked_for(void **state)
{
	(void)state;
	srd_set_pressure(w.node[1].srd, true, w.now);
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	run();
	assert_int_not_equal(pair_send_request(&w, 0, 1, 100), 0);
	w.wire.cut = UINT64_MAX;
	srd_set_pressure(w.node[1].srd, false, w.now);
	pair_sleep(&w, U_MSEC);
	w.wire.cut = 0;
	assert_int_not_equal(pair_send_request(&w, 0, 1, 100), 0);
	pair_sleep(&w, 20 * U_MSEC);
	assert_int_equal(pair_send_request(&w, 0, 1, 100), 0);
	run();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(srd_bits_get32__across_words_and_the_end),
		TEST(srd_acked__numbers_wrap),
		TEST(srd_ack__one_for_ack_every_packets),
		TEST(srd_ack__waits_for_ack_delay),
		TEST(srd_ack__last_packet_of_a_write_asks_at_once),
		TEST(srd_ack__permanent_reordering_costs_no_flood),
		TEST(srd_ack__duplicates_are_acknowledged_and_not_delivered),
		TEST(srd_unsent__acknowledgement_is_owed_again),
		TEST(srd_ack__credit_is_split_among_senders),
		TEST(srd_ack__credit_bounds_what_is_open),
		TEST(srd_peer_stats__round_trip),
		TEST(srd_set_pressure__holds_back_requests_only),
		TEST(srd_set_pressure__end_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
