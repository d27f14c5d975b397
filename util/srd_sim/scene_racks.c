/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * scene_racks.c - d4, d5: two racks with several paths between them
 *
 * 8 hosts of one rack send to 8 of the other over links that could carry twice
 * as much: with 16 spines, all links have one speed. In d4 the 8 pause a
 * quarter of the time, and 2 more of each rack fill that up by TCP, each flow
 * on one path, as a background.
 */
#include "sim_scene.h"

#include <stdlib.h>

#include "sim_mem.h"
#include "sim_oracle.h"
#include "sim_stream.h"

#define PAIRS 8
#define BACKGROUND 2
#define RACK (PAIRS + BACKGROUND)
#define QUEUE (512 * 1024)
#define RTT_US 12.0
#define SIZE (2 << 20)

struct background {
	uint32_t conn[BACKGROUND];
};

static void racks_open(struct sim_stage *st, const struct sim_opts *o,
		       enum sim_engine engine, uint32_t spines, uint64_t bytes)
{
	struct sim_topo t =
		sim_stage_topo(o, SIM_LEAF_SPINE, 2 * RACK, 100, RTT_US, QUEUE);
	uint32_t i;

	t.per_leaf = RACK;
	t.spines = spines;
	t.up_gbps = 2 * PAIRS * t.gbps / spines;
	sim_stage_init(st, o, &t, engine, bytes);
	for (i = 0; i < PAIRS; i++)
		sim_stage_lane(st, i, RACK + i);
	sim_stage_open(st, o);
}

/* Background flows are tagged with the number of lanes and up. */
static void background_next(struct sim_stage *st, uint32_t which, uint32_t conn)
{
	sim_flow_start_tcp(&st->w, conn, SIZE, st->nlanes + which);
}

static void background_start(struct sim_stage *st, struct background *b)
{
	uint32_t i;

	for (i = 0; i < BACKGROUND; i++) {
		b->conn[i] = sim_conn_add(&st->w, PAIRS + i, RACK + PAIRS + i,
					  1000 + i);
		background_next(st, i, b->conn[i]);
		background_next(st, i, b->conn[i]);
	}
}

/* --- d4: times of flows --- */

struct d4 {
	struct sim_stage st;
	struct background bg;
	struct sim_rand rand;
	uint64_t bytes;
	uint32_t rounds, started, finished; /* flows of all lanes */
	double *times; /* us, until done */
};

static void d4_start(struct sim_world *w, void *arg)
{
	struct d4 *d = w->scene;

	sim_stage_start(&d->st, (uint32_t)(uintptr_t)arg, d->bytes);
}

/* Lanes pause at random, up to two thirds of a flow. */
static void d4_done(struct sim_world *w, struct sim_flow *f)
{
	struct d4 *d = w->scene;
	uint64_t pause;

	if (f->tag >= d->st.nlanes) {
		if (d->finished < PAIRS * d->rounds)
			background_next(&d->st, f->tag - d->st.nlanes, f->from);
		return;
	}
	d->times[d->finished++] = sim_us(f->done - f->posted);
	if (d->finished == PAIRS * d->rounds)
		w->halt = true;
	if (d->started == PAIRS * d->rounds)
		return;
	d->started++;
	pause = sim_rand_below(&d->rand, 1000000) *
		sim_link_time(&w->net.link[0], d->bytes) / 1500000;
	sim_world_at(w, w->now + pause, d4_start, (void *)(uintptr_t)f->tag);
}

static void d4_run(struct sim_run *run, struct d4 *d)
{
	struct sim_world *w = &d->st.w;
	uint32_t i, total = PAIRS * d->rounds;

	w->scene = d;
	w->flow_done = d4_done;
	for (i = 0; i < w->nconns; i++)
		w->conn[i]->roams = true;
	background_start(&d->st, &d->bg);
	d->started = PAIRS;
	for (i = 0; i < PAIRS; i++)
		sim_world_at(w, sim_rand_below(&d->rand, 100) * SIM_PS_US,
			     d4_start, (void *)(uintptr_t)i);
	while (d->finished < total) {
		if (sim_world_run(w, w->now + SIM_PS_MS) && d->finished < total)
			break;
		sim_report_progress(run->r, (double)d->finished / total,
				    sim_engine_name(d->st.engine));
	}
	sim_oracle_end(w);
}

