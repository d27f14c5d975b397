/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_recv_test.c - receives that the device owns, and those of the user
 */
#include "dev_verbs_fixture.h"

#include <errno.h>
#include <string.h>

static const struct fake_sender peer = { .ahn = 0, .qpn = 5 };

static int setup(void **state)
{
	*state = verbs_new();
	verbs_setup(*state, DEV_QP_RDM);
	return 0;
}

static int setup_ud(void **state)
{
	*state = verbs_new();
	verbs_setup(*state, DEV_QP_UD);
	return 0;
}

/* ---- packets of the device ----------------------------------------------- */

static void dev_qp_open__starts_small(void **state)
{
	struct verbs *v = *state;

	assert_int_equal(v->hw->nrecvs, 32);
	assert_int_equal(fake_count.recv_doorbells, 1);
	/* One chunk to receive into, one to send from. */
	assert_int_equal(fake_count.mrs, 2);
}

static void dev_poll__lends_packets(void **state)
{
	struct verbs *v = *state;
	struct dev_wc wc[4];
	uint32_t imm = 0xfeed;

	fake_arrive(v->hw, &peer, "hello", 5, NULL);
	fake_arrive(v->hw, &peer, "", 0, &imm);
	assert_int_equal(dev_poll(v->cq, wc, 4), 2);
	assert_int_equal(wc[0].op, DEV_WC_RECV);
	assert_int_equal(wc[0].len, 5);
	assert_memory_equal(wc[0].data, "hello", 5);
	assert_false(wc[0].has_imm);
	assert_int_equal(wc[1].len, 0);
	assert_true(wc[1].has_imm);
	assert_int_equal(wc[1].imm, imm);
	assert_int_equal(wc[0].source, wc[1].source);
	assert_int_equal(v->hw->nrecvs, 30);
	dev_give_back(v->cq);
}

static void dev_give_back__in_chains(void **state)
{
	struct verbs *v = *state;
	struct dev_wc wc[16];

	fake_count.recv_doorbells = 0;
	for (int i = 0; i < 16; i++) {
		fake_arrive(v->hw, &peer, "x", 1, NULL);
		assert_int_equal(dev_poll(v->cq, wc, 16), 1);
		dev_give_back(v->cq);
	}
	assert_int_equal(fake_count.recv_doorbells, 2);
	assert_int_equal(v->hw->nrecvs, 32);
}

/* So many arrive before the queue is found empty. */
static void burst(struct verbs *v, int n)
{
	struct dev_wc wc[16];

	while (n > 0) {
		int part = n < 16 ? n : 16;

		for (int i = 0; i < part; i++)
			fake_arrive(v->hw, &peer, "x", 1, NULL);
		assert_int_equal(dev_poll(v->cq, wc, part), part);
		dev_give_back(v->cq);
		n -= part;
	}
	assert_int_equal(dev_poll(v->cq, wc, 16), 0);
}

static void dev_give_back__queue_grows_with_bursts(void **state)
{
	struct verbs *v = *state;

	for (int i = 0; i < 10; i++)
		burst(v, 8);
	assert_int_equal(v->hw->nrecvs, 32);
	burst(v, 24);
	assert_int_equal(v->hw->nrecvs, 64);
	burst(v, 2000);
	assert_int_equal(v->hw->nrecvs, 256);
	assert_int_equal(fake_count.mrs, 9);
}

static void dev_give_back__memory_goes_back(void **state)
{
	struct verbs *v = *state;

	burst(v, 2000);
	assert_int_equal(fake_count.mrs, 9);
	for (int i = 0; i < 20000; i++)
		burst(v, 1);
	assert_in_range(v->hw->nrecvs, 24, 32);
	assert_int_equal(fake_count.mrs, 2);
	burst(v, 24);
	assert_int_equal(v->hw->nrecvs, 64);
}

static void dev_give_back__memory_cannot_grow(void **state)
{
	struct verbs *v = *state;

	fake_config.max_mrs = fake_count.mrs + 1;
	burst(v, 2000);
	assert_int_equal(v->hw->nrecvs, 64);
	burst(v, 2000);
	assert_int_equal(v->hw->nrecvs, 64);
}

/* Shrinking while packets are lent and chunks are used in any order. */
static void dev_give_back__any_load(void **state)
{
	struct verbs *v = *state;
	unsigned int seed = 1;

	for (int i = 0; i < 3000; i++) {
		seed = seed * 1103515245 + 12345;
		burst(v, (int)(seed >> 16) % (i % 100 == 0 ? 500 : 12) + 1);
		assert_in_range(v->hw->nrecvs, 16, 256);
	}
}

static void poll_until_quiet(struct verbs *v)
{
	for (int i = 0; i < 3; i++)
		verbs_expect_nothing(v);
}

/* Nobody sees them, so nobody gives anything back. */
static void dev_poll__receives_fail(void **state)
{
	unsigned int before = verbs_warnings();
	struct verbs *v = *state;

	burst(v, 2000);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(v->hw->nrecvs, 256);
		fake_fail_recvs(v->hw, 256, DEV_BAD_LKEY);
		poll_until_quiet(v);
	}
	burst(v, 2000);
	assert_int_equal(fake_count.mrs, 9);
	assert_int_equal(verbs_warnings(), before);
}

