/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_path.c - the paths to one peer: what each costs, and which to take
 *
 * A packet takes, in this order: the path of the burst under way; a path that
 * has just brought a packet without queueing, once for each such packet, so
 * that as much goes to a path as comes out of it; else, and for one packet in
 * RECYCLED_RUN, the next one in turn, where a path comes up in proportion to
 * its weight. The weight falls with the delay over that of the good paths and
 * with each loss.
 *
 * Even the smallest weight is too much for a path that is a hundred times
 * slower than its siblings: what goes there is what all others wait for. It is
 * known by its lag: packets that were sent after those on it have arrived long
 * before them. A pause of either host, long as it may be, lets nothing overtake.
 * Such a path is suspect, as one that loses everything, until a probe is in
 * time.
 *
 * How long round trips are, and what is usual, is found out in srd_path_rtt.c.
 *
 * I1: nsuspect is the number of paths whose state is SUSPECT.
 * I2: probe_at is at most the probe_at of any suspect path.
 */
#include "srd/srd_path.h"

#include <string.h>

#include "srd/srd_path_priv.h"
#include "util/u_base.h"
#include "util/u_hash.h"

/* One in so many goes by weight though there is a path that delivered, so that
 * the others are not forgotten. */
#define RECYCLED_RUN 16

#define WEIGHT_MIN 8 /* enough to notice that a path has become better */
#define LOSSES_MIN 3 /* in a row, before a path is suspect */
#define LOSS_LOTS 128 /* of 255: so many lost make a path suspect */
#define LOSS_HEALED 48 /* of 255: and so few make it good again */
#define PICKS_MAX 255
#define LATE_MIN 3 /* in a row, before a path is suspect */
#define RELAPSES_MAX 8

/* --- the beginning --- */

static void paths_shuffle(struct srd_paths *ps, uint32_t n, uint64_t random)
{
	uint32_t i, j;
	uint8_t p;

	for (i = 0; i < n; i++)
		ps->order[i] = (uint8_t)i;
	for (i = n; i > 1; i--) {
		random = u_mix64(random + i);
		j = (uint32_t)(random % i);
		p = ps->order[j];
		ps->order[j] = ps->order[i - 1];
		ps->order[i - 1] = p;
	}
}

void srd_paths_init(struct srd_paths *ps, const struct srd_paths_config *c,
		    uint64_t seed)
{
	uint32_t i;

	assert(c->n > 0 && c->n <= SRD_PATHS_MAX);
	memset(ps, 0, sizeof(*ps));
	ps->probe_at = UINT64_MAX;
	srd_path_rtt_init(ps, c);
	paths_shuffle(ps, c->n, seed);
	for (i = 0; i < c->n; i++) {
		ps->path[i].state = SRD_PATH_FRESH;
		ps->path[i].weight = SRD_WEIGHT_MAX;
	}
}

/* --- which to take --- */

static bool paths_takes(const struct srd_paths *ps, int path, int avoid)
{
	return path != avoid && !srd_paths_is_suspect(ps, (uint8_t)path);
}

/* A path that delivered, or -1. Those that cannot be taken are forgotten. */
static int paths_recycled(struct srd_paths *ps, int avoid)
{
	uint8_t path;

	while (ps->recycled_len) {
		path = ps->recycled[ps->recycled_head];
		ps->recycled_head = (ps->recycled_head + 1) % SRD_PATHS_MAX;
		ps->recycled_len--;
		ps->path[path].recycled--;
		if (paths_takes(ps, path, avoid))
			return path;
	}
	return -1;
}

static uint8_t paths_turn(struct srd_paths *ps, uint32_t n)
{
	if (++ps->turn >= n)
		ps->turn = 0;
	return ps->order[ps->turn];
}

/* There is no good path: any, in turn, may have come back. */
static U_COLD uint8_t paths_any(struct srd_paths *ps, uint32_t n, int avoid)
{
	uint8_t path = paths_turn(ps, n);

	return path == avoid ? paths_turn(ps, n) : path;
}

/*
 * The next path whose weights have added up to a turn. Two rounds are enough
 * where one path has full weight; else the one that is nearest to its turn.
 */
static uint8_t paths_weighted(struct srd_paths *ps, uint32_t n, int avoid)
{
	struct srd_path *p;
	int best = -1;
	uint32_t i;
	uint8_t path;

	for (i = 0; i < 2 * n; i++) {
		path = paths_turn(ps, n);
		p = &ps->path[path];
		if (!paths_takes(ps, path, avoid))
			continue;
		p->due += p->weight + 1;
		if (p->due >= 256) {
			p->due -= 256;
			return path;
		}
		if (best < 0 || p->due > ps->path[best].due)
			best = path;
	}
	if (best < 0)
		return paths_any(ps, n, avoid);
	ps->path[best].due = 0;
	return (uint8_t)best;
}

