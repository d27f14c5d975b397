/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_thin.c - datagram endpoints: the device's UD queue pair, and little
 * more
 *
 * The first 40 bytes of every buffer are the provider's (FI_MSG_PREFIX): they
 * are skipped on send and filled by the device on receive. An operation holds
 * its place in the completion ring from post to completion, so the ring is
 * never overrun (efa_ring.c).
 */
#include "fi/efa.h"

#include <stdlib.h>
#include <string.h>

#include "util/u_hash.h"
#include "util/u_pool.h"

#define BATCH 16

/* One operation under way. */
struct op {
	void *context;
	void *buf; /* receive: the user's; else NULL */
	uint64_t to; /* send: index of the peer */
	bool receive;
	bool completion; /* on success too */
};

struct efa_thin {
	struct efa_ep *ep;
	struct dev_cq *cq;
	struct dev_qp *qp;
	struct u_pool ops;
	struct dev_ah **ah; /* [nah] by index of the peer; NULL: not yet */
	size_t nah;
	struct sender *senders; /* [nsenders] by source number */
	size_t nsenders;
};

/*
 * What a source number meant when it was last looked up, for devices that do
 * not tell the sender's qkey: then the table of addresses has no short way.
 */
struct sender {
	uint64_t index; /* of the peer, or FI_ADDR_NOTAVAIL */
	uint32_t generation; /* of the table; that was not there before it */
	bool known;
};

/* ---- completions --------------------------------------------------------- */

static struct efa_ring *ring_of(const struct efa_thin *thin, bool receive)
{
	return receive ? thin->ep->rx_cq->ring : thin->ep->tx_cq->ring;
}

static void count(const struct efa_thin *thin, bool receive, bool ok)
{
	struct efa_cntr *cntr =
		thin->ep->cntr[receive ? RDM_CNTR_RECV : RDM_CNTR_SEND];

	if (cntr)
		rdm_cntr_add(&cntr->count, ok);
}

static U_COLD void add_error(const struct efa_thin *thin, const struct op *op,
			     struct rdm_comp *comp)
{
	if (!comp->error)
		comp->error = calloc(1, sizeof(*comp->error));
	if (!comp->error)
		return;
	comp->error->self = thin->qp->addr;
	if (!op->receive)
		rdm_av_lookup(thin->ep->av->rdm, op->to, &comp->error->peer);
}

#define SENDERS_MAX (1u << 20)

static U_COLD struct sender *sender_of(struct efa_thin *thin, uint32_t source)
{
	size_t n = u_max(64, u_max(2 * thin->nsenders, (size_t)source + 1));
	struct sender *list;

	if (source < thin->nsenders)
		return &thin->senders[source];
	if (source >= SENDERS_MAX)
		return NULL;
	list = realloc(thin->senders, n * sizeof(*list));
	if (!list)
		return NULL;
	memset(list + thin->nsenders, 0, (n - thin->nsenders) * sizeof(*list));
	thin->senders = list;
	thin->nsenders = n;
	return &list[source];
}

/* Whether the peer of that index is still at gid and queue pair of addr. */
static bool is_at(struct rdm_av *av, uint64_t index,
		  const struct dev_addr *addr)
{
	struct dev_addr at;

	return !rdm_av_lookup(av, index, &at) && at.qpn == addr->qpn &&
	       !memcmp(at.gid, addr->gid, sizeof(at.gid));
}

static uint64_t source_without_qkey(struct efa_thin *thin, uint32_t source,
				    const struct dev_addr *addr)
{
	struct rdm_av *av = thin->ep->av->rdm;
	uint32_t generation = rdm_av_generation(av);
	struct sender *sender = sender_of(thin, source);

	if (!sender)
		return rdm_av_find_any(av, addr);
	if (sender->known &&
	    (sender->index == RDM_ADDR_NONE ? sender->generation == generation :
					      is_at(av, sender->index, addr)))
		return sender->index;
	*sender =
		(struct sender){ rdm_av_find_any(av, addr), generation, true };
	return sender->index;
}

/* He is not in the table: the entry is to tell his address, if it is known. */
static U_COLD void tell_stranger(const struct dev_addr *addr,
				 struct rdm_comp *comp)
{
	if (!addr->qkey)
		return;
	comp->err = RDM_ERR_STRANGER;
	comp->error = calloc(1, sizeof(*comp->error));
	if (comp->error)
		comp->error->peer = *addr;
}

