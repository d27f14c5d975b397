/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_far.h - the far side of a queue pair: peers that shared memory does not
 * reach, by the SRD engine over a packet wire
 *
 *    nic_send, nic_rdma --> engine --> faults --> wire --> network
 *    nic_poll <-- inbox <-- engine <-------------- wire <-- network
 *
 * The engine must answer its peers also while the user computes, so it has
 * two drivers: whoever polls, and when nobody does, the thread of the nic
 * (nic_watch.c). All here is under `lock`; who takes it next is `mode`.
 *
 *   CLOSED --first packet or far peer--> POLLED <--> WATCHED
 *                                          ^ |
 *                              the user is back; sleeps on the descriptor
 *                                          | v
 *                                         ARMED
 *
 * I2: while `lent`, packets of the wire and events of the engine are with the
 * user, so only the user's thread receives.
 */
#ifndef NIC_FAR_H
#define NIC_FAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "nic/nic.h"
#include "srd/srd.h"
#include "util/u_lock.h"
#include "util/u_time.h"
#include "wire/wire_fault.h"
#include "wire/wire_port.h"

/* That one queue pair can know, those that have ended included: untouched ones
 * cost address space alone, 500 bytes each. */
#define NIC_FAR_PEERS 65536
#define NIC_FAR_OPS_MAX 4096 /* operations of one queue pair */
#define NIC_FAR_BURST 64 /* packets and events of one turn */
#define NIC_FAR_KEPT 256 /* events that wait for the user; a power of two */
/* Kept events from which peers are told to send again later; the places above
 * are for the ends of writes, which cannot be refused. */
#define NIC_FAR_CROWDED (NIC_FAR_KEPT - 2 * NIC_FAR_BURST)
#define NIC_FAR_TICK (10 * U_MSEC) /* after which a user is not polling */
#define NIC_FAR_QUIET U_SEC /* after which the thread takes over */
#define NIC_FAR_LINGER (2 * U_SEC) /* for what is under way at close */

struct nic_qp;
struct nic_ah;
struct nic_path;

enum nic_far_mode {
	NIC_FAR_CLOSED, /* no engine yet; the thread waits for a packet */
	NIC_FAR_POLLED, /* the user drives; the thread looks whether he does */
	NIC_FAR_WATCHED, /* the thread drives */
	NIC_FAR_ARMED, /* the user sleeps on the wire; timers: the thread */
};

/* An event the user has not polled yet. */
struct nic_far_kept {
	struct srd_event event; /* data: NULL, or in buf */
	uint8_t *buf; /* [NIC_MTU], its own */
};

/* An operation of the user under way; from nic_far.ops. */
struct nic_far_op {
	uint64_t id;
	struct nic_ah *ah; /* NULL: closed, nobody wants to know */
	uint32_t srd_op; /* of RDMA */
	uint8_t wc_op; /* enum nic_wc_op */
	TAILQ_ENTRY(nic_far_op) link; /* of the path */
};

TAILQ_HEAD(nic_far_op_list, nic_far_op);

struct nic_far {
	struct u_lock lock; /* of all but qp, id and call */
	struct nic_qp *qp; /* const */
	int fd; /* readable when packets came; -1: nobody is far; const */
	bool ration; /* a poll of the wire costs: not each time; of the user */
	uint32_t id; /* of the thread's epoll; const */
	atomic_bool call; /* the thread has something for the user */
	enum nic_far_mode mode;
	bool lent;
	bool more; /* WATCHED: packets wait, and fd does not tell */
	bool failed; /* could not be opened: said once */
	bool full; /* knows NIC_FAR_PEERS: said once */
	bool unplugged; /* the device has gone: fd is not waited for */
	bool asleep; /* CLOSED: the user sleeps, leave packets to him */
	struct srd *srd; /* NULL: CLOSED */
	struct wire *wire;
	struct wire_fault *fault; /* NULL: no faults */
	uint32_t polls; /* of the user */
	uint32_t polls_seen; /* by the thread */
	uint64_t active_at; /* when a packet came or went */
	uint64_t notes_at; /* when the error queues were looked at */
	uint64_t notes_due; /* a look for what was sent since; UINT64_MAX: none */
	uint32_t kept_head, kept_tail; /* free-running */
	uint32_t kept_lent; /* of the last poll, before kept_head */
	struct nic_far_kept *kept; /* [NIC_FAR_KEPT] */
	int nevents;
	struct srd_event event[NIC_FAR_BURST]; /* lent */
	TAILQ_ENTRY(nic_far) watch_link; /* of the nic's thread */
};

