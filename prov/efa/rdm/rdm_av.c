/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_av.c - the address table: index to address without a lock, address to
 * index by hash
 *
 * Entries lie in chunks that never move. Chunks grow by a quarter of what is
 * there, so that 40 bytes an entry, 4..8 of the buckets and a fifth of slack
 * stay under 64 bytes an address.
 *
 * A free index rests until RESTING others are free too, and the one that
 * rested longest goes first: an index that the application still uses after
 * removing it finds nothing for a while instead of somebody else.
 *
 * Invariants, under the lock:
 * I1: state is odd while the entry is in use: refs > 0, it is in its bucket;
 *     even while it is free: refs == 0, it is in the list of free ones.
 * I2: words change only while state is even.
 *
 * Edges without the lock
 * entry-made: the store of state (odd) releases the words; lookup acquires it.
 * entry-changed: each store of a word releases the even state before it; a
 *   lookup that acquires such a word finds another state than at first.
 * chunk-made: the store of count releases the chunk's pointer; lookup acquires
 *   count.
 */
#include "rdm/rdm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_base.h"
#include "util/u_hash.h"
#include "util/u_lock.h"

#define NONE UINT32_MAX
#define RESTING 64
#define BUCKETS_MIN 64u

/* Chunks: four of one size, four of twice that, and so on. */
#define FIRST_BITS 6 /* the first four hold 1 << FIRST_BITS entries together */
#define CHUNKS (4 * (31 - FIRST_BITS))
#define INDEX_MAX (UINT32_C(1) << 30)

#define WORDS (sizeof(struct dev_addr) / sizeof(uint64_t))

_Static_assert(sizeof(struct dev_addr) == 24, "three words, no padding");

struct entry {
	_Atomic uint64_t word[WORDS]; /* the address */
	_Atomic uint32_t state; /* I1; how often it was taken and freed */
	uint32_t refs;
	uint32_t next; /* index in its bucket or the free list, or NONE */
};

struct rdm_av {
	struct u_lock lock; /* guards all but what is atomic */
	struct entry *_Atomic chunk[CHUNKS]; /* NULL until needed */
	_Atomic uint32_t count; /* entries ever used; grows only */
	_Atomic uint32_t generation;
	uint32_t *bucket; /* [1 << (64 - shift)] first index, or NONE */
	uint32_t shift;
	uint32_t used; /* entries in use */
	uint32_t free_first, free_last; /* oldest and newest, or NONE */
	uint32_t nfree;
};

struct place {
	uint32_t chunk, slot, size; /* size: entries of the chunk */
};

static struct place place_of(uint32_t index)
{
	uint32_t n = index + (UINT32_C(1) << FIRST_BITS);
	uint32_t top = 31 - (uint32_t)__builtin_clz(n);
	uint32_t quarter = n >> (top - 2) & 3;
	uint32_t size = UINT32_C(1) << (top - 2);

	return (struct place){
		.chunk = (top - FIRST_BITS) * 4 + quarter,
		.slot = n & (size - 1),
		.size = size,
	};
}

/* The entry of an index below count. */
static struct entry *entry_at(const struct rdm_av *av, uint32_t index)
{
	struct place p = place_of(index);

	return atomic_load_explicit(&av->chunk[p.chunk], memory_order_relaxed) +
	       p.slot;
}

/* ---- addresses and their hash -------------------------------------------- */

struct words {
	uint64_t w[WORDS];
};

static struct words words_of(const struct dev_addr *addr)
{
	struct words words;

	memcpy(&words, addr, sizeof(words));
	return words;
}

static bool entry_is(const struct entry *e, const struct words *words)
{
	for (size_t i = 0; i < WORDS; i++)
		if (atomic_load_explicit(&e->word[i], memory_order_relaxed) !=
		    words->w[i])
			return false;
	return true;
}

static uint32_t *bucket_of(struct rdm_av *av, const struct words *words)
{
	uint64_t hash = u_hash2(u_hash2(words->w[0], words->w[1]),
				u_mix64(words->w[2]));

	return &av->bucket[hash >> av->shift];
}

static struct words words_in(const struct entry *e)
{
	struct words words;

