/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_priv.h - receiver, lane and link as their own process sees them
 *
 * Nothing here lies in shared memory: what a peer could change is never
 * trusted, so positions, generations and sizes are kept twice.
 */
#ifndef WIRE_SHM_PRIV_H
#define WIRE_SHM_PRIV_H

#include "wire/wire_shm.h"
#include "wire/wire_shm_seg.h"

/* While there are no more lanes than this, all are polled. */
#define WIRE_SHM_HOT_FREE 8

enum wire_shm_lane_state {
	WIRE_SHM_LANE_NONE, /* nobody writes it that we know */
	WIRE_SHM_LANE_READ,
	WIRE_SHM_LANE_CUT, /* never read again; waits for the sender's end */
};

/* One a lane, of the receiver. */
struct wire_shm_lane {
	const char *next; /* line to look at; NULL: never was open */
	uint64_t pos; /* lines lent so far; position of next */
	uint64_t told; /* head, as published */
	const char *ring;
	uint32_t number;
	uint32_t entry; /* as it is while the lane is open */
	uint16_t lap; /* that next has to show */
	uint8_t state; /* enum wire_shm_lane_state */
	bool hot; /* in wire_shm.hot */
	bool closing; /* in wire_shm.closing: free it when it is empty */
	uint64_t cool_pos; /* pos when cooling was considered last */
	uint64_t tick_pos; /* pos at the last tick */
} U_LINE_ALIGNED;

struct wire_shm {
	/* what an empty poll reads */
	struct wire_shm_seg *seg;
	struct wire_shm_lane **hot; /* [nhot] of [lanes]; polled in turn */
	uint32_t nhot;
	uint32_t turn; /* index in hot where the next poll starts */
	uint32_t bell; /* seg->bell as last answered */
	uint32_t chores; /* nonzero: lanes are closing, or too many are hot */

	/* what a poll that finds something needs too */
	uint32_t lines; /* of a ring */
	uint32_t mask; /* lines - 1 */
	uint32_t quarter; /* of lines */
	uint32_t nlent;
	struct wire_shm_lane **lent; /* [nlent]: lanes of the loans */
	struct wire_shm_stats stats;

	/* cold */
	struct wire_shm_lane *lane; /* [lanes] */
	struct wire_shm_id *who; /* [lanes], copied out at first sight */
	struct wire_shm_lane **closing; /* [nclosing] of [lanes] */
	uint32_t nclosing;
	uint32_t polls; /* with chores, since cooling was considered */
	uint32_t sleeps; /* number of the last sleep */
	uint32_t links; /* open */

	/* const after open */
	struct wire_shm_file file;
	struct wire_shm_id id;
	uint32_t lanes;
	uint32_t lane_bytes;
	uint32_t shift; /* log2 of lines */
	bool no_cma;
	bool expedited; /* membarrier works */
	char *dir;
};

struct wire_shm_link {
	char *ring;
	uint64_t tail; /* lines written so far; position of the next */
	uint64_t limit; /* position that may not be passed; 0: broken */
	uint64_t dirty; /* lines before this position are zeroed ahead (I1) */
	const struct wire_shm_state *state; /* of the peer */
	struct wire_shm_ctl *ctl;
	uint32_t lines;
	uint32_t mask; /* lines - 1 */
	uint32_t shift; /* log2 of lines */
	bool fence; /* after a record: a full fence, not program order only */
	bool broken; /* peer closed, died, cut us or writes nonsense */
	uint32_t woken; /* state word of the sleep it was told to end */

	/* cold; const after open unless said */
	struct wire_shm *w;
	struct wire_shm_seg *seg; /* header of the peer */
	struct wire_shm_about about; /* copied out and judged at open */
	uint32_t lane;
	uint32_t entry; /* as it is while the lane is open */
	pid_t maker; /* process that opened it */
	int fd;
	int copy; /* enum wire_shm_copy; -1: not found out */
	uint64_t seen_alive; /* ns; when a copy looked at the owner's lock */
} U_LINE_ALIGNED;

/* wire_shm_file.c: files of this user with an owner */

