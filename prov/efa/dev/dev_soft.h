/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_soft.h - the software EFA as a device: what dev.c calls
 *
 * The same device over two kinds of network: a network interface by UDP, or a
 * port of an RDMA NIC by its UD queue pairs.
 */
#ifndef DEV_SOFT_H
#define DEV_SOFT_H

#include "dev/dev.h"

/* As dev_list and dev_open, of one kind only. */
int dev_soft_list(const struct dev_config *config, struct dev_info **list);
int dev_ud_list(const struct dev_config *config, struct dev_info **list);
int dev_soft_open(const struct dev_info *info, const struct dev_config *config,
		  struct dev **dev);

/*
 * Shared memory alone, for the queue pairs of another device: they get the
 * addresses of that (qp_open_as), and reach who is on this host (ah_reach).
 */
int dev_soft_open_beside(const struct dev_info *other,
			 const struct dev_config *config, struct dev **dev);

#endif
