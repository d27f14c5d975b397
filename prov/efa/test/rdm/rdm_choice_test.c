/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_choice_test.c - which packet an operation goes by, and that with all of
 * them every packet of the protocol is used
 */
#include "memory.h"
#include "pair_watch.h"
#include "talk.h"

#define READS DEV_CAP_READ

/* ---- messages ------------------------------------------------------------ */

enum way { COPY, READ, RUNT };

static const struct choice {
	enum way way;
	uint32_t flags;
	size_t longest; /* from the one before of that way and flags on */
	uint8_t type;
} messages[] = {
	{ COPY, 0, PAIR_MTU - 12, RDM_PKT_EAGER_MSGRTM },
	{ COPY, 0, PAIR_MEDIUM, RDM_PKT_MEDIUM_MSGRTM },
	{ COPY, 0, TALK_LEN, RDM_PKT_LONGCTS_MSGRTM },
	{ COPY, RDM_TAGGED, PAIR_MTU - 20, RDM_PKT_EAGER_TAGRTM },
	{ COPY, RDM_TAGGED, PAIR_MEDIUM, RDM_PKT_MEDIUM_TAGRTM },
	{ COPY, RDM_TAGGED, TALK_LEN, RDM_PKT_LONGCTS_TAGRTM },
	{ COPY, RDM_DELIVERY, PAIR_MTU - 20, RDM_PKT_DC_EAGER_MSGRTM },
	{ COPY, RDM_DELIVERY, PAIR_MEDIUM, RDM_PKT_DC_MEDIUM_MSGRTM },
	{ COPY, RDM_DELIVERY, TALK_LEN, RDM_PKT_DC_LONGCTS_MSGRTM },
	{ COPY, RDM_TAGGED | RDM_DELIVERY, PAIR_MTU - 28,
	  RDM_PKT_DC_EAGER_TAGRTM },
	{ COPY, RDM_TAGGED | RDM_DELIVERY, PAIR_MEDIUM,
	  RDM_PKT_DC_MEDIUM_TAGRTM },
	{ COPY, RDM_TAGGED | RDM_DELIVERY, TALK_LEN,
	  RDM_PKT_DC_LONGCTS_TAGRTM },

	{ READ, 0, PAIR_MTU - 12, RDM_PKT_EAGER_MSGRTM },
	{ READ, 0, PAIR_MEDIUM, RDM_PKT_MEDIUM_MSGRTM },
	{ READ, 0, PAIR_READ - 1, RDM_PKT_LONGCTS_MSGRTM },
	{ READ, 0, TALK_LEN, RDM_PKT_LONGREAD_MSGRTM },
	{ READ, RDM_TAGGED, PAIR_READ - 1, 0 },
	{ READ, RDM_TAGGED, TALK_LEN, RDM_PKT_LONGREAD_TAGRTM },
	{ READ, RDM_DELIVERY, PAIR_READ - 1, 0 },
	{ READ, RDM_DELIVERY, TALK_LEN, RDM_PKT_LONGREAD_MSGRTM },
	{ READ, RDM_TAGGED | RDM_DELIVERY, PAIR_READ - 1, 0 },
	{ READ, RDM_TAGGED | RDM_DELIVERY, TALK_LEN, RDM_PKT_LONGREAD_TAGRTM },

	{ RUNT, 0, PAIR_READ - 1, 0 },
	{ RUNT, 0, TALK_LEN, RDM_PKT_RUNTREAD_MSGRTM },
	{ RUNT, RDM_TAGGED, PAIR_READ - 1, 0 },
	{ RUNT, RDM_TAGGED, TALK_LEN, RDM_PKT_RUNTREAD_TAGRTM },
	{ RUNT, RDM_DELIVERY, PAIR_READ - 1, 0 },
	{ RUNT, RDM_DELIVERY, TALK_LEN, RDM_PKT_LONGREAD_MSGRTM },
};

/* Requests of all types, or of one. */
static uint32_t requests(uint8_t type)
{
	uint32_t n = 0;

	if (type)
		return pair_posted(type);
	for (uint32_t i = RDM_PKT_REQ; i < RDM_PKT_TYPES; i++)
		n += pair_posted((uint8_t)i);
	return n;
}

static void send_one(const struct choice *c, size_t len)
{
	static const struct pair_options ways[] = {
		[COPY] = { .caps = 0 },
		[READ] = { .caps = READS },
		[RUNT] = { .caps = READS, .runt_size = TALK_RUNT },
	};
	uint32_t before, others;
	struct pair p;

	talk_start(&p, &ways[c->way]);
	before = requests(c->type);
	others = requests(0) - before;
	assert_int_equal(pair_recv(&p.b, talk_in, len, 1, c->flags, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, len, 1, c->flags, NULL), 0);
	pair_run(&p);
	if (requests(c->type) == before)
		fail_msg("%zu bytes did not go by packet %u", len, c->type);
	assert_int_equal(requests(0) - requests(c->type), others);
	talk_good(&p, len);
	talk_end(&p);
}

