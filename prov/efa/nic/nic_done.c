/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_done.c - completions of our own work, until somebody polls
 *
 * I1: an operation under way has room here reserved (nic_done_room), so that
 * ending it cannot fail.
 */
#include "nic_priv.h"

bool nic_done_room(const struct nic_qp *qp)
{
	return qp->done_tail - qp->done_head + qp->ops.taken < NIC_DONE_MAX;
}

void nic_done_push(struct nic_qp *qp, const struct nic_ah *ah, uint64_t id,
		   enum nic_wc_op op, enum nic_status status)
{
	if (!ah)
		return;
	assert(qp->done_tail - qp->done_head < NIC_DONE_MAX); /* I1 */
	qp->done[qp->done_tail++ % NIC_DONE_MAX] = (struct nic_done){
		.id = id,
		.ah = ah,
		.op = op,
		.status = status,
	};
	qp->attention |= NIC_ATT_DONE;
}

static int done_pop_gone(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	struct nic_ah *ah;
	int k = 0;

	while (k < n && (ah = TAILQ_FIRST(&qp->gone))) {
		TAILQ_REMOVE(&qp->gone, ah, gone_link);
		ah->gone = false;
		wc[k++] = (struct nic_wc){
			.id = ah->cookie,
			.op = NIC_WC_GONE,
			.source = NIC_SOURCE_UNKNOWN,
		};
	}
	return k;
}

/* Completions first: GONE is the last that is heard of a handle. */
int nic_done_pop(struct nic_qp *qp, struct nic_wc *wc, int n)
{
	int k = 0;

	while (k < n && qp->done_head != qp->done_tail) {
		const struct nic_done *d =
			&qp->done[qp->done_head++ % NIC_DONE_MAX];

		if (d->ah)
			wc[k++] = (struct nic_wc){
				.id = d->id,
				.op = d->op,
				.status = d->status,
				.source = NIC_SOURCE_UNKNOWN,
			};
	}
	k += done_pop_gone(qp, wc + k, n - k);
	if (qp->done_head == qp->done_tail && TAILQ_EMPTY(&qp->gone))
		qp->attention &= ~(uint32_t)NIC_ATT_DONE;
	return k;
}

void nic_done_forget(struct nic_qp *qp, const struct nic_ah *ah)
{
	for (uint32_t i = qp->done_head; i != qp->done_tail; i++)
		if (qp->done[i % NIC_DONE_MAX].ah == ah)
			qp->done[i % NIC_DONE_MAX].ah = NULL;
}

void nic_done_gone(struct nic_path *p)
{
	struct nic_ah *ah;

	TAILQ_FOREACH(ah, &p->ahs, path_link) {
		if (ah->gone)
			continue;
		ah->gone = true;
		TAILQ_INSERT_TAIL(&p->qp->gone, ah, gone_link);
		p->qp->attention |= NIC_ATT_DONE;
	}
}
