/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_ep.c - an endpoint: open, progress, drain, close
 */
#include "rdm/rdm_move.h"

#include <errno.h>
#include <stdlib.h>

#include "util/u_hash.h"
#include "util/u_lines.h"
#include "util/u_time.h"

#define LOOK_POLLS 256
#define ANSWER_TIMEOUT (3 * U_SEC)
/* Reads and writes of peers under way at most. */
#define SERVES_MAX 65536

size_t rdm_inject_max(uint32_t mtu)
{
	return mtu - RDM_PKT_HDR_RESERVE;
}

static void pools_init(struct rdm_ep *ep)
{
	u_pool_init(&ep->peers, sizeof(struct rdm_peer), 16, U_POOL_MAX);
	u_pool_init(&ep->txs, sizeof(struct rdm_tx), 64,
		    (uint32_t)u_min(u_max(ep->config.tx_size, 1), U_POOL_MAX));
	u_pool_init(&ep->rxs, sizeof(struct rdm_rx), 64, U_POOL_MAX);
	u_pool_init(&ep->msgs, sizeof(struct rdm_msg), 64, U_POOL_MAX);
	u_pool_init(&ep->serves, sizeof(struct rdm_serve), 16, SERVES_MAX);
	u_pool_set_space(&ep->txs, RDM_SPACE_TX);
	u_pool_set_space(&ep->msgs, RDM_SPACE_MSG);
	u_pool_set_space(&ep->serves, RDM_SPACE_SERVE);
	u_pool_init(&ep->ctl_pool, sizeof(struct rdm_ctl), 16, U_POOL_MAX);
}

static void pools_fini(struct rdm_ep *ep)
{
	u_pool_fini(&ep->peers);
	u_pool_fini(&ep->txs);
	u_pool_fini(&ep->rxs);
	u_pool_fini(&ep->msgs);
	u_pool_fini(&ep->serves);
	u_pool_fini(&ep->ctl_pool);
}

static uint64_t features_of(const struct rdm_ep_config *config)
{
	uint32_t caps = config->no_rdma ? 0 : config->dev->info.caps;
	uint64_t features = RDM_FEATURE_DC | RDM_FEATURE_CONNID |
			    RDM_FEATURE_RUNT | RDM_FEATURE_READ_NACK |
			    RDM_FEATURE_PEER_ERROR;

	if (caps & DEV_CAP_READ)
		features |= RDM_FEATURE_READ;
	if (caps & DEV_CAP_WRITE)
		features |= RDM_FEATURE_WRITE;
	if (caps & DEV_CAP_UNSOLICITED)
		features |= RDM_FEATURE_UNSOLICITED;
	return features & ~config->features_off;
}

static void limits_set(struct rdm_ep *ep)
{
	struct rdm_ep_config *config = &ep->config;

	ep->mtu = config->dev->info.mtu;
	if (!config->answer_timeout)
		config->answer_timeout = ANSWER_TIMEOUT;
	if (!config->read_min)
		config->read_min = config->dev->info.read_min;
	ep->eager_max =
		u_min(ep->mtu - RDM_PKT_EAGER_HDR_MAX, config->read_min - 1);
	ep->features = features_of(config);
}

/* A connid: 31 bits, never 0. */
static uint32_t draw_connid(void)
{
	return (uint32_t)(u_random64() >> 33) | 1;
}

int rdm_ep_open(const struct rdm_ep_config *config, struct rdm_ep **out)
{
	struct dev_qp_attr attr = {
		.rnr_retries = config->rnr_retries,
		.low_latency = config->low_latency,
	};
	struct rdm_ep *ep = u_lines_new(sizeof(*ep));
	int ret = -ENOMEM;

	if (!ep)
		return -ENOMEM;
	ep->config = *config;
	limits_set(ep);
	ep->scratch = u_lines_raw(ep->mtu);
	if (!ep->scratch)
		goto free_struct;
	ep->looks = 1; /* no peer was awaited at it */
	pools_init(ep);
	TAILQ_INIT(&ep->ctls);
	TAILQ_INIT(&ep->ctls_posted);
	TAILQ_INIT(&ep->sending);
	TAILQ_INIT(&ep->reading);
	TAILQ_INIT(&ep->serving);
	TAILQ_INIT(&ep->leaving);
	TAILQ_INIT(&ep->posted);
	TAILQ_INIT(&ep->claimed);
	if (rdm_match_init(&ep->match[0]))
		goto free_ep;
	if (rdm_match_init(&ep->match[1]))
		goto fini_match;
	if (rdm_keyq_init(&ep->by_addr, 6))
		goto fini_match_tagged;
	ret = dev_cq_open(config->dev, &ep->cq);
	if (ret)
		goto fini_peers;
	attr.qkey = draw_connid();
	ret = dev_qp_open(config->dev, DEV_QP_RDM, ep->cq, &attr, &ep->qp);
	if (ret)
		goto close_cq;
	if (config->no_shm)
		dev_qp_forbid_shm(ep->qp);
	rdm_removed_init(&ep->removed, &ep->reach);
	*out = ep;
	return 0;

close_cq:
	dev_cq_close(ep->cq);
fini_peers:
	rdm_keyq_fini(&ep->by_addr);
fini_match_tagged:
	rdm_match_fini(&ep->match[1]);
fini_match:
	rdm_match_fini(&ep->match[0]);
free_ep:
	pools_fini(ep);
	free(ep->scratch);
free_struct:
	free(ep);
	return ret;
}

