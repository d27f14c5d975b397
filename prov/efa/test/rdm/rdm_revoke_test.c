/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_revoke_test.c - regions that are closed while operations name them, at
 * each step of each way; of the peer too, while it serves us
 *
 * After that the memory is another's: the tests fill it, and look whether a
 * byte of it has changed in the end.
 */
#include "memory.h"
#include "talk.h"

#include <stdlib.h>
#include <string.h>

#define OTHERS 0x55 /* what memory is filled with once it is another's */
#define STEPS 1000 /* more than any operation here takes */

static struct dev_mr region, other; /* compared, and never looked into */
static void *const named[] = { &region };
static void *const unnamed[] = { &other };

static int send_named(struct pair *p, size_t len, void *const *mr)
{
	struct iovec iov = { talk_out, len };

	return rdm_send(p->a.ep, &(struct rdm_send){
					 .iov = &iov,
					 .iovcnt = 1,
					 .mr = mr,
					 .flags = RDM_COMPLETION,
					 .to = p->a.peer,
					 .context = p,
				 });
}

static int recv_named(struct pair *p, size_t len, uint32_t flags,
		      void *const *mr)
{
	struct iovec iov = { talk_in, len };

	return rdm_recv(p->b.ep, &(struct rdm_recv){
					 .iov = &iov,
					 .iovcnt = 1,
					 .mr = mr,
					 .flags = flags | RDM_COMPLETION,
					 .from = RDM_ADDR_NONE,
					 .context = p,
				 });
}

static bool steps(struct pair *p, int n)
{
	bool moved = true;

	for (int i = 0; i < n && moved; i++) {
		moved = talk_step(&p->a, &p->b);
		moved |= talk_step(&p->b, &p->a);
	}
	return moved;
}

/* One byte at least. */
static bool all_others(const uint8_t *bytes, size_t len)
{
	return bytes[0] == OTHERS && !memcmp(bytes, bytes + 1, len - 1);
}

/* One entry, which is good or one of these errors; the error. */
static uint32_t one_end(struct pair_end *at, uint32_t err, uint32_t or_err)
{
	struct rdm_comp comp;

	if (rdm_cq_read(at->cq, &comp, 1) == 1)
		return 0;
	assert_int_equal(rdm_cq_read_error(at->cq, &comp), 1);
	free(comp.error);
	assert_true(comp.err == err || comp.err == or_err);
	return comp.err;
}

/* ---- messages -------------------------------------------------------------- */

static const struct pair_options *const ways[] = {
	&talk_inlined, &talk_completing,   &talk_copying,
	&talk_runting, &talk_runting_slow,
};
static const size_t lengths[] = { 100, 5000, 60000, TALK_LEN };

/* Of a pair that is open. False: it was all over before. */
static bool send_revoked(struct pair p, size_t len, int n)
{
	bool on;

	assert_int_equal(recv_named(&p, len, 0, unnamed), 0);
	assert_int_equal(send_named(&p, len, named), 0);
	on = steps(&p, n);
	rdm_revoke(p.a.ep, &region);
	memset(talk_out, OTHERS, len);
	pair_run(&p);
	one_end(&p.a, RDM_ERR_CANCELED, RDM_ERR_CANCELED);
	if (!one_end(&p.b, RDM_ERR_PEER_ABORT, DEV_BAD_RKEY))
		pair_check(talk_in, 7, len);
	pair_fill(talk_out, 7, TALK_LEN);
	talk_again(&p);
	talk_end(&p);
	return on;
}

static bool check_send(const struct pair_options *o, size_t len, int n)
{
	struct pair p;

	talk_start(&p, o);
	return send_revoked(p, len, n);
}

/* The first message of all, before the HANDSHAKE and after it. */
static bool check_first(const struct pair_options *o, size_t len, int n)
{
	struct pair p;

	pair_open(&p, o);
	pair_fill(talk_out, 7, TALK_LEN);
	memset(talk_in, 0, TALK_LEN);
	return send_revoked(p, len, n);
}

static bool check_recv(const struct pair_options *o, size_t len, int n)
{
	struct pair p;
	bool on;

	talk_start(&p, o);
	assert_int_equal(recv_named(&p, len, 0, named), 0);
	assert_int_equal(send_named(&p, len, unnamed), 0);
	on = steps(&p, n);
	rdm_revoke(p.b.ep, &region);
	memset(talk_in, OTHERS, len);
	pair_run(&p);
	if (one_end(&p.b, RDM_ERR_CANCELED, RDM_ERR_CANCELED))
		assert_true(all_others(talk_in, len));
	/* A message that was not there yet waits for the next receive. */
	assert_int_equal(recv_named(&p, len, 0, NULL), 0);
	pair_run(&p);
	rdm_cancel(p.b.ep, &p);
	pair_run(&p);
	one_end(&p.b, RDM_ERR_CANCELED, RDM_ERR_CANCELED);
	one_end(&p.a, RDM_ERR_PEER_ABORT, RDM_ERR_PEER_ABORT);
	talk_again(&p);
	talk_end(&p);
	return on;
}

