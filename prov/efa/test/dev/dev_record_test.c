/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_record_test.c - the recording device does what its header says
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/dev_record.h"

struct end {
	struct dev *dev;
	struct dev_cq *cq;
	struct dev_qp *qp;
	struct dev_ah *to; /* the other end; cookie 7 */
};

struct pair {
	struct end a, b;
};

static void end_open(struct end *e, enum dev_qp_type type, uint32_t qkey)
{
	assert_int_equal(dev_record_open(8928, DEV_CAP_READ | DEV_CAP_WRITE,
					 &e->dev),
			 0);
	assert_int_equal(dev_cq_open(e->dev, &e->cq), 0);
	assert_int_equal(dev_qp_open(e->dev, type, e->cq,
				     &(struct dev_qp_attr){
					     .qkey = qkey,
					     .rnr_retries = DEV_RNR_TRIES },
				     &e->qp),
			 0);
}

static int setup(void **state, enum dev_qp_type type)
{
	struct pair *p = calloc(1, sizeof(*p));

	end_open(&p->a, type, 1);
	end_open(&p->b, type, 2);
	dev_ah_open(p->a.qp, &p->b.qp->addr, 7, &p->a.to);
	dev_ah_open(p->b.qp, &p->a.qp->addr, 7, &p->b.to);
	*state = p;
	return 0;
}

static int setup_rdm(void **state)
{
	return setup(state, DEV_QP_RDM);
}

static int setup_ud(void **state)
{
	return setup(state, DEV_QP_UD);
}

static void end_close(struct end *e)
{
	if (e->to)
		dev_ah_close(e->to);
	dev_qp_close(e->qp);
	dev_cq_close(e->cq);
	dev_close(e->dev);
}

static int teardown(void **state)
{
	struct pair *p = *state;

	end_close(&p->a);
	end_close(&p->b);
	free(p);
	return 0;
}

static struct dev_wr send_of(struct end *e, uint64_t id, const char *text)
{
	return (struct dev_wr){
		.id = id,
		.ah = e->to,
		.op = DEV_SEND,
		.hdr = text,
		.hdr_len = (uint32_t)strlen(text),
	};
}

static void post_text(struct end *e, uint64_t id, const char *text)
{
	struct dev_wr wr = send_of(e, id, text);

	assert_int_equal(dev_post(e->qp, &wr, 1), 1);
}

/* The next completion must be this text. */
static void expect_text(struct end *e, const char *text)
{
	struct dev_wc wc;

	assert_int_equal(dev_poll(e->cq, &wc, 1), 1);
	assert_int_equal(wc.op, DEV_WC_RECV);
	assert_int_equal(wc.len, strlen(text));
	assert_memory_equal(wc.data, text, wc.len);
	dev_give_back(e->cq);
}

static void expect_done(struct end *e, enum dev_wc_op op, uint64_t id,
			enum dev_status status)
{
	struct dev_wc wc;

	assert_int_equal(dev_poll(e->cq, &wc, 1), 1);
	assert_int_equal(wc.op, op);
	assert_int_equal(wc.id, id);
	assert_int_equal(wc.status, status);
	dev_give_back(e->cq);
}

static void expect_nothing(struct end *e)
{
	struct dev_wc wc;

	assert_int_equal(dev_poll(e->cq, &wc, 1), 0);
}

static void dev_post__gathers_and_records(void **state)
{
	struct pair *p = *state;
	char text[] = "bcdefgh";
	struct iovec iov[2] = { { text, 3 }, { text + 3, 4 } };
	struct dev_wr wr = send_of(&p->a, 5, "a");
	struct dev_record_wr *r;

	wr.iov = iov;
	wr.iovcnt = 2;
	wr.len = 5;
	assert_int_equal(dev_post(p->a.qp, &wr, 1), 1);
	assert_false(wr.done);
	r = dev_record_peek(p->a.qp);
	assert_int_equal(r->len, 6);
	assert_memory_equal(r->data, "abcdef", 6);
	assert_int_equal(r->id, 5);
	assert_int_equal(r->cookie, 7);
	assert_ptr_equal(r->ah, p->a.to);
	assert_ptr_equal(dev_record_take(p->a.qp), r);
	assert_null(dev_record_peek(p->a.qp));
	dev_record_free(r);
}

static void dev_post__refuses(void **state)
{
	struct pair *p = *state;
	struct iovec iov = { NULL, 8928 };
	struct dev_wr wr = send_of(&p->a, 1, "x");

	wr.iov = &iov;
	wr.iovcnt = 1;
	wr.len = 8928;
	assert_int_equal(dev_post(p->a.qp, &wr, 1), -EMSGSIZE);
	wr = send_of(&p->a, 1, "x");
	wr.ah = NULL;
	assert_int_equal(dev_post(p->a.qp, &wr, 1), -EINVAL);
	dev_record_set_room(p->a.dev, 2);
	post_text(&p->a, 1, "x");
	post_text(&p->a, 2, "x");
	wr = send_of(&p->a, 3, "x");
	assert_int_equal(dev_post(p->a.qp, &wr, 1), -EAGAIN);
	dev_record_set_room(p->a.dev, -1);
	post_text(&p->a, 4, "x");
}

