/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_ep.h - inside of an endpoint: peers, operations, messages
 *
 *   rdm_send.c  user's send -> first packet        rdm_in.c   packet -> handler
 *   rdm_tx.c    an operation's life                rdm_msg.c  incoming message
 *   rdm_ctl.c   control packets (rdm_ctl.h)
 *   rdm_bulk.c  the bytes after the first packet   rdm_inflow.c  bytes to come
 *   rdm_expose.c  bytes that the peer reads        rdm_pull.c that we read
 *   rdm_rma.c   RMA; by the device                 rdm_rx.c   posted receives
 *   rdm_emul.c  RMA in packets, our user's         rdm_kept.c its memory
 *   rdm_serve_read.c, _write.c  RMA in packets, a peer's
 *   rdm_error.c giving up   rdm_revoke.c  as a region of ours is closed
 *   rdm_atomic.c, rdm_atomic_in.c  atomics
 *   rdm_target.c  what peers' requests may touch   rdm_peer.c who is who
 *   rdm_region.c  counters of what they wrote      rdm_alive.c  is who we
 *                                                    wait for still there
 *   rdm_removed.c  addresses that were removed     rdm_bare.c  messages
 *   rdm_park.c  what waits for a HANDSHAKE           without headers
 *   rdm_ep.c    open, progress, close
 *
 * Nouns
 *   rdm_tx   an operation of our user that sends or does RMA
 *   rdm_rx   a receive of our user, from post to completion
 *   rdm_msg  a message of a peer, from its first packet to its last byte; its
 *            rx is NULL while it is unexpected. Messages of one packet that
 *            find a receive at once never become an rdm_msg.
 *   rdm_serve  a peer's read or write of our memory that takes more than one
 *            packet
 *
 * Invariants
 *   I1  A message number is used up only when its first packet was accepted.
 *   I2  An id of ours that a peer echoes is a pool id with a generation, and
 *       counts only for the peer that it was given to.
 *   I3  Every accepted operation ends in exactly one completion or none, as
 *       its flags say; errors always complete.
 */
#ifndef RDM_EP_H
#define RDM_EP_H

#include <sys/queue.h>

#include "rdm/rdm.h"
#include "rdm/rdm_cq.h"
#include "rdm/rdm_match.h"
#include "rdm/rdm_pkt.h"
#include "rdm/rdm_reorder.h"
#include "util/u_base.h"
#include "util/u_pool.h"

#define RDM_POLL_BATCH 16
/* Packets granted by one CTS. */
#define RDM_CTS_PKTS 32
#define RDM_CTSDATA_HDR 32 /* bytes */
#define RDM_READRSP_HDR 24 /* bytes */
/* Control packets up to this length (a HANDSHAKE with all its headers) need no
   memory of their own. */
#define RDM_CTL_MAX 64
/* Refused requests that are remembered. */
#define RDM_REFUSALS_MAX 8

TAILQ_HEAD(rdm_tx_list, rdm_tx);
TAILQ_HEAD(rdm_msg_list, rdm_msg);
TAILQ_HEAD(rdm_serve_list, rdm_serve);
TAILQ_HEAD(rdm_ctl_list, rdm_ctl); /* rdm_ctl.h */

/* Whose an id is that a peer echoes. */
enum rdm_space { RDM_SPACE_TX, RDM_SPACE_MSG, RDM_SPACE_SERVE };

/* ---- peers --------------------------------------------------------------- */

struct rdm_peer {
	/* What the data path of eager messages touches. */
	struct dev_ah *ah;
	uint64_t index; /* in the av; RDM_ADDR_NONE: not inserted */
	uint32_t connid; /* == addr.qkey */
	uint32_t tx_msg_id; /* of the next message to it */
	uint32_t rx_msg_id; /* expected next from it */
	uint32_t nowed; /* entries of owed; 0..RDM_OWED_MAX */
	bool shaken; /* its HANDSHAKE came */
	bool greeted; /* ours went out */
	bool eager; /* a message of one packet may go the short way: by_connid,
		       and not bare */
	bool by_connid; /* hands were shaken, and requests to it carry our
			   connid and no address */
	bool keep_raw; /* it wants the raw address in every request */
	bool gone; /* the device said so */
	bool probed; /* a probe is under way: rdm_alive.c */
	/* The rest. */
	uint64_t features; /* of its HANDSHAKE; 0 before */
	uint32_t device_version;
	uint32_t av_generation; /* when index was last looked for */
	struct dev_addr addr;
	struct dev_ah *bare; /* where messages go without headers; NULL: none
				do */
	struct rdm_reorder early;
	struct rdm_tx_list txs; /* every operation under way to it */
	struct rdm_msg_list msgs; /* every rdm_msg from it */
	struct rdm_serve_list serves; /* every rdm_serve for it */
	uint64_t runting; /* bytes of heads under way to it */
	uint32_t awaited; /* the last look that found something awaited .. */
	uint32_t looks; /* .. and how many before it, in a row */
	struct rdm_tx_list parked; /* wait for its HANDSHAKE */
	struct rdm_ctl_list owed; /* what it is to be told once it is reached
				     and has shaken hands */
	uint32_t left; /* the device status that told its end, which GONE will
			  confirm; 0 */
	uint64_t lost_at; /* ns; without that */
	TAILQ_ENTRY(rdm_peer) leaving; /* ep->leaving, if left */
	struct rdm_keyq_node by_addr; /* in ep->by_addr */
};

