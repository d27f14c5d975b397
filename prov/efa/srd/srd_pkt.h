/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pkt.h - packets as structures, and as the bytes of srd_wire(5)
 *
 * All integers are little-endian. Every packet begins with the base header;
 * `words` is the length of all headers in units of 4 bytes, so that a reader
 * can skip what a later minor version has added behind those it knows.
 *
 *        0               1               2               3
 *    0  | version       | type          | flags         | words         |
 *    4  | source qpn, low half          | path          | epoch         |
 *    8  | source connid                                                 |
 *   12  | destination connid                                            |
 *   16  | stamp: sender's clock, ns                                     |
 *   20  | check: XXH3 of the headers, or of the whole packet, with the  |
 *       |        length of the payload in this place                    |
 *   24  | if flag HIGH: source qpn, high half                           |
 *       | by type: DATA header, close header, or nothing                |
 *       | if flag ACK: ack header, its echoes, bitmap words and naks    |
 *  4*words | payload                                                    |
 */
#ifndef SRD_PKT_H
#define SRD_PKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define SRD_VERSION 0xe1 /* 0xe, then the version of the format: 1 */

enum srd_pkt_type {
	SRD_PKT_DATA = 1, /* has a sequence number, is acknowledged */
	SRD_PKT_ACK = 2, /* acknowledges only */
	SRD_PKT_PROBE = 3, /* asks for an acknowledgement with an echo */
	SRD_PKT_CLOSE = 4, /* the sender's queue pair ends, or: there is no such
			      incarnation here */
	SRD_PKT_DATAGRAM = 5, /* unreliable: payload, maybe an immediate */
};

enum srd_pkt_flags {
	SRD_F_CHECK_ALL = 1, /* check covers the payload too */
	SRD_F_ACK = 2, /* an ack header follows */
	SRD_F_ACK_NOW = 4, /* the sender wants an acknowledgement at once */
	SRD_F_RESENT = 8, /* DATA that was sent before */
	SRD_F_IMM = 16, /* DATA, DATAGRAM: has an immediate */
	SRD_F_HIGH = 32, /* the source qpn has more than 16 bits */
};

enum srd_op {
	SRD_OP_SEND = 1, /* a SEND, or a part */
	SRD_OP_WRITE = 2, /* bytes for the receiver's memory */
	SRD_OP_WRITTEN = 3, /* a WRITE_IMM has wholly landed; no payload */
	SRD_OP_READ = 4, /* asks for bytes of the receiver's memory */
	SRD_OP_DATA = 5, /* bytes that were asked for */
	SRD_OP_RESULT = 6, /* a READ that was begun ends with a status */
	SRD_OP_VOID = 7, /* fills a number whose operation was given up */
};

/* 24 bytes, 4 more for a source qpn above 65535. */
struct srd_pkt_base {
	uint8_t type; /* enum srd_pkt_type */
	uint8_t flags; /* enum srd_pkt_flags */
	uint8_t path;
	uint8_t epoch; /* of the sender's sequence numbers: DATA */
	uint32_t src_qpn; /* 24 bits */
	uint32_t src_connid;
	uint32_t dst_connid;
	uint32_t stamp;
};

/*
 * 16 bytes for SEND and DATA and VOID, 32 with a memory range; 4 more for an
 * immediate.
 *    psn u32 | op u8, status u8, reserved u16 | msg u32 | offset u32
 *    [remote u64 | rkey u32 | total u32]   WRITE, WRITTEN, READ
 *    [imm u32]                             flag IMM
 * SEND packs its offset into the low and its total length into the high half
 * of the word `offset`. READ and WRITTEN have offset 0.
 */
struct srd_pkt_data {
	uint32_t psn;
	uint8_t op; /* enum srd_op */
	uint8_t status; /* RESULT: enum srd_status, not 0; else 0 */
	uint32_t msg; /* the sender's number of the operation; DATA and RESULT:
			 that of the READ */
	uint32_t offset; /* of the payload in the operation, bytes */
	uint32_t total; /* SEND, WRITE, WRITTEN, READ: bytes of the operation */
	uint64_t remote; /* WRITE, READ: address of the operation's first byte */
	uint32_t rkey;
	uint32_t imm;
	bool has_imm;
};

#define SRD_ECHOES_MAX 8
#define SRD_BITMAP_WORDS_MAX 64 /* of 32 bits: SRD_WINDOW_MAX */
#define SRD_NAKS_MAX 8

