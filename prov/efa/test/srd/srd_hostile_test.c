/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_hostile_test.c - packets with good checksums that no engine sends: each
 * is dropped or refused, and counted by its reason
 */
#include "srd/srd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "srd/srd_priv.h"
#include "srd_pair.h"

static struct pair w;
static struct srd_pkt pkt; /* what node 0 would say to node 1 */
static uint8_t payload[2048];
static struct srd_event event;

static int setup(void **state)
{
	(void)state;
	pair_init(&w, 2, 1);
	w.may_fail = true;
	pair_open(&w);
	memset(&pkt, 0, sizeof(pkt));
	pkt.base = (struct srd_pkt_base){
		.type = SRD_PKT_DATA,
		.src_qpn = w.node[0].addr.qpn,
		.src_connid = w.node[0].addr.connid,
		.dst_connid = w.node[1].addr.connid,
	};
	pkt.data.op = SRD_OP_SEND;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pair_close(&w);
	return 0;
}

/* Node 1 gets it in memory of its exact length; returns the events. */
static int give_bytes(const uint8_t *bytes, size_t len)
{
	uint8_t *exact = malloc(len + !len);
	int n;

	memcpy(exact, bytes, len);
	n = srd_rx(w.node[1].srd, exact, len, w.node[0].addr.gid, w.now,
		   &event);
	if (n)
		srd_release(w.node[1].srd, &event);
	free(exact);
	return n;
}

static int give(void)
{
	uint8_t bytes[SRD_HDR_MAX + sizeof(payload)];
	size_t len;

	pkt.payload = payload;
	len = srd_pkt_build(&pkt, bytes);
	memcpy(bytes + len, payload, pkt.payload_len);
	return give_bytes(bytes, len + pkt.payload_len);
}

static const struct srd_stats *stats(void)
{
	return srd_stats(w.node[1].srd);
}

/* The refusal that node 1 owes node 0; SRD_OK: none. */
static uint8_t refused(void)
{
	struct srd_out out[8];
	struct srd_pkt answer;
	int n = srd_tx(w.node[1].srd, w.now, out, 8);

	for (int i = 0; i < n; i++) {
		if (out[i].data_len || srd_pkt_parse(out[i].hdr, out[i].hdr_len,
						     &answer) != SRD_PKT_GOOD)
			continue;
		if (answer.has_ack && answer.ack.nnaks)
			return answer.ack.nak[0].status;
	}
	return SRD_OK;
}

static void srd_rx__bad_bytes_by_reason(void **state)
{
	uint8_t bytes[SRD_HDR_MAX];
	size_t len;

	(void)state;
	len = srd_pkt_build(&pkt, bytes);
	assert_int_equal(give_bytes(bytes, 5), 0);
	assert_int_equal(stats()->bad_short, 1);
	bytes[0] ^= 1;
	assert_int_equal(give_bytes(bytes, len), 0);
	assert_int_equal(stats()->bad_version, 1);
	bytes[0] ^= 1;
	bytes[8] ^= 1;
	assert_int_equal(give_bytes(bytes, len), 0);
	assert_int_equal(stats()->bad_check, 1);
	assert_int_equal(stats()->rx_packets, 3);
}

static void srd_rx__another_incarnation(void **state)
{
	(void)state;
	pkt.base.dst_connid++;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->bad_incarnation, 1);
	/* It is answered, but never a CLOSE. */
	assert_int_equal(w.node[1].srd->nstrays, 1);
	pkt.base.type = SRD_PKT_CLOSE;
	pkt.close = (struct srd_pkt_close){ SRD_NO_QP, 5 };
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->bad_incarnation, 2);
	assert_int_equal(w.node[1].srd->nstrays, 1);
}

