/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_send.c - the send path: runs of packets of one path, one ring of the
 * bell each
 *
 * Work requests are chained and posted by ibv_post_send, which every driver
 * has; the newer ibv_wr_* calls are for a few. A packet that is short enough
 * travels in its work request, any other is copied into a buffer, because its
 * bytes belong to others when this returns. Every 16th packet of a path says
 * when it has gone: those before it have, then. So does each that takes one of
 * the last buffers: packets of many paths that wait for others to follow them
 * never hold all.
 */
#include "wire/wire_ud_priv.h"

#include <errno.h>
#include <string.h>

#include "util/u_log.h"

#define REAP 16 /* completions a call */

static uint64_t wr_id_of(const struct wire_ud *w, const struct wire_ud_path *p)
{
	uint64_t path = (uint64_t)(p - w->path);

	return (uint64_t)(p->life & 0xffff) << 48 | path << 32 | p->tail;
}

static U_COLD void path_failed(struct wire_ud *w, struct wire_ud_path *p,
			       const char *why)
{
	if (!p->broken && !w->dead)
		u_info("%s: path %u of queue pair %u sends no more: %s",
		       w->info.device, (unsigned int)(p - w->path), w->wire.qpn,
		       why);
	p->broken = true;
	w->troubled = true;
}

void wire_ud_gone(struct wire_ud *w, struct wire_ud_path *p, uint32_t tail)
{
	for (; p->head != tail; p->head++) {
		uint16_t i = p->buffer[p->head % WIRE_UD_DEPTH];

		if (i != WIRE_UD_NO_BUFFER)
			w->tx.free[w->tx.nfree++] = i;
	}
}

static void reap_one(struct wire_ud *w, const struct ibv_wc *wc)
{
	uint32_t path = (uint32_t)(wc->wr_id >> 32) & 0xffff;
	uint32_t tail = (uint32_t)wc->wr_id;
	struct wire_ud_path *p = &w->path[path];

	if (path >= w->wire.paths || wc->wr_id >> 48 != (p->life & 0xffff))
		return; /* of a life before */
	if (u_unlikely(wc->status != IBV_WC_SUCCESS))
		path_failed(w, p, ibv_wc_status_str(wc->status));
	if (u_seq_before(p->head, tail) && !u_seq_before(p->tail, tail))
		wire_ud_gone(w, p, tail);
}

void wire_ud_reap(struct wire_ud *w)
{
	struct ibv_wc wc[REAP];
	int n;

	do {
		n = ibv_poll_cq(w->tx.cq, REAP, wc);
		for (int i = 0; i < n; i++)
			reap_one(w, &wc[i]);
	} while (n == REAP);
}

static uint32_t room(const struct wire_ud_path *p)
{
	return WIRE_UD_DEPTH - (p->tail - p->head);
}

/* A free one; WIRE_UD_NO_BUFFER: all are under way. */
static uint16_t buffer_take(struct wire_ud *w)
{
	struct wire_ud_tx *tx = &w->tx;

	if (u_unlikely(!tx->nfree)) {
		wire_ud_reap(w);
		if (!tx->nfree && !wire_ud_mem_more_tx(w))
			return WIRE_UD_NO_BUFFER;
	}
	return tx->free[--tx->nfree];
}

/*
 * The bytes of a packet, in the work request or in a buffer; false: there is
 * none.
 */
static bool put_bytes(struct wire_ud *w, struct wire_ud_path *p,
		      const struct wire_out *out, struct ibv_send_wr *wr,
		      struct ibv_sge *sge)
{
	uint32_t len = (uint32_t)out->hdr_len + out->data_len;
	uint16_t *i = &p->buffer[p->tail % WIRE_UD_DEPTH];
	uint8_t *at;

	wr->sg_list = sge;
	*i = WIRE_UD_NO_BUFFER;
	if (len <= w->tx.inline_max) {
		sge[0].addr = (uintptr_t)out->hdr;
		sge[0].length = out->hdr_len;
		sge[1].addr = (uintptr_t)out->data;
		sge[1].length = out->data_len;
		wr->num_sge = out->data_len ? 2 : 1;
		wr->send_flags = IBV_SEND_INLINE;
		return true;
	}
	*i = buffer_take(w);
	if (u_unlikely(*i == WIRE_UD_NO_BUFFER))
		return false;
	at = wire_ud_tx_buffer(&w->tx, *i);
	memcpy(at, out->hdr, out->hdr_len);
	if (out->data_len)
		memcpy(at + out->hdr_len, out->data, out->data_len);
	sge[0].addr = (uintptr_t)at;
	sge[0].length = len;
	sge[0].lkey = w->tx.mr[*i / WIRE_UD_CHUNK]->lkey;
	wr->num_sge = 1;
	wr->send_flags = 0;
	return true;
}

