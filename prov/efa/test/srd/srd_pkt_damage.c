/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pkt_damage.c - packets that no honest peer sends, and what is said of
 * them
 *
 * Offsets of what lies behind the base header depend on the sample: 24 is the
 * first byte of the data, close or ack header; 40 that of the memory range, of
 * an immediate without one, or of the lists of an ACK.
 */
#include <stdlib.h>
#include <string.h>

#include "srd/srd.h"
#include "srd/srd_check.h"
#include "srd_pkt_sample.h"
#include "util/u_base.h"
#include "util/u_bytes.h"

#define SEND_TOTAL(n) ((uint32_t)(n) << 16)

/* Name, sample, offset, bytes, value. */
const struct srd_damage srd_damages[] = {
	{ "short-words-within-base", "probe", 3, 1, 5, SRD_PKT_SHORT },
	{ "short-words-beyond-packet", "probe", 3, 1, 7, SRD_PKT_SHORT },
	{ "short-high", "probe", 2, 1, SRD_F_HIGH, SRD_PKT_SHORT },
	{ "short-words-zero", "send", 3, 1, 0, SRD_PKT_SHORT },
	{ "short-data-header", "send", 3, 1, 9, SRD_PKT_SHORT },
	{ "short-range", "read", 3, 1, 13, SRD_PKT_SHORT },
	{ "short-imm", "datagram-imm", 3, 1, 6, SRD_PKT_SHORT },
	{ "short-ack-header", "data-ack", 3, 1, 13, SRD_PKT_SHORT },
	{ "short-echo", "data-ack", 3, 1, 15, SRD_PKT_SHORT },
	{ "short-echoes-told", "data-ack", 54, 1, 2, SRD_PKT_SHORT },
	{ "short-words-told", "data-ack", 55, 1, 1, SRD_PKT_SHORT },
	{ "short-close-header", "close", 3, 1, 7, SRD_PKT_SHORT },
	{ "short-payload-of-ack", "ack", 3, 1, 10, SRD_PKT_SHORT },
	{ "short-payload-of-read", "read-ack", 3, 1, 14, SRD_PKT_SHORT },

	{ "version-later", "send", 0, 1, 0xe2, SRD_PKT_VERSION },
	{ "version-other", "send", 0, 1, 0xd1, SRD_PKT_VERSION },

	{ "check", "send", SRD_CHECK_AT, 4, 0, SRD_PKT_CHECK },
	{ "check-all", "send-check-all", SRD_CHECK_AT, 4, 0, SRD_PKT_CHECK },

	{ "type-none", "send", 1, 1, 0, SRD_PKT_TYPE },
	{ "type-unknown", "probe", 1, 1, 6, SRD_PKT_TYPE },
	{ "type-last", "probe", 1, 1, 255, SRD_PKT_TYPE },
	{ "type-flag-6", "send", 2, 1, 1 << 6, SRD_PKT_TYPE },
	{ "type-flag-7", "send", 2, 1, 1 << 7, SRD_PKT_TYPE },
	{ "type-ack-without-ack", "ack", 2, 1, 0, SRD_PKT_TYPE },
	{ "type-ack-wants-ack", "ack", 2, 1, SRD_F_ACK | SRD_F_ACK_NOW,
	  SRD_PKT_TYPE },
	{ "type-probe-resent", "probe", 2, 1, SRD_F_RESENT, SRD_PKT_TYPE },
	{ "type-close-imm", "close", 2, 1, SRD_F_IMM, SRD_PKT_TYPE },
	{ "type-datagram-ack", "datagram", 2, 1, SRD_F_ACK, SRD_PKT_TYPE },
	{ "type-op-none", "void", 28, 1, 0, SRD_PKT_TYPE },
	{ "type-op-unknown", "void", 28, 1, 8, SRD_PKT_TYPE },
	{ "type-op-last", "void", 28, 1, 255, SRD_PKT_TYPE },
	{ "type-read-imm", "read", 2, 1, SRD_F_IMM, SRD_PKT_TYPE },
	{ "type-void-imm", "void", 2, 1, SRD_F_IMM, SRD_PKT_TYPE },
	{ "type-written-without-imm", "written", 2, 1, 0, SRD_PKT_TYPE },
	{ "type-ack-flag", "ack", 37, 1, 2, SRD_PKT_TYPE },

	{ "field-high-zero", "probe-high", 24, 4, 0, SRD_PKT_FIELD },
	{ "field-high-beyond", "probe-high", 24, 4, 0x100, SRD_PKT_FIELD },
	{ "field-path", "send", 6, 1, SRD_PATHS_MAX, SRD_PKT_FIELD },
	{ "field-connid", "send", 8, 4, 0, SRD_PKT_FIELD },
	{ "field-reserved", "send", 30, 2, 1 << 15, SRD_PKT_FIELD },
	{ "field-send-status", "send", 29, 1, SRD_RNR, SRD_PKT_FIELD },
	{ "field-result-ok", "result", 29, 1, SRD_OK, SRD_PKT_FIELD },
	{ "field-result-unknown", "result", 29, 1, 2, SRD_PKT_FIELD },
	{ "field-result-beyond", "result", 29, 1, 32 + SRD_RNR, SRD_PKT_FIELD },
	{ "field-send-past-total", "send", 36, 4, SEND_TOTAL(29),
	  SRD_PKT_FIELD },
	{ "field-send-offset", "send", 36, 4, SEND_TOTAL(30) | 1,
	  SRD_PKT_FIELD },
	{ "field-send-long", "send", 36, 4, SEND_TOTAL(SRD_MSG_MAX + 1),
	  SRD_PKT_FIELD },
	{ "field-send-empty-part", "send-empty", 36, 4, SEND_TOTAL(1),
	  SRD_PKT_FIELD },
	{ "field-write-offset", "write", 36, 4, 0xffffffff, SRD_PKT_FIELD },
	{ "field-write-long", "write", 52, 4, SRD_RDMA_MAX + 1, SRD_PKT_FIELD },
	{ "field-write-wraps", "write", 40, 8, UINT64_MAX - 29, SRD_PKT_FIELD },
	{ "field-write-empty-part", "write-empty", 52, 4, 1, SRD_PKT_FIELD },
	{ "field-write-imm-part", "write-imm", 52, 4, 31, SRD_PKT_FIELD },
	{ "field-read-offset", "read", 36, 4, 1, SRD_PKT_FIELD },
	{ "field-read-long", "read", 52, 4, 0xffffffff, SRD_PKT_FIELD },
	{ "field-read-wraps", "read", 40, 8, UINT64_MAX, SRD_PKT_FIELD },
	{ "field-written-remote", "written", 40, 8, 1, SRD_PKT_FIELD },
	{ "field-written-rkey", "written", 48, 4, 1, SRD_PKT_FIELD },
	{ "field-written-long", "written", 52, 4, SRD_RDMA_MAX + 1,
	  SRD_PKT_FIELD },
	{ "field-data-offset", "data", 36, 4, SRD_RDMA_MAX - 29,
	  SRD_PKT_FIELD },
	{ "field-result-offset", "result", 36, 4, 1, SRD_PKT_FIELD },
	{ "field-void-offset", "void", 36, 4, 1, SRD_PKT_FIELD },
	{ "field-close-ok", "close", 24, 1, SRD_OK, SRD_PKT_FIELD },
	{ "field-close-reason", "close", 24, 1, SRD_RNR, SRD_PKT_FIELD },
	{ "field-close-reserved", "close", 27, 1, 1, SRD_PKT_FIELD },
	{ "field-close-about", "close", 28, 4, 0, SRD_PKT_FIELD },
	{ "field-echoes", "ack-full", 38, 1, SRD_NAKS_MAX << 4 | 9,
	  SRD_PKT_FIELD },
	{ "field-naks", "ack-full", 38, 1, 9 << 4 | SRD_ECHOES_MAX,
	  SRD_PKT_FIELD },
	{ "field-bitmap", "ack-full", 39, 1, 65, SRD_PKT_FIELD },
	{ "field-echo-path", "ack", 46, 1, SRD_PATHS_MAX, SRD_PKT_FIELD },
	{ "field-echo-reserved", "ack", 47, 1, 1, SRD_PKT_FIELD },
	{ "field-nak-ok", "ack-nak", 52, 1, SRD_OK, SRD_PKT_FIELD },
	{ "field-nak-unknown", "ack-nak", 52, 1, 255, SRD_PKT_FIELD },
	{ "field-nak-reserved", "ack-nak", 53, 1, 1, SRD_PKT_FIELD },
};
const unsigned srd_ndamages = u_array_size(srd_damages);

size_t srd_damage_build(const struct srd_damage *d, uint8_t *bytes)
{
	const struct srd_sample *sample = srd_sample_find(d->sample);
	uint8_t value[8];
	size_t len;

	if (!sample)
		abort();
	len = srd_sample_build(&sample->pkt, bytes);
	u_put64(value, d->value);
	memcpy(bytes + d->at, value, d->width);
	if (d->verdict != SRD_PKT_CHECK)
		srd_sample_mend(bytes, len);
	return len;
}
