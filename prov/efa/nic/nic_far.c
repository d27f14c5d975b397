/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_far.c - the engine and the wire of a queue pair: opened with the first
 * peer that needs them, closed when what is under way has arrived
 */
#include "nic_far.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nic_gid.h"
#include "nic_priv.h"
#include "util/u_hash.h"
#include "util/u_log.h"
#include "wire/wire_udp.h"

/* Farewells, against loss. */
#define GOODBYES 4
/* Senders together may have half of the socket's memory open: the kernel
 * counts the whole buffer that a packet lies in. */
#define BUDGET_SHARE 2
#define WINDOW_PKTS 1024
#define INIT_WINDOW (128u * 1024)
#define SPRAY_BYTES (60u * 1024) /* what one call can send to one path */
/*
 * Hosts add noise of this size to any network; and where there are more
 * programs than cores, milliseconds of it, which is no congestion, so that no
 * delay may stop a conversation.
 */
#define TARGET_DELAY (150 * U_USEC)
#define WINDOW_MIN (64u * 1024)
#define PACE_MAX (100 * U_USEC)

int nic_far_init(struct nic_qp *qp)
{
	struct nic_far *far = &qp->far;
	int rc;

	u_lock_init(&far->lock, true);
	far->qp = qp;
	atomic_init(&far->call, false);
	u_pool_init(&qp->far_ops, sizeof(struct nic_far_op), 64,
		    NIC_FAR_OPS_MAX);
	if (far->fd < 0)
		return 0;
	rc = nic_watch_add(qp->nic->watch, far);
	if (rc)
		return rc;
	/* A wire that is there already has to be answered from. From now on the
	   thread may open one, if somebody knows the port. */
	u_lock(&far->lock);
	if (far->wire)
		rc = nic_far_open(far);
	u_unlock(&far->lock);
	if (rc)
		nic_far_fini(qp);
	return rc;
}

/* --- opening --- */

static bool far_may(void *ctx, uint32_t key, uint32_t access, uint64_t addr,
		    uint64_t len)
{
	return nic_keys_cover(ctx, key, access, addr, len);
}

/*
 * Hardware pins what is registered, so programs that keep registrations may
 * free memory before they close its region: Open MPI does.
 */
static bool far_there(void *ctx, uint64_t addr, uint64_t len)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t first = addr / page * page;
	unsigned char seen[SRD_PACKET_MAX / 4096 + 2];

	(void)ctx;
	return !mincore((void *)(uintptr_t)first, addr + len - first, seen);
}

static int far_open_wire(struct nic_far *far)
{
	const struct nic *nic = far->qp->nic;
	struct wire_udp_config config = {
		.gid = far->qp->self.gid,
		.ifname = nic->info.ifname,
		.paths = nic->config.paths,
		.link_mtu = nic->info.link_mtu,
		.rcvbuf = nic->config.socket_buffer,
		.sndbuf = nic->config.socket_buffer,
	};

	if (far->wire)
		return 0;
	return wire_udp_open(&config, far->qp->sock, &far->wire);
}

/*
 * Where each packet takes a whole buffer, one peer's may not take them all. A
 * power of two; 0: the default.
 */
static uint32_t far_window(const struct wire *wire)
{
	uint32_t n = WINDOW_PKTS;

	while (wire->rx_packets && n > wire->rx_packets / BUDGET_SHARE)
		n /= 2;
	return n;
}