	for (size_t i = 0; i < WORDS; i++)
		words.w[i] =
			atomic_load_explicit(&e->word[i], memory_order_relaxed);
	return words;
}

static uint32_t nbuckets(const struct rdm_av *av)
{
	return UINT32_C(1) << (64 - av->shift);
}

/* n is a power of two from 2 to INDEX_MAX. */
static bool buckets_make(struct rdm_av *av, uint32_t n)
{
	uint32_t *bucket = malloc(n * sizeof(*bucket));

	if (!bucket)
		return false;
	memset(bucket, 0xff, n * sizeof(*bucket)); /* NONE */
	free(av->bucket);
	av->bucket = bucket;
	av->shift = 64 - (uint32_t)__builtin_ctz(n);
	return true;
}

/* Without memory the chains get longer. */
static void buckets_grow(struct rdm_av *av)
{
	if (!buckets_make(av, nbuckets(av) * 2))
		return;
	for (uint32_t i = 0; i < av->count; i++) {
		struct entry *e = entry_at(av, i);
		struct words words = words_in(e);
		uint32_t *bucket;

		if (!e->refs)
			continue;
		bucket = bucket_of(av, &words);
		e->next = *bucket;
		*bucket = i;
	}
}

/* The link that holds the index of the address, or the NONE of its bucket. */
static uint32_t *find(struct rdm_av *av, const struct words *words)
{
	uint32_t *at = bucket_of(av, words);

	while (*at != NONE && !entry_is(entry_at(av, *at), words))
		at = &entry_at(av, *at)->next;
	return at;
}

/* ---- taking and freeing entries ------------------------------------------ */

/* Makes the entry of the first index that was never used. */
static int entry_grow(struct rdm_av *av, uint32_t *index)
{
	uint32_t i = av->count;
	struct place p = place_of(i);
	struct entry *chunk;

	if (i >= INDEX_MAX)
		return -ENOMEM;
	if (p.slot == 0) {
		chunk = calloc(p.size, sizeof(*chunk));
		if (!chunk)
			return -ENOMEM;
		atomic_store_explicit(&av->chunk[p.chunk], chunk,
				      memory_order_relaxed);
	}
	/* release: edge chunk-made */
	atomic_store_explicit(&av->count, i + 1, memory_order_release);
	*index = i;
	return 0;
}

/* An index whose entry is free and in no list. */
static int entry_take(struct rdm_av *av, uint32_t *index)
{
	if (av->nfree <= RESTING)
		return entry_grow(av, index);
	*index = av->free_first;
	av->free_first = entry_at(av, *index)->next;
	av->nfree--;
	return 0;
}

static void entry_free(struct rdm_av *av, uint32_t index)
{
	struct entry *e = entry_at(av, index);

	e->next = NONE;
	if (av->nfree++ == 0)
		av->free_first = index;
	else
		entry_at(av, av->free_last)->next = index;
	av->free_last = index;
}

static void entry_fill(struct entry *e, const struct words *words)
{
	uint32_t state = atomic_load_explicit(&e->state, memory_order_relaxed);

	assert((state & 1) == 0); /* I2 */
	for (size_t i = 0; i < WORDS; i++) /* release: edge entry-changed */
		atomic_store_explicit(&e->word[i], words->w[i],
				      memory_order_release);
	/* release: edge entry-made */
	atomic_store_explicit(&e->state, state + 1, memory_order_release);
}

/* ---- the door ------------------------------------------------------------ */

struct rdm_av *rdm_av_new(size_t count)
{
	uint32_t n = BUCKETS_MIN;
	struct rdm_av *av;

	while (n < count && n < INDEX_MAX)
		n *= 2;
	av = calloc(1, sizeof(*av));
	if (!av)
		return NULL;
	if (!buckets_make(av, n)) {
		free(av);
		return NULL;
	}
	av->free_first = NONE;
	av->free_last = NONE;
	u_lock_init(&av->lock, true);
	return av;
}

void rdm_av_free(struct rdm_av *av)
{
	if (!av)
		return;
	for (size_t i = 0; i < CHUNKS; i++)
		free(av->chunk[i]);
	u_lock_fini(&av->lock);
	free(av->bucket);
	free(av);
}

