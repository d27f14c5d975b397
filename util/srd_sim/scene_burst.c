/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * scene_burst.c - d1, d2: bursts of many processes to one host
 *
 * 4 hosts with 12 processes each begin at the same moment to send to a fifth.
 */
#include "sim_scene.h"

#include <stdlib.h>

#include "sim_mem.h"
#include "sim_oracle.h"

#define SENDERS 4
#define PROCESSES 12
#define FLOWS (SENDERS * PROCESSES)
#define QUEUE (512 * 1024) /* bytes: what shallow switches give a port */
#define RTT_US 12.0
#define TCP_RTO_US 50000

static void burst_open(struct sim_stage *st, const struct sim_opts *o,
		       enum sim_engine engine, uint64_t bytes)
{
	struct sim_topo t =
		sim_stage_topo(o, SIM_STAR, SENDERS + 1, 100, RTT_US, QUEUE);
	uint32_t i;

	sim_stage_init(st, o, &t, engine, bytes);
	for (i = 0; i < FLOWS; i++)
		sim_stage_lane(st, 1 + i / PROCESSES, 0);
	sim_stage_open(st, o);
}

static uint64_t dropped_part(const struct sim_stage *st)
{
	uint64_t all = st->w.net.link[st->w.net.sw[0].down].packets;
	uint64_t n = sim_net_dropped(&st->w.net);

	return n ? 100 * n / (all + n) : 0;
}

struct result {
	double placed_max, done_max, mean; /* by ideal */
	uint64_t resent, timeouts, dropped;
};

/* Runs the rounds; times become multiples of the ideal, done in ratio[]. */
static struct result burst(struct sim_run *run, enum sim_engine engine,
			   uint64_t bytes, uint32_t rounds, double *ratio,
			   uint32_t *slow)
{
	uint32_t i, n = FLOWS * rounds;
	struct sim_sample *s = sim_mem_get(n, sizeof(*s));
	struct result res = { .mean = 0 };
	struct sim_stage st;
	double placed, done;

	burst_open(&st, run->o, engine, bytes);
	sim_stage_rounds(&st, run, bytes, rounds, s, sim_engine_name(engine));
	placed = sim_ideal_placed(&st.w.topo, FLOWS, bytes, st.w.topo.gbps);
	done = sim_ideal_done(&st.w.topo, FLOWS, bytes, st.w.topo.gbps);
	*slow = 0;
	for (i = 0; i < n; i++) {
		ratio[i] = s[i].done / done;
		res.mean += ratio[i] / n;
		if (s[i].placed / placed > res.placed_max)
			res.placed_max = s[i].placed / placed;
		if (ratio[i] > res.done_max)
			res.done_max = ratio[i];
		*slow += s[i].timeout;
	}
	res.resent = sim_stage_resent(&st);
	res.timeouts = sim_stage_timeouts(&st);
	res.dropped = dropped_part(&st);
	sim_stage_tell(&st, run->o);
	sim_stage_fini(&st);
	free(s);
	return res;
}

/* --- d1: over sizes --- */

static const uint64_t sizes[] = { 8 << 10,   32 << 10, 128 << 10,
				  512 << 10, 2 << 20,  8 << 20 };

struct d1 {
	struct sim_run *run;
	uint32_t rounds;
	double worst; /* srd: largest multiple of the ideal */
	double tcp_worst; /* tcp: the largest */
	uint32_t series[SIM_ENGINE_TCP + 1];
	uint32_t ideal;
};

static void d1_size(struct d1 *d, enum sim_engine engine, uint64_t bytes)
{
	double *ratio = sim_mem_get(FLOWS * d->rounds, sizeof(*ratio)), worst;
	struct sim_topo t = sim_stage_topo(d->run->o, SIM_STAR, SENDERS + 1,
					   100, RTT_US, QUEUE);
	double ideal = sim_ideal_done(&t, FLOWS, bytes, t.gbps);
	struct result r;
	uint32_t slow;

	r = burst(d->run, engine, bytes, d->rounds, ratio, &slow);
	worst = r.done_max > r.placed_max ? r.done_max : r.placed_max;
	sim_report_row(d->run->r,
		       "%s|%llu|%.1f|%.1f|%.2f|%.2f|%.2f|%llu|%llu|%llu",
		       sim_engine_name(engine), (unsigned long long)bytes >> 10,
		       ideal, r.done_max * ideal, r.mean, r.placed_max,
		       r.done_max, (unsigned long long)r.dropped,
		       (unsigned long long)r.resent,
		       (unsigned long long)r.timeouts);
	sim_report_point(d->run->r, d->series[engine], (double)bytes / 1024,
			 r.done_max * ideal);
	if (engine == SIM_ENGINE_SRD && worst > d->worst)
		d->worst = worst;
	/* Below, one timeout alone is more than 20 times the ideal. */
	if (engine == SIM_ENGINE_TCP && 20 * ideal >= TCP_RTO_US &&
	    worst > d->tcp_worst)
		d->tcp_worst = worst;
	free(ratio);
}

