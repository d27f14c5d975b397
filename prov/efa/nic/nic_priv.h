/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_priv.h - the objects of the software NIC and who may touch them
 *
 *   nic --- keys (own lock)
 *    |
 *   qp --- done: completions that wait     lane[]: who writes to us
 *    |
 *    +-- path: one a peer address; holds the link, queued RDMA, answers
 *          |
 *          +-- ah, ah ..: what the user holds; copies of path->link
 *
 * A queue pair and all that hangs on it belong to one thread at a time; the
 * nic is shared, under nic->lock.
 */
#ifndef NIC_PRIV_H
#define NIC_PRIV_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>

#include "nic/nic.h"
#include "nic_far.h"
#include "nic_keys.h"
#include "nic_pkt.h"
#include "util/u_base.h"
#include "util/u_lock.h"
#include "util/u_pool.h"
#include "util/u_time.h"
#include "wire/wire_shm.h"

#define NIC_BURST 64 /* records a poll takes from the wire at most */
#define NIC_LANES 1024 /* senders to one queue pair */
#define NIC_DONE_MAX 4096 /* completions that wait; a power of two */
#define NIC_OPS_MAX 1024 /* RDMA operations under way a queue pair */
#define NIC_RECVS NIC_RECV_MAX /* a power of two */
#define NIC_HELD 64 /* SRD: records that wait for receives; a power of two */
#define NIC_RNR_WAIT (500 * U_USEC) /* to the first try again; then doubled */
#define NIC_AT_ONCE (1u << 20) /* bytes of RDMA done inside a post */
#define NIC_SLICE (4u << 20) /* bytes of RDMA done inside a poll */
#define NIC_TICK (50 * U_MSEC)
#define NIC_POLLS_A_LOOK 64 /* polls from one look at the clock to the next */
#define NIC_GONE_TICKS 20 /* a dead peer's lane is waited for so long */
#define NIC_OWING_LOOKS 100 /* of ticks at a path that wants a link to answer */
#define NIC_PATH_BUCKETS 256

struct nic {
	struct nic_info info; /* const after open, as config */
	struct nic_config config;
	struct nic_keys keys;
	struct nic_watch *watch; /* its thread */
	uint32_t ud_max; /* bytes of a UD send */
	bool faulty; /* `fault` is what the user asked for */
	struct wire_fault_config fault;
	struct u_lock lock; /* of the rest */
	unsigned int nqps;
	uint8_t (*ports)[16]; /* [nports] of InfiniBand ports here; const */
	size_t nports;
	uint8_t (*own)[16]; /* [nown] gids of this host */
	size_t nown;
	bool told_foreign; /* the warning about other hosts is out */
	bool told_space; /* that about a link that could not be opened */
};

enum nic_path_state {
	NIC_PATH_NEW, /* not tried yet, or worth another try */
	NIC_PATH_LIVE, /* the link is open */
	NIC_PATH_FAR, /* by the engine and the packet wire: peer */
	NIC_PATH_FOREIGN, /* of the other address family: no wire reaches it */
	NIC_PATH_DEAD, /* the peer died, closed, or never was */
};

enum nic_way {
	NIC_WAY_UNKNOWN,
	NIC_WAY_DIRECT, /* its memory can be reached, and its keys seen */
	NIC_WAY_RING, /* RDMA travels as records */
};

/* An answer that a peer waits for. */
struct nic_reply {
	enum { NIC_REPLY_NONE, NIC_REPLY_DATA, NIC_REPLY_ACK } kind;
	struct nic_pkt_range range; /* DATA: offset is how far it is */
	struct nic_pkt_ack ack;
};

enum nic_op_state {
	NIC_OP_MOVE, /* in path->ops: bytes or a request are to be moved */
	NIC_OP_IMM, /* in path->ops: bytes are there, WRITTEN is to be sent */
	NIC_OP_ANSWER, /* in path->waiting: the peer's turn */
};

/* An RDMA operation under way; from qp->ops. */
struct nic_op {
	struct nic_rdma rdma;
	struct nic_path *path;
	struct nic_ah *ah; /* NULL: closed, the answer is thrown away */
	enum nic_op_state state;
	bool asked; /* counted in path->unanswered */
	uint64_t offset; /* bytes moved */
	TAILQ_ENTRY(nic_op) link;
};

