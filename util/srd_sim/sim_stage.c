/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_stage.c - worlds with lanes, and rounds of flows
 */
#include "sim_stage.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim_mem.h"
#include "sim_oracle.h"

#define MTU_DEFAULT (4096 + 56) /* 4 KiB of a write and its headers */

struct sim_topo sim_stage_topo(const struct sim_opts *o,
			       enum sim_topo_kind kind, uint32_t hosts,
			       double gbps, double rtt_us, uint64_t queue)
{
	struct sim_topo t = {
		.kind = kind,
		.hosts = hosts,
		.gbps = o->gbps > 0 ? o->gbps : gbps,
		.queue = o->queue ? o->queue : queue,
		.mtu = (uint32_t)(o->mtu ? o->mtu : MTU_DEFAULT) + SIM_FRAME,
	};

	if (o->rtt_us > 0)
		rtt_us = o->rtt_us;
	t.up_gbps = t.gbps;
	t.delay = sim_topo_delay(&t, (uint64_t)(rtt_us * 1e6));
	return t;
}

void sim_stage_init(struct sim_stage *st, const struct sim_opts *o,
		    const struct sim_topo *t, enum sim_engine engine,
		    uint64_t max_bytes)
{
	const char *why;

	*st = (struct sim_stage){ .engine = engine };
	if (sim_topo_check(t, &why)) {
		fprintf(stderr, "srd_sim: %s\n", why);
		exit(SIM_EXIT_USAGE);
	}
	sim_world_init(&st->w, t, o->seed, max_bytes);
	st->receivers = o->receivers ? (uint32_t)o->receivers : 1;
	st->w.blind = engine == SIM_ENGINE_BLIND;
}

void sim_stage_lane(struct sim_stage *st, uint32_t src, uint32_t dst)
{
	st->lane = sim_mem_grow(st->lane, st->nlanes + 1, sizeof(*st->lane));
	st->lane[st->nlanes++] = (struct sim_lane){ .src = src, .dst = dst };
}

/* The place of each lane among those of its hosts, in from and to; returns
 * the most that one host receives. */
static uint32_t number_lanes(struct sim_stage *st, uint32_t *out, uint32_t *in)
{
	struct sim_lane *l;
	uint32_t i, most = 0;

	for (i = 0; i < st->nlanes; i++) {
		l = &st->lane[i];
		l->from = out[l->src]++;
		l->to = in[l->dst]++ % st->receivers;
		if (in[l->dst] > most)
			most = in[l->dst];
	}
	return most;
}

/* Endpoints for all lanes, host by host. */
static uint32_t open_ends(struct sim_stage *st)
{
	uint32_t n = st->w.topo.hosts, host, i, want, most;
	uint32_t *out = sim_mem_get(n, sizeof(*out));
	uint32_t *in = sim_mem_get(n, sizeof(*in));
	struct sim_lane *l;

	most = number_lanes(st, out, in);
	for (host = 0; host < n; host++) {
		want = in[host] < st->receivers ? in[host] : st->receivers;
		if (out[host] > want)
			want = out[host];
		for (i = 0; i < want; i++)
			sim_end_add(&st->w, host);
	}
	for (i = 0; i < st->nlanes; i++) {
		l = &st->lane[i];
		l->from += st->w.host[l->src].first_end;
		l->to += st->w.host[l->dst].first_end;
	}
	free(out);
	free(in);
	return most;
}

void sim_stage_open(struct sim_stage *st, const struct sim_opts *o)
{
	uint32_t paths = o->paths ? (uint32_t)o->paths : 32, most, i;

	if (st->engine == SIM_ENGINE_TCP) {
		for (i = 0; i < st->nlanes; i++)
			st->lane[i].from = sim_conn_add(&st->w, st->lane[i].src,
							st->lane[i].dst, i);
		return;
	}
	most = open_ends(st);
	sim_end_config(&st->w.engine, &st->w.topo, paths, most);
	sim_world_open(&st->w, o->seed);
}

void sim_stage_fini(struct sim_stage *st)
{
	free(st->lane);
	sim_world_fini(&st->w);
}

struct sim_flow *sim_stage_start(struct sim_stage *st, uint32_t lane,
				 uint64_t bytes)
{
	const struct sim_lane *l = &st->lane[lane];

	if (st->engine == SIM_ENGINE_TCP)
		return sim_flow_start_tcp(&st->w, l->from, bytes, lane);
	return sim_flow_start(&st->w, l->from, l->to, bytes, lane);
}

/* --- rounds --- */

static void round_done(struct sim_world *w, struct sim_flow *f)
{
	struct sim_stage *st = w->scene;

	if (--st->left == 0)
		w->halt = true;
}

