/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_fault.c - what happens to each packet, by dice
 *
 * The fates are drawn in one order: black path, loss, a second copy, then for
 * each copy its bits and its delay. A fault that is off draws nothing. A packet
 * that leaves unchanged and at once is handed on as it came; all others are
 * copies.
 *
 * Jitter, reordering and slow paths let packets overtake; nothing else does.
 *
 * (I1) packets + duplicated == given out + held + lost + black + overflow.
 */
#include "wire/wire_fault_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "util/u_base.h"
#include "util/u_hash.h"
#include "util/u_log.h"
#include "util/u_time.h"

#define BURST_LEN 8
#define REORDER_NS (200 * U_USEC)
#define BITS_MAX 4 /* flipped in one packet */

struct wire_fault {
	struct wire_fault_config config; /* const, its defaults filled in */
	uint64_t opened; /* ns */
	uint32_t burst_end; /* probability that a burst ends with a packet */
	uint64_t dice; /* state of the generator */
	bool in_burst;
	struct wire_fault_held held;
	struct wire_fault_stats stats;
};

/* The packets that leave with this call. */
struct leaving {
	struct wire_out *out; /* [n], room for max */
	int n, max;
	uint64_t now;
};

/* Weyl sequence, mixed: any seed is a good one. */
static uint64_t draw(struct wire_fault *f)
{
	f->dice += UINT64_C(0x9e3779b97f4a7c15);
	return u_mix64(f->dice);
}

/* 0..n-1 */
static uint64_t draw_below(struct wire_fault *f, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)draw(f) * n) >> 64);
}

/* The largest probability means always. */
static bool chance(struct wire_fault *f, uint32_t probability)
{
	if (!probability)
		return false;
	return probability == UINT32_MAX || draw(f) >> 32 < probability;
}

static void seed_choose(struct wire_fault_config *c)
{
	if (c->seed) {
		u_info("packets are spoilt on purpose, seed=%llu",
		       (unsigned long long)c->seed);
		return;
	}
	while (!c->seed)
		c->seed = u_random64();
	u_warn("packets are spoilt on purpose; seed=%llu repeats it",
	       (unsigned long long)c->seed);
}

int wire_fault_open(const struct wire_fault_config *config, uint64_t now,
		    struct wire_fault **out)
{
	struct wire_fault *f = calloc(1, sizeof(*f));
	struct wire_fault_config *c;
	int rc;

	if (!f)
		return -ENOMEM;
	rc = wire_fault_held_init(&f->held);
	if (rc)
		goto free_fault;
	f->config = *config;
	c = &f->config;
	seed_choose(c);
	if (!c->burst_len)
		c->burst_len = BURST_LEN;
	if (!c->reorder_ns)
		c->reorder_ns = REORDER_NS;
	f->burst_end = UINT32_MAX / c->burst_len;
	f->opened = now;
	f->dice = c->seed;
	*out = f;
	return 0;

free_fault:
	free(f);
	return rc;
}

void wire_fault_close(struct wire_fault *f)
{
	if (!f)
		return;
	wire_fault_held_fini(&f->held);
	free(f);
}

static bool is_when(const struct wire_fault *f, const struct wire_fault_when *w,
		    uint8_t path, uint64_t now)
{
	uint64_t age = now - f->opened;

	if (w->paths != UINT64_MAX && (path > 63 || !(w->paths >> path & 1)))
		return false;
	return age >= w->from && (!w->until || age < w->until);
}

/* Every packet of a burst may be its last: lengths spread round the mean. */
static bool is_lost(struct wire_fault *f)
{
	if (f->in_burst || chance(f, f->config.burst)) {
		f->in_burst = !chance(f, f->burst_end);
		return true;
	}
	return chance(f, f->config.loss);
}

static uint64_t due(struct wire_fault *f, uint8_t path, uint64_t now)
{
	const struct wire_fault_config *c = &f->config;
	uint64_t at = now + c->delay_ns;

	if (c->slow_ns && is_when(f, &c->slow, path, now))
		at += c->slow_ns;
	if (c->jitter_ns)
		at += draw_below(f, c->jitter_ns + 1);
	if (chance(f, c->reorder)) {
		at += 1 + draw_below(f, c->reorder_ns);
		f->stats.reordered++;
	}
	return at;
}

/* One to BITS_MAX different bits; len > 0. */
static void flip(struct wire_fault *f, uint8_t *bytes, size_t len)
{
	uint64_t bit[BITS_MAX];
	int n = 1 + (int)draw_below(f, BITS_MAX);
	int i, k;

	for (i = 0; i < n; i++) {
		do {
			bit[i] = draw_below(f, 8 * len);
			for (k = 0; bit[k] != bit[i]; k++)
				;
		} while (k < i);
		bytes[bit[i] / 8] ^= (uint8_t)(1u << bit[i] % 8);
	}
}

static void send_copy(struct wire_fault *f, const struct wire_out *in,
		      bool corrupt, uint64_t at, struct leaving *l)
{
	int copy = wire_fault_copy_new(&f->held, in);

	if (copy < 0) {
		f->stats.overflow++;
		return;
	}
	if (corrupt) {
		flip(f, wire_fault_copy_bytes(&f->held, copy),
		     (size_t)in->hdr_len + in->data_len);
		f->stats.corrupted++;
	}
	if (at <= l->now && l->n < l->max)
		l->out[l->n++] = *wire_fault_lend(&f->held, copy);
	else
		wire_fault_hold(&f->held, copy, at);
}

static void send_one(struct wire_fault *f, const struct wire_out *in,
		     struct leaving *l)
{
	uint64_t at = due(f, in->path, l->now);
	bool corrupt = chance(f, f->config.corrupt) &&
		       (in->hdr_len || in->data_len);

	if (at <= l->now && !corrupt && l->n < l->max)
		l->out[l->n++] = *in;
	else
		send_copy(f, in, corrupt, at, l);
}

static void pass(struct wire_fault *f, const struct wire_out *in,
		 struct leaving *l)
{
	f->stats.packets++;
	if (is_when(f, &f->config.black, in->path, l->now)) {
		f->stats.black++;
		return;
	}
	if (is_lost(f)) {
		f->stats.lost++;
		return;
	}
	send_one(f, in, l);
	if (chance(f, f->config.duplicate)) {
		f->stats.duplicated++;
		send_one(f, in, l);
	}
}

/*
 * Those that are due go first. When they leave no room, the packets of this
 * call queue up behind them, so the order stays; and since max > n, a backlog
 * shrinks.
 */
int wire_fault_filter(struct wire_fault *f, const struct wire_out *in, int n,
		      struct wire_out *out, int max, uint64_t now)
{
	struct leaving l = { .out = out, .max = max, .now = now };
	int i, copy;

	assert(max > n);
	wire_fault_reclaim(&f->held);
	while (l.n < max && (copy = wire_fault_take_due(&f->held, now)) >= 0)
		out[l.n++] = *wire_fault_lend(&f->held, copy);
	for (i = 0; i < n; i++)
		pass(f, &in[i], &l);
	return l.n;
}

uint64_t wire_fault_due(const struct wire_fault *f)
{
	return f->held.n ? f->held.heap[0].at : UINT64_MAX;
}

const struct wire_fault_stats *wire_fault_stats(const struct wire_fault *f)
{
	return &f->stats;
}
