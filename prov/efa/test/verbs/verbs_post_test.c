/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_post_test.c - sends and receives: data, refusals, statuses
 */
#include "verbs_fixture.h"

#include <errno.h>
#include <string.h>

#include "nic/nic.h"

static void fill(char *p, size_t len, int seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (char)((int)i * 7 + seed);
}

static struct ibv_wc send_to_end(struct vt *t, uint64_t id, uint32_t len)
{
	assert_int_equal(vt_send(&t->a, &t->b, id, len), 0);
	return vt_wait(&t->a);
}

/* --- data --- */

static void ibv_wr_send__sizes(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 64, 1500, 8928 };
	struct vt *t = *state;
	struct efadv_ah_attr ah;
	struct ibv_wc wc;

	assert_int_equal(efadv_query_ah(t->b.ah, &ah, sizeof(ah)), 0);
	for (int i = 0; i < 5; i++) {
		fill(t->a.buf, sizes[i], i);
		memset(t->b.buf, 0, VT_BUF);
		assert_int_equal(vt_recv(&t->b, 70, 0, sizes[i]), 0);
		wc = send_to_end(t, 5, sizes[i]);
		assert_int_equal(wc.wr_id, 5);
		assert_int_equal(wc.status, IBV_WC_SUCCESS);
		assert_int_equal(wc.opcode, IBV_WC_SEND);
		assert_int_equal(wc.qp_num, t->a.qp->qp_num);
		wc = vt_wait(&t->b);
		assert_int_equal(wc.wr_id, 70);
		assert_int_equal(wc.opcode, IBV_WC_RECV);
		assert_int_equal(wc.byte_len, sizes[i]);
		assert_int_equal(wc.src_qp, t->a.qp->qp_num);
		assert_int_equal(wc.slid, ah.ahn);
		assert_int_equal(wc.wc_flags, 0);
		assert_memory_equal(t->a.buf, t->b.buf, sizes[i]);
	}
}

static void ibv_wr_send__imm_inline_and_elements(void **state)
{
	struct vt *t = *state;
	struct ibv_data_buf piece[2] = { { (void *)(uintptr_t) "in", 2 },
					 { (void *)(uintptr_t) "line", 4 } };
	struct ibv_sge sge[2] = {
		{ (uintptr_t)t->a.buf + 100, 3, t->a.mr->lkey },
		{ (uintptr_t)t->a.buf + 200, 4, t->a.mr->lkey },
	};
	struct ibv_wc wc;

	for (int i = 0; i < 2; i++)
		assert_int_equal(vt_recv(&t->b, 0, 50u * (uint32_t)i, 50), 0);
	vt_start(&t->a, 1);
	ibv_wr_send_imm(t->a.ex, 0x11223344);
	ibv_wr_set_inline_data_list(t->a.ex, 2, piece);
	assert_int_equal(vt_complete(&t->a, &t->b), 0);
	assert_int_equal(vt_wait(&t->a).status, IBV_WC_SUCCESS);
	wc = vt_wait(&t->b);
	assert_int_equal(wc.wc_flags, IBV_WC_WITH_IMM);
	assert_int_equal(wc.imm_data, 0x11223344);
	assert_memory_equal(t->b.buf, "inline", 6);
	memcpy(t->a.buf + 100, "two", 3);
	memcpy(t->a.buf + 200, "sges", 4);
	vt_start(&t->a, 2);
	ibv_wr_send(t->a.ex);
	ibv_wr_set_sge_list(t->a.ex, 2, sge);
	assert_int_equal(vt_complete(&t->a, &t->b), 0);
	assert_int_equal(vt_wait(&t->b).byte_len, 7);
	assert_memory_equal(t->b.buf + 50, "twosges", 7);
}

static void ibv_post_send__ud_has_40_bytes(void **state)
{
	struct vt *t = *state;
	struct ibv_sge sge = { (uintptr_t)t->a.buf, 5, t->a.mr->lkey };
	struct ibv_send_wr *bad, wr = {
		.wr_id = 4,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND_WITH_IMM,
		.send_flags = IBV_SEND_SIGNALED,
		.imm_data = 9,
		.wr.ud = { .ah = t->a.ah,
			   .remote_qpn = t->b.qp->qp_num,
			   .remote_qkey = VT_QKEY },
	};
	struct ibv_wc wc;

	memcpy(t->a.buf, "hello", 5);
	assert_int_equal(vt_recv(&t->b, 7, 0, 45), 0);
	/* The wrong key is dropped, and its sender never knows. */
	wr.wr.ud.remote_qkey++;
	assert_int_equal(ibv_post_send(t->a.qp, &wr, &bad), 0);
	assert_int_equal(vt_wait(&t->a).status, IBV_WC_SUCCESS);
	wr.wr.ud.remote_qkey--;
	assert_int_equal(ibv_post_send(t->a.qp, &wr, &bad), 0);
	assert_int_equal(vt_wait(&t->a).wr_id, 4);
	wc = vt_wait(&t->b);
	assert_int_equal(wc.byte_len, 45);
	assert_int_equal(wc.imm_data, 9);
	assert_int_equal(wc.wc_flags, IBV_WC_WITH_IMM);
	assert_memory_equal(t->b.buf + 40, "hello", 5);
	assert_true(vt_is_empty(&t->b));
}

