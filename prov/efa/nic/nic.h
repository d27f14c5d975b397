/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic.h - door of the software NIC: queue pairs, keys, RDMA, one pump
 *
 * A nic stands for one network interface, or for one port of an RDMA NIC. Its
 * queue pairs behave as those of an EFA device: reliable ones lend the packets
 * they receive (NIC_QP_RDM) or put them into receives that the user posted
 * (NIC_QP_SRD), UD ones (NIC_QP_UD) put them into such receives and may lose
 * them. A queue pair number is the UDP port that it holds, or that of the UD
 * queue pair of the RDMA NIC. Peers on this host are reached through shared
 * memory, all others by the SRD engine over UDP or UD, and so are those here
 * whose memory cannot be shared.
 *
 *                                     +-----+  <-> lanes of shared memory
 *   post: send, rdma, post_recv  -->  |     |
 *   poll <-- completions ----------   | qp  |  <-> srd <-> wire_udp,
 *                                     +-----+       ^     wire_ud
 *                              a thread drives it: while nobody polls
 * How to drive it
 *   nic_list, nic_open, nic_qp_open, nic_ah_open; then (send | rdma |
 *   post_recv | poll, give_back)*; nic_ah_close, nic_qp_close, nic_close.
 *
 * One thread at a time for one queue pair with its handles; nic_mr_* and
 * nic_qp_open/close of one nic may be called by any thread.
 */
#ifndef NIC_H
#define NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define NIC_MTU 8928 /* bytes of one send at most, headers of rdm included */
#define NIC_MAX_RDMA (UINT64_C(1) << 30) /* bytes of one RDMA operation */
#define NIC_UD_PREFIX 40 /* bytes before the payload of a UD receive */
#define NIC_IOV_MAX 8 /* elements of a gather list */
#define NIC_RECV_IOV 2 /* elements of a posted receive */
#define NIC_RECV_MAX 8192 /* receives of a queue pair */
#define NIC_RNR_FOREVER 7
#define NIC_NAME_MAX 64
#define NIC_QPN_MAX 0xffffffu
/* Of a queue pair to other hosts, unless configured. */
#define NIC_PATHS 32
#define NIC_PATHS_UD 4

enum nic_wire { NIC_WIRE_UDP, NIC_WIRE_UD };

/* One interface or port that can be opened. */
struct nic_info {
	char name[NIC_NAME_MAX]; /* of the device: "soft_" + interface, or the
				    RDMA device, a second port being ".2" */
	enum nic_wire wire; /* to other hosts */
	char ifname[NIC_NAME_MAX]; /* RDMA: "" when it has none */
	char verbs[NIC_NAME_MAX]; /* RDMA device; "" */
	uint8_t port; /* of it */
	uint8_t gid[16]; /* IPv6, or IPv4-mapped; InfiniBand: wire_ud.h */
	uint32_t link_mtu; /* bytes */
	uint64_t speed; /* bits a second; 0 unknown */
	uint8_t mac[6];
	bool up;
	bool infiniband; /* else Ethernet */
	/* RDMA: of the card, as its driver says; else 0 and "" */
	uint32_t vendor, part, revision;
	char firmware[64];
};

/*
 * Interfaces to use, best first. filter: NULL or "" for the interface of the
 * default route, else loopback; "all" for every one that is up and has an
 * address; else comma-separated interface or device names. The list is the
 * caller's to free(). Returns their number; -ENODEV when a name in the filter
 * does not exist (the log line names it and lists what exists); -ENOMEM.
 */
int nic_list(const char *filter, struct nic_info **list);

/*
 * The same of ports of RDMA NICs, an EFA not among them, the fastest first.
 * filter: NULL, "" and "all" for every one that is active and has an address;
 * else comma-separated names of RDMA devices, ports or interfaces. 0: there is
 * none, or none of these.
 */
int nic_list_verbs(const char *filter, struct nic_info **list);

