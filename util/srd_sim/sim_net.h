/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_net.h - links with queues, switches that choose among them, and packets
 *
 *    host --link--> switch --link--> switch --link--> host
 *
 * A link is one direction: a queue of so many bytes that drops what does not
 * fit (no marks, no trimming), then a line of some rate, then a delay. A
 * switch sends a packet down when its host is below, else up on the link
 * that a hash of source, destination, entropy and the switch's salt picks.
 *
 * How to drive it
 *   sim_topo_build; sim_net_packet and sim_net_send; for each event that the
 *   net has put into its queue: sim_net_arrive, which returns a packet when
 *   it has reached a host; sim_net_free.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "sim_queue.h"
#include "sim_rand.h"

/* Bytes on the wire beside a packet of ours: preamble 8, Ethernet 14 + 4, gap
 * 12, IPv4 20, UDP 8. */
#define SIM_FRAME 66
#define SIM_WIRE_MIN 84 /* bytes of the shortest frame, with its gap */

enum sim_packet_kind { SIM_SRD, SIM_TCP_DATA, SIM_TCP_ACK };

/* Of a TCP packet. */
struct sim_segment {
	uint64_t seq; /* packets; DATA: its number, ACK: all before arrived */
	uint64_t sack_from, sack_to; /* ACK: these arrived too; to is after */
	uint64_t sent; /* time of DATA, comes back in the ACK */
};

#define SIM_HDR_ROOM 192

struct sim_packet {
	struct sim_packet *next;
	uint64_t at; /* when it reaches the end of its link */
	uint64_t key; /* of source, destination, entropy */
	uint32_t src, dst; /* hosts */
	uint32_t end; /* SRD: endpoint, TCP: flow; of the receiver */
	uint32_t wire; /* bytes with frame */
	uint16_t hdr_len, data_len;
	uint8_t kind; /* enum sim_packet_kind */
	bool damaged; /* a bit is not what was sent */
	uint32_t own_len;
	uint8_t *own; /* memory of hdr or data that goes with it; NULL */
	const uint8_t *more; /* hdr when it is longer than hdr[]; NULL */
	const uint8_t *data; /* NULL: none */
	union {
		uint8_t hdr[SIM_HDR_ROOM];
		struct sim_segment seg;
	};
};

/* What a bad link does, of 2^32 packets at random. */
struct sim_fault {
	uint32_t loss, damage, twice;
};

struct sim_link {
	/* set by the topology, changed by faults */
	uint64_t kib_ps; /* time of 1024 bytes on the line */
	uint64_t delay; /* of propagation */
	uint64_t room; /* bytes of the queue, the packet on the line included,
			  as time on the line */
	uint32_t to; /* host, or hosts + switch */
	struct sim_fault fault;
	bool faulty; /* fault is not all 0 */
	bool dead; /* a black hole */
	bool withdrawn; /* the switches know and go around */
	/* now */
	uint64_t free_at; /* when the last byte of the queue has gone */
	struct sim_packet *head, *tail; /* on their way, by arrival */
	/* numbers */
	uint64_t packets, bytes; /* that went out */
	uint64_t dropped; /* queue was full */
	uint64_t lost; /* at random, or the link was dead */
	uint64_t longest; /* backlog ever, as time */
};

struct sim_switch {
	uint32_t lo, hi; /* hosts [lo, hi) are below */
	uint32_t per_down; /* hosts below each link down */
	uint32_t down, up; /* the first of its links; down link i is that to
			      host lo + i * per_down and on */
	uint32_t nup; /* 0: a top switch */
	uint64_t salt;
};

struct sim_net {
	struct sim_queue *queue; /* borrowed; events `what` = link number */
	struct sim_rand *rand; /* borrowed */
	struct sim_link *link; /* link i is that of host i up, for i < nhosts */
	struct sim_switch *sw;
	uint32_t nhosts, nlinks, nswitches;
	uint32_t nwithdrawn; /* links */
	struct sim_packet *free;
	struct sim_packet **chunk;
	uint32_t nchunks;
	uint64_t alive; /* packets out of the pool */
	uint64_t hops; /* packets that left a link */
};

/* A packet with undefined content but for its pointers, which are NULL. */
struct sim_packet *sim_net_packet(struct sim_net *net);
void sim_net_put(struct sim_net *net, struct sim_packet *p);

static inline uint64_t sim_net_key(uint32_t src, uint32_t dst, uint32_t entropy)
{
	return u_mix64(((uint64_t)src << 40) ^ ((uint64_t)dst << 16) ^
		       ((uint64_t)entropy * UINT64_C(0x9e3779b97f4a7c15)));
}

static inline uint64_t sim_link_time(const struct sim_link *l, uint64_t bytes)
{
	return (bytes * l->kib_ps) >> 10;
}

/* Time on the line of what is in the queue. */
static inline uint64_t sim_link_backlog(const struct sim_link *l, uint64_t now)
{
	return l->free_at > now ? l->free_at - now : 0;
}

void sim_link_set_rate(struct sim_link *l, double gbps);

/* Puts p into the queue of a link, or drops it. */
void sim_net_send(struct sim_net *net, uint32_t link, struct sim_packet *p,
		  uint64_t now);

/*
 * The top event of the queue is that of this link: takes the event and its
 * packet. Returns the packet when it is at a host (the caller's from now on),
 * else NULL: it went on or was lost.
 */
struct sim_packet *sim_net_arrive(struct sim_net *net, uint32_t link);

/* The link that this switch takes for p. */
uint32_t sim_net_route(const struct sim_net *net, uint32_t sw,
		       const struct sim_packet *p);

/* part: of all packets, 0..1. */
void sim_net_fault(struct sim_net *net, uint32_t link, double loss,
		   double damage, double twice);
/* Dead or alive; what is on the line is lost too. */
void sim_net_kill(struct sim_net *net, uint32_t link, bool dead);
/* Routing has heard of it. */
void sim_net_withdraw(struct sim_net *net, uint32_t link, bool withdrawn);

/* Packets that full queues dropped; that were lost otherwise. */
uint64_t sim_net_dropped(const struct sim_net *net);
uint64_t sim_net_lost(const struct sim_net *net);

#endif
