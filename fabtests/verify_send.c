/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verify_send.c - the ways to send, and the receive of many messages
 */
#include "verify.h"

#include <rdma/fi_cm.h>
#include <string.h>

#define TAG 0x4000u
#define UNREAD 4096u /* bytes that go in a packet, whatever the wire */
#define MULTI_SIZE (64u << 10)
#define MULTI_MIN 4096u
#define MULTI_BUFFERS 4u
#define MULTI_AT(i) ((i) * (MULTI_SIZE + 4096u))

static void run_how(struct verify *v, enum vf_how how, uint64_t flags,
		    size_t max, bool tagged)
{
	for (int round = 0; round < 2; round++) {
		struct vf_plan plan = vf_plan_new(40);

		plan.tagged = tagged;
		plan.when = round ? VF_UNEXPECTED : VF_EXPECTED;
		for (size_t i = 0; i < plan.n; i++)
			plan.message[i] = (struct vf_message){
				.size = i ? vf_random_size(v, max) : max,
				.tag = TAG + i,
				.how = how,
				.flags = flags,
				.vector_recv = how == VF_VECTOR
			};
		plan.message[1].size = 0;
		vf_plan_run_both(v, &plan);
	}
}

static void run_both(struct verify *v, enum vf_how how, uint64_t flags,
		     size_t max)
{
	run_how(v, how, flags, max, true);
	run_how(v, how, flags, max, false);
}

static void inject(struct verify *v)
{
	run_both(v, VF_INJECT, 0, v->ft.inject_size);
	run_both(v, VF_FLAGS, FI_INJECT | FI_COMPLETION, v->ft.inject_size);
}

static void remote_data(struct verify *v)
{
	run_both(v, VF_DATA, 0, 100000);
	run_both(v, VF_INJECT_DATA, 0, v->ft.inject_size);
}

static void vectors(struct verify *v)
{
	run_both(v, VF_VECTOR, 0, 200000);
}

/*
 * At one end or both the feature is off, and by now each knows of the other:
 * what goes in packets is refused, and nothing of it comes.
 */
static void refused(struct verify *v)
{
	static const size_t sizes[] = { 0, 1, 100, 4000 };
	const uint64_t flags = FI_COMPLETION | FI_DELIVERY_COMPLETE;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct iovec iov = { v->tx.p, sizes[i] };
		struct fi_msg msg = { .msg_iov = &iov,
				      .desc = &v->tx.desc,
				      .iov_count = 1,
				      .addr = v->ft.peer };
		struct fi_msg_tagged tmsg = { .msg_iov = &iov,
					      .desc = &v->tx.desc,
					      .iov_count = 1,
					      .addr = v->ft.peer,
					      .tag = TAG };
		ssize_t ret = fi_sendmsg(v->ft.ep, &msg, flags);
		ssize_t tret = fi_tsendmsg(v->ft.ep, &tmsg, flags);

		/* The peer has no receive for what is taken. */
		if (!ret || !tret)
			ft_fail("levels: %zu bytes to be delivered are taken",
				sizes[i]);
		vf_expect(v, ret == -FI_EOPNOTSUPP && tret == ret,
			  "%zu bytes to be delivered: %s, tagged %s", sizes[i],
			  fi_strerror((int)-ret), fi_strerror((int)-tret));
	}
}

static void levels(struct verify *v)
{
	const uint64_t transmit = FI_COMPLETION | FI_TRANSMIT_COMPLETE;

	run_both(v, VF_FLAGS, transmit, 100000);
	if (v->ft.opt.no_delivery) {
		refused(v);
		run_both(v, VF_FLAGS, transmit, 100000);
	} else {
		run_both(v, VF_FLAGS, FI_COMPLETION | FI_DELIVERY_COMPLETE,
			 100000);
	}
}

/* One message: whole, or an error at both ends, and no byte too many. */
static void unreadable_once(struct verify *v, size_t len, bool sends)
{
	uint64_t seed = v->serial++;
	struct vf_op op;

	vf_fill(v, 0, len, seed);
	vf_guard(v, 0, len);
	if (!sends)
		vf_recv(v, &op, v->ft.peer, 0, len, TAG, 0);
	ft_sync(&v->ft);
	if (sends)
		vf_send(v, &op, v->ft.peer, 0, len, TAG);
	vf_wait(v, &op);
	vf_expect(v, op.entries == 1, "%u entries of %zu bytes", op.entries,
		  len);
	if (len > UNREAD)
		vf_expect(v, sends ? op.err != 0 : op.err == FI_ENOMEM,
			  "%zu bytes that cannot be read: %s", len,
			  fi_strerror(op.err));
	else
		vf_expect(v, !op.err, "%zu bytes: %s", len,
			  fi_strerror(op.err));
	if (!sends && len <= UNREAD)
		vf_expect_bytes(v, 0, len, seed);
	if (!sends)
		vf_expect_guard(v, 0, len, len);
	ft_sync(&v->ft);
}

/*
 * Where all reads are refused and peers cannot be asked for packets instead,
 * long messages fail, at both ends, and the short ones between go on.
 */
static void unreadable(struct verify *v)
{
	static const size_t sizes[] = { 1, 70000, 4000, 300000, 100 };

	if (!v->ft.opt.unreadable) {
		vf_skip(v, "the device reads");
		return;
	}
	/* Each has to know the other's features. */
	run_how(v, VF_SEND, 0, 1000, true);
	for (size_t i = 0; i < 40; i++)
		unreadable_once(v, sizes[i / 2 % 5],
				v->ft.client == (i % 2 == 0));
}

