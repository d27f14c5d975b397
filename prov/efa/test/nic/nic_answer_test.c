/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_answer_test.c - RDMA through the ring, asked for by a peer that cannot
 * be answered as others are
 */
#include "nic_fixture.h"

#include "nic/nic_priv.h"

static uint8_t theirs[100000], ours[100000];

static struct nic_rdma rdma_of(struct nt *t, enum nic_rdma_type type)
{
	struct nic_rdma op = { .type = type,
			       .id = 5,
			       .local = ours,
			       .remote = (uintptr_t)theirs,
			       .len = sizeof(ours) };

	assert_int_equal(nic_mr_reg(t->b.nic, theirs, sizeof(theirs),
				    NIC_REMOTE_READ | NIC_REMOTE_WRITE,
				    &op.rkey),
			 0);
	return op;
}

/* b reaches a as if it were on another host. */
static void make_far(struct nt *t)
{
	t->b.qp->no_shm = true;
	assert_int_equal(nic_ah_reach(t->ba), NIC_OK);
	assert_int_equal(t->ba->path->state, NIC_PATH_FAR);
}

static void ends_well(struct nt *t, enum nic_rdma_type type)
{
	struct nic_rdma op = rdma_of(t, type);

	nt_fill(theirs, sizeof(theirs), 1);
	nt_fill(ours, sizeof(ours), 2);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_memory_equal(ours, theirs, sizeof(ours));
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
}

static void nic_path_can_answer__whom_it_reaches_far(void **state)
{
	struct nt *t = *state;

	make_far(t);
	ends_well(t, NIC_READ);
	ends_well(t, NIC_WRITE);
	assert_int_equal(t->ba->path->state, NIC_PATH_FAR);
	assert_null(t->ba->link);
	/* The link is let go with its peer. */
	nic_ah_close(t->ab);
	t->ab = NULL;
	nt_close(&t->a);
	while (t->ba->path->link)
		nt_poll_ms(&t->b, 1, NIC_WC_RECV);
	assert_null(t->ba->path->reply);
}

static void tick(struct nt_end *e)
{
	e->qp->ticked = 0;
	e->qp->polls_left = 1;
	nt_idle(e);
}

static void nic_path_can_answer__when_room_comes(void **state)
{
	struct nt *t = *state;
	struct nic_rdma op = rdma_of(t, NIC_READ);

	make_far(t);
	t->ba->path->hold = true;
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	t->b.qp->ticked = u_now();
	nt_idle(&t->b);
	assert_int_equal(t->ba->path->nreplies, 1);
	nt_idle(&t->a);
	tick(&t->b);
	assert_int_equal(nt_wait(&t->a, &t->b)->status, NIC_OK);
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
}

/* Who cannot be answered at all hears of it. */
static void never_answered(struct nt *t, enum nic_rdma_type type)
{
	struct nic_rdma op = rdma_of(t, type);

	wire_shm_shut(t->a.qp->shm);
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	do
		tick(&t->b);
	while (!nic_poll(t->a.qp, t->a.wc, 1));
	assert_int_equal(t->a.wc[0].id, 5);
	assert_int_equal(t->a.wc[0].status, NIC_PEER_RESET);
	assert_int_equal(t->ba->path->state, NIC_PATH_FAR);
	assert_int_equal(t->ba->path->nreplies, 0);
	assert_int_equal(t->ab->path->state, NIC_PATH_DEAD);
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
}

static void nic_path_can_answer__never_a_read(void **state)
{
	never_answered(*state, NIC_READ);
}

static void nic_path_can_answer__never_a_write(void **state)
{
	never_answered(*state, NIC_WRITE);
}

/* Nor does a peer come in by shared memory where we take none. */
static void nic_qp_open__without_shm_is_shut(void **state)
{
	struct nt *t = *state;
	struct nt_end far = { 0 };
	struct nic_ah *ah;

	t->config.no_shm = true;
	nt_open(t, &far, NIC_QP_RDM);
	assert_int_equal(nic_ah_open(t->a.qp, &far.addr, 0, &ah), 0);
	assert_int_equal(nic_ah_reach(ah), NIC_OK);
	assert_int_equal(ah->path->state, NIC_PATH_FAR);
	nic_ah_close(ah);
	nt_close(&far);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NT_RING(nic_path_can_answer__whom_it_reaches_far),
		NT_RING(nic_path_can_answer__when_room_comes),
		NT_RING(nic_path_can_answer__never_a_read),
		NT_RING(nic_path_can_answer__never_a_write),
		NT_PAIR(nic_qp_open__without_shm_is_shut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
