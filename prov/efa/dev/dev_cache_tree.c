/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_tree.c - an ordered set of ranges, none of which contains another
 */
#include "dev_cache_tree.h"

#include <assert.h>
#include <stddef.h>

/* xorshift: good enough to balance, and the same every run. */
static uint32_t next_priority(struct dev_cache_tree *t)
{
	uint32_t x = t->seed ? t->seed : 0x9e3779b9;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	t->seed = x;
	return x;
}

/* Parts n into what begins before lo and the rest. */
static void split(struct dev_cache_node *n, uint64_t lo,
		  struct dev_cache_node **before, struct dev_cache_node **rest)
{
	while (n) {
		if (n->lo < lo) {
			*before = n;
			before = &n->right;
			n = n->right;
		} else {
			*rest = n;
			rest = &n->left;
			n = n->left;
		}
	}
	*before = NULL;
	*rest = NULL;
}

void dev_cache_tree_insert(struct dev_cache_tree *t, struct dev_cache_node *n)
{
	struct dev_cache_node **at = &t->root;

	assert(n->lo < n->hi);
	assert(!dev_cache_tree_covering(t, n->lo, n->hi)); /* I1 */
	assert(!dev_cache_tree_inside(t, n->lo, n->hi)); /* I1 */
	n->priority = next_priority(t);
	while (*at && (*at)->priority >= n->priority)
		at = n->lo < (*at)->lo ? &(*at)->left : &(*at)->right;
	split(*at, n->lo, &n->left, &n->right);
	*at = n;
}

void dev_cache_tree_remove(struct dev_cache_tree *t, struct dev_cache_node *n)
{
	struct dev_cache_node **at = &t->root;
	struct dev_cache_node *a = n->left, *b = n->right;

	while (*at != n)
		at = n->lo < (*at)->lo ? &(*at)->left : &(*at)->right;
	while (a && b) {
		if (a->priority >= b->priority) {
			*at = a;
			at = &a->right;
			a = a->right;
		} else {
			*at = b;
			at = &b->left;
			b = b->left;
		}
	}
	*at = a ? a : b;
}

struct dev_cache_node *dev_cache_tree_covering(const struct dev_cache_tree *t,
					       uint64_t lo, uint64_t hi)
{
	struct dev_cache_node *n = t->root, *last = NULL;

	while (n) {
		if (n->lo <= lo) {
			last = n;
			n = n->right;
		} else {
			n = n->left;
		}
	}
	return last && last->hi >= hi ? last : NULL;
}

struct dev_cache_node *dev_cache_tree_touching(const struct dev_cache_tree *t,
					       uint64_t lo, uint64_t hi)
{
	struct dev_cache_node *n = t->root, *first = NULL;

	while (n) {
		if (n->hi > lo) {
			first = n;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return first && first->lo < hi ? first : NULL;
}

struct dev_cache_node *dev_cache_tree_inside(const struct dev_cache_tree *t,
					     uint64_t lo, uint64_t hi)
{
	struct dev_cache_node *n = t->root, *first = NULL;

	while (n) {
		if (n->lo >= lo) {
			first = n;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return first && first->hi <= hi ? first : NULL;
}