static void rdm_send__chooses_the_packet_by_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < u_array_size(messages); i++) {
		const struct choice *c = &messages[i];
		bool goes_on = i && c[-1].way == c->way &&
			       c[-1].flags == c->flags;

		if (!c->type)
			continue;
		send_one(c, goes_on ? c[-1].longest + 1 : 0);
		send_one(c, c->longest);
	}
}

/* ---- RMA ----------------------------------------------------------------- */

/* Which packets a write or read of that length takes. */
static void rdm_rma__chooses_the_packet_by_length(void **state)
{
	static const struct {
		bool read;
		size_t len;
		uint32_t flags;
		uint8_t type;
	} choices[] = {
		{ false, 100, 0, RDM_PKT_EAGER_RTW },
		{ false, 100, RDM_DELIVERY, RDM_PKT_DC_EAGER_RTW },
		{ false, 5000, 0, RDM_PKT_LONGCTS_RTW },
		{ false, 5000, RDM_DELIVERY, RDM_PKT_DC_LONGCTS_RTW },
		{ false, PAIR_READ_WRITE, 0, RDM_PKT_LONGREAD_RTW },
		{ false, PAIR_READ_WRITE, RDM_DELIVERY, RDM_PKT_LONGREAD_RTW },
		{ false, PAIR_READ_WRITE, RDM_INJECT, RDM_PKT_LONGCTS_RTW },
		{ true, PAIR_MTU - 25, 0, RDM_PKT_SHORT_RTR },
		{ true, PAIR_MTU - 24, 0, RDM_PKT_LONGCTS_RTR },
	};

	(void)state;
	for (size_t i = 0; i < u_array_size(choices); i++) {
		struct pair_options o = { .caps = READS | DEV_CAP_WRITE,
					  .b_off = RDM_FEATURE_WRITE };
		struct memory m;

		if (choices[i].read)
			o.b_off |= RDM_FEATURE_READ;
		memory_open(&m, &o, DEV_REMOTE_READ | DEV_REMOTE_WRITE);
		pair_shake(&m.p);
		assert_int_equal(memory_post(&m, choices[i].read,
					     choices[i].len, choices[i].flags),
				 0);
		pair_run(&m.p);
		assert_int_equal(pair_posted(choices[i].type), 1);
		memory_check(&m, choices[i].read, choices[i].len, 0);
		memory_close(&m);
	}
}

/* ---- all of them --------------------------------------------------------- */

/* A result, that it is done, and that it may not be. */
static void run_atomics(void)
{
	uint64_t one = 1, before = 0, counter = 0;
	struct iovec iov = { &one, 8 }, to = { &before, 8 };
	struct dev_range target = { (uintptr_t)&counter, 8, 0 };
	struct rdm_atomic op = { .type = RDM_UINT64,
				 .iov = &iov,
				 .compare = &iov,
				 .result = &to,
				 .target = &target,
				 .iovcnt = 1,
				 .comparecnt = 1,
				 .resultcnt = 1,
				 .targetcnt = 1 };
	struct dev_mr *mr;
	struct pair p;

	talk_start(&p, &talk_copying);
	assert_int_equal(dev_mr_open(p.b.dev, &counter, 8,
				     DEV_REMOTE_READ | DEV_REMOTE_WRITE, &mr),
			 0);
	op.to = p.a.peer;
	for (int i = 0; i < 5; i++) {
		op.kind = i < 2 ? RDM_ATOMIC_BASE :
			  i < 3 ? RDM_ATOMIC_COMPARE :
				  RDM_ATOMIC_FETCH;
		op.op = i == 2 ? RDM_ATOMIC_CSWAP : RDM_ATOMIC_SUM;
		op.flags = RDM_COMPLETION | (i == 1 ? RDM_DELIVERY : 0);
		target.key = mr->key + (i == 4);
		assert_int_equal(rdm_atomic(p.a.ep, &op), 0);
		pair_run(&p);
		if (i < 4)
			pair_comp(&p.a);
		else
			pair_error(&p.a, RDM_ERR_PEER_ABORT);
	}
	dev_mr_close(mr);
	talk_end(&p);
}

static void run_nack(void)
{
	struct pair p;

	talk_start(&p, &talk_inlined);
	dev_record_set_reads(p.b.dev, false);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
	pair_run(&p);
	talk_good(&p, TALK_LEN);
	talk_end(&p);
}

/* The last test, as it looks at what those before it have posted too. */
static void pair_watch__has_seen_every_packet(void **state)
{
	(void)state;
	run_atomics();
	run_nack();
	pair_watch_seen_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_send__chooses_the_packet_by_length),
		cmocka_unit_test(rdm_rma__chooses_the_packet_by_length),
		cmocka_unit_test(pair_watch__has_seen_every_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