static void srd_rx__unknown_source(void **state)
{
	static const uint8_t types[] = { SRD_PKT_ACK, SRD_PKT_PROBE,
					 SRD_PKT_CLOSE };

	(void)state;
	pkt.base.src_connid++;
	pkt.close =
		(struct srd_pkt_close){ SRD_PEER_RESET, pkt.base.src_connid };
	for (size_t i = 0; i < 3; i++) {
		pkt.base.type = types[i];
		pkt.has_ack = types[i] == SRD_PKT_ACK;
		assert_int_equal(give(), 0);
		assert_int_equal(stats()->bad_source, i + 1);
	}
	assert_int_equal(stats()->peers, 2);
	pkt.base.type = SRD_PKT_DATA;
	pkt.has_ack = false;
	pkt.base.src_qpn = 0;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->bad_source, 4);
	pkt.base.src_qpn = 1;
	pkt.data.psn = SRD_WINDOW_MAX;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->bad_window, 1);
	assert_int_equal(stats()->peers, 2);
	pkt.data.psn = SRD_WINDOW_MAX - 1;
	assert_int_equal(give(), 1);
	assert_int_equal(stats()->peers, 3);
}

static void srd_rx__more_peers_than_there_is_room_for(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 14; i++) {
		pkt.base.src_connid++;
		assert_int_equal(give(), 1);
	}
	pkt.base.src_connid++;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->no_room, 1);
	assert_int_equal(stats()->peers, 16);
}

static void srd_rx__numbers_that_cannot_be(void **state)
{
	(void)state;
	pkt.data.psn = SRD_WINDOW_MAX;
	assert_int_equal(give(), 0);
	pkt.data.psn = 0x7fffffff;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->bad_window, 2);
	pkt.data.psn = 0x80000000; /* long ago */
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->duplicates, 1);
	pkt.data.psn = SRD_WINDOW_MAX - 1;
	assert_int_equal(give(), 1);
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->duplicates, 2);
}

/* Gaps need a block, and all are taken by others that have gaps. */
static void srd_rx__gaps_without_room(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8; i++) {
		pkt.base.src_connid++;
		pkt.data.psn = 1;
		assert_int_equal(give(), 1);
	}
	pkt.base.src_connid++;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->no_room, 1);
	/* What is in order needs none. */
	pkt.data.psn = 0;
	assert_int_equal(give(), 1);
	pkt.base.src_connid--;
	assert_int_equal(give(), 1);
	pkt.base.src_connid++;
	pkt.data.psn = 2;
	assert_int_equal(give(), 1);
}

static void srd_acked__numbers_that_were_never_sent(void **state)
{
	(void)state;
	pkt.base.type = SRD_PKT_ACK;
	pkt.has_ack = true;
	pkt.ack.cum = 1;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->bad_window, 1);
	assert_int_equal(pair_send(&w, 1, 0, 10, true), 0);
	pair_drive(&w, 1);
	pkt.ack.cum = 2;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->bad_window, 2);
	pkt.ack.cum = 0;
	pkt.ack.nwords = 1;
	pkt.ack.word[0] = 1;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->bad_window, 3);
	pkt.ack.nwords = 0;
	pkt.ack.nnaks = 1;
	pkt.ack.nak[0] = (struct srd_nak){ 1, SRD_BAD_RKEY, 0 };
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->naks_received, 0);
	assert_int_equal(w.op[0].completed, 0);
	/* Of another epoch: nothing. */
	pkt.ack.nnaks = 0;
	pkt.ack.epoch = 1;
	pkt.ack.cum = 1;
	assert_int_equal(give(), 0);
	assert_int_equal(w.node[1].peer[0]->tx_una, 0);
	pkt.ack.epoch = 0;
	assert_int_equal(give(), 0);
	assert_int_equal(w.node[1].peer[0]->tx_una, 1);
}

