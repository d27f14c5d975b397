/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fake_verbs.c - RDMA NICs in memory, in the place of libibverbs: devices and
 * the network between them
 */
#include "fake_verbs_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GRH 40

struct fake_verbs fake;

pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t fake_changed = PTHREAD_COND_INITIALIZER;
struct fake_qp_list fake_qps;
uint32_t fake_next_qpn;
static char sysfs[64];

/* --- the devices --- */

void fake_gid_v4(uint8_t last, uint8_t gid[16])
{
	static const uint8_t net[16] = { [10] = 0xff, [11] = 0xff, [12] = 10 };

	memcpy(gid, net, 16);
	gid[15] = last;
}

static struct ibv_gid_entry *gid_entry(struct fake_device *d, int i)
{
	if (d->ngids <= i)
		d->ngids = i + 1;
	d->gid[i] = (struct ibv_gid_entry){ .gid_index = (uint32_t)i,
					    .port_num = 1,
					    .gid_type = IBV_GID_TYPE_ROCE_V2 };
	return &d->gid[i];
}

void fake_set_v4(struct fake_device *d, int i, uint8_t last)
{
	fake_gid_v4(last, gid_entry(d, i)->gid.raw);
}

void fake_set_v6(struct fake_device *d, int i, uint8_t first, uint8_t last)
{
	struct ibv_gid_entry *e = gid_entry(d, i);

	e->gid.raw[0] = first;
	e->gid.raw[1] = 0x80;
	e->gid.raw[15] = last;
}

void fake_set_infiniband(struct fake_device *d, uint16_t lid)
{
	d->port.link_layer = IBV_LINK_LAYER_INFINIBAND;
	d->port.lid = lid;
	fake_set_v6(d, 0, 0xfe, (uint8_t)lid);
}

static void device_init(struct fake_device *d, int i)
{
	memset(d, 0, sizeof(*d));
	d->dev.transport_type = IBV_TRANSPORT_IB;
	snprintf(d->dev.name, sizeof(d->dev.name), "fake%d", i);
	d->port.state = IBV_PORT_ACTIVE;
	d->port.link_layer = IBV_LINK_LAYER_ETHERNET;
	d->port.active_mtu = IBV_MTU_1024;
	d->port.max_mtu = IBV_MTU_4096;
	d->port.active_speed = 4;
	d->port.active_width = 1;
	fake_set_v4(d, 0, (uint8_t)(i + 1));
}

/* The provider looks there before it asks for devices. */
static void sysfs_make(int ndevices)
{
	char path[128];

	strcpy(sysfs, "/tmp/efa-fake-verbs-XXXXXX");
	if (!mkdtemp(sysfs))
		abort();
	snprintf(path, sizeof(path), "%s/class", sysfs);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/class/infiniband", sysfs);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/class/infiniband/fake", sysfs);
	if (ndevices)
		mkdir(path, 0700);
	setenv("SYSFS_PATH", sysfs, 1);
}

void fake_reset(int ndevices)
{
	memset(&fake, 0, sizeof(fake));
	fake.ndevices = ndevices;
	fake.inline_max = 128;
	fake_next_qpn = 0x10000;
	for (int i = 0; i < FAKE_DEVICES; i++)
		device_init(&fake.device[i], i);
	sysfs_make(ndevices);
}

void fake_end(void)
{
	static const char *const parts[] = { "/class/infiniband/fake",
					     "/class/infiniband", "/class",
					     "" };
	char path[128];

	for (size_t i = 0; i < u_array_size(parts); i++) {
		snprintf(path, sizeof(path), "%s%s", sysfs, parts[i]);
		rmdir(path);
	}
	unsetenv("SYSFS_PATH");
}

void fake_set(int *knob, int value)
{
	pthread_mutex_lock(&fake_lock);
	*knob = value;
	pthread_cond_broadcast(&fake_changed);
	pthread_mutex_unlock(&fake_lock);
}

int fake_get(const int *counter)
{
	int value;

	pthread_mutex_lock(&fake_lock);
	value = *counter;
	pthread_mutex_unlock(&fake_lock);
	return value;
}

struct ibv_device **ibv_get_device_list(int *n)
{
	struct ibv_device **list = calloc(FAKE_DEVICES + 1, sizeof(*list));

	fake.lists++;
	for (int i = 0; i < fake.ndevices; i++)
		list[i] = &fake.device[i].dev;
	*n = fake.ndevices;
	return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
	free(list);
}