/* --- refusals of a call --- */

static int post(struct vt *t, enum ibv_wr_opcode op, unsigned int flags,
		int nsge, uint32_t len)
{
	struct ibv_sge sge[3];
	struct ibv_send_wr *bad = NULL, wr = {
		.sg_list = sge,
		.num_sge = nsge,
		.opcode = op,
		.send_flags = flags,
		.wr.ud = { .ah = t->a.ah, .remote_qpn = t->b.qp->qp_num },
	};
	int rc;

	for (int i = 0; i < 3; i++)
		sge[i] = (struct ibv_sge){ (uintptr_t)t->a.buf, len,
					   t->a.mr->lkey };
	rc = ibv_post_send(t->a.qp, &wr, &bad);
	assert_ptr_equal(bad, rc ? &wr : NULL);
	return rc;
}

static void ibv_post_send__refusals(void **state)
{
	struct vt *t = *state;

	assert_int_equal(post(t, IBV_WR_RDMA_READ, 0, 1, 8), EINVAL);
	assert_int_equal(post(t, IBV_WR_SEND, IBV_SEND_FENCE, 1, 8), EINVAL);
	assert_int_equal(post(t, IBV_WR_SEND, 0, 3, 8), EINVAL);
	assert_int_equal(post(t, IBV_WR_SEND, IBV_SEND_INLINE, 1, 33), EINVAL);
	assert_true(vt_is_empty(&t->a));
}

static void ibv_wr_complete__refusals_drop_the_session(void **state)
{
	struct vt *t = *state;
	struct ibv_sge sge[3] = { { 0 } };

	vt_start(&t->a, 1);
	ibv_wr_send(t->a.ex);
	ibv_wr_set_sge(t->a.ex, t->a.mr->lkey, (uintptr_t)t->a.buf, 8);
	ibv_wr_set_ud_addr(t->a.ex, t->a.ah, t->b.qp->qp_num, VT_QKEY);
	ibv_wr_send(t->a.ex);
	ibv_wr_set_sge_list(t->a.ex, 3, sge);
	assert_int_equal(vt_complete(&t->a, &t->b), EINVAL);
	vt_start(&t->a, 1);
	ibv_wr_rdma_read(t->a.ex, 1, 1);
	ibv_wr_set_inline_data(t->a.ex, t->a.buf, 1);
	assert_int_equal(vt_complete(&t->a, &t->b), EINVAL);
	vt_start(&t->a, 1);
	ibv_wr_rdma_read(t->a.ex, 1, 1);
	ibv_wr_set_sge_list(t->a.ex, 2, sge);
	assert_int_equal(vt_complete(&t->a, &t->b), EINVAL);
	/* Neither data nor an address. */
	vt_start(&t->a, 1);
	ibv_wr_send(t->a.ex);
	assert_int_equal(ibv_wr_complete(t->a.ex), EINVAL);
	vt_start(&t->a, 1);
	t->a.ex->wr_flags = IBV_SEND_FENCE;
	ibv_wr_send(t->a.ex);
	assert_int_equal(vt_complete(&t->a, &t->b), EINVAL);
	vt_start(&t->a, 1);
	ibv_wr_send(t->a.ex);
	ibv_wr_abort(t->a.ex);
	assert_true(vt_is_empty(&t->a));
}

/* Requests need SIGNALED where the queue pair does not say so for all. */
static void ibv_wr_complete__unsignalled_is_refused(void **state)
{
	struct vt *t = *state;
	struct ibv_qp_init_attr_ex attr = vt_qp_attr(&t->a, true);
	struct efadv_qp_init_attr efa = { 0 };

	assert_int_equal(ibv_destroy_qp(t->a.qp), 0);
	attr.sq_sig_all = 0;
	t->a.qp = efadv_create_qp_ex(t->a.ctx, &attr, &efa, sizeof(efa));
	t->a.ex = ibv_qp_to_qp_ex(t->a.qp);
	vt_to_rts(t->a.qp, 7);
	vt_start(&t->a, 1);
	t->a.ex->wr_flags = 0;
	ibv_wr_send(t->a.ex);
	ibv_wr_set_inline_data(t->a.ex, t->a.buf, 1);
	assert_int_equal(vt_complete(&t->a, &t->b), EINVAL);
	assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
	assert_int_equal(vt_send(&t->a, &t->b, 1, 1), 0);
	assert_int_equal(vt_wait(&t->a).status, IBV_WC_SUCCESS);
}

