/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_poll.c - the receive path: completions in bursts, packets lent where
 * the NIC has put them, buffers posted again in chains
 */
#include "wire/wire_ud_priv.h"

#include <errno.h>
#include <string.h>

#include "util/u_log.h"

/* Posts all that are idle, with one ring of the bell. */
static int post_idle(struct wire_ud *w)
{
	struct wire_ud_rx *rx = &w->rx;
	struct ibv_recv_wr *bad = NULL;
	uint32_t i;
	int rc;

	if (!rx->nidle)
		return 0;
	for (i = 0; i + 1 < rx->nidle; i++)
		rx->wr[rx->idle[i]].next = &rx->wr[rx->idle[i + 1]];
	rx->wr[rx->idle[i]].next = NULL;
	rc = ibv_post_recv(rx->qp, &rx->wr[rx->idle[0]], &bad);
	rx->nidle = 0;
	if (u_likely(!rc))
		return 0;
	rx->broken = true;
	w->troubled = true;
	return -rc;
}

static bool is_lent(const struct wire_ud_rx *rx, uint32_t i)
{
	for (uint32_t k = 0; k < rx->nlent; k++)
		if (rx->lent[k] == i)
			return true;
	return false;
}

int wire_ud_rx_post_all(struct wire_ud *w)
{
	struct wire_ud_rx *rx = &w->rx;

	rx->nidle = 0;
	for (uint32_t i = 0; i < rx->n; i++)
		if (!is_lent(rx, i))
			rx->idle[rx->nidle++] = (uint16_t)i;
	return post_idle(w);
}

/* More came in a row than half of the buffers take. */
static U_COLD void grow(struct wire_ud *w)
{
	struct wire_ud_rx *rx = &w->rx;
	uint32_t i = rx->n;

	rx->run = 0;
	if (rx->broken || !wire_ud_mem_more_rx(w))
		return;
	for (; i < rx->n; i++)
		rx->idle[rx->nidle++] = (uint16_t)i;
	post_idle(w);
}

static U_COLD void receive_failed(struct wire_ud *w, const struct ibv_wc *wc)
{
	w->stats.rx_bad++;
	if (!w->rx.broken && !w->dead)
		u_info("%s: queue pair %u receives no more: %s", w->info.device,
		       w->wire.qpn, ibv_wc_status_str(wc->status));
	w->rx.broken = true;
	w->troubled = true;
}

/* False: there is nothing to lend, the buffer is idle. */
static inline bool take(struct wire_ud *w, const struct ibv_wc *wc,
			struct wire_in *in)
{
	struct wire_ud_rx *rx = &w->rx;
	uint32_t i = (uint32_t)wc->wr_id;
	const uint8_t *bytes = wire_ud_rx_buffer(rx, i);

	if (u_unlikely(wc->status != IBV_WC_SUCCESS)) {
		receive_failed(w, wc);
		return false;
	}
	if (u_unlikely(wc->byte_len <= WIRE_UD_GRH ||
		       wc->byte_len > rx->stride ||
		       !wire_ud_gid_from(&w->info, bytes, wc,
					 rx->gid[rx->nlent]))) {
		w->stats.rx_bad++;
		return false;
	}
	*in = (struct wire_in){
		.data = bytes + WIRE_UD_GRH,
		.len = wc->byte_len - WIRE_UD_GRH,
		.gid = rx->gid[rx->nlent],
	};
	return true;
}

/* Completions into rx->wc: those that arm has found first. */
static int fetch(struct wire_ud *w, int max)
{
	struct wire_ud_rx *rx = &w->rx;
	int n = rx->nstash;

	if (u_likely(!n))
		return ibv_poll_cq(rx->cq, max, rx->wc);
	n = n < max ? n : max;
	memcpy(rx->wc, rx->stash, (size_t)n * sizeof(rx->wc[0]));
	rx->nstash -= n;
	memmove(rx->stash, rx->stash + n,
		(size_t)rx->nstash * sizeof(rx->stash[0]));
	return n;
}

int wire_ud_poll(struct wire *wire, struct wire_in *in, int max)
{
	struct wire_ud *w = wire_ud_of(wire);
	struct wire_ud_rx *rx = &w->rx;
	int n, k = 0;

	assert(max > 0 && max <= WIRE_BURST && !rx->nlent);
	if (u_unlikely(w->dead))
		return 0;
	n = fetch(w, max);
	if (u_likely(n == 0)) {
		rx->run = 0;
		return 0;
	}
	if (u_unlikely(n < 0)) {
		wire_ud_die(w, "its completions cannot be read");
		return 0;
	}
	w->stats.rx_calls++;
	for (int i = 0; i < n; i++) {
		uint16_t number = (uint16_t)rx->wc[i].wr_id;

		if (u_unlikely(!take(w, &rx->wc[i], &in[k]))) {
			rx->idle[rx->nidle++] = number;
			continue;
		}
		rx->lent[rx->nlent++] = number;
		w->stats.rx_bytes += in[k++].len;
	}
	w->stats.rx_packets += (uint64_t)k;
	rx->run = n < max ? 0 : rx->run + (uint32_t)n;
	if (u_unlikely(rx->run > rx->n / 2 && rx->n < rx->max))
		grow(w);
	if (u_unlikely(!k))
		wire_ud_give_back(wire);
	return k;
}

void wire_ud_give_back(struct wire *wire)
{
	struct wire_ud *w = wire_ud_of(wire);
	struct wire_ud_rx *rx = &w->rx;

	memcpy(rx->idle + rx->nidle, rx->lent, rx->nlent * sizeof(rx->idle[0]));
	rx->nidle += rx->nlent;
	rx->nlent = 0;
	/* A broken queue pair gets them when it is set up again. */
	if (rx->nidle >= WIRE_UD_REPOST && !rx->broken && !w->dead)
		post_idle(w);
}

/* Events without number: each arm may leave one behind. */
static void channel_drain(struct wire_ud *w)
{
	struct ibv_cq *cq;
	void *context;

	while (!ibv_get_cq_event(w->rx.channel, &cq, &context))
		w->rx.unacked++;
	if (w->rx.unacked > 1000) {
		ibv_ack_cq_events(w->rx.cq, w->rx.unacked);
		w->rx.unacked = 0;
	}
}

int wire_ud_arm(struct wire *wire)
{
	struct wire_ud *w = wire_ud_of(wire);
	struct wire_ud_rx *rx = &w->rx;
	int n;

	if (w->dead)
		return 0;
	if (rx->nstash)
		return 1;
	channel_drain(w);
	if (ibv_req_notify_cq(rx->cq, 0))
		return 0;
	/* What came before the request makes no event. */
	n = ibv_poll_cq(rx->cq, (int)u_array_size(rx->stash), rx->stash);
	rx->nstash = n > 0 ? n : 0;
	return rx->nstash > 0;
}
