/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_source_test.c - FI_SOURCE_ERR: what comes of a sender who is not in the
 * address vector is an error entry that has his address
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

#define CAPS                                                              \
	(FI_MSG | FI_TAGGED | FI_RMA | FI_MULTI_RECV | FI_DIRECTED_RECV | \
	 FI_SOURCE | FI_SOURCE_ERR)
#define PREFIX 40

static struct fixture f;
static char out[256] = "what goes out", in[256];
static uint8_t name[EFA_ADDR_LEN]; /* of endpoint 0, which nobody knows */
static int rx, tx; /* contexts */

/* Endpoint 0 is taken out of the vector, which the two share. */
static void open_strangers(const struct fixture_config *config)
{
	size_t len = sizeof(name);

	fixture_open(&f, config);
	assert_int_equal(fi_getname(&f.ep[0]->fid, name, &len), 0);
	assert_int_equal(fi_av_remove(f.av, &f.addr[0], 1, 0), 0);
	memset(in, 0x55, sizeof(in));
}

static int setup(void **state)
{
	open_strangers(&(struct fixture_config){ .caps = CAPS });
	return 0;
}

static int teardown(void **state)
{
	fixture_close(&f);
	return 0;
}

static struct fi_cq_err_entry expect_stranger(void)
{
	struct fi_cq_err_entry entry = fixture_error(&f, 1);

	assert_int_equal(entry.err, FI_EADDRNOTAVAIL);
	assert_int_equal(entry.err_data_size, EFA_ADDR_LEN);
	assert_memory_equal(entry.err_data, name, EFA_ADDR_LEN);
	return entry;
}

/* He becomes known by what the entry told, and then has a name. */
static void get_acquainted_by(const void *err_data, size_t len)
{
	struct fi_cq_tagged_entry entry;
	fi_addr_t addr, src = 99;
	ssize_t ret;

	assert_int_equal(fi_av_insert(f.av, err_data, 1, &addr, 0, NULL), 1);
	assert_int_equal(
		fi_recv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC, &rx), 0);
	assert_int_equal(fi_inject(f.ep[0], out, len, f.addr[1]), 0);
	do {
		fi_cq_read(f.cq[0], NULL, 0);
		ret = fi_cq_readfrom(f.cq[1], &entry, 1, &src);
	} while (ret == -FI_EAGAIN);
	assert_int_equal(ret, 1);
	assert_int_equal(src, addr);
}

static void get_acquainted(const void *err_data)
{
	get_acquainted_by(err_data, PREFIX + 8);
}

static void receive__is_told_with_the_address(void **state)
{
	struct fi_cq_err_entry entry;

	assert_int_equal(fi_trecv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC,
				  6, 0, &rx),
			 0);
	assert_int_equal(fi_tinjectdata(f.ep[0], out, 9, 33, f.addr[1], 6), 0);
	entry = expect_stranger();
	assert_ptr_equal(entry.op_context, &rx);
	assert_true(entry.flags == (FI_RECV | FI_TAGGED | FI_REMOTE_CQ_DATA));
	assert_int_equal(entry.len, 9);
	assert_int_equal(entry.olen, 0);
	assert_int_equal(entry.tag, 6);
	assert_int_equal(entry.data, 33);
	assert_ptr_equal(entry.buf, in);
	assert_memory_equal(in, out, 9);
	get_acquainted(entry.err_data);
}

static void receive__unexpected_and_long(void **state)
{
	static char large[100000], copy[100000];

	memset(large, 'x', sizeof(large));
	assert_int_equal(fi_send(f.ep[0], large, sizeof(large), NULL, f.addr[1],
				 &tx),
			 0);
	for (int i = 0; i < 100; i++)
		fi_cq_read(f.cq[1], NULL, 0);
	assert_int_equal(fi_recv(f.ep[1], copy, sizeof(copy), NULL,
				 FI_ADDR_UNSPEC, &rx),
			 0);
	assert_int_equal(expect_stranger().len, sizeof(large));
	assert_memory_equal(copy, large, sizeof(large));
	assert_ptr_equal(fixture_entry(&f, 0).op_context, &tx);
}

/* That it did not fit is what matters then. */
static void receive__truncated(void **state)
{
	struct fi_cq_err_entry entry;

	assert_int_equal(fi_recv(f.ep[1], in, 4, NULL, FI_ADDR_UNSPEC, &rx), 0);
	assert_int_equal(fi_inject(f.ep[0], out, 9, f.addr[1]), 0);
	entry = fixture_error(&f, 1);
	assert_int_equal(entry.err, FI_ETRUNC);
	assert_int_equal(entry.olen, 5);
}

