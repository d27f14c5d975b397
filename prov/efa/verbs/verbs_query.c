/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_query.c - what the device says of itself
 *
 * As an EFA device does: one port that is always active, one gid, one pkey, a
 * message size that is the datagram limit, no link layer.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "config.h"
#include "verbs_priv.h"
#include "verbs_real.h"

static const struct nic_info *info_of(struct ibv_context *c)
{
	return &u_container_of(c->device, struct verbs_device, dev)->info;
}

bool verbs_has_tail(const void *p, size_t ours, size_t theirs)
{
	const uint8_t *b = p;

	for (size_t i = ours; i < theirs; i++)
		if (b[i])
			return true;
	return false;
}

static void device_attr(struct ibv_context *c, struct ibv_device_attr *a)
{
	*a = (struct ibv_device_attr){
		.node_guid = ibv_get_device_guid(c->device),
		.max_mr_size = UINT64_MAX >> 16,
		.page_size_cap = (uint64_t)sysconf(_SC_PAGESIZE),
		.vendor_id = VERBS_VENDOR,
		.vendor_part_id = VERBS_PART,
		.max_qp = VERBS_MAX_QP,
		.max_qp_wr = u_min(VERBS_MAX_SQ_WR, VERBS_MAX_RQ_WR),
		.max_sge = u_min(VERBS_MAX_SQ_SGE, VERBS_MAX_RQ_SGE),
		.max_sge_rd = 1,
		.max_cq = VERBS_MAX_CQ,
		.max_cqe = VERBS_MAX_CQE,
		.max_mr = VERBS_MAX_MR,
		.max_pd = VERBS_MAX_PD,
		.max_ah = VERBS_MAX_AH,
		.atomic_cap = IBV_ATOMIC_NONE,
		.max_pkeys = 1,
		.phys_port_cnt = 1,
	};
	a->sys_image_guid = a->node_guid;
	snprintf(a->fw_ver, sizeof(a->fw_ver), "%s", PACKAGE_VERSION);
}

VERBS_EXPORT int ibv_query_device(struct ibv_context *c,
				  struct ibv_device_attr *attr)
{
	if (!verbs_is_ours(c))
		return verbs_real(ibv_query_device)(c, attr);
	device_attr(c, attr);
	return 0;
}

int verbs_query_device_ex(struct ibv_context *c,
			  const struct ibv_query_device_ex_input *in,
			  struct ibv_device_attr_ex *attr, size_t size)
{
	if (in && in->comp_mask)
		return EINVAL;
	if (size < sizeof(attr->orig_attr))
		return EINVAL;
	memset(attr, 0, size);
	device_attr(c, &attr->orig_attr);
	if (size >= offsetof(struct ibv_device_attr_ex, phys_port_cnt_ex) +
			    sizeof(attr->phys_port_cnt_ex))
		attr->phys_port_cnt_ex = 1;
	return 0;
}

/* --- the port --- */

/* Width and speed that make about so many bits a second. */
static void port_speed(uint64_t bps, struct ibv_port_attr *a)
{
	static const struct {
		uint64_t gbps;
		uint8_t width, speed;
	} rates[] = {
		{ 400, 2, 128 }, { 200, 2, 64 }, { 100, 2, 32 },
		{ 50, 1, 64 },	 { 25, 1, 32 },	 { 10, 1, 8 },
	};

	a->active_width = 1;
	a->active_speed = 1; /* 2.5 Gbit/s, the least that can be said */
	for (size_t i = 0; i < u_array_size(rates); i++) {
		if (bps < rates[i].gbps * UINT64_C(1000000000))
			continue;
		a->active_width = rates[i].width;
		a->active_speed = rates[i].speed;
		return;
	}
}

int verbs_query_port(struct ibv_context *c, uint8_t port,
		     struct ibv_port_attr *attr, size_t size)
{
	struct ibv_port_attr a = {
		.state = IBV_PORT_ACTIVE,
		.max_mtu = IBV_MTU_4096,
		.active_mtu = IBV_MTU_4096,
		.gid_tbl_len = 1,
		.max_msg_sz = NIC_MTU,
		.pkey_tbl_len = 1,
		.lid = 0,
		.lmc = 1,
		.max_vl_num = 1,
		.phys_state = 5,
		.link_layer = IBV_LINK_LAYER_UNSPECIFIED,
	};

	if (port != 1)
		return EINVAL;
	port_speed(info_of(c)->speed, &a);
	memset(attr, 0, size);
	memcpy(attr, &a, u_min(size, sizeof(a)));
	return 0;
}

