/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_owe_test.c - what a peer is owed while it cannot be reached: answers, and
 * that an operation was given up
 */
#include "memory.h"
#include "talk.h"

#include <string.h>

enum { SLICED = 2500 }; /* bytes of a message of three slices */

/* Two looks at peers, as if it was time; what comes of them. */
static void look_twice(struct pair *p, struct pair_end *e)
{
	for (int i = 0; i < 2; i++) {
		e->ep->look_at = 0;
		rdm_alive_look(e->ep);
		pair_run(p);
	}
}

/* For so long that an answer is not sent again. */
static void be_unreachable(struct pair_end *e)
{
	for (int i = 0; i < 3; i++) {
		pair_refuse(e, DEV_UNREACHABLE);
		rdm_progress(e->ep);
	}
}

static void open_impatient(struct pair *p, const struct pair_options *o)
{
	talk_start(p, o);
	p->a.ep->config.answer_timeout = 1;
	p->b.ep->config.answer_timeout = 1;
}

/* Sent once the peer was reached, it finds no way again. */
static void rdm_ctl_owe__error_lasts_until_it_arrives(void **state)
{
	struct pair p;

	(void)state;
	open_impatient(&p, &talk_completing);
	assert_int_equal(pair_send(&p.a, talk_out, 1, 0, 0, NULL), 0);
	pair_refuse(&p.a, DEV_UNREACHABLE);
	rdm_progress(p.a.ep);
	pair_error(&p.a, DEV_UNREACHABLE);
	assert_int_equal(pair_send(&p.a, talk_out, 100, 0, 0, NULL), 0);
	pair_deliver(&p.a, &p.b, 1);
	pair_comp(&p.a);
	assert_int_equal(pair_posted(RDM_PKT_PEER_ERROR), 1);
	be_unreachable(&p.a);
	assert_int_equal(pair_recv(&p.b, talk_in, 100, 0, 0, NULL), 0);
	talk_again(&p);
	assert_int_equal(pair_comp(&p.b).len, 100);
	assert_int_equal(rdm_peer_at(p.a.ep, p.a.peer)->nowed, 0);
	talk_end(&p);
}

/* So it is with what our user has cancelled. */
static void rdm_ctl_owe__canceled_number_is_skipped(void **state)
{
	static struct dev_mr region;
	void *named[] = { &region };
	struct iovec iov = { talk_out, 20000 };
	struct pair p;

	(void)state;
	open_impatient(&p, &talk_copying);
	dev_record_set_inline(p.a.dev, false);
	assert_int_equal(rdm_send(p.a.ep,
				  &(struct rdm_send){
					  .iov = &iov,
					  .iovcnt = 1,
					  .mr = named,
					  .flags = RDM_COMPLETION,
					  .to = p.a.peer,
				  }),
			 0);
	assert_true(rdm_revoke(p.a.ep, &region));
	be_unreachable(&p.a);
	be_unreachable(&p.a);
	pair_error(&p.a, RDM_ERR_CANCELED);
	talk_again(&p);
	talk_end(&p);
}

/*
 * Numbers in a row are one entry, also more than RDM_OWED_MAX, and arrive one by
 * one.
 */
static void rdm_ctl_owe__numbers_in_a_row(void **state)
{
	struct rdm_peer *peer;
	struct pair p;

	(void)state;
	open_impatient(&p, &talk_completing);
	peer = rdm_peer_at(p.a.ep, p.a.peer);
	for (int i = 0; i < 1100; i++) {
		assert_int_equal(pair_send(&p.a, talk_out, 1, 0, 0, NULL), 0);
		pair_refuse(&p.a, DEV_UNREACHABLE);
		rdm_progress(p.a.ep);
		pair_error(&p.a, DEV_UNREACHABLE);
	}
	assert_int_equal(peer->nowed, 1);
	/* Some of them arrive before it cannot be reached again. */
	assert_int_equal(pair_recv(&p.b, talk_in, 100, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, 100, 0, 0, NULL), 0);
	for (int i = 0; i < 400; i++)
		pair_deliver(&p.a, &p.b, 1);
	pair_comp(&p.a);
	be_unreachable(&p.a);
	assert_int_equal(peer->nowed, 1);
	talk_again(&p);
	pair_comp(&p.b);
	talk_end(&p);
}

