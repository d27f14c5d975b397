/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_loss.c - which packets are lost, and when to ask
 *
 * A packet is lost
 *   when one sent later on its own path has arrived, later by more than the
 *   reorder window of the path; or
 *   when one sent later on any path has arrived, and its own age is more than
 *   a round trip and the reorder window.
 * Numbers say nothing: many paths reorder all the time.
 *
 * When nothing arrives, the newest packet is sent again after a round trip and
 * what it may vary by (its acknowledgement lets the rule above judge the
 * others); then two at each timeout, which grows. A timeout declares nothing
 * lost: a peer that was busy elsewhere has all of it in its socket.
 *
 * A resend that was needless widens the reorder window, unless its path is
 * suspect: what is out on such a path is not waited for, but judged by the
 * round trips of the others.
 */
#include "srd/srd.h"

#include "srd/srd_priv.h"

/* Packets that were overtaken and are not yet lost: how many to look at. */
#define LOOK_MAX 64

/* So many packets without a needless resend halve the reorder window. */
#define CALM_PKTS 1024
#define REO_SCALE_MAX 16

/* Timeouts: doublings in a row, then so many without one. */
#define STEPS 3
#define FLAT 8

uint64_t srd_loss_rto(const struct srd *s, const struct srd_peer *p)
{
	uint64_t rto = 3 * s->cfg.rtt_guess;

	if (p->srtt)
		rto = p->srtt + 4 * p->rttvar + s->cfg.ack_delay;
	if (rto < s->cfg.rto_min)
		return s->cfg.rto_min;
	return rto < s->cfg.rto_max ? rto : s->cfg.rto_max;
}

/*
 * When the end of what is in flight is missed. The newest packet went out
 * behind those that were acknowledged, into the same queues, so that it should
 * need little longer than the last of them did: what counts is when it was
 * sent. At the very beginning, when there is more to send, that would join in
 * where too many begin at once: there it counts from when something was heard.
 */
static uint64_t tail_at(const struct srd *s, const struct srd_peer *p)
{
	const struct srd_active *a = p->active;
	const struct srd_open *last = &a->open[a->flight.tail];
	uint64_t late = a->silent_at + p->srtt + 4 * p->rttvar;
	uint64_t soon =
		last->sent_at + u_max(p->srtt, p->last_rtt) + p->rttvar +
		srd_paths_base_rtt(&a->paths, &s->paths_cfg) / 4 * a->reo_scale;

	if (a->cc.state == SRD_CC_START && srd_peer_has_more(p))
		return late + s->cfg.ack_delay;
	return u_min(u_max(soon, a->silent_at), late) + s->cfg.ack_delay;
}

/*
 * Timeouts double, but not while a few more of the same length may do: of many
 * that send into one full queue some lose every packet, and that says nothing
 * of their peer.
 */
static int backoff(int timeouts)
{
	if (timeouts <= STEPS)
		return timeouts;
	return timeouts <= STEPS + FLAT ? STEPS : timeouts - FLAT;
}

/* When silence has lasted too long. */
static uint64_t silence_at(const struct srd *s, const struct srd_peer *p)
{
	const struct srd_active *a = p->active;
	uint64_t wait;
	int doublings;

	if (p->srtt && a->tries == 0)
		return tail_at(s, p);
	doublings = backoff(a->tries - (p->srtt ? 1 : 0));
	for (wait = srd_loss_rto(s, p); doublings-- > 0;) {
		wait *= 2;
		if (wait >= s->cfg.rto_max)
			return a->silent_at + s->cfg.rto_max;
	}
	return a->silent_at + wait;
}

uint64_t srd_loss_at(const struct srd *s, const struct srd_peer *p)
{
	uint64_t at = silence_at(s, p);

	return at < p->active->reo_at ? at : p->active->reo_at;
}

/* When a packet that was overtaken counts as lost; 0: it does already. */
static uint64_t lost_at(const struct srd *s, const struct srd_peer *p,
			const struct srd_open *o)
{
	const struct srd_active *a = p->active;
	uint64_t window =
		a->reo_scale *
		srd_paths_reorder_window(&a->paths, &s->paths_cfg, o->path);
	uint64_t rtt = a->paths.path[o->path].srtt_ns;

	if (u_unlikely(srd_paths_is_suspect(&a->paths, o->path)))
		return o->sent_at + p->srtt + 4 * p->rttvar;
	if (o->sent_at + window < a->path_delivered_at[o->path])
		return 0;
	if (rtt < p->srtt)
		rtt = p->srtt;
	if (rtt < p->last_rtt)
		rtt = p->last_rtt;
	return o->sent_at + rtt + window;
}

