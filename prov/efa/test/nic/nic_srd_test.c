/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_srd_test.c - reliable messages into posted receives
 *
 * What must hold for every wire is one function that is run for each.
 */
#include "nic_fixture.h"

#include <errno.h>
#include <string.h>

#include "nic/nic_priv.h"

static int setup(void **state, bool ring, bool far)
{
	struct nt *t;

	if (nt_setup_dir(state))
		return -1;
	t = *state;
	t->hide_keys = ring;
	t->config.no_shm = far;
	nt_open(t, &t->a, NIC_QP_SRD);
	nt_open(t, &t->b, NIC_QP_SRD);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 'b', &t->ab), 0);
	return 0;
}

static int setup_shm(void **state)
{
	return setup(state, false, false);
}

static int setup_ring(void **state)
{
	return setup(state, true, false);
}

static int setup_far(void **state)
{
	return setup(state, false, true);
}

#define SHM(f) cmocka_unit_test_setup_teardown(f, setup_shm, nt_teardown)
#define RING(f) cmocka_unit_test_setup_teardown(f, setup_ring, nt_teardown)
#define FAR(f) cmocka_unit_test_setup_teardown(f, setup_far, nt_teardown)
#define EACH(f)                                            \
	{ #f " shm", f, setup_shm, nt_teardown, NULL },    \
	{                                                  \
#f " far", f, setup_far, nt_teardown, NULL \
	}

/* A message of a, to its end; b is not polled. */
static uint8_t send_to_end(struct nt *t, uint64_t id, int flags, uint32_t imm,
			   const void *p, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)p, len };
	struct nic_wc *wc;
	int rc;

	while ((rc = nic_send(t->ab, id, flags, imm, NULL, 0, &iov, 1, len)) ==
	       -EAGAIN)
		nt_idle(&t->a);
	if (rc == 0)
		return NIC_OK;
	NT_CHECK(rc == 1);
	wc = nt_wait(&t->a, NULL);
	NT_CHECK(wc->op == NIC_WC_SEND && wc->id == id);
	return wc->status;
}

/* --- receives --- */

static void nic_post_recv__bounded_and_taken_back(void **state)
{
	struct nt *t = *state;
	struct iovec iov[NIC_RECV_IOV + 1] = { 0 };
	uint64_t id;
	char buf[8];

	assert_int_equal(nic_unpost_recv(t->b.qp, &id), -ENOENT);
	assert_int_equal(nic_post_recvv(t->b.qp, 0, iov, NIC_RECV_IOV + 1),
			 -EINVAL);
	for (uint64_t i = 0; i < NIC_RECVS; i++)
		assert_int_equal(nic_post_recv(t->b.qp, i, buf, 8), 0);
	assert_int_equal(nic_post_recv(t->b.qp, 0, buf, 8), -EAGAIN);
	for (uint64_t i = 0; i < NIC_RECVS; i++) {
		assert_int_equal(nic_unpost_recv(t->b.qp, &id), 0);
		assert_int_equal(id, i);
	}
	assert_int_equal(nic_unpost_recv(t->b.qp, &id), -ENOENT);
}

static void nic_srd_take__payload_and_imm(void **state)
{
	static const size_t sizes[] = { 0, 1, 56, 100, NIC_MTU };
	static char buf[NIC_MTU], data[NIC_MTU];
	struct nt *t = *state;
	struct nic_addr from;
	struct nic_wc *wc;

	for (uint32_t i = 0; i < 10; i++) {
		size_t len = sizes[i / 2];

		memset(buf, 0xff, sizeof(buf));
		nt_fill(data, len, i);
		assert_int_equal(nic_post_recv(t->b.qp, i, buf, len), 0);
		assert_int_equal(send_to_end(t, i, i & 1 ? NIC_SEND_IMM : 0, i,
					     data, len),
				 NIC_OK);
		wc = nt_wait(&t->b, NULL);
		assert_int_equal(wc->op, NIC_WC_RECV);
		assert_int_equal(wc->status, NIC_OK);
		assert_null(wc->data);
		assert_int_equal(wc->id, i);
		assert_int_equal(wc->len, len);
		assert_int_equal(wc->has_imm, i & 1);
		assert_int_equal(wc->imm, i & 1 ? i : 0);
		assert_true(nt_is_filled(buf, len, i));
		assert_int_equal(nic_source(t->b.qp, wc->source, &from), 0);
		assert_memory_equal(&from, &t->a.addr, sizeof(from));
	}
}

