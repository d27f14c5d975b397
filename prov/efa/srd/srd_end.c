/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_end.c - how conversations end, and begin anew
 *
 *   silence      what is under way ends; later sends begin anew, with new
 *                numbers in a new epoch, which tells the peer, should it be
 *                there, that the old ones are of the past
 *   given up     for good, by our user after a silence
 *   CLOSE        for good: the peer closed, or there is no such incarnation
 *   refused      for good: nobody listens at its port
 *
 * Bytes that the peer sent and we have stay counted through our silence: it
 * may have heard our acknowledgements.
 */
#include "srd/srd.h"

#include <string.h>

#include "srd/srd_priv.h"

/* Answers to strays: one in so long, so many at once. */
#define STRAY_EVERY (10 * U_MSEC)
#define STRAY_BURST 16

void srd_end_heard(struct srd_peer *p, uint64_t now)
{
	p->heard_at = now;
	p->alive = true;
	p->checking = false;
	p->pokes = 0;
	p->keep_at = 0;
}

static void end_ops(struct srd *s, struct srd_peer *p, uint8_t status)
{
	struct srd_operation *op;

	while ((op = TAILQ_FIRST(&p->ops)))
		srd_op_end(s, op, status, false);
}

/* Forgets the packets that are open: they are all VOID by now. */
static void forget_open(struct srd *s, struct srd_peer *p)
{
	struct srd_active *a = p->active;

	if (!a)
		return;
	s->nopen -= a->flight.n + a->lost.n + a->waiting.n;
	srd_open_reset(a);
	p->tx_una = p->tx_next;
}

static void report_gone(struct srd *s, struct srd_peer *p, uint8_t status)
{
	s->stats.peers_dead++;
	if (!p->alive)
		return;
	p->alive = false;
	if (!p->gone_status)
		TAILQ_INSERT_TAIL(&s->gone, p, gone);
	p->gone_status = status;
}

static void calm_down(struct srd_peer *p)
{
	p->checking = false;
	p->probe = false;
	p->pressure = false;
	p->held_back = false;
	p->pokes = 0;
	p->keep_at = 0;
}

void srd_end_silent(struct srd *s, struct srd_peer *p)
{
	bool begin_anew = p->tx_una != p->tx_next || !TAILQ_EMPTY(&p->ops);

	end_ops(s, p, p->heard_at ? SRD_UNRESPONSIVE : SRD_UNREACHABLE);
	srd_part_end(s, p, false);
	forget_open(s, p);
	if (begin_anew) {
		p->tx_una = 0;
		p->tx_next = 0;
		p->tx_epoch++;
		p->credit = s->cc_cfg.window_init;
	}
	calm_down(p);
	report_gone(s, p, SRD_UNRESPONSIVE);
	srd_active_settle(s, p);
}

void srd_end_for_good(struct srd *s, struct srd_peer *p, uint8_t status)
{
	end_ops(s, p, status);
	srd_part_end(s, p, true);
	forget_open(s, p);
	srd_ack_forget(s, p);
	calm_down(p);
	report_gone(s, p, status);
	p->ended = status;
	srd_ready_drop(s, p);
	srd_active_drop(s, p);
}

void srd_give_up(struct srd *s, struct srd_peer *p)
{
	if (!p->ended)
		srd_end_for_good(s, p, SRD_UNRESPONSIVE);
}

/* What the peer was to answer, and what it asked, are forgotten there. */
static void end_past(struct srd *s, struct srd_peer *p)
{
	struct srd_operation *op, *next;

	for (op = TAILQ_FIRST(&p->ops); op; op = next) {
		next = TAILQ_NEXT(op, all);
		if (op->kind == SRD_KIND_REPLY ||
		    op->stage == SRD_STAGE_READING)
			srd_op_end(s, op, SRD_PEER_RESET, false);
	}
}

static U_COLD void new_epoch(struct srd *s, struct srd_peer *p)
{
	end_past(s, p);
	srd_part_end(s, p, true);
	srd_ack_forget(s, p);
	if (p->active)
		srd_bits_zero(&p->active->rx_bits);
	p->rx_cum = 0;
	p->rx_end = 0;
	p->rx_received = 0;
}

void srd_end_epoch(struct srd *s, struct srd_peer *p, uint8_t epoch)
{
	if (u_likely(p->has_epoch && epoch == p->rx_epoch))
		return;
	if (p->has_epoch && (int8_t)(epoch - p->rx_epoch) < 0)
		return;
	if (p->has_epoch)
		new_epoch(s, p);
	p->has_epoch = true;
	p->rx_epoch = epoch;
}

void srd_end_close(struct srd *s, struct srd_peer *p, const struct srd_pkt *pkt,
		   uint64_t now)
{
	uint8_t reason = pkt->close.reason;

	if (reason == SRD_PEER_RESET) {
		if (pkt->close.about != pkt->base.src_connid) {
			s->stats.bad_field++;
			return;
		}
		if (pkt->has_ack)
			srd_acked(s, p, &pkt->ack, now);
	}
	srd_end_for_good(s, p, reason);
}

/* --- what the wire hears -------------------------------------------------- */

