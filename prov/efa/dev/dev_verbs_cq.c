/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_cq.c - completion queues: opening, closing, sleeping on one
 *
 * The hardware overruns a queue that is too small for the queue pairs on it,
 * so each of them claims its entries, and one that finds too few is refused.
 */
#include "dev_verbs_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_lines.h"
#include "util/u_log.h"

/* Events that are acknowledged together: each time takes a mutex. */
#define ACK_BATCH 64

/* ---- open and close ------------------------------------------------------ */

/* Without one (old kernels) the queue can be polled, but not slept on. */
static void channel_open(struct verbs_dev *vd, struct verbs_cq *cq)
{
	int flags;

	if (vd->ctx->num_comp_vectors < 1)
		return;
	cq->channel = ibv_create_comp_channel(vd->ctx);
	if (!cq->channel)
		return;
	flags = fcntl(cq->channel->fd, F_GETFL);
	if (flags >= 0 && !fcntl(cq->channel->fd, F_SETFL, flags | O_NONBLOCK))
		return;
	ibv_destroy_comp_channel(cq->channel);
	cq->channel = NULL;
}

static void channel_close(struct verbs_cq *cq)
{
	if (cq->channel)
		ibv_destroy_comp_channel(cq->channel);
	cq->channel = NULL;
}

/* One of these capabilities less, that which costs the least first; 0: none. */
static uint32_t one_less(uint32_t caps)
{
	return caps & VERBS_CAP_UNSOLICITED ? caps & ~VERBS_CAP_UNSOLICITED : 0;
}

/* Kernel, library and device may disagree about what they know. */
static int create(struct verbs_dev *vd, struct verbs_cq *cq, uint32_t cqe)
{
	struct ibv_cq_init_attr_ex attr = {
		.cqe = cqe,
		.cq_context = cq,
		.channel = cq->channel,
		.wc_flags = IBV_WC_STANDARD_FLAGS,
	};
	uint32_t caps = (vd->caps & VERBS_CAP_SGID) |
			(vd->extra.unsolicited ? VERBS_CAP_UNSOLICITED : 0);

	for (;; caps = one_less(caps)) {
		struct efadv_cq_init_attr efa = {
			.wc_flags = verbs_lib_wc_flags(caps),
		};

		cq->ibv = efadv_create_cq(vd->ctx, &attr, &efa, sizeof(efa));
		if (cq->ibv || errno != EOPNOTSUPP || !caps)
			break;
	}
	if (cq->ibv) {
		cq->efa = efadv_cq_from_ibv_cq_ex(cq->ibv);
		cq->sgid = cq->efa && (caps & VERBS_CAP_SGID);
		cq->unsolicited = cq->efa && (caps & VERBS_CAP_UNSOLICITED);
		return 0;
	}
	if (errno != EOPNOTSUPP)
		return errno ? -errno : -ENOMEM;
	/* Senders that the device has no handle for stay unknown then. */
	cq->ibv = ibv_create_cq_ex(vd->ctx, &attr);
	return cq->ibv ? 0 : errno ? -errno : -ENOMEM;
}

static int create_any(struct verbs_dev *vd, struct verbs_cq *cq)
{
	const struct dev_info *info = &vd->dev.info;
	uint32_t cqe =
		(uint32_t)u_min(info->tx_depth + info->rx_depth, vd->max_cqe);
	int rc;

	channel_open(vd, cq);
	rc = create(vd, cq, cqe);
	if (rc && cq->channel) {
		channel_close(cq);
		rc = create(vd, cq, cqe);
	}
	return rc;
}

int verbs_cq_open(struct dev *d, struct dev_cq **out)
{
	struct verbs_dev *vd = u_container_of(d, struct verbs_dev, dev);
	struct verbs_cq *cq = u_lines_new(sizeof(*cq));
	int rc;

	if (!cq)
		return -ENOMEM;
	rc = create_any(vd, cq);
	if (rc) {
		u_warn("%s: no completion queue: %s", d->info.name,
		       rc == -ENOMEM ? "the device has no room for more of "
				       "them; fewer processes or endpoints "
				       "would fit" :
				       strerror(-rc));
		channel_close(cq);
		free(cq);
		return rc;
	}
	cq->room = (uint32_t)cq->ibv->cqe;
	cq->cq.ops = d->ops;
	cq->cq.dev = d;
	*out = &cq->cq;
	return 0;
}

