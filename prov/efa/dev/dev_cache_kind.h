/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_kind.h - whether every change of a piece of memory is told
 *
 * A userfaultfd tells what this process does to its addresses. Pages of a file
 * in memory (memfd, /dev/shm) can also go because somebody, perhaps another
 * process, truncates the file or punches a hole into it, and System V segments
 * are detached without an event. Only memory that belongs to no file is told
 * of in any case.
 */
#ifndef DEV_CACHE_KIND_H
#define DEV_CACHE_KIND_H

#include <stdbool.h>
#include <stdint.h>

/* True: [lo, hi) is mapped and none of it belongs to a file. */
bool dev_cache_kind_told(uint64_t lo, uint64_t hi);

#endif
