/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_device.c - the list of devices: ours first, then the real ones
 *
 * A device of ours, once seen, stays in memory, as programs keep its pointer
 * after they have freed the list.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#include "verbs_priv.h"
#include "verbs_real.h"

static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, verbs_device) devices = LIST_HEAD_INITIALIZER(devices);

/* What the program holds as an array lies behind this. */
struct device_list {
	struct ibv_device **real; /* NULL: there is none */
	struct ibv_device *dev[];
};

static struct verbs_device *device_find(const char *name)
{
	struct verbs_device *d;

	LIST_FOREACH(d, &devices, link)
		if (!strcmp(d->info.name, name))
			return d;
	return NULL;
}

static struct verbs_device *device_get(const struct nic_info *info)
{
	struct verbs_device *d = device_find(info->name);
	int index = 0;

	if (d) {
		d->info = *info;
		return d;
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	for (struct verbs_device *o = LIST_FIRST(&devices); o;
	     o = LIST_NEXT(o, link))
		index++;
	d->info = *info;
	d->dev.node_type = IBV_NODE_UNSPECIFIED;
	d->dev.transport_type = IBV_TRANSPORT_UNSPECIFIED;
	snprintf(d->dev.name, sizeof(d->dev.name), "%s", info->name);
	snprintf(d->dev.dev_name, sizeof(d->dev.dev_name), "soft%d", index);
	snprintf(d->dev.dev_path, sizeof(d->dev.dev_path),
		 "/sys/class/infiniband_verbs/soft%d", index);
	snprintf(d->dev.ibdev_path, sizeof(d->dev.ibdev_path),
		 "/sys/class/infiniband/%s", info->name);
	LIST_INSERT_HEAD(&devices, d, link);
	return d;
}

struct verbs_device *verbs_device_of(struct ibv_device *dev)
{
	struct verbs_device *d;

	pthread_mutex_lock(&devices_lock);
	LIST_FOREACH(d, &devices, link)
		if (&d->dev == dev)
			break;
	pthread_mutex_unlock(&devices_lock);
	return d;
}

static struct ibv_device **real_list(int *n)
{
	struct ibv_device **(*get)(int *) = verbs_real(ibv_get_device_list);
	struct ibv_device **list = get ? get(n) : NULL;

	if (!list)
		*n = 0;
	return list;
}

static int soft_list(struct nic_info **info)
{
	int n = nic_list(getenv("FI_EFA_IFACE"), info);

	if (n < 0)
		*info = NULL;
	return n < 0 ? 0 : n;
}

VERBS_EXPORT struct ibv_device **ibv_get_device_list(int *num)
{
	struct nic_info *info;
	int nreal, n = 0;
	int nsoft = soft_list(&info);
	struct ibv_device **real = real_list(&nreal);
	struct device_list *list =
		calloc(1, sizeof(*list) + (size_t)(nsoft + nreal + 1) *
						  sizeof(list->dev[0]));

	if (!list) {
		if (real)
			verbs_real(ibv_free_device_list)(real);
		free(info);
		return verbs_null(ENOMEM);
	}
	pthread_mutex_lock(&devices_lock);
	for (int i = 0; i < nsoft; i++) {
		struct verbs_device *d = device_get(&info[i]);

		if (d)
			list->dev[n++] = &d->dev;
	}
	pthread_mutex_unlock(&devices_lock);
	free(info);
	for (int i = 0; i < nreal; i++)
		list->dev[n++] = real[i];
	list->real = real;
	if (num)
		*num = n;
	errno = 0;
	return list->dev;
}

VERBS_EXPORT void ibv_free_device_list(struct ibv_device **dev)
{
	struct device_list *list;

	if (!dev)
		return;
	list = u_container_of(dev, struct device_list, dev);
	if (list->real)
		verbs_real(ibv_free_device_list)(list->real);
	free(list);
}

VERBS_EXPORT const char *ibv_get_device_name(struct ibv_device *dev)
{
	return dev->name;
}

/* From the address of the card, as EUI-64. */
VERBS_EXPORT __be64 ibv_get_device_guid(struct ibv_device *dev)
{
	const struct verbs_device *d = verbs_device_of(dev);
	const uint8_t *mac;
	uint8_t guid[8];
	__be64 out;

	if (!d)
		return verbs_real(ibv_get_device_guid)(dev);
	mac = d->info.mac;
	memcpy(guid,
	       (uint8_t[]){ mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3],
			    mac[4], mac[5] },
	       8);
	memcpy(&out, guid, 8);
	return out;
}

VERBS_EXPORT int ibv_get_device_index(struct ibv_device *dev)
{
	if (!verbs_device_of(dev))
		return verbs_real(ibv_get_device_index)(dev);
	return -1;
}
