/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_remote.c - RDMA that peers ask for, where they cannot reach our memory
 *
 * The whole range of an operation is checked at each of its records, with the
 * key table locked while its bytes are copied, so nothing is touched after
 * the owner has deregistered. The check of the last record of a write is the
 * verdict on all of it: a key that was bad once stays bad.
 */
#include "nic_priv.h"

#include <errno.h>
#include <stdlib.h>

/* The path back to who wrote a record; NULL: there is none. */
static struct nic_path *remote_path(struct nic_qp *qp,
				    const struct wire_shm_pkt *pkt)
{
	struct wire_shm_id who;
	struct nic_path *p;

	if (wire_shm_source(qp->shm, pkt->lane, &who))
		return NULL;
	p = nic_path_get(qp, &who);
	if (!p)
		return NULL;
	if (!p->reply && p->state != NIC_PATH_DEAD)
		p->reply = calloc(NIC_RING_OPS, sizeof(*p->reply));
	p->shun |= !p->reply;
	return p->reply ? p : NULL;
}

/* A place for an answer; NULL: the peer asked for more than it may. */
static struct nic_reply *remote_reply(struct nic_path *p)
{
	for (int i = 0; i < NIC_RING_OPS; i++) {
		if (p->reply[i].kind != NIC_REPLY_NONE)
			continue;
		p->nreplies++;
		nic_path_activate(p);
		return &p->reply[i];
	}
	return NULL;
}

static void remote_done(struct nic_path *p, struct nic_reply *r)
{
	r->kind = NIC_REPLY_NONE;
	p->nreplies--;
}

/* The next bytes of a read. 0, -EAGAIN or -EPIPE as nic_path_put. */
static int remote_put_data(struct nic_path *p, struct nic_reply *r,
			   size_t *budget)
{
	const struct nic_pkt_range *range = &r->range;
	size_t n = u_min(range->len - range->offset, NIC_PIECE);
	struct nic_pkt_data h = { .id = range->id, .offset = range->offset };
	struct nic_keys *keys = &p->qp->nic->keys;
	int rc;

	if (range->len && !nic_keys_hold(keys, range->rkey, NIC_REMOTE_READ,
					 range->remote, range->len)) {
		r->kind = NIC_REPLY_ACK;
		r->ack = (struct nic_pkt_ack){ range->id, NIC_BAD_RKEY };
		return 0;
	}
	rc = nic_path_copy_in(
		p, NIC_PKT_DATA, &h, sizeof(h),
		(const void *)(uintptr_t)(range->remote + range->offset), n);
	if (range->len)
		nic_keys_leave(keys);
	rc = nic_path_copied(p, rc);
	if (rc)
		return rc;
	*budget -= u_min(n, *budget);
	r->range.offset += n;
	if (r->range.offset == r->range.len)
		remote_done(p, r);
	return 0;
}

static int remote_put(struct nic_path *p, struct nic_reply *r, size_t *budget)
{
	int rc;

	if (r->kind == NIC_REPLY_DATA)
		return remote_put_data(p, r, budget);
	rc = nic_path_put(p, NIC_PKT_ACK, &r->ack, sizeof(r->ack), NULL, 0);
	if (!rc)
		remote_done(p, r);
	return rc;
}

/* A record of each answer in turn, until the ring is full. */
void nic_remote_run(struct nic_path *p, size_t *budget)
{
	if (!p->nreplies || !nic_path_link_back(p))
		return;
	while (p->nreplies && *budget)
		for (int i = 0; i < NIC_RING_OPS && p->nreplies; i++)
			if (p->reply[i].kind != NIC_REPLY_NONE &&
			    remote_put(p, &p->reply[i], budget))
				return;
}

int nic_remote_read(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		    struct nic_wc *wc)
{
	size_t budget = 2 * NIC_PIECE;
	struct nic_pkt_range h;
	struct nic_path *p;
	struct nic_reply *r;

	(void)wc;
	if (!nic_pkt_header(pkt, &h, sizeof(h)) || h.len > NIC_MAX_RDMA ||
	    h.offset)
		return nic_bad_packet(qp);
	p = remote_path(qp, pkt);
	r = p ? remote_reply(p) : NULL;
	if (!r)
		return nic_bad_packet(qp);
	r->kind = NIC_REPLY_DATA;
	r->range = h;
	nic_remote_run(p, &budget);
	return 0;
}

static void remote_ack(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		       uint32_t id, enum nic_status status)
{
	struct nic_path *p = remote_path(qp, pkt);
	struct nic_reply *r = p ? remote_reply(p) : NULL;
	size_t budget = NIC_PIECE;

	if (!r) {
		nic_bad_packet(qp);
		return;
	}
	r->kind = NIC_REPLY_ACK;
	r->ack = (struct nic_pkt_ack){ id, status };
	nic_remote_run(p, &budget);
}

int nic_remote_write(struct nic_qp *qp, const struct wire_shm_pkt *pkt,
		     struct nic_wc *wc)
{
	struct nic_keys *keys = &qp->nic->keys;
	struct nic_pkt_range h;
	bool good = true;
	size_t n;

	(void)wc;
	if (!nic_pkt_header(pkt, &h, sizeof(h)))
		return nic_bad_packet(qp);
	n = pkt->len - sizeof(h);
	if (h.len > NIC_MAX_RDMA || h.offset > h.len || n > h.len - h.offset)
		return nic_bad_packet(qp);
	if (h.len) {
		good = nic_keys_hold(keys, h.rkey, NIC_REMOTE_WRITE, h.remote,
				     h.len);
		if (good) {
			memcpy((void *)(uintptr_t)(h.remote + h.offset),
			       (const char *)pkt->data + sizeof(h), n);
			nic_keys_leave(keys);
		}
	}
	if (h.offset + n == h.len)
		remote_ack(qp, pkt, h.id, good ? NIC_OK : NIC_BAD_RKEY);
	return 0;
}
