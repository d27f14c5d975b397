/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verify_atomic.c - atomics: every operation on every datatype, their order,
 * and many at once on one number
 *
 * The client changes memory of the server. Both know what the numbers are and
 * compute what has to come out.
 */
#include "numbers.h"
#include "verify.h"

#include <rdma/fi_atomic.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_MAX 64u /* elements of the usual operation */
#define COMPARE_AT (64u << 10) /* in the arena of what is sent */
#define REGION (64u << 10) /* bytes that peers may change */
#define KEY 0x5eed
#define ORDERED 200u
#define CONTENDED 2000u

enum kind { BASE, FETCH, COMPARE };

/* The region of one side, as the other one names it. */
struct region {
	uint64_t addr, key;
};

struct field {
	char *p; /* [REGION], ours */
	struct fid_mr *mr;
	struct region own, peer;
};

static struct number draw(struct verify *v, enum fi_datatype type)
{
	uint64_t r = vf_random(v);

	return (struct number){ (int)(r % 11), number_is_complex(type) ?
						       (int)(r >> 8) % 4 :
						       0 };
}

/* ---- one operation ------------------------------------------------------- */

struct atomic {
	enum kind kind;
	enum fi_op op;
	enum fi_datatype type;
	size_t n;
	unsigned int way; /* which of the calls */
};

static size_t valid_count(struct verify *v, const struct atomic *a)
{
	size_t count = 0;
	int ret = -FI_EINVAL;

	switch (a->kind) {
	case BASE:
		ret = fi_atomicvalid(v->ft.ep, a->type, a->op, &count);
		break;
	case FETCH:
		ret = fi_fetch_atomicvalid(v->ft.ep, a->type, a->op, &count);
		break;
	case COMPARE:
		ret = fi_compare_atomicvalid(v->ft.ep, a->type, a->op, &count);
		break;
	}
	return ret ? 0 : count;
}

/* Lists of two pieces each, cut at different places. */
static void cut(const struct atomic *a, char *p, size_t first,
		struct fi_ioc ioc[2])
{
	ioc[0] = (struct fi_ioc){ p, first };
	ioc[1] = (struct fi_ioc){ p + first * number_size(a->type),
				  a->n - first };
}

static ssize_t post_lists(struct verify *v, const struct atomic *a,
			  struct region at, struct vf_op *op, uint64_t flags)
{
	struct fid_ep *ep = v->ft.ep;
	struct fi_ioc ioc[2], with[2], to[2];
	void *tx[2] = { v->tx.desc, v->tx.desc };
	void *rx[2] = { v->rx.desc, v->rx.desc };
	size_t pieces = v->ft.info->tx_attr->iov_limit > 1 && a->n > 1 ? 2 : 1;
	struct fi_rma_ioc where = { at.addr, a->n, at.key };
	struct fi_msg_atomic msg = { .msg_iov = ioc,
				     .desc = tx,
				     .iov_count = pieces,
				     .addr = v->ft.peer,
				     .rma_iov = &where,
				     .rma_iov_count = 1,
				     .datatype = a->type,
				     .op = a->op,
				     .context = op };

	cut(a, v->tx.p, pieces == 2 ? a->n / 2 : a->n, ioc);
	cut(a, v->tx.p + COMPARE_AT, pieces == 2 ? a->n / 3 : a->n, with);
	cut(a, v->rx.p, pieces == 2 ? a->n - 1 : a->n, to);
	switch (a->kind) {
	case FETCH:
		return fi_fetch_atomicmsg(ep, &msg, to, rx, pieces, flags);
	case COMPARE:
		return fi_compare_atomicmsg(ep, &msg, with, tx, pieces, to, rx,
					    pieces, flags);
	case BASE:
		break;
	}
	return fi_atomicmsg(ep, &msg, flags);
}

static ssize_t post_plain(struct verify *v, const struct atomic *a,
			  struct region at, struct vf_op *op)
{
	struct fid_ep *ep = v->ft.ep;

