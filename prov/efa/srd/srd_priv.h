/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_priv.h - the engine as its own files see it
 *
 *   srd_op.c      operations: taken from the user, ended
 *   srd_seg.c     operations cut into packets
 *   srd_tx.c      what goes out next
 *   srd_open.c    packets that went out and are not acknowledged
 *   srd_acked.c   what the peer acknowledges
 *   srd_loss.c    what is lost, and when to ask
 *   srd_rx.c      what arrives
 *   srd_place.c   RDMA at its target
 *   srd_part.c    SENDs in several packets
 *   srd_ack.c     what we owe the peer
 *   srd_peer.c    conversations and their memory
 *   srd_timer.c   who is ready, and whose time comes
 *   srd_end.c     how conversations end
 *
 * Invariants
 * I1: operations under way and completions not fetched are max_ops at most,
 *     so that the ring of completions has room.
 * I2: a number between tx_una and tx_next is acknowledged (its bit is set in
 *     tx_bits), or its packet is in exactly one of the lists flight, lost and
 *     waiting.
 * I3: an operation lives as long as a packet refers to it: what ends early
 *     leaves VOID packets behind, which refer to nothing.
 * I4: a peer that has something to do is in the list of ready peers, or its
 *     timer is armed for the time when it will have.
 * I5: nothing that is refused for now keeps the numbers it came with for ever
 *     while others need them to make room for it: a READ gets another number,
 *     a SEND is begun only when all its packets can have one, and a part of
 *     the blocks is left to answers, which depend on nobody.
 */
#ifndef SRD_PRIV_H
#define SRD_PRIV_H

#include <sys/queue.h>

#include "srd/srd.h"
#include "srd/srd_bits.h"
#include "srd/srd_cc.h"
#include "srd/srd_path.h"
#include "srd/srd_pkt.h"
#include "srd/srd_slots.h"
#include "util/u_base.h"
#include "util/u_pool.h"
#include "util/u_time.h"

#define SRD_NEVER UINT64_MAX
#define SRD_NO_MSG UINT32_MAX /* names no operation: pools are smaller */
#define SRD_NONE16 UINT16_MAX /* end of a list in the ring of open packets */

/* --- operations --- */

enum srd_kind { SRD_KIND_SEND, SRD_KIND_WRITE, SRD_KIND_READ, SRD_KIND_REPLY };

enum srd_stage {
	SRD_STAGE_CUT, /* has packets that were never sent */
	SRD_STAGE_SENT, /* all sent, some not acknowledged */
	SRD_STAGE_WRITTEN, /* all bytes landed; WRITTEN is to be sent */
	SRD_STAGE_READING, /* READ is sent; bytes are to come */
	SRD_STAGE_AGAIN, /* READ was refused for now: it will be asked again */
	SRD_STAGE_RESULT, /* REPLY gave up; RESULT is to be sent */
};

/* Who is served first: an operation of few packets does not wait for many. */
enum srd_class { SRD_SHORT, SRD_BULK, SRD_CLASSES };

struct srd_operation {
	TAILQ_ENTRY(srd_operation) all; /* in peer->ops */
	TAILQ_ENTRY(srd_operation) todo; /* in peer->todo[class] while queued */
	struct srd_peer *peer;
	uint64_t id; /* the user's */
	uint8_t *data; /* bytes to send, or where those of a READ go */
	uint64_t remote;
	uint32_t len; /* bytes in all */
	uint32_t cut; /* bytes that have a number */
	uint32_t got; /* READ: bytes that came */
	uint32_t open; /* packets that are not acknowledged */
	uint32_t msg; /* its number on the wire; REPLY: the reader's */
	uint32_t psn; /* of the last packet that was cut */
	uint32_t slot; /* SEND: of the bytes */
	uint32_t piece; /* bytes of its packets but the last */
	uint32_t rkey;
	uint32_t imm;
	uint8_t kind; /* enum srd_kind */
	uint8_t stage; /* enum srd_stage */
	uint8_t status; /* RESULT */
	uint8_t class; /* enum srd_class */
	uint8_t refused; /* READ: times */
	bool has_imm;
	bool whole; /* its last packet had all its bytes */
	bool queued;
};

