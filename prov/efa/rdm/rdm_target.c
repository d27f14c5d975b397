/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_target.c - what the requests of peers may do to our memory
 *
 * A request that is refused touches nothing. No operation of our user fails
 * by it, so it is kept apart, for who drives the endpoint to report; the last
 * few are enough to tell what is wrong.
 */
#include "rdm/rdm_ep.h"

bool rdm_target_hold(struct rdm_ep *ep, const struct rdm_pkt_iov *iov,
		     uint32_t n, uint32_t access)
{
	struct dev_range range[RDM_PKT_IOV_MAX];

	assert(n <= RDM_PKT_IOV_MAX);
	for (uint32_t i = 0; i < n; i++)
		range[i] = (struct dev_range){ iov[i].addr, iov[i].len,
					       iov[i].key };
	return dev_mr_hold(ep->config.dev, range, (int)n, access);
}

void rdm_target_release(struct rdm_ep *ep)
{
	dev_mr_release(ep->config.dev);
}

U_COLD void rdm_target_refuse(struct rdm_ep *ep, const struct rdm_peer *peer,
			      uint32_t err)
{
	ep->stats.refused++;
	if (ep->nrefused == RDM_REFUSALS_MAX)
		return;
	ep->refused[ep->nrefused++] = (struct rdm_refusal){
		.err = err,
		.peer = peer->addr,
	};
}

bool rdm_ep_refusal(struct rdm_ep *ep, struct rdm_refusal *refusal)
{
	if (!ep->nrefused)
		return false;
	*refusal = ep->refused[0];
	ep->nrefused--;
	for (uint32_t i = 0; i < ep->nrefused; i++)
		ep->refused[i] = ep->refused[i + 1];
	return true;
}
