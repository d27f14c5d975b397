/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_revoke.c - RDMA of ours whose local memory is taken away
 *
 * It ends at once. What the peer works on keeps its place until it is answered,
 * as when a handle is closed (nic_ah.c); the answer goes nowhere.
 */
#include "nic_priv.h"

/*
 * Told before the operation has ended: the place for its completion, which is
 * reserved (nic_done.c), is used early.
 */
static void op_tell(struct nic_op *op)
{
	nic_done_push(op->path->qp, op->ah, op->rdma.id,
		      op->rdma.type == NIC_READ ? NIC_WC_READ : NIC_WC_WRITE,
		      NIC_FLUSHED);
	op->ah = NULL;
}

static void op_revoke(struct nic_op *op)
{
	if (op->state != NIC_OP_ANSWER && !op->asked) {
		nic_rdma_end(op, NIC_FLUSHED);
		return;
	}
	op_tell(op);
	/* A write that the peer has a part of is cut short. */
	if (op->state != NIC_OP_ANSWER)
		op->offset = op->rdma.len;
}

bool nic_qp_revoke(struct nic_qp *qp, uint64_t id)
{
	bool found = nic_far_revoke(qp, id);
	uint32_t cursor = 0;
	struct nic_op *op;

	while ((op = u_pool_next(&qp->ops, &cursor))) {
		if (!op->ah || op->rdma.id != id)
			continue;
		found = true;
		op_revoke(op);
	}
	return found;
}
