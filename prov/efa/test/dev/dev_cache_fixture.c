/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_fixture.c - a cache over a device that counts and pins
 */
#include "dev_cache_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dev/dev_cache_watch.h"
#include "util/u_base.h"

/* A registration of this device. */
struct rig_mr {
	struct pin *pin;
	size_t len;
};

static int rig_reg(void *ctx, void *addr, size_t len, uint32_t access,
		   void **out)
{
	struct rig *r = ctx;
	struct rig_mr *mr;
	int rc;

	if (r->fail)
		return r->fail;
	if (r->room && r->bytes + len > r->room)
		return -ENOMEM;
	mr = malloc(sizeof(*mr));
	mr->len = len;
	rc = pin_new(addr, len, &mr->pin);
	if (rc) {
		free(mr);
		return rc;
	}
	if (r->during) {
		void (*during)(struct rig *) = r->during;

		r->during = NULL;
		during(r);
	}
	r->access = access;
	r->bytes += len;
	r->live++;
	r->regs++;
	*out = mr;
	return 0;
}

static void rig_dereg(void *ctx, void *p)
{
	struct rig_mr *mr = p;
	struct rig *r = ctx;

	pin_free(mr->pin);
	r->bytes -= mr->len;
	r->live--;
	free(mr);
}

void rig_open(struct rig *r, size_t max_count, uint64_t max_bytes,
	      enum dev_cache_monitor monitor)
{
	struct dev_cache_config config = {
		.reg = rig_reg,
		.dereg = rig_dereg,
		.ctx = r,
		.max_count = max_count,
		.max_bytes = max_bytes,
		.monitor = monitor,
	};

	memset(r, 0, sizeof(*r));
	r->page = (size_t)sysconf(_SC_PAGESIZE);
	assert_int_equal(dev_cache_open(&config, &r->cache), 0);
}

void rig_close(struct rig *r)
{
	dev_cache_close(r->cache);
	assert_int_equal(r->live, 0);
}

struct dev_cache_stats rig_stats(struct rig *r)
{
	struct dev_cache_stats stats;

	u_lock(&dev_cache_watch_lock);
	stats = *dev_cache_stats(r->cache);
	u_unlock(&dev_cache_watch_lock);
	return stats;
}

void rig_needs_monitor(struct rig *r)
{
	if (dev_cache_keeps(r->cache))
		return;
	print_message("no userfaultfd with write protection here: skipped\n");
	rig_close(r);
	skip();
}

char *rig_map(size_t len, int byte)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, byte, len);
	return p;
}

struct dev_cache_entry *rig_get(struct rig *r, const void *addr, size_t len)
{
	struct dev_cache_entry *e;

	assert_int_equal(dev_cache_get(r->cache, addr, len, 0, &e), 0);
	assert_true(e->addr <= (uintptr_t)addr);
	assert_true(e->addr + e->len >= (uintptr_t)addr + len);
	return e;
}

bool rig_touch(struct rig *r, const void *addr, size_t len)
{
	uint64_t hits = rig_stats(r).hits;

	dev_cache_put(r->cache, rig_get(r, addr, len));
	return rig_stats(r).hits > hits;
}

void rig_expect(const struct dev_cache_entry *e, const void *addr, int byte)
{
	const struct rig_mr *mr = e->mr;

	if (pin_works(mr->pin))
		assert_int_equal(pin_peek(mr->pin, addr), byte);
}

void rig_check(struct rig *r, const void *addr, size_t len, int byte)
{
	struct dev_cache_entry *e = rig_get(r, addr, len);

	rig_expect(e, addr, byte);
	dev_cache_put(r->cache, e);
}
