/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_poll_test.c - what a UDP wire lends, over loopback
 */
#include "wire_udp_fixture.h"

#include <sys/ioctl.h>
#include <unistd.h>

static void wire_udp_poll__keeps_what_exceeds_max(void **state)
{
	struct fixture *f = fixture_of(state);
	const struct wire_stats *stats = wire_stats(f->b.w);
	struct wire_out out[60];
	struct wire_in in[7];
	uint64_t calls = 0;
	int i, n, got = 0;

	for (i = 0; i < 60; i++)
		out[i] = out_of(&f->b, 0, 200, (uint64_t)i);
	send_all(f->a.w, out, 60);
	while (got < 60) {
		n = poll_some(&f->b, in, 7);
		for (i = 0; i < n; i++, got++) {
			assert_int_equal(in[i].len, 200);
			assert_true(is_filled(in[i].data, 200, (uint64_t)got));
		}
		wire_give_back(f->b.w);
		if (wire_udp_of(f->b.w)->rx.at == wire_udp_of(f->b.w)->rx.got)
			continue;
		/* More is there, so the next poll needs no call. */
		calls = stats->rx_calls;
		n = wire_poll(f->b.w, in, 1);
		assert_int_equal(n, 1);
		assert_true(is_filled(in[0].data, 200, (uint64_t)got++));
		wire_give_back(f->b.w);
		assert_int_equal(stats->rx_calls, calls);
	}
	assert_int_equal(got, 60);
	assert_true(calls > 0);
	assert_int_equal(wire_poll(f->b.w, in, 7), 0);
}

/* Sends straight from a socket of no wire. */
static void throw(int fd, const struct end *to, const void *p, size_t len)
{
	union wire_udp_addr addr;

	wire_udp_addr_init(wire_udp_of(to->w), &addr);
	wire_udp_addr_set(wire_udp_of(to->w), &addr, to->gid, to->port);
	assert_int_equal(sendto(fd, p, len, 0, &addr.sa,
				wire_udp_addr_len(wire_udp_of(to->w))),
			 len);
}

static void wire_udp_wakes__counts_empty_datagrams(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out = out_of(&f->b, 0, 100, 3);
	uint16_t port;
	int fd = socket_on(f->a.gid, &port), i;

	for (i = 0; i < 5; i++)
		throw(fd, &f->b, "", 0);
	send_all(f->a.w, &out, 1);
	throw(fd, &f->b, "", 0);
	expect_packet(&f->b, f->a.gid, 100, 3);
	while (wire_udp_wakes(f->b.w) < 6) {
		struct wire_in in;

		assert_int_equal(wire_poll(f->b.w, &in, 1), 0);
	}
	assert_int_equal(wire_udp_wakes(f->b.w), 6);
	assert_int_equal(wire_stats(f->b.w)->rx_packets, 1);
	close(fd);
}

/* Up to 64 at a time, so that nothing is dropped; returns bytes thrown. */
static uint64_t throw_garbage(int fd, const struct end *to, uint64_t *r)
{
	static uint8_t junk[9000];
	uint64_t sum = 0;
	size_t len;

	for (int i = 0; i < 32; i++) {
		len = next_random(r) % sizeof(junk);
		if (next_random(r) % 4 == 0)
			len %= 3;
		for (size_t k = 0; k < len; k++)
			junk[k] = (uint8_t)next_random(r);
		throw(fd, to, junk, len);
		sum += len;
	}
	return sum;
}

