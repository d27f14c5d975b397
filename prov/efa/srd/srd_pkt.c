/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pkt.c - reading of packets, and the judgement of what arrives
 *
 * The bytes are those of srd_wire(5). What a type or an operation may carry is
 * a row of a table; the writer, srd_pkt_build.c, goes by the same rows. The
 * caller owns the packet: nobody writes it while it is read.
 *
 * I1: no byte is used before the check has been found right, but for those
 *     that say what the check covers.
 * I2: a field that an operation does not have is 0, or the packet is refused.
 */
#include "srd/srd_pkt.h"

#include "srd/srd.h"
#include "srd/srd_check.h"
#include "srd/srd_pkt_priv.h"
#include "util/u_base.h"
#include "util/u_bytes.h"

/* ---- the tables ---------------------------------------------------------- */

#define ANY (SRD_F_CHECK_ALL | SRD_F_HIGH)

const struct srd_pkt_type_row srd_pkt_types[SRD_PKT_NTYPES] = {
	[SRD_PKT_DATA] = { .may = ANY | SRD_F_ACK | SRD_F_ACK_NOW |
				  SRD_F_RESENT | SRD_F_IMM,
			   .known = true,
			   .payload = true },
	[SRD_PKT_ACK] = { .may = ANY | SRD_F_ACK,
			  .must = SRD_F_ACK,
			  .known = true },
	[SRD_PKT_PROBE] = { .may = ANY | SRD_F_ACK | SRD_F_ACK_NOW,
			    .known = true },
	[SRD_PKT_CLOSE] = { .may = ANY | SRD_F_ACK, .known = true },
	[SRD_PKT_DATAGRAM] = { .may = ANY | SRD_F_IMM,
			       .known = true,
			       .payload = true },
};

const struct srd_pkt_op_row srd_pkt_ops[SRD_PKT_NOPS] = {
	[SRD_OP_SEND] = { SRD_HAS_PAYLOAD | SRD_HAS_PACKED | SRD_MAY_IMM, true,
			  SRD_MSG_MAX },
	[SRD_OP_WRITE] = { SRD_HAS_PAYLOAD | SRD_HAS_RANGE | SRD_HAS_MEMORY |
				   SRD_MAY_IMM,
			   true, SRD_RDMA_MAX },
	[SRD_OP_WRITTEN] = { SRD_HAS_RANGE | SRD_MAY_IMM | SRD_MUST_IMM, true,
			     SRD_RDMA_MAX },
	[SRD_OP_READ] = { SRD_HAS_RANGE | SRD_HAS_MEMORY, true, SRD_RDMA_MAX },
	[SRD_OP_DATA] = { SRD_HAS_PAYLOAD, true, SRD_RDMA_MAX },
	[SRD_OP_RESULT] = { SRD_HAS_STATUS, true, 0 },
	[SRD_OP_VOID] = { 0, true, 0 },
};

#define STATUSES                                                       \
	(1u << SRD_FLUSHED | 1u << SRD_BAD_OP | 1u << SRD_TOO_LONG |   \
	 1u << SRD_BAD_RKEY | 1u << SRD_PEER_RESET | 1u << SRD_NO_QP | \
	 1u << SRD_RNR | 1u << SRD_BAD_LEN | 1u << SRD_UNRESPONSIVE |  \
	 1u << SRD_UNREACHABLE)

static inline bool is_failure(uint8_t status)
{
	return status < 32 && (STATUSES >> status & 1);
}

/* ---- reading ------------------------------------------------------------- */

/* The headers behind the base that have not been read. */
struct rest {
	const uint8_t *at;
	size_t left; /* bytes */
};

/* n bytes, or NULL when there are fewer. */
static inline const uint8_t *take(struct rest *r, size_t n)
{
	const uint8_t *at = r->at;

	if (u_unlikely(r->left < n))
		return NULL;
	r->at += n;
	r->left -= n;
	return at;
}

static inline void get_base(const uint8_t *b, struct srd_pkt_base *base)
{
	base->type = b[1];
	base->flags = b[2];
	base->src_qpn = u_get16(b + 4);
	base->path = b[6];
	base->epoch = b[7];
	base->src_connid = u_get32(b + 8);
	base->dst_connid = u_get32(b + 12);
	base->stamp = u_get32(b + 16);
}

/* Offset, total and length of a payload against each other. */
static inline bool payload_fits(const struct srd_pkt_op_row *row,
				const struct srd_pkt_data *d, uint32_t len)
{
	bool has_total = row->has & SRD_HAS_TOTAL;
	uint32_t end = has_total ? d->total : row->max;

	if (u_unlikely(len == 0)) /* only of an operation of no bytes */
		return has_total && d->offset == 0 && d->total == 0;
	return len <= end && d->offset <= end - len;
}

