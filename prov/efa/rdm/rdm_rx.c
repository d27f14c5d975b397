/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_rx.c - receives of the user: post, peek, claim, cancel, complete
 *
 * A multi-receive buffer stays posted while it has min_multi_recv bytes left;
 * each message takes a part off its front. Its last completion, when all
 * parts are done, carries RDM_COMP_MULTI, also where it was canceled.
 */
#include "rdm/rdm_move.h"

#include <errno.h>
#include <string.h>

#include "util/u_log.h"

static struct rdm_match *match_of(struct rdm_ep *ep, bool tagged)
{
	return &ep->match[tagged];
}

static void rx_post(struct rdm_ep *ep, struct rdm_rx *rx)
{
	rx->posted = true;
	TAILQ_INSERT_TAIL(&ep->posted, rx, all);
	ep->nwaiting += !(rx->flags & RDM_MULTI_RECV);
	rdm_match_post(match_of(ep, rx->flags & RDM_TAGGED), &rx->match);
}

static void rx_unpost(struct rdm_ep *ep, struct rdm_rx *rx)
{
	rx->posted = false;
	TAILQ_REMOVE(&ep->posted, rx, all);
	ep->nwaiting -= !(rx->flags & RDM_MULTI_RECV);
	rdm_match_unpost(match_of(ep, rx->flags & RDM_TAGGED), &rx->match);
}

void rdm_iov_put(const struct iovec *iov, uint64_t offset, const void *bytes,
		 uint64_t n)
{
	const uint8_t *from = bytes;

	for (; n; iov++) {
		uint64_t part;

		if (offset >= iov->iov_len) {
			offset -= iov->iov_len;
			continue;
		}
		part = u_min(n, iov->iov_len - offset);
		memcpy((uint8_t *)iov->iov_base + offset, from, part);
		from += part;
		n -= part;
		offset = 0;
	}
}

void rdm_rx_copy(struct rdm_rx *rx, uint64_t offset, const void *bytes,
		 uint64_t n)
{
	if (offset < rx->capacity)
		rdm_iov_put(rx->iov, offset, bytes,
			    u_min(n, rx->capacity - offset));
}

/* ---- taking and completing -------------------------------------------------- */

static bool used_up(const struct rdm_ep *ep, const struct rdm_rx *rx)
{
	return rx->capacity < u_max(ep->config.min_multi_recv, 1);
}

static struct rdm_rx *take_part(struct rdm_ep *ep, struct rdm_rx *rx,
				uint64_t total)
{
	struct rdm_rx *part = u_pool_get(&ep->rxs);
	uint64_t len = u_min(total, rx->capacity);

	if (!part)
		return NULL;
	*part = (struct rdm_rx){
		.context = rx->context,
		.flags = rx->flags,
		.iovcnt = 1,
		.capacity = len,
		.iov = { { rx->iov[0].iov_base, len } },
		.mr = { rx->mr[0] },
		.parent = rx,
	};
	rx->parts++;
	rx->iov[0].iov_base = (char *)rx->iov[0].iov_base + len;
	rx->iov[0].iov_len -= len;
	rx->capacity -= len;
	if (used_up(ep, rx))
		rx_unpost(ep, rx);
	return part;
}

struct rdm_rx *rdm_rx_take(struct rdm_ep *ep, struct rdm_rx *rx, uint64_t total)
{
	if (u_unlikely(rx->flags & RDM_MULTI_RECV))
		return take_part(ep, rx, total);
	if (rx->posted)
		rx_unpost(ep, rx);
	return rx;
}

static void complete(struct rdm_ep *ep, struct rdm_rx *rx,
		     struct rdm_peer *peer, struct rdm_comp *comp)
{
	uint64_t surplus = 0;
	bool wanted = rx->flags & RDM_COMPLETION;

	comp->context = rx->context;
	comp->buf = rx->iovcnt ? rx->iov[0].iov_base : NULL;
	comp->kind = RDM_COMP_RECV;
	comp->source = rdm_peer_index(ep, peer);
	if (u_unlikely(comp->len > rx->capacity)) {
		surplus = comp->len - rx->capacity;
		if (!comp->err)
			comp->err = RDM_ERR_TRUNC;
	}
	if (u_unlikely(rx->flags & RDM_DISCARD)) {
		u_pool_put(&ep->rxs, rx);
		return;
	}
	rdm_count(ep, RDM_CNTR_RECV, !comp->err);
	if (u_unlikely(comp->err))
		rdm_complete_error(ep, ep->config.rx_cq, comp, surplus, peer);
	else if (u_unlikely(wanted && comp->source == RDM_ADDR_NONE))
		rdm_complete_from(ep, comp, peer);
	else if (u_likely(wanted))
		rdm_cq_push(ep->config.rx_cq, comp);
	u_pool_put(&ep->rxs, rx);
}

