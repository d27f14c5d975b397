/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_thread.c - more threads of a worker, with the endpoints of all
 *
 * Thread 0 runs the epochs; the others take steps while it does, drive while it
 * drains, and are parked while endpoints come and go. All that a worker knows is
 * under one lock, which is let go around calls of libfabric: so calls overlap,
 * and the oracle does not. What has to happen in some order happens in one
 * thread at a time: sends of a stream, receives of a family, atomics on a slot,
 * reading a queue. An entry of an operation whose call has not returned in
 * another thread waits for that (op.posting).
 */
#include "random.h"

#include <sched.h>
#include <time.h>

static _Thread_local unsigned int self;

unsigned int rnd_thread(void)
{
	return self;
}

void rnd_lock(struct rnd *w)
{
	if (w->opt.threads > 1)
		pthread_mutex_lock(&w->lock);
}

void rnd_unlock(struct rnd *w)
{
	if (w->opt.threads > 1)
		pthread_mutex_unlock(&w->lock);
}

void rnd_yield(struct rnd *w)
{
	if (w->opt.threads == 1)
		return;
	rnd_unlock(w);
	sched_yield();
	rnd_lock(w);
}

/* Calls nothing, so that nobody drives for who sleeps. */
void rnd_rest(struct rnd *w)
{
	const struct timespec nap = { .tv_nsec = 50000 };

	w->rested++;
	while (w->resting) {
		rnd_unlock(w);
		nanosleep(&nap, NULL);
		rnd_lock(w);
	}
	w->rested--;
}

/* The lock is held. */
static void park(struct rnd *w)
{
	w->parked++;
	pthread_cond_broadcast(&w->changed);
	while (w->phase == RND_PARKED)
		pthread_cond_wait(&w->changed, &w->lock);
	w->parked--;
}

static void *run(void *arg)
{
	struct rnd *w = arg;
	uint64_t step = 0;

	rnd_lock(w);
	self = ++w->started;
	while (w->phase != RND_OVER) {
		rnd_rest(w);
		if (w->phase == RND_PARKED)
			park(w);
		else if (w->phase == RND_STEPPING)
			rnd_take_step(w, step++);
		else
			rnd_drive(w);
		rnd_yield(w);
	}
	rnd_unlock(w);
	return NULL;
}

void rnd_threads_start(struct rnd *w)
{
	int ret;

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	w->phase = RND_PARKED;
	for (unsigned int i = 1; i < w->opt.threads; i++) {
		ret = pthread_create(&w->thread[i], NULL, run, w);
		if (ret)
			ft_die("pthread_create", -ret);
	}
	rnd_lock(w);
}

void rnd_threads_are(struct rnd *w, enum rnd_phase phase)
{
	w->phase = phase;
	if (w->opt.threads == 1)
		return;
	pthread_cond_broadcast(&w->changed);
	while (phase == RND_PARKED && w->parked + 1 < w->opt.threads)
		pthread_cond_wait(&w->changed, &w->lock);
}

void rnd_threads_stop(struct rnd *w)
{
	rnd_threads_are(w, RND_OVER);
	rnd_unlock(w);
	for (unsigned int i = 1; i < w->opt.threads; i++)
		pthread_join(w->thread[i], NULL);
}
