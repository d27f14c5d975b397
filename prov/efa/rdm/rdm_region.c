/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_region.c - counters of writes to memory regions
 *
 * Writes name a region by its key. Several regions may have one key, where a
 * device registers equal ranges once; then all of them count.
 *
 * Who binds none pays a load for each access in packets.
 */
#include "rdm/rdm_ep.h"

#include <stdlib.h>

#include "util/u_hash.h"
#include "util/u_lock.h"

#define BUCKETS 64u

LIST_HEAD(region_list, rdm_region);

struct rdm_regions {
	struct u_lock lock; /* of the lists */
	_Atomic uint32_t n; /* regions in them */
	struct region_list bucket[BUCKETS];
};

struct rdm_regions *rdm_regions_new(void)
{
	struct rdm_regions *regions = calloc(1, sizeof(*regions));

	if (regions)
		u_lock_init(&regions->lock, true);
	return regions;
}

void rdm_regions_free(struct rdm_regions *regions)
{
	if (!regions)
		return;
	assert(!atomic_load(&regions->n));
	u_lock_fini(&regions->lock);
	free(regions);
}

static struct region_list *bucket_of(struct rdm_regions *regions, uint64_t key)
{
	return &regions->bucket[u_mix64(key) % BUCKETS];
}

void rdm_region_bind(struct rdm_regions *regions, struct rdm_region *region)
{
	u_lock(&regions->lock);
	LIST_INSERT_HEAD(bucket_of(regions, region->key), region, link);
	atomic_fetch_add(&regions->n, 1);
	u_unlock(&regions->lock);
}

void rdm_region_unbind(struct rdm_regions *regions, struct rdm_region *region)
{
	u_lock(&regions->lock);
	LIST_REMOVE(region, link);
	atomic_fetch_sub(&regions->n, 1);
	u_unlock(&regions->lock);
}

static bool named_before(const struct rdm_pkt_iov *iov, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (iov[k].key == iov[i].key)
			return true;
	return false;
}

static U_COLD void count(struct rdm_regions *regions,
			 const struct rdm_pkt_iov *iov, uint32_t n)
{
	struct rdm_region *region;

	u_lock(&regions->lock);
	for (uint32_t i = 0; i < n; i++) {
		if (named_before(iov, i))
			continue;
		LIST_FOREACH(region, bucket_of(regions, iov[i].key), link)
			if (region->key == iov[i].key)
				rdm_cntr_add(region->cntr, true);
	}
	u_unlock(&regions->lock);
}

void rdm_regions_written(struct rdm_ep *ep, const struct rdm_pkt_iov *iov,
			 uint32_t n)
{
	struct rdm_regions *regions = ep->config.regions;

	if (regions && atomic_load_explicit(&regions->n, memory_order_relaxed))
		count(regions, iov, n);
}
