/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_step.c - a run: epochs of steps, each of which does one thing
 */
#include "random.h"

#include <inttypes.h>

#define PROGRESS_NS 10000000000u
#define OPEN_DRAW (UINT64_C(1) << 52) /* apart from the numbers of steps */
#define RENEWED 25u /* endpoints in a hundred, at each epoch */
#define DEATH_ONE_IN 20000u

typedef void step_fn(struct rnd_ep *e);

static const struct {
	unsigned int weight;
	step_fn *fn; /* NULL: the drive */
} steps[] = {
	{ 240, NULL },
	{ 240, rnd_send_step },
	{ 210, rnd_recv_step },
	{ 8, rnd_multi_step },
	{ 40, rnd_peek_step },
	{ 25, rnd_claim_step },
	{ 6, rnd_cancel_step },
	{ 110, rnd_rma_step },
	{ 90, rnd_atomic_step },
	{ 20, rnd_cell_step },
	{ 10, rnd_register_step },
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

static step_fn *draw_step(struct rnd *w)
{
	unsigned int sum = 0;
	uint64_t at;

	for (size_t i = 0; i < STEPS; i++)
		sum += steps[i].weight;
	at = rnd_below(w, sum);
	for (size_t i = 0; i < STEPS; i++) {
		if (at < steps[i].weight)
			return steps[i].fn;
		at -= steps[i].weight;
	}
	return NULL;
}

/* At least two stay to talk to each other. */
static void maybe_die(struct rnd *w, struct rnd_ep *e)
{
	unsigned int alive = 0;

	if (!w->opt.deaths || rnd_below(w, DEATH_ONE_IN))
		return;
	for (unsigned int i = 0; i < w->opt.endpoints; i++)
		alive += !rnd_is_dead(w, (int)i);
	w->doing = "death";
	if (alive > 2)
		rnd_ep_die(e);
}

void rnd_take_step(struct rnd *w, uint64_t step)
{
	struct rnd_ep *e;
	step_fn *fn;

	rnd_rest(w);
	rnd_maybe_compute(w, step);
	rnd_draw_seed(w, step);
	fn = draw_step(w);
	e = rnd_own_ep(w);
	w->doing = "drive";
	if (!fn || !e) {
		rnd_drive(w);
		return;
	}
	fn(e);
	if (e->open)
		maybe_die(w, e);
}

/* ---- epochs ---------------------------------------------------------------------------- */

static bool is_ours(const struct rnd *w, unsigned int ep)
{
	return w->world->ep[ep].worker == w->id;
}

/*
 * Everybody has drained: nobody misses who is closed now. Messages of the dead,
 * which nobody asked for, go with those who have them.
 */
static void begin_epoch(struct rnd *w)
{
	bool all = rnd_any_dead(w);

	rnd_draw_seed(w, OPEN_DRAW);
	for (unsigned int i = 0; i < w->opt.endpoints; i++) {
		struct rnd_ep *e = &w->ep[i];

		if (!is_ours(w, i))
			continue;
		if (e->open && (rnd_chance(w, RENEWED) || all))
			rnd_ep_close(e);
	}
	rnd_barrier(w);
	for (unsigned int i = 0; i < w->opt.endpoints; i++)
		if (is_ours(w, i) && !w->ep[i].open)
			rnd_ep_open(&w->ep[i]);
	rnd_barrier(w);
	for (unsigned int i = 0; i < w->opt.endpoints; i++)
		if (is_ours(w, i))
			rnd_ep_insert_peers(&w->ep[i]);
	rnd_barrier(w);
}

/* Worker 0 decides, so that all take as many epochs. */
static void maybe_end(struct rnd *w)
{
	uint64_t now = ft_now();

	if (w->id)
		return;
	if (w->opt.seconds && now - w->began > w->opt.seconds * 1000000000ull)
		atomic_store(&w->world->over, true);
	if (w->opt.ops && w->steps >= w->opt.ops)
		atomic_store(&w->world->over, true);
}

static void tell_progress(struct rnd *w, uint64_t *told)
{
	uint64_t now = ft_now();

	if (w->id || now - *told < PROGRESS_NS)
		return;
	*told = now;
	printf("# %" PRIu64 " s, epoch %" PRIu64 ", %" PRIu64 " steps, %" PRIu64
	       " entries\n",
	       (now - w->began) / 1000000000u, w->epoch, w->steps,
	       w->count[RND_N_ENTRIES]);
}

static uint64_t steps_of_epoch(const struct rnd *w)
{
	uint64_t left = w->opt.ops - w->steps;

	return w->opt.ops && left < w->opt.epoch ? left : w->opt.epoch;
}

/* Whoever has no time left still takes part in the drain of others. */
static bool time_is_up(const struct rnd *w)
{
	return w->opt.seconds && w->step % 64 == 0 &&
	       ft_now() - w->began > w->opt.seconds * 1000000000ull;
}

void rnd_run(struct rnd *w)
{
	uint64_t told = w->began = ft_now();

	rnd_threads_start(w);
	while (!atomic_load(&w->world->over)) {
		uint64_t n = steps_of_epoch(w);

		begin_epoch(w);
		rnd_threads_are(w, RND_STEPPING);
		for (w->step = 0; w->step < n && !time_is_up(w); w->step++) {
			rnd_take_step(w, w->step);
			rnd_yield(w);
			w->steps++;
			tell_progress(w, &told);
		}
		rnd_drain(w);
		maybe_end(w);
		w->epoch++;
		rnd_barrier(w);
	}
	rnd_threads_stop(w);
	for (unsigned int i = 0; i < w->opt.endpoints; i++)
		if (w->ep[i].open)
			rnd_ep_close(&w->ep[i]);
}
