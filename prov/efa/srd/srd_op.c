/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_op.c - operations from the user's call to their completion
 */
#include "srd/srd.h"

#include <errno.h>
#include <string.h>

#include "srd/srd_priv.h"

/* Bytes of an operation that does not have to queue behind longer ones. */
#define SHORT_MAX (16 << 10)

static const uint8_t done_kinds[] = {
	[SRD_KIND_SEND] = SRD_DONE_SEND,
	[SRD_KIND_WRITE] = SRD_DONE_WRITE,
	[SRD_KIND_READ] = SRD_DONE_READ,
};

static void complete(struct srd *s, struct srd_peer *p, uint64_t id,
		     enum srd_kind kind, uint8_t status)
{
	assert(s->done_tail - s->done_head <= s->done_mask); /* I1 */
	s->done[s->done_tail++ & s->done_mask] = (struct srd_done){
		.id = id,
		.peer = p,
		.kind = done_kinds[kind],
		.status = status,
	};
}

/* Room for one more operation and its completion (I1). */
static bool has_room(const struct srd *s)
{
	return s->ops.taken + (s->done_tail - s->done_head) < s->cfg.max_ops;
}

void srd_op_queue(struct srd *s, struct srd_operation *op)
{
	assert(!op->queued);
	op->queued = true;
	TAILQ_INSERT_TAIL(&op->peer->todo[op->class], op, todo);
	srd_ready(s, op->peer);
}

void srd_op_unqueue(struct srd_operation *op)
{
	if (!op->queued)
		return;
	op->queued = false;
	TAILQ_REMOVE(&op->peer->todo[op->class], op, todo);
}

/* What all operations begin with; the caller adds the rest and queues it. */
static struct srd_operation *begin(struct u_pool *pool, struct srd_peer *p,
				   enum srd_kind kind)
{
	struct srd_operation *op = u_pool_get(pool);

	if (!op)
		return NULL;
	op->peer = p;
	op->cut = 0;
	op->got = 0;
	op->open = 0;
	op->slot = SRD_SLOT_NONE;
	op->kind = (uint8_t)kind;
	op->stage = SRD_STAGE_CUT;
	op->status = 0;
	op->refused = 0;
	op->whole = false;
	op->queued = false;
	TAILQ_INSERT_TAIL(&p->ops, op, all);
	return op;
}

struct srd_operation *srd_op_reply(struct srd *s, struct srd_peer *p)
{
	struct srd_operation *op = begin(&s->replies, p, SRD_KIND_REPLY);

	if (op) {
		op->has_imm = false;
		op->class = SRD_BULK;
	}
	return op;
}

static void copy_in(const struct srd_send *send, uint8_t *to)
{
	size_t left = send->len, n;

	if (send->hdr_len)
		memcpy(to, send->hdr, send->hdr_len);
	to += send->hdr_len;
	for (int i = 0; i < send->iovcnt && left; i++) {
		n = u_min(send->iov[i].iov_len, left);
		if (n)
			memcpy(to, send->iov[i].iov_base, n);
		to += n;
		left -= n;
	}
	assert(left == 0);
}

/* Asks the peer, for a user who waits, whether the pressure is over. */
static int hold_back(struct srd *s, struct srd_peer *p, uint64_t now)
{
	if (p->held_back)
		return -EAGAIN;
	srd_peer_wait(p, now);
	p->held_back = true;
	p->press_pokes = 0;
	p->press_at = now + U_MSEC;
	srd_timer_arm(s, p, now);
	return -EAGAIN;
}

int srd_send(struct srd *s, struct srd_peer *p, const struct srd_send *send,
	     uint64_t now)
{
	struct srd_operation *op;

	if (u_unlikely(send->len > SRD_MSG_MAX ||
		       send->hdr_len > SRD_MSG_MAX - send->len))
		return -EMSGSIZE;
	if (u_unlikely(!has_room(s)))
		return -EAGAIN;
	if (u_unlikely(p->ended)) {
		complete(s, p, send->id, SRD_KIND_SEND, p->ended);
		return 0;
	}
	if (u_unlikely(send->request && p->pressure))
		return hold_back(s, p, now);
	if (!srd_slots_left(&s->tx_slots) || !srd_active_own(s, p))
		return -EAGAIN;

	srd_peer_wait(p, now);
	op = begin(&s->ops, p, SRD_KIND_SEND);
	assert(op); /* I1 */
	op->id = send->id;
	op->slot = srd_slots_get(&s->tx_slots);
	op->data = srd_slots_at(&s->tx_slots, op->slot);
	op->len = (uint32_t)(send->hdr_len + send->len);
	op->msg = u_pool_id(op);
	op->has_imm = send->has_imm;
	op->imm = send->imm;
	op->class = SRD_SHORT;
	copy_in(send, op->data);
	srd_op_queue(s, op);
	return 0;
}

