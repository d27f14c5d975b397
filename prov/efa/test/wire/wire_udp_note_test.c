/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_note_test.c - what becomes of packets that cannot arrive
 */
#include "wire_udp_fixture.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* An address and port where nobody listens. */
static struct end nobody(const struct end *like)
{
	struct end e = *like;
	int fd = socket_on(like->gid, &e.port);

	assert_true(fd >= 0);
	close(fd);
	return e;
}

static void wire_udp_note_payload__stays_within_reason(void **state)
{
	(void)state;
	assert_int_equal(wire_udp_note_payload(true, 1500), 1472);
	assert_int_equal(wire_udp_note_payload(false, 1500), 1452);
	assert_int_equal(wire_udp_note_payload(true, 0), 524);
	assert_int_equal(wire_udp_note_payload(false, 0), 1232);
	assert_int_equal(wire_udp_note_payload(true, UINT32_MAX), 65507);
	assert_int_equal(wire_udp_note_payload(false, UINT32_MAX), 65527);
}

static void wire_udp_notes__names_the_closed_port(void **state)
{
	struct fixture *f = fixture_of(state);
	struct end gone = nobody(&f->b);
	struct wire_out out = out_of(&gone, 1, 100, 1);
	struct wire_note note[4];

	assert_int_equal(wire_notes(f->a.w, note, 4), 0);
	send_all(f->a.w, &out, 1);
	assert_int_equal(notes_wait(f->a.w, note, 4), 1);
	assert_int_equal(note[0].kind, WIRE_NOTE_REFUSED);
	assert_int_equal(note[0].qpn, gone.port);
	assert_memory_equal(note[0].gid, gone.gid, 16);
	assert_int_equal(wire_notes(f->a.w, note, 4), 0);
	assert_false(wire_troubled(f->a.w));
	assert_int_equal(wire_stats(f->a.w)->notes, 1);
}

/* Single packets, runs of messages and groups, all after a refused one. */
static void wire_udp_send__suffers_not_from_earlier_packets(void **state)
{
	static const int counts[] = { 1, 2, 40 };
	struct fixture *f = fixture_of(state);
	struct end gone = nobody(&f->b);
	struct wire_out bad = out_of(&gone, 1, 100, 1), out[40];
	struct wire_note note;
	int round, i, n;

	for (round = 0; round < 30; round++) {
		n = counts[round % 3];
		for (i = 0; i < n; i++)
			out[i] = out_of(&f->b, 1, round & 1 ? 3000 : 100,
					(uint64_t)i);
		send_all(f->a.w, &bad, 1);
		send_all(f->a.w, out, n);
		for (i = 0; i < n; i++)
			expect_packet(&f->b, f->a.gid, round & 1 ? 3000 : 100,
				      (uint64_t)i);
	}
	assert_int_equal(wire_stats(f->a.w)->tx_failed, 0);
	assert_int_equal(notes_wait(f->a.w, &note, 1), 1);
	assert_int_equal(note.kind, WIRE_NOTE_REFUSED);
	assert_int_equal(note.qpn, gone.port);
}

static void wire_udp_notes__come_one_by_one(void **state)
{
	struct fixture *f = fixture_of(state);
	uint32_t seen = 0;
	struct end gone[3];
	struct wire_note note;
	struct wire_out out;
	int i, got;

	for (i = 0; i < 3; i++) {
		gone[i] = nobody(&f->b);
		gone[i].port = (uint16_t)(1 + i); /* ports no user holds */
		out = out_of(&gone[i], (uint8_t)i, 100, 1);
		send_all(f->a.w, &out, 1);
		/* Said twice, noted once. */
		send_all(f->a.w, &out, 1);
	}
	for (got = 0; got < 3;) {
		assert_int_equal(notes_wait(f->a.w, &note, 1), 1);
		assert_int_equal(note.kind, WIRE_NOTE_REFUSED);
		assert_in_range(note.qpn, 1, 3);
		got += !(seen & 1u << note.qpn);
		seen |= 1u << note.qpn;
	}
}