static void nic_recv_revoke__ends_one_receive(void **state)
{
	struct nt *t = *state;
	char buf[3] = "abc";
	struct nic_wc *wc;

	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(nic_post_recv(t->b.qp, i, &buf[i], 1), 0);
	nic_recv_revoke(t->b.qp, 1);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(send_to_end(t, i, 0, 0, "x", 1), NIC_OK);
		wc = nt_wait(&t->b, NULL);
		assert_int_equal(wc->id, i);
		assert_int_equal(wc->status, i == 1 ? NIC_BAD_LKEY : NIC_OK);
	}
	assert_memory_equal(buf, "xbx", 3);
}

static void nic_recv_at__counts_from_the_oldest(void **state)
{
	struct nt *t = *state;
	char buf[3];
	uint64_t id;

	assert_int_equal(nic_recv_at(t->b.qp, 0, &id), -ENOENT);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(nic_post_recv(t->b.qp, 7 + i, &buf[i], 1), 0);
	assert_int_equal(send_to_end(t, 1, 0, 0, "x", 1), NIC_OK);
	nt_wait(&t->b, NULL);
	for (uint32_t nth = 0; nth < 2; nth++) {
		assert_int_equal(nic_recv_at(t->b.qp, nth, &id), 0);
		assert_int_equal(id, 8 + nth);
	}
	assert_int_equal(nic_recv_at(t->b.qp, 2, &id), -ENOENT);
}

static void nic_srd_take__two_elements(void **state)
{
	struct nt *t = *state;
	char one[3], two[4];
	struct iovec iov[2] = { { one, 3 }, { two, 4 } };

	assert_int_equal(nic_post_recvv(t->b.qp, 9, iov, 2), 0);
	assert_int_equal(send_to_end(t, 1, 0, 0, "abcdefg", 7), NIC_OK);
	assert_int_equal(nt_wait(&t->b, NULL)->id, 9);
	assert_memory_equal(one, "abc", 3);
	assert_memory_equal(two, "defg", 4);
	assert_int_equal(nic_post_recvv(t->b.qp, 9, iov, 0), 0);
	assert_int_equal(send_to_end(t, 1, 0, 0, "", 0), NIC_OK);
	assert_int_equal(nt_wait(&t->b, NULL)->len, 0);
}

/* --- no receive, or a short one --- */

static void nic_srd_refused__for_ever(void **state)
{
	struct nt *t = *state;
	struct iovec iov = { (void *)(uintptr_t) "x", 1 };
	char buf[8];
	int rc;

	rc = nic_send(t->ab, 1, 0, 0, NULL, 0, &iov, 1, 1);
	for (int i = 0; i < 3; i++) {
		nt_poll_ms(&t->a, 2, NIC_WC_SEND);
		nt_idle(&t->b);
	}
	assert_int_equal(nic_post_recv(t->b.qp, 4, buf, 8), 0);
	if (rc == -EAGAIN)
		assert_int_equal(send_to_end(t, 1, 0, 0, "x", 1), NIC_OK);
	else
		assert_int_equal(nt_wait(&t->a, &t->b)->status, NIC_OK);
	assert_int_equal(nt_wait(&t->b, NULL)->id, 4);
}

