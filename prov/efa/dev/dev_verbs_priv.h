/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_priv.h - objects of an EFA device
 *
 *   verbs_dev      open device, protection domain; verbs_gid: one address
 *                  handle of the hardware for each gid, shared by all
 *   verbs_cq       completion queue and its channel
 *   verbs_qp       queue pair: verbs_tx, a send-side request from post to
 *                  completion; verbs_rx, receives that the device owns (RDM)
 *                  or the user posted (UD, SRD)
 *   verbs_ah       a destination of one queue pair
 *   verbs_pool     packets in registered memory
 *   verbs_sources  numbers for senders
 *
 * Invariants
 *   I1  A verbs_tx is in the hardware (in_hw), or on one of qp->failed and
 *       qp->waiting, or free. tx->ah->posted counts those that are not free.
 *   I2  The hardware never holds more than tx_depth requests of a queue pair,
 *       because there are no more verbs_tx.
 *   I3  A handle of the hardware outlives every request that names it: a
 *       verbs_ah that is closed early is freed by its last request.
 *   I4  Nothing is posted between ibv_start_poll() and ibv_end_poll().
 */
#ifndef DEV_VERBS_PRIV_H
#define DEV_VERBS_PRIV_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "dev/dev.h"
#include "dev/dev_cache.h"
#include "dev_verbs.h"
#include "dev_verbs_lib.h"
#include "util/u_base.h"
#include "util/u_lock.h"

#define VERBS_PORT 1
#define VERBS_DEPTH_MIN 32 /* of either queue */
#define VERBS_BATCH 64 /* completions of one poll at most */
#define VERBS_NONE UINT32_MAX

/* ---- packets in registered memory ---------------------------------------- */

#define VERBS_CHUNK 32 /* packets registered in one piece */

struct verbs_chunk {
	char *mem; /* pages of its own; NULL: none */
	struct ibv_mr *mr;
	uint32_t free; /* bit set: packet is free */
};

/* A packet is named by chunk * VERBS_CHUNK + its number in there. */
struct verbs_pool {
	struct verbs_dev *vd;
	struct verbs_chunk *chunk; /* [max_chunks] */
	uint64_t *ready; /* bit set: chunk has a free packet */
	uint32_t max_chunks;
	uint32_t nchunks; /* that have memory */
	uint32_t stride; /* bytes of a packet, aligned to lines */
	uint32_t taken, peak; /* packets out; most of them since a look */
	uint32_t puts; /* since a look */
	bool full; /* registering failed: leave it at what there is */
};

int verbs_pool_init(struct verbs_pool *p, struct verbs_dev *vd, uint32_t bytes,
		    uint32_t max_pkts);
void verbs_pool_fini(struct verbs_pool *p);

/* Adds a chunk; -ENOMEM, which it logs once in a process. */
int verbs_pool_grow(struct verbs_pool *p);

/* A packet of the lowest chunk that has one; VERBS_NONE: grow. */
uint32_t verbs_pool_get(struct verbs_pool *p);
void verbs_pool_put(struct verbs_pool *p, uint32_t pkt);

/* Gives back memory of wholly free chunks, down to keep chunks. */
void verbs_pool_trim(struct verbs_pool *p, uint32_t keep);

static inline char *verbs_pool_at(const struct verbs_pool *p, uint32_t pkt)
{
	return p->chunk[pkt / VERBS_CHUNK].mem +
	       (size_t)(pkt % VERBS_CHUNK) * p->stride;
}

static inline uint32_t verbs_pool_lkey(const struct verbs_pool *p, uint32_t pkt)
{
	return p->chunk[pkt / VERBS_CHUNK].mr->lkey;
}

/* ---- device --------------------------------------------------------------- */

/* The hardware's handle for one gid. Under vd->lock, but gid and ah const. */
struct verbs_gid {
	LIST_ENTRY(verbs_gid) link; /* bucket */
	TAILQ_ENTRY(verbs_gid) idle; /* refs is 0 */
	uint8_t gid[16];
	struct ibv_ah *ah;
	uint16_t ahn; /* what completions call it */
	uint32_t refs; /* verbs_ah */
};

