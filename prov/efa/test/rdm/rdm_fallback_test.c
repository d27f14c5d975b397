/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_fallback_test.c - messages that go other ways: runting, refused reads,
 * given up by either side, canceled halfway, to peers that lack features
 */
#include "pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rdm/rdm_move.h"

#define BOTH (DEV_CAP_READ | DEV_CAP_WRITE)

enum { LEN = 150000, RUNT = 20000 };

static uint8_t out[LEN], in[LEN];

static const struct pair_options inlined = { .caps = BOTH };
static const struct pair_options completing = { .caps = BOTH,
						.by_completion = true };
static const struct pair_options copying = { .caps = 0 };
static const struct pair_options runting = { .caps = BOTH, .runt_size = RUNT };
static const struct pair_options runting_slow = { .caps = BOTH,
						  .runt_size = RUNT,
						  .by_completion = true };

static void start(struct pair *p, const struct pair_options *o)
{
	pair_open(p, o);
	pair_shake(p);
	pair_fill(out, 7, LEN);
	memset(in, 0, LEN);
}

static void finish(struct pair *p)
{
	pair_no_comp(&p->a);
	pair_no_comp(&p->b);
	assert_int_equal(p->a.ep->txs.taken, 0);
	assert_int_equal(p->b.ep->msgs.taken, 0);
	assert_int_equal(p->b.ep->rxs.taken, 0);
	assert_int_equal(p->a.ep->ctl_pool.taken, 0);
	assert_int_equal(p->b.ep->ctl_pool.taken, 0);
	assert_int_equal(p->a.ep->nexposed, 0);
	assert_int_equal(rdm_peer_at(p->a.ep, p->a.peer)->runting, 0);
	pair_close(p);
}

/* Delivers the next packet of one end, and lets the other see it. */
static bool step(struct pair_end *from, struct pair_end *to)
{
	struct dev_record_wr *wr = dev_record_take(from->qp);

	if (!wr)
		return false;
	dev_record_deliver(wr, true);
	dev_record_free(wr);
	rdm_progress(to->ep);
	rdm_progress(from->ep);
	return true;
}

static void good(struct pair *p, size_t len)
{
	assert_int_equal(pair_comp(&p->b).len, len);
	pair_comp(&p->a);
	pair_check(in, 7, len);
	assert_int_equal(p->a.ep->stats.bad_packets, 0);
	assert_int_equal(p->b.ep->stats.bad_packets, 0);
}

/* Another message, to see that numbers go on. */
static void afterwards(struct pair *p)
{
	memset(in, 0, LEN);
	assert_int_equal(pair_recv(&p->b, in, 100, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p->a, out, 100, 0, 0, NULL), 0);
	pair_run(p);
	assert_int_equal(pair_comp(&p->b).len, 100);
	pair_comp(&p->a);
	pair_check(in, 7, 100);
}

/* ---- runting --------------------------------------------------------------- */

static void runt(const struct pair_options *o, size_t len, uint32_t flags,
		 bool expected)
{
	struct pair p;

	start(&p, o);
	if (expected)
		assert_int_equal(pair_recv(&p.b, in, len, 3, flags, NULL), 0);
	assert_int_equal(pair_send(&p.a, out, len, 3, flags, NULL), 0);
	pair_run(&p);
	if (!expected) {
		assert_int_equal(pair_recv(&p.b, in, len, 3, flags, NULL), 0);
		pair_run(&p);
	}
	assert_true(pair_posted(flags & RDM_TAGGED ?
					RDM_PKT_RUNTREAD_TAGRTM :
					RDM_PKT_RUNTREAD_MSGRTM) > 1);
	good(&p, len);
	finish(&p);
}

static void rdm_runt__head_in_packets_and_tail_read(void **state)
{
	(void)state;
	for (int tagged = 0; tagged < 2; tagged++) {
		for (int expected = 0; expected < 2; expected++) {
			uint32_t flags = tagged ? RDM_TAGGED | RDM_DATA : 0;

			runt(&runting, LEN, flags, expected);
			runt(&runting_slow, LEN, flags, expected);
			runt(&runting, PAIR_READ + 3, flags, expected);
		}
	}
}

/* All of it is head: nothing is read, and nobody says EOR. */
static void rdm_runt__head_may_be_all(void **state)
{
	struct pair_options o = runting;

	(void)state;
	o.runt_size = 2 * LEN;
	runt(&o, LEN, 0, true);
	runt(&o, LEN, 0, false);
	o.by_completion = true;
	runt(&o, LEN, RDM_TAGGED, true);
	assert_int_equal(pair_posted(RDM_PKT_EOR), 0);
}

