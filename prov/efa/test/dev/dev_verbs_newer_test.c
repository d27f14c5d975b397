/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_newer_test.c - what dev_verbs* have of an rdma-core newer than the
 * installed one: writes that use up no receive, larger inline, service levels
 *
 * It is built with the headers of dev_verbs_newer/, and so are the sources it
 * tests.
 */
#include "dev_verbs_fixture.h"

#include <errno.h>
#include <string.h>

#include "dev/dev_verbs_lib.h"

#define PLAIN 32 /* bytes of inline data */
#define WIDE 80

static const struct fake_sender peer = { .ahn = 0, .qpn = 5 };

static struct fake_cq *cq_of(struct efadv_cq *efa)
{
	return (struct fake_cq *)((char *)efa - offsetof(struct fake_cq, efa));
}

static bool is_unsolicited(struct efadv_cq *efa)
{
	const struct fake_entry *e = cq_of(efa)->at;

	assert_true(cq_of(efa)->polling);
	assert_int_equal(e->status, IBV_WC_SUCCESS);
	return e->unsolicited;
}

/* A library leaves the pointer NULL in queues without the flag. */
static void set_up(struct verbs *v, enum dev_qp_type type)
{
	verbs_setup(v, type);
	if (v->hw->cq->wc_flags & EFADV_WC_EX_WITH_IS_UNSOLICITED)
		v->hw->cq->efa.wc_is_unsolicited = is_unsolicited;
}

/* A device and a library with everything, until a test takes some away. */
static int setup(void **state)
{
	*state = verbs_new();
	fake_config.efa.device_caps |=
		EFADV_DEVICE_ATTR_CAPS_RDMA_WRITE |
		EFADV_DEVICE_ATTR_CAPS_UNSOLICITED_WRITE_RECV;
	fake_config.efa.inline_buf_size_ex = WIDE;
	fake_config.inline_wide = WIDE;
	return 0;
}

/* Another queue pair in the place of the one there. */
static int reopen(struct verbs *v, enum dev_qp_type type,
		  const struct dev_qp_attr *attr)
{
	int rc;

	if (v->ah)
		dev_ah_close(v->ah);
	if (v->qp)
		dev_qp_close(v->qp);
	v->ah = NULL;
	v->qp = NULL;
	rc = type == DEV_QP_SRD ?
		     dev_srd_open(v->dev, attr, v->cq, &v->qp) :
		     dev_qp_open(v->dev, type, v->cq, attr, &v->qp);
	if (rc)
		return rc;
	v->hw = fake_qp(v->qp->addr.qpn);
	v->ah = verbs_ah(v, 0xaa, FIXTURE_PEER_QPN, FIXTURE_COOKIE);
	return 0;
}

static void assert_extras(const struct verbs *v, uint16_t flags, uint8_t sl,
			  uint32_t inline_max)
{
	uint32_t places = inline_max > PLAIN ? 2 : 1;

	assert_int_equal(v->hw->flags, flags);
	assert_int_equal(v->hw->sl, sl);
	assert_int_equal(v->hw->attr.cap.max_inline_data, inline_max);
	assert_int_equal(v->hw->attr.cap.max_send_wr,
			 fake_config.efa.max_sq_wr / places);
}

static void assert_inline(struct verbs *v, size_t len, bool is_inline)
{
	verbs_send_one(v, 1, len);
	assert_int_equal(STAILQ_FIRST(&v->hw->sends)->is_inline, is_inline);
	assert_int_equal(STAILQ_FIRST(&v->hw->sends)->len, len);
	fake_end(v->hw, 0);
	verbs_expect(v, DEV_WC_SEND, 1, 0);
}

/* ---- queue pairs --------------------------------------------------------- */

static void dev_qp_open__all_there_is(void **state)
{
	struct verbs *v = *state;

	set_up(v, DEV_QP_RDM);
	assert_true(v->dev->info.caps & DEV_CAP_UNSOLICITED);
	assert_extras(v, EFADV_QP_FLAGS_UNSOLICITED_WRITE_RECV, 0, WIDE);
	assert_inline(v, WIDE, true);
	assert_inline(v, WIDE + 1, false);
}

static void dev_qp_open__larger_inline_is_refused(void **state)
{
	struct verbs *v = *state;

	fake_config.inline_wide = 0;
	set_up(v, DEV_QP_RDM);
	assert_extras(v, 0, 0, PLAIN);
	assert_inline(v, PLAIN, true);
	assert_inline(v, PLAIN + 1, false);
}

