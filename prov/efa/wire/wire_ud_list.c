/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_list.c - which RDMA devices there are, and by which address
 *
 * A device counts when it speaks InfiniBand's transport over Ethernet or
 * InfiniBand; an EFA has a transport of its own and is none of these. A port
 * counts when it is active and has an address: over Ethernet one of RoCE
 * version 2 whose interface is up, IPv4 before global IPv6 before link-local;
 * over InfiniBand a LID.
 */
#include "wire/wire_ud_priv.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/u_log.h"

/* Where the kernel lists RDMA devices; tests have another. */
#define SYSFS_ENV "SYSFS_PATH"
#define SYSFS "/sys"

/* Of all ports that are in use: no call takes room for more. */
#define GIDS 2000

/*
 * Where there is no device, libibverbs is not even asked: it would read the
 * configurations of all its drivers, and complain about limits.
 */
static bool any_device(void)
{
	const char *root = getenv(SYSFS_ENV);
	char path[256];
	struct dirent *e;
	bool any = false;
	DIR *d;

	snprintf(path, sizeof(path), "%s/class/infiniband",
		 root ? root : SYSFS);
	d = opendir(path);
	while (d && !any && (e = readdir(d)))
		any = e->d_name[0] != '.';
	if (d)
		closedir(d);
	return any;
}

/* --- ports --- */

static uint64_t port_speed(const struct ibv_port_attr *attr)
{
	static const struct {
		uint8_t code;
		uint32_t mbits; /* of a lane */
	} speeds[] = { { 1, 2500 },   { 2, 5000 },    { 4, 10000 },
		       { 8, 10000 },  { 16, 14000 },  { 32, 25000 },
		       { 64, 50000 }, { 128, 100000 } };
	static const struct {
		uint8_t code, lanes;
	} widths[] = { { 1, 1 }, { 2, 4 }, { 4, 8 }, { 8, 12 }, { 16, 2 } };
	uint64_t mbits = 0, lanes = 0;

	for (size_t i = 0; i < u_array_size(speeds); i++)
		if (speeds[i].code == attr->active_speed)
			mbits = speeds[i].mbits;
	for (size_t i = 0; i < u_array_size(widths); i++)
		if (widths[i].code == attr->active_width)
			lanes = widths[i].lanes;
	return mbits * lanes * 1000000;
}

