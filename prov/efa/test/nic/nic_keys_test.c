/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_keys_test.c - the key table, what peers see of it, ranges at the edges
 */
#include "nic_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "nic/nic_keys.h"

#define RW (NIC_REMOTE_READ | NIC_REMOTE_WRITE)

struct keys_view {
	struct nic_keys keys;
	struct nic_mirror *mirror;
};

static void view_open(struct keys_view *v, const struct nt *t)
{
	assert_int_equal(nic_keys_init(&v->keys, t->dir), 0);
	assert_int_equal(nic_mirror_open(t->dir, v->keys.tag, &v->mirror), 0);
}

static void view_close(struct keys_view *v)
{
	nic_mirror_close(v->mirror);
	nic_keys_fini(&v->keys);
}

/* What the owner and what a peer say, which must be the same. */
static bool allowed(struct keys_view *v, uint32_t key, uint32_t access,
		    uint64_t addr, uint64_t len)
{
	bool own = nic_keys_hold(&v->keys, key, access, addr, len);

	if (own)
		nic_keys_leave(&v->keys);
	assert_int_equal(own,
			 nic_mirror_covers(v->mirror, key, access, addr, len));
	return own;
}

static void nic_range_inside__edges(void **state)
{
	(void)state;
	assert_true(nic_range_inside(100, 10, 100, 10));
	assert_true(nic_range_inside(110, 0, 100, 10));
	assert_false(nic_range_inside(99, 1, 100, 10));
	assert_false(nic_range_inside(100, 11, 100, 10));
	assert_false(nic_range_inside(109, 2, 100, 10));
	assert_false(nic_range_inside(111, 0, 100, 10));
	assert_false(nic_range_inside(UINT64_MAX, 2, 100, 10));
	assert_false(nic_range_inside(105, UINT64_MAX, 100, 10));
	assert_false(nic_range_inside(0, UINT64_MAX - 50, 100, 10));
	assert_true(nic_range_inside(UINT64_MAX - 1, 1, UINT64_MAX - 2, 2));
	assert_false(nic_range_inside(UINT64_MAX - 1, 2, UINT64_MAX - 2, 2));
}

static void nic_keys_reg__range_and_access(void **state)
{
	struct keys_view v;
	char buf[64];
	uint64_t at = (uintptr_t)buf;
	uint32_t key;

	view_open(&v, *state);
	assert_int_equal(nic_keys_reg(&v.keys, buf, 64, NIC_REMOTE_READ, &key),
			 0);
	assert_int_not_equal(key, 0);
	assert_true(allowed(&v, key, NIC_REMOTE_READ, at, 64));
	assert_true(allowed(&v, key, NIC_REMOTE_READ, at + 63, 1));
	assert_false(allowed(&v, key, NIC_REMOTE_READ, at, 65));
	assert_false(allowed(&v, key, NIC_REMOTE_READ, at - 1, 2));
	assert_false(allowed(&v, key, NIC_REMOTE_READ, at + 63, UINT64_MAX));
	assert_false(allowed(&v, key, NIC_REMOTE_WRITE, at, 1));
	assert_false(allowed(&v, key, RW, at, 1));
	assert_false(allowed(&v, 0, NIC_REMOTE_READ, at, 1));
	assert_false(allowed(&v, UINT32_MAX, NIC_REMOTE_READ, at, 1));
	assert_false(allowed(&v, key + 1, NIC_REMOTE_READ, at, 1));
	view_close(&v);
}

static void nic_keys_reg__wrapping_range(void **state)
{
	struct keys_view v;
	uint32_t key = 7;

	view_open(&v, *state);
	assert_int_equal(nic_keys_reg(&v.keys, (void *)16, SIZE_MAX, RW, &key),
			 -EINVAL);
	assert_int_equal(key, 7);
	assert_int_equal(
		nic_keys_reg(&v.keys, (void *)16, SIZE_MAX - 16, RW, &key), 0);
	assert_true(allowed(&v, key, RW, 16, SIZE_MAX - 16));
	assert_false(allowed(&v, key, RW, 15, SIZE_MAX - 16));
	assert_false(allowed(&v, key, RW, 17, SIZE_MAX - 16));
	view_close(&v);
}

