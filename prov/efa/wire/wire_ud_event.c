/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_event.c - what the device says: ports that go and come, addresses
 * that move, a device that is no more
 *
 * Looked at when notes are asked for, which is now and then. While a port is
 * down packets are lost; whoever is above sends them again, and gives up when
 * it lasts too long.
 */
#include "wire/wire_ud_priv.h"

#include <errno.h>
#include <string.h>

#include "util/u_log.h"
#include "util/u_time.h"

#define EVENTS 64 /* that one look takes */

void wire_ud_note(struct wire_ud *w, enum wire_note_kind kind,
		  const uint8_t gid[16], uint32_t mtu)
{
	struct wire_note note = { .kind = kind, .mtu = mtu };

	if (gid)
		memcpy(note.gid, gid, sizeof(note.gid));
	w->stats.notes += wire_note_add(&w->notes, &note);
	w->troubled = true;
}

void wire_ud_die(struct wire_ud *w, const char *why)
{
	if (!w->dead)
		u_warn("%s: no endpoint on it reaches other hosts any more: %s",
		       w->info.device, why);
	w->dead = true;
	w->troubled = true;
}

/* --- a port or its addresses have changed --- */

static void mtu_changed(struct wire_ud *w, uint32_t mtu)
{
	uint32_t usable = (uint32_t)u_min(mtu, w->mtu);

	if (mtu > w->mtu && w->mtu_by_now == w->mtu)
		u_info("%s: the MTU has grown to %u bytes; endpoints keep %u",
		       w->info.device, mtu, w->mtu);
	if (usable == w->mtu_by_now)
		return;
	u_warn("%s: packets may have %u bytes from now on, not %u: the MTU of "
	       "the interface has changed",
	       w->info.device, usable, w->mtu_by_now);
	w->mtu_by_now = usable;
	for (uint32_t i = 0; i < w->hosts.n; i++)
		wire_ud_note(w, WIRE_NOTE_MTU, w->hosts.host[i].gid, usable);
}

static void port_is_down(struct wire_ud *w)
{
	if (!w->port_down)
		u_warn("%s: port %u is down: packets to other hosts wait for "
		       "it to come back",
		       w->info.device, w->info.port);
	w->port_down = true;
}

static void gid_has_gone(struct wire_ud *w)
{
	char text[WIRE_GID_TEXT];

	if (!w->no_gid)
		u_warn("%s: port %u has no longer the address %s, or its "
		       "interface is down: packets to other hosts wait for it",
		       w->info.device, w->info.port,
		       wire_gid_text(w->info.gid, text));
	w->no_gid = true;
}

static void port_is_up(struct wire_ud *w, uint32_t mtu, uint32_t index)
{
	if (w->port_down || w->no_gid)
		u_warn("%s: port %u is up again", w->info.device, w->info.port);
	w->port_down = false;
	w->no_gid = false;
	w->gid_index = index;
	wire_ud_hosts_renew(w);
	mtu_changed(w, mtu);
}

static void look_again(struct wire_ud *w)
{
	struct wire_ud_info info;
	uint32_t index;

	switch (wire_ud_port(w->ctx, w->info.port, w->info.gid, &info,
			     &index)) {
	case 0:
		port_is_up(w, info.mtu, index);
		return;
	case -ENETDOWN:
		port_is_down(w);
		return;
	case -ENODEV:
		gid_has_gone(w);
		return;
	default:
		wire_ud_die(w, "it does not answer");
	}
}

/* --- events --- */

static void qp_failed(struct wire_ud *w, const struct ibv_qp *qp)
{
	w->rx.broken |= qp == w->rx.qp;
	for (uint32_t i = 0; i < w->wire.paths; i++)
		w->path[i].broken |= qp == w->path[i].qp;
}

/* True: ports and addresses have to be looked at. */
static bool event_take(struct wire_ud *w, const struct ibv_async_event *ev)
{
	u_debug("%s: event %d", w->info.device, (int)ev->event_type);
	switch (ev->event_type) {
	case IBV_EVENT_DEVICE_FATAL:
		wire_ud_die(w, "the device has failed or was taken away");
		return false;
	case IBV_EVENT_CQ_ERR:
		wire_ud_die(w, "a completion queue has failed");
		return false;
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
		qp_failed(w, ev->element.qp);
		return false;
	case IBV_EVENT_PORT_ACTIVE:
	case IBV_EVENT_PORT_ERR:
	case IBV_EVENT_LID_CHANGE:
	case IBV_EVENT_PKEY_CHANGE:
	case IBV_EVENT_SM_CHANGE:
	case IBV_EVENT_CLIENT_REREGISTER:
	case IBV_EVENT_GID_CHANGE:
		return true;
	default:
		return false;
	}
}

static void events_read(struct wire_ud *w)
{
	struct ibv_async_event ev;
	bool changed = false;

	for (int i = 0; i < EVENTS && !ibv_get_async_event(w->ctx, &ev); i++) {
		changed |= event_take(w, &ev);
		ibv_ack_async_event(&ev);
	}
	if (changed && !w->dead)
		look_again(w);
}

static bool is_broken(const struct wire_ud *w)
{
	bool broken = w->rx.broken;

	for (uint32_t i = 0; i < w->wire.paths; i++)
		broken |= w->path[i].broken;
	return broken;
}

int wire_ud_notes(struct wire *wire, struct wire_note *note, int max)
{
	struct wire_ud *w = wire_ud_of(wire);
	int n;

	events_read(w);
	if (!w->dead) {
		wire_ud_reap(w);
		if (w->hosts.nretired)
			wire_ud_hosts_bury(w);
		if (is_broken(w))
			wire_ud_qp_revive(w, u_now());
	}
	if (w->dead)
		wire_ud_note(w, WIRE_NOTE_DEAD, NULL, 0);
	n = wire_note_take(&w->notes, note, max);
	w->troubled = w->notes.n > 0;
	return n;
}