TAILQ_HEAD(nic_op_list, nic_op);

struct nic_ah {
	struct wire_shm_link *link; /* path->link if LIVE; NULL: the slow way */
	uint64_t tx_packets; /* that the wire took */
	struct nic_qp *qp;
	struct nic_path *path;
	int flags; /* of every send: NIC_SEND_REQUEST on SRD */
	uint64_t full_since; /* UD: when the ring was found full; SRD: when the
				peer had no receive; 0: never */
	uint64_t full_at; /* tx_packets at that time */
	uint64_t full_last; /* SRD: when that was seen last */
	uint64_t cookie;
	bool gone; /* in qp->gone */
	struct nic_far_op_list far_ops; /* under way */
	TAILQ_ENTRY(nic_ah) path_link;
	TAILQ_ENTRY(nic_ah) gone_link;
};

TAILQ_HEAD(nic_ah_list, nic_ah);

struct nic_path {
	struct nic_qp *qp;
	struct wire_shm_link *link; /* LIVE; FAR, FOREIGN: for answers only, or
				       NULL; else NULL */
	struct srd_peer *peer; /* FAR, and since */
	struct wire_shm_id id;
	enum nic_path_state state;
	enum nic_way way;
	struct nic_mirror *mirror; /* DIRECT only, as pin */
	struct nic_pin *pin; /* ours in the mirror */
	bool active; /* in qp->active: queued RDMA or answers */
	bool hold; /* no way was found, or no link back: wait for a tick */
	bool ending; /* in qp->ending: GONE is due */
	bool shun; /* its lane here is to be cut off by a tick */
	bool told; /* FOREIGN: that it cannot be reached */
	bool wake; /* the peer sleeps, and waking it failed */
	uint32_t ending_ticks;
	uint32_t unanswered; /* operations at the peer, up to NIC_RING_OPS */
	uint32_t nreplies;
	uint32_t owing_looks; /* of ticks, while answers waited for a link */
	struct nic_reply *reply; /* [NIC_RING_OPS]; NULL: never asked */
	struct nic_op_list ops; /* to be worked on, in order */
	struct nic_op_list waiting; /* for an answer */
	struct nic_ah_list ahs;
	LIST_ENTRY(nic_path) bucket_link;
	TAILQ_ENTRY(nic_path) link_all;
	TAILQ_ENTRY(nic_path) link_active;
	TAILQ_ENTRY(nic_path) link_ending;
};

TAILQ_HEAD(nic_path_list, nic_path);

/* A completion of our own work. */
struct nic_done {
	uint64_t id;
	const struct nic_ah *ah; /* NULL: forgotten */
	uint8_t op; /* enum nic_wc_op */
	uint8_t status;
};

/* Who writes to a lane; true while epoch is the queue pair's. */
struct nic_lane {
	uint32_t epoch;
	uint32_t source;
};

struct nic_source {
	struct wire_shm_id id;
	uint32_t next; /* in the bucket: number + 1; 0: last */
};

/* Something that arrived and uses up a receive. */
struct nic_arrival {
	const void *data;
	uint32_t len;
	uint32_t source;
	uint32_t imm;
	uint8_t op; /* enum nic_wc_op: RECV; WRITTEN, which has no data */
	bool has_imm;
};

/* UD, SRD: a posted receive. */
struct nic_recv {
	uint64_t id;
	uint32_t len; /* bytes of all elements */
	uint16_t niov;
	bool revoked; /* its memory is not ours to touch */
	struct iovec iov[NIC_RECV_IOV];
};

/* SRD: an arrival that no receive was posted for. */
struct nic_held {
	struct nic_arrival arrival; /* data lies in buf */
	uint8_t *buf; /* [NIC_MTU], its own */
};

/* Why a poll has to do more than look at the wire. */
enum nic_attention {
	NIC_ATT_RECVS = 1, /* always set where receives are posted */
	NIC_ATT_ARMED = 2,
	NIC_ATT_DONE = 4, /* completions or GONEs wait */
	NIC_ATT_WORK = 8, /* a path is active */
	NIC_ATT_FAR = 16, /* the socket is to be polled */
};