static void nic_srd_refused__retries_end(void **state)
{
	struct nt *t = *state;
	char buf[8];

	for (uint32_t retries = 0; retries < 4; retries++) {
		nic_qp_set_rnr_retries(t->a.qp, retries);
		assert_int_equal(send_to_end(t, 7, 0, 0, "x", 1), NIC_RNR);
	}
	/* The queue pair is as good as before. */
	assert_int_equal(nic_post_recv(t->b.qp, 4, buf, 8), 0);
	assert_int_equal(send_to_end(t, 8, 0, 0, "x", 1), NIC_OK);
	assert_int_equal(nt_wait(&t->b, NULL)->id, 4);
	nt_idle(&t->b); /* finds that none is posted */
	assert_int_equal(send_to_end(t, 9, 0, 0, "x", 1), NIC_RNR);
}

/* Who posts the next receive before he looks again holds up nobody. */
static void nic_srd_refused__not_between_receives(void **state)
{
	struct nt *t = *state;
	char buf[8];

	nic_qp_set_rnr_retries(t->a.qp, 0);
	assert_int_equal(nic_post_recv(t->b.qp, 4, buf, 8), 0);
	assert_int_equal(send_to_end(t, 1, 0, 0, "x", 1), NIC_OK);
	assert_int_equal(nt_wait(&t->b, NULL)->id, 4);
	assert_int_equal(send_to_end(t, 2, 0, 0, "y", 1), NIC_OK);
	assert_int_equal(nic_post_recv(t->b.qp, 5, buf, 8), 0);
	assert_int_equal(nt_wait(&t->b, NULL)->id, 5);
	assert_int_equal(buf[0], 'y');
}

static void nic_send__longer_than_receives(void **state)
{
	struct nt *t = *state;
	char buf[8];

	nt_idle(&t->b);
	assert_int_equal(nic_post_recv(t->b.qp, 4, buf, 8), 0);
	assert_int_equal(send_to_end(t, 1, 0, 0, "123456789", 9),
			 NIC_SHORT_RECV);
	assert_int_equal(send_to_end(t, 1, NIC_SEND_IMM, 5, "123456789", 9),
			 NIC_SHORT_RECV);
	nt_idle(&t->b);
	assert_int_equal(send_to_end(t, 1, NIC_SEND_IMM, 5, "12345678", 8),
			 NIC_OK);
	assert_int_equal(nt_wait(&t->b, NULL)->id, 4);
}

/* The sender cannot know which receive it will meet. */
static void nic_srd_take__short_receive_says_so(void **state)
{
	struct nt *t = *state;
	char small[4], large[16];
	struct nic_wc *wc;

	assert_int_equal(nic_post_recv(t->b.qp, 4, small, 4), 0);
	assert_int_equal(nic_post_recv(t->b.qp, 5, large, 16), 0);
	assert_int_equal(send_to_end(t, 1, 0, 0, "12345", 5), NIC_OK);
	assert_int_equal(send_to_end(t, 1, 0, 0, "12345", 5), NIC_OK);
	wc = nt_wait(&t->b, NULL);
	assert_int_equal(wc->id, 4);
	assert_int_equal(wc->status, NIC_TOO_LONG);
	wc = nt_wait(&t->b, NULL);
	assert_int_equal(wc->id, 5);
	assert_int_equal(wc->status, NIC_OK);
	assert_memory_equal(large, "12345", 5);
}

/* What was on its way is held, in order; more of it waits in the lane. */
static void nic_srd_poll__holds_what_was_on_its_way(void **state)
{
	struct nt *t = *state;
	uint32_t n = 2 * NIC_HELD;
	uint32_t got;

	t->ab->flags = 0; /* as if it had not seen that no receive is left */
	for (uint32_t i = 0; i < n; i++) {
		struct iovec iov = { &i, sizeof(i) };

		assert_int_equal(nic_send(t->ab, 0, i & 1, i, NULL, 0, &iov, 1,
					  sizeof(i)),
				 0);
		nt_idle(&t->b);
	}
	for (int i = 0; i < 4; i++)
		nt_idle(&t->b);
	assert_int_equal(t->b.qp->held_tail - t->b.qp->held_head, NIC_HELD);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(nic_post_recv(t->b.qp, i, &got, sizeof(got)),
				 0);
		assert_int_equal(nt_wait(&t->b, NULL)->id, i);
		assert_int_equal(got, i);
		nt_idle(&t->b);
	}
}

