/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_test.c - opening a UDP wire, and what it sends, over loopback
 */
#include "wire_udp_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void wire_udp_open__refuses_bad_configs(void **state)
{
	struct wire_udp_config c = { .paths = 1 };
	struct fixture *f = fixture_of(state);
	struct wire *w = NULL;
	uint8_t v6[16] = { [15] = 1 };
	int fd;

	c.gid = f->a.gid;
	c.paths = 0;
	assert_int_equal(wire_udp_open(&c, f->a.fd, &w), -EINVAL);
	c.paths = WIRE_PATHS_MAX + 1;
	assert_int_equal(wire_udp_open(&c, f->a.fd, &w), -EINVAL);
	c.paths = 1;
	c.gid = v6;
	assert_int_equal(wire_udp_open(&c, f->a.fd, &w), -EINVAL);
	c.gid = f->a.gid;
	assert_int_equal(wire_udp_open(&c, -1, &w), -EBADF);
	fd = open("/dev/null", O_RDONLY);
	assert_int_equal(wire_udp_open(&c, fd, &w), -ENOTSOCK);
	close(fd);
	assert_null(w);
}

static void wire_udp_close__leaves_no_descriptor(void **state)
{
	struct wire_udp_config c = { .paths = PATHS };
	int i, before = count_fds();
	struct wire_out out;
	struct end e;

	(void)state;
	assert_int_equal(end_open(&e, "127.0.0.1", &c), 0);
	for (i = 0; i < PATHS; i++) {
		out = out_of(&e, (uint8_t)i, 100, 1);
		send_all(e.w, &out, 1);
	}
	out.fragment = true;
	send_all(e.w, &out, 1);
	wire_mtu(e.w, e.gid);
	assert_int_equal(count_fds(), before + 1 + PATHS + 1);
	end_close(&e);
	assert_int_equal(count_fds(), before);
}

static void wire_udp_send__carries_every_size(void **state)
{
	struct fixture *f = fixture_of(state);
	uint32_t max = wire_mtu(f->a.w, f->b.gid), len;
	struct wire_out out;

	for (len = 1; len <= max; len += len < 600 ? 1 : 997) {
		out = out_of(&f->b, (uint8_t)(len % PATHS), len, len);
		send_all(f->a.w, &out, 1);
		expect_packet(&f->b, f->a.gid, len, len);
	}
	out = out_of(&f->b, 0, max, 7);
	send_all(f->a.w, &out, 1);
	expect_packet(&f->b, f->a.gid, max, 7);
	assert_false(wire_troubled(f->a.w));
	assert_int_equal(wire_stats(f->a.w)->tx_failed, 0);
	assert_int_equal(wire_stats(f->a.w)->tx_bytes,
			 wire_stats(f->b.w)->rx_bytes);
}

/*
 * Bursts as no engine would make them: the length of each packet says which
 * one it is, so lengths repeat in rows for GSO but bytes are its own.
 */
#define ROUNDS 60
#define BURST 48

struct sent {
	uint32_t len;
	uint64_t seed;
	bool to_self, seen;
};

static void check_arrived(struct sent *sent, const struct wire_in *in,
			  bool to_self)
{
	for (int i = 0; i < BURST; i++) {
		if (sent[i].seen || sent[i].len != in->len ||
		    sent[i].to_self != to_self ||
		    !is_filled(in->data, in->len, sent[i].seed))
			continue;
		sent[i].seen = true;
		return;
	}
	fail_msg("a packet of %u bytes that nobody sent", in->len);
}

static void receive_all(struct end *e, struct sent *sent, bool to_self)
{
	struct wire_in in[WIRE_BURST];
	int i, n, left = 0;

	for (i = 0; i < BURST; i++)
		left += sent[i].to_self == to_self;
	while (left > 0) {
		n = poll_some(e, in, WIRE_BURST);
		for (i = 0; i < n; i++)
			check_arrived(sent, &in[i], to_self);
		wire_give_back(e->w);
		left -= n;
	}
	assert_int_equal(left, 0);
}

