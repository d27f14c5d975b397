/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_seg.h - what lies in a segment, and in which order it is written
 *
 *   0        struct wire_shm_seg          reserved by the owner at open
 *            +---------------------------------------------------------+
 *            | about    who owns it: written before the file has a     |
 *            |          name, const from then on                       |
 *            | state    owner writes, all senders read at every send   |
 *            | bell     senders count up in cold cases, owner polls    |
 *            | bits     one a lane: look at it                         |
 *            | entry[]  one a lane: generation and enum wire_shm_entry |
 *            +---------------------------------------------------------+
 *   LANES    lane 0: struct wire_shm_ctl  reserved by the sender that claims
 *            +----------------------------+ the lane, given back to the file
 *            | id     sender, at claim    | system when the lane is freed
 *            | head   owner: lines read   |
 *            | flags  owner: armed, cut   |
 *            +--------+--------+----------+
 *            | line 0 | line 1 | ...      |  config.lane_bytes
 *            +--------+--------+----------+
 *   + stride lane 1 ...
 *
 * A record is n = ceil((8 + len) / 64) lines in a row:
 *
 *    63        32 31      16 15       0
 *   +------------+----------+-+--------+----------------------+
 *   | word       | len      |1| lap    | payload ...          |
 *   +------------+----------+-+--------+----------------------+
 *    the control word                   from byte 8
 *
 * Positions count lines and never wrap (64 bits); line = position mod lines.
 * The control word of the record at position p says lap = p / lines (15 bits)
 * with the top bit set, so it is never zero. One that would leave the ring is
 * written at line 0, and a control word with len WIRE_SHM_SKIP takes its
 * place. The sender starts at position lane mod 64, so that the lanes which a
 * receiver polls do not all fall into one set of its cache.
 *
 * I1  When the receiver may look at the control word at position p, then it
 *     is that of the record at p, or not valid for that lap. A line that held
 *     a control word one lap ago is not valid by itself; the sender zeroes
 *     that of any other (payload of a longer record, passed over by a skip)
 *     before it publishes the record that ends at p. For this it keeps one
 *     line free: a ring holds lines - 1.
 * I2  The receiver never writes a line. It copies a control word to a local,
 *     then judges it.
 *
 * Edges: a release (or stronger) at the left, an acquire at the right; both
 * ends quote the name.
 *
 *   RECORD  sender: control word, after payload   owner: poll
 *   HEAD    owner: head, after reading lines      sender: out of credit
 *   OPEN    sender: entry OPEN, after id, head    owner: answering the bell
 *   FREE    owner: entry FREE, after last touch   sender: claim
 *   BELL    sender: bits, bell, after record      owner: bell, bits
 *   SLEEP   each side stores, then loads what the other stored, and one must
 *   COOL    see the other: sender stores a record and loads state (SLEEP) or
 *           flags (COOL); owner stores SLEEPING or ARMED and loads records.
 *           The owner pays: its membarrier stands for a full fence in every
 *           sender; a sender needs the order of the program only. Where
 *           membarrier is missing on either side the senders fence: see
 *           wire_shm_barrier.c.
 */
#ifndef WIRE_SHM_SEG_H
#define WIRE_SHM_SEG_H

#include <stdatomic.h>
#include <stdint.h>

#include "util/u_base.h"
#include "wire/wire_shm.h"

#define WIRE_SHM_MAGIC UINT64_C(0x31746c7573616665) /* "efasult1" */
#define WIRE_SHM_VERSION 2

#define WIRE_SHM_LANES_MAX 1024
#define WIRE_SHM_LANE_BYTES_MIN (32u << 10)
#define WIRE_SHM_LANE_BYTES_MAX (16u << 20)
#define WIRE_SHM_PAGE 4096u

/*
 * Fields of different writers lie two lines apart: some processors fetch
 * lines in pairs.
 */
#define WIRE_SHM_APART __attribute__((aligned(2 * U_LINE)))

enum wire_shm_about_flags {
	WIRE_SHM_FENCE = 1, /* the owner has no membarrier: senders fence */
	WIRE_SHM_SHUT = 2, /* no lane may be opened */
};

struct wire_shm_about {
	uint64_t magic;
	uint32_t version;
	uint32_t flags; /* enum wire_shm_about_flags */
	uint32_t lanes;
	uint32_t lane_bytes;
	struct wire_shm_id id; /* of the owner */
	uint64_t tag;
	struct wire_shm_bell bell;
	uint64_t nonce; /* of the owner's process */
	uint64_t token_addr; /* where its process keeps the token */
	uint64_t token[2];
	int32_t pid; /* of the owner, in its own namespace */
};

