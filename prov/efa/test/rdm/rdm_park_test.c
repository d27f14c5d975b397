/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_park_test.c - messages that wait for the peer's HANDSHAKE, and peers that
 * want theirs without headers
 */
#include "talk.h"

#include <errno.h>
#include <string.h>

#include "rdm/rdm_move.h"

static struct dev_mr region; /* compared, and never looked into */

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

/* ---- messages that wait -------------------------------------------------- */

/* None of a's messages goes before the HANDSHAKE. */
static void patient_open(struct pair *p, const struct pair_options *o)
{
	pair_open(p, o);
	p->a.ep->config.patient = true;
	pair_fill(talk_out, 7, TALK_LEN);
	memset(talk_in, 0, TALK_LEN);
}

static int send_named(struct pair *p, size_t len)
{
	static void *const named[] = { &region };
	struct iovec iov = { talk_out, len };

	return rdm_send(p->a.ep, &(struct rdm_send){
					 .iov = &iov,
					 .iovcnt = 1,
					 .mr = named,
					 .flags = RDM_COMPLETION,
					 .to = p->a.peer,
				 });
}

/* The request for the HANDSHAKE is no packet of the message. */
static void rdm_park__revoked_number_is_skipped(void **state)
{
	struct pair p;

	(void)state;
	patient_open(&p, &talk_completing);
	assert_int_equal(send_named(&p, 100), 0);
	assert_true(talk_step(&p.a, &p.b));
	assert_true(rdm_revoke(p.a.ep, &region));
	pair_error(&p.a, RDM_ERR_CANCELED);
	pair_run(&p);
	talk_again(&p);
	talk_end(&p);
}

/* It is acknowledged late, and of the message nothing arrives. */
static void rdm_park__failed_number_is_skipped(void **state)
{
	static const uint8_t statuses[] = { DEV_BAD_LKEY, DEV_UNREACHABLE };
	struct dev_record_wr *asked, *message;
	struct pair p;

	(void)state;
	for (size_t i = 0; i < u_array_size(statuses); i++) {
		patient_open(&p, &talk_completing);
		assert_int_equal(pair_send(&p.a, talk_out, 100, 0, 0, NULL), 0);
		asked = dev_record_take(p.a.qp);
		dev_record_deliver(asked, false);
		rdm_progress(p.b.ep);
		assert_true(talk_step(&p.b, &p.a));
		dev_record_complete(asked, DEV_OK);
		dev_record_free(asked);
		rdm_progress(p.a.ep);
		message = dev_record_take(p.a.qp);
		if (message->data[0] == RDM_PKT_HANDSHAKE) {
			dev_record_deliver(message, true);
			dev_record_free(message);
			message = dev_record_take(p.a.qp);
		}
		assert_int_equal(message->data[0], RDM_PKT_EAGER_MSGRTM);
		dev_record_complete(message, statuses[i]);
		dev_record_free(message);
		rdm_progress(p.a.ep);
		pair_error(&p.a, statuses[i]);
		pair_run(&p);
		talk_again(&p);
		talk_end(&p);
	}
}

/* The peer turns out to lack what a message needs. */
static void rdm_park__refused_number_is_skipped(void **state)
{
	struct pair_options o = talk_completing;
	struct pair p;

	(void)state;
	o.b_off = RDM_FEATURE_DC;
	patient_open(&p, &o);
	assert_int_equal(pair_send(&p.a, talk_out, 100, 0, RDM_DELIVERY, NULL),
			 0);
	pair_run(&p);
	pair_error(&p.a, DEV_FEATURE);
	talk_again(&p);
	talk_end(&p);
}

/* Nobody takes more than a packet; what headers leave is known later. */
static void rdm_park__inject_too_long(void **state)
{
	struct pair p;

	(void)state;
	patient_open(&p, &talk_completing);
	assert_int_equal(pair_send(&p.a, talk_out, PAIR_MTU + 1, 0, RDM_INJECT,
				   NULL),
			 -EMSGSIZE);
	assert_int_equal(
		pair_send(&p.a, talk_out, PAIR_MTU, 0, RDM_INJECT, NULL), 0);
	pair_run(&p);
	pair_error(&p.a, DEV_TOO_LONG);
	talk_again(&p);
	talk_end(&p);
}

/* The head of a runting message counts once, and is sent. */
static void rdm_park__runting_waits_for_room(void **state)
{
	struct pair p;

	(void)state;
	for (int reads = 0; reads < 2; reads++) {
		patient_open(&p, &talk_runting);
		dev_record_set_reads(p.b.dev, reads);
		assert_int_equal(pair_recv(&p.b, talk_in, TALK_LEN, 0, 0, NULL),
				 0);
		assert_int_equal(
			pair_send(&p.a, talk_out, TALK_LEN, 0, 0, NULL), 0);
		assert_true(talk_step(&p.a, &p.b));
		dev_record_set_room(p.a.dev, 0);
		while (talk_step(&p.b, &p.a))
			rdm_progress(p.a.ep);
		dev_record_set_room(p.a.dev, -1);
		pair_run(&p);
		assert_true(pair_posted(RDM_PKT_RUNTREAD_MSGRTM) > 1);
		talk_good(&p, TALK_LEN);
		talk_end(&p);
	}
}

/* Who closes waits for it. */
static void rdm_ep_drain__parked_is_not_sent(void **state)
{
	struct pair p;

	(void)state;
	patient_open(&p, &talk_completing);
	assert_int_equal(pair_recv(&p.b, talk_in, 100, 0, 0, NULL), 0);
	assert_int_equal(pair_send(&p.a, talk_out, 100, 0, RDM_INJECT, NULL),
			 0);
	assert_true(talk_step(&p.a, &p.b));
	assert_false(rdm_ep_drain(p.a.ep, 1));
	pair_run(&p);
	assert_true(rdm_ep_drain(p.a.ep, 1));
	talk_good(&p, 100);
	talk_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_bare__messages_are_payload_alone),
		cmocka_unit_test(rdm_bare__first_messages_wait),
		cmocka_unit_test(rdm_bare__others_get_headers),
		cmocka_unit_test(rdm_bare_meet__judges_the_queue_pair),
		cmocka_unit_test(rdm_park__revoked_number_is_skipped),
		cmocka_unit_test(rdm_park__failed_number_is_skipped),
		cmocka_unit_test(rdm_park__refused_number_is_skipped),
		cmocka_unit_test(rdm_park__inject_too_long),
		cmocka_unit_test(rdm_park__runting_waits_for_room),
		cmocka_unit_test(rdm_ep_drain__parked_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