/* The user is told last, as the buffer is his again from then on. */
static U_COLD void end_canceled(struct rdm_ep *ep, struct rdm_rx *rx)
{
	bool multi = rx->flags & RDM_MULTI_RECV;
	struct rdm_comp comp = {
		.context = rx->context,
		.buf = rx->iovcnt ? rx->iov[0].iov_base : NULL,
		.tag = rx->match.tag,
		.source = RDM_ADDR_NONE,
		.kind = RDM_COMP_RECV,
		.flags = (uint16_t)((rx->flags & RDM_TAGGED ? RDM_COMP_TAGGED :
							      0) |
				    (multi ? RDM_COMP_MULTI : 0)),
		.err = RDM_ERR_CANCELED,
	};

	rdm_count(ep, RDM_CNTR_RECV, false);
	rdm_complete_error(ep, ep->config.rx_cq, &comp, 0, NULL);
	u_pool_put(&ep->rxs, rx);
}

/* A part of a buffer is done, perhaps the last one. */
static void complete_part(struct rdm_ep *ep, struct rdm_rx *part,
			  struct rdm_peer *peer, struct rdm_comp *comp)
{
	struct rdm_rx *buffer = part->parent;
	bool last = --buffer->parts == 0 && !buffer->posted;

	if (last && !buffer->canceled) {
		comp->flags |= RDM_COMP_MULTI;
		part->flags |= RDM_COMPLETION;
	}
	complete(ep, part, peer, comp);
	if (!last)
		return;
	if (u_unlikely(buffer->canceled))
		end_canceled(ep, buffer);
	else
		u_pool_put(&ep->rxs, buffer);
}

void rdm_rx_complete(struct rdm_ep *ep, struct rdm_rx *rx,
		     struct rdm_peer *peer, struct rdm_comp *comp)
{
	if (u_unlikely(rx->parent))
		complete_part(ep, rx, peer, comp);
	else
		complete(ep, rx, peer, comp);
}

struct rdm_rx *rdm_rx_find(struct rdm_ep *ep, struct rdm_peer *peer,
			   bool tagged, uint64_t tag)
{
	struct rdm_match_recv *r =
		rdm_match_find_recv(match_of(ep, tagged), peer, tag);

	return r ? u_container_of(r, struct rdm_rx, match) : NULL;
}

/* ---- posting -------------------------------------------------------------------- */

/* The peer that a receive or peek names: NULL for any. */
static int peer_named(struct rdm_ep *ep, uint64_t from, struct rdm_peer **peer)
{
	*peer = NULL;
	if (from == RDM_ADDR_NONE)
		return 0;
	*peer = rdm_peer_at(ep, from);
	return *peer ? 0 : -EINVAL;
}

static struct rdm_msg *msg_find(struct rdm_ep *ep, struct rdm_peer *peer,
				uint32_t flags, uint64_t tag, uint64_t ignore)
{
	struct rdm_match *m = match_of(ep, flags & RDM_TAGGED);
	struct rdm_match_msg *found;

	if (u_likely(!m->nmsgs))
		return NULL;
	rdm_heed(ep);
	found = rdm_match_find_msg(m, peer, tag & ~ignore, ignore);
	return found ? u_container_of(found, struct rdm_msg, match) : NULL;
}

/*
 * A multi-receive buffer takes every unexpected message that it can. Once it
 * is used up the completion of its last part frees it, so look before.
 */
static void multi_fill(struct rdm_ep *ep, struct rdm_rx *rx)
{
	bool more = true;

	while (more) {
		struct rdm_match_recv *m = &rx->match;
		struct rdm_msg *msg =
			msg_find(ep, m->peer, rx->flags, m->tag, m->ignore);
		struct rdm_rx *part;

		if (!msg)
			return;
		part = rdm_rx_take(ep, rx, msg->total);
		if (!part)
			return;
		more = rx->posted;
		rdm_match_drop(match_of(ep, msg->tagged), &msg->match);
		rdm_msg_match(ep, msg, part);
	}
}

static int recv_multi(struct rdm_ep *ep, struct rdm_rx *rx)
{
	if (u_unlikely(rx->iovcnt != 1)) {
		u_warn("a multi-receive buffer of %u pieces: it has to be one",
		       rx->iovcnt);
		u_pool_put(&ep->rxs, rx);
		return -EINVAL;
	}
	rx_post(ep, rx);
	multi_fill(ep, rx);
	return 0;
}

static int recv_claimed(struct rdm_ep *ep, const struct rdm_recv *op,
			struct rdm_rx *rx)
{
	struct rdm_msg *msg;

	TAILQ_FOREACH(msg, &ep->claimed, queue) {
		if (msg->claim == op->context)
			break;
	}
	if (!msg) {
		u_pool_put(&ep->rxs, rx);
		return -ENOMSG;
	}
	TAILQ_REMOVE(&ep->claimed, msg, queue);
	msg->claimed = false;
	if (op->flags & RDM_DISCARD) {
		struct rdm_comp comp;

		rdm_msg_describe(ep, msg, &comp);
		comp.context = op->context;
		rx->capacity = 0;
		rx->iovcnt = 0;
		if (op->flags & RDM_COMPLETION)
			rdm_complete_from(ep, &comp, msg->peer);
	}
	rdm_msg_match(ep, msg, rx);
	return 0;
}

