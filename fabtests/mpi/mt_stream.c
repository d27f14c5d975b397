/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mt_stream.c - windows of nonblocking messages between the pairs
 *
 * Without --verify all messages of a window share one buffer, in both
 * directions, as the definition of these benchmarks has it. With --verify each
 * has its own slot, and the window shrinks when the slots would need more than
 * half of the memory allowed.
 */
#include "mt.h"

#include <stdio.h>
#include <stdlib.h>

#define DATA_TAG 100
#define REPLY_TAG 101

static struct {
	char *tx, *rx;
	size_t size; /* of each buffer */
	size_t window; /* of the size at hand */
	MPI_Request *request; /* [2 * mt->window] */
} stream;

size_t mt_stream_window(const struct mt *mt, size_t size)
{
	size_t fit = size ? mt->memory / 4 / size : mt->window;

	if (!mt->verify || fit >= mt->window)
		return mt->window;
	return fit ? fit : 1;
}

void mt_stream_init(struct mt *mt)
{
	stream.size = mt->max > MT_REPLY ? mt->max : MT_REPLY;
	for (size_t s = mt->min; s <= mt->max; s = s ? s * 2 : 1)
		if (mt->verify && s * mt_stream_window(mt, s) > stream.size)
			stream.size = s * mt_stream_window(mt, s);
	stream.tx = mt_alloc(stream.size);
	stream.rx = mt_alloc(stream.size);
	stream.request = calloc(2 * mt->window, sizeof(MPI_Request));
	if (!stream.request)
		MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
}

void mt_stream_fini(struct mt *mt)
{
	(void)mt;
	free(stream.tx);
	free(stream.rx);
	free(stream.request);
}

static size_t slot_at(const struct mt *mt, size_t size, size_t slot)
{
	return mt->verify ? slot * size : 0;
}

static void fill_window(const struct mt *mt, size_t size, size_t iteration)
{
	for (size_t i = 0; mt->verify && i < stream.window; i++)
		mt_fill(stream.tx + slot_at(mt, size, i), size,
			(struct mt_key){ mt->rank, size, iteration, i });
}

static void check_window(struct mt *mt, size_t size, size_t iteration)
{
	for (size_t i = 0; mt->verify && i < stream.window; i++)
		mt_check(mt, stream.rx + slot_at(mt, size, i), size,
			 (struct mt_key){ mt->partner, size, iteration, i },
			 mt->program->name);
}

static void post_recvs(const struct mt *mt, size_t size, MPI_Request *request)
{
	for (size_t i = 0; i < stream.window; i++)
		MPI_Irecv(stream.rx + slot_at(mt, size, i), (int)size, MPI_CHAR,
			  mt->partner, DATA_TAG, MPI_COMM_WORLD, &request[i]);
}

static void post_sends(const struct mt *mt, size_t size, MPI_Request *request)
{
	for (size_t i = 0; i < stream.window; i++)
		MPI_Isend(stream.tx + slot_at(mt, size, i), (int)size, MPI_CHAR,
			  mt->partner, DATA_TAG, MPI_COMM_WORLD, &request[i]);
}

static void send_window(const struct mt *mt, size_t size)
{
	char reply[MT_REPLY];

	post_sends(mt, size, stream.request);
	MPI_Waitall((int)stream.window, stream.request, MPI_STATUSES_IGNORE);
	MPI_Recv(reply, MT_REPLY, MPI_CHAR, mt->partner, REPLY_TAG,
		 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void recv_window(struct mt *mt, size_t size, size_t iteration)
{
	char reply[MT_REPLY] = { 0 };

	post_recvs(mt, size, stream.request);
	MPI_Waitall((int)stream.window, stream.request, MPI_STATUSES_IGNORE);
	check_window(mt, size, iteration);
	MPI_Send(reply, MT_REPLY, MPI_CHAR, mt->partner, REPLY_TAG,
		 MPI_COMM_WORLD);
}

static void swap_windows(struct mt *mt, size_t size, size_t iteration)
{
	post_recvs(mt, size, stream.request);
	post_sends(mt, size, stream.request + stream.window);
	MPI_Waitall((int)(2 * stream.window), stream.request,
		    MPI_STATUSES_IGNORE);
	check_window(mt, size, iteration);
}

static void one_window(struct mt *mt, size_t size, size_t iteration, bool both)
{
	if (mt->first || both)
		fill_window(mt, size, iteration);
	if (both)
		swap_windows(mt, size, iteration);
	else if (mt->first)
		send_window(mt, size);
	else
		recv_window(mt, size, iteration);
}

struct mt_times mt_stream_run(struct mt *mt, size_t size, struct mt_stream how)
{
	mt_begin(mt, size);
	stream.window = mt_stream_window(mt, size);
	MPI_Barrier(MPI_COMM_WORLD);
	for (size_t i = 0; i < mt->loop.count + mt->loop.skip; i++) {
		if (i == mt->loop.skip) {
			if (how.barrier)
				MPI_Barrier(MPI_COMM_WORLD);
			mt_clock_start(mt);
		}
		if (mt->partner >= 0)
			one_window(mt, size, i, how.both);
		if (i >= mt->loop.skip)
			mt_clock_stamp(mt);
	}
	return mt->first ? mt_clock_stop(mt) : (struct mt_times){ 0 };
}
