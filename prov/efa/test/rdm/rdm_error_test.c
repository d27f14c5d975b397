/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_error_test.c - messages that either side gives up, also by canceling, and
 * peers that lack features
 */
#include "talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rdm/rdm_move.h"

/* ---- given up by the receiver -------------------------------------------------- */

/* The sender's memory cannot be read: it is told. */
static void rdm_error__failed_read_is_told(void **state)
{
	(void)state;
	for (int runt_too = 0; runt_too < 2; runt_too++) {
		struct rdm_tx *tx;
		struct pair p;

		talk_start(&p,
			   runt_too ? &talk_runting_slow : &talk_completing);
		assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, &p),
				 0);
		tx = TAILQ_FIRST(&rdm_peer_at(p.a.ep, p.a.peer)->txs);
		pair_run(&p);
		rdm_conceal(p.a.ep, tx, true);
		assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL),
				 0);
		pair_run(&p);
		pair_error(&p.b, DEV_BAD_RKEY);
		assert_ptr_equal(pair_error(&p.a, RDM_ERR_PEER_ABORT).context,
				 &p);
		assert_int_equal(pair_posted(RDM_PKT_PEER_ERROR), 1);
		talk_again(&p);
		talk_end(&p);
	}
}

/* So is who waits for the result of an atomic that may not be. */
static void rdm_error__refused_atomic_is_told(void **state)
{
	static const enum rdm_atomic_kind kinds[] = { RDM_ATOMIC_FETCH,
						      RDM_ATOMIC_COMPARE,
						      RDM_ATOMIC_BASE };
	uint64_t one = 1, before = 0;
	struct iovec iov = { &one, sizeof(one) }, to = { &before, 8 };
	struct dev_range target = { 4096, 8, 99 };
	struct rdm_refusal refusal;
	struct pair p;

	(void)state;
	for (size_t i = 0; i < u_array_size(kinds); i++) {
		talk_start(&p, &talk_copying);
		assert_int_equal(
			rdm_atomic(
				p.a.ep,
				&(struct rdm_atomic){
					.kind = kinds[i],
					.op = kinds[i] == RDM_ATOMIC_COMPARE ?
						      RDM_ATOMIC_CSWAP :
						      RDM_ATOMIC_SUM,
					.type = RDM_UINT64,
					.iov = &iov,
					.compare = &iov,
					.result = &to,
					.target = &target,
					.iovcnt = 1,
					.comparecnt = 1,
					.resultcnt = 1,
					.targetcnt = 1,
					.flags = RDM_COMPLETION | RDM_DELIVERY,
					.to = p.a.peer,
					.context = &to }),
			0);
		pair_run(&p);
		assert_ptr_equal(pair_error(&p.a, RDM_ERR_PEER_ABORT).context,
				 &to);
		assert_true(rdm_ep_refusal(p.b.ep, &refusal));
		assert_int_equal(refusal.err, RDM_ERR_RMA_ADDR);
		talk_again(&p);
		talk_end(&p);
	}
}

/* Canceled before its message, in the middle of it, and after it. */
static void cancel(const struct pair_options *o, uint32_t flags, int steps,
		   bool told)
{
	struct pair p;
	int done = 0;

	talk_start(&p, o);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, flags, &talk_in),
			 0);
	assert_int_equal(
		pair_send(&p.a, talk_out, TALK_LEN, 0, flags, &talk_out), 0);
	while (done < steps && (talk_step(&p.a, &p.b) || talk_step(&p.b, &p.a)))
		done++;
	if (!rdm_cq_empty(p.b.cq)) {
		assert_int_equal(rdm_cancel(p.b.ep, &talk_in), -ENOENT);
		pair_run(&p);
		talk_good(&p, TALK_LEN);
		talk_end(&p);
		return;
	}
	assert_int_equal(rdm_cancel(p.b.ep, &talk_in), 0);
	assert_int_equal(rdm_cancel(p.b.ep, &talk_in), -ENOENT);
	pair_run(&p);
	assert_ptr_equal(pair_error(&p.b, RDM_ERR_CANCELED).context, &talk_in);
	if (!steps) { /* nobody wants it yet */
		assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, flags,
					   &talk_in),
				 0);
		pair_run(&p);
		talk_good(&p, TALK_LEN);
	} else if (told) {
		pair_error(&p.a, RDM_ERR_PEER_ABORT);
	} else {
		pair_comp(&p.a);
	}
	talk_again(&p);
	talk_end(&p);
}

