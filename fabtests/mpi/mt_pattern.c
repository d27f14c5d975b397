/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mt_pattern.c - the bytes of one message between two ranks
 */
#include "mt.h"

#include "../pattern.h"

const size_t mt_sizes[MT_SIZES] = {
	0, 1, 7, 64, 1000, 4096, 9000, 16384, 65537, 100000, MT_BIG, 2000000
};

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

void mt_expect_status(struct mt *mt, MPI_Status *status, int source, int tag,
		      size_t size)
{
	int count = -1;

	MPI_Get_count(status, MPI_CHAR, &count);
	mt_expect(mt, status->MPI_SOURCE == source, "source %d, not %d",
		  status->MPI_SOURCE, source);
	mt_expect(mt, status->MPI_TAG == tag, "tag %d, not %d", status->MPI_TAG,
		  tag);
	mt_expect(mt, count >= 0 && (size_t)count == size, "%d bytes, not %zu",
		  count, size);
}

void *mt_filled(size_t size, struct mt_key key)
{
	void *p = mt_alloc(size);

	mt_fill(p, size, key);
	return p;
}

void *mt_fresh(size_t size)
{
	return mt_alloc(size);
}
