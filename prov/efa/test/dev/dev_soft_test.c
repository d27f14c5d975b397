/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_soft_test.c - the software EFA through the port
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dev/dev.h"
#include "dev_fixture.h"

struct soft {
	char dir[DF_DIR];
	struct dev_config config;
	struct dev *dev;
	struct dev_cq *cq[2];
	struct dev_qp *qp[2];
	struct dev_ah *ah; /* 0 to 1; cookie 7 */
};

static int setup_refusing(void **state, uint32_t refuse_reads)
{
	struct soft *s = calloc(1, sizeof(*s));
	struct dev_info *list;

	if (df_dir_make(s->dir))
		return -1;
	s->config.shm_dir = s->dir;
	s->config.refuse_reads = refuse_reads;
	s->config.iface = "lo";
	assert_int_equal(dev_list(&s->config, &list), 1);
	assert_int_equal(dev_open(&list[0], &s->config, &s->dev), 0);
	free(list);
	*state = s;
	return 0;
}

static int setup(void **state)
{
	return setup_refusing(state, 0);
}

static int open_rdm(struct soft *s)
{
	for (uint32_t i = 0; i < 2; i++) {
		dev_cq_open(s->dev, &s->cq[i]);
		assert_int_equal(
			dev_qp_open(s->dev, DEV_QP_RDM, s->cq[i],
				    &(struct dev_qp_attr){
					    .qkey = 100 + i,
					    .rnr_retries = DEV_RNR_TRIES },
				    &s->qp[i]),
			0);
	}
	return dev_ah_open(s->qp[0], &s->qp[1]->addr, 7, &s->ah);
}

static int setup_rdm(void **state)
{
	return setup(state) ? -1 : open_rdm(*state);
}

/* The warning is that of the device, which says what it is up to. */
static int setup_third_read(void **state)
{
	if (setup_refusing(state, 3))
		return -1;
	assert_int_equal(df_warnings, 1);
	df_warnings = 0;
	return open_rdm(*state);
}

static int teardown(void **state)
{
	struct soft *s = *state;

	if (s->ah)
		dev_ah_close(s->ah);
	for (int i = 0; i < 2; i++) {
		if (s->qp[i])
			dev_qp_close(s->qp[i]);
		if (s->cq[i])
			dev_cq_close(s->cq[i]);
	}
	dev_close(s->dev);
	assert_int_equal(df_warnings, 0);
	df_dir_remove(s->dir);
	free(s);
	return 0;
}

static void dev_list__choices(void **state)
{
	struct soft *s = *state;
	struct dev_info *list;

	s->config.choice = DEV_ONLY_VERBS;
	assert_int_equal(dev_list(&s->config, &list), 0);
	free(list);
	assert_int_equal(df_warnings, 1);
	s->config.choice = DEV_ONLY_SOFT;
	assert_int_equal(dev_list(&s->config, &list), 1);
	assert_int_equal(list[0].kind, DEV_KIND_SOFT);
	assert_string_equal(list[0].name, "soft_lo");
	assert_string_equal(list[0].ifname, "lo");
	assert_string_equal(list[0].link_addr, "127.0.0.1");
	assert_int_equal(list[0].mtu, 8928);
	assert_int_equal(list[0].max_rdma, 1 << 30);
	assert_int_equal(list[0].caps, DEV_CAP_READ | DEV_CAP_WRITE |
					       DEV_CAP_UNSOLICITED |
					       DEV_CAP_QKEY | DEV_CAP_WATCHES |
					       DEV_CAP_RNR_RETRY);
	free(list);
	s->config.iface = "nosuch0";
	assert_int_equal(dev_list(&s->config, &list), -ENODEV);
	assert_int_equal(df_warnings, 2);
	df_warnings = 0;
}

static void dev_open__gone(void **state)
{
	struct soft *s = *state;
	struct dev_info info = s->dev->info;
	struct dev *dev;

	info.gid[15]++;
	assert_int_equal(dev_open(&info, &s->config, &dev), -ENODEV);
	info = s->dev->info;
	strcpy(info.ifname, "nosuch0");
	assert_int_equal(dev_open(&info, &s->config, &dev), -ENODEV);
	info.kind = DEV_KIND_RECORD;
	assert_int_equal(dev_open(&info, &s->config, &dev), -ENODEV);
	assert_int_equal(df_warnings, 2);
	df_warnings = 0;
}

