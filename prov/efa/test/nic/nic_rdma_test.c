/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_rdma_test.c - RDMA: directly, through the ring, between processes
 *
 * What must hold for every way of copying is one function that two tests run.
 */
#include "nic_region.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nic/nic_priv.h"

#define RW (NIC_REMOTE_READ | NIC_REMOTE_WRITE)
#define SMALL 1000
#define LARGE (9u << 20) /* more than a slice of a poll */

static void check_moves(struct nt *t, size_t len)
{
	struct nt_region r;
	struct nic_rdma op;
	struct nic_wc *wc;

	nt_region_open(&r, t, len, RW);
	op = nt_region_op(&r, NIC_READ);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_true(nt_is_filled(r.local, len, 1));

	nt_fill(r.local, len, 3);
	op = nt_region_op(&r, NIC_WRITE);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_true(nt_is_filled(r.mem, len, 3));

	nt_fill(r.local, len, 4);
	op = nt_region_op(&r, NIC_WRITE_IMM);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	wc = nt_wait(&t->b, &t->a);
	assert_int_equal(wc->op, NIC_WC_WRITTEN);
	assert_true(wc->has_imm);
	assert_int_equal(wc->imm, 0x1234);
	assert_int_equal(wc->len, len);
	nic_give_back(t->b.qp);
	assert_true(nt_is_filled(r.mem, len, 4));
	nt_idle(&t->a);
	nt_idle(&t->b);
	nt_region_close(&r);
}

static void check_all_sizes(struct nt *t, bool ring)
{
	static const size_t sizes[] = { 1,
					8,
					SMALL,
					NIC_PIECE - 1,
					NIC_PIECE,
					NIC_PIECE + 1,
					65536,
					NIC_AT_ONCE,
					NIC_AT_ONCE + 1,
					LARGE };
	const struct nic_stats *s;
	uint64_t bytes = 0;

	for (size_t i = 0; i < u_array_size(sizes); i++) {
		check_moves(t, sizes[i]);
		bytes += 3 * sizes[i];
	}
	s = nic_qp_stats(t->a.qp);
	assert_int_equal(s->rdma_bytes, bytes);
	assert_int_equal(ring ? s->rdma_ring : s->rdma_direct,
			 3 * u_array_size(sizes));
	assert_int_equal(ring ? s->rdma_direct : s->rdma_ring, 0);
	assert_int_equal(s->bad_packets, 0);
	assert_int_equal(nic_qp_stats(t->b.qp)->bad_packets, 0);
}

static void nic_rdma__sizes_direct(void **state)
{
	check_all_sizes(*state, false);
}

static void nic_rdma__sizes_ring(void **state)
{
	check_all_sizes(*state, true);
}

/* Nothing is touched and no key is needed; an immediate still arrives. */
static void check_zero_length(struct nt *t)
{
	struct nic_rdma op = { .type = NIC_READ, .id = 1, .rkey = 77 };

	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	op.type = NIC_WRITE;
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	op.type = NIC_WRITE_IMM;
	op.imm = 9;
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_int_equal(nt_wait(&t->b, &t->a)->op, NIC_WC_WRITTEN);
	assert_int_equal(t->b.wc[0].len, 0);
	assert_int_equal(t->b.wc[0].imm, 9);
	nic_give_back(t->b.qp);
}

static void nic_rdma__zero_length_direct(void **state)
{
	check_zero_length(*state);
}

static void nic_rdma__zero_length_ring(void **state)
{
	check_zero_length(*state);
}

static uint8_t try_at(struct nt *t, const struct nt_region *r,
		      enum nic_rdma_type type, uint32_t key, uint64_t remote,
		      size_t len)
{
	struct nic_rdma op = nt_region_op(r, type);

	op.rkey = key;
	op.remote = remote;
	op.len = len;
	return nt_rdma(&t->a, &t->b, t->ab, &op);
}

