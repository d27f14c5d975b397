/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_fixture.c - an open fake EFA, with queue, queue pair and peer
 */
#include "dev_verbs_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_log.h"

static unsigned int warnings;
static char last_warning[1024];

static void note(enum u_log_level level, const char *line)
{
	if (level != U_LOG_WARN)
		return;
	warnings++;
	snprintf(last_warning, sizeof(last_warning), "%s", line);
}

unsigned int verbs_warnings(void)
{
	return warnings;
}

const char *verbs_last_warning(void)
{
	return last_warning;
}

void verbs_gid(uint8_t gid[16], uint8_t last)
{
	memset(gid, 0, 16);
	gid[0] = 0xfe;
	gid[1] = 0x80;
	gid[15] = last;
}

struct dev_ah *verbs_ah(struct verbs *v, uint8_t last, uint32_t qpn,
			uint64_t cookie)
{
	struct dev_addr addr = { .qpn = qpn, .qkey = 0x1234 };
	struct dev_ah *ah;

	verbs_gid(addr.gid, last);
	assert_int_equal(dev_ah_open(v->qp, &addr, cookie, &ah), 0);
	return ah;
}

static int open_qp(struct verbs *v, enum dev_qp_type type)
{
	const struct dev_qp_attr srd = {
		.qkey = 0x77,
		.rnr_retries = DEV_RNR_FOREVER,
	};
	const struct dev_qp_attr other = {
		.qkey = 0x77,
		.rnr_retries = DEV_RNR_TRIES,
	};

	if (type == DEV_QP_SRD)
		return dev_srd_open(v->dev, &srd, v->cq, &v->qp);
	return dev_qp_open(v->dev, type, v->cq, &other, &v->qp);
}

struct verbs *verbs_new(void)
{
	struct verbs *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	fake_reset();
	return v;
}

void verbs_setup(struct verbs *v, enum dev_qp_type type)
{
	struct dev_info *list;

	u_log_set_sink(note);
	v->config.choice = DEV_ONLY_VERBS;
	v->config.no_shm = true; /* the device alone, no rail beside it */
	assert_true(dev_list(&v->config, &list) > 0);
	assert_int_equal(dev_open(&list[0], &v->config, &v->dev), 0);
	free(list);
	assert_int_equal(dev_cq_open(v->dev, &v->cq), 0);
	assert_int_equal(open_qp(v, type), 0);
	v->hw = fake_qp(v->qp->addr.qpn);
	v->ah = verbs_ah(v, 0xaa, FIXTURE_PEER_QPN, FIXTURE_COOKIE);
}

int verbs_teardown(void **state)
{
	struct verbs *v = *state;

	if (v->ah)
		dev_ah_close(v->ah);
	if (v->qp)
		dev_qp_close(v->qp);
	dev_cq_close(v->cq);
	dev_close(v->dev);
	free(v);
	fake_assert_empty();
	return 0;
}

struct dev_wr verbs_send(struct verbs *v, uint64_t id, const char *hdr,
			 struct iovec *iov, void *data, size_t len)
{
	*iov = (struct iovec){ data, len };
	return (struct dev_wr){
		.id = id,
		.ah = v->ah,
		.op = DEV_SEND,
		.hdr = hdr,
		.hdr_len = hdr ? (uint32_t)strlen(hdr) : 0,
		.iov = iov,
		.iovcnt = 1,
		.len = len,
		.done = true,
	};
}

void verbs_send_one(struct verbs *v, uint64_t id, size_t len)
{
	static uint8_t bytes[FAKE_MTU];
	struct iovec iov;
	struct dev_wr wr = verbs_send(v, id, NULL, &iov, bytes, len);

	memset(bytes, (int)id, len);
	assert_int_equal(dev_post(v->qp, &wr, 1), 1);
	assert_false(wr.done);
}

void verbs_expect(struct verbs *v, enum dev_wc_op op, uint64_t id,
		  uint8_t status)
{
	struct dev_wc wc[4];

	assert_int_equal(dev_poll(v->cq, wc, 4), 1);
	assert_int_equal(wc[0].op, op);
	assert_int_equal(wc[0].id, id);
	assert_int_equal(wc[0].status, status);
	dev_give_back(v->cq);
}

void verbs_expect_nothing(struct verbs *v)
{
	struct dev_wc wc[4];

	assert_int_equal(dev_poll(v->cq, wc, 4), 0);
}
