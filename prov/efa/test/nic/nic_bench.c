/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_bench.c - what the software NIC costs between two processes
 *
 * nic_bench [-i iterations a round] [-s bytes] [-n] [-1]
 *   -n  no cross-memory attach      -1  both processes on one core
 *
 * Prints the one-way time of a ping-pong, the rate of a one-way stream, the
 * cost of an empty poll and of a packet to oneself (what the instructions
 * cost, without a cache line that travels), and RDMA read and write.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nic/nic.h"
#include "util/u_time.h"

#define BATCH 16
#define ROUNDS 50

/* What the two tell each other before they start. */
struct hello {
	struct nic_addr addr;
	uint64_t remote;
	uint32_t rkey;
};

struct end {
	struct nic *nic;
	struct nic_qp *qp;
	struct nic_ah *ah;
	struct hello peer;
	char *mem; /* mem_len bytes, registered */
	size_t mem_len;
	uint32_t key;
	uint64_t got; /* packets */
	uint64_t done; /* completions of our own work */
};

static long iterations = 20000; /* a round */
static size_t bytes = 8;
static bool no_cma, one_core;

static void die(const char *what, int rc)
{
	fprintf(stderr, "nic_bench: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(one_core ? 0 : core, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void end_open(struct end *e, int sock)
{
	struct nic_config config = { .no_cma = no_cma };
	struct nic_info *list;
	struct hello mine = { 0 };
	int rc = nic_list(NULL, &list);

	if (rc < 1)
		die("nic_list", rc ? rc : -ENODEV);
	rc = nic_open(&list[0], &config, &e->nic);
	free(list);
	if (rc)
		die("nic_open", rc);
	rc = nic_qp_open(e->nic, NIC_QP_RDM, (uint32_t)getpid(), &e->qp);
	if (rc)
		die("nic_qp_open", rc);
	e->mem_len = 16 << 20;
	e->mem = mmap(NULL, e->mem_len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	rc = nic_mr_reg(e->nic, e->mem, e->mem_len,
			NIC_REMOTE_READ | NIC_REMOTE_WRITE, &e->key);
	if (rc)
		die("nic_mr_reg", rc);
	nic_qp_addr(e->qp, &mine.addr);
	mine.remote = (uintptr_t)e->mem;
	mine.rkey = e->key;
	if (write(sock, &mine, sizeof(mine)) != sizeof(mine) ||
	    read(sock, &e->peer, sizeof(e->peer)) != sizeof(e->peer))
		die("hello", -errno);
	rc = nic_ah_open(e->qp, &e->peer.addr, 0, &e->ah);
	if (rc)
		die("nic_ah_open", rc);
}

static void end_close(struct end *e)
{
	nic_ah_close(e->ah);
	nic_mr_dereg(e->nic, e->key);
	nic_qp_close(e->qp);
	nic_close(e->nic);
}

static void poll_once(struct end *e)
{
	struct nic_wc wc[BATCH];
	int n = nic_poll(e->qp, wc, BATCH);

	for (int i = 0; i < n; i++) {
		if (wc[i].status)
			die("completion", -EIO);
		if (wc[i].op == NIC_WC_RECV)
			e->got++;
		else if (wc[i].op != NIC_WC_GONE)
			e->done++;
	}
	nic_give_back(e->qp);
	if (one_core && !n)
		sched_yield();
}

static void send_one(struct end *e, const char *buf)
{
	struct iovec iov = { (void *)(uintptr_t)(buf + 8),
			     bytes > 8 ? bytes - 8 : 0 };
	int rc;

	while ((rc = nic_send(e->ah, 0, 0, 0, buf, bytes < 8 ? bytes : 8, &iov,
			      1, iov.iov_len)) == -EAGAIN)
		poll_once(e);
	if (rc < 0)
		die("nic_send", rc);
}

static void wait_for(struct end *e, uint64_t got)
{
	while (e->got < got)
		poll_once(e);
}

static double ping(struct end *e)
{
	char buf[NIC_MTU] = { 0 };
	uint64_t base = e->got, t = u_now();

	for (long i = 1; i <= iterations; i++) {
		send_one(e, buf);
		wait_for(e, base + (uint64_t)i);
	}
	return (double)(u_now() - t) / 2 / (double)iterations;
}

static double pong(struct end *e)
{
	char buf[NIC_MTU] = { 0 };
	uint64_t base = e->got;

	for (long i = 1; i <= iterations; i++) {
		wait_for(e, base + (uint64_t)i);
		send_one(e, buf);
	}
	return 0;
}

static double stream(struct end *e)
{
	char buf[NIC_MTU] = { 0 };
	uint64_t base = e->got, t = u_now();

	for (long i = 0; i < iterations; i++)
		send_one(e, buf);
	wait_for(e, base + 1);
	return (double)(u_now() - t) / (double)iterations;
}

static double drain(struct end *e)
{
	char buf[NIC_MTU] = { 0 };

	wait_for(e, e->got + (uint64_t)iterations);
	send_one(e, buf);
	return 0;
}

static double empty_polls(struct end *e)
{
	uint64_t t = u_now();

	for (long i = 0; i < iterations; i++)
		poll_once(e);
	return (double)(u_now() - t) / (double)iterations;
}

/* A packet through our own segment: what the instructions cost. */
static double self(struct end *e)
{
	struct nic_ah *peer = e->ah;
	char buf[NIC_MTU] = { 0 };
	struct nic_addr addr;
	uint64_t t;

	nic_qp_addr(e->qp, &addr);
	if (nic_ah_open(e->qp, &addr, 0, &e->ah))
		die("nic_ah_open", -EINVAL);
	send_one(e, buf);
	wait_for(e, e->got + 1);
	t = u_now();
	for (long i = 0; i < iterations; i++) {
		send_one(e, buf);
		wait_for(e, e->got + 1);
	}
	t = u_now() - t;
	nic_ah_close(e->ah);
	e->ah = peer;
	return (double)t / (double)iterations;
}

static double rdma(struct end *e, enum nic_rdma_type type, size_t len, long n)
{
	uint64_t t = u_now();

	for (long i = 0; i < n; i++) {
		struct nic_rdma op = {
			.type = type,
			.local = e->mem,
			.remote = e->peer.remote,
			.len = len,
			.rkey = e->peer.rkey,
		};
		uint64_t base = e->done;
		int rc = nic_rdma(e->ah, &op);

		while (rc == 1 && e->done == base)
			poll_once(e);
		if (rc < 0)
			die("nic_rdma", rc);
	}
	return (double)(u_now() - t) / (double)n;
}

static void rdma_all(struct end *e)
{
	for (size_t len = 8; len <= e->mem_len; len *= 8) {
		long n = len > 1 << 20 ? 50 : len > 1 << 15 ? 500 : 20000;
		double r = rdma(e, NIC_READ, len, n);
		double w = rdma(e, NIC_WRITE, len, n);

		printf("rdma %9zu B  read %10.0f ns %6.2f GB/s  write %10.0f "
		       "ns %6.2f GB/s\n",
		       len, r, (double)len / r, w, (double)len / w);
	}
}

/* The least of many rounds: what others do on the machine only adds. */
static double best(struct end *e, double (*measure)(struct end *e))
{
	double least = measure(e);

	for (int i = 1; i < ROUNDS; i++) {
		double t = measure(e);

		least = t < least ? t : least;
	}
	return least;
}

static void first_end(struct end *e)
{
	char buf[8] = { 0 };

	printf("%zu B one-way %.1f ns\n", bytes, best(e, ping));
	printf("%zu B stream %.1f ns each\n", bytes, best(e, stream));
	printf("empty poll %.1f ns\n", best(e, empty_polls));
	printf("to self, send and poll %.1f ns\n", best(e, self));
	rdma_all(e);
	send_one(e, buf);
}

static void second_end(struct end *e)
{
	best(e, pong);
	best(e, drain);
	wait_for(e, e->got + 1);
}

int main(int argc, char **argv)
{
	struct end e = { 0 };
	int pair[2], c, status = 0;
	pid_t child;

	while ((c = getopt(argc, argv, "i:s:n1")) != -1) {
		if (c == 'i')
			iterations = atol(optarg);
		else if (c == 's')
			bytes = strtoul(optarg, NULL, 0);
		else if (c == 'n')
			no_cma = true;
		else if (c == '1')
			one_core = true;
		else
			return 2;
	}
	if (iterations < 1 || bytes > NIC_MTU)
		return 2;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair", -errno);
	child = fork();
	/* Who waits for a parent that was killed waits for ever. */
	if (!child)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(child ? 0 : 1);
	end_open(&e, pair[!child]);
	if (child)
		first_end(&e);
	else
		second_end(&e);
	end_close(&e);
	if (child)
		waitpid(child, &status, 0);
	return status != 0;
}
