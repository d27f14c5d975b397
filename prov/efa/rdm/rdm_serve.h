/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_serve.h - reads and writes of our memory that peers ask for in packets:
 * what rdm_serve_read.c and rdm_serve_write.c share
 *
 * I1: no byte of ours is read or written but while rdm_target_hold() has found
 *     its range registered for that; each packet's bytes anew, as a region may
 *     be closed meanwhile. So what a device moves asynchronously never is the
 *     user's memory: writes that we read pass through serve->piece.
 */
#ifndef RDM_SERVE_H
#define RDM_SERVE_H

#include "rdm/rdm_move.h"

/* ---- our memory, by the names of peers ------------------------------------------ */

bool rdm_serve_may(struct rdm_ep *ep, const struct rdm_pkt_iov *iov, uint32_t n,
		   uint32_t access);
/* Places bytes at offset of the list. False: not registered for that. */
bool rdm_serve_place(struct rdm_ep *ep, const struct rdm_pkt_iov *iov,
		     uint32_t n, uint64_t offset, const void *bytes,
		     uint64_t len);
/* Fetches bytes from offset of the list. False: not registered for that. */
bool rdm_serve_fetch(struct rdm_ep *ep, const struct rdm_pkt_iov *iov,
		     uint32_t n, uint64_t offset, void *bytes, uint64_t len);

/* ---- beginning and end ----------------------------------------------------------- */

static inline bool rdm_serve_is_read(uint8_t type)
{
	return type == RDM_PKT_SHORT_RTR || type == RDM_PKT_LONGCTS_RTR;
}

/* Before it has begun, or without memory for it. */
void rdm_serve_refuse(struct rdm_ep *ep, struct rdm_peer *peer,
		      const struct rdm_pkt *pkt, uint32_t err);
/* NULL: refused. */
struct rdm_serve *rdm_serve_new(struct rdm_ep *ep, struct rdm_peer *peer,
				const struct rdm_pkt *pkt);
/* It goes no further; the device may still be reading into serve->piece. */
void rdm_serve_end(struct rdm_ep *ep, struct rdm_serve *serve);
/* The same, and the peer is told why. */
void rdm_serve_lost(struct rdm_ep *ep, struct rdm_serve *serve, uint32_t err);
/* And our user: the peer asked for what may not be. */
void rdm_serve_fail(struct rdm_ep *ep, struct rdm_serve *serve, uint32_t err);
/* It found no room, and goes on by rdm_serve_resume(). */
void rdm_serve_queue(struct rdm_ep *ep, struct rdm_serve *serve);

/* ---- going on --------------------------------------------------------------- */

/* Sends what the peer grants; frees it at the end. */
void rdm_serve_read_on(struct rdm_ep *ep, struct rdm_serve *serve);
/* Reads the rest of a write; frees it at the end. */
void rdm_serve_pull_on(struct rdm_ep *ep, struct rdm_serve *serve);

#endif
