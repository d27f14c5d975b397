/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_rail_fixture.h - three ends: `a` and `b` have two rails, `far` is on
 * another host
 *
 * The main rail is a recording device, the local one the software device with
 * shared memory alone.
 */
#ifndef DEV_RAIL_FIXTURE_H
#define DEV_RAIL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "dev/dev_rail.h"
#include "dev/dev_rail_priv.h"
#include "dev/dev_record.h"
#include "dev_fixture.h"

#define DR_MTU 8928

struct dr_end {
	struct dev *dev;
	struct dev_cq *cq;
	struct dev_qp *qp;
};

struct dr {
	char dir[DF_DIR];
	struct dev_config config;
	struct dr_end a, b, far;
	struct dev_ah *ab, *afar; /* cookies 'b' and 'f' */
};

int dr_setup(void **state);
int dr_teardown(void **state);

#define DR_TEST(f) cmocka_unit_test_setup_teardown(f, dr_setup, dr_teardown)

struct dev *dr_record(void);
void dr_open(struct dr_end *e, struct dev *dev, uint32_t qkey);
void dr_close(struct dr_end *e);

/* The queue pair of the main rail. */
struct dev_qp *dr_main(struct dr_end *e);

void dr_send(struct dr_end *e, struct dev_ah *ah, const char *text);

/* The next packet is this; returns the number of its sender. */
uint32_t dr_expect(struct dr_end *e, const char *text,
		   const struct dev_addr *from);

/* What the main rail of an end was given, delivered; false: nothing. */
bool dr_deliver(struct dr_end *e, bool complete);

#endif
