/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_config.c - defaults and bounds of what an engine is opened with
 */
#include "srd/srd.h"

#include <errno.h>
#include <inttypes.h>

#include "srd/srd_priv.h"
#include "util/u_log.h"

struct field {
	const char *name;
	size_t offset; /* in struct srd_config */
	bool wide; /* uint64_t, else uint32_t */
	uint64_t otherwise; /* value when it is 0; 0: 0 stays */
	uint64_t min, max;
};

/* The smallest window, of one packet: hundreds of senders to one need less
 * than a packet a round trip, which pacing makes of it. */
#define WINDOW_MIN_SHARE 16

#define FIELD(name) #name, offsetof(struct srd_config, name), false
#define WIDE(name) #name, offsetof(struct srd_config, name), true

static const struct field fields[] = {
	{ FIELD(mtu), 1472, SRD_PACKET_MIN, SRD_PACKET_MAX },
	{ FIELD(max_peers), 4096, 1, 1 << 24 },
	{ FIELD(max_active), 256, 2, 1 << 20 },
	{ FIELD(max_ops), 1024, 1, U_POOL_MAX / 2 },
	{ FIELD(max_replies), 1024, 1, U_POOL_MAX / 2 },
	{ FIELD(tx_slots), 512, 1, 1 << 20 },
	{ FIELD(rx_slots), 64, 1, 1 << 20 },
	{ FIELD(window_pkts), 1024, 2, SRD_WINDOW_MAX },
	{ FIELD(paths), 16, 1, SRD_PATHS_MAX },
	{ FIELD(burst), 0, 0, 1 << 24 },
	{ WIDE(rx_budget), 1 << 20, SRD_PACKET_MIN, UINT32_MAX },
	{ WIDE(link_bps), 0, 0, UINT64_MAX },
	{ WIDE(init_window), 64 << 10, SRD_PACKET_MIN, UINT32_MAX },
	{ WIDE(window_min), 0, 0, UINT32_MAX },
	{ WIDE(pace_max), 0, 0, 100 * U_SEC },
	{ WIDE(target_delay), 50 * U_USEC, 1, U_SEC },
	{ WIDE(rtt_guess), 100 * U_USEC, 1, U_SEC },
	{ WIDE(rto_min), 500 * U_USEC, 1, 10 * U_SEC },
	{ WIDE(rto_max), 100 * U_MSEC, 1, 100 * U_SEC },
	{ WIDE(ack_delay), 50 * U_USEC, 1, U_SEC },
	{ FIELD(ack_every), 8, 1, SRD_WINDOW_MAX },
	{ FIELD(rnr_retries), 0, 0, SRD_RNR_FOREVER },
	{ WIDE(rnr_wait), 100 * U_USEC, 1, U_SEC },
	{ WIDE(peer_timeout), 10 * U_SEC, 1, UINT64_MAX / 4 },
	{ WIDE(keepalive), U_SEC, 1, UINT64_MAX / 4 },
};

static int refuse(const char *name, uint64_t value, uint64_t min, uint64_t max)
{
	u_warn("srd: %s is %" PRIu64 ", not of %" PRIu64 "..%" PRIu64, name,
	       value, min, max);
	return -EINVAL;
}

static int fill(struct srd_config *c, const struct field *f)
{
	void *at = (char *)c + f->offset;
	uint64_t value = f->wide ? *(uint64_t *)at : *(uint32_t *)at;

	if (!value)
		value = f->otherwise;
	if (value < f->min || value > f->max)
		return refuse(f->name, value, f->min, f->max);
	if (f->wide)
		*(uint64_t *)at = value;
	else
		*(uint32_t *)at = (uint32_t)value;
	return 0;
}

int srd_config_fill(struct srd_config *c)
{
	int err;

	for (size_t i = 0; i < u_array_size(fields); i++) {
		err = fill(c, &fields[i]);
		if (err)
			return err;
	}
	if (c->self.qpn > SRD_QPN_MAX)
		return refuse("self.qpn", c->self.qpn, 1, SRD_QPN_MAX);
	if (!c->self.connid)
		return refuse("self.connid", 0, 1, UINT32_MAX);
	if (c->window_pkts & (c->window_pkts - 1)) {
		u_warn("srd: window_pkts is %" PRIu32 ", no power of two",
		       c->window_pkts);
		return -EINVAL;
	}
	if (!c->window_min)
		c->window_min = c->mtu / WINDOW_MIN_SHARE;
	if (!c->pace_max)
		c->pace_max = c->rto_max;
	if (c->rto_max < c->rto_min)
		return refuse("rto_max", c->rto_max, c->rto_min, UINT64_MAX);
	return 0;
}