static void rdm_cancel__matched_receive(void **state)
{
	struct pair_options o;

	(void)state;
	for (int steps = 0; steps < 40; steps++) {
		cancel(&talk_copying, 0, steps, true);
		cancel(&talk_copying, RDM_DELIVERY, steps, true);
		cancel(&talk_completing, 0, steps, true);
		cancel(&talk_runting_slow, 0, steps, true);
		o = talk_copying;
		o.a_off = RDM_FEATURE_PEER_ERROR;
		cancel(&o, 0, steps, false);
		cancel(&o, RDM_DELIVERY, steps, false);
		o = talk_completing;
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

	talk_start(&p, &(struct pair_options){ .by_completion = true });
	if (expected)
		assert_int_equal(
			pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, &talk_in), 0);
	assert_int_equal(pair_send(&p.a, talk_out, len, 0, 0, &talk_out), 0);
	for (int i = 0; i < 400; i++) {
		struct dev_record_wr *wr = dev_record_take(p.a.qp);
		bool ours = wr && wr->data[0] != RDM_PKT_PEER_ERROR;

		if (!wr)
			talk_step(&p.b, &p.a);
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
			assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0,
						   0, &talk_in),
					 0);
		pair_run(&p);
		talk_good(&p, len);
		talk_end(&p);
		return;
	}
	assert_ptr_equal(pair_error(&p.a, DEV_BAD_LKEY).context, &talk_out);
	assert_int_equal(named_by(&p.a), ref);
	if (shuffle)
		pair_shuffle(&p, &dice, true);
	pair_run(&p);
	assert_int_equal(pair_posted(RDM_PKT_PEER_ERROR), 1);
	if (p.b.ep->msgs.taken && !expected) /* it waits for a receive */
		assert_int_equal(
			pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, &talk_in), 0);
	if (!rdm_cq_empty(p.b.cq))
		assert_ptr_equal(pair_error(&p.b, RDM_ERR_PEER_ABORT).context,
				 &talk_in);
	else if (expected) /* nothing came: the receive is there still */
		assert_int_equal(rdm_cancel(p.b.ep, &talk_in), 0);
	if (!rdm_cq_empty(p.b.cq))
		pair_error(&p.b, RDM_ERR_CANCELED);
	talk_again(&p);
	talk_end(&p);
}

static void rdm_error__broken_send_is_told(void **state)
{
	static const size_t lens[] = { 10, 5000, PAIR_MEDIUM, 20000, TALK_LEN };

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
	talk_start(&p, &talk_inlined);
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
	talk_again(&p);
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
	talk_start(&p, &talk_copying);
	peer = rdm_peer_at(p.b.ep, p.b.peer);
	for (int i = 0; i < 4; i++)
		gone[16 + i] = (uint8_t)(p.a.addr.qkey >> 8 * i);
	gone[4] = (uint8_t)peer->rx_msg_id;
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, &talk_in), 0);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, &talk_out),
			 0);
	dev_record_inject(p.b.qp, &p.a.addr, gone, sizeof(gone));
	rdm_progress(p.b.ep);
	pair_no_comp(&p.b);
	wr = dev_record_take(p.a.qp);
	dev_record_deliver(wr, true);
	dev_record_free(wr);
	rdm_progress(p.b.ep);
	assert_ptr_equal(pair_error(&p.b, RDM_ERR_PEER_ABORT).context,
			 &talk_in);
	assert_true(rdm_reorder_empty(&peer->early));
	pair_close(&p);
}

