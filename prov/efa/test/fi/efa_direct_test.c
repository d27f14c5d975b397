/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_direct_test.c - endpoints of the fabric efa-direct: messages, RMA, errors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <rdma/fi_ext.h>

#include "fixture.h"

#define MTU 8928
#define BYTES 300000

static struct fixture f;
static uint8_t out[BYTES], in[BYTES];
static struct fid_mr *mr; /* of in */
static struct fi_context2 tx, rx;

static void open_as(const struct fixture_config *config)
{
	struct fixture_config direct = *config;

	direct.direct = true;
	fixture_open(&f, &direct);
	for (size_t i = 0; i < BYTES; i++)
		out[i] = (uint8_t)(i ^ i >> 8);
	memset(in, 0x55, sizeof(in));
	assert_int_equal(fi_mr_reg(f.domain, in, sizeof(in),
				   FI_REMOTE_READ | FI_REMOTE_WRITE, 0, 0, 0,
				   &mr, NULL),
			 0);
}

static int setup(void **state)
{
	open_as(&(struct fixture_config){ .caps = 0 });
	return 0;
}

static int setup_receives(void **state)
{
	open_as(&(struct fixture_config){ .mode = FI_RX_CQ_DATA });
	return 0;
}

static int setup_udp(void **state)
{
	fixture_use_shm(false);
	return setup(state);
}

static int teardown(void **state)
{
	assert_int_equal(fi_close(&mr->fid), 0);
	fixture_close(&f);
	return 0;
}

static int teardown_udp(void **state)
{
	teardown(state);
	fixture_use_shm(true);
	return 0;
}

static uint64_t at(void)
{
	return (uintptr_t)in;
}

static void post_recv(size_t len)
{
	assert_int_equal(fi_recv(f.ep[1], in, len, NULL, 0, &rx), 0);
}

static void sent(void)
{
	struct fi_cq_tagged_entry entry = fixture_entry(&f, 0);

	assert_ptr_equal(entry.op_context, &tx);
	assert_true(entry.flags == (FI_SEND | FI_MSG));
}

/* ---- messages ------------------------------------------------------------ */

static void send__of_any_size_up_to_a_packet(void **state)
{
	static const size_t sizes[] = { 0, 1, 32, 33, 4096, MTU };
	struct fi_cq_tagged_entry entry;

	for (size_t i = 0; i < u_array_size(sizes); i++) {
		memset(in, 0x55, sizeof(in));
		post_recv(sizes[i]);
		assert_int_equal(fi_senddata(f.ep[0], out, sizes[i], NULL, i,
					     f.addr[1], &tx),
				 0);
		entry = fixture_entry(&f, 1);
		assert_ptr_equal(entry.op_context, &rx);
		assert_ptr_equal(entry.buf, in);
		assert_int_equal(entry.len, sizes[i]);
		assert_int_equal(entry.data, i);
		assert_true(entry.flags ==
			    (FI_RECV | FI_MSG | FI_REMOTE_CQ_DATA));
		assert_memory_equal(in, out, sizes[i]);
		assert_int_equal(in[sizes[i]], 0x55);
		sent();
	}
	assert_int_equal(fi_send(f.ep[0], out, MTU + 1, NULL, f.addr[1], &tx),
			 -FI_EMSGSIZE);
}

static void send__calls(void **state)
{
	struct iovec iov[2] = { { out, 3 }, { out + 3, 5 } };
	struct fi_msg msg = { .msg_iov = iov,
			      .iov_count = 2,
			      .addr = f.addr[1],
			      .context = &tx };
	struct fi_msg recv = { .msg_iov = iov, .iov_count = 1, .context = &rx };

	post_recv(8);
	assert_int_equal(fi_sendv(f.ep[0], iov, NULL, 2, f.addr[1], &tx), 0);
	assert_int_equal(fixture_entry(&f, 1).len, 8);
	assert_memory_equal(in, out, 8);
	sent();
	post_recv(8);
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_MATCH_COMPLETE), 0);
	assert_int_equal(fixture_entry(&f, 1).len, 8);
	sent();
	post_recv(8);
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_INJECT | FI_MORE), 0);
	assert_int_equal(fixture_entry(&f, 1).len, 8);
	sent();
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_FENCE), -FI_EOPNOTSUPP);
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_TRIGGER), -FI_ENOSYS);
	assert_int_equal(fi_recvmsg(f.ep[1], &recv, FI_TRIGGER), -FI_ENOSYS);
	iov[0] = (struct iovec){ in, 8 };
	assert_int_equal(fi_recvmsg(f.ep[1], &recv, FI_MORE), 0);
	assert_int_equal(fi_recvmsg(f.ep[1], &recv, FI_PEEK), -FI_EOPNOTSUPP);
	assert_int_equal(fi_recvmsg(f.ep[1], &recv, FI_MULTI_RECV),
			 -FI_EOPNOTSUPP);
	assert_int_equal(fi_injectdata(f.ep[0], out, 8, 7, f.addr[1]), 0);
	assert_int_equal(fixture_entry(&f, 1).data, 7);
}

