/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_soft.c - the software NIC behind the port: names and shapes, no policy
 *
 * The vocabularies of nic.h and dev.h are the same numbers in the same order,
 * which is asserted here so that nothing has to be translated on the way.
 */
#include "dev_soft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev_soft_priv.h"
#include "dev_verbs_sysfs.h"
#include "util/u_lines.h"
#include "util/u_log.h"

#define SOFT_VERSION 0xefa0
/*
 * What does not fit a packet is better pulled when its memory is reached
 * directly. Through the ring a pull costs the peer's attention, so it only
 * pays for what would have to be granted anyway.
 */
#define READ_MIN_RING 65536

/* What the NIC is and where it sits; soft-RoCE sits nowhere. */
static void card_find(const struct nic_info *ni, struct dev_card *card)
{
	char path[32 + DEV_NAME_MAX];

	card->vendor = ni->vendor;
	card->part = ni->part;
	card->revision = ni->revision;
	memcpy(card->firmware, ni->firmware, sizeof(card->firmware));
	snprintf(path, sizeof(path), "/sys/class/infiniband/%s", ni->verbs);
	verbs_sysfs_read(path, card);
}

static void soft_info(const struct nic_info *ni, struct dev_info *info)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool v4 = !memcmp(ni->gid, mapped, sizeof(mapped));
	bool ud = ni->wire == NIC_WIRE_UD;

	*info = (struct dev_info){
		.kind = ud ? DEV_KIND_UD : DEV_KIND_SOFT,
		.caps = DEV_CAP_READ | DEV_CAP_WRITE | DEV_CAP_UNSOLICITED |
			DEV_CAP_QKEY | DEV_CAP_WATCHES | DEV_CAP_RNR_RETRY,
		.mtu = NIC_MTU,
		.ud_mtu = nic_ud_max(ni),
		.max_rdma = NIC_MAX_RDMA,
		.read_min = NIC_MTU,
		.tx_depth = 4096,
		.rx_depth = 8192,
		.max_qp = 1024,
		.max_cq = 1024,
		.max_mr = 65536,
		.max_ah = 65536,
		.key_bytes = 4,
		.version = SOFT_VERSION,
		.speed = ni->speed,
		.link_mtu = ni->link_mtu,
		.up = ni->up,
		.infiniband = ni->infiniband,
	};
	if (ud)
		card_find(ni, &info->card);
	memcpy(info->gid, ni->gid, sizeof(info->gid));
	memcpy(info->name, ni->name, sizeof(info->name));
	memcpy(info->ifname, ni->ifname, sizeof(info->ifname));
	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ni->gid + 12 : ni->gid,
		  info->link_addr, sizeof(info->link_addr));
}

static int soft_infos(int n, struct nic_info *nics, struct dev_info **list)
{
	struct dev_info *infos = calloc((size_t)n + 1, sizeof(*infos));

	for (int i = 0; infos && i < n; i++)
		soft_info(&nics[i], &infos[i]);
	free(nics);
	if (!infos)
		return -ENOMEM;
	if (n)
		*list = infos;
	else
		free(infos);
	return n;
}

int dev_soft_list(const struct dev_config *config, struct dev_info **list)
{
	struct nic_info *nics;
	int n = nic_list(config->iface, &nics);

	return n < 0 ? n : soft_infos(n, nics, list);
}

int dev_ud_list(const struct dev_config *config, struct dev_info **list)
{
	struct nic_info *nics;
	int n = nic_list_verbs(config->iface, &nics);

	return n < 0 ? n : soft_infos(n, nics, list);
}

static void soft_close(struct dev *d)
{
	struct soft_dev *sd = u_container_of(d, struct soft_dev, dev);

	if (nic_close(sd->nic))
		u_warn("%s was closed with queue pairs or regions open",
		       d->info.name);
	free(sd);
}

static int soft_mr_open(struct dev *d, void *addr, size_t len, uint32_t access,
			struct dev_mr **out)
{
	struct soft_dev *sd = u_container_of(d, struct soft_dev, dev);
	struct dev_mr *mr = malloc(sizeof(*mr));
	uint32_t key;
	int rc;

	if (!mr)
		return -ENOMEM;
	*mr = (struct dev_mr){
		.dev = d,
		.addr = (uintptr_t)addr,
		.len = len,
	};
	rc = nic_mr_reg(sd->nic, addr, len, access & ~(uint32_t)DEV_MR_BRIEF,
			&key);
	if (rc) {
		free(mr);
		return rc;
	}
	mr->key = key;
	*out = mr;
	return 0;
}

