/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_atomic.c - atomics of our user: a request out, its result back
 *
 * An atomic is one packet and has a message number, so that it is carried out
 * in turn with all other messages and atomics to the peer. It waits for no
 * handshake. The operands go out as part of the header, which the device
 * copies: the user has the memory back at once, and lists of any shape are one
 * piece. rdm_atomic_in.c is the other side.
 */
#include "rdm/rdm_atomic_op.h"

#include <errno.h>
#include <string.h>

#include "rdm/rdm_move.h"

/* What headers take at most of a packet, in limits shown to users. */
#define HDR_RESERVE 152

size_t rdm_atomic_max(uint32_t mtu)
{
	return mtu - HDR_RESERVE;
}

static uint8_t type_of(const struct rdm_atomic *op)
{
	switch (op->kind) {
	case RDM_ATOMIC_FETCH:
		return RDM_PKT_FETCH_RTA;
	case RDM_ATOMIC_COMPARE:
		return RDM_PKT_COMPARE_RTA;
	case RDM_ATOMIC_BASE:
		break;
	}
	return op->flags & RDM_DELIVERY ? RDM_PKT_DC_WRITE_RTA :
					  RDM_PKT_WRITE_RTA;
}

/* ---- what is asked for --------------------------------------------------- */

static bool is_whole(const struct iovec *iov, uint32_t n, uint64_t len,
		     uint32_t size)
{
	for (uint32_t i = 0; i < n; i++)
		if (iov[i].iov_len % size)
			return false;
	return n <= RDM_IOV_MAX && rdm_iov_len(iov, n) == len;
}

/* Writes the bytes of the target, and so of each list. */
static int check(const struct rdm_ep *ep, const struct rdm_atomic *op,
		 uint64_t *bytes)
{
	uint64_t max = rdm_atomic_max(ep->mtu);
	uint32_t size = rdm_atomic_size(op->type);
	uint64_t len = 0;

	if (!rdm_atomic_valid(op->kind, op->op, op->type))
		return -EOPNOTSUPP;
	if (!op->targetcnt || op->targetcnt > RDM_PKT_IOV_MAX)
		return -EINVAL;
	if (op->kind == RDM_ATOMIC_COMPARE)
		max /= 2;
	for (uint32_t i = 0; i < op->targetcnt; i++) {
		if (op->target[i].len % size)
			return -EINVAL;
		if (op->target[i].len > max - len)
			return -EMSGSIZE;
		len += op->target[i].len;
	}
	if (op->op != RDM_ATOMIC_READ &&
	    !is_whole(op->iov, op->iovcnt, len, size))
		return -EINVAL;
	if (op->kind != RDM_ATOMIC_BASE &&
	    !is_whole(op->result, op->resultcnt, len, size))
		return -EINVAL;
	if (op->kind == RDM_ATOMIC_COMPARE &&
	    !is_whole(op->compare, op->comparecnt, len, size))
		return -EINVAL;
	*bytes = len;
	return 0;
}

/* ---- the packet ---------------------------------------------------------- */

