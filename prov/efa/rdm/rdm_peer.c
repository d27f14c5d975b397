/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_peer.c - who is who: from av indexes, source numbers and addresses to
 * peers, and the handshake with them
 *
 * A peer comes into being when the user first names it or when its first
 * packet arrives, whichever is earlier, and stays until the endpoint closes:
 * message numbers must go on where they were when an address is removed and
 * inserted again. A restarted process has another connid, so another peer.
 */
#include "rdm/rdm_move.h"

#include <stdlib.h>
#include <string.h>

#include "util/u_bytes.h"
#include "util/u_hash.h"
#include "util/u_time.h"

#define SOURCES_MAX (1u << 20)
#define LEAVING_MAX (2 * U_SEC)

static uint64_t addr_hash(const struct dev_addr *addr)
{
	uint64_t gid = u_hash2(u_get64(addr->gid), u_get64(addr->gid + 8));

	return u_hash2(gid, (uint64_t)addr->qpn << 32 | addr->qkey);
}

static bool same_addr(const struct dev_addr *a, const struct dev_addr *b)
{
	return !memcmp(a->gid, b->gid, sizeof(a->gid)) && a->qpn == b->qpn &&
	       a->qkey == b->qkey;
}

static struct rdm_peer *peer_find(struct rdm_ep *ep,
				  const struct dev_addr *addr)
{
	struct rdm_keyq_node *n = rdm_keyq_first(&ep->by_addr, addr_hash(addr));

	for (; n; n = n->next) {
		struct rdm_peer *peer =
			u_container_of(n, struct rdm_peer, by_addr);

		if (same_addr(&peer->addr, addr))
			return peer;
	}
	return NULL;
}

static struct rdm_peer *peer_new(struct rdm_ep *ep, const struct dev_addr *addr)
{
	struct rdm_peer *peer = u_pool_get(&ep->peers);

	if (!peer)
		return NULL;
	memset(peer, 0, sizeof(*peer));
	peer->addr = *addr;
	peer->connid = addr->qkey;
	peer->index = RDM_ADDR_NONE;
	peer->av_generation = rdm_av_generation(ep->config.av) - 1;
	TAILQ_INIT(&peer->txs);
	TAILQ_INIT(&peer->msgs);
	TAILQ_INIT(&peer->serves);
	TAILQ_INIT(&peer->parked);
	TAILQ_INIT(&peer->owed);
	if (dev_ah_open(ep->qp, addr, u_pool_id(peer), &peer->ah)) {
		u_pool_put(&ep->peers, peer);
		return NULL;
	}
	peer->by_addr.hash = addr_hash(addr);
	rdm_keyq_add(&ep->by_addr, &peer->by_addr);
	return peer;
}

static struct rdm_peer **index_slot(struct rdm_ep *ep, uint64_t index)
{
	uint64_t chunk = index / RDM_PEER_CHUNK;

	if (index > UINT32_MAX)
		return NULL;
	if (chunk >= ep->nchunks) {
		uint32_t n = (uint32_t)u_max(chunk + 1, 2 * ep->nchunks);
		struct rdm_peer ***grown =
			realloc(ep->chunks, n * sizeof(*grown));

		if (!grown)
			return NULL;
		memset(grown + ep->nchunks, 0,
		       (n - ep->nchunks) * sizeof(*grown));
		ep->chunks = grown;
		ep->nchunks = n;
	}
	if (!ep->chunks[chunk])
		ep->chunks[chunk] =
			calloc(RDM_PEER_CHUNK, sizeof(*ep->chunks[chunk]));
	if (!ep->chunks[chunk])
		return NULL;
	return &ep->chunks[chunk][index % RDM_PEER_CHUNK];
}

U_COLD struct rdm_peer *rdm_peer_make(struct rdm_ep *ep, uint64_t index)
{
	struct rdm_peer **slot;
	struct rdm_peer *peer;
	struct dev_addr addr;

	if (rdm_av_lookup(ep->config.av, index, &addr))
		return NULL;
	slot = index_slot(ep, index);
	if (!slot)
		return NULL;
	peer = peer_find(ep, &addr);
	if (!peer)
		peer = peer_new(ep, &addr);
	if (peer) {
		peer->index = index;
		*slot = peer;
	}
	return peer;
}