/* The thread acknowledges no more messages than there are receives. */
static void nic_far_receive__no_more_than_posted(void **state)
{
	struct nt *t = *state;
	char buf[3];

	nic_qp_set_rnr_retries(t->a.qp, 2);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(nic_post_recv(t->b.qp, i, &buf[i], 1), 0);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(send_to_end(t, i, 0, 0, "x", 1), NIC_OK);
	assert_int_equal(send_to_end(t, 3, 0, 0, "x", 1), NIC_RNR);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(nt_wait(&t->b, NULL)->id, i);
}

/* --- RDMA --- */

static void rdma_open(struct nt *t, char *mem, size_t len, struct nic_rdma *op)
{
	static char local[20000];

	assert_true(len <= sizeof(local));
	nt_fill(local, len, 3);
	*op = (struct nic_rdma){
		.type = NIC_WRITE_IMM,
		.id = 1,
		.local = local,
		.remote = (uintptr_t)mem,
		.len = len,
		.imm = 0x77,
	};
	assert_int_equal(nic_mr_reg(t->b.nic, mem, len,
				    NIC_REMOTE_READ | NIC_REMOTE_WRITE,
				    &op->rkey),
			 0);
}

/* What the thread of b has written is seen by whoever held its lock since, and
 * what we have written by the thread. */
static void meet_thread(struct nt *t)
{
	nic_qp_set_rnr_retries(t->b.qp, NIC_RNR_FOREVER);
}

static void nic_rdma__needs_no_receive(void **state)
{
	static char mem[20000];
	struct nt *t = *state;
	struct nic_rdma op;

	rdma_open(t, mem, sizeof(mem), &op);
	op.type = NIC_WRITE;
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	meet_thread(t);
	assert_true(nt_is_filled(mem, sizeof(mem), 3));
	op.type = NIC_READ;
	nt_fill(mem, sizeof(mem), 4);
	meet_thread(t);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_true(nt_is_filled(op.local, sizeof(mem), 4));
	assert_int_equal(t->b.nkept, 0);
	nic_mr_dereg(t->b.nic, op.rkey);
}

static void nic_rdma__immediate_uses_a_receive_up(void **state)
{
	static char mem[20000];
	struct nt *t = *state;
	struct nic_rdma op;
	struct nic_wc *wc;

	rdma_open(t, mem, sizeof(mem), &op);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_int_equal(t->b.nkept, 0);
	for (int i = 0; i < 100; i++)
		nt_idle(&t->b);
	assert_int_equal(nic_post_recvv(t->b.qp, 12, NULL, 0), 0);
	assert_int_equal(nic_post_recvv(t->b.qp, 13, NULL, 0), 0);
	wc = nt_wait(&t->b, NULL);
	assert_int_equal(wc->op, NIC_WC_WRITTEN);
	assert_int_equal(wc->id, 12);
	assert_int_equal(wc->len, sizeof(mem));
	assert_int_equal(wc->imm, 0x77);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_int_equal(nt_wait(&t->b, NULL)->id, 13);
	nic_mr_dereg(t->b.nic, op.rkey);
}

