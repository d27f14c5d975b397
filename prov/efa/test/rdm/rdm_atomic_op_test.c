/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_atomic_op_test.c - every operation on every datatype, beside an oracle
 *
 * The oracle knows integers as bit patterns of a width, with or without a
 * sign, and all other numbers as pairs of long doubles. It shares no line with
 * what it judges. The values of floats are such that every result is exact.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "rdm/rdm_atomic_op.h"
#include "util/u_base.h"

enum family { SIGNED, UNSIGNED, REAL, COMPLEX };

static const struct kind {
	const char *name;
	enum family family;
	uint32_t size;
} kinds[RDM_DATATYPES] = {
	[RDM_INT8] = { "int8", SIGNED, 1 },
	[RDM_UINT8] = { "uint8", UNSIGNED, 1 },
	[RDM_INT16] = { "int16", SIGNED, 2 },
	[RDM_UINT16] = { "uint16", UNSIGNED, 2 },
	[RDM_INT32] = { "int32", SIGNED, 4 },
	[RDM_UINT32] = { "uint32", UNSIGNED, 4 },
	[RDM_INT64] = { "int64", SIGNED, 8 },
	[RDM_UINT64] = { "uint64", UNSIGNED, 8 },
	[RDM_FLOAT] = { "float", REAL, sizeof(float) },
	[RDM_DOUBLE] = { "double", REAL, sizeof(double) },
	[RDM_FLOAT_COMPLEX] = { "float complex", COMPLEX, 2 * sizeof(float) },
	[RDM_DOUBLE_COMPLEX] = { "double complex", COMPLEX,
				 2 * sizeof(double) },
	[RDM_LONG_DOUBLE] = { "long double", REAL, sizeof(long double) },
	[RDM_LONG_DOUBLE_COMPLEX] = { "long double complex", COMPLEX,
				      2 * sizeof(long double) },
#ifdef __SIZEOF_INT128__
	[RDM_INT128] = { "int128", SIGNED, 16 },
	[RDM_UINT128] = { "uint128", UNSIGNED, 16 },
#endif
};

/* From fi_atomic(3): what order is needed for, and bits. */
static bool is_there(uint32_t op, enum family family)
{
	switch ((enum rdm_atomic_op)op) {
	case RDM_ATOMIC_MIN:
	case RDM_ATOMIC_MAX:
	case RDM_ATOMIC_CSWAP_LE:
	case RDM_ATOMIC_CSWAP_LT:
	case RDM_ATOMIC_CSWAP_GE:
	case RDM_ATOMIC_CSWAP_GT:
		return family != COMPLEX;
	case RDM_ATOMIC_BOR:
	case RDM_ATOMIC_BAND:
	case RDM_ATOMIC_BXOR:
	case RDM_ATOMIC_MSWAP:
		return family == SIGNED || family == UNSIGNED;
	case RDM_ATOMIC_OPS:
		return false;
	default:
		return true;
	}
}

static enum rdm_atomic_kind a_kind_of(uint32_t op)
{
	return op >= RDM_ATOMIC_CSWAP ? RDM_ATOMIC_COMPARE : RDM_ATOMIC_FETCH;
}

static void rdm_atomic_find__as_the_manual_says(void **state)
{
	for (uint32_t op = 0; op < RDM_ATOMIC_OPS; op++) {
		for (uint32_t type = 0; type < RDM_DATATYPES; type++) {
			bool there = kinds[type].size &&
				     is_there(op, kinds[type].family);
			bool compares = op >= RDM_ATOMIC_CSWAP;

			assert_int_equal(
				rdm_atomic_valid(RDM_ATOMIC_BASE, op, type),
				there && !compares && op != RDM_ATOMIC_READ);
			assert_int_equal(rdm_atomic_valid(RDM_ATOMIC_FETCH, op,
							  type),
					 there && !compares);
			assert_int_equal(rdm_atomic_valid(RDM_ATOMIC_COMPARE,
							  op, type),
					 there && compares);
		}
	}
}

static void rdm_atomic_find__no_such(void **state)
{
	static const uint32_t odd[] = { RDM_DATATYPES, 255, 1u << 31,
					UINT32_MAX - RDM_ATOMIC_OPS };

	for (size_t i = 0; i < u_array_size(odd); i++) {
		for (int kind = 0; kind < 3; kind++) {
			assert_null(
				rdm_atomic_find(kind, RDM_ATOMIC_SUM, odd[i]));
			assert_null(rdm_atomic_find(
				kind, odd[i] + RDM_ATOMIC_OPS, RDM_INT8));
		}
		assert_int_equal(rdm_atomic_size(odd[i]), 0);
	}
	assert_null(rdm_atomic_find(RDM_ATOMIC_COMPARE, RDM_ATOMIC_OPS, 0));
}

