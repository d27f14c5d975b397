/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_av.c - address vector: the application's numbers for its peers
 *
 * A fi_addr is the index in the address table of the message layer, for
 * FI_AV_MAP as for FI_AV_TABLE. The same address inserted again has the same
 * number and must be removed as often.
 */
#include "fi/efa.h"
#include "fi/efa_thin.h"

#include <stdlib.h>
#include <string.h>

static struct efa_av *av_of(struct fid_av *av)
{
	return u_container_of(av, struct efa_av, fid);
}

/* ---- endpoints ----------------------------------------------------------- */

int efa_av_add_ep(struct efa_av *av, struct efa_ep *ep)
{
	struct efa_ep **list;
	int ret = 0;

	u_lock(&av->lock);
	if (av->n == av->room) {
		list = realloc(av->ep, (av->room * 2 + 1) * sizeof(*list));
		if (list) {
			av->ep = list;
			av->room = av->room * 2 + 1;
		}
	}
	if (av->n < av->room)
		av->ep[av->n++] = ep;
	else
		ret = -FI_ENOMEM;
	u_unlock(&av->lock);
	return ret;
}

void efa_av_remove_ep(struct efa_av *av, struct efa_ep *ep)
{
	u_lock(&av->lock);
	for (size_t i = 0; i < av->n; i++) {
		if (av->ep[i] == ep) {
			av->ep[i] = av->ep[--av->n];
			break;
		}
	}
	u_unlock(&av->lock);
}

/*
 * The number may be another peer's next. Without a lock an endpoint is its
 * thread's alone, so each takes note and forgets it before it uses it again.
 */
static void tell_removed(struct efa_av *av, fi_addr_t index)
{
	u_lock(&av->lock);
	for (size_t i = 0; i < av->n; i++) {
		if (av->ep[i]->rdm)
			rdm_ep_removed(av->ep[i]->rdm, index);
		else
			efa_thin_removed(av->ep[i]->thin, index);
	}
	u_unlock(&av->lock);
}

/* ---- operations ---------------------------------------------------------- */

static int insert_one(struct efa_av *av, const uint8_t *bytes, fi_addr_t *index)
{
	struct dev_addr addr;
	int ret;

	*index = FI_ADDR_NOTAVAIL;
	ret = efa_addr_unpack(bytes, &addr);
	if (!ret)
		ret = rdm_av_insert(av->rdm, &addr, index);
	if (ret)
		*index = FI_ADDR_NOTAVAIL;
	return ret;
}

/*
 * Goes on after a bad address. Returns how many were good; with FI_SYNC_ERR
 * context is an array of int with the error of each.
 */
static int av_insert(struct fid_av *fid, const void *addr, size_t count,
		     fi_addr_t *fi_addr, uint64_t flags, void *context)
{
	struct efa_av *av = av_of(fid);
	int *errors = flags & FI_SYNC_ERR ? context : NULL;
	const uint8_t *bytes = addr;
	fi_addr_t index;
	int ret, good = 0;

	if (flags & ~(FI_MORE | FI_SYNC_ERR))
		return -FI_EBADFLAGS;
	for (size_t i = 0; i < count; i++, bytes += EFA_ADDR_LEN) {
		ret = insert_one(av, bytes, &index);
		if (ret)
			efa_warn(AV, "address %zu of %zu refused: %s\n", i,
				 count, fi_strerror(-ret));
		else
			good++;
		if (fi_addr)
			fi_addr[i] = index;
		if (errors)
			errors[i] = -ret;
	}
	return good;
}

static int av_insertsvc(struct fid_av *av, const char *node,
			const char *service, fi_addr_t *fi_addr, uint64_t flags,
			void *context)
{
	return -FI_ENOSYS;
}

static int av_insertsym(struct fid_av *av, const char *node, size_t nodecnt,
			const char *service, size_t svccnt, fi_addr_t *fi_addr,
			uint64_t flags, void *context)
{
	return -FI_ENOSYS;
}

