/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_test.c - what is found again, what is kept, what is given up
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dev_cache_fixture.h"
#include "util/u_base.h"
#include "util/u_log.h"

#define PAGES 64

/* PAGES pages of memory under a cache without limits. */
struct set {
	struct rig rig;
	char *mem;
};

static void open_set(struct set *s, size_t max_count, size_t max_pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	rig_open(&s->rig, max_count, max_pages * page, DEV_CACHE_UFFD);
	rig_needs_monitor(&s->rig);
	s->mem = rig_map(PAGES * page, 1);
}

static void close_set(struct set *s)
{
	munmap(s->mem, PAGES * s->rig.page);
	rig_close(&s->rig);
}

/* Pages [first, first + n): was it a hit? */
static bool touch(struct set *s, size_t first, size_t n)
{
	return rig_touch(&s->rig, s->mem + first * s->rig.page,
			 n * s->rig.page);
}

static void dev_cache_get__finds_it_again(void **state)
{
	struct set s;

	(void)state;
	open_set(&s, 0, 0);
	assert_false(touch(&s, 0, 4));
	assert_true(touch(&s, 0, 4));
	assert_int_equal(s.rig.regs, 1);
	assert_int_equal(rig_stats(&s.rig).misses, 1);
	assert_int_equal(rig_stats(&s.rig).unkept, 0);
	assert_int_equal(rig_stats(&s.rig).count, 1);
	assert_int_equal(rig_stats(&s.rig).bytes, 4 * s.rig.page);
	close_set(&s);
}

static void dev_cache_get__covers_what_lies_inside(void **state)
{
	struct set s;

	(void)state;
	open_set(&s, 0, 0);
	touch(&s, 0, 8);
	assert_true(touch(&s, 0, 1));
	assert_true(touch(&s, 3, 2));
	assert_true(touch(&s, 7, 1));
	assert_false(touch(&s, 7, 2));
	assert_false(touch(&s, 9, 1));
	close_set(&s);
}

static void dev_cache_get__widens_to_pages(void **state)
{
	struct set s;

	(void)state;
	open_set(&s, 0, 0);
	assert_false(rig_touch(&s.rig, s.mem + s.rig.page + 10, 5));
	assert_int_equal(rig_stats(&s.rig).bytes, s.rig.page);
	assert_true(touch(&s, 1, 1));
	assert_false(rig_touch(&s.rig, s.mem + s.rig.page - 1, 2));
	assert_int_equal(rig_stats(&s.rig).bytes, 2 * s.rig.page);
	close_set(&s);
}

static void dev_cache_get__larger_replaces_what_it_covers(void **state)
{
	struct set s;

	(void)state;
	open_set(&s, 0, 0);
	touch(&s, 1, 1);
	touch(&s, 3, 2);
	touch(&s, 10, 1);
	assert_false(touch(&s, 1, 5));
	assert_int_equal(rig_stats(&s.rig).count, 2);
	assert_int_equal(s.rig.live, 2);
	assert_true(touch(&s, 3, 2));
	close_set(&s);
}

static void dev_cache_get__overlapping_ones_live_together(void **state)
{
	struct set s;

	(void)state;
	open_set(&s, 0, 0);
	touch(&s, 0, 4);
	touch(&s, 2, 4);
	touch(&s, 3, 6);
	assert_int_equal(rig_stats(&s.rig).count, 3);
	assert_true(touch(&s, 0, 4));
	assert_true(touch(&s, 2, 4));
	assert_true(touch(&s, 1, 3));
	assert_true(touch(&s, 4, 5));
	assert_false(touch(&s, 1, 5));
	close_set(&s);
}

static void dev_cache_get__more_access_registers_again(void **state)
{
	struct dev_cache_entry *e;
	struct set s;

	(void)state;
	open_set(&s, 0, 0);
	touch(&s, 0, 4);
	assert_int_equal(dev_cache_get(s.rig.cache, s.mem, 1, 2, &e), 0);
	assert_int_equal(s.rig.access, 2);
	assert_int_equal(e->len, 4 * s.rig.page);
	dev_cache_put(s.rig.cache, e);
	assert_int_equal(s.rig.live, 1);
	assert_int_equal(dev_cache_get(s.rig.cache, s.mem, 1, 4, &e), 0);
	assert_int_equal(s.rig.access, 6);
	dev_cache_put(s.rig.cache, e);
	assert_true(touch(&s, 1, 2));
	close_set(&s);
}