#define VERBS_AHN_NONE 0xffff
#define VERBS_GID_BUCKETS 1024

#define VERBS_KEY_BUCKETS 1024

LIST_HEAD(verbs_gid_list, verbs_gid);
LIST_HEAD(verbs_mr_list, verbs_mr);
TAILQ_HEAD(verbs_gid_queue, verbs_gid);

struct verbs_dev {
	struct dev dev;
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	uint32_t caps; /* enum verbs_caps */
	uint32_t rx_sge; /* of the device; 1 is used */
	uint32_t tx_sge; /* 1 or 2 are used */
	uint32_t inline_plain; /* bytes of inline data without wide requests */
	uint32_t max_cqe;
	struct verbs_extra extra; /* what queue pairs are asked for */
	struct dev_cache *cache; /* of registrations */
	atomic_bool fatal; /* the hardware said that it is dead */
	struct u_lock events_lock; /* who reads events */
	bool has_events; /* they can be read without waiting for one */

	struct u_lock keys_lock; /* guards keys */
	struct verbs_mr_list keys[VERBS_KEY_BUCKETS]; /* regions, by key */

	struct u_lock lock; /* guards the rest */
	struct verbs_gid_list gids[VERBS_GID_BUCKETS];
	struct verbs_gid **by_ahn; /* [65536] */
	struct verbs_gid_queue idle; /* longest idle first */
	uint32_t nidle;
	_Atomic uint32_t ahn_epoch; /* changes when a number may be reused;
				       read without the lock */
};

/* Device and port as dev.h has it; -ENODEV: no EFA, or logged. */
int verbs_query(struct ibv_context *ctx, struct efadv_device_attr *efa,
		struct dev_info *info);

/* Handles events of the device that nobody waits for. */
void verbs_events(struct verbs_dev *vd);

int verbs_gids_init(struct verbs_dev *vd);
void verbs_gids_fini(struct verbs_dev *vd);
int verbs_gid_get(struct verbs_dev *vd, const uint8_t gid[16],
		  struct verbs_gid **out);
void verbs_gid_put(struct verbs_dev *vd, struct verbs_gid *gid);
bool verbs_gid_of_ahn(struct verbs_dev *vd, uint16_t ahn, uint8_t gid[16]);

/* ---- registered memory of others ------------------------------------------ */

/* A local range while a request names it. */
struct verbs_reg {
	struct ibv_mr *mr; /* NULL: none */
	struct dev_cache_entry *entry; /* whose it is */
};

int verbs_regs_init(struct verbs_dev *vd, const struct dev_config *config);
void verbs_regs_fini(struct verbs_dev *vd);

/* For enum ibv_access_flags, by the cache; 0 or what the system said. */
int verbs_reg_get(struct verbs_dev *vd, const void *addr, size_t len,
		  uint32_t access, struct verbs_reg *out);
void verbs_reg_put(struct verbs_dev *vd, struct verbs_reg *reg);

/* A region. */
struct verbs_mr {
	struct dev_mr mr;
	LIST_ENTRY(verbs_mr) link; /* vd->keys */
	uint32_t access; /* of peers: enum dev_access */
	struct ibv_mr *ibv;
	struct verbs_reg reg; /* where ibv comes from the cache */
};

void verbs_keys_init(struct verbs_dev *vd);
void verbs_keys_fini(struct verbs_dev *vd);
void verbs_key_add(struct verbs_dev *vd, struct verbs_mr *mr);
void verbs_key_remove(struct verbs_dev *vd, struct verbs_mr *mr);
bool verbs_mr_hold(struct dev *d, const struct dev_range *range, int n,
		   uint32_t access);
void verbs_mr_release(struct dev *d);

int verbs_mr_open(struct dev *d, void *addr, size_t len, uint32_t access,
		  struct dev_mr **out);
