/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_pool.c - growth of a pool and the way from an id to its object
 */
#include "util/u_pool.h"

#include <stdlib.h>

#define INDEX_MASK (U_POOL_MAX - 1)

void u_pool_init(struct u_pool *p, size_t size, uint32_t per_chunk,
		 uint32_t limit)
{
	assert(per_chunk && (per_chunk & (per_chunk - 1)) == 0);
	assert(limit && limit <= U_POOL_MAX);
	*p = (struct u_pool){
		.stride = U_POOL_NODE_SIZE + u_align(size, 16),
		.per_chunk = per_chunk,
		.per_chunk_shift = (uint32_t)__builtin_ctz(per_chunk),
		.limit = limit,
	};
}

void u_pool_set_space(struct u_pool *p, uint32_t space)
{
	assert(space < U_POOL_SPACES && !p->nchunks);
	p->space = space;
}

void u_pool_fini(struct u_pool *p)
{
	for (uint32_t i = 0; i < p->nchunks; i++)
		free(p->chunk[i]);
	free(p->chunk);
	p->chunk = NULL;
	p->free = NULL;
	p->nchunks = 0;
	p->taken = 0;
}

static struct u_pool_node *node_at(const struct u_pool *p, uint32_t index)
{
	char *chunk = p->chunk[index >> p->per_chunk_shift];
	uint32_t slot = index & (p->per_chunk - 1);

	return (struct u_pool_node *)(chunk + slot * p->stride);
}

bool u_pool_grow(struct u_pool *p)
{
	uint32_t first = p->nchunks * p->per_chunk;
	char **grown;
	char *chunk;

	if (first >= p->limit)
		return false;
	grown = realloc(p->chunk, (p->nchunks + 1) * sizeof(*grown));
	if (!grown)
		return false;
	p->chunk = grown;
	chunk = aligned_alloc(U_LINE,
			      u_align(p->per_chunk * p->stride, U_LINE));
	if (!chunk)
		return false;
	p->chunk[p->nchunks++] = chunk;
	for (uint32_t i = p->per_chunk; i-- > 0;) {
		struct u_pool_node *n = node_at(p, first + i);

		n->id = first + i + p->space * U_POOL_MAX;
		n->taken = false;
		n->next = p->free;
		if (first + i < p->limit)
			p->free = n;
	}
	return true;
}

void *u_pool_at(const struct u_pool *p, uint32_t id)
{
	uint32_t index = id & INDEX_MASK;
	struct u_pool_node *n;

	if (index >> p->per_chunk_shift >= p->nchunks)
		return NULL;
	n = node_at(p, index);
	if (!n->taken || n->id != id)
		return NULL;
	return (char *)n + U_POOL_NODE_SIZE;
}

void *u_pool_next(const struct u_pool *p, uint32_t *cursor)
{
	while (*cursor >> p->per_chunk_shift < p->nchunks) {
		struct u_pool_node *n = node_at(p, (*cursor)++);

		if (n->taken)
			return (char *)n + U_POOL_NODE_SIZE;
	}
	return NULL;
}
