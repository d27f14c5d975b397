/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_av_test.c - addresses in and out, indexes that come back, memory, and
 * lookups while others insert and remove
 */
#include "rdm/rdm.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/sanitized.h"
#include "util/u_hash.h"

static struct rdm_av *av;

static int setup(void **state)
{
	(void)state;
	av = rdm_av_new(0);
	return av ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	rdm_av_free(av);
	return 0;
}

/* The n-th of many different addresses: few hosts, many queue pairs. */
static struct dev_addr addr_of(uint32_t n)
{
	struct dev_addr addr = { .gid = { 0xfe, 0x80, [15] = 1 },
				 .qpn = 1 + n % 100,
				 .qkey = n };
	uint32_t host = n / 100;

	memcpy(addr.gid + 8, &host, sizeof(host));
	return addr;
}

static uint64_t insert(uint32_t n)
{
	struct dev_addr addr = addr_of(n);
	uint64_t index = RDM_ADDR_NONE;

	assert_int_equal(rdm_av_insert(av, &addr, &index), 0);
	return index;
}

static uint64_t find(uint32_t n)
{
	struct dev_addr addr = addr_of(n);

	return rdm_av_find(av, &addr);
}

static void assert_is(uint64_t index, uint32_t n)
{
	struct dev_addr got, want = addr_of(n);

	assert_int_equal(rdm_av_lookup(av, index, &got), 0);
	assert_memory_equal(&got, &want, sizeof(got));
}

/* ---- in and out -------------------------------------------------------------- */

static void rdm_av_insert__indexes_from_zero(void **state)
{
	struct dev_addr addr;

	(void)state;
	for (uint32_t i = 0; i < 5000; i++) {
		assert_true(insert(i) == i);
		/* Behind the last one, also where a chunk ends. */
		assert_int_equal(rdm_av_lookup(av, i + 1, &addr), -EINVAL);
		assert_int_equal(rdm_av_remove(av, i + 1), -EINVAL);
	}
	for (uint32_t i = 0; i < 5000; i++) {
		assert_is(i, i);
		assert_true(find(i) == i);
	}
}

static void rdm_av_insert__same_address_same_index(void **state)
{
	(void)state;
	assert_true(insert(1) == 0);
	assert_true(insert(2) == 1);
	assert_true(insert(1) == 0);
	assert_int_equal(rdm_av_remove(av, 0), 0);
	assert_is(0, 1);
	assert_int_equal(rdm_av_remove(av, 0), 1);
	assert_true(find(1) == RDM_ADDR_NONE);
	assert_is(1, 2);
}

/* Every part of an address counts. */
static void rdm_av_insert__addresses_differ_in_one_byte(void **state)
{
	struct dev_addr addr = addr_of(0);
	uint8_t *byte = (uint8_t *)&addr;
	uint64_t index;

	(void)state;
	assert_int_equal(rdm_av_insert(av, &addr, &index), 0);
	for (uint64_t i = 0; i < sizeof(addr); i++) {
		byte[i] ^= 0x80;
		assert_int_equal(rdm_av_insert(av, &addr, &index), 0);
		assert_true(index == i + 1);
		byte[i] ^= 0x80;
	}
}

static void rdm_av_insert__address_that_cannot_be(void **state)
{
	struct dev_addr no_gid = { .qpn = 1, .qkey = 1 };
	struct dev_addr no_qpn = { .gid = { 1 }, .qkey = 1 };
	uint64_t index = 77;

	(void)state;
	assert_int_equal(rdm_av_insert(av, &no_gid, &index), -EINVAL);
	assert_int_equal(rdm_av_insert(av, &no_qpn, &index), -EINVAL);
	assert_true(index == 77);
	assert_int_equal(rdm_av_generation(av), 0);
}

static void rdm_av_remove__unknown_index(void **state)
{
	(void)state;
	insert(0);
	assert_int_equal(rdm_av_remove(av, 0), 1);
	assert_int_equal(rdm_av_remove(av, 0), -EINVAL);
	assert_int_equal(rdm_av_remove(av, 1), -EINVAL);
	assert_int_equal(rdm_av_remove(av, RDM_ADDR_NONE), -EINVAL);
	assert_int_equal(rdm_av_remove(av, UINT32_MAX), -EINVAL);
}