struct nic_qp {
	struct wire_shm *shm;
	const struct wire_shm_stats *shm_stats;
	uint32_t attention; /* enum nic_attention */
	uint32_t epoch; /* of lane[]: changes when a lane opens */
	int polls_left; /* until a look at the clock */
	bool lent; /* records are with the user */
	bool pressure;
	struct wire_shm_pkt pkt[NIC_BURST]; /* of the last poll */
	struct nic_stats stats; /* packets are counted by ahs and the wire */
	uint64_t tx_closed; /* tx_packets of handles that were closed */

	struct nic *nic; /* const after open, as all up to self */
	enum nic_qp_type type;
	bool no_shm; /* nic_qp_forbid_shm() */
	int sock; /* the bell; of any other queue pair's too, to ring by */
	struct wire_shm_bell bell;
	int wait; /* readable when there is work: sock, or an epoll */
	struct wire_shm_id self;

	struct nic_far far;
	struct u_pool far_ops; /* struct nic_far_op */
	int far_quiet; /* polls of the socket in vain, in a row */
	uint64_t far_looked; /* when the last one was */

	uint64_t ticked; /* when the last tick was */
	uint32_t npaths;
	struct nic_path_list paths; /* all; the next to check first */
	struct nic_path_list active;
	struct nic_path_list ending;
	struct nic_ah_list gone; /* NIC_WC_GONE is to be told */
	struct u_pool ops; /* struct nic_op */

	struct nic_done *done; /* [NIC_DONE_MAX] */
	uint32_t done_head, done_tail; /* taken, put; free-running */
	struct nic_recv *recv; /* [NIC_RECVS]; NULL on RDM */
	uint32_t recv_head, recv_tail;
	struct nic_held *held; /* [NIC_HELD]; SRD only */
	uint32_t held_head, held_tail; /* free-running */
	uint32_t rnr_retries; /* 0..NIC_RNR_FOREVER */
	bool unsolicited; /* SRD: ends of writes use up no receive */
	bool dry; /* SRD: peers within the host are told to wait */
	/* SRD: of the posted receives, for the thread; 0: none */
	_Atomic uint32_t posted, longest;

	struct nic_source *source; /* [nsources] */
	uint32_t nsources, max_sources;
	uint32_t source_bucket[NIC_PATH_BUCKETS]; /* number + 1; 0: empty */
	LIST_HEAD(, nic_path) bucket[NIC_PATH_BUCKETS];
	struct nic_lane lane[NIC_LANES];
};

/* --- nic.c --- */

/* Whether a gid is an address of this host. */
bool nic_is_own(struct nic *nic, const uint8_t gid[16]);

/* Over UDP a queue pair number is a port. */
static inline uint32_t nic_qpn_max(const struct nic *nic)
{
	return nic->config.shm_only || nic->info.wire == NIC_WIRE_UD ?
		       NIC_QPN_MAX :
		       UINT16_MAX;
}

/* True for the first caller: the flag is under nic->lock. */
bool nic_tell_once(struct nic *nic, bool *told);

/* --- nic_verbs.c: RDMA NICs --- */

/* Fills nic->ports: peers at these gids are on this host. */
void nic_verbs_gids(struct nic *nic);

/* --- nic_done.c: completions of our own work --- */

/* Room for one more, counting those that operations under way will need. */
bool nic_done_room(const struct nic_qp *qp);

/* Needs room. ah NULL: nobody wants to know. */
void nic_done_push(struct nic_qp *qp, const struct nic_ah *ah, uint64_t id,
		   enum nic_wc_op op, enum nic_status status);
int nic_done_pop(struct nic_qp *qp, struct nic_wc *wc, int n);
void nic_done_forget(struct nic_qp *qp, const struct nic_ah *ah);

/* Puts the handles of a path that ended into qp->gone. */
void nic_done_gone(struct nic_path *p);

/* --- nic_path.c: the way to a peer --- */

uint32_t nic_id_bucket(const struct wire_shm_id *id);
bool nic_id_same(const struct wire_shm_id *a, const struct wire_shm_id *b);

