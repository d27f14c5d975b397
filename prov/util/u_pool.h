/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_pool.h - objects of one size with 32-bit ids that go stale
 *
 * Objects come from chunks that never move and go back only at fini. An id
 * names an object for as long as it is taken: it holds the index, a generation
 * that changes at put, so an id that a peer echoes late or makes up finds
 * nothing, and the space of its pool, so that pools whose ids go the same way
 * can be told apart. Ids are opaque to whoever echoes them.
 *
 * Drive: init, (get, id, at, put)*, fini. One thread at a time.
 */
#ifndef U_POOL_H
#define U_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "util/u_base.h"

#define U_POOL_INDEX_BITS 20
#define U_POOL_MAX (1u << U_POOL_INDEX_BITS) /* objects a pool can hold */
#define U_POOL_SPACES 4u
/* From one generation of an id to the next. */
#define U_POOL_STEP (U_POOL_MAX * U_POOL_SPACES)

/* Lies before every object. */
struct u_pool_node {
	struct u_pool_node *next; /* free list; NULL while taken */
	uint32_t id; /* from the low end: index, space, generation */
	bool taken;
};

struct u_pool {
	struct u_pool_node *free;
	char **chunk; /* [nchunks] */
	size_t stride; /* bytes from node to node */
	uint32_t nchunks;
	uint32_t per_chunk; /* objects; a power of two */
	uint32_t per_chunk_shift;
	uint32_t taken; /* objects out */
	uint32_t limit; /* objects at most */
	uint32_t space; /* 0..U_POOL_SPACES - 1 */
};

/*
 * size: bytes of an object (its alignment is 16). per_chunk: objects a growth,
 * a power of two. limit: 1..U_POOL_MAX. No memory is taken before the first
 * get.
 */
void u_pool_init(struct u_pool *p, size_t size, uint32_t per_chunk,
		 uint32_t limit);

/* Before the first get: the ids will be of that space. */
void u_pool_set_space(struct u_pool *p, uint32_t space);

/* Frees everything, taken objects too. */
void u_pool_fini(struct u_pool *p);

/* Adds a chunk to the free list; false at the limit or without memory. */
bool u_pool_grow(struct u_pool *p);

#define U_POOL_NODE_SIZE u_align(sizeof(struct u_pool_node), 16)

static inline struct u_pool_node *u_pool_node(const void *obj)
{
	return (struct u_pool_node *)((char *)(uintptr_t)obj -
				      U_POOL_NODE_SIZE);
}

/* An object with undefined content, or NULL at the limit or without memory. */
static inline void *u_pool_get(struct u_pool *p)
{
	struct u_pool_node *n;

	if (u_unlikely(!p->free) && !u_pool_grow(p))
		return NULL;
	n = p->free;
	p->free = n->next;
	n->taken = true;
	p->taken++;
	return (char *)n + U_POOL_NODE_SIZE;
}

static inline void u_pool_put(struct u_pool *p, void *obj)
{
	struct u_pool_node *n = u_pool_node(obj);

	assert(n->taken);
	n->id += U_POOL_STEP;
	n->taken = false;
	n->next = p->free;
	p->free = n;
	p->taken--;
}

static inline uint32_t u_pool_id(const void *obj)
{
	return u_pool_node(obj)->id;
}

/* The space that an id, of whatever pool, is of. */
static inline uint32_t u_pool_space(uint32_t id)
{
	return id / U_POOL_MAX % U_POOL_SPACES;
}

/* The object an id names, or NULL when the id is stale or was never given. */
void *u_pool_at(const struct u_pool *p, uint32_t id);

/*
 * Walks the taken objects: pass *cursor = 0 at first; NULL at the end. The
 * object returned may be put before the next call.
 */
void *u_pool_next(const struct u_pool *p, uint32_t *cursor);

#endif
