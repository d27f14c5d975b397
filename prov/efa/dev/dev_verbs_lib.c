/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_lib.c - where the build's version of libefa makes a difference
 */
#include "dev_verbs_lib.h"

#include <dlfcn.h>

#include "config.h"
#include "util/u_base.h"

#define SAME(a, b) _Static_assert((int)(a) == (int)(b), #a)
SAME(VERBS_CAP_READ, EFADV_DEVICE_ATTR_CAPS_RDMA_READ);
SAME(VERBS_CAP_RNR_RETRY, EFADV_DEVICE_ATTR_CAPS_RNR_RETRY);
SAME(VERBS_CAP_SGID, EFADV_DEVICE_ATTR_CAPS_CQ_WITH_SGID);
#if HAVE_DECL_EFADV_DEVICE_ATTR_CAPS_RDMA_WRITE
SAME(VERBS_CAP_WRITE, EFADV_DEVICE_ATTR_CAPS_RDMA_WRITE);
#endif

#if HAVE_DECL_EFADV_DEVICE_ATTR_CAPS_UNSOLICITED_WRITE_RECV && \
	HAVE_DECL_EFADV_QP_FLAGS_UNSOLICITED_WRITE_RECV &&     \
	HAVE_DECL_EFADV_WC_EX_WITH_IS_UNSOLICITED &&           \
	defined(HAVE_STRUCT_EFADV_QP_INIT_ATTR_FLAGS)
#define HAVE_UNSOLICITED 1
SAME(VERBS_CAP_UNSOLICITED, EFADV_DEVICE_ATTR_CAPS_UNSOLICITED_WRITE_RECV);
#else
#define HAVE_UNSOLICITED 0
#endif

#ifdef HAVE_STRUCT_EFADV_QP_INIT_ATTR_SL
#define HAVE_SL 1
#else
#define HAVE_SL 0
#endif

static uint32_t inline_max(const struct efadv_device_attr *attr)
{
	uint32_t max = attr->inline_buf_size;

#ifdef HAVE_STRUCT_EFADV_DEVICE_ATTR_INLINE_BUF_SIZE_EX
	max = (uint32_t)u_max(max, attr->inline_buf_size_ex);
#endif
	return (uint32_t)u_min(max, VERBS_INLINE_MAX);
}

void verbs_lib_extra(const struct efadv_device_attr *attr,
		     struct verbs_extra *extra)
{
	extra->inline_max = inline_max(attr);
	extra->unsolicited = HAVE_UNSOLICITED &&
			     (attr->device_caps & VERBS_CAP_UNSOLICITED);
	extra->sl = HAVE_SL ? VERBS_SL_LOW_LATENCY : 0;
}

uint64_t verbs_lib_wc_flags(uint32_t caps)
{
	uint64_t flags = 0;

	if (caps & VERBS_CAP_SGID)
		flags |= EFADV_WC_EX_WITH_SGID;
#if HAVE_UNSOLICITED
	if (caps & VERBS_CAP_UNSOLICITED)
		flags |= EFADV_WC_EX_WITH_IS_UNSOLICITED;
#endif
	return flags;
}

bool verbs_lib_is_unsolicited(struct efadv_cq *cq)
{
#if HAVE_UNSOLICITED
	return efadv_wc_is_unsolicited(cq);
#else
	(void)cq;
	return false;
#endif
}

struct ibv_qp *verbs_lib_srd_qp(struct ibv_context *ctx,
				struct ibv_qp_init_attr_ex *attr,
				const struct verbs_extra *extra)
{
	struct efadv_qp_init_attr efa = {
		.driver_qp_type = EFADV_QP_DRIVER_TYPE_SRD,
	};

#if HAVE_UNSOLICITED
	if (extra->unsolicited)
		efa.flags |= EFADV_QP_FLAGS_UNSOLICITED_WRITE_RECV;
#endif
#if HAVE_SL
	efa.sl = extra->sl;
#endif
	attr->qp_type = IBV_QPT_DRIVER;
	attr->cap.max_inline_data = extra->inline_max;
	return efadv_create_qp_ex(ctx, attr, &efa, sizeof(efa));
}

/* struct efadv_mr_attr of version 50 on. */
struct mr_attr {
	uint64_t comp_mask;
	uint16_t ic_id_validity;
	uint16_t recv_ic_id;
	uint16_t rdma_read_ic_id;
	uint16_t rdma_recv_ic_id;
};

#if HAVE_DECL_EFADV_QUERY_MR
SAME(sizeof(struct mr_attr), sizeof(struct efadv_mr_attr));
SAME(offsetof(struct mr_attr, rdma_recv_ic_id),
     offsetof(struct efadv_mr_attr, rdma_recv_ic_id));
#endif

struct efadv_mr_attr;
typedef int (*query_mr_fn)(struct ibv_mr *, struct efadv_mr_attr *, uint32_t);

/*
 * By RTLD_DEFAULT: what the provider is linked with is in its scope whoever
 * loaded it how, behind what was preloaded in its place.
 */
static query_mr_fn find_query_mr(void)
{
	return (query_mr_fn)(uintptr_t)dlsym(RTLD_DEFAULT, "efadv_query_mr");
}

int verbs_lib_mr_ids(struct ibv_mr *mr, struct dev_mr_ids *ids)
{
	query_mr_fn query_mr = find_query_mr();
	struct mr_attr attr = { .comp_mask = 0 };
	int rc = 0;

	if (query_mr)
		rc = query_mr(mr, (void *)&attr, sizeof(attr));
	if (rc)
		return rc > 0 ? -rc : rc;
	*ids = (struct dev_mr_ids){
		.valid = attr.ic_id_validity,
		.recv = attr.recv_ic_id,
		.read = attr.rdma_read_ic_id,
		.rdma_recv = attr.rdma_recv_ic_id,
	};
	return 0;
}
