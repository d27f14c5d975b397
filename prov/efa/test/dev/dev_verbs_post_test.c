/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_post_test.c - work requests of the port as those of the hardware
 */
#include "dev_verbs_fixture.h"

#include <errno.h>
#include <string.h>

static int setup(void **state)
{
	*state = verbs_new();
	fake_config.efa.device_caps |= 1 << 3;
	verbs_setup(*state, DEV_QP_RDM);
	return 0;
}

static struct fake_wr *oldest(struct verbs *v)
{
	return STAILQ_FIRST(&v->hw->sends);
}

/* ---- sends --------------------------------------------------------------- */

static void dev_post__small_is_inline(void **state)
{
	struct verbs *v = *state;
	char data[] = "payload";
	struct iovec iov;
	struct dev_wr wr = verbs_send(v, 5, "header", &iov, data, 7);
	struct fake_wr *hw;

	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_false(wr.done);
	hw = oldest(v);
	assert_true(hw->is_inline);
	assert_int_equal(hw->opcode, IBV_WR_SEND);
	assert_int_equal(hw->len, 13);
	assert_memory_equal(hw->bytes, "headerpayload", 13);
	assert_int_equal(hw->qpn, FIXTURE_PEER_QPN);
	assert_int_equal(hw->qkey, 0x1234);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 5, 0);
}

static void dev_post__nothing_at_all(void **state)
{
	struct verbs *v = *state;
	struct dev_wr wr = { .ah = v->ah, .flags = DEV_WR_IMM, .imm = 0xabcd };

	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_int_equal(oldest(v)->len, 0);
	assert_int_equal(oldest(v)->opcode, IBV_WR_SEND_WITH_IMM);
	assert_int_equal(oldest(v)->imm, 0xabcd);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 0, 0);
}

static void dev_post__pieces_in_a_packet(void **state)
{
	struct verbs *v = *state;
	char a[40], b[40];
	struct iovec iov[3] = { { a, 40 }, { NULL, 0 }, { b, 40 } };
	struct dev_wr wr = { .ah = v->ah,
			     .hdr = "head",
			     .hdr_len = 4,
			     .iov = iov,
			     .iovcnt = 3,
			     .len = 80 };

	memset(a, 'a', 40);
	memset(b, 'b', 40);
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_int_equal(oldest(v)->nsge, 1);
	assert_int_equal(oldest(v)->len, 84);
	assert_memory_equal(oldest(v)->bytes, "headaaaa", 8);
	assert_memory_equal(oldest(v)->bytes + 44, b, 40);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 0, 0);
}

static void dev_post__registered_memory_is_not_copied(void **state)
{
	static char data[4096];
	struct verbs *v = *state;
	struct iovec iov;
	struct dev_wr wr = verbs_send(v, 1, "head", &iov, data, sizeof(data));

	assert_int_equal(dev_mr_open(v->dev, data, sizeof(data), 0, &wr.mr), 0);
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_int_equal(oldest(v)->nsge, 2);
	assert_ptr_equal((void *)(uintptr_t)oldest(v)->sge[1].addr, data);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 1, 0);
	/* Without a header there is one element; a short one is copied. */
	wr.hdr_len = 0;
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_int_equal(oldest(v)->nsge, 1);
	assert_ptr_equal((void *)(uintptr_t)oldest(v)->sge[0].addr, data);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 1, 0);
	wr.len = iov.iov_len = 100;
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_ptr_not_equal((void *)(uintptr_t)oldest(v)->sge[0].addr, data);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 1, 0);
	assert_int_equal(dev_mr_close(wr.mr), 0);
}

/* A registration that does not cover the bytes is no help. */
static void dev_post__short_registration(void **state)
{
	static char data[4096];
	struct verbs *v = *state;
	struct iovec iov;
	struct dev_wr wr = verbs_send(v, 1, NULL, &iov, data, sizeof(data));

	assert_int_equal(dev_mr_open(v->dev, data, 4000, 0, &wr.mr), 0);
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_ptr_not_equal((void *)(uintptr_t)oldest(v)->sge[0].addr, data);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 1, 0);
	assert_int_equal(dev_mr_close(wr.mr), 0);
}

static void dev_post__longer_than_a_packet(void **state)
{
	static char data[FAKE_MTU];
	struct verbs *v = *state;
	struct iovec iov;
	struct dev_wr wr = verbs_send(v, 1, "h", &iov, data, FAKE_MTU);

	assert_int_equal(dev_post(v->qp, &wr, 1), -EMSGSIZE);
	wr.len = iov.iov_len = SIZE_MAX;
	assert_int_equal(dev_post(v->qp, &wr, 1), -EMSGSIZE);
	wr.len = iov.iov_len = FAKE_MTU - 1;
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 1, 0);
}

/* ---- batches ---------------------------------------------------------------- */

