/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_rdm_bw.c - streaming bandwidth and message rate, client to server
 *
 * The client sends a window of messages, waits for their completions and for
 * one small reply, and goes on with the next window; all messages of a window
 * use one buffer. The server keeps a window of receives posted all the time.
 */
#include "ft.h"

#include <stdio.h>
#include <stdlib.h>

#define DATA_TAG 1u
#define REPLY_TAG 2u
#define REPLY_SIZE 4u

static const struct ft_program program = {
	.name = "efa_rdm_bw",
	.summary = "streaming bandwidth and message rate on RDM endpoints",
	.options = "mSiWT",
	.sizes = "8,64k,1m",
	.window = 64,
};

struct stream {
	struct ft ft;
	struct ft_buf data, reply;
	struct fi_context2 *context; /* [window], data in either direction */
	struct fi_context2 reply_context;
	size_t size;
	size_t windows; /* with the warm-up */
	size_t warmup; /* windows not timed */
	FILE *timeline; /* of the client: time and bytes of windows, or NULL */
};

/* A line at a time: who looks at it may end us when he has seen enough. */
static FILE *timeline_open(const char *name)
{
	FILE *file = fopen(name, "w");

	if (!file)
		ft_fail("%s cannot be written", name);
	setvbuf(file, NULL, _IOLBF, BUFSIZ);
	return file;
}

static void send_data(struct stream *st, size_t i)
{
	if (st->size <= st->ft.inject_size)
		ft_inject(&st->ft, st->data.p, st->size, DATA_TAG);
	else
		ft_send(&st->ft, &st->data, st->size, DATA_TAG,
			&st->context[i]);
}

static void recv_data(struct stream *st, void *context)
{
	ft_recv(&st->ft, &st->data, st->size, DATA_TAG, context);
}

/*
 * One time stamp a window. The reply's receive is posted before anything is
 * sent: msg mode relies on the client having no other receive.
 */
static void run_client(struct stream *st, uint64_t *stamp)
{
	struct ft *ft = &st->ft;
	uint64_t replies = ft->rx_done;

	stamp[0] = ft_now();
	for (size_t w = 0; w < st->windows; w++) {
		ft_recv(ft, &st->reply, REPLY_SIZE, REPLY_TAG,
			&st->reply_context);
		for (size_t i = 0; i < ft->opt.window; i++)
			send_data(st, i);
		ft_wait_tx(ft);
		ft_wait_rx(ft, ++replies);
		stamp[w + 1] = ft_now();
		if (st->timeline)
			fprintf(st->timeline, "%llu %zu\n",
				(unsigned long long)stamp[w + 1],
				st->size * ft->opt.window);
	}
}

static void run_server(struct stream *st)
{
	struct fi_cq_entry entry[FT_CQ_BATCH];
	struct ft *ft = &st->ft;
	uint64_t first = ft->rx_done;
	size_t window = ft->opt.window;
	size_t total = st->windows * window, posted = window, replied = 0;

	while (replied < st->windows) {
		size_t n = ft_poll_rx(ft, entry, FT_CQ_BATCH);

		if (!n)
			ft_idle(ft);
		for (size_t i = 0; i < n && posted < total; i++, posted++)
			recv_data(st, entry[i].op_context);
		if (ft->rx_done - first < (replied + 1) * window)
			continue;
		ft_send(ft, &st->reply, REPLY_SIZE, REPLY_TAG,
			&st->reply_context);
		ft_wait_tx(ft);
		replied++;
	}
}

static size_t windows_for(const struct stream *st)
{
	if (st->ft.opt.iterations)
		return st->ft.opt.iterations;
	if (st->size <= 8192)
		return 10000;
	return st->size <= (256u << 10) ? 300 : 40;
}

/* All windows together, and the median window, which others using the machine
 * do not disturb. */
static void report(const struct stream *st, const uint64_t *stamp)
{
	size_t n = st->windows - st->warmup;
	uint32_t *sample = ft_alloc(n * sizeof(*sample));
	double window = (double)st->ft.opt.window;
	struct ft_stats s;

	for (size_t i = 0; i < n; i++)
		sample[i] = (uint32_t)(stamp[st->warmup + i + 1] -
				       stamp[st->warmup + i]);
	s = ft_stats_of(sample, n);
	printf("%10zu %10zu %12.1f %14.0f %12.1f %14.0f\n", st->size,
	       n * st->ft.opt.window,
	       window * (double)st->size / s.average * 1e3,
	       window / s.average * 1e9,
	       window * (double)st->size / s.median * 1e3,
	       window / s.median * 1e9);
	free(sample);
}

static void run_size(struct stream *st)
{
	struct ft *ft = &st->ft;
	uint64_t *stamp;

	st->windows = windows_for(st);
	st->warmup = st->windows / 10 + 1;
	st->windows += st->warmup;
	stamp = ft_alloc((st->windows + 1) * sizeof(*stamp));
	st->data = ft_buf_new(ft, st->size);
	st->reply = ft_buf_new(ft, REPLY_SIZE);
	for (size_t i = 0; !ft->client && i < ft->opt.window; i++)
		recv_data(st, &st->context[i]);
	ft_sync(ft);
	if (ft->client)
		run_client(st, stamp);
	else
		run_server(st);
	ft_sync(ft);
	if (ft->client)
		report(st, stamp);
	free(stamp);
	ft_buf_free(&st->data);
	ft_buf_free(&st->reply);
}

int main(int argc, char **argv)
{
	struct stream st = { .size = 0 };
	struct ft *ft = &st.ft;

	ft_start(ft, argc, argv, &program);
	ft_open(ft, &(struct ft_request){ .caps = ft->opt.tagged ? FI_TAGGED :
								   FI_MSG,
					  .order = FI_ORDER_SAS,
					  .format = FI_CQ_FORMAT_CONTEXT });
	if (ft->client && ft->opt.timeline)
		st.timeline = timeline_open(ft->opt.timeline);
	st.context = ft_alloc(ft->opt.window * sizeof(*st.context));
	if (ft->client)
		printf("#%9s %10s %12s %14s %12s %14s  window %zu, %s\n",
		       "bytes", "messages", "MB/s", "messages/s", "median MB/s",
		       "messages/s", ft->opt.window,
		       ft->opt.tagged ? "tagged" : "msg");
	for (size_t i = 0; i < ft->opt.nsizes; i++) {
		st.size = ft->opt.size[i];
		run_size(&st);
	}
	free(st.context);
	if (st.timeline)
		fclose(st.timeline);
	return ft_finish(ft, 0);
}
