/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_domain.c - the domain: one device, opened
 *
 * The name of a domain says device and kind: "<device>-rdm" is for reliable
 * datagrams, "<device>-dgrm" for datagrams, and in the fabric efa-direct
 * "<device>-rdm" is the device itself. All that is opened in it is of that
 * kind.
 */
#include "fi/efa_eq.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rdma/fi_ext_efa.h>

#include "fi/efa_settings.h"

/*
 * Progress is made by whoever reads a queue, so a queue's reader touches every
 * endpoint of that queue, and the other queues of those endpoints:
 *
 * DOMAIN      the program has one thread at a time for all of this.
 * COMPLETION  the program serializes what hangs together by one queue. An
 *             endpoint that has one queue only belongs to that thread; one
 *             with two, or with a counter, is where two threads can meet. So
 *             can they in a queue that two such endpoints share.
 * ENDPOINT,   the program serializes calls on the endpoint, but a reader of
 * FID         its queue is another object and may run beside them.
 * SAFE        the program serializes nothing.
 *
 * Any thread may close a region, which looks at all endpoints for operations
 * that name it: under COMPLETION those of RDM lock where the program asked for
 * FI_MR_LOCAL, and others are left alone. Any thread may remove an address:
 * endpoints take note of it without their lock (rdm_removed.c).
 *
 * With FI_PROGRESS_AUTO a thread of ours is beside those of the program.
 */
struct efa_locks efa_domain_locks(const struct efa_domain *domain)
{
	struct efa_locks locks = { true, true, true };

	if (domain->driver)
		return locks;
	switch (domain->threading) {
	case FI_THREAD_DOMAIN:
		locks = (struct efa_locks){ false, false, false };
		break;
	case FI_THREAD_COMPLETION:
		locks.endpoints = domain->mr_local;
		break;
	case FI_THREAD_UNSPEC:
	case FI_THREAD_SAFE:
	case FI_THREAD_FID:
	case FI_THREAD_ENDPOINT:
		break;
	}
	return locks;
}

static struct efa_domain *domain_of(struct fid *fid)
{
	return u_container_of(fid, struct efa_domain, fid.fid);
}

static struct efa_domain *domain_new(void)
{
	struct efa_domain *domain = calloc(1, sizeof(*domain));

	if (!domain)
		return NULL;
	domain->regions = rdm_regions_new();
	if (!domain->regions) {
		free(domain);
		return NULL;
	}
	u_lock_init(&domain->lock, true);
	LIST_INIT(&domain->eps);
	LIST_INIT(&domain->wide);
	return domain;
}

static void domain_free(struct efa_domain *domain)
{
	u_lock_fini(&domain->lock);
	rdm_regions_free(domain->regions);
	free(domain);
}

static int domain_close(struct fid *fid)
{
	struct efa_domain *domain = domain_of(fid);

	if (efa_is_child(domain->pid))
		return 0;
	if (atomic_load(&domain->refs))
		return -FI_EBUSY;
	efa_driver_close(domain->driver);
	dev_close(domain->dev);
	if (efa_domain_eq(domain))
		efa_eq_put(efa_domain_eq(domain));
	atomic_fetch_sub(&domain->fabric->refs, 1);
	domain_free(domain);
	return 0;
}

/* It is the queue of endpoints that have none, too. */
static int domain_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	struct efa_domain *domain = domain_of(fid);
	int ret = 0;

	if (bfid->fclass != FI_CLASS_EQ)
		return -FI_EINVAL;
	if (flags & ~FI_REG_MR)
		return -FI_EBADFLAGS;
	u_lock(&domain->lock);
	if (efa_domain_eq(domain)) {
		ret = -FI_EINVAL;
	} else {
		domain->tells_mrs = flags & FI_REG_MR;
		/* release: edge eq-bound */
		atomic_store_explicit(&domain->eq, efa_eq_get(bfid),
				      memory_order_release);
	}
	u_unlock(&domain->lock);
	return ret;
}

static int domain_scalable_ep(struct fid_domain *domain, struct fi_info *info,
			      struct fid_ep **sep, void *context)
{
	return -FI_ENOSYS;
}

static int domain_poll_open(struct fid_domain *domain,
			    struct fi_poll_attr *attr,
			    struct fid_poll **pollset)
{
	return -FI_ENOSYS;
}

static int domain_stx_ctx(struct fid_domain *domain, struct fi_tx_attr *attr,
			  struct fid_stx **stx, void *context)
{
	return -FI_ENOSYS;
}

static int domain_srx_ctx(struct fid_domain *domain, struct fi_rx_attr *attr,
			  struct fid_ep **rx_ep, void *context)
{
	return -FI_ENOSYS;
}

