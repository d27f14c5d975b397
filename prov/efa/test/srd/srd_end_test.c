/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_end_test.c - peers that die, close, come back and were never there
 */
#include "srd/srd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "srd/srd_priv.h"
#include "srd_pair.h"
#include "srd_pair_priv.h"

#define TIMEOUT (100 * U_MSEC)

static struct pair w;

static int setup(void **state)
{
	(void)state;
	pair_init(&w, 2, 1);
	w.may_fail = true;
	w.cfg.peer_timeout = TIMEOUT;
	w.cfg.keepalive = 40 * U_MSEC;
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

static void hello(void)
{
	assert_int_equal(pair_send(&w, 0, 1, 10, true), 0);
	assert_int_equal(pair_send(&w, 1, 0, 10, true), 0);
	run();
}

/* One of each kind. */
static void post_all(void)
{
	assert_int_equal(pair_send(&w, 0, 1, 5000, true), 0);
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 5000), 0);
	assert_int_equal(pair_rdma(&w, PAIR_WRITE_IMM, 0, 1, 5000), 0);
	assert_int_equal(pair_rdma(&w, PAIR_READ, 0, 1, 5000), 0);
}

/* One of each kind goes out, and no packet arrives. */
static void post_into_silence(void)
{
	hello();
	w.wire.cut = UINT64_MAX;
	post_all();
	pair_drive(&w, 0);
}

/* Nobody looks after its engine for three time-outs. */
static void be_absent(int node)
{
	w.node[node].asleep = true;
	pair_sleep(&w, 3 * TIMEOUT);
	w.node[node].asleep = false;
}

static void expect_last(uint32_t n, uint8_t status)
{
	for (uint32_t i = w.nops - n; i < w.nops; i++)
		assert_int_equal(w.op[i].status, status);
}

static void farewell(int node, int max)
{
	struct srd_out out[4];
	uint32_t cursor = 0;
	int n;

	while ((n = srd_farewell(w.node[node].srd, w.now, out, max, &cursor)))
		for (int i = 0; i < n; i++)
			pair_put(&w, node, &out[i]);
}

static void srd_end__never_there_is_unreachable(void **state)
{
	uint64_t began = w.now;

	(void)state;
	w.wire.cut = UINT64_MAX;
	post_all();
	run();
	expect_last(4, SRD_UNREACHABLE);
	assert_in_range(w.now - began, TIMEOUT, TIMEOUT + TIMEOUT / 10);
	assert_int_equal(w.node[0].gone[1], 0);
	assert_int_equal(stats(0)->peers_dead, 1);
}

/* Whoever was stopped for long asks once more before he gives up a peer. */
static void srd_end__own_absence_is_no_silence(void **state)
{
	(void)state;
	post_into_silence();
	be_absent(0);
	w.wire.cut = 0;
	run();
	expect_last(4, SRD_OK);
	assert_int_equal(stats(0)->peers_dead, 0);
}

/* Afterwards the peer has the whole time again, and no more. */
static void srd_end__absence_hides_no_death(void **state)
{
	uint64_t back;

	(void)state;
	post_into_silence();
	be_absent(0);
	back = w.now;
	run();
	expect_last(4, SRD_UNRESPONSIVE);
	assert_in_range(w.now - back, TIMEOUT / 2, TIMEOUT + TIMEOUT / 10);
}

static void srd_end__fell_silent_is_unresponsive(void **state)
{
	uint64_t began;

	(void)state;
	hello();
	w.wire.cut = UINT64_MAX;
	began = w.now;
	post_all();
	run();
	expect_last(4, SRD_UNRESPONSIVE);
	assert_in_range(w.now - began, TIMEOUT, TIMEOUT + TIMEOUT / 10);
	assert_int_equal(w.node[0].gone[1], 1);
	assert_int_equal(w.node[0].gone_status[1], SRD_UNRESPONSIVE);
}

static void srd_end__later_sends_begin_anew(void **state)
{
	(void)state;
	for (int k = 0; k < 3; k++) {
		w.wire.cut = UINT64_MAX;
		post_all();
		run();
		assert_int_equal(w.op[w.nops - 1].status,
				 k ? SRD_UNRESPONSIVE : SRD_UNREACHABLE);
		w.wire.cut = 0;
		hello();
		post_all();
		run();
		expect_last(4, SRD_OK);
	}
	assert_int_equal(w.node[0].peer[1]->tx_epoch, 3);
}

