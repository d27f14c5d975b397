/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_soft_priv.h - objects of the software device: dev_soft.c opens and
 * closes them, dev_soft_queue.c posts and polls
 */
#ifndef DEV_SOFT_PRIV_H
#define DEV_SOFT_PRIV_H

#include "dev/dev.h"
#include "nic/nic.h"
#include "util/u_base.h"

struct soft_dev {
	struct dev dev;
	struct nic *nic;
	uint32_t refuse_reads; /* dev_config's */
};

struct soft_qp {
	struct dev_qp qp;
	struct nic_qp *nic_qp;
	uint32_t refuse_reads; /* every how many-th; 0: none */
	uint64_t reads, refused; /* counted where some are refused */
};

struct soft_ah {
	struct dev_ah ah;
	struct nic_ah *nic_ah;
};

struct soft_cq {
	struct dev_cq cq;
	struct nic_qp *one; /* the only queue pair; NULL: none, or many */
	struct nic_qp **many; /* [n], in the order they are polled */
	uint32_t n, max;
	uint32_t turn; /* index in many where the next poll starts */
	int epoll; /* of their descriptors; -1: nobody asked for it */
};

int soft_cq_open(struct dev *d, struct dev_cq **out);
void soft_cq_close(struct dev_cq *cq);
int soft_cq_fd(struct dev_cq *cq);
int soft_cq_arm(struct dev_cq *cq);

int soft_cq_add(struct soft_cq *cq, struct soft_qp *qp);
void soft_cq_remove(struct soft_cq *cq, struct soft_qp *qp);

int soft_post(struct dev_qp *qp, struct dev_wr *wr, int n);
int soft_poll(struct dev_cq *cq, struct dev_wc *wc, int n);
void soft_give_back(struct dev_cq *cq);

#endif
