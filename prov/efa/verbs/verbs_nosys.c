/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_nosys.c - what the device does not do
 *
 * Only functions of libibverbs that would otherwise look for a driver behind an
 * object of ours. What goes through the context's table is refused by being
 * absent from it.
 */
#include "verbs_priv.h"
#include "verbs_real.h"

VERBS_EXPORT struct ibv_srq *ibv_create_srq(struct ibv_pd *pd,
					    struct ibv_srq_init_attr *attr)
{
	if (!verbs_is_ours(pd->context))
		return verbs_real(ibv_create_srq)(pd, attr);
	return verbs_null(EOPNOTSUPP);
}

VERBS_EXPORT int ibv_attach_mcast(struct ibv_qp *qp, const union ibv_gid *gid,
				  uint16_t lid)
{
	if (!verbs_is_ours(qp->context))
		return verbs_real(ibv_attach_mcast)(qp, gid, lid);
	return EOPNOTSUPP;
}

VERBS_EXPORT int ibv_detach_mcast(struct ibv_qp *qp, const union ibv_gid *gid,
				  uint16_t lid)
{
	if (!verbs_is_ours(qp->context))
		return verbs_real(ibv_detach_mcast)(qp, gid, lid);
	return EOPNOTSUPP;
}

VERBS_EXPORT int ibv_query_ece(struct ibv_qp *qp, struct ibv_ece *ece)
{
	if (!verbs_is_ours(qp->context))
		return verbs_real(ibv_query_ece)(qp, ece);
	return EOPNOTSUPP;
}

VERBS_EXPORT int ibv_set_ece(struct ibv_qp *qp, struct ibv_ece *ece)
{
	if (!verbs_is_ours(qp->context))
		return verbs_real(ibv_set_ece)(qp, ece);
	return EOPNOTSUPP;
}

VERBS_EXPORT struct ibv_pd *ibv_import_pd(struct ibv_context *c,
					  uint32_t handle)
{
	if (!verbs_is_ours(c))
		return verbs_real(ibv_import_pd)(c, handle);
	return verbs_null(EOPNOTSUPP);
}

VERBS_EXPORT struct ibv_mr *ibv_import_mr(struct ibv_pd *pd, uint32_t handle)
{
	if (!verbs_is_ours(pd->context))
		return verbs_real(ibv_import_mr)(pd, handle);
	return verbs_null(EOPNOTSUPP);
}

VERBS_EXPORT struct ibv_dm *ibv_import_dm(struct ibv_context *c,
					  uint32_t handle)
{
	if (!verbs_is_ours(c))
		return verbs_real(ibv_import_dm)(c, handle);
	return verbs_null(EOPNOTSUPP);
}

VERBS_EXPORT int ibv_resolve_eth_l2_from_gid(struct ibv_context *c,
					     struct ibv_ah_attr *attr,
					     uint8_t mac[ETHERNET_LL_SIZE],
					     uint16_t *vid)
{
	if (!verbs_is_ours(c))
		return verbs_real(ibv_resolve_eth_l2_from_gid)(c, attr, mac,
							       vid);
	return EOPNOTSUPP;
}
