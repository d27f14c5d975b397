/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_fixture.c - what the tests of the UDP wire share
 */
#include "wire_udp_fixture.h"

#include "util/u_log.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 10000

static struct {
	unsigned warnings;
	size_t len;
	char text[65536];
} log_seen;

static void log_keep(enum u_log_level level, const char *line)
{
	size_t n = strlen(line);

	log_seen.warnings += level == U_LOG_WARN;
	if (log_seen.len + n + 2 > sizeof(log_seen.text))
		return;
	memcpy(log_seen.text + log_seen.len, line, n);
	log_seen.len += n;
	log_seen.text[log_seen.len++] = '\n';
	log_seen.text[log_seen.len] = '\0';
}

unsigned logged_warnings(void)
{
	return log_seen.warnings;
}

bool logged(const char *part)
{
	return strstr(log_seen.text, part) != NULL;
}

void gid_read(const char *text, uint8_t gid[16])
{
	struct in_addr in;

	memset(gid, 0, 16);
	if (inet_pton(AF_INET, text, &in) == 1) {
		gid[10] = gid[11] = 0xff;
		memcpy(gid + 12, &in, 4);
	} else if (inet_pton(AF_INET6, text, gid) != 1) {
		abort();
	}
}

int socket_on(const uint8_t gid[16], uint16_t *port)
{
	struct wire_udp w = { .v4 = wire_gid_is_v4(gid) };
	union wire_udp_addr addr;
	socklen_t len = wire_udp_addr_len(&w);
	uint8_t bound[16];
	int fd;

	wire_udp_addr_init(&w, &addr);
	wire_udp_addr_set(&w, &addr, gid, 0);
	fd = socket(addr.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd >= 0 &&
	    (bind(fd, &addr.sa, len) || getsockname(fd, &addr.sa, &len))) {
		close(fd);
		fd = -1;
	}
	if (fd >= 0)
		wire_udp_addr_gid(&addr, bound, port);
	return fd;
}

int end_open(struct end *e, const char *address,
	     const struct wire_udp_config *like)
{
	struct wire_udp_config config = *like;
	int rc;

	gid_read(address, e->gid);
	config.gid = e->gid;
	e->w = NULL;
	e->fd = socket_on(e->gid, &e->port);
	if (e->fd < 0)
		return -1;
	rc = wire_udp_open(&config, e->fd, &e->w);
	if (rc) {
		close(e->fd);
		e->fd = -1;
	}
	return rc;
}

void end_close(struct end *e)
{
	if (!e->w)
		return;
	wire_close(e->w);
	close(e->fd);
	e->w = NULL;
}

static int fixture_open(void **state, const char *a, const char *b,
			bool no_offload)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct wire_udp_config config = {
		.ifname = "lo",
		.paths = PATHS,
		.link_mtu = LO_MTU,
		.rcvbuf = 200 << 10, /* no more than any user gets */
		.no_offload = no_offload,
	};

	log_seen.warnings = 0;
	log_seen.len = 0;
	log_seen.text[0] = '\0';
	u_log_set_sink(log_keep);
	*state = f;
	f->missing = end_open(&f->a, a, &config) || end_open(&f->b, b, &config);
	return f->missing && strchr(a, '.') ? -1 : 0;
}

int fixture_v4(void **state)
{
	return fixture_open(state, "127.0.0.1", "127.0.0.2", false);
}

int fixture_v6(void **state)
{
	return fixture_open(state, "::1", "::1", false);
}

int fixture_plain(void **state)
{
	return fixture_open(state, "127.0.0.1", "127.0.0.2", true);
}

int fixture_end(void **state)
{
	struct fixture *f = *state;

	end_close(&f->a);
	end_close(&f->b);
	free(f);
	u_log_set_sink(NULL);
	return 0;
}

struct fixture *fixture_of(void **state)
{
	struct fixture *f = *state;

	if (f->missing)
		skip();
	return f;
}

uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Any seed gives bytes of its own from the first on. */
static uint8_t byte_at(size_t i, uint64_t seed)
{
	uint64_t x = (seed * 131 + i + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint8_t)(x >> 56);
}

bool is_filled(const void *p, size_t len, uint64_t seed)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		if (b[i] != byte_at(i, seed))
			return false;
	return true;
}

struct wire_out out_of(const struct end *e, uint8_t path, size_t len,
		       uint64_t seed)
{
	/* Packets of one send; a packet's bytes stay until 256 later ones. */
	static uint8_t mem[256][65536 + 1024];
	static unsigned turn;
	uint8_t *p = mem[turn++ % 256];
	size_t hdr = len < 24 ? seed % (len + 1) : 24;

	for (size_t i = 0; i < len; i++)
		p[i] = byte_at(i, seed);
	if (len - hdr > UINT16_MAX)
		hdr = 1000;
	return (struct wire_out){
		.gid = e->gid,
		.qpn = e->port,
		.path = path,
		.hdr = hdr ? p : NULL,
		.hdr_len = (uint16_t)hdr,
		.data = len > hdr ? p + hdr : NULL,
		.data_len = (uint16_t)(len - hdr),
	};
}

void send_all(struct wire *w, const struct wire_out *out, int n)
{
	int done = 0;

	while (done < n) {
		int took = wire_send(w, out + done, n - done);

		assert_in_range(took, 0, n - done);
		done += took;
	}
}

void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

int poll_some(struct end *e, struct wire_in *in, int max)
{
	int n;

	while (!(n = wire_poll(e->w, in, max))) {
		wire_give_back(e->w);
		wait_readable(e->fd);
	}
	assert_in_range(n, 1, max);
	return n;
}

void expect_packet(struct end *e, const uint8_t from[16], size_t len,
		   uint64_t seed)
{
	struct wire_in in;

	poll_some(e, &in, 1);
	assert_int_equal(in.len, len);
	assert_true(is_filled(in.data, len, seed));
	assert_memory_equal(in.gid, from, 16);
	wire_give_back(e->w);
}

void send_row(struct fixture *f, int n)
{
	struct wire_out out[100];

	for (int i = 0; i < n; i++)
		out[i] = out_of(&f->b, 3, i == n - 1 ? 500 : 1000, (uint64_t)i);
	send_all(f->a.w, out, n);
}

void expect_row(struct fixture *f, int n)
{
	for (int i = 0; i < n; i++)
		expect_packet(&f->b, f->a.gid, i == n - 1 ? 500 : 1000,
			      (uint64_t)i);
}

int notes_wait(struct wire *w, struct wire_note *note, int max)
{
	struct pollfd p[WIRE_PATHS_MAX + 1];
	int fd[WIRE_PATHS_MAX + 1];
	int n, i, nfds;

	while (!(n = wire_notes(w, note, max))) {
		nfds = wire_udp_fds(w, fd, WIRE_PATHS_MAX + 1);
		for (i = 0; i < nfds; i++)
			p[i] = (struct pollfd){ .fd = fd[i] };
		assert_true(poll(p, (nfds_t)nfds, WAIT_MS) > 0);
	}
	return n;
}

int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}