static void srd_acked__echoes_that_cannot_be(void **state)
{
	static const uint32_t stamps[] = { 0, 1, 0x7fffffff, UINT32_MAX };

	(void)state;
	pkt.base.type = SRD_PKT_ACK;
	pkt.has_ack = true;
	pkt.ack.nechoes = 1;
	for (size_t i = 0; i < 4; i++) {
		pkt.ack.echo[0] = (struct srd_echo){ stamps[i], UINT16_MAX, 0 };
		assert_int_equal(give(), 0);
		assert_int_equal(w.node[1].peer[0]->srtt, 0);
	}
	/* It was held longer than it took. */
	pkt.ack.echo[0] = (struct srd_echo){ (uint32_t)w.now - 6400, 100, 0 };
	assert_int_equal(give(), 0);
	assert_int_equal(w.node[1].peer[0]->srtt, 0);
	pkt.ack.echo[0] = (struct srd_echo){ (uint32_t)w.now - 6401, 100, 63 };
	assert_int_equal(give(), 0);
	assert_int_equal(w.node[1].peer[0]->srtt, 1);
}

static void srd_part__segments_that_do_not_fit(void **state)
{
	(void)state;
	pkt.data.total = 3000;
	pkt.payload_len = 2000;
	assert_int_equal(give(), 0);
	assert_int_equal(refused(), SRD_OK);
	/* More bytes than there are left, and another total. */
	pkt.data.psn++;
	assert_int_equal(give(), 0);
	assert_int_equal(refused(), SRD_BAD_LEN);
	pkt.data.total = 3001;
	pkt.payload_len = 1;
	assert_int_equal(give(), 0);
	assert_int_equal(refused(), SRD_BAD_LEN);
	assert_int_equal(stats()->bad_field, 2);
	pkt.data.total = 3000;
	pkt.data.offset = 2000;
	pkt.payload_len = 1000;
	assert_int_equal(give(), 1);
	assert_int_equal(event.len, 3000);
}

static void srd_part__late_packets_of_a_void_message(void **state)
{
	(void)state;
	pkt.data.psn = 5;
	pkt.data.msg = 77;
	pkt.data.op = SRD_OP_VOID;
	assert_int_equal(give(), 0);
	pkt.data.op = SRD_OP_SEND;
	pkt.data.psn = 4;
	pkt.data.total = 3000;
	pkt.payload_len = 1000;
	assert_int_equal(give(), 0);
	assert_int_equal(refused(), SRD_PEER_RESET);
	assert_int_equal(srd_slots_left(&w.node[1].srd->rx_slots), 8);
	/* One that has begun ends, also by a number that was here before. */
	pkt.data.psn = 0;
	pkt.data.msg = 78;
	assert_int_equal(give(), 0);
	assert_int_equal(srd_slots_left(&w.node[1].srd->rx_slots), 7);
	pkt.data.op = SRD_OP_VOID;
	pkt.payload_len = 0;
	assert_int_equal(give(), 0);
	assert_int_equal(srd_slots_left(&w.node[1].srd->rx_slots), 8);
}

/* Its number may be another message's when the window has gone by. */
static void srd_part__void_messages_are_forgotten(void **state)
{
	(void)state;
	pkt.data.msg = 77;
	pkt.data.op = SRD_OP_VOID;
	assert_int_equal(give(), 0);
	pkt.data.op = SRD_OP_SEND;
	for (uint32_t i = 0; i < SRD_WINDOW_MAX; i++) {
		pkt.data.psn++;
		assert_int_equal(give(), 1);
	}
	pkt.data.psn++;
	pkt.data.total = 3000;
	pkt.payload_len = 1000;
	assert_int_equal(give(), 0);
	assert_int_equal(refused(), SRD_OK);
}

static void srd_part__more_void_messages_than_room(void **state)
{
	(void)state;
	pkt.data.op = SRD_OP_VOID;
	for (uint32_t i = 0; i < 100; i++) {
		pkt.data.psn = i;
		pkt.data.msg = i;
		assert_int_equal(give(), 0);
	}
	pkt.data.op = SRD_OP_SEND;
	pkt.data.total = 3000;
	pkt.payload_len = 1000;
	for (uint32_t i = 0; i < 9; i++) {
		pkt.data.psn = 100 + i;
		pkt.data.msg = 1000 + i;
		assert_int_equal(give(), 0);
	}
	assert_int_equal(refused(), SRD_RNR);
	assert_int_equal(stats()->rnr_sent, 1);
}

