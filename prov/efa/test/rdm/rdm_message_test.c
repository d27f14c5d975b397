/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_message_test.c - messages of every protocol between two endpoints:
 * expected and not, in order and not, whole and too long
 */
#include "pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rdm/rdm_ep.h"

/* One length at least for each protocol, and the edges between them. */
static const size_t lengths[] = {
	0,
	1,
	8,
	36,
	37,
	96,
	97,
	900,
	PAIR_MTU - 44,
	PAIR_MTU - 20,
	PAIR_MTU,
	2000,
	PAIR_MEDIUM,
	PAIR_MEDIUM + 1,
	40000,
	PAIR_READ - 1,
	PAIR_READ,
	200001,
};

static const struct pair_options devices[] = {
	{ .by_completion = false, .caps = DEV_CAP_READ | DEV_CAP_WRITE },
	{ .by_completion = true, .caps = DEV_CAP_READ | DEV_CAP_WRITE },
	{ .by_completion = false, .caps = 0 },
	{ .by_completion = true, .caps = 0 },
};

enum { LONGEST = 200002 };

struct bytes {
	uint8_t *out, *in;
};

static struct bytes bytes_new(uint32_t n)
{
	struct bytes b = { malloc(LONGEST), calloc(1, LONGEST) };

	pair_fill(b.out, n, LONGEST);
	return b;
}

static void bytes_free(struct bytes *b)
{
	free(b->out);
	free(b->in);
}

static void check_recv(const struct rdm_comp *comp, size_t len, uint64_t tag,
		       uint32_t flags)
{
	assert_int_equal(comp->kind, RDM_COMP_RECV);
	assert_int_equal(comp->len, len);
	assert_int_equal(comp->tag, flags & RDM_TAGGED ? tag : 0);
	assert_int_equal(!!(comp->flags & RDM_COMP_TAGGED),
			 !!(flags & RDM_TAGGED));
	assert_int_equal(!!(comp->flags & RDM_COMP_DATA), !!(flags & RDM_DATA));
	if (flags & RDM_DATA)
		assert_int_equal(comp->data, tag + 1);
}

static void one_message(struct pair *p, size_t len, uint32_t flags,
			bool expected)
{
	struct bytes b = bytes_new((uint32_t)len);
	struct rdm_comp comp;

	if (expected)
		assert_int_equal(pair_recv(&p->b, b.in, len, 77, flags, &b), 0);
	assert_int_equal(pair_send(&p->a, b.out, len, 77, flags, &len), 0);
	pair_run(p);
	if (!expected) {
		pair_no_comp(&p->b);
		assert_int_equal(pair_recv(&p->b, b.in, len, 77, flags, &b), 0);
		pair_run(p);
	}
	comp = pair_comp(&p->a);
	assert_ptr_equal(comp.context, &len);
	assert_int_equal(comp.kind, RDM_COMP_SEND);
	comp = pair_comp(&p->b);
	assert_ptr_equal(comp.context, &b);
	assert_int_equal(comp.source, p->b.peer);
	check_recv(&comp, len, 77, flags);
	pair_check(b.in, (uint32_t)len, len);
	pair_no_comp(&p->a);
	pair_no_comp(&p->b);
	bytes_free(&b);
}

static void nothing_left(const struct pair *p)
{
	assert_int_equal(p->a.ep->txs.taken, 0);
	assert_int_equal(p->b.ep->txs.taken, 0);
	assert_int_equal(p->a.ep->msgs.taken, 0);
	assert_int_equal(p->b.ep->msgs.taken, 0);
	assert_int_equal(p->b.ep->rxs.taken, 0);
	assert_int_equal(p->b.ep->held, 0);
	assert_int_equal(p->a.ep->stats.bad_packets, 0);
	assert_int_equal(p->b.ep->stats.bad_packets, 0);
}

