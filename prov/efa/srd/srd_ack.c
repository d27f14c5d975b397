/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_ack.c - what the receiver owes the sender
 *
 * An acknowledgement goes with the next packet to the peer, and by itself
 * after ack_every packets, after ack_delay, or at once: when the sender asks,
 * for a duplicate, for a refusal, and for a gap. Paths reorder all the time,
 * so that a gap hurries only one in HURRY_EVERY packets.
 */
#include "srd/srd.h"

#include "srd/srd_priv.h"

#define HURRY_EVERY 8

/* ns, as a shift: senders are counted over one such slot and the last. What is
 * longer grants the last sender of an incast its share of the crowd. */
#define SLOT_SHIFT 17

void srd_ack_arrived(struct srd *s, struct srd_peer *p,
		     const struct srd_pkt_base *base, uint64_t now)
{
	p->arrival[p->arrival_at] = (struct srd_arrival){
		.stamp = base->stamp,
		.at = (uint32_t)now,
		.path = base->path,
	};
	p->arrival_at = (uint8_t)((p->arrival_at + 1) % SRD_ECHOES_MAX);
	if (p->narrivals < SRD_ECHOES_MAX)
		p->narrivals++;
	p->rx_path = (uint8_t)(base->path % s->cfg.paths);
}

static void owe(struct srd *s, struct srd_peer *p, uint64_t at)
{
	if (!p->owes) {
		p->owes = true;
		s->nowed++;
	}
	if (at < p->ack_at)
		p->ack_at = at;
}

void srd_ack_hurry(struct srd *s, struct srd_peer *p)
{
	owe(s, p, SRD_NEVER);
	p->ack_now = true;
	p->ack_at = SRD_NEVER;
	srd_ready(s, p);
}

static void count_sender(struct srd *s, struct srd_peer *p, uint64_t now)
{
	uint64_t slot = now >> SLOT_SHIFT;

	if (slot != s->slot) {
		s->senders_before = slot == s->slot + 1 ? s->senders : 0;
		s->senders = 0;
		s->slot = slot;
	}
	if (p->seen_slot != slot) {
		p->seen_slot = slot;
		s->senders++;
	}
}

void srd_ack_owe(struct srd *s, struct srd_peer *p, bool gap, uint64_t now)
{
	count_sender(s, p, now);
	p->unacked++;
	p->since_now++;
	if (gap && p->since_now >= HURRY_EVERY) {
		p->since_now = 0;
		srd_ack_hurry(s, p);
	} else if (p->unacked >= s->cfg.ack_every) {
		srd_ack_hurry(s, p);
	} else if (!p->ack_now) {
		owe(s, p, now + s->cfg.ack_delay);
	}
}

void srd_ack_nak(struct srd *s, struct srd_peer *p, uint32_t psn,
		 uint8_t status)
{
	uint64_t wait = status == SRD_RNR ? s->cfg.rnr_wait / U_USEC : 0;

	s->stats.naks_sent++;
	if (status == SRD_RNR)
		s->stats.rnr_sent++;
	/* What has no place is told when the packet comes again. */
	if (p->nnaks < SRD_NAKS_MAX)
		p->nak[p->nnaks++] = (struct srd_nak){
			.psn = psn,
			.status = status,
			.wait = (uint16_t)u_min(wait, UINT16_MAX),
		};
	srd_ack_hurry(s, p);
}

static uint32_t credit(const struct srd *s, const struct srd_peer *p)
{
	uint32_t senders = (uint32_t)u_max(s->senders, s->senders_before);
	uint64_t share = s->cfg.rx_budget / (senders ? senders : 1);

	return (uint32_t)u_max(share, p->mtu);
}

static void fill_echoes(const struct srd_peer *p, struct srd_pkt_ack *ack,
			uint64_t now)
{
	const struct srd_arrival *arrival;
	uint32_t held;

	ack->nechoes = p->narrivals;
	for (uint32_t i = 0; i < p->narrivals; i++) {
		arrival = &p->arrival[(p->arrival_at + SRD_ECHOES_MAX - 1 - i) %
				      SRD_ECHOES_MAX];
		held = ((uint32_t)now - arrival->at) / 64;
		ack->echo[i] = (struct srd_echo){
			.stamp = arrival->stamp,
			.held = (uint16_t)u_min(held, UINT16_MAX),
			.path = arrival->path,
		};
	}
}

void srd_ack_fill(struct srd *s, struct srd_peer *p, struct srd_pkt_ack *ack,
		  uint64_t now)
{
	uint32_t beyond = p->rx_end - p->rx_cum;

	ack->cum = p->rx_cum;
	ack->credit = credit(s, p);
	ack->received = p->rx_received;
	ack->epoch = p->rx_epoch;
	ack->flags = s->pressure_on ? SRD_ACK_PRESSURE : 0;
	fill_echoes(p, ack, now);
	/* rx_cum itself is missing: its bit is not sent. */
	ack->nwords = (uint8_t)((beyond + 30) / 32);
	for (uint32_t i = 0; i < ack->nwords; i++)
		ack->word[i] = srd_bits_get32(&p->active->rx_bits,
					      p->rx_cum + 1 + 32 * i);
	ack->nnaks = p->nnaks;
	for (int i = 0; i < p->nnaks; i++)
		ack->nak[i] = p->nak[i];
}

void srd_ack_paid(struct srd *s, struct srd_peer *p)
{
	p->told = s->pressure_on;
	if (!p->owes)
		return;
	s->nowed--;
	p->owes = false;
	p->ack_now = false;
	p->ack_at = SRD_NEVER;
	p->unacked = 0;
	p->narrivals = 0;
	p->nnaks = 0;
}

void srd_ack_again(struct srd *s, struct srd_peer *p)
{
	if (p->has_epoch)
		srd_ack_hurry(s, p);
}

void srd_ack_forget(struct srd *s, struct srd_peer *p)
{
	if (p->owes)
		s->nowed--;
	p->owes = false;
	p->ack_now = false;
	p->ack_at = SRD_NEVER;
	p->unacked = 0;
	p->narrivals = 0;
	p->nnaks = 0;
}
