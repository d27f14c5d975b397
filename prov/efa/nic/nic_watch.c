/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_watch.c - the thread of a nic: it answers other hosts while the user
 * computes
 *
 * A real NIC acknowledges packets whatever its user does; here somebody has to
 * run. While the user polls, the thread only looks now and then whether he
 * still does; with no far peer at all it sleeps for good. Its epoll has the
 * sockets of the queue pairs that it drives, and an eventfd to be called by.
 *
 * Ranks of locks: watch, far, then the gate of the keys.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic_bell.h"
#include "nic_far.h"
#include "nic_priv.h"
#include "util/u_log.h"
#include "util/u_thread.h"

#define EVENTS 16
#define WAKES 1024 /* that are taken off a socket at a time */
#define NOBODY UINT32_MAX /* of the eventfd */

TAILQ_HEAD(nic_far_list, nic_far);

struct nic_watch {
	struct u_lock lock; /* of the list and the flags */
	struct nic_far_list fars;
	uint32_t next_id;
	bool stop;
	int epoll, call; /* const after open, as thread */
	pthread_t thread;
};

/* --- one queue pair --- */

/* What the thread's epoll waits for. A datagram to a queue pair without an
 * engine, and one to a UD, is left in the socket: edges, or it would spin. */
static uint32_t mode_events(const struct nic_far *far, enum nic_far_mode mode)
{
	switch (mode) {
	case NIC_FAR_CLOSED:
		return EPOLLIN | EPOLLET;
	case NIC_FAR_WATCHED:
		return far->qp->type == NIC_QP_UD ? EPOLLIN | EPOLLET : EPOLLIN;
	case NIC_FAR_POLLED:
	case NIC_FAR_ARMED:
		break;
	}
	return 0;
}

void nic_watch_mode(struct nic_watch *w, struct nic_far *far,
		    enum nic_far_mode mode)
{
	struct epoll_event ev = {
		.events = mode_events(far, mode),
		.data.u32 = far->id,
	};
	uint64_t one = 1;

	if (far->mode == mode)
		return;
	far->mode = mode;
	far->polls_seen = far->polls - 1;
	far->more = mode == NIC_FAR_WATCHED && wire_arm(far->wire);
	epoll_ctl(w->epoll, EPOLL_CTL_MOD, far->fd, &ev);
	if (write(w->call, &one, sizeof(one)) < 0)
		u_debug("the thread of %s is busy", far->qp->nic->info.name);
}

void nic_watch_unplug(struct nic_watch *w, struct nic_far *far)
{
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, far->fd, NULL);
	far->more = false;
}

/* Whoever sleeps on the descriptor of a queue pair. */
static void watch_wake(const struct nic_far *far)
{
	nic_bell_ring(far->qp->sock, &far->qp->bell);
}

static void watch_call(struct nic_far *far)
{
	if (!nic_far_nkept(far) && !srd_has_done(far->srd))
		return;
	atomic_store_explicit(&far->call, true, memory_order_relaxed);
	if (far->mode == NIC_FAR_ARMED)
		watch_wake(far);
}

/*
 * Somebody on another host speaks. Wake-ups lie before that maybe; as the user
 * does not sleep they are of no use any more.
 */
static bool far_is_spoken_to(const struct nic_far *far)
{
	char byte;
	ssize_t n;

	for (int i = 0; i < WAKES; i++) {
		n = recv(far->qp->sock, &byte, 1,
			 MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC);
		if (n)
			return n > 0;
		recv(far->qp->sock, &byte, 1, MSG_DONTWAIT);
	}
	return false;
}

static void watch_closed(struct nic_far *far)
{
	if (far->asleep || !far_is_spoken_to(far))
		return;
	atomic_store_explicit(&far->call, true, memory_order_relaxed);
	if (far->qp->type != NIC_QP_UD)
		nic_far_open(far);
}

static void watch_drive(struct nic_far *far, bool receive)
{
	uint64_t now = u_now();

	if (receive && far->qp->type == NIC_QP_UD) {
		far->more = false; /* the user's to read */
		atomic_store_explicit(&far->call, true, memory_order_relaxed);
	} else if (receive && !far->lent) {
		nic_far_receive(far, now);
		far->more = wire_arm(far->wire);
	}
	nic_far_notes(far, now);
	nic_far_flush(far, now);
	watch_call(far);
}

/* Takes over from a user who has stopped to poll. */
static void watch_polled(struct nic_watch *w, struct nic_far *far)
{
	if (far->polls != far->polls_seen) {
		far->polls_seen = far->polls;
		return;
	}
	nic_watch_mode(w, far, NIC_FAR_WATCHED);
	watch_drive(far, true);
}

