/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_tick.c - what is looked after now and then: dead peers, empty lanes
 *
 * A tick costs system calls, so it is bounded: a quarter of the paths, but at
 * least PATHS_A_TICK, are checked. A dead peer is thus found within five
 * ticks of polling.
 */
#include "nic_priv.h"

#include "nic_gid.h"
#include "util/u_log.h"

#define PATHS_A_TICK 16

/* Where the peer writes to us; NIC_LANES: nowhere. */
static uint32_t path_lane(const struct nic_path *p)
{
	struct wire_shm_id who;
	uint32_t lane;

	for (lane = 0; lane < NIC_LANES; lane++)
		if (!wire_shm_source(p->qp->shm, lane, &who) &&
		    nic_id_same(&who, &p->id))
			break;
	return lane;
}

/*
 * GONE promises that nothing comes from the peer any more, so it waits until
 * what a dead peer wrote has been read. Not for ever: a peer that lives but
 * cut us off keeps its lane. A UD user may never read, and needs no promise.
 */
static bool path_has_ended(struct nic_path *p)
{
	struct nic_qp *qp = p->qp;

	return qp->type == NIC_QP_UD || ++p->ending_ticks >= NIC_GONE_TICKS ||
	       path_lane(p) == NIC_LANES;
}

static void tick_ending(struct nic_qp *qp)
{
	struct nic_path *p, *next;

	for (p = TAILQ_FIRST(&qp->ending); p; p = next) {
		next = TAILQ_NEXT(p, link_ending);
		if (!path_has_ended(p))
			continue;
		p->ending = false;
		TAILQ_REMOVE(&qp->ending, p, link_ending);
		nic_done_gone(p);
	}
}

/* Whoever waits for an answer that cannot be sent has to hear of it. */
static void path_cut_off(struct nic_path *p)
{
	struct nic_qp *qp = p->qp;
	char peer[NIC_GID_TEXT];
	uint32_t lane = path_lane(p);

	u_warn("%s queue pair %u of this host is cut off from shared memory: "
	       "its RDMA cannot be answered that way (enlarge /dev/shm)",
	       nic_gid_text(p->id.gid, peer), p->id.qpn);
	nic_path_drop_answers(p);
	if (lane < NIC_LANES)
		wire_shm_cut_off(qp->shm, lane);
}

static void tick_answers(struct nic_path *p)
{
	if (p->link || !p->nreplies)
		p->owing_ticks = 0;
	else if (++p->owing_ticks >= NIC_OWING_TICKS)
		path_cut_off(p);
}

static void tick_link(struct nic_path *p)
{
	if (!p->link || !wire_shm_link_check(p->link))
		return;
	if (p->state == NIC_PATH_LIVE)
		nic_path_die(p);
	else
		nic_path_drop_answers(p);
}

static void tick_path(struct nic_path *p)
{
	p->hold = false;
	tick_link(p);
	tick_answers(p);
	if (!p->ending)
		nic_path_drop(p);
}

static void tick_paths(struct nic_qp *qp)
{
	uint32_t n = (uint32_t)u_min(PATHS_A_TICK + qp->npaths / 4, qp->npaths);
	struct nic_path *p;

	while (n--) {
		p = TAILQ_FIRST(&qp->paths);
		TAILQ_REMOVE(&qp->paths, p, link_all);
		TAILQ_INSERT_TAIL(&qp->paths, p, link_all);
		tick_path(p);
	}
}

void nic_tick(struct nic_qp *qp)
{
	uint64_t now = u_now();

	qp->polls_left = NIC_POLLS_A_LOOK;
	if (u_unlikely(nic_far_is_calling(&qp->far)))
		qp->attention |= NIC_ATT_FAR;
	if (now - qp->ticked < NIC_TICK)
		return;
	qp->ticked = now;
	wire_shm_tick(qp->shm);
	tick_paths(qp);
	tick_ending(qp);
}
