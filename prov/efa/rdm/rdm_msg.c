/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_msg.c - a message of a peer, from its first packet to its last byte
 *
 *                 first packet
 *      no receive /          \ receive
 *        WAITING              |
 *        (kept) --- match --->+--> COPYING  bytes come in packets -+-> done
 *                             +--> READING  we read, then say EOR -+
 *                             |       | we cannot read             |
 *                             |       v                            |
 *                             |    NACKED --- LONGCTS ---> COPYING |
 *                             +---- given up by either side -------+
 *
 * A runting message is READING while its head comes in packets beside that.
 */
#include "rdm/rdm_move.h"

#include <errno.h>
#include <string.h>

/* What becomes of the bytes of a type, and what the sender waits for. */
static const struct msg_kind {
	bool tagged;
	bool cts; /* the rest must be granted */
	bool read; /* the bytes, or those behind the head, are to be read */
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
	[RDM_PKT_RUNTREAD_MSGRTM] = { .read = true, .sliced = true },
	[RDM_PKT_RUNTREAD_TAGRTM] = { .tagged = true,
				      .read = true,
				      .sliced = true },
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
	rdm_inflow_fini(&msg->in);
	if (msg->queued)
		TAILQ_REMOVE(&ep->reading, msg, queue);
	TAILQ_REMOVE(&msg->peer->msgs, msg, link);
	u_pool_put(&ep->msgs, msg);
}

/* ---- the end ------------------------------------------------------------------ */

void rdm_msg_describe(struct rdm_ep *ep, struct rdm_msg *msg,
		      struct rdm_comp *comp)
{
	rdm_heed(ep); /* our user may have called */
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

/*
 * The sender is told that it has failed here; true if it is, or need not be.
 * One that cannot understand that gets the answer of a good end instead.
 */
static U_COLD bool is_told(struct rdm_ep *ep, struct rdm_msg *msg,
			   struct rdm_pkt *good)
{
	struct rdm_peer *peer = msg->peer;

	if (msg->err == RDM_ERR_PEER_ABORT)
		return true;
	if (!peer->gone && !rdm_error_may_tell(peer))
		return false;
	rdm_error_tell(ep, peer, RDM_REF_ID, msg->send_id, msg->err);
	if (!peer->shaken && good->type)
		rdm_ctl_owe(ep, peer, good, true);
	return true;
}

/* What the sender waits for: that it is done, or that it never will be. */
static void conclude(struct rdm_ep *ep, struct rdm_msg *msg)
{
	const struct msg_kind *kind = &kinds[msg->type];
	struct rdm_pkt good;

	if (!kind->receipt && !kind->read && !kind->cts)
		return;
	good = (struct rdm_pkt){ .send_id = msg->send_id };
	if (kind->receipt) {
		good.type = RDM_PKT_RECEIPT;
		good.msg_id = msg->msg_id;
	} else if (kind->read && msg->runt < msg->total) {
		good.type = RDM_PKT_EOR;
		good.recv_id = u_pool_id(msg);
	}
	if (u_unlikely(msg->err) && is_told(ep, msg, &good))
		return;
	if (good.type)
		rdm_ctl_send(ep, msg->peer, &good);
}

void rdm_msg_finish(struct rdm_ep *ep, struct rdm_msg *msg)
{
	struct rdm_comp comp;

	rdm_msg_describe(ep, msg, &comp);
	rdm_rx_complete(ep, msg->rx, msg->peer, &comp);
	conclude(ep, msg);
	rdm_msg_free(ep, msg);
}

static bool is_whole(const struct rdm_msg *msg)
{
	return !kinds[msg->type].read && msg->in.got == msg->total;
}

U_COLD void rdm_msg_fail(struct rdm_ep *ep, struct rdm_msg *msg, uint32_t err)
{
	if (is_whole(msg))
		return;
	if (!msg->err)
		msg->err = err;
	if (msg->rx && !msg->reads)
		rdm_msg_finish(ep, msg);
}

/*
 * A sender that would wait for leave for ever, as it cannot be told, has to
 * be let send; the bytes go nowhere.
 */
static U_COLD void cancel_into_sink(struct rdm_ep *ep, struct rdm_msg *msg)
{
	struct rdm_rx *sink = u_pool_get(&ep->rxs);
	struct rdm_comp comp;

	if (!sink)
		return;
	*sink = (struct rdm_rx){ .flags = RDM_DISCARD };
	rdm_msg_describe(ep, msg, &comp);
	comp.err = RDM_ERR_CANCELED;
	rdm_rx_complete(ep, msg->rx, msg->peer, &comp);
	msg->rx = sink;
}

U_COLD void rdm_msg_cancel(struct rdm_ep *ep, struct rdm_msg *msg)
{
	assert(msg->rx);
	if ((kinds[msg->type].cts || msg->state == RDM_MSG_NACKED) &&
	    !rdm_error_can_tell(msg->peer))
		cancel_into_sink(ep, msg);
	else
		rdm_msg_fail(ep, msg, RDM_ERR_CANCELED);
}

/* ---- bytes that come in packets -------------------------------------------------- */

static void grant(struct rdm_ep *ep, struct rdm_msg *msg)
{
	struct rdm_pkt cts = {
		.send_id = msg->send_id,
		.recv_id = u_pool_id(msg),
	};

	rdm_inflow_grant(ep, msg->peer, &msg->in, &cts);
}

/* The payload of a packet, which rdm_inflow has taken note of. */
static void take_bytes(struct rdm_ep *ep, struct rdm_msg *msg, uint64_t offset,
		       const struct rdm_pkt *pkt)
{
	if (msg->rx)
		rdm_rx_copy(msg->rx, offset, pkt->payload, pkt->payload_len);
	else
		rdm_kept_add(ep, msg, offset, pkt);
}

/* Goes on with a message that has a receive. */
static void advance(struct rdm_ep *ep, struct rdm_msg *msg)
{
	switch ((enum rdm_msg_state)msg->state) {
	case RDM_MSG_WAITING:
	case RDM_MSG_NACKED:
		break;
	case RDM_MSG_READING:
		rdm_pull(ep, msg);
		break;
	case RDM_MSG_COPYING:
		if (msg->in.got == msg->in.total || msg->err)
			rdm_msg_finish(ep, msg);
		else if (kinds[msg->type].cts && !msg->in.granted)
			grant(ep, msg);
		break;
	}
}

static void count_bad(struct rdm_ep *ep, int ret)
{
	if (ret == -EALREADY)
		ep->stats.duplicates++;
	else
		ep->stats.bad_packets++;
}

/* From the end: what has begun lately is what more packets come for. */
struct rdm_msg *rdm_msg_find(struct rdm_peer *peer, uint32_t msg_id)
{
	struct rdm_msg *msg;