static void ops_free(struct rdm_ep *ep)
{
	struct rdm_serve *serve;
	struct rdm_msg *msg;
	struct rdm_tx *tx;
	uint32_t cursor = 0;

	while ((tx = u_pool_next(&ep->txs, &cursor)))
		rdm_tx_free(ep, tx);
	cursor = 0;
	while ((msg = u_pool_next(&ep->msgs, &cursor)))
		rdm_msg_free(ep, msg);
	cursor = 0;
	while ((serve = u_pool_next(&ep->serves, &cursor)))
		rdm_serve_free(ep, serve);
	rdm_ctl_drop(ep, NULL);
}

void rdm_ep_close(struct rdm_ep *ep)
{
	ops_free(ep);
	rdm_peers_fini(ep);
	dev_qp_close(ep->qp);
	dev_cq_close(ep->cq);
	rdm_match_fini(&ep->match[1]);
	rdm_match_fini(&ep->match[0]);
	pools_fini(ep);
	rdm_removed_fini(&ep->removed);
	free(ep->scratch);
	free(ep);
}

static void sending_resume(struct rdm_ep *ep)
{
	struct rdm_tx *tx = TAILQ_FIRST(&ep->sending);

	while (tx) {
		struct rdm_tx *next = TAILQ_NEXT(tx, queue);

		if (rdm_tx_resume(ep, tx)) {
			TAILQ_REMOVE(&ep->sending, tx, queue);
			rdm_tx_settle(ep, tx);
		}
		tx = next;
	}
}

static bool is_waiting(const struct rdm_ep *ep)
{
	return !TAILQ_EMPTY(&ep->ctls) || !TAILQ_EMPTY(&ep->sending) ||
	       !TAILQ_EMPTY(&ep->reading) || !TAILQ_EMPTY(&ep->serving);
}

static __attribute__((noinline)) void resume(struct rdm_ep *ep)
{
	ep->armed = false;
	/* What goes on may end, and tell who it was from. */
	rdm_heed(ep);
	rdm_ctl_resume(ep);
	sending_resume(ep);
	rdm_pull_resume(ep);
	rdm_serve_resume(ep);
	ep->busy = is_waiting(ep);
}

bool rdm_progress(struct rdm_ep *ep)
{
	struct dev_wc wc[RDM_POLL_BATCH];
	int n = dev_poll(ep->cq, wc, RDM_POLL_BATCH);

	if (n)
		rdm_heed(ep);
	for (int i = 0; i < n; i++)
		rdm_in_wc(ep, &wc[i]);
	if (n) {
		dev_give_back(ep->cq);
		ep->stats.bursts++;
	} else if (u_unlikely(++ep->idle_polls % LOOK_POLLS == 0)) {
		rdm_alive_look(ep);
		rdm_peers_look(ep);
	}
	if (u_unlikely(ep->busy))
		resume(ep);
	return ep->nrefused != 0;
}

/* Whether the device still holds something of ours, or something waits for a
   HANDSHAKE. */
static bool sends_left(struct rdm_ep *ep)
{
	uint32_t cursor = 0;
	struct rdm_tx *tx;

	while ((tx = u_pool_next(&ep->txs, &cursor))) {
		if (tx->wrs || tx->state == RDM_TX_PARKED)
			return true;
	}
	return !TAILQ_EMPTY(&ep->ctls_posted);
}

bool rdm_ep_drain(struct rdm_ep *ep, uint64_t timeout)
{
	uint64_t end = u_now() + timeout;

	while (ep->busy || sends_left(ep)) {
		if (u_now() > end)
			return false;
		rdm_progress(ep);
	}
	return true;
}

void rdm_ep_addr(const struct rdm_ep *ep, struct dev_addr *addr)
{
	*addr = ep->qp->addr;
}

void rdm_ep_set_min_multi_recv(struct rdm_ep *ep, size_t bytes)
{
	ep->config.min_multi_recv = bytes;
}

int rdm_ep_fd(struct rdm_ep *ep)
{
	return dev_cq_fd(ep->cq);
}

int rdm_ep_arm(struct rdm_ep *ep)
{
	int rc;

	rdm_alive_look(ep);
	rdm_peers_look(ep);
	if (is_waiting(ep) || !TAILQ_EMPTY(&ep->leaving))
		return 1;
	rc = dev_cq_arm(ep->cq);
	/* The next look ends it: busy, so that other looks need not ask. */
	ep->armed = rc == 0;
	ep->busy = ep->armed;
	return rc;
}

bool rdm_ep_is_armed(const struct rdm_ep *ep)
{
	return ep->armed && !is_waiting(ep);
}

const struct rdm_stats *rdm_ep_stats(const struct rdm_ep *ep)
{
	return &ep->stats;
}
