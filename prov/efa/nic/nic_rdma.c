/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_rdma.c - RDMA that we asked for
 *
 * Where the peer's memory can be reached, the bytes are moved here, in the
 * post while they are few, else a slice a poll. Where not, the operation is a
 * request to the peer's pump (nic_pkt.h).
 *
 * The key is pinned while bytes are copied, and looked at once it is: an owner
 * who deregisters meanwhile waits for the copy, whose slices are short.
 */
#include "nic_priv.h"

#include <errno.h>

#include "nic_pin.h"

static enum nic_wc_op rdma_wc_op(const struct nic_rdma *r)
{
	return r->type == NIC_READ ? NIC_WC_READ : NIC_WC_WRITE;
}

void nic_rdma_end(struct nic_op *op, enum nic_status status)
{
	struct nic_path *p = op->path;

	if (op->state == NIC_OP_ANSWER)
		TAILQ_REMOVE(&p->waiting, op, link);
	else
		TAILQ_REMOVE(&p->ops, op, link);
	if (op->asked)
		p->unanswered--;
	if (p->state == NIC_PATH_LIVE && nic_rdma_can_run(p))
		nic_path_activate(p);
	nic_done_push(p->qp, op->ah, op->rdma.id, rdma_wc_op(&op->rdma),
		      status);
	u_pool_put(&p->qp->ops, op);
}

static bool rdma_covered(const struct nic_path *p, const struct nic_rdma *r)
{
	return nic_mirror_covers(p->mirror, r->rkey,
				 r->type == NIC_READ ? NIC_REMOTE_READ :
						       NIC_REMOTE_WRITE,
				 r->remote, r->len);
}

static U_COLD int rdma_direct_failed(struct nic_path *p, int rc)
{
	if (rc == -EPERM) {
		nic_path_unpin(p);
		p->way = NIC_WAY_RING;
		return -EAGAIN;
	}
	if (rc == -ESRCH || wire_shm_link_check(p->link)) {
		nic_path_die(p);
		return -EPIPE;
	}
	return NIC_BAD_RKEY;
}

static int rdma_copy(struct nic_path *p, const struct nic_rdma *r,
		     uint64_t offset, size_t n)
{
	char *local = (char *)r->local + offset;

	if (r->type == NIC_READ)
		return wire_shm_read(p->link, local, r->remote + offset, n);
	return wire_shm_write(p->link, local, r->remote + offset, n);
}

/*
 * Moves n > 0 bytes at offset. 0; a nic_status; -EAGAIN: it has to go through
 * the ring; -EPIPE: the path died, and its operations ended with it.
 */
static int rdma_direct(struct nic_path *p, const struct nic_rdma *r,
		       uint64_t offset, size_t n)
{
	bool covered;
	int rc = 0;

	nic_pin_set(p->pin, r->rkey);
	covered = rdma_covered(p, r);
	if (u_likely(covered))
		rc = rdma_copy(p, r, offset, n);
	nic_pin_clear(p->pin);
	if (u_unlikely(!covered))
		return NIC_BAD_RKEY;
	if (u_unlikely(rc))
		return rdma_direct_failed(p, rc);
	p->qp->stats.rdma_bytes += n;
	return 0;
}

static int rdma_put_written(struct nic_path *p, const struct nic_rdma *r)
{
	struct nic_pkt_imm h = { .imm = r->imm, .len = (uint32_t)r->len };

	return nic_path_put(p, NIC_PKT_WRITTEN, &h, sizeof(h), NULL, 0);
}

/* --- a step of an operation; false: it cannot go on now --- */

/* The bytes are there. */
static void rdma_moved(struct nic_op *op)
{
	if (op->rdma.type == NIC_WRITE_IMM && op->ah)
		op->state = NIC_OP_IMM;
	else
		nic_rdma_end(op, NIC_OK);
}

static bool rdma_step_imm(struct nic_op *op)
{
	if (rdma_put_written(op->path, &op->rdma))
		return false;
	nic_rdma_end(op, NIC_OK);
	return true;
}

