/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * scene_random.c - small networks, flows and faults that a seed makes up
 *
 * Everything is drawn from the seed: the network and its speed, the sizes of
 * the engine's tables, links that lose, damage and double packets or die for
 * a while, receivers that are not ready, and messages of every kind. All of
 * them have to arrive.
 */
#include "sim_scene.h"

#include <stdlib.h>

#include "sim_mem.h"
#include "sim_oracle.h"

#define BYTES_MAX (1 << 20)
#define START_US 2000 /* flows start before */
#define DEAD_US 3000 /* a link is dead at most */

struct dice {
	struct sim_world w;
	struct sim_rand rand;
	struct sim_flow *plan; /* flows to start */
	uint32_t nplan;
	bool damage; /* some link damages packets */
};

static uint32_t roll(struct dice *d, uint32_t from, uint32_t to)
{
	return from + sim_rand_below(&d->rand, to - from + 1);
}

static bool one_in(struct dice *d, uint32_t n)
{
	return sim_rand_below(&d->rand, n) == 0;
}

static struct sim_topo topo_roll(struct dice *d)
{
	static const double speeds[] = { 10, 25, 100, 400 };
	struct sim_topo t = {
		.kind = (enum sim_topo_kind)roll(d, SIM_STAR, SIM_FAT_TREE),
		.gbps = speeds[roll(d, 0, 3)],
		.mtu = roll(d, SRD_PACKET_MIN, 4200) + SIM_FRAME,
	};

	switch (t.kind) {
	case SIM_STAR:
		t.hosts = roll(d, 2, 8);
		break;
	case SIM_LEAF_SPINE:
		t.per_leaf = roll(d, 1, 4);
		t.hosts = t.per_leaf * roll(d, 2, 4);
		t.spines = roll(d, 1, 4);
		break;
	case SIM_FAT_TREE:
		t.hosts = 16;
		break;
	}
	t.up_gbps = one_in(d, 3) ? t.gbps / 4 : t.gbps;
	t.delay = roll(d, 100, 20000) * SIM_PS_NS;
	t.queue = (uint64_t)t.mtu * roll(d, 4, 200);
	return t;
}

static uint32_t power_roll(struct dice *d, uint32_t from, uint32_t to)
{
	return 1u << roll(d, from, to);
}

static void engine_roll(struct dice *d)
{
	struct srd_config *c = &d->w.engine;

	sim_end_config(c, &d->w.topo, roll(d, 1, SRD_PATHS_MAX), d->w.nends);
	c->window_pkts = power_roll(d, 6, 11);
	c->check_all = one_in(d, 2);
	c->ack_every = roll(d, 1, 16);
	c->max_ops = roll(d, 2, 64);
	c->max_replies = roll(d, 1, 16);
	c->tx_slots = roll(d, 2, 64);
	c->rx_slots = roll(d, 1, 16);
	if (one_in(d, 2))
		c->rx_budget = d->w.topo.mtu * roll(d, 2, 200);
	if (one_in(d, 2))
		c->init_window = d->w.topo.mtu * roll(d, 1, 200);
}

/* --- faults --- */

struct fault_at {
	struct dice *d;
	uint32_t which; /* link or endpoint */
	bool on;
};

static void link_kill(struct sim_world *w, void *arg)
{
	const struct fault_at *f = arg;

	sim_net_kill(&w->net, f->which, f->on);
	free(arg);
}

static void end_ready(struct sim_world *w, void *arg)
{
	const struct fault_at *f = arg;

	srd_set_ready(w->end[f->which].srd, f->on);
	free(arg);
}

static void later(struct dice *d, uint64_t us, sim_call call, uint32_t which,
		  bool on)
{
	struct fault_at *f = sim_mem_get(1, sizeof(*f));

	*f = (struct fault_at){ .d = d, .which = which, .on = on };
	sim_world_at(&d->w, us * SIM_PS_US, call, f);
}

static void faults_roll(struct dice *d)
{
	uint32_t n = one_in(d, 2) ? roll(d, 1, 4) : 0, which, at;
	double loss, damaged, twice;

	while (n--) {
		which = sim_rand_below(&d->rand, d->w.net.nlinks);
		loss = one_in(d, 2) ? sim_rand_unit(&d->rand) * 0.1 : 0;
		damaged = one_in(d, 3) ? sim_rand_unit(&d->rand) * 0.05 : 0;
		twice = one_in(d, 3) ? sim_rand_unit(&d->rand) * 0.2 : 0;
		d->damage |= damaged > 0;
		sim_net_fault(&d->w.net, which, loss, damaged, twice);
	}
	n = one_in(d, 3) ? roll(d, 1, 3) : 0;
	while (n--) {
		which = sim_rand_below(&d->rand, d->w.net.nlinks);
		at = roll(d, 0, START_US);
		later(d, at, link_kill, which, true);
		later(d, at + roll(d, 1, DEAD_US), link_kill, which, false);
	}
	n = one_in(d, 3) ? roll(d, 1, 3) : 0;
	while (n--) {
		which = sim_rand_below(&d->rand, d->w.nends);
		at = roll(d, 0, START_US);
		later(d, at, end_ready, which, false);
		later(d, at + roll(d, 1, DEAD_US), end_ready, which, true);
	}
}

