/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_fault_priv.h - what the files of the fault injector share
 *
 * A copy is in one of three places: free, in the heap until it is due, or lent
 * to the caller until the next burst.
 *
 *	free --new--> (caller) --hold--> heap --take_due--> (caller)
 *	  ^               |                                    |
 *	  +---reclaim--- lent <-----------lend-----------------+
 */
#ifndef WIRE_FAULT_PRIV_H
#define WIRE_FAULT_PRIV_H

#include "wire/wire_fault.h"

#define WIRE_FAULT_COPIES 4096u /* held and lent together */
#define WIRE_FAULT_BYTES (16u << 20) /* of all of them */
#define WIRE_FAULT_COPY_BYTES 65536u /* of one: any UDP datagram */

struct wire_fault_copy {
	struct wire_out out; /* its pointers lead into the copy */
	uint8_t gid[16];
};

/* An entry of the heap; equal times keep the order in which they came. */
struct wire_fault_wait {
	uint64_t at; /* ns */
	uint64_t turn;
	uint32_t copy;
};

struct wire_fault_held {
	uint8_t *bytes; /* WIRE_FAULT_COPY_BYTES a copy: address space of which
			   only what is written becomes memory */
	struct wire_fault_copy *copy; /* [WIRE_FAULT_COPIES] */
	struct wire_fault_wait *heap; /* [n]: none is due before its parent */
	uint32_t *free; /* [nfree], the last one is used next */
	uint32_t *lent; /* [nlent] */
	uint32_t n, nfree, nlent;
	uint32_t used; /* bytes in copies; ..WIRE_FAULT_BYTES */
	uint64_t turn; /* of the next entry */
};

/* wire_fault_held.c; -ENOMEM */
int wire_fault_held_init(struct wire_fault_held *h);
void wire_fault_held_fini(struct wire_fault_held *h);

/* A copy of the packet, the caller's; -1: too many or too much is held. */
int wire_fault_copy_new(struct wire_fault_held *h, const struct wire_out *out);
/* The hdr_len + data_len bytes of a copy, in one piece. */
uint8_t *wire_fault_copy_bytes(struct wire_fault_held *h, int copy);

/* Both take the copy. */
void wire_fault_hold(struct wire_fault_held *h, int copy, uint64_t at);
const struct wire_out *wire_fault_lend(struct wire_fault_held *h, int copy);

/* The copy that is due first, the caller's from now; -1: none is due. */
int wire_fault_take_due(struct wire_fault_held *h, uint64_t now);

/* What was lent is free again. */
void wire_fault_reclaim(struct wire_fault_held *h);

#endif
