/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verify_rma.c - reads and writes of the other side's memory
 *
 * Each side registers its receive arena for the other. In a round one side
 * accesses (the client first, then the server), the other polls, as progress is
 * manual, and looks at its memory when it has been told that all is over.
 */
#include "verify.h"

#include <rdma/fi_rma.h>
#include <stdlib.h>
#include <string.h>

#define KEY 0x77u /* where the provider lets us choose */
#define DATA 0xfeedu
#define SETTLE_NS 2000000000u /* for a write that is with the peer's card */
#define CROWD 64u
#define CROWD_SIZE (256u << 10)
#define FENCED 8u /* writes before a fence */
#define TAG 0x5u
#define LIMIT_NS 10000000000u

struct window {
	uint64_t addr, key; /* of the peer's arena */
	struct fid_mr *mr; /* of ours; NULL: closed */
};

enum how {
	WRITE,
	READ,
	WRITE_DATA,
	INJECT,
	INJECT_DATA,
	WRITEV,
	READV,
	DELIVERY, /* writemsg with FI_DELIVERY_COMPLETE */
	HOWS,
};

static bool is_read(enum how how)
{
	return how == READ || how == READV;
}

static bool has_data(enum how how)
{
	return how == WRITE_DATA || how == INJECT_DATA;
}

static bool has_entry(enum how how)
{
	return how != INJECT && how != INJECT_DATA;
}

static void window_open(struct verify *v, struct window *w)
{
	int virt = v->ft.info->domain_attr->mr_mode & FI_MR_VIRT_ADDR;
	uint64_t mine[2], theirs[2];

	ft_check("fi_mr_reg", fi_mr_reg(v->ft.domain, v->rx.p, v->rx.size,
					FI_REMOTE_READ | FI_REMOTE_WRITE, 0,
					KEY, 0, &w->mr, NULL));
	mine[0] = virt ? (uintptr_t)v->rx.p : 0;
	mine[1] = fi_mr_key(w->mr);
	ft_oob_send(&v->ft, mine, sizeof(mine));
	ft_oob_recv(&v->ft, theirs, sizeof(theirs));
	w->addr = theirs[0];
	w->key = theirs[1];
}

static void window_close(struct verify *v, struct window *w)
{
	ft_sync(&v->ft);
	if (w->mr)
		ft_check("fi_close(mr)", fi_close(&w->mr->fid));
	w->mr = NULL;
	ft_sync(&v->ft);
}

/* ---- one access ---------------------------------------------------------------- */

/* Three pieces of unlike sizes, as far as the provider takes them. */
static size_t pieces(const struct verify *v, char *p, size_t len,
		     struct iovec iov[3], void *desc[3])
{
	size_t n = v->ft.info->tx_attr->iov_limit < 3 ? 1 : 3;

	iov[0] = (struct iovec){ p, n == 1 ? len : len / 7 };
	iov[1] = (struct iovec){ p + len / 7, len / 2 };
	iov[2] = (struct iovec){ p + len / 7 + len / 2,
				 len - len / 7 - len / 2 };
	for (size_t i = 0; i < n; i++)
		desc[i] = v->tx.desc;
	return n;
}

static ssize_t access_once(struct verify *v, const struct window *w,
			   enum how how, struct vf_op *op, size_t at,
			   size_t len)
{
	struct fid_ep *ep = v->ft.ep;
	fi_addr_t peer = v->ft.peer;
	uint64_t there = w->addr + at;
	char *p = v->tx.p + at;
	struct iovec iov[3];
	void *desc[3];

	switch (how) {
	case WRITE:
		return fi_write(ep, p, len, v->tx.desc, peer, there, w->key,
				op);
	case READ:
		return fi_read(ep, p, len, v->tx.desc, peer, there, w->key, op);
	case WRITE_DATA:
		return fi_writedata(ep, p, len, v->tx.desc, DATA, peer, there,
				    w->key, op);
	case INJECT:
		return fi_inject_write(ep, p, len, peer, there, w->key);
	case INJECT_DATA:
		return fi_inject_writedata(ep, p, len, DATA, peer, there,
					   w->key);
	case WRITEV:
		return fi_writev(ep, iov, desc, pieces(v, p, len, iov, desc),
				 peer, there, w->key, op);
	case READV:
		return fi_readv(ep, iov, desc, pieces(v, p, len, iov, desc),
				peer, there, w->key, op);
	case DELIVERY:
	case HOWS:
		break;
	}
	return vf_writemsg(v, op, at, len, w->addr + at, w->key,
			   vf_delivery(v));
}

