/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_ask_test.c - handles that take their time, get no answer, or come too
 * late; nobody who sends waits for them
 */
#include "wire_ud_fixture.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "util/u_time.h"

/* Handles of a are made when the test says so, and senders do not wait. */
static int setup(void **state)
{
	struct ud *ud;

	if (ud_setup_pair(state))
		return -1;
	ud = *state;
	wire_ud_of(ud->a.w)->hosts.patience = 0;
	fake_set(&fake.ah_wait, 1);
	return 0;
}

/* Some more are made. */
static void pass(int n)
{
	fake_set(&fake.ah_pass, n);
}

static int teardown(void **state)
{
	fake_set(&fake.ah_wait, 0);
	return ud_teardown(state);
}

/* To 10.0.0.last; true: it was taken. */
static bool send_to_host(struct ud *ud, uint8_t last)
{
	struct wire_out out = packet_to(&ud->b, 0, 60, 1);
	uint8_t gid[16];

	fake_gid_v4(last, gid);
	out.gid = gid;
	return wire_send(ud->a.w, &out, 1) == 1;
}

static struct wire_ud_host *host_of(struct ud *ud, uint8_t last)
{
	struct wire_ud_hosts *hosts = &wire_ud_of(ud->a.w)->hosts;
	uint8_t gid[16];

	fake_gid_v4(last, gid);
	for (uint32_t i = 0; i < hosts->n; i++)
		if (!memcmp(hosts->host[i].gid, gid, 16))
			return &hosts->host[i];
	fail_msg("10.0.0.%d is not known", last);
	return NULL;
}

/* How many questions are in this state, or, with a host, those of it. */
static int asks(struct ud *ud, int state, const struct wire_ud_host *h)
{
	struct wire_ud_asker *a = &wire_ud_of(ud->a.w)->asker;
	int n = 0;

	pthread_mutex_lock(&a->lock);
	for (int i = 0; i < WIRE_UD_ASKS; i++)
		n += (int)a->ask[i].state == state &&
		     (!h || a->ask[i].host == h);
	pthread_mutex_unlock(&a->lock);
	return n;
}

/* Yields; fails what has waited for too long. */
static void wait_on(uint64_t since)
{
	assert_true(u_now() - since < 20 * U_SEC);
	sched_yield();
}

static void await_asks(struct ud *ud, int state, int n)
{
	uint64_t since = u_now();

	while (asks(ud, state, NULL) != n)
		wait_on(since);
}

/* All are answered; the answers may be taken. */
static void await_answers(struct ud *ud)
{
	uint64_t since = u_now();

	while (asks(ud, WIRE_UD_ASK_WAITS, NULL) +
	       asks(ud, WIRE_UD_ASK_RUNS, NULL))
		wait_on(since);
}

static void wire_ud_ask__no_sender_waits(void **state)
{
	struct ud *ud = *state;
	struct wire_note note;

	for (uint8_t path = 0; path < PATHS; path++)
		send_to(&ud->a, &ud->b, path, 60, 1);
	assert_int_equal(wire_ud_of(ud->a.w)->asker.nasks, 1);
	assert_int_equal(fake.sends, 0);
	assert_int_equal(wire_ud_of(ud->a.w)->stats.tx_failed, PATHS);
	assert_int_equal(look(&ud->a, &note, 1), 0);
	pass(1);
	await_asks(ud, WIRE_UD_ASK_DONE, 1);
	send_to(&ud->a, &ud->b, 0, 60, 2);
	expect_from(&ud->b, &ud->a, 60, 2);
	send_to(&ud->a, &ud->b, 1, 60, 3); /* has to ask for its own */
	assert_int_equal(fake.sends, 1);
}

static void wire_ud_ask__put_again_without_an_answer(void **state)
{
	/* What libibverbs leaves in errno may be of something else. */
	static const int errors[] = { ETIMEDOUT, EHOSTUNREACH, EDESTADDRREQ,
				      EAGAIN };
	struct ud *ud = *state;
	struct wire_note note;

	fake_set(&fake.ah_wait, 0);
	for (uint32_t i = 0; i < u_array_size(errors); i++) {
		fake_set(&fake.ah_errno, errors[i]);
		send_to(&ud->a, &ud->b, 0, 60, 2);
		await_answers(ud);
		send_to(&ud->a, &ud->b, 0, 60, 2);
		assert_int_equal(host_of(ud, 2)->failures, i + 1);
		assert_true(host_of(ud, 2)->bad_until > 1);
		host_of(ud, 2)->bad_until = 1; /* the pause is over */
	}
	fake_set(&fake.ah_errno, 0);
	send_to(&ud->a, &ud->b, 0, 60, 2);
	await_answers(ud);
	assert_int_equal(look(&ud->a, &note, 1), 0);
	send_to(&ud->a, &ud->b, 0, 60, 2);
	expect_from(&ud->b, &ud->a, 60, 2);
	assert_int_equal(host_of(ud, 2)->failures, 0);
}

