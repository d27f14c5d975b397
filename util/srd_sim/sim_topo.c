/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_topo.c - the networks
 *
 * Links are numbered: hosts up first, host i having link i, then those of the
 * switches, for each its links down and then its links up. Switches are
 * numbered: leaves or edges, aggregations, cores.
 */
#include "sim_topo.h"

#include <errno.h>
#include <stdlib.h>

#include "sim_mem.h"

#define HOST_QUEUE (UINT64_C(64) << 20) /* bytes: a host waits, drops nothing */
#define ACK_BYTES 150 /* on the wire, more or less */

/* Ports of the switches of a fat tree; 0: not so many hosts. */
static uint32_t fat_k(uint32_t hosts)
{
	uint32_t k;

	for (k = 2; k * k * k / 4 < hosts; k += 2)
		;
	return k * k * k / 4 == hosts ? k : 0;
}

int sim_topo_check(const struct sim_topo *t, const char **why)
{
	*why = NULL;
	if (t->hosts < 2 || t->hosts > 65536)
		*why = "hosts: 2..65536";
	else if (t->kind == SIM_FAT_TREE && !fat_k(t->hosts))
		*why = "hosts of a fat tree: k^3/4 for an even k, as 16, 54, "
		       "128, 250, 432, 1024, 2000, 8192";
	else if (t->kind == SIM_LEAF_SPINE &&
		 (!t->per_leaf || t->hosts % t->per_leaf))
		*why = "hosts of a leaf must divide all hosts";
	else if (t->kind == SIM_LEAF_SPINE && !t->spines)
		*why = "spines: 1 or more";
	else if (t->queue < 2 * (uint64_t)t->mtu)
		*why = "queue: two packets or more";
	return *why ? -EINVAL : 0;
}

struct builder {
	struct sim_net *net;
	const struct sim_topo *t;
	uint32_t link; /* the next */
};

static uint32_t add_link(struct builder *b, uint32_t to, double gbps,
			 uint64_t queue)
{
	struct sim_link *l = &b->net->link[b->link];

	sim_link_set_rate(l, gbps);
	l->delay = b->t->delay;
	l->room = sim_link_time(l, queue);
	l->to = to;
	return b->link++;
}

/* Switch sw, above hosts [lo, lo + ndown * per_down). */
static void add_switch(struct builder *b, uint32_t sw, uint32_t lo,
		       uint32_t ndown, uint32_t per_down, uint32_t nup)
{
	struct sim_switch *s = &b->net->sw[sw];

	s->lo = lo;
	s->hi = lo + ndown * per_down;
	s->per_down = per_down;
	s->nup = nup;
	s->salt = sim_rand_next(b->net->rand);
}

/* Links of switch sw down to nodes first, first + step, ... */
static void add_down(struct builder *b, uint32_t sw, uint32_t first,
		     uint32_t step, double gbps)
{
	struct sim_switch *s = &b->net->sw[sw];
	uint32_t i, n = (s->hi - s->lo) / s->per_down;

	s->down = b->link;
	for (i = 0; i < n; i++)
		add_link(b, first + i * step, gbps, b->t->queue);
}

/* Links of switch sw up to nodes first, first + 1, ... */
static void add_up(struct builder *b, uint32_t sw, uint32_t first)
{
	struct sim_switch *s = &b->net->sw[sw];
	uint32_t i;

	s->up = b->link;
	for (i = 0; i < s->nup; i++)
		add_link(b, first + i, b->t->up_gbps, b->t->queue);
}

static void build_star(struct builder *b)
{
	uint32_t n = b->net->nhosts;

	add_switch(b, 0, 0, n, 1, 0);
	add_down(b, 0, 0, 1, b->t->gbps);
}

static void build_leaf_spine(struct builder *b)
{
	const struct sim_topo *t = b->t;
	uint32_t n = t->hosts, leaves = n / t->per_leaf, i;

	for (i = 0; i < leaves; i++) {
		add_switch(b, i, i * t->per_leaf, t->per_leaf, 1, t->spines);
		add_down(b, i, i * t->per_leaf, 1, t->gbps);
		add_up(b, i, n + leaves);
	}
	for (i = 0; i < t->spines; i++) {
		add_switch(b, leaves + i, 0, leaves, t->per_leaf, 0);
		add_down(b, leaves + i, n, 1, t->up_gbps);
	}
}

