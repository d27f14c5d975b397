/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * scene_fabric.c - perm and incast: large networks, beside recorded figures
 *
 * The figures are tail FCTs that the simulator of the Ultra Ethernet
 * Consortium keeps in its results, of its sender-based congestion control
 * (NSCC) with ECN and packet trimming, and the limits of its own EQDS tests.
 * They count until the last byte has arrived; so does the pass line.
 *
 * The networks are theirs: two tiers with 1 us a link and queues of 25 packets
 * for each 100 Gb/s; a slow spine runs at a quarter of its speed. Ours neither
 * marks nor trims.
 */
#include "sim_scene.h"

#include <math.h>
#include <stdlib.h>

#include "sim_mem.h"

#define MEGABYTE 1000000

struct perm {
	uint32_t hosts; /* of the recorded figure */
	double gbps;
	uint32_t paths, oversub, slow;
	uint64_t bytes;
	enum sim_shape shape;
	double rtt_us;
	double figure; /* us; 0: none */
};

static const struct perm perms[] = {
	{ 8192, 200, 32, 1, 0, MEGABYTE, SIM_SHAPE_LEAF_SPINE, 8, 59.9 },
	{ 8192, 200, 64, 1, 0, MEGABYTE, SIM_SHAPE_LEAF_SPINE, 8, 59.1 },
	{ 8192, 400, 32, 1, 0, MEGABYTE, SIM_SHAPE_LEAF_SPINE, 8, 38.7 },
	{ 8192, 400, 64, 1, 0, MEGABYTE, SIM_SHAPE_LEAF_SPINE, 8, 36.2 },
	{ 8192, 400, 32, 1, 1, MEGABYTE, SIM_SHAPE_LEAF_SPINE, 8, 42.0 },
	{ 8192, 400, 64, 1, 1, MEGABYTE, SIM_SHAPE_LEAF_SPINE, 8, 44.6 },
	{ 8192, 200, 32, 8, 0, MEGABYTE, SIM_SHAPE_LEAF_SPINE, 8, 442.4 },
	{ 8192, 200, 64, 8, 0, MEGABYTE, SIM_SHAPE_LEAF_SPINE, 8, 420.7 },
	{ 8192, 400, 32, 8, 0, MEGABYTE, SIM_SHAPE_LEAF_SPINE, 8, 243 },
	{ 8192, 400, 64, 8, 0, MEGABYTE, SIM_SHAPE_LEAF_SPINE, 8, 236 },
	{ 1024, 100, 64, 1, 0, 2 * MEGABYTE, SIM_SHAPE_FAT_TREE, 12, 220 },
};

/* Hosts of a leaf: the largest power of two up to the root. */
static uint32_t per_leaf(uint32_t hosts)
{
	uint32_t n = 1;

	while (4 * n * n <= hosts)
		n *= 2;
	return n;
}

static struct sim_topo fabric(const struct sim_opts *o, enum sim_shape shape,
			      uint32_t hosts, double gbps, double rtt_us,
			      uint32_t oversub)
{
	static const enum sim_topo_kind kind[] = {
		[SIM_SHAPE_ANY] = SIM_LEAF_SPINE,
		[SIM_SHAPE_LEAF_SPINE] = SIM_LEAF_SPINE,
		[SIM_SHAPE_FAT_TREE] = SIM_FAT_TREE,
		[SIM_SHAPE_STAR] = SIM_STAR,
	};
	struct sim_topo t =
		sim_stage_topo(o, kind[shape], hosts, gbps, rtt_us, 0);

	if (!o->queue)
		t.queue = (uint64_t)(25 * t.gbps / 100) * t.mtu;
	t.per_leaf = per_leaf(hosts);
	t.spines = t.per_leaf / oversub ? t.per_leaf / oversub : 1;
	return t;
}

static void slow_spine(struct sim_stage *st, uint32_t spine)
{
	const struct sim_topo *t = &st->w.topo;
	struct sim_link *l;
	uint32_t leaf, way;

	for (leaf = 0; leaf < t->hosts / t->per_leaf; leaf++) {
		for (way = 0; way < 2; way++) {
			l = &st->w.net.link[way ? sim_topo_leaf_up(&st->w.net,
								   leaf, spine) :
						  sim_topo_spine_down(
							  &st->w.net, t, spine,
							  leaf)];
			sim_link_set_rate(l, t->up_gbps / 4);
			l->room = sim_link_time(l, t->queue / 4);
		}
	}
}

/* A permutation without fixed points: one cycle through all hosts. */
static void lanes_permute(struct sim_stage *st, uint64_t seed)
{
	uint32_t n = st->w.topo.hosts, i, k, swap;
	uint32_t *at = sim_mem_get(n, sizeof(*at));
	struct sim_rand rand = { .state = seed };

	for (i = 0; i < n; i++)
		at[i] = i;
	for (i = n - 1; i > 0; i--) {
		k = sim_rand_below(&rand, i + 1);
		swap = at[i];
		at[i] = at[k];
		at[k] = swap;
	}
	for (i = 0; i < n; i++)
		sim_stage_lane(st, at[i], at[(i + 1) % n]);
	free(at);
}

