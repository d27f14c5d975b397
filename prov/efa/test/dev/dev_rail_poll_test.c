/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_rail_poll_test.c - two rails: what comes of either, and sleeping on both
 */
#include "dev_rail_fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "dev/dev_soft.h"

/* --- polling ---------------------------------------------------------------- */

static void dev_source__one_of_each_rail(void **state)
{
	struct dr *r = *state;
	const struct dev_addr *far = &r->far.qp->addr;
	struct dev_addr addr;
	uint32_t near;

	dr_send(&r->a, r->ab, "near");
	near = dr_expect(&r->b, "near", &r->a.qp->addr);
	dev_record_inject(dr_main(&r->b), far, "x", 1);
	assert_int_not_equal(dr_expect(&r->b, "x", far), near);
	/* A peer of this host that chose the main rail. */
	dev_record_inject(dr_main(&r->b), &r->a.qp->addr, "y", 1);
	assert_int_not_equal(dr_expect(&r->b, "y", &r->a.qp->addr), near);
	assert_int_equal(dev_source(r->b.qp, 99, &addr), -ENOENT);
	dev_record_inject(dr_main(&r->b), NULL, "z", 1);
	assert_int_equal(df_wait(r->b.cq).source, DEV_SOURCE_UNKNOWN);
	dev_give_back(r->b.cq);
}

static void dev_poll__neither_rail_starves(void **state)
{
	struct dr *r = *state;
	int near = 0;

	for (int i = 0; i < 20; i++) {
		dr_send(&r->a, r->ab, "near");
		dev_record_inject(dr_main(&r->b), &r->far.qp->addr, "far!", 4);
	}
	for (int i = 0; i < 20; i++) {
		struct dev_wc wc = df_wait(r->b.cq);

		near += memcmp(wc.data, "near", 4) == 0;
		dev_give_back(r->b.cq);
	}
	assert_int_equal(near, 10);
}

static void dev_poll__loans_of_both(void **state)
{
	struct dr *r = *state;
	struct dev_wc wc[4];
	int n = 0;

	dr_send(&r->a, r->ab, "near");
	dev_record_inject(dr_main(&r->b), &r->far.qp->addr, "far!", 4);
	/* The first look at shared memory may be before the bell. */
	while ((n = dev_poll(r->b.cq, wc, 4)) != 2) {
		dev_give_back(r->b.cq);
		assert_int_equal(n, 0);
	}
	assert_memory_equal(wc[wc[0].source % RAILS == RAIL_MAIN].data, "near",
			    4);
	assert_memory_equal(wc[wc[0].source % RAILS == RAIL_LOCAL].data, "far!",
			    4);
	dev_give_back(r->b.cq);
}

/* --- peers that go ---------------------------------------------------------- */

static void dev_poll__gone_with_the_users_cookie(void **state)
{
	struct dr *r = *state;
	struct dev_wc wc;

	dr_send(&r->a, r->ab, "last");
	dr_close(&r->b);
	wc = df_wait(r->a.cq);
	assert_int_equal(wc.op, DEV_WC_GONE);
	assert_int_equal(wc.id, 'b');
	dev_give_back(r->a.cq);
	dev_record_gone(dr_main(&r->a),
			u_pool_id(u_container_of(r->afar, struct rail_ah, ah)));
	wc = df_wait(r->a.cq);
	assert_int_equal(wc.op, DEV_WC_GONE);
	assert_int_equal(wc.id, 'f');
}

static void dev_poll__gone_once(void **state)
{
	struct dr *r = *state;
	uint32_t id = u_pool_id(u_container_of(r->afar, struct rail_ah, ah));
	struct dev_wc wc[4];

	dev_record_gone(dr_main(&r->a), id);
	dev_record_gone(dr_main(&r->a), id);
	dev_record_gone(dr_main(&r->a), id + U_POOL_MAX); /* closed by now */
	dev_record_inject(dr_main(&r->a), &r->far.qp->addr, "x", 1);
	assert_int_equal(dev_poll(r->a.cq, wc, 4), 2);
	assert_int_equal(wc[0].op, DEV_WC_GONE);
	assert_int_equal(wc[1].op, DEV_WC_RECV);
	dev_give_back(r->a.cq);
}

static void dev_ah_open__a_peer_that_has_gone(void **state)
{
	struct dr *r = *state;
	struct dev_addr addr = r->b.qp->addr;
	struct dev_ah *ah;

	dr_close(&r->b);
	assert_int_equal(df_wait(r->a.cq).op, DEV_WC_GONE);
	dev_give_back(r->a.cq);
	assert_int_equal(dev_ah_open(r->a.qp, &addr, 1, &ah), 0);
	dr_send(&r->a, ah, "x");
	assert_non_null(dev_record_peek(dr_main(&r->a)));
	dev_ah_close(ah);
	memset(&addr, 0, sizeof(addr));
	assert_int_equal(dev_ah_open(r->a.qp, &addr, 1, &ah), -EINVAL);
}

/* --- datagrams, pressure, sleep --------------------------------------------- */

