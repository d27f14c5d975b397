/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_bench.c - how far the shared-memory wire is from the hardware
 *
 * Two processes, one a core. Each figure of the wire stands beside the same
 * thing done without it, in the same round: a cache line passed to and fro,
 * and a ring of lines with no checks, no state and no credit. The median of
 * all rounds is printed, with the ratio to what stands in the last column.
 *
 * usage: wire_shm_bench [ROUNDS [CPU CPU [ROW]]]   ROW: part of its name
 */
#include "wire/wire_shm.h"

#include "util/u_base.h"
#include "util/u_time.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PINGS 50000u
#define STREAM 2000000u /* records of 8 bytes */
#define STREAM_BYTES (UINT64_C(128) << 20)
#define RING_LINES 2048u
#define ROUNDS_MAX 101
#define BURST 16
#define HDR 32

struct line {
	_Atomic uint64_t word;
	uint64_t data[7];
} U_LINE_ALIGNED;

/* Between the two processes, beside the wire. */
struct common {
	struct line step[2]; /* barrier */
	struct line ball[2];
	struct line head; /* of the bare ring that streams */
	struct line ring[2][RING_LINES];
};

struct side {
	int me; /* 0 measures, 1 answers */
	struct common *c;
	struct wire_shm *shm;
	struct wire_shm_link *link;
	uint64_t step;
	uint64_t at[2]; /* bare rings: lines written, read */
	char *buf;
	uint64_t sum; /* of what was read, so that it is read */
};

/* A phase: both sides run it; side 0 says how long it took, in ns. */
typedef double (*phase_fn)(struct side *s);

static void meet(struct side *s)
{
	struct line *step = s->c->step;

	atomic_store(&step[s->me].word, ++s->step);
	while (atomic_load(&step[!s->me].word) < s->step)
		u_relax();
}

static double line_pingpong(struct side *s)
{
	struct line *ball = s->c->ball;
	uint64_t base = atomic_load(&ball[s->me].word), i, t;

	meet(s);
	t = u_now();
	for (i = base + 1; i <= base + PINGS; i++) {
		if (!s->me)
			atomic_store_explicit(&ball[0].word, i,
					      memory_order_release);
		while (atomic_load_explicit(&ball[!s->me].word,
					    memory_order_acquire) != i)
			u_relax();
		if (s->me)
			atomic_store_explicit(&ball[1].word, i,
					      memory_order_release);
	}
	return (double)(u_now() - t) / PINGS / 2;
}

static void bare_put(struct side *s, uint64_t value)
{
	uint64_t at = s->at[0]++;
	struct line *l = &s->c->ring[s->me][at % RING_LINES];

	l->data[0] = value;
	atomic_store_explicit(&l->word, at + 1, memory_order_release);
}

static uint64_t bare_get(struct side *s)
{
	uint64_t at = s->at[1]++;
	struct line *l = &s->c->ring[!s->me][at % RING_LINES];

	while (atomic_load_explicit(&l->word, memory_order_acquire) != at + 1)
		u_relax();
	return l->data[0];
}

static double bare_pingpong(struct side *s)
{
	uint64_t i, t;

	meet(s);
	t = u_now();
	for (i = 0; i < PINGS; i++) {
		if (!s->me)
			bare_put(s, i);
		s->sum += bare_get(s);
		if (s->me)
			bare_put(s, i);
	}
	return (double)(u_now() - t) / PINGS / 2;
}

static void bare_send_all(struct side *s)
{
	struct line *head = &s->c->head;
	uint64_t i, limit = s->at[0] + RING_LINES;

	for (i = 0; i < STREAM; i++) {
		while (s->at[0] == limit)
			limit = u_max(limit, atomic_load_explicit(
						     &head->word,
						     memory_order_acquire) +
						     RING_LINES);
		bare_put(s, i);
	}
}

static double bare_stream(struct side *s)
{
	uint64_t i, t;

	meet(s);
	t = u_now();
	if (!s->me)
		bare_send_all(s);
	for (i = 0; s->me && i < STREAM; i++) {
		s->sum += bare_get(s);
		if (s->at[1] % (RING_LINES / 4) == 0)
			atomic_store_explicit(&s->c->head.word, s->at[1],
					      memory_order_release);
	}
	meet(s);
	return (double)(u_now() - t) / STREAM;
}

static void wire_put(struct side *s, size_t len)
{
	struct iovec iov = { .iov_base = s->buf, .iov_len = len };
	uint64_t hdr[HDR / 8] = { s->step, 1, 2, 3 };

	while (wire_shm_send(s->link, 0, 0, hdr, sizeof(hdr), &iov, 1, len) < 0)
		;
}

/* n records; copy: bytes go where the user wants them. */
static void wire_get(struct side *s, uint64_t n, bool copy)
{
	struct wire_shm_pkt pkt[BURST];
	int i, got;

	while (n) {
		got = wire_shm_poll(s->shm, pkt,
				    (int)u_min(n, u_array_size(pkt)));
		for (i = 0; i < got; i++) {
			if (copy)
				memcpy(s->buf, pkt[i].data, pkt[i].len);
			else
				s->sum += *(const uint64_t *)pkt[i].data;
		}
		wire_shm_give_back(s->shm);
		n -= (uint64_t)got;
		/* Without it the core runs ahead into a flush. */
		if (!got)
			u_relax();
	}
}

static double wire_pingpong_of(struct side *s, size_t len, bool copy)
{
	uint64_t i, t;

	meet(s);
	t = u_now();
	for (i = 0; i < PINGS; i++) {
		if (!s->me)
			wire_put(s, len);
		wire_get(s, 1, copy);
		if (s->me)
			wire_put(s, len);
	}
	return (double)(u_now() - t) / PINGS / 2;
}

