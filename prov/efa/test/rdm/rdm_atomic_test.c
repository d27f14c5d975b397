/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_atomic_test.c - atomics between two endpoints, packet by packet
 */
#include "pair.h"

#include <errno.h>
#include <string.h>

#include "rdm/rdm_ep.h"

#define RW (DEV_REMOTE_READ | DEV_REMOTE_WRITE)

static const struct pair_options inlined = { .by_completion = false };
static const struct pair_options completing = { .by_completion = true };

/* An operation of a on memory that b has registered. */
struct op {
	struct rdm_atomic atomic;
	struct iovec iov, compare, result;
	struct dev_range target;
};

static int context;

static struct dev_mr *open_mr(struct pair *p, void *addr, size_t len,
			      uint32_t access)
{
	struct dev_mr *mr;

	assert_int_equal(dev_mr_open(p->b.dev, addr, len, access, &mr), 0);
	return mr;
}

static void op_init(struct op *op, const struct pair *p,
		    enum rdm_atomic_kind kind, uint32_t number, uint32_t type)
{
	*op = (struct op){ .atomic = { .kind = kind,
				       .op = number,
				       .type = type,
				       .iovcnt = 1,
				       .comparecnt = 1,
				       .resultcnt = 1,
				       .targetcnt = 1,
				       .flags = RDM_COMPLETION,
				       .to = p->a.peer,
				       .context = &context } };
	op->atomic.iov = &op->iov;
	op->atomic.compare = &op->compare;
	op->atomic.result = &op->result;
	op->atomic.target = &op->target;
}

/* The same buffer lengths for all that the operation has. */
static void op_set(struct op *op, const void *operand, const void *compare,
		   void *result, const struct dev_mr *mr, size_t len)
{
	op->iov = (struct iovec){ (void *)(uintptr_t)operand, len };
	op->compare = (struct iovec){ (void *)(uintptr_t)compare, len };
	op->result = (struct iovec){ result, len };
	op->target = (struct dev_range){ mr->addr, len, mr->key };
}

static void expect_done(struct pair *p, enum rdm_comp_kind kind, size_t len)
{
	struct rdm_comp comp = pair_comp(&p->a);

	assert_int_equal(comp.kind, kind);
	assert_ptr_equal(comp.context, &context);
	assert_int_equal(comp.len, len);
	assert_int_equal(p->a.ep->txs.taken, 0);
	pair_no_comp(&p->a);
	pair_no_comp(&p->b);
}

/* ---- each kind ----------------------------------------------------------- */

static void check_base(struct pair *p, uint32_t flags)
{
	uint64_t target[3] = { 1, 2, 3 }, operand[3] = { 10, 20, 30 };
	struct dev_mr *mr = open_mr(p, target, 24, DEV_REMOTE_WRITE);
	struct op op;

	op_init(&op, p, RDM_ATOMIC_BASE, RDM_ATOMIC_SUM, RDM_UINT64);
	op_set(&op, operand, NULL, NULL, mr, 24);
	op.atomic.flags |= flags;
	assert_int_equal(rdm_atomic(p->a.ep, &op.atomic), 0);
	memset(operand, 0xff, sizeof(operand));
	pair_run(p);
	assert_int_equal(target[0], 11);
	assert_int_equal(target[1], 22);
	assert_int_equal(target[2], 33);
	expect_done(p, RDM_COMP_ATOMIC, 24);
	assert_int_equal(dev_mr_close(mr), 0);
}

static void check_fetch(struct pair *p)
{
	double target[2] = { 1.5, -2 }, operand[2] = { 4, 8 }, result[2];
	struct dev_mr *mr = open_mr(p, target, 16, RW);
	struct op op;

	op_init(&op, p, RDM_ATOMIC_FETCH, RDM_ATOMIC_PROD, RDM_DOUBLE);
	op_set(&op, operand, NULL, result, mr, 16);
	assert_int_equal(rdm_atomic(p->a.ep, &op.atomic), 0);
	memset(operand, 0xff, sizeof(operand));
	pair_run(p);
	assert_true(target[0] == 6 && target[1] == -16);
	assert_true(result[0] == 1.5 && result[1] == -2);
	expect_done(p, RDM_COMP_FETCH, 16);
	assert_int_equal(dev_mr_close(mr), 0);
}

