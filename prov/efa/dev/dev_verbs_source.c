/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_source.c - dense numbers for senders
 *
 * The hardware names a sender by handle number and queue pair, or, when it has
 * no handle for it, by gid and queue pair. A number belongs to gid and queue
 * pair for good; the handle number is a short way to it that can become wrong
 * (dev_verbs_ah.c), so that table can be forgotten.
 */
#include "dev_verbs_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_bytes.h"
#include "util/u_hash.h"

/* More senders than any program talks to: the rest have no number. */
#define SOURCES_MAX (1u << 20)
#define BITS_MIN 6

static uint64_t addr_hash(const uint8_t gid[16], uint32_t qpn)
{
	return u_hash2(u_hash2(u_get64(gid), u_get64(gid + 8)), qpn);
}

static uint64_t key_of(uint32_t ahn, uint32_t qpn)
{
	return (uint64_t)ahn << 32 | qpn;
}

static uint32_t slot_of(const struct verbs_sources *s, uint64_t hash)
{
	return (uint32_t)(hash >> (64 - s->bits));
}

static uint32_t mask_of(const struct verbs_sources *s)
{
	return (1u << s->bits) - 1;
}

/* The slot of an address, or the free one where it belongs. */
static uint32_t *addr_slot(const struct verbs_sources *s, const uint8_t gid[16],
			   uint32_t qpn)
{
	uint32_t i = slot_of(s, addr_hash(gid, qpn));

	while (s->by_addr[i] != VERBS_NONE) {
		const struct verbs_source *at = &s->list[s->by_addr[i]];

		if (at->qpn == qpn && !memcmp(at->gid, gid, sizeof(at->gid)))
			break;
		i = (i + 1) & mask_of(s);
	}
	return &s->by_addr[i];
}

static struct verbs_sender *sender_slot(const struct verbs_sources *s,
					uint64_t key)
{
	uint32_t i = slot_of(s, u_hash2(key, 0));

	while (s->by_ahn[i].number != VERBS_NONE && s->by_ahn[i].key != key)
		i = (i + 1) & mask_of(s);
	return &s->by_ahn[i];
}

uint32_t verbs_source_find(const struct verbs_sources *s, uint32_t ahn,
			   uint32_t qpn)
{
	if (u_unlikely(!s->bits))
		return VERBS_NONE;
	return sender_slot(s, key_of(ahn, qpn))->number;
}

void verbs_source_unlearn(struct verbs_sources *s)
{
	s->nsenders = 0;
	for (uint32_t i = 0; s->bits && i <= mask_of(s); i++)
		s->by_ahn[i].number = VERBS_NONE;
}

/* Twice the slots, half of them for numbers. What was learned is forgotten. */
static U_COLD bool grow(struct verbs_sources *s)
{
	uint32_t bits = s->bits ? s->bits + 1 : BITS_MIN;
	size_t slots = (size_t)1 << bits;
	struct verbs_source *list;
	struct verbs_sender *by_ahn;
	uint32_t *by_addr;

	if (slots / 2 > SOURCES_MAX)
		return false;
	list = realloc(s->list, slots / 2 * sizeof(*list));
	if (list)
		s->list = list;
	by_ahn = malloc(slots * sizeof(*by_ahn));
	by_addr = malloc(slots * sizeof(*by_addr));
	if (!list || !by_ahn || !by_addr) {
		free(by_ahn);
		free(by_addr);
		return false;
	}
	free(s->by_ahn);
	free(s->by_addr);
	s->by_ahn = by_ahn;
	s->by_addr = by_addr;
	s->bits = bits;
	verbs_source_unlearn(s);
	memset(by_addr, 0xff, slots * sizeof(*by_addr));
	for (uint32_t i = 0; i < s->n; i++)
		*addr_slot(s, s->list[i].gid, s->list[i].qpn) = i;
	return true;
}

uint32_t verbs_source_number(struct verbs_sources *s, const uint8_t gid[16],
			     uint32_t qpn)
{
	uint32_t *slot = s->bits ? addr_slot(s, gid, qpn) : NULL;

	if (slot && *slot != VERBS_NONE)
		return *slot;
	if (!slot || s->n >= 1u << (s->bits - 1)) {
		if (!grow(s))
			return VERBS_NONE;
		slot = addr_slot(s, gid, qpn);
	}
	s->list[s->n].qpn = qpn;
	memcpy(s->list[s->n].gid, gid, sizeof(s->list[s->n].gid));
	*slot = s->n;
	return s->n++;
}

/* One address has one handle number at a time, so there is room for all. */
void verbs_source_learn(struct verbs_sources *s, uint32_t ahn, uint32_t qpn,
			uint32_t number)
{
	struct verbs_sender *slot = sender_slot(s, key_of(ahn, qpn));

	if (slot->number == VERBS_NONE) {
		if (s->nsenders >= 1u << (s->bits - 1))
			return;
		s->nsenders++;
	}
	slot->key = key_of(ahn, qpn);
	slot->number = number;
}

void verbs_sources_fini(struct verbs_sources *s)
{
	free(s->list);
	free(s->by_addr);
	free(s->by_ahn);
}

int verbs_source(struct dev_qp *q, uint32_t source, struct dev_addr *addr)
{
	struct verbs_qp *qp = u_container_of(q, struct verbs_qp, qp);

	if (source >= qp->sources.n)
		return -ENOENT;
	memcpy(addr->gid, qp->sources.list[source].gid, sizeof(addr->gid));
	addr->qpn = qp->sources.list[source].qpn;
	addr->qkey = 0;
	return 0;
}
