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

/* No link for answers has come. */
static void path_tell_cut_off(const struct nic_path *p)
{
	char peer[NIC_GID_TEXT];

	u_warn("%s queue pair %u of this host is cut off from shared memory: "
	       "its RDMA cannot be answered that way (enlarge /dev/shm)",
	       nic_gid_text(p->id.gid, peer), p->id.qpn);
}

static void tick_answers(struct nic_path *p)
{
	if (p->link || !p->nreplies) {
		p->owing_looks = 0;
	} else if (++p->owing_looks >= NIC_OWING_LOOKS) {
		path_tell_cut_off(p);
		nic_path_drop_answers(p);
	}
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
	/* Before a look that may drop answers: a peer that closes, or dies, has
	   its lane marked so by the next tick. */
	nic_path_shun_tick(p);
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
	nic_end_tick(qp);
}