static void dev_post_recv__datagrams_by_the_main_rail(void **state)
{
	struct dr *r = *state;
	struct dev_qp *ud[2];
	struct dev_wr wr = { .hdr = "dgram", .hdr_len = 5 };
	struct dev_record_wr *posted;
	char buf[DEV_UD_PREFIX + 16];
	struct dev_mr *mr;
	struct dev_wc wc;

	dev_qp_open(r->a.dev, DEV_QP_UD, r->a.cq,
		    &(struct dev_qp_attr){ .qkey = 21,
					   .rnr_retries = DEV_RNR_TRIES },
		    &ud[0]);
	dev_qp_open(r->b.dev, DEV_QP_UD, r->b.cq,
		    &(struct dev_qp_attr){ .qkey = 22,
					   .rnr_retries = DEV_RNR_TRIES },
		    &ud[1]);
	assert_int_equal(dev_mr_open(r->b.dev, buf, sizeof(buf), 0, &mr), 0);
	assert_int_equal(dev_post_recv(ud[1], 8, buf, sizeof(buf), mr), 0);
	assert_int_equal(dev_ah_open(ud[0], &ud[1]->addr, 1, &wr.ah), 0);
	assert_int_equal(dev_post(ud[0], &wr, 1), 1);
	posted = dev_record_take(
		u_container_of(ud[0], struct rail_qp, qp)->rail[RAIL_MAIN]);
	assert_int_equal(dev_record_deliver(posted, false), 0);
	dev_record_free(posted);
	wc = df_wait(r->b.cq);
	assert_int_equal(wc.id, 8);
	assert_memory_equal(buf + DEV_UD_PREFIX, "dgram", 5);
	dev_give_back(r->b.cq);
	dev_ah_close(wr.ah);
	dev_mr_close(mr);
	dev_qp_close(ud[0]);
	dev_qp_close(ud[1]);
}

static void dev_set_pressure__on_both(void **state)
{
	struct dr *r = *state;
	struct dev_wr wr = {
		.ah = r->ab,
		.hdr = "x",
		.hdr_len = 1,
		.flags = DEV_WR_REQUEST,
	};

	dev_set_pressure(r->b.qp, true);
	assert_true(dev_record_pressure(dr_main(&r->b)));
	assert_int_equal(dev_post(r->a.qp, &wr, 1), -EAGAIN);
	dev_set_pressure(r->b.qp, false);
	assert_int_equal(dev_post(r->a.qp, &wr, 1), 1);
}

static void dev_cq_fd__none_if_one_rail_has_none(void **state)
{
	struct dr *r = *state;

	assert_int_equal(dev_cq_fd(r->a.cq), -ENOSYS);
	assert_int_equal(dev_cq_arm(r->a.cq), 0);
	dev_record_inject(dr_main(&r->a), NULL, "x", 1);
	assert_int_equal(dev_cq_arm(r->a.cq), 1);
}

/*
 * A main rail with a descriptor: the software device over UDP, which has
 * segments of its own in the same place.
 */
static struct dev *open_udp(struct dr *r)
{
	struct dev_config config = r->config;
	struct dev_info *list;
	struct dev *dev;

	config.no_shm = true;
	config.iface = "lo";
	assert_int_equal(dev_soft_list(&config, &list), 1);
	assert_int_equal(dev_soft_open(&list[0], &config, &dev), 0);
	free(list);
	dev_rail_add(&r->config, &dev);
	return dev;
}

static void dev_cq_fd__wakes_for_either(void **state)
{
	struct dr *r = *state;
	struct dr_end x, y;
	struct dev_ah *local, *main;
	struct pollfd p = { .events = POLLIN };
	int rail;

	dr_open(&x, open_udp(r), 31);
	dr_open(&y, open_udp(r), 32);
	assert_int_equal(dev_ah_open(x.qp, &y.qp->addr, 1, &local), 0);
	main = rail_ah_main(u_container_of(local, struct rail_ah, ah));
	p.fd = dev_cq_fd(y.cq);
	assert_true(p.fd >= 0);
	for (int i = 0; i < 6; i++) {
		struct dev_wr wr = { .ah = main, .hdr = "udp", .hdr_len = 3 };
		struct dev_wc wc;

		while (dev_cq_arm(y.cq)) {
			assert_int_equal(dev_poll(y.cq, &wc, 1), 0);
			dev_give_back(y.cq);
		}
		if (i % 2)
			dr_send(&x, local, "shm");
		else
			assert_int_equal(dev_post(dr_main(&x), &wr, 1), 1);
		assert_int_equal(poll(&p, 1, DF_WAIT_S * 1000), 1);
		rail = (int)dr_expect(&y, i % 2 ? "shm" : "udp", &x.qp->addr) %
		       RAILS;
		assert_int_equal(rail, i % 2 ? RAIL_LOCAL : RAIL_MAIN);
	}
	dev_ah_close(local);
	dr_close(&x);
	dr_close(&y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DR_TEST(dev_source__one_of_each_rail),
		DR_TEST(dev_poll__neither_rail_starves),
		DR_TEST(dev_poll__loans_of_both),
		DR_TEST(dev_poll__gone_with_the_users_cookie),
		DR_TEST(dev_poll__gone_once),
		DR_TEST(dev_ah_open__a_peer_that_has_gone),
		DR_TEST(dev_post_recv__datagrams_by_the_main_rail),
		DR_TEST(dev_set_pressure__on_both),
		DR_TEST(dev_cq_fd__none_if_one_rail_has_none),
		DR_TEST(dev_cq_fd__wakes_for_either),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
