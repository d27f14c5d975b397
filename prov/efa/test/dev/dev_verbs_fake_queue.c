/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_fake_queue.c - the fake EFA: posting and polling
 */
#include "dev_verbs_fake.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fake_qp *fqp(struct ibv_qp_ex *ex)
{
	return (struct fake_qp *)ex;
}

/* ---- sends --------------------------------------------------------------- */

static void wr_start(struct ibv_qp_ex *ex)
{
	struct fake_qp *qp = fqp(ex);

	assert(!qp->in_session && !qp->cq->polling);
	assert(ex->qp_base.state == IBV_QPS_RTS);
	qp->in_session = true;
	qp->nsession = 0;
}

static struct fake_wr *wr_new(struct ibv_qp_ex *ex, enum ibv_wr_opcode opcode)
{
	struct fake_qp *qp = fqp(ex);
	struct fake_wr *wr = calloc(1, sizeof(*wr));

	assert(qp->in_session && qp->nsession < 64 && wr);
	wr->opcode = opcode;
	wr->wr_id = ex->wr_id;
	wr->is_inline = ex->wr_flags & IBV_SEND_INLINE;
	wr->nsge = -1;
	qp->session[qp->nsession++] = wr;
	return wr;
}

static struct fake_wr *wr_last(struct ibv_qp_ex *ex)
{
	return fqp(ex)->session[fqp(ex)->nsession - 1];
}

static void wr_send(struct ibv_qp_ex *ex)
{
	wr_new(ex, IBV_WR_SEND);
}

static void wr_send_imm(struct ibv_qp_ex *ex, __be32 imm)
{
	wr_new(ex, IBV_WR_SEND_WITH_IMM)->imm = imm;
}

static void wr_rdma(struct ibv_qp_ex *ex, enum ibv_wr_opcode opcode,
		    uint32_t rkey, uint64_t remote, uint32_t imm)
{
	struct fake_wr *wr = wr_new(ex, opcode);

	wr->rkey = rkey;
	wr->remote = remote;
	wr->imm = imm;
}

static void wr_rdma_read(struct ibv_qp_ex *ex, uint32_t rkey, uint64_t remote)
{
	wr_rdma(ex, IBV_WR_RDMA_READ, rkey, remote, 0);
}

static void wr_rdma_write(struct ibv_qp_ex *ex, uint32_t rkey, uint64_t remote)
{
	wr_rdma(ex, IBV_WR_RDMA_WRITE, rkey, remote, 0);
}

static void wr_rdma_write_imm(struct ibv_qp_ex *ex, uint32_t rkey,
			      uint64_t remote, __be32 imm)
{
	wr_rdma(ex, IBV_WR_RDMA_WRITE_WITH_IMM, rkey, remote, imm);
}

static void wr_set_inline_data(struct ibv_qp_ex *ex, void *addr, size_t len)
{
	struct fake_wr *wr = wr_last(ex);

	assert(wr->is_inline && len <= fqp(ex)->attr.cap.max_inline_data);
	memcpy(wr->bytes, addr, len);
	wr->len = (uint32_t)len;
	wr->nsge = 0;
}

static bool is_rdma(const struct fake_wr *wr)
{
	return wr->opcode != IBV_WR_SEND && wr->opcode != IBV_WR_SEND_WITH_IMM;
}

static void wr_set_sge_list(struct ibv_qp_ex *ex, size_t n,
			    const struct ibv_sge *sge)
{
	struct fake_wr *wr = wr_last(ex);

	assert(!wr->is_inline && n <= (is_rdma(wr) ? 1u : 2u) &&
	       n <= fqp(ex)->attr.cap.max_send_sge);
	wr->nsge = (int)n;
	for (size_t i = 0; i < n; i++) {
		assert(fake_is_registered(&sge[i]));
		wr->sge[i] = sge[i];
		if (!is_rdma(wr)) {
			assert(wr->len + sge[i].length <= FAKE_MTU);
			memcpy(wr->bytes + wr->len,
			       (void *)(uintptr_t)sge[i].addr, sge[i].length);
		}
		wr->len += sge[i].length;
	}
}

