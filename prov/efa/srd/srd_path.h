/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_path.h - the paths to one peer: what each costs, and which to take
 *
 * A path is a value of entropy. Whoever sends asks srd_paths_pick for one and
 * tells what became of the packet. Good paths are taken more often, bad ones
 * are suspect: no data goes there until a probe has come back.
 */
#ifndef SRD_PATH_H
#define SRD_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "srd/srd.h"

struct srd_paths_config {
	uint32_t n; /* 1..SRD_PATHS_MAX */
	uint32_t burst; /* bytes in a row to one path; 0: one packet */
	uint64_t target_delay; /* ns of queueing that is no congestion */
	uint64_t rtt_guess; /* ns before the first sample */
	bool rtt_known; /* the guess is what the empty network takes */
	uint64_t probe_min, probe_max; /* ns between probes of a suspect path */
};

/* Fields are srd_path.c's; 64 of them lie in an active conversation. */
struct srd_path {
	uint64_t probe_at; /* SUSPECT: when the next probe is due */
	uint64_t sampled_at; /* time of the last sample; 0: none */
	uint64_t lost_at; /* time of the last loss; 0: none */
	uint64_t healed_at; /* when it was suspect last; 0: never */
	uint32_t srtt_ns; /* 0: no sample */
	uint32_t var_ns; /* mean deviation from srtt_ns */
	uint32_t base_ns; /* smallest round trip lately; 0: no sample */
	uint32_t last_ns; /* latest sample */
	uint32_t sent, lost; /* data packets */
	uint16_t losses_in_row; /* since the last packet that arrived */
	uint16_t probes; /* since it became suspect */
	uint16_t due; /* weights added up; at 256 its turn has come */
	uint8_t state; /* enum srd_path_state */
	uint8_t weight; /* 1..255: how often it is taken */
	uint8_t loss; /* part of the packets that are lost, of 255; smoothed */
	uint8_t picks; /* bursts on it that have not come back; ..255 */
	uint8_t recycled; /* its places in the ring of recycled ones */
	uint8_t late_in_row; /* samples since the last that was in time */
	uint8_t relapses; /* times it became late again soon after probes
			     had called it good */
};

enum srd_path_state { SRD_PATH_FRESH, SRD_PATH_GOOD, SRD_PATH_SUSPECT };

struct srd_paths {
	struct srd_path path[SRD_PATHS_MAX];
	uint64_t span_end; /* of span_ns; 0: no sample */
	uint64_t span; /* ns that it lasts */
	uint64_t refresh_at; /* when the medians are taken again */
	uint64_t probe_at; /* the smallest of the suspect paths' */
	uint32_t span_ns; /* smallest round trip of this span */
	uint32_t base_ns; /* of this span and the one before; 0: no sample */
	uint32_t queue_ns; /* median of the fresh paths over the base */
	uint32_t quick_ns; /* round trip of a path that is among the best */
	uint32_t recycle_ns; /* a round trip up to it is one without queueing */
	uint32_t weight_scale; /* 2^16 * 255 / ns over quick_ns of weight 0 */
	uint32_t burst_left; /* bytes */
	uint32_t samples; /* since the medians were taken */
	uint8_t at; /* the path of this burst */
	uint8_t turn; /* place in order[] of the path that was last asked */
	uint8_t nsuspect;
	uint8_t loss; /* median of the paths' */
	uint8_t recycled_head, recycled_len;
	uint8_t recycled_run; /* picks from it in a row */
	uint8_t order[SRD_PATHS_MAX]; /* a permutation, by the seed */
	uint8_t recycled[SRD_PATHS_MAX]; /* ring of paths that lately
					    delivered without queueing */
};

void srd_paths_init(struct srd_paths *ps, const struct srd_paths_config *c,
		    uint64_t seed);

/*
 * The path for a packet of len bytes. avoid: a path not to take if there is
 * another one (a resend), or -1.
 */
uint8_t srd_paths_pick(struct srd_paths *ps, const struct srd_paths_config *c,
		       uint32_t len, int avoid, uint64_t now);

/*
 * A packet sent on this path came back in rtt ns; resent packets count too,
 * since their stamp tells them apart. lag: ns by which it took longer than one
 * sent after it that arrived before it; 0: none did. False: it was late, so
 * that its round trip says nothing about those of other paths.
 */
bool srd_paths_delivered(struct srd_paths *ps, const struct srd_paths_config *c,
			 uint8_t path, uint64_t rtt, uint64_t lag,
			 uint64_t now);

static inline bool srd_paths_is_suspect(const struct srd_paths *ps,
					uint8_t path)
{
	return ps->path[path].state == SRD_PATH_SUSPECT;
}

/* A data packet on this path was lost. */
void srd_paths_lost(struct srd_paths *ps, const struct srd_paths_config *c,
		    uint8_t path, uint64_t now);

/*
 * A suspect path whose probe is due, or -1. The caller sends a probe there, so
 * the next is due later.
 */
int srd_paths_probe(struct srd_paths *ps, const struct srd_paths_config *c,
		    uint64_t now);
/* When the next probe is due; UINT64_MAX: none. */
uint64_t srd_paths_probe_at(const struct srd_paths *ps,
			    const struct srd_paths_config *c);

/* ns of queueing on the median of the paths with fresh samples; 0 without. */
uint64_t srd_paths_queueing(const struct srd_paths *ps,
			    const struct srd_paths_config *c, uint64_t now);

/* ns of the smallest round trip on any path lately; rtt_guess without. */
uint64_t srd_paths_base_rtt(const struct srd_paths *ps,
			    const struct srd_paths_config *c);

/* ns after which a packet on this path that has been overtaken is lost. */
uint64_t srd_paths_reorder_window(const struct srd_paths *ps,
				  const struct srd_paths_config *c,
				  uint8_t path);

#endif