TAILQ_HEAD(srd_op_list, srd_operation);

/* --- packets that are open --- */

enum srd_open_state {
	SRD_OPEN_FLIGHT, /* sent */
	SRD_OPEN_LOST, /* to be sent again as the window allows */
	SRD_OPEN_WAITING, /* refused with RNR; to be sent again later */
};

struct srd_open {
	uint64_t sent_at; /* time and stamp of the last transmission; WAITING:
			     when the next is due */
	struct srd_operation *op; /* NULL: nobody's, a VOID */
	uint32_t offset;
	uint32_t msg;
	uint32_t prev_stamp; /* of the transmission before */
	uint16_t len; /* bytes of payload */
	uint16_t size; /* bytes that count as in flight */
	uint16_t next, prev; /* in the list of its state */
	uint8_t op_type; /* enum srd_op */
	uint8_t state; /* enum srd_open_state */
	uint8_t path, prev_path;
	uint8_t refused; /* times */
	bool resent; /* it was sent more than once */
	bool doubted; /* the transmission before was given up unjudged */
	bool sent; /* it went out at least once */
};

struct srd_list {
	uint16_t head, tail; /* places in the ring, or SRD_NONE16 */
	uint32_t n;
};

/* What a conversation needs while packets are open or missing. */
struct srd_active {
	TAILQ_ENTRY(srd_active) link; /* free, or idle: oldest first */
	struct srd_peer *peer; /* NULL: free */
	bool idle; /* may be taken from its peer */
	bool own; /* operations of ours are under way */

	/* sending */
	struct srd_list flight; /* oldest transmission first */
	struct srd_list lost;
	struct srd_list waiting;
	uint64_t wait_until; /* when the first of waiting is due */
	uint32_t in_flight; /* bytes */
	bool cc_limited; /* congestion control held something back */
	bool paced; /* it is too early for something */
	bool tried_again; /* the last packet was one that had been refused */
	uint32_t unasked; /* bytes since an acknowledgement was asked for */
	uint8_t force; /* packets to resend whatever the window says */
	uint8_t tries; /* probes and timeouts since something was heard of */
	uint8_t reo_scale; /* 1..16: how much reordering is borne with */
	uint16_t reo_calm; /* packets since the last spurious resend */
	uint64_t silent_at; /* time from which tail probe and timeout count */
	uint64_t reo_at; /* when to look for losses again; SRD_NEVER: no need */
	uint64_t delivered_at; /* latest transmission that has arrived */
	uint64_t delivered_rtt; /* ns that it took to be acknowledged */
	struct srd_bits tx_bits; /* acknowledged, from tx_una on */

	/* receiving */
	struct srd_bits rx_bits; /* arrived, beyond rx_cum */

	struct srd_cc cc;
	struct srd_paths paths;
	uint64_t path_delivered_at[SRD_PATHS_MAX]; /* as delivered_at */
	struct srd_open open[]; /* [window_pkts], by number */
};

TAILQ_HEAD(srd_active_list, srd_active);

/* --- SENDs in part --- */

struct srd_part {
	TAILQ_ENTRY(srd_part) link; /* in peer->parts */
	TAILQ_ENTRY(srd_part) dead; /* in srd.dead_parts while it is dead */
	struct srd_peer *peer;
	uint32_t msg;
	uint32_t total, got; /* bytes */
	uint32_t slot; /* SRD_SLOT_NONE: dead, its packets are refused */
	uint32_t until; /* dead, expires: forgotten when rx_cum gets there */
	uint32_t imm;
	bool has_imm;
	bool expires;
};

TAILQ_HEAD(srd_part_list, srd_part);