static void check_compare(struct pair *p)
{
	int16_t target[2] = { 7, 8 }, operand[2] = { 70, 80 }, result[2];
	const int16_t compare[2] = { 7, 9 };
	struct dev_mr *mr = open_mr(p, target, 4, RW);
	struct op op;

	op_init(&op, p, RDM_ATOMIC_COMPARE, RDM_ATOMIC_CSWAP, RDM_INT16);
	op_set(&op, operand, compare, result, mr, 4);
	assert_int_equal(rdm_atomic(p->a.ep, &op.atomic), 0);
	pair_run(p);
	assert_true(target[0] == 70 && target[1] == 8);
	assert_true(result[0] == 7 && result[1] == 8);
	expect_done(p, RDM_COMP_FETCH, 4);
	assert_int_equal(dev_mr_close(mr), 0);
}

/* With nothing to send but the addresses. */
static void check_read(struct pair *p)
{
	const uint32_t target[2] = { 3, 4 };
	uint32_t result[2] = { 0 };
	struct dev_mr *mr =
		open_mr(p, (void *)(uintptr_t)target, 8, DEV_REMOTE_READ);
	struct op op;

	op_init(&op, p, RDM_ATOMIC_FETCH, RDM_ATOMIC_READ, RDM_UINT32);
	op_set(&op, NULL, NULL, result, mr, 8);
	op.atomic.iov = NULL;
	op.atomic.iovcnt = 0;
	assert_int_equal(rdm_atomic(p->a.ep, &op.atomic), 0);
	pair_run(p);
	assert_memory_equal(result, target, 8);
	expect_done(p, RDM_COMP_FETCH, 8);
	assert_int_equal(dev_mr_close(mr), 0);
}

static void check_all(const struct pair_options *options, bool shaken)
{
	struct pair p;

	for (int i = 0; i < 6; i++) {
		pair_open(&p, options);
		if (shaken)
			pair_shake(&p);
		switch (i) {
		case 0:
			check_base(&p, 0);
			break;
		case 1:
			check_base(&p, RDM_DELIVERY);
			break;
		case 2:
			check_base(&p, RDM_INJECT);
			break;
		case 3:
			check_fetch(&p);
			break;
		case 4:
			check_compare(&p);
			break;
		case 5:
			check_read(&p);
			break;
		}
		pair_close(&p);
	}
}

static void rdm_atomic__each_kind(void **state)
{
	check_all(&inlined, false);
	check_all(&inlined, true);
	check_all(&completing, false);
	check_all(&completing, true);
}

static void rdm_atomic__lists(void **state)
{
	uint32_t target[6] = { 1, 2, 3, 4, 5, 6 }, result[6] = { 0 };
	uint32_t operand[6] = { 60, 50, 40, 30, 20, 10 };
	uint32_t compare[6] = { 1, 2, 0, 4, 0, 6 };
	struct iovec out[3] = { { operand, 4 },
				{ operand + 1, 12 },
				{ operand + 4, 8 } };
	struct iovec cmp[2] = { { compare, 20 }, { compare + 5, 4 } };
	struct iovec in[4] = { { result + 5, 4 },
			       { result, 0 },
			       { result + 1, 16 },
			       { result, 4 } };
	struct dev_range range[2];
	struct dev_mr *mr;
	struct pair p;
	struct op op;

	pair_open(&p, &completing);
	mr = open_mr(&p, target, sizeof(target), RW);
	range[0] = (struct dev_range){ mr->addr + 16, 8, mr->key };
	range[1] = (struct dev_range){ mr->addr, 16, mr->key };
	op_init(&op, &p, RDM_ATOMIC_COMPARE, RDM_ATOMIC_CSWAP_NE, RDM_UINT32);
	op.atomic.iov = out;
	op.atomic.iovcnt = 3;
	op.atomic.compare = cmp;
	op.atomic.comparecnt = 2;
	op.atomic.result = in;
	op.atomic.resultcnt = 4;
	op.atomic.target = range;
	op.atomic.targetcnt = 2;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
	pair_run(&p);
	/* In the order of the request the target held 5 6 1 2 3 4. */
	assert_int_equal(target[4], 60);
	assert_int_equal(target[5], 50);
	assert_int_equal(target[0], 40);
	assert_int_equal(target[1], 30);
	assert_int_equal(target[2], 20);
	assert_int_equal(target[3], 10);
	assert_int_equal(result[5], 5);
	assert_int_equal(result[1], 6);
	assert_int_equal(result[4], 3);
	assert_int_equal(result[0], 4);
	expect_done(&p, RDM_COMP_FETCH, 24);
	assert_int_equal(dev_mr_close(mr), 0);
	pair_close(&p);
}

