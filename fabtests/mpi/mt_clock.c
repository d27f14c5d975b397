/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mt_clock.c - how long an iteration takes: all together, and the median one
 *
 * The definitions these programs follow divide the whole time by the number of
 * iterations. On a machine that others use the median says more; it costs a
 * stamp an iteration, to be taken where the rank would otherwise wait.
 */
#include "mt.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void mt_clock_start(struct mt *mt)
{
	mt->stamps = 0;
	mt->start = MPI_Wtime();
}

void mt_clock_stamp(struct mt *mt)
{
	mt->stamp[mt->stamps++] = MPI_Wtime();
}

struct mt_times mt_clock_stop(struct mt *mt)
{
	double mean = (MPI_Wtime() - mt->start) / (double)mt->loop.count;
	size_t n = mt->stamps ? mt->stamps - 1 : 0;

	if (!n)
		return (struct mt_times){ mean, mean };
	for (size_t i = 0; i < n; i++)
		mt->stamp[i] = mt->stamp[i + 1] - mt->stamp[i];
	qsort(mt->stamp, n, sizeof(mt->stamp[0]), compare);
	return (struct mt_times){ mean, mt->stamp[n / 2] };
}
