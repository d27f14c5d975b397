/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * direct.h - an endpoint of efa-direct with its buffers: between the files of
 * efa_direct
 */
#ifndef DIRECT_H
#define DIRECT_H

#include "ft.h"

#include <rdma/fi_rma.h>

#include "pattern.h"

#define SLOTS 64u

/* A buffer of one packet, posted or free. */
struct slot {
	struct fi_context2 context; /* first: the completion names the slot */
	struct ft_buf buf;
	bool busy;
};

/* Memory that the peer reads and writes. */
struct region {
	uint64_t addr, len, key;
};

struct direct {
	struct ft ft;
	bool no_receives; /* open it without FI_RX_CQ_DATA */
	size_t mtu; /* bytes of a message at most */
	bool solicited; /* a write with data uses up a receive */
	struct slot slot[SLOTS]; /* of sends, or of RMA */
	struct slot recv[SLOTS];
	unsigned int nposted; /* of recv */
	struct ft_buf local; /* opt.max bytes */
	struct fid_mr *local_mr, *mr; /* mr: of target */
	char *target; /* opt.max bytes */
	struct region peer; /* its target */
	struct fi_context2 context; /* of RMA */
};

/* direct_ep.c: open and close, buffers, completions */
/* -FI_ENODATA: the provider does not have it so; only with no_receives. */
int direct_open(struct direct *d);
void direct_close(struct direct *d);
/* A free slot for a send; waits for one. */
struct slot *direct_slot(struct direct *d);
void direct_slot_done(struct slot *slot);
void direct_poll_tx(struct direct *d);
/* Until no slot is busy. */
void direct_wait_tx(struct direct *d);
void direct_recv(struct direct *d, struct slot *slot);
void direct_post_receives(struct direct *d);
/* The server has the client use up what it has posted. */
void direct_take_receives(struct direct *d);
/* The next entry of the queue of receives. */
struct fi_cq_data_entry direct_next(struct direct *d);
/* Makes progress and nothing else. */
void direct_pause(struct direct *d, uint64_t ns);
/* One line of the client, when both have come here. */
void direct_tell(struct direct *d, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* direct_rma.c */
void direct_rma(struct direct *d); /* writes and reads of many sizes */
void direct_data(struct direct *d); /* writes with data */
void direct_wrong_key(struct direct *d);
void direct_write_some(struct direct *d, struct slot *slot);
void direct_speed(struct direct *d);

#endif
