/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_dgram_test.c - datagram endpoints and the ring of their completions
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "fixture.h"

#define PREFIX 40

static struct fixture f;
static char out[PREFIX + 64], in[PREFIX + 64];
static int tx, rx; /* contexts */

static int setup(void **state)
{
	memset(in, 0x55, sizeof(in));
	memset(out, 0, sizeof(out));
	strcpy(out + PREFIX, "what goes out");
	fixture_open(&f, &(struct fixture_config){ .type = FI_EP_DGRAM });
	return 0;
}

static int teardown(void **state)
{
	fixture_close(&f);
	return 0;
}

static void post_recv(void)
{
	assert_int_equal(
		fi_recv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC, &rx), 0);
}

static struct fi_cq_tagged_entry check_received(size_t len)
{
	struct fi_cq_tagged_entry entry = fixture_entry(&f, 1);

	assert_ptr_equal(entry.op_context, &rx);
	assert_int_equal(entry.len, PREFIX + len);
	assert_memory_equal(in + PREFIX, out + PREFIX, len);
	return entry;
}

static void send__is_received_behind_the_prefix(void **state)
{
	struct fi_cq_tagged_entry entry;

	post_recv();
	assert_int_equal(
		fi_send(f.ep[0], out, PREFIX + 14, NULL, f.addr[1], &tx), 0);
	assert_true(check_received(14).flags == (FI_RECV | FI_MSG));
	entry = fixture_entry(&f, 0);
	assert_ptr_equal(entry.op_context, &tx);
	assert_true(entry.flags == (FI_SEND | FI_MSG));
}

static void readfrom__names_the_sender(void **state)
{
	struct fi_cq_tagged_entry entry;
	fi_addr_t src = 99;
	ssize_t ret;

	post_recv();
	assert_int_equal(fi_inject(f.ep[0], out, PREFIX + 14, f.addr[1]), 0);
	do {
		ret = fi_cq_readfrom(f.cq[1], &entry, 1, &src);
	} while (ret == -FI_EAGAIN);
	assert_int_equal(ret, 1);
	assert_int_equal(src, f.addr[0]);
}

static void inject__leaves_no_trace_and_has_a_limit(void **state)
{
	size_t limit = f.info->tx_attr->inject_size;
	char copy[PREFIX + 64];

	post_recv();
	memcpy(copy, out, sizeof(copy));
	assert_int_equal(fi_inject(f.ep[0], copy, PREFIX + limit, f.addr[1]),
			 0);
	memset(copy, 'x', sizeof(copy));
	check_received(limit);
	fixture_quiet(&f);
	assert_int_equal(fi_inject(f.ep[0], copy, PREFIX + limit + 1,
				   f.addr[1]),
			 -FI_EMSGSIZE);
}

static void data__travels_along(void **state)
{
	struct fi_cq_tagged_entry entry;

	post_recv();
	assert_int_equal(fi_senddata(f.ep[0], out, PREFIX + 14, NULL, 0xabcd,
				     f.addr[1], &tx),
			 0);
	entry = check_received(14);
	assert_true(entry.flags == (FI_RECV | FI_MSG | FI_REMOTE_CQ_DATA));
	assert_int_equal(entry.data, 0xabcd);
	fixture_entry(&f, 0);
}

static void sendv__gathers_behind_the_prefix(void **state)
{
	struct iovec iov[2] = { { out, PREFIX + 4 }, { out + PREFIX + 4, 8 } };
	struct fi_msg msg = { .msg_iov = iov,
			      .iov_count = 2,
			      .addr = f.addr[1],
			      .context = &tx };

	post_recv();
	assert_int_equal(fi_sendv(f.ep[0], iov, NULL, 2, f.addr[1], &tx), 0);
	check_received(12);
	fixture_entry(&f, 0);
	post_recv();
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_INJECT), 0);
	check_received(12);
	fixture_entry(&f, 0);
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_DELIVERY_COMPLETE),
			 -FI_EOPNOTSUPP);
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_MATCH_COMPLETE),
			 -FI_EOPNOTSUPP);
}

static void buffers__without_room_for_the_prefix(void **state)
{
	struct iovec iov[2] = { { in, 64 }, { in + 64, 8 } };

	assert_int_equal(fi_send(f.ep[0], out, PREFIX - 1, NULL, f.addr[1],
				 &tx),
			 -FI_EINVAL);
	assert_int_equal(fi_recv(f.ep[1], in, PREFIX - 1, NULL, 0, &rx),
			 -FI_EINVAL);
	assert_int_equal(fi_recvv(f.ep[1], iov, NULL, 2, 0, &rx), -FI_EINVAL);
	assert_int_equal(fi_send(f.ep[0], out, PREFIX, NULL, 77, &tx),
			 -FI_EINVAL);
}

static void receives__end_at_the_queue_depth(void **state)
{
	size_t n = 0;
	ssize_t ret;

	do {
		ret = fi_recv(f.ep[1], in, sizeof(in), NULL, 0, &rx);
		n += !ret;
	} while (!ret && n < 1 << 20);
	assert_int_equal(ret, -FI_EAGAIN);
	assert_int_equal(n, f.info->rx_attr->size);
	/* They leave sends their places. */
	assert_int_equal(fi_send(f.ep[1], out, PREFIX, NULL, f.addr[0], &tx),
			 0);
}

