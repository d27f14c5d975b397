/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_keys.c - the owner's table of keys and its mirror for peers
 *
 * Registering is a slot off a list and a line written; a system call is made
 * only when the mirror doubles. How threads keep out of each other's way is in
 * nic_keys.h.
 */
#include "nic_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "nic_mirror.h"
#include "util/u_base.h"
#include "util/u_hash.h"
#include "util/u_log.h"
#include "util/u_thread.h"

#define BACKED_FIRST 1024u /* slots of the mirror at open */
#define TABLE_BYTES (NIC_KEYS_MAX * sizeof(struct nic_key))

_Static_assert(sizeof(struct nic_key) * NIC_KEYS_GROUP % U_APART == 0 &&
		       sizeof(struct nic_mirror_slot) * NIC_KEYS_GROUP %
				       U_APART ==
			       0,
	       "groups share no lines");

/* ---- the mirror ------------------------------------------------------------ */

static void mirror_clear(struct nic_keys *k, uint32_t index)
{
	if (k->file.base)
		atomic_store(&nic_mirror_slot(&k->file, index)->key,
			     0); /* PIN */
}

static void mirror_set(struct nic_keys *k, uint32_t index, uint64_t addr,
		       uint64_t len, uint32_t access, uint32_t key)
{
	struct nic_mirror_slot *s;

	if (!k->file.base)
		return;
	s = nic_mirror_slot(&k->file, index);
	atomic_store_explicit(&s->key, 0, memory_order_relaxed);
	atomic_store_explicit(&s->addr, addr, memory_order_release);
	atomic_store_explicit(&s->len, len, memory_order_release);
	atomic_store_explicit(&s->access, access, memory_order_release);
	/* KEY-OUT */
	atomic_store_explicit(&s->key, key, memory_order_release);
}

/* Memory for the slots below `size`. */
static int mirror_back(struct nic_keys *k, uint32_t size)
{
	uint32_t backed = k->backed ? k->backed : BACKED_FIRST;
	struct nic_mirror_header *h = k->file.base;
	int rc;

	if (!k->file.base || size <= k->backed)
		return 0;
	while (backed < size)
		backed *= 2;
	rc = wire_shm_file_reserve(&k->file, 0, nic_mirror_bytes(backed));
	if (rc)
		return rc;
	k->backed = backed;
	atomic_store_explicit(&h->size, backed, memory_order_release);
	return 0;
}

