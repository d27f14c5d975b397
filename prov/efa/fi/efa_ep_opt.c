/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_ep_opt.c - fi_getopt and fi_setopt: one row an option
 *
 * Programs probe options to find out what a provider can, and take
 * -FI_ENOPROTOOPT for "does not know it" and -FI_EOPNOTSUPP for "cannot do
 * that"; most other errors end them. fi_efa(7) says what each option does.
 */
#include "fi/efa.h"

#include <string.h>

#include <rdma/fi_ext.h>
#include <rdma/fi_ext_efa.h>

#include "fi/efa_settings.h"

struct option {
	int name;
	size_t len; /* bytes of the value */
	bool before_enable; /* set: -FI_EINVAL later */
	bool thick; /* not known to thin endpoints of efa-direct */
	/* val is aligned and has len bytes; NULL where there is no such call. */
	int (*get)(const struct efa_ep *ep, int name, void *val);
	int (*set)(struct efa_ep *ep, int name, const void *val);
};

static bool is_direct(const struct efa_ep *ep)
{
	return ep->domain->kind == EFA_DIRECT;
}

/* ---- buffers of many messages -------------------------------------------- */

static int get_min_multi_recv(const struct efa_ep *ep, int name, void *val)
{
	*(size_t *)val = ep->opt.min_multi_recv;
	return 0;
}

static int set_min_multi_recv(struct efa_ep *ep, int name, const void *val)
{
	ep->opt.min_multi_recv = *(const size_t *)val;
	if (!ep->rdm)
		return 0;
	u_lock(&ep->lock);
	rdm_ep_set_min_multi_recv(ep->rdm, ep->opt.min_multi_recv);
	u_unlock(&ep->lock);
	return 0;
}

/* ---- sizes: promises of the program that are only remembered ------------- */

static int get_max_size(const struct efa_ep *ep, int name, void *val)
{
	*(size_t *)val = ep->opt.max_size[name - FI_OPT_MAX_MSG_SIZE];
	return 0;
}

static int set_max_size(struct efa_ep *ep, int name, const void *val)
{
	int i = name - FI_OPT_MAX_MSG_SIZE;

	if (*(const size_t *)val > ep->opt.max_limit[i])
		return -FI_EINVAL;
	ep->opt.max_size[i] = *(const size_t *)val;
	return 0;
}

static int get_inject_size(const struct efa_ep *ep, int name, void *val)
{
	*(size_t *)val = ep->opt.inject_size[name - FI_OPT_INJECT_MSG_SIZE];
	return 0;
}

static int set_inject_size(struct efa_ep *ep, int name, const void *val)
{
	int i = name - FI_OPT_INJECT_MSG_SIZE;

	if (*(const size_t *)val > ep->opt.inject_limit[i])
		return -FI_EINVAL;
	ep->opt.inject_size[i] = *(const size_t *)val;
	return 0;
}

/* ---- device memory: there is none ---------------------------------------- */

static int get_hmem_p2p(const struct efa_ep *ep, int name, void *val)
{
	*(int *)val = ep->opt.hmem_p2p;
	return 0;
}

static int set_hmem_p2p(struct efa_ep *ep, int name, const void *val)
{
	int p2p = *(const int *)val;

	if (p2p == FI_HMEM_P2P_REQUIRED)
		return -FI_EOPNOTSUPP;
	if (p2p < FI_HMEM_P2P_ENABLED || p2p > FI_HMEM_P2P_DISABLED)
		return -FI_EINVAL;
	ep->opt.hmem_p2p = p2p;
	return 0;
}

/* Success would tell NCCL that it may hand us memory of GPUs. */
static int set_unsupported(struct efa_ep *ep, int name, const void *val)
{
	return -FI_EOPNOTSUPP;
}

/* ---- options of efa ------------------------------------------------------ */

/* Of RDM: of the device, before the message layer waits by itself. */
static size_t default_rnr_retry(const struct efa_ep *ep)
{
	return ep->domain->kind == EFA_RDM ? DEV_RNR_TRIES : DEV_RNR_FOREVER;
}

static int get_rnr_retry(const struct efa_ep *ep, int name, void *val)
{
	*(size_t *)val = ep->opt.rnr_retry;
	return 0;
}

static int set_rnr_retry(struct efa_ep *ep, int name, const void *val)
{
	size_t tries = *(const size_t *)val;

	if (tries > DEV_RNR_FOREVER)
		return -FI_EINVAL;
	if (tries != default_rnr_retry(ep) &&
	    !(ep->domain->dev->info.caps & DEV_CAP_RNR_RETRY))
		return -FI_ENOSYS;
	ep->opt.rnr_retry = tries;
	return 0;
}

