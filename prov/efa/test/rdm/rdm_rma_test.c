/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_rma_test.c - reads and writes of a peer's memory, by every way
 */
#include "pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rdm/rdm_ep.h"

enum { LONGEST = 100001 };

#define BOTH (DEV_CAP_READ | DEV_CAP_WRITE)

/* Devices and peers that have RDMA, a part of it, or none. */
static const struct pair_options ways[] = {
	{ .caps = BOTH },
	{ .caps = BOTH, .by_completion = true },
	{ .caps = 0 },
	{ .caps = 0, .by_completion = true },
	{ .caps = BOTH, .a_off = RDM_FEATURE_READ | RDM_FEATURE_WRITE },
	{ .caps = BOTH, .b_off = RDM_FEATURE_READ | RDM_FEATURE_WRITE },
	{ .caps = BOTH, .b_off = RDM_FEATURE_WRITE },
	{ .caps = BOTH, .a_off = RDM_FEATURE_WRITE, .by_completion = true },
	{ .caps = BOTH, .a_off = RDM_FEATURE_READ },
	{ .caps = BOTH | DEV_CAP_UNSOLICITED,
	  .b_off = RDM_FEATURE_UNSOLICITED },
	{ .caps = 0, .a_off = RDM_FEATURE_CONNID, .b_off = RDM_FEATURE_CONNID },
};

static const size_t lengths[] = {
	0,
	1,
	100,
	PAIR_MTU - 200,
	PAIR_MTU - 24 - 1,
	PAIR_MTU - 24,
	PAIR_MTU,
	5000,
	PAIR_READ_WRITE - 1,
	PAIR_READ_WRITE,
	32 * (PAIR_MTU - 32),
	32 * (PAIR_MTU - 32) + 1,
	LONGEST,
};

struct memory {
	struct pair p;
	uint8_t *local, *target;
	struct dev_mr *mr; /* of target */
};

static void memory_open(struct memory *m, const struct pair_options *o,
			uint32_t access)
{
	pair_open(&m->p, o);
	m->local = malloc(LONGEST + 1);
	m->target = malloc(LONGEST + 1);
	pair_fill(m->local, 2, LONGEST + 1);
	pair_fill(m->target, 1, LONGEST + 1);
	assert_int_equal(
		dev_mr_open(m->p.b.dev, m->target, LONGEST, access, &m->mr), 0);
}

static void memory_close(struct memory *m)
{
	assert_int_equal(m->p.a.ep->txs.taken, 0);
	assert_int_equal(m->p.b.ep->serves.taken, 0);
	assert_int_equal(m->p.b.ep->ctl_pool.taken, 0);
	if (m->mr)
		dev_mr_close(m->mr);
	pair_close(&m->p);
	free(m->local);
	free(m->target);
}

static int post(struct memory *m, bool read, size_t len, uint32_t flags)
{
	struct iovec iov = { m->local, len };
	struct rdm_rma_iov at = { (uintptr_t)m->target, len,
				  m->mr ? m->mr->key : 1 };

	return rdm_rma(m->p.a.ep,
		       &(struct rdm_rma){ .read = read,
					  .iov = &iov,
					  .iovcnt = 1,
					  .rma_iov = &at,
					  .rma_iovcnt = 1,
					  .flags = flags | RDM_COMPLETION,
					  .to = m->p.a.peer,
					  .data = 0x1234,
					  .context = m });
}

/* Requests that lie in the queue of a recording device. */
static int count_posts(struct dev_qp *qp)
{
	const struct dev_record_wr *wr;
	int n = 0;

	for (wr = dev_record_peek(qp); wr; wr = wr->next)
		n++;
	return n;
}