static void receive__last_of_a_multi_receive_buffer(void **state)
{
	struct iovec iov = { in, 16 };
	struct fi_msg msg = { .msg_iov = &iov,
			      .iov_count = 1,
			      .addr = FI_ADDR_UNSPEC,
			      .context = &rx };

	assert_int_equal(fi_recvmsg(f.ep[1], &msg, FI_MULTI_RECV), 0);
	assert_int_equal(fi_inject(f.ep[0], out, 9, f.addr[1]), 0);
	assert_true(expect_stranger().flags ==
		    (FI_RECV | FI_MSG | FI_MULTI_RECV));
}

static void peek__is_told_too(void **state)
{
	struct fi_msg_tagged msg = { .tag = 6,
				     .addr = FI_ADDR_UNSPEC,
				     .context = &rx };
	struct fi_cq_err_entry entry;
	ssize_t ret;

	assert_int_equal(fi_tinject(f.ep[0], out, 9, f.addr[1], 6), 0);
	for (;;) {
		assert_int_equal(fi_trecvmsg(f.ep[1], &msg, FI_PEEK), 0);
		ret = fixture_read(&f, 1, &(struct fi_cq_tagged_entry){ 0 }, 1);
		assert_int_equal(ret, -FI_EAVAIL);
		entry = (struct fi_cq_err_entry){ .err = 0 };
		assert_int_equal(fi_cq_readerr(f.cq[1], &entry, 0), 1);
		if (entry.err != FI_ENOMSG)
			break;
	}
	assert_int_equal(entry.err, FI_EADDRNOTAVAIL);
	assert_memory_equal(entry.err_data, name, EFA_ADDR_LEN);
	assert_int_equal(entry.len, 9);
	assert_int_equal(fi_trecvmsg(f.ep[1], &msg, FI_PEEK | FI_DISCARD), 0);
	expect_stranger();
}

static void write_with_data__is_told_too(void **state)
{
	struct fi_cq_err_entry entry;
	struct fid_mr *mr;

	assert_int_equal(fi_mr_reg(f.domain, in, sizeof(in), FI_REMOTE_WRITE, 0,
				   0, 0, &mr, NULL),
			 0);
	assert_int_equal(fi_writedata(f.ep[0], out, 9, NULL, 44, f.addr[1],
				      (uintptr_t)in, fi_mr_key(mr), &tx),
			 0);
	fixture_entry(&f, 0);
	entry = expect_stranger();
	assert_true(entry.flags ==
		    (FI_RMA | FI_REMOTE_WRITE | FI_REMOTE_CQ_DATA));
	assert_int_equal(entry.data, 44);
	assert_int_equal(fi_close(&mr->fid), 0);
}

static void err_data__into_the_callers_buffer(void **state)
{
	uint8_t own[EFA_ADDR_LEN + 8];
	struct fi_cq_err_entry entry = { .err_data = own,
					 .err_data_size = sizeof(own) };
	struct fi_cq_tagged_entry none;
	char text[64];

	memset(own, 0x77, sizeof(own));
	assert_int_equal(
		fi_recv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC, &rx), 0);
	assert_int_equal(fi_inject(f.ep[0], out, 9, f.addr[1]), 0);
	assert_int_equal(fixture_read(&f, 1, &none, 1), -FI_EAVAIL);
	assert_int_equal(fi_cq_readerr(f.cq[1], &entry, 0), 1);
	assert_ptr_equal(entry.err_data, own);
	assert_int_equal(entry.err_data_size, EFA_ADDR_LEN);
	assert_memory_equal(own, name, EFA_ADDR_LEN);
	assert_int_equal(own[EFA_ADDR_LEN], 0x77);
	/* Those bytes are no text. */
	fi_cq_strerror(f.cq[1], entry.prov_errno, entry.err_data, text,
		       sizeof(text));
	assert_non_null(strstr(text, "address vector"));
}

/* Nothing failed: who wants to hear of failures only hears nothing. */
static void selective__has_no_entry(void **state)
{
	open_strangers(&(struct fixture_config){
		.caps = CAPS, .bind_flags = FI_SELECTIVE_COMPLETION });
	assert_int_equal(
		fi_recv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC, &rx), 0);
	assert_int_equal(fi_inject(f.ep[0], out, 9, f.addr[1]), 0);
	fixture_quiet(&f);
	assert_memory_equal(in, out, 9);
	fixture_close(&f);
}