static void rdm_atomic_size__of_each(void **state)
{
	for (uint32_t type = 0; type < RDM_DATATYPES; type++)
		assert_int_equal(rdm_atomic_size(type), kinds[type].size);
}

/* ---- calling ------------------------------------------------------------- */

struct element {
	_Alignas(32) uint8_t bytes[RDM_ATOMIC_ELEMENT_MAX];
};

static struct element call(uint32_t op, uint32_t type, const struct element *a,
			   const struct element *b, const struct element *c)
{
	rdm_atomic_fn *fn = rdm_atomic_find(a_kind_of(op), op, type);
	struct element result = *a;

	assert_non_null(fn);
	fn(&result, a, b, c);
	return result;
}

/* ---- integers ------------------------------------------------------------ */

#ifdef __SIZEOF_INT128__

__extension__ typedef unsigned __int128 pattern;

static pattern mask_of(uint32_t bits)
{
	return bits == 128 ? ~(pattern)0 : ((pattern)1 << bits) - 1;
}

/* a < b, by sign and then bit by bit. */
static bool less(pattern a, pattern b, uint32_t bits, bool has_sign)
{
	bool a_negative = has_sign && (a >> (bits - 1) & 1);
	bool b_negative = has_sign && (b >> (bits - 1) & 1);

	if (a_negative != b_negative)
		return a_negative;
	for (uint32_t i = bits; i--;)
		if ((a >> i & 1) != (b >> i & 1))
			return b >> i & 1;
	return false;
}

/* By shift and add, modulo 2^bits at the end. */
static pattern times(pattern a, pattern b)
{
	pattern sum = 0;

	for (; b; b >>= 1, a <<= 1)
		if (b & 1)
			sum += a;
	return sum;
}

static pattern masked_swap(pattern a, pattern b, pattern c, uint32_t bits)
{
	pattern out = 0;

	for (uint32_t i = 0; i < bits; i++)
		out |= ((c >> i & 1 ? b : a) >> i & 1) << i;
	return out;
}

static pattern expected(uint32_t op, pattern a, pattern b, pattern c,
			uint32_t bits, bool has_sign)
{
	bool lt = less(c, a, bits, has_sign), gt = less(a, c, bits, has_sign);

	switch ((enum rdm_atomic_op)op) {
	case RDM_ATOMIC_MIN:
		return less(b, a, bits, has_sign) ? b : a;
	case RDM_ATOMIC_MAX:
		return less(a, b, bits, has_sign) ? b : a;
	case RDM_ATOMIC_SUM:
		return a + b;
	case RDM_ATOMIC_PROD:
		return times(a, b);
	case RDM_ATOMIC_LOR:
		return a || b;
	case RDM_ATOMIC_LAND:
		return a && b;
	case RDM_ATOMIC_LXOR:
		return (a && !b) || (!a && b);
	case RDM_ATOMIC_BOR:
		return a + b - (a & b);
	case RDM_ATOMIC_BAND:
		return masked_swap(0, a, b, bits);
	case RDM_ATOMIC_BXOR:
		return masked_swap(a, ~a, b, bits);
	case RDM_ATOMIC_READ:
		return a;
	case RDM_ATOMIC_WRITE:
		return b;
	case RDM_ATOMIC_CSWAP:
		return !lt && !gt ? b : a;
	case RDM_ATOMIC_CSWAP_NE:
		return lt || gt ? b : a;
	case RDM_ATOMIC_CSWAP_LE:
		return gt ? a : b;
	case RDM_ATOMIC_CSWAP_LT:
		return lt ? b : a;
	case RDM_ATOMIC_CSWAP_GE:
		return lt ? a : b;
	case RDM_ATOMIC_CSWAP_GT:
		return gt ? b : a;
	case RDM_ATOMIC_MSWAP:
		return masked_swap(a, b, c, bits);
	case RDM_ATOMIC_OPS:
		break;
	}
	fail();
	return 0;
}

/* Little-endian, byte by byte. */
static struct element element_of(pattern p, uint32_t size)
{
	struct element e = { { 0 } };

