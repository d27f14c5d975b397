/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_verbs.c - which ports of RDMA NICs can be a NIC of ours
 */
#include "nic/nic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nic_priv.h"
#include "wire/wire_ud.h"

/* The first port bears the name of its device. */
static void port_info(const struct wire_ud_info *port, struct nic_info *info)
{
	*info = (struct nic_info){
		.wire = NIC_WIRE_UD,
		.port = port->port,
		.link_mtu = port->mtu,
		.speed = port->speed,
		.up = true,
		.infiniband = port->infiniband,
		.vendor = port->vendor,
		.part = port->part,
		.revision = port->revision,
	};
	memcpy(info->gid, port->gid, sizeof(info->gid));
	memcpy(info->firmware, port->firmware, sizeof(info->firmware));
	snprintf(info->verbs, sizeof(info->verbs), "%s", port->device);
	snprintf(info->ifname, sizeof(info->ifname), "%s", port->ifname);
	if (port->port == 1)
		snprintf(info->name, sizeof(info->name), "%.56s", port->device);
	else
		snprintf(info->name, sizeof(info->name), "%.56s.%u",
			 port->device, port->port);
}

static bool is_named(const char *name, const char *word, size_t len)
{
	return *name && strlen(name) == len && !memcmp(name, word, len);
}

/* By the device, the port or the interface. */
static bool is_wanted(const struct nic_info *info, const char *filter)
{
	const char *at = filter;

	if (!filter || !*filter || !strcmp(filter, "all"))
		return true;
	while (*at) {
		size_t len = strcspn(at, ", ");

		if (is_named(info->name, at, len) ||
		    is_named(info->verbs, at, len) ||
		    is_named(info->ifname, at, len))
			return true;
		at += len;
		at += strspn(at, ", ");
	}
	return false;
}

/* The fastest first; those of one speed stay in their order. */
static void sort(struct nic_info *info, int n)
{
	for (int i = 1; i < n; i++) {
		struct nic_info one = info[i];
		int k = i;

		for (; k > 0 && info[k - 1].speed < one.speed; k--)
			info[k] = info[k - 1];
		info[k] = one;
	}
}

int nic_list_verbs(const char *filter, struct nic_info **list)
{
	struct wire_ud_info *port;
	int all = wire_ud_list(&port);
	struct nic_info *info;
	int n = 0;

	if (all < 0)
		return all;
	info = calloc((size_t)all + 1, sizeof(*info));
	for (int i = 0; info && i < all; i++) {
		port_info(&port[i], &info[n]);
		n += is_wanted(&info[n], filter);
	}
	free(port);
	if (!info)
		return -ENOMEM;
	sort(info, n);
	*list = info;
	return n;
}

/* Those of RoCE are IP addresses: of this host if it has them, although it may
 * see ports whose addresses another network namespace has. */
void nic_verbs_gids(struct nic *nic)
{
	struct wire_ud_info *port;
	int n = wire_ud_list(&port);

	if (n <= 0)
		return;
	nic->ports = calloc((size_t)n, sizeof(*nic->ports));
	for (int i = 0; nic->ports && i < n; i++)
		if (port[i].infiniband)
			memcpy(nic->ports[nic->nports++], port[i].gid, 16);
	free(port);
}