static void check(struct memory *m, bool read, size_t len, uint32_t flags)
{
	struct rdm_comp comp = pair_comp(&m->p.a);

	assert_ptr_equal(comp.context, m);
	assert_int_equal(comp.kind, read ? RDM_COMP_READ : RDM_COMP_WRITE);
	pair_check(read ? m->local : m->target, read ? 1 : 2, len);
	pair_check_rest(read ? m->local : m->target, read ? 2 : 1, len,
			LONGEST + 1);
	if (flags & RDM_DATA) {
		comp = pair_comp(&m->p.b);
		assert_int_equal(comp.kind, RDM_COMP_REMOTE_WRITE);
		assert_int_equal(comp.flags, RDM_COMP_DATA);
		assert_int_equal(comp.data, 0x1234);
		assert_int_equal(comp.len, len);
		assert_int_equal(comp.source, m->p.b.peer);
		assert_null(comp.context);
	}
	pair_no_comp(&m->p.a);
	pair_no_comp(&m->p.b);
	assert_int_equal(m->p.a.ep->stats.bad_packets, 0);
	assert_int_equal(m->p.b.ep->stats.bad_packets, 0);
	assert_int_equal(m->p.b.ep->stats.refused, 0);
}

static void move(const struct pair_options *o, bool shaken, bool read,
		 size_t len, uint32_t flags)
{
	struct memory m;

	memory_open(&m, o, DEV_REMOTE_READ | DEV_REMOTE_WRITE);
	if (shaken)
		pair_shake(&m.p);
	assert_int_equal(post(&m, read, len, flags), 0);
	if (flags & RDM_INJECT)
		memset(m.local, 0, len);
	pair_run(&m.p);
	check(&m, read, len, flags);
	memory_close(&m);
}

static void rdm_rma__moves_bytes_by_every_way(void **state)
{
	static const uint32_t kinds[] = {
		0,
		RDM_DATA,
		RDM_DELIVERY,
		RDM_DELIVERY | RDM_DATA,
		RDM_INJECT,
		RDM_INJECT | RDM_DATA | RDM_DELIVERY,
	};

	(void)state;
	for (size_t w = 0; w < u_array_size(ways); w++) {
		for (size_t i = 0; i < u_array_size(lengths); i++) {
			for (int shaken = 0; shaken < 2; shaken++) {
				move(&ways[w], shaken, true, lengths[i], 0);
				for (size_t k = 0; k < u_array_size(kinds); k++)
					move(&ways[w], shaken, false,
					     lengths[i], kinds[k]);
			}
		}
	}
}

/* Which packets a write or read of that length takes. */
static void rdm_rma__chooses_the_packet_by_length(void **state)
{
	static const struct {
		bool read;
		size_t len;
		uint32_t flags;
		uint8_t type;
	} choices[] = {
		{ false, 100, 0, RDM_PKT_EAGER_RTW },
		{ false, 100, RDM_DELIVERY, RDM_PKT_DC_EAGER_RTW },
		{ false, 5000, 0, RDM_PKT_LONGCTS_RTW },
		{ false, 5000, RDM_DELIVERY, RDM_PKT_DC_LONGCTS_RTW },
		{ false, PAIR_READ_WRITE, 0, RDM_PKT_LONGREAD_RTW },
		{ false, PAIR_READ_WRITE, RDM_DELIVERY, RDM_PKT_LONGREAD_RTW },
		{ false, PAIR_READ_WRITE, RDM_INJECT, RDM_PKT_LONGCTS_RTW },
		{ true, PAIR_MTU - 25, 0, RDM_PKT_SHORT_RTR },
		{ true, PAIR_MTU - 24, 0, RDM_PKT_LONGCTS_RTR },
	};

	(void)state;
	for (size_t i = 0; i < u_array_size(choices); i++) {
		struct pair_options o = { .caps = BOTH,
					  .b_off = RDM_FEATURE_WRITE };
		struct memory m;

		if (choices[i].read)
			o.b_off |= RDM_FEATURE_READ;
		memory_open(&m, &o, DEV_REMOTE_READ | DEV_REMOTE_WRITE);
		pair_shake(&m.p);
		assert_int_equal(post(&m, choices[i].read, choices[i].len,
				      choices[i].flags),
				 0);
		pair_run(&m.p);
		assert_int_equal(pair_posted(choices[i].type), 1);
		check(&m, choices[i].read, choices[i].len, 0);
		memory_close(&m);
	}
}

