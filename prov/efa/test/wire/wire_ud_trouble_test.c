/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_trouble_test.c - a UD wire when things go wrong: hosts without a way,
 * queue pairs that fail, ports that go and come, a device that is taken away
 */
#include "wire_ud_fixture.h"

#include <errno.h>
#include <string.h>

/* Something broken is set up again at any look, not only now and then. */
static void forget_time(struct side *s)
{
	wire_ud_of(s->w)->revived_at = 0;
}

/* --- address handles --- */

static void hosts__one_handle_a_path(void **state)
{
	struct ud *ud = *state;

	for (int i = 0; i < 10; i++)
		for (uint8_t path = 0; path < PATHS; path++)
			send_to(&ud->a, &ud->b, path, 60, 1);
	assert_int_equal(fake.handles_made, PATHS);
	assert_int_equal(fake.last_ah.grh.hop_limit, 64);
	assert_int_equal(fake.last_ah.grh.sgid_index, 0);
}

static void hosts__no_way_is_a_note_and_left_alone(void **state)
{
	struct ud *ud = *state;
	struct wire_note note;

	fake.ah_errno = ENETUNREACH;
	send_to(&ud->a, &ud->b, 0, 60, 1);
	assert_int_equal(look(&ud->a, &note, 1), 1);
	assert_int_equal(note.kind, WIRE_NOTE_NO_ROUTE);
	assert_memory_equal(note.gid, ud->b.info.gid, 16);
	fake.ah_errno = 0;
	send_to(&ud->a, &ud->b, 0, 60, 1);
	assert_int_equal(fake.handles_made, 0); /* too soon */
	assert_int_equal(look(&ud->a, &note, 1), 1);
	wire_ud_of(ud->a.w)->hosts.host[0].bad_until = 1;
	wire_ud_of(ud->a.w)->hosts.host[0].failures = 0; /* or it is lost */
	send_to(&ud->a, &ud->b, 0, 60, 2);
	expect_from(&ud->b, &ud->a, 60, 2);
	assert_int_equal(look(&ud->a, &note, 1), 0);
}

static void hosts__of_another_family_have_no_way(void **state)
{
	struct ud *ud = *state;
	struct wire_out out = packet_to(&ud->b, 0, 60, 1);
	uint8_t v6[16] = { 0xfd, [15] = 1 };
	struct wire_note note;

	out.gid = v6;
	assert_int_equal(wire_send(ud->a.w, &out, 1), 1);
	assert_int_equal(look(&ud->a, &note, 1), 1);
	assert_int_equal(note.kind, WIRE_NOTE_NO_ROUTE);
	assert_int_equal(fake.handles_made, 0);
}

/* More hosts than the device has handles for. */
static void hosts__idle_ones_make_room(void **state)
{
	struct ud *ud = *state;
	struct wire_out out = packet_to(&ud->b, 0, 60, 1);
	uint8_t gid[16];

	fake.ah_max = 10;
	out.gid = gid;
	for (int round = 0; round < 3; round++) {
		for (uint8_t i = 0; i < 100; i++) {
			fake_gid_v4((uint8_t)(100 + i), gid);
			/* Handles are free once a later packet has gone. */
			for (int k = 0; wire_send(ud->a.w, &out, 1) != 1; k++)
				assert_in_range(k, 0, 3);
			fake_gid_v4(2, gid);
			for (int k = 0; k < WIRE_UD_SIGNAL; k++)
				wire_send(ud->a.w, &out, 1);
		}
	}
	assert_in_range(fake.handles, 1, 10);
	assert_true(fake.handles_made > 100);
}

/* To another host, once one of those before has made room. */
static void send_first(struct ud *ud, const struct wire_out *out)
{
	for (int k = 0; wire_send(ud->a.w, out, 1) != 1; k++) {
		assert_in_range(k, 0, 1000);
		send_to(&ud->a, &ud->b, 1, 60, 1);
	}
}

/* More hosts than are remembered. */
static void hosts__are_forgotten_in_turn(void **state)
{
	struct ud *ud = *state;
	struct wire_out out = packet_to(&ud->b, 0, 60, 1);
	struct wire_ud *w = wire_ud_of(ud->a.w);
	uint8_t gid[16];

	out.gid = gid;
	w->hosts.max = 20;
	for (int i = 0; i < 250; i++) {
		fake_gid_v4((uint8_t)i, gid);
		send_first(ud, &out);
	}
	assert_int_equal(w->hosts.n, 20);
	assert_in_range(fake.handles, 1, 20);
}