const char *ibv_get_device_name(struct ibv_device *device)
{
	return device->name;
}

/* --- completions --- */

static void cq_put(struct ibv_cq *c, const struct ibv_wc *wc)
{
	struct fake_cq *cq = u_container_of(c, struct fake_cq, cq);
	uint64_t one = 1;

	if (cq->tail - cq->head == FAKE_CQE)
		abort();
	cq->wc[cq->tail++ % FAKE_CQE] = *wc;
	if (!cq->armed || !c->channel)
		return;
	cq->armed = false;
	if (write(c->channel->fd, &one, sizeof(one)) < 0)
		abort();
}

static int poll_cq(struct ibv_cq *c, int max, struct ibv_wc *wc)
{
	struct fake_cq *cq = u_container_of(c, struct fake_cq, cq);
	int n = 0;

	pthread_mutex_lock(&fake_lock);
	while (n < max && cq->head != cq->tail)
		wc[n++] = cq->wc[cq->head++ % FAKE_CQE];
	pthread_mutex_unlock(&fake_lock);
	return n;
}

static int req_notify(struct ibv_cq *c, int solicited)
{
	(void)solicited;
	pthread_mutex_lock(&fake_lock);
	u_container_of(c, struct fake_cq, cq)->armed = true;
	pthread_mutex_unlock(&fake_lock);
	return 0;
}

/* --- packets --- */

static struct fake_qp *qp_find(uint32_t qpn)
{
	struct fake_qp *qp;

	LIST_FOREACH(qp, &fake_qps, link)
		if (qp->qp.qp_num == qpn)
			return qp;
	return NULL;
}

static void deliver(struct fake_qp *qp, const uint8_t *grh, const void *bytes,
		    uint32_t len, unsigned int wc_flags, uint16_t slid)
{
	struct fake_recv *r;
	struct ibv_wc wc = { .status = IBV_WC_SUCCESS,
			     .opcode = IBV_WC_RECV,
			     .byte_len = GRH + len,
			     .wc_flags = wc_flags,
			     .slid = slid,
			     .qp_num = qp->qp.qp_num };

	if (qp->rq_head == qp->rq_tail) {
		fake.dropped++;
		return;
	}
	r = &qp->rq[qp->rq_head++ % FAKE_RQ];
	wc.wr_id = r->wr_id;
	if (GRH + len <= r->len) {
		memcpy(r->addr, grh, GRH);
		memcpy(r->addr + GRH, bytes, len);
	}
	cq_put(qp->qp.recv_cq, &wc);
}

void fake_deliver(uint32_t qpn, const void *bytes, uint32_t len,
		  unsigned int wc_flags, uint16_t slid)
{
	pthread_mutex_lock(&fake_lock);
	deliver(qp_find(qpn), bytes, (const uint8_t *)bytes + GRH, len - GRH,
		wc_flags, slid);
	pthread_mutex_unlock(&fake_lock);
}

void fake_fail_receive(uint32_t qpn, enum ibv_wc_status status)
{
	struct fake_qp *qp;
	struct ibv_wc wc = { .status = status };

	pthread_mutex_lock(&fake_lock);
	qp = qp_find(qpn);
	wc.wr_id = qp->rq[qp->rq_head++ % FAKE_RQ].wr_id;
	qp->state = IBV_QPS_ERR;
	cq_put(qp->qp.recv_cq, &wc);
	pthread_mutex_unlock(&fake_lock);
}

int fake_posted(uint32_t qpn)
{
	struct fake_qp *qp;
	int n;

	pthread_mutex_lock(&fake_lock);
	qp = qp_find(qpn);
	n = (int)(qp->rq_tail - qp->rq_head);
	pthread_mutex_unlock(&fake_lock);
	return n;
}

static void v4_header(uint8_t *h, const uint8_t *src, const uint8_t *dst)
{
	uint32_t sum = 0;

	h[0] = 0x45;
	h[8] = 64;
	h[9] = 17;
	memcpy(h + 12, src + 12, 4);
	memcpy(h + 16, dst + 12, 4);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)h[i] << 8 | h[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	h[10] = (uint8_t)(sum >> 8);
	h[11] = (uint8_t)sum;
}

