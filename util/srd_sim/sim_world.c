/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_world.c - the clock that jumps, and the hosts that take turns
 */
#include "sim_world.h"

#include <stdlib.h>

#include "sim_mem.h"
#include "sim_oracle.h"

void sim_world_init(struct sim_world *w, const struct sim_topo *t,
		    uint64_t seed, uint64_t max_bytes)
{
	uint32_t i;

	*w = (struct sim_world){ .topo = *t, .rand = { .state = seed } };
	sim_queue_init(&w->queue);
	sim_topo_build(&w->net, &w->topo, &w->queue, &w->rand);
	w->host = sim_mem_get(t->hosts, sizeof(*w->host));
	for (i = 0; i < t->hosts; i++)
		STAILQ_INIT(&w->host[i].ready);
	sim_oracle_init(w, max_bytes);
}

void sim_world_open(struct sim_world *w, uint64_t seed)
{
	struct sim_rand rand = { .state = ~seed };
	uint32_t i;

	for (i = 0; i < w->nends; i++)
		sim_end_open(w, &w->end[i], sim_rand_next(&rand));
}

void sim_world_fini(struct sim_world *w)
{
	uint32_t i;

	for (i = 0; i < w->nends; i++)
		sim_end_close(&w->end[i]);
	for (i = 0; i < w->nconns; i++)
		free(w->conn[i]);
	for (i = 0; i < w->nflows; i++)
		free(sim_flow_at(w, i)->memory);
	for (i = 0; i < w->nflows; i += SIM_FLOW_CHUNK)
		free(w->flow[i / SIM_FLOW_CHUNK]);
	sim_oracle_fini(w);
	sim_topo_free(&w->net);
	sim_queue_fini(&w->queue);
	free(w->flow);
	free(w->conn);
	free(w->end);
	free(w->host);
	free(w->timer);
}

uint32_t sim_end_add(struct sim_world *w, uint32_t host)
{
	struct sim_host *h = &w->host[host];
	struct sim_end *e;

	assert(!h->nends || h->first_end + h->nends == w->nends);
	w->end = sim_mem_grow(w->end, w->nends + 1, sizeof(*w->end));
	e = &w->end[w->nends];
	*e = (struct sim_end){
		.source = { .number = w->nends },
		.host = host,
		.timer_at = SIM_NEVER,
		.wait_head = SIM_NONE,
		.wait_tail = SIM_NONE,
		.world = w,
	};
	if (!h->nends++)
		h->first_end = w->nends;
	return w->nends++;
}

void sim_world_at(struct sim_world *w, uint64_t at, sim_call call, void *arg)
{
	w->timer = sim_mem_grow(w->timer, w->ntimers + 1, sizeof(*w->timer));
	w->timer[w->ntimers] = (struct sim_timer){ .call = call, .arg = arg };
	if (at < w->now)
		at = w->now;
	sim_queue_push(&w->queue, at, SIM_WHAT_CALL | w->ntimers++);
}

/* --- hosts --- */

void sim_host_ready(struct sim_world *w, uint32_t host, struct sim_source *s)
{
	if (s->queued)
		return;
	s->queued = true;
	STAILQ_INSERT_TAIL(&w->host[host].ready, s, link);
}

static bool pull(struct sim_world *w, struct sim_source *s, uint32_t max)
{
	if (s->tcp)
		return sim_conn_pull(w, w->conn[s->number]);
	return sim_end_pull(w, &w->end[s->number], max);
}

/* More than SIM_NIC_PKTS wait: come back when it is half of that. */
static void block(struct sim_world *w, uint32_t host, uint64_t backlog,
		  uint64_t full)
{
	struct sim_host *h = &w->host[host];

	h->blocked = true;
	sim_queue_push(&w->queue, w->now + backlog - full / 2,
		       SIM_WHAT_HOST | host);
}

void sim_host_run(struct sim_world *w, uint32_t host)
{
	struct sim_host *h = &w->host[host];
	const struct sim_link *nic = &w->net.link[host];
	uint64_t full = sim_link_time(nic, SIM_NIC_PKTS * w->topo.mtu);
	struct sim_source *s;
	uint64_t backlog;

	if (h->running || h->blocked)
		return;
	h->running = true;
	while ((s = STAILQ_FIRST(&h->ready))) {
		backlog = sim_link_backlog(nic, w->now);
		if (backlog >= full) {
			block(w, host, backlog, full);
			break;
		}
		STAILQ_REMOVE_HEAD(&h->ready, link);
		s->queued = false;
		if (pull(w, s, SIM_NIC_PKTS / 2))
			sim_host_ready(w, host, s);
	}
	h->running = false;
}

/* --- the clock --- */

static void arrive(struct sim_world *w, uint32_t link)
{
	struct sim_packet *p = sim_net_arrive(&w->net, link);

	if (!p)
		return;
	if (p->kind == SIM_SRD)
		sim_end_rx(w, p);
	else
		sim_conn_rx(w, p);
	sim_net_put(&w->net, p);
}

static void happen(struct sim_world *w, uint32_t what)
{
	uint32_t n = what & ~SIM_WHAT_MASK;

	if (u_likely((what & SIM_WHAT_MASK) == SIM_WHAT_LINK)) {
		arrive(w, n);
		return;
	}
	sim_queue_pop(&w->queue);
	switch ((enum sim_what)(what & SIM_WHAT_MASK)) {
	case SIM_WHAT_LINK:
		break;
	case SIM_WHAT_HOST:
		w->host[n].blocked = false;
		sim_host_run(w, n);
		break;
	case SIM_WHAT_END:
		sim_end_timer(w, &w->end[n]);
		break;
	case SIM_WHAT_CONN:
		sim_conn_timer(w, w->conn[n]);
		break;
	case SIM_WHAT_CALL:
		w->timer[n].call(w, w->timer[n].arg);
		break;
	}
}

bool sim_world_run(struct sim_world *w, uint64_t until)
{
	const struct sim_event *top;

	w->halt = false;
	while (w->queue.n && !w->halt) {
		top = sim_queue_top(&w->queue);
		if (top->at > until) {
			w->now = until;
			return false;
		}
		assert(top->at >= w->now);
		w->now = top->at;
		w->events++;
		happen(w, top->what);
	}
	return !w->queue.n;
}
