/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pkt_fuzz.c - fuzz target: what is read can be written, and the reverse
 *
 * An input is taken as a packet; as a packet whose version and check are made
 * right first, which no fuzzer would guess; and as a list of numbers that
 * fill a structure.
 */
#include <string.h>

#include "fuzz.h"
#include "srd/srd.h"
#include "srd/srd_pkt.h"
#include "srd_pkt_sample.h"
#include "util/u_base.h"
#include "util/u_bytes.h"

/* ---- bytes, structure, bytes --------------------------------------------- */

/*
 * Headers written again are those that were read, but for what a later
 * version put behind them, and so the length and the check.
 */
static void compare_headers(const uint8_t *was, const uint8_t *hdr, size_t len)
{
	size_t was_len = 4 * (size_t)was[3];

	FUZZ_MUST(len <= was_len && len == 4 * (size_t)hdr[3]);
	if (len == was_len) {
		FUZZ_MUST(memcmp(was, hdr, len) == 0);
		return;
	}
	FUZZ_MUST(memcmp(was, hdr, 3) == 0);
	FUZZ_MUST(memcmp(was + 4, hdr + 4, 16) == 0);
	FUZZ_MUST(memcmp(was + SRD_BASE_LEN, hdr + SRD_BASE_LEN,
			 len - SRD_BASE_LEN) == 0);
}

static void try_packet(const uint8_t *packet, size_t len)
{
	struct srd_pkt p, again;
	uint8_t *bytes;
	size_t hdr_len;

	if (srd_pkt_parse(packet, len, &p) != SRD_PKT_GOOD)
		return;
	FUZZ_MUST(p.payload == packet + 4 * (size_t)packet[3]);
	FUZZ_MUST(p.payload_len == len - 4 * (size_t)packet[3]);
	bytes = malloc(SRD_HDR_MAX + len);
	FUZZ_MUST(bytes);
	hdr_len = srd_sample_build(&p, bytes) - p.payload_len;
	compare_headers(packet, bytes, hdr_len);
	FUZZ_MUST(srd_pkt_parse(bytes, hdr_len + p.payload_len, &again) ==
		  SRD_PKT_GOOD);
	FUZZ_MUST(!srd_sample_differ(&p, &again));
	FUZZ_MUST(p.base.flags == again.base.flags);
	free(bytes);
}

static void try_mended(const uint8_t *packet, size_t len)
{
	uint8_t *copy = malloc(len);

	FUZZ_MUST(copy);
	memcpy(copy, packet, len);
	copy[0] = SRD_VERSION;
	srd_sample_mend(copy, len);
	try_packet(copy, len);
	free(copy);
}

/* ---- structure, bytes, structure ----------------------------------------- */

/* The input; zeros follow it. */
struct numbers {
	const uint8_t *at;
	size_t left;
};

/* The next 8 bytes. */
static uint64_t number(struct numbers *n)
{
	uint8_t b[8] = { 0 };
	size_t len = u_min(n->left, sizeof(b));

	memcpy(b, n->at, len);
	n->at += len;
	n->left -= len;
	return u_get64(b);
}

static uint32_t below(struct numbers *n, uint32_t end)
{
	return (uint32_t)(number(n) % end);
}

static uint8_t failure(struct numbers *n)
{
	static const uint8_t known[] = {
		SRD_FLUSHED,	  SRD_BAD_OP,	   SRD_TOO_LONG, SRD_BAD_RKEY,
		SRD_PEER_RESET,	  SRD_NO_QP,	   SRD_RNR,	 SRD_BAD_LEN,
		SRD_UNRESPONSIVE, SRD_UNREACHABLE,
	};

	return known[below(n, u_array_size(known))];
}

static void describe_ack(struct numbers *n, struct srd_pkt_ack *a)
{
	a->cum = (uint32_t)number(n);
	a->credit = (uint32_t)number(n);
	a->received = (uint32_t)number(n);
	a->epoch = (uint8_t)number(n);
	a->flags = (uint8_t)below(n, 2);
	a->nechoes = (uint8_t)below(n, SRD_ECHOES_MAX + 1);
	a->nwords = (uint8_t)below(n, SRD_BITMAP_WORDS_MAX + 1);
	a->nnaks = (uint8_t)below(n, SRD_NAKS_MAX + 1);
	for (int i = 0; i < a->nechoes; i++) {
		a->echo[i].stamp = (uint32_t)number(n);
		a->echo[i].held = (uint16_t)number(n);
		a->echo[i].path = (uint8_t)below(n, SRD_PATHS_MAX);
	}
	for (int i = 0; i < a->nwords; i++)
		a->word[i] = (uint32_t)number(n);
	for (int i = 0; i < a->nnaks; i++) {
		a->nak[i].psn = (uint32_t)number(n);
		a->nak[i].status = failure(n);
		a->nak[i].wait = (uint16_t)number(n);
	}
}

/* What a packet has, written down a second time. */
struct kind {
	uint8_t type, op;
	uint32_t max; /* bytes of its operation; 0: it has no bytes */
	bool payload, total, memory, status;
	bool may_imm, must_imm;
};