/* One slice finds no way and the others do: they show that the peer is there.*/
static void rdm_ctl_owe__lost_slice_is_told(void **state)
{
	struct pair p;

	(void)state;
	for (int lost = 0; lost < 3; lost++) {
		talk_start(&p, &talk_completing);
		assert_int_equal(
			pair_recv(&p.b, talk_in, SLICED, 0, 0, &talk_in), 0);
		assert_int_equal(pair_send(&p.a, talk_out, SLICED, 0, 0, NULL),
				 0);
		for (int i = 0; i < 3; i++) {
			struct dev_record_wr *wr = dev_record_take(p.a.qp);

			if (i == lost)
				dev_record_complete(wr, DEV_UNREACHABLE);
			else
				dev_record_deliver(wr, true);
			dev_record_free(wr);
		}
		pair_run(&p);
		if (lost == 2)
			look_twice(&p, &p.a);
		pair_error(&p.a, DEV_UNREACHABLE);
		assert_ptr_equal(pair_error(&p.b, RDM_ERR_PEER_ABORT).context,
				 &talk_in);
		assert_int_equal(rdm_peer_at(p.a.ep, p.a.peer)->nowed, 0);
		talk_again(&p);
		talk_end(&p);
	}
}

/*
 * A message without a receive fails as the peer cannot be reached. When a
 * receive meets it the peer can, and nothing else is said to it.
 */
static void unexpected_fails(const struct pair_options *o)
{
	struct pair p;

	talk_start(&p, o);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, &p), 0);
	pair_run(&p);
	rdm_peer_lost(p.b.ep, rdm_peer_at(p.b.ep, p.b.peer), DEV_UNREACHABLE);
	pair_run(&p);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL), 0);
	pair_error(&p.b, DEV_UNREACHABLE);
	look_twice(&p, &p.b);
	assert_ptr_equal(pair_error(&p.a, RDM_ERR_PEER_ABORT).context, &p);
	assert_int_equal(p.b.ep->nowed, 0);
	talk_again(&p);
	talk_end(&p);
}

static void rdm_ctl_owe__asks_whether_it_is_there(void **state)
{
	struct pair_options o = talk_completing;

	(void)state;
	unexpected_fails(&o);
	o.unwatched = true;
	unexpected_fails(&o);
	o.by_completion = false;
	unexpected_fails(&o);
}

/* --- accesses in packets -------------------------------------------------- */

/* We read what a peer writes, and cannot. */
static void rdm_ctl_owe__failed_piece_is_told(void **state)
{
	struct dev_record_wr *wr;
	uint8_t byte = 0;
	struct memory m;

	(void)state;
	memory_open(&m, &memory_ways[7], DEV_REMOTE_READ | DEV_REMOTE_WRITE);
	pair_shake(&m.p);
	assert_int_equal(memory_post(&m, false, 20000, 0), 0);
	assert_true(talk_step(&m.p.a, &m.p.b));
	assert_int_equal(pair_posted(RDM_PKT_LONGREAD_RTW), 1);
	wr = dev_record_take(m.p.b.qp);
	assert_int_equal(wr->op, DEV_READ);
	dev_record_complete(wr, DEV_UNREACHABLE);
	dev_record_free(wr);
	rdm_progress(m.p.b.ep);
	assert_int_equal(m.p.b.ep->serves.taken, 0);
	assert_int_equal(pair_recv(&m.p.a, &byte, 1, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&m.p.b, &byte, 1, 0, 0, NULL), 0);
	pair_run(&m.p);
	pair_comp(&m.p.b);
	assert_int_equal(pair_comp(&m.p.a).kind, RDM_COMP_RECV);
	assert_ptr_equal(pair_error(&m.p.a, RDM_ERR_PEER_ABORT).context, &m);
	memory_close(&m);
}

