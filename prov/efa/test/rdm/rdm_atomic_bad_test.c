/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_atomic_bad_test.c - atomics that must not be: bad keys, packets that no
 * sender of ours makes, answers that nobody asked for
 */
#include "pair.h"

#include <errno.h>
#include <string.h>

#include "rdm/rdm_ctl.h"

#define RW (DEV_REMOTE_READ | DEV_REMOTE_WRITE)

static const struct pair_options options = { .by_completion = true };

/* b's memory, of which the middle is registered, and packets of a. */
struct bad {
	struct pair p;
	uint64_t memory[8];
	struct dev_mr *mr; /* memory[2] to memory[5] */
	uint64_t payload[64];
	uint32_t next; /* message number of a */
};

static void bad_open(struct bad *b, uint32_t access)
{
	memset(b, 0, sizeof(*b));
	pair_open(&b->p, &options);
	for (uint64_t i = 0; i < 8; i++)
		b->memory[i] = i;
	for (int i = 0; i < 64; i++)
		b->payload[i] = 1000;
	assert_int_equal(
		dev_mr_open(b->p.b.dev, b->memory + 2, 32, access, &b->mr), 0);
}

static void expect_untouched(struct bad *b)
{
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(b->memory[i], i);
}

static void bad_close(struct bad *b)
{
	if (b->mr)
		assert_int_equal(dev_mr_close(b->mr), 0);
	pair_close(&b->p);
}

/* A good request for one word, to be spoilt. */
static struct rdm_pkt request(struct bad *b, uint8_t type)
{
	struct rdm_pkt pkt = {
		.type = type,
		.flags = RDM_PKT_RAW_ADDR,
		.raw = b->p.a.addr,
		.msg_id = b->next++,
		.recv_id = 7,
		.aux = type == RDM_PKT_COMPARE_RTA ? RDM_ATOMIC_MSWAP :
						     RDM_ATOMIC_SUM,
		.aux2 = RDM_UINT64,
		.rma_iovcnt = 1,
		.payload_len = type == RDM_PKT_COMPARE_RTA ? 16 : 8,
	};

	pkt.rma_iov[0] = (struct rdm_pkt_iov){ b->mr->addr, 8, b->mr->key };
	return pkt;
}

static bool arrives(struct bad *b, const struct rdm_pkt *pkt, uint32_t cut)
{
	uint8_t bytes[RDM_PKT_HDR_MAX + sizeof(b->payload)];
	uint32_t len = rdm_pkt_build(bytes, pkt);

	memcpy(bytes + len, b->payload, pkt->payload_len);
	len += pkt->payload_len;
	dev_record_inject(b->p.b.qp, &b->p.a.addr, bytes, len - cut);
	return rdm_progress(b->p.b.ep);
}

static void expect_refused(struct bad *b, const struct rdm_pkt *pkt,
			   uint32_t err)
{
	struct rdm_refusal refusal;
	uint64_t before = b->p.b.ep->stats.refused;

	assert_true(arrives(b, pkt, 0));
	assert_int_equal(b->p.b.ep->stats.refused, before + 1);
	assert_true(rdm_ep_refusal(b->p.b.ep, &refusal));
	assert_int_equal(refusal.err, err);
	assert_memory_equal(&refusal.peer, &b->p.a.addr, sizeof(refusal.peer));
	assert_false(rdm_ep_refusal(b->p.b.ep, &refusal));
	assert_false(rdm_progress(b->p.b.ep));
	expect_untouched(b);
	pair_no_comp(&b->p.b);
}

static void expect_carried_out(struct bad *b, const struct rdm_pkt *pkt)
{
	assert_false(arrives(b, pkt, 0));
	assert_int_equal(b->memory[2], 1002);
	b->memory[2] = 2;
	expect_untouched(b);
}

/* ---- requests ------------------------------------------------------------ */

static const uint8_t types[] = { RDM_PKT_WRITE_RTA, RDM_PKT_DC_WRITE_RTA,
				 RDM_PKT_FETCH_RTA, RDM_PKT_COMPARE_RTA };

