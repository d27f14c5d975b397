/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * footprint.h - the memory that this process keeps from others
 */
#ifndef FOOTPRINT_H
#define FOOTPRINT_H

/* Bytes. */
struct footprint {
	long resident; /* in memory, with files of shared memory: what they take,
			  though no page of it was touched yet */
	long locked; /* of that: pages that the kernel cannot take back, by
			mlock(2) or for a device */
};

struct footprint footprint_read(void);

/* What came on top of `before`. */
struct footprint footprint_since(const struct footprint *before);

#endif
