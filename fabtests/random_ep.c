/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_ep.c - endpoints of all sorts: whose queues, which entries, what counts
 */
#include "random.h"

#include <stdlib.h>
#include <string.h>

#include <rdma/fi_cm.h>

void rnd_open_domain(struct rnd *w)
{
	static const enum fi_threading models[] = { FI_THREAD_SAFE,
						    FI_THREAD_DOMAIN,
						    FI_THREAD_COMPLETION };
	struct ft_request request = {
		.caps = FI_MSG | FI_TAGGED | FI_RMA | FI_ATOMIC | FI_SOURCE |
			FI_DIRECTED_RECV | FI_MULTI_RECV |
			(w->opt.remote ? FI_RMA_EVENT : 0) |
			(w->opt.extra ? FI_FENCE : 0),
		.order = FI_ORDER_SAS | FI_ORDER_ATOMIC_RAR |
			 FI_ORDER_ATOMIC_RAW | FI_ORDER_ATOMIC_WAR |
			 FI_ORDER_ATOMIC_WAW,
		.automatic = w->opt.automatic,
		.threading = models[w->opt.threads > 1 ? 0 : rnd_below(w, 3)],
	};

	ft_open_domain(&w->ft, &request);
	if (!w->id)
		ft_introduce(&w->ft);
}

void rnd_close_domain(struct rnd *w)
{
	ft_close(&w->ft);
}

/* ---- queues ------------------------------------------------------------------- */

static struct rnd_cq *cq_open(struct rnd *w, struct rnd_cq *cq)
{
	static const enum fi_cq_format formats[] = {
		FI_CQ_FORMAT_TAGGED, FI_CQ_FORMAT_TAGGED, FI_CQ_FORMAT_TAGGED,
		FI_CQ_FORMAT_DATA,   FI_CQ_FORMAT_MSG,	  FI_CQ_FORMAT_CONTEXT,
	};
	static const enum fi_wait_obj waits[] = { FI_WAIT_NONE, FI_WAIT_NONE,
						  FI_WAIT_FD, FI_WAIT_UNSPEC };
	struct fi_cq_attr attr = {
		.format = formats[rnd_below(w, 6)],
		.wait_obj = waits[rnd_below(w, 4)],
		.size = rnd_chance(w, 50) ? 0 : 1u << rnd_below(w, 12),
	};

	if (cq->users++)
		return cq;
	if (w->opt.sleep)
		attr.wait_obj = FI_WAIT_FD;
	cq->format = attr.format;
	cq->sleeps = attr.wait_obj != FI_WAIT_NONE;
	ft_check("fi_cq_open", fi_cq_open(w->ft.domain, &attr, &cq->fid, NULL));
	return cq;
}

static void cq_close(struct rnd_cq *cq)
{
	if (--cq->users)
		return;
	ft_check("close cq", fi_close(&cq->fid->fid));
	cq->fid = NULL;
}

/* A queue for each side, one for both, or one with other endpoints. */
static void open_cqs(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	uint64_t kind = rnd_below(w, 4);

	e->tx = cq_open(w, kind == 3 ? &w->shared : &e->own[0]);
	e->rx = cq_open(w, kind == 2	     ? &e->own[0] :
			   rnd_chance(w, 25) ? &w->shared :
					       &e->own[1]);
}

static void bind_queues(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	uint64_t tx = FI_TRANSMIT, rx = FI_RECV;

	open_cqs(e);
	e->selective_tx = rnd_chance(w, 40);
	e->selective_rx = rnd_chance(w, 30);
	if (e->selective_tx)
		tx |= FI_SELECTIVE_COMPLETION;
	if (e->selective_rx)
		rx |= FI_SELECTIVE_COMPLETION;
	if (e->tx == e->rx && e->selective_tx == e->selective_rx) {
		ft_check("fi_ep_bind cq",
			 fi_ep_bind(e->fid, &e->tx->fid->fid, tx | rx));
		return;
	}
	ft_check("fi_ep_bind txcq", fi_ep_bind(e->fid, &e->tx->fid->fid, tx));
	ft_check("fi_ep_bind rxcq", fi_ep_bind(e->fid, &e->rx->fid->fid, rx));
}

/* Its own, or one that others have too. */
static void open_av(struct rnd_ep *e)
{
	struct fi_av_attr attr = { .type = FI_AV_TABLE, .count = 4 };
	struct rnd *w = e->w;
	bool common = w->opt.extra && rnd_chance(w, 60);

	if (!common || !w->av)
		ft_check("fi_av_open",
			 fi_av_open(w->ft.domain, &attr, &e->av, NULL));
	if (!common)
		return;
	if (w->av)
		e->av = w->av;
	w->av = e->av;
	w->av_users++;
}

/* An address that several have inserted goes with the last of them. */
static void close_av(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	bool common = e->av == w->av;

	for (int i = 0; i < RND_EPS && common; i++)
		if (e->addr[i] != FI_ADDR_NOTAVAIL)
			ft_check("fi_av_remove",
				 fi_av_remove(e->av, &e->addr[i], 1, 0));
	if (common && --w->av_users)
		return;
	ft_check("close av", fi_close(&e->av->fid));
	if (common)
		w->av = NULL;
}

