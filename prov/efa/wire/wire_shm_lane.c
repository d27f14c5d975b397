/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_lane.c - the life of a lane as its receiver sees it
 *
 *                 bell: entry OPEN
 *        NONE ------------------------> READ <----+ bell
 *         ^                           hot | cold -+   idle, and there are
 *         |                               |  ^    |   more hot than
 *         | closing and empty             |  +----+   WIRE_SHM_HOT_FREE
 *         +-------------------------------+
 *         | closing                       | nonsense in the ring, cut_off
 *         +---------- CUT <---------------+
 *
 * closing: the sender said so (entry CLOSING, bell), or its lock is gone.
 *
 * I1  Memory of a lane is touched between first sight and free only; it is
 *     reserved then, by us too if the sender did not.
 * I2  A lane in hot is READ, and its flags are 0.
 * I3  Lanes are freed by chores only, at the start of a poll, so that no
 *     loan lies in them.
 */
#include "wire/wire_shm_priv.h"

#include "util/u_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

/* Polls with chores between two looks for idle lanes. */
#define COOL_PERIOD 4096

static void chores_note(struct wire_shm *w)
{
	w->chores = w->nclosing || w->nhot > WIRE_SHM_HOT_FREE;
}

static void flags_set(struct wire_shm *w, struct wire_shm_lane *lane,
		      uint32_t flags)
{
	atomic_store_explicit(&wire_shm_lane_ctl(w, lane->number)->flags, flags,
			      memory_order_relaxed);
}

static void heat(struct wire_shm *w, struct wire_shm_lane *lane)
{
	assert(lane->state == WIRE_SHM_LANE_READ);
	if (lane->hot)
		return;
	flags_set(w, lane, 0);
	lane->hot = true;
	lane->cool_pos = lane->pos - 1; /* not idle before it was polled */
	w->hot[w->nhot++] = lane;
	chores_note(w);
}

static void hot_remove(struct wire_shm *w, struct wire_shm_lane *lane)
{
	uint32_t i;

	if (!lane->hot)
		return;
	for (i = 0; w->hot[i] != lane; i++)
		;
	w->hot[i] = w->hot[--w->nhot];
	lane->hot = false;
	chores_note(w);
}

static void lane_cut(struct wire_shm *w, struct wire_shm_lane *lane)
{
	hot_remove(w, lane);
	lane->state = WIRE_SHM_LANE_CUT;
	if (lane->next)
		flags_set(w, lane, WIRE_SHM_CUT);
}

static void cut(struct wire_shm *w, struct wire_shm_lane *lane,
		const char *what)
{
	w->stats.bad_records++;
	u_warn("shm: lane %u of %s is cut off: its sender (queue pair %u) "
	       "wrote %s",
	       lane->number, w->file.path, w->who[lane->number].qpn, what);
	lane_cut(w, lane);
}

void wire_shm_cut_off(struct wire_shm *w, uint32_t lane)
{
	assert(w->nlent == 0);
	if (lane < w->lanes && w->lane[lane].state == WIRE_SHM_LANE_READ &&
	    !w->lane[lane].closing &&
	    wire_shm_locked(w->file.fd, WIRE_SHM_LOCK_LANE(lane)))
		lane_cut(w, &w->lane[lane]);
}

bool wire_shm_lane_odd(struct wire_shm *w, struct wire_shm_lane *lane,
		       uint64_t word)
{
	uint32_t at = (uint32_t)lane->pos & w->mask;
	uint32_t len = (uint32_t)(word >> 16) & 0xffff;

	/* Skips do not follow each other: the loop above us ends. */
	if (len == WIRE_SHM_SKIP && w->lines - at < WIRE_SHM_LINES_MAX) {
		lane->pos += w->lines - at;
		wire_shm_lane_wrap(w, lane);
		return true;
	}
	cut(w, lane, "a record that cannot be");
	return false;
}

static void closing_begin(struct wire_shm *w, struct wire_shm_lane *lane)
{
	if (lane->closing)
		return;
	lane->closing = true;
	w->closing[w->nclosing++] = lane;
	/* What is in the ring is still delivered. */
	if (lane->state == WIRE_SHM_LANE_READ)
		heat(w, lane);
	chores_note(w);
}

