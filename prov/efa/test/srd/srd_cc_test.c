/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_cc_test.c - the window: its steps, and where many of them settle
 *
 * The second half is a little world: one link that takes a packet in each
 * slot, or in every second one, a queue before it, and a way back. A packet
 * that gets lost goes through queue and way back as a shadow that takes no
 * slot; when it arrives its sender knows. Flows send in turn.
 */
#include "srd/srd_cc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/u_base.h"
#include "util/u_hash.h"
#include "util/u_time.h"

#define PACKET 4096
#define SLOT 328 /* ns; 100 Gb/s */
#define BASE (12 * U_USEC) /* round trip without queueing */
#define TARGET (10 * U_USEC)
#define BDP_PKTS (BASE / SLOT)

static const struct srd_cc_config config = {
	.packet = PACKET,
	.window_min = PACKET / 16,
	.window_max = 64 << 20,
	.window_init = 16 * PACKET,
	.target_delay = TARGET,
};

static uint64_t window(const struct srd_cc *cc)
{
	return cc->window >> 8;
}

static void acked(struct srd_cc *cc, uint64_t now, uint32_t bytes,
		  uint32_t in_flight, uint64_t queueing, bool limited)
{
	srd_cc_acked(cc, &config,
		     &(struct srd_cc_ack){ .bytes = bytes,
					   .in_flight = in_flight,
					   .limited = limited,
					   .queueing = queueing,
					   .rtt = BASE + queueing,
					   .base_rtt = BASE },
		     now);
}

/* An acknowledgement of a whole round, a round trip after the last. */
static void round_of(struct srd_cc *cc, uint64_t *now, uint32_t bytes,
		     uint64_t queueing, bool limited)
{
	*now += BASE + queueing;
	acked(cc, *now, bytes, bytes, queueing, limited);
}

/* One that is in its steady state, with a window of so many packets. */
static uint64_t steady(struct srd_cc *cc, uint32_t pkts)
{
	uint64_t now = U_SEC;

	srd_cc_init(cc, &config, now);
	acked(cc, now + BASE, 16 * PACKET, pkts * PACKET, 0, false);
	cc->window = cc->before = (uint64_t)pkts * PACKET << 8;
	now += 2 * BASE;
	acked(cc, now, pkts * PACKET, pkts * PACKET, 0, false);
	return now;
}

/* --- steps --- */

static void srd_cc_init__opens_the_first_window(void **state)
{
	struct srd_cc cc;

	(void)state;
	srd_cc_init(&cc, &config, U_SEC);
	assert_int_equal(srd_cc_window(&cc, &config), 16 * PACKET);
	srd_cc_sent(&cc, &config, 16 * PACKET, BASE, U_SEC);
	assert_true(srd_cc_pace_at(&cc) <= U_SEC);
}

static void srd_cc_acked__grows_without_queueing(void **state)
{
	struct srd_cc cc;
	uint64_t now = steady(&cc, 32), before = window(&cc);
	int i;

	(void)state;
	round_of(&cc, &now, 32 * PACKET, 0, true);
	assert_in_range(window(&cc), before + before / 20, before * 5 / 4);
	/* and faster when that goes on */
	for (i = 0; i < 10; i++)
		round_of(&cc, &now, 32 * PACKET, 0, true);
	before = window(&cc);
	round_of(&cc, &now, 32 * PACKET, 0, true);
	assert_true(window(&cc) > before + before / 8);
}

static void srd_cc_acked__an_idle_user_does_not_grow_it(void **state)
{
	struct srd_cc cc;
	uint64_t now = steady(&cc, 32), before = window(&cc);
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		round_of(&cc, &now, 4 * PACKET, 0, false);
	assert_int_equal(window(&cc), before);
}

