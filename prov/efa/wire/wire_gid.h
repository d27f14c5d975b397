/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_gid.h - what is an IPv4 address among gids, and how a gid is written
 */
#ifndef WIRE_GID_H
#define WIRE_GID_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define WIRE_GID_TEXT INET6_ADDRSTRLEN

bool wire_gid_is_v4(const uint8_t gid[16]);
const char *wire_gid_text(const uint8_t gid[16], char text[WIRE_GID_TEXT]);

#endif
