/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_cntr_test.c - counters with a descriptor, and others who do their work
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

static struct fixture f;
static struct pollfd pfd; /* of cntr */
static struct fid_cntr *cntr; /* of what endpoint 1 receives */
static char in[64];

static int setup(void **state)
{
	struct fi_cntr_attr attr = { .events = FI_CNTR_EVENTS_COMP,
				     .wait_obj = FI_WAIT_FD };

	fixture_open(&f, &(struct fixture_config){ .caps = FI_MSG,
						   .wait_obj = FI_WAIT_FD,
						   .disabled = true });
	assert_int_equal(fi_cntr_open(f.domain, &attr, &cntr, NULL), 0);
	assert_int_equal(fi_ep_bind(f.ep[1], &cntr->fid, FI_RECV), 0);
	fixture_enable(&f);
	f.cntr[0] = cntr;
	pfd = (struct pollfd){ .events = POLLIN };
	assert_int_equal(fi_control(&cntr->fid, FI_GETWAIT, &pfd.fd), 0);
	return 0;
}

static int teardown(void **state)
{
	fixture_close(&f);
	return 0;
}

static void send_one(void)
{
	assert_int_equal(
		fi_recv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC, in), 0);
	assert_int_equal(fi_inject(f.ep[0], "hello", 5, f.addr[1]), 0);
}

static void trywait__then_poll(void **state)
{
	while (fixture_trywait(&f, &cntr->fid) == -FI_EAGAIN)
		;
	assert_int_equal(poll(&pfd, 1, 0), 0);
	send_one();
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	while (fi_cntr_read(cntr) < 1)
		;
	assert_int_equal(fi_cntr_read(cntr), 1);
}

/* What trywait itself finds is no reason to sleep. */
static void trywait__until_the_count_was_seen(void **state)
{
	assert_int_equal(fi_cntr_read(cntr), 0);
	send_one();
	for (int i = 0; i < 100; i++)
		assert_int_equal(fixture_trywait(&f, &cntr->fid), -FI_EAGAIN);
	assert_int_equal(fi_cntr_read(cntr), 1);
	assert_int_equal(fixture_trywait(&f, &cntr->fid), 0);
}

/* The reader of the queue takes the wake-up along with the message. */
static void sleeper__is_woken_by_who_counts(void **state)
{
	struct fi_cq_tagged_entry entry;

	while (fixture_trywait(&f, &cntr->fid) == -FI_EAGAIN)
		;
	send_one();
	while (fixture_trywait(&f, &f.cq[1]->fid) == -FI_EAGAIN)
		fi_cq_read(f.cq[1], &entry, 1);
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	assert_int_equal(fi_cntr_read(cntr), 1);
}

static void sleeper__is_woken_by_a_failure(void **state)
{
	while (fixture_trywait(&f, &cntr->fid) == -FI_EAGAIN)
		;
	assert_int_equal(
		fi_recv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC, in), 0);
	assert_int_equal(fi_cancel(&f.ep[1]->fid, in), 0);
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	assert_int_equal(fi_cntr_readerr(cntr), 1);
	assert_int_equal(fi_cntr_wait(cntr, 1, 1), -FI_ETIMEDOUT);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(trywait__then_poll),
		T(trywait__until_the_count_was_seen),
		T(sleeper__is_woken_by_who_counts),
		T(sleeper__is_woken_by_a_failure),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
