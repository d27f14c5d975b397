/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_udp_send.c - the send path: runs of packets to one socket, one call each
 *
 * Packets leave in order, so a run ends where the path changes. In a run,
 * neighbours to one place with one length are one message, which the kernel
 * (or the NIC) cuts again: GSO. Whoever is above does well to keep packets of
 * one path and one peer together.
 *
 * A call that fails may have met what an earlier packet left behind, so a
 * failure is a packet's own only when it fails again with the error queue
 * empty.
 */
#include "wire/wire_udp_priv.h"

#include "util/u_log.h"

#include <errno.h>
#include <string.h>

/* Errors of earlier packets may keep coming while we try. */
#define TRIES 3

void wire_udp_tx_init(struct wire_udp *w)
{
	struct wire_udp_tx *tx = &w->tx;

	for (int i = 0; i < WIRE_UDP_TX_MSGS; i++) {
		struct msghdr *h = &tx->msg[i].msg_hdr;
		struct cmsghdr *c = &tx->ctl[i].hdr;

		wire_udp_addr_init(w, &tx->to[i]);
		h->msg_name = &tx->to[i];
		h->msg_namelen = wire_udp_addr_len(w);
		c->cmsg_level = SOL_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
	}
}

static uint32_t out_len(const struct wire_out *out)
{
	return (uint32_t)out->hdr_len + out->data_len;
}

static int put_iov(struct iovec *iov, const struct wire_out *out)
{
	int n = 0;

	if (out->hdr_len)
		iov[n++] = (struct iovec){ (void *)out->hdr, out->hdr_len };
	if (out->data_len)
		iov[n++] = (struct iovec){ (void *)out->data, out->data_len };
	return n;
}

static bool same_socket(const struct wire_out *a, const struct wire_out *b)
{
	return a->fragment == b->fragment && a->path == b->path;
}

static bool same_place(const struct wire_out *a, const struct wire_out *b)
{
	return a->qpn == b->qpn &&
	       (a->gid == b->gid || !memcmp(a->gid, b->gid, 16));
}

/* Packets after the first that go along in its message. */
static int gso_count(const struct wire_udp *w, const struct wire_out *out,
		     int n)
{
	uint32_t seg = out_len(out), total = seg, len;
	int i;

	if (!w->gso || out->fragment || !seg)
		return 0;
	n = (int)u_min((size_t)n, WIRE_UDP_GSO_PACKETS);
	for (i = 1; i < n; i++) {
		len = out_len(&out[i]);
		if (!len || len > seg || total + len > WIRE_UDP_GSO_BYTES ||
		    !same_socket(out, &out[i]) || !same_place(out, &out[i]))
			break;
		total += len;
		if (len < seg) {
			i++;
			break;
		}
	}
	return i - 1;
}

/* The next message, of up to n packets; returns their number. */
static int message_fill(struct wire_udp *w, const struct wire_out *out, int n)
{
	struct wire_udp_tx *tx = &w->tx;
	int i, m = tx->nmsg++, first = tx->niov, more = gso_count(w, out, n);
	struct msghdr *h = &tx->msg[m].msg_hdr;
	uint16_t seg = (uint16_t)out_len(out);

	wire_udp_addr_set(w, &tx->to[m], out->gid, (uint16_t)out->qpn);
	h->msg_iov = &tx->iov[first];
	tx->bytes[m] = 0;
	for (i = 0; i <= more; i++) {
		tx->niov += put_iov(&tx->iov[tx->niov], &out[i]);
		tx->bytes[m] += out_len(&out[i]);
	}
	h->msg_iovlen = (size_t)(tx->niov - first);
	h->msg_control = more ? &tx->ctl[m] : NULL;
	h->msg_controllen = more ? sizeof(tx->ctl[m]) : 0;
	if (more)
		memcpy(CMSG_DATA(&tx->ctl[m].hdr), &seg, sizeof(seg));
	tx->pkts[m] = (uint16_t)(1 + more);
	return 1 + more;
}

static bool has_address(const struct wire_udp *w, const struct wire_out *out)
{
	return wire_gid_is_v4(out->gid) == w->v4;
}

/* Leading packets that share a socket, as far as there is room for them. */
static void run_fill(struct wire_udp *w, const struct wire_out *out, int n)
{
	struct wire_udp_tx *tx = &w->tx;
	int at = 0;

	tx->nmsg = 0;
	tx->niov = 0;
	do {
		at += message_fill(w, &out[at], n - at);
	} while (at < n && same_socket(out, &out[at]) &&
		 has_address(w, &out[at]) && tx->nmsg < WIRE_UDP_TX_MSGS &&
		 tx->niov + 2 * WIRE_UDP_GSO_PACKETS <= WIRE_UDP_TX_IOVS);
}

#define FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)

/* Messages that the kernel took, or -errno. */
static int kernel_take(struct wire_udp *w, int fd, struct mmsghdr *msg, int n)
{
	int rc;

	w->stats.tx_calls++;
	if (n == 1)
		rc = sendmsg(fd, &msg->msg_hdr, FLAGS) < 0 ? -1 : 1;
	else
		rc = sendmmsg(fd, msg, (unsigned int)n, FLAGS);
	return rc < 0 ? -errno : rc;
}

/*
 * A small packet by itself, the call that latency is made of: sendto takes
 * 0.06 us less than sendmsg. False: not taken, for whatever reason.
 */