/* ---- operations of our user ----------------------------------------------- */

enum rdm_tx_state {
	RDM_TX_SENT, /* all is posted; acknowledgements may be missing */
	RDM_TX_SENDING, /* has packets to post: on ep->sending */
	RDM_TX_PARKED, /* waits for the HANDSHAKE */
	RDM_TX_WAIT_CTS, /* window used up */
};

enum rdm_tx_kind {
	RDM_TX_MSG,
	RDM_TX_READ,
	RDM_TX_WRITE,
	RDM_TX_ATOMIC, /* without a result */
	RDM_TX_FETCH, /* an atomic; iov is where its result goes */
};

/* Bytes that come in packets: which have come, which may. */
struct rdm_inflow {
	uint64_t total; /* bytes that are to come */
	uint64_t got; /* bytes that have come */
	uint64_t granted; /* bytes of the window not come yet */
	uint64_t window; /* offset at which the window begins */
	/* Offsets that came, so that a duplicate is not counted twice: all of
	   them, or from the last grant on. */
	uint64_t *seen; /* [seen_max], malloced */
	uint32_t nseen, seen_max;
};

struct rdm_tx {
	TAILQ_ENTRY(rdm_tx) link; /* peer->txs */
	TAILQ_ENTRY(rdm_tx) queue; /* ep->sending or peer->parked */
	struct rdm_peer *peer;
	void *context;
	uint8_t state; /* enum rdm_tx_state */
	uint8_t kind; /* enum rdm_tx_kind */
	uint8_t type; /* enum rdm_pkt_type of its request; 0: none is chosen,
			 or it needs no packet */
	bool wait_done; /* RECEIPT, EOR, ATOMRSP or bytes of a read are
			   still to come */
	bool nacked; /* the request that stands for a refused one is not
			posted yet */
	bool granted; /* a CTS came, so recv_id is known */
	bool acked; /* a packet of it has arrived */
	bool broke; /* it ended by a failure that the peer does not know of */
	uint32_t flags; /* enum rdm_flags */
	uint32_t err; /* enum rdm_err, first one */
	uint32_t wrs; /* posted and not completed */
	uint32_t msg_id;
	uint32_t recv_id; /* of the receiver's operation, from its CTS */
	uint32_t iovcnt;
	uint32_t mrcnt;
	uint64_t len; /* bytes of the message */
	uint64_t slice; /* bytes of a packet of several, but the last */
	uint64_t runt; /* bytes that are sent though the rest is read */
	uint64_t sent; /* bytes posted so far */
	uint64_t window; /* bytes the receiver still grants */
	uint64_t tag;
	uint64_t data;
	struct iovec iov[RDM_IOV_MAX];
	void *local[RDM_IOV_MAX]; /* dev_mr of iov, the user's; or NULL */
	struct dev_mr *mr[RDM_IOV_MAX]; /* ours, of a message to be pulled */
	uint32_t rma_iovcnt; /* RMA */
	struct rdm_pkt_iov rma_iov[RDM_PKT_IOV_MAX]; /* of the peer */
	struct rdm_inflow in; /* a read in packets */
	void *copy; /* injected, RMA or parked: our copy of the bytes; or NULL */
};

/* ---- receives -------------------------------------------------------------- */

