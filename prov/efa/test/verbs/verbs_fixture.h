/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_fixture.h - what the tests of the verbs face share
 *
 * The library is linked, not preloaded: the functions of libibverbs that a test
 * calls are ours. Two queue pairs on loopback talk to each other, each on a
 * device of its own.
 */
#ifndef VERBS_FIXTURE_H
#define VERBS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <infiniband/efadv.h>
#include <infiniband/verbs.h>

#define VT_QKEY 0x1234
#define VT_BUF 20000
#define VT_DEPTH 16

struct vt_end {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq_ex *cq; /* of both directions */
	struct ibv_qp *qp;
	struct ibv_qp_ex *ex;
	struct ibv_ah *ah; /* to the other */
	struct ibv_mr *mr; /* all access */
	union ibv_gid gid;
	char buf[VT_BUF];
};

struct vt {
	char dir[64]; /* of shared memory */
	struct vt_end a, b;
};

/* Nothing open; a device; all but a queue pair; SRD or UD ones that can send. */
int vt_setup(void **state);
int vt_setup_device(void **state); /* a.ctx, a.pd */
int vt_setup_end(void **state); /* a */
int vt_setup_srd(void **state);
int vt_setup_srd_far(void **state); /* without shared memory */
int vt_setup_ud(void **state);
int vt_teardown(void **state);

#define VT_DEVICE(f) \
	cmocka_unit_test_setup_teardown(f, vt_setup_device, vt_teardown)
#define VT_END(f) cmocka_unit_test_setup_teardown(f, vt_setup_end, vt_teardown)
#define VT_SRD(f) cmocka_unit_test_setup_teardown(f, vt_setup_srd, vt_teardown)
#define VT_UD(f) cmocka_unit_test_setup_teardown(f, vt_setup_ud, vt_teardown)
#define VT_EACH(f)                                                \
	{ #f " shm", f, vt_setup_srd, vt_teardown, NULL },        \
	{                                                         \
#f " far", f, vt_setup_srd_far, vt_teardown, NULL \
	}

struct ibv_context *vt_open(void);
void vt_open_end(struct vt_end *e);
void vt_close_end(struct vt_end *e);
/* Log lines with this text so far in the test. */
bool vt_logged(const char *part);

/* A queue pair in RESET, as efadv_create_qp_ex or ibv_create_qp_ex makes it. */
struct ibv_qp_init_attr_ex vt_qp_attr(struct vt_end *e, bool srd);
struct ibv_qp *vt_create_qp(struct vt_end *e, bool srd);
void vt_to_rts(struct ibv_qp *qp, uint8_t rnr_retry);

/* The next entry, waited for; the peer is polled too when given. */
struct ibv_wc vt_wait(struct vt_end *e);
bool vt_is_empty(struct vt_end *e);

/* Posts a receive of len bytes of buf at offset. */
int vt_recv(struct vt_end *e, uint64_t id, uint32_t offset, uint32_t len);
/* Sends that many bytes of buf; the errno of posting. */
int vt_send(struct vt_end *e, struct vt_end *to, uint64_t id, uint32_t len);

/* A send by hand: the session is open until vt_complete. */
void vt_start(struct vt_end *e, uint64_t id);
int vt_complete(struct vt_end *e, struct vt_end *to);

#endif