static void each_message(bool (*check)(const struct pair_options *o, size_t len,
				       int n))
{
	for (size_t w = 0; w < u_array_size(ways); w++)
		for (size_t i = 0; i < u_array_size(lengths); i++)
			for (int n = 0; n < STEPS; n++)
				if (!check(ways[w], lengths[i], n))
					break;
}

static void rdm_revoke__send(void **state)
{
	(void)state;
	each_message(check_send);
}

static void rdm_revoke__first_send(void **state)
{
	(void)state;
	each_message(check_first);
}

static void rdm_revoke__matched_receive(void **state)
{
	(void)state;
	each_message(check_recv);
}

/* Posted receives end, but for those that name another region, or none. */
static void rdm_revoke__posted_receives(void **state)
{
	struct pair p;

	(void)state;
	talk_start(&p, &talk_inlined);
	assert_false(rdm_revoke(p.b.ep, &region));
	assert_int_equal(recv_named(&p, 100, 0, named), 0);
	assert_int_equal(recv_named(&p, 100, 0, unnamed), 0);
	assert_int_equal(recv_named(&p, 100, 0, NULL), 0);
	assert_int_equal(recv_named(&p, 100, RDM_TAGGED, named), 0);
	assert_true(rdm_revoke(p.b.ep, &region));
	pair_error(&p.b, RDM_ERR_CANCELED);
	pair_error(&p.b, RDM_ERR_CANCELED);
	pair_no_comp(&p.b);
	assert_false(rdm_revoke(p.b.ep, &region));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send_named(&p, 100, NULL), 0);
		pair_run(&p);
		pair_comp(&p.a);
		pair_comp(&p.b);
	}
	talk_end(&p);
}

/* A buffer of many messages goes with those that are coming into it. */
static void rdm_revoke__multi_recv(void **state)
{
	struct pair p;

	(void)state;
	for (int n = 0; n < 20; n++) {
		talk_start(&p, &talk_copying);
		assert_int_equal(
			recv_named(&p, TALK_LEN, RDM_MULTI_RECV, named), 0);
		assert_int_equal(send_named(&p, 60000, NULL), 0);
		assert_int_equal(send_named(&p, 60000, NULL), 0);
		steps(&p, 2 + n);
		assert_int_equal(p.b.ep->msgs.taken, 2);
		rdm_revoke(p.b.ep, &region);
		memset(talk_in, OTHERS, TALK_LEN);
		pair_run(&p);
		for (int i = 0; i < 3; i++)
			pair_error(&p.b, RDM_ERR_CANCELED);
		for (int i = 0; i < 2; i++)
			pair_error(&p.a, RDM_ERR_PEER_ABORT);
		assert_true(all_others(talk_in, TALK_LEN));
		talk_again(&p);
		talk_end(&p);
	}
}

/* ---- RMA ------------------------------------------------------------------- */

static int rma_named(struct memory *m, bool read, size_t len)
{
	struct iovec iov = { m->local, len };
	struct dev_range at = { (uintptr_t)m->target, len, m->mr->key };

	return rdm_rma(m->p.a.ep, &(struct rdm_rma){
					  .read = read,
					  .iov = &iov,
					  .iovcnt = 1,
					  .rma_iov = &at,
					  .rma_iovcnt = 1,
					  .mr = named,
					  .flags = RDM_COMPLETION,
					  .to = m->p.a.peer,
				  });
}

static void rma_again(struct memory *m, bool read)
{
	if (!m->mr)
		return;
	assert_int_equal(memory_post(m, read, 100, 0), 0);
	pair_run(&m->p);
	pair_comp(&m->p.a);
}

/* Nobody answers before hands are shaken, which the first steps do. */
static bool check_local(const struct pair_options *o, bool read, size_t len,
			int n)
{
	struct memory m;
	bool on;

	memory_open(&m, o, DEV_REMOTE_READ | DEV_REMOTE_WRITE);
	assert_int_equal(rma_named(&m, read, len), 0);
	on = steps(&m.p, n);
	rdm_revoke(m.p.a.ep, &region);
	memset(m.local, OTHERS, len);
	pair_run(&m.p);
	one_end(&m.p.a, RDM_ERR_CANCELED, RDM_ERR_CANCELED);
	pair_no_comp(&m.p.a);
	if (read)
		assert_true(all_others(m.local, len));
	rma_again(&m, read);
	memory_close(&m);
	return on;
}

