/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_move.h - how the bytes of an operation get to the other side: the files
 * that send, expose, pull, grant and serve them, and give up
 */
#ifndef RDM_MOVE_H
#define RDM_MOVE_H

#include "rdm/rdm_ctl.h"

/* ---- rdm_bulk.c --------------------------------------------------------------------- */

/* What every packet of type tx->type says of the operation. */
void rdm_bulk_pkt(const struct rdm_ep *ep, const struct rdm_tx *tx,
		  struct rdm_pkt *pkt);
/* Posts pkt with [offset, offset + len) of the operation's bytes behind it. */
int rdm_bulk_post(struct rdm_ep *ep, struct rdm_tx *tx,
		  const struct rdm_pkt *pkt, uint64_t offset, uint64_t len);
/*
 * Post the first packet of a message: 0, -EAGAIN, -ENOMEM (no region left to
 * be pulled from), -EMSGSIZE (does not fit one packet). After 0 tx->state says
 * what is left to do.
 */
int rdm_eager_start(struct rdm_ep *ep, struct rdm_tx *tx);
/* Of any operation whose type is set. */
int rdm_eager_post(struct rdm_ep *ep, struct rdm_tx *tx);
int rdm_medium_start(struct rdm_ep *ep, struct rdm_tx *tx);
int rdm_longcts_start(struct rdm_ep *ep, struct rdm_tx *tx);
/* The packet type of a message by family: plain, tagged, DC, DC tagged. */
uint8_t rdm_bulk_type(const struct rdm_tx *tx, const uint8_t types[4]);
extern const uint8_t rdm_longcts_types[4];
/*
 * Plans [0, len) in slices of equal size behind headers like pkt, and posts
 * those that are left; false when there is no room.
 */
void rdm_slices_plan(const struct rdm_ep *ep, struct rdm_tx *tx,
		     const struct rdm_pkt *pkt, uint64_t len);
bool rdm_slices_post(struct rdm_ep *ep, struct rdm_tx *tx, struct rdm_pkt *pkt,
		     uint64_t len);
/* Posts what it can; false when there is no room. Then state is SENDING. */
bool rdm_bulk_resume(struct rdm_ep *ep, struct rdm_tx *tx);
void rdm_bulk_cts(struct rdm_ep *ep, struct rdm_peer *peer,
		  const struct rdm_pkt *pkt);
/* EOR, RECEIPT: the receiver is done with it. */
void rdm_bulk_done(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt);
/* The operation that an id from this peer names; NULL: none of its. */
struct rdm_tx *rdm_tx_named(struct rdm_ep *ep, struct rdm_peer *peer,
			    uint32_t id);

/* ---- rdm_send.c, rdm_bare.c --------------------------------------------------------- */

/* Begins a message: as rdm_eager_start, or -EOPNOTSUPP. */
int rdm_send_start(struct rdm_ep *ep, struct rdm_tx *tx);
int rdm_bare_start(struct rdm_ep *ep, struct rdm_tx *tx);
/* Looks in a HANDSHAKE whether the peer wants its messages so. */
void rdm_bare_meet(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt);

/* ---- rdm_park.c --------------------------------------------------------------------- */

/* It waits for the HANDSHAKE: 0, -EAGAIN, -errno. */
int rdm_park(struct rdm_ep *ep, struct rdm_tx *tx);

/* ---- rdm_expose.c ------------------------------------------------------------------- */

/* As above, of what the peer reads. */
int rdm_longread_start(struct rdm_ep *ep, struct rdm_tx *tx);
int rdm_longread_write(struct rdm_ep *ep, struct rdm_tx *tx);
bool rdm_runt_resume(struct rdm_ep *ep, struct rdm_tx *tx);
/*
 * The peer can read it no more. over: it has said that it is done, or never
 * heard of it; else a read that has begun is waited for.
 */
void rdm_conceal(struct rdm_ep *ep, struct rdm_tx *tx, bool over);
/* READ_NACK: the peer cannot read. */
void rdm_expose_nack(struct rdm_ep *ep, struct rdm_peer *peer,
		     const struct rdm_pkt *pkt);
bool rdm_nacked_resume(struct rdm_ep *ep, struct rdm_tx *tx);

/* Whether the peer can tell that a message is with its user. */
static inline bool rdm_can_deliver(const struct rdm_ep *ep,
				   const struct rdm_peer *peer)
{
	return (ep->features & RDM_FEATURE_DC) &&
	       (!peer->shaken || (peer->features & RDM_FEATURE_DC));
}

/* ---- rdm_rma.c ---------------------------------------------------------------------- */

/* Whether our device and the peer's can read each other's memory. */
bool rdm_can_read(const struct rdm_ep *ep, const struct rdm_peer *peer);
/* 0: begun, the state says what is left to do; -EAGAIN; -errno. */
int rdm_rma_start(struct rdm_ep *ep, struct rdm_tx *tx);
void rdm_rma_written(struct rdm_ep *ep, const struct dev_wc *wc);