static void wr_set_ud_addr(struct ibv_qp_ex *ex, struct ibv_ah *ah,
			   uint32_t qpn, uint32_t qkey)
{
	struct fake_wr *wr = wr_last(ex);

	assert(ah && qpn <= 0xffff);
	wr->ah = ah;
	wr->qpn = qpn;
	wr->qkey = qkey;
}

static int wr_complete(struct ibv_qp_ex *ex)
{
	struct fake_qp *qp = fqp(ex);
	int rc = 0;

	assert(qp->in_session);
	qp->in_session = false;
	if (fake_config.fail_complete) {
		fake_config.fail_complete--;
		rc = fake_config.complete_error;
	} else if (qp->nsends + (uint32_t)qp->nsession >
		   qp->attr.cap.max_send_wr) {
		rc = ENOMEM;
	} else {
		fake_count.doorbells++;
	}
	for (int i = 0; i < qp->nsession; i++) {
		struct fake_wr *wr = qp->session[i];

		assert(wr->ah && wr->nsge >= 0);
		if (rc) {
			free(wr);
			continue;
		}
		STAILQ_INSERT_TAIL(&qp->sends, wr, link);
		qp->nsends++;
	}
	return rc;
}

void fake_qp_ops(struct fake_qp *qp)
{
	struct ibv_qp_ex *ex = &qp->ex;
	uint64_t ops = qp->attr.send_ops_flags;

	ex->wr_start = wr_start;
	ex->wr_complete = wr_complete;
	ex->wr_send = ops & IBV_QP_EX_WITH_SEND ? wr_send : NULL;
	ex->wr_send_imm = ops & IBV_QP_EX_WITH_SEND_WITH_IMM ? wr_send_imm :
							       NULL;
	ex->wr_rdma_read = ops & IBV_QP_EX_WITH_RDMA_READ ? wr_rdma_read : NULL;
	ex->wr_rdma_write = ops & IBV_QP_EX_WITH_RDMA_WRITE ? wr_rdma_write :
							      NULL;
	ex->wr_rdma_write_imm = ops & IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM ?
					wr_rdma_write_imm :
					NULL;
	ex->wr_set_inline_data = wr_set_inline_data;
	ex->wr_set_sge_list = wr_set_sge_list;
	ex->wr_set_ud_addr = wr_set_ud_addr;
}

/* ---- receives ------------------------------------------------------------- */

int fake_post_recv(struct ibv_qp *ibv, struct ibv_recv_wr *wr,
		   struct ibv_recv_wr **bad)
{
	struct fake_qp *qp = (struct fake_qp *)ibv;

	assert(!qp->cq->polling && ibv->state >= IBV_QPS_INIT);
	fake_count.recv_doorbells++;
	for (; wr; wr = wr->next) {
		struct fake_recv *recv;

		if (qp->nrecvs == qp->attr.cap.max_recv_wr) {
			*bad = wr;
			return ENOMEM;
		}
		assert(!wr->num_sge ||
		       (wr->num_sge == 1 && fake_is_registered(wr->sg_list)));
		recv = calloc(1, sizeof(*recv));
		assert(recv);
		recv->wr_id = wr->wr_id;
		if (wr->num_sge)
			recv->sge = *wr->sg_list;
		STAILQ_INSERT_TAIL(&qp->recvs, recv, link);
		qp->nrecvs++;
	}
	return 0;
}

/* ---- completions ------------------------------------------------------------- */

static struct fake_cq *fcq(struct ibv_cq_ex *ex)
{
	return (struct fake_cq *)ex;
}

static struct fake_entry *add(struct fake_qp *qp, uint64_t wr_id)
{
	struct fake_entry *e = calloc(1, sizeof(*e));
	char event = 1;

	assert(e);
	e->qp = &qp->ex.qp_base;
	e->wr_id = wr_id;
	STAILQ_INSERT_TAIL(&qp->cq->entries, e, link);
	if (qp->cq->armed && qp->cq->ex.channel) {
		qp->cq->armed = false;
		if (write(qp->cq->ex.channel->refcnt, &event, 1) != 1)
			abort();
	}
	return e;
}