/* ---- when it is complete --------------------------------------------------- */

/* The device of a says that all arrived, but b has not looked. */
static void arrive(struct pair *p)
{
	struct dev_record_wr *wr;

	while ((wr = dev_record_take(p->a.qp))) {
		dev_record_deliver(wr, true);
		dev_record_free(wr);
	}
	rdm_progress(p->a.ep);
}

static void rdm_atomic__completes_when_promised(void **state)
{
	uint32_t target = 1, operand = 1, result = 0;
	struct dev_mr *mr;
	struct pair p;
	struct op op;

	pair_open(&p, &completing);
	mr = open_mr(&p, &target, 4, RW);
	op_init(&op, &p, RDM_ATOMIC_BASE, RDM_ATOMIC_SUM, RDM_INT32);
	op_set(&op, &operand, NULL, &result, mr, 4);
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
	pair_no_comp(&p.a);
	arrive(&p);
	pair_comp(&p.a);
	op.atomic.flags |= RDM_DELIVERY;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
	op.atomic.kind = RDM_ATOMIC_FETCH;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
	arrive(&p);
	pair_no_comp(&p.a);
	assert_int_equal(target, 1);
	pair_run(&p);
	pair_comp(&p.a);
	pair_comp(&p.a);
	assert_int_equal(target, 4);
	assert_int_equal(result, 3);
	assert_int_equal(dev_mr_close(mr), 0);
	pair_close(&p);
}

static void rdm_atomic__counters(void **state)
{
	struct rdm_cntr cntr[4] = { { 0 } };
	uint32_t target = 1, operand = 1, result = 0;
	struct dev_mr *mr;
	struct pair p;
	struct op op;

	pair_open(&p, &inlined);
	p.a.ep->config.cntr[RDM_CNTR_READ] = &cntr[0];
	p.a.ep->config.cntr[RDM_CNTR_WRITE] = &cntr[1];
	p.b.ep->config.cntr[RDM_CNTR_REMOTE_READ] = &cntr[2];
	p.b.ep->config.cntr[RDM_CNTR_REMOTE_WRITE] = &cntr[3];
	mr = open_mr(&p, &target, 4, RW);
	op_init(&op, &p, RDM_ATOMIC_BASE, RDM_ATOMIC_SUM, RDM_INT32);
	op_set(&op, &operand, &operand, &result, mr, 4);
	op.atomic.flags = 0;
	for (int i = 0; i < 3; i++)
		assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
	op.atomic.kind = RDM_ATOMIC_FETCH;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
	op.atomic.kind = RDM_ATOMIC_COMPARE;
	op.atomic.op = RDM_ATOMIC_MSWAP;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
	pair_run(&p);
	assert_int_equal(cntr[0].ok, 2);
	assert_int_equal(cntr[1].ok, 3);
	assert_int_equal(cntr[2].ok, 2);
	assert_int_equal(cntr[3].ok, 3);
	pair_no_comp(&p.a);
	pair_no_comp(&p.b);
	assert_int_equal(dev_mr_close(mr), 0);
	pair_close(&p);
}

/* ---- order --------------------------------------------------------------- */

#define ROUNDS 40

/*
 * Writes, additions and reads of one word between messages: each read finds
 * what those before it have left, whatever order packets come in.
 */