void srd_refused(struct srd *s, const uint8_t gid[16], uint32_t qpn,
		 uint64_t now)
{
	struct srd_peer *p;

	(void)now;
	for (uint32_t i = 0; i < s->npeers; i++) {
		p = &s->peer[i];
		if (!p->ended && p->addr.qpn == qpn &&
		    memcmp(p->addr.gid, gid, 16) == 0)
			srd_end_for_good(s, p, SRD_NO_QP);
	}
}

void srd_no_route(struct srd *s, const uint8_t gid[16], uint64_t now)
{
	struct srd_peer *p;

	(void)now;
	for (uint32_t i = 0; i < s->npeers; i++) {
		p = &s->peer[i];
		if (!p->ended && !p->heard_at && srd_peer_waits(p) &&
		    memcmp(p->addr.gid, gid, 16) == 0)
			srd_end_silent(s, p);
	}
}

void srd_unplugged(struct srd *s, uint64_t now)
{
	struct srd_peer *p;

	(void)now;
	for (uint32_t i = 0; i < s->npeers; i++) {
		p = &s->peer[i];
		if (!p->ended && srd_peer_waits(p))
			srd_end_silent(s, p);
	}
}

/* --- strays and farewell -------------------------------------------------- */

U_COLD void srd_stray_answer(struct srd *s, const uint8_t gid[16],
			     const struct srd_pkt_base *base, uint64_t now)
{
	struct srd_stray *stray;

	if (s->stray_at < now)
		s->stray_at = now;
	if (s->stray_at - now > (STRAY_BURST - 1) * STRAY_EVERY ||
	    s->nstrays == SRD_STRAYS_MAX || !base->dst_connid || !base->src_qpn)
		return;
	s->stray_at += STRAY_EVERY;
	stray = &s->stray[s->nstrays++];
	memcpy(stray->to.gid, gid, sizeof(stray->to.gid));
	stray->to.qpn = base->src_qpn;
	stray->to.connid = base->src_connid;
	stray->about = base->dst_connid;
}

/* The rest of s->out is the caller's. */
static void send_close(struct srd *s, struct srd_peer *p, struct srd_batch *b,
		       const struct srd_addr *to)
{
	struct srd_pkt *pkt = &s->out;
	struct srd_out *out;
	size_t len;

	out = srd_tx_next(s, b, &(struct srd_sent){ .type = SRD_PKT_CLOSE });
	pkt->base = (struct srd_pkt_base){
		.type = SRD_PKT_CLOSE,
		.flags = s->cfg.check_all ? SRD_F_CHECK_ALL : 0,
		.epoch = p ? p->tx_epoch : 0,
		.src_qpn = s->cfg.self.qpn,
		.src_connid = s->cfg.self.connid,
		.dst_connid = to->connid,
		.stamp = (uint32_t)b->now,
	};
	pkt->payload = NULL;
	pkt->payload_len = 0;
	pkt->has_ack = p && p->has_epoch;
	if (pkt->has_ack)
		srd_ack_fill(s, p, &pkt->ack, b->now);
	len = srd_pkt_build(pkt, s->hdr + s->hdr_used);
	s->hdr_used += u_align(len, 16);
	out->to = to;
	out->hdr_len = (uint16_t)len;
	s->stats.tx_packets++;
	s->stats.tx_bytes += len;
}

U_COLD void srd_stray_tx(struct srd *s, struct srd_batch *b)
{
	struct srd_stray *stray;
	uint32_t i = 0;

	for (; i < s->nstrays && b->n < b->max; i++) {
		stray = &s->stray[i];
		s->stray_to[i] = stray->to;
		s->out.close = (struct srd_pkt_close){ .reason = SRD_NO_QP,
						       .about = stray->about };
		send_close(s, NULL, b, &s->stray_to[i]);
	}
	s->nstrays -= i;
	memmove(s->stray, s->stray + i, s->nstrays * sizeof(*s->stray));
}

int srd_farewell(struct srd *s, uint64_t now, struct srd_out *out, int max,
		 uint32_t *cursor)
{
	struct srd_batch b = { .out = out, .now = now };
	struct srd_peer *p;

	b.max = max < SRD_TX_MAX ? max : SRD_TX_MAX;
	s->hdr_used = 0;
	while (b.n < b.max && *cursor < s->npeers) {
		p = &s->peer[(*cursor)++];
		if (p->ended || (!p->heard_at && !p->tx_next && !p->tx_epoch))
			continue;
		s->out.close = (struct srd_pkt_close){
			.reason = SRD_PEER_RESET,
			.about = s->cfg.self.connid,
		};
		send_close(s, p, &b, &p->addr);
	}
	return b.n;
}

size_t srd_datagram(struct srd *s, const struct srd_addr *to, bool has_imm,
		    uint32_t imm, const struct iovec *iov, int iovcnt,
		    void *hdr, uint64_t now)
{
	struct srd_pkt *pkt = &s->out;

	pkt->base = (struct srd_pkt_base){
		.type = SRD_PKT_DATAGRAM,
		.flags = s->cfg.check_all ? SRD_F_CHECK_ALL : 0,
		.src_qpn = s->cfg.self.qpn,
		.src_connid = s->cfg.self.connid,
		.dst_connid = to->connid,
		.stamp = (uint32_t)now,
	};
	pkt->data.has_imm = has_imm;
	pkt->data.imm = imm;
	pkt->has_ack = false;
	return srd_pkt_build_iov(pkt, iov, iovcnt, hdr);
}
