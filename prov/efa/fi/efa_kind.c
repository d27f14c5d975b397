/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_kind.c - what a device can as each kind, before any hint is looked at
 *
 * Of the hints only those matter here that make the device another one.
 */
#include "fi/efa.h"

#include "fi/efa_settings.h"

#define RDM_CAPS                                                     \
	(FI_MSG | FI_TAGGED | FI_SEND | FI_RECV | FI_DIRECTED_RECV | \
	 FI_MULTI_RECV | FI_SOURCE | FI_SOURCE_ERR | FI_LOCAL_COMM | \
	 FI_REMOTE_COMM | FI_FENCE)
#define RMA_CAPS \
	(FI_RMA | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE)
/* Kept by numbers in the packets, whatever the order they come in. */
#define RDM_ORDER                                                   \
	(FI_ORDER_SAS | FI_ORDER_ATOMIC_RAR | FI_ORDER_ATOMIC_RAW | \
	 FI_ORDER_ATOMIC_WAR | FI_ORDER_ATOMIC_WAW)
#define THIN_CAPS                                                 \
	(FI_MSG | FI_SEND | FI_RECV | FI_SOURCE | FI_LOCAL_COMM | \
	 FI_REMOTE_COMM)

#define DIRECT_IOV 2 /* elements that hardware gathers */

/* Alternating bits: the whole tag may be matched by fields of any size. */
#define TAG_FORMAT UINT64_C(0xaaaaaaaaaaaaaaaa)

static size_t size_or(uint64_t setting, size_t of_device)
{
	return setting ? (size_t)setting : of_device;
}

/* Hardware reads and writes registered memory only. */
static const int mr_modes[EFA_KINDS] = {
	[EFA_RDM] = FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY,
	[EFA_DIRECT] = FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY |
		       FI_MR_LOCAL,
	[EFA_DGRAM] = FI_MR_LOCAL,
};

static void fill_domain(struct fi_domain_attr *attr, const struct dev_info *dev,
			enum efa_kind kind)
{
	attr->threading = FI_THREAD_SAFE;
	attr->control_progress = FI_PROGRESS_MANUAL;
	attr->data_progress = FI_PROGRESS_MANUAL;
	attr->resource_mgmt = FI_RM_ENABLED;
	attr->av_type = FI_AV_TABLE;
	attr->mr_mode = mr_modes[kind];
	attr->mr_key_size = dev->key_bytes;
	attr->cq_data_size = sizeof(uint32_t);
	attr->cq_cnt = dev->max_cq;
	attr->ep_cnt = dev->max_qp;
	attr->tx_ctx_cnt = dev->max_qp;
	attr->rx_ctx_cnt = dev->max_qp;
	attr->max_ep_tx_ctx = 1;
	attr->max_ep_rx_ctx = 1;
	attr->cntr_cnt = dev->max_cq;
	attr->mr_iov_limit = 1;
	attr->mr_cnt = dev->max_mr;
	attr->caps = FI_LOCAL_COMM | FI_REMOTE_COMM;
	attr->max_err_data = EFA_ERR_TEXT;
}

static void fill_rdm(struct fi_info *info, const struct dev_info *dev)
{
	/* What the device cannot do goes in packets. */
	info->caps = RDM_CAPS | RMA_CAPS | FI_ATOMIC | FI_RMA_EVENT;
	info->ep_attr->type = FI_EP_RDM;
	info->ep_attr->protocol_version = EFA_PROTOCOL_VERSION;
	info->ep_attr->max_msg_size = SIZE_MAX;
	info->ep_attr->mem_tag_format = TAG_FORMAT;
	info->ep_attr->max_order_raw_size = rdm_atomic_max(dev->mtu);
	info->ep_attr->max_order_war_size = rdm_atomic_max(dev->mtu);
	info->ep_attr->max_order_waw_size = rdm_atomic_max(dev->mtu);
	info->tx_attr->msg_order = RDM_ORDER;
	info->rx_attr->msg_order = RDM_ORDER;
	info->tx_attr->inject_size = rdm_inject_max(dev->mtu);
	info->tx_attr->iov_limit = RDM_IOV_MAX;
	info->tx_attr->rma_iov_limit = 1;
	info->rx_attr->iov_limit = RDM_IOV_MAX;
}

