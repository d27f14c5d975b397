/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_steady_test.c - small messages in their steady state make no system
 * call, but for the ticks
 *
 * The parent traces the child and counts. Where tracing is forbidden, the
 * test is skipped.
 */
#include "nic_fixture.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nic/nic_priv.h"

#define ROUNDS 50000

static void echo(struct nt *t, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		nt_send(t->ab, &i, sizeof(i));
		nt_wait(&t->b, NULL);
		nic_give_back(t->b.qp);
		nt_send(t->ba, &i, sizeof(i));
		nt_wait(&t->a, NULL);
		nic_give_back(t->a.qp);
		nt_idle(&t->a);
	}
}

static int child_echoes(struct nt *t, int sock)
{
	(void)sock;
	nt_open(t, &t->a, NIC_QP_RDM);
	nt_open(t, &t->b, NIC_QP_RDM);
	NT_CHECK(nic_ah_open(t->a.qp, &t->b.addr, 'b', &t->ab) == 0);
	NT_CHECK(nic_ah_open(t->b.qp, &t->a.addr, 'a', &t->ba) == 0);
	echo(t, ROUNDS);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		return 77;
	raise(SIGSTOP);
	echo(t, ROUNDS);
	raise(SIGSTOP);
	return 0;
}

/* Lets the child run to its next signal; stops at system calls, or -1. */
static long count_stops(pid_t pid)
{
	long n = 0;
	int status;

	for (;; n++) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) ||
		    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return -1;
		if (WSTOPSIG(status) == SIGSTOP)
			return n;
	}
}

static void nic_poll__no_system_calls(void **state)
{
	struct nt *t = *state;
	struct nt_child c;
	int status;
	long stops;

	nt_fork(t, &c, child_echoes);
	assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		close(c.sock);
		skip();
	}
	assert_true(WIFSTOPPED(status));
	stops = count_stops(c.pid);
	ptrace(PTRACE_CONT, c.pid, NULL, NULL);
	assert_int_equal(nt_join(&c), 0);
	print_message("%ld system calls, %d messages\n", stops / 2, 2 * ROUNDS);
	assert_in_range(stops, 0, ROUNDS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NT_DIR(nic_poll__no_system_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
