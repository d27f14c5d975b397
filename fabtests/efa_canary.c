/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_canary.c - what one cache line costs from core to core, right now
 *
 * Virtual machines move: the same two cores are near each other at one moment
 * and far at the next, and every latency scales with it. Two pinned threads
 * pass a counter to and fro in one line; half of a round trip is printed, in
 * nanoseconds, the median of the rounds.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 21
#define PASSES 20000u /* there and back, in a round */

/* The release of one side's turn pairs with the acquire of the other's. */
static struct {
	_Alignas(128) _Atomic uint32_t turn;
	char rest[124];
} line;

static int core[2] = { 0, 1 };

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("efa_canary: sched_setaffinity");
		exit(EXIT_FAILURE);
	}
}

static void wait_for(uint32_t turn)
{
	while (atomic_load_explicit(&line.turn, memory_order_acquire) != turn)
		;
}

static void pass(uint32_t turn)
{
	atomic_store_explicit(&line.turn, turn, memory_order_release);
}

static void *echo(void *arg)
{
	(void)arg;
	pin(core[1]);
	for (uint32_t i = 0; i < ROUNDS * PASSES; i++) {
		wait_for(2 * i + 1);
		pass(2 * i + 2);
	}
	return NULL;
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double one_round(uint32_t first)
{
	double start = now_ns();

	for (uint32_t i = first; i < first + PASSES; i++) {
		pass(2 * i + 1);
		wait_for(2 * i + 2);
	}
	return (now_ns() - start) / (2.0 * PASSES);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	double ns[ROUNDS];
	pthread_t thread;

	if (argc == 3) {
		core[0] = atoi(argv[1]);
		core[1] = atoi(argv[2]);
	} else if (argc != 1) {
		fprintf(stderr, "usage: efa_canary [CORE CORE]\n");
		return EXIT_FAILURE;
	}
	pin(core[0]);
	if (pthread_create(&thread, NULL, echo, NULL)) {
		fprintf(stderr, "efa_canary: no second thread\n");
		return EXIT_FAILURE;
	}
	for (uint32_t i = 0; i < ROUNDS; i++)
		ns[i] = one_round(i * PASSES);
	pthread_join(thread, NULL);
	qsort(ns, ROUNDS, sizeof(ns[0]), compare);
	printf("%.0f\n", ns[ROUNDS / 2]);
	return EXIT_SUCCESS;
}
