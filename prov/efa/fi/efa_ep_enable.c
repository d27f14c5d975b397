/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_ep_enable.c - an endpoint gets its queue pair, and gives it back
 */
#include "fi/efa.h"
#include "fi/efa_thin.h"

#include <time.h>

#include "fi/efa_settings.h"
#include "util/u_time.h"

/* What peers may wait for at close: acknowledgements, packets still queued. */
#define DRAIN (2 * U_SEC)
#define DRAIN_STEP (10 * U_MSEC)
#define DRAIN_NAP (100 * U_USEC) /* between steps; above a wake-up */

/* ---- operation tables ---------------------------------------------------- */

static void set_rdm_ops(struct fid_ep *fid, uint64_t caps)
{
	fid->msg = caps & FI_MSG ? &efa_msg_ops : &efa_nosys_msg;
	fid->tagged = caps & FI_TAGGED ? &efa_tagged_ops : &efa_nosys_tagged;
	fid->rma = caps & FI_RMA ? &efa_rma_ops : &efa_nosys_rma;
	fid->atomic = caps & FI_ATOMIC ? &efa_atomic_ops : &efa_nosys_atomic;
}

/* Datagrams were never given a capability of RMA. */
static void set_thin_ops(struct fid_ep *fid, uint64_t caps)
{
	fid->msg = caps & FI_MSG ? &efa_thin_msg_ops : &efa_nosys_msg;
	fid->tagged = &efa_nosys_tagged;
	fid->rma = caps & FI_RMA ? &efa_rma_ops : &efa_nosys_rma;
	fid->atomic = &efa_nosys_atomic;
}

void efa_handle_set_ops(struct efa_handle *handle)
{
	const struct efa_ep *ep = handle->ep;
	struct fid_ep *fid = &handle->fid;

	fid->ops = &efa_ep_ops;
	fid->cm = &efa_cm_ops;
	fid->collective = &efa_nosys_collective;
	if (!ep->enabled) {
		fid->msg = &efa_disabled_msg;
		fid->tagged = &efa_disabled_tagged;
		fid->rma = &efa_disabled_rma;
		fid->atomic = &efa_disabled_atomic;
	} else if (ep->rdm) {
		set_rdm_ops(fid, ep->caps);
	} else {
		set_thin_ops(fid, ep->caps);
	}
}

/* Default flags include what the bound queues want always. */
static void enable_handle(struct efa_handle *handle)
{
	efa_handle_set_tx_flags(handle, handle->tx_op_flags);
	efa_handle_set_rx_flags(handle, handle->rx_op_flags);
	efa_handle_set_ops(handle);
}

static void enable_handles(struct efa_ep *ep)
{
	struct efa_handle *alias;

	enable_handle(&ep->own);
	LIST_FOREACH(alias, &ep->aliases, link)
		enable_handle(alias);
}

/* ---- lists of who drives it ---------------------------------------------- */

/* What of the program leads to it. */
static void leave_queues(struct efa_ep *ep)
{
	efa_av_remove_ep(ep->av, ep);
	efa_watch_remove(&ep->tx_cq->watch, ep);
	efa_watch_remove(&ep->rx_cq->watch, ep);
	for (int use = 0; use < RDM_CNTR_USES; use++)
		if (ep->cntr[use])
			efa_watch_remove(&ep->cntr[use]->watch, ep);
}

/* Removing is harmless where it was never added. */
static void leave(struct efa_ep *ep)
{
	efa_domain_remove_ep(ep->domain, ep);
	leave_queues(ep);
}

static int join(struct efa_ep *ep)
{
	int ret;

	ret = efa_av_add_ep(ep->av, ep);
	if (!ret)
		ret = efa_watch_add(&ep->tx_cq->watch, ep);
	if (!ret)
		ret = efa_watch_add(&ep->rx_cq->watch, ep);
	for (int use = 0; use < RDM_CNTR_USES && !ret; use++)
		if (ep->cntr[use])
			ret = efa_watch_add(&ep->cntr[use]->watch, ep);
	if (!ret)
		ret = efa_domain_add_ep(ep->domain, ep);
	if (ret)
		leave(ep);
	return ret;
}

/* ---- enable and disable -------------------------------------------------- */

/* The target of RMA needs no queue: most writes say nothing there. */
static int check_bound(struct efa_ep *ep)
{
	const uint64_t tx = FI_SEND | FI_READ | FI_WRITE;

	if (!ep->av)
		return -FI_ENOAV;
	if (((ep->caps & tx) && !ep->tx_cq) ||
	    ((ep->caps & FI_RECV) && !ep->rx_cq))
		return -FI_ENOCQ;
	return ep->tx_cq || ep->rx_cq ? 0 : -FI_ENOCQ;
}

