/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pkt_sample.c - one good packet of every kind, for tests and fuzz targets
 */
#include "srd_pkt_sample.h"

#include <stdlib.h>
#include <string.h>

#include "srd/srd.h"
#include "srd/srd_check.h"
#include "util/u_base.h"
#include "util/u_bytes.h"

#define LONG 1400 /* bytes; with headers more than is hashed at once */

static const uint8_t payload[LONG] = "the quick brown fox, and so on";

/* ---- the samples --------------------------------------------------------- */

#define BASE(t, f)                          \
	.base = { .type = (t),              \
		  .flags = (f),             \
		  .path = 5,                \
		  .epoch = 9,               \
		  .src_qpn = 0x8123,        \
		  .src_connid = 0x11223344, \
		  .dst_connid = 0x55667788, \
		  .stamp = 0x99aabbcc }
#define DATA(f) BASE(SRD_PKT_DATA, f)
#define PAYLOAD(n) .payload = payload, .payload_len = (n)
#define IMM .has_imm = true, .imm = 0xcafef00d
#define RANGE .remote = 0x123456789abcdef0, .rkey = 0x0badcafe
#define ACK                                          \
	.has_ack = true, .ack = { .cum = 0xfffffffe, \
				  .credit = 0x10000, \
				  .received = 77,    \
				  .epoch = 3,        \
				  .nechoes = 1,      \
				  .echo = { { 0xa1a2a3a4, 0xb1b2, 63 } } }

