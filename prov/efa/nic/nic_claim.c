/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_claim.c - how a queue pair comes by its number, bell and segment
 *
 *   over UDP     the number is the UDP port that it holds: the kernel sees to
 *                it that no two on one address share it
 *   RDMA NIC     the number is that of the card's queue pair
 *   memory only  the caller says which
 *
 * Where segments are shared with another network namespace that has the same
 * address, the segment's owner decides, and another number is taken.
 */
#include "nic_claim.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "nic_bell.h"
#include "nic_gid.h"
#include "nic_priv.h"
#include "util/u_hash.h"
#include "util/u_log.h"
#include "util/u_time.h"
#include "wire/wire_ud.h"

/* Numbers of somebody else's choice that are tried. */
#define TRIES 64
/* Nobody sends a datagram again; the system lets one wait as long. */
#define DATAGRAM_PATIENCE (2 * U_SEC)

static int claim_segment(struct nic_qp *qp)
{
	const struct nic_config *c = &qp->nic->config;
	struct wire_shm_config wc = {
		.dir = c->shm_dir,
		.lanes = NIC_LANES,
		.lane_bytes = c->lane_bytes,
		.no_cma = c->no_cma,
		.tag = qp->nic->keys.tag,
		.bell = qp->bell,
	};

	return wire_shm_open(&wc, &qp->self, &qp->shm);
}

/* --- over UDP --- */

static void port_tell(const struct nic_qp *qp, int rc)
{
	char text[NIC_GID_TEXT];

	u_warn("no UDP port for an endpoint on %s (%s): %s", qp->nic->info.name,
	       nic_gid_text(qp->self.gid, text), strerror(-rc));
}

/*
 * Holds a port and its segment; -EADDRINUSE: one of them is taken. Other
 * errors have been logged, here or by the wire.
 */
static int claim_port(struct nic_qp *qp, uint16_t port)
{
	int rc = nic_bell_open(qp->self.gid, port, &qp->sock, &qp->bell);

	if (rc) {
		if (rc != -EADDRINUSE)
			port_tell(qp, rc);
		return rc;
	}
	qp->self.qpn = qp->bell.port;
	rc = claim_segment(qp);
	if (rc) {
		close(qp->sock);
		return rc;
	}
	qp->far.fd = qp->wait = qp->sock;
	return 0;
}

/* All ports of the range, from a random one on. */
static int claim_range(struct nic_qp *qp, uint16_t min, uint16_t max)
{
	uint32_t n = (uint32_t)max - min + 1;
	uint32_t at = (uint32_t)(u_random64() % n);
	int rc = -EADDRINUSE;

	for (uint32_t i = 0; i < n && rc == -EADDRINUSE; i++)
		rc = claim_port(qp, (uint16_t)(min + (at + i) % n));
	if (rc == -EADDRINUSE)
		u_warn("all UDP ports from %u to %u are in use: widen the port "
		       "range, one port is needed for each endpoint",
		       min, max);
	return rc;
}

static int claim_any_port(struct nic_qp *qp)
{
	int rc = -EADDRINUSE;

	for (int i = 0; i < TRIES && rc == -EADDRINUSE; i++)
		rc = claim_port(qp, 0);
	if (rc == -EADDRINUSE)
		port_tell(qp, rc);
	return rc;
}

static int claim_udp(struct nic_qp *qp)
{
	const struct nic_config *c = &qp->nic->config;

	if (c->port_min && c->port_max >= c->port_min)
		return claim_range(qp, c->port_min, c->port_max);
	return claim_any_port(qp);
}

/* --- numbers that are no ports --- */

static int claim_bell(struct nic_qp *qp)
{
	int rc = nic_bell_open_local(&qp->sock, &qp->bell);

	if (rc)
		u_warn("no UDP port on loopback to wake an endpoint of %s by: "
		       "%s%s",
		       qp->nic->info.name, strerror(-rc),
		       rc == -EADDRNOTAVAIL ? ": ip link set lo up" : "");
	return rc;
}

/*
 * Epoll descriptors are readable while one of theirs is, so they can be waited
 * for themselves.
 */
static int claim_wait(struct nic_qp *qp)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (epoll_ctl(fd, EPOLL_CTL_ADD, qp->sock, &ev) ||
	    epoll_ctl(fd, EPOLL_CTL_ADD, qp->far.fd, &ev)) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	qp->wait = fd;
	return 0;
}

/* A queue pair of the card and the segment of its number. */
static int claim_number(struct nic_qp *qp)
{
	const struct nic *nic = qp->nic;
	struct wire_ud_config c = {
		.device = nic->info.verbs,
		.port = nic->info.port,
		.gid = nic->info.gid,
		.qkey = qp->self.connid,
		.paths = nic->config.paths,
		.rx_bytes = nic->config.socket_buffer,
		.patience = qp->type == NIC_QP_UD ? DATAGRAM_PATIENCE : 0,
	};
	int rc = wire_ud_open(&c, &qp->far.wire);

	if (rc)
		return rc;
	qp->self.qpn = qp->far.wire->qpn;
	qp->far.fd = qp->far.wire->fd;
	rc = claim_segment(qp);
	if (!rc)
		return 0;
	wire_close(qp->far.wire);
	qp->far.wire = NULL;
	return rc;
}

static int claim_ud(struct nic_qp *qp)
{
	int rc = claim_bell(qp);

	if (rc)
		return rc;
	rc = -EADDRINUSE;
	for (int i = 0; i < TRIES && rc == -EADDRINUSE; i++)
		rc = claim_number(qp);
	if (rc)
		goto close_bell;
	rc = claim_wait(qp);
	if (!rc)
		return 0;
	wire_shm_close(qp->shm);
	wire_close(qp->far.wire);
	qp->far.wire = NULL;
close_bell:
	close(qp->sock);
	return rc;
}

/* --- all --- */

int nic_claim(struct nic_qp *qp)
{
	if (qp->nic->config.shm_only)
		return -EINVAL;
	return qp->nic->info.wire == NIC_WIRE_UD ? claim_ud(qp) : claim_udp(qp);
}

int nic_claim_as(struct nic_qp *qp, const struct nic_addr *addr)
{
	int rc = claim_bell(qp);

	if (rc)
		return rc;
	memcpy(qp->self.gid, addr->gid, sizeof(qp->self.gid));
	qp->self.qpn = addr->qpn;
	rc = claim_segment(qp);
	if (rc) {
		close(qp->sock);
		return rc;
	}
	qp->far.fd = -1;
	qp->wait = qp->sock;
	return 0;
}

void nic_unclaim(struct nic_qp *qp)
{
	wire_shm_close(qp->shm);
	if (qp->wait != qp->sock)
		close(qp->wait);
	/* The far side, where it was opened, has closed it. */
	if (qp->far.wire)
		wire_close(qp->far.wire);
	close(qp->sock);
}
