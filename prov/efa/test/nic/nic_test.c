/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_test.c - queue pairs and sends: open, ports, packets, sources
 */
#include "nic_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nic/nic_priv.h"

static void nic_close__busy(void **state)
{
	struct nt *t = *state;
	struct nt_end e;
	uint32_t key;
	char buf[8];

	nt_open(t, &e, NIC_QP_RDM);
	assert_int_equal(nic_mr_reg(e.nic, buf, 8, NIC_REMOTE_READ, &key), 0);
	assert_int_equal(nic_close(e.nic), -EBUSY);
	assert_int_equal(nic_mr_dereg(e.nic, key), 0);
	assert_int_equal(nic_close(e.nic), -EBUSY);
	nt_close(&e);
}

static void nic_qp_open__address(void **state)
{
	struct nt *t = *state;

	assert_int_not_equal(t->a.addr.qpn, t->b.addr.qpn);
	assert_true(t->a.addr.qpn > 0 && t->a.addr.qpn <= UINT16_MAX);
	assert_int_not_equal(t->a.addr.qkey, t->b.addr.qkey);
	assert_int_equal(t->a.addr.gid[12], 127);
}

/* A range of ports that nobody else uses, most likely. */
static void nic_qp_open__range_is_used_up(void **state)
{
	struct nt *t = *state;
	struct nt_end e[3];
	struct nic_qp *qp;

	t->config.port_min = 47113;
	t->config.port_max = 47115;
	for (int i = 0; i < 3; i++) {
		nt_open(t, &e[i], NIC_QP_RDM);
		assert_in_range(e[i].addr.qpn, 47113, 47115);
	}
	assert_int_equal(nic_qp_open(e[0].nic, NIC_QP_RDM, 1, &qp),
			 -EADDRINUSE);
	assert_true(nt_logged("47113 to 47115"));
	nt_close(&e[1]);
	assert_int_equal(nic_qp_open(e[0].nic, NIC_QP_RDM, 1, &qp), 0);
	nic_qp_close(qp);
	nt_close(&e[0]);
	nt_close(&e[2]);
}

static void nic_qp_open__no_directory(void **state)
{
	struct nt *t = *state;
	struct nic_info *list;
	struct nic_qp *qp;
	struct nic *nic;

	t->config.shm_dir = "/nonexistent/efa";
	assert_int_equal(nic_list("lo", &list), 1);
	assert_int_equal(nic_open(&list[0], &t->config, &nic), 0);
	assert_int_equal(nic_qp_open(nic, NIC_QP_RDM, 1, &qp), -ENOENT);
	assert_true(nt_warnings() >= 1);
	assert_int_equal(nic_close(nic), 0);
	free(list);
}

static void nic_ah_open__impossible_address(void **state)
{
	struct nt *t = *state;
	struct nic_addr addr = t->b.addr;
	struct nic_ah *ah;

	addr.qpn = 0;
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 0, &ah), -EINVAL);
	addr.qpn = 0x10000;
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 0, &ah), -EINVAL);
	addr = t->b.addr;
	memset(addr.gid, 0, 16);
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 0, &ah), -EINVAL);
}

/* Whoever of the two forbids it, each reaches the other as a far one. */
static void nic_qp_forbid_shm__both_ways(void **state)
{
	struct nt *t = *state;
	struct iovec iov = { (void *)(uintptr_t) "far", 3 };
	struct nt_end *end[2] = { &t->a, &t->b };
	struct nic_ah *ah[2];

	nt_open(t, &t->a, NIC_QP_RDM);
	nt_open(t, &t->b, NIC_QP_RDM);
	nic_qp_forbid_shm(t->a.qp);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			nic_ah_open(end[i]->qp, &end[!i]->addr, 0, &ah[i]), 0);
		assert_int_equal(nic_send(ah[i], 9, 0, 0, NULL, 0, &iov, 1, 3),
				 1);
		assert_int_equal(nt_wait(end[!i], end[i])->op, NIC_WC_RECV);
		assert_memory_equal(end[!i]->wc[0].data, "far", 3);
		nic_give_back(end[!i]->qp);
		assert_int_equal(nt_wait(end[i], end[!i])->op, NIC_WC_SEND);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(nic_qp_stats(end[i]->qp)->rx_packets, 0);
		nic_ah_close(ah[i]);
	}
	assert_int_equal(nt_warnings(), 0);
}

static void nic_send__sizes(void **state)
{
	static const size_t sizes[] = { 0,  1,	  8,	55,	     56,     57,
					64, 1000, 4096, NIC_MTU - 1, NIC_MTU };
	struct nt *t = *state;
	struct nic_addr from;
	char buf[NIC_MTU];

	for (size_t i = 0; i < u_array_size(sizes); i++) {
		struct nic_wc *wc;

		nt_fill(buf, sizes[i], (uint32_t)i);
		nt_send(t->ab, buf, sizes[i]);
		wc = nt_wait(&t->b, NULL);
		assert_int_equal(wc->op, NIC_WC_RECV);
		assert_int_equal(wc->status, NIC_OK);
		assert_int_equal(wc->len, sizes[i]);
		assert_false(wc->has_imm);
		assert_int_equal((uintptr_t)wc->data % 8, 0);
		assert_true(nt_is_filled(wc->data, sizes[i], (uint32_t)i));
		assert_int_equal(nic_source(t->b.qp, wc->source, &from), 0);
		assert_memory_equal(&from, &t->a.addr, sizeof(from));
		nic_give_back(t->b.qp);
	}
	assert_int_equal(nic_qp_stats(t->a.qp)->tx_packets,
			 u_array_size(sizes));
	assert_int_equal(nic_qp_stats(t->b.qp)->rx_packets,
			 u_array_size(sizes));
	nt_idle(&t->a);
	nt_idle(&t->b);
}

