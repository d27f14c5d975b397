/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_cq_wait.c - reads that wait, and leave to sleep on a queue's descriptor
 */
#include "fi/efa.h"

/* The next entry will signal the eventfd. False: there is one already. */
static bool cq_arm(void *arg)
{
	struct efa_cq *cq = arg;

	return cq->rdm ? rdm_cq_sleep(cq->rdm) : efa_ring_sleep(cq->ring);
}

/* How many entries end the wait. */
static size_t threshold(const struct efa_cq *cq, size_t count, const void *cond)
{
	if (cq->wait_cond == FI_CQ_COND_NONE)
		return 1;
	return u_max(1, u_min(count, (size_t)(uintptr_t)cond));
}

ssize_t efa_cq_sreadfrom(struct fid_cq *fid, void *buf, size_t count,
			 fi_addr_t *src, const void *cond, int timeout)
{
	struct efa_cq *cq = u_container_of(fid, struct efa_cq, fid);
	size_t want = threshold(cq, count, cond), got = 0;
	struct efa_nap nap;
	ssize_t ret;

	efa_nap_begin(&nap, &cq->watch, timeout);
	do {
		ret = fid->ops->readfrom(fid,
					 (char *)buf + got * cq->entry_size,
					 count - got, src ? src + got : NULL);
		if (ret > 0)
			got += (size_t)ret;
		/* 0 is the answer to a read of nothing. */
		if (got >= want || ret == 0 || (ret < 0 && ret != -FI_EAGAIN))
			break;
	} while (efa_nap_turn(&nap, cq_arm, cq));
	efa_nap_end(&nap);
	return got ? (ssize_t)got : ret;
}

ssize_t efa_cq_sread(struct fid_cq *fid, void *buf, size_t count,
		     const void *cond, int timeout)
{
	return efa_cq_sreadfrom(fid, buf, count, NULL, cond, timeout);
}

int efa_cq_signal(struct fid_cq *fid)
{
	efa_watch_signal(&u_container_of(fid, struct efa_cq, fid)->watch);
	return 0;
}

int efa_cq_trywait(struct efa_cq *cq)
{
	return efa_watch_try(&cq->watch, cq_arm, cq, false);
}
