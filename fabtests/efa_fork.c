/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_fork.c - a process that forks goes on, and so does its peer
 *
 * Both sides send to each other, write and read each other's memory, and with
 * all that under way one of them forks. What the child does differs: it runs
 * another program, ends with and without the functions of atexit(3), closes its
 * copies of everything, stays for a while with all of them open, or opens an
 * endpoint of its own and talks to its parent's peer; or libc forks and runs a
 * program. Every byte of what was under way is checked, and of what comes
 * after, which goes by an alias of the endpoint where there are any.
 */
#include "ft.h"

#include <errno.h>
#include <fcntl.h>
#include <rdma/fi_rma.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pattern.h"

#define UNDER_WAY 8u /* messages each way */
#define CHILD_S 20 /* that a child may take */
#define CHILD_TAG 1000u /* of what a child of the peer says, and is told */
#define NAME_MAX_BYTES 256u
#define FDS 256 /* of which Python's subprocess closes all but three */

static const struct ft_program program = {
	.name = "efa_fork",
	.summary = "forks with messages under way",
	.options = "SnOXA",
	.sizes = "8,5000,300000",
	.count = 2,
};

struct test {
	struct ft ft;
	struct ft_buf tx, rx;
	struct fid_ep *alias; /* or NULL */
	bool rma;
	struct fid_mr *mr; /* of in and out */
	char *in; /* [2 * size] what the peer writes, then reads */
	char *got; /* what was read of the peer's */
	size_t size; /* of each of these */
	uint64_t addr, key; /* of the peer's in */
	char peer_name[NAME_MAX_BYTES];
	struct fi_context2 rma_context[2];
	uint64_t received, serial;
	pid_t lingering; /* a child that stays; 0: none */
};