static struct sim_quantiles d4_engine(struct sim_run *run, enum sim_engine e,
				      uint32_t spines)
{
	struct d4 d = { .rand = { .state = run->o->seed } };
	struct sim_quantiles q;
	double ideal;
	uint32_t i, n, series;

	d.bytes = run->o->size ? run->o->size : SIZE;
	d.rounds = run->o->rounds ? (uint32_t)run->o->rounds : 100;
	n = PAIRS * d.rounds;
	d.times = sim_mem_get(n, sizeof(*d.times));
	racks_open(&d.st, run->o, e, spines, d.bytes);
	ideal = sim_ideal_done(&d.st.w.topo, 1, d.bytes, d.st.w.topo.gbps);
	d4_run(run, &d);
	for (i = 0; i < n; i++)
		d.times[i] /= ideal;
	series = sim_report_series(run->r, e != SIM_ENGINE_SRD, "%s, %u paths",
				   sim_engine_name(e), spines);
	sim_report_cdf(run->r, series, d.times, n);
	q = sim_quantiles(d.times, n);
	sim_report_row(run->r, "%s|%u|%u|%.1f|%.3f|%.3f|%.3f|%.3f|%.4f|%llu",
		       sim_engine_name(e), spines, n, ideal, q.p50, q.mean,
		       q.p99, q.max,
		       100.0 * (double)sim_net_dropped(&d.st.w.net) /
			       (double)d.st.w.net.hops,
		       (unsigned long long)sim_stage_timeouts(&d.st));
	sim_stage_tell(&d.st, run->o);
	sim_stage_fini(&d.st);
	free(d.times);
	return q;
}

static void d4_spines(struct sim_run *run, uint32_t spines)
{
	struct sim_quantiles q[SIM_ENGINE_TCP + 1] = { { .max = 0 } };
	const struct sim_quantiles *srd = &q[SIM_ENGINE_SRD];
	const struct sim_quantiles *blind = &q[SIM_ENGINE_BLIND];
	const struct sim_quantiles *tcp = &q[SIM_ENGINE_TCP];
	enum sim_engine e = SIM_ENGINE_ALL;

	sim_report_table(run->r, "engine|spines|flows|ideal us|median x|mean "
				 "x|p99 x|max x|drop %|timeouts");
	while (sim_engine_next(run->o, &e))
		q[e] = d4_engine(run, e, spines);
	if (srd->max > 0)
		sim_report_pass(run->r, srd->p50 <= 1.15,
				"median <= 1.15 x ideal: %.3f", srd->p50);
	if (srd->max > 0 && tcp->max > 0)
		sim_report_pass(run->r, srd->max < tcp->mean,
				"the longest below TCP's mean: %.2f, %.2f",
				srd->max, tcp->mean);
	if (srd->max > 0 && blind->max > 0)
		sim_report_pass(run->r,
				srd->p50 < blind->p50 && srd->p99 < blind->p99,
				"blind spraying is worse: median %.3f and "
				"%.3f, p99 %.3f and %.3f",
				srd->p50, blind->p50, srd->p99, blind->p99);
	sim_report_print(run->r);
}

void sim_scene_d4(struct sim_run *run)
{
	printf("%d hosts of one rack to %d of another, %d flows of TCP beside "
	       "them, links up half loaded\n",
	       PAIRS, PAIRS, BACKGROUND);
	sim_report_plot(run->r, "Between two racks: FCT / ideal", "FCT / ideal",
			"part of the flows", true, false);
	d4_spines(run, 8);
	d4_spines(run, 16);
}

/* --- d5: what a bad link does --- */

#define SPINES 16
#define EVENT_US 2000 /* when it goes bad */
#define END_US 6000
#define GOOD 0.9 /* part of the goodput before that is no dip */

enum harm { HARM_DEAD, HARM_LOSSY, HARM_SLOW };

static const char *const harm_name[] = {
	[HARM_DEAD] = "black hole",
	[HARM_LOSSY] = "1 % loss",
	[HARM_SLOW] = "half speed",
};

struct d5 {
	struct sim_stage st;
	enum harm harm;
	bool heal; /* the dead links come back */
};

/* The links of a spine, from one rack and to the other: with TCP of that which
 * the first lane takes, as others might be unused. */
static void strike(struct sim_world *w, void *arg)
{
	const struct d5 *d = arg;
	uint32_t link[2], spine = 0, i;
	struct sim_packet p = { .dst = RACK };

	if (d->st.engine == SIM_ENGINE_TCP) {
		p.key = w->conn[0]->key;
		spine = sim_net_route(&w->net, 0, &p) - w->net.sw[0].up;
	}
	link[0] = sim_topo_leaf_up(&w->net, 0, spine);
	link[1] = sim_topo_spine_down(&w->net, &w->topo, spine, 1);
	for (i = 0; i < 2; i++) {
		switch (d->harm) {
		case HARM_DEAD:
			sim_net_kill(&w->net, link[i], !d->heal);
			break;
		case HARM_LOSSY:
			sim_net_fault(&w->net, link[i], 0.01, 0, 0);
			break;
		case HARM_SLOW:
			sim_link_set_rate(&w->net.link[link[i]],
					  w->topo.up_gbps / 2);
			break;
		}
	}
}

