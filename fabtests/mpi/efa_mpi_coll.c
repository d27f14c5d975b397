/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_mpi_coll.c - time of a collective call, averaged over calls and ranks
 *
 * Each call is timed alone, with a barrier between calls (a barrier itself
 * needs none). The size is that of the block each rank gives or gets from each
 * other; a size whose buffers would be over --mem is left out. With --verify
 * the root moves on with every call and the counts of gatherv and scatterv
 * differ from rank to rank.
 */
#include "mt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mt_program program = {
	.name = "efa_mpi_coll",
	.summary = "latency of collectives, chosen by --op",
	.min = 1,
	.max = 1u << 20,
	.small = { .count = 1000, .skip = 100 },
	.large = { .count = 100, .skip = 10 },
};

/* One call, as the table's functions see it. */
struct call {
	struct mt *mt;
	char *tx, *rx;
	size_t size;
	size_t iteration;
	int root;
	int *count; /* [ranks] bytes of each rank, for gatherv, scatterv */
	int *place; /* [ranks] its offset */
};

enum blocks { NONE, ONE, ALL }; /* ALL: one for each rank */

struct coll {
	const char *name;
	size_t unit; /* sizes are multiples of this */
	enum blocks tx, rx;
	void (*fill)(struct call *c);
	void (*run)(struct call *c);
	void (*check)(struct call *c);
};

static struct mt_key key_of(const struct call *c, int from, int to)
{
	return (struct mt_key){ from, c->size, c->iteration, (size_t)to };
}

static void fill_block(struct call *c, int to)
{
	mt_fill(c->tx + (size_t)to * c->size, c->size,
		key_of(c, c->mt->rank, to));
}

/* The block at place of rx came from rank from and was meant for slot to. */
static void check_block(struct call *c, int place, size_t len, int from, int to,
			const char *name)
{
	mt_check(c->mt, c->rx + (size_t)place * c->size, len,
		 key_of(c, from, to), name);
}

/* Small whole numbers: their sums are exact in any order. */
static float term(const struct call *c, size_t i, int rank)
{
	return (float)((i * 7 + (size_t)rank * 13 + c->iteration) % 64);
}

static void allreduce_fill(struct call *c)
{
	float *tx = (float *)c->tx;

	for (size_t i = 0; i < c->size / sizeof(float); i++)
		tx[i] = term(c, i, c->mt->rank);
}

static void allreduce_run(struct call *c)
{
	MPI_Allreduce(c->tx, c->rx, (int)(c->size / sizeof(float)), MPI_FLOAT,
		      MPI_SUM, MPI_COMM_WORLD);
}

static void allreduce_check(struct call *c)
{
	const float *rx = (const float *)c->rx;
	size_t n = c->size / sizeof(float), right = 0;

	for (; right < n; right++) {
		float sum = 0;

		for (int rank = 0; rank < c->mt->ranks; rank++)
			sum += term(c, right, rank);
		if (memcmp(&sum, &rx[right], sizeof(sum)))
			break;
	}
	mt_expect(c->mt, right == n,
		  "allreduce: size %zu iteration %zu: element %zu", c->size,
		  c->iteration, right);
}

static void alltoall_fill(struct call *c)
{
	for (int to = 0; to < c->mt->ranks; to++)
		fill_block(c, to);
}

static void alltoall_run(struct call *c)
{
	MPI_Alltoall(c->tx, (int)c->size, MPI_CHAR, c->rx, (int)c->size,
		     MPI_CHAR, MPI_COMM_WORLD);
}

static void alltoall_check(struct call *c)
{
	for (int from = 0; from < c->mt->ranks; from++)
		check_block(c, from, c->size, from, c->mt->rank, "alltoall");
}

static void bcast_fill(struct call *c)
{
	if (c->mt->rank == c->root)
		mt_fill(c->rx, c->size, key_of(c, c->root, 0));
}