/* As many may be alive as there are slots; the others are dead ones. */
#define SRD_PARTS_PER_SLOT 2

/* --- conversations --- */

struct srd_arrival {
	uint32_t stamp;
	uint32_t at; /* low bits of the time */
	uint8_t path;
};

struct srd_peer {
	struct srd_addr addr;
	uint32_t index;
	void *user;
	struct srd_active *active; /* NULL: nothing is open or missing */
	TAILQ_ENTRY(srd_peer) ready; /* in srd.ready while is_ready */
	TAILQ_ENTRY(srd_peer) gone; /* in srd.gone while gone_status */
	uint64_t timer_at; /* as it stands in the heap */
	uint32_t heap; /* place in srd.heap + 1; 0: none */
	bool is_ready;
	uint8_t ended; /* enum srd_status: for good, why */
	uint8_t gone_status; /* GONE is to be reported; else SRD_OK */
	bool alive; /* heard since it last ended */

	/* silence */
	uint64_t heard_at; /* 0: never */
	uint64_t wait_at; /* when we began to wait for it; our own absence
			     moves it on */
	uint64_t poked_at; /* time of the last probe for a sign of life */
	uint64_t keep_at; /* when it may be looked at; 0: not planned */
	uint8_t pokes; /* since it was heard */
	bool checking; /* a look at an idle peer is unanswered */
	bool probe; /* a probe is to go out */

	/* sending */
	struct srd_op_list ops;
	struct srd_op_list todo[SRD_CLASSES];
	uint32_t tx_una; /* oldest number that is not acknowledged */
	uint32_t tx_next;
	uint32_t credit; /* bytes that may be open */
	uint32_t mtu;
	uint32_t nreads; /* READs that wait for bytes */
	uint32_t resent;
	uint64_t sent_at; /* time of the last packet of data; 0: none */
	uint8_t tx_epoch;
	uint8_t short_run; /* packets of class SHORT in a row */
	uint8_t probe_path;
	bool pressure; /* the peer asks to hold back requests */
	bool held_back; /* a request was refused for it */
	uint8_t press_pokes;
	uint64_t press_at; /* held_back: when to ask again */
	uint64_t srtt, rttvar, last_rtt; /* ns; 0: no sample */

	/* receiving */
	struct srd_part_list parts;
	uint32_t nparts; /* alive */
	uint32_t rx_cum; /* all numbers before it arrived */
	uint32_t rx_end; /* all numbers from it on did not */
	uint32_t rx_received; /* packets accepted in this epoch */
	uint8_t rx_epoch;
	bool has_epoch; /* rx_epoch is known */

	/* what we owe it */
	bool owes; /* an acknowledgement, at ack_at */
	bool ack_now;
	bool told; /* that we are under pressure */
	uint8_t rx_path; /* of the last arrival */
	uint8_t narrivals, nnaks;
	uint8_t arrival_at; /* next place in arrival[] */
	uint32_t unacked; /* packets since the last acknowledgement */
	uint32_t since_now; /* packets since one that was hurried by a gap */
	uint64_t ack_at;
	uint64_t seen_slot; /* of srd.slot, when it last sent data */
	struct srd_arrival arrival[SRD_ECHOES_MAX];
	struct srd_nak nak[SRD_NAKS_MAX];
};

TAILQ_HEAD(srd_peer_list, srd_peer);

/* --- the engine --- */

#define SRD_STRAYS_MAX 16

/* Somebody who spoke to an incarnation that is not here. */
struct srd_stray {
	struct srd_addr to;
	uint32_t about;
};

/* What became of an srd_out, for srd_unsent. */
struct srd_sent {
	struct srd_peer *peer; /* NULL: an answer to a stray */
	uint32_t psn; /* of type DATA */
	uint8_t type; /* enum srd_pkt_type */
	bool first; /* it was its first transmission */
	bool acked; /* it carried an acknowledgement */
};

