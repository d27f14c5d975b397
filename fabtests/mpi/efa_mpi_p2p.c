/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_mpi_p2p.c - point-to-point calls: do they do what MPI says they do?
 *
 * Every case runs on all ranks; --op chooses one. A synchronous send is never
 * received by a matched probe: Open MPI 4.1 loses its acknowledgement.
 */
#include "mt.h"

#include <stdlib.h>
#include <string.h>

#define TAG 5
#define THREADS 4

static const struct mt_program program = {
	.name = "efa_mpi_p2p",
	.summary = "functional test of point-to-point calls",
	.thread = MPI_THREAD_SINGLE,
};

/* To the next rank of a communicator, from the one before. */
static void ring(struct mt *mt, MPI_Comm comm, size_t slot)
{
	int rank, ranks, next, before;

	MPI_Comm_rank(comm, &rank);
	MPI_Comm_size(comm, &ranks);
	next = (rank + 1) % ranks;
	before = (rank + ranks - 1) % ranks;
	for (size_t i = 0; i < MT_SIZES; i++) {
		size_t size = mt_sizes[i];
		char *tx = mt_filled(size, mt_key(rank, size, i, slot));
		char *rx = mt_fresh(size);
		MPI_Status status;

		MPI_Sendrecv(tx, (int)size, MPI_CHAR, next, TAG, rx, (int)size,
			     MPI_CHAR, before, TAG, comm, &status);
		mt_expect_status(mt, &status, before, TAG, size);
		mt_check(mt, rx, size, mt_key(before, size, i, slot), "ring");
		MPI_Sendrecv_replace(rx, (int)size, MPI_CHAR, before, TAG, next,
				     TAG, comm, &status);
		mt_check(mt, rx, size, mt_key(rank, size, i, slot),
			 "ring back");
		free(tx);
		free(rx);
	}
}

static void sendrecv(struct mt *mt)
{
	ring(mt, MPI_COMM_WORLD, 0);
}

/* One source and one tag in two communicators: received in the other order. */
static void crossed(struct mt *mt, MPI_Comm comm[2])
{
	char *tx[2], *rx[2];
	MPI_Request send[2];

	for (size_t i = 0; i < 2; i++) {
		tx[i] = mt_filled(MT_BIG, mt_key(mt->rank, MT_BIG, 0, i));
		rx[i] = mt_fresh(MT_BIG);
		MPI_Isend(tx[i], MT_BIG, MPI_CHAR, mt->partner, TAG, comm[i],
			  &send[i]);
	}
	for (size_t i = 2; i-- > 0;) {
		MPI_Recv(rx[i], MT_BIG, MPI_CHAR, mt->partner, TAG, comm[i],
			 MPI_STATUS_IGNORE);
		mt_check(mt, rx[i], MT_BIG, mt_key(mt->partner, MT_BIG, 0, i),
			 "communicators");
	}
	MPI_Waitall(2, send, MPI_STATUSES_IGNORE);
	for (size_t i = 0; i < 2; i++) {
		free(tx[i]);
		free(rx[i]);
	}
}

static void communicators(struct mt *mt)
{
	MPI_Comm half, dup;

	MPI_Comm_split(MPI_COMM_WORLD, mt->rank % 2, -mt->rank, &half);
	ring(mt, half, 1);
	MPI_Comm_dup(MPI_COMM_WORLD, &dup);
	ring(mt, dup, 2);
	if (mt->partner >= 0)
		crossed(mt, (MPI_Comm[2]){ MPI_COMM_WORLD, dup });
	MPI_Comm_free(&half);
	MPI_Comm_free(&dup);
}

enum probe_kind { PROBE, IPROBE, MPROBE, IMPROBE, PROBE_KINDS };

/* Finds the message and receives it, by exact or by any source and tag. */
static void recv_probed(struct mt *mt, enum probe_kind kind, char *rx,
			size_t size, bool any, int tag)
{
	int from = any ? MPI_ANY_SOURCE : mt->partner, found = 0;
	int want = any ? MPI_ANY_TAG : tag;
	MPI_Message message = MPI_MESSAGE_NULL;
	MPI_Status status;

	switch (kind) {
	case PROBE:
		MPI_Probe(from, want, MPI_COMM_WORLD, &status);
		break;
	case IPROBE:
		while (!found)
			MPI_Iprobe(from, want, MPI_COMM_WORLD, &found, &status);
		break;
	case MPROBE:
		MPI_Mprobe(from, want, MPI_COMM_WORLD, &message, &status);
		break;
	case IMPROBE:
		while (!found)
			MPI_Improbe(from, want, MPI_COMM_WORLD, &found,
				    &message, &status);
		break;
	case PROBE_KINDS:
		break;
	}
	mt_expect_status(mt, &status, mt->partner, tag, size);
	if (message != MPI_MESSAGE_NULL)
		MPI_Mrecv(rx, (int)size, MPI_CHAR, &message, &status);
	else
		MPI_Recv(rx, (int)size, MPI_CHAR, status.MPI_SOURCE,
			 status.MPI_TAG, MPI_COMM_WORLD, &status);
	mt_expect_status(mt, &status, mt->partner, tag, size);
}

