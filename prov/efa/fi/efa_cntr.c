/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_cntr.c - counters of completed operations
 *
 * The message layer counts; looking at a counter drives the endpoints that
 * count in it. A counter with a descriptor to sleep on wakes when one of those
 * endpoints has work, and when somebody else has done that work.
 */
#include "fi/efa.h"

#include <stdlib.h>

#include "util/u_lines.h"

static struct efa_cntr *cntr_of(struct fid_cntr *cntr)
{
	return u_container_of(cntr, struct efa_cntr, fid);
}

struct counts {
	uint64_t ok, failed;
};

/* What a look at a counter finds, and notes as seen. */
static struct counts look(struct efa_cntr *cntr)
{
	struct counts now;

	if (u_unlikely(atomic_load(&cntr->watch.polled)))
		efa_watch_back(&cntr->watch);
	efa_watch_progress(&cntr->watch);
	now.ok = atomic_load(&cntr->count.ok);
	now.failed = atomic_load(&cntr->count.failed);
	efa_watch_note(&cntr->watch,
		       now.ok + now.failed != atomic_load(&cntr->seen));
	atomic_store(&cntr->seen, now.ok + now.failed);
	return now;
}

static uint64_t cntr_read(struct fid_cntr *fid)
{
	return look(cntr_of(fid)).ok;
}

static uint64_t cntr_readerr(struct fid_cntr *fid)
{
	return look(cntr_of(fid)).failed;
}

/* A change by the program wakes who waits, as an operation does. */
static int wake(struct efa_cntr *cntr)
{
	efa_watch_raise(&cntr->watch);
	return 0;
}

static int cntr_add(struct fid_cntr *fid, uint64_t value)
{
	atomic_fetch_add(&cntr_of(fid)->count.ok, value);
	return wake(cntr_of(fid));
}

static int cntr_set(struct fid_cntr *fid, uint64_t value)
{
	atomic_store(&cntr_of(fid)->count.ok, value);
	return wake(cntr_of(fid));
}

static int cntr_adderr(struct fid_cntr *fid, uint64_t value)
{
	atomic_fetch_add(&cntr_of(fid)->count.failed, value);
	return wake(cntr_of(fid));
}

static int cntr_seterr(struct fid_cntr *fid, uint64_t value)
{
	atomic_store(&cntr_of(fid)->count.failed, value);
	return wake(cntr_of(fid));
}

/* The next count will signal the eventfd. False: there was one meanwhile. */
static bool cntr_arm(void *arg)
{
	struct efa_cntr *cntr = arg;
	struct rdm_cntr *count = &cntr->count;

	atomic_store(&count->sleeping, true);
	return atomic_load(&count->ok) + atomic_load(&count->failed) ==
	       atomic_load(&cntr->seen);
}

/* Ends at the threshold, at the first error since the call, or at timeout. */
static int cntr_wait(struct fid_cntr *fid, uint64_t threshold, int timeout)
{
	struct efa_cntr *cntr = cntr_of(fid);
	uint64_t failed = atomic_load(&cntr->count.failed);
	struct efa_nap nap;
	struct counts now;
	int ret;

	efa_nap_begin(&nap, &cntr->watch, timeout);
	do {
		now = look(cntr);
		ret = now.ok >= threshold  ? 0 :
		      now.failed != failed ? -FI_EAVAIL :
					     -FI_ETIMEDOUT;
	} while (ret == -FI_ETIMEDOUT && efa_nap_turn(&nap, cntr_arm, cntr));
	efa_nap_end(&nap);
	return ret;
}

int efa_cntr_trywait(struct efa_cntr *cntr)
{
	return efa_watch_try(&cntr->watch, cntr_arm, cntr, true);
}

static int cntr_control(struct fid *fid, int command, void *arg)
{
	struct efa_cntr *cntr = u_container_of(fid, struct efa_cntr, fid.fid);

	switch (command) {
	case FI_GETWAIT:
		if (cntr->watch.epoll < 0)
			return -FI_ENODATA;
		*(int *)arg = cntr->watch.epoll;
		return 0;
	case FI_GETWAITOBJ:
		*(enum fi_wait_obj *)arg = cntr->wait_obj;
		return 0;
	default:
		return -FI_ENOSYS;
	}
}

static int cntr_close(struct fid *fid)
{
	struct efa_cntr *cntr = u_container_of(fid, struct efa_cntr, fid.fid);

	if (efa_is_child(cntr->domain->pid))
		return 0;
	if (atomic_load(&cntr->refs))
		return -FI_EBUSY;
	efa_domain_remove_cntr(cntr->domain, cntr);
	atomic_fetch_sub(&cntr->domain->refs, 1);
	efa_watch_fini(&cntr->watch);
	free(cntr);
	return 0;
}

static struct fi_ops cntr_fi_ops = {
	.size = sizeof(struct fi_ops),
	.close = cntr_close,
	.bind = efa_nosys_bind,
	.control = cntr_control,
	.ops_open = efa_nosys_ops_open,
	.tostr = efa_nosys_tostr,
	.ops_set = efa_nosys_ops_set,
};

static struct fi_ops_cntr cntr_ops = {
	.size = sizeof(struct fi_ops_cntr),
	.read = cntr_read,
	.readerr = cntr_readerr,
	.add = cntr_add,
	.set = cntr_set,
	.wait = cntr_wait,
	.adderr = cntr_adderr,
	.seterr = cntr_seterr,
};

static int check_attr(const struct fi_cntr_attr *attr)
{
	if (attr->flags)
		return -FI_EBADFLAGS;
	if (attr->events != FI_CNTR_EVENTS_COMP)
		return -FI_ENOSYS;
	switch (attr->wait_obj) {
	case FI_WAIT_NONE:
	case FI_WAIT_YIELD:
	case FI_WAIT_UNSPEC:
	case FI_WAIT_FD:
		return 0;
	default:
		return -FI_ENOSYS;
	}
}

int efa_cntr_open(struct fid_domain *fid, struct fi_cntr_attr *attr,
		  struct fid_cntr **out, void *context)
{
	struct efa_domain *domain = u_container_of(fid, struct efa_domain, fid);
	struct efa_cntr *cntr;
	bool sleeps;
	int ret;

	ret = attr ? check_attr(attr) : 0;
	if (ret)
		return ret;
	cntr = u_lines_new(sizeof(*cntr));
	if (!cntr)
		return -FI_ENOMEM;
	/* A wait on FI_WAIT_UNSPEC naps: most of them are never waited on. */
	sleeps = attr && attr->wait_obj == FI_WAIT_FD;
	ret = efa_watch_init(&cntr->watch, efa_domain_locks(domain).queues,
			     sleeps);
	if (ret) {
		free(cntr);
		return ret;
	}
	cntr->count.fd = cntr->watch.event;
	cntr->wait_obj = attr ? attr->wait_obj : FI_WAIT_NONE;
	cntr->domain = domain;
	cntr->fid.fid.fclass = FI_CLASS_CNTR;
	cntr->fid.fid.context = context;
	cntr->fid.fid.ops = &cntr_fi_ops;
	cntr->fid.ops = &cntr_ops;
	atomic_fetch_add(&domain->refs, 1);
	*out = &cntr->fid;
	return 0;
}
