/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_ep.c - an endpoint is opened, given its queues, and closed
 *
 * It obeys the info it is opened with, which the application may have edited,
 * not what the device could do. What it is bound to cannot close before it.
 */
#include "fi/efa_eq.h"

#include <stdlib.h>

#include "util/u_lines.h"

static struct efa_ep *ep_of_fid(struct fid *fid)
{
	return u_container_of(fid, struct efa_ep, own.fid.fid);
}

/* ---- binding ------------------------------------------------------------- */

static int bind_cq(struct efa_ep *ep, struct efa_cq *cq, uint64_t flags)
{
	const uint64_t valid = FI_TRANSMIT | FI_RECV | FI_SELECTIVE_COMPLETION;
	uint32_t always = flags & FI_SELECTIVE_COMPLETION ? 0 : RDM_COMPLETION;

	if ((flags & ~valid) || !(flags & (FI_TRANSMIT | FI_RECV)) ||
	    cq->domain != ep->domain)
		return -FI_EINVAL;
	if (((flags & FI_TRANSMIT) && ep->tx_cq) ||
	    ((flags & FI_RECV) && ep->rx_cq))
		return -FI_EINVAL;
	if (flags & FI_TRANSMIT) {
		ep->tx_cq = cq;
		ep->tx_always = always;
		atomic_fetch_add(&cq->refs, 1);
	}
	if (flags & FI_RECV) {
		ep->rx_cq = cq;
		ep->rx_always = always;
		atomic_fetch_add(&cq->refs, 1);
	}
	return 0;
}

static const uint64_t cntr_flags[RDM_CNTR_USES] = {
	[RDM_CNTR_SEND] = FI_SEND,
	[RDM_CNTR_RECV] = FI_RECV,
	[RDM_CNTR_READ] = FI_READ,
	[RDM_CNTR_WRITE] = FI_WRITE,
	[RDM_CNTR_REMOTE_READ] = FI_REMOTE_READ,
	[RDM_CNTR_REMOTE_WRITE] = FI_REMOTE_WRITE,
};

static int bind_cntr(struct efa_ep *ep, struct efa_cntr *cntr, uint64_t flags)
{
	uint64_t valid = 0;

	for (int use = 0; use < RDM_CNTR_USES; use++) {
		valid |= cntr_flags[use];
		if ((flags & cntr_flags[use]) && ep->cntr[use])
			return -FI_EINVAL;
	}
	if (!flags || (flags & ~valid) || cntr->domain != ep->domain)
		return -FI_EINVAL;
	for (int use = 0; use < RDM_CNTR_USES; use++) {
		if (flags & cntr_flags[use]) {
			ep->cntr[use] = cntr;
			atomic_fetch_add(&cntr->refs, 1);
		}
	}
	return 0;
}

static int bind_av(struct efa_ep *ep, struct efa_av *av)
{
	if (ep->av || av->domain != ep->domain)
		return -FI_EINVAL;
	ep->av = av;
	atomic_fetch_add(&av->refs, 1);
	return 0;
}

static int bind_eq(struct efa_ep *ep, struct fid *eq)
{
	if (ep->eq)
		return -FI_EINVAL;
	if (ep->enabled)
		u_lock(&ep->lock);
	ep->eq = efa_eq_get(eq);
	if (ep->enabled)
		u_unlock(&ep->lock);
	return 0;
}

static int ep_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	struct efa_ep *ep = ep_of_fid(fid);

	/* Some programs bind the event queue late. */
	if (ep->enabled && bfid->fclass != FI_CLASS_EQ)
		return -FI_EOPBADSTATE;
	switch (bfid->fclass) {
	case FI_CLASS_CQ:
		return bind_cq(ep, u_container_of(bfid, struct efa_cq, fid.fid),
			       flags);
	case FI_CLASS_CNTR:
		return bind_cntr(ep,
				 u_container_of(bfid, struct efa_cntr, fid.fid),
				 flags);
	case FI_CLASS_AV:
		return bind_av(ep,
			       u_container_of(bfid, struct efa_av, fid.fid));
	case FI_CLASS_EQ:
		return bind_eq(ep, bfid);
	default:
		return -FI_EINVAL;
	}
}

static void unbind(struct efa_ep *ep)
{
	if (ep->tx_cq)
		atomic_fetch_sub(&ep->tx_cq->refs, 1);
	if (ep->rx_cq)
		atomic_fetch_sub(&ep->rx_cq->refs, 1);
	for (int use = 0; use < RDM_CNTR_USES; use++)
		if (ep->cntr[use])
			atomic_fetch_sub(&ep->cntr[use]->refs, 1);
	if (ep->av)
		atomic_fetch_sub(&ep->av->refs, 1);
	if (ep->eq)
		efa_eq_put(ep->eq);
}

/* ---- control and cancel -------------------------------------------------- */

static int ep_control(struct fid *fid, int command, void *arg)
{
	struct efa_ep *ep = ep_of_fid(fid);

	switch (command) {
	case FI_ENABLE:
		return efa_ep_enable(ep);
	case FI_ALIAS:
		return efa_alias_open(ep, arg);
	case FI_GETOPSFLAG:
		return efa_handle_get_flags(&ep->own, arg);
	case FI_SETOPSFLAG:
		return efa_handle_set_flags(&ep->own, *(uint64_t *)arg);
	default:
		return -FI_ENOSYS;
	}
}

