/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_peer_test.c - peers that close, die, sleep, or are another process
 */
#include "nic_fixture.h"

#include <poll.h>
#include <unistd.h>

#include "nic/nic_priv.h"

/* --- closing and dying --- */

static void nic_qp_close__peer_is_told_once(void **state)
{
	struct nt *t = *state;
	struct nic_ah *twin;
	struct nic_wc *wc;
	int gone = 0;

	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 't', &twin), 0);
	nt_send(t->ab, "x", 1);
	nt_send(t->ba, "last", 4);
	nic_ah_close(t->ba);
	t->ba = NULL;
	nt_close(&t->b);
	wc = nt_wait(&t->a, NULL);
	assert_int_equal(wc->op, NIC_WC_RECV);
	nic_give_back(t->a.qp);
	for (int i = 0; i < 2; i++) {
		wc = nt_wait(&t->a, NULL);
		assert_int_equal(wc->op, NIC_WC_GONE);
		gone += (int)wc->id;
	}
	assert_int_equal(gone, 'b' + 't');
	assert_int_equal(nt_poll_ms(&t->a, 300, NIC_WC_GONE), 0);
	assert_int_equal(nt_send_status(&t->a, t->ab, 3), NIC_NO_QP);
	nic_ah_close(twin);
}

static void nic_send__finds_peer_closed(void **state)
{
	struct nt *t = *state;

	nt_send(t->ab, "x", 1);
	nic_ah_close(t->ba);
	t->ba = NULL;
	nt_close(&t->b);
	assert_int_equal(nt_send_status(&t->a, t->ab, 3), NIC_NO_QP);
	assert_int_equal(nt_poll_ms(&t->a, 400, NIC_WC_GONE), 1);
	assert_int_equal(nt_poll_ms(&t->a, 200, NIC_WC_GONE), 0);
}

static void nic_ah_close__gone_is_forgotten(void **state)
{
	struct nt *t = *state;

	nt_send(t->ab, "x", 1);
	nic_ah_close(t->ba);
	t->ba = NULL;
	nt_close(&t->b);
	assert_int_equal(nt_send_status(&t->a, t->ab, 3), NIC_NO_QP);
	nic_ah_close(t->ab);
	t->ab = NULL;
	assert_int_equal(nt_poll_ms(&t->a, 300, NIC_WC_GONE), 0);
}

/* Connects to the parent, says so, and is killed, with packets under way. */
static int child_victim(struct nt *t, int sock)
{
	struct nt_end e;
	struct nic_addr parent;
	struct nic_ah *ah;

	nt_hear(sock, &parent, sizeof(parent));
	nt_open(t, &e, NIC_QP_RDM);
	NT_CHECK(nic_ah_open(e.qp, &parent, 0, &ah) == 0);
	nt_send(ah, "one", 3);
	nt_send(ah, "two", 3);
	nt_tell(sock, &e.addr, sizeof(e.addr));
	pause();
	return 1;
}

static void nic_poll__notices_a_killed_peer(void **state)
{
	struct nt *t = *state;
	struct nt_child c;
	struct nic_addr addr;
	struct nic_ah *ah;
	uint64_t start;

	nt_fork(t, &c, child_victim);
	nt_open(t, &t->a, NIC_QP_RDM);
	nt_tell(c.sock, &t->a.addr, sizeof(t->a.addr));
	nt_hear(c.sock, &addr, sizeof(addr));
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 77, &ah), 0);
	nt_send(ah, "x", 1);
	nt_kill(&c);
	start = u_now();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_RECV);
		nic_give_back(t->a.qp);
	}
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_GONE);
	assert_int_equal(t->a.wc[0].id, 77);
	print_message("noticed after %u ms\n",
		      (unsigned int)((u_now() - start) / U_MSEC));
	assert_int_equal(nt_send_status(&t->a, ah, 4), NIC_NO_QP);
	assert_int_equal(nt_poll_ms(&t->a, 200, NIC_WC_GONE), 0);
	nic_ah_close(ah);
}

/* --- two processes --- */

#define ECHOES 20000

static int child_echo(struct nt *t, int sock)
{
	struct nt_end e;
	struct nic_addr parent;
	struct nic_ah *ah;

	nt_hear(sock, &parent, sizeof(parent));
	nt_open(t, &e, NIC_QP_RDM);
	NT_CHECK(nic_ah_open(e.qp, &parent, 0, &ah) == 0);
	nt_tell(sock, &e.addr, sizeof(e.addr));
	for (int i = 0; i < ECHOES; i++) {
		struct nic_wc *wc = nt_wait(&e, NULL);

		NT_CHECK(wc->op == NIC_WC_RECV);
		nt_send(ah, wc->data, wc->len);
		nic_give_back(e.qp);
	}
	return 0;
}

