/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * memory.c - a pair of which the first end reads and writes the second one's
 * memory
 */
#include "memory.h"

#include <stdlib.h>

#define BOTH (DEV_CAP_READ | DEV_CAP_WRITE)

const struct pair_options memory_ways[MEMORY_WAYS] = {
	{ .caps = BOTH },
	{ .caps = BOTH, .by_completion = true },
	{ .caps = 0 },
	{ .caps = 0, .by_completion = true },
	{ .caps = BOTH, .a_off = RDM_FEATURE_READ | RDM_FEATURE_WRITE },
	{ .caps = BOTH, .b_off = RDM_FEATURE_READ | RDM_FEATURE_WRITE },
	{ .caps = BOTH, .b_off = RDM_FEATURE_WRITE },
	{ .caps = BOTH, .a_off = RDM_FEATURE_WRITE, .by_completion = true },
	{ .caps = BOTH, .a_off = RDM_FEATURE_READ },
	{ .caps = BOTH | DEV_CAP_UNSOLICITED,
	  .b_off = RDM_FEATURE_UNSOLICITED },
	{ .caps = 0, .a_off = RDM_FEATURE_CONNID, .b_off = RDM_FEATURE_CONNID },
};

const size_t memory_lengths[MEMORY_LENGTHS] = {
	0,
	1,
	100,
	PAIR_MTU - 200,
	PAIR_MTU - 24 - 1,
	PAIR_MTU - 24,
	PAIR_MTU,
	5000,
	PAIR_READ_WRITE - 1,
	PAIR_READ_WRITE,
	32 * (PAIR_MTU - 32),
	32 * (PAIR_MTU - 32) + 1,
	MEMORY_MAX,
};

void memory_open(struct memory *m, const struct pair_options *o,
		 uint32_t access)
{
	pair_open(&m->p, o);
	m->local = malloc(MEMORY_MAX + 1);
	m->target = malloc(MEMORY_MAX + 1);
	pair_fill(m->local, 2, MEMORY_MAX + 1);
	pair_fill(m->target, 1, MEMORY_MAX + 1);
	assert_int_equal(dev_mr_open(m->p.b.dev, m->target, MEMORY_MAX, access,
				     &m->mr),
			 0);
}

void memory_close(struct memory *m)
{
	assert_int_equal(m->p.a.ep->txs.taken, 0);
	assert_int_equal(m->p.b.ep->serves.taken, 0);
	assert_int_equal(m->p.b.ep->ctl_pool.taken, 0);
	if (m->mr)
		dev_mr_close(m->mr);
	pair_close(&m->p);
	free(m->local);
	free(m->target);
}

int memory_post(struct memory *m, bool read, size_t len, uint32_t flags)
{
	struct iovec iov = { m->local, len };
	struct dev_range at = { (uintptr_t)m->target, len,
				m->mr ? m->mr->key : 1 };

	return rdm_rma(m->p.a.ep,
		       &(struct rdm_rma){ .read = read,
					  .iov = &iov,
					  .iovcnt = 1,
					  .rma_iov = &at,
					  .rma_iovcnt = 1,
					  .flags = flags | RDM_COMPLETION,
					  .to = m->p.a.peer,
					  .data = 0x1234,
					  .context = m });
}

void memory_check(struct memory *m, bool read, size_t len, uint32_t flags)
{
	struct rdm_comp comp = pair_comp(&m->p.a);

	assert_ptr_equal(comp.context, m);
	assert_int_equal(comp.kind, read ? RDM_COMP_READ : RDM_COMP_WRITE);
	pair_check(read ? m->local : m->target, read ? 1 : 2, len);
	pair_check_rest(read ? m->local : m->target, read ? 2 : 1, len,
			MEMORY_MAX + 1);
	if (flags & RDM_DATA) {
		comp = pair_comp(&m->p.b);
		assert_int_equal(comp.kind, RDM_COMP_REMOTE_WRITE);
		assert_int_equal(comp.flags, RDM_COMP_DATA);
		assert_int_equal(comp.data, 0x1234);
		assert_int_equal(comp.len, len);
		assert_int_equal(comp.source, m->p.b.peer);
		assert_null(comp.context);
	}
	pair_no_comp(&m->p.a);
	pair_no_comp(&m->p.b);
	assert_int_equal(m->p.a.ep->stats.bad_packets, 0);
	assert_int_equal(m->p.b.ep->stats.bad_packets, 0);
	assert_int_equal(m->p.b.ep->stats.refused, 0);
}
