/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_hash.c - random numbers that tell one incarnation from the next
 */
#include "util/u_hash.h"

#include <sys/random.h>
#include <unistd.h>

#include "util/u_time.h"

uint64_t u_random64(void)
{
	uint64_t v;

	if (getrandom(&v, sizeof(v), 0) == (ssize_t)sizeof(v))
		return v;
	return u_mix64(u_now() << 16 ^ (uint64_t)getpid());
}