struct srd {
	struct srd_config cfg;
	struct srd_paths_config paths_cfg;
	struct srd_cc_config cc_cfg;
	char *mem; /* [mem_size]: all that follows and is an array */
	size_t mem_size;
	uint64_t clock; /* last stamp: strictly increasing */
	uint64_t random;

	/* conversations */
	struct srd_peer *peer; /* [npeers] of [max_peers] */
	uint32_t npeers;
	uint32_t *hash; /* place in peer + 1, or 0; open addressing */
	uint32_t hash_mask;
	uint32_t high_len; /* bytes that our number takes besides: 0 or 4 */
	bool odd_mtu; /* some peer has another MTU than cfg.mtu */
	char *active_mem;
	uint32_t nactive; /* blocks that were ever taken */
	uint32_t nown; /* of those, the ones that are `own` */
	size_t active_size;
	struct srd_active_list active_free, active_idle;

	/* time */
	struct srd_peer **heap; /* [nheap], by timer_at */
	uint32_t nheap;
	struct srd_peer_list ready;
	struct srd_peer_list gone;
	uint64_t keep_at; /* the next look at an idle peer, all together */

	/* operations */
	struct u_pool ops, replies;
	struct srd_slots tx_slots, rx_slots;
	struct srd_done *done; /* ring */
	uint32_t done_mask, done_head, done_tail;
	uint32_t nopen; /* packets of all peers that are not acknowledged */
	uint32_t nowed; /* peers that we owe an acknowledgement */

	/* SENDs in part */
	struct srd_part *part; /* memory of all */
	struct srd_part_list part_free, dead_parts;

	/* receiving */
	bool ready_on; /* srd_set_ready */
	uint32_t room; /* bytes of a SEND at most */
	bool pressure_on;
	uint64_t slot; /* of 131 us: in which senders are counted */
	uint32_t senders, senders_before; /* in this slot, in the last */

	/* strays */
	struct srd_stray stray[SRD_STRAYS_MAX];
	uint32_t nstrays;
	uint64_t stray_at; /* when the bucket of answers is full again */

	/* the packets of the last srd_tx */
	struct srd_sent sent[SRD_TX_MAX];
	struct srd_addr stray_to[SRD_STRAYS_MAX]; /* addresses of answers */
	uint8_t *hdr; /* [SRD_TX_MAX][SRD_HDR_MAX], packed */
	size_t hdr_used;

	struct srd_pkt in, out; /* too large for the stack of a hot path */
	struct srd_stats stats;
};

/* Packets that srd_tx is filling in. */
struct srd_batch {
	struct srd_out *out;
	int n, max;
	uint64_t now;
};

/* Are there packets that were never sent? */
static inline bool srd_peer_has_more(const struct srd_peer *p)
{
	return !TAILQ_EMPTY(&p->todo[SRD_SHORT]) ||
	       !TAILQ_EMPTY(&p->todo[SRD_BULK]);
}

static inline bool srd_peer_busy(const struct srd_peer *p)
{
	return p->tx_una != p->tx_next || srd_peer_has_more(p);
}

/* Do we wait for a sign of life? */
static inline bool srd_peer_waits(const struct srd_peer *p)
{
	return srd_peer_busy(p) || p->nreads || p->nparts || p->checking ||
	       p->held_back;
}

/* To be called before something is added that makes us wait. */
static inline void srd_peer_wait(struct srd_peer *p, uint64_t now)
{
	if (!srd_peer_waits(p))
		p->wait_at = now;
}

/* Time since when nothing was heard that should have been. */
static inline uint64_t srd_peer_silent(const struct srd_peer *p)
{
	return p->wait_at > p->heard_at ? p->wait_at : p->heard_at;
}

/*
 * When the pace lets a packet go. One in pace_max harms no network, and without
 * any there would be no round trip to set a better pace by.
 */
