/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_end.c - how a path ends, and who hears of it
 *
 * A path ends once: what is under way ends with it, and when nothing of the
 * peer is left to be heard our user is told GONE. A user of an RDM queue pair
 * then has no ear for the peer any more. Had a peer that lives no part in that,
 * its operations would wait for us for ever. So it hears the same:
 *
 *   it speaks by the packet wire   its conversation is given up at once, and
 *                                  its next packet is answered by that
 *   it speaks by shared memory     its lane is cut off, but not before what
 *                                  lies there has been read (I1)
 *
 * A lane is cut off too where an answer was dropped that its peer waits for.
 *
 * UD and SRD queue pairs are as cards, which have no memory: their peers end
 * only where they are found closed or dead.
 */
#include "nic_priv.h"

/* --- lanes --- */

/* The first lane of the peer from this one on; NIC_LANES: none. */
static uint32_t path_lane(const struct nic_path *p, uint32_t lane)
{
	struct wire_shm_id who;

	for (; lane < NIC_LANES; lane++)
		if (!wire_shm_source(p->qp->shm, lane, &who) &&
		    nic_id_same(&who, &p->id))
			break;
	return lane;
}

static bool path_has_lane(const struct nic_path *p)
{
	return path_lane(p, 0) < NIC_LANES;
}

/* One that its peer closes, or died with, goes by itself once it is read. */
static void path_cut_off(const struct nic_path *p)
{
	uint32_t lane = 0;

	while ((lane = path_lane(p, lane)) < NIC_LANES)
		wire_shm_cut_off(p->qp->shm, lane++);
}

void nic_path_shun_tick(struct nic_path *p)
{
	/* I1 */
	if (!p->shun || p->ending)
		return;
	p->shun = false;
	path_cut_off(p);
}

void nic_path_heard(struct nic_qp *qp, const struct wire_shm_id *id)
{
	struct nic_path *p = nic_path_find(qp, id);

	if (p && p->state == NIC_PATH_DEAD && qp->type == NIC_QP_RDM)
		p->shun = true;
}

/* --- the end --- */

/* Ends the operations of a list; those of the dead peer's making. */
static void path_end_ops(struct nic_op_list *ops)
{
	struct nic_op *op;

	while ((op = TAILQ_FIRST(ops)))
		nic_rdma_end(op, NIC_PEER_RESET);
}

void nic_path_end(struct nic_path *p)
{
	if (p->state == NIC_PATH_DEAD)
		return;
	p->state = NIC_PATH_DEAD;
	nic_path_close(p);
	path_end_ops(&p->ops);
	path_end_ops(&p->waiting);
	p->ending = true;
	p->ending_ticks = 0;
	TAILQ_INSERT_TAIL(&p->qp->ending, p, link_ending);
}

void nic_path_die(struct nic_path *p)
{
	if (p->state == NIC_PATH_DEAD)
		return;
	nic_far_give_up(p);
	nic_path_end(p);
}

/* --- GONE --- */

/* Completions of the engine that were not polled. */
static bool path_has_far_ops(const struct nic_path *p)
{
	const struct nic_ah *ah;

	TAILQ_FOREACH(ah, &p->ahs, path_link)
		if (!TAILQ_EMPTY(&ah->far_ops))
			return true;
	return false;
}

static void path_tell_gone(struct nic_path *p)
{
	p->ending = false;
	TAILQ_REMOVE(&p->qp->ending, p, link_ending);
	nic_done_gone(p);
}

/* A UD user may never read, and needs no promise. */
void nic_path_settle(struct nic_path *p)
{
	if (!p->ending || path_has_far_ops(p))
		return;
	if (p->qp->type == NIC_QP_UD || !path_has_lane(p))
		path_tell_gone(p);
}

/* A peer that lives keeps its lane, so it is waited for only so long. */
static void ending_tick(struct nic_path *p)
{
	if (++p->ending_ticks >= NIC_GONE_TICKS && !path_has_far_ops(p)) {
		if (p->qp->type == NIC_QP_RDM)
			path_cut_off(p);
		path_tell_gone(p);
	} else {
		nic_path_settle(p);
	}
}

void nic_end_tick(struct nic_qp *qp)
{
	struct nic_path *p, *next;

	for (p = TAILQ_FIRST(&qp->ending); p; p = next) {
		next = TAILQ_NEXT(p, link_ending);
		ending_tick(p);
	}
}
