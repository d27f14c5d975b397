/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_alive_test.c - peers that die while we wait for a packet of theirs, on a
 * device that tells only what became of ours
 */
#include "memory.h"

#include <stdlib.h>

enum { LEN = 70000 };

static uint8_t bytes[LEN];

/* One look at peers, as if it was time. */
static void look(struct pair_end *e)
{
	e->ep->look_at = 0;
	rdm_alive_look(e->ep);
	/* Once more changes nothing, as it is not time. */
	rdm_alive_look(e->ep);
}

/* What an end has posted arrives, and is done. */
static void deliver(struct pair_end *from, struct pair_end *to)
{
	struct dev_record_wr *wr;

	while ((wr = dev_record_take(from->qp))) {
		dev_record_deliver(wr, true);
		dev_record_free(wr);
		rdm_progress(from->ep);
	}
	for (int i = 0; i < 8; i++)
		rdm_progress(to->ep);
}

/* It arrives, and to is killed before it looks. */
static void deliver_to_dead(struct pair_end *from)
{
	struct dev_record_wr *wr;

	while ((wr = dev_record_take(from->qp))) {
		dev_record_complete(wr, DEV_OK);
		dev_record_free(wr);
		rdm_progress(from->ep);
	}
}

/* The probe that an end has posted; NULL: nothing is posted. */
static struct dev_record_wr *take_probe(struct pair_end *e)
{
	struct dev_record_wr *wr = dev_record_take(e->qp);
	static const uint8_t nothing[4];

	if (!wr)
		return NULL;
	assert_int_equal(wr->op, DEV_SEND);
	assert_int_equal(wr->data[0], RDM_PKT_EAGER_RTW);
	assert_memory_equal(wr->data + 4, nothing, 4); /* to nowhere */
	return wr;
}

/* --- states in which an end waits --- */

static void send_long(struct memory *m, uint32_t flags)
{
	pair_shake(&m->p);
	assert_int_equal(pair_send(&m->p.a, bytes, LEN, 0, flags, m), 0);
}

static struct pair_end *waits_for_cts(struct memory *m)
{
	send_long(m, 0);
	deliver_to_dead(&m->p.a);
	return &m->p.a;
}

static struct pair_end *waits_for_receipt(struct memory *m)
{
	pair_shake(&m->p);
	assert_int_equal(pair_send(&m->p.a, bytes, 100, 0, RDM_DELIVERY, m), 0);
	deliver_to_dead(&m->p.a);
	return &m->p.a;
}

static struct pair_end *waits_for_data(struct memory *m)
{
	send_long(m, 0);
	assert_int_equal(pair_recv(&m->p.b, bytes, LEN, 0, 0, m), 0);
	deliver(&m->p.a, &m->p.b);
	deliver_to_dead(&m->p.b);
	return &m->p.b;
}

static struct pair_end *waits_for_bytes_of_a_read(struct memory *m)
{
	pair_shake(&m->p);
	assert_int_equal(memory_post(m, true, 100, 0), 0);
	deliver_to_dead(&m->p.a);
	return &m->p.a;
}

static struct pair_end *waits_for_a_handshake(struct memory *m)
{
	assert_int_equal(memory_post(m, false, 100, RDM_DELIVERY), 0);
	deliver_to_dead(&m->p.a);
	return &m->p.a;
}

struct state {
	const char *name;
	struct pair_end *(*enter)(struct memory *m);
	uint32_t caps;
};

static const struct state states[] = {
	{ "EOR", waits_for_cts, DEV_CAP_READ },
	{ "CTS", waits_for_cts, 0 },
	{ "RECEIPT", waits_for_receipt, 0 },
	{ "CTSDATA", waits_for_data, 0 },
	{ "READRSP", waits_for_bytes_of_a_read, 0 },
	{ "HANDSHAKE", waits_for_a_handshake, 0 },
};

static struct pair_end *enter(struct memory *m, const struct state *s,
			      bool watched)
{
	struct pair_options o = { .caps = s->caps,
				  .by_completion = true,
				  .unwatched = !watched };

	memory_open(m, &o, DEV_REMOTE_READ | DEV_REMOTE_WRITE);
	return s->enter(m);
}

static void leave(struct memory *m)
{
	if (m->mr)
		dev_mr_close(m->mr);
	m->mr = NULL;
	pair_close(&m->p);
	free(m->local);
	free(m->target);
}

/* --- tests --- */

static void rdm_alive_look__finds_the_dead(void **state)
{
	struct dev_record_wr *wr;
	struct pair_end *e;
	struct memory m;

	(void)state;
	for (size_t i = 0; i < u_array_size(states); i++) {
		print_message("waits for %s\n", states[i].name);
		e = enter(&m, &states[i], false);
		look(e);
		assert_null(take_probe(e));
		look(e);
		wr = take_probe(e);
		assert_non_null(wr);
		pair_no_comp(e);
		dev_record_complete(wr, DEV_NO_QP);
		dev_record_gone(e->qp, wr->cookie);
		dev_record_free(wr);
		rdm_progress(e->ep);
		assert_ptr_equal(pair_error(e, DEV_NO_QP).context, &m);
		pair_no_comp(e);
		assert_int_equal(e->ep->txs.taken + e->ep->msgs.taken, 0);
		look(e);
		look(e);
		assert_null(take_probe(e));
		leave(&m);
	}
}