/* Judges what the fields say; their places have been read. */
static inline enum srd_pkt_verdict judge_data(const struct srd_pkt_op_row *row,
					      const struct srd_pkt_data *d,
					      uint32_t payload_len)
{
	if (row->has & SRD_HAS_STATUS ? !is_failure(d->status) : d->status != 0)
		return SRD_PKT_FIELD;
	if (d->total > row->max || d->remote > UINT64_MAX - d->total)
		return SRD_PKT_FIELD;
	if (!(row->has & SRD_HAS_MEMORY) && (d->remote | d->rkey) != 0)
		return SRD_PKT_FIELD;
	if (!(row->has & SRD_HAS_PAYLOAD)) {
		if (payload_len != 0)
			return SRD_PKT_SHORT;
		return d->offset == 0 ? SRD_PKT_GOOD : SRD_PKT_FIELD;
	}
	if (!payload_fits(row, d, payload_len))
		return SRD_PKT_FIELD;
	/* Only a WRITE that is whole says by itself that it has landed. */
	if (d->has_imm && row->has & SRD_HAS_MEMORY && payload_len != d->total)
		return SRD_PKT_FIELD;
	return SRD_PKT_GOOD;
}

static inline enum srd_pkt_verdict
get_data(struct rest *r, struct srd_pkt_data *d, uint32_t payload_len)
{
	const uint8_t *b = take(r, SRD_DATA_LEN);
	const struct srd_pkt_op_row *row;

	if (u_unlikely(!b))
		return SRD_PKT_SHORT;
	d->psn = u_get32(b);
	d->op = b[4];
	d->status = b[5];
	d->msg = u_get32(b + 8);
	d->offset = u_get32(b + 12);
	d->total = 0;
	d->remote = 0;
	d->rkey = 0;
	if (u_unlikely(d->op >= SRD_PKT_NOPS || !srd_pkt_ops[d->op].known))
		return SRD_PKT_TYPE;
	row = &srd_pkt_ops[d->op];
	if (d->has_imm ? !(row->has & SRD_MAY_IMM) : row->has & SRD_MUST_IMM)
		return SRD_PKT_TYPE;
	if (u_unlikely(u_get16(b + 6) != 0))
		return SRD_PKT_FIELD;

	if (row->has & SRD_HAS_PACKED) {
		d->total = d->offset >> 16;
		d->offset &= 0xffff;
	}
	if (row->has & SRD_HAS_RANGE) {
		b = take(r, SRD_RANGE_LEN);
		if (u_unlikely(!b))
			return SRD_PKT_SHORT;
		d->remote = u_get64(b);
		d->rkey = u_get32(b + 8);
		d->total = u_get32(b + 12);
	}
	return judge_data(row, d, payload_len);
}

static enum srd_pkt_verdict get_close(struct rest *r, struct srd_pkt_close *c)
{
	const uint8_t *b = take(r, SRD_CLOSE_LEN);

	if (!b)
		return SRD_PKT_SHORT;
	c->reason = b[0];
	c->about = u_get32(b + 4);
	if (c->reason != SRD_PEER_RESET && c->reason != SRD_NO_QP)
		return SRD_PKT_FIELD;
	if (b[1] != 0 || u_get16(b + 2) != 0 || c->about == 0)
		return SRD_PKT_FIELD;
	return SRD_PKT_GOOD;
}

/* Echoes, bitmap and naks, whose counts are within bounds. */
static enum srd_pkt_verdict get_lists(struct rest *r, struct srd_pkt_ack *a)
{
	const uint8_t *b = take(r, srd_pkt_ack_len(a) - SRD_ACK_LEN);
	unsigned wrong = 0; /* bits that have to be 0 */

	if (u_unlikely(!b))
		return SRD_PKT_SHORT;
	for (int i = 0; i < a->nechoes; i++, b += SRD_ECHO_LEN) {
		a->echo[i].stamp = u_get32(b);
		a->echo[i].held = u_get16(b + 4);
		a->echo[i].path = b[6];
		wrong |= b[7] | (b[6] >= SRD_PATHS_MAX);
	}
	for (int i = 0; i < a->nwords; i++, b += SRD_WORD_LEN)
		a->word[i] = u_get32(b);
	for (int i = 0; i < a->nnaks; i++, b += SRD_NAK_LEN) {
		a->nak[i].psn = u_get32(b);
		a->nak[i].status = b[4];
		a->nak[i].wait = u_get16(b + 6);
		wrong |= b[5] | !is_failure(b[4]);
	}
	return wrong ? SRD_PKT_FIELD : SRD_PKT_GOOD;
}

static enum srd_pkt_verdict get_ack(struct rest *r, struct srd_pkt_ack *a)
{
	const uint8_t *b = take(r, SRD_ACK_LEN);

