/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm.h - door of the message layer: reliable datagram endpoints that speak
 * the EFA RDM protocol version 4 over the device port
 *
 *    fi/ --- rdm_send, rdm_recv, rdm_peek, rdm_rma, rdm_cancel ---> rdm_ep
 *    fi/ <-- rdm_cq_read <-- [ rdm_cq: ring of results ] <---------- rdm_ep
 *                  rdm_progress(ep) drives it     rdm_av: address table
 *
 * How to drive it
 *   rdm_av_new, rdm_cq_new, rdm_ep_open; then (send | recv | ... | progress,
 *   cq_read)*; rdm_ep_drain, rdm_ep_close, rdm_cq_free, rdm_av_free.
 *
 * Threads: an endpoint belongs to one thread at a time (fi/ holds its lock);
 * rdm_cq and rdm_av may be shared by endpoints and lock themselves.
 * Results come out of the rdm_cq and in counters only; nothing calls back.
 */
#ifndef RDM_H
#define RDM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "dev/dev.h"
#include "util/u_lock.h"

/* An index into an rdm_av; what the application calls fi_addr. */
#define RDM_ADDR_NONE UINT64_MAX

#define RDM_IOV_MAX 4

/* ---- errors ------------------------------------------------------------ */

/*
 * Why an operation failed: 1..4095 the device's status (enum dev_status),
 * 4096..4127 the provider codes of fi_efa(7), above that the user's doing.
 */
enum rdm_err {
	RDM_OK = 0,
	RDM_ERR_OTHER = 4096,
	RDM_ERR_BAD_PKT = 4098,
	RDM_ERR_UNKNOWN_PKT = 4099,
	RDM_ERR_DUPLICATE = 4104,
	RDM_ERR_NOMEM = 4105,
	RDM_ERR_RMA_ADDR = 4111,
	RDM_ERR_HANDSHAKE = 4113,
	RDM_ERR_SIZE = 4115,
	RDM_ERR_ATOMIC = 4118, /* no such atomic: operation or datatype */
	RDM_ERR_PEER_GONE = 4124, /* after a handshake */
	RDM_ERR_PEER_SILENT = 4126, /* before any handshake */
	RDM_ERR_PEER_ABORT = 4127, /* the peer gave the operation up */
	RDM_ERR_TRUNC = 8192, /* message longer than the receive buffer */
	RDM_ERR_NOMSG, /* peek found nothing */
	RDM_ERR_CANCELED, /* rdm_cancel, or the endpoint was closed */
	RDM_ERR_STRANGER, /* all is well, but the sender is not in the av */
};

/* ---- completion queue --------------------------------------------------- */

enum rdm_comp_kind {
	RDM_COMP_SEND,
	RDM_COMP_RECV,
	RDM_COMP_READ,
	RDM_COMP_WRITE,
	RDM_COMP_ATOMIC, /* without a result */
	RDM_COMP_FETCH, /* an atomic whose result is there */
	RDM_COMP_REMOTE_WRITE, /* a peer wrote here with CQ data */
	RDM_COMP_RELEASE, /* a multi-receive buffer is the user's again */
	RDM_COMP_KINDS,
};

enum rdm_comp_flags {
	RDM_COMP_TAGGED = 1,
	RDM_COMP_DATA = 2, /* data is valid */
	RDM_COMP_MULTI = 4, /* last use of a multi-receive buffer */
	RDM_COMP_FLAGS = 8, /* one above all of them */
};

/* What an error entry tells beside the rdm_comp. */
struct rdm_comp_error {
	uint64_t olen; /* bytes that did not fit */
	struct dev_addr self, peer; /* peer is zero when unknown */
};

struct rdm_comp {
	void *context;
	uint64_t len; /* bytes of the message, of a truncated one too */
	void *buf; /* receive: where the bytes lie */
	uint64_t data;
	uint64_t tag;
	uint64_t source; /* index of the sender, or RDM_ADDR_NONE */
	uint16_t kind; /* enum rdm_comp_kind */
	uint16_t flags; /* enum rdm_comp_flags */
	uint32_t err; /* enum rdm_err; 0 success */
	struct rdm_comp_error *error; /* malloced, the reader's to free();
					 NULL on success or without memory */
};

