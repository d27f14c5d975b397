/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_recv.c - receives that the user posted, and how they are filled
 *
 * What happens when there is none is for nic_ud.c and nic_srd.c to say.
 */
#include "nic_priv.h"

#include <errno.h>

int nic_post_recvv(struct nic_qp *qp, uint64_t id, const struct iovec *iov,
		   int iovcnt)
{
	struct nic_recv *r;
	size_t len = 0;

	if (qp->type == NIC_QP_RDM || iovcnt < 0 || iovcnt > NIC_RECV_IOV)
		return -EINVAL;
	if (nic_posted(qp) == NIC_RECVS)
		return -EAGAIN;
	r = &qp->recv[qp->recv_tail % NIC_RECVS];
	r->id = id;
	r->niov = (uint16_t)iovcnt;
	r->revoked = false;
	for (int i = 0; i < iovcnt; i++) {
		r->iov[i] = iov[i];
		len += u_min(iov[i].iov_len, INT32_MAX);
	}
	r->len = (uint32_t)len;
	qp->recv_tail++;
	if (qp->type == NIC_QP_SRD)
		nic_srd_posted(qp);
	return 0;
}

int nic_post_recv(struct nic_qp *qp, uint64_t id, void *buf, size_t len)
{
	return nic_post_recvv(qp, id, &(struct iovec){ buf, len }, 1);
}

int nic_recv_at(const struct nic_qp *qp, uint32_t nth, uint64_t *id)
{
	if (nth >= nic_posted(qp))
		return -ENOENT;
	*id = qp->recv[(qp->recv_head + nth) % NIC_RECVS].id;
	return 0;
}

void nic_recv_revoke(struct nic_qp *qp, uint32_t nth)
{
	assert(nth < nic_posted(qp));
	qp->recv[(qp->recv_head + nth) % NIC_RECVS].revoked = true;
}

int nic_unpost_recv(struct nic_qp *qp, uint64_t *id)
{
	if (!nic_posted(qp))
		return -ENOENT;
	*id = nic_recv_next(qp)->id;
	qp->recv_head++;
	if (qp->type == NIC_QP_SRD)
		nic_srd_unposted(qp);
	return 0;
}

bool nic_recv_payload(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		      struct nic_arrival *a)
{
	struct nic_pkt_imm imm = { 0 };
	uint32_t skip = 0;

	if (pkt->word == NIC_PKT_SEND_IMM) {
		skip = sizeof(imm);
		if (!nic_pkt_header(pkt, &imm, sizeof(imm)))
			return false;
	} else if (pkt->word != NIC_PKT_SEND) {
		return false;
	}
	if (pkt->len - skip > NIC_MTU)
		return false;
	*a = (struct nic_arrival){
		.data = (const char *)pkt->data + skip,
		.len = pkt->len - skip,
		.source = nic_lane_source(qp, pkt->lane),
		.imm = imm.imm,
		.op = NIC_WC_RECV,
		.has_imm = pkt->word == NIC_PKT_SEND_IMM,
	};
	return true;
}

U_COLD int nic_recv_refuse(struct nic_qp *qp, const struct nic_arrival *a,
			   enum nic_status status, struct nic_wc *wc)
{
	*wc = (struct nic_wc){
		.id = nic_recv_next(qp)->id,
		.source = a->source,
		.op = NIC_WC_RECV,
		.status = (uint8_t)status,
	};
	qp->recv_head++;
	return 1;
}

/* More than one element, or a prefix that no single one holds with the rest. */
static U_COLD void recv_scatter(const struct nic_recv *r, uint32_t skip,
				const uint8_t *data, uint32_t len)
{
	for (uint32_t i = 0; i < r->niov && len; i++) {
		uint8_t *to = r->iov[i].iov_base;
		size_t room = r->iov[i].iov_len;
		size_t n = u_min(skip, room);

		skip -= (uint32_t)n;
		to += n;
		n = u_min(len, room - n);
		memcpy(to, data, n);
		data += n;
		len -= (uint32_t)n;
	}
}

void nic_recv_fill(struct nic_qp *qp, const struct nic_arrival *a,
		   uint32_t skip, struct nic_wc *wc)
{
	const struct nic_recv *r = nic_recv_next(qp);
	uint32_t len = a->op == NIC_WC_RECV ? a->len : 0;

	assert(len + skip <= r->len || !len);
	if (skip)
		memset(r->iov[0].iov_base, 0, skip);
	if (u_unlikely(r->niov > 1))
		recv_scatter(r, skip, a->data, len);
	else if (len)
		memcpy((uint8_t *)r->iov[0].iov_base + skip, a->data, len);
	*wc = (struct nic_wc){
		.id = r->id,
		.len = a->len + skip,
		.source = a->source,
		.imm = a->imm,
		.op = a->op,
		.has_imm = a->has_imm,
	};
	qp->recv_head++;
}
