/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_cq.c - reading of results, growth of their ring, and sleep
 *
 * The lock orders everything; the only look without it is rdm_cq_empty(),
 * which polling loops call much more often than they find something.
 */
#include "rdm/rdm_cq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/u_lines.h"
#include "util/u_log.h"

#define RING_MIN 64u /* entries */
#define RING_MAX (1u << 31) /* entries */

static struct rdm_comp *ring_new(size_t entries)
{
	return aligned_alloc(U_LINE, entries * sizeof(struct rdm_comp));
}

struct rdm_cq *rdm_cq_new(size_t size, bool locked)
{
	uint32_t entries = RING_MIN;
	struct rdm_cq *cq;

	while (entries < size && entries < RING_MAX)
		entries *= 2;
	cq = u_lines_new(sizeof(*cq));
	if (!cq)
		return NULL;
	cq->ring = ring_new(entries);
	if (!cq->ring) {
		free(cq);
		return NULL;
	}
	cq->mask = entries - 1;
	cq->fd = -1;
	u_lock_init(&cq->lock, locked);
	return cq;
}

void rdm_cq_free(struct rdm_cq *cq)
{
	if (!cq)
		return;
	for (uint32_t i = cq->head; i != cq->tail; i++)
		free(cq->ring[i & cq->mask].error);
	u_lock_fini(&cq->lock);
	free(cq->ring);
	free(cq);
}

U_COLD bool rdm_cq_grow(struct rdm_cq *cq)
{
	uint32_t entries = cq->mask + 1;
	struct rdm_comp *grown;

	if (entries >= RING_MAX)
		return false;
	grown = ring_new((size_t)entries * 2);
	if (!grown)
		return false;
	for (uint32_t i = cq->head; i != cq->tail; i++)
		grown[i & (entries * 2 - 1)] = cq->ring[i & cq->mask];
	free(cq->ring);
	cq->ring = grown;
	cq->mask = entries * 2 - 1;
	return true;
}

U_COLD void rdm_cq_lose(struct rdm_cq *cq, const struct rdm_comp *comp)
{
	free(comp->error);
	cq->lost++;
	if ((cq->lost & (cq->lost - 1)) == 0)
		u_warn("completion queue: no memory beyond %u entries, %llu "
		       "lost; read completions more often",
		       cq->mask + 1, (unsigned long long)cq->lost);
}

U_COLD void rdm_cq_wake(struct rdm_cq *cq)
{
	uint64_t one = 1;

	cq->sleeping = false;
	if (cq->fd >= 0 && write(cq->fd, &one, sizeof(one)) < 0 &&
	    errno != EAGAIN) /* the count is full: it is readable */
		u_warn("completion queue: cannot signal: %s", strerror(errno));
}

bool rdm_cq_empty(struct rdm_cq *cq)
{
	/*
	 * head before tail: equal then means empty at the second load. The
	 * order is a hint for other threads only, and needs no barrier: the
	 * entries are read under the lock.
	 */
	uint32_t head = atomic_load_explicit(&cq->head, memory_order_relaxed);

	return head == atomic_load_explicit(&cq->tail, memory_order_relaxed);
}

int rdm_cq_read(struct rdm_cq *cq, struct rdm_comp *comp, int n)
{
	uint32_t head, tail;
	int got = 0;

	if (rdm_cq_empty(cq))
		return 0;
	u_lock(&cq->lock);
	head = atomic_load_explicit(&cq->head, memory_order_relaxed);
	tail = atomic_load_explicit(&cq->tail, memory_order_relaxed);
	while (head != tail) {
		const struct rdm_comp *entry = &cq->ring[head & cq->mask];

		if (u_unlikely(entry->err)) {
			if (got == 0)
				got = -1;
			break;
		}
		if (got >= n)
			break;
		comp[got++] = *entry;
		head++;
	}
	atomic_store_explicit(&cq->head, head, memory_order_relaxed);
	u_unlock(&cq->lock);
	return got;
}

int rdm_cq_read_error(struct rdm_cq *cq, struct rdm_comp *comp)
{
	const struct rdm_comp *entry;
	uint32_t head;
	int got = 0;

	if (rdm_cq_empty(cq))
		return 0;
	u_lock(&cq->lock);
	head = atomic_load_explicit(&cq->head, memory_order_relaxed);
	entry = &cq->ring[head & cq->mask];
	if (head != atomic_load_explicit(&cq->tail, memory_order_relaxed) &&
	    entry->err) {
		*comp = *entry;
		atomic_store_explicit(&cq->head, head + 1,
				      memory_order_relaxed);
		got = 1;
	}
	u_unlock(&cq->lock);
	return got;
}

void rdm_cq_set_fd(struct rdm_cq *cq, int fd)
{
	u_lock(&cq->lock);
	cq->fd = fd;
	u_unlock(&cq->lock);
}

bool rdm_cq_sleep(struct rdm_cq *cq)
{
	bool empty;

	u_lock(&cq->lock);
	empty = rdm_cq_empty(cq);
	if (empty)
		cq->sleeping = true;
	u_unlock(&cq->lock);
	return empty;
}