	for (uint32_t i = 0; i < size; i++)
		e.bytes[i] = (uint8_t)(p >> 8 * i);
	return e;
}

#define VALUES 11

static pattern value(int i, uint32_t bits)
{
	pattern all = mask_of(bits), top = (pattern)1 << (bits - 1);
	const pattern values[VALUES] = {
		0,   1,	      2,       3,	all,	     all - 1,
		top, top - 1, top + 1, all / 3, all / 3 * 2,
	};

	return values[i] & all;
}

static void check_integer(uint32_t op, uint32_t type, int i, int j, int k)
{
	uint32_t size = kinds[type].size, bits = 8 * size;
	pattern a = value(i, bits), b = value(j, bits), c = value(k, bits);
	pattern want =
		expected(op, a, b, c, bits, kinds[type].family == SIGNED) &
		mask_of(bits);
	struct element ea = element_of(a, size), eb = element_of(b, size);
	struct element ec = element_of(c, size), ew = element_of(want, size);
	struct element got = call(op, type, &ea, &eb, &ec);

	if (memcmp(&got, &ew, sizeof(got)) != 0)
		fail_msg("operation %u on %s, values %d %d %d", op,
			 kinds[type].name, i, j, k);
}

static void fn__integers(void **state)
{
	for (uint32_t type = 0; type < RDM_DATATYPES; type++) {
		if (kinds[type].family > UNSIGNED)
			continue;
		for (uint32_t op = 0; op < RDM_ATOMIC_OPS; op++)
			for (int n = 0; n < VALUES * VALUES * VALUES; n++)
				check_integer(op, type, n % VALUES,
					      n / VALUES % VALUES,
					      n / VALUES / VALUES);
	}
}

#else

static void fn__integers(void **state)
{
	skip();
}

#endif

/* ---- real and complex numbers --------------------------------------------- */

struct number {
	long double re, im; /* im 0 of real ones */
};

static bool same(struct number x, struct number y)
{
	return x.re == y.re && x.im == y.im;
}

static struct number product(struct number a, struct number b)
{
	return (struct number){ a.re * b.re - a.im * b.im,
				a.re * b.im + a.im * b.re };
}

static struct number truth(bool holds)
{
	return (struct number){ holds ? 1 : 0, 0 };
}

static struct number expected_number(uint32_t op, struct number a,
				     struct number b, struct number c)
{
	bool at = a.re != 0 || a.im != 0, bt = b.re != 0 || b.im != 0;

	switch ((enum rdm_atomic_op)op) {
	case RDM_ATOMIC_MIN:
		return a.re < b.re ? a : b;
	case RDM_ATOMIC_MAX:
		return a.re > b.re ? a : b;
	case RDM_ATOMIC_SUM:
		return (struct number){ a.re + b.re, a.im + b.im };
	case RDM_ATOMIC_PROD:
		return product(a, b);
	case RDM_ATOMIC_LOR:
		return truth(at || bt);
	case RDM_ATOMIC_LAND:
		return truth(at && bt);
	case RDM_ATOMIC_LXOR:
		return truth((at && !bt) || (!at && bt));
	case RDM_ATOMIC_READ:
		return a;
	case RDM_ATOMIC_WRITE:
		return b;
	case RDM_ATOMIC_CSWAP:
		return same(c, a) ? b : a;
	case RDM_ATOMIC_CSWAP_NE:
		return same(c, a) ? a : b;
	case RDM_ATOMIC_CSWAP_LE:
		return c.re > a.re ? a : b;
	case RDM_ATOMIC_CSWAP_LT:
		return c.re < a.re ? b : a;
	case RDM_ATOMIC_CSWAP_GE:
		return c.re < a.re ? a : b;
	case RDM_ATOMIC_CSWAP_GT:
		return c.re > a.re ? b : a;
	default:
		fail();
		return a;
	}
}

static void put_real(uint8_t *to, long double x, uint32_t size)
{
	float f = (float)x;
	double d = (double)x;

	if (size == sizeof(f))
		memcpy(to, &f, sizeof(f));
	else if (size == sizeof(d))
		memcpy(to, &d, sizeof(d));
	else
		memcpy(to, &x, sizeof(x));
}

static long double get_real(const uint8_t *from, uint32_t size)
{
	long double x;
	double d;
	float f;

	memcpy(&f, from, sizeof(f));
	memcpy(&d, from, sizeof(d));
	if (size == sizeof(f))
		return f;
	if (size == sizeof(d))
		return d;
	memcpy(&x, from, sizeof(x));
	return x;
}

