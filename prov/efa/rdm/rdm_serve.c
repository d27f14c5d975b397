/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_serve.c - reads and writes of our memory that peers ask for in packets
 *
 *   EAGER_RTW     placed at once           LONGREAD_RTW  we read it, then EOR
 *   LONGCTS_RTW   head placed, then CTS    SHORT_RTR     READRSP
 *   DC_*_RTW      and a RECEIPT            LONGCTS_RTR   READRSP, CTSDATA
 *
 * I1: no byte of ours is read or written but while rdm_target_hold() has found
 *     its range registered for that; each packet's bytes anew, as a region may
 *     be closed meanwhile. So what a device moves asynchronously never is the
 *     user's memory: writes that we read pass through serve->piece.
 *
 * A request that may not be is refused: nothing is touched, our user's event
 * queue hears of it, and the peer too if it gave an id and understands.
 */
#include "rdm/rdm_move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a write that we read at once. */
#define PIECE_MAX UINT64_C(262144)

/* ---- our memory, by the names of peers ------------------------------------------ */

/* The part [offset, offset + len) of iov in out[RDM_PKT_IOV_MAX]; its count. */
static uint32_t part_of(const struct rdm_pkt_iov *iov, uint32_t n,
			uint64_t offset, uint64_t len, struct rdm_pkt_iov *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n && len; i++) {
		uint64_t part;

		if (offset >= iov[i].len) {
			offset -= iov[i].len;
			continue;
		}
		part = u_min(iov[i].len - offset, len);
		out[count].addr = iov[i].addr + offset;
		out[count].len = part;
		out[count++].key = iov[i].key;
		len -= part;
		offset = 0;
	}
	return count;
}

static bool may(struct rdm_ep *ep, const struct rdm_pkt_iov *iov, uint32_t n,
		uint32_t access)
{
	if (!rdm_target_hold(ep, iov, n, access))
		return false;
	rdm_target_release(ep);
	return true;
}

/* Places bytes at offset of the list. False: not registered for that. */
static bool place(struct rdm_ep *ep, const struct rdm_pkt_iov *iov, uint32_t n,
		  uint64_t offset, const void *bytes, uint64_t len)
{
	struct rdm_pkt_iov part[RDM_PKT_IOV_MAX];
	const uint8_t *from = bytes;
	uint32_t parts = part_of(iov, n, offset, len, part);

	if (!rdm_target_hold(ep, part, parts, DEV_REMOTE_WRITE))
		return false;
	for (uint32_t i = 0; i < parts; i++) {
		memcpy((void *)(uintptr_t)part[i].addr, from, part[i].len);
		from += part[i].len;
	}
	rdm_target_release(ep);
	return true;
}

/* Fetches bytes from offset of the list. False: not registered for that. */
static bool fetch(struct rdm_ep *ep, const struct rdm_pkt_iov *iov, uint32_t n,
		  uint64_t offset, void *bytes, uint64_t len)
{
	struct rdm_pkt_iov part[RDM_PKT_IOV_MAX];
	uint32_t parts = part_of(iov, n, offset, len, part);
	uint8_t *to = bytes;

	if (!rdm_target_hold(ep, part, parts, DEV_REMOTE_READ))
		return false;
	for (uint32_t i = 0; i < parts; i++) {
		memcpy(to, (const void *)(uintptr_t)part[i].addr, part[i].len);
		to += part[i].len;
	}
	rdm_target_release(ep);
	return true;
}

/* ---- beginning and end ----------------------------------------------------------- */

static bool is_read(uint8_t type)
{
	return type == RDM_PKT_SHORT_RTR || type == RDM_PKT_LONGCTS_RTR;
}

static bool wants_receipt(uint8_t type)
{
	return type == RDM_PKT_DC_EAGER_RTW || type == RDM_PKT_DC_LONGCTS_RTW;
}

/* The peer's operation, of a request that names it. */
static uint32_t id_in(const struct rdm_pkt *pkt)
{
	return is_read(pkt->type) ? pkt->recv_id : pkt->send_id;
}

static U_COLD void refuse(struct rdm_ep *ep, struct rdm_peer *peer,
			  const struct rdm_pkt *pkt, uint32_t err)
{
	rdm_target_refuse(ep, peer, err);
	if (pkt->type != RDM_PKT_EAGER_RTW)
		rdm_error_refuse(ep, peer, id_in(pkt), err);
}

