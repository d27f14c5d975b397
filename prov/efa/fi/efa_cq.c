/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_cq.c - completion queue: what the message layer did, in the words of the
 * application
 *
 * There is one table of operations a format, so that a read is compiled for
 * the entry that it writes. A read takes what is there; when that is not
 * enough it drives the endpoints once and takes again.
 */
#include "fi/efa.h"

#include <stdlib.h>

#include "fi/efa_settings.h"
#include "util/u_lines.h"

#define BATCH 16 /* completions copied at once */
#define THIN_SIZE 12288 /* of a queue of thin endpoints: receives, sends */

static struct efa_cq *cq_of(struct fid_cq *cq)
{
	return u_container_of(cq, struct efa_cq, fid);
}

/* ---- flags --------------------------------------------------------------- */

#define FLAGS(tagged, data, multi, bits)                                   \
	[((tagged) ? RDM_COMP_TAGGED : 0) | ((data) ? RDM_COMP_DATA : 0) | \
		((multi) ? RDM_COMP_MULTI : 0)] = (bits)

/* A row for a kind: flags for messages, for tagged ones, for data, for last. */
#define ROW(msg, tag, data, last)                                \
	{                                                        \
		FLAGS(0, 0, 0, (msg)), FLAGS(1, 0, 0, (tag)),    \
			FLAGS(0, 1, 0, (msg) | (data)),          \
			FLAGS(1, 1, 0, (tag) | (data)),          \
			FLAGS(0, 0, 1, (msg) | (last)),          \
			FLAGS(1, 0, 1, (tag) | (last)),          \
			FLAGS(0, 1, 1, (msg) | (data) | (last)), \
			FLAGS(1, 1, 1, (tag) | (data) | (last)), \
	}

static const uint64_t flag_table[RDM_COMP_KINDS][RDM_COMP_FLAGS] = {
	[RDM_COMP_SEND] = ROW(FI_SEND | FI_MSG, FI_SEND | FI_TAGGED, 0, 0),
	[RDM_COMP_RECV] = ROW(FI_RECV | FI_MSG, FI_RECV | FI_TAGGED,
			      FI_REMOTE_CQ_DATA, FI_MULTI_RECV),
	[RDM_COMP_READ] = ROW(FI_RMA | FI_READ, FI_RMA | FI_READ, 0, 0),
	[RDM_COMP_WRITE] = ROW(FI_RMA | FI_WRITE, FI_RMA | FI_WRITE, 0, 0),
	[RDM_COMP_ATOMIC] =
		ROW(FI_ATOMIC | FI_WRITE, FI_ATOMIC | FI_WRITE, 0, 0),
	[RDM_COMP_FETCH] = ROW(FI_ATOMIC | FI_READ, FI_ATOMIC | FI_READ, 0, 0),
	[RDM_COMP_REMOTE_WRITE] = ROW(FI_RMA | FI_REMOTE_WRITE,
				      FI_RMA | FI_REMOTE_WRITE,
				      FI_REMOTE_CQ_DATA, 0),
	[RDM_COMP_RELEASE] = ROW(FI_MULTI_RECV, FI_MULTI_RECV, 0, 0),
};

uint64_t efa_cq_flags(const struct rdm_comp *comp)
{
	return flag_table[comp->kind][comp->flags];
}

/* ---- formats ------------------------------------------------------------- */

typedef void put_fn(void *buf, size_t at, const struct rdm_comp *comp);

static inline void put_context(void *buf, size_t at,
			       const struct rdm_comp *comp)
{
	struct fi_cq_entry *entry = buf;

	entry[at].op_context = comp->context;
}

static inline void put_msg(void *buf, size_t at, const struct rdm_comp *comp)
{
	struct fi_cq_msg_entry *entry = (struct fi_cq_msg_entry *)buf + at;

	entry->op_context = comp->context;
	entry->flags = flag_table[comp->kind][comp->flags];
	entry->len = comp->len;
}

static inline void put_data(void *buf, size_t at, const struct rdm_comp *comp)
{
	struct fi_cq_data_entry *entry = (struct fi_cq_data_entry *)buf + at;

	entry->op_context = comp->context;
	entry->flags = flag_table[comp->kind][comp->flags];
	entry->len = comp->len;
	entry->buf = comp->buf;
	entry->data = comp->data;
}

