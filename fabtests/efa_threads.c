/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_threads.c - message rate of 1, 2, 4 ... -n threads of a process
 *
 *   to itself   a thread sends to the endpoint that it receives by, so that
 *               as many cores are needed as there are threads
 *   to a peer   a thread of the client sends to one of the server
 *
 * either with an endpoint and completion queues for each thread, or with one
 * endpoint and its queues for all of them. There a thread finds completions of
 * others in the queue, and counts them for their owners. Threads send windows
 * of messages, each of which the receiver answers, and tell each other's
 * messages apart by tags. With --verify every message has bytes of its own,
 * which are checked.
 */
#include "ft.h"
#include "pattern.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS_MAX 64u
#define WINDOWS 4000u /* of -i */
#define REPLY_SIZE 4u
#define SPINS 128u /* polls in vain before others get the core */
#define APART __attribute__((aligned(128)))

static const struct ft_program program = {
	.name = "efa_threads",
	.summary = "message rate of 1 to -n threads, one endpoint or one each",
	.options = "nSiWV",
	.sizes = "8",
	.count = 4,
	.window = 64,
};

/* A thread, of either side. */
struct worker {
	struct ft ft; /* its endpoint, or everybody's; a copy */
	unsigned int number;
	bool self; /* it sends to itself */
	bool shared; /* others poll the same queues */
	size_t size;
	struct ft_buf tx, rx; /* [window] messages; one without --verify */
	struct ft_buf reply;
	struct op *op; /* [2 * window + 1] */
	uint64_t sent, received; /* that have to be done */
	uint64_t first, last; /* ft_now() at begin and end */
	pthread_barrier_t *start;
	pthread_t thread;
	_Atomic uint64_t tx_done APART; /* by whoever has polled it */
	_Atomic uint64_t rx_done;
} APART;

/* What is under way; its context is what a completion gives back. */
struct op {
	struct fi_context2 context; /* first */
	struct worker *owner;
};

struct run {
	struct ft *ft; /* [opt.count] endpoints */
	struct ft *main;
	struct worker *worker; /* [opt.count] */
	size_t windows;
	double alone; /* messages a second of one thread of this kind */
};

/* ---- one thread ---------------------------------------------------------- */

static void count(struct worker *w, _Atomic uint64_t *done)
{
	/* Release: whoever waits for it reads what was received. */
	if (w->shared)
		atomic_fetch_add_explicit(done, 1, memory_order_release);
	else
		atomic_store_explicit(done, *done + 1, memory_order_release);
}

static void poll_queue(struct worker *w, struct fid_cq *cq, bool receives)
{
	struct fi_cq_entry entry[FT_CQ_BATCH];
	ssize_t n = fi_cq_read(cq, entry, FT_CQ_BATCH);
	const char *what = receives ? "receive" : "send";

	if (n == -FI_EAVAIL)
		ft_cq_die(&w->ft, cq, what);
	if (n < 0 && n != -FI_EAGAIN)
		ft_die(what, (int)n);
	for (ssize_t i = 0; i < n; i++) {
		struct worker *owner =
			((struct op *)entry[i].op_context)->owner;

		count(owner, receives ? &owner->rx_done : &owner->tx_done);
	}
	if (n > 0)
		ft_busy(&w->ft);
	else
		ft_idle(&w->ft);
}

/* There may be more threads than cores. */
static void drive(struct worker *w)
{
	if (w->ft.idle_polls % SPINS == SPINS - 1)
		sched_yield();
	poll_queue(w, w->ft.txcq, false);
	poll_queue(w, w->ft.rxcq, true);
}

static void wait_sent(struct worker *w)
{
	while (atomic_load_explicit(&w->tx_done, memory_order_acquire) <
	       w->sent)
		drive(w);
}

static void wait_received(struct worker *w)
{
	while (atomic_load_explicit(&w->rx_done, memory_order_acquire) <
	       w->received)
		drive(w);
}

static void send_one(struct worker *w, const struct ft_buf *buf, size_t offset,
		     size_t len, uint64_t tag, struct op *op)
{
	const struct ft *ft = &w->ft;
	fi_addr_t to = w->self ? ft->self : ft->peer;
	ssize_t ret;

	while ((ret = fi_tsend(ft->ep, buf->p + offset, len, buf->desc, to, tag,
			       &op->context)) == -FI_EAGAIN)
		drive(w);
	ft_check("fi_tsend", (int)ret);
	w->sent++;
}

