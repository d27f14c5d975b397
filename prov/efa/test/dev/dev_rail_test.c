/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_rail_test.c - two rails: which one a request takes
 */
#include "dev_rail_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RW (DEV_REMOTE_READ | DEV_REMOTE_WRITE)

/* --- opening ---------------------------------------------------------------- */

static void dev_rail_add__is_the_main_device(void **state)
{
	struct dr *r = *state;

	assert_int_equal(r->a.dev->info.kind, DEV_KIND_RECORD);
	assert_int_equal(r->a.dev->info.mtu, DR_MTU);
	assert_int_equal(r->a.dev->info.key_bytes, 8);
	assert_memory_equal(&r->a.qp->addr, &dr_main(&r->a)->addr,
			    sizeof(r->a.qp->addr));
}

static void dev_rail_add__not_to_longer_packets(void **state)
{
	struct dr *r = *state;
	struct dev *dev = dr_record(), *same = dev;

	/* The local rail takes packets of up to 8,928 bytes. */
	dev->info.mtu = DR_MTU + 1;
	dev_rail_add(&r->config, &dev);
	assert_ptr_equal(dev, same);
	assert_int_equal(df_warnings, 1);
	df_warnings = 0;
	dev_close(dev);
}

static void dev_qp_open__as_asked(void **state)
{
	struct dr *r = *state;
	struct dev_qp_attr attr = dev_record_attr(dr_main(&r->a));

	assert_int_equal(attr.qkey, 11);
	assert_int_equal(attr.rnr_retries, DEV_RNR_TRIES);
	assert_true(attr.low_latency);
}

static void dev_qp_open__without_shared_memory(void **state)
{
	struct dr *r = *state;
	struct dev_ah *ah;
	struct dr_end e;
	struct dev *dev = dr_record();

	dev_rail_add(&r->config, &dev);
	rename(r->dir, "/dev/shm/efa-dev-test-away");
	dr_open(&e, dev, 14);
	rename("/dev/shm/efa-dev-test-away", r->dir);
	assert_true(df_warnings > 0);
	df_warnings = 0;
	assert_int_equal(dev_ah_open(e.qp, &r->b.qp->addr, 1, &ah), 0);
	dr_send(&e, ah, "by the main rail");
	assert_true(dr_deliver(&e, true));
	dr_expect(&r->b, "by the main rail", &e.qp->addr);
	assert_int_equal(df_wait(e.cq).op, DEV_WC_SEND);
	dev_ah_close(ah);
	dr_close(&e);
}

static void dev_qp_forbid_shm__takes_the_main_rail(void **state)
{
	struct dr *r = *state;
	struct dev *dev = dr_record();
	struct dev_ah *there, *back;
	struct dr_end e;

	dev_rail_add(&r->config, &dev);
	dr_open(&e, dev, 14);
	dev_qp_forbid_shm(e.qp);
	assert_int_equal(dev_ah_open(e.qp, &r->b.qp->addr, 1, &there), 0);
	assert_int_equal(dev_ah_open(r->b.qp, &e.qp->addr, 1, &back), 0);
	dr_send(&e, there, "there");
	assert_true(dr_deliver(&e, true));
	dr_expect(&r->b, "there", &e.qp->addr);
	assert_int_equal(df_wait(e.cq).op, DEV_WC_SEND);
	dev_give_back(e.cq);
	dr_send(&r->b, back, "and back");
	assert_true(dr_deliver(&r->b, true));
	dr_expect(&e, "and back", &r->b.qp->addr);
	assert_int_equal(df_wait(r->b.cq).op, DEV_WC_SEND);
	dev_ah_close(there);
	dev_ah_close(back);
	dr_close(&e);
}

/* --- sending ---------------------------------------------------------------- */

static void dev_post__a_peer_of_this_host(void **state)
{
	struct dr *r = *state;

	dr_send(&r->a, r->ab, "near");
	assert_null(dev_record_peek(dr_main(&r->a)));
	assert_int_equal(dr_expect(&r->b, "near", &r->a.qp->addr) % RAILS,
			 RAIL_LOCAL);
}