static void wire_udp_send__keeps_boundaries(void **state)
{
	static const uint32_t lens[] = { 1, 2, 64, 300, 1400, 1472, 5000 };
	struct fixture *f = fixture_of(state);
	struct wire_out out[BURST];
	struct sent sent[BURST];
	uint64_t r = 88172645463325252u;
	uint32_t len = 100;
	uint8_t path = 0;
	bool to_self = false, gso = wire_udp_of(f->a.w)->gso;
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < BURST; i++) {
			if (next_random(&r) % 4 == 0)
				len = lens[next_random(&r) % 7];
			if (next_random(&r) % 8 == 0)
				path = (uint8_t)(next_random(&r) % PATHS);
			if (next_random(&r) % 8 == 0)
				to_self = !to_self;
			sent[i] = (struct sent){
				.len = len,
				.seed = next_random(&r) >> 1 | 1,
				.to_self = to_self,
			};
			out[i] = out_of(to_self ? &f->a : &f->b, path, len,
					sent[i].seed);
			out[i].fragment = next_random(&r) % 16 == 0;
		}
		send_all(f->a.w, out, BURST);
		receive_all(&f->a, sent, true);
		receive_all(&f->b, sent, false);
	}
	assert_int_equal(wire_stats(f->a.w)->tx_packets, ROUNDS * BURST);
	assert_int_equal(wire_udp_of(f->a.w)->gso, gso);
	assert_int_equal(wire_stats(f->b.w)->rx_bad, 0);
}

static void wire_udp_send__groups_neighbours(void **state)
{
	struct fixture *f = fixture_of(state);
	const struct wire_stats *stats = wire_stats(f->a.w);
	bool gso = wire_udp_of(f->a.w)->gso;

	send_row(f, 100);
	/* 64 and 36 packets are two messages; else a call takes 64. */
	assert_int_equal(stats->tx_calls, gso ? 1 : 2);
	assert_int_equal(stats->tx_packets, 100);
	assert_int_equal(wire_udp_of(f->a.w)->gso, gso);
	expect_row(f, 100);
}

static void wire_udp_send__limits_groups(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out[100];
	int i;

	for (i = 0; i < 100; i++)
		out[i] = out_of(&f->b, 0, 10, (uint64_t)i);
	send_all(f->a.w, out, 100);
	assert_int_equal(wire_udp_of(f->a.w)->tx.pkts[0], 64);
	for (i = 0; i < 100; i++)
		expect_packet(&f->b, f->a.gid, 10, (uint64_t)i);
	for (i = 0; i < 15; i++)
		out[i] = out_of(&f->b, 0, 5001, (uint64_t)i);
	send_all(f->a.w, out, 15);
	/* 13 of them would be over 65,000 bytes. */
	assert_int_equal(wire_udp_of(f->a.w)->tx.pkts[0], 12);
	for (i = 0; i < 15; i++)
		expect_packet(&f->b, f->a.gid, 5001, (uint64_t)i);
}

/* From which port a packet of this path comes, seen by a socket of no wire. */
static uint16_t port_of(struct wire *w, struct wire_out out, int fd,
			const uint8_t from[16])
{
	union wire_udp_addr addr = { 0 };
	socklen_t len = sizeof(addr);
	uint8_t gid[16];
	uint16_t port = 0;
	char buf[64];

	send_all(w, &out, 1);
	wait_readable(fd);
	assert_int_equal(recvfrom(fd, buf, sizeof(buf), 0, &addr.sa, &len), 10);
	assert_true(wire_udp_addr_gid(&addr, gid, &port));
	assert_memory_equal(gid, from, 16);
	return port;
}

static void wire_udp_send__gives_each_path_a_port(void **state)
{
	struct fixture *f = fixture_of(state);
	uint16_t port[PATHS + 1];
	struct end plain = f->b;
	struct wire_out out;
	int fd = socket_on(f->b.gid, &plain.port), i, j;

	assert_true(fd >= 0);
	for (i = 0; i <= PATHS; i++) {
		out = out_of(&plain, (uint8_t)(i % PATHS), 10, 1);
		out.fragment = i == PATHS;
		port[i] = port_of(f->a.w, out, fd, f->a.gid);
		assert_int_equal(port_of(f->a.w, out, fd, f->a.gid), port[i]);
		assert_int_not_equal(port[i], f->a.port);
		for (j = 0; j < i; j++)
			assert_int_not_equal(port[i], port[j]);
	}
	close(fd);
}

/* The flow label that a packet has, seen by a socket of no wire. */
static uint32_t label_of(struct wire *w, const struct wire_out *out, int fd)
{
	union {
		struct cmsghdr hdr;
		uint8_t bytes[256];
	} ctl;
	struct iovec iov = { &ctl, 0 };
	struct msghdr h = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &ctl,
		.msg_controllen = sizeof(ctl),
	};
	struct cmsghdr *c;
	uint32_t label;

	send_all(w, out, 1);
	wait_readable(fd);
	assert_true(recvmsg(fd, &h, 0) >= 0);
	c = CMSG_FIRSTHDR(&h);
	if (!c || c->cmsg_level != IPPROTO_IPV6)
		return 0; /* none is not told */
	memcpy(&label, CMSG_DATA(c), sizeof(label));
	return ntohl(label) & 0xfffff;
}

