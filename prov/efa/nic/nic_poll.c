/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_poll.c - the pump: what waits goes out, what arrived comes in
 *
 * An empty poll of an RDM queue pair is a countdown, a test of one word and
 * an empty poll of the wire. Records of plain sends are lent to the caller as
 * they lie; those of other kinds are a row of the table below.
 */
#include "nic_priv.h"

#include <sys/socket.h>

/* Bursts without anything for the caller that one poll works through. */
#define BURSTS 4
/* Wake-ups that are taken off the socket at a time. */
#define WAKES 1024

static int poll_send_imm(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
			 struct nic_wc *wc)
{
	struct nic_pkt_imm h;

	if (!nic_pkt_header(pkt, &h, sizeof(h)) ||
	    pkt->len - sizeof(h) > NIC_MTU)
		return nic_bad_packet(qp);
	*wc = (struct nic_wc){
		.data = (const char *)pkt->data + sizeof(h),
		.len = pkt->len - (uint32_t)sizeof(h),
		.source = nic_lane_source(qp, pkt->lane),
		.imm = h.imm,
		.op = NIC_WC_RECV,
		.has_imm = true,
	};
	return 1;
}

static int poll_written(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
			struct nic_wc *wc)
{
	struct nic_pkt_imm h;

	if (!nic_pkt_header(pkt, &h, sizeof(h)) || h.len > NIC_MAX_RDMA)
		return nic_bad_packet(qp);
	*wc = (struct nic_wc){
		.len = h.len,
		.source = nic_lane_source(qp, pkt->lane),
		.imm = h.imm,
		.op = NIC_WC_WRITTEN,
		.has_imm = true,
	};
	return 1;
}

/* What a record of each kind does; returns how many completions it made. */
static int (*const poll_kind[])(struct nic_qp *qp,
				const struct wire_shm_pkt *pkt,
				struct nic_wc *wc) = {
	[NIC_PKT_SEND_IMM] = poll_send_imm, [NIC_PKT_READ] = nic_remote_read,
	[NIC_PKT_DATA] = nic_rdma_data,	    [NIC_PKT_WRITE] = nic_remote_write,
	[NIC_PKT_ACK] = nic_rdma_ack,	    [NIC_PKT_WRITTEN] = poll_written,
};

int nic_poll_other(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		   struct nic_wc *wc)
{
	if (pkt->word >= u_array_size(poll_kind) || !poll_kind[pkt->word])
		return nic_bad_packet(qp);
	return poll_kind[pkt->word](qp, pkt, wc);
}

/* --- work that waits --- */

static bool path_is_idle(const struct nic_path *p)
{
	return !p->nreplies && !p->wake && !nic_rdma_can_run(p);
}

/* Each active path once, while the budget lasts; who was left out is first. */
static void poll_run(struct nic_qp *qp)
{
	struct nic_path_list turn = TAILQ_HEAD_INITIALIZER(turn);
	size_t budget = NIC_SLICE;
	struct nic_path *p;

	TAILQ_CONCAT(&turn, &qp->active, link_active);
	while (budget && (p = TAILQ_FIRST(&turn))) {
		TAILQ_REMOVE(&turn, p, link_active);
		p->active = false;
		if (p->wake)
			nic_path_wake(p);
		nic_remote_run(p, &budget);
		nic_rdma_run(p, &budget);
		if (!path_is_idle(p))
			nic_path_activate(p);
	}
	TAILQ_CONCAT(&turn, &qp->active, link_active);
	TAILQ_CONCAT(&qp->active, &turn, link_active);
	if (TAILQ_EMPTY(&qp->active))
		qp->attention &= ~(uint32_t)NIC_ATT_WORK;
}

/*
 * Takes wake-ups off the bell. Over UDP packets come to it too: with an engine
 * they are the wire's, and before that the first is left there for the engine
 * to find, as a datagram does not come again. Bounded, as anybody can send to a
 * port.
 */
static void drain_socket(struct nic_qp *qp)
{
	bool wire = qp->far.fd == qp->sock;
	char byte;
	ssize_t n;

	if (wire && nic_far_is_open(&qp->far))
		return;
	for (int i = 0; i < WAKES; i++) {
		n = recv(qp->sock, &byte, 1,
			 MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC);
		if (n < 0)
			break;
		if (n && wire) {
			qp->attention |= NIC_ATT_FAR;
			break;
		}
		recv(qp->sock, &byte, 1, MSG_DONTWAIT);
	}
}