/* Messages the server's buffers must hold: sizes drawn alike on both sides. */
struct multi {
	size_t n;
	size_t size[400];
};

static void draw(struct verify *v, struct multi *m)
{
	m->n = sizeof(m->size) / sizeof(m->size[0]);
	for (size_t i = 0; i < m->n; i++)
		m->size[i] = vf_random_below(v, MULTI_MIN) + 1;
}

static void multi_send(struct verify *v, const struct multi *m, uint64_t seed)
{
	struct vf_op op;

	for (size_t i = 0; i < m->n; i++) {
		ssize_t ret;

		op = (struct vf_op){ 0 };
		vf_fill(v, 0, m->size[i], seed + i);
		while ((ret = fi_send(v->ft.ep, v->tx.p, m->size[i], v->tx.desc,
				      v->ft.peer, &op)))
			vf_again(v, "fi_send", ret);
		vf_wait(v, &op);
		vf_expect(v, !op.err, "send: %s", fi_strerror(op.err));
	}
}

static void multi_post(struct verify *v, struct vf_op *op, size_t index)
{
	struct iovec iov = { v->rx.p + MULTI_AT(index), MULTI_SIZE };
	struct fi_msg msg = { .msg_iov = &iov,
			      .desc = &v->rx.desc,
			      .iov_count = 1,
			      .addr = FI_ADDR_UNSPEC,
			      .context = op };
	ssize_t ret;

	*op = (struct vf_op){ 0 };
	while ((ret = fi_recvmsg(v->ft.ep, &msg, FI_MULTI_RECV)))
		vf_again(v, "fi_recvmsg(FI_MULTI_RECV)", ret);
}

/* One entry at a time: an operation remembers only its last. */
static bool multi_poll(struct verify *v, struct fi_cq_data_entry *out)
{
	struct fi_cq_tagged_entry entry;
	ssize_t n = fi_cq_read(v->ft.rxcq, &entry, 1);

	if (n == -FI_EAVAIL)
		ft_cq_die(&v->ft, v->ft.rxcq, "multi receive");
	if (n != 1) {
		ft_idle(&v->ft);
		return false;
	}
	ft_busy(&v->ft);
	memcpy(out, &entry, sizeof(*out));
	return true;
}

static void multi_recv_all(struct verify *v, const struct multi *m,
			   uint64_t seed)
{
	struct vf_op op[MULTI_BUFFERS];
	size_t used[MULTI_BUFFERS] = { 0 }, released = 0;
	struct fi_cq_data_entry e;

	for (size_t i = 0; i < MULTI_BUFFERS; i++)
		multi_post(v, &op[i], i);
	ft_sync(&v->ft);
	for (size_t i = 0; i < m->n;) {
		size_t b, at;

		if (!multi_poll(v, &e))
			continue;
		b = (size_t)((struct vf_op *)e.op_context - op);
		if (e.flags & FI_RECV) {
			at = (size_t)((char *)e.buf - v->rx.p);
			vf_expect(v,
				  at >= MULTI_AT(b) + used[b] &&
					  at - MULTI_AT(b) + e.len <=
						  MULTI_SIZE,
				  "message %zu at %zu of buffer %zu", i,
				  at - MULTI_AT(b), b);
			vf_expect(v, e.len == m->size[i], "%zu bytes, not %zu",
				  e.len, m->size[i]);
			vf_expect_bytes(v, at, e.len, seed + i++);
			used[b] = at - MULTI_AT(b) + e.len;
		}
		if (e.flags & FI_MULTI_RECV) {
			vf_expect(v,
				  !v->strict ||
					  MULTI_SIZE - used[b] < MULTI_MIN,
				  "released after %zu bytes", used[b]);
			released++;
			used[b] = 0;
			multi_post(v, &op[b], b);
		}
	}
	vf_expect(v, released > 4, "%zu buffers released", released);
	/* Take the posted ones back, so that the next case has none. */
	for (size_t i = 0; i < MULTI_BUFFERS; i++) {
		op[i].done = false;
		(void)fi_cancel(&v->ft.ep->fid, &op[i]);
	}
	vf_linger(v, 20);
}

static void multi_recv(struct verify *v)
{
	size_t min = MULTI_MIN;
	uint64_t seed = v->serial;
	struct multi m;
	int ret;

	draw(v, &m);
	v->serial += m.n;
	ret = fi_setopt(&v->ft.ep->fid, FI_OPT_ENDPOINT, FI_OPT_MIN_MULTI_RECV,
			&min, sizeof(min));
	vf_expect(v, !ret, "FI_OPT_MIN_MULTI_RECV: %s", fi_strerror(-ret));
	if (v->ft.client) {
		ft_sync(&v->ft);
		multi_send(v, &m, seed);
	} else {
		multi_recv_all(v, &m, seed);
	}
	ft_sync(&v->ft);
}

const struct vf_case vf_send_cases[] = {
	{ "inject", inject, 0 },
	{ "remote_data", remote_data, 0 },
	{ "vectors", vectors, 0 },
	{ "levels", levels, 0 },
	{ "unreadable", unreadable, 0 },
	{ "multi_recv", multi_recv, FI_MULTI_RECV },
	{ NULL, NULL, 0 },
};
