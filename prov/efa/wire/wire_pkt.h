/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_pkt.h - a packet on its way out or in, for all packet wires
 */
#ifndef WIRE_PKT_H
#define WIRE_PKT_H

#include <stdbool.h>
#include <stdint.h>

/* A packet to send: hdr and then data, in one datagram. */
struct wire_out {
	const uint8_t *gid; /* 16 bytes: IPv6, or IPv4-mapped */
	uint32_t qpn; /* of the receiving queue pair: its UDP port, or 24 bits */
	uint32_t key; /* of the same: its connid, which RDMA NICs ask for */
	uint16_t hdr_len, data_len; /* bytes */
	uint8_t path; /* which entropy */
	bool fragment; /* may be cut by the network: longer than its MTU */
	const void *hdr;
	const void *data; /* NULL when data_len is 0 */
};

/* A packet that arrived, on loan. */
struct wire_in {
	const uint8_t *data; /* in private memory: it does not change */
	uint32_t len;
	const uint8_t *gid; /* of its sender, 16 bytes */
};

#endif