static void inject__leaves_no_trace_and_has_a_limit(void **state)
{
	char copy[33];

	memcpy(copy, out, sizeof(copy));
	post_recv(32);
	assert_int_equal(fi_inject(f.ep[0], copy, 32, f.addr[1]), 0);
	memset(copy, 'x', sizeof(copy));
	assert_int_equal(fixture_entry(&f, 1).len, 32);
	assert_memory_equal(in, out, 32);
	fixture_quiet(&f);
	assert_int_equal(fi_inject(f.ep[0], copy, 33, f.addr[1]), -FI_EMSGSIZE);
}

static void readfrom__names_the_sender(void **state)
{
	struct fi_cq_tagged_entry entry;
	fi_addr_t src = 99;
	ssize_t ret;

	post_recv(8);
	assert_int_equal(fi_inject(f.ep[0], out, 8, f.addr[1]), 0);
	do {
		fi_cq_read(f.cq[0], NULL, 0);
		ret = fi_cq_readfrom(f.cq[1], &entry, 1, &src);
	} while (ret == -FI_EAGAIN);
	assert_int_equal(ret, 1);
	assert_int_equal(src, f.addr[0]);
}

static void calls__that_are_not_there(void **state)
{
	uint64_t v = 0;
	size_t count;

	assert_int_equal(fi_tsend(f.ep[0], out, 1, NULL, 0, 0, &tx),
			 -FI_ENOSYS);
	assert_int_equal(fi_trecv(f.ep[0], out, 1, NULL, 0, 0, 0, &rx),
			 -FI_ENOSYS);
	assert_int_equal(fi_atomic(f.ep[0], &v, 1, NULL, 0, 0, 0, FI_UINT64,
				   FI_SUM, &tx),
			 -FI_ENOSYS);
	assert_int_not_equal(fi_atomicvalid(f.ep[0], FI_UINT64, FI_SUM, &count),
			     0);
	assert_int_equal(fi_query_atomic(f.domain, FI_UINT64, FI_SUM, NULL, 0),
			 -FI_ENOSYS);
	assert_int_equal(fi_cancel(&f.ep[0]->fid, &rx), -FI_ENOSYS);
}

/* ---- receivers that are not ready ---------------------------------------- */

/* The call waits, or the send does; a receive lets it through. */
static void send__waits_for_a_receive(void **state)
{
	ssize_t ret;

	for (int i = 0; i < 100; i++) {
		ret = fi_send(f.ep[0], out, 8, NULL, f.addr[1], &tx);
		if (!ret)
			break;
		assert_int_equal(ret, -FI_EAGAIN);
		fi_cq_read(f.cq[0], NULL, 0);
	}
	fixture_quiet(&f);
	post_recv(8);
	while (ret) {
		ret = fi_send(f.ep[0], out, 8, NULL, f.addr[1], &tx);
		fi_cq_read(f.cq[0], NULL, 0);
	}
	assert_int_equal(fixture_entry(&f, 1).len, 8);
	sent();
}

static void send__gives_up_when_told_to(void **state)
{
	struct fi_cq_err_entry entry;
	size_t tries = 1;
	ssize_t ret;

	teardown(state);
	fixture_open(&f, &(struct fixture_config){ .direct = true,
						   .disabled = true });
	assert_int_equal(fi_setopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_EFA_RNR_RETRY, &tries, sizeof(tries)),
			 0);
	fixture_enable(&f);
	while ((ret = fi_send(f.ep[0], out, 8, NULL, f.addr[1], &tx)) ==
	       -FI_EAGAIN)
		fi_cq_read(f.cq[0], NULL, 0);
	assert_int_equal(ret, 0);
	entry = fixture_error(&f, 0);
	assert_ptr_equal(entry.op_context, &tx);
	assert_int_equal(entry.err, FI_ENORX);
	assert_int_equal(entry.prov_errno, DEV_RNR);
	assert_non_null(strstr(entry.err_data, "peer fi_addr_efa://"));
	assert_int_equal(fi_mr_reg(f.domain, in, sizeof(in), FI_REMOTE_READ, 0,
				   0, 0, &mr, NULL),
			 0);
}

