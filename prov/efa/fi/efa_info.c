/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_info.c - fi_getinfo: what there is, for whom to talk to
 *
 * For every device one info of reliable datagrams and one of datagrams, in
 * that order: first all devices of the one kind, then all of the other. Here
 * are devices, names and addresses; efa_attr.c compares the rest with what the
 * caller hints.
 */
#include "fi/efa.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fi/efa_settings.h"

#define RDM_SUFFIX "-rdm"
#define DGRAM_SUFFIX "-dgrm"

/* Found at the first call; asked for again by FI_RESCAN. */
static struct {
	pthread_mutex_t lock;
	struct dev_info *list; /* [n]; NULL: not looked yet */
	int n;
} devices = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* devices.lock is held. The number of devices; 0 also on errors. */
static int devices_get(void)
{
	struct dev_config config;
	int n;

	if (devices.list)
		return devices.n;
	efa_settings_dev_config(&config);
	n = dev_list(&config, &devices.list);
	if (n <= 0) {
		efa_info(FABRIC, "no device: %s\n",
			 n ? fi_strerror(-n) : "none was found");
		devices.list = NULL;
		return 0;
	}
	devices.n = n;
	return n;
}

static void devices_forget(void)
{
	free(devices.list);
	devices.list = NULL;
	devices.n = 0;
}

void efa_info_free(void)
{
	pthread_mutex_lock(&devices.lock);
	devices_forget();
	pthread_mutex_unlock(&devices.lock);
}

/* A copy of the list, so that no lock is held while infos are made. */
static int devices_copy(uint64_t flags, struct dev_info **list)
{
	size_t bytes;
	int n;

	pthread_mutex_lock(&devices.lock);
	if (flags & EFA_RESCAN)
		devices_forget();
	n = devices_get();
	bytes = (size_t)n * sizeof(**list);
	*list = n ? malloc(bytes) : NULL;
	if (*list)
		memcpy(*list, devices.list, bytes);
	pthread_mutex_unlock(&devices.lock);
	return *list ? n : n ? -FI_ENOMEM : 0;
}

/* name is that of the device and suffix, and nothing more. */
static bool is_domain_of(const char *name, const struct dev_info *dev,
			 const char *suffix)
{
	size_t len = strlen(dev->name);

	return strncmp(name, dev->name, len) == 0 &&
	       strcmp(name + len, suffix) == 0;
}

int efa_info_find(const char *domain_name, struct dev_info *dev, bool *rdm)
{
	struct dev_info *list;
	int n = devices_copy(0, &list);
	int ret = -FI_ENODATA;

	if (n < 0)
		return n;
	for (int i = 0; i < n && ret; i++) {
		if (is_domain_of(domain_name, &list[i], RDM_SUFFIX))
			*rdm = true;
		else if (is_domain_of(domain_name, &list[i], DGRAM_SUFFIX))
			*rdm = false;
		else
			continue;
		*dev = list[i];
		ret = 0;
	}
	free(list);
	return ret;
}

/* ---- what a device can, before any hint ---------------------------------- */

#define RDM_CAPS                                                     \
	(FI_MSG | FI_TAGGED | FI_SEND | FI_RECV | FI_DIRECTED_RECV | \
	 FI_MULTI_RECV | FI_SOURCE | FI_SOURCE_ERR | FI_LOCAL_COMM | \
	 FI_REMOTE_COMM)
#define ATOMIC_CAPS \
	(FI_ATOMIC | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE)
/* Kept by numbers in the packets, whatever the order they come in. */
#define RDM_ORDER                                                   \
	(FI_ORDER_SAS | FI_ORDER_ATOMIC_RAR | FI_ORDER_ATOMIC_RAW | \
	 FI_ORDER_ATOMIC_WAR | FI_ORDER_ATOMIC_WAW)
#define DGRAM_CAPS                                                \
	(FI_MSG | FI_SEND | FI_RECV | FI_SOURCE | FI_LOCAL_COMM | \
	 FI_REMOTE_COMM)

/* Alternating bits: the whole tag may be matched by fields of any size. */
#define TAG_FORMAT UINT64_C(0xaaaaaaaaaaaaaaaa)

static size_t size_or(uint64_t setting, size_t of_device)
{
	return setting ? (size_t)setting : of_device;
}