static int soft_mr_close(struct dev_mr *mr)
{
	struct soft_dev *sd = u_container_of(mr->dev, struct soft_dev, dev);
	uint32_t key = (uint32_t)mr->key;
	int rc = mr->over ? nic_mr_dereg_over(sd->nic, key) :
			    nic_mr_dereg(sd->nic, key);

	if (!rc)
		free(mr);
	return rc;
}

static bool soft_mr_hold(struct dev *d, const struct dev_range *range, int n,
			 uint32_t access)
{
	struct soft_dev *sd = u_container_of(d, struct soft_dev, dev);

	return nic_mr_hold(sd->nic, (const struct nic_range *)range, n, access);
}

static void soft_mr_release(struct dev *d)
{
	nic_mr_release(u_container_of(d, struct soft_dev, dev)->nic);
}

static int qp_wrap(struct dev *d, enum dev_qp_type type, struct dev_cq *c,
		   struct nic_qp *nic_qp, struct dev_qp **out)
{
	struct soft_cq *cq = u_container_of(c, struct soft_cq, cq);
	struct soft_qp *qp = u_lines_new(sizeof(*qp));
	struct nic_addr addr;
	int rc = -ENOMEM;

	if (!qp)
		goto close_nic_qp;
	qp->nic_qp = nic_qp;
	rc = soft_cq_add(cq, qp);
	if (rc)
		goto free_qp;
	nic_qp_addr(nic_qp, &addr);
	memcpy(qp->qp.addr.gid, addr.gid, sizeof(addr.gid));
	qp->qp.addr.qpn = addr.qpn;
	qp->qp.addr.qkey = addr.qkey;
	qp->qp.ops = d->ops;
	qp->qp.dev = d;
	qp->qp.cq = c;
	qp->qp.type = type;
	if (type == DEV_QP_RDM)
		qp->refuse_reads =
			u_container_of(d, struct soft_dev, dev)->refuse_reads;
	*out = &qp->qp;
	return 0;
free_qp:
	free(qp);
close_nic_qp:
	nic_qp_close(nic_qp);
	return rc;
}

static int soft_qp_open(struct dev *d, enum dev_qp_type type, struct dev_cq *c,
			const struct dev_qp_attr *attr, struct dev_qp **out)
{
	struct soft_dev *sd = u_container_of(d, struct soft_dev, dev);
	struct nic_qp *nic_qp;
	int rc = nic_qp_open(sd->nic, (enum nic_qp_type)type, attr->qkey,
			     &nic_qp);

	return rc ? rc : qp_wrap(d, type, c, nic_qp, out);
}

static void soft_forbid_shm(struct dev_qp *q)
{
	nic_qp_forbid_shm(u_container_of(q, struct soft_qp, qp)->nic_qp);
}

static int soft_srd_open(struct dev *d, const struct dev_qp_attr *attr,
			 struct dev_cq *c, struct dev_qp **out)
{
	struct soft_dev *sd = u_container_of(d, struct soft_dev, dev);
	struct nic_qp *nic_qp;
	int rc;

	rc = nic_qp_open(sd->nic, NIC_QP_SRD, attr->qkey, &nic_qp);
	if (rc)
		return rc;
	nic_qp_set_rnr_retries(nic_qp, attr->rnr_retries);
	nic_qp_set_unsolicited(nic_qp, attr->unsolicited);
	return qp_wrap(d, DEV_QP_SRD, c, nic_qp, out);
}

static struct nic_addr soft_addr(const struct dev_addr *addr)
{
	struct nic_addr na = { .qpn = addr->qpn, .qkey = addr->qkey };

	memcpy(na.gid, addr->gid, sizeof(na.gid));
	return na;
}

static int soft_qp_open_as(struct dev *d, enum dev_qp_type type,
			   struct dev_cq *c, const struct dev_addr *addr,
			   struct dev_qp **out)
{
	struct soft_dev *sd = u_container_of(d, struct soft_dev, dev);
	struct nic_addr na = soft_addr(addr);
	struct nic_qp *nic_qp;
	int rc = nic_qp_open_as(sd->nic, (enum nic_qp_type)type, &na, &nic_qp);

	return rc ? rc : qp_wrap(d, type, c, nic_qp, out);
}

