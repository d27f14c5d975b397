/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_poll.c - queues are read, in the format that each of them has
 */
#include "random.h"

#include <string.h>

#define BATCH 8
#define SLEEP_EVERY 997u /* turns */

union rnd_entries {
	struct fi_cq_entry context[BATCH];
	struct fi_cq_msg_entry msg[BATCH];
	struct fi_cq_data_entry data[BATCH];
	struct fi_cq_tagged_entry tagged[BATCH];
};

static void convert(struct rnd_cq *cq, const union rnd_entries *from, size_t i,
		    struct rnd_entry *to)
{
	*to = (struct rnd_entry){ .from = RND_ANY, .cq = cq };
	switch (cq->format) {
	case FI_CQ_FORMAT_TAGGED:
		to->op = from->tagged[i].op_context;
		to->tag = from->tagged[i].tag;
		to->data = from->tagged[i].data;
		to->buf = from->tagged[i].buf;
		to->len = from->tagged[i].len;
		to->flags = from->tagged[i].flags;
		to->has_tag = to->has_data = to->has_buf = true;
		to->has_len = to->has_flags = true;
		return;
	case FI_CQ_FORMAT_DATA:
		to->op = from->data[i].op_context;
		to->data = from->data[i].data;
		to->buf = from->data[i].buf;
		to->len = from->data[i].len;
		to->flags = from->data[i].flags;
		to->has_data = to->has_buf = true;
		to->has_len = to->has_flags = true;
		return;
	case FI_CQ_FORMAT_MSG:
		to->op = from->msg[i].op_context;
		to->len = from->msg[i].len;
		to->flags = from->msg[i].flags;
		to->has_len = to->has_flags = true;
		return;
	case FI_CQ_FORMAT_CONTEXT:
	case FI_CQ_FORMAT_UNSPEC:
		break;
	}
	to->op = from->context[i].op_context;
}

static void read_error(struct rnd *w, struct rnd_cq *cq)
{
	struct fi_cq_err_entry error = { 0 };
	struct rnd_entry entry;
	ssize_t n;

	rnd_unlock(w);
	n = fi_cq_readerr(cq->fid, &error, 0);
	rnd_lock(w);
	if (n != 1)
		rnd_fail(w, "fi_cq_readerr: %d", (int)n);
	if (!error.err)
		rnd_fail(w, "an error entry without an error");
	entry = (struct rnd_entry){
		.op = error.op_context,
		.cq = cq,
		.flags = error.flags,
		.data = error.data,
		.tag = error.tag,
		.len = error.len,
		.olen = error.olen,
		.buf = error.buf,
		.from = RND_ANY,
		.err = error.err,
		.prov_errno = error.prov_errno,
		.has_flags = true,
		.has_len = true,
		.has_buf = true,
		.has_data = true,
		.has_tag = true,
		.text = fi_cq_strerror(cq->fid, error.prov_errno,
				       error.err_data, NULL, 0),
	};
	w->count[RND_N_ERRORS]++;
	rnd_done(w, &entry);
}

bool rnd_read(struct rnd *w, struct rnd_cq *cq, int ms)
{
	union rnd_entries entries;
	fi_addr_t src[BATCH];
	struct rnd_entry entry;
	ssize_t n;

	memset(src, 0xff, sizeof(src));
	rnd_unlock(w);
	if (ms)
		n = fi_cq_sreadfrom(cq->fid, &entries, BATCH, src, NULL, ms);
	else
		n = fi_cq_readfrom(cq->fid, &entries, BATCH, src);
	rnd_lock(w);
	if (n == -FI_EAVAIL) {
		read_error(w, cq);
		return true;
	}
	if (n < 0 && n != -FI_EAGAIN)
		rnd_fail(w, "fi_cq_readfrom: %s", fi_strerror((int)-n));
	for (ssize_t i = 0; i < n; i++) {
		convert(cq, &entries, (size_t)i, &entry);
		if (entry.op)
			entry.from = rnd_ep_of_addr(entry.op->ep, src[i]);
		w->count[RND_N_ENTRIES]++;
		rnd_done(w, &entry);
	}
	return n > 0;
}

/* Requests of peers that were refused. */
static void read_eq(struct rnd_ep *e)
{
	struct fi_eq_err_entry error = { 0 };
	char text[256];
	uint32_t event;

	if (!e->eq ||
	    fi_eq_read(e->eq, &event, text, sizeof(text), 0) != -FI_EAVAIL)
		return;
	if (fi_eq_readerr(e->eq, &error, 0) < 0)
		rnd_fail(e->w, "fi_eq_readerr");
	if (error.fid != &e->fid->fid)
		rnd_fail(e->w, "an event of another endpoint");
}

static bool read_all(struct rnd *w, struct rnd_cq *cq)
{
	bool any = false;

	while (cq->users &&
	       rnd_read(w, cq, cq->sleeps && w->turns % SLEEP_EVERY == 0))
		any = true;
	return any;
}

/* By one thread at a time, which knows then what has come. */
static bool claim(struct rnd_cq *cq)
{
	bool free = !cq->reading;

	cq->reading = true;
	return free;
}

static void drive_only(struct rnd_ep *e)
{
	struct fid_cntr *cntr = e->cntr[e->w->turns % rnd_cntrs(e->w)].fid;

	rnd_unlock(e->w);
	(void)fi_cntr_read(cntr);
	rnd_lock(e->w);
}

static bool drive_ep(struct rnd_ep *e)
{
	bool rx = claim(e->rx), tx = claim(e->tx);
	bool due = rx && rnd_match_due(e);
	bool any = false;

	if (tx) {
		any = read_all(e->w, e->tx);
		e->tx->reading = false;
	}
	if (rx) {
		any |= read_all(e->w, e->rx);
		e->rx->reading = false;
	}
	if (due)
		rnd_match_not_due(e);
	if (e->w->turns % 16 == 0)
		read_eq(e);
	if (e->w->turns % 16 == 0 || !rx)
		drive_only(e);
	rnd_settle(e);
	return any;
}

void rnd_drive(struct rnd *w)
{
	bool any = false, open = false;

	rnd_rest(w);
	w->turns++;
	for (unsigned int i = 0; i < w->opt.endpoints; i++) {
		open |= w->ep[i].open;
		if (w->ep[i].open)
			any |= drive_ep(&w->ep[i]);
	}
	rnd_yield(w);
	rnd_probe(w);
	if (!any)
		rnd_sleep(w);
	/* Who has none left waits for the others. */
	rnd_idle(w, !any);
	if (!open)
		w->ft.idle_since = 0;
}
