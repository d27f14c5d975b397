/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pair.h - two endpoints joined by recording devices, for tests
 *
 * Every packet passes through the test's hands: pair_run() delivers all of
 * them in order, pair_shuffle() in a seeded random order, some twice.
 */
#ifndef PAIR_H
#define PAIR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "dev/dev_record.h"
#include "rdm/rdm.h"

#define PAIR_MTU 1024
#define PAIR_MEDIUM 8192
#define PAIR_READ 65536
#define PAIR_READ_WRITE 16384

struct pair_end {
	struct dev *dev;
	struct rdm_av *av;
	struct rdm_cq *cq;
	struct rdm_cntr sends, recvs, remote_reads, remote_writes;
	struct rdm_ep *ep;
	struct dev_qp *qp; /* of ep, found by its first packet */
	struct dev_addr addr;
	uint64_t peer; /* index of the other end in av */
};

struct pair {
	struct pair_end a, b;
};

struct pair_options {
	bool by_completion; /* devices answer by completions, not at post */
	uint32_t caps; /* enum dev_caps, but for DEV_CAP_WATCHES */
	bool unwatched; /* without that */
	size_t unexpected_max; /* 0: 1 MiB */
	uint64_t a_off, b_off; /* features not to use */
	size_t runt_size;
	bool low_latency;
};

void pair_open(struct pair *p, const struct pair_options *o);
void pair_close(struct pair *p);

/* Deliver and progress until nothing moves any more. */
void pair_run(struct pair *p);
void pair_shuffle(struct pair *p, unsigned int *seed, bool twice);

/* Every packet that an end has posted completes with that status; how many. */
int pair_refuse(struct pair_end *from, uint8_t status);
/* Up to n of those that an end has posted by now arrive; -1: all. */
void pair_deliver(struct pair_end *from, struct pair_end *to, int n);

/* How many packets of a type were posted since pair_open(). */
uint32_t pair_posted(uint8_t type);

/* Let both ends know each other's features: one message each way. */
void pair_shake(struct pair *p);

/* The byte at `offset` of message number n. */
uint8_t pair_byte(uint32_t n, uint64_t offset);
void pair_fill(void *buf, uint32_t n, uint64_t len);
void pair_check(const void *buf, uint32_t n, uint64_t len);
/* Bytes from..len only. */
void pair_check_rest(const void *buf, uint32_t n, uint64_t from, uint64_t len);

int pair_send(struct pair_end *from, const void *buf, size_t len, uint64_t tag,
	      uint32_t flags, void *context);
int pair_recv(struct pair_end *at, void *buf, size_t len, uint64_t tag,
	      uint32_t flags, void *context);

/* Takes one completion, or fails the test. */
struct rdm_comp pair_comp(struct pair_end *at);
/* Takes one that must be an error with that code; frees its details. */
struct rdm_comp pair_error(struct pair_end *at, uint32_t err);
void pair_no_comp(struct pair_end *at);

#endif
