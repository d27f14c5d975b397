/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_tree_test.c - ranges in order, against a plain array
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dev/dev_cache_tree.h"

#define SPACE 200 /* ends are below */
#define NODES 64
#define STEPS 20000

struct model {
	struct dev_cache_tree tree;
	struct dev_cache_node node[NODES];
	bool in[NODES];
};

static bool covers(const struct dev_cache_node *n, uint64_t lo, uint64_t hi)
{
	return n->lo <= lo && n->hi >= hi;
}

/* The one that covers and reaches furthest. */
static struct dev_cache_node *slow_covering(struct model *m, uint64_t lo,
					    uint64_t hi)
{
	struct dev_cache_node *best = NULL;

	for (int i = 0; i < NODES; i++) {
		struct dev_cache_node *n = &m->node[i];

		if (m->in[i] && covers(n, lo, hi) &&
		    (!best || n->hi > best->hi))
			best = n;
	}
	return best;
}

static bool touches(const struct dev_cache_node *n, uint64_t lo, uint64_t hi)
{
	return n->lo < hi && n->hi > lo;
}

static bool lies_inside(const struct dev_cache_node *n, uint64_t lo,
			uint64_t hi)
{
	return n->lo >= lo && n->hi <= hi;
}

static struct dev_cache_node *
slow_first(struct model *m,
	   bool (*is)(const struct dev_cache_node *, uint64_t, uint64_t),
	   uint64_t lo, uint64_t hi)
{
	struct dev_cache_node *best = NULL;

	for (int i = 0; i < NODES; i++) {
		struct dev_cache_node *n = &m->node[i];

		if (m->in[i] && is(n, lo, hi) && (!best || n->lo < best->lo))
			best = n;
	}
	return best;
}

static void check(struct model *m, uint64_t lo, uint64_t hi)
{
	const struct dev_cache_tree *t = &m->tree;

	assert_ptr_equal(dev_cache_tree_covering(t, lo, hi),
			 slow_covering(m, lo, hi));
	assert_ptr_equal(dev_cache_tree_touching(t, lo, hi),
			 slow_first(m, touches, lo, hi));
	assert_ptr_equal(dev_cache_tree_inside(t, lo, hi),
			 slow_first(m, lies_inside, lo, hi));
}

static void step(struct model *m)
{
	int i = rand() % NODES;
	struct dev_cache_node *n = &m->node[i];
	uint64_t lo = (uint64_t)rand() % (SPACE - 1);
	uint64_t hi = lo + 1 + (uint64_t)rand() % (SPACE - 1 - lo);

	if (rand() % 2 && hi > lo + 20)
		hi = lo + 20;
	check(m, lo, hi);
	if (m->in[i]) {
		dev_cache_tree_remove(&m->tree, n);
		m->in[i] = false;
	} else if (!slow_covering(m, lo, hi) &&
		   !slow_first(m, lies_inside, lo, hi)) {
		n->lo = lo;
		n->hi = hi;
		dev_cache_tree_insert(&m->tree, n);
		m->in[i] = true;
	}
}

static void dev_cache_tree__agrees_with_an_array(void **state)
{
	struct model m = { .tree.root = NULL };

	(void)state;
	srand(1);
	for (int i = 0; i < STEPS; i++)
		step(&m);
}

static void dev_cache_tree__empties(void **state)
{
	struct model m = { .tree.root = NULL };

	(void)state;
	srand(2);
	for (int i = 0; i < STEPS / 10; i++)
		step(&m);
	for (int i = 0; i < NODES; i++) {
		if (m.in[i])
			dev_cache_tree_remove(&m.tree, &m.node[i]);
	}
	assert_null(m.tree.root);
}

static int depth(const struct dev_cache_node *n)
{
	int left, right;

	if (!n)
		return 0;
	left = depth(n->left);
	right = depth(n->right);
	return 1 + (left > right ? left : right);
}

static void dev_cache_tree_insert__in_order_stays_shallow(void **state)
{
	enum { MANY = 10000 };
	struct dev_cache_node *n = calloc(MANY, sizeof(*n));
	struct dev_cache_tree t = { .root = NULL };

	(void)state;
	for (uint64_t i = 0; i < MANY; i++) {
		n[i].lo = i;
		n[i].hi = i + 1;
		dev_cache_tree_insert(&t, &n[i]);
	}
	assert_true(depth(t.root) < 60);
	free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dev_cache_tree__agrees_with_an_array),
		cmocka_unit_test(dev_cache_tree__empties),
		cmocka_unit_test(dev_cache_tree_insert__in_order_stays_shallow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
