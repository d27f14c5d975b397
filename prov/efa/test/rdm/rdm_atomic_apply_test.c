/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_atomic_apply_test.c - many elements, at any address, from many threads
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "rdm/rdm_atomic_op.h"
#include "test/sanitized.h"
#include "util/u_base.h"

#define ELEMENTS 5

static struct rdm_atomic_work work_of(enum rdm_atomic_kind kind, uint32_t op,
				      uint32_t type, void *target, size_t n)
{
	return (struct rdm_atomic_work){
		.fn = rdm_atomic_find(kind, op, type),
		.size = rdm_atomic_size(type),
		.target = target,
		.n = n,
	};
}

/* Bytes of element i that are a number whatever the datatype. */
static void fill(uint8_t *to, uint32_t size, size_t n, uint8_t salt)
{
	memset(to, 0, n * size);
	for (size_t i = 0; i < n; i++)
		to[i * size] = (uint8_t)(salt + i);
}

/* Swaps whole elements at every alignment; what is beside them stays. */
static void check_swap(uint32_t type, size_t shift)
{
	_Alignas(64) uint8_t memory[64 + ELEMENTS * RDM_ATOMIC_ELEMENT_MAX];
	uint8_t is[ELEMENTS * RDM_ATOMIC_ELEMENT_MAX];
	uint8_t was[sizeof(is)], before[sizeof(is)];
	uint32_t size = rdm_atomic_size(type);
	uint8_t *target = memory + 16 + shift;
	struct rdm_atomic_work work = work_of(
		RDM_ATOMIC_FETCH, RDM_ATOMIC_WRITE, type, target, ELEMENTS);

	memset(memory, 0xc3, sizeof(memory));
	fill(was, size, ELEMENTS, 1);
	fill(is, size, ELEMENTS, 101);
	memcpy(target, was, (size_t)ELEMENTS * size);
	work.operand = is;
	work.before = before;
	rdm_atomic_apply(&work);
	assert_memory_equal(before, was, (size_t)ELEMENTS * size);
	assert_memory_equal(target, is, (size_t)ELEMENTS * size);
	assert_int_equal(target[-1], 0xc3);
	assert_int_equal(target[ELEMENTS * size], 0xc3);
}

static void rdm_atomic_apply__any_address(void **state)
{
	for (uint32_t type = 0; type < RDM_DATATYPES; type++)
		for (size_t shift = 0; rdm_atomic_size(type) && shift < 32;
		     shift++)
			check_swap(type, shift);
}

static void rdm_atomic_apply__lists_in_step(void **state)
{
	uint32_t target[4] = { 1, 2, 3, 4 }, before[4];
	const uint32_t operand[4] = { 10, 20, 30, 40 };
	const uint32_t compare[4] = { 1, 0, 3, 0 };
	struct rdm_atomic_work work = work_of(
		RDM_ATOMIC_COMPARE, RDM_ATOMIC_CSWAP, RDM_UINT32, target, 4);

	work.operand = operand;
	work.compare = compare;
	work.before = before;
	rdm_atomic_apply(&work);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(before[i], i + 1);
		assert_int_equal(target[i], i % 2 ? i + 1 : 10 * (i + 1));
	}
}

static void rdm_atomic_apply__without_lists(void **state)
{
	int64_t target[2] = { 5, -5 };
	struct rdm_atomic_work work =
		work_of(RDM_ATOMIC_BASE, RDM_ATOMIC_MAX, RDM_INT64, target, 2);

	rdm_atomic_apply(&work);
	assert_int_equal(target[0], 5);
	assert_int_equal(target[1], 0);
	work.n = 0;
	work.target = NULL;
	rdm_atomic_apply(&work);
}

/* Memory that peers may only read is read, and no more. */
static void rdm_atomic_apply__reads_what_is_readable_only(void **state)
{
	uint8_t before[64], zeros[64] = { 0 };
	uint8_t *page =
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(page, MAP_FAILED);
	for (uint32_t type = 0; type < RDM_DATATYPES; type++) {
		struct rdm_atomic_work work = work_of(
			RDM_ATOMIC_FETCH, RDM_ATOMIC_READ, type, page, 2);

		if (!work.size)
			continue;
		memset(before, 0xff, sizeof(before));
		work.before = before;
		rdm_atomic_apply(&work);
		assert_memory_equal(before, zeros, 2u * work.size);
	}
	munmap(page, 4096);
}

