/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_trouble_test.c - peers that cannot be reached, answers that get lost,
 * memory that runs short
 */
#include "talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rdm/rdm_ep.h"

static const struct pair_options inlined = {
	.caps = DEV_CAP_READ | DEV_CAP_WRITE,
};
static const struct pair_options completing = {
	.by_completion = true,
	.caps = DEV_CAP_READ | DEV_CAP_WRITE,
};

static void rdm_send__unreachable_peer_is_an_error(void **state)
{
	static const uint8_t statuses[] = { DEV_NO_QP, DEV_UNREACHABLE,
					    DEV_PEER_RESET };
	static uint8_t buf[20000];

	(void)state;
	for (size_t i = 0; i < u_array_size(statuses); i++) {
		struct pair p;

		pair_open(&p, &completing);
		for (size_t len = 1; len <= sizeof(buf); len *= 20) {
			assert_int_equal(pair_send(&p.a, buf, len, 0, 0, &p),
					 0);
			rdm_progress(p.a.ep);
			pair_refuse(&p.a, statuses[i]);
			rdm_progress(p.a.ep);
			assert_ptr_equal(pair_error(&p.a, statuses[i]).context,
					 &p);
		}
		pair_no_comp(&p.a);
		assert_int_equal(p.a.ep->txs.taken, 0);
		pair_close(&p);
	}
}

static void rdm_rma__unreachable_peer_is_an_error(void **state)
{
	uint8_t byte = 0;
	struct iovec iov = { &byte, 1 };
	struct dev_range at = { .len = 1 };
	struct rdm_rma op = { .iov = &iov,
			      .iovcnt = 1,
			      .rma_iov = &at,
			      .rma_iovcnt = 1,
			      .read = true,
			      .flags = RDM_COMPLETION };
	struct pair p;

	(void)state;
	pair_open(&p, &completing);
	op.to = p.a.peer;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rdm_rma(p.a.ep, &op), 0);
		assert_int_equal(pair_refuse(&p.a, DEV_NO_QP), 1);
		rdm_progress(p.a.ep);
		pair_error(&p.a, DEV_NO_QP);
	}
	assert_int_equal(p.a.ep->txs.taken, 0);
	pair_close(&p);
}

/* HANDSHAKE, CTS and RECEIPT are sent until they arrive. */
static void rdm_ctl__lost_answers_are_sent_again(void **state)
{
	static uint8_t out[20000], in[20000];
	struct pair p;

	(void)state;
	pair_open(&p, &completing);
	pair_fill(out, 3, sizeof(out));
	assert_int_equal(pair_recv(&p.b, in, sizeof(in), 0, 0, NULL), 0);
	assert_int_equal(
		pair_send(&p.a, out, sizeof(out), 0, RDM_DELIVERY, NULL), 0);
	for (int turn = 0; turn < 2000 && rdm_cq_empty(p.a.cq); turn++) {
		struct dev_record_wr *wr = dev_record_take(p.a.qp);

		if (wr) {
			dev_record_deliver(wr, true);
			dev_record_free(wr);
		}
		rdm_progress(p.b.ep);
		if (turn % 5) {
			pair_refuse(&p.b, DEV_UNREACHABLE);
		} else if ((wr = dev_record_take(p.b.qp))) {
			dev_record_deliver(wr, true);
			dev_record_free(wr);
		}
		rdm_progress(p.b.ep);
		rdm_progress(p.a.ep);
	}
	pair_comp(&p.a);
	pair_comp(&p.b);
	pair_check(in, 3, sizeof(in));
	pair_run(&p);
	assert_int_equal(p.b.ep->ctl_pool.taken, 0);
	pair_close(&p);
}

/* Not for ever: who waits is told, and the next message is answered again. */
static void rdm_ctl__gives_up_after_a_while(void **state)
{
	static uint8_t out[20000], in[20000];
	struct pair p;

	(void)state;
	pair_open(&p, &completing);
	p.b.ep->config.answer_timeout = 1;
	assert_int_equal(pair_recv(&p.b, in, sizeof(in), 0, 0, &p), 0);
	assert_int_equal(pair_send(&p.a, out, sizeof(out), 0, 0, NULL), 0);
	dev_record_run();
	for (int i = 0; i < 3; i++) {
		rdm_progress(p.b.ep);
		pair_refuse(&p.b, DEV_UNREACHABLE);
	}
	rdm_progress(p.b.ep);
	assert_ptr_equal(pair_error(&p.b, DEV_UNREACHABLE).context, &p);
	assert_int_equal(p.b.ep->nowed, 1); /* that it was given up */
	assert_int_equal(p.b.ep->ctl_pool.taken, 1);
	assert_int_equal(pair_send(&p.a, out, 10, 0, 0, NULL), 0);
	assert_int_equal(pair_recv(&p.b, in, 10, 0, 0, NULL), 0);
	pair_run(&p);
	pair_comp(&p.b);
	assert_true(rdm_peer_at(p.a.ep, p.a.peer)->shaken);
	pair_close(&p);
}

