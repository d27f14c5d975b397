/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_cq.c - completion queues: a ring that whoever drives a queue pair fills
 *
 * A ring that is full loses entries, as the device's does: a program has to
 * make it as deep as what it posts.
 *
 * I1: whoever has an entry holds cq->lock, or cq->poll, until he needs its
 * queue pair no more: another thread may destroy it.
 */
#include <sched.h>
#include <stdlib.h>

#include "util/u_log.h"
#include "verbs_priv.h"
#include "verbs_real.h"

/* Polls in vain before the core is offered to others, and then between. */
#define IDLE_POLLS 1024
#define YIELD_EVERY 64

enum ibv_wc_status verbs_status(uint8_t vendor_err)
{
	static const uint8_t status[] = {
		[NIC_OK] = IBV_WC_SUCCESS,
		[NIC_FLUSHED] = IBV_WC_WR_FLUSH_ERR,
		[2] = IBV_WC_LOC_QP_OP_ERR,
		[NIC_BAD_OP] = IBV_WC_LOC_QP_OP_ERR,
		[4] = IBV_WC_LOC_QP_OP_ERR,
		[NIC_BAD_LKEY] = IBV_WC_LOC_PROT_ERR,
		[NIC_TOO_LONG] = IBV_WC_LOC_LEN_ERR,
		[NIC_BAD_RKEY] = IBV_WC_REM_ACCESS_ERR,
		[NIC_PEER_RESET] = IBV_WC_REM_ABORT_ERR,
		[NIC_NO_QP] = IBV_WC_REM_INV_RD_REQ_ERR,
		[NIC_RNR] = IBV_WC_RNR_RETRY_EXC_ERR,
		[NIC_SHORT_RECV] = IBV_WC_REM_INV_REQ_ERR,
		[12] = IBV_WC_BAD_RESP_ERR,
		[NIC_UNRESPONSIVE] = IBV_WC_RESP_TIMEOUT_ERR,
		[14] = IBV_WC_REM_OP_ERR,
		[NIC_UNREACHABLE] = IBV_WC_RESP_TIMEOUT_ERR,
	};

	if (vendor_err >= u_array_size(status))
		return IBV_WC_GENERAL_ERR;
	return (enum ibv_wc_status)status[vendor_err];
}

/* --- the ring --- */

static U_COLD void cq_overrun(struct verbs_cq *cq)
{
	if (!cq->told_overrun)
		u_warn("a completion queue of %d entries is full, and entries "
		       "are lost: it has to be as deep as the send and receive "
		       "queues that use it",
		       cq->cq.cqe);
	cq->told_overrun = true;
}

void verbs_cq_push(struct verbs_cq *cq, const struct verbs_cqe *e)
{
	uint32_t tail;

	u_lock(&cq->lock);
	tail = atomic_load_explicit(&cq->tail, memory_order_relaxed);
	if (u_unlikely(tail - cq->head == cq->mask + 1)) {
		cq_overrun(cq);
	} else {
		cq->ring[tail & cq->mask] = *e;
		atomic_store_explicit(&cq->tail, tail + 1,
				      memory_order_relaxed);
	}
	if (u_unlikely(
		    atomic_load_explicit(&cq->armed, memory_order_relaxed))) {
		atomic_store_explicit(&cq->armed, false, memory_order_relaxed);
		verbs_channel_event(cq);
	}
	u_unlock(&cq->lock);
}

/* Under the lock. False: there is none. */
static bool ring_next(struct verbs_cq *cq, struct verbs_cqe *e)
{
	if (cq->head == cq->tail)
		return false;
	*e = cq->ring[cq->head & cq->mask];
	cq->head++;
	return true;
}

/* An entry that this does not see yet is found by the next poll. */
static bool ring_is_empty(const struct verbs_cq *cq)
{
	return atomic_load_explicit(&cq->head, memory_order_relaxed) ==
	       atomic_load_explicit(&cq->tail, memory_order_relaxed);
}

bool verbs_cq_pop(struct verbs_cq *cq, struct verbs_cqe *e)
{
	bool found;

	if (ring_is_empty(cq))
		return false;
	u_lock(&cq->lock);
	atomic_store_explicit(&cq->idle, 0, memory_order_relaxed);
	found = ring_next(cq, e);
	u_unlock(&cq->lock);
	return found;
}

void verbs_cqe_free(const struct verbs_cqe *e)
{
	if (e->is_recv)
		atomic_fetch_sub_explicit(&e->qp->rq_used, 1,
					  memory_order_relaxed);
	else
		atomic_fetch_sub_explicit(&e->qp->sq_used, 1,
					  memory_order_relaxed);
}

