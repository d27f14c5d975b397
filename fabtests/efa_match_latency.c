/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_match_latency.c - what matching costs when many receives are posted
 *
 * A tagged ping-pong, three times: with nothing else around, under N receives
 * posted on each side that the ping-pong never matches, and under N messages
 * that no receive waits for. The waiting ones have tags of their own and are
 * all used up afterwards, each by its exact tag. A provider that takes fewer
 * than N receives is measured under what it took; one that is full of
 * unexpected messages cannot take the ping-pong's and is not measured.
 */
#include "ft.h"

#include <stdlib.h>

#define PING_TAG 1u
#define OTHER_TAG 0x100000u
#define SIZE 8u
#define ROUNDS 20000u
#define SETTLE_NS 200000000u /* for unexpected messages to arrive */
#define PATIENCE_NS 1000000000u /* with a provider that says EAGAIN */

static const struct ft_program program = {
	.name = "efa_match_latency",
	.summary = "tagged latency under -n posted or unexpected messages",
	.options = "in",
	.sizes = "8",
	.count = 10000,
};

struct match {
	struct ft ft;
	struct ft_buf tx, rx, other;
	struct fi_context2 tx_context, rx_context;
	struct fi_context2 *tx_other; /* [opt.count] */
	struct fi_context2 *rx_other; /* [opt.count] */
	size_t rounds;
};

static void ping(struct match *m)
{
	if (SIZE <= m->ft.inject_size)
		ft_inject(&m->ft, m->tx.p, SIZE, PING_TAG);
	else
		ft_send(&m->ft, &m->tx, SIZE, PING_TAG, &m->tx_context);
}

static void pong(struct match *m)
{
	uint64_t total = m->ft.rx_done + 1;

	ft_wait_rx(&m->ft, total);
	ft_wait_tx(&m->ft);
}

static void post_recv(struct match *m)
{
	ft_recv(&m->ft, &m->rx, SIZE, PING_TAG, &m->rx_context);
}

static void report(const char *what, size_t waiting, const uint64_t *stamp,
		   size_t n)
{
	uint32_t *sample = ft_alloc(n * sizeof(*sample));
	struct ft_stats s;

	for (size_t i = 0; i < n; i++)
		sample[i] = (uint32_t)(stamp[i + 1] - stamp[i]);
	s = ft_stats_of(sample, n);
	printf("%-11s %8zu %10.3f %10.3f %10.3f %10.3f\n", what, waiting,
	       s.average / 2e3, s.min / 2e3, s.median / 2e3, s.p99 / 2e3);
	free(sample);
}

/* The first receive is posted by the caller, ahead of what waits. */
static void pingpong(struct match *m, const char *what, size_t waiting)
{
	size_t n = m->rounds, warmup = n / 10 + 1;
	uint64_t *stamp = ft_alloc((n + warmup + 1) * sizeof(*stamp));

	ft_sync(&m->ft);
	for (size_t i = 0; i <= n + warmup; i++) {
		if (m->ft.client) {
			ping(m);
			stamp[i] = ft_now();
		}
		pong(m);
		if (i < n + warmup)
			post_recv(m);
		if (!m->ft.client)
			ping(m);
	}
	ft_wait_tx(&m->ft);
	ft_sync(&m->ft);
	if (m->ft.client)
		report(what, waiting, stamp + warmup, n);
	free(stamp);
}

/* Returns how many receives the provider took. */
static size_t post_others(struct match *m)
{
	for (size_t i = 0; i < m->ft.opt.count; i++) {
		int ret = ft_recv_try(&m->ft, &m->other, SIZE, OTHER_TAG + i,
				      &m->rx_other[i]);

		if (ret)
			return i;
	}
	return m->ft.opt.count;
}

