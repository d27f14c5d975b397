/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd.h - door of the SRD engine: reliable, at-most-once, unordered messages
 * and RDMA over packets that get lost, on many paths
 *
 * An engine is one queue pair's end of all its conversations. It has no
 * socket, no clock, no thread and takes no memory after srd_open: packets come
 * in, packets go out, `now` (nanoseconds of any monotonic clock) is an
 * argument. The wire format is srd_wire(5), the protocol srd(7).
 *
 *    send, rdma ---->  +--------+ ----> srd_tx: packets that are due
 *    srd_done   <----  | engine |
 *    events     <----  +--------+ <---- srd_rx: one packet that arrived
 *
 * How to drive it
 *   open; then, in any order: srd_send and srd_rdma; srd_rx for each packet
 *   with srd_release after each event; srd_tx until it returns less than it
 *   was given room for, after each of these and when srd_deadline has come;
 *   srd_done. To end: srd_farewell, close.
 *
 * One thread at a time. Pointers in srd_out are valid until the next call
 * that takes the engine, other than srd_unsent. Bytes of a packet are judged
 * before they are used: what no engine sends is counted and dropped.
 */
#ifndef SRD_H
#define SRD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define SRD_PATHS_MAX 64
#define SRD_WINDOW_MAX 2048 /* packets of one direction that may be open */
#define SRD_QPN_MAX 0xffffffu
#define SRD_HDR_MAX 1024 /* bytes of a header, acknowledgement included */
#define SRD_PACKET_MIN 512 /* bytes of srd_config.mtu at least */
#define SRD_PACKET_MAX 65000
#define SRD_MSG_MAX 9216 /* bytes of a SEND at most */
#define SRD_RDMA_MAX (UINT64_C(1) << 30)
#define SRD_TX_MAX 64 /* packets of one srd_tx at most */

/* Bytes before the payload of a datagram at most. */
#define SRD_DATAGRAM_HDR 32

/* One incarnation of a queue pair. */
struct srd_addr {
	uint8_t gid[16];
	uint32_t qpn; /* its UDP port, or 24 bits */
	uint32_t connid; /* random, never 0 */
};

/* Completion statuses: the EFA device's numbers. */
enum srd_status {
	SRD_OK = 0,
	SRD_FLUSHED = 1,
	SRD_BAD_OP = 3,
	SRD_TOO_LONG = 6,
	SRD_BAD_RKEY = 7, /* no such key, out of its range, access not given */
	SRD_PEER_RESET = 8, /* the peer ended the operation or closed */
	SRD_NO_QP = 9, /* no such queue pair, or another incarnation of it */
	SRD_RNR = 10, /* receiver not ready, retries exhausted */
	SRD_BAD_LEN = 11,
	SRD_UNRESPONSIVE = 13, /* it answered once, and then no more */
	SRD_UNREACHABLE = 15, /* it never answered, or there is no route */
};

enum srd_access { SRD_REMOTE_READ = 1, SRD_REMOTE_WRITE = 2 };

/*
 * May a peer so access [addr, addr + len) with this key? A leaf: it must not
 * call the engine. The answer must hold until the engine's function returns,
 * and for memory that srd_tx points to, until the packets have been sent.
 */
typedef bool (*srd_may)(void *ctx, uint32_t key, uint32_t access, uint64_t addr,
			uint64_t len);

#define SRD_RNR_FOREVER 7

