/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_region.c - memory of end b of a pair, which end a reads and writes
 */
#include "nic_region.h"

#include <stdlib.h>

void nt_region_open(struct nt_region *r, struct nt *t, size_t len,
		    uint32_t access)
{
	r->mem = malloc(len);
	r->local = malloc(len + 16);
	r->len = len;
	r->nic = t->b.nic;
	nt_fill(r->mem, len, 1);
	nt_fill(r->local, len, 2);
	assert_int_equal(nic_mr_reg(r->nic, r->mem, len, access, &r->key), 0);
}

void nt_region_close(struct nt_region *r)
{
	assert_int_equal(nic_mr_dereg(r->nic, r->key), 0);
	free(r->mem);
	free(r->local);
}

struct nic_rdma nt_region_op(const struct nt_region *r, enum nic_rdma_type type)
{
	static uint64_t id;

	return (struct nic_rdma){
		.type = type,
		.id = ++id,
		.local = r->local,
		.remote = (uintptr_t)r->mem,
		.len = r->len,
		.rkey = r->key,
		.imm = 0x1234,
	};
}
