/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_ud.c - datagrams into receives that the user posted
 *
 * Records stay in their lanes until a receive is posted for them, so a slow
 * reader holds its senders back instead of losing packets; a sender waits
 * only so long for a reader that does not come.
 */
#include "nic_priv.h"

#include <errno.h>

/* How long a full ring is taken for slow, before it is taken for deserted. */
#define UD_PATIENCE (10 * U_MSEC)

int nic_post_recv(struct nic_qp *qp, uint64_t id, void *buf, size_t len)
{
	if (qp->type != NIC_QP_UD)
		return -EINVAL;
	if (nic_ud_posted(qp) == NIC_RECVS)
		return -EAGAIN;
	qp->recv[qp->recv_tail++ % NIC_RECVS] = (struct nic_recv){
		.id = id,
		.buf = buf,
		.len = len,
	};
	return 0;
}

/* The payload of a record, or false: it is none. */
static bool ud_payload(const struct wire_shm_pkt *pkt, const char **data,
		       uint32_t *len, struct nic_pkt_imm *imm)
{
	uint32_t skip = 0;

	if (pkt->word == NIC_PKT_SEND_IMM) {
		skip = sizeof(*imm);
		if (!nic_pkt_header(pkt, imm, sizeof(*imm)))
			return false;
	} else if (pkt->word != NIC_PKT_SEND) {
		return false;
	}
	*data = (const char *)pkt->data + skip;
	*len = pkt->len - skip;
	return *len <= NIC_MTU;
}

/* A packet that does not fit leaves the receive posted. */
int nic_ud_take(struct nic_qp *qp, const struct nic_ud_packet *p,
		struct nic_wc *wc)
{
	const struct nic_recv *r = &qp->recv[qp->recv_head % NIC_RECVS];

	if (p->len > NIC_MTU)
		return nic_bad_packet(qp);
	if (!nic_ud_posted(qp) || r->len < NIC_UD_PREFIX ||
	    p->len > r->len - NIC_UD_PREFIX) {
		qp->stats.ud_dropped++;
		return 0;
	}
	memset(r->buf, 0, NIC_UD_PREFIX);
	memcpy(r->buf + NIC_UD_PREFIX, p->data, p->len);
	*wc = (struct nic_wc){
		.id = r->id,
		.len = p->len + NIC_UD_PREFIX,
		.source = p->source,
		.imm = p->imm,
		.op = NIC_WC_RECV,
		.has_imm = p->has_imm,
	};
	qp->recv_head++;
	return 1;
}

static int ud_deliver(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		      struct nic_wc *wc)
{
	struct nic_pkt_imm imm = { 0 };
	const char *data;
	uint32_t len;

	if (!ud_payload(pkt, &data, &len, &imm))
		return nic_bad_packet(qp);
	return nic_ud_take(qp,
			   &(struct nic_ud_packet){
				   .data = data,
				   .len = len,
				   .source = nic_lane_source(qp, pkt->lane),
				   .imm = imm.imm,
				   .has_imm = pkt->word == NIC_PKT_SEND_IMM,
			   },
			   wc);
}

int nic_ud_poll(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	int max = (int)u_min(nic_ud_posted(qp), NIC_BURST);
	int m, k = 0;

	max = n < max ? n : max;
	m = max ? wire_shm_poll(qp->shm, qp->pkt, max) : 0;
	if (!m)
		return 0;
	qp->epoch = (uint32_t)qp->shm_stats->lanes_opened;
	for (int i = 0; i < m; i++)
		k += ud_deliver(qp, &qp->pkt[i], &wc[k]);
	wire_shm_give_back(qp->shm);
	return k;
}

int nic_ud_full(struct nic_ah *ah)
{
	uint64_t now = u_now();

	if (!ah->full_since || ah->full_at != ah->tx_packets) {
		ah->full_since = now;
		ah->full_at = ah->tx_packets;
	}
	return now - ah->full_since > UD_PATIENCE ? 0 : -EAGAIN;
}