/* Bits of state; above them the number of the sleep. */
enum {
	WIRE_SHM_SLEEPING = 1,
	WIRE_SHM_CLOSED = 2,
	WIRE_SHM_STATE_BITS = 2,
};

struct wire_shm_state {
	_Atomic uint32_t word; /* 0: awake */
	_Atomic uint32_t pressure; /* 1: no requests */
	_Atomic uint32_t room; /* bytes of a request are fewer; 0: any */
};

/* Low bits of an entry; above them its generation. */
enum wire_shm_entry {
	WIRE_SHM_FREE = 0,
	WIRE_SHM_CLAIMED = 1,
	WIRE_SHM_OPEN = 2,
	WIRE_SHM_CLOSING = 3,
};

#define WIRE_SHM_ENTRY_BITS 2
#define WIRE_SHM_ENTRY_MASK 3u

struct wire_shm_seg {
	struct wire_shm_about about WIRE_SHM_APART;
	struct wire_shm_state state WIRE_SHM_APART;
	_Atomic uint32_t bell WIRE_SHM_APART;
	_Atomic uint64_t bits[WIRE_SHM_LANES_MAX / 64] WIRE_SHM_APART;
	_Atomic uint32_t entry[WIRE_SHM_LANES_MAX] WIRE_SHM_APART;
};

/* Where lane 0 starts. */
#define WIRE_SHM_LANES u_align(sizeof(struct wire_shm_seg), WIRE_SHM_PAGE)

/* Bits of wire_shm_ctl.flags. */
enum {
	WIRE_SHM_ARMED = 1, /* the owner does not poll it: ring the bell */
	WIRE_SHM_CUT = 2, /* the owner reads no more of it */
};

struct wire_shm_ctl {
	struct wire_shm_id id WIRE_SHM_APART;
	int32_t pid;
	_Atomic uint64_t head WIRE_SHM_APART;
	_Atomic uint32_t flags WIRE_SHM_APART;
} __attribute__((aligned(WIRE_SHM_PAGE)));

/* Bytes of the file that the owner locks, and the sender of a lane. */
#define WIRE_SHM_LOCK_OWNER 0
#define WIRE_SHM_LOCK_LANE(lane) (1 + (int64_t)(lane))

#define WIRE_SHM_SKIP 0xffffu
#define WIRE_SHM_LAP_VALID 0x8000u

/* Lines of a record at most. */
#define WIRE_SHM_LINES_MAX ((8 + WIRE_SHM_MAX + U_LINE - 1) / U_LINE)

_Static_assert(sizeof(struct wire_shm_ctl) == WIRE_SHM_PAGE, "one page");
_Static_assert(WIRE_SHM_LINE_PAYLOAD == U_LINE - 8, "control word and payload");
_Static_assert(WIRE_SHM_MAX < WIRE_SHM_SKIP, "no length means skip");
/*
 * The owner tells its head every quarter, so an empty ring may look a quarter
 * full: the longest record has to fit beside that, and what a skip loses.
 */
_Static_assert(2 * WIRE_SHM_LINES_MAX <
		       WIRE_SHM_LANE_BYTES_MIN / U_LINE / 4 * 3,
	       "the longest record always fits an empty ring");

static inline uint64_t wire_shm_stride(uint32_t lane_bytes)
{
	return sizeof(struct wire_shm_ctl) + lane_bytes;
}

static inline uint64_t wire_shm_lane_offset(uint32_t lane, uint32_t lane_bytes)
{
	return WIRE_SHM_LANES + lane * wire_shm_stride(lane_bytes);
}

/* The first position of a lane. */
static inline uint64_t wire_shm_start(uint32_t lane)
{
	return lane % 64;
}

static inline uint32_t wire_shm_lines(size_t len)
{
	return (uint32_t)((len + 8 + U_LINE - 1) / U_LINE);
}

/* The low 16 bits of a control word at a position; shift: log2 of lines. */
static inline uint16_t wire_shm_lap(uint64_t position, uint32_t shift)
{
	return (uint16_t)((position >> shift) | WIRE_SHM_LAP_VALID);
}

static inline _Atomic uint64_t *wire_shm_word(const void *line)
{
	return (_Atomic uint64_t *)(uintptr_t)line;
}

static inline uint32_t wire_shm_entry_make(uint32_t old, enum wire_shm_entry e)
{
	return (old & ~WIRE_SHM_ENTRY_MASK) | e;
}

/* Free, of the next generation. */
static inline uint32_t wire_shm_entry_freed(uint32_t old)
{
	return ((old >> WIRE_SHM_ENTRY_BITS) + 1) << WIRE_SHM_ENTRY_BITS;
}

#endif
