/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_atomic_test.c - every call of atomics, what they complete with, and what
 * they say that they can
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <rdma/fi_ext_efa.h>

#include "fixture.h"

#define MAX 8776 /* bytes of operands: 8928 of a packet less 152 */

static struct fixture f;
static uint64_t target[4], operand[4], compare[4], result[4];
static struct fid_mr *mr;
static struct fi_rma_ioc where;
static int tx; /* context */

static void open_target(const struct fixture_config *config)
{
	fixture_open(&f, config);
	for (uint64_t i = 0; i < 4; i++) {
		target[i] = i;
		operand[i] = 100 + i;
		compare[i] = 2;
		result[i] = 77;
	}
	assert_int_equal(fi_mr_reg(f.domain, target, sizeof(target),
				   FI_REMOTE_READ | FI_REMOTE_WRITE, 0, 0, 0,
				   &mr, NULL),
			 0);
	where = (struct fi_rma_ioc){ (uintptr_t)target, 4, fi_mr_key(mr) };
}

static void close_target(void)
{
	assert_int_equal(fi_close(&mr->fid), 0);
	fixture_close(&f);
}

static int setup(void **state)
{
	open_target(&(struct fixture_config){ .caps = 0 });
	return 0;
}

static int teardown(void **state)
{
	close_target();
	return 0;
}

static void expect_done(uint64_t flags)
{
	struct fi_cq_tagged_entry entry = fixture_entry(&f, 0);

	assert_ptr_equal(entry.op_context, &tx);
	assert_true(entry.flags == flags);
	assert_int_equal(entry.len, 32);
}

/* Writes need not have been carried out when they are complete. */
static void expect_target(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	fixture_quiet(&f);
	assert_int_equal(target[0], a);
	assert_int_equal(target[1], b);
	assert_int_equal(target[2], c);
	assert_int_equal(target[3], d);
	for (uint64_t i = 0; i < 4; i++)
		target[i] = i;
}

static void expect_result(void)
{
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(result[i], i);
		result[i] = 77;
	}
}

/* ---- the calls ----------------------------------------------------------- */

static void atomic__write(void **state)
{
	const struct fi_ioc ioc[2] = { { operand, 1 }, { operand + 1, 3 } };

	assert_int_equal(fi_atomic(f.ep[0], operand, 4, NULL, f.addr[1],
				   where.addr, where.key, FI_UINT64, FI_SUM,
				   &tx),
			 0);
	expect_done(FI_ATOMIC | FI_WRITE);
	expect_target(100, 102, 104, 106);
	assert_int_equal(fi_atomicv(f.ep[0], ioc, NULL, 2, f.addr[1],
				    where.addr, where.key, FI_UINT64,
				    FI_ATOMIC_WRITE, &tx),
			 0);
	expect_done(FI_ATOMIC | FI_WRITE);
	expect_target(100, 101, 102, 103);
	assert_int_equal(fi_inject_atomic(f.ep[0], operand, 4, f.addr[1],
					  where.addr, where.key, FI_UINT64,
					  FI_MIN),
			 0);
	expect_target(0, 1, 2, 3);
}

static void atomic__fetch(void **state)
{
	const struct fi_ioc ioc = { operand, 4 };
	struct fi_ioc to[2] = { { result, 3 }, { result + 3, 1 } };

	assert_int_equal(fi_fetch_atomic(f.ep[0], operand, 4, NULL, result,
					 NULL, f.addr[1], where.addr, where.key,
					 FI_UINT64, FI_MAX, &tx),
			 0);
	expect_done(FI_ATOMIC | FI_READ);
	expect_result();
	expect_target(100, 101, 102, 103);
	assert_int_equal(fi_fetch_atomicv(f.ep[0], &ioc, NULL, 1, to, NULL, 2,
					  f.addr[1], where.addr, where.key,
					  FI_UINT64, FI_BXOR, &tx),
			 0);
	expect_done(FI_ATOMIC | FI_READ);
	expect_result();
	expect_target(100, 100, 100, 100);
	/* The operand of a read is not looked at. */
	assert_int_equal(fi_fetch_atomic(f.ep[0], NULL, 4, NULL, result, NULL,
					 f.addr[1], where.addr, where.key,
					 FI_UINT64, FI_ATOMIC_READ, &tx),
			 0);
	expect_done(FI_ATOMIC | FI_READ);
	expect_result();
	expect_target(0, 1, 2, 3);
}

