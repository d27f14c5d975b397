/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_peer_wait.c - an operation that waits for a process ends when that is
 * killed, though all that was sent to it has arrived
 *
 * For each case and size a fresh pair: the survivor starts one operation that
 * needs the victim's help; the victim is busy with something else and calls
 * libfabric no more, until it is killed QUIET_NS later. A case has passed when
 * its operation is over within LIMIT_S seconds of that. It may have succeeded,
 * if the victim's device did all the work; "send" cannot.
 */
#include "ft.h"
#include "one_op.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAG 3u
#define KEY 0x77u
#define LIMIT_S 30.0
#define QUIET_NS 1300000000u

static const struct ft_program program = {
	.name = "efa_peer_wait",
	.summary = "operations that wait for a killed process end",
	.options = "mSOX",
	.sizes = "8,20k,256k,4m",
};

struct wait {
	struct ft ft;
	struct ft_buf buf;
	size_t size;
	struct one_op op; /* on the victim's buffer */
	struct fid_mr *mr; /* of ours */
};

/* --- what the survivor waits for ---------------------------------------- */

static const struct wait_case {
	const char *name;
	ssize_t (*start)(struct ft *ft, struct one_op *op);
	bool victim_sends;
	bool one_size; /* 8 bytes */
	bool must_fail;
} cases[] = {
	{ "send", one_send, false, false, true },
	{ "receive", one_recv, true, false, false },
	{ "read", one_read, false, false, false },
	{ "write", one_write, false, false, false },
	{ "atomic", one_fetch, false, true, true },
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

/* --- both --------------------------------------------------------------- */

static void open_all(struct wait *w)
{
	uint64_t mine[2], theirs[2];
	int virt;

	ft_open(&w->ft, &(struct ft_request){ .caps = FI_TAGGED | FI_MSG |
						      FI_RMA | FI_ATOMIC });
	w->buf = ft_buf_new(&w->ft, w->size);
	virt = w->ft.info->domain_attr->mr_mode & FI_MR_VIRT_ADDR;
	ft_check("fi_mr_reg", fi_mr_reg(w->ft.domain, w->buf.p, w->size,
					FI_REMOTE_READ | FI_REMOTE_WRITE, 0,
					KEY, 0, &w->mr, NULL));
	mine[0] = virt ? (uintptr_t)w->buf.p : 0;
	mine[1] = fi_mr_key(w->mr);
	ft_oob_send(&w->ft, mine, sizeof(mine));
	ft_oob_recv(&w->ft, theirs, sizeof(theirs));
	w->op = (struct one_op){
		.buf = w->buf.p,
		.size = w->size,
		.desc = w->buf.desc,
		.tag = TAG,
		.addr = theirs[0],
		.key = theirs[1],
		.flags = FI_DELIVERY_COMPLETE,
	};
}

/* A message each way, so that both know what the other can. */
static void greet(struct wait *w)
{
	ft_recv(&w->ft, &w->buf, 8, TAG, &w->op.context);
	ft_send(&w->ft, &w->buf, 8, TAG, &w->op.context);
	ft_wait_tx(&w->ft);
	ft_wait_rx(&w->ft, 1);
	ft_sync(&w->ft);
}

/* --- the victim --------------------------------------------------------- */

/* Computes, until the end, which comes without notice. */
static _Noreturn void be_busy(struct wait *w, const struct wait_case *c)
{
	char ready = 1;

	if (c->victim_sends)
		ft_send(&w->ft, &w->buf, w->size, TAG, &w->op.context);
	ft_oob_send(&w->ft, &ready, 1);
	for (;;)
		pause();
}

/* --- the survivor ------------------------------------------------------- */

static void kill_peer(struct wait *w)
{
	pid_t victim = w->ft.child;
	int status;

	if (kill(victim, SIGKILL) || waitpid(victim, &status, 0) != victim)
		ft_fail("the victim cannot be killed");
	w->ft.child = 0;
}

static int survive(struct wait *w, const struct wait_case *c, const char *when)
{
	struct fi_cq_err_entry err = { 0 };
	uint64_t start = ft_now(), killed = 0;
	int over = 0;
	bool ended;

	one_start(&w->ft, &w->op, c->start);
	while (!over && (!killed || ft_now() - killed < LIMIT_S * 1e9)) {
		over = one_end(&w->ft, &err);
		if (killed || (!over && ft_now() - start < QUIET_NS))
			continue;
		kill_peer(w);
		killed = ft_now();
	}
	ended = over && !(c->must_fail && over == 1);
	printf("%-8s %9zu bytes, %s: %s, %s after %.1f s\n", c->name, w->size,
	       when, ended ? "passed" : "FAILED",
	       over == 1 ? "done" :
	       over	 ? fi_strerror(err.err) :
			   "not over",
	       (double)(ft_now() - killed) / 1e9);
	ft_check("fi_close(mr)", fi_close(&w->mr->fid));
	ft_buf_free(&w->buf);
	ft_close(&w->ft);
	return ended ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_pair(int argc, char **argv, const struct wait_case *c,
		    size_t size, bool greeted)
{
	struct wait w = { .size = size };
	char ready;

	ft_start(&w.ft, argc, argv, &program);
	if (!w.ft.opt.fork)
		ft_fail("both processes have to be ours");
	open_all(&w);
	if (greeted)
		greet(&w);
	if (w.ft.client)
		be_busy(&w, c);
	ft_oob_recv(&w.ft, &ready, 1);
	return survive(&w, c, greeted ? "known" : "strangers");
}

/* In a process of its own; the options are parsed once more there. */
static bool passes(int argc, char **argv, const struct wait_case *c,
		   size_t size, bool greeted)
{
	pid_t pair;
	int status;

	fflush(NULL);
	pair = fork();
	if (!pair) {
		optind = 1;
		exit(run_pair(argc, argv, c, size, greeted));
	}
	if (pair < 0 || waitpid(pair, &status, 0) != pair)
		ft_fail("no process");
	if (WIFSIGNALED(status))
		printf("%-8s %9zu bytes: FAILED, signal %d\n", c->name, size,
		       WTERMSIG(status));
	return status == 0;
}

int main(int argc, char **argv)
{
	struct ft ft = { .program = &program };
	int passed = 0, failed = 0;

	ft_options_parse(&ft, argc, argv);
	for (size_t i = 0; i < CASES; i++) {
		const struct wait_case *c = &cases[i];
		size_t n = c->one_size ? 1 : ft.opt.nsizes;

		for (size_t k = 0; k < 2 * n && ft_chosen(&ft.opt, c->name);
		     k++) {
			size_t size = c->one_size ? 8 : ft.opt.size[k / 2];
			bool good = passes(argc, argv, c, size, k % 2);

			passed += good;
			failed += !good;
		}
	}
	if (!passed && !failed)
		ft_fail("no case is left by --only and --skip");
	printf("%d passed, %d failed\n", passed, failed);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
