/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_path_rtt.c - round trips: of a path, of most paths, of no queue at all
 *
 * What needs a look at all paths (medians, weights of paths that were not
 * heard for long) is done a few times in a round trip.
 *
 * Paths are taken to be equally long when empty: the base is one for all. A
 * base for each would be set by the first packets of a path, which may have
 * met a queue.
 */
#include "srd/srd_path.h"

#include "srd/srd_path_priv.h"
#include "util/u_base.h"
#include "util/u_time.h"

/* The smallest round trip is taken anew after such spans, each twice as long
 * as the one before. */
#define SPAN_MIN (2 * U_MSEC)
#define SPAN_MAX (8 * U_SEC)

/* Where more come in between, the medians are taken twice in a round trip;
 * else at each. */
#define SAMPLES_MANY 8

static uint32_t ns32(uint64_t ns)
{
	return ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static uint32_t paths_base(const struct srd_paths *ps,
			   const struct srd_paths_config *c)
{
	return ps->base_ns ? ps->base_ns : ns32(c->rtt_guess);
}

static void paths_set_scale(struct srd_paths *ps,
			    const struct srd_paths_config *c)
{
	uint64_t span = c->target_delay + paths_base(ps, c) / 4 + 1;

	ps->weight_scale = ns32(((uint64_t)SRD_WEIGHT_MAX << 16) / span);
}

void srd_path_rtt_init(struct srd_paths *ps, const struct srd_paths_config *c)
{
	ps->recycle_ns = UINT32_MAX;
	ps->quick_ns = UINT32_MAX;
	paths_set_scale(ps, c);
}

/* --- most paths --- */

static void paths_sort_in(uint32_t *v, uint32_t n, uint32_t x)
{
	for (; n && v[n - 1] > x; n--)
		v[n] = v[n - 1];
	v[n] = x;
}

/* Medians of round trips heard since `since`, and of losses. */
static uint32_t paths_measure(struct srd_paths *ps, uint32_t n, uint64_t since,
			      uint32_t *rtt, uint32_t *loss)
{
	uint32_t i, nrtt = 0;

	for (i = 0; i < n; i++) {
		paths_sort_in(loss, i, ps->path[i].loss);
		if (ps->path[i].srtt_ns && ps->path[i].sampled_at >= since)
			paths_sort_in(rtt, nrtt++, ps->path[i].last_ns);
	}
	return nrtt;
}

/* What was said of a path long ago may be true no longer. */
static void paths_forgive(struct srd_paths *ps, uint32_t n, uint64_t since)
{
	struct srd_path *p;
	uint32_t i;

	for (i = 0; i < n; i++) {
		p = &ps->path[i];
		if (p->sampled_at < since && p->lost_at < since)
			p->weight +=
				(uint8_t)((SRD_WEIGHT_MAX - p->weight) / 8);
	}
}

static void paths_refresh(struct srd_paths *ps,
			  const struct srd_paths_config *c, uint64_t now)
{
	uint32_t rtt[SRD_PATHS_MAX], loss[SRD_PATHS_MAX] = { 0 }, n;
	uint32_t base = paths_base(ps, c);
	uint64_t horizon = (uint64_t)base + ps->queue_ns;
	uint64_t since = now > horizon ? now - horizon : 0;

	n = paths_measure(ps, c->n, since, rtt, loss);
	paths_forgive(ps, c->n, since);
	ps->loss = (uint8_t)loss[(c->n - 1) / 2];
	if (n) {
		ps->queue_ns = rtt[(n - 1) / 2] -
			       (uint32_t)u_min(rtt[(n - 1) / 2], base);
		ps->quick_ns = rtt[(n - 1) / 4];
		ps->recycle_ns =
			ns32(base + ps->queue_ns + c->target_delay / 4);
	}
	paths_set_scale(ps, c);
	horizon = (uint64_t)base + ps->queue_ns;
	ps->refresh_at = now + horizon / (ps->samples > SAMPLES_MANY ? 2 : 8);
	ps->samples = 0;
}

/*
 * A new span of time. The base rises slowly: what looks like a longer way is
 * most often a queue that is always there. A guess that is known to be good
 * counts as the first sample, since the first packets may have met a queue.
 */
static U_COLD void paths_begin_span(struct srd_paths *ps,
				    const struct srd_paths_config *c,
				    uint32_t rtt, uint64_t now)
{
	uint32_t rise = ps->span_ns - ps->base_ns;
	uint32_t i;

	if (!ps->span) {
		ps->base_ns = c->rtt_known ? ns32(c->rtt_guess) : rtt;
		ps->span = SPAN_MIN;
	} else {
		ps->base_ns += rise > 4 * c->target_delay ? rise / 4 :
							    rise / 16;
		ps->span = u_min(2 * ps->span, SPAN_MAX);
	}
	ps->span_ns = rtt;
	ps->span_end = now + ps->span;
	for (i = 0; i < c->n; i++)
		ps->path[i].base_ns = 0;
}

static void paths_take_base(struct srd_paths *ps,
			    const struct srd_paths_config *c,
			    struct srd_path *p, uint32_t rtt, uint64_t now)
{
	if (u_unlikely(now >= ps->span_end))
		paths_begin_span(ps, c, rtt, now);
	if (rtt < ps->span_ns)
		ps->span_ns = rtt;
	if (rtt < ps->base_ns)
		ps->base_ns = rtt;
	if (!p->base_ns || rtt < p->base_ns)
		p->base_ns = rtt;
}

/* A sample after a pause stands for itself. */
static void path_smooth(struct srd_path *p, uint32_t rtt, uint64_t now)
{
	uint32_t off = rtt > p->srtt_ns ? rtt - p->srtt_ns : p->srtt_ns - rtt;

	if (!p->srtt_ns) {
		p->srtt_ns = rtt;
		p->var_ns = rtt / 4;
	} else if (now - p->sampled_at > 2 * (uint64_t)p->srtt_ns) {
		p->srtt_ns = rtt;
		p->var_ns = (uint32_t)((3 * (uint64_t)p->var_ns + off) / 4);
	} else {
		p->var_ns = (uint32_t)((3 * (uint64_t)p->var_ns + off) / 4);
		p->srtt_ns = (uint32_t)((3 * (uint64_t)p->srtt_ns + rtt) / 4);
	}
	p->last_ns = rtt;
	p->sampled_at = now;
}

void srd_path_rtt_take(struct srd_paths *ps, const struct srd_paths_config *c,
		       struct srd_path *p, uint64_t rtt, uint64_t now)
{
	paths_take_base(ps, c, p, ns32(rtt), now);
	path_smooth(p, ns32(rtt), now);
}

void srd_path_rtt_refresh(struct srd_paths *ps,
			  const struct srd_paths_config *c, uint64_t now)
{
	ps->samples++;
	if (now >= ps->refresh_at)
		paths_refresh(ps, c, now);
}

uint64_t srd_paths_queueing(const struct srd_paths *ps,
			    const struct srd_paths_config *c, uint64_t now)
{
	(void)c;
	(void)now;
	return ps->queue_ns;
}

uint64_t srd_paths_base_rtt(const struct srd_paths *ps,
			    const struct srd_paths_config *c)
{
	return ps->base_ns ? ps->base_ns : c->rtt_guess;
}

uint64_t srd_paths_reorder_window(const struct srd_paths *ps,
				  const struct srd_paths_config *c,
				  uint8_t path)
{
	const struct srd_path *p = &ps->path[path];
	uint64_t base = srd_paths_base_rtt(ps, c);

	return p->srtt_ns ? base / 4 + 2 * (uint64_t)p->var_ns : base;
}