static struct rdm_serve *serve_new(struct rdm_ep *ep, struct rdm_peer *peer,
				   const struct rdm_pkt *pkt)
{
	struct rdm_serve *serve = u_pool_get(&ep->serves);

	if (!serve) {
		refuse(ep, peer, pkt, RDM_ERR_NOMEM);
		return NULL;
	}
	*serve = (struct rdm_serve){
		.peer = peer,
		.type = pkt->type,
		.has_data = pkt->flags & RDM_PKT_CQ_DATA,
		.peer_id = id_in(pkt),
		.iovcnt = pkt->rma_iovcnt,
		.read_iovcnt = pkt->read_iovcnt,
		.total = pkt->total,
		.data = pkt->cq_data,
	};
	rdm_inflow_init(&serve->in, pkt->total);
	for (uint32_t i = 0; i < pkt->rma_iovcnt; i++)
		serve->iov[i] = pkt->rma_iov[i];
	for (uint32_t i = 0; i < pkt->read_iovcnt; i++)
		serve->read_iov[i] = pkt->read_iov[i];
	TAILQ_INSERT_TAIL(&peer->serves, serve, link);
	return serve;
}

void rdm_serve_free(struct rdm_ep *ep, struct rdm_serve *serve)
{
	rdm_inflow_fini(&serve->in);
	free(serve->piece);
	if (serve->queued)
		TAILQ_REMOVE(&ep->serving, serve, queue);
	TAILQ_REMOVE(&serve->peer->serves, serve, link);
	u_pool_put(&ep->serves, serve);
}

/* It goes no further; the device may still be reading into serve->piece. */
static U_COLD void serve_end(struct rdm_ep *ep, struct rdm_serve *serve)
{
	if (serve->reading)
		serve->dead = true;
	else
		rdm_serve_free(ep, serve);
}

static U_COLD void serve_fail(struct rdm_ep *ep, struct rdm_serve *serve,
			      uint32_t err)
{
	rdm_target_refuse(ep, serve->peer, err);
	rdm_error_refuse(ep, serve->peer, serve->peer_id, err);
	serve_end(ep, serve);
}

static void queue(struct rdm_ep *ep, struct rdm_serve *serve)
{
	if (!serve->queued)
		TAILQ_INSERT_TAIL(&ep->serving, serve, queue);
	serve->queued = true;
	ep->busy = true;
}