static void dev_cache_get__bad_ranges(void **state)
{
	struct dev_cache_entry *e;
	struct set s;

	(void)state;
	open_set(&s, 0, 0);
	assert_int_equal(dev_cache_get(s.rig.cache, s.mem, 0, 0, &e), -EINVAL);
	assert_int_equal(dev_cache_get(s.rig.cache, s.mem, SIZE_MAX, 0, &e),
			 -EINVAL);
	assert_int_equal(dev_cache_get(s.rig.cache, (void *)UINTPTR_MAX, 1, 0,
				       &e),
			 -EINVAL);
	s.rig.fail = -EFAULT;
	assert_int_equal(dev_cache_get(s.rig.cache, s.mem, 1, 0, &e), -EFAULT);
	assert_int_equal(rig_stats(&s.rig).count, 0);
	close_set(&s);
}

static void dev_cache_put__the_last_makes_it_idle(void **state)
{
	struct dev_cache_entry *a, *b;
	struct set s;

	(void)state;
	open_set(&s, 0, 0);
	a = rig_get(&s.rig, s.mem, 1);
	b = rig_get(&s.rig, s.mem, 1);
	assert_ptr_equal(a, b);
	dev_cache_put(s.rig.cache, a);
	dev_cache_flush(s.rig.cache);
	assert_int_equal(s.rig.live, 1);
	dev_cache_put(s.rig.cache, b);
	assert_int_equal(s.rig.live, 1);
	dev_cache_flush(s.rig.cache);
	assert_int_equal(s.rig.live, 0);
	close_set(&s);
}

static void dev_cache_revoke__nobody_finds_it(void **state)
{
	struct dev_cache_entry *a, *b;
	struct set s;

	(void)state;
	open_set(&s, 0, 0);
	dev_cache_revoke(s.rig.cache, rig_get(&s.rig, s.mem, 1));
	assert_int_equal(s.rig.live, 0);
	a = rig_get(&s.rig, s.mem, 1);
	b = rig_get(&s.rig, s.mem, 1);
	dev_cache_revoke(s.rig.cache, a);
	assert_int_equal(s.rig.live, 1);
	assert_false(touch(&s, 0, 1));
	assert_int_equal(s.rig.live, 2);
	/* Revoked before, or put: the last one ends it. */
	dev_cache_revoke(s.rig.cache, b);
	assert_int_equal(s.rig.live, 1);
	assert_true(touch(&s, 0, 1));
	assert_int_equal(rig_stats(&s.rig).invalidations, 2);
	close_set(&s);
}

static void dev_cache_put__replaced_while_held_goes_then(void **state)
{
	struct dev_cache_entry *e;
	struct set s;

	(void)state;
	open_set(&s, 0, 0);
	e = rig_get(&s.rig, s.mem, 1);
	touch(&s, 0, 4);
	assert_int_equal(s.rig.live, 2);
	rig_expect(e, s.mem, 1);
	dev_cache_put(s.rig.cache, e);
	assert_int_equal(s.rig.live, 1);
	close_set(&s);
}

static void dev_cache_get__evicts_by_count(void **state)
{
	struct set s;

	(void)state;
	open_set(&s, 3, 0);
	touch(&s, 0, 1);
	touch(&s, 2, 1);
	touch(&s, 4, 1);
	touch(&s, 0, 1);
	touch(&s, 6, 1);
	assert_int_equal(s.rig.live, 3);
	assert_int_equal(rig_stats(&s.rig).evictions, 1);
	assert_true(touch(&s, 0, 1));
	assert_false(touch(&s, 2, 1));
	close_set(&s);
}

static void dev_cache_get__evicts_by_bytes(void **state)
{
	struct set s;

	(void)state;
	open_set(&s, 0, 8);
	touch(&s, 0, 3);
	touch(&s, 4, 3);
	touch(&s, 8, 5);
	assert_int_equal(rig_stats(&s.rig).bytes, 8 * s.rig.page);
	assert_true(touch(&s, 4, 3));
	assert_false(touch(&s, 20, 9));
	assert_int_equal(rig_stats(&s.rig).unkept, 1);
	assert_int_equal(s.rig.live, 2);
	close_set(&s);
}

