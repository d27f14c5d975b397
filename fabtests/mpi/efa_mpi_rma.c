/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_mpi_rma.c - one-sided calls: do they do what MPI says they do?
 *
 * Every case runs on all ranks; --op chooses one. Windows are of memory that
 * is allocated before, as MPI keeps that of its own in memory that the ranks
 * of a host share, and goes round the network.
 */
#include "mt.h"

#include <stdlib.h>
#include <string.h>

#define COUNTED 200 /* operations of a rank on what all of them change */
#define LOCKED 50
#define FEW 32
#define ELEMENTS 3000 /* past what one atomic of a provider takes */

static const struct mt_program program = {
	.name = "efa_mpi_rma",
	.summary = "functional test of one-sided communication",
	.thread = MPI_THREAD_SINGLE,
	.alone = true,
};

struct window {
	char *base;
	MPI_Win win;
};

static struct window window_new(size_t size, int unit)
{
	struct window w = { .base = mt_alloc(size) };

	memset(w.base, 0, size);
	MPI_Win_create(w.base, (MPI_Aint)size, unit, MPI_INFO_NULL,
		       MPI_COMM_WORLD, &w.win);
	return w;
}

static void window_free(struct window *w)
{
	MPI_Win_free(&w->win);
	free(w->base);
}

/* What lies in a window is looked at by its owner with the window locked. */
static void own_lock(struct mt *mt, struct window *w)
{
	MPI_Win_lock(MPI_LOCK_SHARED, mt->rank, 0, w->win);
}

static void own_unlock(struct mt *mt, struct window *w)
{
	MPI_Win_unlock(mt->rank, w->win);
}

/* ---- put and get --------------------------------------------------------- */

/* Everybody writes into everybody, at a place of his own. */
static void put_fence(struct mt *mt)
{
	for (size_t i = 0; i < MT_SIZES; i++) {
		size_t size = mt_sizes[i], at = (size_t)mt->rank * size;
		struct window w = window_new(size * (size_t)mt->ranks + 1, 1);
		char *tx = mt_filled(size, mt_key(mt->rank, size, i, 0));

		MPI_Win_fence(0, w.win);
		for (int r = 0; r < mt->ranks; r++)
			MPI_Put(tx, (int)size, MPI_CHAR, r, (MPI_Aint)at,
				(int)size, MPI_CHAR, w.win);
		MPI_Win_fence(0, w.win);
		for (int r = 0; r < mt->ranks; r++)
			mt_check(mt, w.base + (size_t)r * size, size,
				 mt_key(r, size, i, 0), "put");
		window_free(&w);
		free(tx);
	}
}

static void get_fence(struct mt *mt)
{
	for (size_t i = 0; i < MT_SIZES; i++) {
		size_t size = mt_sizes[i];
		struct window w = window_new(size + 1, 1);

		mt_fill(w.base, size, mt_key(mt->rank, size, i, 1));
		MPI_Win_fence(0, w.win);
		for (int r = 0; r < mt->ranks; r++) {
			char *rx = mt_fresh(size);

			MPI_Get(rx, (int)size, MPI_CHAR, r, 0, (int)size,
				MPI_CHAR, w.win);
			MPI_Win_fence(0, w.win);
			mt_check(mt, rx, size, mt_key(r, size, i, 1), "get");
			free(rx);
		}
		window_free(&w);
	}
}

/* One rank at a time in a window, and only when it holds the lock. */
static void locks(struct mt *mt)
{
	int next = (mt->rank + 1) % mt->ranks;

	for (size_t i = 0; i < MT_SIZES; i++) {
		size_t size = mt_sizes[i];
		struct window w = window_new(size + 1, 1);
		char *tx = mt_filled(size, mt_key(mt->rank, size, i, 2));
		char *rx = mt_fresh(size);

		MPI_Win_lock(MPI_LOCK_EXCLUSIVE, next, 0, w.win);
		MPI_Put(tx, (int)size, MPI_CHAR, next, 0, (int)size, MPI_CHAR,
			w.win);
		MPI_Win_unlock(next, w.win);
		MPI_Win_lock(MPI_LOCK_SHARED, next, 0, w.win);
		MPI_Get(rx, (int)size, MPI_CHAR, next, 0, (int)size, MPI_CHAR,
			w.win);
		MPI_Win_unlock(next, w.win);
		mt_check(mt, rx, size, mt_key(mt->rank, size, i, 2), "lock");
		window_free(&w);
		free(tx);
		free(rx);
	}
}