static void post(struct verify *v, const struct window *w, enum how how,
		 struct vf_op *op, size_t at, size_t len)
{
	ssize_t ret;

	*op = (struct vf_op){ 0 };
	while ((ret = access_once(v, w, how, op, at, len)))
		vf_again(v, "RMA", ret);
	if (has_entry(how))
		return;
	memset(v->tx.p + at, 0x5a, len);
	op->done = true;
}

static void expect_entry(struct verify *v, const struct vf_op *op, enum how how)
{
	uint64_t kind = is_read(how) ? FI_READ : FI_WRITE;

	vf_expect(v, !op->err, "RMA: %s", fi_strerror(op->err));
	vf_expect(v, op->entries == has_entry(how), "%u entries", op->entries);
	if (has_entry(how))
		vf_expect(v, (op->flags & FI_RMA) && (op->flags & kind),
			  "flags %llx of RMA", (unsigned long long)op->flags);
}

/* ---- the side whose memory it is ------------------------------------------------- */

static void await_bytes(struct verify *v, size_t at, size_t len, uint64_t seed)
{
	uint64_t end = ft_now() + SETTLE_NS;

	while (pattern_check(v->rx.p + at, len, seed) != len && ft_now() < end)
		vf_poll(v);
	vf_expect_bytes(v, at, len, seed);
	vf_expect_guard(v, at, len, len);
}

static void expect_remote(struct verify *v, const struct vf_op *op, size_t len)
{
	vf_expect(v, op->entries == 1 && op->len == len && op->data == DATA,
		  "%u entries, %zu bytes of %zu, data %llx", op->entries,
		  op->len, len, (unsigned long long)op->data);
	vf_expect(v,
		  (op->flags & FI_REMOTE_CQ_DATA) && (op->flags & FI_RMA) &&
			  (op->flags & FI_REMOTE_WRITE),
		  "flags %llx of a remote write",
		  (unsigned long long)op->flags);
}

/* ---- a round --------------------------------------------------------------------- */

static void round_of(struct verify *v, const struct window *w, enum how how,
		     size_t len, bool active)
{
	uint64_t seed = v->serial++;
	struct vf_op op, remote = { 0 };

	if (is_read(how))
		pattern_fill(v->rx.p, len, seed);
	else
		vf_guard(v, 0, len);
	vf_fill(v, 0, len, is_read(how) ? ~seed : seed);
	v->remote = has_data(how) && !active ? &remote : NULL;
	ft_sync(&v->ft);
	if (active) {
		post(v, w, how, &op, 0, len);
		vf_wait(v, &op);
		expect_entry(v, &op, how);
		if (is_read(how))
			vf_expect(v, pattern_check(v->tx.p, len, seed) == len,
				  "a read of %zu bytes", len);
	} else if (has_data(how)) {
		vf_wait(v, &remote);
		expect_remote(v, &remote, len);
	}
	ft_sync(&v->ft);
	if (!active && !is_read(how))
		await_bytes(v, 0, len, seed);
	v->remote = NULL;
}

static void rounds(struct verify *v, enum how how, size_t max)
{
	struct window w;

	window_open(v, &w);
	for (int who = 0; who < 2; who++) {
		bool active = v->ft.client == (who == 0);

		for (size_t power = 1; power <= max; power *= 4) {
			round_of(v, &w, how, power - 1, active);
			round_of(v, &w, how, power, active);
		}
		for (size_t i = 0; i < 20; i++)
			round_of(v, &w, how, vf_random_size(v, max), active);
	}
	window_close(v, &w);
}

static void rma_write(struct verify *v)
{
	rounds(v, WRITE, v->ft.opt.max);
	rounds(v, DELIVERY, v->ft.opt.max);
}

static void rma_read(struct verify *v)
{
	rounds(v, READ, v->ft.opt.max);
}

