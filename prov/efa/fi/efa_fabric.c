/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_fabric.c - the fabric: what domains and event queues hang on
 */
#include "fi/efa_eq.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rdma/fi_ext_efa.h>

/*
 * A child of a fork has memory of its own, but shares rings, sockets and epolls
 * with its parent, locks may be held by threads that it has not, and peers
 * cannot tell the two apart: what it closes it leaves alone.
 */
bool efa_is_child(pid_t opener)
{
	return opener != getpid();
}

static int fabric_close(struct fid *fid)
{
	struct efa_fabric *fabric =
		u_container_of(fid, struct efa_fabric, fid.fid);

	if (efa_is_child(fabric->pid))
		return 0;
	if (atomic_load(&fabric->refs))
		return -FI_EBUSY;
	free(fabric);
	return 0;
}

static int fabric_passive_ep(struct fid_fabric *fabric, struct fi_info *info,
			     struct fid_pep **pep, void *context)
{
	return -FI_ENOSYS;
}

static int fabric_wait_open(struct fid_fabric *fabric,
			    struct fi_wait_attr *attr, struct fid_wait **wait)
{
	return -FI_ENOSYS;
}

static int trywait_one(struct fid *fid)
{
	switch (fid->fclass) {
	case FI_CLASS_CQ:
		return efa_cq_trywait(
			u_container_of(fid, struct efa_cq, fid.fid));
	case FI_CLASS_CNTR:
		return efa_cntr_trywait(
			u_container_of(fid, struct efa_cntr, fid.fid));
	case FI_CLASS_EQ:
		return efa_eq_trywait(fid);
	default:
		return -FI_EINVAL;
	}
}

static int fabric_trywait(struct fid_fabric *fabric, struct fid **fids,
			  int count)
{
	int ret;

	for (int i = 0; i < count; i++) {
		ret = trywait_one(fids[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static int fabric_domain2(struct fid_fabric *fabric, struct fi_info *info,
			  struct fid_domain **domain, uint64_t flags,
			  void *context)
{
	if (flags)
		return -FI_EOPNOTSUPP;
	return efa_domain_open(fabric, info, domain, context);
}

/*
 * Of efa-direct: a list of two pieces may lie in memory of two kinds. Here all
 * of it is the host's, so none is taken for another.
 */
static bool direct_has(const char *feature)
{
	return strcmp(feature, "mixed_hmem_iov") == 0;
}

static bool has_none(const char *feature)
{
	return false;
}

static struct fi_efa_feature_ops direct_features = { .query = direct_has };
static struct fi_efa_feature_ops no_features = { .query = has_none };

static int fabric_ops_open(struct fid *fid, const char *name, uint64_t flags,
			   void **ops, void *context)
{
	const struct efa_fabric *fabric =
		u_container_of(fid, struct efa_fabric, fid.fid);

	if (strcmp(name, FI_EFA_FEATURE_OPS) != 0)
		return -FI_EINVAL;
	*ops = fabric->direct ? &direct_features : &no_features;
	return 0;
}

static struct fi_ops fabric_fi_ops = {
	.size = sizeof(struct fi_ops),
	.close = fabric_close,
	.bind = efa_nosys_bind,
	.control = efa_nosys_control,
	.ops_open = fabric_ops_open,
	.tostr = efa_nosys_tostr,
	.ops_set = efa_nosys_ops_set,
};

static struct fi_ops_fabric fabric_ops = {
	.size = sizeof(struct fi_ops_fabric),
	.domain = efa_domain_open,
	.passive_ep = fabric_passive_ep,
	.eq_open = efa_eq_open,
	.wait_open = fabric_wait_open,
	.trywait = fabric_trywait,
	.domain2 = fabric_domain2,
};

int efa_fabric_open(struct fi_fabric_attr *attr, struct fid_fabric **out,
		    void *context)
{
	struct efa_fabric *fabric;
	int direct = attr->name ? efa_info_is_direct(attr->name) : 0;

	if (direct < 0)
		return -FI_ENODATA;
	fabric = calloc(1, sizeof(*fabric));
	if (!fabric)
		return -FI_ENOMEM;
	fabric->direct = direct;
	fabric->pid = getpid();
	fabric->fid.fid.fclass = FI_CLASS_FABRIC;
	fabric->fid.fid.context = context;
	fabric->fid.fid.ops = &fabric_fi_ops;
	fabric->fid.ops = &fabric_ops;
	/* libfabric writes it again, but only when this has returned. */
	fabric->fid.api_version = attr->api_version;
	*out = &fabric->fid;
	return 0;
}
