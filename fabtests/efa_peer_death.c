/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_peer_death.c - sends to a killed process have to end, and soon
 *
 * For each size a fresh pair: one process sends a stream, the other, once data
 * flows, is killed with no chance to say goodbye. The sender goes on. It passes
 * when within LIMIT_S seconds a send has failed, every send it had posted is
 * over, one way or the other, and everything closes.
 */
#include "ft.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAG 3u
#define LIMIT_S 10.0
#define FLOW_NS 300000000u /* of traffic before the kill */

static const struct ft_program program = {
	.name = "efa_peer_death",
	.summary = "sends to a killed process end with an error",
	.options = "mSW",
	.sizes = "8,4k,64k,4m",
	.window = 16,
};

struct death {
	struct ft ft;
	struct ft_buf buf;
	struct fi_context2 *context; /* [window] */
	void **idle; /* [window] contexts of no send; nidle of them */
	size_t nidle;
	size_t size;
	size_t posted, over, failed;
	int error; /* of the first failure */
	double error_after; /* seconds from the kill */
	uint64_t killed; /* when; 0 before */
};

static double since_kill(const struct death *d)
{
	return (double)(ft_now() - d->killed) / 1e9;
}

static void note_error(struct death *d, int error)
{
	if (!d->killed)
		ft_fail("a send failed before the kill: %s",
			fi_strerror(error));
	if (!d->error) {
		d->error = error;
		d->error_after = since_kill(d);
	}
}

static void post(struct death *d)
{
	struct ft *ft = &d->ft;
	void *context = d->idle[d->nidle - 1];
	ssize_t ret;

	if (ft->opt.tagged)
		ret = fi_tsend(ft->ep, d->buf.p, d->size, d->buf.desc, ft->peer,
			       TAG, context);
	else
		ret = fi_send(ft->ep, d->buf.p, d->size, d->buf.desc, ft->peer,
			      context);
	if (!ret) {
		d->posted++;
		d->nidle--;
	} else if (ret != -FI_EAGAIN) {
		note_error(d, (int)-ret);
	}
}

static void is_over(struct death *d, void *context)
{
	d->over++;
	d->idle[d->nidle++] = context;
}

static void reap(struct death *d)
{
	struct fi_cq_entry entry[FT_CQ_BATCH];
	struct fi_cq_err_entry err = { 0 };
	ssize_t n = fi_cq_read(d->ft.txcq, entry, FT_CQ_BATCH);

	if (n == -FI_EAVAIL && fi_cq_readerr(d->ft.txcq, &err, 0) == 1) {
		is_over(d, err.op_context);
		d->failed++;
		note_error(d, err.err);
	}
	for (ssize_t i = 0; i < n; i++)
		is_over(d, entry[i].op_context);
	(void)fi_cq_read(d->ft.rxcq, NULL, 0);
}

static void kill_peer(struct death *d)
{
	pid_t victim = d->ft.child;
	int status;

	if (kill(victim, SIGKILL) || waitpid(victim, &status, 0) != victim)
		ft_die("kill", -errno);
	d->ft.child = 0;
	d->killed = ft_now();
}

static void report(const struct death *d, bool ended)
{
	printf("%10zu bytes: %s", d->size, ended ? "passed" : "FAILED");
	if (d->error)
		printf(", first error after %.3f s (%s)", d->error_after,
		       fi_strerror(d->error));
	else
		printf(", no error in %.0f s", since_kill(d));
	printf(", %zu sends, %zu failed, %zu never ended\n", d->posted,
	       d->failed, d->posted - d->over);
}

/* Keeps the window full until a send fails, then only waits. */
static int survive(struct death *d)
{
	uint64_t start = ft_now();
	bool ended = false;

	while (!ended && (!d->killed || since_kill(d) < LIMIT_S)) {
		if (!d->error && d->nidle)
			post(d);
		reap(d);
		if (!d->killed && d->over > d->ft.opt.window &&
		    ft_now() - start > FLOW_NS)
			kill_peer(d);
		if (ft_now() - start > FLOW_NS + 20000000000u && !d->killed)
			ft_fail("no traffic");
		ended = d->error && d->over == d->posted;
	}
	report(d, ended);
	ft_buf_free(&d->buf);
	ft_close(&d->ft);
	if (since_kill(d) > 2 * LIMIT_S)
		ft_fail("closing took %.0f s", since_kill(d));
	return ended ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Receives until the end, which comes without notice. */
static _Noreturn void be_killed(struct death *d)
{
	struct fi_cq_entry entry[FT_CQ_BATCH];

	for (size_t i = 0; i < d->ft.opt.window; i++)
		ft_recv(&d->ft, &d->buf, d->size, TAG, &d->context[i]);
	for (;;) {
		size_t n = ft_poll_rx(&d->ft, entry, FT_CQ_BATCH);

		for (size_t i = 0; i < n; i++)
			ft_recv(&d->ft, &d->buf, d->size, TAG,
				entry[i].op_context);
		if (!n)
			ft_idle(&d->ft);
	}
}

static int run_pair(int argc, char **argv, size_t index)
{
	struct death d = { .size = 0 };

	ft_start(&d.ft, argc, argv, &program);
	if (!d.ft.opt.fork)
		ft_fail("both processes have to be ours");
	d.size = d.ft.opt.size[index];
	ft_open(&d.ft, &(struct ft_request){
			       .caps = d.ft.opt.tagged ? FI_TAGGED : FI_MSG });
	d.context = ft_alloc(d.ft.opt.window * sizeof(*d.context));
	d.idle = ft_alloc(d.ft.opt.window * sizeof(*d.idle));
	while (d.nidle < d.ft.opt.window) {
		d.idle[d.nidle] = &d.context[d.nidle];
		d.nidle++;
	}
	d.buf = ft_buf_new(&d.ft, d.size);
	if (d.ft.client)
		be_killed(&d);
	return survive(&d);
}

int main(int argc, char **argv)
{
	struct ft ft = { .program = &program };
	int failed = 0;

	ft_options_parse(&ft, argc, argv);
	for (size_t i = 0; i < ft.opt.nsizes; i++) {
		pid_t pair;
		int status;

		fflush(NULL);
		pair = fork();
		if (!pair) {
			/* The options are parsed once more in the pair. */
			optind = 1;
			exit(run_pair(argc, argv, i));
		}
		if (pair < 0 || waitpid(pair, &status, 0) != pair)
			ft_die("fork", -errno);
		failed += status != 0;
		if (WIFSIGNALED(status))
			printf("%10zu bytes: FAILED, signal %d\n",
			       ft.opt.size[i], WTERMSIG(status));
	}
	printf("%zu passed, %d failed\n", ft.opt.nsizes - (size_t)failed,
	       failed);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