/* Where newer ones have more than we have room for. */
static void dev_qp_open__inline_has_a_bound(void **state)
{
	struct verbs *v = *state;

	fake_config.efa.inline_buf_size_ex = 4 * WIDE;
	fake_config.inline_wide = 4 * WIDE;
	set_up(v, DEV_QP_RDM);
	assert_inline(v, WIDE, true);
	assert_inline(v, WIDE + 1, false);
}

static void dev_qp_open__device_without_larger_inline(void **state)
{
	struct verbs *v = *state;

	fake_config.efa.inline_buf_size_ex = 0;
	set_up(v, DEV_QP_RDM);
	assert_extras(v, EFADV_QP_FLAGS_UNSOLICITED_WRITE_RECV, 0, PLAIN);
	assert_inline(v, PLAIN + 1, false);
}

static void dev_qp_open__unsolicited_is_refused(void **state)
{
	struct verbs *v = *state;

	fake_config.qp_flags = 0;
	set_up(v, DEV_QP_RDM);
	assert_extras(v, 0, 0, PLAIN);
}

/* Entries could not tell what used no receive. */
static void dev_qp_open__queue_without_the_flag(void **state)
{
	struct verbs *v = *state;

	fake_config.cq_flags = EFADV_WC_EX_WITH_SGID;
	set_up(v, DEV_QP_RDM);
	assert_extras(v, 0, 0, WIDE);
}

static void dev_qp_open__low_latency(void **state)
{
	const struct dev_qp_attr attr = { .qkey = 1,
					  .rnr_retries = DEV_RNR_FOREVER,
					  .low_latency = true };
	struct verbs *v = *state;

	set_up(v, DEV_QP_RDM);
	assert_int_equal(reopen(v, DEV_QP_RDM, &attr), 0);
	assert_extras(v, EFADV_QP_FLAGS_UNSOLICITED_WRITE_RECV, 8, WIDE);
	assert_int_equal(reopen(v, DEV_QP_SRD, &attr), 0);
	assert_extras(v, 0, 8, PLAIN);
	/* It is made by another function, which has no levels. */
	assert_int_equal(reopen(v, DEV_QP_UD, &attr), 0);
	assert_extras(v, 0, 0, PLAIN);
}

static void dev_qp_open__level_is_refused(void **state)
{
	const struct dev_qp_attr attr = { .qkey = 1,
					  .rnr_retries = DEV_RNR_FOREVER,
					  .unsolicited = true,
					  .low_latency = true };
	struct verbs *v = *state;
	unsigned int before;

	fake_config.no_sl = true;
	set_up(v, DEV_QP_RDM);
	before = verbs_warnings();
	assert_int_equal(reopen(v, DEV_QP_RDM, &attr), 0);
	assert_extras(v, EFADV_QP_FLAGS_UNSOLICITED_WRITE_RECV, 0, WIDE);
	assert_int_equal(reopen(v, DEV_QP_SRD, &attr), 0);
	assert_extras(v, EFADV_QP_FLAGS_UNSOLICITED_WRITE_RECV, 0, PLAIN);
	fake_config.inline_wide = 0;
	assert_int_equal(reopen(v, DEV_QP_RDM, &attr), 0);
	assert_extras(v, 0, 0, PLAIN);
	assert_int_equal(verbs_warnings(), before);
}

static void dev_qp_open__level_stays_without_the_others(void **state)
{
	const struct dev_qp_attr attr = { .qkey = 1, .low_latency = true };
	struct verbs *v = *state;

	fake_config.inline_wide = 0;
	set_up(v, DEV_QP_RDM);
	assert_int_equal(reopen(v, DEV_QP_RDM, &attr), 0);
	assert_extras(v, 0, 8, PLAIN);
}

static void dev_srd_open__unsolicited_is_a_must(void **state)
{
	const struct dev_qp_attr attr = { .qkey = 1,
					  .rnr_retries = DEV_RNR_FOREVER,
					  .unsolicited = true };
	struct verbs *v = *state;

	set_up(v, DEV_QP_RDM);
	assert_int_equal(reopen(v, DEV_QP_SRD, &attr), 0);
	assert_extras(v, EFADV_QP_FLAGS_UNSOLICITED_WRITE_RECV, 0, PLAIN);
	fake_config.qp_flags = 0;
	assert_int_equal(reopen(v, DEV_QP_SRD, &attr), -EOPNOTSUPP);
}

/* That it is full is no lack of what was asked for. */
static void dev_srd_open__device_is_full(void **state)
{
	const struct dev_qp_attr attr = { .qkey = 1,
					  .rnr_retries = DEV_RNR_FOREVER,
					  .unsolicited = true };
	struct verbs *v = *state;
	struct dev_qp *more;

	set_up(v, DEV_QP_RDM);
	fake_config.max_qps = fake_count.qps;
	assert_int_equal(dev_srd_open(v->dev, &attr, v->cq, &more), -ENOMEM);
}