struct rdm_cq;

/*
 * size: entries that need no further memory, a hint; the queue grows and is
 * never overrun. locked: endpoints of several threads share it.
 */
struct rdm_cq *rdm_cq_new(size_t size, bool locked);
void rdm_cq_free(struct rdm_cq *cq);

/*
 * Takes up to n entries from the front, but none from the first error on:
 * returns their number; 0 when empty; -1 when the first one is an error (take
 * it with rdm_cq_read_error: 1, or 0 when the first entry is no error).
 */
int rdm_cq_read(struct rdm_cq *cq, struct rdm_comp *comp, int n);
int rdm_cq_read_error(struct rdm_cq *cq, struct rdm_comp *comp);
bool rdm_cq_empty(struct rdm_cq *cq);

/* An eventfd to signal at the next push after rdm_cq_sleep; -1: none. */
void rdm_cq_set_fd(struct rdm_cq *cq, int fd);
/* Returns false, not armed, when there are entries. */
bool rdm_cq_sleep(struct rdm_cq *cq);

/* ---- counters ------------------------------------------------------------ */

struct rdm_cntr {
	_Atomic uint64_t ok;
	_Atomic uint64_t failed;
	_Atomic bool sleeping; /* the next count signals fd, and ends this */
	int fd; /* eventfd of the owner, not ours; -1: none */
};

void rdm_cntr_add(struct rdm_cntr *cntr, bool ok);

/* What an endpoint counts where; any of them may be NULL. */
enum rdm_cntr_use {
	RDM_CNTR_SEND,
	RDM_CNTR_RECV,
	RDM_CNTR_READ,
	RDM_CNTR_WRITE,
	RDM_CNTR_REMOTE_READ,
	RDM_CNTR_REMOTE_WRITE,
	RDM_CNTR_USES,
};

/* ---- counters of regions --------------------------------------------------- */

/* Those of a device, for all its endpoints; locks itself. */
struct rdm_regions;

/* A region whose writes by peers, and atomics, are counted; its owner's. */
struct rdm_region {
	LIST_ENTRY(rdm_region) link;
	uint64_t key; /* of its dev_mr */
	struct rdm_cntr *cntr;
};

struct rdm_regions *rdm_regions_new(void);
void rdm_regions_free(struct rdm_regions *regions);
void rdm_region_bind(struct rdm_regions *regions, struct rdm_region *region);
/* Nothing counts there any more when it returns. */
void rdm_region_unbind(struct rdm_regions *regions, struct rdm_region *region);

/* ---- addresses ----------------------------------------------------------- */

struct rdm_av;

/* count: addresses expected, a hint. */
struct rdm_av *rdm_av_new(size_t count);
void rdm_av_free(struct rdm_av *av);

/*
 * Writes the index of the address; the same address again gives the same
 * index and one more reference. -EINVAL an address that cannot be (zero gid
 * or queue pair number), -ENOMEM.
 */
int rdm_av_insert(struct rdm_av *av, const struct dev_addr *addr,
		  uint64_t *index);
/* Drops a reference. 1: it was the last; 0: others left; -EINVAL unknown. */
int rdm_av_remove(struct rdm_av *av, uint64_t index);
/* -EINVAL when index is not in use. Takes no lock. */
int rdm_av_lookup(const struct rdm_av *av, uint64_t index,
		  struct dev_addr *addr);
/* RDM_ADDR_NONE when it is not there. */
uint64_t rdm_av_find(struct rdm_av *av, const struct dev_addr *addr);
/*
 * The same where the qkey is not known: of several, one. Looks at all of them,
 * without a lock.
 */
uint64_t rdm_av_find_any(struct rdm_av *av, const struct dev_addr *addr);
/* Changes whenever something was inserted. Takes no lock. */
uint32_t rdm_av_generation(const struct rdm_av *av);

#define RDM_REMOVED_MAX 64

/*
 * Indexes that were removed, for the owner of something that is kept by index.
 * Any thread notes them; the owner takes them when it finds its reach at 0.
 */
