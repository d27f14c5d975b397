/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_keys.h - memory that peers may reach, by key
 *
 * The owner keeps a private table, which alone decides, and mirrors it into a
 * shared file. Peers map the file (nic_mirror.h) and look there before and
 * after they copy with the kernel's help, because the owner takes no part in
 * such a copy.
 *
 *   owner: table -- reg, dereg --> file  <-- covers: peers that copy directly
 *            ^---- hold, release: the owner's pump, for copies by records
 *
 * A key is an index and above it a generation that is never 0, so no key is 0
 * and a slot repeats a key after 65,535 registrations of it. Freed slots are
 * used again in the order they were freed.
 */
#ifndef NIC_KEYS_H
#define NIC_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nic_mirror.h"
#include "util/u_lock.h"
#include "wire/wire_shm.h"

struct nic_key {
	uint64_t addr;
	uint64_t len;
	uint32_t key; /* with the generation; kept while free */
	uint32_t next; /* free list: index + 1; 0: last */
	uint8_t access; /* enum nic_access */
	bool used;
};

struct nic_keys {
	struct u_lock lock; /* of all below; held while a record is copied */
	struct nic_key *table; /* [size] */
	uint32_t size; /* slots made so far; doubles up to NIC_KEYS_MAX */
	uint32_t used;
	uint32_t free_head, free_tail; /* index + 1; 0: none */
	struct wire_shm_file file; /* base NULL: there is no mirror */
	uint64_t tag; /* names the file; 0: there is none */
	bool told_full; /* the warning is out */
};

/* No mirror is no error: peers then copy through the ring. */
int nic_keys_init(struct nic_keys *k, const char *dir);
void nic_keys_fini(struct nic_keys *k);

int nic_keys_reg(struct nic_keys *k, void *addr, size_t len, uint32_t access,
		 uint32_t *key);
int nic_keys_dereg(struct nic_keys *k, uint32_t key);
uint32_t nic_keys_used(struct nic_keys *k);

/*
 * Whether [addr, addr + len) may be accessed so. True: the table stays locked
 * until nic_keys_release(), so the region cannot go meanwhile. len > 0.
 */
bool nic_keys_hold(struct nic_keys *k, uint32_t key, uint32_t access,
		   uint64_t addr, uint64_t len);
void nic_keys_release(struct nic_keys *k);

/* The same of a table that the caller has locked; true also for len 0. */
bool nic_keys_cover(const struct nic_keys *k, uint32_t key, uint32_t access,
		    uint64_t addr, uint64_t len);

#endif