static void nic_send__echo_between_processes(void **state)
{
	struct nt *t = *state;
	struct nt_child c;
	struct nic_addr addr;
	struct nic_ah *ah;
	char buf[300];

	nt_fork(t, &c, child_echo);
	nt_open(t, &t->a, NIC_QP_RDM);
	nt_tell(c.sock, &t->a.addr, sizeof(t->a.addr));
	nt_hear(c.sock, &addr, sizeof(addr));
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 77, &ah), 0);
	for (uint32_t i = 0; i < ECHOES; i++) {
		struct nic_wc *wc;

		nt_fill(buf, i % 300, i);
		nt_send(ah, buf, i % 300);
		wc = nt_wait(&t->a, NULL);
		assert_int_equal(wc->op, NIC_WC_RECV);
		assert_int_equal(wc->len, i % 300);
		assert_true(nt_is_filled(wc->data, i % 300, i));
		nic_give_back(t->a.qp);
	}
	assert_int_equal(nt_join(&c), 0);
	nic_ah_close(ah);
}

/* --- sleeping --- */

static bool readable(const struct nic_qp *qp, int ms)
{
	struct pollfd p = { .fd = nic_qp_fd(qp), .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void nic_qp_arm__woken_by_a_send(void **state)
{
	struct nt *t = *state;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(nic_qp_arm(t->b.qp), 0);
		assert_false(readable(t->b.qp, 0));
		nt_send(t->ab, "x", 1);
		assert_true(readable(t->b.qp, 1000));
		assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_RECV);
		nic_give_back(t->b.qp);
		assert_false(readable(t->b.qp, 0));
	}
}

static void nic_qp_arm__refuses_when_there_is_work(void **state)
{
	struct nt *t = *state;
	struct nic_addr addr = t->b.addr;
	struct nic_ah *ah;

	nt_send(t->ab, "x", 1);
	assert_int_equal(nic_qp_arm(t->b.qp), 1);
	nt_wait(&t->b, NULL);
	nic_give_back(t->b.qp);
	addr.qkey++;
	assert_int_equal(nic_ah_open(t->b.qp, &addr, 0, &ah), 0);
	assert_int_equal(nic_send(ah, 0, 0, 0, "x", 1, NULL, 0, 0), 1);
	assert_int_equal(nic_qp_arm(t->b.qp), 1);
	assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_SEND);
	assert_int_equal(nic_qp_arm(t->b.qp), 1);
	assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_GONE);
	assert_int_equal(nic_qp_arm(t->b.qp), 0);
	nic_ah_close(ah);
}

/* A wake-up that the kernel would not take is sent by a later poll. */
static void nic_path_wake__is_tried_again(void **state)
{
	struct nt *t = *state;

	nt_send(t->ab, "x", 1);
	nt_wait(&t->b, NULL);
	nic_give_back(t->b.qp);
	t->ab->path->wake = true;
	nic_path_activate(t->ab->path);
	assert_int_equal(nic_qp_arm(t->a.qp), 1);
	/* A wake-up is for who sleeps: the thread takes others away. */
	assert_int_equal(nic_qp_arm(t->b.qp), 0);
	assert_false(readable(t->b.qp, 0));
	nt_idle(&t->a);
	assert_true(readable(t->b.qp, 1000));
	assert_int_equal(nic_qp_arm(t->a.qp), 0);
}

/* No send wakes a queue pair that only polls. */
static void nic_qp_arm__poll_disarms(void **state)
{
	struct nt *t = *state;

	assert_int_equal(nic_qp_arm(t->b.qp), 0);
	nt_idle(&t->b);
	nt_send(t->ab, "x", 1);
	assert_false(readable(t->b.qp, 0));
}

static int child_wakes(struct nt *t, int sock)
{
	struct nt_end e;
	struct nic_addr parent;
	struct nic_ah *ah;
	char go;

	nt_hear(sock, &parent, sizeof(parent));
	nt_open(t, &e, NIC_QP_RDM);
	NT_CHECK(nic_ah_open(e.qp, &parent, 0, &ah) == 0);
	for (int i = 0; i < 200; i++) {
		nt_hear(sock, &go, 1);
		nt_send(ah, &i, sizeof(i));
	}
	return 0;
}

static void nic_qp_arm__woken_by_another_process(void **state)
{
	struct nt *t = *state;
	struct nt_child c;

	nt_fork(t, &c, child_wakes);
	nt_open(t, &t->a, NIC_QP_RDM);
	nt_tell(c.sock, &t->a.addr, sizeof(t->a.addr));
	for (int i = 0; i < 200; i++) {
		nt_tell(c.sock, "g", 1);
		while (!nic_poll(t->a.qp, t->a.wc, 1))
			if (!nic_qp_arm(t->a.qp))
				assert_true(readable(t->a.qp, 5000));
		assert_memory_equal(t->a.wc[0].data, &i, sizeof(i));
		nic_give_back(t->a.qp);
	}
	assert_int_equal(nt_join(&c), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NT_PAIR(nic_qp_close__peer_is_told_once),
		NT_PAIR(nic_send__finds_peer_closed),
		NT_PAIR(nic_ah_close__gone_is_forgotten),
		NT_DIR(nic_poll__notices_a_killed_peer),
		NT_DIR(nic_send__echo_between_processes),
		NT_PAIR(nic_qp_arm__woken_by_a_send),
		NT_PAIR(nic_qp_arm__refuses_when_there_is_work),
		NT_PAIR(nic_path_wake__is_tried_again),
		NT_PAIR(nic_qp_arm__poll_disarms),
		NT_DIR(nic_qp_arm__woken_by_another_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
