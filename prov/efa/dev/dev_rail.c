/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_rail.c - a device with two rails: its own wire, and shared memory for
 * the peers on this host
 */
#include "dev_rail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "dev_rail_priv.h"
#include "dev_soft.h"
#include "util/u_lines.h"
#include "util/u_log.h"

#define KEY_BITS 32 /* of the main device's keys */
#define RANGES_MAX 16 /* of one mr_hold */
/*
 * Set in numbers on the local rail: the main device may itself be made of
 * shared memory, as efa-soft-verbs(1) does it, where its own are in use.
 */
#define LOCAL_QPN (1u << 23)

static struct rail_dev *rail_of(struct dev *d)
{
	return u_container_of(d, struct rail_dev, dev);
}

/* --- memory --- */

static int rail_mr_open(struct dev *d, void *addr, size_t len, uint32_t access,
			struct dev_mr **out)
{
	struct rail_dev *rd = rail_of(d);
	struct rail_mr *mr = calloc(1, sizeof(*mr));
	struct dev_mr *main;
	int rc;

	if (!mr)
		return -ENOMEM;
	rc = dev_mr_open(rd->rail[RAIL_MAIN], addr, len, access, &main);
	if (rc) {
		free(mr);
		return rc;
	}
	mr->rail[RAIL_MAIN] = main;
	mr->mr.dev = d;
	mr->mr.addr = main->addr;
	mr->mr.len = main->len;
	mr->mr.key = main->key;
	/* Without it peers on this host take the main rail for RDMA. */
	if (!dev_mr_open(rd->rail[RAIL_LOCAL], addr, len, access,
			 &mr->rail[RAIL_LOCAL]))
		mr->mr.key |= mr->rail[RAIL_LOCAL]->key << KEY_BITS;
	*out = &mr->mr;
	return 0;
}

static int rail_mr_close(struct dev_mr *m)
{
	struct rail_mr *mr = u_container_of(m, struct rail_mr, mr);
	int rc;

	/* Either may fail, and then has to be closed again. */
	for (int rail = 0; rail < RAILS; rail++) {
		if (!mr->rail[rail])
			continue;
		mr->rail[rail]->over = m->over;
		rc = dev_mr_close(mr->rail[rail]);
		if (rc)
			return rc;
		mr->rail[rail] = NULL;
	}
	free(mr);
	return 0;
}

static int rail_mr_ids(struct dev_mr *m, struct dev_mr_ids *ids)
{
	struct rail_mr *mr = u_container_of(m, struct rail_mr, mr);

	return dev_mr_ids(mr->rail[RAIL_MAIN], ids);
}

/* A range is looked up where its key says; the local table is always held. */
static bool rail_mr_hold(struct dev *d, const struct dev_range *range, int n,
			 uint32_t access)
{
	struct rail_dev *rd = rail_of(d);
	struct dev *main = rd->rail[RAIL_MAIN];
	struct dev_range part[RAILS][RANGES_MAX];
	int count[RAILS] = { 0, 0 };

	if (n > RANGES_MAX)
		return false;
	for (int i = 0; i < n; i++) {
		uint64_t key = range[i].key >> KEY_BITS;
		enum rail rail = key || !range[i].len ? RAIL_LOCAL : RAIL_MAIN;
		struct dev_range *r = &part[rail][count[rail]++];

		*r = range[i];
		r->key = rail == RAIL_LOCAL ? key : range[i].key;
	}
	if (count[RAIL_MAIN] &&
	    !dev_mr_hold(main, part[RAIL_MAIN], count[RAIL_MAIN], access))
		return false;
	if (!dev_mr_hold(rd->rail[RAIL_LOCAL], part[RAIL_LOCAL],
			 count[RAIL_LOCAL], access)) {
		if (count[RAIL_MAIN])
			dev_mr_release(main);
		return false;
	}
	rd->main_held = count[RAIL_MAIN] > 0;
	return true;
}

static void rail_mr_release(struct dev *d)
{
	struct rail_dev *rd = rail_of(d);
	bool main_held = rd->main_held;

	dev_mr_release(rd->rail[RAIL_LOCAL]);
	if (main_held)
		dev_mr_release(rd->rail[RAIL_MAIN]);
}

