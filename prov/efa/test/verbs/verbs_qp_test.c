/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_qp_test.c - queue pairs: what is refused, and the states
 */
#include "verbs_fixture.h"

#include <errno.h>
#include <string.h>

/* The errno that creation ends with; 0: it worked. */
static int srd_error(struct vt_end *e, const struct ibv_qp_init_attr_ex *from,
		     const void *efa, uint32_t size)
{
	struct ibv_qp_init_attr_ex attr = *from;
	struct efadv_qp_init_attr none = { 0 };
	struct ibv_qp *qp = efadv_create_qp_ex(
		e->ctx, &attr,
		efa ? (struct efadv_qp_init_attr *)(uintptr_t)efa : &none,
		efa ? size : sizeof(none));

	if (!qp)
		return errno;
	assert_int_equal(ibv_destroy_qp(qp), 0);
	return 0;
}

static void efadv_create_qp_ex__capacities(void **state)
{
	struct vt *t = *state;
	const struct ibv_qp_init_attr_ex good = vt_qp_attr(&t->a, true);
	struct ibv_qp_init_attr_ex a = good;

	assert_int_equal(srd_error(&t->a, &a, NULL, 0), 0);
	a.cap.max_send_wr = 4097;
	assert_int_equal(srd_error(&t->a, &a, NULL, 0), EINVAL);
	a = good;
	a.cap.max_recv_wr = 8193;
	assert_int_equal(srd_error(&t->a, &a, NULL, 0), EINVAL);
	a = good;
	a.cap.max_send_sge = 3;
	assert_int_equal(srd_error(&t->a, &a, NULL, 0), EINVAL);
	a = good;
	a.cap.max_recv_sge = 3;
	assert_int_equal(srd_error(&t->a, &a, NULL, 0), EINVAL);
	a = good;
	a.cap.max_inline_data = 33;
	assert_int_equal(srd_error(&t->a, &a, NULL, 0), EINVAL);
}

static void efadv_create_qp_ex__attributes(void **state)
{
	struct vt *t = *state;
	const struct ibv_qp_init_attr_ex good = vt_qp_attr(&t->a, true);
	struct ibv_qp_init_attr_ex a = good;

	a.comp_mask |= IBV_QP_INIT_ATTR_CREATE_FLAGS;
	assert_int_equal(srd_error(&t->a, &a, NULL, 0), EOPNOTSUPP);
	a = good;
	a.comp_mask &= ~(uint32_t)IBV_QP_INIT_ATTR_PD;
	assert_int_equal(srd_error(&t->a, &a, NULL, 0), EINVAL);
	a = good;
	a.send_ops_flags |= IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP;
	assert_int_equal(srd_error(&t->a, &a, NULL, 0), EOPNOTSUPP);
	a = good;
	a.recv_cq = NULL;
	assert_int_equal(srd_error(&t->a, &a, NULL, 0), EINVAL);
	a = good;
	a.qp_type = IBV_QPT_RC;
	assert_int_equal(srd_error(&t->a, &a, NULL, 0), EINVAL);
	assert_null(ibv_create_qp_ex(t->a.ctx, &a));
	assert_int_equal(errno, EOPNOTSUPP);
	a = vt_qp_attr(&t->a, false);
	a.send_ops_flags |= IBV_QP_EX_WITH_RDMA_READ;
	assert_null(ibv_create_qp_ex(t->a.ctx, &a));
	assert_int_equal(errno, EOPNOTSUPP);
}

/* Structures of later versions of libefa. */
static void efadv_create_qp_ex__later_fields(void **state)
{
	struct vt *t = *state;
	const struct ibv_qp_init_attr_ex attr = vt_qp_attr(&t->a, true);
	struct {
		uint64_t comp_mask;
		uint32_t driver_qp_type;
		uint16_t flags;
		uint8_t sl;
		uint8_t reserved;
		uint8_t tail[16];
	} efa = { 0 };

	assert_int_equal(srd_error(&t->a, &attr, &efa, sizeof(efa)), 0);
	efa.sl = 8;
	assert_int_equal(srd_error(&t->a, &attr, &efa, sizeof(efa)), 0);
	efa.sl = 3;
	assert_int_equal(srd_error(&t->a, &attr, &efa, sizeof(efa)), EINVAL);
	efa.sl = 0;
	efa.flags = 1;
	assert_int_equal(srd_error(&t->a, &attr, &efa, sizeof(efa)),
			 EOPNOTSUPP);
	efa.flags = 0;
	efa.tail[15] = 1;
	assert_int_equal(srd_error(&t->a, &attr, &efa, sizeof(efa)), EINVAL);
	assert_int_equal(srd_error(&t->a, &attr, &efa, 4), EINVAL);
	efa.tail[15] = 0;
	efa.driver_qp_type = 1;
	assert_int_equal(srd_error(&t->a, &attr, &efa, sizeof(efa)), EINVAL);
}

