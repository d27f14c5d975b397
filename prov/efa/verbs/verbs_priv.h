/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_priv.h - the software EFA as a device of libibverbs: its objects
 *
 * The library is preloaded and takes the place of functions of libibverbs and
 * libefa. Objects of real devices go on to the real function (verbs_real.h);
 * ours are these, each beginning with what the program sees:
 *
 *   device - ctx --- nic, keys, gids, list of qps
 *             |
 *             +- pd: mr, ah
 *             +- channel <- cq: ring of entries     qp: wr slots, dests
 *                            ^---- send_cq, recv_cq ---'
 *
 * Work goes down at post, and again at poll while the nic has no room for it;
 * what has ended comes up when somebody polls a completion queue, which drives
 * all queue pairs of that queue and puts entries into whichever ring they
 * belong to.
 *
 * Locks, by rank: V1 verbs_cq.poll, verbs_channel.serve, pump; V2 verbs_ctx.lock,
 * verbs_cq.drive; V3 verbs_qp.lock; V4 verbs_cq.lock, verbs_gids.lock,
 * verbs_keys.lock; V5 verbs_channel.lock. The locks of the nic come after V3.
 */
#ifndef VERBS_PRIV_H
#define VERBS_PRIV_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>

#include <infiniband/efadv.h>
#include <infiniband/verbs.h>

#include "nic/nic.h"
#include "util/u_base.h"
#include "util/u_lock.h"

/* These are macros of the header over functions that we stand for. */
#undef ibv_query_port
#undef ibv_reg_mr
#undef ibv_reg_mr_iova

#define VERBS_EXPORT __attribute__((visibility("default")))

/* What the device says of itself. */
#define VERBS_VENDOR 0x1d0f
#define VERBS_PART 0xefa1
#define VERBS_MAX_QP 1024
#define VERBS_MAX_CQ 4096
#define VERBS_MAX_CQE (1u << 17)
#define VERBS_MAX_MR (1u << 16)
#define VERBS_MAX_AH 4096
#define VERBS_MAX_PD 4096
#define VERBS_MAX_SQ_WR 4096
#define VERBS_MAX_RQ_WR NIC_RECV_MAX
#define VERBS_MAX_SQ_SGE 2
#define VERBS_MAX_RQ_SGE NIC_RECV_IOV
#define VERBS_INLINE 32
#define VERBS_NO_AH 0xffff

/* Bits and fields that the installed headers may not have yet. */
#define VERBS_CAP_RDMA_READ (1u << 0)
#define VERBS_CAP_RNR_RETRY (1u << 1)
#define VERBS_CAP_CQ_SGID (1u << 2)
#define VERBS_CAP_RDMA_WRITE (1u << 3)
#define VERBS_CAPS                                                       \
	(VERBS_CAP_RDMA_READ | VERBS_CAP_RNR_RETRY | VERBS_CAP_CQ_SGID | \
	 VERBS_CAP_RDMA_WRITE)

/* --- device and context --- */

struct verbs_device {
	struct ibv_device dev; /* first */
	struct nic_info info; /* under the list's lock */
	LIST_ENTRY(verbs_device) link;
};

/* Addresses with an address handle: the number is the AH number. */
struct verbs_gid {
	uint8_t gid[16];
	uint32_t refs; /* handles; 0: the number is free */
};

struct verbs_gids {
	struct u_lock lock; /* of the rest */
	struct verbs_gid *table; /* [VERBS_MAX_AH] */
	uint32_t used; /* numbers below were in use */
	_Atomic uint32_t epoch; /* changes with any of them */
};

struct verbs_key;

/* Local keys: an index, and above it a generation that is never 0. */
struct verbs_keys {
	struct u_lock lock; /* for who registers; look-ups take none */
	_Atomic(struct verbs_key *) chunk[64];
	uint32_t made; /* keys that exist in chunks */
	struct verbs_key *free;
};

LIST_HEAD(verbs_qp_list, verbs_qp);