/* Programs of before the context's table had it. */
VERBS_EXPORT int ibv_query_port(struct ibv_context *c, uint8_t port,
				struct _compat_ibv_port_attr *attr)
{
	if (!verbs_is_ours(c))
		return verbs_real(ibv_query_port)(c, port, attr);
	return verbs_query_port(c, port, (struct ibv_port_attr *)attr,
				offsetof(struct ibv_port_attr, link_layer) + 2);
}

/* Whatever the index, as the real device. */
VERBS_EXPORT int ibv_query_gid(struct ibv_context *c, uint8_t port, int index,
			       union ibv_gid *gid)
{
	if (!verbs_is_ours(c))
		return verbs_real(ibv_query_gid)(c, port, index, gid);
	if (port != 1) {
		errno = EINVAL;
		return -1;
	}
	memcpy(gid->raw, info_of(c)->gid, sizeof(gid->raw));
	return 0;
}

static void gid_entry(struct ibv_context *c, uint32_t index,
		      struct ibv_gid_entry *entry)
{
	*entry = (struct ibv_gid_entry){
		.gid_index = index,
		.port_num = 1,
		.gid_type = IBV_GID_TYPE_IB,
	};
	memcpy(entry->gid.raw, info_of(c)->gid, sizeof(entry->gid.raw));
}

VERBS_EXPORT int _ibv_query_gid_ex(struct ibv_context *c, uint32_t port,
				   uint32_t index, struct ibv_gid_entry *entry,
				   uint32_t flags, size_t size)
{
	if (!verbs_is_ours(c))
		return verbs_real(_ibv_query_gid_ex)(c, port, index, entry,
						     flags, size);
	if (port != 1 || size < sizeof(*entry))
		return EINVAL;
	if (flags)
		return EOPNOTSUPP;
	gid_entry(c, index, entry);
	return 0;
}

VERBS_EXPORT ssize_t _ibv_query_gid_table(struct ibv_context *c,
					  struct ibv_gid_entry *entries,
					  size_t max, uint32_t flags,
					  size_t size)
{
	if (!verbs_is_ours(c))
		return verbs_real(_ibv_query_gid_table)(c, entries, max, flags,
							size);
	if (!max || size < sizeof(*entries))
		return -EINVAL;
	if (flags)
		return -EOPNOTSUPP;
	gid_entry(c, 0, entries);
	return 1;
}

/* Of no header, but of tools that come with the library. */
VERBS_EXPORT int ibv_query_gid_type(struct ibv_context *c, uint8_t port,
				    unsigned int index, unsigned int *type);

VERBS_EXPORT int ibv_query_gid_type(struct ibv_context *c, uint8_t port,
				    unsigned int index, unsigned int *type)
{
	if (!verbs_is_ours(c))
		return verbs_real(ibv_query_gid_type)(c, port, index, type);
	if (port != 1) {
		errno = EINVAL;
		return -1;
	}
	*type = 0;
	return 0;
}

VERBS_EXPORT int ibv_query_pkey(struct ibv_context *c, uint8_t port, int index,
				__be16 *pkey)
{
	if (!verbs_is_ours(c))
		return verbs_real(ibv_query_pkey)(c, port, index, pkey);
	if (port != 1 || index) {
		errno = EINVAL;
		return -1;
	}
	*pkey = htons(0xffff);
	return 0;
}

VERBS_EXPORT int ibv_get_pkey_index(struct ibv_context *c, uint8_t port,
				    __be16 pkey)
{
	if (!verbs_is_ours(c))
		return verbs_real(ibv_get_pkey_index)(c, port, pkey);
	if (port == 1 && (pkey & htons(0x7fff)) == htons(0x7fff))
		return 0;
	errno = EINVAL;
	return -1;
}

/* --- libefa --- */

VERBS_EXPORT int efadv_query_device(struct ibv_context *c,
				    struct efadv_device_attr *attr,
				    uint32_t inlen)
{
	struct efadv_device_attr a = {
		.max_sq_wr = VERBS_MAX_SQ_WR,
		.max_rq_wr = VERBS_MAX_RQ_WR,
		.max_sq_sge = VERBS_MAX_SQ_SGE,
		.max_rq_sge = VERBS_MAX_RQ_SGE,
		.inline_buf_size = VERBS_INLINE,
		.device_caps = VERBS_CAPS,
		.max_rdma_size = NIC_MAX_RDMA,
	};

	if (!verbs_is_ours(c)) {
		int (*real)(struct ibv_context *, struct efadv_device_attr *,
			    uint32_t) = verbs_real(efadv_query_device);

		return real ? real(c, attr, inlen) : EOPNOTSUPP;
	}
	if (inlen < offsetof(struct efadv_device_attr, inline_buf_size) + 2)
		return EINVAL;
	memset(attr, 0, inlen);
	memcpy(attr, &a, u_min(inlen, sizeof(a)));
	return 0;
}
