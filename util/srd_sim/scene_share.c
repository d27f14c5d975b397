/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * scene_share.c - d3: endless flows to one host share its link
 */
#include "sim_scene.h"

#include <math.h>
#include <stdlib.h>

#include "sim_mem.h"
#include "sim_stream.h"

#define SENDERS 4
#define PROCESSES 12
#define FLOWS (SENDERS * PROCESSES)
#define QUEUE (512 * 1024)
#define RTT_US 12.0
#define INTERVALS 10
#define SIZE (1 << 20)

struct share {
	double jain; /* the worst interval */
	double low, high; /* Gb/s of the worst flow in the worst interval */
	double sum; /* Gb/s, mean */
};

static double jain(const uint64_t *got, uint32_t n)
{
	double sum = 0, squares = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		sum += (double)got[i];
		squares += (double)got[i] * (double)got[i];
	}
	return squares > 0 ? sum * sum / (n * squares) : 0;
}

static void look(struct share *sh, const struct sim_stream *s, double seconds,
		 double *low, double *high)
{
	uint32_t i;
	double gbps;

	*low = INFINITY;
	*high = 0;
	for (i = 0; i < s->st->nlanes; i++) {
		gbps = (double)s->got[i] * 8 / seconds / 1e9;
		*low = fmin(*low, gbps);
		*high = fmax(*high, gbps);
	}
	sh->low = fmin(sh->low, *low);
	sh->high = fmax(sh->high, *high);
	sh->jain = fmin(sh->jain, jain(s->got, s->st->nlanes));
}

static uint64_t size_of(const struct sim_run *run)
{
	return run->o->size ? run->o->size : SIZE;
}

static struct share intervals(struct sim_run *run, struct sim_stage *st,
			      uint64_t ps)
{
	struct share sh = { .jain = 1, .low = INFINITY };
	const char *name = sim_engine_name(st->engine);
	bool tcp = st->engine == SIM_ENGINE_TCP;
	uint32_t i, least, most;
	double low, high, seconds = (double)ps / 1e12;
	struct sim_stream s;

	least = sim_report_series(run->r, tcp, "%s, slowest flow", name);
	most = sim_report_series(run->r, tcp, "%s, fastest flow", name);
	sim_stream_start(&s, st, size_of(run));
	for (i = 0; i < INTERVALS; i++) {
		sim_report_progress(run->r, (double)i / INTERVALS, name);
		sh.sum += (double)sim_stream_step(&s, ps) * 8 / seconds / 1e9 /
			  INTERVALS;
		look(&sh, &s, seconds, &low, &high);
		sim_report_point(run->r, least, (i + 1) * seconds * 1e3, low);
		sim_report_point(run->r, most, (i + 1) * seconds * 1e3, high);
	}
	sim_stream_stop(&s);
	return sh;
}

static void d3_engine(struct sim_run *run, enum sim_engine e, uint64_t ps)
{
	struct sim_topo t = sim_stage_topo(run->o, SIM_STAR, SENDERS + 1, 100,
					   RTT_US, QUEUE);
	double fair = sim_goodput_max(&t, t.gbps) / FLOWS, off, drop;
	struct sim_stage st;
	struct share sh;
	uint32_t i;

	sim_stage_init(&st, run->o, &t, e, size_of(run));
	for (i = 0; i < FLOWS; i++)
		sim_stage_lane(&st, 1 + i / PROCESSES, 0);
	sim_stage_open(&st, run->o);
	sh = intervals(run, &st, ps);
	off = fmax(sh.high / fair - 1, 1 - sh.low / fair) * 100;
	drop = 100.0 * (double)sim_net_dropped(&st.w.net) /
	       (double)(st.w.net.hops / 2 + 1);
	sim_report_row(run->r, "%s|%.2f|%.2f|%.4f|%.3f|%.3f|%.1f|%.4f|%llu",
		       sim_engine_name(e), sh.sum, FLOWS * fair, sh.jain,
		       sh.low, sh.high, off, drop,
		       (unsigned long long)sim_stage_timeouts(&st));
	sim_stage_tell(&st, run->o);
	sim_stage_fini(&st);
	if (e != SIM_ENGINE_SRD)
		return;
	sim_report_pass(run->r, sh.jain >= 0.99,
			"Jain >= 0.99 in each interval: %.4f", sh.jain);
	sim_report_pass(run->r, off <= 5,
			"each flow within 5 %% of %.3f Gb/s in each interval: "
			"%.1f %%",
			fair, off);
	sim_report_pass(run->r, drop < 0.1, "drops below 0.1 %%: %.4f %%",
			drop);
}

void sim_scene_d3(struct sim_run *run)
{
	double ms = run->o->ms > 0 ? run->o->ms : 1000;
	uint64_t ps = (uint64_t)(ms * 1e9 / INTERVALS);
	enum sim_engine e = SIM_ENGINE_ALL;

	printf("48 endless flows, %d intervals of %g ms; the ideal is the "
	       "payload that fits the link\n",
	       INTERVALS, ms / INTERVALS);
	sim_report_plot(run->r, "48 endless flows to one host", "ms",
			"Gb/s of a flow", false, false);
	sim_report_table(run->r, "engine|Gb/s|ideal|worst Jain|slowest|"
				 "fastest|off %|drop %|timeouts");
	while (sim_engine_next(run->o, &e)) {
		if (e == SIM_ENGINE_BLIND && run->o->engine != e)
			continue;
		d3_engine(run, e, ps);
	}
	sim_report_print(run->r);
}