struct rdm_removed {
	struct u_lock lock;
	_Atomic uint32_t *reach; /* the owner's: how far it may use its table */
	uint32_t n; /* RDM_REMOVED_MAX + 1: more than are noted */
	uint32_t index[RDM_REMOVED_MAX];
};

void rdm_removed_init(struct rdm_removed *r, _Atomic uint32_t *reach);
void rdm_removed_fini(struct rdm_removed *r);
void rdm_removed_note(struct rdm_removed *r, uint64_t index);
/*
 * Takes them into index[RDM_REMOVED_MAX] and sets the reach. Returns n, more
 * than RDM_REMOVED_MAX when any may have been removed.
 */
uint32_t rdm_removed_take(struct rdm_removed *r, uint32_t index[],
			  uint32_t reach);

/* ---- endpoint ------------------------------------------------------------ */

struct rdm_ep_config {
	struct dev *dev;
	struct rdm_av *av;
	struct rdm_cq *tx_cq, *rx_cq; /* may be the same */
	struct rdm_cntr *cntr[RDM_CNTR_USES];
	struct rdm_regions *regions; /* NULL: none are counted */
	size_t tx_size; /* send operations under way at most */
	size_t medium_max; /* bytes up to which a message goes as MEDIUM */
	size_t read_min; /* bytes from which it is pulled; 0: device's */
	size_t write_read_min; /* bytes from which a write without RDMA is
				  pulled */
	size_t runt_size; /* bytes of heads of pulled messages that are sent
			     beside, to one peer at a time; 0: none */
	size_t unexpected_max; /* bytes of unmatched messages kept before
				  peers are held back */
	size_t min_multi_recv; /* bytes left below which a multi-receive
				  buffer is released */
	uint8_t rnr_retries; /* of the device: struct dev_qp_attr */
	bool low_latency; /* likewise */
	uint64_t features_off; /* handshake feature bits not to use */
	bool no_rdma; /* the device's RDMA is not used, by peers neither */
	bool no_shm; /* shared memory is not used, by peers neither */
	bool patient; /* no message goes before the peer's HANDSHAKE, as it may
			 want it without headers: rdm_bare.c */
	bool strangers; /* what comes of a sender who is not in the av is an
			   entry RDM_ERR_STRANGER with his address */
	uint64_t answer_timeout; /* ns that an answer which cannot be delivered
				    is tried again; 0: 3 s */
};

struct rdm_ep;

/* Opens queue pair and dev cq. Errors: as dev_qp_open, -ENOMEM. */
int rdm_ep_open(const struct rdm_ep_config *config, struct rdm_ep **ep);

/*
 * Gives what peers still wait for (queued packets, acknowledgements) up to
 * timeout ns to get out, polling. True when nothing is left, but for what
 * peers are owed that cannot be reached.
 */
bool rdm_ep_drain(struct rdm_ep *ep, uint64_t timeout);

/* Posted receives vanish without completion, as libfabric has it. */
void rdm_ep_close(struct rdm_ep *ep);

void rdm_ep_addr(const struct rdm_ep *ep, struct dev_addr *addr);
void rdm_ep_set_min_multi_recv(struct rdm_ep *ep, size_t bytes);

/* This index was removed from the address table. Any thread. */
void rdm_ep_removed(struct rdm_ep *ep, uint64_t index);

/* Bytes that fit one packet whatever headers it needs: for inject limits. */
size_t rdm_inject_max(uint32_t mtu);

/*
 * Receives completions and packets, goes on with what waits. True:
 * rdm_ep_refusal() has something to tell.
 */
bool rdm_progress(struct rdm_ep *ep);

/* A request of a peer that was not carried out. */
struct rdm_refusal {
	uint32_t err; /* enum rdm_err */
	struct dev_addr peer;
};

/* Takes the oldest one. False: there is none. */
bool rdm_ep_refusal(struct rdm_ep *ep, struct rdm_refusal *refusal);

/* See dev_cq_fd and dev_cq_arm; arm says 1 too when packets wait to go out. */
int rdm_ep_fd(struct rdm_ep *ep);
int rdm_ep_arm(struct rdm_ep *ep);
/* Armed, nobody has polled since, and no packet waits to go out. */
bool rdm_ep_is_armed(const struct rdm_ep *ep);

