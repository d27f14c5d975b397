/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_keyq.c - the buckets of a table of queues, and their growth
 */
#include "rdm/rdm_keyq.h"

#include <errno.h>
#include <stdlib.h>

#include "util/u_lines.h"

int rdm_keyq_init(struct rdm_keyq *q, uint32_t bits)
{
	assert(bits >= 1 && bits <= 31);
	q->bucket = u_lines_new(sizeof(*q->bucket) << bits);
	if (!q->bucket)
		return -ENOMEM;
	q->shift = 64 - bits;
	q->nqueues = 0;
	return 0;
}

void rdm_keyq_fini(struct rdm_keyq *q)
{
	free(q->bucket);
	q->bucket = NULL;
	q->nqueues = 0;
}

/* The queues hang on their heads, so that moving heads moves all. */
U_COLD void rdm_keyq_grow(struct rdm_keyq *q)
{
	struct rdm_keyq grown;
	uint32_t bits = 64 - q->shift;

	if (bits >= 31 || rdm_keyq_init(&grown, bits + 1))
		return;
	for (uint32_t i = 0; i < rdm_keyq_buckets(q); i++) {
		struct rdm_keyq_node *n = q->bucket[i];

		while (n) {
			struct rdm_keyq_node *next = n->chain;
			struct rdm_keyq_node **to;

			to = rdm_keyq_bucket(&grown, n->hash);
			n->chain = *to;
			*to = n;
			n = next;
		}
	}
	grown.nqueues = q->nqueues;
	free(q->bucket);
	*q = grown;
}
