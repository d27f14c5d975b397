/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * numbers.h - what an atomic operation has to make of small numbers
 *
 * Integers so small that every datatype of libfabric holds them exactly, and
 * their sums and products of one step; so outcomes are computed without the
 * arithmetic of the datatype.
 */
#ifndef NUMBERS_H
#define NUMBERS_H

#include <stdbool.h>
#include <stddef.h>

#include <rdma/fabric.h>
#include <rdma/fi_atomic.h>

#define NUMBER_TYPES (FI_UINT128 + 1)

struct number {
	int re, im; /* im is 0 of what is not complex */
};

/* Bytes of an element; 0: no such datatype. */
size_t number_size(enum fi_datatype type);
bool number_is_complex(enum fi_datatype type);
/* Element i of an array at p, which is aligned. */
void number_put(enum fi_datatype type, char *p, size_t i, struct number n);
struct number number_get(enum fi_datatype type, const char *p, size_t i);
bool number_same(struct number x, struct number y);
/* What a becomes by operand b and, where the operation compares, by c. */
struct number number_outcome(enum fi_op op, struct number a, struct number b,
			     struct number c);

#endif