/* A slot is free when its entry has been polled, not before. */
static void queues__full(void **state)
{
	struct vt *t = *state;

	for (int i = 0; i < VT_DEPTH; i++) {
		assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
		assert_int_equal(vt_send(&t->a, &t->b, 0, 8), 0);
	}
	assert_int_equal(vt_recv(&t->b, 0, 0, 8), ENOMEM);
	assert_int_equal(vt_send(&t->a, &t->b, 0, 8), ENOMEM);
	vt_wait(&t->a);
	vt_wait(&t->b);
	assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
	assert_int_equal(vt_send(&t->a, &t->b, 0, 8), 0);
}

static void states__refuse(void **state)
{
	struct vt *t = *state;
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	assert_int_equal(ibv_modify_qp(t->a.qp, &attr, IBV_QP_STATE), 0);
	assert_int_equal(vt_recv(&t->a, 0, 0, 8), EINVAL);
	assert_int_equal(vt_send(&t->a, &t->b, 0, 8), EINVAL);
	assert_int_equal(post(t, IBV_WR_SEND, 0, 1, 8), EINVAL);
}

/* --- statuses --- */

static void status__of_bad_requests(void **state)
{
	struct vt *t = *state;
	struct ibv_wc wc;

	assert_int_equal(vt_recv(&t->b, 0, 0, 8928), 0);
	wc = send_to_end(t, 1, 8929);
	assert_int_equal(wc.status, IBV_WC_LOC_LEN_ERR);
	assert_int_equal(wc.vendor_err, NIC_TOO_LONG);
	vt_start(&t->a, 2);
	ibv_wr_send(t->a.ex);
	ibv_wr_set_sge(t->a.ex, t->b.mr->rkey + 77, (uintptr_t)t->a.buf, 8);
	assert_int_equal(vt_complete(&t->a, &t->b), 0);
	wc = vt_wait(&t->a);
	assert_int_equal(wc.wr_id, 2);
	assert_int_equal(wc.status, IBV_WC_LOC_PROT_ERR);
	assert_int_equal(wc.vendor_err, NIC_BAD_LKEY);
	vt_start(&t->a, 3);
	ibv_wr_send(t->a.ex);
	ibv_wr_set_sge(t->a.ex, t->a.mr->lkey, (uintptr_t)t->a.buf + VT_BUF - 4,
		       8);
	assert_int_equal(vt_complete(&t->a, &t->b), 0);
	assert_int_equal(vt_wait(&t->a).vendor_err, NIC_BAD_LKEY);
	/* An address handle of another domain. */
	vt_start(&t->a, 4);
	ibv_wr_send(t->a.ex);
	ibv_wr_set_inline_data(t->a.ex, t->a.buf, 1);
	ibv_wr_set_ud_addr(t->a.ex, t->b.ah, t->b.qp->qp_num, VT_QKEY);
	assert_int_equal(ibv_wr_complete(t->a.ex), 0);
	wc = vt_wait(&t->a);
	assert_int_equal(wc.status, IBV_WC_LOC_QP_OP_ERR);
	assert_int_equal(wc.vendor_err, 4);
	/* All that left the queue pair as it was. */
	assert_int_equal(send_to_end(t, 5, 8).status, IBV_WC_SUCCESS);
}

static void status__of_receives(void **state)
{
	struct vt *t = *state;
	struct ibv_sge sge = { (uintptr_t)t->b.buf, 8, 1 };
	struct ibv_recv_wr *bad,
		wr = { .wr_id = 3, .sg_list = &sge, .num_sge = 1 };
	struct ibv_wc wc;

	assert_int_equal(ibv_post_recv(t->b.qp, &wr, &bad), 0);
	wc = vt_wait(&t->b);
	assert_int_equal(wc.wr_id, 3);
	assert_int_equal(wc.vendor_err, NIC_BAD_LKEY);
	wr.num_sge = 3;
	assert_int_equal(ibv_post_recv(t->b.qp, &wr, &bad), EINVAL);
}

