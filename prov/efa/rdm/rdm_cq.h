/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_cq.h - the ring of results of an rdm_cq, and the push into it
 *
 * One entry is one cache line. The ring doubles when it is full, so it is
 * never overrun; only where that fails for memory is an entry lost, which is
 * counted and logged.
 *
 * Invariants, under the lock:
 * I1: head..tail are the entries, oldest first; tail - head <= mask + 1.
 * I2: sleeping is set only while the ring was empty since it was set; the
 *     push that ends that clears it and signals fd.
 */
#ifndef RDM_CQ_H
#define RDM_CQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "rdm/rdm.h"
#include "util/u_base.h"
#include "util/u_lock.h"

_Static_assert(sizeof(struct rdm_comp) == U_LINE, "an entry is one line");

struct rdm_cq {
	struct u_lock lock; /* guards all below; off when not shared */
	struct rdm_comp *ring; /* [mask + 1], ours; entries own ->error */
	uint32_t mask; /* entries - 1; a power of two - 1 */
	/* Free-running. Written under the lock; empty() reads without it. */
	_Atomic uint32_t head; /* next to read */
	_Atomic uint32_t tail; /* next to write */
	int fd; /* eventfd of the owner, not ours; -1: none */
	bool sleeping; /* the next push signals fd */
	uint64_t lost; /* entries dropped because the ring could not grow */
};

/* Doubles the ring. False without memory: then nothing has changed. */
bool rdm_cq_grow(struct rdm_cq *cq);

/* Counts and logs an entry for which there is no room, frees its ->error. */
void rdm_cq_lose(struct rdm_cq *cq, const struct rdm_comp *comp);

/* Ends the sleep: signals fd. */
void rdm_cq_wake(struct rdm_cq *cq);

/* Appends a copy of comp; takes comp->error. */
static inline void rdm_cq_push(struct rdm_cq *cq, const struct rdm_comp *comp)
{
	uint32_t head, tail;

	u_lock(&cq->lock);
	head = atomic_load_explicit(&cq->head, memory_order_relaxed);
	tail = atomic_load_explicit(&cq->tail, memory_order_relaxed);
	if (u_likely(tail - head <= cq->mask) || rdm_cq_grow(cq)) {
		cq->ring[tail & cq->mask] = *comp;
		atomic_store_explicit(&cq->tail, tail + 1,
				      memory_order_relaxed);
		if (u_unlikely(cq->sleeping))
			rdm_cq_wake(cq);
	} else {
		rdm_cq_lose(cq, comp);
	}
	u_unlock(&cq->lock);
}

#endif
