/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_tcp.h - a model of TCP on one path, to compare with and to disturb
 *
 * CUBIC (beta 0.7, C 0.4, with its Reno-friendly region), first window of 10
 * packets, slow start, selective acknowledgement of one block, fast retransmit
 * after three later packets, also of what was sent again, retransmission
 * timeout of at least 50 ms. It has no tail loss probe, no HyStart, no pacing,
 * and acknowledges each packet at once. Numbers count packets. Payload is not carried.
 *
 * The model is pure as the engine is: segments in, segments out, now.
 */
#ifndef SIM_TCP_H
#define SIM_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "sim_net.h"

#define SIM_TCP_HDR 52 /* bytes: IPv4, TCP, timestamps */
#define SIM_TCP_WINDOW 2048 /* packets that may be open; a power of two */
#define SIM_TCP_RTO_MIN (50 * SIM_PS_MS)
#define SIM_TCP_RTO_MAX (60 * SIM_PS_S)

enum sim_tcp_state { SIM_TCP_OPEN, SIM_TCP_RECOVERY, SIM_TCP_LOSS };

struct sim_tcp {
	/* sender; [una, next) is open */
	uint64_t una, next, total;
	uint64_t top; /* after the last that was acknowledged selectively */
	uint64_t scan; /* losses before it are known */
	uint64_t recover; /* RECOVERY and LOSS end when una gets here */
	uint32_t pipe; /* packets on their way */
	uint32_t nlost; /* packets to send again */
	uint64_t lost_from; /* no lost packet before it */
	double cwnd, ssthresh; /* packets */
	double w_max, k; /* of CUBIC: packets, seconds */
	double w_est; /* the window of Reno */
	uint64_t epoch; /* time the cubic began; 0: not begun */
	double srtt, rttvar; /* ps; 0: no sample */
	uint64_t rto, rto_at; /* rto_at: SIM_NEVER, nothing is open */
	enum sim_tcp_state state;
	uint8_t mark[SIM_TCP_WINDOW]; /* enum mark, of sim_tcp.c */
	uint32_t again[SIM_TCP_WINDOW]; /* AGAIN: `next` when it was sent */
	/* receiver */
	uint64_t cum; /* all before it arrived */
	uint64_t arrived[SIM_TCP_WINDOW / 64]; /* bits of [cum, cum + WINDOW) */
	/* numbers */
	uint64_t timeouts, resent;
};

void sim_tcp_init(struct sim_tcp *t);

/* The user has so many more packets. */
static inline void sim_tcp_more(struct sim_tcp *t, uint64_t packets)
{
	t->total += packets;
}

bool sim_tcp_can_send(const struct sim_tcp *t);
/* The next segment; only when it can send. */
void sim_tcp_pull(struct sim_tcp *t, struct sim_segment *seg, uint64_t now);

/* A data segment came to the receiver; *ack is what it answers. True when it
 * was not there before. */
bool sim_tcp_data(struct sim_tcp *t, const struct sim_segment *seg,
		  struct sim_segment *ack);
/* An acknowledgement came to the sender. */
void sim_tcp_ack(struct sim_tcp *t, const struct sim_segment *ack,
		 uint64_t now);
/* rto_at has come. */
void sim_tcp_timeout(struct sim_tcp *t, uint64_t now);

#endif