static void nic_keys_dereg__once(void **state)
{
	struct keys_view v;
	char buf[8];
	uint64_t at = (uintptr_t)buf;
	uint32_t key;

	view_open(&v, *state);
	assert_int_equal(nic_keys_reg(&v.keys, buf, 8, RW, &key), 0);
	assert_int_equal(nic_keys_used(&v.keys), 1);
	assert_int_equal(nic_keys_dereg(&v.keys, key + NIC_KEYS_MAX), -EINVAL);
	assert_int_equal(nic_keys_dereg(&v.keys, key + 1), -EINVAL);
	assert_int_equal(nic_keys_dereg(&v.keys, key | 0xffff), -EINVAL);
	assert_int_equal(nic_keys_dereg(&v.keys, key), 0);
	assert_int_equal(nic_keys_dereg(&v.keys, key), -EINVAL);
	assert_false(allowed(&v, key, RW, at, 8));
	assert_int_equal(nic_keys_used(&v.keys), 0);
	view_close(&v);
}

/* A slot comes back with another key each time; never with 0. */
static void nic_keys_reg__generations(void **state)
{
	struct keys_view v;
	char buf[8];
	uint32_t first, key, index_seen = 0;

	view_open(&v, *state);
	assert_int_equal(nic_keys_reg(&v.keys, buf, 8, RW, &first), 0);
	assert_int_equal(nic_keys_dereg(&v.keys, first), 0);
	for (int i = 0; i < 70000; i++) {
		assert_int_equal(nic_keys_reg(&v.keys, buf, 8, RW, &key), 0);
		assert_int_not_equal(key, first);
		assert_true(key >= NIC_KEYS_MAX);
		index_seen += (key & NIC_KEY_INDEX_MASK) ==
			      (first & NIC_KEY_INDEX_MASK);
		assert_int_equal(nic_keys_dereg(&v.keys, key), 0);
	}
	assert_true(index_seen > 0);
	view_close(&v);
}

static void nic_keys_reg__until_none_is_left(void **state)
{
	static uint32_t key[NIC_KEYS_MAX];
	struct keys_view v;
	uint32_t one_more;
	char buf[8];
	uint64_t at = (uintptr_t)buf;

	view_open(&v, *state);
	for (uint32_t i = 0; i < NIC_KEYS_MAX; i++)
		assert_int_equal(nic_keys_reg(&v.keys, buf, 8, RW, &key[i]), 0);
	assert_int_equal(nic_keys_reg(&v.keys, buf, 8, RW, &one_more), -ENOMEM);
	assert_true(nt_logged("no memory key left"));
	for (uint32_t i = 0; i < NIC_KEYS_MAX; i += 997)
		assert_true(allowed(&v, key[i], RW, at, 8));
	assert_int_equal(nic_keys_dereg(&v.keys, key[5]), 0);
	assert_int_equal(nic_keys_reg(&v.keys, buf, 8, RW, &one_more), 0);
	assert_int_not_equal(one_more, key[5]);
	assert_false(allowed(&v, key[5], RW, at, 8));
	assert_true(allowed(&v, one_more, RW, at, 8));
	view_close(&v);
}

static uint32_t all[NIC_KEYS_MAX];

/* Takes every slot, and leaves them to the shard of this thread. */
static void *take_all(void *arg)
{
	struct keys_view *v = arg;
	char buf[8];

	for (uint32_t i = 0; i < NIC_KEYS_MAX; i++)
		nic_keys_reg(&v->keys, buf, 8, RW, &all[i]);
	for (uint32_t i = 0; i < NIC_KEYS_MAX; i++)
		nic_keys_dereg(&v->keys, all[i]);
	return NULL;
}

static void nic_keys_reg__slots_of_other_threads(void **state)
{
	struct keys_view v;
	pthread_t thread;
	char buf[8];
	uint32_t key;

	view_open(&v, *state);
	assert_int_equal(pthread_create(&thread, NULL, take_all, &v), 0);
	pthread_join(thread, NULL);
	assert_int_equal(nic_keys_used(&v.keys), 0);
	for (uint32_t i = 0; i < NIC_KEYS_MAX; i++)
		assert_int_equal(nic_keys_reg(&v.keys, buf, 8, RW, &key), 0);
	assert_int_equal(nic_keys_used(&v.keys), NIC_KEYS_MAX);
	assert_int_equal(nic_keys_dereg(&v.keys, key), 0);
	view_close(&v);
}

struct visit {
	struct keys_view *v;
	uint32_t key;
	char *buf;
	_Atomic bool entered, left;
};

static void *visit_run(void *arg)
{
	struct visit *visit = arg;

	if (!nic_keys_hold(&visit->v->keys, visit->key, RW,
			   (uintptr_t)visit->buf, 8))
		return NULL;
	visit->entered = true;
	for (int i = 0; i < 20; i++)
		sched_yield();
	visit->buf[0]++;
	visit->left = true;
	nic_keys_leave(&visit->v->keys);
	return visit;
}

