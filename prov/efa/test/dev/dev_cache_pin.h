/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_pin.h - registrations for tests that pin pages, without an RDMA
 * device
 *
 * A registered buffer of io_uring(7) refers to the pages that were there when
 * it was registered, as a memory region does. What the "device" sees through
 * it is read here: old bytes if the pages behind the address are others. Where
 * io_uring is not permitted, nothing is pinned and nothing can be read.
 */
#ifndef DEV_CACHE_PIN_H
#define DEV_CACHE_PIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pin;

/* The bytes of [addr, addr + len) from here on. 0 or -errno. */
int pin_new(void *addr, size_t len, struct pin **pin);
void pin_free(struct pin *pin);

/* Whether pages are pinned and can be read. */
bool pin_works(const struct pin *pin);

/* The byte at addr as the device sees it; -1: it cannot be read. Any thread. */
int pin_peek(struct pin *pin, const void *addr);

#endif
