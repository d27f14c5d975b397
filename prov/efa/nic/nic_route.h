/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_route.h - which interface the default route leaves by
 */
#ifndef NIC_ROUTE_H
#define NIC_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes the name of the interface of the default route with the lowest
 * metric, of IPv6 or of IPv4; false when there is none.
 */
bool nic_route_default(bool v6, char *name, size_t size);

/* One line of /proc/net/route or ipv6_route; false: not a default route. */
bool nic_route_parse(bool v6, const char *line, char *name, size_t size,
		     unsigned int *metric);

#endif
