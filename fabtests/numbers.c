/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * numbers.c - what an atomic operation has to make of small numbers
 */
#include "numbers.h"

#include <complex.h>
#include <stdint.h>

/* ---- datatypes ----------------------------------------------------------- */

#ifdef __SIZEOF_INT128__
__extension__ typedef __int128 int128;
#else
typedef int64_t int128;
#endif

#define REAL_TYPES(X)                  \
	X(FI_INT8, int8_t)             \
	X(FI_UINT8, uint8_t)           \
	X(FI_INT16, int16_t)           \
	X(FI_UINT16, uint16_t)         \
	X(FI_INT32, int32_t)           \
	X(FI_UINT32, uint32_t)         \
	X(FI_INT64, int64_t)           \
	X(FI_UINT64, uint64_t)         \
	X(FI_FLOAT, float)             \
	X(FI_DOUBLE, double)           \
	X(FI_LONG_DOUBLE, long double) \
	X(FI_INT128, int128)           \
	X(FI_UINT128, int128)
#define COMPLEX_TYPES(X)                     \
	X(FI_FLOAT_COMPLEX, float complex)   \
	X(FI_DOUBLE_COMPLEX, double complex) \
	X(FI_LONG_DOUBLE_COMPLEX, long double complex)

bool number_is_complex(enum fi_datatype type)
{
	return type == FI_FLOAT_COMPLEX || type == FI_DOUBLE_COMPLEX ||
	       type == FI_LONG_DOUBLE_COMPLEX;
}

size_t number_size(enum fi_datatype type)
{
#define SIZE(name, type) \
	case name:       \
		return sizeof(type);
	switch ((int)type) {
		REAL_TYPES(SIZE)
		COMPLEX_TYPES(SIZE)
	}
	return 0;
}

void number_put(enum fi_datatype type, char *p, size_t i, struct number n)
{
#define PUT_REAL(name, type)                         \
	case name:                                   \
		((type *)(void *)p)[i] = (type)n.re; \
		break;
#define PUT_COMPLEX(name, type)                                      \
	case name:                                                   \
		((type *)(void *)p)[i] = (type)(n.re + n.im * 1.0i); \
		break;
	switch ((int)type) {
		REAL_TYPES(PUT_REAL)
		COMPLEX_TYPES(PUT_COMPLEX)
	}
}

struct number number_get(enum fi_datatype type, const char *p, size_t i)
{
	long double complex z;
#define GET_REAL(name, type)                                       \
	case name:                                                 \
		return (struct number){                            \
			(int)((const type *)(const void *)p)[i], 0 \
		};
#define GET_COMPLEX(name, type)                         \
	case name:                                      \
		z = ((const type *)(const void *)p)[i]; \
		return (struct number){ (int)creall(z), (int)cimagl(z) };
	switch ((int)type) {
		REAL_TYPES(GET_REAL)
		COMPLEX_TYPES(GET_COMPLEX)
	}
	return (struct number){ 0, 0 };
}

/* ---- what has to come out ------------------------------------------------ */

bool number_same(struct number x, struct number y)
{
	return x.re == y.re && x.im == y.im;
}

static struct number truth(bool holds)
{
	return (struct number){ holds, 0 };
}

static struct number product(struct number a, struct number b)
{
	return (struct number){ a.re * b.re - a.im * b.im,
				a.re * b.im + a.im * b.re };
}

static struct number swapped(enum fi_op op, struct number a, struct number b,
			     struct number c)
{
	bool swap = false;

	switch (op) {
	case FI_CSWAP:
		swap = number_same(c, a);
		break;
	case FI_CSWAP_NE:
		swap = !number_same(c, a);
		break;
	case FI_CSWAP_LE:
		swap = c.re <= a.re;
		break;
	case FI_CSWAP_LT:
		swap = c.re < a.re;
		break;
	case FI_CSWAP_GE:
		swap = c.re >= a.re;
		break;
	case FI_CSWAP_GT:
		swap = c.re > a.re;
		break;
	case FI_MSWAP:
		return (struct number){ (b.re & c.re) | (a.re & ~c.re), 0 };
	default:
		break;
	}
	return swap ? b : a;
}

struct number number_outcome(enum fi_op op, struct number a, struct number b,
			     struct number c)
{
	bool at = a.re || a.im, bt = b.re || b.im;

	switch (op) {
	case FI_MIN:
		return b.re < a.re ? b : a;
	case FI_MAX:
		return b.re > a.re ? b : a;
	case FI_SUM:
		return (struct number){ a.re + b.re, a.im + b.im };
	case FI_PROD:
		return product(a, b);
	case FI_LOR:
		return truth(at || bt);
	case FI_LAND:
		return truth(at && bt);
	case FI_LXOR:
		return truth(at != bt);
	case FI_BOR:
		return (struct number){ a.re | b.re, 0 };
	case FI_BAND:
		return (struct number){ a.re & b.re, 0 };
	case FI_BXOR:
		return (struct number){ a.re ^ b.re, 0 };
	case FI_ATOMIC_READ:
		return a;
	case FI_ATOMIC_WRITE:
		return b;
	default:
		return swapped(op, a, b, c);
	}
}
