/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_lane.c - who writes to us: lanes come and go, source numbers stay
 *
 * A lane is used by one sender after another; a source number belongs to one
 * address for as long as the queue pair lives, so the layer above may keep
 * what it knows about a sender in an array.
 */
#include "nic_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t source_find(const struct nic_qp *qp,
			    const struct wire_shm_id *id)
{
	uint32_t i = qp->source_bucket[nic_id_bucket(id)];

	while (i && !nic_id_same(&qp->source[i - 1].id, id))
		i = qp->source[i - 1].next;
	return i ? i - 1 : NIC_SOURCE_UNKNOWN;
}

static uint32_t source_add(struct nic_qp *qp, const struct wire_shm_id *id)
{
	uint32_t *bucket = &qp->source_bucket[nic_id_bucket(id)];

	if (qp->nsources == qp->max_sources) {
		uint32_t max = qp->max_sources ? 2 * qp->max_sources : 16;
		struct nic_source *s = realloc(qp->source, max * sizeof(*s));

		if (!s)
			return NIC_SOURCE_UNKNOWN;
		qp->source = s;
		qp->max_sources = max;
	}
	qp->source[qp->nsources] = (struct nic_source){
		.id = *id,
		.next = *bucket,
	};
	*bucket = ++qp->nsources;
	return qp->nsources - 1;
}

uint32_t nic_source_of(struct nic_qp *qp, const struct wire_shm_id *id)
{
	uint32_t source = source_find(qp, id);

	return source == NIC_SOURCE_UNKNOWN ? source_add(qp, id) : source;
}

uint32_t nic_lane_look(struct nic_qp *qp, uint32_t lane)
{
	struct nic_lane *l = &qp->lane[lane % NIC_LANES];
	struct wire_shm_id id;
	uint32_t source;

	if (wire_shm_source(qp->shm, lane, &id))
		return NIC_SOURCE_UNKNOWN;
	nic_path_heard(qp, &id);
	source = nic_source_of(qp, &id);
	if (source != NIC_SOURCE_UNKNOWN)
		*l = (struct nic_lane){ .epoch = qp->epoch, .source = source };
	return source;
}

int nic_source(const struct nic_qp *qp, uint32_t source, struct nic_addr *addr)
{
	const struct wire_shm_id *id;

	if (source >= qp->nsources)
		return -ENOENT;
	id = &qp->source[source].id;
	memcpy(addr->gid, id->gid, sizeof(addr->gid));
	addr->qpn = id->qpn;
	addr->qkey = id->connid;
	return 0;
}
