/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_iface.c - which network interfaces can be a software NIC
 *
 * An interface counts when it is up and has an address that other hosts can
 * use: an IPv4 address (taken as IPv4-mapped), else a global IPv6 address;
 * loopback counts with its own. What exists comes from getifaddrs, the rest
 * from /sys and /proc; where those are missing the answer is "unknown".
 */

#include "nic/nic.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nic_gid.h"
#include "nic_route.h"
#include "util/u_base.h"
#include "util/u_log.h"

#define DEVICE_PREFIX "soft_"

struct iface_list {
	struct nic_info *info; /* [n], room for max */
	unsigned int *flags; /* IFF_*, of the same index */
	size_t n, max;
};

/* Link-local addresses need a scope that an EFA address cannot carry. */
static bool gid_is_usable(const uint8_t *gid, unsigned int flags)
{
	struct in6_addr a;

	memcpy(&a, gid, sizeof(a));
	if (IN6_IS_ADDR_LOOPBACK(&a))
		return flags & IFF_LOOPBACK;
	return !IN6_IS_ADDR_LINKLOCAL(&a) && !IN6_IS_ADDR_MULTICAST(&a) &&
	       !IN6_IS_ADDR_UNSPECIFIED(&a);
}

/* The entry of an interface, made at first sight; NULL without memory. */
static struct nic_info *iface_of(struct iface_list *l, const char *name,
				 unsigned int flags)
{
	struct nic_info *info;
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!strcmp(l->info[i].ifname, name))
			return &l->info[i];
	if (l->n == l->max) {
		size_t max = l->max ? 2 * l->max : 16;
		struct nic_info *ni = realloc(l->info, max * sizeof(*ni));
		unsigned int *nf;

		if (!ni)
			return NULL;
		l->info = ni;
		nf = realloc(l->flags, max * sizeof(*nf));
		if (!nf)
			return NULL;
		l->flags = nf;
		l->max = max;
	}
	l->flags[l->n] = flags;
	info = &l->info[l->n++];
	memset(info, 0, sizeof(*info));
	snprintf(info->ifname, sizeof(info->ifname), "%s", name);
	snprintf(info->name, sizeof(info->name), DEVICE_PREFIX "%.48s", name);
	info->up = (flags & IFF_UP) && (flags & IFF_RUNNING);
	return info;
}

/* IPv4 wins over IPv6, an earlier address over a later one. */
static void iface_add_addr(struct nic_info *info, const struct ifaddrs *ifa)
{
	const void *sa = ifa->ifa_addr;
	uint8_t gid[16];

	if (ifa->ifa_addr->sa_family == AF_PACKET) {
		const struct sockaddr_ll *ll = sa;

		if (ll->sll_halen == sizeof(info->mac))
			memcpy(info->mac, ll->sll_addr, sizeof(info->mac));
		return;
	}
	if (!nic_gid_from(ifa->ifa_addr, gid) ||
	    !gid_is_usable(gid, ifa->ifa_flags))
		return;
	if (!nic_gid_is_set(info->gid) ||
	    (nic_gid_is_v4(gid) && !nic_gid_is_v4(info->gid)))
		memcpy(info->gid, gid, sizeof(gid));
}

static int64_t sysfs_number(const char *ifname, const char *what)
{
	char path[160];
	long long v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", ifname, what);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%lld", &v) != 1)
		v = -1;
	fclose(f);
	return v;
}

static void iface_add_numbers(struct nic_info *info)
{
	int64_t mtu = sysfs_number(info->ifname, "mtu");
	int64_t mbits = sysfs_number(info->ifname, "speed");

	info->link_mtu = mtu > 0 && mtu <= UINT32_MAX ? (uint32_t)mtu : 1500;
	info->speed = mbits > 0 ? (uint64_t)mbits * 1000000 : 0;
}

/* Every interface, usable or not. */
static int iface_read(struct iface_list *l)
{
	struct ifaddrs *all, *ifa;
	int rc = 0;

	if (getifaddrs(&all)) {
		rc = -errno;
		u_warn("cannot list network interfaces: %s", strerror(-rc));
		return rc;
	}
	for (ifa = all; ifa && !rc; ifa = ifa->ifa_next) {
		struct nic_info *info =
			iface_of(l, ifa->ifa_name, ifa->ifa_flags);

		if (!info)
			rc = -ENOMEM;
		else if (ifa->ifa_addr)
			iface_add_addr(info, ifa);
	}
	freeifaddrs(all);
	for (size_t i = 0; i < l->n; i++)
		iface_add_numbers(&l->info[i]);
	return rc;
}

