/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_host.c - address handles: how a packet gets to a host
 *
 * The NIC wants a handle for each destination and path, which wire_ud_ask.c has
 * made when the first packet goes there. What waits for it, waits a moment;
 * then packets to the host get lost until it is there, and whoever is above
 * sends them again, or gives up. The network loses questions and answers too,
 * so one without answer is put again, after a pause. What is certain to have no
 * way makes a note, and is left alone for a while.
 *
 * Handles get out of date when addresses or links change. Old ones, and those
 * of hosts that are forgotten to make room, are destroyed when the queue pair
 * has sent the packets that use them.
 */
#include "wire/wire_ud_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_bytes.h"
#include "util/u_hash.h"
#include "util/u_log.h"
#include "util/u_time.h"

#define BAD_FOR U_SEC /* what has no way */
#define PAUSE (50 * U_MSEC) /* after a question, doubled each time up to that */
#define PATIENCE (10 * U_MSEC) /* of a first packet, unless told otherwise */
#define HOP_LIMIT 64
#define FLOW_LABEL 0xfffff

int wire_ud_hosts_init(struct wire_ud *w, uint64_t patience)
{
	w->hosts.max = WIRE_UD_HOSTS;
	w->hosts.patience = patience ? patience : PATIENCE;
	w->hosts.host = calloc(w->hosts.max, sizeof(*w->hosts.host));
	return w->hosts.host ? 0 : -ENOMEM;
}

static void host_clear(struct wire_ud_host *h)
{
	for (uint32_t i = 0; i < WIRE_UD_PATHS_MAX; i++)
		if (h->ah[i])
			ibv_destroy_ah(h->ah[i]);
	memset(h->ah, 0, sizeof(h->ah));
}

/* Queue pairs are gone: nothing uses a handle. */
void wire_ud_hosts_fini(struct wire_ud *w)
{
	for (uint32_t i = 0; i < w->hosts.n; i++)
		host_clear(&w->hosts.host[i]);
	for (uint32_t i = 0; i < w->hosts.nretired; i++)
		ibv_destroy_ah(w->hosts.retired[i].ah);
	free(w->hosts.retired);
	free(w->hosts.host);
}

static uint32_t *bucket_of(struct wire_ud_hosts *hs, const uint8_t gid[16])
{
	uint64_t h = u_mix64(u_get64(gid) ^ u_mix64(u_get64(gid + 8)));

	return &hs->bucket[h % WIRE_UD_BUCKETS];
}

static struct wire_ud_host *find(struct wire_ud_hosts *hs,
				 const uint8_t gid[16])
{
	uint32_t i = *bucket_of(hs, gid);

	while (i && memcmp(hs->host[i - 1].gid, gid, 16))
		i = hs->host[i - 1].next;
	return i ? &hs->host[i - 1] : NULL;
}

/* One of the packets before `used` is: also when that was 2^31 packets ago. */
static bool is_under_way(const struct wire_ud_path *p, uint32_t used)
{
	return used - p->head - 1 < p->tail - p->head;
}

/* Everything that used handles of it has been sent, and none is on its way. */
static bool is_idle(const struct wire_ud *w, const struct wire_ud_host *h)
{
	if (h->asked)
		return false;
	for (uint32_t i = 0; i < w->wire.paths; i++)
		if (h->ah[i] && is_under_way(&w->path[i], h->used[i]))
			return false;
	return true;
}

static void unlink_host(struct wire_ud_hosts *hs, struct wire_ud_host *h)
{
	uint32_t number = (uint32_t)(h - hs->host) + 1;
	uint32_t *at = bucket_of(hs, h->gid);

	while (*at != number)
		at = &hs->host[*at - 1].next;
	*at = h->next;
}

/* The next host round the clock that is idle; NULL: all are busy. */
static U_COLD struct wire_ud_host *evict(struct wire_ud *w)
{
	struct wire_ud_hosts *hs = &w->hosts;
	struct wire_ud_host *h;

	wire_ud_reap(w);
	for (uint32_t i = 0; i < hs->n; i++) {
		h = &hs->host[hs->hand++ % hs->n];
		if (!is_idle(w, h))
			continue;
		host_clear(h);
		unlink_host(hs, h);
		return h;
	}
	return NULL;
}

static U_COLD struct wire_ud_host *add(struct wire_ud *w, const uint8_t gid[16])
{
	struct wire_ud_hosts *hs = &w->hosts;
	uint32_t *bucket = bucket_of(hs, gid);
	struct wire_ud_host *h = hs->n < hs->max ? &hs->host[hs->n++] :
						   evict(w);

	if (!h)
		return NULL;
	*h = (struct wire_ud_host){ .next = *bucket };
	memcpy(h->gid, gid, sizeof(h->gid));
	*bucket = (uint32_t)(h - hs->host) + 1;
	return h;
}

/* Another handle may be had for that of a host that is idle: its memory. */
static bool make_room(struct wire_ud *w, const struct wire_ud_host *for_whom)
{
	struct wire_ud_host *h;

	wire_ud_reap(w);
	wire_ud_hosts_bury(w);
	for (uint32_t i = 0; i < w->hosts.n; i++) {
		h = &w->hosts.host[w->hosts.hand++ % w->hosts.n];
		if (h == for_whom || !is_idle(w, h))
			continue;
		host_clear(h);
		return true;
	}
	return false;
}