void rdm_ep_forget(struct rdm_ep *ep, uint64_t index)
{
	uint64_t chunk = index / RDM_PEER_CHUNK;
	struct rdm_peer *peer;

	if (chunk >= ep->nchunks || !ep->chunks[chunk])
		return;
	peer = ep->chunks[chunk][index % RDM_PEER_CHUNK];
	ep->chunks[chunk][index % RDM_PEER_CHUNK] = NULL;
	if (peer)
		peer->index = RDM_ADDR_NONE;
}

U_COLD uint64_t rdm_peer_search(struct rdm_ep *ep, struct rdm_peer *peer)
{
	uint32_t generation = rdm_av_generation(ep->config.av);

	if (peer->av_generation == generation)
		return RDM_ADDR_NONE;
	peer->av_generation = generation;
	peer->index = rdm_av_find(ep->config.av, &peer->addr);
	if (peer->index != RDM_ADDR_NONE) {
		struct rdm_peer **slot = index_slot(ep, peer->index);

		if (slot)
			*slot = peer;
	}
	return peer->index;
}

static bool sources_grow(struct rdm_ep *ep, uint32_t source)
{
	uint32_t n = (uint32_t)u_align(source + 1, 64);
	struct rdm_peer **grown;

	if (source >= SOURCES_MAX)
		return false;
	grown = realloc(ep->sources, n * sizeof(*grown));
	if (!grown)
		return false;
	memset(grown + ep->nsources, 0, (n - ep->nsources) * sizeof(*grown));
	ep->sources = grown;
	ep->nsources = n;
	return true;
}

/*
 * The device tells gid and qpn, and the qkey where it knows it; the packet
 * tells the qkey, and in a raw address all of them. They must agree.
 */
static bool addr_of(struct rdm_ep *ep, uint32_t source,
		    const struct rdm_pkt *pkt, struct dev_addr *addr)
{
	bool known = source != DEV_SOURCE_UNKNOWN &&
		     dev_source(ep->qp, source, addr) == 0;
	uint32_t qkey = known ? addr->qkey : 0;

	if (pkt && pkt->type >= RDM_PKT_REQ &&
	    (pkt->flags & RDM_PKT_RAW_ADDR)) {
		if (known && (memcmp(addr->gid, pkt->raw.gid, 16) ||
			      addr->qpn != pkt->raw.qpn))
			return false;
		*addr = pkt->raw;
		known = true;
	} else if (pkt && (pkt->flags & RDM_PKT_CONNID)) {
		addr->qkey = pkt->connid;
	}
	return known && addr->qkey && (!qkey || qkey == addr->qkey);
}

U_COLD struct rdm_peer *rdm_peer_identify(struct rdm_ep *ep, uint32_t source,
					  const struct rdm_pkt *pkt)
{
	struct rdm_peer *peer;
	struct dev_addr addr;

	/* Without a packet it is the one that number last stood for. */
	if (!pkt && source < ep->nsources && ep->sources[source])
		return ep->sources[source];
	memset(&addr, 0, sizeof(addr));
	if (!addr_of(ep, source, pkt, &addr))
		return NULL;
	peer = peer_find(ep, &addr);
	if (!peer)
		peer = peer_new(ep, &addr);
	if (!peer)
		return NULL;
	if (source != DEV_SOURCE_UNKNOWN &&
	    (source < ep->nsources || sources_grow(ep, source)))
		ep->sources[source] = peer;
	return peer;
}

void rdm_pkt_identity(const struct rdm_ep *ep, const struct rdm_peer *peer,
		      struct rdm_pkt *pkt)
{
	if (pkt->type < RDM_PKT_REQ || peer->by_connid) {
		pkt->flags |= RDM_PKT_CONNID;
		pkt->connid = ep->qp->addr.qkey;
	} else if (!peer->shaken || peer->keep_raw) {
		pkt->flags |= RDM_PKT_RAW_ADDR;
		pkt->raw = ep->qp->addr;
	}
}

U_COLD void rdm_peer_greet(struct rdm_ep *ep, struct rdm_peer *peer)
{
	struct rdm_pkt pkt = {
		.type = RDM_PKT_HANDSHAKE,
		.flags = RDM_PKT_DEVICE_VERSION,
		.features = ep->features,
		.device_version = ep->config.dev->info.version,
	};

	peer->greeted = true;
	rdm_ctl_send(ep, peer, &pkt);
}

