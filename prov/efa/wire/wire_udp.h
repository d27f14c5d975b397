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
 *   open with the bound socket of the queue pair; send, (poll, give_back),
 *   notes; close. Sending sockets are opened with the first send.
 *
 * One thread at a time.
 */
#ifndef WIRE_UDP_H
#define WIRE_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire_pkt.h"

#define WIRE_UDP_PATHS_MAX 64
#define WIRE_UDP_BURST 256 /* packets that one poll lends at most */

struct wire_udp_config {
	const uint8_t *gid; /* 16 bytes: our address; also what sending
			       sockets are bound to */
	const char *ifname; /* for messages and the link's MTU */
	uint32_t paths; /* 1..WIRE_UDP_PATHS_MAX */
	uint32_t link_mtu; /* bytes of an IP packet; 0: 1500 */
	uint32_t rcvbuf, sndbuf; /* bytes wanted; 0: 4 MiB, 1 MiB */
	bool no_offload; /* neither GSO nor GRO: for tests and comparisons */
};

struct wire_udp;

struct wire_udp_stats {
	uint64_t tx_packets, tx_bytes, tx_calls; /* calls: sendmmsg, sendmsg */
	uint64_t rx_packets, rx_bytes, rx_calls;
	uint64_t tx_full; /* packets that the socket had no room for */
	uint64_t tx_failed; /* packets that the kernel refused: see the notes */
	uint64_t rx_dropped; /* by the kernel, our buffer being full
				(SO_RXQ_OVFL) */
	uint64_t rx_truncated;
	uint64_t notes;
};

/*
 * fd: the bound, non-blocking socket of the queue pair; it stays the caller's
 * but its options are the wire's. Warns once a process when the kernel's limit
 * makes the buffer smaller than wanted, naming the sysctl and the number.
 * Errors: -ENOMEM, those of setsockopt(2).
 */
int wire_udp_open(const struct wire_udp_config *config, int fd,
		  struct wire_udp **out);
void wire_udp_close(struct wire_udp *w);

/*
 * Sends packets in order; returns how many were taken, 0..n. Fewer: the
 * socket is full (they may be sent again soon). A packet that the kernel
 * refuses for good (no route, longer than the MTU) counts as taken and makes a
 * note. Neighbours to one destination on one path with one length, the last
 * maybe shorter, travel in one call (GSO).
 */
int wire_udp_send(struct wire_udp *w, const struct wire_out *out, int n);

/*
 * Lends up to max <= WIRE_UDP_BURST packets. Those of the poll before must
 * have been given back. 0: nothing there.
 */
int wire_udp_poll(struct wire_udp *w, struct wire_in *in, int max);
void wire_udp_give_back(struct wire_udp *w);

/* Empty datagrams, the wake-ups of wire_shm, are not lent but counted here. */
uint64_t wire_udp_wakes(const struct wire_udp *w);

enum wire_note_kind {
	WIRE_NOTE_REFUSED, /* nobody listens at gid, port */
	WIRE_NOTE_NO_ROUTE, /* gid cannot be reached */
	WIRE_NOTE_MTU, /* packets to gid: at most `mtu` bytes of UDP payload */
};

struct wire_note {
	enum wire_note_kind kind;
	uint8_t gid[16];
	uint16_t port; /* REFUSED */
	uint32_t mtu; /* MTU */
};

/*
 * What the error queues and refused sends have told since the last call, up
 * to max. One system call when nothing is there; so now and then, or when
 * wire_udp_troubled says so.
 */
int wire_udp_notes(struct wire_udp *w, struct wire_note *note, int max);

/* A call has failed with a pending socket error: notes are waiting. */
bool wire_udp_troubled(const struct wire_udp *w);

/* Bytes of UDP payload that the link carries in one packet to gid. */
uint32_t wire_udp_mtu(const struct wire_udp *w, const uint8_t gid[16]);

/* Bytes that the receive socket really holds. */
uint32_t wire_udp_rcvbuf(const struct wire_udp *w);

const struct wire_udp_stats *wire_udp_stats(struct wire_udp *w);

/*
 * The sending sockets that are open by now, 0..max: epoll them for ERR, which
 * comes when errors wait. Each waiter costs a send 0.06 us, so only to sleep.
 */
int wire_udp_fds(const struct wire_udp *w, int *fd, int max);

#endif
