/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_race_test.c - the two edges that rest on a barrier of one side
 *
 * A sender's thread and the receiver's start each round together and do one
 * step each; then it is looked at whether one of them saw the other. With the
 * barrier left out this fails within some thousand rounds on two processors.
 */
#include "wire_shm_fixture.h"

#include "wire/wire_shm_priv.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#define ROUNDS 20000
#define LANES 12

static struct {
	struct wire_shm_link *link; /* of the sender's thread */
	_Atomic uint32_t go; /* round that may run */
	_Atomic uint32_t done; /* round that the sender has run */
	_Atomic int rc; /* of its send */
} race;

/* Spins, but lets others run where there is one processor only. */
static void wait_for(_Atomic uint32_t *word, uint32_t value)
{
	int spins = 0;

	while (atomic_load(word) != value)
		if (++spins % 256 == 0)
			sched_yield();
}

static void *sender_main(void *arg)
{
	uint32_t round;

	(void)arg;
	for (round = 1; round <= ROUNDS; round++) {
		wait_for(&race.go, round);
		atomic_store(&race.rc, send_bytes(race.link, round, "x", 1));
		atomic_store(&race.done, round);
	}
	return NULL;
}

typedef void (*step_fn)(struct fixture *f);
typedef bool (*seen_fn)(struct fixture *f);

/* Goes on after a miss: the sender waits for the rounds to come. */
static void race_run(struct fixture *f, step_fn before, step_fn step,
		     seen_fn seen)
{
	uint32_t round, missed = 0;
	pthread_t sender;
	int i;

	race.link = f->ab;
	atomic_store(&race.go, 0);
	atomic_store(&race.done, 0);
	assert_int_equal(pthread_create(&sender, NULL, sender_main, NULL), 0);
	for (round = 1; round <= ROUNDS; round++) {
		before(f);
		atomic_store(&race.go, round);
		/* now this one is first, now the other */
		for (i = 0; i < (int)(round % 64); i++)
			u_relax();
		step(f);
		wait_for(&race.done, round);
		missed += !seen(f);
	}
	pthread_join(sender, NULL);
	assert_int_equal(missed, 0);
}

static void drop_all(struct wire_shm *w)
{
	while (poll_drop(w))
		;
}

static int armed; /* what wire_shm_arm said */

static void awake(struct fixture *f)
{
	wire_shm_disarm(f->b);
	drop_all(f->b);
}

static void arm(struct fixture *f)
{
	armed = wire_shm_arm(f->b);
}

static bool one_saw_the_other(struct fixture *f)
{
	(void)f;
	return armed == 1 || atomic_load(&race.rc) == 1;
}

static void wire_shm_arm__sees_a_record_or_is_seen(void **state)
{
	struct fixture *f = *state;

	race_run(f, awake, arm, one_saw_the_other);
}

static void wire_shm_arm__does_so_with_fences_too(void **state)
{
	struct fixture *f = *state;

	f->b->expedited = false;
	f->ab->fence = true;
	race_run(f, awake, arm, one_saw_the_other);
}

static struct wire_shm_link *lanes[LANES]; /* [0]: of the sender's thread */

static void others_send(struct fixture *f)
{
	int i;

	for (i = 1; i < LANES; i++)
		assert_int_equal(send_bytes(lanes[i], 0, "x", 1), 0);
	drop_all(f->b);
}

/* All are hot, a look for idle lanes is due, and lane 0 alone is idle. */
static void cooling_due(struct fixture *f)
{
	others_send(f);
	f->b->polls = UINT32_MAX - 1;
	wire_shm_lane_chores(f->b);
	others_send(f);
	f->b->polls = UINT32_MAX - 1;
}

static void chores(struct fixture *f)
{
	wire_shm_lane_chores(f->b);
}

/* What is neither hot nor announced would be lost. */
static bool found(struct fixture *f)
{
	uint32_t lane = race.link->lane;
	uint64_t bits = atomic_load(&f->b->seg->bits[lane / 64]);

	return f->b->lane[lane].hot || bits >> lane % 64 & 1;
}

static void wire_shm_poll__cools_no_lane_with_a_record(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id b = id_of(2);
	int i;

	lanes[0] = f->ab;
	for (i = 1; i < LANES; i++)
		assert_int_equal(wire_shm_link_open(f->a, &b, &lanes[i]), 0);
	poll_drop(f->b);
	race_run(f, cooling_due, chores, found);
	for (i = 1; i < LANES; i++)
		wire_shm_link_close(lanes[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PAIR(wire_shm_arm__sees_a_record_or_is_seen),
		IN_PAIR(wire_shm_arm__does_so_with_fences_too),
		IN_PAIR(wire_shm_poll__cools_no_lane_with_a_record),
	};

	return cmocka_run_group_tests_name("wire_shm_race", tests, NULL, NULL);
}