static int far_open_engine(struct nic_far *far, uint64_t now)
{
	struct nic_qp *qp = far->qp;
	const struct nic_config *c = &qp->nic->config;
	const struct nic *nic = qp->nic;
	bool rdm = qp->type != NIC_QP_UD;
	struct srd_config config = {
		.self = { .qpn = qp->self.qpn, .connid = qp->self.connid },
		.may = far_may,
		.there = far_there,
		.ctx = &qp->nic->keys,
		.mtu = (uint32_t)u_min(wire_mtu(far->wire, qp->self.gid),
				       SRD_PACKET_MAX),
		.window_pkts = far_window(far->wire),
		.max_peers = rdm ? NIC_FAR_PEERS : 1,
		.max_active = rdm ? 1024 : 2,
		.max_ops = rdm ? NIC_FAR_OPS_MAX : 1,
		.max_replies = rdm ? 1024 : 1,
		.tx_slots = rdm ? 1024 : 1,
		.rx_slots = rdm ? 256 : 1,
		.paths = far->wire->paths,
		.burst = SPRAY_BYTES,
		.rx_budget = far->wire->rx_bytes / BUDGET_SHARE,
		.link_bps = qp->nic->info.speed,
		.init_window = INIT_WINDOW,
		.window_min = WINDOW_MIN,
		.pace_max = PACE_MAX,
		.target_delay = TARGET_DELAY,
		.rnr_retries = qp->rnr_retries,
		.rnr_wait = qp->type == NIC_QP_SRD ? NIC_RNR_WAIT : 0,
		.peer_timeout = c->peer_timeout,
		.check_all = c->check_all || nic->fault.corrupt,
		.seed = u_random64(),
	};

	memcpy(config.self.gid, qp->self.gid, sizeof(config.self.gid));
	return srd_open(&config, now, &far->srd);
}

static int far_open_kept(struct nic_far *far)
{
	uint8_t *bytes = calloc(NIC_FAR_KEPT, NIC_MTU);

	far->kept = calloc(NIC_FAR_KEPT, sizeof(*far->kept));
	if (!bytes || !far->kept) {
		free(bytes);
		free(far->kept);
		far->kept = NULL;
		return -ENOMEM;
	}
	for (int i = 0; i < NIC_FAR_KEPT; i++)
		far->kept[i].buf = bytes + (size_t)i * NIC_MTU;
	return 0;
}

static void far_close(struct nic_far *far)
{
	if (far->kept)
		free(far->kept[0].buf);
	free(far->kept);
	far->kept = NULL;
	if (far->fault)
		wire_fault_close(far->fault);
	far->fault = NULL;
	if (far->srd)
		srd_close(far->srd);
	far->srd = NULL;
	if (far->wire)
		wire_close(far->wire);
	far->wire = NULL;
}

int nic_far_open(struct nic_far *far)
{
	const struct nic *nic = far->qp->nic;
	uint64_t now = u_now();
	int rc;

	if (far->srd)
		return 0;
	far->notes_due = UINT64_MAX;
	rc = far_open_wire(far);
	if (!rc)
		rc = far_open_engine(far, now);
	if (!rc)
		rc = far_open_kept(far);
	if (!rc && nic->faulty)
		rc = wire_fault_open(&nic->fault, now, &far->fault);
	if (rc) {
		if (!far->failed)
			u_warn("queue pair %u of %s reaches no other host: %s",
			       far->qp->self.qpn, far->qp->nic->info.name,
			       strerror(-rc));
		far->failed = true;
		far_close(far);
		return rc;
	}
	far->ration = far->wire->syscalls;
	far->active_at = now;
	srd_set_pressure(far->srd, far->qp->pressure, now);
	nic_watch_mode(far->qp->nic->watch, far, NIC_FAR_WATCHED);
	return 0;
}

void nic_far_restart(struct nic_qp *qp)
{
	struct nic_far *far = &qp->far;

	u_lock(&far->lock);
	if (far->srd) {
		far_close(far);
		far->kept_head = far->kept_tail = far->kept_lent = 0;
		nic_watch_mode(qp->nic->watch, far, NIC_FAR_CLOSED);
	}
	u_unlock(&far->lock);
}

void nic_far_set_rnr_retries(struct nic_qp *qp, uint32_t retries)
{
	struct nic_far *far = &qp->far;

	u_lock(&far->lock);
	qp->rnr_retries = retries;
	if (far->srd)
		srd_set_rnr_retries(far->srd, qp->rnr_retries);
	u_unlock(&far->lock);
}

void nic_far_set_pressure(struct nic_qp *qp, bool on)
{
	struct nic_far *far = &qp->far;
	uint64_t now = u_now();

	u_lock(&far->lock);
	qp->pressure = on;
	if (far->srd) {
		srd_set_pressure(far->srd, on, now);
		nic_far_flush(far, now);
	}
	u_unlock(&far->lock);
}

/* --- peers --- */

