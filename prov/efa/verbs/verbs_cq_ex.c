/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_cq_ex.c - polling entry by entry: start, read, next, end
 *
 * An entry's request may be posted again once the program has gone past it, so
 * the one before is freed by next and end. A reader that was not asked for is
 * no function.
 */
#include "verbs_priv.h"

/* Makes the next entry the one to read: 0 or ENOENT. */
static int cq_advance(struct verbs_cq *cq)
{
	if (!verbs_cq_pop(cq, &cq->now)) {
		verbs_cq_drive(cq);
		if (!verbs_cq_pop(cq, &cq->now)) {
			cq->now.qp = NULL;
			verbs_cq_idle(cq);
			return ENOENT;
		}
	}
	cq->ex.wr_id = cq->now.wr_id;
	cq->ex.status = verbs_status(cq->now.vendor_err);
	return 0;
}

static void cq_pass(struct verbs_cq *cq)
{
	if (cq->now.qp)
		verbs_cqe_free(&cq->now);
	cq->now.qp = NULL;
}

static int cq_start_poll(struct ibv_cq_ex *c, struct ibv_poll_cq_attr *attr)
{
	struct verbs_cq *cq = verbs_cq_of_ex(c);
	int rc;

	if (attr->comp_mask)
		return EINVAL;
	u_lock(&cq->poll);
	rc = cq_advance(cq);
	if (rc)
		u_unlock(&cq->poll);
	return rc;
}

static int cq_next_poll(struct ibv_cq_ex *c)
{
	struct verbs_cq *cq = verbs_cq_of_ex(c);

	cq_pass(cq);
	return cq_advance(cq);
}

static void cq_end_poll(struct ibv_cq_ex *c)
{
	struct verbs_cq *cq = verbs_cq_of_ex(c);

	cq_pass(cq);
	u_unlock(&cq->poll);
}

static enum ibv_wc_opcode cq_read_opcode(struct ibv_cq_ex *c)
{
	return (enum ibv_wc_opcode)verbs_cq_of_ex(c)->now.opcode;
}

static uint32_t cq_read_vendor_err(struct ibv_cq_ex *c)
{
	return verbs_cq_of_ex(c)->now.vendor_err;
}

static unsigned int cq_read_wc_flags(struct ibv_cq_ex *c)
{
	return verbs_cq_of_ex(c)->now.has_imm ? IBV_WC_WITH_IMM : 0;
}

static uint32_t cq_read_byte_len(struct ibv_cq_ex *c)
{
	return verbs_cq_of_ex(c)->now.byte_len;
}

static __be32 cq_read_imm_data(struct ibv_cq_ex *c)
{
	return verbs_cq_of_ex(c)->now.imm;
}

static uint32_t cq_read_qp_num(struct ibv_cq_ex *c)
{
	return verbs_cq_of_ex(c)->now.qp_num;
}

static uint32_t cq_read_src_qp(struct ibv_cq_ex *c)
{
	return verbs_cq_of_ex(c)->now.src_qp;
}

static uint32_t cq_read_slid(struct ibv_cq_ex *c)
{
	return verbs_cq_of_ex(c)->now.slid;
}

static uint8_t cq_read_zero(struct ibv_cq_ex *c)
{
	(void)c;
	return 0;
}

/* Only of a sender that has no address handle here: others have their number. */
static int cq_read_sgid(struct efadv_cq *efadv, union ibv_gid *sgid)
{
	const struct verbs_cqe *e =
		&u_container_of(efadv, struct verbs_cq, efadv)->now;

	if (!e->is_recv || e->slid != VERBS_NO_AH)
		return -ENOENT;
	memcpy(sgid->raw, e->gid, sizeof(sgid->raw));
	return 0;
}

void verbs_cq_ex_fill(struct verbs_cq *cq, uint64_t wc_flags, bool sgid)
{
	struct ibv_cq_ex *c = &cq->ex;

	c->start_poll = cq_start_poll;
	c->next_poll = cq_next_poll;
	c->end_poll = cq_end_poll;
	c->read_opcode = cq_read_opcode;
	c->read_vendor_err = cq_read_vendor_err;
	c->read_wc_flags = cq_read_wc_flags;
	if (wc_flags & IBV_WC_EX_WITH_BYTE_LEN)
		c->read_byte_len = cq_read_byte_len;
	if (wc_flags & IBV_WC_EX_WITH_IMM)
		c->read_imm_data = cq_read_imm_data;
	if (wc_flags & IBV_WC_EX_WITH_QP_NUM)
		c->read_qp_num = cq_read_qp_num;
	if (wc_flags & IBV_WC_EX_WITH_SRC_QP)
		c->read_src_qp = cq_read_src_qp;
	if (wc_flags & IBV_WC_EX_WITH_SLID)
		c->read_slid = cq_read_slid;
	if (wc_flags & IBV_WC_EX_WITH_SL)
		c->read_sl = cq_read_zero;
	if (wc_flags & IBV_WC_EX_WITH_DLID_PATH_BITS)
		c->read_dlid_path_bits = cq_read_zero;
	if (sgid)
		cq->efadv.wc_read_sgid = cq_read_sgid;
}
