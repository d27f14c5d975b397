/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_atomic.c - atomic operations on a peer's memory
 *
 * All calls become one: lists of elements turned into lists of bytes. There
 * is one remote range, as with RMA. Descriptors are not needed; those of
 * results tell which operations end with a region.
 */
#include "fi/efa.h"

#define SAME(ours, theirs) ((int)(ours) == (int)(theirs))

_Static_assert(SAME(RDM_ATOMIC_MIN, FI_MIN) && SAME(RDM_ATOMIC_MAX, FI_MAX) &&
		       SAME(RDM_ATOMIC_SUM, FI_SUM) &&
		       SAME(RDM_ATOMIC_PROD, FI_PROD) &&
		       SAME(RDM_ATOMIC_LOR, FI_LOR) &&
		       SAME(RDM_ATOMIC_LAND, FI_LAND) &&
		       SAME(RDM_ATOMIC_BOR, FI_BOR) &&
		       SAME(RDM_ATOMIC_BAND, FI_BAND) &&
		       SAME(RDM_ATOMIC_LXOR, FI_LXOR) &&
		       SAME(RDM_ATOMIC_BXOR, FI_BXOR) &&
		       SAME(RDM_ATOMIC_READ, FI_ATOMIC_READ) &&
		       SAME(RDM_ATOMIC_WRITE, FI_ATOMIC_WRITE) &&
		       SAME(RDM_ATOMIC_CSWAP, FI_CSWAP) &&
		       SAME(RDM_ATOMIC_CSWAP_NE, FI_CSWAP_NE) &&
		       SAME(RDM_ATOMIC_CSWAP_LE, FI_CSWAP_LE) &&
		       SAME(RDM_ATOMIC_CSWAP_LT, FI_CSWAP_LT) &&
		       SAME(RDM_ATOMIC_CSWAP_GE, FI_CSWAP_GE) &&
		       SAME(RDM_ATOMIC_CSWAP_GT, FI_CSWAP_GT) &&
		       SAME(RDM_ATOMIC_MSWAP, FI_MSWAP),
	       "operations");
_Static_assert(
	SAME(RDM_INT8, FI_INT8) && SAME(RDM_UINT8, FI_UINT8) &&
		SAME(RDM_INT16, FI_INT16) && SAME(RDM_UINT16, FI_UINT16) &&
		SAME(RDM_INT32, FI_INT32) && SAME(RDM_UINT32, FI_UINT32) &&
		SAME(RDM_INT64, FI_INT64) && SAME(RDM_UINT64, FI_UINT64) &&
		SAME(RDM_FLOAT, FI_FLOAT) && SAME(RDM_DOUBLE, FI_DOUBLE) &&
		SAME(RDM_FLOAT_COMPLEX, FI_FLOAT_COMPLEX) &&
		SAME(RDM_DOUBLE_COMPLEX, FI_DOUBLE_COMPLEX) &&
		SAME(RDM_LONG_DOUBLE, FI_LONG_DOUBLE) &&
		SAME(RDM_LONG_DOUBLE_COMPLEX, FI_LONG_DOUBLE_COMPLEX) &&
		SAME(RDM_INT128, FI_INT128) && SAME(RDM_UINT128, FI_UINT128),
	"datatypes");

/* ---- what there is ------------------------------------------------------- */

static int valid(const struct dev *dev, enum rdm_atomic_kind kind,
		 enum fi_datatype type, enum fi_op op, size_t *count)
{
	size_t max = rdm_atomic_max(dev->info.mtu);

	if (!rdm_atomic_valid(kind, op, type))
		return -FI_EOPNOTSUPP;
	if (kind == RDM_ATOMIC_COMPARE)
		max /= 2;
	if (count)
		*count = max / rdm_atomic_size(type);
	return 0;
}

static int write_valid(struct fid_ep *ep, enum fi_datatype type, enum fi_op op,
		       size_t *count)
{
	return valid(efa_ep_of(ep)->domain->dev, RDM_ATOMIC_BASE, type, op,
		     count);
}