static void header_make(const struct fake_ah *ah, uint8_t grh[GRH])
{
	const uint8_t *src = ah->device->gid[ah->attr.grh.sgid_index].gid.raw;
	const uint8_t *dst = ah->attr.grh.dgid.raw;

	memset(grh, 0, GRH);
	if (src[10] == 0xff && src[11] == 0xff) {
		grh[0] = ah->device->v6_look ? 0x6f : 0x99;
		v4_header(grh + 20, src, dst);
		return;
	}
	grh[0] = 0x60;
	memcpy(grh + 8, src, 16);
	memcpy(grh + 24, dst, 16);
}

static void transmit(struct fake_qp *from, const struct ibv_send_wr *wr)
{
	const struct fake_ah *ah =
		u_container_of(wr->wr.ud.ah, struct fake_ah, ah);
	struct fake_qp *to = qp_find(wr->wr.ud.remote_qpn);
	uint8_t grh[GRH], bytes[16384];
	uint32_t len = 0;

	for (int i = 0; i < wr->num_sge; i++) {
		if (!(wr->send_flags & IBV_SEND_INLINE) &&
		    !fake_registered(&wr->sg_list[i]))
			abort();
		memcpy(bytes + len,
		       (const void *)(uintptr_t)wr->sg_list[i].addr,
		       wr->sg_list[i].length);
		len += wr->sg_list[i].length;
	}
	if (fake.lose || !to || to->qkey != wr->wr.ud.remote_qkey ||
	    (to->state != IBV_QPS_RTS && to->state != IBV_QPS_RTR)) {
		fake.dropped++;
		return;
	}
	header_make(ah, grh);
	deliver(to, grh, bytes, len, IBV_WC_GRH, from->device->port.lid);
}

static void send_one(struct fake_qp *qp, const struct ibv_send_wr *wr)
{
	struct ibv_wc wc = { .wr_id = wr->wr_id, .status = fake.send_status };

	fake.sends++;
	fake.inlined += !!(wr->send_flags & IBV_SEND_INLINE);
	fake.signalled += !!(wr->send_flags & IBV_SEND_SIGNALED);
	fake.send_status = IBV_WC_SUCCESS;
	if (qp->state != IBV_QPS_RTS)
		wc.status = IBV_WC_WR_FLUSH_ERR;
	if (wc.status != IBV_WC_SUCCESS)
		qp->state = IBV_QPS_ERR;
	else
		transmit(qp, wr);
	if (wc.status != IBV_WC_SUCCESS || wr->send_flags & IBV_SEND_SIGNALED) {
		qp->unsignalled = 0;
		cq_put(qp->qp.send_cq, &wc);
	} else if (++qp->unsignalled == qp->depth) {
		abort(); /* a real queue would be full for ever */
	}
}

static int post_send(struct ibv_qp *q, struct ibv_send_wr *wr,
		     struct ibv_send_wr **bad)
{
	struct fake_qp *qp = u_container_of(q, struct fake_qp, qp);
	int rc;

	pthread_mutex_lock(&fake_lock);
	rc = fake.post_errno;
	fake.post_errno = 0;
	fake.posts++;
	if (rc)
		*bad = wr;
	for (; wr && !rc; wr = wr->next)
		send_one(qp, wr);
	pthread_mutex_unlock(&fake_lock);
	return rc;
}

static int post_recv(struct ibv_qp *q, struct ibv_recv_wr *wr,
		     struct ibv_recv_wr **bad)
{
	struct fake_qp *qp = u_container_of(q, struct fake_qp, qp);
	int rc = 0;

	pthread_mutex_lock(&fake_lock);
	fake.recv_posts++;
	for (; wr && !rc; wr = wr->next) {
		if (qp->state == IBV_QPS_RESET || qp->state == IBV_QPS_ERR)
			rc = EINVAL;
		else if (qp->rq_tail - qp->rq_head == qp->rq_depth)
			rc = ENOMEM;
		else if (!fake_registered(wr->sg_list))
			abort();
		*bad = wr;
		if (rc)
			break;
		fake.recvs++;
		qp->rq[qp->rq_tail++ % FAKE_RQ] = (struct fake_recv){
			.wr_id = wr->wr_id,
			.addr = (uint8_t *)(uintptr_t)wr->sg_list[0].addr,
			.len = wr->sg_list[0].length,
		};
	}
	pthread_mutex_unlock(&fake_lock);
	return rc;
}

void fake_context_ops(struct ibv_context_ops *ops)
{
	ops->poll_cq = poll_cq;
	ops->req_notify_cq = req_notify;
	ops->post_send = post_send;
	ops->post_recv = post_recv;
}
