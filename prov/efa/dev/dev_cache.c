/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache.c - registrations of user memory, kept for the next time
 */
#include "dev_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dev_cache_priv.h"
#include "util/u_base.h"
#include "util/u_log.h"

static bool foreign(const struct dev_cache *c)
{
	return u_unlikely(c->process != dev_cache_watch_process());
}

/* --- registrations come and go, without the lock --- */

static void bury(struct dev_cache *c, struct cache_list *list)
{
	struct cache_entry *e;

	while ((e = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, e, link);
		c->config.dereg(c->config.ctx, e->out.mr);
		free(e);
	}
}

/* Gives up idle ones of so many bytes; false: there was none. */
static bool give_up(struct dev_cache *c, uint64_t bytes)
{
	struct cache_list out = TAILQ_HEAD_INITIALIZER(out);
	uint64_t goal;
	bool any;

	u_lock(&dev_cache_watch_lock);
	cache_take_dead(c, &out);
	goal = c->stats.bytes > bytes ? c->stats.bytes - bytes : 0;
	while (c->stats.bytes > goal && cache_evict(c, &out))
		;
	u_unlock(&dev_cache_watch_lock);
	any = !TAILQ_EMPTY(&out);
	bury(c, &out);
	return any;
}

static int call_reg(struct dev_cache *c, struct cache_entry *e)
{
	return c->config.reg(c->config.ctx, (void *)(uintptr_t)e->out.addr,
			     e->out.len, e->access, &e->out.mr);
}

/* What is idle counts against the limits of the system, too. */
static int reg(struct dev_cache *c, struct cache_entry *e)
{
	int rc = call_reg(c, e);

	while (rc == -ENOMEM && give_up(c, e->out.len))
		rc = call_reg(c, e);
	return rc;
}

/* For one use, of these bytes alone. */
static int get_loose(struct dev_cache *c, uint64_t addr, uint64_t len,
		     uint32_t access, struct cache_entry *e)
{
	e->out.addr = addr;
	e->out.len = len;
	e->access = access;
	e->refs = 1;
	e->state = CACHE_LOOSE;
	return reg(c, e);
}

/* To be kept. e is loose if it cannot be. */
static int get_kept(struct dev_cache *c, uint64_t lo, uint64_t hi,
		    uint32_t access, struct cache_entry *e)
{
	struct cache_list out = TAILQ_HEAD_INITIALIZER(out);
	bool making;
	int rc;

	u_lock(&dev_cache_watch_lock);
	making = cache_making(c, e, lo, hi, access, &out);
	u_unlock(&dev_cache_watch_lock);
	bury(c, &out);
	if (!making)
		return -ENOSPC;
	rc = dev_cache_watch_add(e->node.lo, e->node.hi); /* I3 */
	if (rc == 0)
		rc = reg(c, e);
	u_lock(&dev_cache_watch_lock);
	cache_made(c, e, rc == 0, &out);
	u_unlock(&dev_cache_watch_lock);
	bury(c, &out);
	return rc;
}

static U_COLD int get_new(struct dev_cache *c, uint64_t addr, uint64_t len,
			  uint32_t access, bool try_keep,
			  struct dev_cache_entry **entry)
{
	struct cache_entry *e = calloc(1, sizeof(*e));
	uint64_t lo = addr & ~(c->page - 1);
	uint64_t hi = u_align(addr + len, c->page);
	int rc;

	if (!e)
		return -ENOMEM;
	if (!try_keep || get_kept(c, lo, hi, access, e)) {
		rc = get_loose(c, addr, len, access, e);
		if (rc) {
			free(e);
			return rc;
		}
	}
	u_lock(&dev_cache_watch_lock);
	c->stats.misses++;
	c->stats.unkept += e->state == CACHE_LOOSE;
	u_unlock(&dev_cache_watch_lock);
	*entry = &e->out;
	return 0;
}

/* --- the door --- */

