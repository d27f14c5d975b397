/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_ctl.c - control packets: each is sent until it arrives, or its peer is no
 * more
 *
 *                 +------- room -------+
 *                 |                    v            arrived
 *   send -->  ep->ctls            ep->ctls_posted ---------> freed
 *                 ^ ^                  | |
 *                 | +---- refused -----+ | out of reach for so long
 *                 |                      v
 *   reached, hands shaken <-------- peer->owed <-- owe
 *
 * A peer that cannot be reached may be again, and then it still waits for what
 * it was to be told: that, and nothing else, tells it the end of its operation.
 * So what it is owed stays until it has arrived, however often the peer gets
 * lost meanwhile. A CTS is not kept, since what waits for its bytes here ends,
 * and the peer is told of that instead.
 */
#include "rdm/rdm_move.h"

#include <stdlib.h>
#include <string.h>

#include "util/u_log.h"
#include "util/u_time.h"

static struct rdm_ctl_list *list_of(struct rdm_ep *ep,
				    const struct rdm_ctl *ctl)
{
	switch ((enum rdm_ctl_state)ctl->state) {
	case RDM_CTL_WAITING:
		break;
	case RDM_CTL_POSTED:
		return &ep->ctls_posted;
	case RDM_CTL_OWED:
		return &ctl->peer->owed;
	}
	return &ep->ctls;
}

static void enter(struct rdm_ep *ep, struct rdm_ctl *ctl, uint8_t state)
{
	ctl->state = state;
	TAILQ_INSERT_TAIL(list_of(ep, ctl), ctl, link);
	if (u_unlikely(state == RDM_CTL_OWED)) {
		ctl->peer->nowed++;
		ep->nowed++;
	}
}

static void leave(struct rdm_ep *ep, struct rdm_ctl *ctl)
{
	TAILQ_REMOVE(list_of(ep, ctl), ctl, link);
	if (u_unlikely(ctl->state == RDM_CTL_OWED)) {
		ctl->peer->nowed--;
		ep->nowed--;
	}
}

/* From wherever it is: rdm_ctl_resume() posts it. */
static void wait_for_room(struct rdm_ep *ep, struct rdm_ctl *ctl)
{
	leave(ep, ctl);
	enter(ep, ctl, RDM_CTL_WAITING);
	ep->busy = true;
}

static void ctl_put(struct rdm_ep *ep, struct rdm_ctl *ctl)
{
	free(ctl->large);
	u_pool_put(&ep->ctl_pool, ctl);
}

static void ctl_free(struct rdm_ep *ep, struct rdm_ctl *ctl)
{
	leave(ep, ctl);
	if (u_unlikely(ctl->type == RDM_PKT_EAGER_RTW))
		ctl->peer->probed = false;
	ctl_put(ep, ctl);
}

/* Makes a packet with its payload; NULL without memory. */
static struct rdm_ctl *ctl_new(struct rdm_ep *ep, struct rdm_peer *peer,
			       struct rdm_pkt *pkt, const void *data,
			       uint32_t len)
{
	struct rdm_ctl *ctl = u_pool_get(&ep->ctl_pool);
	uint32_t hdr_len;
	uint8_t *bytes;

	rdm_pkt_identity(ep, peer, pkt);
	hdr_len = rdm_pkt_hdr_len(pkt);
	assert(hdr_len <= RDM_CTL_MAX);
	if (!ctl)
		goto no_memory;
	ctl->large = NULL;
	if (u_unlikely(hdr_len + len > RDM_CTL_MAX)) {
		ctl->large = malloc(hdr_len + len);
		if (!ctl->large)
			goto put;
	}
	bytes = ctl->large ? ctl->large : ctl->bytes;
	rdm_pkt_build(bytes, pkt);
	if (len)
		memcpy(bytes + hdr_len, data, len);
	ctl->len = hdr_len + len;
	ctl->peer = peer;
	ctl->type = pkt->type;
	ctl->or_else = false;
	ctl->more = 0;
	ctl->since = 0;
	return ctl;

put:
	u_pool_put(&ep->ctl_pool, ctl);
no_memory:
	u_warn("no memory for a %s packet; an operation of a peer will not "
	       "complete",
	       rdm_pkt_row(pkt->type)->name);
	return NULL;
}

