/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_runt_test.c - messages that are read while their head comes in packets, and
 * those that cannot be read
 */
#include "talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rdm/rdm_move.h"

/* ---- runting --------------------------------------------------------------- */

static void runt(const struct pair_options *o, size_t len, uint32_t flags,
		 bool expected)
{
	struct pair p;

	talk_start(&p, o);
	if (expected)
		assert_int_equal(pair_recv(&p.b, talk_in, len, 3, flags, NULL),
				 0);
	assert_int_equal(pair_send(&p.a, talk_out, len, 3, flags, NULL), 0);
	pair_run(&p);
	if (!expected) {
		assert_int_equal(pair_recv(&p.b, talk_in, len, 3, flags, NULL),
				 0);
		pair_run(&p);
	}
	assert_true(pair_posted(flags & RDM_TAGGED ?
					RDM_PKT_RUNTREAD_TAGRTM :
					RDM_PKT_RUNTREAD_MSGRTM) > 1);
	talk_good(&p, len);
	talk_end(&p);
}

static void rdm_runt__head_in_packets_and_tail_read(void **state)
{
	(void)state;
	for (int tagged = 0; tagged < 2; tagged++) {
		for (int expected = 0; expected < 2; expected++) {
			uint32_t flags = tagged ? RDM_TAGGED | RDM_DATA : 0;

			runt(&talk_runting, TALK_LEN, flags, expected);
			runt(&talk_runting_slow, TALK_LEN, flags, expected);
			runt(&talk_runting, PAIR_READ + 3, flags, expected);
		}
	}
}

/* All of it is head: nothing is read, and nobody says EOR. */
static void rdm_runt__head_may_be_all(void **state)
{
	struct pair_options o = talk_runting;

	(void)state;
	o.runt_size = 2 * TALK_LEN;
	runt(&o, TALK_LEN, 0, true);
	runt(&o, TALK_LEN, 0, false);
	o.by_completion = true;
	runt(&o, TALK_LEN, RDM_TAGGED, true);
	assert_int_equal(pair_posted(RDM_PKT_EOR), 0);
}

static void rdm_runt__arrives_in_any_order(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= 32; seed++) {
		unsigned int dice = seed;
		struct pair p;

		talk_start(&p, seed % 2 ? &talk_runting : &talk_runting_slow);
		if (seed % 4 < 2)
			assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0,
						   0, NULL),
					 0);
		assert_int_equal(
			pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
		pair_shuffle(&p, &dice, seed % 8 < 4);
		if (seed % 4 >= 2)
			assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0,
						   0, NULL),
					 0);
		pair_shuffle(&p, &dice, false);
		assert_int_equal(pair_comp(&p.b).len, TALK_LEN);
		pair_comp(&p.a);
		pair_check(talk_in, 7, TALK_LEN);
		talk_end(&p);
	}
}

/* The budget is for one peer, and for one message at a time. */
static void rdm_runt__budget_is_kept(void **state)
{
	struct pair p;

	(void)state;
	talk_start(&p, &talk_runting);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
	pair_run(&p);
	assert_true(pair_posted(RDM_PKT_RUNTREAD_MSGRTM) > 1);
	assert_int_equal(pair_posted(RDM_PKT_LONGREAD_MSGRTM), 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL),
				 0);
		pair_run(&p);
		talk_good(&p, TALK_LEN);
	}
	assert_int_equal(
		pair_send(&p.a, talk_out, TALK_LEN, 0, RDM_DELIVERY, NULL), 0);
	assert_int_equal(pair_posted(RDM_PKT_LONGREAD_MSGRTM), 3);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL), 0);
	pair_run(&p);
	talk_good(&p, TALK_LEN);
	talk_end(&p);
}

