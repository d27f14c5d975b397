/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_reorder.h - requests that came before their turn, kept by message number
 *
 * One store a peer, empty until something comes early. It holds copies of
 * packets, several for one number (slices of a medium message), without a
 * bound on how far ahead the numbers are, as the protocol has none; bytes are
 * counted for the owner.
 */
#ifndef RDM_REORDER_H
#define RDM_REORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rdm/rdm_keyq.h"

/*
 * What an owner keeps of one peer at most. A sender may run ahead as far as it
 * likes and cannot be asked for a packet again, so this is more than comes
 * while a lost one is sent anew: our engine has 2048 packets open, 18 MiB, and
 * hardware at 100 Gb/s takes a tenth of a second for it.
 */
#define RDM_REORDER_MAX ((size_t)1 << 30) /* bytes */

struct rdm_reorder_pkt {
	struct rdm_reorder_pkt *next; /* of the same number, as they came */
	struct rdm_keyq_node node; /* while kept */
	uint32_t len;
	uint8_t bytes[];
};

/* Zeros are an empty one. */
struct rdm_reorder {
	struct rdm_keyq *table; /* NULL until something was kept */
	size_t bytes; /* of all packets kept, their headers here included */
};

/* Keeps a copy. -ENOMEM. */
int rdm_reorder_keep(struct rdm_reorder *r, uint32_t msg_id, const void *bytes,
		     uint32_t len);

/* Is nothing kept? What the receive path asks before it takes. */
static inline bool rdm_reorder_empty(const struct rdm_reorder *r)
{
	return r->bytes == 0;
}

/* Takes the packets of one number (free() each), or NULL. */
struct rdm_reorder_pkt *rdm_reorder_take(struct rdm_reorder *r,
					 uint32_t msg_id);

/* Keeps again what was taken. */
void rdm_reorder_put(struct rdm_reorder *r, uint32_t msg_id,
		     struct rdm_reorder_pkt *pkts);

/* Frees all; the store may be used again. */
void rdm_reorder_clear(struct rdm_reorder *r);

#endif
