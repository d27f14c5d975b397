/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_reorder.c - a table of copied packets, one queue a message number
 *
 * The table is made with the first packet and stays for the next burst; the
 * hash of a number is its own alone, so a queue holds one number only.
 */
#include "rdm/rdm_reorder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_hash.h"

#define FIRST_BITS 4

static uint64_t hash_of(uint32_t msg_id)
{
	return u_hash2(msg_id, 0);
}

static size_t size_of(uint32_t len)
{
	return sizeof(struct rdm_reorder_pkt) + len;
}

static struct rdm_keyq *table_new(void)
{
	struct rdm_keyq *table = malloc(sizeof(*table));

	if (!table)
		return NULL;
	if (rdm_keyq_init(table, FIRST_BITS)) {
		free(table);
		return NULL;
	}
	return table;
}

void rdm_reorder_put(struct rdm_reorder *r, uint32_t msg_id,
		     struct rdm_reorder_pkt *pkts)
{
	while (pkts) {
		struct rdm_reorder_pkt *next = pkts->next;

		pkts->node.hash = hash_of(msg_id);
		rdm_keyq_add(r->table, &pkts->node);
		r->bytes += size_of(pkts->len);
		pkts = next;
	}
}

int rdm_reorder_keep(struct rdm_reorder *r, uint32_t msg_id, const void *bytes,
		     uint32_t len)
{
	struct rdm_reorder_pkt *pkt;

	if (!r->table)
		r->table = table_new();
	if (!r->table)
		return -ENOMEM;
	pkt = malloc(size_of(len));
	if (!pkt)
		return -ENOMEM;
	pkt->next = NULL;
	pkt->len = len;
	memcpy(pkt->bytes, bytes, len);
	rdm_reorder_put(r, msg_id, pkt);
	return 0;
}

struct rdm_reorder_pkt *rdm_reorder_take(struct rdm_reorder *r, uint32_t msg_id)
{
	struct rdm_reorder_pkt *first = NULL, **last = &first;
	struct rdm_keyq_node *n;

	if (rdm_reorder_empty(r))
		return NULL;
	while ((n = rdm_keyq_first(r->table, hash_of(msg_id)))) {
		struct rdm_reorder_pkt *pkt;

		pkt = u_container_of(n, struct rdm_reorder_pkt, node);
		rdm_keyq_remove(r->table, n);
		r->bytes -= size_of(pkt->len);
		*last = pkt;
		last = &pkt->next;
	}
	*last = NULL;
	return first;
}

void rdm_reorder_clear(struct rdm_reorder *r)
{
	if (!r->table)
		return;
	for (uint32_t i = 0; i < rdm_keyq_buckets(r->table); i++) {
		struct rdm_keyq_node *n;

		while ((n = r->table->bucket[i])) {
			rdm_keyq_remove(r->table, n);
			free(u_container_of(n, struct rdm_reorder_pkt, node));
		}
	}
	rdm_keyq_fini(r->table);
	free(r->table);
	*r = (struct rdm_reorder){ .table = NULL };
}