struct verbs_ctx {
	struct nic *nic; /* const after open */
	struct verbs_gids gids;
	struct verbs_keys keys;
	struct u_lock lock; /* of qps */
	struct verbs_qp_list qps;
	struct verbs_pump *pump; /* const after open */
	struct verbs_context vctx; /* last: it ends in what programs see */
};

struct verbs_pd {
	struct ibv_pd pd; /* first */
	_Atomic uint32_t refs; /* what was made of it */
};

struct verbs_ah {
	struct ibv_ah ah; /* first */
	uint8_t gid[16];
	uint16_t ahn;
};

struct verbs_key {
	_Atomic uint32_t lkey; /* 0: not in use */
	uint32_t access; /* enum ibv_access_flags */
	uint64_t iova; /* as programs name it */
	uint64_t len;
	uint64_t delta; /* from there to memory, modulo 2^64 */
	struct ibv_pd *pd;
	struct verbs_key *next; /* free */
	uint32_t rkey; /* of nic */
	uint32_t index, generation;
};

struct verbs_mr {
	struct ibv_mr mr; /* first */
	struct verbs_key *key;
};

/* --- completion queues --- */

struct verbs_cqe {
	uint64_t wr_id;
	struct verbs_qp *qp; /* NULL: it is no more, skip */
	uint32_t byte_len;
	uint32_t imm;
	uint32_t src_qp;
	uint32_t qp_num;
	uint16_t slid; /* AH number of the sender; VERBS_NO_AH */
	uint8_t vendor_err; /* enum nic_status */
	uint8_t opcode; /* enum ibv_wc_opcode */
	bool has_imm;
	bool is_recv;
	uint8_t gid[16]; /* of the sender, when slid is VERBS_NO_AH */
};

/* Why a queue pair is on a queue's list. */
struct verbs_cq_use {
	struct verbs_qp *qp;
	LIST_ENTRY(verbs_cq_use) link;
};

LIST_HEAD(verbs_cq_uses, verbs_cq_use);

struct verbs_cq {
	union {
		struct ibv_cq cq; /* first */
		struct ibv_cq_ex ex;
	};
	struct efadv_cq efadv;
	struct u_lock poll; /* held from start_poll to end_poll */
	struct verbs_cqe now; /* the entry that start_poll is at */
	struct u_lock drive; /* of uses; one thread drives at a time */
	struct verbs_cq_uses uses;
	struct u_lock lock; /* of the rest */
	struct verbs_cqe *ring; /* [mask + 1] */
	uint32_t mask;
	_Atomic uint32_t head, tail; /* taken, put; free-running */
	_Atomic bool armed;
	_Atomic uint32_t idle; /* polls in vain, in a row */
	bool told_overrun;
	uint32_t events; /* that wait in the channel; under its lock */
	uint32_t got; /* events that the program has to acknowledge */
	TAILQ_ENTRY(verbs_cq) event_link; /* while events != 0 */
	LIST_ENTRY(verbs_cq) channel_link;
};

TAILQ_HEAD(verbs_cq_events, verbs_cq);

struct verbs_channel {
	struct ibv_comp_channel ch; /* first; fd is an epoll of all else */
	struct u_lock serve; /* of cqs */
	LIST_HEAD(, verbs_cq) cqs;
	struct u_lock lock; /* of events */
	struct verbs_cq_events events;
	int call; /* eventfd: there may be an event */
	int timer; /* work waits for room in the nic */
};

/* --- queue pairs --- */

enum verbs_op {
	VERBS_SEND,
	VERBS_SEND_IMM,
	VERBS_READ,
	VERBS_WRITE,
	VERBS_WRITE_IMM,
};

/* A destination, as nic has them: with queue pair number and key. */
struct verbs_dest {
	uint8_t gid[16];
	uint32_t qpn;
	uint32_t qkey;
	struct nic_ah *nic_ah; /* NULL: to be opened */
	uint32_t busy; /* requests that nic has */
	uint32_t waiting; /* requests on qp->waiting */
	uint32_t full_pass; /* pass of the waiting in which it had no room */
	bool stale; /* it ended: open it anew once nothing is busy */
	bool doomed; /* its address handle is no more */
	LIST_ENTRY(verbs_dest) link;
};

