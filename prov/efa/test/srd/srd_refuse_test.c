/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_refuse_test.c - what a receiver refuses, and what an initiator gives up
 */
#include "srd/srd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "srd/srd_priv.h"
#include "srd_pair.h"

static struct pair w;

static void open_with(uint32_t retries, uint32_t replies, uint32_t slots)
{
	pair_init(&w, 3, 1);
	w.cfg.rnr_retries = retries;
	w.cfg.max_replies = replies;
	w.cfg.rx_slots = slots;
	pair_open(&w);
}

static int setup(void **state)
{
	(void)state;
	open_with(SRD_RNR_FOREVER, 16, 8);
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

static void srd_set_ready__send_waits_and_arrives(void **state)
{
	(void)state;
	srd_set_ready(w.node[1].srd, false);
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	assert_int_equal(pair_send(&w, 0, 1, 5000, true), 0);
	pair_sleep(&w, 50 * U_MSEC);
	assert_int_equal(w.ncompleted, 0);
	assert_true(stats(0)->rnr_received > 10);
	assert_true(stats(0)->rnr_received < 500);
	/* RDMA needs no receive. */
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 100), 0);
	pair_sleep(&w, U_MSEC);
	assert_int_equal(w.ncompleted, 1);
	srd_set_ready(w.node[1].srd, true);
	run();
}

/* Who has no receive says nothing of how long it would be. */
static void srd_set_room__means_nothing_until_ready(void **state)
{
	(void)state;
	srd_set_ready(w.node[1].srd, false);
	srd_set_room(w.node[1].srd, 0);
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	assert_int_equal(pair_send(&w, 0, 1, 5000, true), 0);
	pair_sleep(&w, 10 * U_MSEC);
	assert_int_equal(w.ncompleted, 0);
	srd_set_room(w.node[1].srd, 5000);
	srd_set_ready(w.node[1].srd, true);
	run();
}

static int asked, answers;

static bool is_there(void *ctx, uint64_t addr, uint64_t len)
{
	(void)ctx;
	(void)addr;
	asked += len == 1000;
	return false;
}

/* The reader's acknowledgements are lost for a while, its READ is not. */
static bool mute_reader(struct pair *pair, int from, int to,
			const struct srd_out *out)
{
	const uint8_t *hdr = out->hdr;

	(void)to;
	answers += from == 1 && hdr[1] == SRD_PKT_DATA && out->data_len == 1000;
	return from == 0 && hdr[1] != SRD_PKT_DATA && pair->now < 5 * U_SEC;
}

/* What the reader has may be gone when it is to be sent again. */
static void srd_read__freed_memory_is_not_sent_again(void **state)
{
	(void)state;
	pair_close(&w);
	pair_init(&w, 2, 1);
	w.cfg.there = is_there;
	pair_open(&w);
	asked = answers = 0;
	w.tap = mute_reader;
	assert_int_equal(pair_rdma(&w, PAIR_READ, 0, 1, 1000), 0);
	pair_sleep(&w, 100 * U_MSEC);
	assert_int_equal(w.ncompleted, 1);
	assert_true(asked > 0);
	assert_int_equal(answers, 1);
	w.tap = NULL;
	run();
}

static void srd_set_ready__retries_are_counted(void **state)
{
	(void)state;
	for (uint32_t retries = 0; retries < SRD_RNR_FOREVER; retries++) {
		pair_close(&w);
		open_with(retries, 16, 8);
		w.may_fail = true;
		srd_set_ready(w.node[1].srd, false);
		assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
		run();
		assert_int_equal(w.op[0].status, SRD_RNR);
		assert_int_equal(stats(1)->rnr_sent, retries + 1);
		/* What was given up does not come back. */
		srd_set_ready(w.node[1].srd, true);
		assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
		run();
		assert_int_equal(w.op[0].arrived, 0);
		assert_int_equal(w.op[1].status, SRD_OK);
	}
}

