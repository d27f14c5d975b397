/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_note.h - notes of a packet wire that wait to be fetched
 */
#ifndef WIRE_NOTE_H
#define WIRE_NOTE_H

#include "wire/wire_port.h"

#define WIRE_NOTES 64 /* that wait; more are forgotten */

struct wire_note_list {
	uint32_t n;
	struct wire_note note[WIRE_NOTES]; /* oldest first */
};

/* The same told twice is one note, the later one. True: there is one more. */
bool wire_note_add(struct wire_note_list *l, const struct wire_note *note);

/* Up to max > 0, the oldest first; returns how many. */
int wire_note_take(struct wire_note_list *l, struct wire_note *note, int max);

#endif
