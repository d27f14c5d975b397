/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verify_match.c - which receive a message finds, and receives that get none
 *
 * In these cases the client sends and the server receives.
 */
#include "verify.h"

#include <string.h>

#define TAG 0x2000u
#define SIZE 100u
#define ROOM 256u /* of a receive in the arena, with its guard */

static void send_one(struct verify *v, size_t len, uint64_t tag, uint64_t seed)
{
	struct vf_op op;

	vf_fill(v, 0, len, seed);
	vf_send(v, &op, v->ft.peer, 0, len, tag);
	vf_wait(v, &op);
	vf_expect(v, !op.err, "send: %s", fi_strerror(op.err));
}

/* Sends with no receive in sight; they may complete only when matched. */
static void send_many(struct verify *v, struct vf_op *op, size_t n,
		      const uint64_t *tag, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		vf_fill(v, i * ROOM, SIZE, seed + i);
		vf_send(v, &op[i], v->ft.peer, i * ROOM, SIZE, tag[i]);
	}
}

static void wait_many(struct verify *v, struct vf_op *op, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		vf_wait(v, &op[i]);
		vf_expect(v, !op[i].err, "send: %s", fi_strerror(op[i].err));
	}
}

static void any_source(struct verify *v)
{
	struct vf_op op;

	for (size_t i = 0; i < 20; i++) {
		if (!v->ft.client)
			vf_recv(v, &op, FI_ADDR_UNSPEC, 0, SIZE, TAG + i, 0);
		ft_sync(&v->ft);
		if (v->ft.client) {
			send_one(v, SIZE, TAG + i, i);
		} else {
			vf_wait(v, &op);
			vf_expect_recv(v, &op, SIZE, TAG + i);
			if (v->ft.info->caps & FI_SOURCE)
				vf_expect(v, op.src == v->ft.peer,
					  "source %llx is not the peer",
					  (unsigned long long)op.src);
			vf_expect_bytes(v, 0, SIZE, i);
		}
		ft_sync(&v->ft);
	}
}

/* A receive for one's own messages stays out of the peer's way. */
static void directed(struct verify *v)
{
	struct vf_op own, peers, send;

	if (v->ft.client) {
		ft_sync(&v->ft);
		send_one(v, SIZE, TAG, 1);
		ft_sync(&v->ft);
		return;
	}
	vf_recv(v, &own, v->ft.self, 0, SIZE, TAG, 0);
	vf_recv(v, &peers, v->ft.peer, ROOM, SIZE, TAG, 0);
	ft_sync(&v->ft);
	vf_wait(v, &peers);
	vf_expect_recv(v, &peers, SIZE, TAG);
	vf_expect_bytes(v, ROOM, SIZE, 1);
	vf_expect(v, !own.done, "the wrong receive was matched");
	vf_fill(v, 0, SIZE, 2);
	vf_send(v, &send, v->ft.self, 0, SIZE, TAG);
	vf_wait(v, &own);
	vf_wait(v, &send);
	vf_expect_recv(v, &own, SIZE, TAG);
	vf_expect_bytes(v, 0, SIZE, 2);
	ft_sync(&v->ft);
}

/* Of the posted receives that fit, the first posted takes the message. */
static void ignore_posted(struct verify *v)
{
	static const struct {
		uint64_t tag, ignore;
	} posted[] = {
		{ TAG + 0x100, 0 },	    { TAG, 0xf },
		{ TAG + 0x20, 0xf },	    { 0, ~0ull },
		{ TAG + 0x30, 0 },	    { 1ull << 63, 0 },
		{ 1ull << 62, 1ull << 63 },
	};
	/* What is sent in this order, and the receive each must find. */
	static const struct {
		uint64_t tag;
		size_t finds;
	} sent[] = {
		{ TAG + 0x2f, 2 },  { TAG + 7, 1 },    { TAG + 0x30, 3 },
		{ TAG + 0x30, 4 },  { 3ull << 62, 6 }, { 1ull << 63, 5 },
		{ TAG + 0x100, 0 },
	};
	const size_t n = sizeof(posted) / sizeof(posted[0]);
	struct vf_op op[sizeof(posted) / sizeof(posted[0])];

	for (size_t i = 0; i < n && !v->ft.client; i++) {
		vf_guard(v, i * ROOM, SIZE);
		vf_recv(v, &op[i], FI_ADDR_UNSPEC, i * ROOM, SIZE,
			posted[i].tag, posted[i].ignore);
	}
	ft_sync(&v->ft);
	for (size_t i = 0; i < n && v->ft.client; i++)
		send_one(v, i + 1, sent[i].tag, i);
	for (size_t i = 0; i < n && !v->ft.client; i++) {
		size_t to = sent[i].finds;

		vf_wait(v, &op[to]);
		vf_expect_recv(v, &op[to], i + 1, sent[i].tag);
		vf_expect_bytes(v, to * ROOM, i + 1, i);
		vf_expect_guard(v, to * ROOM, i + 1, SIZE);
	}
	ft_sync(&v->ft);
}