static U_COLD void refuse(struct wire_ud *w, const struct wire_out *out)
{
	w->stats.tx_failed++;
	wire_ud_note(w, WIRE_NOTE_MTU, out->gid, w->mtu_by_now);
}

/*
 * The next work request of a run. 1: filled; 0: the packet is refused, or lost
 * with its path; -EAGAIN.
 */
static int fill(struct wire_ud *w, struct wire_ud_path *p,
		const struct wire_out *out, struct ibv_send_wr *wr,
		struct ibv_sge *sge)
{
	struct wire_ud_host *host;
	int rc;

	if (u_unlikely((uint32_t)out->hdr_len + out->data_len >
		       w->mtu_by_now)) {
		refuse(w, out);
		return 0;
	}
	rc = wire_ud_host_ah(w, out->gid, out->path, &host);
	if (u_unlikely(rc)) {
		w->stats.tx_failed += rc != -EAGAIN;
		return rc == -EAGAIN ? rc : 0;
	}
	if (u_unlikely(!put_bytes(w, p, out, wr, sge)))
		return -EAGAIN;
	p->tail++;
	host->used[out->path] = p->tail;
	wr->wr_id = wr_id_of(w, p);
	if (p->tail % WIRE_UD_SIGNAL == 0 || w->tx.nfree < WIRE_UD_SIGNAL)
		wr->send_flags |= IBV_SEND_SIGNALED;
	wr->opcode = IBV_WR_SEND;
	wr->wr.ud.ah = host->ah[out->path];
	wr->wr.ud.remote_qpn = out->qpn;
	wr->wr.ud.remote_qkey = out->key;
	w->stats.tx_bytes += (uint64_t)out->hdr_len + out->data_len;
	return 1;
}

/* Posts the m requests at w->tx.wr: all are taken, by the NIC or by fate. */
static void post(struct wire_ud *w, struct wire_ud_path *p, uint32_t m)
{
	struct ibv_send_wr *bad = NULL;
	int rc;

	for (uint32_t i = 0; i + 1 < m; i++)
		w->tx.wr[i].next = &w->tx.wr[i + 1];
	w->tx.wr[m - 1].next = NULL;
	w->stats.tx_calls++;
	w->stats.tx_packets += m;
	rc = ibv_post_send(p->qp, w->tx.wr, &bad);
	if (u_unlikely(rc))
		path_failed(w, p, strerror(rc));
}

/*
 * Packets of one path; returns how many were taken. *full: there is no room
 * for the next one.
 */
static int run_send(struct wire_ud *w, const struct wire_out *out, int n,
		    bool *full)
{
	struct wire_ud_path *p = &w->path[out->path];
	uint32_t m = 0, most;
	int i, rc;

	if (u_unlikely(p->broken)) {
		w->stats.tx_failed++;
		return 1;
	}
	if (room(p) < WIRE_UD_DEPTH / 2)
		wire_ud_reap(w);
	most = room(p);
	for (i = 0; i < n && out[i].path == out->path; i++) {
		*full = m == most;
		if (*full)
			break;
		rc = fill(w, p, &out[i], &w->tx.wr[m], w->tx.sge[m]);
		*full = rc < 0;
		if (*full)
			break;
		m += (uint32_t)rc;
	}
	if (m)
		post(w, p, m);
	return i;
}

int wire_ud_send(struct wire *wire, const struct wire_out *out, int n)
{
	struct wire_ud *w = wire_ud_of(wire);
	bool full = false;
	int done = 0;

	if (u_unlikely(w->dead)) {
		w->stats.tx_failed += (uint64_t)n;
		return n;
	}
	while (done < n && !full)
		done += run_send(w, &out[done], n - done, &full);
	w->stats.tx_full += (uint64_t)(n - done);
	return done;
}