static void rdm_runt__needs_the_feature(void **state)
{
	struct pair_options o = talk_runting;
	struct pair p;

	(void)state;
	o.b_off = RDM_FEATURE_RUNT;
	talk_start(&p, &o);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
	pair_run(&p);
	assert_int_equal(pair_posted(RDM_PKT_LONGREAD_MSGRTM), 1);
	talk_good(&p, TALK_LEN);
	talk_end(&p);
}

static void rdm_runt__truncated(void **state)
{
	static const size_t rooms[] = { 0, 5000, TALK_RUNT, TALK_RUNT + 1,
					100000 };

	(void)state;
	for (size_t i = 0; i < u_array_size(rooms); i++) {
		for (int slow = 0; slow < 2; slow++) {
			struct pair p;

			talk_start(&p,
				   slow ? &talk_runting_slow : &talk_runting);
			assert_int_equal(pair_recv(&p.b, talk_in, rooms[i], 0,
						   0, NULL),
					 0);
			assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0,
						   0, NULL),
					 0);
			pair_run(&p);
			assert_int_equal(pair_error(&p.b, RDM_ERR_TRUNC).len,
					 TALK_LEN);
			pair_comp(&p.a);
			pair_check(talk_in, 7, rooms[i]);
			talk_again(&p);
			talk_end(&p);
		}
	}
}

static void rdm_runt__waits_for_room(void **state)
{
	struct pair p;

	(void)state;
	talk_start(&p, &talk_runting);
	dev_record_set_room(p.a.dev, 0);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL),
			 -EAGAIN);
	dev_record_set_room(p.a.dev, 1);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL), 0);
	for (int i = 0; i < 200; i++) {
		rdm_progress(p.a.ep);
		rdm_progress(p.b.ep);
		dev_record_run();
		dev_record_set_room(p.a.dev, 1);
		dev_record_set_room(p.b.dev, 1);
	}
	talk_good(&p, TALK_LEN);
	talk_end(&p);
}

/* ---- reads that cannot be --------------------------------------------------- */

static void nack(const struct pair_options *o, uint32_t flags, bool expected,
		 size_t room)
{
	bool dc = flags & RDM_DELIVERY;
	struct pair p;

	talk_start(&p, o);
	dev_record_set_reads(p.b.dev, false);
	if (expected)
		assert_int_equal(pair_recv(&p.b, talk_in, room, 3, flags, NULL),
				 0);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 3, flags, NULL),
			 0);
	pair_run(&p);
	if (!expected) {
		assert_int_equal(pair_recv(&p.b, talk_in, room, 3, flags, NULL),
				 0);
		pair_run(&p);
	}
	assert_int_equal(pair_posted(RDM_PKT_READ_NACK), room > TALK_RUNT);
	if (room > TALK_RUNT)
		assert_int_equal(
			pair_posted((flags & RDM_TAGGED ?
					     RDM_PKT_LONGCTS_TAGRTM :
					     RDM_PKT_LONGCTS_MSGRTM) +
				    (dc ? RDM_PKT_DC_LONGCTS_MSGRTM -
						     RDM_PKT_LONGCTS_MSGRTM :
					  0)),
			1);
	if (room < TALK_LEN) {
		pair_error(&p.b, RDM_ERR_TRUNC);
		pair_comp(&p.a);
		pair_check(talk_in, 7, room);
	} else {
		talk_good(&p, TALK_LEN);
	}
	talk_again(&p);
	talk_end(&p);
}

static void rdm_nack__rest_goes_in_packets(void **state)
{
	(void)state;
	for (int expected = 0; expected < 2; expected++) {
		nack(&talk_inlined, 0, expected, TALK_LEN);
		nack(&talk_inlined, RDM_TAGGED, expected, TALK_LEN);
		nack(&talk_inlined, RDM_DELIVERY, expected, TALK_LEN);
		nack(&talk_inlined, RDM_TAGGED | RDM_DELIVERY, expected,
		     TALK_LEN);
		nack(&talk_completing, RDM_TAGGED, expected, TALK_LEN);
		nack(&talk_runting, 0, expected, TALK_LEN);
		nack(&talk_runting, RDM_TAGGED, expected, TALK_LEN);
		nack(&talk_runting_slow, 0, expected, TALK_LEN);
		nack(&talk_inlined, 0, expected, 90000);
		nack(&talk_runting, 0, expected, 90000);
	}
}