	switch (a->kind) {
	case FETCH:
		return fi_fetch_atomic(ep, v->tx.p, a->n, v->tx.desc, v->rx.p,
				       v->rx.desc, v->ft.peer, at.addr, at.key,
				       a->type, a->op, op);
	case COMPARE:
		return fi_compare_atomic(ep, v->tx.p, a->n, v->tx.desc,
					 v->tx.p + COMPARE_AT, v->tx.desc,
					 v->rx.p, v->rx.desc, v->ft.peer,
					 at.addr, at.key, a->type, a->op, op);
	case BASE:
		break;
	}
	return fi_atomic(ep, v->tx.p, a->n, v->tx.desc, v->ft.peer, at.addr,
			 at.key, a->type, a->op, op);
}

static void perform(struct verify *v, const struct atomic *a, struct region at);

/*
 * Whose delivery is not told: what is behind it has a result. That also made
 * the peer's features known, so it is clear what becomes of delivery complete.
 */
static void perform_behind(struct verify *v, const struct atomic *a,
			   struct region at)
{
	struct vf_op op = { 0 };
	ssize_t ret;

	perform(v, &(struct atomic){ FETCH, FI_ATOMIC_READ, FI_UINT8, 1, 0 },
		at);
	ret = post_lists(v, a, at, &op, FI_COMPLETION | FI_DELIVERY_COMPLETE);
	vf_expect(v, ret == -FI_EOPNOTSUPP, "an atomic to be delivered: %zd",
		  ret);
}

/*
 * Posts and waits. Only delivery complete, or a result, means that the target
 * has changed.
 */
static void perform(struct verify *v, const struct atomic *a, struct region at)
{
	const uint64_t flags = FI_COMPLETION | vf_delivery(v);
	bool lists = a->way % 2 || a->kind == BASE;
	struct vf_op op = { 0 };
	ssize_t ret;

	while ((ret = lists ? post_lists(v, a, at, &op, flags) :
			      post_plain(v, a, at, &op)))
		vf_again(v, "atomic", ret);
	vf_wait(v, &op);
	vf_expect(v, !op.err, "operation %d on datatype %d: %s", a->op, a->type,
		  fi_strerror(op.err));
	if (v->strict)
		vf_expect(v,
			  op.flags == (FI_ATOMIC |
				       (a->kind == BASE ? FI_WRITE : FI_READ)),
			  "flags %llx of an atomic",
			  (unsigned long long)op.flags);
	if (a->kind == BASE && v->ft.opt.no_delivery)
		perform_behind(v, a, at);
}

static void expect_number(struct verify *v, const struct atomic *a,
			  const char *what, struct number is,
			  struct number want)
{
	vf_expect(v, number_same(is, want),
		  "kind %d operation %d datatype %d: %s is %d %d, not %d %d",
		  a->kind, a->op, a->type, what, is.re, is.im, want.re,
		  want.im);
}

/* Numbers for both lists and the target; each side keeps what it needs. */
static void fill(struct verify *v, const struct atomic *a,
		 const struct field *field, struct number (*all)[3])
{
	for (size_t i = 0; i < a->n; i++) {
		for (int k = 0; k < 3; k++)
			all[i][k] = draw(v, a->type);
		number_put(a->type, field->p, i, all[i][0]);
		number_put(a->type, v->tx.p, i, all[i][1]);
		number_put(a->type, v->tx.p + COMPARE_AT, i, all[i][2]);
	}
}

static void run_one(struct verify *v, const struct atomic *a,
		    const struct field *field)
{
	struct number(*all)[3] = ft_alloc(a->n * sizeof(*all));

	fill(v, a, field, all);
	ft_sync(&v->ft);
	if (v->ft.client)
		perform(v, a, field->peer);
	ft_sync(&v->ft);
	for (size_t i = 0; i < a->n; i++) {
		if (!v->ft.client)
			expect_number(v, a, "the target",
				      number_get(a->type, field->p, i),
				      number_outcome(a->op, all[i][0],
						     all[i][1], all[i][2]));
		else if (a->kind != BASE)
			expect_number(v, a, "the result",
				      number_get(a->type, v->rx.p, i),
				      all[i][0]);
	}
	free(all);
}

/* ---- the region ---------------------------------------------------------- */

static struct field field_open(struct verify *v)
{
	struct field field = { .p = aligned_alloc(4096, REGION) };
	struct ft *ft = &v->ft;
	uint64_t mode = (uint64_t)ft->info->domain_attr->mr_mode;

