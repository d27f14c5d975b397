/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_mem_test.c - pinned memory: little at first, more with need, less
 * where no more is to be had
 */
#include <errno.h>
#include <sys/resource.h>

#include "wire_ud_fixture.h"

#define LITTLE (3u << 19)

static void open_pair(struct ud *ud)
{
	assert_int_equal(side_open(&ud->a, 0, 0), 0);
	assert_int_equal(side_open(&ud->b, 1, 0), 0);
}

/* n packets by turns on the first `paths` paths, each of which is taken. */
static void send_many(struct ud *ud, int n, uint8_t paths)
{
	for (int i = 0; i < n; i++)
		send_to(&ud->a, &ud->b, (uint8_t)(i % paths), 300, (uint8_t)i);
}

/* All that have come, in bursts of `burst`. */
static void expect_many(struct side *s, int n, int burst)
{
	struct wire_in in[WIRE_BURST];
	int k, at = 0;

	while ((k = wire_poll(s->w, in, burst)) > 0) {
		for (int i = 0; i < k; i++)
			assert_int_equal(in[i].data[299], (uint8_t)at++);
		wire_give_back(s->w);
	}
	assert_int_equal(at, n);
}

static void open__says_what_may_not_be_pinned(void **state)
{
	struct ud *ud = *state;
	struct rlimit was, less;

	getrlimit(RLIMIT_MEMLOCK, &was);
	less = was;
	less.rlim_cur = 64 << 10;
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &less), 0);
	fake.pin_max = 64 << 10;
	assert_int_equal(side_open(&ud->a, 0, 0), -ENOMEM);
	setrlimit(RLIMIT_MEMLOCK, &was);
	ud->a.w = NULL;
	assert_int_equal(fake.objects, 0);
	assert_int_equal(warnings(), 1);
	assert_true(logged("fake0: 132 KiB of memory cannot be pinned"));
	assert_true(logged("may lock 64 KiB"));
	assert_true(logged("ulimit -l"));
}

static void open__takes_fewer_buffers_than_wanted(void **state)
{
	struct ud *ud = *state;

	fake.pin_max = 600 << 10;
	assert_int_equal(side_open(&ud->a, 0, 0), 0);
	assert_true(logged("receive buffers instead of 2048"));
	assert_in_range(ud->a.w->rx_packets, WIRE_UD_CHUNK, 600);
	assert_int_equal(fake_posted(ud->a.w->qpn), ud->a.w->rx_packets);
}

static void open__takes_little(void **state)
{
	struct ud *ud = *state;

	assert_int_equal(side_open(&ud->a, 0, 0), 0);
	assert_in_range(fake.pinned, 1 << 20, LITTLE);
	assert_int_equal(ud->a.w->rx_packets, WIRE_UD_RX_MAX);
}

/* ---- receive buffers ------------------------------------------------------ */

static void poll__makes_more_when_many_come_in_a_row(void **state)
{
	struct ud *ud = *state;
	int first;

	open_pair(ud);
	first = fake_posted(ud->b.w->qpn);
	send_many(ud, first, 1);
	expect_many(&ud->b, first, 16);
	assert_in_range(fake_posted(ud->b.w->qpn), 2 * first - WIRE_UD_REPOST,
			2 * first);
	/* And until all that were wanted are there; each has memory. */
	for (int i = 0; i < 5; i++) {
		first = fake_posted(ud->b.w->qpn);
		send_many(ud, first, 1);
		expect_many(&ud->b, first, 16);
	}
	assert_in_range(fake_posted(ud->b.w->qpn),
			WIRE_UD_RX_MAX - WIRE_UD_REPOST, WIRE_UD_RX_MAX);
	assert_int_equal(fake.dropped, 0);
}

static void poll__makes_no_more_when_it_keeps_up(void **state)
{
	struct ud *ud = *state;
	int first;

	open_pair(ud);
	first = fake_posted(ud->b.w->qpn);
	for (int i = 0; i < 2 * first; i += 20) {
		send_many(ud, 20, 1);
		expect_many(&ud->b, 20, 16);
	}
	assert_in_range(fake_posted(ud->b.w->qpn), first - WIRE_UD_REPOST,
			first);
}

static void poll__goes_on_when_there_are_no_more(void **state)
{
	struct ud *ud = *state;
	int first;

	open_pair(ud);
	first = fake_posted(ud->b.w->qpn);
	fake.pin_max = fake.pinned + (100 << 10);
	for (int i = 0; i < 3; i++) {
		send_many(ud, first - WIRE_UD_REPOST, 1);
		expect_many(&ud->b, first - WIRE_UD_REPOST, 16);
	}
	assert_in_range(fake_posted(ud->b.w->qpn), first - WIRE_UD_REPOST,
			first);
}

/* ---- send buffers ----------------------------------------------------------- */

/* A packet that wants no completion keeps its buffer until one behind it does. */
static void send__makes_more_when_all_are_under_way(void **state)
{
	struct ud *ud = *state;
	struct wire_out out[WIRE_UD_DEPTH];
	size_t before;

	open_pair(ud);
	before = fake.pinned;
	send_many(ud, WIRE_UD_SIGNAL - 1, 1);
	for (int i = 0; i < WIRE_UD_DEPTH; i++)
		out[i] = packet_to(&ud->b, 1, 300,
				   (uint8_t)(WIRE_UD_SIGNAL - 1 + i));
	assert_int_equal(wire_send(ud->a.w, out, WIRE_UD_DEPTH), WIRE_UD_DEPTH);
	assert_int_equal(fake.pinned - before, (size_t)WIRE_UD_CHUNK * MTU);
	expect_many(&ud->b, WIRE_UD_SIGNAL - 1 + WIRE_UD_DEPTH, 16);
}

static void send__does_with_few_on_many_paths(void **state)
{
	struct ud *ud = *state;

	open_pair(ud);
	fake.pin_max = fake.pinned;
	for (int i = 0; i < 100; i++) {
		send_many(ud, 200, PATHS);
		expect_many(&ud->b, 200, 16);
	}
	assert_int_equal(wire_stats(ud->a.w)->tx_full, 0);
	assert_int_equal(fake.dropped, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_NONE(open__says_what_may_not_be_pinned),
		ON_NONE(open__takes_fewer_buffers_than_wanted),
		ON_NONE(open__takes_little),
		ON_NONE(poll__makes_more_when_many_come_in_a_row),
		ON_NONE(poll__makes_no_more_when_it_keeps_up),
		ON_NONE(send__makes_more_when_all_are_under_way),
		ON_NONE(send__does_with_few_on_many_paths),
		ON_NONE(poll__goes_on_when_there_are_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
