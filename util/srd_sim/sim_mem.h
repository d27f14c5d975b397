/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_mem.h - memory or the end of the program, and how it ends
 */
#ifndef SIM_MEM_H
#define SIM_MEM_H

#include <stddef.h>

#include "util/u_base.h"

enum sim_exit {
	SIM_EXIT_BROKEN = 1, /* the oracle saw what must not be */
	SIM_EXIT_USAGE = 2,
	SIM_EXIT_MEMORY = 3,
};

/* n zeroed objects of size bytes, the caller's to free; ends the program when
 * there is no memory. */
void *sim_mem_get(size_t n, size_t size);

/* p with room for n objects; what is added is undefined. */
void *sim_mem_grow(void *p, size_t n, size_t size);

#endif