static uint32_t part_size(uint32_t type)
{
	return kinds[type].family == COMPLEX ? kinds[type].size / 2 :
					       kinds[type].size;
}

static struct element element_of_number(struct number n, uint32_t type)
{
	struct element e = { { 0 } };
	uint32_t size = part_size(type);

	put_real(e.bytes, n.re, size);
	if (kinds[type].family == COMPLEX)
		put_real(e.bytes + size, n.im, size);
	return e;
}

static struct number number_of(const struct element *e, uint32_t type)
{
	uint32_t size = part_size(type);
	bool pair = kinds[type].family == COMPLEX;

	return (struct number){ get_real(e->bytes, size),
				pair ? get_real(e->bytes + size, size) : 0 };
}

static const struct number numbers[] = {
	{ 0, 0 },  { 1, 0 },	    { -1, 0 },	 { 0.5L, 3.25L }, { -2.75L, 7 },
	{ 0, -1 }, { 64, -0.125L }, { 0.5L, 0 }, { -2.75L, 0 },
};

#define NUMBERS_N ((int)u_array_size(numbers))

static void check_number(uint32_t op, uint32_t type, int i, int j, int k)
{
	struct number a = numbers[i], b = numbers[j], c = numbers[k];
	struct element ea, eb, ec, got;
	struct number want, is;

	if (kinds[type].family == REAL)
		a.im = b.im = c.im = 0;
	want = expected_number(op, a, b, c);
	ea = element_of_number(a, type);
	eb = element_of_number(b, type);
	ec = element_of_number(c, type);
	got = call(op, type, &ea, &eb, &ec);
	is = number_of(&got, type);
	if (!same(is, want))
		fail_msg("operation %u on %s, values %d %d %d: %Lg %Lg", op,
			 kinds[type].name, i, j, k, is.re, is.im);
}

static void fn__reals_and_complex_numbers(void **state)
{
	for (uint32_t type = 0; type < RDM_DATATYPES; type++) {
		if (kinds[type].family < REAL)
			continue;
		for (uint32_t op = 0; op < RDM_ATOMIC_OPS; op++) {
			if (!is_there(op, kinds[type].family))
				continue;
			for (int n = 0; n < NUMBERS_N * NUMBERS_N * NUMBERS_N;
			     n++)
				check_number(op, type, n % NUMBERS_N,
					     n / NUMBERS_N % NUMBERS_N,
					     n / NUMBERS_N / NUMBERS_N);
		}
	}
}

/* Not a number is equal to nothing, and -0 is equal to 0. */
static void fn__odd_floats(void **state)
{
	static const uint32_t types[] = { RDM_FLOAT, RDM_DOUBLE,
					  RDM_LONG_DOUBLE };
	const long double nan = __builtin_nanl("");

	for (size_t i = 0; i < u_array_size(types); i++) {
		uint32_t type = types[i];
		struct element n =
			element_of_number((struct number){ .re = nan }, type);
		struct element one =
			element_of_number((struct number){ .re = 1 }, type);
		struct element zero =
			element_of_number((struct number){ .re = 0 }, type);
		struct element minus =
			element_of_number((struct number){ .re = -0.0L }, type);
		struct element got;

		got = call(RDM_ATOMIC_CSWAP, type, &n, &one, &n);
		assert_memory_equal(&got, &n, sizeof(got));
		got = call(RDM_ATOMIC_CSWAP_NE, type, &n, &one, &n);
		assert_memory_equal(&got, &one, sizeof(got));
		got = call(RDM_ATOMIC_MIN, type, &one, &n, &n);
		assert_memory_equal(&got, &one, sizeof(got));
		got = call(RDM_ATOMIC_CSWAP, type, &minus, &one, &zero);
		assert_memory_equal(&got, &one, sizeof(got));
		got = call(RDM_ATOMIC_READ, type, &minus, &one, &zero);
		assert_memory_equal(&got, &minus, sizeof(got));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_atomic_size__of_each),
		cmocka_unit_test(fn__integers),
		cmocka_unit_test(fn__reals_and_complex_numbers),
		cmocka_unit_test(fn__odd_floats),
		cmocka_unit_test(rdm_atomic_find__as_the_manual_says),
		cmocka_unit_test(rdm_atomic_find__no_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