static void fill_domain(struct fi_domain_attr *attr, const struct dev_info *dev,
			bool rdm)
{
	attr->threading = rdm ? FI_THREAD_SAFE : FI_THREAD_DOMAIN;
	attr->control_progress = FI_PROGRESS_MANUAL;
	attr->data_progress = FI_PROGRESS_MANUAL;
	attr->resource_mgmt = rdm ? FI_RM_ENABLED : FI_RM_DISABLED;
	attr->av_type = FI_AV_TABLE;
	attr->mr_mode = rdm ? FI_MR_VIRT_ADDR | FI_MR_ALLOCATED |
					FI_MR_PROV_KEY :
			      FI_MR_LOCAL;
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
	info->caps = RDM_CAPS | ATOMIC_CAPS | FI_RMA | FI_RMA_EVENT;
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

static void fill_dgram(struct fi_info *info, const struct dev_info *dev)
{
	info->caps = DGRAM_CAPS;
	if (dev->caps & DEV_CAP_QKEY)
		info->caps |= FI_SOURCE_ERR;
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

static bool fill_names(struct fi_info *info, const struct dev_info *dev,
		       bool rdm)
{
	struct dev_addr addr = { .qpn = 0 };

	info->addr_format = FI_ADDR_EFA;
	info->src_addr = malloc(EFA_ADDR_LEN);
	info->src_addrlen = EFA_ADDR_LEN;
	info->fabric_attr->name = strdup(EFA_FABRIC_NAME);
	if (asprintf(&info->domain_attr->name, "%s%s", dev->name,
		     rdm ? RDM_SUFFIX : DGRAM_SUFFIX) < 0)
		info->domain_attr->name = NULL;
	info->nic = efa_nic_new(dev);
	if (!info->src_addr || !info->fabric_attr->name ||
	    !info->domain_attr->name || !info->nic)
		return false;
	memcpy(addr.gid, dev->gid, sizeof(addr.gid));
	efa_addr_pack(&addr, info->src_addr);
	return true;
}

/* prov_name, prov_version and api_version are libfabric's to fill. */
static struct fi_info *info_new(const struct dev_info *dev, bool rdm)
{
	struct fi_info *info = fi_allocinfo();

	if (!info)
		return NULL;
	info->ep_attr->protocol = FI_PROTO_EFA;
	info->ep_attr->tx_ctx_cnt = 1;
	info->ep_attr->rx_ctx_cnt = 1;
	info->tx_attr->size = size_or(efa_settings.tx_size, dev->tx_depth);
	info->rx_attr->size = size_or(efa_settings.rx_size, dev->rx_depth);
	fill_domain(info->domain_attr, dev, rdm);
	if (rdm)
		fill_rdm(info, dev);
	else
		fill_dgram(info, dev);
	if (!fill_names(info, dev, rdm)) {
		fi_freeinfo(info);
		return NULL;
	}
	return info;
}

/* ---- whom to talk to ----------------------------------------------------- */

/* Addresses that the caller gave; pointers are NULL where none was. */
struct wanted {
	const void *src; /* EFA_ADDR_LEN bytes */
	const uint8_t *src_gid; /* 16 bytes */
	const void *dest; /* EFA_ADDR_LEN bytes */
	uint8_t bytes[EFA_ADDR_LEN]; /* of node and service */
};

/* A service is a queue pair number; what follows the digits is ignored. */
static int resolve(const char *node, const char *service, uint8_t *bytes)
{
	struct dev_addr addr = { .qpn = 0 };
	int ret;

	ret = efa_addr_parse_gid(node, addr.gid);
	if (ret)
		return ret;
	if (service)
		addr.qpn = (uint32_t)strtoul(service, NULL, 10);
	efa_addr_pack(&addr, bytes);
	return 0;
}

static int wanted_init(struct wanted *want, const char *node,
		       const char *service, uint64_t flags,
		       const struct fi_info *hints)
{
	bool source = flags & FI_SOURCE;

	*want = (struct wanted){ .src = NULL };
	if (node) {
		if (resolve(node, service, want->bytes))
			return -FI_ENODATA;
		if (source)
			want->src_gid = want->bytes;
		else
			want->dest = want->bytes;
	} else if (service && !source) {
		return -FI_ENODATA;
	}
	if (!hints)
		return 0;
	if (hints->src_addr && !source) {
		if (hints->src_addrlen != EFA_ADDR_LEN)
			return -FI_ENODATA;
		want->src = hints->src_addr;
	}
	if (hints->dest_addr && !want->dest) {
		if (hints->dest_addrlen != EFA_ADDR_LEN)
			return -FI_ENODATA;
		want->dest = hints->dest_addr;
	}
	return 0;
}

/* False: another device was wanted. */
static bool match_src(const struct fi_info *info, const struct wanted *want)
{
	if (want->src && memcmp(info->src_addr, want->src, EFA_ADDR_LEN) != 0)
		return false;
	return !want->src_gid || memcmp(info->src_addr, want->src_gid, 16) == 0;
}

static int set_dest(struct fi_info *info, const struct wanted *want)
{
	if (!want->dest)
		return 0;
	info->dest_addr = malloc(EFA_ADDR_LEN);
	if (!info->dest_addr)
		return -FI_ENOMEM;
	memcpy(info->dest_addr, want->dest, EFA_ADDR_LEN);
	info->dest_addrlen = EFA_ADDR_LEN;
	return 0;
}

/* ---- the call ------------------------------------------------------------ */

struct query {
	uint32_t version;
	const struct fi_info *hints;
	struct wanted want;
};

/* Adds the info of one device and kind behind *tail if it fits. */
static int add(const struct query *query, const struct dev_info *dev, bool rdm,
	       struct fi_info ***tail)
{
	struct fi_info *info = info_new(dev, rdm);

	if (!info)
		return -FI_ENOMEM;
	if (!match_src(info, &query->want) ||
	    !efa_attr_match(info, query->hints, query->version)) {
		fi_freeinfo(info);
		return 0;
	}
	if (set_dest(info, &query->want)) {
		fi_freeinfo(info);
		return -FI_ENOMEM;
	}
	**tail = info;
	*tail = &info->next;
	return 0;
}

int efa_getinfo(uint32_t version, const char *node, const char *service,
		uint64_t flags, const struct fi_info *hints,
		struct fi_info **info)
{
	struct query query = { .version = version, .hints = hints };
	struct fi_info *head = NULL, **tail = &head;
	struct dev_info *list;
	int ret, n;

	ret = wanted_init(&query.want, node, service, flags, hints);
	if (ret)
		return ret;
	n = devices_copy(flags, &list);
	if (n <= 0)
		return n ? n : -FI_ENODATA;
	for (int i = 0; i < 2 * n && !ret; i++)
		ret = add(&query, &list[i % n], i < n, &tail);
	free(list);
	if (!ret && !head)
		ret = -FI_ENODATA;
	if (ret) {
		if (head)
			fi_freeinfo(head);
		return ret;
	}
	*info = head;
	return 0;
}
