/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_flow.c - messages from their start to their end
 */
#include "sim_world.h"

#include "sim_mem.h"
#include "sim_oracle.h"

struct sim_flow *sim_flow_new(struct sim_world *w, uint64_t bytes, uint32_t tag)
{
	uint32_t id = w->nflows++;
	uint32_t chunk = id / SIM_FLOW_CHUNK;
	struct sim_flow *f;

	if (id % SIM_FLOW_CHUNK == 0) {
		w->flow = sim_mem_grow(w->flow, chunk + 1,
				       sizeof(struct sim_flow *));
		w->flow[chunk] = sim_mem_get(SIM_FLOW_CHUNK, sizeof(*f));
	}
	f = sim_flow_at(w, id);
	*f = (struct sim_flow){
		.bytes = bytes,
		.posted = w->now,
		.placed = SIM_NEVER,
		.done = SIM_NEVER,
		.id = id,
		.next = SIM_NONE,
		.tag = tag,
	};
	return f;
}

struct sim_flow *sim_flow_start_as(struct sim_world *w,
				   const struct sim_flow *like)
{
	struct sim_flow *f = sim_flow_new(w, like->bytes, like->tag);

	assert(like->from < w->nends && like->to < w->nends);
	f->from = like->from;
	f->to = like->to;
	f->kind = like->kind;
	f->imm = like->imm;
	sim_oracle_start(w, f);
	sim_end_post(w, &w->end[f->from], f);
	return f;
}

struct sim_flow *sim_flow_start(struct sim_world *w, uint32_t from, uint32_t to,
				uint64_t bytes, uint32_t tag)
{
	struct sim_flow like = {
		.from = from,
		.to = to,
		.bytes = bytes,
		.tag = tag,
		.kind = bytes <= SIM_SEND_MAX ? SIM_FLOW_SEND : SIM_FLOW_WRITE,
	};

	return sim_flow_start_as(w, &like);
}

void sim_flow_finish(struct sim_world *w, struct sim_flow *f, uint8_t status)
{
	f->status = status;
	sim_oracle_done(w, f);
	f->done = w->now;
	w->nflows_done++;
	if (status != SRD_OK)
		w->done_errors++;
	if (w->flow_done)
		w->flow_done(w, f);
}
