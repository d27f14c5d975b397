/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * one_op.c - one operation of each kind, and its end
 */
#include "one_op.h"

#include <rdma/fi_atomic.h>
#include <rdma/fi_rma.h>

ssize_t one_send(struct ft *ft, struct one_op *op)
{
	struct iovec iov = { op->buf, op->size };
	struct fi_msg msg = { .msg_iov = &iov,
			      .desc = &op->desc,
			      .iov_count = 1,
			      .addr = ft->peer,
			      .context = &op->context };
	struct fi_msg_tagged tagged = { .msg_iov = &iov,
					.desc = &op->desc,
					.iov_count = 1,
					.addr = ft->peer,
					.tag = op->tag,
					.context = &op->context };
	uint64_t flags = FI_COMPLETION | op->flags;

	return ft->opt.tagged ? fi_tsendmsg(ft->ep, &tagged, flags) :
				fi_sendmsg(ft->ep, &msg, flags);
}

ssize_t one_recv(struct ft *ft, struct one_op *op)
{
	if (ft->opt.tagged)
		return fi_trecv(ft->ep, op->buf, op->size, op->desc,
				FI_ADDR_UNSPEC, op->tag, 0, &op->context);
	return fi_recv(ft->ep, op->buf, op->size, op->desc, FI_ADDR_UNSPEC,
		       &op->context);
}

ssize_t one_read(struct ft *ft, struct one_op *op)
{
	return fi_read(ft->ep, op->buf, op->size, op->desc, ft->peer, op->addr,
		       op->key, &op->context);
}

ssize_t one_write(struct ft *ft, struct one_op *op)
{
	struct iovec iov = { op->buf, op->size };
	struct fi_rma_iov there = { op->addr, op->size, op->key };
	struct fi_msg_rma msg = { .msg_iov = &iov,
				  .desc = &op->desc,
				  .iov_count = 1,
				  .addr = ft->peer,
				  .rma_iov = &there,
				  .rma_iov_count = 1,
				  .context = &op->context };

	return fi_writemsg(ft->ep, &msg, FI_COMPLETION | op->flags);
}

ssize_t one_fetch(struct ft *ft, struct one_op *op)
{
	return fi_fetch_atomic(ft->ep, op->buf, 1, op->desc, op->buf, op->desc,
			       ft->peer, op->addr, op->key, FI_UINT64, FI_SUM,
			       &op->context);
}

void one_start(struct ft *ft, struct one_op *op,
	       ssize_t (*start)(struct ft *ft, struct one_op *op))
{
	ssize_t ret;

	while ((ret = start(ft, op)) == -FI_EAGAIN)
		ft_progress(ft);
	ft_check("start of an operation", (int)ret);
}

static int end_in(struct fid_cq *cq, struct fi_cq_err_entry *err)
{
	struct fi_cq_entry entry;
	ssize_t n = fi_cq_read(cq, &entry, 1);

	if (n == -FI_EAVAIL)
		return fi_cq_readerr(cq, err, 0) == 1 ? -1 : 0;
	return n == 1;
}

int one_end(struct ft *ft, struct fi_cq_err_entry *err)
{
	int over = end_in(ft->txcq, err);

	return over ? over : end_in(ft->rxcq, err);
}
