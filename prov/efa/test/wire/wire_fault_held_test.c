/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_fault_held_test.c - packets that leave late, their order and their limit
 */
#include "wire_fault_fixture.h"

#include "wire/wire_fault_priv.h"

#include <stdlib.h>
#include <string.h>

#include "util/u_base.h"
#include "util/u_time.h"

static void wire_fault_filter__delays_all_by_the_same(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->now;

	open_with(f, (struct wire_fault_config){ .delay_ns = 20 * U_USEC });
	assert_int_equal(burst(f, BURST, ROOM), 0);
	assert_true(wire_fault_due(f->f) == start + 20 * U_USEC);
	f->now = start + 7 * U_USEC;
	assert_int_equal(burst(f, BURST, ROOM), 0);
	f->now = start + 20 * U_USEC - 1;
	assert_int_equal(burst(f, 0, ROOM), 0);
	f->now = start + 20 * U_USEC;
	assert_int_equal(burst(f, 0, ROOM), BURST);
	assert_true(wire_fault_due(f->f) == start + 27 * U_USEC);
	/* Those that were lent came back whole, as the copies they are. */
	drain(f);
	assert_int_equal(f->seen, 2 * BURST);
	assert_true(in_order(f));
	assert_balanced(f);
}

static void wire_fault_filter__keeps_order_while_it_delays(void **state)
{
	struct fixture *f = *state;

	open_with(f, (struct wire_fault_config){ .delay_ns = 30 * U_USEC,
						 .loss = PERCENT,
						 .duplicate = PERCENT });
	run(f);
	assert_true(in_order(f));
	assert_balanced(f);
}

static void wire_fault_filter__spreads_jitter_evenly(void **state)
{
	struct fixture *f = *state;
	uint64_t opened = f->now;
	int i, half[2] = { 0 };

	open_with(f, (struct wire_fault_config){ .delay_ns = 100 * U_USEC,
						 .jitter_ns = 50 * U_USEC });
	for (i = 0; i < 100; i++)
		burst(f, BURST, ROOM);
	while (wire_fault_due(f->f) != UINT64_MAX) {
		f->now = wire_fault_due(f->f);
		assert_true(f->now >= opened + 100 * U_USEC);
		assert_true(f->now <= opened + 150 * U_USEC);
		half[f->now >= opened + 125 * U_USEC] += burst(f, 0, ROOM);
	}
	assert_rate((uint64_t)half[0], 100 * BURST, 50);
	assert_false(in_order(f));
	assert_balanced(f);
}

static void wire_fault_filter__holds_some_back(void **state)
{
	struct fixture *f = *state;
	uint32_t i, latest = 0, late = 0;

	open_with(f, (struct wire_fault_config){ .reorder = 10 * PERCENT,
						 .reorder_ns = 9 * U_USEC });
	run(f);
	for (i = 0; i < f->seen; i++) {
		late += f->at[i] < latest;
		/* 9 us are 9 bursts. */
		assert_true(f->at[i] + 10 * BURST > latest);
		latest = f->at[i] > latest ? f->at[i] : latest;
	}
	assert_int_equal(f->seen, f->next);
	assert_rate(stats(f)->reordered, f->next, 10);
	assert_true(late > stats(f)->reordered * 9 / 10);
	assert_balanced(f);
}

static void wire_fault_filter__holds_back_for_200_us_by_default(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->now;
	int i;

	open_with(f, (struct wire_fault_config){ .reorder = UINT32_MAX });
	for (i = 0; i < 100; i++)
		assert_int_equal(burst(f, BURST, ROOM), 0);
	f->now = start + 198 * U_USEC;
	for (i = 0; i < 100; i++)
		burst(f, 0, ROOM);
	assert_true(f->seen < 100 * BURST);
	f->now = start + 200 * U_USEC;
	burst(f, 0, ROOM);
	assert_int_equal(f->seen, 100 * BURST);
}

/* The smallest room there may be: a backlog waits, and nothing is lost. */
static void wire_fault_filter__respects_max(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	open_with(f, (struct wire_fault_config){ .duplicate = 20 * PERCENT,
						 .delay_ns = 5 * U_USEC });
	for (i = 0; i < 200; i++) {
		burst(f, BURST - 8, BURST - 7);
		f->now += U_USEC;
	}
	assert_true(wire_fault_due(f->f) < f->now);
	while (wire_fault_due(f->f) != UINT64_MAX) {
		f->now = u_max(f->now, wire_fault_due(f->f));
		assert_true(burst(f, 0, 1) == 1);
	}
	assert_int_equal(f->seen, f->next + stats(f)->duplicated);
	assert_int_equal(stats(f)->overflow, 0);
	assert_true(in_order(f));
	assert_balanced(f);
}

/* More copies than there is room for at once: the rest waits, in order. */
static void wire_fault_filter__holds_the_doubles_that_do_not_fit(void **state)
{
	struct fixture *f = *state;

	open_with(f, (struct wire_fault_config){ .duplicate = UINT32_MAX });
	assert_int_equal(burst(f, BURST, BURST + 1), BURST + 1);
	assert_true(wire_fault_due(f->f) == f->now);
	assert_int_equal(burst(f, 1, 8), 8);
	assert_int_equal(burst(f, 0, ROOM), 2 * BURST + 2 - BURST - 1 - 8);
	assert_true(in_order(f));
	assert_balanced(f);
}