	if (u_unlikely(!b))
		return SRD_PKT_SHORT;
	a->cum = u_get32(b);
	a->credit = u_get32(b + 4);
	a->received = u_get32(b + 8);
	a->epoch = b[12];
	a->flags = b[13];
	a->nechoes = b[14] & 0xf;
	a->nnaks = b[14] >> 4;
	a->nwords = b[15];
	if (u_unlikely(a->flags & ~SRD_ACK_PRESSURE))
		return SRD_PKT_TYPE;
	if (u_unlikely(a->nechoes > SRD_ECHOES_MAX || a->nnaks > SRD_NAKS_MAX ||
		       a->nwords > SRD_BITMAP_WORDS_MAX))
		return SRD_PKT_FIELD;
	return get_lists(r, a);
}

/* A number has one form: no high half that is 0. */
static U_COLD enum srd_pkt_verdict get_high(struct rest *r,
					    struct srd_pkt_base *base)
{
	const uint8_t *b = take(r, SRD_HIGH_LEN);

	if (!b)
		return SRD_PKT_SHORT;
	if (u_get32(b) == 0 || u_get32(b) > SRD_QPN_MAX >> 16)
		return SRD_PKT_FIELD;
	base->src_qpn |= u_get32(b) << 16;
	return SRD_PKT_GOOD;
}

/* All headers behind the base. */
static inline enum srd_pkt_verdict get_rest(struct rest *r, struct srd_pkt *p)
{
	enum srd_pkt_verdict verdict = SRD_PKT_GOOD;
	const uint8_t *imm;

	if (u_unlikely(p->base.flags & SRD_F_HIGH))
		verdict = get_high(r, &p->base);
	if (u_unlikely(verdict != SRD_PKT_GOOD))
		return verdict;
	p->data.imm = 0;
	p->data.has_imm = p->base.flags & SRD_F_IMM;
	if (u_likely(p->base.type == SRD_PKT_DATA))
		verdict = get_data(r, &p->data, p->payload_len);
	else if (p->base.type == SRD_PKT_CLOSE)
		verdict = get_close(r, &p->close);
	if (u_unlikely(verdict != SRD_PKT_GOOD))
		return verdict;

	if (p->data.has_imm) {
		imm = take(r, SRD_IMM_LEN);
		if (u_unlikely(!imm))
			return SRD_PKT_SHORT;
		p->data.imm = u_get32(imm);
	}
	p->has_ack = p->base.flags & SRD_F_ACK;
	return p->has_ack ? get_ack(r, &p->ack) : SRD_PKT_GOOD;
}

static inline enum srd_pkt_verdict judge_base(const struct srd_pkt_base *base,
					      uint32_t payload_len)
{
	const struct srd_pkt_type_row *row;

	if (u_unlikely(base->type >= SRD_PKT_NTYPES))
		return SRD_PKT_TYPE;
	row = &srd_pkt_types[base->type];
	if (!row->known || base->flags & ~row->may ||
	    (base->flags & row->must) != row->must)
		return SRD_PKT_TYPE;
	if (u_unlikely(payload_len != 0 && !row->payload))
		return SRD_PKT_SHORT;
	if (u_unlikely(base->path >= SRD_PATHS_MAX || base->src_connid == 0))
		return SRD_PKT_FIELD;
	return SRD_PKT_GOOD;
}

enum srd_pkt_verdict srd_pkt_parse(const void *packet, size_t len,
				   struct srd_pkt *p)
{
	const uint8_t *b = packet;
	enum srd_pkt_verdict verdict;
	struct iovec payload;
	struct rest rest;
	size_t hdr_len;

	if (u_unlikely(len < SRD_BASE_LEN || len > SRD_PACKET_MAX))
		return SRD_PKT_SHORT;
	if (u_unlikely(b[0] != SRD_VERSION))
		return SRD_PKT_VERSION;
	hdr_len = (size_t)b[3] * SRD_WORD_LEN;
	if (u_unlikely(hdr_len < SRD_BASE_LEN || hdr_len > len))
		return SRD_PKT_SHORT;

	get_base(b, &p->base);
	p->payload = b + hdr_len;
	p->payload_len = (uint32_t)(len - hdr_len);
	payload =
		(struct iovec){ (void *)(uintptr_t)p->payload, len - hdr_len };
	if (u_unlikely(srd_check(b, hdr_len, p->payload_len, &payload,
				 !!(p->base.flags & SRD_F_CHECK_ALL)) !=
		       u_get32(b + SRD_CHECK_AT)))
		return SRD_PKT_CHECK;

	verdict = judge_base(&p->base, p->payload_len);
	if (u_unlikely(verdict != SRD_PKT_GOOD))
		return verdict;
	rest = (struct rest){ b + SRD_BASE_LEN, hdr_len - SRD_BASE_LEN };
	return get_rest(&rest, p);
}
