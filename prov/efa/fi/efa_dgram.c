/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_dgram.c - datagram endpoints: the device's UD queue pair, and little
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

struct efa_dgram {
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

static struct efa_ring *ring_of(const struct efa_dgram *dgram, bool receive)
{
	return receive ? dgram->ep->rx_cq->ring : dgram->ep->tx_cq->ring;
}

static void count(const struct efa_dgram *dgram, bool receive, bool ok)
{
	struct efa_cntr *cntr =
		dgram->ep->cntr[receive ? RDM_CNTR_RECV : RDM_CNTR_SEND];

	if (cntr)
		rdm_cntr_add(&cntr->count, ok);
}

static U_COLD void add_error(const struct efa_dgram *dgram, const struct op *op,
			     struct rdm_comp *comp)
{
	if (!comp->error)
		comp->error = calloc(1, sizeof(*comp->error));
	if (!comp->error)
		return;
	comp->error->self = dgram->qp->addr;
	if (!op->receive)
		rdm_av_lookup(dgram->ep->av->rdm, op->to, &comp->error->peer);
}

#define SENDERS_MAX (1u << 20)

static U_COLD struct sender *sender_of(struct efa_dgram *dgram, uint32_t source)
{
	size_t n = u_max(64, u_max(2 * dgram->nsenders, (size_t)source + 1));
	struct sender *list;

	if (source < dgram->nsenders)
		return &dgram->senders[source];
	if (source >= SENDERS_MAX)
		return NULL;
	list = realloc(dgram->senders, n * sizeof(*list));
	if (!list)
		return NULL;
	memset(list + dgram->nsenders, 0,
	       (n - dgram->nsenders) * sizeof(*list));
	dgram->senders = list;
	dgram->nsenders = n;
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

static uint64_t source_without_qkey(struct efa_dgram *dgram, uint32_t source,
				    const struct dev_addr *addr)
{
	struct rdm_av *av = dgram->ep->av->rdm;
	uint32_t generation = rdm_av_generation(av);
	struct sender *sender = sender_of(dgram, source);

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

static void tell_source(struct efa_dgram *dgram, uint32_t source,
			const struct op *op, struct rdm_comp *comp)
{
	struct dev_addr addr;

	if (source == DEV_SOURCE_UNKNOWN ||
	    dev_source(dgram->qp, source, &addr))
		return;
	if (!addr.qkey)
		comp->source = source_without_qkey(dgram, source, &addr);
	else
		comp->source = rdm_av_find(dgram->ep->av->rdm, &addr);
	if (u_unlikely(comp->source == FI_ADDR_NOTAVAIL) && op->completion &&
	    (dgram->ep->caps & FI_SOURCE_ERR))
		tell_stranger(&addr, comp);
}

/* The operation is over: tells the user if that is wanted, and forgets it. */
static void finish(struct efa_dgram *dgram, struct op *op,
		   struct rdm_comp *comp)
{
	struct efa_ring *ring = ring_of(dgram, op->receive);

	comp->context = op->context;
	comp->buf = op->buf;
	comp->kind = op->receive ? RDM_COMP_RECV : RDM_COMP_SEND;
	count(dgram, op->receive, !comp->err || comp->err == RDM_ERR_STRANGER);
	if (comp->err)
		add_error(dgram, op, comp);
	if (comp->err || op->completion)
		efa_ring_push(ring, comp);
	else
		efa_ring_cancel(ring);
	u_pool_put(&dgram->ops, op);
}

static void complete(struct efa_dgram *dgram, const struct dev_wc *wc)
{
	struct op *op = u_pool_at(&dgram->ops, (uint32_t)wc->id);
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
		if (dgram->ep->caps & FI_SOURCE)
			tell_source(dgram, wc->source, op, &comp);
	}
	finish(dgram, op, &comp);
}

void efa_dgram_progress(struct efa_dgram *dgram)
{
	struct dev_wc wc[BATCH];
	int n;

	n = dev_poll(dgram->cq, wc, BATCH);
	for (int i = 0; i < n; i++)
		complete(dgram, &wc[i]);
	if (n > 0)
		dev_give_back(dgram->cq);
}

int efa_dgram_fd(struct efa_dgram *dgram)
{
	return dev_cq_fd(dgram->cq);
}

int efa_dgram_arm(struct efa_dgram *dgram)
{
	return dev_cq_arm(dgram->cq);
}

/* ---- destinations -------------------------------------------------------- */

static U_COLD int ah_open(struct efa_dgram *dgram, uint64_t index)
{
	struct dev_ah **list;
	struct dev_addr addr;
	size_t n;
	int ret;

	ret = rdm_av_lookup(dgram->ep->av->rdm, index, &addr);
	if (ret)
		return ret;
	if (index >= dgram->nah) {
		n = u_max(index + 1, 2 * dgram->nah);
		list = realloc(dgram->ah, n * sizeof(struct dev_ah *));
		if (!list)
			return -FI_ENOMEM;
		memset(list + dgram->nah, 0,
		       (n - dgram->nah) * sizeof(struct dev_ah *));
		dgram->ah = list;
		dgram->nah = n;
	}
	return dev_ah_open(dgram->qp, &addr, index, &dgram->ah[index]);
}

void efa_dgram_forget(struct efa_dgram *dgram, uint64_t index)
{
	if (index >= dgram->nah || !dgram->ah[index])
		return;
	dev_ah_close(dgram->ah[index]);
	dgram->ah[index] = NULL;
}

/* ---- posting; the endpoint's lock is held -------------------------------- */

/* An operation with its place in the ring; NULL: no room now. */
static struct op *op_new(struct efa_dgram *dgram, bool receive)
{
	struct op *op;

	if (!efa_ring_reserve(ring_of(dgram, receive)))
		return NULL;
	op = u_pool_get(&dgram->ops);
	if (!op) {
		efa_ring_cancel(ring_of(dgram, receive));
		return NULL;
	}
	op->receive = receive;
	return op;
}

static void op_free(struct efa_dgram *dgram, struct op *op)
{
	efa_ring_cancel(ring_of(dgram, op->receive));
	u_pool_put(&dgram->ops, op);
}

static int post(struct efa_dgram *dgram, struct dev_wr *wr, uint64_t to,
		uint32_t flags, void *context)
{
	struct op *op;
	int ret;

	if (to >= dgram->nah || !dgram->ah[to]) {
		ret = ah_open(dgram, to);
		if (ret)
			return ret;
	}
	op = op_new(dgram, false);
	if (!op)
		return -FI_EAGAIN;
	op->context = context;
	op->buf = NULL;
	op->to = to;
	op->completion = flags & RDM_COMPLETION;
	wr->ah = dgram->ah[to];
	wr->id = u_pool_id(op);
	ret = dev_post(dgram->qp, wr, 1);
	if (ret != 1) {
		op_free(dgram, op);
		return ret ? ret : -FI_EAGAIN;
	}
	if (wr->done)
		finish(dgram, op, &(struct rdm_comp){ .err = 0 });
	return 0;
}

/* Small enough to travel in the work request. */
static int gather(struct dev_wr *wr, uint8_t *buf)
{
	size_t at = 0;

	if (wr->len > EFA_DGRAM_INJECT)
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

ssize_t efa_dgram_send(struct efa_ep *ep, const struct iovec *from,
		       void *const *desc, size_t iovcnt, uint64_t to,
		       uint32_t flags, uint64_t data, void *context)
{
	uint8_t inlined[EFA_DGRAM_INJECT];
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
	ret = post(ep->dgram, &wr, to, flags, context);
	u_unlock(&ep->lock);
	return ret;
}

ssize_t efa_dgram_recv(struct efa_ep *ep, const struct iovec *iov,
		       void *const *desc, size_t iovcnt, uint32_t flags,
		       void *context)
{
	struct efa_dgram *dgram = ep->dgram;
	struct op *op;
	int ret = -FI_EAGAIN;

	if (iovcnt != 1 || iov->iov_len < DEV_UD_PREFIX)
		return -FI_EINVAL;
	u_lock(&ep->lock);
	op = op_new(dgram, true);
	if (op) {
		op->context = context;
		op->buf = iov->iov_base;
		op->completion = flags & RDM_COMPLETION;
		ret = dev_post_recv(dgram->qp, u_pool_id(op), iov->iov_base,
				    iov->iov_len, mr_of(desc, iovcnt));
		if (ret)
			op_free(dgram, op);
	}
	u_unlock(&ep->lock);
	return ret;
}

/* ---- opening and closing ------------------------------------------------- */

int efa_dgram_open(struct efa_ep *ep, struct efa_dgram **out)
{
	struct dev *dev = ep->domain->dev;
	struct efa_dgram *dgram = calloc(1, sizeof(*dgram));
	uint32_t qkey = (uint32_t)(u_random64() >> 33) | 1;
	int ret;

	if (!dgram)
		return -FI_ENOMEM;
	dgram->ep = ep;
	ret = dev_cq_open(dev, &dgram->cq);
	if (ret)
		goto free_dgram;
	ret = dev_qp_open(dev, DEV_QP_UD, dgram->cq, qkey, &dgram->qp);
	if (ret)
		goto close_cq;
	if (ep->opt.no_shm)
		dev_qp_forbid_shm(dgram->qp);
	u_pool_init(&dgram->ops, sizeof(struct op), 64,
		    (uint32_t)u_min(ep->tx_size + ep->rx_size, U_POOL_MAX));
	*out = dgram;
	return 0;

close_cq:
	dev_cq_close(dgram->cq);
free_dgram:
	free(dgram);
	return ret;
}

/* Places of operations that never complete go back to their rings. */
static void give_up_places(struct efa_dgram *dgram)
{
	uint32_t cursor = 0;
	struct op *op;

	while ((op = u_pool_next(&dgram->ops, &cursor)))
		op_free(dgram, op);
}

void efa_dgram_close(struct efa_dgram *dgram)
{
	for (size_t i = 0; i < dgram->nah; i++)
		efa_dgram_forget(dgram, i);
	dev_qp_close(dgram->qp);
	dev_cq_close(dgram->cq);
	give_up_places(dgram);
	u_pool_fini(&dgram->ops);
	free(dgram->senders);
	free(dgram->ah);
	free(dgram);
}

void efa_dgram_addr(const struct efa_dgram *dgram, struct dev_addr *addr)
{
	*addr = dgram->qp->addr;
}
