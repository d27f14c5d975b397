/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fi_ext_efa.h - endpoint options and tables of the provider "efa"
 *
 * libfabric's <rdma/fi_ext.h> has had them one by one since 1.18; this header
 * defines those that the libfabric at hand lacks, by the same values, so that
 * a program compiles with any of them. fi_efa(7) says what each one does.
 */
#ifndef FI_EXT_EFA_H
#define FI_EXT_EFA_H

#include <stdbool.h>
#include <stdint.h>

#include <rdma/fabric.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_ext.h>

#define FI_EXT_EFA_BEFORE(major, minor)                   \
	(FI_VERSION(FI_MAJOR_VERSION, FI_MINOR_VERSION) < \
	 FI_VERSION(major, minor))

/* Level FI_OPT_ENDPOINT of libfabric itself. */
#if FI_EXT_EFA_BEFORE(1, 18)
#define FI_OPT_CUDA_API_PERMITTED 10 /* bool */
#endif
#if FI_EXT_EFA_BEFORE(1, 21)
#define FI_OPT_SHARED_MEMORY_PERMITTED 11 /* bool */
#endif
#if FI_EXT_EFA_BEFORE(1, 22)
#define FI_OPT_MAX_MSG_SIZE 12 /* size_t, as the next seven */
#define FI_OPT_MAX_TAGGED_SIZE 13
#define FI_OPT_MAX_RMA_SIZE 14
#define FI_OPT_MAX_ATOMIC_SIZE 15
#define FI_OPT_INJECT_MSG_SIZE 16
#define FI_OPT_INJECT_TAGGED_SIZE 17
#define FI_OPT_INJECT_RMA_SIZE 18
#define FI_OPT_INJECT_ATOMIC_SIZE 19
#endif

/* Options of efa; FI_OPT_EFA_RNR_RETRY, the first, is in every libfabric. */
#if FI_EXT_EFA_BEFORE(1, 18)
#define FI_OPT_EFA_EMULATED_READ (-251265023) /* bool, get */
#define FI_OPT_EFA_EMULATED_WRITE (-251265022) /* bool, get */
#define FI_OPT_EFA_EMULATED_ATOMICS (-251265021) /* bool, get */
#define FI_OPT_EFA_USE_DEVICE_RDMA (-251265020) /* bool, set */
#define FI_OPT_EFA_SENDRECV_IN_ORDER_ALIGNED_128_BYTES (-251265019) /* set */
#define FI_OPT_EFA_WRITE_IN_ORDER_ALIGNED_128_BYTES (-251265018) /* set */
#endif
#if FI_EXT_EFA_BEFORE(2, 2)
#define FI_OPT_EFA_HOMOGENEOUS_PEERS (-251265017) /* bool, set */
#endif
#if FI_EXT_EFA_BEFORE(2, 5)
#define FI_OPT_EFA_USE_UNSOLICITED_WRITE_RECV (-251265016) /* bool, set */
#endif

/*
 * fi_open_ops() of a domain. Since 1.21 libfabric has this, under the same
 * names, in its own header of this name, whose place this one takes.
 */
#define FI_EFA_DOMAIN_OPS "efa domain ops"

/* Which of the next three numbers mean something. */
#define FI_EFA_MR_ATTR_RECV_IC_ID (1 << 0)
#define FI_EFA_MR_ATTR_RDMA_READ_IC_ID (1 << 1)
#define FI_EFA_MR_ATTR_RDMA_RECV_IC_ID (1 << 2)

struct fid_mr;

struct fi_efa_mr_attr {
	uint16_t ic_id_validity;
	uint16_t recv_ic_id;
	uint16_t rdma_read_ic_id;
	uint16_t rdma_recv_ic_id;
};

struct fi_efa_ops_domain {
	int (*query_mr)(struct fid_mr *mr, struct fi_efa_mr_attr *attr);
};

/* fi_open_ops() of a fabric: what no version number tells. */
#define FI_EFA_FEATURE_OPS "efa feature ops"

struct fi_efa_feature_ops {
	bool (*query)(const char *feature);
};

#endif
