/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_ud_test.c - datagrams into posted receives
 */
#include "nic_fixture.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "nic/nic_priv.h"

static int setup_ud(void **state)
{
	struct nt *t;

	if (nt_setup_dir(state))
		return -1;
	t = *state;
	nt_open(t, &t->a, NIC_QP_UD);
	nt_open(t, &t->b, NIC_QP_UD);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 'b', &t->ab), 0);
	return 0;
}

#define UD(f) cmocka_unit_test_setup_teardown(f, setup_ud, nt_teardown)

static void nic_post_recv__bounded(void **state)
{
	struct nt *t = *state;
	char buf[64];

	for (int i = 0; i < NIC_RECVS; i++)
		assert_int_equal(nic_post_recv(t->b.qp, 0, buf, 64), 0);
	assert_int_equal(nic_post_recv(t->b.qp, 0, buf, 64), -EAGAIN);
	nt_send(t->ab, "x", 1);
	nt_wait(&t->b, NULL);
	assert_int_equal(nic_post_recv(t->b.qp, 0, buf, 64), 0);
}

static void nic_post_recv__not_on_rdm(void **state)
{
	struct nt *t = *state;
	char buf[64];

	assert_int_equal(nic_post_recv(t->b.qp, 0, buf, 64), -EINVAL);
}

static void nic_ud_poll__prefix_payload_and_imm(void **state)
{
	static const uint8_t zero[NIC_UD_PREFIX];
	static char buf[NIC_UD_PREFIX + NIC_MTU], data[NIC_MTU];
	static const size_t sizes[] = { 0, 1, 100, NIC_MTU };
	struct nt *t = *state;
	struct nic_addr from;

	for (uint32_t i = 0; i < 8; i++) {
		size_t len = sizes[i / 2];
		struct iovec iov = { data, len };
		struct nic_wc *wc;

		memset(buf, 0xff, sizeof(buf));
		nt_fill(data, len, i);
		assert_int_equal(
			nic_post_recv(t->b.qp, i, buf, NIC_UD_PREFIX + len), 0);
		assert_int_equal(nic_send(t->ab, 0, i & 1 ? NIC_SEND_IMM : 0, i,
					  NULL, 0, &iov, 1, len),
				 0);
		wc = nt_wait(&t->b, NULL);
		assert_int_equal(wc->op, NIC_WC_RECV);
		assert_int_equal(wc->id, i);
		assert_int_equal(wc->len, NIC_UD_PREFIX + len);
		assert_int_equal(wc->has_imm, i & 1);
		assert_int_equal(wc->imm, i & 1 ? i : 0);
		assert_memory_equal(buf, zero, NIC_UD_PREFIX);
		assert_true(nt_is_filled(buf + NIC_UD_PREFIX, len, i));
		assert_int_equal(nic_source(t->b.qp, wc->source, &from), 0);
		assert_memory_equal(&from, &t->a.addr, sizeof(from));
	}
}

/* Nothing is lost before a receive is posted. */
static void nic_ud_poll__packets_wait_for_receives(void **state)
{
	struct nt *t = *state;
	char buf[NIC_UD_PREFIX + 1];

	for (char i = 0; i < 10; i++)
		nt_send(t->ab, &i, 1);
	nt_idle(&t->b);
	for (char i = 0; i < 10; i++) {
		assert_int_equal(nic_post_recv(t->b.qp, 0, buf, sizeof(buf)),
				 0);
		nt_wait(&t->b, NULL);
		assert_int_equal(buf[NIC_UD_PREFIX], i);
		nt_idle(&t->b);
	}
}

static void nic_ud_poll__short_buffer(void **state)
{
	struct nt *t = *state;
	char buf[NIC_UD_PREFIX + 4];

	assert_int_equal(nic_post_recv(t->b.qp, 5, buf, sizeof(buf)), 0);
	nt_send(t->ab, "12345", 5);
	nt_idle(&t->b);
	assert_int_equal(nic_qp_stats(t->b.qp)->ud_dropped, 1);
	nt_send(t->ab, "1234", 4);
	assert_int_equal(nt_wait(&t->b, NULL)->id, 5);
	assert_memory_equal(buf + NIC_UD_PREFIX, "1234", 4);
	assert_int_equal(nic_post_recv(t->b.qp, 6, buf, NIC_UD_PREFIX - 1), 0);
	nt_send(t->ab, "", 0);
	nt_idle(&t->b);
	assert_int_equal(nic_qp_stats(t->b.qp)->ud_dropped, 2);
}

