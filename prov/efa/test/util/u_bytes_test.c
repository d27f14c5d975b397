/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_bytes_test.c - integers in bytes, sequence numbers, rounding
 */
#include "util/u_bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "util/u_base.h"

static void u_get__little_endian_at_any_address(void **state)
{
	static const uint8_t b[] = { 0xff, 1, 2, 3, 4, 5, 6, 7, 0x88 };

	(void)state;
	assert_int_equal(u_get16(b + 1), 0x0201);
	assert_int_equal(u_get32(b + 1), 0x04030201);
	assert_true(u_get64(b + 1) == 0x8807060504030201);
}

static void u_put__those_bytes_and_no_others(void **state)
{
	static const uint8_t want[] = { 0xee, 0x34, 0x12, 0xee, 0xee,
					0xee, 0xee, 0xee, 0xee, 0xee };
	uint8_t b[10], again[10];

	(void)state;
	memset(b, 0xee, sizeof(b));
	u_put16(b + 1, 0x1234);
	assert_memory_equal(b, want, sizeof(b));
	u_put32(b + 1, 0x89abcdef);
	assert_int_equal(u_get32(b + 1), 0x89abcdef);
	u_put64(b + 1, 0x0123456789abcdef);
	memset(again, 0xee, sizeof(again));
	for (int i = 0; i < 8; i++)
		again[1 + i] = (uint8_t)(0x0123456789abcdef >> 8 * i);
	assert_memory_equal(b, again, sizeof(b));
}

static void u_seq_before__over_the_wrap(void **state)
{
	(void)state;
	assert_true(u_seq_before(1, 2));
	assert_false(u_seq_before(2, 1));
	assert_false(u_seq_before(2, 2));
	assert_true(u_seq_before(UINT32_MAX, 0));
	assert_true(u_seq_before(UINT32_MAX - 5, 1000));
	assert_false(u_seq_before(0, UINT32_MAX));
	assert_true(u_seq_before(0, INT32_MAX));
}

static void u_align__up_to_a_power_of_two(void **state)
{
	(void)state;
	assert_int_equal(u_align(0, 64), 0);
	assert_int_equal(u_align(1, 64), 64);
	assert_int_equal(u_align(64, 64), 64);
	assert_int_equal(u_align(65, 64), 128);
	assert_int_equal(u_align(7, 1), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(u_get__little_endian_at_any_address),
		cmocka_unit_test(u_put__those_bytes_and_no_others),
		cmocka_unit_test(u_seq_before__over_the_wrap),
		cmocka_unit_test(u_align__up_to_a_power_of_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
