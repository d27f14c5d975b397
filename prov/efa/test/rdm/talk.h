/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * talk.h - one long message from the first end of a pair to the second, for
 * tests of how it may travel and fail
 */
#ifndef TALK_H
#define TALK_H

#include "pair.h"

enum { TALK_LEN = 150000, TALK_RUNT = 20000 };

extern uint8_t talk_out[TALK_LEN], talk_in[TALK_LEN];

/* Devices that read at once, by completion, not at all; heads beside that. */
extern const struct pair_options talk_inlined, talk_completing, talk_copying;
extern const struct pair_options talk_runting, talk_runting_slow;

/* Hands are shaken, and the bytes ready. */
void talk_start(struct pair *p, const struct pair_options *o);
/* Nothing may be left. */
void talk_end(struct pair *p);
/* Delivers the next packet of one end, and lets the other see it. */
bool talk_step(struct pair_end *from, struct pair_end *to);
/* Both ends are done with a message of len bytes, and those are right. */
void talk_good(struct pair *p, size_t len);
/* Another message, to see that numbers go on. */
void talk_again(struct pair *p);

#endif