static bool attr_fill(const struct wire_ud *w, const struct wire_ud_host *h,
		      uint8_t path, struct ibv_ah_attr *attr)
{
	*attr = (struct ibv_ah_attr){
		.is_global = 1,
		.port_num = w->info.port,
		.grh = { .sgid_index = (uint8_t)w->gid_index,
			 .hop_limit = HOP_LIMIT },
	};

	/* Entropy, where the NIC makes the source port of it. */
	attr->grh.flow_label =
		(uint32_t)u_mix64((uint64_t)w->wire.qpn << 8 | path) &
		FLOW_LABEL;
	return wire_ud_gid_to(&w->info, h->gid, attr);
}

/* --- answers --- */

/* Asking again would have the same answer, unless a port comes back. */
static bool is_final(const struct wire_ud *w, int error)
{
	switch (error) {
	case ENETUNREACH:
	case EAFNOSUPPORT:
	case EINVAL:
	case EACCES:
	case EPERM:
	case ENODEV:
	case EOPNOTSUPP:
		return !w->port_down && !w->no_gid;
	default:
		return false;
	}
}

static void no_answer(struct wire_ud *w, struct wire_ud_host *h, int error)
{
	uint64_t pause = PAUSE << u_min(h->failures, 5);
	char text[WIRE_GID_TEXT];

	h->no_way = is_final(w, error);
	h->starved = error == ENOMEM;
	h->bad_until = u_now() + (h->no_way ? BAD_FOR : u_min(pause, BAD_FOR));
	h->failures += !h->starved;
	u_info("%s: no way to %s%s: %s", w->info.device,
	       wire_gid_text(h->gid, text), h->no_way ? "" : " yet",
	       error ? strerror(error) : "no answer");
}

static void take_answer(struct wire_ud *w, const struct wire_ud_ask *answer)
{
	struct wire_ud_host *h = answer->host;

	if (answer->round != w->hosts.round) {
		if (answer->ah)
			ibv_destroy_ah(answer->ah);
		return;
	}
	if (!answer->ah) {
		no_answer(w, h, answer->error);
		return;
	}
	h->ah[answer->path] = answer->ah;
	h->failures = 0;
	h->bad_until = 0;
	h->no_way = h->starved = false;
}

static void take_answers(struct wire_ud *w)
{
	struct wire_ud_ask answer[WIRE_UD_ASKS];
	uint32_t n = wire_ud_ask_answers(w, answer);

	for (uint32_t i = 0; i < n; i++)
		take_answer(w, &answer[i]);
}

/* --- questions --- */

/* Asks for a handle; the first time, and with nobody before us, it is worth to
 * wait a moment for the answer. */
static void ask(struct wire_ud *w, struct wire_ud_host *h, uint8_t path)
{
	struct ibv_ah_attr attr;

	if (!attr_fill(w, h, path, &attr)) {
		no_answer(w, h, EAFNOSUPPORT);
		return;
	}
	if (!wire_ud_ask(w, h, path, &attr))
		return;
	if (w->asker.nasks == 1 && !h->failures)
		wire_ud_ask_wait(w, h, w->hosts.patience);
	take_answers(w);
}

static int no_handle(struct wire_ud *w, const struct wire_ud_host *h)
{
	if (!h->no_way)
		return -EINPROGRESS;
	wire_ud_note(w, WIRE_NOTE_NO_ROUTE, h->gid, 0);
	return -EHOSTUNREACH;
}

static U_COLD int host_make(struct wire_ud *w, struct wire_ud_host *h,
			    uint8_t path)
{
	take_answers(w);
	if (!h->ah[path] && !h->asked && u_now() >= h->bad_until)
		ask(w, h, path);
	if (!h->ah[path] && !h->asked && h->starved && make_room(w, h))
		ask(w, h, path);
	return h->ah[path] ? 0 : no_handle(w, h);
}

int wire_ud_host_ah(struct wire_ud *w, const uint8_t gid[16], uint8_t path,
		    struct wire_ud_host **out)
{
	struct wire_ud_host *h = find(&w->hosts, gid);

	assert(path < w->wire.paths);
	if (u_unlikely(!h))
		h = add(w, gid);
	if (u_unlikely(!h))
		return -EAGAIN;
	*out = h;
	return u_likely(h->ah[path] != NULL) ? 0 : host_make(w, h, path);
}

/* --- out of date --- */

/* Without memory to remember it by, it stays until the wire closes. */
static bool retire(struct wire_ud_hosts *hs, struct ibv_ah *ah, uint32_t path,
		   uint32_t used)
{
	struct wire_ud_retired *grown;

	if (hs->nretired == hs->max_retired) {
		uint32_t max = hs->max_retired ? 2 * hs->max_retired : 64;

		grown = realloc(hs->retired, max * sizeof(*grown));
		if (!grown)
			return false;
		hs->retired = grown;
		hs->max_retired = max;
	}
	hs->retired[hs->nretired++] = (struct wire_ud_retired){
		.ah = ah,
		.path = path,
		.used = used,
	};
	return true;
}

void wire_ud_hosts_renew(struct wire_ud *w)
{
	struct wire_ud_host *h;

	w->hosts.round++;
	for (uint32_t i = 0; i < w->hosts.n; i++) {
		h = &w->hosts.host[i];
		h->bad_until = 0;
		h->failures = 0;
		for (uint32_t k = 0; k < w->wire.paths; k++)
			if (h->ah[k] &&
			    retire(&w->hosts, h->ah[k], k, h->used[k]))
				h->ah[k] = NULL;
	}
}

void wire_ud_hosts_bury(struct wire_ud *w)
{
	struct wire_ud_hosts *hs = &w->hosts;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < hs->nretired; i++) {
		struct wire_ud_retired *r = &hs->retired[i];

		if (is_under_way(&w->path[r->path], r->used))
			hs->retired[kept++] = *r;
		else
			ibv_destroy_ah(r->ah);
	}
	hs->nretired = kept;
}
