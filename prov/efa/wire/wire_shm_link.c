/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_link.c - a sender's lane in the segment of another, open to close
 *
 * Claiming: lock the byte of a lane whose entry is FREE, then CAS the entry
 * to CLAIMED. Who has both owns the lane; whoever sees an entry that is not
 * FREE and no lock knows that its sender has died. Then the memory is
 * reserved, and only after that touched; OPEN and the bell tell the receiver.
 *
 * The const part of the header is copied with pread and judged before
 * anything is mapped, so that a file with holes or of the wrong size cannot
 * fault.
 */
#include "wire/wire_shm.h"

#include "wire/wire_shm_priv.h"

#include "util/u_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool about_is_sane(const struct wire_shm_about *a)
{
	return a->magic == WIRE_SHM_MAGIC && a->version == WIRE_SHM_VERSION &&
	       a->lanes >= 1 && a->lanes <= WIRE_SHM_LANES_MAX &&
	       a->lane_bytes >= WIRE_SHM_LANE_BYTES_MIN &&
	       a->lane_bytes <= WIRE_SHM_LANE_BYTES_MAX &&
	       (a->lane_bytes & (a->lane_bytes - 1)) == 0;
}

/* Reads and judges what the owner wrote before it gave the file its name. */
static int about_read(struct wire_shm_link *l, const struct wire_shm_id *peer)
{
	struct wire_shm_about *a = &l->about;
	struct stat st;
	ssize_t n;

	n = pread(l->fd, a, sizeof(*a), offsetof(struct wire_shm_seg, about));
	if (n != (ssize_t)sizeof(*a) || fstat(l->fd, &st) ||
	    !about_is_sane(a) ||
	    (uint64_t)st.st_size <
		    wire_shm_lane_offset(a->lanes, a->lane_bytes) ||
	    memcmp(a->id.gid, peer->gid, sizeof(peer->gid)) ||
	    a->id.qpn != peer->qpn) {
		u_warn("shm: the segment of queue pair %u is none of ours, or "
		       "of another version of this provider",
		       peer->qpn);
		return -EPROTO;
	}
	if (a->id.connid != peer->connid)
		return -ESTALE;
	return a->flags & WIRE_SHM_SHUT ? -EPERM : 0;
}

static int map_header(struct wire_shm_link *l)
{
	void *p = mmap(NULL, WIRE_SHM_LANES, PROT_READ | PROT_WRITE, MAP_SHARED,
		       l->fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	l->seg = p;
	l->state = &l->seg->state;
	return 0;
}

/* One lane: 0 it is ours, else somebody was faster. */
static int claim(struct wire_shm_link *l, uint32_t lane)
{
	_Atomic uint32_t *entry = &l->seg->entry[lane];
	uint32_t old = atomic_load_explicit(entry, memory_order_relaxed);

	if ((old & WIRE_SHM_ENTRY_MASK) != WIRE_SHM_FREE ||
	    wire_shm_lock(l->fd, WIRE_SHM_LOCK_LANE(lane)))
		return -EBUSY;
	/* FREE: the receiver has done with it. */
	if (atomic_compare_exchange_strong_explicit(
		    entry, &old, wire_shm_entry_make(old, WIRE_SHM_CLAIMED),
		    memory_order_acquire, memory_order_relaxed)) {
		l->lane = lane;
		l->entry = wire_shm_entry_make(old, WIRE_SHM_OPEN);
		return 0;
	}
	wire_shm_unlock(l->fd, WIRE_SHM_LOCK_LANE(lane));
	return -EBUSY;
}

/* The lowest free lane: those were used before, so memory stays small. */
static int claim_any(struct wire_shm_link *l)
{
	static _Atomic uint64_t told;
	uint32_t lane;

	for (lane = 0; lane < l->about.lanes; lane++)
		if (claim(l, lane) == 0)
			return 0;
	if (wire_shm_may_warn(&told))
		u_warn("shm: all %u lanes of queue pair %u are taken",
		       l->about.lanes, l->about.id.qpn);
	return -ENOSPC;
}

/* Gives up what was claimed and never opened; the lock goes with the fd. */
static void unclaim(struct wire_shm_link *l)
{
	atomic_store_explicit(&l->seg->entry[l->lane],
			      wire_shm_entry_freed(l->entry),
			      memory_order_release);
}

static int map_lane(struct wire_shm_link *l)
{
	uint64_t offset = wire_shm_lane_offset(l->lane, l->about.lane_bytes);
	uint64_t size = wire_shm_stride(l->about.lane_bytes);
	void *p;
	int rc;

	rc = wire_shm_reserve(l->fd, (int64_t)offset, (int64_t)size);
	if (rc == -ENOSPC)
		wire_shm_warn_full(l->w->dir, size);
	if (rc)
		return rc;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		 l->fd, (off_t)offset);
	if (p == MAP_FAILED)
		return -errno;
	l->ctl = p;
	l->ring = (char *)(l->ctl + 1);
	return 0;
}