/* Core j * h + i, of h * h, is the i-th above the j-th of each pod. */
static void build_fat_tree(struct builder *b)
{
	uint32_t n = b->t->hosts, k = fat_k(n), h = k / 2;
	uint32_t aggs = k * h, cores = 2 * k * h, i, pod;

	for (i = 0; i < k * h; i++) {
		pod = i / h;
		add_switch(b, i, i * h, h, 1, h);
		add_down(b, i, i * h, 1, b->t->gbps);
		add_up(b, i, n + aggs + pod * h);
	}
	for (i = 0; i < k * h; i++) {
		pod = i / h;
		add_switch(b, aggs + i, pod * h * h, h, h, h);
		add_down(b, aggs + i, n + pod * h, 1, b->t->up_gbps);
		add_up(b, aggs + i, n + cores + i % h * h);
	}
	for (i = 0; i < h * h; i++) {
		add_switch(b, cores + i, 0, k, h * h, 0);
		add_down(b, cores + i, n + aggs + i / h, h, b->t->up_gbps);
	}
}

static void count(struct sim_net *net, const struct sim_topo *t)
{
	uint32_t leaves, k, h;

	net->nhosts = t->hosts;
	switch (t->kind) {
	case SIM_STAR:
		net->nswitches = 1;
		net->nlinks = 2 * t->hosts;
		break;
	case SIM_LEAF_SPINE:
		leaves = t->hosts / t->per_leaf;
		net->nswitches = leaves + t->spines;
		net->nlinks = 2 * t->hosts + 2 * leaves * t->spines;
		break;
	case SIM_FAT_TREE:
		k = fat_k(t->hosts);
		h = k / 2;
		net->nswitches = 2 * k * h + h * h;
		net->nlinks = 6 * t->hosts;
		break;
	}
}

void sim_topo_build(struct sim_net *net, const struct sim_topo *t,
		    struct sim_queue *queue, struct sim_rand *rand)
{
	struct builder b = { .net = net, .t = t };
	uint32_t i, leaf_hosts = t->per_leaf;

	*net = (struct sim_net){ .queue = queue, .rand = rand };
	count(net, t);
	net->link = sim_mem_get(net->nlinks, sizeof(*net->link));
	net->sw = sim_mem_get(net->nswitches, sizeof(*net->sw));
	if (t->kind == SIM_STAR)
		leaf_hosts = t->hosts;
	if (t->kind == SIM_FAT_TREE)
		leaf_hosts = fat_k(t->hosts) / 2;
	for (i = 0; i < t->hosts; i++)
		add_link(&b, t->hosts + i / leaf_hosts, t->gbps, HOST_QUEUE);
	switch (t->kind) {
	case SIM_STAR:
		build_star(&b);
		break;
	case SIM_LEAF_SPINE:
		build_leaf_spine(&b);
		break;
	case SIM_FAT_TREE:
		build_fat_tree(&b);
		break;
	}
	assert(b.link == net->nlinks);
}

void sim_topo_free(struct sim_net *net)
{
	struct sim_packet *p;
	uint32_t i;

	for (i = 0; i < net->nlinks; i++) {
		while ((p = net->link[i].head)) {
			net->link[i].head = p->next;
			sim_net_put(net, p);
		}
	}
	for (i = 0; i < net->nchunks; i++)
		free(net->chunk[i]);
	free(net->chunk);
	free(net->link);
	free(net->sw);
	*net = (struct sim_net){ .nhosts = 0 };
}

uint32_t sim_topo_hops(const struct sim_topo *t)
{
	static const uint32_t hops[] = {
		[SIM_STAR] = 2,
		[SIM_LEAF_SPINE] = 4,
		[SIM_FAT_TREE] = 6,
	};

	return hops[t->kind];
}

uint64_t sim_topo_one_way(const struct sim_topo *t, uint64_t bytes)
{
	uint32_t hops = sim_topo_hops(t);
	double host_ps = (double)bytes * 8000 / t->gbps;
	double up_ps = hops > 2 ? (double)bytes * 8000 / t->up_gbps : 0;

	return hops * t->delay + (uint64_t)(2 * host_ps + (hops - 2) * up_ps);
}

uint64_t sim_topo_rtt(const struct sim_topo *t)
{
	return sim_topo_one_way(t, t->mtu) + sim_topo_one_way(t, ACK_BYTES);
}

uint64_t sim_topo_delay(const struct sim_topo *t, uint64_t rtt)
{
	return rtt / 2 / sim_topo_hops(t);
}

uint32_t sim_topo_leaf_up(const struct sim_net *net, uint32_t leaf,
			  uint32_t spine)
{
	return net->sw[leaf].up + spine;
}

uint32_t sim_topo_spine_down(const struct sim_net *net,
			     const struct sim_topo *t, uint32_t spine,
			     uint32_t leaf)
{
	return net->sw[t->hosts / t->per_leaf + spine].down + leaf;
}
