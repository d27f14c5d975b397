/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_send.c - a request from its doorbell to its entry
 *
 *   submit --> nic took all ----------------------------> entry
 *          --> nic works on it (dest->busy) --> drive --> entry
 *          --> no room (dest->waiting) --> again at each drive
 *
 * What a device finds out only when it works on a request, a bad key or length,
 * is the status of an entry here too, not an error of the call.
 */
#include "verbs_priv.h"

static uint32_t wr_length(const struct verbs_wr *wr)
{
	uint64_t len = wr->is_inline ? wr->inline_len : 0;

	for (int i = 0; i < wr->nsge; i++)
		len += wr->sge[i].length;
	return (uint32_t)u_min(len, UINT32_MAX);
}

static bool wr_is_send(const struct verbs_wr *wr)
{
	return wr->op == VERBS_SEND || wr->op == VERBS_SEND_IMM;
}

void verbs_slot_free(struct verbs_qp *qp, struct verbs_wr *wr)
{
	qp->free_slot[qp->nfree++] = (uint32_t)(wr - qp->slot);
}

static uint8_t wr_opcode(const struct verbs_wr *wr)
{
	static const uint8_t opcode[] = {
		[VERBS_SEND] = IBV_WC_SEND,
		[VERBS_SEND_IMM] = IBV_WC_SEND,
		[VERBS_READ] = IBV_WC_SEND, /* as the device's library has it */
		[VERBS_WRITE] = IBV_WC_RDMA_WRITE,
		[VERBS_WRITE_IMM] = IBV_WC_RDMA_WRITE,
	};

	return opcode[wr->op];
}

void verbs_send_end(struct verbs_qp *qp, struct verbs_wr *wr, uint8_t status)
{
	struct verbs_cqe e = {
		.wr_id = wr->wr_id,
		.qp = qp,
		.qp_num = qp->qp.qp_num,
		.slid = VERBS_NO_AH,
		.vendor_err = status,
		.opcode = wr_opcode(wr),
	};

	wr->dest = NULL;
	verbs_slot_free(qp, wr);
	verbs_cq_push(verbs_cq_of(qp->qp.send_cq), &e);
}

/* --- into nic --- */

static int wr_send(struct verbs_qp *qp, const struct verbs_wr *wr)
{
	int flags = wr->op == VERBS_SEND_IMM ? NIC_SEND_IMM : 0;
	uint64_t id = (uint64_t)(wr - qp->slot);

	if (wr->is_inline)
		return nic_send(wr->dest->nic_ah, id, flags, wr->imm, wr->data,
				wr->inline_len, NULL, 0, 0);
	return nic_send(wr->dest->nic_ah, id, flags, wr->imm, NULL, 0, wr->iov,
			wr->nsge, wr_length(wr));
}

static int wr_rdma(struct verbs_qp *qp, const struct verbs_wr *wr)
{
	static const enum nic_rdma_type types[] = {
		[VERBS_READ] = NIC_READ,
		[VERBS_WRITE] = NIC_WRITE,
		[VERBS_WRITE_IMM] = NIC_WRITE_IMM,
	};
	struct nic_rdma op = {
		.type = types[wr->op],
		.id = (uint64_t)(wr - qp->slot),
		.local = wr->iov[0].iov_base,
		.remote = wr->remote,
		.len = wr->iov[0].iov_len,
		.rkey = wr->rkey,
		.imm = wr->imm,
	};

	return nic_rdma(wr->dest->nic_ah, &op);
}

/* False: it has to wait. */
static bool wr_try(struct verbs_qp *qp, struct verbs_wr *wr)
{
	struct verbs_dest *d = wr->dest;
	int rc = verbs_dest_ready(qp, d);

	if (!rc)
		rc = wr_is_send(wr) ? wr_send(qp, wr) : wr_rdma(qp, wr);
	switch (rc) {
	case 0:
		verbs_send_end(qp, wr, NIC_OK);
		break;
	case 1:
		d->busy++;
		break;
	case -EAGAIN:
		return false;
	default:
		verbs_send_end(qp, wr, rc == -EMSGSIZE ? NIC_TOO_LONG : 2);
	}
	return true;
}

