/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_record.h - a device for tests of rdm/: it records what is posted, and
 * delivers what the test says
 *
 * Two or more devices of one process can be joined, so that a packet posted on
 * one arrives at another when the test wants it: in order, out of order,
 * twice, or never. RDMA is a memcpy at delivery time. Nothing happens by
 * itself: every step is a call.
 */
#ifndef DEV_RECORD_H
#define DEV_RECORD_H

#include "dev/dev.h"

/* A work request as it was posted, its bytes copied. */
struct dev_record_wr {
	struct dev_record_wr *next;
	struct dev_qp *from;
	struct dev_addr to;
	struct dev_ah *ah;
	uint64_t id;
	uint64_t ah_serial; /* of the ah, which may be closed by now */
	uint64_t cookie; /* of the ah */
	uint8_t op;
	uint8_t flags;
	bool done; /* at post: no completion comes; RDMA: bytes have moved */
	uint32_t imm;
	uint64_t rkey;
	uint64_t remote;
	void *local; /* READ, WRITE */
	uint64_t len; /* bytes of data, or of the RDMA */
	uint8_t data[]; /* SEND: header and payload */
};

/*
 * Opens such a device. mtu in bytes; caps are enum dev_caps. All recording
 * devices of a process are joined. One thread.
 */
int dev_record_open(uint32_t mtu, uint32_t caps, struct dev **dev);

/*
 * How dev_post answers: done at once (as shared memory), or by completion. A
 * good RDMA operation that is done at post has moved its bytes there; it is
 * recorded all the same, and delivering it moves them no second time.
 */
void dev_record_set_inline(struct dev *dev, bool done_at_post);

/* How many more posts are accepted before -EAGAIN; -1: no limit. */
void dev_record_set_room(struct dev *dev, int posts);

/* False: no local buffer can be registered, so a READ is refused: -ENOMEM. */
void dev_record_set_reads(struct dev *dev, bool can);

/* Shows every request that is accepted, of any device; NULL: to nobody. */
void dev_record_watch(void (*see)(const struct dev_record_wr *wr));

/* Oldest posted work request of qp that was not taken; NULL: none. */
struct dev_record_wr *dev_record_peek(struct dev_qp *qp);

/* Takes it off the queue: the caller's now, dev_record_free() it. */
struct dev_record_wr *dev_record_take(struct dev_qp *qp);
void dev_record_free(struct dev_record_wr *wr);

/*
 * Delivers a copy of wr to the queue pair of this process that has the
 * address wr->to and, unless it was done at post, completes it at the sender
 * with success when `complete`. wr stays the caller's. Errors: -ENOENT nobody
 * has the address, nothing happened; -EACCES the key of an RDMA operation is
 * bad, it completed with DEV_BAD_RKEY; -EAGAIN a UD receiver has posted no
 * receive, nothing happened; -EMSGSIZE that receive is too short, the packet
 * was dropped.
 */
int dev_record_deliver(const struct dev_record_wr *wr, bool complete);

/*
 * Completes wr at its sender with a status, even one that was done at post.
 * Nothing happens when its ah has been closed.
 */
void dev_record_complete(const struct dev_record_wr *wr, uint8_t status);

/* Puts raw bytes into qp as if they came from `from`; NULL: unknown. */
void dev_record_inject(struct dev_qp *qp, const struct dev_addr *from,
		       const void *data, uint32_t len);

/* Tells qp that the peer of the ah with this cookie has gone. */
void dev_record_gone(struct dev_qp *qp, uint64_t cookie);

/*
 * Takes and delivers in order on all queue pairs until nothing moves, and
 * completes what has no receiver with DEV_NO_QP (UD: success). Returns how
 * many work requests that were.
 */
int dev_record_run(void);

/* What qp was opened with. */
struct dev_qp_attr dev_record_attr(struct dev_qp *qp);

/* Pressure that the owner of qp set last. */
bool dev_record_pressure(struct dev_qp *qp);

#endif
