/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random.h - the door of the random test: endpoints, operations, an oracle
 *
 *   random_step.c    draws what comes next         random_world.c  what all
 *        |                                         workers know of each other:
 *   random_send.c  random_recv.c  random_peek.c    messages under way, memory
 *   random_rma.c   random_atomic.c                 that is exposed and what has
 *        |  post                                   to be in it
 *        v                                              |
 *     the provider ---> random_poll.c ---> random_done.c, random_match.c
 *                       entries             is this what had to come?
 *
 * A worker is a process that drives some of the endpoints, with one thread or
 * several (random_thread.c). A run is a series of epochs: endpoints are opened, or stay; each worker takes
 * steps, of which every one draws from a generator of its own, seeded by run,
 * worker, epoch and step, so that leaving a step out changes no other; then all
 * is drained, and what must have come is compared with what has.
 *
 * Who sends writes the message down in the world before he posts it, so that
 * whoever receives it can look it up. A piece of exposed memory belongs to one
 * initiator at a time, who changes its shadow as he posts; its owner compares.
 * Nothing of it is believed to be in order but what libfabric promises.
 *
 * What is wrong ends the program with a line that repeats it.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include <rdma/fi_atomic.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_rma.h>

#include "ft.h"
#include "numbers.h"
#include "pattern.h"

#define RND_EPS 8
#define RND_WORKERS 4
#define RND_THREADS 8
#define RND_OPEN 64 /* messages of a stream whose fate is open, at most */
#define RND_GUARD 64u /* bytes around every buffer */
#define RND_PIECES 4
#define RND_CELLS 8 /* numbers that everybody adds to */
#define RND_ANY (-1) /* no endpoint in particular */
#define RND_TEXT 160

enum rnd_family { RND_PLAIN, RND_TAGGED, RND_FAMILIES };

/* ---- what all workers see: in shared memory -------------------------------- */

enum rnd_sent { RND_UNSENT, RND_SENT, RND_FAILED };
enum rnd_fate { RND_WAITING, RND_CLAIMED, RND_RECEIVED, RND_CANCELED };

/* Written by the sender before the post; the lower half by the receiver. */
struct rnd_msg {
	uint64_t seq; /* in its stream */
	uint64_t tag, data, seed;
	size_t len;
	bool has_data;
	bool named; /* tag or data are those of no other message */
	bool flush; /* the last of an epoch */
	_Atomic uint8_t sent; /* enum rnd_sent: how the send has ended */
	_Atomic bool delivered; /* the sender was told that it has arrived */

	uint8_t fate; /* enum rnd_fate */
	bool due; /* delivered, so its entry must be there */
	uint64_t before; /* serial of a receive that took a later message */
};

/* From one endpoint to another, of one family: matched in this order. */
struct rnd_stream {
	_Atomic uint64_t posted, retired; /* sequence numbers */
	struct rnd_msg msg[RND_OPEN];
};

enum rnd_holder { RND_FREE = -1, RND_SETTLING = -2, RND_SPOILT = -3 };

/* A piece of memory that peers access, with a memory region of its own. */
struct rnd_slot {
	uint64_t addr, key, access;
	uint64_t old_key; /* of a closed region; 0: none */
	size_t size, offset; /* in arena and shadow */
	enum fi_datatype type; /* of those for atomics */
	_Atomic int holder; /* an endpoint or enum rnd_holder */
	size_t at, len; /* what was changed, while SETTLING */
	bool at_once; /* it has to be there already */
	_Atomic int silent; /* who wrote it, and asked for no entry; RND_FREE */
	uint64_t since; /* ns */
};

enum { RND_RMA_SLOTS = 15, RND_ATOMIC_SLOTS = 12 };
#define RND_SLOTS (RND_RMA_SLOTS + RND_ATOMIC_SLOTS)

/* A write with data whose entry the target has not got. */
struct rnd_note {
	_Atomic uint64_t data; /* 0: none */
	size_t len;
};

struct rnd_public {
	char address[64];
	size_t address_len;
	uint32_t life; /* how often it was opened */
	int worker;
	_Atomic bool dead; /* closed in this epoch */
	_Atomic uint32_t deliveries; /* messages that became delivered */
	struct rnd_slot slot[RND_SLOTS];
	_Atomic uint64_t was_read, was_written; /* by peers, how often */
	_Atomic uint64_t changed[RND_SLOTS];
	uint64_t cell_addr, cell_key;
	_Atomic uint64_t cell[RND_CELLS]; /* what was added to each */
};

