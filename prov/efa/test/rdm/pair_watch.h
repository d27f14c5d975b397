/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pair_watch.h - a second reader of the protocol, for tests: takes apart every
 * packet that is posted and checks it against what was said before
 *
 * Written from the description of version 4 of the protocol, with tables of its
 * own: it shares no line with rdm_pkt.c, so that the two can only agree where
 * both are right. pair_decode.c knows the layouts, pair_watch.c what may follow
 * what.
 */
#ifndef PAIR_WATCH_H
#define PAIR_WATCH_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "dev/dev.h"

enum { WATCH_IOVS = 4 };

/* What a packet says; absent fields are 0. */
struct watched {
	uint8_t type;
	uint16_t flags;
	uint32_t msg_id, send_id, recv_id, credit, kind, error;
	uint64_t tag, total, offset, seg_length, window;
	uint32_t n, k;
	struct {
		uint64_t addr, len, key;
	} rma[WATCH_IOVS], read[WATCH_IOVS];
	bool has_raw, has_connid, has_data;
	uint8_t raw[32];
	uint32_t connid;
	uint64_t data;
	uint64_t features;
	uint32_t payload;
};

enum watch_family {
	WATCH_NONE, /* no packet has this number */
	WATCH_CONTROL,
	WATCH_MESSAGE,
	WATCH_WRITE,
	WATCH_READ,
	WATCH_ATOMIC,
};

struct watch_layout {
	const char *name;
	enum watch_family family;
	/* name:offset:size, in the order of the packet; {n} and {k} iovs. */
	const char *fields;
	uint16_t flags; /* that must be set */
	bool sliced, cts, read, dc; /* how the rest of it comes and ends */
};

/* NULL: no such packet. */
const struct watch_layout *watch_layout(uint8_t type);
/* Fails the test when the bytes are no packet of the protocol. */
void watch_decode(const uint8_t *bytes, uint64_t len, struct watched *w);

/* From here on every packet that is posted is checked. */
void pair_watch_start(void);
void pair_watch_stop(void);
/* Fails the test unless the program has posted a packet of each type. */
void pair_watch_seen_all(void);

#endif
