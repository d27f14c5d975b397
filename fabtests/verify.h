/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verify.h - the door of the functional test: operations that remember
 *
 * A case is a function that both sides run. Everything random is drawn from
 * vf_random() in the same order on both sides, so that the two agree on what
 * comes without a word between them.
 *
 * The usual case is a plan: vf_plan_new(), the fields of each message set, and
 * vf_plan_run(), which sends, receives, checks every byte, the bytes behind the
 * message, and every field of the completion entries. Odd cases post single
 * operations with vf_recv() and vf_send() and look at struct vf_op themselves.
 *
 * What is checked counts as passed or failed; a call of libfabric that fails,
 * or a completion that never comes, ends the program.
 */
#ifndef VERIFY_H
#define VERIFY_H

#include "ft.h"
#include "pattern.h"

#define VF_GUARD 64u /* bytes behind a receive that must stay */
#define VF_GUARD_BYTE 0xc3

/* One posted operation and, once done, its completion or error entry. */
struct vf_op {
	struct fi_context2 context; /* first: an entry's op_context is the op */
	unsigned int entries; /* that came for it */
	bool done;
	int err; /* positive fi_errno, 0 for success */
	uint64_t flags;
	size_t len;
	size_t olen;
	void *buf;
	uint64_t data;
	uint64_t tag;
	fi_addr_t src;
};

enum vf_how {
	VF_SEND,
	VF_INJECT,
	VF_DATA,
	VF_INJECT_DATA,
	VF_VECTOR, /* cut into as many pieces as the provider takes */
	VF_FLAGS, /* sendmsg with message.flags */
	VF_HOWS,
};

/* When the receives are posted. */
enum vf_when {
	VF_EXPECTED, /* before the sends */
	VF_UNEXPECTED, /* once the messages had time to arrive */
	VF_MIXED, /* half and half */
};

struct vf_message {
	size_t size;
	uint64_t tag;
	enum vf_how how;
	uint64_t flags;
	bool vector_recv;

	size_t at; /* in either arena; set by vf_plan_run() */
	uint64_t seed; /* of the bytes */
	struct vf_op send, recv;
};

struct vf_plan {
	struct vf_message *message;
	size_t n;
	bool tagged;
	bool client_sends;
	enum vf_when when;
	bool shuffle; /* orders of sends and receives; tags differ */
};

struct verify {
	struct ft ft;
	struct ft_buf tx, rx; /* arenas, of the same size */
	uint64_t random;
	uint64_t serial; /* of the messages' bytes */
	uint64_t data_mask; /* what fits cq_data_size */
	bool strict; /* the provider promises the efa contract */
	const char *name; /* of the case at hand */
	uint64_t passed, failed;
	uint64_t stray; /* entries that belong to no operation */
	struct vf_op *remote; /* takes entries of remote writes; or NULL */
};

struct vf_case {
	const char *name;
	void (*run)(struct verify *v);
	uint64_t caps; /* needed; else the case is skipped */
};

extern const struct vf_case vf_size_cases[];
extern const struct vf_case vf_match_cases[];
extern const struct vf_case vf_peek_cases[];
extern const struct vf_case vf_send_cases[];
extern const struct vf_case vf_atomic_cases[];
extern const struct vf_case vf_rma_cases[];
extern const struct vf_case vf_end_cases[];

/* verify_plan.c */
struct vf_plan vf_plan_new(size_t n);
void vf_plan_free(struct vf_plan *plan);
void vf_plan_run(struct verify *v, struct vf_plan *plan);
/* The same plan with each side sending once, then freed. */
void vf_plan_run_both(struct verify *v, struct vf_plan *plan);

/* verify_op.c */
uint64_t vf_random(struct verify *v);
uint64_t vf_random_below(struct verify *v, uint64_t bound);
/* Sizes of all magnitudes up to max come equally often. */
size_t vf_random_size(struct verify *v, size_t max);
void vf_shuffle(struct verify *v, size_t *order, size_t n);
void vf_poll(struct verify *v);
void vf_wait(struct verify *v, struct vf_op *op);
/* Polls for a while, for what must not or need not happen. */
void vf_linger(struct verify *v, unsigned int ms);
void vf_again(struct verify *v, const char *what, ssize_t ret);
void vf_expect(struct verify *v, bool holds, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void vf_skip(struct verify *v, const char *why);
/* FI_DELIVERY_COMPLETE, unless it has to be refused. */
uint64_t vf_delivery(const struct verify *v);
/* A write of len bytes at tx + at, with flags and an entry: as fi_writemsg. */
ssize_t vf_writemsg(struct verify *v, struct vf_op *op, size_t at, size_t len,
		    uint64_t addr, uint64_t key, uint64_t flags);

/* Tagged, offsets into the arenas. */
void vf_recv(struct verify *v, struct vf_op *op, fi_addr_t from, size_t at,
	     size_t len, uint64_t tag, uint64_t ignore);
void vf_send(struct verify *v, struct vf_op *op, fi_addr_t to, size_t at,
	     size_t len, uint64_t tag);
/* The message's bytes are at tx + at, from seed. */
void vf_fill(struct verify *v, size_t at, size_t len, uint64_t seed);
void vf_guard(struct verify *v, size_t at, size_t len);
void vf_expect_bytes(struct verify *v, size_t at, size_t len, uint64_t seed);
/* The rest of a receive's room is as vf_guard() left it. */
void vf_expect_guard(struct verify *v, size_t at, size_t from, size_t to);
void vf_expect_recv(struct verify *v, const struct vf_op *op, size_t len,
		    uint64_t tag);

#endif
