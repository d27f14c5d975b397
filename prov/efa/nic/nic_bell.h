/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_bell.h - the socket that a sleeping queue pair is woken by
 *
 * An empty datagram to it ends a sleep on its descriptor. Where to send that
 * is told in the queue pair's segment. Over UDP the bell is the socket that
 * packets come to as well; queue pairs with other numbers have one on loopback.
 */
#ifndef NIC_BELL_H
#define NIC_BELL_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/wire_shm.h"

/*
 * A bound, non-blocking socket on gid; port 0: any. *bell is where it is.
 * Errors: -EADDRINUSE and others of socket(2) and bind(2).
 */
int nic_bell_open(const uint8_t gid[16], uint16_t port, int *fd,
		  struct wire_shm_bell *bell);

/* The same on loopback, whatever the address of the queue pair. */
int nic_bell_open_local(int *fd, struct wire_shm_bell *bell);

/* Through any bell of ours; false: not now, try again. */
bool nic_bell_ring(int fd, const struct wire_shm_bell *bell);

#endif