static void check_order(unsigned int seed, bool twice)
{
	static uint64_t result[ROUNDS];
	uint64_t target = 0, value;
	uint8_t in[ROUNDS];
	struct dev_mr *mr;
	struct pair p;
	struct op op;

	pair_open(&p, seed % 2 ? &inlined : &completing);
	mr = open_mr(&p, &target, 8, RW);
	for (uint64_t i = 0; i < ROUNDS; i++) {
		uint8_t byte = (uint8_t)i;

		op_init(&op, &p, RDM_ATOMIC_BASE, RDM_ATOMIC_WRITE, RDM_INT64);
		value = 100 * i;
		op_set(&op, &value, NULL, &result[i], mr, 8);
		assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
		op.atomic.op = RDM_ATOMIC_SUM;
		value = i;
		assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
		assert_int_equal(pair_send(&p.a, &byte, 1, 5, 0, NULL), 0);
		assert_int_equal(pair_recv(&p.b, &in[i], 1, 5, 0, NULL), 0);
		op.atomic.kind = RDM_ATOMIC_FETCH;
		assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
	}
	pair_shuffle(&p, &seed, twice);
	for (uint64_t i = 0; i < ROUNDS; i++) {
		assert_int_equal(result[i], 101 * i);
		assert_int_equal(in[i], i);
		pair_comp(&p.b);
	}
	assert_int_equal(target, 102 * (ROUNDS - 1));
	for (int i = 0; i < 4 * ROUNDS; i++)
		pair_comp(&p.a);
	pair_no_comp(&p.a);
	assert_int_equal(p.a.ep->txs.taken, 0);
	assert_int_equal(p.b.ep->ctl_pool.taken, 0);
	assert_int_equal(dev_mr_close(mr), 0);
	pair_close(&p);
}

static void rdm_atomic__in_order_and_once(void **state)
{
	for (unsigned int seed = 1; seed <= 20; seed++) {
		check_order(seed, false);
		check_order(seed, true);
	}
}

/* ---- limits -------------------------------------------------------------- */

static void rdm_atomic__as_long_as_promised(void **state)
{
	static uint8_t target[PAIR_MTU], operand[PAIR_MTU], result[PAIR_MTU];
	size_t max = rdm_atomic_max(PAIR_MTU);
	struct dev_mr *mr;
	struct pair p;
	struct op op;

	pair_open(&p, &completing);
	mr = open_mr(&p, target, sizeof(target), RW);
	for (int shaken = 0; shaken < 2; shaken++) {
		memset(target, 0, sizeof(target));
		memset(operand, 0x5a, sizeof(operand));
		op_init(&op, &p, RDM_ATOMIC_FETCH, RDM_ATOMIC_WRITE, RDM_UINT8);
		op_set(&op, operand, operand, result, mr, max + 1);
		assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EMSGSIZE);
		op_set(&op, operand, operand, result, mr, max);
		assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
		pair_run(&p);
		pair_comp(&p.a);
		assert_memory_equal(target, operand, max);
		op.atomic.kind = RDM_ATOMIC_COMPARE;
		op.atomic.op = RDM_ATOMIC_CSWAP;
		op_set(&op, target, operand, result, mr, max / 2 + 1);
		assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EMSGSIZE);
		op_set(&op, target, operand, result, mr, max / 2);
		assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
		pair_run(&p);
		pair_comp(&p.a);
		assert_memory_equal(result, operand, max / 2);
		pair_shake(&p);
	}
	assert_int_equal(dev_mr_close(mr), 0);
	pair_close(&p);
}

static void rdm_atomic__mistakes(void **state)
{
	uint8_t bytes[64] = { 0 };
	struct dev_mr *mr;
	struct pair p;
	struct op op;

	pair_open(&p, &inlined);
	mr = open_mr(&p, bytes, sizeof(bytes), RW);
	op_init(&op, &p, RDM_ATOMIC_FETCH, RDM_ATOMIC_CSWAP, RDM_INT8);
	op_set(&op, bytes, bytes, bytes, mr, 8);
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EOPNOTSUPP);
	op.atomic.op = RDM_ATOMIC_SUM;
	op.atomic.type = RDM_DATATYPES;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EOPNOTSUPP);
	op.atomic.type = RDM_INT32;
	op.atomic.to = 99;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EINVAL);
	op.atomic.to = p.a.peer;
	op.iov.iov_len = 4;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EINVAL);
	op.iov.iov_len = 8;
	op.result.iov_len = 12;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EINVAL);
	op_set(&op, bytes, bytes, bytes, mr, 6);
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EINVAL);
	op_set(&op, bytes, bytes, bytes, mr, 8);
	op.atomic.targetcnt = 0;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EINVAL);
	op.atomic.targetcnt = 1;
	op.atomic.kind = RDM_ATOMIC_COMPARE;
	op.atomic.op = RDM_ATOMIC_CSWAP;
	op.compare.iov_len = 4;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EINVAL);
	op.target.len = UINT64_MAX - 3;
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EMSGSIZE);
	assert_int_equal(p.a.ep->txs.taken, 0);
	assert_int_equal(dev_record_run(), 0);
	assert_int_equal(dev_mr_close(mr), 0);
	pair_close(&p);
}

