/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_mr_test.c - regions, and what limits them
 */
#include "dev_verbs_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int setup(void **state)
{
	struct verbs *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	fake_reset();
	fake_config.efa.device_caps |= 1 << 3;
	verbs_setup(v, DEV_QP_RDM);
	*state = v;
	return 0;
}

static int teardown(void **state)
{
	verbs_teardown(*state);
	free(*state);
	return 0;
}

/* Once a process, so it is the first test of this one. */
static void dev_mr_open__limit_is_explained_once(void **state)
{
	struct rlimit own, low;
	unsigned int before = verbs_warnings();
	static char bytes[(1 << 20) + 1];
	struct verbs *v = *state;
	struct dev_mr *mr;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &own), 0);
	low = (struct rlimit){ 48 << 10, own.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	fake_config.max_mrs = fake_count.mrs;
	for (int i = 0; i < 2; i++)
		assert_int_equal(dev_mr_open(v->dev, bytes, sizeof(bytes), 0,
					     &mr),
				 -ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &own), 0);
	assert_int_equal(verbs_warnings() - before, 1);
	/* Which limit, what it is, and what is needed; the fake pins nothing. */
	assert_non_null(strstr(verbs_last_warning(),
			       "1048577 bytes cannot be registered"));
	assert_non_null(strstr(verbs_last_warning(),
			       "(RLIMIT_MEMLOCK) is 48 KiB and it takes "
			       "1025 KiB at least"));
	assert_non_null(strstr(verbs_last_warning(), "ulimit -l"));
}

static void dev_mr_open__memory_that_is_read_only(void **state)
{
	struct verbs *v = *state;
	struct dev_mr *mr;
	char c;

	fake_config.read_only = true;
	assert_int_equal(dev_mr_open(v->dev, &c, 1, DEV_REMOTE_READ, &mr), 0);
	assert_int_equal(dev_mr_close(mr), 0);
	assert_int_equal(dev_mr_open(v->dev, &c, 1, DEV_REMOTE_WRITE, &mr),
			 -EFAULT);
	fake_config.read_only = false;
	assert_int_equal(dev_mr_open(v->dev, &c, SIZE_MAX, 0, &mr), -EINVAL);
}

static void dev_mr_hold__what_a_peer_may_touch(void **state)
{
	struct verbs *v = *state;
	char buf[64];
	struct dev_mr *mr[2];
	struct dev_range range[2];

	assert_int_equal(dev_mr_open(v->dev, buf, 32, DEV_REMOTE_READ, &mr[0]),
			 0);
	assert_int_equal(dev_mr_open(v->dev, buf + 32, 32,
				     DEV_REMOTE_READ | DEV_REMOTE_WRITE,
				     &mr[1]),
			 0);
	range[0] = (struct dev_range){ (uintptr_t)buf, 32, mr[0]->key };
	range[1] = (struct dev_range){ (uintptr_t)buf + 40, 24, mr[1]->key };
	assert_true(dev_mr_hold(v->dev, range, 2, DEV_REMOTE_READ));
	dev_mr_release(v->dev);
	assert_false(dev_mr_hold(v->dev, range, 2, DEV_REMOTE_WRITE));
	assert_true(dev_mr_hold(v->dev, range + 1, 1, DEV_REMOTE_WRITE));
	dev_mr_release(v->dev);
	/* Nothing needs no key; a byte too many, or a longer key, is refused. */
	range[0].len = 33;
	assert_false(dev_mr_hold(v->dev, range, 1, DEV_REMOTE_READ));
	range[0].addr--;
	range[0].len = 1;
	assert_false(dev_mr_hold(v->dev, range, 1, DEV_REMOTE_READ));
	range[0].len = 0;
	assert_true(dev_mr_hold(v->dev, range, 1, DEV_REMOTE_READ));
	dev_mr_release(v->dev);
	range[1].key |= UINT64_C(1) << 32;
	assert_false(dev_mr_hold(v->dev, range + 1, 1, DEV_REMOTE_READ));
	range[1].key = mr[1]->key;
	assert_int_equal(dev_mr_close(mr[1]), 0);
	assert_false(dev_mr_hold(v->dev, range + 1, 1, DEV_REMOTE_READ));
	assert_int_equal(dev_mr_close(mr[0]), 0);
}

static bool is_alive(const struct dev_range *range)
{
	struct ibv_sge sge = {
		.addr = range->addr,
		.length = (uint32_t)range->len,
		.lkey = (uint32_t)range->key, /* the fake has one for both */
	};

	return fake_is_registered(&sge);
}

static struct dev_mr *brief(struct verbs *v, char *buf, struct dev_range *out)
{
	struct dev_mr *mr;

	assert_int_equal(dev_mr_open(v->dev, buf, 4096,
				     DEV_REMOTE_READ | DEV_MR_BRIEF, &mr),
			 0);
	*out = (struct dev_range){ (uintptr_t)buf, 4096, mr->key };
	return mr;
}

/* A read of the peer may be under way: its key has to be worth nothing. */
static void dev_mr_close__brief_that_was_broken_off(void **state)
{
	static _Alignas(4096) char buf[4096];
	struct verbs *v = *state;
	struct dev_range range;
	struct dev_mr *mr;

	mr = brief(v, buf, &range);
	mr->over = true;
	assert_int_equal(dev_mr_close(mr), 0);
	mr = brief(v, buf, &range);
	assert_true(is_alive(&range));
	assert_int_equal(dev_mr_close(mr), 0);
	assert_false(is_alive(&range));
}

/* Others who use the same registration do so to their end, and no more. */
static void dev_mr_close__brief_beside_another(void **state)
{
	static _Alignas(4096) char buf[4096];
	struct dev_range range[3];
	struct verbs *v = *state;
	struct dev_mr *mr[3];

	mr[0] = brief(v, buf, &range[0]);
	mr[1] = brief(v, buf, &range[1]);
	assert_int_equal(dev_mr_close(mr[0]), 0);
	assert_true(is_alive(&range[1]));
	mr[2] = brief(v, buf, &range[2]);
	assert_int_not_equal(range[2].key, range[0].key);
	mr[1]->over = true;
	assert_int_equal(dev_mr_close(mr[1]), 0);
	assert_false(is_alive(&range[0]));
	assert_true(is_alive(&range[2]));
	assert_int_equal(dev_mr_close(mr[2]), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(dev_mr_open__limit_is_explained_once),
		CASE(dev_mr_open__memory_that_is_read_only),
		CASE(dev_mr_hold__what_a_peer_may_touch),
		CASE(dev_mr_close__brief_that_was_broken_off),
		CASE(dev_mr_close__brief_beside_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
