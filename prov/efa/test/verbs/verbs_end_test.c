/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_end_test.c - what ends while somebody still uses it
 */
#include "verbs_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nic/nic.h"
#include "test/nic/nic_stopped.h"
#include "verbs/verbs_priv.h"

#define ROUNDS 100
#define MAGIC 0x7e57

/* --- queue pairs --- */

/* A receive that has an entry at once, as no key is 1. */
static void recv_bad_key(struct vt_end *e, uint64_t id)
{
	struct ibv_sge sge = { (uintptr_t)e->buf, 8, 1 };
	struct ibv_recv_wr *bad,
		wr = { .wr_id = id, .sg_list = &sge, .num_sge = 1 };

	assert_int_equal(ibv_post_recv(e->qp, &wr, &bad), 0);
}

struct poller {
	struct ibv_cq *cq;
	_Atomic bool stop;
	int entries; /* until it is joined, as wrong */
	int wrong;
};

static void *poll_until_stop(void *arg)
{
	struct poller *p = arg;
	struct ibv_wc wc[4];
	int n;

	while (!p->stop) {
		n = ibv_poll_cq(p->cq, 4, wc);
		for (int i = 0; i < n; i++)
			p->wrong += wc[i].wr_id != MAGIC ||
				    wc[i].status != IBV_WC_LOC_PROT_ERR;
		p->entries += n;
	}
	return NULL;
}

/* All that a queue pair has can be used, and none of those before it is left. */
static void expect_all(struct vt_end *e)
{
	for (uint64_t i = 0; i < VT_DEPTH; i++)
		recv_bad_key(e, i);
	for (uint64_t i = 0; i < VT_DEPTH; i++)
		assert_int_equal(vt_wait(e).wr_id, i);
	assert_true(vt_is_empty(e));
}

/*
 * The poller has entries of what is freed, which is for a sanitizer to see;
 * what anybody sees is that none of them is lost, garbled, or left.
 */
static void ibv_destroy_qp__while_another_thread_polls(void **state)
{
	struct vt *t = *state;
	struct poller p = { .cq = ibv_cq_ex_to_cq(t->a.cq) };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, poll_until_stop, &p), 0);
	for (int i = 0; i < ROUNDS; i++) {
		t->a.qp = vt_create_qp(&t->a, false);
		assert_non_null(t->a.qp);
		vt_to_rts(t->a.qp, 7);
		for (int k = 0; k < VT_DEPTH; k++)
			recv_bad_key(&t->a, MAGIC);
		assert_int_equal(ibv_destroy_qp(t->a.qp), 0);
		t->a.qp = NULL;
	}
	p.stop = true;
	pthread_join(thread, NULL);
	assert_in_range(p.entries, 0, ROUNDS * VT_DEPTH);
	assert_int_equal(p.wrong, 0);
	t->a.qp = vt_create_qp(&t->a, false);
	vt_to_rts(t->a.qp, 7);
	expect_all(&t->a);
}

struct destroyer {
	struct ibv_qp *qp;
	_Atomic bool begun, done;
};

static void *destroy_qp(void *arg)
{
	struct destroyer *d = arg;

	d->begun = true;
	if (!ibv_destroy_qp(d->qp))
		d->done = true;
	return NULL;
}

static void ibv_destroy_qp__waits_for_who_reads_an_entry(void **state)
{
	struct vt *t = *state;
	struct ibv_poll_cq_attr none = { 0 };
	struct destroyer d = { 0 };
	pthread_t thread;

	d.qp = t->a.qp = vt_create_qp(&t->a, true);
	vt_to_rts(t->a.qp, 7);
	recv_bad_key(&t->a, 3);
	recv_bad_key(&t->a, 4);
	t->a.qp = NULL;
	assert_int_equal(ibv_start_poll(t->a.cq, &none), 0);
	assert_int_equal(pthread_create(&thread, NULL, destroy_qp, &d), 0);
	for (int i = 0; i < 10000 && !d.begun; i++)
		usleep(1000);
	assert_true(d.begun);
	usleep(20000);
	assert_false(d.done);
	assert_int_equal(t->a.cq->wr_id, 3);
	ibv_end_poll(t->a.cq);
	pthread_join(thread, NULL);
	assert_true(d.done);
	assert_int_equal(ibv_start_poll(t->a.cq, &none), ENOENT);
}

/* --- regions --- */

/* Whoever touches the memory of a region that is no more ends there. */
static void ibv_dereg_mr__ends_receives_into_it(void **state)
{
	struct vt *t = *state;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, page, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ibv_mr *mr =
		ibv_reg_mr(t->b.pd, memory, page, IBV_ACCESS_LOCAL_WRITE);
	struct ibv_sge sge[2] = {
		{ (uintptr_t)t->b.buf, 50, t->b.mr->lkey },
		{ (uintptr_t)memory, 100, mr->lkey },
	};
	struct ibv_recv_wr *bad, wr = { .sg_list = sge, .num_sge = 2 };
	struct ibv_wc wc;

	assert_int_equal(vt_recv(&t->b, 0, 0, 100), 0);
	wr.wr_id = 1;
	assert_int_equal(ibv_post_recv(t->b.qp, &wr, &bad), 0);
	assert_int_equal(vt_recv(&t->b, 2, 0, 100), 0);
	wr = (struct ibv_recv_wr){ .wr_id = 3,
				   .sg_list = sge + 1,
				   .num_sge = 1 };
	assert_int_equal(ibv_post_recv(t->b.qp, &wr, &bad), 0);
	assert_int_equal(ibv_dereg_mr(mr), 0);
	assert_int_equal(munmap(memory, page), 0);
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(vt_send(&t->a, &t->b, i, 60), 0);
		assert_int_equal(vt_wait(&t->a).status, IBV_WC_SUCCESS);
		wc = vt_wait(&t->b);
		assert_int_equal(wc.wr_id, i);
		assert_int_equal(wc.status,
				 i & 1 ? IBV_WC_LOC_PROT_ERR : IBV_WC_SUCCESS);
		assert_int_equal(wc.vendor_err, i & 1 ? NIC_BAD_LKEY : NIC_OK);
	}
}

/* A peer that was stopped in the middle of a copy keeps the region. */
static void ibv_dereg_mr__busy_is_not_begun(void **state)
{
	struct vt *t = *state;
	struct nic *nic = verbs_ctx_of(t->b.ctx)->nic;
	struct nic_stopped peer;
	struct ibv_wc wc;

	assert_int_equal(vt_recv(&t->b, 0, 0, 100), 0);
	nic_stopped_open(&peer, nic, t->dir, t->b.mr->rkey);
	assert_int_equal(ibv_dereg_mr(t->b.mr), EBUSY);
	nic_stopped_close(&peer);
	assert_int_equal(vt_recv(&t->b, 1, 0, 100), 0);
	for (uint64_t i = 0; i < 2; i++) {
		assert_int_equal(vt_send(&t->a, &t->b, i, 60), 0);
		assert_int_equal(vt_wait(&t->a).status, IBV_WC_SUCCESS);
		wc = vt_wait(&t->b);
		assert_int_equal(wc.wr_id, i);
		assert_int_equal(wc.status, IBV_WC_SUCCESS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VT_END(ibv_destroy_qp__while_another_thread_polls),
		VT_END(ibv_destroy_qp__waits_for_who_reads_an_entry),
		VT_EACH(ibv_dereg_mr__ends_receives_into_it),
		VT_UD(ibv_dereg_mr__ends_receives_into_it),
		VT_SRD(ibv_dereg_mr__busy_is_not_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
