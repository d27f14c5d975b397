/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_route.c - reads the kernel's routing tables as text
 */
#include "nic_route.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ROUTE_UP 1u /* RTF_UP */
#define ROUTE_REJECT 0x200u /* RTF_REJECT */

/* Iface Destination Gateway Flags RefCnt Use Metric Mask ... */
static bool route_parse_v4(const char *line, char *name, unsigned int *flags,
			   unsigned int *metric)
{
	unsigned int dest, mask;

	return sscanf(line, "%63s %x %*x %x %*u %*u %u %x", name, &dest, flags,
		      metric, &mask) == 5 &&
	       dest == 0 && mask == 0;
}

/* dest plen src slen nexthop metric refcnt use flags name */
static bool route_parse_v6(const char *line, char *name, unsigned int *flags,
			   unsigned int *metric)
{
	char dest[33];
	unsigned int plen;

	return sscanf(line, "%32s %x %*s %*x %*s %x %*x %*x %x %63s", dest,
		      &plen, metric, flags, name) == 5 &&
	       plen == 0 && strspn(dest, "0") == 32;
}

bool nic_route_parse(bool v6, const char *line, char *name, size_t size,
		     unsigned int *metric)
{
	char found[64];
	unsigned int flags;
	unsigned int m;

	if (v6 ? !route_parse_v6(line, found, &flags, &m) :
		 !route_parse_v4(line, found, &flags, &m))
		return false;
	if (!(flags & ROUTE_UP) || (flags & ROUTE_REJECT))
		return false;
	snprintf(name, size, "%s", found);
	*metric = m;
	return true;
}

bool nic_route_default(bool v6, char *name, size_t size)
{
	FILE *f = fopen(v6 ? "/proc/net/ipv6_route" : "/proc/net/route", "re");
	bool found = false;
	unsigned int best = UINT_MAX;
	unsigned int metric;
	char line[256];
	char one[64];

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (!nic_route_parse(v6, line, one, sizeof(one), &metric) ||
		    (found && metric >= best))
			continue;
		best = metric;
		found = true;
		snprintf(name, size, "%s", one);
	}
	fclose(f);
	return found;
}