enum rnd_count {
	RND_N_SEND,
	RND_N_INJECT,
	RND_N_RECV,
	RND_N_MULTI,
	RND_N_PEEK,
	RND_N_CLAIM,
	RND_N_DISCARD,
	RND_N_CANCEL,
	RND_N_READ,
	RND_N_WRITE,
	RND_N_ATOMIC,
	RND_N_FETCH,
	RND_N_REGISTER,
	RND_N_OPEN,
	RND_N_DEATH,
	RND_N_AGAIN,
	RND_N_SLEEP,
	RND_N_COMPUTE,
	RND_N_BYTES, /* from here on no operations */
	RND_N_ENTRIES,
	RND_N_ERRORS,
	RND_N_COUNTS,
};

struct rnd_world {
	struct rnd_public ep[RND_EPS];
	struct rnd_stream stream[RND_EPS][RND_EPS][RND_FAMILIES];
	struct rnd_note note[RND_EPS][RND_EPS][RND_OPEN];
	_Atomic uint32_t arrived, generation; /* of the barrier */
	_Atomic bool over; /* time is up; decided by worker 0 */
	_Atomic bool failed, hung;
	_Atomic int computes; /* a worker that calls nothing; -1: none */
	_Atomic uint32_t computation; /* its number */
	_Atomic uint32_t ended; /* that number: an operation began and ended */
	uint64_t count[RND_WORKERS][RND_N_COUNTS];
	size_t arena; /* bytes of one arena */
	char *shadow; /* [RND_EPS * arena] */
};

/* ---- what one worker has --------------------------------------------------- */

struct rnd_mem {
	char *base; /* malloced; zero around and behind what is in it */
	char *p;
	size_t len;
	size_t n; /* pieces, with gaps between */
	struct iovec iov[RND_PIECES];
	struct fid_mr *mr; /* or NULL */
	void *desc[RND_PIECES];
};

enum rnd_kind { RND_SEND, RND_RECV, RND_PEEK, RND_READ, RND_WRITE, RND_ATOMIC };

struct rnd_op {
	struct fi_context2 context; /* first: an entry's context is the op */
	TAILQ_ENTRY(rnd_op) link; /* of the endpoint's receives or others */
	struct rnd_ep *ep;
	enum rnd_kind kind;
	int peer; /* or RND_ANY */
	uint64_t flags;
	bool entry; /* there will be one */
	bool posting; /* a thread is in its call, or prepares it */
	bool wrong; /* has to fail */
	struct rnd_mem mem;
	/* messages */
	enum rnd_family family;
	struct rnd_msg *msg; /* of sends, and of peeks that claimed it */
	uint64_t seed;
	/* receives and peeks */
	uint64_t serial; /* of the endpoint, in the order of posts */
	uint64_t tag, ignore;
	uint64_t below[RND_EPS]; /* what it may take from each is before this */
	bool multi, canceled;
	struct rnd_range {
		size_t at, len;
	} * part; /* of a multi-receive buffer that were filled */
	size_t nparts;
	/* RMA and atomics */
	int slot;
	size_t at, n;
	struct rnd_mem result, compare;
	bool fetches;
	bool changes; /* what is there */
	uint64_t number; /* of those that were posted; 0: is not yet */
	uint32_t probe; /* number of the computation that it is for; 0 */
	char *was; /* numbers before an atomic */
};

TAILQ_HEAD(rnd_ops, rnd_op);

/* A receive that was canceled and may have swallowed a message. */
struct rnd_lost {
	int peer; /* or RND_ANY */
	enum rnd_family family;
	uint64_t tag, ignore;
	const struct rnd_msg *msg; /* that it may have swallowed, and whose */
	int from;
	bool tried;
	SLIST_ENTRY(rnd_lost) link;
};

struct rnd_cq {
	struct fid_cq *fid;
	enum fi_cq_format format;
	bool sleeps;
	bool reading; /* a thread is at it */
	unsigned int users;
};

enum {
	RND_CNTR_SEND,
	RND_CNTR_RECV,
	RND_CNTR_READ,
	RND_CNTR_WRITE,
	RND_CNTR_REMOTE_READ, /* from here on with -R */
	RND_CNTR_REMOTE_WRITE,
	RND_CNTRS,
};

