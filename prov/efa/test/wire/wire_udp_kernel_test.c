/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_kernel_test.c - what the kernel says only when it is in trouble
 *
 * The system calls are this file's: it lets them through, or answers with an
 * error that a real kernel would give without memory, without offload, behind
 * a firewall.
 */
#include "wire_udp_fixture.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All 0: the kernel answers. */
static struct {
	int after; /* messages that still go through */
	int times; /* errors that are given after them */
	int error;
	bool groups_only; /* only messages that are groups fail */
	int groups; /* seen */
	bool no_sockets;
	bool no_force; /* as without privilege */
	int most; /* bytes that SO_RCVBUF and SO_SNDBUF take; 0: any */
	int no_option; /* that setsockopt refuses */
	struct sock_extended_err forged; /* in the error queue, once; */
	const struct end *about; /* NULL: no such thing */
} kernel;

static bool is_group(const struct msghdr *h)
{
	return h->msg_controllen > 0;
}

/* Does this message fail? */
static bool fails(const struct msghdr *h)
{
	kernel.groups += h && is_group(h);
	if (!kernel.times || (kernel.groups_only && !(h && is_group(h))))
		return false;
	if (kernel.after > 0) {
		kernel.after--;
		return false;
	}
	kernel.times--;
	errno = kernel.error;
	return true;
}

ssize_t sendmsg(int fd, const struct msghdr *h, int flags)
{
	return fails(h) ? -1 : syscall(SYS_sendmsg, fd, h, flags);
}

ssize_t sendto(int fd, const void *p, size_t len, int flags,
	       const struct sockaddr *to, socklen_t to_len)
{
	return fails(NULL) ? -1 :
			     syscall(SYS_sendto, fd, p, len, flags, to, to_len);
}

int sendmmsg(int fd, struct mmsghdr *msg, unsigned int n, int flags)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (fails(&msg[i].msg_hdr))
			return i ? (int)i : -1;
		if (syscall(SYS_sendmsg, fd, &msg[i].msg_hdr, flags) < 0)
			return i ? (int)i : -1;
	}
	return (int)n;
}

ssize_t recvmsg(int fd, struct msghdr *h, int flags)
{
	struct cmsghdr *c = h->msg_control;

	if (!(flags & MSG_ERRQUEUE) || !kernel.about)
		return syscall(SYS_recvmsg, fd, h, flags);
	wire_udp_addr_set(wire_udp_of(kernel.about->w), h->msg_name,
			  kernel.about->gid, kernel.about->port);
	((struct sockaddr *)h->msg_name)->sa_family = AF_INET;
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_RECVERR;
	c->cmsg_len = CMSG_LEN(sizeof(kernel.forged));
	memcpy(CMSG_DATA(c), &kernel.forged, sizeof(kernel.forged));
	h->msg_controllen = c->cmsg_len;
	kernel.about = NULL;
	return 0;
}