struct rdm_rx {
	struct rdm_match_recv match; /* while posted */
	void *context;
	uint32_t flags; /* enum rdm_flags */
	uint32_t iovcnt;
	uint64_t capacity; /* bytes of iov */
	struct iovec iov[RDM_IOV_MAX]; /* multi-receive: what is left */
	void *mr[RDM_IOV_MAX]; /* dev_mr of iov, or NULL */
	/* Multi-receive. */
	struct rdm_rx *parent; /* of a part: the buffer it was cut from */
	uint32_t parts; /* of a buffer: parts under way */
	bool canceled; /* of a buffer: ends so, with its last part */
	bool posted; /* in the match tables */
	TAILQ_ENTRY(rdm_rx) all; /* ep->rxs while posted */
};

TAILQ_HEAD(rdm_rx_list, rdm_rx);

/* ---- messages of peers ------------------------------------------------------ */

enum rdm_msg_state {
	RDM_MSG_WAITING, /* unexpected, or claimed */
	RDM_MSG_COPYING, /* matched; its bytes come in packets */
	RDM_MSG_READING, /* matched; we read them, but for a copied head */
	RDM_MSG_NACKED, /* matched; we cannot read them and said so */
};

/* Bytes kept until a receive comes. */
struct rdm_kept {
	struct rdm_kept *next;
	uint64_t offset;
	uint32_t len;
	uint8_t bytes[];
};

/* Payload bytes that are kept inside the rdm_msg itself. */
#define RDM_MSG_SMALL 96

struct rdm_msg {
	struct rdm_match_msg match; /* while unexpected and not claimed */
	TAILQ_ENTRY(rdm_msg) link; /* peer->msgs */
	TAILQ_ENTRY(rdm_msg) queue; /* ep->reading, or ep->claimed */
	struct rdm_peer *peer;
	struct rdm_rx *rx; /* NULL while unexpected */
	void *claim; /* context of the claim */
	uint8_t state; /* enum rdm_msg_state */
	uint8_t type; /* enum rdm_pkt_type of its first packet */
	bool tagged;
	bool has_data;
	bool claimed;
	bool queued; /* on ep->reading */
	bool refused; /* the device cannot read into the receive */
	uint32_t msg_id;
	uint32_t send_id;
	uint32_t err; /* enum rdm_err, first one */
	uint32_t reads; /* RDMA reads under way */
	uint32_t iovcnt; /* of read_iov */
	uint64_t tag;
	uint64_t data;
	uint64_t total; /* bytes of the message */
	uint64_t runt; /* bytes that come in packets though the rest is read */
	struct rdm_inflow in; /* what comes in packets */
	uint64_t asked; /* offset up to which reads are posted */
	uint64_t held; /* bytes counted against the limit */
	struct rdm_kept *kept;
	struct rdm_pkt_iov read_iov[RDM_PKT_IOV_MAX];
	uint32_t small_len; /* bytes in small; they are those from offset 0 */
	uint8_t small[RDM_MSG_SMALL];
};

/* ---- accesses of peers to our memory, in packets ----------------------------- */

struct rdm_serve {
	TAILQ_ENTRY(rdm_serve) link; /* peer->serves */
	TAILQ_ENTRY(rdm_serve) queue; /* ep->serving */
	struct rdm_peer *peer;
	uint8_t type; /* enum rdm_pkt_type of the request */
	bool queued; /* on ep->serving */
	bool has_data;
	bool answered; /* a read: READRSP is out */
	bool reading; /* a write that we read: the device is at it */
	bool dead; /* ends with what the device is at */
	uint32_t peer_id; /* the peer's operation */
	uint32_t iovcnt;
	uint32_t read_iovcnt;
	uint64_t total; /* bytes */
	uint64_t data;
	struct rdm_inflow in; /* a write */
	uint64_t sent; /* a read: bytes that are out */
	uint64_t window; /* a read: bytes that the peer still grants */
	uint8_t *piece; /* of a write that we read, malloced: what is read now;
			   never the user's memory, which may go meanwhile */
	uint64_t piece_len; /* bytes of it that are read */
	struct rdm_pkt_iov iov[RDM_PKT_IOV_MAX]; /* in our memory */
	struct rdm_pkt_iov read_iov[RDM_PKT_IOV_MAX]; /* in the peer's */
};

/* ---- the endpoint ------------------------------------------------------------ */

#define RDM_PEER_CHUNK 256

