/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_fixture.h - what the tests of the shared-memory wire share
 *
 * Every test gets a directory of its own on tmpfs, removed after it, and the
 * log lines it causes. Processes: child_start() forks; the child runs a
 * function and ends without cleaning up anything, as a process that crashes.
 */
#ifndef WIRE_SHM_FIXTURE_H
#define WIRE_SHM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "wire/wire_shm.h"

struct fixture {
	char dir[64];
	struct wire_shm_config config; /* .dir, 16 lanes of 32 KiB */
	struct wire_shm *a; /* queue pair 1, connid 11 */
	struct wire_shm *b; /* queue pair 2, connid 12 */
	struct wire_shm_link *ab; /* a sends, b receives */
};

/* cmocka's setups: with the directory only; with a, b and ab open. */
int fixture_dir(void **state);
int fixture_pair(void **state);
int fixture_end(void **state);

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, fixture_dir, fixture_end)
#define IN_PAIR(f) cmocka_unit_test_setup_teardown(f, fixture_pair, fixture_end)

/* Log lines of the current test, of all threads of this process. */
unsigned logged_warnings(void);
bool logged(const char *part); /* any line with it */

struct wire_shm_id id_of(uint32_t qpn);
struct wire_shm *open_of(struct fixture *f, uint32_t qpn);

int send_bytes(struct wire_shm_link *l, uint32_t word, const void *p,
	       size_t len);
/* Polls once, gives back; number of records. */
int poll_drop(struct wire_shm *w);
/* Polls until one record came; copies it out. */
struct wire_shm_pkt poll_one(struct wire_shm *w, void *buf);
/* Polls often enough for every chore to be done; records dropped. */
int poll_long(struct wire_shm *w);

/* Bytes that a sequence number stands for. */
void fill(void *p, size_t len, uint64_t seed);
bool is_filled(const void *p, size_t len, uint64_t seed);

/* xorshift: *s nonzero. */
uint64_t next_random(uint64_t *s);
/* From EFA_TEST_SEED, else fixed; printed when the test fails. */
uint64_t test_seed(void);

/* The child may use `ready` and `wait` to go step by step. */
struct child {
	pid_t pid;
	int up[2], down[2];
};

typedef void (*child_fn)(struct child *c, struct fixture *f);

void child_start(struct child *c, child_fn run, struct fixture *f);
void child_say(struct child *c); /* in the child */
void child_wait(struct child *c); /* in the child: for go_on */
void child_hear(struct child *c); /* in the parent: for say */
void child_go_on(struct child *c); /* in the parent */
int child_end(struct child *c); /* waits; its exit status */
void child_kill(struct child *c);

/* In a child: a failed check cannot longjmp into the parent's test. */
void child_check(bool ok, const char *what);
#define CHECK(x) child_check(x, #x)

#endif