static void rdm_atomic_in__unknown_operations(void **state)
{
	struct rdm_pkt pkt;
	struct bad b;

	bad_open(&b, RW);
	for (size_t i = 0; i < u_array_size(types); i++) {
		pkt = request(&b, types[i]);
		pkt.aux = RDM_ATOMIC_OPS;
		expect_refused(&b, &pkt, RDM_ERR_ATOMIC);
		pkt = request(&b, types[i]);
		pkt.aux = UINT32_MAX;
		expect_refused(&b, &pkt, RDM_ERR_ATOMIC);
		pkt = request(&b, types[i]);
		pkt.aux2 = RDM_DATATYPES;
		expect_refused(&b, &pkt, RDM_ERR_ATOMIC);
		pkt = request(&b, types[i]);
		pkt.aux2 = UINT32_MAX;
		expect_refused(&b, &pkt, RDM_ERR_ATOMIC);
		pkt = request(&b, types[i]);
		pkt.aux = types[i] == RDM_PKT_COMPARE_RTA ? RDM_ATOMIC_SUM :
							    RDM_ATOMIC_CSWAP;
		expect_refused(&b, &pkt, RDM_ERR_ATOMIC);
	}
	pkt = request(&b, RDM_PKT_WRITE_RTA);
	pkt.aux = RDM_ATOMIC_READ;
	expect_refused(&b, &pkt, RDM_ERR_ATOMIC);
	pkt = request(&b, RDM_PKT_WRITE_RTA);
	expect_carried_out(&b, &pkt);
	bad_close(&b);
}

static void rdm_atomic_in__sizes_that_do_not_fit(void **state)
{
	struct rdm_pkt pkt;
	struct bad b;

	bad_open(&b, RW);
	for (size_t i = 0; i < u_array_size(types); i++) {
		pkt = request(&b, types[i]);
		pkt.payload_len -= 8;
		expect_refused(&b, &pkt, RDM_ERR_SIZE);
		pkt = request(&b, types[i]);
		pkt.payload_len += 8;
		expect_refused(&b, &pkt, RDM_ERR_SIZE);
		pkt = request(&b, types[i]);
		pkt.payload_len--;
		expect_refused(&b, &pkt, RDM_ERR_SIZE);
		pkt = request(&b, types[i]);
		pkt.rma_iov[0].len = 12;
		pkt.payload_len = 12;
		expect_refused(&b, &pkt, RDM_ERR_SIZE);
		/* Two halves of elements make a whole one. */
		pkt = request(&b, types[i]);
		pkt.rma_iovcnt = 2;
		pkt.rma_iov[0].len = 4;
		pkt.rma_iov[1] = pkt.rma_iov[0];
		expect_refused(&b, &pkt, RDM_ERR_SIZE);
	}
	/* An answer that fits no packet. */
	pkt = request(&b, RDM_PKT_FETCH_RTA);
	pkt.aux = RDM_ATOMIC_READ;
	pkt.payload_len = 0;
	pkt.rma_iov[0].len = UINT64_C(1) << 40;
	expect_refused(&b, &pkt, RDM_ERR_SIZE);
	bad_close(&b);
}

static void rdm_atomic_in__keys_and_ranges(void **state)
{
	struct rdm_pkt pkt;
	struct bad b;

	bad_open(&b, RW);
	for (size_t i = 0; i < u_array_size(types); i++) {
		pkt = request(&b, types[i]);
		pkt.rma_iov[0].key++;
		expect_refused(&b, &pkt, RDM_ERR_RMA_ADDR);
		pkt = request(&b, types[i]);
		pkt.rma_iov[0].key |= UINT64_C(1) << 32;
		expect_refused(&b, &pkt, RDM_ERR_RMA_ADDR);
		pkt = request(&b, types[i]);
		pkt.rma_iov[0].addr -= 8;
		expect_refused(&b, &pkt, RDM_ERR_RMA_ADDR);
		pkt = request(&b, types[i]);
		pkt.rma_iov[0].addr += 32;
		expect_refused(&b, &pkt, RDM_ERR_RMA_ADDR);
		pkt = request(&b, types[i]);
		pkt.rma_iov[0].addr = UINT64_MAX - 3;
		expect_refused(&b, &pkt, RDM_ERR_RMA_ADDR);
		/* The first range is good. */
		pkt = request(&b, types[i]);
		pkt.rma_iovcnt = 2;
		pkt.payload_len *= 2;
		pkt.rma_iov[1] = pkt.rma_iov[0];
		pkt.rma_iov[1].addr += 32;
		expect_refused(&b, &pkt, RDM_ERR_RMA_ADDR);
	}
	pkt = request(&b, RDM_PKT_WRITE_RTA);
	expect_carried_out(&b, &pkt);
	pkt = request(&b, RDM_PKT_WRITE_RTA);
	assert_int_equal(dev_mr_close(b.mr), 0);
	b.mr = NULL;
	expect_refused(&b, &pkt, RDM_ERR_RMA_ADDR);
	bad_close(&b);
}