static void atomic__compare(void **state)
{
	const struct fi_ioc ioc = { operand, 4 };
	const struct fi_ioc with[2] = { { compare, 2 }, { compare + 2, 2 } };
	struct fi_ioc to = { result, 4 };

	assert_int_equal(fi_compare_atomic(f.ep[0], operand, 4, NULL, compare,
					   NULL, result, NULL, f.addr[1],
					   where.addr, where.key, FI_UINT64,
					   FI_CSWAP, &tx),
			 0);
	expect_done(FI_ATOMIC | FI_READ);
	expect_result();
	expect_target(0, 1, 102, 3);
	assert_int_equal(fi_compare_atomicv(f.ep[0], &ioc, NULL, 1, with, NULL,
					    2, &to, NULL, 1, f.addr[1],
					    where.addr, where.key, FI_UINT64,
					    FI_CSWAP_GT, &tx),
			 0);
	expect_done(FI_ATOMIC | FI_READ);
	expect_result();
	expect_target(100, 101, 2, 3);
}

static void atomic__messages(void **state)
{
	const struct fi_ioc ioc = { operand, 4 }, with = { compare, 4 };
	struct fi_ioc to = { result, 4 };
	struct fi_msg_atomic msg = { .msg_iov = &ioc,
				     .iov_count = 1,
				     .addr = f.addr[1],
				     .rma_iov = &where,
				     .rma_iov_count = 1,
				     .datatype = FI_UINT64,
				     .op = FI_SUM,
				     .context = &tx };

	assert_int_equal(fi_atomicmsg(f.ep[0], &msg, 0), 0);
	expect_done(FI_ATOMIC | FI_WRITE);
	expect_target(100, 102, 104, 106);
	assert_int_equal(fi_atomicmsg(f.ep[0], &msg, FI_DELIVERY_COMPLETE), 0);
	expect_done(FI_ATOMIC | FI_WRITE);
	assert_int_equal(target[3], 106);
	expect_target(100, 102, 104, 106);
	assert_int_equal(fi_atomicmsg(f.ep[0], &msg, FI_INJECT), 0);
	expect_done(FI_ATOMIC | FI_WRITE);
	expect_target(100, 102, 104, 106);
	assert_int_equal(fi_fetch_atomicmsg(f.ep[0], &msg, &to, NULL, 1, 0), 0);
	expect_done(FI_ATOMIC | FI_READ);
	expect_result();
	expect_target(100, 102, 104, 106);
	msg.op = FI_MSWAP;
	assert_int_equal(fi_compare_atomicmsg(f.ep[0], &msg, &with, NULL, 1,
					      &to, NULL, 1, 0),
			 0);
	expect_done(FI_ATOMIC | FI_READ);
	expect_result();
	expect_target(0, 1, 2, 3);
	msg.op = FI_ATOMIC_READ;
	msg.msg_iov = NULL;
	assert_int_equal(fi_fetch_atomicmsg(f.ep[0], &msg, &to, NULL, 1, 0), 0);
	expect_done(FI_ATOMIC | FI_READ);
	expect_result();
	expect_target(0, 1, 2, 3);
}

static void atomic__to_oneself(void **state)
{
	assert_int_equal(fi_fetch_atomic(f.ep[0], operand, 4, NULL, result,
					 NULL, f.addr[0], where.addr, where.key,
					 FI_UINT64, FI_SUM, &tx),
			 0);
	expect_done(FI_ATOMIC | FI_READ);
	expect_result();
	expect_target(100, 102, 104, 106);
}

/* ---- completions --------------------------------------------------------- */

