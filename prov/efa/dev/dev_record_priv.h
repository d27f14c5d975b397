/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_record_priv.h - objects of the recording device, for its two files:
 * dev_record.c is the device, dev_record_drive.c what a test does to it
 */
#ifndef DEV_RECORD_PRIV_H
#define DEV_RECORD_PRIV_H

#include <sys/queue.h>

#include "dev/dev_record.h"
#include "util/u_base.h"

struct record_mr {
	struct dev_mr mr;
	uint32_t access; /* enum dev_access */
	TAILQ_ENTRY(record_mr) link;
};

struct record_dev {
	struct dev dev;
	bool inline_done; /* dev_record_set_inline() */
	bool no_reads; /* dev_record_set_reads() */
	int room; /* posts still accepted; -1: no limit */
	bool held; /* between mr_hold and mr_release */
	uint32_t next_key;
	TAILQ_HEAD(, record_mr) mrs;
};

/* A completion that waits in a cq, with a copy of what it lends. */
struct record_wc {
	struct dev_wc wc;
	struct dev_qp *qp;
	TAILQ_ENTRY(record_wc) link;
	uint8_t data[];
};

TAILQ_HEAD(record_wc_list, record_wc);

struct record_cq {
	struct dev_cq cq;
	struct record_wc_list ready;
	struct record_wc_list lent;
};

/* UD: a posted receive. */
struct record_rx {
	uint64_t id;
	uint8_t *buf;
	size_t len;
	TAILQ_ENTRY(record_rx) link;
};

struct record_ah {
	struct dev_ah ah;
	uint64_t cookie;
	uint64_t serial; /* no two handles of the process share one */
	TAILQ_ENTRY(record_ah) link;
};

struct record_qp {
	struct dev_qp qp;
	struct dev_qp_attr attr; /* what it was opened with */
	bool pressure;
	struct dev_record_wr *head, **tail; /* posted, not taken */
	TAILQ_HEAD(, record_ah) ahs;
	TAILQ_HEAD(, record_rx) rxs;
	struct dev_addr *source; /* [nsources] */
	uint32_t nsources;
	TAILQ_ENTRY(record_qp) link; /* record_qps */
};

TAILQ_HEAD(record_qp_list, record_qp);

/* Every open recording queue pair of the process. */
extern struct record_qp_list record_qps;

/* Who sees every request; NULL: nobody. */
extern void (*record_see)(const struct dev_record_wr *wr);

/* The queue pair that has this address, or NULL. */
struct record_qp *record_qp_find(const struct dev_addr *addr);

/* Whether wr's handle is still open: only then may it complete. */
bool record_ah_alive(const struct dev_record_wr *wr);

/* Puts a completion that lends a copy of data into qp's cq. */
void record_push(struct dev_qp *qp, const struct dev_wc *wc, const void *data,
		 uint32_t len);

/* Whether a region of rd gives peers that access to the range. */
bool record_allows(const struct record_dev *rd, const struct dev_range *range,
		   uint32_t access);

/*
 * Moves the bytes of an RDMA operation now. -ENOENT: nobody has the address;
 * -EACCES: the key does not cover the range or the access.
 */
int record_rdma(const struct dev_record_wr *wr);

#endif