static int fetch_valid(struct fid_ep *ep, enum fi_datatype type, enum fi_op op,
		       size_t *count)
{
	return valid(efa_ep_of(ep)->domain->dev, RDM_ATOMIC_FETCH, type, op,
		     count);
}

static int compare_valid(struct fid_ep *ep, enum fi_datatype type,
			 enum fi_op op, size_t *count)
{
	return valid(efa_ep_of(ep)->domain->dev, RDM_ATOMIC_COMPARE, type, op,
		     count);
}

int efa_atomic_query(struct fid_domain *fid, enum fi_datatype type,
		     enum fi_op op, struct fi_atomic_attr *attr, uint64_t flags)
{
	struct efa_domain *domain = u_container_of(fid, struct efa_domain, fid);
	enum rdm_atomic_kind kind = RDM_ATOMIC_BASE;
	size_t count;
	int ret;

	if (domain->kind != EFA_RDM)
		return -FI_ENOSYS;
	if (flags & FI_TAGGED)
		return -FI_EOPNOTSUPP;
	switch (flags) {
	case 0:
		break;
	case FI_FETCH_ATOMIC:
		kind = RDM_ATOMIC_FETCH;
		break;
	case FI_COMPARE_ATOMIC:
		kind = RDM_ATOMIC_COMPARE;
		break;
	default:
		return -FI_EINVAL;
	}
	ret = valid(domain->dev, kind, type, op, &count);
	if (ret)
		return ret;
	if (attr) {
		attr->count = count;
		attr->size = rdm_atomic_size(type);
	}
	return 0;
}

/* ---- the one call -------------------------------------------------------- */

struct list {
	const struct fi_ioc *ioc;
	size_t n;
};

struct call {
	enum rdm_atomic_kind kind;
	enum fi_op op;
	enum fi_datatype type;
	struct list operand, compare, result;
	void *const *result_desc; /* [result.n]; NULL: none */
	struct fi_rma_ioc target;
	fi_addr_t peer;
	void *context;
};

/* Far more elements than any operation has, and their bytes can be summed. */
#define COUNT_MAX UINT32_MAX

static bool convert(const struct list *list, size_t size, struct iovec *iov)
{
	if (list->n > RDM_IOV_MAX)
		return false;
	for (size_t i = 0; i < list->n; i++) {
		if (list->ioc[i].count > COUNT_MAX)
			return false;
		iov[i] = efa_iov(list->ioc[i].addr, list->ioc[i].count * size);
	}
	return true;
}

static ssize_t post(struct efa_ep *ep, const struct call *call, uint32_t flags)
{
	struct iovec iov[RDM_IOV_MAX], compare[RDM_IOV_MAX];
	struct iovec result[RDM_IOV_MAX];
	size_t size = rdm_atomic_size(call->type);
	const struct dev_range target = { call->target.addr,
					  call->target.count * size,
					  call->target.key };
	const struct rdm_atomic op = {
		.kind = call->kind,
		.op = call->op,
		.type = call->type,
		.iov = iov,
		.compare = compare,
		.result = result,
		.result_mr = call->result_desc,
		.target = &target,
		.iovcnt = (uint32_t)call->operand.n,
		.comparecnt = (uint32_t)call->compare.n,
		.resultcnt = (uint32_t)call->result.n,
		.targetcnt = 1,
		.flags = flags & ~(uint32_t)RDM_DATA,
		.to = call->peer,
		.context = call->context,
	};
	int ret;

	if (call->target.count > COUNT_MAX ||
	    !efa_domain_has_key(ep->domain, call->target.key) ||
	    !convert(&call->operand, size, iov) ||
	    !convert(&call->compare, size, compare) ||
	    !convert(&call->result, size, result))
		return -FI_EINVAL;
	u_lock(&ep->lock);
	ret = rdm_atomic(ep->rdm, &op);
	efa_ep_unlock(ep);
	return ret;
}

