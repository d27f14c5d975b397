/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pair_wire.c - the simulated wire: a heap of packets by time of arrival
 */
#include "srd_pair.h"

#include <stdlib.h>
#include <string.h>

#include "srd_pair_priv.h"

static bool before(const struct pair_packet *a, const struct pair_packet *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct pair *w, uint32_t i, uint32_t j)
{
	struct pair_packet packet = w->heap[i];

	w->heap[i] = w->heap[j];
	w->heap[j] = packet;
}

static void sift_up(struct pair *w, uint32_t i)
{
	for (; i && before(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(w, i, (i - 1) / 2);
}

static void sift_down(struct pair *w, uint32_t i)
{
	for (uint32_t down; (down = 2 * i + 1) < w->nheap; i = down) {
		if (down + 1 < w->nheap &&
		    before(&w->heap[down + 1], &w->heap[down]))
			down++;
		if (!before(&w->heap[down], &w->heap[i]))
			return;
		swap(w, i, down);
	}
}

static struct pair_packet take_out(struct pair *w, uint32_t place)
{
	struct pair_packet packet = w->heap[place];

	w->heap[place] = w->heap[--w->nheap];
	if (place < w->nheap) {
		sift_down(w, place);
		sift_up(w, place);
	}
	return packet;
}

void pair_drop(struct pair *w, uint32_t place)
{
	free(take_out(w, place).bytes);
}

static void put_packet(struct pair *w, struct pair_packet packet)
{
	if (w->nheap == w->heap_room) {
		w->heap_room = 2 * w->heap_room + 64;
		w->heap = realloc(w->heap, w->heap_room * sizeof(*w->heap));
	}
	packet.order = w->order++;
	w->heap[w->nheap] = packet;
	sift_up(w, w->nheap++);
}

static uint64_t arrival(struct pair *w, uint8_t path)
{
	uint64_t at = w->now + w->wire.delay;

	if (w->wire.slow_paths >> path & 1)
		at += w->wire.slow_by;
	if (w->wire.jitter)
		at += pair_random(w) % w->wire.jitter;
	if (pair_chance(w, w->wire.late))
		at += pair_random(w) % w->wire.late_by;
	return at;
}

static uint8_t *copy(const uint8_t *bytes, uint32_t len)
{
	uint8_t *copied = malloc(len + !len);

	memcpy(copied, bytes, len);
	return copied;
}

void pair_inject(struct pair *w, int from, int to, const void *bytes,
		 uint32_t len)
{
	put_packet(w, (struct pair_packet){ .at = w->now + w->wire.delay,
					    .bytes = copy(bytes, len),
					    .len = len,
					    .from = (uint8_t)from,
					    .to = (uint8_t)to });
}

/* Only bits that the checksum covers: others are for the layer below. */
static void corrupt(struct pair *w, struct pair_packet *packet)
{
	uint32_t covered = w->cfg.check_all ? packet->len :
					      packet->bytes[3] * 4u;
	uint32_t flips = 1 + pair_dice(w, 4), at;

	while (flips--) {
		at = pair_dice(w, covered);
		packet->bytes[at] ^= (uint8_t)(1u << pair_dice(w, 8));
	}
}

static int node_of(const struct pair *w, const struct srd_addr *addr)
{
	int node = (int)(addr->qpn - PAIR_QPN);

	PAIR_MUST(w, node >= 0 && node < w->n);
	PAIR_MUST(w, addr->gid[15] == node + 1);
	return node;
}

void pair_put(struct pair *w, int from, const struct srd_out *out)
{
	int to = node_of(w, out->to);
	struct pair_packet packet = {
		.from = (uint8_t)from,
		.to = (uint8_t)to,
		.path = out->path,
		.len = (uint32_t)out->hdr_len + out->data_len,
	};

	PAIR_MUST(w, out->path < (w->cfg.paths ? w->cfg.paths : 16));
	PAIR_MUST(w,
		  out->hdr_len <= SRD_HDR_MAX && !out->data_len == !out->data);
	w->sent++;
	if (w->tap && w->tap(w, from, to, out))
		return;
	if (pair_chance(w, w->wire.loss) ||
	    w->wire.black_paths >> out->path & 1 ||
	    w->wire.cut >> (from * PAIR_NODES_MAX + to) & 1)
		return;
	packet.bytes = malloc(packet.len);
	memcpy(packet.bytes, out->hdr, out->hdr_len);
	if (out->data_len)
		memcpy(packet.bytes + out->hdr_len, out->data, out->data_len);
	packet.at = arrival(w, out->path);
	if (pair_chance(w, w->wire.dup)) {
		struct pair_packet twin = packet;

		twin.bytes = copy(packet.bytes, packet.len);
		twin.at = arrival(w, out->path);
		put_packet(w, twin);
	}
	if (pair_chance(w, w->wire.corrupt))
		corrupt(w, &packet);
	put_packet(w, packet);
}

static void take(struct pair *w, const struct pair_packet *packet)
{
	struct pair_node *node = &w->node[packet->to];
	struct srd_event event;
	int n;

	memset(&event, 0x5a, sizeof(event));
	n = srd_rx(node->srd, packet->bytes, packet->len,
		   w->node[packet->from].addr.gid, w->now, &event);
	if (!n)
		return;
	PAIR_MUST(w, n == 1);
	pair_take_event(w, packet->to, &event);
	srd_release(node->srd, &event);
}

void pair_deliver(struct pair *w, uint32_t place, bool keep)
{
	struct pair_packet packet;

	if (keep) {
		packet = w->heap[place];
		packet.bytes = copy(packet.bytes, packet.len);
	} else {
		packet = take_out(w, place);
	}
	if (!w->node[packet.to].asleep)
		take(w, &packet);
	else if (!keep) {
		/* It waits in the socket of a sleeper. */
		packet.at = w->now + w->wire.delay + 200000;
		put_packet(w, packet);
		return;
	}
	free(packet.bytes);
}

void pair_drive(struct pair *w, int i)
{
	struct pair_node *node = &w->node[i];
	struct srd_out out[24];
	struct srd_done done[8];
	int n, taken, max, rounds = 0;

	do {
		max = 1 + (int)pair_dice(w, 24);
		n = srd_tx(node->srd, w->now, out, max);
		PAIR_MUST(w, n >= 0 && n <= max && ++rounds < 10000);
		taken = n;
		if (n && pair_chance(w, w->wire.full))
			taken = (int)pair_dice(w, (uint32_t)n + 1);
		for (int k = 0; k < taken; k++)
			pair_put(w, i, &out[k]);
		srd_unsent(node->srd, out + taken, n - taken, w->now);
	} while (n == max && taken == n);
	do {
		n = srd_done(node->srd, done, 8);
		for (int k = 0; k < n; k++)
			pair_take_done(w, i, &done[k]);
	} while (n == 8);
}
