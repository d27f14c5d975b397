/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pkt_sample.h - one good packet of every kind, for tests and fuzz targets
 */
#ifndef SRD_PKT_SAMPLE_H
#define SRD_PKT_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "srd/srd_pkt.h"

#define SRD_SAMPLE_MAX 2048 /* bytes of a sample, its payload included */

struct srd_sample {
	const char *name;
	struct srd_pkt pkt;
};

extern const struct srd_sample srd_samples[];
extern const unsigned srd_nsamples;

/* NULL: there is none of this name. */
const struct srd_sample *srd_sample_find(const char *name);

/* Writes all bytes of a packet, its payload too; returns their number. */
size_t srd_sample_build(const struct srd_pkt *p, uint8_t *bytes);

/* Makes the check of len bytes right, where there is a length of headers that
 * allows it. */
void srd_sample_mend(uint8_t *bytes, size_t len);

/*
 * As srd_pkt_parse, of a copy that ends where its memory ends; p->payload
 * points into `packet`.
 */
enum srd_pkt_verdict srd_sample_parse(const void *packet, size_t len,
				      struct srd_pkt *p);

/* A sample in which a few bytes say something else. */
struct srd_damage {
	const char *name; /* begins with its verdict */
	const char *sample;
	uint16_t at; /* offset in the packet */
	uint8_t width; /* bytes */
	uint64_t value;
	enum srd_pkt_verdict verdict;
};

extern const struct srd_damage srd_damages[];
extern const unsigned srd_ndamages;

/* As srd_sample_build. The check is made right, unless that is the damage. */
size_t srd_damage_build(const struct srd_damage *d, uint8_t *bytes);

/* The name of a field in which two packets differ, or NULL. */
const char *srd_sample_differ(const struct srd_pkt *a, const struct srd_pkt *b);

#endif
