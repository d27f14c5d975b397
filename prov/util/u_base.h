/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_base.h - the words every file uses: branch hints, containers, alignment
 */
#ifndef U_BASE_H
#define U_BASE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define u_likely(x) __builtin_expect(!!(x), 1)
#define u_unlikely(x) __builtin_expect(!!(x), 0)
#define U_COLD __attribute__((cold, noinline))
#define U_FALLTHROUGH __attribute__((fallthrough))
#define U_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* One cache line of every machine we run on; 64 is a layout fact of shm. */
#define U_LINE 64
#define U_LINE_ALIGNED __attribute__((aligned(U_LINE)))

#define u_container_of(ptr, type, member) \
	((type *)((char *)(ptr)-offsetof(type, member)))
#define u_array_size(a) (sizeof(a) / sizeof((a)[0]))

static inline size_t u_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t u_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Round up to a multiple of a power of two. */
static inline size_t u_align(size_t n, size_t power_of_two)
{
	return (n + power_of_two - 1) & ~(power_of_two - 1);
}

/* True when sequence number a comes before b, in modular arithmetic. */
static inline int u_seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/*
 * Keeps the compiler from reading again what was copied out of memory that
 * another process can change.
 */
static inline void u_copied_out(void)
{
	__asm__ volatile("" ::: "memory");
}

/* Tells the core that this is a spin loop. */
static inline void u_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

#endif