int socket(int family, int type, int protocol)
{
	if (kernel.no_sockets) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_socket, family, type, protocol);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	bool force = level == SOL_SOCKET &&
		     (name == SO_RCVBUFFORCE || name == SO_SNDBUFFORCE);
	bool plain = level == SOL_SOCKET &&
		     (name == SO_RCVBUF || name == SO_SNDBUF);
	int v;

	if (force && kernel.no_force) {
		errno = EPERM;
		return -1;
	}
	if (level == SOL_SOCKET && kernel.no_option == name) {
		errno = ENOMEM;
		return -1;
	}
	if (plain && kernel.most) {
		memcpy(&v, value, sizeof(v));
		v = v < kernel.most ? v : kernel.most;
		value = &v;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

static int kernel_v4(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	return fixture_v4(state);
}

static int kernel_end(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	return fixture_end(state);
}

#define IN_TROUBLE(f) cmocka_unit_test_setup_teardown(f, kernel_v4, kernel_end)

static void expect_some(struct fixture *f, int from, int to, size_t len)
{
	for (int i = from; i < to; i++)
		expect_packet(&f->b, f->a.gid, len, (uint64_t)i);
}

/* n packets of which no two make a group: lengths grow. */
static void rising(struct fixture *f, struct wire_out *out, int n)
{
	for (int i = 0; i < n; i++)
		out[i] = out_of(&f->b, 0, 100 + (size_t)i, (uint64_t)i);
}

/* These come first in main: the warnings are said once a process. */
static void wire_udp_open__warns_of_a_small_buffer_once(void **state)
{
	struct wire_udp_config c = { .paths = 1 };
	struct end e[2];

	(void)state;
	kernel.no_force = true;
	kernel.most = 65536;
	assert_int_equal(end_open(&e[0], "127.0.0.1", &c), 0);
	assert_int_equal(e[0].w->rx_bytes, 65536);
	assert_int_equal(logged_warnings(), 1);
	assert_true(logged("sysctl -w net.core.rmem_max=4194304"));
	assert_int_equal(end_open(&e[1], "127.0.0.1", &c), 0);
	assert_int_equal(logged_warnings(), 1);
	end_close(&e[0]);
	end_close(&e[1]);
}

static void wire_udp_send__warns_of_a_small_buffer_once(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out[2] = { out_of(&f->b, 0, 10, 0),
				   out_of(&f->b, 1, 10, 1) };

	kernel.no_force = true;
	kernel.most = 65536;
	send_all(f->a.w, out, 2);
	expect_some(f, 0, 2, 10);
	assert_int_equal(logged_warnings(), 1);
	assert_true(logged("sysctl -w net.core.wmem_max=1048576"));
}

static void wire_udp_send__shares_when_sockets_are_used_up(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out[4];
	int fd[4];

	for (int i = 0; i < 4; i++)
		out[i] = out_of(&f->b, (uint8_t)i, 10, (uint64_t)i);
	out[3].fragment = true;
	kernel.no_sockets = true;
	send_all(f->a.w, out, 1);
	expect_some(f, 0, 1, 10);
	assert_int_equal(wire_udp_of(f->a.w)->path[0], f->a.fd);
	kernel.no_sockets = false;
	send_all(f->a.w, out + 1, 1);
	kernel.no_sockets = true;
	send_all(f->a.w, out + 2, 2);
	expect_some(f, 1, 4, 10);
	assert_int_equal(wire_udp_of(f->a.w)->path[2],
			 wire_udp_of(f->a.w)->path[1]);
	assert_int_equal(wire_udp_fds(f->a.w, fd, 4), 1);
	assert_int_equal(logged_warnings(), 1);
	assert_true(logged("ulimit -n"));
}

static void wire_udp_open__fails_without_leaving_anything(void **state)
{
	struct wire_udp_config c = { .paths = 1 };
	int before = count_fds();
	struct end e;

	(void)state;
	kernel.no_force = true;
	kernel.no_option = SO_RCVBUF;
	assert_int_equal(end_open(&e, "127.0.0.1", &c), -ENOMEM);
	assert_int_equal(count_fds(), before);
}

/* A sending socket that cannot be set up is not left open either. */
static void wire_udp_send__closes_what_it_cannot_set_up(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out = out_of(&f->b, 0, 10, 0);
	int before = count_fds();

	kernel.no_option = SO_ATTACH_FILTER;
	send_all(f->a.w, &out, 1);
	expect_some(f, 0, 1, 10);
	assert_int_equal(count_fds(), before);
}

static void full_of(void **state, int error)
{
	struct fixture *f = fixture_of(state);
	const struct wire_stats *stats = wire_stats(f->a.w);
	struct wire_out out[20];

	rising(f, out, 20);
	kernel.error = error;
	kernel.after = 7;
	kernel.times = 2;
	assert_int_equal(wire_send(f->a.w, out, 20), 7);
	assert_int_equal(stats->tx_full, 13);
	/* One call told of the 7, the next of the error. */
	assert_int_equal(kernel.times, 0);
	assert_int_equal(wire_send(f->a.w, out + 7, 13), 13);
	kernel.times = 2; /* sendto, then sendmsg */
	assert_int_equal(wire_send(f->a.w, out, 1), 0);
	assert_int_equal(stats->tx_packets, 20);
	assert_int_equal(stats->tx_failed, 0);
	assert_false(wire_troubled(f->a.w));
	for (int i = 0; i < 20; i++)
		expect_packet(&f->b, f->a.gid, 100 + (size_t)i, (uint64_t)i);
}

static void wire_udp_send__takes_fewer_when_full(void **state)
{
	full_of(state, EAGAIN);
}

static void wire_udp_send__takes_fewer_without_buffers(void **state)
{
	full_of(state, ENOBUFS);
}

/* The error of an earlier packet comes in the middle of a run. */
static void wire_udp_send__tries_again_after_a_pending_error(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out[20];
	struct wire_note note;

	rising(f, out, 20);
	kernel.error = ECONNREFUSED;
	kernel.after = 5;
	kernel.times = 3;
	assert_int_equal(wire_send(f->a.w, out, 20), 20);
	assert_int_equal(kernel.times, 0);
	for (int i = 0; i < 20; i++)
		expect_packet(&f->b, f->a.gid, 100 + (size_t)i, (uint64_t)i);
	assert_int_equal(wire_stats(f->a.w)->tx_failed, 0);
	assert_true(wire_troubled(f->a.w));
	assert_int_equal(wire_notes(f->a.w, &note, 1), 0);
	assert_false(wire_troubled(f->a.w));
}

/* However many: what others have met is no packet's own fault. */
static void wire_udp_send__never_blames_a_packet_for_another(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out = out_of(&f->b, 0, 1000, 3);
	struct wire_note note;

	kernel.error = ECONNREFUSED;
	kernel.times = 1000;
	assert_int_equal(wire_send(f->a.w, &out, 1), 0);
	assert_int_equal(wire_stats(f->a.w)->tx_failed, 0);
	kernel.times = 0;
	assert_int_equal(wire_send(f->a.w, &out, 1), 1);
	expect_packet(&f->b, f->a.gid, 1000, 3);
	assert_int_equal(wire_notes(f->a.w, &note, 1), 0);
}

static void wire_udp_send__goes_on_after_an_interrupt(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out[2] = { out_of(&f->b, 0, 10, 0),
				   out_of(&f->b, 0, 10, 1) };

	kernel.error = EINTR;
	kernel.times = 2;
	assert_int_equal(wire_send(f->a.w, out, 2), 2);
	expect_some(f, 0, 2, 10);
}

static void wire_udp_send__does_without_gso(void **state)
{
	struct fixture *f = fixture_of(state);
	const struct wire_stats *stats = wire_stats(f->a.w);
	struct wire_out out[40];

	for (int i = 0; i < 40; i++)
		out[i] = out_of(&f->b, 0, 500, (uint64_t)i);
	kernel.error = EIO;
	kernel.groups_only = true;
	kernel.times = 1000;
	assert_int_equal(wire_send(f->a.w, out, 40), 40);
	expect_some(f, 0, 40, 500);
	assert_int_equal(stats->tx_packets, 40);
	assert_int_equal(stats->tx_failed, 0);
	/* It is not tried again. */
	assert_int_equal(kernel.groups, 1);
	assert_int_equal(wire_send(f->a.w, out, 40), 40);
	expect_some(f, 0, 40, 500);
	assert_int_equal(kernel.groups, 1);
	assert_true(logged("does no GSO"));
}

/* Old kernels say EINVAL of packets over the MTU too. */
static void wire_udp_send__blames_packets_before_gso(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out[4];

	for (int i = 0; i < 4; i++)
		out[i] = out_of(&f->b, 0, 500, (uint64_t)i);
	kernel.error = EINVAL;
	kernel.times = 1000;
	assert_int_equal(wire_send(f->a.w, out, 4), 4);
	assert_int_equal(wire_stats(f->a.w)->tx_failed, 4);
	assert_true(wire_udp_of(f->a.w)->gso);
}

/* The group is taken apart, and then the socket is full. */
static void wire_udp_send__takes_part_of_a_group(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out[10];

	for (int i = 0; i < 10; i++)
		out[i] = out_of(&f->b, 0, 500, (uint64_t)i);
	kernel.error = EIO;
	kernel.times = 1;
	assert_int_equal(wire_send(f->a.w, out, 10), 10);
	expect_some(f, 0, 10, 500);
	wire_udp_of(f->a.w)->gso = true;
	kernel.error = EAGAIN;
	kernel.after = 0;
	kernel.times = 1;
	assert_int_equal(wire_send(f->a.w, out, 10), 0);
	assert_int_equal(wire_send(f->a.w, out, 10), 10);
	expect_some(f, 0, 10, 500);
}

static void wire_udp_send__a_firewall_makes_no_note(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out = out_of(&f->b, 0, 1000, 3);
	struct wire_note note;

	kernel.error = EPERM;
	kernel.times = 1000;
	assert_int_equal(wire_send(f->a.w, &out, 1), 1);
	assert_int_equal(wire_stats(f->a.w)->tx_failed, 1);
	assert_int_equal(wire_notes(f->a.w, &note, 1), 0);
	assert_true(logged("127.0.0.2"));
	assert_int_equal(logged_warnings(), 1);
}

static void wire_udp_send__notes_what_stays_unreachable(void **state)
{
	struct fixture *f = fixture_of(state);
	struct wire_out out = out_of(&f->b, 0, 1000, 3);
	struct wire_note note;

	kernel.error = EHOSTUNREACH;
	kernel.times = 1000;
	assert_int_equal(wire_send(f->a.w, &out, 1), 1);
	assert_int_equal(wire_notes(f->a.w, &note, 1), 1);
	assert_int_equal(note.kind, WIRE_NOTE_NO_ROUTE);
	assert_memory_equal(note.gid, f->b.gid, 16);
}

/* What ICMP says of an MTU is what anybody may have written. */
static void wire_udp_notes__believes_no_absurd_mtu(void **state)
{
	static const uint32_t said[] = { 0, 68, 1400, LO_MTU, UINT32_MAX };
	static const uint32_t noted[] = { 524, 524, 1372, 8972, 8972 };
	struct fixture *f = fixture_of(state);
	struct wire_out out = out_of(&f->b, 0, 1000, 3);
	struct wire_note note = { 0 };

	wire_udp_of(f->a.w)->link_mtu = 9000;
	for (size_t i = 0; i < u_array_size(said); i++) {
		kernel.error = EMSGSIZE;
		kernel.times = 1;
		kernel.about = &f->b;
		kernel.forged = (struct sock_extended_err){
			.ee_errno = EMSGSIZE,
			.ee_origin = SO_EE_ORIGIN_ICMP,
			.ee_info = said[i],
		};
		assert_int_equal(wire_send(f->a.w, &out, 1), 1);
		expect_packet(&f->b, f->a.gid, 1000, 3);
		assert_int_equal(wire_notes(f->a.w, &note, 1), 1);
		assert_int_equal(note.kind, WIRE_NOTE_MTU);
		assert_int_equal(note.mtu, noted[i]);
	}
}

/* Timestamps, completions of zero copy, errors that say nothing to us. */
static void wire_udp_notes__ignores_what_is_no_verdict(void **state)
{
	static const struct sock_extended_err entries[] = {
		{ .ee_errno = ENOMSG, .ee_origin = SO_EE_ORIGIN_TIMESTAMPING },
		{ .ee_errno = 0, .ee_origin = SO_EE_ORIGIN_ZEROCOPY },
		{ .ee_errno = EPROTO, .ee_origin = SO_EE_ORIGIN_ICMP },
		{ .ee_errno = 77777, .ee_origin = SO_EE_ORIGIN_ICMP },
		{ .ee_errno = EMSGSIZE, .ee_origin = SO_EE_ORIGIN_LOCAL },
	};
	struct fixture *f = fixture_of(state);
	struct wire_out out = out_of(&f->b, 0, 1000, 3);
	struct wire_note note;

	for (size_t i = 0; i < u_array_size(entries); i++) {
		kernel.error = EPROTO;
		kernel.times = 1;
		kernel.about = &f->b;
		kernel.forged = entries[i];
		assert_int_equal(wire_send(f->a.w, &out, 1), 1);
		assert_null(kernel.about);
		expect_packet(&f->b, f->a.gid, 1000, 3);
		assert_int_equal(wire_notes(f->a.w, &note, 1), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TROUBLE(wire_udp_open__warns_of_a_small_buffer_once),
		IN_TROUBLE(wire_udp_send__warns_of_a_small_buffer_once),
		IN_TROUBLE(wire_udp_send__shares_when_sockets_are_used_up),
		IN_TROUBLE(wire_udp_open__fails_without_leaving_anything),
		IN_TROUBLE(wire_udp_send__closes_what_it_cannot_set_up),
		IN_TROUBLE(wire_udp_send__takes_fewer_when_full),
		IN_TROUBLE(wire_udp_send__takes_fewer_without_buffers),
		IN_TROUBLE(wire_udp_send__tries_again_after_a_pending_error),
		IN_TROUBLE(wire_udp_send__never_blames_a_packet_for_another),
		IN_TROUBLE(wire_udp_send__goes_on_after_an_interrupt),
		IN_TROUBLE(wire_udp_send__does_without_gso),
		IN_TROUBLE(wire_udp_send__blames_packets_before_gso),
		IN_TROUBLE(wire_udp_send__takes_part_of_a_group),
		IN_TROUBLE(wire_udp_send__a_firewall_makes_no_note),
		IN_TROUBLE(wire_udp_send__notes_what_stays_unreachable),
		IN_TROUBLE(wire_udp_notes__believes_no_absurd_mtu),
		IN_TROUBLE(wire_udp_notes__ignores_what_is_no_verdict),
	};

	return cmocka_run_group_tests_name("wire_udp_kernel", tests, NULL,
					   NULL);
}