/* ---- what a peer is owed ------------------------------------------------- */

/*
 * Whether the peer is to get it whenever it is back. What waits for the peer's
 * answer to it meanwhile is ended by a probe that fails as well.
 */
static bool is_owed(const struct rdm_ctl *ctl)
{
	switch (ctl->type) {
	case RDM_PKT_CTS: /* our user waits for the bytes, and is told */
	case RDM_PKT_HANDSHAKE: /* goes anew with the next packet */
	case RDM_PKT_EAGER_RTW: /* the probe */
		return false;
	default:
		return true;
	}
}

/* It says that numbers are skipped, and pkt is what of the first. */
static bool skips(const struct rdm_ctl *ctl, struct rdm_pkt *pkt)
{
	return ctl && ctl->type == RDM_PKT_PEER_ERROR &&
	       !rdm_pkt_parse(ctl->bytes, ctl->len, pkt) &&
	       pkt->aux == RDM_REF_SKIP;
}

/* Numbers that are skipped in a row are one entry. */
static bool join(struct rdm_peer *peer, const struct rdm_ctl *ctl)
{
	struct rdm_ctl *last = TAILQ_LAST(&peer->owed, rdm_ctl_list);
	struct rdm_pkt before, pkt;

	if (!skips(last, &before) || !skips(ctl, &pkt) ||
	    before.send_id + last->more + 1 != pkt.send_id)
		return false;
	last->more += 1 + ctl->more;
	return true;
}

/* Takes it, which is on no list. */
static U_COLD void keep(struct rdm_ep *ep, struct rdm_ctl *ctl)
{
	struct rdm_peer *peer = ctl->peer;

	/* The next packet from it is then a cause to send it something. */
	if (peer->shaken)
		peer->greeted = false;
	if (join(peer, ctl)) {
		ctl_put(ep, ctl);
		return;
	}
	if (peer->nowed < RDM_OWED_MAX) {
		enter(ep, ctl, RDM_CTL_OWED);
		return;
	}
	u_info("a peer that cannot be reached is owed too much; an operation "
	       "of it will not complete");
	ctl_put(ep, ctl);
}

U_COLD void rdm_ctl_owe(struct rdm_ep *ep, struct rdm_peer *peer,
			struct rdm_pkt *pkt, bool or_else)
{
	struct rdm_ctl *ctl;

	if (peer->gone)
		return;
	ctl = ctl_new(ep, peer, pkt, NULL, 0);
	if (!ctl)
		return;
	ctl->or_else = or_else;
	keep(ep, ctl);
}

/* What a peer that does not know PEER_ERROR gets, and what others do. */
static bool is_meant(const struct rdm_ctl *ctl)
{
	if (ctl->type == RDM_PKT_PEER_ERROR)
		return rdm_error_can_tell(ctl->peer);
	return !ctl->or_else || !rdm_error_can_tell(ctl->peer);
}

U_COLD void rdm_ctl_pay(struct rdm_ep *ep, struct rdm_peer *peer)
{
	struct rdm_ctl *ctl;

	while ((ctl = TAILQ_FIRST(&peer->owed))) {
		ctl->since = 0;
		if (is_meant(ctl))
			wait_for_room(ep, ctl);
		else
			ctl_free(ep, ctl);
	}
}

/* The number behind one that was skipped. */
static U_COLD void skip_next(struct rdm_ep *ep, struct rdm_ctl *ctl)
{
	struct rdm_pkt pkt;

	skips(ctl, &pkt);
	pkt.send_id++;
	rdm_pkt_build(ctl->bytes, &pkt);
	ctl->more--;
	ctl->since = 0;
	wait_for_room(ep, ctl);
}

