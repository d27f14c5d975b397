/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_msg_test.c - every call of messages, tagged messages and RMA, and the
 * completions they end in
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

static struct fixture f;
static char out[64] = "what goes out", in[64];
static int tx, rx; /* contexts */

static int setup(void **state)
{
	memset(in, 0, sizeof(in));
	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	return 0;
}

static int teardown(void **state)
{
	fixture_close(&f);
	return 0;
}

static void check_sent(uint64_t flags)
{
	struct fi_cq_tagged_entry entry = fixture_entry(&f, 0);

	assert_ptr_equal(entry.op_context, &tx);
	assert_true(entry.flags == flags);
}

static struct fi_cq_tagged_entry check_received(uint64_t flags, size_t len)
{
	struct fi_cq_tagged_entry entry = fixture_entry(&f, 1);

	assert_ptr_equal(entry.op_context, &rx);
	assert_true(entry.flags == flags);
	assert_int_equal(entry.len, len);
	assert_memory_equal(in, out, len);
	return entry;
}

static void post_recv(void)
{
	assert_int_equal(
		fi_recv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC, &rx), 0);
}

static void post_trecv(uint64_t tag)
{
	assert_int_equal(fi_trecv(f.ep[1], in, sizeof(in), NULL, f.addr[0], tag,
				  0, &rx),
			 0);
}

/* ---- messages ------------------------------------------------------------ */

static void send__is_received(void **state)
{
	post_recv();
	assert_int_equal(fi_send(f.ep[0], out, 10, NULL, f.addr[1], &tx), 0);
	check_received(FI_RECV | FI_MSG, 10);
	check_sent(FI_SEND | FI_MSG);
	fixture_quiet(&f);
}

static void send__of_nothing(void **state)
{
	post_recv();
	assert_int_equal(fi_send(f.ep[0], NULL, 0, NULL, f.addr[1], &tx), 0);
	check_received(FI_RECV | FI_MSG, 0);
	check_sent(FI_SEND | FI_MSG);
}

static void send__to_nobody(void **state)
{
	assert_int_equal(fi_send(f.ep[0], out, 1, NULL, 77, &tx), -FI_EINVAL);
	assert_int_equal(fi_send(f.ep[0], out, 1, NULL, FI_ADDR_UNSPEC, &tx),
			 -FI_EINVAL);
}

static void sendv__gathers_and_recvv_scatters(void **state)
{
	struct iovec from[3] = { { out, 4 }, { out + 4, 0 }, { out + 4, 8 } };
	struct iovec to[2] = { { in, 5 }, { in + 5, 20 } };

	assert_int_equal(fi_recvv(f.ep[1], to, NULL, 2, FI_ADDR_UNSPEC, &rx),
			 0);
	assert_int_equal(fi_sendv(f.ep[0], from, NULL, 3, f.addr[1], &tx), 0);
	check_received(FI_RECV | FI_MSG, 12);
	check_sent(FI_SEND | FI_MSG);
	assert_int_equal(fi_sendv(f.ep[0], from, NULL, 5, f.addr[1], &tx),
			 -FI_EINVAL);
	assert_int_equal(fi_recvv(f.ep[1], to, NULL, 5, FI_ADDR_UNSPEC, &rx),
			 -FI_EINVAL);
}

static void recvmsg__multi_recv_is_one_piece(void **state)
{
	struct iovec iov[] = { { in, 8 }, { in + 16, 8 } };
	struct fi_msg msg = { .msg_iov = iov,
			      .iov_count = 2,
			      .addr = FI_ADDR_UNSPEC };

	assert_int_equal(fi_recvmsg(f.ep[1], &msg, FI_MULTI_RECV), -FI_EINVAL);
	fixture_quiet(&f);
}

static void sendmsg__carries_data(void **state)
{
	struct iovec iov = { out, 7 };
	struct fi_msg msg = { .msg_iov = &iov,
			      .iov_count = 1,
			      .addr = f.addr[1],
			      .context = &tx,
			      .data = UINT64_C(0x1122334455667788) };

	post_recv();
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_REMOTE_CQ_DATA), 0);
	assert_true(
		check_received(FI_RECV | FI_MSG | FI_REMOTE_CQ_DATA, 7).data ==
		msg.data);
	check_sent(FI_SEND | FI_MSG);
}