struct dip {
	double before, worst, after; /* Gb/s; after: of the last quarter */
	uint32_t low; /* intervals below GOOD */
	double until_us; /* end of the last low interval, from the event */
};

static void timeline(struct sim_run *run, struct d5 *d, struct dip *dip,
		     double step_us)
{
	uint32_t n = (uint32_t)(END_US / step_us), i, nbefore = 0, nafter = 0;
	uint32_t series = sim_report_series(
		run->r, d->st.engine != SIM_ENGINE_SRD, "%s, %s",
		sim_engine_name(d->st.engine), harm_name[d->harm]);
	double at, gbps;
	struct sim_stream s;

	sim_stream_start(&s, &d->st, run->o->size ? run->o->size : SIZE);
	for (i = 0; i < n; i++) {
		gbps = (double)sim_stream_step(&s, (uint64_t)(step_us * 1e6)) *
		       8 / step_us / 1e3;
		at = (i + 1) * step_us;
		sim_report_point(run->r, series, at / 1e3, gbps);
		sim_report_progress(run->r, (double)i / n, harm_name[d->harm]);
		if (at > EVENT_US / 2.0 && at <= EVENT_US) {
			dip->before += (gbps - dip->before) / ++nbefore;
			dip->worst = dip->before;
		} else if (at > EVENT_US) {
			if (gbps < dip->worst)
				dip->worst = gbps;
			if (gbps < GOOD * dip->before) {
				dip->low++;
				dip->until_us = at - EVENT_US;
			}
			if (at > END_US - (END_US - EVENT_US) / 4.0)
				dip->after += (gbps - dip->after) / ++nafter;
		}
	}
	/* TCP would wait for ever. */
	d->heal = true;
	strike(&d->st.w, d);
	sim_stream_stop(&s);
}

static void d5_case(struct sim_run *run, enum sim_engine e, enum harm harm)
{
	struct d5 d = { .harm = harm };
	struct dip dip = { .low = 0 };
	double step_us;

	racks_open(&d.st, run->o, e, SPINES,
		   run->o->size ? run->o->size : SIZE);
	step_us = 2 * sim_us(sim_topo_rtt(&d.st.w.topo));
	sim_world_at(&d.st.w, EVENT_US * SIM_PS_US, strike, &d);
	timeline(run, &d, &dip, step_us);
	sim_report_row(run->r, "%s|%s|%.1f|%.1f|%.1f|%u|%.0f|%.1f|%llu",
		       sim_engine_name(e), harm_name[harm], step_us, dip.before,
		       dip.worst, dip.low, dip.until_us, dip.after,
		       (unsigned long long)sim_stage_timeouts(&d.st));
	sim_stage_tell(&d.st, run->o);
	sim_stage_fini(&d.st);
	if (e == SIM_ENGINE_SRD)
		sim_report_pass(run->r,
				dip.low < 2 && dip.after >= GOOD * dip.before,
				"%s: fewer than 2 intervals below 90 %%, and "
				"as much as before in the end: %u, %.0f %%",
				harm_name[harm], dip.low,
				100 * dip.after / dip.before);
}

void sim_scene_d5(struct sim_run *run)
{
	static const enum harm harms[] = { HARM_DEAD, HARM_LOSSY, HARM_SLOW };
	enum sim_engine e = SIM_ENGINE_ALL;
	size_t i;

	printf("as d4 with %d spines, endless flows; at %d us the links of one "
	       "rack with one spine go bad, and routing does not notice; an "
	       "interval is 2 RTT\n",
	       SPINES, EVENT_US);
	sim_report_plot(run->r, "8 hosts to 8, one link of 16 goes bad at 2 ms",
			"ms", "Gb/s together", false, false);
	sim_report_table(run->r, "engine|link|interval us|before Gb/s|worst|"
				 "low intervals|low until us|after Gb/s|"
				 "timeouts");
	while (sim_engine_next(run->o, &e)) {
		for (i = 0; i < u_array_size(harms); i++)
			d5_case(run, e, harms[i]);
	}
	sim_report_print(run->r);
}
