/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_mirror.h - the key table in its shared file: layout, and a peer's view
 *
 * One writer, the owner, under its lock; many readers that take nothing.
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

#include "wire/wire_shm.h"

#define NIC_KEY_INDEX_BITS 16
#define NIC_KEYS_MAX (1u << NIC_KEY_INDEX_BITS)
#define NIC_KEY_INDEX_MASK (NIC_KEYS_MAX - 1)

#define NIC_MIRROR_MAGIC UINT64_C(0x3159454b41464521) /* "!EFAKEY1" */
#define NIC_MIRROR_HEADER 4096 /* bytes before the first slot */
#define NIC_MIRROR_NAME 32

struct nic_mirror_header {
	_Atomic uint64_t magic; /* written last */
	_Atomic uint32_t size; /* slots that are backed by memory */
};

struct nic_mirror_slot {
	_Atomic uint32_t key; /* 0: not in use */
	_Atomic uint32_t access; /* enum nic_access */
	_Atomic uint64_t addr;
	_Atomic uint64_t len;
	uint64_t unused;
};

_Static_assert(sizeof(struct nic_mirror_slot) == 32, "layout of the file");

static inline size_t nic_mirror_bytes(uint32_t slots)
{
	return NIC_MIRROR_HEADER + slots * sizeof(struct nic_mirror_slot);
}

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
	LIST_ENTRY(nic_mirror) link;
};

/* Errors: those of wire_shm_file_open, -EPROTO, -ENOMEM. Any thread. */
int nic_mirror_open(const char *dir, uint64_t tag, struct nic_mirror **out);
void nic_mirror_close(struct nic_mirror *m);

/*
 * Whether [addr, addr + len) may be accessed so, at this instant. Nothing in
 * the file can lead outside of it.
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