static const struct ft_request request = {
	.caps = FI_MSG | FI_TAGGED,
	.format = FI_CQ_FORMAT_TAGGED,
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
	if (t->mr)
		ft_check("close mr", fi_close(&t->mr->fid));
	if (t->alias)
		ft_check("close alias", fi_close(&t->alias->fid));
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

/* With objects of its own, and the parent's only for names of theirs. */
static void open_own(struct test *t)
{
	struct ft own = { .program = &program, .opt = t->ft.opt, .oob = -1 };
	struct ft_buf buf;
	size_t len = NAME_MAX_BYTES;

	ft_open_domain(&own, &request);
	ft_open_ep(&own, &request);
	if (fi_av_insert(own.av, t->peer_name, 1, &own.peer, 0, NULL) != 1)
		ft_fail("own: the peer cannot be inserted");
	buf = ft_buf_new(&own, NAME_MAX_BYTES);
	ft_check("fi_getname", fi_getname(&own.ep->fid, buf.p, &len));
	ft_send(&own, &buf, NAME_MAX_BYTES, CHILD_TAG, &t->rma_context[0]);
	ft_wait_tx(&own);
	ft_recv(&own, &buf, NAME_MAX_BYTES, CHILD_TAG, &t->rma_context[1]);
	ft_wait_rx(&own, 1);
	if (pattern_check(buf.p, NAME_MAX_BYTES, CHILD_TAG) != NAME_MAX_BYTES)
		ft_fail("own: the peer's answer is wrong");
	ft_buf_free(&buf);
	ft_close(&own);
	_exit(EXIT_SUCCESS);
}

/* ---- libc's ways to have one ------------------------------------------------- */

static void run_system(void)
{
	if (system("exit 3") != 3 << 8)
		ft_fail("system: the shell ended otherwise");
}

static void run_popen(void)
{
	char word[8] = "";
	FILE *f = popen("echo word", "r");

	if (!f || !fgets(word, sizeof(word), f) || pclose(f) ||
	    strcmp(word, "word\n"))
		ft_fail("popen: the shell says \"%s\"", word);
}

/* As Python's subprocess does: vfork(2), and no descriptor is left open. */
static void run_spawn(void)
{
	char name[] = "true", *argv[] = { name, NULL };
	posix_spawn_file_actions_t actions;
	int status, ret;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
					 O_RDONLY, 0);
	for (int fd = STDERR_FILENO + 1; fd < FDS; fd++)
		posix_spawn_file_actions_addclose(&actions, fd);
	ret = posix_spawnp(&pid, name, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (ret)
		ft_die("posix_spawnp", -ret);
	if (waitpid(pid, &status, 0) != pid || status)
		ft_fail("spawn: the child ended otherwise");
}

static const struct kind {
	const char *name;
	void (*child)(struct test *t); /* in the child */
	void (*libc)(void); /* or, without a child of ours, here */
	bool stays;
	bool talks; /* to its parent's peer; asked of our provider only */
} kinds[] = {
	{ .name = "exec", .child = run_program },
	{ .name = "_exit", .child = leave_at_once },
	{ .name = "exit", .child = leave_in_order },
	{ .name = "close", .child = close_all },
	{ .name = "write", .child = write_memory },
	{ .name = "stay", .child = stay, .stays = true },
	{ .name = "own", .child = open_own, .talks = true },
	{ .name = "system", .libc = run_system },
	{ .name = "popen", .libc = run_popen },
	{ .name = "spawn", .libc = run_spawn },
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

	if (kind->libc) {
		kind->libc();
		return;
	}
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

/* ---- RMA ----------------------------------------------------------------------- */

static uint64_t seed_to_read(const struct test *t)
{
	return ~t->serial;
}

/* What the peer writes, and reads, from the next meeting on. */
static void expose(struct test *t, size_t size)
{
	memset(t->in, 0, size);
	memset(t->got, 0, size);
	pattern_fill(t->in + t->size, size, seed_to_read(t));
}

static void rma_retry(struct test *t, ssize_t ret)
{
	if (ret != -FI_EAGAIN)
		ft_die("RMA", (int)ret);
	ft_poll_tx(&t->ft);
	ft_progress(&t->ft);
}

/* The bytes of the first message are written, too. */
static void start_rma(struct test *t, size_t size)
{
	struct iovec iov = { t->tx.p, size };
	struct fi_rma_iov there = { t->addr, size, t->key };
	struct fi_msg_rma msg = { .msg_iov = &iov,
				  .desc = &t->tx.desc,
				  .iov_count = 1,
				  .addr = t->ft.peer,
				  .rma_iov = &there,
				  .rma_iov_count = 1,
				  .context = &t->rma_context[0] };
	ssize_t ret;

	while ((ret = fi_writemsg(t->ft.ep, &msg,
				  FI_COMPLETION | FI_DELIVERY_COMPLETE)))
		rma_retry(t, ret);
	while ((ret = fi_read(t->ft.ep, t->got, size, fi_mr_desc(t->mr),
			      t->ft.peer, t->addr + t->size, t->key,
			      &t->rma_context[1])))
		rma_retry(t, ret);
	t->ft.tx_posted += 2;
}

static void check_rma(struct test *t, const char *name, size_t size,
		      uint64_t serial)
{
	if (pattern_check(t->in, size, serial) != size)
		ft_fail("%s: a write of %zu bytes is wrong", name, size);
	if (pattern_check(t->got, size, ~serial) != size)
		ft_fail("%s: a read of %zu bytes is wrong", name, size);
}

static void open_rma(struct test *t, size_t size)
{
	int mode = t->ft.info->domain_attr->mr_mode;
	uint64_t mine[2], theirs[2];

	t->rma = true;
	t->size = size;
	t->in = ft_alloc(3 * size);
	t->got = t->in + 2 * size;
	ft_check("fi_mr_reg",
		 fi_mr_reg(t->ft.domain, t->in, 3 * size,
			   FI_READ | FI_REMOTE_READ | FI_REMOTE_WRITE, 0, 1, 0,
			   &t->mr, NULL));
	mine[0] = mode & FI_MR_VIRT_ADDR ? (uintptr_t)t->in : 0;
	mine[1] = fi_mr_key(t->mr);
	ft_oob_send(&t->ft, mine, sizeof(mine));
	ft_oob_recv(&t->ft, theirs, sizeof(theirs));
	t->addr = theirs[0];
	t->key = theirs[1];
}

static void close_rma(struct test *t)
{
	if (!t->rma)
		return;
	ft_sync(&t->ft);
	ft_check("close mr", fi_close(&t->mr->fid));
	free(t->in);
}

/* ---- a child of the peer --------------------------------------------------------- */

/* It says its address, and is told something there. */
static void answer_child(struct test *t, struct ft_buf *buf)
{
	fi_addr_t peer = t->ft.peer;

	if (fi_av_insert(t->ft.av, buf->p, 1, &t->ft.peer, 0, NULL) != 1)
		ft_fail("own: the child cannot be inserted");
	pattern_fill(buf->p, NAME_MAX_BYTES, CHILD_TAG);
	ft_send(&t->ft, buf, NAME_MAX_BYTES, CHILD_TAG, &t->rma_context[0]);
	ft_wait_tx(&t->ft);
	ft_check("fi_av_remove", fi_av_remove(t->ft.av, &t->ft.peer, 1, 0));
	t->ft.peer = peer;
}

/* ---- both, and a fork in between ------------------------------------------------- */

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

/* With what comes after the fork it is the alias's turn. */
static void exchange_after(struct test *t, const char *name, size_t size)
{
	struct fid_ep *ep = t->ft.ep;

	post_recvs(t, size);
	ft_sync(&t->ft);
	t->ft.ep = t->alias ? t->alias : ep;
	send_all(t, size);
	t->ft.ep = ep;
	finish(t, name, size);
	ft_sync(&t->ft);
}

/* forks: it is this side that does. */
static void exchange(struct test *t, const struct kind *kind, bool forks,
		     size_t size)
{
	const char *name = forks ? kind->name : "the peer's fork";
	bool answers = kind->talks && !forks;
	struct ft_buf word = { 0 };
	uint64_t serial = t->serial;

	if (answers) {
		word = ft_buf_new(&t->ft, NAME_MAX_BYTES);
		ft_recv(&t->ft, &word, NAME_MAX_BYTES, CHILD_TAG,
			&t->rma_context[1]);
		t->received++;
	}
	post_recvs(t, size);
	if (t->rma)
		expose(t, size);
	ft_sync(&t->ft);
	send_all(t, size);
	if (t->rma)
		start_rma(t, size);
	if (forks)
		fork_once(t, kind);
	finish(t, name, size);
	if (answers)
		answer_child(t, &word);
	ft_sync(&t->ft);
	if (t->rma)
		check_rma(t, name, size, serial);
	exchange_after(t, name, size);
	end_lingering(t);
	if (answers)
		ft_buf_free(&word);
}

static void run(struct test *t, const struct kind *kind)
{
	uint64_t forks = 0;

	for (size_t n = 0; n < t->ft.opt.count; n++) {
		for (size_t i = 0; i < t->ft.opt.nsizes; i++) {
			for (int client = 0; client < 2; client++) {
				exchange(t, kind, client == t->ft.client,
					 t->ft.opt.size[i]);
				forks++;
			}
		}
	}
	if (t->ft.client)
		printf("%-8s %llu forks\n", kind->name,
		       (unsigned long long)forks);
}

/* With RMA where the provider has it. */
static void open_all(struct test *t, size_t size)
{
	struct ft *ft = &t->ft;
	struct ft_request with_rma = request;
	size_t len = NAME_MAX_BYTES;

	with_rma.caps |= FI_RMA;
	with_rma.automatic = ft->opt.automatic;
	with_rma.optional = true;
	if (ft_open(ft, &with_rma)) {
		with_rma.caps = request.caps;
		with_rma.optional = false;
		ft_open(ft, &with_rma);
	}
	t->tx = ft_buf_new(ft, UNDER_WAY * size);
	t->rx = ft_buf_new(ft, UNDER_WAY * size);
	if (with_rma.caps & FI_RMA)
		open_rma(t, size);
	if (fi_ep_alias(ft->ep, &t->alias, FI_TRANSMIT))
		t->alias = NULL;
	ft_check("fi_av_lookup",
		 fi_av_lookup(ft->av, ft->peer, t->peer_name, &len));
}

static bool is_wanted(const struct test *t, const struct kind *kind)
{
	bool ours = !strcmp(t->ft.info->fabric_attr->prov_name, "efa");

	return ft_chosen(&t->ft.opt, kind->name) && (ours || !kind->talks);
}

int main(int argc, char **argv)
{
	struct test t = { .lingering = 0 };
	size_t n = 0;

	ft_start(&t.ft, argc, argv, &program);
	open_all(&t, ft_largest(&t.ft.opt));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!is_wanted(&t, &kinds[i]))
			continue;
		run(&t, &kinds[i]);
		n++;
	}
	if (!n)
		ft_fail("no kind of child is left by --only and --skip");
	close_rma(&t);
	ft_buf_free(&t.tx);
	ft_buf_free(&t.rx);
	if (t.alias)
		ft_check("close alias", fi_close(&t.alias->fid));
	return ft_finish(&t.ft, 0);
}
