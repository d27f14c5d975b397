/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa.h - the objects behind the fids, for the files of fi/
 *
 *   efa_fabric <--- efa_domain <--- efa_av, efa_cq, efa_cntr, efa_mr, efa_ep
 *        ^--- efa_eq                                       (refs point up)
 *
 *   efa_cq, efa_cntr --- efa_watch ---> efa_ep ---> rdm_ep or efa_thin
 *
 * Each struct begins with its fid. What is used counts its users in `refs` and
 * does not close while there are any (-FI_EBUSY).
 *
 * Locks in rising rank: efa_domain.lock, efa_watch.lock (of queues and
 * counters) or efa_av.lock, efa_ep.lock, efa_ring.lock, then those of rdm.
 * Which of them are on follows from the threading model of the domain:
 * efa_domain_locks().
 */
#ifndef EFA_H
#define EFA_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <rdma/fabric.h>
#include <rdma/fi_atomic.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_collective.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>
#include <rdma/providers/fi_log.h>
#include <rdma/providers/fi_prov.h>

#include "dev/dev.h"
#include "fi/efa_ring.h"
#include "fi/efa_watch.h"
#include "rdm/rdm.h"
#include "util/u_base.h"
#include "util/u_lock.h"

/* ---- the provider (efa_ini.c) -------------------------------------------- */

#define EFA_PROTOCOL_VERSION 4 /* of RDM; thin endpoints have version 1 */

/* What is offered of each device, in this order. */
enum efa_kind {
	EFA_RDM, /* reliable datagrams by the message protocols */
	EFA_DIRECT, /* thin: the device's own reliable messages and RMA */
	EFA_DGRAM, /* thin: datagrams */
	EFA_KINDS,
};

/* The newest libfabric whose rules for providers are kept here. */
#define EFA_FI_VERSION FI_VERSION(2, 6)

extern struct fi_provider efa_prov;

/* The one symbol of the module: struct fi_provider *fi_prov_ini(void). */
FI_EXT_INI;

#define efa_warn(subsys, ...) FI_WARN(&efa_prov, FI_LOG_##subsys, __VA_ARGS__)
#define efa_info(subsys, ...) FI_INFO(&efa_prov, FI_LOG_##subsys, __VA_ARGS__)

/*
 * Names of libfabric that not every version from 1.17 on has, or that later
 * ones warn of; all of them are values of its ABI.
 */
#define EFA_MR_BASIC (1 << 0)
#define EFA_MR_SCALABLE (1 << 1)
#define EFA_LOCAL_MR (UINT64_C(1) << 55)
#define EFA_RESCAN (UINT64_C(1) << 35)
#define EFA_MR_DMABUF (UINT64_C(1) << 40)
#define EFA_PROGRESS_UNIFIED 3

/* ---- devices and infos (efa_info.c, efa_attr.c, efa_nic.c) --------------- */

/*
 * Copies what is known of the device of a domain name, and which kind that has
 * in the fabric efa or, direct, in efa-direct. -FI_ENODATA: there is none.
 */
int efa_info_find(const char *domain_name, bool direct, struct dev_info *dev,
		  enum efa_kind *kind);
/* 0: efa; 1: efa-direct; -1: neither. */
int efa_info_is_direct(const char *fabric_name);
void efa_info_free(void);
int efa_getinfo(uint32_t version, const char *node, const char *service,
		uint64_t flags, const struct fi_info *hints,
		struct fi_info **info);

/*
 * Fills in all but names and addresses of a new info: what the device can as
 * that kind, asked by who hints so (may be NULL). efa_kind.c
 */
void efa_kind_fill(enum efa_kind kind, const struct dev_info *dev,
		   const struct fi_info *hints, struct fi_info *info);
/* It makes progress while the program does nothing. */
bool efa_kind_is_automatic(enum efa_kind kind, const struct dev_info *dev);

/*
 * Narrows info, which holds all that the device can, to what hints (may be
 * NULL) ask for. False: it cannot be had.
 */
bool efa_attr_match(struct fi_info *info, const struct fi_info *hints,
		    uint32_t version);

