/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_note.c - what the network says about packets that did not arrive
 *
 * ICMP errors wait in the error queue of the socket that sent the packet, with
 * the address it was for; what the kernel refuses at once is told by the send.
 * Both become notes here. What ICMP carries comes from strangers: the kernel
 * has compared the quoted ports with ours, nothing else vouches for it.
 */
#include "wire/wire_udp_priv.h"

#include "util/u_log.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

/* What every network carries: no claim of less is believed. */
#define V4_MTU_MIN 552 /* where the kernel stops too */
#define V6_MTU_MIN 1280

uint32_t wire_udp_note_payload(bool v4, uint32_t mtu)
{
	/* The length of IPv6 does not count its own header. */
	uint32_t most = v4 ? 65535 : 65535 + 40;
	uint32_t hdr = v4 ? WIRE_UDP_V4_HDR : WIRE_UDP_V6_HDR;
	uint32_t least = v4 ? V4_MTU_MIN : V6_MTU_MIN;

	return (uint32_t)u_max(least, u_min(mtu, most)) - hdr;
}

static void note_add(struct wire_udp *w, const struct wire_note *note)
{
	w->troubled = true;
	w->stats.notes += wire_note_add(&w->notes, note);
}

static void note_make(struct wire_udp *w, enum wire_note_kind kind,
		      const uint8_t gid[16], uint16_t port, uint32_t mtu)
{
	struct wire_note note = { .kind = kind };

	memcpy(note.gid, gid, sizeof(note.gid));
	if (kind == WIRE_NOTE_REFUSED)
		note.qpn = port;
	/* Nobody far away can know of a wider link than ours. */
	if (kind == WIRE_NOTE_MTU)
		note.mtu =
			wire_udp_note_payload(w->v4, u_min(mtu, w->link_mtu));
	note_add(w, &note);
}

/* Not a verdict: a full table of the firewall looks the same. */
static void warn_forbidden(const uint8_t gid[16])
{
	static atomic_flag told = ATOMIC_FLAG_INIT;
	char text[INET6_ADDRSTRLEN];

	if (atomic_flag_test_and_set(&told))
		return;
	u_warn("packets to %s are dropped by this host's firewall (EPERM)",
	       wire_gid_text(gid, text));
}

void wire_udp_note_refused(struct wire_udp *w, const uint8_t gid[16],
			   uint16_t port, int error)
{
	uint32_t mtu;

	switch (error) {
	case EMSGSIZE:
		mtu = wire_udp_sock_route_mtu(w, gid);
		note_make(w, WIRE_NOTE_MTU, gid, 0, mtu ? mtu : w->link_mtu);
		return;
	case EPERM:
		warn_forbidden(gid);
		return;
	default:
		/* No queue pair has port 0, and the kernel sends nothing. */
		note_make(w, port ? WIRE_NOTE_NO_ROUTE : WIRE_NOTE_REFUSED, gid,
			  port, 0);
	}
}

static void error_judge(struct wire_udp *w, const struct sock_extended_err *e,
			const union wire_udp_addr *to)
{
	uint8_t gid[16];
	uint16_t port;

	/* The send that failed has told what the kernel itself says. */
	if (e->ee_origin != SO_EE_ORIGIN_ICMP &&
	    e->ee_origin != SO_EE_ORIGIN_ICMP6)
		return;
	if (!wire_udp_addr_gid(to, gid, &port))
		return;
	switch (e->ee_errno) {
	case ECONNREFUSED:
		note_make(w, WIRE_NOTE_REFUSED, gid, port, 0);
		return;
	case EMSGSIZE:
		note_make(w, WIRE_NOTE_MTU, gid, 0, e->ee_info);
		return;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENONET:
	case ENOPROTOOPT:
	case EACCES:
		note_make(w, WIRE_NOTE_NO_ROUTE, gid, 0, 0);
		return;
	default:
		return;
	}
}

static const struct sock_extended_err *error_find(struct msghdr *h)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
		if ((c->cmsg_level == IPPROTO_IP &&
		     c->cmsg_type == IP_RECVERR) ||
		    (c->cmsg_level == IPPROTO_IPV6 &&
		     c->cmsg_type == IPV6_RECVERR))
			return (const struct sock_extended_err *)CMSG_DATA(c);
	return NULL;
}

/* False: the queue is empty. */
static bool error_read(struct wire_udp *w, int fd)
{
	union {
		struct cmsghdr hdr; /* aligns */
		uint8_t bytes[256];
	} ctl;
	union wire_udp_addr to = { .sa.sa_family = AF_UNSPEC };
	struct msghdr h = {
		.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_control = &ctl,
		.msg_controllen = sizeof(ctl),
	};
	const struct sock_extended_err *e;

	if (recvmsg(fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	e = error_find(&h);
	if (e)
		error_judge(w, e, &to);
	return true;
}

void wire_udp_note_drain(struct wire_udp *w, int fd)
{
	socklen_t len = sizeof(int);
	int i, error;

	/* A queue holds a few hundred; whoever floods it does not hold us. */
	for (i = 0; i < 1024; i++)
		if (!error_read(w, fd))
			break;
	/* An error whose entry found no room is cleared by reading it. */
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
}

static void drain_all(struct wire_udp *w)
{
	struct pollfd p[WIRE_PATHS_MAX + 1];
	int i;

	for (i = 0; i < w->nowned; i++)
		p[i] = (struct pollfd){ .fd = w->owned[i] };
	if (!w->nowned || poll(p, (nfds_t)w->nowned, 0) <= 0)
		return;
	for (i = 0; i < w->nowned; i++)
		if (p[i].revents)
			wire_udp_note_drain(w, p[i].fd);
}

int wire_udp_notes(struct wire *wire, struct wire_note *note, int max)
{
	struct wire_udp *w = wire_udp_of(wire);
	int n;

	drain_all(w);
	n = wire_note_take(&w->notes, note, max);
	w->troubled = w->notes.n > 0;
	return n;
}

bool wire_udp_troubled(const struct wire *wire)
{
	return wire_udp_of(wire)->troubled;
}