static bool iface_is_usable(const struct iface_list *l, size_t i)
{
	return (l->flags[i] & IFF_UP) && nic_gid_is_set(l->info[i].gid);
}

static void iface_free(struct iface_list *l)
{
	free(l->info);
	free(l->flags);
}

/* Index of an interface or device name; l->n when there is none. */
static size_t iface_find(const struct iface_list *l, const char *name)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!strcmp(l->info[i].ifname, name) ||
		    !strcmp(l->info[i].name, name))
			break;
	return i;
}

/* The usable interface of the default route, or loopback, or l->n. */
static size_t iface_default(const struct iface_list *l)
{
	char name[NIC_NAME_MAX];
	size_t i;

	for (int v6 = 0; v6 < 2; v6++) {
		if (!nic_route_default(v6, name, sizeof(name)))
			continue;
		i = iface_find(l, name);
		if (i < l->n && iface_is_usable(l, i))
			return i;
	}
	for (i = 0; i < l->n; i++)
		if ((l->flags[i] & IFF_LOOPBACK) && iface_is_usable(l, i))
			break;
	return i;
}

static void iface_warn_unknown(const struct iface_list *l, const char *name)
{
	char names[320] = "";
	size_t at = 0;

	for (size_t i = 0; i < l->n && at < sizeof(names); i++)
		if (iface_is_usable(l, i))
			at += (size_t)snprintf(names + at, sizeof(names) - at,
					       " %s", l->info[i].ifname);
	u_warn("there is no interface \"%s\" that is up and has an address; "
	       "there are:%s",
	       name, at ? names : " none");
}

/* Takes the interfaces that a comma-separated filter names, in its order. */
static int iface_named(const struct iface_list *l, const char *filter,
		       struct nic_info *out)
{
	const char *at = filter;
	int n = 0;

	while (*at) {
		size_t len = strcspn(at, ", ");
		char name[NIC_NAME_MAX];
		bool twice = false;
		size_t i;

		snprintf(name, sizeof(name), "%.*s", (int)u_min(len, 128), at);
		at += len;
		at += strspn(at, ", ");
		if (!len)
			continue;
		i = iface_find(l, name);
		if (i == l->n || !iface_is_usable(l, i)) {
			iface_warn_unknown(l, name);
			return -ENODEV;
		}
		for (int j = 0; j < n; j++)
			twice |= !strcmp(out[j].name, l->info[i].name);
		if (!twice)
			out[n++] = l->info[i];
	}
	return n;
}

/* All that are usable: the default first, loopback last. */
static int iface_all(const struct iface_list *l, struct nic_info *out)
{
	size_t first = iface_default(l);
	int n = 0;

	if (first < l->n)
		out[n++] = l->info[first];
	for (int loopback = 0; loopback < 2; loopback++)
		for (size_t i = 0; i < l->n; i++)
			if (i != first && iface_is_usable(l, i) &&
			    !(l->flags[i] & IFF_LOOPBACK) == !loopback)
				out[n++] = l->info[i];
	return n;
}

static int iface_choose(const struct iface_list *l, const char *filter,
			struct nic_info *out)
{
	size_t i;

	if (filter && !strcmp(filter, "all"))
		return iface_all(l, out);
	if (filter && *filter)
		return iface_named(l, filter, out);
	i = iface_default(l);
	if (i == l->n)
		return 0;
	out[0] = l->info[i];
	return 1;
}

int nic_list(const char *filter, struct nic_info **list)
{
	struct iface_list l = { 0 };
	struct nic_info *out;
	int rc;

	rc = iface_read(&l);
	if (rc)
		goto free_list;
	out = calloc(l.n + 1, sizeof(*out));
	rc = -ENOMEM;
	if (!out)
		goto free_list;
	rc = iface_choose(&l, filter, out);
	if (rc < 0)
		free(out);
	else
		*list = out;
free_list:
	iface_free(&l);
	return rc;
}
