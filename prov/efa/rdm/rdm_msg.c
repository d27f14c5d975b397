/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_msg.c - a message of a peer, from its first packet to its last byte
 *
 *                 first packet
 *      no receive /          \ receive
 *        WAITING              |
 *        (kept) --- match --->+--> COPYING  bytes come in packets -+-> done
 *                             +--> READING  we read, then say EOR -+
 */
#include "rdm/rdm_ep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What becomes of the bytes of a type, and what the sender waits for. */
static const struct msg_kind {
	bool tagged;
	bool cts; /* the rest must be granted */
	bool read; /* the bytes are to be read */
	bool sliced; /* more packets come by themselves */
	bool receipt; /* the sender waits for a RECEIPT */
} kinds[256] = {
	[RDM_PKT_EAGER_MSGRTM] = { 0 },
	[RDM_PKT_EAGER_TAGRTM] = { .tagged = true },
	[RDM_PKT_MEDIUM_MSGRTM] = { .sliced = true },
	[RDM_PKT_MEDIUM_TAGRTM] = { .tagged = true, .sliced = true },
	[RDM_PKT_LONGCTS_MSGRTM] = { .cts = true },
	[RDM_PKT_LONGCTS_TAGRTM] = { .tagged = true, .cts = true },
	[RDM_PKT_LONGREAD_MSGRTM] = { .read = true },
	[RDM_PKT_LONGREAD_TAGRTM] = { .tagged = true, .read = true },
	[RDM_PKT_DC_EAGER_MSGRTM] = { .receipt = true },
	[RDM_PKT_DC_EAGER_TAGRTM] = { .tagged = true, .receipt = true },
	[RDM_PKT_DC_MEDIUM_MSGRTM] = { .sliced = true, .receipt = true },
	[RDM_PKT_DC_MEDIUM_TAGRTM] = { .tagged = true,
				       .sliced = true,
				       .receipt = true },
	[RDM_PKT_DC_LONGCTS_MSGRTM] = { .cts = true, .receipt = true },
	[RDM_PKT_DC_LONGCTS_TAGRTM] = { .tagged = true,
					.cts = true,
					.receipt = true },
};

void rdm_msg_free(struct rdm_ep *ep, struct rdm_msg *msg)
{
	rdm_kept_drop(ep, msg);
	free(msg->seen);
	if (msg->queued)
		TAILQ_REMOVE(&ep->reading, msg, queue);
	TAILQ_REMOVE(&msg->peer->msgs, msg, link);
	u_pool_put(&ep->msgs, msg);
}

/* ---- the end ------------------------------------------------------------------ */

void rdm_msg_describe(struct rdm_ep *ep, struct rdm_msg *msg,
		      struct rdm_comp *comp)
{
	*comp = (struct rdm_comp){
		.len = msg->total,
		.data = msg->data,
		.tag = msg->tag,
		.source = rdm_peer_index(ep, msg->peer),
		.kind = RDM_COMP_RECV,
		.flags = (uint16_t)((msg->tagged ? RDM_COMP_TAGGED : 0) |
				    (msg->has_data ? RDM_COMP_DATA : 0)),
		.err = msg->err,
	};
}

static void answer(struct rdm_ep *ep, struct rdm_peer *peer, uint8_t type,
		   uint32_t send_id, uint32_t msg_id, uint32_t recv_id)
{
	struct rdm_pkt pkt = {
		.type = type,
		.send_id = send_id,
		.msg_id = msg_id,
		.recv_id = recv_id,
	};

	rdm_ctl_send(ep, peer, &pkt);
}

static void msg_finish(struct rdm_ep *ep, struct rdm_msg *msg)
{
	const struct msg_kind *kind = &kinds[msg->type];
	struct rdm_peer *peer = msg->peer;
	struct rdm_comp comp;

	rdm_msg_describe(ep, msg, &comp);
	rdm_rx_complete(ep, msg->rx, peer, &comp);
	if (kind->receipt)
		answer(ep, peer, RDM_PKT_RECEIPT, msg->send_id, msg->msg_id, 0);
	else if (kind->read)
		answer(ep, peer, RDM_PKT_EOR, msg->send_id, 0, u_pool_id(msg));
	rdm_msg_free(ep, msg);
}