U_COLD void rdm_peer_shake(struct rdm_ep *ep, struct rdm_peer *peer,
			   const struct rdm_pkt *pkt)
{
	struct rdm_tx *tx;

	peer->features = pkt->features;
	peer->device_version = pkt->device_version;
	peer->keep_raw = pkt->features & RDM_FEATURE_KEEP_RAW_ADDR;
	peer->by_connid = !peer->keep_raw &&
			  (pkt->features & RDM_FEATURE_CONNID);
	rdm_bare_meet(ep, peer, pkt);
	peer->eager = peer->by_connid && !peer->bare;
	peer->shaken = true;
	rdm_ctl_pay(ep, peer);
	while ((tx = TAILQ_FIRST(&peer->parked))) {
		TAILQ_REMOVE(&peer->parked, tx, queue);
		tx->state = RDM_TX_SENDING;
		rdm_tx_queue(ep, tx);
	}
}

uint32_t rdm_peer_err(const struct rdm_peer *peer, uint32_t status)
{
	if (status != DEV_UNRESPONSIVE)
		return status;
	return peer->shaken ? RDM_ERR_PEER_GONE : RDM_ERR_PEER_SILENT;
}

U_COLD void rdm_peer_lost(struct rdm_ep *ep, struct rdm_peer *peer,
			  uint32_t status)
{
	uint32_t err = rdm_peer_err(peer, status);
	struct rdm_tx *tx = TAILQ_FIRST(&peer->txs);
	struct rdm_msg *msg = TAILQ_FIRST(&peer->msgs);

	if (peer->left)
		TAILQ_REMOVE(&ep->leaving, peer, leaving);
	peer->left = 0;
	/* One that cannot be reached may be again: greet it anew then, and go
	   on where we were. */
	peer->gone = status != DEV_UNREACHABLE;
	peer->greeted = peer->gone;
	rdm_ctl_drop(ep, peer);
	while (tx) {
		struct rdm_tx *next = TAILQ_NEXT(tx, link);

		tx->broke |= !tx->err;
		rdm_tx_fail(ep, tx, err);
		tx = next;
	}
	while (msg) {
		struct rdm_msg *next = TAILQ_NEXT(msg, link);

		rdm_msg_fail(ep, msg, err);
		msg = next;
	}
	rdm_serve_drop(ep, peer, status);
	if (peer->gone)
		rdm_reorder_clear(&peer->early);
}

/*
 * It has closed, perhaps as soon as it had sent what we have not read yet: the
 * end of a message, or that it has ours. The device says GONE when nothing is
 * left of that; in case it never does, the peer is lost after a while in which
 * nothing came.
 */
U_COLD void rdm_peer_leaves(struct rdm_ep *ep, struct rdm_peer *peer,
			    uint32_t status)
{
	if (status == DEV_UNREACHABLE) {
		rdm_peer_lost(ep, peer, status);
		return;
	}
	peer->gone = true;
	peer->greeted = true;
	rdm_ctl_drop(ep, peer);
	if (peer->left)
		return;
	peer->left = status;
	peer->lost_at = u_now() + LEAVING_MAX;
	TAILQ_INSERT_TAIL(&ep->leaving, peer, leaving);
}

U_COLD void rdm_peer_gone(struct rdm_ep *ep, struct rdm_peer *peer)
{
	rdm_peer_lost(ep, peer, peer->left ? peer->left : DEV_UNRESPONSIVE);
}

void rdm_peers_look(struct rdm_ep *ep)
{
	struct rdm_peer *peer;
	uint64_t now;

	if (u_likely(TAILQ_EMPTY(&ep->leaving)))
		return;
	now = u_now();
	while ((peer = TAILQ_FIRST(&ep->leaving)) && now >= peer->lost_at)
		rdm_peer_gone(ep, peer);
}

void rdm_peers_fini(struct rdm_ep *ep)
{
	struct rdm_peer *peer;
	uint32_t cursor = 0;

	while ((peer = u_pool_next(&ep->peers, &cursor))) {
		if (peer->bare)
			dev_ah_close(peer->bare);
		dev_ah_close(peer->ah);
		rdm_reorder_clear(&peer->early);
	}
	for (uint32_t i = 0; i < ep->nchunks; i++)
		free(ep->chunks[i]);
	free(ep->chunks);
	free(ep->sources);
	rdm_keyq_fini(&ep->by_addr);
}
