/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_poll.c - the receive path: one call into several buffers, packets
 * lent out of them
 *
 * A poll makes a call only when all that the last one brought has been lent.
 * It offers as many buffers as it has reason to: one while packets come one
 * at a time, for a call that finds nothing to fill its second buffer has
 * looked in vain; twice as many each time when all were filled, until a call
 * brings so much that its first bytes leave the cache before they are read.
 *
 * GRO is switched on when packets first come in bursts, and stays on: with it
 * each receive costs 0.14 us more (of 2.3 us one-way; the kernel looks at a
 * cache line that the sender wrote), and segment sizes come as control data,
 * for which recvfrom has no room. It cannot be switched off while packets may
 * arrive: one that the kernel has put together would come without its segment
 * size.
 */
#include "wire/wire_udp_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Packets in one call that make it a burst. */
#define GRO_WORTH 4

/* Bytes that are enough for one call. */
#define GOOD (64u << 10)

#define RX_MEM ((size_t)WIRE_UDP_RX_BUFS * WIRE_UDP_RX_BYTES)

int wire_udp_rx_init(struct wire_udp *w, bool gro)
{
	struct wire_udp_rx *rx = &w->rx;

	/* Mapped and not allocated: pages that are never written cost nothing,
	 * whatever the heap has held there before. */
	rx->mem = mmap(NULL, RX_MEM, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (rx->mem == MAP_FAILED)
		return -ENOMEM;
	/* A huge page would be all of it at the first packet. */
	madvise(rx->mem, RX_MEM, MADV_NOHUGEPAGE);
	rx->ask = 1;
	rx->gro_wanted = gro;
	for (uint32_t i = 0; i < WIRE_UDP_RX_BUFS; i++) {
		struct msghdr *h = &rx->msg[i].msg_hdr;

		rx->iov[i].iov_base = rx->mem + (size_t)i * WIRE_UDP_RX_BYTES;
		rx->iov[i].iov_len = WIRE_UDP_RX_BYTES;
		h->msg_name = &rx->from[i];
		h->msg_namelen = sizeof(rx->from[i]);
		h->msg_iov = &rx->iov[i];
		h->msg_iovlen = 1;
		h->msg_control = &rx->ctl[i];
		h->msg_controllen = sizeof(rx->ctl[i]);
	}
	return 0;
}

void wire_udp_rx_fini(struct wire_udp *w)
{
	munmap(w->rx.mem, RX_MEM);
}

/* The segment size of GRO, or 0; keeps the count of drops. */
static uint32_t control_read(struct wire_udp *w, struct msghdr *h)
{
	struct cmsghdr *c;
	uint32_t v, seg = 0;

	for (c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		memcpy(&v, CMSG_DATA(c), sizeof(v));
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			seg = v;
		} else if (c->cmsg_level == SOL_SOCKET &&
			   c->cmsg_type == SO_RXQ_OVFL) {
			w->stats.rx_dropped += v - w->rx.overflow;
			w->rx.overflow = v;
		}
	}
	return seg;
}

/* Judges what came into buffer i; what is not to be lent gets length 0. */
static void buffer_take(struct wire_udp *w, uint32_t i)
{
	struct wire_udp_rx *rx = &w->rx;
	struct wire_udp_rx_buf *buf = &rx->buf[i];
	struct msghdr *h = &rx->msg[i].msg_hdr;
	uint32_t seg = 0;

	buf->len = rx->msg[i].msg_len;
	if (h->msg_controllen > 0)
		seg = control_read(w, h);
	buf->seg = seg ? seg : WIRE_UDP_RX_BYTES;
	if (u_unlikely(!buf->len))
		rx->wakes++;
	if (u_unlikely(h->msg_flags & MSG_TRUNC)) {
		w->stats.rx_bad++;
		buf->len = 0;
	}
	if (u_unlikely(!wire_udp_addr_gid(&rx->from[i], buf->gid, NULL)))
		buf->len = 0;
	h->msg_namelen = sizeof(rx->from[i]);
	h->msg_controllen = sizeof(rx->ctl[i]);
}