struct tail {
	struct sim_quantiles placed, done;
	double ideal; /* us, placed, alone in the net */
	uint64_t resent, timeouts;
	double drop; /* percent of hops */
};

static struct tail once(struct sim_run *run, struct sim_stage *st,
			uint64_t bytes, const char *what, uint32_t series)
{
	uint32_t n = st->nlanes, i;
	struct sim_sample *s = sim_mem_get(n, sizeof(*s));
	double *v = sim_mem_get(n, sizeof(*v));
	struct tail res;

	sim_stage_rounds(st, run, bytes, 1, s, what);
	for (i = 0; i < n; i++)
		v[i] = s[i].done;
	res.done = sim_quantiles(v, n);
	for (i = 0; i < n; i++)
		v[i] = s[i].placed;
	sim_report_cdf(run->r, series, v, n);
	res.placed = sim_quantiles(v, n);
	res.ideal = sim_ideal_placed(&st->w.topo, 1, bytes, st->w.topo.gbps);
	res.resent = sim_stage_resent(st);
	res.timeouts = sim_stage_timeouts(st);
	res.drop = 100.0 * (double)sim_net_dropped(&st->w.net) /
		   (double)st->w.net.hops;
	sim_stage_tell(st, run->o);
	free(v);
	free(s);
	return res;
}

/* "": there is nothing to hold it against. */
static const char *verdict(double is, double limit)
{
	if (limit <= 0)
		return "";
	return is <= limit ? "met" : "MISSED";
}

/* --- perm --- */

static void perm_row(struct sim_run *run, const struct perm *p,
		     enum sim_engine e)
{
	uint32_t hosts = run->o->hosts ? (uint32_t)run->o->hosts : 128;
	struct sim_opts o = *run->o;
	struct sim_topo t =
		fabric(&o, p->shape, hosts, p->gbps, p->rtt_us, p->oversub);
	char figure[16] = "-";
	struct sim_stage st;
	struct tail res;
	uint32_t i, series;

	o.paths = p->paths;
	sim_stage_init(&st, &o, &t, e, p->bytes);
	lanes_permute(&st, o.seed);
	sim_stage_open(&st, &o);
	for (i = 0; i < p->slow && i < t.spines; i++)
		slow_spine(&st, i);
	series = sim_report_series(run->r, e != SIM_ENGINE_SRD,
				   "%s %g G, %u paths%s%s", sim_engine_name(e),
				   t.gbps, p->paths, p->slow ? ", slow" : "",
				   p->oversub > 1 ? ", 8:1" : "");
	res = once(run, &st, p->bytes, sim_engine_name(e), series);
	sim_stage_fini(&st);
	if (p->figure > 0)
		snprintf(figure, sizeof(figure), "%.1f", p->figure);
	sim_report_row(run->r,
		       "%s|%u|%g|%u|%u|%u|%.1f|%.1f|%.1f|%.1f|%.1f|%llu|%.3f|"
		       "%s|%s",
		       sim_engine_name(e), hosts, t.gbps, p->paths, p->oversub,
		       p->slow, res.ideal, res.placed.p50, res.placed.p99,
		       res.placed.max, res.done.max,
		       (unsigned long long)res.resent, res.drop, figure,
		       e == SIM_ENGINE_SRD && hosts == p->hosts ?
			       verdict(res.placed.max, p->figure) :
			       "");
}

/* Whoever names a speed or a number of paths means a sound network, unless
 * told otherwise. */
static bool asked(const struct sim_opts *o, const struct perm *p)
{
	bool named = o->gbps > 0 || o->paths || o->oversub || o->slow;

	return (!(o->gbps > 0) || fabs(o->gbps - p->gbps) < 1e-9) &&
	       (!o->paths || o->paths == p->paths) &&
	       (!named || (o->oversub ? o->oversub : 1) == p->oversub) &&
	       (!named || o->slow == p->slow) &&
	       (!o->size || o->size == p->bytes) &&
	       (!o->shape || o->shape == p->shape);
}

