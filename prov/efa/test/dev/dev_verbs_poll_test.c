/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_poll_test.c - how requests end, who sends, and closing
 */
#include "dev_verbs_fixture.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

static int setup(void **state)
{
	*state = verbs_new();
	verbs_setup(*state, DEV_QP_RDM);
	return 0;
}

/* ---- statuses ------------------------------------------------------------ */

static void dev_poll__device_statuses(void **state)
{
	static const uint8_t statuses[] = { 1, 2,  3,  4,  5,  6,
					    7, 11, 12, 14, 15, 18 };
	struct verbs *v = *state;

	for (size_t i = 0; i < sizeof(statuses); i++) {
		verbs_send_one(v, i, 10);
		fake_end(v->hw, statuses[i]);
		verbs_expect(v, DEV_WC_SEND, i, statuses[i]);
	}
	verbs_expect_nothing(v);
}

static void dev_poll__dead_peer(void **state)
{
	static const uint8_t statuses[] = { DEV_PEER_RESET, DEV_NO_QP,
					    DEV_UNRESPONSIVE };
	struct verbs *v = *state;

	for (size_t i = 0; i < sizeof(statuses); i++) {
		dev_ah_close(v->ah);
		v->ah = verbs_ah(v, 0xaa, (uint32_t)i, 100 + i);
		verbs_send_one(v, 1, 10);
		verbs_send_one(v, 2, 10);
		fake_end(v->hw, statuses[i]);
		verbs_expect(v, DEV_WC_SEND, 1, statuses[i]);
		/* What follows fails here, and GONE is last. */
		verbs_send_one(v, 3, 10);
		assert_int_equal(v->hw->nsends, 1);
		verbs_expect(v, DEV_WC_SEND, 3, statuses[i]);
		verbs_expect_nothing(v);
		fake_end(v->hw, DEV_FLUSHED);
		verbs_expect(v, DEV_WC_SEND, 2, DEV_FLUSHED);
		verbs_expect(v, DEV_WC_GONE, 100 + i, 0);
		/* Once. */
		verbs_send_one(v, 4, 10);
		verbs_expect(v, DEV_WC_SEND, 4, statuses[i]);
		verbs_expect_nothing(v);
	}
}

/* An operation that the owner gave up is not heard of again. */
static void dev_ah_close__with_work_under_way(void **state)
{
	struct verbs *v = *state;

	verbs_send_one(v, 1, 100);
	verbs_send_one(v, 2, 100);
	dev_ah_close(v->ah);
	v->ah = NULL;
	fake_end(v->hw, 0);
	fake_end(v->hw, DEV_NO_QP);
	verbs_expect_nothing(v);
}

static void dev_ah_close__before_gone_was_told(void **state)
{
	struct verbs *v = *state;

	verbs_send_one(v, 1, 10);
	fake_end(v->hw, DEV_NO_QP);
	verbs_expect(v, DEV_WC_SEND, 1, DEV_NO_QP);
	dev_ah_close(v->ah);
	v->ah = NULL;
	verbs_expect_nothing(v);
}

/* ---- senders ----------------------------------------------------------------- */

static uint32_t source_of(struct verbs *v, uint16_t ahn, uint16_t qpn,
			  uint8_t last)
{
	struct fake_sender from = { .ahn = ahn, .qpn = qpn };
	struct dev_wc wc;

	verbs_gid(from.gid, last);
	fake_arrive(v->hw, &from, "x", 1, NULL);
	assert_int_equal(dev_poll(v->cq, &wc, 1), 1);
	dev_give_back(v->cq);
	return wc.source;
}

static void assert_source(struct verbs *v, uint32_t source, uint8_t last,
			  uint32_t qpn)
{
	struct dev_addr addr;
	uint8_t gid[16];

	verbs_gid(gid, last);
	assert_int_equal(dev_source(v->qp, source, &addr), 0);
	assert_memory_equal(addr.gid, gid, 16);
	assert_int_equal(addr.qpn, qpn);
	assert_int_equal(addr.qkey, 0);
}

