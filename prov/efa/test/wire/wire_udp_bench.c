/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_bench.c - how far the UDP wire is from bare sockets
 *
 * Two processes, one a core, each in a network namespace of its own if told.
 * Ping-pongs stand beside the same thing done with sendto and recv, streams
 * with segmentation offload beside those without, in the same round. The
 * median of all rounds is printed. A stream has a window, kept by a counter in
 * shared memory, so that packets are not lost on the way.
 *
 * usage: wire_udp_bench [-r ROUNDS] [-c CPU,CPU] [-a ADDRESS,ADDRESS]
 *                       [-n NETNS,NETNS] [-m MTU] [-b BURST] [ROW]
 * ROW: part of its name; BURST: packets in one call; NETNS: as of ip-netns(8).
 * GRO comes on with the first stream: "one-way" as ROW measures without.
 */
#include "wire/wire_udp.h"

#include "util/u_base.h"
#include "util/u_time.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PINGS 20000u
#define STREAM_BYTES (UINT64_C(512) << 20)
#define STREAM_PKTS 500000u
#define WINDOW_BYTES (1u << 20)
#define WINDOW_PKTS 2048u
#define ROUNDS_MAX 101
#define PATHS 16
#define HDR 32
#define PATH_BYTES 64000u /* in a row to one path */

struct word {
	_Atomic uint64_t v;
} U_LINE_ALIGNED;

struct common {
	struct word step[2]; /* barrier */
	struct word got; /* packets that the receiver of a stream has seen */
	uint16_t port[2][3]; /* bare, wire, wire without offload */
};

struct side {
	int me; /* 0 measures and sends, 1 answers */
	struct common *c;
	uint64_t step;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr[2];
	socklen_t addr_len;
	uint8_t gid[2][16];
	int fd[3];
	struct wire *wire[3]; /* [0] is NULL */
	uint64_t sum; /* of what was read, so that it is read */
};

static struct {
	int rounds, burst;
	int cpu[2];
	uint32_t mtu;
	const char *address[2], *netns[2];
	const char *rows;
} opt = {
	.rounds = 5,
	.burst = 64,
	.cpu = { 0, 1 },
	.mtu = 9000,
	.address = { "127.0.0.1", "127.0.0.2" },
	.rows = "",
};

static char bytes[65536];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "wire_udp_bench: %s failed\n", what);
	exit(1);
}

static void meet(struct side *s)
{
	atomic_store(&s->c->step[s->me].v, ++s->step);
	while (atomic_load(&s->c->step[!s->me].v) < s->step)
		u_relax();
}

static void bare_put(struct side *s, size_t len)
{
	ssize_t n = sendto(s->fd[0], bytes, len, MSG_DONTWAIT,
			   &s->addr[!s->me].sa, s->addr_len);

	must(n == (ssize_t)len, "sendto");
}

static void bare_get(struct side *s)
{
	while (recv(s->fd[0], bytes, sizeof(bytes), MSG_DONTWAIT) < 0)
		u_relax();
}

static void wire_put(struct side *s, size_t len)
{
	size_t hdr = u_min(HDR, len);
	struct wire_out out = {
		.gid = s->gid[!s->me],
		.qpn = s->c->port[!s->me][1],
		.hdr = bytes,
		.hdr_len = (uint16_t)hdr,
		.data = bytes + HDR,
		.data_len = (uint16_t)(len - hdr),
	};

	while (!wire_send(s->wire[1], &out, 1))
		u_relax();
}

static int wire_get(struct side *s, int which)
{
	struct wire_in in[WIRE_BURST];
	int i, n;

	while (!(n = wire_poll(s->wire[which], in, WIRE_BURST)))
		u_relax();
	for (i = 0; i < n; i++)
		s->sum += in[i].data[0] + in[i].data[in[i].len - 1];
	wire_give_back(s->wire[which]);
	return n;
}

static double pingpong(struct side *s, size_t len, int which)
{
	uint64_t t;

	meet(s);
	t = u_now();
	for (uint32_t i = 0; i < 2 * PINGS; i++) {
		bool mine = (i & 1) == (uint32_t)s->me;

		if (mine && which)
			wire_put(s, len);
		else if (mine)
			bare_put(s, len);
		else if (which)
			wire_get(s, which);
		else
			bare_get(s);
	}
	return (double)(u_now() - t) / PINGS / 2;
}

