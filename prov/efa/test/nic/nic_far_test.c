/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_far_test.c - peers that are reached over UDP, here on loopback
 */
#include "nic_fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic/nic_gid.h"
#include "nic/nic_priv.h"

/* --- sends --- */

/* A send and its completion; the peer is polled by its thread. */
static void send_far(struct nt_end *e, struct nic_ah *ah, uint64_t id,
		     const void *p, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)p, len };
	int rc = -EAGAIN;

	while (rc == -EAGAIN) {
		rc = nic_send(ah, id, 0, 0, NULL, 0, &iov, 1, len);
		if (rc == -EAGAIN)
			nt_poll_ms(e, 0, NIC_WC_SEND);
	}
	NT_CHECK(rc == 1);
}

static void nic_far_send__sizes(void **state)
{
	static const size_t sizes[] = {
		0, 1, 8, 56, 1400, 4096, 8000, 8900, NIC_MTU - 1, NIC_MTU
	};
	struct nt *t = *state;
	struct nic_addr from;
	char buf[NIC_MTU];
	struct nic_wc *wc;

	for (size_t i = 0; i < u_array_size(sizes); i++) {
		nt_fill(buf, sizes[i], (uint32_t)i);
		send_far(&t->a, t->ab, i, buf, sizes[i]);
		memset(buf, 0, sizeof(buf));
		wc = nt_wait(&t->b, &t->a);
		assert_int_equal(wc->op, NIC_WC_RECV);
		assert_int_equal(wc->len, sizes[i]);
		assert_true(nt_is_filled(wc->data, sizes[i], (uint32_t)i));
		assert_int_equal(nic_source(t->b.qp, wc->source, &from), 0);
		assert_memory_equal(&from, &t->a.addr, sizeof(from));
		nic_give_back(t->b.qp);
		wc = nt_wait(&t->a, &t->b);
		assert_int_equal(wc->op, NIC_WC_SEND);
		assert_int_equal(wc->id, i);
		assert_int_equal(wc->status, NIC_OK);
	}
}

static void nic_far_send__immediate_and_header(void **state)
{
	struct nt *t = *state;
	struct iovec iov = { (void *)(uintptr_t) "body", 4 };
	struct nic_wc *wc;

	assert_int_equal(
		nic_send(t->ab, 3, NIC_SEND_IMM, 77, "head", 4, &iov, 1, 4), 1);
	wc = nt_wait(&t->b, &t->a);
	assert_true(wc->has_imm);
	assert_int_equal(wc->imm, 77);
	assert_int_equal(wc->len, 8);
	assert_memory_equal(wc->data, "headbody", 8);
	nic_give_back(t->b.qp);
}

/* Each message holds its number; all come once, in whatever order. */
static void exchange(struct nt *t, uint32_t count)
{
	uint8_t *seen[2] = { calloc(count, 1), calloc(count, 1) };
	struct nt_end *end[2] = { &t->a, &t->b };
	struct nic_ah *ah[2] = { t->ab, t->ba };
	uint32_t sent[2] = { 0 }, got[2] = { 0 }, done[2] = { 0 };
	uint32_t msg[500];

	while (got[0] < count || got[1] < count || done[0] < count ||
	       done[1] < count) {
		for (int i = 0; i < 2; i++) {
			struct nic_wc wc[16];
			int n;

			msg[0] = sent[i];
			if (sent[i] < count &&
			    nic_send(ah[i], sent[i], 0, 0, msg,
				     4 + sent[i] % 1900, NULL, 0, 0) == 1)
				sent[i]++;
			n = nic_poll(end[i]->qp, wc, 16);
			for (int k = 0; k < n; k++) {
				uint32_t number;

				NT_CHECK(wc[k].status == NIC_OK);
				if (wc[k].op == NIC_WC_SEND) {
					done[i]++;
					continue;
				}
				NT_CHECK(wc[k].op == NIC_WC_RECV);
				memcpy(&number, wc[k].data, 4);
				NT_CHECK(number < count && !seen[i][number]);
				NT_CHECK(wc[k].len == 4 + number % 1900);
				seen[i][number] = 1;
				got[i]++;
			}
			nic_give_back(end[i]->qp);
		}
	}
	free(seen[0]);
	free(seen[1]);
}

static void nic_far_send__many_both_ways(void **state)
{
	exchange(*state, 5000);
}

