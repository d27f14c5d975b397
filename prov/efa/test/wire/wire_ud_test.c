/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_test.c - a UD wire: listing, opening, packets out and in
 */
#include "wire_ud_fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* --- wire_ud_list --- */

static void wire_ud_list__is_silent_without_devices(void **state)
{
	struct wire_ud_info *list;

	(void)state;
	fake_end();
	fake_reset(0);
	assert_int_equal(wire_ud_list(&list), 0);
	free(list);
	assert_int_equal(fake.lists, 0);
	assert_false(logged("fake"));
}

static void wire_ud_list__chooses_the_address(void **state)
{
	struct fake_device *d = &fake.device[0];
	struct wire_ud_info *list;

	(void)state;
	fake_set_v6(d, 0, 0xfe, 1); /* link-local */
	fake_set_v4(d, 1, 9);
	d->gid[1].gid_type = IBV_GID_TYPE_ROCE_V1;
	fake_set_v6(d, 2, 0xfd, 3);
	assert_int_equal(wire_ud_list(&list), 2);
	assert_memory_equal(list[0].gid, d->gid[2].gid.raw, 16);
	assert_int_equal(list[0].mtu, 1024);
	assert_int_equal(list[0].speed, 10 * UINT64_C(1000000000));
	assert_string_equal(list[1].device, "fake1");
	free(list);
	fake_set_v4(d, 3, 4);
	assert_int_equal(wire_ud_list(&list), 2);
	assert_memory_equal(list[0].gid, d->gid[3].gid.raw, 16);
	free(list);
	assert_int_equal(fake.objects, 0);
}

static void wire_ud_list__leaves_out_what_is_of_no_use(void **state)
{
	struct fake_device *d = fake.device;
	struct wire_ud_info *list;

	(void)state;
	fake.ndevices = 3;
	d[0].port.state = IBV_PORT_DOWN;
	d[1].dev.transport_type = IBV_TRANSPORT_UNSPECIFIED; /* as an EFA */
	d[2].port.active_mtu = IBV_MTU_256;
	assert_int_equal(wire_ud_list(&list), 0);
	free(list);
	assert_true(logged("fake0, port 1: not used: it is not active"));
	assert_false(logged("fake1"));
	assert_true(logged("fake2, port 1: not used: its MTU of 256"));
	d[0].port.state = IBV_PORT_ACTIVE;
	d[0].ngids = 0;
	assert_int_equal(wire_ud_list(&list), 0);
	free(list);
	assert_true(logged("fake0, port 1: not used: no address"));
	assert_int_equal(warnings(), 0);
}

static void wire_ud_list__infiniband_has_the_lid_in_its_gid(void **state)
{
	struct wire_ud_info *list;

	(void)state;
	fake_set_infiniband(&fake.device[0], 0x1234);
	fake_set_infiniband(&fake.device[1], 0); /* no subnet manager yet */
	assert_int_equal(wire_ud_list(&list), 1);
	assert_true(list[0].infiniband);
	assert_int_equal(list[0].gid[0], 0xfe);
	assert_int_equal(list[0].gid[6], 0x12);
	assert_int_equal(list[0].gid[7], 0x34);
	assert_int_equal(list[0].gid[15], 0x34);
	free(list);
}

/* --- wire_ud_open --- */

static void wire_ud_open__works_without_inline(void **state)
{
	struct ud *ud = *state;

	fake.inline_max = 0;
	assert_int_equal(side_open(&ud->a, 0, 0), 0);
	assert_int_equal(side_open(&ud->b, 1, 0), 0);
	send_to(&ud->a, &ud->b, 0, 40, 5);
	expect_from(&ud->b, &ud->a, 40, 5);
	assert_int_equal(fake.inlined, 0);
}

static void wire_ud_open__refuses_what_has_gone(void **state)
{
	struct wire_ud_config c = { .device = "fake9", .port = 1, .paths = 1 };
	uint8_t gid[16];
	struct wire *w;

	(void)state;
	fake_gid_v4(77, gid);
	c.gid = gid;
	assert_int_equal(wire_ud_open(&c, &w), -ENODEV);
	c.device = "fake0";
	assert_int_equal(wire_ud_open(&c, &w), -ENODEV);
	assert_true(logged("10.0.0.77"));
	fake_gid_v4(1, gid);
	fake.device[0].port.state = IBV_PORT_DOWN;
	assert_int_equal(wire_ud_open(&c, &w), -ENETDOWN);
	c.paths = WIRE_UD_PATHS_MAX + 1;
	assert_int_equal(wire_ud_open(&c, &w), -EINVAL);
}

/* --- packets --- */

