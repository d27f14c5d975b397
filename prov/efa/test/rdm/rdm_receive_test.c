/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_receive_test.c - what receives can do beside receiving: peek, claim,
 * discard, cancel, multi-receive; memory of unexpected messages; RMA
 */
#include "talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rdm/rdm_ep.h"

static const struct pair_options inlined = {
	.caps = DEV_CAP_READ | DEV_CAP_WRITE,
};

static int peek(struct pair_end *at, uint64_t tag, uint64_t ignore,
		uint32_t flags, void *context)
{
	return rdm_peek(at->ep, &(struct rdm_recv){
					.from = RDM_ADDR_NONE,
					.tag = tag,
					.ignore = ignore,
					.flags = RDM_TAGGED | flags,
					.context = context,
				});
}

/* Sends n messages of 100 bytes with tags 0.. and makes them unexpected. */
static void unexpected(struct pair *p, uint32_t n)
{
	uint8_t buf[100];

	for (uint32_t i = 0; i < n; i++) {
		pair_fill(buf, i, sizeof(buf));
		assert_int_equal(pair_send(&p->a, buf, sizeof(buf), i,
					   RDM_TAGGED | RDM_DATA, NULL),
				 0);
		pair_run(p);
		pair_comp(&p->a);
	}
}

static void rdm_peek__miss_is_a_completion(void **state)
{
	struct rdm_comp comp;
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	assert_int_equal(peek(&p.b, 5, 0, 0, &p), 0);
	comp = pair_error(&p.b, RDM_ERR_NOMSG);
	assert_ptr_equal(comp.context, &p);
	assert_int_equal(comp.tag, 5);
	pair_close(&p);
}

static void rdm_peek__hit_tells_and_leaves(void **state)
{
	uint8_t buf[100];
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	pair_shake(&p);
	unexpected(&p, 3);
	for (int turn = 0; turn < 2; turn++) {
		struct rdm_comp comp;

		assert_int_equal(peek(&p.b, 1, 0, 0, &p), 0);
		comp = pair_comp(&p.b);
		assert_int_equal(comp.len, 100);
		assert_int_equal(comp.tag, 1);
		assert_int_equal(comp.data, 2);
		assert_int_equal(comp.source, p.b.peer);
		pair_no_comp(&p.b);
	}
	assert_int_equal(pair_recv(&p.b, buf, 100, 1, RDM_TAGGED, NULL), 0);
	pair_comp(&p.b);
	pair_check(buf, 1, 100);
	pair_close(&p);
}

static void rdm_peek__claimed_goes_to_its_context(void **state)
{
	struct rdm_comp comp;
	uint8_t buf[100];
	struct iovec iov = { buf, sizeof(buf) };
	struct rdm_recv r = { .iov = &iov,
			      .iovcnt = 1,
			      .flags = RDM_TAGGED | RDM_CLAIM | RDM_COMPLETION,
			      .from = RDM_ADDR_NONE };
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	pair_shake(&p);
	unexpected(&p, 2);
	assert_int_equal(peek(&p.b, 0, UINT64_MAX, RDM_CLAIM, &p), 0);
	comp = pair_comp(&p.b);
	assert_int_equal(comp.tag, 0);
	/* It is out of the way of others. */
	assert_int_equal(peek(&p.b, 0, 0, 0, &p), 0);
	pair_error(&p.b, RDM_ERR_NOMSG);
	r.context = &comp;
	assert_int_equal(rdm_recv(p.b.ep, &r), -ENOMSG);
	r.context = &p;
	assert_int_equal(rdm_recv(p.b.ep, &r), 0);
	comp = pair_comp(&p.b);
	assert_int_equal(comp.tag, 0);
	pair_check(buf, 0, 100);
	assert_int_equal(rdm_recv(p.b.ep, &r), -ENOMSG);
	pair_close(&p);
}