static const struct kind kinds[] = {
	{ .type = SRD_PKT_DATA,
	  .op = SRD_OP_SEND,
	  .max = 9216,
	  .payload = true,
	  .total = true,
	  .may_imm = true },
	{ .type = SRD_PKT_DATA,
	  .op = SRD_OP_WRITE,
	  .max = 1 << 30,
	  .payload = true,
	  .total = true,
	  .memory = true,
	  .may_imm = true },
	{ .type = SRD_PKT_DATA,
	  .op = SRD_OP_WRITTEN,
	  .max = 1 << 30,
	  .total = true,
	  .must_imm = true },
	{ .type = SRD_PKT_DATA,
	  .op = SRD_OP_READ,
	  .max = 1 << 30,
	  .total = true,
	  .memory = true },
	{ .type = SRD_PKT_DATA,
	  .op = SRD_OP_DATA,
	  .max = 1 << 30,
	  .payload = true },
	{ .type = SRD_PKT_DATA, .op = SRD_OP_RESULT, .status = true },
	{ .type = SRD_PKT_DATA, .op = SRD_OP_VOID },
	{ .type = SRD_PKT_ACK },
	{ .type = SRD_PKT_PROBE },
	{ .type = SRD_PKT_CLOSE },
	{ .type = SRD_PKT_DATAGRAM, .payload = true, .may_imm = true },
};

#define PAYLOAD_MAX 1500
static const uint8_t payload[PAYLOAD_MAX] = { 1, 2, 3 };

/* Offset and total for a payload, or the total of what has none. */
static void describe_extent(struct numbers *n, const struct kind *k,
			    struct srd_pkt *p)
{
	bool whole = p->payload_len == 0 ||
		     (k->op == SRD_OP_WRITE && p->data.has_imm);
	uint32_t spare = k->max - p->payload_len, end;

	if (whole && k->payload)
		spare = 0;
	end = p->payload_len + below(n, spare + 1);
	if (k->total)
		p->data.total = end;
	if (k->payload)
		p->data.offset = below(n, end - p->payload_len + 1);
}

static void describe_data(struct numbers *n, const struct kind *k,
			  struct srd_pkt *p)
{
	struct srd_pkt_data *d = &p->data;

	d->op = k->op;
	d->psn = (uint32_t)number(n);
	d->msg = (uint32_t)number(n);
	describe_extent(n, k, p);
	if (k->status)
		d->status = failure(n);
	if (k->memory) {
		d->rkey = (uint32_t)number(n);
		d->remote = number(n);
		if (d->remote > UINT64_MAX - d->total)
			d->remote -= d->total;
	}
}

static void describe(struct numbers *n, struct srd_pkt *p)
{
	static const uint8_t flags[] = {
		[SRD_PKT_DATA] = SRD_F_CHECK_ALL | SRD_F_ACK_NOW | SRD_F_RESENT,
		[SRD_PKT_ACK] = SRD_F_CHECK_ALL,
		[SRD_PKT_PROBE] = SRD_F_CHECK_ALL | SRD_F_ACK_NOW,
		[SRD_PKT_CLOSE] = SRD_F_CHECK_ALL,
		[SRD_PKT_DATAGRAM] = SRD_F_CHECK_ALL,
	};
	const struct kind *k = &kinds[below(n, u_array_size(kinds))];

	p->base.type = k->type;
	p->base.flags = (uint8_t)number(n) & flags[k->type];
	p->base.path = (uint8_t)below(n, SRD_PATHS_MAX);
	p->base.epoch = (uint8_t)number(n);
	p->base.src_qpn = (uint32_t)number(n) >> (below(n, 2) ? 8 : 16);
	p->base.src_connid = 1 + below(n, UINT32_MAX);
	p->base.dst_connid = (uint32_t)number(n);
	p->base.stamp = (uint32_t)number(n);
	p->payload = payload;
	p->payload_len = k->payload ? below(n, PAYLOAD_MAX + 1) : 0;
	if (k->op == SRD_OP_DATA && p->payload_len == 0)
		p->payload_len = 1;
	p->data.has_imm = k->must_imm || (k->may_imm && below(n, 2));
	p->data.imm = p->data.has_imm ? (uint32_t)number(n) : 0;
	if (k->type == SRD_PKT_DATA)
		describe_data(n, k, p);
	p->close.reason = below(n, 2) ? SRD_PEER_RESET : SRD_NO_QP;
	p->close.about = 1 + below(n, UINT32_MAX);
	p->has_ack = k->type == SRD_PKT_ACK ||
		     (k->type != SRD_PKT_DATAGRAM && below(n, 2));
	if (p->has_ack)
		describe_ack(n, &p->ack);
}

static void try_structure(const uint8_t *data, size_t size)
{
	uint8_t bytes[SRD_HDR_MAX + PAYLOAD_MAX];
	struct numbers n = { data, size };
	struct srd_pkt p = { 0 }, again;
	size_t len;

	describe(&n, &p);
	len = srd_sample_build(&p, bytes);
	FUZZ_MUST(srd_sample_parse(bytes, len, &again) == SRD_PKT_GOOD);
	FUZZ_MUST(!srd_sample_differ(&p, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_packet(data, size);
	if (size >= SRD_BASE_LEN)
		try_mended(data, size);
	try_structure(data, size);
	return 0;
}
