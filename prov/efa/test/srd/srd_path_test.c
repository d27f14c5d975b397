/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_path_test.c - which path a packet takes, given what became of others
 *
 * The network is a round trip for each path, or nothing: the packets of a
 * burst go out together and come back together, a round trip later.
 */
#include "srd/srd_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/u_base.h"
#include "util/u_time.h"

#define RTT (12 * U_USEC)
#define N 8
#define PACKET 4096
#define DEAD 0 /* round trip of a path that loses everything */

static const struct srd_paths_config config = {
	.n = N,
	.target_delay = 10 * U_USEC,
	.rtt_guess = 20 * U_USEC,
	.probe_min = 2 * RTT,
	.probe_max = 64 * RTT,
};

static struct srd_paths ps;
static uint64_t rtt_of[SRD_PATHS_MAX];
static uint32_t taken[SRD_PATHS_MAX];
static uint64_t now;

static int setup(void **state)
{
	size_t i;

	(void)state;
	now = U_SEC;
	for (i = 0; i < u_array_size(rtt_of); i++)
		rtt_of[i] = RTT;
	memset(taken, 0, sizeof(taken));
	srd_paths_init(&ps, &config, 7);
	return 0;
}

/* Sends n packets and tells what became of them; time passes. */
static void burst_with(const struct srd_paths_config *c, uint32_t n)
{
	uint8_t path[256];
	uint32_t i;

	for (i = 0; i < n; i++) {
		path[i] = srd_paths_pick(&ps, c, PACKET, -1, now);
		taken[path[i]]++;
	}
	now += RTT;
	for (i = 0; i < n; i++)
		if (rtt_of[path[i]] == DEAD)
			srd_paths_lost(&ps, c, path[i], now);
		else
			srd_paths_delivered(&ps, c, path[i], rtt_of[path[i]], 0,
					    now);
}

static void bursts(uint32_t times, uint32_t n)
{
	memset(taken, 0, sizeof(taken));
	while (times--)
		burst_with(&config, n);
}

static bool suspect(uint8_t path)
{
	return ps.path[path].state == SRD_PATH_SUSPECT;
}

/* --- which to take --- */

static void srd_paths_pick__takes_all_evenly_at_first(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 4 * N; i++)
		taken[srd_paths_pick(&ps, &config, PACKET, -1, now)]++;
	for (i = 0; i < N; i++)
		assert_int_equal(taken[i], 4);
}

static void srd_paths_pick__goes_on_evenly(void **state)
{
	int i;

	(void)state;
	bursts(100, 2 * N);
	for (i = 0; i < N; i++)
		assert_in_range(taken[i], 180, 220);
}

static void srd_paths_pick__same_seed_same_paths(void **state)
{
	uint8_t first[256], differ = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(first); i++)
		first[i] = srd_paths_pick(&ps, &config, PACKET, -1, now);
	srd_paths_init(&ps, &config, 7);
	for (i = 0; i < sizeof(first); i++)
		assert_int_equal(first[i],
				 srd_paths_pick(&ps, &config, PACKET, -1, now));
	srd_paths_init(&ps, &config, 8);
	for (i = 0; i < sizeof(first); i++)
		differ |= first[i] !=
			  srd_paths_pick(&ps, &config, PACKET, -1, now);
	assert_true(differ);
}

static void srd_paths_pick__avoids_one(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_int_not_equal(srd_paths_pick(&ps, &config, PACKET, i % N,
						    now),
				     i % N);
}

static void srd_paths_pick__avoids_the_path_of_the_burst(void **state)
{
	struct srd_paths_config c = config;
	uint8_t first;

	(void)state;
	c.burst = 64 * PACKET;
	first = srd_paths_pick(&ps, &c, PACKET, -1, now);
	assert_int_equal(srd_paths_pick(&ps, &c, PACKET, -1, now), first);
	assert_int_not_equal(srd_paths_pick(&ps, &c, PACKET, first, now),
			     first);
}

static void srd_paths_pick__one_path_is_enough(void **state)
{
	struct srd_paths_config c = config;

	(void)state;
	c.n = 1;
	srd_paths_init(&ps, &c, 7);
	assert_int_equal(srd_paths_pick(&ps, &c, PACKET, -1, now), 0);
	assert_int_equal(srd_paths_pick(&ps, &c, PACKET, 0, now), 0);
	rtt_of[0] = DEAD;
	burst_with(&c, 16);
	assert_true(suspect(0));
	assert_int_equal(srd_paths_pick(&ps, &c, PACKET, 0, now), 0);
}

