/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_loss_test.c - losses are noticed soon, and only where there are any
 */
#include "srd/srd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "srd/srd_priv.h"
#include "srd_pair.h"

static struct pair w;
static uint32_t drop_first, drop_n; /* packets of data, counted from 0 */
static uint32_t seen;

/* Drops packets of data of node 0 by their order. */
static bool drop_some(struct pair *pair, int from, int to,
		      const struct srd_out *out)
{
	const uint8_t *hdr = out->hdr;

	(void)pair;
	(void)to;
	if (from != 0 || hdr[1] != SRD_PKT_DATA)
		return false;
	seen++;
	return seen > drop_first && seen <= drop_first + drop_n;
}

static int setup(void **state)
{
	(void)state;
	pair_init(&w, 2, 1);
	w.cfg.paths = 4;
	pair_open(&w);
	drop_first = drop_n = seen = 0;
	w.tap = drop_some;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pair_close(&w);
	return 0;
}

static const struct srd_stats *stats(void)
{
	return srd_stats(w.node[0].srd);
}

static void run(void)
{
	assert_true(pair_run(&w, w.now + U_SEC));
	pair_check_done(&w);
}

/* A round trip is known, and both are idle. */
static void warm_up(void)
{
	for (int i = 0; i < 8; i++) {
		assert_int_equal(pair_send(&w, 0, 1, 10, true), 0);
		run();
	}
	seen = 0;
}

static void srd_loss__gap_is_filled_in_about_a_round_trip(void **state)
{
	uint64_t began;

	(void)state;
	warm_up();
	drop_first = 3;
	drop_n = 1;
	began = w.now;
	for (int i = 0; i < 20; i++)
		assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
	run();
	assert_int_equal(stats()->resent, 1);
	assert_int_equal(stats()->timeouts, 0);
	assert_int_equal(stats()->resent_spurious, 0);
	/* 20 us a round trip, and what acknowledgements wait */
	assert_true(w.now - began < 400 * U_USEC);
}

static void srd_loss__tail_is_probed_before_the_timeout(void **state)
{
	(void)state;
	warm_up();
	drop_first = 0;
	drop_n = 1;
	assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
	run();
	assert_int_equal(stats()->resent, 1);
	assert_int_equal(stats()->tail_probes, 1);
	assert_int_equal(stats()->timeouts, 0);
}

/* What was heard of the first packets does not put off the last ones. */
static void srd_loss__tail_is_missed_from_its_sending_on(void **state)
{
	uint64_t began;

	(void)state;
	warm_up();
	drop_first = 8;
	drop_n = 2;
	began = w.now;
	for (int i = 0; i < 10; i++)
		assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
	while (!stats()->tail_probes)
		assert_true(pair_step(&w, began + U_SEC));
	/* 20 us a round trip, a quarter of it, and ack_delay */
	assert_in_range(w.now - began, 75 * U_USEC, 80 * U_USEC);
	run();
	assert_int_equal(stats()->resent_spurious, 0);
}

/* 0.5, 1, 2 and then 4 ms for a while, since a full queue is no silent peer */
static void srd_loss__stranger_is_asked_often_at_first(void **state)
{
	(void)state;
	w.wire.cut = UINT64_MAX;
	assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
	pair_sleep(&w, 38 * U_MSEC);
	assert_int_equal(stats()->timeouts, 11);
	pair_sleep(&w, 100 * U_MSEC);
	assert_in_range(stats()->timeouts, 13, 16);
	w.wire.cut = 0;
	run();
}

static void srd_loss__first_packet_is_sent_again_within_a_ms(void **state)
{
	uint64_t began = w.now;

	(void)state;
	drop_n = 1;
	assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
	run();
	assert_int_equal(stats()->timeouts, 1);
	assert_true(w.now - began < U_MSEC);
}

static void srd_loss__whole_flight_lost(void **state)
{
	(void)state;
	warm_up();
	drop_n = 21;
	for (int i = 0; i < 20; i++)
		assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
	run();
	assert_true(stats()->resent >= 20 && stats()->resent < 30);
}

/*
 * A receiver without a block drops what is not the next number: however often
 * others are resent, it is that one which has to come.
 */