static void srd_cc_acked__shrinks_with_queueing_by_half_at_most(void **state)
{
	struct srd_cc cc;
	uint64_t now = steady(&cc, 32), before = window(&cc);

	(void)state;
	round_of(&cc, &now, 32 * PACKET, 4 * TARGET, true);
	assert_in_range(window(&cc), before / 2, before * 9 / 10);
	before = window(&cc);
	round_of(&cc, &now, 32 * PACKET, 1000 * TARGET, true);
	assert_true(window(&cc) >= before / 2);
}

static void srd_cc_acked__one_late_sample_is_noise(void **state)
{
	struct srd_cc cc;
	uint64_t now = steady(&cc, 32), before = window(&cc);

	(void)state;
	acked(&cc, now + BASE, 16 * PACKET, 32 * PACKET, 0, true);
	acked(&cc, now + 2 * BASE, 16 * PACKET, 32 * PACKET, 20 * TARGET, true);
	assert_true(window(&cc) >= before);
}

static void srd_cc_acked__small_windows_accept_more_queueing(void **state)
{
	struct srd_cc small, large;
	uint64_t now = steady(&small, 2);

	(void)state;
	round_of(&small, &now, 2 * PACKET, 2 * TARGET, true);
	assert_true(window(&small) >= 2 * PACKET);
	now = steady(&large, 64);
	round_of(&large, &now, 64 * PACKET, 2 * TARGET, true);
	assert_true(window(&large) < 64 * PACKET);
}

static void srd_cc_acked__looks_at_the_empty_network(void **state)
{
	struct srd_cc cc;
	uint64_t now = steady(&cc, 32);
	int i;

	(void)state;
	for (i = 0; i < 1000 && cc.state != SRD_CC_DRAIN; i++)
		round_of(&cc, &now, 32 * PACKET, TARGET, true);
	assert_int_equal(cc.state, SRD_CC_DRAIN);
	assert_int_equal(srd_cc_window(&cc, &config), PACKET);
	round_of(&cc, &now, 32 * PACKET, TARGET, true);
	round_of(&cc, &now, 32 * PACKET, 0, true);
	assert_int_equal(cc.state, SRD_CC_STEADY);
	assert_true(srd_cc_window(&cc, &config) > 8 * PACKET);
}

static void srd_cc_acked__joins_when_others_look(void **state)
{
	struct srd_cc cc;
	uint64_t now = steady(&cc, 32);
	int i;

	(void)state;
	for (i = 0; i < 8; i++)
		round_of(&cc, &now, 32 * PACKET, 2 * TARGET, true);
	assert_int_equal(cc.state, SRD_CC_STEADY);
	round_of(&cc, &now, 32 * PACKET, TARGET / 2, true);
	assert_int_equal(cc.state, SRD_CC_DRAIN);
}

static void srd_cc_lost__a_twentieth_is_no_signal(void **state)
{
	struct srd_cc cc;
	uint64_t now = steady(&cc, 38), before = window(&cc);
	int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		srd_cc_lost(&cc, &config, 2 * PACKET, now);
		round_of(&cc, &now, 38 * PACKET, TARGET, true);
		if (cc.state == SRD_CC_DRAIN)
			break;
		assert_true(window(&cc) >= before);
	}
	assert_true(i > 10);
}

static void srd_cc_lost__most_of_it_leaves_what_was_delivered(void **state)
{
	struct srd_cc cc;
	uint64_t now = steady(&cc, 64);

	(void)state;
	srd_cc_lost(&cc, &config, 48 * PACKET, now);
	round_of(&cc, &now, 16 * PACKET, 0, true);
	assert_in_range(window(&cc), 12 * PACKET, 24 * PACKET);
	/* what was out by then is not held against it again */
	srd_cc_lost(&cc, &config, 48 * PACKET, now);
	round_of(&cc, &now, 16 * PACKET, 0, true);
	assert_true(window(&cc) >= 12 * PACKET);
}