int srd_rdma(struct srd *s, struct srd_peer *p, const struct srd_rdma *rdma,
	     uint64_t now, uint32_t *out)
{
	enum srd_kind kind = rdma->type == SRD_READ ? SRD_KIND_READ :
						      SRD_KIND_WRITE;
	struct srd_operation *op;

	if (rdma->len > SRD_RDMA_MAX)
		return -EMSGSIZE;
	if (!has_room(s))
		return -EAGAIN;
	if (p->ended || rdma->remote > UINT64_MAX - rdma->len) {
		*out = SRD_NO_MSG;
		complete(s, p, rdma->id, kind,
			 p->ended ? p->ended : SRD_BAD_RKEY);
		return 0;
	}
	if (!srd_active_own(s, p))
		return -EAGAIN;

	srd_peer_wait(p, now);
	op = begin(&s->ops, p, kind);
	assert(op); /* I1 */
	op->id = rdma->id;
	op->data = rdma->local;
	op->remote = rdma->remote;
	op->len = (uint32_t)rdma->len;
	op->rkey = rdma->rkey;
	op->imm = rdma->imm;
	op->has_imm = rdma->type == SRD_WRITE_IMM;
	op->msg = u_pool_id(op);
	op->class = kind == SRD_KIND_READ || rdma->len <= SHORT_MAX ?
			    SRD_SHORT :
			    SRD_BULK;
	*out = op->msg;
	srd_op_queue(s, op);
	return 0;
}

void srd_op_acked(struct srd *s, struct srd_operation *op)
{
	switch ((enum srd_stage)op->stage) {
	case SRD_STAGE_CUT:
	case SRD_STAGE_WRITTEN:
	case SRD_STAGE_RESULT:
	case SRD_STAGE_READING:
		return;
	case SRD_STAGE_AGAIN:
		op->stage = SRD_STAGE_CUT;
		srd_op_queue(s, op);
		return;
	case SRD_STAGE_SENT:
		break;
	}
	if (op->kind == SRD_KIND_WRITE && op->has_imm && !op->whole) {
		op->stage = SRD_STAGE_WRITTEN;
		op->whole = true;
		op->class = SRD_SHORT;
		srd_op_queue(s, op);
		return;
	}
	srd_op_end(s, op, SRD_OK, false);
}

void srd_op_end(struct srd *s, struct srd_operation *op, uint8_t status,
		bool quiet)
{
	struct srd_peer *p = op->peer;
	bool reply = op->kind == SRD_KIND_REPLY;

	srd_op_unqueue(op);
	srd_open_void(s, op);
	TAILQ_REMOVE(&p->ops, op, all);
	if (op->stage == SRD_STAGE_READING)
		p->nreads--;
	if (op->slot != SRD_SLOT_NONE)
		srd_slots_put(&s->tx_slots, op->slot);
	u_pool_put(reply ? &s->replies : &s->ops, op);
	if (!reply && !quiet)
		complete(s, p, op->id, (enum srd_kind)op->kind, status);
}

static bool flush(struct srd *s, uint32_t id, bool quiet, uint64_t now)
{
	struct srd_operation *op = u_pool_at(&s->ops, id);
	struct srd_peer *p;

	if (!op)
		return false;
	p = op->peer;
	srd_op_end(s, op, SRD_FLUSHED, quiet);
	srd_active_settle(s, p);
	if (!p->is_ready)
		srd_timer_arm(s, p, now);
	return true;
}

void srd_abort(struct srd *s, uint32_t id, uint64_t now)
{
	flush(s, id, true, now);
}

bool srd_revoke(struct srd *s, uint32_t id, uint64_t now)
{
	return flush(s, id, false, now);
}

static int fetch_gone(struct srd *s, struct srd_done *done, int max)
{
	struct srd_peer *p;
	int n = 0;

	while (n < max && (p = TAILQ_FIRST(&s->gone))) {
		TAILQ_REMOVE(&s->gone, p, gone);
		done[n++] = (struct srd_done){
			.peer = p,
			.kind = SRD_DONE_GONE,
			.status = p->gone_status,
		};
		p->gone_status = SRD_OK;
	}
	return n;
}

int srd_done(struct srd *s, struct srd_done *done, int max)
{
	int n = 0;

	while (n < max && s->done_head != s->done_tail)
		done[n++] = s->done[s->done_head++ & s->done_mask];
	if (u_unlikely(!TAILQ_EMPTY(&s->gone)) && n < max)
		n += fetch_gone(s, done + n, max - n);
	return n;
}

bool srd_has_done(const struct srd *s)
{
	return s->done_head != s->done_tail || !TAILQ_EMPTY(&s->gone);
}