/* A write in packets says where it went. */
static void rdm_rma__remote_data_of_packets_has_the_address(void **state)
{
	struct rdm_comp comp;
	struct memory m;

	(void)state;
	memory_open(&m, &ways[2], DEV_REMOTE_WRITE);
	pair_shake(&m.p);
	assert_int_equal(post(&m, false, 3000, RDM_DATA), 0);
	pair_run(&m.p);
	comp = pair_comp(&m.p.b);
	assert_ptr_equal(comp.buf, m.target);
	assert_int_equal(atomic_load(&m.p.b.remote_writes.ok), 1);
	assert_int_equal(post(&m, false, 3000, 0), 0);
	pair_run(&m.p);
	assert_int_equal(atomic_load(&m.p.b.remote_writes.ok), 2);
	assert_int_equal(atomic_load(&m.p.b.remote_reads.ok), 0);
	memory_close(&m);
}

static void rdm_rma__remote_reads_in_packets_are_counted(void **state)
{
	struct memory m;

	(void)state;
	memory_open(&m, &ways[3], DEV_REMOTE_READ);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(post(&m, true, (size_t)i * 20000, 0), 0);
		pair_run(&m.p);
		assert_int_equal(atomic_load(&m.p.b.remote_reads.ok), i);
	}
	memory_close(&m);
}

/* ---- order, room, lists ------------------------------------------------------- */

/* Requests of RMA have no number: nothing is delivered twice. */
static void shuffled(unsigned int seed)
{
	const struct pair_options *o = &ways[seed % u_array_size(ways)];
	enum { N = 24, EACH = 40000 };
	static uint8_t local[N][EACH], target[N][EACH];
	struct dev_mr *mr;
	struct pair p;

	pair_open(&p, o);
	assert_int_equal(dev_mr_open(p.b.dev, target, sizeof(target),
				     DEV_REMOTE_READ | DEV_REMOTE_WRITE, &mr),
			 0);
	if (seed % 2)
		pair_shake(&p);
	for (uint32_t i = 0; i < N; i++) {
		size_t len = u_min(
			lengths[(seed + i * 5) % u_array_size(lengths)], EACH);
		struct iovec iov = { local[i], len };
		struct rdm_rma_iov at = { (uintptr_t)target[i], len, mr->key };

		pair_fill(local[i], i, EACH);
		pair_fill(target[i], i + 100, EACH);
		assert_int_equal(
			rdm_rma(p.a.ep,
				&(struct rdm_rma){
					.read = i % 2,
					.iov = &iov,
					.iovcnt = 1,
					.rma_iov = &at,
					.rma_iovcnt = 1,
					.flags = RDM_COMPLETION |
						 (i % 4 ? 0 : RDM_DELIVERY),
					.to = p.a.peer,
					.context = local[i] }),
			0);
	}
	pair_shuffle(&p, &seed, false);
	for (uint32_t n = 0; n < N; n++) {
		struct rdm_comp comp = pair_comp(&p.a);
		uint32_t i = (uint32_t)((uint8_t(*)[EACH])comp.context - local);
		size_t len = comp.len;

		pair_check(i % 2 ? local[i] : target[i], i % 2 ? i + 100 : i,
			   len);
		pair_check_rest(i % 2 ? local[i] : target[i],
				i % 2 ? i : i + 100, len, EACH);
	}
	pair_no_comp(&p.a);
	assert_int_equal(p.a.ep->txs.taken, 0);
	assert_int_equal(p.b.ep->serves.taken, 0);
	dev_mr_close(mr);
	pair_close(&p);
}

static void rdm_rma__survives_any_order(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= 44; seed++)
		shuffled(seed);
}