static void atomic__selective_completion(void **state)
{
	const struct fi_ioc ioc = { operand, 4 };
	struct fi_msg_atomic msg = { .msg_iov = &ioc,
				     .iov_count = 1,
				     .rma_iov = &where,
				     .rma_iov_count = 1,
				     .datatype = FI_UINT64,
				     .op = FI_SUM,
				     .context = &tx };

	open_target(&(struct fixture_config){
		.bind_flags = FI_SELECTIVE_COMPLETION });
	msg.addr = f.addr[1];
	assert_int_equal(fi_atomic(f.ep[0], operand, 4, NULL, f.addr[1],
				   where.addr, where.key, FI_UINT64, FI_SUM,
				   &tx),
			 0);
	assert_int_equal(fi_atomicmsg(f.ep[0], &msg, 0), 0);
	fixture_quiet(&f);
	assert_int_equal(fi_atomicmsg(f.ep[0], &msg, FI_COMPLETION), 0);
	expect_done(FI_ATOMIC | FI_WRITE);
	expect_target(300, 304, 308, 312);
	close_target();
}

static void atomic__counters(void **state)
{
	struct fi_cntr_attr attr = { .events = FI_CNTR_EVENTS_COMP };
	const uint64_t flags[4] = { FI_WRITE, FI_READ, FI_REMOTE_WRITE,
				    FI_REMOTE_READ };

	open_target(&(struct fixture_config){ .disabled = true });
	for (int i = 0; i < 4; i++) {
		assert_int_equal(
			fi_cntr_open(f.domain, &attr, &f.cntr[i], NULL), 0);
		assert_int_equal(
			fi_ep_bind(f.ep[i / 2], &f.cntr[i]->fid, flags[i]), 0);
	}
	assert_int_equal(fi_atomic(f.ep[0], operand, 4, NULL, 0, 0, 0,
				   FI_UINT64, FI_SUM, &tx),
			 -FI_EOPBADSTATE);
	fixture_enable(&f);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fi_inject_atomic(f.ep[0], operand, 4,
						  f.addr[1], where.addr,
						  where.key, FI_UINT64, FI_SUM),
				 0);
	assert_int_equal(fi_fetch_atomic(f.ep[0], operand, 4, NULL, result,
					 NULL, f.addr[1], where.addr, where.key,
					 FI_UINT64, FI_SUM, &tx),
			 0);
	expect_done(FI_ATOMIC | FI_READ);
	fixture_quiet(&f);
	for (int i = 0; i < 4; i++)
		assert_int_equal(fi_cntr_read(f.cntr[i]), i % 2 ? 1 : 3);
	close_target();
}

/* ---- trouble ------------------------------------------------------------- */

static void atomic__mistakes(void **state)
{
	const struct fi_ioc ioc[5] = { { operand, 4 }, { operand, 4 } };
	const struct fi_ioc huge = { operand, SIZE_MAX / 4 };
	struct fi_ioc to = { result, 3 };
	struct fi_rma_ioc two[2] = { where, where };
	struct fi_msg_atomic msg = { .msg_iov = ioc,
				     .iov_count = 1,
				     .addr = f.addr[1],
				     .rma_iov = two,
				     .rma_iov_count = 2,
				     .datatype = FI_UINT64,
				     .op = FI_SUM };

	assert_int_equal(fi_atomicmsg(f.ep[0], &msg, 0), -FI_EINVAL);
	msg.rma_iov_count = 1;
	assert_int_equal(fi_atomicmsg(f.ep[0], &msg, FI_TAGGED),
			 -FI_EOPNOTSUPP);
	assert_int_equal(fi_atomicmsg(f.ep[0], &msg, FI_TRIGGER), -FI_ENOSYS);
	assert_int_equal(fi_fetch_atomicmsg(f.ep[0], &msg, &to, NULL, 1, 0),
			 -FI_EINVAL);
	two[0].count = 3;
	assert_int_equal(fi_atomicmsg(f.ep[0], &msg, 0), -FI_EINVAL);
	two[0].count = SIZE_MAX;
	assert_int_equal(fi_atomicmsg(f.ep[0], &msg, 0), -FI_EINVAL);
	assert_int_equal(fi_atomicv(f.ep[0], ioc, NULL, 5, f.addr[1],
				    where.addr, where.key, FI_UINT64, FI_SUM,
				    &tx),
			 -FI_EINVAL);
	assert_int_equal(fi_atomicv(f.ep[0], &huge, NULL, 1, f.addr[1],
				    where.addr, where.key, FI_UINT64, FI_SUM,
				    &tx),
			 -FI_EINVAL);
	assert_int_equal(fi_atomic(f.ep[0], operand, 1, NULL, f.addr[1],
				   where.addr, UINT64_C(1) << 32, FI_UINT64,
				   FI_SUM, &tx),
			 -FI_EINVAL);
	assert_int_equal(fi_atomic(f.ep[0], operand, 1, NULL, 99, where.addr,
				   where.key, FI_UINT64, FI_SUM, &tx),
			 -FI_EINVAL);
	assert_int_equal(fi_atomic(f.ep[0], operand, 1, NULL, f.addr[1],
				   where.addr, where.key, FI_DOUBLE, FI_BOR,
				   &tx),
			 -FI_EOPNOTSUPP);
	assert_int_equal(fi_atomic(f.ep[0], operand, 1, NULL, f.addr[1],
				   where.addr, where.key, FI_VOID, FI_NOOP,
				   &tx),
			 -FI_EOPNOTSUPP);
	assert_int_equal(fi_atomic(f.ep[0], operand, MAX / 8 + 1, NULL,
				   f.addr[1], where.addr, where.key, FI_UINT64,
				   FI_SUM, &tx),
			 -FI_EMSGSIZE);
	expect_target(0, 1, 2, 3);
}

