/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_rma_bad_test.c - accesses to a peer's memory that may not be, and those that
 * end before their time
 */
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what may not be ---------------------------------------------------------- */

static void rdm_rma__bad_key_moves_nothing(void **state)
{
	(void)state;
	for (size_t w = 0; w < u_array_size(memory_ways); w++) {
		for (size_t i = 1; i < u_array_size(memory_lengths); i++) {
			for (int kind = 0; kind < 3; kind++) {
				uint32_t flags = kind == 2 ? RDM_DELIVERY : 0;
				bool read = kind == 1, silent;
				struct rdm_refusal refusal;
				struct memory m;

				memory_open(&m, &memory_ways[w],
					    read ? DEV_REMOTE_WRITE :
						   DEV_REMOTE_READ);
				assert_int_equal(memory_post(&m, read,
							     memory_lengths[i],
							     flags),
						 0);
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
				pair_check(m.target, 1, MEMORY_MAX);
				pair_check(m.local, 2, MEMORY_MAX);
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
	for (size_t w = 0; w < u_array_size(memory_ways); w++) {
		for (int read = 0; read < 2; read++) {
			struct memory m;

			memory_open(&m, &memory_ways[w],
				    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
			assert_int_equal(
				memory_post(&m, read, MEMORY_MAX + 1, 0), 0);
			pair_run(&m.p);
			pair_error(&m.p.a, m.p.b.ep->stats.refused ?
						   RDM_ERR_PEER_ABORT :
						   DEV_BAD_RKEY);
			pair_check(m.target + MEMORY_MAX, 1, 0);
			memory_close(&m);
		}
	}
}

/* A region that is closed ends what is under way, on both sides. */
static void rdm_rma__closed_region_ends_operations(void **state)
{
	(void)state;
	for (size_t w = 0; w < u_array_size(memory_ways); w++) {
		for (int kind = 0; kind < 6; kind++) {
			struct rdm_refusal refusal;
			bool read = kind % 2;
			struct memory m;
			int moved = 0;

			memory_open(&m, &memory_ways[w],
				    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
			pair_shake(&m.p);
			assert_int_equal(memory_post(&m, read, MEMORY_MAX,
						     kind > 2 ? RDM_DELIVERY :
								0),
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
	for (size_t w = 2; w < u_array_size(memory_ways); w++) {
		for (int read = 0; read < 2; read++) {
			struct memory m;
			bool over;

			memory_open(&m, &memory_ways[w],
				    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
			pair_shake(&m.p);
			assert_int_equal(memory_post(&m, read, MEMORY_MAX, 0),
					 0);
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
	assert_int_equal(memory_post(&m, false, 100, RDM_DELIVERY), 0);
	pair_run(&m.p);
	pair_error(&m.p.a, DEV_FEATURE);
	assert_int_equal(memory_post(&m, false, 100, RDM_DELIVERY),
			 -EOPNOTSUPP);
	assert_int_equal(memory_post(&m, false, 100, 0), 0);
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

		memory_open(&m, &memory_ways[6], DEV_REMOTE_WRITE);
		pair_shake(&m.p);
		dev_record_set_reads(m.p.b.dev, false);
		assert_int_equal(
			memory_post(&m, false, MEMORY_MAX,
				    RDM_DATA | (delivery ? RDM_DELIVERY : 0)),
			0);
		pair_run(&m.p);
		assert_int_equal(pair_posted(RDM_PKT_READ_NACK), 1);
		assert_int_equal(pair_posted(delivery ? RDM_PKT_DC_LONGCTS_RTW :
							RDM_PKT_LONGCTS_RTW),
				 1);
		memory_check(&m, false, MEMORY_MAX, RDM_DATA);
		memory_close(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_rma__bad_key_moves_nothing),
		cmocka_unit_test(rdm_rma__bounds_are_exact),
		cmocka_unit_test(rdm_rma__closed_region_ends_operations),
		cmocka_unit_test(rdm_rma__lost_peer_ends_operations),
		cmocka_unit_test(rdm_rma__delivery_needs_the_feature),
		cmocka_unit_test(rdm_rma__nacked_write_goes_in_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