static bool rdma_step_direct(struct nic_op *op, size_t *budget)
{
	struct nic_path *p = op->path;
	size_t n = u_min(op->rdma.len - op->offset, *budget);
	int rc = n ? rdma_direct(p, &op->rdma, op->offset, n) : 0;

	if (rc == -EPIPE)
		return false;
	if (rc == -EAGAIN) {
		op->offset = 0;
		return true;
	}
	*budget -= n;
	op->offset += n;
	if (rc) {
		nic_rdma_end(op, (enum nic_status)rc);
	} else if (op->offset == op->rdma.len) {
		p->qp->stats.rdma_direct++;
		rdma_moved(op);
	}
	return true;
}

static void rdma_wait(struct nic_op *op)
{
	TAILQ_REMOVE(&op->path->ops, op, link);
	TAILQ_INSERT_TAIL(&op->path->waiting, op, link);
	op->state = NIC_OP_ANSWER;
}

/* A request, or the next piece of a write, goes to the peer. */
static bool rdma_step_ring(struct nic_op *op, size_t *budget)
{
	struct nic_path *p = op->path;
	const struct nic_rdma *r = &op->rdma;
	bool read = r->type == NIC_READ;
	size_t n = read ? 0 : u_min(r->len - op->offset, NIC_PIECE);
	struct nic_pkt_range h = {
		.id = u_pool_id(op),
		.rkey = r->rkey,
		.remote = r->remote,
		.len = r->len,
		.offset = op->offset,
	};

	if (!op->asked && p->unanswered == NIC_RING_OPS)
		return false;
	if (nic_path_put(p, read ? NIC_PKT_READ : NIC_PKT_WRITE, &h, sizeof(h),
			 (const char *)r->local + op->offset, n))
		return false;
	if (!op->asked)
		p->unanswered++;
	op->asked = true;
	op->offset += n;
	*budget -= u_min(n, *budget);
	if (read || op->offset == r->len)
		rdma_wait(op);
	return true;
}

bool nic_rdma_can_run(const struct nic_path *p)
{
	const struct nic_op *op = TAILQ_FIRST(&p->ops);

	return op && (p->way != NIC_WAY_RING || op->state == NIC_OP_IMM ||
		      op->asked || p->unanswered < NIC_RING_OPS);
}

void nic_rdma_run(struct nic_path *p, size_t *budget)
{
	struct nic_op *op;
	bool on = true;

	while (on && *budget && (op = TAILQ_FIRST(&p->ops))) {
		if (op->state == NIC_OP_IMM)
			on = rdma_step_imm(op);
		else if (p->way == NIC_WAY_DIRECT)
			on = rdma_step_direct(op, budget);
		else
			on = rdma_step_ring(op, budget);
	}
}

/* --- posting --- */

/* Through the ring it starts at once; more than a piece or two by the pump. */
static int rdma_queue(struct nic_ah *ah, const struct nic_rdma *r,
		      enum nic_op_state state)
{
	struct nic_path *p = ah->path;
	struct nic_op *op = u_pool_get(&ah->qp->ops);
	size_t budget = 2 * NIC_PIECE;

	if (!op)
		return -EAGAIN;
	*op = (struct nic_op){
		.rdma = *r,
		.path = p,
		.ah = ah,
		.state = state,
	};
	TAILQ_INSERT_TAIL(&p->ops, op, link);
	if (p->way == NIC_WAY_RING)
		nic_rdma_run(p, &budget);
	if (nic_rdma_can_run(p))
		nic_path_activate(p);
	return 1;
}

static int rdma_failed(struct nic_ah *ah, const struct nic_rdma *r,
		       enum nic_status status)
{
	nic_done_push(ah->qp, ah, r->id, rdma_wc_op(r), status);
	return 1;
}

static int rdma_at_once(struct nic_ah *ah, const struct nic_rdma *r)
{
	int rc = r->len ? rdma_direct(ah->path, r, 0, r->len) : 0;

	if (u_unlikely(rc == -EAGAIN))
		return rdma_queue(ah, r, NIC_OP_MOVE);
	if (rc == 0 && r->type == NIC_WRITE_IMM) {
		rc = rdma_put_written(ah->path, r);
		if (rc == -EAGAIN && rdma_queue(ah, r, NIC_OP_IMM) == 1) {
			ah->qp->stats.rdma_direct++;
			return 1;
		}
	}
	if (u_unlikely(rc == -EAGAIN))
		return rc;
	if (u_unlikely(rc))
		return rdma_failed(ah, r,
				   rc == -EPIPE ? NIC_PEER_RESET :
						  (enum nic_status)rc);
	ah->qp->stats.rdma_direct++;
	return 0;
}