/* fid may be that of an alias. */
static ssize_t ep_cancel(fid_t fid, void *context)
{
	struct efa_ep *ep = u_container_of(fid, struct efa_handle, fid.fid)->ep;
	int ret;

	if (!ep->enabled)
		return -FI_EOPBADSTATE;
	if (!ep->rdm)
		return -FI_ENOSYS;
	u_lock(&ep->lock);
	ret = rdm_cancel(ep->rdm, context);
	efa_ep_unlock(ep);
	return ret;
}

/* ---- opening and closing ------------------------------------------------- */

static int ep_close(struct fid *fid)
{
	struct efa_ep *ep = ep_of_fid(fid);

	if (efa_is_child(ep->domain->pid))
		return 0;
	if (!LIST_EMPTY(&ep->aliases))
		return -FI_EBUSY;
	efa_ep_disable(ep);
	unbind(ep);
	atomic_fetch_sub(&ep->domain->refs, 1);
	free(ep);
	return 0;
}

static int ep_tx_ctx(struct fid_ep *sep, int index, struct fi_tx_attr *attr,
		     struct fid_ep **tx_ep, void *context)
{
	return -FI_ENOSYS;
}

static int ep_rx_ctx(struct fid_ep *sep, int index, struct fi_rx_attr *attr,
		     struct fid_ep **rx_ep, void *context)
{
	return -FI_ENOSYS;
}

static ssize_t ep_size_left(struct fid_ep *ep)
{
	return -FI_ENOSYS;
}

static struct fi_ops ep_fi_ops = {
	.size = sizeof(struct fi_ops),
	.close = ep_close,
	.bind = ep_bind,
	.control = ep_control,
	.ops_open = efa_nosys_ops_open,
	.tostr = efa_nosys_tostr,
	.ops_set = efa_nosys_ops_set,
};

struct fi_ops_ep efa_ep_ops = {
	.size = sizeof(struct fi_ops_ep),
	.cancel = ep_cancel,
	.getopt = efa_ep_getopt,
	.setopt = efa_ep_setopt,
	.tx_ctx = ep_tx_ctx,
	.rx_ctx = ep_rx_ctx,
	.rx_size_left = ep_size_left,
	.tx_size_left = ep_size_left,
};

/*
 * Who has FI_RX_CQ_DATA posts a receive for each write with data; it is offered
 * where the device does the writing.
 */
static int check_rma(const struct efa_domain *domain,
		     const struct fi_info *info)
{
	bool asked = info->mode & FI_RX_CQ_DATA;

	if (domain->kind != EFA_DIRECT)
		return asked || (domain->kind == EFA_DGRAM &&
				 (info->caps & FI_RMA)) ?
			       -FI_EINVAL :
			       0;
	if ((info->caps & FI_RMA) && !asked &&
	    !(domain->dev->info.caps & DEV_CAP_UNSOLICITED))
		return -FI_EINVAL;
	return info->caps & (FI_TAGGED | FI_ATOMIC) ? -FI_EINVAL : 0;
}

/* The kind has to be the domain's, and what we never offered is not there. */
static int check_info(const struct efa_domain *domain,
		      const struct fi_info *info)
{
	enum fi_ep_type type = domain->kind == EFA_DGRAM ? FI_EP_DGRAM :
							   FI_EP_RDM;

	if (!info->ep_attr || !info->tx_attr || !info->rx_attr)
		return -FI_EINVAL;
	if (info->ep_attr->type != type)
		return -FI_EINVAL;
	if (info->ep_attr->tx_ctx_cnt == FI_SHARED_CONTEXT ||
	    info->ep_attr->rx_ctx_cnt == FI_SHARED_CONTEXT)
		return -FI_ENOSYS;
	return check_rma(domain, info);
}

/* That of the domain where the endpoint has no class of its own. */
static bool is_low_latency(const struct fi_info *info)
{
	uint32_t tclass = info->tx_attr->tclass;

	if (tclass == FI_TC_UNSPEC && info->domain_attr)
		tclass = info->domain_attr->tclass;
	return tclass == FI_TC_LOW_LATENCY;
}

int efa_ep_open(struct fid_domain *fid, struct fi_info *info,
		struct fid_ep **out, void *context)
{
	struct efa_domain *domain = u_container_of(fid, struct efa_domain, fid);
	struct efa_ep *ep;
	int ret;

	ret = check_info(domain, info);
	if (ret)
		return ret;
	ep = u_lines_new(sizeof(*ep));
	if (!ep)
		return -FI_ENOMEM;
	ep->domain = domain;
	ep->caps = info->caps;
	ep->mode = info->mode;
	ep->any_source = info->caps & FI_DIRECTED_RECV ? 0 : UINT64_MAX;
	ep->tx_size = info->tx_attr->size ? info->tx_attr->size :
					    domain->dev->info.tx_depth;
	ep->rx_size = info->rx_attr->size ? info->rx_attr->size :
					    domain->dev->info.rx_depth;
	ep->low_latency = is_low_latency(info);
	efa_ep_opt_init(ep, info);
	LIST_INIT(&ep->aliases);
	ep->own.ep = ep;
	ep->own.fid.fid.fclass = FI_CLASS_EP;
	ep->own.fid.fid.context = context;
	ep->own.fid.fid.ops = &ep_fi_ops;
	ep->own.tx_op_flags = info->tx_attr->op_flags;
	ep->own.rx_op_flags = info->rx_attr->op_flags;
	efa_handle_set_ops(&ep->own);
	atomic_fetch_add(&domain->refs, 1);
	*out = &ep->own.fid;
	return 0;
}