/* NULL without memory. fi_freeinfo closes it. */
struct fid_nic *efa_nic_new(const struct dev_info *dev);

/* ---- addresses (efa_addr.c) ---------------------------------------------- */

#define EFA_ADDR_LEN 32 /* bytes of an FI_ADDR_EFA */
#define EFA_ADDR_TEXT 96 /* bytes that hold any address as text */

void efa_addr_pack(const struct dev_addr *addr, void *bytes);
/* -FI_EADDRNOTAVAIL: no gid; -FI_EINVAL: bytes that must be zero are not. */
int efa_addr_unpack(const void *bytes, struct dev_addr *addr);
/* Returns the length of the whole text without its end, as snprintf. */
size_t efa_addr_text(const struct dev_addr *addr, char *buf, size_t len);
/* Text of an IPv6 or IPv4 address to a gid; -FI_ENODATA: it is neither. */
int efa_addr_parse_gid(const char *text, uint8_t gid[16]);

/* ---- fabric, domain, event queue ----------------------------------------- */

/* Of the process that opened something: it is not ours to close. */
bool efa_is_child(pid_t opener);

struct efa_fabric {
	struct fid_fabric fid;
	bool direct; /* efa-direct, else efa */
	pid_t pid; /* of who opened it */
	_Atomic int refs; /* domains and event queues */
};

struct efa_domain {
	struct fid_domain fid;
	pid_t pid; /* of who opened it, and all that is in it */
	struct efa_fabric *fabric;
	struct dev *dev;
	enum efa_kind kind; /* of all that is opened in it */
	bool mr_local; /* RDM, whose operations name regions of local memory */
	enum fi_threading threading;
	struct efa_eq *_Atomic eq; /* NULL: none bound; efa_domain_eq() */
	bool tells_mrs; /* to eq: FI_REG_MR; read after eq */
	struct efa_driver *driver; /* NULL: progress is manual */
	struct rdm_regions *regions; /* that have counters */
	_Atomic int refs; /* everything opened in it */
	struct u_lock lock; /* of the lists, and of those of aliases */
	LIST_HEAD(, efa_ep) eps; /* enabled ones */
	LIST_HEAD(, efa_cntr) wide; /* counters of regions */
};

/* The queue that is bound, perhaps just then by another thread; NULL. */
static inline struct efa_eq *efa_domain_eq(const struct efa_domain *domain)
{
	/* acquire: edge eq-bound */
	return atomic_load_explicit(&domain->eq, memory_order_acquire);
}

struct efa_driver;

/* The thread of FI_PROGRESS_AUTO; then everything locks. 0 or -errno. */
int efa_driver_open(struct efa_driver **driver);
/* No endpoint is left. NULL is fine. */
void efa_driver_close(struct efa_driver *driver);
int efa_driver_add(struct efa_driver *driver, struct efa_ep *ep);
/* The thread has let go of the endpoint when it returns. */
void efa_driver_remove(struct efa_driver *driver, struct efa_ep *ep);

/*
 * Counters of regions drive every endpoint of the domain with FI_RMA_EVENT, as
 * a peer may write through any (efa_domain_wide.c). Joins those there are; 0 or
 * -errno.
 */
int efa_domain_add_ep(struct efa_domain *domain, struct efa_ep *ep);
/* Harmless where it was never added. */
void efa_domain_remove_ep(struct efa_domain *domain, struct efa_ep *ep);

/* No device here has given out a key with more bits. */
static inline bool efa_domain_has_key(const struct efa_domain *domain,
				      uint64_t key)
{
	return domain->dev->info.key_bytes == sizeof(key) || key <= UINT32_MAX;
}

/* What must lock, by threading model; see efa_domain.c for why. */
struct efa_locks {
	bool queues; /* completion queues, counters, address vectors */
	bool endpoints; /* an endpoint with one completion queue, no counter */
	bool split; /* an endpoint with several of those */
};

struct efa_locks efa_domain_locks(const struct efa_domain *domain);

int efa_fabric_open(struct fi_fabric_attr *attr, struct fid_fabric **fabric,
		    void *context);