static void nic_send__too_long(void **state)
{
	struct nt *t = *state;
	struct iovec iov = { NULL, SIZE_MAX };
	char hdr[8] = { 0 };

	assert_int_equal(nic_send(t->ab, 0, 0, 0, hdr, 8, &iov, 1, NIC_MTU - 7),
			 -EMSGSIZE);
	assert_int_equal(nic_send(t->ab, 0, 0, 0, hdr, 8, &iov, 1, SIZE_MAX),
			 -EMSGSIZE);
	assert_int_equal(nic_send(t->ab, 0, NIC_SEND_IMM, 0, hdr, SIZE_MAX,
				  &iov, 1, 1),
			 -EMSGSIZE);
}

static void nic_send__header_gather_and_imm(void **state)
{
	struct nt *t = *state;
	char part[3][100];
	struct iovec iov[3];
	struct nic_wc *wc;

	for (uint32_t i = 0; i < 3; i++) {
		nt_fill(part[i], 100, i);
		iov[i] = (struct iovec){ part[i], 100 };
	}
	for (int flags = 0; flags < 4; flags++) {
		assert_int_equal(nic_send(t->ab, 0, flags, 0xabcd1234, "head",
					  4, iov, 3, 300),
				 0);
		wc = nt_wait(&t->b, NULL);
		assert_int_equal(wc->len, 304);
		assert_int_equal(wc->has_imm, flags & NIC_SEND_IMM);
		assert_int_equal(wc->imm, wc->has_imm ? 0xabcd1234 : 0);
		assert_int_equal((uintptr_t)wc->data % 8, 0);
		assert_memory_equal(wc->data, "head", 4);
		for (uint32_t i = 0; i < 3; i++)
			assert_true(nt_is_filled(
				(const char *)wc->data + 4 + 100 * i, 100, i));
		nic_give_back(t->b.qp);
	}
}

static void nic_send__full_ring(void **state)
{
	struct nt *t = *state;
	static char buf[NIC_MTU];
	struct iovec iov = { buf, sizeof(buf) };
	int n = 0, got = 0, rc;

	while (!(rc = nic_send(t->ab, 0, 0, 0, NULL, 0, &iov, 1, sizeof(buf))))
		n++;
	assert_int_equal(rc, -EAGAIN);
	assert_true(n > 1);
	while (got < n) {
		nt_wait(&t->b, NULL);
		nic_give_back(t->b.qp);
		got++;
	}
	nt_send(t->ab, buf, sizeof(buf));
}

static void nic_send__order_and_batches(void **state)
{
	struct nt *t = *state;
	uint32_t sent = 0, got = 0;

	while (got < 20000) {
		struct iovec iov = { &sent, sizeof(sent) };
		int n;

		while (sent < 20000 && !nic_send(t->ab, 0, 0, 0, NULL, 0, &iov,
						 1, sizeof(sent)))
			sent++;
		n = nic_poll(t->b.qp, t->b.wc, 64);
		for (int i = 0; i < n; i++, got++)
			assert_memory_equal(t->b.wc[i].data, &got, sizeof(got));
		nic_give_back(t->b.qp);
	}
}

static void nic_send__to_self(void **state)
{
	struct nt *t = *state;
	struct nic_addr from;
	struct nic_wc *wc;
	struct nic_ah *ah;

	assert_int_equal(nic_ah_open(t->a.qp, &t->a.addr, 1, &ah), 0);
	nt_send(ah, "self", 4);
	wc = nt_wait(&t->a, NULL);
	assert_memory_equal(wc->data, "self", 4);
	assert_int_equal(nic_source(t->a.qp, wc->source, &from), 0);
	assert_memory_equal(&from, &t->a.addr, sizeof(from));
	nic_give_back(t->a.qp);
	nic_ah_close(ah);
}

static void nic_send__nobody_there(void **state)
{
	struct nt *t = *state;
	struct nic_addr addr = t->b.addr;
	struct nic_ah *ah[2];

	addr.qkey++;
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 1, &ah[0]), 0);
	addr.qpn ^= 1;
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 2, &ah[1]), 0);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(nt_send_status(&t->a, ah[i % 2], i),
				 NIC_NO_QP);
	/* Once of each, however often one tries. */
	assert_int_equal(nt_poll_ms(&t->a, 200, NIC_WC_GONE), 2);
	assert_int_equal(nt_send_status(&t->a, ah[0], 5), NIC_NO_QP);
	assert_int_equal(nt_poll_ms(&t->a, 200, NIC_WC_GONE), 0);
	nic_ah_close(ah[0]);
	nic_ah_close(ah[1]);
}

