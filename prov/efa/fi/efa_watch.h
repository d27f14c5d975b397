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

#include "util/u_base.h"
#include "util/u_crowd.h"
#include "util/u_lock.h"

struct efa_ep;

#define EFA_WATCH_SLEEPERS 8
#define EFA_WATCH_PATIENCE 256u /* polls in vain before others get a turn */

struct efa_watch {
	struct u_lock lock; /* of all up to `since` */
	struct efa_ep **ep; /* [n]: the enabled endpoints */
	size_t n, room;
	/* Threads that have leave to sleep on a counter; NULL: free. */
	const void *sleeper[EFA_WATCH_SLEEPERS];
	uint64_t since; /* u_now() of the first wait for them; 0: none */
	int epoll; /* event and the fds of all endpoints; -1: none */
	int event; /* eventfd; -1: none */
	_Atomic uint32_t vain; /* polls in a row that found nothing */
	_Atomic bool blind; /* an endpoint has no fd: sleep in short slices */
	_Atomic bool polled; /* somebody has had leave to sleep in poll(2) */
	_Atomic bool asleep; /* somebody has, and was not called since */
	_Atomic bool signaled; /* fi_cq_signal came while nobody waited */
	_Atomic uint32_t signals; /* that came while somebody did */
	_Atomic uint32_t waiting; /* threads between nap_begin and nap_end */
	_Atomic uint32_t inside; /* of these, in efa_watch_sleep */
};

/* A poll has found nothing, or something. */
static inline void efa_watch_note(struct efa_watch *watch, bool found)
{
	uint32_t vain = 0;

	if (!found)
		vain = 1 +
		       atomic_load_explicit(&watch->vain, memory_order_relaxed);
	atomic_store_explicit(&watch->vain, vain, memory_order_relaxed);
	if (u_unlikely(vain && vain % EFA_WATCH_PATIENCE == 0))
		u_crowd_make_room();
}

/* wait_fd: there is something to sleep on. 0 or -errno. */
int efa_watch_init(struct efa_watch *watch, bool locked, bool wait_fd);
void efa_watch_fini(struct efa_watch *watch);
/* Adding twice is the same as once. 0 or -errno. */
int efa_watch_add(struct efa_watch *watch, struct efa_ep *ep);
void efa_watch_remove(struct efa_watch *watch, struct efa_ep *ep);
/* Of all endpoints what one of them, locked, says. */
uint64_t efa_watch_sum(struct efa_watch *watch,
		       uint64_t (*of)(struct efa_ep *ep));
/* Arms all endpoints. True: some have work, or packets that wait. */
bool efa_watch_arm(struct efa_watch *watch);
/*
 * Until something may have happened, at most ms milliseconds; negative: for
 * ever. False: the time is over. Leaves the event as it is.
 */
bool efa_watch_sleep(struct efa_watch *watch, int ms);
/* Changes when the endpoints have handled what came; thin ones do not tell. */
uint64_t efa_watch_bursts(struct efa_watch *watch);
bool efa_watch_is_empty(struct efa_watch *watch);
/* Whether all are armed still. Thin endpoints do not tell: they are not. */
bool efa_watch_is_armed(struct efa_watch *watch);
/* Wakes all sleepers; when there are none, the next one does not sleep. */
void efa_watch_signal(struct efa_watch *watch);
/* Takes the event down. True: it was up. */
bool efa_watch_lower(struct efa_watch *watch);
/* May it not stay down yet? Asked by who has taken it down. */
bool efa_watch_is_awaited(struct efa_watch *watch);
/* The calling thread looks at the counter: it does not sleep on it. */
void efa_watch_back(struct efa_watch *watch);
void efa_watch_raise(struct efa_watch *watch);
/*
 * For who watches an endpoint that is not armed any more: wakes those who
 * sleep in poll(2).
 */
void efa_watch_call(struct efa_watch *watch);
/*
 * fi_trywait: drives the endpoints, and may the caller sleep in poll(2) then?
 * arm: as of efa_nap_turn; crowd: what wakes it is there for all who sleep, and
 * nobody takes it from the others. 0 or -FI_EAGAIN; -FI_EINVAL without a
 * descriptor.
 */
int efa_watch_try(struct efa_watch *watch, bool (*arm)(void *arg), void *arg,
		  bool crowd);

/* How a waiter polls, then naps, then sleeps, until a deadline. */
struct efa_nap {
	uint64_t start, deadline; /* u_now(); deadline UINT64_MAX: none */
	struct efa_watch *watch;
	uint32_t signals; /* of the watch when it began */
	unsigned int turns;
	bool busy; /* last time an endpoint would not be armed */
	bool lowered; /* it took the event down */
};

/* timeout: milliseconds; negative: for ever. */
void efa_nap_begin(struct efa_nap *nap, struct efa_watch *watch, int timeout);
void efa_nap_end(struct efa_nap *nap);
/*
 * One turn of waiting after nothing was found. arm: NULL, or the queue's own
 * way to say that an entry arrived meanwhile (false). False: time is over, or
 * efa_watch_signal() was called.
 */
bool efa_nap_turn(struct efa_nap *nap, bool (*arm)(void *arg), void *arg);

#endif
