/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_end_test.c - who hears that a conversation or a lane is over
 *
 * A peer is silent while its far lock is held here: its thread waits for it,
 * as it would in a process that was stopped.
 */
#include "nic_fixture.h"

#include <unistd.h>

#include "nic/nic_priv.h"

#define SILENCE (300 * U_MSEC)

static uint8_t theirs[100000], ours[100000];

static void open_pair(struct nt *t, enum nic_qp_type type)
{
	t->hide_keys = true;
	t->config.peer_timeout = SILENCE;
	nt_open(t, &t->a, type);
	nt_open(t, &t->b, type);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 'b', &t->ab), 0);
	assert_int_equal(nic_ah_open(t->b.qp, &t->a.addr, 'a', &t->ba), 0);
}

/* It reaches peers as if they were on another host. */
static void send_far(struct nt_end *from, struct nic_ah *ah, struct nt_end *to)
{
	from->qp->no_shm = true;
	assert_int_equal(nt_send_status(from, ah, 1), NIC_OK);
	assert_int_equal(ah->path->state, NIC_PATH_FAR);
	assert_int_equal(nt_wait(to, from)->op, NIC_WC_RECV);
	nic_give_back(to->qp);
}

static struct nt_end *stopped;

static void stop(struct nt_end *e)
{
	u_lock(&e->qp->far.lock);
	stopped = e;
}

static void go_on(void)
{
	u_unlock(&stopped->qp->far.lock);
	stopped = NULL;
}

/* A test may have failed meanwhile. */
static int teardown(void **state)
{
	if (stopped)
		go_on();
	return nt_teardown(state);
}

#define END(f) cmocka_unit_test_setup_teardown(f, nt_setup_dir, teardown)

/* The next completion of e that is no packet. */
static struct nic_wc *next_own(struct nt_end *e, struct nt_end *other)
{
	struct nic_wc *wc = nt_wait(e, other);

	while (wc->op == NIC_WC_RECV) {
		nic_give_back(e->qp);
		wc = nt_wait(e, other);
	}
	return wc;
}

static void hears_gone(struct nt_end *e, struct nt_end *other, uint64_t cookie)
{
	struct nic_wc *wc = next_own(e, other);

	assert_int_equal(wc->op, NIC_WC_GONE);
	assert_int_equal(wc->id, cookie);
}

/* A read of b's memory through the ring; how it ends. */
static uint8_t read_ring(struct nt *t)
{
	struct nic_rdma op = { .type = NIC_READ,
			       .id = 5,
			       .local = ours,
			       .remote = (uintptr_t)theirs,
			       .len = sizeof(ours) };
	uint8_t status;

	assert_int_equal(nic_mr_reg(t->b.nic, theirs, sizeof(theirs),
				    NIC_REMOTE_READ, &op.rkey),
			 0);
	status = nt_rdma(&t->a, &t->b, t->ab, &op);
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
	return status;
}

/* --- silence --- */

/* A card has no memory: who was silent is heard again, by the same handle. */
static void nic_far_done__silence_ends_no_srd(void **state)
{
	struct nt *t = *state;
	char in[8][16];

	t->config.no_shm = true;
	open_pair(t, NIC_QP_SRD);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(nic_post_recv(t->b.qp, i, in[i], 16), 0);
	assert_int_equal(nt_send_status(&t->a, t->ab, 1), NIC_OK);
	stop(&t->b);
	assert_int_equal(nt_send_status(&t->a, t->ab, 2), NIC_UNRESPONSIVE);
	assert_int_equal(nt_poll_ms(&t->a, 10, NIC_WC_GONE), 0);
	go_on();
	assert_int_equal(nt_send_status(&t->a, t->ab, 3), NIC_OK);
	nic_ah_close(t->ab);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 'b', &t->ab), 0);
	assert_int_equal(nt_send_status(&t->a, t->ab, 4), NIC_OK);
}

/* A conversation may be silent for long where our way is another. */
static void nic_far_done__silence_ends_no_ring(void **state)
{
	struct nt *t = *state;
	uint64_t end = u_now() + NT_WAIT_S * U_SEC;

	open_pair(t, NIC_QP_RDM);
	assert_int_equal(nic_ah_reach(t->ab), NIC_OK);
	send_far(&t->b, t->ba, &t->a);
	stop(&t->b);
	while (!nt_logged("has ended (status 13)") && u_now() < end)
		nt_poll_ms(&t->a, 1, NIC_WC_RECV);
	go_on();
	assert_true(nt_logged("has ended (status 13)"));
	assert_int_equal(t->ab->path->state, NIC_PATH_LIVE);
	send_far(&t->b, t->ba, &t->a);
	assert_int_equal(read_ring(t), NIC_OK);
}

/* Given up while it was stopped, who reaches us by the ring hears that. */
static void nic_path_die__who_asks_by_the_ring_hears_it(void **state)
{
	struct nt *t = *state;

	open_pair(t, NIC_QP_RDM);
	send_far(&t->b, t->ba, &t->a);
	nt_send(t->ab, "x", 1);
	assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_RECV);
	nic_give_back(t->b.qp);
	stop(&t->a);
	assert_int_equal(nt_send_status(&t->b, t->ba, 2), NIC_UNRESPONSIVE);
	hears_gone(&t->b, NULL, 'a');
	go_on();
	assert_int_not_equal(read_ring(t), NIC_OK);
	hears_gone(&t->a, &t->b, 'b');
}