struct nic_config {
	const char *shm_dir; /* NULL: /dev/shm */
	uint32_t lane_bytes; /* 0: the wire's default */
	uint16_t port_min, port_max; /* of queue pairs; 0, 0: the kernel's */
	bool no_cma; /* ring copies instead of cross-memory attach */
	bool no_shm; /* peers on this host are reached as those on others, and
			reach us so */
	bool shm_only; /* no others: queue pairs by nic_qp_open_as alone */
	uint32_t paths; /* sending sockets of a queue pair, 1..64, or sending
			   queue pairs, 1..16; 0: NIC_PATHS, NIC_PATHS_UD */
	uint32_t socket_buffer; /* bytes wanted, also of receive buffers of an
				   RDMA NIC; 0: the wire's default */
	uint64_t peer_timeout; /* ns of silence that ends a peer; 0: default */
	bool check_all; /* checksums over payloads too */
	const char *fault; /* wire_fault_parse(); NULL: the network as it is */
};

struct nic_addr {
	uint8_t gid[16];
	uint32_t qpn;
	uint32_t qkey; /* the connid of the incarnation */
};

/* Completion statuses: the EFA device's numbers (fi_efa(7)). */
enum nic_status {
	NIC_OK = 0,
	NIC_FLUSHED = 1,
	NIC_BAD_OP = 3,
	NIC_BAD_LKEY = 5,
	NIC_TOO_LONG = 6,
	NIC_BAD_RKEY = 7,
	NIC_PEER_RESET = 8,
	NIC_NO_QP = 9,
	NIC_RNR = 10,
	NIC_SHORT_RECV = 11,
	NIC_UNRESPONSIVE = 13,
	NIC_UNREACHABLE = 15,
};

enum nic_qp_type { NIC_QP_RDM, NIC_QP_UD, NIC_QP_SRD };

enum nic_access {
	NIC_REMOTE_READ = 1,
	NIC_REMOTE_WRITE = 2,
};

struct nic;
struct nic_qp;
struct nic_ah; /* a destination: address and the way to it */

/* Bytes of a UD send at most; less than NIC_MTU where packets are not cut. */
uint32_t nic_ud_max(const struct nic_info *info);

/* Errors are logged with what to do. */
int nic_open(const struct nic_info *info, const struct nic_config *config,
	     struct nic **out);
/* -EBUSY while queue pairs or regions are open. */
int nic_close(struct nic *nic);

/*
 * Registers [addr, addr + len) for remote `access` (enum nic_access bits).
 * Writes a 32-bit key that no earlier region had lately. Errors: -ENOMEM no
 * key left, -EINVAL the range wraps. dereg: operations on it end with
 * NIC_BAD_RKEY from now on, and none of them touches the memory after it has
 * returned 0; -EINVAL not a key in use; -EBUSY a peer was stopped in the middle
 * of a copy, try again. dereg_over: the same where peers are known to have
 * ended, which are not waited for.
 */
int nic_mr_reg(struct nic *nic, void *addr, size_t len, uint32_t access,
	       uint32_t *key);
int nic_mr_dereg(struct nic *nic, uint32_t key);
int nic_mr_dereg_over(struct nic *nic, uint32_t key);

/* A range of our memory as a peer names it. */
struct nic_range {
	uint64_t addr;
	uint64_t len; /* 0: no key is needed */
	uint64_t key;
};

/*
 * Whether a peer may access all of range[0..n) so (enum nic_access bits). True:
 * no region goes until nic_mr_release(), which the same thread calls soon, and
 * nothing else of the nic before.
 */
bool nic_mr_hold(struct nic *nic, const struct nic_range *range, int n,
		 uint32_t access);
void nic_mr_release(struct nic *nic);

/*
 * qkey: nonzero, drawn by the caller anew for each queue pair. Errors: -ENOSPC
 * /dev/shm is full, -EADDRINUSE no port left in the range, -EMFILE.
 */
int nic_qp_open(struct nic *nic, enum nic_qp_type type, uint32_t qkey,
		struct nic_qp **out);

/*
 * A queue pair under an address that somebody else owns, with shm_only: peers
 * that have a segment on this host are reached by it, all others are
 * NIC_UNREACHABLE. Errors: -EINVAL without shm_only or with an address that
 * cannot be, -EADDRINUSE a living process here has the address, -ENOSPC.
 */
