/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev.h - THE PORT: one verbs-shaped interface to every kind of device
 *
 * rdm/ and fi/ are written once against it. Its implementations: dev_verbs.c
 * (EFA devices), dev_soft.c (the software EFA), dev_rail.c (a card and shared
 * memory), dev_record.c (a device that tests drive by hand). All sends leave
 * through dev_post, all completions enter through dev_poll.
 *
 *      rdm/, fi/
 *         |  dev_post(qp, wr, n)          ^  dev_poll(cq, wc, n)
 *         v                               |  ... dev_give_back(cq)
 *      +----+ qp --------- cq -------------+
 *      |dev | mr, ah
 *      +----+
 *
 * How to drive it
 *   dev_list, dev_open, dev_cq_open, dev_qp_open, dev_ah_open; then dev_post,
 *   dev_poll, dev_give_back, ...; close in the opposite order.
 *
 * Threads: a cq, the qps on it and their ahs belong to one thread at a time.
 * Registration, and opening and closing, may be done by any thread.
 */
#ifndef DEV_H
#define DEV_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct dev_addr {
	uint8_t gid[16];
	uint32_t qpn;
	uint32_t qkey; /* the connid: one incarnation of a queue pair */
};

enum dev_kind {
	DEV_KIND_SOFT, /* a network interface */
	DEV_KIND_UD, /* a port of an RDMA NIC that is no EFA */
	DEV_KIND_VERBS, /* an EFA */
	DEV_KIND_RECORD,
};

#define DEV_NAME_MAX 64

enum dev_caps {
	DEV_CAP_READ = 1, /* RDMA read */
	DEV_CAP_WRITE = 2, /* RDMA write and write with immediate */
	DEV_CAP_UNSOLICITED = 4, /* such a write uses up no receive here */
	DEV_CAP_QKEY = 8, /* dev_source() tells the qkey too */
	DEV_CAP_WATCHES = 16, /* a peer that died is told (DEV_WC_GONE) also
				 when nothing is sent to it any more */
	DEV_CAP_RNR_RETRY = 32, /* SRD: tries of a send may be limited */
};

/* The card under a device; all zero where there is none. */
struct dev_card {
	uint32_t vendor; /* PCI vendor; UD: what the driver says, mostly that of
			    the card's MAC address */
	uint32_t part; /* the vendor's number of the kind of card */
	uint32_t revision;
	char driver[32];
	char firmware[64];
	bool has_pci; /* the next four tell its place on the bus */
	uint16_t pci_domain;
	uint8_t pci_bus, pci_slot, pci_function;
	bool has_numa;
	uint16_t numa; /* the node of memory next to it */
};

/* What a device is and can; const. */
struct dev_info {
	char name[DEV_NAME_MAX];
	enum dev_kind kind;
	uint8_t gid[16];
	uint32_t caps; /* enum dev_caps */
	uint32_t mtu; /* bytes of one send at most */
	uint32_t ud_mtu; /* bytes of one datagram at most, without prefix */
	uint64_t max_rdma; /* bytes of one RDMA operation at most */
	uint64_t read_min; /* bytes from which a message is better pulled by
			      RDMA read than sent in packets */
	uint32_t tx_depth, rx_depth; /* work requests of a queue pair */
	uint32_t max_qp, max_cq, max_mr, max_ah;
	uint32_t key_bytes; /* of dev_mr.key that a peer needs */
	uint32_t version; /* of the device, for handshakes: 0xefa0.. */
	uint64_t speed; /* bits a second; 0 unknown */
	uint32_t link_mtu; /* bytes, of the link below */
	char link_addr[64]; /* text */
	bool up;
	bool infiniband; /* the link; else Ethernet */
	char ifname[DEV_NAME_MAX]; /* soft: the interface; UD: the same, or "" */
	struct dev_card card;
};

enum dev_choice { DEV_AUTO, DEV_ONLY_SOFT, DEV_ONLY_VERBS };

