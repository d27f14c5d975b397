/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_priv.h - the UD wire as its own files see it
 *
 *   wire_ud --- context, protection domain, memory
 *      |
 *      +-- rx: queue pair, completion queue with its channel, buffers
 *      |
 *      +-- path[]: queue pair, ring of packets under way
 *      |
 *      +-- tx: completion queue, buffers of all paths
 *      |
 *      +-- hosts: gid -> address handles, one a path
 *      |
 *      +-- asker: threads that make them
 *
 * A buffer of rx is posted (the NIC's), stashed (arrived and not lent), lent,
 * or in rx.idle. (I1) Of a path the packets head..tail are under way, and those
 * behind head will be said to have gone by a later completion. A buffer of tx is
 * in tx.free or held by one packet under way.
 */
#ifndef WIRE_UD_PRIV_H
#define WIRE_UD_PRIV_H

#include <infiniband/verbs.h>
#include <pthread.h>

#include "util/u_base.h"
#include "wire/wire_gid.h"
#include "wire/wire_note.h"
#include "wire/wire_ud.h"

#define WIRE_UD_GRH 40 /* bytes before each packet that arrives */
#define WIRE_UD_DEPTH 64 /* packets of a path under way; a power of two */
#define WIRE_UD_SIGNAL 16 /* each so many-th says that it has gone */
#define WIRE_UD_RX_MAX 2048 /* receive buffers, and what one tries to do with */
#define WIRE_UD_CHUNK 64 /* buffers: the fewest that are registered together */
#define WIRE_UD_RX_PIECES 8 /* each is as long as all before, but the first */
#define WIRE_UD_NO_BUFFER UINT16_MAX
#define WIRE_UD_REPOST 32 /* idle buffers that are posted together */
#define WIRE_UD_HOSTS 4096 /* that are remembered */
#define WIRE_UD_BUCKETS 1024
#define WIRE_UD_ASKS 64 /* hosts whose handles are being made */
#define WIRE_UD_HELPERS 4 /* threads that make them */

/* A host that packets were sent to. */
struct wire_ud_host {
	uint8_t gid[16];
	uint64_t bad_until; /* ns; no address handle could be had: not tried
			       again before; 0 */
	uint32_t failures; /* questions in a row that nobody answered */
	bool asked; /* a handle is being made: of one path at a time */
	bool no_way; /* for good, until bad_until */
	bool starved; /* the device had no memory for a handle */
	struct ibv_ah *ah[WIRE_UD_PATHS_MAX]; /* NULL: not made yet */
	uint32_t used[WIRE_UD_PATHS_MAX]; /* path.tail behind its last packet */
	uint32_t next; /* in its bucket: index + 1; 0: last */
};

/* A handle that is destroyed once the path has sent what uses it. */
struct wire_ud_retired {
	struct ibv_ah *ah;
	uint32_t path, used;
};

struct wire_ud_hosts {
	struct wire_ud_host *host; /* [n] of [max] */
	uint32_t n, max;
	uint32_t hand; /* of the clock that finds one to forget */
	uint32_t bucket[WIRE_UD_BUCKETS]; /* index + 1; 0: empty */
	uint32_t round; /* how often all got out of date */
	uint64_t patience; /* ns that a first packet waits with its handle */
	struct wire_ud_retired *retired; /* [nretired] of [max_retired] */
	uint32_t nretired, max_retired;
};

/* A handle that a helper makes, or has made. */
struct wire_ud_ask {
	enum {
		WIRE_UD_ASK_FREE,
		WIRE_UD_ASK_WAITS,
		WIRE_UD_ASK_RUNS, /* ah and error are the helper's */
		WIRE_UD_ASK_DONE,
	} state;
	uint8_t path;
	uint32_t round; /* of the hosts, when it was asked for */
	uint32_t failures; /* of the host: few go first */
	uint32_t number; /* then those that were first */
	struct wire_ud_host *host; /* the owner's; only passed on */
	struct ibv_ah_attr attr;
	struct ibv_ah *ah; /* NULL: none, see error */
	int error; /* errno; 0: libibverbs did not say */
};

struct wire_ud_helper {
	pthread_t thread;
	enum {
		WIRE_UD_HELPER_NONE,
		WIRE_UD_HELPER_WORKS,
		WIRE_UD_HELPER_LEFT, /* to be joined */
	} state;
	struct wire_ud *wire; /* const */
};

struct wire_ud_asker {
	pthread_mutex_t lock; /* of all but nasks */
	pthread_cond_t answered; /* some ask is DONE */
	bool stop;
	uint32_t number; /* of the next ask */
	struct wire_ud_ask ask[WIRE_UD_ASKS];
	struct wire_ud_helper helper[WIRE_UD_HELPERS];
	uint32_t nasks; /* not FREE; the owner's */
};

struct wire_ud_path {
	struct ibv_qp *qp;
	uint32_t head, tail; /* free-running */
	uint32_t life; /* how often the queue pair was set up; in wr_id */
	bool broken; /* the queue pair takes nothing more */
	uint16_t buffer[WIRE_UD_DEPTH]; /* of the packets under way */
};

struct wire_ud_rx {
	struct ibv_qp *qp;
	struct ibv_cq *cq;
	struct ibv_comp_channel *channel;
	uint32_t n; /* buffers that are registered, of max */
	uint32_t max; /* less if no more memory may be pinned */
	uint32_t stride; /* bytes of a buffer */
	uint32_t run; /* packets since the queue was seen empty */
	uint8_t *mem;
	bool broken;
	unsigned int unacked; /* events of the channel */
	uint32_t nidle; /* buffers that wait to be posted */
	uint32_t nlent;
	int nstash; /* completions that arm has found */
	struct ibv_wc stash[4];
	uint16_t idle[WIRE_UD_RX_MAX];
	uint16_t lent[WIRE_BURST];
	uint32_t nmrs;
	struct ibv_mr *mr[WIRE_UD_RX_PIECES];
	uint8_t gid[WIRE_BURST][16]; /* of the packets that are lent */
	struct ibv_wc wc[WIRE_BURST];
	struct ibv_recv_wr wr[WIRE_UD_RX_MAX]; /* of buffer i, but for next */
	struct ibv_sge sge[WIRE_UD_RX_MAX];
};

struct wire_ud_tx {
	struct ibv_cq *cq;
	uint32_t stride; /* bytes of a buffer */
	uint32_t inline_max; /* bytes that a work request carries itself */
	uint8_t *mem;
	uint32_t nmrs, max_mrs; /* of a chunk each */
	struct ibv_mr *mr[WIRE_UD_PATHS_MAX * WIRE_UD_DEPTH / WIRE_UD_CHUNK];
	uint32_t nfree;
	uint16_t free[WIRE_UD_PATHS_MAX * WIRE_UD_DEPTH]; /* a stack */
	/* One call's work requests: all of one path. */
	struct ibv_send_wr wr[WIRE_UD_DEPTH];
	struct ibv_sge sge[WIRE_UD_DEPTH][2];
};

struct wire_ud {
	struct wire wire; /* first: what users of the wire hold */

	/* const after open, but for what events change */
	struct wire_ud_info info;
	uint32_t gid_index; /* in the port's table */
	uint32_t qkey;
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	uint8_t *mem; /* buffers of rx, then of tx; pinned in part */
	size_t mem_len;
	uint32_t mtu; /* bytes of a packet, at open */
	uint32_t mtu_by_now; /* less, if the port's has shrunk */

	bool dead; /* the device has gone, or cannot be used any more */
	bool port_down;
	bool no_gid; /* our address has left the port */
	bool troubled; /* notes wait, or something is broken */
	uint64_t revived_at; /* ns; when broken queue pairs were last set up */
	struct wire_note_list notes;
	struct wire_stats stats;
	struct wire_ud_hosts hosts;
	struct wire_ud_asker asker;
	struct wire_ud_path path[WIRE_UD_PATHS_MAX];
	struct wire_ud_tx tx;
	struct wire_ud_rx rx;
};

static inline struct wire_ud *wire_ud_of(const struct wire *wire)
{
	return (struct wire_ud *)(uintptr_t)wire;
}

/* wire_ud_list.c: devices, ports, addresses */

/*
 * The port with all its fields; *gid_index where its gid lies. gid NULL: the
 * best one. -ENETDOWN not active, -ENODEV no address that is up, or not this
 * one, -EIO the device does not answer.
 */
int wire_ud_port(struct ibv_context *ctx, uint8_t port, const uint8_t *gid,
		 struct wire_ud_info *info, uint32_t *gid_index);

/* Opens a device by its name; errors logged. */
int wire_ud_device_open(const char *name, struct ibv_context **out);

/* wire_ud_gid.c: gids and network headers */

/* The sender's gid from the 40 bytes before a packet; false: none is there. */
bool wire_ud_gid_from(const struct wire_ud_info *self,
		      const uint8_t grh[WIRE_UD_GRH], const struct ibv_wc *wc,
		      uint8_t gid[16]);
/* Where a packet to gid goes; false: no address of this kind of network. */
bool wire_ud_gid_to(const struct wire_ud_info *self, const uint8_t gid[16],
		    struct ibv_ah_attr *attr);
/* The gid of an InfiniBand port. */
void wire_ud_gid_make(uint16_t lid, const uint8_t guid[8], uint8_t gid[16]);

/* wire_ud_mem.c: pinned memory */

/*
 * Memory for so many receive buffers and for all sends, with the first chunks
 * of both; errors logged.
 */
int wire_ud_mem_init(struct wire_ud *w, uint32_t rx_wanted);
void wire_ud_mem_fini(struct wire_ud *w);
/* More buffers from rx.n on, with their requests; false: there are no more. */
bool wire_ud_mem_more_rx(struct wire_ud *w);
/* More free ones; false: none. */
bool wire_ud_mem_more_tx(struct wire_ud *w);

static inline uint8_t *wire_ud_rx_buffer(const struct wire_ud_rx *rx,
					 uint32_t i)
{
	return rx->mem + (size_t)i * rx->stride;
}

static inline uint8_t *wire_ud_tx_buffer(const struct wire_ud_tx *tx,
					 uint32_t i)
{
	return tx->mem + (size_t)i * tx->stride;
}

/* wire_ud_qp.c: queue pairs and what they complete to */

int wire_ud_qp_init(struct wire_ud *w);
void wire_ud_qp_fini(struct wire_ud *w);
/* Sets up again what is broken, now and then. */
void wire_ud_qp_revive(struct wire_ud *w, uint64_t now);

/* wire_ud_host.c: address handles */

int wire_ud_hosts_init(struct wire_ud *w, uint64_t patience);
void wire_ud_hosts_fini(struct wire_ud *w);
/*
 * The handle to gid by a path; if there is none it is asked for, which takes a
 * moment. 0; -EINPROGRESS none yet; -EAGAIN more hosts are busy than can be
 * remembered; -EHOSTUNREACH there is no way, which a note says.
 */
int wire_ud_host_ah(struct wire_ud *w, const uint8_t gid[16], uint8_t path,
		    struct wire_ud_host **host);
/* All handles are out of date; and those that have been are destroyed. */
void wire_ud_hosts_renew(struct wire_ud *w);
void wire_ud_hosts_bury(struct wire_ud *w);

/* wire_ud_ask.c: handles are made by others */

int wire_ud_asker_init(struct wire_ud *w);
/* Waits for what libibverbs is busy with: up to some seconds. */
void wire_ud_asker_fini(struct wire_ud *w);
/* Has a handle of h made; false: too many are. h stays until it is answered. */
bool wire_ud_ask(struct wire_ud *w, struct wire_ud_host *h, uint8_t path,
		 const struct ibv_ah_attr *attr);
/* Until that is answered, or so long. */
void wire_ud_ask_wait(struct wire_ud *w, const struct wire_ud_host *h,
		      uint64_t ns);
/* The answers that have come: how many of answer[WIRE_UD_ASKS]. */
uint32_t wire_ud_ask_answers(struct wire_ud *w, struct wire_ud_ask *answer);

/* wire_ud_send.c */

int wire_ud_send(struct wire *wire, const struct wire_out *out, int n);
/* Takes completions of packets that were sent. */
void wire_ud_reap(struct wire_ud *w);
/* The packets of a path before `tail` are not under way any more. */
void wire_ud_gone(struct wire_ud *w, struct wire_ud_path *p, uint32_t tail);

/* wire_ud_poll.c */

/* Every buffer that is not lent is idle; posts them. */
int wire_ud_rx_post_all(struct wire_ud *w);
int wire_ud_poll(struct wire *wire, struct wire_in *in, int max);
void wire_ud_give_back(struct wire *wire);
int wire_ud_arm(struct wire *wire);

/* wire_ud_event.c: what the device says */

int wire_ud_notes(struct wire *wire, struct wire_note *note, int max);
/* The device is of no use any more; said once. */
void wire_ud_die(struct wire_ud *w, const char *why);
void wire_ud_note(struct wire_ud *w, enum wire_note_kind kind,
		  const uint8_t gid[16], uint32_t mtu);

#endif
