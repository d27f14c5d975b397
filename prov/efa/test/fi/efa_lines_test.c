/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_lines_test.c - two endpoints of a domain, each driven by a thread of its
 * own, share no cache line that one of them writes, and so no lock either
 *
 * The test runs itself under valgrind, whose tool lackey tells each load and
 * store, of the provider and of libc. There the second thread begins when the
 * first one is done, so that a store to a page that nobody else knows of tells
 * where each begins and ends. What both touch and one writes is a conflict.
 *
 * To see who writes a line that is reported: addr2line -e efa_lines_test of
 * the program counter minus where valgrind put the program, 0x108000.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "fixture.h"
#include "test/sanitized.h"

#define MARKS UINT64_C(0x100000000000) /* address of the page of marks */
#define STACKS UINT64_C(0x110000000000) /* of those of the threads */
#define STACK_SIZE (UINT64_C(1) << 20)
#define WARM_UP 5 /* operations */
#define ROUNDS 70 /* that are looked at; a look at the clock is among them */
#define LARGE 16384u
#define RMA 4096u
#define LINES (1u << 16) /* that are touched while we look, at most */
#define SHOWN 20 /* conflicts that are printed */

/* ---- the program under valgrind ------------------------------------------ */

static struct fixture f;
static struct fid_mr *mr[2];
static char *memory[2]; /* [2 * LARGE], registered: what is sent, what comes */

static void take(int who, int n)
{
	struct fi_cq_tagged_entry entry;
	ssize_t ret;

	while (n) {
		ret = fi_cq_read(f.cq[who], &entry, 1);
		if (ret == 1)
			n--;
		else if (ret != -FI_EAGAIN)
			abort();
	}
}

static void check(ssize_t ret)
{
	if (ret)
		abort();
}

static void tagged(int who, size_t len)
{
	check(fi_trecv(f.ep[who], memory[who] + LARGE, len, NULL,
		       FI_ADDR_UNSPEC, 1, 0, NULL));
	check(fi_tsend(f.ep[who], memory[who], len, NULL, f.addr[who], 1,
		       NULL));
	take(who, 2);
}

static void small_tagged(int who)
{
	tagged(who, 8);
}

static void full_packet(int who)
{
	tagged(who, 8000);
}

static void by_read(int who)
{
	tagged(who, LARGE);
}

static void injected(int who)
{
	check(fi_recv(f.ep[who], memory[who] + LARGE, 8, NULL, FI_ADDR_UNSPEC,
		      NULL));
	check(fi_inject(f.ep[who], memory[who], 8, f.addr[who]));
	take(who, 1);
}

static void unexpected(int who)
{
	check(fi_tsend(f.ep[who], memory[who], 200, NULL, f.addr[who], 2,
		       NULL));
	take(who, 1);
	check(fi_cq_read(f.cq[who], NULL, 0) + FI_EAGAIN);
	check(fi_trecv(f.ep[who], memory[who] + LARGE, 200, NULL,
		       FI_ADDR_UNSPEC, 2, 0, NULL));
	take(who, 1);
}

static void rma_write(int who)
{
	check(fi_write(f.ep[who], memory[who], RMA, fi_mr_desc(mr[who]),
		       f.addr[who], (uintptr_t)memory[who] + LARGE,
		       fi_mr_key(mr[who]), NULL));
	take(who, 1);
}

static void rma_read(int who)
{
	check(fi_read(f.ep[who], memory[who] + LARGE, RMA, fi_mr_desc(mr[who]),
		      f.addr[who], (uintptr_t)memory[who], fi_mr_key(mr[who]),
		      NULL));
	take(who, 1);
}

static void atomic_sum(int who)
{
	check(fi_atomic(f.ep[who], memory[who], 1, fi_mr_desc(mr[who]),
			f.addr[who], (uintptr_t)memory[who] + LARGE,
			fi_mr_key(mr[who]), FI_UINT64, FI_SUM, NULL));
	take(who, 1);
	check(fi_cq_read(f.cq[who], NULL, 0) + FI_EAGAIN);
}