/* A datagram to nobody is sent all the same. */
static void nic_send__ud_to_nobody(void **state)
{
	struct nt *t = *state;
	struct nic_addr addr = t->b.addr;
	struct nic_ah *ah;

	addr.qkey++;
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 1, &ah), 0);
	nt_send(ah, "x", 1);
	nic_ah_close(ah);
	assert_int_equal(nt_warnings(), 0);
	memset(addr.gid, 0, 16);
	addr.gid[0] = 0xfd;
	addr.gid[15] = 0x77;
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 1, &ah), 0);
	nt_send(ah, "x", 1);
	nt_send(ah, "x", 1);
	assert_int_equal(nt_warnings(), 1);
	nic_ah_close(ah);
	nt_idle(&t->a);
}

/* Who does not read for long loses packets; who reads slowly does not. */
static void nic_send__ud_full_ring(void **state)
{
	static char buf[NIC_MTU], rx[NIC_UD_PREFIX + NIC_MTU];
	struct nt *t = *state;
	struct iovec iov = { buf, sizeof(buf) };
	uint64_t end;
	int rc;

	while (!(rc = nic_send(t->ab, 0, 0, 0, NULL, 0, &iov, 1, sizeof(buf))))
		;
	assert_int_equal(rc, -EAGAIN);
	end = u_now() + 5 * U_SEC;
	while (rc == -EAGAIN && u_now() < end)
		rc = nic_send(t->ab, 0, 0, 0, NULL, 0, &iov, 1, sizeof(buf));
	assert_int_equal(rc, 0);
	while (nic_qp_stats(t->b.qp)->rx_packets < 200) {
		nic_send(t->ab, 0, 0, 0, NULL, 0, &iov, 1, sizeof(buf));
		nic_post_recv(t->b.qp, 0, rx, sizeof(rx));
		nic_poll(t->b.qp, t->b.wc, 1);
	}
}

static void nic_qp_arm__ud(void **state)
{
	struct nt *t = *state;
	struct pollfd p = { .fd = nic_qp_fd(t->b.qp), .events = POLLIN };
	char buf[NIC_UD_PREFIX + 1];

	nt_send(t->ab, "x", 1);
	assert_int_equal(nic_qp_arm(t->b.qp), 0);
	assert_int_equal(nic_post_recv(t->b.qp, 0, buf, sizeof(buf)), 0);
	assert_int_equal(nic_qp_arm(t->b.qp), 1);
	nt_wait(&t->b, NULL);
	assert_int_equal(nic_post_recv(t->b.qp, 0, buf, sizeof(buf)), 0);
	assert_int_equal(nic_qp_arm(t->b.qp), 0);
	nt_send(t->ab, "y", 1);
	assert_int_equal(poll(&p, 1, 1000), 1);
	nt_wait(&t->b, NULL);
	assert_int_equal(buf[NIC_UD_PREFIX], 'y');
}

static void nic_poll__ud_gone(void **state)
{
	struct nt *t = *state;

	nt_send(t->ab, "x", 1);
	nt_close(&t->b);
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_GONE);
	assert_int_equal(t->a.wc[0].id, 'b');
	nt_send(t->ab, "x", 1);
}

/* A datagram that is there when the sleeper arms does not come again. */
static void nic_qp_arm__keeps_the_first_far_datagram(void **state)
{
	struct nt *t;
	struct pollfd fd;
	char buf[NIC_UD_PREFIX + 1];

	assert_int_equal(nt_setup_dir(state), 0);
	t = *state;
	t->config.no_shm = true;
	nt_open(t, &t->a, NIC_QP_UD);
	nt_open(t, &t->b, NIC_QP_UD);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 'b', &t->ab), 0);
	nt_send(t->ab, "x", 1);
	fd = (struct pollfd){ .fd = nic_qp_fd(t->b.qp), .events = POLLIN };
	assert_int_equal(poll(&fd, 1, 20000), 1);
	assert_int_equal(nic_post_recv(t->b.qp, 3, buf, sizeof(buf)), 0);
	nic_qp_arm(t->b.qp);
	assert_int_equal(nt_wait(&t->b, NULL)->id, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			nic_qp_arm__keeps_the_first_far_datagram, nt_teardown),
		UD(nic_post_recv__bounded),
		NT_PAIR(nic_post_recv__not_on_rdm),
		UD(nic_ud_poll__prefix_payload_and_imm),
		UD(nic_ud_poll__packets_wait_for_receives),
		UD(nic_ud_poll__short_buffer),
		UD(nic_send__ud_to_nobody),
		UD(nic_send__ud_full_ring),
		UD(nic_qp_arm__ud),
		UD(nic_poll__ud_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