static void wire_fault_filter__counts_what_it_cannot_hold(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	open_with(f, (struct wire_fault_config){ .delay_ns = U_SEC });
	for (i = 0; i < 200; i++)
		assert_int_equal(burst(f, BURST, ROOM), 0);
	assert_int_equal(stats(f)->overflow, 200 * BURST - WIRE_FAULT_COPIES);
	drain(f);
	assert_int_equal(f->seen, WIRE_FAULT_COPIES);
	assert_balanced(f);
	/* And then it holds as many again. */
	for (i = 0; i < 200; i++)
		burst(f, BURST, ROOM);
	drain(f);
	assert_int_equal(f->seen, 2 * WIRE_FAULT_COPIES);
	assert_balanced(f);
}

static void wire_fault_filter__counts_bytes_it_cannot_hold(void **state)
{
	struct fixture *f = *state;
	uint8_t *bytes = calloc(1, 60000);
	struct wire_out in = { .gid = their_gid,
			       .hdr = bytes,
			       .hdr_len = 1000,
			       .data = bytes,
			       .data_len = 59000 };
	struct wire_out out[2];
	uint64_t fit = WIRE_FAULT_BYTES / 60000;
	int round, i;

	assert_non_null(bytes);
	open_with(f, (struct wire_fault_config){ .delay_ns = U_SEC });
	for (round = 1; round <= 2; round++) {
		for (i = 0; i < 300; i++)
			assert_int_equal(wire_fault_filter(f->f, &in, 1, out, 2,
							   f->now),
					 0);
		assert_int_equal(stats(f)->overflow,
				 (uint64_t)round * (300 - fit));
		f->now += U_SEC;
		for (i = 0; i < (int)fit; i++) {
			assert_int_equal(wire_fault_filter(f->f, NULL, 0, out,
							   1, f->now),
					 1);
			assert_int_equal(out[0].data_len, 59000);
		}
	}
	free(bytes);
}

/* Header and data together are longer than any datagram. */
static void wire_fault_filter__holds_no_giant(void **state)
{
	struct fixture *f = *state;
	uint8_t *bytes = calloc(1, 65535);
	struct wire_out in = { .gid = their_gid,
			       .hdr = bytes,
			       .hdr_len = 2,
			       .data = bytes,
			       .data_len = 65535 };
	struct wire_out out[2];

	assert_non_null(bytes);
	open_with(f, (struct wire_fault_config){ .delay_ns = U_SEC });
	assert_int_equal(wire_fault_filter(f->f, &in, 1, out, 2, f->now), 0);
	assert_int_equal(stats(f)->overflow, 1);
	in.hdr_len = 1;
	assert_int_equal(wire_fault_filter(f->f, &in, 1, out, 2, f->now), 0);
	assert_int_equal(stats(f)->overflow, 1);
	free(bytes);
}

static void wire_fault_filter__copies_outlive_the_callers_bytes(void **state)
{
	struct fixture *f = *state;
	uint8_t theirs[16];
	struct wire_out out[2];
	struct packet p;
	struct wire_out in = { .gid = theirs,
			       .qpn = 77,
			       .path = 9,
			       .fragment = true,
			       .hdr = p.hdr,
			       .hdr_len = HDR,
			       .data = NULL,
			       .data_len = 0 };

	open_with(f, (struct wire_fault_config){ .delay_ns = 5 });
	memcpy(theirs, their_gid, sizeof(their_gid));
	packet_fill(&p, 3);
	wire_fault_filter(f->f, &in, 1, out, 2, f->now);
	memset(theirs, 0, sizeof(theirs));
	memset(&p, 0, sizeof(p));
	assert_int_equal(wire_fault_filter(f->f, NULL, 0, out, 1, f->now + 5),
			 1);
	packet_fill(&p, 3);
	assert_memory_equal(out[0].gid, their_gid, sizeof(their_gid));
	assert_memory_equal(out[0].hdr, p.hdr, HDR);
	assert_int_equal(out[0].qpn, 77);
	assert_int_equal(out[0].path, 9);
	assert_true(out[0].fragment);
	assert_null(out[0].data);
	assert_int_equal(out[0].data_len, 0);
}

#define ONE(test) \
	cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(wire_fault_filter__delays_all_by_the_same),
		ONE(wire_fault_filter__keeps_order_while_it_delays),
		ONE(wire_fault_filter__spreads_jitter_evenly),
		ONE(wire_fault_filter__holds_some_back),
		ONE(wire_fault_filter__holds_back_for_200_us_by_default),
		ONE(wire_fault_filter__respects_max),
		ONE(wire_fault_filter__holds_the_doubles_that_do_not_fit),
		ONE(wire_fault_filter__counts_what_it_cannot_hold),
		ONE(wire_fault_filter__counts_bytes_it_cannot_hold),
		ONE(wire_fault_filter__holds_no_giant),
		ONE(wire_fault_filter__copies_outlive_the_callers_bytes),
	};

	return cmocka_run_group_tests_name("wire_fault_held", tests, NULL,
					   NULL);
}
