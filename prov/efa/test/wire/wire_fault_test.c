/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_fault_test.c - what befalls packets, and how often
 *
 * Seeds are fixed, so that a rate within its bounds stays there; the bounds
 * are five standard deviations of what the dice should do.
 */
#include "wire_fault_fixture.h"

#include <stdio.h>
#include <string.h>

#include "util/u_time.h"

static void wire_fault_filter__passes_all_without_a_fault(void **state)
{
	struct fixture *f = *state;
	int i;

	open_with(f, (struct wire_fault_config){ 0 });
	packets_fill(f, BURST);
	assert_int_equal(wire_fault_filter(f->f, f->in, BURST, f->out,
					   BURST + 1, f->now),
			 BURST);
	/* Unchanged, and no copies. */
	for (i = 0; i < BURST; i++) {
		assert_ptr_equal(f->out[i].hdr, f->in[i].hdr);
		assert_ptr_equal(f->out[i].data, f->in[i].data);
		assert_int_equal(f->out[i].qpn, 1000 + i);
	}
	assert_true(wire_fault_due(f->f) == UINT64_MAX);
}

static void wire_fault_filter__loses_as_often_as_asked(void **state)
{
	struct fixture *f = *state;

	open_with(f, (struct wire_fault_config){ .loss = PERCENT });
	run(f);
	assert_rate(stats(f)->lost, stats(f)->packets, 1);
	assert_int_equal(f->seen, stats(f)->packets - stats(f)->lost);
	assert_balanced(f);
	assert_true(in_order(f));
}

static void wire_fault_filter__loses_all_when_asked(void **state)
{
	struct fixture *f = *state;

	open_with(f, (struct wire_fault_config){ .loss = UINT32_MAX });
	run(f);
	assert_int_equal(f->seen, 0);
	assert_balanced(f);
}

/* Runs of numbers that are missing; returns how many, and their length. */
static uint32_t count_gaps(const struct fixture *f, uint32_t *missing)
{
	uint32_t i, gaps = 0;

	*missing = 0;
	for (i = 0; i < f->next; i++) {
		*missing += !f->times[i];
		gaps += !f->times[i] && (!i || f->times[i - 1]);
	}
	return gaps;
}

static void wire_fault_filter__loses_in_bursts(void **state)
{
	struct fixture *f = *state;
	uint32_t gaps, missing;

	open_with(f, (struct wire_fault_config){ .burst = PERCENT / 4,
						 .burst_len = 20 });
	run(f);
	gaps = count_gaps(f, &missing);
	assert_int_equal(missing, stats(f)->lost);
	/* One can begin where another ends, so that the two are one gap. */
	assert_rate(gaps, f->seen, 0.25);
	assert_true(missing > gaps * 16 && missing < gaps * 25);
	assert_balanced(f);
}

static void wire_fault_filter__bursts_are_of_eight_by_default(void **state)
{
	struct fixture *f = *state;
	uint32_t gaps, missing;

	open_with(f, (struct wire_fault_config){ .burst = PERCENT / 4 });
	run(f);
	gaps = count_gaps(f, &missing);
	assert_true(missing > gaps * 7 && missing < gaps * 9);
}

static void wire_fault_filter__doubles_as_often_as_asked(void **state)
{
	struct fixture *f = *state;
	uint32_t i, twice = 0;

	open_with(f, (struct wire_fault_config){ .duplicate = 3 * PERCENT });
	run(f);
	for (i = 0; i < f->next; i++) {
		assert_true(f->times[i] == 1 || f->times[i] == 2);
		twice += f->times[i] == 2;
	}
	assert_int_equal(twice, stats(f)->duplicated);
	assert_rate(twice, f->next, 3);
	assert_true(in_order(f));
	assert_balanced(f);
}

static int bits_changed(const struct wire_out *out, const struct packet *p)
{
	const uint8_t *hdr = out->hdr, *data = out->data;
	int i, n = 0;

	for (i = 0; i < HDR; i++)
		n += __builtin_popcount(hdr[i] ^ p->hdr[i]);
	for (i = 0; i < DATA; i++)
		n += __builtin_popcount(data[i] ^ p->data[i]);
	return n;
}

static void wire_fault_filter__corrupts_a_copy(void **state)
{
	struct fixture *f = *state;
	uint32_t i, k, changed = 0, of[5] = { 0 };
	int n;

	open_with(f, (struct wire_fault_config){ .corrupt = 5 * PERCENT });
	for (i = 0; i < MANY / BURST; i++) {
		packets_fill(f, BURST);
		assert_int_equal(wire_fault_filter(f->f, f->in, BURST, f->out,
						   ROOM, f->now),
				 BURST);
		for (k = 0; k < BURST; k++) {
			assert_true(is_whole(&f->in[k]));
			n = bits_changed(&f->out[k], &f->packet[k]);
			assert_true(n <= 4);
			of[n]++;
			changed += n > 0;
			assert_int_equal(n > 0, f->out[k].hdr != f->in[k].hdr);
		}
	}
	assert_int_equal(changed, stats(f)->corrupted);
	assert_rate(changed, f->next, 5);
	for (i = 1; i <= 4; i++)
		assert_rate(of[i], changed, 25);
}

static void wire_fault_filter__corrupts_no_empty_packet(void **state)
{
	struct fixture *f = *state;
	struct wire_out empty = { .gid = their_gid }, out[2];

	open_with(f, (struct wire_fault_config){ .corrupt = UINT32_MAX });
	assert_int_equal(wire_fault_filter(f->f, &empty, 1, out, 2, f->now), 1);
	assert_int_equal(stats(f)->corrupted, 0);
}