static bool check_target(const struct pair_options *o, bool read, size_t len,
			 int n)
{
	struct rdm_refusal refusal;
	struct memory m;
	bool on;

	memory_open(&m, o, DEV_REMOTE_READ | DEV_REMOTE_WRITE);
	assert_int_equal(memory_post(&m, read, len, 0), 0);
	on = steps(&m.p, n);
	assert_int_equal(dev_mr_close(m.mr), 0);
	m.mr = NULL;
	memset(m.target, OTHERS, len);
	pair_run(&m.p);
	if (!one_end(&m.p.a, RDM_ERR_PEER_ABORT, DEV_BAD_RKEY) && read)
		pair_check(m.local, 1, len);
	pair_no_comp(&m.p.a);
	assert_true(all_others(m.target, len));
	while (rdm_ep_refusal(m.p.b.ep, &refusal))
		;
	memory_close(&m);
	return on;
}

static void each_access(bool (*check)(const struct pair_options *o, bool read,
				      size_t len, int n))
{
	for (size_t w = 0; w < MEMORY_WAYS; w++)
		for (size_t i = 1; i < MEMORY_LENGTHS; i++)
			for (int n = 0; n < 2 * STEPS; n++) {
				bool on = check(&memory_ways[w], n % 2,
						memory_lengths[i], n / 2);

				if (!on && n % 2)
					break;
			}
}

static void rdm_revoke__rma(void **state)
{
	(void)state;
	each_access(check_local);
}

/* The answer may be here before the device says that the request has left. */
static void rdm_revoke__request_not_acknowledged(void **state)
{
	static const size_t sizes[] = { 100, 60000 };

	(void)state;
	for (int n = 0; n < 4; n++) {
		size_t len = sizes[n / 2];
		struct dev_record_wr *wr;
		struct memory m;

		memory_open(&m, &memory_ways[3],
			    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
		pair_shake(&m.p);
		assert_int_equal(rma_named(&m, n % 2, len), 0);
		wr = dev_record_take(m.p.a.qp);
		assert_int_equal(dev_record_deliver(wr, false), 0);
		rdm_progress(m.p.b.ep);
		rdm_revoke(m.p.a.ep, &region);
		memset(m.local, OTHERS, len);
		pair_run(&m.p);
		assert_true(all_others(m.local, len));
		pair_no_comp(&m.p.a);
		dev_record_complete(wr, 0);
		dev_record_free(wr);
		pair_run(&m.p);
		one_end(&m.p.a, RDM_ERR_CANCELED, RDM_ERR_CANCELED);
		pair_no_comp(&m.p.a);
		memory_close(&m);
	}
}

/* What we serve a peer ends with the region, and the peer hears of it. */
static void rdm_serve__region_closes(void **state)
{
	(void)state;
	each_access(check_target);
}

/* ---- atomics --------------------------------------------------------------- */

static void rdm_revoke__result_of_atomic(void **state)
{
	uint64_t one = 1, before = 5, counter = 7;
	struct iovec iov = { &one, 8 }, to = { &before, 8 };
	struct dev_range target = { (uintptr_t)&counter, 8, 0 };
	struct dev_mr *mr;
	struct pair p;

	(void)state;
	for (int n = 0; n < 2; n++) {
		talk_start(&p, &talk_copying);
		assert_int_equal(dev_mr_open(p.b.dev, &counter, 8,
					     DEV_REMOTE_READ | DEV_REMOTE_WRITE,
					     &mr),
				 0);
		target.key = mr->key;
		assert_int_equal(rdm_atomic(p.a.ep,
					    &(struct rdm_atomic){
						    .kind = RDM_ATOMIC_FETCH,
						    .op = RDM_ATOMIC_SUM,
						    .type = RDM_UINT64,
						    .iov = &iov,
						    .result = &to,
						    .result_mr = named,
						    .target = &target,
						    .iovcnt = 1,
						    .resultcnt = 1,
						    .targetcnt = 1,
						    .flags = RDM_COMPLETION,
						    .to = p.a.peer,
					    }),
				 0);
		if (n)
			talk_step(&p.a, &p.b);
		assert_true(rdm_revoke(p.a.ep, &region));
		pair_run(&p);
		pair_error(&p.a, RDM_ERR_CANCELED);
		assert_int_equal(before, 5);
		assert_int_equal(counter, 8 + n);
		dev_mr_close(mr);
		talk_again(&p);
		talk_end(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_revoke__send),
		cmocka_unit_test(rdm_revoke__first_send),
		cmocka_unit_test(rdm_revoke__matched_receive),
		cmocka_unit_test(rdm_revoke__posted_receives),
		cmocka_unit_test(rdm_revoke__multi_recv),
		cmocka_unit_test(rdm_revoke__rma),
		cmocka_unit_test(rdm_revoke__request_not_acknowledged),
		cmocka_unit_test(rdm_serve__region_closes),
		cmocka_unit_test(rdm_revoke__result_of_atomic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