/* The peer's first answer comes after we have given the operation up. */
static void rdm_ctl_owe__late_id_is_given_up(void **state)
{
	(void)state;
	for (int read = 0; read < 2; read++) {
		struct memory m;

		memory_open(&m, &memory_ways[3],
			    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
		pair_shake(&m.p);
		assert_int_equal(memory_post(&m, read, 60000, 0), 0);
		assert_true(talk_step(&m.p.a, &m.p.b));
		assert_int_equal(m.p.b.ep->serves.taken, 1);
		rdm_peer_lost(m.p.a.ep, rdm_peer_at(m.p.a.ep, m.p.a.peer),
			      DEV_UNREACHABLE);
		assert_ptr_equal(pair_error(&m.p.a, DEV_UNREACHABLE).context,
				 &m);
		pair_run(&m.p);
		assert_int_equal(pair_posted(RDM_PKT_PEER_ERROR), 1);
		memory_close(&m);
	}
}

/* --- answers -------------------------------------------------------------- */

/* Of a message, write, read and atomic that are over here. */
static void rdm_ctl_owe__receipt(void **state)
{
	struct pair p;

	(void)state;
	open_impatient(&p, &talk_completing);
	assert_int_equal(pair_recv(&p.b, talk_in, 1, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, 1, 0, RDM_DELIVERY, &p), 0);
	pair_deliver(&p.a, &p.b, 1);
	pair_comp(&p.b);
	be_unreachable(&p.b);
	assert_null(dev_record_peek(p.b.qp));
	pair_no_comp(&p.a);
	talk_again(&p);
	assert_ptr_equal(pair_comp(&p.a).context, &p);
	talk_end(&p);
}

static void rdm_ctl_owe__end_of_read(void **state)
{
	struct dev_record_wr *wr;
	struct pair p;

	(void)state;
	open_impatient(&p, &talk_completing);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, &p), 0);
	pair_deliver(&p.a, &p.b, 1);
	while ((wr = dev_record_take(p.b.qp)) && wr->op == DEV_READ) {
		dev_record_deliver(wr, true);
		dev_record_free(wr);
		rdm_progress(p.b.ep);
	}
	assert_int_equal(wr->data[0], RDM_PKT_EOR);
	dev_record_complete(wr, DEV_UNREACHABLE);
	dev_record_free(wr);
	rdm_progress(p.b.ep);
	be_unreachable(&p.b);
	assert_int_equal(pair_comp(&p.b).len, TALK_LEN);
	pair_check(talk_in, 7, TALK_LEN);
	pair_no_comp(&p.a);
	look_twice(&p, &p.b);
	assert_ptr_equal(pair_comp(&p.a).context, &p);
	talk_end(&p);
}

/* What was read goes along, since nobody reads it anew. */
static void rdm_ctl_owe__bytes_of_a_read(void **state)
{
	struct memory m;

	(void)state;
	memory_open(&m, &memory_ways[3], DEV_REMOTE_READ | DEV_REMOTE_WRITE);
	pair_shake(&m.p);
	m.p.b.ep->config.answer_timeout = 1;
	assert_int_equal(memory_post(&m, true, 500, 0), 0);
	assert_true(talk_step(&m.p.a, &m.p.b));
	be_unreachable(&m.p.b);
	pair_run(&m.p);
	pair_no_comp(&m.p.a);
	look_twice(&m.p, &m.p.b);
	memory_check(&m, true, 500, 0);
	memory_close(&m);
}

/* It goes with the peer, and with the endpoint. */
static void rdm_ctl_owe__is_forgotten_with_the_peer(void **state)
{
	struct rdm_peer *peer;
	struct pair p;

	(void)state;
	for (int gone = 0; gone < 2; gone++) {
		open_impatient(&p, &talk_completing);
		peer = rdm_peer_at(p.b.ep, p.b.peer);
		assert_int_equal(pair_recv(&p.b, talk_in, 1, 0, 0, NULL), 0);
		assert_int_equal(
			pair_send(&p.a, talk_out, 1, 0, RDM_DELIVERY, &p), 0);
		pair_deliver(&p.a, &p.b, 1);
		pair_comp(&p.b);
		be_unreachable(&p.b);
		assert_int_equal(peer->nowed, 1);
		assert_int_equal(p.b.ep->nowed, 1);
		if (gone) {
			rdm_peer_lost(p.b.ep, peer, DEV_NO_QP);
			assert_int_equal(peer->nowed, 0);
			assert_int_equal(p.b.ep->nowed, 0);
			assert_int_equal(p.b.ep->ctl_pool.taken, 0);
		}
		pair_close(&p);
	}
}

