/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp.c - a UDP wire from open to close
 *
 * Sending is wire_udp_send.c, receiving wire_udp_poll.c, what goes wrong on
 * the way wire_udp_note.c, socket options wire_udp_sock.c.
 */
#include "wire/wire_udp.h"

#include "wire/wire_udp_priv.h"

#include "util/u_lines.h"
#include "util/u_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINK_MTU_DEFAULT 1500
#define RCVBUF_DEFAULT (4u << 20)
#define SNDBUF_DEFAULT (1u << 20)

static int config_check(const struct wire_udp_config *c, int fd, uint16_t *port)
{
	union wire_udp_addr self;
	socklen_t len = sizeof(self);
	uint8_t gid[16];

	if (c->paths < 1 || c->paths > WIRE_PATHS_MAX)
		return -EINVAL;
	if (getsockname(fd, &self.sa, &len))
		return -errno;
	if (!wire_udp_addr_gid(&self, gid, port) ||
	    wire_gid_is_v4(gid) != wire_gid_is_v4(c->gid))
		return -EINVAL;
	return 0;
}

static void config_take(struct wire_udp *w, const struct wire_udp_config *c)
{
	memcpy(w->gid, c->gid, sizeof(w->gid));
	w->v4 = wire_gid_is_v4(c->gid);
	w->gso = !c->no_offload;
	w->wire.paths = c->paths;
	w->link_mtu = c->link_mtu ? c->link_mtu : LINK_MTU_DEFAULT;
	w->sndbuf = c->sndbuf ? c->sndbuf : SNDBUF_DEFAULT;
	if (!c->ifname)
		return;
	strncpy(w->ifname, c->ifname, sizeof(w->ifname) - 1);
	w->scope = if_nametoindex(w->ifname);
}

static void udp_close(struct wire *wire)
{
	struct wire_udp *w = wire_udp_of(wire);

	wire_udp_rx_fini(w);
	for (int i = 0; i < w->nowned; i++)
		close(w->owned[i]);
	free(w);
}

/* A socket is readable while it holds packets. */
static int udp_arm(struct wire *wire)
{
	(void)wire;
	return 0;
}

static uint32_t udp_mtu(const struct wire *wire, const uint8_t gid[16])
{
	const struct wire_udp *w = wire_udp_of(wire);
	uint32_t mtu = w->link_mtu, route = 0;

	if (wire_gid_is_v4(gid) == w->v4)
		route = wire_udp_sock_route_mtu(w, gid);
	if (route && route < mtu)
		mtu = route;
	return wire_udp_note_payload(w->v4, mtu);
}

static const struct wire_stats *udp_stats(struct wire *wire)
{
	return &wire_udp_of(wire)->stats;
}

static const struct wire_ops udp_ops = {
	.close = udp_close,
	.send = wire_udp_send,
	.poll = wire_udp_poll,
	.give_back = wire_udp_give_back,
	.arm = udp_arm,
	.notes = wire_udp_notes,
	.troubled = wire_udp_troubled,
	.mtu = udp_mtu,
	.stats = udp_stats,
};

int wire_udp_open(const struct wire_udp_config *config, int fd,
		  struct wire **out)
{
	struct wire_udp *w;
	uint16_t port;
	int rc;

	rc = config_check(config, fd, &port);
	if (rc)
		return rc;
	w = u_lines_new(sizeof(*w));
	if (!w)
		return -ENOMEM;
	config_take(w, config);
	w->wire.fd = fd;
	w->wire.ops = &udp_ops;
	w->wire.qpn = port;
	w->wire.syscalls = true;
	w->cutter = -1;
	memset(w->path, -1, sizeof(w->path));
	rc = wire_udp_sock_receiver(w, config->rcvbuf ? config->rcvbuf :
							RCVBUF_DEFAULT);
	if (rc)
		goto free_wire;
	rc = wire_udp_rx_init(w, !config->no_offload);
	if (rc)
		goto free_wire;
	wire_udp_tx_init(w);
	u_debug("udp: wire open on %s, %u paths, receive buffer %u KiB",
		w->ifname, w->wire.paths, w->wire.rx_bytes >> 10);
	*out = &w->wire;
	return 0;

free_wire:
	free(w);
	return rc;
}

int wire_udp_fds(const struct wire *wire, int *fd, int max)
{
	const struct wire_udp *w = wire_udp_of(wire);
	int n = (int)u_min((size_t)w->nowned, (size_t)max);

	memcpy(fd, w->owned, (size_t)n * sizeof(*fd));
	return n;
}