static void srd_paths_pick__stays_for_a_burst(void **state)
{
	struct srd_paths_config c = config;
	uint8_t path;
	int i, k;

	(void)state;
	c.burst = 4 * PACKET;
	for (i = 0; i < 100; i++) {
		path = srd_paths_pick(&ps, &c, PACKET, -1, now);
		for (k = 1; k < 4; k++)
			assert_int_equal(
				srd_paths_pick(&ps, &c, PACKET, -1, now), path);
	}
	assert_int_equal(ps.path[path].sent % 4, 0);
}

static void srd_paths_pick__bursts_go_on_evenly(void **state)
{
	struct srd_paths_config c = config;
	int i;

	(void)state;
	c.burst = 4 * PACKET;
	for (i = 0; i < 100; i++)
		burst_with(&c, 8 * N);
	for (i = 0; i < N; i++)
		assert_in_range(taken[i], 640, 960);
}

/* --- what they cost --- */

static void srd_paths_delivered__a_slow_path_is_taken_less(void **state)
{
	int i;

	(void)state;
	rtt_of[3] = 10 * RTT;
	bursts(20, 2 * N);
	bursts(100, 2 * N);
	for (i = 0; i < N; i++)
		if (i != 3)
			assert_true(taken[i] > 10 * taken[3]);
	assert_false(suspect(3));
	/* yet often enough to notice that it got better */
	rtt_of[3] = RTT;
	bursts(1000, 2 * N);
	bursts(100, 2 * N);
	assert_true(taken[3] > 50);
}

static void srd_paths_delivered__a_lossy_path_is_taken_less(void **state)
{
	int i, k;
	uint8_t path;

	(void)state;
	memset(taken, 0, sizeof(taken));
	for (i = 0; i < 2000; i++) {
		path = srd_paths_pick(&ps, &config, PACKET, -1, now);
		k = (int)taken[path]++;
		now += U_USEC;
		if (path == 2 && k % 5 == 0)
			srd_paths_lost(&ps, &config, path, now);
		else
			srd_paths_delivered(&ps, &config, path, RTT, 0, now);
	}
	assert_false(suspect(2));
	assert_true(taken[2] < 2000 / N / 2);
}

/* n samples on a path, each overtaken by what was sent lag ns later. */
static void late(uint8_t path, uint64_t lag, int n)
{
	while (n--) {
		now += RTT;
		srd_paths_delivered(&ps, &config, path, RTT + lag, lag, now);
	}
}

static void srd_paths_delivered__a_late_path_is_suspect(void **state)
{
	(void)state;
	bursts(10, N);
	late(3, RTT, 100);
	late(3, 100 * RTT, 2);
	late(3, 0, 1);
	late(3, 100 * RTT, 2);
	assert_false(suspect(3));
	late(3, 100 * RTT, 1);
	assert_true(suspect(3));
	/* what is late says nothing of the network */
	assert_int_equal(srd_paths_base_rtt(&ps, &config), RTT);
	assert_int_equal(srd_paths_queueing(&ps, &config, now), 0);
	late(3, 100 * RTT, 10);
	assert_true(suspect(3));
	late(3, 0, 4);
	assert_false(suspect(3));
}

static void srd_paths_delivered__one_path_is_never_late(void **state)
{
	uint8_t i;

	(void)state;
	bursts(10, N);
	for (i = 0; i < N; i++)
		late(i, 100 * RTT, 10);
	assert_int_equal(ps.nsuspect, N - 1);
}

static void srd_paths_delivered__late_again_is_probed_less(void **state)
{
	uint64_t wait, last = 0;
	int i;

	(void)state;
	bursts(10, N);
	for (i = 0; i < 4; i++) {
		late(3, 100 * RTT, 3);
		assert_true(suspect(3));
		wait = srd_paths_probe_at(&ps, &config) - now;
		assert_true(wait > last);
		last = wait;
		late(3, 0, 4);
		assert_false(suspect(3));
	}
	/* It was good for long: that is forgotten. */
	now += 2 * config.probe_max;
	late(3, 0, 1);
	late(3, 100 * RTT, 3);
	assert_int_equal(srd_paths_probe_at(&ps, &config) - now,
			 config.probe_min);
}

static void srd_paths_queueing__is_that_of_the_median(void **state)
{
	int i;

	(void)state;
	assert_int_equal(srd_paths_queueing(&ps, &config, now), 0);
	bursts(1, 2 * N);
	assert_int_equal(srd_paths_queueing(&ps, &config, now), 0);
	for (i = 0; i < 3; i++)
		rtt_of[i] = 100 * RTT;
	bursts(3, 2 * N);
	assert_int_equal(srd_paths_queueing(&ps, &config, now), 0);
	for (i = 0; i < N; i++)
		rtt_of[i] = 2 * RTT;
	bursts(3, 2 * N);
	assert_int_equal(srd_paths_queueing(&ps, &config, now), RTT);
}

