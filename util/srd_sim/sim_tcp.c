/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_tcp.c - a model of TCP on one path
 *
 * I1  pipe is the number of marks FLYING and AGAIN in [una, next), nlost that
 *     of LOST.
 */
#include "sim_tcp.h"

#include <math.h>

#include "util/u_base.h"

#define BETA 0.7
#define CUBIC_C 0.4
#define RENO_STEP (3 * (1 - BETA) / (1 + BETA))
#define FIRST_WINDOW 10
#define REORDERED 3 /* packets that overtake before one counts as lost */
#define BLOCK_MAX 64 /* packets of a selective acknowledgement */

enum mark {
	NONE,
	FLYING, /* sent once */
	LOST,
	AGAIN, /* sent again */
	SACKED,
};

void sim_tcp_init(struct sim_tcp *t)
{
	*t = (struct sim_tcp){
		.cwnd = FIRST_WINDOW,
		.ssthresh = INFINITY,
		.rto = SIM_TCP_RTO_MIN,
		.rto_at = SIM_NEVER,
	};
}

static uint8_t *mark_of(struct sim_tcp *t, uint64_t seq)
{
	return &t->mark[seq & (SIM_TCP_WINDOW - 1)];
}

/* --- sending --- */

bool sim_tcp_can_send(const struct sim_tcp *t)
{
	if ((double)t->pipe + 1 > t->cwnd)
		return false;
	return t->nlost ||
	       (t->next < t->total && t->next - t->una < SIM_TCP_WINDOW);
}

static uint64_t first_lost(struct sim_tcp *t)
{
	uint64_t seq = t->lost_from > t->una ? t->lost_from : t->una;

	while (*mark_of(t, seq) != LOST)
		seq++;
	assert(seq < t->next);
	t->lost_from = seq;
	return seq;
}

void sim_tcp_pull(struct sim_tcp *t, struct sim_segment *seg, uint64_t now)
{
	assert(sim_tcp_can_send(t));
	*seg = (struct sim_segment){ .sent = now };
	if (t->nlost) {
		seg->seq = first_lost(t);
		*mark_of(t, seg->seq) = AGAIN;
		t->again[seg->seq & (SIM_TCP_WINDOW - 1)] = (uint32_t)t->next;
		t->nlost--;
		t->resent++;
	} else {
		seg->seq = t->next++;
		*mark_of(t, seg->seq) = FLYING;
	}
	t->pipe++;
	if (t->rto_at == SIM_NEVER)
		t->rto_at = now + t->rto;
}

/* --- the receiver --- */

static bool has(const struct sim_tcp *t, uint64_t seq)
{
	uint64_t at = seq & (SIM_TCP_WINDOW - 1);

	return t->arrived[at / 64] >> (at % 64) & 1;
}

static void set(struct sim_tcp *t, uint64_t seq, bool on)
{
	uint64_t at = seq & (SIM_TCP_WINDOW - 1), bit = UINT64_C(1) << at % 64;

	if (on)
		t->arrived[at / 64] |= bit;
	else
		t->arrived[at / 64] &= ~bit;
}

bool sim_tcp_data(struct sim_tcp *t, const struct sim_segment *seg,
		  struct sim_segment *ack)
{
	bool fresh = false;
	uint64_t seq = seg->seq;

	*ack = (struct sim_segment){ .sent = seg->sent };
	if (seq >= t->cum && !has(t, seq)) {
		fresh = true;
		set(t, seq, true);
		for (; has(t, t->cum); t->cum++)
			set(t, t->cum, false);
	}
	if (seq >= t->cum) {
		ack->sack_from = seq;
		while (ack->sack_from > t->cum && has(t, ack->sack_from - 1) &&
		       seq - ack->sack_from < BLOCK_MAX)
			ack->sack_from--;
		ack->sack_to = seq + 1;
		while (ack->sack_to < t->cum + SIM_TCP_WINDOW &&
		       has(t, ack->sack_to) && ack->sack_to - seq < BLOCK_MAX)
			ack->sack_to++;
	}
	ack->seq = t->cum;
	return fresh;
}

/* --- acknowledgements --- */

static void sample(struct sim_tcp *t, double rtt)
{
	double rto;

	if (t->srtt == 0) {
		t->srtt = rtt;
		t->rttvar = rtt / 2;
	} else {
		t->rttvar += (fabs(rtt - t->srtt) - t->rttvar) / 4;
		t->srtt += (rtt - t->srtt) / 8;
	}
	rto = t->srtt + 4 * t->rttvar;
	t->rto = rto > SIM_TCP_RTO_MIN ? (uint64_t)rto : SIM_TCP_RTO_MIN;
}

/* A packet has arrived, so it is neither under way nor lost. */
static void settle(struct sim_tcp *t, uint64_t seq, enum mark as)
{
	uint8_t *mark = mark_of(t, seq);

	if (*mark == FLYING || *mark == AGAIN)
		t->pipe--;
	else if (*mark == LOST)
		t->nlost--;
	*mark = as;
}