LIST_HEAD(verbs_dest_list, verbs_dest);

/* A send request, from the builder to its completion. */
struct verbs_wr {
	uint64_t wr_id;
	struct verbs_dest *dest; /* NULL: not submitted */
	struct ibv_ah *ah; /* until then */
	uint32_t qpn, qkey;
	uint64_t remote;
	uint32_t rkey;
	uint32_t imm;
	uint8_t op; /* enum verbs_op */
	bool is_inline;
	bool has_data;
	uint8_t nsge;
	uint32_t inline_len;
	struct ibv_sge sge[VERBS_MAX_SQ_SGE];
	struct iovec iov[VERBS_MAX_SQ_SGE];
	uint8_t data[VERBS_INLINE];
	TAILQ_ENTRY(verbs_wr) link; /* of qp->waiting */
};

TAILQ_HEAD(verbs_wr_list, verbs_wr);

/* What is known of a source number of nic. */
struct verbs_source {
	uint32_t epoch; /* of gids, when ahn was looked up; 0: unknown */
	uint32_t qpn;
	uint16_t ahn;
	uint8_t gid[16];
};

#define VERBS_DEST_BUCKETS 256

struct verbs_qp {
	union {
		struct ibv_qp qp; /* first */
		struct ibv_qp_ex ex;
	};
	struct verbs_ctx *ctx; /* const after create, up to cap */
	struct nic_qp *nic;
	bool is_srd;
	bool has_ex;
	bool sig_all;
	uint64_t send_ops; /* enum ibv_qp_create_send_ops_flags */
	struct ibv_qp_cap cap;

	struct u_lock lock; /* of the rest */
	uint32_t qkey, sq_psn;
	uint8_t rnr_retry;
	uint16_t pkey_index;
	_Atomic uint32_t sq_used, rq_used; /* until polled */
	uint32_t posted; /* receives that nic has */
	uint32_t recv_tail; /* that it got; free-running */
	uint32_t (*recv_lkey)[VERBS_MAX_RQ_SGE]; /* [cap.max_recv_wr] of each */
	uint32_t polls; /* of nic; the pump compares */
	uint32_t polls_seen; /* by the pump */

	struct verbs_wr *slot; /* [cap.max_send_wr] */
	uint32_t *free_slot; /* [nfree] */
	uint32_t nfree;
	struct verbs_wr **staged; /* [nstaged]: since wr_start */
	uint32_t nstaged;
	struct verbs_wr *building; /* NULL: none, or it failed */
	int stage_error; /* errno of the session */
	struct verbs_wr_list waiting; /* for room in nic */
	uint32_t pass;

	struct verbs_dest *last; /* used */
	struct verbs_dest_list dests[VERBS_DEST_BUCKETS];
	struct verbs_source *source; /* [nsources] */
	uint32_t nsources;

	struct verbs_cq_use send_use, recv_use; /* the second: other queue */
	LIST_ENTRY(verbs_qp) link;
};

/* --- from what the program sees to ours --- */

int verbs_poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wc);

static inline bool verbs_is_ours(const struct ibv_context *c)
{
	return c->ops.poll_cq == verbs_poll_cq;
}

static inline struct verbs_ctx *verbs_ctx_of(struct ibv_context *c)
{
	return u_container_of(c, struct verbs_ctx, vctx.context);
}

static inline struct verbs_qp *verbs_qp_of(struct ibv_qp *qp)
{
	return u_container_of(qp, struct verbs_qp, qp);
}

static inline struct verbs_qp *verbs_qp_of_ex(struct ibv_qp_ex *qp)
{
	return u_container_of(qp, struct verbs_qp, ex);
}

static inline struct verbs_cq *verbs_cq_of(struct ibv_cq *cq)
{
	return u_container_of(cq, struct verbs_cq, cq);
}

static inline struct verbs_cq *verbs_cq_of_ex(struct ibv_cq_ex *cq)
{
	return u_container_of(cq, struct verbs_cq, ex);
}

static inline void verbs_pd_hold(struct ibv_pd *pd)
{
	atomic_fetch_add(&u_container_of(pd, struct verbs_pd, pd)->refs, 1);
}

