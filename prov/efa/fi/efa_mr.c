/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_mr.c - memory regions: ranges that peers may read and write by key
 *
 * Local buffers need no registration; one is taken (it is the descriptor) and
 * handed down for devices that can use it. Closing it ends what names it. Host
 * memory only.
 */
#include "fi/efa_eq.h"

#include <stdlib.h>

struct efa_mr {
	struct fid_mr fid;
	struct efa_domain *domain;
	struct dev_mr *dev;
	struct efa_cntr *cntr; /* of writes by peers; NULL: none is bound */
	struct rdm_region region; /* counts there */
};

/* What a caller may say with no effect here. */
#define IGNORED_FLAGS (FI_RMA_EVENT | FI_RMA_PMEM)

static int mr_close(struct fid *fid)
{
	struct efa_mr *mr = u_container_of(fid, struct efa_mr, fid.fid);
	int ret;

	if (efa_is_child(mr->domain->pid))
		return 0;
	efa_domain_revoke(mr->domain, mr->dev);
	/* Its key may be another's as soon as it is closed. */
	if (mr->cntr)
		rdm_region_unbind(mr->domain->regions, &mr->region);
	ret = dev_mr_close(mr->dev);
	if (ret && mr->cntr)
		rdm_region_bind(mr->domain->regions, &mr->region);
	if (ret)
		return ret;
	if (mr->cntr)
		atomic_fetch_sub(&mr->cntr->refs, 1);
	atomic_fetch_sub(&mr->domain->refs, 1);
	free(mr);
	return 0;
}

static int bind_cntr(struct efa_mr *mr, struct efa_cntr *cntr)
{
	int ret;

	if (mr->cntr || cntr->domain != mr->domain)
		return -FI_EINVAL;
	ret = efa_domain_add_cntr(mr->domain, cntr);
	if (ret)
		return ret;
	mr->cntr = cntr;
	mr->region.key = mr->dev->key;
	mr->region.cntr = &cntr->count;
	atomic_fetch_add(&cntr->refs, 1);
	rdm_region_bind(mr->domain->regions, &mr->region);
	return 0;
}

/* Regions belong to domains: there is no endpoint to bind them to. */
static int mr_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	struct efa_mr *mr = u_container_of(fid, struct efa_mr, fid.fid);

	if (bfid->fclass != FI_CLASS_CNTR || mr->domain->kind != EFA_RDM)
		return -FI_ENOSYS;
	if (flags != FI_REMOTE_WRITE)
		return -FI_EBADFLAGS;
	return bind_cntr(mr, u_container_of(bfid, struct efa_cntr, fid.fid));
}

/* Regions are enabled as they are made. */
static int mr_control(struct fid *fid, int command, void *arg)
{
	return command == FI_ENABLE ? 0 : -FI_ENOSYS;
}

static struct fi_ops mr_fi_ops = {
	.size = sizeof(struct fi_ops),
	.close = mr_close,
	.bind = mr_bind,
	.control = mr_control,
	.ops_open = efa_nosys_ops_open,
	.tostr = efa_nosys_tostr,
	.ops_set = efa_nosys_ops_set,
};

/* The device checks remote access only: local access needs no permission. */
static uint32_t access_of(uint64_t access)
{
	return (access & FI_REMOTE_READ ? DEV_REMOTE_READ : 0) |
	       (access & FI_REMOTE_WRITE ? DEV_REMOTE_WRITE : 0);
}

/* Who is told of regions that are ready; NULL: nobody. */
static struct efa_eq *listener(const struct efa_domain *domain)
{
	struct efa_eq *eq = efa_domain_eq(domain);

	return eq && domain->tells_mrs ? eq : NULL;
}

static struct efa_event *ready_event(struct efa_mr *mr)
{
	const struct fi_eq_entry entry = {
		.fid = &mr->fid.fid,
		.context = mr->fid.fid.context,
	};

