/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_fake.c - the fake EFA: devices, and objects from birth to death
 */
#include "dev_verbs_fake.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fake_config fake_config;
struct fake_count fake_count;

/* ---- state of the device -------------------------------------------------- */

static struct ibv_device devices[FAKE_DEVICES];
static struct ibv_device *list[FAKE_DEVICES + 1];
static struct fake_qp *qps[64];

struct fake_mr {
	struct ibv_mr mr; /* first */
	LIST_ENTRY(fake_mr) link;
	unsigned int access;
};
static LIST_HEAD(, fake_mr) mrs = LIST_HEAD_INITIALIZER(mrs);
static uint32_t next_key;

struct fake_ah {
	struct ibv_ah ah; /* first */
	uint8_t gid[16];
	uint16_t ahn;
};
static struct fake_ah *ahs[256];

struct fake_context {
	struct verbs_context verbs;
	struct ibv_async_event events[8];
	int nevents;
};

static struct fake_context *fctx(struct ibv_context *ctx)
{
	return (struct fake_context *)((char *)ctx -
				       offsetof(struct fake_context,
						verbs.context));
}

void fake_reset(void)
{
	fake_config = (struct fake_config){
		.name = { "efa_0", "mlx5_0", "efa_1" },
		.is_efa = { true, false, true },
		.efa = { .max_sq_wr = 64,
			 .max_rq_wr = 256,
			 .max_sq_sge = 2,
			 .max_rq_sge = 2,
			 .inline_buf_size = 32,
			 .max_rdma_size = 1u << 30,
			 .device_caps = 7 },
		.port = { .state = IBV_PORT_ACTIVE,
			  .max_msg_sz = FAKE_MTU,
			  .active_speed = 64,
			  .active_width = 2 },
		.max_cqe = 32768,
		.cq_flags = UINT64_MAX,
		.qp_flags = UINT16_MAX,
		.comp_vectors = 1,
		.fork = IBV_FORK_UNNEEDED,
		.max_ahs = 256,
		.max_mrs = 4096,
		.sysfs = "/nowhere",
	};
	fake_count = (struct fake_count){ .contexts = 0 };
}

void fake_assert_empty(void)
{
	assert(!fake_count.contexts && !fake_count.pds && !fake_count.mrs &&
	       !fake_count.ahs && !fake_count.cqs && !fake_count.qps &&
	       !fake_count.channels);
}

/* ---- devices ---------------------------------------------------------------- */

struct ibv_device **ibv_get_device_list(int *n)
{
	*n = 0;
	for (int i = 0; i < FAKE_DEVICES; i++) {
		if (!fake_config.name[i])
			continue;
		memset(&devices[i], 0, sizeof(devices[i]));
		strcpy(devices[i].name, fake_config.name[i]);
		strcpy(devices[i].ibdev_path, fake_config.sysfs);
		list[(*n)++] = &devices[i];
	}
	list[*n] = NULL;
	return list;
}

void ibv_free_device_list(struct ibv_device **l)
{
	assert(l == list);
}

const char *ibv_get_device_name(struct ibv_device *device)
{
	return device->name;
}

static int query_port(struct ibv_context *ctx, uint8_t port,
		      struct ibv_port_attr *attr, size_t size)
{
	assert(port == 1 && size == sizeof(*attr));
	*attr = fake_config.port;
	return 0;
}

static struct ibv_cq_ex *create_cq_ex(struct ibv_context *ctx,
				      struct ibv_cq_init_attr_ex *attr)
{
	struct fake_cq *cq = fake_cq_new(ctx, attr);

	fake_cq_ops(cq, false);
	return &cq->ex;
}

/* Requests longer than plain ones take two places. */
static bool fits(const struct ibv_qp_cap *cap)
{
	const struct efadv_device_attr *efa = &fake_config.efa;

	if (cap->max_inline_data <= efa->inline_buf_size)
		return cap->max_send_wr <= efa->max_sq_wr;
	return cap->max_inline_data <= fake_config.inline_wide &&
	       cap->max_send_wr <= efa->max_sq_wr / 2;
}

static struct ibv_qp *qp_new(struct ibv_context *ctx,
			     struct ibv_qp_init_attr_ex *attr, bool srd)
{
	struct fake_qp *qp;
	uint32_t n = 1;

