/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_fault.h - door of the fault injector: a bad network on request
 *
 * Packets on their way out pass through it; it drops, doubles, changes, delays
 * and reorders some, by a seeded generator, so a run can be repeated. It is
 * pure: no socket, no clock. Delayed packets are copies of its own.
 *
 *   packets that leave --> filter --> packets for the wire, now
 *                             |
 *                             +--> held, until due --> with a later call
 *
 * How to drive it
 *   parse the user's text; open; filter for every burst (also of none, when
 *   wire_fault_due has come); close.
 */
#ifndef WIRE_FAULT_H
#define WIRE_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire_pkt.h"

/* What goes by some paths, for some time. */
struct wire_fault_when {
	uint64_t paths; /* bit i: path i */
	uint64_t from, until; /* ns since open; 0, 0: always */
};

/* Probabilities are of a packet, in units of 1 / 2^32. */
struct wire_fault_config {
	uint32_t loss;
	uint32_t burst; /* that a burst of losses begins, */
	uint32_t burst_len; /* packets it lasts, on average; 0: 8 */
	uint32_t reorder; /* held back for up to reorder_ns */
	uint32_t duplicate;
	uint32_t corrupt; /* one to four bits are flipped */
	uint64_t reorder_ns; /* 0: 200 us */
	uint64_t delay_ns; /* of every packet */
	uint64_t jitter_ns; /* more, up to this, evenly spread */
	struct wire_fault_when black; /* loses all */
	struct wire_fault_when slow; /* is late by slow_ns more */
	uint64_t slow_ns;
	uint64_t seed; /* 0: drawn and logged */
};

/*
 * Reads "loss=1%,burst=0.1%:16,reorder=10%:300us,dup=1%,corrupt=0.5%,
 * delay=20us:5us,black=0+3@2s-5s,slow=1:5ms@2s-5s,seed=7"; any subset, in any order. Errors:
 * -EINVAL; `why` then names the word that is wrong and what is right there.
 */
int wire_fault_parse(const char *text, struct wire_fault_config *config,
		     char *why, size_t why_len);

struct wire_fault;

int wire_fault_open(const struct wire_fault_config *config, uint64_t now,
		    struct wire_fault **out);
void wire_fault_close(struct wire_fault *f);

/*
 * Takes n packets and writes those that are to leave, up to max >= n + 1, to
 * out. Packets in `out` point to the caller's bytes or to copies that live
 * until the next call. What does not fit max stays held.
 */
int wire_fault_filter(struct wire_fault *f, const struct wire_out *in, int n,
		      struct wire_out *out, int max, uint64_t now);

/* When a held packet is due; UINT64_MAX: none is held. */
uint64_t wire_fault_due(const struct wire_fault *f);

struct wire_fault_stats {
	uint64_t packets, lost, black, reordered, duplicated, corrupted;
	uint64_t overflow; /* lost because too many were held */
};

const struct wire_fault_stats *wire_fault_stats(const struct wire_fault *f);

#endif
