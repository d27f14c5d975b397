/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_world.c - what the workers share, where they meet, how they fail
 */
#include "random.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		ft_fail("no shared memory: %zu bytes", size);
	return p;
}

struct rnd_world *rnd_world_new(const struct rnd_options *opt)
{
	struct rnd_world *world = shared(sizeof(*world));

	world->arena = rnd_arena_size(opt->max);
	world->shadow = shared(RND_EPS * world->arena);
	world->computes = -1;
	for (unsigned int i = 0; i < opt->endpoints; i++)
		world->ep[i].worker = (int)(i % opt->workers);
	return world;
}

char *rnd_shadow(const struct rnd *w, int ep, int slot)
{
	return w->world->shadow + (size_t)ep * w->world->arena +
	       w->world->ep[ep].slot[slot].offset;
}

/* Everybody goes on driving: peers may wait for an answer. */
void rnd_barrier(struct rnd *w)
{
	struct rnd_world *world = w->world;
	uint32_t generation = atomic_load(&world->generation);

	if (atomic_fetch_add(&world->arrived, 1) + 1 == w->opt.workers) {
		atomic_store(&world->arrived, 0);
		atomic_fetch_add(&world->generation, 1);
		return;
	}
	while (atomic_load(&world->generation) == generation) {
		rnd_drive(w);
		if (w->draining)
			rnd_relieve(w);
		if (w->opt.workers > 1)
			sched_yield();
	}
}

/* ---- how it ends ------------------------------------------------------------ */

static void print_command(const struct rnd *w)
{
	fprintf(stderr, "again:");
	for (char **e = environ; *e; e++)
		if (!strncmp(*e, "FI_", 3))
			fprintf(stderr, " %s", *e);
	fprintf(stderr,
		" efa_random -p %s -s %" PRIu64
		" -e %u -P %u -M %zu -E %" PRIu64 " -n %" PRIu64
		" -N %u%s%s%s%s%s%s%s\n",
		w->ft.opt.provider ? w->ft.opt.provider : "efa", w->opt.seed,
		w->opt.endpoints, w->opt.workers, w->opt.max, w->opt.epoch,
		w->steps + 1, w->opt.threads, w->opt.deaths ? "" : " -D",
		w->opt.wrong ? "" : " -W", w->opt.remote ? " -R" : "",
		w->opt.sleep ? " -S" : "", w->opt.automatic ? " -A" : "",
		w->opt.extra ? " -X" : "", w->opt.no_reads ? " -L" : "");
}

/* When the first process ends, the others are killed: whoever speaks may. */
static _Noreturn void leave(void)
{
	sleep(1);
	_exit(EXIT_FAILURE);
}

_Noreturn void rnd_fail(struct rnd *w, const char *format, ...)
{
	va_list args;

	/* Of several workers the first one speaks. */
	if (atomic_exchange(&w->world->failed, true))
		leave();
	fflush(stdout);
	fprintf(stderr,
		"efa_random: worker %d, epoch %" PRIu64 ", step %" PRIu64
		", %s: ",
		w->id, w->epoch, w->step, w->doing ? w->doing : "start");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	print_command(w);
	if (getenv("RND_ABORT"))
		abort();
	_exit(EXIT_FAILURE);
}

const char *const rnd_kinds[] = { "send", "receive", "peek",
				  "read", "write",   "atomic" };

static void print_ops(const struct rnd_ep *e, const struct rnd_ops *ops)
{
	const struct rnd_op *op;
	unsigned int n = 0;

	TAILQ_FOREACH(op, ops, link) {
		if (n++ == 8)
			break;
		fprintf(stderr,
			"  %d: %s with %d, %zu bytes, tag %" PRIx64
			" ignore %" PRIx64 ", flags %" PRIx64 "%s%s%s%s\n",
			e->id, rnd_kinds[op->kind], op->peer, op->mem.len,
			op->tag, op->ignore, op->flags,
			op->multi ? ", multi" : "",
			op->canceled ? ", canceled" : "",
			op->wrong ? ", wrong" : "",
			op->family ? ", tagged" : "");
	}
}

static void print_notes(const struct rnd *w, int to)
{
	for (unsigned int from = 0; from < w->opt.endpoints; from++)
		for (int i = 0; i < RND_OPEN; i++) {
			const struct rnd_note *note =
				&w->world->note[from][to][i];

			if (note->data)
				fprintf(stderr,
					"  %d: no entry of a write of %u, %zu "
					"bytes, data %" PRIx64 "\n",
					to, from, note->len, note->data);
		}
}

static void print_state(struct rnd *w)
{
	fprintf(stderr, "worker %d, epoch %" PRIu64 ", step %" PRIu64 ", %s:\n",
		w->id, w->epoch, w->step, w->doing);
	for (int i = 0; i < RND_EPS; i++) {
		struct rnd_ep *e = &w->ep[i];

		if (!e->open)
			continue;
		print_ops(e, &e->ops);
		print_ops(e, &e->recvs);
		for (int slot = 0; slot < RND_SLOTS; slot++)
			if (w->world->ep[i].slot[slot].holder != RND_FREE)
				fprintf(stderr, "  %d: slot %d is held by %d\n",
					i, slot,
					w->world->ep[i].slot[slot].holder);
		print_notes(w, i);
		rnd_match_explained(e, true);
	}
}

/* What each of them waits for is of interest. */
static _Noreturn void hung(struct rnd *w)
{
	print_state(w);
	atomic_store(&w->world->hung, true);
	rnd_fail(w, "nothing happened for %u s", w->ft.opt.timeout_s);
}

void rnd_idle(struct rnd *w, bool idle)
{
	struct ft *ft = &w->ft;
	uint64_t now;

	if (!idle) {
		ft_busy(ft);
		return;
	}
	if (++ft->idle_polls & 0x3ff)
		return;
	if (atomic_load(&w->world->hung))
		print_state(w);
	if (atomic_load(&w->world->failed))
		leave();
	now = ft_now();
	if (!ft->idle_since)
		ft->idle_since = now;
	if (now - ft->idle_since > ft->opt.timeout_s * 1000000000ull)
		hung(w);
}
