/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_rx.c - a packet that arrived, from its bytes to its fate
 *
 * In this order: is it whole, is it for us, whom is it from, what does it
 * acknowledge, was it here before, what does it bring. A packet of data is
 * marked as received only after it has been placed.
 */
#include "srd/srd.h"

#include <string.h>

#include "srd/srd_priv.h"

static U_COLD void count_bad(struct srd *s, enum srd_pkt_verdict verdict)
{
	switch (verdict) {
	case SRD_PKT_GOOD:
		break;
	case SRD_PKT_SHORT:
		s->stats.bad_short++;
		break;
	case SRD_PKT_VERSION:
		s->stats.bad_version++;
		break;
	case SRD_PKT_CHECK:
		s->stats.bad_check++;
		break;
	case SRD_PKT_TYPE:
		s->stats.bad_type++;
		break;
	case SRD_PKT_FIELD:
		s->stats.bad_field++;
		break;
	}
}

static int datagram(const struct srd_pkt *pkt, const uint8_t gid[16],
		    struct srd_event *event)
{
	*event = (struct srd_event){
		.kind = SRD_EV_DATAGRAM,
		.from = { .qpn = pkt->base.src_qpn,
			  .connid = pkt->base.src_connid },
		.data = pkt->payload,
		.len = pkt->payload_len,
		.imm = pkt->data.imm,
		.has_imm = pkt->data.has_imm,
		.slot = SRD_SLOT_NONE,
	};
	memcpy(event->from.gid, gid, sizeof(event->from.gid));
	return 1;
}

/* A first packet makes its sender known, if it can be one. */
static U_COLD struct srd_peer *meet(struct srd *s, const struct srd_pkt *pkt,
				    const uint8_t gid[16], uint64_t now)
{
	struct srd_addr addr = { .qpn = pkt->base.src_qpn,
				 .connid = pkt->base.src_connid };
	struct srd_peer *p;

	if (pkt->base.type != SRD_PKT_DATA || !addr.qpn) {
		s->stats.bad_source++;
		return NULL;
	}
	if (pkt->data.psn >= SRD_WINDOW_MAX) {
		s->stats.bad_window++;
		return NULL;
	}
	memcpy(addr.gid, gid, sizeof(addr.gid));
	if (srd_peer_get(s, &addr, &p)) {
		s->stats.no_room++;
		return NULL;
	}
	return p;
}

static struct srd_verdict dispatch(struct srd *s, struct srd_peer *p,
				   const struct srd_pkt *pkt, uint64_t now,
				   struct srd_event *event)
{
	switch ((enum srd_op)pkt->data.op) {
	case SRD_OP_SEND:
		return srd_part_take(s, p, pkt, now, event);
	case SRD_OP_WRITE:
		return srd_place_write(s, p, pkt, event);
	case SRD_OP_WRITTEN:
		return srd_place_written(s, p, pkt, event);
	case SRD_OP_READ:
		return srd_place_read(s, p, pkt, now);
	case SRD_OP_DATA:
		return srd_place_data(s, p, pkt);
	case SRD_OP_RESULT:
		return srd_place_result(s, p, pkt);
	case SRD_OP_VOID:
		srd_part_void(s, p, pkt->data.msg);
		break;
	}
	return (struct srd_verdict){ .fate = SRD_TAKEN };
}

static void mark(struct srd_peer *p, uint32_t psn)
{
	struct srd_bits *bits;

	p->rx_received++;
	if (u_likely(psn == p->rx_cum && p->rx_cum == p->rx_end)) {
		p->rx_cum++;
		p->rx_end++;
		return;
	}
	bits = &p->active->rx_bits;
	if (psn != p->rx_cum) {
		srd_bits_set(bits, psn);
		if (!u_seq_before(psn, p->rx_end))
			p->rx_end = psn + 1;
		return;
	}
	for (p->rx_cum++;
	     p->rx_cum != p->rx_end && srd_bits_test(bits, p->rx_cum);
	     p->rx_cum++)
		srd_bits_clear(bits, p->rx_cum);
}

static void duplicate(struct srd *s, struct srd_peer *p,
		      const struct srd_pkt *pkt, uint64_t now)
{
	s->stats.duplicates++;
	srd_ack_arrived(s, p, &pkt->base, now);
	srd_ack_hurry(s, p);
	/* Its first transmission may have begun what it gives up. */
	if (pkt->data.op == SRD_OP_VOID)
		srd_part_void(s, p, pkt->data.msg);
}

