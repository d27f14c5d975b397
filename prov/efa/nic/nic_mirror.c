/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_mirror.c - the key table of a peer, as seen through its shared file
 */
#include "nic_mirror.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "nic_pin.h"
#include "util/u_base.h"

/* Every mirror that this process has mapped. */
static LIST_HEAD(, nic_mirror) mirrors = LIST_HEAD_INITIALIZER(mirrors);
static pthread_mutex_t mirrors_lock = PTHREAD_MUTEX_INITIALIZER;

static int mirror_map(const char *dir, struct nic_mirror *m)
{
	const struct nic_mirror_header *h;
	char name[NIC_MIRROR_NAME];
	int rc;

	nic_mirror_name(m->tag, name);
	rc = wire_shm_file_open(dir, name, true, &m->file);
	if (rc)
		return rc;
	h = m->file.base;
	if (m->file.size >= NIC_MIRROR_SIZE &&
	    atomic_load_explicit(&h->magic, memory_order_acquire) ==
		    NIC_MIRROR_MAGIC)
		return 0;
	wire_shm_file_close(&m->file);
	return -EPROTO;
}

/* A forked child has its parent's in the list, with locks that are not its. */
static struct nic_mirror *mirror_find(uint64_t tag)
{
	struct nic_mirror *m;

	LIST_FOREACH(m, &mirrors, link)
		if (m->tag == tag && m->maker == getpid())
			break;
	return m;
}

static int mirror_new(const char *dir, uint64_t tag, struct nic_mirror **out)
{
	struct nic_mirror *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return -ENOMEM;
	m->tag = tag;
	m->maker = getpid();
	rc = mirror_map(dir, m);
	if (rc) {
		free(m);
		return rc;
	}
	LIST_INSERT_HEAD(&mirrors, m, link);
	*out = m;
	return 0;
}

int nic_mirror_open(const char *dir, uint64_t tag, struct nic_mirror **out)
{
	struct nic_mirror *m;
	int rc = 0;

	if (!tag)
		return -ENOENT;
	pthread_mutex_lock(&mirrors_lock);
	m = mirror_find(tag);
	if (!m)
		rc = mirror_new(dir, tag, &m);
	if (!rc) {
		m->refs++;
		*out = m;
	}
	pthread_mutex_unlock(&mirrors_lock);
	return rc;
}

void nic_mirror_close(struct nic_mirror *m)
{
	pthread_mutex_lock(&mirrors_lock);
	if (--m->refs == 0) {
		LIST_REMOVE(m, link);
		wire_shm_file_close(&m->file);
		free(m);
	}
	pthread_mutex_unlock(&mirrors_lock);
}

int nic_mirror_pin(struct nic_mirror *m, struct nic_pin **pin)
{
	int rc;

	pthread_mutex_lock(&mirrors_lock);
	rc = nic_pin_take(&m->file, m->pins, pin);
	pthread_mutex_unlock(&mirrors_lock);
	return rc;
}

void nic_mirror_unpin(struct nic_mirror *m, struct nic_pin *pin)
{
	/* In a forked child the locks are the parent's. */
	if (m->maker != getpid())
		return;
	pthread_mutex_lock(&mirrors_lock);
	nic_pin_give_back(&m->file, m->pins, pin);
	pthread_mutex_unlock(&mirrors_lock);
}

bool nic_mirror_covers(const struct nic_mirror *m, uint32_t key,
		       uint32_t access, uint64_t addr, uint64_t len)
{
	struct nic_mirror_header *h = m->file.base;
	uint32_t index = key & NIC_KEY_INDEX_MASK;
	uint64_t start, size;
	struct nic_mirror_slot *s;
	uint32_t allowed;

	if (!key ||
	    index >= atomic_load_explicit(&h->size, memory_order_acquire) ||
	    index >= NIC_KEYS_MAX)
		return false;
	s = nic_mirror_slot(&m->file, index);
	if (atomic_load(&s->key) != key) /* KEY-OUT, PIN */
		return false;
	start = atomic_load_explicit(&s->addr, memory_order_acquire);
	size = atomic_load_explicit(&s->len, memory_order_acquire);
	allowed = atomic_load_explicit(&s->access, memory_order_acquire);
	return atomic_load_explicit(&s->key, memory_order_relaxed) == key &&
	       (allowed & access) == access &&
	       nic_range_inside(addr, len, start, size);
}
