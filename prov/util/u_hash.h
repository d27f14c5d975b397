/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_hash.h - mixing of integers for hash tables, and random numbers
 */
#ifndef U_HASH_H
#define U_HASH_H

#include <stdint.h>

/* Finalizer of MurmurHash3 (public domain): every input bit reaches all. */
static inline uint64_t u_mix64(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64_C(0xc4ceb9fe1a85ec53);
	x ^= x >> 33;
	return x;
}

/* One multiplication: good in the top bits; index = hash >> (64 - bits). */
static inline uint64_t u_hash2(uint64_t a, uint64_t b)
{
	return (a ^ (b * UINT64_C(0x9e3779b97f4a7c15))) *
	       UINT64_C(0xd6e8feb86659fd93);
}

/* From the kernel; from clock and process id where it has none to give. */
uint64_t u_random64(void);

#endif