static int take_data(struct srd *s, struct srd_peer *p,
		     const struct srd_pkt *pkt, uint64_t now,
		     struct srd_event *event)
{
	uint32_t psn = pkt->data.psn, ahead = psn - p->rx_cum;
	struct srd_verdict v;

	s->stats.rx_data++;
	if (u_unlikely(pkt->base.epoch != p->rx_epoch)) {
		s->stats.bad_stale++;
		return 0;
	}
	if (u_seq_before(psn, p->rx_cum)) {
		duplicate(s, p, pkt, now);
		return 0;
	}
	if (u_unlikely(ahead >= SRD_WINDOW_MAX)) {
		s->stats.bad_window++;
		return 0;
	}
	if (ahead && !srd_active_need(s, p)) {
		s->stats.no_room++;
		return 0;
	}
	if (ahead && srd_bits_test(&p->active->rx_bits, psn)) {
		duplicate(s, p, pkt, now);
		return 0;
	}

	v = dispatch(s, p, pkt, now, event);
	srd_ack_arrived(s, p, &pkt->base, now);
	if (u_unlikely(v.fate == SRD_REFUSED)) {
		srd_ack_nak(s, p, psn, v.status);
		return 0;
	}
	mark(p, psn);
	srd_ack_owe(s, p, p->rx_cum != p->rx_end, now);
	if (pkt->base.flags & SRD_F_ACK_NOW)
		srd_ack_hurry(s, p);
	return v.fate == SRD_EVENT;
}

/* A packet of somebody who is known and speaks to us. */
static int take(struct srd *s, struct srd_peer *p, const struct srd_pkt *pkt,
		uint64_t now, struct srd_event *event)
{
	int n = 0;

	srd_end_heard(p, now);
	srd_end_epoch(s, p, pkt->base.epoch);
	if (pkt->has_ack)
		srd_acked(s, p, &pkt->ack, now);
	switch ((enum srd_pkt_type)pkt->base.type) {
	case SRD_PKT_DATA:
		n = take_data(s, p, pkt, now, event);
		break;
	case SRD_PKT_PROBE:
		srd_ack_arrived(s, p, &pkt->base, now);
		srd_ack_hurry(s, p);
		break;
	case SRD_PKT_ACK:
		s->stats.rx_acks++;
		break;
	case SRD_PKT_CLOSE:
	case SRD_PKT_DATAGRAM:
		break;
	}
	srd_active_settle(s, p);
	if (!p->is_ready)
		srd_timer_arm(s, p, now);
	return n;
}

int srd_rx(struct srd *s, const void *packet, size_t len, const uint8_t gid[16],
	   uint64_t now, struct srd_event *event)
{
	struct srd_pkt *pkt = &s->in;
	enum srd_pkt_verdict verdict;
	struct srd_peer *p;
	bool close;

	s->stats.rx_packets++;
	s->stats.rx_bytes += len;
	verdict = srd_pkt_parse(packet, len, pkt);
	if (u_unlikely(verdict != SRD_PKT_GOOD)) {
		count_bad(s, verdict);
		return 0;
	}
	close = pkt->base.type == SRD_PKT_CLOSE;
	if (u_unlikely(pkt->base.dst_connid != s->cfg.self.connid)) {
		s->stats.bad_incarnation++;
		if (!close)
			srd_stray_answer(s, gid, &pkt->base, now);
		return 0;
	}
	if (pkt->base.type == SRD_PKT_DATAGRAM)
		return datagram(pkt, gid, event);

	p = srd_peer_find(s, gid, pkt->base.src_qpn,
			  close ? pkt->close.about : pkt->base.src_connid);
	if (u_unlikely(!p))
		p = meet(s, pkt, gid, now);
	else if (u_unlikely(p->ended)) {
		s->stats.bad_source++;
		if (p->ended == SRD_UNRESPONSIVE && !close)
			srd_stray_answer(s, gid, &pkt->base, now);
		p = NULL;
	}
	if (!p)
		return 0;
	if (u_unlikely(close)) {
		srd_end_close(s, p, pkt, now);
		return 0;
	}
	return take(s, p, pkt, now, event);
}

void srd_release(struct srd *s, const struct srd_event *event)
{
	if (event->slot != SRD_SLOT_NONE)
		srd_slots_put(&s->rx_slots, event->slot);
}