/* Into the first buffer, as recvmsg would without control data. */
static ssize_t receive_plain(struct wire_udp *w)
{
	struct msghdr *h = &w->rx.msg[0].msg_hdr;

	h->msg_controllen = 0;
	h->msg_flags = 0;
	return recvfrom(w->wire.fd, h->msg_iov->iov_base, h->msg_iov->iov_len,
			MSG_DONTWAIT, h->msg_name, &h->msg_namelen);
}

/* Buffers filled, 0 for none. */
static int kernel_give(struct wire_udp *w, uint32_t ask)
{
	struct mmsghdr *msg = w->rx.msg;
	ssize_t len;
	int n;

	w->stats.rx_calls++;
	if (ask > 1) {
		n = recvmmsg(w->wire.fd, msg, ask, MSG_DONTWAIT, NULL);
		return n < 0 ? 0 : n;
	}
	if (w->rx.gro)
		len = recvmsg(w->wire.fd, &msg->msg_hdr, MSG_DONTWAIT);
	else
		len = receive_plain(w);
	if (len < 0)
		return 0;
	msg->msg_len = (unsigned int)len;
	return 1;
}

static U_COLD void gro_start(struct wire_udp *w)
{
	int on = 1;

	w->rx.gro = !setsockopt(w->wire.fd, SOL_UDP, UDP_GRO, &on, sizeof(on));
	/* Old kernels know no GRO; they hand up packets one by one. */
	w->rx.gro_wanted = false;
}

static void fetch(struct wire_udp *w)
{
	struct wire_udp_rx *rx = &w->rx;
	uint32_t i, got = (uint32_t)kernel_give(w, rx->ask);
	size_t bytes = 0;

	rx->at = 0;
	rx->off = 0;
	rx->got = got;
	for (i = 0; i < got; i++) {
		buffer_take(w, i);
		bytes += rx->buf[i].len;
	}
	if (u_unlikely(rx->gro_wanted && got >= GRO_WORTH))
		gro_start(w);
	if (got < rx->ask)
		rx->ask = got ? got : 1;
	else if (bytes < GOOD)
		rx->ask = (uint32_t)u_min(2 * rx->ask, WIRE_UDP_RX_BUFS);
}

/* Lends up to max packets of the current buffer. */
static int buffer_lend(struct wire_udp *w, struct wire_in *in, int max)
{
	struct wire_udp_rx *rx = &w->rx;
	const struct wire_udp_rx_buf *buf = &rx->buf[rx->at];
	const uint8_t *base = rx->iov[rx->at].iov_base;
	int n = 0;

	while (n < max && rx->off < buf->len) {
		uint32_t len = (uint32_t)u_min(buf->seg, buf->len - rx->off);

		in[n++] = (struct wire_in){
			.data = base + rx->off,
			.len = len,
			.gid = buf->gid,
		};
		rx->off += len;
		w->stats.rx_bytes += len;
	}
	if (rx->off >= buf->len) {
		rx->at++;
		rx->off = 0;
	}
	return n;
}

int wire_udp_poll(struct wire *wire, struct wire_in *in, int max)
{
	struct wire_udp *w = wire_udp_of(wire);
	struct wire_udp_rx *rx = &w->rx;
	int n = 0;

	assert(!rx->lent);
	assert(max > 0 && max <= WIRE_BURST);
	if (rx->at == rx->got)
		fetch(w);
	while (n < max && rx->at < rx->got)
		n += buffer_lend(w, in + n, max - n);
	rx->lent = n > 0;
	w->stats.rx_packets += (uint64_t)n;
	return n;
}

void wire_udp_give_back(struct wire *wire)
{
	wire_udp_of(wire)->rx.lent = false;
}

uint64_t wire_udp_wakes(const struct wire *wire)
{
	return wire_udp_of(wire)->rx.wakes;
}
