/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_lane_test.c - lanes come, cool down, and go with their senders
 */
#include "wire_shm_fixture.h"

#include "wire/wire_shm_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY 40

static struct wire_shm_link *link_to_b(struct fixture *f)
{
	struct wire_shm_id b = id_of(2);
	struct wire_shm_link *l = NULL;

	assert_int_equal(wire_shm_link_open(f->a, &b, &l), 0);
	return l;
}

/* b with room for MANY senders, all open and seen. */
static void many_open(struct fixture *f, struct wire_shm_link **l)
{
	int i;

	f->config.lanes = MANY;
	f->a = open_of(f, 1);
	f->b = open_of(f, 2);
	for (i = 0; i < MANY; i++)
		l[i] = link_to_b(f);
	assert_int_equal(poll_drop(f->b), 0);
	assert_int_equal(wire_shm_stats(f->b)->lanes_opened, MANY);
}

static void many_close(struct wire_shm_link **l)
{
	int i;

	for (i = 0; i < MANY; i++)
		wire_shm_link_close(l[i]);
}

/* Each sends its number; all of them arrive, each from its lane. */
static void all_send(struct fixture *f, struct wire_shm_link **l)
{
	struct wire_shm_pkt pkt[MANY];
	uint64_t seen = 0;
	int i, n;

	for (i = 0; i < MANY; i++)
		assert_int_equal(send_bytes(l[i], (uint32_t)i, "x", 1), 0);
	n = wire_shm_poll(f->b, pkt, MANY);
	assert_int_equal(n, MANY);
	for (i = 0; i < n; i++) {
		assert_int_equal(pkt[i].lane, pkt[i].word);
		seen |= UINT64_C(1) << pkt[i].lane;
	}
	wire_shm_give_back(f->b);
	assert_int_equal(seen, (UINT64_C(1) << MANY) - 1);
}

static void wire_shm_poll__reads_many_lanes(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_link *l[MANY];

	many_open(f, l);
	all_send(f, l);
	all_send(f, l);
	many_close(l);
}

static void wire_shm_poll__takes_lanes_in_turn(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_link *l[MANY];
	struct wire_shm_pkt pkt[2];
	int i, j, count[4] = { 0 };

	many_open(f, l);
	for (i = 0; i < 4; i++)
		for (j = 0; j < 50; j++)
			assert_int_equal(send_bytes(l[i], 0, "x", 1), 0);
	for (i = 0; i < 40; i++) {
		assert_int_equal(wire_shm_poll(f->b, pkt, 2), 2);
		count[pkt[0].lane]++;
		count[pkt[1].lane]++;
		wire_shm_give_back(f->b);
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(count[i], 20);
	many_close(l);
}

static void wire_shm_poll__cools_idle_lanes(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_link *l[MANY];
	int round;

	many_open(f, l);
	for (round = 0; round < 3; round++) {
		assert_int_equal(f->b->nhot, MANY);
		assert_int_equal(poll_long(f->b), 0);
		assert_int_equal(f->b->nhot, WIRE_SHM_HOT_FREE);
		assert_int_equal(f->b->chores, 0);
		all_send(f, l);
	}
	many_close(l);
}

static void wire_shm_poll__keeps_busy_lanes_hot(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_link *l[MANY];
	int i, k;

	many_open(f, l);
	for (i = 0; i < 4096 * 4; i++) {
		for (k = 10; k < 20; k++)
			assert_int_equal(send_bytes(l[k], 0, "x", 1), 0);
		assert_int_equal(poll_drop(f->b), 10);
	}
	assert_int_equal(f->b->nhot, 10);
	for (k = 10; k < 20; k++)
		assert_true(f->b->lane[k].hot);
	many_close(l);
}

/* The doorbell wakes as a record does. */
static void wire_shm_arm__cold_lane_tells_its_sender(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_link *l[MANY];
	int i;

	many_open(f, l);
	poll_long(f->b);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(wire_shm_arm(f->b), 0);
		assert_int_equal(send_bytes(l[i], 1, "x", 1), 1);
		assert_int_equal(wire_shm_arm(f->b), 1);
		assert_int_equal(poll_drop(f->b), 1);
	}
	many_close(l);
}

