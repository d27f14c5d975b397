/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_tx.c - what goes out next
 *
 * Ready peers are served in turn, some packets each. Of one peer: what is
 * lost goes first, then short operations, then long ones; an acknowledgement
 * goes with the first packet that has room for it, or by itself at last.
 *
 * The window, the peer's credit and the pace hold back all packets of data
 * but those that find out what became of others, and VOIDs.
 */
#include "srd/srd.h"

#include "srd/srd_priv.h"

/* Packets of a peer's turn. */
#define TURN_MIN 16
/* Short operations in a row while a long one waits. */
#define SHORT_RUN 16
/* Long operations take turns of so many bytes, as a shift. */
#define BULK_TURN_SHIFT 16

struct srd_out *srd_tx_next(struct srd *s, struct srd_batch *b,
			    const struct srd_sent *sent)
{
	struct srd_out *out = &b->out[b->n];

	assert(b->n < b->max);
	s->sent[b->n] = *sent;
	*out = (struct srd_out){
		.hdr = s->hdr + s->hdr_used,
		.token = (uint32_t)b->n,
	};
	b->n++;
	return out;
}

/* Writes the headers of s->out; the stamp is set by the caller. */
static void finish(struct srd *s, struct srd_peer *p, struct srd_out *out)
{
	struct srd_pkt *pkt = &s->out;
	size_t len;

	pkt->base.flags |= s->cfg.check_all ? SRD_F_CHECK_ALL : 0;
	pkt->base.epoch = p->tx_epoch;
	pkt->base.src_qpn = s->cfg.self.qpn;
	pkt->base.src_connid = s->cfg.self.connid;
	pkt->base.dst_connid = p->addr.connid;
	len = srd_pkt_build(pkt, s->hdr + s->hdr_used);
	s->hdr_used += u_align(len, 16);
	out->to = &p->addr;
	out->hdr_len = (uint16_t)len;
	out->path = pkt->base.path;
	s->stats.tx_packets++;
	s->stats.tx_bytes += len + out->data_len;
}

static uint64_t stamp(struct srd *s, uint64_t now)
{
	s->clock = now > s->clock ? now : s->clock + 1;
	return s->clock;
}

/* --- acknowledgements and probes ------------------------------------------ */

static void send_bare(struct srd *s, struct srd_peer *p, struct srd_batch *b,
		      enum srd_pkt_type type, uint8_t path)
{
	struct srd_pkt *pkt = &s->out;
	struct srd_out *out;

	out = srd_tx_next(s, b,
			  &(struct srd_sent){ .peer = p,
					      .type = (uint8_t)type,
					      .acked = p->has_epoch });
	pkt->base.type = (uint8_t)type;
	pkt->base.flags = type == SRD_PKT_PROBE ? SRD_F_ACK_NOW : 0;
	pkt->base.path = path;
	pkt->base.stamp = (uint32_t)stamp(s, b->now);
	pkt->payload = NULL;
	pkt->payload_len = 0;
	pkt->has_ack = p->has_epoch;
	if (pkt->has_ack) {
		srd_ack_fill(s, p, &pkt->ack, b->now);
		srd_ack_paid(s, p);
	}
	finish(s, p, out);
}

static void send_ack(struct srd *s, struct srd_peer *p, struct srd_batch *b)
{
	send_bare(s, p, b, SRD_PKT_ACK, p->rx_path);
	s->stats.tx_acks++;
}

/* Each probe tries the next path. */
static void send_probe(struct srd *s, struct srd_peer *p, struct srd_batch *b)
{
	p->probe = false;
	p->probe_path = (uint8_t)((p->probe_path + 1) % s->cfg.paths);
	send_bare(s, p, b, SRD_PKT_PROBE, p->probe_path);
}

static void probe_paths(struct srd *s, struct srd_peer *p, struct srd_batch *b)
{
	struct srd_active *a = p->active;
	int path;

	while (b->n < b->max && srd_timer_paths_at(s, p, b->now) <= b->now) {
		path = srd_paths_probe(&a->paths, &s->paths_cfg, b->now);
		if (path < 0)
			return;
		s->stats.path_probes++;
		send_bare(s, p, b, SRD_PKT_PROBE, (uint8_t)path);
	}
}

