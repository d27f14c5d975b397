/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_hostile_test.c - peers that write what no software NIC writes
 *
 * They come in through the wire below, so the records are well-formed and
 * their content is anything. Run it under the address sanitizer.
 */
#include "nic_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nic/nic_priv.h"

#define RW (NIC_REMOTE_READ | NIC_REMOTE_WRITE)

/* A bare end of the wire with a link to a. */
struct enemy {
	struct wire_shm *shm;
	struct wire_shm_link *link;
};

static void enemy_open(struct nt *t, struct enemy *x, uint32_t qpn)
{
	struct wire_shm_config config = { .dir = t->dir };
	struct wire_shm_id self = { .qpn = qpn, .connid = 9 };
	struct wire_shm_id peer = { .qpn = t->a.addr.qpn,
				    .connid = t->a.addr.qkey };

	memcpy(self.gid, t->a.addr.gid, 16);
	memcpy(peer.gid, t->a.addr.gid, 16);
	assert_int_equal(wire_shm_open(&config, &self, &x->shm), 0);
	assert_int_equal(wire_shm_link_open(x->shm, &peer, &x->link), 0);
}

static void enemy_close(struct enemy *x)
{
	wire_shm_link_close(x->link);
	wire_shm_close(x->shm);
}

static void enemy_send(struct enemy *x, uint32_t word, const void *p,
		       size_t len)
{
	assert_true(wire_shm_send(x->link, word, 0, p, len, NULL, 0, 0) >= 0);
}

/* What comes back: the kind of the next record, or -1. */
static int enemy_hears(struct enemy *x, void *to, size_t len)
{
	struct wire_shm_pkt pkt;

	if (!wire_shm_poll(x->shm, &pkt, 1))
		return -1;
	if (to)
		memcpy(to, pkt.data, u_min(len, pkt.len));
	wire_shm_give_back(x->shm);
	return (int)pkt.word;
}

static void nic_poll__unknown_kinds(void **state)
{
	static char buf[WIRE_SHM_MAX];
	struct nt *t = *state;
	struct enemy x;

	enemy_open(t, &x, 7);
	enemy_send(&x, NIC_PKT_WRITTEN + 1, buf, 64);
	enemy_send(&x, UINT32_MAX, buf, 64);
	enemy_send(&x, 0x100, buf, 0);
	enemy_send(&x, NIC_PKT_SEND, buf, NIC_MTU + 1);
	enemy_send(&x, NIC_PKT_SEND_IMM, buf, NIC_MTU + 9);
	for (uint32_t kind = NIC_PKT_SEND_IMM; kind <= NIC_PKT_WRITTEN; kind++)
		enemy_send(&x, kind, buf, 7);
	enemy_send(&x, NIC_PKT_SEND, "good", 4);
	assert_int_equal(nt_wait(&t->a, NULL)->len, 4);
	nic_give_back(t->a.qp);
	assert_int_equal(nic_qp_stats(t->a.qp)->bad_packets, 11);
	enemy_close(&x);
}

/* Answers to questions of somebody else, or to none. */
static void nic_rdma_data__foreign_answers(void **state)
{
	struct nt *t = *state;
	struct nic_rdma op = { .type = NIC_READ, .id = 5, .len = 64 };
	struct {
		struct nic_pkt_data h;
		char data[64];
	} answer = { 0 };
	struct nic_pkt_ack ack = { .status = NIC_BAD_RKEY };
	uint64_t bad = 0;
	char mem[64], local[64];
	uint32_t key;
	struct enemy x;

	enemy_open(t, &x, 7);
	nt_fill(mem, 64, 1);
	nt_fill(local, 64, 2);
	assert_int_equal(nic_mr_reg(t->b.nic, mem, 64, RW, &key), 0);
	op.remote = (uintptr_t)mem;
	op.rkey = key;
	op.local = local;
	assert_int_equal(nic_rdma(t->ab, &op), 1);
	for (uint32_t id = 0; id < 200; id++, bad += 2) {
		answer.h.id = ack.id = id | (id & 1) << 20;
		enemy_send(&x, NIC_PKT_DATA, &answer, sizeof(answer));
		enemy_send(&x, NIC_PKT_ACK, &ack, sizeof(ack));
		nt_idle(&t->a);
	}
	assert_true(nt_is_filled(local, 64, 2));
	assert_int_equal(nic_qp_stats(t->a.qp)->bad_packets, bad);
	assert_int_equal(nt_wait(&t->a, &t->b)->status, NIC_OK);
	assert_true(nt_is_filled(local, 64, 1));
	assert_int_equal(nic_mr_dereg(t->b.nic, key), 0);
	enemy_close(&x);
}

