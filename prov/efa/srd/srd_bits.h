/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_bits.h - a ring of bits, one for each sequence number of a window
 *
 * A bit of a number that has left the window has to be cleared before the
 * number SRD_WINDOW_MAX later may be set.
 */
#ifndef SRD_BITS_H
#define SRD_BITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "srd/srd.h"

#define SRD_BITS_WORDS (SRD_WINDOW_MAX / 32)

struct srd_bits {
	uint32_t word[SRD_BITS_WORDS];
};

static inline uint32_t *srd_bits_word(struct srd_bits *b, uint32_t psn)
{
	return &b->word[psn / 32 % SRD_BITS_WORDS];
}

static inline bool srd_bits_test(const struct srd_bits *b, uint32_t psn)
{
	return b->word[psn / 32 % SRD_BITS_WORDS] >> (psn % 32) & 1;
}

static inline void srd_bits_set(struct srd_bits *b, uint32_t psn)
{
	*srd_bits_word(b, psn) |= 1u << (psn % 32);
}

static inline void srd_bits_clear(struct srd_bits *b, uint32_t psn)
{
	*srd_bits_word(b, psn) &= ~(1u << (psn % 32));
}

/* The bits of psn (the lowest) to psn + 31. */
static inline uint32_t srd_bits_get32(const struct srd_bits *b, uint32_t psn)
{
	uint32_t at = psn / 32, shift = psn % 32;
	uint32_t low = b->word[at % SRD_BITS_WORDS] >> shift;

	if (shift == 0)
		return low;
	return low | b->word[(at + 1) % SRD_BITS_WORDS] << (32 - shift);
}

static inline void srd_bits_zero(struct srd_bits *b)
{
	memset(b, 0, sizeof(*b));
}

#endif
