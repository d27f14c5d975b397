/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_ctl.h - control packets: answers, grants, and that something failed
 */
#ifndef RDM_CTL_H
#define RDM_CTL_H

#include "rdm/rdm_ep.h"

/* Packets that are kept for one peer that is out of reach. */
#define RDM_OWED_MAX 1024

enum rdm_ctl_state {
	RDM_CTL_WAITING, /* for room: on ep->ctls */
	RDM_CTL_POSTED, /* the device has it: on ep->ctls_posted */
	RDM_CTL_OWED, /* the peer is out of reach: on peer->owed */
};

/* A control packet that is not done: rdm_ctl.c. */
struct rdm_ctl {
	TAILQ_ENTRY(rdm_ctl) link;
	struct rdm_peer *peer;
	uint8_t state; /* enum rdm_ctl_state */
	uint8_t type; /* enum rdm_pkt_type */
	bool or_else; /* owed: not to a peer that knows what PEER_ERROR is */
	uint32_t more; /* PEER_ERROR that skips a number: how many behind it
			  are to be skipped after it */
	uint64_t since; /* when the device first refused it; 0: never */
	uint32_t len;
	uint8_t *large; /* the packet, malloced; NULL: it lies in bytes */
	uint8_t bytes[RDM_CTL_MAX];
};

/* Sends a control packet now or, without room, later; in any case. */
void rdm_ctl_send(struct rdm_ep *ep, struct rdm_peer *peer,
		  struct rdm_pkt *pkt);
/* The same with len bytes of payload, which are copied. */
void rdm_ctl_send_data(struct rdm_ep *ep, struct rdm_peer *peer,
		       struct rdm_pkt *pkt, const void *data, uint32_t len);
/* Posts what waited, as far as there is room. */
void rdm_ctl_resume(struct rdm_ep *ep);
void rdm_ctl_wc(struct rdm_ep *ep, struct rdm_ctl *ctl,
		const struct dev_wc *wc);
/* Forgets all; or those to a peer that has gone; or of one that is out of reach
   those that it is not owed. */
void rdm_ctl_drop(struct rdm_ep *ep, const struct rdm_peer *peer);
/*
 * Sends it once the peer is reached and has shaken hands. A PEER_ERROR goes to
 * those alone that know what it is, and what is `or_else` to the others.
 */
void rdm_ctl_owe(struct rdm_ep *ep, struct rdm_peer *peer, struct rdm_pkt *pkt,
		 bool or_else);
void rdm_ctl_pay(struct rdm_ep *ep, struct rdm_peer *peer);

/* A packet of ours has arrived there. */
static inline void rdm_peer_reached(struct rdm_ep *ep, struct rdm_peer *peer)
{
	if (u_unlikely(peer->nowed && peer->shaken))
		rdm_ctl_pay(ep, peer);
}

#endif