static void check_bad_keys(struct nt *t)
{
	struct nt_region r;
	uint64_t at;

	nt_region_open(&r, t, SMALL, RW);
	at = (uintptr_t)r.mem;
	for (enum nic_rdma_type type = NIC_READ; type <= NIC_WRITE_IMM;
	     type++) {
		assert_int_equal(try_at(t, &r, type, r.key + 1, at, 1),
				 NIC_BAD_RKEY);
		assert_int_equal(try_at(t, &r, type, 0, at, 1), NIC_BAD_RKEY);
		assert_int_equal(try_at(t, &r, type, r.key + NIC_KEYS_MAX, at,
					1),
				 NIC_BAD_RKEY);
		assert_int_equal(try_at(t, &r, type, r.key, at - 1, 2),
				 NIC_BAD_RKEY);
		assert_int_equal(try_at(t, &r, type, r.key, at, SMALL + 1),
				 NIC_BAD_RKEY);
		assert_int_equal(try_at(t, &r, type, r.key, at + SMALL, 1),
				 NIC_BAD_RKEY);
		assert_int_equal(try_at(t, &r, type, r.key, UINT64_MAX, 2),
				 NIC_BAD_RKEY);
		assert_int_equal(try_at(t, &r, type, r.key, at + SMALL - 1, 1),
				 NIC_OK);
	}
	assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_WRITTEN);
	nic_give_back(t->b.qp);
	nt_idle(&t->b);
	nt_region_close(&r);
}

static void nic_rdma__bad_keys_direct(void **state)
{
	check_bad_keys(*state);
}

static void nic_rdma__bad_keys_ring(void **state)
{
	check_bad_keys(*state);
}

static void check_access(struct nt *t)
{
	struct nt_region r;
	uint64_t at;

	nt_region_open(&r, t, SMALL, NIC_REMOTE_READ);
	at = (uintptr_t)r.mem;
	assert_int_equal(try_at(t, &r, NIC_READ, r.key, at, 8), NIC_OK);
	assert_int_equal(try_at(t, &r, NIC_WRITE, r.key, at, 8), NIC_BAD_RKEY);
	assert_true(nt_is_filled(r.mem, SMALL, 1));
	nt_region_close(&r);
	nt_region_open(&r, t, SMALL, NIC_REMOTE_WRITE);
	at = (uintptr_t)r.mem;
	assert_int_equal(try_at(t, &r, NIC_READ, r.key, at, 8), NIC_BAD_RKEY);
	assert_true(nt_is_filled(r.local, SMALL, 2));
	assert_int_equal(try_at(t, &r, NIC_WRITE, r.key, at, 8), NIC_OK);
	assert_int_equal(nic_mr_dereg(t->b.nic, r.key), 0);
	assert_int_equal(try_at(t, &r, NIC_WRITE, r.key, at, 8), NIC_BAD_RKEY);
	free(r.mem);
	free(r.local);
}

static void nic_rdma__access_and_dereg_direct(void **state)
{
	check_access(*state);
}

static void nic_rdma__access_and_dereg_ring(void **state)
{
	check_access(*state);
}

static void nic_rdma__too_long(void **state)
{
	struct nt *t = *state;
	struct nic_rdma op = { .len = NIC_MAX_RDMA + 1 };

	assert_int_equal(nic_rdma(t->ab, &op), -EMSGSIZE);
}

/* A region that goes while it is read: bytes or an error, then an error. */
static void check_dereg_midway(struct nt *t, enum nic_rdma_type type)
{
	struct nt_region r;
	struct nic_rdma op;

	nt_region_open(&r, t, LARGE, RW);
	op = nt_region_op(&r, type);
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	nt_idle(&t->a);
	nt_idle(&t->b);
	assert_int_equal(nic_mr_dereg(t->b.nic, r.key), 0);
	memset(r.mem, 0x55, r.len);
	assert_int_equal(nt_wait(&t->a, &t->b)->status, NIC_BAD_RKEY);
	for (size_t i = 0; type == NIC_WRITE && i < r.len; i++)
		assert_int_equal(r.mem[i], 0x55);
	free(r.mem);
	free(r.local);
}

