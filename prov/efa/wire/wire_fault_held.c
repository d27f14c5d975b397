/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_fault_held.c - copies of packets, waiting until they are due
 *
 * A binary heap of times over a fixed set of copies. Nothing is allocated
 * after init; the bytes are address space that costs memory when it is first
 * written, and the copy freed last is used next, so that few are.
 *
 * (I1) nfree + n + nlent + copies in the caller's hands == WIRE_FAULT_COPIES.
 */
#include "wire/wire_fault_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "util/u_base.h"

#define BYTES_LEN ((size_t)WIRE_FAULT_COPIES * WIRE_FAULT_COPY_BYTES)

int wire_fault_held_init(struct wire_fault_held *h)
{
	uint32_t i;

	*h = (struct wire_fault_held){ .nfree = WIRE_FAULT_COPIES };
	h->bytes = mmap(NULL, BYTES_LEN, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (h->bytes == MAP_FAILED)
		h->bytes = NULL;
	h->copy = calloc(WIRE_FAULT_COPIES, sizeof(*h->copy));
	h->heap = calloc(WIRE_FAULT_COPIES, sizeof(*h->heap));
	h->free = calloc(WIRE_FAULT_COPIES, sizeof(*h->free));
	h->lent = calloc(WIRE_FAULT_COPIES, sizeof(*h->lent));
	if (!h->bytes || !h->copy || !h->heap || !h->free || !h->lent) {
		wire_fault_held_fini(h);
		return -ENOMEM;
	}
	for (i = 0; i < WIRE_FAULT_COPIES; i++)
		h->free[i] = WIRE_FAULT_COPIES - 1 - i;
	return 0;
}

void wire_fault_held_fini(struct wire_fault_held *h)
{
	if (h->bytes)
		munmap(h->bytes, BYTES_LEN);
	free(h->copy);
	free(h->heap);
	free(h->free);
	free(h->lent);
	*h = (struct wire_fault_held){ 0 };
}

static uint32_t length(const struct wire_out *out)
{
	return (uint32_t)out->hdr_len + out->data_len;
}

uint8_t *wire_fault_copy_bytes(struct wire_fault_held *h, int copy)
{
	return h->bytes + (size_t)copy * WIRE_FAULT_COPY_BYTES;
}

int wire_fault_copy_new(struct wire_fault_held *h, const struct wire_out *out)
{
	struct wire_fault_copy *c;
	uint32_t len = length(out);
	uint8_t *bytes;
	int copy;

	if (!h->nfree || len > WIRE_FAULT_COPY_BYTES ||
	    len > WIRE_FAULT_BYTES - h->used)
		return -1;
	copy = (int)h->free[--h->nfree];
	h->used += len;
	bytes = wire_fault_copy_bytes(h, copy);
	c = &h->copy[copy];
	c->out = *out;
	memcpy(c->gid, out->gid, sizeof(c->gid));
	c->out.gid = c->gid;
	if (out->hdr_len)
		memcpy(bytes, out->hdr, out->hdr_len);
	c->out.hdr = bytes;
	if (out->data_len) {
		memcpy(bytes + out->hdr_len, out->data, out->data_len);
		c->out.data = bytes + out->hdr_len;
	}
	return copy;
}

static bool before(const struct wire_fault_wait *a,
		   const struct wire_fault_wait *b)
{
	return a->at != b->at ? a->at < b->at : a->turn < b->turn;
}

void wire_fault_hold(struct wire_fault_held *h, int copy, uint64_t at)
{
	struct wire_fault_wait w = { at, h->turn++, (uint32_t)copy };
	uint32_t i = h->n++, parent;

	assert(h->n + h->nlent + h->nfree <= WIRE_FAULT_COPIES); /* I1 */
	for (; i > 0; i = parent) {
		parent = (i - 1) / 2;
		if (before(&h->heap[parent], &w))
			break;
		h->heap[i] = h->heap[parent];
	}
	h->heap[i] = w;
}

/* Lets w sink from the root to where nothing below comes before it. */
static void sink(struct wire_fault_held *h, struct wire_fault_wait w)
{
	uint32_t i = 0, child;

	while ((child = 2 * i + 1) < h->n) {
		if (child + 1 < h->n &&
		    before(&h->heap[child + 1], &h->heap[child]))
			child++;
		if (before(&w, &h->heap[child]))
			break;
		h->heap[i] = h->heap[child];
		i = child;
	}
	h->heap[i] = w;
}

int wire_fault_take_due(struct wire_fault_held *h, uint64_t now)
{
	uint32_t copy;

	if (!h->n || h->heap[0].at > now)
		return -1;
	copy = h->heap[0].copy;
	if (--h->n)
		sink(h, h->heap[h->n]);
	return (int)copy;
}

const struct wire_out *wire_fault_lend(struct wire_fault_held *h, int copy)
{
	assert(h->n + h->nlent + h->nfree < WIRE_FAULT_COPIES); /* I1 */
	h->lent[h->nlent++] = (uint32_t)copy;
	return &h->copy[copy].out;
}

void wire_fault_reclaim(struct wire_fault_held *h)
{
	uint32_t i;

	for (i = 0; i < h->nlent; i++) {
		h->used -= length(&h->copy[h->lent[i]].out);
		h->free[h->nfree++] = h->lent[i];
	}
	h->nlent = 0;
}