static const struct kind {
	const char *name;
	void (*once)(int who);
} kinds[] = {
	{ "8 bytes, tagged", small_tagged },
	{ "8000 bytes, tagged", full_packet },
	{ "16 KiB, tagged", by_read },
	{ "8 bytes, injected", injected },
	{ "200 bytes, unexpected", unexpected },
	{ "RMA write", rma_write },
	{ "RMA read", rma_read },
	{ "atomic", atomic_sum },
};

#define KINDS (int)u_array_size(kinds)

/* A store that the trace shows: from here on it is about that. */
static void mark(unsigned int n)
{
	*(volatile char *)(MARKS + n) = 1;
}

static unsigned int mark_of(int kind, int who)
{
	return 1 + 2 * (unsigned int)kind + (unsigned int)who;
}

static struct {
	sem_t sem;
} U_LINE_ALIGNED turn[2];

/* The threads take turns, so that the trace is of one of them at a time. */
static void *drive(void *arg)
{
	int who = (int)(intptr_t)arg;

	for (int k = 0; k < KINDS; k++) {
		sem_wait(&turn[who].sem);
		for (int i = 0; i < WARM_UP; i++)
			kinds[k].once(who);
		mark(mark_of(k, who));
		for (int i = 0; i < ROUNDS; i++)
			kinds[k].once(who);
		mark(0);
		sem_post(&turn[!who].sem);
	}
	/* The end of a thread is no part of what is looked at. */
	if (who == 0)
		sem_wait(&turn[0].sem);
	return NULL;
}

static void *memory_at(uint64_t addr, size_t size)
{
	void *at = (void *)(uintptr_t)addr;

	assert_ptr_equal(mmap(at, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 at);
	return at;
}

/* Its stack, where its other private memory lies too, is at a known place. */
static pthread_t thread_start(intptr_t who)
{
	void *stack =
		memory_at(STACKS + (uint64_t)who * STACK_SIZE, STACK_SIZE);
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstack(&attr, stack, STACK_SIZE), 0);
	assert_int_equal(pthread_create(&thread, &attr, drive, (void *)who), 0);
	pthread_attr_destroy(&attr);
	return thread;
}

static void under_valgrind(void **state)
{
	pthread_t thread[2];

	memory_at(MARKS, 4096);
	fixture_open(&f,
		     &(struct fixture_config){ .threading = FI_THREAD_SAFE });
	for (intptr_t i = 0; i < 2; i++) {
		memory[i] = aligned_alloc(4096, 2 * LARGE);
		memset(memory[i], 1, 2 * LARGE);
		assert_int_equal(fi_mr_reg(f.domain, memory[i], 2 * LARGE,
					   FI_REMOTE_READ | FI_REMOTE_WRITE |
						   FI_READ | FI_WRITE,
					   0, 0, 0, &mr[i], NULL),
				 0);
		sem_init(&turn[i].sem, 0, i == 0);
	}
	for (int i = 0; i < 2; i++)
		thread[i] = thread_start(i);
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(fi_close(&mr[i]->fid), 0);
		free(memory[i]);
	}
	fixture_close(&f);
}

/* ---- the trace ----------------------------------------------------------- */

/* What the endpoints did to a line, by endpoint. */
struct line {
	uint64_t number; /* address / U_LINE; 0: free */
	uint64_t touched[2], written[2]; /* program counter of the first time */
};

static struct line *lines; /* [LINES], of the kind at hand */

static struct line *line_of(uint64_t number)
{
	uint64_t i = number * UINT64_C(0x9e3779b97f4a7c15) % LINES;

	for (int tries = 0; tries < 1000; tries++, i = (i + 1) % LINES) {
		if (!lines[i].number)
			lines[i].number = number;
		if (lines[i].number == number)
			return &lines[i];
	}
	fail_msg("more than %u lines", LINES);
	return NULL;
}

static void touch(int who, uint64_t addr, uint64_t size, bool store,
		  uint64_t pc)
{
	for (uint64_t n = addr / U_LINE; n <= (addr + size - 1) / U_LINE; n++) {
		struct line *l = line_of(n);

		if (!l->touched[who])
			l->touched[who] = pc;
		if (store && !l->written[who])
			l->written[who] = pc;
	}
}

