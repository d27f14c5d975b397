/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_oracle.h - knows what must not happen, and ends the program when it does
 *
 * Every message is checked byte by byte where it arrives:
 *
 * - once: each byte of a message is placed exactly once, no event comes twice,
 *   and nothing is placed after the completion;
 * - in bounds: what lies before and behind a piece stays as it was;
 * - no completion before delivery: an operation that ends well has all its
 *   bytes where they belong, and each operation ends once;
 * - drain to idle: with nothing left to do, all engines come to rest.
 *
 * Messages read from one pattern, each at a shift of its own, and all land on
 * the same memory: a piece is compared as soon as it was placed, so nobody
 * minds that the next one overwrites it. That the pieces make up the whole is
 * shown by a sum, to which a piece [a, b) adds h(b) - h(a) for a hash h: for
 * pieces that lie edge to edge from 0 to n all but h(n) - h(0) cancels out.
 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "sim_world.h"

/* The command line that repeats this run, for the last words. */
void sim_oracle_command(const char *line);

void sim_oracle_init(struct sim_world *w, uint64_t max_bytes);
void sim_oracle_fini(struct sim_world *w);

/* --- for endpoints --- */

void sim_oracle_start(struct sim_world *w, struct sim_flow *f);
/* Where the bytes of f come from; where they go, or READ: are. */
uint8_t *sim_oracle_source(const struct sim_world *w, const struct sim_flow *f);
uint64_t sim_oracle_remote(const struct sim_world *w, const struct sim_flow *f);
#define SIM_SEND_HEAD 16
/* The first bytes of a SEND, which tell its flow. */
void sim_oracle_head(const struct sim_flow *f, uint8_t head[SIM_SEND_HEAD]);

/* srd_may, ctx being an endpoint. */
bool sim_oracle_may(void *ctx, uint32_t key, uint32_t access, uint64_t addr,
		    uint64_t len);

/* A piece that may be about to be placed. */
struct sim_piece {
	struct sim_flow *flow; /* NULL: there is none in this packet */
	uint32_t offset, len;
	uint64_t before, after; /* what lies around it */
};

/* Around each srd_rx. */
void sim_oracle_before(struct sim_world *w, const struct sim_end *e,
		       const uint8_t *packet, uint32_t len,
		       struct sim_piece *piece);
void sim_oracle_after(struct sim_world *w, const struct sim_piece *piece);

void sim_oracle_event(struct sim_world *w, const struct sim_end *e,
		      const struct srd_event *event);
/* f ends with f->status. */
void sim_oracle_done(struct sim_world *w, struct sim_flow *f);

/* --- for scenarios --- */

/* Runs the world until all is done and at rest: drain to idle. */
void sim_oracle_end(struct sim_world *w);

void sim_oracle_broken(const struct sim_world *w, const struct sim_flow *f,
		       const char *what) __attribute__((noreturn));

#endif