/* Bursts that are out on it, or may go out on it again. */
static uint32_t path_load(const struct srd_path *p)
{
	return (uint32_t)p->picks + p->recycled;
}

static void paths_begin_burst(struct srd_paths *ps,
			      const struct srd_paths_config *c, uint8_t path)
{
	struct srd_path *p = &ps->path[path];

	ps->at = path;
	ps->burst_left = c->burst;
	if (p->picks < PICKS_MAX)
		p->picks++;
}

/*
 * The path for a new burst. One that delivered is taken again; now and then it
 * gives way to one that has less on it, else chance would let some take all.
 */
static uint8_t paths_choose(struct srd_paths *ps, uint32_t n, int avoid)
{
	int again = paths_recycled(ps, avoid);
	uint8_t other;

	if (again >= 0 && ++ps->recycled_run < RECYCLED_RUN)
		return (uint8_t)again;
	ps->recycled_run = 0;
	other = paths_weighted(ps, n, avoid);
	if (again < 0 ||
	    path_load(&ps->path[other]) < path_load(&ps->path[again]) + 1)
		return other;
	return (uint8_t)again;
}

uint8_t srd_paths_pick(struct srd_paths *ps, const struct srd_paths_config *c,
		       uint32_t len, int avoid, uint64_t now)
{
	(void)now;
	if (ps->burst_left < len || !paths_takes(ps, ps->at, avoid))
		paths_begin_burst(ps, c, paths_choose(ps, c->n, avoid));
	ps->burst_left -= (uint32_t)u_min(len, ps->burst_left);
	ps->path[ps->at].sent++;
	return ps->at;
}

/* --- what they cost --- */

static uint8_t path_weight(const struct srd_paths *ps, const struct srd_path *p)
{
	uint64_t minus = p->loss > ps->loss ? 2u * (p->loss - ps->loss) : 0;

	if (p->srtt_ns > ps->quick_ns)
		minus += (uint64_t)(p->srtt_ns - ps->quick_ns) *
				 ps->weight_scale >>
			 16;
	return minus < SRD_WEIGHT_MAX - WEIGHT_MIN ?
		       (uint8_t)(SRD_WEIGHT_MAX - minus) :
		       WEIGHT_MIN;
}

/* Each burst that went out on a path lets it be taken once more. */
static void paths_recycle(struct srd_paths *ps, uint8_t path)
{
	struct srd_path *p = &ps->path[path];

	if (!p->picks)
		return;
	p->picks--;
	if (p->last_ns > ps->recycle_ns || ps->recycled_len == SRD_PATHS_MAX)
		return;
	ps->recycled[(ps->recycled_head + ps->recycled_len++) % SRD_PATHS_MAX] =
		path;
	p->recycled++;
}

/* --- good and bad ones --- */

static U_COLD void paths_next_probe(struct srd_paths *ps, uint32_t n)
{
	uint32_t i;

	ps->probe_at = UINT64_MAX;
	for (i = 0; i < n; i++)
		if (ps->path[i].state == SRD_PATH_SUSPECT &&
		    ps->path[i].probe_at < ps->probe_at)
			ps->probe_at = ps->path[i].probe_at;
}

static uint64_t paths_probe_wait(const struct srd_paths_config *c,
				 const struct srd_path *p)
{
	return u_min(c->probe_min << u_min(p->probes, 20), c->probe_max);
}

static U_COLD void paths_suspect(struct srd_paths *ps,
				 const struct srd_paths_config *c,
				 struct srd_path *p, uint64_t now)
{
	assert(ps->nsuspect < c->n); /* I1 */
	p->state = SRD_PATH_SUSPECT;
	p->probes = p->relapses;
	p->picks = 0;
	p->late_in_row = 0;
	p->probe_at = now + paths_probe_wait(c, p);
	if (p->loss < LOSS_LOTS)
		p->loss = LOSS_LOTS;
	ps->nsuspect++;
	paths_next_probe(ps, c->n);
}

/* It brought something: a few more of these and it is good. */
static U_COLD void paths_heal(struct srd_paths *ps,
			      const struct srd_paths_config *c,
			      struct srd_path *p, uint64_t now)
{
	p->loss /= 2;
	p->probes = 0;
	p->probe_at = now;
	if (p->loss <= LOSS_HEALED) {
		p->state = SRD_PATH_GOOD;
		p->healed_at = now;
		ps->nsuspect--;
	}
	paths_next_probe(ps, c->n);
}

