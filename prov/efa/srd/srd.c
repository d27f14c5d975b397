/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd.c - an engine from open to close, and its numbers
 *
 * All memory is taken here, in one large piece that costs nothing before it is
 * touched, and the pools of operations.
 */
#include "srd/srd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "srd/srd_priv.h"
#include "util/u_hash.h"
#include "util/u_lines.h"

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

/* The next n objects of mem; NULL while mem is only measured. */
static void *carve(char *mem, size_t *at, size_t n, size_t size)
{
	size_t from = *at;

	*at = u_align(from + n * size, U_LINE);
	return mem ? mem + from : NULL;
}

static void carve_slots(char *mem, size_t *at, struct srd_slots *slots,
			uint32_t n)
{
	slots->n = n;
	slots->size = u_align(SRD_MSG_MAX, U_LINE);
	slots->free = carve(mem, at, n, sizeof(uint32_t));
	slots->mem = carve(mem, at, n, slots->size);
}

/* Says where in mem each array lies; returns the bytes of all. */
static size_t lay_out(struct srd *s, char *mem)
{
	const struct srd_config *c = &s->cfg;
	uint32_t ring = power_of_two(c->max_ops);
	uint32_t hash = power_of_two(2 * c->max_peers);
	size_t at = 0;

	s->done_mask = ring - 1;
	s->hash_mask = hash - 1;
	s->active_size = active_size(c);
	s->peer = carve(mem, &at, c->max_peers, sizeof(*s->peer));
	s->hash = carve(mem, &at, hash, sizeof(*s->hash));
	s->heap = carve(mem, &at, c->max_peers, sizeof(struct srd_peer *));
	s->done = carve(mem, &at, ring, sizeof(*s->done));
	s->part = carve(mem, &at, SRD_PARTS_PER_SLOT * (size_t)c->rx_slots,
			sizeof(*s->part));
	s->active_mem = carve(mem, &at, c->max_active, s->active_size);
	s->hdr = carve(mem, &at, SRD_TX_MAX, SRD_HDR_MAX);
	carve_slots(mem, &at, &s->tx_slots, c->tx_slots);
	carve_slots(mem, &at, &s->rx_slots, c->rx_slots);
	return at;
}

/*
 * From the kernel, which gives pages when they are touched; calloc would touch
 * some of them itself.
 */
static int take_memory(struct srd *s)
{
	void *mem;

	s->mem_size = lay_out(s, NULL);
	mem = mmap(NULL, s->mem_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		return -ENOMEM;
	/* With few peers few pages of each array are touched, but of all. */
	madvise(mem, s->mem_size, MADV_NOHUGEPAGE);
	s->mem = mem;
	lay_out(s, mem);
	if (fill_pool(&s->ops, s->cfg.max_ops) ||
	    fill_pool(&s->replies, s->cfg.max_replies))
		return -ENOMEM;
	return 0;
}

static void derive(struct srd *s)
{
	const struct srd_config *c = &s->cfg;

	s->high_len = c->self.qpn > UINT16_MAX ? SRD_HIGH_LEN : 0;
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
		.window_min = (uint32_t)u_min(c->window_min,
					      (size_t)c->window_pkts * c->mtu),
		.window_max = (uint32_t)u_min((size_t)c->window_pkts * c->mtu,
					      INT32_MAX),
		.window_init = (uint32_t)u_max(c->init_window, c->mtu),
		.target_delay = c->target_delay,
		.link_bps = c->link_bps,
	};
}

int srd_open(const struct srd_config *config, uint64_t now, struct srd **out)
{
	struct srd *s = u_lines_new(sizeof(*s));
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
	err = take_memory(s);
	if (err)
		goto free_memory;
	derive(s);
	srd_part_init(s);
	s->clock = now;
	s->random = u_mix64(s->cfg.seed ^ s->cfg.self.connid);
	s->ready_on = true;
	s->room = UINT32_MAX;
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
	if (s->mem)
		munmap(s->mem, s->mem_size);
	free(s);
}

void srd_set_ready(struct srd *s, bool on)
{
	s->ready_on = on;
}

void srd_set_room(struct srd *s, uint32_t bytes)
{
	s->room = bytes;
}

void srd_set_rnr_retries(struct srd *s, uint32_t retries)
{
	assert(retries <= SRD_RNR_FOREVER);
	s->cfg.rnr_retries = retries;
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
		.resent = p->resent,
		.last_heard = p->heard_at,
		.cwnd = s->cc_cfg.window_init,
		.credit = p->credit,
		.paths = s->cfg.paths,
		.ended = p->ended,
	};
	if (!a)
		return;
	out->rate = a->cc.rate;
	out->cwnd = srd_cc_window(&a->cc, &s->cc_cfg);
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