	while (n < 64 && qps[n])
		n++;
	assert(n < 64 && attr->sq_sig_all &&
	       attr->comp_mask ==
		       (IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS));
	if (!fits(&attr->cap)) {
		errno = EINVAL;
		return NULL;
	}
	if (fake_config.max_qps && fake_count.qps == fake_config.max_qps) {
		errno = ENOMEM;
		return NULL;
	}
	qp = calloc(1, sizeof(*qp));
	assert(qp);
	qp->attr = *attr;
	qp->srd = srd;
	qp->cq = (struct fake_cq *)attr->send_cq;
	qp->ex.qp_base.context = ctx;
	qp->ex.qp_base.qp_context = attr->qp_context;
	qp->ex.qp_base.qp_num = n;
	STAILQ_INIT(&qp->sends);
	STAILQ_INIT(&qp->recvs);
	fake_qp_ops(qp);
	qps[n] = qp;
	fake_count.qps++;
	return &qp->ex.qp_base;
}

static struct ibv_qp *create_qp_ex(struct ibv_context *ctx,
				   struct ibv_qp_init_attr_ex *attr)
{
	assert(attr->qp_type == IBV_QPT_UD);
	return qp_new(ctx, attr, false);
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
	struct fake_context *f = calloc(1, sizeof(*f));

	assert(f);
	f->verbs.sz = sizeof(f->verbs);
	f->verbs.query_port = query_port;
	f->verbs.create_cq_ex = create_cq_ex;
	f->verbs.create_qp_ex = create_qp_ex;
	f->verbs.context.abi_compat = __VERBS_ABI_IS_EXTENDED;
	f->verbs.context.device = device;
	f->verbs.context.async_fd = dup(0);
	f->verbs.context.num_comp_vectors = fake_config.comp_vectors;
	f->verbs.context.ops.post_recv = fake_post_recv;
	f->verbs.context.ops.req_notify_cq = fake_req_notify;
	fake_count.contexts++;
	return &f->verbs.context;
}

int ibv_close_device(struct ibv_context *ctx)
{
	close(ctx->async_fd);
	free(fctx(ctx));
	fake_count.contexts--;
	return 0;
}

int ibv_query_device(struct ibv_context *ctx, struct ibv_device_attr *attr)
{
	*attr = (struct ibv_device_attr){
		.fw_ver = "1.2.3",
		.vendor_id = 0x1d0f,
		.vendor_part_id = 0xefa2,
		.hw_ver = 7,
		.max_qp = 256,
		.max_cq = 512,
		.max_mr = 1024,
		.max_ah = 2048,
		.max_cqe = (int)fake_config.max_cqe,
	};
	return 0;
}

/* The last byte tells devices apart. */
int ibv_query_gid(struct ibv_context *ctx, uint8_t port, int index,
		  union ibv_gid *gid)
{
	assert(port == 1 && index == 0);
	memset(gid, 0, sizeof(*gid));
	gid->raw[0] = 0xfe;
	gid->raw[1] = 0x80;
	gid->raw[15] = (uint8_t)(ctx->device - devices + 1);
	return 0;
}

int efadv_query_device(struct ibv_context *ctx, struct efadv_device_attr *attr,
		       uint32_t size)
{
	if (!fake_config.is_efa[ctx->device - devices])
		return EOPNOTSUPP;
	assert(size >= sizeof(*attr));
	*attr = fake_config.efa;
	return 0;
}

enum ibv_fork_status ibv_is_fork_initialized(void)
{
	return (enum ibv_fork_status)fake_config.fork;
}

int ibv_fork_init(void)
{
	fake_count.fork_inits++;
	fake_config.fork = IBV_FORK_ENABLED;
	return 0;
}

/* ---- events -------------------------------------------------------------------- */

void fake_event(struct ibv_context *ctx, enum ibv_event_type type,
		void *element)
{
	struct fake_context *f = fctx(ctx);

	assert(f->nevents < 8);
	f->events[f->nevents].event_type = type;
	f->events[f->nevents++].element.qp = element;
}

int ibv_get_async_event(struct ibv_context *ctx, struct ibv_async_event *event)
{
	struct fake_context *f = fctx(ctx);

	if (!f->nevents) {
		errno = EAGAIN;
		return -1;
	}
	*event = f->events[--f->nevents];
	return 0;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
	(void)event;
}

const char *ibv_event_type_str(enum ibv_event_type type)
{
	(void)type;
	return "event";
}

/* ---- memory ---------------------------------------------------------------------- */

struct ibv_pd *ibv_alloc_pd(struct ibv_context *ctx)
{
	struct ibv_pd *pd = calloc(1, sizeof(*pd));

	assert(pd);
	pd->context = ctx;
	fake_count.pds++;
	return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	free(pd);
	fake_count.pds--;
	return 0;
}

