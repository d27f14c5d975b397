/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_cc.h - how much may be open towards a peer, and how fast it may go out
 *
 * The signal is the queueing delay on the median of the paths and the rate at
 * which bytes are delivered; loss by itself is none. The law is in srd_cc.c
 * and srd(7).
 */
#ifndef SRD_CC_H
#define SRD_CC_H

#include <stdbool.h>
#include <stdint.h>

struct srd_cc_config {
	uint32_t packet; /* bytes of a full packet */
	uint32_t window_min, window_max; /* bytes */
	uint32_t window_init; /* bytes before the first acknowledgement */
	uint64_t target_delay; /* ns */
	uint64_t link_bps; /* of our interface; 0: unknown */
};

/* Fields are srd_cc.c's. */
struct srd_cc {
	uint64_t window; /* bytes, with 8 bits of fraction */
	uint64_t before; /* the window of the round before */
	uint64_t delivered; /* bytes in all */
	uint64_t rate; /* delivered bytes a second, smoothed; 0: unknown */
	uint64_t base; /* ns, round trip of the empty network */
	uint64_t target; /* ns of queueing to aim for; the configured, or less
			    where queues are short */
	uint64_t queueing; /* ns, latest */
	uint64_t last_queueing; /* ns, the least of the round before */
	uint64_t pace_at; /* the next packet may go out then */
	uint64_t paced_from; /* pace_at, before the last packet moved it */
	uint64_t gap; /* ns for each byte that goes out, 16 bits of fraction;
			 0: no pacing */
	/* of this round, which is a round trip */
	uint64_t round_at; /* time it began */
	uint64_t round_end; /* `delivered` that ends it */
	uint64_t round_delivered; /* `delivered` when it began */
	uint64_t round_queueing; /* ns, the least; UINT64_MAX: no sample */
	uint64_t round_rtt; /* ns, base and queueing of the last one */
	uint32_t open; /* bytes, what srd_cc_window answers */
	uint32_t paced_bytes; /* of the packet that went out last */
	uint32_t good, lost; /* bytes since losses were last weighed */
	uint32_t countdown; /* STEADY: rounds to the next drain; DRAIN: to its
			       end */
	uint32_t drain_every; /* rounds between drains */
	uint8_t state; /* enum srd_cc_state */
	uint8_t clear_rounds; /* in a row without much queueing; ..255 */
	bool lossy; /* losses were heavy when they were weighed last */
	bool round_limited; /* the window held us back in it */
	bool round_cut; /* it was begun by a cut for losses: those of packets
			   that were out by then are not held against us */
};

enum srd_cc_state { SRD_CC_START, SRD_CC_STEADY, SRD_CC_DRAIN };

struct srd_cc_ack {
	uint32_t bytes; /* acknowledged just now */
	uint32_t in_flight; /* bytes still open */
	bool limited; /* the window, not the user, held us back */
	uint64_t queueing; /* ns, srd_paths_queueing */
	uint64_t rtt; /* ns, the latest sample; 0: none */
	uint64_t base_rtt; /* ns */
};

void srd_cc_init(struct srd_cc *cc, const struct srd_cc_config *c,
		 uint64_t now);
void srd_cc_acked(struct srd_cc *cc, const struct srd_cc_config *c,
		  const struct srd_cc_ack *ack, uint64_t now);
/* bytes were found lost. */
void srd_cc_lost(struct srd_cc *cc, const struct srd_cc_config *c,
		 uint32_t bytes, uint64_t now);
/* Nothing came back for a whole retransmission timeout. */
void srd_cc_timeout(struct srd_cc *cc, const struct srd_cc_config *c,
		    uint64_t now);
/* Nothing was sent for `idle` ns: the window may be out of date. */
void srd_cc_idle(struct srd_cc *cc, const struct srd_cc_config *c,
		 uint64_t idle, uint64_t now);

/* Bytes that may be open, at least one packet. */
uint32_t srd_cc_window(const struct srd_cc *cc, const struct srd_cc_config *c);

/* When a packet may leave: <= now means at once. */
uint64_t srd_cc_pace_at(const struct srd_cc *cc);
void srd_cc_sent(struct srd_cc *cc, const struct srd_cc_config *c,
		 uint32_t bytes, uint64_t base_rtt, uint64_t now);

#endif
