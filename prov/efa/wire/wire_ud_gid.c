/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_gid.c - gids, and the network headers that they are read from
 *
 * Before each packet the NIC puts 40 bytes. For InfiniBand and for IPv6 they
 * are the global routing header; for IPv4 the last 20 of them are the IPv4
 * header, and what the first 20 hold is anything, so that byte 0 may look like
 * IPv6. Then only an IPv4 header that is right in all its parts is one.
 */
#include "wire/wire_ud_priv.h"

#include <string.h>

#define V4_AT 20 /* of the IPv4 header */
#define SRC_V4 32
#define SRC_V6 8

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

void wire_ud_gid_make(uint16_t lid, const uint8_t guid[8], uint8_t gid[16])
{
	memset(gid, 0, 16);
	gid[0] = 0xfe;
	gid[1] = 0x80;
	gid[6] = (uint8_t)(lid >> 8);
	gid[7] = (uint8_t)lid;
	memcpy(gid + 8, guid, 8);
}

/* The sum over a right header is 0xffff, in any byte order. */
static bool v4_header_adds_up(const uint8_t *h)
{
	uint32_t sum = 0;

	if (h[0] != 0x45)
		return false;
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)h[i] << 8 | h[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

static bool is_v4(const uint8_t *grh)
{
	if (u_likely(grh[0] >> 4 != 6))
		return grh[V4_AT] >> 4 == 4;
	return v4_header_adds_up(grh + V4_AT);
}

bool wire_ud_gid_from(const struct wire_ud_info *self,
		      const uint8_t grh[WIRE_UD_GRH], const struct ibv_wc *wc,
		      uint8_t gid[16])
{
	if (self->infiniband) {
		if (!(wc->wc_flags & IBV_WC_GRH) || !wc->slid)
			return false;
		wire_ud_gid_make(wc->slid, grh + SRC_V6 + 8, gid);
		return true;
	}
	if (is_v4(grh)) {
		memcpy(gid, mapped, sizeof(mapped));
		memcpy(gid + sizeof(mapped), grh + SRC_V4, 4);
		return true;
	}
	memcpy(gid, grh + SRC_V6, 16);
	return grh[0] >> 4 == 6;
}

bool wire_ud_gid_to(const struct wire_ud_info *self, const uint8_t gid[16],
		    struct ibv_ah_attr *attr)
{
	static const uint8_t subnet[6] = { 0xfe, 0x80 };

	if (!self->infiniband) {
		memcpy(attr->grh.dgid.raw, gid, 16);
		return wire_gid_is_v4(gid) == wire_gid_is_v4(self->gid);
	}
	if (memcmp(gid, subnet, sizeof(subnet)))
		return false;
	attr->dlid = (uint16_t)(gid[6] << 8 | gid[7]);
	wire_ud_gid_make(0, gid + 8, attr->grh.dgid.raw);
	return attr->dlid != 0;
}
