/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_serve_write.c - writes to our memory that peers ask for in packets
 *
 *   EAGER_RTW     placed at once           LONGREAD_RTW  we read it, then EOR
 *   LONGCTS_RTW   head placed, then CTS    DC_*_RTW      and a RECEIPT
 */
#include "rdm/rdm_serve.h"

#include <errno.h>
#include <stdlib.h>

/* Bytes of a write that we read at once. */
#define PIECE_MAX UINT64_C(262144)

/* ---- writes in packets ------------------------------------------------------ */

static bool wants_receipt(uint8_t type)
{
	return type == RDM_PKT_DC_EAGER_RTW || type == RDM_PKT_DC_LONGCTS_RTW;
}

/* All of a write is in place: whoever wants to hear of it does. */
static void written(struct rdm_ep *ep, struct rdm_peer *peer, uint8_t type,
		    uint32_t peer_id, struct rdm_comp *comp)
{
	struct rdm_pkt receipt = {
		.type = RDM_PKT_RECEIPT,
		.send_id = peer_id,
	};

	rdm_count(ep, RDM_CNTR_REMOTE_WRITE, true);
	if (comp->flags & RDM_COMP_DATA)
		rdm_complete_from(ep, comp, peer);
	if (wants_receipt(type))
		rdm_ctl_send(ep, peer, &receipt);
}

static struct rdm_comp comp_of(struct rdm_ep *ep, struct rdm_peer *peer,
			       const struct rdm_pkt_iov *iov, uint64_t total,
			       bool has_data, uint64_t data)
{
	return (struct rdm_comp){
		.len = total,
		.buf = (void *)(uintptr_t)iov->addr,
		.data = data,
		.source = rdm_peer_index(ep, peer),
		.kind = RDM_COMP_REMOTE_WRITE,
		.flags = has_data ? RDM_COMP_DATA : 0,
	};
}

static void write_done(struct rdm_ep *ep, struct rdm_serve *serve)
{
	struct rdm_comp comp = comp_of(ep, serve->peer, serve->iov,
				       serve->total, serve->has_data,
				       serve->data);
	struct rdm_pkt eor = {
		.type = RDM_PKT_EOR,
		.send_id = serve->peer_id,
		.recv_id = u_pool_id(serve),
	};

	rdm_regions_written(ep, serve->iov, serve->iovcnt);
	written(ep, serve->peer, serve->type, serve->peer_id, &comp);
	if (serve->type == RDM_PKT_LONGREAD_RTW)
		rdm_ctl_send(ep, serve->peer, &eor);
	rdm_serve_free(ep, serve);
}

static void write_eager(struct rdm_ep *ep, struct rdm_peer *peer,
			const struct rdm_pkt *pkt)
{
	bool has_data = pkt->flags & RDM_PKT_CQ_DATA;
	struct rdm_comp comp = comp_of(ep, peer, pkt->rma_iov, pkt->payload_len,
				       has_data, pkt->cq_data);

	if (!rdm_serve_place(ep, pkt->rma_iov, pkt->rma_iovcnt, 0, pkt->payload,
			     pkt->payload_len)) {
		rdm_serve_refuse(ep, peer, pkt, RDM_ERR_RMA_ADDR);
		return;
	}
	rdm_regions_written(ep, pkt->rma_iov, pkt->rma_iovcnt);
	written(ep, peer, pkt->type, pkt->send_id, &comp);
}

static void write_on(struct rdm_ep *ep, struct rdm_serve *serve)
{
	struct rdm_pkt cts = {
		.send_id = serve->peer_id,
		.recv_id = u_pool_id(serve),
	};

	if (serve->in.got == serve->total)
		write_done(ep, serve);
	else if (!serve->in.granted)
		rdm_inflow_grant(ep, serve->peer, &serve->in, &cts);
}

static void write_longcts(struct rdm_ep *ep, struct rdm_peer *peer,
			  const struct rdm_pkt *pkt)
{
	struct rdm_serve *serve = rdm_serve_new(ep, peer, pkt);

	if (!serve)
		return;
	if (!rdm_serve_place(ep, serve->iov, serve->iovcnt, 0, pkt->payload,
			     pkt->payload_len)) {
		rdm_serve_fail(ep, serve, RDM_ERR_RMA_ADDR);
		return;
	}
	serve->in.got = pkt->payload_len;
	write_on(ep, serve);
}

void rdm_serve_ctsdata(struct rdm_ep *ep, struct rdm_peer *peer,
		       const struct rdm_pkt *pkt)
{
	struct rdm_serve *serve = u_pool_at(&ep->serves, pkt->recv_id);
	int ret = -EBADMSG;

	if (serve && serve->peer == peer && !rdm_serve_is_read(serve->type))
		ret = rdm_inflow_granted(&serve->in, pkt->offset,
					 pkt->payload_len);
	if (ret == -EALREADY)
		ep->stats.duplicates++;
	else if (ret)
		ep->stats.bad_packets++;
	else if (!rdm_serve_place(ep, serve->iov, serve->iovcnt, pkt->offset,
				  pkt->payload, pkt->payload_len))
		rdm_serve_fail(ep, serve, RDM_ERR_RMA_ADDR);
	else
		write_on(ep, serve);
}

/* ---- writes that we read ------------------------------------------------------------- */

