/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_ah.c - protection domains and address handles
 *
 * An AH number stands for a gid as long as any handle has that gid, as the real
 * device's do; entries of a completion queue name their sender by it. The way
 * to a peer hangs on queue pairs (verbs_dest.c), as nic's handles do.
 */
#include <stdlib.h>

#include "verbs_priv.h"
#include "verbs_real.h"

/* --- protection domains --- */

VERBS_EXPORT struct ibv_pd *ibv_alloc_pd(struct ibv_context *c)
{
	struct verbs_pd *pd;

	if (!verbs_is_ours(c))
		return verbs_real(ibv_alloc_pd)(c);
	pd = calloc(1, sizeof(*pd));
	if (!pd)
		return NULL;
	pd->pd.context = c;
	return &pd->pd;
}

VERBS_EXPORT int ibv_dealloc_pd(struct ibv_pd *p)
{
	struct verbs_pd *pd = u_container_of(p, struct verbs_pd, pd);

	if (!verbs_is_ours(p->context))
		return verbs_real(ibv_dealloc_pd)(p);
	if (atomic_load(&pd->refs))
		return EBUSY;
	free(pd);
	return 0;
}

/* --- AH numbers --- */

int verbs_gids_init(struct verbs_gids *g)
{
	g->table = calloc(VERBS_MAX_AH, sizeof(*g->table));
	if (!g->table)
		return -ENOMEM;
	u_lock_init(&g->lock, true);
	g->used = 0;
	atomic_init(&g->epoch, 1);
	return 0;
}

void verbs_gids_fini(struct verbs_gids *g)
{
	free(g->table);
	u_lock_fini(&g->lock);
}

/* Under the lock; VERBS_NO_AH: nowhere. */
static uint16_t gids_look(const struct verbs_gids *g, const uint8_t gid[16])
{
	for (uint32_t i = 0; i < g->used; i++)
		if (g->table[i].refs && !memcmp(g->table[i].gid, gid, 16))
			return (uint16_t)i;
	return VERBS_NO_AH;
}

uint16_t verbs_gids_find(struct verbs_gids *g, const uint8_t gid[16])
{
	uint16_t ahn;

	u_lock(&g->lock);
	ahn = gids_look(g, gid);
	u_unlock(&g->lock);
	return ahn;
}

/* Another handle; VERBS_NO_AH: all numbers are in use. */
static uint16_t gids_get(struct verbs_gids *g, const uint8_t gid[16])
{
	uint16_t ahn;

	u_lock(&g->lock);
	ahn = gids_look(g, gid);
	for (uint32_t i = 0; i < VERBS_MAX_AH && ahn == VERBS_NO_AH; i++) {
		if (g->table[i].refs)
			continue;
		ahn = (uint16_t)i;
		memcpy(g->table[i].gid, gid, 16);
		g->used = (uint32_t)u_max(g->used, i + 1);
		atomic_fetch_add(&g->epoch, 1);
	}
	if (ahn != VERBS_NO_AH)
		g->table[ahn].refs++;
	u_unlock(&g->lock);
	return ahn;
}

/* True: it was the last handle. */
static bool gids_put(struct verbs_gids *g, uint16_t ahn)
{
	bool last;

	u_lock(&g->lock);
	last = !--g->table[ahn].refs;
	if (last)
		atomic_fetch_add(&g->epoch, 1);
	u_unlock(&g->lock);
	return last;
}

/* --- handles --- */

static int ah_check(const struct ibv_ah_attr *attr)
{
	static const uint8_t none[16];

	if (attr->port_num != 1 || !attr->is_global)
		return EINVAL;
	return memcmp(attr->grh.dgid.raw, none, 16) ? 0 : EINVAL;
}

VERBS_EXPORT struct ibv_ah *ibv_create_ah(struct ibv_pd *pd,
					  struct ibv_ah_attr *attr)
{
	struct verbs_ctx *ctx;
	struct verbs_ah *ah;
	int rc;

	if (!verbs_is_ours(pd->context))
		return verbs_real(ibv_create_ah)(pd, attr);
	ctx = verbs_ctx_of(pd->context);
	rc = ah_check(attr);
	if (rc)
		return verbs_null(rc);
	ah = calloc(1, sizeof(*ah));
	if (!ah)
		return NULL;
	memcpy(ah->gid, attr->grh.dgid.raw, sizeof(ah->gid));
	ah->ahn = gids_get(&ctx->gids, ah->gid);
	if (ah->ahn == VERBS_NO_AH) {
		free(ah);
		return verbs_null(ENOMEM);
	}
	ah->ah.context = pd->context;
	ah->ah.pd = pd;
	verbs_pd_hold(pd);
	return &ah->ah;
}

/* Entries of this device have no GRH, so nothing says where they came from. */
VERBS_EXPORT struct ibv_ah *ibv_create_ah_from_wc(struct ibv_pd *pd,
						  struct ibv_wc *wc,
						  struct ibv_grh *grh,
						  uint8_t port)
{
	if (!verbs_is_ours(pd->context))
		return verbs_real(ibv_create_ah_from_wc)(pd, wc, grh, port);
	return verbs_null(EINVAL);
}

VERBS_EXPORT int ibv_init_ah_from_wc(struct ibv_context *c, uint8_t port,
				     struct ibv_wc *wc, struct ibv_grh *grh,
				     struct ibv_ah_attr *attr)
{
	if (!verbs_is_ours(c))
		return verbs_real(ibv_init_ah_from_wc)(c, port, wc, grh, attr);
	*attr = (struct ibv_ah_attr){
		.dlid = wc->slid,
		.sl = wc->sl,
		.src_path_bits = wc->dlid_path_bits,
		.port_num = port,
	};
	return 0;
}

static void ah_doom(struct verbs_ctx *ctx, const uint8_t gid[16])
{
	struct verbs_qp *qp;

	u_lock(&ctx->lock);
	LIST_FOREACH(qp, &ctx->qps, link) {
		u_lock(&qp->lock);
		verbs_dest_doom(qp, gid);
		u_unlock(&qp->lock);
	}
	u_unlock(&ctx->lock);
}

VERBS_EXPORT int ibv_destroy_ah(struct ibv_ah *a)
{
	struct verbs_ah *ah = u_container_of(a, struct verbs_ah, ah);
	struct verbs_ctx *ctx;

	if (!verbs_is_ours(a->context))
		return verbs_real(ibv_destroy_ah)(a);
	ctx = verbs_ctx_of(a->context);
	if (gids_put(&ctx->gids, ah->ahn))
		ah_doom(ctx, ah->gid);
	verbs_pd_drop(a->pd);
	free(ah);
	return 0;
}

VERBS_EXPORT int efadv_query_ah(struct ibv_ah *a, struct efadv_ah_attr *attr,
				uint32_t inlen)
{
	if (!verbs_is_ours(a->context))
		return verbs_real(efadv_query_ah)(a, attr, inlen);
	if (inlen < offsetof(struct efadv_ah_attr, ahn) + sizeof(attr->ahn))
		return EINVAL;
	memset(attr, 0, inlen);
	attr->ahn = u_container_of(a, struct verbs_ah, ah)->ahn;
	return 0;
}