static void wire_udp_poll__stands_a_garbage_flood(void **state)
{
	struct fixture *f = fixture_of(state);
	struct end path = f->b;
	struct wire_in in[WIRE_BURST];
	uint64_t r = 1234567, thrown = 0, bytes = 0;
	uint16_t port;
	int fd = socket_on(f->a.gid, &port), i, k, n, queued = -1;
	struct wire_out out = out_of(&f->a, 0, 10, 1);
	union wire_udp_addr addr;
	socklen_t len = sizeof(addr);

	/* A sending socket of b. */
	send_all(f->b.w, &out, 1);
	expect_packet(&f->a, f->b.gid, 10, 1);
	assert_int_equal(
		getsockname(wire_udp_of(f->b.w)->path[0], &addr.sa, &len), 0);
	assert_true(wire_udp_addr_gid(&addr, path.gid, &path.port));
	for (i = 0; i < 50; i++) {
		throw_garbage(fd, &path, &r);
		thrown += throw_garbage(fd, &f->b, &r);
		while (bytes < thrown) {
			n = poll_some(&f->b, in, WIRE_BURST);
			for (k = 0; k < n; k++) {
				assert_in_range(in[k].len, 1, 9000);
				assert_memory_equal(in[k].gid, f->a.gid, 16);
				bytes += in[k].len;
			}
			wire_give_back(f->b.w);
		}
	}
	assert_int_equal(bytes, thrown);
	assert_int_equal(ioctl(wire_udp_of(f->b.w)->path[0], FIONREAD, &queued),
			 0);
	assert_int_equal(queued, 0);
	out = out_of(&f->b, 2, 1000, 4);
	send_all(f->a.w, &out, 1);
	expect_packet(&f->b, f->a.gid, 1000, 4);
	close(fd);
}

static void wire_udp_poll__counts_what_the_kernel_dropped(void **state)
{
	struct wire_udp_config c = { .paths = 1, .rcvbuf = 8192 };
	const struct wire_stats *stats;
	struct wire_in in[WIRE_BURST];
	struct fixture *f = fixture_of(state);
	struct wire_out out;
	struct end e;
	int i;

	assert_int_equal(end_open(&e, "127.0.0.3", &c), 0);
	stats = wire_stats(e.w);
	out = out_of(&e, 0, 1000, 1);
	for (i = 0; i < 100; i++)
		send_all(f->a.w, &out, 1);
	while (wire_poll(e.w, in, WIRE_BURST))
		wire_give_back(e.w);
	assert_true(stats->rx_packets > 0 && stats->rx_packets < 100);
	/* The counter comes with the packets after a drop. */
	for (i = 0; i < 4; i++)
		send_all(f->a.w, &out, 1);
	while (stats->rx_packets + stats->rx_dropped < 104) {
		poll_some(&e, in, 1);
		wire_give_back(e.w);
	}
	assert_int_equal(stats->rx_packets + stats->rx_dropped, 104);
	end_close(&e);
}

static void wire_udp_poll__takes_groups_whole(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_in in;
	int i;

	/* GRO comes on with the first burst. */
	for (i = 0; i < 100 && !wire_udp_of(f->b.w)->rx.gro; i++) {
		send_row(f, 100);
		expect_row(f, 100);
	}
	assert_true(wire_udp_of(f->b.w)->rx.gro);
	send_row(f, 60);
	poll_some(&f->b, &in, 1);
	assert_int_equal(in.len, 1000);
	assert_int_equal(wire_udp_of(f->b.w)->rx.buf[0].len, 59500);
	assert_int_equal(wire_udp_of(f->b.w)->rx.buf[0].seg, 1000);
	wire_give_back(f->b.w);
	for (i = 1; i < 60; i++)
		expect_packet(&f->b, f->a.gid, i == 59 ? 500 : 1000,
			      (uint64_t)i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_V4(wire_udp_poll__takes_groups_whole),
		ON_V6(wire_udp_poll__takes_groups_whole),
		ON_ALL(wire_udp_poll__keeps_what_exceeds_max),
		ON_ALL(wire_udp_wakes__counts_empty_datagrams),
		ON_ALL(wire_udp_poll__stands_a_garbage_flood),
		ON_V4(wire_udp_poll__counts_what_the_kernel_dropped),
	};

	return cmocka_run_group_tests_name("wire_udp_poll", tests, NULL, NULL);
}