static void rdm_atomic_in__access(void **state)
{
	struct rdm_pkt pkt;
	struct bad b;

	bad_open(&b, DEV_REMOTE_READ);
	for (size_t i = 0; i < u_array_size(types); i++) {
		pkt = request(&b, types[i]);
		expect_refused(&b, &pkt, RDM_ERR_RMA_ADDR);
	}
	bad_close(&b);
	bad_open(&b, DEV_REMOTE_WRITE);
	for (size_t i = 2; i < u_array_size(types); i++) {
		pkt = request(&b, types[i]);
		expect_refused(&b, &pkt, RDM_ERR_RMA_ADDR);
	}
	pkt = request(&b, RDM_PKT_FETCH_RTA);
	pkt.aux = RDM_ATOMIC_READ;
	expect_refused(&b, &pkt, RDM_ERR_RMA_ADDR);
	pkt = request(&b, RDM_PKT_WRITE_RTA);
	expect_carried_out(&b, &pkt);
	bad_close(&b);
}

/* A packet cut at any byte is dropped or refused. */
static void rdm_atomic_in__truncated(void **state)
{
	struct bad b;

	for (size_t i = 0; i < u_array_size(types); i++) {
		bad_open(&b, RW);
		for (uint32_t cut = 1;; cut++) {
			struct rdm_pkt pkt = request(&b, types[i]);
			uint64_t before = b.p.b.ep->stats.bad_packets +
					  b.p.b.ep->stats.refused;

			if (cut > rdm_pkt_hdr_len(&pkt) + pkt.payload_len)
				break;
			/* Only what was read in turn is used up. */
			pkt.msg_id = (uint32_t)b.p.b.ep->stats.refused;
			arrives(&b, &pkt, cut);
			assert_int_equal(b.p.b.ep->stats.bad_packets +
						 b.p.b.ep->stats.refused,
					 before + 1);
		}
		expect_untouched(&b);
		pair_no_comp(&b.p.b);
		bad_close(&b);
	}
}

static void rdm_atomic_in__counts_and_wrapping_lengths(void **state)
{
	static const uint32_t counts[] = { 5, 255, UINT32_MAX };
	uint8_t bytes[512] = { 0 };
	struct rdm_pkt pkt;
	struct bad b;
	uint32_t len;

	bad_open(&b, RW);
	for (size_t i = 0; i < u_array_size(types); i++) {
		pkt = request(&b, types[i]);
		len = rdm_pkt_build(bytes, &pkt);
		for (size_t j = 0; j < u_array_size(counts); j++) {
			memcpy(bytes + 8, &counts[j], 4);
			dev_record_inject(b.p.b.qp, &b.p.a.addr, bytes,
					  len + 200);
			rdm_progress(b.p.b.ep);
		}
		pkt = request(&b, types[i]);
		pkt.rma_iovcnt = 2;
		pkt.rma_iov[0].len = UINT64_MAX - 7;
		pkt.rma_iov[1] = pkt.rma_iov[0];
		pkt.rma_iov[1].len = 16;
		assert_false(arrives(&b, &pkt, 0));
	}
	assert_int_equal(b.p.b.ep->stats.bad_packets,
			 u_array_size(types) * (u_array_size(counts) + 1));
	expect_untouched(&b);
	bad_close(&b);
}

/* However many there are, the first few are told. */
static void rdm_target_refuse__flood(void **state)
{
	struct rdm_refusal refusal;
	struct bad b;
	int told = 0;

	bad_open(&b, RW);
	for (int i = 0; i < 100; i++) {
		struct rdm_pkt pkt = request(&b, RDM_PKT_FETCH_RTA);

		pkt.aux2 = 77;
		assert_true(arrives(&b, &pkt, 0));
	}
	while (rdm_ep_refusal(b.p.b.ep, &refusal))
		told++;
	assert_int_equal(told, RDM_REFUSALS_MAX);
	assert_int_equal(b.p.b.ep->stats.refused, 100);
	assert_false(rdm_progress(b.p.b.ep));
	bad_close(&b);
}

