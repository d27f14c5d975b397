/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_nosys_atomic.c - atomics and collectives where they are not there
 *
 * MPI asks the *valid functions of every datatype whatever the capabilities
 * say, and takes -FI_EOPNOTSUPP alone for a no.
 */
#include "fi/efa.h"

#define NOSYS(name, ...)                         \
	static ssize_t nosys_##name(__VA_ARGS__) \
	{                                        \
		return -FI_ENOSYS;               \
	}
/* One stub for "never", one for "not before fi_enable". */
#define STUB(name, ...)                             \
	NOSYS(name, __VA_ARGS__)                    \
	static ssize_t disabled_##name(__VA_ARGS__) \
	{                                           \
		return -FI_EOPBADSTATE;             \
	}

/* ---- atomics ------------------------------------------------------------- */

STUB(write, struct fid_ep *ep, const void *buf, size_t count, void *desc,
     fi_addr_t dest_addr, uint64_t addr, uint64_t key,
     enum fi_datatype datatype, enum fi_op op, void *context)
STUB(writev, struct fid_ep *ep, const struct fi_ioc *iov, void **desc,
     size_t count, fi_addr_t dest_addr, uint64_t addr, uint64_t key,
     enum fi_datatype datatype, enum fi_op op, void *context)
STUB(writemsg, struct fid_ep *ep, const struct fi_msg_atomic *msg,
     uint64_t flags)
STUB(inject, struct fid_ep *ep, const void *buf, size_t count,
     fi_addr_t dest_addr, uint64_t addr, uint64_t key,
     enum fi_datatype datatype, enum fi_op op)
STUB(readwrite, struct fid_ep *ep, const void *buf, size_t count, void *desc,
     void *result, void *result_desc, fi_addr_t dest_addr, uint64_t addr,
     uint64_t key, enum fi_datatype datatype, enum fi_op op, void *context)
STUB(readwritev, struct fid_ep *ep, const struct fi_ioc *iov, void **desc,
     size_t count, struct fi_ioc *resultv, void **result_desc,
     size_t result_count, fi_addr_t dest_addr, uint64_t addr, uint64_t key,
     enum fi_datatype datatype, enum fi_op op, void *context)
STUB(readwritemsg, struct fid_ep *ep, const struct fi_msg_atomic *msg,
     struct fi_ioc *resultv, void **result_desc, size_t result_count,
     uint64_t flags)
STUB(compwrite, struct fid_ep *ep, const void *buf, size_t count, void *desc,
     const void *compare, void *compare_desc, void *result, void *result_desc,
     fi_addr_t dest_addr, uint64_t addr, uint64_t key,
     enum fi_datatype datatype, enum fi_op op, void *context)
STUB(compwritev, struct fid_ep *ep, const struct fi_ioc *iov, void **desc,
     size_t count, const struct fi_ioc *comparev, void **compare_desc,
     size_t compare_count, struct fi_ioc *resultv, void **result_desc,
     size_t result_count, fi_addr_t dest_addr, uint64_t addr, uint64_t key,
     enum fi_datatype datatype, enum fi_op op, void *context)
STUB(compwritemsg, struct fid_ep *ep, const struct fi_msg_atomic *msg,
     const struct fi_ioc *comparev, void **compare_desc, size_t compare_count,
     struct fi_ioc *resultv, void **result_desc, size_t result_count,
     uint64_t flags)

static int atomic_invalid(struct fid_ep *ep, enum fi_datatype datatype,
			  enum fi_op op, size_t *count)
{
	return -FI_EOPNOTSUPP;
}

#define ATOMIC_TABLE(which)                           \
	struct fi_ops_atomic efa_##which##_atomic = { \
		.size = sizeof(struct fi_ops_atomic), \
		.write = which##_write,               \
		.writev = which##_writev,             \
		.writemsg = which##_writemsg,         \
		.inject = which##_inject,             \
		.readwrite = which##_readwrite,       \
		.readwritev = which##_readwritev,     \
		.readwritemsg = which##_readwritemsg, \
		.compwrite = which##_compwrite,       \
		.compwritev = which##_compwritev,     \
		.compwritemsg = which##_compwritemsg, \
		.writevalid = atomic_invalid,         \
		.readwritevalid = atomic_invalid,     \
		.compwritevalid = atomic_invalid,     \
	}

ATOMIC_TABLE(nosys);
ATOMIC_TABLE(disabled);

/* ---- collectives --------------------------------------------------------- */

NOSYS(barrier, struct fid_ep *ep, fi_addr_t coll_addr, void *context)
NOSYS(broadcast, struct fid_ep *ep, void *buf, size_t count, void *desc,
      fi_addr_t coll_addr, fi_addr_t root_addr, enum fi_datatype datatype,
      uint64_t flags, void *context)
NOSYS(all, struct fid_ep *ep, const void *buf, size_t count, void *desc,
      void *result, void *result_desc, fi_addr_t coll_addr,
      enum fi_datatype datatype, uint64_t flags, void *context)
NOSYS(allreduce, struct fid_ep *ep, const void *buf, size_t count, void *desc,
      void *result, void *result_desc, fi_addr_t coll_addr,
      enum fi_datatype datatype, enum fi_op op, uint64_t flags, void *context)
NOSYS(reduce, struct fid_ep *ep, const void *buf, size_t count, void *desc,
      void *result, void *result_desc, fi_addr_t coll_addr, fi_addr_t root_addr,
      enum fi_datatype datatype, enum fi_op op, uint64_t flags, void *context)
NOSYS(rooted, struct fid_ep *ep, const void *buf, size_t count, void *desc,
      void *result, void *result_desc, fi_addr_t coll_addr, fi_addr_t root_addr,
      enum fi_datatype datatype, uint64_t flags, void *context)
NOSYS(collmsg, struct fid_ep *ep, const struct fi_msg_collective *msg,
      struct fi_ioc *resultv, void **result_desc, size_t result_count,
      uint64_t flags)
NOSYS(barrier2, struct fid_ep *ep, fi_addr_t coll_addr, uint64_t flags,
      void *context)

struct fi_ops_collective efa_nosys_collective = {
	.size = sizeof(struct fi_ops_collective),
	.barrier = nosys_barrier,
	.broadcast = nosys_broadcast,
	.alltoall = nosys_all,
	.allreduce = nosys_allreduce,
	.allgather = nosys_all,
	.reduce_scatter = nosys_allreduce,
	.reduce = nosys_reduce,
	.scatter = nosys_rooted,
	.gather = nosys_rooted,
	.msg = nosys_collmsg,
	.barrier2 = nosys_barrier2,
};