static inline void put_tagged(void *buf, size_t at, const struct rdm_comp *comp)
{
	struct fi_cq_tagged_entry *entry =
		(struct fi_cq_tagged_entry *)buf + at;

	entry->op_context = comp->context;
	entry->flags = flag_table[comp->kind][comp->flags];
	entry->len = comp->len;
	entry->buf = comp->buf;
	entry->data = comp->data;
	entry->tag = comp->tag;
}

/* ---- reading ------------------------------------------------------------- */

/* Fills entries [done, count); returns the new done, or -1: an error first. */
static inline __attribute__((always_inline)) ssize_t
take(struct efa_cq *cq, void *buf, size_t done, size_t count, fi_addr_t *src,
     put_fn *put)
{
	struct rdm_comp comp[BATCH];
	int n, want;

	while (done < count) {
		want = (int)u_min(count - done, BATCH);
		n = efa_cq_take(cq, comp, want);
		if (u_unlikely(n < 0 && done == 0))
			return -1;
		for (int i = 0; i < n; i++, done++) {
			put(buf, done, &comp[i]);
			if (src)
				src[done] = comp[i].source;
		}
		if (n < want)
			break;
	}
	return (ssize_t)done;
}

/* A read of nothing is how some programs make progress. */
static U_COLD ssize_t read_none(struct efa_cq *cq)
{
	bool empty;

	efa_watch_progress(&cq->watch);
	empty = efa_cq_empty(cq);
	efa_watch_note(&cq->watch, !empty);
	return empty ? -FI_EAGAIN : 0;
}

static inline __attribute__((always_inline)) ssize_t
read_as(struct fid_cq *fid, void *buf, size_t count, fi_addr_t *src,
	put_fn *put)
{
	struct efa_cq *cq = cq_of(fid);
	ssize_t done;

	if (u_unlikely(count == 0))
		return read_none(cq);
	done = take(cq, buf, 0, count, src, put);
	if (done == (ssize_t)count)
		return done;
	if (u_unlikely(done < 0))
		return -FI_EAVAIL;
	efa_watch_progress(&cq->watch);
	done = take(cq, buf, (size_t)done, count, src, put);
	efa_watch_note(&cq->watch, done != 0);
	if (u_unlikely(done < 0))
		return -FI_EAVAIL;
	return done ? done : -FI_EAGAIN;
}

#define FORMAT(name)                                                           \
	static ssize_t read_##name(struct fid_cq *cq, void *buf, size_t count) \
	{                                                                      \
		return read_as(cq, buf, count, NULL, put_##name);              \
	}                                                                      \
	static ssize_t readfrom_##name(struct fid_cq *cq, void *buf,           \
				       size_t count, fi_addr_t *src)           \
	{                                                                      \
		return read_as(cq, buf, count, src, put_##name);               \
	}                                                                      \
	static struct fi_ops_cq ops_##name = {                                 \
		.size = sizeof(struct fi_ops_cq),                              \
		.read = read_##name,                                           \
		.readfrom = readfrom_##name,                                   \
		.readerr = efa_cq_readerr,                                     \
		.sread = efa_cq_sread,                                         \
		.sreadfrom = efa_cq_sreadfrom,                                 \
		.signal = efa_cq_signal,                                       \
		.strerror = efa_cq_strerror,                                   \
	}

FORMAT(context);
FORMAT(msg);
FORMAT(data);
FORMAT(tagged);

static const struct {
	struct fi_ops_cq *ops;
	size_t entry_size;
} formats[] = {
	[FI_CQ_FORMAT_CONTEXT] = { &ops_context, sizeof(struct fi_cq_entry) },
	[FI_CQ_FORMAT_MSG] = { &ops_msg, sizeof(struct fi_cq_msg_entry) },
	[FI_CQ_FORMAT_DATA] = { &ops_data, sizeof(struct fi_cq_data_entry) },
	[FI_CQ_FORMAT_TAGGED] = { &ops_tagged,
				  sizeof(struct fi_cq_tagged_entry) },
};

/* ---- opening and closing ------------------------------------------------- */