static void wire_shm_link_open__says_that_all_lanes_are_taken(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_link *l[MANY], *more;
	struct wire_shm_id b = id_of(2);

	many_open(f, l);
	assert_int_equal(wire_shm_link_open(f->a, &b, &more), -ENOSPC);
	assert_true(logged("all 40 lanes"));
	/* Who gets none tries again and again. */
	for (int i = 0; i < 100; i++)
		assert_int_equal(wire_shm_link_open(f->a, &b, &more), -ENOSPC);
	assert_in_range(logged_warnings(), 1, 20);
	wire_shm_link_close(l[7]);
	/* Seen by one poll, freed by the next. */
	poll_drop(f->b);
	poll_drop(f->b);
	l[7] = link_to_b(f);
	assert_int_equal(l[7]->lane, 7);
	all_send(f, l);
	many_close(l);
}

static void wire_shm_link_close__what_was_sent_arrives(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id id, a = id_of(1);
	struct wire_shm_pkt pkt[2];
	int i;

	for (i = 0; i < 5; i++)
		assert_int_equal(send_bytes(f->ab, (uint32_t)i, "x", 1), 0);
	wire_shm_link_close(f->ab);
	f->ab = NULL;
	for (i = 0; i < 4; i += 2) {
		assert_int_equal(wire_shm_poll(f->b, pkt, 2), 2);
		assert_int_equal(pkt[0].word, i);
		assert_int_equal(wire_shm_source(f->b, 0, &id), 0);
		assert_memory_equal(&id, &a, sizeof(id));
		wire_shm_tick(f->b);
		wire_shm_give_back(f->b);
	}
	/* The last loan stays valid until it is given back. */
	assert_int_equal(wire_shm_poll(f->b, pkt, 2), 1);
	wire_shm_tick(f->b);
	assert_int_equal(pkt[0].word, 4);
	assert_int_equal(*(const char *)pkt[0].data, 'x');
	wire_shm_give_back(f->b);
	assert_int_equal(poll_drop(f->b), 0);
	assert_int_equal(wire_shm_source(f->b, 0, &id), -ENOENT);
	assert_int_equal(wire_shm_stats(f->b)->lanes_closed, 1);
}

/* Opened, used and closed before the receiver looked once. */
static void wire_shm_tick__finds_a_lane_that_is_closed_already(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(send_bytes(f->ab, 5, "x", 1), 0);
	wire_shm_link_close(f->ab);
	f->ab = NULL;
	wire_shm_tick(f->b);
	assert_int_equal(poll_one(f->b, NULL).word, 5);
	poll_drop(f->b);
	assert_int_equal(wire_shm_stats(f->b)->lanes_closed, 1);
}

static off_t blocks(const struct fixture *f)
{
	struct stat st;

	assert_int_equal(fstat(f->b->file.fd, &st), 0);
	return st.st_blocks * 512;
}

static void wire_shm_link_close__gives_memory_back(void **state)
{
	struct fixture *f = *state;
	off_t before = blocks(f);

	assert_true(before >= 36 << 10);
	wire_shm_link_close(f->ab);
	f->ab = NULL;
	poll_drop(f->b);
	poll_drop(f->b);
	assert_int_equal(blocks(f), before - (36 << 10));
}

static void linger(struct child *c, struct fixture *f)
{
	(void)f;
	child_say(c);
	child_wait(c);
}

static void wire_shm_link_close__frees_beside_a_child(void **state)
{
	struct fixture *f = *state;
	struct child c;

	child_start(&c, linger, f);
	child_hear(&c);
	wire_shm_link_close(f->ab);
	poll_drop(f->b);
	poll_drop(f->b);
	f->ab = link_to_b(f);
	assert_int_equal(f->ab->lane, 0);
	child_kill(&c);
}