static void rdm_av_lookup__garbage(void **state)
{
	static const uint64_t bad[] = { 1,	    63,		64,
					1000,	    INT32_MAX,	UINT32_MAX,
					1ull << 32, 1ull << 63, UINT64_MAX };
	struct dev_addr addr, before;

	(void)state;
	insert(0);
	memset(&addr, 0x5a, sizeof(addr));
	before = addr;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(rdm_av_lookup(av, bad[i], &addr), -EINVAL);
	assert_int_equal(rdm_av_remove(av, 0), 1);
	assert_int_equal(rdm_av_lookup(av, 0, &addr), -EINVAL);
	assert_memory_equal(&addr, &before, sizeof(addr));
}

static void rdm_av_generation__changes_with_what_is_inserted(void **state)
{
	uint32_t before = rdm_av_generation(av);

	(void)state;
	insert(0);
	assert_int_not_equal(rdm_av_generation(av), before);
	before = rdm_av_generation(av);
	assert_int_equal(rdm_av_remove(av, 0), 1);
	insert(0);
	assert_int_not_equal(rdm_av_generation(av), before);
}

/* ---- indexes that come back ---------------------------------------------------- */

static void rdm_av_insert__removed_index_rests(void **state)
{
	(void)state;
	insert(0);
	assert_int_equal(rdm_av_remove(av, 0), 1);
	for (uint32_t i = 1; i < 1000; i++)
		assert_true(insert(i) == i);
}

static void rdm_av_insert__oldest_removed_index_first(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		insert(i);
	for (uint32_t i = 200; i-- > 100;)
		assert_int_equal(rdm_av_remove(av, i), 1);
	assert_true(insert(1000) == 199);
	assert_true(insert(1001) == 198);
	assert_is(199, 1000);
	assert_true(find(199) == RDM_ADDR_NONE);
	assert_is(0, 0);
	/* 98 rest; they become 64, then come indexes never used. */
	for (uint32_t i = 2; i < 36; i++)
		assert_true(insert(1000 + i) == 199 - i);
	assert_true(insert(2000) == 200);
	assert_true(insert(2001) == 201);
}

/* Which address has which index, in random order, over growing buckets. */
static void rdm_av__same_as_an_array(void **state)
{
	static uint64_t index[3000]; /* of an address; RDM_ADDR_NONE */
	uint32_t used = 0;

	(void)state;
	for (uint32_t i = 0; i < 3000; i++)
		index[i] = RDM_ADDR_NONE;
	for (uint64_t round = 0; round < 30000; round++) {
		uint32_t i = (uint32_t)(u_mix64(round) % 3000);

		assert_true(find(i) == index[i]);
		if (index[i] == RDM_ADDR_NONE) {
			index[i] = insert(i);
			used++;
		} else {
			assert_is(index[i], i);
			assert_int_equal(rdm_av_remove(av, index[i]), 1);
			index[i] = RDM_ADDR_NONE;
			used--;
		}
	}
	assert_true(used > 1000);
	for (uint32_t i = 0; i < 3000; i++)
		assert_true(find(i) == index[i]);
}

/* An index used for ever new addresses takes no more memory. */
static void rdm_av_insert__comings_and_goings_reuse(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 100000; i++) {
		uint64_t index = insert(i);

		assert_true(index < 100);
		assert_true(find(i) == index);
		assert_is(index, i);
		assert_int_equal(rdm_av_remove(av, index), 1);
		assert_true(find(i) == RDM_ADDR_NONE);
	}
}

/* ---- many ---------------------------------------------------------------------- */

#define MANY (SANITIZED_THREAD ? 100000u : 1000000u)

static size_t memory_in_use(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
#else
	return 0;
#endif
}