static void nic_rdma__dereg_midway_direct(void **state)
{
	check_dereg_midway(*state, NIC_READ);
	check_dereg_midway(*state, NIC_WRITE);
}

static void nic_rdma__dereg_midway_ring(void **state)
{
	check_dereg_midway(*state, NIC_READ);
	check_dereg_midway(*state, NIC_WRITE);
}

/* More operations than may be unanswered, both directions at once. */
static void check_many(struct nt *t)
{
	enum { OPS = 200, LEN = 20000 };
	struct nt_region r;
	int posted = 0, done = 0;

	nt_region_open(&r, t, LEN, RW);
	nt_fill(r.local, LEN, 1);
	while (done < OPS) {
		struct nic_rdma op =
			nt_region_op(&r, posted % 2 ? NIC_WRITE : NIC_READ);
		int rc = posted < OPS ? nic_rdma(t->ab, &op) : -EAGAIN;
		int n;

		posted += rc >= 0;
		done += rc == 0;
		n = nic_poll(t->a.qp, t->a.wc, 64);
		for (int i = 0; i < n; i++)
			assert_int_equal(t->a.wc[i].status, NIC_OK);
		done += n;
		if (posted % 50 == 0 || posted == OPS)
			nt_idle(&t->b);
	}
	assert_true(nt_is_filled(r.mem, LEN, 1));
	assert_true(nt_is_filled(r.local, LEN, 1));
	nt_region_close(&r);
}

static void nic_rdma__many_direct(void **state)
{
	check_many(*state);
}

static void nic_rdma__many_ring(void **state)
{
	check_many(*state);
}

static void nic_rdma__operations_are_bounded(void **state)
{
	struct nt *t = *state;
	struct nt_region r;
	struct nic_rdma op;
	int n = 0, rc;

	nt_region_open(&r, t, 64, RW);
	op = nt_region_op(&r, NIC_READ);
	while ((rc = nic_rdma(t->ab, &op)) == 1)
		n++;
	assert_int_equal(rc, -EAGAIN);
	assert_int_equal(n, NIC_OPS_MAX);
	while (n--)
		assert_int_equal(nt_wait(&t->a, &t->b)->status, NIC_OK);
	nt_region_close(&r);
}

/* Many large reads both ways at once: rings are full all the time. */
static void nic_rdma__both_ways_ring(void **state)
{
	enum { OPS = 12, LEN = 1 << 20 };
	struct nt *t = *state;
	struct nic_rdma op = { .type = NIC_READ, .len = LEN };
	char *mem = malloc(LEN), *to_a = malloc(LEN), *to_b = malloc(LEN);
	uint32_t ka, kb;
	int done = 0;

	nt_fill(mem, LEN, 6);
	assert_int_equal(nic_mr_reg(t->a.nic, mem, LEN, RW, &ka), 0);
	assert_int_equal(nic_mr_reg(t->b.nic, mem, LEN, RW, &kb), 0);
	op.remote = (uintptr_t)mem;
	for (int i = 0; i < OPS; i++) {
		op.local = to_a;
		op.rkey = kb;
		assert_int_equal(nic_rdma(t->ab, &op), 1);
		op.local = to_b;
		op.rkey = ka;
		assert_int_equal(nic_rdma(t->ba, &op), 1);
	}
	while (done < 2 * OPS) {
		done += nic_poll(t->a.qp, t->a.wc, 8);
		done += nic_poll(t->b.qp, t->b.wc, 8);
	}
	assert_true(nt_is_filled(to_a, LEN, 6));
	assert_true(nt_is_filled(to_b, LEN, 6));
	assert_int_equal(nic_mr_dereg(t->a.nic, ka), 0);
	assert_int_equal(nic_mr_dereg(t->b.nic, kb), 0);
	free(mem);
	free(to_a);
	free(to_b);
}

