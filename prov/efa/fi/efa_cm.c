/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_cm.c - the name of an endpoint; there are no connections
 */
#include "fi/efa.h"
#include "fi/efa_thin.h"

#include <string.h>

/*
 * The queue pair has the name, so that there is none before fi_enable. Asking
 * with too little room, or none, is how programs learn the length.
 */
static int cm_getname(fid_t fid, void *addr, size_t *addrlen)
{
	struct efa_ep *ep = u_container_of(fid, struct efa_handle, fid.fid)->ep;
	uint8_t bytes[EFA_ADDR_LEN];
	size_t room = *addrlen;
	struct dev_addr own;

	*addrlen = EFA_ADDR_LEN;
	if (!ep->enabled)
		return room < EFA_ADDR_LEN ? -FI_ETOOSMALL : -FI_EOPBADSTATE;
	if (ep->rdm)
		rdm_ep_addr(ep->rdm, &own);
	else
		efa_thin_addr(ep->thin, &own);
	efa_addr_pack(&own, bytes);
	if (addr && room)
		memcpy(addr, bytes, u_min(room, EFA_ADDR_LEN));
	return room < EFA_ADDR_LEN ? -FI_ETOOSMALL : 0;
}

static int cm_setname(fid_t fid, void *addr, size_t addrlen)
{
	return -FI_ENOSYS;
}

static int cm_getpeer(struct fid_ep *ep, void *addr, size_t *addrlen)
{
	return -FI_ENOSYS;
}

static int cm_connect(struct fid_ep *ep, const void *addr, const void *param,
		      size_t paramlen)
{
	return -FI_ENOSYS;
}

static int cm_listen(struct fid_pep *pep)
{
	return -FI_ENOSYS;
}

static int cm_accept(struct fid_ep *ep, const void *param, size_t paramlen)
{
	return -FI_ENOSYS;
}

static int cm_reject(struct fid_pep *pep, fid_t handle, const void *param,
		     size_t paramlen)
{
	return -FI_ENOSYS;
}

static int cm_shutdown(struct fid_ep *ep, uint64_t flags)
{
	return -FI_ENOSYS;
}

static int cm_join(struct fid_ep *ep, const void *addr, uint64_t flags,
		   struct fid_mc **mc, void *context)
{
	return -FI_ENOSYS;
}

struct fi_ops_cm efa_cm_ops = {
	.size = sizeof(struct fi_ops_cm),
	.setname = cm_setname,
	.getname = cm_getname,
	.getpeer = cm_getpeer,
	.connect = cm_connect,
	.listen = cm_listen,
	.accept = cm_accept,
	.reject = cm_reject,
	.shutdown = cm_shutdown,
	.join = cm_join,
};
