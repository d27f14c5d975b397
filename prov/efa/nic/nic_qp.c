/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_qp.c - queue pairs: a port, a segment, and what hangs on them
 *
 * The number of a queue pair is the UDP port it holds: the kernel sees to it
 * that no two on one address share it. Where segments are shared with another
 * network namespace that has the same address, the segment's owner decides,
 * and another port is taken.
 */
#include "nic_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic_gid.h"
#include "util/u_hash.h"
#include "util/u_log.h"

/* Ports of the kernel's choice that are tried. */
#define PORT_TRIES 64

static int qp_bind(const struct nic_qp *qp, uint16_t port, int *out)
{
	struct sockaddr_storage ss;
	socklen_t len = nic_gid_sockaddr(qp->self.gid, port, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);
	int rc;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&ss, len)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

static uint16_t qp_bound_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (getsockname(fd, (struct sockaddr *)&ss, &len))
		return 0;
	if (ss.ss_family == AF_INET) {
		memcpy(&in, &ss, sizeof(in));
		return ntohs(in.sin_port);
	}
	memcpy(&in6, &ss, sizeof(in6));
	return ntohs(in6.sin6_port);
}

static void qp_tell(const struct nic_qp *qp, int rc)
{
	char text[NIC_GID_TEXT];

	u_warn("no UDP port for an endpoint on %s (%s): %s", qp->nic->info.name,
	       nic_gid_text(qp->self.gid, text), strerror(-rc));
}

/*
 * Holds a port and its segment; -EADDRINUSE: one of them is taken. Other
 * errors have been logged, here or by the wire.
 */
static int qp_claim(struct nic_qp *qp, uint16_t port)
{
	const struct nic_config *c = &qp->nic->config;
	struct wire_shm_config wc = {
		.dir = c->shm_dir,
		.lanes = NIC_LANES,
		.lane_bytes = c->lane_bytes,
		.no_cma = c->no_cma,
		.tag = qp->nic->keys.tag,
	};
	int fd = -1;
	int rc;

	rc = qp_bind(qp, port, &fd);
	if (rc) {
		if (rc != -EADDRINUSE)
			qp_tell(qp, rc);
		return rc;
	}
	qp->self.qpn = qp_bound_port(fd);
	rc = wire_shm_open(&wc, &qp->self, &qp->shm);
	if (rc) {
		close(fd);
		return rc;
	}
	qp->sock = fd;
	return 0;
}

/* All ports of the range, from a random one on. */
static int qp_claim_range(struct nic_qp *qp, uint16_t min, uint16_t max)
{
	uint32_t n = (uint32_t)max - min + 1;
	uint32_t at = (uint32_t)(u_random64() % n);
	int rc = -EADDRINUSE;

	for (uint32_t i = 0; i < n && rc == -EADDRINUSE; i++)
		rc = qp_claim(qp, (uint16_t)(min + (at + i) % n));
	if (rc == -EADDRINUSE)
		u_warn("all UDP ports from %u to %u are in use: widen the port "
		       "range, one port is needed for each endpoint",
		       min, max);
	return rc;
}

static int qp_claim_any(struct nic_qp *qp)
{
	int rc = -EADDRINUSE;

	for (int i = 0; i < PORT_TRIES && rc == -EADDRINUSE; i++)
		rc = qp_claim(qp, 0);
	if (rc == -EADDRINUSE)
		qp_tell(qp, rc);
	return rc;
}

static int qp_claim_port(struct nic_qp *qp)
{
	const struct nic_config *c = &qp->nic->config;

	if (c->port_min && c->port_max >= c->port_min)
		return qp_claim_range(qp, c->port_min, c->port_max);
	return qp_claim_any(qp);
}

static struct nic_qp *qp_alloc(struct nic *nic, enum nic_qp_type type)
{
	struct nic_qp *qp;

	if (posix_memalign((void **)&qp, U_LINE, sizeof(*qp)))
		return NULL;
	memset(qp, 0, sizeof(*qp));
	qp->nic = nic;
	qp->type = type;
	memcpy(qp->self.gid, nic->info.gid, sizeof(qp->self.gid));
	TAILQ_INIT(&qp->paths);
	TAILQ_INIT(&qp->active);
	TAILQ_INIT(&qp->ending);
	TAILQ_INIT(&qp->gone);
	u_pool_init(&qp->ops, sizeof(struct nic_op), 64, NIC_OPS_MAX);
	qp->polls_left = 1;
	qp->attention = type == NIC_QP_UD ? NIC_ATT_UD : 0;
	qp->done = calloc(NIC_DONE_MAX, sizeof(*qp->done));
	if (type == NIC_QP_UD)
		qp->recv = calloc(NIC_RECVS, sizeof(*qp->recv));
	if (qp->done && (qp->recv || type == NIC_QP_RDM))
		return qp;
	free(qp->done);
	free(qp->recv);
	free(qp);
	return NULL;
}

static void qp_free(struct nic_qp *qp)
{
	u_pool_fini(&qp->ops);
	free(qp->source);
	free(qp->done);
	free(qp->recv);
	free(qp);
}

static void qp_count(struct nic *nic, int delta)
{
	u_lock(&nic->lock);
	nic->nqps += (unsigned int)delta;
	u_unlock(&nic->lock);
}

int nic_qp_open(struct nic *nic, enum nic_qp_type type, uint32_t qkey,
		struct nic_qp **out)
{
	struct nic_qp *qp = qp_alloc(nic, type);
	int rc;

	if (!qp)
		return -ENOMEM;
	qp->self.connid = qkey;
	rc = qp_claim_port(qp);
	if (rc) {
		qp_free(qp);
		return rc;
	}
	rc = nic_far_init(qp);
	if (rc) {
		wire_shm_close(qp->shm);
		close(qp->sock);
		qp_free(qp);
		return rc;
	}
	qp->shm_stats = wire_shm_stats(qp->shm);
	qp->ticked = u_now();
	qp_count(nic, 1);
	*out = qp;
	return 0;
}

void nic_qp_close(struct nic_qp *qp)
{
	struct nic_path *p;

	nic_give_back(qp);
	while ((p = TAILQ_FIRST(&qp->paths))) {
		assert(TAILQ_EMPTY(&p->ahs));
		nic_path_free(p);
	}
	nic_far_fini(qp);
	wire_shm_close(qp->shm);
	close(qp->sock);
	qp_count(qp->nic, -1);
	qp_free(qp);
}

void nic_qp_addr(const struct nic_qp *qp, struct nic_addr *addr)
{
	memcpy(addr->gid, qp->self.gid, sizeof(addr->gid));
	addr->qpn = qp->self.qpn;
	addr->qkey = qp->self.connid;
}

void nic_set_pressure(struct nic_qp *qp, bool on)
{
	if (qp->pressure == on)
		return;
	wire_shm_set_pressure(qp->shm, on);
	nic_far_set_pressure(qp, on);
}

int nic_qp_fd(const struct nic_qp *qp)
{
	return qp->sock;
}

/* Packets are counted where the hot paths have their hands anyway. */
const struct nic_stats *nic_qp_stats(struct nic_qp *qp)
{
	struct nic_path *p;
	struct nic_ah *ah;

	qp->stats.rx_packets = qp->shm_stats->records;
	qp->stats.tx_packets = qp->tx_closed;
	TAILQ_FOREACH(p, &qp->paths, link_all)
		TAILQ_FOREACH(ah, &p->ahs, path_link)
			qp->stats.tx_packets += ah->tx_packets;
	return &qp->stats;
}