/* --- packets of data ------------------------------------------------------ */

/* An acknowledgement that is owed goes along if there is room. */
static bool add_ack(struct srd *s, struct srd_peer *p, size_t len, uint64_t now)
{
	struct srd_pkt *pkt = &s->out;

	pkt->has_ack = false;
	if (!p->owes)
		return false;
	srd_ack_fill(s, p, &pkt->ack, now);
	if (len + srd_pkt_ack_len(&pkt->ack) > p->mtu)
		return false;
	pkt->has_ack = true;
	srd_ack_paid(s, p);
	return true;
}

static uint32_t window(const struct srd *s, const struct srd_peer *p)
{
	uint32_t cwnd = srd_cc_window(&p->active->cc, &s->cc_cfg);

	return cwnd < p->credit ? cwnd : p->credit;
}

/*
 * The sender of the last packet that the window or the user lets go wants to
 * know soon, unless it is a SEND: an answer is likely to carry the word.
 */
static bool wants_ack(const struct srd *s, const struct srd_peer *p,
		      const struct srd_open *o)
{
	const struct srd_active *a = p->active;
	uint32_t limit = window(s, p);

	if (a->in_flight + p->mtu > limit && a->unasked >= limit / 2)
		return true;
	return (o->op_type == SRD_OP_WRITE || o->op_type == SRD_OP_WRITTEN) &&
	       TAILQ_EMPTY(&p->todo[SRD_SHORT]) &&
	       TAILQ_EMPTY(&p->todo[SRD_BULK]);
}

/* Notes that o goes out, on another path than before. */
static void note_sent(struct srd *s, struct srd_peer *p, struct srd_open *o,
		      uint32_t psn, uint64_t now)
{
	struct srd_active *a = p->active;

	o->prev_stamp = (uint32_t)o->sent_at;
	o->prev_path = o->path;
	o->path = srd_paths_pick(&a->paths, &s->paths_cfg, o->size,
				 o->sent ? o->path : -1, now);
	o->sent_at = stamp(s, now);
	if (o->sent) {
		o->resent = true;
		s->stats.resent++;
		p->resent++;
	}
	o->sent = true;
	if (!a->flight.n)
		a->silent_at = now;
	srd_open_move(s, p, psn, SRD_OPEN_FLIGHT);
	p->sent_at = now;
	a->unasked += o->size;
}

static void transmit(struct srd *s, struct srd_peer *p, uint32_t psn,
		     bool forced, struct srd_batch *b)
{
	struct srd_open *o = srd_open_at(s, p, psn);
	struct srd_pkt *pkt = &s->out;
	struct srd_out *out;

	out = srd_tx_next(s, b,
			  &(struct srd_sent){ .peer = p,
					      .psn = psn,
					      .type = SRD_PKT_DATA,
					      .first = !o->sent });
	note_sent(s, p, o, psn, b->now);
	/* What did not wait for its turn is not held against the others. */
	if (!forced && o->op_type != SRD_OP_VOID)
		srd_cc_sent(&p->active->cc, &s->cc_cfg, o->size,
			    srd_paths_base_rtt(&p->active->paths,
					       &s->paths_cfg),
			    b->now);
	srd_seg_fill(o, psn, pkt);
	pkt->base.type = SRD_PKT_DATA;
	pkt->base.flags =
		o->resent || (o->op && o->op->refused) ? SRD_F_RESENT : 0;
	if (forced || wants_ack(s, p, o)) {
		pkt->base.flags |= SRD_F_ACK_NOW;
		p->active->unasked = 0;
	}
	pkt->base.path = o->path;
	pkt->base.stamp = (uint32_t)o->sent_at;
	s->sent[out->token].acked = add_ack(s, p, o->size, b->now);
	out->data = pkt->payload;
	out->data_len = o->len;
	finish(s, p, out);
	out->fragment = out->hdr_len + out->data_len > p->mtu + s->high_len;
	s->stats.tx_data++;
}

