/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * talk.c - one long message from the first end of a pair to the second
 */
#include "talk.h"

#include <string.h>

#include "rdm/rdm_ep.h"

#define BOTH (DEV_CAP_READ | DEV_CAP_WRITE)

uint8_t talk_out[TALK_LEN], talk_in[TALK_LEN];

const struct pair_options talk_inlined = { .caps = BOTH };
const struct pair_options talk_completing = { .caps = BOTH,
					      .by_completion = true };
const struct pair_options talk_copying = { .caps = 0 };
const struct pair_options talk_runting = { .caps = BOTH,
					   .runt_size = TALK_RUNT };
const struct pair_options talk_runting_slow = { .caps = BOTH,
						.runt_size = TALK_RUNT,
						.by_completion = true };

void talk_start(struct pair *p, const struct pair_options *o)
{
	pair_open(p, o);
	pair_shake(p);
	pair_fill(talk_out, 7, TALK_LEN);
	memset(talk_in, 0, TALK_LEN);
}

void talk_end(struct pair *p)
{
	pair_no_comp(&p->a);
	pair_no_comp(&p->b);
	assert_int_equal(p->a.ep->txs.taken, 0);
	assert_int_equal(p->b.ep->msgs.taken, 0);
	assert_int_equal(p->b.ep->rxs.taken, 0);
	assert_int_equal(p->a.ep->ctl_pool.taken, 0);
	assert_int_equal(p->b.ep->ctl_pool.taken, 0);
	assert_int_equal(p->a.ep->nexposed, 0);
	assert_int_equal(rdm_peer_at(p->a.ep, p->a.peer)->runting, 0);
	pair_close(p);
}

bool talk_step(struct pair_end *from, struct pair_end *to)
{
	struct dev_record_wr *wr = dev_record_take(from->qp);

	if (!wr)
		return false;
	dev_record_deliver(wr, true);
	dev_record_free(wr);
	rdm_progress(to->ep);
	rdm_progress(from->ep);
	return true;
}

void talk_good(struct pair *p, size_t len)
{
	assert_int_equal(pair_comp(&p->b).len, len);
	pair_comp(&p->a);
	pair_check(talk_in, 7, len);
	assert_int_equal(p->a.ep->stats.bad_packets, 0);
	assert_int_equal(p->b.ep->stats.bad_packets, 0);
}

void talk_again(struct pair *p)
{
	memset(talk_in, 0, TALK_LEN);
	assert_int_equal(pair_recv(&p->b, talk_in, 100, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p->a, talk_out, 100, 0, 0, NULL), 0);
	pair_run(p);
	assert_int_equal(pair_comp(&p->b).len, 100);
	pair_comp(&p->a);
	pair_check(talk_in, 7, 100);
}
