/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_sleep_test.c - several sleepers of an endpoint: none takes the wake-up of
 * another
 *
 * What another thread does while the sleeper is between fi_trywait and poll(2)
 * is done in between; where it matters that it is another one, it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

static struct fixture f;
static struct fid_cq *cq; /* of endpoint 1 */
static struct fid_cntr *cntr; /* of what endpoint 1 receives */
static int cq_fd, cntr_fd;
static char in[64];

static void open_with(uint64_t caps)
{
	struct fi_cntr_attr attr = { .events = FI_CNTR_EVENTS_COMP,
				     .wait_obj = FI_WAIT_FD };

	fixture_open(&f, &(struct fixture_config){ .caps = caps,
						   .wait_obj = FI_WAIT_FD,
						   .threading = FI_THREAD_SAFE,
						   .disabled = true });
	assert_int_equal(fi_cntr_open(f.domain, &attr, &cntr, NULL), 0);
	assert_int_equal(fi_ep_bind(f.ep[1], &cntr->fid, FI_RECV), 0);
	fixture_enable(&f);
	f.cntr[0] = cntr;
	cq = f.cq[1];
	assert_int_equal(fi_control(&cq->fid, FI_GETWAIT, &cq_fd), 0);
	assert_int_equal(fi_control(&cntr->fid, FI_GETWAIT, &cntr_fd), 0);
}

static int setup(void **state)
{
	open_with(FI_MSG | FI_RMA);
	return 0;
}

/* Counters of regions drive endpoints that have this. */
static int setup_events(void **state)
{
	open_with(FI_MSG | FI_RMA | FI_RMA_EVENT);
	return 0;
}

static int teardown(void **state)
{
	fixture_close(&f);
	return 0;
}

/* Until it may sleep. */
static void leave(struct fid *fid)
{
	while (fixture_trywait(&f, fid))
		;
}

static int is_up(int fd)
{
	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0);
}

static int comes_up(int fd)
{
	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 5000);
}

static void send_one(void)
{
	assert_int_equal(
		fi_recv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC, in), 0);
	assert_int_equal(fi_inject(f.ep[0], "hello", 5, f.addr[1]), 0);
}

static void read_one(void)
{
	struct fi_cq_tagged_entry entry;

	while (fi_cq_read(cq, &entry, 1) != 1)
		;
}

/* ---- a queue ------------------------------------------------------------- */

static void trywait__with_an_entry_leaves_the_wake_up(void **state)
{
	leave(&cq->fid);
	send_one();
	send_one();
	read_one();
	assert_int_equal(fixture_trywait(&f, &cq->fid), -FI_EAGAIN);
	assert_int_equal(is_up(cq_fd), 1);
	read_one();
	leave(&cq->fid);
	assert_int_equal(is_up(cq_fd), 0);
}

/* It looks, finds nothing, and does not come again. */
static void read__calls_who_sleeps(void **state)
{
	struct fi_cq_tagged_entry entry;

	leave(&cq->fid);
	assert_int_equal(is_up(cq_fd), 0);
	assert_int_equal(fi_cq_read(cq, &entry, 1), -FI_EAGAIN);
	send_one();
	assert_int_equal(comes_up(cq_fd), 1);
	read_one();
}

/* And so does one that waits, for a while. */
static void sread__in_vain_calls_who_sleeps(void **state)
{
	struct fi_cq_tagged_entry entry;

	leave(&cq->fid);
	assert_int_equal(fi_cq_sread(cq, &entry, 1, NULL, 2), -FI_EAGAIN);
	send_one();
	assert_int_equal(comes_up(cq_fd), 1);
	read_one();
}

/* ---- a counter ----------------------------------------------------------- */

static void *look_and_leave(void *arg)
{
	intptr_t ret = -FI_EAGAIN;

	fi_cntr_read(cntr);
	for (int i = 0; i < 10 && ret; i++)
		ret = fixture_trywait(&f, &cntr->fid);
	return (void *)ret;
}

/* The count is there for both. */
static void trywait__waits_for_another_sleeper(void **state)
{
	pthread_t other;
	void *ret;

	leave(&cntr->fid);
	send_one();
	read_one();
	assert_int_equal(pthread_create(&other, NULL, look_and_leave, NULL), 0);
	pthread_join(other, &ret);
	assert_int_equal((intptr_t)ret, -FI_EAGAIN);
	assert_int_equal(is_up(cntr_fd), 1);
	assert_int_equal(fi_cntr_read(cntr), 1);
	leave(&cntr->fid);
	assert_int_equal(is_up(cntr_fd), 0);
}

static void *only_leave(void *arg)
{
	leave(&cntr->fid);
	return NULL;
}

