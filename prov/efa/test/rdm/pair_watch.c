/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pair_watch.c - what may follow what in a conversation of two endpoints
 *
 * Packets are seen in the order in which they are posted. What is checked:
 * numbers of messages without holes, slices without overlap, grants and what is
 * sent against them, answers to what was asked, ids that were given before, who
 * a packet says it is from, and that it is sent to one who understands it.
 */
#include "pair_watch.h"

#include <stdlib.h>
#include <string.h>

#include "dev/dev_record.h"
#include "pair.h"

/* A request, and what of it has been sent. */
struct said {
	struct dev_addr from, to;
	struct watched pkt; /* its first packet */
	uint64_t bytes; /* slices: how many bytes */
	uint32_t nslices;
	struct slice {
		uint64_t offset, len;
	} * slice;
	/* Bytes behind the first packet: who sends them, by which ids. */
	bool flows;
	bool back; /* from `to` to `from`: a read */
	uint32_t grant_id; /* in CTS */
	uint32_t data_id; /* in CTSDATA */
	uint64_t sent, window;
	uint64_t last_grant;
	bool nacked;
};

static struct said *all;
static size_t nall, room;

struct end {
	uint32_t qkey;
	bool told; /* its HANDSHAKE was posted */
	uint64_t features;
};

static struct end ends[64];
static size_t nends;
static uint32_t posted[256];
static bool seen[256]; /* of all pairs */

/* ---- who ----------------------------------------------------------------- */

static struct end *end_of(const struct dev_addr *addr)
{
	for (size_t i = 0; i < nends; i++)
		if (ends[i].qkey == addr->qkey)
			return &ends[i];
	assert_true(nends < sizeof(ends) / sizeof(ends[0]));
	ends[nends] = (struct end){ .qkey = addr->qkey };
	return &ends[nends++];
}

static bool same(const struct dev_addr *a, const struct dev_addr *b)
{
	return a->qkey == b->qkey && a->qpn == b->qpn;
}

static void check_identity(const struct watched *w, const struct dev_addr *from)
{
	uint8_t raw[32] = { 0 };

	if (w->has_connid || w->has_raw)
		assert_int_equal(w->connid, from->qkey);
	if (w->type < 64)
		assert_true(w->has_connid);
	if (!w->has_raw)
		return;
	memcpy(raw, from->gid, 16);
	raw[16] = from->qpn & 0xff;
	raw[17] = (from->qpn >> 8) & 0xff;
	for (int i = 0; i < 4; i++)
		raw[20 + i] = from->qkey >> 8 * i & 0xff;
	assert_memory_equal(w->raw, raw, sizeof(raw));
}

/* What the receiver has to have said that it understands. */
static void check_features(const struct watched *w, const struct dev_addr *to)
{
	static const struct {
		uint8_t type, bit;
	} needs[] = {
		{ 128, 0 }, { 129, 0 }, { 130, 0 }, { 145, 0 }, { 146, 0 },
		{ 145, 4 }, { 146, 4 }, { 11, 6 },  { 12, 9 },
	};
	const struct end *end = end_of(to);

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (needs[i].type != w->type)
			continue;
		assert_true(end->told);
		if (!(end->features >> needs[i].bit & 1))
			fail_msg("%s to one without feature %u",
				 watch_layout(w->type)->name, needs[i].bit);
	}
	if (w->type == 4) /* only once hands were shaken */
		assert_true(end->told);
}

/* ---- what was asked --------------------------------------------------------- */

static struct said *find(const struct dev_addr *from, const struct dev_addr *to,
			 bool (*fits)(const struct said *s, uint32_t id),
			 uint32_t id)
{
	for (size_t i = nall; i-- > 0;)
		if (same(&all[i].from, from) && same(&all[i].to, to) &&
		    fits(&all[i], id))
			return &all[i];
	return NULL;
}

static enum watch_family family(const struct said *s)
{
	return watch_layout(s->pkt.type)->family;
}

static bool is_number(const struct said *s, uint32_t id)
{
	return (family(s) == WATCH_MESSAGE || family(s) == WATCH_ATOMIC) &&
	       s->pkt.msg_id == id;
}

static bool is_skipped(const struct said *s, uint32_t id)
{
	return s->pkt.type == 12 && s->pkt.send_id == id;
}

static bool is_read_by_peer(const struct said *s, uint32_t id)
{
	return watch_layout(s->pkt.type)->read && s->pkt.send_id == id;
}

static bool wants_receipt(const struct said *s, uint32_t id)
{
	return watch_layout(s->pkt.type)->dc && s->pkt.send_id == id;
}

static bool is_read(const struct said *s, uint32_t id)
{
	return family(s) == WATCH_READ && s->pkt.recv_id == id;
}

static bool is_fetched(const struct said *s, uint32_t id)
{
	return family(s) == WATCH_ATOMIC && s->pkt.recv_id == id;
}

static bool grants_forth(const struct said *s, uint32_t id)
{
	return s->flows && !s->back && s->grant_id == id;
}

static bool grants_back(const struct said *s, uint32_t id)
{
	return s->flows && s->back && s->grant_id == id;
}

