/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_rand.h - random numbers that a seed decides
 *
 * The state counts in steps of the golden ratio, and each count is mixed.
 */
#ifndef SIM_RAND_H
#define SIM_RAND_H

#include <stdint.h>

#include "util/u_hash.h"

struct sim_rand {
	uint64_t state;
};

static inline uint64_t sim_rand_next(struct sim_rand *r)
{
	r->state += UINT64_C(0x9e3779b97f4a7c15);
	return u_mix64(r->state);
}

/* 0..n - 1; n is at least 1. */
static inline uint32_t sim_rand_below(struct sim_rand *r, uint32_t n)
{
	return (uint32_t)(((sim_rand_next(r) >> 32) * n) >> 32);
}

/* [0, 1) */
static inline double sim_rand_unit(struct sim_rand *r)
{
	return (double)(sim_rand_next(r) >> 11) * 0x1p-53;
}

#endif