/* Under a sanitizer the C library knows of no memory: then 0 <= 64. */
static void rdm_av__many_in_64_bytes_each(void **state)
{
	size_t before = memory_in_use();

	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		assert_true(insert(i) == i);
		/* Chunks and buckets grow at such an index. */
		if (i >= 10000 && i % 64 == 0)
			assert_true(memory_in_use() - before <=
				    (size_t)(i + 1) * 64);
	}
	for (uint32_t i = 0; i < MANY; i += 13) {
		assert_true(find(i) == i);
		assert_is(i, i);
	}
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(rdm_av_remove(av, i), 1);
	assert_true(find(5) == RDM_ADDR_NONE);
	assert_true(insert(5) == 0);
}

static void rdm_av_new__count_is_a_hint(void **state)
{
	(void)state;
	rdm_av_free(av);
	av = rdm_av_new(1000);
	assert_non_null(av);
	for (uint32_t i = 0; i < 10000; i++)
		assert_true(insert(i) == i);
}

/* ---- threads --------------------------------------------------------------------- */

static _Atomic bool stop;

/* What a lookup finds is always one address, never halves of two. */
static void *looker(void *arg)
{
	uint64_t *found = arg;
	struct dev_addr addr, want;

	while (!stop) {
		for (uint64_t i = 0; i < 300; i++) {
			if (rdm_av_lookup(av, i, &addr))
				continue;
			want = addr_of(addr.qkey);
			if (memcmp(&addr, &want, sizeof(addr)) != 0)
				abort();
			++*found;
		}
		rdm_av_generation(av);
	}
	return NULL;
}

static void *changer(void *arg)
{
	uint32_t first = *(uint32_t *)arg;

	for (uint32_t round = 0; round < 30000; round++) {
		struct dev_addr addr = addr_of(first + round * 2);
		uint64_t index;

		if (rdm_av_insert(av, &addr, &index) ||
		    rdm_av_find(av, &addr) != index ||
		    rdm_av_remove(av, index) != 1)
			abort();
	}
	return NULL;
}

static void rdm_av__lookups_beside_changes(void **state)
{
	uint32_t first[2] = { 10000, 10001 };
	pthread_t thread[3];
	uint64_t found = 0;

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		insert(i);
	stop = false;
	pthread_create(&thread[0], NULL, looker, &found);
	pthread_create(&thread[1], NULL, changer, &first[0]);
	pthread_create(&thread[2], NULL, changer, &first[1]);
	pthread_join(thread[1], NULL);
	pthread_join(thread[2], NULL);
	stop = true;
	pthread_join(thread[0], NULL);
	assert_true(found > 0);
	for (uint32_t i = 0; i < 100; i++)
		assert_is(i, i);
}

static void rdm_av_find_any__whatever_the_qkey(void **state)
{
	struct dev_addr addr = addr_of(7);

	assert_true(rdm_av_find_any(av, &addr) == RDM_ADDR_NONE);
	for (uint32_t i = 0; i < 300; i++)
		insert(i);
	addr.qkey = 0;
	assert_int_equal(rdm_av_find_any(av, &addr), 7);
	assert_int_equal(rdm_av_remove(av, 7), 1);
	assert_true(rdm_av_find_any(av, &addr) == RDM_ADDR_NONE);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(rdm_av_insert__indexes_from_zero),
		test(rdm_av_insert__same_address_same_index),
		test(rdm_av_insert__addresses_differ_in_one_byte),
		test(rdm_av_insert__address_that_cannot_be),
		test(rdm_av_remove__unknown_index),
		test(rdm_av_lookup__garbage),
		test(rdm_av_find_any__whatever_the_qkey),
		test(rdm_av_generation__changes_with_what_is_inserted),
		test(rdm_av_insert__removed_index_rests),
		test(rdm_av_insert__oldest_removed_index_first),
		test(rdm_av__same_as_an_array),
		test(rdm_av_insert__comings_and_goings_reuse),
		test(rdm_av__many_in_64_bytes_each),
		test(rdm_av_new__count_is_a_hint),
		test(rdm_av__lookups_beside_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