static inline uint64_t srd_peer_pace_at(const struct srd *s,
					const struct srd_peer *p)
{
	uint64_t at = srd_cc_pace_at(&p->active->cc);
	uint64_t last = p->sent_at + s->cfg.pace_max;

	return at < last ? at : last;
}

static inline struct srd_open *
srd_open_at(const struct srd *s, const struct srd_peer *p, uint32_t psn)
{
	return &p->active->open[psn & (s->cfg.window_pkts - 1)];
}

/* srd_config.c */
int srd_config_fill(struct srd_config *c);

/* srd_peer.c */
struct srd_peer *srd_peer_find(const struct srd *s, const uint8_t gid[16],
			       uint32_t qpn, uint32_t connid);
/* Gives p an active block if it has none; false: there is none. */
bool srd_active_need(struct srd *s, struct srd_peer *p);
/* As srd_active_need, for an operation of ours: some blocks are left to
 * answers. */
bool srd_active_own(struct srd *s, struct srd_peer *p);
/* Takes the block of a peer; what is open there is forgotten. */
void srd_active_drop(struct srd *s, struct srd_peer *p);
/* Notes whether the block of p could be taken by another. */
void srd_active_settle(struct srd *s, struct srd_peer *p);

/* srd_timer.c */
void srd_ready(struct srd *s, struct srd_peer *p);
void srd_ready_drop(struct srd *s, struct srd_peer *p);
/* Arms the timer of p for what it waits for. */
void srd_timer_arm(struct srd *s, struct srd_peer *p, uint64_t now);
void srd_timer_fire(struct srd *s, uint64_t now);
/* When a suspect path of p, which has a block, is to be probed. */
uint64_t srd_timer_paths_at(const struct srd *s, const struct srd_peer *p,
			    uint64_t now);

/* srd_op.c */
struct srd_operation *srd_op_reply(struct srd *s, struct srd_peer *p);
void srd_op_queue(struct srd *s, struct srd_operation *op);
void srd_op_unqueue(struct srd_operation *op);
/* All its packets are acknowledged. */
void srd_op_acked(struct srd *s, struct srd_operation *op);
/* Ends it; quiet: without a completion. */
void srd_op_end(struct srd *s, struct srd_operation *op, uint8_t status,
		bool quiet);

/* srd_seg.c */
/* Gives a number to the next packet of op, as long as the MTU allows. */
uint32_t srd_seg_cut(struct srd *s, struct srd_operation *op);
/* Packets that op, which has not begun, will have at least. */
uint32_t srd_seg_count(const struct srd_operation *op);
/* Bytes in flight that the next packet of op will count for. */
uint32_t srd_seg_size(const struct srd_operation *op);
/* What goes into the DATA header, and the payload. */
void srd_seg_fill(const struct srd_open *o, uint32_t psn, struct srd_pkt *pkt);

/* srd_open.c */
struct srd_open *srd_open_new(struct srd *s, struct srd_peer *p);
void srd_open_move(struct srd *s, struct srd_peer *p, uint32_t psn,
		   enum srd_open_state to);
/* Back to the head of the packets that are to be sent. */
void srd_open_undo(struct srd *s, struct srd_peer *p, uint32_t psn);
/* psn is acknowledged: out of its list, its bit set. */
void srd_open_close(struct srd *s, struct srd_peer *p, uint32_t psn);
/* Makes VOID what is open of op. */
void srd_open_void(struct srd *s, struct srd_operation *op);
void srd_open_reset(struct srd_active *a);
uint32_t srd_open_psn(const struct srd *s, const struct srd_peer *p,
		      uint16_t place);

/* srd_acked.c */
void srd_acked(struct srd *s, struct srd_peer *p, const struct srd_pkt_ack *ack,
	       uint64_t now);

/* srd_loss.c */
uint64_t srd_loss_rto(const struct srd *s, const struct srd_peer *p);
void srd_loss_detect(struct srd *s, struct srd_peer *p, uint64_t now);
uint64_t srd_loss_at(const struct srd *s, const struct srd_peer *p);
void srd_loss_fire(struct srd *s, struct srd_peer *p, uint64_t now);
/* A resend of what had gone by `path` was needless; a packet arrived at the
 * first attempt. */