/* An answer to a dead peer ends what waits for that peer. */
static void rdm_ctl__dead_peer_ends_receives(void **state)
{
	static uint8_t out[20000], in[20000];
	struct dev_record_wr *wr;
	uint64_t cookie;
	struct pair p;

	(void)state;
	pair_open(&p, &completing);
	assert_int_equal(pair_recv(&p.b, in, sizeof(in), 0, 0, &p), 0);
	assert_int_equal(pair_send(&p.a, out, sizeof(out), 0, 0, NULL), 0);
	dev_record_run();
	rdm_progress(p.b.ep);
	wr = dev_record_peek(p.b.qp);
	cookie = wr->cookie;
	pair_refuse(&p.b, DEV_PEER_RESET);
	rdm_progress(p.b.ep);
	pair_no_comp(&p.b);
	dev_record_gone(p.b.qp, cookie);
	rdm_progress(p.b.ep);
	assert_ptr_equal(pair_error(&p.b, DEV_PEER_RESET).context, &p);
	assert_int_equal(p.b.ep->ctl_pool.taken, 0);
	assert_int_equal(p.b.ep->msgs.taken, 0);
	assert_int_equal(p.b.ep->rxs.taken, 0);
	pair_close(&p);
}

/*
 * a sends a long message and a short one that wants a RECEIPT. When the RECEIPT
 * finds that a has closed, the rest of the long one is on its way already.
 */
static void close_behind_the_rest(struct pair *p, uint8_t *in, size_t len)
{
	static uint8_t out[20000], byte;

	pair_open(p, &completing);
	pair_shake(p);
	pair_fill(out, 5, len);
	assert_int_equal(pair_recv(&p->b, in, len, 0, 0, NULL), 0);
	assert_int_equal(pair_recv(&p->b, &byte, 1, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p->a, out, len, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p->a, out, 1, 0, RDM_DELIVERY, NULL), 0);
	pair_deliver(&p->a, &p->b, 2);
	pair_deliver(&p->b, &p->a, 1); /* CTS */
	assert_int_equal(pair_refuse(&p->b, DEV_PEER_RESET), 1);
	rdm_progress(p->b.ep);
	assert_int_equal(pair_comp(&p->b).len, 1);
	pair_no_comp(&p->b);
}

static void rdm_ctl__what_a_closed_peer_has_sent_is_read(void **state)
{
	static uint8_t in[20000];
	struct pair p;

	(void)state;
	close_behind_the_rest(&p, in, sizeof(in));
	pair_deliver(&p.a, &p.b, -1);
	assert_int_equal(pair_comp(&p.b).len, sizeof(in));
	pair_check(in, 5, sizeof(in));
	assert_int_equal(p.b.ep->msgs.taken, 0);
	pair_close(&p);
}

/* Should the device never say that it has gone. */
static void rdm_ctl__a_closed_peer_is_not_waited_for_for_ever(void **state)
{
	static uint8_t in[20000];
	struct rdm_peer *peer;
	struct pair p;

	(void)state;
	close_behind_the_rest(&p, in, sizeof(in));
	assert_int_equal(rdm_ep_arm(p.b.ep), 1);
	peer = TAILQ_FIRST(&p.b.ep->leaving);
	assert_non_null(peer);
	peer->lost_at = 0;
	assert_int_equal(rdm_ep_arm(p.b.ep), 0);
	pair_error(&p.b, DEV_PEER_RESET);
	assert_int_equal(p.b.ep->msgs.taken, 0);
	pair_close(&p);
}

