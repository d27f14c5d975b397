/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_event.c - completion channels and asynchronous events
 *
 * The descriptor of a channel is an epoll over the descriptors of the queue
 * pairs whose queues are armed, an eventfd for entries that somebody else's
 * poll has found, and a timer for work that waits for room. Whoever waits in
 * ibv_get_cq_event drives the armed queues himself: no other thread has to run
 * before a sleeper is awake.
 *
 * I1: while a queue is armed and has no event, each of its queue pairs is armed
 * in the nic, or the eventfd is readable. A poll disarms a queue pair, so
 * whoever drives one arms it again (verbs_channel_arm).
 *
 * An event that is owed comes, though its entry was polled meanwhile: a card has
 * raised it by then, and a program may count on that and block.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "util/u_log.h"
#include "util/u_time.h"
#include "verbs_priv.h"
#include "verbs_real.h"

#define READY 16
#define TRY_AGAIN U_MSEC /* work that waits for room */

static struct verbs_channel *channel_of(const struct verbs_cq *cq)
{
	return u_container_of(cq->cq.channel, struct verbs_channel, ch);
}

static void channel_call(struct verbs_channel *ch)
{
	uint64_t one = 1;

	if (write(ch->call, &one, sizeof(one)) < 0)
		u_debug("a channel has been called often enough");
}

/* --- opening and closing --- */

static int channel_add(int epoll, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) ? -1 : 0;
}

static void channel_free(struct verbs_channel *ch)
{
	if (ch->ch.fd >= 0)
		close(ch->ch.fd);
	if (ch->call >= 0)
		close(ch->call);
	if (ch->timer >= 0)
		close(ch->timer);
	free(ch);
}

VERBS_EXPORT struct ibv_comp_channel *
ibv_create_comp_channel(struct ibv_context *c)
{
	struct verbs_channel *ch;

	if (!verbs_is_ours(c))
		return verbs_real(ibv_create_comp_channel)(c);
	ch = calloc(1, sizeof(*ch));
	if (!ch)
		return NULL;
	ch->ch.context = c;
	ch->ch.fd = epoll_create1(EPOLL_CLOEXEC);
	ch->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ch->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (ch->ch.fd < 0 || channel_add(ch->ch.fd, ch->call) ||
	    channel_add(ch->ch.fd, ch->timer)) {
		int error = errno;

		channel_free(ch);
		return verbs_null(error);
	}
	u_lock_init(&ch->serve, true);
	u_lock_init(&ch->lock, true);
	LIST_INIT(&ch->cqs);
	TAILQ_INIT(&ch->events);
	return &ch->ch;
}

VERBS_EXPORT int ibv_destroy_comp_channel(struct ibv_comp_channel *c)
{
	struct verbs_channel *ch = u_container_of(c, struct verbs_channel, ch);
	bool used;

	if (!verbs_is_ours(c->context))
		return verbs_real(ibv_destroy_comp_channel)(c);
	u_lock(&ch->serve);
	used = !LIST_EMPTY(&ch->cqs);
	u_unlock(&ch->serve);
	if (used)
		return EBUSY;
	u_lock_fini(&ch->serve);
	u_lock_fini(&ch->lock);
	channel_free(ch);
	return 0;
}

void verbs_channel_join(struct verbs_cq *cq)
{
	struct verbs_channel *ch = channel_of(cq);

	u_lock(&ch->serve);
	LIST_INSERT_HEAD(&ch->cqs, cq, channel_link);
	ch->ch.refcnt++;
	u_unlock(&ch->serve);
}

void verbs_channel_leave(struct verbs_cq *cq)
{
	struct verbs_channel *ch = channel_of(cq);

	u_lock(&ch->serve);
	LIST_REMOVE(cq, channel_link);
	ch->ch.refcnt--;
	u_unlock(&ch->serve);
	u_lock(&ch->lock);
	if (cq->events)
		TAILQ_REMOVE(&ch->events, cq, event_link);
	cq->events = 0;
	u_unlock(&ch->lock);
}

/* --- queue pairs --- */

