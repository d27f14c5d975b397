/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_end.c - engines on the hosts of the world
 *
 * Each endpoint is one engine. Its queue pair number is 1 + its place among
 * the endpoints of its host, whose address is ::ffff:10.x.y.z.
 */
#include "sim_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"
#include "sim_oracle.h"

#define TX_BATCH 8
#define DONE_BATCH 16
#define SPINS_MAX 10000
#define ACK_EVERY 8 /* packets */

static void gid_set(uint8_t gid[16], uint32_t host)
{
	static const uint8_t mapped[16] = { [10] = 0xff, 0xff, 10 };

	memcpy(gid, mapped, 16);
	gid[13] = (uint8_t)(host >> 16);
	gid[14] = (uint8_t)(host >> 8);
	gid[15] = (uint8_t)host;
}

static uint32_t gid_host(const uint8_t gid[16])
{
	return (uint32_t)gid[13] << 16 | (uint32_t)gid[14] << 8 | gid[15];
}

static uint32_t power_of_two(uint64_t least)
{
	uint32_t n = 64;

	while (n < least && n < SRD_WINDOW_MAX)
		n *= 2;
	return n;
}

void sim_end_config(struct srd_config *c, const struct sim_topo *t,
		    uint32_t paths, uint32_t senders)
{
	uint64_t rtt = sim_topo_rtt(t) / SIM_PS_NS;
	uint64_t bdp = (uint64_t)(t->gbps * (double)rtt / 8);

	*c = (struct srd_config){
		.mtu = t->mtu - SIM_FRAME,
		.max_peers = senders + 4,
		.max_active = senders + 4,
		.max_ops = 16,
		.max_replies = 16,
		.tx_slots = 8,
		.rx_slots = (uint32_t)u_min(u_max(senders, 8), 256),
		.window_pkts = power_of_two(4 * bdp / t->mtu),
		.paths = paths,
		.rx_budget = 2 * bdp,
		.link_bps = (uint64_t)(t->gbps * 1e9),
		/* A round trip, and what acknowledgements hold back. */
		.init_window = bdp + ACK_EVERY * t->mtu,
		.target_delay = rtt / 2,
		.rtt_guess = rtt,
		.rto_min = 8 * rtt,
		.ack_delay = rtt / 4,
		.ack_every = ACK_EVERY,
		.rnr_retries = SRD_RNR_FOREVER,
	};
}

void sim_end_open(struct sim_world *w, struct sim_end *e, uint64_t seed)
{
	const struct sim_host *h = &w->host[e->host];
	struct srd_config c = w->engine;
	int rc;

	gid_set(e->addr.gid, e->host);
	e->addr.qpn = (uint16_t)(e->source.number - h->first_end + 1);
	e->addr.connid = (uint32_t)seed | 1;
	c.self = e->addr;
	c.may = sim_oracle_may;
	c.ctx = e;
	c.seed = seed;
	rc = srd_open(&c, sim_world_ns(w), &e->srd);
	if (!rc)
		return;
	fprintf(stderr, "srd_sim: an engine does not open: %s\n",
		strerror(-rc));
	exit(SIM_EXIT_MEMORY);
}

void sim_end_close(struct sim_end *e)
{
	if (e->srd)
		srd_close(e->srd);
}

bool sim_end_idle(const struct sim_end *e)
{
	return srd_idle(e->srd) && !srd_has_done(e->srd);
}

/* --- operations --- */

static int try_send(struct sim_end *e, struct srd_peer *peer,
		    struct sim_flow *f, uint64_t now)
{
	uint8_t head[SIM_SEND_HEAD];
	struct iovec iov = {
		.iov_base = sim_oracle_source(e->world, f),
		.iov_len = f->bytes - SIM_SEND_HEAD,
	};

	sim_oracle_head(f, head);
	return srd_send(e->srd, peer,
			&(struct srd_send){ .id = f->id,
					    .hdr = head,
					    .hdr_len = sizeof(head),
					    .iov = &iov,
					    .iovcnt = 1,
					    .len = iov.iov_len },
			now);
}