static void dev_post__a_peer_of_another(void **state)
{
	struct dr *r = *state;

	dr_send(&r->a, r->afar, "far");
	assert_true(dr_deliver(&r->a, true));
	dr_expect(&r->far, "far", &r->a.qp->addr);
	assert_int_equal(df_wait(r->a.cq).id, 5);
}

static void dev_post__a_batch_for_both(void **state)
{
	struct dr *r = *state;
	char text[8][2];
	struct dev_wr wr[8];

	for (int i = 0; i < 8; i++) {
		text[i][0] = (char)('0' + i);
		text[i][1] = 0;
		wr[i] = (struct dev_wr){
			.ah = i / 3 % 2 ? r->afar : r->ab,
			.hdr = text[i],
			.hdr_len = 1,
		};
	}
	assert_int_equal(dev_post(r->a.qp, wr, 8), 8);
	for (int i = 0; i < 8; i++) {
		bool far = i / 3 % 2;

		assert_int_equal(wr[i].done, !far);
		if (far)
			assert_true(dr_deliver(&r->a, true));
		dr_expect(far ? &r->far : &r->b, text[i], &r->a.qp->addr);
	}
}

static void dev_post__full_rail_stops_the_batch(void **state)
{
	struct dr *r = *state;
	struct rail_dev *rd = u_container_of(r->a.dev, struct rail_dev, dev);
	struct dev_wr wr[3] = {
		{ .ah = r->ab, .hdr = "1", .hdr_len = 1 },
		{ .ah = r->afar, .hdr = "2", .hdr_len = 1 },
		{ .ah = r->ab, .hdr = "3", .hdr_len = 1 },
	};

	dev_record_set_room(rd->rail[RAIL_MAIN], 0);
	assert_int_equal(dev_post(r->a.qp, wr, 3), 1);
	assert_int_equal(dev_post(r->a.qp, wr + 1, 2), -EAGAIN);
	dev_record_set_room(rd->rail[RAIL_MAIN], -1);
	assert_int_equal(dev_post(r->a.qp, wr + 1, 2), 2);
	dr_expect(&r->b, "1", &r->a.qp->addr);
	dr_expect(&r->b, "3", &r->a.qp->addr);
}

/* --- RDMA ------------------------------------------------------------------- */

/* Posts an operation of 8 bytes with this key. */
static struct dev_wr rdma(struct dr_end *e, struct dev_ah *ah, enum dev_op op,
			  char *local, const struct dev_mr *mr, uint64_t key)
{
	struct iovec iov = { local, 8 };
	struct dev_wr wr = {
		.id = 9,
		.ah = ah,
		.op = (uint8_t)op,
		.iov = &iov,
		.iovcnt = 1,
		.len = 8,
		.remote = mr->addr,
		.rkey = key,
		.imm = 3,
	};

	assert_int_equal(dev_post(e->qp, &wr, 1), 1);
	return wr;
}

static void dev_post__rdma_by_either_rail(void **state)
{
	struct dr *r = *state;
	char mem[8] = "region.", local[8];
	struct dev_mr *mr;
	struct dev_wc wc;

	assert_int_equal(dev_mr_open(r->b.dev, mem, 8, RW, &mr), 0);
	assert_true(mr->key > UINT32_MAX);
	if (!rdma(&r->a, r->ab, DEV_READ, local, mr, mr->key).done)
		assert_int_equal(df_wait(r->a.cq).status, DEV_OK);
	assert_string_equal(local, "region.");
	assert_null(dev_record_peek(dr_main(&r->a)));
	/* The key that a peer gave us who has no local rail. */
	memset(local, 0, sizeof(local));
	rdma(&r->a, r->ab, DEV_READ, local, mr, (uint32_t)mr->key);
	assert_string_equal(local, "");
	assert_true(dr_deliver(&r->a, true));
	wc = df_wait(r->a.cq);
	assert_int_equal(wc.op, DEV_WC_READ);
	assert_int_equal(wc.id, 9);
	assert_int_equal(wc.status, DEV_OK);
	assert_string_equal(local, "region.");
	assert_int_equal(dev_mr_close(mr), 0);
}