	TAILQ_FOREACH_REVERSE(msg, &peer->msgs, rdm_msg_list, link) {
		if (msg->msg_id == msg_id)
			return msg;
	}
	return NULL;
}

void rdm_msg_more(struct rdm_ep *ep, struct rdm_msg *msg,
		  const struct rdm_pkt *pkt)
{
	int ret = -EBADMSG;

	if (pkt->type == msg->type && kinds[msg->type].sliced &&
	    pkt->total == msg->total)
		ret = rdm_inflow_slice(&msg->in, pkt->offset, pkt->payload_len);
	if (ret) {
		count_bad(ep, ret);
		return;
	}
	take_bytes(ep, msg, pkt->offset, pkt);
	advance(ep, msg);
}

void rdm_msg_ctsdata(struct rdm_ep *ep, struct rdm_peer *peer,
		     const struct rdm_pkt *pkt)
{
	struct rdm_msg *msg = u_pool_at(&ep->msgs, pkt->recv_id);
	int ret = -EBADMSG;

	if (msg && msg->peer == peer && msg->state == RDM_MSG_COPYING)
		ret = rdm_inflow_granted(&msg->in, pkt->offset,
					 pkt->payload_len);
	if (ret) {
		count_bad(ep, ret);
		return;
	}
	take_bytes(ep, msg, pkt->offset, pkt);
	advance(ep, msg);
}

/* What a sender says instead of a request that we could not read. */
void rdm_msg_replace(struct rdm_ep *ep, struct rdm_peer *peer,
		     const struct rdm_pkt *pkt)
{
	struct rdm_msg *msg = rdm_msg_find(peer, pkt->msg_id);

	if (!msg || msg->state != RDM_MSG_NACKED || pkt->total != msg->total ||
	    kinds[pkt->type].tagged != msg->tagged || pkt->payload_len) {
		ep->stats.bad_packets++;
		return;
	}
	msg->type = pkt->type;
	msg->send_id = pkt->send_id;
	msg->state = RDM_MSG_COPYING;
	msg->in.total = msg->total;
	msg->in.got = msg->runt;
	advance(ep, msg);
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
	msg->state = kinds[msg->type].read && !msg->err ? RDM_MSG_READING :
							  RDM_MSG_COPYING;
	advance(ep, msg);
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
	msg->runt = kinds[pkt->type].read ? pkt->seg_len : 0;
	msg->asked = msg->runt;
	rdm_inflow_init(&msg->in, kinds[pkt->type].read ? msg->runt : total);
	msg->iovcnt = pkt->read_iovcnt;
	for (uint32_t i = 0; i < pkt->read_iovcnt; i++)
		msg->read_iov[i] = pkt->read_iov[i];
	TAILQ_INSERT_TAIL(&peer->msgs, msg, link);
	return msg;
}

/* Whether all that is to be read is offered. */
static bool sane(const struct rdm_pkt *pkt, const struct msg_kind *kind)
{
	return !kind->read ||
	       pkt->total == rdm_pkt_iov_len(pkt->read_iov, pkt->read_iovcnt);
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
	if (!rx) {
		ep->stats.unexpected++;
		rdm_kept_hold(ep, msg, sizeof(*msg));
	}
	msg->rx = rx;
	if (kind->sliced)
		rdm_inflow_slice(&msg->in, pkt->offset, pkt->payload_len);
	else
		msg->in.got = pkt->payload_len;
	if (pkt->payload_len)
		take_bytes(ep, msg, pkt->offset, pkt);
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
		rdm_ctl_send(ep, peer,
			     &(struct rdm_pkt){ .type = RDM_PKT_RECEIPT,
						.send_id = pkt->send_id,
						.msg_id = pkt->msg_id });
}
