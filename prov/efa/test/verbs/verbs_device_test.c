/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_device_test.c - the list of devices, and what one says of itself
 */
#include "verbs_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

static int count_files(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void ibv_get_device_list__ours_first(void **state)
{
	int n = 0;
	struct ibv_device **list = ibv_get_device_list(&n);
	struct ibv_device **again = ibv_get_device_list(NULL);

	(void)state;
	assert_true(n >= 1);
	assert_string_equal(ibv_get_device_name(list[0]), "soft_lo");
	assert_int_equal(list[0]->node_type, IBV_NODE_UNSPECIFIED);
	assert_int_equal(list[0]->transport_type, IBV_TRANSPORT_UNSPECIFIED);
	assert_null(list[n]);
	assert_ptr_equal(list[0], again[0]);
	ibv_free_device_list(list);
	ibv_free_device_list(again);
	ibv_free_device_list(NULL);
}

static void ibv_query_device__as_efa(void **state)
{
	struct vt *t = *state;
	struct ibv_device_attr_ex ex;
	struct ibv_device_attr attr;

	assert_int_equal(ibv_query_device(t->a.ctx, &attr), 0);
	assert_int_equal(attr.vendor_id, 0x1d0f);
	assert_int_equal(attr.phys_port_cnt, 1);
	assert_int_equal(attr.max_sge_rd, 1);
	assert_int_equal(attr.node_guid, ibv_get_device_guid(t->a.ctx->device));
	memset(&ex, 0xff, sizeof(ex));
	assert_int_equal(ibv_query_device_ex(t->a.ctx, NULL, &ex), 0);
	assert_int_equal(ex.orig_attr.node_guid, attr.node_guid);
	assert_int_equal(ex.orig_attr.vendor_part_id, attr.vendor_part_id);
	assert_int_equal(ex.orig_attr.max_mr_size, attr.max_mr_size);
	assert_int_equal(ex.orig_attr.max_qp, attr.max_qp);
	assert_int_equal(ex.orig_attr.max_cqe, attr.max_cqe);
	assert_int_equal(ex.orig_attr.max_ah, attr.max_ah);
	assert_int_equal(ex.orig_attr.phys_port_cnt, attr.phys_port_cnt);
	assert_int_equal(ex.phys_port_cnt_ex, 1);
	assert_int_equal(ex.odp_caps.general_caps, 0);
}

static void ibv_query_port__limits_are_the_datagram(void **state)
{
	struct vt *t = *state;
	struct ibv_port_attr attr;

	assert_int_equal(ibv_query_port(t->a.ctx, 1, &attr), 0);
	assert_int_equal(attr.state, IBV_PORT_ACTIVE);
	assert_int_equal(attr.max_msg_sz, 8928);
	assert_int_equal(attr.link_layer, IBV_LINK_LAYER_UNSPECIFIED);
	assert_int_equal(attr.gid_tbl_len, 1);
	assert_int_equal(attr.pkey_tbl_len, 1);
	assert_int_equal(ibv_query_port(t->a.ctx, 2, &attr), EINVAL);
}

static void ibv_query_gid__one_for_every_index(void **state)
{
	struct vt *t = *state;
	struct ibv_gid_entry entry;
	union ibv_gid gid, other;
	__be16 pkey;

	assert_int_equal(ibv_query_gid(t->a.ctx, 1, 0, &gid), 0);
	assert_int_equal(ibv_query_gid(t->a.ctx, 1, 9, &other), 0);
	assert_memory_equal(&gid, &other, sizeof(gid));
	assert_int_equal(ibv_query_gid(t->a.ctx, 2, 0, &gid), -1);
	assert_int_equal(ibv_query_gid_ex(t->a.ctx, 1, 0, &entry, 0), 0);
	assert_memory_equal(&entry.gid, &gid, sizeof(gid));
	assert_int_equal(ibv_query_gid_table(t->a.ctx, &entry, 1, 0), 1);
	assert_int_equal(ibv_query_pkey(t->a.ctx, 1, 0, &pkey), 0);
	assert_int_equal(pkey, 0xffff);
	assert_int_equal(ibv_query_pkey(t->a.ctx, 1, 1, &pkey), -1);
	assert_int_equal(ibv_get_pkey_index(t->a.ctx, 1, htons(0xffff)), 0);
}

static void efadv_query_device__caps_and_tail(void **state)
{
	struct vt *t = *state;
	struct {
		struct efadv_device_attr attr;
		uint8_t later[64];
	} longer;

	memset(&longer, 0xff, sizeof(longer));
	assert_int_equal(
		efadv_query_device(t->a.ctx, &longer.attr, sizeof(longer)), 0);
	assert_int_equal(longer.attr.device_caps & 0xf, 0xf);
	assert_int_equal(longer.attr.max_rdma_size, 1u << 30);
	assert_int_equal(longer.attr.max_sq_sge, 2);
	assert_int_equal(longer.attr.inline_buf_size, 32);
	assert_int_equal(longer.later[63], 0);
	assert_int_equal(efadv_query_device(t->a.ctx, &longer.attr, 8), EINVAL);
}

#if !HAVE_DECL_EFADV_QUERY_MR
struct efadv_mr_attr;
int efadv_query_mr(struct ibv_mr *mr, struct efadv_mr_attr *attr,
		   uint32_t inlen);
#endif

/* No number is valid, in a struct as long as the caller's. */
static void efadv_query_mr__knows_no_numbers(void **state)
{
	static const uint8_t zeroes[16];
	struct vt *t = *state;
	struct ibv_mr *mr = ibv_reg_mr(t->a.pd, t->a.buf, VT_BUF, 0);
	uint8_t bytes[17];
	struct efadv_mr_attr *attr = (void *)bytes;

	assert_non_null(mr);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(efadv_query_mr(mr, attr, 9), EINVAL);
	assert_int_equal(bytes[0], 0xff);
	assert_int_equal(efadv_query_mr(mr, attr, 10), 0);
	assert_memory_equal(bytes, zeroes, 10);
	assert_int_equal(bytes[10], 0xff);
	assert_int_equal(efadv_query_mr(mr, attr, 16), 0);
	assert_memory_equal(bytes, zeroes, 16);
	assert_int_equal(bytes[16], 0xff);
	assert_int_equal(ibv_dereg_mr(mr), 0);
}

static void refused__what_no_efa_does(void **state)
{
	struct vt *t = *state;
	struct ibv_srq_init_attr srq = { .attr = { .max_wr = 1 } };
	char byte;

	assert_null(ibv_create_srq(t->a.pd, &srq));
	assert_int_equal(errno, EOPNOTSUPP);
	assert_null(ibv_alloc_mw(t->a.pd, IBV_MW_TYPE_1));
	assert_null(ibv_reg_dmabuf_mr(t->a.pd, 0, 1, 0, 0, 0));
	assert_int_equal(errno, EOPNOTSUPP);
	assert_null(ibv_reg_mr(t->a.pd, &byte, 1, IBV_ACCESS_REMOTE_ATOMIC));
	assert_int_equal(errno, EOPNOTSUPP);
	assert_null(ibv_reg_mr(t->a.pd, &byte, 1, IBV_ACCESS_REMOTE_WRITE));
	assert_int_equal(errno, EINVAL);
	assert_null(ibv_reg_mr(t->a.pd, (void *)4096, 4096, 0));
	assert_int_equal(errno, EFAULT);
	assert_null(ibv_reg_mr(t->a.pd, &byte, 0, 0));
	assert_int_equal(errno, EINVAL);
	assert_null(
		ibv_reg_mr_iova(t->a.pd, &byte, 1, 0, IBV_ACCESS_REMOTE_READ));
	assert_int_equal(errno, EOPNOTSUPP);
}

static void ibv_create_ah__needs_a_gid(void **state)
{
	struct vt *t = *state;
	struct ibv_ah_attr attr = { .port_num = 1, .dlid = 3 };
	struct efadv_ah_attr efa[2];
	struct ibv_ah *ah[2];

	assert_null(ibv_create_ah(t->a.pd, &attr));
	assert_int_equal(errno, EINVAL);
	attr.is_global = 1;
	assert_null(ibv_create_ah(t->a.pd, &attr));
	assert_int_equal(errno, EINVAL);
	attr.grh.dgid.raw[0] = 0xfe;
	for (int i = 0; i < 2; i++) {
		ah[i] = ibv_create_ah(t->a.pd, &attr);
		assert_non_null(ah[i]);
		assert_int_equal(efadv_query_ah(ah[i], &efa[i], sizeof(efa[i])),
				 0);
	}
	assert_int_equal(efa[0].ahn, efa[1].ahn);
	assert_int_equal(ibv_dealloc_pd(t->a.pd), EBUSY);
	assert_int_equal(ibv_destroy_ah(ah[0]), 0);
	assert_int_equal(ibv_destroy_ah(ah[1]), 0);
	attr.port_num = 2;
	assert_null(ibv_create_ah(t->a.pd, &attr));
}

static void settings__bad_values_are_told(void **state)
{
	struct ibv_context *ctx;

	(void)state;
	setenv("FI_EFA_PATHS", "many", 1);
	setenv("FI_EFA_USE_CMA", "perhaps", 1);
	setenv("FI_EFA_PORT_RANGE", "5-3", 1);
	setenv("FI_EFA_LANE_SIZE", "40K", 1);
	ctx = vt_open();
	assert_int_equal(ibv_close_device(ctx), 0);
	unsetenv("FI_EFA_PATHS");
	unsetenv("FI_EFA_USE_CMA");
	unsetenv("FI_EFA_PORT_RANGE");
	unsetenv("FI_EFA_LANE_SIZE");
	assert_true(vt_logged("FI_EFA_PATHS=many"));
	assert_true(vt_logged("FI_EFA_USE_CMA=perhaps"));
	assert_true(vt_logged("FI_EFA_PORT_RANGE=5-3"));
	assert_true(vt_logged("FI_EFA_LANE_SIZE=40K"));
}

/* Every object, a thousand times. */
static void cycles__leave_nothing(void **state)
{
	struct vt *t = *state;
	int fds = count_files("/proc/self/fd");
	int files = count_files(t->dir);

	for (int i = 0; i < 1000; i++) {
		struct ibv_ah_attr ah = { .port_num = 1, .is_global = 1 };

		vt_open_end(&t->b);
		t->b.qp = vt_create_qp(&t->b, i & 1);
		assert_non_null(t->b.qp);
		ah.grh.dgid = t->b.gid;
		t->b.ah = ibv_create_ah(t->b.pd, &ah);
		vt_to_rts(t->b.qp, 7);
		vt_close_end(&t->b);
	}
	assert_int_equal(count_files("/proc/self/fd"), fds);
	assert_int_equal(count_files(t->dir), files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VT_DEVICE(ibv_get_device_list__ours_first),
		VT_DEVICE(ibv_query_device__as_efa),
		VT_DEVICE(ibv_query_port__limits_are_the_datagram),
		VT_DEVICE(ibv_query_gid__one_for_every_index),
		VT_DEVICE(efadv_query_device__caps_and_tail),
		VT_DEVICE(efadv_query_mr__knows_no_numbers),
		VT_DEVICE(refused__what_no_efa_does),
		VT_DEVICE(ibv_create_ah__needs_a_gid),
		VT_DEVICE(settings__bad_values_are_told),
		VT_DEVICE(cycles__leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
