/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_mem.c - memory or the end of the program
 */
#include "sim_mem.h"

#include <stdio.h>
#include <stdlib.h>

static void *or_end(void *p, size_t n, size_t size)
{
	if (p || !n)
		return p;
	fprintf(stderr, "srd_sim: no memory for %zu objects of %zu bytes\n", n,
		size);
	exit(SIM_EXIT_MEMORY);
}

void *sim_mem_get(size_t n, size_t size)
{
	return or_end(calloc(n, size), n, size);
}

void *sim_mem_grow(void *p, size_t n, size_t size)
{
	return or_end(reallocarray(p, n, size), n, size);
}
