/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_pkt.h - what the records between software NICs of one host hold
 *
 * The word beside a record says its kind. A plain send has no header; the
 * others start with one of the structures below, in the host's byte order,
 * which the receiver copies out before it judges it.
 *
 *   requester                          responder
 *   READ  (id, key, range)      -->
 *         <-- DATA (id, offset, bytes), in order, or ACK (id, status != 0)
 *   WRITE (id, key, range, offset, bytes), in order -->
 *         <-- ACK (id, status): at the first bad piece, or after the last
 *   WRITTEN (imm, len)          -->    after a write whose bytes have landed
 *
 * A requester has at most NIC_RING_OPS reads and writes without an answer at
 * one responder, so the responder's memory for answers is bounded.
 */
#ifndef NIC_PKT_H
#define NIC_PKT_H

#include <stdint.h>

enum nic_pkt_kind {
	NIC_PKT_SEND, /* bytes */
	NIC_PKT_SEND_IMM, /* nic_pkt_imm, bytes */
	NIC_PKT_READ, /* nic_pkt_range */
	NIC_PKT_DATA, /* nic_pkt_data, bytes */
	NIC_PKT_WRITE, /* nic_pkt_range, bytes */
	NIC_PKT_ACK, /* nic_pkt_ack */
	NIC_PKT_WRITTEN, /* nic_pkt_imm */
};

#define NIC_RING_OPS 16
#define NIC_PIECE 8192 /* bytes of an RDMA operation in one record */

/* 8 bytes, so that what follows keeps its alignment. */
struct nic_pkt_imm {
	uint32_t imm;
	uint32_t len; /* WRITTEN: bytes of the write; SEND_IMM: 0 */
};

struct nic_pkt_range {
	uint32_t id; /* the requester's; comes back in the answer */
	uint32_t rkey;
	uint64_t remote; /* the whole operation: where, */
	uint64_t len; /* and how long, 0..NIC_MAX_RDMA */
	uint64_t offset; /* WRITE: of these bytes; READ: 0 */
};

struct nic_pkt_data {
	uint32_t id;
	uint32_t unused;
	uint64_t offset; /* of these bytes in the operation */
};

struct nic_pkt_ack {
	uint32_t id;
	uint32_t status; /* enum nic_status */
};

#endif
