/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verify_plan.c - a set of messages sent, received and looked at
 *
 * The sender marks the end of its sends on the out-of-band stream. A receiver
 * of unexpected messages waits for that mark, but not forever: a provider may
 * refuse to hold any more of them until there are receives.
 */
#include "verify.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define UNEXPECTED_MS 200u
#define SETTLE_MS 2u
#define IOV_MAX_USED 8u
#define ALIGN 8u

struct vf_plan vf_plan_new(size_t n)
{
	return (struct vf_plan){
		.message = ft_alloc(n * sizeof(struct vf_message)),
		.n = n,
		.tagged = true,
	};
}

void vf_plan_free(struct vf_plan *plan)
{
	free(plan->message);
	plan->message = NULL;
}

static void lay_out(struct verify *v, struct vf_plan *plan)
{
	size_t at = 0;

	for (size_t i = 0; i < plan->n; i++) {
		struct vf_message *m = &plan->message[i];

		m->at = at;
		m->seed = v->serial++;
		m->send = (struct vf_op){ 0 };
		m->recv = (struct vf_op){ 0 };
		at += (m->size + VF_GUARD + ALIGN - 1) / ALIGN * ALIGN;
		/* Odd addresses too: payloads start where they like. */
		at += i % 3;
	}
	if (at > v->tx.size)
		ft_fail("%s: a plan of %zu bytes is too large", v->name, at);
}

static size_t *order_new(struct verify *v, const struct vf_plan *plan)
{
	size_t *order = ft_alloc(plan->n * sizeof(*order));

	for (size_t i = 0; i < plan->n; i++)
		order[i] = i;
	if (plan->shuffle)
		vf_shuffle(v, order, plan->n);
	return order;
}

/* Cuts p[len] into pieces of unlike sizes, the first ones short. */
static size_t cut(struct iovec *iov, void **desc, size_t pieces, char *p,
		  size_t len, void *own)
{
	size_t n = 0, taken = 0;

	if (pieces > IOV_MAX_USED)
		pieces = IOV_MAX_USED;
	for (; n < pieces; n++) {
		size_t piece = n + 1 == pieces ? len - taken :
						 (len - taken) / 3;

		iov[n] = (struct iovec){ p + taken, piece };
		desc[n] = own;
		taken += piece;
	}
	return n;
}

static ssize_t recv_once(struct verify *v, const struct vf_plan *plan,
			 struct vf_message *m)
{
	struct ft *ft = &v->ft;
	char *p = v->rx.p + m->at;
	struct iovec iov[IOV_MAX_USED];
	void *desc[IOV_MAX_USED];
	size_t n;

	if (!m->vector_recv && plan->tagged)
		return fi_trecv(ft->ep, p, m->size, v->rx.desc, ft->peer,
				m->tag, 0, &m->recv);
	if (!m->vector_recv)
		return fi_recv(ft->ep, p, m->size, v->rx.desc, ft->peer,
			       &m->recv);
	n = cut(iov, desc, ft->info->rx_attr->iov_limit, p, m->size,
		v->rx.desc);
	if (plan->tagged)
		return fi_trecvv(ft->ep, iov, desc, n, ft->peer, m->tag, 0,
				 &m->recv);
	return fi_recvv(ft->ep, iov, desc, n, ft->peer, &m->recv);
}

static uint64_t data_of(const struct verify *v, const struct vf_message *m)
{
	return pattern_mix(m->seed) & v->data_mask;
}

static ssize_t send_pieces(struct verify *v, const struct vf_plan *plan,
			   struct vf_message *m, size_t limit)
{
	struct ft *ft = &v->ft;
	struct iovec iov[IOV_MAX_USED];
	void *desc[IOV_MAX_USED];
	size_t n = cut(iov, desc, limit, v->tx.p + m->at, m->size, v->tx.desc);
	struct fi_msg msg = { .msg_iov = iov,
			      .desc = desc,
			      .iov_count = n,
			      .addr = ft->peer,
			      .context = &m->send };
	struct fi_msg_tagged tmsg = { .msg_iov = iov,
				      .desc = desc,
				      .iov_count = n,
				      .addr = ft->peer,
				      .tag = m->tag,
				      .context = &m->send };