static void sendmsg__of_nothing_at_all(void **state)
{
	struct fi_msg msg = { .addr = f.addr[1], .context = &tx };

	post_recv();
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_MORE), 0);
	check_received(FI_RECV | FI_MSG, 0);
	check_sent(FI_SEND | FI_MSG);
}

static void sendmsg__flags_that_cannot_be_served(void **state)
{
	struct fi_msg msg = { .addr = f.addr[1], .context = &tx };

	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_TRIGGER), -FI_ENOSYS);
	assert_int_equal(fi_recvmsg(f.ep[1], &msg, FI_TRIGGER), -FI_ENOSYS);
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_COMMIT_COMPLETE),
			 -FI_EOPNOTSUPP);
	fixture_quiet(&f);
}

static void sendmsg__delivery_complete_waits_for_the_match(void **state)
{
	struct iovec iov = { out, 7 };
	struct fi_msg msg = { .msg_iov = &iov,
			      .iov_count = 1,
			      .addr = f.addr[1],
			      .context = &tx };

	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_DELIVERY_COMPLETE), 0);
	fixture_quiet(&f);
	post_recv();
	check_received(FI_RECV | FI_MSG, 7);
	check_sent(FI_SEND | FI_MSG);
}

/* As the default of all calls that have no flags. */
static void op_flags__delivery_complete(void **state)
{
	uint64_t flags = FI_TRANSMIT | FI_DELIVERY_COMPLETE | FI_COMPLETION;

	assert_int_equal(fi_control(&f.ep[0]->fid, FI_SETOPSFLAG, &flags), 0);
	assert_int_equal(fi_send(f.ep[0], out, 7, NULL, f.addr[1], &tx), 0);
	fixture_quiet(&f);
	post_recv();
	check_received(FI_RECV | FI_MSG, 7);
	check_sent(FI_SEND | FI_MSG);
	flags = FI_TRANSMIT | FI_COMPLETION;
	assert_int_equal(fi_control(&f.ep[0]->fid, FI_SETOPSFLAG, &flags), 0);
}

static void inject__leaves_no_trace(void **state)
{
	char copy[16];

	post_recv();
	memcpy(copy, out, sizeof(copy));
	assert_int_equal(fi_inject(f.ep[0], copy, 9, f.addr[1]), 0);
	memset(copy, 'x', sizeof(copy));
	check_received(FI_RECV | FI_MSG, 9);
	fixture_quiet(&f);
}

static void inject__of_its_limit_and_beyond(void **state)
{
	size_t limit = f.info->tx_attr->inject_size;
	char *big = calloc(2, limit), *to = calloc(2, limit);

	assert_int_equal(fi_recv(f.ep[1], to, limit, NULL, FI_ADDR_UNSPEC, &rx),
			 0);
	/* A little more than promised may go, but not two packets. */
	assert_int_equal(fi_inject(f.ep[0], big, 2 * limit, f.addr[1]),
			 -FI_EMSGSIZE);
	memset(big, 'b', limit);
	assert_int_equal(fi_inject(f.ep[0], big, limit, f.addr[1]), 0);
	assert_int_equal(fixture_entry(&f, 1).len, limit);
	assert_memory_equal(big, to, limit);
	free(big);
	free(to);
}

static void data__with_every_call_that_has_it(void **state)
{
	const uint64_t flags = FI_RECV | FI_MSG | FI_REMOTE_CQ_DATA;

	post_recv();
	assert_int_equal(fi_senddata(f.ep[0], out, 3, NULL, 17, f.addr[1], &tx),
			 0);
	assert_int_equal(check_received(flags, 3).data, 17);
	check_sent(FI_SEND | FI_MSG);
	post_recv();
	assert_int_equal(fi_injectdata(f.ep[0], out, 4, 18, f.addr[1]), 0);
	assert_int_equal(check_received(flags, 4).data, 18);
	fixture_quiet(&f);
}

/* ---- tagged -------------------------------------------------------------- */

static void tsend__is_received_with_its_tag(void **state)
{
	post_trecv(0xfeed);
	assert_int_equal(
		fi_tsend(f.ep[0], out, 10, NULL, f.addr[1], 0xbeef, &tx), 0);
	check_sent(FI_SEND | FI_TAGGED);
	assert_int_equal(
		fi_tsend(f.ep[0], out, 11, NULL, f.addr[1], 0xfeed, &tx), 0);
	assert_int_equal(check_received(FI_RECV | FI_TAGGED, 11).tag, 0xfeed);
	check_sent(FI_SEND | FI_TAGGED);
}

