/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pair.h - engines joined by a simulated wire, and an oracle that watches
 *
 * Time is virtual and jumps from event to event; all chance comes from one
 * seed. Each packet lies in memory of its exact length for as long as the
 * engine may read it. The oracle keeps a record of each operation: a SEND
 * arrives once, whole and before it completes; the bytes of RDMA are where
 * they belong, and nowhere else, before it completes; each operation completes
 * once. What is not so fails the test on the spot, with the seed.
 */
#ifndef SRD_PAIR_H
#define SRD_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "srd/srd.h"

#define PAIR_NODES_MAX 8
#define PAIR_OPS_MAX 8192
#define PAIR_MEM (256 << 10) /* bytes of a node that peers may access */
#define PAIR_RKEY 0x77
#define PAIR_QPN 65535u /* of node 0; those of the others are longer */

/* Chances are parts of 65536. */
struct pair_wire {
	uint64_t delay, jitter; /* ns, one way */
	uint32_t loss, dup, corrupt;
	uint32_t late; /* chance to be delayed by late_by */
	uint64_t late_by;
	uint64_t black_paths; /* bit i: path i drops all */
	uint64_t slow_paths; /* bit i: packets on it take slow_by longer */
	uint64_t slow_by;
	uint32_t full; /* chance that a node's wire has no room */
	uint64_t cut; /* bit from * PAIR_NODES_MAX + to: that way is cut */
};

struct pair_packet {
	uint64_t at, order;
	uint8_t *bytes;
	uint32_t len;
	uint8_t from, to, path;
};

enum pair_kind { PAIR_SEND, PAIR_WRITE, PAIR_WRITE_IMM, PAIR_READ };

struct pair_op {
	enum pair_kind kind;
	int from, to;
	uint32_t len;
	uint32_t op; /* the engine's, of RDMA */
	uint8_t *local; /* RDMA */
	uint32_t remote; /* offset in the target's memory */
	bool has_imm;
	bool aborted;
	int arrived, completed;
	uint8_t status;
};

struct pair_node {
	struct srd *srd;
	struct srd_addr addr;
	struct srd_peer *peer[PAIR_NODES_MAX];
	uint8_t *mem; /* [PAIR_MEM] */
	uint32_t mem_used;
	bool key_gone; /* all access is refused */
	int gone[PAIR_NODES_MAX]; /* GONE heard of these */
	uint8_t gone_status[PAIR_NODES_MAX];
	bool asleep; /* it is not driven */
	int datagrams;
};

struct pair {
	uint64_t now, seed, random;
	int n;
	struct pair_wire wire;
	struct srd_config cfg; /* of all nodes; self, may, ctx are set */
	struct pair_node node[PAIR_NODES_MAX];
	struct pair_packet *heap;
	uint32_t nheap, heap_room;
	uint64_t order;
	struct pair_op *op; /* [nops] of [PAIR_OPS_MAX] */
	uint32_t nops, ncompleted;
	bool may_fail; /* statuses other than OK are no failure */
	uint64_t sent; /* packets put on the wire */
	/* sees each packet before the wire does; true: it is dropped */
	bool (*tap)(struct pair *w, int from, int to, const struct srd_out *o);
	void *tap_ctx;
};

/* n nodes with w->cfg and w->wire, which the caller may have set before. */
void pair_init(struct pair *w, int n, uint64_t seed);
void pair_open(struct pair *w);
void pair_close(struct pair *w);
/* All conversations go on from this number; before anything is sent. */
void pair_number(struct pair *w, uint32_t psn);
/* The node's engine is closed without a word and opened as another one, at
 * the same port; its operations are forgotten. */
void pair_restart(struct pair *w, int node);

/* 0, or what the engine said; *op is its number here. */
int pair_send(struct pair *w, int from, int to, uint32_t len, bool has_imm);
int pair_send_request(struct pair *w, int from, int to, uint32_t len);
int pair_rdma(struct pair *w, enum pair_kind kind, int from, int to,
	      uint32_t len);

/* Lets a node send all it has, and fetches its completions. */
void pair_drive(struct pair *w, int node);
/* The next thing that happens, until a time at most; false: nothing does. */
bool pair_step(struct pair *w, uint64_t until);
/* Runs until a time, or until all is idle and the wire empty. */
bool pair_run(struct pair *w, uint64_t until);
bool pair_idle(const struct pair *w);
/* Lets time go by, until that time. */
void pair_sleep(struct pair *w, uint64_t ns);

/* Delivers one packet on the wire, by place, and forgets or keeps it. */
void pair_deliver(struct pair *w, uint32_t place, bool keep);
void pair_drop(struct pair *w, uint32_t place);
void pair_inject(struct pair *w, int from, int to, const void *bytes,
		 uint32_t len);

/* All operations completed, and bytes that nobody wrote are untouched. */
void pair_check_done(struct pair *w);
void pair_check_memory(struct pair *w);
/* Fails the test and says with which seed. */
void pair_fail(const struct pair *w, const char *what, uint64_t detail);
#define PAIR_MUST(w, cond)                             \
	do {                                           \
		if (!(cond))                           \
			pair_fail(w, #cond, __LINE__); \
	} while (0)

uint64_t pair_random(struct pair *w);
/* Below n. */
uint32_t pair_dice(struct pair *w, uint32_t n);
bool pair_chance(struct pair *w, uint32_t of_65536);

#endif
