/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_watch_test.c - memory that changes under what the cache keeps
 *
 * Each test changes the pages behind an address, writes other bytes there, and
 * asks the device what it sees.
 */
#include "dev_cache_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/sanitized.h"
#include "util/u_base.h"
#include "util/u_log.h"

#define OLD 1
#define NEW 2

static void open_rig(struct rig *r)
{
	rig_open(r, 0, 0, DEV_CACHE_UFFD);
	rig_needs_monitor(r);
}

/* With 16 pages that were registered and are kept. */
static char *open_kept(struct rig *r, size_t *len)
{
	char *p;

	open_rig(r);
	*len = 16 * r->page;
	p = rig_map(*len, OLD);
	rig_check(r, p, *len, OLD);
	return p;
}

static void close_mapped(struct rig *r, char *p, size_t len)
{
	munmap(p, len);
	rig_close(r);
}

/* Nothing was found, and the device sees what was written last. */
static void expect_other(struct rig *r, char *p, size_t len)
{
	uint64_t hits = rig_stats(r).hits;

	rig_check(r, p, len, NEW);
	assert_int_equal(rig_stats(r).hits, hits);
}

static void dev_cache_get__after_unmap_and_map(void **state)
{
	struct rig r;
	size_t len;
	char *p, *q;

	(void)state;
	p = open_kept(&r, &len);
	munmap(p, len);
	assert_int_equal(rig_stats(&r).count, 0);
	q = mmap(p, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_ptr_equal(p, q);
	memset(p, NEW, len);
	expect_other(&r, p, len);
	close_mapped(&r, p, len);
}

static void dev_cache_get__after_map_over_a_part(void **state)
{
	struct rig r;
	size_t len;
	char *p;

	(void)state;
	p = open_kept(&r, &len);
	mmap(p + 5 * r.page, r.page, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	p[5 * r.page] = NEW;
	assert_int_equal(rig_stats(&r).invalidations, 1);
	expect_other(&r, p + 5 * r.page, 1);
	rig_check(&r, p, len, OLD);
	close_mapped(&r, p, len);
}

static void discard(int advice)
{
	struct rig r;
	size_t len;
	char *p;

	p = open_kept(&r, &len);
	assert_int_equal(madvise(p + r.page, r.page, advice), 0);
	p[r.page] = NEW;
	assert_int_equal(rig_stats(&r).invalidations, 1);
	expect_other(&r, p + r.page, len - r.page);
	close_mapped(&r, p, len);
}

static void dev_cache_get__after_madv_dontneed(void **state)
{
	(void)state;
	discard(MADV_DONTNEED);
}

static void dev_cache_get__after_madv_free(void **state)
{
	(void)state;
	discard(MADV_FREE);
}

static void dev_cache_get__after_mremap(void **state)
{
	struct rig r;
	size_t len;
	char *p, *q, *to;

	(void)state;
	open_rig(&r);
	len = 16 * r.page;
	p = rig_map(len, OLD);
	to = rig_map(2 * len, OLD);
	rig_check(&r, p, len, OLD);
	rig_check(&r, to, len, OLD);
	memset(p, NEW, len);
	q = mremap(p, len, 2 * len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	assert_ptr_equal(q, to);
	assert_int_equal(rig_stats(&r).count, 0);
	expect_other(&r, q, 1);
	/* The next inhabitant of where it came from. */
	p = mmap(p, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(p, NEW, len);
	expect_other(&r, p, len);
	munmap(p, len);
	munmap(q, 2 * len);
	rig_close(&r);
}

static void dev_cache_get__after_mremap_shrinks(void **state)
{
	struct rig r;
	size_t len;
	char *p;

	(void)state;
	p = open_kept(&r, &len);
	assert_ptr_equal(mremap(p, len, len / 2, 0), p);
	assert_int_equal(rig_stats(&r).count, 0);
	munmap(p, len / 2);
	rig_close(&r);
}

static void dev_cache_get__after_the_heap_shrinks(void **state)
{
	struct rig r;
	size_t len;
	char *p;

	(void)state;
	open_rig(&r);
	len = 16 * r.page;
	p = sbrk((intptr_t)len);
	memset(p, OLD, len);
	rig_check(&r, p, len, OLD);
	sbrk(-(intptr_t)len);
	assert_int_equal(rig_stats(&r).count, 0);
	assert_ptr_equal(sbrk((intptr_t)len), p);
	memset(p, NEW, len);
	expect_other(&r, p, len);
	sbrk(-(intptr_t)len);
	rig_close(&r);
}

static void dev_cache_put__what_changed_while_held(void **state)
{
	struct dev_cache_entry *e;
	struct rig r;
	size_t len;
	char *p;

	(void)state;
	open_rig(&r);
	len = 16 * r.page;
	p = rig_map(len, OLD);
	e = rig_get(&r, p, len);
	madvise(p, len, MADV_DONTNEED);
	memset(p, NEW, len);
	assert_int_equal(rig_stats(&r).count, 0);
	assert_int_equal(r.live, 1);
	expect_other(&r, p, len);
	rig_expect(e, p, OLD);
	dev_cache_put(r.cache, e);
	assert_int_equal(r.live, 1);
	close_mapped(&r, p, len);
}

static void dev_cache_reap__what_changed_while_idle(void **state)
{
	struct rig r;
	char *p;

	(void)state;
	open_rig(&r);
	p = rig_map(r.page, OLD);
	rig_check(&r, p, r.page, OLD);
	munmap(p, r.page);
	assert_int_equal(rig_stats(&r).invalidations, 1);
	dev_cache_reap(r.cache);
	assert_int_equal(r.live, 0);
	rig_close(&r);
}

static char *during_at;

static void change_it(struct rig *r)
{
	madvise(during_at, r->page, MADV_DONTNEED);
	during_at[0] = NEW;
}

static void dev_cache_get__changed_while_it_registered(void **state)
{
	struct rig r;
	char *p;

	(void)state;
	open_rig(&r);
	p = during_at = rig_map(2 * r.page, OLD);
	r.during = change_it;
	rig_touch(&r, p, 2 * r.page);
	assert_int_equal(rig_stats(&r).count, 0);
	assert_int_equal(rig_stats(&r).unkept, 1);
	expect_other(&r, p, 2 * r.page);
	munmap(p, 2 * r.page);
	rig_close(&r);
}

static void dev_cache_get__files_in_memory_are_not_kept(void **state)
{
	struct rig r;
	char *p;
	int fd;

	(void)state;
	open_rig(&r);
	fd = memfd_create("dev_cache", 0);
	assert_int_equal(ftruncate(fd, (off_t)r.page), 0);
	p = mmap(NULL, r.page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	p[0] = OLD;
	rig_check(&r, p, 1, OLD);
	/* No event tells of this. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, (off_t)r.page), 0);
	p[0] = NEW;
	expect_other(&r, p, 1);
	munmap(p, r.page);
	close(fd);
	rig_close(&r);
}

static void dev_cache_get__segments_are_not_kept(void **state)
{
	struct rig r;
	char *p;
	int id;

	(void)state;
	open_rig(&r);
	id = shmget(IPC_PRIVATE, r.page, IPC_CREAT | 0600);
	p = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	assert_false(rig_touch(&r, p, 1));
	assert_false(rig_touch(&r, p, 1));
	assert_int_equal(rig_stats(&r).count, 0);
	shmdt(p);
	rig_close(&r);
}

static void dev_cache_get__shared_memory_without_a_name_is(void **state)
{
	struct rig r;
	char *p;

	(void)state;
	open_rig(&r);
	p = mmap(NULL, r.page, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	p[0] = OLD;
	rig_check(&r, p, 1, OLD);
	rig_check(&r, p, 1, OLD);
	if (rig_stats(&r).hits == 0)
		print_message("this kernel watches private memory only\n");
	madvise(p, r.page, MADV_REMOVE);
	p[0] = NEW;
	expect_other(&r, p, 1);
	close_mapped(&r, p, r.page);
}

/* --- what is rare --- */

/* As programs do that close all descriptors which they do not know. */
static void close_userfaultfd(void)
{
	char name[64], target[64];

	for (int fd = 3; fd < 256; fd++) {
		ssize_t n;

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = 0;
		if (strcmp(target, "anon_inode:[userfaultfd]") == 0)
			close(fd);
	}
}

static void dev_cache_get__without_its_descriptor(void **state)
{
	struct rig r;
	size_t len;
	char *p;

	(void)state;
	p = open_kept(&r, &len);
	close_userfaultfd();
	assert_false(rig_touch(&r, p, len));
	/* The monitor wakes, finds no descriptor, and lets this go on. */
	madvise(p, len, MADV_DONTNEED);
	memset(p, NEW, len);
	expect_other(&r, p, len);
	close_mapped(&r, p, len);
	p = open_kept(&r, &len);
	assert_true(rig_touch(&r, p, len));
	close_mapped(&r, p, len);
}

static void dev_cache_get__huge_pages(void **state)
{
	size_t len = (size_t)2 << 20;
	struct rig r;
	char *p;

	(void)state;
	open_rig(&r);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (p == MAP_FAILED) {
		print_message("no huge pages here: skipped\n");
		rig_close(&r);
		skip();
	}
	memset(p, OLD, len);
	rig_check(&r, p + r.page, r.page, OLD);
	rig_check(&r, p + r.page, r.page, OLD);
	if (rig_stats(&r).hits == 0)
		print_message("this kernel watches no huge pages\n");
	madvise(p, len, MADV_DONTNEED);
	memset(p, NEW, len);
	expect_other(&r, p + r.page, r.page);
	close_mapped(&r, p, len);
}

/* --- fork --- */

static int wait_for(pid_t child)
{
	int status = -1;

	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What a child does with the cache of its parent; the line that fails, or 0. */
static int use_as_child(struct rig *r, struct dev_cache_entry *held, char *p,
			size_t len)
{
	struct dev_cache_entry *e;
	struct rig own;

	if (dev_cache_get(r->cache, p, len, 0, &e) != -ECHILD)
		return __LINE__;
	dev_cache_put(r->cache, held);
	dev_cache_flush(r->cache);
	dev_cache_close(r->cache);
	if (r->live != 1)
		return __LINE__;
	/* Nobody would answer if this waited. */
	madvise(p, len, MADV_DONTNEED);
	munmap(p + len / 2, len / 2);
	if (SANITIZED_THREAD) /* ends a child of threads that starts one */
		return 0;
	rig_open(&own, 0, 0, DEV_CACHE_UFFD);
	p[0] = OLD;
	if (rig_touch(&own, p, 1) || !rig_touch(&own, p, 1))
		return __LINE__;
	munmap(p, len / 2);
	if (rig_stats(&own).count)
		return __LINE__;
	rig_close(&own);
	return 0;
}

static void dev_cache__a_child_has_none(void **state)
{
	struct dev_cache_entry *e;
	struct rig r;
	size_t len;
	pid_t child;
	int line;
	char *p;

	(void)state;
	open_rig(&r);
	len = 16 * r.page;
	p = rig_map(len, OLD);
	e = rig_get(&r, p, len);
	child = fork();
	if (child == 0)
		_exit(use_as_child(&r, e, p, len) & 255);
	line = wait_for(child);
	if (line)
		print_message("the child failed in line 256 n + %d, or by a "
			      "signal: -1\n",
			      line);
	assert_int_equal(line, 0);
	assert_int_equal(rig_stats(&r).count, 1);
	dev_cache_put(r.cache, e);
	assert_true(rig_touch(&r, p, len));
	close_mapped(&r, p, len);
}

static void dev_cache__a_parent_keeps_its_own(void **state)
{
	struct rig r;
	int go[2];
	pid_t child;
	char *p, byte;

	(void)state;
	open_rig(&r);
	p = rig_map(r.page, OLD);
	rig_check(&r, p, 1, OLD);
	assert_int_equal(pipe(go), 0);
	child = fork();
	if (child == 0) {
		close(go[1]);
		_exit(read(go[0], &byte, 1) != 0);
	}
	/* The page is shared with the child until one of the two writes. */
	p[0] = NEW;
	assert_true(rig_touch(&r, p, 1));
	rig_check(&r, p, 1, NEW);
	madvise(p, r.page, MADV_DONTNEED);
	p[0] = NEW;
	expect_other(&r, p, 1);
	close(go[1]);
	assert_int_equal(wait_for(child), 0);
	close(go[0]);
	close_mapped(&r, p, r.page);
}

static void dev_cache_close__while_a_child_lives(void **state)
{
	struct rig r;
	int go[2];
	pid_t child;
	char *p, byte;

	(void)state;
	open_rig(&r);
	p = rig_map(2 * r.page, OLD);
	rig_check(&r, p, 1, OLD);
	assert_int_equal(pipe(go), 0);
	child = fork();
	if (child == 0) {
		close(go[1]);
		_exit(read(go[0], &byte, 1) != 0);
	}
	rig_close(&r);
	/* Nobody reads events any more. */
	munmap(p, r.page);
	rig_open(&r, 0, 0, DEV_CACHE_UFFD);
	assert_false(rig_touch(&r, p + r.page, 1));
	assert_true(rig_touch(&r, p + r.page, 1));
	close(go[1]);
	assert_int_equal(wait_for(child), 0);
	close(go[0]);
	munmap(p + r.page, r.page);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dev_cache_get__after_unmap_and_map),
		cmocka_unit_test(dev_cache_get__after_map_over_a_part),
		cmocka_unit_test(dev_cache_get__after_madv_dontneed),
		cmocka_unit_test(dev_cache_get__after_madv_free),
		cmocka_unit_test(dev_cache_get__after_mremap),
		cmocka_unit_test(dev_cache_get__after_mremap_shrinks),
		cmocka_unit_test(dev_cache_get__after_the_heap_shrinks),
		cmocka_unit_test(dev_cache_put__what_changed_while_held),
		cmocka_unit_test(dev_cache_reap__what_changed_while_idle),
		cmocka_unit_test(dev_cache_get__changed_while_it_registered),
		cmocka_unit_test(dev_cache_get__files_in_memory_are_not_kept),
		cmocka_unit_test(dev_cache_get__segments_are_not_kept),
		cmocka_unit_test(
			dev_cache_get__shared_memory_without_a_name_is),
		cmocka_unit_test(dev_cache_get__without_its_descriptor),
		cmocka_unit_test(dev_cache_get__huge_pages),
		cmocka_unit_test(dev_cache__a_child_has_none),
		cmocka_unit_test(dev_cache__a_parent_keeps_its_own),
		cmocka_unit_test(dev_cache_close__while_a_child_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
