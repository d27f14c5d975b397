/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_peer.c - the conversations: who is known, and who has an active block
 *
 * Conversations are never forgotten; what they need while packets are open or
 * missing is a block that moves to where it is needed. One that is idle stays
 * with its peer until another wants it, the one that has been idle longest
 * first.
 */
#include "srd/srd.h"

#include <errno.h>
#include <string.h>

#include "srd/srd_priv.h"
#include "util/u_bytes.h"
#include "util/u_hash.h"

static uint32_t hash_of(const struct srd *s, const uint8_t gid[16],
			uint32_t qpn, uint32_t connid)
{
	uint64_t who = (uint64_t)connid << 24 | qpn;
	uint64_t where = u_get64(gid) ^ u_mix64(u_get64(gid + 8));

	return (uint32_t)u_mix64(who ^ where ^ s->cfg.seed) & s->hash_mask;
}

static bool same_host(const struct srd_peer *p, const uint8_t gid[16])
{
	return memcmp(p->addr.gid, gid, 16) == 0;
}

struct srd_peer *srd_peer_find(const struct srd *s, const uint8_t gid[16],
			       uint32_t qpn, uint32_t connid)
{
	uint32_t at = hash_of(s, gid, qpn, connid);
	struct srd_peer *p;

	/* Half of the places are empty: this ends. */
	for (; s->hash[at]; at = (at + 1) & s->hash_mask) {
		p = &s->peer[s->hash[at] - 1];
		if (p->addr.connid == connid && p->addr.qpn == qpn &&
		    same_host(p, gid))
			return p;
	}
	return NULL;
}

/* What is known of the MTU to a host, or of our own. */
static uint32_t mtu_of(const struct srd *s, const uint8_t gid[16])
{
	if (s->odd_mtu)
		for (uint32_t i = 0; i < s->npeers; i++)
			if (same_host(&s->peer[i], gid))
				return s->peer[i].mtu;
	return s->cfg.mtu - s->high_len;
}

static U_COLD struct srd_peer *add(struct srd *s, const struct srd_addr *addr)
{
	uint32_t at = hash_of(s, addr->gid, addr->qpn, addr->connid);
	uint32_t mtu = mtu_of(s, addr->gid);
	struct srd_peer *p = &s->peer[s->npeers];

	while (s->hash[at])
		at = (at + 1) & s->hash_mask;
	*p = (struct srd_peer){
		.index = s->npeers,
		.mtu = mtu,
		.credit = s->cc_cfg.window_init,
		.timer_at = SRD_NEVER,
		.ack_at = SRD_NEVER,
		.seen_slot = SRD_NEVER,
	};
	memcpy(p->addr.gid, addr->gid, sizeof(p->addr.gid));
	p->addr.qpn = addr->qpn;
	p->addr.connid = addr->connid;
	TAILQ_INIT(&p->ops);
	TAILQ_INIT(&p->todo[SRD_SHORT]);
	TAILQ_INIT(&p->todo[SRD_BULK]);
	TAILQ_INIT(&p->parts);
	s->hash[at] = ++s->npeers;
	s->stats.peers++;
	return p;
}

struct srd_peer *srd_peer_known(const struct srd *s,
				const struct srd_addr *addr)
{
	return srd_peer_find(s, addr->gid, addr->qpn, addr->connid);
}

int srd_peer_get(struct srd *s, const struct srd_addr *addr,
		 struct srd_peer **out)
{
	struct srd_peer *p;

	if (!addr->connid || !addr->qpn || addr->qpn > SRD_QPN_MAX)
		return -EINVAL;
	p = srd_peer_find(s, addr->gid, addr->qpn, addr->connid);
	if (!p) {
		if (s->npeers == s->cfg.max_peers)
			return -ENOSPC;
		p = add(s, addr);
	}
	*out = p;
	return 0;
}

const struct srd_addr *srd_peer_addr(const struct srd_peer *p)
{
	return &p->addr;
}

uint32_t srd_peer_index(const struct srd_peer *p)
{
	return p->index;
}

void srd_peer_set_user(struct srd_peer *p, void *user)
{
	p->user = user;
}

void *srd_peer_user(const struct srd_peer *p)
{
	return p->user;
}

void srd_set_mtu(struct srd *s, const uint8_t gid[16], uint32_t mtu,
		 uint64_t now)
{
	(void)now;
	if (mtu < SRD_PACKET_MIN)
		mtu = SRD_PACKET_MIN;
	if (mtu > SRD_PACKET_MAX)
		mtu = SRD_PACKET_MAX;
	for (uint32_t i = 0; i < s->npeers; i++)
		if (same_host(&s->peer[i], gid))
			s->peer[i].mtu = mtu - s->high_len;
	s->odd_mtu = true;
}

/* --- active blocks -------------------------------------------------------- */

static struct srd_active *take_block(struct srd *s)
{
	struct srd_active *a = TAILQ_FIRST(&s->active_free);

	if (a) {
		TAILQ_REMOVE(&s->active_free, a, link);
		return a;
	}
	if (s->nactive < s->cfg.max_active)
		return (struct srd_active *)(s->active_mem +
					     s->nactive++ * s->active_size);
	a = TAILQ_FIRST(&s->active_idle);
	if (!a)
		return NULL;
	TAILQ_REMOVE(&s->active_idle, a, link);
	a->peer->active = NULL;
	return a;
}

static U_COLD bool need_block(struct srd *s, struct srd_peer *p)
{
	struct srd_active *a = take_block(s);

	if (!a)
		return false;
	a->peer = p;
	a->idle = false;
	a->own = false;
	srd_open_reset(a);
	srd_bits_zero(&a->rx_bits);
	a->reo_scale = 1;
	a->reo_calm = 0;
	s->random = u_mix64(s->random + p->index + 1);
	srd_cc_init(&a->cc, &s->cc_cfg, s->clock);
	srd_paths_init(&a->paths, &s->paths_cfg, s->random);
	memset(a->path_delivered_at, 0,
	       s->cfg.paths * sizeof(a->path_delivered_at[0]));
	p->active = a;
	return true;
}

bool srd_active_need(struct srd *s, struct srd_peer *p)
{
	struct srd_active *a = p->active;

	if (u_unlikely(!a))
		return need_block(s, p);
	if (a->idle) {
		TAILQ_REMOVE(&s->active_idle, a, link);
		a->idle = false;
	}
	return true;
}

bool srd_active_own(struct srd *s, struct srd_peer *p)
{
	uint32_t others = (s->cfg.max_active + 3) / 4;

	if (p->active && p->active->own)
		return srd_active_need(s, p);
	if (s->nown >= s->cfg.max_active - others || !srd_active_need(s, p))
		return false;
	p->active->own = true;
	s->nown++;
	return true;
}

static void disown(struct srd *s, struct srd_active *a)
{
	if (a->own)
		s->nown--;
	a->own = false;
}

void srd_active_drop(struct srd *s, struct srd_peer *p)
{
	struct srd_active *a = p->active;

	if (!a)
		return;
	if (a->idle)
		TAILQ_REMOVE(&s->active_idle, a, link);
	disown(s, a);
	TAILQ_INSERT_HEAD(&s->active_free, a, link);
	a->peer = NULL;
	p->active = NULL;
}

void srd_active_settle(struct srd *s, struct srd_peer *p)
{
	struct srd_active *a = p->active;

	if (!a || a->idle || srd_peer_busy(p) || p->rx_cum != p->rx_end)
		return;
	a->idle = true;
	disown(s, a);
	TAILQ_INSERT_TAIL(&s->active_idle, a, link);
}
