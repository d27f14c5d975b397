/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_tree.h - an ordered set of ranges, none of which contains another
 *
 * That no range contains another (I1) makes the order of their ends that of
 * their beginnings. So a range that covers [lo, hi) is found with one descent:
 * of those that begin at or before lo the last one reaches furthest. And those
 * that touch [lo, hi) stand beside each other.
 *
 * A treap: a tree by lo, a heap by a random priority. Nodes belong to the
 * caller; nothing here allocates.
 */
#ifndef DEV_CACHE_TREE_H
#define DEV_CACHE_TREE_H

#include <stdint.h>

struct dev_cache_node {
	uint64_t lo, hi; /* [lo, hi), lo < hi; const while in a tree */
	struct dev_cache_node *left, *right;
	uint32_t priority;
};

struct dev_cache_tree {
	struct dev_cache_node *root; /* NULL: empty */
	uint32_t seed; /* of priorities */
};

/* No node of the tree may cover n, nor n one of them. */
void dev_cache_tree_insert(struct dev_cache_tree *t, struct dev_cache_node *n);
void dev_cache_tree_remove(struct dev_cache_tree *t, struct dev_cache_node *n);

/* The node that covers [lo, hi) and reaches furthest, or NULL. */
struct dev_cache_node *dev_cache_tree_covering(const struct dev_cache_tree *t,
					       uint64_t lo, uint64_t hi);

/* The first node that has a byte of [lo, hi), or NULL. */
struct dev_cache_node *dev_cache_tree_touching(const struct dev_cache_tree *t,
					       uint64_t lo, uint64_t hi);

/* The first node that lies in [lo, hi), or NULL. */
struct dev_cache_node *dev_cache_tree_inside(const struct dev_cache_tree *t,
					     uint64_t lo, uint64_t hi);

#endif