static void srd_place__data_that_nobody_asked_for(void **state)
{
	(void)state;
	pkt.data.op = SRD_OP_DATA;
	pkt.payload_len = 10;
	assert_int_equal(give(), 0);
	assert_int_equal(refused(), SRD_PEER_RESET);
	pkt.data.op = SRD_OP_RESULT;
	pkt.data.status = SRD_BAD_RKEY;
	pkt.payload_len = 0;
	assert_int_equal(give(), 0);
	assert_int_equal(refused(), SRD_OK);
}

static void srd_place__data_out_of_bounds(void **state)
{
	(void)state;
	assert_int_equal(pair_rdma(&w, PAIR_READ, 1, 0, 100), 0);
	pkt.data.op = SRD_OP_DATA;
	pkt.data.msg = w.op[0].op;
	pkt.payload_len = 10;
	/* It was not even sent. */
	assert_int_equal(give(), 0);
	assert_int_equal(refused(), SRD_PEER_RESET);
	pair_drive(&w, 1);
	pkt.data.offset = 91;
	assert_int_equal(give(), 0);
	assert_int_equal(refused(), SRD_BAD_LEN);
	pkt.data.offset = 0;
	pkt.payload_len = 101;
	assert_int_equal(give(), 0);
	assert_int_equal(refused(), SRD_BAD_LEN);
	assert_int_equal(stats()->bad_field, 2);
	/* A SEND of ours is no READ. */
	assert_int_equal(pair_send(&w, 1, 0, 10, true), 0);
	pkt.data.msg =
		u_pool_id(TAILQ_LAST(&w.node[1].peer[0]->ops, srd_op_list));
	pkt.payload_len = 1;
	assert_int_equal(give(), 0);
	assert_int_equal(w.op[1].completed, 0);
}

static void srd_place__write_outside_of_the_key(void **state)
{
	(void)state;
	pkt.data.op = SRD_OP_WRITE;
	pkt.data.rkey = PAIR_RKEY;
	pkt.data.remote = (uintptr_t)w.node[1].mem + PAIR_MEM - 10;
	pkt.data.total = 11;
	pkt.payload_len = 1; /* which would fit */
	assert_int_equal(give(), 0);
	assert_int_equal(refused(), SRD_BAD_RKEY);
	pair_check_memory(&w);
}

static void srd_end__close_that_is_not_believed(void **state)
{
	(void)state;
	pkt.base.type = SRD_PKT_CLOSE;
	pkt.close =
		(struct srd_pkt_close){ SRD_PEER_RESET, w.node[0].addr.connid };
	pkt.base.src_connid++;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->bad_field, 1);
	pkt.close.about++;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->bad_source, 1);
	assert_int_equal(w.node[1].peer[0]->ended, SRD_OK);
	pkt.close.about--;
	pkt.base.src_connid--;
	assert_int_equal(give(), 0);
	assert_int_equal(w.node[1].peer[0]->ended, SRD_PEER_RESET);
	/* Nothing comes after it. */
	pkt.base.type = SRD_PKT_DATA;
	assert_int_equal(give(), 0);
	assert_int_equal(stats()->bad_source, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(srd_rx__bad_bytes_by_reason),
		TEST(srd_rx__another_incarnation),
		TEST(srd_rx__unknown_source),
		TEST(srd_rx__more_peers_than_there_is_room_for),
		TEST(srd_rx__numbers_that_cannot_be),
		TEST(srd_rx__gaps_without_room),
		TEST(srd_acked__numbers_that_were_never_sent),
		TEST(srd_acked__echoes_that_cannot_be),
		TEST(srd_part__segments_that_do_not_fit),
		TEST(srd_part__late_packets_of_a_void_message),
		TEST(srd_part__void_messages_are_forgotten),
		TEST(srd_part__more_void_messages_than_room),
		TEST(srd_place__data_that_nobody_asked_for),
		TEST(srd_place__data_out_of_bounds),
		TEST(srd_place__write_outside_of_the_key),
		TEST(srd_end__close_that_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
