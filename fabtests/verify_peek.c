/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verify_peek.c - looking for a message, claiming it, throwing it away
 *
 * The client sends, the server looks. A provider that has no peek says so at
 * the first call; the case is then skipped on both sides.
 */
#include "verify.h"

#include <poll.h>

#define TAG 0x3000u
#define PEEK_MS 2000u /* for a message to become visible */

/* What one call of fi_trecvmsg() with flags came to. */
struct look {
	struct vf_op op;
	bool unsupported;
	int miss; /* FI_ENOMSG when there is no such message */
};

static void look(struct verify *v, struct look *l, uint64_t tag,
		 uint64_t ignore, uint64_t flags)
{
	struct fi_msg_tagged msg = { .addr = FI_ADDR_UNSPEC,
				     .tag = tag,
				     .ignore = ignore,
				     .context = &l->op };
	ssize_t ret;

	*l = (struct look){ 0 };
	ret = fi_trecvmsg(v->ft.ep, &msg, flags | FI_PEEK);
	if (ret == -FI_ENOSYS || ret == -FI_EOPNOTSUPP ||
	    ret == -FI_EBADFLAGS || ret == -FI_EINVAL) {
		l->unsupported = true;
		return;
	}
	if (ret == -FI_ENOMSG) {
		vf_expect(v, !v->strict, "a miss has to be an error entry");
		l->miss = FI_ENOMSG;
		return;
	}
	if (ret)
		ft_die("fi_trecvmsg(FI_PEEK)", (int)ret);
	vf_wait(v, &l->op);
	l->miss = l->op.err;
}

/* Until the message is there. */
static void look_until(struct verify *v, struct look *l, uint64_t tag,
		       uint64_t ignore, uint64_t flags)
{
	uint64_t end = ft_now() + PEEK_MS * 1000000ull;

	do
		look(v, l, tag, ignore, flags);
	while (l->miss && ft_now() < end);
}

static void expect_seen(struct verify *v, const struct look *l, size_t len,
			uint64_t tag, uint64_t data)
{
	vf_expect(v, !l->op.err, "peek: %s", fi_strerror(l->op.err));
	vf_expect(v, l->op.len == len, "peek saw %zu bytes, not %zu", l->op.len,
		  len);
	vf_expect(v, l->op.tag == tag, "peek saw tag %llx, not %llx",
		  (unsigned long long)l->op.tag, (unsigned long long)tag);
	vf_expect(v, l->op.data == data, "peek saw data %llx, not %llx",
		  (unsigned long long)l->op.data, (unsigned long long)data);
	if (v->ft.info->caps & FI_SOURCE)
		vf_expect(v, l->op.src == v->ft.peer, "peek saw source %llx",
			  (unsigned long long)l->op.src);
}

/* The claimed message, into the arena or to nowhere. */
static void take_claimed(struct verify *v, struct vf_op *op, size_t len,
			 uint64_t flags)
{
	struct iovec iov = { v->rx.p, len };
	/* The context says which message: a tag is there for those who ask. */
	struct fi_msg_tagged msg = { .msg_iov = &iov,
				     .desc = &v->rx.desc,
				     .iov_count = 1,
				     .addr = FI_ADDR_UNSPEC,
				     .tag = v->strict ? 0 : op->tag,
				     .context = op };
	ssize_t ret;

	op->done = false;
	op->entries = 0;
	while ((ret = fi_trecvmsg(v->ft.ep, &msg, flags | FI_CLAIM)))
		vf_again(v, "fi_trecvmsg(FI_CLAIM)", ret);
	vf_wait(v, op);
}

static void receive(struct verify *v, size_t len, uint64_t tag, uint64_t seed)
{
	struct vf_op op;

	vf_guard(v, 0, len);
	vf_recv(v, &op, FI_ADDR_UNSPEC, 0, len, tag, 0);
	vf_wait(v, &op);
	vf_expect_recv(v, &op, len, tag);
	vf_expect_bytes(v, 0, len, seed);
	vf_expect_guard(v, 0, len, len);
}