/* The peer is to send what we cannot read, as another request. */
static U_COLD void write_nack(struct rdm_ep *ep, struct rdm_serve *serve)
{
	struct rdm_pkt nack = {
		.type = RDM_PKT_READ_NACK,
		.send_id = serve->peer_id,
		.recv_id = u_pool_id(serve),
	};

	if (!(serve->peer->features & RDM_FEATURE_READ_NACK)) {
		rdm_serve_fail(ep, serve, RDM_ERR_NOMEM);
		return;
	}
	rdm_ctl_send(ep, serve->peer, &nack);
	rdm_serve_free(ep, serve);
}

/* Posts a read of the next piece: 1 it is done, 0 under way, or -errno. */
static int piece_post(struct rdm_ep *ep, struct rdm_serve *serve)
{
	struct iovec local = { serve->piece, 0 };
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_SERVE, u_pool_id(serve)),
		.ah = serve->peer->ah,
		.op = DEV_READ,
		.iov = &local,
		.iovcnt = 1,
	};
	int ret;

	wr.len = rdm_iov_at(serve->read_iov, serve->read_iovcnt, serve->in.got,
			    &wr.remote, &wr.rkey);
	wr.len = u_min(wr.len, PIECE_MAX);
	local.iov_len = wr.len;
	ret = dev_post(ep->qp, &wr, 1);
	if (ret != 1)
		return ret == -ENOMEM || ret == -EINVAL ? -ENOMEM : -EAGAIN;
	serve->piece_len = wr.len;
	serve->reading = !wr.done;
	return wr.done;
}

/* False: the region has gone, and with it serve. */
static bool piece_place(struct rdm_ep *ep, struct rdm_serve *serve)
{
	if (!rdm_serve_place(ep, serve->iov, serve->iovcnt, serve->in.got,
			     serve->piece, serve->piece_len)) {
		rdm_serve_fail(ep, serve, RDM_ERR_RMA_ADDR);
		return false;
	}
	serve->in.got += serve->piece_len;
	return true;
}

void rdm_serve_pull_on(struct rdm_ep *ep, struct rdm_serve *serve)
{
	while (serve->in.got < serve->total) {
		int ret = piece_post(ep, serve);

		if (ret == -EAGAIN) {
			rdm_serve_queue(ep, serve);
			return;
		}
		if (ret < 0) {
			write_nack(ep, serve);
			return;
		}
		if (!ret || !piece_place(ep, serve))
			return;
	}
	write_done(ep, serve);
}

static void write_longread(struct rdm_ep *ep, struct rdm_peer *peer,
			   const struct rdm_pkt *pkt)
{
	struct rdm_serve *serve = rdm_serve_new(ep, peer, pkt);

	if (!serve)
		return;
	if (ep->features & RDM_FEATURE_READ)
		serve->piece = malloc(u_min(PIECE_MAX, serve->total));
	if (serve->piece)
		rdm_serve_pull_on(ep, serve);
	else
		write_nack(ep, serve);
}

void rdm_serve_wc(struct rdm_ep *ep, struct rdm_serve *serve,
		  const struct dev_wc *wc)
{
	assert(serve->reading);
	serve->reading = false;
	if (serve->dead)
		rdm_serve_free(ep, serve);
	else if (wc->status == DEV_BAD_LKEY)
		write_nack(ep, serve);
	else if (wc->status && rdm_error_is_death(wc->status))
		rdm_serve_lost(ep, serve, wc->status);
	else if (wc->status)
		rdm_serve_fail(ep, serve, wc->status);
	else if (piece_place(ep, serve))
		rdm_serve_pull_on(ep, serve);
}

/* ---- any write ----------------------------------------------------------------------- */

static bool write_fits(const struct rdm_pkt *pkt, uint64_t total)
{
	switch (pkt->type) {
	case RDM_PKT_EAGER_RTW:
	case RDM_PKT_DC_EAGER_RTW:
		return pkt->payload_len == total;
	case RDM_PKT_LONGREAD_RTW:
		return pkt->total == total && total &&
		       total ==
			       rdm_pkt_iov_len(pkt->read_iov, pkt->read_iovcnt);
	default:
		return pkt->total == total && pkt->payload_len <= total;
	}
}

void rdm_serve_write(struct rdm_ep *ep, struct rdm_peer *peer,
		     const struct rdm_pkt *pkt)
{
	uint64_t total = rdm_pkt_iov_len(pkt->rma_iov, pkt->rma_iovcnt);

	/* A write of nothing to nowhere only asks for our HANDSHAKE. */
	if (!pkt->rma_iovcnt) {
		ep->stats.bad_packets += pkt->type != RDM_PKT_EAGER_RTW ||
					 pkt->payload_len;
		return;
	}
	if (!write_fits(pkt, total)) {
		rdm_serve_refuse(ep, peer, pkt, RDM_ERR_SIZE);
		return;
	}
	if (pkt->type == RDM_PKT_EAGER_RTW || pkt->type == RDM_PKT_DC_EAGER_RTW)
		write_eager(ep, peer, pkt);
	else if (!rdm_serve_may(ep, pkt->rma_iov, pkt->rma_iovcnt,
				DEV_REMOTE_WRITE))
		rdm_serve_refuse(ep, peer, pkt, RDM_ERR_RMA_ADDR);
	else if (pkt->type == RDM_PKT_LONGREAD_RTW)
		write_longread(ep, peer, pkt);
	else
		write_longcts(ep, peer, pkt);
}
