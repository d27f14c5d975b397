/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_rma_test.c - remote memory access as programs see it, by the device and
 * in packets
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

#include <rdma/fi_ext.h>
#include <rdma/fi_ext_efa.h>

#define RMA (FI_MSG | FI_RMA)
#define BYTES 300000

static struct fixture f;
static uint8_t local[BYTES], target[BYTES];
static struct fid_mr *mr;
static struct fid_eq *eq;
static struct fid_cntr *reads, *writes; /* of accesses to endpoint 1 */

static void open_counter(struct fid_cntr **cntr, uint64_t flags)
{
	assert_int_equal(fi_cntr_open(f.domain, NULL, cntr, NULL), 0);
	assert_int_equal(fi_ep_bind(f.ep[1], &(*cntr)->fid, flags), 0);
}

static void open_all(uint64_t caps, bool use_rdma)
{
	fixture_open(&f, &(struct fixture_config){ .caps = caps,
						   .disabled = true });
	assert_int_equal(
		fi_eq_open(f.fabric, &(struct fi_eq_attr){ 0 }, &eq, NULL), 0);
	assert_int_equal(fi_ep_bind(f.ep[1], &eq->fid, 0), 0);
	open_counter(&reads, FI_REMOTE_READ);
	open_counter(&writes, FI_REMOTE_WRITE);
	for (int i = 0; i < 2; i++)
		efa_ep_of(f.ep[i])->opt.no_rdma = !use_rdma;
	fixture_enable(&f);
	assert_int_equal(fi_mr_reg(f.domain, target, sizeof(target),
				   FI_REMOTE_READ | FI_REMOTE_WRITE, 0, 0, 0,
				   &mr, NULL),
			 0);
	memset(target, 1, sizeof(target));
	memset(local, 2, sizeof(local));
}

static void close_all(void)
{
	if (mr)
		assert_int_equal(fi_close(&mr->fid), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fi_close(&f.ep[i]->fid), 0);
	assert_int_equal(fi_close(&eq->fid), 0);
	assert_int_equal(fi_close(&reads->fid), 0);
	assert_int_equal(fi_close(&writes->fid), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fi_close(&f.cq[i]->fid), 0);
	assert_int_equal(fi_close(&f.av->fid), 0);
	assert_int_equal(fi_close(&f.domain->fid), 0);
	assert_int_equal(fi_close(&f.fabric->fid), 0);
	fi_freeinfo(f.info);
}

static uint64_t at(void)
{
	return (uintptr_t)target;
}

static bool flag(struct fid_ep *ep, int name)
{
	bool value;
	size_t len = sizeof(value);

	assert_int_equal(
		fi_getopt(&ep->fid, FI_OPT_ENDPOINT, name, &value, &len), 0);
	return value;
}

/* Packets are with the peer when a write is done, and placed by polling. */
static void settle(void)
{
	for (int i = 0; i < 1000; i++)
		fi_cq_read(f.cq[1], NULL, 0);
}

static void write_and_read(void)
{
	struct fi_cq_tagged_entry entry;

	assert_int_equal(fi_write(f.ep[0], local, BYTES, NULL, f.addr[1], at(),
				  fi_mr_key(mr), local),
			 0);
	entry = fixture_entry(&f, 0);
	assert_ptr_equal(entry.op_context, local);
	assert_int_equal(entry.flags, FI_RMA | FI_WRITE);
	settle();
	assert_memory_equal(local, target, BYTES);
	memset(target, 3, sizeof(target));
	assert_int_equal(fi_read(f.ep[0], local, BYTES, NULL, f.addr[1], at(),
				 fi_mr_key(mr), target),
			 0);
	entry = fixture_entry(&f, 0);
	assert_ptr_equal(entry.op_context, target);
	assert_int_equal(entry.flags, FI_RMA | FI_READ);
	assert_memory_equal(local, target, BYTES);
}

static void rma__by_the_device(void **state)
{
	open_all(RMA, true);
	assert_false(flag(f.ep[0], FI_OPT_EFA_EMULATED_READ));
	assert_false(flag(f.ep[0], FI_OPT_EFA_EMULATED_WRITE));
	write_and_read();
	close_all();
}

/* FI_OPT_EFA_USE_DEVICE_RDMA off. */
static void rma__in_packets(void **state)
{
	open_all(RMA, false);
	assert_true(flag(f.ep[0], FI_OPT_EFA_EMULATED_READ));
	assert_true(flag(f.ep[0], FI_OPT_EFA_EMULATED_WRITE));
	write_and_read();
	assert_int_equal(fi_cntr_read(writes), 1);
	assert_int_equal(fi_cntr_read(reads), 1);
	close_all();
}

/* Whatever comes is counted, so nothing may come that is not noticed. */
static void rma_event__every_access_is_counted(void **state)
{
	open_all(RMA | FI_RMA_EVENT, true);
	assert_true(flag(f.ep[1], FI_OPT_EFA_EMULATED_WRITE));
	for (uint64_t i = 1; i < 4; i++) {
		write_and_read();
		assert_int_equal(fi_cntr_read(writes), i);
		assert_int_equal(fi_cntr_read(reads), i);
	}
	close_all();
}