static void bcast_run(struct call *c)
{
	MPI_Bcast(c->rx, (int)c->size, MPI_CHAR, c->root, MPI_COMM_WORLD);
}

static void bcast_check(struct call *c)
{
	check_block(c, 0, c->size, c->root, 0, "bcast");
}

static void one_fill(struct call *c)
{
	fill_block(c, 0);
}

static void allgather_run(struct call *c)
{
	MPI_Allgather(c->tx, (int)c->size, MPI_CHAR, c->rx, (int)c->size,
		      MPI_CHAR, MPI_COMM_WORLD);
}

static void allgather_check(struct call *c)
{
	for (int from = 0; from < c->mt->ranks; from++)
		check_block(c, from, c->size, from, 0, "allgather");
}

static void barrier_run(struct call *c)
{
	(void)c;
	MPI_Barrier(MPI_COMM_WORLD);
}

static void gather_run(struct call *c)
{
	MPI_Gather(c->tx, (int)c->size, MPI_CHAR, c->rx, (int)c->size, MPI_CHAR,
		   c->root, MPI_COMM_WORLD);
}

static void gather_check(struct call *c)
{
	if (c->mt->rank == c->root)
		allgather_check(c);
}

static void gatherv_run(struct call *c)
{
	MPI_Gatherv(c->tx, c->count[c->mt->rank], MPI_CHAR, c->rx, c->count,
		    c->place, MPI_CHAR, c->root, MPI_COMM_WORLD);
}

static void gatherv_check(struct call *c)
{
	if (c->mt->rank != c->root)
		return;
	for (int from = 0; from < c->mt->ranks; from++)
		check_block(c, from, (size_t)c->count[from], from, 0,
			    "gatherv");
}

static void scatter_fill(struct call *c)
{
	if (c->mt->rank == c->root)
		alltoall_fill(c);
}

static void scatter_run(struct call *c)
{
	MPI_Scatter(c->tx, (int)c->size, MPI_CHAR, c->rx, (int)c->size,
		    MPI_CHAR, c->root, MPI_COMM_WORLD);
}

static void scatter_check(struct call *c)
{
	check_block(c, 0, c->size, c->root, c->mt->rank, "scatter");
}

static void scatterv_run(struct call *c)
{
	MPI_Scatterv(c->tx, c->count, c->place, MPI_CHAR, c->rx,
		     c->count[c->mt->rank], MPI_CHAR, c->root, MPI_COMM_WORLD);
}

static void scatterv_check(struct call *c)
{
	check_block(c, 0, (size_t)c->count[c->mt->rank], c->root, c->mt->rank,
		    "scatterv");
}

static const struct coll colls[] = {
	{ "allreduce", sizeof(float), ONE, ONE, allreduce_fill, allreduce_run,
	  allreduce_check },
	{ "alltoall", 1, ALL, ALL, alltoall_fill, alltoall_run,
	  alltoall_check },
	{ "bcast", 1, NONE, ONE, bcast_fill, bcast_run, bcast_check },
	{ "allgather", 1, ONE, ALL, one_fill, allgather_run, allgather_check },
	{ "barrier", 0, NONE, NONE, NULL, barrier_run, NULL },
	{ "gather", 1, ONE, ALL, one_fill, gather_run, gather_check },
	{ "gatherv", 1, ONE, ALL, one_fill, gatherv_run, gatherv_check },
	{ "scatter", 1, ALL, ONE, scatter_fill, scatter_run, scatter_check },
	{ "scatterv", 1, ALL, ONE, scatter_fill, scatterv_run, scatterv_check },
};

#define COLLS (sizeof(colls) / sizeof(colls[0]))

static size_t room(const struct mt *mt, enum blocks blocks, size_t size)
{
	size_t n = blocks == ALL ? (size_t)mt->ranks : blocks == ONE ? 1 : 0;

	return n * size;
}

