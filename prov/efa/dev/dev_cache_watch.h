/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_watch.h - the monitor: who changes the memory that caches hold
 *
 * One for all caches of the process, as the kernel lets a piece of memory have
 * one userfaultfd only. It starts with the first cache and ends with the last.
 *
 *   thread that calls munmap(X)           the monitor's thread
 *     kernel: X is gone                      |
 *     kernel: event, sleep  - - - - - - - -> poll: readable
 *            :                               lock dev_cache_watch_lock
 *     munmap returns       <- - - - - - - -  read: the kernel wakes the caller
 *     dev_cache_get(X)                       changed(): X leaves the trees
 *       waits for the lock                   unlock
 *       misses: right
 *
 * The kernel wakes the caller when the event is read, not when it was dealt
 * with; so the lock is taken before the read (I1). Another thread can be given
 * X by mmap before the event is even queued: dev_cache_watch_settled() knows.
 *
 * I2: who holds the lock makes no call that can wait for the monitor: no
 * malloc(), no free(), no unmapping, no registration, no log line. The caller
 * of munmap may hold a lock of malloc() while it waits for the monitor, so the
 * monitor's thread never allocates or frees at all.
 */
#ifndef DEV_CACHE_WATCH_H
#define DEV_CACHE_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "util/u_lock.h"

/* Guards the trees of all caches. */
extern struct u_lock dev_cache_watch_lock;

struct dev_cache_watcher {
	/* [lo, hi) is other memory now; called with the lock held. */
	void (*changed)(struct dev_cache_watcher *w, uint64_t lo, uint64_t hi);
	LIST_ENTRY(dev_cache_watcher) link;
};

/* Before the first of the calls below; any number of times. */
void dev_cache_watch_init(void);

/* 0, or why there is no monitor. Calls may come from now. */
int dev_cache_watch_join(struct dev_cache_watcher *w);
void dev_cache_watch_leave(struct dev_cache_watcher *w);

/*
 * From now on changes of [lo, hi), whole pages, are noticed. -EINVAL the kernel
 * watches no memory of this kind, -EBUSY somebody else watches it, -ENOMEM.
 */
int dev_cache_watch_add(uint64_t lo, uint64_t hi);

/*
 * True: what changed before this call has left the trees once the lock is had.
 * False: a change is under way and has not been told.
 */
bool dev_cache_watch_settled(void);

/* Another number in a child process than in its parent. */
unsigned int dev_cache_watch_process(void);

#endif