static struct ibv_mr *mr_new(struct ibv_pd *pd, void *addr, size_t len,
			     unsigned int access)
{
	struct fake_mr *mr;

	if (fake_count.mrs >= fake_config.max_mrs)
		errno = ENOMEM;
	else if (fake_config.read_only && (access & IBV_ACCESS_LOCAL_WRITE))
		errno = EFAULT;
	else if (!len)
		errno = EINVAL;
	else
		errno = 0;
	if (errno)
		return NULL;
	mr = calloc(1, sizeof(*mr));
	assert(mr);
	mr->mr.pd = pd;
	mr->mr.addr = addr;
	mr->mr.length = len;
	mr->mr.lkey = ++next_key;
	mr->mr.rkey = mr->mr.lkey;
	mr->access = access;
	LIST_INSERT_HEAD(&mrs, mr, link);
	fake_count.mrs++;
	fake_count.regs++;
	return &mr->mr;
}

struct ibv_mr *(ibv_reg_mr)(struct ibv_pd *pd, void *addr, size_t len,
			    int access)
{
	return mr_new(pd, addr, len, (unsigned int)access);
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t len,
				uint64_t iova, unsigned int access)
{
	assert(iova == (uintptr_t)addr);
	return mr_new(pd, addr, len, access);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	LIST_REMOVE((struct fake_mr *)mr, link);
	free(mr);
	fake_count.mrs--;
	return 0;
}

bool fake_is_registered(const struct ibv_sge *sge)
{
	struct fake_mr *mr;

	LIST_FOREACH(mr, &mrs, link) {
		uint64_t from = (uintptr_t)mr->mr.addr;

		if (mr->mr.lkey == sge->lkey)
			return sge->addr >= from &&
			       sge->addr + sge->length <= from + mr->mr.length;
	}
	return false;
}

/* ---- address handles ---------------------------------------------------------------- */

struct ibv_ah *ibv_create_ah(struct ibv_pd *pd, struct ibv_ah_attr *attr)
{
	struct fake_ah *ah;
	uint16_t n = 0;

	assert(attr->is_global && attr->port_num == 1);
	if (fake_count.ahs >= fake_config.max_ahs) {
		errno = ENOMEM;
		return NULL;
	}
	while (ahs[n])
		n++;
	ah = calloc(1, sizeof(*ah));
	assert(ah);
	ah->ahn = n;
	memcpy(ah->gid, attr->grh.dgid.raw, sizeof(ah->gid));
	ahs[n] = ah;
	fake_count.ahs++;
	fake_count.ahs_made++;
	return &ah->ah;
}

/* No request of a living queue pair may name it. */
int ibv_destroy_ah(struct ibv_ah *ibv)
{
	struct fake_wr *wr;

	for (uint32_t i = 0; i < 64; i++)
		if (qps[i])
			STAILQ_FOREACH(wr, &qps[i]->sends, link)
				assert(wr->ah != ibv);
	ahs[fake_ahn(ibv)] = NULL;
	free(ibv);
	fake_count.ahs--;
	return 0;
}

uint16_t fake_ahn(struct ibv_ah *ibv)
{
	return ((struct fake_ah *)ibv)->ahn;
}

int efadv_query_ah(struct ibv_ah *ibv, struct efadv_ah_attr *attr,
		   uint32_t size)
{
	attr->ahn = fake_ahn(ibv);
	return 0;
}

/* ---- completion queues ----------------------------------------------------------------- */

/* A pipe stands for the channel; its queue lies behind it. */
struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *ctx)
{
	struct ibv_comp_channel *c = calloc(1, sizeof(*c) + sizeof(void *));
	int fds[2];

	if (!c || pipe(fds))
		abort();
	c->context = ctx;
	c->fd = fds[0];
	c->refcnt = fds[1];
	fake_count.channels++;
	return c;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *c)
{
	close(c->fd);
	close(c->refcnt);
	free(c);
	fake_count.channels--;
	return 0;
}

struct fake_cq *fake_cq_new(struct ibv_context *ctx,
			    const struct ibv_cq_init_attr_ex *attr)
{
	struct fake_cq *cq = calloc(1, sizeof(*cq));

	assert(cq && attr->cqe && attr->cqe <= fake_config.max_cqe);
	assert(attr->wc_flags == IBV_WC_STANDARD_FLAGS && !attr->comp_mask);
	cq->ex.context = ctx;
	cq->ex.cq_context = attr->cq_context;
	cq->ex.channel = attr->channel;
	cq->ex.cqe = 1024;
	if (attr->channel)
		*(struct fake_cq **)(void *)(attr->channel + 1) = cq;
	STAILQ_INIT(&cq->entries);
	fake_count.cqs++;
	return cq;
}

