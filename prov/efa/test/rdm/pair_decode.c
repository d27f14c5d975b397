/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pair_decode.c - the layouts of the packets, once more
 */
#include "pair_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Fields are a name, where it lies and how long it is; the last number is where
 * the fixed part ends. N and K stand for lists of that many 24-byte elements.
 */
static const struct watch_layout layouts[256] = {
	[3] = { "CTS", WATCH_CONTROL,
		"connid:4:4 send_id:8:4 recv_id:12:4 window:16:8 end:24",
		.flags = 0x8000 },
	[4] = { "CTSDATA", WATCH_CONTROL,
		"recv_id:4:4 seg_length:8:8 offset:16:8 end:24", .flags = 0 },
	[5] = { "READRSP", WATCH_CONTROL,
		"connid:4:4 recv_id:8:4 send_id:12:4 seg_length:16:8 end:24",
		.flags = 0x8000 },
	[7] = { "EOR", WATCH_CONTROL,
		"send_id:4:4 recv_id:8:4 connid:12:4 end:16", .flags = 0x8000 },
	[8] = { "ATOMRSP", WATCH_CONTROL,
		"connid:4:4 recv_id:12:4 seg_length:16:8 end:24",
		.flags = 0x8000 },
	[9] = { "HANDSHAKE", WATCH_CONTROL, "words:4:4 end:8",
		.flags = 0x8002 },
	[10] = { "RECEIPT", WATCH_CONTROL,
		 "send_id:4:4 msg_id:8:4 connid:12:4 end:16", .flags = 0x8000 },
	[11] = { "READ_NACK", WATCH_CONTROL,
		 "send_id:4:4 recv_id:8:4 connid:12:4 end:16",
		 .flags = 0x8000 },
	[12] = { "PEER_ERROR", WATCH_CONTROL,
		 "send_id:4:4 kind:8:4 error:12:4 connid:16:4 end:20",
		 .flags = 0x8000 },
	[64] = { "EAGER_MSGRTM", WATCH_MESSAGE, "msg_id:4:4 end:8",
		 .flags = 4 },
	[65] = { "EAGER_TAGRTM", WATCH_MESSAGE, "msg_id:4:4 tag:8:8 end:16",
		 .flags = 12 },
	[66] = { "MEDIUM_MSGRTM", WATCH_MESSAGE,
		 "msg_id:4:4 total:8:8 offset:16:8 end:24", 4, .sliced = true },
	[67] = { "MEDIUM_TAGRTM", WATCH_MESSAGE,
		 "msg_id:4:4 total:8:8 offset:16:8 tag:24:8 end:32", 12,
		 .sliced = true },
	[68] = { "LONGCTS_MSGRTM", WATCH_MESSAGE,
		 "msg_id:4:4 total:8:8 send_id:16:4 credit:20:4 end:24", 4,
		 .cts = true },
	[69] = { "LONGCTS_TAGRTM", WATCH_MESSAGE,
		 "msg_id:4:4 total:8:8 send_id:16:4 credit:20:4 tag:24:8 end:32",
		 12, .cts = true },
	[70] = { "EAGER_RTW", WATCH_WRITE, "n:4:4 end:8 N", .flags = 0 },
	[71] = { "LONGCTS_RTW", WATCH_WRITE,
		 "n:4:4 total:8:8 send_id:16:4 credit:20:4 end:24 N", 0,
		 .cts = true },
	[72] = { "SHORT_RTR", WATCH_READ,
		 "n:4:4 total:8:8 recv_id:16:4 credit:20:4 end:24 N",
		 .flags = 0 },
	[73] = { "LONGCTS_RTR", WATCH_READ,
		 "n:4:4 total:8:8 recv_id:16:4 credit:20:4 end:24 N",
		 .flags = 0 },
	[74] = { "WRITE_RTA", WATCH_ATOMIC,
		 "msg_id:4:4 n:8:4 type:12:4 op:16:4 zero:20:4 end:24 N",
		 .flags = 0x20 },
	[75] = { "FETCH_RTA", WATCH_ATOMIC,
		 "msg_id:4:4 n:8:4 type:12:4 op:16:4 recv_id:20:4 end:24 N",
		 .flags = 0x20 },
	[76] = { "COMPARE_RTA", WATCH_ATOMIC,
		 "msg_id:4:4 n:8:4 type:12:4 op:16:4 recv_id:20:4 end:24 N",
		 .flags = 0x20 },
	[128] = { "LONGREAD_MSGRTM", WATCH_MESSAGE,
		  "msg_id:4:4 total:8:8 send_id:16:4 k:20:4 end:24 K", 4,
		  .read = true },
	[129] = { "LONGREAD_TAGRTM", WATCH_MESSAGE,
		  "msg_id:4:4 total:8:8 send_id:16:4 k:20:4 tag:24:8 end:32 K",
		  12, .read = true },
	[130] = { "LONGREAD_RTW", WATCH_WRITE,
		  "n:4:4 total:8:8 send_id:16:4 k:20:4 end:24 N K", 0,
		  .read = true },
	[133] = { "DC_EAGER_MSGRTM", WATCH_MESSAGE,
		  "msg_id:4:4 send_id:8:4 zero:12:4 end:16", 4, .dc = true },
	[134] = { "DC_EAGER_TAGRTM", WATCH_MESSAGE,
		  "msg_id:4:4 send_id:8:4 zero:12:4 tag:16:8 end:24", 12,
		  .dc = true },
	[135] = { "DC_MEDIUM_MSGRTM", WATCH_MESSAGE,
		  "msg_id:4:4 send_id:8:4 zero:12:4 total:16:8 offset:24:8 "
		  "end:32",
		  4, .sliced = true, .dc = true },
	[136] = { "DC_MEDIUM_TAGRTM", WATCH_MESSAGE,
		  "msg_id:4:4 send_id:8:4 zero:12:4 total:16:8 offset:24:8 "
		  "tag:32:8 end:40",
		  12, .sliced = true, .dc = true },
	[137] = { "DC_LONGCTS_MSGRTM", WATCH_MESSAGE,
		  "msg_id:4:4 total:8:8 send_id:16:4 credit:20:4 end:24", 4,
		  .cts = true, .dc = true },
	[138] = { "DC_LONGCTS_TAGRTM", WATCH_MESSAGE,
		  "msg_id:4:4 total:8:8 send_id:16:4 credit:20:4 tag:24:8 "
		  "end:32",
		  12, .cts = true, .dc = true },
	[139] = { "DC_EAGER_RTW", WATCH_WRITE,
		  "n:4:4 send_id:8:4 zero:12:4 end:16 N", 0, .dc = true },
	[140] = { "DC_LONGCTS_RTW", WATCH_WRITE,
		  "n:4:4 total:8:8 send_id:16:4 credit:20:4 end:24 N", 0,
		  .cts = true, .dc = true },
	[141] = { "DC_WRITE_RTA", WATCH_ATOMIC,
		  "msg_id:4:4 n:8:4 type:12:4 op:16:4 send_id:20:4 end:24 N",
		  0x20, .dc = true },
	[145] = { "RUNTREAD_MSGRTM", WATCH_MESSAGE,
		  "msg_id:4:4 total:8:8 send_id:16:4 k:20:4 offset:24:8 "
		  "runt:32:8 end:40 K",
		  4, .sliced = true, .read = true },
	[146] = { "RUNTREAD_TAGRTM", WATCH_MESSAGE,
		  "msg_id:4:4 total:8:8 send_id:16:4 k:20:4 offset:24:8 "
		  "runt:32:8 tag:40:8 end:48 K",
		  12, .sliced = true, .read = true },
};