static void tsend__all_other_calls(void **state)
{
	const uint64_t flags = FI_RECV | FI_TAGGED | FI_REMOTE_CQ_DATA;
	struct iovec iov[2] = { { out, 3 }, { out + 3, 3 } };
	struct fi_msg_tagged msg = { .addr = f.addr[1],
				     .tag = 5,
				     .context = &tx,
				     .msg_iov = iov,
				     .iov_count = 2,
				     .data = 9 };

	post_trecv(5);
	assert_int_equal(fi_tsendv(f.ep[0], iov, NULL, 2, f.addr[1], 5, &tx),
			 0);
	check_received(FI_RECV | FI_TAGGED, 6);
	check_sent(FI_SEND | FI_TAGGED);
	post_trecv(5);
	assert_int_equal(fi_tsendmsg(f.ep[0], &msg, FI_REMOTE_CQ_DATA), 0);
	assert_int_equal(check_received(flags, 6).data, 9);
	check_sent(FI_SEND | FI_TAGGED);
	post_trecv(5);
	assert_int_equal(fi_tinject(f.ep[0], out, 8, f.addr[1], 5), 0);
	check_received(FI_RECV | FI_TAGGED, 8);
	post_trecv(5);
	assert_int_equal(fi_tinjectdata(f.ep[0], out, 8, 1, f.addr[1], 5), 0);
	assert_int_equal(check_received(flags, 8).data, 1);
	post_trecv(5);
	assert_int_equal(
		fi_tsenddata(f.ep[0], out, 8, NULL, 2, f.addr[1], 5, &tx), 0);
	assert_int_equal(check_received(flags, 8).data, 2);
	check_sent(FI_SEND | FI_TAGGED);
	fixture_quiet(&f);
}

static ssize_t trecvmsg(uint64_t tag, uint64_t flags)
{
	struct iovec iov = { in, sizeof(in) };
	struct fi_msg_tagged msg = { .addr = f.addr[0],
				     .tag = tag,
				     .context = &rx };

	if (!(flags & (FI_PEEK | FI_DISCARD))) {
		msg.msg_iov = &iov;
		msg.iov_count = 1;
	}
	return fi_trecvmsg(f.ep[1], &msg, flags);
}

static void peek__finds_nothing(void **state)
{
	struct fi_cq_err_entry error;

	assert_int_equal(trecvmsg(1, FI_PEEK), 0);
	error = fixture_error(&f, 1);
	assert_int_equal(error.err, FI_ENOMSG);
	assert_ptr_equal(error.op_context, &rx);
	assert_true(error.flags & FI_RECV);
	fixture_quiet(&f);
}

/* Looks until the message is there. */
static struct fi_cq_tagged_entry peek(uint64_t tag, uint64_t flags)
{
	struct fi_cq_tagged_entry entry;
	struct fi_cq_err_entry error;
	ssize_t ret;

	for (;;) {
		assert_int_equal(trecvmsg(tag, FI_PEEK | flags), 0);
		ret = fixture_read(&f, 1, &entry, 1);
		if (ret == 1)
			return entry;
		assert_int_equal(ret, -FI_EAVAIL);
		assert_int_equal(fi_cq_readerr(f.cq[1], &error, 0), 1);
		assert_int_equal(error.err, FI_ENOMSG);
	}
}

static void peek__tells_all_and_takes_nothing(void **state)
{
	struct fi_cq_tagged_entry entry;

	assert_int_equal(fi_tinjectdata(f.ep[0], out, 12, 7, f.addr[1], 3), 0);
	for (int i = 0; i < 2; i++) {
		entry = peek(3, 0);
		assert_int_equal(entry.len, 12);
		assert_int_equal(entry.tag, 3);
		assert_int_equal(entry.data, 7);
		assert_true(entry.flags & FI_REMOTE_CQ_DATA);
	}
	post_trecv(3);
	check_received(FI_RECV | FI_TAGGED | FI_REMOTE_CQ_DATA, 12);
}

