/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_sysfs.c - driver, PCI address and NUMA node of an RDMA device
 */
#include "dev_verbs_sysfs.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The last part of what the link path/name points at; false: there is none. */
static bool link_target(const char *path, const char *name, char *out,
			size_t size)
{
	char link[PATH_MAX], target[PATH_MAX];
	const char *last;
	ssize_t n;

	if (snprintf(link, sizeof(link), "%s/%s", path, name) >=
	    (int)sizeof(link))
		return false;
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	last = strrchr(target, '/');
	last = last ? last + 1 : target;
	if (!*last || strlen(last) >= size)
		return false;
	strcpy(out, last);
	return true;
}

static void read_pci(const char *path, struct dev_card *card)
{
	unsigned int domain, bus, slot, function;
	char name[32];
	int used = 0;

	if (!link_target(path, "device", name, sizeof(name)) ||
	    sscanf(name, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function,
		   &used) != 4 ||
	    name[used])
		return;
	card->has_pci = true;
	card->pci_domain = (uint16_t)domain;
	card->pci_bus = (uint8_t)bus;
	card->pci_slot = (uint8_t)slot;
	card->pci_function = (uint8_t)function;
}

/* -1 stands there on machines with one node. */
static void read_numa(const char *path, struct dev_card *card)
{
	char file[PATH_MAX];
	int node;
	FILE *f;

	if (snprintf(file, sizeof(file), "%s/device/numa_node", path) >=
	    (int)sizeof(file))
		return;
	f = fopen(file, "re");
	if (!f)
		return;
	if (fscanf(f, "%d", &node) == 1 && node >= 0 && node <= UINT16_MAX) {
		card->has_numa = true;
		card->numa = (uint16_t)node;
	}
	fclose(f);
}

void verbs_sysfs_read(const char *path, struct dev_card *card)
{
	read_pci(path, card);
	read_numa(path, card);
	link_target(path, "device/driver", card->driver, sizeof(card->driver));
}
