/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_bell.c - sockets that end a sleep
 */
#include "nic_bell.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic_gid.h"

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (getsockname(fd, (struct sockaddr *)&ss, &len))
		return 0;
	if (ss.ss_family == AF_INET) {
		memcpy(&in, &ss, sizeof(in));
		return ntohs(in.sin_port);
	}
	memcpy(&in6, &ss, sizeof(in6));
	return ntohs(in6.sin6_port);
}

int nic_bell_open(const uint8_t gid[16], uint16_t port, int *out,
		  struct wire_shm_bell *bell)
{
	struct sockaddr_storage ss;
	socklen_t len = nic_gid_sockaddr(gid, port, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);
	int rc;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&ss, len)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	memcpy(bell->gid, gid, sizeof(bell->gid));
	bell->port = bound_port(fd);
	*out = fd;
	return 0;
}

int nic_bell_open_local(int *fd, struct wire_shm_bell *bell)
{
	static const uint8_t v4[16] = {
		[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1
	};
	static const uint8_t v6[16] = { [15] = 1 };

	if (!nic_bell_open(v4, 0, fd, bell))
		return 0;
	return nic_bell_open(v6, 0, fd, bell);
}

bool nic_bell_ring(int fd, const struct wire_shm_bell *bell)
{
	struct sockaddr_storage ss;
	socklen_t len = nic_gid_sockaddr(bell->gid, bell->port, &ss);
	ssize_t n = sendto(fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL,
			   (struct sockaddr *)&ss, len);

	return n >= 0 || !(errno == EAGAIN || errno == ENOBUFS ||
			   errno == ENOMEM || errno == EINTR);
}
