/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_arm_test.c - a queue pair that cannot sleep yet, as shared memory has
 * something for it, hears other hosts all the same
 */
#include "nic_fixture.h"

#include "nic/nic_priv.h"

static struct nt_end c; /* on another host, as it were */
static struct nic_ah *cb;

/* a and b share memory; c is far. */
static int setup(void **state)
{
	struct nt *t;

	if (nt_setup_pair(state))
		return -1;
	t = *state;
	t->config.no_shm = true;
	nt_open(t, &c, NIC_QP_RDM);
	return nic_ah_open(c.qp, &t->b.addr, 'b', &cb);
}

static int teardown(void **state)
{
	nic_ah_close(cb);
	nt_close(&c);
	return nt_teardown(state);
}

static void arm_in_vain(struct nt *t)
{
	nt_send(t->ab, "x", 1);
	assert_int_equal(nic_qp_arm(t->b.qp), 1);
	assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_RECV);
	nic_give_back(t->b.qp);
}

/* The thread answers c, and b gets it with the next poll. */
static void c_is_heard(struct nt *t)
{
	assert_int_equal(nt_send_status(&c, cb, 1), NIC_OK);
	assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_RECV);
	nic_give_back(t->b.qp);
}

static void nic_qp_arm__in_vain_before_the_first_far_packet(void **state)
{
	struct nt *t = *state;

	assert_null(t->b.qp->far.srd);
	arm_in_vain(t);
	c_is_heard(t);
}

/* As a quiet second does. */
static void hand_over(struct nt *t)
{
	struct nic_far *far = &t->b.qp->far;

	while (t->b.qp->attention & NIC_ATT_FAR) {
		u_lock(&far->lock);
		far->active_at = 0;
		u_unlock(&far->lock);
		nt_idle(&t->b);
	}
}

static void nic_qp_arm__in_vain_while_the_thread_drives(void **state)
{
	struct nt *t = *state;

	c_is_heard(t);
	hand_over(t);
	arm_in_vain(t);
	c_is_heard(t);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nic_qp_arm__in_vain_before_the_first_far_packet),
		TEST(nic_qp_arm__in_vain_while_the_thread_drives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
