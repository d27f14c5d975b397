/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_send.c - the send path: one call into the wire when all is well
 */
#include "nic_priv.h"

#include <errno.h>

_Static_assert(NIC_SEND_REQUEST >> 1 == WIRE_SHM_REQUEST && NIC_SEND_IMM == 1,
	       "nic_send shifts flags instead of testing them");

U_COLD int nic_send_failed(struct nic_ah *ah, uint64_t id,
			   enum nic_status status)
{
	struct nic_qp *qp = ah->qp;

	if (qp->type == NIC_QP_UD)
		return 0;
	if (!nic_done_room(qp))
		return -EAGAIN;
	nic_done_push(qp, ah, id, NIC_WC_SEND, status);
	return 1;
}

static U_COLD int send_refused(struct nic_ah *ah, uint64_t id)
{
	switch (ah->qp->type) {
	case NIC_QP_UD:
		return nic_ud_full(ah);
	case NIC_QP_SRD:
		return nic_srd_refused(ah, id);
	case NIC_QP_RDM:
		break;
	}
	return -EAGAIN;
}

/* The wire said something else than "written". */
static U_COLD int send_odd(struct nic_ah *ah, uint64_t id, int rc)
{
	struct nic_path *p = ah->path;

	switch (rc) {
	case 1:
		nic_path_wake(p);
		ah->tx_packets++;
		return 0;
	case -EAGAIN:
		return send_refused(ah, id);
	default:
		nic_path_die(p);
		return nic_send_failed(ah, id, NIC_NO_QP);
	}
}

static int send_imm(struct nic_ah *ah, uint64_t id, int flags, uint32_t imm,
		    const void *hdr, size_t hdr_len, const struct iovec *iov,
		    int iovcnt, size_t len)
{
	struct nic_pkt_imm h = { .imm = imm };
	struct iovec all[NIC_IOV_MAX + 1];
	int rc;

	if (iovcnt > NIC_IOV_MAX)
		return -EINVAL;
	all[0].iov_base = (void *)(uintptr_t)hdr;
	all[0].iov_len = hdr_len;
	for (int i = 0; i < iovcnt; i++)
		all[i + 1] = iov[i];
	rc = wire_shm_send(ah->link, NIC_PKT_SEND_IMM, flags >> 1, &h,
			   sizeof(h), all, iovcnt + 1, hdr_len + len);
	if (u_unlikely(rc != 0))
		return send_odd(ah, id, rc);
	ah->tx_packets++;
	return 0;
}

static inline int send_plain(struct nic_ah *ah, uint64_t id, int flags,
			     const void *hdr, size_t hdr_len,
			     const struct iovec *iov, int iovcnt, size_t len)
{
	int rc = wire_shm_send(ah->link, NIC_PKT_SEND, flags >> 1, hdr, hdr_len,
			       iov, iovcnt, len);

	if (u_unlikely(rc != 0))
		return send_odd(ah, id, rc);
	ah->tx_packets++;
	return 0;
}

/* What is looked at before room, so that it says how room is meant: ROOM. */
static bool send_too_long(const struct nic_ah *ah, size_t len)
{
	return ah->flags && !wire_shm_link_pressed(ah->link) &&
	       len > wire_shm_link_room(ah->link);
}

/* No link yet, or none at all; an immediate; more than the peer expects. */
static U_COLD int send_slow(struct nic_ah *ah, uint64_t id, int flags,
			    uint32_t imm, const void *hdr, size_t hdr_len,
			    const struct iovec *iov, int iovcnt, size_t len)
{
	enum nic_status status;

	if (!ah->link) {
		status = nic_path_resolve(ah->path);
		if (status)
			return nic_send_failed(ah, id, status);
	}
	if (ah->path->state == NIC_PATH_FAR)
		return nic_far_send(ah, id, flags, imm, hdr, hdr_len, iov,
				    iovcnt, len);
	if (send_too_long(ah, hdr_len + len))
		return nic_send_failed(ah, id, NIC_SHORT_RECV);
	if (flags & NIC_SEND_IMM)
		return send_imm(ah, id, flags, imm, hdr, hdr_len, iov, iovcnt,
				len);
	return send_plain(ah, id, flags, hdr, hdr_len, iov, iovcnt, len);
}

static inline uint32_t send_max(const struct nic_qp *qp)
{
	return qp->type == NIC_QP_UD ? qp->nic->ud_max : NIC_MTU;
}

int nic_send(struct nic_ah *ah, uint64_t id, int flags, uint32_t imm,
	     const void *hdr, size_t hdr_len, const struct iovec *iov,
	     int iovcnt, size_t len)
{
	uint32_t max = send_max(ah->qp);

	if (u_unlikely(hdr_len > max || len > max - hdr_len))
		return -EMSGSIZE;
	flags |= ah->flags;
	if (u_unlikely(!ah->link || (flags & NIC_SEND_IMM) ||
		       (ah->flags &&
			hdr_len + len > wire_shm_link_room(ah->link))))
		return send_slow(ah, id, flags, imm, hdr, hdr_len, iov, iovcnt,
				 len);
	return send_plain(ah, id, flags, hdr, hdr_len, iov, iovcnt, len);
}
