/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mt_cases.c - the cases of a functional test, one after the other
 */
#include "mt.h"

#include <stdio.h>
#include <string.h>

static void run(struct mt *mt, const struct mt_case *c)
{
	uint64_t checked = mt->checked, failed = mt->failed;

	c->run(mt);
	MPI_Barrier(MPI_COMM_WORLD);
	failed = mt->failed - failed;
	if (!mt->rank)
		printf("%-18s rank 0: %llu passed, %llu failed\n", c->name,
		       (unsigned long long)(mt->checked - checked - failed),
		       (unsigned long long)failed);
	fflush(stdout);
}

void mt_run_cases(struct mt *mt, const struct mt_case *cases)
{
	bool any = false;

	for (; cases->name; cases++) {
		if (strcmp(mt->op, "all") && strcmp(mt->op, cases->name))
			continue;
		run(mt, cases);
		any = true;
	}
	mt_expect(mt, any, "no case is called %s", mt->op);
}