static void probe(struct mt *mt)
{
	for (size_t i = 0; mt->partner >= 0 && i < MT_SIZES * 2 * PROBE_KINDS;
	     i++) {
		size_t size = mt_sizes[i % MT_SIZES];
		enum probe_kind kind = (enum probe_kind)(i / MT_SIZES / 2);
		char *tx = mt_filled(size, mt_key(mt->rank, size, i, 0));
		char *rx = mt_fresh(size);
		MPI_Request send;

		MPI_Isend(tx, (int)size, MPI_CHAR, mt->partner, TAG + (int)i,
			  MPI_COMM_WORLD, &send);
		recv_probed(mt, kind, rx, size, i / MT_SIZES % 2, TAG + (int)i);
		mt_check(mt, rx, size, mt_key(mt->partner, size, i, 0),
			 "probe");
		MPI_Wait(&send, MPI_STATUS_IGNORE);
		free(tx);
		free(rx);
	}
}

/* A matched message is out of reach of the probes and receives after it. */
static void matched(struct mt *mt)
{
	char *tx[2], *rx[2];
	MPI_Request send[2];
	MPI_Message message;
	int found = 0;

	if (mt->partner < 0)
		return;
	for (size_t i = 0; i < 2; i++) {
		tx[i] = mt_filled(MT_BIG, mt_key(mt->rank, MT_BIG, 0, i));
		rx[i] = mt_fresh(MT_BIG);
		MPI_Isend(tx[i], MT_BIG, MPI_CHAR, mt->partner, TAG,
			  MPI_COMM_WORLD, &send[i]);
	}
	MPI_Mprobe(mt->partner, TAG, MPI_COMM_WORLD, &message,
		   MPI_STATUS_IGNORE);
	MPI_Recv(rx[1], MT_BIG, MPI_CHAR, mt->partner, TAG, MPI_COMM_WORLD,
		 MPI_STATUS_IGNORE);
	MPI_Iprobe(mt->partner, TAG, MPI_COMM_WORLD, &found, MPI_STATUS_IGNORE);
	mt_expect(mt, !found, "a matched message was found again");
	MPI_Mrecv(rx[0], MT_BIG, MPI_CHAR, &message, MPI_STATUS_IGNORE);
	MPI_Waitall(2, send, MPI_STATUSES_IGNORE);
	for (size_t i = 0; i < 2; i++) {
		mt_check(mt, rx[i], MT_BIG, mt_key(mt->partner, MT_BIG, 0, i),
			 "matched");
		free(tx[i]);
		free(rx[i]);
	}
}

