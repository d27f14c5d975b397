/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_poll.c - the receive path: records on loan, straight from the rings
 *
 * An empty poll loads the bell and one control word a hot lane.
 */
#include "wire/wire_shm.h"

#include "wire/wire_shm_priv.h"

/* The record behind the control word at lane->next goes out on loan. */
static inline void lend(struct wire_shm_lane *lane, uint64_t word, uint32_t len,
			struct wire_shm_pkt *pkt)
{
	pkt->data = lane->next + 8;
	pkt->len = len;
	pkt->word = (uint32_t)(word >> 32);
	pkt->lane = lane->number;
}

static inline void advance(const struct wire_shm *w, struct wire_shm_lane *lane,
			   uint32_t lines)
{
	uint64_t pos = lane->pos + lines;

	lane->pos = pos;
	lane->next = lane->ring + (pos & (w->lines - 1)) * U_LINE;
	lane->lap = wire_shm_lap(pos, w->shift);
}

/* All records of one lane, up to max. The first is known to be there. */
static int drain(struct wire_shm *w, struct wire_shm_lane *lane,
		 struct wire_shm_pkt *pkts, int max)
{
	uint32_t len, lines, room;
	uint64_t word;
	int n = 0;

	while (n < max) {
		/* RECORD, and I2: a copy is judged. */
		word = atomic_load_explicit(wire_shm_word(lane->next),
					    memory_order_acquire);
		if ((uint16_t)word != lane->lap)
			break;
		len = (uint32_t)(word >> 16) & 0xffff;
		lines = wire_shm_lines(len);
		room = w->lines - (uint32_t)(lane->pos & (w->lines - 1));
		if (u_unlikely(len > WIRE_SHM_MAX || lines > room)) {
			if (!wire_shm_lane_odd(w, lane, word))
				break;
			continue;
		}
		lend(lane, word, len, &pkts[n++]);
		advance(w, lane, lines);
	}
	return n;
}

int wire_shm_poll(struct wire_shm *w, struct wire_shm_pkt *pkts, int max)
{
	struct wire_shm_lane *lane;
	uint32_t left;
	int n = 0, got;

	assert(w->nlent == 0);
	if (u_unlikely(w->chores))
		wire_shm_lane_chores(w);
	/* BELL is acquired where it is answered. */
	if (u_unlikely(atomic_load_explicit(&w->seg->bell,
					    memory_order_relaxed) != w->bell))
		wire_shm_lane_answer(w);
	for (left = w->nhot; left && n < max; left--) {
		/* A lane that was cut has left the list. */
		if (w->turn >= w->nhot) {
			w->turn = 0;
			if (!w->nhot)
				break;
		}
		lane = w->hot[w->turn++];
		if (!wire_shm_lane_ready(lane))
			continue;
		got = drain(w, lane, pkts + n, max - n);
		if (got)
			w->lent[w->nlent++] = lane;
		n += got;
	}
	w->stats.records += (uint64_t)n;
	return n;
}

void wire_shm_give_back(struct wire_shm *w)
{
	struct wire_shm_lane *lane;

	while (w->nlent) {
		lane = w->lent[--w->nlent];
		if (lane->pos - lane->told < w->lines / 4)
			continue;
		/* HEAD: our reads of the lines are done. */
		atomic_store_explicit(&wire_shm_lane_ctl(w, lane->number)->head,
				      lane->pos, memory_order_release);
		lane->told = lane->pos;
	}
}
