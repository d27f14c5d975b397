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

/* A packet that does not fit leaves the receive posted. */
int nic_ud_take(struct nic_qp *qp, const struct nic_arrival *a,
		struct nic_wc *wc)
{
	const struct nic_recv *r = nic_recv_next(qp);

	if (a->len > NIC_MTU)
		return nic_bad_packet(qp);
	if (u_unlikely(nic_posted(qp) && r->revoked))
		return nic_recv_refuse(qp, a, NIC_BAD_LKEY, wc);
	if (!nic_posted(qp) || !r->niov || r->iov[0].iov_len < NIC_UD_PREFIX ||
	    a->len > r->len - NIC_UD_PREFIX) {
		qp->stats.ud_dropped++;
		return 0;
	}
	nic_recv_fill(qp, a, NIC_UD_PREFIX, wc);
	return 1;
}

static int ud_deliver(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		      struct nic_wc *wc)
{
	struct nic_arrival a;

	if (!nic_recv_payload(qp, pkt, &a))
		return nic_bad_packet(qp);
	return nic_ud_take(qp, &a, wc);
}

int nic_ud_poll(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	int max = (int)u_min(nic_posted(qp), NIC_BURST);
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
