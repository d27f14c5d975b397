/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_fixture.c - what the tests of the verbs face share
 */
#include "verbs_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/u_log.h"
#include "util/u_time.h"

#define WAIT (20 * U_SEC)

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[8192];

static void log_line(enum u_log_level level, const char *line)
{
	size_t at;

	(void)level;
	pthread_mutex_lock(&log_lock);
	at = strlen(log_text);
	snprintf(log_text + at, sizeof(log_text) - at, "%s\n", line);
	pthread_mutex_unlock(&log_lock);
}

bool vt_logged(const char *part)
{
	return strstr(log_text, part) != NULL;
}

int vt_setup(void **state)
{
	struct vt *t = calloc(1, sizeof(*t));

	log_text[0] = 0;
	u_log_set_sink(log_line);
	strcpy(t->dir, "/dev/shm/efa-verbs-test-XXXXXX");
	if (!mkdtemp(t->dir))
		return -1;
	setenv("FI_EFA_IFACE", "lo", 1);
	setenv("FI_EFA_SHM_DIR", t->dir, 1);
	*state = t;
	return 0;
}

struct ibv_context *vt_open(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *ctx;

	assert_non_null(list);
	assert_string_equal(ibv_get_device_name(list[0]), "soft_lo");
	ctx = ibv_open_device(list[0]);
	ibv_free_device_list(list);
	assert_non_null(ctx);
	return ctx;
}

int vt_setup_device(void **state)
{
	struct vt *t;

	if (vt_setup(state))
		return -1;
	t = *state;
	t->a.ctx = vt_open();
	t->a.pd = ibv_alloc_pd(t->a.ctx);
	return t->a.pd ? 0 : -1;
}

/* --- ends --- */

void vt_open_end(struct vt_end *e)
{
	struct ibv_cq_init_attr_ex attr = {
		.cqe = 4 * VT_DEPTH,
		.wc_flags = IBV_WC_STANDARD_FLAGS,
	};
	struct efadv_cq_init_attr efa = { .wc_flags = EFADV_WC_EX_WITH_SGID };

	e->ctx = vt_open();
	e->pd = ibv_alloc_pd(e->ctx);
	e->channel = ibv_create_comp_channel(e->ctx);
	assert_non_null(e->channel);
	attr.channel = e->channel;
	e->cq = efadv_create_cq(e->ctx, &attr, &efa, sizeof(efa));
	assert_non_null(e->cq);
	e->mr = ibv_reg_mr(e->pd, e->buf, VT_BUF,
			   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
				   IBV_ACCESS_REMOTE_WRITE);
	assert_non_null(e->mr);
	assert_int_equal(ibv_query_gid(e->ctx, 1, 0, &e->gid), 0);
}

void vt_close_end(struct vt_end *e)
{
	if (e->qp)
		assert_int_equal(ibv_destroy_qp(e->qp), 0);
	if (e->ah)
		assert_int_equal(ibv_destroy_ah(e->ah), 0);
	if (e->mr)
		assert_int_equal(ibv_dereg_mr(e->mr), 0);
	if (e->cq)
		assert_int_equal(ibv_destroy_cq(ibv_cq_ex_to_cq(e->cq)), 0);
	if (e->channel)
		assert_int_equal(ibv_destroy_comp_channel(e->channel), 0);
	if (e->pd)
		assert_int_equal(ibv_dealloc_pd(e->pd), 0);
	if (e->ctx)
		assert_int_equal(ibv_close_device(e->ctx), 0);
	memset(e, 0, offsetof(struct vt_end, buf));
}

struct ibv_qp_init_attr_ex vt_qp_attr(struct vt_end *e, bool srd)
{
	return (struct ibv_qp_init_attr_ex){
		.send_cq = ibv_cq_ex_to_cq(e->cq),
		.recv_cq = ibv_cq_ex_to_cq(e->cq),
		.cap = { .max_send_wr = VT_DEPTH,
			 .max_recv_wr = VT_DEPTH,
			 .max_send_sge = 2,
			 .max_recv_sge = 2,
			 .max_inline_data = 32 },
		.qp_type = srd ? IBV_QPT_DRIVER : IBV_QPT_UD,
		.sq_sig_all = 1,
		.comp_mask = IBV_QP_INIT_ATTR_PD |
			     IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = e->pd,
		.send_ops_flags =
			IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM |
			(srd ? IBV_QP_EX_WITH_RDMA_READ |
					 IBV_QP_EX_WITH_RDMA_WRITE |
					 IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM :
			       0),
	};
}

struct ibv_qp *vt_create_qp(struct vt_end *e, bool srd)
{
	struct ibv_qp_init_attr_ex attr = vt_qp_attr(e, srd);
	struct efadv_qp_init_attr efa = { 0 };

