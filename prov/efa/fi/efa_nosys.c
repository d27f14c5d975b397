/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_nosys.c - operations that are not there, or not yet
 *
 * libfabric's inline functions call through most tables without looking, so
 * every pointer of every table has to lead somewhere. An endpoint that is not
 * enabled, or that was opened without a capability, has these tables instead
 * of the real ones, and the data path need not ask.
 */
#include "fi/efa.h"

int efa_nosys_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	return -FI_ENOSYS;
}

int efa_nosys_control(struct fid *fid, int command, void *arg)
{
	return -FI_ENOSYS;
}

/* Of what has no table: whatever the name, there is none that it could be. */
int efa_nosys_ops_open(struct fid *fid, const char *name, uint64_t flags,
		       void **ops, void *context)
{
	return -FI_EINVAL;
}

int efa_nosys_tostr(const struct fid *fid, char *buf, size_t len)
{
	return -FI_ENOSYS;
}

int efa_nosys_ops_set(struct fid *fid, const char *name, uint64_t flags,
		      void *ops, void *context)
{
	return -FI_ENOSYS;
}

/* One stub for "never", one for "not before fi_enable". */
#define STUB(name, ...)                             \
	static ssize_t nosys_##name(__VA_ARGS__)    \
	{                                           \
		return -FI_ENOSYS;                  \
	}                                           \
	static ssize_t disabled_##name(__VA_ARGS__) \
	{                                           \
		return -FI_EOPBADSTATE;             \
	}

/* ---- messages ------------------------------------------------------------ */

STUB(recv, struct fid_ep *ep, void *buf, size_t len, void *desc,
     fi_addr_t src_addr, void *context)
STUB(recvv, struct fid_ep *ep, const struct iovec *iov, void **desc,
     size_t count, fi_addr_t src_addr, void *context)
STUB(msg, struct fid_ep *ep, const struct fi_msg *msg, uint64_t flags)
STUB(send, struct fid_ep *ep, const void *buf, size_t len, void *desc,
     fi_addr_t dest_addr, void *context)
STUB(sendv, struct fid_ep *ep, const struct iovec *iov, void **desc,
     size_t count, fi_addr_t dest_addr, void *context)
STUB(inject, struct fid_ep *ep, const void *buf, size_t len,
     fi_addr_t dest_addr)
STUB(senddata, struct fid_ep *ep, const void *buf, size_t len, void *desc,
     uint64_t data, fi_addr_t dest_addr, void *context)
STUB(injectdata, struct fid_ep *ep, const void *buf, size_t len, uint64_t data,
     fi_addr_t dest_addr)

#define MSG_TABLE(which)                           \
	struct fi_ops_msg efa_##which##_msg = {    \
		.size = sizeof(struct fi_ops_msg), \
		.recv = which##_recv,              \
		.recvv = which##_recvv,            \
		.recvmsg = which##_msg,            \
		.send = which##_send,              \
		.sendv = which##_sendv,            \
		.sendmsg = which##_msg,            \
		.inject = which##_inject,          \
		.senddata = which##_senddata,      \
		.injectdata = which##_injectdata,  \
	}

MSG_TABLE(nosys);
MSG_TABLE(disabled);

/* ---- tagged messages ----------------------------------------------------- */

STUB(trecv, struct fid_ep *ep, void *buf, size_t len, void *desc,
     fi_addr_t src_addr, uint64_t tag, uint64_t ignore, void *context)
STUB(trecvv, struct fid_ep *ep, const struct iovec *iov, void **desc,
     size_t count, fi_addr_t src_addr, uint64_t tag, uint64_t ignore,
     void *context)
STUB(tmsg, struct fid_ep *ep, const struct fi_msg_tagged *msg, uint64_t flags)
STUB(tsend, struct fid_ep *ep, const void *buf, size_t len, void *desc,
     fi_addr_t dest_addr, uint64_t tag, void *context)
STUB(tsendv, struct fid_ep *ep, const struct iovec *iov, void **desc,
     size_t count, fi_addr_t dest_addr, uint64_t tag, void *context)
STUB(tinject, struct fid_ep *ep, const void *buf, size_t len,
     fi_addr_t dest_addr, uint64_t tag)
STUB(tsenddata, struct fid_ep *ep, const void *buf, size_t len, void *desc,
     uint64_t data, fi_addr_t dest_addr, uint64_t tag, void *context)
STUB(tinjectdata, struct fid_ep *ep, const void *buf, size_t len, uint64_t data,
     fi_addr_t dest_addr, uint64_t tag)

#define TAGGED_TABLE(which)                           \
	struct fi_ops_tagged efa_##which##_tagged = { \
		.size = sizeof(struct fi_ops_tagged), \
		.recv = which##_trecv,                \
		.recvv = which##_trecvv,              \
		.recvmsg = which##_tmsg,              \
		.send = which##_tsend,                \
		.sendv = which##_tsendv,              \
		.sendmsg = which##_tmsg,              \
		.inject = which##_tinject,            \
		.senddata = which##_tsenddata,        \
		.injectdata = which##_tinjectdata,    \
	}

TAGGED_TABLE(nosys);
TAGGED_TABLE(disabled);

/* ---- remote memory ------------------------------------------------------- */

STUB(read, struct fid_ep *ep, void *buf, size_t len, void *desc,
     fi_addr_t src_addr, uint64_t addr, uint64_t key, void *context)
STUB(rmav, struct fid_ep *ep, const struct iovec *iov, void **desc,
     size_t count, fi_addr_t peer, uint64_t addr, uint64_t key, void *context)
STUB(rmamsg, struct fid_ep *ep, const struct fi_msg_rma *msg, uint64_t flags)
STUB(write, struct fid_ep *ep, const void *buf, size_t len, void *desc,
     fi_addr_t dest_addr, uint64_t addr, uint64_t key, void *context)
STUB(inject_write, struct fid_ep *ep, const void *buf, size_t len,
     fi_addr_t dest_addr, uint64_t addr, uint64_t key)
STUB(writedata, struct fid_ep *ep, const void *buf, size_t len, void *desc,
     uint64_t data, fi_addr_t dest_addr, uint64_t addr, uint64_t key,
     void *context)
STUB(inject_writedata, struct fid_ep *ep, const void *buf, size_t len,
     uint64_t data, fi_addr_t dest_addr, uint64_t addr, uint64_t key)

#define RMA_TABLE(which)                                \
	struct fi_ops_rma efa_##which##_rma = {         \
		.size = sizeof(struct fi_ops_rma),      \
		.read = which##_read,                   \
		.readv = which##_rmav,                  \
		.readmsg = which##_rmamsg,              \
		.write = which##_write,                 \
		.writev = which##_rmav,                 \
		.writemsg = which##_rmamsg,             \
		.inject = which##_inject_write,         \
		.writedata = which##_writedata,         \
		.injectdata = which##_inject_writedata, \
	}

RMA_TABLE(nosys);
RMA_TABLE(disabled);