/* A lane that is used again shows nothing of what it held. */
static void wire_shm_link_open__starts_a_lane_afresh(void **state)
{
	struct fixture *f = *state;
	char bytes[3000];
	struct wire_shm_pkt pkt;
	int round, i;

	for (round = 0; round < 20; round++) {
		assert_int_equal(f->ab->lane, 0);
		for (i = 0; i < round * 37; i++) {
			fill(bytes, sizeof(bytes), (uint64_t)i);
			assert_int_equal(send_bytes(f->ab, (uint32_t)i, bytes,
						    (size_t)i % 3000),
					 0);
			pkt = poll_one(f->b, NULL);
			assert_int_equal(pkt.word, i);
		}
		wire_shm_link_close(f->ab);
		assert_int_equal(poll_drop(f->b), 0);
		assert_int_equal(poll_drop(f->b), 0);
		f->ab = link_to_b(f);
		assert_int_equal(poll_drop(f->b), 0);
	}
}

static void send_and_die(struct child *c, struct fixture *f)
{
	struct wire_shm_id b = id_of(2);
	struct wire_shm *w = open_of(f, 3);
	struct wire_shm_link *l = NULL;

	CHECK(w && wire_shm_link_open(w, &b, &l) == 0);
	CHECK(send_bytes(l, 1, "x", 1) == 0);
	CHECK(send_bytes(l, 2, "y", 1) == 0);
	child_say(c);
	child_wait(c);
}

static void wire_shm_tick__takes_back_the_lane_of_the_dead(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id id;
	struct child c;

	child_start(&c, send_and_die, f);
	child_hear(&c);
	assert_int_equal(poll_one(f->b, NULL).word, 1);
	wire_shm_tick(f->b);
	wire_shm_tick(f->b);
	child_kill(&c);
	/* What was complete is still delivered. */
	wire_shm_tick(f->b);
	assert_int_equal(poll_one(f->b, NULL).word, 2);
	assert_int_equal(wire_shm_source(f->b, 1, &id), 0);
	assert_int_equal(id.qpn, 3);
	/* The tick after a record leaves the lane, the one after asks. */
	wire_shm_tick(f->b);
	wire_shm_tick(f->b);
	poll_drop(f->b);
	assert_int_equal(wire_shm_source(f->b, 1, &id), -ENOENT);
	assert_int_equal(wire_shm_source(f->b, 0, &id), 0);
	assert_int_equal(wire_shm_stats(f->b)->lanes_closed, 1);
}

static void wire_shm_tick__leaves_the_idle(void **state)
{
	struct fixture *f = *state;
	int i;

	for (i = 0; i < 5; i++) {
		poll_drop(f->b);
		wire_shm_tick(f->b);
	}
	assert_int_equal(wire_shm_stats(f->b)->lanes_closed, 0);
	assert_int_equal(send_bytes(f->ab, 1, "x", 1), 0);
	assert_int_equal(poll_drop(f->b), 1);
}

/* Its sender died between claim and open: no lock, and no bell. */
static void wire_shm_tick__frees_what_was_only_claimed(void **state)
{
	struct fixture *f = *state;
	_Atomic uint32_t *entry = &f->b->seg->entry[5];
	uint32_t claimed = wire_shm_entry_make(64, WIRE_SHM_CLAIMED);

	atomic_store(entry, claimed);
	assert_int_equal(wire_shm_lock(f->ab->fd, WIRE_SHM_LOCK_LANE(5)), 0);
	wire_shm_tick(f->b);
	assert_int_equal(atomic_load(entry), claimed);
	wire_shm_unlock(f->ab->fd, WIRE_SHM_LOCK_LANE(5));
	wire_shm_tick(f->b);
	assert_int_equal(atomic_load(entry), wire_shm_entry_freed(claimed));
}

/* Its sender died between open and the bell. */
static void wire_shm_tick__finds_a_lane_that_did_not_ring(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->b->seg->bits[0], 0);
	f->b->bell = atomic_load(&f->b->seg->bell);
	assert_int_equal(send_bytes(f->ab, 3, "x", 1), 0);
	assert_int_equal(poll_drop(f->b), 0);
	wire_shm_tick(f->b);
	assert_int_equal(poll_drop(f->b), 1);
}

