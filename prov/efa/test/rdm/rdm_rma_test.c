/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_rma_test.c - reads and writes of a peer's memory, by every way
 */
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BOTH (DEV_CAP_READ | DEV_CAP_WRITE)

static void move(const struct pair_options *o, bool shaken, bool read,
		 size_t len, uint32_t flags)
{
	struct memory m;

	memory_open(&m, o, DEV_REMOTE_READ | DEV_REMOTE_WRITE);
	if (shaken)
		pair_shake(&m.p);
	assert_int_equal(memory_post(&m, read, len, flags), 0);
	if (flags & RDM_INJECT)
		memset(m.local, 0, len);
	pair_run(&m.p);
	memory_check(&m, read, len, flags);
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
	for (size_t w = 0; w < u_array_size(memory_ways); w++) {
		for (size_t i = 0; i < u_array_size(memory_lengths); i++) {
			for (int shaken = 0; shaken < 2; shaken++) {
				move(&memory_ways[w], shaken, true,
				     memory_lengths[i], 0);
				for (size_t k = 0; k < u_array_size(kinds); k++)
					move(&memory_ways[w], shaken, false,
					     memory_lengths[i], kinds[k]);
			}
		}
	}
}

/* A write in packets says where it went. */
static void rdm_rma__remote_data_of_packets_has_the_address(void **state)
{
	struct rdm_comp comp;
	struct memory m;

	(void)state;
	memory_open(&m, &memory_ways[2], DEV_REMOTE_WRITE);
	pair_shake(&m.p);
	assert_int_equal(memory_post(&m, false, 3000, RDM_DATA), 0);
	pair_run(&m.p);
	comp = pair_comp(&m.p.b);
	assert_ptr_equal(comp.buf, m.target);
	assert_int_equal(atomic_load(&m.p.b.remote_writes.ok), 1);
	assert_int_equal(memory_post(&m, false, 3000, 0), 0);
	pair_run(&m.p);
	assert_int_equal(atomic_load(&m.p.b.remote_writes.ok), 2);
	assert_int_equal(atomic_load(&m.p.b.remote_reads.ok), 0);
	memory_close(&m);
}

static void rdm_rma__remote_reads_in_packets_are_counted(void **state)
{
	struct memory m;

	(void)state;
	memory_open(&m, &memory_ways[3], DEV_REMOTE_READ);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(memory_post(&m, true, (size_t)i * 20000, 0),
				 0);
		pair_run(&m.p);
		assert_int_equal(atomic_load(&m.p.b.remote_reads.ok), i);
	}
	memory_close(&m);
}

/* ---- order, room, lists ------------------------------------------------------- */

/* Requests of RMA have no number: nothing is delivered twice. */
static void shuffled(unsigned int seed)
{
	const struct pair_options *o =
		&memory_ways[seed % u_array_size(memory_ways)];
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
		size_t len = u_min(memory_lengths[(seed + i * 5) %
						  u_array_size(memory_lengths)],
				   EACH);
		struct iovec iov = { local[i], len };
		struct dev_range at = { (uintptr_t)target[i], len, mr->key };

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
	for (size_t w = 0; w < u_array_size(memory_ways); w++) {
		for (size_t i = 0; i < u_array_size(memory_lengths); i++) {
			for (int read = 0; read < 2; read++) {
				struct memory m;

				memory_open(&m, &memory_ways[w],
					    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
				pair_shake(&m.p);
				dev_record_set_room(m.p.a.dev, 0);
				assert_int_equal(memory_post(&m, read,
							     memory_lengths[i],
							     0),
						 -EAGAIN);
				assert_int_equal(m.p.a.ep->txs.taken, 0);
				dev_record_set_room(m.p.a.dev, 1);
				assert_int_equal(memory_post(&m, read,
							     memory_lengths[i],
							     0),
						 0);
				for (int turn = 0; turn < 400; turn++) {
					rdm_progress(m.p.a.ep);
					rdm_progress(m.p.b.ep);
					dev_record_run();
					dev_record_set_room(m.p.a.dev, 1);
					dev_record_set_room(m.p.b.dev, 1);
				}
				memory_check(&m, read, memory_lengths[i], 0);
				memory_close(&m);
			}
		}
	}
}

/* Pieces of unlike sizes on both sides, some of them empty. */
static void rdm_rma__gathers_and_scatters(void **state)
{
	(void)state;
	for (size_t w = 0; w < u_array_size(memory_ways); w++) {
		for (int kind = 0; kind < 3; kind++) {
			struct iovec iov[4];
			struct dev_range at[4];
			struct memory m;

			memory_open(&m, &memory_ways[w],
				    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
			iov[0] = (struct iovec){ m.local, 300 };
			iov[1] = (struct iovec){ m.local, 0 };
			iov[2] = (struct iovec){ m.local + 300, 20000 };
			iov[3] = (struct iovec){ m.local + 20300, 7 };
			at[0] = (struct dev_range){ (uintptr_t)m.target, 1,
						    m.mr->key };
			at[1] = (struct dev_range){ 0, 0, 0 };
			at[2] = (struct dev_range){ (uintptr_t)m.target + 1,
						    4000, m.mr->key };
			at[3] = (struct dev_range){ (uintptr_t)m.target + 4001,
						    16306, m.mr->key };
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
			memory_check(&m, kind == 1, 20307,
				     kind == 2 ? RDM_DATA : 0);
			memory_close(&m);
		}
	}
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

/* More than the device moves at once; data then comes with all of it. */
static void rdm_rma__long_ones_go_in_pieces(void **state)
{
	(void)state;
	for (int kind = 0; kind < 6; kind++) {
		bool read = kind % 3 == 1;
		uint32_t flags = kind % 3 == 2 ? RDM_DATA : 0;
		struct memory m;

		memory_open(&m, &memory_ways[kind / 3],
			    DEV_REMOTE_READ | DEV_REMOTE_WRITE);
		pair_shake(&m.p);
		m.p.a.dev->info.max_rdma = 1000;
		assert_int_equal(memory_post(&m, read, MEMORY_MAX, flags), 0);
		if (!flags)
			assert_int_equal(count_posts(m.p.a.qp), 101);
		pair_run(&m.p);
		memory_check(&m, read, MEMORY_MAX, flags);
		memory_close(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_rma__moves_bytes_by_every_way),
		cmocka_unit_test(
			rdm_rma__remote_data_of_packets_has_the_address),
		cmocka_unit_test(rdm_rma__remote_reads_in_packets_are_counted),
		cmocka_unit_test(rdm_rma__survives_any_order),
		cmocka_unit_test(rdm_rma__waits_for_room),
		cmocka_unit_test(rdm_rma__gathers_and_scatters),
		cmocka_unit_test(rdm_rma__long_ones_go_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
