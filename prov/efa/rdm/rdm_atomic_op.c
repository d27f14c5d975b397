/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_atomic_op.c - one function an (operation, datatype), and their table
 *
 * In the macros a is what the target holds, b the operand and c the value to
 * compare with. Integers are added, multiplied and masked as unsigned words
 * (W) at least as wide as int, so that what overflows wraps round.
 */
#include "rdm/rdm_atomic_op.h"

#include <complex.h>

#include "util/u_base.h"

/* ---- datatypes ----------------------------------------------------------- */

#define INTEGERS(X, op) \
	X(op, INT8)     \
	X(op, UINT8)    \
	X(op, INT16)    \
	X(op, UINT16)   \
	X(op, INT32)    \
	X(op, UINT32)   \
	X(op, INT64)    \
	X(op, UINT64)   \
	INTEGERS_128(X, op)
#define REALS(X, op)    \
	INTEGERS(X, op) \
	X(op, FLOAT)    \
	X(op, DOUBLE)   \
	X(op, LONG_DOUBLE)
#define NUMBERS(X, op)        \
	REALS(X, op)          \
	X(op, FLOAT_COMPLEX)  \
	X(op, DOUBLE_COMPLEX) \
	X(op, LONG_DOUBLE_COMPLEX)

#ifdef __SIZEOF_INT128__
#define INTEGERS_128(X, op) \
	X(op, INT128)       \
	X(op, UINT128)
__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;
#else
#define INTEGERS_128(X, op)
#endif

/*
 * T_x is a datatype, W_x the word it is calculated in, any_x the datatype in
 * memory that is looked at as others too.
 */
#define TYPE(x, type, word) \
	typedef type T_##x; \
	typedef word W_##x; \
	typedef type any_##x __attribute__((may_alias));

TYPE(INT8, int8_t, uint32_t)
TYPE(UINT8, uint8_t, uint32_t)
TYPE(INT16, int16_t, uint32_t)
TYPE(UINT16, uint16_t, uint32_t)
TYPE(INT32, int32_t, uint32_t)
TYPE(UINT32, uint32_t, uint32_t)
TYPE(INT64, int64_t, uint64_t)
TYPE(UINT64, uint64_t, uint64_t)
#ifdef __SIZEOF_INT128__
TYPE(INT128, int128, uint128)
TYPE(UINT128, uint128, uint128)
#endif
TYPE(FLOAT, float, float)
TYPE(DOUBLE, double, double)
TYPE(LONG_DOUBLE, long double, long double)
TYPE(FLOAT_COMPLEX, float complex, float complex)
TYPE(DOUBLE_COMPLEX, double complex, double complex)
TYPE(LONG_DOUBLE_COMPLEX, long double complex, long double complex)

#define SIZE(op, x) [RDM_##x] = sizeof(T_##x),

uint32_t rdm_atomic_size(uint32_t type)
{
	static const uint8_t sizes[RDM_DATATYPES] = { NUMBERS(SIZE, none) };

	_Static_assert(sizeof(T_LONG_DOUBLE_COMPLEX) <= RDM_ATOMIC_ELEMENT_MAX,
		       "an element fits");
	return type < RDM_DATATYPES ? sizes[type] : 0;
}

/* ---- operations ---------------------------------------------------------- */

#define EXPR_MIN(W) (b < a ? b : a)
#define EXPR_MAX(W) (b > a ? b : a)
#define EXPR_SUM(W) ((W)a + (W)b)
#define EXPR_PROD(W) ((W)a * (W)b)
#define EXPR_LOR(W) (a != 0 || b != 0)
#define EXPR_LAND(W) (a != 0 && b != 0)
#define EXPR_BOR(W) ((W)a | (W)b)
#define EXPR_BAND(W) ((W)a & (W)b)
#define EXPR_LXOR(W) ((a != 0) != (b != 0))
#define EXPR_BXOR(W) ((W)a ^ (W)b)
#define EXPR_READ(W) a
#define EXPR_WRITE(W) b
#define EXPR_CSWAP(W) (c == a ? b : a)
#define EXPR_CSWAP_NE(W) (c != a ? b : a)
#define EXPR_CSWAP_LE(W) (c <= a ? b : a)
#define EXPR_CSWAP_LT(W) (c < a ? b : a)
#define EXPR_CSWAP_GE(W) (c >= a ? b : a)
#define EXPR_CSWAP_GT(W) (c > a ? b : a)
#define EXPR_MSWAP(W) (((W)b & (W)c) | ((W)a & ~(W)c))

/* Bytes of a long double that are padding stay as the target has them. */
#define DEFINE(op, x)                                                  \
	static void op##_##x(void *result, const void *target,         \
			     const void *operand, const void *compare) \
	{                                                              \
		const T_##x a = *(const any_##x *)target;              \
		const T_##x b = *(const any_##x *)operand;             \
		const T_##x c = *(const any_##x *)compare;             \
                                                                       \
		(void)a, (void)b, (void)c;                             \
		*(any_##x *)result = (T_##x)EXPR_##op(W_##x);          \
	}

#define EACH(X)              \
	REALS(X, MIN)        \
	REALS(X, MAX)        \
	NUMBERS(X, SUM)      \
	NUMBERS(X, PROD)     \
	NUMBERS(X, LOR)      \
	NUMBERS(X, LAND)     \
	INTEGERS(X, BOR)     \
	INTEGERS(X, BAND)    \
	NUMBERS(X, LXOR)     \
	INTEGERS(X, BXOR)    \
	NUMBERS(X, READ)     \
	NUMBERS(X, WRITE)    \
	NUMBERS(X, CSWAP)    \
	NUMBERS(X, CSWAP_NE) \
	REALS(X, CSWAP_LE)   \
	REALS(X, CSWAP_LT)   \
	REALS(X, CSWAP_GE)   \
	REALS(X, CSWAP_GT)   \
	INTEGERS(X, MSWAP)

EACH(DEFINE)

/* ---- the table ----------------------------------------------------------- */

#define ROW(op, x) [RDM_ATOMIC_##op][RDM_##x] = op##_##x,

static rdm_atomic_fn *const table[RDM_ATOMIC_OPS][RDM_DATATYPES] = { EACH(
	ROW) };

/* Which operations a request may name. */
static bool is_of_kind(enum rdm_atomic_kind kind, uint32_t op)
{
	switch (kind) {
	case RDM_ATOMIC_BASE:
		return op < RDM_ATOMIC_CSWAP && op != RDM_ATOMIC_READ;
	case RDM_ATOMIC_FETCH:
		return op < RDM_ATOMIC_CSWAP;
	case RDM_ATOMIC_COMPARE:
		return op >= RDM_ATOMIC_CSWAP && op < RDM_ATOMIC_OPS;
	}
	return false;
}

rdm_atomic_fn *rdm_atomic_find(enum rdm_atomic_kind kind, uint32_t op,
			       uint32_t type)
{
	if (!is_of_kind(kind, op) || type >= RDM_DATATYPES)
		return NULL;
	return table[op][type];
}

bool rdm_atomic_valid(enum rdm_atomic_kind kind, uint32_t op, uint32_t type)
{
	return rdm_atomic_find(kind, op, type) != NULL;
}
