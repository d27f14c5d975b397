/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verify_sizes.c - every size, in every order, expected or not
 */
#include "verify.h"

#include <stdlib.h>

#define SMALL_SIZES 301u /* 0..300, each of them */
#define BATCH 43u /* SMALL_SIZES in seven plans */
#define ONE_BY_ONE (1u << 20) /* above: a plan for each message */
#define CROWD_SIZE (256u << 10)
#define FLOOD 2000u
#define FLOOD_SIZE 600u
#define TAG 0x1000u

static void small_sizes(struct verify *v, bool tagged, enum vf_when when)
{
	for (size_t size = 0; size < SMALL_SIZES; size += BATCH) {
		struct vf_plan plan = vf_plan_new(BATCH);

		plan.tagged = tagged;
		plan.when = when;
		for (size_t i = 0; i < BATCH; i++)
			plan.message[i] =
				(struct vf_message){ .size = size + i,
						     .tag = TAG + size + i };
		vf_plan_run_both(v, &plan);
	}
}

static void small_tagged(struct verify *v)
{
	small_sizes(v, true, VF_EXPECTED);
	small_sizes(v, true, VF_UNEXPECTED);
}

static void small_msg(struct verify *v)
{
	small_sizes(v, false, VF_EXPECTED);
	small_sizes(v, false, VF_UNEXPECTED);
}

static void one_message(struct verify *v, size_t size, bool tagged,
			enum vf_when when)
{
	struct vf_plan plan = vf_plan_new(1);

	plan.message[0] = (struct vf_message){ .size = size, .tag = TAG };
	plan.tagged = tagged;
	plan.when = when;
	vf_plan_run_both(v, &plan);
}

/* One byte below, at and above each power of two: where protocols change. */
static void powers(struct verify *v, bool tagged, enum vf_when when)
{
	for (size_t power = 256; power <= v->ft.opt.max; power *= 2) {
		struct vf_plan plan = vf_plan_new(3);

		if (power > ONE_BY_ONE) {
			vf_plan_free(&plan);
			one_message(v, power - 1, tagged, when);
			one_message(v, power, tagged, when);
			continue;
		}
		plan.tagged = tagged;
		plan.when = when;
		for (size_t i = 0; i < 3; i++)
			plan.message[i] =
				(struct vf_message){ .size = power - 1 + i,
						     .tag = TAG + i };
		vf_plan_run_both(v, &plan);
	}
}

static void powers_tagged(struct verify *v)
{
	powers(v, true, VF_EXPECTED);
	powers(v, true, VF_UNEXPECTED);
}

static void powers_msg(struct verify *v)
{
	powers(v, false, VF_EXPECTED);
	powers(v, false, VF_UNEXPECTED);
}

/* -n messages in flight, sent in one random order, received in another. */
static void random_order(struct verify *v)
{
	static const enum vf_when whens[] = { VF_EXPECTED, VF_UNEXPECTED,
					      VF_MIXED };

	for (size_t round = 0; round < 9; round++) {
		struct vf_plan plan = vf_plan_new(v->ft.opt.count);

		plan.when = whens[round % 3];
		plan.shuffle = true;
		for (size_t i = 0; i < plan.n; i++)
			plan.message[i] = (struct vf_message){
				.size = vf_random_size(v, CROWD_SIZE),
				.tag = (TAG + i) << 20
			};
		vf_plan_run_both(v, &plan);
	}
}

/* The same without tags: the order of sending is that of receiving. */
static void random_msg(struct verify *v)
{
	for (size_t round = 0; round < 4; round++) {
		struct vf_plan plan = vf_plan_new(v->ft.opt.count);

		plan.when = round & 1 ? VF_MIXED : VF_EXPECTED;
		plan.tagged = false;
		for (size_t i = 0; i < plan.n; i++)
			plan.message[i].size = vf_random_size(v, CROWD_SIZE);
		vf_plan_run_both(v, &plan);
	}
}

/* All messages have one tag: whoever comes first is matched first. */
static void same_tag_order(struct verify *v)
{
	for (size_t round = 0; round < 4; round++) {
		struct vf_plan plan = vf_plan_new(v->ft.opt.count);

		plan.when = round & 1 ? VF_UNEXPECTED : VF_MIXED;
		for (size_t i = 0; i < plan.n; i++)
			plan.message[i] = (struct vf_message){
				.size = vf_random_size(v, 64u << 10), .tag = TAG
			};
		vf_plan_run_both(v, &plan);
	}
}

/* Both sides send and receive at once, more than fits any queue. */
static void flood(struct verify *v)
{
	struct vf_op *recv = ft_alloc(FLOOD * sizeof(*recv));
	struct vf_op *send = ft_alloc(FLOOD * sizeof(*send));
	size_t posted = 0, sent = 0;
	uint64_t serial = v->serial;

	vf_guard(v, 0, FLOOD * FLOOD_SIZE);
	ft_sync(&v->ft);
	/* A quarter of the receives run ahead of the sends. */
	while (sent < FLOOD) {
		size_t ahead = sent + FLOOD / 4;

		for (; posted < FLOOD && posted < ahead; posted++)
			vf_recv(v, &recv[posted], v->ft.peer,
				posted * FLOOD_SIZE, FLOOD_SIZE, TAG + posted,
				0);
		vf_fill(v, sent * FLOOD_SIZE, sent % FLOOD_SIZE, serial + sent);
		vf_send(v, &send[sent], v->ft.peer, sent * FLOOD_SIZE,
			sent % FLOOD_SIZE, TAG + sent);
		sent++;
	}
	for (size_t i = 0; i < FLOOD; i++) {
		vf_wait(v, &recv[i]);
		vf_expect_recv(v, &recv[i], i % FLOOD_SIZE, TAG + i);
		vf_expect_bytes(v, i * FLOOD_SIZE, i % FLOOD_SIZE, serial + i);
	}
	for (size_t i = 0; i < FLOOD; i++) {
		vf_wait(v, &send[i]);
		vf_expect(v, !send[i].err, "send: %s",
			  fi_strerror(send[i].err));
	}
	v->serial += FLOOD;
	ft_sync(&v->ft);
	free(recv);
	free(send);
}

const struct vf_case vf_size_cases[] = {
	{ "small_tagged", small_tagged, 0 },
	{ "small_msg", small_msg, 0 },
	{ "powers_tagged", powers_tagged, 0 },
	{ "powers_msg", powers_msg, 0 },
	{ "random_order", random_order, 0 },
	{ "random_msg", random_msg, 0 },
	{ "same_tag_order", same_tag_order, 0 },
	{ "flood", flood, 0 },
	{ NULL, NULL, 0 },
};