/* The partner has come this far too. */
static void meet_partner(struct mt *mt)
{
	MPI_Sendrecv(NULL, 0, MPI_CHAR, mt->partner, TAG + 1, NULL, 0, MPI_CHAR,
		     mt->partner, TAG + 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void cancel(struct mt *mt)
{
	char rx[64], tx[64];
	MPI_Request request[3];
	MPI_Status status;
	int cancelled;

	if (mt->partner < 0)
		return;
	for (int i = 0; i < 3; i++)
		MPI_Irecv(rx, sizeof(rx), MPI_CHAR,
			  i ? mt->partner : MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD,
			  &request[i]);
	for (int i = 0; i < 2; i++) {
		MPI_Cancel(&request[i]);
		MPI_Wait(&request[i], &status);
		MPI_Test_cancelled(&status, &cancelled);
		mt_expect(mt, cancelled, "receive %d was not canceled", i);
	}
	mt_fill(tx, sizeof(tx), mt_key(mt->rank, sizeof(tx), 0, 0));
	meet_partner(mt);
	MPI_Send(tx, sizeof(tx), MPI_CHAR, mt->partner, TAG, MPI_COMM_WORLD);
	MPI_Wait(&request[2], &status);
	MPI_Test_cancelled(&status, &cancelled);
	mt_expect(mt, !cancelled, "the third receive was canceled");
	mt_check(mt, rx, sizeof(rx), mt_key(mt->partner, sizeof(rx), 0, 0),
		 "after cancel");
}

/* All send to rank 0, which takes what comes; order holds for each source. */
#define EACH 50u

static void take_any(struct mt *mt, size_t *next)
{
	char *rx = mt_fresh(MT_BIG);

	for (size_t n = EACH * (size_t)(mt->ranks - 1); n; n--) {
		MPI_Status status;
		size_t i, size;

		MPI_Recv(rx, MT_BIG, MPI_CHAR, MPI_ANY_SOURCE, MPI_ANY_TAG,
			 MPI_COMM_WORLD, &status);
		i = next[status.MPI_SOURCE]++;
		size = mt_sizes[i % (MT_SIZES - 1)];
		mt_expect_status(mt, &status, status.MPI_SOURCE, TAG + (int)i,
				 size);
		mt_check(mt, rx, size, mt_key(status.MPI_SOURCE, size, i, 0),
			 "any source");
	}
	free(rx);
}

static void any_source(struct mt *mt)
{
	size_t *next = calloc((size_t)mt->ranks, sizeof(*next));

	if (!mt->rank)
		take_any(mt, next);
	for (size_t i = 0; mt->rank && i < EACH; i++) {
		size_t size = mt_sizes[i % (MT_SIZES - 1)];
		char *tx = mt_filled(size, mt_key(mt->rank, size, i, 0));

		MPI_Send(tx, (int)size, MPI_CHAR, 0, TAG + (int)i,
			 MPI_COMM_WORLD);
		free(tx);
	}
	free(next);
}

static void self(struct mt *mt)
{
	ring(mt, MPI_COMM_SELF, 3);
	for (size_t i = 0; i < MT_SIZES; i++) {
		size_t size = mt_sizes[i];
		char *tx = mt_filled(size, mt_key(mt->rank, size, i, 4));
		char *rx = mt_fresh(size);
		MPI_Request send;

		MPI_Isend(tx, (int)size, MPI_CHAR, mt->rank, TAG,
			  MPI_COMM_WORLD, &send);
		MPI_Recv(rx, (int)size, MPI_CHAR,
			 i & 1 ? mt->rank : MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD,
			 MPI_STATUS_IGNORE);
		MPI_Wait(&send, MPI_STATUS_IGNORE);
		mt_check(mt, rx, size, mt_key(mt->rank, size, i, 4), "self");
		free(tx);
		free(rx);
	}
}

static void ssend_pingpong(struct mt *mt, const char *tx, char *rx, size_t size)
{
	if (mt->first)
		MPI_Ssend(tx, (int)size, MPI_CHAR, mt->partner, TAG,
			  MPI_COMM_WORLD);
	MPI_Recv(rx, (int)size, MPI_CHAR, mt->partner, TAG, MPI_COMM_WORLD,
		 MPI_STATUS_IGNORE);
	if (!mt->first)
		MPI_Ssend(tx, (int)size, MPI_CHAR, mt->partner, TAG,
			  MPI_COMM_WORLD);
}

/* A synchronous send is not over before its receive is there. */
static void ssend(struct mt *mt)
{
	for (size_t i = 0; mt->partner >= 0 && i < MT_SIZES; i++) {
		size_t size = mt_sizes[i];
		char *tx = mt_filled(size, mt_key(mt->rank, size, i, 0));
		char *rx = mt_fresh(size);
		MPI_Request send;
		int done = 0;

		MPI_Issend(tx, (int)size, MPI_CHAR, mt->partner, TAG,
			   MPI_COMM_WORLD, &send);
		for (int n = 0; n < 200 && !done; n++)
			MPI_Test(&send, &done, MPI_STATUS_IGNORE);
		mt_expect(mt, !done, "Issend of %zu bytes was early", size);
		meet_partner(mt);
		MPI_Recv(rx, (int)size, MPI_CHAR, mt->partner, TAG,
			 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		MPI_Wait(&send, MPI_STATUS_IGNORE);
		mt_check(mt, rx, size, mt_key(mt->partner, size, i, 0),
			 "issend");
		memset(rx, 'c', size);
		ssend_pingpong(mt, tx, rx, size);
		mt_check(mt, rx, size, mt_key(mt->partner, size, i, 0),
			 "ssend");
		free(tx);
		free(rx);
	}
}

#define SETS 4u /* persistent pairs of requests */

static void persistent(struct mt *mt)
{
	MPI_Request request[2 * SETS];
	char *tx[SETS], *rx[SETS];

	for (size_t i = 0; mt->partner >= 0 && i < SETS; i++) {
		tx[i] = mt_fresh(mt_sizes[2 * i + 4]);
		rx[i] = mt_fresh(mt_sizes[2 * i + 4]);
		MPI_Send_init(tx[i], (int)mt_sizes[2 * i + 4], MPI_CHAR,
			      mt->partner, TAG, MPI_COMM_WORLD, &request[i]);
		MPI_Recv_init(rx[i], (int)mt_sizes[2 * i + 4], MPI_CHAR,
			      mt->partner, TAG, MPI_COMM_WORLD,
			      &request[SETS + i]);
	}
	for (size_t round = 0; mt->partner >= 0 && round < 20; round++) {
		for (size_t i = 0; i < SETS; i++)
			mt_fill(tx[i], mt_sizes[2 * i + 4],
				mt_key(mt->rank, mt_sizes[2 * i + 4], round,
				       i));
		MPI_Startall(2 * SETS, request);
		MPI_Waitall(2 * SETS, request, MPI_STATUSES_IGNORE);
		for (size_t i = 0; i < SETS; i++)
			mt_check(mt, rx[i], mt_sizes[2 * i + 4],
				 mt_key(mt->partner, mt_sizes[2 * i + 4], round,
					i),
				 "persistent");
	}
	for (size_t i = 0; mt->partner >= 0 && i < SETS; i++) {
		MPI_Request_free(&request[i]);
		MPI_Request_free(&request[SETS + i]);
		free(tx[i]);
		free(rx[i]);
	}
}

/* Messages of no bytes still have a source, a tag and an order. */
static void zero_bytes(struct mt *mt)
{
	MPI_Status status;

	for (int i = 0; mt->partner >= 0 && i < 100; i++) {
		MPI_Request send[2];

		MPI_Isend(NULL, 0, MPI_CHAR, mt->partner, TAG + i,
			  MPI_COMM_WORLD, &send[0]);
		MPI_Issend(NULL, 0, MPI_CHAR, mt->partner, TAG + i,
			   MPI_COMM_WORLD, &send[1]);
		MPI_Recv(NULL, 0, MPI_CHAR, MPI_ANY_SOURCE, MPI_ANY_TAG,
			 MPI_COMM_WORLD, &status);
		mt_expect_status(mt, &status, mt->partner, TAG + i, 0);
		MPI_Recv(NULL, 0, MPI_CHAR, mt->partner, TAG + i,
			 MPI_COMM_WORLD, &status);
		mt_expect_status(mt, &status, mt->partner, TAG + i, 0);
		MPI_Waitall(2, send, MPI_STATUSES_IGNORE);
	}
}

#define STORM 24u /* messages to each rank, all in flight at once */

/* All to all, receives posted in the reverse of the order of the sends. */
static void storm(struct mt *mt)
{
	size_t n = STORM * (size_t)mt->ranks;
	MPI_Request *request = calloc(2 * n, sizeof(*request));
	char **tx = calloc(n, sizeof(*tx)), **rx = calloc(n, sizeof(*rx));

	for (size_t i = 0; i < n; i++) {
		size_t size = mt_sizes[i % (MT_SIZES - 2)];
		int to = (int)(i / STORM), tag = TAG + (int)(i % STORM);

		tx[i] = mt_filled(size, mt_key(mt->rank, size, i % STORM,
					       (size_t)to));
		MPI_Isend(tx[i], (int)size, MPI_CHAR, to, tag, MPI_COMM_WORLD,
			  &request[i]);
	}
	for (size_t i = n; i-- > 0;) {
		size_t from = i / STORM, slot = i % STORM;
		size_t sent = (size_t)mt->rank * STORM + slot;
		size_t size = mt_sizes[sent % (MT_SIZES - 2)];

		rx[i] = mt_fresh(size);
		MPI_Irecv(rx[i], (int)size, MPI_CHAR, (int)from,
			  TAG + (int)slot, MPI_COMM_WORLD, &request[n + i]);
	}
	MPI_Waitall((int)(2 * n), request, MPI_STATUSES_IGNORE);
	for (size_t i = 0; i < n; i++) {
		size_t sent = (size_t)mt->rank * STORM + i % STORM;
		size_t size = mt_sizes[sent % (MT_SIZES - 2)];

		mt_check(mt, rx[i], size,
			 mt_key((int)(i / STORM), size, i % STORM,
				(size_t)mt->rank),
			 "storm");
		free(tx[i]);
		free(rx[i]);
	}
	free(request);
	free(tx);
	free(rx);
}

/* Every third byte is sent and lands in every second of four. */
static void datatypes(struct mt *mt)
{
	enum { N = 50000 };
	char *tx, *rx, *packed = mt_fresh(N);
	MPI_Datatype third, fourth;
	MPI_Request send;

	if (mt->partner < 0)
		return;
	tx = mt_filled(3 * N, mt_key(mt->rank, 3 * N, 0, 0));
	rx = mt_fresh(4 * N);
	MPI_Type_vector(N, 1, 3, MPI_CHAR, &third);
	MPI_Type_vector(N, 1, 4, MPI_CHAR, &fourth);
	MPI_Type_commit(&third);
	MPI_Type_commit(&fourth);
	MPI_Isend(tx, 1, third, mt->partner, TAG, MPI_COMM_WORLD, &send);
	MPI_Recv(rx, 1, fourth, mt->partner, TAG, MPI_COMM_WORLD,
		 MPI_STATUS_IGNORE);
	MPI_Wait(&send, MPI_STATUS_IGNORE);
	mt_fill(tx, 3 * N, mt_key(mt->partner, 3 * N, 0, 0));
	for (size_t i = 0; i < N; i++)
		packed[i] = (char)(rx[4 * i] ^ tx[3 * i]);
	mt_expect(mt, !packed[0] && !memcmp(packed, packed + 1, N - 1),
		  "wrong bytes in a vector");
	mt_expect(mt, rx[1] == 'a' && rx[2] == 'a', "bytes between changed");
	MPI_Type_free(&third);
	MPI_Type_free(&fourth);
	free(tx);
	free(rx);
	free(packed);
}

/* A message longer than the receive is an error of that receive alone. */
static void truncation(struct mt *mt)
{
	MPI_Comm comm;

	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
	for (size_t i = 2; mt->partner >= 0 && i < MT_SIZES; i++) {
		size_t size = mt_sizes[i];
		char *tx = mt_filled(size, mt_key(mt->rank, size, i, 0));
		char *rx = mt_fresh(size);
		MPI_Request send;
		int ret, class = MPI_SUCCESS;

		MPI_Isend(tx, (int)size, MPI_CHAR, mt->partner, TAG, comm,
			  &send);
		ret = MPI_Recv(rx, (int)size / 2, MPI_CHAR, mt->partner, TAG,
			       comm, MPI_STATUS_IGNORE);
		MPI_Error_class(ret, &class);
		mt_expect(mt, class == MPI_ERR_TRUNCATE,
			  "%zu bytes into half: error class %d", size, class);
		MPI_Wait(&send, MPI_STATUS_IGNORE);
		free(tx);
		free(rx);
	}
	MPI_Comm_free(&comm);
}

/* One message of more bytes than an int counts, from rank 0 to its partner. */
static void huge(struct mt *mt)
{
	enum { BLOCK = 1 << 20 };
	int blocks = (int)(mt->huge / BLOCK);
	size_t size = (size_t)blocks * BLOCK;
	MPI_Datatype block;
	char *p;

	if (!blocks || (mt->rank && mt->partner))
		return;
	p = mt_alloc(size);
	MPI_Type_contiguous(BLOCK, MPI_CHAR, &block);
	MPI_Type_commit(&block);
	if (!mt->rank) {
		mt_fill(p, size, mt_key(0, size, 0, 0));
		MPI_Send(p, blocks, block, mt->partner, TAG, MPI_COMM_WORLD);
	} else {
		MPI_Recv(p, blocks, block, mt->partner, TAG, MPI_COMM_WORLD,
			 MPI_STATUS_IGNORE);
		mt_check(mt, p, size, mt_key(0, size, 0, 0), "huge");
	}
	MPI_Type_free(&block);
	free(p);
}

static const struct mt_case cases[] = {
	{ "sendrecv", sendrecv },
	{ "communicators", communicators },
	{ "probe", probe },
	{ "matched", matched },
	{ "cancel", cancel },
	{ "any_source", any_source },
	{ "self", self },
	{ "ssend", ssend },
	{ "persistent", persistent },
	{ "zero_bytes", zero_bytes },
	{ "storm", storm },
	{ "datatypes", datatypes },
	{ "truncation", truncation },
	{ "huge", huge },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	struct mt mt;

	mt_init(&mt, &argc, &argv, &program);
	mt_run_cases(&mt, cases);
	return mt_finish(&mt);
}
