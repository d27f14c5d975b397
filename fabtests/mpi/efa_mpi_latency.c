/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_mpi_latency.c - half of a blocking round trip, averaged over the pairs
 */
#include "mt.h"

#include <stdio.h>
#include <stdlib.h>

#define TAG 1

static const struct mt_program program = {
	.name = "efa_mpi_latency",
	.summary = "one-way latency of MPI_Send and MPI_Recv",
	.columns = "      usec     median",
	.min = 0,
	.max = 4u << 20,
	.small = { .count = 10000, .skip = 100 },
	.large = { .count = 1000, .skip = 10 },
};

static void send_one(struct mt *mt, char *tx, size_t size, size_t iteration)
{
	if (mt->verify)
		mt_fill(tx, size,
			(struct mt_key){ mt->rank, size, iteration, 0 });
	MPI_Send(tx, (int)size, MPI_CHAR, mt->partner, TAG, MPI_COMM_WORLD);
}

static void recv_one(struct mt *mt, char *rx, size_t size, size_t iteration)
{
	MPI_Recv(rx, (int)size, MPI_CHAR, mt->partner, TAG, MPI_COMM_WORLD,
		 MPI_STATUS_IGNORE);
	if (mt->verify)
		mt_check(mt, rx, size,
			 (struct mt_key){ mt->partner, size, iteration, 0 },
			 program.name);
}

static void one_round(struct mt *mt, char *tx, char *rx, size_t size, size_t i)
{
	if (!mt->first) {
		recv_one(mt, rx, size, i);
		send_one(mt, tx, size, i);
		return;
	}
	send_one(mt, tx, size, i);
	/* The message is on its way: the stamp costs nothing. */
	if (i >= mt->loop.skip)
		mt_clock_stamp(mt);
	recv_one(mt, rx, size, i);
}

/* Of a round trip on a measuring rank, else zeros. */
static struct mt_times run(struct mt *mt, char *tx, char *rx, size_t size)
{
	mt_begin(mt, size);
	MPI_Barrier(MPI_COMM_WORLD);
	if (mt->partner < 0)
		return (struct mt_times){ 0 };
	for (size_t i = 0; i < mt->loop.count + mt->loop.skip; i++) {
		if (i == mt->loop.skip)
			mt_clock_start(mt);
		one_round(mt, tx, rx, size, i);
	}
	return mt->first ? mt_clock_stop(mt) : (struct mt_times){ 0 };
}

int main(int argc, char **argv)
{
	struct mt mt;
	char *tx, *rx;

	mt_init(&mt, &argc, &argv, &program);
	tx = mt_alloc(mt.max);
	rx = mt_alloc(mt.max);
	for (size_t size = mt_next_size(&mt, MT_NO_SIZE); size != MT_NO_SIZE;
	     size = mt_next_size(&mt, size)) {
		struct mt_times t = run(&mt, tx, rx, size);
		double mine[2] = { t.mean / 2, t.median / 2 }, sum[2];

		MPI_Reduce(mine, sum, 2, MPI_DOUBLE, MPI_SUM, 0,
			   MPI_COMM_WORLD);
		if (!mt.rank)
			printf("%10zu %10.3f %10.3f\n", size,
			       sum[0] * 1e6 / mt.pairs,
			       sum[1] * 1e6 / mt.pairs);
		fflush(stdout);
	}
	free(tx);
	free(rx);
	return mt_finish(&mt);
}
