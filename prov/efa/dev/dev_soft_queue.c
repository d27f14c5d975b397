/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_soft_queue.c - posting to and polling the software device
 *
 * A cq with one queue pair, which is nearly every one, costs a call more than
 * the queue pair itself. The descriptor of a cq is an epoll of those of its
 * queue pairs, so that it stays the same when they come and go.
 */
#include "dev_soft_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "util/u_lines.h"

#define SAME(a, b) ((int)(a) == (int)(b))
_Static_assert(SAME(DEV_WC_SEND, NIC_WC_SEND) &&
		       SAME(DEV_WC_READ, NIC_WC_READ) &&
		       SAME(DEV_WC_WRITE, NIC_WC_WRITE) &&
		       SAME(DEV_WC_RECV, NIC_WC_RECV) &&
		       SAME(DEV_WC_WRITTEN, NIC_WC_WRITTEN) &&
		       SAME(DEV_WC_GONE, NIC_WC_GONE),
	       "completions");
_Static_assert(SAME(DEV_REMOTE_READ, NIC_REMOTE_READ) &&
		       SAME(DEV_REMOTE_WRITE, NIC_REMOTE_WRITE),
	       "access");
_Static_assert(sizeof(struct dev_range) == sizeof(struct nic_range) &&
		       offsetof(struct dev_range, addr) ==
			       offsetof(struct nic_range, addr) &&
		       offsetof(struct dev_range, len) ==
			       offsetof(struct nic_range, len),
	       "ranges");
_Static_assert(SAME(DEV_WR_REQUEST, 1) && SAME(DEV_WR_IMM, 2) &&
		       SAME(NIC_SEND_REQUEST, 2) && SAME(NIC_SEND_IMM, 1),
	       "flags");
_Static_assert(SAME(DEV_QP_RDM, NIC_QP_RDM) && SAME(DEV_QP_UD, NIC_QP_UD) &&
		       SAME(DEV_QP_SRD, NIC_QP_SRD) &&
		       DEV_RNR_FOREVER == NIC_RNR_FOREVER &&
		       DEV_UD_PREFIX == NIC_UD_PREFIX &&
		       DEV_SOURCE_UNKNOWN == NIC_SOURCE_UNKNOWN,
	       "queue pairs");
_Static_assert(SAME(DEV_READ - 1, NIC_READ) && SAME(DEV_WRITE - 1, NIC_WRITE) &&
		       SAME(DEV_WRITE_IMM - 1, NIC_WRITE_IMM),
	       "operations");
_Static_assert(SAME(DEV_BAD_RKEY, NIC_BAD_RKEY) && SAME(DEV_RNR, NIC_RNR) &&
		       SAME(DEV_TOO_LONG, NIC_TOO_LONG) &&
		       SAME(DEV_SHORT_RECV, NIC_SHORT_RECV) &&
		       SAME(DEV_PEER_RESET, NIC_PEER_RESET) &&
		       SAME(DEV_NO_QP, NIC_NO_QP) &&
		       SAME(DEV_UNRESPONSIVE, NIC_UNRESPONSIVE) &&
		       SAME(DEV_UNREACHABLE, NIC_UNREACHABLE),
	       "statuses");
#define AT(field) \
	(offsetof(struct dev_wc, field) == offsetof(struct nic_wc, field))
_Static_assert(AT(id) && AT(data) && AT(len) && AT(source) && AT(imm) &&
		       AT(op) && AT(status) && AT(has_imm) &&
		       sizeof(struct dev_wc) == sizeof(struct nic_wc),
	       "nic_wc");

/* Completions of one poll at most; more come with the next. */
#define BATCH 64

/* A key with more bits is none of ours, and 0 is none at all. */
static uint32_t soft_key(uint64_t rkey)
{
	return rkey > UINT32_MAX ? 0 : (uint32_t)rkey;
}

/* Counted, not drawn, so that a run can be repeated. */
static U_COLD bool is_refused(struct soft_qp *qp)
{
	bool refused = ++qp->reads % qp->refuse_reads == 0;

	qp->refused += refused;
	return refused;
}

static int post_rdma(struct soft_qp *qp, struct nic_ah *ah,
		     const struct dev_wr *wr)
{
	if (u_unlikely(wr->op > DEV_WRITE_IMM || wr->iovcnt != 1 ||
		       wr->iov[0].iov_len < wr->len))
		return -EINVAL;
	if (u_unlikely(qp->refuse_reads && wr->op == DEV_READ) &&
	    is_refused(qp))
		return -ENOMEM;
	return nic_rdma(ah,
			&(struct nic_rdma){
				.type = (enum nic_rdma_type)(wr->op - DEV_READ),
				.id = wr->id,
				.local = wr->iov[0].iov_base,
				.remote = wr->remote,
				.len = wr->len,
				.rkey = soft_key(wr->rkey),
				.imm = wr->imm,
			});
}

/* DEV_WR_* are NIC_SEND_* with the two bits exchanged. */
static inline int send_flags(unsigned int flags)
{
	return (int)((flags & DEV_WR_REQUEST) << 1 | (flags & DEV_WR_IMM) >> 1);
}