struct ibv_cq_ex *efadv_create_cq(struct ibv_context *ctx,
				  struct ibv_cq_init_attr_ex *attr,
				  struct efadv_cq_init_attr *efa, uint32_t size)
{
	struct fake_cq *cq;

	if (fake_config.no_efa_cq || efa->wc_flags & ~fake_config.cq_flags) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	cq = fake_cq_new(ctx, attr);
	cq->wc_flags = efa->wc_flags;
	fake_cq_ops(cq, efa->wc_flags & EFADV_WC_EX_WITH_SGID);
	return &cq->ex;
}

struct efadv_cq *efadv_cq_from_ibv_cq_ex(struct ibv_cq_ex *ex)
{
	return &((struct fake_cq *)ex)->efa;
}

int ibv_destroy_cq(struct ibv_cq *ibv)
{
	struct fake_cq *cq = (struct fake_cq *)ibv;
	struct fake_entry *e;

	assert(!cq->unacked);
	for (uint32_t i = 0; i < 64; i++)
		assert(!qps[i] || qps[i]->cq != cq);
	while ((e = STAILQ_FIRST(&cq->entries))) {
		STAILQ_REMOVE_HEAD(&cq->entries, link);
		free(e);
	}
	free(cq->at);
	free(cq);
	fake_count.cqs--;
	return 0;
}

/* ---- queue pairs --------------------------------------------------------------------------- */

struct ibv_qp *efadv_create_qp_ex(struct ibv_context *ctx,
				  struct ibv_qp_init_attr_ex *attr,
				  struct efadv_qp_init_attr *efa, uint32_t size)
{
	/* The rest follows; older headers call it reserved. */
	const char *more = (const char *)(&efa->driver_qp_type + 1);
	struct ibv_qp *ibv;
	struct fake_qp *qp;
	uint16_t flags;
	uint8_t sl;

	assert(attr->qp_type == IBV_QPT_DRIVER &&
	       efa->driver_qp_type == EFADV_QP_DRIVER_TYPE_SRD);
	memcpy(&flags, more, sizeof(flags));
	memcpy(&sl, more + sizeof(flags), sizeof(sl));
	if ((flags & ~fake_config.qp_flags) || (sl && fake_config.no_sl)) {
		errno = sl ? EINVAL : EOPNOTSUPP;
		return NULL;
	}
	ibv = qp_new(ctx, attr, true);
	qp = (struct fake_qp *)ibv;
	if (qp) {
		qp->flags = flags;
		qp->sl = sl;
	}
	return ibv;
}

struct ibv_qp_ex *ibv_qp_to_qp_ex(struct ibv_qp *ibv)
{
	return &((struct fake_qp *)ibv)->ex;
}

int ibv_modify_qp(struct ibv_qp *ibv, struct ibv_qp_attr *attr, int mask)
{
	struct fake_qp *qp = (struct fake_qp *)ibv;

	assert(mask & IBV_QP_STATE &&
	       (attr->qp_state == (enum ibv_qp_state)(ibv->state + 1) ||
		attr->qp_state == IBV_QPS_ERR));
	if (attr->qp_state == IBV_QPS_INIT) {
		assert(mask == (IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				IBV_QP_QKEY));
		qp->qkey = attr->qkey;
	} else if (attr->qp_state == IBV_QPS_RTR) {
		assert(mask == IBV_QP_STATE);
	} else if (mask & IBV_QP_RNR_RETRY) {
		assert(qp->srd);
		qp->rnr_retry = attr->rnr_retry;
	}
	ibv->state = attr->qp_state;
	return 0;
}

/* What is under way is forgotten; entries that are there become stale. */
int ibv_destroy_qp(struct ibv_qp *ibv)
{
	struct fake_qp *qp = (struct fake_qp *)ibv;
	struct fake_entry *e;
	struct fake_recv *recv;
	struct fake_wr *wr;

	assert(!qp->cq->polling);
	STAILQ_FOREACH(e, &qp->cq->entries, link)
		if (e->qp == ibv)
			e->qp = NULL;
	while ((wr = STAILQ_FIRST(&qp->sends))) {
		STAILQ_REMOVE_HEAD(&qp->sends, link);
		free(wr);
	}
	while ((recv = STAILQ_FIRST(&qp->recvs))) {
		/* The hardware could write there until this moment. */
		assert(!recv->sge.length || fake_is_registered(&recv->sge));
		STAILQ_REMOVE_HEAD(&qp->recvs, link);
		free(recv);
	}
	qps[ibv->qp_num] = NULL;
	free(qp);
	fake_count.qps--;
	return 0;
}

struct fake_qp *fake_qp(uint32_t qpn)
{
	assert(qpn < 64 && qps[qpn]);
	return qps[qpn];
}
