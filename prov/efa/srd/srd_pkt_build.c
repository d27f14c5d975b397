/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pkt_build.c - writing of packets
 *
 * A field that an operation does not have is written as 0, whatever the
 * structure says.
 */
#include "srd/srd_pkt.h"

#include <assert.h>

#include "srd/srd.h"
#include "srd/srd_check.h"
#include "srd/srd_pkt_priv.h"
#include "util/u_base.h"
#include "util/u_bytes.h"

/* The longest headers that can be written. */
#define WRITTEN_MAX                                                   \
	(SRD_BASE_LEN + SRD_HIGH_LEN + SRD_DATA_LEN + SRD_RANGE_LEN + \
	 SRD_IMM_LEN + SRD_ACK_LEN + SRD_ECHOES_MAX * SRD_ECHO_LEN +  \
	 SRD_BITMAP_WORDS_MAX * SRD_WORD_LEN + SRD_NAKS_MAX * SRD_NAK_LEN)
_Static_assert(WRITTEN_MAX <= SRD_HDR_MAX && WRITTEN_MAX <= 255 * SRD_WORD_LEN,
	       "all headers at once have room, and a length that can be told");
_Static_assert(SRD_BASE_LEN + SRD_HIGH_LEN + SRD_IMM_LEN <= SRD_DATAGRAM_HDR,
	       "headers of a datagram");
_Static_assert(SRD_MSG_MAX <= UINT16_MAX, "offset and total share a word");

static uint8_t *put_data(uint8_t *b, const struct srd_pkt_data *d)
{
	const struct srd_pkt_op_row *row = &srd_pkt_ops[d->op];
	uint32_t offset;

	assert(d->op < SRD_PKT_NOPS && row->known);
	assert(d->has_imm ? row->has & SRD_MAY_IMM :
			    !(row->has & SRD_MUST_IMM));
	assert(d->total <= row->max || !(row->has & SRD_HAS_TOTAL));
	offset = row->has & SRD_HAS_PAYLOAD ? d->offset : 0;
	u_put32(b, d->psn);
	b[4] = d->op;
	b[5] = row->has & SRD_HAS_STATUS ? d->status : 0;
	u_put16(b + 6, 0);
	u_put32(b + 8, d->msg);
	u_put32(b + 12,
		row->has & SRD_HAS_PACKED ? d->total << 16 | offset : offset);
	b += SRD_DATA_LEN;
	if (row->has & SRD_HAS_RANGE) {
		u_put64(b, row->has & SRD_HAS_MEMORY ? d->remote : 0);
		u_put32(b + 8, row->has & SRD_HAS_MEMORY ? d->rkey : 0);
		u_put32(b + 12, d->total);
		b += SRD_RANGE_LEN;
	}
	return b;
}

static uint8_t *put_close(uint8_t *b, const struct srd_pkt_close *c)
{
	u_put32(b, c->reason);
	u_put32(b + 4, c->about);
	return b + SRD_CLOSE_LEN;
}

static uint8_t *put_ack(uint8_t *b, const struct srd_pkt_ack *a)
{
	assert(a->nechoes <= SRD_ECHOES_MAX && a->nnaks <= SRD_NAKS_MAX);
	assert(a->nwords <= SRD_BITMAP_WORDS_MAX);
	u_put32(b, a->cum);
	u_put32(b + 4, a->credit);
	u_put32(b + 8, a->received);
	b[12] = a->epoch;
	b[13] = a->flags;
	b[14] = (uint8_t)(a->nechoes | a->nnaks << 4);
	b[15] = a->nwords;
	b += SRD_ACK_LEN;
	for (int i = 0; i < a->nechoes; i++, b += SRD_ECHO_LEN) {
		u_put32(b, a->echo[i].stamp);
		u_put16(b + 4, a->echo[i].held);
		b[6] = a->echo[i].path;
		b[7] = 0;
	}
	for (int i = 0; i < a->nwords; i++, b += SRD_WORD_LEN)
		u_put32(b, a->word[i]);
	for (int i = 0; i < a->nnaks; i++, b += SRD_NAK_LEN) {
		u_put32(b, a->nak[i].psn);
		b[4] = a->nak[i].status;
		b[5] = 0;
		u_put16(b + 6, a->nak[i].wait);
	}
	return b;
}