static void mirror_create(struct nic_keys *k, const char *dir)
{
	uint64_t tag = u_random64() | 1;
	char name[NIC_MIRROR_NAME];
	int rc;

	nic_mirror_name(tag, name);
	rc = wire_shm_file_create(dir, name, NIC_MIRROR_SIZE, &k->file);
	if (!rc) {
		rc = mirror_back(k, BACKED_FIRST);
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

/* ---- slots ----------------------------------------------------------------- */

static struct nic_keys_shard *shard_own(const struct nic_keys *k)
{
	return &k->shard[u_thread_number() % NIC_KEYS_SHARDS];
}

/* The shard's lock is held. */
static void slot_put(struct nic_keys *k, struct nic_keys_shard *s,
		     uint32_t index)
{
	k->table[index].next = 0;
	if (s->free_tail)
		k->table[s->free_tail - 1].next = index + 1;
	else
		s->free_head = index + 1;
	s->free_tail = index + 1;
}

/* Makes a group of slots for a shard. */
static U_COLD int group_make(struct nic_keys *k, struct nic_keys_shard *s)
{
	uint32_t first;
	int rc = -ENOMEM;

	u_lock(&k->lock);
	first = atomic_load_explicit(&k->size, memory_order_relaxed);
	if (first < NIC_KEYS_MAX)
		rc = mirror_back(k, first + NIC_KEYS_GROUP);
	if (!rc) {
		k->owner[first / NIC_KEYS_GROUP] = (uint8_t)(s - k->shard);
		atomic_store_explicit(&k->size, first + NIC_KEYS_GROUP,
				      memory_order_release);
	}
	u_unlock(&k->lock);
	if (rc)
		return rc;
	u_lock(&s->lock);
	for (uint32_t i = first; i < first + NIC_KEYS_GROUP; i++) {
		k->table[i].last = i | (uint32_t)u_random64()
					       << NIC_KEY_INDEX_BITS;
		slot_put(k, s, i);
	}
	u_unlock(&s->lock);
	return 0;
}

static uint32_t key_after(uint32_t key)
{
	key += NIC_KEYS_MAX;
	if (key < NIC_KEYS_MAX)
		key += NIC_KEYS_MAX;
	return key;
}

/* Fills a slot of the shard; 0: it has none. */
static uint32_t slot_fill(struct nic_keys *k, struct nic_keys_shard *s,
			  uint64_t addr, uint64_t len, uint32_t access)
{
	uint32_t index, key;
	struct nic_key *e;

	u_lock(&s->lock);
	if (u_unlikely(!s->free_head)) {
		u_unlock(&s->lock);
		return 0;
	}
	index = s->free_head - 1;
	e = &k->table[index];
	s->free_head = e->next;
	if (!s->free_head)
		s->free_tail = 0;
	e->next = 0;
	e->last = key = key_after(e->last);
	s->used++;
	mirror_set(k, index, addr, len, access, key);
	atomic_store_explicit(&e->addr, addr, memory_order_release);
	atomic_store_explicit(&e->len, len, memory_order_release);
	atomic_store_explicit(&e->access, access, memory_order_release);
	/* KEY-IN */
	atomic_store_explicit(&e->key, key, memory_order_release);
	u_unlock(&s->lock);
	return key;
}

static U_COLD void tell_full(struct nic_keys *k, int rc)
{
	uint32_t used = nic_keys_used(k);

	u_lock(&k->lock);
	if (!k->told_full)
		u_warn("no memory key left: %u regions are registered (%s)",
		       used, strerror(-rc));
	k->told_full = true;
	u_unlock(&k->lock);
}

/* The shard has no slot: a group, or what others have left. */
static U_COLD uint32_t slot_find(struct nic_keys *k, struct nic_keys_shard *s,
				 uint64_t addr, uint64_t len, uint32_t access)
{
	uint32_t key = 0;
	int rc;

	do {
		rc = group_make(k, s);
		if (!rc)
			key = slot_fill(k, s, addr, len, access);
	} while (!rc && !key);
	for (uint32_t i = 0; i < NIC_KEYS_SHARDS && !key; i++)
		key = slot_fill(k, &k->shard[i], addr, len, access);
	if (!key)
		tell_full(k, rc);
	return key;
}

/* ---- the door -------------------------------------------------------------- */

int nic_keys_init(struct nic_keys *k, const char *dir)
{
	memset(k, 0, sizeof(*k));
	k->pins.file = &k->file;
	k->pins.wait = NIC_PIN_WAIT;
	u_lock_init(&k->lock, true);
	k->table = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	k->shard = u_lines_new(NIC_KEYS_SHARDS * sizeof(*k->shard));
	if (k->table == MAP_FAILED || !k->shard)
		goto free_memory;
	for (uint32_t i = 0; i < NIC_KEYS_SHARDS; i++) {
		u_lock_init(&k->shard[i].lock, true);
		u_lock_init(&k->shard[i].gate, true);
	}
	mirror_create(k, dir);
	if (k->file.base) {
		struct nic_mirror_header *h = k->file.base;

		atomic_store_explicit(&h->magic, NIC_MIRROR_MAGIC,
				      memory_order_release);
	}
	return 0;

free_memory:
	if (k->table != MAP_FAILED)
		munmap(k->table, TABLE_BYTES);
	free(k->shard);
	u_lock_fini(&k->lock);
	return -ENOMEM;
}

void nic_keys_fini(struct nic_keys *k)
{
	if (k->file.base)
		wire_shm_file_close(&k->file);
	for (uint32_t i = 0; i < NIC_KEYS_SHARDS; i++) {
		u_lock_fini(&k->shard[i].lock);
		u_lock_fini(&k->shard[i].gate);
	}
	free(k->shard);
	munmap(k->table, TABLE_BYTES);
	u_lock_fini(&k->lock);
}

int nic_keys_reg(struct nic_keys *k, void *addr, size_t len, uint32_t access,
		 uint32_t *key)
{
	struct nic_keys_shard *s = shard_own(k);
	uint64_t at = (uintptr_t)addr;
	uint32_t made;

	if (len > UINT64_MAX - at)
		return -EINVAL;
	made = slot_fill(k, s, at, len, access);
	if (u_unlikely(!made))
		made = slot_find(k, s, at, len, access);
	if (!made)
		return -ENOMEM;
	*key = made;
	return 0;
}

/* Waits for those who may have seen a key that is gone. */
static void gates_wait(struct nic_keys *k)
{
	for (uint32_t i = 0; i < NIC_KEYS_SHARDS; i++) {
		struct nic_keys_shard *s = &k->shard[i];

		/* GATE */
		if (u_likely((atomic_load(&s->turn) & 1) == 0))
			continue;
		u_lock(&s->gate);
		u_unlock(&s->gate);
	}
}

/* Nobody gets in by the key. -EINVAL: it is none in use. */
static int key_retire(struct nic_keys *k, uint32_t key)
{
	uint32_t index = key & NIC_KEY_INDEX_MASK;
	struct nic_keys_shard *s;
	struct nic_key *e = &k->table[index];
	int rc = 0;

	if (!key ||
	    index >= atomic_load_explicit(&k->size, memory_order_acquire))
		return -EINVAL;
	s = &k->shard[k->owner[index / NIC_KEYS_GROUP]];
	u_lock(&s->lock);
	if (atomic_load_explicit(&e->key, memory_order_relaxed) == key) {
		mirror_clear(k, index);
		atomic_store(&e->key, 0); /* GATE */
		e->next = NIC_KEY_RETIRED;
	} else if (e->next != NIC_KEY_RETIRED || e->last != key) {
		rc = -EINVAL;
	}
	u_unlock(&s->lock);
	return rc;
}

/* Nobody is in who came by the key: its slot may get another. */
static void key_release(struct nic_keys *k, uint32_t key)
{
	uint32_t index = key & NIC_KEY_INDEX_MASK;
	struct nic_keys_shard *s = &k->shard[k->owner[index / NIC_KEYS_GROUP]];

	u_lock(&s->lock);
	assert(k->table[index].next == NIC_KEY_RETIRED);
	s->used--;
	slot_put(k, s, index);
	u_unlock(&s->lock);
}

static int dereg(struct nic_keys *k, uint32_t key, bool over)
{
	int rc = key_retire(k, key);

	if (rc)
		return rc;
	gates_wait(k);
	rc = over ? 0 : nic_pins_wait(&k->pins, key);
	if (u_likely(!rc))
		key_release(k, key);
	return rc;
}

int nic_keys_dereg(struct nic_keys *k, uint32_t key)
{
	return dereg(k, key, false);
}

int nic_keys_dereg_over(struct nic_keys *k, uint32_t key)
{
	return dereg(k, key, true);
}

uint32_t nic_keys_used(struct nic_keys *k)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < NIC_KEYS_SHARDS; i++) {
		u_lock(&k->shard[i].lock);
		used += k->shard[i].used;
		u_unlock(&k->shard[i].lock);
	}
	return used;
}