/* 0 is the default of every field unless said otherwise. */
struct srd_config {
	struct srd_addr self;
	srd_may may; /* NULL: nothing may be accessed */
	/*
	 * Is [addr, addr + len), registered and read by a peer, still mapped?
	 * Asked before bytes of it are sent again, as its owner may have freed
	 * it when the peer had them. NULL: it always is.
	 */
	bool (*there)(void *ctx, uint64_t addr, uint64_t len);
	void *ctx;
	uint32_t mtu; /* bytes of a packet, srd's headers included;
			 SRD_PACKET_MIN.. ; 0: 1472 */
	uint32_t max_peers; /* 0: 4096 */
	uint32_t max_active; /* conversations with packets open, a quarter of
				them those that only answer; 2..; 0: 256 */
	uint32_t max_ops; /* our operations under way; 0: 1024 */
	uint32_t max_replies; /* reads of peers that we answer; 0: 1024 */
	uint32_t tx_slots; /* SENDs that are not acknowledged; 0: 512 */
	uint32_t rx_slots; /* SENDs of several packets, in part; 0: 64 */
	uint32_t window_pkts; /* a power of two, ..SRD_WINDOW_MAX; 0: 1024 */
	uint32_t paths; /* entropy values, ..SRD_PATHS_MAX; 0: 16 */
	uint32_t burst; /* bytes in a row to one path; 0: one packet */
	uint64_t rx_budget; /* bytes all senders together may have open towards
			       us; 0: 1 MiB */
	uint64_t link_bps; /* of our interface; 0: unknown */
	uint64_t init_window; /* bytes before the first acknowledgement;
				 0: 64 KiB */
	uint64_t window_min; /* bytes that may be open whatever the delay;
				0: a 16th of a packet, by pacing */
	uint64_t pace_max; /* ns that a packet waits for the pace at most;
			      0: rto_max */
	uint64_t target_delay; /* ns of queueing that is no congestion;
				  0: 50 us */
	uint64_t rtt_guess; /* ns before the first sample; 0: 100 us */
	uint64_t rto_min; /* ns; 0: 500 us */
	uint64_t rto_max; /* ns; 0: 100 ms */
	uint64_t ack_delay; /* ns an acknowledgement may wait; 0: 50 us */
	uint32_t ack_every; /* packets that are acknowledged together at most;
			       0: 8 */
	uint32_t rnr_retries; /* 0..6; SRD_RNR_FOREVER. 0 means 0 */
	uint64_t rnr_wait; /* ns a sender waits after RNR; 0: 100 us */
	uint64_t peer_timeout; /* ns of silence that ends a peer; 0: 10 s */
	uint64_t keepalive; /* ns between looks at an idle peer; 0: 1 s */
	bool check_all; /* checksums cover payloads too */
	uint64_t seed; /* of all random choices */
};

struct srd;
struct srd_peer; /* a conversation; lives as long as the engine */

/* Errors: -EINVAL (logged: which field, its range), -ENOMEM. */
int srd_open(const struct srd_config *config, uint64_t now, struct srd **out);
void srd_close(struct srd *s);

/*
 * The conversation with addr, begun if need be, without a packet: the first
 * one carries data. Errors: -ENOSPC max_peers are known, -EINVAL.
 */
int srd_peer_get(struct srd *s, const struct srd_addr *addr,
		 struct srd_peer **out);
/* The same if it has begun; NULL: it has not. */
struct srd_peer *srd_peer_known(const struct srd *s,
				const struct srd_addr *addr);
const struct srd_addr *srd_peer_addr(const struct srd_peer *p);
/* Dense, from 0 on, in the order of acquaintance; never reused. */
uint32_t srd_peer_index(const struct srd_peer *p);
/* One word of the caller beside each peer; NULL at first. */
void srd_peer_set_user(struct srd_peer *p, void *user);
void *srd_peer_user(const struct srd_peer *p);

/* --- operations --- */

struct srd_send {
	uint64_t id; /* comes back in srd_done */
	const void *hdr; /* hdr and iov are copied */
	size_t hdr_len;
	const struct iovec *iov;
	int iovcnt;
	size_t len; /* of iov; hdr_len + len <= SRD_MSG_MAX */
	bool has_imm;
	bool request; /* refused with -EAGAIN while the peer is under pressure */
	uint32_t imm;
};

/*
 * 0: accepted, a completion follows, at the latest when the peer times out.
 * -EAGAIN: no room; after srd_rx or srd_tx there may be. -EMSGSIZE. To a peer
 * that died the completion is its status; to one that was silent too long, a
 * later send begins anew.
 */
int srd_send(struct srd *s, struct srd_peer *p, const struct srd_send *send,
	     uint64_t now);

enum srd_rdma_type { SRD_READ, SRD_WRITE, SRD_WRITE_IMM };

