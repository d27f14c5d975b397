/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mt.h - the door of the MPI tests: options, pairs of ranks, checked patterns
 *
 * How to drive it:
 *	mt_init()	MPI_Init_thread and the options; the same on all ranks
 *	mt_next_size()	0, 1, 2, 4 ... up to --max
 *	mt_begin()	the iterations for this size
 *	mt_fill() mt_check()	with --verify: every byte of every message
 *	mt_finish()	sums what failed over all ranks; the exit status
 *
 * What is timed and reported follows the definitions of the OSU
 * micro-benchmarks, so that figures compare: latency is half of a round trip,
 * the streams send windows of 64 nonblocking messages each answered by four
 * bytes, collectives are timed call by call with a barrier between.
 * With more than two ranks, rank r of the first half is paired with rank
 * r + n/2, and an odd last rank only takes part in the barriers.
 */
#ifndef MT_H
#define MT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mpi.h>

#define MT_LARGE 8192u /* above: fewer iterations */
#define MT_REPLY 4 /* bytes that answer a window */
#define MT_NO_SIZE SIZE_MAX

/* Iterations and untimed first ones, for sizes up to MT_LARGE and above. */
struct mt_loop {
	size_t count;
	size_t skip;
};

struct mt_program {
	const char *name;
	const char *summary;
	const char *columns; /* header line after the size */
	size_t min, max; /* defaults of --min and --max */
	struct mt_loop small, large;
	int thread; /* level asked of MPI_Init_thread */
	bool alone; /* runs with a single rank too */
};

struct mt {
	const struct mt_program *program;
	int rank, ranks;
	int pairs;
	int partner; /* -1: no partner */
	bool first; /* the pair's half that starts and measures */

	size_t min, max;
	size_t iterations; /* 0: by size */
	size_t window;
	size_t memory; /* bytes a rank may use for its buffers */
	size_t huge;
	uint64_t seed;
	bool verify;
	const char *op;

	double start; /* of the timed iterations */
	double *stamp; /* [loop.count]; stamps of them are set */
	size_t stamps;

	struct mt_loop loop; /* of the size at hand, from mt_begin() */
	uint64_t checked; /* messages looked at on this rank */
	uint64_t failed; /* of them, those with a wrong byte */
};

void mt_init(struct mt *mt, int *argc, char ***argv,
	     const struct mt_program *program);
int mt_finish(struct mt *mt);

/* The size after this one, or MT_NO_SIZE; starts from MT_NO_SIZE. */
size_t mt_next_size(const struct mt *mt, size_t size);
void mt_begin(struct mt *mt, size_t size);

/* mt_clock.c: start, a stamp in each of loop.count iterations, stop */
struct mt_times {
	double mean; /* seconds of an iteration */
	double median;
};

void mt_clock_start(struct mt *mt);
void mt_clock_stamp(struct mt *mt);
struct mt_times mt_clock_stop(struct mt *mt);

/* Page aligned and touched; ends the job when there is no memory. */
void *mt_alloc(size_t size);

/* A different byte string for each (rank, size, iteration, slot). */
struct mt_key {
	int rank;
	size_t size;
	size_t iteration;
	size_t slot;
};

static inline struct mt_key mt_key(int rank, size_t size, size_t iteration,
				   size_t slot)
{
	return (struct mt_key){ rank, size, iteration, slot };
}

void mt_fill(void *p, size_t len, struct mt_key key);
/* Counts a message; a wrong byte is reported and counted as a failure. */
void mt_check(struct mt *mt, const void *p, size_t len, struct mt_key key,
	      const char *what);
void mt_expect_status(struct mt *mt, MPI_Status *status, int source, int tag,
		      size_t size);
/* A buffer to send, and one with nothing of any pattern in it; both free(). */
void *mt_filled(size_t size, struct mt_key key);
void *mt_fresh(size_t size);
/* For what is not bytes: counts, and reports what when it does not hold. */
void mt_expect(struct mt *mt, bool holds, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Sizes around the limits of the protocols, for functional tests. */
#define MT_SIZES 12u
#define MT_BIG 300000u /* one of them, past every eager limit */
extern const size_t mt_sizes[MT_SIZES];

/* mt_cases.c: those that --op chooses; the last one has no name */
struct mt_case {
	const char *name;
	void (*run)(struct mt *mt);
};

void mt_run_cases(struct mt *mt, const struct mt_case *cases);

/* mt_stream.c: windows of messages over all pairs */
struct mt_stream {
	bool both; /* the second half sends as well */
	bool barrier; /* all pairs start their clocks together */
};

/* Messages in a window of this size: less than asked when --verify needs to
 * keep them apart and --mem is too small for that. */
size_t mt_stream_window(const struct mt *mt, size_t size);
void mt_stream_init(struct mt *mt);
void mt_stream_fini(struct mt *mt);
/* The times of a window on a measuring rank, else zeros. */
struct mt_times mt_stream_run(struct mt *mt, size_t size, struct mt_stream how);

#endif
