/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verify_op.c - completions to their operations, and what is expected of them
 */
#include "verify.h"

#include <sched.h>
#include <stdarg.h>
#include <string.h>

#include <rdma/fi_rma.h>

#define FAILURES_SHOWN 40u

uint64_t vf_random(struct verify *v)
{
	return pattern_mix(v->random += 0x9e3779b97f4a7c15u);
}

uint64_t vf_random_below(struct verify *v, uint64_t bound)
{
	return bound ? vf_random(v) % bound : 0;
}

size_t vf_random_size(struct verify *v, size_t max)
{
	unsigned int magnitudes = 1;
	size_t bound;

	while (max >> magnitudes)
		magnitudes++;
	bound = (size_t)2 << vf_random_below(v, magnitudes);
	return vf_random_below(v, (bound <= max ? bound : max) + 1);
}

void vf_shuffle(struct verify *v, size_t *order, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = vf_random_below(v, i);
		size_t kept = order[i - 1];

		order[i - 1] = order[j];
		order[j] = kept;
	}
}

void vf_expect(struct verify *v, bool holds, const char *format, ...)
{
	va_list args;

	if (holds) {
		v->passed++;
		return;
	}
	if (v->failed++ >= FAILURES_SHOWN)
		return;
	fprintf(stderr, "%s: %s: ", v->ft.client ? "client" : "server",
		v->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void vf_skip(struct verify *v, const char *why)
{
	if (v->ft.client)
		printf("%-24s skipped: %s\n", v->name, why);
}

uint64_t vf_delivery(const struct verify *v)
{
	return v->ft.opt.no_delivery ? 0 : FI_DELIVERY_COMPLETE;
}

ssize_t vf_writemsg(struct verify *v, struct vf_op *op, size_t at, size_t len,
		    uint64_t addr, uint64_t key, uint64_t flags)
{
	struct iovec iov = { v->tx.p + at, len };
	struct fi_rma_iov there = { addr, len, key };
	struct fi_msg_rma msg = { .msg_iov = &iov,
				  .desc = &v->tx.desc,
				  .iov_count = 1,
				  .addr = v->ft.peer,
				  .rma_iov = &there,
				  .rma_iov_count = 1,
				  .context = op };

	return fi_writemsg(v->ft.ep, &msg, FI_COMPLETION | flags);
}

static void take_entry(struct verify *v, const struct fi_cq_tagged_entry *entry,
		       fi_addr_t src)
{
	struct vf_op *op = entry->op_context;

	if (!op && (entry->flags & FI_REMOTE_CQ_DATA))
		op = v->remote;
	if (!op) {
		v->stray++;
		return;
	}
	op->entries++;
	op->flags = entry->flags;
	op->len = entry->len;
	op->buf = entry->buf;
	op->data = entry->data;
	op->tag = entry->tag;
	op->src = src;
	op->done = true;
}

static void take_error(struct verify *v, struct fid_cq *cq)
{
	struct fi_cq_err_entry error = { 0 };
	ssize_t n = fi_cq_readerr(cq, &error, 0);
	struct vf_op *op = error.op_context;

	if (n != 1)
		ft_die("fi_cq_readerr", n ? (int)n : -FI_EAVAIL);
	if (!op) {
		fprintf(stderr, "%s: an error without a context: %s\n", v->name,
			fi_strerror(error.err));
		v->stray++;
		return;
	}
	op->entries++;
	op->err = error.err;
	op->flags = error.flags;
	op->len = error.len;
	op->olen = error.olen;
	op->buf = error.buf;
	op->data = error.data;
	op->tag = error.tag;
	op->done = true;
}

static bool poll_cq(struct verify *v, struct fid_cq *cq)
{
	struct fi_cq_tagged_entry entry[4];
	fi_addr_t src[4] = { FI_ADDR_NOTAVAIL, FI_ADDR_NOTAVAIL,
			     FI_ADDR_NOTAVAIL, FI_ADDR_NOTAVAIL };
	ssize_t n = fi_cq_readfrom(cq, entry, 4, src);

	if (n == -FI_EAVAIL) {
		take_error(v, cq);
		return true;
	}
	if (n < 0 && n != -FI_EAGAIN)
		ft_die("fi_cq_readfrom", (int)n);
	for (ssize_t i = 0; i < n; i++)
		take_entry(v, &entry[i], src[i]);
	return n > 0;
}

void vf_poll(struct verify *v)
{
	bool any = poll_cq(v, v->ft.txcq);

	any |= poll_cq(v, v->ft.rxcq);
	if (any)
		ft_busy(&v->ft);
	else
		ft_idle(&v->ft);
}

void vf_wait(struct verify *v, struct vf_op *op)
{
	while (!op->done)
		vf_poll(v);
}

void vf_linger(struct verify *v, unsigned int ms)
{
	uint64_t end = ft_now() + ms * 1000000ull;

	while (ft_now() < end) {
		vf_poll(v);
		sched_yield();
	}
}

void vf_again(struct verify *v, const char *what, ssize_t ret)
{
	/* Some providers call a full queue a lack of memory. */
	if (ret != -FI_EAGAIN && ret != -FI_ENOMEM)
		ft_die(what, (int)ret);
	vf_poll(v);
}

void vf_recv(struct verify *v, struct vf_op *op, fi_addr_t from, size_t at,
	     size_t len, uint64_t tag, uint64_t ignore)
{
	ssize_t ret;

	*op = (struct vf_op){ 0 };
	while ((ret = fi_trecv(v->ft.ep, v->rx.p + at, len, v->rx.desc, from,
			       tag, ignore, op)))
		vf_again(v, "fi_trecv", ret);
}

void vf_send(struct verify *v, struct vf_op *op, fi_addr_t to, size_t at,
	     size_t len, uint64_t tag)
{
	ssize_t ret;

	*op = (struct vf_op){ 0 };
	while ((ret = fi_tsend(v->ft.ep, v->tx.p + at, len, v->tx.desc, to, tag,
			       op)))
		vf_again(v, "fi_tsend", ret);
}

void vf_fill(struct verify *v, size_t at, size_t len, uint64_t seed)
{
	pattern_fill(v->tx.p + at, len, seed);
}

void vf_guard(struct verify *v, size_t at, size_t len)
{
	memset(v->rx.p + at, VF_GUARD_BYTE, len + VF_GUARD);
}

void vf_expect_bytes(struct verify *v, size_t at, size_t len, uint64_t seed)
{
	size_t wrong = pattern_check(v->rx.p + at, len, seed);

	vf_expect(v, wrong == len, "wrong from byte %zu of %zu", wrong, len);
}

void vf_expect_guard(struct verify *v, size_t at, size_t from, size_t to)
{
	for (size_t i = from; i < to + VF_GUARD; i++) {
		if ((unsigned char)v->rx.p[at + i] == VF_GUARD_BYTE)
			continue;
		vf_expect(v, false, "byte %zu behind %zu was written", i, from);
		return;
	}
	vf_expect(v, true, " ");
}

void vf_expect_recv(struct verify *v, const struct vf_op *op, size_t len,
		    uint64_t tag)
{
	vf_expect(v, !op->err, "receive of %zu bytes, tag %llx: %s", len,
		  (unsigned long long)tag, fi_strerror(op->err));
	vf_expect(v, op->entries == 1, "%u entries for one receive",
		  op->entries);
	vf_expect(v, op->len == len, "%zu bytes came, not %zu", op->len, len);
	vf_expect(v, op->tag == tag, "tag %llx came, not %llx",
		  (unsigned long long)op->tag, (unsigned long long)tag);
	vf_expect(v, (op->flags & FI_RECV) && (op->flags & FI_TAGGED),
		  "flags %llx of a tagged receive",
		  (unsigned long long)op->flags);
	if (v->ft.info->caps & FI_SOURCE)
		vf_expect(v, op->src == v->ft.peer || op->src == v->ft.self,
			  "source address %llx", (unsigned long long)op->src);
}
