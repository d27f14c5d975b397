/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_path.c - the way to a peer: found at first use, shared by all handles
 * with its address and by the answers we owe it, ended once
 */
#include "nic_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nic_bell.h"
#include "nic_gid.h"
#include "util/u_hash.h"
#include "util/u_lines.h"
#include "util/u_log.h"

uint32_t nic_id_bucket(const struct wire_shm_id *id)
{
	uint64_t hi, lo;

	memcpy(&hi, id->gid, 8);
	memcpy(&lo, id->gid + 8, 8);
	return (uint32_t)(u_hash2(hi ^ lo,
				  (uint64_t)id->qpn << 32 | id->connid) >>
			  56) %
	       NIC_PATH_BUCKETS;
}

bool nic_id_same(const struct wire_shm_id *a, const struct wire_shm_id *b)
{
	return a->qpn == b->qpn && a->connid == b->connid &&
	       !memcmp(a->gid, b->gid, sizeof(a->gid));
}

static struct nic_path *path_new(struct nic_qp *qp,
				 const struct wire_shm_id *id)
{
	struct nic_path *p = u_lines_new(sizeof(*p));

	if (!p)
		return NULL;
	p->qp = qp;
	p->id = *id;
	TAILQ_INIT(&p->ops);
	TAILQ_INIT(&p->waiting);
	TAILQ_INIT(&p->ahs);
	LIST_INSERT_HEAD(&qp->bucket[nic_id_bucket(id)], p, bucket_link);
	TAILQ_INSERT_TAIL(&qp->paths, p, link_all);
	qp->npaths++;
	return p;
}

struct nic_path *nic_path_find(struct nic_qp *qp, const struct wire_shm_id *id)
{
	struct nic_path *p;

	LIST_FOREACH(p, &qp->bucket[nic_id_bucket(id)], bucket_link)
		if (nic_id_same(&p->id, id))
			return p;
	return NULL;
}

struct nic_path *nic_path_get(struct nic_qp *qp, const struct wire_shm_id *id)
{
	struct nic_path *p = nic_path_find(qp, id);

	return p ? p : path_new(qp, id);
}

static void path_set_link(struct nic_path *p, struct wire_shm_link *link)
{
	struct nic_ah *ah;

	p->link = link;
	TAILQ_FOREACH(ah, &p->ahs, path_link)
		ah->link = link;
}

void nic_path_tell_unreachable(const struct nic_path *p)
{
	struct nic *nic = p->qp->nic;
	char peer[NIC_GID_TEXT], self[NIC_GID_TEXT];
	bool first = nic_tell_once(nic, &nic->told_foreign);

	u_log(first ? U_LOG_WARN : U_LOG_INFO,
	      "%s queue pair %u cannot be reached from %s (%s): %s",
	      nic_gid_text(p->id.gid, peer), p->id.qpn, nic->info.name,
	      nic_gid_text(p->qp->self.gid, self),
	      p->state == NIC_PATH_FOREIGN ?
		      "one is an IPv4 address and the other IPv6; choose the "
		      "interface with FI_EFA_IFACE" :
		      "there is no route, or packets are filtered on the way");
}

/* Shared memory would be faster, the packet wire does as well. */
static void path_tell_refused(const struct nic_path *p, int rc)
{
	struct nic *nic = p->qp->nic;
	char peer[NIC_GID_TEXT];
	/* What the peer's program wants is no trouble of ours. */
	bool first = rc != -EPERM && nic_tell_once(nic, &nic->told_space);

	u_log(first ? U_LOG_WARN : U_LOG_INFO,
	      "no shared memory to %s queue pair %u of this host, so it is "
	      "reached as if it were on another: %s",
	      nic_gid_text(p->id.gid, peer), p->id.qpn,
	      rc == -ENOSPC ? "it has no lane free, or shared memory is full "
			      "(enlarge /dev/shm)" :
	      rc == -EPROTO ? "it runs another version of this provider" :
	      rc == -EPERM  ? "its program permits none" :
			      strerror(-rc));
}