enum rdm_flags {
	RDM_TAGGED = 1,
	RDM_DATA = 2, /* data travels along */
	RDM_INJECT = 4, /* the buffer is the caller's at return */
	RDM_COMPLETION = 8, /* write an entry on success too */
	RDM_DELIVERY = 16, /* complete when the peer's user has it */
	RDM_MULTI_RECV = 32,
	RDM_CLAIM = 64,
	RDM_DISCARD = 128,
};

struct rdm_send {
	const struct iovec *iov; /* copied; the bytes are read later unless
				    RDM_INJECT */
	uint32_t iovcnt; /* 0..RDM_IOV_MAX */
	void *const *mr; /* [iovcnt] struct dev_mr of iov, copied: the operation
			    ends by rdm_revoke(); NULL, also in it: none */
	uint32_t flags; /* enum rdm_flags */
	uint64_t to; /* index in the av */
	uint64_t tag;
	uint64_t data;
	void *context;
};

/*
 * 0: accepted, the result comes as a completion. -EAGAIN: no room (progress,
 * then again). -EINVAL unknown index, -EMSGSIZE an inject too long, -ENOMEM,
 * -EOPNOTSUPP RDM_DELIVERY, and the peer cannot tell of it.
 */
int rdm_send(struct rdm_ep *ep, const struct rdm_send *op);

/* Nothing that was posted to that index is under way any more. */
bool rdm_is_settled(struct rdm_ep *ep, uint64_t to);

struct rdm_recv {
	const struct iovec *iov; /* copied */
	uint32_t iovcnt; /* 0..RDM_IOV_MAX; 1 with RDM_MULTI_RECV */
	void *const *mr; /* [iovcnt], as of rdm_send */
	uint32_t flags; /* TAGGED, COMPLETION, MULTI_RECV; CLAIM: into this
			   buffer goes the message that was claimed with the
			   same context; CLAIM|DISCARD: drop it */
	uint64_t from; /* index, or RDM_ADDR_NONE for any */
	uint64_t tag;
	uint64_t ignore; /* tag bits that need not be equal */
	void *context;
};

/* Errors as rdm_send; -ENOMSG: CLAIM of something not claimed; -EINVAL too:
   MULTI_RECV of several pieces. */
int rdm_recv(struct rdm_ep *ep, const struct rdm_recv *op);

/*
 * Looks for an unexpected message and always answers with one completion: its
 * len, tag, data and source, or RDM_ERR_NOMSG. flags: TAGGED; CLAIM keeps the
 * message for rdm_recv with CLAIM and the same context; DISCARD drops it.
 * iov of op is not used.
 */
int rdm_peek(struct rdm_ep *ep, const struct rdm_recv *op);

/*
 * Cancels the receive with that context, also one that has a part of its
 * message: its completion follows, at once or when the device is done with
 * the buffer. -ENOENT: there is none.
 */
int rdm_cancel(struct rdm_ep *ep, void *context);

/*
 * A region of ours is about to be closed: what names it as local memory, and
 * needs that still, ends with RDM_ERR_CANCELED, and the peers of what has begun
 * are told. Neither we nor software below us touch the memory after it. False:
 * nothing named it.
 */
bool rdm_revoke(struct rdm_ep *ep, const struct dev_mr *mr);

struct rdm_rma {
	bool read; /* else write */
	const struct iovec *iov; /* copied */
	uint32_t iovcnt; /* 1..RDM_IOV_MAX */
	uint32_t rma_iovcnt; /* 1..RDM_IOV_MAX */
	const struct dev_range *rma_iov; /* of the peer; copied; as many bytes
					    as iov */
	void *const *mr; /* [iovcnt], as of rdm_send; the device uses them */
	uint32_t flags; /* DATA, INJECT, COMPLETION, DELIVERY */
	uint64_t to;
	uint64_t data; /* low 32 bits travel */
	void *context;
};

/*
 * As rdm_send. -EOPNOTSUPP: RDM_DELIVERY, and the peer cannot tell that bytes
 * are in its memory.
 */