/* Which devices, and how the software one behaves. Strings are borrowed. */
struct dev_config {
	enum dev_choice choice;
	const char *iface; /* comma-separated names of interfaces (soft, UD) or
			      devices, or "all"; NULL: the default */
	bool fork_safe; /* verbs: fork() must do no harm to the parent */
	const char *shm_dir; /* NULL: /dev/shm */
	uint32_t lane_bytes; /* shared-memory ring a sender; 0: default */
	uint16_t port_min, port_max; /* UDP ports of queue pairs; 0, 0: any */
	bool no_cma; /* no cross-memory attach: copy through the ring */
	bool no_shm; /* soft: UDP also between processes of this host */
	bool no_rail; /* verbs: no shared memory beside the card */
	uint32_t paths; /* soft, UD: sending sockets, or queue pairs, of a
			   queue pair; 0: default */
	uint32_t socket_buffer; /* soft: bytes; 0: default */
	uint64_t peer_timeout; /* ns of silence that ends a peer; 0: default */
	bool check_all; /* soft: checksums over payloads between hosts */
	const char *fault; /* soft: a bad network, fi_efa(7); NULL: none */
	uint32_t refuse_reads; /* soft: of an RDM queue pair every how many-th
				  read says -ENOMEM, for tests; 0: none */
	bool no_mr_cache; /* verbs: keep no registration of user memory */
	uint64_t mr_cache_count; /* verbs: kept at most; 0: 90 % of max_mr */
	uint64_t mr_cache_bytes; /* verbs: kept at most; 0: no limit of ours */
};

/*
 * Devices that can be opened, best first. The list is the caller's to free().
 * Returns their number, 0 when there is none, or -ENODEV (a name in the filter
 * does not exist; logged with those that do) or -ENOMEM.
 */
int dev_list(const struct dev_config *config, struct dev_info **list);

struct dev_ops;

/* An open device with its protection domain. */
struct dev {
	const struct dev_ops *ops;
	struct dev_info info;
};

struct dev_cq {
	const struct dev_ops *ops;
	struct dev *dev;
};

enum dev_qp_type {
	DEV_QP_RDM, /* reliable, unordered; the device lends packets */
	DEV_QP_UD, /* datagrams into posted receives, 40-byte prefix */
	DEV_QP_SRD, /* reliable, unordered, into posted receives */
};

struct dev_qp {
	const struct dev_ops *ops;
	struct dev *dev;
	struct dev_cq *cq;
	enum dev_qp_type type;
	struct dev_addr addr; /* our own; const after open */
};

#define DEV_RNR_FOREVER 7
#define DEV_RNR_TRIES 3 /* by default, of an RDM queue pair */

/* What a queue pair is to be. */
struct dev_qp_attr {
	uint32_t qkey; /* random, nonzero, top bit clear */
	uint8_t rnr_retries; /* of a send while the peer has no receive for it,
				0..6; DEV_RNR_FOREVER. Then SRD: DEV_RNR; RDM:
				the device here tries on, without end */
	bool unsolicited; /* SRD: DEV_WC_WRITTEN uses up no receive here */
	bool low_latency; /* a wish: RDM, SRD have the service level for it,
			     where the device knows levels */
};

/* A destination of one queue pair. */
struct dev_ah {
	struct dev_qp *qp;
	struct dev_addr addr;
};

enum dev_access {
	DEV_REMOTE_READ = 1,
	DEV_REMOTE_WRITE = 2,
	/* For one operation of our own: where registering is dear, the device
	   may keep the registration when it is closed, for the next one, if
	   it is over (dev_mr.over). Several at a time over the same bytes may
	   have one key, which ends with the last of them. */
	DEV_MR_BRIEF = 4,
};

struct dev_mr {
	struct dev *dev;
	uint64_t addr;
	uint64_t len;
	uint64_t key; /* what a peer names it by */
	bool over; /* set before close: peers are known to be done with it, so
		      that none has to be waited for */
};

/* On which of its ways to a region's memory the device is, where it tells. */
struct dev_mr_ids {
	uint16_t valid; /* bit 0: recv says something, 1: read, 2: rdma_recv */
	uint16_t recv; /* of what receives write there */
	uint16_t read; /* of what peers' RDMA reads fetch there */
	uint16_t rdma_recv; /* of what peers' RDMA writes put there */
};

/* A range of our memory as a peer names it. */
struct dev_range {
	uint64_t addr;
	uint64_t len;
	uint64_t key; /* as it came: may have more bits than a key of ours */
};

#define DEV_UD_PREFIX 40

enum dev_op { DEV_SEND, DEV_READ, DEV_WRITE, DEV_WRITE_IMM };

enum dev_wr_flags {
	/* A peer short of memory may hold it back: dev_set_pressure(). */
	DEV_WR_REQUEST = 1,
	/* SEND carries imm. */
	DEV_WR_IMM = 2,
};