static void dev_post__batch_of_sends(void **state)
{
	struct soft *s = *state;
	char payload[] = "payload";
	struct iovec iov = { payload, 7 };
	struct dev_wr wr[3];
	struct dev_addr from;

	for (uint32_t i = 0; i < 3; i++)
		wr[i] = (struct dev_wr){
			.ah = s->ah,
			.hdr = "hdr-",
			.hdr_len = 4,
			.iov = &iov,
			.iovcnt = 1,
			.len = 7,
			.op = DEV_SEND,
			.flags = i == 1 ? DEV_WR_IMM :
				 i == 2 ? DEV_WR_REQUEST :
					  0,
			.imm = 50 + i,
		};
	assert_int_equal(dev_post(s->qp[0], wr, 3), 3);
	for (uint32_t i = 0; i < 3; i++) {
		struct dev_wc wc = df_wait(s->cq[1]);

		assert_true(wr[i].done);
		assert_int_equal(wc.op, DEV_WC_RECV);
		assert_int_equal(wc.len, 11);
		assert_memory_equal(wc.data, "hdr-payload", 11);
		assert_int_equal(wc.has_imm, i == 1);
		assert_int_equal(wc.imm, i == 1 ? 51 : 0);
		assert_int_equal(dev_source(s->qp[1], wc.source, &from), 0);
		assert_memory_equal(&from, &s->qp[0]->addr, sizeof(from));
		dev_give_back(s->cq[1]);
	}
}

static void dev_post__stops_at_what_it_refuses(void **state)
{
	struct soft *s = *state;
	struct iovec iov = { NULL, 9000 };
	struct dev_wr wr[2] = {
		{ .ah = s->ah, .hdr = "x", .hdr_len = 1 },
		{ .ah = s->ah, .iov = &iov, .iovcnt = 1, .len = 9000 },
	};

	assert_int_equal(dev_post(s->qp[0], wr, 2), 1);
	assert_int_equal(dev_post(s->qp[0], wr + 1, 1), -EMSGSIZE);
	wr[1].op = DEV_WRITE_IMM + 1;
	assert_int_equal(dev_post(s->qp[0], wr + 1, 1), -EINVAL);
	wr[1].op = DEV_READ;
	wr[1].len = 9001;
	assert_int_equal(dev_post(s->qp[0], wr + 1, 1), -EINVAL);
}

/* To its end, whether at once or by completion. */
static uint8_t rdma(struct soft *s, enum dev_op op, char *local, size_t len,
		    const struct dev_mr *mr)
{
	struct iovec iov = { local, len };
	struct dev_wr wr = {
		.id = 77,
		.ah = s->ah,
		.op = op,
		.iov = &iov,
		.iovcnt = 1,
		.len = len,
		.rkey = mr->key,
		.remote = mr->addr,
		.imm = 4,
	};
	struct dev_wc wc;

	assert_int_equal(dev_post(s->qp[0], &wr, 1), 1);
	if (wr.done)
		return DEV_OK;
	wc = df_wait(s->cq[0]);
	assert_int_equal(wc.id, 77);
	assert_int_equal(wc.op, op == DEV_READ ? DEV_WC_READ : DEV_WC_WRITE);
	return wc.status;
}