struct srd_rdma {
	enum srd_rdma_type type;
	uint64_t id;
	void *local; /* the engine's until the completion, srd_abort or
			srd_revoke */
	uint64_t remote;
	size_t len; /* 0..SRD_RDMA_MAX */
	uint32_t rkey;
	uint32_t imm;
};

/* As srd_send. *op names it for the two below until it completes. */
int srd_rdma(struct srd *s, struct srd_peer *p, const struct srd_rdma *rdma,
	     uint64_t now, uint32_t *op);

/*
 * Ends an operation without a completion: its memory is not touched any more.
 * An op that has completed is ignored.
 */
void srd_abort(struct srd *s, uint32_t op, uint64_t now);

/* The same with a completion, SRD_FLUSHED. False: it had one. */
bool srd_revoke(struct srd *s, uint32_t op, uint64_t now);

enum srd_done_kind {
	SRD_DONE_SEND,
	SRD_DONE_READ,
	SRD_DONE_WRITE,
	SRD_DONE_GONE, /* a peer that was heard has ended. After this nothing
			  of that incarnation arrives, unless it was
			  SRD_UNRESPONSIVE and is heard again. id is 0 */
};

struct srd_done {
	uint64_t id;
	struct srd_peer *peer;
	uint8_t kind; /* enum srd_done_kind */
	uint8_t status; /* enum srd_status; GONE: why */
};

/* Completions since the last call; returns their number, 0..max. */
int srd_done(struct srd *s, struct srd_done *done, int max);
bool srd_has_done(const struct srd *s);

/* --- packets --- */

enum srd_event_kind {
	SRD_EV_RECV, /* a SEND: data, len, imm */
	SRD_EV_WRITTEN, /* a WRITE_IMM has ended here: len, imm */
	SRD_EV_DATAGRAM, /* an unreliable packet: data, len, imm; from */
};

struct srd_event {
	enum srd_event_kind kind;
	struct srd_peer *peer; /* NULL for DATAGRAM */
	struct srd_addr from; /* of DATAGRAM */
	const void *data; /* in the packet or the engine's, until srd_release */
	uint32_t len;
	uint32_t imm;
	bool has_imm;
	uint32_t slot; /* the engine's */
};

/*
 * Takes one packet that came from the address gid. Returns 1 when it made an
 * event, else 0. The packet is needed until srd_release of the event.
 */
int srd_rx(struct srd *s, const void *packet, size_t len, const uint8_t gid[16],
	   uint64_t now, struct srd_event *event);
void srd_release(struct srd *s, const struct srd_event *event);

/* While off, SENDs of peers are answered "not ready" and come again. On at
 * open. */
void srd_set_ready(struct srd *s, bool on);

/* SENDs of more bytes end at their sender with SRD_BAD_LEN. UINT32_MAX at
 * open: any. */
void srd_set_room(struct srd *s, uint32_t bytes);

/* config.rnr_retries from here on. */
void srd_set_rnr_retries(struct srd *s, uint32_t retries);

/* While on, peers hold back SENDs that are marked `request`. */
void srd_set_pressure(struct srd *s, bool on, uint64_t now);

struct srd_out {
	const struct srd_addr *to; /* gid and qpn are where it goes */
	const void *hdr;
	const void *data; /* NULL when data_len is 0 */
	uint16_t hdr_len;
	uint16_t data_len;
	uint8_t path; /* 0..config.paths - 1 */
	bool fragment; /* longer than the path's MTU by now */
	uint32_t token; /* the engine's */
};

/* Packets that are due, up to max and SRD_TX_MAX; they count as sent. */
int srd_tx(struct srd *s, uint64_t now, struct srd_out *out, int max);

/* The wire had no room for these of the last srd_tx: they are due again. */
void srd_unsent(struct srd *s, const struct srd_out *out, int n, uint64_t now);

/* When srd_tx has something to do if nothing else happens: a time that may
 * have passed, or UINT64_MAX. */
uint64_t srd_deadline(const struct srd *s);

/*
 * Header of an unreliable datagram, written to hdr[SRD_HDR_MAX]; the payload
 * follows it. Returns its length. data_* are for the checksum.
 */
