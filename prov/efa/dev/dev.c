/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev.c - which devices there are, and who opens them
 *
 * Of the kinds that were asked for those of the best one are listed: RDMA NICs,
 * or the software device where there are none.
 */
#include "dev/dev.h"

#include <errno.h>
#include <stdio.h>

#include "dev_rail.h"
#include "dev_soft.h"
#include "dev_verbs.h"
#include "util/u_log.h"

static void tell_none(const struct dev_config *config)
{
	const char *iface = config->iface && *config->iface ? config->iface :
							      "all";

	u_warn("there is no EFA and no RDMA NIC (FI_EFA_IFACE: %s) whose port "
	       "is active and has an address, or this user may not use it: "
	       "FI_LOG_LEVEL=info says why; FI_EFA_DEVICE=soft or auto gives "
	       "the software device",
	       iface);
}

/* The best kind that there is; the software device when nothing else is. */
int dev_list(const struct dev_config *config, struct dev_info **list)
{
	int n = 0;

	*list = NULL;
	if (config->choice != DEV_ONLY_SOFT)
		n = dev_verbs_list(config, list);
	for (int i = 0; i < n && !config->no_shm; i++)
		dev_rail_info(&(*list)[i]);
	if (!n && config->choice != DEV_ONLY_SOFT)
		n = dev_ud_list(config, list);
	if (n)
		return n;
	if (config->choice != DEV_ONLY_VERBS)
		return dev_soft_list(config, list);
	tell_none(config);
	return 0;
}

static int open_verbs(const struct dev_info *info,
		      const struct dev_config *config, struct dev **dev)
{
	int rc = dev_verbs_open(info, config, dev);

	if (!rc && !config->no_shm && !config->no_rail)
		dev_rail_add(config, dev);
	return rc;
}

static int open_kind(const struct dev_info *info,
		     const struct dev_config *config, struct dev **dev)
{
	switch (info->kind) {
	case DEV_KIND_SOFT:
	case DEV_KIND_UD:
		return dev_soft_open(info, config, dev);
	case DEV_KIND_VERBS:
		return open_verbs(info, config, dev);
	case DEV_KIND_RECORD:
		break;
	}
	return -ENODEV;
}

/* Processes and their memory are best near the card. */
static void tell_place(const struct dev_info *info)
{
	const struct dev_card *card = &info->card;
	char node[32] = "";

	if (!card->has_pci)
		return;
	if (card->has_numa)
		snprintf(node, sizeof(node), ", NUMA node %u", card->numa);
	u_info("%s: PCI %04x:%02x:%02x.%x%s", info->name, card->pci_domain,
	       card->pci_bus, card->pci_slot, card->pci_function, node);
}

int dev_open(const struct dev_info *info, const struct dev_config *config,
	     struct dev **dev)
{
	int rc = open_kind(info, config, dev);

	if (!rc)
		tell_place(&(*dev)->info);
	return rc;
}
