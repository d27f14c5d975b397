/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_addr.c - gids to socket addresses and back
 *
 * A wire speaks one family, that of its own gid. A gid of the other family
 * has no address here; senders find that out before (wire_udp_send.c).
 */
#include "wire/wire_udp_priv.h"

#include <string.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

socklen_t wire_udp_addr_len(const struct wire_udp *w)
{
	return w->v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

void wire_udp_addr_init(const struct wire_udp *w, union wire_udp_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->sa.sa_family = w->v4 ? AF_INET : AF_INET6;
}

void wire_udp_addr_set(const struct wire_udp *w, union wire_udp_addr *addr,
		       const uint8_t gid[16], uint16_t port)
{
	if (w->v4) {
		memcpy(&addr->in.sin_addr, gid + sizeof(mapped), 4);
		addr->in.sin_port = htons(port);
		return;
	}
	memcpy(&addr->in6.sin6_addr, gid, 16);
	addr->in6.sin6_port = htons(port);
	/* Only link-local addresses need to be told whose link. */
	addr->in6.sin6_scope_id =
		IN6_IS_ADDR_LINKLOCAL(&addr->in6.sin6_addr) ? w->scope : 0;
}

bool wire_udp_addr_gid(const union wire_udp_addr *addr, uint8_t gid[16],
		       uint16_t *port)
{
	uint16_t p;

	if (addr->sa.sa_family == AF_INET) {
		memcpy(gid, mapped, sizeof(mapped));
		memcpy(gid + sizeof(mapped), &addr->in.sin_addr, 4);
		p = addr->in.sin_port;
	} else if (addr->sa.sa_family == AF_INET6) {
		memcpy(gid, &addr->in6.sin6_addr, 16);
		p = addr->in6.sin6_port;
	} else {
		return false;
	}
	if (port)
		*port = ntohs(p);
	return true;
}
