/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_fixture.h - what the tests of the UDP wire share
 *
 * Two wires on loopback addresses, with the log lines they cause. The same
 * test may run over IPv4, over IPv6 and without offload.
 */
#ifndef WIRE_UDP_FIXTURE_H
#define WIRE_UDP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/wire_udp.h"

#include "wire/wire_udp_priv.h"

#define PATHS 8
#define LO_MTU 65536

struct end {
	uint8_t gid[16];
	uint16_t port;
	int fd;
	struct wire *w;
};

struct fixture {
	bool missing; /* no such address here: skip */
	struct end a, b;
};

/* cmocka's setups. */
int fixture_v4(void **state);
int fixture_v6(void **state);
int fixture_plain(void **state);
int fixture_end(void **state);

#define ON_V4(f) cmocka_unit_test_setup_teardown(f, fixture_v4, fixture_end)
#define ON_V6(f)                                              \
	{                                                     \
#f ", IPv6", f, fixture_v6, fixture_end, NULL \
	}
#define ON_PLAIN(f)                                                    \
	{                                                              \
#f ", no offload", f, fixture_plain, fixture_end, NULL \
	}
#define ON_ALL(f) ON_V4(f), ON_V6(f), ON_PLAIN(f)

/* The fixture; ends the test where there is no IPv6. */
struct fixture *fixture_of(void **state);

/* Log lines of the current test. */
unsigned logged_warnings(void);
bool logged(const char *part);

void gid_read(const char *text, uint8_t gid[16]);
/* A bound socket of no wire. */
int socket_on(const uint8_t gid[16], uint16_t *port);
/* 0 or what wire_udp_open says; end_close undoes it. */
int end_open(struct end *e, const char *address,
	     const struct wire_udp_config *like);
void end_close(struct end *e);

/* A packet to e with len bytes that `seed` stands for, in one or two parts. */
struct wire_out out_of(const struct end *e, uint8_t path, size_t len,
		       uint64_t seed);
bool is_filled(const void *p, size_t len, uint64_t seed);

/* Sends all, however often it takes. */
void send_all(struct wire *w, const struct wire_out *out, int n);
/* Waits until fd is readable; fails the test after 10 s. */
void wait_readable(int fd);
/* At least one packet, up to max; to be given back. */
int poll_some(struct end *e, struct wire_in *in, int max);
/* One packet, which has to be that of out_of(e, , len, seed). */
void expect_packet(struct end *e, const uint8_t from[16], size_t len,
		   uint64_t seed);
/* From a to b: n <= 100 packets of 1000 bytes, the last of 500, on path 3. */
void send_row(struct fixture *f, int n);
void expect_row(struct fixture *f, int n);
/* Notes, once there are any; fails the test after 10 s. */
int notes_wait(struct wire *w, struct wire_note *note, int max);

/* xorshift: *s nonzero. */
uint64_t next_random(uint64_t *s);
int count_fds(void);

#endif