static void send__longer_than_the_receive(void **state)
{
	struct fi_cq_err_entry entry;

	post_recv(8);
	assert_int_equal(fi_send(f.ep[0], out, 9, NULL, f.addr[1], &tx), 0);
	entry = fixture_error(&f, 0);
	assert_ptr_equal(entry.op_context, &tx);
	assert_int_equal(entry.err, FI_EMSGSIZE);
	assert_int_equal(entry.prov_errno, DEV_SHORT_RECV);
	assert_true(entry.flags == (FI_SEND | FI_MSG));
	/* The receive is still there. */
	assert_int_equal(fi_send(f.ep[0], out, 8, NULL, f.addr[1], &tx), 0);
	assert_int_equal(fixture_entry(&f, 1).len, 8);
	sent();
}

static void recv__that_is_too_short_says_so(void **state)
{
	struct fi_cq_err_entry entry;

	post_recv(8);
	post_recv(64);
	assert_int_equal(fi_send(f.ep[0], out, 9, NULL, f.addr[1], &tx), 0);
	entry = fixture_error(&f, 1);
	assert_ptr_equal(entry.op_context, &rx);
	assert_int_equal(entry.err, FI_EMSGSIZE);
	assert_int_equal(entry.prov_errno, DEV_TOO_LONG);
	assert_true(entry.flags == (FI_RECV | FI_MSG));
}

static void send__to_an_endpoint_that_closed(void **state)
{
	struct fi_cq_err_entry entry;
	ssize_t ret;

	post_recv(8);
	assert_int_equal(fi_send(f.ep[0], out, 8, NULL, f.addr[1], &tx), 0);
	fixture_entry(&f, 1);
	sent();
	assert_int_equal(fi_close(&f.ep[1]->fid), 0);
	while ((ret = fi_send(f.ep[0], out, 8, NULL, f.addr[1], &tx)) ==
	       -FI_EAGAIN)
		fi_cq_read(f.cq[0], NULL, 0);
	assert_int_equal(ret, 0);
	entry = fixture_error(&f, 0);
	assert_ptr_equal(entry.op_context, &tx);
	assert_true(entry.err == FI_ENOTCONN || entry.err == FI_ECONNABORTED);
	assert_true(entry.prov_errno == DEV_NO_QP ||
		    entry.prov_errno == DEV_PEER_RESET);
	assert_int_equal(fi_endpoint(f.domain, f.info, &f.ep[1], NULL), 0);
}

/* ---- RMA ----------------------------------------------------------------- */

static void done(uint64_t flags)
{
	struct fi_cq_tagged_entry entry = fixture_entry(&f, 0);

	assert_ptr_equal(entry.op_context, &tx);
	assert_true(entry.flags == flags);
}

/* Lengths ascend: what the target has read may be sent again, and is left. */
static void write_then_read(size_t len)
{
	static uint8_t back[BYTES];

	memset(back, 0x66, sizeof(back));
	for (size_t i = 0; i < len; i++)
		out[i]++;
	assert_int_equal(fi_write(f.ep[0], out, len, NULL, f.addr[1], at(),
				  fi_mr_key(mr), &tx),
			 0);
	done(FI_RMA | FI_WRITE);
	assert_memory_equal(in, out, len);
	assert_true(len == BYTES || in[len] == 0x55);
	assert_int_equal(fi_read(f.ep[0], back, len, NULL, f.addr[1], at(),
				 fi_mr_key(mr), &tx),
			 0);
	done(FI_RMA | FI_READ);
	assert_memory_equal(back, out, len);
	assert_true(len == BYTES || back[len] == 0x66);
}

static void rma__of_many_sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 32, 4096, MTU, MTU + 1, BYTES };

	for (size_t i = 0; i < u_array_size(sizes); i++)
		write_then_read(sizes[i]);
	fixture_quiet(&f);
}

/* The target's thread writes it, and takes no lock of ours. */
static __attribute__((no_sanitize("thread"))) bool has_come(char first)
{
	return *(const volatile char *)in == first;
}

