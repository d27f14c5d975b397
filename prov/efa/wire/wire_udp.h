/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp.h - door of the UDP wire: bursts of packets between hosts
 *
 * A wire receives on one socket, whose port is the number of the queue pair,
 * and sends from several, because the network chooses a path by the source
 * port (and the IPv6 flow label): path i of a packet is sending socket i.
 * Packets get lost, overtaken, doubled; whoever is above mends that.
 *
 *   send(out[])  --> path 0..n-1 sockets --> network --> receiving socket
 *   poll(in[])  <--  receiving socket (GRO), packets lent until give_back
 *   notes[]     <--  error queues: port unreachable, no route, path MTU
 *
 * How to drive it
 *   open with the bound socket of the queue pair; then as wire_port.h says.
 *   Sending sockets are opened with the first send. Neighbours to one
 *   destination on one path with one length, the last maybe shorter, travel in
 *   one call (GSO).
 *
 * One thread at a time.
 */
#ifndef WIRE_UDP_H
#define WIRE_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire_port.h"

struct wire_udp_config {
	const uint8_t *gid; /* 16 bytes: our address; also what sending
			       sockets are bound to */
	const char *ifname; /* for messages and the link's MTU */
	uint32_t paths; /* 1..WIRE_PATHS_MAX */
	uint32_t link_mtu; /* bytes of an IP packet; 0: 1500 */
	uint32_t rcvbuf, sndbuf; /* bytes wanted; 0: 4 MiB, 1 MiB */
	bool no_offload; /* neither GSO nor GRO: for tests and comparisons */
};

/*
 * fd: the bound, non-blocking socket of the queue pair; it stays the caller's
 * but its options are the wire's. Warns once a process when the kernel's limit
 * makes the buffer smaller than wanted, naming the sysctl and the number.
 * Errors: -ENOMEM, those of setsockopt(2).
 */
int wire_udp_open(const struct wire_udp_config *config, int fd,
		  struct wire **out);
/* Empty datagrams, the wake-ups of wire_shm, are not lent but counted here. */
uint64_t wire_udp_wakes(const struct wire *w);

/*
 * The sending sockets that are open by now, 0..max: epoll them for ERR, which
 * comes when errors wait. Each waiter costs a send 0.06 us, so only to sleep.
 */
int wire_udp_fds(const struct wire *w, int *fd, int max);

#endif