static void lane_free(struct wire_shm *w, struct wire_shm_lane *lane)
{
	hot_remove(w, lane);
	/* The sender is gone, so nobody touches it: memory for others. */
	if (lane->next)
		fallocate(w->file.fd,
			  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)wire_shm_lane_offset(lane->number,
						      w->lane_bytes),
			  (off_t)wire_shm_stride(w->lane_bytes));
	lane->next = NULL;
	lane->closing = false;
	lane->state = WIRE_SHM_LANE_NONE;
	w->stats.lanes_closed++;
	/* FREE */
	atomic_store_explicit(&w->seg->entry[lane->number],
			      wire_shm_entry_freed(lane->entry),
			      memory_order_release);
}

/* I1; then the pages are there when the first record is. */
static int memory_ready(struct wire_shm *w, struct wire_shm_lane *lane)
{
	uint64_t offset = wire_shm_lane_offset(lane->number, w->lane_bytes);
	uint64_t size = wire_shm_stride(w->lane_bytes);
	int rc;

	rc = wire_shm_reserve(w->file.fd, (int64_t)offset, (int64_t)size);
#ifdef MADV_POPULATE_READ
	if (!rc)
		madvise((char *)w->seg + offset, size, MADV_POPULATE_READ);
#endif
	return rc;
}

/* A sender opened a lane: its entry is OPEN, or CLOSING already. */
static void first_sight(struct wire_shm *w, struct wire_shm_lane *lane,
			uint32_t entry)
{
	struct wire_shm_ctl *ctl = wire_shm_lane_ctl(w, lane->number);
	struct wire_shm_id *who = &w->who[lane->number];

	w->stats.lanes_opened++;
	lane->entry = wire_shm_entry_make(entry, WIRE_SHM_OPEN);
	*who = (struct wire_shm_id){ .qpn = 0 };
	if (memory_ready(w, lane)) {
		cut(w, lane, "nothing: no memory for it is left");
		return;
	}
	*who = ctl->id;
	u_copied_out();
	lane->ring = (const char *)(ctl + 1);
	lane->pos = wire_shm_start(lane->number);
	lane->told = lane->pos;
	lane->tick_pos = lane->pos;
	lane->next = lane->ring + lane->pos * U_LINE;
	lane->lap = wire_shm_lap(lane->pos, w->shift);
	lane->state = WIRE_SHM_LANE_READ;
	if (who->qpn > WIRE_SHM_QPN_MAX) {
		cut(w, lane, "an address that cannot be");
		return;
	}
	heat(w, lane);
}

/* Looks what the sender of a lane, who is said to live, wants. */
static void lane_look(struct wire_shm *w, struct wire_shm_lane *lane)
{
	/* OPEN; also CLOSING, after which no record follows. */
	uint32_t entry = atomic_load_explicit(&w->seg->entry[lane->number],
					      memory_order_acquire);
	uint32_t what = entry & WIRE_SHM_ENTRY_MASK;

	if (lane->state == WIRE_SHM_LANE_NONE) {
		if (what != WIRE_SHM_OPEN && what != WIRE_SHM_CLOSING)
			return;
		first_sight(w, lane, entry);
	} else if (wire_shm_entry_make(entry, WIRE_SHM_OPEN) != lane->entry ||
		   what == WIRE_SHM_FREE || what == WIRE_SHM_CLAIMED) {
		if (lane->state == WIRE_SHM_LANE_READ)
			cut(w, lane, "over its entry");
		return;
	} else if (lane->state == WIRE_SHM_LANE_READ) {
		heat(w, lane);
	}
	if (what == WIRE_SHM_CLOSING)
		closing_begin(w, lane);
}

void wire_shm_lane_answer(struct wire_shm *w)
{
	uint32_t i, nwords = (w->lanes + 63) / 64;
	uint32_t n;
	uint64_t bits;

	/* BELL: first the count, so that a ring from now on is seen again. */
	w->bell = atomic_load_explicit(&w->seg->bell, memory_order_acquire);
	for (i = 0; i < nwords; i++) {
		if (!atomic_load_explicit(&w->seg->bits[i],
					  memory_order_relaxed))
			continue;
		bits = atomic_exchange_explicit(&w->seg->bits[i], 0,
						memory_order_acq_rel);
		for (; bits; bits &= bits - 1) {
			n = i * 64 + (uint32_t)__builtin_ctzll(bits);
			if (n < w->lanes)
				lane_look(w, &w->lane[n]);
		}
	}
}