static void dev_source__one_number_for_an_address(void **state)
{
	struct verbs *v = *state;
	struct dev_addr addr;
	struct dev_ah *ah;

	assert_int_equal(dev_source(v->qp, 0, &addr), -ENOENT);
	/* A stranger, by gid. */
	assert_int_equal(source_of(v, FAKE_AHN_NONE, 5, 0xbb), 0);
	assert_source(v, 0, 0xbb, 5);
	assert_int_equal(source_of(v, FAKE_AHN_NONE, 6, 0xbb), 1);
	/* The same, once we have a handle for it: 1, as the peer's is 0. */
	ah = verbs_ah(v, 0xbb, 5, 1);
	assert_int_equal(source_of(v, 1, 5, 0), 0);
	assert_int_equal(source_of(v, 1, 5, 0), 0);
	assert_int_equal(source_of(v, 1, 6, 0), 1);
	assert_int_equal(source_of(v, 0, 5, 0), 2);
	assert_source(v, 2, 0xaa, 5);
	dev_ah_close(ah);
}

/* A handle number that was reused means the new address. */
static void dev_source__handle_number_is_reused(void **state)
{
	struct verbs *v = *state;

	fake_config.max_ahs = 1;
	assert_int_equal(source_of(v, 0, 5, 0), 0);
	assert_source(v, 0, 0xaa, 5);
	dev_ah_close(v->ah);
	assert_int_equal(fake_count.ahs, 1);
	v->ah = verbs_ah(v, 0xcc, 5, 1);
	assert_int_equal(fake_count.ahs, 1);
	assert_int_equal(source_of(v, 0, 5, 0), 1);
	assert_source(v, 1, 0xcc, 5);
}

static void dev_source__of_nobody_known(void **state)
{
	struct verbs *v = *state;

	/* A number that no handle of ours has; the device tells no gid. */
	assert_int_equal(source_of(v, 17, 5, 0), DEV_SOURCE_UNKNOWN);
}

static void dev_source__many(void **state)
{
	struct verbs *v = *state;

	for (uint32_t i = 0; i < 500; i++)
		assert_int_equal(source_of(v, FAKE_AHN_NONE, (uint16_t)i,
					   (uint8_t)(i % 7)),
				 i);
	for (uint32_t i = 0; i < 500; i++) {
		assert_source(v, i, (uint8_t)(i % 7), i);
		assert_int_equal(source_of(v, FAKE_AHN_NONE, (uint16_t)i,
					   (uint8_t)(i % 7)),
				 i);
	}
}

/* ---- address handles ------------------------------------------------------------ */

static void dev_ah_open__one_for_a_gid(void **state)
{
	struct verbs *v = *state;
	struct dev_ah *same = verbs_ah(v, 0xaa, 77, 1);
	struct dev_ah *other = verbs_ah(v, 0xbb, 77, 2);

	assert_int_equal(fake_count.ahs_made, 2);
	dev_ah_close(other);
	dev_ah_close(same);
	/* Idle ones are kept for a while. */
	other = verbs_ah(v, 0xbb, 78, 3);
	assert_int_equal(fake_count.ahs_made, 2);
	dev_ah_close(other);
}

static void dev_ah_open__idle_ones_make_room(void **state)
{
	struct verbs *v = *state;
	struct dev_addr addr = { .gid = { 0xfe, 0x80, [15] = 0xdd } };
	struct dev_ah *ah;

	fake_config.max_ahs = 2;
	dev_ah_close(verbs_ah(v, 0xbb, 1, 1));
	ah = verbs_ah(v, 0xcc, 1, 1);
	assert_int_equal(fake_count.ahs, 2);
	assert_int_equal(dev_ah_open(v->qp, &addr, 1, &v->ah), -ENOMEM);
	dev_ah_close(ah);
	addr.qpn = 1 << 16;
	assert_int_equal(dev_ah_open(v->qp, &addr, 1, &ah), -EINVAL);
}

static void dev_ah_close__few_idle_ones(void **state)
{
	struct verbs *v = *state;

	for (int i = 0; i < 100; i++)
		dev_ah_close(verbs_ah(v, (uint8_t)i, 1, 1));
	assert_int_equal(fake_count.ahs, 65);
}

/* ---- closing ------------------------------------------------------------------------ */

static void dev_qp_close__takes_what_is_left(void **state)
{
	struct verbs *v = *state;
	struct fake_sender from = { .ahn = 0, .qpn = 1 };

	verbs_send_one(v, 1, 100);
	fake_end(v->hw, 0);
	for (int i = 0; i < 20; i++)
		fake_arrive(v->hw, &from, "x", 1, NULL);
	dev_ah_close(v->ah);
	dev_qp_close(v->qp);
	v->ah = NULL;
	v->qp = NULL;
	verbs_expect_nothing(v);
}