static int try_rdma(struct sim_end *e, struct srd_peer *peer,
		    struct sim_flow *f, uint64_t now)
{
	enum srd_rdma_type type = f->kind == SIM_FLOW_READ ? SRD_READ :
				  f->imm		   ? SRD_WRITE_IMM :
							     SRD_WRITE;
	uint32_t op;

	return srd_rdma(
		e->srd, peer,
		&(struct srd_rdma){ .type = type,
				    .id = f->id,
				    .local = sim_oracle_source(e->world, f),
				    .remote = sim_oracle_remote(e->world, f),
				    .len = f->bytes,
				    .rkey = f->id,
				    .imm = f->id },
		now, &op);
}

static bool try_post(struct sim_world *w, struct sim_end *e, struct sim_flow *f)
{
	uint64_t now = sim_world_ns(w);
	struct srd_peer *peer;
	int rc;

	rc = srd_peer_get(e->srd, &w->end[f->to].addr, &peer);
	if (rc)
		sim_oracle_broken(w, f, "the engine knows too many peers");
	if (f->kind == SIM_FLOW_SEND)
		rc = try_send(e, peer, f, now);
	else
		rc = try_rdma(e, peer, f, now);
	if (rc && rc != -EAGAIN)
		sim_oracle_broken(w, f, "the engine refuses an operation");
	return !rc;
}

static void wait_add(struct sim_world *w, struct sim_end *e, struct sim_flow *f)
{
	if (e->wait_head == SIM_NONE)
		e->wait_head = f->id;
	else
		sim_flow_at(w, e->wait_tail)->next = f->id;
	e->wait_tail = f->id;
}

void sim_end_post(struct sim_world *w, struct sim_end *e, struct sim_flow *f)
{
	if (e->wait_head != SIM_NONE || !try_post(w, e, f))
		wait_add(w, e, f);
	sim_host_ready(w, e->host, &e->source);
	sim_host_run(w, e->host);
}

static void wait_again(struct sim_world *w, struct sim_end *e)
{
	struct sim_flow *f;

	while (e->wait_head != SIM_NONE) {
		f = sim_flow_at(w, e->wait_head);
		if (!try_post(w, e, f))
			return;
		e->wait_head = f->next;
		f->next = SIM_NONE;
		sim_host_ready(w, e->host, &e->source);
	}
}

static bool drain(struct sim_world *w, struct sim_end *e)
{
	struct srd_done done[DONE_BATCH];
	bool any = false;
	int i, n;

	while (srd_has_done(e->srd)) {
		n = srd_done(e->srd, done, DONE_BATCH);
		for (i = 0; i < n; i++) {
			any = true;
			if (done[i].kind == SRD_DONE_GONE) {
				if (!w->faults)
					sim_oracle_broken(w, NULL,
							  "a peer is gone");
				continue;
			}
			if (done[i].id >= w->nflows)
				sim_oracle_broken(w, NULL,
						  "completed but not posted");
			sim_flow_finish(w, sim_flow_at(w, (uint32_t)done[i].id),
					done[i].status);
		}
	}
	return any;
}

/* --- packets --- */

static bool is_ours(const struct sim_world *w, const uint8_t *data)
{
	return data >= w->pattern && data < w->pattern + w->memory;
}

/* The pattern stays; whatever else the engine points to may change. */
static void fill(struct sim_world *w, struct sim_packet *p,
		 const struct srd_out *out)
{
	bool fits = out->hdr_len <= SIM_HDR_ROOM;
	bool copy = out->data_len && !is_ours(w, out->data);
	uint32_t room = (fits ? 0 : out->hdr_len) + (copy ? out->data_len : 0);
	uint8_t *at;

	p->hdr_len = out->hdr_len;
	p->data_len = out->data_len;
	p->data = out->data;
	p->own_len = room;
	at = p->own = room ? sim_mem_get(1, room) : NULL;
	if (fits) {
		memcpy(p->hdr, out->hdr, out->hdr_len);
	} else {
		p->more = memcpy(at, out->hdr, out->hdr_len);
		at += out->hdr_len;
	}
	if (copy)
		p->data = memcpy(at, out->data, out->data_len);
}