/* The buffer of a forgotten read is not written, that of a write not read. */
static void check_forgotten(struct nt *t, enum nic_rdma_type type)
{
	struct nt_region r;
	struct nic_rdma op;
	char *local;

	nt_region_open(&r, t, LARGE, RW);
	local = r.local;
	op = nt_region_op(&r, type);
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	nt_idle(&t->a);
	nt_idle(&t->b);
	nic_ah_close(t->ab);
	free(local);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 'b', &t->ab), 0);
	r.local = malloc(r.len);
	op = nt_region_op(&r, NIC_READ);
	assert_int_equal(nt_rdma(&t->a, &t->b, t->ab, &op), NIC_OK);
	assert_int_equal(t->a.wc[0].id, op.id);
	nt_idle(&t->a);
	nt_idle(&t->b);
	nt_region_close(&r);
	assert_int_equal(nic_qp_stats(t->a.qp)->bad_packets, 0);
	assert_int_equal(nic_qp_stats(t->b.qp)->bad_packets, 0);
}

static void nic_ah_close__forgets_rdma_direct(void **state)
{
	check_forgotten(*state, NIC_READ);
	check_forgotten(*state, NIC_WRITE_IMM);
}

static void nic_ah_close__forgets_rdma_ring(void **state)
{
	check_forgotten(*state, NIC_READ);
	check_forgotten(*state, NIC_WRITE_IMM);
}

static void nic_rdma__peer_closes_ring(void **state)
{
	struct nt *t = *state;
	static char local[64];
	struct nic_rdma op = { .local = local, .len = 64, .id = 5 };

	assert_int_equal(nic_rdma(t->ab, &op), 1);
	nic_ah_close(t->ba);
	t->ba = NULL;
	nt_close(&t->b);
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_READ);
	assert_int_equal(t->a.wc[0].id, 5);
	assert_int_equal(t->a.wc[0].status, NIC_PEER_RESET);
	assert_int_equal(nt_wait(&t->a, NULL)->op, NIC_WC_GONE);
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	assert_int_equal(nt_wait(&t->a, NULL)->status, NIC_NO_QP);
}

/* An immediate that finds the ring full is sent when there is room. */
static void nic_rdma__imm_waits_for_room(void **state)
{
	static char buf[NIC_MTU];
	struct nt *t = *state;
	struct iovec iov = { buf, sizeof(buf) };
	struct nic_rdma op = { .type = NIC_WRITE_IMM, .id = 8, .imm = 3 };
	int n = 0;

	while (!nic_send(t->ab, 0, 0, 0, NULL, 0, &iov, 1, sizeof(buf)) ||
	       !nic_send(t->ab, 0, 0, 0, NULL, 0, NULL, 0, 0))
		n++;
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	nt_idle(&t->a);
	assert_int_equal(nic_qp_arm(t->a.qp), 1);
	while (n--) {
		assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_RECV);
		nic_give_back(t->b.qp);
	}
	assert_int_equal(nt_wait(&t->a, NULL)->id, 8);
	assert_int_equal(t->a.wc[0].status, NIC_OK);
	assert_int_equal(nt_wait(&t->b, NULL)->op, NIC_WC_WRITTEN);
	nic_give_back(t->b.qp);
}

/* --- two processes: cross-memory attach where the kernel lets us --- */

struct offer {
	struct nic_addr addr;
	uint64_t at;
	uint32_t key, stale;
};

static int child_serves(struct nt *t, int sock)
{
	struct nt_end e;
	struct offer o;
	char *mem = malloc(LARGE);
	struct nic_wc *wc;

	nt_open(t, &e, NIC_QP_RDM);
	nt_fill(mem, LARGE, 11);
	NT_CHECK(nic_mr_reg(e.nic, mem, LARGE, RW, &o.stale) == 0);
	NT_CHECK(nic_mr_dereg(e.nic, o.stale) == 0);
	NT_CHECK(nic_mr_reg(e.nic, mem, LARGE, RW, &o.key) == 0);
	o.addr = e.addr;
	o.at = (uintptr_t)mem;
	nt_tell(sock, &o, sizeof(o));
	wc = nt_wait(&e, NULL);
	NT_CHECK(wc->op == NIC_WC_WRITTEN && wc->imm == 21);
	NT_CHECK(wc->len == LARGE);
	NT_CHECK(nt_is_filled(mem, LARGE, 12));
	nic_give_back(e.qp);
	NT_CHECK(nic_mr_dereg(e.nic, o.key) == 0);
	nt_tell(sock, "d", 1);
	nt_wait(&e, NULL);
	return 0;
}

