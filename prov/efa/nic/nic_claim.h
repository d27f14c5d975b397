/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_claim.h - how a queue pair comes by its number, bell and segment
 */
#ifndef NIC_CLAIM_H
#define NIC_CLAIM_H

#include "nic/nic.h"

struct nic_qp;

/*
 * Fills self.qpn, bell, sock, wait and shm of a queue pair, and far.wire where
 * the wire owns the number. Errors have been logged.
 */
int nic_claim(struct nic_qp *qp);

/* The same under a number and gid that the caller owns. */
int nic_claim_as(struct nic_qp *qp, const struct nic_addr *addr);

void nic_unclaim(struct nic_qp *qp);

#endif
