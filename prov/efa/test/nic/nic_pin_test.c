/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_pin_test.c - pins of peers that copy, and owners who wait for them
 */
#include "nic_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "nic/nic_keys.h"
#include "nic/nic_priv.h"

#define RW (NIC_REMOTE_READ | NIC_REMOTE_WRITE)

struct view {
	struct nic_keys keys;
	struct nic_mirror *mirror;
	char mem[64];
	uint32_t key;
};

static void view_open(struct view *v, const struct nt *t)
{
	assert_int_equal(nic_keys_init(&v->keys, t->dir), 0);
	assert_int_equal(nic_mirror_open(t->dir, v->keys.tag, &v->mirror), 0);
	assert_int_equal(
		nic_keys_reg(&v->keys, v->mem, sizeof(v->mem), RW, &v->key), 0);
}

static void view_close(struct view *v)
{
	nic_mirror_close(v->mirror);
	nic_keys_fini(&v->keys);
}

static uint32_t npins(const struct view *v)
{
	const struct nic_mirror_header *h = v->keys.file.base;

	return atomic_load(&h->npins);
}

/* ---- taking ----------------------------------------------------------------- */

static void nic_pin_take__lowest_that_is_left(void **state)
{
	struct nic_pin *pin[3], *again;
	struct view v;

	view_open(&v, *state);
	assert_int_equal(npins(&v), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(nic_mirror_pin(v.mirror, &pin[i]), 0);
		assert_ptr_equal(pin[i], pin[0] + i);
		assert_int_equal(pin[i]->key, 0);
	}
	assert_int_equal(npins(&v), 3);
	nic_mirror_unpin(v.mirror, pin[1]);
	assert_int_equal(nic_mirror_pin(v.mirror, &again), 0);
	assert_ptr_equal(again, pin[1]);
	assert_int_equal(npins(&v), 3);
	view_close(&v);
}

static void nic_pin_take__until_none_is_left(void **state)
{
	struct nic_pin *pin;
	struct view v;

	view_open(&v, *state);
	for (uint32_t i = 0; i < NIC_PINS_MAX; i++)
		assert_int_equal(nic_mirror_pin(v.mirror, &pin), 0);
	assert_int_equal(nic_mirror_pin(v.mirror, &pin), -ENOSPC);
	assert_int_equal(nic_keys_dereg(&v.keys, v.key), 0);
	view_close(&v);
}

/* A process of its own, as a mirror is one for all of a process. */
static int hold_a_pin(struct nt *t, int sock)
{
	struct nic_mirror *m;
	struct nic_pin *pin;
	uint64_t tag;
	uint32_t key;
	char go = 0;

	nt_hear(sock, &tag, sizeof(tag));
	nt_hear(sock, &key, sizeof(key));
	NT_CHECK(nic_mirror_open(t->dir, tag, &m) == 0);
	NT_CHECK(nic_mirror_pin(m, &pin) == 0);
	nic_pin_set(pin, key);
	nt_tell(sock, &go, 1);
	nt_hear(sock, &go, 1);
	nic_pin_clear(pin);
	nt_tell(sock, &go, 1);
	nt_hear(sock, &go, 1);
	return 0;
}

static void child_pin(struct nt_child *c, const struct view *v, uint32_t key)
{
	char go;

	nt_tell(c->sock, &v->keys.tag, sizeof(v->keys.tag));
	nt_tell(c->sock, &key, sizeof(key));
	nt_hear(c->sock, &go, 1);
}

static void nic_pin_take__of_several_processes(void **state)
{
	struct nt *t = *state;
	struct nt_child c;
	struct nic_pin *pin, *theirs;
	struct view v;

	nt_fork(t, &c, hold_a_pin); /* first: a child keeps our locks */
	view_open(&v, t);
	child_pin(&c, &v, 5);
	assert_int_equal(nic_mirror_pin(v.mirror, &pin), 0);
	theirs = pin - 1;
	assert_int_equal(theirs->key, 5);
	nt_kill(&c);
	/* Who died has left what is in it. */
	assert_int_equal(nic_mirror_pin(v.mirror, &pin), 0);
	assert_ptr_equal(pin, theirs);
	assert_int_equal(pin->key, 0);
	view_close(&v);
}

static uint32_t index_of(const struct nic_mirror *m, const struct nic_pin *pin)
{
	const char *first = m->file.base;

	first += nic_mirror_pin_offset(0);
	return (uint32_t)(((const char *)pin - first) / (long)sizeof(*pin));
}