U_COLD void rdm_msg_fail(struct rdm_ep *ep, struct rdm_msg *msg, uint32_t err)
{
	bool whole = !kinds[msg->type].read && msg->got == msg->total;

	if (whole)
		return;
	if (!msg->err)
		msg->err = err;
	if (msg->rx && !msg->reads)
		msg_finish(ep, msg);
}

/* ---- bytes that come in packets -------------------------------------------------- */

static bool seen_before(struct rdm_msg *msg, uint64_t offset)
{
	for (uint32_t i = 0; i < msg->nseen; i++) {
		if (msg->seen[i] == offset)
			return true;
	}
	if (msg->nseen == msg->seen_max) {
		uint32_t max = (uint32_t)u_max(16, 2 * msg->seen_max);
		uint64_t *grown = realloc(msg->seen, max * sizeof(*grown));

		if (!grown)
			return true;
		msg->seen = grown;
		msg->seen_max = max;
	}
	msg->seen[msg->nseen++] = offset;
	return false;
}

static void grant(struct rdm_ep *ep, struct rdm_msg *msg)
{
	uint64_t window = RDM_CTS_PKTS * ((uint64_t)ep->mtu - 32);
	struct rdm_pkt pkt = {
		.type = RDM_PKT_CTS,
		.send_id = msg->send_id,
		.recv_id = u_pool_id(msg),
		.seg_len = u_min(msg->total - msg->got, window),
	};

	msg->granted = pkt.seg_len;
	msg->window = msg->got;
	msg->nseen = 0;
	rdm_ctl_send(ep, msg->peer, &pkt);
}

/* A packet brought [offset, offset + payload) of the message. */
static void msg_bytes(struct rdm_ep *ep, struct rdm_msg *msg, uint64_t offset,
		      const struct rdm_pkt *pkt)
{
	if (offset > msg->total || pkt->payload_len > msg->total - offset ||
	    pkt->payload_len > msg->total - msg->got) {
		ep->stats.bad_packets++;
		return;
	}
	if (msg->rx)
		rdm_rx_copy(msg->rx, offset, pkt->payload, pkt->payload_len);
	else
		rdm_kept_add(ep, msg, offset, pkt);
	msg->got += pkt->payload_len;
}

static void copying(struct rdm_ep *ep, struct rdm_msg *msg)
{
	if (msg->got == msg->total || msg->err)
		msg_finish(ep, msg);
	else if (kinds[msg->type].cts && !msg->granted)
		grant(ep, msg);
}

struct rdm_msg *rdm_msg_find(struct rdm_peer *peer, uint32_t msg_id)
{
	struct rdm_msg *msg;

	TAILQ_FOREACH(msg, &peer->msgs, link) {
		if (msg->msg_id == msg_id && kinds[msg->type].sliced)
			return msg;
	}
	return NULL;
}

void rdm_msg_more(struct rdm_ep *ep, struct rdm_msg *msg,
		  const struct rdm_pkt *pkt)
{
	if (pkt->type != msg->type || pkt->total != msg->total) {
		ep->stats.bad_packets++;
		return;
	}
	if (seen_before(msg, pkt->offset)) {
		ep->stats.duplicates++;
		return;
	}
	msg_bytes(ep, msg, pkt->offset, pkt);
	if (msg->state == RDM_MSG_COPYING)
		copying(ep, msg);
}

void rdm_msg_ctsdata(struct rdm_ep *ep, struct rdm_peer *peer,
		     const struct rdm_pkt *pkt)
{
	struct rdm_msg *msg = u_pool_at(&ep->msgs, pkt->recv_id);

	if (!msg || msg->peer != peer || msg->state != RDM_MSG_COPYING ||
	    !pkt->payload_len || pkt->payload_len > msg->granted ||
	    pkt->offset < msg->window) {
		ep->stats.bad_packets++;
		return;
	}
	if (seen_before(msg, pkt->offset)) {
		ep->stats.duplicates++;
		return;
	}
	msg->granted -= pkt->payload_len;
	msg_bytes(ep, msg, pkt->offset, pkt);
	copying(ep, msg);
}

/* ---- bytes that we read ------------------------------------------------------------- */