static void every_length(const struct pair_options *o, bool shaken)
{
	static const uint32_t kinds[] = {
		0,
		RDM_TAGGED,
		RDM_DATA,
		RDM_TAGGED | RDM_DATA,
		RDM_DELIVERY,
		RDM_TAGGED | RDM_DELIVERY | RDM_DATA,
	};

	for (size_t i = 0; i < u_array_size(lengths); i++) {
		for (size_t k = 0; k < u_array_size(kinds); k++) {
			for (int expected = 0; expected < 2; expected++) {
				struct pair p;

				pair_open(&p, o);
				if (shaken)
					pair_shake(&p);
				one_message(&p, lengths[i], kinds[k], expected);
				nothing_left(&p);
				pair_close(&p);
			}
		}
	}
}

static void rdm_ep_open__hands_low_latency_down(void **state)
{
	struct pair_options o = { .low_latency = true };
	struct pair p;

	(void)state;
	pair_open(&p, &o);
	assert_true(dev_record_attr(p.a.qp).low_latency);
	pair_close(&p);
	pair_open(&p, &devices[0]);
	assert_false(dev_record_attr(p.a.qp).low_latency);
	pair_close(&p);
}

static void rdm_send__arrives_whole_after_handshake(void **state)
{
	(void)state;
	for (size_t d = 0; d < u_array_size(devices); d++)
		every_length(&devices[d], true);
}

static void rdm_send__arrives_whole_as_first_message(void **state)
{
	(void)state;
	for (size_t d = 0; d < u_array_size(devices); d++)
		every_length(&devices[d], false);
}

static void rdm_send__gathers_and_scatters(void **state)
{
	struct bytes b = bytes_new(5);
	struct iovec out[3] = { { b.out, 100 },
				{ b.out + 100, 0 },
				{ b.out + 100, 1900 } };
	struct iovec in[4] = { { b.in, 7 },
			       { b.in + 7, 1000 },
			       { b.in + 1007, 1 },
			       { b.in + 1008, 5000 } };
	struct pair p;

	(void)state;
	pair_open(&p, &devices[0]);
	pair_shake(&p);
	for (size_t last = 0; last < 80000; last += 7919) {
		struct rdm_send s = { .iov = out, .iovcnt = 3, .to = p.a.peer };
		struct rdm_recv r = { .iov = in,
				      .iovcnt = 4,
				      .from = RDM_ADDR_NONE,
				      .flags = RDM_COMPLETION };
		struct rdm_comp comp;

		out[2].iov_len = 1900 + last;
		in[3].iov_len = 5000 + last;
		assert_int_equal(rdm_recv(p.b.ep, &r), 0);
		assert_int_equal(rdm_send(p.a.ep, &s), 0);
		pair_run(&p);
		comp = pair_comp(&p.b);
		assert_int_equal(comp.len, 2000 + last);
		pair_check(b.in, 5, 2000 + last);
		pair_no_comp(&p.a);
		memset(b.in, 0, 2000 + last);
	}
	nothing_left(&p);
	pair_close(&p);
	bytes_free(&b);
}

/* Many messages at once, packets shuffled, some delivered twice. */
static void shuffled(unsigned int seed, bool twice,
		     const struct pair_options *o)
{
	enum { N = 40 };
	struct bytes b[N];
	struct pair p;

	pair_open(&p, o);
	if (seed % 2)
		pair_shake(&p);
	for (uint32_t i = 0; i < N; i++) {
		size_t len = lengths[(seed + i * 5) % u_array_size(lengths)];

		b[i] = bytes_new(i);
		if (i % 3)
			assert_int_equal(
				pair_recv(&p.b, b[i].in, len, 0, 0, &b[i]), 0);
		assert_int_equal(pair_send(&p.a, b[i].out, len, 0,
					   i % 4 ? 0 : RDM_DELIVERY, &b[i]),
				 0);
		if (!(i % 3))
			assert_int_equal(
				pair_recv(&p.b, b[i].in, len, 0, 0, &b[i]), 0);
	}
	pair_shuffle(&p, &seed, twice);
	for (uint32_t i = 0; i < N; i++) {
		struct rdm_comp comp = pair_comp(&p.b);
		struct bytes *which = comp.context;

		/* Receives are matched in order, so message i is in b[i]. */
		pair_check(which->in, (uint32_t)(which - b), comp.len);
		pair_comp(&p.a);
	}
	pair_no_comp(&p.a);
	pair_no_comp(&p.b);
	for (uint32_t i = 0; i < N; i++)
		bytes_free(&b[i]);
	if (!twice)
		nothing_left(&p);
	pair_close(&p);
}

