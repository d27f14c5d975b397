/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_soft.h - the software EFA as a device: what dev.c calls
 */
#ifndef DEV_SOFT_H
#define DEV_SOFT_H

#include "dev/dev.h"

/* As dev_list and dev_open, of software devices only. */
int dev_soft_list(const struct dev_config *config, struct dev_info **list);
int dev_soft_open(const struct dev_info *info, const struct dev_config *config,
		  struct dev **dev);

#endif
