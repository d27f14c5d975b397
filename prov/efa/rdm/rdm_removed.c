/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_removed.c - addresses that any thread has removed, while the endpoint is
 * another's
 *
 * Who removes one notes its index and takes the owner's reach away, by which
 * the owner looks into its table anyway; it then heeds the notes before it
 * looks again. So sending costs what it did, and nobody touches the table but
 * its owner. Who hears of a new index has heard of what was removed before it:
 * the lock and the reach go with that.
 *
 * To forget too much costs a message endpoint nothing but a search, as all is
 * found again by address.
 */
#include "rdm/rdm_ep.h"

#include <string.h>

void rdm_removed_init(struct rdm_removed *r, _Atomic uint32_t *reach)
{
	u_lock_init(&r->lock, true);
	r->reach = reach;
	r->n = 0;
}

void rdm_removed_fini(struct rdm_removed *r)
{
	u_lock_fini(&r->lock);
}

void rdm_removed_note(struct rdm_removed *r, uint64_t index)
{
	u_lock(&r->lock);
	if (r->n < RDM_REMOVED_MAX)
		r->index[r->n] = (uint32_t)index;
	r->n = u_min(r->n + 1, RDM_REMOVED_MAX + 1);
	atomic_store_explicit(r->reach, 0, memory_order_relaxed);
	u_unlock(&r->lock);
}

uint32_t rdm_removed_take(struct rdm_removed *r, uint32_t index[],
			  uint32_t reach)
{
	uint32_t n;

	u_lock(&r->lock);
	n = r->n;
	memcpy(index, r->index, u_min(n, RDM_REMOVED_MAX) * sizeof(*index));
	r->n = 0;
	atomic_store_explicit(r->reach, reach, memory_order_relaxed);
	u_unlock(&r->lock);
	return n;
}

/* ---- of a message endpoint ----------------------------------------------- */

void rdm_ep_removed(struct rdm_ep *ep, uint64_t index)
{
	rdm_removed_note(&ep->removed, index);
}

static struct rdm_peer *kept_at(const struct rdm_ep *ep, uint64_t index)
{
	uint64_t chunk = index / RDM_PEER_CHUNK;

	if (chunk >= ep->nchunks || !ep->chunks[chunk])
		return NULL;
	return ep->chunks[chunk][index % RDM_PEER_CHUNK];
}

static void forget(struct rdm_ep *ep, uint64_t index)
{
	struct rdm_peer *peer = kept_at(ep, index);

	if (!peer)
		return;
	rdm_ep_forget(ep, index);
	/* Not the present one, so that it is looked for once more. */
	peer->av_generation = rdm_av_generation(ep->config.av) - 1;
}

U_COLD void rdm_heed_removals(struct rdm_ep *ep)
{
	uint32_t index[RDM_REMOVED_MAX];
	uint32_t n = rdm_removed_take(&ep->removed, index, ep->nchunks);

	if (n <= RDM_REMOVED_MAX) {
		for (uint32_t i = 0; i < n; i++)
			forget(ep, index[i]);
		return;
	}
	for (uint64_t i = 0; i < (uint64_t)ep->nchunks * RDM_PEER_CHUNK; i++)
		forget(ep, i);
}

U_COLD struct rdm_peer *rdm_peer_look(struct rdm_ep *ep, uint64_t index)
{
	struct rdm_peer *peer;

	rdm_heed_removals(ep);
	peer = kept_at(ep, index);
	return peer ? peer : rdm_peer_make(ep, index);
}
