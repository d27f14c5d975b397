/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_crowd_test.c - who waits yields where others want the processor, and only
 * there
 *
 * The clock and the yield are of this file: time passes as a test says.
 */
#include "util/u_crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sched.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#define USEC 1000
#define MSEC (1000 * USEC)

static int64_t now = 5000 * (int64_t)MSEC; /* ns */
static int yields;
static int64_t of_yield; /* ns that one takes */

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts = (struct timespec){ .tv_sec = now / (1000 * MSEC),
				 .tv_nsec = now % (1000 * MSEC) };
	return 0;
}

int sched_yield(void)
{
	yields++;
	now += of_yield;
	return 0;
}

/* So many looks, with ns between. Returns how often it has yielded. */
static int look(int times, int64_t ns)
{
	yields = 0;
	while (times--) {
		now += ns;
		u_crowd_make_room();
	}
	return yields;
}

/* Until it believes that it is alone. */
static void be_alone(void)
{
	of_yield = USEC;
	look(400, 400 * USEC);
	assert_int_equal(look(100, 10 * USEC), 0);
}

static void make_room__of_one_alone_is_no_call(void **state)
{
	(void)state;
	of_yield = USEC;
	assert_int_equal(look(100000, 10 * USEC), 0);
}

static void make_room__yields_to_who_has_interrupted(void **state)
{
	(void)state;
	be_alone();
	of_yield = 10 * USEC;
	assert_int_equal(look(1, 4 * MSEC), 1);
	/* As long as others take their turns. */
	assert_int_equal(look(100000, 10 * USEC), 100000);
}

/* It was busy itself, or the others have gone. */
static void make_room__stops_when_nobody_takes_it(void **state)
{
	(void)state;
	be_alone();
	assert_int_equal(look(1, 4 * MSEC), 1);
	assert_in_range(look(100000, 10 * USEC), 1, 10000);
	assert_int_equal(look(100000, 10 * USEC), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(make_room__of_one_alone_is_no_call),
		cmocka_unit_test(make_room__yields_to_who_has_interrupted),
		cmocka_unit_test(make_room__stops_when_nobody_takes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
