/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_qp.c - the queue pairs of a UD wire, and what they complete to
 *
 * A queue pair takes nothing more after its first error: soft-RoCE makes one of
 * an interface that is down. It is then reset and set up again, now and then,
 * until packets pass; those that were under way are lost, which is what packets
 * may be.
 */
#include "wire/wire_ud_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "util/u_hash.h"
#include "util/u_log.h"
#include "util/u_time.h"

#define INLINE_WANTED 128 /* bytes; larger ones make a NIC's queue larger */
#define REVIVE_EVERY (20 * U_MSEC)

static int modify(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	int rc = ibv_modify_qp(qp, attr, mask);

	return rc > 0 ? -rc : rc;
}

static int qp_reset(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	return modify(qp, &attr, IBV_QP_STATE);
}

static int qp_to_init(struct wire_ud *w, struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = w->info.port,
		.qkey = w->qkey,
	};

	return modify(qp, &attr,
		      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			      IBV_QP_QKEY);
}

static int qp_to_send(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RTR };
	int rc = modify(qp, &attr, IBV_QP_STATE);

	if (rc)
		return rc;
	attr.qp_state = IBV_QPS_RTS;
	attr.sq_psn = (uint32_t)u_random64() & 0xffffff;
	return modify(qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN);
}

/* --- setting up again --- */

static int rx_start(struct wire_ud *w)
{
	int rc = qp_to_init(w, w->rx.qp);

	if (!rc)
		rc = wire_ud_rx_post_all(w);
	return rc ? rc : qp_to_send(w->rx.qp);
}

static void rx_revive(struct wire_ud *w)
{
	struct wire_ud_rx *rx = &w->rx;

	if (qp_reset(rx->qp))
		return;
	/* What arrived before is of buffers that are posted anew. */
	while (ibv_poll_cq(rx->cq, WIRE_BURST, rx->wc) > 0)
		;
	rx->nstash = 0;
	rx->broken = rx_start(w) != 0;
	if (!rx->broken)
		u_info("%s: queue pair %u receives again", w->info.device,
		       w->wire.qpn);
}

static int path_start(struct wire_ud *w, struct wire_ud_path *p)
{
	int rc = qp_to_init(w, p->qp);

	p->life++;
	wire_ud_gone(w, p, p->tail);
	return rc ? rc : qp_to_send(p->qp);
}

static void path_revive(struct wire_ud *w, struct wire_ud_path *p)
{
	if (qp_reset(p->qp))
		return;
	wire_ud_reap(w);
	p->broken = path_start(w, p) != 0;
}

void wire_ud_qp_revive(struct wire_ud *w, uint64_t now)
{
	if (w->dead || now - w->revived_at < REVIVE_EVERY)
		return;
	w->revived_at = now;
	if (w->rx.broken)
		rx_revive(w);
	for (uint32_t i = 0; i < w->wire.paths; i++)
		if (w->path[i].broken)
			path_revive(w, &w->path[i]);
}

/* --- from open to close --- */

static struct ibv_qp *qp_make(struct wire_ud *w, struct ibv_qp_init_attr *attr)
{
	attr->qp_type = IBV_QPT_UD;
	return ibv_create_qp(w->pd, attr);
}

static int rx_open(struct wire_ud *w)
{
	struct wire_ud_rx *rx = &w->rx;
	struct ibv_qp_init_attr attr = {
		.cap = { .max_send_wr = 1,
			 .max_recv_wr = rx->max,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
	};
	int flags;

	rx->channel = ibv_create_comp_channel(w->ctx);
	if (!rx->channel)
		return -errno;
	flags = fcntl(rx->channel->fd, F_GETFL);
	if (flags < 0 ||
	    fcntl(rx->channel->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	rx->cq = ibv_create_cq(w->ctx, (int)rx->max, NULL, rx->channel, 0);
	if (!rx->cq)
		return -errno;
	attr.recv_cq = rx->cq;
	attr.send_cq = w->tx.cq;
	rx->qp = qp_make(w, &attr);
	return rx->qp ? rx_start(w) : -errno;
}

static struct ibv_qp_init_attr path_attr(struct wire_ud *w, uint32_t inl)
{
	return (struct ibv_qp_init_attr){
		.send_cq = w->tx.cq,
		.recv_cq = w->tx.cq,
		.cap = { .max_send_wr = WIRE_UD_DEPTH,
			 .max_recv_wr = 1,
			 .max_send_sge = 2,
			 .max_recv_sge = 1,
			 .max_inline_data = inl },
	};
}

/* A NIC that carries nothing inside a work request says -EINVAL. */
static int path_open(struct wire_ud *w, struct wire_ud_path *p)
{
	struct ibv_qp_init_attr attr = path_attr(w, w->tx.inline_max);

	p->qp = qp_make(w, &attr);
	if (!p->qp && w->tx.inline_max) {
		attr = path_attr(w, 0);
		p->qp = qp_make(w, &attr);
	}
	if (!p->qp)
		return -errno;
	w->tx.inline_max =
		(uint32_t)u_min(w->tx.inline_max, attr.cap.max_inline_data);
	return path_start(w, p);
}

static int tx_open(struct wire_ud *w)
{
	int n = (int)w->wire.paths * WIRE_UD_DEPTH;
	int rc = 0;

	w->tx.inline_max = INLINE_WANTED;
	w->tx.cq = ibv_create_cq(w->ctx, n, NULL, NULL, 0);
	if (!w->tx.cq)
		return -errno;
	for (uint32_t i = 0; i < w->wire.paths && !rc; i++)
		rc = path_open(w, &w->path[i]);
	return rc;
}

int wire_ud_qp_init(struct wire_ud *w)
{
	int rc = tx_open(w);

	if (!rc)
		rc = rx_open(w);
	if (rc)
		u_warn("%s: no queue pairs for an endpoint: %s", w->info.device,
		       strerror(-rc));
	return rc;
}

void wire_ud_qp_fini(struct wire_ud *w)
{
	struct wire_ud_rx *rx = &w->rx;

	if (rx->qp)
		ibv_destroy_qp(rx->qp);
	for (uint32_t i = 0; i < w->wire.paths; i++)
		if (w->path[i].qp)
			ibv_destroy_qp(w->path[i].qp);
	if (rx->unacked)
		ibv_ack_cq_events(rx->cq, rx->unacked);
	if (rx->cq)
		ibv_destroy_cq(rx->cq);
	if (rx->channel)
		ibv_destroy_comp_channel(rx->channel);
	if (w->tx.cq)
		ibv_destroy_cq(w->tx.cq);
}