static void nic_send__other_host(void **state)
{
	struct nt *t = *state;
	struct nic_addr addr = t->b.addr;
	struct nic_ah *ah;

	memset(addr.gid, 0, 16);
	addr.gid[0] = 0xfd;
	addr.gid[1] = 0xef;
	addr.gid[15] = 0x77;
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 1, &ah), 0);
	assert_int_equal(nt_send_status(&t->a, ah, 5), NIC_UNREACHABLE);
	assert_int_equal(nt_send_status(&t->a, ah, 6), NIC_UNREACHABLE);
	assert_int_equal(nt_warnings(), 1);
	assert_true(nt_logged("fdef::77"));
	nic_ah_close(ah);
}

/* Errors that nobody polls for fill up, then posts are held back. */
static void nic_send__completions_are_bounded(void **state)
{
	struct nt *t = *state;
	struct nic_addr addr = t->b.addr;
	struct nic_ah *ah;
	int n = 0, rc;

	addr.qkey++;
	assert_int_equal(nic_ah_open(t->a.qp, &addr, 1, &ah), 0);
	while ((rc = nic_send(ah, 0, 0, 0, "x", 1, NULL, 0, 0)) == 1)
		n++;
	assert_int_equal(rc, -EAGAIN);
	assert_int_equal(n, NIC_DONE_MAX);
	while (n > 0)
		n -= nic_poll(t->a.qp, t->a.wc, 64);
	assert_int_equal(nt_send_status(&t->a, ah, 1), NIC_NO_QP);
	assert_int_equal(nic_send(ah, 0, 0, 0, "x", 1, NULL, 0, 0), 1);
	nic_ah_close(ah);
	nt_idle(&t->a);
}

static void nic_source__numbers_are_not_reused(void **state)
{
	struct nt *t = *state;
	struct nic_addr addr;
	uint32_t first = NIC_SOURCE_UNKNOWN;

	for (uint32_t i = 0; i < 20; i++) {
		struct nt_end e;
		struct nic_ah *ah;
		struct nic_wc *wc;

		nt_open(t, &e, NIC_QP_RDM);
		assert_int_equal(nic_ah_open(e.qp, &t->b.addr, 0, &ah), 0);
		nt_send(ah, &i, sizeof(i));
		wc = nt_wait(&t->b, NULL);
		if (!i)
			first = wc->source;
		assert_int_equal(wc->source, first + i);
		assert_int_equal(nic_source(t->b.qp, wc->source, &addr), 0);
		assert_memory_equal(&addr, &e.addr, sizeof(addr));
		nic_give_back(t->b.qp);
		nic_ah_close(ah);
		nt_close(&e);
	}
	assert_int_equal(nic_source(t->b.qp, first + 20, &addr), -ENOENT);
}

/* A lane that is left and taken again by its old sender is that sender. */
static void nic_source__same_address_same_number(void **state)
{
	struct nt *t = *state;
	uint32_t source;

	nt_send(t->ab, "1", 1);
	source = nt_wait(&t->b, NULL)->source;
	nic_give_back(t->b.qp);
	nic_ah_close(t->ab);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 'b', &t->ab), 0);
	nt_send(t->ab, "2", 1);
	assert_int_equal(nt_wait(&t->b, NULL)->source, source);
	nic_give_back(t->b.qp);
}

static void nic_set_pressure__holds_requests_back(void **state)
{
	struct nt *t = *state;
	int rc;

	nt_send(t->ab, "x", 1);
	nic_set_pressure(t->b.qp, true);
	rc = nic_send(t->ab, 0, NIC_SEND_REQUEST, 0, "r", 1, NULL, 0, 0);
	assert_int_equal(rc, -EAGAIN);
	nt_send(t->ab, "y", 1);
	nic_set_pressure(t->b.qp, false);
	rc = nic_send(t->ab, 0, NIC_SEND_REQUEST, 0, "r", 1, NULL, 0, 0);
	assert_int_equal(rc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NT_DIR(nic_close__busy),
		NT_PAIR(nic_qp_open__address),
		NT_DIR(nic_qp_open__range_is_used_up),
		NT_DIR(nic_qp_open__no_directory),
		NT_PAIR(nic_ah_open__impossible_address),
		NT_DIR(nic_qp_forbid_shm__both_ways),
		NT_PAIR(nic_send__sizes),
		NT_PAIR(nic_send__too_long),
		NT_PAIR(nic_send__header_gather_and_imm),
		NT_PAIR(nic_send__full_ring),
		NT_PAIR(nic_send__order_and_batches),
		NT_PAIR(nic_send__to_self),
		NT_PAIR(nic_send__nobody_there),
		NT_PAIR(nic_send__other_host),
		NT_PAIR(nic_send__completions_are_bounded),
		NT_PAIR(nic_source__numbers_are_not_reused),
		NT_PAIR(nic_source__same_address_same_number),
		NT_PAIR(nic_set_pressure__holds_requests_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
