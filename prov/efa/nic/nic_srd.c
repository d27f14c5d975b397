/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_srd.c - reliable messages into receives that the user posted
 *
 * While no receive is posted, peers are told to keep their sends: within the
 * host by the segment's pressure, once a look has found none posted, elsewhere
 * by the engine's "not ready". What was on its way by then is held here, and so
 * are ends of writes with immediate, which cannot be refused, if they are to use
 * up a receive. When even that place is full the lanes are left alone.
 *
 * The longest receive posted since peers were told to wait is told too, so that
 * a send that cannot fit ends with its sender. With receives of different
 * lengths a message may still meet one that is too short: then that receive says
 * so.
 */
#include "nic_priv.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t srd_nheld(const struct nic_qp *qp)
{
	return qp->held_tail - qp->held_head;
}

int nic_srd_init(struct nic_qp *qp)
{
	uint8_t *bytes = calloc(NIC_HELD, NIC_MTU);

	qp->held = calloc(NIC_HELD, sizeof(*qp->held));
	if (!bytes || !qp->held) {
		free(bytes);
		free(qp->held);
		qp->held = NULL;
		return -ENOMEM;
	}
	for (int i = 0; i < NIC_HELD; i++)
		qp->held[i].buf = bytes + (size_t)i * NIC_MTU;
	return 0;
}

/* Where peers look before each send: written when it changes for them. */
static void srd_dry(struct nic_qp *qp, bool dry)
{
	if (qp->dry == dry)
		return;
	qp->dry = dry;
	wire_shm_set_pressure(qp->shm, dry);
}

static void srd_count_posted(struct nic_qp *qp)
{
	atomic_store_explicit(&qp->posted, nic_posted(qp),
			      memory_order_relaxed);
}

void nic_srd_posted(struct nic_qp *qp)
{
	uint32_t last = qp->recv[(qp->recv_tail - 1) % NIC_RECVS].len;

	srd_count_posted(qp);
	if (u_unlikely(qp->dry ||
		       last > atomic_load_explicit(&qp->longest,
						   memory_order_relaxed))) {
		atomic_store_explicit(&qp->longest, last, memory_order_relaxed);
		wire_shm_set_room(qp->shm, last);
	}
	srd_dry(qp, false);
}

void nic_srd_unposted(struct nic_qp *qp)
{
	srd_count_posted(qp);
	srd_dry(qp, !nic_posted(qp));
}

/* --- arrivals --- */

static void srd_unsolicited(const struct nic_arrival *a, struct nic_wc *wc)
{
	*wc = (struct nic_wc){
		.len = a->len,
		.source = a->source,
		.imm = a->imm,
		.op = NIC_WC_WRITTEN,
		.has_imm = true,
	};
}

int nic_srd_take(struct nic_qp *qp, const struct nic_arrival *a,
		 struct nic_wc *wc)
{
	const struct nic_recv *r = nic_recv_next(qp);

	assert(nic_recv_is_ready(qp, a->op));
	if (qp->unsolicited && a->op == NIC_WC_WRITTEN) {
		srd_unsolicited(a, wc);
		return 1;
	}
	if (u_unlikely(a->op == NIC_WC_RECV && r->revoked))
		nic_recv_refuse(qp, a, NIC_BAD_LKEY, wc);
	else if (u_unlikely(a->op == NIC_WC_RECV && a->len > r->len))
		nic_recv_refuse(qp, a, NIC_TOO_LONG, wc);
	else
		nic_recv_fill(qp, a, 0, wc);
	srd_count_posted(qp);
	return 1;
}

static void srd_hold(struct nic_qp *qp, const struct nic_arrival *a)
{
	struct nic_held *held = &qp->held[qp->held_tail % NIC_HELD];

	assert(srd_nheld(qp) < NIC_HELD);
	held->arrival = *a;
	held->arrival.data = held->buf;
	if (a->op == NIC_WC_RECV && a->len)
		memcpy(held->buf, a->data, a->len);
	qp->held_tail++;
}