static void rdm_peek__discarded_is_gone(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	pair_shake(&p);
	unexpected(&p, 2);
	assert_int_equal(peek(&p.b, 1, 0, RDM_DISCARD, &p), 0);
	assert_int_equal(pair_comp(&p.b).len, 100);
	assert_int_equal(peek(&p.b, 1, 0, 0, &p), 0);
	pair_error(&p.b, RDM_ERR_NOMSG);
	/* Claimed, then discarded. */
	assert_int_equal(peek(&p.b, 0, 0, RDM_CLAIM, &p), 0);
	pair_comp(&p.b);
	assert_int_equal(rdm_recv(p.b.ep,
				  &(struct rdm_recv){
					  .flags = RDM_TAGGED | RDM_CLAIM |
						   RDM_DISCARD | RDM_COMPLETION,
					  .from = RDM_ADDR_NONE,
					  .context = &p }),
			 0);
	assert_int_equal(pair_comp(&p.b).len, 100);
	pair_no_comp(&p.b);
	assert_int_equal(p.b.ep->held, 0);
	assert_int_equal(p.b.ep->msgs.taken, 0);
	assert_int_equal(p.b.ep->rxs.taken, 0);
	pair_close(&p);
}

/* The sender of a long message that nobody wants must not wait for ever. */
static void rdm_peek__discard_frees_the_sender(void **state)
{
	static uint8_t big[2 * PAIR_READ];
	static const size_t lens[] = { 4000, 20000, sizeof(big) };

	(void)state;
	for (size_t i = 0; i < u_array_size(lens); i++) {
		struct pair p;

		pair_open(&p, &inlined);
		pair_shake(&p);
		assert_int_equal(pair_send(&p.a, big, lens[i], 4,
					   RDM_TAGGED | RDM_DELIVERY, NULL),
				 0);
		pair_run(&p);
		assert_int_equal(peek(&p.b, 4, 0, RDM_DISCARD, NULL), 0);
		assert_int_equal(pair_comp(&p.b).len, lens[i]);
		pair_run(&p);
		pair_comp(&p.a);
		pair_no_comp(&p.b);
		assert_int_equal(p.a.ep->txs.taken, 0);
		assert_int_equal(p.b.ep->msgs.taken, 0);
		pair_close(&p);
	}
}

static void rdm_cancel__one_entry_then_free(void **state)
{
	struct rdm_comp comp;
	uint8_t buf[8];
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	pair_shake(&p);
	assert_int_equal(pair_recv(&p.b, buf, 8, 9, RDM_TAGGED, &p), 0);
	assert_int_equal(pair_recv(&p.b, buf, 8, 9, RDM_TAGGED, &comp), 0);
	assert_int_equal(rdm_cancel(p.b.ep, &p), 0);
	comp = pair_error(&p.b, RDM_ERR_CANCELED);
	assert_ptr_equal(comp.context, &p);
	assert_int_equal(comp.tag, 9);
	assert_int_equal(rdm_cancel(p.b.ep, &p), -ENOENT);
	/* The other one still takes the message. */
	assert_int_equal(pair_send(&p.a, buf, 8, 9, RDM_TAGGED, NULL), 0);
	pair_run(&p);
	assert_ptr_equal(pair_comp(&p.b).context, &comp);
	pair_close(&p);
}

static void rdm_cancel__idle_buffer_at_once(void **state)
{
	struct rdm_comp comp;
	struct pair p;

	(void)state;
	talk_start(&p, &talk_inlined);
	assert_int_equal(
		pair_recv(&p.b, talk_in, TALK_LEN, 0, RDM_MULTI_RECV, &p), 0);
	assert_int_equal(pair_send(&p.a, talk_out, 100, 0, 0, NULL), 0);
	pair_run(&p);
	talk_good(&p, 100);
	assert_int_equal(rdm_cancel(p.b.ep, &p), 0);
	comp = pair_error(&p.b, RDM_ERR_CANCELED);
	assert_ptr_equal(comp.context, &p);
	assert_int_equal(comp.flags, RDM_COMP_MULTI);
	talk_again(&p);
	talk_end(&p);
}