static void rdm_runt__arrives_in_any_order(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= 32; seed++) {
		unsigned int dice = seed;
		struct pair p;

		start(&p, seed % 2 ? &runting : &runting_slow);
		if (seed % 4 < 2)
			assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL),
					 0);
		assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, NULL), 0);
		pair_shuffle(&p, &dice, seed % 8 < 4);
		if (seed % 4 >= 2)
			assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL),
					 0);
		pair_shuffle(&p, &dice, false);
		assert_int_equal(pair_comp(&p.b).len, LEN);
		pair_comp(&p.a);
		pair_check(in, 7, LEN);
		finish(&p);
	}
}

/* The budget is for one peer, and for one message at a time. */
static void rdm_runt__budget_is_kept(void **state)
{
	struct pair p;

	(void)state;
	start(&p, &runting);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, NULL), 0);
	pair_run(&p);
	assert_true(pair_posted(RDM_PKT_RUNTREAD_MSGRTM) > 1);
	assert_int_equal(pair_posted(RDM_PKT_LONGREAD_MSGRTM), 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL), 0);
		pair_run(&p);
		good(&p, LEN);
	}
	assert_int_equal(pair_send(&p.a, out, LEN, 0, RDM_DELIVERY, NULL), 0);
	assert_int_equal(pair_posted(RDM_PKT_LONGREAD_MSGRTM), 3);
	assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL), 0);
	pair_run(&p);
	good(&p, LEN);
	finish(&p);
}

static void rdm_runt__needs_the_feature(void **state)
{
	struct pair_options o = runting;
	struct pair p;

	(void)state;
	o.b_off = RDM_FEATURE_RUNT;
	start(&p, &o);
	assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, NULL), 0);
	pair_run(&p);
	assert_int_equal(pair_posted(RDM_PKT_LONGREAD_MSGRTM), 1);
	good(&p, LEN);
	finish(&p);
}

static void rdm_runt__truncated(void **state)
{
	static const size_t rooms[] = { 0, 5000, RUNT, RUNT + 1, 100000 };

	(void)state;
	for (size_t i = 0; i < u_array_size(rooms); i++) {
		for (int slow = 0; slow < 2; slow++) {
			struct pair p;

			start(&p, slow ? &runting_slow : &runting);
			assert_int_equal(
				pair_recv(&p.b, in, rooms[i], 0, 0, NULL), 0);
			assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, NULL),
					 0);
			pair_run(&p);
			assert_int_equal(pair_error(&p.b, RDM_ERR_TRUNC).len,
					 LEN);
			pair_comp(&p.a);
			pair_check(in, 7, rooms[i]);
			afterwards(&p);
			finish(&p);
		}
	}
}

static void rdm_runt__waits_for_room(void **state)
{
	struct pair p;

	(void)state;
	start(&p, &runting);
	dev_record_set_room(p.a.dev, 0);
	assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, NULL), -EAGAIN);
	dev_record_set_room(p.a.dev, 1);
	assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL), 0);
	for (int i = 0; i < 200; i++) {
		rdm_progress(p.a.ep);
		rdm_progress(p.b.ep);
		dev_record_run();
		dev_record_set_room(p.a.dev, 1);
		dev_record_set_room(p.b.dev, 1);
	}
	good(&p, LEN);
	finish(&p);
}

/* ---- reads that cannot be --------------------------------------------------- */

static void nack(const struct pair_options *o, uint32_t flags, bool expected,
		 size_t room)
{
	bool dc = flags & RDM_DELIVERY;
	struct pair p;

	start(&p, o);
	dev_record_set_reads(p.b.dev, false);
	if (expected)
		assert_int_equal(pair_recv(&p.b, in, room, 3, flags, NULL), 0);
	assert_int_equal(pair_send(&p.a, out, LEN, 3, flags, NULL), 0);
	pair_run(&p);
	if (!expected) {
		assert_int_equal(pair_recv(&p.b, in, room, 3, flags, NULL), 0);
		pair_run(&p);
	}
	assert_int_equal(pair_posted(RDM_PKT_READ_NACK), room > RUNT);
	if (room > RUNT)
		assert_int_equal(
			pair_posted((flags & RDM_TAGGED ?
					     RDM_PKT_LONGCTS_TAGRTM :
					     RDM_PKT_LONGCTS_MSGRTM) +
				    (dc ? RDM_PKT_DC_LONGCTS_MSGRTM -
						     RDM_PKT_LONGCTS_MSGRTM :
					  0)),
			1);
	if (room < LEN) {
		pair_error(&p.b, RDM_ERR_TRUNC);
		pair_comp(&p.a);
		pair_check(in, 7, room);
	} else {
		good(&p, LEN);
	}
	afterwards(&p);
	finish(&p);
}

