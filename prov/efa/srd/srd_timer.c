/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_timer.c - which peers are ready, and when the time of the others comes
 *
 * A binary heap of peers by the time of their timer. A timer that is to fire
 * later than it stands is left alone: it fires in vain and is armed again, so
 * that a conversation under way moves its timer once a timeout and not once a
 * packet.
 */
#include "srd/srd.h"

#include "srd/srd_priv.h"

/* Looks at idle peers: at most one in so long, and several at one time. */
#define KEEP_APART U_MSEC
#define KEEP_GRID (UINT64_C(1) << 24)

/* Between questions whether the pressure is over. */
#define PRESS_MIN U_MSEC
#define PRESS_MAX (10 * U_MSEC)

/* Suspect paths are probed for so long after the last packet. */
#define PROBE_AFTER (100 * U_MSEC)

/* Later than this part of the time-out of peers, nobody looked in between. */
#define ABSENT_PART 8

/* --- the heap ------------------------------------------------------------- */

static void put(struct srd *s, uint32_t at, struct srd_peer *p)
{
	s->heap[at] = p;
	p->heap = at + 1;
}

static void sift_up(struct srd *s, uint32_t at, struct srd_peer *p)
{
	uint32_t up;

	for (; at; at = up) {
		up = (at - 1) / 2;
		if (s->heap[up]->timer_at <= p->timer_at)
			break;
		put(s, at, s->heap[up]);
	}
	put(s, at, p);
}

static void sift_down(struct srd *s, uint32_t at, struct srd_peer *p)
{
	uint32_t down;

	for (;; at = down) {
		down = 2 * at + 1;
		if (down + 1 < s->nheap &&
		    s->heap[down + 1]->timer_at < s->heap[down]->timer_at)
			down++;
		if (down >= s->nheap || s->heap[down]->timer_at >= p->timer_at)
			break;
		put(s, at, s->heap[down]);
	}
	put(s, at, p);
}

static struct srd_peer *pop(struct srd *s)
{
	struct srd_peer *first = s->heap[0], *last = s->heap[--s->nheap];

	first->heap = 0;
	first->timer_at = SRD_NEVER;
	if (s->nheap)
		sift_down(s, 0, last);
	return first;
}

static void arm_at(struct srd *s, struct srd_peer *p, uint64_t at)
{
	if (at >= p->timer_at)
		return;
	p->timer_at = at;
	sift_up(s, p->heap ? p->heap - 1 : s->nheap++, p);
}

/* --- ready peers ---------------------------------------------------------- */

void srd_ready(struct srd *s, struct srd_peer *p)
{
	if (p->is_ready)
		return;
	p->is_ready = true;
	TAILQ_INSERT_TAIL(&s->ready, p, ready);
}

void srd_ready_drop(struct srd *s, struct srd_peer *p)
{
	if (!p->is_ready)
		return;
	p->is_ready = false;
	TAILQ_REMOVE(&s->ready, p, ready);
}

uint64_t srd_deadline(const struct srd *s)
{
	if (!TAILQ_EMPTY(&s->ready) || s->nstrays)
		return 0;
	return s->nheap ? s->heap[0]->timer_at : SRD_NEVER;
}

/* --- what a peer waits for ------------------------------------------------ */

static uint64_t backed_off(uint64_t interval, uint32_t times, uint64_t max)
{
	while (times-- && interval < max)
		interval *= 2;
	return interval < max ? interval : max;
}

/* Between probes of a peer from which something is to come. */
static uint64_t poke_interval(const struct srd *s, const struct srd_peer *p)
{
	if (!p->nreads && !p->nparts)
		return s->cfg.keepalive;
	return backed_off(srd_loss_rto(s, p), p->pokes, s->cfg.rto_max);
}

/* When to probe for a sign of life; packets in flight are probes enough. */
static uint64_t poke_at(const struct srd *s, const struct srd_peer *p)
{
	uint64_t from = srd_peer_silent(p);

	if (!p->nreads && !p->nparts && !p->checking)
		return SRD_NEVER;
	if (p->active && p->active->flight.n)
		return SRD_NEVER;
	if (p->poked_at > from)
		from = p->poked_at;
	return from + poke_interval(s, p);
}

static uint64_t keep_at(const struct srd *s, const struct srd_peer *p)
{
	uint64_t at;

	if (!p->alive || srd_peer_waits(p))
		return SRD_NEVER;
	at = p->heard_at + s->cfg.keepalive;
	if (p->keep_at > at)
		at = p->keep_at;
	return (at + KEEP_GRID - 1) & ~(KEEP_GRID - 1);
}

