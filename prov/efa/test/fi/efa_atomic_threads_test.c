/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_atomic_threads_test.c - two threads whose endpoints change one number
 *
 * Each thread drives its own endpoint, and so carries out its own additions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

#define ROUNDS 1000

static struct fixture f;

struct adder {
	struct fixture *f;
	int who;
	uint64_t key;
	enum fi_datatype type;
	void *one, *sum;
	int failed;
};

/* Adds to a number through its own endpoint, which it alone drives. */
static void *run_adder(void *arg)
{
	struct adder *a = arg;
	struct fi_cq_tagged_entry entry;
	int posted = 0, done = 0;

	while (done < ROUNDS && !a->failed) {
		ssize_t ret = -FI_EAGAIN;

		if (posted < ROUNDS)
			ret = fi_atomic(a->f->ep[a->who], a->one, 1, NULL,
					a->f->addr[a->who], (uintptr_t)a->sum,
					a->key, a->type, FI_SUM, NULL);
		posted += ret == 0;
		a->failed |= ret != 0 && ret != -FI_EAGAIN;
		ret = fi_cq_read(a->f->cq[a->who], &entry, 1);
		done += ret == 1;
		a->failed |= ret != 1 && ret != -FI_EAGAIN;
	}
	return NULL;
}

/* How often 1 was added, by reading it as what it is. */
static long added(enum fi_datatype type, const void *sum)
{
	long double x;
	double d;
	float v;

	memcpy(&x, sum, sizeof(x));
	memcpy(&d, sum, sizeof(d));
	memcpy(&v, sum, sizeof(v));
	switch (type) {
	case FI_FLOAT:
	case FI_FLOAT_COMPLEX:
		return (long)v;
	case FI_DOUBLE:
	case FI_DOUBLE_COMPLEX:
		return (long)d;
	case FI_LONG_DOUBLE:
	case FI_LONG_DOUBLE_COMPLEX:
		return (long)x;
	default:
		return *(const uint16_t *)sum;
	}
}

static void put_one(enum fi_datatype type, void *one)
{
	long double x = 1;
	double d = 1;
	float v = 1;

	switch (type) {
	case FI_FLOAT:
	case FI_FLOAT_COMPLEX:
		memcpy(one, &v, sizeof(v));
		break;
	case FI_DOUBLE:
	case FI_DOUBLE_COMPLEX:
		memcpy(one, &d, sizeof(d));
		break;
	case FI_LONG_DOUBLE:
	case FI_LONG_DOUBLE_COMPLEX:
		memcpy(one, &x, sizeof(x));
		break;
	default:
		*(uint8_t *)one = 1;
		break;
	}
}

/* The number's memory is registered once in each domain. */
static void check_adders(struct fixture *second, int who, enum fi_datatype type)
{
	_Alignas(32) static uint8_t sum[64];
	_Alignas(32) static uint8_t one[32];
	struct fixture *of[2] = { &f, second };
	struct adder a[2];
	struct fid_mr *region[2];
	pthread_t thread[2];

	memset(sum, 0, sizeof(sum));
	memset(one, 0, sizeof(one));
	put_one(type, one);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fi_mr_reg(of[i]->domain, sum, sizeof(sum),
					   FI_REMOTE_WRITE, 0, 0, 0, &region[i],
					   NULL),
				 0);
		a[i] = (struct adder){
			.f = of[i],
			.who = i ? who : 0,
			.key = fi_mr_key(region[i]),
			.type = type,
			.one = one,
			.sum = sum,
		};
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, run_adder, &a[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(a[i].failed, 0);
		assert_int_equal(fi_close(&region[i]->fid), 0);
	}
	assert_int_equal(added(type, sum), 2 * ROUNDS);
}

/* Two endpoints of one domain, and of two, each with its thread. */
static void atomic__threads_lose_nothing(void **state)
{
	const struct fixture_config config = {
		.threading = FI_THREAD_SAFE,
		.tx_op_flags = FI_DELIVERY_COMPLETE,
	};
	struct fixture second;

	fixture_open(&f, &config);
	fixture_open(&second, &config);
	for (int type = FI_INT16; type <= FI_UINT128; type++) {
		check_adders(&f, 1, type);
		check_adders(&second, 0, type);
	}
	fixture_close(&second);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(atomic__threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
