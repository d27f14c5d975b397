/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_bench.c - what a cached registration costs, and what it saves
 *
 * Gets and puts of 1 MiB. Registering pins the pages as a device does, by
 * io_uring(7); its cost is in the last rows, with that of mlock(2). The median
 * of all rounds is printed, the share of hits, and the ratio to pinning.
 *
 * usage: dev_cache_bench [ROUNDS]
 */
#include "dev/dev_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dev_cache_pin.h"
#include "util/u_base.h"
#include "util/u_time.h"

#define LEN ((size_t)1 << 20)
#define BUFFERS 64u
#define FEW 48u /* that a limited cache keeps */
#define ROUNDS_MAX 101
#define PINNED 5 /* index of the row that others are compared with */

static char *mem; /* BUFFERS pieces of LEN */

static int bench_reg(void *ctx, void *addr, size_t len, uint32_t access,
		     void **mr)
{
	struct pin *pin;
	int rc = pin_new(addr, len, &pin);

	(void)ctx;
	(void)access;
	if (rc == 0)
		*mr = pin;
	return rc;
}

static void bench_dereg(void *ctx, void *mr)
{
	(void)ctx;
	pin_free(mr);
}

static struct dev_cache *open_cache(size_t max_count,
				    enum dev_cache_monitor monitor)
{
	struct dev_cache_config config = {
		.reg = bench_reg,
		.dereg = bench_dereg,
		.max_count = max_count,
		.monitor = monitor,
	};
	struct dev_cache *cache;

	if (dev_cache_open(&config, &cache))
		exit(1);
	return cache;
}

static void use(struct dev_cache *cache, const void *addr)
{
	struct dev_cache_entry *e;
	int rc = dev_cache_get(cache, addr, LEN, 0, &e);

	if (rc) {
		fprintf(stderr, "cannot register 1 MiB: %s\n", strerror(-rc));
		exit(1);
	}
	dev_cache_put(cache, e);
}

/* The buffer of turn i: each in its turn, or without order. */
static char *in_turn(unsigned int i)
{
	return mem + (size_t)(i % BUFFERS) * LEN;
}

static char *at_random(unsigned int i)
{
	return mem + (size_t)(i * 2654435761u >> 26) % BUFFERS * LEN;
}

static char *always_one(unsigned int i)
{
	(void)i;
	return mem;
}

struct row {
	const char *name;
	char *(*buffer)(unsigned int i);
	unsigned int turns;
	size_t max_count;
	enum { CACHED, UNCACHED, CHANGED, PIN, MLOCK } kind;
};

static const struct row rows[] = {
	{ "same buffer", always_one, 100000, 0, CACHED },
	{ "64 buffers, at random", at_random, 100000, 0, CACHED },
	{ "64 buffers in turn, room for 48", in_turn, 256, FEW, CACHED },
	{ "64 at random, room for 48", at_random, 256, FEW, CACHED },
	{ "unmapped and mapped each time", always_one, 256, 0, CHANGED },
	{ "pin and unpin", always_one, 256, 0, PIN },
	{ "no cache", always_one, 256, 0, UNCACHED },
	{ "mlock and munlock", always_one, 256, 0, MLOCK },
};

static void remap(char *p)
{
	munmap(p, LEN);
	mmap(p, LEN, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
}

static void turn(const struct row *row, struct dev_cache *cache, char *p)
{
	void *pin;

	switch (row->kind) {
	case CHANGED:
		remap(p);
		use(cache, p);
		break;
	case CACHED:
	case UNCACHED:
		use(cache, p);
		break;
	case PIN:
		if (bench_reg(NULL, p, LEN, 0, &pin) == 0)
			bench_dereg(NULL, pin);
		break;
	case MLOCK:
		if (mlock(p, LEN) == 0)
			munlock(p, LEN);
		break;
	}
}

/* Nanoseconds a turn; and in percent how many found a registration. */
static double run(const struct row *row, double *hits)
{
	struct dev_cache *cache = open_cache(
		row->max_count,
		row->kind == UNCACHED ? DEV_CACHE_NO_MONITOR : DEV_CACHE_UFFD);
	const struct dev_cache_stats *stats = dev_cache_stats(cache);
	uint64_t t, before;

	for (unsigned int i = 0; i < 2 * BUFFERS; i++)
		turn(row, cache, row->buffer(i));
	before = stats->hits;
	t = u_now();
	for (unsigned int i = 0; i < row->turns; i++)
		turn(row, cache, row->buffer(i));
	t = u_now() - t;
	*hits = 100.0 * (double)(stats->hits - before) / row->turns;
	dev_cache_close(cache);
	return (double)t / row->turns;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static double ns[u_array_size(rows)][ROUNDS_MAX];
	double hits[u_array_size(rows)];
	int rounds = argc > 1 ? atoi(argv[1]) : 5;

	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: dev_cache_bench [ROUNDS]\n");
		return 2;
	}
	mem = mmap(NULL, BUFFERS * LEN, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (mem == MAP_FAILED)
		return 1;
	for (int r = 0; r < rounds; r++)
		for (size_t i = 0; i < u_array_size(rows); i++)
			ns[i][r] = run(&rows[i], &hits[i]);
	printf("%-34s %10s %7s %8s\n", "1 MiB", "ns", "hits %", "pinning");
	for (size_t i = 0; i < u_array_size(rows); i++)
		qsort(ns[i], (size_t)rounds, sizeof(double), by_size);
	for (size_t i = 0; i < u_array_size(rows); i++)
		printf("%-34s %10.0f %7.1f %8.3f\n", rows[i].name,
		       ns[i][rounds / 2], hits[i],
		       ns[i][rounds / 2] / ns[PINNED][rounds / 2]);
	return 0;
}