/* A side that the endpoint has no use for goes to the other one's queue. */
static void fill_sides(struct efa_ep *ep)
{
	if (!ep->tx_cq) {
		ep->tx_cq = ep->rx_cq;
		atomic_fetch_add(&ep->tx_cq->refs, 1);
	}
	if (!ep->rx_cq) {
		ep->rx_cq = ep->tx_cq;
		atomic_fetch_add(&ep->rx_cq->refs, 1);
	}
}

static bool needs_lock(const struct efa_ep *ep)
{
	struct efa_locks locks = efa_domain_locks(ep->domain);
	bool split = ep->tx_cq != ep->rx_cq;

	/* A counter of a region may come to drive it. */
	split |= (ep->caps & FI_RMA_EVENT) != 0;

	for (int use = 0; use < RDM_CNTR_USES; use++)
		split |= ep->cntr[use] != NULL;
	return locks.endpoints || (split && locks.split);
}

/*
 * Receives of old peers may be their user's own (rdm_bare.c) where all of a
 * program does with no more than that: it says so to both ends.
 */
static bool may_meet_bare(const struct efa_ep *ep)
{
	const struct dev_info *dev = &ep->domain->dev->info;

	return dev->kind == DEV_KIND_VERBS &&
	       !(ep->caps & (FI_TAGGED | FI_ATOMIC)) &&
	       ep->opt.max_size[0] <= dev->mtu;
}

static int open_rdm(struct efa_ep *ep)
{
	struct rdm_ep_config config = {
		.dev = ep->domain->dev,
		.av = ep->av->rdm,
		.tx_cq = ep->tx_cq->rdm,
		.rx_cq = ep->rx_cq->rdm,
		.regions = ep->domain->regions,
		.tx_size = ep->tx_size,
		.medium_max = (size_t)efa_settings.medium_max,
		.read_min = (size_t)efa_settings.read_min,
		.write_read_min = (size_t)efa_settings.write_read_min,
		.runt_size = (size_t)efa_settings.runt_size,
		.unexpected_max = (size_t)efa_settings.unexpected_max,
		.min_multi_recv = ep->opt.min_multi_recv,
		.features_off = efa_settings.features_off,
		.no_rdma = !efa_ep_uses_rdma(ep),
		.rnr_retries = (uint8_t)ep->opt.rnr_retry,
		.low_latency = ep->low_latency,
		.no_shm = ep->opt.no_shm,
		.patient = may_meet_bare(ep),
		.strangers = ep->caps & FI_SOURCE_ERR,
	};

	for (int use = 0; use < RDM_CNTR_USES; use++)
		if (ep->cntr[use])
			config.cntr[use] = &ep->cntr[use]->count;
	return rdm_ep_open(&config, &ep->rdm);
}

static void close_queue_pair(struct efa_ep *ep)
{
	if (ep->rdm)
		rdm_ep_close(ep->rdm);
	if (ep->thin)
		efa_thin_close(ep->thin);
	ep->rdm = NULL;
	ep->thin = NULL;
}

int efa_ep_enable(struct efa_ep *ep)
{
	int ret;

	if (ep->enabled)
		return -FI_EOPBADSTATE;
	ret = check_bound(ep);
	if (ret)
		return ret;
	fill_sides(ep);
	u_lock_init(&ep->lock, needs_lock(ep));
	if (ep->domain->kind == EFA_RDM)
		ret = open_rdm(ep);
	else
		ret = efa_thin_open(ep, &ep->thin);
	if (ret)
		goto fini_lock;
	ret = join(ep);
	if (ret)
		goto close_queue_pair;
	ep->enabled = true;
	enable_handles(ep);
	return 0;

close_queue_pair:
	close_queue_pair(ep);
fini_lock:
	u_lock_fini(&ep->lock);
	return ret;
}

/*
 * Who wants the lock is woken when it is free, and would find it taken again:
 * a mutex gives no turns.
 */
static void make_room(const struct efa_ep *ep)
{
	const struct timespec nap = { .tv_nsec = DRAIN_NAP };

	if (ep->lock.on)
		nanosleep(&nap, NULL);
}

/* For others, who may want to revoke a region, it is free in between. */
static bool drain(struct efa_ep *ep)
{
	const uint64_t end = u_now() + DRAIN;
	bool done;

	do {
		u_lock(&ep->lock);
		done = ep->rdm ? rdm_ep_drain(ep->rdm, DRAIN_STEP) :
				 efa_thin_drain(ep->thin, DRAIN_STEP);
		efa_ep_unlock(ep);
		if (!done)
			make_room(ep);
	} while (!done && u_now() < end);
	return done;
}

/*
 * Regions may be closed as long as there are operations that name them, so it
 * is in the domain until nothing is under way.
 */
void efa_ep_disable(struct efa_ep *ep)
{
	if (!ep->enabled)
		return;
	leave_queues(ep);
	if (!drain(ep))
		efa_warn(EP_CTRL, "closed with packets that peers may still "
				  "wait for\n");
	efa_domain_remove_ep(ep->domain, ep);
	close_queue_pair(ep);
	u_lock_fini(&ep->lock);
	ep->enabled = false;
}
