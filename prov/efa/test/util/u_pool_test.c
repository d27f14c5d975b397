/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_pool_test.c - objects out and in, and ids that go stale
 */
#include "util/u_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/u_hash.h"

struct object {
	uint64_t value;
	char rest[21]; /* an odd size */
};

static struct u_pool pool;

static int setup(void **state)
{
	(void)state;
	u_pool_init(&pool, sizeof(struct object), 8, U_POOL_MAX);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	u_pool_fini(&pool);
	return 0;
}

static struct object *get(void)
{
	struct object *o = u_pool_get(&pool);

	assert_non_null(o);
	memset(o, 0x5a, sizeof(*o));
	return o;
}

static void u_pool_init__takes_no_memory(void **state)
{
	uint32_t cursor = 0;

	(void)state;
	assert_int_equal(pool.nchunks, 0);
	assert_null(u_pool_at(&pool, 0));
	assert_null(u_pool_next(&pool, &cursor));
}

static void u_pool_get__aligned_and_apart(void **state)
{
	struct object *o[20];

	(void)state;
	for (uint64_t i = 0; i < 20; i++) {
		o[i] = get();
		assert_int_equal((uintptr_t)o[i] % 16, 0);
		o[i]->value = i;
	}
	for (uint64_t i = 0; i < 20; i++) {
		assert_true(o[i]->value == i);
		assert_ptr_equal(u_pool_at(&pool, u_pool_id(o[i])), o[i]);
	}
	assert_int_equal(pool.taken, 20);
	assert_int_equal(pool.nchunks, 3);
}

static void u_pool_get__stops_at_the_limit(void **state)
{
	struct u_pool small;
	void *o[5];

	(void)state;
	u_pool_init(&small, 100, 4, 5); /* not a multiple of the chunk */
	for (int i = 0; i < 5; i++)
		assert_non_null(o[i] = u_pool_get(&small));
	assert_null(u_pool_get(&small));
	assert_null(u_pool_get(&small));
	u_pool_put(&small, o[2]);
	assert_ptr_equal(u_pool_get(&small), o[2]);
	assert_null(u_pool_get(&small));
	u_pool_fini(&small);
}

static void u_pool_at__not_after_put(void **state)
{
	struct object *o = get();
	uint32_t id = u_pool_id(o);

	(void)state;
	u_pool_put(&pool, o);
	assert_null(u_pool_at(&pool, id));
	assert_ptr_equal(get(), o); /* the same place again */
	assert_int_not_equal(u_pool_id(o), id);
	assert_null(u_pool_at(&pool, id));
	assert_ptr_equal(u_pool_at(&pool, u_pool_id(o)), o);
}

static void u_pool_at__ids_of_one_place_differ_for_long(void **state)
{
	uint32_t generations = UINT32_MAX / U_POOL_STEP + 1;
	struct object *o = get();
	uint32_t first = u_pool_id(o);

	(void)state;
	for (uint32_t i = 1; i < generations; i++) {
		u_pool_put(&pool, o);
		assert_ptr_equal(get(), o);
		assert_int_not_equal(u_pool_id(o), first);
		assert_null(u_pool_at(&pool, first));
	}
}

static void u_pool_at__not_of_another_space(void **state)
{
	struct u_pool other;
	void *a = get(), *b;

	(void)state;
	u_pool_init(&other, 100, 4, 5);
	u_pool_set_space(&other, 2);
	for (int i = 0; i < 3000; i++) {
		assert_non_null(b = u_pool_get(&other));
		assert_int_equal(u_pool_space(u_pool_id(b)), 2);
		assert_null(u_pool_at(&pool, u_pool_id(b)));
		assert_null(u_pool_at(&other, u_pool_id(a)));
		assert_ptr_equal(u_pool_at(&other, u_pool_id(b)), b);
		u_pool_put(&other, b);
	}
	assert_int_equal(u_pool_space(u_pool_id(a)), 0);
	u_pool_fini(&other);
}

static void u_pool_at__made_up_ids(void **state)
{
	uint32_t found = 0;

	(void)state;
	for (int i = 0; i < 8; i++)
		get();
	for (uint64_t i = 1; i <= 100000; i++)
		found += u_pool_at(&pool, (uint32_t)u_mix64(i)) != NULL;
	assert_int_equal(found, 0);
	assert_null(u_pool_at(&pool, UINT32_MAX));
}

static void u_pool_next__each_taken_one_once(void **state)
{
	struct object *o[30];
	uint32_t cursor = 0, seen = 0;
	struct object *at;

	(void)state;
	for (uint64_t i = 0; i < 30; i++) {
		o[i] = get();
		o[i]->value = i;
	}
	for (int i = 0; i < 30; i += 3)
		u_pool_put(&pool, o[i]);
	while ((at = u_pool_next(&pool, &cursor))) {
		assert_true(at->value % 3 != 0);
		assert_false(seen & 1u << at->value);
		seen |= 1u << at->value;
		u_pool_put(&pool, at); /* which the walk allows */
	}
	assert_int_equal(__builtin_popcount(seen), 20);
	assert_int_equal(pool.taken, 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(u_pool_init__takes_no_memory),
		test(u_pool_get__aligned_and_apart),
		test(u_pool_get__stops_at_the_limit),
		test(u_pool_at__not_after_put),
		test(u_pool_at__ids_of_one_place_differ_for_long),
		test(u_pool_at__not_of_another_space),
		test(u_pool_at__made_up_ids),
		test(u_pool_next__each_taken_one_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
