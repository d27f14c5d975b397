/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_cq_test.c - completion queues, channels, RDMA
 */
#include "verbs_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nic/nic.h"

/* --- creation --- */

static void ibv_create_cq_ex__refusals(void **state)
{
	struct vt *t = *state;
	struct ibv_cq_init_attr_ex attr = { .cqe = 5 };
	struct efadv_cq_init_attr efa = { .wc_flags = 2 };
	struct ibv_cq_ex *cq = ibv_create_cq_ex(t->a.ctx, &attr);

	assert_int_equal(cq->cqe, 8);
	assert_null(cq->read_byte_len);
	assert_int_equal(ibv_destroy_cq(ibv_cq_ex_to_cq(cq)), 0);
	attr.wc_flags = IBV_WC_EX_WITH_COMPLETION_TIMESTAMP;
	assert_null(ibv_create_cq_ex(t->a.ctx, &attr));
	assert_int_equal(errno, EOPNOTSUPP);
	attr.wc_flags = 0;
	assert_null(efadv_create_cq(t->a.ctx, &attr, &efa, sizeof(efa)));
	assert_int_equal(errno, EOPNOTSUPP);
	efa = (struct efadv_cq_init_attr){ .comp_mask = 1 };
	assert_null(efadv_create_cq(t->a.ctx, &attr, &efa, sizeof(efa)));
	attr.cqe = 1u << 20;
	assert_null(ibv_create_cq_ex(t->a.ctx, &attr));
	assert_int_equal(errno, EINVAL);
	attr.cqe = 1;
	attr.comp_vector = 1;
	assert_null(ibv_create_cq_ex(t->a.ctx, &attr));
	assert_int_equal(errno, EINVAL);
}

/* --- entry by entry --- */

static void ibv_start_poll__reads_entries(void **state)
{
	struct vt *t = *state;
	struct ibv_poll_cq_attr none = { 0 };
	struct ibv_cq_ex *cq = t->b.cq;

	assert_int_equal(ibv_start_poll(cq, &none), ENOENT);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(vt_recv(&t->b, i, 0, 100), 0);
		assert_int_equal(vt_send(&t->a, &t->b, 0, 10 + (uint32_t)i), 0);
		assert_int_equal(vt_wait(&t->a).status, IBV_WC_SUCCESS);
	}
	while (ibv_start_poll(cq, &none))
		;
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(cq->wr_id, i);
		assert_int_equal(cq->status, IBV_WC_SUCCESS);
		assert_int_equal(ibv_wc_read_opcode(cq), IBV_WC_RECV);
		assert_int_equal(ibv_wc_read_byte_len(cq), 10 + i);
		assert_int_equal(ibv_wc_read_vendor_err(cq), 0);
		assert_int_equal(ibv_wc_read_wc_flags(cq), 0);
		assert_int_equal(ibv_wc_read_qp_num(cq), t->b.qp->qp_num);
		assert_int_equal(ibv_wc_read_src_qp(cq), t->a.qp->qp_num);
		assert_int_equal(ibv_wc_read_sl(cq), 0);
		assert_int_equal(ibv_wc_read_dlid_path_bits(cq), 0);
		if (i < 2)
			while (ibv_next_poll(cq))
				;
	}
	assert_int_equal(ibv_next_poll(cq), ENOENT);
	ibv_end_poll(cq);
	assert_int_equal(ibv_start_poll(cq, &none), ENOENT);
}

/* The gid of a stranger, else the number of its address handle. */
static void efadv_wc_read_sgid__of_strangers(void **state)
{
	struct vt *t = *state;
	struct efadv_cq *cq = efadv_cq_from_ibv_cq_ex(t->b.cq);
	struct ibv_poll_cq_attr none = { 0 };
	struct efadv_ah_attr ah;
	union ibv_gid gid;

	assert_int_equal(efadv_query_ah(t->b.ah, &ah, sizeof(ah)), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
		assert_int_equal(vt_send(&t->a, &t->b, 0, 8), 0);
		while (ibv_start_poll(t->b.cq, &none))
			;
		if (!i) {
			assert_int_equal(ibv_wc_read_slid(t->b.cq), ah.ahn);
			assert_true(efadv_wc_read_sgid(cq, &gid) < 0);
		} else {
			assert_int_equal(ibv_wc_read_slid(t->b.cq), 0xffff);
			assert_int_equal(efadv_wc_read_sgid(cq, &gid), 0);
			assert_memory_equal(&gid, &t->a.gid, sizeof(gid));
		}
		ibv_end_poll(t->b.cq);
		if (!i) {
			assert_int_equal(ibv_destroy_ah(t->b.ah), 0);
			t->b.ah = NULL;
		}
	}
}

