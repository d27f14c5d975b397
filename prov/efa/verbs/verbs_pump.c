/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_pump.c - the thread that drives queue pairs which nobody polls
 *
 * A real card fills posted receives and works off its send queue whatever the
 * program does. Here a program that waits for something else, a socket of its
 * own maybe, would hold up its peers. So every 10 ms the queue pairs that were
 * not polled meanwhile are driven once; one that is armed only when its channel
 * is readable, as a program that sleeps there wakes by itself and one that
 * computes does not. While no queue pair can receive the thread sleeps for good.
 */
#include <stdlib.h>

#include "util/u_thread.h"
#include "util/u_time.h"
#include "verbs_priv.h"

#define PUMP_TICK (10 * U_MSEC)

struct verbs_pump {
	pthread_mutex_t lock; /* of stop and awake */
	pthread_cond_t call;
	bool stop;
	bool awake;
	pthread_t thread;
};

static bool pump_is_wanted(const struct verbs_qp *qp)
{
	return qp->qp.state >= IBV_QPS_RTR && qp->polls == qp->polls_seen &&
	       (!verbs_qp_is_armed(qp) || verbs_channel_is_due(qp));
}

/* One look at all queue pairs; false: none can receive. */
static bool pump_look(struct verbs_ctx *ctx)
{
	struct verbs_qp *qp;
	bool any = false;

	u_lock(&ctx->lock);
	LIST_FOREACH(qp, &ctx->qps, link) {
		if (!u_trylock(&qp->lock)) {
			any = true;
			continue;
		}
		any |= qp->qp.state >= IBV_QPS_RTR;
		if (pump_is_wanted(qp))
			verbs_qp_drive_locked(qp);
		qp->polls_seen = qp->polls;
		u_unlock(&qp->lock);
	}
	u_unlock(&ctx->lock);
	return any;
}

/* Until the next look; false: the end. */
static bool pump_sleep(struct verbs_pump *pump)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += PUMP_TICK;
	if (until.tv_nsec >= (long)U_SEC) {
		until.tv_nsec -= (long)U_SEC;
		until.tv_sec++;
	}
	pthread_mutex_lock(&pump->lock);
	while (!pump->stop && !pump->awake)
		pthread_cond_wait(&pump->call, &pump->lock);
	if (!pump->stop)
		pthread_cond_timedwait(&pump->call, &pump->lock, &until);
	stop = pump->stop;
	pthread_mutex_unlock(&pump->lock);
	return !stop;
}

static void pump_rest(struct verbs_pump *pump)
{
	pthread_mutex_lock(&pump->lock);
	pump->awake = false;
	pthread_mutex_unlock(&pump->lock);
}

static void *pump_run(void *arg)
{
	struct verbs_ctx *ctx = arg;

	while (pump_sleep(ctx->pump)) {
		/* A queue pair that begins after this look wakes us again. */
		pump_rest(ctx->pump);
		if (pump_look(ctx))
			verbs_pump_wake(ctx);
	}
	return NULL;
}

void verbs_pump_wake(struct verbs_ctx *ctx)
{
	struct verbs_pump *pump = ctx->pump;

	pthread_mutex_lock(&pump->lock);
	if (!pump->awake) {
		pump->awake = true;
		pthread_cond_signal(&pump->call);
	}
	pthread_mutex_unlock(&pump->lock);
}

int verbs_pump_open(struct verbs_ctx *ctx)
{
	struct verbs_pump *pump = calloc(1, sizeof(*pump));
	pthread_condattr_t attr;
	int rc;

	if (!pump)
		return -ENOMEM;
	ctx->pump = pump;
	pthread_mutex_init(&pump->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pump->call, &attr);
	pthread_condattr_destroy(&attr);
	rc = u_thread_start(&pump->thread, pump_run, ctx);
	if (rc) {
		pthread_cond_destroy(&pump->call);
		pthread_mutex_destroy(&pump->lock);
		free(pump);
	}
	return rc;
}

void verbs_pump_close(struct verbs_ctx *ctx)
{
	struct verbs_pump *pump = ctx->pump;

	pthread_mutex_lock(&pump->lock);
	pump->stop = true;
	pthread_cond_signal(&pump->call);
	pthread_mutex_unlock(&pump->lock);
	pthread_join(pump->thread, NULL);
	pthread_cond_destroy(&pump->call);
	pthread_mutex_destroy(&pump->lock);
	free(pump);
}