/* One that had its last packet so long ago that the numbers came round. */
static void hosts__are_idle_after_any_time(void **state)
{
	struct ud *ud = *state;
	struct wire_out out = packet_to(&ud->b, 0, 60, 1);
	struct wire_ud *w = wire_ud_of(ud->a.w);
	uint8_t gid[16];

	out.gid = gid;
	w->hosts.max = 1;
	for (int i = 0; i < 3; i++) {
		fake_gid_v4((uint8_t)(50 + i), gid);
		send_first(ud, &out);
		for (int k = 0; k < 2 * WIRE_UD_SIGNAL; k++)
			wire_send(ud->a.w, &out, 1);
		w->hosts.host[0].used[0] = w->path[0].head + INT32_MAX;
	}
	assert_int_equal(w->hosts.n, 1);
	assert_memory_equal(w->hosts.host[0].gid, gid, 16);
}

/* --- queue pairs that fail --- */

static void send_error__breaks_one_path_until_it_is_set_up_again(void **state)
{
	struct ud *ud = *state;
	struct wire_note note;

	fake.send_status = IBV_WC_LOC_QP_OP_ERR;
	send_to(&ud->a, &ud->b, 0, 60, 1);
	send_to(&ud->a, &ud->b, 0, 60, 2); /* flushed */
	send_to(&ud->a, &ud->b, 1, 60, 3);
	expect_from(&ud->b, &ud->a, 60, 3);
	forget_time(&ud->a);
	assert_int_equal(look(&ud->a, &note, 1), 0);
	assert_true(logged("path 0 of queue pair"));
	for (int i = 0; i < 3 * WIRE_UD_DEPTH; i++) {
		send_to(&ud->a, &ud->b, 0, 60, 4);
		expect_from(&ud->b, &ud->a, 60, 4);
	}
	assert_int_equal(wire_stats(ud->a.w)->tx_failed, 0);
}

static void send_error__is_lost_while_it_lasts(void **state)
{
	struct ud *ud = *state;
	struct wire_note note;

	fake.post_errno = EIO;
	send_to(&ud->a, &ud->b, 0, 60, 1);
	fake.dead = 1;
	forget_time(&ud->a);
	assert_int_equal(look(&ud->a, &note, 1), 0);
	send_to(&ud->a, &ud->b, 0, 60, 2);
	assert_int_equal(wire_stats(ud->a.w)->tx_failed, 1);
	fake.dead = 0;
	look(&ud->a, &note, 1);
	send_to(&ud->a, &ud->b, 0, 60, 3); /* not yet: too soon */
	assert_int_equal(wire_stats(ud->a.w)->tx_failed, 2);
	forget_time(&ud->a);
	look(&ud->a, &note, 1);
	send_to(&ud->a, &ud->b, 0, 60, 4);
	expect_from(&ud->b, &ud->a, 60, 4);
}

static void receive_error__all_but_lent_buffers_are_posted_again(void **state)
{
	struct ud *ud = *state;
	uint32_t qpn = ud->b.w->qpn;
	int all = fake_posted(qpn);
	struct wire_note note;
	struct wire_in in[2];

	for (uint8_t i = 1; i < 6; i++)
		send_to(&ud->a, &ud->b, 0, 60, i);
	fake_fail_receive(qpn, IBV_WC_LOC_LEN_ERR);
	assert_int_equal(wire_poll(ud->b.w, in, 2), 2);
	wire_give_back(ud->b.w);
	assert_int_equal(wire_poll(ud->b.w, in, 2), 2);
	wire_give_back(ud->b.w);
	assert_int_equal(wire_poll(ud->b.w, in, 2), 1); /* and the error */
	assert_true(logged("receives no more"));
	forget_time(&ud->b);
	look(&ud->b, &note, 1);
	assert_true(logged("receives again"));
	assert_int_equal(fake_posted(qpn), all - 1);
	for (int i = 0; i < 2 * all; i++) {
		send_to(&ud->a, &ud->b, 0, 60, 9);
		if (i == all / 2)
			break; /* what is lent has not been overwritten */
	}
	assert_int_equal(in[0].data[59], 5);
	wire_give_back(ud->b.w);
	expect_from(&ud->b, &ud->a, 60, 9);
}