/* One is cut off for a while and given up; the other did not notice. */
static void srd_give_up__is_told_to_who_is_heard_again(void **state)
{
	(void)state;
	hello();
	w.node[1].asleep = true;
	pair_sleep(&w, 2 * TIMEOUT);
	assert_int_equal(w.node[0].gone_status[1], SRD_UNRESPONSIVE);
	srd_give_up(w.node[0].srd, w.node[0].peer[1]);
	assert_int_equal(pair_send(&w, 0, 1, 10, true), 0);
	pair_drive(&w, 0);
	expect_last(1, SRD_UNRESPONSIVE);
	w.node[1].asleep = false;
	pair_sleep(&w, TIMEOUT / 2);
	assert_int_equal(w.node[1].gone_status[0], SRD_NO_QP);
	assert_int_equal(pair_send(&w, 1, 0, 10, true), 0);
	pair_drive(&w, 1);
	expect_last(1, SRD_NO_QP);
	assert_int_equal(w.op[w.nops - 1].arrived, 0);
}

/* Packets of the past that come late are counted, and no more. */
static void srd_end__late_packets_of_an_epoch_are_stale(void **state)
{
	(void)state;
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	pair_drive(&w, 0);
	assert_int_equal(w.nheap, 1);
	w.heap[0].at += 2 * TIMEOUT;
	w.wire.cut = UINT64_MAX;
	pair_sleep(&w, TIMEOUT + TIMEOUT / 2);
	assert_int_equal(w.op[0].status, SRD_UNREACHABLE);
	w.wire.cut = 0;
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	pair_sleep(&w, TIMEOUT);
	assert_int_equal(w.op[0].arrived, 0);
	assert_int_equal(w.op[1].arrived, 1);
	assert_int_equal(stats(1)->bad_stale, 1);
}

/* The way back only is cut: the reader must not wait for ever. */
static void srd_end__reader_learns_that_the_reply_died(void **state)
{
	(void)state;
	hello();
	assert_int_equal(pair_rdma(&w, PAIR_READ, 0, 1, 100000), 0);
	while (stats(1)->tx_data < 4)
		assert_true(pair_step(&w, w.now + U_MSEC));
	w.wire.cut = UINT64_C(1) << (0 * PAIR_NODES_MAX + 1);
	while (stats(1)->peers_dead == 0)
		assert_true(pair_step(&w, w.now + U_SEC));
	w.wire.cut = 0;
	run();
	assert_int_not_equal(w.op[2].status, SRD_OK);
	hello();
	assert_int_equal(w.op[w.nops - 1].status, SRD_OK);
}

/* The receiver gives a message in part up; its sender comes back. */
static void srd_end__message_in_part_is_not_begun_again(void **state)
{
	(void)state;
	hello();
	assert_int_equal(pair_send(&w, 0, 1, 5000, true), 0);
	pair_drive(&w, 0);
	assert_int_equal(w.nheap, 4);
	pair_drop(&w, 0);
	w.node[0].asleep = true;
	pair_sleep(&w, TIMEOUT / 2);
	assert_int_equal(srd_slots_left(&w.node[1].srd->rx_slots), 7);
	pair_sleep(&w, TIMEOUT);
	assert_int_equal(stats(1)->peers_dead, 1);
	assert_int_equal(srd_slots_left(&w.node[1].srd->rx_slots), 8);
	w.node[0].asleep = false;
	/* Its own silence is over too; what it says first is a new epoch. */
	run();
	assert_int_not_equal(w.op[2].status, SRD_OK);
	assert_int_equal(w.op[2].arrived, 0);
	assert_int_equal(srd_slots_left(&w.node[1].srd->rx_slots), 8);
	hello();
	assert_int_equal(w.op[w.nops - 1].status, SRD_OK);
}

static void srd_end__keepalive_finds_the_dead(void **state)
{
	(void)state;
	hello();
	pair_sleep(&w, 10 * TIMEOUT);
	assert_int_equal(w.node[0].gone[1], 0);
	w.node[1].asleep = true;
	pair_sleep(&w, 2 * TIMEOUT);
	assert_int_equal(w.node[0].gone[1], 1);
	assert_int_equal(w.node[0].gone_status[1], SRD_UNRESPONSIVE);
	assert_true(srd_idle(w.node[0].srd));
}

static void srd_end__keepalive_is_cheap(void **state)
{
	(void)state;
	hello();
	w.sent = 0;
	pair_sleep(&w, U_SEC);
	/* A probe and its answer each keepalive, of either side at most. */
	assert_in_range(w.sent, 20, 100);
}

static void srd_end__restart_at_the_same_port(void **state)
{
	(void)state;
	hello();
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	post_all();
	pair_drive(&w, 0);
	struct srd_peer *before = w.node[0].peer[1];
	pair_restart(&w, 1);
	/* These were for the one before. */
	run();
	expect_last(4, SRD_NO_QP);
	assert_int_equal(w.op[2].arrived, 0);
	assert_true(stats(1)->bad_incarnation > 0);
	assert_int_equal(before->ended, SRD_NO_QP);
	hello();
	assert_int_equal(w.op[w.nops - 2].status, SRD_OK);
	/* And it stays away. */
	w.node[0].peer[1] = before;
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	pair_drive(&w, 0);
	assert_int_equal(w.op[w.nops - 1].status, SRD_NO_QP);
}