	if (m->how == VF_VECTOR && plan->tagged)
		return fi_tsendv(ft->ep, iov, desc, n, ft->peer, m->tag,
				 &m->send);
	if (m->how == VF_VECTOR)
		return fi_sendv(ft->ep, iov, desc, n, ft->peer, &m->send);
	if (plan->tagged)
		return fi_tsendmsg(ft->ep, &tmsg, m->flags);
	return fi_sendmsg(ft->ep, &msg, m->flags);
}

static ssize_t tsend_once(struct verify *v, struct vf_message *m)
{
	struct fid_ep *ep = v->ft.ep;
	char *p = v->tx.p + m->at;

	switch (m->how) {
	case VF_INJECT:
		return fi_tinject(ep, p, m->size, v->ft.peer, m->tag);
	case VF_INJECT_DATA:
		return fi_tinjectdata(ep, p, m->size, data_of(v, m), v->ft.peer,
				      m->tag);
	case VF_DATA:
		return fi_tsenddata(ep, p, m->size, v->tx.desc, data_of(v, m),
				    v->ft.peer, m->tag, &m->send);
	case VF_SEND:
	case VF_VECTOR:
	case VF_FLAGS:
	case VF_HOWS:
		break;
	}
	return fi_tsend(ep, p, m->size, v->tx.desc, v->ft.peer, m->tag,
			&m->send);
}

static ssize_t msend_once(struct verify *v, struct vf_message *m)
{
	struct fid_ep *ep = v->ft.ep;
	char *p = v->tx.p + m->at;

	switch (m->how) {
	case VF_INJECT:
		return fi_inject(ep, p, m->size, v->ft.peer);
	case VF_INJECT_DATA:
		return fi_injectdata(ep, p, m->size, data_of(v, m), v->ft.peer);
	case VF_DATA:
		return fi_senddata(ep, p, m->size, v->tx.desc, data_of(v, m),
				   v->ft.peer, &m->send);
	case VF_SEND:
	case VF_VECTOR:
	case VF_FLAGS:
	case VF_HOWS:
		break;
	}
	return fi_send(ep, p, m->size, v->tx.desc, v->ft.peer, &m->send);
}

static bool is_injected(const struct vf_message *m)
{
	return m->how == VF_INJECT || m->how == VF_INJECT_DATA;
}

static void send_message(struct verify *v, const struct vf_plan *plan,
			 struct vf_message *m)
{
	ssize_t ret;

	do {
		if (m->how == VF_VECTOR)
			ret = send_pieces(v, plan, m,
					  v->ft.info->tx_attr->iov_limit);
		else if (m->how == VF_FLAGS)
			ret = send_pieces(v, plan, m, 1);
		else if (plan->tagged)
			ret = tsend_once(v, m);
		else
			ret = msend_once(v, m);
		if (ret)
			vf_again(v, "send", ret);
	} while (ret);
	/* The provider has its copy: ours may change. */
	if (is_injected(m) || (m->flags & FI_INJECT))
		memset(v->tx.p + m->at, 0x5a, m->size);
	if (is_injected(m))
		m->send.done = true;
}

/* What did not go out the receiver would wait for until its time is up. */
static void wait_sent(struct verify *v, struct vf_message *m)
{
	vf_wait(v, &m->send);
	if (m->send.err)
		ft_fail("send of %zu bytes: %s", m->size,
			fi_strerror(m->send.err));
}

static void run_sender(struct verify *v, struct vf_plan *plan,
		       const size_t *order)
{
	char mark = 'm';

	for (size_t i = 0; i < plan->n; i++)
		vf_fill(v, plan->message[i].at, plan->message[i].size,
			plan->message[i].seed);
	ft_sync(&v->ft);
	for (size_t i = 0; i < plan->n; i++)
		send_message(v, plan, &plan->message[order[i]]);
	ft_oob_send(&v->ft, &mark, 1);
	for (size_t i = 0; i < plan->n; i++)
		wait_sent(v, &plan->message[i]);
	ft_sync(&v->ft);
}