static void nic_remote_write__ranges(void **state)
{
	struct nt *t = *state;
	struct {
		struct nic_pkt_range h;
		char data[16];
	} w = { 0 };
	struct nic_pkt_ack ack;
	char mem[64];
	uint32_t key;
	struct enemy x;

	enemy_open(t, &x, 7);
	nt_fill(mem, 64, 1);
	assert_int_equal(nic_mr_reg(t->a.nic, mem + 16, 32, RW, &key), 0);
	w.h = (struct nic_pkt_range){ .id = 3,
				      .rkey = key,
				      .remote = (uintptr_t)mem + 16 };
	/* Bytes beyond the operation's own end: impossible. */
	w.h.len = 8;
	enemy_send(&x, NIC_PKT_WRITE, &w, sizeof(w));
	w.h.len = 32;
	w.h.offset = 17;
	enemy_send(&x, NIC_PKT_WRITE, &w, sizeof(w));
	w.h.offset = UINT64_MAX - 7;
	enemy_send(&x, NIC_PKT_WRITE, &w, sizeof(w));
	w.h.offset = 0;
	w.h.len = UINT64_MAX;
	enemy_send(&x, NIC_PKT_WRITE, &w, sizeof(w));
	nt_idle(&t->a);
	assert_int_equal(nic_qp_stats(t->a.qp)->bad_packets, 4);
	assert_int_equal(enemy_hears(&x, NULL, 0), -1);
	/* Outside of the region: refused, with an answer. */
	w.h.len = 33;
	w.h.offset = 17;
	enemy_send(&x, NIC_PKT_WRITE, &w, sizeof(w));
	nt_idle(&t->a);
	assert_int_equal(enemy_hears(&x, &ack, sizeof(ack)), NIC_PKT_ACK);
	assert_int_equal(ack.id, 3);
	assert_int_equal(ack.status, NIC_BAD_RKEY);
	w.h.remote -= 1;
	w.h.len = 16;
	w.h.offset = 0;
	enemy_send(&x, NIC_PKT_WRITE, &w, sizeof(w));
	nt_idle(&t->a);
	assert_int_equal(enemy_hears(&x, &ack, sizeof(ack)), NIC_PKT_ACK);
	assert_int_equal(ack.status, NIC_BAD_RKEY);
	assert_true(nt_is_filled(mem, 64, 1));
	assert_int_equal(nic_mr_dereg(t->a.nic, key), 0);
	enemy_close(&x);
}