static void soft_qp_close(struct dev_qp *q)
{
	struct soft_qp *qp = u_container_of(q, struct soft_qp, qp);

	if (qp->reads)
		u_info("%s: %llu of %llu reads were refused on purpose",
		       q->dev->info.name, (unsigned long long)qp->refused,
		       (unsigned long long)qp->reads);
	soft_cq_remove(u_container_of(q->cq, struct soft_cq, cq), qp);
	nic_qp_close(qp->nic_qp);
	free(qp);
}

static int soft_ah_open(struct dev_qp *q, const struct dev_addr *addr,
			uint64_t cookie, struct dev_ah **out)
{
	struct soft_qp *qp = u_container_of(q, struct soft_qp, qp);
	struct nic_addr na = soft_addr(addr);
	struct soft_ah *ah = malloc(sizeof(*ah));
	int rc;

	if (!ah)
		return -ENOMEM;
	rc = nic_ah_open(qp->nic_qp, &na, cookie, &ah->nic_ah);
	if (rc) {
		free(ah);
		return rc;
	}
	ah->ah.qp = q;
	ah->ah.addr = *addr;
	*out = &ah->ah;
	return 0;
}

static void soft_ah_close(struct dev_ah *a)
{
	struct soft_ah *ah = u_container_of(a, struct soft_ah, ah);

	nic_ah_close(ah->nic_ah);
	free(ah);
}

static bool soft_ah_reach(struct dev_ah *a)
{
	return nic_ah_reach(u_container_of(a, struct soft_ah, ah)->nic_ah) ==
	       NIC_OK;
}

static int soft_source(struct dev_qp *q, uint32_t source, struct dev_addr *addr)
{
	struct soft_qp *qp = u_container_of(q, struct soft_qp, qp);
	struct nic_addr na;
	int rc = nic_source(qp->nic_qp, source, &na);

	if (rc)
		return rc;
	memcpy(addr->gid, na.gid, sizeof(addr->gid));
	addr->qpn = na.qpn;
	addr->qkey = na.qkey;
	return 0;
}

static void soft_set_pressure(struct dev_qp *q, bool on)
{
	nic_set_pressure(u_container_of(q, struct soft_qp, qp)->nic_qp, on);
}

static int soft_post_recv(struct dev_qp *q, uint64_t id, void *buf, size_t len,
			  struct dev_mr *mr)
{
	(void)mr;
	return nic_post_recv(u_container_of(q, struct soft_qp, qp)->nic_qp, id,
			     buf, len);
}

static bool soft_revoke(struct dev_qp *q, uint64_t id)
{
	return nic_qp_revoke(u_container_of(q, struct soft_qp, qp)->nic_qp, id);
}

static int soft_recv_at(const struct dev_qp *q, uint32_t nth, uint64_t *id)
{
	return nic_recv_at(u_container_of(q, const struct soft_qp, qp)->nic_qp,
			   nth, id);
}

static void soft_recv_revoke(struct dev_qp *q, uint32_t nth)
{
	nic_recv_revoke(u_container_of(q, struct soft_qp, qp)->nic_qp, nth);
}

static const struct dev_ops soft_ops = {
	.close = soft_close,
	.cq_open = soft_cq_open,
	.cq_close = soft_cq_close,
	.cq_fd = soft_cq_fd,
	.cq_arm = soft_cq_arm,
	.qp_open = soft_qp_open,
	.qp_close = soft_qp_close,
	.ah_open = soft_ah_open,
	.ah_close = soft_ah_close,
	.mr_open = soft_mr_open,
	.mr_close = soft_mr_close,
	.mr_hold = soft_mr_hold,
	.mr_release = soft_mr_release,
	.source = soft_source,
	.set_pressure = soft_set_pressure,
	.post = soft_post,
	.post_recv = soft_post_recv,
	.poll = soft_poll,
	.give_back = soft_give_back,
	.revoke = soft_revoke,
	.recv_at = soft_recv_at,
	.recv_revoke = soft_recv_revoke,
	.forbid_shm = soft_forbid_shm,
	.srd_open = soft_srd_open,
	.qp_open_as = soft_qp_open_as,
	.ah_reach = soft_ah_reach,
};

