/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_ring.c - completions of thin endpoints until they are read
 *
 * Fixed in size and never overrun: an operation reserves its place when it is
 * posted, and is refused when there is none.
 *
 * I1: entries and reserved places together are mask + 1 at most.
 */
#include "fi/efa.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include "util/u_lines.h"

struct efa_ring {
	struct u_lock lock; /* of all below */
	uint32_t head, tail; /* free-running */
	uint32_t mask; /* entries - 1 */
	uint32_t reserved; /* places promised to operations under way */
	int event; /* eventfd, not ours; -1: none */
	bool sleeping; /* the next push signals event */
	struct rdm_comp comp[]; /* [mask + 1] */
};

struct efa_ring *efa_ring_new(size_t size, bool locked, int event)
{
	struct efa_ring *ring;
	uint32_t n = 64;

	while (n < size && n < UINT32_C(1) << 24)
		n *= 2;
	ring = u_lines_raw(sizeof(*ring) + n * sizeof(ring->comp[0]));
	if (!ring)
		return NULL;
	memset(ring, 0, sizeof(*ring));
	u_lock_init(&ring->lock, locked);
	ring->mask = n - 1;
	ring->event = event;
	return ring;
}

void efa_ring_free(struct efa_ring *ring)
{
	if (!ring)
		return;
	for (; ring->head != ring->tail; ring->head++)
		free(ring->comp[ring->head & ring->mask].error);
	u_lock_fini(&ring->lock);
	free(ring);
}

bool efa_ring_reserve(struct efa_ring *ring)
{
	return efa_ring_reserve_some(ring, 1) == 1;
}

int efa_ring_reserve_some(struct efa_ring *ring, int n)
{
	uint32_t room;

	u_lock(&ring->lock);
	room = ring->mask + 1 - ring->reserved -
	       (ring->tail - ring->head); /* I1 */
	n = (int)u_min(room, (uint32_t)n);
	ring->reserved += (uint32_t)n;
	u_unlock(&ring->lock);
	return n;
}

void efa_ring_cancel(struct efa_ring *ring)
{
	efa_ring_cancel_some(ring, 1);
}

void efa_ring_cancel_some(struct efa_ring *ring, int n)
{
	u_lock(&ring->lock);
	assert(ring->reserved >= (uint32_t)n);
	ring->reserved -= (uint32_t)n;
	u_unlock(&ring->lock);
}

void efa_ring_push(struct efa_ring *ring, const struct rdm_comp *comp)
{
	u_lock(&ring->lock);
	assert(ring->reserved > 0);
	ring->reserved--;
	ring->comp[ring->tail++ & ring->mask] = *comp;
	if (ring->sleeping && ring->event >= 0)
		eventfd_write(ring->event, 1);
	ring->sleeping = false;
	u_unlock(&ring->lock);
}

int efa_ring_read(struct efa_ring *ring, struct rdm_comp *comp, int n)
{
	int got = 0;

	u_lock(&ring->lock);
	while (got < n && ring->head != ring->tail) {
		comp[got] = ring->comp[ring->head & ring->mask];
		if (comp[got].err) {
			got = got ? got : -1;
			break;
		}
		ring->head++;
		got++;
	}
	u_unlock(&ring->lock);
	return got;
}

int efa_ring_read_error(struct efa_ring *ring, struct rdm_comp *comp)
{
	int got = 0;

	u_lock(&ring->lock);
	if (ring->head != ring->tail) {
		*comp = ring->comp[ring->head & ring->mask];
		got = comp->err != 0;
		ring->head += (uint32_t)got;
	}
	u_unlock(&ring->lock);
	return got;
}

bool efa_ring_empty(struct efa_ring *ring)
{
	bool empty;

	u_lock(&ring->lock);
	empty = ring->head == ring->tail;
	u_unlock(&ring->lock);
	return empty;
}

bool efa_ring_sleep(struct efa_ring *ring)
{
	bool empty;

	u_lock(&ring->lock);
	empty = ring->head == ring->tail;
	ring->sleeping = empty;
	u_unlock(&ring->lock);
	return empty;
}