static void emit(struct sim_world *w, struct sim_end *e,
		 const struct srd_out *out)
{
	struct sim_packet *p = sim_net_packet(&w->net);
	uint32_t bytes = (uint32_t)out->hdr_len + out->data_len + SIM_FRAME;
	uint32_t path = out->path;

	if (bytes > w->topo.mtu)
		sim_oracle_broken(w, NULL, "a packet longer than the MTU");
	if (path >= w->engine.paths)
		sim_oracle_broken(w, NULL, "a path that does not exist");
	if (w->blind)
		path = sim_rand_below(&w->rand, w->engine.paths);
	p->kind = SIM_SRD;
	p->src = e->host;
	p->dst = gid_host(out->to->gid);
	p->end = w->host[p->dst].first_end + out->to->qpn - 1;
	p->wire = bytes < SIM_WIRE_MIN ? SIM_WIRE_MIN : bytes;
	p->key = sim_net_key(p->src, p->dst,
			     e->source.number * SRD_PATHS_MAX + path +
				     (p->end << 20));
	fill(w, p, out);
	sim_net_send(&w->net, e->host, p, w->now);
}

static void arm(struct sim_world *w, struct sim_end *e)
{
	uint64_t deadline = srd_deadline(e->srd), at;

	if (deadline > SIM_NEVER / SIM_PS_NS)
		return;
	at = deadline * SIM_PS_NS;
	if (at <= w->now) {
		at = w->now + SIM_PS_NS;
		if (++e->spins > SPINS_MAX)
			sim_oracle_broken(w, NULL,
					  "a deadline that brings nothing");
	}
	if (at >= e->timer_at)
		return;
	e->timer_at = at;
	sim_queue_push(&w->queue, at, SIM_WHAT_END | e->source.number);
}

bool sim_end_pull(struct sim_world *w, struct sim_end *e, uint32_t max)
{
	struct srd_out out[TX_BATCH];
	int i, n, room = max < TX_BATCH ? (int)max : TX_BATCH;

	n = srd_tx(e->srd, sim_world_ns(w), out, room);
	for (i = 0; i < n; i++)
		emit(w, e, &out[i]);
	if (n)
		e->spins = 0;
	drain(w, e);
	wait_again(w, e);
	if (n < room && !e->source.queued)
		arm(w, e);
	return n == room;
}

void sim_end_rx(struct sim_world *w, struct sim_packet *p)
{
	struct sim_end *e = &w->end[p->end];
	uint32_t len = (uint32_t)p->hdr_len + p->data_len;
	struct sim_piece piece;
	struct srd_event event;
	uint8_t gid[16];

	memcpy(w->packet, p->more ? p->more : p->hdr, p->hdr_len);
	if (p->data_len)
		memcpy(w->packet + p->hdr_len, p->data, p->data_len);
	gid_set(gid, p->src);
	piece.flow = NULL;
	if (!p->damaged)
		sim_oracle_before(w, e, w->packet, len, &piece);
	if (srd_rx(e->srd, w->packet, len, gid, sim_world_ns(w), &event)) {
		sim_oracle_event(w, e, &event);
		srd_release(e->srd, &event);
	}
	sim_oracle_after(w, &piece);
	e->spins = 0;
	drain(w, e);
	wait_again(w, e);
	sim_host_ready(w, e->host, &e->source);
	sim_host_run(w, e->host);
}

void sim_end_timer(struct sim_world *w, struct sim_end *e)
{
	if (w->now == e->timer_at)
		e->timer_at = SIM_NEVER;
	sim_host_ready(w, e->host, &e->source);
	sim_host_run(w, e->host);
}