/* What was flushed is there. */
static void flush(struct mt *mt)
{
	int next = (mt->rank + 1) % mt->ranks;

	for (size_t i = 0; i < MT_SIZES; i++) {
		size_t size = mt_sizes[i];
		struct window w = window_new(size + 1, 1);
		char *tx = mt_filled(size, mt_key(mt->rank, size, i, 3));
		char *rx = mt_fresh(size);

		MPI_Win_lock_all(0, w.win);
		MPI_Put(tx, (int)size, MPI_CHAR, next, 0, (int)size, MPI_CHAR,
			w.win);
		MPI_Win_flush(next, w.win);
		MPI_Get(rx, (int)size, MPI_CHAR, next, 0, (int)size, MPI_CHAR,
			w.win);
		MPI_Win_flush_all(w.win);
		mt_check(mt, rx, size, mt_key(mt->rank, size, i, 3), "flush");
		MPI_Win_unlock_all(w.win);
		window_free(&w);
		free(tx);
		free(rx);
	}
}

/* With a request for each of many small puts. */
static void requests(struct mt *mt)
{
	enum { N = 64, SIZE = 100 };
	int next = (mt->rank + 1) % mt->ranks;
	int before = (mt->rank + mt->ranks - 1) % mt->ranks;
	struct window w = window_new(N * SIZE, SIZE);
	char *tx = mt_filled(N * SIZE, mt_key(mt->rank, N * SIZE, 0, 4));
	MPI_Request request[N];

	MPI_Win_lock_all(0, w.win);
	for (int i = 0; i < N; i++)
		MPI_Rput(tx + i * SIZE, SIZE, MPI_CHAR, next, i, SIZE, MPI_CHAR,
			 w.win, &request[i]);
	MPI_Waitall(N, request, MPI_STATUSES_IGNORE);
	MPI_Win_unlock_all(w.win);
	MPI_Barrier(MPI_COMM_WORLD);
	own_lock(mt, &w);
	mt_check(mt, w.base, N * SIZE, mt_key(before, N * SIZE, 0, 4), "rput");
	own_unlock(mt, &w);
	window_free(&w);
	free(tx);
}

/* Post, start, complete and wait, round a ring. */
static void active(struct mt *mt)
{
	int next = (mt->rank + 1) % mt->ranks;
	int before = (mt->rank + mt->ranks - 1) % mt->ranks;
	MPI_Group world, to, from;

	MPI_Comm_group(MPI_COMM_WORLD, &world);
	MPI_Group_incl(world, 1, &next, &to);
	MPI_Group_incl(world, 1, &before, &from);
	for (size_t i = 0; i < MT_SIZES; i++) {
		size_t size = mt_sizes[i];
		struct window w = window_new(size + 1, 1);
		char *tx = mt_filled(size, mt_key(mt->rank, size, i, 5));

		MPI_Win_post(from, 0, w.win);
		MPI_Win_start(to, 0, w.win);
		MPI_Put(tx, (int)size, MPI_CHAR, next, 0, (int)size, MPI_CHAR,
			w.win);
		MPI_Win_complete(w.win);
		MPI_Win_wait(w.win);
		mt_check(mt, w.base, size, mt_key(before, size, i, 5),
			 "active target");
		window_free(&w);
		free(tx);
	}
	MPI_Group_free(&to);
	MPI_Group_free(&from);
	MPI_Group_free(&world);
}

static bool on_one_host(const struct mt *mt)
{
	MPI_Comm host;
	int ranks;

	MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0,
			    MPI_INFO_NULL, &host);
	MPI_Comm_size(host, &ranks);
	MPI_Comm_free(&host);
	return ranks == mt->ranks;
}

