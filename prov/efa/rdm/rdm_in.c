/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_in.c - what the device hands up: packets and completions
 *
 * The hot path is an eager message, in its turn, from a peer that is known, to
 * a receive that is posted: it reads top-down in eager_in. Whatever is not
 * that goes through packet_in: parse, identify, greet, dispatch by type.
 *
 * Packet bytes may lie in memory that a peer can write: every field is copied
 * out once, before it is judged.
 */
#include "rdm/rdm_ep.h"

#include <errno.h>
#include <stdlib.h>

#include "util/u_bytes.h"

static inline struct rdm_peer *peer_of_source(const struct rdm_ep *ep,
					      uint32_t source)
{
	return u_likely(source < ep->nsources) ? ep->sources[source] : NULL;
}

/* ---- the hot path ------------------------------------------------------------ */

/* True when the packet was such a message and has been dealt with. */
static inline bool eager_in(struct rdm_ep *ep, const struct dev_wc *wc)
{
	struct rdm_peer *peer = peer_of_source(ep, wc->source);
	const uint8_t *p = wc->data;
	struct rdm_comp comp;
	struct rdm_rx *rx;
	uint32_t word, len = 12;
	bool tagged;

	if (u_unlikely(!peer || wc->len < 12))
		return false;
	word = u_get32(p);
	tagged = (word & ~RDM_PKT_EAGER_DATA) == RDM_PKT_EAGER_TAG;
	if (u_unlikely(!tagged &&
		       (word & ~RDM_PKT_EAGER_DATA) != RDM_PKT_EAGER_MSG))
		return false;
	len += tagged ? 8 : 0;
	len += word & RDM_PKT_EAGER_DATA ? 8 : 0;
	if (u_unlikely(wc->len < len))
		return false;
	if (u_unlikely(u_get32(p + 4) != peer->rx_msg_id ||
		       u_get32(p + len - 4) != peer->connid || !peer->greeted ||
		       !rdm_reorder_empty(&peer->early)))
		return false;
	comp.tag = tagged ? u_get64(p + 8) : 0;
	comp.data = word & RDM_PKT_EAGER_DATA ? u_get64(p + len - 12) : 0;
	u_copied_out();
	rx = rdm_rx_find(ep, peer, tagged, comp.tag);
	if (u_unlikely(!rx))
		return false;
	comp.len = wc->len - len;
	rx = rdm_rx_take(ep, rx, comp.len);
	if (u_unlikely(!rx))
		return false;
	peer->rx_msg_id++;
	if (u_likely(rx->iovcnt == 1 && comp.len <= rx->capacity))
		memcpy(rx->iov[0].iov_base, p + len, comp.len);
	else
		rdm_rx_copy(rx, 0, p + len, comp.len);
	comp.flags =
		(uint16_t)((tagged ? RDM_COMP_TAGGED : 0) |
			   (word & RDM_PKT_EAGER_DATA ? RDM_COMP_DATA : 0));
	comp.err = 0;
	comp.error = NULL;
	rdm_rx_complete(ep, rx, peer, &comp);
	return true;
}

/* ---- requests in order ---------------------------------------------------------- */

static bool is_slice(uint8_t type)
{
	return type == RDM_PKT_MEDIUM_MSGRTM || type == RDM_PKT_MEDIUM_TAGRTM ||
	       type == RDM_PKT_DC_MEDIUM_MSGRTM ||
	       type == RDM_PKT_DC_MEDIUM_TAGRTM;
}

/* A packet of a message that has begun: the next slice, or a duplicate. */
static void begun(struct rdm_ep *ep, struct rdm_peer *peer,
		  const struct rdm_pkt *pkt)
{
	struct rdm_msg *msg =
		is_slice(pkt->type) ? rdm_msg_find(peer, pkt->msg_id) : NULL;

	if (msg)
		rdm_msg_more(ep, msg, pkt);
	else
		ep->stats.duplicates++;
}