static void peek__claim_then_receive(void **state)
{
	assert_int_equal(fi_tinject(f.ep[0], out, 12, f.addr[1], 3), 0);
	assert_int_equal(peek(3, FI_CLAIM).len, 12);
	/* Another receive does not get what is claimed. */
	assert_int_equal(trecvmsg(3, FI_PEEK), 0);
	assert_int_equal(fixture_error(&f, 1).err, FI_ENOMSG);
	assert_int_equal(trecvmsg(3, FI_CLAIM), 0);
	check_received(FI_RECV | FI_TAGGED, 12);
	fixture_quiet(&f);
}

static void peek__discard_and_claim_discard(void **state)
{
	assert_int_equal(fi_tinject(f.ep[0], out, 12, f.addr[1], 3), 0);
	peek(3, FI_DISCARD);
	assert_int_equal(trecvmsg(3, FI_PEEK), 0);
	assert_int_equal(fixture_error(&f, 1).err, FI_ENOMSG);
	assert_int_equal(fi_tinject(f.ep[0], out, 12, f.addr[1], 3), 0);
	peek(3, FI_CLAIM);
	assert_int_equal(trecvmsg(3, FI_CLAIM | FI_DISCARD), 0);
	assert_ptr_equal(fixture_entry(&f, 1).op_context, &rx);
	fixture_quiet(&f);
}

static void directed__takes_from_the_one_named(void **state)
{
	char other[8] = "";

	assert_int_equal(
		fi_trecv(f.ep[1], other, 8, NULL, f.addr[1], 4, 0, other), 0);
	post_trecv(4);
	assert_int_equal(fi_tinject(f.ep[0], out, 8, f.addr[1], 4), 0);
	check_received(FI_RECV | FI_TAGGED, 8);
	/* A message to oneself. */
	assert_int_equal(fi_tinject(f.ep[1], out, 8, f.addr[1], 4), 0);
	assert_ptr_equal(fixture_entry(&f, 1).op_context, other);
	assert_memory_equal(other, out, 8);
}

static void remove__then_insert_again(void **state)
{
	uint8_t name[EFA_ADDR_LEN];
	size_t len = sizeof(name);

	post_trecv(1);
	assert_int_equal(fi_tinject(f.ep[0], out, 8, f.addr[1], 1), 0);
	check_received(FI_RECV | FI_TAGGED, 8);
	assert_int_equal(fi_getname(&f.ep[1]->fid, name, &len), 0);
	assert_int_equal(fi_av_remove(f.av, &f.addr[1], 1, 0), 0);
	assert_int_equal(fi_tinject(f.ep[0], out, 8, f.addr[1], 1), -FI_EINVAL);
	assert_int_equal(fi_av_insert(f.av, name, 1, &f.addr[1], 0, NULL), 1);
	post_trecv(1);
	assert_int_equal(fi_tinject(f.ep[0], out, 9, f.addr[1], 1), 0);
	check_received(FI_RECV | FI_TAGGED, 9);
}

/* ---- remote memory ------------------------------------------------------- */

static char target[256];

static uint64_t target_key(struct fid_mr **mr)
{
	assert_int_equal(fi_mr_reg(f.domain, target, sizeof(target),
				   FI_REMOTE_READ | FI_REMOTE_WRITE, 0, 0, 0,
				   mr, NULL),
			 0);
	return fi_mr_key(*mr);
}

static void rma__write_then_read(void **state)
{
	uint64_t at = (uintptr_t)target;
	struct fid_mr *mr;
	uint64_t key = target_key(&mr);

	assert_int_equal(
		fi_write(f.ep[0], out, 16, NULL, f.addr[1], at, key, &tx), 0);
	check_sent(FI_RMA | FI_WRITE);
	assert_memory_equal(target, out, 16);
	assert_int_equal(
		fi_read(f.ep[0], in, 16, NULL, f.addr[1], at, key, &tx), 0);
	check_sent(FI_RMA | FI_READ);
	assert_memory_equal(in, out, 16);
	fixture_quiet(&f);
	assert_int_equal(fi_close(&mr->fid), 0);
}

static void rma__write_with_data_tells_the_target(void **state)
{
	struct fi_cq_tagged_entry entry;
	struct fid_mr *mr;
	uint64_t key = target_key(&mr);

	assert_int_equal(fi_writedata(f.ep[0], out, 5, NULL, 0xabcd, f.addr[1],
				      (uintptr_t)target, key, &tx),
			 0);
	entry = fixture_entry(&f, 1);
	assert_null(entry.op_context);
	assert_true(entry.flags ==
		    (FI_RMA | FI_REMOTE_WRITE | FI_REMOTE_CQ_DATA));
	assert_int_equal(entry.data, 0xabcd);
	assert_int_equal(entry.len, 5);
	check_sent(FI_RMA | FI_WRITE);
	assert_int_equal(fi_close(&mr->fid), 0);
}

