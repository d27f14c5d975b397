/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_gid.h - a gid is an IPv6 address, or an IPv4 address mapped into one
 */
#ifndef NIC_GID_H
#define NIC_GID_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define NIC_GID_TEXT INET6_ADDRSTRLEN

bool nic_gid_is_set(const uint8_t gid[16]);
bool nic_gid_is_v4(const uint8_t gid[16]);

/* False: neither IPv4 nor IPv6. */
bool nic_gid_from(const struct sockaddr *sa, uint8_t gid[16]);

/* Address and port for the socket calls; returns the length of the address. */
socklen_t nic_gid_sockaddr(const uint8_t gid[16], uint16_t port,
			   struct sockaddr_storage *ss);

/* Dotted or colon text; returns text. */
const char *nic_gid_text(const uint8_t gid[16], char text[NIC_GID_TEXT]);

#endif
