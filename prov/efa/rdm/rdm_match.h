/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_match.h - which receive takes which message
 *
 * Posted receives and unexpected messages of one kind (tagged or not) are
 * matched in the order in which they were posted and arrived. Exact receives
 * are found by hash of (peer, tag), those from any peer by hash of (any, tag),
 * those that ignore tag bits in a list; the oldest of the candidates wins.
 * Unexpected messages are in three orders at once: by (peer, tag), by tag, and
 * all. So exact tags cost the same with one or 100,000 entries, also when all
 * of these have the same tag; only a receive that ignores some tag bits walks.
 *
 * Entries are embedded in their owners; nothing here allocates but the growth
 * of the tables, and where that fails chains get longer.
 */
#ifndef RDM_MATCH_H
#define RDM_MATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "rdm/rdm_keyq.h"
#include "util/u_base.h"
#include "util/u_hash.h"

struct rdm_peer; /* an identity only; NULL: any */

/* A posted receive; one cache line where its owner aligns it so. */
struct rdm_match_recv {
	union {
		struct rdm_keyq_node node; /* ignore == 0: in recvs */
		TAILQ_ENTRY(rdm_match_recv) link; /* else: in wild */
	};
	struct rdm_peer *peer; /* NULL: any */
	uint64_t tag; /* ignored bits cleared */
	uint64_t ignore;
	uint64_t order; /* rising with each post */
};

/* An unexpected message. */
struct rdm_match_msg {
	struct rdm_keyq_node by_peer_tag;
	struct rdm_keyq_node by_tag;
	TAILQ_ENTRY(rdm_match_msg) in_all;
	struct rdm_peer *peer;
	uint64_t tag;
};

TAILQ_HEAD(rdm_match_recvs, rdm_match_recv);
TAILQ_HEAD(rdm_match_msgs, rdm_match_msg);

struct rdm_match {
	/* Posted receives. */
	struct rdm_keyq recvs; /* ignore == 0 */
	struct rdm_match_recvs wild; /* ignore != 0, oldest first */
	uint32_t npeer; /* receives in recvs that name a peer */
	uint32_t nany; /* those that do not */
	uint64_t next_order;
	/* Unexpected messages. */
	struct rdm_keyq peer_tag_msgs;
	struct rdm_keyq tag_msgs;
	struct rdm_match_msgs all; /* oldest first */
	uint32_t nmsgs;
};

/* -ENOMEM. The first tables are small (64 buckets). */
int rdm_match_init(struct rdm_match *m);

/* Entries still there are forgotten and stay their owner's. */
void rdm_match_fini(struct rdm_match *m);

/*
 * Hash of (peer, tag). Two keys can share one only if neither their peers nor
 * their tags are equal.
 */
static inline uint64_t rdm_match_hash(const struct rdm_peer *peer, uint64_t tag)
{
	return u_hash2((uintptr_t)peer >> 4, tag);
}

/* r->peer, tag, ignore are set by the caller; tag bits in ignore don't care. */
void rdm_match_post(struct rdm_match *m, struct rdm_match_recv *r);
void rdm_match_unpost(struct rdm_match *m, struct rdm_match_recv *r);

/* The oldest posted receive for exactly (peer, tag), or NULL. */
static inline struct rdm_match_recv *
rdm_match_exact(struct rdm_match *m, struct rdm_peer *peer, uint64_t tag)
{
	struct rdm_keyq_node *n;

	n = rdm_keyq_first(&m->recvs, rdm_match_hash(peer, tag));
	for (; n; n = n->next) {
		struct rdm_match_recv *r;

		r = u_container_of(n, struct rdm_match_recv, node);
		if (u_likely(r->peer == peer && r->tag == tag))
			return r;
	}
	return NULL;
}

/* The oldest fitting one of the wild list, if older than best; else best. */
struct rdm_match_recv *rdm_match_wild(struct rdm_match *m,
				      struct rdm_match_recv *best,
				      struct rdm_peer *peer, uint64_t tag);

/* The receive that a message takes, or NULL; it stays posted. Hot: inline. */
static inline struct rdm_match_recv *
rdm_match_find_recv(struct rdm_match *m, struct rdm_peer *peer, uint64_t tag)
{
	struct rdm_match_recv *best = NULL;

	if (m->npeer)
		best = rdm_match_exact(m, peer, tag);
	if (m->nany) {
		struct rdm_match_recv *any = rdm_match_exact(m, NULL, tag);

		if (any && (!best || any->order < best->order))
			best = any;
	}
	if (u_unlikely(!TAILQ_EMPTY(&m->wild)))
		best = rdm_match_wild(m, best, peer, tag);
	return best;
}

/* Keeps a message that no receive took; msg->peer and tag are set. */
void rdm_match_keep(struct rdm_match *m, struct rdm_match_msg *msg);
void rdm_match_drop(struct rdm_match *m, struct rdm_match_msg *msg);

/* The oldest message that a receive would take, or NULL; it stays. */
struct rdm_match_msg *rdm_match_find_msg(struct rdm_match *m,
					 struct rdm_peer *peer, uint64_t tag,
					 uint64_t ignore);

#endif