static int seen_on(struct fixture *f, uint8_t path)
{
	f->path = path;
	return burst(f, BURST, ROOM);
}

static void wire_fault_filter__black_path_in_its_time_only(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->now;

	open_with(f, (struct wire_fault_config){
			     .black = {
				     .paths = 1u << 0 | 1u << 3,
				     .from = 2 * U_SEC,
				     .until = 5 * U_SEC,
			     } });
	assert_int_equal(seen_on(f, 3), BURST);
	f->now = start + 2 * U_SEC - 1;
	assert_int_equal(seen_on(f, 0), BURST);
	f->now = start + 2 * U_SEC;
	assert_int_equal(seen_on(f, 0), 0);
	assert_int_equal(seen_on(f, 1), BURST);
	assert_int_equal(seen_on(f, 3), 0);
	assert_int_equal(seen_on(f, 64), BURST);
	f->now = start + 5 * U_SEC - 1;
	assert_int_equal(seen_on(f, 0), 0);
	f->now = start + 5 * U_SEC;
	assert_int_equal(seen_on(f, 0), BURST);
	assert_int_equal(stats(f)->black, 3 * BURST);
	assert_balanced(f);
}

static void wire_fault_filter__black_for_ever(void **state)
{
	struct fixture *f = *state;

	open_with(f, (struct wire_fault_config){ .black.paths = UINT64_MAX });
	assert_int_equal(seen_on(f, 0), 0);
	f->now += 1000 * U_SEC;
	assert_int_equal(seen_on(f, 63), 0);
	assert_int_equal(seen_on(f, 200), 0);
}

static void wire_fault_filter__slow_path_in_its_time_only(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->now;

	open_with(f, (struct wire_fault_config){
			     .slow = { 1u << 3, 2 * U_SEC, 5 * U_SEC },
			     .slow_ns = 7 * U_MSEC });
	assert_int_equal(seen_on(f, 3), BURST);
	f->now = start + 2 * U_SEC;
	assert_int_equal(seen_on(f, 3), 0);
	assert_int_equal(wire_fault_due(f->f), f->now + 7 * U_MSEC);
	assert_int_equal(seen_on(f, 1), BURST);
	f->now = start + 5 * U_SEC;
	assert_int_equal(seen_on(f, 3), 2 * BURST);
	assert_balanced(f);
}

static const struct wire_fault_config everything = {
	.loss = 2 * PERCENT,
	.burst = PERCENT / 10,
	.reorder = 10 * PERCENT,
	.duplicate = 3 * PERCENT,
	.corrupt = 0,
	.delay_ns = 20 * U_USEC,
	.jitter_ns = 5 * U_USEC,
	.black = { 1, 500 * U_USEC, 600 * U_USEC },
	.slow = { 2, 400 * U_USEC, 500 * U_USEC },
	.slow_ns = 100 * U_USEC,
	.seed = 4711,
};

static uint32_t first_run[2 * MANY];

static bool runs_alike(struct fixture *f, uint64_t a, uint64_t b)
{
	struct wire_fault_config c = everything;
	uint32_t seen;
	void *state = f;

	c.seed = a;
	open_with(f, c);
	run(f);
	assert_balanced(f);
	seen = f->seen;
	memcpy(first_run, f->at, seen * sizeof(*f->at));
	fixture_close(&state);
	fixture_open(&state);
	c.seed = b;
	open_with(f, c);
	run(f);
	return f->seen == seen &&
	       !memcmp(first_run, f->at, seen * sizeof(*f->at));
}

static void wire_fault_filter__same_seed_same_result(void **state)
{
	assert_true(runs_alike(*state, 4711, 4711));
}

static void wire_fault_filter__other_seed_other_result(void **state)
{
	assert_false(runs_alike(*state, 4711, 4712));
}

static void wire_fault_open__draws_and_logs_a_seed(void **state)
{
	struct fixture *f = *state;
	struct wire_fault_config c = { .loss = PERCENT };
	struct wire_fault *other;
	char first[sizeof(f->log)];

	assert_int_equal(wire_fault_open(&c, f->now, &f->f), 0);
	assert_non_null(strstr(f->log, "0 packets are spoilt"));
	assert_non_null(strstr(f->log, "seed="));
	strcpy(first, f->log);
	assert_int_equal(wire_fault_open(&c, f->now, &other), 0);
	assert_string_not_equal(first, f->log);
	wire_fault_close(other);
}

#define ONE(test) \
	cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(wire_fault_filter__passes_all_without_a_fault),
		ONE(wire_fault_filter__loses_as_often_as_asked),
		ONE(wire_fault_filter__loses_all_when_asked),
		ONE(wire_fault_filter__loses_in_bursts),
		ONE(wire_fault_filter__bursts_are_of_eight_by_default),
		ONE(wire_fault_filter__doubles_as_often_as_asked),
		ONE(wire_fault_filter__corrupts_a_copy),
		ONE(wire_fault_filter__corrupts_no_empty_packet),
		ONE(wire_fault_filter__black_path_in_its_time_only),
		ONE(wire_fault_filter__black_for_ever),
		ONE(wire_fault_filter__slow_path_in_its_time_only),
		ONE(wire_fault_filter__same_seed_same_result),
		ONE(wire_fault_filter__other_seed_other_result),
		ONE(wire_fault_open__draws_and_logs_a_seed),
	};

	return cmocka_run_group_tests_name("wire_fault", tests, NULL, NULL);
}
