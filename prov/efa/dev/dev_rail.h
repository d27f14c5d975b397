/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_rail.h - a device with two rails: its own wire, and shared memory for
 * the peers on this host
 *
 *                 dev_post                        dev_poll
 *                    |                             ^    ^
 *        +-----------+-----------+                 |    |
 *        | by handle (and key)   |             main cq  local cq
 *     main qp                 local qp
 *     the card: other hosts   dev_soft, memory only: peers of this host
 *
 * One address for both, the main device's; whoever talks to us uses the rail
 * that he chooses. A handle takes the local rail if the peer has a segment on
 * this host when the handle is opened, and else the main one, for good.
 *
 * Keys have 64 bits: below what the main device calls the region, which is
 * what peers on other hosts use and those who know no rails; above what the
 * local one does, or 0. RDMA without a local key takes the main rail.
 *
 * Sources: 2 n is source n of the main rail, 2 n + 1 of the local one. A peer
 * can have a number on either.
 *
 * Datagrams (DEV_QP_UD) have the main rail only: a receive that the user posts
 * can lie in one queue at a time.
 */
#ifndef DEV_RAIL_H
#define DEV_RAIL_H

#include "dev/dev.h"

/*
 * *dev gets a local rail and is from then on the device with both; it stays
 * what it is, with a line in the log, where there can be none.
 */
void dev_rail_add(const struct dev_config *config, struct dev **dev);

/* Joins the two; both belong to *out, or on -ENOMEM to the caller still. */
int dev_rail_join(struct dev *main, struct dev *local, struct dev **out);

/* What a device says of itself that will be opened with a local rail. */
void dev_rail_info(struct dev_info *info);

#endif
