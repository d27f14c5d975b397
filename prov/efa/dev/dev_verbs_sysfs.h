/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_sysfs.h - where an RDMA device sits, as sysfs tells it
 */
#ifndef DEV_VERBS_SYSFS_H
#define DEV_VERBS_SYSFS_H

#include "dev/dev.h"

/*
 * Fills driver, PCI address and NUMA node from path, such as
 * /sys/class/infiniband/rdmap0s6; leaves alone what is not told there.
 */
void verbs_sysfs_read(const char *path, struct dev_card *card);

#endif
