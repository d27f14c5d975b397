/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_cq_test.c - order, growth, errors in between, sleep, and many threads
 */
#include "rdm/rdm_cq.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/u_log.h"

static struct rdm_cq *cq;

static int setup(void **state)
{
	(void)state;
	cq = rdm_cq_new(0, false);
	return cq ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	rdm_cq_free(cq);
	return 0;
}

static void push(uint64_t tag)
{
	rdm_cq_push(cq, &(struct rdm_comp){ .tag = tag });
}

static void push_error(uint64_t tag)
{
	struct rdm_comp comp = { .tag = tag, .err = RDM_ERR_TRUNC };

	comp.error = calloc(1, sizeof(*comp.error));
	assert_non_null(comp.error);
	comp.error->olen = tag;
	rdm_cq_push(cq, &comp);
}

/* Reads up to n and finds them numbered from *next on. */
static int read_from(uint64_t *next, int n)
{
	struct rdm_comp comp[100];
	int got = rdm_cq_read(cq, comp, n);

	for (int i = 0; i < got; i++)
		assert_true(comp[i].tag == (*next)++);
	return got;
}

/* ---- reading --------------------------------------------------------------- */

static void rdm_cq_read__empty(void **state)
{
	struct rdm_comp comp;

	(void)state;
	assert_true(rdm_cq_empty(cq));
	assert_int_equal(rdm_cq_read(cq, &comp, 1), 0);
	assert_int_equal(rdm_cq_read_error(cq, &comp), 0);
}

static void rdm_cq_read__all_of_an_entry(void **state)
{
	struct rdm_comp in, out;

	(void)state;
	memset(&in, 0x5a, sizeof(in));
	in.err = 0;
	in.error = NULL;
	rdm_cq_push(cq, &in);
	assert_int_equal(rdm_cq_read(cq, &out, 1), 1);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_true(rdm_cq_empty(cq));
}

static void rdm_cq_read__up_to_n_in_order(void **state)
{
	uint64_t next = 0;

	(void)state;
	for (uint64_t i = 0; i < 50; i++)
		push(i);
	assert_int_equal(read_from(&next, 0), 0);
	assert_int_equal(read_from(&next, 1), 1);
	assert_int_equal(read_from(&next, 20), 20);
	assert_int_equal(read_from(&next, 100), 29);
	assert_int_equal(read_from(&next, 100), 0);
}

static void rdm_cq_read__stops_before_an_error(void **state)
{
	struct rdm_comp comp;
	uint64_t next = 0;

	(void)state;
	push(0);
	push(1);
	push_error(2);
	push_error(3);
	push(4);
	assert_int_equal(rdm_cq_read_error(cq, &comp), 0);
	assert_int_equal(read_from(&next, 10), 2);
	assert_int_equal(read_from(&next, 10), -1);
	assert_int_equal(read_from(&next, 0), -1);
	for (uint64_t i = 2; i < 4; i++) {
		assert_int_equal(rdm_cq_read_error(cq, &comp), 1);
		assert_int_equal(comp.err, RDM_ERR_TRUNC);
		assert_true(comp.tag == i && comp.error->olen == i);
		free(comp.error);
	}
	assert_int_equal(rdm_cq_read_error(cq, &comp), 0);
	next = 4;
	assert_int_equal(read_from(&next, 10), 1);
}

static void rdm_cq_free__with_errors_unread(void **state)
{
	(void)state;
	push(0);
	push_error(1);
	push_error(2); /* the leak checker does the rest */
}

/* ---- growth ----------------------------------------------------------------- */

static void rdm_cq_new__size_is_room(void **state)
{
	struct rdm_cq *big = rdm_cq_new(1000, false);

	(void)state;
	assert_non_null(big);
	assert_int_equal(big->mask, 1023);
	rdm_cq_free(big);
	big = rdm_cq_new(1024, false);
	assert_non_null(big);
	assert_int_equal(big->mask, 1023);
	rdm_cq_free(big);
}

/* With every position of the ring's start at the moment of growth. */
static void rdm_cq_push__grows_in_order(void **state)
{
	(void)state;
	for (uint64_t start = 0; start <= 64; start++) {
		uint64_t n = start, next = 0;

		rdm_cq_free(cq);
		cq = rdm_cq_new(0, false);
		assert_non_null(cq);
		for (uint64_t i = 0; i < start; i++)
			push(i);
		while (next < start)
			read_from(&next, 1);
		while (n < start + 1000)
			push(n++);
		assert_true(cq->mask >= 999);
		while (read_from(&next, 7))
			;
		assert_true(next == n);
		assert_true(cq->lost == 0);
	}
}

/* The positions wrap after four thousand million entries. */
static void rdm_cq_push__positions_wrap(void **state)
{
	uint64_t next = 0;

	(void)state;
	cq->head = UINT32_MAX - 20;
	cq->tail = UINT32_MAX - 20;
	for (uint64_t i = 0; i < 500; i++)
		push(i);
	while (read_from(&next, 3))
		;
	assert_true(next == 500);
}

static char logged[200];

static void log_sink(enum u_log_level level, const char *line)
{
	assert_int_equal(level, U_LOG_WARN);
	strncpy(logged, line, sizeof(logged) - 1);
}

