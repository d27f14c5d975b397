/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm.h - door of the shared-memory wire: records between processes of
 * one host, and copies between their memories
 *
 * A receiver (struct wire_shm) owns one tmpfs segment. A sender opens a link
 * (struct wire_shm_link) to it: a lane of that segment, a ring of 64-byte
 * lines with one producer and one consumer. Delivery is reliable and in order
 * within a lane.
 *
 *    sender                      segment of the receiver
 *   +------+  one line written  +--------+------------------------+
 *   | link |------------------->| lane 0 | ctl | line | line | .. |
 *   +------+   once, released   +--------+------------------------+
 *   +------+                    +--------+
 *   | link |------------------->| lane 1 |   poll() lends records in place,
 *   +------+                    +--------+   give_back() frees them
 *
 * How to drive it
 *   receiver: open, (poll, give_back)*, close. To sleep: arm; when that says
 *     0, sleep until the wake-up that senders are asked for; disarm.
 *   sender: link_open, send*, link_check now and then, link_close.
 *   copies: link_copy says how memory of the peer is reached; read and write
 *     move bytes when it is not WIRE_SHM_COPY_RING.
 *
 * One thread at a time for one receiver with its links. What a peer writes is
 * never trusted: a record that cannot be is counted, its lane is cut off.
 */
#ifndef WIRE_SHM_H
#define WIRE_SHM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Who an end is: what an EFA address holds. */
struct wire_shm_id {
	uint8_t gid[16];
	uint32_t qpn; /* 24 bits */
	uint32_t connid; /* of this incarnation */
};

/* Where an empty UDP datagram ends the owner's sleep. */
struct wire_shm_bell {
	uint8_t gid[16]; /* IPv6, or IPv4-mapped */
	uint16_t port; /* 0: there is none */
};

struct wire_shm_config {
	const char *dir; /* where segments live; NULL is /dev/shm */
	uint32_t lanes; /* senders at most, 1..1024; 0 is 1024 */
	uint32_t lane_bytes; /* ring of a lane, a power of two >= 32 KiB;
				0 is 128 KiB */
	bool no_cma; /* do not use cross-memory attach */
	uint64_t tag; /* the owner's word, which peers read: link_tag() */
	struct wire_shm_bell bell; /* which peers read: link_bell() */
};

/* A record on loan; valid until wire_shm_give_back(). */
struct wire_shm_pkt {
	const void *data; /* 8-byte aligned; a hostile sender can still
			     change it: copy out, then judge */
	uint32_t len; /* bytes, 0..WIRE_SHM_MAX */
	uint32_t word; /* the sender's 32 bits beside the data */
	uint32_t lane; /* which sender: wire_shm_source(); who that is stays
			  as long as stats.lanes_opened does */
};

/* What happened to a receiver; only it writes, anyone may print. */
struct wire_shm_stats {
	uint64_t records; /* lent */
	uint64_t bad_records; /* what no sender of ours writes: lane cut */
	uint64_t lanes_opened;
	uint64_t lanes_closed; /* by the sender, or found dead */
	uint64_t stale_removed; /* segments of dead owners unlinked at open */
};

/* Bytes of a record that fit the one line it is then written in. */
#define WIRE_SHM_LINE_PAYLOAD 56
/* Bytes of a record at most. */
#define WIRE_SHM_MAX 9216

#define WIRE_SHM_QPN_MAX 0xffffffu

struct wire_shm;
struct wire_shm_link;

/*
 * Makes the segment of `self` and removes those of dead processes of this
 * user. Errors: -EADDRINUSE a living owner has this gid and qpn (take another
 * qpn), -ENOSPC the directory is full, -ENOENT or -EACCES it is not there or
 * not ours; the log line says which directory and what to do.
 */
int wire_shm_open(const struct wire_shm_config *config,
		  const struct wire_shm_id *self, struct wire_shm **out);

/* Links of `w` must be closed before. Senders see the end at once. */
void wire_shm_close(struct wire_shm *w);

/* Removes segments in `dir` whose owner is dead; returns how many. */
int wire_shm_clean(const char *dir);

const struct wire_shm_stats *wire_shm_stats(const struct wire_shm *w);

/*
 * Lends up to `max` records, oldest first within a lane, lanes in turn;
 * fewer than there are where that is faster. The loans of the poll before must
 * have been given back. Returns their number. Whoever spins on it should
 * u_relax() after a poll that found nothing.
 */
int wire_shm_poll(struct wire_shm *w, struct wire_shm_pkt *pkts, int max);

/* Gives back all records that the last poll lent. */
void wire_shm_give_back(struct wire_shm *w);

/* Who writes to a lane; -ENOENT when it is not open. */
int wire_shm_source(const struct wire_shm *w, uint32_t lane,
		    struct wire_shm_id *id);

/*
 * Reads a lane no more; its sender hears of it by -EPIPE. Not while records are
 * on loan. One that its sender closes, or has died with, is read to its end.
 */
void wire_shm_cut_off(struct wire_shm *w, uint32_t lane);

/*
 * Announces sleep: senders from now on are told to wake us, each of them
 * once. Returns 1 when there is something to poll (then not armed), else 0.
 * Costs a system call that interrupts the other cores: only before a sleep.
 */
int wire_shm_arm(struct wire_shm *w);
void wire_shm_disarm(struct wire_shm *w);

/*
 * While on, senders refuse WIRE_SHM_REQUEST records with -EAGAIN; others pass.
 * What was under way still arrives.
 */
void wire_shm_set_pressure(struct wire_shm *w, bool on);

