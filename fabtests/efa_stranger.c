/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_stranger.c - answering senders who are not in the address vector
 *
 * The server knows nobody. With FI_SOURCE_ERR each message of the client is an
 * error entry that has his address: the server inserts it, answers there, and
 * forgets it again. So do RDM endpoints and, where the provider has it for
 * them, those for datagrams, which the client sends again until the answer
 * comes.
 */
#include "ft.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "pattern.h"

#define RECVS 16u /* posted all the time */
#define RESEND_NS 50000000u

static const struct ft_program program = {
	.name = "efa_stranger",
	.summary = "answers to senders who are not in the address vector",
	.options = "nM",
	.sizes = "8",
	.count = 50,
	.msg = true,
};

struct slot {
	struct fi_context2 context; /* first: the completion names the slot */
	struct ft_buf buf;
};

struct test {
	struct ft ft;
	struct slot recv[RECVS], send;
	size_t prefix, max;
	uint64_t strangers; /* error entries that told an address */
	bool reliable;
};

static void post(struct test *t, struct slot *slot)
{
	ft_recv(&t->ft, &slot->buf, slot->buf.size, 0, &slot->context);
}

static void open_buffers(struct test *t)
{
	struct ft *ft = &t->ft;
	size_t longest = ft->info->ep_attr->max_msg_size;

	t->prefix = ft->info->rx_attr->mode & FI_MSG_PREFIX ?
			    ft->info->ep_attr->msg_prefix_size :
			    0;
	t->max = ft->opt.max < longest ? ft->opt.max : longest;
	t->send.buf = ft_buf_new(ft, t->prefix + t->max);
	for (size_t i = 0; i < RECVS; i++) {
		t->recv[i].buf = ft_buf_new(ft, t->prefix + t->max);
		post(t, &t->recv[i]);
	}
}

static void close_buffers(struct test *t)
{
	ft_buf_free(&t->send.buf);
	for (size_t i = 0; i < RECVS; i++)
		ft_buf_free(&t->recv[i].buf);
}

static size_t size_of(const struct test *t, uint64_t round)
{
	return 8 + pattern_mix(round) % (t->max - 7);
}

/* What is sent in a round: its number, then bytes of a pattern. */
static void send_round(struct test *t, uint64_t round)
{
	char *p = t->send.buf.p + t->prefix;
	size_t size = size_of(t, round);

	memcpy(p, &round, sizeof(round));
	pattern_fill(p + 8, size - 8, round);
	ft_send(&t->ft, &t->send.buf, t->prefix + size, 0, &t->send.context);
	ft_wait_tx(&t->ft);
}

static uint64_t round_in(const struct test *t, const struct slot *slot,
			 size_t len)
{
	const char *p = slot->buf.p + t->prefix;
	uint64_t round;

	memcpy(&round, p, sizeof(round));
	if (len != t->prefix + size_of(t, round) ||
	    pattern_check(p + 8, len - t->prefix - 8, round) !=
		    len - t->prefix - 8)
		ft_fail("a message of %zu bytes is not what was sent", len);
	return round;
}

/* ---- the server ---------------------------------------------------------- */

/* The address has to come from the entry: nothing else here has it. */
static void answer(struct test *t)
{
	struct ft *ft = &t->ft;
	struct fi_cq_err_entry err = { 0 };
	struct slot *slot;
	int ret;

	if (fi_cq_readerr(ft->rxcq, &err, 0) != 1)
		ft_fail("fi_cq_readerr found no entry");
	if (err.err != FI_EADDRNOTAVAIL)
		ft_fail("error completion: %s", fi_strerror(err.err));
	if (err.err_data_size != ft->info->src_addrlen)
		ft_fail("an address of %zu bytes", err.err_data_size);
	ret = fi_av_insert(ft->av, err.err_data, 1, &ft->peer, 0, NULL);
	if (ret != 1)
		ft_die("fi_av_insert", ret);
	t->strangers++;
	slot = err.op_context;
	send_round(t, round_in(t, slot, err.len));
	ft_check("fi_av_remove", fi_av_remove(ft->av, &ft->peer, 1, 0));
	post(t, slot);
}

