/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_fixture.h - an open fake EFA, with queue, queue pair and peer
 */
#ifndef DEV_VERBS_FIXTURE_H
#define DEV_VERBS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/dev.h"
#include "dev_verbs_fake.h"

#define FIXTURE_COOKIE 77
#define FIXTURE_PEER_QPN 9

struct verbs {
	struct dev_config config;
	struct dev *dev;
	struct dev_cq *cq;
	struct dev_qp *qp;
	struct fake_qp *hw; /* of qp */
	struct dev_ah *ah; /* to gid ...aa, FIXTURE_PEER_QPN */
};

/*
 * Nothing open, and the fake as it is at first: fake_config and v->config are
 * the test's to change. Then all of it; an SRD queue pair tries for ever.
 */
struct verbs *verbs_new(void);
void verbs_setup(struct verbs *v, enum dev_qp_type type);

/* Of the struct verbs in *state; asserts that nothing of the device is left. */
int verbs_teardown(void **state);

/* A gid of the peers: its last byte. */
void verbs_gid(uint8_t gid[16], uint8_t last);
struct dev_ah *verbs_ah(struct verbs *v, uint8_t last, uint32_t qpn,
			uint64_t cookie);

/* A SEND of data behind hdr; either may be NULL. */
struct dev_wr verbs_send(struct verbs *v, uint64_t id, const char *hdr,
			 struct iovec *iov, void *data, size_t len);

/* Posts a SEND of len bytes, which has to be taken. */
void verbs_send_one(struct verbs *v, uint64_t id, size_t len);

/* Polls once and asserts that just this completion came. */
void verbs_expect(struct verbs *v, enum dev_wc_op op, uint64_t id,
		  uint8_t status);
void verbs_expect_nothing(struct verbs *v);

/* Log lines of level warn since the start of the program. */
unsigned int verbs_warnings(void);
const char *verbs_last_warning(void);

#endif
