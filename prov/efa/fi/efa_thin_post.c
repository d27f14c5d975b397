/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_thin_post.c - sends, receives and RMA of thin endpoints
 */
#include "fi/efa_thin_priv.h"

#include <string.h>

/* Posts wr, which op is for. On failure op is free again. */
static int post(struct efa_thin *thin, struct efa_thin_op *op,
		struct dev_wr *wr)
{
	int ret;

	wr->ah = op->ah;
	wr->id = u_pool_id(op);
	ret = dev_post(thin->qp, wr, 1);
	if (u_unlikely(ret != 1)) {
		efa_thin_op_free(thin, op);
		return ret ? ret : -FI_EAGAIN;
	}
	if (wr->done)
		efa_thin_op_end(thin, op, 0);
	return 0;
}

/* An operation on a peer, or why there can be none now. */
static inline int op_to(struct efa_thin *thin, enum rdm_comp_kind kind,
			uint64_t to, uint32_t flags, void *context,
			struct efa_thin_op **op)
{
	int ret;

	if (u_unlikely(to >= atomic_load_explicit(&thin->reach,
						  memory_order_relaxed) ||
		       !thin->ah[to])) {
		ret = efa_thin_ah_open(thin, to);
		if (ret)
			return ret;
	}
	*op = efa_thin_op_new(thin, kind, flags, context);
	if (u_unlikely(!*op))
		return -FI_EAGAIN;
	(*op)->ah = thin->ah[to];
	return 0;
}

/* ---- messages ------------------------------------------------------------ */

/* Small enough to travel in the work request, which is copied. */
static int gather(struct dev_wr *wr, uint8_t *buf)
{
	size_t at = 0;

	if (wr->len > EFA_THIN_INJECT)
		return -FI_EMSGSIZE;
	for (int i = 0; i < wr->iovcnt; i++) {
		if (wr->iov[i].iov_len)
			memcpy(buf + at, wr->iov[i].iov_base,
			       wr->iov[i].iov_len);
		at += wr->iov[i].iov_len;
	}
	wr->hdr = buf;
	wr->hdr_len = (uint32_t)at;
	wr->iov = NULL;
	wr->iovcnt = 0;
	wr->len = 0;
	wr->mr = NULL;
	return 0;
}

/*
 * Memory of one piece may be registered; where it lies in several, or travels
 * in the work request, the device copies.
 */
static struct dev_mr *mr_of(void *const *desc, size_t iovcnt)
{
	return desc && iovcnt == 1 ? desc[0] : NULL;
}

ssize_t efa_thin_send(struct efa_ep *ep, const struct iovec *from,
		      void *const *desc, size_t iovcnt, uint64_t to,
		      uint32_t flags, uint64_t data, void *context)
{
	struct efa_thin *thin = ep->thin;
	uint8_t inlined[EFA_THIN_INJECT];
	struct iovec iov[RDM_IOV_MAX];
	struct dev_wr wr = {
		.op = DEV_SEND,
		.iov = iov,
		.iovcnt = (uint16_t)iovcnt,
		.flags = thin->send_flags | (flags & RDM_DATA ? DEV_WR_IMM : 0),
		.imm = (uint32_t)data,
		.mr = mr_of(desc, iovcnt),
	};
	struct efa_thin_op *op;
	int ret;

	if (iovcnt < 1 || iovcnt > RDM_IOV_MAX ||
	    from[0].iov_len < thin->prefix)
		return -FI_EINVAL;
	memcpy(iov, from, iovcnt * sizeof(iov[0]));
	iov[0].iov_base = (char *)iov[0].iov_base + thin->prefix;
	iov[0].iov_len -= thin->prefix;
	for (size_t i = 0; i < iovcnt; i++)
		wr.len += iov[i].iov_len;
	if (flags & RDM_INJECT) {
		ret = gather(&wr, inlined);
		if (ret)
			return ret;
	}
	u_lock(&ep->lock);
	ret = op_to(thin, RDM_COMP_SEND, to, flags, context, &op);
	if (u_likely(!ret))
		ret = post(thin, op, &wr);
	efa_ep_unlock(ep);
	return ret;
}