/* --- nic_far.c: opening, closing, and which peer --- */

int nic_far_init(struct nic_qp *qp);
/* Waits a little for what is under way, and tells the peers. */
void nic_far_fini(struct nic_qp *qp);

/* Under the lock. Opens engine and wire; 0 when they are open. */
int nic_far_open(struct nic_far *far);

/* The queue pair's connid is another from here on; it has no peers yet. */
void nic_far_restart(struct nic_qp *qp);

/* qp->rnr_retries, which is under the lock. */
void nic_far_set_rnr_retries(struct nic_qp *qp, uint32_t retries);

/* qp->pressure, which is under the lock. */
void nic_far_set_pressure(struct nic_qp *qp, bool on);

/* The conversation of a path: p->peer. NIC_OK or why there is none. */
enum nic_status nic_far_resolve(struct nic_path *p);

/* --- nic_far_pump.c: packets in, packets out; under the lock --- */

void nic_far_outs(const struct srd_out *so, int n, struct wire_out *wo);

/* Packets to the wire, past the injector if there is one. How many left. */
int nic_far_put(struct nic_far *far, const struct wire_out *wo, int n,
		uint64_t now);

/* Whether a message can be kept, and how long it may be: the engine learns. */
void nic_far_set_ready(struct nic_far *far);

/* Packets that are due go out. */
void nic_far_flush(struct nic_far *far, uint64_t now);

/* When nic_far_flush has something to do if nothing else happens. */
uint64_t nic_far_deadline(const struct nic_far *far);

/* What the error queues tell, now and then. */
void nic_far_notes(struct nic_far *far, uint64_t now);

/* Receives into the kept events. The user must hold no loans. */
void nic_far_receive(struct nic_far *far, uint64_t now);

/* Feeds one packet that was read from the socket by hand. */
void nic_far_feed(struct nic_far *far, const void *packet, size_t len,
		  const uint8_t gid[16], uint64_t now);

static inline uint32_t nic_far_nkept(const struct nic_far *far)
{
	return far->kept_tail - far->kept_head;
}

/* --- nic_far_poll.c: what the user's poll gets --- */

/* The thread has something for the user. */
static inline bool nic_far_is_calling(struct nic_far *far)
{
	return atomic_load_explicit(&far->call, memory_order_relaxed);
}

int nic_far_poll(struct nic_qp *qp, struct nic_wc *wc, int n);
/* The user drives from now on; under the lock, by his thread. */
void nic_far_take_over(struct nic_far *far, uint64_t now);
void nic_far_give_back(struct nic_qp *qp);

/* The user goes to sleep: false when there is something to poll. */
bool nic_far_arm(struct nic_qp *qp);
/* He is back; true: there is an engine. */
bool nic_far_disarm(struct nic_qp *qp);
bool nic_far_is_open(struct nic_far *far);

/* --- nic_far_op.c: operations --- */

int nic_far_send(struct nic_ah *ah, uint64_t id, int flags, uint32_t imm,
		 const void *hdr, size_t hdr_len, const struct iovec *iov,
		 int iovcnt, size_t len);
int nic_far_rdma(struct nic_ah *ah, const struct nic_rdma *r);

/* Completions of the engine; under the lock. */
int nic_far_done(struct nic_qp *qp, struct nic_wc *wc, int n);

/* The conversation with a peer that is dead for our user; RDM only. */
void nic_far_give_up(struct nic_path *p);

/* As nic_qp_revoke. */
bool nic_far_revoke(struct nic_qp *qp, uint64_t id);

/* A handle closes: its operations are forgotten, its memory is let go. */
void nic_far_forget(struct nic_ah *ah);

/* --- nic_watch.c: the thread --- */

struct nic_watch;

int nic_watch_open(struct nic_watch **out);
void nic_watch_close(struct nic_watch *w);
int nic_watch_add(struct nic_watch *w, struct nic_far *far);
void nic_watch_remove(struct nic_watch *w, struct nic_far *far);

/* Under far->lock: fd tells nothing any more, and may say so for ever. */
void nic_watch_unplug(struct nic_watch *w, struct nic_far *far);

/* Under far->lock: who drives from now on. */
void nic_watch_mode(struct nic_watch *w, struct nic_far *far,
		    enum nic_far_mode mode);

#endif