static bool interface_is_up(const char ifname[IF_NAMESIZE])
{
	struct ifreq r = { .ifr_flags = 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up;

	if (fd < 0)
		return true;
	memcpy(r.ifr_name, ifname, sizeof(r.ifr_name));
	up = !ioctl(fd, SIOCGIFFLAGS, &r) && r.ifr_flags & IFF_UP &&
	     r.ifr_flags & IFF_RUNNING;
	close(fd);
	return up;
}

/* 0: not to be used. An interface of another namespace has no name here. */
static int gid_rank(const struct ibv_gid_entry *e, char ifname[IF_NAMESIZE])
{
	struct in6_addr a;

	if (e->gid_type != IBV_GID_TYPE_ROCE_V2)
		return 0;
	if (!if_indextoname(e->ndev_ifindex, ifname))
		ifname[0] = '\0';
	else if (!interface_is_up(ifname))
		return 0;
	memcpy(&a, e->gid.raw, sizeof(a));
	if (IN6_IS_ADDR_UNSPECIFIED(&a) || IN6_IS_ADDR_MULTICAST(&a))
		return 0;
	if (wire_gid_is_v4(e->gid.raw))
		return 3;
	return IN6_IS_ADDR_LINKLOCAL(&a) ? 1 : 2;
}

static int choose_gid(const struct ibv_gid_entry *entry, ssize_t n,
		      const uint8_t *gid, struct wire_ud_info *info,
		      uint32_t *gid_index)
{
	char ifname[IF_NAMESIZE] = "";
	int best = 0, rank;

	for (ssize_t i = 0; i < n; i++) {
		if (entry[i].port_num != info->port)
			continue;
		if (gid && memcmp(gid, entry[i].gid.raw, 16))
			continue;
		rank = gid_rank(&entry[i], ifname);
		if (rank <= best)
			continue;
		best = rank;
		memcpy(info->gid, entry[i].gid.raw, sizeof(info->gid));
		memcpy(info->ifname, ifname, sizeof(info->ifname));
		*gid_index = entry[i].gid_index;
	}
	return best ? 0 : -ENODEV;
}

static int ethernet_gid(struct ibv_context *ctx, const uint8_t *gid,
			struct wire_ud_info *info, uint32_t *gid_index)
{
	struct ibv_gid_entry *entry = calloc(GIDS, sizeof(*entry));
	ssize_t n;
	int rc;

	if (!entry)
		return -ENOMEM;
	n = ibv_query_gid_table(ctx, entry, GIDS, 0);
	rc = n < 0 ? (int)n : choose_gid(entry, n, gid, info, gid_index);
	free(entry);
	return rc;
}

static int infiniband_gid(struct ibv_context *ctx,
			  const struct ibv_port_attr *attr, const uint8_t *gid,
			  struct wire_ud_info *info, uint32_t *gid_index)
{
	union ibv_gid own;

	if (!attr->lid)
		return -ENODEV;
	if (ibv_query_gid(ctx, info->port, 0, &own))
		return -EIO;
	wire_ud_gid_make(attr->lid, own.raw + 8, info->gid);
	*gid_index = 0;
	return gid && memcmp(gid, info->gid, 16) ? -ENODEV : 0;
}

int wire_ud_port(struct ibv_context *ctx, uint8_t port, const uint8_t *gid,
		 struct wire_ud_info *info, uint32_t *gid_index)
{
	struct ibv_port_attr attr;

	if (ibv_query_port(ctx, port, &attr))
		return -EIO;
	*info = (struct wire_ud_info){
		.port = port,
		.infiniband = attr.link_layer != IBV_LINK_LAYER_ETHERNET,
		.mtu = 128u << attr.active_mtu,
		.speed = port_speed(&attr),
	};
	snprintf(info->device, sizeof(info->device), "%s",
		 ibv_get_device_name(ctx->device));
	if (attr.link_layer != IBV_LINK_LAYER_ETHERNET &&
	    attr.link_layer != IBV_LINK_LAYER_INFINIBAND)
		return -ENODEV;
	if (attr.state != IBV_PORT_ACTIVE)
		return -ENETDOWN;
	return info->infiniband ?
		       infiniband_gid(ctx, &attr, gid, info, gid_index) :
		       ethernet_gid(ctx, gid, info, gid_index);
}

/* --- devices --- */

static bool may_be_ours(const struct ibv_device *device)
{
	return device->transport_type == IBV_TRANSPORT_IB;
}

struct found {
	struct wire_ud_info *info; /* [n] */
	size_t n;
};

static int found_add(struct found *f, const struct wire_ud_info *info)
{
	struct wire_ud_info *grown =
		realloc(f->info, (f->n + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	f->info = grown;
	f->info[f->n++] = *info;
	return 0;
}

static void tell_port(const char *device, uint8_t port, int rc,
		      const struct wire_ud_info *info)
{
	if (rc)
		u_info("%s, port %u: not used: %s", device, port,
		       rc == -ENETDOWN ? "it is not active" :
		       rc == -ENODEV   ? "no address whose interface is up" :
					 strerror(-rc));
	else if (info->mtu < WIRE_UD_MTU_MIN)
		u_info("%s, port %u: not used: its MTU of %u bytes is below "
		       "%u: raise that of the interface",
		       device, port, info->mtu, WIRE_UD_MTU_MIN);
}

static void fill_card(const struct ibv_device_attr *attr,
		      struct wire_ud_info *info)
{
	info->vendor = attr->vendor_id;
	info->part = attr->vendor_part_id;
	info->revision = attr->hw_ver;
	snprintf(info->firmware, sizeof(info->firmware), "%.63s", attr->fw_ver);
}

static int list_device(struct ibv_device *device, struct found *f)
{
	const char *name = ibv_get_device_name(device);
	struct ibv_device_attr attr;
	struct ibv_context *ctx;
	struct wire_ud_info info;
	uint32_t index;
	int rc = 0, err;

	ctx = ibv_open_device(device);
	if (!ctx) {
		u_info("%s: not used: cannot be opened: %s", name,
		       strerror(errno));
		return 0;
	}
	if (ibv_query_device(ctx, &attr))
		attr.phys_port_cnt = 0;
	for (uint8_t port = 1; port <= attr.phys_port_cnt && !rc; port++) {
		err = wire_ud_port(ctx, port, NULL, &info, &index);
		fill_card(&attr, &info);
		tell_port(name, port, err, &info);
		if (!err && info.mtu >= WIRE_UD_MTU_MIN)
			rc = found_add(f, &info);
	}
	ibv_close_device(ctx);
	return rc;
}

int wire_ud_list(struct wire_ud_info **list)
{
	struct ibv_device **device = NULL;
	struct found f = { 0 };
	int n = 0, rc = 0;

	if (any_device())
		device = ibv_get_device_list(&n);
	for (int i = 0; device && i < n && !rc; i++)
		if (may_be_ours(device[i]))
			rc = list_device(device[i], &f);
	if (device)
		ibv_free_device_list(device);
	if (rc) {
		free(f.info);
		return rc;
	}
	*list = f.info;
	return (int)f.n;
}

int wire_ud_device_open(const char *name, struct ibv_context **out)
{
	struct ibv_device **device;
	int n, rc = -ENODEV;

	device = ibv_get_device_list(&n);
	for (int i = 0; device && i < n; i++) {
		if (!may_be_ours(device[i]) ||
		    strcmp(name, ibv_get_device_name(device[i])))
			continue;
		*out = ibv_open_device(device[i]);
		rc = *out ? 0 : -errno;
	}
	if (device)
		ibv_free_device_list(device);
	if (rc)
		u_warn("RDMA device %s cannot be opened: %s%s", name,
		       strerror(-rc),
		       rc == -EACCES ? ": the user needs access to "
				       "/dev/infiniband/uverbs*" :
				       "");
	return rc;
}