static void lane_init(struct wire_shm_link *l)
{
	l->lines = l->about.lane_bytes / U_LINE;
	l->mask = l->lines - 1;
	l->shift = (uint32_t)__builtin_ctz(l->lines);
	l->tail = wire_shm_start(l->lane);
	l->limit = l->tail + l->lines - 1;
	/* I1: who had the lane before may have left anything. */
	l->dirty = l->tail + l->lines + 1;
	atomic_store_explicit(wire_shm_word(l->ring + l->tail * U_LINE), 0,
			      memory_order_relaxed);
	l->ctl->id = l->w->id;
	l->ctl->pid = getpid();
	atomic_store_explicit(&l->ctl->head, l->tail, memory_order_relaxed);
	atomic_store_explicit(&l->ctl->flags, 0, memory_order_relaxed);
}

/* `how` is OPEN or CLOSING. */
static void tell(struct wire_shm_link *l, enum wire_shm_entry how)
{
	/* OPEN: all that the receiver copies at first sight is written. */
	atomic_store_explicit(&l->seg->entry[l->lane],
			      wire_shm_entry_make(l->entry, how),
			      memory_order_release);
	wire_shm_link_ring(l);
}

void wire_shm_link_ring(struct wire_shm_link *l)
{
	_Atomic uint64_t *bits = &l->seg->bits[l->lane / 64];
	uint64_t bit = UINT64_C(1) << l->lane % 64;

	/* BELL: who finds the bit set knows that it was counted, or is. */
	if (!(atomic_fetch_or_explicit(bits, bit, memory_order_acq_rel) & bit))
		atomic_fetch_add_explicit(&l->seg->bell, 1,
					  memory_order_release);
}

static int lane_open(struct wire_shm_link *l)
{
	int rc = claim_any(l);

	if (rc)
		return rc;
	rc = map_lane(l);
	if (rc) {
		unclaim(l);
		return rc;
	}
	lane_init(l);
	tell(l, WIRE_SHM_OPEN);
	if (atomic_load_explicit(&l->state->word, memory_order_relaxed) &
	    WIRE_SHM_CLOSED)
		return -ESTALE;
	return 0;
}

static void link_free(struct wire_shm_link *l)
{
	if (l->ctl)
		munmap(l->ctl, wire_shm_stride(l->about.lane_bytes));
	if (l->seg)
		munmap(l->seg, WIRE_SHM_LANES);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}

static struct wire_shm_link *link_new(void)
{
	void *p;

	if (posix_memalign(&p, U_LINE, sizeof(struct wire_shm_link)))
		return NULL;
	return memset(p, 0, sizeof(struct wire_shm_link));
}

int wire_shm_link_open(struct wire_shm *w, const struct wire_shm_id *peer,
		       struct wire_shm_link **out)
{
	char name[WIRE_SHM_NAME_MAX + 1];
	struct wire_shm_link *l;
	int rc;

	l = link_new();
	if (!l)
		return -ENOMEM;
	l->w = w;
	l->fd = -1;
	l->copy = -1;
	l->maker = getpid();
	wire_shm_seg_name(peer, name);
	rc = wire_shm_file_find(w->dir, name, O_RDWR, &l->fd);
	if (!rc)
		rc = about_read(l, peer);
	if (!rc)
		rc = map_header(l);
	if (!rc)
		rc = lane_open(l);
	if (rc) {
		link_free(l);
		return rc;
	}
	l->fence = !w->expedited || l->about.flags & WIRE_SHM_FENCE;
	w->links++;
	*out = l;
	return 0;
}

void wire_shm_link_close(struct wire_shm_link *l)
{
	l->w->links--;
	/* In a forked child it is the parent's to say. */
	if (l->maker == getpid()) {
		tell(l, WIRE_SHM_CLOSING);
		/* A forked child may hold the description for long. */
		wire_shm_unlock(l->fd, WIRE_SHM_LOCK_LANE(l->lane));
	}
	link_free(l);
}

int wire_shm_link_check(struct wire_shm_link *l)
{
	if (l->broken)
		return -EPIPE;
	if (atomic_load_explicit(&l->state->word, memory_order_relaxed) &
		    WIRE_SHM_CLOSED ||
	    atomic_load_explicit(&l->ctl->flags, memory_order_relaxed) &
		    WIRE_SHM_CUT ||
	    !wire_shm_locked(l->fd, WIRE_SHM_LOCK_OWNER))
		return wire_shm_link_break(l);
	return 0;
}

int wire_shm_link_break(struct wire_shm_link *l)
{
	l->broken = true;
	/* Every later send misses its credit and finds out why. */
	l->limit = 0;
	return -EPIPE;
}

size_t wire_shm_link_room(const struct wire_shm_link *l)
{
	uint32_t room =
		atomic_load_explicit(&l->state->room, memory_order_relaxed);

	return room ? room - 1 : SIZE_MAX;
}

bool wire_shm_link_pressed(const struct wire_shm_link *l)
{
	/* ROOM */
	return atomic_load_explicit(&l->state->pressure, memory_order_acquire);
}

uint64_t wire_shm_link_tag(const struct wire_shm_link *l)
{
	return l->about.tag;
}

const struct wire_shm_bell *wire_shm_link_bell(const struct wire_shm_link *l)
{
	return &l->about.bell;
}