	if (!field.p)
		ft_fail("out of memory: %u bytes", REGION);
	memset(field.p, 0, REGION);
	ft_check("fi_mr_reg", fi_mr_reg(ft->domain, field.p, REGION,
					FI_REMOTE_READ | FI_REMOTE_WRITE, 0,
					KEY, 0, &field.mr, NULL));
	field.own.key = fi_mr_key(field.mr);
	if (mode & (FI_MR_VIRT_ADDR | FI_MR_BASIC))
		field.own.addr = (uintptr_t)field.p;
	ft_oob_send(ft, &field.own, sizeof(field.own));
	ft_oob_recv(ft, &field.peer, sizeof(field.peer));
	return field;
}

static void field_close(struct verify *v, struct field *field)
{
	ft_sync(&v->ft);
	ft_check("close mr", fi_close(&field->mr->fid));
	free(field->p);
}

/* ---- cases --------------------------------------------------------------- */

/* What fi_efa(7) promises: as far as it makes sense for the datatype. */
static bool is_promised(enum kind kind, enum fi_op op, enum fi_datatype type)
{
	bool number = number_size(type) != 0;
	bool complex_type = number_is_complex(type);
	bool integer = !complex_type && type != FI_FLOAT && type != FI_DOUBLE &&
		       type != FI_LONG_DOUBLE;

#ifndef __SIZEOF_INT128__
	number = type < FI_INT128;
#endif
	switch ((int)op) {
	case FI_MIN:
	case FI_MAX:
		return kind != COMPARE && number && !complex_type;
	case FI_SUM:
	case FI_PROD:
	case FI_LOR:
	case FI_LAND:
	case FI_LXOR:
	case FI_ATOMIC_WRITE:
		return kind != COMPARE && number;
	case FI_BOR:
	case FI_BAND:
	case FI_BXOR:
		return kind != COMPARE && number && integer;
	case FI_ATOMIC_READ:
		return kind == FETCH && number;
	case FI_CSWAP:
	case FI_CSWAP_NE:
		return kind == COMPARE && number;
	case FI_CSWAP_LE:
	case FI_CSWAP_LT:
	case FI_CSWAP_GE:
	case FI_CSWAP_GT:
		return kind == COMPARE && number && !complex_type;
	case FI_MSWAP:
		return kind == COMPARE && number && integer;
	default:
		return false;
	}
}

static void run_kind(struct verify *v, enum kind kind)
{
	struct field field = field_open(v);
	unsigned int there = 0;

	for (int op = 0; op < FI_ATOMIC_OP_LAST; op++) {
		for (int type = 0; type <= FI_UINT128; type++) {
			struct atomic a = { kind, op, type, 0, there };
			size_t max = valid_count(v, &a);

			if (v->strict)
				vf_expect(v,
					  !max == !is_promised(kind, op, type),
					  "kind %d operation %d datatype %d: "
					  "%zu elements",
					  kind, op, type, max);
			if (!max)
				continue;
			there++;
			a.n = 1 + vf_random_below(v, SHORT_MAX);
			if (a.n > max)
				a.n = max;
			run_one(v, &a, &field);
		}
	}
	vf_expect(v, there > 0, "no operation of that kind is there");
	field_close(v, &field);
}

static void base(struct verify *v)
{
	run_kind(v, BASE);
}

static void fetch(struct verify *v)
{
	run_kind(v, FETCH);
}

static void compare(struct verify *v)
{
	run_kind(v, COMPARE);
}

/* As many elements as the provider says, and no more. */
static void longest(struct verify *v)
{
	static const struct atomic kinds[] = {
		{ BASE, FI_SUM, FI_UINT64, 0, 0 },
		{ FETCH, FI_ATOMIC_WRITE, FI_UINT8, 0, 0 },
		{ FETCH, FI_ATOMIC_READ, FI_INT32, 0, 1 },
		{ COMPARE, FI_CSWAP, FI_DOUBLE, 0, 1 },
	};
	struct field field = field_open(v);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct atomic a = kinds[i];
		size_t room = REGION / number_size(a.type);

		a.n = valid_count(v, &a);
		if (a.n > room)
			a.n = room;
		if (a.n)
			run_one(v, &a, &field);
		if (v->strict && v->ft.client) {
			a.n++;
			vf_expect(v,
				  post_plain(v, &a, field.peer, NULL) ==
					  -FI_EMSGSIZE,
				  "%zu elements of datatype %d were taken", a.n,
				  a.type);
		}
	}
	field_close(v, &field);
}

