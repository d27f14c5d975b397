/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_time.h - nanoseconds of the monotonic clock (22 ns a call: never per
 * message)
 */
#ifndef U_TIME_H
#define U_TIME_H

#include <stdint.h>
#include <time.h>

#define U_USEC UINT64_C(1000)
#define U_MSEC UINT64_C(1000000)
#define U_SEC UINT64_C(1000000000)

static inline uint64_t u_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * U_SEC + (uint64_t)ts.tv_nsec;
}

#endif
