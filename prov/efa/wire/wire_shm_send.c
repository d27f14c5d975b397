/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_send.c - the send path: a record into the ring, last its first word
 *
 * No system call, no lock, and after the release of RECORD one load each of
 * the receiver's state and of the lane's flags, which change rarely.
 */
#include "wire/wire_shm.h"

#include "wire/wire_shm_priv.h"

#include "util/u_log.h"

#include <errno.h>
#include <string.h>

#define WORD(k) copy8(to + 8 * (k), from + 8 * (k))

static inline void copy8(char *to, const char *from)
{
	uint64_t v;

	memcpy(&v, from, 8);
	memcpy(to, &v, 8);
	/* Or the compiler joins neighbours. */
	__asm__ volatile("");
}

static inline void put_rest(char *to, const char *from, size_t n)
{
	uint32_t v4;
	uint16_t v2;

	if (n & 4) {
		memcpy(&v4, from, 4);
		memcpy(to, &v4, 4);
		to += 4;
		from += 4;
	}
	if (n & 2) {
		memcpy(&v2, from, 2);
		memcpy(to, &v2, 2);
		to += 2;
		from += 2;
	}
	if (n & 1)
		*to = *from;
}

/*
 * Up to 63 bytes, in pieces no longer than those that the caller has just
 * written: a load that spans several stores of the recent past waits for all
 * of them, and memcpy's long ones would.
 */
static inline char *put_small(char *to, const char *from, size_t n)
{
	size_t words = n & ~(size_t)7;

	switch (n / 8) {
	case 7:
		WORD(6);
		U_FALLTHROUGH;
	case 6:
		WORD(5);
		U_FALLTHROUGH;
	case 5:
		WORD(4);
		U_FALLTHROUGH;
	case 4:
		WORD(3);
		U_FALLTHROUGH;
	case 3:
		WORD(2);
		U_FALLTHROUGH;
	case 2:
		WORD(1);
		U_FALLTHROUGH;
	case 1:
		WORD(0);
		U_FALLTHROUGH;
	default:
		break;
	}
	if (n != words)
		put_rest(to + words, from + words, n - words);
	return to + n;
}

static __attribute__((noinline)) void
gather_small_many(char *to, const struct iovec *iov, int iovcnt, size_t len)
{
	size_t n;
	int i;

	for (i = 0; len && i < iovcnt; i++) {
		n = u_min(iov[i].iov_len, len);
		to = put_small(to, iov[i].iov_base, n);
		len -= n;
	}
	assert(len == 0);
}

/* The first len bytes of the vector. */
static inline void gather_small(char *to, const struct iovec *iov, int iovcnt,
				size_t len)
{
	if (u_likely(iovcnt == 1 && iov->iov_len >= len))
		put_small(to, iov->iov_base, len);
	else
		gather_small_many(to, iov, iovcnt, len);
}

/* Bytes of the vector from `skip` on. */
static void gather(char *to, const struct iovec *iov, int iovcnt, size_t skip,
		   size_t len)
{
	size_t n;
	int i;

	for (i = 0; len && i < iovcnt; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		n = u_min(iov[i].iov_len - skip, len);
		memcpy(to, (const char *)iov[i].iov_base + skip, n);
		to += n;
		len -= n;
		skip = 0;
	}
	assert(len == 0);
}

/*
 * A record of several lines, but for its control word. The receiver looks at
 * the first line all the time, so that is written last: taken back from the
 * receiver once, not once at the start and again for the control word.
 */
static void put_long(char *line, const void *hdr, size_t hdr_len,
		     const struct iovec *iov, int iovcnt, size_t len)
{
	size_t first; /* bytes of the vector in the first line */

	if (u_unlikely(hdr_len > WIRE_SHM_LINE_PAYLOAD)) {
		memcpy(line + 8, hdr, hdr_len);
		gather(line + 8 + hdr_len, iov, iovcnt, 0, len);
		return;
	}
	first = WIRE_SHM_LINE_PAYLOAD - hdr_len;
	gather(line + U_LINE, iov, iovcnt, first, len - first);
	gather_small(put_small(line + 8, hdr, hdr_len), iov, iovcnt, first);
}

/* The cached credit does not do for `need` lines: 0 it does now, or -errno. */
static U_COLD int credit(struct wire_shm_link *l, uint32_t need)
{
	uint64_t head;

	if (l->broken)
		return -EPIPE;
	/* HEAD: lines before it have been read. */
	head = atomic_load_explicit(&l->ctl->head, memory_order_acquire);
	if (l->tail - head >= l->lines) {
		u_warn("shm: queue pair %u claims to have read what was "
		       "never written",
		       l->about.id.qpn);
		return wire_shm_link_break(l);
	}
	l->limit = head + l->lines - 1;
	if (l->tail + need <= l->limit)
		return 0;
	if (atomic_load_explicit(&l->state->word, memory_order_relaxed) &
		    WIRE_SHM_CLOSED ||
	    atomic_load_explicit(&l->ctl->flags, memory_order_relaxed) &
		    WIRE_SHM_CUT)
		return wire_shm_link_break(l);
	return -EAGAIN;
}

