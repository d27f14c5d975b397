/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs.h - the door to EFA devices for dev.c
 */
#ifndef DEV_VERBS_H
#define DEV_VERBS_H

#include "dev/dev.h"

/*
 * EFA devices whose name the filter has, in the order libibverbs lists them.
 * As dev_list(), but a name that no device has is no error: it may be that of
 * something else.
 */
int dev_verbs_list(const struct dev_config *config, struct dev_info **list);

int dev_verbs_open(const struct dev_info *info, const struct dev_config *config,
		   struct dev **dev);

#endif