const struct watch_layout *watch_layout(uint8_t type)
{
	return layouts[type].family ? &layouts[type] : NULL;
}

/* The bytes of a packet, taken from the front. */
struct bytes {
	const uint8_t *p;
	uint64_t left;
};

static uint64_t number(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

static uint64_t next(struct bytes *b, int bytes)
{
	uint64_t v;

	if (b->left < (uint64_t)bytes)
		fail_msg("a packet ends too early");
	v = number(b->p, bytes);
	b->p += bytes;
	b->left -= (uint64_t)bytes;
	return v;
}

/* ---- the fixed part ------------------------------------------------------ */

/* Where a field of that name is put; others are only looked at. */
static const struct place {
	const char *name;
	size_t at;
	bool wide;
} places[] = {
	{ "msg_id", offsetof(struct watched, msg_id), false },
	{ "send_id", offsetof(struct watched, send_id), false },
	{ "recv_id", offsetof(struct watched, recv_id), false },
	{ "credit", offsetof(struct watched, credit), false },
	{ "kind", offsetof(struct watched, kind), false },
	{ "error", offsetof(struct watched, error), false },
	{ "connid", offsetof(struct watched, connid), false },
	{ "n", offsetof(struct watched, n), false },
	{ "k", offsetof(struct watched, k), false },
	{ "tag", offsetof(struct watched, tag), true },
	{ "total", offsetof(struct watched, total), true },
	{ "offset", offsetof(struct watched, offset), true },
	{ "runt", offsetof(struct watched, seg_length), true },
	{ "seg_length", offsetof(struct watched, seg_length), true },
	{ "window", offsetof(struct watched, window), true },
};

/* The text of a layout, which is read once. */
static struct fields {
	struct {
		const struct place *place; /* or NULL */
		unsigned int at, size;
		bool zero;
	} field[8];
	uint32_t n;
	unsigned int end; /* where the fixed part ends; 0: not read yet */
	bool rma, read; /* lists follow */
} all_fields[256];

static const struct place *place_of(const char *name)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!strcmp(places[i].name, name))
			return &places[i];
	return NULL;
}