int rdm_recv(struct rdm_ep *ep, const struct rdm_recv *op)
{
	struct rdm_peer *peer;
	struct rdm_msg *msg;
	struct rdm_rx *rx;

	if (u_unlikely(peer_named(ep, op->from, &peer)))
		return -EINVAL;
	rx = u_pool_get(&ep->rxs);
	if (u_unlikely(!rx))
		return -EAGAIN;
	rx->match.peer = peer;
	rx->match.tag = op->flags & RDM_TAGGED ? op->tag & ~op->ignore : 0;
	rx->match.ignore = op->flags & RDM_TAGGED ? op->ignore : 0;
	rx->context = op->context;
	rx->flags = op->flags;
	rx->iovcnt = op->iovcnt;
	rx->capacity = rdm_iov_len(op->iov, op->iovcnt);
	rx->parent = NULL;
	rx->parts = 0;
	rx->canceled = false;
	rx->posted = false;
	for (uint32_t i = 0; i < op->iovcnt; i++) {
		rx->iov[i] = op->iov[i];
		rx->mr[i] = op->mr ? op->mr[i] : NULL;
	}
	ep->names |= op->mr != NULL;
	if (u_unlikely(op->flags & RDM_CLAIM))
		return recv_claimed(ep, op, rx);
	if (u_unlikely(op->flags & RDM_MULTI_RECV))
		return recv_multi(ep, rx);
	msg = msg_find(ep, peer, op->flags, rx->match.tag, rx->match.ignore);
	if (u_likely(!msg)) {
		rx_post(ep, rx);
		/* What it waits for must not be held back by what it does
		   not want. */
		if (u_unlikely(ep->pressure))
			rdm_kept_relieve(ep);
		return 0;
	}
	rdm_match_drop(match_of(ep, msg->tagged), &msg->match);
	rdm_msg_match(ep, msg, rx);
	return 0;
}

/* ---- peek and cancel -------------------------------------------------------------- */

static void peek_miss(struct rdm_ep *ep, const struct rdm_recv *op)
{
	struct rdm_comp comp = {
		.context = op->context,
		.tag = op->tag,
		.source = RDM_ADDR_NONE,
		.kind = RDM_COMP_RECV,
		.flags = op->flags & RDM_TAGGED ? RDM_COMP_TAGGED : 0,
		.err = RDM_ERR_NOMSG,
	};

	rdm_complete_error(ep, ep->config.rx_cq, &comp, 0, NULL);
}

int rdm_peek(struct rdm_ep *ep, const struct rdm_recv *op)
{
	struct rdm_peer *peer, *sender;
	struct rdm_comp comp;
	struct rdm_msg *msg;

	if (peer_named(ep, op->from, &peer))
		return -EINVAL;
	rdm_progress(ep);
	msg = msg_find(ep, peer, op->flags, op->tag,
		       op->flags & RDM_TAGGED ? op->ignore : 0);
	if (!msg) {
		peek_miss(ep, op);
		return 0;
	}
	rdm_msg_describe(ep, msg, &comp);
	sender = msg->peer;
	comp.context = op->context;
	if (op->flags & (RDM_CLAIM | RDM_DISCARD))
		rdm_match_drop(match_of(ep, msg->tagged), &msg->match);
	if (op->flags & RDM_DISCARD) {
		rdm_msg_discard(ep, msg);
	} else if (op->flags & RDM_CLAIM) {
		msg->claim = op->context;
		msg->claimed = true;
		TAILQ_INSERT_TAIL(&ep->claimed, msg, queue);
	}
	rdm_complete_from(ep, &comp, sender);
	return 0;
}

/* A receive that has a part of its message; parts of a buffer go on. */
static int cancel_matched(struct rdm_ep *ep, void *context)
{
	struct rdm_msg *msg;
	uint32_t cursor = 0;

	while ((msg = u_pool_next(&ep->msgs, &cursor))) {
		const struct rdm_rx *rx = msg->rx;

		if (!rx || rx->context != context || rx->parent ||
		    (rx->flags & RDM_DISCARD) || msg->err)
			continue;
		rdm_msg_cancel(ep, msg);
		return 0;
	}
	return -ENOENT;
}

int rdm_cancel(struct rdm_ep *ep, void *context)
{
	struct rdm_rx *rx;

	TAILQ_FOREACH(rx, &ep->posted, all) {
		if (rx->context == context)
			break;
	}
	if (!rx)
		return cancel_matched(ep, context);
	rdm_rx_cancel(ep, rx);
	return 0;
}

void rdm_rx_cancel(struct rdm_ep *ep, struct rdm_rx *rx)
{
	rx_unpost(ep, rx);
	rx->canceled = true;
	if (!rx->parts)
		end_canceled(ep, rx);
}
