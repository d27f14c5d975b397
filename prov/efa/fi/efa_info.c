/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_info.c - fi_getinfo: what there is, for whom to talk to
 *
 * For every device one info of each kind: first all devices of the one kind,
 * then all of the next. Here are devices, names and addresses; efa_kind.c says
 * what a device can as each kind, and efa_attr.c compares that with what the
 * caller hints.
 */
#include "fi/efa.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fi/efa_settings.h"

/* Names of the fabric, and of the domain behind that of the device. */
static const struct {
	const char *fabric, *suffix;
} names[EFA_KINDS] = {
	[EFA_RDM] = { "efa", "-rdm" },
	[EFA_DIRECT] = { "efa-direct", "-rdm" },
	[EFA_DGRAM] = { "efa", "-dgrm" },
};

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

int efa_info_is_direct(const char *fabric_name)
{
	if (!strcmp(fabric_name, names[EFA_DIRECT].fabric))
		return 1;
	return strcmp(fabric_name, names[EFA_RDM].fabric) ? -1 : 0;
}

/* The kind of a domain of the device; EFA_KINDS: it is none. */
static enum efa_kind kind_of(const char *domain_name, bool direct,
			     const struct dev_info *dev)
{
	for (int kind = 0; kind < EFA_KINDS; kind++)
		if ((kind == EFA_DIRECT) == direct &&
		    is_domain_of(domain_name, dev, names[kind].suffix))
			return (enum efa_kind)kind;
	return EFA_KINDS;
}

int efa_info_find(const char *domain_name, bool direct, struct dev_info *dev,
		  enum efa_kind *kind)
{
	enum efa_kind found = EFA_KINDS;
	struct dev_info *list;
	int n = devices_copy(0, &list);

	if (n < 0)
		return n;
	for (int i = 0; i < n && found == EFA_KINDS; i++) {
		found = kind_of(domain_name, direct, &list[i]);
		*dev = list[i];
	}
	free(list);
	*kind = found;
	return found == EFA_KINDS ? -FI_ENODATA : 0;
}

/* ---- one info ------------------------------------------------------------- */

static bool fill_names(struct fi_info *info, const struct dev_info *dev,
		       enum efa_kind kind)
{
	struct dev_addr addr = { .qpn = 0 };

	info->addr_format = FI_ADDR_EFA;
	info->src_addr = malloc(EFA_ADDR_LEN);
	info->src_addrlen = EFA_ADDR_LEN;
	info->fabric_attr->name = strdup(names[kind].fabric);
	if (asprintf(&info->domain_attr->name, "%s%s", dev->name,
		     names[kind].suffix) < 0)
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
static struct fi_info *info_new(const struct dev_info *dev, enum efa_kind kind,
				const struct fi_info *hints)
{
	struct fi_info *info = fi_allocinfo();

	if (!info)
		return NULL;
	efa_kind_fill(kind, dev, hints, info);
	if (!fill_names(info, dev, kind)) {
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

static bool is_efa(const char *name, const void *addr, size_t bytes)
{
	if (addr && bytes != EFA_ADDR_LEN)
		efa_info(FABRIC, "hints->%s has %zu bytes, an address %d\n",
			 name, bytes, EFA_ADDR_LEN);
	return !addr || bytes == EFA_ADDR_LEN;
}

static int wanted_init(struct wanted *want, const char *node,
		       const char *service, uint64_t flags,
		       const struct fi_info *hints)
{
	bool source = flags & FI_SOURCE;

	*want = (struct wanted){ .src = NULL };
	if (node) {
		if (resolve(node, service, want->bytes)) {
			efa_info(FABRIC, "no address of node %s\n", node);
			return -FI_ENODATA;
		}
		if (source)
			want->src_gid = want->bytes;
		else
			want->dest = want->bytes;
	} else if (service && !source) {
		efa_info(FABRIC, "service %s of no node\n", service);
		return -FI_ENODATA;
	}
	if (!hints)
		return 0;
	if (!source) {
		if (!is_efa("src_addr", hints->src_addr, hints->src_addrlen))
			return -FI_ENODATA;
		want->src = hints->src_addr;
	}
	if (!want->dest) {
		if (!is_efa("dest_addr", hints->dest_addr, hints->dest_addrlen))
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
static int add(const struct query *query, const struct dev_info *dev,
	       enum efa_kind kind, struct fi_info ***tail)
{
	struct fi_info *info = info_new(dev, kind, query->hints);

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
	for (int i = 0; i < EFA_KINDS * n && !ret; i++)
		ret = add(&query, &list[i % n], (enum efa_kind)(i / n), &tail);
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
