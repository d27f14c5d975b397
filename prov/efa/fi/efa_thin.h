/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_thin.h - what the other files of fi/ do with a thin endpoint
 *
 * Send and recv take the endpoint's lock, efa_thin_removed needs none; for all
 * others it is held, or nobody else reaches the endpoint.
 */
#ifndef EFA_THIN_H
#define EFA_THIN_H

#include "fi/efa.h"

extern struct fi_ops_msg efa_thin_msg_ops;

int efa_thin_open(struct efa_ep *ep, struct efa_thin **thin);
void efa_thin_close(struct efa_thin *thin);
/*
 * Flags are enum rdm_flags; buffers of datagrams begin with the prefix. desc:
 * struct dev_mr of each element, or NULL.
 */
ssize_t efa_thin_send(struct efa_ep *ep, const struct iovec *from,
		      void *const *desc, size_t iovcnt, uint64_t to,
		      uint32_t flags, uint64_t data, void *context);
ssize_t efa_thin_recv(struct efa_ep *ep, const struct iovec *iov,
		      void *const *desc, size_t iovcnt, uint32_t flags,
		      void *context);
void efa_thin_addr(const struct efa_thin *thin, struct dev_addr *addr);
/* This index was removed from the address vector. Any thread. */
void efa_thin_removed(struct efa_thin *thin, uint64_t index);
int efa_thin_fd(struct efa_thin *thin);
int efa_thin_arm(struct efa_thin *thin);
/* As rdm_rma, of one range at either end. The endpoint's lock is held. */
int efa_thin_rma(struct efa_thin *thin, const struct rdm_rma *rma);
/*
 * As rdm_revoke, of RMA. A receive stays posted, and what comes for it ends it:
 * programs take one that ends by itself for a broken endpoint. The same.
 */
bool efa_thin_revoke(struct efa_thin *thin, const struct dev_mr *mr);
/* Until nothing is under way that nobody would be told of; false: time over. */
bool efa_thin_drain(struct efa_thin *thin, uint64_t timeout);

#endif
