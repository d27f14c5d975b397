/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_stage.h - what scenarios share: a world with lanes, rounds, and what an
 * ideal network would need
 *
 * A lane is a process that sends to one host, by an engine or by TCP. A host
 * that receives has so many endpoints that its lanes share.
 *
 * The ideal time of n flows of so many bytes over one link of a rate:
 *
 *   placed = n * (bytes and the headers of their packets) / rate
 *            + a full packet's way through the empty net, without its time on
 *              that link, which the first term has
 *   done   = placed + the way of an acknowledgement through the empty net
 *
 * Headers are those of an RDMA write of ours, also for TCP, whose own are 20
 * bytes shorter. Propagation is that of the farthest pair of hosts.
 */
#ifndef SIM_STAGE_H
#define SIM_STAGE_H

#include "sim_opts.h"
#include "sim_report.h"
#include "sim_world.h"

struct sim_run {
	const struct sim_opts *o;
	struct sim_report *r;
};

struct sim_lane {
	uint32_t src, dst; /* hosts */
	uint32_t from, to; /* endpoints; TCP: connection, and nothing */
};

struct sim_stage {
	struct sim_world w;
	enum sim_engine engine; /* not ALL */
	struct sim_lane *lane;
	uint32_t nlanes;
	uint32_t receivers; /* endpoints of a host for incoming lanes */
	uint32_t left; /* flows of this round */
};

/* What the options leave open, for a topology. */
struct sim_topo sim_stage_topo(const struct sim_opts *o,
			       enum sim_topo_kind kind, uint32_t hosts,
			       double gbps, double rtt_us, uint64_t queue);

void sim_stage_init(struct sim_stage *st, const struct sim_opts *o,
		    const struct sim_topo *t, enum sim_engine engine,
		    uint64_t max_bytes);
void sim_stage_lane(struct sim_stage *st, uint32_t src, uint32_t dst);
/* After the last lane. */
void sim_stage_open(struct sim_stage *st, const struct sim_opts *o);
void sim_stage_fini(struct sim_stage *st);

struct sim_flow *sim_stage_start(struct sim_stage *st, uint32_t lane,
				 uint64_t bytes);

/* A sample: one flow. Times in us. */
struct sim_sample {
	double placed, done;
	bool timeout; /* TCP: it met a retransmission timeout */
};

/* All lanes send so many bytes at once, and the next round begins when the
 * last is done: nlanes * rounds samples. part and parts: of the progress. */
void sim_stage_rounds(struct sim_stage *st, struct sim_run *run, uint64_t bytes,
		      uint32_t rounds, struct sim_sample *out,
		      const char *what);

/* --- numbers --- */

/* Bytes on the wire of a flow. */
uint64_t sim_ideal_wire(const struct sim_topo *t, uint64_t bytes);
/* us; of n flows over a link of this speed. */
double sim_ideal_placed(const struct sim_topo *t, uint64_t n, uint64_t bytes,
			double gbps);
double sim_ideal_done(const struct sim_topo *t, uint64_t n, uint64_t bytes,
		      double gbps);

struct sim_quantiles {
	double min, p50, p99, p999, max, mean;
};

/* Of n values, which are sorted in place. */
struct sim_quantiles sim_quantiles(double *v, uint32_t n);

/* The sum of what all engines count. */
void sim_stage_stats(const struct sim_stage *st, struct srd_stats *out);
/* TCP: timeouts; else of the engines. */
uint64_t sim_stage_timeouts(const struct sim_stage *st);
uint64_t sim_stage_resent(const struct sim_stage *st);

/* With --verbose: a line of counters and of the network. */
void sim_stage_tell(const struct sim_stage *st, const struct sim_opts *o);

const char *sim_engine_name(enum sim_engine e);

/* Goes through the engines that the options ask for: begin with ALL; false
 * after the last. */
bool sim_engine_next(const struct sim_opts *o, enum sim_engine *e);

static inline double sim_us(uint64_t ps)
{
	return (double)ps / 1e6;
}

#endif
