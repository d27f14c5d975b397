/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_atomic_in.c - atomics of peers, carried out on our memory
 *
 * Everything is judged before a byte moves: operation and datatype, the sizes
 * of request and ranges, and that the keys allow it. The regions are held
 * while they are changed, so atomics to one device come one after another;
 * what several devices, or other processes, may change is guarded element by
 * element (rdm_atomic_apply).
 *
 * A request that cannot be is refused. The peer is told (PEER_ERROR) if it
 * waits for an answer and understands.
 */
#include "rdm/rdm_atomic_op.h"

#include "rdm/rdm_move.h"

struct request {
	enum rdm_atomic_kind kind;
	struct rdm_atomic_work work;
	uint64_t len; /* bytes of the target */
};

static enum rdm_atomic_kind kind_of(uint8_t type)
{
	switch (type) {
	case RDM_PKT_FETCH_RTA:
		return RDM_ATOMIC_FETCH;
	case RDM_PKT_COMPARE_RTA:
		return RDM_ATOMIC_COMPARE;
	default:
		return RDM_ATOMIC_BASE;
	}
}

/* The sum was proved not to wrap when the packet was parsed. */
static bool whole_ranges(const struct rdm_pkt *pkt, struct request *req)
{
	req->len = 0;
	for (uint32_t i = 0; i < pkt->rma_iovcnt; i++) {
		if (pkt->rma_iov[i].len % req->work.size)
			return false;
		req->len += pkt->rma_iov[i].len;
	}
	return true;
}

/*
 * Operands, and what they are compared with, have the length of the target;
 * who only reads may leave them out.
 */
static bool sizes_fit(const struct rdm_ep *ep, const struct rdm_pkt *pkt,
		      const struct request *req)
{
	uint32_t answer =
		rdm_pkt_hdr_len(&(struct rdm_pkt){ .type = RDM_PKT_ATOMRSP });
	uint64_t len = pkt->payload_len;

	if (req->len > ep->mtu - answer)
		return false;
	if (req->kind == RDM_ATOMIC_COMPARE)
		return len == 2 * req->len;
	return len == req->len || (pkt->aux == RDM_ATOMIC_READ && !len);
}

/* What is wrong with a request as such; RDM_OK: nothing. */
static enum rdm_err judge(const struct rdm_ep *ep, const struct rdm_pkt *pkt,
			  struct request *req)
{
	const uint8_t *payload = pkt->payload;

	req->kind = kind_of(pkt->type);
	req->work = (struct rdm_atomic_work){
		.fn = rdm_atomic_find(req->kind, pkt->aux, pkt->aux2),
		.size = rdm_atomic_size(pkt->aux2),
	};
	if (!req->work.fn)
		return RDM_ERR_ATOMIC;
	if (!whole_ranges(pkt, req) || !sizes_fit(ep, pkt, req))
		return RDM_ERR_SIZE;
	if (pkt->aux != RDM_ATOMIC_READ)
		req->work.operand = payload;
	if (req->kind == RDM_ATOMIC_COMPARE)
		req->work.compare = payload + req->len;
	return RDM_OK;
}

static uint32_t access_of(const struct request *req, uint32_t op)
{
	if (op == RDM_ATOMIC_READ)
		return DEV_REMOTE_READ;
	return DEV_REMOTE_WRITE |
	       (req->kind == RDM_ATOMIC_BASE ? 0 : DEV_REMOTE_READ);
}

static const void *behind(const void *p, uint64_t bytes)
{
	return p ? (const uint8_t *)p + bytes : NULL;
}

/* Carries it out, range by range; what was there before goes to ep->scratch. */
static bool carry_out(struct rdm_ep *ep, const struct rdm_pkt *pkt,
		      const struct request *req)
{
	struct rdm_atomic_work work = req->work;
	uint8_t *before = req->kind == RDM_ATOMIC_BASE ? NULL : ep->scratch;

	if (!rdm_target_hold(ep, pkt->rma_iov, pkt->rma_iovcnt,
			     access_of(req, pkt->aux)))
		return false;
	for (uint32_t i = 0; i < pkt->rma_iovcnt; i++) {
		const struct rdm_pkt_iov *iov = &pkt->rma_iov[i];

		work.target = (void *)(uintptr_t)iov->addr;
		work.before = before;
		work.n = iov->len / work.size;
		rdm_atomic_apply(&work);
		work.operand = behind(work.operand, iov->len);
		work.compare = behind(work.compare, iov->len);
		before = before ? before + iov->len : NULL;
	}
	rdm_target_release(ep);
	return true;
}

static void answer(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt, const struct request *req)
{
	struct rdm_pkt out = {
		.type = RDM_PKT_ATOMRSP,
		.recv_id = pkt->recv_id,
		.seg_len = req->len,
	};

	if (req->kind != RDM_ATOMIC_BASE) {
		rdm_ctl_send_data(ep, peer, &out, ep->scratch,
				  (uint32_t)req->len);
	} else if (pkt->type == RDM_PKT_DC_WRITE_RTA) {
		out = (struct rdm_pkt){
			.type = RDM_PKT_RECEIPT,
			.send_id = pkt->send_id,
			.msg_id = pkt->msg_id,
		};
		rdm_ctl_send(ep, peer, &out);
	}
}

/* The peer hears of it when it waits for an answer. */
static U_COLD void refuse(struct rdm_ep *ep, struct rdm_peer *peer,
			  const struct rdm_pkt *pkt, enum rdm_err err)
{
	uint32_t id = pkt->type == RDM_PKT_DC_WRITE_RTA ? pkt->send_id :
							  pkt->recv_id;

	rdm_target_refuse(ep, peer, err);
	if (pkt->type != RDM_PKT_WRITE_RTA)
		rdm_error_tell(ep, peer, RDM_REF_ID, id, err);
}

void rdm_atomic_in(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt)
{
	struct request req;
	enum rdm_err err = judge(ep, pkt, &req);

	if (!err && !carry_out(ep, pkt, &req))
		err = RDM_ERR_RMA_ADDR;
	if (u_unlikely(err)) {
		refuse(ep, peer, pkt, err);
		return;
	}
	if (pkt->aux != RDM_ATOMIC_READ)
		rdm_regions_written(ep, pkt->rma_iov, pkt->rma_iovcnt);
	rdm_count(ep,
		  req.kind == RDM_ATOMIC_BASE ? RDM_CNTR_REMOTE_WRITE :
						RDM_CNTR_REMOTE_READ,
		  true);
	answer(ep, peer, pkt, &req);
}