static void dev_cache_get__what_is_held_is_not_evicted(void **state)
{
	struct dev_cache_entry *e;
	struct set s;

	(void)state;
	open_set(&s, 1, 0);
	e = rig_get(&s.rig, s.mem, 1);
	assert_false(touch(&s, 2, 1));
	assert_int_equal(rig_stats(&s.rig).unkept, 1);
	assert_int_equal(s.rig.live, 1);
	rig_expect(e, s.mem, 1);
	dev_cache_put(s.rig.cache, e);
	close_set(&s);
}

static void dev_cache_get__no_memory_evicts_and_tries_again(void **state)
{
	struct dev_cache_entry *e;
	struct set s;

	(void)state;
	open_set(&s, 0, 0);
	s.rig.room = 8 * s.rig.page;
	for (size_t i = 0; i < 8; i++)
		touch(&s, 2 * i, 1);
	assert_int_equal(s.rig.live, 8);
	assert_false(touch(&s, 20, 3));
	assert_int_equal(s.rig.live, 6);
	e = rig_get(&s.rig, s.mem + 20 * s.rig.page, 1);
	s.rig.room = s.rig.page;
	assert_int_equal(dev_cache_get(s.rig.cache, s.mem, 1, 0,
				       &(struct dev_cache_entry *){ NULL }),
			 -ENOMEM);
	assert_int_equal(s.rig.live, 1);
	dev_cache_put(s.rig.cache, e);
	close_set(&s);
}

static void dev_cache_open__without_monitor_keeps_nothing(void **state)
{
	struct dev_cache_entry *e;
	struct rig r;
	char *mem;

	(void)state;
	rig_open(&r, 0, 0, DEV_CACHE_NO_MONITOR);
	assert_false(dev_cache_keeps(r.cache));
	mem = rig_map(r.page, 1);
	assert_false(rig_touch(&r, mem, 100));
	assert_int_equal(r.live, 0);
	e = rig_get(&r, mem + 1, 100);
	assert_int_equal(e->addr, (uintptr_t)mem + 1);
	assert_int_equal(e->len, 100);
	dev_cache_put(r.cache, e);
	assert_int_equal(rig_stats(&r).unkept, 2);
	munmap(mem, r.page);
	rig_close(&r);
}

static void dev_cache_open__two_share_the_memory(void **state)
{
	struct set a;
	struct rig b;

	(void)state;
	open_set(&a, 0, 0);
	rig_open(&b, 0, 0, DEV_CACHE_UFFD);
	touch(&a, 0, 4);
	assert_false(rig_touch(&b, a.mem, 4));
	assert_true(rig_touch(&b, a.mem, 4));
	madvise(a.mem, a.rig.page, MADV_DONTNEED);
	assert_false(touch(&a, 0, 4));
	assert_false(rig_touch(&b, a.mem, 4));
	rig_close(&b);
	assert_true(touch(&a, 0, 4));
	close_set(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dev_cache_get__finds_it_again),
		cmocka_unit_test(dev_cache_get__covers_what_lies_inside),
		cmocka_unit_test(dev_cache_get__widens_to_pages),
		cmocka_unit_test(dev_cache_get__larger_replaces_what_it_covers),
		cmocka_unit_test(dev_cache_get__overlapping_ones_live_together),
		cmocka_unit_test(dev_cache_get__more_access_registers_again),
		cmocka_unit_test(dev_cache_get__bad_ranges),
		cmocka_unit_test(dev_cache_put__the_last_makes_it_idle),
		cmocka_unit_test(dev_cache_revoke__nobody_finds_it),
		cmocka_unit_test(dev_cache_put__replaced_while_held_goes_then),
		cmocka_unit_test(dev_cache_get__evicts_by_count),
		cmocka_unit_test(dev_cache_get__evicts_by_bytes),
		cmocka_unit_test(dev_cache_get__what_is_held_is_not_evicted),
		cmocka_unit_test(
			dev_cache_get__no_memory_evicts_and_tries_again),
		cmocka_unit_test(dev_cache_open__without_monitor_keeps_nothing),
		cmocka_unit_test(dev_cache_open__two_share_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
