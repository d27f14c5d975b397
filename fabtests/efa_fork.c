/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_fork.c - a process that forks goes on, and so does its peer
 *
 * Both sides send to each other, and with messages under way one of them forks.
 * What the child does differs: it runs another program, ends with and without
 * the functions of atexit(3), closes its copies of everything, or stays for a
 * while with all of them open. Every byte of what was under way is checked, and
 * of what comes after.
 */
#include "ft.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pattern.h"

#define UNDER_WAY 8u /* messages each way */
#define CHILD_S 20 /* that a child may take */

static const struct ft_program program = {
	.name = "efa_fork",
	.summary = "forks with messages under way",
	.options = "SnOX",
	.sizes = "8,5000,300000",
	.count = 3,
};

struct test {
	struct ft ft;
	struct ft_buf tx, rx;
	uint64_t received, serial;
	pid_t lingering; /* a child that stays; 0: none */
};

/* ---- what children do ------------------------------------------------------ */

static void run_program(struct test *t)
{
	(void)t;
	execlp("true", "true", (char *)NULL);
	_exit(EXIT_FAILURE);
}

static void leave_at_once(struct test *t)
{
	(void)t;
	_exit(EXIT_SUCCESS);
}

/* Libfabric and its providers clean up after themselves here. */
static void leave_in_order(struct test *t)
{
	(void)t;
	exit(EXIT_SUCCESS);
}

static void close_all(struct test *t)
{
	ft_buf_free(&t->tx);
	ft_buf_free(&t->rx);
	ft_close(&t->ft);
	_exit(EXIT_SUCCESS);
}

/* Scribbles over what it took for its own memory. */
static void write_memory(struct test *t)
{
	memset(t->rx.p, 0x5a, t->rx.size);
	memset(t->tx.p, 0xa5, t->tx.size);
	_exit(EXIT_SUCCESS);
}

static void stay(struct test *t)
{
	(void)t;
	pause();
	_exit(EXIT_SUCCESS);
}

static const struct kind {
	const char *name;
	void (*child)(struct test *t);
	bool stays;
} kinds[] = {
	{ .name = "exec", .child = run_program },
	{ .name = "_exit", .child = leave_at_once },
	{ .name = "exit", .child = leave_in_order },
	{ .name = "close", .child = close_all },
	{ .name = "write", .child = write_memory },
	{ .name = "stay", .child = stay, .stays = true },
};

/* ---- forking --------------------------------------------------------------- */

static void await_child(struct test *t, const char *name, pid_t child)
{
	uint64_t end = ft_now() + CHILD_S * 1000000000ull;
	int status;
	pid_t pid;

	while (!(pid = waitpid(child, &status, WNOHANG))) {
		ft_progress(&t->ft);
		if (ft_now() < end)
			continue;
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		ft_fail("%s: the child hangs", name);
	}
	if (pid != child)
		ft_die("waitpid", -errno);
	if (status)
		ft_fail("%s: the child ended with status 0x%x", name,
			(unsigned int)status);
}

static void fork_once(struct test *t, const struct kind *kind)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child < 0)
		ft_die("fork", -errno);
	if (!child) {
		kind->child(t);
		_exit(EXIT_FAILURE);
	}
	if (kind->stays)
		t->lingering = child;
	else
		await_child(t, kind->name, child);
}

static void end_lingering(struct test *t)
{
	if (!t->lingering)
		return;
	kill(t->lingering, SIGKILL);
	if (waitpid(t->lingering, NULL, 0) != t->lingering)
		ft_die("waitpid", -errno);
	t->lingering = 0;
}

/* ---- messages ---------------------------------------------------------------- */

static char *slot(const struct ft_buf *buf, size_t size, size_t i)
{
	return buf->p + i * size;
}

static void post_recvs(struct test *t, size_t size)
{
	struct ft_buf at = t->rx;

	memset(t->rx.p, 0, UNDER_WAY * size);
	for (size_t i = 0; i < UNDER_WAY; i++) {
		at.p = slot(&t->rx, size, i);
		ft_recv(&t->ft, &at, size, i, at.p);
	}
}

static void send_all(struct test *t, size_t size)
{
	struct ft_buf at = t->tx;

	for (size_t i = 0; i < UNDER_WAY; i++) {
		at.p = slot(&t->tx, size, i);
		pattern_fill(at.p, size, t->serial + i);
		ft_send(&t->ft, &at, size, i, at.p);
	}
}

static void finish(struct test *t, const char *name, size_t size)
{
	ft_wait_tx(&t->ft);
	t->received += UNDER_WAY;
	ft_wait_rx(&t->ft, t->received);
	for (size_t i = 0; i < UNDER_WAY; i++)
		if (pattern_check(slot(&t->rx, size, i), size, t->serial + i) !=
		    size)
			ft_fail("%s: message %zu of %zu bytes is wrong", name,
				i, size);
	t->serial += UNDER_WAY;
}

/* kind: what a child does meanwhile; NULL: this side does not fork. */
static void exchange(struct test *t, const struct kind *kind, size_t size)
{
	const char *name = kind ? kind->name : "the peer's fork";

	post_recvs(t, size);
	ft_sync(&t->ft);
	send_all(t, size);
	if (kind)
		fork_once(t, kind);
	finish(t, name, size);
	ft_sync(&t->ft);
	post_recvs(t, size);
	ft_sync(&t->ft);
	send_all(t, size);
	finish(t, name, size);
	ft_sync(&t->ft);
	end_lingering(t);
}

static void run(struct test *t, const struct kind *kind)
{
	uint64_t forks = 0;

	for (size_t n = 0; n < t->ft.opt.count; n++) {
		for (size_t i = 0; i < t->ft.opt.nsizes; i++) {
			for (int client = 0; client < 2; client++) {
				exchange(t,
					 client == t->ft.client ? kind : NULL,
					 t->ft.opt.size[i]);
				forks++;
			}
		}
	}
	if (t->ft.client)
		printf("%-8s %llu forks\n", kind->name,
		       (unsigned long long)forks);
}

static size_t largest(const struct ft_options *opt)
{
	size_t max = 1;

	for (size_t i = 0; i < opt->nsizes; i++)
		max = opt->size[i] > max ? opt->size[i] : max;
	return max;
}

int main(int argc, char **argv)
{
	struct test t = { .lingering = 0 };
	size_t n = 0;

	ft_start(&t.ft, argc, argv, &program);
	ft_open(&t.ft, &(struct ft_request){
			       .caps = FI_MSG | FI_TAGGED,
			       .format = FI_CQ_FORMAT_TAGGED,
		       });
	t.tx = ft_buf_new(&t.ft, UNDER_WAY * largest(&t.ft.opt));
	t.rx = ft_buf_new(&t.ft, UNDER_WAY * largest(&t.ft.opt));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!ft_chosen(&t.ft.opt, kinds[i].name))
			continue;
		run(&t, &kinds[i]);
		n++;
	}
	if (!n)
		ft_fail("no kind of child is left by --only and --skip");
	ft_buf_free(&t.tx);
	ft_buf_free(&t.rx);
	return ft_finish(&t.ft, 0);
}