enum nic_status nic_far_resolve(struct nic_path *p)
{
	struct nic_far *far = &p->qp->far;
	struct srd_addr addr = {
		.qpn = p->id.qpn,
		.connid = p->id.connid,
	};
	int rc;

	memcpy(addr.gid, p->id.gid, sizeof(addr.gid));
	u_lock(&far->lock);
	rc = nic_far_open(far);
	if (!rc && p->qp->type != NIC_QP_UD)
		rc = srd_peer_get(far->srd, &addr, &p->peer);
	u_unlock(&far->lock);
	if (rc)
		return NIC_UNREACHABLE;
	p->state = NIC_PATH_FAR;
	return NIC_OK;
}

/* --- the end --- */

/* Messages that come this late have no reader: their senders are told. */
static void far_linger(struct nic_far *far)
{
	struct pollfd fd = { .fd = far->fd, .events = POLLIN };
	uint64_t now = u_now();
	uint64_t end = now + NIC_FAR_LINGER;

	srd_set_ready(far->srd, false);
	while (now < end) {
		nic_far_receive(far, now);
		far->kept_head = far->kept_tail;
		nic_far_notes(far, now);
		nic_far_flush(far, now);
		if (srd_idle(far->srd))
			return;
		if (!wire_arm(far->wire))
			poll(&fd, 1, 1);
		now = u_now();
	}
	u_info("queue pair %u closes with packets that nobody acknowledged",
	       far->qp->self.qpn);
}

static void far_goodbye(struct nic_far *far)
{
	struct srd_out so[NIC_FAR_BURST];
	struct wire_out wo[NIC_FAR_BURST];
	uint32_t cursor = 0;
	int n;

	for (;;) {
		n = srd_farewell(far->srd, u_now(), so, NIC_FAR_BURST, &cursor);
		if (!n)
			return;
		nic_far_outs(so, n, wo);
		wire_send(far->wire, wo, n);
	}
}

#define N(x) ((unsigned long long)(x))

/* What happened on the way, for whoever wonders why it was slow. */
static void far_tell_numbers(const struct nic_far *far)
{
	const struct srd_stats *s = srd_stats(far->srd);
	const struct wire_stats *w = wire_stats(far->wire);

	u_info("queue pair %u: sent %llu packets (%llu data, %llu acks) in "
	       "%llu calls, %llu again, %llu needlessly, %llu timeouts, %llu tail "
	       "probes; %llu found no room, %llu failed",
	       far->qp->self.qpn, N(s->tx_packets), N(s->tx_data),
	       N(s->tx_acks), N(w->tx_calls), N(s->resent),
	       N(s->resent_spurious), N(s->timeouts), N(s->tail_probes),
	       N(w->tx_full), N(w->tx_failed));
	u_info("queue pair %u: received %llu packets (%llu data, %llu acks, "
	       "%llu twice) in %llu calls; not ready %llu times; dropped by the "
	       "system %llu",
	       far->qp->self.qpn, N(s->rx_packets), N(s->rx_data),
	       N(s->rx_acks), N(s->duplicates), N(w->rx_calls), N(s->rnr_sent),
	       N(w->rx_dropped));
	u_info("queue pair %u: dropped as bad: length %llu, version %llu, "
	       "checksum %llu, type %llu, incarnation %llu, source %llu, number %llu, "
	       "epoch %llu, field %llu; no room %llu",
	       far->qp->self.qpn, N(s->bad_short), N(s->bad_version),
	       N(s->bad_check), N(s->bad_type), N(s->bad_incarnation),
	       N(s->bad_source), N(s->bad_window), N(s->bad_stale),
	       N(s->bad_field), N(s->no_room));
}

void nic_far_fini(struct nic_qp *qp)
{
	struct nic_far *far = &qp->far;

	if (far->fd >= 0)
		nic_watch_remove(qp->nic->watch, far);
	if (far->srd) {
		far_linger(far);
		for (int i = 0; i < GOODBYES; i++)
			far_goodbye(far);
		far_tell_numbers(far);
		far_close(far);
	}
	u_pool_fini(&qp->far_ops);
	u_lock_fini(&far->lock);
}