/*
 * Memory that joins a window later, at the address that it has. Between hosts
 * Open MPI 4.1 waits for a lock of its own that it holds.
 */
static void dynamic(struct mt *mt)
{
	enum { SIZE = 5000 };
	int next = (mt->rank + 1) % mt->ranks;
	int before = (mt->rank + mt->ranks - 1) % mt->ranks;
	char *memory, *tx;
	MPI_Aint own, theirs;
	MPI_Win win;

	if (!on_one_host(mt))
		return;
	memory = mt_alloc(SIZE);
	tx = mt_filled(SIZE, mt_key(mt->rank, SIZE, 0, 6));
	MPI_Win_create_dynamic(MPI_INFO_NULL, MPI_COMM_WORLD, &win);
	MPI_Win_attach(win, memory, SIZE);
	MPI_Get_address(memory, &own);
	MPI_Sendrecv(&own, 1, MPI_AINT, before, 1, &theirs, 1, MPI_AINT, next,
		     1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	MPI_Win_lock_all(0, win);
	MPI_Put(tx, SIZE, MPI_CHAR, next, theirs, SIZE, MPI_CHAR, win);
	MPI_Win_unlock_all(win);
	MPI_Barrier(MPI_COMM_WORLD);
	mt_check(mt, memory, SIZE, mt_key(before, SIZE, 0, 6), "dynamic");
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Win_detach(win, memory);
	MPI_Win_free(&win);
	free(memory);
	free(tx);
}

/* ---- accumulate ---------------------------------------------------------- */

/* What `ranks` ranks make of an element that is `start`, each with its own. */
static long after_all(MPI_Op op, long start, int ranks)
{
	long value = start;

	for (int r = 0; r < ranks; r++) {
		long x = r % 3 + 1;

		if (op == MPI_SUM)
			value += x;
		else if (op == MPI_PROD)
			value *= x;
		else if (op == MPI_MAX)
			value = x > value ? x : value;
		else if (op == MPI_MIN)
			value = x < value ? x : value;
		else if (op == MPI_BOR)
			value |= x;
		else if (op == MPI_BXOR)
			value ^= x;
	}
	return value;
}

static void put_number(MPI_Datatype type, char *p, size_t i, long x)
{
	if (type == MPI_INT)
		((int *)(void *)p)[i] = (int)x;
	else if (type == MPI_INT64_T)
		((int64_t *)(void *)p)[i] = x;
	else if (type == MPI_SHORT)
		((short *)(void *)p)[i] = (short)x;
	else if (type == MPI_FLOAT)
		((float *)(void *)p)[i] = (float)x;
	else
		((double *)(void *)p)[i] = (double)x;
}

static long get_number(MPI_Datatype type, const char *p, size_t i)
{
	if (type == MPI_INT)
		return ((const int *)(const void *)p)[i];
	if (type == MPI_INT64_T)
		return (long)((const int64_t *)(const void *)p)[i];
	if (type == MPI_SHORT)
		return ((const short *)(const void *)p)[i];
	if (type == MPI_FLOAT)
		return (long)((const float *)(const void *)p)[i];
	return (long)((const double *)(const void *)p)[i];
}

static bool is_integer(MPI_Datatype type)
{
	return type != MPI_FLOAT && type != MPI_DOUBLE;
}

/*
 * All ranks into the window of the last one, n elements. Few elements are
 * summed and nothing else: Open MPI 4.1 hands other operations on up to FEW
 * elements to a layer that does not know them and ends the program.
 */
static void accumulate_one(struct mt *mt, MPI_Datatype type, MPI_Op op, int n)
{
	int last = mt->ranks - 1;
	struct window w = window_new((size_t)n * 8, 1);
	char *tx = mt_alloc((size_t)n * 8);
	uint64_t wrong = 0;

	for (int i = 0; i < n; i++) {
		put_number(type, w.base, (size_t)i, i % 5);
		put_number(type, tx, (size_t)i, mt->rank % 3 + 1);
	}
	MPI_Win_fence(0, w.win);
	MPI_Accumulate(tx, n, type, last, 0, n, type, op, w.win);
	MPI_Win_fence(0, w.win);
	for (int i = 0; mt->rank == last && i < n; i++)
		wrong += get_number(type, w.base, (size_t)i) !=
			 after_all(op, i % 5, mt->ranks);
	mt_expect(mt, !wrong, "accumulate: %llu of %d elements are wrong",
		  (unsigned long long)wrong, n);
	window_free(&w);
	free(tx);
}

static void accumulate(struct mt *mt)
{
	const MPI_Datatype types[] = { MPI_INT, MPI_INT64_T, MPI_SHORT,
				       MPI_FLOAT, MPI_DOUBLE };
	const MPI_Op ops[] = { MPI_SUM, MPI_PROD, MPI_MAX,
			       MPI_MIN, MPI_BOR,  MPI_BXOR };
	/* Products of many ranks leave what a short holds. */
	size_t nops = sizeof(ops) / sizeof(ops[0]);

	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		for (size_t o = 0; o < nops; o++) {
			if (o >= 4 && !is_integer(types[t]))
				continue;
			if (ops[o] == MPI_PROD && mt->ranks > 8)
				continue;
			accumulate_one(mt, types[t], ops[o],
				       ops[o] == MPI_SUM ? 1 : FEW + 1);
			accumulate_one(mt, types[t], ops[o], ELEMENTS);
		}
	}
}

