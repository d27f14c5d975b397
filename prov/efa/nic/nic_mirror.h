/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_mirror.h - the key table in its shared file: layout, and a peer's view
 *
 *   0        struct nic_mirror_header
 *   4096     struct nic_mirror_slot [NIC_KEYS_MAX]  backed by the owner
 *   ...      struct nic_pin [NIC_PINS_MAX]          backed by who takes it
 *
 * Keys have one writer, the owner, under its lock, and many readers that take
 * nothing. Pins are written by peers: nic_pin.h.
 * A slot is stable while its key word stays the same nonzero value:
 *
 *   writer: key = 0; fields, each released; key, released   [KEY-OUT]
 *   reader: key, acquired [KEY-OUT]; fields, each acquired; key again
 *
 * A reader that sees one new field synchronizes with its release, so it sees
 * the key word that was cleared before and gives up.
 */
#ifndef NIC_MIRROR_H
#define NIC_MIRROR_H

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>

#include "util/u_lines.h"
#include "util/u_time.h"
#include "wire/wire_shm.h"

#define NIC_KEY_INDEX_BITS 16
#define NIC_KEYS_MAX (1u << NIC_KEY_INDEX_BITS)
#define NIC_KEY_INDEX_MASK (NIC_KEYS_MAX - 1)

#define NIC_MIRROR_MAGIC UINT64_C(0x3259454b41464521) /* "!EFAKEY2" */
#define NIC_MIRROR_HEADER 4096 /* bytes before the first slot */
#define NIC_MIRROR_NAME 32

#define NIC_PINS_MAX 4096u /* paths of peers that copy directly */
#define NIC_PIN_WAIT (5 * U_SEC) /* for one that is set */

struct nic_mirror_header {
	_Atomic uint64_t magic; /* written last */
	_Atomic uint32_t size; /* slots that are backed by memory */
	_Atomic uint32_t npins U_APART_ALIGNED; /* that ever were taken */
};

struct nic_mirror_slot {
	_Atomic uint32_t key; /* 0: not in use */
	_Atomic uint32_t access; /* enum nic_access */
	_Atomic uint64_t addr;
	_Atomic uint64_t len;
	uint64_t unused;
};

/* Of one path of a peer. */
struct nic_pin {
	_Atomic uint32_t key U_APART_ALIGNED; /* it copies by; 0: it does not */
};

_Static_assert(sizeof(struct nic_mirror_slot) == 32 &&
		       sizeof(struct nic_mirror_header) <= NIC_MIRROR_HEADER,
	       "layout of the file");

static inline size_t nic_mirror_bytes(uint32_t slots)
{
	return NIC_MIRROR_HEADER + slots * sizeof(struct nic_mirror_slot);
}

static inline size_t nic_mirror_pin_offset(uint32_t index)
{
	return nic_mirror_bytes(NIC_KEYS_MAX) + index * sizeof(struct nic_pin);
}

#define NIC_MIRROR_SIZE nic_mirror_pin_offset(NIC_PINS_MAX)

static inline struct nic_mirror_slot *
nic_mirror_slot(const struct wire_shm_file *f, uint32_t index)
{
	char *base = f->base;

	return (struct nic_mirror_slot *)(base + nic_mirror_bytes(index));
}

static inline void nic_mirror_name(uint64_t tag, char name[NIC_MIRROR_NAME])
{
	snprintf(name, NIC_MIRROR_NAME, "keys-%016" PRIx64, tag);
}

/* The mirror of a peer, mapped; one for all who use it in a process. */
struct nic_mirror {
	uint64_t tag;
	struct wire_shm_file file;
	unsigned int refs;
	uint64_t pins[NIC_PINS_MAX / 64]; /* bits: those that are ours */
	pid_t maker; /* process that mapped it, whose pins they are */
	LIST_ENTRY(nic_mirror) link;
};

/* Errors: those of wire_shm_file_open, -EPROTO, -ENOMEM. Any thread. */
int nic_mirror_open(const char *dir, uint64_t tag, struct nic_mirror **out);
void nic_mirror_close(struct nic_mirror *m);

/* A pin for one path, to be given back before the mirror is closed. As
   nic_pin_take(). Any thread. */
int nic_mirror_pin(struct nic_mirror *m, struct nic_pin **pin);
void nic_mirror_unpin(struct nic_mirror *m, struct nic_pin *pin);

/*
 * Whether [addr, addr + len) may be accessed so, at this instant and until the
 * pin that the key was set in before is cleared. Nothing in the file can lead
 * outside of it.
 */
bool nic_mirror_covers(const struct nic_mirror *m, uint32_t key,
		       uint32_t access, uint64_t addr, uint64_t len);

/* Whether [addr, addr + len) lies inside [start, start + size). */
static inline bool nic_range_inside(uint64_t addr, uint64_t len, uint64_t start,
				    uint64_t size)
{
	return len <= size && addr >= start && addr - start <= size - len;
}

#endif