static bool small_send(struct wire_udp *w, int fd, const struct wire_out *out)
{
	struct wire_udp_tx *tx = &w->tx;
	union wire_udp_addr *to = &tx->to[0];
	size_t len = out_len(out);

	wire_udp_addr_set(w, to, out->gid, (uint16_t)out->qpn);
	if (out->hdr_len)
		memcpy(tx->small, out->hdr, out->hdr_len);
	if (out->data_len)
		memcpy(tx->small + out->hdr_len, out->data, out->data_len);
	w->stats.tx_calls++;
	if (u_unlikely(sendto(fd, tx->small, len, FLAGS, &to->sa,
			      wire_udp_addr_len(w)) < 0))
		return false;
	w->stats.tx_packets++;
	w->stats.tx_bytes += len;
	return true;
}

static bool is_full(int rc)
{
	return rc == -EAGAIN || rc == -EWOULDBLOCK || rc == -ENOBUFS ||
	       rc == -ENOMEM;
}

static void refuse(struct wire_udp *w, const struct wire_out *out, int error)
{
	w->stats.tx_failed++;
	wire_udp_note_refused(w, out->gid, (uint16_t)out->qpn, error);
}

/* A packet by itself. 0: taken, maybe refused; -EAGAIN. */
static U_COLD int single_send(struct wire_udp *w, int fd,
			      const struct wire_out *out)
{
	union wire_udp_addr to;
	struct iovec iov[2];
	struct mmsghdr msg = { .msg_hdr = {
				       .msg_name = &to,
				       .msg_namelen = wire_udp_addr_len(w),
				       .msg_iov = iov,
			       } };
	int i, rc = -EINTR;

	wire_udp_addr_init(w, &to);
	wire_udp_addr_set(w, &to, out->gid, (uint16_t)out->qpn);
	msg.msg_hdr.msg_iovlen = (size_t)put_iov(iov, out);
	for (i = 0; i < TRIES && rc < 0; i++) {
		rc = kernel_take(w, fd, &msg, 1);
		if (is_full(rc))
			return -EAGAIN;
		if (rc < 0)
			wire_udp_note_drain(w, fd);
	}
	/* Only an earlier packet can have been answered with that. */
	if (rc == -ECONNREFUSED)
		return -EAGAIN;
	if (rc < 0) {
		refuse(w, out, -rc);
		return 0;
	}
	w->stats.tx_packets++;
	w->stats.tx_bytes += out_len(out);
	return 0;
}

static U_COLD void gso_end(struct wire_udp *w, int error)
{
	w->gso = false;
	u_info("udp: the kernel does no GSO here (%s): packets leave singly",
	       strerror(error));
}

/*
 * A message of n packets was refused with `error`, maybe for what happened
 * before. Returns the packets taken: fewer than n when the socket is full.
 */
static U_COLD int message_resend(struct wire_udp *w, int fd,
				 const struct wire_out *out, int n, int error)
{
	uint64_t failed = w->stats.tx_failed;
	int i;

	w->troubled = true;
	wire_udp_note_drain(w, fd);
	for (i = 0; i < n; i++)
		if (single_send(w, fd, &out[i]))
			return i;
	/* No fault of the packets; what ICMP brings has other numbers. */
	if (n > 1 && failed == w->stats.tx_failed &&
	    (error == EINVAL || error == EIO || error == EOPNOTSUPP))
		gso_end(w, error);
	return n;
}

/* Packets of the filled run that were taken; *full: no room for more. */
static int run_send(struct wire_udp *w, int fd, const struct wire_out *out,
		    bool *full)
{
	struct wire_udp_tx *tx = &w->tx;
	int rc, m = 0, taken = 0;

	while (m < tx->nmsg && !*full) {
		rc = kernel_take(w, fd, &tx->msg[m], tx->nmsg - m);
		for (; rc > 0; rc--, m++) {
			taken += tx->pkts[m];
			w->stats.tx_packets += tx->pkts[m];
			w->stats.tx_bytes += tx->bytes[m];
		}
		if (u_likely(rc == 0))
			continue;
		if (is_full(rc)) {
			*full = true;
		} else if (rc != -EINTR) {
			int n = message_resend(w, fd, &out[taken], tx->pkts[m],
					       -rc);

			*full = n < tx->pkts[m++];
			taken += n;
		}
	}
	return taken;
}

static inline int socket_of(struct wire_udp *w, const struct wire_out *out)
{
	int fd;

	assert(out->path < w->wire.paths);
	fd = out->fragment ? w->cutter : w->path[out->path];
	if (u_likely(fd >= 0))
		return fd;
	return out->fragment ? wire_udp_sock_cutter(w) :
			       wire_udp_sock_path(w, out->path);
}

int wire_udp_send(struct wire *wire, const struct wire_out *out, int n)
{
	struct wire_udp *w = wire_udp_of(wire);
	bool full = false;
	int done = 0;

	if (n == 1 && out_len(out) <= WIRE_UDP_TX_SMALL &&
	    has_address(w, out) && small_send(w, socket_of(w, out), out))
		return 1;

	while (done < n && !full) {
		if (u_unlikely(!has_address(w, &out[done]))) {
			refuse(w, &out[done++], EAFNOSUPPORT);
			continue;
		}
		run_fill(w, &out[done], n - done);
		done += run_send(w, socket_of(w, &out[done]), &out[done],
				 &full);
	}
	w->stats.tx_full += (uint64_t)(n - done);
	return done;
}