	return srd ? efadv_create_qp_ex(e->ctx, &attr, &efa, sizeof(efa)) :
		     ibv_create_qp_ex(e->ctx, &attr);
}

void vt_to_rts(struct ibv_qp *qp, uint8_t rnr_retry)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qkey = VT_QKEY,
		.rnr_retry = rnr_retry,
	};
	int rnr = qp->qp_type == IBV_QPT_DRIVER ? IBV_QP_RNR_RETRY : 0;

	assert_int_equal(ibv_modify_qp(qp, &attr,
				       IBV_QP_STATE | IBV_QP_PKEY_INDEX |
					       IBV_QP_PORT | IBV_QP_QKEY),
			 0);
	attr.qp_state = IBV_QPS_RTR;
	assert_int_equal(ibv_modify_qp(qp, &attr, IBV_QP_STATE), 0);
	attr.qp_state = IBV_QPS_RTS;
	assert_int_equal(ibv_modify_qp(qp, &attr,
				       IBV_QP_STATE | IBV_QP_SQ_PSN | rnr),
			 0);
}

int vt_setup_end(void **state)
{
	struct vt *t;

	if (vt_setup(state))
		return -1;
	t = *state;
	vt_open_end(&t->a);
	return 0;
}

static void open_qp(struct vt_end *e, const struct vt_end *to, bool srd)
{
	struct ibv_ah_attr attr = { .port_num = 1, .is_global = 1 };

	e->qp = vt_create_qp(e, srd);
	assert_non_null(e->qp);
	e->ex = ibv_qp_to_qp_ex(e->qp);
	assert_non_null(e->ex);
	vt_to_rts(e->qp, 7);
	attr.grh.dgid = to->gid;
	e->ah = ibv_create_ah(e->pd, &attr);
	assert_non_null(e->ah);
}

static int setup_pair(void **state, bool srd)
{
	struct vt *t;

	if (vt_setup(state))
		return -1;
	t = *state;
	vt_open_end(&t->a);
	vt_open_end(&t->b);
	open_qp(&t->a, &t->b, srd);
	open_qp(&t->b, &t->a, srd);
	return 0;
}

int vt_setup_srd(void **state)
{
	return setup_pair(state, true);
}

int vt_setup_srd_far(void **state)
{
	int rc;

	setenv("FI_EFA_ENABLE_SHM_TRANSFER", "0", 1);
	rc = setup_pair(state, true);
	unsetenv("FI_EFA_ENABLE_SHM_TRANSFER");
	return rc;
}

int vt_setup_ud(void **state)
{
	return setup_pair(state, false);
}

int vt_teardown(void **state)
{
	struct vt *t = *state;
	int rc;

	vt_close_end(&t->a);
	vt_close_end(&t->b);
	/* Whoever leaves a file behind fails here. */
	rc = rmdir(t->dir);
	u_log_set_sink(NULL);
	free(t);
	return rc;
}

/* --- traffic --- */

struct ibv_wc vt_wait(struct vt_end *e)
{
	uint64_t end = u_now() + WAIT;
	struct ibv_wc wc;
	int n;

	while (!(n = ibv_poll_cq(ibv_cq_ex_to_cq(e->cq), 1, &wc)))
		assert_true(u_now() < end);
	assert_int_equal(n, 1);
	return wc;
}

bool vt_is_empty(struct vt_end *e)
{
	struct ibv_wc wc;

	return !ibv_poll_cq(ibv_cq_ex_to_cq(e->cq), 1, &wc);
}

int vt_recv(struct vt_end *e, uint64_t id, uint32_t offset, uint32_t len)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)e->buf + offset,
		.length = len,
		.lkey = e->mr->lkey,
	};
	struct ibv_recv_wr wr = { .wr_id = id, .sg_list = &sge, .num_sge = 1 };
	struct ibv_recv_wr *bad = NULL;
	int rc = ibv_post_recv(e->qp, &wr, &bad);

	assert_ptr_equal(bad, rc ? &wr : NULL);
	return rc;
}

void vt_start(struct vt_end *e, uint64_t id)
{
	ibv_wr_start(e->ex);
	e->ex->wr_id = id;
	e->ex->wr_flags = IBV_SEND_SIGNALED;
}

int vt_complete(struct vt_end *e, struct vt_end *to)
{
	ibv_wr_set_ud_addr(e->ex, e->ah, to->qp->qp_num, VT_QKEY);
	return ibv_wr_complete(e->ex);
}

int vt_send(struct vt_end *e, struct vt_end *to, uint64_t id, uint32_t len)
{
	vt_start(e, id);
	ibv_wr_send(e->ex);
	ibv_wr_set_sge(e->ex, e->mr->lkey, (uintptr_t)e->buf, len);
	return vt_complete(e, to);
}