static bool only_the_next(struct pair *pair, int from, int to,
			  const struct srd_out *out)
{
	const uint8_t *hdr = out->hdr;
	uint32_t psn;

	if (from != 0 || hdr[1] != SRD_PKT_DATA)
		return false;
	memcpy(&psn, hdr + SRD_BASE_LEN, sizeof(psn));
	return pair->now < 100 * U_MSEC ||
	       psn != pair->node[to].peer[0]->rx_cum;
}

static void srd_loss__timeout_resends_the_lowest_number(void **state)
{
	(void)state;
	w.tap = only_the_next;
	for (int i = 0; i < 30; i++)
		assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
	assert_true(pair_run(&w, w.now + 9 * U_SEC));
	pair_check_done(&w);
}

static void srd_loss__silent_peer_is_asked_ever_less(void **state)
{
	uint64_t resent, sent;

	(void)state;
	w.cfg.peer_timeout = 10 * U_SEC;
	warm_up();
	w.wire.cut = UINT64_MAX;
	for (int i = 0; i < 20; i++)
		assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
	pair_sleep(&w, 5 * U_SEC);
	resent = stats()->resent;
	sent = w.sent;
	pair_sleep(&w, U_SEC);
	/* rto_max is 100 ms, two packets each time */
	assert_true(stats()->resent - resent >= 18);
	assert_true(stats()->resent - resent <= 22);
	assert_true(w.sent - sent <= 24);
	w.wire.cut = 0;
	run();
}

static void srd_loss__reordering_is_no_loss(void **state)
{
	(void)state;
	w.tap = NULL;
	warm_up();
	w.wire.late = 6554;
	w.wire.late_by = 5000; /* a quarter of a round trip */
	for (int k = 0; k < 100; k++) {
		for (int i = 0; i < 10; i++)
			assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
		run();
	}
	assert_true(stats()->resent <= 10);
}

static void send_rounds(int rounds)
{
	for (int k = 0; k < rounds; k++) {
		for (int i = 0; i < 10; i++)
			assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
		run();
	}
}

static uint8_t reo_scale(void)
{
	return w.node[0].peer[1]->active->reo_scale;
}

static void srd_loss__needless_resends_widen_the_window(void **state)
{
	(void)state;
	w.tap = NULL;
	warm_up();
	assert_int_equal(reo_scale(), 1);
	w.wire.late = 6554;
	w.wire.late_by = 100 * U_USEC; /* five round trips */
	send_rounds(50);
	assert_true(stats()->resent_spurious > 0);
	assert_true(reo_scale() > 1);
	/* Each 1024 packets of calm halve it: it was 16 at most. */
	w.wire.late = 0;
	send_rounds(350);
	assert_true(reo_scale() <= 2);
}

static void srd_loss__black_path_is_left(void **state)
{
	struct srd_path_stats path;
	uint64_t resent;

	(void)state;
	w.tap = NULL;
	w.wire.black_paths = 2;
	for (int k = 0; k < 50; k++) {
		for (int i = 0; i < 20; i++)
			assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
		run();
	}
	assert_true(srd_peer_path(w.node[0].srd, w.node[0].peer[1], 1, &path));
	assert_true(path.suspect);
	assert_false(srd_peer_path(w.node[0].srd, w.node[0].peer[1], 4, &path));
	resent = stats()->resent;
	for (int i = 0; i < 20; i++)
		assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
	run();
	assert_int_equal(stats()->resent, resent);
}

/* There is never a second packet to tell of the first. */
static void srd_loss__black_path_is_left_by_single_packets(void **state)
{
	struct srd_path_stats path;

	(void)state;
	w.tap = NULL;
	warm_up();
	w.wire.black_paths = 2;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
		run();
	}
	assert_true(srd_peer_path(w.node[0].srd, w.node[0].peer[1], 1, &path));
	assert_true(path.suspect);
	assert_true(stats()->tail_probes < 20);
}

/* What was overtaken on its own path is lost, whatever round trips take. */
static void srd_loss__overtaken_on_its_own_path(void **state)
{
	uint64_t began;

	(void)state;
	warm_up();
	w.node[0].peer[1]->srtt = 10 * U_MSEC;
	drop_n = 1;
	began = w.now;
	for (int i = 0; i < 32 && stats()->resent == 0; i++) {
		assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
		pair_sleep(&w, 5 * U_USEC);
	}
	assert_int_equal(stats()->resent, 1);
	assert_true(w.now - began < 150 * U_USEC);
	run();
}

