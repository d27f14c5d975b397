/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fake_verbs_priv.h - objects of the RDMA NICs in memory
 *
 * fake_verbs.c has the devices and the network, fake_verbs_objects.c what is
 * opened on them. Objects begin with the public part that libibverbs shows.
 */
#ifndef FAKE_VERBS_PRIV_H
#define FAKE_VERBS_PRIV_H

#include "fake_verbs.h"

#include <pthread.h>
#include <sys/queue.h>

#include "util/u_base.h"

#define FAKE_CQE 8192
#define FAKE_RQ 4096

struct fake_ctx {
	struct ibv_context ctx;
	struct fake_device *device;
	struct ibv_async_event event[16];
	int nevents;
	LIST_ENTRY(fake_ctx) link;
};

struct fake_cq {
	struct ibv_cq cq;
	bool armed;
	uint32_t head, tail;
	struct ibv_wc wc[FAKE_CQE];
};

struct fake_recv {
	uint64_t wr_id;
	uint8_t *addr;
	uint32_t len;
};

struct fake_qp {
	struct ibv_qp qp;
	struct fake_device *device;
	uint32_t qkey;
	enum ibv_qp_state state;
	uint32_t depth, unsignalled;
	uint32_t max_inline;
	uint32_t rq_head, rq_tail, rq_depth;
	struct fake_recv rq[FAKE_RQ];
	LIST_ENTRY(fake_qp) link;
};

struct fake_ah {
	struct ibv_ah ah;
	struct ibv_ah_attr attr;
	struct fake_device *device;
};

struct fake_mr {
	struct ibv_mr mr;
	LIST_ENTRY(fake_mr) link;
};

LIST_HEAD(fake_qp_list, fake_qp);

/* Under the lock: all but the fields of `fake`, which tests set between calls. */
extern pthread_mutex_t fake_lock;
extern pthread_cond_t fake_changed; /* a knob */
extern struct fake_qp_list fake_qps;
extern uint32_t fake_next_qpn;

/* Whether it lies in the region that its key names; under the lock. */
bool fake_registered(const struct ibv_sge *sge);

/* The calls that go through the context. */
void fake_context_ops(struct ibv_context_ops *ops);

#endif
