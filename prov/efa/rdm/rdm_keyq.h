/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_keyq.h - queues of entries with the same key, found by hash
 *
 *   bucket[hash >> shift] -> head ----chain---> head ----chain---> NULL
 *                             | next             | next
 *                             v                  v
 *                           later entry         NULL
 *                             | next
 *                             v
 *                           last entry (head->prev)
 *
 * Only the heads are in the chain of a bucket, so thousands of entries with
 * one key cost other keys nothing, and the table grows with the number of
 * keys. Add, first and remove take constant time, the oldest entry of a key
 * comes first.
 *
 * Entries are told apart by their 64-bit hash only. Where two keys can have
 * the same one they share a queue, and the owner compares the keys of what it
 * finds: see rdm_match.h. Nodes are embedded in their owners.
 */
#ifndef RDM_KEYQ_H
#define RDM_KEYQ_H

#include <stdbool.h>
#include <stdint.h>

#include "util/u_base.h"

struct rdm_keyq_node {
	struct rdm_keyq_node *chain; /* of a head: next head of the bucket */
	struct rdm_keyq_node *next; /* same hash, added later; NULL: last */
	struct rdm_keyq_node *prev; /* added before; of a head: the last */
	uint64_t hash; /* good in its top bits: u_hash2() */
};

struct rdm_keyq {
	struct rdm_keyq_node **bucket; /* [1 << (64 - shift)] */
	uint32_t shift; /* 63..33 */
	uint32_t nqueues; /* different hashes in the table */
};

/* 1 << bits buckets at first; bits 1..31. -ENOMEM. */
int rdm_keyq_init(struct rdm_keyq *q, uint32_t bits);

/* Forgets all entries, which stay their owner's. */
void rdm_keyq_fini(struct rdm_keyq *q);

/* Doubles the buckets; without memory it leaves them as they are. */
void rdm_keyq_grow(struct rdm_keyq *q);

static inline struct rdm_keyq_node **rdm_keyq_bucket(const struct rdm_keyq *q,
						     uint64_t hash)
{
	return &q->bucket[hash >> q->shift];
}

static inline uint32_t rdm_keyq_buckets(const struct rdm_keyq *q)
{
	return UINT32_C(1) << (64 - q->shift);
}

/* The oldest entry of that hash, or NULL; go on with ->next. */
static inline struct rdm_keyq_node *rdm_keyq_first(const struct rdm_keyq *q,
						   uint64_t hash)
{
	struct rdm_keyq_node *head = *rdm_keyq_bucket(q, hash);

	while (head && u_unlikely(head->hash != hash))
		head = head->chain;
	return head;
}

static inline bool rdm_keyq_is_head(const struct rdm_keyq_node *n)
{
	return n->prev->next != n;
}

/* Appends n, whose hash is set, to the queue of its hash. */
static inline void rdm_keyq_add(struct rdm_keyq *q, struct rdm_keyq_node *n)
{
	struct rdm_keyq_node *head = rdm_keyq_first(q, n->hash);
	struct rdm_keyq_node **bucket;

	n->next = NULL;
	if (head) {
		n->prev = head->prev;
		head->prev->next = n;
		head->prev = n;
		return;
	}
	if (u_unlikely(q->nqueues >= rdm_keyq_buckets(q)))
		rdm_keyq_grow(q);
	bucket = rdm_keyq_bucket(q, n->hash);
	n->prev = n;
	n->chain = *bucket;
	*bucket = n;
	q->nqueues++;
}

static inline void rdm_keyq_remove_head(struct rdm_keyq *q,
					struct rdm_keyq_node *n)
{
	struct rdm_keyq_node **at = rdm_keyq_bucket(q, n->hash);

	while (*at != n)
		at = &(*at)->chain;
	if (n->next) {
		n->next->prev = n->prev;
		n->next->chain = n->chain;
		*at = n->next;
	} else {
		*at = n->chain;
		q->nqueues--;
	}
}

static inline void rdm_keyq_remove(struct rdm_keyq *q, struct rdm_keyq_node *n)
{
	if (u_likely(rdm_keyq_is_head(n))) {
		rdm_keyq_remove_head(q, n);
		return;
	}
	n->prev->next = n->next;
	if (n->next)
		n->next->prev = n->prev;
	else
		rdm_keyq_first(q, n->hash)->prev = n->prev;
}

#endif