	return efa_event_new(FI_MR_COMPLETE, &entry, sizeof(entry));
}

static int mr_new(struct efa_domain *domain, const struct iovec *range,
		  uint64_t access, void *context, struct efa_mr **out)
{
	struct efa_mr *mr = calloc(1, sizeof(*mr));
	int ret;

	if (!mr)
		return -FI_ENOMEM;
	ret = dev_mr_open(domain->dev, range->iov_base, range->iov_len,
			  access_of(access), &mr->dev);
	if (ret) {
		free(mr);
		return ret;
	}
	mr->domain = domain;
	mr->fid.fid.fclass = FI_CLASS_MR;
	mr->fid.fid.context = context;
	mr->fid.fid.ops = &mr_fi_ops;
	mr->fid.mem_desc = mr->dev;
	mr->fid.key = mr->dev->key;
	*out = mr;
	return 0;
}

/*
 * A region is ready before the call returns; who asked for it hears so as well,
 * and may use and close it before we are back: that is the last of all.
 */
static int mr_open(struct fid *fid, const struct iovec *range, uint64_t access,
		   uint64_t flags, void *context, struct fid_mr **out)
{
	struct efa_domain *domain =
		u_container_of(fid, struct efa_domain, fid.fid);
	struct efa_eq *eq = listener(domain);
	struct efa_event *event = NULL;
	struct efa_mr *mr;
	int ret;

	if (flags & EFA_MR_DMABUF)
		return -FI_EOPNOTSUPP;
	if (flags & ~IGNORED_FLAGS)
		return -FI_EBADFLAGS;
	ret = mr_new(domain, range, access, context, &mr);
	if (ret)
		return ret;
	if (eq) {
		event = ready_event(mr);
		if (!event) {
			dev_mr_close(mr->dev);
			free(mr);
			return -FI_ENOMEM;
		}
	}
	atomic_fetch_add(&domain->refs, 1);
	*out = &mr->fid;
	if (event)
		efa_eq_tell(eq, event);
	return 0;
}

/*
 * Keys are the provider's and addresses are virtual ones: offset and
 * requested_key have nothing to say.
 */
static int mr_reg(struct fid *fid, const void *buf, size_t len, uint64_t access,
		  uint64_t offset, uint64_t requested_key, uint64_t flags,
		  struct fid_mr **mr, void *context)
{
	const struct iovec range = { (void *)(uintptr_t)buf, len };

	return mr_open(fid, &range, access, flags, context, mr);
}

static int mr_regv(struct fid *fid, const struct iovec *iov, size_t count,
		   uint64_t access, uint64_t offset, uint64_t requested_key,
		   uint64_t flags, struct fid_mr **mr, void *context)
{
	if (count != 1)
		return -FI_EINVAL;
	return mr_open(fid, iov, access, flags, context, mr);
}

static int mr_regattr(struct fid *fid, const struct fi_mr_attr *attr,
		      uint64_t flags, struct fid_mr **mr)
{
	struct efa_domain *domain =
		u_container_of(fid, struct efa_domain, fid.fid);
	uint32_t version = domain->fabric->fid.api_version;

	/* With it mr_iov is no list of ranges. */
	if (flags & EFA_MR_DMABUF)
		return -FI_EOPNOTSUPP;
	/* Programs of older interfaces have no iface at the end. */
	if (FI_VERSION_GE(version, FI_VERSION(1, 10)) &&
	    attr->iface != FI_HMEM_SYSTEM)
		return -FI_EOPNOTSUPP;
	if (attr->iov_count != 1)
		return -FI_EINVAL;
	return mr_open(fid, attr->mr_iov, attr->access, flags, attr->context,
		       mr);
}

struct fi_ops_mr efa_mr_ops = {
	.size = sizeof(struct fi_ops_mr),
	.reg = mr_reg,
	.regv = mr_regv,
	.regattr = mr_regattr,
};