static void reduce(struct sim_tcp *t)
{
	t->w_max = t->cwnd;
	t->ssthresh = fmax(t->cwnd * BETA, 2);
	t->epoch = 0;
}

static void lose(struct sim_tcp *t, uint64_t seq)
{
	*mark_of(t, seq) = LOST;
	t->pipe--;
	t->nlost++;
	if (seq < t->lost_from)
		t->lost_from = seq;
}

/* Was what went out again overtaken by packets that were sent after it? */
static bool lost_again(const struct sim_tcp *t, uint64_t seq)
{
	uint32_t sent_at = t->again[seq & (SIM_TCP_WINDOW - 1)];

	return !u_seq_before((uint32_t)t->top, sent_at + REORDERED);
}

/* Packets that three later ones have overtaken are lost. */
static void find_losses(struct sim_tcp *t)
{
	uint64_t end = t->top > REORDERED ? t->top - REORDERED : 0, seq;
	bool found = false;

	if (t->scan < t->una)
		t->scan = t->una;
	for (; t->scan < end; t->scan++) {
		if (*mark_of(t, t->scan) != FLYING)
			continue;
		lose(t, t->scan);
		found = true;
	}
	if (t->state != SIM_TCP_OPEN)
		for (seq = t->una; seq < end; seq++)
			if (*mark_of(t, seq) == AGAIN && lost_again(t, seq))
				lose(t, seq);
	if (!found || t->state != SIM_TCP_OPEN)
		return;
	t->state = SIM_TCP_RECOVERY;
	t->recover = t->next;
	reduce(t);
	t->cwnd = t->ssthresh;
}

static void cubic(struct sim_tcp *t, double acked, uint64_t now)
{
	double dt, want;

	if (!t->epoch) {
		t->epoch = now;
		t->w_est = t->cwnd;
		t->k = t->w_max > t->cwnd ?
			       cbrt((t->w_max - t->cwnd) / CUBIC_C) :
			       0;
		if (t->w_max < t->cwnd)
			t->w_max = t->cwnd;
	}
	t->w_est += RENO_STEP * acked / t->cwnd;
	dt = (double)(now - t->epoch) / 1e12 + t->srtt / 1e12 - t->k;
	want = CUBIC_C * dt * dt * dt + t->w_max;
	if (want > t->cwnd)
		t->cwnd += fmin((want - t->cwnd) / t->cwnd, 0.5) * acked;
	t->cwnd = fmin(fmax(t->cwnd, t->w_est), SIM_TCP_WINDOW);
}

static void grow(struct sim_tcp *t, double acked, uint64_t now)
{
	if (t->state == SIM_TCP_RECOVERY)
		return;
	/* Whoever does not fill the window learns nothing about a larger. */
	if (t->next == t->total && (double)t->pipe + acked < t->cwnd / 2)
		return;
	if (t->cwnd < t->ssthresh)
		t->cwnd = fmin(t->cwnd + acked, SIM_TCP_WINDOW);
	else
		cubic(t, acked, now);
}

void sim_tcp_ack(struct sim_tcp *t, const struct sim_segment *ack, uint64_t now)
{
	uint64_t seq, acked = 0;

	sample(t, (double)(now - ack->sent));
	for (; t->una < ack->seq; t->una++, acked++)
		settle(t, t->una, NONE);
	seq = ack->sack_from > t->una ? ack->sack_from : t->una;
	for (; seq < ack->sack_to; seq++)
		settle(t, seq, SACKED);
	if (ack->sack_to > t->top)
		t->top = ack->sack_to;
	if (t->state != SIM_TCP_OPEN && t->una >= t->recover)
		t->state = SIM_TCP_OPEN;
	find_losses(t);
	if (!acked)
		return;
	t->rto_at = t->una < t->next ? now + t->rto : SIM_NEVER;
	grow(t, (double)acked, now);
}

void sim_tcp_timeout(struct sim_tcp *t, uint64_t now)
{
	uint64_t seq;

	assert(t->una < t->next);
	t->timeouts++;
	if (t->state != SIM_TCP_LOSS)
		reduce(t);
	t->state = SIM_TCP_LOSS;
	t->recover = t->next;
	t->cwnd = 1;
	for (seq = t->una; seq < t->next; seq++) {
		if (*mark_of(t, seq) == SACKED || *mark_of(t, seq) == LOST)
			continue;
		*mark_of(t, seq) = LOST;
		t->pipe--;
		t->nlost++;
	}
	t->lost_from = t->una;
	t->scan = t->next;
	t->rto = t->rto * 2 < SIM_TCP_RTO_MAX ? t->rto * 2 : SIM_TCP_RTO_MAX;
	t->rto_at = now + t->rto;
}