static struct sim_sample sample_of(const struct sim_stage *st,
				   const struct sim_flow *f)
{
	return (struct sim_sample){
		.placed = sim_us(f->placed - f->posted),
		.done = sim_us(f->done - f->posted),
		.timeout = f->kind == SIM_FLOW_TCP &&
			   st->w.conn[f->from]->tcp.timeouts > f->timeouts,
	};
}

void sim_stage_rounds(struct sim_stage *st, struct sim_run *run, uint64_t bytes,
		      uint32_t rounds, struct sim_sample *out, const char *what)
{
	struct sim_world *w = &st->w;
	uint32_t i, n, first;

	w->scene = st;
	w->flow_done = round_done;
	for (n = 0; n < rounds; n++) {
		first = w->nflows;
		st->left = st->nlanes;
		for (i = 0; i < st->nlanes; i++)
			sim_stage_start(st, i, bytes);
		while (st->left) {
			if (sim_world_run(w, w->now + SIM_PS_MS) && st->left)
				break;
			sim_report_progress(
				run->r,
				(n + 1.0 - (double)st->left / st->nlanes) /
					rounds,
				what);
		}
		if (st->left)
			sim_oracle_end(w);
		for (i = 0; i < st->nlanes; i++)
			out[n * st->nlanes + i] =
				sample_of(st, sim_flow_at(w, first + i));
		sim_world_run(w, w->now + sim_topo_rtt(&w->topo));
	}
	w->flow_done = NULL;
	sim_oracle_end(w);
}

/* --- engines --- */

const char *sim_engine_name(enum sim_engine e)
{
	static const char *const name[] = {
		[SIM_ENGINE_ALL] = "all",
		[SIM_ENGINE_SRD] = "srd",
		[SIM_ENGINE_BLIND] = "blind",
		[SIM_ENGINE_TCP] = "tcp",
	};

	return name[e];
}

bool sim_engine_next(const struct sim_opts *o, enum sim_engine *e)
{
	if (o->engine != SIM_ENGINE_ALL) {
		if (*e != SIM_ENGINE_ALL)
			return false;
		*e = o->engine;
		return true;
	}
	if (*e == SIM_ENGINE_TCP)
		return false;
	*e = (enum sim_engine)(*e + 1);
	return true;
}

void sim_stage_stats(const struct sim_stage *st, struct srd_stats *out)
{
	uint64_t *sum = (uint64_t *)out;
	const uint64_t *one;
	uint32_t i;
	size_t k;

	_Static_assert(sizeof(*out) % sizeof(uint64_t) == 0, "all counters");
	*out = (struct srd_stats){ .tx_packets = 0 };
	for (i = 0; i < st->w.nends; i++) {
		one = (const uint64_t *)srd_stats(st->w.end[i].srd);
		for (k = 0; k < sizeof(*out) / sizeof(uint64_t); k++)
			sum[k] += one[k];
	}
}

uint64_t sim_stage_timeouts(const struct sim_stage *st)
{
	struct srd_stats s;
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < st->w.nconns; i++)
		n += st->w.conn[i]->tcp.timeouts;
	if (st->engine == SIM_ENGINE_TCP)
		return n;
	sim_stage_stats(st, &s);
	return s.timeouts;
}

uint64_t sim_stage_resent(const struct sim_stage *st)
{
	struct srd_stats s;
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < st->w.nconns; i++)
		n += st->w.conn[i]->tcp.resent;
	if (st->engine == SIM_ENGINE_TCP)
		return n;
	sim_stage_stats(st, &s);
	return s.resent;
}

void sim_stage_tell(const struct sim_stage *st, const struct sim_opts *o)
{
	const struct sim_world *w = &st->w;
	struct srd_stats s;

	if (!o->verbose)
		return;
	sim_stage_stats(st, &s);
	fprintf(stderr,
		"[%s] %.3f ms, %llu events, %llu hops, dropped %llu, lost "
		"%llu; data %llu, acks %llu, resent %llu (spurious %llu), "
		"duplicates %llu, timeouts %llu, tail probes %llu, path probes "
		"%llu, bad %llu, no room %llu\n",
		sim_engine_name(st->engine), (double)w->now / 1e9,
		(unsigned long long)w->events, (unsigned long long)w->net.hops,
		(unsigned long long)sim_net_dropped(&w->net),
		(unsigned long long)sim_net_lost(&w->net),
		(unsigned long long)s.tx_data, (unsigned long long)s.tx_acks,
		(unsigned long long)s.resent,
		(unsigned long long)s.resent_spurious,
		(unsigned long long)s.duplicates,
		(unsigned long long)s.timeouts,
		(unsigned long long)s.tail_probes,
		(unsigned long long)s.path_probes,
		(unsigned long long)(s.bad_short + s.bad_version + s.bad_check +
				     s.bad_type + s.bad_incarnation +
				     s.bad_source + s.bad_window + s.bad_stale +
				     s.bad_field),
		(unsigned long long)s.no_room);
}