static void srd_paths_base_rtt__is_the_least(void **state)
{
	(void)state;
	assert_int_equal(srd_paths_base_rtt(&ps, &config), config.rtt_guess);
	srd_paths_delivered(&ps, &config, 0, 2 * RTT, 0, now);
	assert_int_equal(srd_paths_base_rtt(&ps, &config), 2 * RTT);
	srd_paths_delivered(&ps, &config, 1, RTT, 0, now);
	srd_paths_delivered(&ps, &config, 2, 3 * RTT, 0, now);
	assert_int_equal(srd_paths_base_rtt(&ps, &config), RTT);
}

static void srd_paths_base_rtt__a_good_guess_is_a_sample(void **state)
{
	struct srd_paths_config c = config;

	(void)state;
	c.rtt_known = true;
	srd_paths_delivered(&ps, &c, 0, 10 * RTT, 0, now);
	assert_int_equal(srd_paths_base_rtt(&ps, &c), c.rtt_guess);
	assert_int_equal(srd_paths_queueing(&ps, &c, now),
			 10 * RTT - c.rtt_guess);
}

static void srd_paths_base_rtt__follows_a_longer_route(void **state)
{
	uint64_t end = now + 600 * U_SEC;

	(void)state;
	bursts(10, N);
	for (; now < end; now += 100 * U_MSEC)
		srd_paths_delivered(&ps, &config, 1, 9 * RTT, 0, now);
	assert_in_range(srd_paths_base_rtt(&ps, &config), 8 * RTT, 9 * RTT);
}

static void srd_paths_base_rtt__hardly_follows_a_queue(void **state)
{
	uint64_t end = now + 10 * U_MSEC;

	(void)state;
	bursts(10, N);
	for (; now < end; now += RTT)
		srd_paths_delivered(&ps, &config, 1, 2 * RTT, 0, now);
	assert_in_range(srd_paths_base_rtt(&ps, &config), RTT, RTT + RTT / 4);
}

static void srd_paths_reorder_window__grows_with_jitter(void **state)
{
	uint64_t calm, wild;
	int i;

	(void)state;
	assert_int_equal(srd_paths_reorder_window(&ps, &config, 0),
			 config.rtt_guess);
	for (i = 0; i < 50; i++) {
		now += RTT;
		srd_paths_delivered(&ps, &config, 0, RTT, 0, now);
		srd_paths_delivered(&ps, &config, 1, RTT + i % 2 * RTT, 0, now);
	}
	calm = srd_paths_reorder_window(&ps, &config, 0);
	wild = srd_paths_reorder_window(&ps, &config, 1);
	assert_in_range(calm, RTT / 8, RTT / 2);
	assert_true(wild > 2 * calm);
}

/* --- good and bad ones --- */

static void srd_paths_lost__a_black_hole_is_suspect_soon(void **state)
{
	(void)state;
	bursts(10, N);
	assert_int_equal(srd_paths_probe(&ps, &config, now), -1);
	assert_int_equal(srd_paths_probe_at(&ps, &config), UINT64_MAX);
	rtt_of[5] = DEAD;
	bursts(500, N);
	assert_true(suspect(5));
	assert_in_range(taken[5], 3, 6);
	bursts(100, N);
	assert_int_equal(taken[5], 0);
}

static void srd_paths_lost__rare_losses_are_no_suspicion(void **state)
{
	int i, k;

	(void)state;
	for (i = 0; i < 10000; i++) {
		k = i % N;
		now += U_USEC;
		if (i % 20 == 0)
			srd_paths_lost(&ps, &config, (uint8_t)k, now);
		else
			srd_paths_delivered(&ps, &config, (uint8_t)k, RTT, 0,
					    now);
	}
	assert_int_equal(ps.nsuspect, 0);
}

static void srd_paths_lost__a_lost_burst_is_one_loss(void **state)
{
	struct srd_paths_config c = config;
	int i;

	(void)state;
	c.burst = 64 * PACKET;
	bursts(10, N);
	now += RTT;
	for (i = 0; i < 64; i++)
		srd_paths_lost(&ps, &c, 4, now);
	assert_false(suspect(4));
	assert_int_equal(ps.path[4].lost, 64);
	for (i = 0; i < 3; i++)
		srd_paths_lost(&ps, &c, 4, now + (uint64_t)i * RTT + 1);
	assert_true(suspect(4));
}

static void srd_paths_lost__patient_where_all_lose(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 64 * N; i++) {
		now += U_USEC;
		if (i / N % 2)
			srd_paths_lost(&ps, &config, (uint8_t)(i % N), now);
		else
			srd_paths_delivered(&ps, &config, (uint8_t)(i % N), RTT,
					    0, now);
	}
	for (i = 0; i < 4; i++)
		srd_paths_lost(&ps, &config, 3, now);
	assert_int_equal(ps.nsuspect, 0);
}

