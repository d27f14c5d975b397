/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_dgram_pingpong.c - one-way latency of datagrams, which may be lost
 *
 * The client numbers its datagrams and sends again after a while without the
 * answer to the last; the server answers whatever comes, byte for byte. Only
 * rounds without a loss count as samples; losses are printed. Providers that
 * ask for room before the payload (FI_MSG_PREFIX) get it.
 */
#include "ft.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define RECVS 16u /* posted all the time */
#define RESEND_NS 20000000u
#define LOSSES_MAX 1000u /* of one round, then it is no network */

static const struct ft_program program = {
	.name = "efa_dgram_pingpong",
	.summary = "one-way latency of datagrams on DGRAM endpoints",
	.options = "Siw",
	.sizes = "8",
	.msg = true,
};

struct slot {
	struct fi_context2 context; /* first: the completion names the slot */
	struct ft_buf buf;
};

struct pingpong {
	struct ft ft;
	struct slot recv[RECVS];
	struct slot send;
	size_t prefix, size;
	uint64_t lost;
};

static void post(struct pingpong *pp, struct slot *slot)
{
	ft_recv(&pp->ft, &slot->buf, slot->buf.size, 0, &slot->context);
}

static void send_out(struct pingpong *pp)
{
	ft_send(&pp->ft, &pp->send.buf, pp->prefix + pp->size, 0,
		&pp->send.context);
	ft_wait_tx(&pp->ft);
}

static char *payload(const struct pingpong *pp, const struct slot *slot)
{
	return slot->buf.p + pp->prefix;
}

/* A datagram is told by its first bytes: the number of its round. */
static void number(const struct pingpong *pp, uint64_t round)
{
	memcpy(payload(pp, &pp->send), &round,
	       pp->size < sizeof(round) ? pp->size : sizeof(round));
}

static bool is_answer(const struct pingpong *pp, const struct slot *slot)
{
	return !memcmp(payload(pp, slot), payload(pp, &pp->send), pp->size);
}

/* One poll; true if the datagram of this round came. Others are dropped. */
static bool poll_answer(struct pingpong *pp)
{
	struct fi_cq_entry entry;
	struct slot *slot;
	bool answer;

	if (!ft_poll_rx(&pp->ft, &entry, 1)) {
		ft_idle(&pp->ft);
		return false;
	}
	slot = entry.op_context;
	answer = is_answer(pp, slot);
	post(pp, slot);
	return answer;
}

/* Nanoseconds of a round trip, or 0 when something was lost in it. */
static uint64_t one_round(struct pingpong *pp, uint64_t round)
{
	for (unsigned int tries = 0; tries < LOSSES_MAX; tries++) {
		uint64_t start, now;

		number(pp, round);
		start = ft_now();
		send_out(pp);
		do {
			if (poll_answer(pp))
				return tries ? 0 : ft_now() - start;
			now = ft_now();
		} while (now - start < RESEND_NS);
		pp->lost++;
	}
	ft_fail("%u datagrams of a round were lost", LOSSES_MAX);
}

/* Looked for now and then; who sleeps has slept long. */
static bool is_over(const struct pingpong *pp, uint32_t idle)
{
	struct pollfd done = { .fd = pp->ft.oob, .events = POLLIN };

	if (pp->ft.opt.wait == FT_WAIT_SPIN && (idle & 0xfff))
		return false;
	return poll(&done, 1, 0);
}

static void serve(struct pingpong *pp)
{
	uint32_t idle = 0;

	for (;;) {
		struct fi_cq_entry entry;
		struct slot *slot;

		if (!ft_poll_rx(&pp->ft, &entry, 1)) {
			ft_idle(&pp->ft);
			if (is_over(pp, ++idle))
				return;
			continue;
		}
		slot = entry.op_context;
		memcpy(payload(pp, &pp->send), payload(pp, slot), pp->size);
		post(pp, slot);
		send_out(pp);
	}
}

static void measure(struct pingpong *pp, size_t rounds, size_t warmup)
{
	uint32_t *sample = ft_alloc(rounds * sizeof(*sample));
	struct ft_stats s;
	size_t n = 0;

	pp->lost = 0;
	for (size_t i = 0; i < rounds + warmup; i++) {
		uint64_t ns = one_round(pp, i);

		if (ns && i >= warmup)
			sample[n++] = (uint32_t)ns;
	}
	s = ft_stats_of(sample, n);
	printf("%10zu %10zu %10.3f %10.3f %10.3f %10.3f %8llu\n", pp->size, n,
	       s.average / 2e3, s.min / 2e3, s.median / 2e3, s.p99 / 2e3,
	       (unsigned long long)pp->lost);
	free(sample);
}

static void run_size(struct pingpong *pp)
{
	size_t rounds = pp->ft.opt.iterations ? pp->ft.opt.iterations : 10000;

	ft_sync(&pp->ft);
	if (pp->ft.client)
		measure(pp, rounds, rounds / 10 + 1);
	else
		serve(pp);
	ft_sync(&pp->ft);
}

static struct slot slot_new(struct pingpong *pp, size_t max)
{
	return (struct slot){ .buf = ft_buf_new(&pp->ft, max) };
}

static void open_slots(struct pingpong *pp)
{
	size_t max = pp->ft.info->ep_attr->max_msg_size;

	pp->prefix = pp->ft.info->mode & FI_MSG_PREFIX ?
			     pp->ft.info->ep_attr->msg_prefix_size :
			     0;
	pp->send = slot_new(pp, max + pp->prefix);
	for (size_t i = 0; i < RECVS; i++) {
		pp->recv[i] = slot_new(pp, max + pp->prefix);
		post(pp, &pp->recv[i]);
	}
}

/* With receives posted: the provider has to let go of the memory. */
static void close_slots(struct pingpong *pp)
{
	ft_buf_free(&pp->send.buf);
	for (size_t i = 0; i < RECVS; i++)
		ft_buf_free(&pp->recv[i].buf);
}

int main(int argc, char **argv)
{
	struct pingpong pp = { .size = 0 };
	struct ft *ft = &pp.ft;
	bool fits = false;

	ft_start(ft, argc, argv, &program);
	ft_open(ft, &(struct ft_request){ .caps = FI_MSG,
					  .mode = FI_MSG_PREFIX,
					  .type = FI_EP_DGRAM });
	open_slots(&pp);
	if (ft->client)
		printf("#%9s %10s %10s %10s %10s %10s %8s  one-way usec\n",
		       "bytes", "rounds", "average", "min", "median", "p99",
		       "lost");
	for (size_t i = 0; i < ft->opt.nsizes; i++) {
		pp.size = ft->opt.size[i];
		if (pp.size > ft->info->ep_attr->max_msg_size)
			continue;
		run_size(&pp);
		fits = true;
	}
	if (!fits)
		ft_fail("each size is above the provider's limit, %zu bytes",
			ft->info->ep_attr->max_msg_size);
	ft_sync(ft);
	close_slots(&pp);
	return ft_finish(ft, 0);
}
