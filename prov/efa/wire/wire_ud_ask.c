/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_ask.c - helpers that make address handles, because it may take seconds
 *
 * Over Ethernet libibverbs and the kernel ask the network for the link address
 * of a host, and wait for the answer: a millisecond, or three seconds and one
 * when nobody answers or the question got lost. So threads do it, which start
 * with the first question and end with the last, and whoever sends goes on. The
 * owner of the wire puts a question, waits for the answer as long as he likes,
 * and takes all answers that are there.
 *
 * Hosts that have not answered before are asked last: who is not there takes the
 * helpers from nobody.
 */
#include "wire/wire_ud_priv.h"

#include <errno.h>

#include "util/u_log.h"
#include "util/u_thread.h"
#include "util/u_time.h"

int wire_ud_asker_init(struct wire_ud *w)
{
	struct wire_ud_asker *a = &w->asker;
	pthread_condattr_t attr;

	for (uint32_t i = 0; i < WIRE_UD_HELPERS; i++)
		a->helper[i].wire = w;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->answered, &attr);
	pthread_condattr_destroy(&attr);
	return -pthread_mutex_init(&a->lock, NULL);
}

/* A question that is under way is waited for. */
void wire_ud_asker_fini(struct wire_ud *w)
{
	struct wire_ud_asker *a = &w->asker;
	bool to_join[WIRE_UD_HELPERS];

	pthread_mutex_lock(&a->lock);
	a->stop = true;
	for (uint32_t i = 0; i < WIRE_UD_HELPERS; i++)
		to_join[i] = a->helper[i].state != WIRE_UD_HELPER_NONE;
	pthread_mutex_unlock(&a->lock);
	for (uint32_t i = 0; i < WIRE_UD_HELPERS; i++)
		if (to_join[i])
			pthread_join(a->helper[i].thread, NULL);
	for (uint32_t i = 0; i < WIRE_UD_ASKS; i++)
		if (a->ask[i].state == WIRE_UD_ASK_DONE && a->ask[i].ah)
			ibv_destroy_ah(a->ask[i].ah);
	pthread_cond_destroy(&a->answered);
	pthread_mutex_destroy(&a->lock);
}

/* --- helpers --- */

static bool is_before(const struct wire_ud_ask *x, const struct wire_ud_ask *y)
{
	if (x->failures != y->failures)
		return x->failures < y->failures;
	return u_seq_before(x->number, y->number);
}

static struct wire_ud_ask *next_ask(struct wire_ud_asker *a)
{
	struct wire_ud_ask *ask, *next = NULL;

	for (uint32_t i = 0; i < WIRE_UD_ASKS && !a->stop; i++) {
		ask = &a->ask[i];
		if (ask->state == WIRE_UD_ASK_WAITS &&
		    (!next || is_before(ask, next)))
			next = ask;
	}
	return next;
}

static void make(struct wire_ud *w, struct wire_ud_ask *ask)
{
	errno = 0;
	ask->ah = ibv_create_ah(w->pd, &ask->attr);
	ask->error = ask->ah ? 0 : errno;
}

static void *helper_run(void *arg)
{
	struct wire_ud_helper *self = arg;
	struct wire_ud_asker *a = &self->wire->asker;
	struct wire_ud_ask *ask;

	pthread_mutex_lock(&a->lock);
	while ((ask = next_ask(a))) {
		ask->state = WIRE_UD_ASK_RUNS;
		pthread_mutex_unlock(&a->lock);
		make(self->wire, ask);
		pthread_mutex_lock(&a->lock);
		ask->state = WIRE_UD_ASK_DONE;
		pthread_cond_broadcast(&a->answered);
	}
	self->state = WIRE_UD_HELPER_LEFT;
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* One more, if there is one to be had; how many are at work. */
static uint32_t start_helper(struct wire_ud_asker *a)
{
	struct wire_ud_helper *h, *to_start = NULL;
	uint32_t n = 0;

	for (uint32_t i = 0; i < WIRE_UD_HELPERS; i++) {
		h = &a->helper[i];
		if (h->state == WIRE_UD_HELPER_WORKS)
			n++;
		else if (!to_start)
			to_start = h;
	}
	if (!to_start)
		return n;
	if (to_start->state == WIRE_UD_HELPER_LEFT)
		pthread_join(to_start->thread, NULL);
	to_start->state = WIRE_UD_HELPER_WORKS;
	if (!u_thread_start(&to_start->thread, helper_run, to_start))
		return n + 1;
	to_start->state = WIRE_UD_HELPER_NONE;
	return n;
}

/* --- the owner of the wire --- */

static struct wire_ud_ask *free_ask(struct wire_ud_asker *a)
{
	for (uint32_t i = 0; i < WIRE_UD_ASKS; i++)
		if (a->ask[i].state == WIRE_UD_ASK_FREE)
			return &a->ask[i];
	return NULL;
}

bool wire_ud_ask(struct wire_ud *w, struct wire_ud_host *h, uint8_t path,
		 const struct ibv_ah_attr *attr)
{
	struct wire_ud_asker *a = &w->asker;
	struct wire_ud_ask *ask;

	assert(!h->asked);
	pthread_mutex_lock(&a->lock);
	ask = free_ask(a);
	if (ask) {
		*ask = (struct wire_ud_ask){
			.state = WIRE_UD_ASK_WAITS,
			.host = h,
			.path = path,
			.round = w->hosts.round,
			.failures = h->failures,
			.number = a->number++,
			.attr = *attr,
		};
		h->asked = true;
		a->nasks++;
		/* Without a thread to be had there is nobody but us. */
		if (!start_helper(a)) {
			make(w, ask);
			ask->state = WIRE_UD_ASK_DONE;
		}
	}
	pthread_mutex_unlock(&a->lock);
	return ask != NULL;
}

static bool is_answered(const struct wire_ud_asker *a,
			const struct wire_ud_host *h)
{
	for (uint32_t i = 0; i < WIRE_UD_ASKS; i++)
		if (a->ask[i].state == WIRE_UD_ASK_DONE && a->ask[i].host == h)
			return true;
	return false;
}

void wire_ud_ask_wait(struct wire_ud *w, const struct wire_ud_host *h,
		      uint64_t ns)
{
	struct wire_ud_asker *a = &w->asker;
	uint64_t until = u_now() + ns;
	struct timespec ts = {
		.tv_sec = (time_t)(until / U_SEC),
		.tv_nsec = (long)(until % U_SEC),
	};
	int rc = 0;

	pthread_mutex_lock(&a->lock);
	while (!is_answered(a, h) && !rc)
		rc = pthread_cond_timedwait(&a->answered, &a->lock, &ts);
	pthread_mutex_unlock(&a->lock);
}

uint32_t wire_ud_ask_answers(struct wire_ud *w, struct wire_ud_ask *answer)
{
	struct wire_ud_asker *a = &w->asker;
	uint32_t n = 0;

	if (!a->nasks)
		return 0;
	pthread_mutex_lock(&a->lock);
	for (uint32_t i = 0; i < WIRE_UD_ASKS; i++) {
		if (a->ask[i].state != WIRE_UD_ASK_DONE)
			continue;
		answer[n++] = a->ask[i];
		a->ask[i].state = WIRE_UD_ASK_FREE;
		a->ask[i].host->asked = false;
	}
	a->nasks -= n;
	pthread_mutex_unlock(&a->lock);
	return n;
}