/*
 * The device has to do all of it. Where a write with data cannot do without a
 * receive at its target, only who knows that (FI_RX_CQ_DATA) is offered it.
 */
static bool direct_has_rma(const struct dev_info *dev,
			   const struct fi_info *hints)
{
	const uint32_t both = DEV_CAP_READ | DEV_CAP_WRITE;

	if (!efa_settings.use_rdma || (dev->caps & both) != both)
		return false;
	if (hints && hints->caps && !(hints->caps & RMA_CAPS))
		return false;
	return (dev->caps & DEV_CAP_UNSOLICITED) ||
	       (hints && hints->mode & FI_RX_CQ_DATA);
}

/* The card answers, and tries again for ever. */
bool efa_kind_is_automatic(enum efa_kind kind, const struct dev_info *dev)
{
	return kind == EFA_DIRECT && dev->kind == DEV_KIND_VERBS &&
	       (dev->caps & DEV_CAP_RNR_RETRY);
}

/* A sender can be told by his whole address only. */
static uint64_t thin_caps(const struct dev_info *dev)
{
	return THIN_CAPS | (dev->caps & DEV_CAP_QKEY ? FI_SOURCE_ERR : 0);
}

static void fill_direct(struct fi_info *info, const struct dev_info *dev,
			const struct fi_info *hints)
{
	bool rma = direct_has_rma(dev, hints);

	info->caps = thin_caps(dev) | (rma ? RMA_CAPS : 0);
	info->mode = FI_CONTEXT2;
	info->tx_attr->mode = FI_CONTEXT2;
	if (hints)
		info->mode |= hints->mode & FI_RX_CQ_DATA;
	info->rx_attr->mode = info->mode;
	info->ep_attr->type = FI_EP_RDM;
	info->ep_attr->protocol_version = 1;
	info->ep_attr->max_msg_size = rma ? u_max(dev->mtu, dev->max_rdma) :
					    dev->mtu;
	info->tx_attr->inject_size = EFA_THIN_INJECT;
	info->tx_attr->iov_limit = DIRECT_IOV;
	info->tx_attr->rma_iov_limit = rma;
	info->rx_attr->iov_limit = 1;
	/* No key of a second rail: see efa_domain.c. */
	info->domain_attr->mr_key_size = sizeof(uint32_t);
	if (efa_kind_is_automatic(EFA_DIRECT, dev)) {
		info->domain_attr->control_progress = FI_PROGRESS_AUTO;
		info->domain_attr->data_progress = FI_PROGRESS_AUTO;
	}
}

static void fill_dgram(struct fi_info *info, const struct dev_info *dev)
{
	info->caps = thin_caps(dev);
	info->domain_attr->threading = FI_THREAD_DOMAIN;
	info->domain_attr->resource_mgmt = FI_RM_DISABLED;
	info->mode = FI_MSG_PREFIX;
	info->tx_attr->mode = FI_MSG_PREFIX;
	info->rx_attr->mode = FI_MSG_PREFIX;
	info->ep_attr->type = FI_EP_DGRAM;
	info->ep_attr->protocol_version = 1;
	info->ep_attr->max_msg_size = dev->ud_mtu;
	info->ep_attr->msg_prefix_size = DEV_UD_PREFIX;
	info->tx_attr->inject_size = EFA_THIN_INJECT;
	info->tx_attr->iov_limit = RDM_IOV_MAX;
	info->rx_attr->iov_limit = 1;
}

void efa_kind_fill(enum efa_kind kind, const struct dev_info *dev,
		   const struct fi_info *hints, struct fi_info *info)
{
	info->ep_attr->protocol = FI_PROTO_EFA;
	info->ep_attr->tx_ctx_cnt = 1;
	info->ep_attr->rx_ctx_cnt = 1;
	info->tx_attr->size = size_or(efa_settings.tx_size, dev->tx_depth);
	info->rx_attr->size = size_or(efa_settings.rx_size, dev->rx_depth);
	fill_domain(info->domain_attr, dev, kind);
	switch (kind) {
	case EFA_RDM:
		fill_rdm(info, dev);
		break;
	case EFA_DIRECT:
		fill_direct(info, dev, hints);
		break;
	case EFA_DGRAM:
		fill_dgram(info, dev);
		break;
	case EFA_KINDS:
		break;
	}
}