static void dev_qp_close__with_work_under_way(void **state)
{
	struct verbs *v = *state;

	verbs_send_one(v, 1, 100);
	verbs_send_one(v, 2, 100);
	fake_end(v->hw, DEV_RNR);
	verbs_expect_nothing(v);
}

/*
 * After a queue pair has left, entries of it may turn up between those of
 * others; the fake asserts that none is met by ibv_next_poll().
 */
static void dev_poll__entries_of_one_that_left(void **state)
{
	struct verbs *v = *state;
	struct dev_wc wc[16];
	struct dev_ah *ah;
	struct dev_qp *second;

	assert_int_equal(dev_qp_open(v->dev, DEV_QP_RDM, v->cq,
				     &(struct dev_qp_attr){
					     .qkey = 0x78,
					     .rnr_retries = DEV_RNR_TRIES },
				     &second),
			 0);
	dev_ah_close(v->ah);
	dev_qp_close(v->qp);
	v->qp = second;
	v->hw = fake_qp(second->addr.qpn);
	v->ah = ah = verbs_ah(v, 0xaa, 9, 9);
	for (uint64_t i = 0; i < 4; i++) {
		verbs_send_one(v, i, 10);
		fake_end(v->hw, 0);
		fake_stale(v->hw);
	}
	fake_count.entries = 0;
	assert_int_equal(dev_poll(v->cq, wc, 16), 4);
	assert_int_equal(fake_count.entries, 1);
}

static void dev_poll__many_at_once(void **state)
{
	struct verbs *v = *state;
	struct dev_wc wc[16];

	for (uint64_t i = 0; i < 10; i++) {
		verbs_send_one(v, i, 10);
		fake_end(v->hw, 0);
	}
	assert_int_equal(dev_poll(v->cq, wc, 3), 3);
	assert_int_equal(dev_poll(v->cq, wc, 16), 7);
	assert_int_equal(wc[6].id, 9);
	assert_int_equal(fake_count.entries, 7);
}

static void dev_qp_open__queue_is_too_small(void **state)
{
	struct verbs *v = *state;
	struct dev_qp *qp[4];
	int n = 0;

	/* The fake's queues have 1024 entries, a queue pair takes 320. */
	while (!dev_qp_open(v->dev, DEV_QP_RDM, v->cq,
			    &(struct dev_qp_attr){
				    .qkey = 1, .rnr_retries = DEV_RNR_TRIES },
			    &qp[n]))
		n++;
	assert_int_equal(n, 2);
	dev_qp_close(qp[0]);
	dev_qp_close(qp[1]);
}

static void dev_qp_open__no_memory(void **state)
{
	struct verbs *v = *state;
	struct dev_qp *qp;

	for (int room = 0; room < 2; room++) {
		fake_config.max_mrs = fake_count.mrs + room;
		assert_int_equal(
			dev_qp_open(v->dev, DEV_QP_RDM, v->cq,
				    &(struct dev_qp_attr){
					    .qkey = 1,
					    .rnr_retries = DEV_RNR_TRIES },
				    &qp),
			-ENOMEM);
	}
	assert_int_equal(fake_count.qps, 1);
}

static void dev_qp_open__rnr_retry(void **state)
{
	struct verbs *v = *state;
	struct dev_qp *more;

	assert_int_equal(v->hw->rnr_retry, 3);
	assert_int_equal(v->hw->qkey, 0x77);
	assert_int_equal(dev_qp_open(v->dev, DEV_QP_RDM, v->cq,
				     &(struct dev_qp_attr){ .qkey = 0x77,
							    .rnr_retries = 6 },
				     &more),
			 0);
	assert_int_equal(fake_qp(more->addr.qpn)->rnr_retry, 6);
	dev_qp_close(more);
}

/* ---- sleeping, events ------------------------------------------------------------------ */

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void dev_cq_arm__wakes(void **state)
{
	struct verbs *v = *state;
	int fd = dev_cq_fd(v->cq);

	assert_true(fd >= 0);
	/* Poll once more after arming; then sleep. */
	assert_int_equal(dev_cq_arm(v->cq), 1);
	verbs_expect_nothing(v);
	assert_int_equal(dev_cq_arm(v->cq), 0);
	assert_false(is_readable(fd));
	verbs_send_one(v, 1, 10);
	fake_end(v->hw, 0);
	assert_true(is_readable(fd));
	verbs_expect(v, DEV_WC_SEND, 1, 0);
	assert_int_equal(dev_cq_arm(v->cq), 1);
	assert_false(is_readable(fd));
	verbs_expect_nothing(v);
	assert_int_equal(dev_cq_arm(v->cq), 0);
}