static void dev_post__rdma(void **state)
{
	struct soft *s = *state;
	size_t len = 3 << 20;
	char *mem = calloc(1, len), *local = calloc(1, len);
	struct dev_mr *mr;
	struct dev_wc wc;

	assert_int_equal(dev_mr_open(s->dev, mem, len, DEV_REMOTE_READ, &mr),
			 0);
	mem[len - 1] = 5;
	assert_int_equal(rdma(s, DEV_READ, local, len, mr), DEV_OK);
	assert_int_equal(local[len - 1], 5);
	assert_int_equal(rdma(s, DEV_WRITE, local, 8, mr), DEV_BAD_RKEY);
	assert_int_equal(dev_mr_close(mr), 0);
	assert_int_equal(dev_mr_open(s->dev, mem, len, DEV_REMOTE_WRITE, &mr),
			 0);
	local[0] = 6;
	assert_int_equal(rdma(s, DEV_WRITE_IMM, local, len, mr), DEV_OK);
	assert_int_equal(mem[0], 6);
	wc = df_wait(s->cq[1]);
	assert_int_equal(wc.op, DEV_WC_WRITTEN);
	assert_int_equal(wc.imm, 4);
	assert_int_equal(wc.len, len);
	dev_give_back(s->cq[1]);
	assert_int_equal(dev_mr_close(mr), 0);
	free(mem);
	free(local);
}

/* Every third read, and nothing else. */
static void dev_post__reads_refused(void **state)
{
	struct soft *s = *state;
	char mem[8] = "memory", local[8];
	struct iovec iov = { local, 8 };
	struct dev_mr *mr;

	assert_int_equal(dev_mr_open(s->dev, mem, 8,
				     DEV_REMOTE_READ | DEV_REMOTE_WRITE, &mr),
			 0);
	for (int i = 0; i < 3; i++) {
		struct dev_wr wr = { .ah = s->ah,
				     .op = DEV_READ,
				     .iov = &iov,
				     .iovcnt = 1,
				     .len = 8,
				     .rkey = mr->key,
				     .remote = mr->addr };

		for (int k = 0; k < 2; k++)
			assert_int_equal(rdma(s, DEV_READ, local, 8, mr),
					 DEV_OK);
		assert_int_equal(rdma(s, DEV_WRITE, local, 8, mr), DEV_OK);
		assert_int_equal(dev_post(s->qp[0], &wr, 1), -ENOMEM);
	}
	assert_int_equal(dev_mr_close(mr), 0);
}

/* One bad range of several refuses them all. */
static void dev_mr_hold__all_or_none(void **state)
{
	struct soft *s = *state;
	char mem[64];
	struct dev_range r[3];
	struct dev_mr *mr;

	assert_int_equal(dev_mr_open(s->dev, mem, 64, DEV_REMOTE_WRITE, &mr),
			 0);
	for (int i = 0; i < 3; i++)
		r[i] = (struct dev_range){ mr->addr + 16, 48, mr->key };
	for (int i = 0; i < 2; i++) {
		assert_true(dev_mr_hold(s->dev, r, 3, DEV_REMOTE_WRITE));
		dev_mr_release(s->dev);
	}
	assert_false(dev_mr_hold(s->dev, r, 3, DEV_REMOTE_READ));
	assert_false(
		dev_mr_hold(s->dev, r, 3, DEV_REMOTE_READ | DEV_REMOTE_WRITE));
	r[2].len = 49;
	assert_false(dev_mr_hold(s->dev, r, 3, DEV_REMOTE_WRITE));
	assert_true(dev_mr_hold(s->dev, r, 2, DEV_REMOTE_WRITE));
	dev_mr_release(s->dev);
	r[2] = (struct dev_range){ UINT64_MAX - 8, 16, mr->key };
	assert_false(dev_mr_hold(s->dev, r, 3, DEV_REMOTE_WRITE));
	r[2] = (struct dev_range){ mr->addr, 8, mr->key | UINT64_C(1) << 32 };
	assert_false(dev_mr_hold(s->dev, r, 3, DEV_REMOTE_WRITE));
	r[2] = (struct dev_range){ 0, 0, 0 };
	assert_true(dev_mr_hold(s->dev, r, 3, DEV_REMOTE_WRITE));
	dev_mr_release(s->dev);
	r[2] = r[0];
	assert_int_equal(dev_mr_close(mr), 0);
	assert_false(dev_mr_hold(s->dev, r, 1, DEV_REMOTE_WRITE));
}

