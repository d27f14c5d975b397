/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_dest.c - where requests of a queue pair go, and where packets come from
 *
 * A request names an address handle, a queue pair number and a key; nic has one
 * handle for the three, which is opened at first use and kept. One that has
 * ended is opened anew for the next request, as a peer may be back by then: a
 * card has no memory of it either.
 */
#include <stdlib.h>

#include "verbs_priv.h"

static uint32_t dest_bucket(const uint8_t gid[16], uint32_t qpn, uint32_t qkey)
{
	uint32_t word[4];

	memcpy(word, gid, sizeof(word));
	return ((word[0] ^ word[1] ^ word[2] ^ word[3] ^ qkey) * 2654435761u +
		qpn * 40503u) >>
		       16 &
	       (VERBS_DEST_BUCKETS - 1);
}

static bool dest_is(const struct verbs_dest *d, const uint8_t gid[16],
		    uint32_t qpn, uint32_t qkey)
{
	return d->qpn == qpn && d->qkey == qkey && !memcmp(d->gid, gid, 16);
}

static U_COLD struct verbs_dest *dest_make(struct verbs_qp *qp,
					   const uint8_t gid[16], uint32_t qpn,
					   uint32_t qkey)
{
	struct verbs_dest *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	memcpy(d->gid, gid, sizeof(d->gid));
	d->qpn = qpn;
	d->qkey = qkey;
	LIST_INSERT_HEAD(&qp->dests[dest_bucket(gid, qpn, qkey)], d, link);
	return d;
}

struct verbs_dest *verbs_dest_get(struct verbs_qp *qp, const uint8_t gid[16],
				  uint32_t qpn, uint32_t qkey)
{
	struct verbs_dest *d = qp->last;

	if (u_likely(d && dest_is(d, gid, qpn, qkey)))
		return d;
	LIST_FOREACH(d, &qp->dests[dest_bucket(gid, qpn, qkey)], link)
		if (dest_is(d, gid, qpn, qkey))
			break;
	if (!d)
		d = dest_make(qp, gid, qpn, qkey);
	if (d)
		d->doomed = false;
	qp->last = d;
	return d;
}

static U_COLD int dest_open(struct verbs_qp *qp, struct verbs_dest *d)
{
	struct nic_addr addr = { .qpn = d->qpn, .qkey = verbs_connid(d->qkey) };

	if (d->busy)
		return -EAGAIN;
	if (d->nic_ah)
		nic_ah_close(d->nic_ah);
	d->nic_ah = NULL;
	d->stale = false;
	memcpy(addr.gid, d->gid, sizeof(addr.gid));
	return nic_ah_open(qp->nic, &addr, (uintptr_t)d, &d->nic_ah);
}

int verbs_dest_ready(struct verbs_qp *qp, struct verbs_dest *d)
{
	if (u_likely(d->nic_ah && !d->stale))
		return 0;
	return dest_open(qp, d);
}

static void dest_free(struct verbs_qp *qp, struct verbs_dest *d)
{
	if (qp->last == d)
		qp->last = NULL;
	LIST_REMOVE(d, link);
	if (d->nic_ah)
		nic_ah_close(d->nic_ah);
	free(d);
}

void verbs_dest_put(struct verbs_qp *qp, struct verbs_dest *d)
{
	if (u_unlikely(d->doomed) && !d->busy && !d->waiting)
		dest_free(qp, d);
}

void verbs_dest_doom(struct verbs_qp *qp, const uint8_t gid[16])
{
	struct verbs_dest *d, *next;

	for (int i = 0; i < VERBS_DEST_BUCKETS; i++) {
		for (d = LIST_FIRST(&qp->dests[i]); d; d = next) {
			next = LIST_NEXT(d, link);
			if (memcmp(d->gid, gid, 16) != 0)
				continue;
			d->doomed = true;
			verbs_dest_put(qp, d);
		}
	}
}

void verbs_dest_close_all(struct verbs_qp *qp)
{
	struct verbs_dest *d;

	for (int i = 0; i < VERBS_DEST_BUCKETS; i++)
		while ((d = LIST_FIRST(&qp->dests[i])))
			dest_free(qp, d);
}

/* --- senders --- */

static U_COLD bool source_room(struct verbs_qp *qp, uint32_t source)
{
	uint32_t n = qp->nsources ? 2 * qp->nsources : 16;
	struct verbs_source *s;

	while (n <= source)
		n *= 2;
	s = realloc(qp->source, n * sizeof(*s));
	if (!s)
		return false;
	memset(s + qp->nsources, 0, (n - qp->nsources) * sizeof(*s));
	qp->source = s;
	qp->nsources = n;
	return true;
}

static U_COLD const struct verbs_source *
source_look(struct verbs_qp *qp, uint32_t source, uint32_t epoch)
{
	struct verbs_source *s;
	struct nic_addr addr;

	if (nic_source(qp->nic, source, &addr) ||
	    (source >= qp->nsources && !source_room(qp, source)))
		return NULL;
	s = &qp->source[source];
	memcpy(s->gid, addr.gid, sizeof(s->gid));
	s->qpn = addr.qpn;
	s->ahn = verbs_gids_find(&qp->ctx->gids, addr.gid);
	s->epoch = epoch;
	return s;
}

const struct verbs_source *verbs_source_of(struct verbs_qp *qp, uint32_t source)
{
	uint32_t epoch = atomic_load_explicit(&qp->ctx->gids.epoch,
					      memory_order_relaxed);

	if (u_likely(source < qp->nsources &&
		     qp->source[source].epoch == epoch))
		return &qp->source[source];
	return source_look(qp, source, epoch);
}