/* The target of what a device does by itself would not hear of it. */
bool efa_ep_uses_rdma(const struct efa_ep *ep)
{
	return efa_settings.use_rdma && !ep->opt.no_rdma &&
	       !(ep->caps & FI_RMA_EVENT);
}

static int get_emulated(const struct efa_ep *ep, int name, void *val)
{
	uint32_t caps = efa_ep_uses_rdma(ep) ? ep->domain->dev->info.caps : 0;

	switch (name) {
	case FI_OPT_EFA_EMULATED_READ:
		*(bool *)val = !(caps & DEV_CAP_READ);
		break;
	case FI_OPT_EFA_EMULATED_WRITE:
		*(bool *)val = !(caps & DEV_CAP_WRITE);
		break;
	default:
		*(bool *)val = true;
		break;
	}
	return 0;
}

static int set_use_rdma(struct efa_ep *ep, int name, const void *val)
{
	uint32_t version = ep->domain->fabric->fid.api_version;
	bool use = *(const bool *)val;

	if (FI_VERSION_LT(version, FI_VERSION(1, 18)))
		return -FI_ENOPROTOOPT;
	if (use && !(ep->domain->dev->info.caps & DEV_CAP_READ))
		return -FI_EOPNOTSUPP;
	if (use && !efa_settings.use_rdma)
		return -FI_EINVAL; /* the variable is stronger */
	/* There is nothing that could take its place. */
	if (!use && is_direct(ep) && (ep->caps & FI_RMA))
		return -FI_EOPNOTSUPP;
	ep->opt.no_rdma = !use;
	return 0;
}

static int set_shm(struct efa_ep *ep, int name, const void *val)
{
	bool permitted = *(const bool *)val;

	if (permitted && !efa_settings.use_shm)
		return -FI_EINVAL; /* the variable is stronger */
	ep->opt.no_shm = !permitted;
	return 0;
}

/* Order is not promised; not to need it is fine. */
static int set_in_order(struct efa_ep *ep, int name, const void *val)
{
	return *(const bool *)val ? -FI_EOPNOTSUPP : 0;
}

/* Without it a write with data wants a receive, which the program must know. */
static int set_unsolicited(struct efa_ep *ep, int name, const void *val)
{
	bool use = *(const bool *)val;

	if (!is_direct(ep))
		return 0;
	if (use ? !(ep->domain->dev->info.caps & DEV_CAP_UNSOLICITED) :
		  (ep->caps & FI_RMA) && !(ep->mode & FI_RX_CQ_DATA))
		return -FI_EOPNOTSUPP;
	ep->opt.unsolicited = use;
	return 0;
}

/* A hint that changes nothing. */
static int set_ignored(struct efa_ep *ep, int name, const void *val)
{
	return 0;
}

/* ---- the table ----------------------------------------------------------- */

#define SIZE sizeof(size_t)
#define BOOL sizeof(bool)