int verbs_mr_close(struct dev_mr *m);
int verbs_mr_ids(struct dev_mr *m, struct dev_mr_ids *ids);

/* The lkey of mr, if it covers the range; false: NULL or does not. */
bool verbs_mr_lkey(const struct dev_mr *mr, const void *addr, uint64_t len,
		   uint32_t *lkey);

/* Registers; the one place that explains a limit on locked memory. */
struct ibv_mr *verbs_reg_mr(struct verbs_dev *vd, void *addr, size_t len,
			    uint32_t access);

/* ---- senders ---------------------------------------------------------------- */

struct verbs_source {
	uint8_t gid[16];
	uint32_t qpn;
};

/* Open addressing; half of the slots are free. */
struct verbs_sources {
	struct verbs_source *list; /* [n], by number */
	uint32_t n;
	uint32_t bits; /* both tables have 1 << bits slots; 0: none yet */
	uint32_t *by_addr; /* number; VERBS_NONE: free */
	struct verbs_sender {
		uint64_t key; /* ahn << 32 | qpn */
		uint32_t number; /* VERBS_NONE: free */
	} * by_ahn;
	uint32_t nsenders; /* in by_ahn */
};

void verbs_sources_fini(struct verbs_sources *s);

/* By handle number and queue pair; VERBS_NONE: ask verbs_source_learn(). */
uint32_t verbs_source_find(const struct verbs_sources *s, uint32_t ahn,
			   uint32_t qpn);

/* The number of an address, given at first sight; VERBS_NONE without memory. */
uint32_t verbs_source_number(struct verbs_sources *s, const uint8_t gid[16],
			     uint32_t qpn);
void verbs_source_learn(struct verbs_sources *s, uint32_t ahn, uint32_t qpn,
			uint32_t number);

/* What is known by handle number is no longer so. */
void verbs_source_unlearn(struct verbs_sources *s);

/* ---- queue pairs ------------------------------------------------------------- */

struct verbs_ah {
	struct dev_ah ah;
	struct verbs_gid *gid;
	uint64_t cookie;
	uint32_t posted; /* verbs_tx that name it (I1) */
	bool closed; /* by its owner: free it with the last of them (I3) */
	bool probing; /* a request that found no receive is out again */
	bool told; /* GONE is on its way or was given */
	bool queued; /* on qp->gone */
	uint8_t dead; /* enum dev_status that said so; 0: not */
	uint64_t wait; /* ns between probes of a peer without receives; 0: it
			  has some */
	uint64_t hold; /* ns: the next probe */
	TAILQ_ENTRY(verbs_ah) link; /* qp->gone */
};

/* A send-side request: all that is needed to post it, again if need be. */
struct verbs_tx {
	TAILQ_ENTRY(verbs_tx) link; /* qp->free, failed or waiting */
	uint64_t id; /* the caller's */
	struct verbs_ah *ah; /* NULL: free */
	uint64_t remote;
	struct ibv_sge sge[2];
	struct verbs_reg reg; /* held until the completion */
	void *to; /* READ through a packet: where the bytes go */
	uint32_t pkt; /* of tx_pool; VERBS_NONE: none */
	uint32_t rkey, imm;
	uint32_t small_len; /* inline bytes */
	uint8_t nsge; /* 0: inline */
	uint8_t op; /* enum dev_op */
	uint8_t status; /* on qp->failed: what to complete with */
	bool in_hw;
	bool has_imm;
	bool again; /* it found no receive at least once */
	bool probe; /* ah->probing is for this one */
	uint8_t small[VERBS_INLINE_MAX];
};

TAILQ_HEAD(verbs_tx_queue, verbs_tx);
TAILQ_HEAD(verbs_ah_queue, verbs_ah);

/* A receive that the user posted. */
struct verbs_recv {
	uint64_t id;
	struct verbs_reg reg;
	uint32_t next; /* free list; VERBS_NONE: last */
	bool posted; /* not on the free list */
};