static void rma__msg_and_inject(void **state)
{
	struct iovec iov = { out, 9 };
	struct fid_mr *mr;
	struct fi_rma_iov where = { (uintptr_t)target, 9, target_key(&mr) };
	struct fi_msg_rma msg = { .msg_iov = &iov,
				  .iov_count = 1,
				  .addr = f.addr[1],
				  .rma_iov = &where,
				  .rma_iov_count = 1,
				  .context = &tx };

	memset(target, 0, sizeof(target));
	assert_int_equal(fi_writemsg(f.ep[0], &msg, FI_DELIVERY_COMPLETE), 0);
	check_sent(FI_RMA | FI_WRITE);
	assert_memory_equal(target, out, 9);
	iov.iov_base = in;
	assert_int_equal(fi_readmsg(f.ep[0], &msg, 0), 0);
	check_sent(FI_RMA | FI_READ);
	assert_memory_equal(in, out, 9);
	assert_int_equal(fi_inject_write(f.ep[0], out, 12, f.addr[1],
					 (uintptr_t)target, where.key),
			 0);
	fixture_quiet(&f);
	assert_memory_equal(target, out, 12);
	assert_int_equal(fi_close(&mr->fid), 0);
}

static void rma__mistakes(void **state)
{
	struct iovec iov[5] = { { out, 4 }, { out, 4 } };
	struct fi_rma_iov where = { 0, 5, 1 };
	struct fi_msg_rma msg = { .msg_iov = iov,
				  .iov_count = 1,
				  .addr = f.addr[1],
				  .rma_iov = &where,
				  .rma_iov_count = 1,
				  .context = &tx };

	assert_int_equal(fi_writemsg(f.ep[0], &msg, 0), -FI_EINVAL);
	assert_int_equal(fi_writev(f.ep[0], iov, NULL, 5, f.addr[1], 0, 1, &tx),
			 -FI_EINVAL);
	assert_int_equal(fi_write(f.ep[0], out, 4, NULL, f.addr[1], 0,
				  UINT64_C(1) << 32, &tx),
			 -FI_EINVAL);
}

static void rma__wrong_key_is_an_error_entry(void **state)
{
	struct fi_cq_err_entry error;

	assert_int_equal(
		fi_write(f.ep[0], out, 4, NULL, f.addr[1], 4096, 77, &tx), 0);
	error = fixture_error(&f, 0);
	assert_ptr_equal(error.op_context, &tx);
	assert_true(error.flags == (FI_RMA | FI_WRITE));
	assert_int_equal(error.err, FI_EINVAL);
	assert_int_equal(error.prov_errno, DEV_BAD_RKEY);
	assert_non_null(strstr(error.err_data, "key"));
	assert_non_null(strstr(error.err_data, "fi_addr_efa://[::ffff:127."));
	assert_int_equal(strlen(error.err_data) + 1, error.err_data_size);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(send__is_received),
		TEST(send__of_nothing),
		TEST(send__to_nobody),
		TEST(sendv__gathers_and_recvv_scatters),
		TEST(recvmsg__multi_recv_is_one_piece),
		TEST(sendmsg__carries_data),
		TEST(sendmsg__of_nothing_at_all),
		TEST(sendmsg__flags_that_cannot_be_served),
		TEST(sendmsg__delivery_complete_waits_for_the_match),
		TEST(op_flags__delivery_complete),
		TEST(inject__leaves_no_trace),
		TEST(inject__of_its_limit_and_beyond),
		TEST(data__with_every_call_that_has_it),
		TEST(tsend__is_received_with_its_tag),
		TEST(tsend__all_other_calls),
		TEST(peek__finds_nothing),
		TEST(peek__tells_all_and_takes_nothing),
		TEST(peek__claim_then_receive),
		TEST(peek__discard_and_claim_discard),
		TEST(directed__takes_from_the_one_named),
		TEST(remove__then_insert_again),
		TEST(rma__write_then_read),
		TEST(rma__write_with_data_tells_the_target),
		TEST(rma__msg_and_inject),
		TEST(rma__mistakes),
		TEST(rma__wrong_key_is_an_error_entry),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
