/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_stream.h - lanes that never have enough, and what they get
 *
 * How to drive it: sim_stream_start; sim_stream_step for each interval;
 * sim_stream_stop.
 */
#ifndef SIM_STREAM_H
#define SIM_STREAM_H

#include "sim_stage.h"

#define SIM_STREAM_DEPTH 2 /* flows of a lane that are under way */

struct sim_stream {
	struct sim_stage *st;
	uint64_t bytes; /* of a flow */
	uint64_t *got; /* [lanes]: bytes that were placed in this interval */
	bool stopped;
};

void sim_stream_start(struct sim_stream *s, struct sim_stage *st,
		      uint64_t bytes);
/* Runs for `ps` and counts anew; returns bytes of all lanes. */
uint64_t sim_stream_step(struct sim_stream *s, uint64_t ps);
/* Lets what is under way end, and checks that it does. */
void sim_stream_stop(struct sim_stream *s);

/* Payload at most, Gb/s, of a line. */
double sim_goodput_max(const struct sim_topo *t, double gbps);

#endif
