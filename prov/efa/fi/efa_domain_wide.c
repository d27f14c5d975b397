/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_domain_wide.c - what is done to all endpoints of a domain: counters that
 * drive them, regions that are taken from them
 *
 * A counter of a memory region is bound to no endpoint, yet looking at it has
 * to make progress: the write that it waits for comes through some endpoint of
 * the domain that has FI_RMA_EVENT. So each of those is in its list, however
 * early or late either was opened. Others count nothing, and may have no lock
 * (efa_ep_enable.c). The thread of FI_PROGRESS_AUTO drives them all as well.
 */
#include "fi/efa.h"
#include "fi/efa_thin.h"

static int drive_by(struct efa_cntr *cntr, struct efa_ep *ep)
{
	return ep->caps & FI_RMA_EVENT ? efa_watch_add(&cntr->watch, ep) : 0;
}

int efa_domain_add_ep(struct efa_domain *domain, struct efa_ep *ep)
{
	struct efa_cntr *cntr;
	int ret = 0;

	u_lock(&domain->lock);
	LIST_FOREACH(cntr, &domain->wide, link) {
		ret = drive_by(cntr, ep);
		if (ret)
			break;
	}
	if (!ret && domain->driver)
		ret = efa_driver_add(domain->driver, ep);
	ep->listed = true;
	LIST_INSERT_HEAD(&domain->eps, ep, link);
	u_unlock(&domain->lock);
	if (ret)
		efa_domain_remove_ep(domain, ep);
	return ret;
}

void efa_domain_remove_ep(struct efa_domain *domain, struct efa_ep *ep)
{
	struct efa_cntr *cntr;

	if (!ep->listed)
		return;
	u_lock(&domain->lock);
	LIST_FOREACH(cntr, &domain->wide, link)
		efa_watch_remove(&cntr->watch, ep);
	if (domain->driver)
		efa_driver_remove(domain->driver, ep);
	LIST_REMOVE(ep, link);
	ep->listed = false;
	u_unlock(&domain->lock);
}

int efa_domain_add_cntr(struct efa_domain *domain, struct efa_cntr *cntr)
{
	struct efa_ep *ep;
	int ret = 0;

	u_lock(&domain->lock);
	if (!cntr->wide) {
		LIST_FOREACH(ep, &domain->eps, link)
			if (!ret)
				ret = drive_by(cntr, ep);
		LIST_INSERT_HEAD(&domain->wide, cntr, link);
		cntr->wide = true;
	}
	u_unlock(&domain->lock);
	return ret;
}

void efa_domain_remove_cntr(struct efa_domain *domain, struct efa_cntr *cntr)
{
	struct efa_ep *ep;

	if (!cntr->wide)
		return;
	u_lock(&domain->lock);
	LIST_FOREACH(ep, &domain->eps, link)
		efa_watch_remove(&cntr->watch, ep);
	LIST_REMOVE(cntr, link);
	u_unlock(&domain->lock);
}

/* Without a lock of its own an endpoint is its thread's alone. */
static bool may_touch(const struct efa_domain *domain, const struct efa_ep *ep)
{
	return ep->lock.on || domain->threading == FI_THREAD_DOMAIN;
}

/*
 * Looks at the device once, as operations that it has ended complete there: who
 * sleeps until there are entries would not be woken.
 */
static void ep_revoke(struct efa_ep *ep, const struct dev_mr *mr)
{
	u_lock(&ep->lock);
	if (ep->thin && efa_thin_revoke(ep->thin, mr))
		efa_thin_progress(ep->thin);
	if (ep->rdm && rdm_revoke(ep->rdm, mr) && rdm_progress(ep->rdm))
		efa_ep_report(ep);
	efa_ep_unlock(ep);
}

void efa_domain_revoke(struct efa_domain *domain, const struct dev_mr *mr)
{
	struct efa_ep *ep;

	u_lock(&domain->lock);
	LIST_FOREACH(ep, &domain->eps, link)
		if (may_touch(domain, ep))
			ep_revoke(ep, mr);
	u_unlock(&domain->lock);
}