/* --- completion queues --- */

static int rail_cq_open(struct dev *d, struct dev_cq **out)
{
	struct rail_dev *rd = rail_of(d);
	struct rail_cq *cq = u_lines_new(sizeof(*cq));
	int rc = -ENOMEM;

	if (!cq)
		return rc;
	rc = dev_cq_open(rd->rail[RAIL_MAIN], &cq->rail[RAIL_MAIN]);
	if (rc)
		goto free_cq;
	rc = dev_cq_open(rd->rail[RAIL_LOCAL], &cq->rail[RAIL_LOCAL]);
	if (rc)
		goto close_main;
	u_pool_init(&cq->ahs, sizeof(struct rail_ah), 64, U_POOL_MAX);
	cq->epoll = -1;
	cq->cq.ops = d->ops;
	cq->cq.dev = d;
	*out = &cq->cq;
	return 0;
close_main:
	dev_cq_close(cq->rail[RAIL_MAIN]);
free_cq:
	free(cq);
	return rc;
}

static void rail_cq_close(struct dev_cq *c)
{
	struct rail_cq *cq = u_container_of(c, struct rail_cq, cq);

	if (cq->epoll >= 0)
		close(cq->epoll);
	dev_cq_close(cq->rail[RAIL_LOCAL]);
	dev_cq_close(cq->rail[RAIL_MAIN]);
	u_pool_fini(&cq->ahs);
	free(cq);
}