static void recv_one(struct worker *w, struct ft_buf *buf, size_t offset,
		     size_t len, uint64_t tag, struct op *op)
{
	const struct ft *ft = &w->ft;
	ssize_t ret;

	while ((ret = fi_trecv(ft->ep, buf->p + offset, len, buf->desc,
			       FI_ADDR_UNSPEC, tag, 0, &op->context)) ==
	       -FI_EAGAIN)
		drive(w);
	ft_check("fi_trecv", (int)ret);
	w->received++;
}

/* ---- windows of messages --------------------------------------------------- */

static uint64_t data_tag(const struct worker *w)
{
	return 2 * w->number;
}

static uint64_t reply_tag(const struct worker *w)
{
	return 2 * w->number + 1;
}

static size_t slot(const struct worker *w, size_t i)
{
	return w->ft.opt.verify ? i * w->size : 0;
}

static uint64_t seed(const struct worker *w, size_t window, size_t i)
{
	return (uint64_t)w->number << 48 | (window * w->ft.opt.window + i);
}

static void send_window(struct worker *w, size_t window)
{
	for (size_t i = 0; i < w->ft.opt.window; i++) {
		if (w->ft.opt.verify)
			pattern_fill(w->tx.p + slot(w, i), w->size,
				     seed(w, window, i));
		send_one(w, &w->tx, slot(w, i), w->size, data_tag(w),
			 &w->op[i]);
	}
}

static void recv_window(struct worker *w)
{
	size_t n = w->ft.opt.window;

	for (size_t i = 0; i < n; i++)
		recv_one(w, &w->rx, slot(w, i), w->size, data_tag(w),
			 &w->op[n + i]);
}

static void check_window(const struct worker *w, size_t window)
{
	if (!w->ft.opt.verify)
		return;
	for (size_t i = 0; i < w->ft.opt.window; i++)
		if (pattern_check(w->rx.p + slot(w, i), w->size,
				  seed(w, window, i)) != w->size)
			ft_fail("thread %u: message %zu of window %zu is not "
				"what was sent",
				w->number, i, window);
}

static void to_itself(struct worker *w, size_t windows)
{
	for (size_t i = 0; i < windows; i++) {
		recv_window(w);
		send_window(w, i);
		wait_sent(w);
		wait_received(w);
		check_window(w, i);
	}
}

static void client(struct worker *w, size_t windows)
{
	struct op *reply = &w->op[2 * w->ft.opt.window];

	for (size_t i = 0; i < windows; i++) {
		recv_one(w, &w->reply, 0, REPLY_SIZE, reply_tag(w), reply);
		send_window(w, i);
		wait_sent(w);
		wait_received(w);
	}
}

/* The first window of receives is posted before the clients begin. */
static void server(struct worker *w, size_t windows)
{
	struct op *reply = &w->op[2 * w->ft.opt.window];

	for (size_t i = 0; i < windows; i++) {
		wait_received(w);
		check_window(w, i);
		if (i + 1 < windows)
			recv_window(w);
		send_one(w, &w->reply, 0, REPLY_SIZE, reply_tag(w), reply);
		wait_sent(w);
	}
}

static void pin(const struct worker *w)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	long core = w->self ? w->number : 2L * w->number + w->ft.client;

	if (w->ft.opt.pin)
		ft_pin((int)(core % cores));
}

static size_t windows_of(const struct worker *w)
{
	return w->ft.opt.iterations ? w->ft.opt.iterations : WINDOWS;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	size_t windows = windows_of(w);

	pin(w);
	pthread_barrier_wait(w->start);
	w->first = ft_now();
	if (w->self)
		to_itself(w, windows);
	else if (w->ft.client)
		client(w, windows);
	else
		server(w, windows);
	w->last = ft_now();
	return NULL;
}

/* ---- all threads --------------------------------------------------------- */

static void worker_open(struct worker *w, const struct ft *ft, size_t size)
{
	size_t room = ft->opt.verify ? size * ft->opt.window : size;

	w->ft = *ft;
	w->size = size;
	w->tx = ft_buf_new(&w->ft, room);
	w->rx = ft_buf_new(&w->ft, room);
	w->reply = ft_buf_new(&w->ft, REPLY_SIZE);
	w->op = ft_alloc((2 * ft->opt.window + 1) * sizeof(*w->op));
	for (size_t i = 0; i <= 2 * ft->opt.window; i++)
		w->op[i].owner = w;
	if (!w->self && !ft->client)
		recv_window(w);
}