/* Last come, first served. */
static void recv_others(struct match *m, size_t n)
{
	uint64_t all = m->ft.rx_done + n;
	struct fi_cq_entry entry;

	for (size_t i = n; i-- > 0;)
		while (ft_recv_try(&m->ft, &m->other, SIZE, OTHER_TAG + i,
				   &m->rx_other[i]))
			if (!ft_poll_rx(&m->ft, &entry, 1))
				ft_idle(&m->ft);
	ft_wait_rx(&m->ft, all);
}

/* Sends up to n; returns how many went before the provider refused for
 * PATIENCE_NS, as it may when nothing at the peer takes them. */
static size_t send_others(struct match *m, size_t n)
{
	struct ft *ft = &m->ft;
	uint64_t since = ft_now();

	for (size_t i = 0; i < n;) {
		ssize_t ret = fi_tsend(ft->ep, m->tx.p, SIZE, m->tx.desc,
				       ft->peer, OTHER_TAG + i,
				       &m->tx_other[i]);

		if (!ret) {
			ft->tx_posted++;
			i++;
			since = ft_now();
		} else if (ret != -FI_EAGAIN) {
			ft_die("fi_tsend", (int)ret);
		} else if (ft_now() - since > PATIENCE_NS) {
			return i;
		}
		ft_poll_tx(ft);
	}
	return n;
}

static void settle(struct match *m)
{
	uint64_t end = ft_now() + SETTLE_NS;

	while (ft_now() < end)
		ft_progress(&m->ft);
}

static size_t exchange(struct match *m, size_t mine)
{
	size_t theirs;

	ft_oob_send(&m->ft, &mine, sizeof(mine));
	ft_oob_recv(&m->ft, &theirs, sizeof(theirs));
	return theirs;
}

static void under_nothing(struct match *m)
{
	post_recv(m);
	pingpong(m, "nothing", 0);
}

static void under_posted(struct match *m)
{
	size_t mine, theirs;
	uint64_t before;

	post_recv(m);
	mine = post_others(m);
	theirs = exchange(m, mine);
	pingpong(m, "posted", mine);
	before = m->ft.rx_done;
	if (send_others(m, theirs) < theirs)
		ft_fail("messages with a receive posted were refused");
	ft_wait_rx(&m->ft, before + mine);
	ft_wait_tx(&m->ft);
	ft_sync(&m->ft);
}

static void under_unexpected(struct match *m)
{
	size_t mine = send_others(m, m->ft.opt.count);
	size_t theirs = exchange(m, mine);

	settle(m);
	if (mine < m->ft.opt.count || theirs < m->ft.opt.count) {
		if (m->ft.client)
			printf("unexpected %8zu refused after %zu\n",
			       m->ft.opt.count, mine);
	} else {
		post_recv(m);
		pingpong(m, "unexpected", theirs);
	}
	recv_others(m, theirs);
	ft_wait_tx(&m->ft);
	ft_sync(&m->ft);
}

int main(int argc, char **argv)
{
	struct match m = { .rounds = ROUNDS };
	struct ft *ft = &m.ft;

	ft_start(ft, argc, argv, &program);
	if (ft->opt.iterations)
		m.rounds = ft->opt.iterations;
	ft_open(ft, &(struct ft_request){ .caps = FI_TAGGED,
					  .rx_size = ft->opt.count + 1 });
	m.tx_other = ft_alloc(ft->opt.count * sizeof(*m.tx_other));
	m.rx_other = ft_alloc(ft->opt.count * sizeof(*m.rx_other));
	m.tx = ft_buf_new(ft, SIZE);
	m.rx = ft_buf_new(ft, SIZE);
	m.other = ft_buf_new(ft, SIZE);
	if (ft->client)
		printf("#%10s %8s %10s %10s %10s %10s  one-way usec\n",
		       "waiting", "n", "average", "min", "median", "p99");
	under_nothing(&m);
	under_posted(&m);
	under_unexpected(&m);
	ft_buf_free(&m.tx);
	ft_buf_free(&m.rx);
	ft_buf_free(&m.other);
	free(m.tx_other);
	free(m.rx_other);
	return ft_finish(ft, 0);
}
