/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_far_pump.c - packets from the wire into the engine and out again
 *
 * While the engine handles packets, keys cannot be taken back: it copies to
 * and from registered memory, and lends it to the wire.
 */
#include "nic_far.h"

#include <string.h>
#include <sys/epoll.h>

#include "nic_priv.h"
#include "util/u_log.h"

/* Turns of srd_tx in one flush; more wait for the next. */
#define TURNS 16
/* Bursts of received packets in one turn of the thread. */
#define BURSTS 8
/* Between looks at the error queues. */
#define NOTES_EVERY (2 * U_MSEC)
#define NOTES_MAX 16

/* --- out --- */

void nic_far_outs(const struct srd_out *so, int n, struct wire_out *wo)
{
	for (int i = 0; i < n; i++)
		wo[i] = (struct wire_out){
			.gid = so[i].to->gid,
			.qpn = so[i].to->qpn,
			.key = so[i].to->connid,
			.hdr_len = so[i].hdr_len,
			.data_len = so[i].data_len,
			.path = so[i].path,
			.fragment = so[i].fragment,
			.hdr = so[i].hdr,
			.data = so[i].data,
		};
}

/* Through the injector: what the wire has no room for is lost, as it may be. */
static void put_faulty(struct nic_far *far, const struct wire_out *wo, int n,
		       uint64_t now)
{
	struct wire_out out[2 * NIC_FAR_BURST];
	int max = (int)u_array_size(out);
	int m;

	do {
		m = wire_fault_filter(far->fault, wo, n, out, max, now);
		wire_send(far->wire, out, m);
		n = 0;
	} while (m == max);
}

int nic_far_put(struct nic_far *far, const struct wire_out *wo, int n,
		uint64_t now)
{
	if (u_likely(!far->fault))
		return wire_send(far->wire, wo, n);
	put_faulty(far, wo, n, now);
	return n;
}

/* False: the wire is full. */
static bool flush_burst(struct nic_far *far, const struct srd_out *so, int n,
			uint64_t now)
{
	struct wire_out wo[NIC_FAR_BURST];
	int sent;

	nic_far_outs(so, n, wo);
	sent = nic_far_put(far, wo, n, now);
	if (u_likely(sent == n))
		return true;
	srd_unsent(far->srd, so + sent, n - sent, now);
	return false;
}

void nic_far_flush(struct nic_far *far, uint64_t now)
{
	struct nic_keys *keys = &far->qp->nic->keys;
	struct srd_out so[NIC_FAR_BURST];
	bool room = true;
	int n = NIC_FAR_BURST;

	nic_keys_enter(keys);
	for (int i = 0; i < TURNS && room && n == NIC_FAR_BURST; i++) {
		n = srd_tx(far->srd, now, so, NIC_FAR_BURST);
		if (n)
			room = flush_burst(far, so, n, now);
		if (n && far->notes_due == UINT64_MAX)
			far->notes_due = now + NOTES_EVERY;
	}
	nic_keys_leave(keys);
	if (u_unlikely(far->fault != NULL) && wire_fault_due(far->fault) <= now)
		put_faulty(far, NULL, 0, now);
}

uint64_t nic_far_deadline(const struct nic_far *far)
{
	uint64_t due = far->fault ? wire_fault_due(far->fault) : UINT64_MAX;

	return u_min(u_min(srd_deadline(far->srd), due), far->notes_due);
}

/* Descriptors of a device that has gone are ready for ever. */
static U_COLD void far_unplug(struct nic_far *far)
{
	if (far->unplugged)
		return;
	far->unplugged = true;
	nic_watch_unplug(far->qp->nic->watch, far);
	if (far->qp->wait != far->fd)
		epoll_ctl(far->qp->wait, EPOLL_CTL_DEL, far->fd, NULL);
}