uint64_t srd_timer_paths_at(const struct srd *s, const struct srd_peer *p,
			    uint64_t now)
{
	const struct srd_active *a = p->active;

	/* Of a peer that is silent altogether, resends try all paths. */
	if (a->tries > 1)
		return SRD_NEVER;
	if (a->idle && now - p->sent_at > PROBE_AFTER)
		return SRD_NEVER;
	return srd_paths_probe_at(&a->paths, &s->paths_cfg);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t sending_at(const struct srd *s, const struct srd_peer *p,
			   uint64_t now)
{
	const struct srd_active *a = p->active;
	uint64_t at = SRD_NEVER;

	if (a->flight.n)
		at = srd_loss_at(s, p);
	if (a->waiting.n)
		at = earlier(at, a->wait_until);
	if (a->paced)
		at = earlier(at, srd_peer_pace_at(s, p));
	return earlier(at, srd_timer_paths_at(s, p, now));
}

static uint64_t next_at(const struct srd *s, const struct srd_peer *p,
			uint64_t now)
{
	uint64_t at = p->ack_at;

	if (p->ended)
		return SRD_NEVER;
	if (p->active)
		at = earlier(at, sending_at(s, p, now));
	if (!srd_peer_waits(p))
		return earlier(at, keep_at(s, p));
	if (p->held_back)
		at = earlier(at, p->press_at);
	at = earlier(at, poke_at(s, p));
	return earlier(at, srd_peer_silent(p) + s->cfg.peer_timeout);
}

void srd_timer_arm(struct srd *s, struct srd_peer *p, uint64_t now)
{
	uint64_t at = next_at(s, p, now);

	/* What is due and was not done waits for the next look, not for none
	   at all: nothing can turn without time going by. */
	arm_at(s, p, at > now ? at : now + 1);
}

/* --- the time has come ---------------------------------------------------- */

static void fire_poke(struct srd *s, struct srd_peer *p, uint64_t now)
{
	p->poked_at = now;
	if (p->pokes < UINT8_MAX)
		p->pokes++;
	p->probe = true;
	srd_ready(s, p);
}

static void fire_keep(struct srd *s, struct srd_peer *p, uint64_t now)
{
	if (!p->keep_at && s->keep_at > now) {
		p->keep_at = s->keep_at;
		s->keep_at += KEEP_APART;
		return;
	}
	if (!p->keep_at)
		s->keep_at = now + KEEP_APART;
	p->keep_at = 0;
	srd_peer_wait(p, now);
	p->checking = true;
	fire_poke(s, p, now);
}

static void fire_press(struct srd *s, struct srd_peer *p, uint64_t now)
{
	p->press_at =
		now + backed_off(PRESS_MIN, p->press_pokes++ & 7, PRESS_MAX);
	p->probe = true;
	srd_ready(s, p);
}

/* Packets that were refused for now may go again. */
static void fire_waiting(struct srd *s, struct srd_peer *p, uint64_t now)
{
	struct srd_active *a = p->active;
	uint16_t at, next;

	a->wait_until = SRD_NEVER;
	for (at = a->waiting.head; at != SRD_NONE16; at = next) {
		next = a->open[at].next;
		if (a->open[at].sent_at <= now)
			srd_open_move(s, p, srd_open_psn(s, p, at),
				      SRD_OPEN_LOST);
		else
			a->wait_until =
				earlier(a->wait_until, a->open[at].sent_at);
	}
	srd_ready(s, p);
}

static void fire_sending(struct srd *s, struct srd_peer *p, uint64_t now)
{
	struct srd_active *a = p->active;

	if (a->flight.n && srd_loss_at(s, p) <= now)
		srd_loss_fire(s, p, now);
	if (a->waiting.n && a->wait_until <= now)
		fire_waiting(s, p, now);
	if (sending_at(s, p, now) <= now)
		srd_ready(s, p);
}

/*
 * A process that was stopped, or had no processor, heard nothing and asked for
 * nothing: that time is no silence of the peer.
 */
static void forgive(const struct srd *s, struct srd_peer *p, uint64_t due,
		    uint64_t now)
{
	uint64_t late = now - due;

	if (u_likely(late <= s->cfg.peer_timeout / ABSENT_PART))
		return;
	p->wait_at = earlier(srd_peer_silent(p) + late, now);
}

static void fire(struct srd *s, struct srd_peer *p, uint64_t due, uint64_t now)
{
	if (p->ended)
		return;
	forgive(s, p, due, now);
	if (srd_peer_waits(p) &&
	    srd_peer_silent(p) + s->cfg.peer_timeout <= now)
		srd_end_silent(s, p);
	if (p->ack_at <= now)
		srd_ack_hurry(s, p);
	if (p->active)
		fire_sending(s, p, now);
	if (keep_at(s, p) <= now)
		fire_keep(s, p, now);
	if (p->held_back && p->press_at <= now)
		fire_press(s, p, now);
	if (poke_at(s, p) <= now)
		fire_poke(s, p, now);
}

void srd_timer_fire(struct srd *s, uint64_t now)
{
	struct srd_peer *p;
	uint64_t due;

	while (s->nheap && (due = s->heap[0]->timer_at) <= now) {
		p = pop(s);
		fire(s, p, due, now);
		/* A ready peer is armed when it has been served. */
		if (!p->is_ready)
			srd_timer_arm(s, p, now);
	}
}