static void rma__calls(void **state)
{
	struct iovec iov[2] = { { out, 24 }, { out + 24, 8 } };
	struct fi_rma_iov rma[2] = { { at(), 24, fi_mr_key(mr) },
				     { at() + 24, 8, fi_mr_key(mr) } };
	struct fi_msg_rma msg = { .msg_iov = iov,
				  .iov_count = 1,
				  .addr = f.addr[1],
				  .rma_iov = rma,
				  .rma_iov_count = 1,
				  .context = &tx,
				  .data = 0xfeed };
	char copy[33] = "injected";

	assert_int_equal(fi_writemsg(f.ep[0], &msg, FI_DELIVERY_COMPLETE), 0);
	done(FI_RMA | FI_WRITE);
	assert_memory_equal(in, out, 24);
	assert_int_equal(fi_inject_write(f.ep[0], copy, 32, f.addr[1], at(),
					 fi_mr_key(mr)),
			 0);
	memset(copy, 'x', sizeof(copy));
	while (!has_come('i'))
		fixture_quiet(&f);
	assert_int_equal(fi_inject_write(f.ep[0], copy, 33, f.addr[1], at(),
					 fi_mr_key(mr)),
			 -FI_EMSGSIZE);
	msg.iov_count = 2;
	rma[0].len = 32;
	assert_int_equal(fi_writemsg(f.ep[0], &msg, 0), -FI_EINVAL);
	rma[0].len = 24;
	msg.rma_iov_count = 2;
	assert_int_equal(fi_readmsg(f.ep[0], &msg, 0), -FI_EINVAL);
	assert_int_equal(fi_write(f.ep[0], out, ((size_t)1 << 30) + 1, NULL,
				  f.addr[1], at(), fi_mr_key(mr), &tx),
			 -FI_EMSGSIZE);
}

static void rma__with_a_wrong_key(void **state)
{
	struct fi_cq_err_entry entry;

	assert_int_equal(fi_write(f.ep[0], out, 8, NULL, f.addr[1], at(),
				  fi_mr_key(mr) ^ 0x10, &tx),
			 0);
	entry = fixture_error(&f, 0);
	assert_ptr_equal(entry.op_context, &tx);
	assert_int_equal(entry.err, FI_EINVAL);
	assert_int_equal(entry.prov_errno, DEV_BAD_RKEY);
	assert_true(entry.flags == (FI_RMA | FI_WRITE));
	assert_non_null(strstr(entry.err_data, "peer fi_addr_efa://"));
	assert_int_equal(in[0], 0x55);
	assert_int_equal(fi_read(f.ep[0], out, 8, NULL, f.addr[1],
				 at() + sizeof(in) - 7, fi_mr_key(mr), &tx),
			 0);
	entry = fixture_error(&f, 0);
	assert_int_equal(entry.prov_errno, DEV_BAD_RKEY);
	assert_true(entry.flags == (FI_RMA | FI_READ));
	assert_int_equal(fi_read(f.ep[0], out, 8, NULL, f.addr[1], at(),
				 UINT64_C(1) << 32, &tx),
			 -FI_EINVAL);
	write_then_read(100);
}

static void check_data(const struct fi_cq_tagged_entry *entry, void *context)
{
	assert_ptr_equal(entry->op_context, context);
	assert_int_equal(entry->len, 5000);
	assert_int_equal(entry->data, 0xfeed);
	assert_null(entry->buf);
	assert_true(entry->flags ==
		    (FI_RMA | FI_REMOTE_WRITE | FI_REMOTE_CQ_DATA));
	assert_memory_equal(in, out, 5000);
}

static void write_data(void)
{
	assert_int_equal(fi_writedata(f.ep[0], out, 5000, NULL, 0xfeed,
				      f.addr[1], at(), fi_mr_key(mr), &tx),
			 0);
}

static void writedata__needs_no_receive(void **state)
{
	struct fi_cq_tagged_entry entry;

	for (int i = 0; i < 500; i++) {
		write_data();
		done(FI_RMA | FI_WRITE);
		entry = fixture_entry(&f, 1);
		check_data(&entry, NULL);
	}
	assert_int_equal(fi_inject_writedata(f.ep[0], out, 8, 3, f.addr[1],
					     at(), fi_mr_key(mr)),
			 0);
	assert_int_equal(fixture_entry(&f, 1).data, 3);
}

