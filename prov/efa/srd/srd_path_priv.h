/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_path_priv.h - what srd_path.c has from srd_path_rtt.c
 */
#ifndef SRD_PATH_PRIV_H
#define SRD_PATH_PRIV_H

#include "srd/srd_path.h"

#define SRD_WEIGHT_MAX 255

void srd_path_rtt_init(struct srd_paths *ps, const struct srd_paths_config *c);

/* A round trip on p, a path of ps. */
void srd_path_rtt_take(struct srd_paths *ps, const struct srd_paths_config *c,
		       struct srd_path *p, uint64_t rtt, uint64_t now);

/* Takes the medians, if it is time: once for each call of srd_path_rtt_take. */
void srd_path_rtt_refresh(struct srd_paths *ps,
			  const struct srd_paths_config *c, uint64_t now);

#endif
