/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_pool.c - packets in registered memory, by the chunk
 *
 * Memory grows with use and shrinks again, in chunks that are registered whole
 * and lie on pages of their own: libibverbs may forbid a forked child to touch
 * pages of registered memory, which must then be nobody else's. Packets come
 * from the lowest chunk that has one, so that the higher ones become free.
 */
#include "dev_verbs_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Packets put between two looks at how many are needed. */
#define LOOK 4096

static size_t chunk_bytes(const struct verbs_pool *p)
{
	return u_align((size_t)p->stride * VERBS_CHUNK,
		       (size_t)sysconf(_SC_PAGESIZE));
}

int verbs_pool_init(struct verbs_pool *p, struct verbs_dev *vd, uint32_t bytes,
		    uint32_t max_pkts)
{
	uint32_t max = (max_pkts + VERBS_CHUNK - 1) / VERBS_CHUNK;

	*p = (struct verbs_pool){
		.vd = vd,
		.max_chunks = max,
		.stride = (uint32_t)u_align(bytes, U_LINE),
	};
	p->chunk = calloc(max, sizeof(*p->chunk));
	p->ready = calloc((max + 63) / 64, sizeof(*p->ready));
	if (p->chunk && p->ready)
		return 0;
	free(p->chunk);
	free(p->ready);
	*p = (struct verbs_pool){ .vd = vd };
	return -ENOMEM;
}

static void chunk_free(struct verbs_pool *p, uint32_t i)
{
	ibv_dereg_mr(p->chunk[i].mr);
	munmap(p->chunk[i].mem, chunk_bytes(p));
	p->chunk[i] = (struct verbs_chunk){ .mem = NULL };
	p->ready[i / 64] &= ~(UINT64_C(1) << i % 64);
	p->nchunks--;
}

void verbs_pool_fini(struct verbs_pool *p)
{
	for (uint32_t i = 0; i < p->max_chunks; i++)
		if (p->chunk[i].mem)
			chunk_free(p, i);
	free(p->chunk);
	free(p->ready);
}

U_COLD int verbs_pool_grow(struct verbs_pool *p)
{
	size_t bytes = chunk_bytes(p);
	struct verbs_chunk *c = NULL;
	uint32_t i;

	for (i = 0; i < p->max_chunks && !c; i++)
		if (!p->chunk[i].mem)
			c = &p->chunk[i];
	if (!c || p->full)
		return -ENOMEM;
	i = (uint32_t)(c - p->chunk);
	c->mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->mem == MAP_FAILED)
		goto no_memory;
	c->mr = verbs_reg_mr(p->vd, c->mem, bytes, IBV_ACCESS_LOCAL_WRITE);
	if (!c->mr)
		goto unmap;
	c->free = UINT32_MAX;
	p->ready[i / 64] |= UINT64_C(1) << i % 64;
	p->nchunks++;
	return 0;
unmap:
	munmap(c->mem, bytes);
no_memory:
	c->mem = NULL;
	p->full = true;
	return -ENOMEM;
}

uint32_t verbs_pool_get(struct verbs_pool *p)
{
	struct verbs_chunk *c;
	uint32_t word = 0, i, bit;

	while (word * 64 < p->max_chunks && !p->ready[word])
		word++;
	if (u_unlikely(word * 64 >= p->max_chunks))
		return VERBS_NONE;
	i = word * 64 + (uint32_t)__builtin_ctzll(p->ready[word]);
	c = &p->chunk[i];
	bit = (uint32_t)__builtin_ctz(c->free);
	c->free &= c->free - 1;
	if (!c->free)
		p->ready[word] &= p->ready[word] - 1;
	if (++p->taken > p->peak)
		p->peak = p->taken;
	return i * VERBS_CHUNK + bit;
}

/* Half as much again as was needed lately is kept. */
static U_COLD void look(struct verbs_pool *p)
{
	uint32_t keep = (p->peak + p->peak / 2) / VERBS_CHUNK + 1;

	p->puts = 0;
	p->peak = p->taken;
	p->full = false;
	verbs_pool_trim(p, keep);
}

void verbs_pool_put(struct verbs_pool *p, uint32_t pkt)
{
	uint32_t i = pkt / VERBS_CHUNK;

	assert(!(p->chunk[i].free & 1u << pkt % VERBS_CHUNK));
	p->chunk[i].free |= 1u << pkt % VERBS_CHUNK;
	p->ready[i / 64] |= UINT64_C(1) << i % 64;
	p->taken--;
	if (u_unlikely(++p->puts >= LOOK))
		look(p);
}

void verbs_pool_trim(struct verbs_pool *p, uint32_t keep)
{
	for (uint32_t i = p->max_chunks; i-- && p->nchunks > keep;)
		if (p->chunk[i].mem && p->chunk[i].free == UINT32_MAX)
			chunk_free(p, i);
}
