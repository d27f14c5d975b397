/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev.c - which devices there are, and who opens them
 */
#include "dev/dev.h"

#include <errno.h>

#include "dev_soft.h"
#include "util/u_log.h"

int dev_list(const struct dev_config *config, struct dev_info **list)
{
	switch (config->choice) {
	case DEV_ONLY_VERBS:
		u_warn("this build has no support for RDMA devices yet: "
		       "FI_EFA_DEVICE=soft or auto gives the software device");
		*list = NULL;
		return 0;
	case DEV_AUTO:
	case DEV_ONLY_SOFT:
		break;
	}
	return dev_soft_list(config, list);
}

int dev_open(const struct dev_info *info, const struct dev_config *config,
	     struct dev **dev)
{
	switch (info->kind) {
	case DEV_KIND_SOFT:
		return dev_soft_open(info, config, dev);
	case DEV_KIND_VERBS:
	case DEV_KIND_RECORD:
		break;
	}
	return -ENODEV;
}