static void dev_poll__receives_fail_between_others(void **state)
{
	struct verbs *v = *state;
	struct dev_wc wc[16];

	burst(v, 2000);
	for (int i = 0; i < 200; i++) {
		fake_fail_recvs(v->hw, 1, DEV_BAD_LKEY);
		fake_arrive(v->hw, &peer, "mine", 4, NULL);
		assert_int_equal(dev_poll(v->cq, wc, 16), 1);
		assert_memory_equal(wc[0].data, "mine", 4);
		dev_give_back(v->cq);
	}
	assert_in_range(v->hw->nrecvs, 128, 256);
}

/* It wants to be polled once more before anybody sleeps. */
static void dev_cq_arm__receives_failed(void **state)
{
	struct verbs *v = *state;

	assert_int_equal(dev_cq_arm(v->cq), 1);
	fake_fail_recvs(v->hw, 32, DEV_BAD_LKEY);
	verbs_expect_nothing(v);
	assert_int_equal(dev_cq_arm(v->cq), 1);
	poll_until_quiet(v);
	assert_int_equal(v->hw->nrecvs, 32);
}

static void dev_poll__receives_are_flushed(void **state)
{
	unsigned int before = verbs_warnings();
	struct verbs *v = *state;
	struct dev_wc wc[4];
	int n = 0;

	burst(v, 2000);
	verbs_send_one(v, 1, 100);
	fake_fail_recvs(v->hw, 256, DEV_FLUSHED);
	fake_count.recv_doorbells = 0;
	for (int i = 0; i < 2000 && !n; i++)
		n = dev_poll(v->cq, wc, 4);
	assert_int_equal(n, 1);
	assert_int_equal(wc[0].status, DEV_QP_ERROR);
	poll_until_quiet(v);
	assert_int_equal(fake_count.recv_doorbells, 0);
	assert_int_equal(verbs_warnings(), before + 1);
}

/* A write with immediate uses up a receive, and has no bytes in it. */
static void dev_poll__written(void **state)
{
	struct verbs *v = *state;
	struct dev_wc wc[4];

	fake_written(v->hw, &peer, 4096, 0x1234);
	assert_int_equal(dev_poll(v->cq, wc, 4), 1);
	assert_int_equal(wc[0].op, DEV_WC_WRITTEN);
	assert_int_equal(wc[0].len, 4096);
	assert_int_equal(wc[0].imm, 0x1234);
	assert_true(wc[0].has_imm);
	dev_give_back(v->cq);
}

static void dev_post_recv__not_for_rdm(void **state)
{
	struct verbs *v = *state;
	char buf[64];

	assert_int_equal(dev_post_recv(v->qp, 1, buf, sizeof(buf), NULL),
			 -EINVAL);
}

/* ---- receives of the user ------------------------------------------------------ */

static void dev_post_recv__ud(void **state)
{
	struct verbs *v = *state;
	static char buf[9000];
	uint32_t imm = 7;
	struct dev_mr *mr;
	struct dev_wc wc[2];
	int mrs;

	assert_false(v->hw->srd);
	assert_int_equal(v->hw->nrecvs, 0);
	assert_int_equal(dev_mr_open(v->dev, buf, sizeof(buf), 0, &mr), 0);
	mrs = fake_count.mrs;
	assert_int_equal(dev_post_recv(v->qp, 11, buf, sizeof(buf), mr), 0);
	assert_int_equal(fake_count.mrs, mrs);
	fake_arrive(v->hw, &peer, "datagram", 8, &imm);
	assert_int_equal(dev_poll(v->cq, wc, 2), 1);
	assert_int_equal(wc[0].op, DEV_WC_RECV);
	assert_int_equal(wc[0].id, 11);
	assert_int_equal(wc[0].len, DEV_UD_PREFIX + 8);
	assert_int_equal(wc[0].imm, 7);
	assert_memory_equal(buf + DEV_UD_PREFIX, "datagram", 8);
	dev_give_back(v->cq);
	assert_int_equal(dev_mr_close(mr), 0);
}

static void dev_post_recv__unregistered(void **state)
{
	struct verbs *v = *state;
	static char buf[9000];

	assert_int_equal(dev_post_recv(v->qp, 1, buf, sizeof(buf), NULL), 0);
	fake_arrive(v->hw, &peer, "x", 1, NULL);
	verbs_expect(v, DEV_WC_RECV, 1, 0);
	/* One that is under way when the queue pair closes. */
	assert_int_equal(dev_post_recv(v->qp, 2, buf, sizeof(buf), NULL), 0);
}

