/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_revoke_test.c - local memory that is taken away while RDMA is under way
 */
#include "nic_region.h"

#include "nic/nic_priv.h"

#define RW (NIC_REMOTE_READ | NIC_REMOTE_WRITE)
#define SMALL 1000
#define LARGE (9u << 20) /* more than a slice of a poll */

static void poll_both(struct nt *t)
{
	for (int i = 0; i < 300; i++) {
		nt_idle(&t->a);
		nt_idle(&t->b);
	}
}

/* Local memory that goes: one completion, and no byte is written there. */
static void check_revoked(struct nt *t, enum nic_rdma_type type, int polls)
{
	const struct nic_wc *wc;
	struct nic_rdma op;
	struct nt_region r;

	nt_region_open(&r, t, LARGE, RW);
	op = nt_region_op(&r, type);
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	for (int i = 0; i < polls; i++) {
		nt_idle(&t->a);
		nt_idle(&t->b);
	}
	assert_false(nic_qp_revoke(t->a.qp, op.id + 1));
	assert_true(nic_qp_revoke(t->a.qp, op.id));
	assert_false(nic_qp_revoke(t->a.qp, op.id));
	nt_fill(r.local, LARGE, 3);
	wc = nt_wait(&t->a, NULL);
	assert_int_equal(wc->status, NIC_FLUSHED);
	assert_int_equal(wc->id, op.id);
	poll_both(t);
	assert_true(nt_is_filled(r.local, LARGE, 3));
	for (int i = 0; i < 40; i++) {
		op = nt_region_op(&r, type);
		op.len = SMALL;
		assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	}
	nt_region_close(&r);
}

static void check_all_revoked(struct nt *t)
{
	for (int polls = 0; polls < 3; polls++) {
		check_revoked(t, NIC_READ, polls);
		check_revoked(t, NIC_WRITE, polls);
	}
}

static void nic_qp_revoke__direct(void **state)
{
	struct nt *t = *state;

	check_revoked(t, NIC_READ, 0);
	check_revoked(t, NIC_WRITE, 1);
}

static void nic_qp_revoke__ring(void **state)
{
	check_all_revoked(*state);
}

static void nic_qp_revoke__far(void **state)
{
	check_all_revoked(*state);
}

/* Each one that the peer works on keeps its place there until it answers. */
static void nic_qp_revoke__many_ring(void **state)
{
	struct nt *t = *state;
	struct nic_rdma op[3 * NIC_RING_OPS];
	struct nt_region r;

	nt_region_open(&r, t, LARGE, RW);
	for (size_t i = 0; i < u_array_size(op); i++) {
		op[i] = nt_region_op(&r, i % 2 ? NIC_READ : NIC_WRITE);
		assert_int_equal(nic_rdma(t->ab, &op[i]), 1);
	}
	for (size_t i = 0; i < u_array_size(op); i++)
		assert_true(nic_qp_revoke(t->a.qp, op[i].id));
	for (size_t i = 0; i < u_array_size(op); i++)
		assert_int_equal(nt_wait(&t->a, NULL)->status, NIC_FLUSHED);
	poll_both(t);
	op[0] = nt_region_op(&r, NIC_READ);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op[0]), NIC_OK);
	assert_int_equal(nic_qp_stats(t->b.qp)->bad_packets, 0);
	nt_region_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NT_PAIR(nic_qp_revoke__direct),
		NT_RING(nic_qp_revoke__ring),
		NT_RING(nic_qp_revoke__many_ring),
		NT_FAR(nic_qp_revoke__far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