struct rnd_cntr {
	struct fid_cntr *fid;
	uint64_t ok, failed; /* what it has to say */
};

struct rnd_ep {
	struct rnd *w;
	int id;
	bool open;
	struct fid_ep *fid;
	struct fid_av *av; /* w->av or its own */
	struct fid_eq *eq; /* or NULL */
	struct rnd_cq *tx, *rx;
	struct rnd_cq own[2];
	struct rnd_cntr cntr[RND_CNTRS];
	struct rnd_cntr slot_cntr[RND_SLOTS]; /* of regions; many have none */
	bool selective_tx, selective_rx;
	fi_addr_t addr[RND_EPS]; /* FI_ADDR_NOTAVAIL: not inserted */
	uint32_t known[RND_EPS]; /* the life that was inserted */
	char *arena;
	struct fid_mr *mr[RND_SLOTS];
	struct fid_mr *cells;
	int settle; /* slot to look at next */
	struct rnd_ops recvs; /* posted and not ended, by serial */
	struct rnd_ops ops; /* others with an entry to come */
	struct rnd_ops silent; /* that have none; until the drain */
	struct rnd_ops zombies; /* whose context may still be named */
	struct rnd_ops claims;
	SLIST_HEAD(, rnd_lost) lost;
	uint64_t serial;
	uint64_t nrecvs, nops, nsilent;
	uint64_t posted; /* number of the last op */
	uint32_t deliveries; /* of the world's, those that were checked */
	uint32_t notes; /* writes with data, numbered */
	uint16_t flying[RND_EPS][RND_SLOTS]; /* atomics of ours */
	bool unsure[RND_EPS][RND_SLOTS]; /* whether they are carried out */
	bool peeking[RND_FAMILIES];
	/* What a thread does that others must not at the same time. */
	bool sending[RND_EPS][RND_FAMILIES];
	bool receiving[RND_FAMILIES];
	bool changing[RND_EPS][RND_SLOTS];
	bool flushed[RND_EPS][RND_FAMILIES]; /* the last message came */
};

struct rnd_options {
	unsigned int endpoints, workers;
	unsigned int threads; /* of a worker */
	uint64_t seed;
	uint64_t ops; /* steps of a worker; 0: no limit */
	unsigned int seconds; /* 0: no limit */
	uint64_t epoch; /* steps */
	size_t max; /* bytes of a message */
	bool deaths; /* endpoints close in the middle of an epoch */
	bool wrong; /* accesses that have to fail */
	bool no_reads; /* writes alone; atomics fetch in packets */
	bool remote; /* accesses of peers are counted */
	bool sleep; /* now and then */
	bool automatic; /* progress; and some compute */
	bool extra; /* fences, common address vectors, peers inserted anew */
};

/* What all threads but the first do. */
enum rnd_phase { RND_PARKED, RND_STEPPING, RND_DRIVING, RND_OVER };

struct rnd {
	pthread_mutex_t lock; /* of all here, and of the endpoints */
	pthread_cond_t changed; /* the phase, or who is parked */
	pthread_t thread[RND_THREADS]; /* from 1 on */
	enum rnd_phase phase;
	unsigned int started, parked;
	bool resting; /* one sleeps: the others end what they do, and wait */
	unsigned int rested; /* that wait for it */
	struct ft ft; /* options, info, fabric and domain */
	struct rnd_options opt;
	struct rnd_world *world;
	int id;
	uint64_t epoch, step, steps; /* steps in all */
	uint64_t began; /* ns */
	uint64_t *count; /* ours in the world */
	struct rnd_ep ep[RND_EPS]; /* ours are open */
	struct rnd_cq shared;
	struct fid_av *av; /* of several endpoints; NULL: nobody's yet */
	unsigned int av_users;
	bool draining; /* others may wait for receives of ours */
	unsigned int turns; /* of the drive */
	uint32_t probed; /* number of a computation */
	const char *doing; /* for what is printed at a failure */
};