static void dev_post_recv__full(void **state)
{
	struct verbs *v = *state;
	static char buf[100];
	struct dev_mr *mr;

	assert_int_equal(dev_mr_open(v->dev, buf, sizeof(buf), 0, &mr), 0);
	for (uint64_t i = 0; i < 256; i++)
		assert_int_equal(dev_post_recv(v->qp, i, buf, 100, mr), 0);
	assert_int_equal(dev_post_recv(v->qp, 256, buf, 100, mr), -EAGAIN);
	fake_arrive(v->hw, &peer, "x", 1, NULL);
	verbs_expect(v, DEV_WC_RECV, 0, 0);
	assert_int_equal(dev_post_recv(v->qp, 256, buf, 100, mr), 0);
	dev_ah_close(v->ah);
	dev_qp_close(v->qp);
	v->ah = NULL;
	v->qp = NULL;
	assert_int_equal(dev_mr_close(mr), 0);
}

/* Whoever only receives has to hear of it, too. */
static void dev_poll__receives_of_a_dead_queue_pair(void **state)
{
	struct ibv_context *ctx;
	struct verbs *v = *state;
	static char buf[100];
	struct dev_wc wc[16];
	uint64_t seen = 0;
	struct dev_mr *mr;

	assert_int_equal(dev_mr_open(v->dev, buf, sizeof(buf), 0, &mr), 0);
	for (uint64_t i = 0; i < 40; i++)
		assert_int_equal(dev_post_recv(v->qp, i, buf, 100, mr), 0);
	ctx = v->hw->ex.qp_base.context;
	fake_event(ctx, IBV_EVENT_QP_FATAL, v->hw);
	assert_int_equal(dev_cq_arm(v->cq), 1);
	for (int n, left = 40; left > 0; left -= n) {
		n = dev_poll(v->cq, wc, 16);
		assert_int_equal(n, left < 16 ? left : 16);
		for (int i = 0; i < n; i++) {
			assert_int_equal(wc[i].op, DEV_WC_RECV);
			assert_int_equal(wc[i].status, DEV_QP_ERROR);
			seen |= UINT64_C(1) << wc[i].id;
		}
	}
	assert_int_equal(seen, (UINT64_C(1) << 40) - 1);
	/* What the hardware says later is about nothing; one more ends too. */
	fake_fail_recvs(v->hw, 40, DEV_FLUSHED);
	verbs_expect_nothing(v);
	assert_int_equal(dev_post_recv(v->qp, 41, buf, 100, mr), 0);
	assert_int_equal(v->hw->nrecvs, 0);
	verbs_expect(v, DEV_WC_RECV, 41, DEV_QP_ERROR);
	verbs_expect_nothing(v);
	assert_int_equal(dev_mr_close(mr), 0);
}

/* A buffer that was handed back is the user's, whatever has failed. */
static void dev_poll__handed_back_is_not_written(void **state)
{
	struct verbs *v = *state;
	static char buf[100];
	char mine[100];
	struct dev_mr *mr;

	assert_int_equal(dev_mr_open(v->dev, buf, sizeof(buf), 0, &mr), 0);
	assert_int_equal(dev_post_recv(v->qp, 7, buf, 100, mr), 0);
	fake_event(v->hw->ex.qp_base.context, IBV_EVENT_CQ_ERR, v->hw->cq);
	assert_int_equal(dev_cq_arm(v->cq), 1);
	verbs_expect(v, DEV_WC_RECV, 7, DEV_QP_ERROR);
	memset(buf, 'z', sizeof(buf));
	memset(mine, 'z', sizeof(mine));
	fake_arrive(v->hw, &peer, "theirs", 6, NULL);
	assert_memory_equal(buf, mine, sizeof(buf));
	dev_ah_close(v->ah);
	dev_qp_close(v->qp);
	v->ah = NULL;
	v->qp = NULL;
	assert_int_equal(dev_mr_close(mr), 0);
}

/* Datagrams have no receiver that could be missing. */
static void dev_poll__ud_errors(void **state)
{
	struct verbs *v = *state;

	verbs_send_one(v, 1, 100);
	fake_end(v->hw, DEV_RNR);
	verbs_expect(v, DEV_WC_SEND, 1, DEV_RNR);
	verbs_send_one(v, 2, 100);
	fake_end(v->hw, DEV_NO_QP);
	verbs_expect(v, DEV_WC_SEND, 2, DEV_NO_QP);
	verbs_expect_nothing(v);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, verbs_teardown)
#define UD(test) cmocka_unit_test_setup_teardown(test, setup_ud, verbs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(dev_qp_open__starts_small),
		CASE(dev_poll__lends_packets),
		CASE(dev_give_back__in_chains),
		CASE(dev_give_back__queue_grows_with_bursts),
		CASE(dev_give_back__memory_goes_back),
		CASE(dev_give_back__memory_cannot_grow),
		CASE(dev_give_back__any_load),
		CASE(dev_poll__receives_fail),
		CASE(dev_poll__receives_fail_between_others),
		CASE(dev_cq_arm__receives_failed),
		CASE(dev_poll__receives_are_flushed),
		CASE(dev_poll__written),
		CASE(dev_post_recv__not_for_rdm),
		UD(dev_post_recv__ud),
		UD(dev_post_recv__unregistered),
		UD(dev_post_recv__full),
		UD(dev_poll__receives_of_a_dead_queue_pair),
		UD(dev_poll__handed_back_is_not_written),
		UD(dev_poll__ud_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
