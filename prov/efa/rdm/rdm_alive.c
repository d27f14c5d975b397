/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_alive.c - is a peer still there that we wait for?
 *
 * A device tells what became of our packets. When all of them have arrived and
 * the next one is the peer's to send, a CTS, DATA, RECEIPT or EOR, a device that
 * is no more than that says nothing of a peer that died; our operation would
 * never end. So who is waited for gets a packet without effect now and then,
 * a write of nothing to nowhere, which every version of the protocol knows as
 * the wish for a HANDSHAKE. When the device cannot deliver it, the peer is lost
 * like by any other control packet (rdm_ctl_wc).
 *
 * It takes up a receive buffer of a peer that computes, and a thousand of us
 * may wait for one of them: so it comes after 1, 2, 4, 8, 16 seconds and then
 * every 16, and none while one is under way.
 *
 * So does, of any device, a peer that is owed something (rdm_ctl.c): when it can
 * be reached again it is told.
 *
 * Who posted a receive and has nothing of its message waits for nobody that we
 * know of.
 */
#include "rdm/rdm_ctl.h"

#include "util/u_time.h"

#define LOOK_EVERY U_SEC
#define LOOKS_MAX 16 /* between two probes */

static void probe(struct rdm_ep *ep, struct rdm_peer *peer)
{
	struct rdm_pkt pkt = { .type = RDM_PKT_EAGER_RTW };

	peer->probed = true;
	rdm_ctl_send(ep, peer, &pkt);
}

static bool is_due(uint32_t looks)
{
	if (looks > LOOKS_MAX)
		return looks % LOOKS_MAX == 0;
	return looks && !(looks & (looks - 1));
}

/* Something is awaited from the peer, as we find at this look. */
static void awaited(struct rdm_ep *ep, struct rdm_peer *peer)
{
	uint32_t look = ep->looks;

	if (peer->awaited == look)
		return;
	peer->looks = peer->awaited == look - 1 ? peer->looks + 1 : 0;
	peer->awaited = look;
	if (is_due(peer->looks) && !peer->probed && !peer->gone)
		probe(ep, peer);
}

/* Nothing of it is with the device, or waits for room there. */
static bool tx_awaits(const struct rdm_tx *tx)
{
	return !tx->wrs && tx->state != RDM_TX_SENDING;
}

static bool msg_awaits(const struct rdm_msg *msg)
{
	return msg->rx && !msg->reads && !msg->queued;
}

static bool serve_awaits(const struct rdm_serve *serve)
{
	return !serve->reading && !serve->queued && !serve->dead;
}

static U_COLD void look_at_operations(struct rdm_ep *ep)
{
	struct rdm_serve *serve;
	struct rdm_msg *msg;
	struct rdm_tx *tx;
	uint32_t cursor = 0;

	while ((tx = u_pool_next(&ep->txs, &cursor)))
		if (tx_awaits(tx))
			awaited(ep, tx->peer);
	cursor = 0;
	while ((msg = u_pool_next(&ep->msgs, &cursor)))
		if (msg_awaits(msg))
			awaited(ep, msg->peer);
	cursor = 0;
	while ((serve = u_pool_next(&ep->serves, &cursor)))
		if (serve_awaits(serve))
			awaited(ep, serve->peer);
}

static U_COLD void look_at_owed(struct rdm_ep *ep)
{
	struct rdm_peer *peer;
	uint32_t cursor = 0;

	while ((peer = u_pool_next(&ep->peers, &cursor)))
		if (peer->nowed)
			awaited(ep, peer);
}

void rdm_alive_look(struct rdm_ep *ep)
{
	bool watched = ep->config.dev->info.caps & DEV_CAP_WATCHES;
	uint64_t now;

	if (watched && !ep->nowed)
		return;
	now = u_now();
	if (now < ep->look_at)
		return;
	ep->look_at = now + LOOK_EVERY;
	ep->looks++;
	if (!watched)
		look_at_operations(ep);
	if (ep->nowed)
		look_at_owed(ep);
}