static void cq__overrun_loses_entries(void **state)
{
	struct vt *t = *state;
	struct ibv_qp_init_attr_ex attr = vt_qp_attr(&t->a, false);
	struct ibv_cq *cq = ibv_create_cq(t->a.ctx, 2, NULL, NULL, 0);
	struct ibv_qp *qp;
	struct ibv_wc wc[8];

	attr.send_cq = attr.recv_cq = cq;
	qp = ibv_create_qp_ex(t->a.ctx, &attr);
	vt_to_rts(qp, 7);
	for (int i = 0; i < 4; i++) {
		struct ibv_qp_ex *ex = ibv_qp_to_qp_ex(qp);

		ibv_wr_start(ex);
		ibv_wr_send(ex);
		ibv_wr_set_inline_data(ex, t->a.buf, 1);
		ibv_wr_set_ud_addr(ex, t->a.ah, t->b.qp->qp_num, VT_QKEY);
		assert_int_equal(ibv_wr_complete(ex), 0);
	}
	assert_int_equal(ibv_poll_cq(cq, 8, wc), 2);
	assert_true(vt_logged("completion queue of 2 entries is full"));
	assert_int_equal(ibv_destroy_qp(qp), 0);
	assert_int_equal(ibv_destroy_cq(cq), 0);
}

/* Entries of a queue pair that was destroyed do not come up. */
static void ibv_destroy_qp__takes_its_entries_along(void **state)
{
	struct vt *t = *state;

	assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
	assert_int_equal(vt_send(&t->a, &t->b, 0, 8), 0);
	assert_int_equal(ibv_destroy_qp(t->a.qp), 0);
	t->a.qp = NULL;
	assert_true(vt_is_empty(&t->a));
}

/* --- channels --- */

static void *send_later(void *arg)
{
	struct vt *t = arg;

	usleep(20000);
	if (vt_send(&t->a, &t->b, 0, 8))
		abort();
	return NULL;
}

static void ibv_get_cq_event__wakes(void **state)
{
	struct vt *t = *state;
	struct ibv_cq *cq = ibv_cq_ex_to_cq(t->b.cq);
	struct ibv_cq *got;
	pthread_t thread;
	void *context;

	assert_int_equal(ibv_req_notify_cq(cq, 1), EOPNOTSUPP);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(ibv_req_notify_cq(cq, 0), 0);
		/* Receives that come later must wake too, and polls not spoil
		 * it. */
		assert_true(vt_is_empty(&t->b));
		assert_int_equal(vt_recv(&t->b, 0, 0, 100), 0);
		assert_true(vt_is_empty(&t->b));
		pthread_create(&thread, NULL, send_later, t);
		assert_int_equal(ibv_get_cq_event(t->b.channel, &got, &context),
				 0);
		assert_ptr_equal(got, cq);
		ibv_ack_cq_events(cq, 1);
		pthread_join(thread, NULL);
		assert_int_equal(vt_wait(&t->b).status, IBV_WC_SUCCESS);
		assert_int_equal(vt_wait(&t->a).status, IBV_WC_SUCCESS);
	}
}

