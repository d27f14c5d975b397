/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_fixture.h - two UD wires on two fake devices
 */
#ifndef WIRE_UD_FIXTURE_H
#define WIRE_UD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_verbs.h"
#include "wire/wire_ud_priv.h"

#define PATHS 8
#define MTU 1024

struct side {
	struct wire *w;
	struct wire_ud_info info;
	uint32_t qkey;
};

struct ud {
	struct side a, b; /* on fake0 and fake1 */
};

int ud_setup(void **state); /* devices only */
int ud_setup_pair(void **state);
int ud_teardown(void **state);

#define ON_NONE(f) cmocka_unit_test_setup_teardown(f, ud_setup, ud_teardown)
#define ON_PAIR(f) \
	cmocka_unit_test_setup_teardown(f, ud_setup_pair, ud_teardown)

/* Opens the side on device d, which has been listed. */
int side_open(struct side *s, int d, uint32_t rx_bytes);
void side_close(struct side *s);

/* A packet of len bytes that begin with `first`, to s. */
struct wire_out packet_to(const struct side *s, uint8_t path, uint32_t len,
			  uint8_t first);

/* Sends it; it must be taken. */
void send_to(struct side *from, const struct side *to, uint8_t path,
	     uint32_t len, uint8_t first);

/* The next packet of s, which is of len bytes that begin with `first`, from
 * `from`; it is given back. */
void expect_from(struct side *s, const struct side *from, uint32_t len,
		 uint8_t first);

/* Asks for notes; how many. */
int look(struct side *s, struct wire_note *note, int max);

bool logged(const char *part);
unsigned int warnings(void);

#endif