/* While messages are coming into it the buffer is not the user's. */
static void cancel_filling(const struct pair_options *o)
{
	const uint32_t len = TALK_LEN / 2 - 100;
	struct rdm_comp comp;
	struct pair p;

	talk_start(&p, o);
	assert_int_equal(
		pair_recv(&p.b, talk_in, TALK_LEN, 0, RDM_MULTI_RECV, &p), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pair_send(&p.a, talk_out, len, 0, 0, NULL), 0);
	while (p.b.ep->msgs.taken < 2)
		talk_step(&p.a, &p.b);
	assert_int_equal(rdm_cancel(p.b.ep, &p), 0);
	pair_no_comp(&p.b);
	assert_int_equal(rdm_cancel(p.b.ep, &p), -ENOENT);
	pair_run(&p);
	for (int i = 0; i < 2; i++) {
		pair_comp(&p.a);
		comp = pair_comp(&p.b);
		assert_int_equal(comp.len, len);
		assert_int_equal(comp.flags & RDM_COMP_MULTI, 0);
		pair_check(comp.buf, 7, len);
	}
	comp = pair_error(&p.b, RDM_ERR_CANCELED);
	assert_ptr_equal(comp.context, &p);
	assert_int_equal(comp.flags, RDM_COMP_MULTI);
	talk_again(&p);
	talk_end(&p);
}

static void rdm_cancel__filling_buffer_with_its_last_part(void **state)
{
	(void)state;
	cancel_filling(&talk_copying);
	cancel_filling(&talk_completing);
	cancel_filling(&talk_runting_slow);
}

static void rdm_cancel__buffer_takes_nothing_more(void **state)
{
	struct pair p;

	(void)state;
	talk_start(&p, &talk_copying);
	assert_int_equal(
		pair_recv(&p.b, talk_in, TALK_LEN, 0, RDM_MULTI_RECV, &p), 0);
	assert_int_equal(pair_send(&p.a, talk_out, 70000, 0, 0, NULL), 0);
	while (!p.b.ep->msgs.taken)
		talk_step(&p.a, &p.b);
	assert_int_equal(rdm_cancel(p.b.ep, &p), 0);
	assert_int_equal(pair_send(&p.a, talk_out, 200, 0, 0, NULL), 0);
	pair_run(&p);
	assert_int_equal(pair_comp(&p.b).len, 70000);
	pair_error(&p.b, RDM_ERR_CANCELED);
	pair_no_comp(&p.b);
	assert_int_equal(
		pair_recv(&p.b, talk_in, TALK_LEN, 0, RDM_COMPLETION, NULL), 0);
	pair_comp(&p.a);
	talk_good(&p, 200);
	talk_end(&p);
}

/* Messages of 10, 20, ... bytes packed into a buffer of 300. */
static void multi(bool early, size_t step)
{
	uint8_t buf[300], out[200];
	uint32_t at = 0, n = 0;
	struct rdm_comp comp;
	struct pair p;

	pair_open(&p, &inlined);
	pair_shake(&p);
	if (early)
		assert_int_equal(
			pair_recv(&p.b, buf, 300, 0, RDM_MULTI_RECV, &p), 0);
	for (n = 1; at < 300 - 64; n++) {
		pair_fill(out, n, n * step);
		assert_int_equal(pair_send(&p.a, out, n * step, 0, 0, NULL), 0);
		pair_run(&p);
		pair_comp(&p.a);
		at += (uint32_t)(n * step);
	}
	if (!early)
		assert_int_equal(
			pair_recv(&p.b, buf, 300, 0, RDM_MULTI_RECV, &p), 0);
	at = 0;
	for (uint32_t i = 1; i < n; i++) {
		comp = pair_comp(&p.b);
		assert_ptr_equal(comp.context, &p);
		assert_ptr_equal(comp.buf, buf + at);
		assert_int_equal(comp.len, i * step);
		assert_int_equal(!!(comp.flags & RDM_COMP_MULTI), i == n - 1);
		pair_check(buf + at, i, i * step);
		at += (uint32_t)(i * step);
	}
	pair_no_comp(&p.b);
	assert_int_equal(p.b.ep->rxs.taken, 0);
	pair_close(&p);
}

static void rdm_recv__multi_packs_exactly(void **state)
{
	(void)state;
	multi(true, 10);
	multi(false, 10);
	multi(true, 17);
	multi(false, 17);
}

/* A buffer is released only when its last part is done. */
static void rdm_recv__multi_waits_for_long_parts(void **state)
{
	static uint8_t buf[20100], out[20000];
	struct rdm_comp comp;
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	pair_shake(&p);
	pair_fill(out, 1, sizeof(out));
	assert_int_equal(
		pair_recv(&p.b, buf, sizeof(buf), 0, RDM_MULTI_RECV, &p), 0);
	assert_int_equal(pair_send(&p.a, out, 20000, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, out, 60, 0, 0, NULL), 0);
	pair_run(&p);
	comp = pair_comp(&p.b);
	assert_int_equal(comp.len, 60);
	assert_int_equal(comp.flags & RDM_COMP_MULTI, 0);
	comp = pair_comp(&p.b);
	assert_int_equal(comp.len, 20000);
	assert_int_not_equal(comp.flags & RDM_COMP_MULTI, 0);
	pair_check(buf, 1, 20000);
	pair_check(buf + 20000, 1, 60);
	assert_int_equal(p.b.ep->rxs.taken, 0);
	pair_close(&p);
}