static void rdm_nack__arrives_in_any_order(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= 32; seed++) {
		unsigned int dice = seed;
		struct pair p;

		talk_start(&p, seed % 2 ? &talk_runting : &talk_completing);
		dev_record_set_reads(p.b.dev, false);
		assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL),
				 0);
		assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0,
					   seed % 4 < 2 ? RDM_DELIVERY : 0,
					   NULL),
				 0);
		pair_shuffle(&p, &dice, false);
		talk_good(&p, TALK_LEN);
		talk_again(&p);
		talk_end(&p);
	}
}

/* The announcement in packets finds no room at first. */
static void rdm_nack__waits_for_room(void **state)
{
	struct pair p;

	(void)state;
	talk_start(&p, &talk_completing);
	dev_record_set_reads(p.b.dev, false);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
	dev_record_set_room(p.a.dev, 0);
	pair_run(&p);
	assert_int_equal(pair_posted(RDM_PKT_READ_NACK), 1);
	assert_int_equal(pair_posted(RDM_PKT_LONGCTS_MSGRTM), 0);
	dev_record_set_room(p.a.dev, -1);
	pair_run(&p);
	talk_good(&p, TALK_LEN);
	talk_end(&p);
}

/* Of a sender that does not know the word the message fails, on both sides. */
static void rdm_nack__needs_the_feature(void **state)
{
	struct pair_options o = talk_inlined;
	struct pair p;

	(void)state;
	o.a_off = RDM_FEATURE_READ_NACK;
	talk_start(&p, &o);
	dev_record_set_reads(p.b.dev, false);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
	pair_run(&p);
	pair_error(&p.b, RDM_ERR_NOMEM);
	pair_error(&p.a, RDM_ERR_PEER_ABORT);
	talk_again(&p);
	talk_end(&p);
}

/* The receive is cancelled between READ_NACK and what the sender says then. */
static void rdm_nack__canceled_receive(void **state)
{
	(void)state;
	for (int knows = 0; knows < 2; knows++) {
		struct pair_options o = talk_completing;
		struct pair p;

		o.a_off = knows ? 0 : RDM_FEATURE_PEER_ERROR;
		talk_start(&p, &o);
		dev_record_set_reads(p.b.dev, false);
		assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, &p),
				 0);
		assert_int_equal(
			pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
		while (!pair_posted(RDM_PKT_READ_NACK))
			assert_true(talk_step(&p.a, &p.b) ||
				    talk_step(&p.b, &p.a));
		assert_int_equal(rdm_cancel(p.b.ep, &p), 0);
		pair_error(&p.b, RDM_ERR_CANCELED);
		pair_run(&p);
		if (knows)
			pair_error(&p.a, RDM_ERR_PEER_ABORT);
		else
			pair_comp(&p.a);
		talk_again(&p);
		talk_end(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_runt__head_in_packets_and_tail_read),
		cmocka_unit_test(rdm_runt__head_may_be_all),
		cmocka_unit_test(rdm_runt__arrives_in_any_order),
		cmocka_unit_test(rdm_runt__budget_is_kept),
		cmocka_unit_test(rdm_runt__needs_the_feature),
		cmocka_unit_test(rdm_runt__truncated),
		cmocka_unit_test(rdm_runt__waits_for_room),
		cmocka_unit_test(rdm_nack__rest_goes_in_packets),
		cmocka_unit_test(rdm_nack__arrives_in_any_order),
		cmocka_unit_test(rdm_nack__waits_for_room),
		cmocka_unit_test(rdm_nack__needs_the_feature),
		cmocka_unit_test(rdm_nack__canceled_receive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