/* A packet that arrived: its stamp, and how long ago. 8 bytes. */
struct srd_echo {
	uint32_t stamp;
	uint16_t held; /* units of 64 ns; 0xffff: longer */
	uint8_t path;
};

/*
 * A packet that arrived and was refused: it stays unacknowledged, and its
 * sender either sends it again later (RNR) or ends the operation and fills the
 * number with VOID. 8 bytes.
 */
struct srd_nak {
	uint32_t psn;
	uint8_t status; /* enum srd_status, not 0 */
	uint16_t wait; /* RNR: units of 1 us */
};

enum srd_ack_flags {
	SRD_ACK_PRESSURE = 1, /* hold back SENDs marked `request` */
};

/*
 * 16 bytes, then echoes, bitmap words, naks.
 *    cum u32 | credit u32 | received u32 | epoch u8, flags u8, counts u16
 * counts: echoes (bits 0-3), naks (4-7), words (8-15).
 */
struct srd_pkt_ack {
	uint32_t cum; /* all numbers before it have arrived */
	uint32_t credit; /* bytes the reader may have open towards the writer */
	uint32_t received; /* data packets accepted in this epoch, modulo 2^32 */
	uint8_t epoch; /* of the numbers that are acknowledged */
	uint8_t flags; /* enum srd_ack_flags */
	uint8_t nechoes, nnaks;
	uint8_t nwords;
	struct srd_echo echo[SRD_ECHOES_MAX];
	uint32_t word[SRD_BITMAP_WORDS_MAX]; /* bit i of word w: number
						cum + 1 + 32 * w + i arrived */
	struct srd_nak nak[SRD_NAKS_MAX];
};

/* CLOSE, 8 bytes: reason u8, 3 reserved, about u32. */
struct srd_pkt_close {
	uint8_t reason; /* enum srd_status: SRD_PEER_RESET the queue pair
			   closed; SRD_NO_QP `about` is not known here */
	uint32_t about; /* connid that ends */
};

struct srd_pkt {
	struct srd_pkt_base base;
	struct srd_pkt_data data; /* DATA; of DATAGRAM imm and has_imm */
	struct srd_pkt_close close; /* CLOSE */
	bool has_ack;
	struct srd_pkt_ack ack; /* has_ack; arrays beyond the counts are
				   undefined */
	const uint8_t *payload; /* in the packet */
	uint32_t payload_len;
};

/* Why a packet was dropped; SRD_PKT_GOOD: it was not. */
enum srd_pkt_verdict {
	SRD_PKT_GOOD,
	SRD_PKT_SHORT, /* truncated, or lengths that do not add up */
	SRD_PKT_VERSION,
	SRD_PKT_CHECK,
	SRD_PKT_TYPE, /* type, operation or flag that nobody sends */
	SRD_PKT_FIELD, /* offset, total, status or count out of bounds */
};

/*
 * Reads the bytes of a packet. Checks everything that can be judged without
 * knowing the sender: lengths, version, checksum, types, that offset plus
 * payload stays within total, total within SRD_MSG_MAX or SRD_RDMA_MAX, that
 * remote + total does not wrap, that reserved bits are 0, that path is below
 * SRD_PATHS_MAX. Reads len bytes at most. *p is filled as far as the packet
 * is good; p->base also for CHECK, TYPE and FIELD.
 */
enum srd_pkt_verdict srd_pkt_parse(const void *packet, size_t len,
				   struct srd_pkt *p);

/*
 * Writes the headers of p (base, data or close, ack) to hdr[SRD_HDR_MAX] and
 * returns their length; sets the lengths, flag ACK by has_ack, flag IMM by
 * data.has_imm, flag HIGH by src_qpn. The checksum covers p->payload when p->base.flags has
 * CHECK_ALL, and p->payload_len always.
 */
size_t srd_pkt_build(const struct srd_pkt *p, void *hdr);

/* As srd_pkt_build, the payload in pieces. */
size_t srd_pkt_build_iov(const struct srd_pkt *p, const struct iovec *iov,
			 int iovcnt, void *hdr);

/* Length of the headers that srd_pkt_build would write, from what is known
 * before: payload bytes of a packet = mtu - this, - SRD_HIGH_LEN for a long
 * number. */
size_t srd_pkt_data_len(uint8_t op, bool has_imm);
size_t srd_pkt_ack_len(const struct srd_pkt_ack *ack);

#define SRD_BASE_LEN 24
#define SRD_HIGH_LEN 4

#endif
