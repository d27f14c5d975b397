/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_fence_test.c - FI_FENCE: nothing begins while something before it is
 * under way to the same peer
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

#define LONG (1 << 20) /* bytes that a peer who does not poll leaves there */
#define ALL (FI_MSG | FI_TAGGED | FI_RMA | FI_ATOMIC | FI_FENCE)

static struct fixture f;
static uint8_t out[LONG], in[LONG];
static uint64_t word = 7, target;
static struct fid_mr *mr;
static int first, fenced, receive; /* contexts */

static int setup(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .caps = ALL });
	assert_int_equal(fi_mr_reg(f.domain, &target, sizeof(target),
				   FI_REMOTE_READ | FI_REMOTE_WRITE, 0, 0, 0,
				   &mr, NULL),
			 0);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(fi_close(&mr->fid), 0);
	fixture_close(&f);
	return 0;
}

/* A word to who, in each of the ways that have flags. */
static ssize_t post_send(int who)
{
	struct iovec iov = { &word, sizeof(word) };
	struct fi_msg msg = { .msg_iov = &iov,
			      .iov_count = 1,
			      .addr = f.addr[who],
			      .context = &fenced };

	return fi_sendmsg(f.ep[0], &msg, FI_FENCE | FI_COMPLETION);
}

static ssize_t post_tagged(int who)
{
	struct iovec iov = { &word, sizeof(word) };
	struct fi_msg_tagged msg = { .msg_iov = &iov,
				     .iov_count = 1,
				     .addr = f.addr[who],
				     .context = &fenced };

	return fi_tsendmsg(f.ep[0], &msg, FI_FENCE | FI_COMPLETION);
}

static ssize_t post_rma(int who, bool read)
{
	struct iovec iov = { &word, sizeof(word) };
	struct fi_rma_iov there = { (uintptr_t)&target, sizeof(target),
				    fi_mr_key(mr) };
	struct fi_msg_rma msg = { .msg_iov = &iov,
				  .iov_count = 1,
				  .addr = f.addr[who],
				  .rma_iov = &there,
				  .rma_iov_count = 1,
				  .context = &fenced };

	return read ? fi_readmsg(f.ep[0], &msg, FI_FENCE | FI_COMPLETION) :
		      fi_writemsg(f.ep[0], &msg, FI_FENCE | FI_COMPLETION);
}

static ssize_t post_read(int who)
{
	return post_rma(who, true);
}

static ssize_t post_write(int who)
{
	return post_rma(who, false);
}

static ssize_t post_atomic(int who)
{
	struct fi_ioc ioc = { &word, 1 };
	struct fi_rma_ioc there = { (uintptr_t)&target, 1, fi_mr_key(mr) };
	struct fi_msg_atomic msg = { .msg_iov = &ioc,
				     .iov_count = 1,
				     .addr = f.addr[who],
				     .rma_iov = &there,
				     .rma_iov_count = 1,
				     .datatype = FI_UINT64,
				     .op = FI_SUM,
				     .context = &fenced };

	return fi_atomicmsg(f.ep[0], &msg, FI_FENCE | FI_COMPLETION);
}

/* The send is last: it lies in the way of the next receive. */
static ssize_t (*const posts[])(int who) = { post_tagged, post_read, post_write,
					     post_atomic, post_send };

/* Entry of endpoint 0 with that context. */
static void expect_done(const void *context)
{
	assert_ptr_equal(fixture_entry(&f, 0).op_context, context);
}

/* Both ends know each other, so that what is long waits to be read. */
static void greet(void)
{
	for (int who = 0; who < 2; who++) {
		assert_int_equal(fi_recv(f.ep[!who], in, 1, NULL,
					 FI_ADDR_UNSPEC, &receive),
				 0);
		assert_int_equal(fi_send(f.ep[who], out, 1, NULL, f.addr[!who],
					 &first),
				 0);
		fixture_entry(&f, !who);
		fixture_entry(&f, who);
	}
}

static void post_long(void)
{
	assert_int_equal(fi_send(f.ep[0], out, LONG, NULL, f.addr[1], &first),
			 0);
}

static void take_long(void)
{
	assert_int_equal(
		fi_recv(f.ep[1], in, LONG, NULL, FI_ADDR_UNSPEC, &receive), 0);
	assert_int_equal(fixture_entry(&f, 1).len, LONG);
	expect_done(&first);
}

static void fence__waits_for_what_is_under_way(void **state)
{
	greet();
	for (size_t i = 0; i < u_array_size(posts); i++) {
		post_long();
		for (int turn = 0; turn < 100; turn++)
			assert_int_equal(posts[i](1), -FI_EAGAIN);
		fixture_quiet(&f);
		take_long();
		assert_int_equal(posts[i](1), 0);
		expect_done(&fenced);
	}
}

static void fence__other_peers_do_not_matter(void **state)
{
	greet();
	post_long();
	for (size_t i = 0; i < u_array_size(posts); i++) {
		assert_int_equal(posts[i](0), 0);
		expect_done(&fenced);
	}
	take_long();
}

static void fence__what_is_refused_is_refused_at_once(void **state)
{
	struct fi_msg msg = { .addr = f.addr[1] };

	greet();
	post_long();
	assert_int_equal(fi_sendmsg(f.ep[0], &msg,
				    FI_FENCE | FI_COMMIT_COMPLETE),
			 -FI_EOPNOTSUPP);
	msg.addr = 12345;
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_FENCE), -FI_EINVAL);
	take_long();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(fence__waits_for_what_is_under_way),
		TEST(fence__other_peers_do_not_matter),
		TEST(fence__what_is_refused_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
