/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_poll.c - the receive path: records on loan, straight from the rings
 *
 * An empty poll loads the bell and one control word a hot lane.
 */
#include "wire/wire_shm.h"

#include "wire/wire_shm_priv.h"

/* Lines of a record that ends a burst: see drain(). */
#define LONG_LINES 4

static int drain(struct wire_shm *w, struct wire_shm_lane *lane,
		 struct wire_shm_pkt *pkts, int max);

/* The word at the lane's position has its lap, but is no record's. */
static U_COLD int odd(struct wire_shm *w, struct wire_shm_lane *lane,
		      uint64_t word, struct wire_shm_pkt *pkts, int max)
{
	/* Skips do not follow each other: this ends. */
	if (wire_shm_lane_odd(w, lane, word) && wire_shm_lane_ready(lane))
		return drain(w, lane, pkts, max);
	return 0;
}

/*
 * Lends the records of one lane, up to max >= 1. A long one ends the burst:
 * to look behind it costs a cache miss that its reader would wait for, and
 * saves little.
 */
static __attribute__((noinline)) int drain(struct wire_shm *w,
					   struct wire_shm_lane *lane,
					   struct wire_shm_pkt *pkts, int max)
{
	const char *line = lane->next;
	uint64_t word, pos = lane->pos;
	uint32_t len, lines, at;
	int n = 0;

	do {
		/* RECORD, and I2: a copy is judged. */
		word = atomic_load_explicit(wire_shm_word(line),
					    memory_order_acquire);
		if ((uint16_t)word != lane->lap)
			break;
		len = (uint16_t)(word >> 16);
		lines = wire_shm_lines(len);
		at = (uint32_t)pos & w->mask;
		if (u_unlikely(len > WIRE_SHM_MAX || lines > w->lines - at))
			break;
		pkts[n].data = line + 8;
		pkts[n].len = len;
		pkts[n].word = (uint32_t)(word >> 32);
		pkts[n].lane = lane->number;
		n++;
		pos += lines;
		line += lines * U_LINE;
		if (u_unlikely(at + lines == w->lines)) {
			line = lane->ring;
			lane->lap = wire_shm_lap(pos, w->shift);
		}
	} while (n < max && lines <= LONG_LINES);
	lane->pos = pos;
	lane->next = line;
	if (u_unlikely(!n))
		return odd(w, lane, word, pkts, max);
	w->stats.records += (uint64_t)n;
	w->lent[w->nlent++] = lane;
	return n;
}

/* All hot lanes in turn, the one after the last lender first. */
static __attribute__((noinline)) int
poll_many(struct wire_shm *w, struct wire_shm_pkt *pkts, int max)
{
	struct wire_shm_lane *lane;
	uint32_t left;
	int n = 0;

	for (left = w->nhot; left && n < max; left--) {
		/* A lane that was cut has left the list. */
		if (w->turn >= w->nhot) {
			w->turn = 0;
			if (!w->nhot)
				break;
		}
		lane = w->hot[w->turn++];
		if (u_unlikely(wire_shm_lane_ready(lane)))
			n += drain(w, lane, pkts + n, max - n);
	}
	return n;
}

static U_COLD int tend_and_poll(struct wire_shm *w, struct wire_shm_pkt *pkts,
				int max)
{
	if (w->chores)
		wire_shm_lane_chores(w);
	if (wire_shm_bell_rang(w))
		wire_shm_lane_answer(w);
	return poll_many(w, pkts, max);
}

int wire_shm_poll(struct wire_shm *w, struct wire_shm_pkt *pkts, int max)
{
	struct wire_shm_lane *lane;

	assert(w->nlent == 0);
	if (u_unlikely(w->chores || wire_shm_bell_rang(w)))
		return tend_and_poll(w, pkts, max);
	if (w->nhot != 1)
		return poll_many(w, pkts, max);
	lane = w->hot[0];
	if (!wire_shm_lane_ready(lane) || max <= 0)
		return 0;
	return drain(w, lane, pkts, max);
}

void wire_shm_give_back(struct wire_shm *w)
{
	struct wire_shm_lane *lane;

	while (w->nlent) {
		lane = w->lent[--w->nlent];
		if (lane->pos - lane->told < w->quarter)
			continue;
		/* HEAD: our reads of the lines are done. */
		atomic_store_explicit(&wire_shm_lane_ctl(w, lane->number)->head,
				      lane->pos, memory_order_release);
		lane->told = lane->pos;
	}
}
