/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_thin_test.c - addresses that are removed while thin endpoints have
 * operations under way
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

#define LONG (3u << 20) /* bytes that no call reads at once */
#define OTHERS 65 /* more removals than are noted one by one */

static struct fixture f;
static uint8_t *from, *to;
static struct fid_mr *mr; /* of from */

static int setup(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .direct = true });
	from = malloc(LONG);
	to = calloc(1, LONG);
	assert_non_null(from);
	assert_non_null(to);
	memset(from, 7, LONG);
	assert_int_equal(fi_mr_reg(f.domain, from, LONG, FI_REMOTE_READ, 0, 0,
				   0, &mr, NULL),
			 0);
	return 0;
}

/* What is under way goes on until its endpoint is closed: memory goes last. */
static int teardown(void **state)
{
	assert_int_equal(fi_close(&mr->fid), 0);
	fixture_close(&f);
	free(from);
	free(to);
	return 0;
}

static int setup_udp(void **state)
{
	fixture_use_shm(false);
	return setup(state);
}

static int teardown_udp(void **state)
{
	teardown(state);
	fixture_use_shm(true);
	return 0;
}

static void begin_read(void)
{
	assert_int_equal(fi_read(f.ep[0], to, LONG, NULL, f.addr[1],
				 (uintptr_t)from, fi_mr_key(mr), to),
			 0);
}

static void is_of_read(const struct fi_cq_tagged_entry *entry)
{
	assert_ptr_equal(entry->op_context, to);
	assert_true(entry->flags == (FI_RMA | FI_READ));
	assert_memory_equal(to, from, LONG);
}

static void read_has_ended(void)
{
	struct fi_cq_tagged_entry entry = fixture_entry(&f, 0);

	is_of_read(&entry);
}

/* What an injection to nobody ends with may come before or after. */
static void read_has_ended_beside_an_error(void)
{
	struct fi_cq_err_entry error = { .err = 0 };
	struct fi_cq_tagged_entry entry;

	for (int i = 0; i < 2; i++) {
		if (fixture_read(&f, 0, &entry, 1) == 1) {
			is_of_read(&entry);
			continue;
		}
		assert_int_equal(error.err, 0);
		assert_int_equal(fi_cq_readerr(f.cq[0], &error, 0), 1);
	}
	assert_int_equal(error.err, FI_ENOTCONN);
}

/* A queue pair of nobody. */
static fi_addr_t insert_other(uint16_t qpn)
{
	uint8_t name[EFA_ADDR_LEN];
	size_t len = sizeof(name);
	fi_addr_t addr;

	assert_int_equal(fi_getname(&f.ep[1]->fid, name, &len), 0);
	name[16] = (uint8_t)qpn;
	name[17] = (uint8_t)(qpn >> 8);
	assert_int_equal(fi_av_insert(f.av, name, 1, &addr, 0, NULL), 1);
	return addr;
}

static void insert_peer(void)
{
	uint8_t name[EFA_ADDR_LEN];
	size_t len = sizeof(name);

	assert_int_equal(fi_getname(&f.ep[1]->fid, name, &len), 0);
	assert_int_equal(fi_av_insert(f.av, name, 1, &f.addr[1], 0, NULL), 1);
}

static void remove_peer(void)
{
	assert_int_equal(fi_av_remove(f.av, &f.addr[1], 1, 0), 0);
}

/* Sends, by which the endpoint looks what was removed. */
static void say_hello(void)
{
	static char in[8];

	assert_int_equal(fi_recv(f.ep[1], in, 8, NULL, 0, in), 0);
	assert_int_equal(fi_inject(f.ep[0], "hello", 5, f.addr[1]), 0);
	assert_int_equal(fixture_entry(&f, 1).len, 5);
}

static void removals__leave_operations_to_others_alone(void **state)
{
	fi_addr_t other[OTHERS];

	for (uint16_t i = 0; i < OTHERS; i++)
		other[i] = insert_other((uint16_t)(1 + i));
	begin_read();
	assert_int_equal(fi_av_remove(f.av, other, OTHERS, 0), 0);
	say_hello();
	read_has_ended();
}

static void removal__of_a_peer_with_an_operation_under_way(void **state)
{
	begin_read();
	remove_peer();
	assert_int_equal(fi_inject(f.ep[0], "hello", 5, f.addr[1]), -FI_EINVAL);
	read_has_ended();
}

/* Nobody, in the place of the peer; free ones rest for a while. */
static void take_place(void)
{
	fi_addr_t other;

	for (int i = 0; i < 100000; i++) {
		other = insert_other(1);
		if (other == f.addr[1])
			return;
		assert_int_equal(fi_av_remove(f.av, &other, 1, 0), 0);
	}
	fail();
}

/* What is sent there goes to the next one, what was sent ends with the last. */
static void removal__and_another_in_that_place(void **state)
{
	begin_read();
	remove_peer();
	take_place();
	assert_int_equal(fi_inject(f.ep[0], "hello", 5, f.addr[1]), 0);
	read_has_ended_beside_an_error();
	remove_peer();
	insert_peer();
	say_hello();
	fixture_quiet(&f);
}

/* Many times, so that what was left has to go at some time. */
static void removal__again_and_again(void **state)
{
	for (int i = 0; i < 50; i++) {
		begin_read();
		remove_peer();
		insert_peer();
		say_hello();
		read_has_ended();
	}
	fixture_quiet(&f);
}

/* The endpoint closes with an operation to a peer that it has no more. */
static void close__after_a_removal(void **state)
{
	begin_read();
	remove_peer();
	assert_int_equal(fi_inject(f.ep[0], "hello", 5, f.addr[1]), -FI_EINVAL);
}

#define EACH(name)                                                     \
	cmocka_unit_test_setup_teardown(name, setup, teardown),        \
	{                                                              \
#name " over UDP", name, setup_udp, teardown_udp, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(removals__leave_operations_to_others_alone),
		EACH(removal__of_a_peer_with_an_operation_under_way),
		EACH(removal__and_another_in_that_place),
		EACH(removal__again_and_again),
		EACH(close__after_a_removal),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
