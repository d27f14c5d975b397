/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_part.c - SENDs as they arrive, whole or in several packets
 *
 * A message in part lies in a slot until its bytes are all there. No packet
 * counts twice, so that it is enough to count bytes.
 *
 * A message that is given up (its sender made it VOID, or was silent for too
 * long) leaves a dead part behind: packets of it that were under way are
 * refused, or they would begin a message that never ends.
 */
#include "srd/srd.h"

#include <string.h>

#include "srd/srd_priv.h"

void srd_part_init(struct srd *s)
{
	TAILQ_INIT(&s->part_free);
	TAILQ_INIT(&s->dead_parts);
	for (size_t i = 0; i < SRD_PARTS_PER_SLOT * s->cfg.rx_slots; i++)
		TAILQ_INSERT_TAIL(&s->part_free, &s->part[i], link);
}

static bool is_dead(const struct srd_part *part)
{
	return part->slot == SRD_SLOT_NONE;
}

/* Back to the free ones; its slot is somebody else's by now. */
static void drop(struct srd *s, struct srd_part *part)
{
	if (is_dead(part))
		TAILQ_REMOVE(&s->dead_parts, part, dead);
	else
		part->peer->nparts--;
	TAILQ_REMOVE(&part->peer->parts, part, link);
	TAILQ_INSERT_HEAD(&s->part_free, part, link);
}

/*
 * The part of this message. One that is dead is forgotten when all packets
 * that could be of it have arrived: its number may be another's by then.
 */
static struct srd_part *find(struct srd *s, struct srd_peer *p, uint32_t msg)
{
	struct srd_part *part;

	TAILQ_FOREACH(part, &p->parts, link)
		if (part->msg == msg)
			break;
	if (!part || !part->expires || u_seq_before(p->rx_cum, part->until))
		return part;
	drop(s, part);
	return NULL;
}

static void kill(struct srd *s, struct srd_part *part)
{
	srd_slots_put(&s->rx_slots, part->slot);
	part->slot = SRD_SLOT_NONE;
	part->peer->nparts--;
	TAILQ_INSERT_TAIL(&s->dead_parts, part, dead);
}

/* A part of p's; the one that died first is forgotten when need be. */
static struct srd_part *take_part(struct srd *s, struct srd_peer *p,
				  uint32_t msg)
{
	struct srd_part *part = TAILQ_FIRST(&s->part_free);

	if (!part) {
		part = TAILQ_FIRST(&s->dead_parts);
		if (!part)
			return NULL;
		drop(s, part);
	}
	TAILQ_REMOVE(&s->part_free, part, link);
	*part = (struct srd_part){ .peer = p, .msg = msg };
	TAILQ_INSERT_HEAD(&p->parts, part, link);
	return part;
}

static struct srd_part *begin(struct srd *s, struct srd_peer *p,
			      const struct srd_pkt_data *d, uint64_t now)
{
	struct srd_part *part;

	if (!srd_slots_left(&s->rx_slots))
		return NULL;
	part = take_part(s, p, d->msg);
	if (!part)
		return NULL;
	srd_peer_wait(p, now);
	p->nparts++;
	part->slot = srd_slots_get(&s->rx_slots);
	part->total = d->total;
	part->has_imm = d->has_imm;
	part->imm = d->imm;
	return part;
}

static struct srd_verdict refuse(uint8_t status)
{
	return (struct srd_verdict){ SRD_REFUSED, status };
}

static struct srd_verdict whole(struct srd *s, struct srd_peer *p,
				const struct srd_pkt *pkt,
				struct srd_event *event)
{
	if (!s->ready_on)
		return refuse(SRD_RNR);
	if (pkt->payload_len > s->room)
		return refuse(SRD_BAD_LEN);
	event->kind = SRD_EV_RECV;
	event->peer = p;
	event->data = pkt->payload;
	event->len = pkt->payload_len;
	event->imm = pkt->data.imm;
	event->has_imm = pkt->data.has_imm;
	event->slot = SRD_SLOT_NONE;
	return (struct srd_verdict){ .fate = SRD_EVENT };
}

static struct srd_verdict deliver(struct srd *s, struct srd_part *part,
				  struct srd_event *event)
{
	event->kind = SRD_EV_RECV;
	event->peer = part->peer;
	event->data = srd_slots_at(&s->rx_slots, part->slot);
	event->len = part->total;
	event->imm = part->imm;
	event->has_imm = part->has_imm;
	event->slot = part->slot;
	drop(s, part);
	return (struct srd_verdict){ .fate = SRD_EVENT };
}

struct srd_verdict srd_part_take(struct srd *s, struct srd_peer *p,
				 const struct srd_pkt *pkt, uint64_t now,
				 struct srd_event *event)
{
	const struct srd_pkt_data *d = &pkt->data;
	struct srd_part *part;

	if (u_likely(pkt->payload_len == d->total))
		return whole(s, p, pkt, event);
	part = find(s, p, d->msg);
	if (part && is_dead(part))
		return refuse(SRD_PEER_RESET);
	if (!part) {
		if (s->ready_on && d->total > s->room)
			return refuse(SRD_BAD_LEN);
		part = s->ready_on ? begin(s, p, d, now) : NULL;
		if (!part)
			return refuse(SRD_RNR);
	}
	if (part->total != d->total || part->has_imm != d->has_imm ||
	    pkt->payload_len > part->total - part->got) {
		s->stats.bad_field++;
		return refuse(SRD_BAD_LEN);
	}
	memcpy((char *)srd_slots_at(&s->rx_slots, part->slot) + d->offset,
	       pkt->payload, pkt->payload_len);
	part->got += pkt->payload_len;
	if (part->got == part->total)
		return deliver(s, part, event);
	return (struct srd_verdict){ .fate = SRD_TAKEN };
}

void srd_part_void(struct srd *s, struct srd_peer *p, uint32_t msg)
{
	struct srd_part *part;

	if (msg == SRD_NO_MSG)
		return;
	part = find(s, p, msg);
	if (part && !is_dead(part))
		kill(s, part);
	if (!part) {
		part = take_part(s, p, msg);
		if (!part)
			return;
		part->slot = SRD_SLOT_NONE;
		TAILQ_INSERT_TAIL(&s->dead_parts, part, dead);
	}
	part->expires = true;
	part->until = p->rx_cum + SRD_WINDOW_MAX;
}

void srd_part_end(struct srd *s, struct srd_peer *p, bool forget)
{
	struct srd_part *part, *next;

	for (part = TAILQ_FIRST(&p->parts); part; part = next) {
		next = TAILQ_NEXT(part, link);
		if (!is_dead(part))
			kill(s, part);
		if (forget)
			drop(s, part);
	}
}