static void rdm_progress__survives_any_order(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= 24; seed++)
		shuffled(seed, false, &devices[seed % 4]);
}

static void rdm_progress__drops_duplicates(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= 24; seed++)
		shuffled(seed, true, &devices[seed % 4]);
}

/* What does not fit is an error entry with all its fields. */
static void rdm_recv__truncation_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < u_array_size(lengths); i++) {
		size_t len = lengths[i] + 1, room = len / 2;
		struct bytes b = bytes_new(9);
		struct rdm_comp comp;
		struct pair p;

		pair_open(&p, &devices[i % 4]);
		pair_shake(&p);
		assert_int_equal(pair_send(&p.a, b.out, len, 3,
					   RDM_TAGGED | RDM_DATA, NULL),
				 0);
		if (i % 2)
			pair_run(&p);
		assert_int_equal(pair_recv(&p.b, b.in, room, 3, RDM_TAGGED, &b),
				 0);
		pair_run(&p);
		comp = pair_error(&p.b, RDM_ERR_TRUNC);
		check_recv(&comp, len, 3, RDM_TAGGED | RDM_DATA);
		assert_ptr_equal(comp.context, &b);
		pair_check(b.in, 9, room);
		for (size_t at = room; at < len; at++)
			assert_int_equal(b.in[at], 0);
		pair_comp(&p.a);
		nothing_left(&p);
		pair_close(&p);
		bytes_free(&b);
	}
}

/* With little room at the device nothing is lost, only later. */
static void rdm_send__waits_for_room(void **state)
{
	struct bytes b = bytes_new(4);
	struct pair p;

	(void)state;
	for (size_t i = 0; i < u_array_size(lengths); i++) {
		int room = 1;

		pair_open(&p, &devices[i % 2]);
		pair_shake(&p);
		dev_record_set_room(p.a.dev, 0);
		assert_int_equal(pair_send(&p.a, b.out, lengths[i], 1, 0, &p),
				 -EAGAIN);
		assert_int_equal(p.a.ep->txs.taken, 0);
		dev_record_set_room(p.a.dev, room);
		assert_int_equal(pair_send(&p.a, b.out, lengths[i], 1, 0, &p),
				 0);
		assert_int_equal(pair_recv(&p.b, b.in, lengths[i], 1, 0, &p),
				 0);
		dev_record_set_room(p.b.dev, 0);
		for (int turn = 0; turn < 400; turn++) {
			pair_run(&p);
			dev_record_set_room(p.a.dev, 1);
			dev_record_set_room(p.b.dev, 1);
		}
		pair_comp(&p.a);
		pair_comp(&p.b);
		pair_check(b.in, 4, lengths[i]);
		memset(b.in, 0, lengths[i]);
		nothing_left(&p);
		pair_close(&p);
	}
	bytes_free(&b);
}

static void rdm_send__unknown_index_is_invalid(void **state)
{
	struct iovec iov = { 0 };
	struct pair p;

	(void)state;
	pair_open(&p, &devices[0]);
	assert_int_equal(rdm_send(p.a.ep, &(struct rdm_send){ .iov = &iov,
							      .iovcnt = 1,
							      .to = 99 }),
			 -EINVAL);
	pair_close(&p);
}