/* random_world.c */
struct rnd_world *rnd_world_new(const struct rnd_options *opt);
void rnd_barrier(struct rnd *w);
_Noreturn void rnd_fail(struct rnd *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Ends the program when nothing has happened for a long time. */
void rnd_idle(struct rnd *w, bool idle);
extern const char *const rnd_kinds[]; /* names */
char *rnd_shadow(const struct rnd *w, int ep, int slot);

/* random_thread.c: without other threads, they do nothing */
unsigned int rnd_thread(void);
void rnd_lock(struct rnd *w);
void rnd_unlock(struct rnd *w);
void rnd_yield(struct rnd *w); /* to threads that want the lock */
void rnd_rest(struct rnd *w); /* while another thread sleeps */
void rnd_threads_start(struct rnd *w); /* parked; the lock is ours then */
void rnd_threads_are(struct rnd *w, enum rnd_phase phase);
void rnd_threads_stop(struct rnd *w);

/* random_draw.c */
extern _Thread_local uint64_t rnd_drawn; /* state of the generator */
void rnd_draw_seed(struct rnd *w, uint64_t what);
uint64_t rnd_draw(struct rnd *w);
uint64_t rnd_below(struct rnd *w, uint64_t bound);
bool rnd_chance(struct rnd *w, unsigned int percent);
/* Of all magnitudes; more often where protocols change. */
size_t rnd_size(struct rnd *w, size_t max);
int rnd_any_ep(struct rnd *w);
struct rnd_ep *rnd_own_ep(struct rnd *w); /* NULL: all of ours are closed */

/* random_mem.c */
void rnd_mem_new(struct rnd_ep *e, struct rnd_mem *mem, size_t len,
		 bool pieces);
void rnd_mem_free(struct rnd_mem *mem);
void rnd_mem_fill(struct rnd_mem *mem, uint64_t seed);
/* Makes its pieces of the mem->len bytes at mem->p. */
void rnd_mem_scatter(struct rnd_mem *mem);
/* Makes one piece of it. NULL, or what has been written that may not be. */
const char *rnd_mem_gather(struct rnd_mem *mem);
/* Of what was gathered: zero from there on, with the guard. */
bool rnd_mem_is_clean(const struct rnd_mem *mem, size_t from);
bool rnd_is_zero(const char *p, size_t len);

/* random_ep.c */
void rnd_open_domain(struct rnd *w);
void rnd_close_domain(struct rnd *w);
void rnd_ep_open(struct rnd_ep *e);
void rnd_ep_insert_peers(struct rnd_ep *e);
void rnd_ep_close(struct rnd_ep *e); /* the objects */
void rnd_ep_die(struct rnd_ep *e); /* in the middle of everything */
int rnd_ep_of_addr(const struct rnd_ep *e, fi_addr_t addr);

/* random_expose.c */
void rnd_arena_open(struct rnd_ep *e);
void rnd_arena_close(struct rnd_ep *e);
void rnd_register_step(struct rnd_ep *e);
void rnd_settle(struct rnd_ep *e);
bool rnd_settled(const struct rnd_ep *e);
void rnd_arena_check(struct rnd_ep *e); /* when nothing is under way */
size_t rnd_arena_size(size_t max);
bool rnd_slot_take(struct rnd_ep *e, int peer, int slot);
void rnd_slot_give(struct rnd *w, int peer, int slot, bool changed, size_t at,
		   size_t len, bool at_once);
/* It dies: what it was at, or has told nobody, may have come or not. */
void rnd_slots_spoil(struct rnd_ep *e);
uint64_t rnd_wrong_key(uint64_t key);
bool rnd_same_bytes(const struct rnd_slot *slot, bool numbers, const char *a,
		    const char *b, size_t len);

/* random_op.c */
struct rnd_op *rnd_op_new(struct rnd_ep *e, enum rnd_kind kind, int peer);
/* Lists it; silent ones stay until the drain, injected ones end at once. */
void rnd_op_posted(struct rnd_op *op, struct rnd_ops *list);
void rnd_op_end(struct rnd_op *op);
void rnd_op_free(struct rnd_op *op);
void rnd_ops_free(struct rnd_ops *ops);
/* False: done with; else the call is to be made again. */
bool rnd_again(struct rnd *w, const char *what, ssize_t ret, int peer);
bool rnd_is_dead(const struct rnd *w, int ep);
bool rnd_any_dead(const struct rnd *w);
uint64_t rnd_completion(struct rnd_ep *e, bool want);
/* FI_FENCE, or 0. */
uint64_t rnd_fence(struct rnd *w);
/* After such a call: what was posted to the peer up to number has ended. */
void rnd_check_fence(struct rnd_ep *e, int peer, uint64_t number);

/* random_send.c, random_recv.c, random_peek.c */
void rnd_send_step(struct rnd_ep *e);
void rnd_send_flush(struct rnd_ep *e, int peer, enum rnd_family family);
bool rnd_may_receive(const struct rnd_ep *e, enum rnd_family family);
void rnd_recv_step(struct rnd_ep *e);
void rnd_multi_step(struct rnd_ep *e);
void rnd_cancel_step(struct rnd_ep *e);
void rnd_cancel(struct rnd_op *op);
/* One for each message that is under way, whose number it returns. */
size_t rnd_recv_catch(struct rnd_ep *e, enum rnd_family family);
/* The same everywhere, since peers may be held back. */
void rnd_relieve(struct rnd *w);
void rnd_peek_step(struct rnd_ep *e);
void rnd_claim_step(struct rnd_ep *e);
void rnd_claim_take(struct rnd_op *op, bool discard);

/* random_rma.c, random_atomic.c */
void rnd_rma_step(struct rnd_ep *e);
void rnd_atomic_step(struct rnd_ep *e);
void rnd_cell_step(struct rnd_ep *e);
/* probe: number of a computation; 0: none. */
void rnd_cell_add(struct rnd_ep *e, int peer, int cell, bool fetch,
		  uint32_t probe);
/* One has ended; at the end of an epoch all are. */
void rnd_atomic_landed(struct rnd_ep *e, int peer, int slot);
void rnd_atomic_finish(struct rnd_ep *e);

/* random_match.c */
struct rnd_entry;
bool rnd_accepts(const struct rnd_op *r, int from, const struct rnd_msg *m);
void rnd_match_take(struct rnd_op *r, int from, struct rnd_msg *m, bool vague);
void rnd_match_fate(struct rnd_ep *e, int from, enum rnd_family family,
		    struct rnd_msg *m, enum rnd_fate fate);
size_t rnd_match_open(const struct rnd_ep *e, enum rnd_family family);
/*
 * Before the queue is read: whether a message is due. After it was read until
 * it was empty: then it has to have come.
 */
bool rnd_match_due(struct rnd_ep *e);
void rnd_match_not_due(struct rnd_ep *e);
/* Whether each message that has not come may have been swallowed. */
bool rnd_match_explained(struct rnd_ep *e, bool print);
void rnd_match_forget(struct rnd_ep *e);

/* An entry, of whatever format; what that lacks is marked so. */
struct rnd_entry {
	struct rnd_op *op;
	struct rnd_cq *cq;
	uint64_t flags, data, tag;
	size_t len, olen;
	char *buf;
	int from; /* RND_ANY: not told */
	bool has_flags, has_len, has_buf, has_data, has_tag;
	int err, prov_errno;
	const char *text; /* of an error */
};

/* random_poll.c, random_done.c, random_arrive.c */
void rnd_drive(struct rnd *w);
/* Some entries, waited for; the queue is ours. False: there was nothing. */
bool rnd_read(struct rnd *w, struct rnd_cq *cq, int ms);
void rnd_done(struct rnd *w, const struct rnd_entry *entry);
void rnd_arrived(struct rnd_op *op, const struct rnd_entry *entry);
void rnd_peeked(struct rnd_op *op, const struct rnd_entry *entry);

/* random_sleep.c */
void rnd_sleep(struct rnd *w); /* maybe */
void rnd_maybe_compute(struct rnd *w, uint64_t step);
void rnd_probe(struct rnd *w); /* who computes */
void rnd_probe_ended(struct rnd *w, uint32_t number);

/* random_count.c */
unsigned int rnd_cntrs(const struct rnd *w); /* how many an endpoint has */
void rnd_cntrs_open(struct rnd_ep *e);
void rnd_cntrs_close(struct rnd_ep *e);
void rnd_slot_cntrs_close(struct rnd_ep *e);
void rnd_slot_cntr_bind(struct rnd_ep *e, int slot);
bool rnd_slot_counted(struct rnd_ep *e, int slot);
void rnd_counted(struct rnd_ep *e, int cntr, bool ok);
/* A peer's memory was accessed, or will have been. */
void rnd_count_access(const struct rnd_op *op);
bool rnd_cntrs_came(struct rnd_ep *e);
void rnd_cntrs_check(struct rnd_ep *e);

/* random_step.c, random_drain.c */
void rnd_run(struct rnd *w);
void rnd_take_step(struct rnd *w, uint64_t step);
void rnd_drain(struct rnd *w);

#endif