/* There is no route while a port is down, and there may be one later. */
static void wire_ud_ask__without_a_port_nothing_is_final(void **state)
{
	struct ud *ud = *state;
	struct wire_note note;

	fake_set(&fake.ah_wait, 0);
	fake_set(&fake.ah_errno, ENETUNREACH);
	fake.device[0].port.state = IBV_PORT_DOWN;
	fake_event(0, IBV_EVENT_PORT_ERR);
	assert_int_equal(look(&ud->a, &note, 1), 0);
	send_to(&ud->a, &ud->b, 0, 60, 2);
	await_answers(ud);
	send_to(&ud->a, &ud->b, 0, 60, 2);
	assert_int_equal(look(&ud->a, &note, 1), 0);
	fake_set(&fake.ah_errno, 0);
	fake.device[0].port.state = IBV_PORT_ACTIVE;
	fake_event(0, IBV_EVENT_PORT_ACTIVE);
	assert_int_equal(look(&ud->a, &note, 1), 0);
	send_to(&ud->a, &ud->b, 0, 60, 2); /* without a pause */
	await_answers(ud);
	send_to(&ud->a, &ud->b, 0, 60, 2);
	expect_from(&ud->b, &ud->a, 60, 2);
}

/* Others have all handles of the device: it goes on with other hosts. */
static void wire_ud_ask__no_handle_is_left(void **state)
{
	struct ud *ud = *state;
	struct wire_note note;

	fake_set(&fake.ah_wait, 0);
	fake_set(&fake.ah_errno, ENOMEM);
	for (int i = 0; i < 3; i++) {
		assert_true(send_to_host(ud, 2));
		await_answers(ud);
	}
	assert_int_equal(look(&ud->a, &note, 1), 0);
	fake_set(&fake.ah_errno, 0);
	host_of(ud, 2)->bad_until = 1;
	assert_true(send_to_host(ud, 2));
	await_answers(ud);
	assert_true(send_to_host(ud, 2));
	expect_from(&ud->b, &ud->a, 60, 1);
}

/* Hosts that do not answer take the helpers from nobody else. */
static void wire_ud_ask__strangers_go_first(void **state)
{
	struct ud *ud = *state;

	for (uint8_t i = 0; i < WIRE_UD_HELPERS; i++)
		assert_true(send_to_host(ud, 100 + i));
	await_asks(ud, WIRE_UD_ASK_RUNS, WIRE_UD_HELPERS);
	fake_set(&fake.ah_errno, ETIMEDOUT);
	pass(1);
	await_asks(ud, WIRE_UD_ASK_DONE, 1);
	/* One has failed, and asks again before another is there. */
	for (uint8_t i = 0; i < WIRE_UD_HELPERS; i++)
		assert_true(send_to_host(ud, 100 + i));
	for (uint8_t i = 0; i < WIRE_UD_HELPERS; i++)
		if (!host_of(ud, 100 + i)->asked)
			host_of(ud, 100 + i)->bad_until = 1;
	assert_true(send_to_host(ud, 120));
	await_asks(ud, WIRE_UD_ASK_RUNS, WIRE_UD_HELPERS);
	for (uint8_t i = 0; i < WIRE_UD_HELPERS; i++)
		assert_true(send_to_host(ud, 100 + i));
	assert_true(send_to_host(ud, 121));
	assert_int_equal(asks(ud, WIRE_UD_ASK_WAITS, NULL), 2);
	pass(1);
	await_asks(ud, WIRE_UD_ASK_DONE, 1);
	await_asks(ud, WIRE_UD_ASK_RUNS, WIRE_UD_HELPERS);
	assert_int_equal(asks(ud, WIRE_UD_ASK_RUNS, host_of(ud, 121)), 1);
	assert_int_equal(asks(ud, WIRE_UD_ASK_WAITS, NULL), 1);
}

