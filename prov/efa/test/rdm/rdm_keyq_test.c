/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_keyq_test.c - queues in a table, and what growth must not disturb
 */
#include "rdm/rdm_keyq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TOP(n) ((uint64_t)(n) << 56) /* a hash with n in its top byte */

static struct rdm_keyq q;

static int setup(void **state)
{
	(void)state;
	return rdm_keyq_init(&q, 1);
}

static int teardown(void **state)
{
	(void)state;
	rdm_keyq_fini(&q);
	return 0;
}

static void rdm_keyq_first__empty(void **state)
{
	(void)state;
	assert_null(rdm_keyq_first(&q, 0));
	assert_null(rdm_keyq_first(&q, UINT64_MAX));
}

static void rdm_keyq_add__queues_share_a_bucket(void **state)
{
	struct rdm_keyq_node a[2] = { { .hash = 1 }, { .hash = 1 } };
	struct rdm_keyq_node b[2] = { { .hash = 2 }, { .hash = 2 } };

	(void)state;
	for (int i = 0; i < 2; i++) {
		rdm_keyq_add(&q, &a[i]);
		rdm_keyq_add(&q, &b[i]);
	}
	assert_int_equal(q.nqueues, 2);
	assert_ptr_equal(rdm_keyq_first(&q, 1), &a[0]);
	assert_ptr_equal(a[0].next, &a[1]);
	assert_null(a[1].next);
	assert_ptr_equal(rdm_keyq_first(&q, 2), &b[0]);
	assert_ptr_equal(b[0].next, &b[1]);
	assert_true(rdm_keyq_is_head(&a[0]) && !rdm_keyq_is_head(&a[1]));
}

/* Nodes are used again with what the last use left in them. */
static void rdm_keyq_add__again_what_was_removed(void **state)
{
	struct rdm_keyq_node n[3] = { { .hash = 1 },
				      { .hash = 1 },
				      { .hash = 1 } };

	(void)state;
	for (int i = 0; i < 3; i++)
		rdm_keyq_add(&q, &n[i]);
	for (int i = 0; i < 30; i++) {
		assert_ptr_equal(rdm_keyq_first(&q, 1), &n[i % 3]);
		rdm_keyq_remove(&q, &n[i % 3]);
		rdm_keyq_add(&q, &n[i % 3]);
		assert_null(n[i % 3].next);
	}
}

/* Each of four in turn: head, middle, middle, last. */
static void rdm_keyq_remove__from_any_place(void **state)
{
	(void)state;
	for (int gone = 0; gone < 4; gone++) {
		struct rdm_keyq_node n[4] = { { .hash = 1 },
					      { .hash = 1 },
					      { .hash = 1 },
					      { .hash = 1 } };
		struct rdm_keyq_node more = { .hash = 1 };
		struct rdm_keyq_node *at;

		for (int i = 0; i < 4; i++)
			rdm_keyq_add(&q, &n[i]);
		rdm_keyq_remove(&q, &n[gone]);
		rdm_keyq_add(&q, &more);
		at = rdm_keyq_first(&q, 1);
		assert_true(rdm_keyq_is_head(at));
		for (int i = 0; i < 4; i++) {
			if (i == gone)
				continue;
			assert_ptr_equal(at, &n[i]);
			at = at->next;
		}
		assert_ptr_equal(at, &more);
		assert_null(more.next);
		while ((at = rdm_keyq_first(&q, 1)))
			rdm_keyq_remove(&q, at);
		assert_int_equal(q.nqueues, 0);
	}
}

static void rdm_keyq_remove__first_middle_and_last_of_a_bucket(void **state)
{
	(void)state;
	for (int gone = 0; gone < 3; gone++) {
		struct rdm_keyq_node n[3] = { { .hash = 1 },
					      { .hash = 2 },
					      { .hash = 3 } };

		for (int i = 0; i < 3; i++)
			rdm_keyq_add(&q, &n[i]);
		rdm_keyq_remove(&q, &n[gone]);
		for (int i = 0; i < 3; i++)
			assert_ptr_equal(rdm_keyq_first(&q, n[i].hash),
					 i == gone ? NULL : &n[i]);
		for (int i = 0; i < 3; i++)
			if (i != gone)
				rdm_keyq_remove(&q, &n[i]);
		assert_int_equal(q.nqueues, 0);
	}
}

static void rdm_keyq_grow__keeps_queues_and_their_order(void **state)
{
	static struct rdm_keyq_node n[256][2];

	(void)state;
	for (int i = 0; i < 256; i++) {
		for (int k = 0; k < 2; k++) {
			n[i][k].hash = TOP(i);
			rdm_keyq_add(&q, &n[i][k]);
		}
	}
	assert_int_equal(q.nqueues, 256);
	assert_int_equal(rdm_keyq_buckets(&q), 256);
	for (int i = 0; i < 256; i++) {
		assert_ptr_equal(*rdm_keyq_bucket(&q, TOP(i)), &n[i][0]);
		assert_null(n[i][0].chain);
		assert_ptr_equal(n[i][0].next, &n[i][1]);
		assert_ptr_equal(n[i][0].prev, &n[i][1]);
	}
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(rdm_keyq_first__empty),
		test(rdm_keyq_add__queues_share_a_bucket),
		test(rdm_keyq_add__again_what_was_removed),
		test(rdm_keyq_remove__from_any_place),
		test(rdm_keyq_remove__first_middle_and_last_of_a_bucket),
		test(rdm_keyq_grow__keeps_queues_and_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
