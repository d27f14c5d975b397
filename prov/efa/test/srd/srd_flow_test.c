/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_flow_test.c - what two engines say to each other when nothing is wrong
 */
#include "srd/srd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "srd_pair.h"
#include "util/u_time.h"

static struct pair w;

static int setup(void **state)
{
	(void)state;
	pair_init(&w, 2, 1);
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

static const struct srd_stats *stats(int node)
{
	return srd_stats(w.node[node].srd);
}

static void srd_send__arrives_with_its_first_packet(void **state)
{
	(void)state;
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	pair_drive(&w, 0);
	assert_int_equal(w.nheap, 1);
	pair_step(&w, UINT64_MAX);
	assert_int_equal(w.op[0].arrived, 1);
	assert_int_equal(w.op[0].completed, 0);
	run();
	assert_int_equal(stats(0)->tx_data, 1);
	assert_int_equal(stats(1)->tx_acks, 1);
	assert_int_equal(stats(0)->resent, 0);
}

static void srd_send__all_lengths(void **state)
{
	static const uint32_t lengths[] = {
		0, 1, 3, 4, 1427, 1428, 1429, 1432, 1433, 2900, 8928, 9216
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		assert_int_equal(pair_send(&w, 0, 1, lengths[i], true), 0);
		assert_int_equal(pair_send(&w, 1, 0, lengths[i], false), 0);
	}
	run();
	assert_int_equal(stats(0)->resent + stats(1)->resent, 0);
}

static void srd_send__ping_pong_needs_no_acks(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(pair_send(&w, i & 1, !(i & 1), 64, true), 0);
		pair_drive(&w, i & 1);
		while (!w.op[i].arrived)
			assert_true(pair_step(&w, w.now + U_SEC));
	}
	run();
	assert_int_equal(stats(0)->tx_data + stats(1)->tx_data, 100);
	assert_true(stats(0)->tx_acks + stats(1)->tx_acks <= 1);
}

static void srd_send__refuses_what_is_too_long(void **state)
{
	uint8_t byte[1] = { 0 };
	struct srd_send send = { .hdr = byte, .hdr_len = SIZE_MAX, .len = 2 };

	(void)state;
	assert_int_equal(srd_send(w.node[0].srd, w.node[0].peer[1], &send,
				  w.now),
			 -EMSGSIZE);
	send.hdr_len = 1;
	send.len = SRD_MSG_MAX;
	assert_int_equal(srd_send(w.node[0].srd, w.node[0].peer[1], &send,
				  w.now),
			 -EMSGSIZE);
}

static void srd_send__eagain_without_slots_and_recovers(void **state)
{
	int n = 0;

	(void)state;
	while (pair_send(&w, 0, 1, 10, true) == 0)
		n++;
	assert_int_equal(n, 32); /* tx_slots */
	run();
	assert_int_equal(pair_send(&w, 0, 1, 10, true), 0);
	run();
}

static void srd_send__to_itself(void **state)
{
	(void)state;
	assert_int_equal(pair_send(&w, 0, 0, 5000, true), 0);
	assert_int_equal(pair_rdma(&w, PAIR_READ, 0, 0, 5000), 0);
	run();
}

static void srd_rdma__all_kinds_and_lengths(void **state)
{
	static const uint32_t lengths[] = {
		0, 1, 1415, 1416, 1417, 5000, 30000
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, lengths[i]),
				 0);
		assert_int_equal(
			pair_rdma(&w, PAIR_WRITE_IMM, 0, 1, lengths[i]), 0);
		assert_int_equal(pair_rdma(&w, PAIR_READ, 0, 1, lengths[i]), 0);
		run();
	}
	for (uint32_t i = 0; i < w.nops; i++)
		assert_int_equal(w.op[i].arrived,
				 w.op[i].kind == PAIR_WRITE_IMM);
	assert_int_equal(stats(0)->resent + stats(1)->resent, 0);
}

static void srd_rdma__short_ones_overtake_long_ones(void **state)
{
	(void)state;
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 200000), 0);
	pair_drive(&w, 0);
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	while (!w.op[1].completed)
		assert_true(pair_step(&w, w.now + U_SEC));
	assert_int_equal(w.op[0].completed, 0);
	run();
}

static void srd_datagram__arrives_without_a_peer(void **state)
{
	uint8_t packet[SRD_HDR_MAX + 5];
	struct iovec iov = { (void *)(uintptr_t) "hello", 5 };
	size_t len;

	(void)state;
	len = srd_datagram(w.node[0].srd, &w.node[1].addr, true, 7, &iov, 1,
			   packet, w.now);
	memcpy(packet + len, "hello", 5);
	pair_inject(&w, 0, 1, packet, (uint32_t)len + 5);
	pair_step(&w, UINT64_MAX);
	assert_int_equal(w.node[1].datagrams, 1);
	assert_true(srd_idle(w.node[1].srd));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			srd_send__arrives_with_its_first_packet, setup,
			teardown),
		cmocka_unit_test_setup_teardown(srd_send__all_lengths, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			srd_send__ping_pong_needs_no_acks, setup, teardown),
		cmocka_unit_test_setup_teardown(
			srd_send__refuses_what_is_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(
			srd_send__eagain_without_slots_and_recovers, setup,
			teardown),
		cmocka_unit_test_setup_teardown(srd_send__to_itself, setup,
						teardown),
		cmocka_unit_test_setup_teardown(srd_rdma__all_kinds_and_lengths,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			srd_rdma__short_ones_overtake_long_ones, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			srd_datagram__arrives_without_a_peer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