/* A mirror that was mapped before the fork is not the child's to pin by. */
static int take_in_a_child(struct nt *t, int sock)
{
	struct nic_mirror *m;
	struct nic_pin *pin;
	uint32_t index;
	uint64_t tag;

	nt_hear(sock, &tag, sizeof(tag));
	NT_CHECK(nic_mirror_open(t->dir, tag, &m) == 0);
	NT_CHECK(nic_mirror_pin(m, &pin) == 0);
	index = index_of(m, pin);
	nt_tell(sock, &index, sizeof(index));
	nt_hear(sock, &tag, 1);
	return 0;
}

static void nic_pin_take__beside_a_forked_child(void **state)
{
	struct nt *t = *state;
	struct nt_child c;
	struct nic_pin *pin;
	uint32_t index;
	struct view v;

	view_open(&v, t);
	assert_int_equal(nic_mirror_pin(v.mirror, &pin), 0);
	assert_int_equal(index_of(v.mirror, pin), 0);
	nt_fork(t, &c, take_in_a_child);
	nt_tell(c.sock, &v.keys.tag, sizeof(v.keys.tag));
	nt_hear(c.sock, &index, sizeof(index));
	assert_int_equal(index, 1);
	assert_int_equal(nic_mirror_pin(v.mirror, &pin), 0);
	assert_int_equal(index_of(v.mirror, pin), 2);
	nt_tell(c.sock, &index, 1);
	assert_int_equal(nt_join(&c), 0);
	view_close(&v);
}

/* ---- waiting ---------------------------------------------------------------- */

struct copy {
	struct view *v;
	struct nic_pin *pin;
	_Atomic bool over;
};

static bool is_open(const struct view *v)
{
	return nic_mirror_covers(v->mirror, v->key, RW, (uintptr_t)v->mem, 1);
}

/* Goes on for a while after the owner has begun to close. */
static void *copy_run(void *arg)
{
	struct copy *copy = arg;

	while (is_open(copy->v))
		sched_yield();
	for (int i = 0; i < 20; i++)
		sched_yield();
	copy->over = true;
	nic_pin_clear(copy->pin);
	return NULL;
}

static void nic_keys_dereg__waits_for_a_copy(void **state)
{
	struct view v;
	struct copy copy = { .v = &v };
	pthread_t thread;

	view_open(&v, *state);
	assert_int_equal(nic_mirror_pin(v.mirror, &copy.pin), 0);
	nic_pin_set(copy.pin, v.key);
	pthread_create(&thread, NULL, copy_run, &copy);
	assert_int_equal(nic_keys_dereg(&v.keys, v.key), 0);
	assert_true(copy.over);
	pthread_join(thread, NULL);
	view_close(&v);
}

static void nic_keys_dereg__waits_for_no_other_key(void **state)
{
	struct nic_pin *pin;
	uint32_t other;
	struct view v;

	view_open(&v, *state);
	assert_int_equal(nic_keys_reg(&v.keys, v.mem, 8, RW, &other), 0);
	assert_int_equal(nic_mirror_pin(v.mirror, &pin), 0);
	nic_pin_set(pin, other);
	assert_int_equal(nic_keys_dereg(&v.keys, v.key), 0);
	assert_int_equal(nic_keys_dereg_over(&v.keys, other), 0);
	assert_int_equal(nic_keys_used(&v.keys), 0);
	view_close(&v);
}

static void nic_keys_dereg__waits_for_nobody_dead(void **state)
{
	struct nt *t = *state;
	struct nt_child c;
	struct view v;

	nt_fork(t, &c, hold_a_pin); /* first: a child keeps our locks */
	view_open(&v, t);
	child_pin(&c, &v, v.key);
	nt_kill(&c);
	assert_int_equal(nic_keys_dereg(&v.keys, v.key), 0);
	view_close(&v);
}

