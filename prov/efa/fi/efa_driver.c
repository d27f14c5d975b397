/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_driver.c - the thread of a domain with FI_PROGRESS_AUTO
 *
 * It drives every enabled endpoint of the domain, beside whoever reads their
 * queues. When nothing comes it sleeps on their descriptors, armed. A reader
 * that polls meanwhile disarms them and may go away without a word, so the
 * sleep is short: a millisecond after something has happened, ten when nothing
 * has for a while, and for good where there is no endpoint.
 */
#include "fi/efa.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "util/u_thread.h"
#include "util/u_time.h"

#define LIVELY (50 * U_MSEC) /* after the last thing that happened */
#define SLICE_MS 1 /* while lively */
#define IDLE_SLICE_MS 10
#define CHORES (100 * U_MSEC) /* peers that died are noticed by polling */
/* Polling in vain while an endpoint will not be armed: it waits for a peer. */
#define PATIENCE (50 * U_USEC)

struct efa_driver {
	struct efa_watch watch; /* all enabled endpoints of the domain */
	pthread_t thread;
	_Atomic bool stop;
};

/* What the thread knows of the past. */
struct past {
	uint64_t bursts; /* that the endpoints have handled */
	uint64_t lively; /* u_now() when something happened last */
	uint64_t looked; /* and when the endpoints were driven */
};

/* Drives the endpoints once. True: something came. */
static bool drive(struct efa_driver *driver, struct past *past)
{
	uint64_t bursts;

	efa_watch_progress(&driver->watch);
	past->looked = u_now();
	bursts = efa_watch_bursts(&driver->watch);
	if (bursts == past->bursts)
		return false;
	past->bursts = bursts;
	past->lively = past->looked;
	return true;
}

static int slice_ms(struct efa_driver *driver, const struct past *past)
{
	if (efa_watch_is_empty(&driver->watch))
		return -1;
	return u_now() - past->lively < LIVELY ? SLICE_MS : IDLE_SLICE_MS;
}

/* Until nothing comes any more. False: something else has to be waited for. */
static bool drive_all(struct efa_driver *driver, struct past *past)
{
	uint64_t until = u_now() + PATIENCE;

	do {
		while (drive(driver, past))
			until = past->lively + PATIENCE;
		if (!efa_watch_arm(&driver->watch))
			return true;
	} while (u_now() < until && !atomic_load(&driver->stop));
	return false;
}

/* Nobody disarmed them, and chores are not due. */
static bool may_sleep_on(struct efa_driver *driver, const struct past *past)
{
	return u_now() - past->looked < CHORES &&
	       efa_watch_is_armed(&driver->watch);
}

static void sleep_armed(struct efa_driver *driver, struct past *past)
{
	do {
		if (efa_watch_sleep(&driver->watch, slice_ms(driver, past))) {
			efa_watch_lower(&driver->watch);
			past->lively = u_now();
			return;
		}
	} while (may_sleep_on(driver, past));
}

static void *run(void *arg)
{
	struct efa_driver *driver = arg;
	const struct timespec nap = { .tv_nsec = SLICE_MS * U_MSEC };
	struct past past = { .lively = u_now() };

	while (!atomic_load(&driver->stop)) {
		if (drive_all(driver, &past))
			sleep_armed(driver, &past);
		else
			nanosleep(&nap, NULL);
	}
	return NULL;
}

int efa_driver_open(struct efa_driver **out)
{
	struct efa_driver *driver = calloc(1, sizeof(*driver));
	int ret;

	if (!driver)
		return -FI_ENOMEM;
	ret = efa_watch_init(&driver->watch, true, true);
	if (ret)
		goto free_driver;
	ret = u_thread_start(&driver->thread, run, driver);
	if (ret)
		goto fini_watch;
	*out = driver;
	return 0;

fini_watch:
	efa_watch_fini(&driver->watch);
free_driver:
	free(driver);
	return ret;
}

void efa_driver_close(struct efa_driver *driver)
{
	if (!driver)
		return;
	atomic_store(&driver->stop, true);
	efa_watch_signal(&driver->watch);
	pthread_join(driver->thread, NULL);
	efa_watch_fini(&driver->watch);
	free(driver);
}

int efa_driver_add(struct efa_driver *driver, struct efa_ep *ep)
{
	int ret = efa_watch_add(&driver->watch, ep);

	efa_watch_signal(&driver->watch);
	return ret;
}

void efa_driver_remove(struct efa_driver *driver, struct efa_ep *ep)
{
	efa_watch_remove(&driver->watch, ep);
}
