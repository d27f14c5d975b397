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
#include "rdm/rdm_move.h"

#include <stdlib.h>

#include "util/u_bytes.h"
#include "util/u_log.h"

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

/* A packet of a message that has begun: the next slice, or a duplicate. */
static void begun(struct rdm_ep *ep, struct rdm_peer *peer,
		  const struct rdm_pkt *pkt)
{
	struct rdm_msg *msg = rdm_msg_find(peer, pkt->msg_id);

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

/*
 * What was kept of a number whose turn has come, freed: the first packet of
 * the message if it has not begun, more of it, then that it was given up.
 */
static U_COLD void play(struct rdm_ep *ep, struct rdm_peer *peer,
			struct rdm_reorder_pkt *early, bool first)
{
	bool given_up = false;
	uint32_t msg_id = 0;

	while (early) {
		struct rdm_reorder_pkt *next = early->next;
		struct rdm_pkt pkt;

		if (rdm_pkt_parse(early->bytes, early->len, &pkt)) {
			ep->stats.bad_packets++;
		} else if (pkt.type == RDM_PKT_PEER_ERROR) {
			given_up = true;
			msg_id = pkt.send_id;
		} else if (first) {
			in_turn(ep, peer, &pkt);
			first = false;
		} else {
			begun(ep, peer, &pkt);
		}
		free(early);
		early = next;
	}
	if (given_up)
		rdm_error_message(ep, peer, msg_id);
}

/* Whether with these packets the number can be dealt with. */
static bool is_due(const struct rdm_reorder_pkt *early)
{
	for (; early; early = early->next) {
		struct rdm_pkt pkt;

		if (rdm_pkt_parse(early->bytes, early->len, &pkt) ||
		    pkt.type >= RDM_PKT_REQ || pkt.aux == RDM_REF_SKIP)
			return true;
	}
	return false;
}

/* Goes on with what came before its turn, now that a number is done. */
static U_COLD void replay(struct rdm_ep *ep, struct rdm_peer *peer)
{
	struct rdm_reorder_pkt *early;

	while ((early = rdm_reorder_take(&peer->early, peer->rx_msg_id))) {
		if (!is_due(early)) {
			rdm_reorder_put(&peer->early, peer->rx_msg_id, early);
			return;
		}
		peer->rx_msg_id++;
		play(ep, peer, early, true);
	}
}

static void keep_early(struct rdm_ep *ep, struct rdm_peer *peer,
		       uint32_t msg_id, const struct dev_wc *wc)
{
	ep->stats.reordered++;
	if (peer->early.bytes >= RDM_REORDER_MAX ||
	    rdm_reorder_keep(&peer->early, msg_id, wc->data, wc->len))
		ep->stats.bad_packets++;
}

static void numbered_in(struct rdm_ep *ep, struct rdm_peer *peer,
			const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	if (u_likely(pkt->msg_id == peer->rx_msg_id)) {
		peer->rx_msg_id++;
		in_turn(ep, peer, pkt);
		if (u_likely(rdm_reorder_empty(&peer->early)))
			return;
		play(ep, peer, rdm_reorder_take(&peer->early, pkt->msg_id),
		     false);
		replay(ep, peer);
	} else if (u_seq_before(pkt->msg_id, peer->rx_msg_id)) {
		begun(ep, peer, pkt);
	} else {
		keep_early(ep, peer, pkt->msg_id, wc);
	}
}

/* One that stands for a request which we could not read has no turn. */
static void longcts_in(struct rdm_ep *ep, struct rdm_peer *peer,
		       const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	if (u_unlikely(pkt->flags & RDM_PKT_AFTER_NACK))
		rdm_msg_replace(ep, peer, pkt);
	else
		numbered_in(ep, peer, pkt, wc);
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
	if (u_pool_space(pkt->send_id) == RDM_SPACE_SERVE)
		rdm_serve_cts(ep, peer, pkt);
	else
		rdm_bulk_cts(ep, peer, pkt);
}

static void ctsdata_in(struct rdm_ep *ep, struct rdm_peer *peer,
		       const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	(void)wc;
	switch ((enum rdm_space)u_pool_space(pkt->recv_id)) {
	case RDM_SPACE_TX:
		rdm_emul_ctsdata(ep, peer, pkt);
		break;
	case RDM_SPACE_MSG:
		rdm_msg_ctsdata(ep, peer, pkt);
		break;
	case RDM_SPACE_SERVE:
		rdm_serve_ctsdata(ep, peer, pkt);
		break;
	default:
		ep->stats.bad_packets++;
		break;
	}
}

static void readrsp_in(struct rdm_ep *ep, struct rdm_peer *peer,
		       const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	(void)wc;
	rdm_emul_readrsp(ep, peer, pkt);
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

static void nack_in(struct rdm_ep *ep, struct rdm_peer *peer,
		    const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	(void)wc;
	rdm_expose_nack(ep, peer, pkt);
}

static void error_in(struct rdm_ep *ep, struct rdm_peer *peer,
		     const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	u_info("a peer has given an operation up (its error %u)", pkt->aux2);
	if (pkt->aux == RDM_REF_ID) {
		rdm_error_id(ep, peer, pkt->send_id);
	} else if (pkt->aux != RDM_REF_MSG && pkt->aux != RDM_REF_SKIP) {
		ep->stats.bad_packets++;
	} else if (u_seq_before(pkt->send_id, peer->rx_msg_id)) {
		rdm_error_message(ep, peer, pkt->send_id);
	} else {
		keep_early(ep, peer, pkt->send_id, wc);
		replay(ep, peer);
	}
}

static void write_in(struct rdm_ep *ep, struct rdm_peer *peer,
		     const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	(void)wc;
	rdm_serve_write(ep, peer, pkt);
}

static void read_in(struct rdm_ep *ep, struct rdm_peer *peer,
		    const struct rdm_pkt *pkt, const struct dev_wc *wc)
{
	(void)wc;
	rdm_serve_read(ep, peer, pkt);
}

typedef void (*handler)(struct rdm_ep *ep, struct rdm_peer *peer,
			const struct rdm_pkt *pkt, const struct dev_wc *wc);

static const handler handlers[256] = {
	[RDM_PKT_CTS] = cts_in,
	[RDM_PKT_CTSDATA] = ctsdata_in,
	[RDM_PKT_READRSP] = readrsp_in,
	[RDM_PKT_EOR] = done_in,
	[RDM_PKT_RECEIPT] = done_in,
	[RDM_PKT_ATOMRSP] = atomrsp_in,
	[RDM_PKT_READ_NACK] = nack_in,
	[RDM_PKT_PEER_ERROR] = error_in,
	[RDM_PKT_HANDSHAKE] = handshake_in,
	[RDM_PKT_EAGER_RTW] = write_in,
	[RDM_PKT_LONGCTS_RTW] = write_in,
	[RDM_PKT_LONGREAD_RTW] = write_in,
	[RDM_PKT_DC_EAGER_RTW] = write_in,
	[RDM_PKT_DC_LONGCTS_RTW] = write_in,
	[RDM_PKT_SHORT_RTR] = read_in,
	[RDM_PKT_LONGCTS_RTR] = read_in,
	[RDM_PKT_EAGER_MSGRTM] = numbered_in,
	[RDM_PKT_EAGER_TAGRTM] = numbered_in,
	[RDM_PKT_MEDIUM_MSGRTM] = numbered_in,
	[RDM_PKT_MEDIUM_TAGRTM] = numbered_in,
	[RDM_PKT_LONGCTS_MSGRTM] = longcts_in,
	[RDM_PKT_LONGCTS_TAGRTM] = longcts_in,
	[RDM_PKT_LONGREAD_MSGRTM] = numbered_in,
	[RDM_PKT_LONGREAD_TAGRTM] = numbered_in,
	[RDM_PKT_RUNTREAD_MSGRTM] = numbered_in,
	[RDM_PKT_RUNTREAD_TAGRTM] = numbered_in,
	[RDM_PKT_DC_EAGER_MSGRTM] = numbered_in,
	[RDM_PKT_DC_EAGER_TAGRTM] = numbered_in,
	[RDM_PKT_DC_MEDIUM_MSGRTM] = numbered_in,
	[RDM_PKT_DC_MEDIUM_TAGRTM] = numbered_in,
	[RDM_PKT_DC_LONGCTS_MSGRTM] = longcts_in,
	[RDM_PKT_DC_LONGCTS_TAGRTM] = longcts_in,
	[RDM_PKT_WRITE_RTA] = numbered_in,
	[RDM_PKT_FETCH_RTA] = numbered_in,
	[RDM_PKT_COMPARE_RTA] = numbered_in,
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
		rdm_peer_gone(ep, peer);
}

static void request_done(struct rdm_ep *ep, const struct dev_wc *wc)
{
	struct rdm_ctl *ctl;
	struct rdm_serve *serve;
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
		if (!tx)
			break;
		tx->acked |= !wc->status;
		rdm_tx_wc(ep, tx, wc);
		break;
	case RDM_WR_ASK:
		tx = u_pool_at(&ep->txs, (uint32_t)wc->id);
		if (tx)
			rdm_tx_wc(ep, tx, wc);
		break;
	case RDM_WR_MSG:
		msg = u_pool_at(&ep->msgs, (uint32_t)wc->id);
		if (msg)
			rdm_pull_wc(ep, msg, wc);
		break;
	case RDM_WR_SERVE:
		serve = u_pool_at(&ep->serves, (uint32_t)wc->id);
		if (serve)
			rdm_serve_wc(ep, serve, wc);
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
