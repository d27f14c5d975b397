/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_queue_test.c - events come out by time, and by arrival within one time
 */
#include "../sim_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../sim_rand.h"

#define EVENTS 5000

static struct sim_queue queue;

static int setup(void **state)
{
	(void)state;
	sim_queue_init(&queue);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sim_queue_fini(&queue);
	return 0;
}

static struct sim_event take(void)
{
	struct sim_event e = *sim_queue_top(&queue);

	sim_queue_pop(&queue);
	return e;
}

/* Times from few values, so that many are equal; `what` counts pushes. */
static void sim_queue_push__sorts_and_keeps_arrival(void **state)
{
	struct sim_rand rand = { .state = 7 };
	struct sim_event last, e;
	uint32_t i;

	(void)state;
	for (i = 0; i < EVENTS; i++)
		sim_queue_push(&queue, sim_rand_below(&rand, 100), i);
	last = take();
	for (i = 1; i < EVENTS; i++) {
		e = take();
		assert_true(e.at > last.at ||
			    (e.at == last.at && e.what > last.what));
		last = e;
	}
	assert_int_equal(queue.n, 0);
}

static void sim_queue_replace__is_pop_and_push(void **state)
{
	(void)state;
	sim_queue_push(&queue, 10, 1);
	sim_queue_push(&queue, 20, 2);
	sim_queue_push(&queue, 30, 3);
	sim_queue_replace(&queue, 20, 4);
	assert_int_equal(queue.n, 3);
	assert_int_equal(take().what, 2);
	assert_int_equal(take().what, 4);
	assert_int_equal(take().what, 3);
}

/* The order of arrival is counted in 32 bits and wraps. */
static void sim_queue_push__order_wraps(void **state)
{
	(void)state;
	queue.order = UINT32_MAX;
	sim_queue_push(&queue, 5, 1);
	sim_queue_push(&queue, 5, 2);
	sim_queue_push(&queue, 5, 3);
	assert_int_equal(take().what, 1);
	assert_int_equal(take().what, 2);
	assert_int_equal(take().what, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sim_queue_push__sorts_and_keeps_arrival),
		TEST(sim_queue_replace__is_pop_and_push),
		TEST(sim_queue_push__order_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