static void dev_cq_arm__something_came_in_between(void **state)
{
	struct verbs *v = *state;

	assert_int_equal(dev_cq_arm(v->cq), 1);
	verbs_send_one(v, 1, 10);
	fake_end(v->hw, 0);
	/* Not polled, so there is something. */
	assert_int_equal(dev_cq_arm(v->cq), 1);
	verbs_expect(v, DEV_WC_SEND, 1, 0);
}

static void dev_cq_fd__without_channel(void **state)
{
	struct verbs *v = *state;
	struct dev_cq *cq;

	fake_config.comp_vectors = 0;
	v->dev->info.max_cq = 1;
	assert_int_equal(dev_cq_open(v->dev, &cq), 0);
	dev_cq_close(cq);
}

static void dev_cq_open__without_libefa(void **state)
{
	struct verbs *v = *state;
	struct dev_cq *own = v->cq;

	fake_config.no_efa_cq = true;
	assert_int_equal(dev_cq_open(v->dev, &v->cq), 0);
	dev_cq_close(v->cq);
	v->cq = own;
}

static struct ibv_context *context_of(struct verbs *v)
{
	return v->hw->ex.qp_base.context;
}

static void dev_poll__device_has_failed(void **state)
{
	struct verbs *v = *state;
	struct dev_wc wc[4];
	int n = 0;

	verbs_send_one(v, 1, 100);
	fake_event(context_of(v), IBV_EVENT_DEVICE_FATAL, NULL);
	dev_cq_arm(v->cq);
	for (int i = 0; i < 2000 && !n; i++)
		n = dev_poll(v->cq, wc, 4);
	assert_int_equal(n, 1);
	assert_int_equal(wc[0].id, 1);
	assert_int_equal(wc[0].status, DEV_QP_ERROR);
	/* What the hardware says later is about nothing. */
	fake_end(v->hw, DEV_FLUSHED);
	verbs_expect_nothing(v);
	verbs_send_one(v, 2, 100);
	assert_int_equal(v->hw->nsends, 0);
	verbs_expect(v, DEV_WC_SEND, 2, DEV_QP_ERROR);
}

static void dev_poll__queue_pair_has_failed(void **state)
{
	struct verbs *v = *state;
	struct dev_wc wc[4];
	int n = 0;

	verbs_send_one(v, 1, 100);
	fake_event(context_of(v), IBV_EVENT_PORT_ERR, NULL);
	fake_event(context_of(v), IBV_EVENT_QP_FATAL, v->hw);
	dev_cq_arm(v->cq);
	for (int i = 0; i < 2000 && !n; i++)
		n = dev_poll(v->cq, wc, 4);
	assert_int_equal(n, 1);
	assert_int_equal(wc[0].status, DEV_QP_ERROR);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, verbs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(dev_poll__device_statuses),
		CASE(dev_poll__dead_peer),
		CASE(dev_ah_close__with_work_under_way),
		CASE(dev_ah_close__before_gone_was_told),
		CASE(dev_source__one_number_for_an_address),
		CASE(dev_source__handle_number_is_reused),
		CASE(dev_source__of_nobody_known),
		CASE(dev_source__many),
		CASE(dev_ah_open__one_for_a_gid),
		CASE(dev_ah_open__idle_ones_make_room),
		CASE(dev_ah_close__few_idle_ones),
		CASE(dev_qp_close__takes_what_is_left),
		CASE(dev_qp_close__with_work_under_way),
		CASE(dev_poll__entries_of_one_that_left),
		CASE(dev_poll__many_at_once),
		CASE(dev_qp_open__queue_is_too_small),
		CASE(dev_qp_open__no_memory),
		CASE(dev_qp_open__rnr_retry),
		CASE(dev_cq_arm__wakes),
		CASE(dev_cq_arm__something_came_in_between),
		CASE(dev_cq_fd__without_channel),
		CASE(dev_cq_open__without_libefa),
		CASE(dev_poll__device_has_failed),
		CASE(dev_poll__queue_pair_has_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