static void writedata__says_where_it_went(void **state)
{
	struct fi_cq_tagged_entry entry;

	open_all(RMA, false);
	assert_int_equal(fi_writedata(f.ep[0], local, 5000, NULL, 77, f.addr[1],
				      at() + 8, fi_mr_key(mr), NULL),
			 0);
	entry = fixture_entry(&f, 1);
	assert_null(entry.op_context);
	assert_int_equal(entry.flags,
			 FI_REMOTE_CQ_DATA | FI_RMA | FI_REMOTE_WRITE);
	assert_int_equal(entry.len, 5000);
	assert_ptr_equal(entry.buf, target + 8);
	assert_int_equal(entry.data, 77);
	fixture_entry(&f, 0);
	close_all();
}

static void inject__leaves_the_buffer(void **state)
{
	struct fi_cq_tagged_entry entry;
	uint8_t small[100];

	for (int rdma = 0; rdma < 2; rdma++) {
		open_all(RMA, rdma);
		memset(small, 7, sizeof(small));
		assert_int_equal(
			fi_inject_writedata(f.ep[0], small, sizeof(small), 5,
					    f.addr[1], at(), fi_mr_key(mr)),
			0);
		memset(small, 0, sizeof(small));
		entry = fixture_entry(&f, 1);
		assert_int_equal(entry.data, 5);
		memset(small, 7, sizeof(small));
		assert_memory_equal(small, target, sizeof(small));
		fixture_quiet(&f);
		close_all();
	}
}

static void writemsg__lists_of_both_sides(void **state)
{
	struct iovec iov[2] = { { local, 100 }, { local + 100, 9000 } };
	struct fi_rma_iov there[2];
	struct fi_msg_rma msg;

	for (int rdma = 0; rdma < 2; rdma++) {
		open_all(RMA, rdma);
		there[0] =
			(struct fi_rma_iov){ at() + 50, 4000, fi_mr_key(mr) };
		there[1] =
			(struct fi_rma_iov){ at() + 4050, 5100, fi_mr_key(mr) };
		msg = (struct fi_msg_rma){ .msg_iov = iov,
					   .iov_count = 2,
					   .addr = f.addr[1],
					   .rma_iov = there,
					   .rma_iov_count = 2 };
		assert_int_equal(fi_writemsg(f.ep[0], &msg,
					     FI_COMPLETION |
						     FI_DELIVERY_COMPLETE),
				 0);
		fixture_entry(&f, 0);
		assert_memory_equal(target + 50, local, 9100);
		assert_int_equal(target[49], 1);
		assert_int_equal(target[9150], 1);
		there[1].len++;
		assert_int_equal(fi_writemsg(f.ep[0], &msg, FI_COMPLETION),
				 -FI_EINVAL);
		msg.rma_iov_count = 0;
		assert_int_equal(fi_readmsg(f.ep[0], &msg, FI_COMPLETION),
				 -FI_EINVAL);
		close_all();
	}
}

/* Both sides hear of it: an error entry, and an event. */
static void rma__bad_key(void **state)
{
	struct fi_eq_err_entry event = { .err = 0 };
	struct fi_cq_err_entry entry;
	uint32_t number;

	open_all(RMA, false);
	assert_int_equal(fi_write(f.ep[0], local, BYTES, NULL, f.addr[1], at(),
				  fi_mr_key(mr) + 1, local),
			 0);
	entry = fixture_error(&f, 0);
	assert_ptr_equal(entry.op_context, local);
	assert_int_equal(entry.prov_errno, 4127);
	assert_int_equal(entry.err, FI_EOTHER);
	assert_int_equal(fi_eq_read(eq, &number, NULL, 0, 0), -FI_EAVAIL);
	assert_int_equal(fi_eq_readerr(eq, &event, 0), sizeof(event));
	assert_int_equal(event.prov_errno, 4111);
	assert_ptr_equal(event.fid, &f.ep[1]->fid);
	assert_int_equal(target[0], 1);
	close_all();
}

/* A region that goes while it is being written. */
static void mr_close__ends_operations(void **state)
{
	struct fi_cq_tagged_entry none;

	open_all(RMA, false);
	for (int i = 0; i < 200 && target[10000] == 1; i++) {
		if (i == 0)
			assert_int_equal(fi_write(f.ep[0], local, BYTES, NULL,
						  f.addr[1], at(),
						  fi_mr_key(mr), local),
					 0);
		fi_cq_read(f.cq[0], &none, 0);
		fi_cq_read(f.cq[1], &none, 0);
	}
	assert_int_equal(target[10000], 2);
	assert_int_equal(target[BYTES - 1], 1);
	assert_int_equal(fi_close(&mr->fid), 0);
	mr = NULL;
	assert_int_equal(fixture_error(&f, 0).prov_errno, 4127);
	assert_int_equal(target[BYTES - 1], 1);
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rma__by_the_device),
		cmocka_unit_test(rma__in_packets),
		cmocka_unit_test(rma_event__every_access_is_counted),
		cmocka_unit_test(writedata__says_where_it_went),
		cmocka_unit_test(inject__leaves_the_buffer),
		cmocka_unit_test(writemsg__lists_of_both_sides),
		cmocka_unit_test(rma__bad_key),
		cmocka_unit_test(mr_close__ends_operations),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