static void ibv_get_cq_event__not_blocking(void **state)
{
	struct vt *t = *state;
	struct ibv_cq *cq = ibv_cq_ex_to_cq(t->b.cq);
	struct pollfd fd = { .fd = t->b.channel->fd, .events = POLLIN };
	struct ibv_cq *got;
	void *context;

	assert_int_equal(
		fcntl(fd.fd, F_SETFL, fcntl(fd.fd, F_GETFL) | O_NONBLOCK), 0);
	assert_int_equal(ibv_get_cq_event(t->b.channel, &got, &context), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
	assert_int_equal(ibv_req_notify_cq(cq, 0), 0);
	assert_int_equal(vt_send(&t->a, &t->b, 0, 8), 0);
	do
		assert_int_equal(poll(&fd, 1, 20000), 1);
	while (ibv_get_cq_event(t->b.channel, &got, &context));
	ibv_ack_cq_events(got, 1);
	assert_int_equal(vt_wait(&t->b).status, IBV_WC_SUCCESS);
	/* An entry that was there before is an event at once. */
	assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
	assert_int_equal(vt_send(&t->a, &t->b, 0, 8), 0);
	usleep(50000); /* the thread takes it */
	assert_int_equal(ibv_req_notify_cq(cq, 0), 0);
	do
		assert_int_equal(poll(&fd, 1, 20000), 1);
	while (ibv_get_cq_event(t->b.channel, &got, &context));
	ibv_ack_cq_events(got, 1);
}

/* An event that is owed comes, once, though its entry has been polled. */
static void ibv_get_cq_event__also_for_what_was_polled(void **state)
{
	struct vt *t = *state;
	struct ibv_cq *cq = ibv_cq_ex_to_cq(t->b.cq);
	struct ibv_cq *got;
	void *context;

	for (uint64_t i = 0; i < 2; i++) {
		assert_int_equal(vt_recv(&t->b, i, 0, 100), 0);
		assert_int_equal(ibv_req_notify_cq(cq, 0), 0);
		assert_int_equal(vt_send(&t->a, &t->b, 0, 8), 0);
		assert_int_equal(vt_wait(&t->b).wr_id, i);
		assert_int_equal(ibv_get_cq_event(t->b.channel, &got, &context),
				 0);
		assert_ptr_equal(got, cq);
		ibv_ack_cq_events(got, 1);
	}
	assert_int_equal(fcntl(t->b.channel->fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(vt_recv(&t->b, 2, 0, 100), 0);
	assert_int_equal(vt_send(&t->a, &t->b, 0, 8), 0);
	assert_int_equal(vt_wait(&t->b).wr_id, 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ibv_get_cq_event(t->b.channel, &got, &context),
				 -1);
}

/* A send whose peer has no receive yet: the sleeper tries again. */
static void ibv_get_cq_event__of_a_send_that_waits(void **state)
{
	struct vt *t = *state;
	struct ibv_cq *cq = ibv_cq_ex_to_cq(t->a.cq);
	struct ibv_cq *got;
	void *context;

	assert_int_equal(vt_send(&t->a, &t->b, 3, 8), 0);
	assert_int_equal(ibv_req_notify_cq(cq, 0), 0);
	assert_true(vt_is_empty(&t->a));
	assert_int_equal(vt_recv(&t->b, 0, 0, 8), 0);
	assert_int_equal(ibv_get_cq_event(t->a.channel, &got, &context), 0);
	ibv_ack_cq_events(cq, 1);
	assert_int_equal(vt_wait(&t->a).wr_id, 3);
}

static void ibv_get_async_event__nothing(void **state)
{
	struct vt *t = *state;
	struct ibv_async_event event;

	assert_int_equal(fcntl(t->a.ctx->async_fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(ibv_get_async_event(t->a.ctx, &event), -1);
	assert_int_equal(errno, EAGAIN);
}

/* --- a peer that does not poll --- */

static void pump__receives_for_who_does_not_poll(void **state)
{
	struct vt *t = *state;

	for (uint64_t i = 0; i < VT_DEPTH; i++)
		assert_int_equal(vt_recv(&t->b, i, 0, 8928), 0);
	/* More than fits a ring: somebody has to make room. */
	for (int i = 0; i < VT_DEPTH; i++) {
		assert_int_equal(vt_send(&t->a, &t->b, 0, 8928), 0);
		assert_int_equal(vt_wait(&t->a).status, IBV_WC_SUCCESS);
	}
	for (uint64_t i = 0; i < VT_DEPTH; i++)
		assert_int_equal(vt_wait(&t->b).wr_id, i);
}

/* Who asks for an event and then computes is as absent as who does not poll. */
static void pump__drives_who_is_armed_and_computes(void **state)
{
	struct vt *t = *state;

	for (uint64_t i = 0; i < VT_DEPTH; i++)
		assert_int_equal(vt_recv(&t->b, i, 0, 8928), 0);
	assert_int_equal(ibv_req_notify_cq(ibv_cq_ex_to_cq(t->b.cq), 0), 0);
	for (int i = 0; i < VT_DEPTH; i++) {
		assert_int_equal(vt_send(&t->a, &t->b, 0, 8928), 0);
		assert_int_equal(vt_wait(&t->a).status, IBV_WC_SUCCESS);
	}
}

static void pump__sends_for_who_is_armed(void **state)
{
	struct vt *t = *state;

	assert_int_equal(vt_send(&t->a, &t->b, 3, 8), 0);
	assert_int_equal(ibv_req_notify_cq(ibv_cq_ex_to_cq(t->a.cq), 0), 0);
	assert_int_equal(vt_recv(&t->b, 7, 0, 8), 0);
	assert_int_equal(vt_wait(&t->b).wr_id, 7);
}

/* --- RDMA --- */

static struct ibv_wc rdma(struct vt *t, uint32_t rkey, uint64_t remote,
			  uint32_t lkey, uint32_t len, char op)
{
	vt_start(&t->a, (uint64_t)op);
	if (op == 'r')
		ibv_wr_rdma_read(t->a.ex, rkey, remote);
	else if (op == 'w')
		ibv_wr_rdma_write(t->a.ex, rkey, remote);
	else
		ibv_wr_rdma_write_imm(t->a.ex, rkey, remote, 0x99);
	ibv_wr_set_sge(t->a.ex, lkey, (uintptr_t)t->a.buf, len);
	assert_int_equal(vt_complete(&t->a, &t->b), 0);
	return vt_wait(&t->a);
}

static void ibv_wr_rdma__moves_bytes(void **state)
{
	struct vt *t = *state;
	uint64_t remote = (uintptr_t)t->b.buf;
	struct ibv_wc wc;

	memset(t->b.buf, 'b', VT_BUF);
	wc = rdma(t, t->b.mr->rkey, remote, t->a.mr->lkey, VT_BUF, 'r');
	assert_int_equal(wc.status, IBV_WC_SUCCESS);
	assert_int_equal(wc.opcode, IBV_WC_SEND);
	assert_memory_equal(t->a.buf, t->b.buf, VT_BUF);
	memset(t->a.buf, 'a', VT_BUF);
	wc = rdma(t, t->b.mr->rkey, remote, t->a.mr->lkey, VT_BUF, 'w');
	assert_int_equal(wc.status, IBV_WC_SUCCESS);
	assert_int_equal(wc.opcode, IBV_WC_RDMA_WRITE);
	assert_memory_equal(t->a.buf, t->b.buf, VT_BUF);
	assert_int_equal(vt_recv(&t->b, 8, 0, 0), 0);
	t->a.buf[5] = 'x';
	wc = rdma(t, t->b.mr->rkey, remote, t->a.mr->lkey, 6, 'i');
	assert_int_equal(wc.status, IBV_WC_SUCCESS);
	wc = vt_wait(&t->b);
	assert_int_equal(wc.wr_id, 8);
	assert_int_equal(wc.opcode, IBV_WC_RECV_RDMA_WITH_IMM);
	assert_int_equal(wc.wc_flags, IBV_WC_WITH_IMM);
	assert_int_equal(wc.imm_data, 0x99);
	assert_int_equal(wc.byte_len, 6);
	assert_int_equal(t->b.buf[5], 'x');
	wc = rdma(t, 0, 0, 0, 0, 'w');
	assert_int_equal(wc.status, IBV_WC_SUCCESS);
}

static void ibv_wr_rdma__keys_are_checked(void **state)
{
	struct vt *t = *state;
	uint64_t remote = (uintptr_t)t->b.buf;
	struct ibv_mr *mr =
		ibv_reg_mr(t->b.pd, t->b.buf, 100, IBV_ACCESS_REMOTE_READ);
	struct ibv_mr *local = ibv_reg_mr(t->a.pd, t->a.buf, 100, 0);
	struct ibv_wc wc;

	wc = rdma(t, mr->rkey, remote, t->a.mr->lkey, 101, 'r');
	assert_int_equal(wc.status, IBV_WC_REM_ACCESS_ERR);
	assert_int_equal(wc.vendor_err, NIC_BAD_RKEY);
	wc = rdma(t, mr->rkey, remote, t->a.mr->lkey, 100, 'w');
	assert_int_equal(wc.vendor_err, NIC_BAD_RKEY);
	wc = rdma(t, mr->lkey, remote, t->a.mr->lkey, 100, 'r');
	assert_int_equal(wc.vendor_err, NIC_BAD_RKEY);
	/* What a read lands in must be writable. */
	wc = rdma(t, mr->rkey, remote, local->lkey, 100, 'r');
	assert_int_equal(wc.vendor_err, NIC_BAD_LKEY);
	wc = rdma(t, t->b.mr->rkey, remote, local->lkey, 100, 'w');
	assert_int_equal(wc.status, IBV_WC_SUCCESS);
	assert_int_equal(ibv_dereg_mr(mr), 0);
	wc = rdma(t, t->b.mr->rkey + (1u << 16), remote, t->a.mr->lkey, 1, 'r');
	assert_int_equal(wc.vendor_err, NIC_BAD_RKEY);
	assert_int_equal(ibv_dereg_mr(local), 0);
	vt_start(&t->a, 1);
	ibv_wr_send(t->a.ex);
	ibv_wr_set_sge(t->a.ex, t->a.mr->lkey, (uintptr_t)t->a.buf, 1);
	assert_int_equal(vt_complete(&t->a, &t->b), 0);
}

/* The memory of a region is the program's alone once that is closed. */
static void ibv_dereg_mr__ends_reads_into_it(void **state)
{
	static char memory[2][4 << 20];
	struct vt *t = *state;
	struct ibv_mr *from = ibv_reg_mr(t->b.pd, memory[0], sizeof(memory[0]),
					 IBV_ACCESS_REMOTE_READ);
	struct ibv_mr *to = ibv_reg_mr(t->a.pd, memory[1], sizeof(memory[1]),
				       IBV_ACCESS_LOCAL_WRITE);
	struct ibv_wc wc;

	memset(memory[0], 1, sizeof(memory[0]));
	vt_start(&t->a, 9);
	ibv_wr_rdma_read(t->a.ex, from->rkey, (uintptr_t)memory[0]);
	ibv_wr_set_sge(t->a.ex, to->lkey, (uintptr_t)memory[1],
		       sizeof(memory[1]));
	assert_int_equal(vt_complete(&t->a, &t->b), 0);
	assert_int_equal(ibv_dereg_mr(to), 0);
	memset(memory[1], 2, sizeof(memory[1]));
	wc = vt_wait(&t->a);
	assert_int_equal(wc.wr_id, 9);
	for (int i = 0; i < 1000; i++) {
		assert_true(vt_is_empty(&t->a));
		assert_true(vt_is_empty(&t->b));
	}
	for (size_t i = 0; i < sizeof(memory[1]); i += 64)
		assert_int_equal(memory[1][i], 2);
	assert_int_equal(ibv_dereg_mr(from), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VT_DEVICE(ibv_create_cq_ex__refusals),
		VT_EACH(ibv_start_poll__reads_entries),
		VT_EACH(efadv_wc_read_sgid__of_strangers),
		VT_SRD(cq__overrun_loses_entries),
		VT_EACH(ibv_destroy_qp__takes_its_entries_along),
		VT_EACH(ibv_get_cq_event__wakes),
		VT_UD(ibv_get_cq_event__wakes),
		VT_EACH(ibv_get_cq_event__not_blocking),
		VT_EACH(ibv_get_cq_event__also_for_what_was_polled),
		VT_UD(ibv_get_cq_event__also_for_what_was_polled),
		VT_EACH(ibv_get_cq_event__of_a_send_that_waits),
		VT_DEVICE(ibv_get_async_event__nothing),
		VT_EACH(pump__receives_for_who_does_not_poll),
		VT_EACH(pump__drives_who_is_armed_and_computes),
		VT_EACH(pump__sends_for_who_is_armed),
		VT_EACH(ibv_wr_rdma__moves_bytes),
		VT_EACH(ibv_wr_rdma__keys_are_checked),
		VT_EACH(ibv_dereg_mr__ends_reads_into_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
