/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_far_op.c - sends and RDMA to other hosts, from post to completion
 */
#include "nic_far.h"

#include <errno.h>
#include <string.h>

#include "nic_gid.h"
#include "nic_priv.h"
#include "util/u_log.h"

static struct nic_far_op *op_new(struct nic_ah *ah, uint64_t id,
				 enum nic_wc_op wc_op)
{
	struct nic_far_op *op = u_pool_get(&ah->qp->far_ops);

	if (!op)
		return NULL;
	*op = (struct nic_far_op){ .id = id,
				   .ah = ah,
				   .wc_op = (uint8_t)wc_op };
	TAILQ_INSERT_TAIL(&ah->far_ops, op, link);
	return op;
}

static void op_free(struct nic_qp *qp, struct nic_far_op *op)
{
	if (op->ah)
		TAILQ_REMOVE(&op->ah->far_ops, op, link);
	u_pool_put(&qp->far_ops, op);
}

/* What was posted leaves. */
static void far_start(struct nic_far *far, uint64_t now)
{
	if (u_unlikely(far->mode != NIC_FAR_POLLED))
		nic_far_take_over(far, now);
	nic_far_flush(far, now);
	far->qp->far_quiet = 0;
}

/* --- datagrams --- */

static int far_datagram(struct nic_ah *ah, int flags, uint32_t imm,
			const struct iovec *iov, int iovcnt, size_t len)
{
	struct nic_far *far = &ah->qp->far;
	const struct wire_shm_id *id = &ah->path->id;
	struct srd_addr to = { .qpn = id->qpn, .connid = id->connid };
	uint8_t hdr[SRD_HDR_MAX], data[NIC_MTU];
	struct wire_out out;
	uint64_t now = u_now();
	size_t at = 0;

	memcpy(to.gid, id->gid, sizeof(to.gid));
	for (int i = 0; i < iovcnt; i++) {
		/* A header that is not there has no address. */
		if (!iov[i].iov_len)
			continue;
		memcpy(data + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	u_lock(&far->lock);
	out = (struct wire_out){
		.gid = to.gid,
		.qpn = to.qpn,
		.key = to.connid,
		.hdr_len = (uint16_t)srd_datagram(
			far->srd, &to, flags & NIC_SEND_IMM, imm,
			&(struct iovec){ data, len }, 1, hdr, now),
		.data_len = (uint16_t)len,
		.fragment = true,
		.hdr = hdr,
		.data = data,
	};
	nic_far_put(far, &out, 1, now);
	u_unlock(&far->lock);
	ah->tx_packets++;
	return 0;
}

/* --- sends --- */

static int far_post_send(struct nic_ah *ah, struct srd_send *send, uint64_t id)
{
	struct nic_far *far = &ah->qp->far;
	struct nic_far_op *op = op_new(ah, id, NIC_WC_SEND);
	uint64_t now = u_now();
	int rc;

	if (!op)
		return -EAGAIN;
	send->id = u_pool_id(op);
	u_lock(&far->lock);
	rc = srd_send(far->srd, ah->path->peer, send, now);
	far_start(far, now);
	u_unlock(&far->lock);
	if (rc) {
		op_free(ah->qp, op);
		return rc;
	}
	ah->tx_packets++;
	return 1;
}

int nic_far_send(struct nic_ah *ah, uint64_t id, int flags, uint32_t imm,
		 const void *hdr, size_t hdr_len, const struct iovec *iov,
		 int iovcnt, size_t len)
{
	struct srd_send send = {
		.hdr = hdr,
		.hdr_len = hdr_len,
		.iov = iov,
		.iovcnt = iovcnt,
		.len = len,
		.has_imm = flags & NIC_SEND_IMM,
		.request = flags & NIC_SEND_REQUEST,
		.imm = imm,
	};
	struct iovec all[NIC_IOV_MAX + 1];

	if (ah->qp->type != NIC_QP_UD)
		return far_post_send(ah, &send, id);
	if (iovcnt > NIC_IOV_MAX)
		return -EINVAL;
	all[0] = (struct iovec){ (void *)(uintptr_t)hdr, hdr_len };
	for (int i = 0; i < iovcnt; i++)
		all[i + 1] = iov[i];
	return far_datagram(ah, flags, imm, all, iovcnt + 1, hdr_len + len);
}

/* --- RDMA --- */

int nic_far_rdma(struct nic_ah *ah, const struct nic_rdma *r)
{
	static const enum srd_rdma_type types[] = {
		[NIC_READ] = SRD_READ,
		[NIC_WRITE] = SRD_WRITE,
		[NIC_WRITE_IMM] = SRD_WRITE_IMM,
	};
	struct nic_far *far = &ah->qp->far;
	struct nic_far_op *op = op_new(
		ah, r->id, r->type == NIC_READ ? NIC_WC_READ : NIC_WC_WRITE);
	struct srd_rdma rdma = {
		.type = types[r->type],
		.local = r->local,
		.remote = r->remote,
		.len = r->len,
		.rkey = r->rkey,
		.imm = r->imm,
	};
	uint64_t now = u_now();
	int rc;

	if (!op)
		return -EAGAIN;
	assert(ah->path->peer);
	rdma.id = u_pool_id(op);
	u_lock(&far->lock);
	rc = srd_rdma(far->srd, ah->path->peer, &rdma, now, &op->srd_op);
	far_start(far, now);
	u_unlock(&far->lock);
	if (rc) {
		op_free(ah->qp, op);
		return rc;
	}
	ah->qp->stats.rdma_bytes += r->len;
	return 1;
}

/* --- completions --- */

static void far_tell_end(struct nic_qp *qp, const struct srd_done *d,
			 const struct wire_shm_id *id)
{
	struct srd_peer_stats s;
	char text[NIC_GID_TEXT];

	srd_peer_stats(qp->far.srd, d->peer, &s);
	u_info("%s queue pair %u has ended (status %u): round trip %llu us, the "
	       "last %llu, at best %llu; queueing %llu us; window %u bytes, "
	       "credit %u; %llu bytes a second; %llu packets sent again",
	       nic_gid_text(id->gid, text), id->qpn, d->status,
	       (unsigned long long)(s.srtt / U_USEC),
	       (unsigned long long)(s.last_rtt / U_USEC),
	       (unsigned long long)(s.base_rtt / U_USEC),
	       (unsigned long long)(s.queueing / U_USEC), s.cwnd, s.credit,
	       (unsigned long long)s.rate, (unsigned long long)s.resent);
}

/*
 * A conversation has ended. One that is silent begins anew once its peer is
 * heard: that is our user's end of it only where he reaches the peer by it, and
 * only on an RDM queue pair, as a card has no memory. Then it must not live on
 * by half. An end that the peer has told is one for whatever way we have to it.
 */
static void far_gone(struct nic_qp *qp, const struct srd_done *d)
{
	const struct srd_addr *addr = srd_peer_addr(d->peer);
	struct wire_shm_id id = { .qpn = addr->qpn, .connid = addr->connid };
	bool silent = d->status == SRD_UNRESPONSIVE;
	struct nic_path *p;

	memcpy(id.gid, addr->gid, sizeof(id.gid));
	far_tell_end(qp, d, &id);
	p = nic_path_find(qp, &id);
	if (!p || (p->state != NIC_PATH_FAR && p->state != NIC_PATH_LIVE))
		return;
	if (silent && (p->state == NIC_PATH_LIVE || qp->type != NIC_QP_RDM))
		return;
	if (silent)
		srd_give_up(qp->far.srd, d->peer);
	nic_path_end(p);
	nic_path_settle(p);
}

void nic_far_give_up(struct nic_path *p)
{
	struct nic_far *far = &p->qp->far;
	struct srd_addr addr = { .qpn = p->id.qpn, .connid = p->id.connid };
	struct srd_peer *peer;

	if (p->qp->type != NIC_QP_RDM)
		return;
	memcpy(addr.gid, p->id.gid, sizeof(addr.gid));
	u_lock(&far->lock);
	peer = far->srd ? srd_peer_known(far->srd, &addr) : NULL;
	if (peer)
		srd_give_up(far->srd, peer);
	u_unlock(&far->lock);
}

static U_COLD void far_failed(struct nic_path *p, uint8_t status)
{
	if (status == SRD_UNREACHABLE)
		nic_path_tell_unreachable(p);
	nic_path_settle(p);
}

static int far_complete(struct nic_qp *qp, const struct srd_done *d,
			struct nic_wc *wc)
{
	struct nic_far_op *op;
	struct nic_ah *ah;

	if (d->kind == SRD_DONE_GONE) {
		far_gone(qp, d);
		return 0;
	}
	op = u_pool_at(&qp->far_ops, (uint32_t)d->id);
	if (!op)
		return 0; /* forgotten after it had ended */
	ah = op->ah;
	if (ah)
		*wc = (struct nic_wc){
			.id = op->id,
			.op = op->wc_op,
			.status = d->status,
			.source = NIC_SOURCE_UNKNOWN,
		};
	op_free(qp, op);
	if (u_unlikely(d->status != SRD_OK) && ah)
		far_failed(ah->path, d->status);
	return ah != NULL;
}

int nic_far_done(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	struct srd_done done[NIC_FAR_BURST];
	int max = n < NIC_FAR_BURST ? n : NIC_FAR_BURST;
	int m = srd_done(qp->far.srd, done, max);
	int k = 0;

	for (int i = 0; i < m; i++)
		k += far_complete(qp, &done[i], &wc[k]);
	return k;
}

bool nic_far_revoke(struct nic_qp *qp, uint64_t id)
{
	struct nic_far *far = &qp->far;
	struct nic_far_op *op;
	uint32_t cursor = 0;
	bool found = false;

	while ((op = u_pool_next(&qp->far_ops, &cursor))) {
		if (!op->ah || op->id != id || op->wc_op == NIC_WC_SEND)
			continue;
		u_lock(&far->lock);
		found |= srd_revoke(far->srd, op->srd_op, u_now());
		u_unlock(&far->lock);
	}
	return found;
}

void nic_far_forget(struct nic_ah *ah)
{
	struct nic_far *far = &ah->qp->far;
	struct nic_far_op *op;

	if (TAILQ_EMPTY(&ah->far_ops))
		return;
	u_lock(&far->lock);
	while ((op = TAILQ_FIRST(&ah->far_ops))) {
		TAILQ_REMOVE(&ah->far_ops, op, link);
		op->ah = NULL;
		if (op->wc_op == NIC_WC_SEND)
			continue;
		srd_abort(far->srd, op->srd_op, u_now());
		u_pool_put(&ah->qp->far_ops, op);
	}
	u_unlock(&far->lock);
}