static void wire_udp_notes__tells_that_there_is_no_route(void **state)
{
	struct fixture *f = fixture_of(state);
	struct end far = f->b;
	struct wire_out out[3];
	struct wire_note note[4];

	/* No packet with a loopback source leaves the host. */
	gid_read("203.0.113.7", far.gid);
	out[0] = out_of(&far, 0, 100, 1);
	out[1] = out_of(&f->b, 0, 100, 2);
	out[2] = out_of(&far, 0, 1000, 3);
	assert_int_equal(wire_send(f->a.w, out, 3), 3);
	expect_packet(&f->b, f->a.gid, 100, 2);
	assert_true(wire_troubled(f->a.w));
	assert_int_equal(wire_notes(f->a.w, note, 4), 1);
	assert_int_equal(note[0].kind, WIRE_NOTE_NO_ROUTE);
	assert_memory_equal(note[0].gid, far.gid, 16);
	assert_int_equal(wire_stats(f->a.w)->tx_failed, 2);
	assert_int_equal(wire_stats(f->a.w)->tx_packets, 1);
	assert_false(wire_troubled(f->a.w));
}

static void wire_udp_troubled__lasts_while_notes_wait(void **state)
{
	struct fixture *f = fixture_of(state);
	struct end far = f->b;
	struct wire_note note;
	struct wire_out out;
	int i;

	assert_false(wire_troubled(f->a.w));
	for (i = 7; i < 9; i++) {
		gid_read(i == 7 ? "203.0.113.7" : "203.0.113.8", far.gid);
		out = out_of(&far, 0, 100, 1);
		send_all(f->a.w, &out, 1);
	}
	for (i = 7; i < 9; i++) {
		assert_true(wire_troubled(f->a.w));
		assert_int_equal(wire_notes(f->a.w, &note, 1), 1);
		assert_int_equal(note.gid[15], i);
	}
	assert_false(wire_troubled(f->a.w));
}

/* An error without a word, as when the queue has no room for it. */
static void wire_udp_notes__clears_an_error_that_was_not_queued(void **state)
{
	struct fixture *f = fixture_of(state);
	struct end gone = nobody(&f->b);
	/* ICMPv6 quotes so much of it that the smallest queue is too small. */
	struct wire_out out = out_of(&gone, 0, 1200, 1);
	struct pollfd p = { 0 };
	struct wire_note note;
	int least = 1;

	p.fd = wire_udp_sock_path(wire_udp_of(f->a.w), 0);
	assert_int_equal(setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &least,
				    sizeof(least)),
			 0);
	send_all(f->a.w, &out, 1);
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_true(p.revents & POLLERR);
	wire_notes(f->a.w, &note, 1);
	assert_int_equal(poll(&p, 1, 0), 0);
}

static void wire_udp_notes__other_family_has_no_route(void **state)
{
	struct fixture *f = fixture_of(state);
	struct end other = f->b;
	struct wire_out out[2];
	struct wire_note note[4];

	gid_read(wire_udp_of(f->a.w)->v4 ? "::1" : "127.0.0.1", other.gid);
	out[0] = out_of(&f->b, 0, 100, 2);
	out[1] = out_of(&other, 0, 100, 1);
	assert_int_equal(wire_send(f->a.w, out, 2), 2);
	expect_packet(&f->b, f->a.gid, 100, 2);
	assert_int_equal(wire_send(f->a.w, &out[1], 1), 1);
	/* Part of another address would have been sent to. */
	assert_int_equal(wire_stats(f->a.w)->tx_calls, 1);
	assert_int_equal(wire_notes(f->a.w, note, 4), 1);
	assert_int_equal(note[0].kind, WIRE_NOTE_NO_ROUTE);
	assert_memory_equal(note[0].gid, other.gid, 16);
}

static void wire_udp_notes__port_zero_is_nobody(void **state)
{
	struct fixture *f = fixture_of(state);
	struct end zero = f->b;
	struct wire_out out;
	struct wire_note note[4];

	zero.port = 0;
	out = out_of(&zero, 0, 100, 1);
	assert_int_equal(wire_send(f->a.w, &out, 1), 1);
	assert_int_equal(wire_notes(f->a.w, note, 4), 1);
	assert_int_equal(note[0].kind, WIRE_NOTE_REFUSED);
	assert_int_equal(note[0].qpn, 0);
}