/* A message or an atomic in its turn. */
static void in_turn(struct rdm_ep *ep, struct rdm_peer *peer,
		    const struct rdm_pkt *pkt)
{
	switch (pkt->type) {
	case RDM_PKT_WRITE_RTA:
	case RDM_PKT_FETCH_RTA:
	case RDM_PKT_COMPARE_RTA:
	case RDM_PKT_DC_WRITE_RTA:
		rdm_atomic_in(ep, peer, pkt);
		break;
	default:
		rdm_msg_first(ep, peer, pkt);
		break;
	}
}

U_COLD static void replay(struct rdm_ep *ep, struct rdm_peer *peer)
{
	struct rdm_reorder_pkt *early;

	while ((early = rdm_reorder_take(&peer->early, peer->rx_msg_id))) {
		bool first = true;

		peer->rx_msg_id++;
		while (early) {
			struct rdm_reorder_pkt *next = early->next;
			struct rdm_pkt pkt;

			if (!rdm_pkt_parse(early->bytes, early->len, &pkt)) {
				if (first)
					in_turn(ep, peer, &pkt);
				else
					begun(ep, peer, &pkt);
				first = false;
			}
			free(early);
			early = next;
		}
	}
}

static void numbered_in(struct rdm_ep *ep, struct rdm_peer *peer,
			const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	if (u_likely(pkt->msg_id == peer->rx_msg_id)) {
		peer->rx_msg_id++;
		in_turn(ep, peer, pkt);
		if (u_unlikely(!rdm_reorder_empty(&peer->early)))
			replay(ep, peer);
	} else if (u_seq_before(pkt->msg_id, peer->rx_msg_id)) {
		begun(ep, peer, pkt);
	} else {
		ep->stats.reordered++;
		if (rdm_reorder_keep(&peer->early, pkt->msg_id, wc->data,
				     wc->len))
			ep->stats.bad_packets++;
	}
}

/* ---- other packets ------------------------------------------------------------------ */

static void handshake_in(struct rdm_ep *ep, struct rdm_peer *peer,
			 const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	(void)wc;
	rdm_peer_shake(ep, peer, pkt);
}

static void cts_in(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	(void)wc;
	rdm_bulk_cts(ep, peer, pkt);
}

static void ctsdata_in(struct rdm_ep *ep, struct rdm_peer *peer,
		       const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	(void)wc;
	rdm_msg_ctsdata(ep, peer, pkt);
}

static void done_in(struct rdm_ep *ep, struct rdm_peer *peer,
		    const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	(void)wc;
	rdm_bulk_done(ep, peer, pkt);
}

static void atomrsp_in(struct rdm_ep *ep, struct rdm_peer *peer,
		       const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	(void)wc;
	rdm_atomic_result(ep, peer, pkt);
}

/* A zero-length write without targets only asks for our HANDSHAKE. */
static void write_in(struct rdm_ep *ep, struct rdm_peer *peer,
		     const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	(void)peer;
	(void)wc;
	if (pkt->rma_iovcnt)
		ep->stats.bad_packets++;
}

typedef void (*handler)(struct rdm_ep *ep, struct rdm_peer *peer,
			const struct rdm_pkt *pkt, const struct dev_wc *wc);

