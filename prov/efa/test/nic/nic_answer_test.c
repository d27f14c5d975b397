/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_answer_test.c - RDMA through the ring, asked for by a peer that cannot
 * be answered as others are
 */
#include "nic_fixture.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

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

static void nic_path_link_back__whom_it_reaches_far(void **state)
{
	struct nt *t = *state;
	uint64_t end;

	make_far(t);
	ends_well(t, NIC_READ);
	ends_well(t, NIC_WRITE);
	assert_int_equal(t->ba->path->state, NIC_PATH_FAR);
	assert_null(t->ba->link);
	/* The link is let go with its peer. */
	nic_ah_close(t->ab);
	t->ab = NULL;
	nt_close(&t->a);
	end = u_now() + NT_WAIT_S * U_SEC;
	while (t->ba->path->link && u_now() < end)
		nt_poll_ms(&t->b, 1, NIC_WC_RECV);
	assert_null(t->ba->path->link);
	assert_null(t->ba->path->reply);
}

static void tick(struct nt_end *e)
{
	e->qp->ticked = 0;
	e->qp->polls_left = 1;
	nt_idle(e);
}

static void nic_path_link_back__when_room_comes(void **state)
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

/* What cannot be reached over the network is answered, and not warned of. */
static void nic_path_link_back__of_another_family(void **state)
{
	struct nt *t = *state;

	t->b.qp->no_shm = true;
	memset(t->b.qp->self.gid, 0xfd, sizeof(t->b.qp->self.gid));
	ends_well(t, NIC_READ);
	assert_int_equal(t->ba->path->state, NIC_PATH_FOREIGN);
	assert_false(nt_logged("cannot be reached"));
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(nt_send_status(&t->b, t->ba, i),
				 NIC_UNREACHABLE);
	assert_true(nt_logged("cannot be reached"));
	assert_int_equal(nt_warnings(), 1);
}

/* Ticks of b until the operation of a has ended as one that is cut off. */
static void tick_until_reset(struct nt *t)
{
	uint64_t end = u_now() + NT_WAIT_S * U_SEC;
	int n;

	do {
		tick(&t->b);
		n = nic_poll(t->a.qp, t->a.wc, 1);
	} while (!n && u_now() < end);
	assert_int_equal(n, 1);
	assert_int_equal(t->a.wc[0].id, 5);
	assert_int_equal(t->a.wc[0].status, NIC_PEER_RESET);
	assert_int_equal(t->ab->path->state, NIC_PATH_DEAD);
	assert_int_equal(t->ba->path->nreplies, 0);
}

/* For a, b is dead; so b hears that its conversation is over. */
static void hears_the_end(struct nt *t)
{
	assert_int_equal(nt_wait(&t->a, &t->b)->op, NIC_WC_GONE);
	assert_int_equal(nt_wait(&t->b, &t->a)->op, NIC_WC_GONE);
	assert_int_equal(nt_send_status(&t->b, t->ba, 7), NIC_NO_QP);
}

/* Who cannot be answered at all hears of it. */
static void never_answered(struct nt *t, enum nic_rdma_type type)
{
	struct nic_rdma op = rdma_of(t, type);

	make_far(t);
	assert_int_equal(nt_send_status(&t->b, t->ba, 6), NIC_OK);
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_RECV);
	nic_give_back(t->a.qp);
	wire_shm_shut(t->a.qp->shm);
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	tick_until_reset(t);
	hears_the_end(t);
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
}

/* Their file lives on, and so do they, but nobody finds it any more. */
static void unlink_segments(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
}

static void nic_path_link_back__whose_segment_has_no_name(void **state)
{
	struct nt *t = *state;
	struct nic_rdma op = rdma_of(t, NIC_READ);

	make_far(t);
	assert_int_equal(nic_ah_reach(t->ab), NIC_OK);
	unlink_segments(t->dir);
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	tick_until_reset(t);
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
}

static void nic_path_link_back__never_a_read(void **state)
{
	never_answered(*state, NIC_READ);
}

static void nic_path_link_back__never_a_write(void **state)
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
		NT_RING(nic_path_link_back__whom_it_reaches_far),
		NT_RING(nic_path_link_back__of_another_family),
		NT_RING(nic_path_link_back__when_room_comes),
		NT_RING(nic_path_link_back__never_a_read),
		NT_RING(nic_path_link_back__never_a_write),
		NT_RING(nic_path_link_back__whose_segment_has_no_name),
		NT_PAIR(nic_qp_open__without_shm_is_shut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