static int watch(const struct rail_cq *cq, enum rail rail)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = dev_cq_fd(cq->rail[rail]);

	if (fd < 0)
		return fd;
	return epoll_ctl(cq->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int rail_cq_fd(struct dev_cq *c)
{
	struct rail_cq *cq = u_container_of(c, struct rail_cq, cq);
	int rc;

	if (cq->epoll >= 0)
		return cq->epoll;
	cq->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (cq->epoll < 0)
		return -errno;
	rc = watch(cq, RAIL_MAIN);
	if (!rc)
		rc = watch(cq, RAIL_LOCAL);
	if (!rc)
		return cq->epoll;
	close(cq->epoll);
	cq->epoll = -1;
	return rc;
}

static int rail_cq_arm(struct dev_cq *c)
{
	struct rail_cq *cq = u_container_of(c, struct rail_cq, cq);
	int rc = dev_cq_arm(cq->rail[RAIL_MAIN]);

	return rc ? rc : dev_cq_arm(cq->rail[RAIL_LOCAL]);
}

/* --- queue pairs --- */

static struct dev_addr local_addr(const struct dev_addr *addr)
{
	struct dev_addr local = *addr;

	local.qpn |= LOCAL_QPN;
	return local;
}

static void qp_open_local(struct rail_qp *qp, struct rail_cq *cq)
{
	struct dev *local = rail_of(qp->qp.dev)->rail[RAIL_LOCAL];
	struct dev_addr addr = local_addr(&qp->qp.addr);
	int rc;

	if (qp->qp.type != DEV_QP_RDM)
		return;
	rc = local->ops->qp_open_as(local, qp->qp.type, cq->rail[RAIL_LOCAL],
				    &addr, &qp->rail[RAIL_LOCAL]);
	if (!rc) {
		cq->nlocal++;
		return;
	}
	qp->rail[RAIL_LOCAL] = NULL;
	u_warn("%s: queue pair %u reaches peers on this host through the "
	       "device, which takes longer, as it has no shared memory: %s",
	       local->info.name, qp->qp.addr.qpn, strerror(-rc));
}

static int rail_qp_open(struct dev *d, enum dev_qp_type type, struct dev_cq *c,
			const struct dev_qp_attr *attr, struct dev_qp **out)
{
	struct rail_cq *cq = u_container_of(c, struct rail_cq, cq);
	struct rail_qp *qp = u_lines_new(sizeof(*qp));
	int rc;

	if (!qp)
		return -ENOMEM;
	rc = dev_qp_open(rail_of(d)->rail[RAIL_MAIN], type, cq->rail[RAIL_MAIN],
			 attr, &qp->rail[RAIL_MAIN]);
	if (rc) {
		free(qp);
		return rc;
	}
	qp->qp.ops = d->ops;
	qp->qp.dev = d;
	qp->qp.cq = c;
	qp->qp.type = type;
	qp->qp.addr = qp->rail[RAIL_MAIN]->addr;
	qp_open_local(qp, cq);
	*out = &qp->qp;
	return 0;
}

static void qp_close_local(struct rail_qp *qp)
{
	if (!qp->rail[RAIL_LOCAL])
		return;
	dev_qp_close(qp->rail[RAIL_LOCAL]);
	qp->rail[RAIL_LOCAL] = NULL;
	u_container_of(qp->qp.cq, struct rail_cq, cq)->nlocal--;
}

/* The main device may have some of its own, as dev_soft.c has. */
static void rail_forbid_shm(struct dev_qp *q)
{
	struct rail_qp *qp = u_container_of(q, struct rail_qp, qp);

	qp_close_local(qp);
	dev_qp_forbid_shm(qp->rail[RAIL_MAIN]);
}

static void rail_qp_close(struct dev_qp *q)
{
	struct rail_qp *qp = u_container_of(q, struct rail_qp, qp);

	qp_close_local(qp);
	dev_qp_close(qp->rail[RAIL_MAIN]);
	free(qp);
}

static int rail_source(struct dev_qp *q, uint32_t source, struct dev_addr *addr)
{
	struct rail_qp *qp = u_container_of(q, struct rail_qp, qp);
	struct dev_qp *from = qp->rail[source % RAILS];
	int rc = from ? dev_source(from, source / RAILS, addr) : -ENOENT;

	if (!rc && source % RAILS == RAIL_LOCAL)
		addr->qpn &= ~LOCAL_QPN;
	return rc;
}

static void rail_set_pressure(struct dev_qp *q, bool on)
{
	struct rail_qp *qp = u_container_of(q, struct rail_qp, qp);

	dev_set_pressure(qp->rail[RAIL_MAIN], on);
	if (qp->rail[RAIL_LOCAL])
		dev_set_pressure(qp->rail[RAIL_LOCAL], on);
}

static int rail_post_recv(struct dev_qp *q, uint64_t id, void *buf, size_t len,
			  struct dev_mr *mr)
{
	struct rail_qp *qp = u_container_of(q, struct rail_qp, qp);

	if (mr)
		mr = u_container_of(mr, struct rail_mr, mr)->rail[RAIL_MAIN];
	return dev_post_recv(qp->rail[RAIL_MAIN], id, buf, len, mr);
}

static bool rail_revoke(struct dev_qp *q, uint64_t id)
{
	struct rail_qp *qp = u_container_of(q, struct rail_qp, qp);
	bool found = dev_revoke(qp->rail[RAIL_MAIN], id);

	if (qp->rail[RAIL_LOCAL])
		found |= dev_revoke(qp->rail[RAIL_LOCAL], id);
	return found;
}

/* --- destinations --- */

static int ah_open_rail(struct rail_ah *ah, enum rail rail)
{
	struct rail_qp *qp = u_container_of(ah->ah.qp, struct rail_qp, qp);
	struct dev_addr addr = rail == RAIL_LOCAL ? local_addr(&ah->ah.addr) :
						    ah->ah.addr;

	return dev_ah_open(qp->rail[rail], &addr, u_pool_id(ah),
			   &ah->rail[rail]);
}

struct dev_ah *rail_ah_main(struct rail_ah *ah)
{
	if (!ah->rail[RAIL_MAIN] && ah_open_rail(ah, RAIL_MAIN))
		ah->rail[RAIL_MAIN] = NULL;
	return ah->rail[RAIL_MAIN];
}

static void ah_open_local(struct rail_ah *ah)
{
	struct rail_qp *qp = u_container_of(ah->ah.qp, struct rail_qp, qp);
	struct dev_ah *local;

	if (!qp->rail[RAIL_LOCAL] || ah_open_rail(ah, RAIL_LOCAL)) {
		ah->rail[RAIL_LOCAL] = NULL;
		return;
	}
	local = ah->rail[RAIL_LOCAL];
	if (local->qp->ops->ah_reach(local))
		return;
	dev_ah_close(local);
	ah->rail[RAIL_LOCAL] = NULL;
}

static int rail_ah_open(struct dev_qp *q, const struct dev_addr *addr,
			uint64_t cookie, struct dev_ah **out)
{
	struct rail_cq *cq = u_container_of(q->cq, struct rail_cq, cq);
	struct rail_ah *ah = u_pool_get(&cq->ahs);
	int rc;

	if (!ah)
		return -ENOMEM;
	*ah = (struct rail_ah){
		.ah = { .qp = q, .addr = *addr },
		.cookie = cookie,
	};
	ah_open_local(ah);
	if (!ah->rail[RAIL_LOCAL]) {
		rc = ah_open_rail(ah, RAIL_MAIN);
		if (rc) {
			u_pool_put(&cq->ahs, ah);
			return rc;
		}
	}
	*out = &ah->ah;
	return 0;
}

static void rail_ah_close(struct dev_ah *a)
{
	struct rail_cq *cq = u_container_of(a->qp->cq, struct rail_cq, cq);
	struct rail_ah *ah = u_container_of(a, struct rail_ah, ah);

	for (int rail = 0; rail < RAILS; rail++)
		if (ah->rail[rail])
			dev_ah_close(ah->rail[rail]);
	u_pool_put(&cq->ahs, ah);
}

/* --- the device --- */

static void rail_close(struct dev *d)
{
	struct rail_dev *rd = rail_of(d);

	dev_close(rd->rail[RAIL_LOCAL]);
	dev_close(rd->rail[RAIL_MAIN]);
	free(rd);
}

static const struct dev_ops rail_ops = {
	.close = rail_close,
	.cq_open = rail_cq_open,
	.cq_close = rail_cq_close,
	.cq_fd = rail_cq_fd,
	.cq_arm = rail_cq_arm,
	.qp_open = rail_qp_open,
	.qp_close = rail_qp_close,
	.ah_open = rail_ah_open,
	.ah_close = rail_ah_close,
	.mr_open = rail_mr_open,
	.mr_close = rail_mr_close,
	.mr_ids = rail_mr_ids,
	.mr_hold = rail_mr_hold,
	.mr_release = rail_mr_release,
	.source = rail_source,
	.set_pressure = rail_set_pressure,
	.post = rail_post,
	.post_recv = rail_post_recv,
	.poll = rail_poll,
	.give_back = rail_give_back,
	.revoke = rail_revoke,
	.forbid_shm = rail_forbid_shm,
};

void dev_rail_info(struct dev_info *info)
{
	info->key_bytes = sizeof(uint64_t);
}

int dev_rail_join(struct dev *main, struct dev *local, struct dev **out)
{
	struct rail_dev *rd = calloc(1, sizeof(*rd));

	if (!rd)
		return -ENOMEM;
	rd->rail[RAIL_MAIN] = main;
	rd->rail[RAIL_LOCAL] = local;
	rd->dev.ops = &rail_ops;
	rd->dev.info = main->info;
	rd->dev.info.max_rdma =
		u_min(main->info.max_rdma, local->info.max_rdma);
	dev_rail_info(&rd->dev.info);
	*out = &rd->dev;
	return 0;
}

void dev_rail_add(const struct dev_config *config, struct dev **dev)
{
	const struct dev_info *info = &(*dev)->info;
	struct dev *local;
	int rc = dev_soft_open_beside(info, config, &local);

	if (!rc) {
		/* What one rail takes the other has to take. */
		if (local->info.mtu < info->mtu)
			rc = -EMSGSIZE;
		else
			rc = dev_rail_join(*dev, local, dev);
		if (rc)
			dev_close(local);
	}
	if (rc)
		u_warn("%s: peers on this host are reached through the device, "
		       "not through shared memory: %s",
		       info->name, strerror(-rc));
	else
		u_info("%s: peers on this host are reached through shared "
		       "memory in %s",
		       info->name,
		       config->shm_dir ? config->shm_dir : "/dev/shm");
}
