/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_reorder_test.c - packets kept until their turn
 */
#include "rdm/rdm_reorder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/u_hash.h"

static struct rdm_reorder r;

static int teardown(void **state)
{
	(void)state;
	rdm_reorder_clear(&r);
	assert_true(rdm_reorder_empty(&r));
	return 0;
}

static void rdm_reorder_take__nothing_kept(void **state)
{
	(void)state;
	assert_true(rdm_reorder_empty(&r));
	assert_null(rdm_reorder_take(&r, 0));
}

static void rdm_reorder_take__a_copy_of_what_was_kept(void **state)
{
	char bytes[] = "early";
	struct rdm_reorder_pkt *pkt;

	(void)state;
	assert_int_equal(rdm_reorder_keep(&r, 7, bytes, sizeof(bytes)), 0);
	memset(bytes, 0, sizeof(bytes));
	assert_false(rdm_reorder_empty(&r));
	assert_true(r.bytes >= sizeof(bytes));
	assert_null(rdm_reorder_take(&r, 8));
	pkt = rdm_reorder_take(&r, 7);
	assert_non_null(pkt);
	assert_int_equal(pkt->len, sizeof(bytes));
	assert_string_equal((char *)pkt->bytes, "early");
	assert_null(pkt->next);
	free(pkt);
	assert_true(rdm_reorder_empty(&r));
	assert_null(rdm_reorder_take(&r, 7));
}

static void rdm_reorder_take__slices_as_they_came(void **state)
{
	struct rdm_reorder_pkt *pkt, *next;
	uint8_t i;

	(void)state;
	for (i = 0; i < 10; i++) {
		assert_int_equal(rdm_reorder_keep(&r, 3, &i, 1), 0);
		assert_int_equal(rdm_reorder_keep(&r, i + 100u, &i, 1), 0);
	}
	i = 0;
	for (pkt = rdm_reorder_take(&r, 3); pkt; pkt = next) {
		next = pkt->next;
		assert_int_equal(pkt->bytes[0], i++);
		free(pkt);
	}
	assert_int_equal(i, 10);
}

/* An empty packet counts as one. */
static void rdm_reorder_keep__no_bytes(void **state)
{
	struct rdm_reorder_pkt *pkt;

	(void)state;
	assert_int_equal(rdm_reorder_keep(&r, 3, "", 0), 0);
	assert_false(rdm_reorder_empty(&r));
	pkt = rdm_reorder_take(&r, 3);
	assert_non_null(pkt);
	assert_int_equal(pkt->len, 0);
	free(pkt);
}

/* Thousands of numbers, far ahead, over the wrap, in random order. */
static void rdm_reorder_take__any_number_of_numbers(void **state)
{
	const uint32_t first = UINT32_MAX - 2000, n = 5000;
	uint32_t *turn = malloc(n * sizeof(*turn));

	(void)state;
	assert_non_null(turn);
	for (uint32_t i = 0; i < n; i++)
		turn[i] = first + i;
	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t k = (uint32_t)(u_mix64(i) % (i + 1)), t = turn[i];

		turn[i] = turn[k];
		turn[k] = t;
	}
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(rdm_reorder_keep(&r, turn[i], &turn[i], 4), 0);
	for (uint32_t i = 0; i < n; i++) {
		struct rdm_reorder_pkt *pkt = rdm_reorder_take(&r, first + i);
		uint32_t got;

		assert_non_null(pkt);
		assert_null(pkt->next);
		memcpy(&got, pkt->bytes, 4);
		assert_int_equal(got, first + i);
		free(pkt);
	}
	assert_true(rdm_reorder_empty(&r));
	free(turn);
}

static void rdm_reorder_clear__frees_all_and_can_go_on(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(rdm_reorder_keep(&r, i / 3, &i, 4), 0);
	rdm_reorder_clear(&r);
	assert_true(rdm_reorder_empty(&r));
	assert_null(rdm_reorder_take(&r, 5));
	assert_int_equal(rdm_reorder_keep(&r, 5, "x", 1), 0);
	assert_false(rdm_reorder_empty(&r));
}

#define test(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(rdm_reorder_take__nothing_kept),
		test(rdm_reorder_take__a_copy_of_what_was_kept),
		test(rdm_reorder_take__slices_as_they_came),
		test(rdm_reorder_keep__no_bytes),
		test(rdm_reorder_take__any_number_of_numbers),
		test(rdm_reorder_clear__frees_all_and_can_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