static int av_remove(struct fid_av *fid, fi_addr_t *fi_addr, size_t count,
		     uint64_t flags)
{
	struct efa_av *av = av_of(fid);
	int ret;

	if (flags)
		return -FI_EBADFLAGS;
	for (size_t i = 0; i < count; i++) {
		ret = rdm_av_remove(av->rdm, fi_addr[i]);
		if (ret < 0)
			return ret;
		if (ret > 0)
			tell_removed(av, fi_addr[i]);
	}
	return 0;
}

static int av_lookup(struct fid_av *fid, fi_addr_t fi_addr, void *addr,
		     size_t *addrlen)
{
	uint8_t bytes[EFA_ADDR_LEN];
	struct dev_addr found;
	size_t room = *addrlen;
	int ret;

	ret = rdm_av_lookup(av_of(fid)->rdm, fi_addr, &found);
	if (ret)
		return ret;
	efa_addr_pack(&found, bytes);
	*addrlen = EFA_ADDR_LEN;
	if (room)
		memcpy(addr, bytes, u_min(room, EFA_ADDR_LEN));
	return 0;
}

static const char *av_straddr(struct fid_av *fid, const void *addr, char *buf,
			      size_t *len)
{
	struct dev_addr unpacked;
	size_t room = *len;

	if (efa_addr_unpack(addr, &unpacked)) {
		memset(&unpacked, 0, sizeof(unpacked));
		memcpy(unpacked.gid, addr, sizeof(unpacked.gid));
	}
	*len = efa_addr_text(&unpacked, buf, room) + 1;
	return buf;
}

static int av_set(struct fid_av *av, struct fi_av_set_attr *attr,
		  struct fid_av_set **set, void *context)
{
	return -FI_ENOSYS;
}

static int av_close(struct fid *fid)
{
	struct efa_av *av = u_container_of(fid, struct efa_av, fid.fid);

	if (efa_is_child(av->domain->pid))
		return 0;
	if (atomic_load(&av->refs))
		return -FI_EBUSY;
	rdm_av_free(av->rdm);
	u_lock_fini(&av->lock);
	atomic_fetch_sub(&av->domain->refs, 1);
	free(av->ep);
	free(av);
	return 0;
}

static struct fi_ops av_fi_ops = {
	.size = sizeof(struct fi_ops),
	.close = av_close,
	.bind = efa_nosys_bind,
	.control = efa_nosys_control,
	.ops_open = efa_nosys_ops_open,
	.tostr = efa_nosys_tostr,
	.ops_set = efa_nosys_ops_set,
};

static struct fi_ops_av av_ops = {
	.size = sizeof(struct fi_ops_av),
	.insert = av_insert,
	.insertsvc = av_insertsvc,
	.insertsym = av_insertsym,
	.remove = av_remove,
	.lookup = av_lookup,
	.straddr = av_straddr,
	.av_set = av_set,
};

/*
 * Insertion is done when the call returns (no FI_EVENT), and tables are not
 * shared between processes. MPI takes success with a name and FI_READ for a
 * shared table that is already filled, so both must be refused.
 */
static int check_attr(const struct fi_av_attr *attr)
{
	if (attr->name || (attr->flags & ~FI_SYMMETRIC))
		return -FI_ENOSYS;
	return attr->type > FI_AV_TABLE ? -FI_EINVAL : 0;
}

int efa_av_open(struct fid_domain *fid, struct fi_av_attr *attr,
		struct fid_av **out, void *context)
{
	struct efa_domain *domain = u_container_of(fid, struct efa_domain, fid);
	struct efa_av *av;
	int ret;

	ret = attr ? check_attr(attr) : -FI_EINVAL;
	if (ret)
		return ret;
	av = calloc(1, sizeof(*av));
	if (!av)
		return -FI_ENOMEM;
	av->rdm = rdm_av_new(attr->count);
	if (!av->rdm) {
		free(av);
		return -FI_ENOMEM;
	}
	u_lock_init(&av->lock, efa_domain_locks(domain).queues);
	if (attr->type == FI_AV_UNSPEC)
		attr->type = FI_AV_TABLE;
	av->domain = domain;
	av->fid.fid.fclass = FI_CLASS_AV;
	av->fid.fid.context = context;
	av->fid.fid.ops = &av_fi_ops;
	av->fid.ops = &av_ops;
	atomic_fetch_add(&domain->refs, 1);
	*out = &av->fid;
	return 0;
}