/* A send-side work request. */
struct dev_wr {
	uint64_t id; /* comes back in dev_wc.id */
	struct dev_ah *ah;
	const void *hdr; /* SEND: bytes before iov; copied by dev_post */
	const struct iovec *iov; /* SEND: payload; READ, WRITE: one element,
				    the local buffer */
	uint32_t hdr_len;
	uint16_t iovcnt; /* up to 4 */
	uint8_t op; /* enum dev_op */
	uint8_t flags; /* enum dev_wr_flags */
	uint32_t imm;
	uint64_t remote; /* READ, WRITE: address in the peer's region */
	uint64_t rkey; /* READ, WRITE: its key there */
	struct dev_mr *mr; /* registration of iov, or NULL (devices that need
			      one copy or register by themselves) */
	uint64_t len; /* bytes of iov */
	/* Out: the device is done with it, successfully; no completion. */
	bool done;
};

enum dev_wc_op {
	DEV_WC_SEND,
	DEV_WC_READ,
	DEV_WC_WRITE,
	DEV_WC_RECV, /* RDM: data is lent; else it lies in the buffer of id, or
			status says why nothing does: DEV_TOO_LONG more came
			than that holds, DEV_BAD_LKEY its region was closed,
			DEV_QP_ERROR or DEV_FLUSHED the queue pair has failed */
	DEV_WC_WRITTEN, /* a peer's WRITE_IMM ended here; len bytes, imm; SRD:
			   id of the receive that it used up, if any */
	DEV_WC_GONE, /* the peer of an ah died or closed: id is the ah's
			cookie; nothing arrives from it any more, what was
			sent to it and not done completes in error; a status
			that says so comes before */
};

#define DEV_SOURCE_UNKNOWN UINT32_MAX

struct dev_wc {
	uint64_t id;
	const void *data; /* lent until dev_give_back; it may lie in memory
			     that a peer can write: copy out, then judge */
	uint32_t len; /* bytes; UD: the 40-byte prefix included */
	uint32_t source; /* dense number of the sender: dev_source() */
	uint32_t imm;
	uint8_t op; /* enum dev_wc_op */
	uint8_t status; /* 0, or the device's number: enum dev_status */
	bool has_imm;
};

/* Completion statuses, as the EFA device numbers them; text in fi_efa(7). */
enum dev_status {
	DEV_OK = 0,
	DEV_FLUSHED = 1,
	DEV_QP_ERROR = 2,
	DEV_BAD_OP = 3,
	DEV_BAD_AH = 4,
	DEV_BAD_LKEY = 5,
	DEV_TOO_LONG = 6,
	DEV_BAD_RKEY = 7,
	DEV_PEER_RESET = 8,
	DEV_NO_QP = 9,
	DEV_RNR = 10,
	DEV_SHORT_RECV = 11,
	DEV_BAD_RESPONSE = 12,
	DEV_UNRESPONSIVE = 13,
	DEV_NO_AH = 14,
	DEV_UNREACHABLE = 15,
	DEV_FEATURE = 18,
};

/* A device implementation; called through the functions below. */
struct dev_ops {
	void (*close)(struct dev *dev);
	int (*cq_open)(struct dev *dev, struct dev_cq **cq);
	void (*cq_close)(struct dev_cq *cq);
	int (*cq_fd)(struct dev_cq *cq);
	int (*cq_arm)(struct dev_cq *cq);
	int (*qp_open)(struct dev *dev, enum dev_qp_type type,
		       struct dev_cq *cq, const struct dev_qp_attr *attr,
		       struct dev_qp **qp);
	void (*qp_close)(struct dev_qp *qp);
	int (*ah_open)(struct dev_qp *qp, const struct dev_addr *addr,
		       uint64_t cookie, struct dev_ah **ah);
	void (*ah_close)(struct dev_ah *ah);
	int (*mr_open)(struct dev *dev, void *addr, size_t len, uint32_t access,
		       struct dev_mr **mr);
	int (*mr_close)(struct dev_mr *mr);
	bool (*mr_hold)(struct dev *dev, const struct dev_range *range, int n,
			uint32_t access);
	void (*mr_release)(struct dev *dev);
	int (*source)(struct dev_qp *qp, uint32_t source,
		      struct dev_addr *addr);
	void (*set_pressure)(struct dev_qp *qp, bool on);
	int (*post)(struct dev_qp *qp, struct dev_wr *wr, int n);
	int (*post_recv)(struct dev_qp *qp, uint64_t id, void *buf, size_t len,
			 struct dev_mr *mr);
	int (*poll)(struct dev_cq *cq, struct dev_wc *wc, int n);
	void (*give_back)(struct dev_cq *cq);