static void rma_data(struct verify *v)
{
	rounds(v, WRITE_DATA, v->ft.opt.max);
	rounds(v, INJECT_DATA, v->ft.inject_size);
}

static void rma_inject(struct verify *v)
{
	rounds(v, INJECT, v->ft.inject_size);
}

static void rma_vectors(struct verify *v)
{
	rounds(v, WRITEV, 1u << 20);
	rounds(v, READV, 1u << 20);
}

/* ---- many at once, in both directions ---------------------------------------------- */

struct crowd {
	enum how how;
	size_t len;
	uint64_t seed;
	struct vf_op op;
};

/* Both sides draw the same, so each knows what the other does to it. */
static void draw(struct verify *v, struct crowd *c)
{
	static const enum how hows[] = { WRITE, READ, DELIVERY, READV, WRITEV };

	for (size_t i = 0; i < CROWD; i++) {
		c[i] = (struct crowd){
			.how = hows[vf_random_below(v, 5)],
			.len = vf_random_size(v, CROWD_SIZE - VF_GUARD),
			.seed = v->serial++,
		};
		if (is_read(c[i].how)) {
			pattern_fill(v->rx.p + i * CROWD_SIZE, c[i].len,
				     c[i].seed);
		} else {
			vf_guard(v, i * CROWD_SIZE, c[i].len);
			vf_fill(v, i * CROWD_SIZE, c[i].len, c[i].seed);
		}
	}
}

static void crowd_once(struct verify *v, const struct window *w,
		       struct crowd *c)
{
	draw(v, c);
	ft_sync(&v->ft);
	for (size_t i = 0; i < CROWD; i++)
		post(v, w, c[i].how, &c[i].op, i * CROWD_SIZE, c[i].len);
	for (size_t i = 0; i < CROWD; i++) {
		vf_wait(v, &c[i].op);
		expect_entry(v, &c[i].op, c[i].how);
	}
	ft_sync(&v->ft);
	for (size_t i = 0; i < CROWD; i++) {
		size_t at = i * CROWD_SIZE;

		if (is_read(c[i].how))
			vf_expect(v,
				  pattern_check(v->tx.p + at, c[i].len,
						c[i].seed) == c[i].len,
				  "a read of %zu bytes", c[i].len);
		else
			await_bytes(v, at, c[i].len, c[i].seed);
	}
	ft_sync(&v->ft);
}

static void rma_crowd(struct verify *v)
{
	struct crowd *c = ft_alloc(CROWD * sizeof(*c));
	struct window w;

	window_open(v, &w);
	for (int i = 0; i < 5; i++)
		crowd_once(v, &w, c);
	window_close(v, &w);
	free(c);
}

/* ---- a fence --------------------------------------------------------------------- */

static void send_fenced(struct verify *v, struct vf_op *op)
{
	struct iovec iov = { v->tx.p, 1 };
	struct fi_msg_tagged msg = { .msg_iov = &iov,
				     .desc = &v->tx.desc,
				     .iov_count = 1,
				     .addr = v->ft.peer,
				     .tag = TAG,
				     .context = op };
	ssize_t ret;

	*op = (struct vf_op){ 0 };
	while ((ret = fi_tsendmsg(v->ft.ep, &msg, FI_FENCE | FI_COMPLETION)))
		vf_again(v, "a fenced send", ret);
}

/* Who has got the message behind the fence has the writes before it too. */
static void fence_once(struct verify *v, const struct window *w, bool active)
{
	static const enum how hows[] = { WRITE, INJECT, DELIVERY, WRITEV };
	size_t len[FENCED];
	uint64_t seed[FENCED];
	struct vf_op op[FENCED + 1];

	for (size_t i = 0; i < FENCED; i++) {
		len[i] = vf_random_size(v, i & 1 ? v->ft.inject_size :
						   CROWD_SIZE - VF_GUARD);
		seed[i] = v->serial++;
		vf_guard(v, i * CROWD_SIZE, len[i]);
		vf_fill(v, i * CROWD_SIZE, len[i], seed[i]);
	}
	if (!active)
		vf_recv(v, &op[FENCED], v->ft.peer, FENCED * CROWD_SIZE, 1, TAG,
			0);
	ft_sync(&v->ft);
	for (size_t i = 0; i < FENCED && active; i++)
		post(v, w, hows[i % 4], &op[i], i * CROWD_SIZE, len[i]);
	if (active)
		send_fenced(v, &op[FENCED]);
	vf_wait(v, &op[FENCED]);
	for (size_t i = 0; i < FENCED && !active; i++)
		vf_expect_bytes(v, i * CROWD_SIZE, len[i], seed[i]);
	for (size_t i = 0; i < FENCED && active; i++)
		vf_wait(v, &op[i]);
	ft_sync(&v->ft);
}