/* Many more than can be held, none of which has a receive. */
static void nic_rdma__unsolicited_needs_no_receive(void **state)
{
	static char mem[20000];
	struct nt *t = *state;
	struct nic_rdma op;
	struct nic_wc *wc;
	char buf[8];

	nic_qp_set_unsolicited(t->b.qp, true);
	rdma_open(t, mem, sizeof(mem), &op);
	for (uint32_t i = 0; i < 5 * NIC_HELD; i++) {
		if (i == 2 * NIC_HELD)
			assert_int_equal(nic_post_recv(t->b.qp, 9, buf, 8), 0);
		op.imm = i;
		assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
		wc = nt_wait(&t->b, NULL);
		assert_int_equal(wc->op, NIC_WC_WRITTEN);
		assert_int_equal(wc->len, sizeof(mem));
		assert_int_equal(wc->imm, i);
		assert_true(wc->has_imm);
		t->b.nkept = 0;
	}
	assert_int_equal(send_to_end(t, 1, 0, 0, "x", 1), NIC_OK);
	wc = nt_wait(&t->b, NULL);
	assert_int_equal(wc->op, NIC_WC_RECV);
	assert_int_equal(wc->id, 9);
	nic_mr_dereg(t->b.nic, op.rkey);
}

/* Nobody polls while they come, and none has a receive. */
static void nic_far_receive__keeps_unsolicited(void **state)
{
	static char mem[64];
	struct nt *t = *state;
	struct nic_rdma op;

	nic_qp_set_unsolicited(t->b.qp, true);
	rdma_open(t, mem, sizeof(mem), &op);
	for (uint32_t i = 0; i < 10; i++) {
		op.imm = i;
		assert_int_equal(nic_rdma(t->ab, &op), 1);
		assert_int_equal(nt_wait(&t->a, NULL)->status, NIC_OK);
	}
	assert_int_equal(nic_qp_arm(t->b.qp), 1);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(nt_wait(&t->b, NULL)->imm, i);
	nic_mr_dereg(t->b.nic, op.rkey);
}

/* --- another key --- */

static void nic_qp_set_qkey__before_peers(void **state)
{
	struct nt *t = *state;
	char buf[8];

	assert_int_equal(nic_qp_set_qkey(t->b.qp, 0), -EINVAL);
	assert_int_equal(nic_qp_set_qkey(t->b.qp, 0x11111111), 0);
	/* The handle has the first one. */
	assert_int_equal(send_to_end(t, 1, 0, 0, "x", 1), NIC_NO_QP);
	nic_ah_close(t->ab);
	nic_qp_addr(t->b.qp, &t->b.addr);
	assert_int_equal(t->b.addr.qkey, 0x11111111);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 'b', &t->ab), 0);
	assert_int_equal(nic_post_recv(t->b.qp, 4, buf, 8), 0);
	assert_int_equal(send_to_end(t, 1, 0, 0, "x", 1), NIC_OK);
	assert_int_equal(nt_wait(&t->b, NULL)->id, 4);
	assert_int_equal(nic_qp_set_qkey(t->b.qp, 0x11111111), 0);
	assert_int_equal(nic_qp_set_qkey(t->b.qp, 2), -EBUSY);
	assert_int_equal(nic_qp_set_qkey(t->a.qp, 2), -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHM(nic_post_recv__bounded_and_taken_back),
		EACH(nic_srd_take__payload_and_imm),
		EACH(nic_recv_revoke__ends_one_receive),
		EACH(nic_recv_at__counts_from_the_oldest),
		EACH(nic_srd_take__two_elements),
		EACH(nic_srd_refused__for_ever),
		EACH(nic_srd_refused__retries_end),
		SHM(nic_srd_refused__not_between_receives),
		EACH(nic_send__longer_than_receives),
		EACH(nic_srd_take__short_receive_says_so),
		SHM(nic_srd_poll__holds_what_was_on_its_way),
		FAR(nic_far_receive__no_more_than_posted),
		EACH(nic_rdma__needs_no_receive),
		RING(nic_rdma__needs_no_receive),
		EACH(nic_rdma__immediate_uses_a_receive_up),
		RING(nic_rdma__immediate_uses_a_receive_up),
		EACH(nic_rdma__unsolicited_needs_no_receive),
		RING(nic_rdma__unsolicited_needs_no_receive),
		FAR(nic_far_receive__keeps_unsolicited),
		EACH(nic_qp_set_qkey__before_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