/* A program that said FI_RX_CQ_DATA gets its receives back one by one. */
static void writedata__uses_a_receive_up(void **state)
{
	struct fi_cq_tagged_entry entry;

	write_data();
	fixture_entry(&f, 0);
	fixture_quiet(&f);
	assert_int_equal(fi_recv(f.ep[1], NULL, 0, NULL, 0, &rx), 0);
	entry = fixture_entry(&f, 1);
	check_data(&entry, &rx);
}

/* Nobody reads: writes wait for places, and none is lost. */
static void writedata__more_than_the_queue_holds(void **state)
{
	struct fi_cq_tagged_entry entry;
	uint64_t n = 0, got = 0;
	int stuck = 0;
	ssize_t ret;

	while (n < 40000 && stuck < 10000) {
		ret = fi_inject_writedata(f.ep[0], out, 1, n, f.addr[1], at(),
					  fi_mr_key(mr));
		assert_true(!ret || ret == -FI_EAGAIN);
		stuck = ret ? stuck + 1 : 0;
		n += !ret;
		fi_cq_read(f.cq[0], NULL, 0);
		fi_cq_read(f.cq[1], NULL, 0);
	}
	assert_true(n > 16384);
	for (; got < n; got++) {
		entry = fixture_entry(&f, 1);
		assert_true(entry.flags & FI_REMOTE_CQ_DATA);
	}
	fixture_quiet(&f);
}

/* ---- counters and closing ------------------------------------------------ */

static void counters__tell_operations_apart(void **state)
{
	static const uint64_t uses[4] = { FI_WRITE, FI_READ, FI_SEND,
					  FI_REMOTE_WRITE };

	teardown(state);
	fixture_open(&f, &(struct fixture_config){ .direct = true,
						   .disabled = true });
	for (int i = 0; i < 4; i++) {
		assert_int_equal(fi_cntr_open(f.domain, NULL, &f.cntr[i], NULL),
				 0);
		assert_int_equal(
			fi_ep_bind(f.ep[i == 3], &f.cntr[i]->fid, uses[i]), 0);
	}
	fixture_enable(&f);
	assert_int_equal(fi_mr_reg(f.domain, in, sizeof(in),
				   FI_REMOTE_READ | FI_REMOTE_WRITE, 0, 0, 0,
				   &mr, NULL),
			 0);
	write_then_read(100);
	write_data();
	done(FI_RMA | FI_WRITE);
	fixture_entry(&f, 1);
	post_recv(8);
	assert_int_equal(fi_inject(f.ep[0], out, 8, f.addr[1]), 0);
	fixture_entry(&f, 1);
	fixture_quiet(&f);
	assert_int_equal(fi_cntr_read(f.cntr[0]), 2);
	assert_int_equal(fi_cntr_read(f.cntr[1]), 1);
	assert_int_equal(fi_cntr_read(f.cntr[2]), 1);
	assert_int_equal(fi_cntr_read(f.cntr[3]), 1);
}

/* With operations under way at both ends. */
static void close__under_load(void **state)
{
	int n = 0;

	post_recv(MTU);
	for (int i = 0; i < 1000; i++) {
		post_recv(MTU);
		n += !fi_send(f.ep[0], out, MTU, NULL, f.addr[1], &tx);
		n += !fi_write(f.ep[0], out, BYTES, NULL, f.addr[1], at(),
			       fi_mr_key(mr), &tx);
	}
	assert_true(n > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define RECEIVES(name) \
	cmocka_unit_test_setup_teardown(name, setup_receives, teardown)
#define EACH(name)                                                     \
	TEST(name),                                                    \
	{                                                              \
#name " over UDP", name, setup_udp, teardown_udp, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(send__of_any_size_up_to_a_packet),
		EACH(send__calls),
		EACH(inject__leaves_no_trace_and_has_a_limit),
		TEST(readfrom__names_the_sender),
		TEST(calls__that_are_not_there),
		EACH(send__waits_for_a_receive),
		EACH(send__gives_up_when_told_to),
		EACH(send__longer_than_the_receive),
		TEST(recv__that_is_too_short_says_so),
		EACH(send__to_an_endpoint_that_closed),
		EACH(rma__of_many_sizes),
		EACH(rma__calls),
		EACH(rma__with_a_wrong_key),
		EACH(writedata__needs_no_receive),
		RECEIVES(writedata__uses_a_receive_up),
		TEST(writedata__more_than_the_queue_holds),
		EACH(counters__tell_operations_apart),
		EACH(close__under_load),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
