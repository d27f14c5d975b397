/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_pkt.h - the packets of the EFA RDM protocol version 4, byte-exact
 *
 * A packet is parsed into, and built from, one struct that holds every field a
 * packet can have. Where each field lies is a row of a const table, one row a
 * type: adding a packet is adding a row. All integers are little-endian.
 */
#ifndef RDM_PKT_H
#define RDM_PKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dev/dev.h"

#define RDM_PROTOCOL_VERSION 4
#define RDM_PKT_IOV_MAX 4
/* Longest header: a request with 4 + 4 iovs and all optional headers. */
#define RDM_PKT_HDR_MAX 320
/* What a header of messages takes at most; for limits shown to users. */
#define RDM_PKT_HDR_RESERVE 168

enum rdm_pkt_type {
	RDM_PKT_CTS = 3,
	RDM_PKT_CTSDATA = 4,
	RDM_PKT_READRSP = 5,
	RDM_PKT_EOR = 7,
	RDM_PKT_ATOMRSP = 8,
	RDM_PKT_HANDSHAKE = 9,
	RDM_PKT_RECEIPT = 10,
	RDM_PKT_READ_NACK = 11,
	RDM_PKT_PEER_ERROR = 12,
	RDM_PKT_REQ = 64, /* this type and those above are requests */
	RDM_PKT_EAGER_MSGRTM = 64,
	RDM_PKT_EAGER_TAGRTM = 65,
	RDM_PKT_MEDIUM_MSGRTM = 66,
	RDM_PKT_MEDIUM_TAGRTM = 67,
	RDM_PKT_LONGCTS_MSGRTM = 68,
	RDM_PKT_LONGCTS_TAGRTM = 69,
	RDM_PKT_EAGER_RTW = 70,
	RDM_PKT_LONGCTS_RTW = 71,
	RDM_PKT_SHORT_RTR = 72,
	RDM_PKT_LONGCTS_RTR = 73,
	RDM_PKT_WRITE_RTA = 74,
	RDM_PKT_FETCH_RTA = 75,
	RDM_PKT_COMPARE_RTA = 76,
	RDM_PKT_LONGREAD_MSGRTM = 128,
	RDM_PKT_LONGREAD_TAGRTM = 129,
	RDM_PKT_LONGREAD_RTW = 130,
	RDM_PKT_DC_EAGER_MSGRTM = 133,
	RDM_PKT_DC_EAGER_TAGRTM = 134,
	RDM_PKT_DC_MEDIUM_MSGRTM = 135,
	RDM_PKT_DC_MEDIUM_TAGRTM = 136,
	RDM_PKT_DC_LONGCTS_MSGRTM = 137,
	RDM_PKT_DC_LONGCTS_TAGRTM = 138,
	RDM_PKT_DC_EAGER_RTW = 139,
	RDM_PKT_DC_LONGCTS_RTW = 140,
	RDM_PKT_DC_WRITE_RTA = 141,
	RDM_PKT_RUNTREAD_MSGRTM = 145,
	RDM_PKT_RUNTREAD_TAGRTM = 146,
	RDM_PKT_TYPES, /* one above all of them */
};

enum rdm_pkt_flags {
	RDM_PKT_CONNID = 0x8000,
	/* Requests. */
	RDM_PKT_RAW_ADDR = 0x0001,
	RDM_PKT_CQ_DATA = 0x0002,
	RDM_PKT_MSG = 0x0004,
	RDM_PKT_TAGGED = 0x0008,
	RDM_PKT_ATOMIC = 0x0020,
	RDM_PKT_AFTER_NACK = 0x2000,
	/* CTS. */
	RDM_PKT_OF_READ = 0x0080, /* it is for the answer to a read */
	/* HANDSHAKE. */
	RDM_PKT_HOST_ID = 0x0001,
	RDM_PKT_DEVICE_VERSION = 0x0002,
	RDM_PKT_USER_QP = 0x0004,
	RDM_PKT_P2P = 0x0008,
};

/* The device version whose RDMA read does not get on with that of others. */
#define RDM_FIRST_DEVICE 0xefa0

enum rdm_features {
	RDM_FEATURE_READ = 1 << 0,
	RDM_FEATURE_DC = 1 << 1,
	RDM_FEATURE_KEEP_RAW_ADDR = 1 << 2,
	RDM_FEATURE_CONNID = 1 << 3,
	RDM_FEATURE_RUNT = 1 << 4,
	RDM_FEATURE_WRITE = 1 << 5,
	RDM_FEATURE_READ_NACK = 1 << 6,
	RDM_FEATURE_USER_QP = 1 << 7,
	RDM_FEATURE_UNSOLICITED = 1 << 8,
	RDM_FEATURE_PEER_ERROR = 1 << 9,
};

/* What a PEER_ERROR names, in its send_id. */
enum rdm_ref {
	RDM_REF_ID = 0, /* an id that its receiver gave */
	RDM_REF_MSG = 1, /* a message number: no more of it comes */
	RDM_REF_SKIP = 2, /* a message number of which nothing ever came */
};

/*
 * The first word, little-endian, of eager messages after the handshake: what
 * the hot paths write and expect. With CQ data RDM_PKT_EAGER_DATA is set too.
 */
