/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_mpi_mr.c - message rate of all pairs together
 *
 * The pairs start their clocks at one barrier; the rate is the number of
 * messages of all pairs over the mean of the senders' times.
 */
#include "mt.h"

#include <stdio.h>

static const struct mt_program program = {
	.name = "efa_mpi_mr",
	.summary = "multi-pair message rate and bandwidth",
	.columns = "        MB/s     messages/s         median",
	.min = 1,
	.max = 4u << 20,
	.small = { .count = 100, .skip = 10 },
	.large = { .count = 20, .skip = 2 },
};

int main(int argc, char **argv)
{
	struct mt mt;

	mt_init(&mt, &argc, &argv, &program);
	mt_stream_init(&mt);
	for (size_t size = mt_next_size(&mt, MT_NO_SIZE); size != MT_NO_SIZE;
	     size = mt_next_size(&mt, size)) {
		struct mt_times t = mt_stream_run(
			&mt, size, (struct mt_stream){ .barrier = true });
		double mine[2] = { t.mean, t.median }, sum[2], messages;

		MPI_Reduce(mine, sum, 2, MPI_DOUBLE, MPI_SUM, 0,
			   MPI_COMM_WORLD);
		messages = (double)mt.pairs * mt.pairs *
			   (double)mt_stream_window(&mt, size);
		if (!mt.rank)
			printf("%10zu %12.2f %14.0f %14.0f\n", size,
			       messages * (double)size / sum[0] / 1e6,
			       messages / sum[0], messages / sum[1]);
		fflush(stdout);
	}
	mt_stream_fini(&mt);
	return mt_finish(&mt);
}