static void d1_verdict(struct d1 *d)
{
	if (d->worst > 0)
		sim_report_pass(d->run->r, d->worst <= 1.1,
				"max FCT / ideal <= 1.1 at every size, placed "
				"and done: %.2f",
				d->worst);
	if (d->tcp_worst > 0)
		sim_report_pass(d->run->r,
				d->tcp_worst >= 3 && d->tcp_worst <= 20,
				"the model of TCP shows 3 to 20 times the "
				"ideal where a timeout is less: %.1f",
				d->tcp_worst);
}

void sim_scene_d1(struct sim_run *run)
{
	struct d1 d = { .run = run };
	struct sim_topo t = sim_stage_topo(run->o, SIM_STAR, SENDERS + 1, 100,
					   RTT_US, QUEUE);
	enum sim_engine e = SIM_ENGINE_ALL;
	size_t i;

	d.rounds = run->o->rounds ? (uint32_t)run->o->rounds : 10;
	sim_report_table(run->r, "engine|KiB|ideal us|max us|mean x|placed x|"
				 "done x|drop %|resent|timeouts");
	sim_report_plot(run->r, "48 flows to one host, longest FCT",
			"size of a flow, KiB", "us", true, true);
	d.ideal = sim_report_series(run->r, true, "ideal");
	for (i = 0; i < u_array_size(sizes); i++)
		sim_report_point(run->r, d.ideal, (double)sizes[i] / 1024,
				 sim_ideal_done(&t, FLOWS, sizes[i], t.gbps));
	while (sim_engine_next(run->o, &e)) {
		/* One path: there is nothing to be blind for. */
		if (e == SIM_ENGINE_BLIND && run->o->engine != e)
			continue;
		d.series[e] = sim_report_series(run->r, e != SIM_ENGINE_SRD,
						"%s", sim_engine_name(e));
		if (run->o->size)
			d1_size(&d, e, run->o->size);
		for (i = 0; !run->o->size && i < u_array_size(sizes); i++)
			d1_size(&d, e, sizes[i]);
	}
	d1_verdict(&d);
	sim_report_print(run->r);
}

/* --- d2: the distribution at one size --- */

static void d2_engine(struct sim_run *run, enum sim_engine e, uint64_t bytes,
		      uint32_t rounds)
{
	uint32_t n = FLOWS * rounds, slow, series;
	double *ratio = sim_mem_get(n, sizeof(*ratio));
	struct sim_quantiles q;
	struct result r;

	r = burst(run, e, bytes, rounds, ratio, &slow);
	series = sim_report_series(run->r, e != SIM_ENGINE_SRD, "%s",
				   sim_engine_name(e));
	sim_report_cdf(run->r, series, ratio, n);
	q = sim_quantiles(ratio, n);
	sim_report_row(run->r, "%s|%u|%.3f|%.3f|%.3f|%.3f|%.3f|%llu|%llu|%u",
		       sim_engine_name(e), n, q.min, q.p50, q.p99, q.p999,
		       q.max, (unsigned long long)r.resent,
		       (unsigned long long)r.timeouts, slow);
	free(ratio);
	if (e != SIM_ENGINE_SRD)
		return;
	sim_report_pass(run->r, q.p999 <= 1.15, "p99.9 <= 1.15 x ideal: %.3f",
			q.p999);
	sim_report_pass(run->r, r.timeouts == 0,
			"no sample that a timeout made: %llu timeouts",
			(unsigned long long)r.timeouts);
}

void sim_scene_d2(struct sim_run *run)
{
	uint64_t bytes = run->o->size ? run->o->size : 2 << 20;
	uint32_t rounds = run->o->rounds ? (uint32_t)run->o->rounds :
					   10000 / FLOWS + 1;
	enum sim_engine e = SIM_ENGINE_ALL;

	sim_report_plot(run->r, "48 flows to one host: FCT / ideal",
			"FCT / ideal", "part of the flows", true, false);
	sim_report_table(run->r, "engine|flows|min x|p50 x|p99 x|p99.9 x|"
				 "max x|resent|timeouts|slowed by them");
	while (sim_engine_next(run->o, &e)) {
		if (e == SIM_ENGINE_BLIND && run->o->engine != e)
			continue;
		d2_engine(run, e, bytes, rounds);
	}
	sim_report_print(run->r);
}
