/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_ah.c - address handles: one of the hardware's for each gid
 *
 * Making one is a command to the firmware, which takes milliseconds, and the
 * device has a limited number for all processes of the host. So queue pairs
 * share them, and a few that nobody uses are kept for a while. As there is one
 * for each gid, the number that completions call it by means that gid, until
 * it is destroyed: then ahn_epoch changes and what was learned by number is
 * forgotten.
 */
#include "dev_verbs_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_bytes.h"
#include "util/u_hash.h"
#include "util/u_lines.h"
#include "util/u_log.h"

#define IDLE_MAX 64
#define AHNS 65536

/* ---- handles of the hardware; the lock is held --------------------------- */

static struct verbs_gid_list *bucket(struct verbs_dev *vd,
				     const uint8_t gid[16])
{
	uint64_t hash = u_hash2(u_get64(gid), u_get64(gid + 8));

	return &vd->gids[hash >> 54];
}
_Static_assert(VERBS_GID_BUCKETS == 1 << (64 - 54), "the top bits of a hash");

static struct verbs_gid *gid_find(struct verbs_dev *vd, const uint8_t gid[16])
{
	struct verbs_gid *g;

	LIST_FOREACH(g, bucket(vd, gid), link)
		if (!memcmp(g->gid, gid, sizeof(g->gid)))
			return g;
	return NULL;
}

static void gid_free(struct verbs_dev *vd, struct verbs_gid *g)
{
	TAILQ_REMOVE(&vd->idle, g, idle);
	vd->nidle--;
	LIST_REMOVE(g, link);
	if (g->ahn != VERBS_AHN_NONE && vd->by_ahn[g->ahn] == g) {
		vd->by_ahn[g->ahn] = NULL;
		atomic_fetch_add(&vd->ahn_epoch, 1);
	}
	ibv_destroy_ah(g->ah);
	free(g);
}

/* When the device has no room, what nobody uses makes some. */
static struct ibv_ah *ah_create(struct verbs_dev *vd, const uint8_t gid[16])
{
	struct ibv_ah_attr attr = { .port_num = VERBS_PORT, .is_global = 1 };
	struct ibv_ah *ah;

	memcpy(attr.grh.dgid.raw, gid, sizeof(attr.grh.dgid.raw));
	while (!(ah = ibv_create_ah(vd->pd, &attr)) && errno == ENOMEM &&
	       !TAILQ_EMPTY(&vd->idle))
		gid_free(vd, TAILQ_FIRST(&vd->idle));
	return ah;
}

static uint16_t ahn_of(struct ibv_ah *ah)
{
	struct efadv_ah_attr attr = { .comp_mask = 0 };

	return efadv_query_ah(ah, &attr, sizeof(attr)) ? VERBS_AHN_NONE :
							 attr.ahn;
}

static int gid_new(struct verbs_dev *vd, const uint8_t gid[16],
		   struct verbs_gid **out)
{
	struct verbs_gid *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->ah = ah_create(vd, gid);
	if (!g->ah) {
		int rc = errno ? -errno : -ENOMEM;

		free(g);
		return rc;
	}
	memcpy(g->gid, gid, sizeof(g->gid));
	g->ahn = ahn_of(g->ah);
	if (g->ahn != VERBS_AHN_NONE)
		vd->by_ahn[g->ahn] = g;
	LIST_INSERT_HEAD(bucket(vd, gid), g, link);
	*out = g;
	return 0;
}

/* ---- for all queue pairs ---------------------------------------------------- */

int verbs_gid_get(struct verbs_dev *vd, const uint8_t gid[16],
		  struct verbs_gid **out)
{
	struct verbs_gid *g;
	int rc = 0;

	u_lock(&vd->lock);
	g = gid_find(vd, gid);
	if (g && !g->refs) {
		TAILQ_REMOVE(&vd->idle, g, idle);
		vd->nidle--;
	}
	if (!g)
		rc = gid_new(vd, gid, &g);
	if (!rc) {
		g->refs++;
		*out = g;
	}
	u_unlock(&vd->lock);
	return rc;
}

void verbs_gid_put(struct verbs_dev *vd, struct verbs_gid *g)
{
	u_lock(&vd->lock);
	if (--g->refs == 0) {
		TAILQ_INSERT_TAIL(&vd->idle, g, idle);
		vd->nidle++;
		if (vd->nidle > IDLE_MAX)
			gid_free(vd, TAILQ_FIRST(&vd->idle));
	}
	u_unlock(&vd->lock);
}

bool verbs_gid_of_ahn(struct verbs_dev *vd, uint16_t ahn, uint8_t gid[16])
{
	struct verbs_gid *g;

	u_lock(&vd->lock);
	g = vd->by_ahn[ahn];
	if (g)
		memcpy(gid, g->gid, sizeof(g->gid));
	u_unlock(&vd->lock);
	return g != NULL;
}

int verbs_gids_init(struct verbs_dev *vd)
{
	/* Half a MiB of which pages are used as numbers are. */
	vd->by_ahn = calloc(AHNS, sizeof(struct verbs_gid *));
	if (!vd->by_ahn)
		return -ENOMEM;
	u_lock_init(&vd->lock, true);
	TAILQ_INIT(&vd->idle);
	return 0;
}

void verbs_gids_fini(struct verbs_dev *vd)
{
	while (!TAILQ_EMPTY(&vd->idle))
		gid_free(vd, TAILQ_FIRST(&vd->idle));
	u_lock_fini(&vd->lock);
	free(vd->by_ahn);
}

/* ---- destinations of a queue pair --------------------------------------------- */

int verbs_ah_open(struct dev_qp *q, const struct dev_addr *addr,
		  uint64_t cookie, struct dev_ah **out)
{
	struct verbs_dev *vd = u_container_of(q->dev, struct verbs_dev, dev);
	struct verbs_ah *ah;
	int rc;

	if (addr->qpn > UINT16_MAX)
		return -EINVAL;
	ah = u_lines_new(sizeof(*ah));
	if (!ah)
		return -ENOMEM;
	rc = verbs_gid_get(vd, addr->gid, &ah->gid);
	if (rc) {
		u_warn("%s: no address handle: %s", vd->dev.info.name,
		       rc == -EINVAL ?
			       "the device does not know the address; peers "
			       "have to be in the same network" :
			       strerror(-rc));
		free(ah);
		return rc;
	}
	ah->ah.qp = q;
	ah->ah.addr = *addr;
	ah->cookie = cookie;
	*out = &ah->ah;
	return 0;
}

void verbs_ah_free(struct verbs_ah *ah)
{
	struct dev *d = ah->ah.qp->dev;

	verbs_gid_put(u_container_of(d, struct verbs_dev, dev), ah->gid);
	free(ah);
}

void verbs_ah_close(struct dev_ah *a)
{
	struct verbs_ah *ah = u_container_of(a, struct verbs_ah, ah);
	struct verbs_qp *qp = u_container_of(a->qp, struct verbs_qp, qp);

	if (ah->queued)
		TAILQ_REMOVE(&qp->gone, ah, link);
	ah->closed = true;
	if (!ah->posted)
		verbs_ah_free(ah);
}
