/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_priv.h - what a cache holds, for its two files: dev_cache_set.c
 * keeps the sets, dev_cache.c registers and deregisters
 *
 * I1 an entry is in the tree, on the list `making`, or on neither and then
 *    never found again. dev_cache_watch_lock guards sets, reference counts and
 *    statistics.
 * I2 reg(), dereg(), malloc() and free() are called without that lock
 *    (dev_cache_watch.h, I2). So entries that are done with are collected
 *    under it and buried after it was given up; those that the monitor takes
 *    away wait in `dead` for the next caller.
 * I3 memory is watched before it is registered, and an entry whose memory
 *    changes between the two and the tree does not get there.
 */
#ifndef DEV_CACHE_PRIV_H
#define DEV_CACHE_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "dev_cache.h"
#include "dev_cache_tree.h"
#include "dev_cache_watch.h"

enum cache_state {
	CACHE_MAKING, /* being registered */
	CACHE_KEPT, /* in the tree; on `idle` when refs is 0 */
	CACHE_LOOSE, /* in no set: deregistered at the last put */
};

struct cache_entry {
	struct dev_cache_entry out;
	struct dev_cache_node node; /* whole pages; unused when never kept */
	uint32_t access;
	uint32_t refs; /* gets without their put */
	enum cache_state state;
	TAILQ_ENTRY(cache_entry) link; /* idle, making, or to be buried */
};

TAILQ_HEAD(cache_list, cache_entry);

struct dev_cache {
	struct dev_cache_config config; /* const after open, as the next */
	unsigned int process; /* that opened it: dev_cache_watch_process() */
	uint64_t page; /* bytes */
	bool keeps; /* there is a monitor */
	struct dev_cache_watcher watcher;
	struct cache_entry *recent; /* found last, in the tree; NULL: none */
	struct dev_cache_tree tree;
	struct cache_list idle; /* used last first */
	struct cache_list making;
	struct cache_list dead; /* nobody holds them */
	atomic_bool burials; /* dead is not empty */
	struct dev_cache_stats stats;
};

/* All of these are called with the lock held. */

/* What is kept, covers [lo, hi) and permits access, or NULL. */
struct cache_entry *cache_find(struct dev_cache *c, uint64_t lo, uint64_t hi,
			       uint32_t access);

/* One more holds e, which is kept. */
void cache_hold(struct dev_cache *c, struct cache_entry *e);

/* One fewer; whom nobody holds and nobody can find goes to out. */
void cache_drop(struct dev_cache *c, struct cache_entry *e,
		struct cache_list *out);

/* The same, and nobody finds it any more. */
void cache_revoke(struct dev_cache *c, struct cache_entry *e,
		  struct cache_list *out);

/*
 * e is to be registered for [lo, hi), or for more: what covers that without
 * the access is made again as a whole, since no range may contain another.
 * False: it is not to be kept. Evicted entries go to out.
 */
bool cache_making(struct dev_cache *c, struct cache_entry *e, uint64_t lo,
		  uint64_t hi, uint32_t access, struct cache_list *out);

/* It was, or could not be. What it replaces goes to out. */
void cache_made(struct dev_cache *c, struct cache_entry *e, bool good,
		struct cache_list *out);

/* Gives up what was used longest ago; false: all are in use. */
bool cache_evict(struct dev_cache *c, struct cache_list *out);

void cache_take_dead(struct dev_cache *c, struct cache_list *out);

/* dev_cache_watcher.changed */
void cache_changed(struct dev_cache_watcher *w, uint64_t lo, uint64_t hi);

#endif
