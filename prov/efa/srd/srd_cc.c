/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_cc.c - how much may be open towards a peer, and how fast it may go out
 *
 * The window w changes once a round, which is a round trip. With b the round
 * trip of the empty network, q the queueing that the round saw on the median
 * of the paths, w' the window that the acknowledged packets were sent under:
 *
 *    w = (w + w' * (b + T(w)) / (b + q)) / 2
 *    T(w) = target + target * sqrt(16 KiB / w), at most 5 targets
 *
 * w' / (b + q) is the rate at which bytes get through. While there is a queue
 * the rates of all flows add up to the capacity, whatever q is, so their
 * windows settle at capacity * (b + T) and do not swing. T falls with w: the
 * flow with the smaller window accepts more queueing, so all end up equal,
 * also when their ideas of b differ a little; a root lets the queue of a
 * hundred flows be a few targets long.
 *
 * w grows by a 16th of itself a round at most, and by a half when there was no
 * queueing for some rounds. For growth q is the latest, for a decrease the
 * least of the round: what was seen only now and then is noise of the hosts.
 *
 * Loss changes nothing until it is a quarter of all packets: then the window
 * becomes what was delivered.
 *
 * b would grow with a queue that is always there. So now and then, when there
 * was one for long, a flow sends next to nothing for two rounds; the others
 * see the queue fall and join in, so that all see it empty.
 */
#include "srd/srd_cc.h"

#include <string.h>

#include "util/u_base.h"
#include "util/u_time.h"

#define FRACTION 8 /* bits of srd_cc.window */
#define GAP_FRACTION 16 /* bits of srd_cc.gap */

/* Fewer packets in the window than these leave one by one. */
#define PACED_PACKETS 8

/* T(w): where it is twice the target, and its bound; 8 bits of fraction. */
#define SHARE_BYTES (UINT64_C(16) << 10)
#define SHARE_MAX (4 << 8)

/* So many rounds without queueing let the window grow faster. */
#define CLEAR_ROUNDS 8

/* Losses are weighed each round, over so many packets at most. */
#define LOSS_PACKETS 32

/* Rounds with a queue before the first drain; it doubles with each, up to
 * DRAIN_SPAN. */
#define DRAIN_FIRST 64
#define DRAIN_SPAN (5 * U_SEC)
#define DRAIN_ROUNDS 2

/* Square root, rounded down. */
static uint32_t isqrt(uint64_t x)
{
	uint64_t root = 0, bit = UINT64_C(1) << 62;

	for (; bit > x; bit >>= 2)
		;
	for (; bit; bit >>= 2) {
		if (x >= root + bit) {
			x -= root + bit;
			root = (root >> 1) + bit;
		} else {
			root >>= 1;
		}
	}
	return (uint32_t)root;
}

static uint64_t cc_clamp(const struct srd_cc_config *c, uint64_t window)
{
	uint64_t min = (uint64_t)c->window_min << FRACTION;
	uint64_t max = (uint64_t)c->window_max << FRACTION;

	return window < min ? min : window > max ? max : window;
}

/* T(w): ns of queueing that a flow with the present window aims for. */
static uint64_t cc_target(const struct srd_cc *cc)
{
	uint64_t ratio = (SHARE_BYTES << FRACTION << 16) / cc->window;

	return cc->target + (cc->target * u_min(isqrt(ratio), SHARE_MAX) >> 8);
}

/*
 * Makes open, gap and pace_at from the window. A small one is counted in whole
 * packets, rounded up, and what is too much is held back by pacing.
 */
static void cc_apply(struct srd_cc *cc, const struct srd_cc_config *c)
{
	uint64_t bytes = cc->window >> FRACTION;

	cc->gap = 0;
	if (cc->state != SRD_CC_START && bytes < PACED_PACKETS * c->packet) {
		cc->gap = (cc->round_rtt << FRACTION << GAP_FRACTION) /
			  cc->window;
		bytes += c->packet;
	}
	if (cc->state == SRD_CC_DRAIN)
		bytes = c->packet;
	cc->open = (uint32_t)u_max(bytes, c->packet);
	cc->pace_at = cc->paced_from +
		      ((uint64_t)cc->paced_bytes * cc->gap >> GAP_FRACTION);
}

static void cc_begin_round(struct srd_cc *cc, uint32_t in_flight, uint64_t now)
{
	if (!in_flight)
		cc->before = cc->window;
	cc->round_at = now;
	cc->round_delivered = cc->delivered;
	cc->round_end = cc->delivered + u_max(in_flight, 1);
	cc->round_queueing = UINT64_MAX;
	cc->round_limited = false;
	cc->round_cut = false;
}

void srd_cc_init(struct srd_cc *cc, const struct srd_cc_config *c, uint64_t now)
{
	assert(c->packet && c->window_min && c->window_min <= c->window_max);
	memset(cc, 0, sizeof(*cc));
	cc->window = cc_clamp(c, (uint64_t)c->window_init << FRACTION);
	cc->before = cc->window;
	cc->target = c->target_delay;
	cc->last_queueing = UINT64_MAX;
	cc->state = SRD_CC_START;
	cc->drain_every = DRAIN_FIRST;
	cc->countdown = DRAIN_FIRST;
	cc_begin_round(cc, 0, now);
	cc_apply(cc, c);
}

/* --- the law, once a round --- */

static void cc_take_rate(struct srd_cc *cc, uint64_t now)
{
	uint64_t bytes = cc->delivered - cc->round_delivered;
	uint64_t rate = bytes * U_SEC / u_max(now - cc->round_at, 1);

	cc->rate = cc->rate ? cc->rate - cc->rate / 4 + rate / 4 : rate;
}

/*
 * Where losses are heavy again and again, queues are shorter than the target:
 * half of what is seen is aimed for, until it has been quiet for a while.
 */
static void cc_weigh_target(struct srd_cc *cc, const struct srd_cc_config *c,
			    bool heavy)
{
	uint64_t half = u_max(cc->queueing / 2, c->target_delay / 8);

	if (!heavy)
		cc->target = u_min(cc->target + c->target_delay / 16,
				   c->target_delay);
	else if (cc->lossy)
		cc->target = u_min(cc->target, half);
	cc->lossy = heavy;
}

/*
 * True when losses were so heavy that the window was cut. Half as many stop
 * its growth. Two packets are always allowed for: of few packets a quarter is
 * soon lost by chance.
 */
static bool cc_weigh_losses(struct srd_cc *cc, const struct srd_cc_config *c,
			    bool *grow)
{
	uint64_t all = (uint64_t)cc->good + cc->lost;
	uint64_t chance = 2 * (uint64_t)c->packet;
	bool heavy = cc->lost > all / 8 + chance;
	bool cut = cc->lost > all / 4 + chance;

	if (heavy)
		*grow = false;
	if (cut)
		cc->window -= cc->window / all * cc->lost;
	if (cut || all >= (uint64_t)c->packet * LOSS_PACKETS) {
		cc_weigh_target(cc, c, heavy);
		cc->good = cc->lost = 0;
	}
	return cut;
}

/* The window that the law aims for when so much queueing is seen. */
static uint64_t cc_aim(const struct srd_cc *cc, uint64_t queueing)
{
	uint64_t share = cc->before / u_max(cc->base + queueing, 1) *
			 (cc->base + cc_target(cc));

	return (cc->window + share) / 2;
}

/* How far the window may grow: a slow flow's rounds are long. */
static uint64_t cc_ceiling(const struct srd_cc *cc, uint64_t now)
{
	uint64_t rtts = (now - cc->round_at) / cc->round_rtt;

	if (cc->clear_rounds > CLEAR_ROUNDS)
		return cc->window + cc->window / 2;
	return cc->window + cc->window / 16 * u_min(u_max(rtts, 1), 4) + 1;
}

static void cc_adjust(struct srd_cc *cc, const struct srd_cc_config *c,
		      bool grow, uint64_t now)
{
	uint64_t w = cc->window;
	uint64_t more = cc_aim(cc, (cc->queueing + cc->round_queueing) / 2);
	uint64_t less = cc_aim(cc, cc->round_queueing);

	if (cc->round_queueing >= c->target_delay / 2)
		cc->clear_rounds = 0;
	else if (cc->clear_rounds < UINT8_MAX)
		cc->clear_rounds++;
	if (more > w && grow)
		cc->window = u_min(more, cc_ceiling(cc, now));
	else if (less < w)
		cc->window = u_max(less, w / 2);
	cc->before = w;
}

/* --- the look at the empty network --- */

/*
 * Is it time, or does somebody else look? After the first round any queue is
 * reason enough: the first packets may have met it.
 */
static bool cc_wants_drain(struct srd_cc *cc, const struct srd_cc_config *c)
{
	uint64_t q = cc->round_queueing, last = cc->last_queueing;
	uint32_t tick = q > c->target_delay / 2 ? 4 : 1;

	cc->last_queueing = q;
	if (!cc->round_limited)
		return false;
	if (last == UINT64_MAX)
		return q > c->target_delay;
	if (q < last / 2 && last > c->target_delay)
		return cc->countdown < cc->drain_every * 3 / 4;
	cc->countdown -= (uint32_t)u_min(tick, cc->countdown);
	return !cc->countdown;
}

static void cc_begin_drain(struct srd_cc *cc)
{
	cc->state = SRD_CC_DRAIN;
	cc->countdown = DRAIN_ROUNDS;
}

static void cc_end_drain(struct srd_cc *cc)
{
	uint64_t most = u_max(DRAIN_SPAN / cc->round_rtt, DRAIN_FIRST);

	cc->state = SRD_CC_STEADY;
	cc->drain_every = (uint32_t)u_min(2 * (uint64_t)cc->drain_every, most);
	cc->countdown = cc->drain_every;
}

static void cc_round(struct srd_cc *cc, const struct srd_cc_config *c,
		     bool grow, uint64_t now)
{
	switch ((enum srd_cc_state)cc->state) {
	case SRD_CC_START:
		cc->state = SRD_CC_STEADY;
		break;
	case SRD_CC_STEADY:
		cc_take_rate(cc, now);
		cc_adjust(cc, c, grow, now);
		if (cc_wants_drain(cc, c))
			cc_begin_drain(cc);
		break;
	case SRD_CC_DRAIN:
		if (!--cc->countdown)
			cc_end_drain(cc);
		break;
	}
}

static void cc_end_round(struct srd_cc *cc, const struct srd_cc_config *c,
			 const struct srd_cc_ack *ack, uint64_t now)
{
	bool grow = cc->round_limited, cut;

	cc->base = ack->base_rtt;
	cc->queueing = ack->queueing;
	cc->round_rtt = u_max(cc->base + cc->round_queueing, 1);
	cut = cc_weigh_losses(cc, c, &grow);
	cc_round(cc, c, grow, now);
	cc->window = cc_clamp(c, cc->window);
	cc_apply(cc, c);
	cc_begin_round(cc, ack->in_flight, now);
	cc->round_cut = cut;
}

/* --- what happens --- */

void srd_cc_acked(struct srd_cc *cc, const struct srd_cc_config *c,
		  const struct srd_cc_ack *ack, uint64_t now)
{
	cc->delivered += ack->bytes;
	cc->good += ack->bytes;
	if (ack->queueing < cc->round_queueing)
		cc->round_queueing = ack->queueing;
	cc->round_limited |= ack->limited || cc->pace_at > now;
	if (cc->delivered >= cc->round_end &&
	    now - cc->round_at >= ack->base_rtt)
		cc_end_round(cc, c, ack, now);
}

void srd_cc_lost(struct srd_cc *cc, const struct srd_cc_config *c,
		 uint32_t bytes, uint64_t now)
{
	uint64_t left = cc->round_end - u_min(cc->delivered, cc->round_end);

	(void)c;
	(void)now;
	cc->round_end -= u_min(bytes, left);
	if (!cc->round_cut)
		cc->lost += bytes;
}

void srd_cc_timeout(struct srd_cc *cc, const struct srd_cc_config *c,
		    uint64_t now)
{
	uint64_t got = (cc->delivered - cc->round_delivered) << FRACTION;
	uint64_t packet = (uint64_t)c->packet << FRACTION;

	got = u_max(got, cc->window > packet ? packet : cc->window / 2);
	cc->window = cc_clamp(c, u_min(cc->window, got));
	cc->good = cc->lost = 0;
	cc->clear_rounds = 0;
	cc_apply(cc, c);
	cc_begin_round(cc, 0, now);
}

void srd_cc_idle(struct srd_cc *cc, const struct srd_cc_config *c,
		 uint64_t idle, uint64_t now)
{
	uint64_t init = cc_clamp(c, (uint64_t)c->window_init << FRACTION);
	uint64_t half = 64 * u_max(cc->round_rtt, U_USEC);

	for (; idle >= half && cc->window != init; idle -= half) {
		if (cc->window > 2 * init)
			cc->window /= 2;
		else if (cc->window < init / 2)
			cc->window *= 2;
		else
			cc->window = init;
	}
	cc_apply(cc, c);
	cc_begin_round(cc, 0, now);
}

/* --- what it means --- */

uint32_t srd_cc_window(const struct srd_cc *cc, const struct srd_cc_config *c)
{
	(void)c;
	return cc->open;
}

uint64_t srd_cc_pace_at(const struct srd_cc *cc)
{
	return cc->pace_at;
}

/* One packet's worth of delay is made up for, so that the rate holds. */
void srd_cc_sent(struct srd_cc *cc, const struct srd_cc_config *c,
		 uint32_t bytes, uint64_t base_rtt, uint64_t now)
{
	uint64_t slack = (uint64_t)c->packet * cc->gap >> GAP_FRACTION;

	(void)base_rtt;
	cc->paced_bytes = bytes;
	cc->paced_from = u_max(cc->pace_at, now > slack ? now - slack : 0);
	cc->pace_at =
		cc->paced_from + ((uint64_t)bytes * cc->gap >> GAP_FRACTION);
}
