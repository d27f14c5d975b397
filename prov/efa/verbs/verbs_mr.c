/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_mr.c - registered memory: local keys, and remote ones of the nic
 *
 * The two keys of a region differ, so that a program which mixes them up fails
 * here as it may on a real device. Local keys live in chunks that never move,
 * so that a look-up while posting needs no lock.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "util/u_log.h"
#include "verbs_priv.h"
#include "verbs_real.h"

#define CHUNK (VERBS_MAX_MR / 64) /* keys */
#define GENERATIONS 0xffffu /* above 16 bits of index */
#define REMOTE (IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

int verbs_keys_init(struct verbs_keys *k)
{
	u_lock_init(&k->lock, true);
	return 0;
}

void verbs_keys_fini(struct verbs_keys *k, struct nic *nic)
{
	for (size_t c = 0; c < u_array_size(k->chunk); c++) {
		struct verbs_key *chunk = k->chunk[c];

		for (uint32_t i = 0; chunk && i < CHUNK; i++)
			if (chunk[i].lkey)
				nic_mr_dereg(nic, chunk[i].rkey);
		free(chunk);
	}
	u_lock_fini(&k->lock);
}

/* Under the lock. NULL: none left. */
static struct verbs_key *keys_make(struct verbs_keys *k)
{
	uint32_t index = k->made;
	struct verbs_key *chunk;

	if (index == VERBS_MAX_MR)
		return NULL;
	chunk = k->chunk[index / CHUNK];
	if (!chunk) {
		chunk = calloc(CHUNK, sizeof(*chunk));
		if (!chunk)
			return NULL;
		atomic_store_explicit(&k->chunk[index / CHUNK], chunk,
				      memory_order_release);
	}
	k->made++;
	chunk[index % CHUNK].index = index;
	return &chunk[index % CHUNK];
}

static struct verbs_key *keys_get(struct verbs_keys *k)
{
	struct verbs_key *key;

	u_lock(&k->lock);
	key = k->free;
	if (key)
		k->free = key->next;
	else
		key = keys_make(k);
	u_unlock(&k->lock);
	return key;
}

static void keys_put(struct verbs_keys *k, struct verbs_key *key)
{
	atomic_store_explicit(&key->lkey, 0, memory_order_relaxed);
	u_lock(&k->lock);
	key->next = k->free;
	k->free = key;
	u_unlock(&k->lock);
}

static const struct verbs_key *keys_find(struct verbs_keys *k, uint32_t lkey)
{
	const struct verbs_key *chunk = atomic_load_explicit(
		&k->chunk[(lkey & 0xffff) / CHUNK], memory_order_acquire);
	const struct verbs_key *key;

	if (!chunk || !lkey)
		return NULL;
	key = &chunk[(lkey & 0xffff) % CHUNK];
	if (atomic_load_explicit(&key->lkey, memory_order_acquire) != lkey)
		return NULL;
	return key;
}

bool verbs_sge_check(const struct verbs_qp *qp, const struct ibv_sge *sge,
		     uint32_t access, struct iovec *iov)
{
	const struct verbs_key *key = keys_find(&qp->ctx->keys, sge->lkey);
	uint64_t at;

	iov->iov_base = NULL;
	iov->iov_len = sge->length;
	if (!key || key->pd != qp->qp.pd || (access & ~key->access))
		return false;
	at = sge->addr - key->iova;
	if (at > key->len || sge->length > key->len - at)
		return false;
	iov->iov_base = (void *)(uintptr_t)(sge->addr + key->delta);
	return true;
}

/* --- registration --- */

/* Whether each page of a range exists, as pinning would find out. */
static bool is_mapped(const void *addr, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t at = (uintptr_t)addr & ~(page - 1);
	uintptr_t last = ((uintptr_t)addr + len - 1) & ~(page - 1);
	unsigned char in[1024];
	size_t n;

	for (; at <= last; at += n) {
		n = u_min(last - at + page, sizeof(in) * page);
		if (mincore((void *)at, n, in) && errno == ENOMEM)
			return false;
		if (at + n < at)
			break;
	}
	return true;
}

static int access_check(unsigned int access)
{
	const unsigned int known = IBV_ACCESS_LOCAL_WRITE | REMOTE;

	if (access & ~(known | IBV_ACCESS_OPTIONAL_RANGE))
		return EOPNOTSUPP;
	if ((access & IBV_ACCESS_REMOTE_WRITE) &&
	    !(access & IBV_ACCESS_LOCAL_WRITE))
		return EINVAL;
	return 0;
}

static int range_check(const void *addr, size_t len, uint64_t iova,
		       unsigned int access)
{
	if (!len || (uintptr_t)addr + len < (uintptr_t)addr ||
	    iova + len < iova)
		return EINVAL;
	if (iova != (uintptr_t)addr && (access & REMOTE)) {
		u_warn("memory that peers reach must be registered under its "
		       "own address");
		return EOPNOTSUPP;
	}
	return is_mapped(addr, len) ? 0 : EFAULT;
}

static uint32_t nic_access(unsigned int access)
{
	return (access & IBV_ACCESS_REMOTE_READ ? NIC_REMOTE_READ : 0) |
	       (access & IBV_ACCESS_REMOTE_WRITE ? NIC_REMOTE_WRITE : 0);
}

