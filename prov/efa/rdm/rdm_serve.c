/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_serve.c - what reads and writes of our memory that peers ask for in
 * packets have in common
 *
 * A request that may not be is refused: nothing is touched, our user's event
 * queue hears of it, and the peer too if it gave an id and understands.
 */
#include "rdm/rdm_serve.h"

#include <stdlib.h>
#include <string.h>

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

bool rdm_serve_may(struct rdm_ep *ep, const struct rdm_pkt_iov *iov, uint32_t n,
		   uint32_t access)
{
	if (!rdm_target_hold(ep, iov, n, access))
		return false;
	rdm_target_release(ep);
	return true;
}

bool rdm_serve_place(struct rdm_ep *ep, const struct rdm_pkt_iov *iov,
		     uint32_t n, uint64_t offset, const void *bytes,
		     uint64_t len)
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

bool rdm_serve_fetch(struct rdm_ep *ep, const struct rdm_pkt_iov *iov,
		     uint32_t n, uint64_t offset, void *bytes, uint64_t len)
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

/* The peer's operation, of a request that names it. */
static uint32_t id_in(const struct rdm_pkt *pkt)
{
	return rdm_serve_is_read(pkt->type) ? pkt->recv_id : pkt->send_id;
}

U_COLD void rdm_serve_refuse(struct rdm_ep *ep, struct rdm_peer *peer,
			     const struct rdm_pkt *pkt, uint32_t err)
{
	rdm_target_refuse(ep, peer, err);
	if (pkt->type != RDM_PKT_EAGER_RTW)
		rdm_error_tell(ep, peer, RDM_REF_ID, id_in(pkt), err);
}

struct rdm_serve *rdm_serve_new(struct rdm_ep *ep, struct rdm_peer *peer,
				const struct rdm_pkt *pkt)
{
	struct rdm_serve *serve = u_pool_get(&ep->serves);

	if (!serve) {
		rdm_serve_refuse(ep, peer, pkt, RDM_ERR_NOMEM);
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

U_COLD void rdm_serve_end(struct rdm_ep *ep, struct rdm_serve *serve)
{
	if (serve->reading)
		serve->dead = true;
	else
		rdm_serve_free(ep, serve);
}

U_COLD void rdm_serve_lost(struct rdm_ep *ep, struct rdm_serve *serve,
			   uint32_t err)
{
	rdm_error_tell(ep, serve->peer, RDM_REF_ID, serve->peer_id, err);
	rdm_serve_end(ep, serve);
}

U_COLD void rdm_serve_fail(struct rdm_ep *ep, struct rdm_serve *serve,
			   uint32_t err)
{
	rdm_target_refuse(ep, serve->peer, err);
	rdm_serve_lost(ep, serve, err);
}

void rdm_serve_queue(struct rdm_ep *ep, struct rdm_serve *serve)
{
	if (!serve->queued)
		TAILQ_INSERT_TAIL(&ep->serving, serve, queue);
	serve->queued = true;
	ep->busy = true;
}

/* ---- all of them --------------------------------------------------------------------- */

U_COLD void rdm_serve_given_up(struct rdm_ep *ep, struct rdm_peer *peer,
			       uint32_t id)
{
	struct rdm_serve *serve = u_pool_at(&ep->serves, id);

	if (serve && serve->peer == peer)
		rdm_serve_end(ep, serve);
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
		if (rdm_serve_is_read(serve->type))
			rdm_serve_read_on(ep, serve);
		else
			rdm_serve_pull_on(ep, serve);
	}
}

U_COLD void rdm_serve_drop(struct rdm_ep *ep, struct rdm_peer *peer,
			   uint32_t status)
{
	struct rdm_serve *serve = TAILQ_FIRST(&peer->serves);

	while (serve) {
		struct rdm_serve *next = TAILQ_NEXT(serve, link);

		rdm_serve_lost(ep, serve, status);
		serve = next;
	}
}