static void rdm_recv__multi_is_one_piece(void **state)
{
	static uint8_t buf[300];
	struct iovec iov[2] = { { buf, 100 }, { buf + 200, 100 } };
	struct rdm_recv r = { .iov = iov,
			      .flags = RDM_MULTI_RECV,
			      .from = RDM_ADDR_NONE };
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	r.iovcnt = 2;
	assert_int_equal(rdm_recv(p.b.ep, &r), -EINVAL);
	r.iovcnt = 0;
	assert_int_equal(rdm_recv(p.b.ep, &r), -EINVAL);
	assert_int_equal(p.b.ep->rxs.taken, 0);
	r.iovcnt = 1;
	assert_int_equal(rdm_recv(p.b.ep, &r), 0);
	pair_close(&p);
}

static void rdm_recv__wildcards_take_the_oldest(void **state)
{
	uint8_t buf[100];
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	pair_shake(&p);
	unexpected(&p, 6);
	for (uint32_t i = 0; i < 3; i++) {
		struct iovec iov = { buf, sizeof(buf) };
		struct rdm_recv r = { .iov = &iov,
				      .iovcnt = 1,
				      .from = RDM_ADDR_NONE,
				      .tag = 0xff00 + 1,
				      .ignore = UINT64_MAX << 1,
				      .flags = RDM_TAGGED | RDM_COMPLETION };

		assert_int_equal(rdm_recv(p.b.ep, &r), 0);
		assert_int_equal(pair_comp(&p.b).tag, 2 * i + 1);
		pair_check(buf, 2 * i + 1, 100);
	}
	pair_close(&p);
}

static void rdm_recv__pressure_holds_requests_back(void **state)
{
	struct pair_options o = inlined;
	uint8_t buf[1000];
	struct pair p;
	int n;

	(void)state;
	o.unexpected_max = 20000;
	pair_open(&p, &o);
	pair_shake(&p);
	for (n = 0; n < 100 && !dev_record_pressure(p.b.qp); n++) {
		pair_fill(buf, (uint32_t)n, 900);
		assert_int_equal(pair_send(&p.a, buf, 900, 0, 0, NULL), 0);
		pair_run(&p);
		pair_comp(&p.a);
	}
	assert_true(n > 10 && n < 30);
	assert_true(p.b.ep->held > 20000);
	for (int i = 0; i < n; i++) {
		assert_int_equal(pair_recv(&p.b, buf, 900, 0, 0, NULL), 0);
		assert_int_equal(pair_comp(&p.b).len, 900);
		pair_check(buf, (uint32_t)i, 900);
	}
	assert_false(dev_record_pressure(p.b.qp));
	assert_int_equal(p.b.ep->held, 0);
	assert_int_equal(p.b.ep->stats.pressure, 1);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_recv__multi_packs_exactly),
		cmocka_unit_test(rdm_recv__multi_waits_for_long_parts),
		cmocka_unit_test(rdm_recv__multi_is_one_piece),
		cmocka_unit_test(rdm_recv__wildcards_take_the_oldest),
		cmocka_unit_test(rdm_recv__pressure_holds_requests_back),
		cmocka_unit_test(rdm_peek__miss_is_a_completion),
		cmocka_unit_test(rdm_peek__hit_tells_and_leaves),
		cmocka_unit_test(rdm_peek__claimed_goes_to_its_context),
		cmocka_unit_test(rdm_peek__discarded_is_gone),
		cmocka_unit_test(rdm_peek__discard_frees_the_sender),
		cmocka_unit_test(rdm_cancel__one_entry_then_free),
		cmocka_unit_test(rdm_cancel__idle_buffer_at_once),
		cmocka_unit_test(rdm_cancel__filling_buffer_with_its_last_part),
		cmocka_unit_test(rdm_cancel__buffer_takes_nothing_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
