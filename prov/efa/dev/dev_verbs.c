/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs.c - EFA devices behind the port: opening, closing, what the device
 * says of itself
 *
 * Through libibverbs and libefa: SRD queue pairs for DEV_QP_RDM, and for
 * DEV_QP_SRD with receives of the user; UD ones for DEV_QP_UD.
 */
#include "dev_verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "dev_verbs_priv.h"
#include "util/u_log.h"

/* ---- fork ---------------------------------------------------------------- */

/*
 * Kernels that copy pinned pages at fork() need nothing. On others libibverbs
 * can keep registered pages out of the child, if it is told before the first
 * registration of the process.
 */
static void prepare_fork(const struct dev_config *config)
{
	int rc;

	if (!config->fork_safe ||
	    ibv_is_fork_initialized() != IBV_FORK_DISABLED)
		return;
	rc = ibv_fork_init();
	if (rc)
		u_warn("fork() is not safe in this process, because it "
		       "registered memory before: %s; set RDMAV_FORK_SAFE=1 "
		       "instead of FI_EFA_FORK_SAFE",
		       strerror(rc > 0 ? rc : errno));
}

/* ---- events nobody waits for ------------------------------------------------ */

static bool set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && !fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static U_COLD void event_in(struct verbs_dev *vd,
			    const struct ibv_async_event *event)
{
	const char *name = vd->dev.info.name;
	struct verbs_qp *qp;
	struct verbs_cq *cq;

	switch (event->event_type) {
	case IBV_EVENT_DEVICE_FATAL:
		u_warn("%s: the device has failed; what is under way on it "
		       "ends with an error. Restart the program",
		       name);
		atomic_store(&vd->fatal, true);
		break;
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
		qp = event->element.qp->qp_context;
		if (!atomic_exchange(&qp->fatal, true))
			u_warn("%s: queue pair %u has failed: %s", name,
			       qp->qp.addr.qpn,
			       ibv_event_type_str(event->event_type));
		break;
	case IBV_EVENT_CQ_ERR:
		cq = event->element.cq->cq_context;
		u_warn("%s: a completion queue has failed: %s", name,
		       ibv_event_type_str(event->event_type));
		atomic_store(&cq->fatal, true);
		break;
	default:
		u_info("%s: %s", name, ibv_event_type_str(event->event_type));
		break;
	}
}

U_COLD void verbs_events(struct verbs_dev *vd)
{
	struct ibv_async_event event;

	if (!vd->has_events || !u_trylock(&vd->events_lock))
		return;
	while (!ibv_get_async_event(vd->ctx, &event)) {
		event_in(vd, &event);
		ibv_ack_async_event(&event);
	}
	u_unlock(&vd->events_lock);
}

/* ---- open and close ------------------------------------------------------------ */

static void verbs_close(struct dev *d)
{
	struct verbs_dev *vd = u_container_of(d, struct verbs_dev, dev);

	verbs_gids_fini(vd);
	verbs_regs_fini(vd);
	if (ibv_dealloc_pd(vd->pd))
		u_warn("%s was closed with queue pairs or regions open",
		       d->info.name);
	ibv_close_device(vd->ctx);
	verbs_keys_fini(vd);
	u_lock_fini(&vd->events_lock);
	free(vd);
}

/* Hardware cannot say so: peers are held back by receives that run out. */
static void verbs_set_pressure(struct dev_qp *q, bool on)
{
	(void)q;
	(void)on;
}

static const struct dev_ops verbs_ops = {
	.close = verbs_close,
	.cq_open = verbs_cq_open,
	.cq_close = verbs_cq_close,
	.cq_fd = verbs_cq_fd,
	.cq_arm = verbs_cq_arm,
	.qp_open = verbs_qp_open,
	.qp_close = verbs_qp_close,
	.ah_open = verbs_ah_open,
	.ah_close = verbs_ah_close,
	.mr_open = verbs_mr_open,
	.mr_close = verbs_mr_close,
	.mr_ids = verbs_mr_ids,
	.mr_hold = verbs_mr_hold,
	.mr_release = verbs_mr_release,
	.source = verbs_source,
	.set_pressure = verbs_set_pressure,
	.post = verbs_post,
	.revoke = verbs_revoke,
	.post_recv = verbs_post_recv,
	.poll = verbs_poll,
	.give_back = verbs_give_back,
	.srd_open = verbs_srd_open,
};

static struct ibv_context *open_by_name(const char *name)
{
	struct ibv_context *ctx = NULL;
	struct ibv_device **list;
	int n = 0;

	list = ibv_get_device_list(&n);
	for (int i = 0; list && i < n && !ctx; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			ctx = ibv_open_device(list[i]);
	if (list)
		ibv_free_device_list(list);
	return ctx;
}

/* What the device is at this moment, which may not be what the list said. */
static int learn(struct verbs_dev *vd)
{
	struct efadv_device_attr efa;
	struct ibv_device_attr attr;
	int rc = verbs_query(vd->ctx, &efa, &vd->dev.info);

	if (!rc && ibv_query_device(vd->ctx, &attr))
		rc = -ENODEV;
	if (rc)
		return rc;
	vd->caps = efa.device_caps;
	vd->tx_sge = efa.max_sq_sge;
	vd->rx_sge = efa.max_rq_sge;
	vd->inline_plain = efa.inline_buf_size;
	vd->max_cqe = attr.max_cqe > 0 ? (uint32_t)attr.max_cqe : 0;
	verbs_lib_extra(&efa, &vd->extra);
	return 0;
}

/* What a puzzled user asks first. */
static void tell(const struct verbs_dev *vd)
{
	const struct dev_info *info = &vd->dev.info;

	u_info("%s: EFA device 0x%x, firmware %s, packets of %u bytes, RDMA "
	       "read %s, write %s, queues of %u and %u, inline %u%s",
	       info->name, info->card.part, info->card.firmware, info->mtu,
	       info->caps & DEV_CAP_READ ? "yes" : "no",
	       info->caps & DEV_CAP_WRITE ? "yes" : "no", info->tx_depth,
	       info->rx_depth, vd->extra.inline_max,
	       info->up ? "" : "; its link is down");
}

int dev_verbs_open(const struct dev_info *info, const struct dev_config *config,
		   struct dev **out)
{
	struct verbs_dev *vd = calloc(1, sizeof(*vd));
	int rc = -ENODEV;

	if (!vd)
		return -ENOMEM;
	prepare_fork(config);
	vd->dev.ops = &verbs_ops;
	vd->ctx = open_by_name(info->name);
	if (!vd->ctx) {
		u_warn("%s cannot be opened: it has gone, or this user may not "
		       "use /dev/infiniband",
		       info->name);
		goto free_dev;
	}
	rc = learn(vd);
	if (rc)
		goto close_device;
	vd->has_events = set_nonblock(vd->ctx->async_fd);
	vd->pd = ibv_alloc_pd(vd->ctx);
	if (!vd->pd) {
		rc = errno ? -errno : -ENOMEM;
		u_warn("%s cannot be opened: %s", info->name, strerror(-rc));
		goto close_device;
	}
	rc = verbs_regs_init(vd, config);
	if (rc)
		goto free_pd;
	rc = verbs_gids_init(vd);
	if (rc)
		goto fini_regs;
	verbs_keys_init(vd);
	u_lock_init(&vd->events_lock, true);
	tell(vd);
	*out = &vd->dev;
	return 0;
fini_regs:
	verbs_regs_fini(vd);
free_pd:
	ibv_dealloc_pd(vd->pd);
close_device:
	ibv_close_device(vd->ctx);
free_dev:
	free(vd);
	return rc;
}