static void rdm_rma__waits_for_room(void **state)
{
	(void)state;
	for (size_t w = 0; w < u_array_size(ways); w++) {
		for (size_t i = 0; i < u_array_size(lengths); i++) {
			for (int read = 0; read < 2; read++) {
				struct memory m;

				memory_open(&m, &ways[w],
					    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
				pair_shake(&m.p);
				dev_record_set_room(m.p.a.dev, 0);
				assert_int_equal(post(&m, read, lengths[i], 0),
						 -EAGAIN);
				assert_int_equal(m.p.a.ep->txs.taken, 0);
				dev_record_set_room(m.p.a.dev, 1);
				assert_int_equal(post(&m, read, lengths[i], 0),
						 0);
				for (int turn = 0; turn < 400; turn++) {
					rdm_progress(m.p.a.ep);
					rdm_progress(m.p.b.ep);
					dev_record_run();
					dev_record_set_room(m.p.a.dev, 1);
					dev_record_set_room(m.p.b.dev, 1);
				}
				check(&m, read, lengths[i], 0);
				memory_close(&m);
			}
		}
	}
}

/* Pieces of unlike sizes on both sides, some of them empty. */
static void rdm_rma__gathers_and_scatters(void **state)
{
	(void)state;
	for (size_t w = 0; w < u_array_size(ways); w++) {
		for (int kind = 0; kind < 3; kind++) {
			struct iovec iov[4];
			struct rdm_rma_iov at[4];
			struct memory m;

			memory_open(&m, &ways[w],
				    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
			iov[0] = (struct iovec){ m.local, 300 };
			iov[1] = (struct iovec){ m.local, 0 };
			iov[2] = (struct iovec){ m.local + 300, 20000 };
			iov[3] = (struct iovec){ m.local + 20300, 7 };
			at[0] = (struct rdm_rma_iov){ (uintptr_t)m.target, 1,
						      m.mr->key };
			at[1] = (struct rdm_rma_iov){ 0, 0, 0 };
			at[2] = (struct rdm_rma_iov){ (uintptr_t)m.target + 1,
						      4000, m.mr->key };
			at[3] = (struct rdm_rma_iov){
				(uintptr_t)m.target + 4001, 16306, m.mr->key
			};
			assert_int_equal(
				rdm_rma(m.p.a.ep,
					&(struct rdm_rma){
						.read = kind == 1,
						.iov = iov,
						.iovcnt = 4,
						.rma_iov = at,
						.rma_iovcnt = 4,
						.flags = RDM_COMPLETION |
							 (kind == 2 ? RDM_DATA :
								      0),
						.to = m.p.a.peer,
						.data = 0x1234,
						.context = &m }),
				0);
			pair_run(&m.p);
			check(&m, kind == 1, 20307, kind == 2 ? RDM_DATA : 0);
			memory_close(&m);
		}
	}
}

/* More than the device moves at once; data then comes with all of it. */
static void rdm_rma__long_ones_go_in_pieces(void **state)
{
	(void)state;
	for (int kind = 0; kind < 6; kind++) {
		bool read = kind % 3 == 1;
		uint32_t flags = kind % 3 == 2 ? RDM_DATA : 0;
		struct memory m;

		memory_open(&m, &ways[kind / 3],
			    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
		pair_shake(&m.p);
		m.p.a.dev->info.max_rdma = 1000;
		assert_int_equal(post(&m, read, LONGEST, flags), 0);
		if (!flags)
			assert_int_equal(count_posts(m.p.a.qp), 101);
		pair_run(&m.p);
		check(&m, read, LONGEST, flags);
		memory_close(&m);
	}
}

/* ---- what may not be ---------------------------------------------------------- */

static void rdm_rma__bad_key_moves_nothing(void **state)
{
	(void)state;
	for (size_t w = 0; w < u_array_size(ways); w++) {
		for (size_t i = 1; i < u_array_size(lengths); i++) {
			for (int kind = 0; kind < 3; kind++) {
				uint32_t flags = kind == 2 ? RDM_DELIVERY : 0;
				bool read = kind == 1, silent;
				struct rdm_refusal refusal;
				struct memory m;

				memory_open(&m, &ways[w],
					    read ? DEV_REMOTE_WRITE :
						   DEV_REMOTE_READ);
				assert_int_equal(
					post(&m, read, lengths[i], flags), 0);
				pair_run(&m.p);
				silent = pair_posted(RDM_PKT_EAGER_RTW) &&
					 m.p.b.ep->stats.refused &&
					 !pair_posted(RDM_PKT_PEER_ERROR);
				if (silent)
					pair_comp(&m.p.a);
				else if (m.p.b.ep->stats.refused)
					pair_error(&m.p.a, RDM_ERR_PEER_ABORT);
				else
					pair_error(&m.p.a, DEV_BAD_RKEY);
				if (m.p.b.ep->stats.refused) {
					assert_true(rdm_ep_refusal(m.p.b.ep,
								   &refusal));
					assert_int_equal(refusal.err,
							 RDM_ERR_RMA_ADDR);
				}
				pair_check(m.target, 1, LONGEST);
				pair_check(m.local, 2, LONGEST);
				pair_no_comp(&m.p.a);
				pair_no_comp(&m.p.b);
				memory_close(&m);
			}
		}
	}
}

/* One byte beyond the region. */
static void rdm_rma__bounds_are_exact(void **state)
{
	(void)state;
	for (size_t w = 0; w < u_array_size(ways); w++) {
		for (int read = 0; read < 2; read++) {
			struct memory m;

			memory_open(&m, &ways[w],
				    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
			assert_int_equal(post(&m, read, LONGEST + 1, 0), 0);
			pair_run(&m.p);
			pair_error(&m.p.a, m.p.b.ep->stats.refused ?
						   RDM_ERR_PEER_ABORT :
						   DEV_BAD_RKEY);
			pair_check(m.target + LONGEST, 1, 0);
			memory_close(&m);
		}
	}
}

/* A region that is closed ends what is under way, on both sides. */
static void rdm_rma__closed_region_ends_operations(void **state)
{
	(void)state;
	for (size_t w = 0; w < u_array_size(ways); w++) {
		for (int kind = 0; kind < 6; kind++) {
			struct rdm_refusal refusal;
			bool read = kind % 2;
			struct memory m;
			int moved = 0;

			memory_open(&m, &ways[w],
				    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
			pair_shake(&m.p);
			assert_int_equal(post(&m, read, LONGEST,
					      kind > 2 ? RDM_DELIVERY : 0),
					 0);
			while (moved < 4 + kind) {
				struct dev_record_wr *wr =
					dev_record_take(m.p.a.qp);

				if (!wr)
					wr = dev_record_take(m.p.b.qp);
				if (!wr)
					break;
				dev_record_deliver(wr, true);
				dev_record_free(wr);
				rdm_progress(m.p.b.ep);
				rdm_progress(m.p.a.ep);
				moved++;
			}
			if (rdm_cq_empty(m.p.a.cq)) {
				dev_mr_close(m.mr);
				m.mr = NULL;
				pair_run(&m.p);
				pair_error(&m.p.a, RDM_ERR_PEER_ABORT);
				assert_true(rdm_ep_refusal(m.p.b.ep, &refusal));
				assert_int_equal(refusal.err, RDM_ERR_RMA_ADDR);
			} else {
				pair_comp(&m.p.a);
				pair_run(&m.p);
			}
			memory_close(&m);
		}
	}
}

/* A peer that closes in the middle leaves nothing behind. */
static void rdm_rma__lost_peer_ends_operations(void **state)
{
	(void)state;
	for (size_t w = 2; w < u_array_size(ways); w++) {
		for (int read = 0; read < 2; read++) {
			struct memory m;
			bool over;

			memory_open(&m, &ways[w],
				    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
			pair_shake(&m.p);
			assert_int_equal(post(&m, read, LONGEST, 0), 0);
			for (int i = 0; i < 3; i++) {
				struct dev_record_wr *wr;

				while ((wr = dev_record_take(m.p.a.qp))) {
					dev_record_deliver(wr, true);
					dev_record_free(wr);
				}
				rdm_progress(m.p.b.ep);
				rdm_progress(m.p.a.ep);
			}
			over = !rdm_cq_empty(m.p.a.cq);
			dev_record_gone(
				m.p.a.qp,
				u_pool_id(rdm_peer_at(m.p.a.ep, m.p.a.peer)));
			dev_record_gone(
				m.p.b.qp,
				u_pool_id(rdm_peer_at(m.p.b.ep, m.p.b.peer)));
			rdm_progress(m.p.a.ep);
			rdm_progress(m.p.b.ep);
			pair_run(&m.p);
			pair_run(&m.p);
			if (over)
				pair_comp(&m.p.a);
			else
				pair_error(&m.p.a, RDM_ERR_PEER_GONE);
			pair_no_comp(&m.p.a);
			memory_close(&m);
		}
	}
}

/* Without RECEIPT at the peer nobody can say that bytes are there. */
static void rdm_rma__delivery_needs_the_feature(void **state)
{
	struct pair_options o = { .caps = 0, .b_off = RDM_FEATURE_DC };
	struct memory m;

	(void)state;
	memory_open(&m, &o, DEV_REMOTE_WRITE);
	assert_int_equal(post(&m, false, 100, RDM_DELIVERY), 0);
	pair_run(&m.p);
	pair_error(&m.p.a, DEV_FEATURE);
	assert_int_equal(post(&m, false, 100, RDM_DELIVERY), -EOPNOTSUPP);
	assert_int_equal(post(&m, false, 100, 0), 0);
	pair_run(&m.p);
	pair_comp(&m.p.a);
	memory_close(&m);
}

/* A peer that cannot register what it would read into asks for packets. */
static void rdm_rma__nacked_write_goes_in_packets(void **state)
{
	(void)state;
	for (int delivery = 0; delivery < 2; delivery++) {
		struct memory m;

		memory_open(&m, &ways[6], DEV_REMOTE_WRITE);
		pair_shake(&m.p);
		dev_record_set_reads(m.p.b.dev, false);
		assert_int_equal(post(&m, false, LONGEST,
				      RDM_DATA | (delivery ? RDM_DELIVERY : 0)),
				 0);
		pair_run(&m.p);
		assert_int_equal(pair_posted(RDM_PKT_READ_NACK), 1);
		assert_int_equal(pair_posted(delivery ? RDM_PKT_DC_LONGCTS_RTW :
							RDM_PKT_LONGCTS_RTW),
				 1);
		check(&m, false, LONGEST, RDM_DATA);
		memory_close(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_rma__moves_bytes_by_every_way),
		cmocka_unit_test(rdm_rma__chooses_the_packet_by_length),
		cmocka_unit_test(
			rdm_rma__remote_data_of_packets_has_the_address),
		cmocka_unit_test(rdm_rma__remote_reads_in_packets_are_counted),
		cmocka_unit_test(rdm_rma__survives_any_order),
		cmocka_unit_test(rdm_rma__waits_for_room),
		cmocka_unit_test(rdm_rma__gathers_and_scatters),
		cmocka_unit_test(rdm_rma__long_ones_go_in_pieces),
		cmocka_unit_test(rdm_rma__bad_key_moves_nothing),
		cmocka_unit_test(rdm_rma__bounds_are_exact),
		cmocka_unit_test(rdm_rma__closed_region_ends_operations),
		cmocka_unit_test(rdm_rma__lost_peer_ends_operations),
		cmocka_unit_test(rdm_rma__delivery_needs_the_feature),
		cmocka_unit_test(rdm_rma__nacked_write_goes_in_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