static void dev_poll__many_queue_pairs(void **state)
{
	struct soft *s = *state;
	struct dev_qp *extra[3];
	struct dev_ah *ah[3];
	int got = 0;

	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(
			dev_qp_open(s->dev, DEV_QP_RDM, s->cq[1],
				    &(struct dev_qp_attr){
					    .qkey = 200 + i,
					    .rnr_retries = DEV_RNR_TRIES },
				    &extra[i]),
			0);
		assert_int_equal(
			dev_ah_open(s->qp[0], &extra[i]->addr, i, &ah[i]), 0);
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct dev_wr wr = { .ah = ah[i], .hdr = &i, .hdr_len = 4 };

		assert_int_equal(dev_post(s->qp[0], &wr, 1), 1);
	}
	while (got < 3) {
		struct dev_wc wc = df_wait(s->cq[1]);

		assert_int_equal(wc.len, 4);
		got++;
		dev_give_back(s->cq[1]);
	}
	for (uint32_t i = 0; i < 3; i++) {
		dev_ah_close(ah[i]);
		dev_qp_close(extra[i]);
	}
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* The descriptor is the same before, with and after a second queue pair. */
static void dev_cq_fd__wakes(void **state)
{
	struct soft *s = *state;
	struct dev_wr wr = { .ah = s->ah, .hdr = "x", .hdr_len = 1 };
	int fd = dev_cq_fd(s->cq[1]);
	struct dev_qp *extra;

	assert_true(fd >= 0);
	assert_int_equal(
		dev_qp_open(s->dev, DEV_QP_RDM, s->cq[1],
			    &(struct dev_qp_attr){
				    .qkey = 300, .rnr_retries = DEV_RNR_TRIES },
			    &extra),
		0);
	assert_int_equal(dev_cq_fd(s->cq[1]), fd);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(dev_cq_arm(s->cq[1]), 0);
		assert_false(readable(fd, 0));
		assert_int_equal(dev_post(s->qp[0], &wr, 1), 1);
		assert_true(readable(fd, 1000));
		df_wait(s->cq[1]);
		dev_give_back(s->cq[1]);
	}
	assert_int_equal(dev_post(s->qp[0], &wr, 1), 1);
	assert_int_equal(dev_cq_arm(s->cq[1]), 1);
	dev_qp_close(extra);
	df_wait(s->cq[1]);
	dev_give_back(s->cq[1]);
}

static void dev_qp_close__gone(void **state)
{
	struct soft *s = *state;
	struct dev_wr wr = { .ah = s->ah, .hdr = "x", .hdr_len = 1, .id = 3 };
	struct dev_wc wc;

	assert_int_equal(dev_post(s->qp[0], &wr, 1), 1);
	dev_qp_close(s->qp[1]);
	s->qp[1] = NULL;
	assert_int_equal(dev_post(s->qp[0], &wr, 1), 1);
	assert_false(wr.done);
	wc = df_wait(s->cq[0]);
	assert_int_equal(wc.op, DEV_WC_SEND);
	assert_int_equal(wc.status, DEV_NO_QP);
	assert_int_equal(wc.id, 3);
	wc = df_wait(s->cq[0]);
	assert_int_equal(wc.op, DEV_WC_GONE);
	assert_int_equal(wc.id, 7);
}

static void dev_post_recv__ud(void **state)
{
	struct soft *s = *state;
	char buf[DEV_UD_PREFIX + 10];
	struct dev_wr wr = { .hdr = "0123456789", .hdr_len = 10 };
	struct dev_wc wc;

	for (uint32_t i = 0; i < 2; i++) {
		dev_cq_open(s->dev, &s->cq[i]);
		assert_int_equal(
			dev_qp_open(s->dev, DEV_QP_UD, s->cq[i],
				    &(struct dev_qp_attr){
					    .qkey = 400 + i,
					    .rnr_retries = DEV_RNR_TRIES },
				    &s->qp[i]),
			0);
	}
	assert_int_equal(dev_ah_open(s->qp[0], &s->qp[1]->addr, 1, &s->ah), 0);
	wr.ah = s->ah;
	assert_int_equal(dev_post_recv(s->qp[1], 8, buf, sizeof(buf), NULL), 0);
	assert_int_equal(dev_post(s->qp[0], &wr, 1), 1);
	wc = df_wait(s->cq[1]);
	assert_int_equal(wc.id, 8);
	assert_int_equal(wc.len, sizeof(buf));
	assert_memory_equal(buf + DEV_UD_PREFIX, "0123456789", 10);
}

