/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_mpi_threads.c - several threads of each rank in MPI at the same time
 *
 * Thread t of a rank talks with thread t of the partner: in one communicator
 * for all threads, told by the tag, and in one for each thread, where the tags
 * are the same. Odd threads receive by matched probe, even ones directly.
 */
#include "mt.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define ROUNDS 200u
#define TAG 5

static const struct mt_program program = {
	.name = "efa_mpi_threads",
	.summary = "functional test of MPI_THREAD_MULTIPLE",
	.thread = MPI_THREAD_MULTIPLE,
};

struct thread {
	struct mt *mt;
	int number;
	MPI_Comm comm;
	int tag;
	size_t rounds;
};

static void receive(struct thread *t, char *rx, size_t size, MPI_Status *status)
{
	MPI_Message message;

	if (!(t->number & 1)) {
		MPI_Recv(rx, (int)size, MPI_CHAR, t->mt->partner, t->tag,
			 t->comm, status);
		return;
	}
	MPI_Mprobe(t->mt->partner, t->tag, t->comm, &message, status);
	MPI_Mrecv(rx, (int)size, MPI_CHAR, &message, status);
}

static void one_round(struct thread *t, size_t round)
{
	struct mt *mt = t->mt;
	size_t slot = (size_t)t->number;
	size_t size = mt_sizes[(round + slot) % (MT_SIZES - 1)];
	char *tx = mt_filled(size, mt_key(mt->rank, size, round, slot));
	char *rx = mt_fresh(size);
	MPI_Request send;
	MPI_Status status;

	MPI_Isend(tx, (int)size, MPI_CHAR, mt->partner, t->tag, t->comm, &send);
	receive(t, rx, size, &status);
	MPI_Wait(&send, MPI_STATUS_IGNORE);
	mt_expect_status(mt, &status, mt->partner, t->tag, size);
	mt_check(mt, rx, size, mt_key(mt->partner, size, round, slot),
		 "threads");
	free(tx);
	free(rx);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	for (size_t round = 0; round < t->rounds; round++)
		one_round(t, round);
	return NULL;
}

static void run(struct mt *mt, struct thread *thread)
{
	pthread_t id[THREADS];

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&id[i], NULL, thread_main, &thread[i]))
			MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
	for (int i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
	if (!mt->rank)
		printf("rank 0: %llu passed, %llu failed\n",
		       (unsigned long long)(mt->checked - mt->failed),
		       (unsigned long long)mt->failed);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct thread shared[THREADS], own[THREADS];
	struct mt mt;

	mt_init(&mt, &argc, &argv, &program);
	for (int i = 0; i < THREADS; i++) {
		shared[i] = (struct thread){ .mt = &mt,
					     .number = i,
					     .comm = MPI_COMM_WORLD,
					     .tag = TAG + i,
					     .rounds = mt.iterations ?
							       mt.iterations :
							       ROUNDS };
		own[i] = shared[i];
		own[i].tag = TAG;
		MPI_Comm_dup(MPI_COMM_WORLD, &own[i].comm);
	}
	if (mt.partner >= 0) {
		run(&mt, shared);
		run(&mt, own);
	}
	for (int i = 0; i < THREADS; i++)
		MPI_Comm_free(&own[i].comm);
	return mt_finish(&mt);
}