/* A sleeper is back: the clock may have gone far. */
static void poll_disarm(struct nic_qp *qp)
{
	wire_shm_disarm(qp->shm);
	if (nic_far_disarm(qp))
		qp->attention |= NIC_ATT_FAR;
	/* Last: what came before, the thread has left to us. */
	drain_socket(qp);
	qp->attention &= ~(uint32_t)NIC_ATT_ARMED;
	qp->polls_left = 1;
}

/* --- arrivals --- */

/* The m records in qp->pkt; returns how many completions they made. */
static inline int poll_records(struct nic_qp *qp, struct nic_wc *wc, int m)
{
	const struct wire_shm_pkt *pkt = qp->pkt;
	const struct wire_shm_pkt *end = pkt + m;
	int k = 0;

	qp->epoch = (uint32_t)qp->shm_stats->lanes_opened;
	do {
		if (u_unlikely(pkt->word != NIC_PKT_SEND ||
			       pkt->len > NIC_MTU)) {
			k += nic_poll_other(qp, pkt, &wc[k]);
			continue;
		}
		wc[k++] = (struct nic_wc){
			.data = pkt->data,
			.len = pkt->len,
			.source = nic_lane_source(qp, pkt->lane),
			.op = NIC_WC_RECV,
		};
	} while (++pkt < end);
	return k;
}

/* Nothing was for the caller, so what lies behind it may be. */
static U_COLD int poll_again(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	int k = 0;
	int m;

	for (int i = 1; i < BURSTS && !k; i++) {
		wire_shm_give_back(qp->shm);
		m = wire_shm_poll(qp->shm, qp->pkt, n);
		if (!m)
			return 0;
		k = poll_records(qp, wc, m);
	}
	if (!k)
		wire_shm_give_back(qp->shm);
	qp->lent = k != 0;
	return k;
}

static inline int poll_wire(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	int max = n < NIC_BURST ? n : NIC_BURST;
	int m = wire_shm_poll(qp->shm, qp->pkt, max);
	int k;

	if (!m)
		return 0;
	k = poll_records(qp, wc, m);
	if (u_unlikely(!k))
		return poll_again(qp, wc, max);
	qp->lent = true;
	return k;
}

static int (*const poll_arrivals[])(struct nic_qp *qp, struct nic_wc *wc,
				    int n) = {
	[NIC_QP_RDM] = poll_wire,
	[NIC_QP_UD] = nic_ud_poll,
	[NIC_QP_SRD] = nic_srd_poll,
};

static U_COLD int poll_attend(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	int k = 0;

	if (qp->attention & NIC_ATT_ARMED)
		poll_disarm(qp);
	if (qp->attention & NIC_ATT_WORK)
		poll_run(qp);
	if (qp->attention & NIC_ATT_DONE)
		k = nic_done_pop(qp, wc, n);
	if (k < n)
		k += poll_arrivals[qp->type](qp, wc + k, n - k);
	if ((qp->attention & NIC_ATT_FAR) && k < n)
		k += nic_far_poll(qp, wc + k, n - k);
	return k;
}

int nic_poll(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	assert(!qp->lent && n > 0);
	if (u_unlikely(--qp->polls_left <= 0))
		nic_tick(qp);
	if (u_unlikely(qp->attention))
		return poll_attend(qp, wc, n);
	return poll_wire(qp, wc, n);
}

void nic_give_back(struct nic_qp *qp)
{
	if (u_unlikely(qp->attention & NIC_ATT_FAR))
		nic_far_give_back(qp);
	if (!qp->lent)
		return;
	wire_shm_give_back(qp->shm);
	qp->lent = false;
}

int nic_qp_arm(struct nic_qp *qp)
{
	if (qp->attention & (NIC_ATT_DONE | NIC_ATT_WORK))
		return 1;
	/* GONE is due soon, and no arrival says when. */
	if (qp->type == NIC_QP_RDM && !TAILQ_EMPTY(&qp->ending))
		return 1;
	if (qp->type == NIC_QP_UD && !nic_posted(qp))
		return 0;
	if (qp->type == NIC_QP_SRD && nic_srd_can_poll(qp))
		return 1;
	drain_socket(qp);
	if (!nic_far_arm(qp) || wire_shm_arm(qp->shm)) {
		poll_disarm(qp);
		return 1;
	}
	qp->attention |= NIC_ATT_ARMED;
	return 0;
}