struct rdm_ep {
	/* Const after open. */
	struct rdm_ep_config config;
	struct dev_qp *qp;
	struct dev_cq *cq;
	uint32_t mtu;
	uint64_t eager_max; /* bytes that always fit one packet once hands
			       were shaken */
	uint64_t features; /* what our HANDSHAKE says */
	/* By message kind: untagged, tagged. */
	struct rdm_match match[2];
	/* Peers by av index, by source number of the device, by address. */
	struct rdm_peer ***chunks; /* [nchunks][RDM_PEER_CHUNK] */
	struct rdm_peer **sources; /* [nsources] */
	_Atomic uint32_t reach; /* chunks that may be looked into: nchunks, less
				   after growth; 0: none before rdm_heed() */
	uint32_t nchunks, nsources;
	struct rdm_keyq by_addr;
	/* Who is waited for. */
	uint32_t idle_polls; /* the clock is looked at every so many */
	uint32_t looks; /* so far */
	uint64_t look_at; /* ns; not before */
	/* Work that waits for room; busy is true while any of it is there. */
	bool busy;
	bool armed; /* nobody has looked since; then busy is true as well */
	bool names; /* an operation has named a region as local memory */
	uint32_t nrefused; /* entries of refused */
	struct rdm_ctl_list ctls;
	struct rdm_ctl_list ctls_posted;
	struct rdm_tx_list sending;
	struct rdm_msg_list reading;
	struct rdm_serve_list serving;
	TAILQ_HEAD(, rdm_peer) leaving;
	uint32_t nexposed; /* messages whose bytes peers may be reading */
	uint32_t nowed; /* control packets that peers are owed */
	/* Memory. */
	uint8_t *scratch; /* [mtu], of a function: bytes of a packet */
	struct u_pool peers, txs, rxs, msgs, serves, ctl_pool;
	struct rdm_rx_list posted; /* every posted receive */
	uint32_t nwaiting; /* of those: not multi-receive buffers */
	struct rdm_msg_list claimed;
	uint64_t held; /* bytes of unexpected messages */
	bool pressure; /* peers are held back */
	struct rdm_refusal refused[RDM_REFUSALS_MAX]; /* oldest first */
	struct rdm_stats stats;
	struct rdm_removed removed;
};

/* Work request ids: what a completion belongs to. */
enum rdm_wr_kind {
	RDM_WR_CTL,
	RDM_WR_TX,
	RDM_WR_ASK, /* an rdm_tx, of which it is no packet: rdm_park() */
	RDM_WR_MSG,
	RDM_WR_SERVE,
};

static inline uint64_t rdm_wr_id(enum rdm_wr_kind kind, uint32_t id)
{
	return (uint64_t)kind << 32 | id;
}

/* ---- rdm_peer.c ---------------------------------------------------------------- */

struct rdm_peer *rdm_peer_make(struct rdm_ep *ep, uint64_t index);
/* An index is not used any more. */
void rdm_ep_forget(struct rdm_ep *ep, uint64_t index);

/* rdm_removed.c: the same of all that were removed; it may be more. */
void rdm_heed_removals(struct rdm_ep *ep);
struct rdm_peer *rdm_peer_look(struct rdm_ep *ep, uint64_t index);

/* Before what is told of a peer by index. Hot. */
static inline void rdm_heed(struct rdm_ep *ep)
{
	uint32_t reach = atomic_load_explicit(&ep->reach, memory_order_relaxed);

	if (u_unlikely(reach != ep->nchunks))
		rdm_heed_removals(ep);
}

/* The peer of an av index; NULL: unknown index, or no memory. Hot. */
static inline struct rdm_peer *rdm_peer_at(struct rdm_ep *ep, uint64_t index)
{
	uint64_t chunk = index / RDM_PEER_CHUNK;
	struct rdm_peer *peer;

	if (u_likely(chunk < atomic_load_explicit(&ep->reach,
						  memory_order_relaxed) &&
		     ep->chunks[chunk])) {
		peer = ep->chunks[chunk][index % RDM_PEER_CHUNK];
		if (u_likely(peer != NULL))
			return peer;
	}
	return rdm_peer_look(ep, index);
}

/*
 * Who sent a packet of which pkt holds the identity, from a source number;
 * NULL: cannot be told, drop it. Learns what it finds out.
 */
struct rdm_peer *rdm_peer_identify(struct rdm_ep *ep, uint32_t source,
				   const struct rdm_pkt *pkt);
uint64_t rdm_peer_search(struct rdm_ep *ep, struct rdm_peer *peer);

/* What the user knows the peer by, looked up again after insertions. Hot. */
static inline uint64_t rdm_peer_index(struct rdm_ep *ep, struct rdm_peer *peer)
{
	return u_likely(peer->index != RDM_ADDR_NONE) ?
		       peer->index :
		       rdm_peer_search(ep, peer);
}

