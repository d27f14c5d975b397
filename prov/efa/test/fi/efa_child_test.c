/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_child_test.c - the child of a fork closes what its parent has opened
 *
 * Locks are held while it is made, as they may be by any thread of the parent:
 * a child that takes one waits until its alarm, which ends it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "fixture.h"

#define PATIENCE_S 20

static struct fixture f;
static struct fid_ep *alias;
static struct fid_mr *mr;
static uint8_t from[64], to[64];

static void setup(const struct fixture_config *config)
{
	struct fi_eq_attr attr = { .wait_obj = FI_WAIT_FD };

	fixture_open(&f, config);
	assert_int_equal(fi_eq_open(f.fabric, &attr, &f.eq, NULL), 0);
	assert_int_equal(fi_ep_alias(f.ep[0], &alias, FI_TRANSMIT), 0);
	assert_int_equal(fi_mr_reg(f.domain, from, sizeof(from), FI_REMOTE_READ,
				   0, 0, 0, &mr, NULL),
			 0);
}

static void teardown(void)
{
	assert_int_equal(fi_close(&f.ep[0]->fid), -FI_EBUSY);
	assert_int_equal(fi_close(&alias->fid), 0);
	assert_int_equal(fi_close(&mr->fid), 0);
	fixture_close(&f);
}

/* Of an order that the parent would be told is wrong. */
static int close_all(void)
{
	struct fid *fids[] = { &f.fabric->fid, &f.domain->fid, &f.av->fid,
			       &f.cq[0]->fid,  &f.cq[1]->fid,  &f.sent->fid,
			       &f.eq->fid,     &mr->fid,       &alias->fid,
			       &f.ep[0]->fid,  &f.ep[1]->fid };
	int failed = 0;

	for (size_t i = 0; i < u_array_size(fids); i++)
		failed += fi_close(fids[i]) != 0;
	return failed;
}

static void lock_all(void (*act)(struct u_lock *lock))
{
	struct efa_domain *domain =
		u_container_of(f.domain, struct efa_domain, fid);

	act(&domain->lock);
	act(&efa_ep_of(f.ep[0])->lock);
	act(&efa_ep_of(f.ep[1])->lock);
}

static void child_closes_all(void)
{
	pid_t child;
	int status;

	lock_all(u_lock);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		alarm(PATIENCE_S);
		_exit(close_all());
	}
	lock_all(u_unlock);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The parent's memory, keys and queues are as they were. */
static void read_goes_on(void)
{
	memset(from, 7, sizeof(from));
	memset(to, 0, sizeof(to));
	assert_int_equal(fi_read(alias, to, sizeof(to), NULL, f.addr[1],
				 (uintptr_t)from, fi_mr_key(mr), to),
			 0);
	assert_ptr_equal(fixture_entry(&f, 0).op_context, to);
	assert_memory_equal(from, to, sizeof(to));
}

static void message_goes_on(void)
{
	assert_int_equal(
		fi_recv(f.ep[1], to, sizeof(to), NULL, FI_ADDR_UNSPEC, to), 0);
	assert_int_equal(fi_inject(f.ep[0], "goes on", 8, f.addr[1]), 0);
	assert_int_equal(fixture_entry(&f, 1).len, 8);
	assert_string_equal((char *)to, "goes on");
}

static void check(const struct fixture_config *config)
{
	setup(config);
	message_goes_on();
	read_goes_on();
	child_closes_all();
	message_goes_on();
	read_goes_on();
	teardown();
}

static void close__of_what_the_parent_has(void **state)
{
	check(&(struct fixture_config){ .threading = FI_THREAD_SAFE,
					.counters = true });
	check(&(struct fixture_config){ .threading = FI_THREAD_SAFE,
					.counters = true,
					.direct = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close__of_what_the_parent_has),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
