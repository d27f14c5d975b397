/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_far_poll.c - what the user's poll gets from other hosts
 *
 * Packets are lent as they lie in the wire's buffers. Where a poll of the wire
 * is a system call, it is rationed: each time while packets come, less often
 * when only shared memory is busy, not at all after a quiet second, when the
 * thread takes over and calls us back.
 */
#include "nic_far.h"

#include <string.h>

#include "nic_priv.h"

/* Empty polls after which the socket is looked at every SPARSE ns: by time, as
 * a poll of a program that yields its core may take milliseconds. */
#define EAGER_POLLS 256
#define SPARSE (2 * U_USEC)
/* Bursts without anything for the user that one poll works through. */
#define BURSTS 4

/* A peer's first event. */
static U_COLD uint32_t far_meet(struct nic_qp *qp, struct srd_peer *peer)
{
	const struct srd_addr *addr = srd_peer_addr(peer);
	struct wire_shm_id id = { .qpn = addr->qpn, .connid = addr->connid };
	struct nic_path *p;
	uint32_t source;

	memcpy(id.gid, addr->gid, sizeof(id.gid));
	p = nic_path_find(qp, &id);
	if (p && p->state == NIC_PATH_DEAD && qp->type == NIC_QP_RDM)
		srd_give_up(qp->far.srd, peer);
	source = nic_source_of(qp, &id);
	if (source != NIC_SOURCE_UNKNOWN)
		srd_peer_set_user(peer, (void *)((uintptr_t)source + 1));
	return source;
}

/* Number of a peer; kept beside it from its first event on. */
static uint32_t far_source(struct nic_qp *qp, struct srd_peer *peer)
{
	uintptr_t known = (uintptr_t)srd_peer_user(peer);

	if (u_likely(known != 0))
		return (uint32_t)(known - 1);
	return far_meet(qp, peer);
}

static struct nic_arrival far_arrival(const struct srd_event *e,
				      uint32_t source, enum nic_wc_op op)
{
	return (struct nic_arrival){
		.data = e->data,
		.len = e->len,
		.source = source,
		.imm = e->imm,
		.op = (uint8_t)op,
		.has_imm = e->has_imm,
	};
}

static int far_datagram(struct nic_qp *qp, const struct srd_event *e,
			struct nic_wc *wc)
{
	struct wire_shm_id id = {
		.qpn = e->from.qpn,
		.connid = e->from.connid,
	};
	struct nic_arrival a;

	memcpy(id.gid, e->from.gid, sizeof(id.gid));
	a = far_arrival(e, nic_source_of(qp, &id), NIC_WC_RECV);
	return nic_ud_take(qp, &a, wc);
}

/* A message or the end of a write, into a receive. */
static int far_srd(struct nic_qp *qp, const struct srd_event *e,
		   enum nic_wc_op op, struct nic_wc *wc)
{
	struct nic_arrival a = far_arrival(e, far_source(qp, e->peer), op);

	return nic_srd_take(qp, &a, wc);
}

static int far_recv(struct nic_qp *qp, const struct srd_event *e,
		    struct nic_wc *wc)
{
	if (e->len > NIC_MTU)
		return nic_bad_packet(qp);
	if (qp->type == NIC_QP_SRD)
		return far_srd(qp, e, NIC_WC_RECV, wc);
	*wc = (struct nic_wc){
		.data = e->data,
		.len = e->len,
		.source = far_source(qp, e->peer),
		.imm = e->imm,
		.op = NIC_WC_RECV,
		.has_imm = e->has_imm,
	};
	return 1;
}

static int far_written(struct nic_qp *qp, const struct srd_event *e,
		       struct nic_wc *wc)
{
	if (qp->type == NIC_QP_SRD)
		return far_srd(qp, e, NIC_WC_WRITTEN, wc);
	*wc = (struct nic_wc){
		.len = e->len,
		.source = far_source(qp, e->peer),
		.imm = e->imm,
		.op = NIC_WC_WRITTEN,
		.has_imm = true,
	};
	return 1;
}

