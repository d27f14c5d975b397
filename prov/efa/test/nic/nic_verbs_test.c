/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_verbs_test.c - the NIC over UD queue pairs, on fake devices
 */
#include "nic_fixture.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/wire/fake_verbs.h"
#include "util/u_time.h"

static void open_on(struct nt *t, struct nt_end *e, int d,
		    enum nic_qp_type type)
{
	static uint32_t qkey = 5000;
	char name[8] = "fake0";
	struct nic_info *list;

	name[4] = (char)('0' + d);
	memset(e, 0, sizeof(*e));
	NT_CHECK(nic_list_verbs(name, &list) == 1);
	NT_CHECK(nic_open(&list[0], &t->config, &e->nic) == 0);
	free(list);
	NT_CHECK(nic_qp_open(e->nic, type, ++qkey, &e->qp) == 0);
	nic_qp_addr(e->qp, &e->addr);
}

static int epoll_fails; /* the call that does; 0: none */

/* That of libc, which the library would call. */
int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	if (epoll_fails && !--epoll_fails) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

static int setup(void **state, enum nic_qp_type type, bool shm,
		 const char *fault)
{
	struct nt *t;

	if (nt_setup_dir(state))
		return -1;
	t = *state;
	fake_reset(2);
	if (shm) {
		fake_set_infiniband(&fake.device[0], 3);
		fake_set_infiniband(&fake.device[1], 4);
	}
	t->config.no_shm = !shm;
	t->config.fault = fault;
	open_on(t, &t->a, 0, type);
	open_on(t, &t->b, 1, type);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 'b', &t->ab), 0);
	assert_int_equal(nic_ah_open(t->b.qp, &t->a.addr, 'a', &t->ba), 0);
	return 0;
}

static int setup_far(void **state)
{
	return setup(state, NIC_QP_RDM, false, NULL);
}

static int setup_bad(void **state)
{
	return setup(state, NIC_QP_RDM, false,
		     "loss=5%,reorder=10%:300us,dup=2%,corrupt=2%,seed=5");
}

static int setup_near(void **state)
{
	return setup(state, NIC_QP_RDM, true, NULL);
}

static int setup_srd(void **state)
{
	return setup(state, NIC_QP_SRD, false, NULL);
}

static int setup_ud(void **state)
{
	return setup(state, NIC_QP_UD, false, NULL);
}

static int teardown(void **state)
{
	int rc = nt_teardown(state);

	assert_int_equal(fake.objects, 0);
	fake_end();
	return rc;
}

/* --- nic_qp_open --- */

/* Wherever it fails nothing is left: the descriptors, and what the card has. */
static void nic_qp_open__leaves_nothing_when_it_fails(void **state)
{
	struct nt *t = *state;
	int objects = fake.objects, fd = dup(0), fails = 0;
	struct nic_qp *qp = NULL;

	close(fd);
	while (!qp && fails < 10) {
		epoll_fails = ++fails;
		if (nic_qp_open(t->a.nic, NIC_QP_RDM, 77, &qp))
			assert_int_equal(fake.objects, objects);
	}
	epoll_fails = 0;
	assert_in_range(fails, 3, 9);
	nic_qp_close(qp);
	assert_int_equal(fake.objects, objects);
	assert_int_equal(dup(0), fd);
	close(fd);
}

/* --- nic_list_verbs --- */

static int count(const char *filter)
{
	struct nic_info *list;
	int n = nic_list_verbs(filter, &list);

	assert_true(n >= 0);
	free(list);
	return n;
}

static void nic_list_verbs__by_name_and_speed(void **state)
{
	struct nic_info *list;

	(void)state;
	fake.device[1].port.active_speed = 32;
	assert_int_equal(nic_list_verbs(NULL, &list), 2);
	assert_string_equal(list[0].name, "fake1");
	assert_int_equal(list[0].wire, NIC_WIRE_UD);
	assert_string_equal(list[1].name, "fake0");
	assert_true(nic_ud_max(&list[0]) < 1024);
	free(list);
	assert_int_equal(count("all"), 2);
	assert_int_equal(count("eth0,fake1"), 1);
	assert_int_equal(count("fake"), 0);
	assert_int_equal(count(""), 2);
}

