/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_world.h - a network with hosts on it, engines in the hosts, and flows
 *
 *     scenario:  sim_flow_start  ............ flow_done
 *                      |                          |
 *     endpoint (engine), connection (TCP)    end and oracle
 *                      |                          |
 *     host: takes turns to fill its NIC      packets that arrived
 *                      |                          |
 *                 sim_net: links and switches
 *
 * A flow is one message. Between endpoints it is an operation of the engine:
 * an RDMA write of `bytes`, or a SEND when it fits in one. On a connection it
 * is that many bytes of TCP's stream.
 *
 * A host hands packets to its NIC only while less than SIM_NIC_PKTS full ones
 * wait there, so that pacing and windows are the engine's and not the queue's.
 *
 * How to drive it
 *   sim_world_init; sim_end_add and sim_conn_add; sim_world_open; then
 *   sim_flow_start and sim_world_at, sim_world_run; sim_oracle_end;
 *   sim_world_fini. Callbacks may start flows.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <sys/queue.h>

#include "sim_tcp.h"
#include "sim_topo.h"
#include "srd/srd.h"

#define SIM_NIC_PKTS 4
#define SIM_SEND_MAX 8192 /* bytes; longer flows are RDMA writes */

struct sim_world;
struct sim_flow;

enum sim_flow_kind {
	SIM_FLOW_SEND,
	SIM_FLOW_WRITE,
	SIM_FLOW_READ,
	SIM_FLOW_TCP
};

struct sim_flow {
	uint64_t bytes;
	uint64_t posted, placed, done; /* times: handed over; the last byte lay
					  where it belongs; the sender knew.
					  SIM_NEVER: not yet */
	uint64_t placed_bytes;
	uint64_t tiling; /* of sim_oracle.c: proves that the pieces make up the
			    whole */
	uint64_t tcp_end; /* TCP: packets of the stream before its end */
	uint64_t timeouts; /* TCP: of the connection when it was posted */
	uint32_t id; /* its number; the key of its memory */
	uint32_t from, to; /* endpoints; TCP: connection, and nothing */
	uint32_t next; /* of its list; SIM_NONE */
	uint8_t kind; /* enum sim_flow_kind */
	uint8_t status; /* enum srd_status */
	bool imm; /* WRITE: with an immediate */
	bool told; /* the receiver has had its event */
	uint8_t *memory; /* READ: where it lands; else NULL */
	uint32_t tag; /* the scenario's */
};

#define SIM_NONE UINT32_MAX

/* Who wants to send from a host: an endpoint or a connection. */
struct sim_source {
	STAILQ_ENTRY(sim_source) link;
	bool queued;
	bool tcp;
	uint32_t number; /* of the endpoint or connection */
};

struct sim_end {
	struct sim_source source;
	struct srd_addr addr;
	struct srd *srd;
	uint32_t host;
	uint64_t timer_at; /* of its earliest timer event; SIM_NEVER */
	uint32_t wait_head, wait_tail; /* flows that the engine had no room
					  for; SIM_NONE */
	uint32_t spins; /* deadlines in a row that brought nothing */
	struct sim_world *world;
};

struct sim_conn {
	struct sim_source source;
	struct sim_tcp tcp;
	uint32_t src, dst; /* hosts */
	uint64_t key; /* of data */
	uint64_t key_back; /* of acknowledgements */
	uint32_t first, last; /* flows not done; SIM_NONE */
	uint32_t unplaced; /* the first flow that has not wholly arrived */
	bool roams; /* each flow takes a path of its own, as a connection of
		       its own would */
	uint64_t timer_at;
};

struct sim_host {
	STAILQ_HEAD(, sim_source) ready;
	bool running; /* sim_host_run is under way */
	bool blocked; /* its NIC is full, and an event will tell when not */
	uint32_t first_end, nends;
};

typedef void (*sim_call)(struct sim_world *w, void *arg);

struct sim_timer {
	sim_call call;
	void *arg;
};