static void wr_wait(struct verbs_qp *qp, struct verbs_wr *wr)
{
	wr->dest->waiting++;
	TAILQ_INSERT_TAIL(&qp->waiting, wr, link);
}

/* Each once, those of one destination in order. */
void verbs_send_again(struct verbs_qp *qp)
{
	struct verbs_wr *wr, *next;
	struct verbs_dest *d;

	qp->pass++;
	for (wr = TAILQ_FIRST(&qp->waiting); wr; wr = next) {
		next = TAILQ_NEXT(wr, link);
		d = wr->dest;
		if (d->full_pass == qp->pass)
			continue;
		if (!wr_try(qp, wr)) {
			d->full_pass = qp->pass;
			continue;
		}
		TAILQ_REMOVE(&qp->waiting, wr, link);
		d->waiting--;
		verbs_dest_put(qp, d);
	}
}

static bool wr_names(const struct verbs_wr *wr, uint32_t lkey)
{
	for (int i = 0; i < wr->nsge; i++)
		if (wr->sge[i].lkey == lkey && wr->sge[i].length)
			return true;
	return false;
}

static void revoke_waiting(struct verbs_qp *qp, uint32_t lkey)
{
	struct verbs_wr *wr, *next;

	for (wr = TAILQ_FIRST(&qp->waiting); wr; wr = next) {
		struct verbs_dest *d = wr->dest;

		next = TAILQ_NEXT(wr, link);
		if (!wr_names(wr, lkey))
			continue;
		TAILQ_REMOVE(&qp->waiting, wr, link);
		d->waiting--;
		verbs_send_end(qp, wr, NIC_BAD_LKEY);
		verbs_dest_put(qp, d);
	}
}

void verbs_send_revoke(struct verbs_qp *qp, uint32_t lkey)
{
	bool found = false;

	revoke_waiting(qp, lkey);
	for (uint32_t i = 0; i < qp->cap.max_send_wr; i++) {
		const struct verbs_wr *wr = &qp->slot[i];

		/* The bytes of sends are copied. */
		if (wr->dest && !wr_is_send(wr) && wr_names(wr, lkey))
			found |= nic_qp_revoke(qp->nic, i);
	}
	if (found)
		verbs_qp_drive_locked(qp);
}

/* --- what the device looks at --- */

#define BAD_AH 4

/* NIC_OK, or the status that the request ends with. */
static uint8_t wr_check(struct verbs_qp *qp, struct verbs_wr *wr)
{
	uint32_t access = wr->op == VERBS_READ ? IBV_ACCESS_LOCAL_WRITE : 0;
	uint64_t max = wr_is_send(wr) ? NIC_MTU : NIC_MAX_RDMA;

	if (wr->ah->pd != qp->qp.pd)
		return BAD_AH;
	if (wr_length(wr) > max)
		return NIC_TOO_LONG;
	for (int i = 0; i < wr->nsge; i++) {
		/* An operation of no bytes needs no key. */
		if (!wr->sge[i].length)
			wr->iov[i] = (struct iovec){ NULL, 0 };
		else if (!verbs_sge_check(qp, &wr->sge[i], access, &wr->iov[i]))
			return NIC_BAD_LKEY;
	}
	return NIC_OK;
}

void verbs_send_submit(struct verbs_qp *qp, struct verbs_wr *wr)
{
	const struct verbs_ah *ah = u_container_of(wr->ah, struct verbs_ah, ah);
	uint8_t status = wr_check(qp, wr);

	atomic_fetch_add_explicit(&qp->sq_used, 1, memory_order_relaxed);
	if (u_unlikely(status)) {
		verbs_send_end(qp, wr, status);
		return;
	}
	wr->dest = verbs_dest_get(qp, ah->gid, wr->qpn, wr->qkey);
	if (u_unlikely(!wr->dest)) {
		verbs_send_end(qp, wr, 2);
		return;
	}
	if (u_unlikely(wr->dest->waiting) || !wr_try(qp, wr))
		wr_wait(qp, wr);
}