static int count_conflicts(const char *what)
{
	int n = 0, touched = 0;

	for (uint32_t i = 0; i < LINES; i++) {
		const struct line *l = &lines[i];
		int writer = l->written[0] == 0;

		touched += l->touched[0] && l->number;
		if (!l->written[writer] || !l->touched[!writer])
			continue;
		if (n++ < SHOWN)
			print_message("%s: line %#llx is written at %#llx and "
				      "%s at %#llx\n",
				      what,
				      (unsigned long long)l->number * U_LINE,
				      (unsigned long long)l->written[writer],
				      l->written[!writer] ? "written" : "read",
				      (unsigned long long)l->touched[!writer]);
	}
	print_message("%s: %d lines, %d of them shared\n", what, touched, n);
	assert_true(touched > 10); /* it has looked at something */
	return n;
}

/*
 * A line of the trace: "I  pc,size" for an instruction, then " L ", " S " or
 * " M " for what it loads, stores or modifies. at: the last mark, 0 while
 * nothing is of interest.
 */
static unsigned int trace_line(const char *text, unsigned int at)
{
	static uint64_t pc;
	uint64_t addr, size;
	char *end;

	if (!at && strncmp(text, " S 1000000000", 13) != 0)
		return at;
	addr = strtoull(text + 3, &end, 16);
	size = *end == ',' ? strtoull(end + 1, NULL, 10) : 0;
	if (!size)
		return at;
	if (text[0] == 'I')
		pc = addr;
	else if (addr - MARKS <= 2 * (unsigned int)KINDS)
		return (unsigned int)(addr - MARKS);
	else if (at && addr - STACKS >= 2 * STACK_SIZE)
		touch((int)(at - 1) % 2, addr, size, text[1] != 'L', pc);
	return at;
}

/* Returns how many lines are shared in all. */
static int trace_read(FILE *trace)
{
	unsigned int last = 0, at = 0, seen = 0;
	int conflicts = 0;
	char text[128];

	while (fgets(text, sizeof(text), trace)) {
		at = trace_line(text, last);
		if (at == last)
			continue;
		if (!at && last % 2 == 0) { /* the second one is done */
			conflicts += count_conflicts(kinds[last / 2 - 1].name);
			memset(lines, 0, LINES * sizeof(*lines));
		}
		seen += at != 0;
		last = at;
	}
	assert_int_equal(seen, 2 * KINDS);
	return conflicts;
}

static pid_t valgrind_start(FILE **trace)
{
	char self[4096] = "", option[32];
	pid_t pid;
	int fd[2];

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(pipe(fd), 0);
	snprintf(option, sizeof(option), "--log-fd=%d", fd[1]);
	pid = fork();
	if (!pid) {
		close(fd[0]);
		/* Else a copy is a line of the trace for each byte. */
		setenv("GLIBC_TUNABLES",
		       "glibc.cpu.x86_rep_movsb_threshold=1048576", 1);
		execlp("valgrind", "valgrind", "--tool=lackey",
		       "--trace-mem=yes", option, self, "drive", NULL);
		_exit(127);
	}
	close(fd[1]);
	*trace = fdopen(fd[0], "r");
	assert_non_null(*trace);
	return pid;
}

static void two_threads__share_no_line(void **state)
{
	int status, conflicts;
	FILE *trace;
	pid_t pid;

	lines = calloc(LINES, sizeof(*lines));
	pid = valgrind_start(&trace);
	conflicts = trace_read(trace);
	fclose(trace);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(conflicts, 0);
	free(lines);
}

/* Some versions cannot read what some compilers write for debuggers. */
static bool valgrind_can_run_us(void)
{
	char self[4096] = "", command[4200];

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0)
		return false;
	snprintf(command, sizeof(command),
		 "valgrind --tool=none '%s' nothing >/dev/null 2>&1", self);
	return system(command) == 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest driven[] = {
		cmocka_unit_test(under_valgrind),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads__share_no_line),
	};

	if (argc > 1 && !strcmp(argv[1], "nothing"))
		return 0;
	if (argc > 1)
		return cmocka_run_group_tests(driven, fixture_group_setup,
					      fixture_group_teardown);
	if (SANITIZED_ADDRESS || SANITIZED_THREAD || !valgrind_can_run_us()) {
		printf("no valgrind that runs this, or a sanitizer: skipped\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