static enum nic_status path_status(struct nic_path *p)
{
	switch (p->state) {
	case NIC_PATH_LIVE:
	case NIC_PATH_FAR:
		return NIC_OK;
	case NIC_PATH_DEAD:
		return NIC_NO_QP;
	case NIC_PATH_FOREIGN:
		if (!p->told)
			nic_path_tell_unreachable(p);
		p->told = true;
		break;
	case NIC_PATH_NEW:
		break;
	}
	return NIC_UNREACHABLE;
}

static bool path_is_missing(int rc)
{
	return rc == -ENOENT || rc == -ESTALE;
}

/* The next try is after a tick; who is not there waits for no answer. */
static int path_open(struct nic_path *p, struct wire_shm_link **link)
{
	int rc = wire_shm_link_open(p->qp->shm, &p->id, link);

	p->hold = rc != 0;
	if (path_is_missing(rc))
		nic_path_drop_answers(p);
	return rc;
}

static void path_find_far(struct nic_path *p)
{
	if (nic_gid_is_v4(p->id.gid) != nic_gid_is_v4(p->qp->self.gid))
		p->state = NIC_PATH_FOREIGN;
	else
		p->hold = nic_far_resolve(p) != NIC_OK;
}

/*
 * One NIC may serve containers with shared memory of their own, so a peer of it
 * that has no segment here may live all the same.
 */
static void path_find_none(struct nic_path *p, int rc)
{
	const struct nic *nic = p->qp->nic;
	bool missing = path_is_missing(rc);

	if (!missing)
		path_tell_refused(p, rc);
	/* Whoever has another way to the peer takes that. */
	if (nic->config.shm_only)
		return;
	if (!missing || (rc == -ENOENT && nic->info.wire == NIC_WIRE_UD))
		path_find_far(p);
	else
		nic_path_die(p);
}

/* The way of a NEW path, which stays so where there is none for a while. */
static void path_find(struct nic_path *p)
{
	struct nic *nic = p->qp->nic;
	struct wire_shm_link *link;
	int rc;

	if (!nic->config.shm_only &&
	    (p->qp->no_shm || !nic_is_own(nic, p->id.gid))) {
		path_find_far(p);
		return;
	}
	rc = path_open(p, &link);
	if (rc) {
		path_find_none(p, rc);
		return;
	}
	p->state = NIC_PATH_LIVE;
	path_set_link(p, link);
}

enum nic_status nic_path_resolve(struct nic_path *p)
{
	if (p->state == NIC_PATH_NEW && !p->hold)
		path_find(p);
	return path_status(p);
}

bool nic_path_link_back(struct nic_path *p)
{
	struct wire_shm_link *link;

	if (p->link)
		return true;
	if (p->state == NIC_PATH_NEW && !p->hold)
		path_find(p);
	switch (p->state) {
	case NIC_PATH_LIVE:
		return true;
	case NIC_PATH_FAR:
	case NIC_PATH_FOREIGN:
		/* The peer has a lane here, so there is hope. */
		if (!p->hold && !path_open(p, &link))
			p->link = link;
		return p->link != NULL;
	case NIC_PATH_NEW:
	case NIC_PATH_DEAD:
		break;
	}
	return false;
}

/* What a direct copy needs: the peer's keys, and a pin there. */
static int path_pin(struct nic_path *p)
{
	struct nic *nic = p->qp->nic;
	struct nic_mirror *m;
	int rc = nic_mirror_open(nic->config.shm_dir,
				 wire_shm_link_tag(p->link), &m);

	if (rc)
		return rc;
	rc = nic_mirror_pin(m, &p->pin);
	if (rc) {
		nic_mirror_close(m);
		return rc;
	}
	p->mirror = m;
	return 0;
}

void nic_path_unpin(struct nic_path *p)
{
	if (!p->mirror)
		return;
	nic_mirror_unpin(p->mirror, p->pin);
	nic_mirror_close(p->mirror);
	p->mirror = NULL;
	p->pin = NULL;
}