/* Somebody has to be told of a record, or nobody will read it. */
static U_COLD int published_rare(struct wire_shm_link *l)
{
	uint32_t flags, state;

	flags = atomic_load_explicit(&l->ctl->flags, memory_order_relaxed);
	if (flags & WIRE_SHM_CUT)
		return wire_shm_link_break(l);
	if (flags & WIRE_SHM_ARMED) {
		wire_shm_link_ring(l);
		/* SLEEP, with the bell in the place of the record. */
		wire_shm_order(l->fence);
	}
	state = atomic_load_explicit(&l->state->word, memory_order_relaxed);
	if (state & WIRE_SHM_CLOSED)
		return wire_shm_link_break(l);
	if (state & WIRE_SHM_SLEEPING && state != l->woken) {
		l->woken = state;
		return 1;
	}
	return 0;
}

static inline void publish(char *line, uint32_t word, uint32_t len,
			   uint16_t lap)
{
	/* RECORD */
	atomic_store_explicit(wire_shm_word(line),
			      (uint64_t)word << 32 | len << 16 | lap,
			      memory_order_release);
}

static inline char *line_at(const struct wire_shm_link *l, uint64_t pos)
{
	return l->ring + (pos & l->mask) * U_LINE;
}

/* I1: the receiver looks at `pos` once what is before it is published. */
static inline void clean_ahead(const struct wire_shm_link *l, uint64_t pos)
{
	if (u_unlikely(pos < l->dirty))
		atomic_store_explicit(wire_shm_word(line_at(l, pos)), 0,
				      memory_order_relaxed);
}

/* After RECORD: has the receiver to be told? */
static inline int published(struct wire_shm_link *l, uint64_t tail)
{
	l->tail = tail;
	/* SLEEP, COOL */
	wire_shm_order(l->fence);
	if (u_likely(!(atomic_load_explicit(&l->state->word,
					    memory_order_relaxed) |
		       atomic_load_explicit(&l->ctl->flags,
					    memory_order_relaxed))))
		return 0;
	return published_rare(l);
}

/* Lines that a record of n takes at the tail: more when it has to skip. */
static inline uint32_t lines_taken(const struct wire_shm_link *l, uint32_t n)
{
	uint32_t room = l->lines - ((uint32_t)l->tail & l->mask);

	return n <= room ? n : room + n;
}

/* More than one line. */
static __attribute__((noinline)) int
send_long(struct wire_shm_link *l, uint32_t word, const void *hdr,
	  size_t hdr_len, const struct iovec *iov, int iovcnt, size_t len)
{
	uint32_t n = wire_shm_lines(hdr_len + len);
	uint32_t need = lines_taken(l, n);
	uint64_t at = l->tail + need - n, end = l->tail + need;
	char *line = line_at(l, at);
	int rc;

	if (u_unlikely(end > l->limit)) {
		rc = credit(l, need);
		if (rc)
			return rc;
	}
	put_long(line, hdr, hdr_len, iov, iovcnt, len);
	/* Lines from here to the end hold no control word of this lap. */
	l->dirty = end + l->lines;
	clean_ahead(l, end);
	publish(line, word, (uint32_t)(hdr_len + len),
		wire_shm_lap(at, l->shift));
	/* The receiver comes to the record by way of the skip. */
	if (u_unlikely(at != l->tail))
		publish(line_at(l, l->tail), 0, WIRE_SHM_SKIP,
			wire_shm_lap(l->tail, l->shift));
	return published(l, end);
}

int wire_shm_send(struct wire_shm_link *l, uint32_t word, int flags,
		  const void *hdr, size_t hdr_len, const struct iovec *iov,
		  int iovcnt, size_t len)
{
	uint64_t tail = l->tail;
	char *line;
	int rc;

	assert(hdr_len + len <= WIRE_SHM_MAX);
	if (u_unlikely(flags & WIRE_SHM_REQUEST &&
		       atomic_load_explicit(&l->state->pressure,
					    memory_order_relaxed)))
		return -EAGAIN;
	if (hdr_len + len > WIRE_SHM_LINE_PAYLOAD)
		return send_long(l, word, hdr, hdr_len, iov, iovcnt, len);
	if (u_unlikely(tail >= l->limit)) {
		rc = credit(l, 1);
		if (rc)
			return rc;
	}
	line = line_at(l, tail);
	gather_small(put_small(line + 8, hdr, hdr_len), iov, iovcnt, len);
	clean_ahead(l, tail + 1);
	publish(line, word, (uint32_t)(hdr_len + len),
		wire_shm_lap(tail, l->shift));
	return published(l, tail + 1);
}

bool wire_shm_can_send(struct wire_shm_link *l, size_t len)
{
	uint32_t need = lines_taken(l, wire_shm_lines(len));

	return u_likely(l->tail + need <= l->limit) ||
	       credit(l, need) != -EAGAIN;
}
