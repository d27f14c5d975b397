/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_ring.h - the completion queue of thin endpoints
 *
 * Who posts reserves a place, and pushes or cancels when it is over.
 */
#ifndef EFA_RING_H
#define EFA_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "rdm/rdm.h"

struct efa_ring;

/* NULL without memory. event: eventfd to signal when a sleeper waits; -1. */
struct efa_ring *efa_ring_new(size_t size, bool locked, int event);
void efa_ring_free(struct efa_ring *ring);
/* Keeps a place for one entry; false: all are taken or promised. */
bool efa_ring_reserve(struct efa_ring *ring);
/* As many as there are, at most n. */
int efa_ring_reserve_some(struct efa_ring *ring, int n);
/* The place, or n of them, are not needed. */
void efa_ring_cancel(struct efa_ring *ring);
void efa_ring_cancel_some(struct efa_ring *ring, int n);
/* Into a place that was reserved. comp->error is the ring's now. */
void efa_ring_push(struct efa_ring *ring, const struct rdm_comp *comp);
/* As rdm_cq_read, rdm_cq_read_error, rdm_cq_empty and rdm_cq_sleep. */
int efa_ring_read(struct efa_ring *ring, struct rdm_comp *comp, int n);
int efa_ring_read_error(struct efa_ring *ring, struct rdm_comp *comp);
bool efa_ring_empty(struct efa_ring *ring);
bool efa_ring_sleep(struct efa_ring *ring);

#endif