void nic_keys_enter(struct nic_keys *k)
{
	struct nic_keys_shard *s = shard_own(k);

	u_lock(&s->gate);
	atomic_fetch_add(&s->turn, 1); /* GATE */
}

void nic_keys_leave(struct nic_keys *k)
{
	struct nic_keys_shard *s = shard_own(k);
	uint32_t turn = atomic_load_explicit(&s->turn, memory_order_relaxed);

	assert(turn & 1);
	/* Release: whoever sees it even may free what was accessed. */
	atomic_store_explicit(&s->turn, turn + 1, memory_order_release);
	u_unlock(&s->gate);
}

bool nic_keys_cover(const struct nic_keys *k, uint32_t key, uint32_t access,
		    uint64_t addr, uint64_t len)
{
	uint32_t index = key & NIC_KEY_INDEX_MASK;
	const struct nic_key *e = &k->table[index];
	uint64_t start, size;
	uint32_t allowed;

	if (!len)
		return true;
	if (!key || atomic_load(&e->key) != key) /* GATE, KEY-IN */
		return false;
	start = atomic_load_explicit(&e->addr, memory_order_acquire);
	size = atomic_load_explicit(&e->len, memory_order_acquire);
	allowed = atomic_load_explicit(&e->access, memory_order_acquire);
	return atomic_load_explicit(&e->key, memory_order_relaxed) == key &&
	       (allowed & access) == access &&
	       nic_range_inside(addr, len, start, size);
}

bool nic_keys_hold(struct nic_keys *k, uint32_t key, uint32_t access,
		   uint64_t addr, uint64_t len)
{
	nic_keys_enter(k);
	if (nic_keys_cover(k, key, access, addr, len))
		return true;
	nic_keys_leave(k);
	return false;
}
