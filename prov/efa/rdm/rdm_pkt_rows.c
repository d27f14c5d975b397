/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_pkt_rows.c - the packet types: where the fields of each lie
 *
 * One row a type. What follows the mandatory header is the same for all types
 * and known to rdm_pkt.c alone.
 */
#include "rdm/rdm_pkt.h"

#define AT(offset) ((offset) + RDM_PKT_PLACE)

#define MSG RDM_PKT_MSG
#define TAGGED (RDM_PKT_MSG | RDM_PKT_TAGGED)
#define ATOMIC RDM_PKT_ATOMIC
#define CONNID RDM_PKT_CONNID

const struct rdm_pkt_row rdm_pkt_rows[RDM_PKT_TYPES] = {
	/* Between the two sides of an operation under way. */
	[RDM_PKT_CTS] = {
		"CTS", 24, .connid = AT(4), .send_id = AT(8),
		.recv_id = AT(12), .seg_len = AT(16), .flags = CONNID,
		.no_payload = true,
	},
	[RDM_PKT_CTSDATA] = { /* connid is a block behind the header */
		"CTSDATA", 24, .recv_id = AT(4), .seg_len = AT(8),
		.offset = AT(16), .flags = CONNID, .exact_seg = true,
	},
	[RDM_PKT_READRSP] = {
		"READRSP", 24, .connid = AT(4), .recv_id = AT(8),
		.send_id = AT(12), .seg_len = AT(16), .flags = CONNID,
		.exact_seg = true,
	},
	[RDM_PKT_EOR] = {
		"EOR", 16, .send_id = AT(4), .recv_id = AT(8),
		.connid = AT(12), .flags = CONNID, .no_payload = true,
	},
	[RDM_PKT_ATOMRSP] = {
		"ATOMRSP", 24, .connid = AT(4), .recv_id = AT(12),
		.seg_len = AT(16), .flags = CONNID, .exact_seg = true,
	},
	[RDM_PKT_HANDSHAKE] = {
		"HANDSHAKE", 8, .flags = CONNID | RDM_PKT_DEVICE_VERSION,
	},
	[RDM_PKT_RECEIPT] = {
		"RECEIPT", 16, .send_id = AT(4), .msg_id = AT(8),
		.connid = AT(12), .flags = CONNID, .no_payload = true,
	},
	[RDM_PKT_READ_NACK] = {
		"READ_NACK", 16, .send_id = AT(4), .recv_id = AT(8),
		.connid = AT(12), .flags = CONNID, .no_payload = true,
	},
	[RDM_PKT_PEER_ERROR] = {
		"PEER_ERROR", 20, .send_id = AT(4), .aux = AT(8),
		.aux2 = AT(12), .connid = AT(16), .flags = CONNID,
		.no_payload = true,
	},

	/* Messages. */
	[RDM_PKT_EAGER_MSGRTM] = {
		"EAGER_MSGRTM", 8, .msg_id = AT(4), .flags = MSG,
		.few = true,
	},
	[RDM_PKT_EAGER_TAGRTM] = {
		"EAGER_TAGRTM", 16, .msg_id = AT(4), .tag = AT(8),
		.flags = TAGGED,
		.few = true,
	},
	[RDM_PKT_MEDIUM_MSGRTM] = {
		"MEDIUM_MSGRTM", 24, .msg_id = AT(4), .total = AT(8),
		.offset = AT(16), .flags = MSG,
	},
	[RDM_PKT_MEDIUM_TAGRTM] = {
		"MEDIUM_TAGRTM", 32, .msg_id = AT(4), .total = AT(8),
		.offset = AT(16), .tag = AT(24), .flags = TAGGED,
	},
	[RDM_PKT_LONGCTS_MSGRTM] = {
		"LONGCTS_MSGRTM", 24, .msg_id = AT(4), .total = AT(8),
		.send_id = AT(16), .credit = AT(20), .flags = MSG,
	},
	[RDM_PKT_LONGCTS_TAGRTM] = {
		"LONGCTS_TAGRTM", 32, .msg_id = AT(4), .total = AT(8),
		.send_id = AT(16), .credit = AT(20), .tag = AT(24),
		.flags = TAGGED,
	},
	[RDM_PKT_LONGREAD_MSGRTM] = {
		"LONGREAD_MSGRTM", 24, .msg_id = AT(4), .total = AT(8),
		.send_id = AT(16), .read_iovcnt = AT(20), .flags = MSG,
		.no_payload = true,
	},
	[RDM_PKT_LONGREAD_TAGRTM] = {
		"LONGREAD_TAGRTM", 32, .msg_id = AT(4), .total = AT(8),
		.send_id = AT(16), .read_iovcnt = AT(20), .tag = AT(24),
		.flags = TAGGED, .no_payload = true,
	},
	[RDM_PKT_RUNTREAD_MSGRTM] = {
		"RUNTREAD_MSGRTM", 40, .msg_id = AT(4), .total = AT(8),
		.send_id = AT(16), .read_iovcnt = AT(20), .offset = AT(24),
		.seg_len = AT(32), .flags = MSG,
	},
	[RDM_PKT_RUNTREAD_TAGRTM] = {
		"RUNTREAD_TAGRTM", 48, .msg_id = AT(4), .total = AT(8),
		.send_id = AT(16), .read_iovcnt = AT(20), .offset = AT(24),
		.seg_len = AT(32), .tag = AT(40), .flags = TAGGED,
	},

	/* Messages that ask for a RECEIPT. */
	[RDM_PKT_DC_EAGER_MSGRTM] = {
		"DC_EAGER_MSGRTM", 16, .msg_id = AT(4), .send_id = AT(8),
		.flags = MSG,
		.few = true,
	},
	[RDM_PKT_DC_EAGER_TAGRTM] = {
		"DC_EAGER_TAGRTM", 24, .msg_id = AT(4), .send_id = AT(8),
		.tag = AT(16), .flags = TAGGED,
		.few = true,
	},
	[RDM_PKT_DC_MEDIUM_MSGRTM] = {
		"DC_MEDIUM_MSGRTM", 32, .msg_id = AT(4), .send_id = AT(8),
		.total = AT(16), .offset = AT(24), .flags = MSG,
	},
	[RDM_PKT_DC_MEDIUM_TAGRTM] = {
		"DC_MEDIUM_TAGRTM", 40, .msg_id = AT(4), .send_id = AT(8),
		.total = AT(16), .offset = AT(24), .tag = AT(32),
		.flags = TAGGED,
	},
	[RDM_PKT_DC_LONGCTS_MSGRTM] = {
		"DC_LONGCTS_MSGRTM", 24, .msg_id = AT(4), .total = AT(8),
		.send_id = AT(16), .credit = AT(20), .flags = MSG,
	},
	[RDM_PKT_DC_LONGCTS_TAGRTM] = {
		"DC_LONGCTS_TAGRTM", 32, .msg_id = AT(4), .total = AT(8),
		.send_id = AT(16), .credit = AT(20), .tag = AT(24),
		.flags = TAGGED,
	},

	/* Emulated RMA. credit of a read is the window it grants. */
	[RDM_PKT_EAGER_RTW] = {
		"EAGER_RTW", 8, .rma_iovcnt = AT(4),
	},
	[RDM_PKT_LONGCTS_RTW] = {
		"LONGCTS_RTW", 24, .rma_iovcnt = AT(4), .total = AT(8),
		.send_id = AT(16), .credit = AT(20),
	},
	[RDM_PKT_LONGREAD_RTW] = {
		"LONGREAD_RTW", 24, .rma_iovcnt = AT(4), .total = AT(8),
		.send_id = AT(16), .read_iovcnt = AT(20), .no_payload = true,
	},
	[RDM_PKT_DC_EAGER_RTW] = {
		"DC_EAGER_RTW", 16, .rma_iovcnt = AT(4), .send_id = AT(8),
	},
	[RDM_PKT_DC_LONGCTS_RTW] = {
		"DC_LONGCTS_RTW", 24, .rma_iovcnt = AT(4), .total = AT(8),
		.send_id = AT(16), .credit = AT(20),
	},
	[RDM_PKT_SHORT_RTR] = {
		"SHORT_RTR", 24, .rma_iovcnt = AT(4), .total = AT(8),
		.recv_id = AT(16), .credit = AT(20), .no_payload = true,
	},
	[RDM_PKT_LONGCTS_RTR] = {
		"LONGCTS_RTR", 24, .rma_iovcnt = AT(4), .total = AT(8),
		.recv_id = AT(16), .credit = AT(20), .no_payload = true,
	},

	/* Atomics: aux is the operation, aux2 the datatype. */
	[RDM_PKT_WRITE_RTA] = {
		"WRITE_RTA", 24, .msg_id = AT(4), .rma_iovcnt = AT(8),
		.aux2 = AT(12), .aux = AT(16), .flags = ATOMIC,
	},
	[RDM_PKT_FETCH_RTA] = {
		"FETCH_RTA", 24, .msg_id = AT(4), .rma_iovcnt = AT(8),
		.aux2 = AT(12), .aux = AT(16), .recv_id = AT(20),
		.flags = ATOMIC,
	},
	[RDM_PKT_COMPARE_RTA] = {
		"COMPARE_RTA", 24, .msg_id = AT(4), .rma_iovcnt = AT(8),
		.aux2 = AT(12), .aux = AT(16), .recv_id = AT(20),
		.flags = ATOMIC,
	},
	[RDM_PKT_DC_WRITE_RTA] = {
		"DC_WRITE_RTA", 24, .msg_id = AT(4), .rma_iovcnt = AT(8),
		.aux2 = AT(12), .aux = AT(16), .send_id = AT(20),
		.flags = ATOMIC,
	},
};
