/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_acked.c - what the peer acknowledges, and what follows from it
 *
 * An acknowledgement may be late or come twice: all it says stays true, so
 * that each is taken as it comes. Numbers that were never sent are refused.
 */
#include "srd/srd.h"

#include "srd/srd_priv.h"

/* Round trips beyond this are no measurement. */
#define RTT_MAX (4 * U_SEC)
/* A refusal makes a packet wait this many doublings longer at most. */
#define REFUSED_DOUBLINGS 5

/* What one acknowledgement brought. */
struct tally {
	const struct srd_pkt_ack *ack;
	uint64_t now;
	uint32_t bytes; /* acknowledged */
	bool progress; /* something left the flight */
};

/* --- round trips ---------------------------------------------------------- */

static void sample(struct srd_peer *p, uint64_t rtt)
{
	uint64_t off;

	p->last_rtt = rtt;
	if (!p->srtt) {
		p->srtt = rtt;
		p->rttvar = rtt / 2;
		return;
	}
	off = rtt > p->srtt ? rtt - p->srtt : p->srtt - rtt;
	p->rttvar += off / 4;
	p->rttvar -= p->rttvar / 4;
	p->srtt = (7 * p->srtt + rtt) / 8;
}

/* ns by which a packet took longer than the latest that overtook it. */
static uint64_t lag_of(const struct srd_active *a, uint32_t stamp, uint64_t rtt)
{
	int32_t ahead = (int32_t)((uint32_t)a->delivered_at - stamp);

	return ahead > 0 && rtt > a->delivered_rtt ? rtt - a->delivered_rtt : 0;
}

static void take_echo(struct srd *s, struct srd_peer *p,
		      const struct srd_echo *echo, uint64_t now)
{
	uint64_t held = (uint64_t)echo->held * 64;
	uint64_t rtt = (uint32_t)((uint32_t)now - echo->stamp);
	struct srd_active *a = p->active;

	if (echo->held == UINT16_MAX || rtt <= held || rtt - held >= RTT_MAX)
		return;
	rtt -= held;
	if (a && echo->path < s->cfg.paths &&
	    !srd_paths_delivered(&a->paths, &s->paths_cfg, echo->path, rtt,
				 lag_of(a, echo->stamp, rtt), now))
		return;
	sample(p, rtt);
}

static bool has_echo(const struct srd_pkt_ack *ack, uint32_t stamp,
		     uint8_t path)
{
	for (int i = 0; i < ack->nechoes; i++)
		if (ack->echo[i].stamp == stamp && ack->echo[i].path == path)
			return true;
	return false;
}

/* --- packets -------------------------------------------------------------- */

/* Which of its transmissions has arrived? */
static void judge_resent(struct srd *s, struct srd_peer *p,
			 const struct srd_open *o, const struct tally *t)
{
	struct srd_active *a = p->active;

	if (has_echo(t->ack, o->prev_stamp, o->prev_path))
		srd_loss_spurious(s, p, o->prev_path);
	else if (o->doubted && o->prev_path != o->path &&
		 has_echo(t->ack, (uint32_t)o->sent_at, o->path))
		srd_paths_lost(&a->paths, &s->paths_cfg, o->prev_path, t->now);
}

/* The latest transmissions that have arrived, for srd_loss.c. */
static void note_delivered(struct srd *s, struct srd_peer *p,
			   const struct srd_open *o, uint64_t now)
{
	struct srd_active *a = p->active;

	/* Too soon for this transmission: it was the one before. */
	if (o->resent &&
	    now < o->sent_at + srd_paths_base_rtt(&a->paths, &s->paths_cfg) / 2)
		return;
	if (o->sent_at > a->delivered_at) {
		a->delivered_at = o->sent_at;
		a->delivered_rtt = now - o->sent_at;
	}
	if (o->sent_at > a->path_delivered_at[o->path])
		a->path_delivered_at[o->path] = o->sent_at;
}

static void close_one(struct srd *s, struct srd_peer *p, uint32_t psn,
		      struct tally *t)
{
	struct srd_open *o = srd_open_at(s, p, psn);

	if (u_unlikely(o->resent))
		judge_resent(s, p, o, t);
	else
		srd_loss_calm(p->active);
	if (o->state == SRD_OPEN_FLIGHT)
		note_delivered(s, p, o, t->now);
	t->bytes += o->size;
	t->progress = true;
	srd_open_close(s, p, psn);
}

static void take_cum(struct srd *s, struct srd_peer *p, struct tally *t)
{
	struct srd_active *a = p->active;

	for (uint32_t psn = p->tx_una; u_seq_before(psn, t->ack->cum); psn++)
		if (!srd_bits_test(&a->tx_bits, psn))
			close_one(s, p, psn, t);
}

static void take_word(struct srd *s, struct srd_peer *p, uint32_t first,
		      uint32_t word, struct tally *t)
{
	uint32_t psn;

	word &= ~srd_bits_get32(&p->active->tx_bits, first);
	for (; word; word &= word - 1) {
		psn = first + (uint32_t)__builtin_ctz(word);
		if (u_seq_before(psn, p->tx_una))
			continue;
		if (!u_seq_before(psn, p->tx_next)) {
			s->stats.bad_window++;
			return;
		}
		close_one(s, p, psn, t);
	}
}