void rdm_peer_greet(struct rdm_ep *ep, struct rdm_peer *peer);
void rdm_peer_shake(struct rdm_ep *ep, struct rdm_peer *peer,
		    const struct rdm_pkt *pkt);
/* It will not answer any more, says a device status: ends what is under way. */
void rdm_peer_lost(struct rdm_ep *ep, struct rdm_peer *peer, uint32_t status);
/* The same once all that it has sent has been read. */
void rdm_peer_leaves(struct rdm_ep *ep, struct rdm_peer *peer, uint32_t status);
/* It has been, says the device. */
void rdm_peer_gone(struct rdm_ep *ep, struct rdm_peer *peer);
/* Nothing has come. */
void rdm_peers_look(struct rdm_ep *ep);
/* The error that a device status means for a peer. */
uint32_t rdm_peer_err(const struct rdm_peer *peer, uint32_t status);
void rdm_peers_fini(struct rdm_ep *ep);
/* Fills the identity that packets to this peer carry. */
void rdm_pkt_identity(const struct rdm_ep *ep, const struct rdm_peer *peer,
		      struct rdm_pkt *pkt);

/* ---- rdm_tx.c -------------------------------------------------------------------- */

/* Bytes of an iov list. */
static inline uint64_t rdm_iov_len(const struct iovec *iov, uint32_t n)
{
	uint64_t len = 0;

	for (uint32_t i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

/* Which element of iov the byte at offset is in. */
static inline uint32_t rdm_iov_index(const struct iovec *iov, uint32_t n,
				     uint64_t offset)
{
	uint32_t i = 0;

	while (i + 1 < n && offset >= iov[i].iov_len)
		offset -= iov[i++].iov_len;
	return i;
}

/* The part [offset, offset + len) of iov in out[RDM_IOV_MAX]; its count. */
uint32_t rdm_iov_slice(const struct iovec *iov, uint32_t n, uint64_t offset,
		       uint64_t len, struct iovec *out);

/* Fills an operation from ep->txs and links it to its peer. */
void rdm_tx_init(struct rdm_tx *tx, struct rdm_peer *peer,
		 const struct rdm_send *op, uint64_t len);
/* Ends it when nothing is outstanding any more: completion, memory. */
void rdm_tx_settle(struct rdm_ep *ep, struct rdm_tx *tx);
/* Takes the bytes of an injected one, whose buffer is the caller's again, into
   tx->copy: 0, -ENOMEM. */
int rdm_tx_copy(struct rdm_tx *tx);
/* Begins it, or goes on. False: there is no room. Then state is SENDING. */
bool rdm_tx_resume(struct rdm_ep *ep, struct rdm_tx *tx);
void rdm_tx_fail(struct rdm_ep *ep, struct rdm_tx *tx, uint32_t err);
void rdm_tx_free(struct rdm_ep *ep, struct rdm_tx *tx);
void rdm_tx_wc(struct rdm_ep *ep, struct rdm_tx *tx, const struct dev_wc *wc);
/* Puts it on ep->sending. */
void rdm_tx_queue(struct rdm_ep *ep, struct rdm_tx *tx);
void rdm_count(struct rdm_ep *ep, enum rdm_cntr_use use, bool ok);
void rdm_complete_error(struct rdm_ep *ep, struct rdm_cq *cq,
			struct rdm_comp *comp, uint64_t olen,
			const struct rdm_peer *peer);
/*
 * A good entry of something that came, for rx_cq. peer: who sent it, which
 * comp->source tells; NULL: nobody knows.
 */
void rdm_complete_from(struct rdm_ep *ep, struct rdm_comp *comp,
		       const struct rdm_peer *peer);

/* ---- rdm_atomic.c, rdm_atomic_in.c ---------------------------------------- */

/* A peer's request, in its turn. */
void rdm_atomic_in(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt);
/* The result of one of ours. */
void rdm_atomic_result(struct rdm_ep *ep, struct rdm_peer *peer,
		       const struct rdm_pkt *pkt);

/* ---- rdm_target.c ------------------------------------------------------- */

/*
 * Whether a peer may access all of iov[0..n) so (enum dev_access bits). True:
 * it stays registered until rdm_target_release(), and nothing may be posted or
 * registered before. Ranges of no bytes need no key.
 */
bool rdm_target_hold(struct rdm_ep *ep, const struct rdm_pkt_iov *iov,
		     uint32_t n, uint32_t access);
void rdm_target_release(struct rdm_ep *ep);
/* A request is not carried out: remembers why. */
void rdm_target_refuse(struct rdm_ep *ep, const struct rdm_peer *peer,
		       uint32_t err);

/* ---- rdm_region.c ------------------------------------------------------- */

/* A peer's write, or atomic that changes something, is done. */
void rdm_regions_written(struct rdm_ep *ep, const struct rdm_pkt_iov *iov,
			 uint32_t n);

/* ---- rdm_rx.c ----------------------------------------------------------------------- */

struct rdm_rx *rdm_rx_find(struct rdm_ep *ep, struct rdm_peer *peer,
			   bool tagged, uint64_t tag);
/* Copies n bytes to offset of a list that has room for them. */
void rdm_iov_put(const struct iovec *iov, uint64_t offset, const void *bytes,
		 uint64_t n);
/* Copies into the receive at offset what fits of n bytes. */
void rdm_rx_copy(struct rdm_rx *rx, uint64_t offset, const void *bytes,
		 uint64_t n);
/*
 * Takes the receive out of the match tables for one message of `total`
 * bytes. The result is the receive itself or, of a multi-receive buffer, a
 * part of it; NULL without memory.
 */
struct rdm_rx *rdm_rx_take(struct rdm_ep *ep, struct rdm_rx *rx,
			   uint64_t total);
/* Writes the completion of a taken receive and frees it. comp holds what the
   message brought; err 0 and a message longer than the receive: TRUNC. */
void rdm_rx_complete(struct rdm_ep *ep, struct rdm_rx *rx,
		     struct rdm_peer *peer, struct rdm_comp *comp);
/* A posted receive takes nothing more and ends, with its last part if it has
   any under way. */
void rdm_rx_cancel(struct rdm_ep *ep, struct rdm_rx *rx);

/* ---- rdm_msg.c ---------------------------------------------------------------------- */

/* First packet of a message in its turn. */
void rdm_msg_first(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt);
/* A further packet of a message. */
void rdm_msg_more(struct rdm_ep *ep, struct rdm_msg *msg,
		  const struct rdm_pkt *pkt);
/* The one of that number that has begun and is not done; or NULL. */
struct rdm_msg *rdm_msg_find(struct rdm_peer *peer, uint32_t msg_id);
void rdm_msg_ctsdata(struct rdm_ep *ep, struct rdm_peer *peer,
		     const struct rdm_pkt *pkt);
void rdm_msg_replace(struct rdm_ep *ep, struct rdm_peer *peer,
		     const struct rdm_pkt *pkt);
/* What a peek tells of it; context is left to the caller. */
void rdm_msg_describe(struct rdm_ep *ep, struct rdm_msg *msg,
		      struct rdm_comp *comp);
/* The user posted a receive for an unexpected (or claimed) message. */
void rdm_msg_match(struct rdm_ep *ep, struct rdm_msg *msg, struct rdm_rx *rx);
void rdm_msg_free(struct rdm_ep *ep, struct rdm_msg *msg);
/* The user does not want it: what the peer waits for is answered. */
void rdm_msg_discard(struct rdm_ep *ep, struct rdm_msg *msg);
void rdm_msg_fail(struct rdm_ep *ep, struct rdm_msg *msg, uint32_t err);
/* The user does not want it though it is matched. */
void rdm_msg_cancel(struct rdm_ep *ep, struct rdm_msg *msg);
/* Completes its receive and tells the sender. */
void rdm_msg_finish(struct rdm_ep *ep, struct rdm_msg *msg);

/* ---- rdm_kept.c --------------------------------------------------------- */

/* Keeps the payload of pkt, which begins at offset of the message. */
void rdm_kept_add(struct rdm_ep *ep, struct rdm_msg *msg, uint64_t offset,
		  const struct rdm_pkt *pkt);
/* Counts bytes that a message takes beside that. */
void rdm_kept_hold(struct rdm_ep *ep, struct rdm_msg *msg, uint64_t bytes);
/* Frees what a message keeps and takes it off the count. */
void rdm_kept_drop(struct rdm_ep *ep, struct rdm_msg *msg);
/* Lets peers send again if they were held back. */
void rdm_kept_relieve(struct rdm_ep *ep);

/* ---- rdm_alive.c -------------------------------------------------------- */

/* Looks after peers that something is awaited from, if it is time again and
   the device does not do so by itself. */
void rdm_alive_look(struct rdm_ep *ep);

/* ---- rdm_in.c ----------------------------------------------------------------------- */

void rdm_in_wc(struct rdm_ep *ep, const struct dev_wc *wc);

#endif