static bool has_auto_labels(void)
{
	FILE *file = fopen("/proc/sys/net/ipv6/auto_flowlabels", "re");
	int mode = 0;

	if (!file)
		return false;
	if (fscanf(file, "%d", &mode) != 1)
		mode = 0;
	fclose(file);
	return mode > 0;
}

static void wire_udp_send__gives_each_path_a_label(void **state)
{
	struct fixture *f = fixture_of(state);
	struct end plain = f->b;
	int fd = socket_on(f->b.gid, &plain.port), on = 1, i, same = 0;
	uint32_t label[PATHS];
	struct wire_out out;

	assert_true(fd >= 0);
	/* IPV6_FLOWINFO, which the C library does not name. */
	if (!has_auto_labels() ||
	    setsockopt(fd, IPPROTO_IPV6, 11, &on, sizeof(on))) {
		close(fd);
		skip();
	}
	for (i = 0; i < PATHS; i++) {
		out = out_of(&plain, (uint8_t)i, 10, 1);
		label[i] = label_of(f->a.w, &out, fd);
		assert_int_equal(label_of(f->a.w, &out, fd), label[i]);
		same += label[i] == label[0];
	}
	close(fd);
	/* They are hashes: a pair may meet, all do not. */
	assert_true(same < PATHS / 2);
}

static void wire_udp_mtu__is_the_lesser_of_link_and_route(void **state)
{
	struct wire_udp_config c = { .paths = 1 };
	struct end e;
	uint8_t v6[16] = { [15] = 1 };

	(void)state;
	assert_int_equal(end_open(&e, "127.0.0.1", &c), 0);
	assert_int_equal(wire_mtu(e.w, e.gid), 1472);
	end_close(&e);
	c.link_mtu = 9001;
	assert_int_equal(end_open(&e, "127.0.0.1", &c), 0);
	assert_int_equal(wire_mtu(e.w, e.gid), 8973);
	assert_int_equal(wire_mtu(e.w, v6), 8973);
	end_close(&e);
	c.link_mtu = 200000;
	assert_int_equal(end_open(&e, "127.0.0.1", &c), 0);
	assert_in_range(wire_mtu(e.w, e.gid), 524, 65507);
	end_close(&e);
	if (end_open(&e, "::1", &c))
		return;
	assert_in_range(wire_mtu(e.w, e.gid), 1232, 65527);
	end_close(&e);
	c.link_mtu = 1500;
	assert_int_equal(end_open(&e, "::1", &c), 0);
	assert_int_equal(wire_mtu(e.w, e.gid), 1452);
	end_close(&e);
}

static void wire_udp_fds__has_those_in_use(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out[2] = { out_of(&f->b, 2, 10, 1),
				   out_of(&f->b, 5, 10, 1) };
	int fd[WIRE_PATHS_MAX + 1];

	assert_int_equal(wire_udp_fds(f->a.w, fd, 65), 0);
	send_all(f->a.w, out, 2);
	assert_int_equal(wire_udp_fds(f->a.w, fd, 65), 2);
	assert_int_equal(fd[0], wire_udp_of(f->a.w)->path[2]);
	assert_int_equal(fd[1], wire_udp_of(f->a.w)->path[5]);
	assert_int_equal(wire_udp_fds(f->a.w, fd, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_V4(wire_udp_open__refuses_bad_configs),
		cmocka_unit_test(wire_udp_close__leaves_no_descriptor),
		ON_ALL(wire_udp_send__carries_every_size),
		ON_ALL(wire_udp_send__keeps_boundaries),
		ON_ALL(wire_udp_send__groups_neighbours),
		ON_V4(wire_udp_send__limits_groups),
		ON_ALL(wire_udp_send__gives_each_path_a_port),
		ON_V6(wire_udp_send__gives_each_path_a_label),
		cmocka_unit_test(wire_udp_mtu__is_the_lesser_of_link_and_route),
		ON_V4(wire_udp_fds__has_those_in_use),
	};

	return cmocka_run_group_tests_name("wire_udp", tests, NULL, NULL);
}
