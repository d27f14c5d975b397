/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_rdm_pingpong.c - one-way latency of a message, half of a round trip
 *
 * Each side has its receive posted before the message can come. Messages up to
 * inject_size are injected. The client reads the clock once a round, right
 * after its send was accepted: the message is then in flight, so the clock's
 * own cost hides behind it.
 */
#include "ft.h"

#include <stdlib.h>

#define TAG 7u

static const struct ft_program program = {
	.name = "efa_rdm_pingpong",
	.summary = "one-way latency of messages on RDM endpoints",
	.options = "mSiDw",
	.sizes = "8",
};

struct pingpong {
	struct ft ft;
	struct ft_buf tx, rx;
	struct fi_context2 tx_context, rx_context;
	uint64_t expected; /* receives completed when a round is over */
	size_t size;
};

static void post_recv(struct pingpong *pp)
{
	ft_recv(&pp->ft, &pp->rx, pp->size, TAG, &pp->rx_context);
}

static void ping(struct pingpong *pp)
{
	if (pp->size <= pp->ft.inject_size)
		ft_inject(&pp->ft, pp->tx.p, pp->size, TAG);
	else
		ft_send(&pp->ft, &pp->tx, pp->size, TAG, &pp->tx_context);
}

static void await(struct pingpong *pp, bool last)
{
	ft_wait_rx(&pp->ft, ++pp->expected);
	if (!last)
		post_recv(pp);
	ft_wait_tx(&pp->ft);
}

static void serve(struct pingpong *pp, size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		await(pp, i + 1 == rounds);
		ping(pp);
	}
	ft_wait_tx(&pp->ft);
}

static void measure(struct pingpong *pp, size_t rounds, uint64_t *stamp)
{
	for (size_t i = 0; i < rounds; i++) {
		ping(pp);
		stamp[i] = ft_now();
		await(pp, i + 1 == rounds);
	}
}

static void print_header(const struct ft_options *opt)
{
	printf("#%9s %10s %10s %10s %10s %10s  one-way usec, %s\n", "bytes",
	       "rounds", opt->dist ? "p50" : "average",
	       opt->dist ? "p99" : "min", opt->dist ? "p99.9" : "median",
	       opt->dist ? "max" : "p99", opt->tagged ? "tagged" : "msg");
}

/* The longest time that a sample can tell stands for all longer ones. */
static void report(const struct pingpong *pp, const uint64_t *stamp, size_t n)
{
	uint32_t *sample = ft_alloc(n * sizeof(*sample));
	struct ft_stats s;

	for (size_t i = 0; i < n; i++) {
		uint64_t ns = stamp[i + 1] - stamp[i];

		sample[i] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
	}
	s = ft_stats_of(sample, n);
	printf("%10zu %10zu ", pp->size, n);
	if (pp->ft.opt.dist)
		printf("%10.3f %10.3f %10.3f %10.3f\n", s.median / 2e3,
		       s.p99 / 2e3, s.p999 / 2e3, s.max / 2e3);
	else
		printf("%10.3f %10.3f %10.3f %10.3f\n", s.average / 2e3,
		       s.min / 2e3, s.median / 2e3, s.p99 / 2e3);
	free(sample);
}

static size_t rounds_for(const struct pingpong *pp)
{
	if (pp->ft.opt.iterations)
		return pp->ft.opt.iterations;
	if (pp->size <= 8192)
		return 20000;
	return pp->size <= (256u << 10) ? 4000 : 400;
}

static void run_size(struct pingpong *pp)
{
	size_t rounds = rounds_for(pp);
	size_t warmup = rounds / 10 + 1;
	uint64_t *stamp = ft_alloc((rounds + warmup + 1) * sizeof(*stamp));

	pp->tx = ft_buf_new(&pp->ft, pp->size);
	pp->rx = ft_buf_new(&pp->ft, pp->size);
	post_recv(pp);
	ft_sync(&pp->ft);
	if (pp->ft.client) {
		measure(pp, warmup + rounds + 1, stamp);
		report(pp, stamp + warmup, rounds);
	} else {
		serve(pp, warmup + rounds + 1);
	}
	ft_sync(&pp->ft);
	ft_buf_free(&pp->tx);
	ft_buf_free(&pp->rx);
	free(stamp);
}

int main(int argc, char **argv)
{
	struct pingpong pp = { .size = 0 };
	struct ft *ft = &pp.ft;

	ft_start(ft, argc, argv, &program);
	ft_open(ft, &(struct ft_request){ .caps = ft->opt.tagged ? FI_TAGGED :
								   FI_MSG });
	if (ft->client)
		print_header(&ft->opt);
	for (size_t i = 0; i < ft->opt.nsizes; i++) {
		pp.size = ft->opt.size[i];
		run_size(&pp);
	}
	return ft_finish(ft, 0);
}