/* What a pump is in the middle of is over when a region has gone. */
static void nic_keys_dereg__waits_for_who_has_entered(void **state)
{
	struct keys_view v;

	view_open(&v, *state);
	for (int i = 0; i < 50; i++) {
		struct visit visit = { .v = &v, .buf = calloc(1, 8) };
		pthread_t thread;
		void *held;

		assert_int_equal(
			nic_keys_reg(&v.keys, visit.buf, 8, RW, &visit.key), 0);
		pthread_create(&thread, NULL, visit_run, &visit);
		while (!visit.entered)
			sched_yield();
		assert_int_equal(nic_keys_dereg(&v.keys, visit.key), 0);
		assert_true(visit.left);
		free(visit.buf);
		assert_false(
			allowed(&v, visit.key, RW, (uintptr_t)visit.buf, 8));
		pthread_join(thread, &held);
		assert_non_null(held);
	}
	view_close(&v);
}

static void nic_mirror_open__shared_and_missing(void **state)
{
	const struct nt *t = *state;
	struct nic_mirror *again;
	struct keys_view v;

	view_open(&v, t);
	assert_int_equal(nic_mirror_open(t->dir, v.keys.tag, &again), 0);
	assert_ptr_equal(again, v.mirror);
	nic_mirror_close(again);
	assert_int_equal(nic_mirror_open(t->dir, v.keys.tag ^ 2, &again),
			 -ENOENT);
	assert_int_equal(nic_mirror_open(t->dir, 0, &again), -ENOENT);
	view_close(&v);
}

/* Whatever a peer finds in the file, it looks at nothing outside of it. */
static void nic_mirror_covers__hostile_size(void **state)
{
	struct keys_view v;
	struct nic_mirror_header *h;

	view_open(&v, *state);
	h = v.keys.file.base;
	atomic_store(&h->size, UINT32_MAX);
	assert_false(nic_mirror_covers(v.mirror, UINT32_MAX, 0, 0, 0));
	assert_false(nic_mirror_covers(v.mirror, 0x1ffff, 0, 0, 0));
	view_close(&v);
}

struct churn {
	struct keys_view *v;
	_Atomic bool stop;
	uint64_t base;
	_Atomic uint32_t key;
};

/* Registers [base, +8) and [base + 4096, +16) in turn, in the same table. */
static void *churn_run(void *arg)
{
	struct churn *c = arg;
	uint32_t key;

	for (int i = 0; !c->stop; i++) {
		uint64_t at = c->base + (i & 1 ? 4096 : 0);
		void *addr = (void *)(uintptr_t)at;

		nic_keys_reg(&c->v->keys, addr, i & 1 ? 16 : 8,
			     i & 1 ? NIC_REMOTE_WRITE : NIC_REMOTE_READ, &key);
		c->key = key;
		nic_keys_dereg(&c->v->keys, key);
	}
	return NULL;
}

/* A peer never sees one region's address with another's length or access. */
static void nic_mirror_covers__while_slots_change(void **state)
{
	struct keys_view v;
	struct churn c = { .v = &v, .base = 0x10000 };
	pthread_t thread;

	view_open(&v, *state);
	assert_int_equal(pthread_create(&thread, NULL, churn_run, &c), 0);
	for (int i = 0; i < 200000; i++) {
		uint32_t key = c.key;

		assert_false(nic_mirror_covers(v.mirror, key, NIC_REMOTE_READ,
					       0x10000, 16));
		assert_false(nic_mirror_covers(v.mirror, key, NIC_REMOTE_WRITE,
					       0x10000, 8));
		assert_false(nic_mirror_covers(v.mirror, key, NIC_REMOTE_READ,
					       0x11000, 8));
	}
	c.stop = true;
	pthread_join(thread, NULL);
	view_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nic_range_inside__edges),
		NT_DIR(nic_keys_reg__range_and_access),
		NT_DIR(nic_keys_reg__wrapping_range),
		NT_DIR(nic_keys_dereg__once),
		NT_DIR(nic_keys_reg__generations),
		NT_DIR(nic_keys_reg__until_none_is_left),
		NT_DIR(nic_keys_reg__slots_of_other_threads),
		NT_DIR(nic_keys_dereg__waits_for_who_has_entered),
		NT_DIR(nic_mirror_open__shared_and_missing),
		NT_DIR(nic_mirror_covers__hostile_size),
		NT_DIR(nic_mirror_covers__while_slots_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