void fake_end(struct fake_qp *qp, uint32_t status)
{
	struct fake_wr *wr = STAILQ_FIRST(&qp->sends);
	struct fake_entry *e;

	assert(wr);
	STAILQ_REMOVE_HEAD(&qp->sends, link);
	qp->nsends--;
	/* The memory had to stay until this moment. */
	for (int i = 0; i < wr->nsge; i++)
		assert(fake_is_registered(&wr->sge[i]));
	e = add(qp, wr->wr_id);
	e->status = status ? IBV_WC_GENERAL_ERR : IBV_WC_SUCCESS;
	e->vendor_err = status;
	free(wr);
}

static struct fake_recv *recv_take(struct fake_qp *qp)
{
	struct fake_recv *recv = STAILQ_FIRST(&qp->recvs);

	assert(recv);
	STAILQ_REMOVE_HEAD(&qp->recvs, link);
	qp->nrecvs--;
	assert(!recv->sge.length || fake_is_registered(&recv->sge));
	return recv;
}

void fake_arrive(struct fake_qp *qp, const struct fake_sender *from,
		 const void *data, uint32_t len, const uint32_t *imm)
{
	uint32_t prefix = qp->srd ? 0 : 40;
	struct fake_recv *recv;
	struct fake_entry *e;

	if (qp->ex.qp_base.state == IBV_QPS_ERR)
		return;
	recv = recv_take(qp);
	e = add(qp, recv->wr_id);
	assert(prefix + len <= recv->sge.length);
	if (len)
		memcpy((char *)(uintptr_t)recv->sge.addr + prefix, data, len);
	e->opcode = IBV_WC_RECV;
	e->len = prefix + len;
	e->from = *from;
	e->has_imm = imm != NULL;
	e->imm = imm ? *imm : 0;
	free(recv);
}

static struct fake_entry *add_written(struct fake_qp *qp, uint64_t wr_id,
				      const struct fake_sender *from,
				      uint32_t len, uint32_t imm)
{
	struct fake_entry *e = add(qp, wr_id);

	e->opcode = IBV_WC_RECV_RDMA_WITH_IMM;
	e->len = len;
	e->from = *from;
	e->has_imm = true;
	e->imm = imm;
	return e;
}

void fake_written(struct fake_qp *qp, const struct fake_sender *from,
		  uint32_t len, uint32_t imm)
{
	struct fake_recv *recv = recv_take(qp);

	add_written(qp, recv->wr_id, from, len, imm);
	free(recv);
}

void fake_written_alone(struct fake_qp *qp, const struct fake_sender *from,
			uint32_t len, uint32_t imm)
{
	assert(qp->flags & 1);
	add_written(qp, 0, from, len, imm)->unsolicited = true;
}

void fake_fail_recvs(struct fake_qp *qp, uint32_t n, uint32_t status)
{
	while (n--) {
		struct fake_recv *recv = recv_take(qp);
		struct fake_entry *e = add(qp, recv->wr_id);

		e->status = IBV_WC_GENERAL_ERR;
		e->vendor_err = status;
		free(recv);
	}
}

void fake_stale(struct fake_qp *qp)
{
	add(qp, 0)->qp = NULL;
}

static int take(struct fake_cq *cq)
{
	free(cq->at);
	cq->at = STAILQ_FIRST(&cq->entries);
	if (!cq->at)
		return ENOENT;
	STAILQ_REMOVE_HEAD(&cq->entries, link);
	if (!cq->at->qp)
		return EINVAL;
	cq->ex.wr_id = cq->at->wr_id;
	cq->ex.status = cq->at->status;
	if (++cq->taken > fake_count.entries)
		fake_count.entries = cq->taken;
	return 0;
}