/* A completion of an event; 0: nobody is to hear of it. */
static int far_event(struct nic_qp *qp, const struct srd_event *e,
		     struct nic_wc *wc)
{
	bool ud = qp->type == NIC_QP_UD;

	switch (e->kind) {
	case SRD_EV_RECV:
		return ud ? nic_bad_packet(qp) : far_recv(qp, e, wc);
	case SRD_EV_WRITTEN:
		return ud ? nic_bad_packet(qp) : far_written(qp, e, wc);
	case SRD_EV_DATAGRAM:
		if (!ud)
			return nic_bad_packet(qp);
		return far_datagram(qp, e, wc);
	}
	return nic_bad_packet(qp);
}

/* --- what the thread has kept --- */

static bool can_poll_kept(const struct nic_far *far)
{
	enum srd_event_kind kind;

	if (!nic_far_nkept(far))
		return false;
	kind = far->kept[far->kept_head % NIC_FAR_KEPT].event.kind;
	return nic_recv_is_ready(
		far->qp, kind == SRD_EV_WRITTEN ? NIC_WC_WRITTEN : NIC_WC_RECV);
}

static int poll_kept(struct nic_far *far, struct nic_wc *wc, int n)
{
	int k = 0;

	while (k < n && can_poll_kept(far)) {
		const struct nic_far_kept *kept =
			&far->kept[far->kept_head++ % NIC_FAR_KEPT];

		k += far_event(far->qp, &kept->event, &wc[k]);
		far->kept_lent++;
	}
	return k;
}

/* --- what comes from the wire --- */

/* The next message has to fit the next receive. */
static void far_set_room(struct nic_far *far)
{
	srd_set_room(far->srd, nic_recv_next(far->qp)->len);
	srd_set_ready(far->srd, true);
}

static int poll_packets(struct nic_far *far, const struct wire_in *in, int m,
			struct nic_wc *wc, uint64_t now)
{
	struct nic_keys *keys = &far->qp->nic->keys;
	int k = 0;

	nic_keys_enter(keys);
	for (int i = 0; i < m; i++) {
		struct srd_event *e = &far->event[far->nevents];

		if (far->qp->type == NIC_QP_SRD)
			far_set_room(far);
		if (!srd_rx(far->srd, in[i].data, in[i].len, in[i].gid, now, e))
			continue;
		k += far_event(far->qp, e, &wc[k]);
		far->nevents++;
	}
	nic_keys_leave(keys);
	return k;
}

static void release_packets(struct nic_far *far)
{
	for (int i = 0; i < far->nevents; i++)
		srd_release(far->srd, &far->event[i]);
	far->nevents = 0;
	wire_give_back(far->wire);
}

static void far_release(struct nic_far *far)
{
	release_packets(far);
	far->kept_lent = 0;
}

/* Returns how many completions came; *heard: something came at all. */
static int poll_wire(struct nic_far *far, struct nic_wc *wc, int n,
		     uint64_t now, bool *heard)
{
	struct wire_in in[NIC_FAR_BURST];
	int max = n < NIC_FAR_BURST ? n : NIC_FAR_BURST;
	int k = 0, m;

	for (int i = 0; i < BURSTS && !k; i++) {
		if (i)
			release_packets(far);
		m = wire_poll(far->wire, in, max);
		if (!m)
			break;
		*heard = true;
		k = poll_packets(far, in, m, wc, now);
	}
	return k;
}

/*
 * Peers are answered also while no receive is posted. True: they have spoken.
 */
static bool far_serve(struct nic_far *far, uint64_t now)
{
	uint64_t before = far->active_at;

	far->active_at = 0;
	nic_far_receive(far, now);
	if (far->active_at)
		return true;
	far->active_at = before;
	return false;
}

/* --- who drives --- */

void nic_far_take_over(struct nic_far *far, uint64_t now)
{
	atomic_store_explicit(&far->call, false, memory_order_relaxed);
	far->qp->attention |= NIC_ATT_FAR;
	far->qp->far_quiet = 0;
	far->active_at = now;
	nic_watch_mode(far->qp->nic->watch, far, NIC_FAR_POLLED);
	/* What the user takes himself needs no room among what is kept. */
	if (far->qp->type == NIC_QP_SRD)
		nic_far_set_ready(far);
	else
		srd_set_ready(far->srd, true);
}