/* ---- writes ----------------------------------------------------------------------- */

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

	if (!place(ep, pkt->rma_iov, pkt->rma_iovcnt, 0, pkt->payload,
		   pkt->payload_len)) {
		refuse(ep, peer, pkt, RDM_ERR_RMA_ADDR);
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
	struct rdm_serve *serve = serve_new(ep, peer, pkt);

	if (!serve)
		return;
	if (!place(ep, serve->iov, serve->iovcnt, 0, pkt->payload,
		   pkt->payload_len)) {
		serve_fail(ep, serve, RDM_ERR_RMA_ADDR);
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

	if (serve && serve->peer == peer && !is_read(serve->type))
		ret = rdm_inflow_granted(&serve->in, pkt->offset,
					 pkt->payload_len);
	if (ret == -EALREADY)
		ep->stats.duplicates++;
	else if (ret)
		ep->stats.bad_packets++;
	else if (!place(ep, serve->iov, serve->iovcnt, pkt->offset,
			pkt->payload, pkt->payload_len))
		serve_fail(ep, serve, RDM_ERR_RMA_ADDR);
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
		serve_fail(ep, serve, RDM_ERR_NOMEM);
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
	if (!place(ep, serve->iov, serve->iovcnt, serve->in.got, serve->piece,
		   serve->piece_len)) {
		serve_fail(ep, serve, RDM_ERR_RMA_ADDR);
		return false;
	}
	serve->in.got += serve->piece_len;
	return true;
}

static void pull_on(struct rdm_ep *ep, struct rdm_serve *serve)
{
	while (serve->in.got < serve->total) {
		int ret = piece_post(ep, serve);

		if (ret == -EAGAIN) {
			queue(ep, serve);
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
	struct rdm_serve *serve = serve_new(ep, peer, pkt);

	if (!serve)
		return;
	if (ep->features & RDM_FEATURE_READ)
		serve->piece = malloc(u_min(PIECE_MAX, serve->total));
	if (serve->piece)
		pull_on(ep, serve);
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
		rdm_serve_free(ep, serve);
	else if (wc->status)
		serve_fail(ep, serve, wc->status);
	else if (piece_place(ep, serve))
		pull_on(ep, serve);
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
		refuse(ep, peer, pkt, RDM_ERR_SIZE);
		return;
	}
	if (pkt->type == RDM_PKT_EAGER_RTW || pkt->type == RDM_PKT_DC_EAGER_RTW)
		write_eager(ep, peer, pkt);
	else if (!may(ep, pkt->rma_iov, pkt->rma_iovcnt, DEV_REMOTE_WRITE))
		refuse(ep, peer, pkt, RDM_ERR_RMA_ADDR);
	else if (pkt->type == RDM_PKT_LONGREAD_RTW)
		write_longread(ep, peer, pkt);
	else
		write_longcts(ep, peer, pkt);
}

/* ---- reads --------------------------------------------------------------------------- */

/* Sends the next packet of a read: READRSP first. False: region gone. */
static bool read_send(struct rdm_ep *ep, struct rdm_serve *serve)
{
	struct rdm_pkt pkt = {
		.type = serve->answered ? RDM_PKT_CTSDATA : RDM_PKT_READRSP,
		.recv_id = serve->peer_id,
		.send_id = u_pool_id(serve),
		.offset = serve->sent,
	};
	uint32_t hdr = serve->answered ? RDM_CTSDATA_HDR : RDM_READRSP_HDR;
	uint64_t len = u_min(serve->total - serve->sent, ep->mtu - hdr);

	len = u_min(len, serve->window);
	pkt.seg_len = len;
	if (!fetch(ep, serve->iov, serve->iovcnt, serve->sent, ep->scratch,
		   len))
		return false;
	serve->answered = true;
	serve->sent += len;
	serve->window -= len;
	rdm_ctl_send_data(ep, serve->peer, &pkt, ep->scratch, (uint32_t)len);
	return true;
}

static void read_on(struct rdm_ep *ep, struct rdm_serve *serve)
{
	while (!serve->answered ||
	       (serve->window && serve->sent < serve->total)) {
		if (!TAILQ_EMPTY(&ep->ctls)) {
			queue(ep, serve);
			return;
		}
		if (!read_send(ep, serve)) {
			serve_fail(ep, serve, RDM_ERR_RMA_ADDR);
			return;
		}
	}
	if (serve->sent < serve->total)
		return;
	rdm_count(ep, RDM_CNTR_REMOTE_READ, true);
	rdm_serve_free(ep, serve);
}

void rdm_serve_read(struct rdm_ep *ep, struct rdm_peer *peer,
		    const struct rdm_pkt *pkt)
{
	uint64_t total = rdm_pkt_iov_len(pkt->rma_iov, pkt->rma_iovcnt);
	struct rdm_serve *serve;

	if (!pkt->rma_iovcnt || pkt->total != total ||
	    (total && !pkt->credit)) {
		refuse(ep, peer, pkt, RDM_ERR_SIZE);
		return;
	}
	if (!may(ep, pkt->rma_iov, pkt->rma_iovcnt, DEV_REMOTE_READ)) {
		refuse(ep, peer, pkt, RDM_ERR_RMA_ADDR);
		return;
	}
	serve = serve_new(ep, peer, pkt);
	if (!serve)
		return;
	serve->window = pkt->credit;
	read_on(ep, serve);
}

/* One window at a time: the next is granted when the last has come. */
void rdm_serve_cts(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt)
{
	struct rdm_serve *serve = u_pool_at(&ep->serves, pkt->send_id);

	if (!serve || serve->peer != peer || !is_read(serve->type) ||
	    serve->window) {
		ep->stats.bad_packets++;
		return;
	}
	serve->window = pkt->seg_len;
	read_on(ep, serve);
}

/* ---- all of them --------------------------------------------------------------------- */

U_COLD void rdm_serve_given_up(struct rdm_ep *ep, struct rdm_peer *peer,
			       uint32_t id)
{
	struct rdm_serve *serve = u_pool_at(&ep->serves, id);

	if (serve && serve->peer == peer)
		serve_end(ep, serve);
}

void rdm_serve_resume(struct rdm_ep *ep)
{
	struct rdm_serve *last = TAILQ_LAST(&ep->serving, rdm_serve_list);
	struct rdm_serve *serve = NULL;

	/* What finds no room again goes behind the last. */
	while (serve != last && TAILQ_EMPTY(&ep->ctls)) {
		serve = TAILQ_FIRST(&ep->serving);
		TAILQ_REMOVE(&ep->serving, serve, queue);
		serve->queued = false;
		if (is_read(serve->type))
			read_on(ep, serve);
		else
			pull_on(ep, serve);
	}
}

U_COLD void rdm_serve_drop(struct rdm_ep *ep, struct rdm_peer *peer)
{
	struct rdm_serve *serve = TAILQ_FIRST(&peer->serves);

	while (serve) {
		struct rdm_serve *next = TAILQ_NEXT(serve, link);

		serve_end(ep, serve);
		serve = next;
	}
}