#define RDM_PKT_WORD(type, flags) \
	((uint32_t)(type) | RDM_PROTOCOL_VERSION << 8 | (uint32_t)(flags) << 16)
#define RDM_PKT_EAGER_MSG \
	RDM_PKT_WORD(RDM_PKT_EAGER_MSGRTM, RDM_PKT_CONNID | RDM_PKT_MSG)
#define RDM_PKT_EAGER_TAG                  \
	RDM_PKT_WORD(RDM_PKT_EAGER_TAGRTM, \
		     RDM_PKT_CONNID | RDM_PKT_MSG | RDM_PKT_TAGGED)
#define RDM_PKT_EAGER_DATA ((uint32_t)RDM_PKT_CQ_DATA << 16)
/* The longest header of such a message. */
#define RDM_PKT_EAGER_HDR_MAX 28

struct rdm_pkt_iov {
	uint64_t addr, len, key;
};

/* Bytes of a list that was parsed: they can be added. */
static inline uint64_t rdm_pkt_iov_len(const struct rdm_pkt_iov *iov,
				       uint32_t n)
{
	uint64_t len = 0;

	for (uint32_t i = 0; i < n; i++)
		len += iov[i].len;
	return len;
}

/* Every field; which of them a type has is said by its row. */
struct rdm_pkt {
	uint8_t type; /* enum rdm_pkt_type */
	uint8_t version;
	uint16_t flags; /* enum rdm_pkt_flags */
	uint32_t msg_id;
	uint32_t send_id; /* sender's operation; PEER_ERROR: the reference,
			     of whatever kind */
	uint32_t recv_id; /* receiver's operation */
	uint32_t credit; /* credit_request; window of a READ request */
	uint32_t aux; /* PEER_ERROR: enum rdm_ref; atomics: op; HANDSHAKE with
			 RDM_PKT_USER_QP: qpn */
	uint32_t aux2; /* PEER_ERROR: error number; atomics: datatype;
			  HANDSHAKE: qkey */
	uint64_t tag;
	uint64_t total; /* bytes of the whole message */
	uint64_t offset; /* of this packet's payload; runt length not here */
	uint64_t seg_len; /* bytes named by the packet: seg_length,
			     recv_length of a CTS, runt_length */
	uint64_t cq_data;
	uint64_t features; /* HANDSHAKE: word 0 */
	uint64_t host_id;
	uint32_t device_version;
	uint32_t connid; /* valid with RDM_PKT_CONNID in flags, and for
			    non-requests with a fixed slot; with a raw address
			    that one's qkey */
	struct dev_addr raw; /* with RDM_PKT_RAW_ADDR */
	uint32_t rma_iovcnt; /* n */
	uint32_t read_iovcnt; /* k */
	struct rdm_pkt_iov rma_iov[RDM_PKT_IOV_MAX];
	struct rdm_pkt_iov read_iov[RDM_PKT_IOV_MAX];
	const void *payload; /* in the bytes that were parsed */
	uint32_t payload_len;
};

/* What a type is. Places are those of fields in the mandatory header. */
struct rdm_pkt_row {
	const char *name;
	uint8_t size; /* of the mandatory header without rma_iov, bytes */
	/* Offset of the field + RDM_PKT_PLACE; 0: the type has none. */
	uint8_t msg_id, send_id, recv_id, credit, aux, aux2, tag, total;
	uint8_t offset, seg_len, connid, rma_iovcnt, read_iovcnt;
	uint16_t flags; /* that every packet of the type carries */
	bool no_payload; /* bytes behind the header are an error */
	bool exact_seg; /* seg_len must be the payload's length */
	bool few; /* no fields but msg_id, send_id and tag: coded fast */
};

/*
 * A header is worked on in a buffer with this many zero bytes before it, so
 * that a field that the type lacks is read from there, and written to there,
 * without a branch.
 */
#define RDM_PKT_PLACE 8

extern const struct rdm_pkt_row rdm_pkt_rows[RDM_PKT_TYPES];

/* NULL for a number that no packet has. */
static inline const struct rdm_pkt_row *rdm_pkt_row(uint8_t type)
{
	if (type >= RDM_PKT_TYPES || !rdm_pkt_rows[type].name)
		return NULL;
	return &rdm_pkt_rows[type];
}

/*
 * Parses len bytes, judging only what it has copied out. 0, or -EBADMSG
 * truncated or impossible (counts over the maximum, bad address length, wrong
 * seg_length, slice outside its message, empty grant, lengths of iovs that
 * wrap), -EPROTONOSUPPORT an unknown type or version; then *pkt is undefined.
 * Fields that the type lacks are zero, iovs beyond the counts undefined.
 * Unknown flags and trailing handshake headers are ignored.
 */
int rdm_pkt_parse(const void *bytes, uint32_t len, struct rdm_pkt *pkt);

/*
 * Writes the header (optional headers and iovs included, payload not) to buf
 * of RDM_PKT_HDR_MAX bytes; pkt->flags is or-ed with the row's, the version is
 * ours. Returns its length.
 */
uint32_t rdm_pkt_build(void *buf, const struct rdm_pkt *pkt);

/* Length of what rdm_pkt_build would write. */
uint32_t rdm_pkt_hdr_len(const struct rdm_pkt *pkt);

#endif
