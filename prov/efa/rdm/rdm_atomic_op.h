/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_atomic_op.h - the arithmetic of atomics: operations on datatypes
 *
 * Pure: an operation is a function of one element, found in a table by
 * (operation, datatype). That many elements are changed, and that nobody sees
 * half of one, is the work of rdm_atomic_apply().
 */
#ifndef RDM_ATOMIC_OP_H
#define RDM_ATOMIC_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rdm/rdm.h"

/* Bytes of the longest element: a complex number of two long doubles. */
#define RDM_ATOMIC_ELEMENT_MAX 32

/*
 * Writes to *result, which holds the target's bytes before, what becomes of
 * the target. Every pointer is aligned for any datatype and is to one element;
 * compare is not looked at by operations that compare nothing.
 */
typedef void rdm_atomic_fn(void *result, const void *target,
			   const void *operand, const void *compare);

/* NULL: there is no such operation on that datatype, or of that kind. */
rdm_atomic_fn *rdm_atomic_find(enum rdm_atomic_kind kind, uint32_t op,
			       uint32_t type);

/*
 * What an operation does, and to what. Pointers need no alignment; operand and
 * compare may lie in memory that a peer can write.
 */
struct rdm_atomic_work {
	rdm_atomic_fn *fn;
	uint32_t size; /* bytes of an element, rdm_atomic_size() */
	void *target; /* [n] */
	const void *operand; /* [n]; NULL: zeros */
	const void *compare; /* [n]; NULL: zeros */
	void *before; /* [n]; gets what the target held; NULL: nobody asks */
	size_t n; /* elements */
};

/*
 * Changes n elements, one after the other, each of them atomically: to all of
 * the machine where the processor can do so (1, 2, 4 and 8 bytes that are
 * aligned), else to all calls in this process.
 */
void rdm_atomic_apply(const struct rdm_atomic_work *work);

#endif