static void wire_ud_ask__more_hosts_than_questions(void **state)
{
	struct ud *ud = *state;
	uint64_t since;

	for (uint8_t i = 0; i < WIRE_UD_ASKS + 10; i++)
		assert_true(send_to_host(ud, 100 + i));
	assert_int_equal(wire_ud_of(ud->a.w)->asker.nasks, WIRE_UD_ASKS);
	fake_set(&fake.ah_wait, 0);
	await_asks(ud, WIRE_UD_ASK_DONE, WIRE_UD_ASKS);
	for (uint8_t i = 0; i < WIRE_UD_ASKS + 10; i++)
		assert_true(send_to_host(ud, 100 + i));
	since = u_now();
	while (fake_get(&fake.handles) != WIRE_UD_ASKS + 10)
		wait_on(since);
}

/* A host that is asked about keeps its place. */
static void wire_ud_ask__host_is_not_forgotten(void **state)
{
	struct ud *ud = *state;

	wire_ud_of(ud->a.w)->hosts.max = 1;
	assert_true(send_to_host(ud, 2));
	assert_false(send_to_host(ud, 100));
	pass(1);
	await_asks(ud, WIRE_UD_ASK_DONE, 1);
	assert_true(send_to_host(ud, 2));
	expect_from(&ud->b, &ud->a, 60, 1);
	for (int i = 1; i < WIRE_UD_SIGNAL; i++)
		assert_true(send_to_host(ud, 2));
	assert_true(send_to_host(ud, 100));
}

static void wire_ud_ask__answer_of_before_is_thrown_away(void **state)
{
	struct ud *ud = *state;
	struct wire_note note;

	send_to(&ud->a, &ud->b, 0, 60, 1);
	await_asks(ud, WIRE_UD_ASK_RUNS, 1);
	fake_set_v4(&fake.device[0], 0, 99);
	fake_set_v4(&fake.device[0], 2, 1);
	fake_event(0, IBV_EVENT_GID_CHANGE);
	look(&ud->a, &note, 1);
	fake_set(&fake.ah_wait, 0);
	await_asks(ud, WIRE_UD_ASK_DONE, 1);
	assert_int_equal(fake.last_ah.grh.sgid_index, 0);
	send_to(&ud->a, &ud->b, 0, 60, 2); /* asks anew */
	await_answers(ud);
	assert_int_equal(fake.handles, 1);
	assert_int_equal(fake.last_ah.grh.sgid_index, 2);
	send_to(&ud->a, &ud->b, 0, 60, 2);
	expect_from(&ud->b, &ud->a, 60, 2);
}

static void *let_pass(void *arg)
{
	struct ud *ud = arg;
	struct wire_ud_asker *a = &wire_ud_of(ud->a.w)->asker;
	bool stop = false;

	while (!stop) {
		pthread_mutex_lock(&a->lock);
		stop = a->stop;
		pthread_mutex_unlock(&a->lock);
		sched_yield();
	}
	fake_set(&fake.ah_wait, 0);
	return NULL;
}

/* Questions that nobody has begun with are dropped. */
static void wire_ud_asker_fini__waits_for_those_that_run(void **state)
{
	struct ud *ud = *state;
	pthread_t thread;

	for (uint8_t i = 0; i < WIRE_UD_HELPERS + 3; i++)
		assert_true(send_to_host(ud, 100 + i));
	await_asks(ud, WIRE_UD_ASK_RUNS, WIRE_UD_HELPERS);
	assert_int_equal(pthread_create(&thread, NULL, let_pass, ud), 0);
	side_close(&ud->a);
	pthread_join(thread, NULL);
	assert_int_equal(fake.handles_made, WIRE_UD_HELPERS);
	assert_int_equal(fake.handles, 0);
}

#define ASK(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ASK(wire_ud_ask__no_sender_waits),
		ASK(wire_ud_ask__put_again_without_an_answer),
		ASK(wire_ud_ask__without_a_port_nothing_is_final),
		ASK(wire_ud_ask__no_handle_is_left),
		ASK(wire_ud_ask__strangers_go_first),
		ASK(wire_ud_ask__more_hosts_than_questions),
		ASK(wire_ud_ask__host_is_not_forgotten),
		ASK(wire_ud_ask__answer_of_before_is_thrown_away),
		ASK(wire_ud_asker_fini__waits_for_those_that_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
