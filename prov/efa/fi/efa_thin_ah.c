/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_thin_ah.c - destinations of a thin endpoint, by index of the peer
 *
 * A device forgets what is under way on a handle that is closed, and it would
 * hold its places for ever. So the handle of an address that was removed is
 * left until nothing names it: that is looked for when other addresses are
 * removed, and operations need not count.
 *
 * I1: there is room for all of ah in left, so that leaving one cannot fail.
 */
#include "fi/efa_thin_priv.h"

#include <stdlib.h>
#include <string.h>

/* The handle of an address that was removed. */
struct efa_thin_left {
	struct dev_ah *ah;
	bool busy; /* while it is looked for: an operation names it */
};

/* ---- handles that are left ----------------------------------------------- */

static int by_handle(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct efa_thin_left *)a)->ah;
	uintptr_t y = (uintptr_t)((const struct efa_thin_left *)b)->ah;

	return (x > y) - (x < y);
}

static void find_busy(struct efa_thin *thin)
{
	const struct efa_thin_op *op;
	struct efa_thin_left *left;
	uint32_t cursor = 0;

	while ((op = u_pool_next(&thin->ops, &cursor))) {
		if (op->kind == RDM_COMP_RECV)
			continue;
		left = bsearch(&(struct efa_thin_left){ .ah = op->ah },
			       thin->left, thin->nleft, sizeof(*left),
			       by_handle);
		if (left)
			left->busy = true;
	}
}

/* Closes those that nothing names. */
static void close_left(struct efa_thin *thin)
{
	size_t n = 0;

	if (!thin->nleft)
		return;
	qsort(thin->left, thin->nleft, sizeof(*thin->left), by_handle);
	find_busy(thin);
	for (size_t i = 0; i < thin->nleft; i++) {
		struct dev_ah *ah = thin->left[i].ah;

		if (thin->left[i].busy)
			thin->left[n++] = (struct efa_thin_left){ .ah = ah };
		else
			dev_ah_close(ah);
	}
	thin->nleft = n;
}

/* For I1. */
static int make_room(struct efa_thin *thin)
{
	size_t room = thin->nleft + thin->nah;
	struct efa_thin_left *left;

	if (room <= thin->left_room)
		return 0;
	left = realloc(thin->left, room * sizeof(*left));
	if (!left)
		return -FI_ENOMEM;
	thin->left = left;
	thin->left_room = room;
	return 0;
}

/* ---- removals ------------------------------------------------------------ */

static void forget(struct efa_thin *thin, uint64_t index)
{
	if (index >= thin->nah || !thin->ah[index])
		return;
	assert(thin->nleft < thin->left_room); /* I1 */
	thin->left[thin->nleft++] =
		(struct efa_thin_left){ .ah = thin->ah[index] };
	thin->ah[index] = NULL;
}

/* More were removed than were noted: whose address is not there any more. */
static void forget_missing(struct efa_thin *thin)
{
	struct dev_addr addr;

	for (size_t i = 0; i < thin->nah; i++)
		if (thin->ah[i] &&
		    (rdm_av_lookup(thin->ep->av->rdm, i, &addr) ||
		     memcmp(&addr, &thin->ah[i]->addr, sizeof(addr)) != 0))
			forget(thin, i);
}

void efa_thin_removed(struct efa_thin *thin, uint64_t index)
{
	rdm_removed_note(&thin->removed, index);
}

/* Without memory what was noted stays so. */
static int heed_removals(struct efa_thin *thin)
{
	uint32_t index[RDM_REMOVED_MAX];
	int ret = make_room(thin);
	uint32_t n;

	if (ret)
		return ret;
	n = rdm_removed_take(&thin->removed, index, (uint32_t)thin->nah);
	if (!n)
		return 0;
	if (n > RDM_REMOVED_MAX)
		forget_missing(thin);
	else
		for (uint32_t i = 0; i < n; i++)
			forget(thin, index[i]);
	close_left(thin);
	return 0;
}

/* ---- opening and closing ------------------------------------------------- */

static int reach(struct efa_thin *thin, uint64_t index)
{
	size_t n = u_max(index + 1, 2 * thin->nah);
	struct dev_ah **list;

	if (index < thin->nah)
		return 0;
	list = realloc(thin->ah, n * sizeof(struct dev_ah *));
	if (!list)
		return -FI_ENOMEM;
	memset(list + thin->nah, 0, (n - thin->nah) * sizeof(struct dev_ah *));
	thin->ah = list;
	thin->nah = n;
	return 0;
}

U_COLD int efa_thin_ah_open(struct efa_thin *thin, uint64_t index)
{
	struct dev_addr addr;
	int ret = heed_removals(thin);

	if (ret || (index < thin->nah && thin->ah[index]))
		return ret;
	ret = rdm_av_lookup(thin->ep->av->rdm, index, &addr);
	if (!ret)
		ret = reach(thin, index);
	if (ret)
		return ret;
	return dev_ah_open(thin->qp, &addr, index, &thin->ah[index]);
}

void efa_thin_ahs_close(struct efa_thin *thin)
{
	for (size_t i = 0; i < thin->nah; i++)
		if (thin->ah[i])
			dev_ah_close(thin->ah[i]);
	for (size_t i = 0; i < thin->nleft; i++)
		dev_ah_close(thin->left[i].ah);
	free(thin->ah);
	free(thin->left);
}