static void tell_source(struct efa_thin *thin, uint32_t source,
			const struct op *op, struct rdm_comp *comp)
{
	struct dev_addr addr;

	if (source == DEV_SOURCE_UNKNOWN || dev_source(thin->qp, source, &addr))
		return;
	if (!addr.qkey)
		comp->source = source_without_qkey(thin, source, &addr);
	else
		comp->source = rdm_av_find(thin->ep->av->rdm, &addr);
	if (u_unlikely(comp->source == FI_ADDR_NOTAVAIL) && op->completion &&
	    (thin->ep->caps & FI_SOURCE_ERR))
		tell_stranger(&addr, comp);
}

/* The operation is over: tells the user if that is wanted, and forgets it. */
static void finish(struct efa_thin *thin, struct op *op, struct rdm_comp *comp)
{
	struct efa_ring *ring = ring_of(thin, op->receive);

	comp->context = op->context;
	comp->buf = op->buf;
	comp->kind = op->receive ? RDM_COMP_RECV : RDM_COMP_SEND;
	count(thin, op->receive, !comp->err || comp->err == RDM_ERR_STRANGER);
	if (comp->err)
		add_error(thin, op, comp);
	if (comp->err || op->completion)
		efa_ring_push(ring, comp);
	else
		efa_ring_cancel(ring);
	u_pool_put(&thin->ops, op);
}

static void complete(struct efa_thin *thin, const struct dev_wc *wc)
{
	struct op *op = u_pool_at(&thin->ops, (uint32_t)wc->id);
	struct rdm_comp comp = {
		.source = FI_ADDR_NOTAVAIL,
		.err = wc->status,
	};

	/* What a device says of a peer's end is nothing to a datagram. */
	if ((wc->op != DEV_WC_SEND && wc->op != DEV_WC_RECV) || !op)
		return;
	if (wc->op == DEV_WC_RECV && !wc->status) {
		comp.len = wc->len;
		comp.data = wc->imm;
		comp.flags = wc->has_imm ? RDM_COMP_DATA : 0;
		if (thin->ep->caps & FI_SOURCE)
			tell_source(thin, wc->source, op, &comp);
	}
	finish(thin, op, &comp);
}

void efa_thin_progress(struct efa_thin *thin)
{
	struct dev_wc wc[BATCH];
	int n;

	n = dev_poll(thin->cq, wc, BATCH);
	for (int i = 0; i < n; i++)
		complete(thin, &wc[i]);
	if (n > 0)
		dev_give_back(thin->cq);
}

int efa_thin_fd(struct efa_thin *thin)
{
	return dev_cq_fd(thin->cq);
}

int efa_thin_arm(struct efa_thin *thin)
{
	return dev_cq_arm(thin->cq);
}

/* ---- destinations -------------------------------------------------------- */

static U_COLD int ah_open(struct efa_thin *thin, uint64_t index)
{
	struct dev_ah **list;
	struct dev_addr addr;
	size_t n;
	int ret;

	ret = rdm_av_lookup(thin->ep->av->rdm, index, &addr);
	if (ret)
		return ret;
	if (index >= thin->nah) {
		n = u_max(index + 1, 2 * thin->nah);
		list = realloc(thin->ah, n * sizeof(struct dev_ah *));
		if (!list)
			return -FI_ENOMEM;
		memset(list + thin->nah, 0,
		       (n - thin->nah) * sizeof(struct dev_ah *));
		thin->ah = list;
		thin->nah = n;
	}
	return dev_ah_open(thin->qp, &addr, index, &thin->ah[index]);
}

void efa_thin_forget(struct efa_thin *thin, uint64_t index)
{
	if (index >= thin->nah || !thin->ah[index])
		return;
	dev_ah_close(thin->ah[index]);
	thin->ah[index] = NULL;
}

/* ---- posting; the endpoint's lock is held -------------------------------- */

/* An operation with its place in the ring; NULL: no room now. */
static struct op *op_new(struct efa_thin *thin, bool receive)
{
	struct op *op;

	if (!efa_ring_reserve(ring_of(thin, receive)))
		return NULL;
	op = u_pool_get(&thin->ops);
	if (!op) {
		efa_ring_cancel(ring_of(thin, receive));
		return NULL;
	}
	op->receive = receive;
	return op;
}

static void op_free(struct efa_thin *thin, struct op *op)
{
	efa_ring_cancel(ring_of(thin, op->receive));
	u_pool_put(&thin->ops, op);
}