static void closing_end(struct wire_shm *w)
{
	uint32_t i = 0;

	while (i < w->nclosing) {
		struct wire_shm_lane *lane = w->closing[i];

		if (lane->state == WIRE_SHM_LANE_READ &&
		    wire_shm_lane_ready(lane)) {
			i++;
			continue;
		}
		w->closing[i] = w->closing[--w->nclosing];
		lane_free(w, lane);
	}
}

/*
 * Lanes that had nothing since the look before are told to ring, a batch for
 * one barrier; those where something came meanwhile stay. WIRE_SHM_HOT_FREE
 * lanes stay hot in any case.
 */
static void cool(struct wire_shm *w)
{
	struct wire_shm_lane *lane;
	uint32_t i, armed = 0;

	for (i = 0; i < w->nhot; i++) {
		lane = w->hot[i];
		if (lane->pos == lane->cool_pos && !lane->closing &&
		    w->nhot - armed > WIRE_SHM_HOT_FREE) {
			flags_set(w, lane, WIRE_SHM_ARMED);
			/* Armed ones come first. */
			w->hot[i] = w->hot[armed];
			w->hot[armed++] = lane;
		}
		lane->cool_pos = lane->pos;
	}
	if (!armed)
		return;
	/* COOL: a sender whose record we do not see will see its flag. */
	if (wire_shm_barrier(w->expedited)) {
		for (i = armed; i-- > 0;) {
			lane = w->hot[i];
			if (wire_shm_lane_ready(lane))
				continue;
			w->hot[i] = w->hot[--armed];
			w->hot[armed] = w->hot[--w->nhot];
			lane->hot = false;
		}
	}
	for (i = 0; i < armed; i++)
		flags_set(w, w->hot[i], 0);
}

void wire_shm_lane_chores(struct wire_shm *w)
{
	assert(w->nlent == 0);
	if (w->nclosing)
		closing_end(w);
	if (w->nhot > WIRE_SHM_HOT_FREE && ++w->polls >= COOL_PERIOD) {
		w->polls = 0;
		cool(w);
	}
	chores_note(w);
}

/*
 * A lane that we do not read. Whoever claims it holds its lock before and
 * until after, so unlocked means that the sender closed or died.
 */
static void tick_stranger(struct wire_shm *w, struct wire_shm_lane *lane)
{
	_Atomic uint32_t *at = &w->seg->entry[lane->number];
	uint32_t entry = atomic_load_explicit(at, memory_order_acquire);

	switch (entry & WIRE_SHM_ENTRY_MASK) {
	case WIRE_SHM_FREE:
		break;
	case WIRE_SHM_CLAIMED:
		if (wire_shm_locked(w->file.fd,
				    WIRE_SHM_LOCK_LANE(lane->number)))
			break;
		/* FREE; not if it was opened or claimed anew meanwhile. */
		atomic_compare_exchange_strong_explicit(
			at, &entry, wire_shm_entry_freed(entry),
			memory_order_release, memory_order_relaxed);
		break;
	case WIRE_SHM_OPEN:
	case WIRE_SHM_CLOSING:
		/* Its bell is late, or was never rung. */
		lane_look(w, lane);
		break;
	}
}

void wire_shm_tick(struct wire_shm *w)
{
	struct wire_shm_lane *lane;
	uint32_t i;

	/* Who died between its bit and the count hides who has its lane next. */
	wire_shm_lane_answer(w);
	for (i = 0; i < w->lanes; i++) {
		lane = &w->lane[i];
		if (lane->state == WIRE_SHM_LANE_NONE)
			tick_stranger(w, lane);
		else if (!lane->closing && lane->pos == lane->tick_pos &&
			 !wire_shm_locked(w->file.fd, WIRE_SHM_LOCK_LANE(i)))
			closing_begin(w, lane);
		lane->tick_pos = lane->pos;
	}
}
