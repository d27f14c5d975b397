/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_stream.c - lanes that never have enough
 */
#include "sim_stream.h"

#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"
#include "sim_oracle.h"

static void again(struct sim_world *w, struct sim_flow *f)
{
	struct sim_stream *s = w->scene;

	if (!s->stopped)
		sim_stage_start(s->st, f->tag, s->bytes);
}

static void got(struct sim_world *w, struct sim_flow *f, uint32_t bytes)
{
	struct sim_stream *s = w->scene;

	s->got[f->tag] += bytes;
}

void sim_stream_start(struct sim_stream *s, struct sim_stage *st,
		      uint64_t bytes)
{
	uint32_t i, k, n = SIM_STREAM_DEPTH * st->nlanes;
	uint64_t first;

	*s = (struct sim_stream){ .st = st, .bytes = bytes };
	s->got = sim_mem_get(st->nlanes, sizeof(*s->got));
	st->w.scene = s;
	st->w.flow_done = again;
	st->w.flow_placed = got;
	/* The first ones differ in length, so that no lane runs dry because all
	 * of its flows end together, nor do lanes march in step. */
	for (k = 0; k < SIM_STREAM_DEPTH; k++) {
		for (i = 0; i < st->nlanes; i++) {
			first = bytes * (k * st->nlanes + i + 1) / n;
			sim_stage_start(st, i, u_max(first, 16));
		}
	}
}

uint64_t sim_stream_step(struct sim_stream *s, uint64_t ps)
{
	uint64_t sum = 0;
	uint32_t i;

	memset(s->got, 0, s->st->nlanes * sizeof(*s->got));
	sim_world_run(&s->st->w, s->st->w.now + ps);
	for (i = 0; i < s->st->nlanes; i++)
		sum += s->got[i];
	return sum;
}

void sim_stream_stop(struct sim_stream *s)
{
	s->stopped = true;
	sim_oracle_end(&s->st->w);
	s->st->w.flow_done = NULL;
	s->st->w.flow_placed = NULL;
	free(s->got);
}

double sim_goodput_max(const struct sim_topo *t, double gbps)
{
	uint64_t bytes = UINT64_C(1) << 20;

	return gbps * (double)bytes / (double)sim_ideal_wire(t, bytes);
}
