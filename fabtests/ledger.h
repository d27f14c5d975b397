/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ledger.h - what this process holds, counted
 *
 * Read one, do something again and again, read another, compare.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <stddef.h>

enum ledger_item {
	LEDGER_FDS, /* open descriptors */
	LEDGER_THREADS,
	LEDGER_FILES, /* regular files of everybody in ledger.folder */
	LEDGER_MAPS, /* lines of /proc/self/maps */
	LEDGER_HEAP, /* bytes that malloc has given away */
	LEDGER_RSS, /* bytes in memory */
	LEDGER_ITEMS,
};

struct ledger {
	const char *folder; /* of shared memory */
	long count[LEDGER_ITEMS];
};

/* First of all in main: starts the program again, with a malloc that can be
   counted, if it is not so already. */
void ledger_begin(char **argv);
void ledger_read(struct ledger *l, const char *folder);
/*
 * Items that have grown by more than n repetitions may cost; a line of output
 * for each. Waits a moment for what the kernel frees late. Updates now.
 */
int ledger_compare(const struct ledger *before, struct ledger *now, size_t n);

#endif