/* ---- writes that use up no receive --------------------------------------- */

static void expect_written(struct verbs *v, uint32_t len, uint32_t imm)
{
	struct dev_wc wc[2];

	assert_int_equal(dev_poll(v->cq, wc, 2), 1);
	assert_int_equal(wc[0].op, DEV_WC_WRITTEN);
	assert_int_equal(wc[0].status, 0);
	assert_int_equal(wc[0].len, len);
	assert_int_equal(wc[0].imm, imm);
	dev_give_back(v->cq);
}

static void dev_poll__unsolicited(void **state)
{
	struct verbs *v = *state;
	uint32_t posted;

	set_up(v, DEV_QP_RDM);
	posted = v->hw->nrecvs;
	for (uint32_t i = 0; i < 3 * posted; i++) {
		fake_written_alone(v->hw, &peer, 4096 + i, i);
		expect_written(v, 4096 + i, i);
	}
	assert_int_equal(v->hw->nrecvs, posted);
	fake_arrive(v->hw, &peer, "packet", 6, NULL);
	verbs_expect(v, DEV_WC_RECV, 0, 0);
}

/* What the user posted is for messages, and for writes that do use one. */
static void dev_poll__unsolicited_beside_receives(void **state)
{
	const struct dev_qp_attr attr = { .qkey = 1,
					  .rnr_retries = DEV_RNR_FOREVER,
					  .unsolicited = true };
	struct verbs *v = *state;
	char buf[8];

	set_up(v, DEV_QP_RDM);
	assert_int_equal(reopen(v, DEV_QP_SRD, &attr), 0);
	fake_written_alone(v->hw, &peer, 1, 11);
	expect_written(v, 1, 11);
	assert_int_equal(dev_post_recv(v->qp, 21, buf, 8, NULL), 0);
	assert_int_equal(dev_post_recv(v->qp, 22, buf, 8, NULL), 0);
	fake_written_alone(v->hw, &peer, 2, 12);
	expect_written(v, 2, 12);
	assert_int_equal(v->hw->nrecvs, 2);
	fake_arrive(v->hw, &peer, "message", 8, NULL);
	verbs_expect(v, DEV_WC_RECV, 21, 0);
	fake_written(v->hw, &peer, 3, 13);
	verbs_expect(v, DEV_WC_WRITTEN, 22, 0);
}

/* An entry that says nothing by its wr_id belongs to whom its number names. */
static void dev_poll__unsolicited_of_two(void **state)
{
	const struct dev_qp_attr attr = { .qkey = 2 };
	struct fake_sender from = { .ahn = FAKE_AHN_NONE, .qpn = 5 };
	struct verbs *v = *state;
	struct dev_addr addr;
	struct dev_wc wc[2];
	struct dev_qp *more;

	set_up(v, DEV_QP_RDM);
	assert_int_equal(dev_qp_open(v->dev, DEV_QP_RDM, v->cq, &attr, &more),
			 0);
	verbs_gid(from.gid, 0xbb);
	fake_written_alone(fake_qp(more->addr.qpn), &from, 7, 17);
	assert_int_equal(dev_poll(v->cq, wc, 2), 1);
	assert_int_equal(wc[0].op, DEV_WC_WRITTEN);
	assert_int_equal(dev_source(more, wc[0].source, &addr), 0);
	assert_memory_equal(addr.gid, from.gid, sizeof(from.gid));
	assert_int_equal(dev_source(v->qp, wc[0].source, &addr), -ENOENT);
	dev_give_back(v->cq);
	dev_qp_close(more);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, verbs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(dev_qp_open__all_there_is),
		CASE(dev_qp_open__larger_inline_is_refused),
		CASE(dev_qp_open__inline_has_a_bound),
		CASE(dev_qp_open__device_without_larger_inline),
		CASE(dev_qp_open__unsolicited_is_refused),
		CASE(dev_qp_open__queue_without_the_flag),
		CASE(dev_qp_open__low_latency),
		CASE(dev_qp_open__level_is_refused),
		CASE(dev_qp_open__level_stays_without_the_others),
		CASE(dev_srd_open__unsolicited_is_a_must),
		CASE(dev_srd_open__device_is_full),
		CASE(dev_poll__unsolicited),
		CASE(dev_poll__unsolicited_beside_receives),
		CASE(dev_poll__unsolicited_of_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
