/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * memory.h - a pair of which the first end reads and writes the second one's
 * memory, for tests
 */
#ifndef MEMORY_H
#define MEMORY_H

#include "pair.h"
#include "rdm/rdm_move.h"

enum { MEMORY_MAX = 100001, MEMORY_WAYS = 11, MEMORY_LENGTHS = 13 };

/* Devices and peers that have RDMA, a part of it, or none. */
extern const struct pair_options memory_ways[MEMORY_WAYS];
/* Both sides of each length where the way changes. */
extern const size_t memory_lengths[MEMORY_LENGTHS];

struct memory {
	struct pair p;
	uint8_t *local, *target;
	struct dev_mr *mr; /* of target; NULL: closed */
};

/* access: enum dev_access bits that the target gives. */
void memory_open(struct memory *m, const struct pair_options *o,
		 uint32_t access);
/* Nothing may be left. */
void memory_close(struct memory *m);
int memory_post(struct memory *m, bool read, size_t len, uint32_t flags);
/* It is done, and no byte is wrong, nor one behind. */
void memory_check(struct memory *m, bool read, size_t len, uint32_t flags);

#endif