/* Packets of further peers are dropped. */
static U_COLD void far_tell_full(struct nic_far *far)
{
	far->full = true;
	u_warn("queue pair %u of %s has known %u peers on other hosts and can "
	       "know no more: open another endpoint",
	       far->qp->self.qpn, far->qp->nic->info.name, NIC_FAR_PEERS);
}

void nic_far_notes(struct nic_far *far, uint64_t now)
{
	struct wire_note note[NOTES_MAX];
	int n;

	if (now < far->notes_due && now - far->notes_at < NOTES_EVERY &&
	    !wire_troubled(far->wire))
		return;
	far->notes_at = now;
	if (srd_stats(far->srd)->peers == NIC_FAR_PEERS && !far->full)
		far_tell_full(far);
	if (now >= far->notes_due)
		far->notes_due = UINT64_MAX;
	n = wire_notes(far->wire, note, NOTES_MAX);
	for (int i = 0; i < n; i++) {
		switch (note[i].kind) {
		case WIRE_NOTE_REFUSED:
			srd_refused(far->srd, note[i].gid, note[i].qpn, now);
			break;
		case WIRE_NOTE_NO_ROUTE:
			srd_no_route(far->srd, note[i].gid, now);
			break;
		case WIRE_NOTE_MTU:
			srd_set_mtu(far->srd, note[i].gid, note[i].mtu, now);
			break;
		case WIRE_NOTE_DEAD:
			far_unplug(far);
			srd_unplugged(far->srd, now);
			break;
		}
	}
}

/* --- in, for a user who is not there --- */

static void far_keep(struct nic_far *far, const struct srd_event *event)
{
	struct nic_far_kept *kept = &far->kept[far->kept_tail % NIC_FAR_KEPT];

	if (event->len > NIC_MTU && event->data) {
		far->qp->stats.bad_packets++;
	} else {
		assert(nic_far_nkept(far) < NIC_FAR_KEPT);
		kept->event = *event;
		kept->event.data = NULL;
		if (event->data) {
			memcpy(kept->buf, event->data, event->len);
			kept->event.data = kept->buf;
		}
		far->kept_tail++;
	}
	srd_release(far->srd, event);
}

void nic_far_set_ready(struct nic_far *far)
{
	struct nic_qp *qp = far->qp;
	uint32_t places = NIC_FAR_CROWDED;

	if (qp->type == NIC_QP_SRD) {
		places = (uint32_t)u_min(
			places, atomic_load_explicit(&qp->posted,
						     memory_order_relaxed));
		srd_set_room(far->srd,
			     atomic_load_explicit(&qp->longest,
						  memory_order_relaxed));
	}
	srd_set_ready(far->srd, nic_far_nkept(far) < places);
}

void nic_far_feed(struct nic_far *far, const void *packet, size_t len,
		  const uint8_t gid[16], uint64_t now)
{
	struct nic_keys *keys = &far->qp->nic->keys;
	struct srd_event event;
	int n;

	if (nic_far_nkept(far) == NIC_FAR_KEPT)
		return;
	nic_far_set_ready(far);
	nic_keys_enter(keys);
	n = srd_rx(far->srd, packet, len, gid, now, &event);
	nic_keys_leave(keys);
	if (n)
		far_keep(far, &event);
}

/* Kept events fill places that the loans of the last poll may still be in. */
static bool far_has_places(const struct nic_far *far)
{
	return nic_far_nkept(far) + far->kept_lent <=
	       NIC_FAR_KEPT - NIC_FAR_BURST;
}

void nic_far_receive(struct nic_far *far, uint64_t now)
{
	struct wire_in in[NIC_FAR_BURST];
	int m = NIC_FAR_BURST;

	for (int i = 0; i < BURSTS && m && far_has_places(far); i++) {
		m = wire_poll(far->wire, in, NIC_FAR_BURST);
		for (int k = 0; k < m; k++)
			nic_far_feed(far, in[k].data, in[k].len, in[k].gid,
				     now);
		wire_give_back(far->wire);
		if (m)
			far->active_at = now;
	}
}