static void wire_send__short_ones_go_inline(void **state)
{
	struct ud *ud = *state;

	send_to(&ud->a, &ud->b, 0, 128, 1);
	send_to(&ud->a, &ud->b, 1, 129, 2);
	send_to(&ud->a, &ud->b, 2, MTU, 3);
	assert_int_equal(fake.inlined, 1);
	expect_from(&ud->b, &ud->a, 128, 1);
	expect_from(&ud->b, &ud->a, 129, 2);
	expect_from(&ud->b, &ud->a, MTU, 3);
	assert_int_equal(wire_stats(ud->b.w)->rx_packets, 3);
	assert_int_equal(wire_stats(ud->a.w)->tx_bytes, 128 + 129 + MTU);
}

static void wire_send__one_post_for_each_run_of_a_path(void **state)
{
	struct ud *ud = *state;
	struct wire_out out[20];
	struct wire_in in[20];

	for (uint8_t i = 0; i < 20; i++)
		out[i] = packet_to(&ud->b, i < 8 ? 0 : i < 15 ? 2 : 1, 200, i);
	assert_int_equal(wire_send(ud->a.w, out, 20), 20);
	assert_int_equal(fake.posts, 3);
	assert_int_equal(fake.sends, 20);
	assert_int_equal(wire_stats(ud->a.w)->tx_calls, 3);
	assert_int_equal(wire_poll(ud->b.w, in, 20), 20);
	for (uint8_t i = 0; i < 20; i++)
		assert_int_equal(in[i].data[199], i);
	wire_give_back(ud->b.w);
}

static void wire_send__queue_is_used_again_and_again(void **state)
{
	struct ud *ud = *state;
	struct wire_out out[10];
	struct wire_in in[10];

	for (int round = 0; round < 1000; round++) {
		for (uint8_t i = 0; i < 10; i++)
			out[i] = packet_to(&ud->b, 1, 150 + i, i);
		assert_int_equal(wire_send(ud->a.w, out, 10), 10);
		assert_int_equal(wire_poll(ud->b.w, in, 10), 10);
		assert_int_equal(in[9].data[100], 9);
		wire_give_back(ud->b.w);
	}
	assert_int_equal(fake.signalled, 10000 / WIRE_UD_SIGNAL);
	assert_int_equal(fake.dropped, 0);
}

static void wire_send__takes_no_more_than_there_is_room_for(void **state)
{
	struct ud *ud = *state;
	struct wire_out out[2 * WIRE_UD_DEPTH];

	for (int i = 0; i < 2 * WIRE_UD_DEPTH; i++)
		out[i] = packet_to(&ud->b, 0, 100, 1);
	assert_int_equal(wire_send(ud->a.w, out, 2 * WIRE_UD_DEPTH),
			 WIRE_UD_DEPTH);
	assert_int_equal(wire_stats(ud->a.w)->tx_full, WIRE_UD_DEPTH);
	assert_int_equal(wire_send(ud->a.w, out, WIRE_UD_DEPTH), WIRE_UD_DEPTH);
}

static void wire_send__too_long_is_a_note(void **state)
{
	struct ud *ud = *state;
	struct wire_note note;

	send_to(&ud->a, &ud->b, 0, MTU + 1, 1);
	assert_int_equal(fake.sends, 0);
	assert_true(wire_troubled(ud->a.w));
	assert_int_equal(look(&ud->a, &note, 1), 1);
	assert_int_equal(note.kind, WIRE_NOTE_MTU);
	assert_int_equal(note.mtu, MTU);
	assert_memory_equal(note.gid, ud->b.info.gid, 16);
	assert_int_equal(wire_mtu(ud->a.w, ud->b.info.gid), MTU);
}

static void wire_poll__lends_until_given_back(void **state)
{
	struct ud *ud = *state;
	int all = fake_posted(ud->b.w->qpn);
	struct wire_in in[WIRE_UD_REPOST], more[1];

	for (uint8_t i = 0; i < WIRE_UD_REPOST; i++)
		send_to(&ud->a, &ud->b, 0, 60, i);
	assert_int_equal(wire_poll(ud->b.w, in, WIRE_UD_REPOST),
			 WIRE_UD_REPOST);
	for (int i = 0; i < 100; i++)
		send_to(&ud->a, &ud->b, 1, 60, 0xee);
	for (uint8_t i = 0; i < WIRE_UD_REPOST; i++)
		assert_int_equal(in[i].data[0], i);
	assert_int_equal(fake.recv_posts, 2); /* at open */
	wire_give_back(ud->b.w);
	assert_int_equal(fake.recv_posts, 3);
	assert_int_equal(fake_posted(ud->b.w->qpn), all - 100);
	assert_int_equal(wire_poll(ud->b.w, more, 1), 1);
	wire_give_back(ud->b.w);
}

