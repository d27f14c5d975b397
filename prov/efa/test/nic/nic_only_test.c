/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_only_test.c - queue pairs under the addresses of another device, which
 * reach the peers of this host and nobody else
 */
#include "nic_fixture.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "nic/nic_priv.h"

static const struct nic_addr one = { .gid = { 0xfe, 0x80, [15] = 1 },
				     .qpn = 0xfedcba,
				     .qkey = 77 };
static const struct nic_addr two = { .gid = { 0xfe, 0x80, [15] = 2 },
				     .qpn = 3,
				     .qkey = 78 };

static void open_as(struct nt *t, struct nt_end *e, const struct nic_addr *as)
{
	struct nic_info info = { .name = "rail" };

	memcpy(info.gid, as->gid, sizeof(info.gid));
	t->config.shm_only = true;
	assert_int_equal(nic_open(&info, &t->config, &e->nic), 0);
	assert_int_equal(nic_qp_open_as(e->nic, NIC_QP_RDM, as, &e->qp), 0);
	nic_qp_addr(e->qp, &e->addr);
	assert_memory_equal(&e->addr, as, sizeof(*as));
}

static int setup(void **state)
{
	struct nt *t;

	if (nt_setup_dir(state))
		return -1;
	t = *state;
	open_as(t, &t->a, &one);
	open_as(t, &t->b, &two);
	assert_int_equal(nic_ah_open(t->a.qp, &two, 'b', &t->ab), 0);
	assert_int_equal(nic_ah_open(t->b.qp, &one, 'a', &t->ba), 0);
	return 0;
}

static void nic_qp_open_as__reaches_who_is_here(void **state)
{
	struct nt *t = *state;
	struct nic_addr from;
	struct nic_wc *wc;

	assert_int_equal(nic_ah_reach(t->ba), NIC_OK);
	nt_send(t->ab, "to two", 6);
	wc = nt_wait(&t->b, NULL);
	assert_int_equal(wc->op, NIC_WC_RECV);
	assert_memory_equal(wc->data, "to two", 6);
	assert_int_equal(nic_source(t->b.qp, wc->source, &from), 0);
	assert_memory_equal(&from, &one, sizeof(one));
	nic_give_back(t->b.qp);
	nt_send(t->ba, "back", 4);
	wc = nt_wait(&t->a, NULL);
	assert_memory_equal(wc->data, "back", 4);
	nic_give_back(t->a.qp);
}

static void nic_qp_open_as__sleeps_and_is_woken(void **state)
{
	struct nt *t = *state;
	struct pollfd p = { .fd = nic_qp_fd(t->b.qp), .events = POLLIN };

	nt_send(t->ab, "x", 1);
	nt_wait(&t->b, NULL);
	nic_give_back(t->b.qp);
	nt_idle(&t->b);
	assert_int_equal(nic_qp_arm(t->b.qp), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	nt_send(t->ab, "y", 1);
	assert_int_equal(poll(&p, 1, NT_WAIT_S * 1000), 1);
	nt_wait(&t->b, NULL);
	nic_give_back(t->b.qp);
	nt_idle(&t->b);
	assert_int_equal(nic_qp_arm(t->b.qp), 0);
	assert_int_equal(poll(&p, 1, 0), 0); /* the wake-up has been taken */
}

static void nic_qp_open_as__moves_memory(void **state)
{
	struct nt *t = *state;
	static uint8_t theirs[100000], ours[100000];
	struct nic_rdma op = { .type = NIC_READ,
			       .local = ours,
			       .remote = (uintptr_t)theirs,
			       .len = sizeof(ours) };

	nt_fill(theirs, sizeof(theirs), 5);
	assert_int_equal(nic_mr_reg(t->b.nic, theirs, sizeof(theirs),
				    NIC_REMOTE_READ, &op.rkey),
			 0);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_true(nt_is_filled(ours, sizeof(ours), 5));
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
}

static void nic_ah_reach__nobody_else(void **state)
{
	struct nt *t = *state;
	struct nic_addr other = two;
	struct nic_ah *ah;

	other.qpn = 4; /* nobody's */
	assert_int_equal(nic_ah_open(t->a.qp, &other, 'o', &ah), 0);
	assert_int_equal(nic_ah_reach(ah), NIC_UNREACHABLE);
	assert_int_equal(nt_send_status(&t->a, ah, 9), NIC_UNREACHABLE);
	nic_ah_close(ah);
	other = two;
	other.qkey++; /* of another incarnation */
	assert_int_equal(nic_ah_open(t->a.qp, &other, 'o', &ah), 0);
	assert_int_equal(nic_ah_reach(ah), NIC_UNREACHABLE);
	nic_ah_close(ah);
	other.qpn = NIC_QPN_MAX + 1;
	assert_int_equal(nic_ah_open(t->a.qp, &other, 'o', &ah), -EINVAL);
}

static void nic_qp_open_as__refuses_what_cannot_be(void **state)
{
	struct nt *t = *state;
	struct nic_addr addr = one;
	struct nt_end soft = { 0 };
	struct nic_qp *qp;

	/* A living queue pair has it. */
	assert_int_equal(nic_qp_open_as(t->b.nic, NIC_QP_RDM, &one, &qp),
			 -EADDRINUSE);
	addr.qpn = 0;
	assert_int_equal(nic_qp_open_as(t->a.nic, NIC_QP_RDM, &addr, &qp),
			 -EINVAL);
	addr.qpn = NIC_QPN_MAX + 1;
	assert_int_equal(nic_qp_open_as(t->a.nic, NIC_QP_RDM, &addr, &qp),
			 -EINVAL);
	assert_int_equal(nic_qp_open(t->a.nic, NIC_QP_RDM, 5, &qp), -EINVAL);
	t->config.shm_only = false;
	nt_open(t, &soft, NIC_QP_RDM);
	addr.qpn = 5;
	assert_int_equal(nic_qp_open_as(soft.nic, NIC_QP_RDM, &addr, &qp),
			 -EINVAL);
	nt_close(&soft);
}

static void nic_qp_close__is_told_as_gone(void **state)
{
	struct nt *t = *state;
	struct nic_wc *wc;

	nt_send(t->ab, "x", 1);
	nic_ah_close(t->ba);
	t->ba = NULL;
	nic_qp_close(t->b.qp);
	t->b.qp = NULL;
	wc = nt_wait(&t->a, NULL);
	assert_int_equal(wc->op, NIC_WC_GONE);
	assert_int_equal(wc->id, 'b');
}

/* Nobody is there any more to be answered. */
static void nic_remote_read__of_who_has_gone(void **state)
{
	struct nt *t = *state;
	struct nic_rdma op = { .type = NIC_READ, .local = &op, .len = 1 };

	/* As if its memory could not be reached. */
	assert_int_equal(nic_ah_reach(t->ab), NIC_OK);
	t->ab->path->way = NIC_WAY_RING;
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	nic_ah_close(t->ab);
	t->ab = NULL;
	nt_close(&t->a);
	nt_poll_ms(&t->b, 200, NIC_WC_RECV);
	assert_int_equal(t->ba->path->nreplies, 0);
	assert_int_equal(nic_qp_arm(t->b.qp), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, nt_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nic_qp_open_as__reaches_who_is_here),
		TEST(nic_qp_open_as__sleeps_and_is_woken),
		TEST(nic_qp_open_as__moves_memory),
		TEST(nic_ah_reach__nobody_else),
		TEST(nic_qp_open_as__refuses_what_cannot_be),
		TEST(nic_qp_close__is_told_as_gone),
		TEST(nic_remote_read__of_who_has_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
