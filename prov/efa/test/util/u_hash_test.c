/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_hash_test.c - that keys as programs make them spread over buckets
 */
#include "util/u_hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BITS 10
#define KEYS (1 << BITS) /* as many as buckets */

static uint8_t fill[1 << BITS];

/*
 * Random keys would fill a bucket with 7 or so at most. One multiplication
 * lays regular keys in rows, which leaves more buckets empty but must not
 * make the fullest much fuller.
 */
static void assert_spread(uint64_t (*hash)(uint64_t, unsigned int),
			  unsigned int shift)
{
	uint32_t worst = 0;

	memset(fill, 0, sizeof(fill));
	for (uint64_t i = 0; i < KEYS; i++)
		fill[hash(i, shift) >> (64 - BITS)]++;
	for (int i = 0; i < KEYS; i++)
		worst = fill[i] > worst ? fill[i] : worst;
	assert_true(worst <= 10);
}

static uint64_t tags(uint64_t i, unsigned int shift)
{
	return u_hash2(0x7f1200000, i << shift);
}

static uint64_t peers(uint64_t i, unsigned int shift)
{
	return u_hash2(0x7f1200000 + (i << shift), 5);
}

/* A peer in the low bits and its tag in high ones, as of a program. */
static uint64_t both(uint64_t i, unsigned int shift)
{
	return u_hash2(0x7f1200000 + ((i & 31) << shift), i >> 5 << 32 | 7);
}

static void u_hash2__spreads_regular_keys(void **state)
{
	(void)state;
	for (unsigned int shift = 0; shift <= 64 - BITS; shift++)
		assert_spread(tags, shift);
	for (unsigned int shift = 0; shift <= 20; shift++) {
		assert_spread(peers, shift);
		assert_spread(both, shift);
	}
}

static void u_mix64__each_bit_reaches_half_of_the_others(void **state)
{
	(void)state;
	for (int bit = 0; bit < 64; bit++) {
		int changed = 0;

		for (uint64_t i = 1; i <= 100; i++)
			changed += __builtin_popcountll(
				u_mix64(i) ^ u_mix64(i ^ UINT64_C(1) << bit));
		assert_true(changed > 100 * 28 && changed < 100 * 36);
	}
}

static void u_random64__differs(void **state)
{
	(void)state;
	assert_true(u_random64() != u_random64());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(u_hash2__spreads_regular_keys),
		cmocka_unit_test(u_mix64__each_bit_reaches_half_of_the_others),
		cmocka_unit_test(u_random64__differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