static void rdm_send__long_inject_is_refused(void **state)
{
	struct bytes b = bytes_new(1);
	struct pair p;

	(void)state;
	pair_open(&p, &devices[0]);
	assert_int_equal(pair_send(&p.a, b.out, PAIR_MTU, 0, RDM_INJECT, NULL),
			 -EMSGSIZE);
	assert_int_equal(pair_send(&p.a, b.out, rdm_inject_max(PAIR_MTU), 0,
				   RDM_INJECT | RDM_TAGGED | RDM_DATA, NULL),
			 0);
	pair_close(&p);
	bytes_free(&b);
}

static void rdm_progress__garbage_is_counted_and_dropped(void **state)
{
	uint8_t junk[PAIR_MTU];
	unsigned int seed = 7;
	struct pair p;

	(void)state;
	pair_open(&p, &devices[0]);
	pair_shake(&p);
	for (int i = 0; i < 20000; i++) {
		uint32_t len = (uint32_t)rand_r(&seed) % 200;

		for (uint32_t k = 0; k < len; k++)
			junk[k] = (uint8_t)rand_r(&seed);
		if (len > 4) {
			junk[1] = RDM_PROTOCOL_VERSION;
			junk[0] = (uint8_t)(rand_r(&seed) % 150);
		}
		dev_record_inject(p.b.qp, &p.a.addr, junk, len);
		rdm_progress(p.b.ep);
	}
	assert_true(p.b.ep->stats.bad_packets > 0);
	pair_close(&p);
}

static void rdm_progress__peer_gone_ends_operations(void **state)
{
	struct bytes b = bytes_new(2);

	(void)state;
	for (size_t i = 0; i < u_array_size(lengths); i++) {
		struct rdm_comp comp;
		uint32_t done = 0;
		struct pair p;

		pair_open(&p, &devices[i % 2]);
		pair_shake(&p);
		assert_int_equal(pair_send(&p.a, b.out, lengths[i], 1,
					   RDM_DELIVERY, &p),
				 0);
		dev_record_gone(p.a.qp,
				u_pool_id(rdm_peer_at(p.a.ep, p.a.peer)));
		rdm_progress(p.a.ep);
		while (dev_record_peek(p.a.qp)) {
			struct dev_record_wr *wr = dev_record_take(p.a.qp);

			if (devices[i % 2].by_completion)
				dev_record_complete(wr, DEV_UNRESPONSIVE);
			dev_record_free(wr);
			done++;
		}
		rdm_progress(p.a.ep);
		assert_true(done > 0);
		comp = pair_error(&p.a, RDM_ERR_PEER_GONE);
		assert_ptr_equal(comp.context, &p);
		assert_int_equal(p.a.ep->txs.taken, 0);
		pair_close(&p);
	}
	bytes_free(&b);
}

static void rdm_cntr__counts_once(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, &devices[1]);
	pair_shake(&p);
	assert_int_equal(atomic_load(&p.a.sends.ok), 1);
	assert_int_equal(atomic_load(&p.b.recvs.ok), 1);
	one_message(&p, 5000, 0, true);
	assert_int_equal(atomic_load(&p.a.sends.ok), 2);
	assert_int_equal(atomic_load(&p.b.recvs.ok), 2);
	assert_int_equal(atomic_load(&p.a.sends.failed), 0);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_ep_open__hands_low_latency_down),
		cmocka_unit_test(rdm_send__arrives_whole_after_handshake),
		cmocka_unit_test(rdm_send__arrives_whole_as_first_message),
		cmocka_unit_test(rdm_send__gathers_and_scatters),
		cmocka_unit_test(rdm_send__waits_for_room),
		cmocka_unit_test(rdm_send__unknown_index_is_invalid),
		cmocka_unit_test(rdm_send__long_inject_is_refused),
		cmocka_unit_test(rdm_recv__truncation_is_told),
		cmocka_unit_test(rdm_progress__survives_any_order),
		cmocka_unit_test(rdm_progress__drops_duplicates),
		cmocka_unit_test(rdm_progress__garbage_is_counted_and_dropped),
		cmocka_unit_test(rdm_progress__peer_gone_ends_operations),
		cmocka_unit_test(rdm_cntr__counts_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
