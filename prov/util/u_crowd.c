/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_crowd.c - more threads than processors: who waits makes room for who works
 *
 * A thread that polls uses up its slice of some milliseconds, while the one
 * that it waits for waits for the processor. It learns that it is not alone
 * from its clock: some hundred polls took as long as a slice. Then it yields,
 * until yields have come back at once for a while, as nobody else is there.
 */
#include "util/u_crowd.h"

#include <sched.h>

#include "util/u_time.h"

#define INTERRUPTED (500 * U_USEC) /* polls that took so long were */
#define SWITCHED (2 * U_USEC) /* a yield that took so long was to somebody */
#define BELIEVED (100 * U_MSEC) /* so long after either there is a crowd */

void u_crowd_make_room(void)
{
	static _Thread_local uint64_t looked, until;
	uint64_t now = u_now();

	if (looked && now - looked > INTERRUPTED)
		until = now + BELIEVED;
	looked = now;
	if (now >= until)
		return;
	sched_yield();
	looked = u_now();
	if (looked - now > SWITCHED)
		until = looked + BELIEVED;
}