int nic_qp_open_as(struct nic *nic, enum nic_qp_type type,
		   const struct nic_addr *addr, struct nic_qp **out);

/*
 * Another qkey, for a queue pair that must say its number before it knows its
 * key. -EBUSY when a handle was opened or a peer has written already.
 */
int nic_qp_set_qkey(struct nic_qp *qp, uint32_t qkey);

/*
 * No shared memory, neither to peers nor from them: all are reached as those
 * on other hosts. Right after opening, before anybody knows the address; not
 * with shm_only.
 */
void nic_qp_forbid_shm(struct nic_qp *qp);

/*
 * SRD: how often a send is tried again while the receiver has no receive
 * posted, before it ends with NIC_RNR: 0..6; NIC_RNR_FOREVER, as at first.
 */
void nic_qp_set_rnr_retries(struct nic_qp *qp, uint32_t retries);

/*
 * SRD, before anything was received: on, a peer's write with immediate uses up
 * no receive and needs none, as on an RDM queue pair.
 */
void nic_qp_set_unsolicited(struct nic_qp *qp, bool on);

/* Handles of the queue pair must be closed before. */
void nic_qp_close(struct nic_qp *qp);
void nic_qp_addr(const struct nic_qp *qp, struct nic_addr *addr);

/*
 * A destination. Does no I/O: the way is found at first use. cookie comes back
 * in the NIC_WC_GONE completion. Errors: -EINVAL an address that cannot be
 * (zero gid or queue pair number), -ENOMEM. At close operations that are not
 * done are forgotten: no completion comes for them or the handle, also none
 * that nobody polled yet.
 */
int nic_ah_open(struct nic_qp *qp, const struct nic_addr *addr, uint64_t cookie,
		struct nic_ah **out);
void nic_ah_close(struct nic_ah *ah);

/* Looks for the way, as the first send does: NIC_OK, or how a send would end.
 */
enum nic_status nic_ah_reach(struct nic_ah *ah);

enum nic_send_flags {
	NIC_SEND_IMM = 1, /* imm travels along */
	NIC_SEND_REQUEST = 2, /* may be refused under pressure */
};

/*
 * Sends hdr and then len bytes of iov as one packet of hdr_len + len <=
 * NIC_MTU bytes; iovcnt <= NIC_IOV_MAX. Returns 0: done, the packet lies with
 * the peer, no completion follows. 1: accepted, a completion with id follows
 * (errors come this way). -EAGAIN: no room; poll and try again. -EMSGSIZE.
 *
 * Statuses: NIC_NO_QP the peer closed, died or never was, NIC_UNREACHABLE it
 * never answered, or there is no way to it (a later send tries again),
 * NIC_UNRESPONSIVE it answers no more. UD sends to such peers, and to one that
 * left its ring full for 10 ms, are done and lost. SRD sends besides: NIC_RNR,
 * NIC_SHORT_RECV longer than the receives of the peer.
 */
int nic_send(struct nic_ah *ah, uint64_t id, int flags, uint32_t imm,
	     const void *hdr, size_t hdr_len, const struct iovec *iov,
	     int iovcnt, size_t len);

enum nic_rdma_type { NIC_READ, NIC_WRITE, NIC_WRITE_IMM };

struct nic_rdma {
	enum nic_rdma_type type;
	uint64_t id;
	void *local;
	uint64_t remote; /* address in the peer */
	size_t len; /* 0..NIC_MAX_RDMA */
	uint32_t rkey;
	uint32_t imm;
};

/*
 * As nic_send: 0 done, 1 a completion follows, -EAGAIN, -EMSGSIZE; -EINVAL on a
 * UD queue pair. Up to 1 MiB
 * may be copied before it returns. An operation of no bytes needs no key.
 * Statuses besides those of nic_send: NIC_BAD_RKEY key, range or access is
 * not what the peer registered, NIC_PEER_RESET the peer ended meanwhile.
 */
int nic_rdma(struct nic_ah *ah, const struct nic_rdma *op);