/* A thread that is gone is not waited for, not for ever. */
static void trywait__forgets_who_does_not_come(void **state)
{
	pthread_t other;

	assert_int_equal(pthread_create(&other, NULL, only_leave, NULL), 0);
	pthread_join(other, NULL);
	send_one();
	read_one();
	assert_int_equal(fi_cntr_read(cntr), 1);
	leave(&cntr->fid);
	assert_int_equal(is_up(cntr_fd), 0);
}

/* ---- both ---------------------------------------------------------------- */

static void trywait__of_two_objects_then_poll(void **state)
{
	struct fid *fids[] = { &cq->fid, &cntr->fid };

	while (fi_trywait(f.fabric, fids, 2))
		;
	assert_int_equal(is_up(cq_fd), 0);
	assert_int_equal(is_up(cntr_fd), 0);
	send_one();
	assert_int_equal(comes_up(cq_fd), 1);
	assert_int_equal(comes_up(cntr_fd), 1);
	read_one();
}

static void read__calls_sleepers_of_other_objects(void **state)
{
	struct fi_cq_tagged_entry entry;

	leave(&cntr->fid);
	assert_int_equal(fi_cq_read(cq, &entry, 1), -FI_EAGAIN);
	send_one();
	assert_int_equal(comes_up(cntr_fd), 1);
	read_one();
}

#define LONG (3u << 20)

static void read_all_of(struct fid_mr *mr, char *from, char *to)
{
	assert_int_equal(fi_read(f.ep[0], to, LONG, NULL, f.addr[1],
				 (uintptr_t)from, fi_mr_key(mr), NULL),
			 0);
}

/* What is read in slices needs polls, and nothing comes that would ring. */
static void post__calls_who_sleeps(void **state)
{
	char *from = calloc(1, LONG), *to = calloc(1, LONG);
	struct fid_mr *mr;
	int fd;

	assert_int_equal(fi_mr_reg(f.domain, from, LONG, FI_REMOTE_READ, 0, 0,
				   0, &mr, NULL),
			 0);
	read_all_of(mr, from, to);
	fixture_entry(&f, 0);
	assert_int_equal(fi_control(&f.cq[0]->fid, FI_GETWAIT, &fd), 0);
	leave(&f.cq[0]->fid);
	assert_int_equal(is_up(fd), 0);
	read_all_of(mr, from, to);
	assert_int_equal(is_up(fd), 1);
	fixture_entry(&f, 0);
	assert_int_equal(fi_close(&mr->fid), 0);
	free(from);
	free(to);
}

/* Of a counter that is closed the endpoint knows nothing any more. */
static void read__calls_no_counter_that_is_closed(void **state)
{
	struct efa_ep *ep = efa_ep_of(f.ep[1]);
	size_t n = ep->nwatches;
	struct fi_cq_tagged_entry entry;
	struct fid_cntr *region;
	struct fid_mr *mr;

	assert_int_equal(fi_cntr_open(f.domain, NULL, &region, NULL), 0);
	assert_int_equal(fi_mr_reg(f.domain, in, sizeof(in), FI_REMOTE_WRITE, 0,
				   0, 0, &mr, NULL),
			 0);
	assert_int_equal(fi_mr_bind(mr, &region->fid, FI_REMOTE_WRITE), 0);
	assert_int_equal(ep->nwatches, n + 1);
	leave(&cq->fid);
	assert_int_equal(fi_close(&mr->fid), 0);
	assert_int_equal(fi_close(&region->fid), 0);
	assert_int_equal(ep->nwatches, n);
	assert_int_equal(fi_cq_read(cq, &entry, 1), -FI_EAGAIN);
	assert_int_equal(is_up(cq_fd), 1);
}

static void *sleep_on_queue(void *arg)
{
	struct fi_cq_tagged_entry entry;

	return (void *)fi_cq_sread(cq, &entry, 1, NULL, -1);
}

static void signal__wakes_all(void **state)
{
	struct efa_cq *own = u_container_of(cq, struct efa_cq, fid);
	pthread_t thread[3];
	void *ret;

	for (size_t i = 0; i < u_array_size(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL,
						sleep_on_queue, NULL),
				 0);
	while (atomic_load(&own->watch.waiting) < u_array_size(thread))
		sched_yield();
	assert_int_equal(fi_cq_signal(cq), 0);
	for (size_t i = 0; i < u_array_size(thread); i++) {
		pthread_join(thread[i], &ret);
		assert_int_equal((intptr_t)ret, -FI_EAGAIN);
	}
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(trywait__with_an_entry_leaves_the_wake_up),
		T(read__calls_who_sleeps),
		T(sread__in_vain_calls_who_sleeps),
		T(trywait__waits_for_another_sleeper),
		T(trywait__forgets_who_does_not_come),
		T(trywait__of_two_objects_then_poll),
		T(read__calls_sleepers_of_other_objects),
		T(post__calls_who_sleeps),
		cmocka_unit_test_setup_teardown(
			read__calls_no_counter_that_is_closed, setup_events,
			teardown),
		T(signal__wakes_all),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