static void nic_far_send__bad_network(void **state)
{
	exchange(*state, 3000);
	assert_true(nt_logged("spoilt on purpose"));
}

static void nic_far_send__nobody_there(void **state)
{
	struct nt *t = *state;
	struct nic_addr addr = t->b.addr;
	struct nic_ah *ah[2];

	addr.qkey++;
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 1, &ah[0]), 0);
	addr.qpn = 1; /* nobody listens there */
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 2, &ah[1]), 0);
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(
			nic_send(ah[i % 2], i, 0, 0, "x", 1, NULL, 0, 0), 1);
		assert_int_equal(nt_wait(&t->a, &t->b)->status, NIC_NO_QP);
	}
	nic_ah_close(ah[0]);
	nic_ah_close(ah[1]);
}

static void nic_far_send__other_family(void **state)
{
	struct nt *t = *state;
	struct nic_addr addr = t->b.addr;
	struct nic_ah *ah;

	memset(addr.gid, 0, 16);
	addr.gid[0] = 0xfd;
	addr.gid[15] = 1;
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 1, &ah), 0);
	assert_int_equal(nt_send_status(&t->a, ah, 5), NIC_UNREACHABLE);
	assert_true(nt_logged("fd00::1"));
	nic_ah_close(ah);
}

/* --- RDMA --- */

#define BIG (3u << 20)

/*
 * The peer's memory is filled before it is registered and looked at after that
 * ended: a thread may be what serves it, and may send bytes again that we have.
 */
static void check_rdma_of(struct nt *t, enum nic_rdma_type type, size_t len)
{
	char *mem = malloc(len + 1), *local = malloc(len + 1);
	struct nic_rdma op = { .type = type,
			       .remote = (uintptr_t)mem,
			       .local = local,
			       .len = len };
	uint32_t seed = (uint32_t)len + type;

	memset(mem, 0, len);
	memset(local, 0, len);
	nt_fill(type == NIC_READ ? mem : local, len, seed);
	assert_int_equal(nic_mr_reg(t->b.nic, mem, len,
				    NIC_REMOTE_READ | NIC_REMOTE_WRITE,
				    &op.rkey),
			 0);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
	assert_true(nt_is_filled(type == NIC_READ ? local : mem, len, seed));
	free(mem);
	free(local);
}

static void check_rdma(struct nt *t)
{
	static const size_t sizes[] = { 0, 1, 8928, 100000, BIG };

	for (size_t i = 0; i < u_array_size(sizes); i++) {
		check_rdma_of(t, NIC_READ, sizes[i]);
		check_rdma_of(t, NIC_WRITE, sizes[i]);
	}
}

static void nic_far_rdma__sizes(void **state)
{
	check_rdma(*state);
}

static void nic_far_rdma__bad_network(void **state)
{
	check_rdma(*state);
}

static void nic_far_rdma__bad_keys(void **state)
{
	struct nt *t = *state;
	char mem[256] = { 0 }, local[256] = { 1 };
	struct nic_rdma op = {
		.type = NIC_WRITE,
		.local = local,
		.remote = (uintptr_t)mem,
		.len = sizeof(mem),
	};

	assert_int_equal(nic_mr_reg(t->b.nic, mem, sizeof(mem), NIC_REMOTE_READ,
				    &op.rkey),
			 0);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_BAD_RKEY);
	op.type = NIC_READ;
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	op.remote++;
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_BAD_RKEY);
	op.remote--;
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_BAD_RKEY);
	op.len = 0;
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_int_equal(mem[0], 0);
}

static void check_write_imm(struct nt *t, size_t len)
{
	char *mem = calloc(1, len + 1), *local = malloc(len + 1);
	struct nic_rdma op = {
		.type = NIC_WRITE_IMM,
		.local = local,
		.remote = (uintptr_t)mem,
		.len = len,
		.imm = 4711,
	};
	struct nic_wc *wc;

	assert_int_equal(
		nic_mr_reg(t->b.nic, mem, len, NIC_REMOTE_WRITE, &op.rkey), 0);
	nt_fill(local, len, 9);
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	wc = nt_wait(&t->b, &t->a);
	assert_int_equal(wc->op, NIC_WC_WRITTEN);
	assert_int_equal(wc->imm, 4711);
	assert_int_equal(wc->len, len);
	assert_true(nt_is_filled(mem, len, 9));
	assert_int_equal(nt_wait(&t->a, &t->b)->status, NIC_OK);
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
	free(mem);
	free(local);
}