/* What is only read needs no operands, and may come without a list of them. */
static struct list operands(enum fi_op op, const struct fi_ioc *ioc, size_t n)
{
	return (struct list){ ioc, op == FI_ATOMIC_READ ? 0 : n };
}

/* A call with a message and flags; the lists beside it are in call. */
static ssize_t post_msg(struct fid_ep *fid, struct call *call,
			const struct fi_msg_atomic *msg, uint64_t flags)
{
	struct efa_ep *ep = efa_ep_of(fid);
	int ret = efa_tx_check(ep, flags, msg->addr);

	if (flags & FI_TAGGED)
		return -FI_EOPNOTSUPP;
	if (u_unlikely(ret))
		return ret;
	if (msg->rma_iov_count != 1)
		return -FI_EINVAL;
	call->op = msg->op;
	call->type = msg->datatype;
	call->operand = operands(msg->op, msg->msg_iov, msg->iov_count);
	call->target = msg->rma_iov[0];
	call->peer = msg->addr;
	call->context = msg->context;
	return post(ep, call, efa_tx_flags(ep, flags));
}

/* Elements of a list, which the remote range has as many of. */
static size_t elements_of(const struct fi_ioc *ioc, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n && i < RDM_IOV_MAX; i++)
		count += ioc[i].count;
	return count;
}

/* ---- without a result ---------------------------------------------------- */

static ssize_t atomic_writev(struct fid_ep *fid, const struct fi_ioc *ioc,
			     void **desc, size_t n, fi_addr_t peer,
			     uint64_t addr, uint64_t key, enum fi_datatype type,
			     enum fi_op op, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct call call = {
		.kind = RDM_ATOMIC_BASE,
		.op = op,
		.type = type,
		.operand = { ioc, n },
		.target = { addr, elements_of(ioc, n), key },
		.peer = peer,
		.context = context,
	};

	return post(handle->ep, &call, handle->send_flags);
}

static ssize_t atomic_write(struct fid_ep *ep, const void *buf, size_t count,
			    void *desc, fi_addr_t peer, uint64_t addr,
			    uint64_t key, enum fi_datatype type, enum fi_op op,
			    void *context)
{
	const struct fi_ioc ioc = { (void *)(uintptr_t)buf, count };

	return atomic_writev(ep, &ioc, NULL, 1, peer, addr, key, type, op,
			     context);
}

static ssize_t atomic_writemsg(struct fid_ep *ep,
			       const struct fi_msg_atomic *msg, uint64_t flags)
{
	struct call call = { .kind = RDM_ATOMIC_BASE };

	return post_msg(ep, &call, msg, flags);
}

static ssize_t atomic_inject(struct fid_ep *ep, const void *buf, size_t count,
			     fi_addr_t peer, uint64_t addr, uint64_t key,
			     enum fi_datatype type, enum fi_op op)
{
	const struct fi_ioc ioc = { (void *)(uintptr_t)buf, count };
	const struct call call = {
		.kind = RDM_ATOMIC_BASE,
		.op = op,
		.type = type,
		.operand = { &ioc, 1 },
		.target = { addr, count, key },
		.peer = peer,
	};

	return post(efa_ep_of(ep), &call, RDM_INJECT);
}

/* ---- with a result ------------------------------------------------------- */

static ssize_t atomic_readwritev(struct fid_ep *fid, const struct fi_ioc *ioc,
				 void **desc, size_t n, struct fi_ioc *result,
				 void **result_desc, size_t nresult,
				 fi_addr_t peer, uint64_t addr, uint64_t key,
				 enum fi_datatype type, enum fi_op op,
				 void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct call call = {
		.kind = RDM_ATOMIC_FETCH,
		.op = op,
		.type = type,
		.operand = operands(op, ioc, n),
		.result = { result, nresult },
		.result_desc = result_desc,
		.target = { addr, elements_of(result, nresult), key },
		.peer = peer,
		.context = context,
	};

	return post(handle->ep, &call, handle->send_flags);
}

