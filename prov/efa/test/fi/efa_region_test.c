/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_region_test.c - counters bound to memory regions
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

#include "util/u_time.h"

#define CAPS (FI_MSG | FI_RMA | FI_ATOMIC | FI_RMA_EVENT)
#define BYTES 300000
#define ACCESS (FI_REMOTE_READ | FI_REMOTE_WRITE)

static struct fixture f;
static uint8_t local[BYTES], target[2][BYTES];
static struct fid_mr *mr[2];
static struct fid_cntr *cntr[2]; /* of the regions */

static void open_region(int i)
{
	assert_int_equal(fi_mr_reg(f.domain, target[i], BYTES, ACCESS, 0, 0,
				   FI_RMA_EVENT, &mr[i], NULL),
			 0);
	assert_int_equal(fi_cntr_open(f.domain, NULL, &cntr[i], NULL), 0);
	assert_int_equal(fi_mr_bind(mr[i], &cntr[i]->fid, FI_REMOTE_WRITE), 0);
	assert_int_equal(fi_mr_enable(mr[i]), 0);
}

/* One region is there before the endpoints are enabled, the other is not. */
static int setup(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .caps = CAPS,
						   .disabled = true });
	open_region(0);
	fixture_enable(&f);
	open_region(1);
	memset(target, 1, sizeof(target));
	memset(local, 2, sizeof(local));
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fi_close(&mr[i]->fid), 0);
		assert_int_equal(fi_close(&cntr[i]->fid), 0);
	}
	fixture_close(&f);
	return 0;
}

static uint64_t at(int i)
{
	return (uintptr_t)target[i];
}

/* The target is driven by its counter alone. */
static void expect_count(int i, uint64_t count)
{
	uint64_t end = u_now() + 10 * U_SEC;

	while (fi_cntr_read(cntr[i]) < count && u_now() < end)
		fi_cq_read(f.cq[0], NULL, 0);
	assert_int_equal(fi_cntr_read(cntr[i]), count);
}

static void expect_done(void)
{
	struct fi_cq_tagged_entry entry;
	ssize_t ret;

	do {
		fi_cntr_read(cntr[0]);
		ret = fi_cq_read(f.cq[0], &entry, 1);
	} while (ret == -FI_EAGAIN);
	assert_int_equal(ret, 1);
}

/*
 * An endpoint without the capability is its thread's alone, under some models
 * without a lock: no counter of a region drives it, early or late.
 */
static void cntr__drives_no_endpoint_without_the_capability(void **state)
{
	struct fi_info *info = fi_dupinfo(f.info);
	struct fid_mr *region;
	struct fid_cntr *late;
	struct fid_ep *ep;

	info->caps &= ~FI_RMA_EVENT;
	assert_int_equal(fi_endpoint(f.domain, info, &ep, NULL), 0);
	assert_int_equal(fi_ep_bind(ep, &f.cq[0]->fid, FI_TRANSMIT | FI_RECV),
			 0);
	assert_int_equal(fi_ep_bind(ep, &f.av->fid, 0), 0);
	assert_int_equal(fi_enable(ep), 0);
	assert_int_equal(efa_ep_of(ep)->nwatches, 1);
	assert_int_equal(efa_ep_of(f.ep[0])->nwatches, 3);
	assert_int_equal(fi_cntr_open(f.domain, NULL, &late, NULL), 0);
	assert_int_equal(fi_mr_reg(f.domain, local, 8, ACCESS, 0, 0, 0, &region,
				   NULL),
			 0);
	assert_int_equal(fi_mr_bind(region, &late->fid, FI_REMOTE_WRITE), 0);
	assert_int_equal(efa_ep_of(ep)->nwatches, 1);
	assert_int_equal(efa_ep_of(f.ep[0])->nwatches, 4);
	assert_int_equal(fi_close(&region->fid), 0);
	assert_int_equal(fi_close(&late->fid), 0);
	assert_int_equal(fi_close(&ep->fid), 0);
	fi_freeinfo(info);
}

static void write__counts_where_it_goes(void **state)
{
	static const size_t size[] = { 8, 5000, 60000, BYTES };
	uint64_t n = 0;

	for (int i = 0; i < 2; i++) {
		for (size_t s = 0; s < u_array_size(size); s++) {
			assert_int_equal(fi_write(f.ep[0], local, size[s], NULL,
						  f.addr[1], at(i),
						  fi_mr_key(mr[i]), NULL),
					 0);
			expect_count(i, s + 1);
			expect_done();
			assert_memory_equal(target[i], local, size[s]);
			n++;
		}
	}
	assert_int_equal(fi_cntr_read(cntr[0]) + fi_cntr_read(cntr[1]), n);
}

