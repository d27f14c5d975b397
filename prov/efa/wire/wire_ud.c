/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud.c - a UD wire from open to close
 *
 * Each wire has a context of its own: nothing is shared between endpoints, and
 * so nothing is locked. Devices are wire_ud_list.c, memory wire_ud_mem.c, queue
 * pairs wire_ud_qp.c, address handles wire_ud_host.c and wire_ud_ask.c, sending
 * wire_ud_send.c, receiving wire_ud_poll.c, gids wire_ud_gid.c, trouble
 * wire_ud_event.c.
 */
#include "wire/wire_ud.h"

#include "wire/wire_ud_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_log.h"

#define RX_BYTES (4u << 20)

static void ud_close(struct wire *wire)
{
	struct wire_ud *w = wire_ud_of(wire);

	wire_ud_qp_fini(w);
	wire_ud_asker_fini(w);
	wire_ud_hosts_fini(w);
	wire_ud_mem_fini(w);
	ibv_dealloc_pd(w->pd);
	ibv_close_device(w->ctx);
	free(w);
}

static bool ud_troubled(const struct wire *wire)
{
	return wire_ud_of(wire)->troubled;
}

/* No network of this kind tells the MTU of the way: all ports have one. */
static uint32_t ud_mtu(const struct wire *wire, const uint8_t gid[16])
{
	(void)gid;
	return wire_ud_of(wire)->mtu_by_now;
}

static const struct wire_stats *ud_stats(struct wire *wire)
{
	return &wire_ud_of(wire)->stats;
}

static const struct wire_ops ud_ops = {
	.close = ud_close,
	.send = wire_ud_send,
	.poll = wire_ud_poll,
	.give_back = wire_ud_give_back,
	.arm = wire_ud_arm,
	.notes = wire_ud_notes,
	.troubled = ud_troubled,
	.mtu = ud_mtu,
	.stats = ud_stats,
};

static void tell_port(const struct wire_ud_config *c, int rc)
{
	char text[WIRE_GID_TEXT];

	u_warn("port %u of RDMA device %s cannot be used: %s%s", c->port,
	       c->device,
	       rc == -ENETDOWN ? "it is not active" :
	       rc == -ENODEV   ? "it has no longer the address " :
				 strerror(-rc),
	       rc == -ENODEV ? wire_gid_text(c->gid, text) : "");
}

/* Pinned pages are left out of children where the kernel does not copy them;
 * only once, and not after others have pinned some. */
static void fork_protect(void)
{
	if (ibv_is_fork_initialized() == IBV_FORK_DISABLED)
		ibv_fork_init();
}

static int device_init(struct wire_ud *w, const struct wire_ud_config *c)
{
	int rc, flags;

	fork_protect();
	rc = wire_ud_device_open(c->device, &w->ctx);
	if (rc)
		return rc;
	rc = wire_ud_port(w->ctx, c->port, c->gid, &w->info, &w->gid_index);
	if (rc) {
		tell_port(c, rc);
		goto close_device;
	}
	flags = fcntl(w->ctx->async_fd, F_GETFL);
	if (flags < 0 ||
	    fcntl(w->ctx->async_fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		rc = -errno;
		goto close_device;
	}
	w->pd = ibv_alloc_pd(w->ctx);
	if (w->pd)
		return 0;
	rc = -errno;
	u_warn("%s: no protection domain: %s", c->device, strerror(-rc));
close_device:
	ibv_close_device(w->ctx);
	return rc;
}

/* Buffers for so many bytes, within what the device takes. */
static uint32_t rx_wanted(const struct wire_ud *w, uint32_t bytes)
{
	uint32_t n = (bytes ? bytes : RX_BYTES) / w->rx.stride;
	struct ibv_device_attr attr;

	if (!ibv_query_device(w->ctx, &attr)) {
		n = (uint32_t)u_min(n, (size_t)attr.max_qp_wr - 1);
		n = (uint32_t)u_min(n, (size_t)attr.max_cqe);
	}
	return (uint32_t)u_max(WIRE_UD_CHUNK, u_min(n, WIRE_UD_RX_MAX));
}

static void wire_fill(struct wire_ud *w)
{
	w->wire.ops = &ud_ops;
	w->wire.fd = w->rx.channel->fd;
	w->wire.qpn = w->rx.qp->qp_num;
	w->wire.rx_packets = w->rx.max;
	w->wire.rx_bytes = w->rx.max * w->mtu;
}

static void ud_tell(const struct wire_ud *w)
{
	char text[WIRE_GID_TEXT];

	u_info("%s: queue pair %u of port %u, address %s (index %u), packets "
	       "of %u bytes, %u paths, %u to %u receive buffers, %u bytes "
	       "inline",
	       w->info.device, w->wire.qpn, w->info.port,
	       wire_gid_text(w->info.gid, text), w->gid_index, w->mtu,
	       w->wire.paths, w->rx.n, w->rx.max, w->tx.inline_max);
}

int wire_ud_open(const struct wire_ud_config *config, struct wire **out)
{
	struct wire_ud *w;
	int rc;

	if (config->paths < 1 || config->paths > WIRE_UD_PATHS_MAX)
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->wire.paths = config->paths;
	w->qkey = config->qkey;
	rc = device_init(w, config);
	if (rc)
		goto free_wire;
	w->mtu = w->mtu_by_now = w->info.mtu;
	w->rx.stride = (uint32_t)u_align(WIRE_UD_GRH + w->mtu, U_LINE);
	w->tx.stride = (uint32_t)u_align(w->mtu, U_LINE);
	rc = wire_ud_mem_init(w, rx_wanted(w, config->rx_bytes));
	if (rc)
		goto close_device;
	rc = wire_ud_hosts_init(w, config->patience);
	if (rc)
		goto unpin;
	rc = wire_ud_asker_init(w);
	if (rc)
		goto forget_hosts;
	rc = wire_ud_qp_init(w);
	if (rc)
		goto close_queues;
	wire_fill(w);
	ud_tell(w);
	*out = &w->wire;
	return 0;

close_queues:
	wire_ud_qp_fini(w);
	wire_ud_asker_fini(w);
forget_hosts:
	wire_ud_hosts_fini(w);
unpin:
	wire_ud_mem_fini(w);
close_device:
	ibv_dealloc_pd(w->pd);
	ibv_close_device(w->ctx);
free_wire:
	free(w);
	return rc;
}