/* What wire_shm_link_room() tells senders; SIZE_MAX, as at first: anything. */
void wire_shm_set_room(struct wire_shm *w, size_t bytes);

/* Another connid for `self`, before any peer can know the first one. */
void wire_shm_set_connid(struct wire_shm *w, uint32_t connid);

/* Nobody may open a lane; as early as that. */
void wire_shm_shut(struct wire_shm *w);

/*
 * Housekeeping, every 10..100 ms: takes back lanes of dead senders once they
 * are empty. System calls: one a lane that was idle since the last call.
 */
void wire_shm_tick(struct wire_shm *w);

/*
 * Opens a lane to `peer` for the sender that owns `w`. Errors: -ENOENT no
 * such segment, -ESTALE one of another incarnation (connid) or of a dead
 * owner, -EPROTO its content is not ours or of another version, -ENOSPC no
 * free lane or the directory is full, -EACCES the file is somebody else's,
 * -EPERM the owner wants no lanes; others of open(2) and mmap(2).
 */
int wire_shm_link_open(struct wire_shm *w, const struct wire_shm_id *peer,
		       struct wire_shm_link **out);
void wire_shm_link_close(struct wire_shm_link *l);

enum {
	WIRE_SHM_REQUEST = 1, /* refuse it while the peer is under pressure */
};

/*
 * Writes one record: hdr, then `len` bytes gathered from iov. hdr_len + len
 * <= WIRE_SHM_MAX. All is copied before return. Returns 0; 1 when it is
 * written but the peer sleeps and the caller has to wake it (said once a link
 * and sleep, so a wake-up that fails must be tried again); -EAGAIN when the
 * ring is full or the peer refuses requests; -EPIPE when the peer has closed,
 * died or was cut off, for this and every later record.
 */
int wire_shm_send(struct wire_shm_link *l, uint32_t word, int flags,
		  const void *hdr, size_t hdr_len, const struct iovec *iov,
		  int iovcnt, size_t len);

/*
 * Room for a record of `len` bytes now? The same rules as wire_shm_send; true
 * also when that would say -EPIPE. Costs a read of the peer's cursor when the
 * cached one says no.
 */
bool wire_shm_can_send(struct wire_shm_link *l, size_t len);

/* Looks whether the peer lives (one system call): 0 or -EPIPE. */
int wire_shm_link_check(struct wire_shm_link *l);

/*
 * Whether the peer refuses requests now; when not, the bytes that it has room
 * for in one message, which is advice and not enforced.
 */
bool wire_shm_link_pressed(const struct wire_shm_link *l);
size_t wire_shm_link_room(const struct wire_shm_link *l);

/* config.tag of the peer. */
uint64_t wire_shm_link_tag(const struct wire_shm_link *l);

/* config.bell of the peer: where it is woken. */
const struct wire_shm_bell *wire_shm_link_bell(const struct wire_shm_link *l);

/* How the peer's memory is reached; found out at the first call. */
enum wire_shm_copy {
	WIRE_SHM_COPY_SELF, /* it is our own memory: memcpy */
	WIRE_SHM_COPY_CMA, /* process_vm_readv and writev */
	WIRE_SHM_COPY_RING, /* not at all: send the bytes as records */
};

enum wire_shm_copy wire_shm_link_copy(struct wire_shm_link *l);

/*
 * Copies len bytes between our memory and the peer's at address `remote`.
 * Errors: -EFAULT an address is not mapped there or here, -ESRCH the peer is
 * gone, -EPERM the kernel forbids it. Nothing is promised about the
 * destination then.
 */
int wire_shm_read(struct wire_shm_link *l, void *local, uint64_t remote,
		  size_t len);
int wire_shm_write(struct wire_shm_link *l, const void *local, uint64_t remote,
		   size_t len);

/*
 * Named files with an owner, for other things that must be shared and cleaned
 * like segments (the NIC's key table). name: without directory, at most 100
 * bytes; it gets the prefix "efa-<uid>-". The owner holds a lock for life. A
 * child that was forked and did not exec keeps that lock, so an owner that
 * dies without closing seems to live until the child has ended too; closing in
 * the child unlinks nothing.
 */
struct wire_shm_file {
	void *base; /* NULL: not mapped */
	size_t size; /* bytes mapped */
	int fd;
	pid_t maker; /* process that created it; 0: somebody else's */
	char path[256]; /* of the owner: unlinked at close; else empty */
};

/*
 * create: sparse, zeroed, read-write. open: maps an existing one of a living
 * owner, read-only unless `writable`. Errors as wire_shm_open and
 * wire_shm_link_open.
 */
int wire_shm_file_create(const char *dir, const char *name, size_t size,
			 struct wire_shm_file *f);
int wire_shm_file_open(const char *dir, const char *name, bool writable,
		       struct wire_shm_file *f);
/* Backs [offset, offset + len) with memory so that a touch cannot fault. */
int wire_shm_file_reserve(struct wire_shm_file *f, size_t offset, size_t len);
/*
 * Locks with numbers, beside the owner's, which end with their process as that
 * does. They belong to a writable f: lock says -EAGAIN when another holder of
 * the file has it, and locked whether one has.
 */
int wire_shm_file_lock(struct wire_shm_file *f, uint32_t number);
void wire_shm_file_unlock(struct wire_shm_file *f, uint32_t number);
bool wire_shm_file_locked(const struct wire_shm_file *f, uint32_t number);
void wire_shm_file_close(struct wire_shm_file *f);

#endif