static void nic_far_rdma__write_imm(void **state)
{
	check_write_imm(*state, 0);
	check_write_imm(*state, 100);
	check_write_imm(*state, 1 << 20);
}

static void nic_far_rdma__closed_handle_lets_go(void **state)
{
	struct nt *t = *state;
	char *mem = malloc(BIG), *local = malloc(BIG);
	struct nic_rdma op = {
		.type = NIC_READ,
		.local = local,
		.remote = (uintptr_t)mem,
		.len = BIG,
	};

	assert_int_equal(
		nic_mr_reg(t->b.nic, mem, BIG, NIC_REMOTE_READ, &op.rkey), 0);
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	nic_ah_close(t->ab);
	t->ab = NULL;
	free(local);
	assert_int_equal(nt_poll_ms(&t->a, 30, NIC_WC_READ), 0);
	assert_int_equal(nic_mr_dereg(t->b.nic, op.rkey), 0);
	free(mem);
}

/* --- who drives --- */

/* b never polls: its thread acknowledges, and keeps what came. */
static void nic_watch__answers_for_its_user(void **state)
{
	struct nt *t = *state;
	uint32_t count = 100;

	for (uint32_t i = 0; i < count; i++)
		send_far(&t->a, t->ab, i, &i, sizeof(i));
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(nt_wait(&t->a, NULL)->status, NIC_OK);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_RECV);
		nic_give_back(t->b.qp);
	}
	nt_idle(&t->b);
}

/* More than is kept for a user who does not poll: nothing is lost. */
static void nic_watch__holds_senders_back(void **state)
{
	struct nt *t = *state;
	uint32_t count = 3 * NIC_FAR_KEPT, done = 0, got = 0;
	struct nic_wc wc[16];

	for (uint32_t i = 0; i < count; i++)
		send_far(&t->a, t->ab, i, &i, sizeof(i));
	done = (uint32_t)nt_poll_ms(&t->a, 100, NIC_WC_SEND);
	assert_in_range(done, NIC_FAR_CROWDED / 2, NIC_FAR_KEPT);
	while (got < count || done < count) {
		int n = nic_poll(t->b.qp, wc, 16);

		got += (uint32_t)n;
		nic_give_back(t->b.qp);
		n = nic_poll(t->a.qp, wc, 16);
		for (int k = 0; k < n; k++)
			NT_CHECK(wc[k].status == NIC_OK);
		done += (uint32_t)n;
		nic_give_back(t->a.qp);
	}
	assert_int_equal(got, count);
}

static void nic_qp_arm__far_packet_wakes(void **state)
{
	struct nt *t = *state;
	struct pollfd fd = { .fd = nic_qp_fd(t->b.qp), .events = POLLIN };

	for (int i = 0; i < 3; i++) {
		struct nic_wc *wc;

		while (nic_qp_arm(t->b.qp))
			nt_poll_ms(&t->b, 0, NIC_WC_RECV);
		send_far(&t->a, t->ab, 1, "wake up", 7);
		assert_int_equal(poll(&fd, 1, NT_WAIT_S * 1000), 1);
		wc = nt_wait(&t->b, NULL);
		assert_int_equal(wc->op, NIC_WC_RECV);
		assert_memory_equal(wc->data, "wake up", 7);
		nic_give_back(t->b.qp);
		assert_int_equal(nt_wait(&t->a, &t->b)->status, NIC_OK);
	}
}

/* --- ends --- */

static void nic_far_peer__closes(void **state)
{
	struct nt *t = *state;

	send_far(&t->a, t->ab, 1, "x", 1);
	assert_int_equal(nt_wait(&t->b, &t->a)->op, NIC_WC_RECV);
	nic_give_back(t->b.qp);
	assert_int_equal(nt_wait(&t->a, &t->b)->op, NIC_WC_SEND);
	nic_ah_close(t->ba);
	t->ba = NULL;
	nt_close(&t->b);
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_GONE);
	assert_int_equal(t->a.wc[0].id, 'b');
	assert_int_equal(nt_send_status(&t->a, t->ab, 3), NIC_NO_QP);
	assert_int_equal(nt_poll_ms(&t->a, 100, NIC_WC_GONE), 0);
}