static void three(struct verbs *v, struct dev_wr wr[3], struct iovec iov[3])
{
	static char data[100];

	for (int i = 0; i < 3; i++)
		wr[i] = verbs_send(v, (uint64_t)i, NULL, &iov[i], data, 100);
}

static void dev_post__one_doorbell(void **state)
{
	struct verbs *v = *state;
	struct dev_wr wr[3];
	struct iovec iov[3];

	three(v, wr, iov);
	assert_int_equal(dev_post(v->qp, wr, 3), 3);
	assert_int_equal(fake_count.doorbells, 1);
	for (int i = 0; i < 3; i++)
		fake_end(v->hw, 0);
	for (uint64_t i = 0; i < 3; i++) {
		struct dev_wc wc;

		assert_int_equal(dev_poll(v->cq, &wc, 1), 1);
		assert_int_equal(wc.id, i);
	}
}

static void dev_post__no_room_after_all(void **state)
{
	struct verbs *v = *state;
	struct dev_wr wr[3];
	struct iovec iov[3];

	three(v, wr, iov);
	fake_config.fail_complete = 2;
	fake_config.complete_error = ENOMEM;
	assert_int_equal(dev_post(v->qp, wr, 3), -EAGAIN);
	assert_int_equal(v->hw->nsends, 0);
	/* Nothing was lost: the queue still takes all that it has. */
	for (int i = 0; i < 64; i++)
		verbs_send_one(v, 1, 100);
	assert_int_equal(dev_post(v->qp, wr, 1), -EAGAIN);
	while (v->hw->nsends)
		fake_end(v->hw, 0);
}

/* The library takes back a whole doorbell for one bad request. */
static void dev_post__bad_one_among_good_ones(void **state)
{
	struct verbs *v = *state;
	struct dev_wr wr[3];
	struct iovec iov[3];

	three(v, wr, iov);
	fake_config.fail_complete = 1;
	fake_config.complete_error = EINVAL;
	assert_int_equal(dev_post(v->qp, wr, 3), 3);
	assert_int_equal(fake_count.doorbells, 3);
	assert_int_equal(v->hw->nsends, 3);
	fake_config.fail_complete = 2;
	assert_int_equal(dev_post(v->qp, wr, 3), -EINVAL);
	assert_int_equal(v->hw->nsends, 3);
	while (v->hw->nsends)
		fake_end(v->hw, 0);
}

/* An eighth of the queue is for what peers wait for. */
static void dev_post__requests_leave_room(void **state)
{
	struct verbs *v = *state;
	struct iovec iov;
	char c = 1;
	struct dev_wr wr = verbs_send(v, 1, NULL, &iov, &c, 1);
	int n = 0;

	wr.flags = DEV_WR_REQUEST;
	while (dev_post(v->qp, &wr, 1) == 1)
		n++;
	assert_int_equal(n, 56);
	wr.flags = 0;
	while (dev_post(v->qp, &wr, 1) == 1)
		n++;
	assert_int_equal(n, 64);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 1, 0);
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	while (v->hw->nsends)
		fake_end(v->hw, 0);
}

/* ---- packets ------------------------------------------------------------------ */

static void dev_post__memory_grows_and_shrinks(void **state)
{
	struct verbs *v = *state;
	int mrs = fake_count.mrs;
	struct dev_wc wc[64];

	for (int i = 0; i < 64; i++)
		verbs_send_one(v, 1, 100);
	assert_int_equal(fake_count.mrs, mrs + 1);
	while (v->hw->nsends)
		fake_end(v->hw, 0);
	assert_int_equal(dev_poll(v->cq, wc, 64), 64);
	for (int i = 0; i < 3 * 4096; i++) {
		verbs_send_one(v, 1, 100);
		fake_end(v->hw, 0);
		assert_int_equal(dev_poll(v->cq, wc, 64), 1);
	}
	assert_int_equal(fake_count.mrs, mrs);
}

static void dev_post__memory_cannot_grow(void **state)
{
	struct verbs *v = *state;
	unsigned int before = verbs_warnings();
	static char data[100];
	struct iovec iov;
	struct dev_wr wr = verbs_send(v, 1, NULL, &iov, data, 100);
	int n = 0;

	fake_config.max_mrs = fake_count.mrs;
	while (dev_post(v->qp, &wr, 1) == 1)
		n++;
	assert_int_equal(n, 32);
	assert_true(verbs_warnings() - before <= 1);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 1, 0);
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	while (v->hw->nsends)
		fake_end(v->hw, 0);
}

/* ---- RDMA ------------------------------------------------------------------------ */

static struct dev_wr rdma(struct verbs *v, enum dev_op op, struct iovec *iov,
			  void *data, size_t len)
{
	*iov = (struct iovec){ data, len };
	return (struct dev_wr){ .id = 3,
				.ah = v->ah,
				.op = (uint8_t)op,
				.iov = iov,
				.iovcnt = 1,
				.len = len,
				.rkey = 0x99,
				.remote = 0x1000,
				.imm = 0x55 };
}

