/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_gid.c - gids to socket addresses and back
 */
#include "nic_gid.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

bool nic_gid_is_set(const uint8_t gid[16])
{
	static const uint8_t zero[16];

	return memcmp(gid, zero, sizeof(zero)) != 0;
}

bool nic_gid_is_v4(const uint8_t gid[16])
{
	return !memcmp(gid, mapped, sizeof(mapped));
}

bool nic_gid_from(const struct sockaddr *sa, uint8_t gid[16])
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		memcpy(gid, mapped, sizeof(mapped));
		memcpy(gid + sizeof(mapped), &in.sin_addr, 4);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		memcpy(gid, &in6.sin6_addr, 16);
		return true;
	}
	return false;
}

socklen_t nic_gid_sockaddr(const uint8_t gid[16], uint16_t port,
			   struct sockaddr_storage *ss)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	if (nic_gid_is_v4(gid)) {
		memcpy(&in.sin_addr, gid + sizeof(mapped), 4);
		in.sin_port = htons(port);
		memcpy(ss, &in, sizeof(in));
		return sizeof(in);
	}
	memcpy(&in6.sin6_addr, gid, 16);
	in6.sin6_port = htons(port);
	memcpy(ss, &in6, sizeof(in6));
	return sizeof(in6);
}

const char *nic_gid_text(const uint8_t gid[16], char text[NIC_GID_TEXT])
{
	if (nic_gid_is_v4(gid))
		inet_ntop(AF_INET, gid + sizeof(mapped), text, NIC_GID_TEXT);
	else
		inet_ntop(AF_INET6, gid, text, NIC_GID_TEXT);
	return text;
}
