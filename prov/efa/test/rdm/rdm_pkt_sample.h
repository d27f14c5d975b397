/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_pkt_sample.h - a second transcription of the packet layouts, and one
 * valid packet of every type, for the tests of rdm_pkt
 */
#ifndef RDM_PKT_SAMPLE_H
#define RDM_PKT_SAMPLE_H

#include <string.h>

#include "rdm/rdm_pkt.h"
#include "util/u_base.h"

/*
 * Fields are written as letter and offset:
 *   m msg_id, s send_id, r recv_id, c credit, a aux, b aux2, i connid,
 *   n rma_iovcnt, k read_iovcnt: 4 bytes
 *   t tag, l total, o offset, g seg_len: 8 bytes
 */
struct sample_layout {
	uint8_t type;
	uint8_t size;
	uint16_t flags;
	const char *fields;
};

static const struct sample_layout sample_layouts[] = {
	{ 3, 24, 0x8000, "i4 s8 r12 g16" },
	{ 4, 24, 0x8000, "r4 g8 o16" },
	{ 5, 24, 0x8000, "i4 r8 s12 g16" },
	{ 7, 16, 0x8000, "s4 r8 i12" },
	{ 8, 24, 0x8000, "i4 r12 g16" },
	{ 10, 16, 0x8000, "s4 m8 i12" },
	{ 11, 16, 0x8000, "s4 r8 i12" },
	{ 12, 20, 0x8000, "s4 a8 b12 i16" },
	{ 64, 8, 0x0004, "m4" },
	{ 65, 16, 0x000c, "m4 t8" },
	{ 66, 24, 0x0004, "m4 l8 o16" },
	{ 67, 32, 0x000c, "m4 l8 o16 t24" },
	{ 68, 24, 0x0004, "m4 l8 s16 c20" },
	{ 69, 32, 0x000c, "m4 l8 s16 c20 t24" },
	{ 70, 8, 0x0000, "n4" },
	{ 71, 24, 0x0000, "n4 l8 s16 c20" },
	{ 72, 24, 0x0000, "n4 l8 r16 c20" },
	{ 73, 24, 0x0000, "n4 l8 r16 c20" },
	{ 74, 24, 0x0020, "m4 n8 b12 a16" },
	{ 75, 24, 0x0020, "m4 n8 b12 a16 r20" },
	{ 76, 24, 0x0020, "m4 n8 b12 a16 r20" },
	{ 128, 24, 0x0004, "m4 l8 s16 k20" },
	{ 129, 32, 0x000c, "m4 l8 s16 k20 t24" },
	{ 130, 24, 0x0000, "n4 l8 s16 k20" },
	{ 133, 16, 0x0004, "m4 s8" },
	{ 134, 24, 0x000c, "m4 s8 t16" },
	{ 135, 32, 0x0004, "m4 s8 l16 o24" },
	{ 136, 40, 0x000c, "m4 s8 l16 o24 t32" },
	{ 137, 24, 0x0004, "m4 l8 s16 c20" },
	{ 138, 32, 0x000c, "m4 l8 s16 c20 t24" },
	{ 139, 16, 0x0000, "n4 s8" },
	{ 140, 24, 0x0000, "n4 l8 s16 c20" },
	{ 141, 24, 0x0020, "m4 n8 b12 a16 s20" },
	{ 145, 40, 0x0004, "m4 l8 s16 k20 o24 g32" },
	{ 146, 48, 0x000c, "m4 l8 s16 k20 o24 g32 t40" },
};

#define SAMPLE_PAYLOAD 40 /* bytes of a sample that has payload */

static inline bool sample_has(const struct sample_layout *l, char field)
{
	return strchr(l->fields, field) != NULL;
}

static inline bool sample_has_payload(const struct sample_layout *l)
{
	static const uint8_t without[] = { 3,  7,  10,	11,  12,
					   72, 73, 128, 129, 130 };

	return !memchr(without, l->type, sizeof(without));
}

/* For the wire flags of a request every optional header is one of these. */
#define SAMPLE_OPTIONS (RDM_PKT_RAW_ADDR | RDM_PKT_CQ_DATA | RDM_PKT_CONNID)

/* The field behind a letter, and its size. */
static inline void *sample_field(struct rdm_pkt *p, char field, size_t *size)
{
	static const char small[] = "msrcabink";
	void *const four[] = { &p->msg_id, &p->send_id,	   &p->recv_id,
			       &p->credit, &p->aux,	   &p->aux2,
			       &p->connid, &p->rma_iovcnt, &p->read_iovcnt };
	static const char big[] = "tlog";
	void *const eight[] = { &p->tag, &p->total, &p->offset, &p->seg_len };
	const char *at = strchr(small, field);

	*size = at ? 4 : 8;
	return at ? four[at - small] : eight[strchr(big, field) - big];
}

/* A packet with another value in each field of its layout, zero elsewhere. */
static inline struct rdm_pkt sample_pkt(const struct sample_layout *l,
					uint16_t options, uint32_t niov)
{
	struct rdm_pkt p = { .type = l->type, .flags = l->flags | options };

	for (const char *f = "msrcab"; *f; f++) {
		size_t size;
		uint32_t *field = sample_field(&p, *f, &size);

		if (sample_has(l, *f))
			*field = 0x81000011u * (uint32_t)(f - "msrcab" + 1);
	}
	p.tag = sample_has(l, 't') ? 0x1122334455667788 : 0;
	p.total = sample_has(l, 'l') ? 0xfedcba9876543210 : 0;
	p.offset = sample_has(l, 'o') ? 0x0123456789abcdef : 0;
	if (sample_has(l, 'g'))
		p.seg_len = sample_has_payload(l) ? SAMPLE_PAYLOAD : 284672;
	if (l->type == 145 || l->type == 146)
		p.seg_len = p.offset + SAMPLE_PAYLOAD;
	p.rma_iovcnt = sample_has(l, 'n') ? niov : 0;
	p.read_iovcnt = sample_has(l, 'k') ? niov : 0;
	for (uint32_t i = 0; i < niov; i++) {
		uint64_t u = i + 1;

		if (p.rma_iovcnt)
			p.rma_iov[i] = (struct rdm_pkt_iov){ u << 60 | 1,
							     0x100000000 + u,
							     u << 56 | 2 };
		if (p.read_iovcnt)
			p.read_iov[i] = (struct rdm_pkt_iov){ u << 60 | 3,
							      0x200000000 + u,
							      u << 56 | 4 };
	}
	if (options & RDM_PKT_CQ_DATA)
		p.cq_data = 0xa1a2a3a4a5a6a7a8;
	if (options & RDM_PKT_RAW_ADDR)
		p.raw = (struct dev_addr){ .gid = { 0xfe, 0x80, [15] = 7 },
					   .qpn = 0xfff5,
					   .qkey = 0x2468ace0 };
	if (options || l->type < RDM_PKT_REQ)
		p.connid = 0x2468ace0;
	if (options == RDM_PKT_CQ_DATA)
		p.connid = 0;
	return p;
}

#endif