void verbs_cq_close(struct dev_cq *c)
{
	struct verbs_cq *cq = u_container_of(c, struct verbs_cq, cq);
	struct ibv_cq *ibv = ibv_cq_ex_to_cq(cq->ibv);

	assert(cq->nqps == 0);
	/* What is left in the channel would make destroy wait for ever. */
	verbs_cq_events(cq);
	if (cq->unacked)
		ibv_ack_cq_events(ibv, cq->unacked);
	if (ibv_destroy_cq(ibv))
		u_warn("%s: a completion queue could not be destroyed",
		       c->dev->info.name);
	channel_close(cq);
	free(cq->qps);
	free(cq);
}

/* ---- its queue pairs ------------------------------------------------------- */

static void choose(struct verbs_cq *cq)
{
	cq->one = NULL;
	for (uint32_t i = 0; i < cq->nslots && cq->nqps == 1; i++)
		if (cq->qps[i])
			cq->one = cq->qps[i];
}

static int slot_find(struct verbs_cq *cq, uint32_t *slot)
{
	struct verbs_qp **qps;
	uint32_t i = 0;

	while (i < cq->nslots && cq->qps[i])
		i++;
	if (i > UINT16_MAX)
		return -ENOSPC;
	if (i == cq->nslots) {
		qps = realloc(cq->qps, (i + 1) * sizeof(struct verbs_qp *));
		if (!qps)
			return -ENOMEM;
		qps[i] = NULL;
		cq->qps = qps;
		cq->nslots++;
	}
	*slot = i;
	return 0;
}

int verbs_cq_add(struct verbs_cq *cq, struct verbs_qp *qp)
{
	uint32_t need = qp->tx_depth + qp->rx.depth;
	uint32_t slot;
	int rc;

	if (need > cq->room) {
		u_warn("%s: %u more entries do not fit the completion queue, "
		       "%u are left; give the endpoint one of its own",
		       qp->qp.dev->info.name, need, cq->room);
		return -ENOSPC;
	}
	rc = slot_find(cq, &slot);
	if (rc)
		return rc;
	cq->qps[slot] = qp;
	cq->nqps++;
	cq->room -= need;
	qp->tag = (uint64_t)slot << 48 | (uint64_t)cq->generation++ << 32;
	choose(cq);
	return 0;
}

void verbs_cq_remove(struct verbs_cq *cq, struct verbs_qp *qp)
{
	cq->qps[qp->tag >> 48] = NULL;
	cq->nqps--;
	cq->room += qp->tx_depth + qp->rx.depth;
	choose(cq);
}

/* ---- sleeping ---------------------------------------------------------------- */

int verbs_cq_fd(struct dev_cq *c)
{
	struct verbs_cq *cq = u_container_of(c, struct verbs_cq, cq);

	return cq->channel ? cq->channel->fd : -ENOSYS;
}

void verbs_cq_events(struct verbs_cq *cq)
{
	struct ibv_cq *from;
	void *context;

	while (cq->channel && !ibv_get_cq_event(cq->channel, &from, &context)) {
		cq->armed = false;
		if (++cq->unacked >= ACK_BATCH) {
			ibv_ack_cq_events(from, cq->unacked);
			cq->unacked = 0;
		}
	}
}

/*
 * Entries cannot be looked at without taking them, so the caller does that:
 * armed for the first time it is told to poll, and may sleep when it asks again
 * and found nothing in between.
 */
int verbs_cq_arm(struct dev_cq *c)
{
	struct verbs_cq *cq = u_container_of(c, struct verbs_cq, cq);

	verbs_events(u_container_of(c->dev, struct verbs_dev, dev));
	verbs_cq_judge(cq);
	if (!cq->channel)
		return 0;
	verbs_cq_events(cq);
	if (cq->armed)
		return !cq->empty || cq->chores;
	if (!ibv_req_notify_cq(ibv_cq_ex_to_cq(cq->ibv), 0)) {
		cq->armed = true;
		cq->empty = false;
	}
	return 1;
}
