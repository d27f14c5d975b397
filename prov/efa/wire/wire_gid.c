/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_gid.c - what is an IPv4 address among gids, and how a gid is written
 */
#include "wire/wire_gid.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

bool wire_gid_is_v4(const uint8_t gid[16])
{
	return !memcmp(gid, mapped, sizeof(mapped));
}

const char *wire_gid_text(const uint8_t gid[16], char text[WIRE_GID_TEXT])
{
	if (wire_gid_is_v4(gid))
		inet_ntop(AF_INET, gid + sizeof(mapped), text, WIRE_GID_TEXT);
	else
		inet_ntop(AF_INET6, gid, text, WIRE_GID_TEXT);
	return text;
}