const struct srd_sample srd_samples[] = {
	{ "send",
	  { DATA(0), PAYLOAD(30),
	    .data = { .psn = 1, .op = SRD_OP_SEND, .msg = 2, .total = 30 } } },
	{ "send-empty", { DATA(0), .data = { .op = SRD_OP_SEND } } },
	{ "send-part",
	  { DATA(SRD_F_RESENT), PAYLOAD(LONG),
	    .data = { .psn = 0xffffffff,
		      .op = SRD_OP_SEND,
		      .msg = 0xffffffff,
		      .offset = SRD_MSG_MAX - LONG,
		      .total = SRD_MSG_MAX } } },
	{ "send-imm",
	  { DATA(SRD_F_ACK_NOW), PAYLOAD(16),
	    .data = { .psn = 1,
		      .op = SRD_OP_SEND,
		      .msg = 2,
		      .total = 16,
		      IMM } } },
	{ "send-ack",
	  { DATA(0), PAYLOAD(16), ACK,
	    .data = { .psn = 1, .op = SRD_OP_SEND, .msg = 2, .total = 16 } } },
	{ "send-imm-ack",
	  { DATA(0), PAYLOAD(16), ACK,
	    .data = { .psn = 1,
		      .op = SRD_OP_SEND,
		      .msg = 2,
		      .total = 16,
		      IMM } } },
	{ "send-check-all",
	  { DATA(SRD_F_CHECK_ALL), PAYLOAD(30),
	    .data = { .psn = 1, .op = SRD_OP_SEND, .msg = 2, .total = 30 } } },
	{ "send-check-all-long",
	  { DATA(SRD_F_CHECK_ALL), PAYLOAD(LONG),
	    .data = { .psn = 1,
		      .op = SRD_OP_SEND,
		      .msg = 2,
		      .total = 2 * LONG } } },
	{ "write",
	  { DATA(0), PAYLOAD(30),
	    .data = { .psn = 1,
		      .op = SRD_OP_WRITE,
		      .msg = 2,
		      .total = 30,
		      RANGE } } },
	{ "write-empty",
	  { DATA(0), .data = { .op = SRD_OP_WRITE, .msg = 2 } } },
	{ "write-part",
	  { DATA(0), PAYLOAD(30), ACK,
	    .data = { .psn = 1,
		      .op = SRD_OP_WRITE,
		      .msg = 2,
		      .offset = SRD_RDMA_MAX - 30,
		      .total = SRD_RDMA_MAX,
		      RANGE } } },
	{ "write-imm",
	  { DATA(0), PAYLOAD(30),
	    .data = { .psn = 1,
		      .op = SRD_OP_WRITE,
		      .msg = 2,
		      .total = 30,
		      RANGE,
		      IMM } } },
	{ "written",
	  { DATA(0), .data = { .psn = 1,
			       .op = SRD_OP_WRITTEN,
			       .msg = 2,
			       .total = SRD_RDMA_MAX,
			       IMM } } },
	{ "read",
	  { DATA(0), .data = { .psn = 1,
			       .op = SRD_OP_READ,
			       .msg = 2,
			       .total = SRD_RDMA_MAX,
			       RANGE } } },
	{ "read-ack",
	  { DATA(0), ACK,
	    .data = { .psn = 1,
		      .op = SRD_OP_READ,
		      .msg = 2,
		      .total = 5,
		      RANGE } } },
	{ "data",
	  { DATA(0), PAYLOAD(30),
	    .data = { .psn = 1,
		      .op = SRD_OP_DATA,
		      .msg = 2,
		      .offset = SRD_RDMA_MAX - 30 } } },
	{ "data-ack",
	  { DATA(0), PAYLOAD(30), ACK,
	    .data = { .psn = 1, .op = SRD_OP_DATA, .msg = 2 } } },
	{ "result",
	  { DATA(0), .data = { .psn = 1,
			       .op = SRD_OP_RESULT,
			       .status = SRD_BAD_RKEY,
			       .msg = 2 } } },
	{ "result-ack",
	  { DATA(0), ACK,
	    .data = { .psn = 1,
		      .op = SRD_OP_RESULT,
		      .status = SRD_UNREACHABLE,
		      .msg = 2 } } },
	{ "void",
	  { DATA(0), .data = { .psn = 1, .op = SRD_OP_VOID, .msg = 2 } } },
	{ "void-ack",
	  { DATA(SRD_F_RESENT), ACK,
	    .data = { .psn = 1, .op = SRD_OP_VOID, .msg = 2 } } },
	{ "ack", { BASE(SRD_PKT_ACK, 0), ACK } },
	{ "ack-bare", { BASE(SRD_PKT_ACK, 0), .has_ack = true } },
	{ "ack-full",
	  { BASE(SRD_PKT_ACK, 0), .has_ack = true,
	    .ack = { .cum = 1,
		     .credit = 0xffffffff,
		     .received = 0xffffffff,
		     .epoch = 255,
		     .flags = SRD_ACK_PRESSURE,
		     .nechoes = SRD_ECHOES_MAX,
		     .nwords = SRD_BITMAP_WORDS_MAX,
		     .nnaks = SRD_NAKS_MAX,
		     .echo = { { 1, 2, 3 },
			       { 4, 5, 6 },
			       { 7, 8, 9 },
			       { 10, 11, 12 },
			       { 13, 14, 15 },
			       { 16, 17, 18 },
			       { 19, 20, 21 },
			       { 22, 0xffff, 63 } },
		     .word = { 0x80000001, [63] = 0x80000001 },
		     .nak = { { 1, SRD_FLUSHED, 0 },
			      { 2, SRD_BAD_OP, 0 },
			      { 3, SRD_TOO_LONG, 0 },
			      { 4, SRD_BAD_RKEY, 0 },
			      { 5, SRD_PEER_RESET, 0 },
			      { 6, SRD_NO_QP, 0 },
			      { 7, SRD_RNR, 0xffff },
			      { 8, SRD_BAD_LEN, 0 } } } } },
	{ "ack-nak",
	  { BASE(SRD_PKT_ACK, 0), .has_ack = true,
	    .ack = { .cum = 4,
		     .credit = 1472,
		     .received = 6,
		     .nwords = 2,
		     .nnaks = 1,
		     .word = { 1, 0x80000000 },
		     .nak = { { 6, SRD_RNR, 100 } } } } },
	{ "probe", { BASE(SRD_PKT_PROBE, 0) } },
	{ "probe-high",
	  { .base = { .type = SRD_PKT_PROBE,
		      .path = 5,
		      .epoch = 9,
		      .src_qpn = 0xff8123,
		      .src_connid = 0x11223344,
		      .dst_connid = 0x55667788,
		      .stamp = 0x99aabbcc } } },
	{ "probe-ack", { BASE(SRD_PKT_PROBE, SRD_F_ACK_NOW), ACK } },
	{ "close",
	  { BASE(SRD_PKT_CLOSE, 0), .close = { SRD_PEER_RESET, 0x11223344 } } },
	{ "close-no-qp",
	  { BASE(SRD_PKT_CLOSE, 0), .close = { SRD_NO_QP, 0xffffffff } } },
	{ "close-ack",
	  { BASE(SRD_PKT_CLOSE, 0), ACK,
	    .close = { SRD_PEER_RESET, 0x11223344 } } },
	{ "datagram", { BASE(SRD_PKT_DATAGRAM, 0), PAYLOAD(30) } },
	{ "datagram-empty", { BASE(SRD_PKT_DATAGRAM, 0) } },
	{ "datagram-imm",
	  { BASE(SRD_PKT_DATAGRAM, SRD_F_CHECK_ALL), PAYLOAD(30),
	    .data = { IMM } } },
};
const unsigned srd_nsamples = u_array_size(srd_samples);