void srd_loss_spurious(struct srd *s, struct srd_peer *p, uint8_t path);
void srd_loss_calm(struct srd_active *a);

/* srd_tx.c */
/* The next srd_out with room for headers; the caller has made sure of it. */
struct srd_out *srd_tx_next(struct srd *s, struct srd_batch *b,
			    const struct srd_sent *sent);

/* srd_ack.c */
void srd_ack_arrived(struct srd *s, struct srd_peer *p,
		     const struct srd_pkt_base *base, uint64_t now);
void srd_ack_hurry(struct srd *s, struct srd_peer *p);
/* A data packet arrived; gap: it was not the next. */
void srd_ack_owe(struct srd *s, struct srd_peer *p, bool gap, uint64_t now);
void srd_ack_nak(struct srd *s, struct srd_peer *p, uint32_t psn,
		 uint8_t status);
void srd_ack_fill(struct srd *s, struct srd_peer *p, struct srd_pkt_ack *ack,
		  uint64_t now);
/* What was filled in goes out. */
void srd_ack_paid(struct srd *s, struct srd_peer *p);
void srd_ack_again(struct srd *s, struct srd_peer *p);
void srd_ack_forget(struct srd *s, struct srd_peer *p);

/* srd_place.c, srd_part.c: what to do with a packet of data */
enum srd_fate {
	SRD_TAKEN, /* to be marked as received */
	SRD_EVENT, /* that, and *event is filled in */
	SRD_REFUSED, /* to be answered with status */
};

struct srd_verdict {
	uint8_t fate; /* enum srd_fate */
	uint8_t status; /* REFUSED: enum srd_status */
};

struct srd_verdict srd_place_write(struct srd *s, struct srd_peer *p,
				   const struct srd_pkt *pkt,
				   struct srd_event *event);
struct srd_verdict srd_place_written(struct srd *s, struct srd_peer *p,
				     const struct srd_pkt *pkt,
				     struct srd_event *event);
struct srd_verdict srd_place_read(struct srd *s, struct srd_peer *p,
				  const struct srd_pkt *pkt, uint64_t now);
struct srd_verdict srd_place_data(struct srd *s, struct srd_peer *p,
				  const struct srd_pkt *pkt);
struct srd_verdict srd_place_result(struct srd *s, struct srd_peer *p,
				    const struct srd_pkt *pkt);

/* s->part has been given memory. */
void srd_part_init(struct srd *s);
struct srd_verdict srd_part_take(struct srd *s, struct srd_peer *p,
				 const struct srd_pkt *pkt, uint64_t now,
				 struct srd_event *event);
/* The peer gave this message up. */
void srd_part_void(struct srd *s, struct srd_peer *p, uint32_t msg);
/* What is in part is given up; forget: its packets will never come again. */
void srd_part_end(struct srd *s, struct srd_peer *p, bool forget);

/* srd_end.c */
void srd_end_heard(struct srd_peer *p, uint64_t now);
/* Ends the conversation for good. */
void srd_end_for_good(struct srd *s, struct srd_peer *p, uint8_t status);
/* Silence was too long: what is under way ends, later sends begin anew. */
void srd_end_silent(struct srd *s, struct srd_peer *p);
/* p has begun its numbers anew, or this is the first packet heard. */
void srd_end_epoch(struct srd *s, struct srd_peer *p, uint8_t epoch);
void srd_end_close(struct srd *s, struct srd_peer *p, const struct srd_pkt *pkt,
		   uint64_t now);
void srd_stray_answer(struct srd *s, const uint8_t gid[16],
		      const struct srd_pkt_base *base, uint64_t now);
void srd_stray_tx(struct srd *s, struct srd_batch *b);

#endif