/* A ring that cannot grow any more, as far as its numbers say. */
static void rdm_cq_push__no_room_is_counted_and_logged(void **state)
{
	uint64_t next = 0;
	uint32_t mask = cq->mask;

	(void)state;
	push(0);
	u_log_set_sink(log_sink);
	cq->mask = INT32_MAX;
	cq->tail = cq->head + cq->mask + 1;
	push_error(7); /* which must not leak */
	cq->mask = mask;
	cq->tail = cq->head + 1;
	u_log_set_sink(NULL);
	assert_true(cq->lost == 1);
	assert_non_null(strstr(logged, "1 lost"));
	assert_int_equal(read_from(&next, 10), 1);
	push(1);
	assert_int_equal(read_from(&next, 10), 1);
}

/* ---- sleep ------------------------------------------------------------------- */

static uint64_t signals(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n = 0;

	if (poll(&p, 1, 0) == 1)
		assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
	return n;
}

static void rdm_cq_sleep__one_signal_at_the_next_push(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t next = 0;

	(void)state;
	assert_true(fd >= 0);
	rdm_cq_set_fd(cq, fd);
	push(0);
	assert_int_equal(signals(fd), 0);
	assert_false(rdm_cq_sleep(cq));
	assert_int_equal(read_from(&next, 1), 1);
	assert_true(rdm_cq_sleep(cq));
	assert_int_equal(signals(fd), 0);
	push(1);
	push(2);
	assert_int_equal(signals(fd), 1);
	assert_false(rdm_cq_sleep(cq));
	assert_int_equal(read_from(&next, 2), 2);
	assert_true(rdm_cq_sleep(cq));
	push_error(3);
	assert_int_equal(signals(fd), 1);
	close(fd);
}

static void rdm_cq_sleep__without_fd(void **state)
{
	uint64_t next = 0;

	(void)state;
	assert_int_equal(cq->fd, -1);
	assert_true(rdm_cq_sleep(cq));
	push(0);
	assert_false(cq->sleeping);
	assert_int_equal(read_from(&next, 1), 1);
}

/* ---- threads ------------------------------------------------------------------ */

#define THREADS 4
#define EACH 20000

static int setup_locked(void **state)
{
	(void)state;
	cq = rdm_cq_new(0, true);
	return cq ? 0 : -1;
}

/* source is the thread, tag its count; each hundredth is an error. */
static void *pusher(void *arg)
{
	struct rdm_comp comp = { .source = *(uint64_t *)arg };

	for (comp.tag = 0; comp.tag < EACH; comp.tag++) {
		comp.err = comp.tag % 100 == 99 ? RDM_ERR_OTHER : 0;
		comp.error = comp.err ? calloc(1, sizeof(*comp.error)) : NULL;
		rdm_cq_push(cq, &comp);
	}
	return NULL;
}

/* Takes what there is and sees each pusher's entries in order. */
static int drain(uint64_t next[THREADS])
{
	struct rdm_comp comp[16];
	int n = rdm_cq_read(cq, comp, 16);

	if (n < 0) {
		n = rdm_cq_read_error(cq, comp);
		assert_int_equal(n, 1);
		assert_true(comp[0].tag % 100 == 99 && comp[0].error);
		free(comp[0].error);
	}
	for (int i = 0; i < n; i++) {
		assert_true(comp[i].source < THREADS);
		assert_true(comp[i].tag == next[comp[i].source]++);
	}
	return n;
}

static void sleep_on(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n;

	if (!rdm_cq_sleep(cq))
		return;
	assert_int_equal(poll(&p, 1, 30000), 1); /* else a wake was lost */
	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
}

static void rdm_cq__many_pushers_and_a_reader_that_sleeps(void **state)
{
	uint64_t id[THREADS], next[THREADS] = { 0 };
	int fd = eventfd(0, 0), left = THREADS * EACH;
	pthread_t thread[THREADS];

	(void)state;
	assert_true(fd >= 0);
	rdm_cq_set_fd(cq, fd);
	for (uint64_t i = 0; i < THREADS; i++) {
		id[i] = i;
		assert_int_equal(
			pthread_create(&thread[i], NULL, pusher, &id[i]), 0);
	}
	while (left > 0) {
		int n = drain(next);

		left -= n;
		if (n == 0)
			sleep_on(fd);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		assert_true(next[i] == EACH);
	}
	assert_true(rdm_cq_empty(cq));
	close(fd);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(rdm_cq_read__empty),
		test(rdm_cq_read__all_of_an_entry),
		test(rdm_cq_read__up_to_n_in_order),
		test(rdm_cq_read__stops_before_an_error),
		test(rdm_cq_free__with_errors_unread),
		test(rdm_cq_new__size_is_room),
		test(rdm_cq_push__grows_in_order),
		test(rdm_cq_push__positions_wrap),
		test(rdm_cq_push__no_room_is_counted_and_logged),
		test(rdm_cq_sleep__one_signal_at_the_next_push),
		test(rdm_cq_sleep__without_fd),
		cmocka_unit_test_setup_teardown(
			rdm_cq__many_pushers_and_a_reader_that_sleeps,
			setup_locked, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
