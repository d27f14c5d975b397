/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_queue.c - what happens next: a heap with four children a node
 *
 * Four siblings are one cache line, and the heap is half as deep as one of
 * two. There is one event for a link, not for a packet, so it stays small.
 */
#include "sim_queue.h"

#include <stdlib.h>

#include "sim_mem.h"
#include "util/u_base.h"

#define FIRST_ROOM 1024

void sim_queue_init(struct sim_queue *q)
{
	*q = (struct sim_queue){
		.heap = sim_mem_get(FIRST_ROOM, sizeof(*q->heap)),
		.room = FIRST_ROOM,
	};
}

void sim_queue_fini(struct sim_queue *q)
{
	free(q->heap);
	*q = (struct sim_queue){ .n = 0 };
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at < b->at ||
	       (a->at == b->at && u_seq_before(a->order, b->order));
}

/* Puts e where there is a hole at i, or above. */
static void rise(struct sim_queue *q, uint32_t i, struct sim_event e)
{
	while (i > 0) {
		uint32_t up = (i - 1) / 4;

		if (!before(&e, &q->heap[up]))
			break;
		q->heap[i] = q->heap[up];
		i = up;
	}
	q->heap[i] = e;
}

/* Puts e where there is a hole at the top, or below. */
static void sink(struct sim_queue *q, struct sim_event e)
{
	uint32_t i = 0, child, end, least;

	for (;;) {
		child = 4 * i + 1;
		if (child >= q->n)
			break;
		end = child + 4 < q->n ? child + 4 : q->n;
		for (least = child++; child < end; child++)
			if (before(&q->heap[child], &q->heap[least]))
				least = child;
		if (!before(&q->heap[least], &e))
			break;
		q->heap[i] = q->heap[least];
		i = least;
	}
	q->heap[i] = e;
}

void sim_queue_push(struct sim_queue *q, uint64_t at, uint32_t what)
{
	struct sim_event e = { .at = at, .order = q->order++, .what = what };

	if (q->n == q->room) {
		q->room *= 2;
		q->heap = sim_mem_grow(q->heap, q->room, sizeof(*q->heap));
	}
	rise(q, q->n++, e);
}

void sim_queue_pop(struct sim_queue *q)
{
	assert(q->n > 0);
	if (--q->n > 0)
		sink(q, q->heap[q->n]);
}

void sim_queue_replace(struct sim_queue *q, uint64_t at, uint32_t what)
{
	struct sim_event e = { .at = at, .order = q->order++, .what = what };

	assert(q->n > 0);
	sink(q, e);
}