/*
 * An entry that somebody reads is waited for: its queue pair may not go (I1).
 * Others close up, as the ring has places for queue pairs that live alone.
 */
void verbs_cq_purge(struct verbs_cq *cq, const struct verbs_qp *qp)
{
	uint32_t to;

	u_lock(&cq->poll);
	u_lock(&cq->lock);
	to = cq->head;
	for (uint32_t i = cq->head; i != cq->tail; i++)
		if (cq->ring[i & cq->mask].qp != qp)
			cq->ring[to++ & cq->mask] = cq->ring[i & cq->mask];
	cq->tail = to;
	u_unlock(&cq->lock);
	u_unlock(&cq->poll);
}

void verbs_cq_drive(struct verbs_cq *cq)
{
	struct verbs_cq_use *use;

	if (!u_trylock(&cq->drive))
		return;
	LIST_FOREACH(use, &cq->uses, link)
		verbs_qp_drive(use->qp);
	u_unlock(&cq->drive);
}

/*
 * Programs spin until something comes. Where they are more than the cores, what
 * they wait for may be done by a peer that this one keeps from running.
 */
void verbs_cq_idle(struct verbs_cq *cq)
{
	uint32_t idle =
		1 + atomic_load_explicit(&cq->idle, memory_order_relaxed);

	atomic_store_explicit(&cq->idle, idle, memory_order_relaxed);
	if (u_unlikely(idle >= IDLE_POLLS && idle % YIELD_EVERY == 0))
		sched_yield();
}

static void cqe_to_wc(const struct verbs_cqe *e, struct ibv_wc *wc)
{
	*wc = (struct ibv_wc){
		.wr_id = e->wr_id,
		.status = verbs_status(e->vendor_err),
		.opcode = (enum ibv_wc_opcode)e->opcode,
		.vendor_err = e->vendor_err,
		.byte_len = e->byte_len,
		.imm_data = e->imm,
		.qp_num = e->qp_num,
		.src_qp = e->src_qp,
		.wc_flags = e->has_imm ? IBV_WC_WITH_IMM : 0,
		.slid = e->slid,
	};
	verbs_cqe_free(e);
}

static int cq_take(struct verbs_cq *cq, int n, struct ibv_wc *wc)
{
	struct verbs_cqe e;
	int k = 0;

	if (ring_is_empty(cq))
		return 0;
	u_lock(&cq->lock);
	atomic_store_explicit(&cq->idle, 0, memory_order_relaxed);
	while (k < n && ring_next(cq, &e))
		cqe_to_wc(&e, &wc[k++]);
	u_unlock(&cq->lock);
	return k;
}

int verbs_poll_cq(struct ibv_cq *c, int n, struct ibv_wc *wc)
{
	struct verbs_cq *cq = verbs_cq_of(c);
	int k = cq_take(cq, n, wc);

	if (k == n)
		return k;
	verbs_cq_drive(cq);
	k += cq_take(cq, n - k, wc + k);
	if (!k)
		verbs_cq_idle(cq);
	return k;
}

/* --- queue pairs that use it --- */

void verbs_cq_attach(struct verbs_cq *cq, struct verbs_cq_use *use)
{
	u_lock(&cq->drive);
	LIST_INSERT_HEAD(&cq->uses, use, link);
	u_unlock(&cq->drive);
	if (cq->cq.channel)
		verbs_channel_watch(cq, use->qp);
}

void verbs_cq_detach(struct verbs_cq *cq, struct verbs_cq_use *use)
{
	u_lock(&cq->drive);
	LIST_REMOVE(use, link);
	u_unlock(&cq->drive);
}

/* --- opening and closing --- */

static int cq_check(const struct ibv_cq_init_attr_ex *attr)
{
	if (!attr->cqe || attr->cqe > VERBS_MAX_CQE || attr->comp_vector)
		return EINVAL;
	if (attr->comp_mask ||
	    attr->wc_flags & ~(uint64_t)IBV_WC_STANDARD_FLAGS)
		return EOPNOTSUPP;
	return 0;
}