int efa_domain_open(struct fid_fabric *fabric, struct fi_info *info,
		    struct fid_domain **domain, void *context);

/* ---- address vector ------------------------------------------------------ */

struct efa_av {
	struct fid_av fid;
	struct efa_domain *domain;
	struct rdm_av *rdm; /* serves thin endpoints as well */
	struct u_lock lock; /* of the list */
	struct efa_ep **ep; /* [n]: enabled endpoints, to be told of removals */
	size_t n, room;
	_Atomic int refs; /* bound endpoints */
};

int efa_av_open(struct fid_domain *domain, struct fi_av_attr *attr,
		struct fid_av **av, void *context);
int efa_av_add_ep(struct efa_av *av, struct efa_ep *ep);
void efa_av_remove_ep(struct efa_av *av, struct efa_ep *ep);

/* ---- completion queue, ring of thin endpoints, counter ------------------- */

#define EFA_ERR_TEXT 512 /* bytes of err_data at most */

struct efa_cq {
	struct fid_cq fid;
	struct rdm_cq *rdm; /* NULL in a domain of thin endpoints */
	struct efa_ring *ring; /* of such a domain, else NULL */
	struct efa_watch watch;
	/* cold */
	struct efa_domain *domain;
	enum fi_wait_obj wait_obj;
	enum fi_cq_wait_cond wait_cond;
	size_t entry_size; /* bytes of an entry in the user's format */
	_Atomic int refs; /* bound endpoints */
	char err_data[EFA_ERR_TEXT]; /* of the last error read */
};

int efa_cq_open(struct fid_domain *domain, struct fi_cq_attr *attr,
		struct fid_cq **cq, void *context);

/*
 * The queue itself, of either kind. take: the number of entries, 0 for none,
 * -1 when the first one is an error; take_error: 1, or 0 when it is not.
 */
static inline int efa_cq_take(struct efa_cq *cq, struct rdm_comp *comp, int n)
{
	if (u_likely(cq->rdm))
		return rdm_cq_read(cq->rdm, comp, n);
	return efa_ring_read(cq->ring, comp, n);
}

static inline int efa_cq_take_error(struct efa_cq *cq, struct rdm_comp *comp)
{
	if (cq->rdm)
		return rdm_cq_read_error(cq->rdm, comp);
	return efa_ring_read_error(cq->ring, comp);
}

static inline bool efa_cq_empty(struct efa_cq *cq)
{
	return cq->rdm ? rdm_cq_empty(cq->rdm) : efa_ring_empty(cq->ring);
}

/* Blocking reads (efa_cq_wait.c). */
int efa_cq_trywait(struct efa_cq *cq);
int efa_cq_signal(struct fid_cq *cq);
ssize_t efa_cq_sread(struct fid_cq *cq, void *buf, size_t count,
		     const void *cond, int timeout);
ssize_t efa_cq_sreadfrom(struct fid_cq *cq, void *buf, size_t count,
			 fi_addr_t *src_addr, const void *cond, int timeout);
/* Reading of errors (efa_err.c). */
ssize_t efa_cq_readerr(struct fid_cq *cq, struct fi_cq_err_entry *entry,
		       uint64_t flags);
const char *efa_cq_strerror(struct fid_cq *cq, int prov_errno,
			    const void *err_data, char *buf, size_t len);
/* FI_E* of a prov_errno, 0 for success. */
int efa_err_of(uint32_t number);
/* Reports the requests that the endpoint did not carry out. */
void efa_ep_report(struct efa_ep *ep);
/* What a completion is in FI_* flags (efa_cq.c). */
uint64_t efa_cq_flags(const struct rdm_comp *comp);

struct efa_cntr {
	struct fid_cntr fid;
	struct rdm_cntr count;
	_Atomic uint64_t seen; /* ok and failed when last looked at */
	struct efa_domain *domain;
	enum fi_wait_obj wait_obj;
	struct efa_watch watch;
	_Atomic int refs; /* bound endpoints and regions */
	bool wide; /* in the domain's list */
	LIST_ENTRY(efa_cntr) link;
};

