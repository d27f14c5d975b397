/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_bare.c - messages without headers, for peers of libfabric 1.22 to 2.5
 * whose receives are their user's own: they name a second queue pair for that
 * in their HANDSHAKE, and refuse messages with headers
 *
 * So a message is one packet, without tag, number or receipt. One that is sent
 * before the HANDSHAKE would be refused; who may have such peers waits for it
 * (rdm_ep_config.patient).
 */
#include "rdm/rdm_move.h"

#include <errno.h>

#include "util/u_log.h"

U_COLD void rdm_bare_meet(struct rdm_ep *ep, struct rdm_peer *peer,
			  const struct rdm_pkt *pkt)
{
	struct dev_addr addr = peer->addr;

	if (peer->bare || !(pkt->features & RDM_FEATURE_USER_QP) ||
	    !(pkt->flags & RDM_PKT_USER_QP))
		return;
	if (!pkt->aux || pkt->aux > UINT16_MAX) {
		ep->stats.bad_packets++;
		return;
	}
	addr.qpn = pkt->aux;
	addr.qkey = pkt->aux2;
	if (dev_ah_open(ep->qp, &addr, u_pool_id(peer), &peer->bare))
		u_warn("no address handle for queue pair %u of a peer: it will "
		       "refuse messages",
		       addr.qpn);
}

U_COLD int rdm_bare_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_TX, u_pool_id(tx)),
		.ah = tx->peer->bare,
		.op = DEV_SEND,
		.flags = tx->flags & RDM_DATA ? DEV_WR_IMM : 0,
		.imm = (uint32_t)tx->data,
		.iov = tx->iov,
		.iovcnt = (uint16_t)tx->iovcnt,
		.len = tx->len,
	};
	int ret;

	if (tx->flags & (RDM_TAGGED | RDM_DELIVERY))
		return -EOPNOTSUPP;
	if (tx->len > ep->mtu)
		return -EMSGSIZE;
	ret = dev_post(ep->qp, &wr, 1);
	if (ret != 1)
		return ret ? ret : -EAGAIN;
	if (!wr.done)
		tx->wrs++;
	tx->sent = tx->len;
	tx->state = RDM_TX_SENT;
	return 0;
}