static void worker_close(struct worker *w)
{
	ft_buf_free(&w->tx);
	ft_buf_free(&w->rx);
	ft_buf_free(&w->reply);
	free(w->op);
}

static void report(struct run *run, unsigned int n, bool self, bool shared)
{
	const struct worker *w = run->worker;
	uint64_t first = w->first, last = w->last;
	double rate;

	for (unsigned int i = 1; i < n; i++) {
		first = w[i].first < first ? w[i].first : first;
		last = w[i].last > last ? w[i].last : last;
	}
	rate = (double)(n * windows_of(w) * w->ft.opt.window) /
	       ((double)(last - first) / 1e9);
	if (n == 1)
		run->alone = rate;
	printf("%-10s %-14s %8zu %8u %14.0f %8.2f\n",
	       self ? "to itself" : "to a peer",
	       shared ? "one endpoint" : "one a thread", w->size, n, rate,
	       rate / run->alone);
}

static void run_threads(struct run *run, unsigned int n, size_t size, bool self,
			bool shared)
{
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, n);
	for (unsigned int i = 0; i < n; i++) {
		struct worker *w = &run->worker[i];

		*w = (struct worker){ .number = i,
				      .self = self,
				      .shared = shared,
				      .start = &start };
		worker_open(w, &run->ft[shared ? 0 : i], size);
	}
	ft_sync(run->main);
	for (unsigned int i = 0; i < n; i++)
		if (pthread_create(&run->worker[i].thread, NULL, worker_main,
				   &run->worker[i]))
			ft_fail("no thread");
	for (unsigned int i = 0; i < n; i++)
		pthread_join(run->worker[i].thread, NULL);
	if (run->main->client)
		report(run, n, self, shared);
	for (unsigned int i = 0; i < n; i++)
		worker_close(&run->worker[i]);
	pthread_barrier_destroy(&start);
}

static void run_kind(struct run *run, size_t size, bool self, bool shared)
{
	/* The server sleeps while the client sends to itself. */
	for (unsigned int n = 1; n <= run->main->opt.count; n *= 2) {
		if (!self || run->main->client)
			run_threads(run, n, size, self, shared);
		else
			ft_sync(run->main);
		ft_sync(run->main);
	}
}

static void open_all(struct run *run)
{
	const struct ft_request request = { .caps = FI_TAGGED,
					    .order = FI_ORDER_SAS,
					    .threading = FI_THREAD_SAFE };
	size_t n = run->main->opt.count;

	if (!n || n > THREADS_MAX)
		ft_fail("-n wants 1 to %u threads", THREADS_MAX);
	ft_open(run->main, &request);
	run->ft = ft_alloc(n * sizeof(*run->ft));
	run->worker = aligned_alloc(_Alignof(struct worker),
				    n * sizeof(*run->worker));
	if (!run->worker)
		ft_fail("out of memory");
	for (size_t i = 0; i < n; i++) {
		struct ft *ft = &run->ft[i];

		*ft = *run->main;
		if (i) {
			ft_open_ep(ft, &request);
			ft_meet(ft);
		}
		ft_insert_self(ft);
	}
}

static void close_all(struct run *run)
{
	for (size_t i = 1; i < run->main->opt.count; i++)
		ft_close_ep(&run->ft[i]);
	free(run->ft);
	free(run->worker);
}

int main(int argc, char **argv)
{
	struct run run = { 0 };
	struct ft ft;

	ft_start(&ft, argc, argv, &program);
	run.main = &ft;
	open_all(&run);
	if (ft.client)
		printf("#%-9s %-14s %8s %8s %14s %8s  window %zu%s\n", "", "",
		       "bytes", "threads", "messages/s", "of one",
		       ft.opt.window, ft.opt.verify ? ", verified" : "");
	for (size_t i = 0; i < ft.opt.nsizes; i++)
		for (int kind = 0; kind < 4; kind++)
			run_kind(&run, ft.opt.size[i], kind < 2, kind & 1);
	close_all(&run);
	return ft_finish(&ft, 0);
}