static bool has_done(struct nt_end *e)
{
	bool done;

	u_lock(&e->qp->far.lock);
	done = srd_has_done(e->qp->far.srd);
	u_unlock(&e->qp->far.lock);
	return done;
}

/* What was posted before our user heard of the silence ends first. */
static void nic_far_done__gone_comes_last(void **state)
{
	struct nt *t = *state;
	uint64_t end = u_now() + NT_WAIT_S * U_SEC;

	t->config.no_shm = true;
	open_pair(t, NIC_QP_RDM);
	assert_int_equal(nt_send_status(&t->a, t->ab, 1), NIC_OK);
	stop(&t->b);
	assert_int_equal(nic_send(t->ab, 2, 0, 0, "x", 1, NULL, 0, 0), 1);
	while (!has_done(&t->a) && u_now() < end)
		usleep(1000);
	assert_int_equal(nic_send(t->ab, 3, 0, 0, "x", 1, NULL, 0, 0), 1);
	for (uint64_t id = 2; id < 4; id++) {
		struct nic_wc *wc = nt_wait(&t->a, NULL);

		assert_int_equal(wc->op, NIC_WC_SEND);
		assert_int_equal(wc->id, id);
		assert_int_equal(wc->status, NIC_UNRESPONSIVE);
	}
	hears_gone(&t->a, NULL, 'b');
	go_on();
	assert_int_equal(nt_poll_ms(&t->a, 100, NIC_WC_GONE), 0);
}

/* --- cut off --- */

/* b's way to a ends, though a lives. */
static void cut_b_off(struct nt *t)
{
	nt_send(t->ba, "x", 1);
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_RECV);
	nic_give_back(t->a.qp);
	wire_shm_cut_off(t->a.qp->shm, 0);
	assert_int_equal(nt_send_status(&t->b, t->ba, 2), NIC_NO_QP);
	hears_gone(&t->b, NULL, 'a');
}

static void nic_path_die__who_speaks_by_the_ring_hears_it(void **state)
{
	struct nt *t = *state;

	open_pair(t, NIC_QP_RDM);
	cut_b_off(t);
	nt_send(t->ab, "y", 1);
	hears_gone(&t->a, &t->b, 'b');
	assert_int_equal(nt_send_status(&t->a, t->ab, 3), NIC_NO_QP);
}

static void nic_path_die__who_speaks_from_afar_hears_it(void **state)
{
	struct nt *t = *state;

	open_pair(t, NIC_QP_RDM);
	cut_b_off(t);
	send_far(&t->a, t->ab, &t->b);
	hears_gone(&t->a, &t->b, 'b');
	assert_int_equal(nt_send_status(&t->a, t->ab, 3), NIC_NO_QP);
}

/* Who asks one that cannot answer hears it on any queue pair. */
static void nic_remote_read__of_whom_we_cut_off(void **state)
{
	struct nt *t = *state;
	char in[8];

	open_pair(t, NIC_QP_SRD);
	assert_int_equal(nic_post_recv(t->a.qp, 1, in, sizeof(in)), 0);
	nt_idle(&t->a);
	nt_send(t->ba, "x", 1);
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_RECV);
	wire_shm_cut_off(t->a.qp->shm, 0);
	assert_int_equal(nic_post_recv(t->a.qp, 2, in, sizeof(in)), 0);
	assert_int_equal(nt_send_status(&t->b, t->ba, 2), NIC_NO_QP);
	assert_int_equal(nt_wait(&t->b, &t->a)->op, NIC_WC_GONE);
	assert_int_equal(read_ring(t), NIC_PEER_RESET);
}

/* It is heard also where the user sleeps. */
static void nic_qp_arm__not_while_a_path_ends(void **state)
{
	struct nt *t = *state;

	open_pair(t, NIC_QP_RDM);
	nt_send(t->ab, "x", 1);
	nt_send(t->ba, "x", 1);
	assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_RECV);
	nic_give_back(t->b.qp);
	wire_shm_cut_off(t->b.qp->shm, 0);
	assert_int_equal(nt_send_status(&t->a, t->ab, 3), NIC_NO_QP);
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_RECV);
	nic_give_back(t->a.qp);
	assert_int_equal(nic_qp_arm(t->a.qp), 1);
	hears_gone(&t->a, NULL, 'b');
	hears_gone(&t->b, &t->a, 'a');
	assert_int_equal(nt_poll_ms(&t->a, 100, NIC_WC_GONE), 0);
	assert_int_equal(nic_qp_arm(t->a.qp), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		END(nic_far_done__silence_ends_no_srd),
		END(nic_far_done__silence_ends_no_ring),
		END(nic_path_die__who_asks_by_the_ring_hears_it),
		END(nic_far_done__gone_comes_last),
		END(nic_path_die__who_speaks_by_the_ring_hears_it),
		END(nic_path_die__who_speaks_from_afar_hears_it),
		END(nic_remote_read__of_whom_we_cut_off),
		END(nic_qp_arm__not_while_a_path_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