int efa_domain_add_cntr(struct efa_domain *domain, struct efa_cntr *cntr);
void efa_domain_remove_cntr(struct efa_domain *domain, struct efa_cntr *cntr);
int efa_cntr_open(struct fid_domain *domain, struct fi_cntr_attr *attr,
		  struct fid_cntr **cntr, void *context);
int efa_cntr_trywait(struct efa_cntr *cntr);

/*
 * A region is about to be closed: operations of the domain's endpoints that
 * name it as local memory end.
 */
void efa_domain_revoke(struct efa_domain *domain, const struct dev_mr *mr);

/* ---- memory region ------------------------------------------------------- */

extern struct fi_ops_mr efa_mr_ops;

/* ---- endpoint ------------------------------------------------------------ */

/*
 * What the application holds: the endpoint itself, or an alias of it with
 * other default flags. Flags are enum rdm_flags of calls without a flags
 * argument.
 */
struct efa_handle {
	struct fid_ep fid;
	struct efa_ep *ep;
	uint32_t send_flags, tsend_flags;
	uint32_t recv_flags, trecv_flags;
	uint64_t tx_op_flags, rx_op_flags; /* FI_*, where the above are from */
	LIST_ENTRY(efa_handle) link; /* of an alias, in its endpoint's list */
};

struct efa_thin;

/* What fi_setopt has set; const once the endpoint is enabled. */
struct efa_ep_opt {
	size_t min_multi_recv; /* bytes */
	/* Bytes: of messages, tagged, RMA, atomics. */
	size_t max_size[4], inject_size[4];
	size_t max_limit[4], inject_limit[4]; /* what was advertised */
	size_t rnr_retry; /* of the device, 0..7; 7: for ever */
	int hmem_p2p; /* FI_HMEM_P2P_* */
	bool no_rdma; /* the device's RDMA is not used */
	bool no_shm; /* nor shared memory, by peers neither */
	bool unsolicited; /* direct: peers' writes use up no receive */
};

struct efa_ep {
	struct efa_handle own;
	/* data path; const once enabled */
	struct rdm_ep *rdm; /* NULL before, and in thin ones */
	struct efa_thin *thin; /* NULL before, and in others */
	uint64_t any_source; /* ORed to the source of receives: all ones
				unless FI_DIRECTED_RECV was asked for */
	uint32_t tx_always, rx_always; /* RDM_COMPLETION, unless selective */
	struct u_lock lock; /* around every call on rdm or thin */
	bool slept; /* armed for somebody in poll(2), since never disarmed */
	/* cold */
	struct efa_domain *domain;
	struct efa_cq *tx_cq, *rx_cq;
	struct efa_av *av;
	struct efa_eq *eq; /* NULL: none bound */
	struct efa_cntr *cntr[RDM_CNTR_USES];
	uint64_t caps, mode; /* of the info it was opened with */
	size_t tx_size, rx_size;
	struct efa_ep_opt opt;
	struct efa_watch **watches; /* [nwatches]: of which it is */
	size_t nwatches;
	bool low_latency; /* its traffic class */
	bool enabled;
	bool listed; /* in the domain's list */
	LIST_ENTRY(efa_ep) link;
	LIST_HEAD(, efa_handle) aliases; /* under the domain's lock */
};

static inline struct efa_handle *efa_handle_of(struct fid_ep *ep)
{
	return u_container_of(ep, struct efa_handle, fid);
}

static inline struct efa_ep *efa_ep_of(struct fid_ep *ep)
{
	return efa_handle_of(ep)->ep;
}

int efa_ep_open(struct fid_domain *domain, struct fi_info *info,
		struct fid_ep **ep, void *context);