static void counter__counts_a_success(void **state)
{
	struct fi_cq_tagged_entry none;

	fixture_open(&f, &(struct fixture_config){ .caps = CAPS,
						   .counters = true });
	assert_int_equal(fi_av_remove(f.av, &f.addr[1], 1, 0), 0);
	assert_int_equal(
		fi_recv(f.ep[0], in, sizeof(in), NULL, FI_ADDR_UNSPEC, &rx), 0);
	assert_int_equal(fi_inject(f.ep[1], out, 9, f.addr[0]), 0);
	assert_int_equal(fixture_read(&f, 0, &none, 1), -FI_EAVAIL);
	assert_int_equal(fi_cntr_read(f.received), 1);
	assert_int_equal(fi_cntr_readerr(f.received), 0);
	fixture_close(&f);
}

static void without_it__there_is_no_error(void **state)
{
	open_strangers(&(struct fixture_config){ .caps = FI_MSG | FI_SOURCE });
	assert_int_equal(
		fi_recv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC, &rx), 0);
	assert_int_equal(fi_inject(f.ep[0], out, 9, f.addr[1]), 0);
	fixture_entry(&f, 1);
	fixture_close(&f);
}

static void datagram__is_told_with_the_address(void **state)
{
	struct fi_cq_err_entry entry;

	open_strangers(&(struct fixture_config){ .type = FI_EP_DGRAM,
						 .caps = FI_MSG | FI_SOURCE |
							 FI_SOURCE_ERR });
	assert_int_equal(
		fi_recv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC, &rx), 0);
	assert_int_equal(fi_inject(f.ep[0], out, PREFIX + 9, f.addr[1]), 0);
	entry = expect_stranger();
	assert_ptr_equal(entry.op_context, &rx);
	assert_int_equal(entry.len, PREFIX + 9);
	assert_memory_equal(in + PREFIX, out + PREFIX, 9);
	get_acquainted(entry.err_data);
	fixture_close(&f);
}

#define DIRECT_CAPS (FI_MSG | FI_RMA | FI_SOURCE | FI_SOURCE_ERR)

static void direct__is_told_with_the_address(void **state)
{
	struct fi_cq_err_entry entry;

	open_strangers(&(struct fixture_config){ .direct = true,
						 .caps = DIRECT_CAPS });
	assert_int_equal(
		fi_recv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC, &rx), 0);
	assert_int_equal(fi_senddata(f.ep[0], out, 9, NULL, 33, f.addr[1], &tx),
			 0);
	entry = expect_stranger();
	assert_ptr_equal(entry.op_context, &rx);
	assert_true(entry.flags == (FI_RECV | FI_MSG | FI_REMOTE_CQ_DATA));
	assert_int_equal(entry.len, 9);
	assert_int_equal(entry.data, 33);
	assert_memory_equal(in, out, 9);
	get_acquainted_by(entry.err_data, 8);
	fixture_close(&f);
}

/* Which the target may tell with a receive, or without. */
static void direct_write(uint64_t mode)
{
	struct fi_cq_err_entry entry;
	struct fid_mr *mr;

	open_strangers(&(struct fixture_config){
		.direct = true, .mode = mode, .caps = DIRECT_CAPS });
	assert_int_equal(fi_mr_reg(f.domain, in, sizeof(in), FI_REMOTE_WRITE, 0,
				   0, 0, &mr, NULL),
			 0);
	if (mode)
		assert_int_equal(fi_recv(f.ep[1], NULL, 0, NULL, 0, &rx), 0);
	assert_int_equal(fi_writedata(f.ep[0], out, 9, NULL, 44, f.addr[1],
				      (uintptr_t)in, fi_mr_key(mr), &tx),
			 0);
	entry = expect_stranger();
	assert_true(entry.flags ==
		    (FI_RMA | FI_REMOTE_WRITE | FI_REMOTE_CQ_DATA));
	assert_ptr_equal(entry.op_context, mode ? &rx : NULL);
	assert_int_equal(entry.data, 44);
	assert_ptr_equal(fixture_entry(&f, 0).op_context, &tx);
	fixture_quiet(&f);
	assert_int_equal(fi_close(&mr->fid), 0);
	fixture_close(&f);
}

static void direct_write_with_data__is_told_too(void **state)
{
	direct_write(0);
	direct_write(FI_RX_CQ_DATA);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(receive__is_told_with_the_address),
		T(receive__unexpected_and_long),
		T(receive__truncated),
		T(receive__last_of_a_multi_receive_buffer),
		T(peek__is_told_too),
		T(write_with_data__is_told_too),
		T(err_data__into_the_callers_buffer),
		cmocka_unit_test(selective__has_no_entry),
		cmocka_unit_test(counter__counts_a_success),
		cmocka_unit_test(without_it__there_is_no_error),
		cmocka_unit_test(datagram__is_told_with_the_address),
		cmocka_unit_test(direct__is_told_with_the_address),
		cmocka_unit_test(direct_write_with_data__is_told_too),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