/* A message in part is given up; its slot and its packets go. */
static void srd_part__given_up_leaves_no_slot_taken(void **state)
{
	(void)state;
	pair_close(&w);
	open_with(0, 16, 1);
	w.may_fail = true;
	w.wire.jitter = 50000;
	for (int k = 0; k < 50; k++) {
		assert_int_equal(pair_send(&w, 0, 1, 5000, true), 0);
		assert_int_equal(pair_send(&w, 2, 1, 5000, true), 0);
		assert_true(pair_run(&w, w.now + U_SEC));
		assert_int_equal(srd_slots_left(&w.node[1].srd->rx_slots), 1);
	}
	pair_check_done(&w);
}

static void srd_part__slots_are_shared_by_waiting(void **state)
{
	(void)state;
	pair_close(&w);
	open_with(SRD_RNR_FOREVER, 16, 1);
	w.wire.jitter = 50000;
	w.wire.loss = 6000;
	for (int k = 0; k < 15; k++) {
		assert_int_equal(pair_send(&w, 0, 1, 9000, true), 0);
		assert_int_equal(pair_send(&w, 2, 1, 9000, true), 0);
	}
	run();
}

static void srd_place__bad_key(void **state)
{
	(void)state;
	w.may_fail = true;
	w.node[1].key_gone = true;
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 5000), 0);
	assert_int_equal(pair_rdma(&w, PAIR_WRITE_IMM, 0, 1, 5000), 0);
	assert_int_equal(pair_rdma(&w, PAIR_READ, 0, 1, 5000), 0);
	assert_int_equal(pair_send(&w, 0, 1, 100, true), 0);
	run();
	for (int i = 0; i < 3; i++)
		assert_int_equal(w.op[i].status, SRD_BAD_RKEY);
	assert_int_equal(w.op[1].arrived, 0);
	assert_int_equal(w.op[3].status, SRD_OK);
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(w.node[1].mem[i], 0xee);
	assert_int_equal(w.node[0].peer[1]->ended, SRD_OK);
}

static void srd_place__no_key_for_no_bytes(void **state)
{
	(void)state;
	w.node[1].key_gone = true;
	assert_int_equal(pair_rdma(&w, PAIR_WRITE, 0, 1, 0), 0);
	assert_int_equal(pair_rdma(&w, PAIR_WRITE_IMM, 0, 1, 0), 0);
	assert_int_equal(pair_rdma(&w, PAIR_READ, 0, 1, 0), 0);
	run();
	assert_int_equal(w.op[1].arrived, 1);
}

/* The key goes while the answer is under way. */
static void srd_tx__reply_stops_when_its_key_goes(void **state)
{
	(void)state;
	w.may_fail = true;
	assert_int_equal(pair_rdma(&w, PAIR_READ, 0, 1, 200000), 0);
	while (stats(1)->tx_data < 5)
		assert_true(pair_step(&w, w.now + U_MSEC));
	w.node[1].key_gone = true;
	run();
	assert_int_equal(w.op[0].status, SRD_BAD_RKEY);
	assert_true(stats(1)->tx_data < 100);
}

static void srd_rdma__range_that_wraps(void **state)
{
	struct srd_rdma rdma = { .type = SRD_WRITE,
				 .remote = UINT64_MAX - 9,
				 .len = 100,
				 .local = w.node };
	struct srd_done done;
	uint32_t op;

	(void)state;
	assert_int_equal(srd_rdma(w.node[0].srd, w.node[0].peer[1], &rdma,
				  w.now, &op),
			 0);
	assert_int_equal(srd_done(w.node[0].srd, &done, 1), 1);
	assert_int_equal(done.status, SRD_BAD_RKEY);
}

static void srd_place__reads_beyond_the_replies_wait(void **state)
{
	(void)state;
	pair_close(&w);
	open_with(SRD_RNR_FOREVER, 1, 8);
	w.wire.loss = 3000;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(pair_rdma(&w, PAIR_READ, 0, 1, 9000), 0);
		assert_int_equal(pair_rdma(&w, PAIR_READ, 1, 0, 9000), 0);
	}
	run();
	assert_true(stats(0)->rnr_received > 0);
	assert_true(stats(1)->no_room > 0);
}