static void rdm_error__nonsense_is_dropped(void **state)
{
	uint8_t bytes[20] = { 12, 4, 0, 0x80 };
	unsigned int dice = 5;
	struct pair p;

	(void)state;
	talk_start(&p, &talk_copying);
	for (int i = 0; i < 4; i++)
		bytes[16 + i] = (uint8_t)(p.a.addr.qkey >> 8 * i);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, &talk_in), 0);
	for (int i = 0; i < 5000; i++) {
		for (int k = 4; k < 8; k++)
			bytes[k] = (uint8_t)rand_r(&dice);
		bytes[8] = i % 3 ? 3 : 0;
		dev_record_inject(p.b.qp, &p.a.addr, bytes, sizeof(bytes));
		rdm_progress(p.b.ep);
	}
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, &talk_out),
			 0);
	pair_run(&p);
	assert_int_equal(pair_comp(&p.b).len, TALK_LEN);
	pair_comp(&p.a);
	pair_close(&p);
}

/* ---- peers that lack features ---------------------------------------------------- */

static void rdm_features__delivery_needs_receipts(void **state)
{
	struct pair_options o = talk_copying;
	struct pair p;

	(void)state;
	o.b_off = RDM_FEATURE_DC;
	talk_start(&p, &o);
	for (size_t len = 1; len < TALK_LEN; len *= 20)
		assert_int_equal(pair_send(&p.a, talk_out, len, 0, RDM_DELIVERY,
					   NULL),
				 -EOPNOTSUPP);
	talk_again(&p);
	talk_end(&p);
}

/* No connid in requests, then; the other way it goes on. */
static void rdm_features__connid_is_left_out(void **state)
{
	struct pair_options o = talk_inlined;
	struct dev_record_wr *wr;
	struct pair p;

	(void)state;
	o.b_off = RDM_FEATURE_CONNID;
	talk_start(&p, &o);
	assert_int_equal(pair_recv(&p.b, talk_in, 10, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, 10, 0, 0, NULL), 0);
	wr = dev_record_peek(p.a.qp);
	assert_int_equal(wr->len, 18);
	assert_int_equal(wr->data[3] << 8 | wr->data[2], RDM_PKT_MSG);
	pair_run(&p);
	talk_good(&p, 10);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
	pair_run(&p);
	talk_good(&p, TALK_LEN);
	talk_end(&p);
}

/* A peer may ask for the raw address in every request, for good. */
static void rdm_features__raw_address_is_kept(void **state)
{
	uint8_t hello[32] = { 9, 4, 2, 0x80, 4, [8] = 0x5e, [24] = 0xa0, 0xef };
	struct dev_record_wr *wr;
	struct pair p;

	(void)state;
	pair_open(&p, &talk_copying);
	pair_fill(talk_out, 7, TALK_LEN);
	for (int i = 0; i < 4; i++)
		hello[16 + i] = (uint8_t)(p.b.addr.qkey >> 8 * i);
	dev_record_inject(p.a.qp, &p.b.addr, hello, sizeof(hello));
	rdm_progress(p.a.ep);
	assert_true(rdm_peer_at(p.a.ep, p.a.peer)->shaken);
	dev_record_free(dev_record_take(p.a.qp)); /* our HANDSHAKE */
	for (size_t len = 1; len < TALK_LEN; len *= 30) {
		assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL),
				 0);
		assert_int_equal(pair_send(&p.a, talk_out, len, 0, 0, NULL), 0);
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
	static const size_t lens[] = { 0, 100, 2000, PAIR_MEDIUM + 1,
				       TALK_LEN };

	(void)state;
	for (int bit = 0; bit < 10; bit++) {
		for (int end = 0; end < 3; end++) {
			struct pair_options o = talk_runting;
			struct pair p;

			o.a_off = end != 1 ? UINT64_C(1) << bit : 0;
			o.b_off = end != 0 ? UINT64_C(1) << bit : 0;
			talk_start(&p, &o);
			for (size_t i = 0; i < u_array_size(lens); i++) {
				memset(talk_in, 0, TALK_LEN);
				assert_int_equal(pair_recv(&p.b, talk_in,
							   TALK_LEN, 0, 0,
							   NULL),
						 0);
				assert_int_equal(pair_send(&p.a, talk_out,
							   lens[i], 0, 0, NULL),
						 0);
				pair_run(&p);
				talk_good(&p, lens[i]);
			}
			talk_end(&p);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_error__failed_read_is_told),
		cmocka_unit_test(rdm_error__refused_atomic_is_told),
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