static void read_fields(struct fields *f, const struct watch_layout *l)
{
	const char *text = l->fields;
	unsigned int at, size;
	char name[16];
	int used = 0;

	while (sscanf(text, " end:%u%n", &f->end, &used) != 1) {
		if (sscanf(text, " %15[a-z_]:%u:%u%n", name, &at, &size,
			   &used) != 3 ||
		    f->n == sizeof(f->field) / sizeof(f->field[0]))
			fail_msg("layout of %s: %s", l->name, text);
		f->field[f->n].place = place_of(name);
		f->field[f->n].at = at;
		f->field[f->n].size = size;
		f->field[f->n++].zero = !strcmp(name, "zero");
		text += used;
	}
	for (uint32_t i = 0; i < f->n; i++)
		if (f->field[i].at + f->field[i].size > f->end)
			fail_msg("layout of %s: its end", l->name);
	f->rma = strchr(text + used, 'N');
	f->read = strchr(text + used, 'K');
}

static void set_field(struct watched *w, const struct place *place, uint64_t v)
{
	if (place->wide)
		*(uint64_t *)((char *)w + place->at) = v;
	else
		*(uint32_t *)((char *)w + place->at) = (uint32_t)v;
	if (place->at == offsetof(struct watched, connid))
		w->has_connid = true;
}

static void fixed(const uint8_t *p, struct bytes *b, const struct fields *f,
		  struct watched *w)
{
	if (b->left < f->end)
		fail_msg("type %u is too short", w->type);
	for (uint32_t i = 0; i < f->n; i++) {
		uint64_t v = number(p + f->field[i].at, (int)f->field[i].size);

		if (f->field[i].zero && v)
			fail_msg("a field that is zero holds %lx",
				 (unsigned long)v);
		if (f->field[i].place)
			set_field(w, f->field[i].place, v);
	}
	b->p += f->end;
	b->left -= f->end;
}

/* ---- what follows -------------------------------------------------------- */

static void handshake(const uint8_t *p, struct bytes *b, struct watched *w)
{
	uint64_t words = number(p + 4, 4) - 3;

	if (words < 1 || words > 4)
		fail_msg("HANDSHAKE with %lu words", (unsigned long)words);
	w->features = next(b, 8);
	while (--words)
		next(b, 8);
	w->connid = (uint32_t)next(b, 4);
	w->has_connid = true;
	assert_int_equal(next(b, 4), 0);
	if (w->flags & 1)
		next(b, 8);
	assert_in_range(next(b, 4), 0xefa0, 0xefa4);
	assert_int_equal(next(b, 4), 0);
	assert_int_equal(w->flags & 0xc, 0);
	assert_int_equal(b->left, 0);
}

static void optional(struct bytes *b, struct watched *w)
{
	if (w->flags & 1) {
		assert_int_equal(next(b, 4), 36);
		w->has_raw = true;
		for (int i = 0; i < 32; i++)
			w->raw[i] = (uint8_t)next(b, 1);
		assert_int_equal(next(b, 4), 0);
		assert_false(w->flags & 0x8000);
		w->connid = (uint32_t)number(w->raw + 20, 4);
	}
	if (w->flags & 2) {
		w->has_data = true;
		w->data = next(b, 8);
	}
	if (w->flags & 0x8000) {
		w->has_connid = true;
		w->connid = (uint32_t)next(b, 4);
	}
}

void watch_decode(const uint8_t *p, uint64_t len, struct watched *w)
{
	struct bytes b = { p, len };
	const struct watch_layout *l;
	struct fields *f;

	memset(w, 0, sizeof(*w));
	if (len < 4 || p[1] != 4)
		fail_msg("no packet of version 4");
	w->type = p[0];
	w->flags = (uint16_t)number(p + 2, 2);
	l = watch_layout(w->type);
	if (!l)
		fail_msg("type %u does not exist", w->type);
	if ((w->flags & l->flags) != l->flags)
		fail_msg("%s with flags %x", l->name, w->flags);
	f = &all_fields[w->type];
	if (!f->end)
		read_fields(f, l);
	fixed(p, &b, f, w);
	if (w->n > WATCH_IOVS || w->k > WATCH_IOVS)
		fail_msg("%s with too many elements", l->name);
	for (uint32_t i = 0; f->rma && i < w->n; i++) {
		w->rma[i].addr = next(&b, 8);
		w->rma[i].len = next(&b, 8);
		w->rma[i].key = next(&b, 8);
	}
	if (w->type == 9)
		handshake(p, &b, w);
	else if (w->type >= 64)
		optional(&b, w);
	else if (w->type == 4 && (w->flags & 0x8000)) {
		w->has_connid = true;
		w->connid = (uint32_t)next(&b, 4);
		assert_int_equal(next(&b, 4), 0);
	}
	for (uint32_t i = 0; f->read && i < w->k; i++) {
		w->read[i].addr = next(&b, 8);
		w->read[i].len = next(&b, 8);
		w->read[i].key = next(&b, 8);
	}
	w->payload = (uint32_t)b.left;
}