/* The path to a peer, made if need be; NULL without memory. No I/O. */
struct nic_path *nic_path_get(struct nic_qp *qp, const struct wire_shm_id *id);
/* NULL: there is none. */
struct nic_path *nic_path_find(struct nic_qp *qp, const struct wire_shm_id *id);

/* Finds the way of a NEW path. NIC_OK: it is LIVE or FAR; else why sends
 * fail. */
enum nic_status nic_path_resolve(struct nic_path *p);

/* A peer on another host cannot be reached: a warning, once. */
void nic_path_tell_unreachable(const struct nic_path *p);

/* Finds out how RDMA reaches the peer of a LIVE path. */
void nic_path_choose_way(struct nic_path *p);
/* The peer's keys are not needed any more; not while one is pinned. */
void nic_path_unpin(struct nic_path *p);

/*
 * Sees to a link for answers to a peer that reached us by shared memory,
 * whatever way we have to it ourselves. False: there is none yet, or nobody to
 * answer, and then the answers are dropped.
 */
bool nic_path_link_back(struct nic_path *p);
/*
 * Answers are owed no more, so a link that was for them alone is closed. A peer
 * that waits for one is shunned.
 */
void nic_path_drop_answers(struct nic_path *p);

/*
 * One record of ours to a path with a link: 0; -EAGAIN it is full; -EPIPE the
 * path died just now, and all its operations have ended; where the link was
 * for answers only, just these. In two steps, the second with the result of
 * the first, where a lock is held during the first.
 */
int nic_path_put(struct nic_path *p, enum nic_pkt_kind kind, const void *hdr,
		 size_t hdr_len, const void *data, size_t len);
int nic_path_copy_in(struct nic_path *p, enum nic_pkt_kind kind,
		     const void *hdr, size_t hdr_len, const void *data,
		     size_t len);
int nic_path_copied(struct nic_path *p, int rc);

void nic_path_activate(struct nic_path *p);

/* Answers and the link, and what else a path that ends needs no more. */
void nic_path_close(struct nic_path *p);

/* Wakes the peer, which sleeps; again later when that fails. */
void nic_path_wake(struct nic_path *p);

/* Frees a path that nothing hangs on; true: it has gone. */
bool nic_path_drop(struct nic_path *p);

/* Frees it whatever hangs on it. */
void nic_path_free(struct nic_path *p);

/* --- nic_end.c: the end of a path, and who hears of it --- */

/*
 * Ends what is under way and closes the link; GONE follows. The path itself
 * stays. nic_path_end: the same under the far lock, where a conversation with
 * the peer has ended.
 */
void nic_path_die(struct nic_path *p);
void nic_path_end(struct nic_path *p);

/* The user's last completion of an ended path was told, maybe: GONE if so. */
void nic_path_settle(struct nic_path *p);

/* Somebody writes to a lane: not for long, if he is dead for our user. */
void nic_path_heard(struct nic_qp *qp, const struct wire_shm_id *id);

/* Cuts off whom nic_path.shun is said of. Nothing may be on loan. */
void nic_path_shun_tick(struct nic_path *p);
void nic_end_tick(struct nic_qp *qp);

/* --- nic_tick.c --- */

/* Every NIC_POLLS_A_LOOK polls: a tick when it is time. */
void nic_tick(struct nic_qp *qp);

/* --- nic_rdma.c: operations we asked for --- */

/* Works on a path's operations while budget (bytes) lasts. */
void nic_rdma_run(struct nic_path *p, size_t *budget);

/* Takes op off its path, tells its owner and frees it. */
void nic_rdma_end(struct nic_op *op, enum nic_status status);

/* The next operation of a path can go on without an answer from the peer. */
bool nic_rdma_can_run(const struct nic_path *p);

/* Records of the kinds DATA and ACK. */
int nic_rdma_data(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		  struct nic_wc *wc);
int nic_rdma_ack(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		 struct nic_wc *wc);

/* --- nic_remote.c: operations that peers ask for --- */

/* Sends answers while budget (bytes) lasts. */
void nic_remote_run(struct nic_path *p, size_t *budget);

/* Records of the kinds READ and WRITE. */
int nic_remote_read(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		    struct nic_wc *wc);
int nic_remote_write(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		     struct nic_wc *wc);

/* --- nic_lane.c: who writes to us --- */

