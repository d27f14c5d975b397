/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_mr_test.c - regions, and what limits them
 */
#include "dev_verbs_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "config.h"

static int setup(void **state)
{
	*state = verbs_new();
	fake_config.efa.device_caps |= 1 << 3;
	verbs_setup(*state, DEV_QP_RDM);
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

/* ---- interconnect ids ---------------------------------------------------- */

static int query_error;

#if !HAVE_DECL_EFADV_QUERY_MR
struct efadv_mr_attr;
int efadv_query_mr(struct ibv_mr *mr, struct efadv_mr_attr *attr, uint32_t len);
#endif

/* As version 50 has it; dev_verbs_lib.c finds it by name. */
__attribute__((visibility("default"))) int
efadv_query_mr(struct ibv_mr *mr, struct efadv_mr_attr *attr, uint32_t len)
{
	static const uint16_t ids[] = { 5, 0x1111, 0x2222, 0x3333 };

	assert_true(fake_is_registered(&(struct ibv_sge){
		.addr = (uintptr_t)mr->addr, .length = 64, .lkey = mr->lkey }));
	assert_int_equal(len, 16);
	if (!query_error)
		memcpy((char *)attr + 8, ids, sizeof(ids));
	return query_error;
}

static void dev_mr_ids__of_the_library(void **state)
{
	struct dev_mr_ids ids = { .valid = 9 };
	struct verbs *v = *state;
	static char buf[64];
	struct dev_mr *mr;

	assert_int_equal(dev_mr_open(v->dev, buf, sizeof(buf), 0, &mr), 0);
	query_error = EIO;
	assert_int_equal(dev_mr_ids(mr, &ids), -EIO);
	assert_int_equal(ids.valid, 9);
	query_error = 0;
	assert_int_equal(dev_mr_ids(mr, &ids), 0);
	assert_int_equal(ids.valid, 5);
	assert_int_equal(ids.recv, 0x1111);
	assert_int_equal(ids.read, 0x2222);
	assert_int_equal(ids.rdma_recv, 0x3333);
	assert_int_equal(dev_mr_close(mr), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, verbs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(dev_mr_open__limit_is_explained_once),
		CASE(dev_mr_open__memory_that_is_read_only),
		CASE(dev_mr_hold__what_a_peer_may_touch),
		CASE(dev_mr_close__brief_that_was_broken_off),
		CASE(dev_mr_close__brief_beside_another),
		CASE(dev_mr_ids__of_the_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
