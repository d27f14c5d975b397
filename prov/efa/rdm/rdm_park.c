/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_park.c - operations that need to know the peer's features: they ask for
 * its HANDSHAKE (a write request of nothing), wait on peer->parked and begin
 * once it has come
 */
#include "rdm/rdm_move.h"

#include <errno.h>

/*
 * It asks for the operation, which fails with the packet when the peer cannot
 * be reached; but as no packet of it, since the peer hears of none by that.
 */
int rdm_park(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_pkt pkt = { .type = RDM_PKT_EAGER_RTW };
	uint8_t hdr[RDM_PKT_HDR_MAX];
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_ASK, u_pool_id(tx)),
		.ah = tx->peer->ah,
		.op = DEV_SEND,
		.hdr = hdr,
	};
	int ret;

	rdm_pkt_identity(ep, tx->peer, &pkt);
	wr.hdr_len = rdm_pkt_build(hdr, &pkt);
	ret = dev_post(ep->qp, &wr, 1);
	if (ret != 1)
		return ret ? ret : -EAGAIN;
	if (!wr.done)
		tx->wrs++;
	tx->state = RDM_TX_PARKED;
	TAILQ_INSERT_TAIL(&tx->peer->parked, tx, queue);
	return 0;
}