/* Packets that wait are for whoever has given back what he holds. */
static uint64_t watch_next(const struct nic_far *far, uint64_t now)
{
	uint64_t due = nic_far_deadline(far);

	if (u_unlikely(far->more))
		due = u_min(due, far->lent ? now + NIC_FAR_TICK : now);
	return due;
}

/* Returns when the thread has to look again; UINT64_MAX: when it is called. */
static uint64_t watch_far(struct nic_watch *w, struct nic_far *far,
			  bool readable, uint64_t now)
{
	switch (far->mode) {
	case NIC_FAR_CLOSED:
		if (readable)
			watch_closed(far);
		return far->mode == NIC_FAR_CLOSED ? UINT64_MAX : now;
	case NIC_FAR_POLLED:
		watch_polled(w, far);
		return now + NIC_FAR_TICK;
	case NIC_FAR_WATCHED:
	case NIC_FAR_ARMED:
		if (readable || far->more || nic_far_deadline(far) <= now)
			watch_drive(far, far->mode == NIC_FAR_WATCHED);
		return watch_next(far, now);
	}
	return UINT64_MAX;
}

/* --- the thread --- */

static bool is_readable(const struct epoll_event *ev, int n, uint32_t id)
{
	for (int i = 0; i < n; i++)
		if (ev[i].data.u32 == id)
			return true;
	return false;
}

static uint64_t watch_all(struct nic_watch *w, const struct epoll_event *ev,
			  int n)
{
	uint64_t next = UINT64_MAX;
	struct nic_far *far;

	TAILQ_FOREACH(far, &w->fars, watch_link) {
		u_lock(&far->lock);
		next = u_min(next,
			     watch_far(w, far, is_readable(ev, n, far->id),
				       u_now()));
		u_unlock(&far->lock);
	}
	return next;
}

/* Milliseconds until then for epoll_wait, rounded up. */
static int watch_timeout(uint64_t next)
{
	uint64_t now = u_now();
	uint64_t ms;

	if (next == UINT64_MAX)
		return -1;
	if (next <= now)
		return 0;
	ms = (next - now + U_MSEC - 1) / U_MSEC;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void *watch_run(void *arg)
{
	struct nic_watch *w = arg;
	struct epoll_event ev[EVENTS];
	uint64_t next = UINT64_MAX;
	uint64_t calls;
	bool stop = false;
	int n;

	while (!stop) {
		n = epoll_wait(w->epoll, ev, EVENTS, watch_timeout(next));
		if (n < 0)
			n = 0;
		if (is_readable(ev, n, NOBODY) &&
		    read(w->call, &calls, sizeof(calls)) < 0)
			calls = 0;
		u_lock(&w->lock);
		next = watch_all(w, ev, n);
		stop = w->stop;
		u_unlock(&w->lock);
	}
	return NULL;
}

/* --- opening and closing --- */

int nic_watch_open(struct nic_watch **out)
{
	struct nic_watch *w = calloc(1, sizeof(*w));
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = NOBODY };
	int rc = -ENOMEM;

	if (!w)
		return rc;
	u_lock_init(&w->lock, true);
	TAILQ_INIT(&w->fars);
	w->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->call < 0 || w->epoll < 0 ||
	    epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->call, &ev))
		rc = -errno;
	else
		rc = u_thread_start(&w->thread, watch_run, w);
	if (!rc) {
		*out = w;
		return 0;
	}
	if (w->call >= 0)
		close(w->call);
	if (w->epoll >= 0)
		close(w->epoll);
	u_lock_fini(&w->lock);
	free(w);
	return rc;
}

void nic_watch_close(struct nic_watch *w)
{
	uint64_t one = 1;

	u_lock(&w->lock);
	w->stop = true;
	u_unlock(&w->lock);
	while (write(w->call, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(w->thread, NULL);
	close(w->call);
	close(w->epoll);
	u_lock_fini(&w->lock);
	free(w);
}

int nic_watch_add(struct nic_watch *w, struct nic_far *far)
{
	struct epoll_event ev = { .events = mode_events(far, far->mode) };
	int rc = 0;

	u_lock(&w->lock);
	far->id = ev.data.u32 = w->next_id;
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, far->fd, &ev)) {
		rc = -errno;
	} else {
		w->next_id = (w->next_id + 1) % NOBODY;
		TAILQ_INSERT_TAIL(&w->fars, far, watch_link);
	}
	u_unlock(&w->lock);
	return rc;
}

void nic_watch_remove(struct nic_watch *w, struct nic_far *far)
{
	u_lock(&w->lock);
	TAILQ_REMOVE(&w->fars, far, watch_link);
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, far->fd, NULL);
	u_unlock(&w->lock);
}