static int post(struct efa_thin *thin, struct dev_wr *wr, uint64_t to,
		uint32_t flags, void *context)
{
	struct op *op;
	int ret;

	if (to >= thin->nah || !thin->ah[to]) {
		ret = ah_open(thin, to);
		if (ret)
			return ret;
	}
	op = op_new(thin, false);
	if (!op)
		return -FI_EAGAIN;
	op->context = context;
	op->buf = NULL;
	op->to = to;
	op->completion = flags & RDM_COMPLETION;
	wr->ah = thin->ah[to];
	wr->id = u_pool_id(op);
	ret = dev_post(thin->qp, wr, 1);
	if (ret != 1) {
		op_free(thin, op);
		return ret ? ret : -FI_EAGAIN;
	}
	if (wr->done)
		finish(thin, op, &(struct rdm_comp){ .err = 0 });
	return 0;
}

/* Small enough to travel in the work request. */
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
	uint8_t inlined[EFA_THIN_INJECT];
	struct iovec iov[RDM_IOV_MAX];
	struct dev_wr wr = {
		.op = DEV_SEND,
		.iov = iov,
		.iovcnt = (uint16_t)iovcnt,
		.flags = flags & RDM_DATA ? DEV_WR_IMM : 0,
		.imm = (uint32_t)data,
		.mr = mr_of(desc, iovcnt),
	};
	int ret;

	if (iovcnt < 1 || iovcnt > RDM_IOV_MAX ||
	    from[0].iov_len < DEV_UD_PREFIX)
		return -FI_EINVAL;
	memcpy(iov, from, iovcnt * sizeof(iov[0]));
	iov[0].iov_base = (char *)iov[0].iov_base + DEV_UD_PREFIX;
	iov[0].iov_len -= DEV_UD_PREFIX;
	for (size_t i = 0; i < iovcnt; i++)
		wr.len += iov[i].iov_len;
	if (flags & RDM_INJECT) {
		ret = gather(&wr, inlined);
		if (ret)
			return ret;
	}
	u_lock(&ep->lock);
	ret = post(ep->thin, &wr, to, flags, context);
	u_unlock(&ep->lock);
	return ret;
}

ssize_t efa_thin_recv(struct efa_ep *ep, const struct iovec *iov,
		      void *const *desc, size_t iovcnt, uint32_t flags,
		      void *context)
{
	struct efa_thin *thin = ep->thin;
	struct op *op;
	int ret = -FI_EAGAIN;

	if (iovcnt != 1 || iov->iov_len < DEV_UD_PREFIX)
		return -FI_EINVAL;
	u_lock(&ep->lock);
	op = op_new(thin, true);
	if (op) {
		op->context = context;
		op->buf = iov->iov_base;
		op->completion = flags & RDM_COMPLETION;
		ret = dev_post_recv(thin->qp, u_pool_id(op), iov->iov_base,
				    iov->iov_len, mr_of(desc, iovcnt));
		if (ret)
			op_free(thin, op);
	}
	u_unlock(&ep->lock);
	return ret;
}

/* ---- opening and closing ------------------------------------------------- */

int efa_thin_open(struct efa_ep *ep, struct efa_thin **out)
{
	struct dev *dev = ep->domain->dev;
	struct efa_thin *thin = calloc(1, sizeof(*thin));
	uint32_t qkey = (uint32_t)(u_random64() >> 33) | 1;
	int ret;

	if (!thin)
		return -FI_ENOMEM;
	thin->ep = ep;
	ret = dev_cq_open(dev, &thin->cq);
	if (ret)
		goto free_thin;
	ret = dev_qp_open(dev, DEV_QP_UD, thin->cq, qkey, &thin->qp);
	if (ret)
		goto close_cq;
	if (ep->opt.no_shm)
		dev_qp_forbid_shm(thin->qp);
	u_pool_init(&thin->ops, sizeof(struct op), 64,
		    (uint32_t)u_min(ep->tx_size + ep->rx_size, U_POOL_MAX));
	*out = thin;
	return 0;

close_cq:
	dev_cq_close(thin->cq);
free_thin:
	free(thin);
	return ret;
}

/* Places of operations that never complete go back to their rings. */
static void give_up_places(struct efa_thin *thin)
{
	uint32_t cursor = 0;
	struct op *op;

	while ((op = u_pool_next(&thin->ops, &cursor)))
		op_free(thin, op);
}

void efa_thin_close(struct efa_thin *thin)
{
	for (size_t i = 0; i < thin->nah; i++)
		efa_thin_forget(thin, i);
	dev_qp_close(thin->qp);
	dev_cq_close(thin->cq);
	give_up_places(thin);
	u_pool_fini(&thin->ops);
	free(thin->senders);
	free(thin->ah);
	free(thin);
}

void efa_thin_addr(const struct efa_thin *thin, struct dev_addr *addr)
{
	*addr = thin->qp->addr;
}