static int start_poll(struct ibv_cq_ex *ex, struct ibv_poll_cq_attr *attr)
{
	struct fake_cq *cq = fcq(ex);
	int rc;

	assert(!cq->polling && attr->comp_mask == 0);
	cq->taken = 0;
	rc = take(cq);
	cq->polling = rc == 0;
	return rc;
}

/* With the fault of version 44, EINVAL here would break something. */
static int next_poll(struct ibv_cq_ex *ex)
{
	int rc;

	assert(fcq(ex)->polling);
	rc = take(fcq(ex));
	assert(rc != EINVAL);
	return rc;
}

static void end_poll(struct ibv_cq_ex *ex)
{
	assert(fcq(ex)->polling);
	fcq(ex)->polling = false;
}

static struct fake_entry *at(struct ibv_cq_ex *ex)
{
	assert(fcq(ex)->polling && fcq(ex)->at);
	return fcq(ex)->at;
}

/* What only entries that went well have. */
static struct fake_entry *good(struct ibv_cq_ex *ex)
{
	assert(at(ex)->status == IBV_WC_SUCCESS);
	return at(ex);
}

static enum ibv_wc_opcode read_opcode(struct ibv_cq_ex *ex)
{
	return good(ex)->opcode;
}

static uint32_t read_vendor_err(struct ibv_cq_ex *ex)
{
	return at(ex)->vendor_err;
}

static uint32_t read_byte_len(struct ibv_cq_ex *ex)
{
	return good(ex)->len;
}

static __be32 read_imm_data(struct ibv_cq_ex *ex)
{
	return good(ex)->imm;
}

static uint32_t read_qp_num(struct ibv_cq_ex *ex)
{
	return at(ex)->qp->qp_num;
}

static uint32_t read_src_qp(struct ibv_cq_ex *ex)
{
	return good(ex)->from.qpn;
}

static unsigned int read_wc_flags(struct ibv_cq_ex *ex)
{
	return good(ex)->has_imm ? IBV_WC_WITH_IMM : 0;
}

static uint32_t read_slid(struct ibv_cq_ex *ex)
{
	return good(ex)->from.ahn;
}

static int read_sgid(struct efadv_cq *efa, union ibv_gid *gid)
{
	struct fake_cq *cq =
		(struct fake_cq *)((char *)efa - offsetof(struct fake_cq, efa));

	if (cq->at->from.ahn != FAKE_AHN_NONE)
		return -1;
	memcpy(gid->raw, cq->at->from.gid, sizeof(gid->raw));
	return 0;
}

void fake_cq_ops(struct fake_cq *cq, bool sgid)
{
	struct ibv_cq_ex *ex = &cq->ex;

	ex->start_poll = start_poll;
	ex->next_poll = next_poll;
	ex->end_poll = end_poll;
	ex->read_opcode = read_opcode;
	ex->read_vendor_err = read_vendor_err;
	ex->read_byte_len = read_byte_len;
	ex->read_imm_data = read_imm_data;
	ex->read_qp_num = read_qp_num;
	ex->read_src_qp = read_src_qp;
	ex->read_wc_flags = read_wc_flags;
	ex->read_slid = read_slid;
	cq->efa.wc_read_sgid = sgid ? read_sgid : NULL;
}

/* A pipe stands for the channel: fd to read, refcnt to write. */
int fake_req_notify(struct ibv_cq *ibv, int solicited)
{
	struct fake_cq *cq = (struct fake_cq *)ibv;

	assert(!solicited && cq->ex.channel);
	cq->armed = true;
	return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **out,
		     void **context)
{
	struct fake_cq *cq = *(struct fake_cq **)(void *)(channel + 1);
	char event;

	if (read(channel->fd, &event, 1) != 1)
		return -1;
	cq->unacked++;
	*out = (struct ibv_cq *)&cq->ex;
	*context = cq->ex.cq_context;
	return 0;
}

void ibv_ack_cq_events(struct ibv_cq *ibv, unsigned int n)
{
	struct fake_cq *cq = (struct fake_cq *)ibv;

	assert(n && (int)n <= cq->unacked);
	cq->unacked -= (int)n;
}
