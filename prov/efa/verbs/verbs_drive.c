/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_drive.c - from nic into the rings of completion queues
 */
#include "verbs_priv.h"

#define BURST 32
/* Turns of a queue pair that is armed and still has something to poll. */
#define TURNS 64

static bool is_end_of_peer(uint8_t status)
{
	return status == NIC_NO_QP || status == NIC_PEER_RESET ||
	       status == NIC_UNREACHABLE || status == NIC_UNRESPONSIVE;
}

static void drive_sent(struct verbs_qp *qp, const struct nic_wc *wc)
{
	struct verbs_wr *wr = &qp->slot[wc->id];
	struct verbs_dest *d = wr->dest;

	d->busy--;
	d->stale |= is_end_of_peer(wc->status);
	verbs_send_end(qp, wr, wc->status);
	verbs_dest_put(qp, d);
}

static void drive_received(struct verbs_qp *qp, const struct nic_wc *wc)
{
	const struct verbs_source *s = verbs_source_of(qp, wc->source);
	struct verbs_cqe e = {
		.wr_id = wc->id,
		.qp = qp,
		.byte_len = wc->len,
		.imm = wc->imm,
		.qp_num = qp->qp.qp_num,
		.slid = VERBS_NO_AH,
		.vendor_err = wc->status,
		.opcode = wc->op == NIC_WC_RECV ? IBV_WC_RECV :
						  IBV_WC_RECV_RDMA_WITH_IMM,
		.has_imm = wc->has_imm,
		.is_recv = true,
	};

	qp->posted--;
	if (s) {
		e.src_qp = s->qpn;
		e.slid = s->ahn;
		memcpy(e.gid, s->gid, sizeof(e.gid));
	}
	verbs_cq_push(verbs_cq_of(qp->qp.recv_cq), &e);
}

static void drive_wc(struct verbs_qp *qp, const struct nic_wc *wc)
{
	switch ((enum nic_wc_op)wc->op) {
	case NIC_WC_SEND:
	case NIC_WC_READ:
	case NIC_WC_WRITE:
		drive_sent(qp, wc);
		break;
	case NIC_WC_RECV:
	case NIC_WC_WRITTEN:
		drive_received(qp, wc);
		break;
	case NIC_WC_GONE:
		((struct verbs_dest *)(uintptr_t)wc->id)->stale = true;
		break;
	}
}

void verbs_qp_drive_locked(struct verbs_qp *qp)
{
	struct nic_wc wc[BURST];
	bool more = true;
	int n;

	for (int i = 0; i < TURNS && more; i++) {
		n = nic_poll(qp->nic, wc, BURST);
		for (int k = 0; k < n; k++)
			drive_wc(qp, &wc[k]);
		if (u_unlikely(!TAILQ_EMPTY(&qp->waiting)))
			verbs_send_again(qp);
		more = verbs_channel_arm(qp);
	}
	if (more)
		verbs_channel_call(qp);
}

void verbs_qp_drive(struct verbs_qp *qp)
{
	u_lock(&qp->lock);
	qp->polls++;
	verbs_qp_drive_locked(qp);
	u_unlock(&qp->lock);
}

/* --- flushing --- */

static void flush_receives(struct verbs_qp *qp, bool told)
{
	struct verbs_cqe e = {
		.qp = qp,
		.qp_num = qp->qp.qp_num,
		.slid = VERBS_NO_AH,
		.vendor_err = NIC_FLUSHED,
		.opcode = IBV_WC_RECV,
		.is_recv = true,
	};

	while (!nic_unpost_recv(qp->nic, &e.wr_id)) {
		qp->posted--;
		if (told)
			verbs_cq_push(verbs_cq_of(qp->qp.recv_cq), &e);
		else
			verbs_cqe_free(&e);
	}
}

static void flush_sends(struct verbs_qp *qp, bool told)
{
	for (uint32_t i = 0; i < qp->cap.max_send_wr; i++) {
		struct verbs_wr *wr = &qp->slot[i];

		if (!wr->dest)
			continue;
		if (told) {
			verbs_send_end(qp, wr, NIC_FLUSHED);
			continue;
		}
		wr->dest = NULL;
		verbs_slot_free(qp, wr);
		atomic_fetch_sub(&qp->sq_used, 1);
	}
	TAILQ_INIT(&qp->waiting);
}

void verbs_qp_flush(struct verbs_qp *qp, bool told)
{
	verbs_dest_close_all(qp);
	flush_sends(qp, told);
	flush_receives(qp, told);
}