/* ---- rdm_emul.c --------------------------------------------------------------------- */

/*
 * Posts the request of a read or write in packets: as rdm_eager_start, or
 * -EOPNOTSUPP (the peer cannot tell that the bytes are in its memory).
 */
int rdm_emul_start(struct rdm_ep *ep, struct rdm_tx *tx);
void rdm_emul_readrsp(struct rdm_ep *ep, struct rdm_peer *peer,
		      const struct rdm_pkt *pkt);
void rdm_emul_ctsdata(struct rdm_ep *ep, struct rdm_peer *peer,
		      const struct rdm_pkt *pkt);

/* ---- rdm_serve.c, rdm_serve_read.c, rdm_serve_write.c ------------------------ */

void rdm_serve_write(struct rdm_ep *ep, struct rdm_peer *peer,
		     const struct rdm_pkt *pkt);
void rdm_serve_read(struct rdm_ep *ep, struct rdm_peer *peer,
		    const struct rdm_pkt *pkt);
void rdm_serve_cts(struct rdm_ep *ep, struct rdm_peer *peer,
		   const struct rdm_pkt *pkt);
void rdm_serve_ctsdata(struct rdm_ep *ep, struct rdm_peer *peer,
		       const struct rdm_pkt *pkt);
void rdm_serve_wc(struct rdm_ep *ep, struct rdm_serve *serve,
		  const struct dev_wc *wc);
/* The peer wants it no more. */
void rdm_serve_given_up(struct rdm_ep *ep, struct rdm_peer *peer, uint32_t id);
/* Goes on with those that found no room. */
void rdm_serve_resume(struct rdm_ep *ep);
/* Ends those for a peer that is lost, as a device status says. */
void rdm_serve_drop(struct rdm_ep *ep, struct rdm_peer *peer, uint32_t status);
void rdm_serve_free(struct rdm_ep *ep, struct rdm_serve *serve);

/* ---- rdm_error.c -------------------------------------------------------------------- */

/* Whether an error says that the peer is dead, which it need not be told. */
bool rdm_error_is_death(uint32_t err);
bool rdm_error_can_tell(const struct rdm_peer *peer);
/* It does, or may turn out to, know what a PEER_ERROR is. */
bool rdm_error_may_tell(const struct rdm_peer *peer);
/*
 * Tells the peer that an operation is given up, and why, if it understands and
 * err does not say that it is dead; later when its HANDSHAKE has not come, or
 * err says that it cannot be reached.
 */
void rdm_error_tell(struct rdm_ep *ep, struct rdm_peer *peer, enum rdm_ref ref,
		    uint32_t id, uint32_t err);
/* An operation of ours that broke off. */
void rdm_error_tell_tx(struct rdm_ep *ep, struct rdm_tx *tx);
/*
 * The operation that an answer is for, which gives the id of what the peer has
 * begun. NULL: it is given up, and the peer is told by that id.
 */
struct rdm_tx *rdm_error_named(struct rdm_ep *ep, struct rdm_peer *peer,
			       uint32_t ours, uint32_t its);
/* The peer gave up what has this id of ours; a message of a number that was. */
void rdm_error_id(struct rdm_ep *ep, struct rdm_peer *peer, uint32_t id);
void rdm_error_message(struct rdm_ep *ep, struct rdm_peer *peer,
		       uint32_t msg_id);

/* ---- rdm_inflow.c ------------------------------------------------------------------- */

void rdm_inflow_init(struct rdm_inflow *in, uint64_t total);
void rdm_inflow_fini(struct rdm_inflow *in);
/*
 * Takes note of bytes that came: of a slice that needs no leave, or of one
 * that does. -EALREADY came before, -EBADMSG cannot be.
 */
int rdm_inflow_slice(struct rdm_inflow *in, uint64_t offset, uint64_t len);
int rdm_inflow_granted(struct rdm_inflow *in, uint64_t offset, uint64_t len);
/* How many of so many bytes are granted at once. */
uint64_t rdm_inflow_window(const struct rdm_ep *ep, uint64_t bytes);
/* Grants the next window; cts has the ids. */
void rdm_inflow_grant(struct rdm_ep *ep, struct rdm_peer *peer,
		      struct rdm_inflow *in, struct rdm_pkt *cts);

/* ---- rdm_pull.c --------------------------------------------------------------------- */

/* Reads on into the message's receive, and finishes it when it is whole. */
void rdm_pull(struct rdm_ep *ep, struct rdm_msg *msg);
/* Those that found no room. */
void rdm_pull_resume(struct rdm_ep *ep);
void rdm_pull_wc(struct rdm_ep *ep, struct rdm_msg *msg,
		 const struct dev_wc *wc);
/*
 * Where the byte at offset of a peer's list lies; returns how many follow it
 * there, 0 beyond the end.
 */
uint64_t rdm_iov_at(const struct rdm_pkt_iov *iov, uint32_t n, uint64_t offset,
		    uint64_t *addr, uint64_t *key);

#endif