static void write__with_data_counts_once(void **state)
{
	assert_int_equal(fi_writedata(f.ep[0], local, 8, NULL, 3, f.addr[1],
				      at(1), fi_mr_key(mr[1]), NULL),
			 0);
	expect_count(1, 1);
	fixture_entry(&f, 0);
	fixture_entry(&f, 1);
	fixture_quiet(&f);
	assert_int_equal(fi_cntr_read(cntr[1]), 1);
	assert_int_equal(fi_cntr_read(cntr[0]), 0);
}

static void read__does_not_count(void **state)
{
	assert_int_equal(fi_read(f.ep[0], local, BYTES, NULL, f.addr[1], at(0),
				 fi_mr_key(mr[0]), NULL),
			 0);
	expect_done();
	assert_int_equal(fi_cntr_read(cntr[0]), 0);
}

static void refused__does_not_count(void **state)
{
	assert_int_equal(fi_write(f.ep[0], local, BYTES, NULL, f.addr[1],
				  at(0) + 1, fi_mr_key(mr[0]), NULL),
			 0);
	assert_int_equal(fixture_error(&f, 0).prov_errno, 4127);
	assert_int_equal(fi_cntr_read(cntr[0]), 0);
}

/* Those that change something. */
static void atomic__counts(void **state)
{
	uint64_t one = 1, before;

	assert_int_equal(fi_atomic(f.ep[0], &one, 1, NULL, f.addr[1], at(0),
				   fi_mr_key(mr[0]), FI_UINT64, FI_SUM, NULL),
			 0);
	expect_count(0, 1);
	expect_done();
	assert_int_equal(fi_fetch_atomic(f.ep[0], &one, 1, NULL, &before, NULL,
					 f.addr[1], at(0), fi_mr_key(mr[0]),
					 FI_UINT64, FI_SUM, NULL),
			 0);
	expect_count(0, 2);
	expect_done();
	assert_int_equal(fi_fetch_atomic(f.ep[0], NULL, 1, NULL, &before, NULL,
					 f.addr[1], at(0), fi_mr_key(mr[0]),
					 FI_UINT64, FI_ATOMIC_READ, NULL),
			 0);
	expect_done();
	assert_int_equal(fi_cntr_read(cntr[0]), 2);
}

static void wait__ends_by_a_write(void **state)
{
	/* The first one waits for a handshake, which we have to drive. */
	assert_int_equal(fi_write(f.ep[0], local, 8, NULL, f.addr[1], at(0),
				  fi_mr_key(mr[0]), NULL),
			 0);
	expect_count(0, 1);
	expect_done();
	assert_int_equal(fi_cntr_wait(cntr[0], 2, 10), -FI_ETIMEDOUT);
	assert_int_equal(fi_write(f.ep[0], local, 8, NULL, f.addr[1], at(0),
				  fi_mr_key(mr[0]), NULL),
			 0);
	assert_int_equal(fi_cntr_wait(cntr[0], 2, 10000), 0);
	fixture_entry(&f, 0);
}

static void bind__what_cannot_be(void **state)
{
	struct fid_cntr *other;
	struct fid_mr *third;

	assert_int_equal(fi_cntr_open(f.domain, NULL, &other, NULL), 0);
	assert_int_equal(fi_mr_reg(f.domain, target[0], 8, ACCESS, 0, 0, 0,
				   &third, NULL),
			 0);
	assert_int_equal(fi_mr_bind(third, &other->fid, 0), -FI_EBADFLAGS);
	assert_int_equal(fi_mr_bind(third, &other->fid, FI_REMOTE_READ),
			 -FI_EBADFLAGS);
	assert_int_equal(fi_mr_bind(third, &f.ep[0]->fid, 0), -FI_ENOSYS);
	assert_int_equal(fi_mr_bind(mr[0], &other->fid, FI_REMOTE_WRITE),
			 -FI_EINVAL);
	assert_int_equal(fi_mr_bind(third, &other->fid, FI_REMOTE_WRITE), 0);
	assert_int_equal(fi_close(&other->fid), -FI_EBUSY);
	assert_int_equal(fi_close(&third->fid), 0);
	assert_int_equal(fi_close(&other->fid), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(cntr__drives_no_endpoint_without_the_capability),
		T(write__counts_where_it_goes),
		T(write__with_data_counts_once),
		T(read__does_not_count),
		T(refused__does_not_count),
		T(atomic__counts),
		T(wait__ends_by_a_write),
		T(bind__what_cannot_be),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