size_t srd_datagram(struct srd *s, const struct srd_addr *to, bool has_imm,
		    uint32_t imm, const struct iovec *iov, int iovcnt,
		    void *hdr, uint64_t now);

/* --- what the wire hears --- */

/* Nobody listens at this port (port unreachable). */
void srd_refused(struct srd *s, const uint8_t gid[16], uint32_t qpn,
		 uint64_t now);
/* There is no route to this address. */
void srd_no_route(struct srd *s, const uint8_t gid[16], uint64_t now);
/* Our own device has gone: whatever is awaited from peers does not come. */
void srd_unplugged(struct srd *s, uint64_t now);
/* Packets to this address may have so many bytes, srd's headers included. */
void srd_set_mtu(struct srd *s, const uint8_t gid[16], uint32_t mtu,
		 uint64_t now);

/* --- the end --- */

/*
 * A conversation ends SRD_UNRESPONSIVE, if it has not, and does not begin anew:
 * later operations end so at once, and the peer is told if it is heard.
 */
void srd_give_up(struct srd *s, struct srd_peer *p);

/* Nothing of ours is unacknowledged, and no answer of ours is owed. */
bool srd_idle(const struct srd *s);

/*
 * Tells peers that we close, with a last acknowledgement; begin with *cursor
 * 0 and go on until it returns 0. The whole may be repeated against loss.
 */
int srd_farewell(struct srd *s, uint64_t now, struct srd_out *out, int max,
		 uint32_t *cursor);

/* --- numbers --- */

struct srd_stats {
	uint64_t tx_packets, tx_bytes, rx_packets, rx_bytes; /* with headers */
	uint64_t tx_data, rx_data; /* packets with a sequence number */
	uint64_t tx_acks, rx_acks; /* packets that only acknowledge */
	uint64_t resent; /* data packets sent again */
	uint64_t resent_spurious; /* of those, known to have been needless */
	uint64_t timeouts, tail_probes, path_probes;
	uint64_t duplicates; /* data packets received before */
	uint64_t naks_sent, naks_received, rnr_sent, rnr_received;
	/* dropped, by reason */
	uint64_t bad_short; /* truncated, or lengths that do not add up */
	uint64_t bad_version;
	uint64_t bad_check; /* checksum */
	uint64_t bad_type; /* unknown type, operation or flag */
	uint64_t bad_incarnation; /* for an earlier or another queue pair */
	uint64_t bad_source; /* from nobody that could have sent it */
	uint64_t bad_window; /* a sequence number that cannot be */
	uint64_t bad_stale; /* of an earlier epoch */
	uint64_t bad_field; /* offset, length, key or number out of bounds */
	uint64_t no_room; /* peers, slots or replies were used up */
	uint64_t peers, peers_dead;
};

const struct srd_stats *srd_stats(const struct srd *s);

struct srd_path_stats {
	uint64_t sent, lost; /* data packets */
	uint64_t srtt, base_rtt; /* ns; 0: no sample */
	bool suspect; /* probed only */
};

struct srd_peer_stats {
	uint64_t srtt, rttvar, base_rtt; /* ns; 0: no sample */
	uint64_t last_rtt; /* ns */
	uint64_t queueing; /* ns, median of the paths */
	uint64_t rate; /* delivered bytes a second */
	uint64_t resent;
	uint64_t last_heard; /* time; 0: never */
	uint32_t cwnd, in_flight; /* bytes */
	uint32_t credit; /* bytes the peer grants */
	uint32_t paths;
	uint8_t ended; /* enum srd_status; SRD_OK: alive */
};

void srd_peer_stats(const struct srd *s, const struct srd_peer *p,
		    struct srd_peer_stats *out);
/* False: no such path, or the peer is idle and has none. */
bool srd_peer_path(const struct srd *s, const struct srd_peer *p, uint32_t path,
		   struct srd_path_stats *out);

/* Bytes that a known but idle peer takes, and an active one besides. */
size_t srd_peer_size(void);
size_t srd_active_size(const struct srd_config *config);

#endif
