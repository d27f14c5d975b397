/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verify_send.c - the ways to send, and the receive of many messages
 */
#include "verify.h"

#include <rdma/fi_cm.h>
#include <string.h>

#define TAG 0x4000u
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

static void levels(struct verify *v)
{
	run_both(v, VF_FLAGS, FI_COMPLETION | FI_TRANSMIT_COMPLETE, 100000);
	run_both(v, VF_FLAGS, FI_COMPLETION | FI_DELIVERY_COMPLETE, 100000);
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
	{ "multi_recv", multi_recv, FI_MULTI_RECV },
	{ NULL, NULL, 0 },
};