/* --- messages --- */

static void both_ways(struct nt *t, int n, size_t len)
{
	static uint8_t buf[NIC_MTU];
	struct iovec iov = { buf, len };
	struct nic_wc *wc;

	for (int i = 0; i < n; i++) {
		struct nt_end *to = i & 1 ? &t->a : &t->b;
		struct nt_end *from = i & 1 ? &t->b : &t->a;

		nt_fill(buf, len, (uint32_t)i);
		NT_CHECK(nic_send(i & 1 ? t->ba : t->ab, 1, 0, 0, NULL, 0, &iov,
				  1, len) == 1);
		while ((wc = nt_wait(to, from))->op == NIC_WC_SEND)
			NT_CHECK(wc->status == NIC_OK);
		NT_CHECK(wc->op == NIC_WC_RECV && wc->len == len);
		NT_CHECK(nt_is_filled(wc->data, len, (uint32_t)i));
		nic_give_back(to->qp);
		from->nkept = to->nkept = 0;
	}
}

static void nic_send__over_ud(void **state)
{
	struct nt *t = *state;

	assert_true(t->b.addr.qpn > UINT16_MAX);
	both_ways(t, 100, 8);
	both_ways(t, 100, NIC_MTU);
	assert_true(fake_get(&fake.sends) > 1000);
}

static void nic_rdma__over_ud(void **state)
{
	struct nt *t = *state;
	static uint8_t theirs[300000], ours[300000];
	struct nic_rdma op = { .type = NIC_READ,
			       .local = ours,
			       .remote = (uintptr_t)theirs,
			       .len = sizeof(ours) };

	nt_fill(theirs, sizeof(theirs), 3);
	assert_int_equal(nic_mr_reg(t->b.nic, theirs, sizeof(theirs),
				    NIC_REMOTE_READ | NIC_REMOTE_WRITE,
				    &op.rkey),
			 0);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_true(nt_is_filled(ours, sizeof(ours), 3));
	op.type = NIC_WRITE;
	nt_fill(ours, sizeof(ours), 4);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_true(nt_is_filled(theirs, sizeof(theirs), 4));
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
}

/* Into receives of the user; without one nothing is acknowledged. */
static void nic_srd_take__over_ud(void **state)
{
	static uint8_t buf[NIC_MTU], data[NIC_MTU];
	struct iovec iov = { data, sizeof(data) };
	struct nt *t = *state;

	for (uint32_t i = 0; i < 20; i++) {
		nt_fill(data, sizeof(data), i);
		assert_int_equal(nic_send(t->ab, i, NIC_SEND_IMM, i, NULL, 0,
					  &iov, 1, sizeof(data)),
				 1);
		for (int idle = 0; idle < 10; idle++)
			nt_idle(&t->b);
		assert_int_equal(nic_post_recv(t->b.qp, i, buf, sizeof(buf)),
				 0);
		assert_int_equal(nt_wait(&t->b, &t->a)->id, i);
		assert_int_equal(t->b.wc[0].imm, i);
		assert_true(nt_is_filled(buf, sizeof(buf), i));
		assert_int_equal(nt_wait(&t->a, &t->b)->status, NIC_OK);
		t->a.nkept = t->b.nkept = 0;
	}
}

static void
nic_path_resolve__other_ports_of_this_host_share_memory(void **state)
{
	struct nt *t = *state;

	nt_send(t->ab, "here", 4);
	assert_memory_equal(nt_wait(&t->b, NULL)->data, "here", 4);
	nic_give_back(t->b.qp);
	assert_int_equal(fake_get(&fake.sends), 0);
}

