/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_sleep.c - leave to sleep in poll(2), and who may take a wake-up down
 *
 * All sleepers of a watch sleep on one eventfd and on the descriptors of its
 * endpoints. poll(2) looks at them when it begins and when it is woken, so a
 * wake-up has to stay up until each thread that it was for has seen it:
 *
 * I1: entries of a queue are for one reader. While there are any the event is
 *     left alone; when there are none, nobody misses it.
 * I2: a count is there for all. The event stays up until every thread that had
 *     leave to sleep on the counter is back; one that stays away is forgotten
 *     after a while, during which others do not sleep.
 * I3: an endpoint that was armed for a sleeper, and is not any more or has got
 *     something to do, calls the sleepers of all its watches. efa_ep.slept:
 *     they are not called yet.
 *
 * The thread of automatic progress drives what a reader has disarmed, and
 * pushes wake the sleepers: then I3 is not needed.
 */
#include "fi/efa.h"

#include <sys/eventfd.h>

#include "util/u_time.h"

#define PATIENCE (100 * U_MSEC) /* with a thread that was called */

/* A thread is told by the address of its own copy. */
static _Thread_local char me;

bool efa_watch_lower(struct efa_watch *watch)
{
	eventfd_t value;

	return eventfd_read(watch->event, &value) == 0;
}

void efa_watch_raise(struct efa_watch *watch)
{
	if (watch->event >= 0)
		eventfd_write(watch->event, 1);
}

void efa_watch_call(struct efa_watch *watch)
{
	if (atomic_exchange(&watch->asleep, false))
		efa_watch_raise(watch);
}

/* ---- who sleeps on a counter --------------------------------------------- */

/* The place of a thread; -1: it has none. The lock is held. */
static int place_of(const struct efa_watch *watch, const void *thread)
{
	for (int i = 0; i < EFA_WATCH_SLEEPERS; i++)
		if (watch->sleeper[i] == thread)
			return i;
	return -1;
}

U_COLD void efa_watch_back(struct efa_watch *watch)
{
	int at;

	u_lock(&watch->lock);
	at = place_of(watch, &me);
	if (at >= 0) {
		watch->sleeper[at] = NULL;
		watch->since = 0;
	}
	u_unlock(&watch->lock);
}

/* False: too many sleep. */
static bool go(struct efa_watch *watch)
{
	int at;

	u_lock(&watch->lock);
	at = place_of(watch, &me);
	if (at >= 0)
		watch->since = 0;
	else
		at = place_of(watch, NULL);
	if (at >= 0)
		watch->sleeper[at] = &me;
	u_unlock(&watch->lock);
	return at >= 0;
}

/* Not to sleep after all; others are waited for as long as before. */
static void stay(struct efa_watch *watch)
{
	int at;

	u_lock(&watch->lock);
	at = place_of(watch, &me);
	if (at >= 0)
		watch->sleeper[at] = NULL;
	u_unlock(&watch->lock);
}

static bool has_others(const struct efa_watch *watch)
{
	for (int i = 0; i < EFA_WATCH_SLEEPERS; i++)
		if (watch->sleeper[i] && watch->sleeper[i] != &me)
			return true;
	return false;
}

/* The lock is held. */
static bool must_wait(struct efa_watch *watch)
{
	uint64_t now;

	if (u_likely(!has_others(watch)))
		return false;
	now = u_now();
	if (!watch->since)
		watch->since = now;
	if (now - watch->since < PATIENCE)
		return true;
	for (int i = 0; i < EFA_WATCH_SLEEPERS; i++)
		if (watch->sleeper[i] != &me)
			watch->sleeper[i] = NULL;
	watch->since = 0;
	return false;
}

bool efa_watch_is_awaited(struct efa_watch *watch)
{
	bool awaited;

	/* These come by themselves, as the event is up. */
	if (atomic_load(&watch->inside))
		return true;
	u_lock(&watch->lock);
	awaited = must_wait(watch);
	u_unlock(&watch->lock);
	return awaited;
}

/* ---- leave to sleep ------------------------------------------------------ */

static uint64_t arm_for_sleeper(struct efa_ep *ep)
{
	if (efa_ep_arm(ep))
		return 1;
	ep->slept = !ep->domain->driver; /* I3 */
	return 0;
}

static uint64_t call_sleepers(struct efa_ep *ep)
{
	if (ep->slept)
		efa_ep_call(ep);
	return 0;
}

/* Disarms, without a call: it is made when they are not armed again. */
static uint64_t drive(struct efa_ep *ep)
{
	efa_ep_drive(ep);
	return 0;
}

/* May the caller sleep? lowered: the event was taken down for it. */
static bool has_leave(struct efa_watch *watch, bool (*arm)(void *arg),
		      void *arg, bool *lowered)
{
	if (!arm(arg))
		return false; /* I1 */
	*lowered = efa_watch_lower(watch);
	if (*lowered && efa_watch_is_awaited(watch))
		return false;
	/* Not before: a call might have been what was taken down. */
	atomic_store(&watch->asleep, true);
	return !efa_watch_sum(watch, arm_for_sleeper) && arm(arg);
}

int efa_watch_try(struct efa_watch *watch, bool (*arm)(void *arg), void *arg,
		  bool crowd)
{
	bool lowered = false;

	if (watch->epoll < 0)
		return -FI_EINVAL;
	atomic_store(&watch->polled, true);
	efa_watch_sum(watch, drive);
	/* It goes before the event is down, for who takes it down next. */
	if ((!crowd || go(watch)) && has_leave(watch, arm, arg, &lowered))
		return 0;
	if (crowd)
		stay(watch);
	if (lowered)
		efa_watch_raise(watch);
	efa_watch_sum(watch, call_sleepers);
	return -FI_EAGAIN;
}

void efa_ep_call(struct efa_ep *ep)
{
	ep->slept = false;
	for (size_t i = 0; i < ep->nwatches; i++)
		efa_watch_call(ep->watches[i]);
}
