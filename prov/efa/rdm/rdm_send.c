/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_send.c - from the user's send to its first packet
 *
 * An eager message to a peer that has shaken hands is the hot path, and reads
 * top-down in rdm_send: look up the peer, write the header, post. Everything
 * else goes through send_slow, which chooses the protocol by length.
 */
#include "rdm/rdm_move.h"

#include <errno.h>
#include <string.h>

#include "util/u_bytes.h"

/* The header of an eager request after the handshake; returns its length. */
static inline uint32_t eager_hdr(uint8_t *hdr, const struct rdm_send *op,
				 uint32_t msg_id, uint32_t connid)
{
	bool tagged = op->flags & RDM_TAGGED;
	uint32_t word = tagged ? RDM_PKT_EAGER_TAG : RDM_PKT_EAGER_MSG;
	uint32_t len = 8;

	u_put32(hdr + 4, msg_id);
	if (tagged) {
		u_put64(hdr + 8, op->tag);
		len = 16;
	}
	if (op->flags & RDM_DATA) {
		word |= RDM_PKT_EAGER_DATA;
		u_put64(hdr + len, op->data);
		len += 8;
	}
	u_put32(hdr, word);
	u_put32(hdr + len, connid);
	return len + 4;
}

static void send_done(struct rdm_ep *ep, const struct rdm_send *op,
		      uint64_t len)
{
	struct rdm_comp comp;

	rdm_count(ep, RDM_CNTR_SEND, true);
	if (!(op->flags & RDM_COMPLETION))
		return;
	comp = (struct rdm_comp){
		.context = op->context,
		.len = len,
		.tag = op->tag,
		.source = RDM_ADDR_NONE,
		.kind = RDM_COMP_SEND,
		.flags = op->flags & RDM_TAGGED ? RDM_COMP_TAGGED : 0,
	};
	rdm_cq_push(ep->config.tx_cq, &comp);
}

/* The device needs the operation for longer: make it a full one. */
static U_COLD void eager_keep(struct rdm_peer *peer, struct rdm_tx *tx,
			      const struct rdm_send *op, uint64_t len)
{
	/* Its bytes are copied, so a region that it names may go. */
	rdm_tx_init(tx, peer, op, len);
	tx->wrs = 1;
	peer->tx_msg_id++;
}

/*
 * Posts a message of one packet. The operation is taken from the pool first,
 * for its id, and given back when the device was done at once.
 */
static inline int send_eager(struct rdm_ep *ep, struct rdm_peer *peer,
			     const struct rdm_send *op, uint64_t len,
			     const void *hdr, uint32_t hdr_len)
{
	struct rdm_tx *tx = u_pool_get(&ep->txs);
	struct dev_wr wr;
	int ret;

	if (u_unlikely(!tx))
		return -EAGAIN;
	wr.id = rdm_wr_id(RDM_WR_TX, u_pool_id(tx));
	wr.ah = peer->ah;
	wr.hdr = hdr;
	wr.iov = op->iov;
	wr.hdr_len = hdr_len;
	wr.iovcnt = (uint16_t)op->iovcnt;
	wr.op = DEV_SEND;
	wr.flags = DEV_WR_REQUEST;
	wr.mr = NULL;
	wr.len = len;
	wr.done = false;
	ret = dev_post(ep->qp, &wr, 1);
	if (u_likely(ret == 1 && wr.done)) {
		u_pool_put(&ep->txs, tx);
		peer->tx_msg_id++;
		send_done(ep, op, len);
		return 0;
	}
	if (ret != 1) {
		u_pool_put(&ep->txs, tx);
		return ret ? ret : -EAGAIN;
	}
	eager_keep(peer, tx, op, len);
	return 0;
}

int rdm_send_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_peer *peer = tx->peer;
	int ret;

	if (u_unlikely(peer->bare != NULL))
		return rdm_bare_start(ep, tx);
	if (tx->len >= ep->config.read_min && peer->shaken &&
	    !(tx->flags & RDM_INJECT) && rdm_can_read(ep, peer)) {
		ret = rdm_longread_start(ep, tx);
		if (ret != -ENOMEM)
			return ret;
	}
	if ((tx->flags & RDM_DELIVERY) && !rdm_can_deliver(ep, peer))
		return -EOPNOTSUPP;
	ret = rdm_eager_start(ep, tx);
	if (ret != -EMSGSIZE)
		return ret;
	if (tx->flags & RDM_INJECT)
		return -EMSGSIZE;
	if (tx->len <= ep->config.medium_max)
		return rdm_medium_start(ep, tx);
	tx->type = rdm_bulk_type(tx, rdm_longcts_types);
	return rdm_longcts_start(ep, tx);
}

/* The peer may want it without headers. */
static U_COLD int send_early(struct rdm_ep *ep, struct rdm_tx *tx)
{
	if (!(tx->flags & RDM_INJECT))
		return rdm_park(ep, tx);
	if (tx->len > ep->mtu)
		return -EMSGSIZE;
	return rdm_tx_copy(tx) ? -ENOMEM : rdm_park(ep, tx);
}

static __attribute__((noinline)) int send_slow(struct rdm_ep *ep,
					       struct rdm_peer *peer,
					       const struct rdm_send *op,
					       uint64_t len)
{
	struct rdm_tx *tx = u_pool_get(&ep->txs);
	int ret;

	if (!tx)
		return -EAGAIN;
	rdm_tx_init(tx, peer, op, len);
	ep->names |= op->mr != NULL;
	if (op->flags & RDM_INJECT)
		tx->flags &= ~(uint32_t)RDM_DELIVERY;
	ret = ep->config.patient && !peer->shaken ? send_early(ep, tx) :
						    rdm_send_start(ep, tx);
	if (ret) {
		rdm_tx_free(ep, tx);
		return ret;
	}
	peer->tx_msg_id++;
	if (tx->state == RDM_TX_SENDING && !rdm_bulk_resume(ep, tx))
		rdm_tx_queue(ep, tx);
	else
		rdm_tx_settle(ep, tx);
	return 0;
}

int rdm_send(struct rdm_ep *ep, const struct rdm_send *op)
{
	struct rdm_peer *peer = rdm_peer_at(ep, op->to);
	uint8_t hdr[RDM_PKT_EAGER_HDR_MAX];
	uint32_t hdr_len;
	uint64_t len;

	if (u_unlikely(!peer))
		return -EINVAL;
	len = op->iovcnt == 1 ? op->iov[0].iov_len :
				rdm_iov_len(op->iov, op->iovcnt);
	if (u_likely(len <= ep->eager_max && peer->eager &&
		     !(op->flags & RDM_DELIVERY))) {
		hdr_len =
			eager_hdr(hdr, op, peer->tx_msg_id, ep->qp->addr.qkey);
		return send_eager(ep, peer, op, len, hdr, hdr_len);
	}
	return send_slow(ep, peer, op, len);
}

bool rdm_is_settled(struct rdm_ep *ep, uint64_t to)
{
	const struct rdm_peer *peer = rdm_peer_at(ep, to);

	return !peer || TAILQ_EMPTY(&peer->txs);
}
