/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_keys.h - memory that peers may reach, by key
 *
 * The owner keeps a private table, which alone decides, and mirrors it into a
 * shared file. Peers map the file (nic_mirror.h), and look there before they
 * copy with the kernel's help, because the owner takes no part in such a copy;
 * while they copy they have the key pinned (nic_pin.h).
 *
 *   owner: table -- reg, dereg --> file  <-- pin, covers: peers that copy
 *            ^---- enter, leave: the owner's pumps, for copies by records
 *
 * A region goes in two steps. It is retired: nobody gets in by its key any
 * more. When all who are in have left it is released, and its slot can be used
 * again.
 *
 * A key is an index and above it a generation that is never 0, so no key is 0
 * and a slot repeats a key after 65,535 registrations of it. Freed slots are
 * used again in the order they were freed.
 *
 * Threads
 * Messages above one packet register memory, and the pump of each queue pair
 * looks at keys, so threads with a queue pair each may not meet here. Slots are
 * handed out in groups to shards, and a thread takes them from the shard of its
 * own number. It enters the table by a gate of its own as well: between enter
 * and leave no region goes, because dereg, after it has taken the key away,
 * waits for whoever is behind a gate. A gate is only read by others while
 * nobody is behind it.
 *
 * Edges
 * KEY-IN: a slot is written as that of the mirror, KEY-OUT, and read without a
 *   lock.
 * GATE: who enters makes his turn odd, then reads keys; who takes a key away
 *   clears it, then reads the turns. All four are sequentially consistent, so
 *   one of the two sees the other.
 */
#ifndef NIC_KEYS_H
#define NIC_KEYS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nic_mirror.h"
#include "nic_pin.h"
#include "util/u_lines.h"
#include "util/u_lock.h"
#include "wire/wire_shm.h"

#define NIC_KEYS_SHARDS 16u
#define NIC_KEYS_GROUP 64u /* slots: whole lines of the table and the file */

struct nic_key {
	_Atomic uint32_t key; /* with the generation; 0: not in use */
	_Atomic uint32_t access; /* enum nic_access */
	_Atomic uint64_t addr;
	_Atomic uint64_t len;
	uint32_t last; /* the key before; under the shard's lock, as next */
	uint32_t next; /* free list: index + 1; 0: last; NIC_KEY_RETIRED */
};

/* next of a slot whose key, which is last, is waited for. */
#define NIC_KEY_RETIRED UINT32_MAX

struct nic_keys_shard {
	/* Slots to take. */
	struct u_lock lock U_APART_ALIGNED;
	uint32_t free_head, free_tail; /* index + 1; 0: none */
	uint32_t used; /* slots of this shard in use */
	/* The gate. */
	struct u_lock gate U_APART_ALIGNED; /* held from enter to leave */
	_Atomic uint32_t turn; /* odd: somebody is behind it */
};

struct nic_keys {
	struct nic_keys_shard *shard; /* [NIC_KEYS_SHARDS] */
	struct nic_key *table; /* [NIC_KEYS_MAX], of which size are made */
	struct wire_shm_file file; /* base NULL: there is no mirror */
	uint64_t tag; /* names the file; 0: there is none */
	_Atomic uint32_t size; /* slots made so far, in groups */
	struct u_lock lock; /* of making more, and of the rest */
	uint32_t backed; /* slots that the file has memory for; doubles */
	struct nic_pins pins; /* of the file */
	uint8_t owner[NIC_KEYS_MAX / NIC_KEYS_GROUP]; /* shard of a group */
	bool told_full; /* the warning is out */
};

/* No mirror is no error: peers then copy through the ring. */
int nic_keys_init(struct nic_keys *k, const char *dir);
void nic_keys_fini(struct nic_keys *k);

int nic_keys_reg(struct nic_keys *k, void *addr, size_t len, uint32_t access,
		 uint32_t *key);
/*
 * Not by a thread that has entered. -EINVAL not a key in use. -EBUSY: a peer
 * that does not run is in the middle of a copy; nobody else gets in, and the
 * call has to be made again.
 */
int nic_keys_dereg(struct nic_keys *k, uint32_t key);
/* The same where peers are known to be done: waits for none of them. */
int nic_keys_dereg_over(struct nic_keys *k, uint32_t key);
uint32_t nic_keys_used(struct nic_keys *k);

/* Until the same thread leaves, no region that covers says yes to goes. */
void nic_keys_enter(struct nic_keys *k);
void nic_keys_leave(struct nic_keys *k);

/*
 * Whether [addr, addr + len) may be accessed so; true also for len 0. For a
 * thread that has entered.
 */
bool nic_keys_cover(const struct nic_keys *k, uint32_t key, uint32_t access,
		    uint64_t addr, uint64_t len);

/* Enters if the answer is yes. */
bool nic_keys_hold(struct nic_keys *k, uint32_t key, uint32_t access,
		   uint64_t addr, uint64_t len);

#endif