static void rdm_nack__rest_goes_in_packets(void **state)
{
	(void)state;
	for (int expected = 0; expected < 2; expected++) {
		nack(&inlined, 0, expected, LEN);
		nack(&inlined, RDM_TAGGED, expected, LEN);
		nack(&inlined, RDM_DELIVERY, expected, LEN);
		nack(&inlined, RDM_TAGGED | RDM_DELIVERY, expected, LEN);
		nack(&completing, RDM_TAGGED, expected, LEN);
		nack(&runting, 0, expected, LEN);
		nack(&runting, RDM_TAGGED, expected, LEN);
		nack(&runting_slow, 0, expected, LEN);
		nack(&inlined, 0, expected, 90000);
		nack(&runting, 0, expected, 90000);
	}
}

static void rdm_nack__arrives_in_any_order(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= 32; seed++) {
		unsigned int dice = seed;
		struct pair p;

		start(&p, seed % 2 ? &runting : &completing);
		dev_record_set_reads(p.b.dev, false);
		assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL), 0);
		assert_int_equal(pair_send(&p.a, out, LEN, 0,
					   seed % 4 < 2 ? RDM_DELIVERY : 0,
					   NULL),
				 0);
		pair_shuffle(&p, &dice, false);
		good(&p, LEN);
		afterwards(&p);
		finish(&p);
	}
}

/* The announcement in packets finds no room at first. */
static void rdm_nack__waits_for_room(void **state)
{
	struct pair p;

	(void)state;
	start(&p, &completing);
	dev_record_set_reads(p.b.dev, false);
	assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, NULL), 0);
	dev_record_set_room(p.a.dev, 0);
	pair_run(&p);
	assert_int_equal(pair_posted(RDM_PKT_READ_NACK), 1);
	assert_int_equal(pair_posted(RDM_PKT_LONGCTS_MSGRTM), 0);
	dev_record_set_room(p.a.dev, -1);
	pair_run(&p);
	good(&p, LEN);
	finish(&p);
}

/* Of a sender that does not know the word the message fails, on both sides. */
static void rdm_nack__needs_the_feature(void **state)
{
	struct pair_options o = inlined;
	struct pair p;

	(void)state;
	o.a_off = RDM_FEATURE_READ_NACK;
	start(&p, &o);
	dev_record_set_reads(p.b.dev, false);
	assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, NULL), 0);
	pair_run(&p);
	pair_error(&p.b, RDM_ERR_NOMEM);
	pair_error(&p.a, RDM_ERR_PEER_ABORT);
	afterwards(&p);
	finish(&p);
}

/* ---- given up by the receiver -------------------------------------------------- */

/* The sender's memory cannot be read: it is told. */
static void rdm_error__failed_read_is_told(void **state)
{
	(void)state;
	for (int runt_too = 0; runt_too < 2; runt_too++) {
		struct rdm_tx *tx;
		struct pair p;

		start(&p, runt_too ? &runting_slow : &completing);
		assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, &p), 0);
		tx = TAILQ_FIRST(&rdm_peer_at(p.a.ep, p.a.peer)->txs);
		pair_run(&p);
		rdm_conceal(p.a.ep, tx);
		assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL), 0);
		pair_run(&p);
		pair_error(&p.b, DEV_BAD_RKEY);
		assert_ptr_equal(pair_error(&p.a, RDM_ERR_PEER_ABORT).context,
				 &p);
		assert_int_equal(pair_posted(RDM_PKT_PEER_ERROR), 1);
		afterwards(&p);
		finish(&p);
	}
}