/* --- messages --- */

static struct sim_flow flow_roll(struct dice *d)
{
	struct sim_flow f = { .from = sim_rand_below(&d->rand, d->w.nends) };
	uint32_t scale = roll(d, 4, 20);

	do
		f.to = sim_rand_below(&d->rand, d->w.nends);
	while (f.to == f.from);
	f.kind = (uint8_t)roll(d, SIM_FLOW_SEND, SIM_FLOW_READ);
	f.bytes = roll(d, 1, 1u << scale);
	if (f.kind == SIM_FLOW_SEND)
		f.bytes = f.bytes % (SIM_SEND_MAX - 15) + 16;
	f.imm = f.kind == SIM_FLOW_WRITE && one_in(d, 2);
	return f;
}

static void flow_post(struct sim_world *w, void *arg)
{
	sim_flow_start_as(w, arg);
}

static void flows_roll(struct dice *d)
{
	uint32_t i, most = one_in(d, 4) ? 400 : 40;

	d->nplan = roll(d, 1, most);
	d->plan = sim_mem_get(d->nplan, sizeof(*d->plan));
	for (i = 0; i < d->nplan; i++) {
		d->plan[i] = flow_roll(d);
		sim_world_at(&d->w, roll(d, 0, START_US) * SIM_PS_US, flow_post,
			     &d->plan[i]);
	}
}

/* Until every message has been posted and every link lives again. */
static void run_out(struct dice *d)
{
	sim_world_run(&d->w, (START_US + DEAD_US + 1) * SIM_PS_US);
	sim_oracle_end(&d->w);
}

static void drops_check(const struct dice *d, const struct srd_stats *s)
{
	if (d->damage)
		return;
	if (s->bad_short || s->bad_version || s->bad_check || s->bad_type ||
	    s->bad_field || s->bad_incarnation)
		sim_oracle_broken(&d->w, NULL,
				  "an engine dropped what an engine sent");
}

static void seed_run(struct sim_run *run, uint64_t seed,
		     struct srd_stats *stats, uint64_t total[3])
{
	struct dice d = { .rand = { .state = seed } };
	struct sim_stage all = { .engine = SIM_ENGINE_SRD };
	struct sim_topo t = topo_roll(&d);
	uint32_t host, i, ends = roll(&d, 1, 3);

	sim_world_init(&d.w, &t, sim_rand_next(&d.rand), BYTES_MAX);
	for (host = 0; host < t.hosts; host++)
		for (i = 0; i < ends; i++)
			sim_end_add(&d.w, host);
	engine_roll(&d);
	sim_world_open(&d.w, seed);
	faults_roll(&d);
	flows_roll(&d);
	run_out(&d);
	all.w = d.w;
	sim_stage_stats(&all, stats);
	drops_check(&d, stats);
	sim_stage_tell(&all, run->o);
	total[0] += d.w.nflows;
	total[1] += d.w.checked;
	total[2] += sim_net_dropped(&d.w.net) + sim_net_lost(&d.w.net);
	sim_world_fini(&d.w);
	free(d.plan);
}

void sim_scene_random(struct sim_run *run)
{
	uint64_t i, total[3] = { 0 }, data = 0, resent = 0, doubled = 0;
	char command[64];
	struct srd_stats stats;

	for (i = 0; i < run->o->seeds; i++) {
		snprintf(command, sizeof(command), "srd_sim random --seed %llu",
			 (unsigned long long)(run->o->seed + i));
		sim_oracle_command(command);
		seed_run(run, run->o->seed + i, &stats, total);
		data += stats.tx_data;
		resent += stats.resent;
		doubled += stats.duplicates;
		sim_report_progress(run->r, (i + 1.0) / run->o->seeds,
				    "random networks");
	}
	sim_report_table(run->r, "seeds|messages|bytes checked|data packets|"
				 "lost|resent|duplicates");
	sim_report_row(run->r, "%llu|%llu|%llu|%llu|%llu|%llu|%llu",
		       (unsigned long long)run->o->seeds,
		       (unsigned long long)total[0],
		       (unsigned long long)total[1], (unsigned long long)data,
		       (unsigned long long)total[2], (unsigned long long)resent,
		       (unsigned long long)doubled);
	sim_report_pass(run->r, true,
			"every message once, whole, in its place, and all came "
			"to rest");
	sim_report_print(run->r);
}