	/* NULL: what the hardware has it ends by itself. */
	bool (*revoke)(struct dev_qp *qp, uint64_t id);
	/* NULL, both: the same, of receives. */
	int (*recv_at)(const struct dev_qp *qp, uint32_t nth, uint64_t *id);
	void (*recv_revoke)(struct dev_qp *qp, uint32_t nth);
	/* NULL: there is no shared memory to forbid. */
	void (*forbid_shm)(struct dev_qp *qp);
	/* NULL: the ways to memory have no numbers. */
	int (*mr_ids)(struct dev_mr *mr, struct dev_mr_ids *ids);
	/* NULL: no SRD queue pairs. */
	int (*srd_open)(struct dev *dev, const struct dev_qp_attr *attr,
			struct dev_cq *cq, struct dev_qp **qp);

	/* Of a device that another one has beside it (dev_rail.h); else NULL.
	   A queue pair under the other's address; whether a peer can be had. */
	int (*qp_open_as)(struct dev *dev, enum dev_qp_type type,
			  struct dev_cq *cq, const struct dev_addr *addr,
			  struct dev_qp **qp);
	bool (*ah_reach)(struct dev_ah *ah);
};

/* -ENODEV the device has gone, -ENOMEM, or what the system said (logged). */
int dev_open(const struct dev_info *info, const struct dev_config *config,
	     struct dev **dev);

static inline void dev_close(struct dev *dev)
{
	dev->ops->close(dev);
}

static inline int dev_cq_open(struct dev *dev, struct dev_cq **cq)
{
	return dev->ops->cq_open(dev, cq);
}

/* Its queue pairs must be closed before. */
static inline void dev_cq_close(struct dev_cq *cq)
{
	cq->ops->cq_close(cq);
}

/* Becomes readable when an armed cq has work; -ENOSYS where there is none. */
static inline int dev_cq_fd(struct dev_cq *cq)
{
	return cq->ops->cq_fd(cq);
}

/* 0: armed, nothing to poll; 1: poll now. The next dev_poll disarms. */
static inline int dev_cq_arm(struct dev_cq *cq)
{
	return cq->ops->cq_arm(cq);
}

/*
 * RDM or UD. Devices without DEV_CAP_RNR_RETRY, and those that need no
 * receives, do not look at rnr_retries. Errors are logged with what to do.
 */
static inline int dev_qp_open(struct dev *dev, enum dev_qp_type type,
			      struct dev_cq *cq, const struct dev_qp_attr *attr,
			      struct dev_qp **qp)
{
	return dev->ops->qp_open(dev, type, cq, attr, qp);
}

/*
 * Shared memory is neither used to peers nor offered to them. Right after
 * opening, before anybody knows the address.
 */
static inline void dev_qp_forbid_shm(struct dev_qp *qp)
{
	if (qp->ops->forbid_shm)
		qp->ops->forbid_shm(qp);
}

/*
 * Besides: -ENOSYS the device, or what lies below it, has no such queue pairs,
 * or cannot limit retries; -EOPNOTSUPP it cannot receive unsolicited.
 */
static inline int dev_srd_open(struct dev *dev, const struct dev_qp_attr *attr,
			       struct dev_cq *cq, struct dev_qp **qp)
{
	if (!dev->ops->srd_open)
		return -ENOSYS;
	return dev->ops->srd_open(dev, attr, cq, qp);
}

/* Its ahs must be closed before. Lent packets go back. */
static inline void dev_qp_close(struct dev_qp *qp)
{
	qp->ops->qp_close(qp);
}

/*
 * -EINVAL an address that cannot be, -ENOMEM. No packet is sent, but hardware
 * may take milliseconds.
 */
static inline int dev_ah_open(struct dev_qp *qp, const struct dev_addr *addr,
			      uint64_t cookie, struct dev_ah **ah)
{
	return qp->ops->ah_open(qp, addr, cookie, ah);
}

/* Operations on it that are not done are forgotten. */
static inline void dev_ah_close(struct dev_ah *ah)
{
	ah->qp->ops->ah_close(ah);
}