static void dev_record_deliver__any_order_and_twice(void **state)
{
	struct pair *p = *state;
	struct dev_record_wr *one, *two;

	post_text(&p->a, 1, "one");
	post_text(&p->a, 2, "two");
	expect_nothing(&p->b);
	one = dev_record_take(p->a.qp);
	two = dev_record_take(p->a.qp);
	assert_int_equal(dev_record_deliver(two, true), 0);
	assert_int_equal(dev_record_deliver(one, false), 0);
	assert_int_equal(dev_record_deliver(two, false), 0);
	expect_text(&p->b, "two");
	expect_text(&p->b, "one");
	expect_text(&p->b, "two");
	expect_done(&p->a, DEV_WC_SEND, 2, DEV_OK);
	expect_nothing(&p->a);
	dev_record_complete(one, DEV_UNRESPONSIVE);
	expect_done(&p->a, DEV_WC_SEND, 1, DEV_UNRESPONSIVE);
	dev_record_free(one);
	dev_record_free(two);
}

static void dev_record_set_inline__no_completion(void **state)
{
	struct pair *p = *state;
	struct dev_wr wr = send_of(&p->a, 1, "x");

	dev_record_set_inline(p->a.dev, true);
	assert_int_equal(dev_post(p->a.qp, &wr, 1), 1);
	assert_true(wr.done);
	assert_int_equal(dev_record_run(), 1);
	expect_text(&p->b, "x");
	expect_nothing(&p->a);
}

static struct dev_wr rdma_of(struct end *e, enum dev_op op,
			     const struct iovec *iov, const struct dev_mr *mr)
{
	return (struct dev_wr){
		.id = 9,
		.ah = e->to,
		.op = op,
		.iov = iov,
		.iovcnt = 1,
		.len = iov->iov_len,
		.remote = mr->addr,
		.rkey = mr->key,
		.imm = 3,
	};
}

static void check_rdma(struct pair *p, bool done_at_post)
{
	char mem[8] = "remote", local[8] = "local";
	struct iovec iov = { local, 8 };
	struct dev_mr *mr;
	struct dev_wr wr;
	struct dev_wc wc;

	dev_record_set_inline(p->a.dev, done_at_post);
	assert_int_equal(dev_mr_open(p->b.dev, mem, 8, DEV_REMOTE_WRITE, &mr),
			 0);
	wr = rdma_of(&p->a, DEV_WRITE_IMM, &iov, mr);
	assert_int_equal(dev_post(p->a.qp, &wr, 1), 1);
	assert_int_equal(wr.done, done_at_post);
	assert_string_equal(mem, done_at_post ? "local" : "remote");
	assert_int_equal(dev_record_run(), 1);
	assert_string_equal(mem, "local");
	assert_int_equal(dev_poll(p->b.cq, &wc, 1), 1);
	assert_int_equal(wc.op, DEV_WC_WRITTEN);
	assert_int_equal(wc.imm, 3);
	dev_give_back(p->b.cq);
	if (!done_at_post)
		expect_done(&p->a, DEV_WC_WRITE, 9, DEV_OK);

	wr = rdma_of(&p->a, DEV_READ, &iov, mr);
	assert_int_equal(dev_post(p->a.qp, &wr, 1), 1);
	assert_false(wr.done);
	assert_int_equal(dev_record_run(), 1);
	expect_done(&p->a, DEV_WC_READ, 9, DEV_BAD_RKEY);
	assert_int_equal(dev_mr_close(mr), 0);
}

static void dev_mr_hold__as_registered(void **state)
{
	struct pair *p = *state;
	char mem[8];
	struct dev_range r[2];
	struct dev_mr *mr;

	assert_int_equal(dev_mr_open(p->b.dev, mem, 8, DEV_REMOTE_WRITE, &mr),
			 0);
	r[0] = (struct dev_range){ mr->addr, 8, mr->key };
	r[1] = (struct dev_range){ mr->addr + 4, 4, mr->key };
	assert_true(dev_mr_hold(p->b.dev, r, 2, DEV_REMOTE_WRITE));
	dev_mr_release(p->b.dev);
	assert_false(dev_mr_hold(p->b.dev, r, 2, DEV_REMOTE_READ));
	r[1].len = 5;
	assert_false(dev_mr_hold(p->b.dev, r, 2, DEV_REMOTE_WRITE));
	r[1] = (struct dev_range){ mr->addr, 4, mr->key + 1 };
	assert_false(dev_mr_hold(p->b.dev, r, 2, DEV_REMOTE_WRITE));
	r[1].len = 0;
	assert_true(dev_mr_hold(p->b.dev, r, 2, DEV_REMOTE_WRITE));
	dev_mr_release(p->b.dev);
	assert_int_equal(dev_mr_close(mr), 0);
}