/*
 * One copy of a READ is refused, another one is accepted, and it is asked
 * again: there is one answer.
 */
static void srd_place__read_refused_and_accepted(void **state)
{
	struct u_pool *replies;
	void *taken;

	(void)state;
	pair_close(&w);
	pair_init(&w, 2, 1);
	w.cfg.rnr_retries = SRD_RNR_FOREVER;
	w.cfg.max_replies = 1;
	w.cfg.init_window = 2000; /* the answer takes its time */
	w.cfg.rnr_wait = 20 * U_USEC;
	pair_open(&w);
	replies = &w.node[1].srd->replies;
	taken = u_pool_get(replies);
	assert_int_equal(pair_rdma(&w, PAIR_READ, 0, 1, 60000), 0);
	pair_drive(&w, 0);
	assert_int_equal(w.nheap, 1);
	pair_deliver(&w, 0, true);
	u_pool_put(replies, taken);
	pair_drive(&w, 1);
	run();
	assert_int_equal(stats(1)->rnr_sent, 1);
	assert_int_equal(stats(0)->rnr_received, 1);
	/* the READ, a VOID in its place, and the READ once more */
	assert_int_equal(stats(0)->tx_data, 3);
	assert_int_equal(stats(0)->naks_sent, 0);
	assert_int_equal(stats(1)->tx_data, 43);
}

static void srd_abort__memory_is_left_alone(void **state)
{
	static const enum pair_kind kinds[] = { PAIR_READ, PAIR_WRITE,
						PAIR_WRITE_IMM };
	struct pair_op *op;

	(void)state;
	for (uint32_t steps = 0; steps < 60; steps++) {
		assert_int_equal(pair_rdma(&w, kinds[steps % 3], 0, 1, 4000),
				 0);
		op = &w.op[w.nops - 1];
		for (uint32_t i = 0; i < steps / 3; i++)
			pair_step(&w, w.now + U_MSEC);
		if (!op->completed) {
			srd_abort(w.node[0].srd, op->op, w.now);
			op->aborted = true;
			/* Whoever touches it is found out. */
			free(op->local);
			op->local = NULL;
		}
		run();
	}
	/* A second time, and one that is long gone. */
	srd_abort(w.node[0].srd, w.op[0].op, w.now);
	run();
}

/* As an abort, with the completion that was asked for. */
static void srd_revoke__completes_once(void **state)
{
	struct srd_done done;
	struct pair_op *op;

	(void)state;
	assert_int_equal(pair_rdma(&w, PAIR_READ, 0, 1, 4000), 0);
	op = &w.op[w.nops - 1];
	assert_true(srd_revoke(w.node[0].srd, op->op, w.now));
	assert_false(srd_revoke(w.node[0].srd, op->op, w.now));
	assert_int_equal(srd_done(w.node[0].srd, &done, 1), 1);
	assert_int_equal(done.kind, SRD_DONE_READ);
	assert_int_equal(done.status, SRD_FLUSHED);
	op->aborted = true;
	free(op->local);
	op->local = NULL;
	run();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(srd_set_ready__send_waits_and_arrives),
		TEST(srd_read__freed_memory_is_not_sent_again),
		TEST(srd_set_room__means_nothing_until_ready),
		TEST(srd_set_ready__retries_are_counted),
		TEST(srd_part__given_up_leaves_no_slot_taken),
		TEST(srd_part__slots_are_shared_by_waiting),
		TEST(srd_place__bad_key),
		TEST(srd_place__no_key_for_no_bytes),
		TEST(srd_tx__reply_stops_when_its_key_goes),
		TEST(srd_rdma__range_that_wraps),
		TEST(srd_place__reads_beyond_the_replies_wait),
		TEST(srd_place__read_refused_and_accepted),
		TEST(srd_abort__memory_is_left_alone),
		TEST(srd_revoke__completes_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
