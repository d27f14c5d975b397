/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_conn.c - TCP connections on the hosts of the world
 *
 * Both ends of a connection are one struct, as nothing but the segments says
 * what one knows of the other. A flow is done for its user when its last byte
 * has arrived and for its sender when that is acknowledged.
 */
#include "sim_world.h"

#include "sim_mem.h"

uint32_t sim_conn_add(struct sim_world *w, uint32_t src, uint32_t dst,
		      uint32_t entropy)
{
	struct sim_conn *c = sim_mem_get(1, sizeof(*c));

	sim_tcp_init(&c->tcp);
	c->source = (struct sim_source){ .tcp = true, .number = w->nconns };
	c->src = src;
	c->dst = dst;
	c->key = sim_net_key(src, dst, entropy);
	c->key_back = sim_net_key(dst, src, entropy);
	c->first = c->last = c->unplaced = SIM_NONE;
	c->timer_at = SIM_NEVER;
	w->conn = sim_mem_grow(w->conn, w->nconns + 1, sizeof(*w->conn));
	w->conn[w->nconns] = c;
	return w->nconns++;
}

static uint32_t payload_max(const struct sim_world *w)
{
	/* IPv4 and UDP of our own packets are in SIM_FRAME. */
	return w->topo.mtu - SIM_FRAME + 28 - SIM_TCP_HDR;
}

static void go(struct sim_world *w, struct sim_conn *c)
{
	sim_host_ready(w, c->src, &c->source);
	sim_host_run(w, c->src);
}

struct sim_flow *sim_flow_start_tcp(struct sim_world *w, uint32_t conn,
				    uint64_t bytes, uint32_t tag)
{
	struct sim_conn *c = w->conn[conn];
	struct sim_flow *f = sim_flow_new(w, bytes, tag);
	uint32_t max = payload_max(w);

	f->kind = SIM_FLOW_TCP;
	f->from = conn;
	f->timeouts = c->tcp.timeouts;
	sim_tcp_more(&c->tcp, (bytes + max - 1) / max);
	f->tcp_end = c->tcp.total;
	if (c->roams && c->first == SIM_NONE)
		c->key = sim_net_key(c->src, c->dst, f->id);
	if (c->first == SIM_NONE)
		c->first = f->id;
	else
		sim_flow_at(w, c->last)->next = f->id;
	c->last = f->id;
	if (c->unplaced == SIM_NONE)
		c->unplaced = f->id;
	go(w, c);
	return f;
}

static void arm(struct sim_world *w, struct sim_conn *c)
{
	if (c->tcp.rto_at >= c->timer_at)
		return;
	c->timer_at = c->tcp.rto_at;
	sim_queue_push(&w->queue, c->timer_at,
		       SIM_WHAT_CONN | c->source.number);
}

static void emit(struct sim_world *w, struct sim_conn *c,
		 enum sim_packet_kind kind, const struct sim_segment *seg)
{
	struct sim_packet *p = sim_net_packet(&w->net);
	bool data = kind == SIM_TCP_DATA;

	p->kind = kind;
	p->seg = *seg;
	p->src = data ? c->src : c->dst;
	p->dst = data ? c->dst : c->src;
	p->key = data ? c->key : c->key_back;
	p->end = c->source.number;
	p->wire = data ? w->topo.mtu : SIM_WIRE_MIN;
	sim_net_send(&w->net, p->src, p, w->now);
}

bool sim_conn_pull(struct sim_world *w, struct sim_conn *c)
{
	struct sim_segment seg;

	if (!sim_tcp_can_send(&c->tcp))
		return false;
	sim_tcp_pull(&c->tcp, &seg, w->now);
	emit(w, c, SIM_TCP_DATA, &seg);
	arm(w, c);
	return sim_tcp_can_send(&c->tcp);
}

/* The receiver has all before cum: which flows does that end? */
static void place(struct sim_world *w, struct sim_conn *c, uint64_t cum)
{
	struct sim_flow *f;

	while (c->unplaced != SIM_NONE) {
		f = sim_flow_at(w, c->unplaced);
		if (f->tcp_end > cum)
			break;
		f->placed = w->now;
		c->unplaced = f->next;
	}
}

static void settle(struct sim_world *w, struct sim_conn *c)
{
	struct sim_flow *f;

	while (c->first != SIM_NONE) {
		f = sim_flow_at(w, c->first);
		if (f->tcp_end > c->tcp.una)
			break;
		c->first = f->next;
		sim_flow_finish(w, f, SRD_OK);
	}
}

void sim_conn_rx(struct sim_world *w, struct sim_packet *p)
{
	struct sim_conn *c = w->conn[p->end];
	struct sim_segment ack;

	if (p->kind == SIM_TCP_DATA) {
		if (sim_tcp_data(&c->tcp, &p->seg, &ack) && w->flow_placed &&
		    c->unplaced != SIM_NONE)
			w->flow_placed(w, sim_flow_at(w, c->unplaced),
				       payload_max(w));
		place(w, c, ack.seq);
		emit(w, c, SIM_TCP_ACK, &ack);
		return;
	}
	sim_tcp_ack(&c->tcp, &p->seg, w->now);
	settle(w, c);
	arm(w, c);
	go(w, c);
}

void sim_conn_timer(struct sim_world *w, struct sim_conn *c)
{
	if (w->now == c->timer_at)
		c->timer_at = SIM_NEVER;
	if (w->now >= c->tcp.rto_at)
		sim_tcp_timeout(&c->tcp, w->now);
	arm(w, c);
	go(w, c);
}
