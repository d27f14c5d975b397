/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_rail_priv.h - objects of a device with two rails: dev_rail.c opens and
 * closes them, dev_rail_queue.c posts and polls
 *
 * I1 a handle has one rail or both open, never none; `local` does not change.
 * I2 GONE is told once, whichever rail says it first.
 */
#ifndef DEV_RAIL_PRIV_H
#define DEV_RAIL_PRIV_H

#include "dev/dev.h"
#include "dev_rail.h"
#include "util/u_base.h"
#include "util/u_pool.h"

enum rail { RAIL_MAIN, RAIL_LOCAL, RAILS };

struct rail_dev {
	struct dev dev;
	struct dev *rail[RAILS];
	bool main_held; /* written by who holds the local table */
};

struct rail_mr {
	struct dev_mr mr;
	struct dev_mr *rail[RAILS]; /* LOCAL may be NULL: no key left */
};

struct rail_cq {
	struct dev_cq cq;
	struct dev_cq *rail[RAILS];
	uint32_t nlocal; /* queue pairs with a local rail */
	uint8_t turn; /* enum rail, that is polled first */
	bool lent[RAILS]; /* what was polled is with the user */
	int epoll; /* of their descriptors; -1: nobody asked for it */
	struct u_pool ahs; /* struct rail_ah; their ids are the cookies below */
};

struct rail_qp {
	struct dev_qp qp;
	struct dev_qp *rail[RAILS]; /* LOCAL may be NULL */
};

struct rail_ah {
	struct dev_ah ah;
	struct dev_ah *rail[RAILS]; /* I1 */
	uint64_t cookie; /* of the user */
	bool gone; /* told (I2) */
};

/* The handle of the main rail of one that has the local one, made late. */
struct dev_ah *rail_ah_main(struct rail_ah *ah);

int rail_post(struct dev_qp *q, struct dev_wr *wr, int n);
int rail_poll(struct dev_cq *c, struct dev_wc *wc, int n);
void rail_give_back(struct dev_cq *c);

#endif
