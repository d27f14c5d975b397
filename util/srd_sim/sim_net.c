/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_net.c - links, switches, packets
 *
 * A queue that serves in order needs no event for the start of a packet on
 * the line: when it comes in, the time it will arrive is known. So there is
 * one event a hop, and only the first packet of a link is in the heap.
 *
 * I1  A link has an event in the queue exactly when it has a packet.
 * I2  Packets of a link arrive in the order they were sent: the delay of a
 *     link never changes.
 */
#include "sim_net.h"

#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"

#define CHUNK 1024 /* packets */

static void grow(struct sim_net *net)
{
	struct sim_packet *p = sim_mem_get(CHUNK, sizeof(*p));
	uint32_t i;

	net->chunk = sim_mem_grow(net->chunk, net->nchunks + 1,
				  sizeof(struct sim_packet *));
	net->chunk[net->nchunks++] = p;
	for (i = 0; i < CHUNK; i++) {
		p[i].next = net->free;
		net->free = &p[i];
	}
}

struct sim_packet *sim_net_packet(struct sim_net *net)
{
	struct sim_packet *p;

	if (u_unlikely(!net->free))
		grow(net);
	p = net->free;
	net->free = p->next;
	net->alive++;
	p->own = NULL;
	p->own_len = 0;
	p->damaged = false;
	p->more = NULL;
	p->data = NULL;
	return p;
}

void sim_net_put(struct sim_net *net, struct sim_packet *p)
{
	free(p->own);
	p->next = net->free;
	net->free = p;
	net->alive--;
}

void sim_link_set_rate(struct sim_link *l, double gbps)
{
	l->kib_ps = (uint64_t)(8.0 * 1024 * 1000 / gbps + 0.5);
}

/*
 * Is the queue too full? Less than a packet before the end it is so at random:
 * links that run in step would otherwise lock one another out, whoever comes
 * a nanosecond earlier getting every place that becomes free.
 */
static bool is_full(struct sim_net *net, const struct sim_link *l,
		    uint64_t after, uint64_t packet)
{
	if (u_likely(after + packet <= l->room))
		return false;
	return after + (uint64_t)(sim_rand_unit(net->rand) * (double)packet) >
	       l->room;
}

/* p goes onto the line, or is dropped. */
static void enqueue(struct sim_net *net, uint32_t link, struct sim_packet *p,
		    uint64_t now)
{
	struct sim_link *l = &net->link[link];
	uint64_t packet = sim_link_time(l, p->wire);
	uint64_t after = sim_link_backlog(l, now) + packet;

	if (is_full(net, l, after, packet)) {
		l->dropped++;
		sim_net_put(net, p);
		return;
	}
	if (after > l->longest)
		l->longest = after;
	l->packets++;
	l->bytes += p->wire;
	l->free_at = now + after;
	p->at = l->free_at + l->delay;
	p->next = NULL;
	if (l->head) {
		assert(l->tail->at <= p->at); /* I2 */
		l->tail->next = p;
	} else {
		l->head = p;
		sim_queue_push(net->queue, p->at, link); /* I1 */
	}
	l->tail = p;
}

/* --- bad links --- */

static bool strikes(struct sim_net *net, uint32_t of_2_32)
{
	return of_2_32 && (uint32_t)(sim_rand_next(net->rand) >> 32) < of_2_32;
}

/* Some bit of an engine's header; of a long one that is not in the packet,
 * and of TCP's, nothing arrives. */
static bool damage(struct sim_net *net, struct sim_packet *p)
{
	uint32_t bit;

	if (p->kind != SIM_SRD || p->more)
		return false;
	bit = sim_rand_below(net->rand, p->hdr_len * 8u);
	p->hdr[bit / 8] ^= (uint8_t)(1u << bit % 8);
	p->damaged = true;
	return true;
}

static struct sim_packet *copy_of(struct sim_net *net,
				  const struct sim_packet *p)
{
	struct sim_packet *c = sim_net_packet(net);

	*c = *p;
	if (!p->own)
		return c;
	c->own = memcpy(sim_mem_get(1, p->own_len), p->own, p->own_len);
	if (p->more)
		c->more = c->own + (p->more - p->own);
	if (p->data >= p->own && p->data < p->own + p->own_len)
		c->data = c->own + (p->data - p->own);
	return c;
}

/* False: p got lost. */
static U_COLD bool suffer(struct sim_net *net, uint32_t link,
			  struct sim_packet *p, uint64_t now)
{
	struct sim_link *l = &net->link[link];

	if (l->dead || strikes(net, l->fault.loss) ||
	    (strikes(net, l->fault.damage) && !damage(net, p))) {
		l->lost++;
		sim_net_put(net, p);
		return false;
	}
	if (strikes(net, l->fault.twice))
		enqueue(net, link, copy_of(net, p), now);
	return true;
}

