/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_park_test.c - messages that wait for the peer's HANDSHAKE, and peers that
 * want theirs without headers
 */
#include "talk.h"

#include <errno.h>
#include <string.h>

#include "rdm/rdm_move.h"

/* ---- messages without headers -------------------------------------------- */

/* What a peer of 1.22 to 2.5 says whose receives are its user's own. */
static void be_bare(struct pair *p, uint32_t qpn, uint32_t qkey)
{
	uint8_t hello[40] = { 9, 4, 6, 0x80, 4, [8] = 0xda, [24] = 0xa0, 0xef };

	for (int i = 0; i < 4; i++) {
		hello[16 + i] = (uint8_t)(p->b.addr.qkey >> 8 * i);
		hello[32 + i] = (uint8_t)(qpn >> 8 * i);
		hello[36 + i] = (uint8_t)(qkey >> 8 * i);
	}
	dev_record_watch(NULL); /* what comes has no header to look into */
	dev_record_inject(p->a.qp, &p->b.addr, hello, sizeof(hello));
	rdm_progress(p->a.ep);
	assert_true(rdm_peer_at(p->a.ep, p->a.peer)->shaken);
}

/* The next packet is that and no more, for the second queue pair. */
static void expect_bare(struct pair *p, size_t len, bool data)
{
	struct dev_record_wr *wr = dev_record_take(p->a.qp);

	assert_non_null(wr);
	assert_int_equal(wr->op, DEV_SEND);
	assert_int_equal(wr->to.qpn, 77);
	assert_int_equal(wr->to.qkey, 4711);
	assert_int_equal(wr->len, len);
	assert_memory_equal(wr->data, talk_out, len);
	assert_int_equal(!!(wr->flags & DEV_WR_IMM), data);
	if (data)
		assert_int_equal(wr->imm, 1);
	dev_record_complete(wr, DEV_OK);
	dev_record_free(wr);
	rdm_progress(p->a.ep);
}

static void rdm_bare__messages_are_payload_alone(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, &talk_completing);
	pair_fill(talk_out, 7, TALK_LEN);
	be_bare(&p, 77, 4711);
	dev_record_free(dev_record_take(p.a.qp)); /* our HANDSHAKE */
	for (size_t len = 0; len <= PAIR_MTU; len += PAIR_MTU / 2) {
		assert_int_equal(pair_send(&p.a, talk_out, len, 0,
					   len ? RDM_DATA : 0, &p),
				 0);
		expect_bare(&p, len, len != 0);
		assert_ptr_equal(pair_comp(&p.a).context, &p);
	}
	assert_int_equal(pair_send(&p.a, talk_out, PAIR_MTU + 1, 0, 0, NULL),
			 -EMSGSIZE);
	assert_int_equal(pair_send(&p.a, talk_out, 1, 0, RDM_TAGGED, NULL),
			 -EOPNOTSUPP);
	assert_int_equal(pair_send(&p.a, talk_out, 1, 0, RDM_DELIVERY, NULL),
			 -EOPNOTSUPP);
	assert_int_equal(p.a.ep->txs.taken, 0);
	pair_close(&p);
}

/* Who may meet such a peer asks for its HANDSHAKE first. */
static void rdm_bare__first_messages_wait(void **state)
{
	uint8_t bytes[10];
	struct pair p;

	(void)state;
	pair_open(&p, &talk_completing);
	p.a.ep->config.patient = true;
	pair_fill(talk_out, 7, TALK_LEN);
	memcpy(bytes, talk_out, sizeof(bytes));
	assert_int_equal(pair_send(&p.a, talk_out, 100, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, bytes, 10, 0, RDM_INJECT, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, PAIR_MTU + 1, 0, 0, NULL),
			 0);
	memset(bytes, 0, sizeof(bytes));
	for (int i = 0; i < 3; i++) {
		struct dev_record_wr *wr = dev_record_take(p.a.qp);

		assert_int_equal(wr->data[0], RDM_PKT_EAGER_RTW);
		dev_record_complete(wr, DEV_OK);
		dev_record_free(wr);
	}
	rdm_progress(p.a.ep);
	assert_null(dev_record_peek(p.a.qp));
	be_bare(&p, 77, 4711);
	dev_record_free(dev_record_take(p.a.qp)); /* our HANDSHAKE */
	rdm_progress(p.a.ep);
	expect_bare(&p, 100, false);
	expect_bare(&p, 10, false);
	pair_error(&p.a, DEV_TOO_LONG);
	pair_comp(&p.a);
	pair_comp(&p.a);
	assert_int_equal(p.a.ep->txs.taken, 0);
	pair_close(&p);
}

/* Peers like us get them in the common way, in order. */
static void rdm_bare__others_get_headers(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, &talk_completing);
	p.a.ep->config.patient = true;
	pair_fill(talk_out, 7, TALK_LEN);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL),
				 0);
		assert_int_equal(pair_send(&p.a, talk_out, i ? TALK_LEN : 10, 0,
					   0, NULL),
				 0);
	}
	pair_run(&p);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pair_comp(&p.b).len, i ? TALK_LEN : 10);
		pair_comp(&p.a);
	}
	talk_end(&p);
}

/* What cannot be a queue pair is counted, each time that it is named. */
static void rdm_bare_meet__judges_the_queue_pair(void **state)
{
	static const uint32_t qpns[] = { 0, 65536, UINT32_MAX };
	struct pair p;

	(void)state;
	pair_open(&p, &talk_completing);
	for (size_t i = 0; i < u_array_size(qpns); i++) {
		be_bare(&p, qpns[i], 4711);
		assert_null(rdm_peer_at(p.a.ep, p.a.peer)->bare);
		assert_int_equal(p.a.ep->stats.bad_packets, i + 1);
	}
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_bare__messages_are_payload_alone),
		cmocka_unit_test(rdm_bare__first_messages_wait),
		cmocka_unit_test(rdm_bare__others_get_headers),
		cmocka_unit_test(rdm_bare_meet__judges_the_queue_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