/* The oldest number that is open, past all that is acknowledged. */
static void advance(struct srd_peer *p)
{
	struct srd_bits *bits = &p->active->tx_bits;

	while (p->tx_una != p->tx_next && srd_bits_test(bits, p->tx_una))
		srd_bits_clear(bits, p->tx_una++);
}

/* --- refusals ------------------------------------------------------------- */

/*
 * A READ gives its number back, as a VOID that waits, and is asked again with
 * another one (I5). A copy of it may have been accepted all the same: then
 * the bytes come, or its second coming is taken for what it is.
 */
static void read_again(struct srd_open *o)
{
	struct srd_operation *op = o->op;

	if (op->stage == SRD_STAGE_READING)
		op->peer->nreads--;
	op->stage = SRD_STAGE_AGAIN;
	if (op->refused < UINT8_MAX)
		op->refused++;
	o->refused = op->refused - 1;
	o->op_type = SRD_OP_VOID;
}

static void wait_longer(struct srd *s, struct srd_peer *p, uint32_t psn,
			const struct srd_nak *nak, uint64_t now)
{
	struct srd_open *o = srd_open_at(s, p, psn);
	struct srd_active *a = p->active;
	uint64_t wait = nak->wait * U_USEC;

	if (o->op->kind == SRD_KIND_READ)
		read_again(o);
	if (wait < s->cfg.rnr_wait)
		wait = s->cfg.rnr_wait;
	wait <<= u_min(o->refused, REFUSED_DOUBLINGS);
	if (o->refused < UINT8_MAX)
		o->refused++;
	srd_open_move(s, p, psn, SRD_OPEN_WAITING);
	o->sent_at = now + wait;
	if (o->sent_at < a->wait_until)
		a->wait_until = o->sent_at;
}

static uint32_t refusals(const struct srd_open *o)
{
	return o->op->kind == SRD_KIND_READ ? o->op->refused : o->refused;
}

static void take_nak(struct srd *s, struct srd_peer *p,
		     const struct srd_nak *nak, struct tally *t)
{
	uint32_t psn = nak->psn, retries = s->cfg.rnr_retries;
	struct srd_active *a = p->active;
	struct srd_open *o;

	if (u_seq_before(psn, p->tx_una) || !u_seq_before(psn, p->tx_next) ||
	    srd_bits_test(&a->tx_bits, psn))
		return;
	o = srd_open_at(s, p, psn);
	/* A refusal of an earlier transmission says nothing new. */
	if (o->op_type == SRD_OP_VOID || o->state != SRD_OPEN_FLIGHT ||
	    (o->resent &&
	     t->now < o->sent_at +
			      srd_paths_base_rtt(&a->paths, &s->paths_cfg) / 2))
		return;
	t->progress = true;
	s->stats.naks_received++;
	if (nak->status == SRD_RNR)
		s->stats.rnr_received++;
	if (nak->status == SRD_RNR &&
	    (retries == SRD_RNR_FOREVER || refusals(o) < retries)) {
		wait_longer(s, p, psn, nak, t->now);
		return;
	}
	srd_open_undo(s, p, psn);
	srd_op_end(s, o->op, nak->status, false);
}

/* --- all of it ------------------------------------------------------------ */

static void tell_cc(struct srd *s, struct srd_peer *p, const struct tally *t)
{
	struct srd_active *a = p->active;

	srd_cc_acked(&p->active->cc, &s->cc_cfg,
		     &(struct srd_cc_ack){
			     .bytes = t->bytes,
			     .in_flight = a->in_flight,
			     .limited = a->cc_limited,
			     .queueing = srd_paths_queueing(
				     &a->paths, &s->paths_cfg, t->now),
			     .rtt = p->last_rtt,
			     .base_rtt = srd_paths_base_rtt(&a->paths,
							    &s->paths_cfg),
		     },
		     t->now);
}

static void take_packets(struct srd *s, struct srd_peer *p, struct tally *t)
{
	const struct srd_pkt_ack *ack = t->ack;
	struct srd_active *a = p->active;

	take_cum(s, p, t);
	for (uint32_t i = 0; i < ack->nwords; i++)
		take_word(s, p, ack->cum + 1 + 32 * i, ack->word[i], t);
	advance(p);
	for (int i = 0; i < ack->nnaks; i++)
		take_nak(s, p, &ack->nak[i], t);
	if (t->bytes)
		tell_cc(s, p, t);
	if (t->progress) {
		a->tries = 0;
		a->force = 0;
		a->silent_at = t->now;
	}
	if (a->flight.n)
		srd_loss_detect(s, p, t->now);
	/* The window may have opened, or an operation have something to add. */
	if (srd_peer_busy(p))
		srd_ready(s, p);
}

static void take_pressure(struct srd_peer *p, bool on)
{
	p->pressure = on;
	if (!on)
		p->held_back = false;
}

void srd_acked(struct srd *s, struct srd_peer *p, const struct srd_pkt_ack *ack,
	       uint64_t now)
{
	struct tally t = { .ack = ack, .now = now };

	for (int i = 0; i < ack->nechoes; i++)
		take_echo(s, p, &ack->echo[i], now);
	take_pressure(p, ack->flags & SRD_ACK_PRESSURE);
	if (ack->epoch != p->tx_epoch)
		return;
	if (u_seq_before(p->tx_next, ack->cum)) {
		s->stats.bad_window++;
		return;
	}
	p->credit = ack->credit > p->mtu ? ack->credit : p->mtu;
	if (p->tx_una != p->tx_next)
		take_packets(s, p, &t);
}