/* A sender before has died between the bit of the bell and its count. */
static void wire_shm_tick__finds_a_bit_that_was_not_counted(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_link *l[MANY];

	many_open(f, l);
	poll_long(f->b);
	assert_int_equal(atomic_load(&l[20]->ctl->flags), WIRE_SHM_ARMED);
	atomic_fetch_or(&f->b->seg->bits[l[20]->lane / 64],
			UINT64_C(1) << l[20]->lane % 64);
	assert_int_equal(send_bytes(l[20], 0, "x", 1), 0);
	assert_int_equal(poll_long(f->b), 0);
	assert_int_equal(wire_shm_arm(f->b), 1);
	wire_shm_tick(f->b);
	assert_int_equal(poll_long(f->b), 1);
	assert_int_equal(wire_shm_arm(f->b), 0);
	wire_shm_disarm(f->b);
	many_close(l);
}

static void wire_shm_poll__cuts_a_lane_with_a_bad_record(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_link *l = f->ab;
	struct wire_shm_id id;

	poll_drop(f->b);
	assert_int_equal(send_bytes(l, 1, "x", 1), 0);
	assert_int_equal(send_bytes(l, 2, "x", 1), 0);
	assert_int_equal(send_bytes(l, 3, "x", 1), 0);
	atomic_store(wire_shm_word(l->ring + 64),
		     (uint64_t)(WIRE_SHM_MAX + 1) << 16 |
			     wire_shm_lap(1, l->shift));
	assert_int_equal(poll_drop(f->b), 1);
	assert_int_equal(poll_drop(f->b), 0);
	assert_int_equal(wire_shm_stats(f->b)->bad_records, 1);
	assert_int_equal(logged_warnings(), 1);
	assert_int_equal(send_bytes(l, 4, "x", 1), -EPIPE);
	assert_int_equal(wire_shm_link_check(l), -EPIPE);
	assert_int_equal(wire_shm_source(f->b, 0, &id), 0);
	/* Its sender closes, and somebody else can have it. */
	wire_shm_link_close(l);
	poll_drop(f->b);
	poll_drop(f->b);
	f->ab = link_to_b(f);
	assert_int_equal(f->ab->lane, 0);
	assert_int_equal(send_bytes(f->ab, 5, "x", 1), 0);
	assert_int_equal(poll_one(f->b, NULL).word, 5);
}

/* A skip where no record needs one would keep the poll busy for ever. */
static void wire_shm_poll__cuts_a_lane_with_a_bad_skip(void **state)
{
	struct fixture *f = *state;

	poll_drop(f->b);
	atomic_store(wire_shm_word(f->ab->ring),
		     (uint64_t)WIRE_SHM_SKIP << 16 |
			     wire_shm_lap(0, f->ab->shift));
	assert_int_equal(poll_drop(f->b), 0);
	assert_int_equal(wire_shm_stats(f->b)->bad_records, 1);
	assert_int_equal(f->b->nhot, 0);
}

static void wire_shm_poll__cuts_one_of_many(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_link *l[MANY];
	int i;

	many_open(f, l);
	for (i = 0; i < MANY; i++)
		assert_int_equal(send_bytes(l[i], 0, "x", 1), 0);
	for (i = 0; i < MANY; i += 3)
		atomic_store(wire_shm_word(l[i]->ring + i * 64),
			     UINT64_C(60000) << 16 |
				     wire_shm_lap(0, l[i]->shift));
	for (i = 0; i < 3; i++)
		poll_drop(f->b);
	assert_int_equal(wire_shm_stats(f->b)->records, MANY - 14);
	assert_int_equal(wire_shm_stats(f->b)->bad_records, 14);
	assert_int_equal(f->b->nhot, MANY - 14);
	many_close(l);
}

static void wire_shm_cut_off__its_sender_hears(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(send_bytes(f->ab, 1, "x", 1), 0);
	assert_int_equal(poll_drop(f->b), 1);
	wire_shm_cut_off(f->b, 0);
	assert_int_equal(wire_shm_link_check(f->ab), -EPIPE);
	assert_int_equal(send_bytes(f->ab, 1, "x", 1), -EPIPE);
}