static void check_processes(struct nt *t)
{
	struct nt_child c;
	struct nic_rdma op = { .len = LARGE };
	struct offer o;
	char *mem = malloc(LARGE), done;

	nt_fork(t, &c, child_serves);
	nt_open(t, &t->a, NIC_QP_RDM);
	nt_hear(c.sock, &o, sizeof(o));
	assert_int_equal(nic_ah_open(t->a.qp, &o.addr, 1, &t->ab), 0);
	op.local = mem;
	op.remote = o.at;
	op.rkey = o.stale;
	assert_int_equal(nt_rdma(&t->a, NULL, t->ab, &op), NIC_BAD_RKEY);
	op.rkey = o.key;
	assert_int_equal(nt_rdma(&t->a, NULL, t->ab, &op), NIC_OK);
	assert_true(nt_is_filled(mem, LARGE, 11));
	op.len = 10;
	assert_int_equal(nt_rdma(&t->a, NULL, t->ab, &op), NIC_OK);
	op.len = LARGE;
	op.type = NIC_WRITE_IMM;
	op.imm = 21;
	nt_fill(mem, LARGE, 12);
	assert_int_equal(nt_rdma(&t->a, NULL, t->ab, &op), NIC_OK);
	nt_hear(c.sock, &done, 1);
	op.type = NIC_READ;
	assert_int_equal(nt_rdma(&t->a, NULL, t->ab, &op), NIC_BAD_RKEY);
	nt_send(t->ab, "bye", 3);
	assert_int_equal(nt_join(&c), 0);
	free(mem);
}

static void nic_rdma__processes_direct(void **state)
{
	struct nt *t = *state;

	check_processes(t);
	if (nt_logged("by cross-memory attach: its token"))
		assert_int_equal(nic_qp_stats(t->a.qp)->rdma_direct, 3);
}

static void nic_rdma__processes_ring(void **state)
{
	struct nt *t = *state;

	t->config.no_cma = true;
	check_processes(t);
	assert_int_equal(nic_qp_stats(t->a.qp)->rdma_ring, 3);
	assert_int_equal(nic_qp_stats(t->a.qp)->rdma_direct, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NT_PAIR(nic_rdma__sizes_direct),
		NT_RING(nic_rdma__sizes_ring),
		NT_PAIR(nic_rdma__zero_length_direct),
		NT_RING(nic_rdma__zero_length_ring),
		NT_PAIR(nic_rdma__bad_keys_direct),
		NT_RING(nic_rdma__bad_keys_ring),
		NT_PAIR(nic_rdma__access_and_dereg_direct),
		NT_RING(nic_rdma__access_and_dereg_ring),
		NT_PAIR(nic_rdma__too_long),
		NT_PAIR(nic_rdma__dereg_midway_direct),
		NT_RING(nic_rdma__dereg_midway_ring),
		NT_PAIR(nic_rdma__many_direct),
		NT_RING(nic_rdma__many_ring),
		NT_RING(nic_rdma__operations_are_bounded),
		NT_RING(nic_rdma__both_ways_ring),
		NT_PAIR(nic_ah_close__forgets_rdma_direct),
		NT_RING(nic_ah_close__forgets_rdma_ring),
		NT_RING(nic_rdma__peer_closes_ring),
		NT_PAIR(nic_rdma__imm_waits_for_room),
		NT_DIR(nic_rdma__processes_direct),
		NT_DIR(nic_rdma__processes_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
