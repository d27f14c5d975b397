/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_srd_test.c - reliable queue pairs with receives of the user
 */
#include "dev_verbs_fixture.h"

#include <errno.h>
#include <string.h>

#include "dev/dev_verbs_lib.h"
#include "util/u_time.h"

static const struct fake_sender peer = { .ahn = 0, .qpn = 5 };

static int setup_caps(void **state, uint32_t missing)
{
	*state = verbs_new();
	fake_config.efa.device_caps &= ~missing;
	verbs_setup(*state, DEV_QP_SRD);
	return 0;
}

static int setup(void **state)
{
	return setup_caps(state, 0);
}

static int setup_old(void **state)
{
	return setup_caps(state, VERBS_CAP_RNR_RETRY);
}

static struct verbs *open_with(uint64_t cq_flags)
{
	struct verbs *v = verbs_new();

	fake_config.efa.device_caps |= VERBS_CAP_UNSOLICITED;
	fake_config.cq_flags = cq_flags;
	verbs_setup(v, DEV_QP_RDM);
	return v;
}

static int setup_whole(void **state)
{
	*state = open_with(UINT64_MAX);
	return 0;
}

static int setup_sgid_alone(void **state)
{
	*state = open_with(EFADV_WC_EX_WITH_SGID);
	return 0;
}

static void dev_srd_open__nothing_is_posted(void **state)
{
	struct verbs *v = *state;

	assert_int_equal(v->qp->type, DEV_QP_SRD);
	assert_true(v->hw->srd);
	assert_int_equal(v->hw->nrecvs, 0);
	assert_int_equal(v->hw->rnr_retry, DEV_RNR_FOREVER);
	assert_int_equal(v->hw->qkey, 0x77);
}

static void dev_srd_open__what_the_device_cannot(void **state)
{
	struct dev_qp_attr srd = { .qkey = 1, .rnr_retries = 3 };
	struct verbs *v = *state;
	struct dev_qp *qp;

	assert_int_equal(dev_srd_open(v->dev, &srd, v->cq, &qp), -ENOSYS);
	srd.rnr_retries = DEV_RNR_FOREVER;
	srd.unsolicited = true;
	assert_int_equal(dev_srd_open(v->dev, &srd, v->cq, &qp), -EOPNOTSUPP);
}

static void assert_stranger_is_known(struct verbs *v)
{
	struct fake_sender from = { .ahn = FAKE_AHN_NONE, .qpn = 5 };
	struct dev_addr addr;
	struct dev_wc wc[2];

	verbs_gid(from.gid, 0xbb);
	fake_arrive(v->hw, &from, "x", 1, NULL);
	assert_int_equal(dev_poll(v->cq, wc, 2), 1);
	assert_int_equal(dev_source(v->qp, wc[0].source, &addr), 0);
	assert_memory_equal(addr.gid, from.gid, sizeof(from.gid));
	dev_give_back(v->cq);
}

/* In a build whose header knows of them. */
static void dev_qp_open__unsolicited(void **state)
{
	struct verbs *v = *state;
	bool known = v->dev->info.caps & DEV_CAP_UNSOLICITED;

	assert_int_equal(v->hw->flags, known);
	assert_stranger_is_known(v);
}

/* Entries do not tell what used no receive: then everything has to use one. */
static void dev_cq_open__one_flag_less(void **state)
{
	const struct dev_qp_attr srd = {
		.qkey = 1,
		.rnr_retries = DEV_RNR_FOREVER,
		.unsolicited = true,
	};
	struct verbs *v = *state;
	struct dev_qp *qp;

	assert_int_equal(v->hw->flags, 0);
	assert_stranger_is_known(v);
	assert_int_equal(dev_srd_open(v->dev, &srd, v->cq, &qp), -EOPNOTSUPP);
}

/* Here no libefa has the function that would know. */
static void dev_mr_ids__of_an_old_library(void **state)
{
	struct dev_mr_ids ids = { 9, 9, 9, 9 };
	struct verbs *v = *state;
	struct dev_mr *mr;
	char buf[8];

	assert_int_equal(dev_mr_open(v->dev, buf, sizeof(buf), 0, &mr), 0);
	assert_int_equal(dev_mr_ids(mr, &ids), 0);
	assert_int_equal(ids.valid, 0);
	assert_int_equal(dev_mr_close(mr), 0);
}