static void wire_udp_notes__tells_the_mtu(void **state)
{
	struct fixture *f = fixture_of(state);
	uint32_t max = wire_mtu(f->a.w, f->b.gid);
	struct wire_out out[2] = { out_of(&f->b, 0, max + 1, 1),
				   out_of(&f->b, 0, 66000, 2) };
	struct wire_note note[4];
	int i;

	for (i = 0; i < 2; i++) {
		assert_int_equal(wire_send(f->a.w, &out[i], 1), 1);
		assert_int_equal(wire_notes(f->a.w, note, 4), 1);
		assert_int_equal(note[0].kind, WIRE_NOTE_MTU);
		assert_int_equal(note[0].mtu, max);
		assert_memory_equal(note[0].gid, f->b.gid, 16);
	}
	assert_int_equal(wire_stats(f->a.w)->tx_failed, 2);
}

/* A network of our own, whose loopback has an MTU of 1500. */
static bool net_enter(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return false;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		return false;
	ifr.ifr_flags = IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		return false;
	ifr.ifr_mtu = 1500;
	if (ioctl(fd, SIOCSIFMTU, &ifr))
		return false;
	close(fd);
	return true;
}

#define SKIPPED 77

static int child_check(bool ok, const char *what)
{
	if (!ok)
		fprintf(stderr, "in the child: %s failed\n", what);
	return ok ? 0 : 1;
}

#define CHECK(x) bad |= child_check(x, #x)

/* Packets from 1472 bytes on, alone and in groups; some may be cut. */
static int small_link(void)
{
	static const uint16_t lens[10] = { 1472, 1472, 1472, 1472, 1473,
					   1473, 1473, 1473, 4000, 4000 };
	struct wire_udp_config c = { .paths = PATHS, .link_mtu = 9000 };
	struct wire_note note[4] = { 0 };
	struct wire_out out[10];
	struct wire_in in = { 0 };
	struct pollfd ready = { .events = POLLIN };
	struct end a, b;
	int bad = 0, i, n = 0;

	if (!net_enter())
		return SKIPPED;
	CHECK(!end_open(&a, "127.0.0.1", &c) && !end_open(&b, "127.0.0.2", &c));
	if (bad)
		return bad;
	ready.fd = b.fd;
	CHECK(wire_mtu(a.w, b.gid) == 1472);
	for (i = 0; i < 10; i++) {
		out[i] = out_of(&b, 0, lens[i], (uint64_t)i);
		out[i].fragment = lens[i] == 4000;
	}
	CHECK(wire_send(a.w, out, 10) == 10);
	CHECK(wire_stats(a.w)->tx_failed == 4);
	CHECK(wire_notes(a.w, note, 4) == 1);
	CHECK(note[0].kind == WIRE_NOTE_MTU && note[0].mtu == 1472);
	CHECK(!memcmp(note[0].gid, b.gid, 16));
	/* It was the packets' fault, not that of the offload. */
	CHECK(wire_udp_of(a.w)->gso);
	for (; n < 6 && !bad; n++) {
		while (!wire_poll(b.w, &in, 1) && !bad)
			CHECK(poll(&ready, 1, 10000) == 1);
		wire_give_back(b.w);
		CHECK(in.len == (n < 4 ? 1472 : 4000));
		CHECK(is_filled(in.data, in.len,
				(uint64_t)(n < 4 ? n : n + 4)));
	}
	end_close(&a);
	end_close(&b);
	return bad;
}

static void wire_udp_notes__tells_the_mtu_of_a_small_link(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid)
		_exit(small_link());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire_udp_note_payload__stays_within_reason),
		ON_ALL(wire_udp_notes__names_the_closed_port),
		ON_ALL(wire_udp_send__suffers_not_from_earlier_packets),
		ON_ALL(wire_udp_notes__come_one_by_one),
		ON_V4(wire_udp_notes__tells_that_there_is_no_route),
		ON_V4(wire_udp_troubled__lasts_while_notes_wait),
		ON_V4(wire_udp_notes__clears_an_error_that_was_not_queued),
		ON_V6(wire_udp_notes__clears_an_error_that_was_not_queued),
		ON_V4(wire_udp_notes__other_family_has_no_route),
		ON_V6(wire_udp_notes__other_family_has_no_route),
		ON_V4(wire_udp_notes__port_zero_is_nobody),
		ON_ALL(wire_udp_notes__tells_the_mtu),
		cmocka_unit_test(wire_udp_notes__tells_the_mtu_of_a_small_link),
	};

	return cmocka_run_group_tests_name("wire_udp_note", tests, NULL, NULL);
}