/*
 * Local memory goes: RDMA operations with that id which are under way end with
 * NIC_FLUSHED, and touch it no more. False: there are none.
 */
bool nic_qp_revoke(struct nic_qp *qp, uint64_t id);

/*
 * UD and SRD: a buffer of len bytes for one packet, on UD with its 40-byte
 * prefix, which must lie in the first of several elements. On SRD a write with
 * immediate uses one up too, unless nic_qp_set_unsolicited(). -EAGAIN when the
 * queue (NIC_RECV_MAX) is full, -EINVAL iovcnt above NIC_RECV_IOV or an RDM
 * queue pair.
 */
int nic_post_recv(struct nic_qp *qp, uint64_t id, void *buf, size_t len);
int nic_post_recvv(struct nic_qp *qp, uint64_t id, const struct iovec *iov,
		   int iovcnt);

/*
 * Local memory goes: it is touched no more, and when a packet comes for the nth
 * oldest receive that ends with NIC_BAD_LKEY. nth: from 0, less than are posted.
 */
void nic_recv_revoke(struct nic_qp *qp, uint32_t nth);

/* The id of the nth oldest receive. -ENOENT: fewer are posted. */
int nic_recv_at(const struct nic_qp *qp, uint32_t nth, uint64_t *id);

/* Takes back the oldest receive. -ENOENT: none is posted. */
int nic_unpost_recv(struct nic_qp *qp, uint64_t *id);

enum nic_wc_op {
	NIC_WC_SEND,
	NIC_WC_READ,
	NIC_WC_WRITE,
	NIC_WC_RECV, /* RDM: data is lent; else it lies in the buffer `id`, or
			status says why not: NIC_TOO_LONG more came than it
			holds, NIC_BAD_LKEY */
	NIC_WC_WRITTEN, /* a peer wrote here with imm; len bytes; SRD: id of
			   the receive that it used up, if any */
	NIC_WC_GONE, /* a peer has died or closed, and if it was long ago; RDM:
			or it was silent too long, or has cut us off, and if it
			lives it hears the same of us. id is the cookie of a
			handle to it; the last that is heard */
};

#define NIC_SOURCE_UNKNOWN UINT32_MAX

struct nic_wc {
	uint64_t id;
	const void *data; /* lent until nic_give_back(); may change under the
			     reader: copy out, then judge */
	uint32_t len; /* bytes that came; UD: prefix included */
	uint32_t source; /* dense number of the sender: nic_source() */
	uint32_t imm;
	uint8_t op; /* enum nic_wc_op */
	uint8_t status; /* enum nic_status */
	bool has_imm;
};

/*
 * Drives the queue pair (the pump) and returns up to n > 0 completions. Loans
 * of the poll before must have been given back.
 */
int nic_poll(struct nic_qp *qp, struct nic_wc *wc, int n);
void nic_give_back(struct nic_qp *qp);

/*
 * Address of a source number. Numbers are given from 0 on, one to an address,
 * and belong to it while the queue pair lives. -ENOENT: not given yet.
 */
int nic_source(const struct nic_qp *qp, uint32_t source, struct nic_addr *addr);

/* While on, peers hold back NIC_SEND_REQUEST packets. */
void nic_set_pressure(struct nic_qp *qp, bool on);

/* A file descriptor that becomes readable when an armed queue pair has work. */
int nic_qp_fd(const struct nic_qp *qp);

/*
 * 0: nothing to poll, the next arrival makes the descriptor readable; the
 * next nic_poll disarms. 1: poll now.
 */
int nic_qp_arm(struct nic_qp *qp);

struct nic_stats {
	uint64_t tx_packets, rx_packets;
	uint64_t rdma_bytes; /* moved by our own RDMA operations */
	uint64_t rdma_direct, rdma_ring; /* operations by way of copying */
	uint64_t bad_packets; /* dropped: no software NIC sends such */
	uint64_t ud_dropped; /* packet longer than the posted buffer */
	uint64_t rnr_refused; /* sends that a peer without receives put off */
};

/* Valid until the queue pair is closed; brought up to date by the call. */
const struct nic_stats *nic_qp_stats(struct nic_qp *qp);

#endif
