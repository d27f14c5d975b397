/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_threads_test.c - FI_THREAD_SAFE: everything from several threads at once
 *
 * Counts are checked, and the thread sanitizer has something to look at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

#define THREADS 3
#define MESSAGES 2000

static struct fixture f;
static _Atomic int sent, received, failed;

/* Sends, and reads completions of whoever sent. */
static void *sender(void *arg)
{
	struct fi_cq_tagged_entry entry[4];
	static char out[8] = "message";
	ssize_t ret;

	for (int i = 0; i < MESSAGES; i++) {
		while ((ret = fi_tsend(f.ep[0], out, sizeof(out), NULL,
				       f.addr[1], 1, NULL)) == -FI_EAGAIN)
			fi_cq_read(f.cq[0], NULL, 0);
		failed += ret != 0;
	}
	while (sent < THREADS * MESSAGES && !failed) {
		ret = fi_cq_read(f.cq[0], entry, 4);
		if (ret > 0)
			sent += (int)ret;
		else if (ret != -FI_EAGAIN)
			failed++;
		else
			sched_yield();
	}
	return NULL;
}

static void *receiver(void *arg)
{
	struct fi_cq_tagged_entry entry[4];
	static char in[THREADS][8];
	ssize_t ret;

	for (int i = 0; i < MESSAGES; i++)
		failed += fi_trecv(f.ep[1], in[(intptr_t)arg], 8, NULL,
				   FI_ADDR_UNSPEC, 1, 0, NULL) != 0;
	while (received < THREADS * MESSAGES && !failed) {
		ret = fi_cq_sread(f.cq[1], entry, 4, NULL, 20);
		if (ret > 0)
			received += (int)ret;
		else if (ret != -FI_EAGAIN)
			failed++;
	}
	return NULL;
}

/* Opens and closes what the endpoints are driven by, meanwhile. */
static void *opener(void *arg)
{
	uint8_t name[EFA_ADDR_LEN];
	struct fid_ep *ep;
	fi_addr_t addr;
	size_t len;

	for (int i = 0; i < 20; i++) {
		len = sizeof(name);
		failed += fi_endpoint(f.domain, f.info, &ep, NULL) != 0;
		failed += fi_ep_bind(ep, &f.cq[i & 1]->fid,
				     FI_TRANSMIT | FI_RECV) != 0;
		failed += fi_ep_bind(ep, &f.av->fid, 0) != 0;
		failed += fi_enable(ep) != 0;
		failed += fi_getname(&ep->fid, name, &len) != 0;
		failed += fi_av_insert(f.av, name, 1, &addr, 0, NULL) != 1;
		failed += fi_av_remove(f.av, &addr, 1, 0) != 0;
		failed += fi_close(&ep->fid) != 0;
	}
	return NULL;
}

static void run(enum fi_wait_obj wait_obj)
{
	pthread_t thread[2 * THREADS + 1];
	int n = 0;

	sent = received = failed = 0;
	fixture_open(&f, &(struct fixture_config){ .threading = FI_THREAD_SAFE,
						   .wait_obj = wait_obj });
	for (intptr_t i = 0; i < THREADS; i++) {
		pthread_create(&thread[n++], NULL, receiver, (void *)i);
		pthread_create(&thread[n++], NULL, sender, NULL);
	}
	pthread_create(&thread[n++], NULL, opener, NULL);
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(failed, 0);
	assert_int_equal(sent, THREADS * MESSAGES);
	assert_int_equal(received, THREADS * MESSAGES);
	fixture_close(&f);
}

static void safe__without_wait_objects(void **state)
{
	run(FI_WAIT_NONE);
}

static void safe__with_descriptors(void **state)
{
	run(FI_WAIT_FD);
}

