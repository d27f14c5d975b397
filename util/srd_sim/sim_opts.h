/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_opts.h - the command line
 */
#ifndef SIM_OPTS_H
#define SIM_OPTS_H

#include <stdbool.h>
#include <stdint.h>

enum sim_engine {
	SIM_ENGINE_ALL,
	SIM_ENGINE_SRD,
	SIM_ENGINE_BLIND,
	SIM_ENGINE_TCP
};

enum sim_shape {
	SIM_SHAPE_ANY,
	SIM_SHAPE_LEAF_SPINE,
	SIM_SHAPE_FAT_TREE,
	SIM_SHAPE_STAR
};

/* 0 is "as the scenario has it" unless said otherwise. */
struct sim_opts {
	uint64_t hosts;
	double gbps;
	uint64_t paths;
	uint64_t size; /* bytes of a flow */
	uint64_t mtu; /* bytes of an engine's packet, its headers included */
	uint64_t queue; /* bytes */
	double rtt_us; /* of propagation */
	uint64_t rounds;
	double ms; /* simulated */
	uint64_t seed, seeds;
	uint64_t oversub; /* hosts' bandwidth by that of the links up */
	uint64_t slow; /* spines at a quarter of their speed */
	uint64_t receivers; /* endpoints of the receiving host */
	enum sim_engine engine;
	enum sim_shape shape;
	const char *csv, *svg; /* files; NULL: none */
	uint32_t given; /* a bit for each option, in the order of --help */
	bool progress;
	bool verbose; /* the engine's numbers */
};

/*
 * Reads argv[1..]; *scene becomes the scenario's name. Returns -1 to go on, or
 * what to exit with: --help was printed, or one line about what is wrong.
 */
int sim_opts_read(int argc, char **argv, struct sim_opts *o,
		  const char **scene);

/* Are all options of use to this scenario? -1: yes; else as above. */
int sim_opts_check(const struct sim_opts *o, const char *scene);

/* What --help says about the options. */
void sim_opts_help(void);

#endif