static uint8_t *gather(uint8_t *at, const struct iovec *iov, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (iov[i].iov_len)
			memcpy(at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	return at;
}

/* The whole packet in ep->scratch; its length, 0 when it does not fit. */
static uint32_t build(struct rdm_ep *ep, const struct rdm_tx *tx,
		      const struct rdm_atomic *op)
{
	uint64_t len = tx->len * (op->kind == RDM_ATOMIC_COMPARE ? 2 : 1);
	struct rdm_pkt pkt = {
		.type = tx->type,
		.msg_id = tx->msg_id,
		.send_id = u_pool_id(tx),
		.recv_id = u_pool_id(tx),
		.aux = op->op,
		.aux2 = op->type,
		.rma_iovcnt = op->targetcnt,
	};
	uint32_t hdr_len;
	uint8_t *at;

	for (uint32_t i = 0; i < op->targetcnt; i++)
		pkt.rma_iov[i] = (struct rdm_pkt_iov){ op->target[i].addr,
						       op->target[i].len,
						       op->target[i].key };
	rdm_pkt_identity(ep, tx->peer, &pkt);
	hdr_len = rdm_pkt_hdr_len(&pkt);
	if (len > ep->mtu - hdr_len)
		return 0;
	rdm_pkt_build(ep->scratch, &pkt);
	at = ep->scratch + hdr_len;
	if (op->op == RDM_ATOMIC_READ)
		memset(at, 0, len);
	else
		at = gather(at, op->iov, op->iovcnt);
	if (op->kind == RDM_ATOMIC_COMPARE)
		gather(at, op->compare, op->comparecnt);
	return hdr_len + (uint32_t)len;
}

static int post(struct rdm_ep *ep, struct rdm_tx *tx,
		const struct rdm_atomic *op)
{
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_TX, u_pool_id(tx)),
		.ah = tx->peer->ah,
		.op = DEV_SEND,
		.hdr = ep->scratch,
		.hdr_len = build(ep, tx, op),
	};
	int ret;

	if (!wr.hdr_len)
		return -EMSGSIZE;
	ret = dev_post(ep->qp, &wr, 1);
	if (ret != 1)
		return ret ? ret : -EAGAIN;
	if (wr.done)
		tx->acked = true;
	else
		tx->wrs++;
	return 0;
}

/* ---- the operation ------------------------------------------------------- */

/* What the operation keeps of the user's memory is where results go. */
static void tx_fill(struct rdm_tx *tx, struct rdm_peer *peer,
		    const struct rdm_atomic *op, uint64_t len)
{
	bool fetch = op->kind != RDM_ATOMIC_BASE;
	const struct rdm_send send = {
		.iov = op->result,
		.iovcnt = fetch ? op->resultcnt : 0,
		.mr = op->result_mr,
		.flags = op->flags,
		.context = op->context,
	};

	rdm_tx_init(tx, peer, &send, len);
	tx->kind = fetch ? RDM_TX_FETCH : RDM_TX_ATOMIC;
	tx->type = type_of(op);
	tx->wait_done = tx->type != RDM_PKT_WRITE_RTA;
}

int rdm_atomic(struct rdm_ep *ep, const struct rdm_atomic *op)
{
	struct rdm_peer *peer = rdm_peer_at(ep, op->to);
	struct rdm_tx *tx;
	uint64_t len = 0;
	int ret;

	if (!peer)
		return -EINVAL;
	ret = check(ep, op, &len);
	if (ret)
		return ret;
	if (type_of(op) == RDM_PKT_DC_WRITE_RTA && !rdm_can_deliver(ep, peer))
		return -EOPNOTSUPP;
	tx = u_pool_get(&ep->txs);
	if (!tx)
		return -EAGAIN;
	tx_fill(tx, peer, op, len);
	ep->names |= op->result_mr != NULL;
	ret = post(ep, tx, op);
	if (ret) {
		rdm_tx_free(ep, tx);
		return ret;
	}
	peer->tx_msg_id++;
	rdm_tx_settle(ep, tx);
	return 0;
}

/* ---- the result ---------------------------------------------------------- */

static void scatter(const struct rdm_tx *tx, const uint8_t *from)
{
	for (uint32_t i = 0; i < tx->iovcnt; i++) {
		if (tx->iov[i].iov_len)
			memcpy(tx->iov[i].iov_base, from, tx->iov[i].iov_len);
		from += tx->iov[i].iov_len;
	}
}

void rdm_atomic_result(struct rdm_ep *ep, struct rdm_peer *peer,
		       const struct rdm_pkt *pkt)
{
	struct rdm_tx *tx = u_pool_at(&ep->txs, pkt->recv_id);

	if (!tx || tx->peer != peer || tx->kind != RDM_TX_FETCH ||
	    !tx->wait_done) {
		ep->stats.bad_packets++;
		return;
	}
	if (pkt->payload_len != tx->len) {
		rdm_tx_fail(ep, tx, RDM_ERR_SIZE);
		return;
	}
	scatter(tx, pkt->payload);
	tx->wait_done = false;
	rdm_tx_settle(ep, tx);
}