/* Messages that failed leave no hole: those behind them arrive. */
static void rdm_send__goes_on_once_a_peer_is_reached(void **state)
{
	static uint8_t out[20000], in[20000];

	(void)state;
	for (size_t len = 1; len <= sizeof(out); len *= 20) {
		struct pair p;

		pair_open(&p, &completing);
		pair_fill(out, 6, len);
		for (int i = 0; i < 1500; i++) {
			assert_int_equal(pair_send(&p.a, out, len, 0, 0, &p),
					 0);
			rdm_progress(p.a.ep);
			pair_refuse(&p.a, DEV_UNREACHABLE);
			rdm_progress(p.a.ep);
			pair_error(&p.a, DEV_UNREACHABLE);
		}
		for (int i = 0; i < 3; i++) {
			assert_int_equal(pair_recv(&p.b, in, len, 0, 0, NULL),
					 0);
			assert_int_equal(pair_send(&p.a, out, len, 0, 0, NULL),
					 0);
			for (int k = 0; k < 100 && rdm_cq_empty(p.b.cq); k++)
				pair_run(&p);
			assert_int_equal(pair_comp(&p.b).len, len);
			pair_check(in, 6, len);
			pair_comp(&p.a);
		}
		assert_int_equal(rdm_peer_at(p.a.ep, p.a.peer)->nowed, 0);
		pair_close(&p);
	}
}

/* So it is where hands were shaken before. */
static void rdm_send__goes_on_once_a_friend_is_reached(void **state)
{
	uint8_t out[100], in[100];
	struct pair p;

	(void)state;
	pair_open(&p, &completing);
	pair_shake(&p);
	pair_fill(out, 6, sizeof(out));
	assert_int_equal(pair_send(&p.a, in, sizeof(in), 0, 0, NULL), 0);
	pair_refuse(&p.a, DEV_UNREACHABLE);
	rdm_progress(p.a.ep);
	pair_error(&p.a, DEV_UNREACHABLE);
	assert_int_equal(pair_recv(&p.b, in, sizeof(in), 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, out, sizeof(out), 0, 0, NULL), 0);
	pair_run(&p);
	pair_comp(&p.a);
	pair_comp(&p.b);
	pair_check(in, 6, sizeof(in));
	pair_close(&p);
}

/*
 * An answer finds no way for so long that the sender is given up. What it has
 * sent ahead of its turn was acknowledged, so it still counts.
 */
static void rdm_ctl__gives_up_nothing_that_came_early(void **state)
{
	struct dev_record_wr *first;
	uint8_t in[2] = { 0 };
	struct pair p;

	(void)state;
	pair_open(&p, &completing);
	p.b.ep->config.answer_timeout = 1;
	for (uint8_t i = 1; i <= 2; i++) {
		assert_int_equal(pair_recv(&p.b, &in[i - 1], 1, 0, 0, NULL), 0);
		assert_int_equal(pair_send(&p.a, &i, 1, 0, 0, NULL), 0);
	}
	first = dev_record_take(p.a.qp);
	pair_deliver(&p.a, &p.b, 1);
	for (int i = 0; i < 3; i++) {
		pair_refuse(&p.b, DEV_UNREACHABLE);
		rdm_progress(p.b.ep);
	}
	dev_record_deliver(first, true);
	dev_record_free(first);
	pair_run(&p);
	pair_comp(&p.b);
	pair_comp(&p.b);
	assert_int_equal(in[0], 1);
	assert_int_equal(in[1], 2);
	pair_close(&p);
}

/* Who gives a message up for that says so once it can, and not that it is
   there. */
static void gives_up(bool shaken)
{
	static uint8_t out[20000], in[20000];
	struct pair p;

	pair_open(&p, &completing);
	if (shaken)
		pair_shake(&p);
	p.b.ep->config.answer_timeout = 1;
	assert_int_equal(pair_recv(&p.b, in, sizeof(in), 0, 0, NULL), 0);
	assert_int_equal(
		pair_send(&p.a, out, sizeof(out), 0, RDM_DELIVERY, &out), 0);
	pair_deliver(&p.a, &p.b, 1);
	for (int i = 0; i < 3; i++) {
		pair_refuse(&p.b, DEV_UNREACHABLE);
		rdm_progress(p.b.ep);
	}
	pair_error(&p.b, DEV_UNREACHABLE);
	assert_int_equal(pair_recv(&p.b, in, 1, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, out, 1, 0, RDM_DELIVERY, &in), 0);
	pair_run(&p);
	assert_int_equal(pair_comp(&p.b).len, 1);
	assert_ptr_equal(pair_comp(&p.a).context, &in);
	assert_ptr_equal(pair_error(&p.a, RDM_ERR_PEER_ABORT).context, &out);
	assert_int_equal(p.a.ep->txs.taken, 0);
	pair_close(&p);
}

static void rdm_ctl__gives_up_and_says_so_later(void **state)
{
	(void)state;
	gives_up(false);
	gives_up(true);
}