/* More questions than allowed, from one who never reads the answers. */
static void nic_remote_read__too_many(void **state)
{
	struct nt *t = *state;
	struct nic_pkt_range h = { .len = 1 << 20 };
	static char mem[1 << 20];
	struct enemy x;
	uint32_t key;

	enemy_open(t, &x, 7);
	assert_int_equal(nic_mr_reg(t->a.nic, mem, sizeof(mem), RW, &key), 0);
	h.rkey = key;
	h.remote = (uintptr_t)mem;
	for (uint32_t i = 0; i < NIC_RING_OPS + 10; i++) {
		h.id = i;
		enemy_send(&x, NIC_PKT_READ, &h, sizeof(h));
		nt_idle(&t->a);
	}
	assert_int_equal(nic_qp_stats(t->a.qp)->bad_packets, 10);
	nt_send(t->ba, "others are served", 17);
	assert_int_equal(nt_wait(&t->a, NULL)->len, 17);
	nic_give_back(t->a.qp);
	enemy_close(&x);
	nt_poll_ms(&t->a, 150, NIC_WC_RECV);
	assert_int_equal(nic_qp_arm(t->a.qp), 0);
	assert_int_equal(nic_mr_dereg(t->a.nic, key), 0);
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* A record of a likely kind, whose fields are likely to be near the truth. */
static void enemy_send_random(struct enemy *x, uint64_t *s, uint32_t key,
			      uint64_t at)
{
	struct {
		struct nic_pkt_range h;
		char data[400];
	} r;
	size_t len = next_random(s) % 100;

	for (size_t i = 0; i < sizeof(r); i += 8) {
		uint64_t v = next_random(s);

		memcpy((char *)&r + i, &v, 8);
	}
	if (next_random(s) % 4) {
		r.h.id = (uint32_t)next_random(s) % 8;
		r.h.rkey = next_random(s) % 8 ? key : r.h.rkey;
		r.h.remote = at + next_random(s) % 300 - 20;
		r.h.len = next_random(s) % 300;
		r.h.offset = next_random(s) % 4 ? 0 : next_random(s) % 300;
		len = sizeof(r.h) + (next_random(s) & 1 ? r.h.len : len);
	}
	wire_shm_send(x->link, (uint32_t)next_random(s) % 9, 0, &r,
		      u_min(len, sizeof(r)), NULL, 0, 0);
}

static void nic_poll__random_records(void **state)
{
	struct nt *t = *state;
	struct {
		char before[64], mem[256], after[64];
	} m, was;
	struct nic_rdma op = { .type = NIC_READ, .len = 256 };
	const char *seed = getenv("EFA_TEST_SEED");
	uint64_t s = seed ? strtoull(seed, NULL, 0) : 88172645463325252u;
	char local[256];
	struct enemy x;
	uint32_t key;

	print_message("EFA_TEST_SEED=%llu\n", (unsigned long long)s);
	enemy_open(t, &x, 7);
	nt_fill(&m, sizeof(m), 1);
	was = m;
	assert_int_equal(nic_mr_reg(t->a.nic, m.mem, 256, RW, &key), 0);
	op.local = local;
	op.remote = (uintptr_t)m.mem;
	for (int i = 0; i < 200000; i++) {
		enemy_send_random(&x, &s, key, (uintptr_t)m.mem);
		nic_rdma(t->ab, &op);
		nic_poll(t->a.qp, t->a.wc, 8);
		nic_give_back(t->a.qp);
		if (next_random(&s) % 2)
			while (enemy_hears(&x, NULL, 0) >= 0)
				;
		if (next_random(&s) % 16 == 0)
			nic_poll(t->b.qp, t->b.wc, 64);
	}
	assert_memory_equal(m.before, was.before, 64);
	assert_memory_equal(m.after, was.after, 64);
	assert_true(nic_qp_stats(t->a.qp)->bad_packets > 1000);
	nt_send(t->ba, "still here", 10);
	do {
		nic_give_back(t->a.qp);
		nt_wait(&t->a, &t->b);
	} while (t->a.wc[0].op != NIC_WC_RECV || t->a.wc[0].len != 10);
	nic_give_back(t->a.qp);
	assert_int_equal(nic_mr_dereg(t->a.nic, key), 0);
	enemy_close(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NT_PAIR(nic_poll__unknown_kinds),
		NT_RING(nic_rdma_data__foreign_answers),
		NT_PAIR(nic_remote_write__ranges),
		NT_PAIR(nic_remote_read__too_many),
		NT_RING(nic_poll__random_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