void sim_net_send(struct sim_net *net, uint32_t link, struct sim_packet *p,
		  uint64_t now)
{
	if (u_unlikely(net->link[link].faulty) && !suffer(net, link, p, now))
		return;
	enqueue(net, link, p, now);
}

/* The next event is most likely that of a link which is not in the cache. */
static void look_ahead(const struct sim_net *net)
{
	uint32_t next;

	if (!net->queue->n)
		return;
	next = sim_queue_top(net->queue)->what;
	if (next < net->nlinks)
		__builtin_prefetch(&net->link[next]);
}

struct sim_packet *sim_net_arrive(struct sim_net *net, uint32_t link)
{
	struct sim_link *l = &net->link[link];
	struct sim_packet *p = l->head;
	uint64_t now = p->at;
	uint32_t to = l->to;

	assert(sim_queue_top(net->queue)->what == link);
	l->head = p->next;
	if (l->head) {
		/* Needed when this link has its turn again. */
		__builtin_prefetch(l->head->next);
		sim_queue_replace(net->queue, l->head->at, link);
	} else {
		sim_queue_pop(net->queue);
	}
	look_ahead(net);
	net->hops++;
	if (u_unlikely(l->dead)) {
		l->lost++;
		sim_net_put(net, p);
		return NULL;
	}
	if (to < net->nhosts)
		return p;
	sim_net_send(net, sim_net_route(net, to - net->nhosts, p), p, now);
	return NULL;
}

/* --- routes --- */

static uint32_t spread(const struct sim_switch *s, uint64_t key, uint32_t n)
{
	return (uint32_t)(((u_mix64(key + s->salt) >> 32) * n) >> 32);
}

/* Does a packet to dst get there by this link, as far as routing knows? */
static bool leads(const struct sim_net *net, uint32_t link, uint32_t dst)
{
	const struct sim_link *l = &net->link[link];
	const struct sim_switch *s;
	uint32_t i;

	if (l->withdrawn)
		return false;
	if (l->to < net->nhosts)
		return true;
	s = &net->sw[l->to - net->nhosts];
	if (dst >= s->lo && dst < s->hi)
		return leads(net, s->down + (dst - s->lo) / s->per_down, dst);
	for (i = 0; i < s->nup; i++)
		if (leads(net, s->up + i, dst))
			return true;
	return false;
}

/* Among the links up that lead to p's host; any when none does. */
static U_COLD uint32_t go_around(const struct sim_net *net,
				 const struct sim_switch *s,
				 const struct sim_packet *p)
{
	uint32_t i, n = 0, nth;

	for (i = 0; i < s->nup; i++)
		n += leads(net, s->up + i, p->dst);
	if (!n)
		return s->up + spread(s, p->key, s->nup);
	nth = spread(s, p->key, n);
	for (i = 0;; i++)
		if (leads(net, s->up + i, p->dst) && nth-- == 0)
			return s->up + i;
}

uint32_t sim_net_route(const struct sim_net *net, uint32_t sw,
		       const struct sim_packet *p)
{
	const struct sim_switch *s = &net->sw[sw];

	if (p->dst >= s->lo && p->dst < s->hi)
		return s->down + (p->dst - s->lo) / s->per_down;
	assert(s->nup > 0);
	if (u_likely(!net->nwithdrawn))
		return s->up + spread(s, p->key, s->nup);
	return go_around(net, s, p);
}

/* --- faults and numbers --- */

static void faulty_note(struct sim_link *l)
{
	l->faulty = l->dead || l->fault.loss || l->fault.damage ||
		    l->fault.twice;
}

void sim_net_fault(struct sim_net *net, uint32_t link, double loss,
		   double damaged, double twice)
{
	struct sim_link *l = &net->link[link];

	l->fault.loss = (uint32_t)(loss * UINT32_MAX);
	l->fault.damage = (uint32_t)(damaged * UINT32_MAX);
	l->fault.twice = (uint32_t)(twice * UINT32_MAX);
	faulty_note(l);
}

void sim_net_kill(struct sim_net *net, uint32_t link, bool dead)
{
	net->link[link].dead = dead;
	faulty_note(&net->link[link]);
}

void sim_net_withdraw(struct sim_net *net, uint32_t link, bool withdrawn)
{
	net->nwithdrawn += (uint32_t)withdrawn - net->link[link].withdrawn;
	net->link[link].withdrawn = withdrawn;
}

uint64_t sim_net_dropped(const struct sim_net *net)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < net->nlinks; i++)
		n += net->link[i].dropped;
	return n;
}

uint64_t sim_net_lost(const struct sim_net *net)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < net->nlinks; i++)
		n += net->link[i].lost;
	return n;
}