/* --- what the device says --- */

static void port__goes_and_comes(void **state)
{
	struct ud *ud = *state;
	struct wire_note note;

	fake.device[0].port.state = IBV_PORT_DOWN;
	fake_event(0, IBV_EVENT_PORT_ERR);
	assert_int_equal(look(&ud->a, &note, 1), 0);
	assert_true(logged("fake0: port 1 is down"));
	fake.device[0].port.state = IBV_PORT_ACTIVE;
	fake_event(0, IBV_EVENT_PORT_ACTIVE);
	assert_int_equal(look(&ud->a, &note, 1), 0);
	assert_true(logged("fake0: port 1 is up again"));
	send_to(&ud->a, &ud->b, 0, 60, 1);
	expect_from(&ud->b, &ud->a, 60, 1);
}

static void gid__moves_to_another_index(void **state)
{
	struct ud *ud = *state;
	struct wire_note note;
	int made;

	for (int i = 0; i < WIRE_UD_SIGNAL; i++)
		send_to(&ud->a, &ud->b, 0, 60, 1);
	made = fake.handles_made;
	fake_set_v4(&fake.device[0], 0, 99);
	fake_set_v4(&fake.device[0], 2, 1);
	fake_event(0, IBV_EVENT_GID_CHANGE);
	look(&ud->a, &note, 1);
	send_to(&ud->a, &ud->b, 0, 60, 2);
	assert_int_equal(fake.handles_made, made + 1);
	assert_int_equal(fake.last_ah.grh.sgid_index, 2);
	look(&ud->a, &note, 1);
	assert_int_equal(fake.handles, 1); /* the old one is no more */
	fake_set_v4(&fake.device[0], 2, 98);
	fake_event(0, IBV_EVENT_GID_CHANGE);
	look(&ud->a, &note, 1);
	assert_true(logged("has no longer the address 10.0.0.1"));
}

static void mtu__that_shrinks_is_told_of_each_host(void **state)
{
	struct ud *ud = *state;
	struct wire_note note;

	send_to(&ud->a, &ud->b, 0, 60, 1);
	fake.device[0].port.active_mtu = IBV_MTU_512;
	fake_event(0, IBV_EVENT_PORT_ACTIVE);
	assert_int_equal(look(&ud->a, &note, 1), 1);
	assert_int_equal(note.kind, WIRE_NOTE_MTU);
	assert_int_equal(note.mtu, 512);
	assert_memory_equal(note.gid, ud->b.info.gid, 16);
}

static void device__taken_away(void **state)
{
	struct ud *ud = *state;
	struct wire_note note[4];
	struct wire_in in;

	send_to(&ud->a, &ud->b, 0, 60, 1);
	fake.dead = 1;
	fake_event(0, IBV_EVENT_DEVICE_FATAL);
	fake_event(1, IBV_EVENT_PORT_ERR); /* which does not answer */
	assert_int_equal(look(&ud->a, note, 4), 1);
	assert_int_equal(note[0].kind, WIRE_NOTE_DEAD);
	assert_int_equal(look(&ud->a, note, 4), 1); /* again */
	send_to(&ud->a, &ud->b, 0, 60, 2);
	assert_int_equal(fake.sends, 1);
	assert_int_equal(wire_poll(ud->a.w, &in, 1), 0);
	assert_int_equal(wire_arm(ud->a.w), 0);
	assert_int_equal(look(&ud->b, note, 4), 1);
	assert_int_equal(note[0].kind, WIRE_NOTE_DEAD);
	assert_int_equal(warnings(), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_PAIR(hosts__one_handle_a_path),
		ON_PAIR(hosts__no_way_is_a_note_and_left_alone),
		ON_PAIR(hosts__of_another_family_have_no_way),
		ON_PAIR(hosts__idle_ones_make_room),
		ON_PAIR(hosts__are_forgotten_in_turn),
		ON_PAIR(hosts__are_idle_after_any_time),
		ON_PAIR(send_error__breaks_one_path_until_it_is_set_up_again),
		ON_PAIR(send_error__is_lost_while_it_lasts),
		ON_PAIR(receive_error__all_but_lent_buffers_are_posted_again),
		ON_PAIR(port__goes_and_comes),
		ON_PAIR(gid__moves_to_another_index),
		ON_PAIR(mtu__that_shrinks_is_told_of_each_host),
		ON_PAIR(device__taken_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
