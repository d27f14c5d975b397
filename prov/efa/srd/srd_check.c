/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_check.c - the checksum of a packet
 *
 * The low 32 bits of XXH3 over the headers, and the payload when it is
 * covered, with the length of the payload where the check lies: a packet that
 * lost its tail, or was cut at a wrong place, is found out although its
 * payload is not covered.
 */
#include "srd/srd_check.h"

#include <assert.h>
#include <stdbool.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "srd/srd.h"
#include "srd/srd_pkt.h"
#include "util/u_base.h"
#include "util/u_bytes.h"

/* To copy so many bytes costs less than to hash them in steps. */
#define ONE_SHOT_MAX SRD_HDR_MAX

static uint32_t in_steps(const uint8_t *hdr, size_t hdr_len,
			 const struct iovec *iov, int iovcnt)
{
	XXH3_state_t state;

	XXH3_INITSTATE(&state);
	XXH3_64bits_reset(&state);
	XXH3_64bits_update(&state, hdr, hdr_len);
	for (int i = 0; i < iovcnt; i++)
		XXH3_64bits_update(&state, iov[i].iov_base, iov[i].iov_len);
	return (uint32_t)XXH3_64bits_digest(&state);
}

uint32_t srd_check(const void *hdr, size_t hdr_len, uint32_t payload_len,
		   const struct iovec *iov, int iovcnt)
{
	uint8_t copy[ONE_SHOT_MAX];
	size_t len = hdr_len;

	assert(hdr_len >= SRD_BASE_LEN && hdr_len <= SRD_HDR_MAX);
	memcpy(copy, hdr, hdr_len);
	u_put32(copy + SRD_CHECK_AT, payload_len);
	if (u_unlikely(iovcnt != 0 && hdr_len + payload_len > ONE_SHOT_MAX))
		return in_steps(copy, hdr_len, iov, iovcnt);
	for (int i = 0; i < iovcnt; i++) {
		if (iov[i].iov_len != 0)
			memcpy(copy + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return (uint32_t)XXH3_64bits(copy, len);
}