/* efa_ep_enable.c */
int efa_ep_enable(struct efa_ep *ep);
void efa_ep_disable(struct efa_ep *ep);
/* The operation tables that fit the state and the capabilities. */
void efa_handle_set_ops(struct efa_handle *handle);
/* For who holds the lock: 0, or 1 as there is work (efa_watch.c). */
uint64_t efa_ep_arm(struct efa_ep *ep);
/* Sleepers have to look (efa_sleep.c). */
void efa_ep_call(struct efa_ep *ep);
/* efa_alias.c */
int efa_alias_open(struct efa_ep *ep, struct fi_alias *alias);
/* efa_ep_opt.c */
void efa_ep_opt_init(struct efa_ep *ep, const struct fi_info *info);
bool efa_ep_uses_rdma(const struct efa_ep *ep);
int efa_ep_getopt(fid_t fid, int level, int name, void *val, size_t *len);
int efa_ep_setopt(fid_t fid, int level, int name, const void *val, size_t len);
void efa_handle_set_tx_flags(struct efa_handle *handle, uint64_t op_flags);
void efa_handle_set_rx_flags(struct efa_handle *handle, uint64_t op_flags);
/* FI_GETOPSFLAG and FI_SETOPSFLAG. */
int efa_handle_get_flags(const struct efa_handle *handle, uint64_t *flags);
int efa_handle_set_flags(struct efa_handle *handle, uint64_t flags);

/* Flags of a transmit call that cannot be served; FI_FENCE only by RDM. */
#define EFA_TX_REFUSED (FI_TRIGGER | FI_COMMIT_COMPLETE)

/* What the peer has to answer: not where nothing comes back. */
#define EFA_TX_ANSWERED (FI_DELIVERY_COMPLETE | FI_MATCH_COMPLETE)

/* efa_msg.c: why flags are refused; efa_tx_check() of those and of FI_FENCE. */
int efa_refusal(uint64_t flags);
int efa_tx_hold(struct efa_ep *ep, uint64_t flags, fi_addr_t to);

/*
 * May a transmit call with these flags begin? 0; efa_refusal(); -FI_EAGAIN:
 * FI_FENCE, and something that was posted to that peer before is under way.
 */
static inline int efa_tx_check(struct efa_ep *ep, uint64_t flags, fi_addr_t to)
{
	if (u_likely(!(flags & (EFA_TX_REFUSED | FI_FENCE))))
		return 0;
	return efa_tx_hold(ep, flags, to);
}

/* FI_* flags of one transmit call to enum rdm_flags. */
static inline uint32_t efa_tx_flags(const struct efa_ep *ep, uint64_t flags)
{
	uint32_t out = ep->tx_always;

	if (flags & FI_COMPLETION)
		out |= RDM_COMPLETION;
	if (flags & FI_REMOTE_CQ_DATA)
		out |= RDM_DATA;
	if (flags & FI_INJECT)
		out |= RDM_INJECT;
	else if (flags & EFA_TX_ANSWERED)
		out |= RDM_DELIVERY;
	return out;
}

/* FI_* flags of one receive call to enum rdm_flags. */
static inline uint32_t efa_rx_flags(const struct efa_ep *ep, uint64_t flags)
{
	uint32_t out = ep->rx_always;

	if (flags & FI_COMPLETION)
		out |= RDM_COMPLETION;
	if (flags & FI_MULTI_RECV)
		out |= RDM_MULTI_RECV;
	if (flags & FI_CLAIM)
		out |= RDM_CLAIM;
	if (flags & FI_DISCARD)
		out |= RDM_DISCARD;
	return out;
}

/* Posts a receive, or looks for a message when flags have FI_PEEK. */
ssize_t efa_recv_op(struct efa_ep *ep, struct rdm_recv *op, uint64_t flags);

extern struct fi_ops_ep efa_ep_ops;
extern struct fi_ops_cm efa_cm_ops;
extern struct fi_ops_msg efa_msg_ops;
extern struct fi_ops_tagged efa_tagged_ops;
extern struct fi_ops_rma efa_rma_ops;
extern struct fi_ops_atomic efa_atomic_ops;

/* efa_atomic.c: fi_query_atomic of a domain. */
int efa_atomic_query(struct fid_domain *domain, enum fi_datatype type,
		     enum fi_op op, struct fi_atomic_attr *attr,
		     uint64_t flags);

/* ---- thin endpoints (efa_thin.h) ----------------------------------------- */

#define EFA_THIN_INJECT 32 /* bytes */