static bool flows_forth(const struct said *s, uint32_t id)
{
	return s->flows && !s->back && s->data_id == id && s->window;
}

static bool flows_back(const struct said *s, uint32_t id)
{
	return s->flows && s->back && s->data_id == id && s->window;
}

static uint64_t sum(uint32_t n, bool remote, const struct watched *w)
{
	uint64_t len = 0;

	for (uint32_t i = 0; i < n; i++)
		len += remote ? w->rma[i].len : w->read[i].len;
	return len;
}

static struct said *say(const struct dev_record_wr *wr, const struct watched *w)
{
	if (nall == room) {
		room = 2 * room + 64;
		all = realloc(all, room * sizeof(*all));
		assert_non_null(all);
	}
	all[nall] = (struct said){
		.from = wr->from->addr,
		.to = wr->to,
		.pkt = *w,
	};
	return &all[nall++];
}

/* ---- requests --------------------------------------------------------------- */

static void check_slice(struct said *s, const struct watched *w)
{
	bool runt = watch_layout(w->type)->read;
	uint64_t end = runt ? w->seg_length : w->total;

	assert_true(w->offset <= end && w->payload <= end - w->offset);
	assert_int_equal(w->offset % 8, 0);
	assert_int_equal(w->total, s->pkt.total);
	assert_int_equal(w->tag, s->pkt.tag);
	for (uint32_t i = 0; i < s->nslices; i++)
		assert_true(w->offset >= s->slice[i].offset + s->slice[i].len ||
			    w->offset + w->payload <= s->slice[i].offset);
	s->slice = realloc(s->slice, (s->nslices + 1) * sizeof(*s->slice));
	assert_non_null(s->slice);
	s->slice[s->nslices++] = (struct slice){ w->offset, w->payload };
	s->bytes += w->payload;
}

static void start_flow(struct said *s, uint64_t sent)
{
	s->flows = true;
	s->grant_id = s->pkt.send_id;
	s->sent = sent;
}

/* What has a number has the next one. */
static struct said *say_next(const struct dev_record_wr *wr,
			     const struct watched *w)
{
	if (find(&wr->from->addr, &wr->to, is_number, w->msg_id))
		fail_msg("number %u is used twice", w->msg_id);
	if (w->msg_id &&
	    !find(&wr->from->addr, &wr->to, is_skipped, w->msg_id - 1))
		assert_non_null(find(&wr->from->addr, &wr->to, is_number,
				     w->msg_id - 1));
	return say(wr, w);
}

static void see_atomic(const struct dev_record_wr *wr, const struct watched *w)
{
	uint64_t len = sum(w->n, true, w);

	assert_int_equal(w->payload, w->type == 76 ? 2 * len : len);
	say_next(wr, w);
}

/* The next message has the next number; further packets come of slices. */
static void see_message(const struct dev_record_wr *wr, const struct watched *w)
{
	const struct watch_layout *l = watch_layout(w->type);
	struct said *s = find(&wr->from->addr, &wr->to, is_number, w->msg_id);

	if (w->flags & 0x2000) {
		assert_true(s && s->nacked && l->cts && !w->payload);
		assert_int_equal(w->total, s->pkt.total);
		s->pkt.type = w->type;
		s->pkt.send_id = w->send_id;
		start_flow(s, s->bytes);
		return;
	}
	if (s && l->sliced) {
		assert_int_equal(w->type, s->pkt.type);
		check_slice(s, w);
		return;
	}
	s = say_next(wr, w);
	if (l->sliced)
		check_slice(s, w);
	if (l->cts) {
		assert_true(w->payload <= w->total);
		start_flow(s, w->payload);
	}
	if (l->read)
		assert_int_equal(sum(w->k, false, w), w->total);
	if (l->read && !l->sliced)
		assert_int_equal(w->payload, 0);
}

static void see_write(const struct dev_record_wr *wr, const struct watched *w)
{
	const struct watch_layout *l = watch_layout(w->type);
	struct said *s;

	if (!w->n) { /* asks for a HANDSHAKE */
		assert_int_equal(w->type, 70);
		assert_int_equal(w->payload, 0);
		return;
	}
	if (l->cts || l->read)
		assert_int_equal(sum(w->n, true, w), w->total);
	else
		assert_int_equal(sum(w->n, true, w), w->payload);
	s = say(wr, w);
	if (l->cts) {
		assert_true(w->payload < w->total);
		start_flow(s, w->payload);
	}
	if (l->read) {
		assert_int_equal(sum(w->k, false, w), w->total);
		assert_int_equal(w->payload, 0);
	}
}

static void see_read(const struct dev_record_wr *wr, const struct watched *w)
{
	struct said *s = say(wr, w);

	assert_int_equal(sum(w->n, true, w), w->total);
	assert_int_equal(w->payload, 0);
	if (w->type == 72) {
		assert_true(w->total < PAIR_MTU - 24);
		assert_int_equal(w->credit, w->total);
	}
	assert_true(w->credit <= w->total && (w->credit || !w->total));
	s->window = w->credit;
	s->data_id = w->recv_id;
}