static bool addr_can_be(const struct dev_addr *addr)
{
	static const uint8_t none[sizeof(addr->gid)];

	return addr->qpn && memcmp(addr->gid, none, sizeof(none)) != 0;
}

static int insert_fresh(struct rdm_av *av, const struct words *words,
			uint32_t *index)
{
	uint32_t *bucket;
	struct entry *e;
	int rc;

	if (av->used >= nbuckets(av) && nbuckets(av) < INDEX_MAX)
		buckets_grow(av);
	rc = entry_take(av, index);
	if (rc)
		return rc;
	e = entry_at(av, *index);
	e->refs = 1;
	bucket = bucket_of(av, words);
	e->next = *bucket;
	*bucket = *index;
	av->used++;
	entry_fill(e, words);
	atomic_fetch_add_explicit(&av->generation, 1, memory_order_release);
	return 0;
}

int rdm_av_insert(struct rdm_av *av, const struct dev_addr *addr,
		  uint64_t *index)
{
	struct words words = words_of(addr);
	uint32_t at;
	int rc = 0;

	if (!addr_can_be(addr))
		return -EINVAL;
	u_lock(&av->lock);
	at = *find(av, &words);
	if (at != NONE)
		entry_at(av, at)->refs++;
	else
		rc = insert_fresh(av, &words, &at);
	u_unlock(&av->lock);
	if (rc)
		return rc;
	*index = at;
	return 0;
}

/* Drops the last reference of an entry in use. */
static void remove_last(struct rdm_av *av, uint32_t index)
{
	struct entry *e = entry_at(av, index);
	struct words words = words_in(e);
	uint32_t *at = find(av, &words);

	assert(*at == index);
	*at = e->next;
	av->used--;
	atomic_fetch_add_explicit(&e->state, 1, memory_order_relaxed);
	entry_free(av, index);
}

int rdm_av_remove(struct rdm_av *av, uint64_t index)
{
	struct entry *e;
	int rc = -EINVAL;

	u_lock(&av->lock);
	if (index >= av->count)
		goto unlock;
	e = entry_at(av, (uint32_t)index);
	if (!e->refs)
		goto unlock;
	rc = --e->refs == 0;
	if (rc)
		remove_last(av, (uint32_t)index);
unlock:
	u_unlock(&av->lock);
	return rc;
}

int rdm_av_lookup(const struct rdm_av *av, uint64_t index,
		  struct dev_addr *addr)
{
	const struct entry *e;
	struct words words;
	uint32_t state;

	/* acquire: edge chunk-made */
	if (index >= atomic_load_explicit(&av->count, memory_order_acquire))
		return -EINVAL;
	e = entry_at(av, (uint32_t)index);
	/* acquire: edge entry-made */
	state = atomic_load_explicit(&e->state, memory_order_acquire);
	if ((state & 1) == 0)
		return -EINVAL;
	for (size_t i = 0; i < WORDS; i++) /* acquire: edge entry-changed */
		words.w[i] =
			atomic_load_explicit(&e->word[i], memory_order_acquire);
	if (atomic_load_explicit(&e->state, memory_order_relaxed) != state)
		return -EINVAL; /* removed meanwhile */
	memcpy(addr, &words, sizeof(*addr));
	return 0;
}

uint64_t rdm_av_find(struct rdm_av *av, const struct dev_addr *addr)
{
	struct words words = words_of(addr);
	uint32_t at;

	u_lock(&av->lock);
	at = *find(av, &words);
	u_unlock(&av->lock);
	return at == NONE ? RDM_ADDR_NONE : at;
}

uint64_t rdm_av_find_any(struct rdm_av *av, const struct dev_addr *addr)
{
	uint64_t found = RDM_ADDR_NONE;
	struct dev_addr at;

	for (uint32_t i = 0; i < atomic_load(&av->count); i++)
		if (!rdm_av_lookup(av, i, &at) && at.qpn == addr->qpn &&
		    !memcmp(at.gid, addr->gid, sizeof(at.gid)))
			found = i;
	return found;
}

uint32_t rdm_av_generation(const struct rdm_av *av)
{
	return atomic_load_explicit(&av->generation, memory_order_acquire);
}