/* An endpoint that has one left does not close. */
static void *aliaser(void *arg)
{
	struct fid_ep *alias = NULL;

	for (int i = 0; i < 300000 && !failed; i++) {
		failed += fi_ep_alias(f.ep[0], &alias, FI_TRANSMIT) != 0;
		if (!failed)
			failed += fi_close(&alias->fid) != 0;
	}
	return NULL;
}

static void aliases__opened_and_closed_by_several(void **state)
{
	pthread_t thread[THREADS];

	failed = 0;
	fixture_open(&f,
		     &(struct fixture_config){ .threading = FI_THREAD_SAFE });
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, aliaser, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(failed, 0);
	fixture_close(&f);
}

#define ROUNDS 200

/* An address that endpoint 0 is to send to, plus one; 0: none. */
static _Atomic fi_addr_t offered;
static _Atomic bool over;

static void insert_and_remove(const uint8_t name[EFA_ADDR_LEN], bool offer)
{
	fi_addr_t addr;

	failed += fi_av_insert(f.av, name, 1, &addr, 0, NULL) != 1;
	if (offer)
		offered = addr + 1;
	while (offered)
		sched_yield();
	failed += fi_av_remove(f.av, &addr, 1, 0) != 0;
}

/* Removes addresses from the vector that the endpoints share. */
static void *remover(void *arg)
{
	uint8_t other[EFA_ADDR_LEN], self[EFA_ADDR_LEN];
	size_t len = EFA_ADDR_LEN;

	failed += fi_getname(&f.ep[1]->fid, other, &len) != 0;
	failed += fi_getname(&f.ep[0]->fid, self, &len) != 0;
	other[18] = 1; /* queue pairs of nobody, and never number 0 */
	for (int i = 0; i < ROUNDS; i++) {
		for (int k = 0; k < 10; k++) {
			other[16 + k % 2] ^= (uint8_t)((10 * i + k) | 1);
			insert_and_remove(other, false);
		}
		insert_and_remove(self, true);
	}
	over = true;
	return NULL;
}

static char buf[2][64];

static void message(int to, fi_addr_t addr)
{
	struct fi_cq_tagged_entry entry;
	bool here = to == 0;

	assert_int_equal(
		fi_recv(f.ep[to], buf[1], 64, NULL, FI_ADDR_UNSPEC, buf), 0);
	assert_int_equal(fi_send(f.ep[0], buf[0], 64, NULL, addr, &f), 0);
	/* It may be removed while the message is under way. */
	if (here)
		offered = 0;
	assert_int_equal(fixture_read(&f, 0, &entry, 1), 1);
	assert_true(entry.op_context == &f ||
		    (here && entry.op_context == buf));
	assert_int_equal(fixture_read(&f, to, &entry, 1), 1);
	assert_true(entry.op_context == buf ||
		    (here && entry.op_context == &f));
}

/* Removing is control: the program need not keep it apart from messages. */
static void removals(const struct fixture_config *config)
{
	pthread_t thread;
	fi_addr_t addr;

	failed = 0;
	offered = 0;
	over = false;
	fixture_open(&f, config);
	assert_false(f.info->domain_attr->mr_mode & FI_MR_LOCAL &&
		     !config->direct);
	assert_int_equal(fi_av_remove(f.av, &f.addr[0], 1, 0), 0);
	pthread_create(&thread, NULL, remover, NULL);
	while (!over) {
		message(1, f.addr[1]);
		addr = offered;
		if (addr)
			message(0, addr - 1);
	}
	pthread_join(thread, NULL);
	assert_int_equal(failed, 0);
	fixture_close(&f);
}

static void removals__beside_messages(void **state)
{
	removals(&(struct fixture_config){ .threading = FI_THREAD_COMPLETION,
					   .no_mr_local = true });
	removals(&(struct fixture_config){ .threading = FI_THREAD_COMPLETION,
					   .direct = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(safe__without_wait_objects),
		cmocka_unit_test(safe__with_descriptors),
		cmocka_unit_test(aliases__opened_and_closed_by_several),
		cmocka_unit_test(removals__beside_messages),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