/* Messages behind one that was refused come all the same. */
static void rdm_atomic_in__refused_holds_up_nothing(void **state)
{
	uint64_t operand = 1, in = 0, out = 5, result = 77;
	struct iovec iov = { &operand, 8 }, to = { &result, 8 };
	struct dev_range target;
	struct rdm_atomic op = {
		.kind = RDM_ATOMIC_FETCH,
		.op = RDM_ATOMIC_SUM,
		.type = RDM_INT64,
		.iov = &iov,
		.iovcnt = 1,
		.result = &to,
		.resultcnt = 1,
		.target = &target,
		.targetcnt = 1,
	};
	struct bad b;

	bad_open(&b, RW);
	op.to = b.p.a.peer;
	target = (struct dev_range){ b.mr->addr, 8, b.mr->key + 1 };
	assert_int_equal(rdm_atomic(b.p.a.ep, &op), 0);
	assert_int_equal(pair_send(&b.p.a, &out, 8, 0, 0, NULL), 0);
	assert_int_equal(pair_recv(&b.p.b, &in, 8, 0, 0, NULL), 0);
	pair_run(&b.p);
	assert_int_equal(in, 5);
	assert_int_equal(result, 77);
	assert_int_equal(b.p.b.ep->stats.refused, 1);
	expect_untouched(&b);
	pair_comp(&b.p.b);
	bad_close(&b);
}

/* Nobody knows anybody when the first request comes, unless hands are shaken. */
static void check_told(enum rdm_atomic_kind kind, enum rdm_atomic_op number,
		       bool shake)
{
	uint64_t word = 1;
	struct iovec iov = { &word, 8 };
	struct dev_range target;
	struct rdm_atomic op = {
		.kind = kind,
		.op = number,
		.type = RDM_INT64,
		.iov = &iov,
		.compare = &iov,
		.result = &iov,
		.target = &target,
		.iovcnt = 1,
		.comparecnt = 1,
		.resultcnt = 1,
		.targetcnt = 1,
		.flags = RDM_DELIVERY,
	};
	struct bad b;

	bad_open(&b, RW);
	if (shake)
		pair_shake(&b.p);
	op.to = b.p.a.peer;
	target = (struct dev_range){ b.mr->addr, 8, b.mr->key + 1 };
	for (int i = 0; i < 3; i++)
		assert_int_equal(rdm_atomic(b.p.a.ep, &op), 0);
	pair_run(&b.p);
	for (int i = 0; i < 3; i++)
		pair_error(&b.p.a, RDM_ERR_PEER_ABORT);
	assert_int_equal(b.p.a.ep->txs.taken, 0);
	assert_int_equal(word, 1);
	expect_untouched(&b);
	bad_close(&b);
}

/* Who understands learns that nothing will come, as soon as that is known. */
static void rdm_atomic_in__refused_is_told(void **state)
{
	(void)state;
	for (int shake = 0; shake < 2; shake++) {
		check_told(RDM_ATOMIC_BASE, RDM_ATOMIC_SUM, shake);
		check_told(RDM_ATOMIC_FETCH, RDM_ATOMIC_SUM, shake);
		check_told(RDM_ATOMIC_COMPARE, RDM_ATOMIC_CSWAP, shake);
	}
}

/* One that never shakes hands is told nothing, and leaves nothing behind. */
static void rdm_ctl_owe__keeps_so_many(void **state)
{
	struct bad b;

	(void)state;
	bad_open(&b, RW);
	for (int i = 0; i < 2000; i++) {
		struct rdm_pkt pkt = request(&b, RDM_PKT_FETCH_RTA);

		pkt.rma_iov[0].key++;
		arrives(&b, &pkt, 0);
	}
	assert_int_equal(b.p.b.ep->stats.refused, 2000);
	assert_int_equal(pair_posted(RDM_PKT_PEER_ERROR), 0);
	assert_int_equal(b.p.b.ep->nowed, RDM_OWED_MAX);
	expect_untouched(&b);
	bad_close(&b);
}

/* ---- answers ------------------------------------------------------------- */

static void answer(struct bad *b, const struct dev_addr *from, uint32_t id,
		   uint32_t len)
{
	uint8_t bytes[RDM_PKT_HDR_MAX + sizeof(b->payload)];
	struct rdm_pkt pkt = {
		.type = RDM_PKT_ATOMRSP,
		.flags = RDM_PKT_CONNID,
		.connid = from->qkey,
		.recv_id = id,
		.seg_len = len,
	};
	uint32_t hdr = rdm_pkt_build(bytes, &pkt);

	memcpy(bytes + hdr, b->payload, len);
	dev_record_inject(b->p.a.qp, from, bytes, hdr + len);
	rdm_progress(b->p.a.ep);
}

