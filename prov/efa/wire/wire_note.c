/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_note.c - notes of a packet wire that wait to be fetched
 */
#include "wire/wire_note.h"

#include <string.h>

#include "util/u_base.h"

bool wire_note_add(struct wire_note_list *l, const struct wire_note *note)
{
	struct wire_note *old;

	for (uint32_t i = 0; i < l->n; i++) {
		old = &l->note[i];
		if (old->kind != note->kind || old->qpn != note->qpn ||
		    memcmp(old->gid, note->gid, sizeof(note->gid)))
			continue;
		*old = *note;
		return false;
	}
	if (l->n == WIRE_NOTES)
		return false;
	l->note[l->n++] = *note;
	return true;
}

int wire_note_take(struct wire_note_list *l, struct wire_note *note, int max)
{
	uint32_t n = (uint32_t)u_min(l->n, (size_t)max);

	assert(max > 0);
	memcpy(note, l->note, n * sizeof(*note));
	l->n -= n;
	memmove(l->note, l->note + n, l->n * sizeof(*note));
	return (int)n;
}