/* Of the messages that fit a receive, the first that came is taken. */
static void ignore_unexpected(struct verify *v)
{
	static const uint64_t sent[] = { TAG + 0x40, TAG + 1, TAG + 0x41,
					 TAG + 2, TAG + 0x42 };
	static const struct {
		uint64_t tag, ignore;
		size_t finds;
	} wanted[] = {
		{ TAG, 0xf, 1 }, { TAG + 0x42, 0, 4 }, { TAG + 0x40, 0xf, 0 },
		{ 0, ~0ull, 2 }, { 0, ~0ull, 3 },
	};
	const size_t n = sizeof(sent) / sizeof(sent[0]);
	struct vf_op op[sizeof(sent) / sizeof(sent[0])];

	if (v->ft.client)
		send_many(v, op, n, sent, 10);
	ft_sync(&v->ft);
	vf_linger(v, 5);
	for (size_t i = 0; i < n && !v->ft.client; i++) {
		size_t from = wanted[i].finds;
		struct vf_op recv;

		vf_recv(v, &recv, FI_ADDR_UNSPEC, 0, SIZE, wanted[i].tag,
			wanted[i].ignore);
		vf_wait(v, &recv);
		vf_expect_recv(v, &recv, SIZE, sent[from]);
		vf_expect_bytes(v, 0, SIZE, 10 + from);
	}
	if (v->ft.client)
		wait_many(v, op, n);
	ft_sync(&v->ft);
}

static void cancel_one(struct verify *v, struct vf_op *op)
{
	ssize_t ret = fi_cancel(&v->ft.ep->fid, op);

	vf_expect(v, !ret, "fi_cancel: %s", fi_strerror((int)-ret));
	vf_wait(v, op);
	vf_expect(v, op->err == FI_ECANCELED, "a canceled receive: %s",
		  fi_strerror(op->err));
	vf_expect(v, op->entries == 1, "%u entries", op->entries);
}

/* A canceled receive has one entry and gets no message; others are in peace. */
static void cancel(struct verify *v)
{
	struct vf_op op[5];

	for (size_t i = 0; i < 5 && !v->ft.client; i++) {
		vf_guard(v, i * ROOM, SIZE);
		vf_recv(v, &op[i], i & 1 ? FI_ADDR_UNSPEC : v->ft.peer,
			i * ROOM, SIZE, TAG + (i == 4), i == 3 ? 1 : 0);
	}
	if (!v->ft.client) {
		cancel_one(v, &op[2]);
		cancel_one(v, &op[0]);
		cancel_one(v, &op[3]);
		/* Nothing is left to cancel: no entry, and no harm. */
		(void)fi_cancel(&v->ft.ep->fid, &op[2]);
		vf_linger(v, 2);
	}
	ft_sync(&v->ft);
	if (v->ft.client) {
		send_one(v, SIZE, TAG, 1);
		send_one(v, SIZE, TAG + 1, 2);
	} else {
		vf_wait(v, &op[1]);
		vf_wait(v, &op[4]);
		vf_expect_recv(v, &op[1], SIZE, TAG);
		vf_expect_recv(v, &op[4], SIZE, TAG + 1);
		vf_expect_bytes(v, 1 * ROOM, SIZE, 1);
		vf_expect_bytes(v, 4 * ROOM, SIZE, 2);
		vf_expect(v, op[2].entries == 1, "canceled twice");
		vf_expect_guard(v, 0 * ROOM, 0, SIZE);
		vf_expect_guard(v, 2 * ROOM, 0, SIZE);
		vf_expect_guard(v, 3 * ROOM, 0, SIZE);
	}
	ft_sync(&v->ft);
}

/*
 * Canceled while its message is coming: either side hears of it once, and what
 * follows is in peace.
 */
static void cancel_one_midway(struct verify *v, size_t size, int polls)
{
	uint64_t seed = v->serial++;
	struct vf_op op;

	if (v->ft.client) {
		ft_sync(&v->ft);
		vf_fill(v, 0, size, seed);
		vf_send(v, &op, v->ft.peer, 0, size, TAG + 8);
		vf_wait(v, &op);
		vf_expect(v, op.entries == 1, "%u entries", op.entries);
	} else {
		vf_guard(v, 0, size);
		vf_recv(v, &op, v->ft.peer, 0, size, TAG + 8, 0);
		ft_sync(&v->ft);
		for (int i = 0; i < polls && !op.done; i++)
			vf_poll(v);
		(void)fi_cancel(&v->ft.ep->fid, &op);
		vf_wait(v, &op);
		vf_linger(v, 2);
		vf_expect(v,
			  op.entries == 1 &&
				  (!op.err || op.err == FI_ECANCELED),
			  "canceled after %d polls: %u entries, %s", polls,
			  op.entries, fi_strerror(op.err));
		if (!op.err)
			vf_expect_bytes(v, 0, size, seed);
		else /* what came too late is for nobody */
			vf_recv(v, &op, v->ft.peer, 0, size, TAG + 8, 0);
	}
	ft_sync(&v->ft);
	if (!v->ft.client && !op.done) {
		vf_linger(v, 5);
		(void)fi_cancel(&v->ft.ep->fid, &op);
		vf_wait(v, &op);
	}
	ft_sync(&v->ft);
}