static inline void verbs_pd_drop(struct ibv_pd *pd)
{
	atomic_fetch_sub(&u_container_of(pd, struct verbs_pd, pd)->refs, 1);
}

/* The answer of a function that makes something and cannot. */
static inline void *verbs_null(int error)
{
	errno = error;
	return NULL;
}

/* --- verbs_device.c --- */

/* NULL: it is none of ours. */
struct verbs_device *verbs_device_of(struct ibv_device *dev);

/* --- verbs_pump.c: the thread that drives what nobody polls --- */

int verbs_pump_open(struct verbs_ctx *ctx);
void verbs_pump_close(struct verbs_ctx *ctx);
/* A queue pair has begun to receive. */
void verbs_pump_wake(struct verbs_ctx *ctx);

/* --- verbs_settings.c --- */

/* FI_EFA_* that concern the nic; texts belong to the environment. */
void verbs_settings(struct nic_config *config);
/* FI_LOG_LEVEL=info has the rest of the log lines too. */
void verbs_settings_log(void);

/* --- verbs_query.c --- */

int verbs_query_port(struct ibv_context *c, uint8_t port,
		     struct ibv_port_attr *attr, size_t size);
int verbs_query_device_ex(struct ibv_context *c,
			  const struct ibv_query_device_ex_input *in,
			  struct ibv_device_attr_ex *attr, size_t size);

/* True: a longer struct than ours has something in its tail. */
bool verbs_has_tail(const void *p, size_t ours, size_t theirs);

/* --- verbs_mr.c --- */

int verbs_keys_init(struct verbs_keys *k);
/* What the program has left registered goes too. */
void verbs_keys_fini(struct verbs_keys *k, struct nic *nic);

/* Whether a program's element may be used so; *iov is where it lies. */
bool verbs_sge_check(const struct verbs_qp *qp, const struct ibv_sge *sge,
		     uint32_t access, struct iovec *iov);

/* --- verbs_ah.c --- */

int verbs_gids_init(struct verbs_gids *g);
void verbs_gids_fini(struct verbs_gids *g);
/* VERBS_NO_AH: no handle has this address. */
uint16_t verbs_gids_find(struct verbs_gids *g, const uint8_t gid[16]);

/* --- verbs_cq.c --- */

void verbs_cq_push(struct verbs_cq *cq, const struct verbs_cqe *e);

/* Under cq->poll. Takes the oldest entry; false: there is none. */
bool verbs_cq_pop(struct verbs_cq *cq, struct verbs_cqe *e);

/* The request or receive of an entry may be posted again (I1 of verbs_cq.c). */
void verbs_cqe_free(const struct verbs_cqe *e);

/* Entries of a queue pair that ends are not seen any more, nor is one read. */
void verbs_cq_purge(struct verbs_cq *cq, const struct verbs_qp *qp);

/* Drives the queue pairs of a queue, unless somebody does already. */
void verbs_cq_drive(struct verbs_cq *cq);

/* A poll found nothing. */
void verbs_cq_idle(struct verbs_cq *cq);

void verbs_cq_attach(struct verbs_cq *cq, struct verbs_cq_use *use);
void verbs_cq_detach(struct verbs_cq *cq, struct verbs_cq_use *use);

enum ibv_wc_status verbs_status(uint8_t vendor_err);
struct ibv_cq_ex *verbs_create_cq_ex(struct ibv_context *c,
				     struct ibv_cq_init_attr_ex *attr);

/* --- verbs_cq_ex.c --- */

void verbs_cq_ex_fill(struct verbs_cq *cq, uint64_t wc_flags, bool sgid);

/* --- verbs_event.c --- */