/* With --verify every rank but some has a few bytes less. */
static void set_counts(struct call *c)
{
	for (int rank = 0; rank < c->mt->ranks; rank++) {
		size_t less = c->mt->verify ? (size_t)rank % 5 : 0;

		c->count[rank] =
			(int)(c->size - (less < c->size ? less : c->size));
		c->place[rank] = (int)((size_t)rank * c->size);
	}
}

/* Seconds spent in one call; what comes before and after is not timed. */
static double one_call(const struct coll *coll, struct call *c)
{
	struct mt *mt = c->mt;
	double start, time;

	if (mt->verify) {
		c->root = (int)(c->iteration % (size_t)mt->ranks);
		memset(c->rx, 'b', room(mt, coll->rx, c->size));
		if (coll->fill)
			coll->fill(c);
	}
	start = MPI_Wtime();
	coll->run(c);
	time = MPI_Wtime() - start;
	if (mt->verify && coll->check)
		coll->check(c);
	else if (mt->verify)
		mt_expect(mt, true, " ");
	if (coll->unit)
		MPI_Barrier(MPI_COMM_WORLD);
	return time;
}

static void report(struct mt *mt, size_t size, double usec)
{
	double min, max, sum;

	MPI_Reduce(&usec, &min, 1, MPI_DOUBLE, MPI_MIN, 0, MPI_COMM_WORLD);
	MPI_Reduce(&usec, &max, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
	MPI_Reduce(&usec, &sum, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
	if (!mt->rank)
		printf("%10zu %12.3f %12.3f %12.3f\n", size, sum / mt->ranks,
		       min, max);
	fflush(stdout);
}

static void run_size(const struct coll *coll, struct call *c)
{
	struct mt *mt = c->mt;
	double time = 0;

	c->root = 0;
	set_counts(c);
	mt_begin(mt, c->size);
	MPI_Barrier(MPI_COMM_WORLD);
	for (size_t i = 0; i < mt->loop.count + mt->loop.skip; i++) {
		double t;

		c->iteration = i;
		t = one_call(coll, c);
		if (i >= mt->loop.skip)
			time += t;
	}
	report(mt, c->size, time * 1e6 / (double)mt->loop.count);
}

static size_t largest(const struct mt *mt, const struct coll *coll)
{
	size_t size = mt->max;

	while (size &&
	       room(mt, coll->tx, size) + room(mt, coll->rx, size) > mt->memory)
		size /= 2;
	return size;
}

static void run_coll(struct mt *mt, const struct coll *coll)
{
	size_t max = largest(mt, coll);
	struct call c = { .mt = mt };

	if (!mt->rank)
		printf("# %s\n#%9s %12s %12s %12s  usec\n", coll->name, "bytes",
		       "average", "min", "max");
	c.tx = mt_alloc(room(mt, coll->tx, max));
	c.rx = mt_alloc(room(mt, coll->rx, max));
	c.count = calloc((size_t)mt->ranks, sizeof(int));
	c.place = calloc((size_t)mt->ranks, sizeof(int));
	if (!coll->unit)
		run_size(coll, &c);
	for (size_t size = mt_next_size(mt, MT_NO_SIZE);
	     coll->unit && size <= max; size = mt_next_size(mt, size)) {
		c.size = size;
		if (size % coll->unit == 0)
			run_size(coll, &c);
	}
	if (max < mt->max && !mt->rank)
		printf("# sizes over %zu need more than --mem\n", max);
	free(c.tx);
	free(c.rx);
	free(c.count);
	free(c.place);
}

int main(int argc, char **argv)
{
	struct mt mt;
	bool any = false;

	mt_init(&mt, &argc, &argv, &program);
	for (size_t i = 0; i < COLLS; i++) {
		if (strcmp(mt.op, "all") && strcmp(mt.op, colls[i].name))
			continue;
		run_coll(&mt, &colls[i]);
		any = true;
	}
	mt_expect(&mt, any, "no collective is called %s", mt.op);
	return mt_finish(&mt);
}