/*
 * wire_shm_file_create in two steps: between them the file has a name that
 * nobody looks for, and can be filled. f is to be closed when publish fails.
 */
int wire_shm_file_make(const char *dir, size_t size, struct wire_shm_file *f);
int wire_shm_file_publish(struct wire_shm_file *f, const char *dir,
			  const char *name);

/* Opens a file of a living owner, not mapped; flags: O_RDWR or O_RDONLY. */
int wire_shm_file_find(const char *dir, const char *name, int flags, int *fd);

int wire_shm_lock(int fd, int64_t byte); /* 0, or -EAGAIN: somebody has it */
void wire_shm_unlock(int fd, int64_t byte);
bool wire_shm_locked(int fd, int64_t byte); /* by somebody else */
int wire_shm_reserve(int fd, int64_t offset, int64_t len);

/* At most once a second: who gets no lane or no memory tries again and again.
 */
bool wire_shm_may_warn(_Atomic uint64_t *told);
void wire_shm_warn_full(const char *dir, size_t need);

#define WIRE_SHM_NAME_MAX 100

void wire_shm_seg_name(const struct wire_shm_id *id,
		       char name[WIRE_SHM_NAME_MAX + 1]);

/* wire_shm_barrier.c: one side of a Dekker pair pays for both */

/*
 * Between a store and a load that must not change places: for all processors,
 * or for the compiler only. The built-in has the place of
 * atomic_thread_fence, which gcc refuses under its thread sanitizer.
 */
static inline void wire_shm_order(bool fence)
{
	if (u_unlikely(fence))
		__sync_synchronize();
	else
		atomic_signal_fence(memory_order_seq_cst);
}

/* Makes this process one that barriers of others reach; false: it cannot. */
bool wire_shm_barrier_join(void);

/*
 * Full fence here and in all processes that joined. false: the kernel refused
 * it, so the others have not been fenced.
 */
bool wire_shm_barrier(bool expedited);

/* wire_shm_lane.c: what the receiver does to lanes apart from reading */

/* The bell was rung: lanes that opened, closed, or woke up. */
void wire_shm_lane_answer(struct wire_shm *w);
/* Frees closing lanes that are empty, cools idle ones. No loans are out. */
void wire_shm_lane_chores(struct wire_shm *w);
/* `word` is no control word of a record. true: a skip, and done. */
bool wire_shm_lane_odd(struct wire_shm *w, struct wire_shm_lane *lane,
		       uint64_t word);

/* wire_shm_link.c */

/* Sets the lane's bit and counts, so that the receiver looks at it. */
void wire_shm_link_ring(struct wire_shm_link *l);
/* No record passes from now on; returns -EPIPE. */
int wire_shm_link_break(struct wire_shm_link *l);

/* wire_shm_copy.c */

/* What lets others find out that they are us, or may read us. */
void wire_shm_copy_publish(struct wire_shm_about *about);

/* Lets processes of this user reach our memory where Yama forbids it. */
void wire_shm_copy_permit(void);

/* The lane's position has come to the end of the ring: on at line 0. */
static inline void wire_shm_lane_wrap(const struct wire_shm *w,
				      struct wire_shm_lane *lane)
{
	lane->next = lane->ring;
	lane->lap = wire_shm_lap(lane->pos, w->shift);
}

/* Is there a record at the lane's position? */
static inline bool wire_shm_lane_ready(const struct wire_shm_lane *lane)
{
	/* RECORD is acquired by whoever then reads it. */
	return (uint16_t)atomic_load_explicit(wire_shm_word(lane->next),
					      memory_order_relaxed) ==
	       lane->lap;
}

/* Has a sender rung since the last answer, which then acquires BELL? */
static inline bool wire_shm_bell_rang(const struct wire_shm *w)
{
	return atomic_load_explicit(&w->seg->bell, memory_order_relaxed) !=
	       w->bell;
}

static inline struct wire_shm_ctl *wire_shm_lane_ctl(const struct wire_shm *w,
						     uint32_t lane)
{
	return (struct wire_shm_ctl *)((char *)w->seg +
				       wire_shm_lane_offset(lane,
							    w->lane_bytes));
}

#endif
