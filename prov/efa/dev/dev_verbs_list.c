/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_list.c - which EFA devices there are, and what each of them can
 *
 * What makes a device an EFA is that libefa answers for it: names mean
 * nothing. A machine without RDMA devices costs one failing open() and no log
 * line.
 */
#include "dev_verbs_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev_verbs_sysfs.h"
#include "util/u_log.h"

/* Below this registering costs more than copying does. */
#define READ_MIN (1u << 20)
#define TX_DEPTH_MAX 4096
#define RX_DEPTH_MAX 8192

/* ---- the filter ---------------------------------------------------------- */

/* Whether name is one of the comma-separated names of filter. */
static bool is_wanted(const char *filter, const char *name)
{
	size_t len = strlen(name);
	const char *at = filter;

	if (!filter || !*filter || !strcmp(filter, "all"))
		return true;
	while (*at) {
		size_t n = strcspn(at, ",");

		if (n == len && !memcmp(at, name, n))
			return true;
		at += n + (at[n] == ',');
	}
	return false;
}

/* ---- one device ---------------------------------------------------------- */

/* Bits a second; 0 where the port says something odd. */
static uint64_t port_speed(const struct ibv_port_attr *port)
{
	static const struct {
		uint8_t code;
		uint32_t mbits;
	} lanes[] = {
		{ 1, 2500 },   { 2, 5000 },   { 4, 10000 },  { 8, 10000 },
		{ 16, 14063 }, { 32, 25781 }, { 64, 50000 }, { 128, 100000 },
	};
	uint64_t width = port->active_width == 1  ? 1 :
			 port->active_width == 2  ? 4 :
			 port->active_width == 4  ? 8 :
			 port->active_width == 8  ? 12 :
			 port->active_width == 16 ? 2 :
						    0;

	for (size_t i = 0; i < u_array_size(lanes); i++)
		if (lanes[i].code == port->active_speed)
			return width * lanes[i].mbits * 1000000;
	return 0;
}

static uint32_t port_caps(const struct efadv_device_attr *efa)
{
	struct verbs_extra extra;
	uint32_t caps = 0;

	if (efa->device_caps & VERBS_CAP_READ)
		caps |= DEV_CAP_READ;
	if (efa->device_caps & VERBS_CAP_WRITE)
		caps |= DEV_CAP_WRITE;
	if (efa->device_caps & VERBS_CAP_RNR_RETRY)
		caps |= DEV_CAP_RNR_RETRY;
	verbs_lib_extra(efa, &extra);
	if (extra.unsolicited)
		caps |= DEV_CAP_UNSOLICITED;
	return caps;
}

/* A count that the device may give as int or as nothing sensible. */
static uint32_t count_of(int value)
{
	return value > 0 ? (uint32_t)value : 1;
}

static void fill_card(const struct ibv_device *dev,
		      const struct ibv_device_attr *attr, struct dev_card *card)
{
	card->vendor = attr->vendor_id;
	card->part = attr->vendor_part_id;
	card->revision = attr->hw_ver;
	memcpy(card->firmware, attr->fw_ver,
	       u_min(sizeof(card->firmware), sizeof(attr->fw_ver)));
	card->firmware[sizeof(card->firmware) - 1] = '\0';
	strcpy(card->driver, "efa");
	verbs_sysfs_read(dev->ibdev_path, card);
}

static int query(struct ibv_context *ctx, struct efadv_device_attr *efa,
		 struct dev_info *info)
{
	struct ibv_device_attr attr;
	struct ibv_port_attr port;
	union ibv_gid gid;
	int rc = ibv_query_device(ctx, &attr);

	if (!rc)
		rc = ibv_query_port(ctx, VERBS_PORT, &port);
	if (!rc)
		rc = ibv_query_gid(ctx, VERBS_PORT, 0, &gid);
	if (rc)
		return rc > 0 ? -rc : rc;
	*info = (struct dev_info){
		.kind = DEV_KIND_VERBS,
		.caps = port_caps(efa),
		.mtu = port.max_msg_sz,
		.ud_mtu = port.max_msg_sz,
		.max_rdma = efa->max_rdma_size,
		.read_min = READ_MIN,
		.tx_depth = (uint32_t)u_min(efa->max_sq_wr, TX_DEPTH_MAX),
		.rx_depth = (uint32_t)u_min(efa->max_rq_wr, RX_DEPTH_MAX),
		.max_qp = count_of(attr.max_qp),
		.max_cq = count_of(attr.max_cq),
		.max_mr = count_of(attr.max_mr),
		.max_ah = count_of(attr.max_ah),
		.key_bytes = 4,
		.version = attr.vendor_part_id,
		.speed = port_speed(&port),
		.link_mtu = port.max_msg_sz,
		.up = port.state == IBV_PORT_ACTIVE,
	};
	memcpy(info->gid, gid.raw, sizeof(info->gid));
	strncpy(info->name, ibv_get_device_name(ctx->device),
		sizeof(info->name) - 1);
	inet_ntop(AF_INET6, gid.raw, info->link_addr, sizeof(info->link_addr));
	fill_card(ctx->device, &attr, &info->card);
	return 0;
}

/* A device that answers nonsense would be found out much later. */
static bool is_sane(const struct dev_info *info)
{
	if (info->mtu >= 1024 && info->mtu <= UINT16_MAX &&
	    info->tx_depth >= VERBS_DEPTH_MIN &&
	    info->rx_depth >= VERBS_DEPTH_MIN)
		return true;
	u_warn("%s is left out: messages of %u bytes, queues of %u and %u are "
	       "not what an EFA has",
	       info->name, info->mtu, info->tx_depth, info->rx_depth);
	return false;
}

int verbs_query(struct ibv_context *ctx, struct efadv_device_attr *efa,
		struct dev_info *info)
{
	int rc;

	memset(efa, 0, sizeof(*efa));
	if (efadv_query_device(ctx, efa, sizeof(*efa)))
		return -ENODEV;
	rc = query(ctx, efa, info);
	if (rc) {
		u_warn("%s is left out: it does not tell what it is: %s",
		       ibv_get_device_name(ctx->device), strerror(-rc));
		return rc;
	}
	return is_sane(info) ? 0 : -ENODEV;
}

/* ---- all devices --------------------------------------------------------- */

static bool look_at(struct ibv_device *device, struct dev_info *info)
{
	struct efadv_device_attr efa;
	struct ibv_context *ctx = ibv_open_device(device);
	int rc;

	if (!ctx) {
		u_info("%s cannot be opened: %s", ibv_get_device_name(device),
		       strerror(errno));
		return false;
	}
	rc = verbs_query(ctx, &efa, info);
	ibv_close_device(ctx);
	return rc == 0;
}

int dev_verbs_list(const struct dev_config *config, struct dev_info **list)
{
	struct ibv_device **devices;
	struct dev_info *infos;
	int count = 0, n = 0;

	*list = NULL;
	devices = ibv_get_device_list(&count);
	if (!devices)
		return 0;
	infos = calloc((size_t)count + 1, sizeof(*infos));
	for (int i = 0; infos && i < count; i++)
		if (is_wanted(config->iface, ibv_get_device_name(devices[i])) &&
		    look_at(devices[i], &infos[n]))
			n++;
	ibv_free_device_list(devices);
	if (!infos)
		return -ENOMEM;
	if (n)
		*list = infos;
	else
		free(infos);
	return n;
}