static struct ibv_mr *mr_reg(struct ibv_pd *pd, void *addr, size_t len,
			     uint64_t iova, unsigned int access)
{
	struct verbs_ctx *ctx = verbs_ctx_of(pd->context);
	struct verbs_mr *mr = calloc(1, sizeof(*mr));
	struct verbs_key *key;
	int rc;

	if (!mr)
		return NULL;
	key = keys_get(&ctx->keys);
	rc = key ? -nic_mr_reg(ctx->nic, addr, len, nic_access(access),
			       &key->rkey) :
		   ENOMEM;
	if (rc) {
		if (key)
			keys_put(&ctx->keys, key);
		free(mr);
		return verbs_null(rc);
	}
	key->access = access;
	key->iova = iova;
	key->len = len;
	key->delta = (uintptr_t)addr - iova;
	key->pd = pd;
	key->generation = key->generation % GENERATIONS + 1;
	mr->key = key;
	mr->mr = (struct ibv_mr){
		.context = pd->context,
		.pd = pd,
		.addr = addr,
		.length = len,
		.lkey = key->generation << 16 | key->index,
		.rkey = key->rkey,
	};
	atomic_store_explicit(&key->lkey, mr->mr.lkey, memory_order_release);
	verbs_pd_hold(pd);
	return &mr->mr;
}

static struct ibv_mr *mr_open(struct ibv_pd *pd, void *addr, size_t len,
			      uint64_t iova, unsigned int access)
{
	int rc = access_check(access);

	if (!rc)
		rc = range_check(addr, len, iova, access);
	if (rc)
		return verbs_null(rc);
	return mr_reg(pd, addr, len, iova,
		      access & ~(unsigned int)IBV_ACCESS_OPTIONAL_RANGE);
}

VERBS_EXPORT struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr,
				       size_t len, int access)
{
	if (!verbs_is_ours(pd->context))
		return verbs_real(ibv_reg_mr)(pd, addr, len, access);
	return mr_open(pd, addr, len, (uintptr_t)addr, (unsigned int)access);
}

VERBS_EXPORT struct ibv_mr *ibv_reg_mr_iova(struct ibv_pd *pd, void *addr,
					    size_t len, uint64_t iova,
					    int access)
{
	if (!verbs_is_ours(pd->context))
		return verbs_real(ibv_reg_mr_iova)(pd, addr, len, iova, access);
	return mr_open(pd, addr, len, iova, (unsigned int)access);
}

VERBS_EXPORT struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr,
					     size_t len, uint64_t iova,
					     unsigned int access)
{
	if (!verbs_is_ours(pd->context))
		return verbs_real(ibv_reg_mr_iova2)(pd, addr, len, iova,
						    access);
	return mr_open(pd, addr, len, iova, access);
}

VERBS_EXPORT struct ibv_mr *ibv_reg_dmabuf_mr(struct ibv_pd *pd,
					      uint64_t offset, size_t len,
					      uint64_t iova, int fd, int access)
{
	if (!verbs_is_ours(pd->context))
		return verbs_real(ibv_reg_dmabuf_mr)(pd, offset, len, iova, fd,
						     access);
	return verbs_null(EOPNOTSUPP);
}

VERBS_EXPORT int ibv_rereg_mr(struct ibv_mr *mr, int flags, struct ibv_pd *pd,
			      void *addr, size_t len, int access)
{
	if (!verbs_is_ours(mr->context))
		return verbs_real(ibv_rereg_mr)(mr, flags, pd, addr, len,
						access);
	errno = EOPNOTSUPP;
	return IBV_REREG_MR_ERR_INPUT;
}

/* What is posted before the key is gone is found here. */
static void mr_revoke(struct verbs_ctx *ctx, uint32_t lkey)
{
	struct verbs_qp *qp;

	u_lock(&ctx->lock);
	LIST_FOREACH(qp, &ctx->qps, link) {
		u_lock(&qp->lock);
		verbs_send_revoke(qp, lkey);
		verbs_recv_revoke(qp, lkey);
		u_unlock(&qp->lock);
	}
	u_unlock(&ctx->lock);
}

VERBS_EXPORT int ibv_dereg_mr(struct ibv_mr *m)
{
	struct verbs_mr *mr = u_container_of(m, struct verbs_mr, mr);
	struct verbs_ctx *ctx;

	if (!verbs_is_ours(m->context))
		return verbs_real(ibv_dereg_mr)(m);
	ctx = verbs_ctx_of(m->context);
	/* A peer in the middle of a copy does not run. Our own program may use
	   the region until it is gone, which cannot be taken back. */
	if (nic_mr_dereg(ctx->nic, m->rkey) == -EBUSY)
		return EBUSY;
	atomic_store_explicit(&mr->key->lkey, 0, memory_order_relaxed);
	mr_revoke(ctx, m->lkey);
	keys_put(&ctx->keys, mr->key);
	verbs_pd_drop(m->pd);
	free(mr);
	return 0;
}

#if !HAVE_DECL_EFADV_QUERY_MR
struct efadv_mr_attr;
int efadv_query_mr(struct ibv_mr *m, struct efadv_mr_attr *attr,
		   uint32_t inlen);
#endif

#define MR_ATTR_MIN 10 /* bytes: comp_mask and ic_id_validity */

/* No number tells how a software device lies to memory. */
VERBS_EXPORT int efadv_query_mr(struct ibv_mr *m, struct efadv_mr_attr *attr,
				uint32_t inlen)
{
	if (!verbs_is_ours(m->context))
		return verbs_real(efadv_query_mr)(m, attr, inlen);
	if (inlen < MR_ATTR_MIN)
		return EINVAL;
	memset(attr, 0, inlen);
	return 0;
}
