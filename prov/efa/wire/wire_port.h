/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_port.h - door of every packet wire: one shape, whatever carries the
 * packets
 *
 * A packet wire takes bursts of packets for queue pairs of other hosts and
 * lends bursts of packets that came. Packets get lost, overtaken, doubled;
 * whoever is above mends that. wire_udp and wire_ud open one; all else is done
 * through the calls here, each one indirect call a burst.
 *
 *   send(out[])  --> path 0..paths-1 --> network --> queue pair of the peer
 *   poll(in[])  <--  our queue pair, packets lent until give_back
 *   notes[]     <--  what went wrong on the way
 *
 * How to drive it
 *   wire_udp_open or wire_ud_open; send, (poll, give_back), notes; before a
 *   sleep on `fd`, arm; close.
 *
 * One thread at a time.
 */
#ifndef WIRE_PORT_H
#define WIRE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire_pkt.h"

#define WIRE_PATHS_MAX 64
#define WIRE_BURST 256 /* packets that one poll lends at most */

struct wire_stats {
	uint64_t tx_packets, tx_bytes;
	uint64_t tx_calls; /* system calls, or rings of the card's bell */
	uint64_t rx_packets, rx_bytes, rx_calls;
	uint64_t tx_full; /* packets that there was no room for */
	uint64_t tx_failed; /* packets that were refused: see the notes; or
			       had no way yet */
	uint64_t rx_dropped; /* by the system, our buffers being full, where it
				counts them */
	uint64_t rx_bad; /* truncated, failed, or from nobody */
	uint64_t notes;
};

enum wire_note_kind {
	WIRE_NOTE_REFUSED, /* nobody listens at gid, qpn */
	WIRE_NOTE_NO_ROUTE, /* gid cannot be reached */
	WIRE_NOTE_MTU, /* packets to gid: at most `mtu` bytes */
	WIRE_NOTE_DEAD, /* the device has gone: nobody can be reached; told
			   again at each look */
};

struct wire_note {
	enum wire_note_kind kind;
	uint8_t gid[16];
	uint32_t qpn; /* REFUSED */
	uint32_t mtu; /* MTU */
};

struct wire_ops;

struct wire {
	const struct wire_ops *ops;
	/* const after open */
	int fd; /* readable when a wire that was armed has packets */
	uint32_t qpn; /* of the queue pair that receives */
	uint32_t paths; /* 1..WIRE_PATHS_MAX; path of a packet: below it */
	uint32_t rx_bytes; /* packets that wait to be polled: so many bytes */
	uint32_t rx_packets; /* and so many packets; 0: bytes alone count */
	bool syscalls; /* a poll that finds nothing is a system call */
};

struct wire_ops {
	void (*close)(struct wire *w);
	int (*send)(struct wire *w, const struct wire_out *out, int n);
	int (*poll)(struct wire *w, struct wire_in *in, int max);
	void (*give_back)(struct wire *w);
	int (*arm)(struct wire *w);
	int (*notes)(struct wire *w, struct wire_note *note, int max);
	bool (*troubled)(const struct wire *w);
	uint32_t (*mtu)(const struct wire *w, const uint8_t gid[16]);
	const struct wire_stats *(*stats)(struct wire *w);
};

/* Every packet that was lent must have been given back. */
static inline void wire_close(struct wire *w)
{
	w->ops->close(w);
}

/*
 * Sends packets in order; returns how many were taken, 0..n. Fewer: there is
 * no room (they may be sent again soon). A packet that is refused for good (no
 * route, longer than the MTU) counts as taken and makes a note. Packets may
 * share a call with neighbours to one destination by one path.
 */
static inline int wire_send(struct wire *w, const struct wire_out *out, int n)
{
	return w->ops->send(w, out, n);
}

/*
 * Lends up to max <= WIRE_BURST packets. Those of the poll before must have
 * been given back. 0: nothing there.
 */
static inline int wire_poll(struct wire *w, struct wire_in *in, int max)
{
	return w->ops->poll(w, in, max);
}

static inline void wire_give_back(struct wire *w)
{
	w->ops->give_back(w);
}

/*
 * Makes fd readable at the next arrival, once. 1: something may be there
 * already: poll, then arm again. No loans may be out.
 */
static inline int wire_arm(struct wire *w)
{
	return w->ops->arm(w);
}

/*
 * What went wrong since the last call, up to max > 0 notes. One system call
 * when nothing did; so now and then, or when wire_troubled says so.
 */
static inline int wire_notes(struct wire *w, struct wire_note *note, int max)
{
	return w->ops->notes(w, note, max);
}

/* Notes are waiting. */
static inline bool wire_troubled(const struct wire *w)
{
	return w->ops->troubled(w);
}

/* Bytes that one packet to gid can have. */
static inline uint32_t wire_mtu(const struct wire *w, const uint8_t gid[16])
{
	return w->ops->mtu(w, gid);
}

static inline const struct wire_stats *wire_stats(struct wire *w)
{
	return w->ops->stats(w);
}

#endif