static void dev_record_deliver__rdma(void **state)
{
	check_rdma(*state, false);
}

static void dev_record_set_inline__rdma(void **state)
{
	check_rdma(*state, true);
}

static void dev_record_run__nobody_there(void **state)
{
	struct pair *p = *state;
	struct dev_record_wr *wr;

	dev_ah_close(p->b.to);
	p->b.to = NULL;
	end_close(&p->b);
	post_text(&p->a, 4, "x");
	wr = dev_record_peek(p->a.qp);
	assert_int_equal(dev_record_deliver(wr, true), -ENOENT);
	assert_int_equal(dev_record_run(), 1);
	expect_done(&p->a, DEV_WC_SEND, 4, DEV_NO_QP);
	end_open(&p->b, DEV_QP_RDM, 2);
}

static void dev_ah_close__forgets(void **state)
{
	struct pair *p = *state;
	struct dev_record_wr *wr;

	post_text(&p->a, 4, "x");
	wr = dev_record_take(p->a.qp);
	post_text(&p->a, 5, "y");
	dev_ah_close(p->a.to);
	p->a.to = NULL;
	assert_null(dev_record_peek(p->a.qp)->ah);
	assert_int_equal(dev_record_deliver(wr, true), 0);
	assert_int_equal(dev_record_run(), 1);
	expect_nothing(&p->a);
	expect_text(&p->b, "x");
	expect_text(&p->b, "y");
	dev_record_free(wr);
}

static void dev_source__dense(void **state)
{
	struct pair *p = *state;
	struct dev_addr addr;
	struct dev_wc wc[2];

	dev_record_inject(p->b.qp, &p->a.qp->addr, "abc", 3);
	dev_record_inject(p->b.qp, NULL, "d", 1);
	assert_int_equal(dev_poll(p->b.cq, wc, 2), 2);
	assert_int_equal(wc[0].source, 0);
	assert_int_equal(wc[1].source, DEV_SOURCE_UNKNOWN);
	assert_int_equal(dev_source(p->b.qp, 0, &addr), 0);
	assert_memory_equal(&addr, &p->a.qp->addr, sizeof(addr));
	assert_int_equal(dev_source(p->b.qp, 1, &addr), -ENOENT);
	dev_give_back(p->b.cq);
}

static void dev_record_gone__and_pressure(void **state)
{
	struct pair *p = *state;

	dev_record_gone(p->a.qp, 7);
	expect_done(&p->a, DEV_WC_GONE, 7, DEV_OK);
	dev_set_pressure(p->b.qp, true);
	assert_true(dev_record_pressure(p->b.qp));
	dev_set_pressure(p->b.qp, false);
	assert_false(dev_record_pressure(p->b.qp));
}

static void dev_record_run__ud(void **state)
{
	struct pair *p = *state;
	char buf[DEV_UD_PREFIX + 3];

	post_text(&p->a, 1, "abc");
	post_text(&p->a, 2, "too long");
	assert_int_equal(dev_record_run(), 0);
	assert_int_equal(dev_post_recv(p->b.qp, 11, buf, sizeof(buf), NULL), 0);
	assert_int_equal(dev_record_run(), 1);
	expect_done(&p->b, DEV_WC_RECV, 11, DEV_OK);
	assert_memory_equal(buf + DEV_UD_PREFIX, "abc", 3);
	assert_int_equal(dev_post_recv(p->b.qp, 12, buf, sizeof(buf), NULL), 0);
	assert_int_equal(dev_record_run(), 1);
	expect_nothing(&p->b);
	expect_done(&p->a, DEV_WC_SEND, 1, DEV_OK);
	expect_done(&p->a, DEV_WC_SEND, 2, DEV_OK);
}

#define RDM(f) cmocka_unit_test_setup_teardown(f, setup_rdm, teardown)
#define UD(f) cmocka_unit_test_setup_teardown(f, setup_ud, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RDM(dev_post__gathers_and_records),
		RDM(dev_post__refuses),
		RDM(dev_record_deliver__any_order_and_twice),
		RDM(dev_record_set_inline__no_completion),
		RDM(dev_mr_hold__as_registered),
		RDM(dev_record_deliver__rdma),
		RDM(dev_record_set_inline__rdma),
		RDM(dev_record_run__nobody_there),
		RDM(dev_ah_close__forgets),
		RDM(dev_source__dense),
		RDM(dev_record_gone__and_pressure),
		UD(dev_record_run__ud),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