static int domain_query_collective(struct fid_domain *domain,
				   enum fi_collective_op coll,
				   struct fi_collective_attr *attr,
				   uint64_t flags)
{
	return -FI_ENOSYS;
}

static int domain_endpoint2(struct fid_domain *domain, struct fi_info *info,
			    struct fid_ep **ep, uint64_t flags, void *context)
{
	if (flags)
		return -FI_EOPNOTSUPP;
	return efa_ep_open(domain, info, ep, context);
}

/* The descriptor of a region is the device's. */
static int query_mr(struct fid_mr *mr, struct fi_efa_mr_attr *attr)
{
	struct dev_mr_ids ids;
	int ret = dev_mr_ids(fi_mr_desc(mr), &ids);

	if (ret)
		return ret;
	*attr = (struct fi_efa_mr_attr){
		.ic_id_validity = ids.valid,
		.recv_ic_id = ids.recv,
		.rdma_read_ic_id = ids.read,
		.rdma_recv_ic_id = ids.rdma_recv,
	};
	return 0;
}

static struct fi_efa_ops_domain ext_ops = {
	.query_mr = query_mr,
};

static int domain_ops_open(struct fid *fid, const char *name, uint64_t flags,
			   void **ops, void *context)
{
	/* Of a card that a GPU drives by itself. */
	if (strcmp(name, "efa gda ops") == 0)
		return -FI_EOPNOTSUPP;
	if (strcmp(name, FI_EFA_DOMAIN_OPS) != 0)
		return -FI_EINVAL;
	*ops = &ext_ops;
	return 0;
}

static struct fi_ops domain_fi_ops = {
	.size = sizeof(struct fi_ops),
	.close = domain_close,
	.bind = domain_bind,
	.control = efa_nosys_control,
	.ops_open = domain_ops_open,
	.tostr = efa_nosys_tostr,
	.ops_set = efa_nosys_ops_set,
};

static struct fi_ops_domain domain_ops = {
	.size = sizeof(struct fi_ops_domain),
	.av_open = efa_av_open,
	.cq_open = efa_cq_open,
	.endpoint = efa_ep_open,
	.scalable_ep = domain_scalable_ep,
	.cntr_open = efa_cntr_open,
	.poll_open = domain_poll_open,
	.stx_ctx = domain_stx_ctx,
	.srx_ctx = domain_srx_ctx,
	.query_atomic = efa_atomic_query,
	.query_collective = domain_query_collective,
	.endpoint2 = domain_endpoint2,
};

static int open_device(struct efa_domain *domain, const char *name)
{
	struct dev_config config;
	struct dev_info info;
	int ret;

	ret = efa_info_find(name, domain->fabric->direct, &info, &domain->kind);
	if (ret)
		return ret;
	efa_settings_dev_config(&config);
	/* A receive that is posted to the card cannot be filled beside it. */
	config.no_rail = domain->kind == EFA_DIRECT;
	return dev_open(&info, &config, &domain->dev);
}

/* Who wants progress without calls of its own, and has no card that makes it. */
static bool needs_driver(const struct efa_domain *domain,
			 const struct fi_info *info)
{
	return info->domain_attr->data_progress == FI_PROGRESS_AUTO &&
	       !efa_kind_is_automatic(domain->kind, &domain->dev->info);
}

int efa_domain_open(struct fid_fabric *fid, struct fi_info *info,
		    struct fid_domain **out, void *context)
{
	struct efa_fabric *fabric = u_container_of(fid, struct efa_fabric, fid);
	struct efa_domain *domain;
	int ret;

	if (!info->domain_attr || !info->domain_attr->name)
		return -FI_EINVAL;
	domain = domain_new();
	if (!domain)
		return -FI_ENOMEM;
	domain->fabric = fabric;
	ret = open_device(domain, info->domain_attr->name);
	if (ret) {
		efa_warn(DOMAIN, "%s: %s\n", info->domain_attr->name,
			 fi_strerror(-ret));
		goto free_domain;
	}
	if (needs_driver(domain, info))
		ret = efa_driver_open(&domain->driver);
	if (ret)
		goto close_device;
	domain->pid = getpid();
	domain->threading = info->domain_attr->threading;
	domain->mr_local = domain->kind == EFA_RDM &&
			   info->domain_attr->mr_mode & FI_MR_LOCAL;
	domain->fid.fid.fclass = FI_CLASS_DOMAIN;
	domain->fid.fid.context = context;
	domain->fid.fid.ops = &domain_fi_ops;
	domain->fid.ops = &domain_ops;
	domain->fid.mr = &efa_mr_ops;
	atomic_fetch_add(&fabric->refs, 1);
	*out = &domain->fid;
	return 0;

close_device:
	dev_close(domain->dev);
free_domain:
	domain_free(domain);
	return ret;
}