/* What was sent before a close arrives, however bad the network. */
static void nic_qp_close__lingers(void **state)
{
	struct nt *t = *state;
	uint32_t count = 100;

	for (uint32_t i = 0; i < count; i++)
		send_far(&t->a, t->ab, i, &i, sizeof(i));
	nic_ah_close(t->ab);
	t->ab = NULL;
	nt_close(&t->a);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_RECV);
		nic_give_back(t->b.qp);
	}
}

static int child_victim(struct nt *t, int sock)
{
	struct nt_end e;
	struct nic_addr parent;
	struct nic_ah *ah;

	nt_hear(sock, &parent, sizeof(parent));
	nt_open(t, &e, NIC_QP_RDM);
	NT_CHECK(nic_ah_open(e.qp, &parent, 0, &ah) == 0);
	send_far(&e, ah, 1, "one", 3);
	nt_wait(&e, NULL);
	nt_tell(sock, &e.addr, sizeof(e.addr));
	while (nt_wait(&e, NULL)->op != NIC_WC_GONE)
		nic_give_back(e.qp);
	return 0;
}

/* The child has sent to us, and we to it. */
static struct nic_ah *meet_victim(struct nt *t, struct nt_child *c)
{
	struct nic_addr victim;
	struct nic_ah *ah;

	t->config.no_shm = true;
	nt_fork(t, c, child_victim);
	nt_open(t, &t->a, NIC_QP_RDM);
	nt_tell(c->sock, &t->a.addr, sizeof(t->a.addr));
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_RECV);
	nic_give_back(t->a.qp);
	nt_hear(c->sock, &victim, sizeof(victim));
	assert_int_equal(nic_ah_open(t->a.qp, &victim, 'v', &ah), 0);
	send_far(&t->a, ah, 1, "x", 1);
	assert_int_equal(nt_wait(&t->a, NULL)->status, NIC_OK);
	return ah;
}

static void nic_far_peer__is_killed(void **state)
{
	struct nt *t = *state;
	struct nt_child c;
	struct nic_ah *ah = meet_victim(t, &c);
	uint64_t killed;

	nt_kill(&c);
	killed = u_now();
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_GONE);
	assert_int_equal(t->a.wc[0].id, 'v');
	/* A look at who is idle each second; what ICMP says to it at once. */
	assert_true(u_now() - killed < 1600 * U_MSEC);
	assert_int_equal(nt_send_status(&t->a, ah, 2), NIC_NO_QP);
	nic_ah_close(ah);
}

/* Given up while it was stopped, it learns that, and does not live by half. */
static void nic_far_peer__is_cut_off(void **state)
{
	struct nt *t = *state;
	struct nt_child c;
	struct nic_ah *ah;

	t->config.peer_timeout = U_SEC;
	ah = meet_victim(t, &c);
	kill(c.pid, SIGSTOP);
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_GONE);
	kill(c.pid, SIGCONT);
	assert_int_equal(nt_join(&c), 0);
	nic_ah_close(ah);
}

/* The next process on a port is not the one before. */
static void nic_far_peer__restarts_on_its_port(void **state)
{
	struct nt *t = *state;
	struct nic_addr old = t->b.addr;
	struct nic_ah *ah;
	struct nic_wc *wc;

	send_far(&t->a, t->ab, 1, "x", 1);
	nt_wait(&t->b, &t->a);
	nic_give_back(t->b.qp);
	nic_ah_close(t->ba);
	t->ba = NULL;
	nt_close(&t->b);
	t->config.port_min = t->config.port_max = (uint16_t)old.qpn;
	nt_open(t, &t->b, NIC_QP_RDM);
	assert_int_equal(t->b.addr.qpn, old.qpn);
	while (nt_wait(&t->a, &t->b)->op != NIC_WC_GONE)
		;
	assert_int_equal(nt_send_status(&t->a, t->ab, 2), NIC_NO_QP);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 'n', &ah), 0);
	send_far(&t->a, ah, 3, "new", 3);
	wc = nt_wait(&t->b, &t->a);
	assert_memory_equal(wc->data, "new", 3);
	nic_give_back(t->b.qp);
	nic_ah_close(ah);
}

/* --- datagrams and strangers --- */