/* The interface or port of that name, which must still have the address. */
static int soft_find(const struct dev_info *info, struct nic_info *out)
{
	bool ud = info->kind == DEV_KIND_UD;
	struct nic_info *nics = NULL;
	int n = ud ? nic_list_verbs(info->name, &nics) :
		     nic_list(info->ifname, &nics);
	int rc = -ENODEV;

	if (n < 0)
		return n;
	for (int i = 0; i < n && rc; i++) {
		if (strcmp(nics[i].name, info->name) ||
		    memcmp(nics[i].gid, info->gid, sizeof(info->gid)))
			continue;
		*out = nics[i];
		rc = 0;
	}
	if (rc)
		u_warn("%s no longer has the address %s", info->name,
		       info->link_addr);
	free(nics);
	return rc;
}

static void tell_device(const struct dev_info *info,
			const struct dev_config *config)
{
	if (info->kind == DEV_KIND_UD)
		u_info("%s: UD queue pairs of an RDMA NIC, address %s%s%s",
		       info->name, info->link_addr,
		       *info->ifname ? ", interface " : "", info->ifname);
	else
		u_info("%s: software EFA on interface %s, address %s (%s)",
		       info->name, info->ifname, info->link_addr,
		       config->iface && *config->iface ?
			       "it was asked for by name" :
			       "that of the default route, else loopback");
}

/* Which device, which wires, and why: what a puzzled user asks first. */
static void soft_tell(const struct dev_info *info,
		      const struct dev_config *config)
{
	const char *far = info->kind == DEV_KIND_UD ? "the NIC" : "UDP";

	tell_device(info, config);
	if (config->no_shm)
		u_info("%s: all peers are reached over %s: shared memory is "
		       "off",
		       info->name, far);
	else
		u_info("%s: peers on this host are reached through shared "
		       "memory in %s, large messages by %s; those on others "
		       "over %s",
		       info->name,
		       config->shm_dir ? config->shm_dir : "/dev/shm",
		       config->no_cma ?
			       "the ring (cross-memory attach is off)" :
			       "cross-memory attach where the kernel lets us",
		       far);
}

static struct nic_config nic_config_of(const struct dev_config *config)
{
	return (struct nic_config){
		.shm_dir = config->shm_dir,
		.lane_bytes = config->lane_bytes,
		.port_min = config->port_min,
		.port_max = config->port_max,
		.no_cma = config->no_cma,
		.no_shm = config->no_shm,
		.paths = config->paths,
		.socket_buffer = config->socket_buffer,
		.peer_timeout = config->peer_timeout,
		.check_all = config->check_all,
		.fault = config->fault,
	};
}

static int soft_open(const struct nic_info *ni, const struct nic_config *nc,
		     uint32_t refuse_reads, struct soft_dev **out)
{
	struct soft_dev *sd = calloc(1, sizeof(*sd));
	int rc;

	if (!sd)
		return -ENOMEM;
	rc = nic_open(ni, nc, &sd->nic);
	if (rc) {
		free(sd);
		return rc;
	}
	sd->refuse_reads = refuse_reads;
	if (refuse_reads)
		u_warn("%s: of %u reads one is refused on purpose", ni->name,
		       refuse_reads);
	sd->dev.ops = &soft_ops;
	soft_info(ni, &sd->dev.info);
	*out = sd;
	return 0;
}

int dev_soft_open(const struct dev_info *info, const struct dev_config *config,
		  struct dev **out)
{
	struct nic_config nc = nic_config_of(config);
	struct nic_info ni;
	struct soft_dev *sd;
	int rc;

	rc = soft_find(info, &ni);
	if (!rc)
		rc = soft_open(&ni, &nc, config->refuse_reads, &sd);
	if (rc)
		return rc;
	if (config->no_cma || config->no_shm)
		sd->dev.info.read_min = READ_MIN_RING;
	soft_tell(&sd->dev.info, config);
	*out = &sd->dev;
	return 0;
}

int dev_soft_open_beside(const struct dev_info *other,
			 const struct dev_config *config, struct dev **out)
{
	struct nic_config nc = nic_config_of(config);
	struct nic_info ni = { .up = other->up };
	struct soft_dev *sd;
	int rc;

	nc.shm_only = true;
	memcpy(ni.name, other->name, sizeof(ni.name));
	memcpy(ni.gid, other->gid, sizeof(ni.gid));
	rc = soft_open(&ni, &nc, config->refuse_reads, &sd);
	if (rc)
		return rc;
	*out = &sd->dev;
	return 0;
}