static void srd_cc_lost__again_and_again_lowers_the_target(void **state)
{
	struct srd_cc cc;
	uint64_t now = steady(&cc, 64), low;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		srd_cc_lost(&cc, &config, 16 * PACKET, now);
		round_of(&cc, &now, 48 * PACKET, TARGET, true);
	}
	low = cc.target;
	assert_in_range(low, TARGET / 8, TARGET / 2);
	for (i = 0; i < 40; i++)
		round_of(&cc, &now, 48 * PACKET, TARGET / 8, false);
	assert_int_equal(cc.target, TARGET);
}

static void srd_cc_timeout__leaves_one_packet(void **state)
{
	struct srd_cc cc;
	uint64_t now = steady(&cc, 32);

	(void)state;
	srd_cc_timeout(&cc, &config, now + U_MSEC);
	assert_int_equal(window(&cc), PACKET);
	assert_true(srd_cc_window(&cc, &config) >= PACKET);
}

static void srd_cc_idle__returns_to_the_first_window(void **state)
{
	struct srd_cc large, small;
	uint64_t now = steady(&large, 640);

	(void)state;
	srd_cc_idle(&large, &config, BASE, now);
	assert_true(window(&large) >= 640 * PACKET);
	srd_cc_idle(&large, &config, U_SEC, now);
	assert_int_equal(window(&large), 16 * PACKET);
	now = steady(&small, 1);
	srd_cc_idle(&small, &config, U_SEC, now);
	assert_int_equal(window(&small), 16 * PACKET);
}

static void srd_cc_sent__paces_less_than_a_packet(void **state)
{
	struct srd_cc cc;
	uint64_t now = steady(&cc, 1), wait;

	(void)state;
	cc.window = cc.before = (PACKET / 4) << 8;
	round_of(&cc, &now, PACKET, TARGET, false);
	assert_int_equal(srd_cc_window(&cc, &config), PACKET + window(&cc));
	wait = (BASE + TARGET) * PACKET / window(&cc);
	now += U_MSEC;
	srd_cc_sent(&cc, &config, PACKET, BASE, now);
	srd_cc_sent(&cc, &config, PACKET, BASE, now);
	/* one was let go to make up for the pause */
	assert_in_range(srd_cc_pace_at(&cc), now + wait - wait / 64,
			now + wait + wait / 64);
}

/* --- many of them on one link --- */

#define FLOWS_MAX 48
#define RING (1u << 16)

struct pkt {
	uint64_t sent_at, due;
	uint8_t flow;
	bool lost;
};

/* Packets in order; in is where the next one goes. */
struct fifo {
	struct pkt pkt[RING];
	uint32_t in, out;
};

struct flow {
	struct srd_cc cc;
	uint64_t start; /* time of its first packet */
	uint64_t delivered;
	uint32_t in_flight;
};

struct world {
	struct flow flow[FLOWS_MAX];
	struct fifo queue, back;
	uint64_t now, slot;
	uint64_t random;
	uint64_t served,
		slots; /* packets, and how many there could have been */
	uint64_t queue_sum; /* ns, of each slot */
	uint32_t queued; /* packets that will take a slot */
	uint32_t nflows;
	uint32_t buffer; /* packets that may be queued */
	uint32_t loss; /* of 1000 */
	uint32_t every; /* slots for one packet */
};

static struct world *world_new(uint32_t nflows)
{
	struct world *w = calloc(1, sizeof(*w));
	uint32_t i;

	assert_non_null(w);
	w->nflows = nflows;
	w->buffer = 1024;
	w->every = 1;
	w->now = U_SEC;
	for (i = 0; i < nflows; i++) {
		srd_cc_init(&w->flow[i].cc, &config, w->now);
		w->flow[i].start = w->now;
	}
	return w;
}

static struct pkt *fifo_push(struct fifo *f)
{
	assert_true(f->in - f->out < RING);
	return &f->pkt[f->in++ % RING];
}