/* The older way: no extended handle, sends alone. */
static void efadv_create_driver_qp__plain(void **state)
{
	struct vt *t = *state;
	struct ibv_qp_init_attr attr = {
		.send_cq = ibv_cq_ex_to_cq(t->a.cq),
		.recv_cq = ibv_cq_ex_to_cq(t->a.cq),
		.cap = { .max_send_wr = 5, .max_recv_wr = 3 },
		.qp_type = IBV_QPT_DRIVER,
	};
	struct ibv_qp *qp = efadv_create_driver_qp(t->a.pd, &attr, 0);

	assert_non_null(qp);
	assert_null(ibv_qp_to_qp_ex(qp));
	assert_int_equal(attr.cap.max_send_wr, 8);
	assert_int_equal(attr.cap.max_recv_wr, 4);
	assert_int_equal(ibv_destroy_cq(ibv_cq_ex_to_cq(t->a.cq)), EBUSY);
	assert_int_equal(ibv_destroy_qp(qp), 0);
	attr.qp_type = IBV_QPT_RC;
	assert_null(ibv_create_qp(t->a.pd, &attr));
	assert_int_equal(errno, EOPNOTSUPP);
}

static int to(struct ibv_qp *qp, enum ibv_qp_state state, int mask)
{
	struct ibv_qp_attr attr = { .qp_state = state, .port_num = 1 };

	return ibv_modify_qp(qp, &attr, IBV_QP_STATE | mask);
}

#define INIT (IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY)

static void ibv_modify_qp__steps(void **state)
{
	struct vt *t = *state;
	struct ibv_qp *qp = t->a.qp = vt_create_qp(&t->a, true);
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT, .port_num = 2 };

	assert_int_equal(to(qp, IBV_QPS_RTR, 0), EINVAL);
	assert_int_equal(to(qp, IBV_QPS_INIT, 0), EINVAL);
	assert_int_equal(to(qp, IBV_QPS_INIT, INIT | IBV_QP_ACCESS_FLAGS),
			 EOPNOTSUPP);
	assert_int_equal(ibv_modify_qp(qp, &attr, IBV_QP_STATE | INIT), EINVAL);
	attr.port_num = 1;
	attr.pkey_index = 1;
	assert_int_equal(ibv_modify_qp(qp, &attr, IBV_QP_STATE | INIT), EINVAL);
	assert_int_equal(to(qp, IBV_QPS_INIT, INIT), 0);
	assert_int_equal(to(qp, IBV_QPS_RTS, IBV_QP_SQ_PSN), EINVAL);
	assert_int_equal(to(qp, IBV_QPS_RTR, IBV_QP_RNR_RETRY), EINVAL);
	assert_int_equal(to(qp, IBV_QPS_RTR, 0), 0);
	assert_int_equal(to(qp, IBV_QPS_RTS, 0), EINVAL);
	attr.qp_state = IBV_QPS_RTS;
	attr.rnr_retry = 8;
	assert_int_equal(ibv_modify_qp(qp, &attr,
				       IBV_QP_STATE | IBV_QP_SQ_PSN |
					       IBV_QP_RNR_RETRY),
			 EINVAL);
	assert_int_equal(to(qp, IBV_QPS_RTS, IBV_QP_SQ_PSN | IBV_QP_RNR_RETRY),
			 0);
	assert_int_equal(to(qp, IBV_QPS_SQD, 0), 0);
	assert_int_equal(to(qp, IBV_QPS_RTS, 0), 0);
	assert_int_equal(to(qp, IBV_QPS_ERR, 0), 0);
	assert_int_equal(to(qp, IBV_QPS_RTS, 0), EINVAL);
	assert_int_equal(to(qp, IBV_QPS_RESET, 0), 0);
	assert_int_equal(to(qp, IBV_QPS_INIT, INIT), 0);
}

static void ibv_modify_qp__no_rnr_on_ud(void **state)
{
	struct vt *t = *state;
	struct ibv_qp *qp = t->a.qp = vt_create_qp(&t->a, false);

	assert_int_equal(to(qp, IBV_QPS_INIT, INIT), 0);
	assert_int_equal(to(qp, IBV_QPS_RTR, 0), 0);
	assert_int_equal(to(qp, IBV_QPS_RTS, IBV_QP_SQ_PSN | IBV_QP_RNR_RETRY),
			 EOPNOTSUPP);
	assert_int_equal(to(qp, IBV_QPS_RTS, IBV_QP_SQ_PSN), 0);
}

static void ibv_query_qp__says_what_was_set(void **state)
{
	struct vt *t = *state;
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	t->a.qp = vt_create_qp(&t->a, true);
	vt_to_rts(t->a.qp, 3);
	assert_int_equal(ibv_query_qp(t->a.qp, &attr, IBV_QP_STATE, &init), 0);
	assert_int_equal(attr.qp_state, IBV_QPS_RTS);
	assert_int_equal(attr.qkey, VT_QKEY);
	assert_int_equal(attr.rnr_retry, 3);
	assert_int_equal(attr.cap.max_send_wr, VT_DEPTH);
	assert_ptr_equal(init.send_cq, ibv_cq_ex_to_cq(t->a.cq));
	assert_int_equal(init.sq_sig_all, 1);
	assert_int_equal(ibv_query_qp(t->a.qp, &attr, IBV_QP_AV, &init),
			 EOPNOTSUPP);
	assert_int_equal(
		ibv_query_qp_data_in_order(t->a.qp, IBV_WR_RDMA_WRITE, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VT_END(efadv_create_qp_ex__capacities),
		VT_END(efadv_create_qp_ex__attributes),
		VT_END(efadv_create_qp_ex__later_fields),
		VT_END(efadv_create_driver_qp__plain),
		VT_END(ibv_modify_qp__steps),
		VT_END(ibv_modify_qp__no_rnr_on_ud),
		VT_END(ibv_query_qp__says_what_was_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