static void dev_post__write_with_data(void **state)
{
	struct dr *r = *state;
	char mem[8] = "", local[8] = "written";
	struct dev_mr *mr, *own;
	struct dev_wc wc;

	assert_int_equal(dev_mr_open(r->b.dev, mem, 8, RW, &mr), 0);
	assert_int_equal(dev_mr_open(r->a.dev, local, 8, 0, &own), 0);
	rdma(&r->a, r->ab, DEV_WRITE_IMM, local, mr, mr->key);
	wc = df_wait(r->b.cq);
	assert_int_equal(wc.op, DEV_WC_WRITTEN);
	assert_int_equal(wc.imm, 3);
	assert_string_equal(mem, "written");
	dev_give_back(r->b.cq);
	assert_int_equal(dev_mr_close(own), 0);
	assert_int_equal(dev_mr_close(mr), 0);
}

static void dev_post__bad_local_key(void **state)
{
	struct dr *r = *state;
	char mem[8], local[8];
	struct dev_mr *mr;
	struct dev_wc wc;

	assert_int_equal(dev_mr_open(r->b.dev, mem, 8, RW, &mr), 0);
	rdma(&r->a, r->ab, DEV_READ, local, mr, mr->key + (UINT64_C(1) << 32));
	wc = df_wait(r->a.cq);
	assert_int_equal(wc.id, 9);
	assert_int_equal(wc.status, DEV_BAD_RKEY);
	assert_int_equal(dev_mr_close(mr), 0);
}

/* The peer on another host uses the lower half. */
static void dev_mr_open__the_main_key_lies_below(void **state)
{
	struct dr *r = *state;
	char mem[8] = "region.", local[8];
	struct dev_record_wr *wr;
	struct dev_ah *ah;
	struct dev_mr *mr;

	assert_int_equal(dev_mr_open(r->a.dev, mem, 8, RW, &mr), 0);
	assert_int_equal(dev_ah_open(r->far.qp, &r->a.qp->addr, 0, &ah), 0);
	rdma(&r->far, ah, DEV_READ, local, mr, (uint32_t)mr->key);
	wr = dev_record_take(r->far.qp);
	assert_int_equal(dev_record_deliver(wr, true), 0);
	assert_string_equal(local, "region.");
	dev_record_free(wr);
	dev_ah_close(ah);
	assert_int_equal(dev_mr_close(mr), 0);
}

static bool may(struct dr *r, const struct dev_mr *mr, uint64_t key,
		uint64_t len)
{
	struct dev_range range[2] = { { mr->addr, len, key },
				      { mr->addr, 0, 0 } };
	bool yes = dev_mr_hold(r->a.dev, range, 2, DEV_REMOTE_WRITE);

	if (yes)
		dev_mr_release(r->a.dev);
	return yes;
}

static void dev_mr_hold__by_either_key(void **state)
{
	struct dr *r = *state;
	uint64_t local = UINT64_C(1) << 32;
	char mem[8];
	struct dev_mr *mr;

	assert_int_equal(dev_mr_open(r->a.dev, mem, 8, RW, &mr), 0);
	assert_true(may(r, mr, mr->key, 8));
	assert_false(may(r, mr, mr->key, 9));
	assert_false(may(r, mr, mr->key + local, 8));
	assert_true(may(r, mr, (uint32_t)mr->key, 8));
	assert_false(may(r, mr, (uint32_t)mr->key, 9));
	assert_false(may(r, mr, (uint32_t)mr->key + 1, 8));
	assert_false(may(r, mr, 0, 8));
	assert_true(may(r, mr, 0, 0));
	assert_int_equal(dev_mr_close(mr), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DR_TEST(dev_rail_add__is_the_main_device),
		DR_TEST(dev_rail_add__not_to_longer_packets),
		DR_TEST(dev_qp_open__as_asked),
		DR_TEST(dev_qp_open__without_shared_memory),
		DR_TEST(dev_qp_forbid_shm__takes_the_main_rail),
		DR_TEST(dev_post__a_peer_of_this_host),
		DR_TEST(dev_post__a_peer_of_another),
		DR_TEST(dev_post__a_batch_for_both),
		DR_TEST(dev_post__full_rail_stops_the_batch),
		DR_TEST(dev_post__rdma_by_either_rail),
		DR_TEST(dev_post__write_with_data),
		DR_TEST(dev_post__bad_local_key),
		DR_TEST(dev_mr_open__the_main_key_lies_below),
		DR_TEST(dev_mr_hold__by_either_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