static void status__short_receive_and_wrong_key(void **state)
{
	struct vt *t = *state;
	struct ibv_wc wc;

	assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
	wc = send_to_end(t, 1, 9);
	assert_int_equal(wc.status, IBV_WC_REM_INV_REQ_ERR);
	assert_int_equal(wc.vendor_err, NIC_SHORT_RECV);
	vt_start(&t->a, 2);
	ibv_wr_send(t->a.ex);
	ibv_wr_set_inline_data(t->a.ex, t->a.buf, 1);
	ibv_wr_set_ud_addr(t->a.ex, t->a.ah, t->b.qp->qp_num, VT_QKEY + 1);
	assert_int_equal(ibv_wr_complete(t->a.ex), 0);
	wc = vt_wait(&t->a);
	assert_int_equal(wc.status, IBV_WC_REM_INV_RD_REQ_ERR);
	assert_int_equal(wc.vendor_err, NIC_NO_QP);
	assert_int_equal(send_to_end(t, 3, 8).status, IBV_WC_SUCCESS);
}

static void status__no_receive(void **state)
{
	struct vt *t = *state;
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };
	struct ibv_wc wc;

	assert_int_equal(ibv_modify_qp(t->a.qp, &attr, IBV_QP_STATE), 0);
	vt_to_rts(t->a.qp, 2);
	wc = send_to_end(t, 1, 8);
	assert_int_equal(wc.status, IBV_WC_RNR_RETRY_EXC_ERR);
	assert_int_equal(wc.vendor_err, NIC_RNR);
	assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
	assert_int_equal(send_to_end(t, 2, 8).status, IBV_WC_SUCCESS);
	/* For ever: until there is one. */
	assert_int_equal(ibv_modify_qp(t->a.qp, &attr, IBV_QP_STATE), 0);
	vt_to_rts(t->a.qp, 7);
	vt_wait(&t->b);
	assert_true(vt_is_empty(&t->b));
	assert_int_equal(vt_send(&t->a, &t->b, 3, 8), 0);
	for (int i = 0; i < 1000; i++)
		assert_true(vt_is_empty(&t->a));
	assert_int_equal(vt_recv(&t->b, 6, 0, 8), 0);
	assert_int_equal(vt_wait(&t->a).status, IBV_WC_SUCCESS);
	assert_int_equal(vt_wait(&t->b).wr_id, 6);
}

/* A peer that is no more, and one that gets its key late. */
static void status__peer_is_gone(void **state)
{
	struct vt *t = *state;
	struct ibv_wc wc;

	assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
	assert_int_equal(send_to_end(t, 1, 8).status, IBV_WC_SUCCESS);
	vt_wait(&t->b);
	assert_int_equal(ibv_destroy_qp(t->b.qp), 0);
	t->b.qp = vt_create_qp(&t->b, true);
	t->b.ex = ibv_qp_to_qp_ex(t->b.qp);
	vt_start(&t->a, 2);
	ibv_wr_send(t->a.ex);
	ibv_wr_set_inline_data(t->a.ex, t->a.buf, 1);
	assert_int_equal(vt_complete(&t->a, &t->b), 0);
	wc = vt_wait(&t->a);
	assert_int_equal(wc.vendor_err, NIC_NO_QP);
	/* It had no key yet; with one it is reached. */
	vt_to_rts(t->b.qp, 7);
	assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
	assert_int_equal(send_to_end(t, 3, 8).status, IBV_WC_SUCCESS);
}

static void ibv_modify_qp__error_flushes(void **state)
{
	struct vt *t = *state;
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
	struct ibv_wc wc;

	assert_int_equal(vt_send(&t->a, &t->b, 1, 8), 0);
	assert_int_equal(vt_recv(&t->a, 2, 0, 8), 0);
	assert_int_equal(vt_recv(&t->a, 3, 0, 8), 0);
	assert_int_equal(ibv_modify_qp(t->a.qp, &attr, IBV_QP_STATE), 0);
	for (uint64_t i = 1; i <= 3; i++) {
		wc = vt_wait(&t->a);
		assert_int_equal(wc.wr_id, i);
		assert_int_equal(wc.status, IBV_WC_WR_FLUSH_ERR);
		assert_int_equal(wc.vendor_err, NIC_FLUSHED);
	}
	assert_true(vt_is_empty(&t->a));
	assert_int_equal(vt_recv(&t->a, 0, 0, 8), EINVAL);
	assert_int_equal(vt_send(&t->a, &t->b, 1, 8), EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VT_EACH(ibv_wr_send__sizes),
		VT_EACH(ibv_wr_send__imm_inline_and_elements),
		VT_UD(ibv_post_send__ud_has_40_bytes),
		VT_SRD(ibv_post_send__refusals),
		VT_SRD(ibv_wr_complete__refusals_drop_the_session),
		VT_SRD(ibv_wr_complete__unsignalled_is_refused),
		VT_EACH(queues__full),
		VT_SRD(states__refuse),
		VT_EACH(status__of_bad_requests),
		VT_SRD(status__of_receives),
		VT_EACH(status__short_receive_and_wrong_key),
		VT_EACH(status__no_receive),
		VT_SRD(status__peer_is_gone),
		VT_EACH(ibv_modify_qp__error_flushes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