/* A container has shared memory of its own. */
static void nic_path_resolve__without_a_segment_by_the_nic(void **state)
{
	struct nt *t = *state;
	struct nt_end other;
	struct nic_ah *ah;
	char dir[] = "/dev/shm/efa-nic-test-XXXXXX";

	assert_non_null(mkdtemp(dir));
	t->config.shm_dir = dir;
	open_on(t, &other, 0, NIC_QP_RDM);
	assert_memory_equal(other.addr.gid, t->a.addr.gid, 16);
	assert_int_equal(nic_ah_open(other.qp, &t->a.addr, 'a', &ah), 0);
	assert_int_equal(nt_send_status(&other, ah, 3), NIC_OK);
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_RECV);
	nic_give_back(t->a.qp);
	nic_ah_close(ah);
	nt_close(&other);
	rmdir(dir);
}

/* Takes what is there until b can sleep. */
static void until_armed(struct nt_end *e)
{
	uint64_t end = u_now() + NT_WAIT_S * U_SEC;

	while (nic_qp_arm(e->qp)) {
		nic_poll(e->qp, e->wc, 1);
		nic_give_back(e->qp);
		NT_CHECK(u_now() < end);
	}
}

static void nic_qp_arm__woken_by_a_packet(void **state)
{
	struct nt *t = *state;
	struct pollfd p = { .fd = nic_qp_fd(t->b.qp), .events = POLLIN };

	for (int i = 0; i < 3; i++) {
		until_armed(&t->b);
		assert_int_equal(nic_send(t->ab, 1, 0, 0, "x", 1, NULL, 0, 0),
				 1);
		assert_int_equal(poll(&p, 1, NT_WAIT_S * 1000), 1);
		assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_RECV);
		nic_give_back(t->b.qp);
		assert_int_equal(nt_wait(&t->a, &t->b)->status, NIC_OK);
	}
}

/* The thread answers a sender while b's user does something else. */
static void nic_watch__answers_while_nobody_polls(void **state)
{
	struct nt *t = *state;

	assert_int_equal(nt_send_status(&t->a, t->ab, 1), NIC_OK);
	assert_int_equal(nt_send_status(&t->a, t->ab, 2), NIC_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_RECV);
		nic_give_back(t->b.qp);
	}
}

static void nic_send__ends_when_the_device_is_gone(void **state)
{
	struct nt *t = *state;
	struct pollfd p = { .fd = nic_qp_fd(t->a.qp), .events = POLLIN };

	both_ways(t, 4, 8);
	fake_set(&fake.lose, 1);
	assert_int_equal(nic_send(t->ab, 7, 0, 0, "x", 1, NULL, 0, 0), 1);
	fake_unplug(0);
	while (nt_wait(&t->a, NULL)->id != 7)
		;
	assert_int_equal(t->a.wc[0].status, NIC_UNRESPONSIVE);
	assert_true(nt_logged("taken away"));
	/* Its descriptor is readable for ever, ours is not. */
	until_armed(&t->a);
	assert_int_equal(poll(&p, 1, 0), 0);
	/* And later ones end too, soon. */
	assert_int_equal(nic_send(t->ab, 8, 0, 0, "x", 1, NULL, 0, 0), 1);
	while (nt_wait(&t->a, NULL)->id != 8)
		;
	assert_int_not_equal(t->a.wc[0].status, NIC_OK);
}

static void nic_send__no_way_to_the_address(void **state)
{
	struct nt *t = *state;

	fake_set(&fake.ah_errno, ENETUNREACH);
	assert_int_equal(nt_send_status(&t->a, t->ab, 1), NIC_UNREACHABLE);
}