/* ---- answers ---------------------------------------------------------------- */

static void see_cts(const struct dev_record_wr *wr, const struct watched *w)
{
	struct said *s =
		find(&wr->to, &wr->from->addr, grants_forth, w->send_id);

	if (!s)
		s = find(&wr->from->addr, &wr->to, grants_back, w->send_id);
	if (!s)
		fail_msg("CTS for %x, which nobody announced", w->send_id);
	assert_int_equal(!!(w->flags & 0x80), s->back);
	assert_true(w->window);
	if (s->window) /* said once more, as it got lost */
		assert_true(s->window == s->last_grant &&
			    w->window == s->last_grant);
	assert_true(w->window <= s->pkt.total - s->sent);
	if (s->back)
		assert_int_equal(w->recv_id, s->data_id);
	s->data_id = w->recv_id;
	s->window = w->window;
	s->last_grant = w->window;
}

static void see_ctsdata(const struct dev_record_wr *wr, const struct watched *w)
{
	struct said *s =
		find(&wr->from->addr, &wr->to, flows_forth, w->recv_id);

	if (!s)
		s = find(&wr->to, &wr->from->addr, flows_back, w->recv_id);
	if (!s)
		fail_msg("CTSDATA for %x without leave", w->recv_id);
	assert_int_equal(w->seg_length, w->payload);
	assert_true(w->payload && w->payload <= s->window);
	assert_int_equal(w->offset, s->sent);
	s->sent += w->payload;
	s->window -= w->payload;
}

static void see_readrsp(const struct dev_record_wr *wr, const struct watched *w)
{
	struct said *s = find(&wr->to, &wr->from->addr, is_read, w->recv_id);

	assert_non_null(s);
	assert_int_equal(w->seg_length, w->payload);
	if (s->flows && w->send_id == s->grant_id) /* once more: it got lost */
		return;
	assert_false(s->flows);
	assert_true(w->payload <= PAIR_MTU - 24 && w->payload <= s->window);
	if (s->pkt.type == 72)
		assert_int_equal(w->payload, s->pkt.total);
	s->flows = s->back = true;
	s->grant_id = w->send_id;
	s->sent = w->payload;
	s->window -= w->payload;
}

static void see_answer(const struct dev_record_wr *wr, const struct watched *w)
{
	struct said *s;

	switch (w->type) {
	case 3:
		see_cts(wr, w);
		break;
	case 4:
		see_ctsdata(wr, w);
		break;
	case 5:
		see_readrsp(wr, w);
		break;
	case 7:
	case 11:
		s = find(&wr->to, &wr->from->addr, is_read_by_peer, w->send_id);
		assert_non_null(s);
		s->nacked |= w->type == 11;
		break;
	case 8:
		s = find(&wr->to, &wr->from->addr, is_fetched, w->recv_id);
		assert_non_null(s);
		assert_int_equal(w->seg_length, w->payload);
		assert_int_equal(w->payload, sum(s->pkt.n, true, &s->pkt));
		break;
	case 9:
		*end_of(&wr->from->addr) =
			(struct end){ wr->from->addr.qkey, true, w->features };
		break;
	case 10:
		s = find(&wr->to, &wr->from->addr, wants_receipt, w->send_id);
		assert_non_null(s);
		if (family(s) != WATCH_WRITE)
			assert_int_equal(w->msg_id, s->pkt.msg_id);
		break;
	case 12:
		assert_true(w->kind <= 2);
		if (w->kind == 2)
			say(wr, w);
		break;
	}
}

/* ---- the door ----------------------------------------------------------------- */

static void see(const struct dev_record_wr *wr)
{
	struct watched w;

	if (wr->op != DEV_SEND || wr->from->type != DEV_QP_RDM)
		return;
	assert_true(wr->len <= PAIR_MTU);
	watch_decode(wr->data, wr->len, &w);
	posted[w.type]++;
	seen[w.type] = true;
	check_identity(&w, &wr->from->addr);
	check_features(&w, &wr->to);
	switch (watch_layout(w.type)->family) {
	case WATCH_NONE:
		break;
	case WATCH_CONTROL:
		see_answer(wr, &w);
		break;
	case WATCH_MESSAGE:
		see_message(wr, &w);
		break;
	case WATCH_WRITE:
		see_write(wr, &w);
		break;
	case WATCH_READ:
		see_read(wr, &w);
		break;
	case WATCH_ATOMIC:
		see_atomic(wr, &w);
		break;
	}
}

uint32_t pair_posted(uint8_t type)
{
	return posted[type];
}

void pair_watch_seen_all(void)
{
	for (int type = 0; type < 256; type++)
		if (watch_layout((uint8_t)type) && !seen[type])
			fail_msg("no %s was posted",
				 watch_layout((uint8_t)type)->name);
}

void pair_watch_start(void)
{
	memset(posted, 0, sizeof(posted));
	nends = 0;
	dev_record_watch(see);
}

void pair_watch_stop(void)
{
	dev_record_watch(NULL);
	for (size_t i = 0; i < nall; i++)
		free(all[i].slice);
	free(all);
	all = NULL;
	nall = room = 0;
}