static bool may_go(struct srd *s, struct srd_peer *p, uint32_t size,
		   uint64_t now)
{
	struct srd_active *a = p->active;
	uint32_t cwnd = srd_cc_window(&p->active->cc, &s->cc_cfg);

	if (a->in_flight && a->in_flight + size > cwnd) {
		a->cc_limited = true;
		return false;
	}
	if (a->in_flight && a->in_flight + size > p->credit)
		return false;
	if (srd_peer_pace_at(s, p) <= now)
		return true;
	a->paced = true;
	a->cc_limited = true;
	return false;
}

/* --- replies -------------------------------------------------------------- */

static void give_up(struct srd *s, struct srd_operation *op)
{
	srd_op_unqueue(op);
	srd_open_void(s, op);
	op->stage = SRD_STAGE_RESULT;
	op->status = SRD_BAD_RKEY;
	op->class = SRD_SHORT;
	srd_op_queue(s, op);
}

/* May the peer still read what it asked for? If not, the reply gives up. */
static bool may_read(struct srd *s, struct srd_operation *op)
{
	const struct srd_config *c = &s->cfg;

	if (op->kind != SRD_KIND_REPLY || op->stage == SRD_STAGE_RESULT)
		return true;
	if (c->may &&
	    c->may(c->ctx, op->rkey, SRD_REMOTE_READ, op->remote, op->len))
		return true;
	give_up(s, op);
	return false;
}

/* Bytes of a reply that go out again may have gone with their memory. */
static void check_again(struct srd *s, const struct srd_open *o)
{
	const struct srd_config *c = &s->cfg;
	struct srd_operation *op = o->op;

	if (may_read(s, op) && c->there && op->kind == SRD_KIND_REPLY &&
	    o->len && !c->there(c->ctx, op->remote + o->offset, o->len))
		give_up(s, op);
}

/* --- whose turn it is ----------------------------------------------------- */

static struct srd_operation *next_op(const struct srd_peer *p)
{
	struct srd_operation *first = TAILQ_FIRST(&p->todo[SRD_SHORT]);
	struct srd_operation *bulk = TAILQ_FIRST(&p->todo[SRD_BULK]);

	/* What has begun goes on: see may_begin(). */
	if (first && (first->cut || !bulk || p->short_run < SHORT_RUN))
		return first;
	return bulk;
}

/* A packet of op has been cut: long operations take turns. */
static void rotate(struct srd_peer *p, struct srd_operation *op,
		   uint32_t before)
{
	if (op->class == SRD_BULK)
		p->short_run = 0;
	else if (p->short_run < SHORT_RUN)
		p->short_run++;
	if (!op->queued || op->class != SRD_BULK ||
	    op->cut >> BULK_TURN_SHIFT == before >> BULK_TURN_SHIFT)
		return;
	TAILQ_REMOVE(&p->todo[SRD_BULK], op, todo);
	TAILQ_INSERT_TAIL(&p->todo[SRD_BULK], op, todo);
}

/*
 * A SEND is begun only if all its packets can have a number (I5): a receiver
 * that has given its last slot to it waits for all of them.
 */
static bool may_begin(const struct srd *s, const struct srd_peer *p,
		      const struct srd_operation *op)
{
	uint32_t left = s->cfg.window_pkts - (p->tx_next - p->tx_una);

	if (left == 0 || left == s->cfg.window_pkts)
		return left;
	return op->kind != SRD_KIND_SEND || op->cut ||
	       srd_seg_count(op) <= left;
}

static bool send_lost(struct srd *s, struct srd_peer *p, struct srd_batch *b)
{
	struct srd_active *a = p->active;
	uint32_t psn = srd_open_psn(s, p, a->lost.head);
	struct srd_open *o = srd_open_at(s, p, psn);
	bool forced = a->force > 0;

	if (o->op_type == SRD_OP_DATA)
		check_again(s, o);
	if (o->op_type != SRD_OP_VOID && !forced &&
	    !may_go(s, p, o->size, b->now))
		return false;
	if (forced)
		a->force--;
	transmit(s, p, psn, forced, b);
	return true;
}

static bool send_new(struct srd *s, struct srd_peer *p, struct srd_batch *b)
{
	struct srd_operation *op = next_op(p);
	uint32_t before, psn;

	while (op && !may_read(s, op))
		op = next_op(p);
	if (!op)
		return false;
	if (!may_begin(s, p, op) || !may_go(s, p, srd_seg_size(op), b->now))
		return false;
	before = op->cut;
	psn = srd_seg_cut(s, op);
	rotate(p, op, before);
	transmit(s, p, psn, false, b);
	return true;
}

