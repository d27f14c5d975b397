/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud.h - door of the UD wire: packets by the UD queue pairs of any RDMA
 * NIC: RoCE version 2, soft-RoCE, InfiniBand
 *
 * One queue pair receives, and its number is that of the wire; one more for
 * each path sends, because NICs derive the UDP source port, by which the
 * network chooses a way, from the sending queue pair or from the flow label,
 * which differs too. Both live in memory of the process: neither a send nor a
 * poll enters the kernel on a real NIC; soft-RoCE enters it for each burst of
 * sends.
 *
 *   send(out[])  --> path 0..n-1 queue pairs --> network --> queue pair
 *   poll(in[])  <--  receiving queue pair, packets lent until give_back
 *   notes[]     <--  no route to a host, MTU, and: the device has gone
 *
 * How to drive it
 *   list, choose, open; then as wire_port.h says.
 */
#ifndef WIRE_UD_H
#define WIRE_UD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire_port.h"

#define WIRE_UD_PATHS_MAX 16
#define WIRE_UD_MTU_MIN 512 /* ports with less are not listed */

/* A port of an RDMA device that can be opened. */
struct wire_ud_info {
	char device[64]; /* as libibverbs names it */
	char ifname[16]; /* network interface of the gid; "": none, or not seen
			    from here */
	uint8_t port; /* 1.. */
	/*
	 * What peers know it by. RoCE: the IP address, IPv4-mapped or IPv6.
	 * InfiniBand: fe80, four zeros, the LID, the port GUID: all that is
	 * needed to reach it within its subnet.
	 */
	uint8_t gid[16];
	bool infiniband;
	uint32_t mtu; /* bytes of a packet */
	uint64_t speed; /* bits a second; 0: unknown */
	/* Of the card, as its driver says; from wire_ud_list alone. */
	uint32_t vendor, part, revision;
	char firmware[64];
};

/*
 * Ports that are active and have an address, in the order of libibverbs. The
 * list is the caller's to free(). Returns their number, 0 without RDMA devices,
 * then without a word and at once; -ENOMEM.
 */
int wire_ud_list(struct wire_ud_info **list);

struct wire_ud_config {
	const char *device;
	uint8_t port;
	const uint8_t *gid; /* 16 bytes, of wire_ud_list */
	uint32_t qkey; /* bit 31 clear; who sends to us gives it as wire_out.key
			  and the NIC drops all other packets */
	uint32_t paths; /* 1..WIRE_UD_PATHS_MAX */
	uint32_t rx_bytes; /* buffers of the receiving queue pair; less where
			      no more memory may be pinned; 0: 4 MiB */
	uint64_t patience; /* ns that the first packet to a host waits for the
			      way there, then it is lost; 0: 10 ms */
};

/*
 * Errors are logged with what to do: -ENODEV no such device, port or address,
 * -ENETDOWN the port is not active, -EACCES the device is not ours to open,
 * -ENOMEM, often of the limit of locked memory, others of the device.
 */
int wire_ud_open(const struct wire_ud_config *config, struct wire **out);

#endif
