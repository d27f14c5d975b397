/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_fixture.h - what the tests of the software NIC share
 *
 * Every test gets a directory of its own on tmpfs, removed after it. Queue
 * pairs are opened on loopback. A peer process is a fork that runs a function
 * and ends with its return value, without closing anything.
 */
#ifndef NIC_FIXTURE_H
#define NIC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "nic/nic.h"

#define NT_WAIT_S 20 /* seconds after which a wait has failed */

#define NT_KEPT 4

/* A NIC with one queue pair. */
struct nt_end {
	struct nic *nic;
	struct nic_qp *qp;
	struct nic_addr addr;
	struct nic_wc wc[64]; /* of nt_wait */
	struct nic_wc kept[NT_KEPT]; /* polled meanwhile, without data */
	int nkept;
};

struct nt {
	char dir[64];
	struct nic_config config; /* .shm_dir = dir */
	bool hide_keys; /* nt_open: peers must copy through the ring */
	struct nt_end a, b; /* fixture_pair: RDM, on one NIC each */
	struct nic_ah *ab, *ba; /* cookies 'b' and 'a' */
};

/* Fails the test; in a child, ends it: a check must not jump out of there. */
void nt_check_at(bool ok, const char *what, const char *file, int line);
#define NT_CHECK(x) nt_check_at(x, #x, __FILE__, __LINE__)

int nt_setup_dir(void **state);
int nt_setup_pair(void **state); /* copies are direct */
int nt_setup_ring(void **state); /* copies go through the ring */
int nt_setup_far(void **state); /* no shared memory: over UDP */
int nt_setup_far_bad(void **state); /* with all faults of the network */
int nt_teardown(void **state);

#define NT_DIR(f) cmocka_unit_test_setup_teardown(f, nt_setup_dir, nt_teardown)
#define NT_PAIR(f) \
	cmocka_unit_test_setup_teardown(f, nt_setup_pair, nt_teardown)
#define NT_RING(f) \
	cmocka_unit_test_setup_teardown(f, nt_setup_ring, nt_teardown)

#define NT_FAR(f) cmocka_unit_test_setup_teardown(f, nt_setup_far, nt_teardown)
#define NT_FAR_BAD(f) \
	cmocka_unit_test_setup_teardown(f, nt_setup_far_bad, nt_teardown)

/* Log lines of the current test. */
unsigned int nt_warnings(void);
bool nt_logged(const char *part);

void nt_open(struct nt *t, struct nt_end *e, enum nic_qp_type type);
void nt_close(struct nt_end *e);

/* Sends len bytes; fails unless the wire took them at once. */
void nt_send(struct nic_ah *ah, const void *p, size_t len);

/*
 * Polls e, and other when it is not NULL, until e has a completion; it is in
 * e->wc[0]. What it lends must be given back by nic_give_back(e->qp).
 */
struct nic_wc *nt_wait(struct nt_end *e, struct nt_end *other);

/* Sends a byte that must end with a completion; its status. */
uint8_t nt_send_status(struct nt_end *e, struct nic_ah *ah, uint64_t id);

/* One poll that must find nothing. */
void nt_idle(struct nt_end *e);

/* RDMA to its end, the peer being polled; the status. */
uint8_t nt_rdma(struct nt_end *e, struct nt_end *peer, struct nic_ah *ah,
		const struct nic_rdma *op);

/* Polls for this long, completions thrown away; counts those of kind op. */
int nt_poll_ms(struct nt_end *e, int ms, enum nic_wc_op op);

/* Bytes that a seed stands for. */
void nt_fill(void *p, size_t len, uint32_t seed);
bool nt_is_filled(const void *p, size_t len, uint32_t seed);

/* Parent and child speak over a socket. */
struct nt_child {
	pid_t pid;
	int sock;
};

typedef int (*nt_child_fn)(struct nt *t, int sock);

void nt_fork(struct nt *t, struct nt_child *c, nt_child_fn run);
void nt_tell(int sock, const void *p, size_t len);
void nt_hear(int sock, void *p, size_t len);
/* Waits; its exit status, or 128 and the signal. */
int nt_join(struct nt_child *c);
void nt_kill(struct nt_child *c);

#endif