/* A window that was not used for long may be out of date. */
static void begin_turn(struct srd *s, struct srd_peer *p, uint64_t now)
{
	struct srd_active *a = p->active;
	uint64_t idle = now - p->sent_at;

	a->cc_limited = false;
	a->paced = false;
	if (a->flight.n || !p->sent_at || idle < s->cfg.rto_min)
		return;
	if (srd_peer_busy(p) && idle > srd_loss_rto(s, p))
		srd_cc_idle(&p->active->cc, &s->cc_cfg, idle, now);
}

/*
 * What was refused and tries again takes turns with what was never sent: that
 * may be the rest of the message which holds the room (I5).
 */
static bool send_one(struct srd *s, struct srd_peer *p, struct srd_batch *b)
{
	struct srd_active *a = p->active;
	bool again = a->lost.n && a->open[a->lost.head].refused;

	if (again && a->tried_again && send_new(s, p, b)) {
		a->tried_again = false;
		return true;
	}
	a->tried_again = again;
	return a->lost.n ? send_lost(s, p, b) : send_new(s, p, b);
}

/* Sends packets of data; true: there are more that could go. */
static bool serve_data(struct srd *s, struct srd_peer *p, struct srd_batch *b)
{
	int turn = (int)u_max(TURN_MIN, s->cfg.burst / p->mtu);

	begin_turn(s, p, b->now);
	for (; turn && b->n < b->max; turn--)
		if (!send_one(s, p, b))
			return false;
	return srd_peer_busy(p);
}

/* One turn of a peer; true: it wants another. */
static bool serve(struct srd *s, struct srd_peer *p, struct srd_batch *b)
{
	bool more = false;

	if (p->active) {
		more = serve_data(s, p, b);
		probe_paths(s, p, b);
	}
	if (p->probe && b->n < b->max)
		send_probe(s, p, b);
	if (p->ack_now && b->n < b->max)
		send_ack(s, p, b);
	return more || p->probe || p->ack_now;
}

int srd_tx(struct srd *s, uint64_t now, struct srd_out *out, int max)
{
	struct srd_batch b = { .out = out, .now = now };
	struct srd_peer *p;

	b.max = max < SRD_TX_MAX ? max : SRD_TX_MAX;
	s->hdr_used = 0;
	srd_timer_fire(s, now);
	if (u_unlikely(s->nstrays))
		srd_stray_tx(s, &b);
	while (b.n < b.max && (p = TAILQ_FIRST(&s->ready))) {
		srd_ready_drop(s, p);
		if (p->ended)
			continue;
		if (serve(s, p, &b)) {
			srd_ready(s, p);
			continue;
		}
		srd_active_settle(s, p);
		srd_timer_arm(s, p, now);
	}
	return b.n;
}

/* --- what the wire had no room for ---------------------------------------- */

static void unsend(struct srd *s, const struct srd_sent *sent)
{
	struct srd_peer *p = sent->peer;
	struct srd_open *o;

	if (!p || p->ended)
		return;
	if (sent->acked)
		srd_ack_again(s, p);
	if (sent->type == SRD_PKT_PROBE)
		p->probe = true;
	if (sent->type == SRD_PKT_DATA) {
		o = srd_open_at(s, p, sent->psn);
		if (sent->first)
			o->sent = false;
		srd_open_undo(s, p, sent->psn);
		s->stats.tx_data--;
	} else if (sent->type == SRD_PKT_ACK) {
		s->stats.tx_acks--;
	}
	srd_ready(s, p);
}

void srd_unsent(struct srd *s, const struct srd_out *out, int n, uint64_t now)
{
	(void)now;
	/* Backwards, so that what is undone keeps its order. */
	while (n-- > 0) {
		assert(out[n].token < SRD_TX_MAX);
		s->stats.tx_packets--;
		s->stats.tx_bytes -= (uint64_t)out[n].hdr_len + out[n].data_len;
		unsend(s, &s->sent[out[n].token]);
	}
}
