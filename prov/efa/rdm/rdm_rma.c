/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_rma.c - remote memory access: by the device's RDMA where both ends have
 * it, else in packets (rdm_emul.c)
 *
 * The peer's features must be known first: an operation that is early waits
 * (rdm_park.c).
 */
#include "rdm/rdm_move.h"

#include <errno.h>

/* ---- by the device -------------------------------------------------------- */

static uint64_t shared(const struct rdm_ep *ep, const struct rdm_tx *tx)
{
	return tx->peer->features & ep->features;
}

/*
 * Data comes with the one request of a write that has a piece only, so that
 * its length is that of the write; and peers must agree about what it uses up.
 */
static bool data_can(const struct rdm_ep *ep, const struct rdm_tx *tx)
{
	return tx->iovcnt == 1 && tx->rma_iovcnt == 1 &&
	       tx->len <= ep->config.dev->info.max_rdma &&
	       !((tx->peer->features ^ ep->features) & RDM_FEATURE_UNSOLICITED);
}

/* Devices of the first generation and later ones do not read each other. */
static bool reads_match(const struct rdm_ep *ep, const struct rdm_peer *peer)
{
	return (ep->config.dev->info.version == RDM_FIRST_DEVICE) ==
	       (peer->device_version == RDM_FIRST_DEVICE);
}

bool rdm_can_read(const struct rdm_ep *ep, const struct rdm_peer *peer)
{
	return (peer->features & ep->features & RDM_FEATURE_READ) &&
	       reads_match(ep, peer);
}

static bool device_can(const struct rdm_ep *ep, const struct rdm_tx *tx)
{
	if (tx->kind == RDM_TX_READ)
		return rdm_can_read(ep, tx->peer);
	return (shared(ep, tx) & RDM_FEATURE_WRITE) &&
	       (!(tx->flags & RDM_DATA) || data_can(ep, tx));
}

/* One piece: as much as lies in one element of both ends and one operation. */
static int device_post(struct rdm_ep *ep, struct rdm_tx *tx)
{
	uint64_t left = tx->len - tx->sent;
	struct iovec local[RDM_IOV_MAX] = { { .iov_len = 0 } };
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_TX, u_pool_id(tx)),
		.ah = tx->peer->ah,
		.op = tx->kind == RDM_TX_READ ? DEV_READ : DEV_WRITE,
		.iov = local,
		.iovcnt = 1,
		.mr = tx->local[rdm_iov_index(tx->iov, tx->iovcnt, tx->sent)],
	};
	uint64_t there;
	int ret;

	wr.remote = tx->rma_iov[0].addr;
	wr.rkey = tx->rma_iov[0].key;
	there = rdm_iov_at(tx->rma_iov, tx->rma_iovcnt, tx->sent, &wr.remote,
			   &wr.rkey);
	rdm_iov_slice(tx->iov, tx->iovcnt, tx->sent,
		      u_min(u_min(left, there), ep->config.dev->info.max_rdma),
		      local);
	wr.len = local[0].iov_len;
	if (tx->flags & RDM_DATA) {
		wr.op = DEV_WRITE_IMM;
		wr.imm = (uint32_t)tx->data;
	}
	ret = dev_post(ep->qp, &wr, 1);
	if (ret != 1)
		return ret ? ret : -EAGAIN;
	tx->sent += wr.len;
	if (!wr.done)
		tx->wrs++;
	if (wr.len == left)
		tx->state = RDM_TX_SENT;
	return 0;
}

static int device_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	int ret = 0;

	while (tx->state == RDM_TX_SENDING && !ret)
		ret = device_post(ep, tx);
	/* What has begun goes on later, or ends as an operation. */
	if (!ret || !tx->sent)
		return ret;
	if (ret != -EAGAIN) {
		tx->err = DEV_BAD_OP;
		tx->state = RDM_TX_SENT;
	}
	return 0;
}

/* ---- either way ------------------------------------------------------------ */

int rdm_rma_start(struct rdm_ep *ep, struct rdm_tx *tx)
{
	tx->state = RDM_TX_SENDING;
	if (device_can(ep, tx))
		return device_start(ep, tx);
	return rdm_emul_start(ep, tx);
}

static int tx_fill(struct rdm_tx *tx, struct rdm_peer *peer,
		   const struct rdm_rma *op)
{
	struct rdm_send send = {
		.iov = op->iov,
		.iovcnt = op->iovcnt,
		.mr = op->mr,
		.flags = op->flags,
		.data = op->data,
		.context = op->context,
	};

	rdm_tx_init(tx, peer, &send, rdm_iov_len(op->iov, op->iovcnt));
	tx->kind = op->read ? RDM_TX_READ : RDM_TX_WRITE;
	tx->rma_iovcnt = op->rma_iovcnt;
	for (uint32_t i = 0; i < op->rma_iovcnt; i++)
		tx->rma_iov[i] = (struct rdm_pkt_iov){ op->rma_iov[i].addr,
						       op->rma_iov[i].len,
						       op->rma_iov[i].key };
	if (!(op->flags & RDM_INJECT))
		return 0;
	tx->flags &= ~(uint32_t)RDM_DELIVERY;
	return rdm_tx_copy(tx);
}

int rdm_rma(struct rdm_ep *ep, const struct rdm_rma *op)
{
	struct rdm_peer *peer = rdm_peer_at(ep, op->to);
	struct rdm_tx *tx;
	int ret;

	if (!peer)
		return -EINVAL;
	tx = u_pool_get(&ep->txs);
	if (!tx)
		return -EAGAIN;
	if (tx_fill(tx, peer, op)) {
		rdm_tx_free(ep, tx);
		return -ENOMEM;
	}
	ep->names |= op->mr != NULL;
	ret = peer->shaken ? rdm_rma_start(ep, tx) : rdm_park(ep, tx);
	if (ret) {
		rdm_tx_free(ep, tx);
		return ret;
	}
	if (tx->state == RDM_TX_SENDING)
		rdm_tx_queue(ep, tx);
	else
		rdm_tx_settle(ep, tx);
	return 0;
}

void rdm_rma_written(struct rdm_ep *ep, const struct dev_wc *wc)
{
	struct rdm_peer *peer = rdm_peer_identify(ep, wc->source, NULL);
	struct rdm_comp comp = {
		.len = wc->len,
		.data = wc->imm,
		.source = peer ? rdm_peer_index(ep, peer) : RDM_ADDR_NONE,
		.kind = RDM_COMP_REMOTE_WRITE,
		.flags = RDM_COMP_DATA,
	};

	rdm_count(ep, RDM_CNTR_REMOTE_WRITE, true);
	rdm_complete_from(ep, &comp, peer);
}
