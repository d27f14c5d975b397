/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_match.c - posting of receives and keeping of unexpected messages
 *
 * The search for the receive of a message is inline in rdm_match.h.
 */
#include "rdm/rdm_match.h"

#include <errno.h>

#define FIRST_BITS 6

int rdm_match_init(struct rdm_match *m)
{
	*m = (struct rdm_match){ .next_order = 0 };
	TAILQ_INIT(&m->wild);
	TAILQ_INIT(&m->all);
	if (rdm_keyq_init(&m->recvs, FIRST_BITS))
		return -ENOMEM;
	if (rdm_keyq_init(&m->peer_tag_msgs, FIRST_BITS))
		goto fini_recvs;
	if (rdm_keyq_init(&m->tag_msgs, FIRST_BITS))
		goto fini_peer_tag_msgs;
	return 0;

fini_peer_tag_msgs:
	rdm_keyq_fini(&m->peer_tag_msgs);
fini_recvs:
	rdm_keyq_fini(&m->recvs);
	return -ENOMEM;
}

void rdm_match_fini(struct rdm_match *m)
{
	rdm_keyq_fini(&m->tag_msgs);
	rdm_keyq_fini(&m->peer_tag_msgs);
	rdm_keyq_fini(&m->recvs);
}

/* The counter that says whether receives of r's sort need a look. */
static uint32_t *count_of(struct rdm_match *m, const struct rdm_match_recv *r)
{
	return r->peer ? &m->npeer : &m->nany;
}

void rdm_match_post(struct rdm_match *m, struct rdm_match_recv *r)
{
	r->order = m->next_order++;
	if (r->ignore) {
		r->tag &= ~r->ignore;
		TAILQ_INSERT_TAIL(&m->wild, r, link);
		return;
	}
	r->node.hash = rdm_match_hash(r->peer, r->tag);
	rdm_keyq_add(&m->recvs, &r->node);
	++*count_of(m, r);
}

void rdm_match_unpost(struct rdm_match *m, struct rdm_match_recv *r)
{
	if (r->ignore) {
		TAILQ_REMOVE(&m->wild, r, link);
		return;
	}
	rdm_keyq_remove(&m->recvs, &r->node);
	assert(*count_of(m, r));
	--*count_of(m, r);
}

struct rdm_match_recv *rdm_match_wild(struct rdm_match *m,
				      struct rdm_match_recv *best,
				      struct rdm_peer *peer, uint64_t tag)
{
	struct rdm_match_recv *r;

	TAILQ_FOREACH(r, &m->wild, link) {
		if (best && best->order < r->order)
			return best;
		if (r->tag == (tag & ~r->ignore) &&
		    (!r->peer || r->peer == peer))
			return r;
	}
	return best;
}

void rdm_match_keep(struct rdm_match *m, struct rdm_match_msg *msg)
{
	msg->by_peer_tag.hash = rdm_match_hash(msg->peer, msg->tag);
	msg->by_tag.hash = rdm_match_hash(NULL, msg->tag);
	rdm_keyq_add(&m->peer_tag_msgs, &msg->by_peer_tag);
	rdm_keyq_add(&m->tag_msgs, &msg->by_tag);
	TAILQ_INSERT_TAIL(&m->all, msg, in_all);
	m->nmsgs++;
}

void rdm_match_drop(struct rdm_match *m, struct rdm_match_msg *msg)
{
	assert(m->nmsgs);
	rdm_keyq_remove(&m->peer_tag_msgs, &msg->by_peer_tag);
	rdm_keyq_remove(&m->tag_msgs, &msg->by_tag);
	TAILQ_REMOVE(&m->all, msg, in_all);
	m->nmsgs--;
}

static struct rdm_match_msg *
find_by_peer_tag(struct rdm_match *m, struct rdm_peer *peer, uint64_t tag)
{
	struct rdm_keyq_node *n;

	n = rdm_keyq_first(&m->peer_tag_msgs, rdm_match_hash(peer, tag));
	for (; n; n = n->next) {
		struct rdm_match_msg *msg;

		msg = u_container_of(n, struct rdm_match_msg, by_peer_tag);
		if (msg->peer == peer && msg->tag == tag)
			return msg;
	}
	return NULL;
}

/* Of one tag there is one hash: what is found needs no second look. */
static struct rdm_match_msg *find_by_tag(struct rdm_match *m, uint64_t tag)
{
	struct rdm_keyq_node *n;

	n = rdm_keyq_first(&m->tag_msgs, rdm_match_hash(NULL, tag));
	return n ? u_container_of(n, struct rdm_match_msg, by_tag) : NULL;
}

static struct rdm_match_msg *find_by_walk(struct rdm_match *m,
					  struct rdm_peer *peer, uint64_t tag,
					  uint64_t ignore)
{
	struct rdm_match_msg *msg;

	TAILQ_FOREACH(msg, &m->all, in_all)
		if (((msg->tag ^ tag) & ~ignore) == 0 &&
		    (!peer || msg->peer == peer))
			return msg;
	return NULL;
}

struct rdm_match_msg *rdm_match_find_msg(struct rdm_match *m,
					 struct rdm_peer *peer, uint64_t tag,
					 uint64_t ignore)
{
	if (m->nmsgs == 0)
		return NULL;
	if (ignore)
		return find_by_walk(m, peer, tag, ignore);
	return peer ? find_by_peer_tag(m, peer, tag) : find_by_tag(m, tag);
}