/* An injected buffer is the caller's at once, however long messages go. */
static void rdm_send__inject_is_never_pulled(void **state)
{
	uint8_t out[600], in[600];
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	p.a.ep->config.read_min = 100;
	p.a.ep->eager_max = 99;
	pair_shake(&p);
	pair_fill(out, 8, sizeof(out));
	assert_int_equal(pair_send(&p.a, out, sizeof(out), 0, RDM_INJECT, NULL),
			 0);
	memset(out, 0, sizeof(out));
	pair_run(&p);
	assert_int_equal(pair_recv(&p.b, in, sizeof(in), 0, 0, NULL), 0);
	pair_run(&p);
	pair_comp(&p.b);
	pair_check(in, 8, sizeof(in));
	pair_close(&p);
}

/* Peers are held back only while nobody waits for what they may bring. */
static void rdm_recv__waiting_lifts_pressure(void **state)
{
	struct pair_options o = inlined;
	uint8_t buf[900];
	struct pair p;

	(void)state;
	o.unexpected_max = 5000;
	pair_open(&p, &o);
	pair_shake(&p);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(pair_send(&p.a, buf, 900, 1, RDM_TAGGED, NULL),
				 0);
		pair_run(&p);
		pair_comp(&p.a);
	}
	assert_true(dev_record_pressure(p.b.qp));
	assert_int_equal(pair_recv(&p.b, buf, 900, 2, RDM_TAGGED, &p), 0);
	assert_false(dev_record_pressure(p.b.qp));
	assert_int_equal(pair_send(&p.a, buf, 900, 1, RDM_TAGGED, NULL), 0);
	pair_run(&p);
	assert_false(dev_record_pressure(p.b.qp));
	assert_int_equal(pair_send(&p.a, buf, 900, 2, RDM_TAGGED, NULL), 0);
	pair_run(&p);
	assert_ptr_equal(pair_comp(&p.b).context, &p);
	assert_int_equal(pair_send(&p.a, buf, 900, 1, RDM_TAGGED, NULL), 0);
	pair_run(&p);
	assert_true(dev_record_pressure(p.b.qp));
	pair_close(&p);
}

/* Of a peer that skips a number and sends on, some day no more is kept. */
static void rdm_in__early_packets_have_a_bound(void **state)
{
	struct dev_record_wr *late;
	struct rdm_peer *peer;
	size_t kept;
	struct pair p;

	(void)state;
	talk_start(&p, &talk_inlined);
	assert_int_equal(pair_send(&p.a, talk_out, 100, 0, 0, NULL), 0);
	late = dev_record_take(p.a.qp);
	assert_int_equal(pair_send(&p.a, talk_out, 100, 0, 0, NULL), 0);
	assert_true(talk_step(&p.a, &p.b));
	peer = rdm_peer_at(p.b.ep, p.b.peer);
	kept = peer->early.bytes;
	assert_true(kept > 100);
	peer->early.bytes = RDM_REORDER_MAX; /* as if it were more */
	assert_int_equal(pair_send(&p.a, talk_out, 100, 0, 0, NULL), 0);
	assert_true(talk_step(&p.a, &p.b));
	assert_int_equal(p.b.ep->stats.bad_packets, 1);
	assert_int_equal(peer->early.bytes, RDM_REORDER_MAX);
	peer->early.bytes = kept;
	dev_record_deliver(late, true);
	dev_record_free(late);
	rdm_progress(p.b.ep);
	rdm_progress(p.a.ep);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pair_recv(&p.b, talk_in, 100, 0, 0, NULL), 0);
		assert_int_equal(pair_comp(&p.b).len, 100);
		pair_check(talk_in, 7, 100);
	}
	assert_true(rdm_reorder_empty(&peer->early));
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_send__unreachable_peer_is_an_error),
		cmocka_unit_test(rdm_send__inject_is_never_pulled),
		cmocka_unit_test(rdm_rma__unreachable_peer_is_an_error),
		cmocka_unit_test(rdm_ctl__lost_answers_are_sent_again),
		cmocka_unit_test(rdm_ctl__gives_up_after_a_while),
		cmocka_unit_test(rdm_ctl__dead_peer_ends_receives),
		cmocka_unit_test(rdm_ctl__what_a_closed_peer_has_sent_is_read),
		cmocka_unit_test(
			rdm_ctl__a_closed_peer_is_not_waited_for_for_ever),
		cmocka_unit_test(rdm_send__goes_on_once_a_peer_is_reached),
		cmocka_unit_test(rdm_send__goes_on_once_a_friend_is_reached),
		cmocka_unit_test(rdm_ctl__gives_up_nothing_that_came_early),
		cmocka_unit_test(rdm_ctl__gives_up_and_says_so_later),
		cmocka_unit_test(rdm_recv__waiting_lifts_pressure),
		cmocka_unit_test(rdm_in__early_packets_have_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
