/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fake_verbs_objects.c - what is opened on RDMA NICs in memory; only what the
 * provider calls
 */
#include "fake_verbs_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static LIST_HEAD(, fake_ctx) contexts;
static LIST_HEAD(, fake_mr) regions;
static uint32_t last_key;

/* --- contexts --- */

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
	struct fake_ctx *c = calloc(1, sizeof(*c));

	c->device = u_container_of(device, struct fake_device, dev);
	c->ctx.device = device;
	c->ctx.async_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fake_context_ops(&c->ctx.ops);
	pthread_mutex_lock(&fake_lock);
	LIST_INSERT_HEAD(&contexts, c, link);
	fake.objects++;
	pthread_mutex_unlock(&fake_lock);
	return &c->ctx;
}

int ibv_close_device(struct ibv_context *ctx)
{
	struct fake_ctx *c = u_container_of(ctx, struct fake_ctx, ctx);

	pthread_mutex_lock(&fake_lock);
	LIST_REMOVE(c, link);
	fake.objects--;
	pthread_mutex_unlock(&fake_lock);
	close(ctx->async_fd);
	free(c);
	return 0;
}

void fake_event(int d, enum ibv_event_type type)
{
	struct fake_ctx *c;

	pthread_mutex_lock(&fake_lock);
	LIST_FOREACH(c, &contexts, link)
		if (c->device == &fake.device[d])
			c->event[c->nevents++] = (struct ibv_async_event){
				.event_type = type,
				.element.port_num = 1,
			};
	pthread_mutex_unlock(&fake_lock);
}

void fake_unplug(int d)
{
	uint64_t for_ever = 1000000;
	struct fake_qp *qp;

	fake_set(&fake.dead, 1);
	pthread_mutex_lock(&fake_lock);
	LIST_FOREACH(qp, &fake_qps, link)
		if (qp->device == &fake.device[d] && qp->qp.recv_cq->channel &&
		    write(qp->qp.recv_cq->channel->fd, &for_ever,
			  sizeof(for_ever)) < 0)
			abort();
	pthread_mutex_unlock(&fake_lock);
	fake_event(d, IBV_EVENT_DEVICE_FATAL);
}

int ibv_get_async_event(struct ibv_context *ctx, struct ibv_async_event *event)
{
	struct fake_ctx *c = u_container_of(ctx, struct fake_ctx, ctx);
	int rc = -1;

	pthread_mutex_lock(&fake_lock);
	if (c->nevents) {
		*event = c->event[--c->nevents];
		rc = 0;
	}
	pthread_mutex_unlock(&fake_lock);
	return rc;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
	(void)event;
}

static struct fake_device *device_of(struct ibv_context *ctx)
{
	return u_container_of(ctx, struct fake_ctx, ctx)->device;
}

int ibv_query_device(struct ibv_context *ctx, struct ibv_device_attr *attr)
{
	(void)ctx;
	*attr = (struct ibv_device_attr){ .fw_ver = "16.35.2000",
					  .vendor_id = 0x2c9,
					  .vendor_part_id = 4119,
					  .hw_ver = 2,
					  .phys_port_cnt = 1,
					  .max_qp_wr = FAKE_RQ,
					  .max_cqe = FAKE_CQE };
	return 0;
}

#undef ibv_query_port
int ibv_query_port(struct ibv_context *ctx, uint8_t port,
		   struct _compat_ibv_port_attr *attr)
{
	(void)port;
	if (fake_get(&fake.dead))
		return EIO;
	memcpy(attr, &device_of(ctx)->port, sizeof(struct ibv_port_attr));
	return 0;
}

ssize_t _ibv_query_gid_table(struct ibv_context *ctx,
			     struct ibv_gid_entry *entries, size_t max,
			     uint32_t flags, size_t entry_size)
{
	struct fake_device *d = device_of(ctx);

	(void)max;
	(void)flags;
	memcpy(entries, d->gid, (size_t)d->ngids * entry_size);
	return d->ngids;
}

int ibv_query_gid(struct ibv_context *ctx, uint8_t port, int index,
		  union ibv_gid *gid)
{
	(void)port;
	*gid = device_of(ctx)->gid[index].gid;
	return 0;
}

enum ibv_fork_status ibv_is_fork_initialized(void)
{
	return IBV_FORK_UNNEEDED;
}

int ibv_fork_init(void)
{
	return 0;
}

const char *ibv_wc_status_str(enum ibv_wc_status status)
{
	return status == IBV_WC_WR_FLUSH_ERR ? "flushed" : "failed";
}

/* --- objects --- */

static void *object(size_t size)
{
	pthread_mutex_lock(&fake_lock);
	fake.objects++;
	pthread_mutex_unlock(&fake_lock);
	return calloc(1, size);
}

static int object_end(void *p)
{
	pthread_mutex_lock(&fake_lock);
	fake.objects--;
	pthread_mutex_unlock(&fake_lock);
	free(p);
	return 0;
}

struct ibv_pd *ibv_alloc_pd(struct ibv_context *ctx)
{
	struct ibv_pd *pd = object(sizeof(*pd));

	pd->context = ctx;
	return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	return object_end(pd);
}

