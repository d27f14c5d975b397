/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_watch.c - the endpoints that a queue or counter drives, and how to wait
 * for them
 *
 * Waiting goes through three phases: polling, since what is waited for is
 * mostly microseconds away; naps that grow, where there is nothing to sleep on;
 * or sleep on the file descriptors of the endpoints, armed, in slices. The
 * slices bound what a reader that disarms them or a peer that needs us can cost.
 */
#include "fi/efa.h"
#include "fi/efa_thin.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "util/u_time.h"

#define SPIN (20 * U_USEC) /* polling at first */
#define SLICE_MS 100 /* sleep at most */
#define BUSY_SLICE_MS 1 /* while packets wait to go out */
#define NAP_MIN (1 * U_USEC)
#define NAP_MAX (1 * U_MSEC)

/* ---- the list ------------------------------------------------------------ */

static int add_fd(struct efa_watch *watch, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };

	if (epoll_ctl(watch->epoll, EPOLL_CTL_ADD, fd, &event) &&
	    errno != EEXIST)
		return -errno;
	return 0;
}

int efa_watch_init(struct efa_watch *watch, bool locked, bool wait_fd)
{
	int ret;

	*watch = (struct efa_watch){ .epoll = -1, .event = -1 };
	u_lock_init(&watch->lock, locked);
	if (!wait_fd)
		return 0;
	watch->epoll = epoll_create1(EPOLL_CLOEXEC);
	watch->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (watch->epoll < 0 || watch->event < 0)
		ret = -errno;
	else
		ret = add_fd(watch, watch->event, EPOLLIN);
	if (ret)
		efa_watch_fini(watch);
	return ret;
}

void efa_watch_fini(struct efa_watch *watch)
{
	if (watch->event >= 0)
		close(watch->event);
	if (watch->epoll >= 0)
		close(watch->epoll);
	u_lock_fini(&watch->lock);
	free(watch->ep);
}

static int ep_fd(struct efa_ep *ep)
{
	return ep->rdm ? rdm_ep_fd(ep->rdm) : efa_thin_fd(ep->thin);
}

/* Who is to be called when the endpoint is disarmed. */
static int watches_add(struct efa_ep *ep, struct efa_watch *watch)
{
	struct efa_watch **list;

	u_lock(&ep->lock);
	list = realloc(ep->watches, (ep->nwatches + 1) * sizeof(*list));
	if (list) {
		list[ep->nwatches++] = watch;
		ep->watches = list;
	}
	u_unlock(&ep->lock);
	return list ? 0 : -FI_ENOMEM;
}

static void watches_remove(struct efa_ep *ep, struct efa_watch *watch)
{
	u_lock(&ep->lock);
	for (size_t i = 0; i < ep->nwatches; i++) {
		if (ep->watches[i] != watch)
			continue;
		ep->watches[i] = ep->watches[--ep->nwatches];
		break;
	}
	if (!ep->nwatches) {
		free(ep->watches);
		ep->watches = NULL;
	}
	u_unlock(&ep->lock);
}

static bool has(const struct efa_watch *watch, const struct efa_ep *ep)
{
	for (size_t i = 0; i < watch->n; i++)
		if (watch->ep[i] == ep)
			return true;
	return false;
}

/* The lock is held. */
static int add_locked(struct efa_watch *watch, struct efa_ep *ep)
{
	size_t room = watch->room * 2 + 1;
	struct efa_ep **list;
	int fd, ret;

	if (has(watch, ep))
		return 0;
	if (watch->n == watch->room) {
		list = realloc(watch->ep, room * sizeof(*list));
		if (!list)
			return -FI_ENOMEM;
		watch->ep = list;
		watch->room = room;
	}
	if (watch->epoll >= 0) {
		fd = ep_fd(ep);
		ret = fd < 0 ? fd : add_fd(watch, fd, EPOLLIN);
		if (ret && ret != -ENOSYS)
			return ret;
		if (ret == -ENOSYS)
			atomic_store(&watch->blind, true);
	}
	ret = watches_add(ep, watch);
	if (ret)
		return ret;
	watch->ep[watch->n++] = ep;
	return 0;
}

int efa_watch_add(struct efa_watch *watch, struct efa_ep *ep)
{
	int ret;

	u_lock(&watch->lock);
	ret = add_locked(watch, ep);
	u_unlock(&watch->lock);
	return ret;
}

void efa_watch_remove(struct efa_watch *watch, struct efa_ep *ep)
{
	int fd;

	u_lock(&watch->lock);
	for (size_t i = 0; i < watch->n; i++) {
		if (watch->ep[i] != ep)
			continue;
		watch->ep[i] = watch->ep[--watch->n];
		watches_remove(ep, watch);
		fd = watch->epoll >= 0 ? ep_fd(ep) : -1;
		if (fd >= 0)
			epoll_ctl(watch->epoll, EPOLL_CTL_DEL, fd, NULL);
		break;
	}
	u_unlock(&watch->lock);
}