/* It fails nobody's operation: the target's event queue tells. */
static void atomic__wrong_key_is_an_event(void **state)
{
	struct fi_eq_attr attr = { .wait_obj = FI_WAIT_NONE };
	struct fi_eq_err_entry error = { .err = 0 };
	uint8_t buf[64];
	uint32_t event;

	assert_int_equal(fi_eq_open(f.fabric, &attr, &f.eq, NULL), 0);
	/* Of the domain, for all that have none. */
	assert_int_equal(fi_domain_bind(f.domain, &f.eq->fid, 0), 0);
	assert_int_equal(fi_inject_atomic(f.ep[0], operand, 4, f.addr[1],
					  where.addr, where.key + 1, FI_UINT64,
					  FI_SUM),
			 0);
	expect_target(0, 1, 2, 3);
	assert_int_equal(fi_eq_read(f.eq, &event, buf, sizeof(buf), 0),
			 -FI_EAVAIL);
	assert_int_equal(fi_eq_readerr(f.eq, &error, 0), sizeof(error));
	assert_ptr_equal(error.fid, &f.ep[1]->fid);
	assert_int_equal(error.err, FI_EOTHER);
	assert_int_equal(error.prov_errno, 4111);
	assert_non_null(strstr(error.err_data, "fi_addr_efa://[::ffff:127."));
	assert_int_equal(fi_eq_readerr(f.eq, &error, 0), -FI_EAGAIN);
}

/* Who waits for a result is told, once hands are shaken. */
static void atomic__wrong_key_is_an_error_entry(void **state)
{
	struct fi_cq_err_entry error;

	assert_int_equal(fi_fetch_atomic(f.ep[0], operand, 4, NULL, result,
					 NULL, f.addr[1], where.addr, where.key,
					 FI_UINT64, FI_ATOMIC_READ, &tx),
			 0);
	expect_done(FI_ATOMIC | FI_READ);
	fixture_quiet(&f);
	assert_int_equal(fi_fetch_atomic(f.ep[0], operand, 4, NULL, result,
					 NULL, f.addr[1], where.addr,
					 where.key + 1, FI_UINT64, FI_SUM, &tx),
			 0);
	error = fixture_error(&f, 0);
	assert_ptr_equal(error.op_context, &tx);
	assert_true(error.flags == (FI_ATOMIC | FI_READ));
	assert_int_equal(error.prov_errno, 4127);
	expect_target(0, 1, 2, 3);
}

/* ---- what there is ------------------------------------------------------- */