int dev_cache_get(struct dev_cache *c, const void *addr, size_t len,
		  uint32_t access, struct dev_cache_entry **entry)
{
	uint64_t at = (uintptr_t)addr;
	struct cache_entry *e;
	bool settled;

	if (foreign(c))
		return -ECHILD;
	if (len == 0 || at > UINT64_MAX - c->page ||
	    len > UINT64_MAX - c->page - at)
		return -EINVAL;
	dev_cache_reap(c);
	settled = c->keeps && dev_cache_watch_settled();
	if (u_likely(settled)) {
		/* What lies in whole pages covers the bytes or does not. */
		u_lock(&dev_cache_watch_lock);
		e = cache_find(c, at, at + len, access);
		if (e)
			cache_hold(c, e);
		u_unlock(&dev_cache_watch_lock);
		if (u_likely(e != NULL)) {
			*entry = &e->out;
			return 0;
		}
	}
	return get_new(c, at, len, access, settled, entry);
}

static void put(struct dev_cache *c, struct dev_cache_entry *entry,
		void (*drop)(struct dev_cache *c, struct cache_entry *e,
			     struct cache_list *out))
{
	struct cache_entry *e = u_container_of(entry, struct cache_entry, out);
	struct cache_list out = TAILQ_HEAD_INITIALIZER(out);

	if (foreign(c))
		return;
	u_lock(&dev_cache_watch_lock);
	drop(c, e, &out);
	u_unlock(&dev_cache_watch_lock);
	if (!TAILQ_EMPTY(&out))
		bury(c, &out);
	dev_cache_reap(c);
}

void dev_cache_put(struct dev_cache *c, struct dev_cache_entry *entry)
{
	put(c, entry, cache_drop);
}

void dev_cache_revoke(struct dev_cache *c, struct dev_cache_entry *entry)
{
	put(c, entry, cache_revoke);
}

void dev_cache_flush(struct dev_cache *c)
{
	if (!foreign(c))
		give_up(c, UINT64_MAX);
}

void dev_cache_reap(struct dev_cache *c)
{
	struct cache_list out = TAILQ_HEAD_INITIALIZER(out);

	if (u_likely(!atomic_load_explicit(&c->burials, memory_order_relaxed)))
		return;
	if (foreign(c))
		return;
	u_lock(&dev_cache_watch_lock);
	cache_take_dead(c, &out);
	u_unlock(&dev_cache_watch_lock);
	bury(c, &out);
}

bool dev_cache_keeps(const struct dev_cache *c)
{
	return c->keeps;
}

const struct dev_cache_stats *dev_cache_stats(const struct dev_cache *c)
{
	return &c->stats;
}

static U_COLD void say_no_monitor(int rc)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;

	if (!atomic_flag_test_and_set(&said))
		u_warn("each transfer registers its memory anew, as the kernel "
		       "does not tell when memory changes (userfaultfd with "
		       "write protection: %s); large messages cost more",
		       strerror(-rc));
}

int dev_cache_open(const struct dev_cache_config *config,
		   struct dev_cache **cache)
{
	struct dev_cache *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	dev_cache_watch_init();
	c->config = *config;
	c->process = dev_cache_watch_process();
	c->page = (uint64_t)sysconf(_SC_PAGESIZE);
	c->watcher.changed = cache_changed;
	TAILQ_INIT(&c->idle);
	TAILQ_INIT(&c->making);
	TAILQ_INIT(&c->dead);
	switch (config->monitor) {
	case DEV_CACHE_UFFD:
		rc = dev_cache_watch_join(&c->watcher);
		c->keeps = rc == 0;
		if (rc)
			say_no_monitor(rc);
		break;
	case DEV_CACHE_NO_MONITOR:
		break;
	}
	*cache = c;
	return 0;
}

void dev_cache_close(struct dev_cache *c)
{
	if (foreign(c))
		return;
	dev_cache_flush(c);
	if (c->keeps)
		dev_cache_watch_leave(&c->watcher);
	/* What changed between the two. */
	dev_cache_reap(c);
	free(c);
}