/* ---- waiting ------------------------------------------------------------- */

uint64_t efa_watch_sum(struct efa_watch *watch,
		       uint64_t (*of)(struct efa_ep *ep))
{
	uint64_t total = 0;

	u_lock(&watch->lock);
	for (size_t i = 0; i < watch->n; i++) {
		u_lock(&watch->ep[i]->lock);
		total += of(watch->ep[i]);
		u_unlock(&watch->ep[i]->lock);
	}
	u_unlock(&watch->lock);
	return total;
}

uint64_t efa_ep_arm(struct efa_ep *ep)
{
	return (ep->rdm ? rdm_ep_arm(ep->rdm) : efa_thin_arm(ep->thin)) != 0;
}

static uint64_t bursts_of(struct efa_ep *ep)
{
	return ep->rdm ? rdm_ep_stats(ep->rdm)->bursts : 0;
}

static uint64_t is_unarmed(struct efa_ep *ep)
{
	return !ep->rdm || !rdm_ep_is_armed(ep->rdm);
}

bool efa_watch_arm(struct efa_watch *watch)
{
	return efa_watch_sum(watch, efa_ep_arm) != 0;
}

uint64_t efa_watch_bursts(struct efa_watch *watch)
{
	return efa_watch_sum(watch, bursts_of);
}

bool efa_watch_is_armed(struct efa_watch *watch)
{
	return efa_watch_sum(watch, is_unarmed) == 0;
}

bool efa_watch_is_empty(struct efa_watch *watch)
{
	bool empty;

	u_lock(&watch->lock);
	empty = !watch->n;
	u_unlock(&watch->lock);
	return empty;
}

bool efa_watch_sleep(struct efa_watch *watch, int ms)
{
	struct epoll_event event;
	int ret;

	atomic_fetch_add(&watch->inside, 1);
	ret = epoll_wait(watch->epoll, &event, 1, ms);
	atomic_fetch_sub(&watch->inside, 1);
	return ret > 0;
}

void efa_watch_signal(struct efa_watch *watch)
{
	if (atomic_load(&watch->waiting))
		atomic_fetch_add(&watch->signals, 1);
	else
		atomic_store(&watch->signaled, true);
	efa_watch_raise(watch);
}

void efa_nap_begin(struct efa_nap *nap, struct efa_watch *watch, int timeout)
{
	*nap = (struct efa_nap){
		.start = u_now(),
		.deadline = UINT64_MAX,
		.watch = watch,
		.signals = atomic_load(&watch->signals),
	};
	atomic_fetch_add(&watch->waiting, 1);
	if (timeout >= 0)
		nap->deadline = nap->start + (uint64_t)timeout * U_MSEC;
}

/* What was taken down may have been for somebody in poll(2). */
void efa_nap_end(struct efa_nap *nap)
{
	atomic_fetch_sub(&nap->watch->waiting, 1);
	if (nap->lowered && atomic_load(&nap->watch->polled))
		efa_watch_raise(nap->watch);
}

/* Without anything to sleep on: naps that double. */
static void doze(struct efa_nap *nap, uint64_t left)
{
	uint64_t ns = NAP_MIN << (nap->turns < 10 ? nap->turns : 10);
	struct timespec ts = { 0, 0 };

	nap->turns++;
	ts.tv_nsec = (long)u_min(u_min(ns, NAP_MAX), left);
	nanosleep(&ts, NULL);
}

static void sleep_armed(struct efa_nap *nap, uint64_t left,
			bool (*arm)(void *arg), void *arg)
{
	struct efa_watch *watch = nap->watch;
	int ms = atomic_load(&watch->blind) ? BUSY_SLICE_MS : SLICE_MS;
	bool was_busy = nap->busy;

	if (efa_watch_lower(watch)) {
		if (efa_watch_is_awaited(watch)) {
			efa_watch_raise(watch);
			return;
		}
		nap->lowered = true;
	}
	nap->busy = efa_watch_arm(watch);
	if (arm && !arm(arg))
		return;
	if (nap->busy) {
		/* Something came: look at it at once, but do not spin on it. */
		if (!was_busy)
			return;
		ms = BUSY_SLICE_MS;
	}
	/* One that came while the event was taken down. */
	if (atomic_load(&watch->signals) == nap->signals)
		efa_watch_sleep(watch,
				(int)u_min((size_t)ms, left / U_MSEC + 1));
}

bool efa_nap_turn(struct efa_nap *nap, bool (*arm)(void *arg), void *arg)
{
	struct efa_watch *watch = nap->watch;
	uint64_t now = u_now();

	if (atomic_load(&watch->signals) != nap->signals ||
	    atomic_exchange(&watch->signaled, false) || now >= nap->deadline)
		return false;
	if (now < nap->start + SPIN) {
		u_relax();
		return true;
	}
	if (watch->epoll < 0)
		doze(nap, nap->deadline - now);
	else
		sleep_armed(nap, nap->deadline - now, arm, arg);
	return true;
}