static void far_hand_over(struct nic_far *far)
{
	nic_watch_mode(far->qp->nic->watch, far, NIC_FAR_WATCHED);
	far->qp->attention &= ~(uint32_t)NIC_ATT_FAR;
}

/* The next polls may leave the socket alone. */
static void far_ration(struct nic_qp *qp, bool heard, uint64_t now)
{
	qp->far_looked = now;
	if (heard)
		qp->far_quiet = 0;
	else if (qp->far_quiet < EAGER_POLLS)
		qp->far_quiet++;
}

static bool far_may_skip(const struct nic_qp *qp)
{
	return qp->far_quiet == EAGER_POLLS && qp->far.ration &&
	       u_now() - qp->far_looked < SPARSE;
}

static int far_turn(struct nic_far *far, struct nic_wc *wc, int n)
{
	struct nic_qp *qp = far->qp;
	uint64_t now = u_now();
	bool heard = false;
	int k;

	far->polls++;
	if (u_unlikely(far->mode != NIC_FAR_POLLED))
		nic_far_take_over(far, now);
	k = poll_kept(far, wc, n);
	if (nic_recv_room(qp, n - k))
		k += poll_wire(far, wc + k, nic_recv_room(qp, n - k), now,
			       &heard);
	else if (qp->type == NIC_QP_SRD)
		heard = far_serve(far, now);
	nic_far_notes(far, now);
	if (heard || nic_far_deadline(far) <= now)
		nic_far_flush(far, now);
	if (k < n)
		k += nic_far_done(qp, wc + k, n - k);
	if (heard)
		far->active_at = now;
	far_ration(qp, heard || k, now);
	if (u_unlikely(now - far->active_at > NIC_FAR_QUIET) && !k &&
	    srd_idle(far->srd))
		far_hand_over(far);
	return k;
}

static bool has_loans(const struct nic_wc *wc, int n)
{
	for (int i = 0; i < n; i++)
		if (wc[i].data)
			return true;
	return false;
}

int nic_far_poll(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	struct nic_far *far = &qp->far;
	int k = 0;

	if (far_may_skip(qp))
		return 0;
	u_lock(&far->lock);
	if (!nic_far_open(far)) {
		k = far_turn(far, wc, n);
		far->lent = has_loans(wc, k);
		if (!far->lent)
			far_release(far);
	}
	u_unlock(&far->lock);
	return k;
}

void nic_far_give_back(struct nic_qp *qp)
{
	struct nic_far *far = &qp->far;

	u_lock(&far->lock);
	if (far->lent)
		far_release(far);
	far->lent = false;
	u_unlock(&far->lock);
}

bool nic_far_arm(struct nic_qp *qp)
{
	struct nic_far *far = &qp->far;
	uint64_t now = u_now();
	bool armed = true;

	u_lock(&far->lock);
	far->asleep = true;
	if (far->srd) {
		nic_far_receive(far, now);
		nic_far_flush(far, now);
		armed = !can_poll_kept(far) && !srd_has_done(far->srd) &&
			!wire_arm(far->wire);
		if (armed)
			nic_watch_mode(qp->nic->watch, far, NIC_FAR_ARMED);
		else
			qp->attention |= NIC_ATT_FAR;
	}
	u_unlock(&far->lock);
	return armed;
}

bool nic_far_disarm(struct nic_qp *qp)
{
	struct nic_far *far = &qp->far;
	bool open;

	u_lock(&far->lock);
	far->asleep = false;
	open = far->srd != NULL;
	if (open && far->mode == NIC_FAR_ARMED)
		nic_far_take_over(far, u_now());
	u_unlock(&far->lock);
	return open;
}

bool nic_far_is_open(struct nic_far *far)
{
	bool open;

	u_lock(&far->lock);
	open = far->srd != NULL;
	u_unlock(&far->lock);
	return open;
}