static void stream_send(struct side *s, uint64_t n, size_t len, int which)
{
	uint64_t window = u_min(WINDOW_PKTS, WINDOW_BYTES / len), sent = 0;
	uint64_t row = u_max(1, PATH_BYTES / len);
	struct wire_out out[WIRE_BURST];
	int i, want;

	for (i = 0; i < WIRE_BURST; i++)
		out[i] = (struct wire_out){
			.gid = s->gid[!s->me],
			.qpn = s->c->port[!s->me][which],
			.hdr = bytes,
			.hdr_len = HDR,
			.data = bytes + HDR,
			.data_len = (uint16_t)(len - HDR),
		};
	while (sent < n) {
		uint64_t room = window + atomic_load(&s->c->got.v) - sent;

		want = (int)u_min(u_min((size_t)opt.burst, n - sent), room);
		/* A window that opens packet by packet makes no bursts. */
		if (want < opt.burst && room < u_min(n - sent, window / 4))
			continue;
		for (i = 0; i < want; i++)
			out[i].path =
				(uint8_t)((sent + (uint64_t)i) / row % PATHS);
		sent += (uint64_t)wire_send(s->wire[which], out, want);
	}
}

static double stream(struct side *s, size_t len, int which)
{
	uint64_t n = u_min(STREAM_PKTS, STREAM_BYTES / len), got = 0, base, t;
	const struct wire_stats *stats = wire_stats(s->wire[which]);

	atomic_store(&s->c->got.v, 0);
	base = stats->rx_dropped;
	meet(s);
	t = u_now();
	if (!s->me)
		stream_send(s, n, len, which);
	while (s->me && got + stats->rx_dropped - base < n) {
		got += (uint64_t)wire_get(s, which);
		atomic_store(&s->c->got.v, got + stats->rx_dropped - base);
	}
	meet(s);
	return (double)(u_now() - t) / (double)n;
}

enum kind { PINGPONG, STREAM };

static const struct phase {
	const char *name;
	enum kind kind;
	size_t len; /* bytes of a packet */
	int which; /* socket */
	int against; /* row to compare with, or -1 */
} phases[] = {
	{ "bare 8 B, one-way", PINGPONG, 8, 0, -1 },
	{ "wire 8 B, one-way", PINGPONG, 8, 1, 0 },
	{ "bare 8 KiB, one-way", PINGPONG, 8192, 0, -1 },
	{ "wire 8 KiB, one-way", PINGPONG, 8192, 1, 2 },
	{ "stream 64 B, plain", STREAM, 64, 2, -1 },
	{ "stream 64 B, offload", STREAM, 64, 1, 4 },
	{ "stream 1472 B, plain", STREAM, 1472, 2, -1 },
	{ "stream 1472 B, offload", STREAM, 1472, 1, 6 },
	{ "stream 8900 B, plain", STREAM, 8900, 2, -1 },
	{ "stream 8900 B, offload", STREAM, 8900, 1, 8 },
};

