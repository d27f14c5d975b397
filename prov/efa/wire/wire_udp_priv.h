/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_priv.h - the UDP wire as its own files see it
 *
 * The message headers for the kernel are laid out once, at open: a call
 * changes in them only what differs from packet to packet, or what the kernel
 * has written.
 */
#ifndef WIRE_UDP_PRIV_H
#define WIRE_UDP_PRIV_H

#include "wire/wire_gid.h"
#include "wire/wire_note.h"
#include "wire/wire_udp.h"

#include "util/u_base.h"

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

/* For C libraries whose headers are older than the kernel. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* The kernel's limit up to Linux 6.8 (more since), and one below 64 KiB. */
#define WIRE_UDP_GSO_PACKETS 64
#define WIRE_UDP_GSO_BYTES 65000

#define WIRE_UDP_TX_MSGS 64
#define WIRE_UDP_TX_SMALL 256 /* bytes cheaper to copy than to describe */
#define WIRE_UDP_TX_IOVS 512

/*
 * What one call receives at most. With GRO a buffer holds up to 64 KiB of
 * packets, without it one packet; more of them than these gain nothing.
 */
#define WIRE_UDP_RX_BUFS 16
#define WIRE_UDP_RX_BYTES 65536u

#define WIRE_UDP_V4_HDR (20 + 8)
#define WIRE_UDP_V6_HDR (40 + 8)

union wire_udp_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* The kernel wants control data aligned as its header. */
union wire_udp_tx_ctl {
	struct cmsghdr hdr;
	uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
};

union wire_udp_rx_ctl {
	struct cmsghdr hdr;
	uint8_t bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint32_t))];
};

/* Messages of one run: all through one socket. */
struct wire_udp_tx {
	int nmsg, niov; /* filled */
	struct mmsghdr msg[WIRE_UDP_TX_MSGS];
	uint8_t small[WIRE_UDP_TX_SMALL]; /* a packet in one piece */
	uint32_t bytes[WIRE_UDP_TX_MSGS]; /* of a message */
	uint16_t pkts[WIRE_UDP_TX_MSGS]; /* of a message: 1 without GSO */
	union wire_udp_addr to[WIRE_UDP_TX_MSGS];
	union wire_udp_tx_ctl ctl[WIRE_UDP_TX_MSGS];
	struct iovec iov[WIRE_UDP_TX_IOVS];
};

/* What the last call has brought into one buffer. */
struct wire_udp_rx_buf {
	uint32_t len; /* bytes */
	uint32_t seg; /* bytes of each packet, the last may have fewer; > 0 */
	uint8_t gid[16]; /* of the sender */
};

struct wire_udp_rx {
	uint32_t at; /* buffer that is cut next; == got: a call is due */
	uint32_t off; /* bytes of it that have been lent */
	uint32_t got; /* buffers that the last call filled */
	uint32_t ask; /* buffers that the next call offers; 1.. */
	bool lent;
	bool gro; /* on: buffers may hold several packets */
	bool gro_wanted; /* at the first burst */
	uint32_t overflow; /* the socket's drop counter as last seen */
	uint64_t wakes;
	uint8_t *mem; /* WIRE_UDP_RX_BUFS of WIRE_UDP_RX_BYTES, mapped */
	struct wire_udp_rx_buf buf[WIRE_UDP_RX_BUFS];
	struct mmsghdr msg[WIRE_UDP_RX_BUFS];
	struct iovec iov[WIRE_UDP_RX_BUFS];
	union wire_udp_addr from[WIRE_UDP_RX_BUFS];
	union wire_udp_rx_ctl ctl[WIRE_UDP_RX_BUFS];
};

struct wire_udp {
	struct wire wire; /* first: what users of the wire hold */
	/* const after open, but for gso */
	bool v4; /* our gid is an IPv4 address */
	bool gso; /* off for good when the kernel turns out not to do it */
	uint32_t link_mtu;
	uint32_t sndbuf; /* wanted */
	uint32_t scope; /* of link-local IPv6 addresses: interface index */
	uint8_t gid[16];
	char ifname[IF_NAMESIZE]; /* "" when not told */

	/* sending sockets, each opened with its first packet; -1: not yet */
	int path[WIRE_PATHS_MAX];
	int cutter; /* for packets that the network may cut */
	int nowned;
	int owned[WIRE_PATHS_MAX + 1]; /* all that we opened */

	bool troubled; /* notes wait, here or in an error queue */
	struct wire_note_list notes;

	struct wire_stats stats;
	struct wire_udp_tx tx;
	struct wire_udp_rx rx;
};

/* wire_udp_addr.c: gids and socket addresses */

socklen_t wire_udp_addr_len(const struct wire_udp *w);
/* What all addresses of this wire have in common: family, nothing else. */
void wire_udp_addr_init(const struct wire_udp *w, union wire_udp_addr *addr);
/* Address and port into an addr that was initialized; port in host order. */
void wire_udp_addr_set(const struct wire_udp *w, union wire_udp_addr *addr,
		       const uint8_t gid[16], uint16_t port);
/* False when addr is of no family that we know. port may be NULL. */
bool wire_udp_addr_gid(const union wire_udp_addr *addr, uint8_t gid[16],
		       uint16_t *port);

/* wire_udp_sock.c: sockets and what is set on them */

int wire_udp_sock_receiver(struct wire_udp *w, uint32_t rcvbuf);
/*
 * The socket of a path, or the one for packets that the network may cut;
 * never fails: where no more sockets are to be had, paths share one.
 */
int wire_udp_sock_path(struct wire_udp *w, uint8_t path);
int wire_udp_sock_cutter(struct wire_udp *w);
/* MTU of the route to gid in bytes of an IP packet; 0: unknown. */
uint32_t wire_udp_sock_route_mtu(const struct wire_udp *w,
				 const uint8_t gid[16]);

static inline struct wire_udp *wire_udp_of(const struct wire *wire)
{
	return (struct wire_udp *)(uintptr_t)wire;
}

/* wire_udp_poll.c */

int wire_udp_rx_init(struct wire_udp *w, bool gro);
void wire_udp_rx_fini(struct wire_udp *w);
int wire_udp_poll(struct wire *wire, struct wire_in *in, int max);
void wire_udp_give_back(struct wire *wire);

/* wire_udp_send.c */

void wire_udp_tx_init(struct wire_udp *w);
int wire_udp_send(struct wire *wire, const struct wire_out *out, int n);

/* wire_udp_note.c: what went wrong, and with whom */

/*
 * Reads the error queue of a socket into notes; after that no call on the
 * socket fails for what an earlier packet has met.
 */
void wire_udp_note_drain(struct wire_udp *w, int fd);
/* A send to gid, port was refused with `error` (of errno.h, positive). */
void wire_udp_note_refused(struct wire_udp *w, const uint8_t gid[16],
			   uint16_t port, int error);
int wire_udp_notes(struct wire *wire, struct wire_note *note, int max);
bool wire_udp_troubled(const struct wire *wire);

/* Bytes of UDP payload in an IP packet of mtu bytes. */
uint32_t wire_udp_note_payload(bool v4, uint32_t mtu);

#endif