static void atomic_valid__counts(void **state)
{
	size_t count = 0;

	assert_int_equal(fi_atomicvalid(f.ep[0], FI_UINT8, FI_SUM, &count), 0);
	assert_int_equal(count, MAX);
	assert_int_equal(
		fi_fetch_atomicvalid(f.ep[0], FI_DOUBLE, FI_PROD, &count), 0);
	assert_int_equal(count, MAX / 8);
	assert_int_equal(fi_compare_atomicvalid(f.ep[0], FI_LONG_DOUBLE,
						FI_CSWAP, &count),
			 0);
	assert_int_equal(count, MAX / 2 / sizeof(long double));
	assert_int_equal(fi_compare_atomicvalid(f.ep[0], FI_INT64, FI_SUM,
						&count),
			 -FI_EOPNOTSUPP);
	assert_int_equal(fi_atomicvalid(f.ep[0], FI_INT64, FI_CSWAP, &count),
			 -FI_EOPNOTSUPP);
	assert_int_equal(fi_atomicvalid(f.ep[0], FI_INT64, FI_ATOMIC_READ,
					&count),
			 -FI_EOPNOTSUPP);
	assert_int_equal(fi_atomicvalid(f.ep[0], FI_VOID, FI_NOOP, &count),
			 -FI_EOPNOTSUPP);
}

static void query_atomic__as_valid(void **state)
{
	const uint64_t flags[3] = { 0, FI_FETCH_ATOMIC, FI_COMPARE_ATOMIC };
	struct fi_atomic_attr attr;

	for (int kind = 0; kind < 3; kind++) {
		for (int op = 0; op < FI_ATOMIC_OP_LAST; op++) {
			for (int type = 0; type <= FI_UINT128; type++) {
				size_t count = 0;
				int ret = kind == 0 ?
						  fi_atomicvalid(f.ep[0], type,
								 op, &count) :
					  kind == 1 ?
						  fi_fetch_atomicvalid(f.ep[0],
								       type, op,
								       &count) :
						  fi_compare_atomicvalid(
							  f.ep[0], type, op,
							  &count);

				attr = (struct fi_atomic_attr){ 0 };
				assert_int_equal(fi_query_atomic(f.domain, type,
								 op, &attr,
								 flags[kind]),
						 ret);
				assert_int_equal(attr.count, count);
				if (!ret)
					assert_in_range(attr.size, 1, 32);
			}
		}
	}
	assert_int_equal(fi_query_atomic(f.domain, FI_INT8, FI_SUM, &attr,
					 FI_TAGGED),
			 -FI_EOPNOTSUPP);
	assert_int_equal(fi_query_atomic(f.domain, FI_INT8, FI_SUM, &attr,
					 FI_FETCH_ATOMIC | FI_COMPARE_ATOMIC),
			 -FI_EINVAL);
}

static void options__of_atomics(void **state)
{
	size_t size = 0, len = sizeof(size);
	bool emulated = false;

	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_MAX_ATOMIC_SIZE, &size, &len),
			 0);
	assert_int_equal(size, MAX);
	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_INJECT_ATOMIC_SIZE, &size, &len),
			 0);
	assert_int_equal(size, f.info->tx_attr->inject_size);
	len = sizeof(emulated);
	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_EFA_EMULATED_ATOMICS, &emulated,
				   &len),
			 0);
	assert_true(emulated);
}

static void atomic__without_the_capability(void **state)
{
	size_t count;

	fixture_open(&f, &(struct fixture_config){ .caps = FI_MSG });
	assert_int_equal(fi_atomicvalid(f.ep[0], FI_UINT64, FI_SUM, &count),
			 -FI_EOPNOTSUPP);
	assert_int_equal(fi_atomic(f.ep[0], NULL, 1, NULL, 0, 0, 0, FI_UINT64,
				   FI_SUM, NULL),
			 -FI_ENOSYS);
	fixture_close(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(atomic__write),
		TEST(atomic__fetch),
		TEST(atomic__compare),
		TEST(atomic__messages),
		TEST(atomic__to_oneself),
		cmocka_unit_test(atomic__selective_completion),
		cmocka_unit_test(atomic__counters),
		TEST(atomic__mistakes),
		TEST(atomic__wrong_key_is_an_event),
		TEST(atomic__wrong_key_is_an_error_entry),
		TEST(atomic_valid__counts),
		TEST(query_atomic__as_valid),
		TEST(options__of_atomics),
		cmocka_unit_test(atomic__without_the_capability),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