/* All but the check and the number of words. */
static uint8_t *put_headers(uint8_t *b, const struct srd_pkt *p)
{
	const struct srd_pkt_base *base = &p->base;
	bool has_imm = srd_pkt_types[base->type].may & SRD_F_IMM &&
		       p->data.has_imm;
	bool has_high = base->src_qpn > UINT16_MAX;
	uint8_t flags = base->flags & ~(SRD_F_ACK | SRD_F_IMM | SRD_F_HIGH);

	assert(base->path < SRD_PATHS_MAX && base->src_connid != 0);
	assert(base->src_qpn <= SRD_QPN_MAX);
	b[0] = SRD_VERSION;
	b[1] = base->type;
	b[2] = (uint8_t)(flags | (p->has_ack ? SRD_F_ACK : 0) |
			 (has_imm ? SRD_F_IMM : 0) |
			 (has_high ? SRD_F_HIGH : 0));
	assert(!(b[2] & ~srd_pkt_types[base->type].may));
	assert((b[2] & srd_pkt_types[base->type].must) ==
	       srd_pkt_types[base->type].must);
	u_put16(b + 4, (uint16_t)base->src_qpn);
	b[6] = base->path;
	b[7] = base->epoch;
	u_put32(b + 8, base->src_connid);
	u_put32(b + 12, base->dst_connid);
	u_put32(b + 16, base->stamp);
	b += SRD_BASE_LEN;
	if (u_unlikely(has_high)) {
		u_put32(b, base->src_qpn >> 16);
		b += SRD_HIGH_LEN;
	}

	if (base->type == SRD_PKT_DATA)
		b = put_data(b, &p->data);
	else if (base->type == SRD_PKT_CLOSE)
		b = put_close(b, &p->close);
	if (has_imm) {
		u_put32(b, p->data.imm);
		b += SRD_IMM_LEN;
	}
	return p->has_ack ? put_ack(b, &p->ack) : b;
}

size_t srd_pkt_build_iov(const struct srd_pkt *p, const struct iovec *iov,
			 int iovcnt, void *hdr)
{
	uint8_t *b = hdr;
	size_t payload_len = 0, len;
	uint32_t check;

	assert(p->base.type < SRD_PKT_NTYPES &&
	       srd_pkt_types[p->base.type].known);
	for (int i = 0; i < iovcnt; i++)
		payload_len += iov[i].iov_len;
	len = (size_t)(put_headers(b, p) - b);
	b[3] = (uint8_t)(len / SRD_WORD_LEN);
	check = srd_check(b, len, (uint32_t)payload_len, iov,
			  p->base.flags & SRD_F_CHECK_ALL ? iovcnt : 0);
	u_put32(b + SRD_CHECK_AT, check);
	return len;
}

size_t srd_pkt_build(const struct srd_pkt *p, void *hdr)
{
	struct iovec iov = { (void *)(uintptr_t)p->payload, p->payload_len };

	return srd_pkt_build_iov(p, &iov, 1, hdr);
}

size_t srd_pkt_data_len(uint8_t op, bool has_imm)
{
	assert(op < SRD_PKT_NOPS && srd_pkt_ops[op].known);
	return SRD_BASE_LEN + SRD_DATA_LEN +
	       (srd_pkt_ops[op].has & SRD_HAS_RANGE ? SRD_RANGE_LEN : 0) +
	       (has_imm ? SRD_IMM_LEN : 0);
}

size_t srd_pkt_ack_len(const struct srd_pkt_ack *ack)
{
	return SRD_ACK_LEN + SRD_ECHO_LEN * (size_t)ack->nechoes +
	       SRD_WORD_LEN * (size_t)ack->nwords +
	       SRD_NAK_LEN * (size_t)ack->nnaks;
}
