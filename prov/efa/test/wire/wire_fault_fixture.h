/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_fault_fixture.h - what the tests of the fault injector share
 *
 * Every packet bears its number in its header, and bytes that follow from it
 * everywhere else; the fixture keeps which numbers left, and in what order.
 */
#ifndef WIRE_FAULT_FIXTURE_H
#define WIRE_FAULT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/wire_fault.h"

#define MANY 100000u /* packets a test sends at most */
#define BURST 32
#define HDR 24
#define DATA 100
#define ROOM (2 * BURST + 1)
#define PERCENT 42949673u

struct packet {
	uint8_t hdr[HDR];
	uint8_t data[DATA];
};

struct fixture {
	struct wire_fault *f;
	uint64_t now;
	uint32_t next; /* number of the next packet */
	uint8_t path; /* that packets go */
	struct packet packet[BURST];
	struct wire_out in[BURST], out[ROOM];
	uint32_t seen; /* packets that left */
	uint32_t at[2 * MANY]; /* their numbers, in order */
	uint8_t times[MANY]; /* how often each left */
	char log[512]; /* the last line: level and text */
};

extern const uint8_t their_gid[16];

/* cmocka's setup and teardown; open_with makes the seed 1 when it is 0. */
int fixture_open(void **state);
int fixture_close(void **state);
void open_with(struct fixture *f, struct wire_fault_config config);

void packet_fill(struct packet *p, uint32_t number);
/* in[0..n-1]: the next packets. */
void packets_fill(struct fixture *f, int n);
/* Is it the packet that it says it is? */
bool is_whole(const struct wire_out *out);

/* n new packets; returns how many left, all of them whole. */
int burst(struct fixture *f, int n, int max);
/* The clock jumps to whatever is due until nothing is held. */
void drain(struct fixture *f);
/* MANY packets, a burst each microsecond, and all that is held. */
void run(struct fixture *f);

const struct wire_fault_stats *stats(struct fixture *f);
/* What went in came out, or was counted; nothing may be held. */
void assert_balanced(struct fixture *f);
bool in_order(const struct fixture *f);
/* n of tries is that percentage, within five standard deviations. */
void assert_rate(uint64_t n, uint64_t tries, double percent);

#endif