static ssize_t atomic_readwrite(struct fid_ep *ep, const void *buf,
				size_t count, void *desc, void *result,
				void *result_desc, fi_addr_t peer,
				uint64_t addr, uint64_t key,
				enum fi_datatype type, enum fi_op op,
				void *context)
{
	const struct fi_ioc ioc = { (void *)(uintptr_t)buf, count };
	struct fi_ioc to = { result, count };

	return atomic_readwritev(ep, &ioc, NULL, 1, &to,
				 result_desc ? &result_desc : NULL, 1, peer,
				 addr, key, type, op, context);
}

static ssize_t atomic_readwritemsg(struct fid_ep *ep,
				   const struct fi_msg_atomic *msg,
				   struct fi_ioc *result, void **result_desc,
				   size_t nresult, uint64_t flags)
{
	struct call call = {
		.kind = RDM_ATOMIC_FETCH,
		.result = { result, nresult },
		.result_desc = result_desc,
	};

	return post_msg(ep, &call, msg, flags);
}

static ssize_t
atomic_compwritev(struct fid_ep *fid, const struct fi_ioc *ioc, void **desc,
		  size_t n, const struct fi_ioc *compare, void **compare_desc,
		  size_t ncompare, struct fi_ioc *result, void **result_desc,
		  size_t nresult, fi_addr_t peer, uint64_t addr, uint64_t key,
		  enum fi_datatype type, enum fi_op op, void *context)
{
	struct efa_handle *handle = efa_handle_of(fid);
	const struct call call = {
		.kind = RDM_ATOMIC_COMPARE,
		.op = op,
		.type = type,
		.operand = { ioc, n },
		.compare = { compare, ncompare },
		.result = { result, nresult },
		.result_desc = result_desc,
		.target = { addr, elements_of(ioc, n), key },
		.peer = peer,
		.context = context,
	};

	return post(handle->ep, &call, handle->send_flags);
}

static ssize_t
atomic_compwrite(struct fid_ep *ep, const void *buf, size_t count, void *desc,
		 const void *compare, void *compare_desc, void *result,
		 void *result_desc, fi_addr_t peer, uint64_t addr, uint64_t key,
		 enum fi_datatype type, enum fi_op op, void *context)
{
	const struct fi_ioc ioc = { (void *)(uintptr_t)buf, count };
	const struct fi_ioc with = { (void *)(uintptr_t)compare, count };
	struct fi_ioc to = { result, count };

	return atomic_compwritev(ep, &ioc, NULL, 1, &with, NULL, 1, &to,
				 result_desc ? &result_desc : NULL, 1, peer,
				 addr, key, type, op, context);
}

static ssize_t atomic_compwritemsg(struct fid_ep *ep,
				   const struct fi_msg_atomic *msg,
				   const struct fi_ioc *compare,
				   void **compare_desc, size_t ncompare,
				   struct fi_ioc *result, void **result_desc,
				   size_t nresult, uint64_t flags)
{
	struct call call = {
		.kind = RDM_ATOMIC_COMPARE,
		.compare = { compare, ncompare },
		.result = { result, nresult },
		.result_desc = result_desc,
	};

	return post_msg(ep, &call, msg, flags);
}

struct fi_ops_atomic efa_atomic_ops = {
	.size = sizeof(struct fi_ops_atomic),
	.write = atomic_write,
	.writev = atomic_writev,
	.writemsg = atomic_writemsg,
	.inject = atomic_inject,
	.readwrite = atomic_readwrite,
	.readwritev = atomic_readwritev,
	.readwritemsg = atomic_readwritemsg,
	.compwrite = atomic_compwrite,
	.compwritev = atomic_compwritev,
	.compwritemsg = atomic_compwritemsg,
	.writevalid = write_valid,
	.readwritevalid = fetch_valid,
	.compwritevalid = compare_valid,
};
