/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_kept.c - memory of messages that nobody has asked for yet
 *
 * What unexpected messages take is counted. Above the limit peers are
 * asked to hold back new messages, below half of it they may go on; but never
 * while the user waits for a message that has not come, as it may be behind
 * those.
 */
#include "rdm/rdm_ep.h"

#include <stdlib.h>
#include <string.h>

void rdm_kept_hold(struct rdm_ep *ep, struct rdm_msg *msg, uint64_t bytes)
{
	msg->held += bytes;
	ep->held += bytes;
	if (u_unlikely(ep->held > ep->config.unexpected_max && !ep->pressure &&
		       !ep->nwaiting)) {
		ep->pressure = true;
		ep->stats.pressure++;
		dev_set_pressure(ep->qp, true);
	}
}

U_COLD void rdm_kept_relieve(struct rdm_ep *ep)
{
	ep->pressure = false;
	dev_set_pressure(ep->qp, false);
}

void rdm_kept_drop(struct rdm_ep *ep, struct rdm_msg *msg)
{
	struct rdm_kept *kept;

	while ((kept = msg->kept)) {
		msg->kept = kept->next;
		free(kept);
	}
	msg->small_len = 0;
	ep->held -= msg->held;
	msg->held = 0;
	if (u_unlikely(ep->pressure &&
		       ep->held <= ep->config.unexpected_max / 2))
		rdm_kept_relieve(ep);
}

void rdm_kept_add(struct rdm_ep *ep, struct rdm_msg *msg, uint64_t offset,
		  const struct rdm_pkt *pkt)
{
	struct rdm_kept *kept;

	if (!offset && pkt->payload_len <= RDM_MSG_SMALL && !msg->small_len) {
		memcpy(msg->small, pkt->payload, pkt->payload_len);
		msg->small_len = pkt->payload_len;
		return;
	}
	kept = malloc(sizeof(*kept) + pkt->payload_len);
	if (!kept) {
		msg->err = RDM_ERR_NOMEM;
		return;
	}
	kept->offset = offset;
	kept->len = pkt->payload_len;
	memcpy(kept->bytes, pkt->payload, pkt->payload_len);
	kept->next = msg->kept;
	msg->kept = kept;
	rdm_kept_hold(ep, msg, sizeof(*kept) + kept->len);
}