/* Number of an address, given if need be; NIC_SOURCE_UNKNOWN without memory. */
uint32_t nic_source_of(struct nic_qp *qp, const struct wire_shm_id *id);

/* Number of a lane's sender; NIC_SOURCE_UNKNOWN without memory. */
uint32_t nic_lane_look(struct nic_qp *qp, uint32_t lane);

static inline uint32_t nic_lane_source(struct nic_qp *qp, uint32_t lane)
{
	const struct nic_lane *l = &qp->lane[lane % NIC_LANES];

	if (u_likely(l->epoch == qp->epoch))
		return l->source;
	return nic_lane_look(qp, lane);
}

/* --- records of peers --- */

/* A record that cannot be; 0, as it completes nothing. */
static inline int nic_bad_packet(struct nic_qp *qp)
{
	qp->stats.bad_packets++;
	return 0;
}

/* Copies a header out of a record; false: the record is shorter. */
static inline bool nic_pkt_header(const struct wire_shm_pkt *pkt, void *header,
				  size_t size)
{
	if (pkt->len < size)
		return false;
	memcpy(header, pkt->data, size);
	u_copied_out();
	return true;
}

/* --- nic_poll.c --- */

/* A record that is no plain send; returns how many completions it made. */
int nic_poll_other(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		   struct nic_wc *wc);

/* --- nic_recv.c: posted receives --- */

static inline uint32_t nic_posted(const struct nic_qp *qp)
{
	return qp->recv_tail - qp->recv_head;
}

static inline const struct nic_recv *nic_recv_next(const struct nic_qp *qp)
{
	return &qp->recv[qp->recv_head % NIC_RECVS];
}

/* The payload of a record, or false: it is no send. */
bool nic_recv_payload(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		      struct nic_arrival *a);

/* The next receive ends so, without a byte of what came; 1. */
int nic_recv_refuse(struct nic_qp *qp, const struct nic_arrival *a,
		    enum nic_status status, struct nic_wc *wc);

/* The next receive gets `skip` zeroes and the arrival, which fit. */
void nic_recv_fill(struct nic_qp *qp, const struct nic_arrival *a,
		   uint32_t skip, struct nic_wc *wc);

/* --- nic_ud.c --- */

int nic_ud_poll(struct nic_qp *qp, struct nic_wc *wc, int n);

/* Puts a packet into the next posted receive; 1, or 0: it is dropped. */
int nic_ud_take(struct nic_qp *qp, const struct nic_arrival *a,
		struct nic_wc *wc);

/*
 * The ring is full: -EAGAIN, or 0 when its owner has not read for so long that
 * the packet is better dropped.
 */
int nic_ud_full(struct nic_ah *ah);

/* Packets that a poll for n completions may take. */
static inline int nic_recv_room(const struct nic_qp *qp, int n)
{
	if (qp->type != NIC_QP_RDM && nic_posted(qp) < (uint32_t)n)
		return (int)nic_posted(qp);
	return n;
}

/* --- nic_srd.c --- */

int nic_srd_init(struct nic_qp *qp);
int nic_srd_poll(struct nic_qp *qp, struct nic_wc *wc, int n);

/* Something that is held has found a receive. */
bool nic_srd_can_poll(const struct nic_qp *qp);

/* An arrival of that kind can be told: no receive is needed, or there is one. */
static inline bool nic_recv_is_ready(const struct nic_qp *qp, enum nic_wc_op op)
{
	return qp->type == NIC_QP_RDM || nic_posted(qp) ||
	       (qp->unsolicited && op == NIC_WC_WRITTEN);
}

/* Puts an arrival into the next receive if it needs one; it is ready. 1. */
int nic_srd_take(struct nic_qp *qp, const struct nic_arrival *a,
		 struct nic_wc *wc);

/* A receive was posted, or taken back: peers learn of it. */
void nic_srd_posted(struct nic_qp *qp);
void nic_srd_unposted(struct nic_qp *qp);

/* The wire took no record: as nic_send. */
int nic_srd_refused(struct nic_ah *ah, uint64_t id);

/* Ends a send before it has begun. */
int nic_send_failed(struct nic_ah *ah, uint64_t id, enum nic_status status);

#endif