/* Until the client has the answer and waits for us. */
static void serve_round(struct test *t)
{
	struct pollfd pfd = { .fd = t->ft.oob, .events = POLLIN };
	struct fi_cq_msg_entry entry;
	ssize_t ret;

	while (!poll(&pfd, 1, 0)) {
		ret = fi_cq_read(t->ft.rxcq, &entry, 1);
		if (ret == -FI_EAGAIN)
			ft_idle(&t->ft);
		else if (ret == -FI_EAVAIL)
			answer(t);
		else if (t->reliable)
			ft_fail("an entry that names nobody (%zd)", ret);
		else /* sent twice: it came while the first was answered */
			post(t, entry.op_context);
	}
}

static void serve(struct test *t)
{
	ft_check("fi_av_remove", fi_av_remove(t->ft.av, &t->ft.peer, 1, 0));
	for (uint64_t round = 0; round < t->ft.opt.count; round++) {
		ft_sync(&t->ft);
		serve_round(t);
	}
	if (!t->strangers || (t->reliable && t->strangers != t->ft.opt.count))
		ft_fail("%llu strangers, not %zu",
			(unsigned long long)t->strangers, t->ft.opt.count);
}

/* ---- the client ---------------------------------------------------------- */

/* True when the answer to this round came. */
static bool answered(struct test *t, uint64_t round)
{
	struct fi_cq_msg_entry entry;
	struct slot *slot;
	bool right;

	if (!ft_poll_rx(&t->ft, &entry, 1)) {
		ft_idle(&t->ft);
		return false;
	}
	slot = entry.op_context;
	right = round_in(t, slot, entry.len) == round;
	post(t, slot);
	if (!right && t->reliable)
		ft_fail("the answer to another message");
	return right;
}

static void ask(struct test *t)
{
	uint64_t sent;

	for (uint64_t round = 0; round < t->ft.opt.count; round++) {
		ft_sync(&t->ft);
		send_round(t, round);
		sent = ft_now();
		while (!answered(t, round)) {
			if (t->reliable || ft_now() - sent < RESEND_NS)
				continue;
			send_round(t, round);
			sent = ft_now();
		}
	}
}

static void run(struct test *t, enum fi_ep_type type)
{
	const struct ft_request request = {
		.type = type,
		.caps = FI_MSG | FI_SOURCE | FI_SOURCE_ERR,
		.mode = type == FI_EP_DGRAM ? FI_MSG_PREFIX : 0,
		.format = FI_CQ_FORMAT_MSG,
		.rx_size = RECVS,
		.optional = type == FI_EP_DGRAM,
	};

	t->strangers = 0;
	t->reliable = type == FI_EP_RDM;
	if (ft_open(&t->ft, &request)) {
		if (t->ft.client)
			printf("datagrams: not with this provider\n");
		return;
	}
	open_buffers(t);
	if (t->ft.client)
		ask(t);
	else
		serve(t);
	ft_sync(&t->ft);
	if (t->ft.client)
		printf("%s: %zu answers\n", t->reliable ? "RDM" : "datagrams",
		       t->ft.opt.count);
	close_buffers(t);
	ft_close(&t->ft);
}

int main(int argc, char **argv)
{
	struct test t = { .prefix = 0 };

	ft_start(&t.ft, argc, argv, &program);
	t.ft.opt.max = t.ft.opt.max < 4u << 20 ? t.ft.opt.max : 200000;
	if (t.ft.opt.max < 16)
		ft_fail("--max wants 16 bytes or more");
	run(&t, FI_EP_RDM);
	run(&t, FI_EP_DGRAM);
	return ft_finish(&t.ft, 0);
}