static void tagged_and_rma__are_not_there(void **state)
{
	assert_int_equal(fi_tsend(f.ep[0], out, 1, NULL, 0, 0, NULL),
			 -FI_ENOSYS);
	assert_int_equal(fi_write(f.ep[0], out, 1, NULL, 0, 0, 0, NULL),
			 -FI_ENOSYS);
	assert_int_equal(fi_cancel(&f.ep[0]->fid, NULL), -FI_ENOSYS);
}

static void remove__then_insert_again(void **state)
{
	uint8_t name[EFA_ADDR_LEN];
	size_t len = sizeof(name);

	post_recv();
	assert_int_equal(fi_inject(f.ep[0], out, PREFIX + 3, f.addr[1]), 0);
	check_received(3);
	assert_int_equal(fi_getname(&f.ep[1]->fid, name, &len), 0);
	assert_int_equal(fi_av_remove(f.av, &f.addr[1], 1, 0), 0);
	assert_int_equal(fi_inject(f.ep[0], out, PREFIX + 3, f.addr[1]),
			 -FI_EINVAL);
	assert_int_equal(fi_av_insert(f.av, name, 1, &f.addr[1], 0, NULL), 1);
	post_recv();
	assert_int_equal(fi_inject(f.ep[0], out, PREFIX + 5, f.addr[1]), 0);
	check_received(5);
}

/* ---- the ring ------------------------------------------------------------ */

static void ring__is_never_overrun(void **state)
{
	struct efa_ring *ring = efa_ring_new(64, false, -1);
	struct rdm_comp comp = { .err = 0 };

	for (int turn = 0; turn < 3; turn++) {
		for (int i = 0; i < 64; i++)
			assert_true(efa_ring_reserve(ring));
		assert_false(efa_ring_reserve(ring));
		efa_ring_cancel(ring);
		assert_true(efa_ring_reserve(ring));
		for (uintptr_t i = 0; i < 64; i++) {
			comp.context = (void *)i;
			efa_ring_push(ring, &comp);
		}
		assert_false(efa_ring_reserve(ring));
		for (uintptr_t i = 0; i < 64; i++) {
			assert_int_equal(efa_ring_read(ring, &comp, 1), 1);
			assert_ptr_equal(comp.context, (void *)i);
		}
		assert_true(efa_ring_empty(ring));
	}
	efa_ring_free(ring);
}

static void ring__stops_at_an_error(void **state)
{
	struct efa_ring *ring = efa_ring_new(64, true, -1);
	struct rdm_comp comp[4] = { { .err = 0 }, { .err = 9 } };

	for (int i = 0; i < 3; i++)
		assert_true(efa_ring_reserve(ring));
	efa_ring_push(ring, &comp[0]);
	efa_ring_push(ring, &comp[1]);
	efa_ring_push(ring, &comp[0]);
	assert_int_equal(efa_ring_read_error(ring, comp), 0);
	assert_int_equal(efa_ring_read(ring, comp, 4), 1);
	assert_int_equal(efa_ring_read(ring, comp, 4), -1);
	assert_int_equal(efa_ring_read_error(ring, comp), 1);
	assert_int_equal(comp[0].err, 9);
	assert_false(efa_ring_sleep(ring));
	assert_int_equal(efa_ring_read(ring, comp, 4), 1);
	assert_true(efa_ring_sleep(ring));
	efa_ring_free(ring);
}

/* Once, when somebody has said that he sleeps. */
static void ring__wakes_who_sleeps(void **state)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct efa_ring *ring = efa_ring_new(64, true, event);
	struct rdm_comp comp = { .err = 0 };
	eventfd_t n;

	for (int i = 0; i < 3; i++)
		assert_true(efa_ring_reserve(ring));
	efa_ring_push(ring, &comp);
	assert_int_equal(eventfd_read(event, &n), -1);
	assert_int_equal(efa_ring_read(ring, &comp, 1), 1);
	assert_true(efa_ring_sleep(ring));
	efa_ring_push(ring, &comp);
	efa_ring_push(ring, &comp);
	assert_int_equal(eventfd_read(event, &n), 0);
	assert_int_equal(n, 1);
	efa_ring_free(ring);
	close(event);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(send__is_received_behind_the_prefix),
		TEST(readfrom__names_the_sender),
		TEST(inject__leaves_no_trace_and_has_a_limit),
		TEST(data__travels_along),
		TEST(sendv__gathers_behind_the_prefix),
		TEST(buffers__without_room_for_the_prefix),
		TEST(receives__end_at_the_queue_depth),
		TEST(tagged_and_rma__are_not_there),
		TEST(remove__then_insert_again),
		cmocka_unit_test(ring__is_never_overrun),
		cmocka_unit_test(ring__stops_at_an_error),
		cmocka_unit_test(ring__wakes_who_sleeps),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