/* All at once, without any order but that of each element. */
static void accumulate_shared(struct mt *mt)
{
	struct window w = window_new(16 * sizeof(int64_t), sizeof(int64_t));
	const int64_t *is = (const int64_t *)(const void *)w.base;
	int64_t one[16];

	for (int i = 0; i < 16; i++)
		one[i] = i + 1;
	MPI_Win_lock_all(0, w.win);
	for (int n = 0; n < COUNTED; n++)
		MPI_Accumulate(one, 16, MPI_INT64_T, n % mt->ranks, 0, 16,
			       MPI_INT64_T, MPI_SUM, w.win);
	MPI_Win_unlock_all(w.win);
	MPI_Barrier(MPI_COMM_WORLD);
	own_lock(mt, &w);
	for (int i = 0; i < 16; i++) {
		int64_t times =
			COUNTED / mt->ranks + (mt->rank < COUNTED % mt->ranks);

		mt_expect(mt, is[i] == (i + 1) * times * mt->ranks,
			  "element %d is %lld", i, (long long)is[i]);
	}
	own_unlock(mt, &w);
	window_free(&w);
}

/* ---- with a result ------------------------------------------------------- */

/* Tickets: everybody gets other ones, and none is left out. */
static void check_tickets(struct mt *mt, const int64_t *mine, int64_t total)
{
	int64_t sum = 0, all;

	for (int i = 1; i < COUNTED; i++)
		mt_expect(mt, mine[i] > mine[i - 1], "ticket %lld after %lld",
			  (long long)mine[i], (long long)mine[i - 1]);
	for (int i = 0; i < COUNTED; i++)
		sum += mine[i];
	MPI_Allreduce(&sum, &all, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
	mt_expect(mt, all == total * (total - 1) / 2,
		  "the tickets' sum is %lld", (long long)all);
}

static void fetch_and_op(struct mt *mt)
{
	struct window w = window_new(sizeof(int64_t), 1);
	int64_t one = 1, ticket[COUNTED], end = -1;

	MPI_Win_lock_all(0, w.win);
	for (int i = 0; i < COUNTED; i++) {
		MPI_Fetch_and_op(&one, &ticket[i], MPI_INT64_T, 0, 0, MPI_SUM,
				 w.win);
		MPI_Win_flush(0, w.win);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Fetch_and_op(NULL, &end, MPI_INT64_T, 0, 0, MPI_NO_OP, w.win);
	MPI_Win_unlock_all(w.win);
	mt_expect(mt, end == (int64_t)COUNTED * mt->ranks, "counted to %lld",
		  (long long)end);
	check_tickets(mt, ticket, (int64_t)COUNTED * mt->ranks);
	window_free(&w);
}

/* Two counters in step: each pair of results is of one moment. */
static void get_accumulate(struct mt *mt)
{
	struct window w = window_new(2 * sizeof(double), 1);
	double one[2] = { 1, 2 }, got[2];
	int64_t ticket[COUNTED];

	MPI_Win_lock_all(0, w.win);
	for (int i = 0; i < COUNTED; i++) {
		MPI_Get_accumulate(one, 2, MPI_DOUBLE, got, 2, MPI_DOUBLE, 0, 0,
				   2, MPI_DOUBLE, MPI_SUM, w.win);
		MPI_Win_flush(0, w.win);
		ticket[i] = (int64_t)got[0];
	}
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Get_accumulate(NULL, 0, MPI_DOUBLE, got, 2, MPI_DOUBLE, 0, 0, 2,
			   MPI_DOUBLE, MPI_NO_OP, w.win);
	MPI_Win_unlock_all(w.win);
	mt_expect(mt, got[0] == COUNTED * mt->ranks && got[1] == 2 * got[0],
		  "counted to %g and %g", got[0], got[1]);
	check_tickets(mt, ticket, (int64_t)COUNTED * mt->ranks);
	window_free(&w);
}

/* Adds one to a number of `at` that is guarded by the word before it. */
static void guarded_add(struct mt *mt, struct window *w, int at)
{
	const int64_t open = 0, taken = mt->rank + 1;
	int64_t was, sum = 0;

	do {
		MPI_Compare_and_swap(&taken, &open, &was, MPI_INT64_T, at, 0,
				     w->win);
		MPI_Win_flush(at, w->win);
	} while (was != open);
	MPI_Get(&sum, 1, MPI_INT64_T, at, 1, 1, MPI_INT64_T, w->win);
	MPI_Win_flush(at, w->win);
	sum++;
	MPI_Put(&sum, 1, MPI_INT64_T, at, 1, 1, MPI_INT64_T, w->win);
	MPI_Win_flush(at, w->win);
	MPI_Compare_and_swap(&open, &taken, &was, MPI_INT64_T, at, 0, w->win);
	MPI_Win_flush(at, w->win);
	mt_expect(mt, was == taken, "the lock was %lld's", (long long)was - 1);
}

/*
 * A lock made of compare-and-swap guards a sum that is no atomic, at every rank
 * but the own one: there Open MPI 4.1 crashes, with any network.
 */
static void compare_and_swap(struct mt *mt)
{
	struct window w = window_new(2 * sizeof(int64_t), sizeof(int64_t));
	const int64_t *is = (const int64_t *)(const void *)w.base;

	MPI_Win_lock_all(0, w.win);
	for (int i = 0; i < LOCKED; i++)
		for (int r = 1; r < mt->ranks; r++)
			guarded_add(mt, &w, (mt->rank + r) % mt->ranks);
	MPI_Win_unlock_all(w.win);
	MPI_Barrier(MPI_COMM_WORLD);
	own_lock(mt, &w);
	mt_expect(mt, is[1] == LOCKED * (mt->ranks - 1), "counted to %lld",
		  (long long)is[1]);
	own_unlock(mt, &w);
	window_free(&w);
}

static const struct mt_case cases[] = {
	{ "put", put_fence },
	{ "get", get_fence },
	{ "locks", locks },
	{ "flush", flush },
	{ "requests", requests },
	{ "active", active },
	{ "dynamic", dynamic },
	{ "accumulate", accumulate },
	{ "accumulate_shared", accumulate_shared },
	{ "fetch_and_op", fetch_and_op },
	{ "get_accumulate", get_accumulate },
	{ "compare_and_swap", compare_and_swap },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	struct mt mt;

	mt_init(&mt, &argc, &argv, &program);
	mt_run_cases(&mt, cases);
	return mt_finish(&mt);
}