int soft_post(struct dev_qp *q, struct dev_wr *wr, int n)
{
	struct soft_qp *qp = u_container_of(q, struct soft_qp, qp);
	int rc = 0;
	int i;

	for (i = 0; i < n; i++) {
		struct nic_ah *ah =
			u_container_of(wr[i].ah, struct soft_ah, ah)->nic_ah;

		if (u_likely(wr[i].op == DEV_SEND))
			rc = nic_send(ah, wr[i].id, send_flags(wr[i].flags),
				      wr[i].imm, wr[i].hdr, wr[i].hdr_len,
				      wr[i].iov, wr[i].iovcnt, wr[i].len);
		else
			rc = post_rdma(qp, ah, &wr[i]);
		if (u_unlikely(rc < 0))
			break;
		wr[i].done = rc == 0;
	}
	return i ? i : rc;
}

/* Each queue pair in turn, so that a busy one starves nobody. */
static U_COLD int poll_many(struct soft_cq *cq, struct nic_wc *wc, int n)
{
	int k = 0;

	for (uint32_t i = 0; i < cq->n && k < n; i++) {
		struct nic_qp *qp = cq->many[(cq->turn + i) % cq->n];

		k += nic_poll(qp, wc + k, n - k);
	}
	cq->turn++;
	return k;
}

int soft_poll(struct dev_cq *c, struct dev_wc *wc, int n)
{
	struct soft_cq *cq = u_container_of(c, struct soft_cq, cq);
	struct nic_wc nwc[BATCH];
	int k;

	if (n > BATCH)
		n = BATCH;
	if (u_likely(cq->one != NULL))
		k = nic_poll(cq->one, nwc, n);
	else
		k = poll_many(cq, nwc, n);
	for (int i = 0; i < k; i++)
		memcpy(&wc[i], &nwc[i], sizeof(wc[i]));
	return k;
}

void soft_give_back(struct dev_cq *c)
{
	struct soft_cq *cq = u_container_of(c, struct soft_cq, cq);

	if (u_likely(cq->one != NULL)) {
		nic_give_back(cq->one);
		return;
	}
	for (uint32_t i = 0; i < cq->n; i++)
		nic_give_back(cq->many[i]);
}

int soft_cq_open(struct dev *d, struct dev_cq **out)
{
	struct soft_cq *cq = u_lines_new(sizeof(*cq));

	if (!cq)
		return -ENOMEM;
	cq->cq.ops = d->ops;
	cq->cq.dev = d;
	cq->epoll = -1;
	*out = &cq->cq;
	return 0;
}

void soft_cq_close(struct dev_cq *c)
{
	struct soft_cq *cq = u_container_of(c, struct soft_cq, cq);

	assert(cq->n == 0);
	if (cq->epoll >= 0)
		close(cq->epoll);
	free(cq->many);
	free(cq);
}

static int cq_watch(const struct soft_cq *cq, const struct nic_qp *qp, int op)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (cq->epoll < 0)
		return 0;
	return epoll_ctl(cq->epoll, op, nic_qp_fd(qp), &ev) ? -errno : 0;
}

int soft_cq_fd(struct dev_cq *c)
{
	struct soft_cq *cq = u_container_of(c, struct soft_cq, cq);
	int rc = 0;

	if (cq->epoll >= 0)
		return cq->epoll;
	cq->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (cq->epoll < 0)
		return -errno;
	for (uint32_t i = 0; i < cq->n && !rc; i++)
		rc = cq_watch(cq, cq->many[i], EPOLL_CTL_ADD);
	if (rc) {
		close(cq->epoll);
		cq->epoll = -1;
	}
	return rc ? rc : cq->epoll;
}

int soft_cq_arm(struct dev_cq *c)
{
	struct soft_cq *cq = u_container_of(c, struct soft_cq, cq);

	for (uint32_t i = 0; i < cq->n; i++)
		if (nic_qp_arm(cq->many[i]))
			return 1;
	return 0;
}

static void cq_choose(struct soft_cq *cq)
{
	cq->one = cq->n == 1 ? cq->many[0] : NULL;
}

int soft_cq_add(struct soft_cq *cq, struct soft_qp *qp)
{
	int rc;

	if (cq->n == cq->max) {
		uint32_t max = cq->max ? 2 * cq->max : 4;
		struct nic_qp **many = realloc(cq->many, max * sizeof(*many));

		if (!many)
			return -ENOMEM;
		cq->many = many;
		cq->max = max;
	}
	rc = cq_watch(cq, qp->nic_qp, EPOLL_CTL_ADD);
	if (rc)
		return rc;
	cq->many[cq->n++] = qp->nic_qp;
	cq_choose(cq);
	return 0;
}

void soft_cq_remove(struct soft_cq *cq, struct soft_qp *qp)
{
	uint32_t i = 0;

	cq_watch(cq, qp->nic_qp, EPOLL_CTL_DEL);
	while (cq->many[i] != qp->nic_qp)
		i++;
	cq->many[i] = cq->many[--cq->n];
	cq_choose(cq);
}