/* What was sent before a close, or a death, is read. */
static void wire_shm_cut_off__not_who_ends_by_himself(void **state)
{
	struct fixture *f = *state;
	int fd = f->ab->fd;

	assert_int_equal(send_bytes(f->ab, 1, "x", 1), 0);
	assert_int_equal(poll_drop(f->b), 1);
	assert_int_equal(send_bytes(f->ab, 1, "y", 1), 0);
	wire_shm_unlock(fd, WIRE_SHM_LOCK_LANE(0));
	wire_shm_cut_off(f->b, 0);
	assert_int_equal(wire_shm_lock(fd, WIRE_SHM_LOCK_LANE(0)), 0);
	wire_shm_link_close(f->ab);
	f->ab = NULL;
	wire_shm_tick(f->b);
	wire_shm_cut_off(f->b, 0);
	assert_int_equal(poll_drop(f->b), 1);
}

static void use_and_die(struct child *c, struct fixture *f)
{
	struct wire_shm_id b = id_of(2);
	struct wire_shm *w = open_of(f, 3);
	struct wire_shm_link *l = NULL;
	char bytes[500] = { 0 };

	CHECK(w && wire_shm_link_open(w, &b, &l) == 0);
	child_say(c);
	for (;;)
		send_bytes(l, 1, bytes, sizeof(bytes));
}

/* Killed in the middle of whatever it does. */
static void wire_shm_tick__survives_kills(void **state)
{
	struct fixture *f = *state;
	struct child c;
	uint64_t closed;
	int i, k;

	for (i = 0; i < 30; i++) {
		child_start(&c, use_and_die, f);
		child_hear(&c);
		for (k = 0; k < i * 50; k++)
			poll_drop(f->b);
		child_kill(&c);
		closed = wire_shm_stats(f->b)->lanes_closed;
		for (k = 0; wire_shm_stats(f->b)->lanes_closed == closed; k++) {
			assert_true(k < 1000);
			wire_shm_tick(f->b);
			poll_drop(f->b);
		}
	}
	assert_int_equal(wire_shm_stats(f->b)->bad_records, 0);
	assert_int_equal(f->b->nhot, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(wire_shm_poll__reads_many_lanes),
		IN_DIR(wire_shm_poll__takes_lanes_in_turn),
		IN_DIR(wire_shm_poll__cools_idle_lanes),
		IN_DIR(wire_shm_poll__keeps_busy_lanes_hot),
		IN_DIR(wire_shm_arm__cold_lane_tells_its_sender),
		IN_DIR(wire_shm_link_open__says_that_all_lanes_are_taken),
		IN_PAIR(wire_shm_link_open__starts_a_lane_afresh),
		IN_PAIR(wire_shm_link_close__what_was_sent_arrives),
		IN_PAIR(wire_shm_link_close__gives_memory_back),
		IN_PAIR(wire_shm_link_close__frees_beside_a_child),
		IN_PAIR(wire_shm_tick__finds_a_lane_that_is_closed_already),
		IN_PAIR(wire_shm_tick__takes_back_the_lane_of_the_dead),
		IN_PAIR(wire_shm_tick__leaves_the_idle),
		IN_PAIR(wire_shm_tick__frees_what_was_only_claimed),
		IN_PAIR(wire_shm_tick__finds_a_lane_that_did_not_ring),
		IN_DIR(wire_shm_tick__finds_a_bit_that_was_not_counted),
		IN_PAIR(wire_shm_tick__survives_kills),
		IN_PAIR(wire_shm_poll__cuts_a_lane_with_a_bad_record),
		IN_PAIR(wire_shm_poll__cuts_a_lane_with_a_bad_skip),
		IN_DIR(wire_shm_poll__cuts_one_of_many),
		IN_PAIR(wire_shm_cut_off__its_sender_hears),
		IN_PAIR(wire_shm_cut_off__not_who_ends_by_himself),
	};

	return cmocka_run_group_tests_name("wire_shm_lane", tests, NULL, NULL);
}