/* Where [asked, ...) lies at the peer: address, key; returns bytes there. */
static uint64_t read_source(const struct rdm_msg *msg, uint64_t *addr,
			    uint64_t *key)
{
	uint64_t offset = msg->asked;

	for (uint32_t i = 0; i < msg->iovcnt; i++) {
		const struct rdm_pkt_iov *iov = &msg->read_iov[i];

		if (offset < iov->len) {
			*addr = iov->addr + offset;
			*key = iov->key;
			return iov->len - offset;
		}
		offset -= iov->len;
	}
	return 0;
}

static int read_post(struct rdm_ep *ep, struct rdm_msg *msg, uint64_t want)
{
	struct iovec local[RDM_IOV_MAX];
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_MSG, u_pool_id(msg)),
		.ah = msg->peer->ah,
		.op = DEV_READ,
		.iov = local,
		.iovcnt = 1,
	};
	int ret;

	wr.len = read_source(msg, &wr.remote, &wr.rkey);
	wr.len = u_min(wr.len, want - msg->asked);
	wr.len = u_min(wr.len, ep->config.dev->info.max_rdma);
	rdm_iov_slice(msg->rx->iov, msg->rx->iovcnt, msg->asked, wr.len, local);
	wr.len = local[0].iov_len;
	ret = dev_post(ep->qp, &wr, 1);
	if (ret != 1)
		return -EAGAIN;
	msg->asked += wr.len;
	if (!wr.done)
		msg->reads++;
	return 0;
}

static bool read_all(struct rdm_ep *ep, struct rdm_msg *msg)
{
	uint64_t want = u_min(msg->total, msg->rx->capacity);

	while (!msg->err && msg->asked < want) {
		if (read_post(ep, msg, want))
			return false;
	}
	return true;
}

static void reading(struct rdm_ep *ep, struct rdm_msg *msg)
{
	if (!read_all(ep, msg)) {
		if (!msg->queued)
			TAILQ_INSERT_TAIL(&ep->reading, msg, queue);
		msg->queued = true;
		ep->busy = true;
	} else if (!msg->reads) {
		msg_finish(ep, msg);
	}
}

void rdm_msg_wc(struct rdm_ep *ep, struct rdm_msg *msg, const struct dev_wc *wc)
{
	assert(msg->reads);
	msg->reads--;
	if (wc->status && !msg->err)
		msg->err = rdm_peer_err(msg->peer, wc->status);
	if (!msg->reads && !msg->queued)
		reading(ep, msg);
}

void rdm_msg_read_on(struct rdm_ep *ep)
{
	struct rdm_msg *msg = TAILQ_FIRST(&ep->reading);

	while (msg) {
		struct rdm_msg *next = TAILQ_NEXT(msg, queue);

		if (read_all(ep, msg)) {
			TAILQ_REMOVE(&ep->reading, msg, queue);
			msg->queued = false;
			if (!msg->reads)
				msg_finish(ep, msg);
		}
		msg = next;
	}
}

/* ---- the beginning ---------------------------------------------------------------------- */

void rdm_msg_match(struct rdm_ep *ep, struct rdm_msg *msg, struct rdm_rx *rx)
{
	struct rdm_kept *kept;

	msg->rx = rx;
	rdm_rx_copy(rx, 0, msg->small, msg->small_len);
	for (kept = msg->kept; kept; kept = kept->next)
		rdm_rx_copy(rx, kept->offset, kept->bytes, kept->len);
	rdm_kept_drop(ep, msg);
	if (kinds[msg->type].read && !msg->err) {
		msg->state = RDM_MSG_READING;
		reading(ep, msg);
	} else {
		msg->state = RDM_MSG_COPYING;
		copying(ep, msg);
	}
}

void rdm_msg_discard(struct rdm_ep *ep, struct rdm_msg *msg)
{
	struct rdm_rx *sink = u_pool_get(&ep->rxs);

	if (!sink)
		return;
	*sink = (struct rdm_rx){ .flags = RDM_DISCARD };
	rdm_msg_match(ep, msg, sink);
}