static bool is_on(const struct phase *p)
{
	size_t hdr = strchr(opt.address[0], ':') ? 40 + 8 : 20 + 8;

	return p->len + hdr <= opt.mtu && strstr(p->name, opt.rows);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(double ns[][ROUNDS_MAX], int rounds)
{
	double median[u_array_size(phases)] = { 0 };

	for (size_t i = 0; i < u_array_size(phases); i++) {
		const struct phase *p = &phases[i];

		if (!is_on(p))
			continue;
		qsort(ns[i], (size_t)rounds, sizeof(double), compare);
		median[i] = ns[i][rounds / 2];
		printf("%-22s %7.0f ns (%.0f..%.0f)", p->name, median[i],
		       ns[i][0], ns[i][rounds - 1]);
		if (p->kind == STREAM)
			printf(" %6.2f M/s %6.2f GB/s", 1e3 / median[i],
			       (double)p->len / median[i]);
		if (p->against >= 0 && median[p->against] > 0)
			printf("  %.2f x %s", median[i] / median[p->against],
			       phases[p->against].name);
		printf("\n");
	}
}

static void print_stats(struct side *s)
{
	const char *const name[] = { "", "offload", "plain" };

	for (int i = 1; i < 3; i++) {
		const struct wire_stats *st = wire_stats(s->wire[i]);

		printf("%s, %s: tx %lu in %lu calls, rx %lu in %lu, full %lu, "
		       "failed %lu, dropped %lu\n",
		       s->me ? "receiver" : "sender", name[i],
		       (unsigned long)st->tx_packets,
		       (unsigned long)st->tx_calls,
		       (unsigned long)st->rx_packets,
		       (unsigned long)st->rx_calls, (unsigned long)st->tx_full,
		       (unsigned long)st->tx_failed,
		       (unsigned long)st->rx_dropped);
	}
}

static void run(struct side *s)
{
	static double ns[u_array_size(phases)][ROUNDS_MAX];

	for (int r = 0; r < opt.rounds; r++)
		for (size_t i = 0; i < u_array_size(phases); i++) {
			const struct phase *p = &phases[i];

			if (!is_on(p))
				continue;
			ns[i][r] = p->kind == PINGPONG ?
					   pingpong(s, p->len, p->which) :
					   stream(s, p->len, p->which);
		}
	if (!s->me)
		print(ns, opt.rounds);
	print_stats(s);
}

static void enter(const char *netns)
{
	char path[256];
	int fd;

	if (!netns)
		return;
	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && !setns(fd, CLONE_NEWNET), netns);
	close(fd);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

static void addr_read(struct side *s, int i)
{
	uint8_t *gid = s->gid[i];

	if (inet_pton(AF_INET, opt.address[i], &s->addr[i].in.sin_addr) == 1) {
		s->addr[i].in.sin_family = AF_INET;
		s->addr_len = sizeof(s->addr[i].in);
		gid[10] = gid[11] = 0xff;
		memcpy(gid + 12, &s->addr[i].in.sin_addr, 4);
		return;
	}
	must(inet_pton(AF_INET6, opt.address[i], gid) == 1, opt.address[i]);
	s->addr[i].in6.sin6_family = AF_INET6;
	memcpy(&s->addr[i].in6.sin6_addr, gid, 16);
	s->addr_len = sizeof(s->addr[i].in6);
}

static void socket_open(struct side *s, int i)
{
	int fd = socket(s->addr[s->me].sa.sa_family, SOCK_DGRAM, 0);
	struct sockaddr_in6 in6;
	socklen_t len = sizeof(in6);

	must(fd >= 0, "socket");
	s->addr[s->me].in.sin_port = 0; /* where in6 has it too */
	must(!bind(fd, &s->addr[s->me].sa, s->addr_len), "bind");
	must(!getsockname(fd, (struct sockaddr *)&in6, &len), "getsockname");
	s->fd[i] = fd;
	s->c->port[s->me][i] = ntohs(in6.sin6_port);
}

static void side_open(struct side *s)
{
	struct wire_udp_config config = {
		.gid = s->gid[s->me],
		.paths = PATHS,
		.link_mtu = opt.mtu,
	};

	enter(opt.netns[s->me]);
	pin(opt.cpu[s->me]);
	for (int i = 0; i < 3; i++) {
		socket_open(s, i);
		config.no_offload = i == 2;
		must(!i || !wire_udp_open(&config, s->fd[i], &s->wire[i]),
		     "wire_udp_open");
	}
	meet(s);
	s->addr[!s->me].in.sin_port = htons(s->c->port[!s->me][0]);
}

static void side_close(struct side *s)
{
	meet(s);
	for (int i = 0; i < 3; i++) {
		if (i)
			wire_close(s->wire[i]);
		close(s->fd[i]);
	}
}

/* "A,B" into two; the text is changed. */
static void pair(char *text, const char *out[2])
{
	char *comma = strchr(text, ',');

	must(comma != NULL, "A,B");
	*comma = '\0';
	out[0] = text;
	out[1] = comma + 1;
}

static void options(int argc, char **argv)
{
	const char *cpu[2];
	int c;

	while ((c = getopt(argc, argv, "r:c:a:n:m:b:")) != -1) {
		if (c == 'r') {
			opt.rounds = atoi(optarg);
		} else if (c == 'c') {
			pair(optarg, cpu);
			opt.cpu[0] = atoi(cpu[0]);
			opt.cpu[1] = atoi(cpu[1]);
		} else if (c == 'a') {
			pair(optarg, opt.address);
		} else if (c == 'n') {
			pair(optarg, opt.netns);
		} else if (c == 'm') {
			opt.mtu = (uint32_t)atoi(optarg);
		} else if (c == 'b') {
			opt.burst = atoi(optarg);
		} else {
			exit(2);
		}
	}
	if (optind < argc)
		opt.rows = argv[optind];
	must(opt.rounds > 0 && opt.rounds <= ROUNDS_MAX, "ROUNDS");
	must(opt.burst > 0 && opt.burst <= WIRE_BURST, "BURST");
}

int main(int argc, char **argv)
{
	struct side s = { .me = 0 };
	int status = 0;
	pid_t child;

	options(argc, argv);
	addr_read(&s, 0);
	addr_read(&s, 1);
	s.c = mmap(NULL, sizeof(*s.c), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	must(s.c != MAP_FAILED, "mmap");
	child = fork();
	must(child >= 0, "fork");
	s.me = !child;
	/* Who waits for a parent that was killed waits for ever. */
	if (!child)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	side_open(&s);
	run(&s);
	side_close(&s);
	if (!child) {
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return status != 0;
}
