/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_driver_test.c - FI_PROGRESS_AUTO: what comes arrives while nobody reads
 * a queue
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

#include "util/u_time.h"

#define CAPS (FI_MSG | FI_TAGGED | FI_RMA | FI_ATOMIC | FI_RMA_EVENT)
#define BYTES 300000
#define PREFIX 40
#define MESSAGES 5000

static struct fixture f;
static char out[BYTES], in[BYTES];

static void open_auto(const struct fixture_config *config)
{
	struct fixture_config automatic = *config;

	automatic.progress = FI_PROGRESS_AUTO;
	fixture_open(&f, &automatic);
	assert_int_equal(f.info->domain_attr->data_progress, FI_PROGRESS_AUTO);
	memset(out, 7, sizeof(out));
	memset(in, 0, sizeof(in));
}

static int setup(void **state)
{
	open_auto(&(struct fixture_config){ .caps = CAPS });
	return 0;
}

static int teardown(void **state)
{
	fixture_close(&f);
	return 0;
}

/*
 * The byte is written by another thread; no call of ours may help it, nor take
 * a lock that would order the two.
 */
static __attribute__((no_sanitize("thread"))) void expect_byte(const char *at,
							       char value)
{
	uint64_t end = u_now() + 10 * U_SEC;

	while (*(const volatile char *)at != value && u_now() < end)
		sched_yield();
	assert_int_equal(*(const volatile char *)at, value);
}

static void message__of_all_lengths_arrives(void **state)
{
	static const size_t size[] = { 1, 8000, 60000, BYTES };

	for (size_t i = 0; i < u_array_size(size); i++) {
		memset(in, 0, sizeof(in));
		assert_int_equal(fi_recv(f.ep[1], in, size[i], NULL,
					 FI_ADDR_UNSPEC, in),
				 0);
		assert_int_equal(fi_send(f.ep[0], out, size[i], NULL, f.addr[1],
					 out),
				 0);
		expect_byte(in + size[i] - 1, 7);
		assert_ptr_equal(fixture_entry(&f, 1).op_context, in);
		assert_ptr_equal(fixture_entry(&f, 0).op_context, out);
	}
}

static void rma__in_packets_arrives(void **state)
{
	uint64_t one = 1;
	struct fid_mr *mr;

	assert_int_equal(fi_mr_reg(f.domain, in, BYTES, FI_REMOTE_WRITE, 0, 0,
				   0, &mr, NULL),
			 0);
	assert_int_equal(fi_write(f.ep[0], out, BYTES, NULL, f.addr[1],
				  (uintptr_t)in, fi_mr_key(mr), out),
			 0);
	expect_byte(in + BYTES - 1, 7);
	fixture_entry(&f, 0);
	memset(in, 0, sizeof(in));
	assert_int_equal(fi_atomic(f.ep[0], &one, 1, NULL, f.addr[1],
				   (uintptr_t)in, fi_mr_key(mr), FI_UINT64,
				   FI_SUM, NULL),
			 0);
	expect_byte(in, 1);
	fixture_entry(&f, 0);
	assert_int_equal(fi_close(&mr->fid), 0);
}

/* What sleeps on a descriptor is woken by the thread's work. */
static void sleeper__on_a_descriptor(void **state)
{
	struct fi_cq_tagged_entry entry;
	struct pollfd pfd = { .events = POLLIN };
	struct fid *fid;

	open_auto(&(struct fixture_config){ .caps = FI_MSG,
					    .wait_obj = FI_WAIT_FD });
	assert_int_equal(fi_control(&f.cq[1]->fid, FI_GETWAIT, &pfd.fd), 0);
	fid = &f.cq[1]->fid;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(
			fi_recv(f.ep[1], in, 8, NULL, FI_ADDR_UNSPEC, in), 0);
		while (fi_trywait(f.fabric, &fid, 1) == -FI_EAGAIN)
			;
		assert_int_equal(fi_inject(f.ep[0], out, 8, f.addr[1]), 0);
		while (fi_cq_read(f.cq[1], &entry, 1) != 1)
			assert_int_equal(poll(&pfd, 1, 5000), 1);
	}
	fixture_close(&f);
}

static void *reader(void *arg)
{
	struct fi_cq_tagged_entry entry[8];
	intptr_t got = 0;

	while (got < MESSAGES) {
		ssize_t ret = fi_cq_sread(f.cq[1], entry, 8, NULL, 5000);

		if (ret <= 0)
			break;
		got += ret;
	}
	return (void *)got;
}

/* Whatever the program promised of its threads, ours is beside them. */
static void stream__beside_a_reader(void **state)
{
	struct fi_cq_tagged_entry entry[8];
	pthread_t thread;
	void *got;
	int sent = 0;

	open_auto(&(struct fixture_config){ .caps = FI_MSG,
					    .threading = FI_THREAD_DOMAIN });
	for (int i = 0; i < MESSAGES; i++)
		assert_int_equal(
			fi_recv(f.ep[1], in, 8, NULL, FI_ADDR_UNSPEC, in), 0);
	assert_int_equal(pthread_create(&thread, NULL, reader, NULL), 0);
	while (sent < MESSAGES) {
		ssize_t ret = fi_send(f.ep[0], out, 8, NULL, f.addr[1], out);

		assert_true(ret == 0 || ret == -FI_EAGAIN);
		sent += !ret;
		while (fi_cq_read(f.cq[0], entry, 8) > 0)
			;
	}
	pthread_join(thread, &got);
	assert_int_equal((intptr_t)got, MESSAGES);
	fixture_close(&f);
}

static void datagram__arrives(void **state)
{
	open_auto(&(struct fixture_config){ .type = FI_EP_DGRAM,
					    .caps = FI_MSG });
	assert_int_equal(
		fi_recv(f.ep[1], in, PREFIX + 8, NULL, FI_ADDR_UNSPEC, in), 0);
	assert_int_equal(fi_inject(f.ep[0], out, PREFIX + 8, f.addr[1]), 0);
	expect_byte(in + PREFIX + 7, 7);
	fixture_close(&f);
}

static void close__with_messages_under_way(void **state)
{
	for (int i = 0; i < 20; i++) {
		open_auto(&(struct fixture_config){ .caps = FI_MSG });
		for (int k = 0; k < 20; k++) {
			fi_recv(f.ep[1], in, BYTES, NULL, FI_ADDR_UNSPEC, in);
			fi_send(f.ep[0], out, BYTES, NULL, f.addr[1], out);
		}
		fixture_close(&f);
	}
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(message__of_all_lengths_arrives),
		T(rma__in_packets_arrives),
		cmocka_unit_test(sleeper__on_a_descriptor),
		cmocka_unit_test(stream__beside_a_reader),
		cmocka_unit_test(datagram__arrives),
		cmocka_unit_test(close__with_messages_under_way),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