/* What was not accepted has used up no message number. */
static void rdm_atomic__no_room(void **state)
{
	uint32_t target = 0, operand = 1;
	struct dev_mr *mr;
	struct pair p;
	struct op op;

	pair_open(&p, &inlined);
	mr = open_mr(&p, &target, 4, RW);
	op_init(&op, &p, RDM_ATOMIC_BASE, RDM_ATOMIC_SUM, RDM_INT32);
	op_set(&op, &operand, NULL, NULL, mr, 4);
	dev_record_set_room(p.a.dev, 1);
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), -EAGAIN);
	dev_record_set_room(p.a.dev, -1);
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
	pair_run(&p);
	assert_int_equal(target, 2);
	pair_comp(&p.a);
	pair_comp(&p.a);
	pair_no_comp(&p.a);
	assert_int_equal(dev_mr_close(mr), 0);
	pair_close(&p);
}

/* Answers of any length wait until there is room, or are forgotten. */
static void rdm_atomic__answer_waits(void **state)
{
	static uint8_t target[512], operand[512], result[512];
	struct dev_mr *mr;
	struct pair p;
	struct op op;

	for (int close = 0; close < 2; close++) {
		pair_open(&p, &completing);
		mr = open_mr(&p, target, sizeof(target), RW);
		memset(result, 0, sizeof(result));
		pair_fill(target, 1, sizeof(target));
		op_init(&op, &p, RDM_ATOMIC_FETCH, RDM_ATOMIC_WRITE, RDM_UINT8);
		op_set(&op, operand, NULL, result, mr, sizeof(result));
		dev_record_set_room(p.b.dev, 0);
		assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
		pair_run(&p);
		pair_no_comp(&p.a);
		if (!close) {
			dev_record_set_room(p.b.dev, -1);
			pair_run(&p);
			pair_check(result, 1, sizeof(result));
			expect_done(&p, RDM_COMP_FETCH, sizeof(result));
		}
		assert_int_equal(dev_mr_close(mr), 0);
		pair_close(&p);
	}
}

/* Who waits for a result learns that none will come. */
static void rdm_atomic__peer_gone(void **state)
{
	uint32_t target = 0, operand = 1, result;
	struct dev_record_wr *wr;
	struct dev_mr *mr;
	struct pair p;
	struct op op;

	pair_open(&p, &completing);
	mr = open_mr(&p, &target, 4, RW);
	op_init(&op, &p, RDM_ATOMIC_FETCH, RDM_ATOMIC_SUM, RDM_INT32);
	op_set(&op, &operand, NULL, &result, mr, 4);
	assert_int_equal(rdm_atomic(p.a.ep, &op.atomic), 0);
	wr = dev_record_take(p.a.qp);
	dev_record_complete(wr, DEV_OK);
	dev_record_gone(p.a.qp, wr->cookie);
	dev_record_free(wr);
	rdm_progress(p.a.ep);
	assert_int_equal(pair_error(&p.a, RDM_ERR_PEER_SILENT).kind,
			 RDM_COMP_FETCH);
	assert_int_equal(p.a.ep->txs.taken, 0);
	assert_int_equal(dev_mr_close(mr), 0);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_atomic__each_kind),
		cmocka_unit_test(rdm_atomic__lists),
		cmocka_unit_test(rdm_atomic__completes_when_promised),
		cmocka_unit_test(rdm_atomic__counters),
		cmocka_unit_test(rdm_atomic__in_order_and_once),
		cmocka_unit_test(rdm_atomic__as_long_as_promised),
		cmocka_unit_test(rdm_atomic__mistakes),
		cmocka_unit_test(rdm_atomic__no_room),
		cmocka_unit_test(rdm_atomic__answer_waits),
		cmocka_unit_test(rdm_atomic__peer_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