/* ---- sending ------------------------------------------------------------- */

static void arrived(struct rdm_ep *ep, struct rdm_ctl *ctl)
{
	struct rdm_peer *peer = ctl->peer;

	if (u_unlikely(ctl->more))
		skip_next(ep, ctl);
	else
		ctl_free(ep, ctl);
	rdm_peer_reached(ep, peer);
}

/* Posts a packet of ep->ctls. False: no room. */
static bool ctl_post(struct rdm_ep *ep, struct rdm_ctl *ctl)
{
	struct dev_wr wr = {
		.id = rdm_wr_id(RDM_WR_CTL, u_pool_id(ctl)),
		.ah = ctl->peer->ah,
		.op = DEV_SEND,
		.hdr = ctl->large ? ctl->large : ctl->bytes,
		.hdr_len = ctl->len,
	};

	if (dev_post(ep->qp, &wr, 1) != 1)
		return false;
	if (u_likely(wr.done)) {
		arrived(ep, ctl);
		return true;
	}
	leave(ep, ctl);
	enter(ep, ctl, RDM_CTL_POSTED);
	return true;
}

void rdm_ctl_send_data(struct rdm_ep *ep, struct rdm_peer *peer,
		       struct rdm_pkt *pkt, const void *data, uint32_t len)
{
	struct rdm_ctl *ctl;

	if (peer->gone)
		return;
	ctl = ctl_new(ep, peer, pkt, data, len);
	if (!ctl)
		return;
	enter(ep, ctl, RDM_CTL_WAITING);
	if (!ctl_post(ep, ctl))
		ep->busy = true;
}

void rdm_ctl_send(struct rdm_ep *ep, struct rdm_peer *peer, struct rdm_pkt *pkt)
{
	rdm_ctl_send_data(ep, peer, pkt, NULL, 0);
}

void rdm_ctl_resume(struct rdm_ep *ep)
{
	struct rdm_ctl *ctl = TAILQ_FIRST(&ep->ctls);

	/* What one of them sets free goes behind the last. */
	while (ctl) {
		struct rdm_ctl *next = TAILQ_NEXT(ctl, link);

		ctl_post(ep, ctl);
		ctl = next;
	}
}

/*
 * The peer may well be there, and trying again may help: for a while, as its
 * operation and ours would wait for ever otherwise.
 */
static U_COLD bool worth_retry(const struct rdm_ep *ep, struct rdm_ctl *ctl,
			       uint8_t status)
{
	uint64_t now = u_now();

	if (status == DEV_RNR)
		return true;
	if (!ctl->since)
		ctl->since = now;
	return status == DEV_UNREACHABLE &&
	       now - ctl->since < ep->config.answer_timeout;
}

void rdm_ctl_wc(struct rdm_ep *ep, struct rdm_ctl *ctl, const struct dev_wc *wc)
{
	struct rdm_peer *peer = ctl->peer;

	if (u_likely(!wc->status)) {
		arrived(ep, ctl);
	} else if (worth_retry(ep, ctl, wc->status)) {
		wait_for_room(ep, ctl);
	} else if (wc->status == DEV_UNREACHABLE && is_owed(ctl)) {
		leave(ep, ctl);
		keep(ep, ctl);
	} else {
		ctl_free(ep, ctl);
		rdm_peer_leaves(ep, peer, wc->status);
	}
}

U_COLD void rdm_ctl_drop(struct rdm_ep *ep, const struct rdm_peer *peer)
{
	struct rdm_ctl *ctl;
	uint32_t cursor = 0;

	while ((ctl = u_pool_next(&ep->ctl_pool, &cursor)))
		if (!peer ||
		    (ctl->peer == peer && (peer->gone || !is_owed(ctl))))
			ctl_free(ep, ctl);
}
