/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_sock.c - the sockets of a UDP wire and what is set on them
 *
 * A sending socket has a port of the kernel's choice, which is the entropy of
 * its path. Over IPv6 switches may hash the flow label instead: the kernel's
 * automatic labels are a hash that takes in the source port, so each socket
 * has one of its own, without privilege. Leased labels (IPV6_FLOWLABEL_MGR)
 * are limited to 32 a socket and a few thousand a host, and an exclusive lease
 * by anybody makes the kernel refuse labels that were not leased; they buy
 * nothing more.
 *
 * Sending sockets are not connected. Connecting saves the route lookup, 0.1 us
 * of 1.4 us a call, but would take a socket for each path and peer.
 */
#include "wire/wire_udp_priv.h"

#include "util/u_log.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#ifndef IPV6_AUTOFLOWLABEL
#define IPV6_AUTOFLOWLABEL 70
#endif

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

/* --- buffers --- */

struct buffer_kind {
	const char *what;
	const char *sysctl;
	int force, plain; /* socket options */
	atomic_flag told;
};

static struct buffer_kind buffer_receive = {
	.what = "receive",
	.sysctl = "net.core.rmem_max",
	.force = SO_RCVBUFFORCE,
	.plain = SO_RCVBUF,
	.told = ATOMIC_FLAG_INIT,
};

static struct buffer_kind buffer_send = {
	.what = "send",
	.sysctl = "net.core.wmem_max",
	.force = SO_SNDBUFFORCE,
	.plain = SO_SNDBUF,
	.told = ATOMIC_FLAG_INIT,
};

static void buffer_warn(struct buffer_kind *kind, uint32_t given,
			uint32_t wanted)
{
	if (atomic_flag_test_and_set(&kind->told))
		return;
	u_warn("the UDP %s buffer is %u KiB where %u KiB are wanted, so "
	       "packets get lost under load: sysctl -w %s=%u",
	       kind->what, given >> 10, wanted >> 10, kind->sysctl, wanted);
}

/*
 * The kernel doubles what it is asked for, to account for its own overhead;
 * what is given here is half of that: bytes of packets, as wanted.
 */
static int buffer_set(int fd, struct buffer_kind *kind, uint32_t wanted,
		      uint32_t *given)
{
	int value = (int)u_min(wanted, INT_MAX / 2), real = 0;
	socklen_t len = sizeof(real);

	if (set_int(fd, SOL_SOCKET, kind->force, value)) {
		int rc = set_int(fd, SOL_SOCKET, kind->plain, value);

		if (rc)
			return rc;
	}
	if (getsockopt(fd, SOL_SOCKET, kind->plain, &real, &len))
		return -errno;
	*given = (uint32_t)real / 2;
	if (*given < (uint32_t)value)
		buffer_warn(kind, *given, (uint32_t)value);
	return 0;
}

int wire_udp_sock_receiver(struct wire_udp *w, uint32_t rcvbuf)
{
	set_int(w->wire.fd, SOL_UDP, UDP_GRO, 0);
	set_int(w->wire.fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	return buffer_set(w->wire.fd, &buffer_receive, rcvbuf,
			  &w->wire.rx_bytes);
}

/* --- sending --- */

/* Nobody has reason to send to a sending socket: drop what comes. */
static int sender_deafen(int fd)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { .len = 1, .filter = &none };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
			  sizeof(prog)) ?
		       -errno :
		       0;
}

static int sender_set(struct wire_udp *w, int fd, bool cut)
{
	uint32_t given;
	int rc;

	if (w->v4) {
		rc = set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER,
			     cut ? IP_PMTUDISC_DONT : IP_PMTUDISC_DO);
		if (!rc)
			rc = set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	} else {
		rc = set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
			     cut ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_DO);
		if (!rc)
			rc = set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
		/* Without it the source port alone tells paths apart. */
		set_int(fd, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1);
	}
	if (!rc)
		rc = sender_deafen(fd);
	return rc ? rc : buffer_set(fd, &buffer_send, w->sndbuf, &given);
}

static int sock_bound(const struct wire_udp *w)
{
	union wire_udp_addr self;
	int fd, rc;

	wire_udp_addr_init(w, &self);
	wire_udp_addr_set(w, &self, w->gid, 0);
	fd = socket(self.sa.sa_family,
		    SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!bind(fd, &self.sa, wire_udp_addr_len(w)))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static int sender_open(struct wire_udp *w, bool cut)
{
	int fd = sock_bound(w), rc;

	if (fd < 0)
		return fd;
	rc = sender_set(w, fd, cut);
	if (rc) {
		close(fd);
		return rc;
	}
	w->owned[w->nowned++] = fd;
	return fd;
}

static void sender_warn(int rc)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;

	if (atomic_flag_test_and_set(&told))
		return;
	u_warn("no UDP socket for another path (%s), so paths share one%s",
	       strerror(-rc), rc == -EMFILE ? ": raise ulimit -n" : "");
}

int wire_udp_sock_path(struct wire_udp *w, uint8_t path)
{
	int fd;

	assert(w->path[path] < 0);
	fd = sender_open(w, false);
	if (fd < 0) {
		sender_warn(fd);
		/* The receiving socket can send too, if need be. */
		fd = w->wire.fd;
		for (uint32_t i = 0; i < w->wire.paths && fd == w->wire.fd; i++)
			if (w->path[i] >= 0)
				fd = w->path[i];
	}
	w->path[path] = fd;
	return fd;
}

int wire_udp_sock_cutter(struct wire_udp *w)
{
	int fd;

	assert(w->cutter < 0);
	fd = sender_open(w, true);
	if (fd < 0) {
		sender_warn(fd);
		fd = w->wire.fd;
	}
	w->cutter = fd;
	return fd;
}

uint32_t wire_udp_sock_route_mtu(const struct wire_udp *w,
				 const uint8_t gid[16])
{
	union wire_udp_addr to;
	int fd = sock_bound(w), mtu = 0;
	socklen_t len = sizeof(mtu);

	if (fd < 0)
		return 0;
	wire_udp_addr_init(w, &to);
	wire_udp_addr_set(w, &to, gid, 9);
	if (connect(fd, &to.sa, wire_udp_addr_len(w)) ||
	    getsockopt(fd, w->v4 ? IPPROTO_IP : IPPROTO_IPV6,
		       w->v4 ? IP_MTU : IPV6_MTU, &mtu, &len))
		mtu = 0;
	close(fd);
	return mtu > 0 ? (uint32_t)mtu : 0;
}