/* The peer must not see what lay on our stack. */
static void rdm_atomic_apply__keeps_padding(void **state)
{
	uint8_t operand[sizeof(long double)], target[sizeof(long double)];
	const long double number = 1.5L;
	uint8_t clean[sizeof(long double)];
	struct rdm_atomic_work work = work_of(RDM_ATOMIC_BASE, RDM_ATOMIC_SUM,
					      RDM_LONG_DOUBLE, target, 1);
	size_t used = sizeof(number) == 16 && __LDBL_MANT_DIG__ == 64 ?
			      10 :
			      sizeof(number);

	memset(target, 0, sizeof(target));
	memset(clean, 0, sizeof(clean));
	memset(operand, 0x77, sizeof(operand));
	memcpy(operand, &number, used);
	work.operand = operand;
	rdm_atomic_apply(&work);
	assert_memory_equal(target, operand, used);
	assert_memory_equal(target + used, clean, sizeof(target) - used);
}

/* ---- threads ------------------------------------------------------------- */

#define THREADS 2
#define ROUNDS (SANITIZED_THREAD ? 20000 : 50000)

struct adder {
	uint32_t type;
	void *target;
	const void *one;
	pthread_barrier_t start;
};

static void *run_adder(void *arg)
{
	struct adder *adder = arg;
	struct rdm_atomic_work work = work_of(RDM_ATOMIC_BASE, RDM_ATOMIC_SUM,
					      adder->type, adder->target, 1);

	work.operand = adder->one;
	pthread_barrier_wait(&adder->start);
	for (int i = 0; i < ROUNDS; i++)
		rdm_atomic_apply(&work);
	return NULL;
}

/* 1 as that datatype, from the table itself: 0 || 1 of some bits. */
static void make_number(uint32_t type, uint32_t n, uint8_t *to)
{
	uint8_t one[RDM_ATOMIC_ELEMENT_MAX] = { 0 };
	struct rdm_atomic_work work =
		work_of(RDM_ATOMIC_BASE, RDM_ATOMIC_LOR, type, one, 1);
	uint8_t some[RDM_ATOMIC_ELEMENT_MAX];

	memset(some, 0x3f, sizeof(some));
	work.operand = some;
	rdm_atomic_apply(&work);
	memset(to, 0, RDM_ATOMIC_ELEMENT_MAX);
	work = work_of(RDM_ATOMIC_BASE, RDM_ATOMIC_SUM, type, to, 1);
	work.operand = one;
	while (n--)
		rdm_atomic_apply(&work);
}

static void check_threads(uint32_t type, size_t shift)
{
	_Alignas(64) uint8_t memory[128] = { 0 };
	_Alignas(64) uint8_t one[RDM_ATOMIC_ELEMENT_MAX];
	_Alignas(64) uint8_t want[RDM_ATOMIC_ELEMENT_MAX];
	struct adder adder = {
		.type = type,
		.target = memory + shift,
		.one = one,
	};
	pthread_t thread[THREADS];

	make_number(type, 1, one);
	make_number(type, THREADS * ROUNDS, want);
	pthread_barrier_init(&adder.start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, run_adder, &adder), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&adder.start);
	if (memcmp(memory + shift, want, rdm_atomic_size(type)) != 0)
		fail_msg("updates of datatype %u at %zu got lost", type, shift);
}

static void rdm_atomic_apply__threads_lose_nothing(void **state)
{
	for (uint32_t type = 0; type < RDM_DATATYPES; type++) {
		if (!rdm_atomic_size(type))
			continue;
		check_threads(type, 0);
		check_threads(type, 4);
		check_threads(type, 61);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_atomic_apply__any_address),
		cmocka_unit_test(rdm_atomic_apply__lists_in_step),
		cmocka_unit_test(rdm_atomic_apply__without_lists),
		cmocka_unit_test(rdm_atomic_apply__reads_what_is_readable_only),
		cmocka_unit_test(rdm_atomic_apply__keeps_padding),
		cmocka_unit_test(rdm_atomic_apply__threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