static void srd_end__strays_are_answered_at_a_bounded_rate(void **state)
{
	(void)state;
	for (int i = 0; i < 32; i++)
		assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	pair_drive(&w, 0);
	pair_restart(&w, 1);
	w.wire.cut = UINT64_C(1) << (1 * PAIR_NODES_MAX + 0);
	w.sent = 0;
	pair_sleep(&w, 100 * U_USEC);
	assert_int_equal(stats(1)->tx_packets, 16);
}

static void srd_farewell__what_arrived_completes_and_the_rest_ends(void **state)
{
	(void)state;
	hello();
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	pair_drive(&w, 0);
	while (!w.op[2].arrived)
		assert_true(pair_step(&w, w.now + U_MSEC));
	assert_int_equal(w.op[2].completed, 0);
	srd_set_ready(w.node[1].srd, false);
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	pair_drive(&w, 0);
	farewell(1, 4);
	w.node[1].asleep = true;
	pair_sleep(&w, 50 * U_USEC);
	assert_int_equal(w.op[2].status, SRD_OK);
	assert_int_equal(w.op[2].completed, 1);
	assert_int_equal(w.op[3].status, SRD_PEER_RESET);
	assert_int_equal(w.node[0].gone[1], 1);
	assert_int_equal(w.node[0].gone_status[1], SRD_PEER_RESET);
	assert_int_equal(w.node[0].peer[1]->ended, SRD_PEER_RESET);
}

static void srd_farewell__goes_to_all_one_by_one(void **state)
{
	(void)state;
	pair_close(&w);
	pair_init(&w, 6, 1);
	w.may_fail = true;
	pair_open(&w);
	for (int i = 1; i < 5; i++)
		assert_int_equal(pair_send(&w, 0, i, 10, true), 0);
	run();
	w.sent = 0;
	farewell(0, 1);
	assert_int_equal(w.sent, 4);
	farewell(0, 3);
	pair_sleep(&w, U_MSEC);
	for (int i = 1; i < 5; i++)
		assert_int_equal(w.node[i].gone[0], 1);
	assert_int_equal(w.node[5].gone[0], 0);
}

static void srd_refused__ends_at_once(void **state)
{
	(void)state;
	post_into_silence();
	srd_refused(w.node[0].srd, w.node[1].addr.gid, 4711, w.now);
	assert_int_equal(w.ncompleted, 2);
	srd_refused(w.node[0].srd, w.node[1].addr.gid, w.node[1].addr.qpn,
		    w.now);
	pair_drive(&w, 0);
	assert_int_equal(w.ncompleted, 6);
	expect_last(4, SRD_NO_QP);
	assert_int_equal(w.node[0].gone[1], 1);
	assert_true(srd_idle(w.node[0].srd));
}

static void srd_no_route__ends_who_was_never_heard(void **state)
{
	(void)state;
	post_all();
	srd_no_route(w.node[0].srd, w.node[1].addr.gid, w.now);
	pair_drive(&w, 0);
	expect_last(4, SRD_UNREACHABLE);
	hello();
	post_all();
	pair_drive(&w, 0);
	srd_no_route(w.node[0].srd, w.node[1].addr.gid, w.now);
	run();
	expect_last(4, SRD_OK);
}

static void srd_tx__unready_peer_is_not_dead(void **state)
{
	(void)state;
	w.may_fail = false;
	srd_set_ready(w.node[1].srd, false);
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	pair_sleep(&w, 5 * TIMEOUT);
	srd_set_ready(w.node[1].srd, true);
	run();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(srd_end__never_there_is_unreachable),
		TEST(srd_end__own_absence_is_no_silence),
		TEST(srd_end__absence_hides_no_death),
		TEST(srd_end__fell_silent_is_unresponsive),
		TEST(srd_end__later_sends_begin_anew),
		TEST(srd_give_up__is_told_to_who_is_heard_again),
		TEST(srd_end__late_packets_of_an_epoch_are_stale),
		TEST(srd_end__reader_learns_that_the_reply_died),
		TEST(srd_end__message_in_part_is_not_begun_again),
		TEST(srd_end__keepalive_finds_the_dead),
		TEST(srd_end__keepalive_is_cheap),
		TEST(srd_end__restart_at_the_same_port),
		TEST(srd_end__strays_are_answered_at_a_bounded_rate),
		TEST(srd_farewell__what_arrived_completes_and_the_rest_ends),
		TEST(srd_farewell__goes_to_all_one_by_one),
		TEST(srd_refused__ends_at_once),
		TEST(srd_no_route__ends_who_was_never_heard),
		TEST(srd_tx__unready_peer_is_not_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
