/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_draw.c - what is drawn
 */
#include "random.h"

/* Where the provider changes how bytes travel, by default or by a setting. */
static const size_t turning_points[] = {
	0,     8,     32,     36,     44,     56,	96,	  1024,	 4096,
	8192,  8712,  8760,   8776,   8808,   8928,	9216,	  16384, 32768,
	65536, 65536, 100000, 131072, 262144, 1u << 20, 4u << 20,
};

_Thread_local uint64_t rnd_drawn;

void rnd_draw_seed(struct rnd *w, uint64_t what)
{
	what += ((uint64_t)w->id << 56) + ((uint64_t)rnd_thread() << 53);
	rnd_drawn = pattern_mix(w->opt.seed * 0x9e3779b97f4a7c15u +
				pattern_mix(what + (w->epoch << 28)));
}

uint64_t rnd_draw(struct rnd *w)
{
	return pattern_mix(rnd_drawn += 0x9e3779b97f4a7c15u);
}

uint64_t rnd_below(struct rnd *w, uint64_t bound)
{
	return bound ? rnd_draw(w) % bound : 0;
}

bool rnd_chance(struct rnd *w, unsigned int percent)
{
	return rnd_below(w, 100) < percent;
}

static size_t by_magnitude(struct rnd *w, size_t max)
{
	unsigned int magnitudes = 1;
	size_t bound;

	while (max >> magnitudes)
		magnitudes++;
	bound = (size_t)2 << rnd_below(w, magnitudes);
	return rnd_below(w, (bound <= max ? bound : max) + 1);
}

size_t rnd_size(struct rnd *w, size_t max)
{
	const size_t n = sizeof(turning_points) / sizeof(turning_points[0]);
	uint64_t kind = rnd_below(w, 100);
	size_t size;

	if (kind < 25) {
		size = turning_points[rnd_below(w, n)] + 3;
		size -= rnd_below(w, 7);
		return size > SIZE_MAX / 2 ? 0 : size < max ? size : max;
	}
	if (kind < 85)
		return by_magnitude(w, max < 16384 ? max : 16384);
	if (kind < 96)
		return by_magnitude(w, max < 262144 ? max : 262144);
	return by_magnitude(w, max);
}

int rnd_any_ep(struct rnd *w)
{
	return (int)rnd_below(w, w->opt.endpoints);
}

struct rnd_ep *rnd_own_ep(struct rnd *w)
{
	unsigned int first = (unsigned int)rnd_any_ep(w);

	for (unsigned int i = 0; i < w->opt.endpoints; i++) {
		struct rnd_ep *e = &w->ep[(first + i) % w->opt.endpoints];

		if (e->open)
			return e;
	}
	return NULL;
}
