/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mt_pattern.c - the bytes of one message between two ranks
 */
#include "mt.h"

#include "../pattern.h"

static uint64_t seed_of(struct mt_key key)
{
	uint64_t x = pattern_mix((uint64_t)key.rank + 1);

	x = pattern_mix(x + key.size);
	x = pattern_mix(x + key.iteration);
	return x + key.slot;
}

void mt_fill(void *p, size_t len, struct mt_key key)
{
	pattern_fill(p, len, seed_of(key));
}

void mt_check(struct mt *mt, const void *p, size_t len, struct mt_key key,
	      const char *what)
{
	size_t at = pattern_check(p, len, seed_of(key));

	mt_expect(mt, at == len,
		  "%s: from rank %d size %zu iteration %zu slot %zu: "
		  "wrong from byte %zu of %zu",
		  what, key.rank, key.size, key.iteration, key.slot, at, len);
}