void sim_scene_perm(struct sim_run *run)
{
	const struct sim_opts *o = run->o;
	struct perm own = {
		.gbps = o->gbps > 0 ? o->gbps : 100,
		.paths = o->paths ? (uint32_t)o->paths : 32,
		.oversub = o->oversub ? (uint32_t)o->oversub : 1,
		.slow = (uint32_t)o->slow,
		.bytes = o->size ? o->size : MEGABYTE,
		.shape = o->shape,
		.rtt_us = o->shape <= SIM_SHAPE_LEAF_SPINE ? 8 : 12,
	};
	enum sim_engine e = o->engine ? o->engine : SIM_ENGINE_SRD;
	uint32_t i, n = 0;

	printf("every host sends to one and hears from one; times until the "
	       "last byte was placed, us; recorded: the tail of UEC's NSCC "
	       "(8192 hosts) and EQDS's limit (1024, fat tree)\n");
	sim_report_plot(run->r, "Permutation", "FCT, us", "part of the flows",
			false, false);
	sim_report_table(run->r,
			 "engine|hosts|Gb/s|paths|oversub|slow|ideal|"
			 "p50|p99|max|done max|resent|drop %|recorded|");
	for (i = 0; i < u_array_size(perms); i++) {
		if (!asked(o, &perms[i]))
			continue;
		/* A fat tree has k^3/4 hosts. */
		if (perms[i].shape == SIM_SHAPE_FAT_TREE && !o->shape &&
		    o->hosts != perms[i].hosts)
			continue;
		perm_row(run, &perms[i], e);
		n++;
	}
	if (!n)
		perm_row(run, &own, e);
	sim_report_print(run->r);
}

/* --- incast --- */

struct many {
	uint32_t n;
	double limit; /* us: EQDS's; 0: none */
};

static const struct many manys[] = {
	{ 1, 180 }, { 8, 0 }, { 32, 0 }, { 128, 23000 }, { 400, 0 },
};

#define INCAST_HOSTS 432
#define INCAST_RTT_US 12.0
#define INCAST_BYTES (2 * MEGABYTE)

static void incast_row(struct sim_run *run, const struct many *m,
		       enum sim_engine e)
{
	const struct sim_opts *o = run->o;
	enum sim_shape shape = o->shape ? o->shape : SIM_SHAPE_FAT_TREE;
	struct sim_topo t =
		fabric(o, shape, INCAST_HOSTS, 100, INCAST_RTT_US, 1);
	uint64_t bytes = o->size ? o->size : INCAST_BYTES;
	struct sim_rand rand = { .state = o->seed };
	uint32_t first, i, off, series;
	struct sim_stage st;
	struct tail res;
	double ideal;

	sim_stage_init(&st, o, &t, e, bytes);
	first = sim_rand_below(&rand, t.hosts);
	/* The first is at the far end, the others all over. */
	for (i = 0; i < m->n; i++) {
		off = (t.hosts / 2 + i * (t.hosts - 1) / m->n) % (t.hosts - 1);
		sim_stage_lane(&st, (first + 1 + off) % t.hosts, first);
	}
	sim_stage_open(&st, o);
	series = sim_report_series(run->r, e != SIM_ENGINE_SRD, "%s %u",
				   sim_engine_name(e), m->n);
	res = once(run, &st, bytes, sim_engine_name(e), series);
	ideal = sim_ideal_placed(&t, m->n, bytes, t.gbps);
	sim_stage_fini(&st);
	sim_report_row(run->r,
		       "%s|%u|%.1f|%.1f|%.1f|%.3f|%.1f|%llu|%.3f|%llu|%.0f|%s",
		       sim_engine_name(e), m->n, ideal, res.placed.p50,
		       res.placed.max, res.placed.max / ideal, res.done.max,
		       (unsigned long long)res.resent, res.drop,
		       (unsigned long long)res.timeouts, m->limit,
		       e == SIM_ENGINE_SRD && !o->size ?
			       verdict(res.placed.max, m->limit) :
			       "");
}

void sim_scene_incast(struct sim_run *run)
{
	struct many own = { .n = (uint32_t)run->o->hosts };
	enum sim_engine e;
	size_t i;

	for (i = 0; i < u_array_size(manys); i++)
		if (manys[i].n == own.n)
			own.limit = manys[i].limit;
	if (own.n >= INCAST_HOSTS) {
		fprintf(stderr, "srd_sim: incast: --hosts 1..%d senders\n",
			INCAST_HOSTS - 1);
		exit(SIM_EXIT_USAGE);
	}
	printf("n hosts of %d to one, %d bytes each at 100 Gb/s unless told "
	       "otherwise; times until the last byte was placed, us; limits: "
	       "EQDS's\n",
	       INCAST_HOSTS, INCAST_BYTES);
	sim_report_plot(run->r, "Incast", "FCT, us", "part of the flows", true,
			false);
	sim_report_table(run->r, "engine|n|ideal|p50|max|max x|done max|resent|"
				 "drop %|timeouts|limit|");
	for (i = 0; i < u_array_size(manys); i++) {
		if (own.n && i)
			continue;
		e = SIM_ENGINE_ALL;
		while (sim_engine_next(run->o, &e)) {
			if (e == SIM_ENGINE_BLIND && run->o->engine != e)
				continue;
			incast_row(run, own.n ? &own : &manys[i], e);
		}
	}
	sim_report_print(run->r);
}