/* One who was stopped: the region stays, closed to all, until he has ended. */
static void nic_keys_dereg__busy(void **state)
{
	struct nt *t = *state;
	struct nt_child c;
	struct view v;
	uint32_t key;
	char go = 0;

	nt_fork(t, &c, hold_a_pin); /* first: a child keeps our locks */
	view_open(&v, t);
	v.keys.pins.wait = U_MSEC;
	child_pin(&c, &v, v.key);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(nic_keys_dereg(&v.keys, v.key), -EBUSY);
		assert_int_equal(nic_keys_used(&v.keys), 1);
		assert_false(is_open(&v));
	}
	/* Its slot is nobody's meanwhile. */
	for (uint32_t i = 0; i < 3 * NIC_KEYS_GROUP; i++) {
		assert_int_equal(nic_keys_reg(&v.keys, v.mem, 8, RW, &key), 0);
		assert_int_not_equal(key & NIC_KEY_INDEX_MASK,
				     v.key & NIC_KEY_INDEX_MASK);
		assert_int_equal(nic_keys_dereg(&v.keys, key), 0);
	}
	nt_tell(c.sock, &go, 1);
	nt_hear(c.sock, &go, 1);
	assert_int_equal(nic_keys_dereg(&v.keys, v.key), 0);
	assert_int_equal(nic_keys_dereg(&v.keys, v.key), -EINVAL);
	assert_int_equal(nic_keys_used(&v.keys), 0);
	nt_tell(c.sock, &go, 1);
	assert_int_equal(nt_join(&c), 0);
	view_close(&v);
}

/* Whatever a peer writes there, no memory is touched that there is not. */
static void nic_keys_dereg__hostile_count(void **state)
{
	struct nic_mirror_header *h;
	struct view v;

	view_open(&v, *state);
	h = v.mirror->file.base;
	atomic_store(&h->npins, UINT32_MAX);
	assert_int_equal(nic_keys_dereg(&v.keys, v.key), 0);
	view_close(&v);
}

/* ---- copies between processes ------------------------------------------------ */

#define LEN (1u << 20)
#define ROUNDS 200

struct target {
	struct nic_addr addr;
	uint64_t at;
	uint32_t key;
};

/* Writes to what it is told of, until it is told that there is no more. */
static int write_on(struct nt *t, int sock)
{
	char *mem = malloc(LEN);
	struct nic_ah *ah = NULL;
	struct target to;
	struct nt_end e;
	char go = 0;

	nt_open(t, &e, NIC_QP_RDM);
	memset(mem, 0x77, LEN);
	for (nt_hear(sock, &to, sizeof(to)); to.key;
	     nt_hear(sock, &to, sizeof(to))) {
		const struct nic_rdma op = { .type = NIC_WRITE,
					     .local = mem,
					     .remote = to.at,
					     .len = LEN,
					     .rkey = to.key };
		int rc = 0;

		if (!ah)
			NT_CHECK(nic_ah_open(e.qp, &to.addr, 0, &ah) == 0);
		nt_tell(sock, &go, 1);
		while (rc == 0)
			rc = nic_rdma(ah, &op);
		NT_CHECK(rc == 1);
		NT_CHECK(nt_wait(&e, NULL)->status == NIC_BAD_RKEY);
		nt_tell(sock, &go, 1);
	}
	return nic_qp_stats(e.qp)->rdma_direct ? 0 : 1;
}

/* Memory is the owner's alone from the moment that its region is closed. */
static void nic_mr_dereg__no_write_comes_later(void **state)
{
	struct nt *t = *state;
	char *mem = malloc(LEN), go;
	struct target to;
	struct nt_child c;
	struct nt_end e;

	nt_fork(t, &c, write_on);
	nt_open(t, &e, NIC_QP_RDM);
	to.addr = e.addr;
	to.at = (uintptr_t)mem;
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(nic_mr_reg(e.nic, mem, LEN, RW, &to.key), 0);
		nt_tell(c.sock, &to, sizeof(to));
		nt_hear(c.sock, &go, 1);
		for (int k = 0; k < i % 20; k++)
			sched_yield();
		assert_int_equal(nic_mr_dereg(e.nic, to.key), 0);
		memset(mem, 0x55, LEN);
		nt_hear(c.sock, &go, 1);
		for (uint32_t at = 0; at < LEN; at += 64)
			assert_int_equal(mem[at], 0x55);
	}
	to.key = 0;
	nt_tell(c.sock, &to, sizeof(to));
	assert_int_equal(nt_join(&c), 0);
	nt_close(&e);
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NT_DIR(nic_pin_take__lowest_that_is_left),
		NT_DIR(nic_pin_take__until_none_is_left),
		NT_DIR(nic_pin_take__of_several_processes),
		NT_DIR(nic_pin_take__beside_a_forked_child),
		NT_DIR(nic_keys_dereg__waits_for_a_copy),
		NT_DIR(nic_keys_dereg__waits_for_no_other_key),
		NT_DIR(nic_keys_dereg__waits_for_nobody_dead),
		NT_DIR(nic_keys_dereg__busy),
		NT_DIR(nic_keys_dereg__hostile_count),
		NT_DIR(nic_mr_dereg__no_write_comes_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