const struct srd_sample *srd_sample_find(const char *name)
{
	for (unsigned i = 0; i < srd_nsamples; i++)
		if (strcmp(srd_samples[i].name, name) == 0)
			return &srd_samples[i];
	return NULL;
}

/* ---- their bytes --------------------------------------------------------- */

size_t srd_sample_build(const struct srd_pkt *p, uint8_t *bytes)
{
	size_t len = srd_pkt_build(p, bytes);

	if (p->payload_len != 0)
		memcpy(bytes + len, p->payload, p->payload_len);
	return len + p->payload_len;
}

void srd_sample_mend(uint8_t *bytes, size_t len)
{
	size_t hdr_len = len < SRD_BASE_LEN ? 0 : 4 * (size_t)bytes[3];
	struct iovec rest;

	if (hdr_len < SRD_BASE_LEN || hdr_len > len)
		return;
	rest = (struct iovec){ bytes + hdr_len, len - hdr_len };
	u_put32(bytes + SRD_CHECK_AT,
		srd_check(bytes, hdr_len, (uint32_t)rest.iov_len, &rest,
			  bytes[2] & SRD_F_CHECK_ALL ? 1 : 0));
}

enum srd_pkt_verdict srd_sample_parse(const void *packet, size_t len,
				      struct srd_pkt *p)
{
	uint8_t *copy = malloc(len + !len);
	enum srd_pkt_verdict verdict;

	if (!copy)
		abort();
	if (len != 0)
		memcpy(copy, packet, len);
	verdict = srd_pkt_parse(copy, len, p);
	if (verdict == SRD_PKT_GOOD)
		p->payload = (const uint8_t *)packet + (p->payload - copy);
	free(copy);
	return verdict;
}

/* ---- what is the same ---------------------------------------------------- */

#define DIFFER(field)                     \
	do {                              \
		if (a->field != b->field) \
			return #field;    \
	} while (0)

static const char *base_differ(const struct srd_pkt_base *a,
			       const struct srd_pkt_base *b)
{
	uint8_t made = SRD_F_ACK | SRD_F_IMM | SRD_F_HIGH; /* by the writer */

	if ((a->flags | made) != (b->flags | made))
		return "flags";
	DIFFER(type);
	DIFFER(path);
	DIFFER(epoch);
	DIFFER(src_qpn);
	DIFFER(src_connid);
	DIFFER(dst_connid);
	DIFFER(stamp);
	return NULL;
}

static const char *data_differ(const struct srd_pkt_data *a,
			       const struct srd_pkt_data *b)
{
	DIFFER(psn);
	DIFFER(op);
	DIFFER(status);
	DIFFER(msg);
	DIFFER(offset);
	DIFFER(total);
	DIFFER(remote);
	DIFFER(rkey);
	return NULL;
}

static const char *lists_differ(const struct srd_pkt_ack *a,
				const struct srd_pkt_ack *b)
{
	for (int i = 0; i < a->nechoes; i++) {
		DIFFER(echo[i].stamp);
		DIFFER(echo[i].held);
		DIFFER(echo[i].path);
	}
	for (int i = 0; i < a->nwords; i++)
		DIFFER(word[i]);
	for (int i = 0; i < a->nnaks; i++) {
		DIFFER(nak[i].psn);
		DIFFER(nak[i].status);
		DIFFER(nak[i].wait);
	}
	return NULL;
}

static const char *ack_differ(const struct srd_pkt_ack *a,
			      const struct srd_pkt_ack *b)
{
	DIFFER(cum);
	DIFFER(credit);
	DIFFER(received);
	DIFFER(epoch);
	DIFFER(flags);
	DIFFER(nechoes);
	DIFFER(nwords);
	DIFFER(nnaks);
	return lists_differ(a, b);
}

const char *srd_sample_differ(const struct srd_pkt *a, const struct srd_pkt *b)
{
	const char *field = base_differ(&a->base, &b->base);

	if (!field && a->base.type == SRD_PKT_DATA)
		field = data_differ(&a->data, &b->data);
	if (field)
		return field;
	DIFFER(data.has_imm);
	DIFFER(data.imm);
	if (a->base.type == SRD_PKT_CLOSE) {
		DIFFER(close.reason);
		DIFFER(close.about);
	}
	DIFFER(payload_len);
	if (a->payload_len != 0 &&
	    memcmp(a->payload, b->payload, a->payload_len) != 0)
		return "payload";
	DIFFER(has_ack);
	return a->has_ack ? ack_differ(&a->ack, &b->ack) : NULL;
}
