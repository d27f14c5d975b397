/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_lines.h - memory that shares no cache line with anything else
 *
 * For what one thread writes all the time: in a line with somebody else's it
 * would make the two as slow as if they shared it. Two lines apart, since some
 * processors fetch lines in pairs.
 */
#ifndef U_LINES_H
#define U_LINES_H

#include <stdlib.h>
#include <string.h>

#include "util/u_base.h"

#define U_APART (2 * U_LINE)
#define U_APART_ALIGNED __attribute__((aligned(U_APART)))

/* size bytes of any content; free() them. NULL without memory. */
static inline void *u_lines_raw(size_t size)
{
	return aligned_alloc(U_APART, u_align(size, U_APART));
}

/* The same, zeroed. */
static inline void *u_lines_new(size_t size)
{
	void *p = u_lines_raw(size);

	return p ? memset(p, 0, size) : NULL;
}

#endif
