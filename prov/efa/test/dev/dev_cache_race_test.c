/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_race_test.c - threads that change memory while others register
 */
#include "dev_cache_fixture.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dev/dev_cache_watch.h"
#include "util/u_base.h"

#define TURNS 3000
#define LEN (64 * 1024)
#define TRIES 100000 /* to map an address that another thread may have taken */

static void open_rig(struct rig *r)
{
	rig_open(r, 0, 0, DEV_CACHE_UFFD);
	rig_needs_monitor(r);
}

/* --- an address that another thread gets before munmap returns --- */

static void *unmap_it(void *p)
{
	munmap(p, LEN);
	return NULL;
}

static void dev_cache_watch_settled__not_before_it_was_told(void **state)
{
	pthread_t thread;
	int tries = TRIES;
	struct rig r;
	char *p, *q;

	(void)state;
	open_rig(&r);
	p = rig_map(LEN, 1);
	rig_check(&r, p, LEN, 1);
	assert_true(dev_cache_watch_settled());
	/* The monitor cannot read, so munmap() cannot return. */
	u_lock(&dev_cache_watch_lock);
	pthread_create(&thread, NULL, unmap_it, p);
	do {
		q = mmap(p, LEN, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			 0);
		sched_yield();
	} while (q == MAP_FAILED && errno == EEXIST && --tries);
	assert_true(!tries || !dev_cache_watch_settled());
	u_unlock(&dev_cache_watch_lock);
	pthread_join(thread, NULL);
	if (!tries) {
		print_message("another thread took the address: skipped\n");
		rig_close(&r);
		skip();
	}
	assert_ptr_equal(p, q);
	assert_true(dev_cache_watch_settled());
	p[0] = 2;
	rig_check(&r, p, LEN, 2);
	munmap(p, LEN);
	rig_close(&r);
}

/* What one thread maps the other unmaps. */
struct relay {
	_Atomic(char *) baton; /* NULL: none */
	atomic_bool end;
};

static void *unmap_all(void *arg)
{
	struct relay *relay = arg;
	char *p;

	do {
		p = atomic_exchange(&relay->baton, NULL);
		if (p)
			munmap(p, LEN);
		else
			sched_yield();
	} while (p || !relay->end);
	return NULL;
}

static void dev_cache_get__address_handed_on(void **state)
{
	struct relay relay = { .end = false };
	pthread_t thread;
	struct rig r;

	(void)state;
	open_rig(&r);
	pthread_create(&thread, NULL, unmap_all, &relay);
	for (int i = 0; i < TURNS; i++) {
		int byte = 1 + i % 200;
		char *p = rig_map(LEN, byte);

		rig_check(&r, p, LEN, byte);
		while (relay.baton)
			sched_yield();
		relay.baton = p;
	}
	relay.end = true;
	pthread_join(thread, NULL);
	rig_close(&r);
}

/* --- memory that changes while another thread uses it --- */

#define SLOTS 8

struct arena {
	struct rig *rig;
	char *mem; /* SLOTS pieces of LEN bytes */
	pthread_mutex_t lock[SLOTS]; /* of a piece and its byte */
	int byte[SLOTS];
	atomic_bool end;
};

static void *change_slots(void *arg)
{
	struct arena *a = arg;

	for (int i = 0; !a->end; i++) {
		int slot = i * 5 % SLOTS;
		char *p = a->mem + (size_t)slot * LEN;

		pthread_mutex_lock(&a->lock[slot]);
		if (i % 3)
			madvise(p, LEN, MADV_DONTNEED);
		else
			mmap(p, LEN, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		a->byte[slot] = 1 + i % 200;
		memset(p, a->byte[slot], LEN);
		pthread_mutex_unlock(&a->lock[slot]);
	}
	return NULL;
}

static void *check_slots(void *arg)
{
	struct arena *a = arg;

	for (int i = 0; i < TURNS; i++) {
		int slot = i * 3 % SLOTS;
		char *p = a->mem + (size_t)slot * LEN;

		pthread_mutex_lock(&a->lock[slot]);
		rig_check(a->rig, p + i % 7 * 4096, LEN / 2, a->byte[slot]);
		pthread_mutex_unlock(&a->lock[slot]);
	}
	return NULL;
}

static void dev_cache_get__while_another_changes(void **state)
{
	struct arena a = { .end = false };
	pthread_t changer, checker;
	struct rig r;

	(void)state;
	open_rig(&r);
	a.rig = &r;
	a.mem = rig_map(SLOTS * LEN, 0);
	for (int i = 0; i < SLOTS; i++)
		pthread_mutex_init(&a.lock[i], NULL);
	pthread_create(&changer, NULL, change_slots, &a);
	pthread_create(&checker, NULL, check_slots, &a);
	check_slots(&a);
	pthread_join(checker, NULL);
	a.end = true;
	pthread_join(changer, NULL);
	munmap(a.mem, SLOTS * LEN);
	rig_close(&r);
}

/* --- malloc() holds its locks while it gives memory back --- */

static void *use_malloc(void *arg)
{
	struct rig *r = arg;

	for (int i = 0; i < TURNS / 3; i++) {
		size_t len = (size_t)(1 + i % 17) * 30000;
		char *p = malloc(len);

		memset(p, 1 + i % 100, len);
		rig_check(r, p, len, 1 + i % 100);
		free(p);
	}
	return NULL;
}

static void dev_cache_get__malloc_that_trims(void **state)
{
	pthread_t thread[3];
	struct rig r;

	(void)state;
	mallopt(M_TRIM_THRESHOLD, 1);
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_ARENA_MAX, 2);
	open_rig(&r);
	for (size_t i = 0; i < u_array_size(thread); i++)
		pthread_create(&thread[i], NULL, use_malloc, &r);
	use_malloc(&r);
	for (size_t i = 0; i < u_array_size(thread); i++)
		pthread_join(thread[i], NULL);
	assert_true(rig_stats(&r).invalidations > 0);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			dev_cache_watch_settled__not_before_it_was_told),
		cmocka_unit_test(dev_cache_get__address_handed_on),
		cmocka_unit_test(dev_cache_get__while_another_changes),
		cmocka_unit_test(dev_cache_get__malloc_that_trims),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
