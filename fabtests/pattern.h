/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pattern.h - byte strings that differ for every message
 *
 * Eight bytes at a time from a counter through a 64-bit mixer: two messages,
 * or two offsets of one message, agree in a word only by chance of 2^-64, so
 * stale, swapped and shifted data all show.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stddef.h>
#include <stdint.h>

uint64_t pattern_mix(uint64_t x);
void pattern_fill(void *p, size_t len, uint64_t seed);
/* The offset of the first wrong byte, or len when all are right. */
size_t pattern_check(const void *p, size_t len, uint64_t seed);

#endif