void srd_loss_detect(struct srd *s, struct srd_peer *p, uint64_t now)
{
	struct srd_active *a = p->active;
	uint32_t bytes = 0;
	int look = LOOK_MAX;
	struct srd_open *o;
	uint16_t at, next;
	uint64_t due;

	a->reo_at = SRD_NEVER;
	for (at = a->flight.head; at != SRD_NONE16 && look; at = next) {
		o = &a->open[at];
		next = o->next;
		if (o->sent_at >= a->delivered_at)
			break;
		due = lost_at(s, p, o);
		if (due > now) {
			if (due < a->reo_at)
				a->reo_at = due;
			look--;
			continue;
		}
		bytes += o->size;
		srd_paths_lost(&a->paths, &s->paths_cfg, o->path, now);
		o->doubted = false;
		srd_open_move(s, p, srd_open_psn(s, p, at), SRD_OPEN_LOST);
	}
	if (!bytes)
		return;
	srd_cc_lost(&p->active->cc, &s->cc_cfg, bytes, now);
	srd_ready(s, p);
}

/* Sends a packet in flight again, whatever the window says. */
static void force(struct srd *s, struct srd_peer *p, uint16_t place)
{
	p->active->open[place].doubted = true;
	p->active->force++;
	srd_open_undo(s, p, srd_open_psn(s, p, place));
}

/*
 * As force, and its path is given the fault: where most paths are dead, those
 * that never said anything have to become worse than those that did.
 */
static void blame(struct srd *s, struct srd_peer *p, uint16_t place,
		  uint64_t now)
{
	struct srd_active *a = p->active;

	srd_paths_lost(&a->paths, &s->paths_cfg, a->open[place].path, now);
	force(s, p, place);
	a->open[place].doubted = false;
}

static void tail_probe(struct srd *s, struct srd_peer *p)
{
	struct srd_active *a = p->active;

	s->stats.tail_probes++;
	if (a->lost.n)
		a->force++;
	else
		force(s, p, a->flight.tail);
}

/*
 * The packet in flight for longest, and the one of the lowest number, which a
 * receiver without room for gaps is waiting for: it may be lost already and
 * have no place in the window.
 */
static void timed_out(struct srd *s, struct srd_peer *p, uint64_t now)
{
	struct srd_active *a = p->active;
	struct srd_open *lowest = srd_open_at(s, p, p->tx_una);

	s->stats.timeouts++;
	if (a->tries <= 1)
		srd_cc_timeout(&p->active->cc, &s->cc_cfg, now);
	blame(s, p, a->flight.head, now);
	if (lowest->state == SRD_OPEN_FLIGHT) {
		blame(s, p, (uint16_t)(lowest - a->open), now);
	} else if (lowest->state == SRD_OPEN_LOST) {
		srd_open_undo(s, p, p->tx_una);
		a->force = 2;
	}
}

void srd_loss_fire(struct srd *s, struct srd_peer *p, uint64_t now)
{
	struct srd_active *a = p->active;

	if (a->reo_at <= now)
		srd_loss_detect(s, p, now);
	if (!a->flight.n || silence_at(s, p) > now)
		return;
	if (p->srtt && a->tries == 0)
		tail_probe(s, p);
	else
		timed_out(s, p, now);
	if (a->tries < UINT8_MAX)
		a->tries++;
	a->silent_at = now;
	srd_ready(s, p);
}

void srd_loss_spurious(struct srd *s, struct srd_peer *p, uint8_t path)
{
	struct srd_active *a = p->active;

	s->stats.resent_spurious++;
	if (srd_paths_is_suspect(&a->paths, path))
		return;
	a->reo_calm = 0;
	if (a->reo_scale < REO_SCALE_MAX)
		a->reo_scale *= 2;
}

void srd_loss_calm(struct srd_active *a)
{
	if (++a->reo_calm < CALM_PKTS)
		return;
	a->reo_calm = 0;
	if (a->reo_scale > 1)
		a->reo_scale /= 2;
}
