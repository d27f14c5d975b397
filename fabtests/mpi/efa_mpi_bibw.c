/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_mpi_bibw.c - bandwidth of windows of messages in both directions
 */
#include "mt.h"

#include <stdio.h>

static const struct mt_program program = {
	.name = "efa_mpi_bibw",
	.summary = "bandwidth in both directions at once",
	.columns = "        MB/s       median",
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
			&mt, size, (struct mt_stream){ .both = true });
		double bytes = 2.0 * (double)size *
			       (double)mt_stream_window(&mt, size);
		double mine[2] = { 0 }, sum[2];

		if (mt.first) {
			mine[0] = bytes / t.mean / 1e6;
			mine[1] = bytes / t.median / 1e6;
		}
		MPI_Reduce(mine, sum, 2, MPI_DOUBLE, MPI_SUM, 0,
			   MPI_COMM_WORLD);
		if (!mt.rank)
			printf("%10zu %12.2f %12.2f\n", size, sum[0], sum[1]);
		fflush(stdout);
	}
	mt_stream_fini(&mt);
	return mt_finish(&mt);
}