static struct rdm_msg *msg_new(struct rdm_ep *ep, struct rdm_peer *peer,
			       const struct rdm_pkt *pkt, uint64_t total)
{
	struct rdm_msg *msg = u_pool_get(&ep->msgs);

	if (!msg)
		return NULL;
	memset(msg, 0, offsetof(struct rdm_msg, small));
	msg->peer = peer;
	msg->type = pkt->type;
	msg->tagged = kinds[pkt->type].tagged;
	msg->has_data = pkt->flags & RDM_PKT_CQ_DATA;
	msg->msg_id = pkt->msg_id;
	msg->send_id = pkt->send_id;
	msg->tag = pkt->tag;
	msg->data = pkt->cq_data;
	msg->total = total;
	msg->iovcnt = pkt->read_iovcnt;
	for (uint32_t i = 0; i < pkt->read_iovcnt; i++)
		msg->read_iov[i] = pkt->read_iov[i];
	TAILQ_INSERT_TAIL(&peer->msgs, msg, link);
	return msg;
}

/* Sum of what is offered to be read, or 0 when it wraps. */
static uint64_t offered(const struct rdm_pkt *pkt)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < pkt->read_iovcnt; i++) {
		if (pkt->read_iov[i].len > UINT64_MAX - sum)
			return 0;
		sum += pkt->read_iov[i].len;
	}
	return sum;
}

/* Whether a first packet says things that go together. */
static bool sane(const struct rdm_pkt *pkt, const struct msg_kind *kind)
{
	if (kind->read)
		return pkt->total == offered(pkt);
	if (kind->sliced)
		return pkt->offset <= pkt->total &&
		       pkt->payload_len <= pkt->total - pkt->offset;
	return !kind->cts || pkt->payload_len <= pkt->total;
}

static void msg_begin(struct rdm_ep *ep, struct rdm_peer *peer,
		      const struct rdm_pkt *pkt, uint64_t total,
		      struct rdm_rx *rx)
{
	const struct msg_kind *kind = &kinds[pkt->type];
	struct rdm_msg *msg = msg_new(ep, peer, pkt, total);

	if (!msg) {
		ep->stats.bad_packets++;
		if (rx)
			rdm_rx_complete(
				ep, rx, peer,
				&(struct rdm_comp){ .tag = pkt->tag,
						    .err = RDM_ERR_NOMEM });
		return;
	}
	if (kind->sliced)
		seen_before(msg, pkt->offset);
	if (!rx) {
		ep->stats.unexpected++;
		rdm_kept_hold(ep, msg, sizeof(*msg));
	}
	msg->rx = rx;
	if (!kind->read)
		msg_bytes(ep, msg, kind->sliced ? pkt->offset : 0, pkt);
	if (rx) {
		rdm_msg_match(ep, msg, rx);
		return;
	}
	msg->match.peer = peer;
	msg->match.tag = pkt->tag;
	rdm_match_keep(&ep->match[kind->tagged], &msg->match);
}

void rdm_msg_first(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt)
{
	const struct msg_kind *kind = &kinds[pkt->type];
	bool single = !kind->sliced && !kind->cts && !kind->read;
	uint64_t total = single ? pkt->payload_len : pkt->total;
	struct rdm_comp comp;
	struct rdm_rx *rx;

	if (!sane(pkt, kind)) {
		ep->stats.bad_packets++;
		return;
	}
	rx = rdm_rx_find(ep, peer, kind->tagged, pkt->tag);
	if (rx)
		rx = rdm_rx_take(ep, rx, total);
	if (!rx || !single) {
		msg_begin(ep, peer, pkt, total, rx);
		return;
	}
	rdm_rx_copy(rx, 0, pkt->payload, pkt->payload_len);
	comp = (struct rdm_comp){
		.len = total,
		.data = pkt->cq_data,
		.tag = pkt->tag,
		.flags = (uint16_t)((kind->tagged ? RDM_COMP_TAGGED : 0) |
				    (pkt->flags & RDM_PKT_CQ_DATA ?
					     RDM_COMP_DATA :
					     0)),
	};
	rdm_rx_complete(ep, rx, peer, &comp);
	if (kind->receipt)
		answer(ep, peer, RDM_PKT_RECEIPT, pkt->send_id, pkt->msg_id, 0);
}