static void rma_fence(struct verify *v)
{
	struct window w;

	window_open(v, &w);
	for (int i = 0; i < 100; i++)
		fence_once(v, &w, v->ft.client == (i & 1));
	window_close(v, &w);
}

/* ---- what may not be ------------------------------------------------------------------ */

static void refused(struct verify *v, const struct window *w, enum how how,
		    size_t at, size_t len)
{
	struct vf_op op;

	post(v, w, how, &op, at, len);
	vf_wait(v, &op);
	vf_expect(v, op.err && op.entries == 1,
		  "an access to what is not registered: %s",
		  fi_strerror(op.err));
}

/* Of keys with 64 bits either half may be the one that counts. */
static uint64_t wrong_key(uint64_t key)
{
	return key + (key >> 32 ? UINT64_C(0x303900003039) : 0x3039);
}

/* Wrong keys and ranges: errors, no byte moves, and the rest works on. */
static void rma_refused(struct verify *v)
{
	static const size_t sizes[] = { 1, 5000, 200000 };
	struct window w, wrong;

	if (v->ft.opt.no_delivery) {
		vf_skip(v, "no answer is asked for");
		return;
	}
	window_open(v, &w);
	wrong = w;
	wrong.key = wrong_key(w.key);
	for (size_t i = 0; i < 3; i++) {
		vf_guard(v, 0, sizes[i]);
		ft_sync(&v->ft);
		if (v->ft.client) {
			refused(v, &wrong, DELIVERY, 0, sizes[i]);
			refused(v, &wrong, READ, 0, sizes[i]);
			wrong.key = w.key;
			wrong.addr = w.addr + v->rx.size - sizes[i] + 1;
			refused(v, &wrong, DELIVERY, 0, sizes[i]);
			refused(v, &wrong, READ, 0, sizes[i]);
			wrong = w;
			wrong.key = wrong_key(w.key);
		}
		ft_sync(&v->ft);
		if (!v->ft.client)
			vf_expect_guard(v, 0, 0, sizes[i]);
		round_of(v, &w, DELIVERY, sizes[i], v->ft.client);
	}
	window_close(v, &w);
}

/* A region is closed under an access: that ends, and soon. */
static void rma_closed(struct verify *v)
{
	struct window w;
	uint64_t start;
	struct vf_op op;

	for (int i = 0; i < 8; i++) {
		size_t len = v->ft.opt.max;

		window_open(v, &w);
		ft_sync(&v->ft);
		start = ft_now();
		if (v->ft.client) {
			post(v, &w, i & 1 ? READ : DELIVERY, &op, 0, len);
			vf_wait(v, &op);
			vf_expect(v, ft_now() - start < LIMIT_NS,
				  "an access ended after %.1f s",
				  (double)(ft_now() - start) / 1e9);
		} else {
			for (int turn = 0; turn < 3 * i; turn++)
				vf_poll(v);
			ft_check("fi_close(mr)", fi_close(&w.mr->fid));
			w.mr = NULL;
		}
		window_close(v, &w);
	}
}

const struct vf_case vf_rma_cases[] = {
	{ "rma_write", rma_write, FI_RMA },
	{ "rma_read", rma_read, FI_RMA },
	{ "rma_data", rma_data, FI_RMA },
	{ "rma_inject", rma_inject, FI_RMA },
	{ "rma_vectors", rma_vectors, FI_RMA },
	{ "rma_crowd", rma_crowd, FI_RMA },
	{ "rma_fence", rma_fence, FI_RMA | FI_FENCE },
	{ "rma_refused", rma_refused, FI_RMA },
	{ "rma_closed", rma_closed, FI_RMA },
	{ NULL, NULL, 0 },
};
