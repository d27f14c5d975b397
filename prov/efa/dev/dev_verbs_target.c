/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_target.c - the keys that peers may name, for remote access that
 * software carries out
 *
 * The hardware checks what it does itself; it cannot be asked. So every region
 * is also in a table by key.
 */
#include "dev_verbs_priv.h"

static struct verbs_mr_list *bucket(struct verbs_dev *vd, uint32_t key)
{
	return &vd->keys[key % VERBS_KEY_BUCKETS];
}

void verbs_keys_init(struct verbs_dev *vd)
{
	u_lock_init(&vd->keys_lock, true);
}

void verbs_keys_fini(struct verbs_dev *vd)
{
	u_lock_fini(&vd->keys_lock);
}

void verbs_key_add(struct verbs_dev *vd, struct verbs_mr *mr)
{
	u_lock(&vd->keys_lock);
	LIST_INSERT_HEAD(bucket(vd, mr->mr.key), mr, link);
	u_unlock(&vd->keys_lock);
}

void verbs_key_remove(struct verbs_dev *vd, struct verbs_mr *mr)
{
	u_lock(&vd->keys_lock);
	LIST_REMOVE(mr, link);
	u_unlock(&vd->keys_lock);
}

/* One key may stand for several openings of a range that is kept. */
static bool covers(struct verbs_dev *vd, const struct dev_range *range,
		   uint32_t access)
{
	const struct verbs_mr *mr;

	if (!range->len)
		return true;
	if (range->key > UINT32_MAX)
		return false;
	LIST_FOREACH(mr, bucket(vd, (uint32_t)range->key), link)
		if (mr->mr.key == range->key && !(access & ~mr->access) &&
		    range->addr >= mr->mr.addr &&
		    range->addr - mr->mr.addr <= mr->mr.len &&
		    range->len <= mr->mr.len - (range->addr - mr->mr.addr))
			return true;
	return false;
}

bool verbs_mr_hold(struct dev *d, const struct dev_range *range, int n,
		   uint32_t access)
{
	struct verbs_dev *vd = u_container_of(d, struct verbs_dev, dev);

	u_lock(&vd->keys_lock);
	for (int i = 0; i < n; i++) {
		if (covers(vd, &range[i], access))
			continue;
		u_unlock(&vd->keys_lock);
		return false;
	}
	return true;
}

void verbs_mr_release(struct dev *d)
{
	u_unlock(&u_container_of(d, struct verbs_dev, dev)->keys_lock);
}