/* Canceled before its message, in the middle of it, and after it. */
static void cancel(const struct pair_options *o, uint32_t flags, int steps,
		   bool told)
{
	struct pair p;
	int done = 0;

	start(&p, o);
	assert_int_equal(pair_recv(&p.b, in, LEN, 0, flags, &in), 0);
	assert_int_equal(pair_send(&p.a, out, LEN, 0, flags, &out), 0);
	while (done < steps && (step(&p.a, &p.b) || step(&p.b, &p.a)))
		done++;
	if (!rdm_cq_empty(p.b.cq)) {
		assert_int_equal(rdm_cancel(p.b.ep, &in), -ENOENT);
		pair_run(&p);
		good(&p, LEN);
		finish(&p);
		return;
	}
	assert_int_equal(rdm_cancel(p.b.ep, &in), 0);
	assert_int_equal(rdm_cancel(p.b.ep, &in), -ENOENT);
	pair_run(&p);
	assert_ptr_equal(pair_error(&p.b, RDM_ERR_CANCELED).context, &in);
	if (!steps) { /* nobody wants it yet */
		assert_int_equal(pair_recv(&p.b, in, LEN, 0, flags, &in), 0);
		pair_run(&p);
		good(&p, LEN);
	} else if (told) {
		pair_error(&p.a, RDM_ERR_PEER_ABORT);
	} else {
		pair_comp(&p.a);
	}
	afterwards(&p);
	finish(&p);
}

static void rdm_cancel__matched_receive(void **state)
{
	struct pair_options o;

	(void)state;
	for (int steps = 0; steps < 40; steps++) {
		cancel(&copying, 0, steps, true);
		cancel(&copying, RDM_DELIVERY, steps, true);
		cancel(&completing, 0, steps, true);
		cancel(&runting_slow, 0, steps, true);
		o = copying;
		o.a_off = RDM_FEATURE_PEER_ERROR;
		cancel(&o, 0, steps, false);
		cancel(&o, RDM_DELIVERY, steps, false);
		o = completing;
		o.a_off = RDM_FEATURE_PEER_ERROR;
		cancel(&o, 0, steps, false);
	}
}

/* ---- given up by the sender ---------------------------------------------------- */

/* What the PEER_ERROR that is posted last names the message by. */
static int named_by(struct pair_end *e)
{
	const struct dev_record_wr *wr;
	int ref = -1;

	for (wr = dev_record_peek(e->qp); wr; wr = wr->next)
		if (wr->data[0] == RDM_PKT_PEER_ERROR)
			ref = wr->data[8];
	return ref;
}

/*
 * The n-th packet of a message fails for a reason that is no death of the
 * peer; what follows it is lost as well.
 */
static void break_at(size_t len, int n, bool shuffle, bool expected)
{
	int ref = !n		    ? RDM_REF_SKIP :
		  len > PAIR_MEDIUM ? RDM_REF_ID :
				      RDM_REF_MSG;
	unsigned int dice = (unsigned int)n + 1;
	struct pair p;
	bool broken = false;

	start(&p, &(struct pair_options){ .by_completion = true });
	if (expected)
		assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, &in), 0);
	assert_int_equal(pair_send(&p.a, out, len, 0, 0, &out), 0);
	for (int i = 0; i < 400; i++) {
		struct dev_record_wr *wr = dev_record_take(p.a.qp);
		bool ours = wr && wr->data[0] != RDM_PKT_PEER_ERROR;

		if (!wr)
			step(&p.b, &p.a);
		else if (ours && n-- <= 0) {
			dev_record_complete(wr, DEV_BAD_LKEY);
			broken = true;
		} else
			dev_record_deliver(wr, true);
		if (wr)
			dev_record_free(wr);
		rdm_progress(p.a.ep);
		rdm_progress(p.b.ep);
		if (broken && TAILQ_EMPTY(&rdm_peer_at(p.a.ep, p.a.peer)->txs))
			break;
	}
	if (!broken) {
		if (!expected)
			assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, &in),
					 0);
		pair_run(&p);
		good(&p, len);
		finish(&p);
		return;
	}
	assert_ptr_equal(pair_error(&p.a, DEV_BAD_LKEY).context, &out);
	assert_int_equal(named_by(&p.a), ref);
	if (shuffle)
		pair_shuffle(&p, &dice, true);
	pair_run(&p);
	assert_int_equal(pair_posted(RDM_PKT_PEER_ERROR), 1);
	if (p.b.ep->msgs.taken && !expected) /* it waits for a receive */
		assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, &in), 0);
	if (!rdm_cq_empty(p.b.cq))
		assert_ptr_equal(pair_error(&p.b, RDM_ERR_PEER_ABORT).context,
				 &in);
	else if (expected) /* nothing came: the receive is there still */
		assert_int_equal(rdm_cancel(p.b.ep, &in), 0);
	if (!rdm_cq_empty(p.b.cq))
		pair_error(&p.b, RDM_ERR_CANCELED);
	afterwards(&p);
	finish(&p);
}