/* Starts a fetch of two words whose request gets lost; its id. */
static uint32_t start_fetch(struct bad *b, uint64_t result[2],
			    enum rdm_atomic_kind kind)
{
	struct iovec iov = { b->payload, 16 }, to = { result, 16 };
	struct dev_range target = { b->mr->addr, 16, b->mr->key };
	struct rdm_atomic op = {
		.kind = kind,
		.op = RDM_ATOMIC_SUM,
		.type = RDM_INT64,
		.iov = &iov,
		.iovcnt = 1,
		.result = &to,
		.resultcnt = 1,
		.target = &target,
		.targetcnt = 1,
		.to = b->p.a.peer,
		.flags = RDM_COMPLETION,
	};
	struct dev_record_wr *wr;
	uint32_t id;

	assert_int_equal(rdm_atomic(b->p.a.ep, &op), 0);
	wr = dev_record_take(b->p.a.qp);
	id = (uint32_t)wr->id;
	dev_record_complete(wr, DEV_OK);
	dev_record_free(wr);
	return id;
}

static void rdm_atomic_result__that_nobody_asked_for(void **state)
{
	struct dev_addr stranger;
	uint64_t result[2] = { 1, 2 };
	struct bad b;
	uint32_t id;

	bad_open(&b, RW);
	stranger = b.p.b.addr;
	stranger.qpn++;
	stranger.qkey++;
	id = start_fetch(&b, result, RDM_ATOMIC_FETCH);
	answer(&b, &stranger, id, 16);
	answer(&b, &b.p.b.addr, id + 1, 16);
	answer(&b, &b.p.b.addr, id ^ (1u << 31), 16);
	assert_int_equal(b.p.a.ep->stats.bad_packets, 3);
	assert_int_equal(result[0], 1);
	pair_no_comp(&b.p.a);
	answer(&b, &b.p.b.addr, id, 16);
	assert_int_equal(result[1], 1000);
	pair_comp(&b.p.a);
	answer(&b, &b.p.b.addr, id, 16);
	assert_int_equal(b.p.a.ep->stats.bad_packets, 4);
	pair_no_comp(&b.p.a);
	bad_close(&b);
}

static void rdm_atomic_result__of_another_length(void **state)
{
	static const uint32_t lengths[] = { 0, 8, 15, 17, 512 };
	uint64_t result[2] = { 1, 2 };
	struct bad b;

	for (size_t i = 0; i < u_array_size(lengths); i++) {
		bad_open(&b, RW);
		answer(&b, &b.p.b.addr,
		       start_fetch(&b, result, RDM_ATOMIC_FETCH), lengths[i]);
		pair_error(&b.p.a, RDM_ERR_SIZE);
		assert_int_equal(result[0], 1);
		bad_close(&b);
	}
}

static void rdm_atomic_result__of_what_has_none(void **state)
{
	uint64_t result[2] = { 1, 2 };
	struct bad b;

	bad_open(&b, RW);
	answer(&b, &b.p.b.addr, start_fetch(&b, result, RDM_ATOMIC_BASE), 16);
	assert_int_equal(b.p.a.ep->stats.bad_packets, 1);
	assert_int_equal(result[0], 1);
	pair_comp(&b.p.a);
	bad_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_atomic_in__unknown_operations),
		cmocka_unit_test(rdm_atomic_in__sizes_that_do_not_fit),
		cmocka_unit_test(rdm_atomic_in__keys_and_ranges),
		cmocka_unit_test(rdm_atomic_in__access),
		cmocka_unit_test(rdm_atomic_in__truncated),
		cmocka_unit_test(rdm_atomic_in__counts_and_wrapping_lengths),
		cmocka_unit_test(rdm_target_refuse__flood),
		cmocka_unit_test(rdm_atomic_in__refused_holds_up_nothing),
		cmocka_unit_test(rdm_atomic_in__refused_is_told),
		cmocka_unit_test(rdm_ctl_owe__keeps_so_many),
		cmocka_unit_test(rdm_atomic_result__that_nobody_asked_for),
		cmocka_unit_test(rdm_atomic_result__of_another_length),
		cmocka_unit_test(rdm_atomic_result__of_what_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
