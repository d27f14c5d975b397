/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pkt_priv.h - what the reader and the writer of packets share: lengths,
 * and what a type or an operation may carry
 */
#ifndef SRD_PKT_PRIV_H
#define SRD_PKT_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "srd/srd_pkt.h"

/* Bytes. */
#define SRD_WORD_LEN 4 /* the unit of the base header's `words` */
#define SRD_DATA_LEN 16
#define SRD_RANGE_LEN 16
#define SRD_IMM_LEN 4
#define SRD_CLOSE_LEN 8
#define SRD_ACK_LEN 16
#define SRD_ECHO_LEN 8
#define SRD_NAK_LEN 8

struct srd_pkt_type_row {
	uint8_t may; /* enum srd_pkt_flags that may be set */
	uint8_t must; /* of those, the ones that are */
	bool known;
	bool payload; /* it may have one */
};

#define SRD_PKT_NTYPES 6
extern const struct srd_pkt_type_row srd_pkt_types[SRD_PKT_NTYPES];

/* What the packets of an operation have. */
enum srd_op_has {
	SRD_HAS_PAYLOAD = 1, /* and an offset */
	SRD_HAS_PACKED = 2, /* total in the high half of the word `offset` */
	SRD_HAS_RANGE = 4, /* 16 bytes more: remote, rkey, total */
	SRD_HAS_MEMORY = 8, /* of those, remote and rkey mean something */
	SRD_HAS_STATUS = 16,
	SRD_MAY_IMM = 32,
	SRD_MUST_IMM = 64, /* and SRD_MAY_IMM */
};

#define SRD_HAS_TOTAL (SRD_HAS_PACKED | SRD_HAS_RANGE)

struct srd_pkt_op_row {
	uint8_t has; /* enum srd_op_has */
	bool known;
	uint32_t max; /* bytes of the whole operation */
};

#define SRD_PKT_NOPS 8
extern const struct srd_pkt_op_row srd_pkt_ops[SRD_PKT_NOPS];

#endif
