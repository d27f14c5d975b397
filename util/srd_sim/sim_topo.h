/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_topo.h - the networks: star, leaf and spine, fat tree
 *
 * star: all hosts at one switch. Leaf and spine: every leaf has one link to
 * every spine. Fat tree of switches with k ports: k pods of k/2 edge and k/2
 * aggregation switches, (k/2)^2 core switches, k^3/4 hosts.
 */
#ifndef SIM_TOPO_H
#define SIM_TOPO_H

#include "sim_net.h"

enum sim_topo_kind { SIM_STAR, SIM_LEAF_SPINE, SIM_FAT_TREE };

struct sim_topo {
	enum sim_topo_kind kind;
	uint32_t hosts; /* FAT_TREE: k^3/4 */
	uint32_t per_leaf; /* LEAF_SPINE: hosts a leaf; divides hosts */
	uint32_t spines; /* LEAF_SPINE: links up of a leaf */
	double gbps; /* of a host's link */
	double up_gbps; /* between switches */
	uint64_t delay; /* of each link, ps */
	uint64_t queue; /* bytes of each output queue of a switch */
	uint32_t mtu; /* bytes of a full packet on the wire */
};

/* Errors: -EINVAL, with *why saying what is wrong. */
int sim_topo_check(const struct sim_topo *t, const char **why);

/* Makes the net; queue and rand are borrowed until sim_topo_free. The salts
 * of the switches come from rand. */
void sim_topo_build(struct sim_net *net, const struct sim_topo *t,
		    struct sim_queue *queue, struct sim_rand *rand);
void sim_topo_free(struct sim_net *net);

/* Links from a host to the farthest one. */
uint32_t sim_topo_hops(const struct sim_topo *t);

/* Time of a packet of `bytes` on the wire through an empty net to the
 * farthest host, from its first byte to its last. */
uint64_t sim_topo_one_way(const struct sim_topo *t, uint64_t bytes);

/* A full packet there, an acknowledgement back. */
uint64_t sim_topo_rtt(const struct sim_topo *t);

/* The delay of a link for which propagation alone takes rtt there and back. */
uint64_t sim_topo_delay(const struct sim_topo *t, uint64_t rtt);

/* LEAF_SPINE: the links between a leaf and a spine. */
uint32_t sim_topo_leaf_up(const struct sim_net *net, uint32_t leaf,
			  uint32_t spine);
uint32_t sim_topo_spine_down(const struct sim_net *net,
			     const struct sim_topo *t, uint32_t spine,
			     uint32_t leaf);

#endif