static struct verbs_cq *cq_open(struct ibv_context *c,
				const struct ibv_cq_init_attr_ex *attr,
				bool sgid)
{
	int rc = cq_check(attr);
	struct verbs_cq *cq;
	uint32_t size = 1;

	if (rc)
		return verbs_null(rc);
	cq = calloc(1, sizeof(*cq));
	if (!cq)
		return NULL;
	while (size < attr->cqe)
		size *= 2;
	cq->ring = calloc(size, sizeof(*cq->ring));
	if (!cq->ring) {
		free(cq);
		return verbs_null(ENOMEM);
	}
	cq->mask = size - 1;
	cq->cq.context = c;
	cq->cq.channel = attr->channel;
	cq->cq.cq_context = attr->cq_context;
	cq->cq.cqe = (int)size;
	pthread_mutex_init(&cq->cq.mutex, NULL);
	pthread_cond_init(&cq->cq.cond, NULL);
	u_lock_init(&cq->poll, true);
	u_lock_init(&cq->drive, true);
	u_lock_init(&cq->lock, true);
	LIST_INIT(&cq->uses);
	verbs_cq_ex_fill(cq, attr->wc_flags, sgid);
	if (attr->channel)
		verbs_channel_join(cq);
	return cq;
}

VERBS_EXPORT struct ibv_cq *ibv_create_cq(struct ibv_context *c, int cqe,
					  void *cq_context,
					  struct ibv_comp_channel *channel,
					  int comp_vector)
{
	struct ibv_cq_init_attr_ex attr = {
		.cqe = (uint32_t)cqe,
		.cq_context = cq_context,
		.channel = channel,
		.comp_vector = (uint32_t)comp_vector,
	};
	struct verbs_cq *cq;

	if (!verbs_is_ours(c))
		return verbs_real(ibv_create_cq)(c, cqe, cq_context, channel,
						 comp_vector);
	cq = cq_open(c, &attr, false);
	return cq ? &cq->cq : NULL;
}

struct ibv_cq_ex *verbs_create_cq_ex(struct ibv_context *c,
				     struct ibv_cq_init_attr_ex *attr)
{
	struct verbs_cq *cq = cq_open(c, attr, false);

	return cq ? &cq->ex : NULL;
}

VERBS_EXPORT struct ibv_cq_ex *efadv_create_cq(struct ibv_context *c,
					       struct ibv_cq_init_attr_ex *attr,
					       struct efadv_cq_init_attr *efa,
					       uint32_t inlen)
{
	struct verbs_cq *cq;

	if (!verbs_is_ours(c))
		return verbs_real(efadv_create_cq)(c, attr, efa, inlen);
	if (inlen < offsetof(struct efadv_cq_init_attr, wc_flags) + 8 ||
	    efa->comp_mask || verbs_has_tail(efa, 16, inlen))
		return verbs_null(EINVAL);
	if (efa->wc_flags & ~(uint64_t)EFADV_WC_EX_WITH_SGID)
		return verbs_null(EOPNOTSUPP);
	cq = cq_open(c, attr, efa->wc_flags & EFADV_WC_EX_WITH_SGID);
	return cq ? &cq->ex : NULL;
}

VERBS_EXPORT struct efadv_cq *efadv_cq_from_ibv_cq_ex(struct ibv_cq_ex *c)
{
	if (!verbs_is_ours(c->context))
		return verbs_real(efadv_cq_from_ibv_cq_ex)(c);
	return &verbs_cq_of_ex(c)->efadv;
}

/* Until the program has acknowledged all events that it got. */
static void cq_wait_acked(struct verbs_cq *cq)
{
	pthread_mutex_lock(&cq->cq.mutex);
	while (cq->cq.comp_events_completed != cq->got)
		pthread_cond_wait(&cq->cq.cond, &cq->cq.mutex);
	pthread_mutex_unlock(&cq->cq.mutex);
}

VERBS_EXPORT int ibv_destroy_cq(struct ibv_cq *c)
{
	struct verbs_cq *cq = verbs_cq_of(c);
	bool used;

	if (!verbs_is_ours(c->context))
		return verbs_real(ibv_destroy_cq)(c);
	u_lock(&cq->drive);
	used = !LIST_EMPTY(&cq->uses);
	u_unlock(&cq->drive);
	if (used)
		return EBUSY;
	if (c->channel)
		verbs_channel_leave(cq);
	cq_wait_acked(cq);
	u_lock_fini(&cq->poll);
	u_lock_fini(&cq->drive);
	u_lock_fini(&cq->lock);
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->mutex);
	free(cq->ring);
	free(cq);
	return 0;
}

VERBS_EXPORT int ibv_resize_cq(struct ibv_cq *c, int cqe)
{
	if (!verbs_is_ours(c->context))
		return verbs_real(ibv_resize_cq)(c, cqe);
	return EOPNOTSUPP;
}
