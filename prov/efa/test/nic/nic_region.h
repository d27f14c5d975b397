/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_region.h - memory of end b of a pair, which end a reads and writes
 */
#ifndef NIC_REGION_H
#define NIC_REGION_H

#include "nic_fixture.h"

struct nt_region {
	char *mem; /* of b, registered */
	char *local; /* of a; a little longer */
	size_t len;
	uint32_t key;
	struct nic *nic; /* of b */
};

/* mem is filled by seed 1, local by 2. access: enum nic_access bits. */
void nt_region_open(struct nt_region *r, struct nt *t, size_t len,
		    uint32_t access);
void nt_region_close(struct nt_region *r);

/* All of it, from or to all of local, with an id of its own. */
struct nic_rdma nt_region_op(const struct nt_region *r,
			     enum nic_rdma_type type);

#endif