/* ---- order --------------------------------------------------------------- */

/* Number i of the sequence: what it does, and what it has to find. */
static void ordered_post(struct verify *v, struct region at, size_t i,
			 struct vf_op *op)
{
	uint64_t *operand = (uint64_t *)(void *)v->tx.p + i;
	uint64_t *result = (uint64_t *)(void *)v->rx.p + i;
	ssize_t ret;

	*operand = i;
	do {
		if (i % 2)
			ret = fi_fetch_atomic(v->ft.ep, operand, 1, v->tx.desc,
					      result, v->rx.desc, v->ft.peer,
					      at.addr, at.key, FI_UINT64,
					      FI_SUM, op);
		else
			ret = fi_atomic(v->ft.ep, operand, 1, v->tx.desc,
					v->ft.peer, at.addr, at.key, FI_UINT64,
					FI_ATOMIC_WRITE, op);
		if (ret)
			vf_again(v, "atomic", ret);
	} while (ret);
}

/* Each sum finds what the write before it has left, many being under way. */
static void order(struct verify *v)
{
	const uint64_t kept = FI_ORDER_ATOMIC_RAW | FI_ORDER_ATOMIC_WAR |
			      FI_ORDER_ATOMIC_WAW;
	struct vf_op *op = ft_alloc(ORDERED * sizeof(*op));
	struct field field = field_open(v);

	ft_sync(&v->ft);
	if ((v->ft.info->tx_attr->msg_order & kept) != kept)
		vf_skip(v, "the provider promises no order");
	else if (v->ft.client) {
		for (size_t i = 0; i < ORDERED; i++)
			ordered_post(v, field.peer, i, &op[i]);
		for (size_t i = 0; i < ORDERED; i++)
			vf_wait(v, &op[i]);
		for (size_t i = 1; i < ORDERED; i += 2) {
			uint64_t is = ((uint64_t *)(void *)v->rx.p)[i];

			vf_expect(v, is == i - 1, "sum %zu found %llu", i,
				  (unsigned long long)is);
		}
	}
	field_close(v, &field);
	free(op);
}

/* ---- many at once -------------------------------------------------------- */

/* Both sides count up one number of the server: no count comes twice. */
static void contention(struct verify *v)
{
	struct field field = field_open(v);
	fi_addr_t server = v->ft.client ? v->ft.peer : v->ft.self;
	struct region at = v->ft.client ? field.peer : field.own;
	uint64_t *one = (uint64_t *)(void *)v->tx.p;
	uint64_t *result = (uint64_t *)(void *)v->rx.p;
	uint64_t before = 0;

	*one = 1;
	ft_sync(&v->ft);
	for (size_t i = 0; i < CONTENDED; i++) {
		struct vf_op op = { 0 };
		ssize_t ret;

		while ((ret = fi_fetch_atomic(v->ft.ep, one, 1, v->tx.desc,
					      result, v->rx.desc, server,
					      at.addr, at.key, FI_UINT64,
					      FI_SUM, &op)))
			vf_again(v, "fetch", ret);
		vf_wait(v, &op);
		vf_expect(v, *result + 1 > before, "%llu after %llu",
			  (unsigned long long)*result,
			  (unsigned long long)before);
		before = *result + 1;
	}
	ft_sync(&v->ft);
	if (!v->ft.client)
		vf_expect(v, *(uint64_t *)(void *)field.p == 2 * CONTENDED,
			  "counted to %llu, not %u",
			  *(unsigned long long *)(void *)field.p,
			  2 * CONTENDED);
	field_close(v, &field);
}

const struct vf_case vf_atomic_cases[] = {
	{ "atomic_base", base, FI_ATOMIC },
	{ "atomic_fetch", fetch, FI_ATOMIC },
	{ "atomic_compare", compare, FI_ATOMIC },
	{ "atomic_longest", longest, FI_ATOMIC },
	{ "atomic_order", order, FI_ATOMIC },
	{ "atomic_contention", contention, FI_ATOMIC },
	{ NULL, NULL, 0 },
};