int verbs_req_notify_cq(struct ibv_cq *cq, int solicited);
/* Under cq->lock: an armed queue got an entry. */
void verbs_channel_event(struct verbs_cq *cq);
void verbs_channel_join(struct verbs_cq *cq);
void verbs_channel_leave(struct verbs_cq *cq);
/* A queue pair's descriptor is looked at by the queue's channel. */
void verbs_channel_watch(struct verbs_cq *cq, const struct verbs_qp *qp);
/* Under qp->lock, when a queue of its is armed. True: poll again. */
bool verbs_channel_arm(struct verbs_qp *qp);
bool verbs_qp_is_armed(const struct verbs_qp *qp);
/* Whether who sleeps on a channel of its armed queues would wake. */
bool verbs_channel_is_due(const struct verbs_qp *qp);
/* The channels of its armed queues have to look again. */
void verbs_channel_call(const struct verbs_qp *qp);

/* --- verbs_qp.c --- */

struct ibv_qp *verbs_create_qp_ex(struct ibv_context *c,
				  struct ibv_qp_init_attr_ex *attr);
/* Closes without asking; the context ends. */
void verbs_qp_close(struct verbs_qp *qp);

/* --- verbs_drive.c: from nic into the rings; under qp->lock --- */

void verbs_qp_drive(struct verbs_qp *qp);
void verbs_qp_drive_locked(struct verbs_qp *qp);

/* All that is posted ends; told: with flushed entries. */
void verbs_qp_flush(struct verbs_qp *qp, bool told);

/* --- verbs_send.c: requests; under qp->lock --- */

/* Takes a staged request; it ends in one entry. */
void verbs_send_submit(struct verbs_qp *qp, struct verbs_wr *wr);
/* Those that nic had no room for. */
void verbs_send_again(struct verbs_qp *qp);
/* A region is no more: requests that name it end, and leave its memory alone.
 */
void verbs_send_revoke(struct verbs_qp *qp, uint32_t lkey);
/* The request ends with a status of the device. */
void verbs_send_end(struct verbs_qp *qp, struct verbs_wr *wr, uint8_t status);
void verbs_slot_free(struct verbs_qp *qp, struct verbs_wr *wr);

/* --- verbs_dest.c; under qp->lock --- */

struct verbs_dest *verbs_dest_get(struct verbs_qp *qp, const uint8_t gid[16],
				  uint32_t qpn, uint32_t qkey);
/* Opened, or opened anew. 0, -EAGAIN, -ENOMEM, -EINVAL. */
int verbs_dest_ready(struct verbs_qp *qp, struct verbs_dest *d);
/* One request less; a doomed one may go. */
void verbs_dest_put(struct verbs_qp *qp, struct verbs_dest *d);
/* Those of an address whose last handle has gone. */
void verbs_dest_doom(struct verbs_qp *qp, const uint8_t gid[16]);
void verbs_dest_close_all(struct verbs_qp *qp);
/* Who a source number is; NULL: unknown. */
const struct verbs_source *verbs_source_of(struct verbs_qp *qp,
					   uint32_t source);
/* The connid that stands for a Q_Key; nic knows no key 0. */
static inline uint32_t verbs_connid(uint32_t qkey)
{
	return qkey ? qkey : UINT32_C(0x80000000);
}

/* --- verbs_post.c, verbs_wr.c --- */

int verbs_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr,
		    struct ibv_send_wr **bad);
int verbs_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr,
		    struct ibv_recv_wr **bad);
void verbs_wr_fill(struct verbs_qp *qp);
/* Under qp->lock: a region is no more, receives that name it leave its memory
 * alone. */
void verbs_recv_revoke(struct verbs_qp *qp, uint32_t lkey);

static inline bool verbs_can_send(const struct verbs_qp *qp)
{
	return qp->qp.state == IBV_QPS_RTS || qp->qp.state == IBV_QPS_SQD;
}

/* A slot for the next request of a session. NULL: ENOMEM, it is full. */
struct verbs_wr *verbs_stage(struct verbs_qp *qp, enum verbs_op op);
void verbs_unstage(struct verbs_qp *qp);
void verbs_stage_submit(struct verbs_qp *qp);

/* Inline data, from n pieces; 0 or EINVAL. */
int verbs_stage_inline(struct verbs_qp *qp, struct verbs_wr *wr, size_t n,
		       const struct ibv_data_buf *buf);
int verbs_stage_sges(struct verbs_qp *qp, struct verbs_wr *wr, size_t n,
		     const struct ibv_sge *sge);

#endif