int nic_rdma(struct nic_ah *ah, const struct nic_rdma *r)
{
	struct nic_path *p = ah->path;
	enum nic_status status;

	if (u_unlikely(r->len > NIC_MAX_RDMA))
		return -EMSGSIZE;
	if (u_unlikely(ah->qp->type == NIC_QP_UD))
		return -EINVAL;
	if (u_unlikely(!nic_done_room(ah->qp)))
		return -EAGAIN;
	if (u_unlikely(!ah->link)) {
		status = nic_path_resolve(p);
		if (status)
			return rdma_failed(ah, r, status);
		if (p->state == NIC_PATH_FAR)
			return nic_far_rdma(ah, r);
	}
	if (u_unlikely(p->way == NIC_WAY_UNKNOWN))
		nic_path_choose_way(p);
	if (p->way == NIC_WAY_DIRECT && r->len <= NIC_AT_ONCE &&
	    TAILQ_EMPTY(&p->ops))
		return rdma_at_once(ah, r);
	return rdma_queue(ah, r, NIC_OP_MOVE);
}

/* --- answers --- */

/* The operation that waits for this answer of this sender, or NULL. */
static struct nic_op *rdma_op_of(struct nic_qp *qp,
				 const struct wire_shm_pkt *pkt, uint32_t id)
{
	struct nic_op *op = u_pool_at(&qp->ops, id);
	struct wire_shm_id who;

	if (!op || op->state != NIC_OP_ANSWER ||
	    wire_shm_source(qp->shm, pkt->lane, &who) ||
	    !nic_id_same(&who, &op->path->id))
		return NULL;
	return op;
}

int nic_rdma_data(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		  struct nic_wc *wc)
{
	struct nic_pkt_data h;
	struct nic_op *op;
	size_t n;

	(void)wc;
	if (!nic_pkt_header(pkt, &h, sizeof(h)))
		return nic_bad_packet(qp);
	op = rdma_op_of(qp, pkt, h.id);
	n = pkt->len - sizeof(h);
	if (!op || op->rdma.type != NIC_READ || h.offset != op->offset ||
	    n > op->rdma.len - op->offset)
		return nic_bad_packet(qp);
	if (op->ah && n)
		memcpy((char *)op->rdma.local + op->offset,
		       (const char *)pkt->data + sizeof(h), n);
	op->offset += n;
	qp->stats.rdma_bytes += n;
	if (op->offset == op->rdma.len) {
		qp->stats.rdma_ring++;
		nic_rdma_end(op, NIC_OK);
	}
	return 0;
}

/* A write is over, or its immediate is due. */
static void rdma_written(struct nic_op *op)
{
	struct nic_path *p = op->path;
	struct nic_qp *qp = p->qp;

	qp->stats.rdma_ring++;
	qp->stats.rdma_bytes += op->rdma.len;
	if (op->rdma.type != NIC_WRITE_IMM || !op->ah) {
		nic_rdma_end(op, NIC_OK);
		return;
	}
	op->state = NIC_OP_IMM;
	op->asked = false;
	p->unanswered--;
	TAILQ_REMOVE(&p->waiting, op, link);
	TAILQ_INSERT_HEAD(&p->ops, op, link);
	nic_path_activate(p);
}

int nic_rdma_ack(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		 struct nic_wc *wc)
{
	struct nic_pkt_ack h;
	struct nic_op *op;

	(void)wc;
	if (!nic_pkt_header(pkt, &h, sizeof(h)))
		return nic_bad_packet(qp);
	op = rdma_op_of(qp, pkt, h.id);
	if (!op || h.status > NIC_UNREACHABLE ||
	    (op->rdma.type == NIC_READ && h.status == NIC_OK))
		return nic_bad_packet(qp);
	if (h.status)
		nic_rdma_end(op, (enum nic_status)h.status);
	else
		rdma_written(op);
	return 0;
}
