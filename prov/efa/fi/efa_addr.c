/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_addr.c - the 32 bytes of an FI_ADDR_EFA, and addresses as text
 *
 *    0        16    18    20     24         32
 *    | gid    | qpn       | qkey | 0         |   integers little-endian
 *
 * Numbers of an EFA and UDP ports fill the two bytes at 16, and 18 is zero;
 * those of other RDMA NICs have 24 bits.
 */
#include "fi/efa.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "util/u_bytes.h"

#define QPN_MAX 0xffffff

void efa_addr_pack(const struct dev_addr *addr, void *bytes)
{
	uint8_t *p = bytes;

	memset(p, 0, EFA_ADDR_LEN);
	memcpy(p, addr->gid, 16);
	u_put32(p + 16, addr->qpn);
	u_put32(p + 20, addr->qkey);
}

int efa_addr_unpack(const void *bytes, struct dev_addr *addr)
{
	static const uint8_t no_gid[16];
	const uint8_t *p = bytes;

	if (memcmp(p, no_gid, sizeof(no_gid)) == 0)
		return -FI_EADDRNOTAVAIL;
	if (u_get32(p + 16) > QPN_MAX || u_get64(p + 24))
		return -FI_EINVAL;
	memcpy(addr->gid, p, 16);
	addr->qpn = u_get32(p + 16);
	addr->qkey = u_get32(p + 20);
	return 0;
}

size_t efa_addr_text(const struct dev_addr *addr, char *buf, size_t len)
{
	char gid[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, addr->gid, gid, sizeof(gid));
	return (size_t)snprintf(buf, len, "fi_addr_efa://[%s]:%u:%u", gid,
				addr->qpn, addr->qkey);
}

int efa_addr_parse_gid(const char *text, uint8_t gid[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint8_t v4[4];

	if (inet_pton(AF_INET6, text, gid) == 1)
		return 0;
	if (inet_pton(AF_INET, text, v4) != 1)
		return -FI_ENODATA;
	memcpy(gid, mapped, sizeof(mapped));
	memcpy(gid + 12, v4, sizeof(v4));
	return 0;
}