static const struct option options[] = {
	{ FI_OPT_MIN_MULTI_RECV, SIZE, false, true, get_min_multi_recv,
	  set_min_multi_recv },
	{ FI_OPT_FI_HMEM_P2P, sizeof(int), false, false, get_hmem_p2p,
	  set_hmem_p2p },
	{ FI_OPT_CUDA_API_PERMITTED, BOOL, false, false, NULL,
	  set_unsupported },
	{ FI_OPT_SHARED_MEMORY_PERMITTED, BOOL, true, false, NULL, set_shm },
	{ FI_OPT_MAX_MSG_SIZE, SIZE, false, false, get_max_size, set_max_size },
	{ FI_OPT_MAX_TAGGED_SIZE, SIZE, false, true, get_max_size,
	  set_max_size },
	{ FI_OPT_MAX_RMA_SIZE, SIZE, false, false, get_max_size, set_max_size },
	{ FI_OPT_MAX_ATOMIC_SIZE, SIZE, false, true, get_max_size,
	  set_max_size },
	{ FI_OPT_INJECT_MSG_SIZE, SIZE, false, false, get_inject_size,
	  set_inject_size },
	{ FI_OPT_INJECT_TAGGED_SIZE, SIZE, false, true, get_inject_size,
	  set_inject_size },
	{ FI_OPT_INJECT_RMA_SIZE, SIZE, false, false, get_inject_size,
	  set_inject_size },
	{ FI_OPT_INJECT_ATOMIC_SIZE, SIZE, false, true, get_inject_size,
	  set_inject_size },
	{ FI_OPT_EFA_RNR_RETRY, SIZE, true, false, get_rnr_retry,
	  set_rnr_retry },
	{ FI_OPT_EFA_EMULATED_READ, BOOL, false, false, get_emulated, NULL },
	{ FI_OPT_EFA_EMULATED_WRITE, BOOL, false, false, get_emulated, NULL },
	{ FI_OPT_EFA_EMULATED_ATOMICS, BOOL, false, true, get_emulated, NULL },
	{ FI_OPT_EFA_USE_DEVICE_RDMA, BOOL, true, false, NULL, set_use_rdma },
	{ FI_OPT_EFA_SENDRECV_IN_ORDER_ALIGNED_128_BYTES, BOOL, false, false,
	  NULL, set_unsupported },
	{ FI_OPT_EFA_WRITE_IN_ORDER_ALIGNED_128_BYTES, BOOL, false, false, NULL,
	  set_in_order },
	{ FI_OPT_EFA_HOMOGENEOUS_PEERS, BOOL, false, false, NULL, set_ignored },
	{ FI_OPT_EFA_USE_UNSOLICITED_WRITE_RECV, BOOL, true, false, NULL,
	  set_unsolicited },
};

/* Of what the endpoint was not opened for they stay 0. */
void efa_ep_opt_init(struct efa_ep *ep, const struct fi_info *info)
{
	struct efa_ep_opt *opt = &ep->opt;
	const struct dev_info *dev = &ep->domain->dev->info;
	const size_t all = info->ep_attr->max_msg_size;
	const struct {
		uint64_t cap;
		size_t max;
	} kinds[] = {
		{ FI_MSG, is_direct(ep) ? u_min(all, dev->mtu) : all },
		{ FI_TAGGED, all },
		{ FI_RMA, all },
		{ FI_ATOMIC, rdm_atomic_max(dev->mtu) },
	};

	for (size_t i = 0; i < u_array_size(kinds); i++) {
		if (!(info->caps & kinds[i].cap))
			continue;
		opt->max_limit[i] = kinds[i].max;
		opt->inject_limit[i] =
			u_min(info->tx_attr->inject_size, kinds[i].max);
	}
	memcpy(opt->max_size, opt->max_limit, sizeof(opt->max_size));
	memcpy(opt->inject_size, opt->inject_limit, sizeof(opt->inject_size));
	opt->min_multi_recv = rdm_inject_max(dev->mtu);
	opt->rnr_retry = default_rnr_retry(ep);
	opt->unsolicited = is_direct(ep) && !(info->mode & FI_RX_CQ_DATA) &&
			   (dev->caps & DEV_CAP_UNSOLICITED);
	opt->hmem_p2p = FI_HMEM_P2P_ENABLED;
	/* Who wants no peers on this host needs nothing that they come by. */
	opt->no_shm = !(info->caps & FI_LOCAL_COMM);
}

static const struct option *find(const struct efa_ep *ep, int level, int name)
{
	if (level != FI_OPT_ENDPOINT)
		return NULL;
	for (size_t i = 0; i < u_array_size(options); i++)
		if (options[i].name == name)
			return options[i].thick && is_direct(ep) ? NULL :
								   &options[i];
	return NULL;
}

static struct efa_ep *ep_of_fid(fid_t fid)
{
	return u_container_of(fid, struct efa_handle, fid.fid)->ep;
}

int efa_ep_getopt(fid_t fid, int level, int name, void *val, size_t *len)
{
	struct efa_ep *ep = ep_of_fid(fid);
	const struct option *option = find(ep, level, name);
	size_t room = *len;

	if (!option || !option->get)
		return -FI_ENOPROTOOPT;
	*len = option->len;
	if (room < option->len)
		return -FI_ETOOSMALL;
	return option->get(ep, name, val);
}

int efa_ep_setopt(fid_t fid, int level, int name, const void *val, size_t len)
{
	struct efa_ep *ep = ep_of_fid(fid);
	const struct option *option = find(ep, level, name);

	if (!option || !option->set)
		return -FI_ENOPROTOOPT;
	if (len != option->len)
		return -FI_EINVAL;
	if (option->before_enable && ep->enabled)
		return -FI_EINVAL;
	return option->set(ep, name, val);
}
