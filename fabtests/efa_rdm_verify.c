/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_rdm_verify.c - does an RDM endpoint do what libfabric says it does?
 *
 * Runs the cases of verify_*.c; --only and --skip choose by name. The last line
 * counts what both sides checked.
 */
#include "verify.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_EXTRA (32u << 20)

static const struct ft_program program = {
	.name = "efa_rdm_verify",
	.summary = "functional test of RDM endpoints: messages, atomics",
	.options = "nMROXNU",
	.sizes = "8",
	.count = 100,
};

static const struct vf_case *const groups[] = {
	vf_size_cases, vf_match_cases,	vf_peek_cases, vf_send_cases,
	vf_rma_cases,  vf_atomic_cases, vf_end_cases,
};

/* The richest set of capabilities the provider has. */
static void open_best(struct verify *v)
{
	const uint64_t messages = FI_SOURCE | FI_DIRECTED_RECV | FI_MULTI_RECV;
	const uint64_t atomics = FI_ORDER_ATOMIC_RAR | FI_ORDER_ATOMIC_RAW |
				 FI_ORDER_ATOMIC_WAR | FI_ORDER_ATOMIC_WAW;
	const struct {
		uint64_t caps, order;
	} extras[] = {
		{ messages | FI_RMA | FI_ATOMIC | FI_FENCE, atomics },
		{ messages | FI_RMA | FI_ATOMIC, atomics },
		{ messages | FI_RMA | FI_ATOMIC, 0 },
		{ messages | FI_RMA, 0 },
		{ messages, 0 },
		{ FI_SOURCE | FI_DIRECTED_RECV, 0 },
		{ FI_DIRECTED_RECV, 0 },
		{ FI_SOURCE, 0 },
		{ 0, 0 },
	};

	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++)
		if (!ft_open(&v->ft,
			     &(struct ft_request){
				     .caps = FI_MSG | FI_TAGGED | extras[i].caps,
				     .order = FI_ORDER_SAS | extras[i].order,
				     .format = FI_CQ_FORMAT_TAGGED,
				     .optional = extras[i].caps != 0 }))
			return;
}

static void expect_no_strays(struct verify *v)
{
	vf_linger(v, 2);
	vf_expect(v, !v->stray, "%llu completions of no operation",
		  (unsigned long long)v->stray);
	v->stray = 0;
}

static void run_case(struct verify *v, const struct vf_case *c)
{
	uint64_t passed = v->passed, failed = v->failed;

	v->name = c->name;
	if (!ft_chosen(&v->ft.opt, c->name))
		return;
	if ((v->ft.info->caps & c->caps) != c->caps) {
		vf_skip(v, "the provider lacks a capability");
		return;
	}
	/* Cases do not depend on which others ran. */
	v->random = v->ft.opt.seed;
	ft_sync(&v->ft);
	c->run(v);
	expect_no_strays(v);
	if (v->ft.client || v->failed > failed)
		printf("%-24s %s %llu passed, %llu failed\n", c->name,
		       v->ft.client ? "client" : "server",
		       (unsigned long long)(v->passed - passed),
		       (unsigned long long)(v->failed - failed));
}

/* A name that no case has must not look like a success. */
static void expect_chosen(const struct verify *v)
{
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (const struct vf_case *c = groups[g]; c->name; c++)
			if (ft_chosen(&v->ft.opt, c->name))
				return;
	/* A forked client ends with its parent, which speaks for both. */
	if (v->ft.client && v->ft.opt.fork)
		exit(EXIT_FAILURE);
	fprintf(stderr, "no case is left by --only and --skip; there are:\n");
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (const struct vf_case *c = groups[g]; c->name; c++)
			fprintf(stderr, "  %s\n", c->name);
	exit(EXIT_FAILURE);
}

/* Both sides' counts, on the client's last line. */
static uint64_t total(struct verify *v)
{
	uint64_t mine[2] = { v->passed, v->failed }, theirs[2];

	ft_oob_send(&v->ft, mine, sizeof(mine));
	ft_oob_recv(&v->ft, theirs, sizeof(theirs));
	ft_sync(&v->ft);
	if (v->ft.client)
		printf("%llu passed, %llu failed\n",
		       (unsigned long long)(mine[0] + theirs[0]),
		       (unsigned long long)(mine[1] + theirs[1]));
	return mine[1] + theirs[1];
}

int main(int argc, char **argv)
{
	struct verify v = { .name = "start" };
	uint64_t failed;

	ft_start(&v.ft, argc, argv, &program);
	expect_chosen(&v);
	open_best(&v);
	ft_insert_self(&v.ft);
	v.strict = !strcmp(v.ft.info->fabric_attr->prov_name, "efa");
	v.data_mask =
		v.ft.info->domain_attr->cq_data_size >= 8 ?
			~0ull :
			(1ull << 8 * v.ft.info->domain_attr->cq_data_size) - 1;
	v.tx = ft_buf_new(&v.ft, v.ft.opt.max + ARENA_EXTRA);
	v.rx = ft_buf_new(&v.ft, v.ft.opt.max + ARENA_EXTRA);
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (const struct vf_case *c = groups[g]; c->name; c++)
			run_case(&v, c);
	failed = total(&v);
	ft_buf_free(&v.tx);
	ft_buf_free(&v.rx);
	return ft_finish(&v.ft, failed != 0);
}