struct sim_world {
	uint64_t now;
	struct sim_queue queue;
	struct sim_rand rand; /* of the network */
	struct sim_topo topo;
	struct sim_net net;
	struct sim_host *host;
	struct sim_end *end;
	uint32_t nends;
	struct sim_conn **conn;
	uint32_t nconns;
	struct sim_flow **flow; /* flow i is flow[i / FLOW_CHUNK][...] */
	uint32_t nflows, nflows_done;
	struct sim_timer *timer;
	uint32_t ntimers;
	struct srd_config engine; /* all but addresses and seeds */
	bool blind; /* entropy at random, whatever the engine says */
	bool faults; /* an operation may end with an error */
	bool halt; /* a callback sets it: run returns */
	/* Called when the sender of a flow knows that it is done. */
	void (*flow_done)(struct sim_world *w, struct sim_flow *f);
	/* Called with the bytes that were placed for the first time. */
	void (*flow_placed)(struct sim_world *w, struct sim_flow *f,
			    uint32_t bytes);
	void *scene; /* the scenario's */
	uint64_t events;
	uint64_t done_errors; /* operations that ended with an error */
	/* of the oracle */
	uint8_t *pattern, *landing, *packet;
	uint64_t memory; /* bytes of pattern and landing */
	uint64_t checked; /* bytes */
};

/* max_bytes: of a flow, at most. */
void sim_world_init(struct sim_world *w, const struct sim_topo *t,
		    uint64_t seed, uint64_t max_bytes);
/* Opens the engines with w->engine, which sim_end_config made. */
void sim_world_open(struct sim_world *w, uint64_t seed);
void sim_world_fini(struct sim_world *w);

/* Adds an endpoint to the host, all of one host in a row, hosts in order. */
uint32_t sim_end_add(struct sim_world *w, uint32_t host);
/* Adds a TCP connection. */
uint32_t sim_conn_add(struct sim_world *w, uint32_t src, uint32_t dst,
		      uint32_t entropy);

/* Calls back at that time, or at once when it has passed. */
void sim_world_at(struct sim_world *w, uint64_t at, sim_call call, void *arg);

/* Until that time, or halt, or nothing happens any more: then true. The
 * clock is at `until` if it was reached. */
bool sim_world_run(struct sim_world *w, uint64_t until);

static inline uint64_t sim_world_ns(const struct sim_world *w)
{
	return w->now / SIM_PS_NS;
}

#define SIM_FLOW_CHUNK 1024

static inline struct sim_flow *sim_flow_at(const struct sim_world *w,
					   uint32_t id)
{
	return &w->flow[id / SIM_FLOW_CHUNK][id % SIM_FLOW_CHUNK];
}

/* From endpoint to endpoint, by SEND or WRITE. The flow lives as long as the
 * world. */
struct sim_flow *sim_flow_start(struct sim_world *w, uint32_t from, uint32_t to,
				uint64_t bytes, uint32_t tag);
/* As sim_flow_start, of a kind of its own. */
struct sim_flow *sim_flow_start_as(struct sim_world *w,
				   const struct sim_flow *like);
/* On a connection. */
struct sim_flow *sim_flow_start_tcp(struct sim_world *w, uint32_t conn,
				    uint64_t bytes, uint32_t tag);

/* --- between the files of the world --- */

enum sim_what {
	SIM_WHAT_LINK = 0, /* the number alone: sim_net pushes these */
	SIM_WHAT_HOST = 1u << 29, /* its NIC has room */
	SIM_WHAT_END = 2u << 29, /* an engine's deadline */
	SIM_WHAT_CONN = 3u << 29, /* a timeout of TCP */
	SIM_WHAT_CALL = 4u << 29,
};
#define SIM_WHAT_MASK (7u << 29)

void sim_host_ready(struct sim_world *w, uint32_t host, struct sim_source *s);
void sim_host_run(struct sim_world *w, uint32_t host);
struct sim_flow *sim_flow_new(struct sim_world *w, uint64_t bytes,
			      uint32_t tag);
void sim_flow_finish(struct sim_world *w, struct sim_flow *f, uint8_t status);

/* Sends up to max packets of s through the NIC; true when it has more. */
bool sim_end_pull(struct sim_world *w, struct sim_end *e, uint32_t max);
void sim_end_rx(struct sim_world *w, struct sim_packet *p);
void sim_end_timer(struct sim_world *w, struct sim_end *e);
void sim_end_post(struct sim_world *w, struct sim_end *e, struct sim_flow *f);
void sim_end_open(struct sim_world *w, struct sim_end *e, uint64_t seed);
void sim_end_close(struct sim_end *e);
bool sim_end_idle(const struct sim_end *e);

bool sim_conn_pull(struct sim_world *w, struct sim_conn *c);
void sim_conn_rx(struct sim_world *w, struct sim_packet *p);
void sim_conn_timer(struct sim_world *w, struct sim_conn *c);

/*
 * The engine for this network, as a NIC would be set up that knows the speed
 * of its link and has been told a round trip time: nothing is tuned for a
 * scenario.
 */
void sim_end_config(struct srd_config *c, const struct sim_topo *t,
		    uint32_t paths, uint32_t senders);

#endif