struct verbs_rx {
	/* RDM: packets of the device. */
	struct verbs_pool pool;
	uint32_t depth; /* receives the hardware can hold */
	uint32_t posted; /* that it holds */
	uint32_t target; /* that it should hold; 0: none any more */
	uint32_t run; /* packets since the queue was seen empty */
	uint32_t peak; /* longest run since a look */
	uint32_t since; /* packets since a look */
	bool lost; /* some came back with nothing in them: post others */
	uint32_t nback; /* packets in back */
	uint32_t back[2 * VERBS_BATCH]; /* done with, to be posted again */
	/* UD, SRD: those of the user. */
	struct verbs_recv *recv; /* [depth] */
	uint32_t free; /* head of the free list; VERBS_NONE: none */
};

struct verbs_qp {
	struct dev_qp qp;
	struct ibv_qp *ibv;
	struct ibv_qp_ex *ex;
	struct verbs_cq *cq;
	uint64_t tag; /* upper half of wr_id: slot in the cq, generation */
	uint32_t tx_depth;
	uint32_t tx_out; /* verbs_tx that are not free */
	uint32_t tx_hw; /* of these, in the hardware */
	uint32_t inline_max;
	uint8_t rnr_tries; /* of the hardware */
	bool parks; /* what found no receive goes out again: for ever */
	uint8_t dead; /* enum dev_status; 0: it works */
	atomic_bool fatal; /* an event said so */
	struct verbs_tx *tx; /* [tx_depth] */
	struct verbs_tx_queue free; /* last in, first out */
	struct verbs_tx_queue failed; /* never went out, or not again */
	struct verbs_tx_queue waiting; /* for their peer to have receives */
	struct verbs_ah_queue gone; /* GONE is to be told */
	uint64_t look; /* ns: look at waiting again */
	struct verbs_pool tx_pool;
	struct verbs_rx rx;
	struct verbs_sources sources;
};

/* wr_id: 16 bits slot, 16 bits generation, then this. */
#define VERBS_WR_RECV (UINT64_C(1) << 31)
#define VERBS_WR_INDEX ((UINT64_C(1) << 31) - 1)
#define VERBS_WR_TAG (~UINT64_C(0) << 32)

struct verbs_cq {
	struct dev_cq cq;
	struct ibv_cq_ex *ibv;
	struct efadv_cq *efa; /* NULL: made without libefa */
	bool sgid, unsolicited; /* what entries tell */
	bool careful; /* a queue pair has left: see verbs_poll() */
	bool chores; /* there may be something on lists of queue pairs */
	bool armed; /* an event will come */
	bool empty; /* since then a poll found nothing more */
	atomic_bool fatal; /* an event said so */
	uint32_t polls;
	uint32_t ahn_epoch; /* of vd->ahn_epoch that sources are good for */
	uint32_t room; /* entries that no queue pair claims */
	uint16_t generation;
	struct verbs_qp *one; /* the only queue pair; NULL: none, or many */
	struct verbs_qp **qps; /* [nslots], with gaps */
	uint32_t nslots, nqps;
	struct ibv_comp_channel *channel; /* NULL: no events */
	uint32_t unacked; /* events */
};

int verbs_cq_open(struct dev *d, struct dev_cq **out);
void verbs_cq_close(struct dev_cq *c);
int verbs_cq_fd(struct dev_cq *c);
int verbs_cq_arm(struct dev_cq *c);

/* Takes what the channel has. */
void verbs_cq_events(struct verbs_cq *cq);

int verbs_cq_add(struct verbs_cq *cq, struct verbs_qp *qp);
void verbs_cq_remove(struct verbs_cq *cq, struct verbs_qp *qp);

int verbs_qp_open(struct dev *d, enum dev_qp_type type, struct dev_cq *c,
		  const struct dev_qp_attr *attr, struct dev_qp **out);