static void srd_pair(struct soft *s, const struct dev_qp_attr *srd)
{
	for (int i = 0; i < 2; i++) {
		dev_cq_open(s->dev, &s->cq[i]);
		assert_int_equal(dev_srd_open(s->dev, srd, s->cq[i], &s->qp[i]),
				 0);
		assert_int_equal(s->qp[i]->type, DEV_QP_SRD);
	}
	assert_int_equal(dev_ah_open(s->qp[0], &s->qp[1]->addr, 1, &s->ah), 0);
}

static void dev_srd_open__retries_and_receives(void **state)
{
	struct soft *s = *state;
	struct dev_wr wr = { .id = 5, .hdr = "0123456789", .hdr_len = 10 };
	struct dev_wc wc;
	char buf[10];
	int rc;

	srd_pair(s, &(struct dev_qp_attr){ .qkey = 500, .rnr_retries = 0 });
	wr.ah = s->ah;
	while ((rc = dev_post(s->qp[0], &wr, 1)) == -EAGAIN)
		;
	assert_int_equal(rc, 1);
	wc = df_wait(s->cq[0]);
	assert_int_equal(wc.id, 5);
	assert_int_equal(wc.status, DEV_RNR);
	assert_int_equal(dev_post_recv(s->qp[1], 8, buf, sizeof(buf), NULL), 0);
	assert_int_equal(dev_post(s->qp[0], &wr, 1), 1);
	wc = df_wait(s->cq[1]);
	assert_int_equal(wc.id, 8);
	assert_int_equal(wc.len, sizeof(buf));
	assert_memory_equal(buf, "0123456789", 10);
}

/* One that uses up a receive, and one that needs none. */
static void dev_srd_open__unsolicited(void **state)
{
	static char theirs[100], ours[100] = "written";
	struct iovec iov = { ours, sizeof(ours) };
	struct dev_wr wr = { .op = DEV_WRITE_IMM,
			     .iov = &iov,
			     .iovcnt = 1,
			     .len = sizeof(ours),
			     .remote = (uintptr_t)theirs,
			     .imm = 0x99 };
	struct soft *s = *state;
	struct dev_mr *mr;
	struct dev_wc wc;

	srd_pair(s, &(struct dev_qp_attr){ .qkey = 600,
					   .rnr_retries = DEV_RNR_FOREVER,
					   .unsolicited = true });
	assert_int_equal(dev_mr_open(s->dev, theirs, sizeof(theirs),
				     DEV_REMOTE_WRITE, &mr),
			 0);
	wr.ah = s->ah;
	wr.rkey = mr->key;
	assert_int_equal(dev_post(s->qp[0], &wr, 1), 1);
	wc = df_wait(s->cq[1]);
	assert_int_equal(wc.op, DEV_WC_WRITTEN);
	assert_int_equal(wc.len, sizeof(ours));
	assert_int_equal(wc.imm, 0x99);
	assert_string_equal(theirs, "written");
	assert_int_equal(dev_mr_close(mr), 0);
}

#define DEV(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RDM(f) cmocka_unit_test_setup_teardown(f, setup_rdm, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEV(dev_list__choices),
		DEV(dev_open__gone),
		RDM(dev_post__batch_of_sends),
		RDM(dev_post__stops_at_what_it_refuses),
		RDM(dev_post__rdma),
		cmocka_unit_test_setup_teardown(dev_post__reads_refused,
						setup_third_read, teardown),
		RDM(dev_mr_hold__all_or_none),
		RDM(dev_poll__many_queue_pairs),
		RDM(dev_cq_fd__wakes),
		RDM(dev_qp_close__gone),
		DEV(dev_post_recv__ud),
		DEV(dev_srd_open__retries_and_receives),
		DEV(dev_srd_open__unsolicited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