void verbs_channel_watch(struct verbs_cq *cq, const struct verbs_qp *qp)
{
	struct epoll_event ev = { .events = 0 };

	/* It is there already when both queues have this channel. */
	epoll_ctl(channel_of(cq)->ch.fd, EPOLL_CTL_ADD, nic_qp_fd(qp->nic),
		  &ev);
}

static struct verbs_cq *armed_cq(struct ibv_cq *c)
{
	struct verbs_cq *cq = verbs_cq_of(c);

	return atomic_load_explicit(&cq->armed, memory_order_relaxed) ? cq :
									NULL;
}

bool verbs_qp_is_armed(const struct verbs_qp *qp)
{
	return armed_cq(qp->qp.send_cq) || armed_cq(qp->qp.recv_cq);
}

bool verbs_channel_is_due(const struct verbs_qp *qp)
{
	const struct verbs_cq *cq[] = { armed_cq(qp->qp.send_cq),
					armed_cq(qp->qp.recv_cq) };
	struct pollfd fd[2];

	for (int i = 0; i < 2; i++)
		fd[i] = (struct pollfd){
			.fd = cq[i] ? channel_of(cq[i])->ch.fd : -1,
			.events = POLLIN,
		};
	return poll(fd, 2, 0) > 0;
}

static void channel_expect(const struct verbs_cq *cq, const struct verbs_qp *qp)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };
	struct itimerspec soon = { .it_value.tv_nsec = TRY_AGAIN };
	struct verbs_channel *ch;

	if (!cq)
		return;
	ch = channel_of(cq);
	epoll_ctl(ch->ch.fd, EPOLL_CTL_MOD, nic_qp_fd(qp->nic), &ev);
	if (!TAILQ_EMPTY(&qp->waiting))
		timerfd_settime(ch->timer, 0, &soon, NULL);
}

bool verbs_channel_arm(struct verbs_qp *qp)
{
	const struct verbs_cq *send = armed_cq(qp->qp.send_cq);
	const struct verbs_cq *recv = armed_cq(qp->qp.recv_cq);

	if (u_likely(!send && !recv))
		return false;
	if (nic_qp_arm(qp->nic))
		return true;
	channel_expect(send, qp);
	if (recv != send)
		channel_expect(recv, qp);
	return false;
}

void verbs_channel_call(const struct verbs_qp *qp)
{
	const struct verbs_cq *send = armed_cq(qp->qp.send_cq);
	const struct verbs_cq *recv = armed_cq(qp->qp.recv_cq);

	if (send)
		channel_call(channel_of(send));
	if (recv && recv != send)
		channel_call(channel_of(recv));
}

/* --- arming --- */

/* Arms the queue pairs of an armed queue; true: there is something to poll. */
static bool cq_arm(struct verbs_cq *cq)
{
	struct verbs_cq_use *use;
	bool more = false;

	u_lock(&cq->drive);
	LIST_FOREACH(use, &cq->uses, link) {
		u_lock(&use->qp->lock);
		more |= verbs_channel_arm(use->qp);
		u_unlock(&use->qp->lock);
	}
	u_unlock(&cq->drive);
	return more;
}

/*
 * An entry that nobody has polled is an event at once, as for cards that are
 * told how far their program has come. True: there is none.
 */
static bool cq_arm_ring(struct verbs_cq *cq)
{
	bool empty;

	u_lock(&cq->lock);
	empty = cq->head == cq->tail;
	atomic_store_explicit(&cq->armed, empty, memory_order_relaxed);
	if (!empty)
		verbs_channel_event(cq);
	u_unlock(&cq->lock);
	return empty;
}

int verbs_req_notify_cq(struct ibv_cq *c, int solicited)
{
	struct verbs_cq *cq = verbs_cq_of(c);

	if (solicited)
		return EOPNOTSUPP;
	if (!c->channel)
		return EINVAL;
	if (cq_arm_ring(cq) && cq_arm(cq))
		channel_call(channel_of(cq));
	return 0;
}

/* --- events --- */