int verbs_srd_open(struct dev *d, const struct dev_qp_attr *attr,
		   struct dev_cq *c, struct dev_qp **out);
void verbs_qp_close(struct dev_qp *q);
int verbs_source(struct dev_qp *q, uint32_t source, struct dev_addr *addr);

int verbs_ah_open(struct dev_qp *q, const struct dev_addr *addr,
		  uint64_t cookie, struct dev_ah **out);
void verbs_ah_close(struct dev_ah *a);
void verbs_ah_free(struct verbs_ah *ah);

/* ---- sending ------------------------------------------------------------------ */

int verbs_tx_init(struct verbs_qp *qp);
void verbs_tx_fini(struct verbs_qp *qp);
int verbs_post(struct dev_qp *q, struct dev_wr *wr, int n);
bool verbs_revoke(struct dev_qp *q, uint64_t id);

/* Posts requests again, all or none: 0, -EAGAIN, -EINVAL about the first. */
int verbs_tx_issue(struct verbs_qp *qp, struct verbs_tx *const *tx, int n);

/* Everything a request held goes back; its ah may be freed. */
void verbs_tx_release(struct verbs_qp *qp, struct verbs_tx *tx);

/* A request came back from the hardware: 1 when wc says how it ended. */
int verbs_tx_done(struct verbs_qp *qp, struct verbs_tx *tx, uint8_t status,
		  struct dev_wc *wc);

/* What lists hold: failed requests, those who left, requests to repeat. */
int verbs_chores(struct verbs_cq *cq, struct dev_wc *wc, int n);

/* No request of this queue pair ends any more: end them all. */
void verbs_qp_kill(struct verbs_qp *qp, uint8_t status);

/* ---- receiving ---------------------------------------------------------------- */

int verbs_rx_init(struct verbs_qp *qp);
void verbs_rx_fini(struct verbs_qp *qp);

/* The first receives, once the queue pair takes them. */
int verbs_rx_start(struct verbs_qp *qp);
int verbs_post_recv(struct dev_qp *q, uint64_t id, void *buf, size_t len,
		    struct dev_mr *mr);

/* Receive i of the user is done with. */
static inline void verbs_recv_free(struct verbs_qp *qp, uint32_t i)
{
	struct verbs_recv *r = &qp->rx.recv[i];

	if (r->reg.mr)
		verbs_reg_put(qp->tx_pool.vd, &r->reg);
	r->posted = false;
	r->next = qp->rx.free;
	qp->rx.free = i;
	qp->rx.posted--;
}

/* The same, and wc tells that it failed. */
void verbs_recv_fail(struct verbs_qp *qp, uint32_t i, uint8_t status,
		     struct dev_wc *wc);

/* Up to n of those that a dead queue pair will not end. */
int verbs_recv_fail_all(struct verbs_qp *qp, struct dev_wc *wc, int n);

/* Packet is with us again; posted by the next verbs_rx_refill(). */
static inline void verbs_rx_back(struct verbs_rx *rx, uint32_t pkt)
{
	assert(rx->posted && rx->nback < u_array_size(rx->back));
	rx->posted--;
	rx->since++;
	if (++rx->run > rx->peak)
		rx->peak = rx->run;
	rx->back[rx->nback++] = pkt;
}

/* A packet came back with nothing that anybody waits for in it. */
void verbs_rx_lost(struct verbs_qp *qp, uint32_t pkt, uint8_t status);

/* Others in the place of those, while nothing is lent. */
void verbs_rx_again(struct verbs_qp *qp);

void verbs_rx_refill(struct verbs_qp *qp);
void verbs_give_back(struct dev_cq *c);

int verbs_poll(struct dev_cq *c, struct dev_wc *wc, int n);

/* Ends those that events have told to be dead, whichever thread read them. */
void verbs_cq_judge(struct verbs_cq *cq);

/* Up to n completions of the hardware, without chores. */
int verbs_cq_take(struct verbs_cq *cq, struct dev_wc *wc, int n);

#endif
