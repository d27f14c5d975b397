/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_rnr_test.c - requests that found no receive at the peer
 */
#include "dev_verbs_fixture.h"

#include <errno.h>

#include "util/u_time.h"

static int setup(void **state)
{
	*state = verbs_new();
	verbs_setup(*state, DEV_QP_RDM);
	return 0;
}

/* Polls until the hardware has something again: backoff is short. */
static void wait_reissue(struct verbs *v)
{
	uint64_t end = u_now() + U_SEC;

	while (!v->hw->nsends && u_now() < end)
		verbs_expect_nothing(v);
	assert_int_equal(v->hw->nsends, 1);
}

static void dev_poll__rnr_is_tried_again(void **state)
{
	struct verbs *v = *state;
	struct iovec iov;
	char data[100];
	struct dev_wr wr = verbs_send(v, 2, NULL, &iov, data, 100);

	wr.flags = DEV_WR_REQUEST;
	verbs_send_one(v, 1, 100);
	fake_end(v->hw, DEV_RNR);
	/* At first at once, with the same bytes. */
	verbs_expect_nothing(v);
	wait_reissue(v);
	assert_int_equal(STAILQ_FIRST(&v->hw->sends)->len, 100);
	assert_int_equal(STAILQ_FIRST(&v->hw->sends)->bytes[99], 1);
	/* Then later, and requests to the peer are held back meanwhile. */
	fake_end(v->hw, DEV_RNR);
	verbs_expect_nothing(v);
	assert_int_equal(dev_post(v->qp, &wr, 1), -EAGAIN);
	wait_reissue(v);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 1, 0);
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 2, 0);
}

/* One packet asks for all; they follow when it got through. */
static void dev_poll__rnr_of_many(void **state)
{
	struct verbs *v = *state;
	struct dev_wc wc[16];

	for (uint64_t i = 0; i < 8; i++)
		verbs_send_one(v, i, 50);
	for (int i = 0; i < 8; i++)
		fake_end(v->hw, DEV_RNR);
	verbs_expect_nothing(v);
	verbs_expect_nothing(v);
	assert_int_equal(v->hw->nsends, 8);
	for (int i = 0; i < 8; i++)
		fake_end(v->hw, DEV_RNR);
	verbs_expect_nothing(v);
	wait_reissue(v);
	fake_end(v->hw, DEV_RNR);
	wait_reissue(v);
	fake_end(v->hw, 0);
	assert_int_equal(dev_poll(v->cq, wc, 16), 1);
	assert_int_equal(dev_poll(v->cq, wc, 16), 0);
	assert_int_equal(v->hw->nsends, 7);
	while (v->hw->nsends)
		fake_end(v->hw, 0);
	assert_int_equal(dev_poll(v->cq, wc, 16), 7);
}

/* Another answer ends the wait too. */
static void dev_poll__rnr_then_an_error(void **state)
{
	struct verbs *v = *state;
	struct iovec iov;
	char c = 1;
	struct dev_wr wr = verbs_send(v, 2, NULL, &iov, &c, 1);

	wr.flags = DEV_WR_REQUEST;
	verbs_send_one(v, 1, 100);
	for (int i = 0; i < 2; i++) {
		fake_end(v->hw, DEV_RNR);
		verbs_expect_nothing(v);
		wait_reissue(v);
	}
	assert_int_equal(dev_post(v->qp, &wr, 1), -EAGAIN);
	fake_end(v->hw, DEV_BAD_RESPONSE);
	verbs_expect(v, DEV_WC_SEND, 1, DEV_BAD_RESPONSE);
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 2, 0);
}

/* The queue pair refuses what it took before; then there is nothing to do. */
static void dev_poll__rnr_then_refused(void **state)
{
	struct verbs *v = *state;
	struct iovec iov;
	char c = 1;
	struct dev_wr wr = verbs_send(v, 3, NULL, &iov, &c, 1);
	struct dev_wc wc[4];
	int n = 0;

	wr.flags = DEV_WR_REQUEST;
	verbs_send_one(v, 1, 100);
	fake_end(v->hw, DEV_RNR);
	verbs_expect_nothing(v);
	/* A full queue is none of these. */
	fake_config.fail_complete = 1;
	fake_config.complete_error = ENOMEM;
	verbs_expect_nothing(v);
	wait_reissue(v);
	verbs_send_one(v, 2, 100);
	fake_end(v->hw, DEV_RNR);
	fake_end(v->hw, DEV_RNR);
	fake_config.fail_complete = 2;
	fake_config.complete_error = EINVAL;
	for (uint64_t end = u_now() + U_SEC; n < 2 && u_now() < end;) {
		int k = dev_poll(v->cq, wc, 4);

		for (int i = 0; i < k; i++)
			assert_int_equal(wc[i].status, DEV_QP_ERROR);
		n += k;
	}
	assert_int_equal(n, 2);
	/* Nobody is kept from sleeping, and nothing held back. */
	dev_cq_arm(v->cq);
	verbs_expect_nothing(v);
	assert_int_equal(dev_cq_arm(v->cq), 0);
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
}

static void dev_poll__rnr_then_dead(void **state)
{
	struct verbs *v = *state;
	struct dev_wc wc[4];

	verbs_send_one(v, 1, 10);
	verbs_send_one(v, 2, 10);
	fake_end(v->hw, DEV_RNR);
	fake_end(v->hw, DEV_NO_QP);
	verbs_expect(v, DEV_WC_SEND, 2, DEV_NO_QP);
	assert_int_equal(dev_poll(v->cq, wc, 4), 2);
	assert_int_equal(wc[0].id, 1);
	assert_int_equal(wc[0].status, DEV_NO_QP);
	assert_int_equal(wc[1].op, DEV_WC_GONE);
	assert_int_equal(wc[1].id, FIXTURE_COOKIE);
	verbs_expect_nothing(v);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, verbs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(dev_poll__rnr_is_tried_again),
		CASE(dev_poll__rnr_of_many),
		CASE(dev_poll__rnr_then_an_error),
		CASE(dev_poll__rnr_then_refused),
		CASE(dev_poll__rnr_then_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