ssize_t efa_thin_recv(struct efa_ep *ep, const struct iovec *iov,
		      void *const *desc, size_t iovcnt, uint32_t flags,
		      void *context)
{
	struct dev_mr *mr = mr_of(desc, iovcnt);
	struct efa_thin *thin = ep->thin;
	struct efa_thin_op *op;
	int ret = -FI_EAGAIN;

	if (iovcnt != 1 || iov->iov_len < thin->prefix)
		return -FI_EINVAL;
	u_lock(&ep->lock);
	op = efa_thin_op_new(thin, RDM_COMP_RECV, flags, context);
	if (op) {
		op->buf = iov->iov_base;
		op->mr = mr;
		ret = dev_post_recv(thin->qp, u_pool_id(op), iov->iov_base,
				    iov->iov_len, mr);
		if (ret)
			efa_thin_op_free(thin, op);
	}
	efa_ep_unlock(ep);
	return ret;
}

/* ---- RMA; the endpoint's lock is held ------------------------------------ */

/* The bytes are the caller's again at once, the device may need them longer. */
static int keep(struct efa_thin_op *op, struct dev_wr *wr, struct iovec *iov)
{
	if (wr->len > EFA_THIN_INJECT)
		return -FI_EMSGSIZE;
	if (wr->len)
		memcpy(op->small, iov->iov_base, wr->len);
	iov->iov_base = op->small;
	op->mr = NULL;
	wr->mr = NULL;
	return 0;
}

static enum dev_op op_of(const struct rdm_rma *rma)
{
	if (rma->read)
		return DEV_READ;
	return rma->flags & RDM_DATA ? DEV_WRITE_IMM : DEV_WRITE;
}

int efa_thin_rma(struct efa_thin *thin, const struct rdm_rma *rma)
{
	enum rdm_comp_kind kind = rma->read ? RDM_COMP_READ : RDM_COMP_WRITE;
	struct iovec iov = rma->iov[0];
	struct dev_wr wr = {
		.op = op_of(rma),
		.iov = &iov,
		.iovcnt = 1,
		.imm = (uint32_t)rma->data,
		.remote = rma->rma_iov[0].addr,
		.rkey = rma->rma_iov[0].key,
		.mr = mr_of(rma->mr, 1),
		.len = iov.iov_len,
	};
	struct efa_thin_op *op;
	int ret;

	/* One range at either end is what hardware does. */
	if (rma->iovcnt != 1 || rma->rma_iovcnt != 1)
		return -FI_EINVAL;
	ret = op_to(thin, kind, rma->to, rma->flags, rma->context, &op);
	if (ret)
		return ret;
	op->mr = wr.mr;
	if (rma->flags & RDM_INJECT) {
		ret = keep(op, &wr, &iov);
		if (ret) {
			efa_thin_op_free(thin, op);
			return ret;
		}
	}
	return post(thin, op, &wr);
}

/* ---- memory that goes ---------------------------------------------------- */

/* In the order of the device, which knows no region. */
static void revoke_receives(struct efa_thin *thin, const struct dev_mr *mr)
{
	struct efa_thin_op *op;
	uint64_t id;

	for (uint32_t nth = 0; !dev_recv_at(thin->qp, nth, &id); nth++) {
		op = u_pool_at(&thin->ops, (uint32_t)id);
		if (!op || op->mr != mr)
			continue;
		dev_recv_revoke(thin->qp, nth);
		op->mr = NULL;
	}
}

bool efa_thin_revoke(struct efa_thin *thin, const struct dev_mr *mr)
{
	struct efa_thin_op *op;
	uint32_t cursor = 0;
	bool found = false;

	if (thin->nrecvs)
		revoke_receives(thin, mr);
	while ((op = u_pool_next(&thin->ops, &cursor)))
		if (op->mr == mr && op->kind != RDM_COMP_RECV)
			found |= dev_revoke(thin->qp, u_pool_id(op));
	return found;
}