static void srd_loss__path_that_heals_is_taken_again(void **state)
{
	struct srd_path_stats path;

	(void)state;
	srd_loss__black_path_is_left(state);
	w.wire.black_paths = 0;
	for (int k = 0; k < 400; k++) {
		assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
		run();
		pair_sleep(&w, 5 * U_MSEC);
	}
	assert_true(stats()->path_probes > 0);
	assert_true(srd_peer_path(w.node[0].srd, w.node[0].peer[1], 1, &path));
	assert_false(path.suspect);
}

static bool path_is_suspect(uint32_t i)
{
	struct srd_path_stats path;

	assert_true(srd_peer_path(w.node[0].srd, w.node[0].peer[1], i, &path));
	return path.suspect;
}

/* n messages, 16 under way; the virtual time until all are acknowledged. */
static uint64_t stream(int n)
{
	uint64_t began = w.now;

	while (n-- > 0 || w.ncompleted < w.nops) {
		if (n >= 0)
			assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
		while (w.nops - w.ncompleted > (n > 0 ? 15 : 0))
			assert_true(pair_step(&w, began + 10 * U_SEC));
	}
	return w.now - began;
}

/* What went there is sent again by others, and little goes there after. */
static void srd_loss__slow_path_is_left(void **state)
{
	uint64_t whole, resent;

	(void)state;
	w.tap = NULL;
	warm_up();
	whole = stream(1000);
	w.wire.slow_paths = 2;
	w.wire.slow_by = 20 * U_MSEC;
	assert_in_range(stream(1000), whole, whole + w.wire.slow_by / 8);
	assert_true(path_is_suspect(1));
	assert_false(path_is_suspect(0));
	/* What was late has arrived, which is no reason to go there again. */
	pair_sleep(&w, 4 * w.wire.slow_by);
	assert_true(path_is_suspect(1));
	resent = stats()->resent;
	assert_in_range(stream(1000), 1, whole + w.wire.slow_by / 100);
	assert_int_equal(stats()->resent, resent);
	assert_int_equal(reo_scale(), 1);
}

static void srd_loss__slow_path_that_heals_is_taken_again(void **state)
{
	srd_loss__slow_path_is_left(state);
	w.wire.slow_paths = 0;
	for (int i = 0; i < 100 && path_is_suspect(1); i++) {
		stream(10);
		pair_sleep(&w, 5 * U_MSEC);
	}
	assert_false(path_is_suspect(1));
}

static void srd_unsent__goes_out_first_and_is_no_resend(void **state)
{
	struct srd *s = w.node[0].srd;
	struct srd_out out[8];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pair_send(&w, 0, 1, 1000, true), 0);
	assert_int_equal(srd_tx(s, w.now, out, 8), 4);
	srd_unsent(s, out, 4, w.now);
	assert_int_equal(stats()->tx_packets, 0);
	assert_int_equal(stats()->tx_bytes, 0);
	assert_true(srd_deadline(s) <= w.now);
	run();
	assert_int_equal(stats()->tx_data, 4);
	assert_int_equal(stats()->resent, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(srd_loss__gap_is_filled_in_about_a_round_trip),
		TEST(srd_loss__tail_is_probed_before_the_timeout),
		TEST(srd_loss__tail_is_missed_from_its_sending_on),
		TEST(srd_loss__stranger_is_asked_often_at_first),
		TEST(srd_loss__first_packet_is_sent_again_within_a_ms),
		TEST(srd_loss__whole_flight_lost),
		TEST(srd_loss__timeout_resends_the_lowest_number),
		TEST(srd_loss__silent_peer_is_asked_ever_less),
		TEST(srd_loss__reordering_is_no_loss),
		TEST(srd_loss__needless_resends_widen_the_window),
		TEST(srd_loss__black_path_is_left),
		TEST(srd_loss__black_path_is_left_by_single_packets),
		TEST(srd_loss__overtaken_on_its_own_path),
		TEST(srd_loss__path_that_heals_is_taken_again),
		TEST(srd_loss__slow_path_is_left),
		TEST(srd_loss__slow_path_that_heals_is_taken_again),
		TEST(srd_unsent__goes_out_first_and_is_no_resend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