static void rdm_error__broken_send_is_told(void **state)
{
	static const size_t lens[] = { 10, 5000, PAIR_MEDIUM, 20000, LEN };

	(void)state;
	for (size_t i = 0; i < u_array_size(lens); i++)
		for (int n = 0; n < 12; n++)
			for (int way = 0; way < 4; way++)
				break_at(lens[i], n, way & 1, way & 2);
}

/* Numbers that are given up before their turn. */
static void rdm_error__comes_before_its_turn(void **state)
{
	uint8_t skip[20] = { 12, 4, 0, 0x80 };
	struct rdm_peer *peer;
	struct pair p;
	uint32_t next;

	(void)state;
	start(&p, &inlined);
	peer = rdm_peer_at(p.b.ep, p.b.peer);
	next = peer->rx_msg_id;
	for (int i = 0; i < 4; i++)
		skip[16 + i] = (uint8_t)(p.a.addr.qkey >> 8 * i);
	/* The number after the next one is skipped, said twice. */
	skip[4] = (uint8_t)(next + 1);
	skip[8] = RDM_REF_SKIP;
	for (int i = 0; i < 2; i++) {
		dev_record_inject(p.b.qp, &p.a.addr, skip, sizeof(skip));
		rdm_progress(p.b.ep);
	}
	assert_int_equal(peer->rx_msg_id, next);
	afterwards(&p);
	assert_int_equal(peer->rx_msg_id, next + 2);
	/* Of the next one something is on its way. */
	skip[4] = (uint8_t)(next + 2);
	skip[8] = RDM_REF_MSG;
	dev_record_inject(p.b.qp, &p.a.addr, skip, sizeof(skip));
	rdm_progress(p.b.ep);
	assert_int_equal(peer->rx_msg_id, next + 2);
	rdm_peer_at(p.a.ep, p.a.peer)->tx_msg_id++;
	pair_close(&p);
}

/* Given up though it has not come: it fails when it has. */
static void rdm_error__overtakes_its_message(void **state)
{
	uint8_t gone[20] = { 12, 4, 0, 0x80, [8] = RDM_REF_MSG };
	struct dev_record_wr *wr;
	struct rdm_peer *peer;
	struct pair p;

	(void)state;
	start(&p, &copying);
	peer = rdm_peer_at(p.b.ep, p.b.peer);
	for (int i = 0; i < 4; i++)
		gone[16 + i] = (uint8_t)(p.a.addr.qkey >> 8 * i);
	gone[4] = (uint8_t)peer->rx_msg_id;
	assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, &in), 0);
	assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, &out), 0);
	dev_record_inject(p.b.qp, &p.a.addr, gone, sizeof(gone));
	rdm_progress(p.b.ep);
	pair_no_comp(&p.b);
	wr = dev_record_take(p.a.qp);
	dev_record_deliver(wr, true);
	dev_record_free(wr);
	rdm_progress(p.b.ep);
	assert_ptr_equal(pair_error(&p.b, RDM_ERR_PEER_ABORT).context, &in);
	assert_true(rdm_reorder_empty(&peer->early));
	pair_close(&p);
}

static void rdm_error__nonsense_is_dropped(void **state)
{
	uint8_t bytes[20] = { 12, 4, 0, 0x80 };
	unsigned int dice = 5;
	struct pair p;

	(void)state;
	start(&p, &copying);
	for (int i = 0; i < 4; i++)
		bytes[16 + i] = (uint8_t)(p.a.addr.qkey >> 8 * i);
	assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, &in), 0);
	for (int i = 0; i < 5000; i++) {
		for (int k = 4; k < 8; k++)
			bytes[k] = (uint8_t)rand_r(&dice);
		bytes[8] = i % 3 ? 3 : 0;
		dev_record_inject(p.b.qp, &p.a.addr, bytes, sizeof(bytes));
		rdm_progress(p.b.ep);
	}
	assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, &out), 0);
	pair_run(&p);
	assert_int_equal(pair_comp(&p.b).len, LEN);
	pair_comp(&p.a);
	pair_close(&p);
}

/* ---- peers that lack features ---------------------------------------------------- */

static void rdm_features__delivery_needs_receipts(void **state)
{
	struct pair_options o = copying;
	struct pair p;

	(void)state;
	o.b_off = RDM_FEATURE_DC;
	start(&p, &o);
	for (size_t len = 1; len < LEN; len *= 20)
		assert_int_equal(pair_send(&p.a, out, len, 0, RDM_DELIVERY,
					   NULL),
				 -EOPNOTSUPP);
	afterwards(&p);
	finish(&p);
}