/* A peer that reads our memory, and one that writes to it, by packets. */
static void rdm_alive_look__of_whom_we_serve(void **state)
{
	struct pair_options o = { .by_completion = true, .unwatched = true };
	struct dev_record_wr *wr;
	struct memory m;

	(void)state;
	memory_open(&m, &o, DEV_REMOTE_READ | DEV_REMOTE_WRITE);
	pair_shake(&m.p);
	assert_int_equal(memory_post(&m, false, LEN, 0), 0);
	deliver(&m.p.a, &m.p.b);
	deliver_to_dead(&m.p.b);
	assert_int_equal(m.p.b.ep->serves.taken, 1);
	look(&m.p.b);
	look(&m.p.b);
	wr = take_probe(&m.p.b);
	assert_non_null(wr);
	dev_record_complete(wr, DEV_NO_QP);
	dev_record_gone(m.p.b.qp, wr->cookie);
	dev_record_free(wr);
	rdm_progress(m.p.b.ep);
	assert_int_equal(m.p.b.ep->serves.taken, 0);
	leave(&m);
}

static void rdm_alive_look__harms_nobody(void **state)
{
	struct pair_options o = { .by_completion = true, .unwatched = true };
	struct memory m;

	(void)state;
	memory_open(&m, &o, DEV_REMOTE_READ);
	send_long(&m, 0);
	deliver(&m.p.a, &m.p.b);
	look(&m.p.a);
	look(&m.p.a);
	assert_non_null(dev_record_peek(m.p.a.qp));
	deliver(&m.p.a, &m.p.b);
	assert_null(dev_record_peek(m.p.b.qp));
	pair_no_comp(&m.p.a);
	pair_no_comp(&m.p.b);
	assert_int_equal(m.p.b.ep->stats.bad_packets, 0);
	assert_int_equal(m.p.b.ep->stats.refused, 0);
	/* And all goes on. */
	assert_int_equal(pair_recv(&m.p.b, bytes, LEN, 0, 0, NULL), 0);
	pair_run(&m.p);
	assert_ptr_equal(pair_comp(&m.p.a).context, &m);
	assert_int_equal(pair_comp(&m.p.b).len, LEN);
	memory_close(&m);
}

/* Seldom, and one at a time. */
static void rdm_alive_look__probes_less_and_less(void **state)
{
	static const int due[] = { 1, 2, 4, 8, 16, 32, 48, 64 };
	size_t next = 0;
	struct pair_end *e;
	struct dev_record_wr *wr;
	struct memory m;

	(void)state;
	e = enter(&m, &states[0], false);
	for (int i = 0; next < u_array_size(due); i++) {
		look(e);
		wr = take_probe(e);
		assert_int_equal(wr != NULL, i == due[next]);
		if (!wr)
			continue;
		next++;
		dev_record_complete(wr, DEV_OK);
		dev_record_free(wr);
		rdm_progress(e->ep);
	}
	leave(&m);

	e = enter(&m, &states[0], false);
	for (int i = 0; i < 5; i++)
		look(e);
	wr = take_probe(e);
	assert_non_null(wr);
	assert_null(dev_record_peek(e->qp));
	dev_record_free(wr);
	leave(&m);
}

/* Who asks for nothing is asked nothing. */
static void rdm_alive_look__only_of_whom_something_is_awaited(void **state)
{
	struct pair_options o = { .by_completion = true, .unwatched = true };
	struct pair_end *e;
	struct memory m;

	(void)state;
	memory_open(&m, &o, DEV_REMOTE_READ);
	pair_shake(&m.p);
	assert_int_equal(pair_recv(&m.p.a, bytes, LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&m.p.a, bytes, 100, 0, 0, NULL), 0);
	for (int i = 0; i < 3; i++)
		look(&m.p.a); /* the device has it */
	deliver(&m.p.a, &m.p.b);
	for (int i = 0; i < 3; i++) {
		look(&m.p.a);
		look(&m.p.b); /* one that nobody receives */
	}
	assert_null(dev_record_peek(m.p.a.qp));
	assert_null(dev_record_peek(m.p.b.qp));
	leave(&m);

	for (size_t i = 0; i < u_array_size(states); i++) {
		e = enter(&m, &states[i], true);
		for (int k = 0; k < 3; k++)
			look(e);
		assert_null(dev_record_peek(e->qp));
		leave(&m);
	}
}

/* Who polls, and who sleeps, looks by the way. */
static void rdm_progress__looks_now_and_then(void **state)
{
	struct pair_end *e;
	struct memory m;

	(void)state;
	e = enter(&m, &states[0], false);
	for (int i = 0; i < 3 * 256; i++) {
		e->ep->look_at = 0;
		rdm_progress(e->ep);
	}
	assert_int_equal(pair_posted(RDM_PKT_EAGER_RTW), 1);
	leave(&m);

	e = enter(&m, &states[0], false);
	for (int i = 0; i < 3; i++) {
		e->ep->look_at = 0;
		rdm_ep_arm(e->ep);
	}
	assert_int_equal(pair_posted(RDM_PKT_EAGER_RTW), 1);
	leave(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_alive_look__finds_the_dead),
		cmocka_unit_test(rdm_alive_look__of_whom_we_serve),
		cmocka_unit_test(rdm_alive_look__harms_nobody),
		cmocka_unit_test(rdm_alive_look__probes_less_and_less),
		cmocka_unit_test(
			rdm_alive_look__only_of_whom_something_is_awaited),
		cmocka_unit_test(rdm_progress__looks_now_and_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
