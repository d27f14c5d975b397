/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_watch.h - the endpoints that a queue or counter drives, and how to wait
 * for them
 */
#ifndef EFA_WATCH_H
#define EFA_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/u_lock.h"

struct efa_ep;

struct efa_watch {
	struct u_lock lock; /* of the list */
	struct efa_ep **ep; /* [n]: the enabled endpoints */
	size_t n, room;
	int epoll; /* event and the fds of all endpoints; -1: none */
	int event; /* eventfd; -1: none */
	_Atomic bool blind; /* an endpoint has no fd: sleep in short slices */
	_Atomic bool signaled; /* fi_cq_signal came */
};

/* wait_fd: there is something to sleep on. 0 or -errno. */
int efa_watch_init(struct efa_watch *watch, bool locked, bool wait_fd);
void efa_watch_fini(struct efa_watch *watch);
/* Adding twice is the same as once. 0 or -errno. */
int efa_watch_add(struct efa_watch *watch, struct efa_ep *ep);
void efa_watch_remove(struct efa_watch *watch, struct efa_ep *ep);
/* Arms all endpoints. True: some have work, or packets that wait. */
bool efa_watch_arm(struct efa_watch *watch);
/*
 * Until something may have happened, at most ms milliseconds; negative: for
 * ever. False: the time is over.
 */
bool efa_watch_sleep(struct efa_watch *watch, int ms);
/* Changes when the endpoints have handled what came; thin ones do not tell. */
uint64_t efa_watch_bursts(struct efa_watch *watch);
bool efa_watch_is_empty(struct efa_watch *watch);
/* Whether all are armed still. Thin endpoints do not tell: they are not. */
bool efa_watch_is_armed(struct efa_watch *watch);
/* Wakes sleepers; the next one does not sleep. */
void efa_watch_signal(struct efa_watch *watch);

/* How a waiter polls, then naps, then sleeps, until a deadline. */
struct efa_nap {
	uint64_t start, deadline; /* u_now(); deadline UINT64_MAX: none */
	unsigned int turns;
	bool busy; /* last time an endpoint would not be armed */
};

/* timeout: milliseconds; negative: for ever. */
void efa_nap_begin(struct efa_nap *nap, int timeout);
/*
 * One turn of waiting after nothing was found. arm: NULL, or the queue's own
 * way to say that an entry arrived meanwhile (false). False: time is over, or
 * efa_watch_signal() was called.
 */
bool efa_nap_turn(struct efa_nap *nap, struct efa_watch *watch,
		  bool (*arm)(void *arg), void *arg);

#endif