static void look_at(struct verify *v, size_t size, uint64_t seed)
{
	uint64_t data = (seed + 5) & v->data_mask;
	struct look l;

	/* Two of one tag: peeking takes nothing, and sees the first. */
	look_until(v, &l, TAG, 0, 0);
	expect_seen(v, &l, size, TAG, data);
	look(v, &l, TAG, 0, 0);
	expect_seen(v, &l, size, TAG, data);
	look_until(v, &l, TAG + 0x70, 0xf, 0);
	expect_seen(v, &l, size + 2, TAG + 0x71, data + 2);
	receive(v, size, TAG, seed);
	look_until(v, &l, TAG, 0, 0);
	expect_seen(v, &l, size + 1, TAG, data + 1);

	/* A claimed message is out of reach of receives and peeks. */
	look(v, &l, TAG, 0, FI_CLAIM);
	expect_seen(v, &l, size + 1, TAG, data + 1);
	receive(v, size + 2, TAG + 0x71, seed + 2);
	vf_guard(v, 0, size + 1);
	take_claimed(v, &l.op, size + 1, 0);
	vf_expect_recv(v, &l.op, size + 1, TAG);
	vf_expect_bytes(v, 0, size + 1, seed + 1);
	look(v, &l, TAG, 0, 0);
	vf_expect(v, l.miss == FI_ENOMSG, "a message that was taken is seen");
}

static void discard(struct verify *v, size_t size, uint64_t seed)
{
	uint64_t data = (seed + 8) & v->data_mask;
	struct look l;

	look_until(v, &l, TAG + 3, 0, FI_DISCARD);
	expect_seen(v, &l, size, TAG + 3, data);
	look_until(v, &l, TAG + 3, 0, FI_CLAIM);
	expect_seen(v, &l, size + 1, TAG + 3, data + 1);
	take_claimed(v, &l.op, 0, FI_DISCARD);
	vf_expect(v, !l.op.err, "discard: %s", fi_strerror(l.op.err));
	look(v, &l, TAG + 3, 0, 0);
	vf_expect(v, l.miss == FI_ENOMSG, "a discarded message is seen");
}

static void send_data(struct verify *v, struct vf_op *op, size_t at,
		      size_t size, uint64_t tag, uint64_t seed, uint64_t data)
{
	ssize_t ret;

	*op = (struct vf_op){ 0 };
	vf_fill(v, at, size, seed);
	while ((ret = fi_tsenddata(v->ft.ep, v->tx.p + at, size, v->tx.desc,
				   data, v->ft.peer, tag, op)))
		vf_again(v, "fi_tsenddata", ret);
}

static void send_for_peeks(struct verify *v, size_t size, uint64_t seed)
{
	static const uint64_t tags[] = { TAG, TAG, TAG + 0x71, TAG + 3,
					 TAG + 3 };
	const size_t n = sizeof(tags) / sizeof(tags[0]);
	struct vf_op op[sizeof(tags) / sizeof(tags[0])];

	for (size_t i = 0; i < n; i++) {
		size_t extra = i < 3 ? i : i - 3;

		send_data(v, &op[i], i * (size + 8), size + extra, tags[i],
			  seed + i, (seed + 5 + i) & v->data_mask);
	}
	for (size_t i = 0; i < n; i++) {
		vf_wait(v, &op[i]);
		vf_expect(v, !op[i].err, "send: %s", fi_strerror(op[i].err));
	}
}

/* The server finds out whether the provider peeks at all. */
static bool agree_on_support(struct verify *v)
{
	char answer = 'n';
	struct look l;

	if (v->ft.client) {
		ft_oob_recv(&v->ft, &answer, 1);
		return answer == 'y';
	}
	look(v, &l, TAG, 0, 0);
	if (!l.unsupported) {
		answer = 'y';
		vf_expect(v, l.miss == FI_ENOMSG, "a message out of nowhere");
	}
	ft_oob_send(&v->ft, &answer, 1);
	return answer == 'y';
}

static void peek(struct verify *v)
{
	static const size_t sizes[] = { 0, 1, 40, 3000, 20000, 100000, 1000000 };

	if (!agree_on_support(v)) {
		vf_skip(v, "the provider has no FI_PEEK");
		return;
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t seed = v->serial;

		v->serial += 10;
		ft_sync(&v->ft);
		if (v->ft.client) {
			send_for_peeks(v, sizes[i], seed);
		} else {
			look_at(v, sizes[i], seed);
			discard(v, sizes[i], seed);
		}
		ft_sync(&v->ft);
	}
}

const struct vf_case vf_peek_cases[] = {
	{ "peek", peek, 0 },
	{ NULL, NULL, 0 },
};
