/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_inflow.c - bytes that come in packets: which have come, which may
 *
 * One for each message, and for each access to memory, whose bytes a peer
 * sends in pieces. Pieces come in any order, and say where they belong. Those
 * beyond what the first packet brought are granted by CTS, a window at a time.
 */
#include "rdm/rdm_move.h"

#include <errno.h>
#include <stdlib.h>

void rdm_inflow_init(struct rdm_inflow *in, uint64_t total)
{
	*in = (struct rdm_inflow){ .total = total };
}

void rdm_inflow_fini(struct rdm_inflow *in)
{
	free(in->seen);
	in->seen = NULL;
}

/* Notes the offset. True: it was noted before, or cannot be. */
static bool seen_before(struct rdm_inflow *in, uint64_t offset)
{
	for (uint32_t i = 0; i < in->nseen; i++) {
		if (in->seen[i] == offset)
			return true;
	}
	if (in->nseen == in->seen_max) {
		uint32_t max = (uint32_t)u_max(16, 2 * in->seen_max);
		uint64_t *grown = realloc(in->seen, max * sizeof(*grown));

		if (!grown)
			return true;
		in->seen = grown;
		in->seen_max = max;
	}
	in->seen[in->nseen++] = offset;
	return false;
}

int rdm_inflow_slice(struct rdm_inflow *in, uint64_t offset, uint64_t len)
{
	if (offset > in->total || len > in->total - offset)
		return -EBADMSG;
	if (seen_before(in, offset))
		return -EALREADY;
	if (len > in->total - in->got)
		return -EBADMSG;
	in->got += len;
	return 0;
}

int rdm_inflow_granted(struct rdm_inflow *in, uint64_t offset, uint64_t len)
{
	int ret;

	if (!len || len > in->granted || offset < in->window)
		return -EBADMSG;
	ret = rdm_inflow_slice(in, offset, len);
	if (!ret)
		in->granted -= len;
	return ret;
}

uint64_t rdm_inflow_window(const struct rdm_ep *ep, uint64_t bytes)
{
	return u_min(bytes,
		     RDM_CTS_PKTS * (uint64_t)(ep->mtu - RDM_CTSDATA_HDR));
}

void rdm_inflow_grant(struct rdm_ep *ep, struct rdm_peer *peer,
		      struct rdm_inflow *in, struct rdm_pkt *cts)
{
	cts->type = RDM_PKT_CTS;
	cts->seg_len = rdm_inflow_window(ep, in->total - in->got);
	in->granted = cts->seg_len;
	in->window = in->got;
	in->nseen = 0;
	rdm_ctl_send(ep, peer, cts);
}
