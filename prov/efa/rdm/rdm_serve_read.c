/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_serve_read.c - reads of our memory that peers ask for in packets
 *
 *   SHORT_RTR     READRSP              LONGCTS_RTR   READRSP, CTSDATA
 */
#include "rdm/rdm_serve.h"

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
	if (!rdm_serve_fetch(ep, serve->iov, serve->iovcnt, serve->sent,
			     ep->scratch, len))
		return false;
	serve->answered = true;
	serve->sent += len;
	serve->window -= len;
	rdm_ctl_send_data(ep, serve->peer, &pkt, ep->scratch, (uint32_t)len);
	return true;
}

void rdm_serve_read_on(struct rdm_ep *ep, struct rdm_serve *serve)
{
	while (!serve->answered ||
	       (serve->window && serve->sent < serve->total)) {
		if (!TAILQ_EMPTY(&ep->ctls)) {
			rdm_serve_queue(ep, serve);
			return;
		}
		if (!read_send(ep, serve)) {
			rdm_serve_fail(ep, serve, RDM_ERR_RMA_ADDR);
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
		rdm_serve_refuse(ep, peer, pkt, RDM_ERR_SIZE);
		return;
	}
	if (!rdm_serve_may(ep, pkt->rma_iov, pkt->rma_iovcnt,
			   DEV_REMOTE_READ)) {
		rdm_serve_refuse(ep, peer, pkt, RDM_ERR_RMA_ADDR);
		return;
	}
	serve = rdm_serve_new(ep, peer, pkt);
	if (!serve)
		return;
	serve->window = pkt->credit;
	rdm_serve_read_on(ep, serve);
}

/* One window at a time: the next is granted when the last has come. */
void rdm_serve_cts(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt)
{
	struct rdm_serve *serve = u_pool_at(&ep->serves, pkt->send_id);

	if (!serve || serve->peer != peer || !rdm_serve_is_read(serve->type) ||
	    serve->window) {
		ep->stats.bad_packets++;
		return;
	}
	serve->window = pkt->seg_len;
	rdm_serve_read_on(ep, serve);
}
