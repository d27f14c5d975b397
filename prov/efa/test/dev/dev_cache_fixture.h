/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_fixture.h - a cache over a device that counts and pins
 */
#ifndef DEV_CACHE_FIXTURE_H
#define DEV_CACHE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdbool.h>

#include "dev/dev_cache.h"
#include "dev_cache_pin.h"

struct rig {
	struct dev_cache *cache;
	size_t page;
	uint64_t room; /* bytes that can be registered at a time */
	atomic_uint_fast64_t bytes; /* that are */
	atomic_int live; /* registrations */
	atomic_int regs; /* calls that succeeded */
	int fail; /* what registering says; 0: works */
	_Atomic uint32_t access; /* of the last registration */
	void (*during)(struct rig *r); /* called by the next registration */
};

/* A cache with these limits; 0: none. */
void rig_open(struct rig *r, size_t max_count, uint64_t max_bytes,
	      enum dev_cache_monitor monitor);

/* Checks that every registration came back. */
void rig_close(struct rig *r);

/* Skips the test where the kernel does not tell of changes. */
void rig_needs_monitor(struct rig *r);

/* Waits for the monitor, which may be at work when the call that changed
 * memory returns. */
struct dev_cache_stats rig_stats(struct rig *r);

/* len bytes of memory, each of them `byte`. */
char *rig_map(size_t len, int byte);

/* A get that must succeed, and must cover the range. */
struct dev_cache_entry *rig_get(struct rig *r, const void *addr, size_t len);

/* Get and put; whether it was a hit. */
bool rig_touch(struct rig *r, const void *addr, size_t len);

/* What the device finds at addr through e is `byte`, if it can be asked. */
void rig_expect(const struct dev_cache_entry *e, const void *addr, int byte);

/* Get, expect, put. */
void rig_check(struct rig *r, const void *addr, size_t len, int byte);

#endif