static void bind_rest(struct rnd_ep *e)
{
	struct fi_eq_attr eq = { .wait_obj = FI_WAIT_NONE };
	struct rnd *w = e->w;

	open_av(e);
	ft_check("fi_ep_bind av", fi_ep_bind(e->fid, &e->av->fid, 0));
	e->eq = NULL;
	if (rnd_chance(w, 50))
		return;
	ft_check("fi_eq_open", fi_eq_open(w->ft.fabric, &eq, &e->eq, NULL));
	ft_check("fi_ep_bind eq", fi_ep_bind(e->fid, &e->eq->fid, 0));
}

/* ---- endpoints ---------------------------------------------------------------- */

static void publish(struct rnd_ep *e)
{
	struct rnd_public *p = &e->w->world->ep[e->id];
	size_t len = sizeof(p->address);

	ft_check("fi_getname", fi_getname(&e->fid->fid, p->address, &len));
	p->address_len = len;
	p->life++;
	atomic_store(&p->dead, false);
}

static void forget(struct rnd_ep *e)
{
	e->serial = 0;
	e->nrecvs = 0;
	e->nops = 0;
	e->nsilent = 0;
	e->settle = 0;
	TAILQ_INIT(&e->recvs);
	TAILQ_INIT(&e->ops);
	TAILQ_INIT(&e->silent);
	TAILQ_INIT(&e->zombies);
	TAILQ_INIT(&e->claims);
	SLIST_INIT(&e->lost);
	memset(e->flying, 0, sizeof(e->flying));
	memset(e->unsure, 0, sizeof(e->unsure));
	memset(e->peeking, 0, sizeof(e->peeking));
	memset(e->sending, 0, sizeof(e->sending));
	memset(e->receiving, 0, sizeof(e->receiving));
	memset(e->changing, 0, sizeof(e->changing));
}

void rnd_ep_open(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	size_t min = 1 + rnd_below(w, 4096);

	w->doing = "open";
	/* An endpoint takes its default flags from the info. */
	w->ft.info->tx_attr->op_flags =
		rnd_chance(w, 20) ? FI_DELIVERY_COMPLETE :
		rnd_chance(w, 20) ? FI_TRANSMIT_COMPLETE :
				    0;
	ft_check("fi_endpoint",
		 fi_endpoint(w->ft.domain, w->ft.info, &e->fid, NULL));
	forget(e);
	bind_queues(e);
	bind_rest(e);
	rnd_cntrs_open(e);
	ft_check("FI_OPT_MIN_MULTI_RECV",
		 fi_setopt(&e->fid->fid, FI_OPT_ENDPOINT, FI_OPT_MIN_MULTI_RECV,
			   &min, sizeof(min)));
	ft_check("fi_enable", fi_enable(e->fid));
	for (int i = 0; i < RND_EPS; i++)
		e->addr[i] = FI_ADDR_NOTAVAIL;
	e->open = true;
	publish(e);
	rnd_arena_open(e);
	w->count[RND_N_OPEN]++;
}

/* Whoever was opened anew has another address. */
void rnd_ep_insert_peers(struct rnd_ep *e)
{
	struct rnd *w = e->w;
	unsigned int first = (unsigned int)rnd_any_ep(w);

	for (unsigned int i = 0; i < w->opt.endpoints; i++) {
		unsigned int peer = (first + i) % w->opt.endpoints;
		const struct rnd_public *p = &w->world->ep[peer];
		int ret;

		if (e->addr[peer] != FI_ADDR_NOTAVAIL &&
		    e->known[peer] == p->life &&
		    !(w->opt.extra && rnd_chance(w, 30)))
			continue;
		if (e->addr[peer] != FI_ADDR_NOTAVAIL)
			ft_check("fi_av_remove",
				 fi_av_remove(e->av, &e->addr[peer], 1, 0));
		ret = fi_av_insert(e->av, p->address, 1, &e->addr[peer], 0,
				   NULL);
		if (ret != 1)
			rnd_fail(w, "fi_av_insert: %d", ret);
		e->known[peer] = p->life;
	}
}

int rnd_ep_of_addr(const struct rnd_ep *e, fi_addr_t addr)
{
	for (int i = 0; i < RND_EPS; i++)
		if (addr != FI_ADDR_NOTAVAIL && e->addr[i] == addr)
			return i;
	return RND_ANY;
}

void rnd_ep_close(struct rnd_ep *e)
{
	e->open = false;
	ft_check("close ep", fi_close(&e->fid->fid));
	rnd_cntrs_close(e);
	if (e->eq)
		ft_check("close eq", fi_close(&e->eq->fid));
	close_av(e);
	cq_close(e->tx);
	cq_close(e->rx);
	rnd_arena_close(e);
	rnd_ops_free(&e->recvs);
	rnd_ops_free(&e->claims);
	rnd_ops_free(&e->ops);
	rnd_ops_free(&e->silent);
}

/*
 * What it has under way ends without a word; what peers have under way with it
 * may end well or not. Entries of it may still be in a queue that it shares, so
 * its operations stay.
 */
void rnd_ep_die(struct rnd_ep *e)
{
	e->w->count[RND_N_DEATH]++;
	atomic_store(&e->w->world->ep[e->id].dead, true);
	rnd_slots_spoil(e);
	TAILQ_CONCAT(&e->zombies, &e->recvs, link);
	TAILQ_CONCAT(&e->zombies, &e->claims, link);
	TAILQ_CONCAT(&e->zombies, &e->ops, link);
	TAILQ_CONCAT(&e->zombies, &e->silent, link);
	rnd_ep_close(e);
}
