/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_set.c - what a cache holds: the tree, the idle ones, the limits
 *
 * Nothing but pointers moves here, as the lock is held (I2).
 */
#include "dev_cache_priv.h"

#include <assert.h>

#include "util/u_base.h"

static struct cache_entry *entry_of(struct dev_cache_node *n)
{
	return n ? u_container_of(n, struct cache_entry, node) : NULL;
}

static bool permits(const struct cache_entry *e, uint32_t access)
{
	return (e->access & access) == access;
}

struct cache_entry *cache_find(struct dev_cache *c, uint64_t lo, uint64_t hi,
			       uint32_t access)
{
	struct cache_entry *e = c->recent;

	if (e && e->node.lo <= lo && e->node.hi >= hi && permits(e, access))
		return e;
	e = entry_of(dev_cache_tree_covering(&c->tree, lo, hi));
	return e && permits(e, access) ? e : NULL;
}

void cache_hold(struct dev_cache *c, struct cache_entry *e)
{
	assert(e->state == CACHE_KEPT);
	if (e->refs++ == 0)
		TAILQ_REMOVE(&c->idle, e, link);
	c->recent = e;
	c->stats.hits++;
}

void cache_drop(struct dev_cache *c, struct cache_entry *e,
		struct cache_list *out)
{
	assert(e->refs > 0);
	if (--e->refs)
		return;
	if (e->state == CACHE_KEPT)
		TAILQ_INSERT_HEAD(&c->idle, e, link);
	else
		TAILQ_INSERT_TAIL(out, e, link);
}

/* Takes e out of the tree, and into out if nobody holds it. */
static void leave(struct dev_cache *c, struct cache_entry *e,
		  struct cache_list *out)
{
	assert(e->state == CACHE_KEPT); /* I1 */
	dev_cache_tree_remove(&c->tree, &e->node);
	if (c->recent == e)
		c->recent = NULL;
	c->stats.count--;
	c->stats.bytes -= e->out.len;
	e->state = CACHE_LOOSE;
	if (e->refs)
		return;
	TAILQ_REMOVE(&c->idle, e, link);
	TAILQ_INSERT_TAIL(out, e, link);
}

void cache_revoke(struct dev_cache *c, struct cache_entry *e,
		  struct cache_list *out)
{
	if (e->state == CACHE_KEPT) {
		leave(c, e, out);
		c->stats.invalidations++;
	}
	cache_drop(c, e, out);
}

bool cache_evict(struct dev_cache *c, struct cache_list *out)
{
	struct cache_entry *e = TAILQ_LAST(&c->idle, cache_list);

	if (!e)
		return false;
	leave(c, e, out);
	c->stats.evictions++;
	return true;
}

static bool fits(const struct dev_cache *c, uint64_t bytes)
{
	if (c->config.max_count && c->stats.count >= c->config.max_count)
		return false;
	return !c->config.max_bytes ||
	       c->stats.bytes + bytes <= c->config.max_bytes;
}

/* Room for one more, of so many bytes; false: there can be none. */
static bool make_room(struct dev_cache *c, uint64_t bytes,
		      struct cache_list *out)
{
	if (c->config.max_bytes && bytes > c->config.max_bytes)
		return false;
	while (!fits(c, bytes)) {
		if (!cache_evict(c, out))
			return false;
	}
	return true;
}

bool cache_making(struct dev_cache *c, struct cache_entry *e, uint64_t lo,
		  uint64_t hi, uint32_t access, struct cache_list *out)
{
	struct cache_entry *weak =
		entry_of(dev_cache_tree_covering(&c->tree, lo, hi));

	if (weak) {
		lo = weak->node.lo;
		hi = weak->node.hi;
		access |= weak->access;
	}
	e->node.lo = e->out.addr = lo;
	e->node.hi = hi;
	e->out.len = hi - lo;
	e->access = access;
	e->refs = 1;
	if (!make_room(c, e->out.len, out))
		return false;
	e->state = CACHE_MAKING;
	TAILQ_INSERT_TAIL(&c->making, e, link);
	return true;
}

void cache_made(struct dev_cache *c, struct cache_entry *e, bool good,
		struct cache_list *out)
{
	bool changed = e->state == CACHE_LOOSE;
	struct dev_cache_node *n;

	TAILQ_REMOVE(&c->making, e, link);
	e->state = CACHE_LOOSE;
	if (!good || changed) /* I3 */
		return;
	while ((n = dev_cache_tree_inside(&c->tree, e->node.lo, e->node.hi)))
		leave(c, entry_of(n), out);
	/* Another thread may have been quicker, or filled the room. */
	if (dev_cache_tree_covering(&c->tree, e->node.lo, e->node.hi) ||
	    !make_room(c, e->out.len, out))
		return;
	e->state = CACHE_KEPT;
	dev_cache_tree_insert(&c->tree, &e->node);
	c->recent = e;
	c->stats.count++;
	c->stats.bytes += e->out.len;
}

void cache_take_dead(struct dev_cache *c, struct cache_list *out)
{
	TAILQ_CONCAT(out, &c->dead, link);
	atomic_store_explicit(&c->burials, false, memory_order_relaxed);
}

void cache_changed(struct dev_cache_watcher *w, uint64_t lo, uint64_t hi)
{
	struct dev_cache *c = u_container_of(w, struct dev_cache, watcher);
	struct cache_entry *e;

	while ((e = entry_of(dev_cache_tree_touching(&c->tree, lo, hi)))) {
		leave(c, e, &c->dead);
		c->stats.invalidations++;
	}
	TAILQ_FOREACH(e, &c->making, link) {
		if (e->node.lo < hi && e->node.hi > lo)
			e->state = CACHE_LOOSE; /* I3 */
	}
	if (!TAILQ_EMPTY(&c->dead))
		atomic_store_explicit(&c->burials, true, memory_order_relaxed);
}