int rdm_rma(struct rdm_ep *ep, const struct rdm_rma *op);

/* ---- atomics -------------------------------------------------------------- */

enum rdm_atomic_kind {
	RDM_ATOMIC_BASE, /* changes the target */
	RDM_ATOMIC_FETCH, /* and tells what it held */
	RDM_ATOMIC_COMPARE, /* changes what compares as wished, and tells */
};

/* Operations and datatypes by the numbers that they have on the wire. */
enum rdm_atomic_op {
	RDM_ATOMIC_MIN,
	RDM_ATOMIC_MAX,
	RDM_ATOMIC_SUM,
	RDM_ATOMIC_PROD,
	RDM_ATOMIC_LOR,
	RDM_ATOMIC_LAND,
	RDM_ATOMIC_BOR,
	RDM_ATOMIC_BAND,
	RDM_ATOMIC_LXOR,
	RDM_ATOMIC_BXOR,
	RDM_ATOMIC_READ,
	RDM_ATOMIC_WRITE,
	RDM_ATOMIC_CSWAP, /* this one and those behind it compare */
	RDM_ATOMIC_CSWAP_NE,
	RDM_ATOMIC_CSWAP_LE,
	RDM_ATOMIC_CSWAP_LT,
	RDM_ATOMIC_CSWAP_GE,
	RDM_ATOMIC_CSWAP_GT,
	RDM_ATOMIC_MSWAP,
	RDM_ATOMIC_OPS,
};

enum rdm_datatype {
	RDM_INT8,
	RDM_UINT8,
	RDM_INT16,
	RDM_UINT16,
	RDM_INT32,
	RDM_UINT32,
	RDM_INT64,
	RDM_UINT64,
	RDM_FLOAT,
	RDM_DOUBLE,
	RDM_FLOAT_COMPLEX,
	RDM_DOUBLE_COMPLEX,
	RDM_LONG_DOUBLE,
	RDM_LONG_DOUBLE_COMPLEX,
	RDM_INT128,
	RDM_UINT128,
	RDM_DATATYPES,
};

/* Bytes of an element; 0: there is no such datatype. */
uint32_t rdm_atomic_size(uint32_t type);
/* Whether the operation, of that kind, is there for the datatype. */
bool rdm_atomic_valid(enum rdm_atomic_kind kind, uint32_t op, uint32_t type);
/* Bytes of operands of one operation at most; those that compare: half. */
size_t rdm_atomic_max(uint32_t mtu);

struct rdm_atomic {
	enum rdm_atomic_kind kind;
	uint32_t op; /* enum rdm_atomic_op */
	uint32_t type; /* enum rdm_datatype */
	/* Lists of up to RDM_IOV_MAX elements, as many bytes in each. The bytes
	   of iov and compare are the caller's again at return. */
	const struct iovec *iov; /* not looked at by ATOMIC_READ */
	const struct iovec *compare; /* COMPARE */
	const struct iovec *result; /* FETCH and COMPARE; copied, filled later */
	const struct dev_range *target; /* in the peer's regions */
	void *const *result_mr; /* [resultcnt], as of rdm_send */
	uint32_t iovcnt, comparecnt, resultcnt, targetcnt;
	uint32_t flags; /* INJECT, COMPLETION, DELIVERY */
	uint64_t to;
	void *context;
};

/*
 * As rdm_send; -EOPNOTSUPP no such operation, or the peer cannot say that it is
 * done (DELIVERY), -EINVAL lists of unlike lengths
 * or parts of elements, -EMSGSIZE more bytes than rdm_atomic_max().
 */
int rdm_atomic(struct rdm_ep *ep, const struct rdm_atomic *op);

struct rdm_stats {
	uint64_t bad_packets; /* dropped: malformed, stale or foreign */
	uint64_t duplicates; /* dropped: message number already seen */
	uint64_t unexpected; /* messages that had to be kept */
	uint64_t reordered; /* messages that came early */
	uint64_t pressure; /* times peers were held back */
	uint64_t refused; /* requests not carried out */
	uint64_t bursts; /* polls of the device that found something */
};

const struct rdm_stats *rdm_ep_stats(const struct rdm_ep *ep);

#endif