static void cancel_midway(struct verify *v)
{
	static const size_t sizes[] = { 20000, 100000, 1000000, 4000000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (sizes[i] > v->ft.opt.max)
			break;
		for (int polls = 1; polls < 5000; polls *= 3)
			cancel_one_midway(v, sizes[i], polls);
	}
}

static void truncate_one(struct verify *v, size_t size, size_t room,
			 bool expected)
{
	uint64_t seed = v->serial++;
	struct vf_op op;

	if (v->ft.client) {
		ft_sync(&v->ft);
		vf_fill(v, 0, size, seed);
		vf_send(v, &op, v->ft.peer, 0, size, TAG + 9);
		ft_sync(&v->ft);
		/* Whether the sender hears of it is the provider's choice. */
		vf_wait(v, &op);
		ft_sync(&v->ft);
		return;
	}
	vf_guard(v, 0, size);
	if (expected)
		vf_recv(v, &op, v->ft.peer, 0, room, TAG + 9, 0);
	ft_sync(&v->ft);
	ft_sync(&v->ft);
	vf_linger(v, 2);
	if (!expected)
		vf_recv(v, &op, v->ft.peer, 0, room, TAG + 9, 0);
	vf_wait(v, &op);
	vf_expect(v, op.err == FI_ETRUNC, "%zu bytes into %zu: %s", size, room,
		  fi_strerror(op.err));
	vf_expect(v, op.olen == size - room, "%zu bytes into %zu: olen %zu",
		  size, room, op.olen);
	vf_expect(v, op.len == size || (!v->strict && op.len == room),
		  "%zu bytes into %zu: len %zu", size, room, op.len);
	vf_expect(v, op.tag == TAG + 9, "tag %llx in the error entry",
		  (unsigned long long)op.tag);
	vf_expect(v, op.entries == 1, "%u entries", op.entries);
	vf_expect_guard(v, 0, room, size);
	ft_sync(&v->ft);
}

static void truncation(struct verify *v)
{
	static const size_t sizes[][2] = {
		{ 1, 0 },
		{ 8, 7 },
		{ 100, 0 },
		{ 4000, 100 },
		{ 5000, 4999 },
		{ 20000, 9000 },
		{ 65536, 65535 },
		{ 300000, 4096 },
		{ 1048576, 1 },
		{ 2000000, 0 },
		{ 4000000, 3000000 },
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (sizes[i][0] > v->ft.opt.max)
			break;
		truncate_one(v, sizes[i][0], sizes[i][1], true);
		truncate_one(v, sizes[i][0], sizes[i][1], false);
	}
}

/* One's own endpoint is a peer like any other. */
static void to_self(struct verify *v)
{
	static const size_t sizes[] = {
		0, 1, 8, 100, 4096, 10000, 65536, 262144, 1048576, 4000000
	};

	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t seed = v->serial++;
		size_t size = sizes[i / 2];
		struct vf_op send, recv;

		if (size > v->ft.opt.max)
			break;
		vf_fill(v, 0, size, seed);
		vf_guard(v, 0, size);
		if (i & 1)
			vf_recv(v, &recv, v->ft.self, 0, size, TAG + i, 0);
		vf_send(v, &send, v->ft.self, 0, size, TAG + i);
		if (!(i & 1)) {
			vf_linger(v, 1);
			vf_recv(v, &recv, FI_ADDR_UNSPEC, 0, size, TAG + i, 0);
		}
		vf_wait(v, &recv);
		vf_wait(v, &send);
		vf_expect_recv(v, &recv, size, TAG + i);
		vf_expect_bytes(v, 0, size, seed);
		vf_expect_guard(v, 0, size, size);
		vf_expect(v, !send.err, "send: %s", fi_strerror(send.err));
	}
	ft_sync(&v->ft);
}

const struct vf_case vf_match_cases[] = {
	{ "any_source", any_source, 0 },
	{ "directed", directed, FI_DIRECTED_RECV },
	{ "ignore_posted", ignore_posted, 0 },
	{ "ignore_unexpected", ignore_unexpected, 0 },
	{ "cancel", cancel, 0 },
	{ "cancel_midway", cancel_midway, 0 },
	{ "truncation", truncation, 0 },
	{ "to_self", to_self, 0 },
	{ NULL, NULL, 0 },
};
