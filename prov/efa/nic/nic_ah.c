/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_ah.c - handles of destinations
 */
#include "nic_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nic_gid.h"

#include "util/u_lines.h"

int nic_ah_open(struct nic_qp *qp, const struct nic_addr *addr, uint64_t cookie,
		struct nic_ah **out)
{
	struct wire_shm_id id = { .qpn = addr->qpn, .connid = addr->qkey };
	struct nic_ah *ah;

	if (!addr->qpn || addr->qpn > nic_qpn_max(qp->nic) ||
	    !nic_gid_is_set(addr->gid))
		return -EINVAL;
	memcpy(id.gid, addr->gid, sizeof(id.gid));
	ah = u_lines_new(sizeof(*ah));
	if (!ah)
		return -ENOMEM;
	ah->path = nic_path_get(qp, &id);
	if (!ah->path) {
		free(ah);
		return -ENOMEM;
	}
	ah->qp = qp;
	ah->cookie = cookie;
	if (ah->path->state == NIC_PATH_LIVE)
		ah->link = ah->path->link;
	ah->flags = qp->type == NIC_QP_SRD ? NIC_SEND_REQUEST : 0;
	TAILQ_INIT(&ah->far_ops);
	TAILQ_INSERT_TAIL(&ah->path->ahs, ah, path_link);
	*out = ah;
	return 0;
}

enum nic_status nic_ah_reach(struct nic_ah *ah)
{
	return ah->link ? NIC_OK : nic_path_resolve(ah->path);
}

/*
 * Operations that the peer works on keep their place until it answers; a
 * write that it has a part of is cut short, so that there is an answer.
 */
static void ah_forget_ops(struct nic_ah *ah)
{
	struct nic_op *op, *next;

	for (op = TAILQ_FIRST(&ah->path->ops); op; op = next) {
		next = TAILQ_NEXT(op, link);
		if (op->ah != ah)
			continue;
		op->ah = NULL;
		if (op->asked)
			op->offset = op->rdma.len;
		else
			nic_rdma_end(op, NIC_FLUSHED);
	}
	TAILQ_FOREACH(op, &ah->path->waiting, link)
		if (op->ah == ah)
			op->ah = NULL;
}

void nic_ah_close(struct nic_ah *ah)
{
	struct nic_qp *qp = ah->qp;

	ah_forget_ops(ah);
	nic_far_forget(ah);
	nic_done_forget(qp, ah);
	if (ah->gone)
		TAILQ_REMOVE(&qp->gone, ah, gone_link);
	TAILQ_REMOVE(&ah->path->ahs, ah, path_link);
	qp->tx_closed += ah->tx_packets;
	nic_path_drop(ah->path);
	free(ah);
}