static bool world_loses(struct world *w)
{
	w->random = u_mix64(w->random + UINT64_C(0x9e3779b97f4a7c15));
	return w->random % 1000 < w->loss || w->queued >= w->buffer;
}

static void flow_send(struct world *w, uint8_t i)
{
	struct flow *f = &w->flow[i];
	struct pkt *p;

	while (f->in_flight + PACKET <= srd_cc_window(&f->cc, &config) &&
	       srd_cc_pace_at(&f->cc) <= w->now && f->start <= w->now) {
		p = fifo_push(&w->queue);
		*p = (struct pkt){ .sent_at = w->now, .flow = i };
		p->lost = world_loses(w);
		w->queued += !p->lost;
		f->in_flight += PACKET;
		srd_cc_sent(&f->cc, &config, PACKET, BASE, w->now);
	}
}

static void flow_hear(struct world *w, const struct pkt *p)
{
	struct flow *f = &w->flow[p->flow];
	uint64_t rtt = w->now - p->sent_at;
	uint64_t queueing = rtt > BASE ? rtt - BASE : 0;

	f->in_flight -= PACKET;
	if (p->lost) {
		srd_cc_lost(&f->cc, &config, PACKET, w->now);
		return;
	}
	f->delivered += PACKET;
	acked(&f->cc, w->now, PACKET, f->in_flight, queueing, true);
}

/* The link takes the next packet, and all shadows before it. */
static void world_serve(struct world *w)
{
	struct fifo *q = &w->queue;
	struct pkt *p;
	bool lost = true;

	while (q->out != q->in && lost) {
		p = fifo_push(&w->back);
		*p = q->pkt[q->out++ % RING];
		p->due = w->now + BASE;
		lost = p->lost;
	}
	if (!lost) {
		w->queued--;
		w->served++;
	}
}

static void world_slot(struct world *w)
{
	struct fifo *b = &w->back;
	uint32_t i;

	if (w->slot % w->every == 0) {
		w->slots++;
		world_serve(w);
	}
	while (b->out != b->in && b->pkt[b->out % RING].due <= w->now)
		flow_hear(w, &b->pkt[b->out++ % RING]);
	for (i = 0; i < w->nflows; i++)
		flow_send(w, (uint8_t)((i + w->slot) % w->nflows));
	w->queue_sum += (uint64_t)w->queued * w->every * SLOT;
	w->now += SLOT;
	w->slot++;
}

/* Lets some time pass; what is measured is of that time only. */
static void world_run(struct world *w, uint64_t ns)
{
	uint64_t end = w->now + ns;
	uint32_t i;

	w->served = w->slots = w->queue_sum = 0;
	for (i = 0; i < w->nflows; i++)
		w->flow[i].delivered = 0;
	while (w->now < end)
		world_slot(w);
}

/* Of 1000. */
static uint64_t world_used(const struct world *w)
{
	return 1000 * w->served / w->slots;
}

static uint64_t world_queueing(const struct world *w, uint64_t ns)
{
	return w->queue_sum * SLOT / ns;
}

/* Jain's index of fairness, of 1000. */
static uint64_t world_fairness(const struct world *w)
{
	double sum = 0, squares = 0, x;
	uint32_t i;

	for (i = 0; i < w->nflows; i++) {
		x = (double)w->flow[i].delivered;
		sum += x;
		squares += x * x;
	}
	return (uint64_t)(1000 * sum * sum / (w->nflows * squares));
}

static void srd_cc__one_flow_fills_the_link(void **state)
{
	struct world *w = world_new(1);

	(void)state;
	world_run(w, 2 * U_MSEC);
	world_run(w, 5 * U_MSEC);
	assert_true(world_used(w) >= 970);
	assert_in_range(world_queueing(w, 5 * U_MSEC), TARGET / 2, 2 * TARGET);
	free(w);
}

