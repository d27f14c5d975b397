/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ft_stats.c - samples to figures, and the two ways a test gives up
 */
#include "ft.h"

#include <stdarg.h>
#include <stdlib.h>

static int sample_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

struct ft_stats ft_stats_of(uint32_t *sample, size_t n)
{
	double sum = 0;

	if (!n)
		return (struct ft_stats){ 0 };
	for (size_t i = 0; i < n; i++)
		sum += sample[i];
	qsort(sample, n, sizeof(*sample), sample_compare);
	return (struct ft_stats){
		.average = sum / (double)n,
		.min = sample[0],
		.median = sample[n / 2],
		.p99 = sample[n - 1 - n / 100],
		.p999 = sample[n - 1 - n / 1000],
		.max = sample[n - 1],
	};
}

_Noreturn void ft_die(const char *what, int ret)
{
	fflush(stdout);
	fprintf(stderr, "%s: %s (%d)\n", what, fi_strerror(abs(ret)), ret);
	exit(EXIT_FAILURE);
}

_Noreturn void ft_fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

void *ft_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		ft_fail("out of memory: %zu bytes", size);
	return p;
}