static int cq_control(struct fid *fid, int command, void *arg)
{
	struct efa_cq *cq = u_container_of(fid, struct efa_cq, fid.fid);

	switch (command) {
	case FI_GETWAIT:
		if (cq->watch.epoll < 0)
			return -FI_ENODATA;
		*(int *)arg = cq->watch.epoll;
		return 0;
	case FI_GETWAITOBJ:
		*(enum fi_wait_obj *)arg = cq->wait_obj;
		return 0;
	default:
		return -FI_ENOSYS;
	}
}

static void cq_free(struct efa_cq *cq)
{
	rdm_cq_free(cq->rdm);
	efa_ring_free(cq->ring);
	efa_watch_fini(&cq->watch);
	free(cq);
}

static int cq_close(struct fid *fid)
{
	struct efa_cq *cq = u_container_of(fid, struct efa_cq, fid.fid);

	if (efa_is_child(cq->domain->pid))
		return 0;
	if (atomic_load(&cq->refs))
		return -FI_EBUSY;
	atomic_fetch_sub(&cq->domain->refs, 1);
	cq_free(cq);
	return 0;
}

static struct fi_ops cq_fi_ops = {
	.size = sizeof(struct fi_ops),
	.close = cq_close,
	.bind = efa_nosys_bind,
	.control = cq_control,
	.ops_open = efa_nosys_ops_open,
	.tostr = efa_nosys_tostr,
	.ops_set = efa_nosys_ops_set,
};

/* Fills in what the caller leaves to us. */
static int check_attr(struct fi_cq_attr *attr)
{
	if (attr->flags & ~FI_AFFINITY)
		return -FI_EBADFLAGS;
	if (attr->format == FI_CQ_FORMAT_UNSPEC)
		attr->format = FI_CQ_FORMAT_CONTEXT;
	if (attr->format > FI_CQ_FORMAT_TAGGED)
		return -FI_ENOSYS;
	switch (attr->wait_obj) {
	case FI_WAIT_NONE:
	case FI_WAIT_YIELD:
	case FI_WAIT_FD:
		break;
	case FI_WAIT_UNSPEC:
		attr->wait_obj = FI_WAIT_FD;
		break;
	default:
		return -FI_ENOSYS;
	}
	switch (attr->wait_cond) {
	case FI_CQ_COND_NONE:
	case FI_CQ_COND_THRESHOLD:
		return 0;
	}
	return -FI_EINVAL;
}

/* Queues grow: the size is what they begin with. */
static int open_queue(struct efa_cq *cq, size_t size, bool locked)
{
	size = u_max(size, (size_t)efa_settings.cq_size);
	if (cq->domain->kind != EFA_RDM)
		size = u_max(size, THIN_SIZE);
	if (cq->domain->kind == EFA_RDM) {
		cq->rdm = rdm_cq_new(size, locked);
		if (cq->rdm)
			rdm_cq_set_fd(cq->rdm, cq->watch.event);
	} else {
		cq->ring = efa_ring_new(size, locked, cq->watch.event);
	}
	return cq->rdm || cq->ring ? 0 : -FI_ENOMEM;
}

int efa_cq_open(struct fid_domain *fid, struct fi_cq_attr *attr,
		struct fid_cq **out, void *context)
{
	struct efa_domain *domain = u_container_of(fid, struct efa_domain, fid);
	bool locked = efa_domain_locks(domain).queues;
	struct efa_cq *cq;
	int ret;

	ret = check_attr(attr);
	if (ret)
		return ret;
	cq = u_lines_new(sizeof(*cq));
	if (!cq)
		return -FI_ENOMEM;
	ret = efa_watch_init(&cq->watch, locked, attr->wait_obj == FI_WAIT_FD);
	if (ret) {
		free(cq);
		return ret;
	}
	cq->domain = domain;
	ret = open_queue(cq, attr->size, locked);
	if (ret) {
		cq_free(cq);
		return ret;
	}
	cq->wait_obj = attr->wait_obj;
	cq->wait_cond = attr->wait_cond;
	cq->entry_size = formats[attr->format].entry_size;
	cq->fid.fid.fclass = FI_CLASS_CQ;
	cq->fid.fid.context = context;
	cq->fid.fid.ops = &cq_fi_ops;
	cq->fid.ops = formats[attr->format].ops;
	atomic_fetch_add(&domain->refs, 1);
	*out = &cq->fid;
	return 0;
}