static const handler handlers[256] = {
	[RDM_PKT_CTS] = cts_in,
	[RDM_PKT_CTSDATA] = ctsdata_in,
	[RDM_PKT_EOR] = done_in,
	[RDM_PKT_RECEIPT] = done_in,
	[RDM_PKT_ATOMRSP] = atomrsp_in,
	[RDM_PKT_HANDSHAKE] = handshake_in,
	[RDM_PKT_EAGER_RTW] = write_in,
	[RDM_PKT_EAGER_MSGRTM] = numbered_in,
	[RDM_PKT_EAGER_TAGRTM] = numbered_in,
	[RDM_PKT_MEDIUM_MSGRTM] = numbered_in,
	[RDM_PKT_MEDIUM_TAGRTM] = numbered_in,
	[RDM_PKT_LONGCTS_MSGRTM] = numbered_in,
	[RDM_PKT_LONGCTS_TAGRTM] = numbered_in,
	[RDM_PKT_WRITE_RTA] = numbered_in,
	[RDM_PKT_FETCH_RTA] = numbered_in,
	[RDM_PKT_COMPARE_RTA] = numbered_in,
	[RDM_PKT_LONGREAD_MSGRTM] = numbered_in,
	[RDM_PKT_LONGREAD_TAGRTM] = numbered_in,
	[RDM_PKT_DC_EAGER_MSGRTM] = numbered_in,
	[RDM_PKT_DC_EAGER_TAGRTM] = numbered_in,
	[RDM_PKT_DC_MEDIUM_MSGRTM] = numbered_in,
	[RDM_PKT_DC_MEDIUM_TAGRTM] = numbered_in,
	[RDM_PKT_DC_LONGCTS_MSGRTM] = numbered_in,
	[RDM_PKT_DC_LONGCTS_TAGRTM] = numbered_in,
	[RDM_PKT_DC_WRITE_RTA] = numbered_in,
};

/* Whether the identity in a packet is that of the peer. */
static bool is_from(const struct rdm_pkt *pkt, const struct rdm_peer *peer)
{
	if (pkt->type >= RDM_PKT_REQ && (pkt->flags & RDM_PKT_RAW_ADDR))
		return pkt->raw.qkey == peer->connid;
	if (pkt->flags & RDM_PKT_CONNID)
		return pkt->connid == peer->connid;
	return true;
}

static __attribute__((noinline)) void packet_in(struct rdm_ep *ep,
						const struct dev_wc *wc)
{
	struct rdm_peer *peer = peer_of_source(ep, wc->source);
	struct rdm_pkt pkt;

	if (rdm_pkt_parse(wc->data, wc->len, &pkt) || !handlers[pkt.type]) {
		ep->stats.bad_packets++;
		return;
	}
	if (u_unlikely(!peer || !is_from(&pkt, peer)))
		peer = rdm_peer_identify(ep, wc->source, &pkt);
	if (u_unlikely(!peer)) {
		ep->stats.bad_packets++;
		return;
	}
	if (u_unlikely(!peer->greeted))
		rdm_peer_greet(ep, peer);
	handlers[pkt.type](ep, peer, &pkt, wc);
}

/* ---- completions ------------------------------------------------------------------------ */

U_COLD static void gone(struct rdm_ep *ep, uint64_t cookie)
{
	struct rdm_peer *peer = u_pool_at(&ep->peers, (uint32_t)cookie);

	if (peer)
		rdm_peer_lost(ep, peer, DEV_UNRESPONSIVE);
}

static void request_done(struct rdm_ep *ep, const struct dev_wc *wc)
{
	struct rdm_ctl *ctl;
	struct rdm_msg *msg;
	struct rdm_tx *tx;

	switch ((enum rdm_wr_kind)(wc->id >> 32)) {
	case RDM_WR_CTL:
		ctl = u_pool_at(&ep->ctl_pool, (uint32_t)wc->id);
		if (ctl)
			rdm_ctl_wc(ep, ctl, wc);
		break;
	case RDM_WR_TX:
		tx = u_pool_at(&ep->txs, (uint32_t)wc->id);
		if (tx)
			rdm_tx_wc(ep, tx, wc);
		break;
	case RDM_WR_MSG:
		msg = u_pool_at(&ep->msgs, (uint32_t)wc->id);
		if (msg)
			rdm_msg_wc(ep, msg, wc);
		break;
	}
}

void rdm_in_wc(struct rdm_ep *ep, const struct dev_wc *wc)
{
	switch ((enum dev_wc_op)wc->op) {
	case DEV_WC_RECV:
		if (!eager_in(ep, wc))
			packet_in(ep, wc);
		break;
	case DEV_WC_SEND:
	case DEV_WC_READ:
	case DEV_WC_WRITE:
		request_done(ep, wc);
		break;
	case DEV_WC_WRITTEN:
		rdm_rma_written(ep, wc);
		break;
	case DEV_WC_GONE:
		gone(ep, wc->id);
		break;
	}
}