void verbs_channel_event(struct verbs_cq *cq)
{
	struct verbs_channel *ch;

	if (!cq->cq.channel)
		return;
	ch = channel_of(cq);
	u_lock(&ch->lock);
	if (!cq->events++)
		TAILQ_INSERT_TAIL(&ch->events, cq, event_link);
	u_unlock(&ch->lock);
	channel_call(ch);
}

static struct verbs_cq *channel_take(struct verbs_channel *ch)
{
	struct verbs_cq *cq;

	u_lock(&ch->lock);
	cq = TAILQ_FIRST(&ch->events);
	if (cq) {
		TAILQ_REMOVE(&ch->events, cq, event_link);
		if (--cq->events)
			TAILQ_INSERT_TAIL(&ch->events, cq, event_link);
		cq->got++;
	}
	/* Others that wait for the descriptor see what is left. */
	if (TAILQ_FIRST(&ch->events))
		channel_call(ch);
	u_unlock(&ch->lock);
	return cq;
}

static void channel_drain(struct verbs_channel *ch)
{
	uint64_t n;

	while (read(ch->call, &n, sizeof(n)) > 0 ||
	       read(ch->timer, &n, sizeof(n)) > 0)
		;
}

/* Drives the armed queues once. */
static void channel_serve(struct verbs_channel *ch)
{
	struct verbs_cq *cq;

	u_lock(&ch->serve);
	channel_drain(ch);
	LIST_FOREACH(cq, &ch->cqs, channel_link) {
		if (!armed_cq(&cq->cq))
			continue;
		verbs_cq_drive(cq);
		if (armed_cq(&cq->cq) && cq_arm(cq))
			channel_call(ch);
	}
	u_unlock(&ch->serve);
}

/* 0: something may have happened. */
static int channel_wait(struct verbs_channel *ch)
{
	struct epoll_event ev[READY];
	int flags = fcntl(ch->ch.fd, F_GETFL);
	bool block = flags < 0 || !(flags & O_NONBLOCK);
	int n = epoll_wait(ch->ch.fd, ev, READY, block ? -1 : 0);

	if (n)
		return n < 0 ? -1 : 0;
	errno = EAGAIN;
	return -1;
}

VERBS_EXPORT int ibv_get_cq_event(struct ibv_comp_channel *c,
				  struct ibv_cq **out, void **context)
{
	struct verbs_channel *ch = u_container_of(c, struct verbs_channel, ch);
	struct verbs_cq *cq;

	if (!verbs_is_ours(c->context))
		return verbs_real(ibv_get_cq_event)(c, out, context);
	while (!(cq = channel_take(ch))) {
		if (channel_wait(ch))
			return -1;
		channel_serve(ch);
	}
	*out = &cq->cq;
	*context = cq->cq.cq_context;
	return 0;
}

VERBS_EXPORT void ibv_ack_cq_events(struct ibv_cq *c, unsigned int n)
{
	if (!verbs_is_ours(c->context)) {
		verbs_real(ibv_ack_cq_events)(c, n);
		return;
	}
	pthread_mutex_lock(&c->mutex);
	c->comp_events_completed += n;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->mutex);
}

/* Nothing is ever raised: who waits, waits until the descriptor is closed. */
VERBS_EXPORT int ibv_get_async_event(struct ibv_context *c,
				     struct ibv_async_event *event)
{
	uint64_t n;

	if (!verbs_is_ours(c))
		return verbs_real(ibv_get_async_event)(c, event);
	while (read(c->async_fd, &n, sizeof(n)) > 0)
		;
	return -1;
}

VERBS_EXPORT void ibv_ack_async_event(struct ibv_async_event *event)
{
	struct ibv_context *c = NULL;

	switch ((int)event->event_type) {
	case IBV_EVENT_CQ_ERR:
		c = event->element.cq->context;
		break;
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
	case IBV_EVENT_COMM_EST:
	case IBV_EVENT_SQ_DRAINED:
	case IBV_EVENT_PATH_MIG:
	case IBV_EVENT_PATH_MIG_ERR:
	case IBV_EVENT_QP_LAST_WQE_REACHED:
		c = event->element.qp->context;
		break;
	}
	if (!c || !verbs_is_ours(c))
		verbs_real(ibv_ack_async_event)(event);
}