static int srd_poll_held(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	int k = 0;

	while (k < n && srd_nheld(qp) && nic_posted(qp))
		k += nic_srd_take(qp,
				  &qp->held[qp->held_head++ % NIC_HELD].arrival,
				  &wc[k]);
	return k;
}

bool nic_srd_can_poll(const struct nic_qp *qp)
{
	return srd_nheld(qp) && nic_posted(qp);
}

static bool srd_written(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
			struct nic_arrival *a)
{
	struct nic_wc wc;

	if (pkt->word != NIC_PKT_WRITTEN || !nic_poll_other(qp, pkt, &wc))
		return false;
	*a = (struct nic_arrival){
		.len = wc.len,
		.source = wc.source,
		.imm = wc.imm,
		.op = NIC_WC_WRITTEN,
		.has_imm = true,
	};
	return true;
}

static int srd_record(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		      struct nic_wc *wc)
{
	struct nic_arrival a;
	bool send = nic_recv_payload(qp, pkt, &a);

	if (u_unlikely(!send && pkt->word != NIC_PKT_WRITTEN)) {
		if (pkt->word <= NIC_PKT_SEND_IMM)
			return nic_bad_packet(qp);
		return nic_poll_other(qp, pkt, wc);
	}
	if (u_unlikely(!send && !srd_written(qp, pkt, &a)))
		return 0;
	if (u_likely(nic_posted(qp) && !srd_nheld(qp)) ||
	    (a.op == NIC_WC_WRITTEN && qp->unsolicited))
		return nic_srd_take(qp, &a, wc);
	srd_hold(qp, &a);
	return 0;
}

/* Records that one look at the wire may lend: each has a place to go. */
static int srd_places(const struct nic_qp *qp, int n)
{
	uint32_t places = NIC_HELD - srd_nheld(qp);

	if (nic_posted(qp) && !srd_nheld(qp))
		places = nic_posted(qp);
	return (int)u_min(u_min(places, (uint32_t)n), NIC_BURST);
}

int nic_srd_poll(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	int k = u_unlikely(srd_nheld(qp)) ? srd_poll_held(qp, wc, n) : 0;
	int max = k < n ? srd_places(qp, n - k) : 0;
	int m = max ? wire_shm_poll(qp->shm, qp->pkt, max) : 0;

	/* Who used up the last receive and posts one before he looks again has
	   kept nobody waiting. */
	if (u_unlikely(!nic_posted(qp)))
		srd_dry(qp, true);
	if (!m)
		return k;
	qp->epoch = (uint32_t)qp->shm_stats->lanes_opened;
	for (int i = 0; i < m; i++)
		k += srd_record(qp, &qp->pkt[i], &wc[k]);
	wire_shm_give_back(qp->shm);
	return k;
}

/* --- sends that the peer has no receive for --- */

/* All tries together take so long. */
static uint64_t srd_patience(const struct nic_qp *qp)
{
	return qp->rnr_retries ? NIC_RNR_WAIT << qp->rnr_retries : 0;
}

/*
 * Tries are counted by time and for the peer, not for a message: the caller
 * comes back with whichever it likes. Who was not tried for long begins anew.
 */
int nic_srd_refused(struct nic_ah *ah, uint64_t id)
{
	struct nic_qp *qp = ah->qp;
	uint64_t patience = srd_patience(qp);
	uint64_t now;

	if (!wire_shm_link_pressed(ah->link))
		return -EAGAIN;
	qp->stats.rnr_refused++;
	if (qp->rnr_retries == NIC_RNR_FOREVER)
		return -EAGAIN;
	now = u_now();
	if (!ah->full_since || ah->full_at != ah->tx_packets ||
	    now - ah->full_last > patience) {
		ah->full_since = now;
		ah->full_at = ah->tx_packets;
	}
	ah->full_last = now;
	if (now - ah->full_since < patience)
		return -EAGAIN;
	return nic_send_failed(ah, id, NIC_RNR);
}