static void dev_post__small_read_through_a_packet(void **state)
{
	struct verbs *v = *state;
	char data[8] = "........";
	struct iovec iov;
	struct dev_wr wr = rdma(v, DEV_READ, &iov, data, 8);
	int regs = fake_count.regs;

	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_int_equal(oldest(v)->opcode, IBV_WR_RDMA_READ);
	assert_int_equal(oldest(v)->rkey, 0x99);
	assert_int_equal(oldest(v)->remote, 0x1000);
	assert_int_equal(oldest(v)->len, 8);
	memcpy((void *)(uintptr_t)oldest(v)->sge[0].addr, "peersays", 8);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_READ, 3, 0);
	assert_memory_equal(data, "peersays", 8);
	assert_int_equal(fake_count.regs, regs);
}

static void dev_post__large_read_registers(void **state)
{
	static char data[100000];
	struct verbs *v = *state;
	struct iovec iov;
	struct dev_wr wr = rdma(v, DEV_READ, &iov, data, sizeof(data));
	int mrs = fake_count.mrs;

	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_ptr_equal((void *)(uintptr_t)oldest(v)->sge[0].addr, data);
	assert_int_equal(oldest(v)->len, sizeof(data));
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_READ, 3, 0);
	assert_true(fake_count.mrs <= mrs + 1);
	/* The user's own registration is used where there is one. */
	assert_int_equal(dev_mr_open(v->dev, data, sizeof(data), 0, &wr.mr), 0);
	mrs = fake_count.mrs;
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_int_equal(fake_count.mrs, mrs);
	assert_int_equal(oldest(v)->sge[0].lkey, wr.mr->key);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_READ, 3, 0);
	assert_int_equal(dev_mr_close(wr.mr), 0);
}

/* It would fail at every try: the operation ends, and the caller hears why. */
static void dev_post__read_that_cannot_register(void **state)
{
	static char data[200000];
	struct verbs *v = *state;
	struct iovec iov;
	struct dev_wr wr = rdma(v, DEV_READ, &iov, data, sizeof(data));

	fake_config.max_mrs = fake_count.mrs;
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_int_equal(v->hw->nsends, 0);
	verbs_expect(v, DEV_WC_READ, 3, DEV_BAD_LKEY);
	verbs_expect_nothing(v);
}

static void dev_post__writes(void **state)
{
	struct verbs *v = *state;
	char data[8] = "written";
	struct iovec iov;
	struct dev_wr wr = rdma(v, DEV_WRITE, &iov, data, 8);
	struct fake_wr *hw;

	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	hw = oldest(v);
	assert_int_equal(hw->opcode, IBV_WR_RDMA_WRITE);
	assert_memory_equal((void *)(uintptr_t)hw->sge[0].addr, "written", 8);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_WRITE, 3, 0);
	wr = rdma(v, DEV_WRITE_IMM, &iov, NULL, 0);
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	hw = oldest(v);
	assert_int_equal(hw->opcode, IBV_WR_RDMA_WRITE_WITH_IMM);
	assert_int_equal(hw->imm, 0x55);
	assert_int_equal(hw->nsge, 1);
	assert_int_equal(hw->len, 0);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_WRITE, 3, 0);
}

static void dev_post__rdma_that_cannot_be(void **state)
{
	struct verbs *v = *state;
	struct iovec iov;
	char c;
	struct dev_wr wr = rdma(v, DEV_READ, &iov, &c, (1u << 30) + 1);

	assert_int_equal(dev_post(v->qp, &wr, 1), -EMSGSIZE);
	wr.len = 1;
	wr.iovcnt = 2;
	assert_int_equal(dev_post(v->qp, &wr, 1), -EINVAL);
	wr.iovcnt = 1;
	wr.op = 17;
	assert_int_equal(dev_post(v->qp, &wr, 1), -EINVAL);
	assert_int_equal(v->hw->nsends, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, verbs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(dev_post__small_is_inline),
		CASE(dev_post__nothing_at_all),
		CASE(dev_post__pieces_in_a_packet),
		CASE(dev_post__registered_memory_is_not_copied),
		CASE(dev_post__short_registration),
		CASE(dev_post__longer_than_a_packet),
		CASE(dev_post__one_doorbell),
		CASE(dev_post__no_room_after_all),
		CASE(dev_post__bad_one_among_good_ones),
		CASE(dev_post__requests_leave_room),
		CASE(dev_post__memory_grows_and_shrinks),
		CASE(dev_post__memory_cannot_grow),
		CASE(dev_post__small_read_through_a_packet),
		CASE(dev_post__large_read_registers),
		CASE(dev_post__read_that_cannot_register),
		CASE(dev_post__writes),
		CASE(dev_post__rdma_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
