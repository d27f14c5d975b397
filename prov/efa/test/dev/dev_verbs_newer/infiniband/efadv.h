/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efadv.h - the installed header of libefa, with what version 63 has besides
 *
 * Only what dev_verbs* use. What has to change in the older header is there
 * under another name.
 */
#ifndef DEV_VERBS_NEWER_EFADV_H
#define DEV_VERBS_NEWER_EFADV_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

#ifdef LACKS_SL
#define efadv_qp_init_attr older_qp_init_attr
#define efadv_create_qp_ex older_create_qp_ex
#endif
#ifdef LACKS_INLINE_EX
#define efadv_device_attr older_device_attr
#define efadv_query_device older_query_device
#endif
#ifdef LACKS_UNSOLICITED
#define efadv_cq older_cq
#define efadv_cq_from_ibv_cq_ex older_cq_from_ibv_cq_ex
#define efadv_wc_read_sgid older_wc_read_sgid
#endif

#include_next <infiniband/efadv.h>

#undef efadv_qp_init_attr
#undef efadv_create_qp_ex
#undef efadv_device_attr
#undef efadv_query_device
#undef efadv_cq
#undef efadv_cq_from_ibv_cq_ex
#undef efadv_wc_read_sgid

/* ---- since 46 ------------------------------------------------------------ */

#ifdef LACKS_RDMA_WRITE
enum { EFADV_DEVICE_ATTR_CAPS_RDMA_WRITE = 1 << 3 };
#endif

/* ---- since 50 ------------------------------------------------------------ */

#ifdef LACKS_QUERY_MR
struct efadv_mr_attr {
	uint64_t comp_mask;
	uint16_t ic_id_validity;
	uint16_t recv_ic_id;
	uint16_t rdma_read_ic_id;
	uint16_t rdma_recv_ic_id;
};

int efadv_query_mr(struct ibv_mr *mr, struct efadv_mr_attr *attr, uint32_t len);
#endif

/* ---- since 52 ------------------------------------------------------------ */

#ifdef LACKS_UNSOLICITED
enum { EFADV_DEVICE_ATTR_CAPS_UNSOLICITED_WRITE_RECV = 1 << 4 };
enum { EFADV_QP_FLAGS_UNSOLICITED_WRITE_RECV = 1 << 0 };
enum { EFADV_WC_EX_WITH_IS_UNSOLICITED = 1 << 1 };

struct efadv_cq {
	uint64_t comp_mask;
	int (*wc_read_sgid)(struct efadv_cq *cq, union ibv_gid *gid);
	bool (*wc_is_unsolicited)(struct efadv_cq *cq);
};

struct efadv_cq *efadv_cq_from_ibv_cq_ex(struct ibv_cq_ex *cq);

static inline int efadv_wc_read_sgid(struct efadv_cq *cq, union ibv_gid *gid)
{
	return cq->wc_read_sgid(cq, gid);
}

static inline bool efadv_wc_is_unsolicited(struct efadv_cq *cq)
{
	return cq->wc_is_unsolicited(cq);
}
#endif

/* ---- since 55 ------------------------------------------------------------ */

#ifdef LACKS_SL
struct efadv_qp_init_attr {
	uint64_t comp_mask;
	uint32_t driver_qp_type;
	uint16_t flags;
	uint8_t sl;
	uint8_t reserved[1];
};

struct ibv_qp *efadv_create_qp_ex(struct ibv_context *ctx,
				  struct ibv_qp_init_attr_ex *attr,
				  struct efadv_qp_init_attr *efa, uint32_t len);
#endif

/* ---- since 63 ------------------------------------------------------------ */

#ifdef LACKS_INLINE_EX
struct efadv_device_attr {
	uint64_t comp_mask;
	uint32_t max_sq_wr;
	uint32_t max_rq_wr;
	uint16_t max_sq_sge;
	uint16_t max_rq_sge;
	uint16_t inline_buf_size;
	uint16_t inline_buf_size_ex;
	uint32_t device_caps;
	uint32_t max_rdma_size;
};

int efadv_query_device(struct ibv_context *ctx, struct efadv_device_attr *attr,
		       uint32_t len);
#endif

#endif