static void srd_paths_probe__brings_a_path_back(void **state)
{
	uint64_t at;
	int i;

	(void)state;
	bursts(10, N);
	rtt_of[5] = DEAD;
	bursts(500, N);
	assert_true(suspect(5));
	at = srd_paths_probe_at(&ps, &config);
	assert_true(at != UINT64_MAX);
	if (at < now)
		at = now;
	assert_int_equal(srd_paths_probe(&ps, &config, at), 5);
	assert_int_equal(srd_paths_probe(&ps, &config, at), -1);
	for (i = 0; i < 10 && suspect(5); i++) {
		at = srd_paths_probe_at(&ps, &config);
		assert_int_equal(srd_paths_probe(&ps, &config, at), 5);
		srd_paths_delivered(&ps, &config, 5, RTT, 0, at + RTT);
	}
	assert_in_range(i, 1, 4);
	assert_int_equal(ps.nsuspect, 0);
	assert_int_equal(srd_paths_probe_at(&ps, &config), UINT64_MAX);
	rtt_of[5] = RTT;
	now = at + 2 * RTT;
	bursts(200, N);
	assert_true(taken[5] > 50);
}

static void srd_paths_probe__waits_longer_each_time(void **state)
{
	uint64_t at, last = 0, wait = 0;
	int i;

	(void)state;
	rtt_of[5] = DEAD;
	bursts(500, N);
	for (i = 0; i < 40; i++) {
		at = srd_paths_probe_at(&ps, &config);
		assert_int_equal(srd_paths_probe(&ps, &config, at), 5);
		if (last)
			assert_true(at - last >= wait);
		wait = last ? at - last : 0;
		last = at;
	}
	assert_int_equal(wait, config.probe_max);
}

static void srd_paths_lost__all_suspect_and_still_sends(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < N; i++)
		rtt_of[i] = DEAD;
	bursts(200, 2 * N);
	assert_int_equal(ps.nsuspect, N);
	bursts(10, 2 * N);
	for (i = 0; i < N; i++)
		assert_true(taken[i] > 0);
	for (i = 0; i < N; i++)
		assert_int_not_equal(
			srd_paths_pick(&ps, &config, PACKET, i, now), i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			srd_paths_pick__takes_all_evenly_at_first, setup),
		cmocka_unit_test_setup(srd_paths_pick__goes_on_evenly, setup),
		cmocka_unit_test_setup(srd_paths_pick__same_seed_same_paths,
				       setup),
		cmocka_unit_test_setup(srd_paths_pick__avoids_one, setup),
		cmocka_unit_test_setup(
			srd_paths_pick__avoids_the_path_of_the_burst, setup),
		cmocka_unit_test_setup(srd_paths_pick__one_path_is_enough,
				       setup),
		cmocka_unit_test_setup(srd_paths_pick__stays_for_a_burst,
				       setup),
		cmocka_unit_test_setup(srd_paths_pick__bursts_go_on_evenly,
				       setup),
		cmocka_unit_test_setup(
			srd_paths_delivered__a_slow_path_is_taken_less, setup),
		cmocka_unit_test_setup(
			srd_paths_delivered__a_lossy_path_is_taken_less, setup),
		cmocka_unit_test_setup(
			srd_paths_delivered__a_late_path_is_suspect, setup),
		cmocka_unit_test_setup(
			srd_paths_delivered__one_path_is_never_late, setup),
		cmocka_unit_test_setup(
			srd_paths_delivered__late_again_is_probed_less, setup),
		cmocka_unit_test_setup(
			srd_paths_queueing__is_that_of_the_median, setup),
		cmocka_unit_test_setup(srd_paths_base_rtt__is_the_least, setup),
		cmocka_unit_test_setup(
			srd_paths_base_rtt__a_good_guess_is_a_sample, setup),
		cmocka_unit_test_setup(
			srd_paths_base_rtt__follows_a_longer_route, setup),
		cmocka_unit_test_setup(
			srd_paths_base_rtt__hardly_follows_a_queue, setup),
		cmocka_unit_test_setup(
			srd_paths_reorder_window__grows_with_jitter, setup),
		cmocka_unit_test_setup(
			srd_paths_lost__a_black_hole_is_suspect_soon, setup),
		cmocka_unit_test_setup(
			srd_paths_lost__rare_losses_are_no_suspicion, setup),
		cmocka_unit_test_setup(srd_paths_lost__a_lost_burst_is_one_loss,
				       setup),
		cmocka_unit_test_setup(srd_paths_lost__patient_where_all_lose,
				       setup),
		cmocka_unit_test_setup(srd_paths_probe__brings_a_path_back,
				       setup),
		cmocka_unit_test_setup(srd_paths_probe__waits_longer_each_time,
				       setup),
		cmocka_unit_test_setup(
			srd_paths_lost__all_suspect_and_still_sends, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