static void dev_post_recv__message_without_prefix(void **state)
{
	struct verbs *v = *state;
	char buf[8];
	struct dev_wc wc[2];
	uint32_t imm = 7;

	assert_int_equal(dev_post_recv(v->qp, 11, buf, sizeof(buf), NULL), 0);
	fake_arrive(v->hw, &peer, "message", 8, &imm);
	assert_int_equal(dev_poll(v->cq, wc, 2), 1);
	assert_int_equal(wc[0].op, DEV_WC_RECV);
	assert_int_equal(wc[0].id, 11);
	assert_int_equal(wc[0].len, 8);
	assert_int_equal(wc[0].imm, 7);
	assert_string_equal(buf, "message");
	dev_give_back(v->cq);
}

static void dev_poll__written_names_the_receive(void **state)
{
	struct verbs *v = *state;
	struct dev_wc wc[2];

	assert_int_equal(dev_post_recv(v->qp, 12, NULL, 0, NULL), 0);
	fake_written(v->hw, &peer, 4096, 0x1234);
	assert_int_equal(dev_poll(v->cq, wc, 2), 1);
	assert_int_equal(wc[0].op, DEV_WC_WRITTEN);
	assert_int_equal(wc[0].id, 12);
	assert_int_equal(wc[0].len, 4096);
	assert_int_equal(wc[0].imm, 0x1234);
	dev_give_back(v->cq);
	assert_int_equal(dev_post_recv(v->qp, 13, NULL, 0, NULL), 0);
}

static void send_refused(struct verbs *v)
{
	verbs_send_one(v, 1, 100);
	fake_end(v->hw, DEV_RNR);
}

static void dev_poll__hardware_without_endless_tries(void **state)
{
	struct verbs *v = *state;
	uint64_t end = u_now() + U_SEC;

	send_refused(v);
	while (!v->hw->nsends && u_now() < end)
		verbs_expect_nothing(v);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 1, 0);
}

static void dev_poll__limited_tries_end(void **state)
{
	const struct dev_qp_attr srd = { .qkey = 1, .rnr_retries = 2 };
	struct verbs *v = *state;

	dev_ah_close(v->ah);
	dev_qp_close(v->qp);
	assert_int_equal(dev_srd_open(v->dev, &srd, v->cq, &v->qp), 0);
	v->hw = fake_qp(v->qp->addr.qpn);
	v->ah = verbs_ah(v, 0xaa, FIXTURE_PEER_QPN, FIXTURE_COOKIE);
	assert_int_equal(v->hw->rnr_retry, 2);
	send_refused(v);
	verbs_expect(v, DEV_WC_SEND, 1, DEV_RNR);
}

/* A peer that did not answer may answer the next time. */
static void dev_poll__errors_do_not_stay(void **state)
{
	struct verbs *v = *state;

	verbs_send_one(v, 1, 100);
	fake_end(v->hw, DEV_UNRESPONSIVE);
	verbs_expect(v, DEV_WC_SEND, 1, DEV_UNRESPONSIVE);
	verbs_expect_nothing(v);
	verbs_send_one(v, 2, 100);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 2, 0);
}

static void dev_post__rdma(void **state)
{
	struct verbs *v = *state;
	static char buf[64];
	struct iovec iov = { buf, sizeof(buf) };
	struct dev_wr wr = { .id = 3,
			     .ah = v->ah,
			     .op = DEV_READ,
			     .iov = &iov,
			     .iovcnt = 1,
			     .len = sizeof(buf),
			     .rkey = 4 };

	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_int_equal(STAILQ_FIRST(&v->hw->sends)->rkey, 4);
	fake_end(v->hw, DEV_BAD_RKEY);
	verbs_expect(v, DEV_WC_READ, 3, DEV_BAD_RKEY);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, verbs_teardown)
#define OLD(test) \
	cmocka_unit_test_setup_teardown(test, setup_old, verbs_teardown)
#define WITH(setup, test) \
	cmocka_unit_test_setup_teardown(test, setup, verbs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(dev_srd_open__nothing_is_posted),
		OLD(dev_srd_open__what_the_device_cannot),
		WITH(setup_whole, dev_qp_open__unsolicited),
		WITH(setup_sgid_alone, dev_cq_open__one_flag_less),
		CASE(dev_mr_ids__of_an_old_library),
		CASE(dev_post_recv__message_without_prefix),
		CASE(dev_poll__written_names_the_receive),
		OLD(dev_poll__hardware_without_endless_tries),
		CASE(dev_poll__limited_tries_end),
		CASE(dev_poll__errors_do_not_stay),
		CASE(dev_post__rdma),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