/* No connid in requests, then; the other way it goes on. */
static void rdm_features__connid_is_left_out(void **state)
{
	struct pair_options o = inlined;
	struct dev_record_wr *wr;
	struct pair p;

	(void)state;
	o.b_off = RDM_FEATURE_CONNID;
	start(&p, &o);
	assert_int_equal(pair_recv(&p.b, in, 10, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, out, 10, 0, 0, NULL), 0);
	wr = dev_record_peek(p.a.qp);
	assert_int_equal(wr->len, 18);
	assert_int_equal(wr->data[3] << 8 | wr->data[2], RDM_PKT_MSG);
	pair_run(&p);
	good(&p, 10);
	assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, out, LEN, 0, 0, NULL), 0);
	pair_run(&p);
	good(&p, LEN);
	finish(&p);
}

/* A peer may ask for the raw address in every request, for good. */
static void rdm_features__raw_address_is_kept(void **state)
{
	uint8_t hello[32] = { 9, 4, 2, 0x80, 4, [8] = 0x5e, [24] = 0xa0, 0xef };
	struct dev_record_wr *wr;
	struct pair p;

	(void)state;
	pair_open(&p, &copying);
	pair_fill(out, 7, LEN);
	for (int i = 0; i < 4; i++)
		hello[16 + i] = (uint8_t)(p.b.addr.qkey >> 8 * i);
	dev_record_inject(p.a.qp, &p.b.addr, hello, sizeof(hello));
	rdm_progress(p.a.ep);
	assert_true(rdm_peer_at(p.a.ep, p.a.peer)->shaken);
	dev_record_free(dev_record_take(p.a.qp)); /* our HANDSHAKE */
	for (size_t len = 1; len < LEN; len *= 30) {
		assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0, NULL), 0);
		assert_int_equal(pair_send(&p.a, out, len, 0, 0, NULL), 0);
		wr = dev_record_peek(p.a.qp);
		assert_int_equal(wr->data[2] & RDM_PKT_RAW_ADDR, 1);
		assert_int_equal(wr->data[3] & 0x80, 0);
		dev_record_deliver(wr, true);
		dev_record_free(dev_record_take(p.a.qp));
		rdm_progress(p.b.ep);
		while ((wr = dev_record_take(p.b.qp))) {
			/* Its own HANDSHAKE asks for nothing. */
			if (wr->data[0] != RDM_PKT_HANDSHAKE)
				dev_record_deliver(wr, true);
			dev_record_free(wr);
		}
		rdm_progress(p.a.ep);
		pair_run(&p);
		assert_int_equal(pair_comp(&p.b).len, len);
		pair_comp(&p.a);
	}
	pair_close(&p);
}

/* Every single feature off at either end: messages of all lengths arrive. */
static void rdm_features__any_one_may_be_missing(void **state)
{
	static const size_t lens[] = { 0, 100, 2000, PAIR_MEDIUM + 1, LEN };

	(void)state;
	for (int bit = 0; bit < 10; bit++) {
		for (int end = 0; end < 3; end++) {
			struct pair_options o = runting;
			struct pair p;

			o.a_off = end != 1 ? UINT64_C(1) << bit : 0;
			o.b_off = end != 0 ? UINT64_C(1) << bit : 0;
			start(&p, &o);
			for (size_t i = 0; i < u_array_size(lens); i++) {
				memset(in, 0, LEN);
				assert_int_equal(pair_recv(&p.b, in, LEN, 0, 0,
							   NULL),
						 0);
				assert_int_equal(pair_send(&p.a, out, lens[i],
							   0, 0, NULL),
						 0);
				pair_run(&p);
				good(&p, lens[i]);
			}
			finish(&p);
		}
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
		cmocka_unit_test(rdm_error__failed_read_is_told),
		cmocka_unit_test(rdm_cancel__matched_receive),
		cmocka_unit_test(rdm_error__broken_send_is_told),
		cmocka_unit_test(rdm_error__comes_before_its_turn),
		cmocka_unit_test(rdm_error__overtakes_its_message),
		cmocka_unit_test(rdm_error__nonsense_is_dropped),
		cmocka_unit_test(rdm_features__delivery_needs_receipts),
		cmocka_unit_test(rdm_features__connid_is_left_out),
		cmocka_unit_test(rdm_features__raw_address_is_kept),
		cmocka_unit_test(rdm_features__any_one_may_be_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
