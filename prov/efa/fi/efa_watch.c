/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_watch.c - the endpoints that a queue or counter drives, and how to wait
 * for them
 *
 * Waiting goes through three phases: polling, since what is waited for is
 * mostly microseconds away; naps that grow, where there is nothing to sleep on;
 * or sleep on the file descriptors of the endpoints, armed, in slices. The
 * slices bound what a lost wake-up or a peer that needs us can cost.
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
		fd = watch->epoll >= 0 ? ep_fd(ep) : -1;
		if (fd >= 0)
			epoll_ctl(watch->epoll, EPOLL_CTL_DEL, fd, NULL);
		break;
	}
	u_unlock(&watch->lock);
}

/* ---- waiting ------------------------------------------------------------- */

/* Of all endpoints what one of them, locked, says. */
static uint64_t sum(struct efa_watch *watch, uint64_t (*of)(struct efa_ep *ep))
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

static uint64_t arm_one(struct efa_ep *ep)
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
	return sum(watch, arm_one) != 0;
}

uint64_t efa_watch_bursts(struct efa_watch *watch)
{
	return sum(watch, bursts_of);
}

bool efa_watch_is_armed(struct efa_watch *watch)
{
	return sum(watch, is_unarmed) == 0;
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
	eventfd_t value;

	if (epoll_wait(watch->epoll, &event, 1, ms) <= 0)
		return false;
	eventfd_read(watch->event, &value);
	return true;
}

void efa_watch_signal(struct efa_watch *watch)
{
	atomic_store(&watch->signaled, true);
	if (watch->event >= 0)
		eventfd_write(watch->event, 1);
}

void efa_nap_begin(struct efa_nap *nap, int timeout)
{
	*nap = (struct efa_nap){ .start = u_now(), .deadline = UINT64_MAX };
	if (timeout >= 0)
		nap->deadline = nap->start + (uint64_t)timeout * U_MSEC;
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

static void sleep_armed(struct efa_nap *nap, struct efa_watch *watch,
			uint64_t left, bool (*arm)(void *arg), void *arg)
{
	int ms = atomic_load(&watch->blind) ? BUSY_SLICE_MS : SLICE_MS;
	bool was_busy = nap->busy;

	nap->busy = efa_watch_arm(watch);
	if (arm && !arm(arg))
		return;
	if (nap->busy) {
		/* Something came: look at it at once, but do not spin on it. */
		if (!was_busy)
			return;
		ms = BUSY_SLICE_MS;
	}
	efa_watch_sleep(watch, (int)u_min((size_t)ms, left / U_MSEC + 1));
}

bool efa_nap_turn(struct efa_nap *nap, struct efa_watch *watch,
		  bool (*arm)(void *arg), void *arg)
{
	uint64_t now = u_now();

	if (atomic_exchange(&watch->signaled, false) || now >= nap->deadline)
		return false;
	if (now < nap->start + SPIN) {
		u_relax();
		return true;
	}
	if (watch->epoll < 0)
		doze(nap, nap->deadline - now);
	else
		sleep_armed(nap, watch, nap->deadline - now, arm, arg);
	return true;
}
