/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_check.h - the checksum of a packet
 */
#ifndef SRD_CHECK_H
#define SRD_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define SRD_CHECK_AT 20 /* where it lies in the base header */

/*
 * What belongs into the check of a packet with these headers, whose own check
 * does not matter. payload_len counts whether or not iov, the payload, is
 * covered; iovcnt is 0 when it is not. hdr_len: SRD_BASE_LEN..SRD_HDR_MAX.
 */
uint32_t srd_check(const void *hdr, size_t hdr_len, uint32_t payload_len,
		   const struct iovec *iov, int iovcnt);

#endif