/* --- peers that do not know what PEER_ERROR is ---------------------------- */

/* They are answered as if all was well. */
static void rdm_ctl_owe__answers_who_would_not_understand(void **state)
{
	struct pair_options o = talk_completing;
	struct dev_record_wr *wr;
	struct pair p;

	(void)state;
	o.a_off = RDM_FEATURE_PEER_ERROR;
	talk_start(&p, &o);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
	assert_true(talk_step(&p.a, &p.b));
	wr = dev_record_take(p.b.qp);
	assert_int_equal(wr->op, DEV_READ);
	dev_record_complete(wr, DEV_UNREACHABLE);
	dev_record_free(wr);
	pair_run(&p);
	pair_error(&p.b, DEV_UNREACHABLE);
	pair_comp(&p.a);
	talk_end(&p);

	talk_start(&p, &o);
	assert_int_equal(pair_recv(&p.b, talk_in, SLICED, 0, 0, NULL), 0);
	assert_int_equal(
		pair_send(&p.a, talk_out, SLICED, 0, RDM_DELIVERY, NULL), 0);
	assert_true(talk_step(&p.a, &p.b));
	rdm_peer_lost(p.b.ep, rdm_peer_at(p.b.ep, p.b.peer), DEV_UNREACHABLE);
	pair_run(&p);
	pair_error(&p.b, DEV_UNREACHABLE);
	pair_comp(&p.a);
	talk_again(&p);
	talk_end(&p);
}

/* Whether they do is not known before their HANDSHAKE. */
static void cancel_early(bool knows)
{
	struct pair_options o = talk_completing;
	struct pair p;

	o.a_off = knows ? 0 : RDM_FEATURE_PEER_ERROR;
	pair_open(&p, &o);
	pair_fill(talk_out, 7, TALK_LEN);
	assert_int_equal(pair_recv(&p.b, talk_in, SLICED, 0, 0, &talk_in), 0);
	assert_int_equal(pair_send(&p.a, talk_out, SLICED, 0, RDM_DELIVERY, &p),
			 0);
	assert_true(talk_step(&p.a, &p.b));
	assert_false(rdm_peer_at(p.b.ep, p.b.peer)->shaken);
	assert_int_equal(rdm_cancel(p.b.ep, &talk_in), 0);
	pair_error(&p.b, RDM_ERR_CANCELED);
	pair_run(&p);
	if (knows)
		assert_ptr_equal(pair_error(&p.a, RDM_ERR_PEER_ABORT).context,
				 &p);
	else
		assert_ptr_equal(pair_comp(&p.a).context, &p);
	assert_int_equal(pair_posted(RDM_PKT_RECEIPT), !knows);
	talk_again(&p);
	talk_end(&p);
}

static void rdm_ctl_owe__waits_to_learn_what_it_understands(void **state)
{
	(void)state;
	cancel_early(true);
	cancel_early(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_ctl_owe__error_lasts_until_it_arrives),
		cmocka_unit_test(rdm_ctl_owe__canceled_number_is_skipped),
		cmocka_unit_test(rdm_ctl_owe__numbers_in_a_row),
		cmocka_unit_test(rdm_ctl_owe__lost_slice_is_told),
		cmocka_unit_test(rdm_ctl_owe__asks_whether_it_is_there),
		cmocka_unit_test(rdm_ctl_owe__failed_piece_is_told),
		cmocka_unit_test(rdm_ctl_owe__late_id_is_given_up),
		cmocka_unit_test(rdm_ctl_owe__receipt),
		cmocka_unit_test(rdm_ctl_owe__end_of_read),
		cmocka_unit_test(rdm_ctl_owe__bytes_of_a_read),
		cmocka_unit_test(rdm_ctl_owe__is_forgotten_with_the_peer),
		cmocka_unit_test(rdm_ctl_owe__answers_who_would_not_understand),
		cmocka_unit_test(
			rdm_ctl_owe__waits_to_learn_what_it_understands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
