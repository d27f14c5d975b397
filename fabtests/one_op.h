/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * one_op.h - one operation of each kind, and its end, for tests of operations
 * that do not go well
 */
#ifndef ONE_OP_H
#define ONE_OP_H

#include "ft.h"

struct one_op {
	void *buf; /* ours; an atomic takes its operand there as well */
	size_t size;
	void *desc; /* of buf */
	uint64_t tag; /* of messages, with -m tagged */
	uint64_t addr, key; /* RMA: the peer's */
	uint64_t flags; /* FI_DELIVERY_COMPLETE; send and write */
	struct fi_context2 context;
};

/* Each returns what its call of libfabric says; it completes in any case. */
ssize_t one_send(struct ft *ft, struct one_op *op);
ssize_t one_recv(struct ft *ft, struct one_op *op);
ssize_t one_read(struct ft *ft, struct one_op *op);
ssize_t one_write(struct ft *ft, struct one_op *op);
ssize_t one_fetch(struct ft *ft, struct one_op *op);

/* Starts it, with progress for as long as there is no room. */
void one_start(struct ft *ft, struct one_op *op,
	       ssize_t (*start)(struct ft *ft, struct one_op *op));

/*
 * Takes an entry of either queue: 1 of one that went well, -1 of one that did
 * not, as err tells; 0: there is none.
 */
int one_end(struct ft *ft, struct fi_cq_err_entry *err);

#endif
