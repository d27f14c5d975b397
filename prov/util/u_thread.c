/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_thread.c - numbers of threads
 */
#include "util/u_thread.h"

#include <stdatomic.h>

static _Atomic uint32_t threads;

uint32_t u_thread_number(void)
{
	static _Thread_local uint32_t number; /* + 1; 0: none yet */

	if (!number)
		number = atomic_fetch_add_explicit(&threads, 1,
						   memory_order_relaxed) +
			 1;
	return number - 1;
}
