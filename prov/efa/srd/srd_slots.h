/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_slots.h - buffers of one size, the last one given back taken first
 *
 * A slot that was never taken has never been touched: it costs no memory. The
 * memory is the caller's, who sets mem, free, n and size.
 */
#ifndef SRD_SLOTS_H
#define SRD_SLOTS_H

#include <stdint.h>

#include "util/u_base.h"

#define SRD_SLOT_NONE UINT32_MAX

struct srd_slots {
	char *mem;
	uint32_t *free; /* [nfree] of [n]: given back */
	uint32_t nfree;
	uint32_t fresh; /* slots from this one on were never taken */
	uint32_t n;
	size_t size; /* bytes from slot to slot */
};

static inline uint32_t srd_slots_get(struct srd_slots *slots)
{
	if (slots->nfree)
		return slots->free[--slots->nfree];
	return slots->fresh < slots->n ? slots->fresh++ : SRD_SLOT_NONE;
}

static inline void srd_slots_put(struct srd_slots *slots, uint32_t slot)
{
	assert(slot < slots->fresh && slots->nfree < slots->fresh);
	slots->free[slots->nfree++] = slot;
}

static inline uint32_t srd_slots_left(const struct srd_slots *slots)
{
	return slots->nfree + slots->n - slots->fresh;
}

static inline void *srd_slots_at(const struct srd_slots *slots, uint32_t slot)
{
	assert(slot < slots->n);
	return slots->mem + (size_t)slot * slots->size;
}

#endif