static double wire_pingpong(struct side *s)
{
	return wire_pingpong_of(s, 8, false);
}

static double wire_pingpong_1k(struct side *s)
{
	return wire_pingpong_of(s, 1024, true);
}

static double wire_pingpong_8k(struct side *s)
{
	return wire_pingpong_of(s, 8192, true);
}

static double wire_stream_of(struct side *s, uint64_t n, size_t len, bool copy)
{
	uint64_t i, t;

	meet(s);
	t = u_now();
	if (s->me)
		wire_get(s, n, copy);
	for (i = 0; !s->me && i < n; i++)
		wire_put(s, len);
	meet(s);
	return (double)(u_now() - t) / (double)n;
}

static double wire_stream(struct side *s)
{
	return wire_stream_of(s, STREAM, 8, false);
}

static double wire_stream_1k(struct side *s)
{
	return wire_stream_of(s, STREAM_BYTES / 1024, 1024, true);
}

static double wire_stream_8k(struct side *s)
{
	return wire_stream_of(s, STREAM_BYTES / 8192, 8192, true);
}

static double wire_empty_poll(struct side *s)
{
	struct wire_shm_pkt pkt;
	uint64_t i, t;

	meet(s);
	t = u_now();
	for (i = 0; !s->me && i < STREAM; i++)
		if (wire_shm_poll(s->shm, &pkt, 1))
			abort();
	t = u_now() - t;
	meet(s);
	return (double)t / STREAM;
}

static const struct phase {
	const char *name;
	phase_fn run;
	int against; /* row to compare with, or -1 */
	size_t len; /* for GB/s; 0 for M/s or none */
} phases[] = {
	{ "cache line, one-way", line_pingpong, -1, 0 },
	{ "bare ring 8 B, one-way", bare_pingpong, 0, 0 },
	{ "wire 8 B, one-way", wire_pingpong, 1, 0 },
	{ "wire 1 KiB, one-way", wire_pingpong_1k, 1, 1024 },
	{ "wire 8 KiB, one-way", wire_pingpong_8k, 1, 8192 },
	{ "bare ring 8 B, stream", bare_stream, -1, 0 },
	{ "wire 8 B, stream", wire_stream, 5, 0 },
	{ "wire 1 KiB, stream", wire_stream_1k, -1, 1024 },
	{ "wire 8 KiB, stream", wire_stream_8k, -1, 8192 },
	{ "wire, empty poll", wire_empty_poll, -1, 0 },
};

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "wire_shm_bench: %s failed\n", what);
	exit(1);
}

static void side_open(struct side *s, const char *dir)
{
	struct wire_shm_config config = { .dir = dir, .lanes = 4 };
	struct wire_shm_id self = { .qpn = 1 + (uint32_t)s->me, .connid = 7 };
	struct wire_shm_id peer = { .qpn = 2 - (uint32_t)s->me, .connid = 7 };

	must(wire_shm_open(&config, &self, &s->shm) == 0, "open");
	meet(s);
	must(wire_shm_link_open(s->shm, &peer, &s->link) == 0, "link_open");
	meet(s);
	must(!posix_memalign((void **)&s->buf, 4096, 65536), "memory");
	memset(s->buf, s->me, 65536);
}

static void side_close(struct side *s)
{
	meet(s);
	wire_shm_link_close(s->link);
	meet(s);
	wire_shm_close(s->shm);
	free(s->buf);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(double ns[][ROUNDS_MAX], int rounds, const char *rows)
{
	double median[u_array_size(phases)];
	size_t i;

	for (i = 0; i < u_array_size(phases); i++) {
		const struct phase *p = &phases[i];

		qsort(ns[i], (size_t)rounds, sizeof(double), compare);
		median[i] = ns[i][rounds / 2];
		if (!strstr(p->name, rows))
			continue;
		printf("%-24s %9.1f ns (%.1f..%.1f) %8.1f M/s", p->name,
		       median[i], ns[i][0], ns[i][rounds - 1], 1e3 / median[i]);
		if (p->len)
			printf(" %6.1f GB/s", (double)p->len / median[i]);
		if (p->against >= 0 && median[p->against] > 0)
			printf("  %.2f x %s", median[i] / median[p->against],
			       phases[p->against].name);
		printf("\n");
	}
}

static void run(struct side *s, int rounds, const char *rows)
{
	static double ns[u_array_size(phases)][ROUNDS_MAX];
	size_t i;
	int r;

	for (r = 0; r < rounds; r++)
		for (i = 0; i < u_array_size(phases); i++)
			if (strstr(phases[i].name, rows))
				ns[i][r] = phases[i].run(s);
	if (!s->me)
		print(ns, rounds, rows);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 11;
	int cpu[2] = { argc > 2 ? atoi(argv[2]) : 0,
		       argc > 3 ? atoi(argv[3]) : 1 };
	char dir[] = "/dev/shm/efa-bench-XXXXXX";
	struct side s = { .me = 0 };
	int status = 0;
	pid_t child;

	must(rounds > 0 && rounds <= ROUNDS_MAX, "ROUNDS");
	must(mkdtemp(dir) != NULL, "mkdtemp");
	s.c = mmap(NULL, sizeof(*s.c), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	must(s.c != MAP_FAILED, "mmap");
	child = fork();
	must(child >= 0, "fork");
	s.me = !child;
	/* Who waits for a parent that was killed waits for ever. */
	if (!child)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(cpu[s.me]);
	side_open(&s, dir);
	run(&s, rounds, argc > 4 ? argv[4] : "");
	side_close(&s);
	if (!child)
		_exit(0);
	waitpid(child, &status, 0);
	rmdir(dir);
	return status != 0;
}