void efa_thin_progress(struct efa_thin *thin);

/* ---- what is not there (efa_nosys.c) ------------------------------------- */

/* Every operation says -FI_ENOSYS, or -FI_EOPBADSTATE before fi_enable. */
extern struct fi_ops_msg efa_nosys_msg, efa_disabled_msg;
extern struct fi_ops_tagged efa_nosys_tagged, efa_disabled_tagged;
extern struct fi_ops_rma efa_nosys_rma, efa_disabled_rma;
extern struct fi_ops_atomic efa_nosys_atomic, efa_disabled_atomic;
extern struct fi_ops_collective efa_nosys_collective;

int efa_nosys_bind(struct fid *fid, struct fid *bfid, uint64_t flags);
int efa_nosys_control(struct fid *fid, int command, void *arg);
int efa_nosys_ops_open(struct fid *fid, const char *name, uint64_t flags,
		       void **ops, void *context);
int efa_nosys_tostr(const struct fid *fid, char *buf, size_t len);
int efa_nosys_ops_set(struct fid *fid, const char *name, uint64_t flags,
		      void *ops, void *context);

/* ---- the hot part -------------------------------------------------------- */

static inline struct iovec efa_iov(const void *buf, size_t len)
{
	return (struct iovec){ (void *)(uintptr_t)buf, len };
}

/* The descriptors of a call with one buffer; NULL: it has none. */
static inline void *const *efa_one(void *const *desc)
{
	return *desc ? desc : NULL;
}

/*
 * Ends a call that posts or drives. Who sleeps has to look: a post may leave
 * work that rings nowhere, as an access that is done at once.
 */
static inline void efa_ep_unlock(struct efa_ep *ep)
{
	if (u_unlikely(ep->slept))
		efa_ep_call(ep);
	u_unlock(&ep->lock);
}

/* flags are enum rdm_flags; tag is not looked at without RDM_TAGGED. */
static inline ssize_t efa_post_send(struct efa_ep *ep, const struct iovec *iov,
				    size_t count, void *const *desc,
				    uint32_t flags, uint64_t data,
				    fi_addr_t dest, uint64_t tag, void *context)
{
	const struct rdm_send op = {
		.iov = iov,
		.iovcnt = (uint32_t)count,
		.mr = desc,
		.flags = flags,
		.to = dest,
		.tag = tag,
		.data = data,
		.context = context,
	};
	int ret;

	u_lock(&ep->lock);
	ret = rdm_send(ep->rdm, &op);
	efa_ep_unlock(ep);
	return ret;
}

static inline ssize_t efa_post_recv(struct efa_ep *ep, const struct iovec *iov,
				    size_t count, void *const *desc,
				    uint32_t flags, fi_addr_t src, uint64_t tag,
				    uint64_t ignore, void *context)
{
	const struct rdm_recv op = {
		.iov = iov,
		.iovcnt = (uint32_t)count,
		.mr = desc,
		.flags = flags,
		.from = src | ep->any_source,
		.tag = tag,
		.ignore = ignore,
		.context = context,
	};
	int ret;

	u_lock(&ep->lock);
	ret = rdm_recv(ep->rdm, &op);
	efa_ep_unlock(ep);
	return ret;
}

/* The lock is held. An armed endpoint is not armed any more. */
static inline void efa_ep_drive(struct efa_ep *ep)
{
	if (u_unlikely(!ep->rdm))
		efa_thin_progress(ep->thin);
	else if (u_unlikely(rdm_progress(ep->rdm)))
		efa_ep_report(ep);
}

static inline void efa_ep_progress(struct efa_ep *ep)
{
	u_lock(&ep->lock);
	efa_ep_drive(ep);
	efa_ep_unlock(ep);
}

/* When another thread is at it already, nothing is left to do. */
static inline void efa_watch_progress(struct efa_watch *watch)
{
	if (!u_trylock(&watch->lock))
		return;
	for (size_t i = 0; i < watch->n; i++)
		efa_ep_progress(watch->ep[i]);
	u_unlock(&watch->lock);
}

#endif