/*
 * ns that make a path useless beside the others. Of a suspect path, whose
 * probes may have nothing to be overtaken by, the round trip itself is judged,
 * unless there is none that is better.
 */
static bool path_is_late(const struct srd_paths *ps,
			 const struct srd_paths_config *c,
			 const struct srd_path *p, uint64_t rtt, uint64_t lag)
{
	uint64_t usual = srd_paths_base_rtt(ps, c) + ps->queue_ns;
	uint64_t limit = 4 * (usual + c->target_delay);

	if (p->state == SRD_PATH_SUSPECT && ps->nsuspect < c->n)
		return rtt > usual + limit;
	return lag > limit;
}

/*
 * A path that is late again as soon as it carries more than probes is probed
 * less and less. One good path is always left: late is what others are not.
 */
static U_COLD void paths_late(struct srd_paths *ps,
			      const struct srd_paths_config *c,
			      struct srd_path *p, uint64_t now)
{
	if (p->state == SRD_PATH_SUSPECT || ++p->late_in_row < LATE_MIN ||
	    ps->nsuspect + 1u >= c->n)
		return;
	if (!p->healed_at || now - p->healed_at > c->probe_max)
		p->relapses = 0;
	else if (p->relapses < RELAPSES_MAX)
		p->relapses++;
	paths_suspect(ps, c, p, now);
}

bool srd_paths_delivered(struct srd_paths *ps, const struct srd_paths_config *c,
			 uint8_t path, uint64_t rtt, uint64_t lag, uint64_t now)
{
	struct srd_path *p = &ps->path[path];

	assert(path < c->n && rtt);
	if (u_unlikely(path_is_late(ps, c, p, rtt, lag))) {
		paths_late(ps, c, p, now);
		return false;
	}
	srd_path_rtt_take(ps, c, p, rtt, now);
	p->losses_in_row = 0;
	p->late_in_row = 0;
	if (u_unlikely(p->state == SRD_PATH_SUSPECT)) {
		paths_heal(ps, c, p, now);
		return true;
	}
	p->state = SRD_PATH_GOOD;
	p->loss -= (uint8_t)((p->loss + 15) / 16);
	srd_path_rtt_refresh(ps, c, now);
	p->weight = path_weight(ps, p);
	paths_recycle(ps, path);
	return true;
}

/*
 * Losses in a row that mean more than bad luck: where the other paths lose
 * much too, the fault is not this path's.
 */
static uint32_t paths_patience(const struct srd_paths *ps)
{
	static const uint8_t losses[8] = { LOSSES_MIN, 4, 6, 8, 12, 20, 40, 80 };

	return losses[ps->loss / 32];
}

void srd_paths_lost(struct srd_paths *ps, const struct srd_paths_config *c,
		    uint8_t path, uint64_t now)
{
	struct srd_path *p = &ps->path[path];
	bool again = c->burst && p->lost_at == now;

	assert(path < c->n);
	p->lost++;
	p->lost_at = now;
	if (p->picks)
		p->picks--;
	/* A burst is lost as a whole: that is one piece of bad luck. */
	if (again || p->state == SRD_PATH_SUSPECT)
		return;
	p->losses_in_row++;
	p->loss += (uint8_t)((255 - p->loss + 15) / 16);
	p->weight = (uint8_t)u_max(p->weight / 2, WEIGHT_MIN);
	if (p->losses_in_row >= paths_patience(ps) ||
	    (p->loss >= LOSS_LOTS && p->loss / 2 > ps->loss))
		paths_suspect(ps, c, p, now);
}

int srd_paths_probe(struct srd_paths *ps, const struct srd_paths_config *c,
		    uint64_t now)
{
	struct srd_path *p;
	uint32_t i;

	if (u_likely(now < ps->probe_at))
		return -1;
	for (i = 0; i < c->n; i++) {
		p = &ps->path[i];
		if (p->state != SRD_PATH_SUSPECT || now < p->probe_at)
			continue;
		p->probe_at = now + paths_probe_wait(c, p);
		p->probes++;
		paths_next_probe(ps, c->n);
		return (int)i;
	}
	return -1;
}

uint64_t srd_paths_probe_at(const struct srd_paths *ps,
			    const struct srd_paths_config *c)
{
	(void)c;
	return ps->probe_at;
}
