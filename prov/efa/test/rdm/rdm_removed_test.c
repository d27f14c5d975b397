/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_removed_test.c - addresses that are removed while an endpoint uses them
 */
#include "talk.h"

#include "rdm/rdm_ep.h"

static const struct pair_options inlined;

/* Removed and inserted again: message numbers go on, nothing is lost. */
static void rdm_ep_removed__numbers_go_on(void **state)
{
	uint8_t buf[8];
	struct rdm_comp comp;
	uint64_t before;
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	pair_shake(&p);
	before = p.b.peer;
	assert_int_equal(rdm_av_remove(p.b.av, before), 1);
	rdm_ep_removed(p.b.ep, before);
	assert_int_equal(pair_send(&p.a, buf, 8, 0, 0, NULL), 0);
	pair_run(&p);
	p.b.peer = RDM_ADDR_NONE;
	assert_int_equal(pair_recv(&p.b, buf, 8, 0, 0, NULL), 0);
	comp = pair_comp(&p.b);
	assert_int_equal(comp.source, RDM_ADDR_NONE);
	assert_int_equal(rdm_av_insert(p.b.av, &p.a.addr, &p.b.peer), 0);
	assert_int_equal(pair_send(&p.a, buf, 8, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.b, buf, 8, 0, 0, NULL), 0);
	assert_int_equal(pair_recv(&p.a, buf, 8, 0, 0, NULL), 0);
	assert_int_equal(pair_recv(&p.b, buf, 8, 0, 0, NULL), 0);
	pair_run(&p);
	pair_comp(&p.b);
	comp = pair_comp(&p.b);
	assert_int_equal(comp.source, p.b.peer);
	pair_close(&p);
}

/* The last one is not noted by number; who is still there is found again. */
static void rdm_ep_removed__more_than_are_noted(void **state)
{
	uint64_t before, sources[2];
	uint8_t buf[8];
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	pair_shake(&p);
	before = p.b.peer;
	p.b.peer = RDM_ADDR_NONE;
	for (int n = 0; n < 2; n++) {
		for (uint64_t i = 0; i <= RDM_REMOVED_MAX; i++) {
			rdm_ep_removed(p.a.ep, i + 1000);
			rdm_ep_removed(p.b.ep, i + 1000);
		}
		if (n) {
			assert_int_equal(rdm_av_remove(p.b.av, before), 1);
			rdm_ep_removed(p.b.ep, before);
		}
		assert_int_equal(pair_recv(&p.b, buf, 8, 0, 0, NULL), 0);
		assert_int_equal(pair_send(&p.a, buf, 8, 0, 0, NULL), 0);
		pair_run(&p);
		pair_comp(&p.a);
		sources[n] = pair_comp(&p.b).source;
	}
	assert_int_equal(sources[0], before);
	assert_int_equal(sources[1], RDM_ADDR_NONE);
	pair_close(&p);
}

static void rdm_ep_removed__index_goes_to_another(void **state)
{
	struct dev_addr other = { .gid = { 1 }, .qpn = 5 };
	uint64_t index = RDM_ADDR_NONE, before;
	uint8_t buf[8];
	struct pair p;

	(void)state;
	pair_open(&p, &inlined);
	pair_shake(&p);
	assert_int_equal(pair_send(&p.a, buf, 8, 0, 0, NULL), 0);
	pair_run(&p);
	before = p.b.peer;
	p.b.peer = RDM_ADDR_NONE;
	assert_int_equal(rdm_av_remove(p.b.av, before), 1);
	rdm_ep_removed(p.b.ep, before);
	while (index != before) {
		other.qkey++;
		assert_int_equal(rdm_av_insert(p.b.av, &other, &index), 0);
		if (index != before)
			assert_int_equal(rdm_av_remove(p.b.av, index), 1);
	}
	/* An unexpected message, then one that is expected. */
	assert_int_equal(pair_recv(&p.b, buf, 8, 0, 0, NULL), 0);
	assert_int_equal(pair_comp(&p.b).source, RDM_ADDR_NONE);
	assert_int_equal(pair_recv(&p.b, buf, 8, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, buf, 8, 0, 0, NULL), 0);
	pair_run(&p);
	assert_int_equal(pair_comp(&p.b).source, RDM_ADDR_NONE);
	assert_int_not_equal(rdm_peer_at(p.b.ep, index)->connid, p.a.addr.qkey);
	pair_close(&p);
}

/* One that was claimed before that is not taken for another's. */
static void rdm_ep_removed__claimed_before(void **state)
{
	struct rdm_recv op = { .from = RDM_ADDR_NONE, .context = &op };
	uint8_t buf[8];
	struct iovec iov = { buf, 8 };
	struct pair p;

	(void)state;
	for (uint32_t discard = 0; discard < 2; discard++) {
		pair_open(&p, &inlined);
		pair_shake(&p);
		assert_int_equal(pair_send(&p.a, buf, 8, 0, 0, NULL), 0);
		pair_run(&p);
		op.iov = NULL;
		op.iovcnt = 0;
		op.flags = RDM_CLAIM | RDM_COMPLETION;
		assert_int_equal(rdm_peek(p.b.ep, &op), 0);
		assert_int_equal(pair_comp(&p.b).source, p.b.peer);
		assert_int_equal(rdm_av_remove(p.b.av, p.b.peer), 1);
		rdm_ep_removed(p.b.ep, p.b.peer);
		op.iov = &iov;
		op.iovcnt = 1;
		op.flags |= discard ? RDM_DISCARD : 0;
		assert_int_equal(rdm_recv(p.b.ep, &op), 0);
		assert_int_equal(pair_comp(&p.b).source, RDM_ADDR_NONE);
		pair_close(&p);
	}
}

/* Nor one that goes on in a poll that has found nothing. */
static void rdm_ep_removed__reading_goes_on(void **state)
{
	struct pair_options o = { .caps = DEV_CAP_READ };
	struct pair p;

	(void)state;
	talk_start(&p, &o);
	assert_int_equal(pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
	pair_run(&p);
	dev_record_set_room(p.b.dev, 0);
	assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL), 0);
	assert_int_equal(rdm_av_remove(p.b.av, p.b.peer), 1);
	rdm_ep_removed(p.b.ep, p.b.peer);
	dev_record_set_room(p.b.dev, -1);
	rdm_progress(p.b.ep);
	assert_int_equal(pair_comp(&p.b).source, RDM_ADDR_NONE);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_ep_removed__numbers_go_on),
		cmocka_unit_test(rdm_ep_removed__more_than_are_noted),
		cmocka_unit_test(rdm_ep_removed__index_goes_to_another),
		cmocka_unit_test(rdm_ep_removed__claimed_before),
		cmocka_unit_test(rdm_ep_removed__reading_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