static void post_recvs(struct verify *v, struct vf_plan *plan,
		       const size_t *order, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		struct vf_message *m = &plan->message[order[i]];
		ssize_t ret;

		while ((ret = recv_once(v, plan, m)))
			vf_again(v, "receive", ret);
	}
}

static void await_mark(struct verify *v)
{
	struct pollfd pfd = { .fd = v->ft.oob, .events = POLLIN };
	uint64_t end = ft_now() + UNEXPECTED_MS * 1000000ull;

	while (!poll(&pfd, 1, 0) && ft_now() < end)
		vf_poll(v);
	vf_linger(v, SETTLE_MS);
}

static void run_receiver(struct verify *v, struct vf_plan *plan,
			 const size_t *order)
{
	size_t first = plan->when == VF_EXPECTED   ? plan->n :
		       plan->when == VF_UNEXPECTED ? 0 :
						     plan->n / 2;
	char mark;

	for (size_t i = 0; i < plan->n; i++)
		vf_guard(v, plan->message[i].at, plan->message[i].size);
	post_recvs(v, plan, order, 0, first);
	ft_sync(&v->ft);
	if (first < plan->n)
		await_mark(v);
	post_recvs(v, plan, order, first, plan->n);
	for (size_t i = 0; i < plan->n; i++)
		vf_wait(v, &plan->message[i].recv);
	ft_oob_recv(&v->ft, &mark, 1);
	ft_sync(&v->ft);
}

static bool has_data(const struct vf_message *m)
{
	return m->how == VF_DATA || m->how == VF_INJECT_DATA;
}

static void check_received(struct verify *v, const struct vf_plan *plan,
			   const struct vf_message *m)
{
	const struct vf_op *op = &m->recv;
	uint64_t kind = plan->tagged ? FI_TAGGED : FI_MSG;

	if (plan->tagged)
		vf_expect_recv(v, op, m->size, m->tag);
	vf_expect(v, !op->err && op->entries == 1 && op->len == m->size,
		  "message of %zu bytes: %s, %u entries, %zu bytes", m->size,
		  fi_strerror(op->err), op->entries, op->len);
	vf_expect(v, (op->flags & FI_RECV) && (op->flags & kind), "flags %llx",
		  (unsigned long long)op->flags);
	vf_expect(v, !!(op->flags & FI_REMOTE_CQ_DATA) == has_data(m),
		  "flags %llx: remote data or not",
		  (unsigned long long)op->flags);
	if (has_data(m))
		vf_expect(v, op->data == data_of(v, m),
			  "data %llx came, not %llx",
			  (unsigned long long)op->data,
			  (unsigned long long)data_of(v, m));
	vf_expect_bytes(v, m->at, m->size, m->seed);
	vf_expect_guard(v, m->at, m->size, m->size);
}

static void check_sent(struct verify *v, const struct vf_message *m)
{
	const struct vf_op *op = &m->send;

	vf_expect(v, !op->err, "send of %zu bytes: %s", m->size,
		  fi_strerror(op->err));
	vf_expect(v, op->entries == !is_injected(m),
		  "%u entries for a send of %zu bytes", op->entries, m->size);
	if (!is_injected(m))
		vf_expect(v, op->flags & FI_SEND, "flags %llx of a send",
			  (unsigned long long)op->flags);
}

void vf_plan_run(struct verify *v, struct vf_plan *plan)
{
	size_t *sends, *recvs;
	bool sender = plan->client_sends == v->ft.client;

	lay_out(v, plan);
	sends = order_new(v, plan);
	recvs = order_new(v, plan);
	if (sender)
		run_sender(v, plan, sends);
	else
		run_receiver(v, plan, recvs);
	for (size_t i = 0; i < plan->n; i++) {
		if (sender)
			check_sent(v, &plan->message[i]);
		else
			check_received(v, plan, &plan->message[i]);
	}
	free(sends);
	free(recvs);
}

void vf_plan_run_both(struct verify *v, struct vf_plan *plan)
{
	plan->client_sends = true;
	vf_plan_run(v, plan);
	plan->client_sends = false;
	vf_plan_run(v, plan);
	vf_plan_free(plan);
}