static void wire_poll__drops_what_cannot_be(void **state)
{
	struct ud *ud = *state;
	uint8_t bytes[4000] = { 0x60 };
	uint32_t qpn = ud->b.w->qpn;
	struct wire_in in;

	fake_deliver(qpn, bytes, WIRE_UD_GRH, IBV_WC_GRH, 0); /* empty */
	fake_deliver(qpn, bytes, 4000, IBV_WC_GRH, 0); /* beyond the buffer */
	bytes[0] = 0;
	fake_deliver(qpn, bytes, 100, IBV_WC_GRH, 0); /* from nowhere */
	assert_int_equal(wire_poll(ud->b.w, &in, 1), 0);
	assert_int_equal(wire_poll(ud->b.w, &in, 1), 0);
	assert_int_equal(wire_poll(ud->b.w, &in, 1), 0);
	assert_int_equal(wire_stats(ud->b.w)->rx_bad, 3);
	send_to(&ud->a, &ud->b, 0, 60, 7);
	expect_from(&ud->b, &ud->a, 60, 7);
}

static void wire_poll__tells_ipv4_from_what_looks_like_ipv6(void **state)
{
	struct ud *ud = *state;

	fake.device[0].v6_look = true;
	send_to(&ud->a, &ud->b, 0, 60, 7);
	expect_from(&ud->b, &ud->a, 60, 7);
}

static void wire_poll__over_ipv6(void **state)
{
	struct ud *ud = *state;

	fake_set_v6(&fake.device[0], 0, 0xfd, 1);
	fake_set_v6(&fake.device[1], 0, 0xfd, 2);
	assert_int_equal(side_open(&ud->a, 0, 0), 0);
	assert_int_equal(side_open(&ud->b, 1, 0), 0);
	send_to(&ud->a, &ud->b, 0, 60, 7);
	expect_from(&ud->b, &ud->a, 60, 7);
}

static void wire_poll__over_infiniband(void **state)
{
	struct ud *ud = *state;

	fake_set_infiniband(&fake.device[0], 5);
	fake_set_infiniband(&fake.device[1], 6);
	assert_int_equal(side_open(&ud->a, 0, 0), 0);
	assert_int_equal(side_open(&ud->b, 1, 0), 0);
	send_to(&ud->a, &ud->b, 0, 60, 7);
	assert_int_equal(fake.last_ah.dlid, 6);
	assert_int_equal(fake.last_ah.is_global, 1);
	assert_int_equal(fake.last_ah.grh.dgid.raw[15], 6);
	assert_int_equal(fake.last_ah.grh.dgid.raw[7], 0);
	expect_from(&ud->b, &ud->a, 60, 7);
}

/* --- arm --- */

static bool is_readable(const struct side *s)
{
	struct pollfd p = { .fd = s->w->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void wire_arm__makes_the_descriptor_readable(void **state)
{
	struct ud *ud = *state;

	assert_int_equal(wire_arm(ud->b.w), 0);
	assert_false(is_readable(&ud->b));
	send_to(&ud->a, &ud->b, 0, 60, 1);
	assert_true(is_readable(&ud->b));
	send_to(&ud->a, &ud->b, 0, 60, 2);
	expect_from(&ud->b, &ud->a, 60, 1);
	expect_from(&ud->b, &ud->a, 60, 2);
	assert_int_equal(wire_arm(ud->b.w), 0);
	assert_false(is_readable(&ud->b));
}

static void wire_arm__finds_what_is_there_and_keeps_it(void **state)
{
	struct ud *ud = *state;

	for (uint8_t i = 0; i < 9; i++)
		send_to(&ud->a, &ud->b, 0, 60, i);
	assert_int_equal(wire_arm(ud->b.w), 1);
	assert_int_equal(wire_arm(ud->b.w), 1);
	for (uint8_t i = 0; i < 9; i++)
		expect_from(&ud->b, &ud->a, 60, i);
	assert_int_equal(wire_arm(ud->b.w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_NONE(wire_ud_list__is_silent_without_devices),
		ON_NONE(wire_ud_list__chooses_the_address),
		ON_NONE(wire_ud_list__leaves_out_what_is_of_no_use),
		ON_NONE(wire_ud_list__infiniband_has_the_lid_in_its_gid),
		ON_NONE(wire_ud_open__works_without_inline),
		ON_NONE(wire_ud_open__refuses_what_has_gone),
		ON_PAIR(wire_send__short_ones_go_inline),
		ON_PAIR(wire_send__one_post_for_each_run_of_a_path),
		ON_PAIR(wire_send__queue_is_used_again_and_again),
		ON_PAIR(wire_send__takes_no_more_than_there_is_room_for),
		ON_PAIR(wire_send__too_long_is_a_note),
		ON_PAIR(wire_poll__lends_until_given_back),
		ON_PAIR(wire_poll__drops_what_cannot_be),
		ON_PAIR(wire_poll__tells_ipv4_from_what_looks_like_ipv6),
		ON_NONE(wire_poll__over_ipv6),
		ON_NONE(wire_poll__over_infiniband),
		ON_PAIR(wire_arm__makes_the_descriptor_readable),
		ON_PAIR(wire_arm__finds_what_is_there_and_keeps_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
