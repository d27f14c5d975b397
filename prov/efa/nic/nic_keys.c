/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_keys.c - the owner's table of keys and its mirror for peers
 *
 * Registering is a slot off a list and a line written; a system call is made
 * only when the table doubles.
 */
#include "nic_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nic_mirror.h"
#include "util/u_base.h"
#include "util/u_hash.h"
#include "util/u_log.h"

#define KEYS_FIRST 1024u /* slots at open */

static void mirror_clear(struct nic_keys *k, uint32_t index)
{
	if (k->file.base)
		atomic_exchange(&nic_mirror_slot(&k->file, index)->key, 0);
}

static void mirror_set(struct nic_keys *k, uint32_t index,
		       const struct nic_key *e)
{
	struct nic_mirror_slot *s;

	if (!k->file.base)
		return;
	s = nic_mirror_slot(&k->file, index);
	atomic_store_explicit(&s->key, 0, memory_order_relaxed);
	atomic_store_explicit(&s->addr, e->addr, memory_order_release);
	atomic_store_explicit(&s->len, e->len, memory_order_release);
	atomic_store_explicit(&s->access, e->access, memory_order_release);
	/* KEY-OUT */
	atomic_store_explicit(&s->key, e->key, memory_order_release);
}

static void keys_push_free(struct nic_keys *k, uint32_t index)
{
	k->table[index].next = 0;
	if (k->free_tail)
		k->table[k->free_tail - 1].next = index + 1;
	else
		k->free_head = index + 1;
	k->free_tail = index + 1;
}

/* Doubles the table; the mirror first, as that is what can be full. */
static int keys_grow(struct nic_keys *k)
{
	uint32_t size = k->size ? 2 * k->size : KEYS_FIRST;
	struct nic_key *table;
	int rc;

	if (size > NIC_KEYS_MAX)
		return -ENOMEM;
	if (k->file.base) {
		rc = wire_shm_file_reserve(&k->file, 0, nic_mirror_bytes(size));
		if (rc)
			return rc;
	}
	table = realloc(k->table, size * sizeof(*table));
	if (!table)
		return -ENOMEM;
	k->table = table;
	for (uint32_t i = k->size; i < size; i++) {
		table[i] = (struct nic_key){
			.key = i | (uint32_t)u_random64() << NIC_KEY_INDEX_BITS,
		};
		keys_push_free(k, i);
	}
	k->size = size;
	if (k->file.base) {
		struct nic_mirror_header *h = k->file.base;

		atomic_store_explicit(&h->size, size, memory_order_release);
	}
	return 0;
}

static void mirror_create(struct nic_keys *k, const char *dir)
{
	uint64_t tag = u_random64() | 1;
	char name[NIC_MIRROR_NAME];
	int rc;

	nic_mirror_name(tag, name);
	rc = wire_shm_file_create(dir, name, nic_mirror_bytes(NIC_KEYS_MAX),
				  &k->file);
	if (!rc) {
		rc = wire_shm_file_reserve(&k->file, 0,
					   nic_mirror_bytes(KEYS_FIRST));
		if (rc)
			wire_shm_file_close(&k->file);
	}
	if (rc) {
		u_warn("no shared key table (%s): peers copy large messages "
		       "through the ring",
		       strerror(-rc));
		memset(&k->file, 0, sizeof(k->file));
		return;
	}
	k->tag = tag;
}

int nic_keys_init(struct nic_keys *k, const char *dir)
{
	int rc;

	memset(k, 0, sizeof(*k));
	u_lock_init(&k->lock, true);
	mirror_create(k, dir);
	rc = keys_grow(k);
	if (rc) {
		nic_keys_fini(k);
		return rc;
	}
	if (k->file.base) {
		struct nic_mirror_header *h = k->file.base;

		atomic_store_explicit(&h->magic, NIC_MIRROR_MAGIC,
				      memory_order_release);
	}
	return 0;
}

void nic_keys_fini(struct nic_keys *k)
{
	if (k->file.base)
		wire_shm_file_close(&k->file);
	free(k->table);
	u_lock_fini(&k->lock);
}

static uint32_t key_after(uint32_t key)
{
	key += NIC_KEYS_MAX;
	if (key < NIC_KEYS_MAX)
		key += NIC_KEYS_MAX;
	return key;
}

int nic_keys_reg(struct nic_keys *k, void *addr, size_t len, uint32_t access,
		 uint32_t *key)
{
	struct nic_key *e;
	uint32_t index;
	int rc = 0;

	if (len > UINT64_MAX - (uintptr_t)addr)
		return -EINVAL;
	u_lock(&k->lock);
	if (!k->free_head)
		rc = keys_grow(k);
	if (u_unlikely(rc)) {
		if (!k->told_full)
			u_warn("no memory key left: %u regions are registered "
			       "(%s)",
			       k->used, strerror(-rc));
		k->told_full = true;
		u_unlock(&k->lock);
		return -ENOMEM;
	}
	index = k->free_head - 1;
	e = &k->table[index];
	k->free_head = e->next;
	if (!k->free_head)
		k->free_tail = 0;
	e->addr = (uintptr_t)addr;
	e->len = len;
	e->access = (uint8_t)access;
	e->key = key_after(e->key);
	e->used = true;
	k->used++;
	mirror_set(k, index, e);
	*key = e->key;
	u_unlock(&k->lock);
	return 0;
}

int nic_keys_dereg(struct nic_keys *k, uint32_t key)
{
	uint32_t index = key & NIC_KEY_INDEX_MASK;
	struct nic_key *e;
	int rc = -EINVAL;

	u_lock(&k->lock);
	e = index < k->size ? &k->table[index] : NULL;
	if (e && e->used && e->key == key) {
		mirror_clear(k, index);
		e->used = false;
		k->used--;
		keys_push_free(k, index);
		rc = 0;
	}
	u_unlock(&k->lock);
	return rc;
}

uint32_t nic_keys_used(struct nic_keys *k)
{
	uint32_t used;

	u_lock(&k->lock);
	used = k->used;
	u_unlock(&k->lock);
	return used;
}

bool nic_keys_cover(const struct nic_keys *k, uint32_t key, uint32_t access,
		    uint64_t addr, uint64_t len)
{
	uint32_t index = key & NIC_KEY_INDEX_MASK;
	const struct nic_key *e;

	if (!len)
		return true;
	if (index >= k->size)
		return false;
	e = &k->table[index];
	return e->used && e->key == key && (e->access & access) == access &&
	       nic_range_inside(addr, len, e->addr, e->len);
}

bool nic_keys_hold(struct nic_keys *k, uint32_t key, uint32_t access,
		   uint64_t addr, uint64_t len)
{
	u_lock(&k->lock);
	if (nic_keys_cover(k, key, access, addr, len))
		return true;
	u_unlock(&k->lock);
	return false;
}

void nic_keys_release(struct nic_keys *k)
{
	u_unlock(&k->lock);
}