void nic_path_choose_way(struct nic_path *p)
{
	char peer[NIC_GID_TEXT];
	int rc;

	p->way = NIC_WAY_RING;
	if (wire_shm_link_copy(p->link) == WIRE_SHM_COPY_RING)
		return;
	rc = path_pin(p);
	if (rc)
		u_info("keys of %s queue pair %u cannot be read (%s): copying "
		       "through the ring",
		       nic_gid_text(p->id.gid, peer), p->id.qpn, strerror(-rc));
	else
		p->way = NIC_WAY_DIRECT;
}

void nic_path_wake(struct nic_path *p)
{
	p->wake = !nic_bell_ring(p->qp->sock, wire_shm_link_bell(p->link));
	if (p->wake)
		nic_path_activate(p);
}

int nic_path_copy_in(struct nic_path *p, enum nic_pkt_kind kind,
		     const void *hdr, size_t hdr_len, const void *data,
		     size_t len)
{
	struct iovec iov = {
		.iov_base = (void *)(uintptr_t)data,
		.iov_len = len,
	};

	return wire_shm_send(p->link, kind, 0, hdr, hdr_len, &iov, len != 0,
			     len);
}

int nic_path_copied(struct nic_path *p, int rc)
{
	if (rc == 0 || rc == -EAGAIN)
		return rc;
	if (rc == 1) {
		nic_path_wake(p);
		return 0;
	}
	if (p->state == NIC_PATH_LIVE)
		nic_path_die(p);
	else
		nic_path_drop_answers(p);
	return -EPIPE;
}

int nic_path_put(struct nic_path *p, enum nic_pkt_kind kind, const void *hdr,
		 size_t hdr_len, const void *data, size_t len)
{
	return nic_path_copied(p, nic_path_copy_in(p, kind, hdr, hdr_len, data,
						   len));
}

void nic_path_activate(struct nic_path *p)
{
	if (p->active)
		return;
	p->active = true;
	TAILQ_INSERT_TAIL(&p->qp->active, p, link_active);
	p->qp->attention |= NIC_ATT_WORK;
}

static void path_deactivate(struct nic_path *p)
{
	if (!p->active)
		return;
	p->active = false;
	TAILQ_REMOVE(&p->qp->active, p, link_active);
}

static void path_close_link(struct nic_path *p)
{
	if (p->link)
		wire_shm_link_close(p->link);
	path_set_link(p, NULL);
	p->wake = false;
}

void nic_path_close(struct nic_path *p)
{
	nic_path_drop_answers(p);
	path_close_link(p);
	nic_path_unpin(p);
	p->way = NIC_WAY_UNKNOWN;
	path_deactivate(p);
}

void nic_path_drop_answers(struct nic_path *p)
{
	/* Who waits for one of them has to hear that none comes. */
	p->shun |= p->nreplies != 0;
	free(p->reply);
	p->reply = NULL;
	p->nreplies = 0;
	p->owing_looks = 0;
	if (p->state != NIC_PATH_LIVE)
		path_close_link(p);
}

void nic_path_free(struct nic_path *p)
{
	struct nic_op *op;

	p->state = NIC_PATH_DEAD;
	nic_path_close(p);
	while ((op = TAILQ_FIRST(&p->ops)) || (op = TAILQ_FIRST(&p->waiting))) {
		op->ah = NULL;
		nic_rdma_end(op, NIC_FLUSHED);
	}
	if (p->ending)
		TAILQ_REMOVE(&p->qp->ending, p, link_ending);
	LIST_REMOVE(p, bucket_link);
	TAILQ_REMOVE(&p->qp->paths, p, link_all);
	p->qp->npaths--;
	free(p);
}

bool nic_path_drop(struct nic_path *p)
{
	if (!TAILQ_EMPTY(&p->ahs) || !TAILQ_EMPTY(&p->ops) ||
	    !TAILQ_EMPTY(&p->waiting) || p->reply || p->shun)
		return false;
	nic_path_free(p);
	return true;
}