static void srd_cc__a_second_flow_gets_its_half(void **state)
{
	struct world *w = world_new(2);

	(void)state;
	w->flow[1].start += 5 * U_MSEC;
	world_run(w, 10 * U_MSEC);
	world_run(w, 10 * U_MSEC);
	assert_true(world_fairness(w) >= 980);
	assert_true(world_used(w) >= 970);
	free(w);
}

static void srd_cc__48_flows_share(void **state)
{
	struct world *w = world_new(48);

	(void)state;
	world_run(w, 5 * U_MSEC);
	world_run(w, 20 * U_MSEC);
	assert_true(world_fairness(w) >= 980);
	assert_true(world_used(w) >= 950);
	assert_in_range(world_queueing(w, 20 * U_MSEC), TARGET / 2, 4 * TARGET);
	free(w);
}

static void srd_cc__48_flows_share_behind_a_short_queue(void **state)
{
	struct world *w = world_new(48);

	(void)state;
	w->buffer = 128;
	world_run(w, 5 * U_MSEC);
	world_run(w, 20 * U_MSEC);
	assert_true(world_fairness(w) >= 950);
	assert_true(world_used(w) >= 950);
	free(w);
}

static void srd_cc__half_the_capacity_goes(void **state)
{
	struct world *w = world_new(4);

	(void)state;
	world_run(w, 5 * U_MSEC);
	w->every = 2;
	world_run(w, 20 * (BASE + 4 * TARGET));
	assert_true(world_used(w) >= 950);
	world_run(w, 20 * (BASE + 4 * TARGET));
	assert_in_range(world_queueing(w, 20 * (BASE + 4 * TARGET)), 0,
			3 * TARGET);
	/* and comes back */
	w->every = 1;
	world_run(w, 40 * (BASE + 4 * TARGET));
	world_run(w, 5 * U_MSEC);
	assert_true(world_used(w) >= 950);
	free(w);
}

static void srd_cc__random_loss_costs_no_rate(void **state)
{
	static const uint32_t flows[] = { 1, 4, 48 };
	struct world *w;
	size_t i;

	(void)state;
	for (i = 0; i < u_array_size(flows); i++) {
		w = world_new(flows[i]);
		w->loss = 50;
		world_run(w, 5 * U_MSEC);
		world_run(w, 20 * U_MSEC);
		assert_true(world_used(w) >= 950);
		assert_true(world_fairness(w) >= 950);
		free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(srd_cc_init__opens_the_first_window),
		cmocka_unit_test(srd_cc_acked__grows_without_queueing),
		cmocka_unit_test(srd_cc_acked__an_idle_user_does_not_grow_it),
		cmocka_unit_test(
			srd_cc_acked__shrinks_with_queueing_by_half_at_most),
		cmocka_unit_test(srd_cc_acked__one_late_sample_is_noise),
		cmocka_unit_test(
			srd_cc_acked__small_windows_accept_more_queueing),
		cmocka_unit_test(srd_cc_acked__looks_at_the_empty_network),
		cmocka_unit_test(srd_cc_acked__joins_when_others_look),
		cmocka_unit_test(srd_cc_lost__a_twentieth_is_no_signal),
		cmocka_unit_test(
			srd_cc_lost__most_of_it_leaves_what_was_delivered),
		cmocka_unit_test(
			srd_cc_lost__again_and_again_lowers_the_target),
		cmocka_unit_test(srd_cc_timeout__leaves_one_packet),
		cmocka_unit_test(srd_cc_idle__returns_to_the_first_window),
		cmocka_unit_test(srd_cc_sent__paces_less_than_a_packet),
		cmocka_unit_test(srd_cc__one_flow_fills_the_link),
		cmocka_unit_test(srd_cc__a_second_flow_gets_its_half),
		cmocka_unit_test(srd_cc__48_flows_share),
		cmocka_unit_test(srd_cc__48_flows_share_behind_a_short_queue),
		cmocka_unit_test(srd_cc__half_the_capacity_goes),
		cmocka_unit_test(srd_cc__random_loss_costs_no_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