/* -ENOMEM no key or memory left, -EINVAL the range wraps. */
static inline int dev_mr_open(struct dev *dev, void *addr, size_t len,
			      uint32_t access, struct dev_mr **mr)
{
	return dev->ops->mr_open(dev, addr, len, access, mr);
}

/*
 * Peers' operations on it end with DEV_BAD_RKEY from now on, and none of them
 * touches the memory after it has returned 0. -EBUSY: a peer was stopped in the
 * middle of one; no other begins, and the call is to be made again.
 */
static inline int dev_mr_close(struct dev_mr *mr)
{
	return mr->dev->ops->mr_close(mr);
}

/* 0, nothing may be valid; or what the library said. */
static inline int dev_mr_ids(struct dev_mr *mr, struct dev_mr_ids *ids)
{
	if (mr->dev->ops->mr_ids)
		return mr->dev->ops->mr_ids(mr, ids);
	*ids = (struct dev_mr_ids){ .valid = 0 };
	return 0;
}

/*
 * For remote access that software carries out: whether a peer may access all
 * of range[0..n) so (enum dev_access bits). True: what is registered stays so
 * until dev_mr_release(), which the same thread calls soon; between the two it
 * calls nothing else of the device. One holds at a time. A range of no bytes
 * needs no key.
 */
static inline bool dev_mr_hold(struct dev *dev, const struct dev_range *range,
			       int n, uint32_t access)
{
	return dev->ops->mr_hold(dev, range, n, access);
}

static inline void dev_mr_release(struct dev *dev)
{
	dev->ops->mr_release(dev);
}

/*
 * Address of a source number: gid, qpn, and qkey or 0 where unknown. A number
 * belongs to one address while the queue pair lives. -ENOENT: not given yet.
 */
static inline int dev_source(struct dev_qp *qp, uint32_t source,
			     struct dev_addr *addr)
{
	return qp->ops->source(qp, source, addr);
}

/* While on, peers hold back DEV_WR_REQUEST work where the device can say. */
static inline void dev_set_pressure(struct dev_qp *qp, bool on)
{
	qp->ops->set_pressure(qp, on);
}

/*
 * Posts wr[0..n) in order. Returns how many were accepted (each of them is
 * done, or a completion with its id follows; a bad destination shows there,
 * never here), or, when none was, -EAGAIN (poll, then try again), -EMSGSIZE or
 * -EINVAL about wr[0], or -ENOMEM: a READ cannot go to that local buffer, which
 * the device would have to register and cannot.
 */
static inline int dev_post(struct dev_qp *qp, struct dev_wr *wr, int n)
{
	return qp->ops->post(qp, wr, n);
}

/*
 * The local memory of RDMA that was posted with this id goes: software touches
 * it no more, and what is under way ends with DEV_FLUSHED where software does
 * it. Hardware ends it with a status of its own once the region is closed that
 * the request named. True: something ends by this call, poll for it.
 */
static inline bool dev_revoke(struct dev_qp *qp, uint64_t id)
{
	return qp->ops->revoke && qp->ops->revoke(qp, id);
}

/*
 * The id of the nth oldest receive that is posted, from 0. -ENOENT: there are
 * fewer, or hardware has them all.
 */
static inline int dev_recv_at(const struct dev_qp *qp, uint32_t nth,
			      uint64_t *id)
{
	return qp->ops->recv_at ? qp->ops->recv_at(qp, nth, id) : -ENOENT;
}

/*
 * The memory of that receive goes: nothing is written there any more, and what
 * comes for it ends it with DEV_BAD_LKEY. Hardware does so once the region is
 * closed that the receive named.
 */
static inline void dev_recv_revoke(struct dev_qp *qp, uint32_t nth)
{
	qp->ops->recv_revoke(qp, nth);
}

/*
 * UD: a receive buffer for prefix and payload; SRD: for the payload of one
 * message. -EAGAIN when full. mr: its registration or NULL, as in dev_wr.
 */
static inline int dev_post_recv(struct dev_qp *qp, uint64_t id, void *buf,
				size_t len, struct dev_mr *mr)
{
	return qp->ops->post_recv(qp, id, buf, len, mr);
}

/*
 * Makes progress and returns up to n completions; what they lend must be
 * given back before the next poll.
 */
static inline int dev_poll(struct dev_cq *cq, struct dev_wc *wc, int n)
{
	return cq->ops->poll(cq, wc, n);
}

static inline void dev_give_back(struct dev_cq *cq)
{
	cq->ops->give_back(cq);
}

#endif
