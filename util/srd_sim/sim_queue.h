/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_queue.h - what happens next: events in the order of their times
 *
 * Events of one time come out in the order they were put in, so that a run
 * depends on its seed alone. There is no removal: who changes its mind lets
 * the event come and ignores it.
 */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_PS_NS UINT64_C(1000) /* all times are picoseconds */
#define SIM_PS_US UINT64_C(1000000)
#define SIM_PS_MS UINT64_C(1000000000)
#define SIM_PS_S UINT64_C(1000000000000)
#define SIM_NEVER UINT64_MAX

struct sim_event {
	uint64_t at;
	uint32_t order; /* of arrival, for events of one time */
	uint32_t what; /* the caller's */
};

struct sim_queue {
	struct sim_event *heap; /* four children a node */
	uint32_t n, room;
	uint32_t order; /* of the next event, modulo 2^32 */
};

void sim_queue_init(struct sim_queue *q);
void sim_queue_fini(struct sim_queue *q);

void sim_queue_push(struct sim_queue *q, uint64_t at, uint32_t what);

/* The next event; the queue is not empty. */
static inline const struct sim_event *sim_queue_top(const struct sim_queue *q)
{
	return &q->heap[0];
}

void sim_queue_pop(struct sim_queue *q);

/* As pop and push, in one go. */
void sim_queue_replace(struct sim_queue *q, uint64_t at, uint32_t what);

#endif
