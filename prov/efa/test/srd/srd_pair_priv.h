/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pair_priv.h - between the users, the wire and the oracle
 */
#ifndef SRD_PAIR_PRIV_H
#define SRD_PAIR_PRIV_H

#include "srd_pair.h"

#define PAIR_UNTOUCHED 0xee

void pair_pattern(uint8_t *bytes, uint32_t len, uint32_t id);
bool pair_is_pattern(const uint8_t *bytes, uint32_t len, uint32_t id,
		     uint32_t from);

/* srd_pair_oracle.c */
void pair_take_event(struct pair *w, int node, const struct srd_event *event);
void pair_take_done(struct pair *w, int node, const struct srd_done *done);

/* srd_pair_wire.c */
void pair_put(struct pair *w, int from, const struct srd_out *out);

#endif