/* The question after its link address gets lost. */
static void nic_send__address_that_answers_late(void **state)
{
	struct nt *t = *state;
	uint64_t end = u_now() + NT_WAIT_S * U_SEC;

	fake_set(&fake.ah_errno, ETIMEDOUT);
	assert_int_equal(nic_send(t->ab, 7, 0, 0, "x", 1, NULL, 0, 0), 1);
	while (!nt_logged("no way to 10.0.0.2 yet") && u_now() < end)
		assert_int_equal(nic_poll(t->a.qp, t->a.wc, 1), 0);
	fake_set(&fake.ah_errno, 0);
	assert_int_equal(nt_wait(&t->b, &t->a)->op, NIC_WC_RECV);
	nic_give_back(t->b.qp);
	assert_int_equal(nt_wait(&t->a, &t->b)->id, 7);
	assert_int_equal(t->a.wc[0].status, NIC_OK);
}

/* --- datagrams --- */

static void *answer_late(void *arg)
{
	uint64_t end = u_now() + 50 * U_MSEC;

	while (u_now() < end)
		sched_yield();
	fake_set(&fake.ah_wait, 0);
	return arg;
}

/* Nobody would send it again. */
static void nic_send__first_datagram_waits_for_its_way(void **state)
{
	static uint8_t buf[NIC_MTU + NIC_UD_PREFIX];
	struct iovec iov = { (void *)(uintptr_t) "x", 1 };
	struct nt *t = *state;
	pthread_t thread;

	assert_int_equal(nic_post_recv(t->b.qp, 5, buf, sizeof(buf)), 0);
	fake_set(&fake.ah_wait, 1);
	assert_int_equal(pthread_create(&thread, NULL, answer_late, NULL), 0);
	assert_int_equal(nic_send(t->ab, 1, 0, 0, NULL, 0, &iov, 1, 1), 0);
	pthread_join(thread, NULL);
	assert_int_equal(nt_wait(&t->b, NULL)->id, 5);
}

static void nic_send__datagrams_have_a_limit(void **state)
{
	struct nt *t = *state;
	static uint8_t buf[NIC_MTU + NIC_UD_PREFIX], bytes[NIC_MTU];
	struct iovec iov = { bytes, 0 };
	uint64_t end = u_now() + NT_WAIT_S * U_SEC;
	size_t max = 1024 - 32;

	assert_int_equal(nic_post_recv(t->b.qp, 5, buf, sizeof(buf)), 0);
	assert_int_equal(nic_send(t->ab, 1, 0, 0, NULL, 0, &iov, 1, max + 1),
			 -EMSGSIZE);
	iov.iov_len = max;
	nt_fill(bytes, max, 8);
	/* The first ones get lost if their handle takes longer than usual. */
	do {
		assert_true(u_now() < end);
		assert_int_equal(
			nic_send(t->ab, 1, 0, 0, NULL, 0, &iov, 1, max), 0);
	} while (nic_poll(t->b.qp, t->b.wc, 1) != 1);
	assert_int_equal(t->b.wc[0].id, 5);
	assert_int_equal(t->b.wc[0].len, max + NIC_UD_PREFIX);
	assert_true(nt_is_filled(buf + NIC_UD_PREFIX, max, 8));
}

#define ON(setup, f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TWICE(f)                                                      \
	ON(setup_far, f),                                             \
	{                                                             \
#f ", on a bad network", f, setup_bad, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(setup_far, nic_qp_open__leaves_nothing_when_it_fails),
		ON(setup_far, nic_list_verbs__by_name_and_speed),
		TWICE(nic_send__over_ud),
		TWICE(nic_rdma__over_ud),
		ON(setup_srd, nic_srd_take__over_ud),
		ON(setup_near,
		   nic_path_resolve__other_ports_of_this_host_share_memory),
		ON(setup_near, nic_path_resolve__without_a_segment_by_the_nic),
		ON(setup_far, nic_qp_arm__woken_by_a_packet),
		ON(setup_far, nic_watch__answers_while_nobody_polls),
		ON(setup_far, nic_send__ends_when_the_device_is_gone),
		ON(setup_far, nic_send__no_way_to_the_address),
		ON(setup_far, nic_send__address_that_answers_late),
		ON(setup_ud, nic_send__first_datagram_waits_for_its_way),
		ON(setup_ud, nic_send__datagrams_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