static void nic_far_ud__sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 1000, NIC_MTU };
	struct nt *t = *state;
	char in[NIC_MTU + NIC_UD_PREFIX], out[NIC_MTU];
	struct nic_addr from;
	struct nic_ah *ah;
	struct nic_wc *wc;

	t->config.no_shm = true;
	nt_open(t, &t->a, NIC_QP_UD);
	nt_open(t, &t->b, NIC_QP_UD);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 0, &ah), 0);
	for (size_t i = 0; i < u_array_size(sizes); i++) {
		nt_fill(out, sizes[i], (uint32_t)i);
		assert_int_equal(nic_post_recv(t->b.qp, i, in, sizeof(in)), 0);
		assert_int_equal(
			nic_send(ah, 0, 0, 0, out, sizes[i], NULL, 0, 0), 0);
		wc = nt_wait(&t->b, NULL);
		assert_int_equal(wc->id, i);
		assert_int_equal(wc->len, sizes[i] + NIC_UD_PREFIX);
		assert_true(nt_is_filled(in + NIC_UD_PREFIX, sizes[i],
					 (uint32_t)i));
		assert_int_equal(nic_source(t->b.qp, wc->source, &from), 0);
		assert_memory_equal(&from, &t->a.addr, sizeof(from));
	}
	nic_ah_close(ah);
}

static void nic_far_ud__without_header(void **state)
{
	struct nt *t = *state;
	char in[NIC_UD_PREFIX + 4], out[] = "abcd";
	struct iovec iov[] = { { NULL, 0 }, { out, 4 } };
	struct nic_ah *ah;

	t->config.no_shm = true;
	nt_open(t, &t->a, NIC_QP_UD);
	nt_open(t, &t->b, NIC_QP_UD);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 0, &ah), 0);
	assert_int_equal(nic_post_recv(t->b.qp, 1, in, sizeof(in)), 0);
	assert_int_equal(nic_send(ah, 0, 0, 0, NULL, 0, iov, 2, 4), 0);
	nt_wait(&t->b, NULL);
	assert_memory_equal(in + NIC_UD_PREFIX, out, 4);
	nic_ah_close(ah);
}

static void nic_far_poll__strangers_do_no_harm(void **state)
{
	struct nt *t = *state;
	struct sockaddr_storage ss;
	socklen_t len =
		nic_gid_sockaddr(t->b.addr.gid, (uint16_t)t->b.addr.qpn, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM, 0);
	uint8_t junk[300];

	for (uint32_t i = 0; i < 500; i++) {
		nt_fill(junk, sizeof(junk), i);
		if (i % 2)
			junk[0] = 0xe1;
		sendto(fd, junk, i % sizeof(junk), 0, (struct sockaddr *)&ss,
		       len);
	}
	close(fd);
	nt_poll_ms(&t->b, 20, NIC_WC_RECV);
	send_far(&t->a, t->ab, 1, "fine", 4);
	assert_memory_equal(nt_wait(&t->b, &t->a)->data, "fine", 4);
	nic_give_back(t->b.qp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NT_FAR(nic_far_send__sizes),
		NT_FAR(nic_far_send__immediate_and_header),
		NT_FAR(nic_far_send__many_both_ways),
		NT_FAR_BAD(nic_far_send__bad_network),
		NT_FAR(nic_far_send__nobody_there),
		NT_FAR(nic_far_send__other_family),
		NT_FAR(nic_far_rdma__sizes),
		NT_FAR_BAD(nic_far_rdma__bad_network),
		NT_FAR(nic_far_rdma__bad_keys),
		NT_FAR(nic_far_rdma__write_imm),
		NT_FAR(nic_far_rdma__closed_handle_lets_go),
		NT_FAR(nic_watch__answers_for_its_user),
		NT_FAR(nic_watch__holds_senders_back),
		NT_FAR(nic_qp_arm__far_packet_wakes),
		NT_FAR(nic_far_peer__closes),
		NT_FAR_BAD(nic_qp_close__lingers),
		NT_DIR(nic_far_peer__is_killed),
		NT_DIR(nic_far_peer__is_cut_off),
		NT_FAR(nic_far_peer__restarts_on_its_port),
		NT_DIR(nic_far_ud__sizes),
		NT_DIR(nic_far_ud__without_header),
		NT_FAR(nic_far_poll__strangers_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
