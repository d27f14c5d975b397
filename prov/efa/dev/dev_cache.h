/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache.h - registrations of user memory, kept for the next time
 *
 * Registering pins pages and costs about as much as sending them. A cache
 * keeps a registration after its last use and finds it again for any range
 * that lies inside.
 *
 *   dev_cache_get(addr, len)
 *        |  hit                         munmap, mremap, madvise, ...
 *        v                                        |
 *   +---------+  last put   +------+              v
 *   | in use  | ----------> | idle | <--- monitor: what it says has changed
 *   +---------+ <---------- +------+      leaves the tree before the call
 *        |          get        |          that changed it returns
 *        |                     v
 *        +--- changed ---> deregistered, at the last put or the next call
 *             or revoked
 *
 * How to drive it
 *   dev_cache_open; dev_cache_get before an operation, its entry's mr for the
 *   work request, dev_cache_put after the completion; dev_cache_close when
 *   every entry was put.
 *
 * A registration refers to pages, not to addresses. So a cache has to know
 * when the pages behind an address are others, whoever changed them: it asks
 * the kernel (dev_cache_watch.h). Where the kernel does not tell, nothing is
 * kept: each get registers and its put deregisters.
 *
 * Fork: a child may not use the caches of its parent. There a get returns
 * -ECHILD, a put and a close do nothing. It may open its own.
 *
 * Threads: any, at the same time; open and close of one cache by one.
 */
#ifndef DEV_CACHE_H
#define DEV_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dev_cache;

enum dev_cache_monitor {
	DEV_CACHE_UFFD, /* userfaultfd(2) */
	DEV_CACHE_NO_MONITOR, /* keep nothing */
};

struct dev_cache_config {
	/*
	 * Registers [addr, addr + len) with the access bits of a get, whose
	 * meaning is the caller's: more bits permit more. 0 or -errno; -ENOMEM
	 * makes the cache give up idle registrations and try again. Called
	 * with no lock of the cache held, by the thread of a get.
	 */
	int (*reg)(void *ctx, void *addr, size_t len, uint32_t access,
		   void **mr);
	/* The same for the threads of get, put, flush, reap and close. */
	void (*dereg)(void *ctx, void *mr);
	void *ctx; /* the caller's, given to both */
	size_t max_count; /* registrations kept at most; 0: no limit */
	uint64_t max_bytes; /* bytes kept at most; 0: no limit */
	enum dev_cache_monitor monitor;
};

/* A registration that is held: the caller's from get to put; const. */
struct dev_cache_entry {
	uint64_t addr; /* first byte that mr covers */
	uint64_t len; /* bytes that it covers */
	void *mr; /* what reg() made */
};

/* Since open, but for count and bytes. */
struct dev_cache_stats {
	uint64_t hits; /* gets that found a registration */
	uint64_t misses; /* gets that registered */
	uint64_t unkept; /* of these: not kept, since the memory cannot be
			    watched, was changing, or is over the limits */
	uint64_t evictions; /* idle ones that were given up for room, or by
			       dev_cache_flush */
	uint64_t invalidations; /* those whose memory changed, or revoked */
	uint64_t count; /* registrations kept at this moment, in use or idle */
	uint64_t bytes; /* that they cover */
};

/*
 * config is copied. 0 or -ENOMEM. Where there is no monitor, it opens all the
 * same, and the first in a process says so in the log.
 */
int dev_cache_open(const struct dev_cache_config *config,
		   struct dev_cache **cache);

/* Every entry must have been put. */
void dev_cache_close(struct dev_cache *cache);

/*
 * A registration that covers [addr, addr + len) and permits access. -EINVAL no
 * bytes, or the range wraps; -ECHILD the cache belongs to the parent process;
 * else what reg() said.
 */
int dev_cache_get(struct dev_cache *cache, const void *addr, size_t len,
		  uint32_t access, struct dev_cache_entry **entry);
void dev_cache_put(struct dev_cache *cache, struct dev_cache_entry *entry);

/*
 * A put after which no get finds the registration any more: it is deregistered
 * by now, or by the last put of those who hold it besides.
 */
void dev_cache_revoke(struct dev_cache *cache, struct dev_cache_entry *entry);

/* Deregisters all that nobody holds. */
void dev_cache_flush(struct dev_cache *cache);

/*
 * Deregisters what changed while nobody held it, which get and put do too.
 * Costs a load when there is none: for a loop that polls.
 */
void dev_cache_reap(struct dev_cache *cache);

/* Whether registrations are kept at all. */
bool dev_cache_keeps(const struct dev_cache *cache);

/* They go on counting while they are read: a figure may be a little late. */
const struct dev_cache_stats *dev_cache_stats(const struct dev_cache *cache);

#endif
