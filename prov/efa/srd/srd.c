/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd.c - an engine from open to close, and its numbers
 *
 * All memory is taken here, in a few large pieces that cost nothing before
 * they are touched.
 */
#include "srd/srd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "srd/srd_priv.h"
#include "util/u_hash.h"

/* Packets in flight at least, whatever the delay. */
#define WINDOW_MIN_PKTS 1
/* A path that failed is tried again after so long. */
#define PROBE_MIN (10 * U_MSEC)
#define PROBE_MAX U_SEC

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p <<= 1;
	return p;
}

static size_t active_size(const struct srd_config *c)
{
	return u_align(sizeof(struct srd_active) +
			       c->window_pkts * sizeof(struct srd_open),
		       U_LINE);
}

/* All the objects that the pool may ever hold. */
static int fill_pool(struct u_pool *pool, uint32_t n)
{
	uint32_t chunk = power_of_two(n) < 64 ? power_of_two(n) : 64;

	u_pool_init(pool, sizeof(struct srd_operation), chunk, n);
	for (uint32_t have = 0; have < n; have += chunk)
		if (!u_pool_grow(pool))
			return -ENOMEM;
	return 0;
}

static int take_memory(struct srd *s)
{
	const struct srd_config *c = &s->cfg;
	uint32_t ring = power_of_two(c->max_ops);
	uint32_t hash = power_of_two(2 * c->max_peers);

	s->active_size = active_size(c);
	s->done_mask = ring - 1;
	s->hash_mask = hash - 1;
	s->peer = calloc(c->max_peers, sizeof(*s->peer));
	s->hash = calloc(hash, sizeof(*s->hash));
	s->heap = calloc(c->max_peers, sizeof(struct srd_peer *));
	s->active_mem = calloc(c->max_active, s->active_size);
	s->done = calloc(ring, sizeof(*s->done));
	s->hdr = calloc(SRD_TX_MAX, SRD_HDR_MAX);
	if (!s->peer || !s->hash || !s->heap || !s->active_mem || !s->done ||
	    !s->hdr || srd_part_init(s))
		return -ENOMEM;
	if (srd_slots_init(&s->tx_slots, c->tx_slots, SRD_MSG_MAX) ||
	    srd_slots_init(&s->rx_slots, c->rx_slots, SRD_MSG_MAX))
		return -ENOMEM;
	if (fill_pool(&s->ops, c->max_ops) ||
	    fill_pool(&s->replies, c->max_replies))
		return -ENOMEM;
	return 0;
}

static void derive(struct srd *s)
{
	const struct srd_config *c = &s->cfg;

	s->paths_cfg = (struct srd_paths_config){
		.n = c->paths,
		.burst = c->burst,
		.target_delay = c->target_delay,
		.rtt_guess = c->rtt_guess,
		.probe_min = PROBE_MIN,
		.probe_max = PROBE_MAX,
	};
	s->cc_cfg = (struct srd_cc_config){
		.packet = c->mtu,
		.window_min = WINDOW_MIN_PKTS * c->mtu,
		.window_max = (uint32_t)u_min((size_t)c->window_pkts * c->mtu,
					      INT32_MAX),
		.window_init = (uint32_t)u_max(c->init_window, c->mtu),
		.target_delay = c->target_delay,
		.link_bps = c->link_bps,
	};
}

int srd_open(const struct srd_config *config, uint64_t now, struct srd **out)
{
	struct srd *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->cfg = *config;
	err = srd_config_fill(&s->cfg);
	if (err)
		goto free_engine;
	TAILQ_INIT(&s->ready);
	TAILQ_INIT(&s->gone);
	TAILQ_INIT(&s->active_free);
	TAILQ_INIT(&s->active_idle);
	TAILQ_INIT(&s->part_free);
	TAILQ_INIT(&s->dead_parts);
	err = take_memory(s);
	if (err)
		goto free_memory;
	derive(s);
	s->clock = now;
	s->random = u_mix64(s->cfg.seed ^ s->cfg.self.connid);
	s->ready_on = true;
	*out = s;
	return 0;
free_memory:
	srd_close(s);
	return err;
free_engine:
	free(s);
	return err;
}

void srd_close(struct srd *s)
{
	u_pool_fini(&s->replies);
	u_pool_fini(&s->ops);
	srd_slots_fini(&s->rx_slots);
	srd_slots_fini(&s->tx_slots);
	free(s->part);
	free(s->hdr);
	free(s->done);
	free(s->active_mem);
	free(s->heap);
	free(s->hash);
	free(s->peer);
	free(s);
}

void srd_set_ready(struct srd *s, bool on)
{
	s->ready_on = on;
}

void srd_set_pressure(struct srd *s, bool on, uint64_t now)
{
	(void)now;
	if (s->pressure_on == on)
		return;
	s->pressure_on = on;
	if (on)
		return;
	for (uint32_t i = 0; i < s->npeers; i++)
		if (s->peer[i].told && !s->peer[i].ended)
			srd_ack_hurry(s, &s->peer[i]);
}

bool srd_idle(const struct srd *s)
{
	return !s->ops.taken && !s->replies.taken && !s->nopen && !s->nowed;
}

const struct srd_stats *srd_stats(const struct srd *s)
{
	return &s->stats;
}

void srd_peer_stats(const struct srd *s, const struct srd_peer *p,
		    struct srd_peer_stats *out)
{
	const struct srd_active *a = p->active;

	*out = (struct srd_peer_stats){
		.srtt = p->srtt,
		.rttvar = p->rttvar,
		.last_rtt = p->last_rtt,
		.rate = p->cc.rate,
		.resent = p->resent,
		.last_heard = p->heard_at,
		.cwnd = srd_cc_window(&p->cc, &s->cc_cfg),
		.credit = p->credit,
		.paths = s->cfg.paths,
		.ended = p->ended,
	};
	if (!a)
		return;
	out->in_flight = a->in_flight;
	out->queueing = srd_paths_queueing(&a->paths, &s->paths_cfg, s->clock);
	if (p->srtt)
		out->base_rtt = srd_paths_base_rtt(&a->paths, &s->paths_cfg);
}

bool srd_peer_path(const struct srd *s, const struct srd_peer *p, uint32_t path,
		   struct srd_path_stats *out)
{
	const struct srd_path *q;

	if (!p->active || path >= s->cfg.paths)
		return false;
	q = &p->active->paths.path[path];
	*out = (struct srd_path_stats){
		.sent = q->sent,
		.lost = q->lost,
		.srtt = q->srtt_ns,
		.base_rtt = q->base_ns,
		.suspect = q->state == SRD_PATH_SUSPECT,
	};
	return true;
}

size_t srd_peer_size(void)
{
	return sizeof(struct srd_peer);
}

size_t srd_active_size(const struct srd_config *config)
{
	struct srd_config c = *config;

	return srd_config_fill(&c) ? 0 : active_size(&c);
}
