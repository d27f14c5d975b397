/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_park.c - operations that need to know the peer's features: they ask for
 * its HANDSHAKE (a write request of nothing), wait on peer->parked and begin
 * once it has come
 */
#include "rdm/rdm_move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An injected buffer is the caller's again: take the bytes. */
int rdm_tx_copy(struct rdm_tx *tx)
{
	uint8_t *to;

	if (!tx->len)
		return 0;
	to = malloc(tx->len);
	if (!to)
		return -ENOMEM;
	tx->copy = to;
	for (uint32_t i = 0; i < tx->iovcnt; i++) {
		memcpy(to, tx->iov[i].iov_base, tx->iov[i].iov_len);
		to += tx->iov[i].iov_len;
	}
	tx->iov[0] = (struct iovec){ tx->copy, tx->len };
	tx->local[0] = NULL;
	tx->iovcnt = 1;
	return 0;
}

/*
 * Asks as a packet of the operation itself, so that it fails with the packet
 * when the peer cannot be reached.
 */
int rdm_park(struct rdm_ep *ep, struct rdm_tx *tx)
{
	struct rdm_pkt pkt = { .type = RDM_PKT_EAGER_RTW };
	uint8_t hdr[RDM_PKT_HDR_MAX];
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_TX, u_pool_id(tx)),
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

static uint32_t err_of(int ret)
{
	switch (ret) {
	case -EOPNOTSUPP:
		return DEV_FEATURE;
	case -ENOMEM:
		return RDM_ERR_NOMEM;
	case -EMSGSIZE:
		return DEV_TOO_LONG;
	default:
		return DEV_BAD_OP;
	}
}

bool rdm_tx_resume(struct rdm_ep *ep, struct rdm_tx *tx)
{
	int ret;

	if (tx->type)
		return rdm_bulk_resume(ep, tx);
	ret = tx->kind == RDM_TX_MSG ? rdm_send_start(ep, tx) :
				       rdm_rma_start(ep, tx);
	if (ret == -EAGAIN) {
		tx->type = 0;
		tx->state = RDM_TX_SENDING;
		return false;
	}
	if (ret) {
		tx->err = err_of(ret);
		tx->state = RDM_TX_SENT;
	}
	return tx->state != RDM_TX_SENDING;
}