#undef ibv_reg_mr
struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t len, int access)
{
	struct fake_mr *mr;

	(void)access;
	pthread_mutex_lock(&fake_lock);
	if (fake.pin_max && fake.pinned + len > fake.pin_max) {
		pthread_mutex_unlock(&fake_lock);
		errno = ENOMEM;
		return NULL;
	}
	mr = calloc(1, sizeof(*mr));
	mr->mr = (struct ibv_mr){ .pd = pd, .addr = addr, .length = len };
	mr->mr.lkey = ++last_key;
	LIST_INSERT_HEAD(&regions, mr, link);
	fake.pinned += len;
	fake.objects++;
	pthread_mutex_unlock(&fake_lock);
	return &mr->mr;
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t len,
				uint64_t iova, unsigned int access)
{
	(void)iova;
	return ibv_reg_mr(pd, addr, len, (int)access);
}

int ibv_dereg_mr(struct ibv_mr *m)
{
	struct fake_mr *mr = u_container_of(m, struct fake_mr, mr);

	pthread_mutex_lock(&fake_lock);
	LIST_REMOVE(mr, link);
	fake.pinned -= m->length;
	pthread_mutex_unlock(&fake_lock);
	return object_end(mr);
}

bool fake_registered(const struct ibv_sge *sge)
{
	uint64_t at = sge->addr, end = at + sge->length;
	const struct fake_mr *mr;

	LIST_FOREACH(mr, &regions, link)
		if (mr->mr.lkey == sge->lkey)
			return at >= (uintptr_t)mr->mr.addr &&
			       end <= (uintptr_t)mr->mr.addr + mr->mr.length;
	return false;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *ctx)
{
	struct ibv_comp_channel *channel = object(sizeof(*channel));

	channel->context = ctx;
	channel->fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	return channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
	close(channel->fd);
	return object_end(channel);
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq,
		     void **context)
{
	uint64_t one;

	*cq = NULL;
	*context = NULL;
	return read(channel->fd, &one, sizeof(one)) == sizeof(one) ? 0 : -1;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int n)
{
	(void)cq;
	(void)n;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *ctx, int cqe, void *context,
			     struct ibv_comp_channel *channel, int vector)
{
	struct fake_cq *cq = object(sizeof(*cq));

	(void)vector;
	cq->cq.context = ctx;
	cq->cq.cq_context = context;
	cq->cq.channel = channel;
	cq->cq.cqe = cqe;
	return &cq->cq;
}

int ibv_destroy_cq(struct ibv_cq *c)
{
	return object_end(u_container_of(c, struct fake_cq, cq));
}

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	struct fake_qp *qp;

	if (attr->cap.max_inline_data > fake.inline_max) {
		errno = EINVAL;
		return NULL;
	}
	qp = object(sizeof(*qp));
	qp->device = device_of(pd->context);
	qp->qp.context = pd->context;
	qp->qp.pd = pd;
	qp->qp.send_cq = attr->send_cq;
	qp->qp.recv_cq = attr->recv_cq;
	qp->depth = attr->cap.max_send_wr;
	qp->rq_depth = attr->cap.max_recv_wr;
	pthread_mutex_lock(&fake_lock);
	qp->qp.qp_num = ++fake_next_qpn;
	LIST_INSERT_HEAD(&fake_qps, qp, link);
	pthread_mutex_unlock(&fake_lock);
	return &qp->qp;
}

int ibv_destroy_qp(struct ibv_qp *q)
{
	struct fake_qp *qp = u_container_of(q, struct fake_qp, qp);

	pthread_mutex_lock(&fake_lock);
	LIST_REMOVE(qp, link);
	pthread_mutex_unlock(&fake_lock);
	return object_end(qp);
}

int ibv_modify_qp(struct ibv_qp *q, struct ibv_qp_attr *attr, int mask)
{
	struct fake_qp *qp = u_container_of(q, struct fake_qp, qp);

	if (fake_get(&fake.dead))
		return EIO;
	pthread_mutex_lock(&fake_lock);
	qp->state = attr->qp_state;
	if (mask & IBV_QP_QKEY)
		qp->qkey = attr->qkey;
	if (attr->qp_state == IBV_QPS_RESET) {
		qp->rq_head = qp->rq_tail;
		qp->unsignalled = 0;
	}
	pthread_mutex_unlock(&fake_lock);
	return 0;
}

/* Until the network answers. */
static void ah_wait(void)
{
	pthread_mutex_lock(&fake_lock);
	while (fake.ah_wait && !fake.ah_pass)
		pthread_cond_wait(&fake_changed, &fake_lock);
	fake.ah_pass -= fake.ah_wait;
	pthread_mutex_unlock(&fake_lock);
}

struct ibv_ah *ibv_create_ah(struct ibv_pd *pd, struct ibv_ah_attr *attr)
{
	struct fake_ah *ah;

	ah_wait();
	errno = fake_get(&fake.ah_errno);
	if (fake.ah_max && fake_get(&fake.handles) >= fake.ah_max)
		errno = ENOMEM;
	if (errno)
		return NULL;
	ah = object(sizeof(*ah));
	ah->ah.context = pd->context;
	ah->ah.pd = pd;
	ah->attr = *attr;
	ah->device = device_of(pd->context);
	pthread_mutex_lock(&fake_lock);
	fake.last_ah = *attr;
	fake.handles++;
	fake.handles_made++;
	pthread_mutex_unlock(&fake_lock);
	return &ah->ah;
}

int ibv_destroy_ah(struct ibv_ah *a)
{
	pthread_mutex_lock(&fake_lock);
	fake.handles--;
	pthread_mutex_unlock(&fake_lock);
	return object_end(u_container_of(a, struct fake_ah, ah));
}
